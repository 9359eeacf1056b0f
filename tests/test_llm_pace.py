"""When calls may be sent, on an event loop whose time is only counted."""

from __future__ import annotations

import asyncio
import gc
import selectors
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.config import PaceRow
from llmclf.errors import ErrorKind, ModelError, StoreError
from llmclf.llm.pace import Pace
from llmclf.store import Store
from llmclf.store.sends import SendLimits

T = TypeVar("T")
FOREVER = 1e9
MODEL, ENDPOINT = "openai/a", "openai"


class Selector(selectors.DefaultSelector):
    """Counts the time it was to wait, and does not wait."""

    now = 1_000.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for somebody else"
        self.now += timeout
        return super().select(0)


class CountedLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour takes a moment."""

    def __init__(self) -> None:
        self.counter = Selector()
        super().__init__(self.counter)

    def time(self) -> float:
        return self.counter.now


def counted(work: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
    """Runs `work(now)` in counted time."""
    loop = CountedLoop()
    try:
        return loop.run_until_complete(work(loop.time))
    finally:
        loop.close()


def pace_of(now: Callable[[], float], most: int = 8, /, **row: int) -> Pace:
    rows = {"openai/*": PaceRow(**row)} if row else {}
    return Pace(rows, None, concurrency=most, clock=now, monotonic=now)


def most_within(moments: list[float], seconds: float = 60.0) -> int:
    """Most moments in any window [t, t + seconds)."""
    moments = sorted(moments)
    return max((sum(start <= moment < start + seconds for moment in moments) for start in moments), default=0)


def pushed_back(kind: ErrorKind = "rate_limited", after: float | None = None) -> ModelError:
    return ModelError(kind, "too fast", retry_after=after)


# --- windows ---------------------------------------------------------------------------------


def test_no_minute_sees_more_requests_than_allowed() -> None:
    """120 calls under 60 requests a minute: 60 in the first, 60 in the next, never more in any."""

    async def work(now: Callable[[], float]) -> list[float]:
        pace, sent = pace_of(now, requests_per_minute=60), []

        async def call() -> None:
            with await pace.turn(MODEL, ENDPOINT, 10, now() + 1_000):
                sent.append(now())
                await asyncio.sleep(0.3)

        await asyncio.gather(*(call() for _ in range(120)))
        return sent

    sent = counted(work)
    assert len(sent) == 120
    assert most_within(sent) == 60
    assert 61 < max(sent) - min(sent) < 70


arrival = st.tuples(
    st.floats(0, 200),  # when it comes
    st.sampled_from(["openai/a", "openai/b", "openai/c"]),
    st.floats(0, 90),  # how long each attempt takes
    st.integers(1, 3),  # attempts
    st.integers(0, 900),  # tokens reserved
    st.integers(0, 900),  # tokens taken
)


@settings(max_examples=60, deadline=None)
@given(st.lists(arrival, max_size=60), st.integers(1, 12), st.integers(100, 2_000), st.integers(1, 20))
def test_no_pattern_of_arrivals_passes_a_limit(
    arrivals: list[tuple[float, str, float, int, int, int]], requests: int, tokens: int, concurrency: int
) -> None:
    """Whoever comes when, retries and several models under one row included, no minute sees more than its limits."""

    async def work(now: Callable[[], float]) -> list[tuple[float, float, int, int]]:
        pace = pace_of(now, concurrency, requests_per_minute=requests, tokens_per_minute=tokens)
        sent: list[tuple[float, float, int, int]] = []

        async def call(at: float, model: str, seconds: float, attempts: int, most: int, used: int) -> None:
            await asyncio.sleep(at)
            for attempt in range(attempts):
                try:
                    with await pace.turn(model, ENDPOINT, most, FOREVER) as turn:
                        start = now()
                        await asyncio.sleep(seconds)
                        sent.append((start, now(), most, min(used, most)))
                        if attempt < attempts - 1:
                            raise pushed_back("unavailable")
                        turn.answered(min(used, most))
                except ModelError as error:
                    assert error.kind == "unavailable"
                    sent[-1] = (sent[-1][0], FOREVER, most, most)

        await asyncio.gather(*(call(*arrival) for arrival in arrivals))
        return sent

    sent = counted(work)
    assert len(sent) == sum(arrival[3] for arrival in arrivals)
    assert most_within([start for start, *_ in sent]) <= requests
    for moment, *_ in sent:  # what was known to count when this one was sent
        counts = [used if end <= moment else most for start, end, most, used in sent if moment - 60 < start <= moment]
        assert sum(counts) <= tokens or len([count for count in counts if count]) == 1


def test_a_call_above_the_whole_limit_goes_alone() -> None:
    """It waits until nothing else counts, is let through, and nothing goes with it."""

    async def work(now: Callable[[], float]) -> list[tuple[int, float]]:
        pace, sent, start = pace_of(now, tokens_per_minute=1_000), [], now()

        async def call(tokens: int) -> None:
            with await pace.turn(MODEL, ENDPOINT, tokens, FOREVER):
                sent.append((tokens, now() - start))

        await asyncio.gather(*(call(tokens) for tokens in (600, 5_000, 1)))
        return sent

    assert [(tokens, round(at)) for tokens, at in counted(work)] == [(600, 0), (5_000, 61), (1, 122)]


def test_a_true_count_makes_room_at_once() -> None:
    """A reservation of the whole minute does not hold the next one back once its answer is known to be short."""

    async def work(now: Callable[[], float]) -> float:
        pace, start = pace_of(now, tokens_per_minute=1_000), now()
        first = await pace.turn(MODEL, ENDPOINT, 1_000, FOREVER)
        second = asyncio.create_task(pace.turn(MODEL, ENDPOINT, 900, FOREVER))
        await asyncio.sleep(2)
        assert not second.done()
        first.answered(100)
        (await second).leave()
        first.leave()
        return now() - start

    assert counted(work) == pytest.approx(2, abs=0.01)


def test_a_turn_that_would_come_too_late_fails_at_once() -> None:
    """The error is a time-out that was not billed, raised before the deadline, and the others go on."""

    async def work(now: Callable[[], float]) -> tuple[float, ModelError, float]:
        pace, start = pace_of(now, requests_per_minute=1), now()
        (await pace.turn(MODEL, ENDPOINT, 1, FOREVER)).leave()
        patient = asyncio.create_task(pace.turn(MODEL, ENDPOINT, 1, FOREVER))
        with pytest.raises(ModelError) as raised:
            await pace.turn(MODEL, ENDPOINT, 1, start + 30)
        failed = now() - start
        with pytest.raises(ModelError):  # also where somebody is known to wait longer than that
            await pace.turn(MODEL, ENDPOINT, 1, start + 31)
        failed = max(failed, now() - start)
        (await patient).leave()
        return failed, raised.value, now() - start

    failed, error, went = counted(work)
    assert failed < 0.1
    assert (error.kind, error.possibly_billed, error.where) == ("timeout", False, MODEL)
    assert went == pytest.approx(61, abs=0.01)


def test_requests_are_waited_for_before_tokens() -> None:
    """Where both limits hold a call back, tokens that are set free meanwhile let it go as soon as requests do."""

    async def work(now: Callable[[], float]) -> float:
        pace, start = pace_of(now, requests_per_minute=2, tokens_per_minute=100), now()
        (await pace.turn(MODEL, ENDPOINT, 10, FOREVER)).leave()
        await asyncio.sleep(30)
        long = await pace.turn(MODEL, ENDPOINT, 90, FOREVER)
        waiting = asyncio.create_task(pace.turn(MODEL, ENDPOINT, 90, start + 80))
        await asyncio.sleep(10)
        long.answered(5)
        (await waiting).leave()
        return now() - start

    assert counted(work) == pytest.approx(61, abs=0.01)


def test_who_has_left_takes_no_part_of_the_minute() -> None:
    """A call that was cancelled while it waited is not counted as sent."""

    async def work(now: Callable[[], float]) -> float:
        pace, start = pace_of(now, 3, requests_per_minute=6), now()
        held = [await pace.turn(MODEL, ENDPOINT, 1, FOREVER) for _ in range(3)]
        waiting = [asyncio.create_task(pace.turn(MODEL, ENDPOINT, 1, FOREVER)) for _ in range(4)]
        await asyncio.sleep(1)
        waiting[1].cancel()
        await asyncio.sleep(1)
        for turn in held:
            turn.leave()
        for number in (0, 2, 3):
            (await waiting[number]).leave()
        return now() - start

    assert counted(work) == pytest.approx(2, abs=0.01)


def test_a_deadline_passes_while_others_hold_all_places() -> None:
    """Who waits for a place gives up at the deadline, and leaves nothing behind."""

    async def work(now: Callable[[], float]) -> float:
        pace, start = pace_of(now, 1), now()
        holder = await pace.turn(MODEL, ENDPOINT, 1, FOREVER)
        with pytest.raises(ModelError, match="after the deadline"):
            await pace.turn(MODEL, ENDPOINT, 1, start + 5)
        gave_up = now() - start
        with pytest.raises(ModelError, match="after the deadline"):
            await pace.turn(MODEL, ENDPOINT, 1, now())
        holder.leave()
        (await pace.turn(MODEL, ENDPOINT, 1, now() + 1)).leave()
        return gave_up

    assert counted(work) == pytest.approx(5)


def test_the_first_row_that_fits_holds() -> None:
    """A model's own row before a pattern, in the order of the file; others have no window at all."""

    async def work(now: Callable[[], float]) -> list[float]:
        rows = {
            "openai/big": PaceRow(requests_per_minute=1),
            "openai/*": PaceRow(requests_per_minute=2),
            "*": PaceRow(requests_per_minute=3),
        }
        pace, waits = Pace(rows, None, concurrency=9, clock=now, monotonic=now), []
        for model, count in (("openai/big", 1), ("openai/a", 1), ("openai/b", 1), ("x/y", 2), ("z", 1)):
            for _ in range(count):
                with await pace.turn(model, model.partition("/")[0], 1, now() + 1) as turn:
                    waits.append(turn.waited)
        for model in ("openai/big", "openai/c", "anything"):
            with pytest.raises(ModelError):
                await pace.turn(model, "elsewhere", 1, now() + 1)
        return waits

    assert max(counted(work)) < 0.01


# --- places ----------------------------------------------------------------------------------


async def most_at_once(pace: Pace, calls: int = 40) -> int:
    """How many of these calls are under way at once; all are answered."""
    now_there = most = 0

    async def call() -> None:
        nonlocal now_there, most
        with await pace.turn(MODEL, ENDPOINT, 1, FOREVER) as turn:
            now_there += 1
            most = max(most, now_there)
            await asyncio.sleep(1)
            now_there -= 1
            turn.answered(None)

    await asyncio.gather(*(call() for _ in range(calls)))
    return most


async def places(pace: Pace) -> int:
    """How many can be had at once; none of them is answered."""
    held = []
    try:
        while True:
            turn = asyncio.create_task(pace.turn(MODEL, ENDPOINT, 1, FOREVER))
            await asyncio.sleep(0.01)
            if not turn.done():
                turn.cancel()
                return len(held)
            held.append(await turn)
    finally:
        for one in held:
            one.leave()


def test_places_are_halved_once_for_calls_that_fail_together_and_come_back() -> None:
    """16 failures at once leave 8 places, one more leaves 4; answers bring back one a round, never above the most."""

    async def work(now: Callable[[], float]) -> list[int]:
        pace = pace_of(now, 16)
        turns = [await pace.turn(MODEL, ENDPOINT, 1, FOREVER) for _ in range(16)]
        for turn in turns:
            turn.failed(pushed_back())
            turn.leave()
            turn.leave()  # twice is once
        found = [await places(pace)]
        with pytest.raises(ModelError):
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                raise pushed_back("unavailable")
        found.append(await places(pace))
        for _ in range(4 + 5 + 6):
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER) as turn:
                turn.answered(None)
        found.append(await places(pace))
        await most_at_once(pace, 400)
        found.append(await places(pace))
        return found

    assert counted(work) == [8, 4, 7, 16]


@pytest.mark.parametrize("kind", ["authentication", "timeout", "connection", "refused"])
def test_other_errors_take_no_place(kind: ErrorKind) -> None:
    """Only a vendor that pushes back has fewer calls under way."""

    async def work(now: Callable[[], float]) -> int:
        pace = pace_of(now, 6)
        with pytest.raises(ModelError):
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                raise pushed_back(kind)
        return await most_at_once(pace)

    assert counted(work) == 6


def test_there_is_always_one_place_and_never_more_than_the_row_says() -> None:
    """Push-back upon push-back leaves one; a row's concurrency is the most, and its endpoints don't share places."""

    async def work(now: Callable[[], float]) -> list[int]:
        pace = pace_of(now, 16, concurrency=3)
        found = [await most_at_once(pace)]
        for _ in range(5):
            with pytest.raises(ModelError):
                with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                    raise pushed_back()
        found.append(await places(pace))
        other = [await pace.turn("openai/b", "elsewhere", 1, now() + 1) for _ in range(3)]
        return [*found, len(other)]

    assert counted(work) == [3, 1, 3]


@pytest.mark.parametrize("row", [{}, {"requests_per_minute": 1_000}])
def test_who_comes_first_goes_first(row: dict[str, int]) -> None:
    """With one place, twenty calls go in the order they came; those who left in between are skipped."""

    async def work(now: Callable[[], float]) -> list[int]:
        pace, order = pace_of(now, 1, **row), []

        async def call(number: int) -> None:
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                order.append(number)
                await asyncio.sleep(1)

        calls = [asyncio.create_task(call(number)) for number in range(20)]
        await asyncio.sleep(3.5)
        for number in (5, 9, 19):
            calls[number].cancel()
        await asyncio.wait(calls)
        return order

    assert counted(work) == [number for number in range(20) if number not in (5, 9, 19)]


def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    """A place that has just become free goes to the one who waited for it, not to who asks in that moment."""

    async def work(now: Callable[[], float]) -> list[str]:
        pace, order = pace_of(now, 1), []

        async def call(name: str) -> None:
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                order.append(name)

        holder = await pace.turn(MODEL, ENDPOINT, 1, FOREVER)
        waiting = asyncio.create_task(call("first"))
        await asyncio.sleep(1)
        holder.leave()
        await call("second")
        await waiting
        return order

    assert counted(work) == ["first", "second"]


@pytest.mark.parametrize("row", [{}, {"requests_per_minute": 1_000}])
@pytest.mark.parametrize("steps", range(6))
def test_a_call_cancelled_at_the_moment_of_its_turn_leaves_nothing_behind(row: dict[str, int], steps: int) -> None:
    """Whichever step of the loop the cancellation meets, before or after the place is given, it comes back."""

    async def work(now: Callable[[], float]) -> None:
        pace = pace_of(now, 1, **row)
        holder = await pace.turn(MODEL, ENDPOINT, 1, FOREVER)
        waiting = asyncio.create_task(pace.turn(MODEL, ENDPOINT, 1, FOREVER))
        await asyncio.sleep(1)
        holder.leave()
        for _ in range(steps):
            await asyncio.sleep(0)
        if not waiting.cancel():
            waiting.result().leave()
        await asyncio.wait([waiting])
        (await pace.turn(MODEL, ENDPOINT, 1, now() + 1)).leave()

    counted(work)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=30),
    st.integers(1, 4),
    st.sampled_from([{}, {"requests_per_minute": 500}, {"tokens_per_minute": 40}]),
)
def test_a_cancelled_call_leaves_nothing_behind(
    calls: list[tuple[float, float]], concurrency: int, row: dict[str, int]
) -> None:
    """Calls cancelled at any moment, waiting or under way, give their places back: afterwards all can be had."""

    async def work(now: Callable[[], float]) -> int:
        pace = pace_of(now, concurrency, **row)

        async def call(seconds: float) -> None:
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                await asyncio.sleep(seconds)

        tasks = []
        for number, (seconds, cancelled_after) in enumerate(calls):
            tasks.append(asyncio.create_task(call(seconds)))
            asyncio.get_running_loop().call_later(cancelled_after if number % 3 else 0, tasks[-1].cancel)
        await asyncio.wait(tasks)
        await asyncio.sleep(200)
        return len([await pace.turn(MODEL, ENDPOINT, 1, now() + 1) for _ in range(concurrency)])

    assert counted(work) == concurrency


# --- pauses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [{}, {"requests_per_minute": 1_000}])
def test_one_retry_after_holds_everybody_back(row: dict[str, int]) -> None:
    """Nobody is sent to that endpoint before the moment the vendor named; other endpoints go on."""

    async def work(now: Callable[[], float]) -> tuple[list[float], float]:
        pace, sent, start = pace_of(now, 4, **row), [], now()

        async def call() -> None:
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                sent.append(now() - start)

        with pytest.raises(ModelError):
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                waiting = [asyncio.create_task(call()) for _ in range(6)]
                await asyncio.sleep(0)
                raise pushed_back(after=20.0)
        sent_before = len(sent)
        waiting += [asyncio.create_task(call()) for _ in range(6)]
        with pytest.raises(ModelError, match="after the deadline"):
            await pace.turn(MODEL, ENDPOINT, 1, start + 19)
        assert now() - start < 0.1
        with await pace.turn(MODEL, "elsewhere", 1, FOREVER) as turn:
            other = turn.waited
        await asyncio.gather(*waiting)
        return sent[sent_before:], other

    sent, other = counted(work)
    assert len(sent) >= 6
    assert min(sent) >= 20
    assert max(sent) < 20.1
    assert other < 0.01


# --- the window in the store ------------------------------------------------------------------

LIMITS = SendLimits(3, None, 60.0)


def taken(store: Store, at: float, *tokens: int, limits: SendLimits = LIMITS, pace: str = "p") -> tuple[int, float]:
    """(how many were let through, seconds to wait) at a moment."""
    found = store.take_sends(pace, tokens, limits, lambda: at).result(10)
    return len(found.sends), found.wait


def test_the_store_counts_in_a_sliding_window(tmp_path: Path) -> None:
    """A send leaves the window exactly when it is that old; rows of other paces don't count."""
    with Store(tmp_path / "s.db") as store:
        assert taken(store, 100, 1) == (1, 0.0)
        assert taken(store, 130, 1, 1, 1, 1) == (2, 30.0)
        assert taken(store, 159.5, 1) == (0, 0.5)
        assert taken(store, 159.5, 1, pace="q") == (1, 0.0)
        assert taken(store, 160, 1, 1) == (1, 30.0)
        assert taken(store, 190, 1, 1, 1) == (2, 30.0)


def test_a_clock_that_steps_back_unlocks_nothing(tmp_path: Path) -> None:
    """What was sent before the step counts for a full window from when it is seen, and no longer than that."""
    with Store(tmp_path / "s.db") as store:
        assert taken(store, 10_000, 1, 1, 1) == (3, 0.0)
        assert taken(store, 5_000, 1) == (0, 60.0)
        assert taken(store, 5_059, 1) == (0, 1.0)
        assert taken(store, 5_060, 1) == (1, 0.0)


def test_the_store_counts_tokens_as_they_become_known(tmp_path: Path) -> None:
    """A correction changes what counts, also after the id of a row was given to another one."""
    limits = SendLimits(None, 100, 60.0)
    with Store(tmp_path / "s.db") as store:
        first = store.take_sends("p", [90], limits, lambda: 100.0).result(10).sends[0]
        assert taken(store, 101, 20, limits=limits) == (0, 59.0)
        store.correct_send(first, tokens=30, at=first.at)
        assert taken(store, 101, 70, limits=limits) == (1, 0.0)
        store.flush()
        with sqlite3.connect(tmp_path / "s.db") as other:
            other.execute("DELETE FROM sends")
        assert store.take_sends("p", [50], limits, lambda: 500.0).result(10).sends[0].send_id == first.send_id
        store.correct_send(first, tokens=0, at=first.at)
        assert taken(store, 500, 60, limits=limits) == (0, 60.0)


def test_old_sends_are_removed(tmp_path: Path) -> None:
    """The table holds the last minutes only, however long the store is used."""
    with Store(tmp_path / "s.db") as store:
        for number in range(0, 1_000, 4):
            assert taken(store, number * 10.0, 1, 1, 1, limits=SendLimits(9, None, 60.0))[0] == 3
        assert store.query("SELECT count(*) AS n FROM sends")[0]["n"] < 150


def test_a_pace_without_limits_leaves_the_store_alone(tmp_path: Path) -> None:
    """No row, or one with a concurrency alone: nothing is written."""

    async def work(store: Store) -> None:
        pace = Pace({"a/*": PaceRow(concurrency=2)}, store, concurrency=4)
        for model in ("a/x", "b/y"):
            with await pace.turn(model, "e", 1, FOREVER) as turn:
                turn.answered(3)

    with Store(tmp_path / "s.db") as store:
        asyncio.run(work(store))
        assert store.query("SELECT count(*) AS n FROM sends") == [{"n": 0}]


def test_a_store_that_fails_is_told_to_everybody_and_keeps_no_place(tmp_path: Path) -> None:
    """A closed store is a StoreError for each who waits, not a wait for ever."""

    async def work(store: Store) -> list[Any]:
        pace = Pace({"*": PaceRow(requests_per_minute=5)}, store, concurrency=2)
        with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
            store.close()
        turns = [pace.turn(MODEL, ENDPOINT, 1, FOREVER) for _ in range(4)]
        return await asyncio.wait_for(asyncio.gather(*turns, return_exceptions=True), 10)

    store = Store(tmp_path / "s.db")
    errors = asyncio.run(work(store))
    assert [type(error) for error in errors] == [StoreError] * 4
    assert len({id(error) for error in errors}) == 4


def test_nothing_is_left_running() -> None:
    """Once nobody waits, no task is left on the loop, also while somebody is under way."""

    async def work(now: Callable[[], float]) -> list[str]:
        pace = pace_of(now, 1, requests_per_minute=100)
        holder = await pace.turn(MODEL, ENDPOINT, 1, FOREVER)
        waiting = asyncio.create_task(pace.turn(MODEL, ENDPOINT, 1, FOREVER))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == 1
        holder.leave()

        async def call() -> None:
            with await pace.turn(MODEL, ENDPOINT, 1, FOREVER):
                await asyncio.sleep(1)

        await asyncio.gather(*(call() for _ in range(5)))
        await asyncio.sleep(1)
        gc.collect()
        found = map(str, asyncio.all_tasks())  # litellm's clients of other tests make tasks when they are collected
        return [task for task in found if "llmclf/llm" in task]

    assert counted(work) == []
