"""Caps that several processes on one store keep together."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.errors import ModelError
from llmclf.llm.budget import Budget
from llmclf.llm.caps import Period, Reservation, SharedCaps, inputs_cap, utc_now, window_caps
from llmclf.store import CallDone, CallSent, Store

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Process:
    """What one process does with its money: reserve, record, confirm, settle."""

    def __init__(self, store: Store, clock: Callable[[], datetime], *, patience: float = 0.0, **limits: int) -> None:
        self.store = store
        self.owner = uuid4().hex
        periods: dict[Period, int] = {p: limits[p] for p in ("month", "day", "hour") if p in limits}
        self.shared = SharedCaps(store, self.owner, periods, clock=clock)
        self.budget = Budget(limits.get("own"), shared=self.shared, patience_seconds=patience)
        self.sent: list[tuple[str, Reservation]] = []

    def send(self, reserved: Reservation, run_id: str = "") -> bool:
        """Records a call as it is sent; False where it must not be."""
        call_id = uuid4().hex
        self.store.call_sent(
            CallSent(call_id, run_id, call_id, reserved_nano=reserved.nano, sent_at=reserved.moment, owner=self.owner)
        ).result()
        try:
            self.budget.confirm(reserved)
        except ModelError:
            self.store.call_done(call_id, CallDone("failed", cost_nano=0)).result()
            self.budget.settle(reserved, 0)
            return False
        self.sent.append((call_id, reserved))
        return True

    def idle(self) -> None:
        """Nothing happens for two ticks."""
        for _ in range(2):
            self.budget.tick()
            self.store.flush()

    def settle(self, number: int, cost: int | None) -> None:
        call_id, reserved = self.sent.pop(number)
        self.store.call_done(call_id, CallDone("done", cost_nano=cost))
        self.budget.settle(reserved, cost)

    def spend(self, nano: int, cost: int | None = None, run_id: str = "") -> bool:
        """One call from beginning to end; False where there was no money."""
        try:
            reserved = self.budget.reserve(nano)
        except ModelError as error:
            assert error.kind == "over_budget"
            return False
        assert self.send(reserved, run_id)
        self.settle(len(self.sent) - 1, nano if cost is None else cost)
        return True


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


def total(store: Store, since: datetime = NOON - timedelta(days=400)) -> int:
    """What calls cost or have reserved since then, by the store."""
    spent = store.spent_nano(since=since)
    return spent.settled + spent.reserved_unsettled


def unused(store: Store) -> int:
    """Room that is leased and not used."""
    rows = store.query(
        "SELECT owner, granted_nano - (SELECT coalesce(sum(coalesce(cost_nano, reserved_nano)), 0) FROM calls"
        " WHERE calls.owner = leases.owner) AS nano FROM leases"
    )
    return sum(row["nano"] for row in rows)


# --- windows -----------------------------------------------------------------------------------


def test_windows_are_calendar_months_days_and_hours_of_utc() -> None:
    """Whatever zone the clock speaks in; a year ends like a month."""
    eve = datetime(2027, 1, 1, 0, 30, tzinfo=UTC).astimezone(tz=None) - timedelta(hours=1)
    caps = window_caps({"month": 3, "day": 2, "hour": 1}, eve)
    assert [(cap.scope, cap.cap_nano) for cap in caps] == [
        ("month:2026-12", 3),
        ("day:2026-12-31", 2),
        ("hour:2026-12-31T23", 1),
    ]
    assert {cap.until for cap in caps} == {datetime(2027, 1, 1, tzinfo=UTC)}
    assert [cap.since and cap.since.day for cap in caps] == [1, 31, 31]


@pytest.mark.parametrize(("period", "seconds"), [("hour", 3600), ("day", 86400), ("month", 86400 * 30)])
def test_a_new_window_has_new_room(store: Store, period: Period, seconds: float) -> None:
    """When the clock passes the end of the window, in a process that goes on and in a new one."""
    clock = Clock()
    one, two = (Process(store, clock, **{period: 100}) for _ in range(2))
    for _ in range(2):
        assert one.spend(40)
        assert two.spend(40)
        assert not one.spend(40)
        one.idle()
        assert two.spend(20)
        assert not two.spend(1)
        clock.move(seconds)
    assert total(store) == 200
    assert total(store, clock.now - timedelta(seconds=seconds)) == 100


def test_a_call_counts_in_the_window_of_its_reservation(store: Store) -> None:
    """Settled after the hour it neither fills nor empties the next one."""
    clock = Clock(NOON - timedelta(seconds=1))
    process = Process(store, clock, hour=100)
    late = process.budget.reserve(90)
    clock.move(2)
    assert process.spend(100)
    assert process.send(late)
    process.settle(0, 10)
    assert not process.spend(1)
    assert (total(store), total(store, NOON)) == (110, 100)


def test_the_smallest_of_all_caps_holds(store: Store) -> None:
    """A month, an hour and the process's own together; the error names the one that has no room."""
    clock = Clock()
    process = Process(store, clock, month=150, hour=100, own=120)
    assert process.budget.left_nano() == 100
    assert process.spend(90)
    assert process.budget.left_nano() == 10
    with pytest.raises(ModelError, match=r"usd_per_hour \(2026-11-22T12\)"):
        process.budget.reserve(11)
    clock.move(3600)
    with pytest.raises(ModelError, match="raise max_usd"):
        process.budget.reserve(31)
    assert process.spend(30)
    other = Process(store, clock, month=150, hour=100)
    with pytest.raises(ModelError, match=r"\$0.000000 of the \$1.5e-07 usd_per_month \(2026-11\) is left"):
        other.budget.reserve(31)


# --- leases ------------------------------------------------------------------------------------


def test_simulated_calls_and_those_of_other_runs_do_not_count(store: Store) -> None:
    """A sweep's cap counts the calls of runs with its inputs, of this and of earlier executions."""
    runs = [store.start_run("sweep", inputs_hash=inputs, config={}) for inputs in ("a", "a", "b")]
    store.call_sent(CallSent("1", runs[0], "x", reserved_nano=70, simulated=True)).result()
    store.call_sent(CallSent("2", runs[2], "x", reserved_nano=70)).result()
    store.call_sent(CallSent("3", runs[0], "x", reserved_nano=50)).result()
    store.call_done("3", CallDone("done", cost_nano=30)).result()
    process = Process(store, Clock())
    assert not process.budget.is_capped
    with process.budget.under(inputs_cap("a", 100)):
        assert process.budget.is_capped
        assert process.budget.left_nano() == 70
        assert process.spend(60, 50, runs[1])
        assert not process.spend(21, run_id=runs[1])
        assert process.spend(20, run_id=runs[1])
    assert process.spend(1000)
    with process.budget.under(inputs_cap("a", 110)):
        assert not process.spend(11, run_id=runs[1])
        assert process.spend(10, run_id=runs[1])


def test_room_that_is_not_used_goes_back(store: Store) -> None:
    """When the cap is lifted, when the process was idle for a tick or two, and at the end."""
    clock = Clock()
    first, second = (Process(store, clock, day=1000) for _ in range(2))
    assert first.spend(100, 1)
    assert unused(store) >= 100
    first.idle()
    assert store.query("SELECT * FROM leases") == []
    assert first.spend(990)
    first.idle()
    assert second.spend(9)
    second.budget.close()
    first.budget.close()
    assert store.query("SELECT * FROM leases") == store.query("SELECT * FROM owners") == []


def test_slices_shrink_near_the_cap(store: Store) -> None:
    """One process that only began leaves nearly all of the room to others."""
    clock = Clock()
    first, second = (Process(store, clock, day=1000) for _ in range(2))
    held = first.budget.reserve(10)
    assert unused(store) <= 10 + 990 // 8
    assert sum(second.spend(10) for _ in range(100)) >= 85
    assert sum(first.spend(10) for _ in range(100)) <= 14
    first.send(held)
    assert total(store) == 1000


def test_a_bill_above_its_reservation_counts_for_all(store: Store) -> None:
    """It closes the budget of its own process, and takes the room of the others."""
    clock = Clock()
    first, second = (Process(store, clock, day=1000) for _ in range(2))
    assert first.spend(100, 950)
    assert "above its worst case" in first.budget.overrun
    assert not first.spend(1)
    first.idle()
    assert not second.spend(51)
    assert second.spend(50)


def test_an_owner_that_is_not_seen_loses_what_it_did_not_use(store: Store) -> None:
    """After a minute, not before; what it sent keeps its reservation for good."""
    clock = Clock()
    dead, living = (Process(store, clock, day=1000) for _ in range(2))
    assert dead.send(dead.budget.reserve(300))
    dead.budget.reserve(300)  # never sent
    clock.move(59)
    assert not living.spend(600)
    clock.move(2)
    assert living.spend(600)
    assert not living.spend(101)
    assert living.spend(100)
    assert total(store) == 1000


def test_a_process_that_stood_still_does_not_send(store: Store) -> None:
    """Money that it reserved before may have been given to others: the call in its hands fails, the next asks anew."""
    clock = Clock()
    stopped, other = (Process(store, clock, day=1000) for _ in range(2))
    in_hand = stopped.budget.reserve(600)
    clock.move(61)
    assert other.spend(700)
    assert not stopped.send(in_hand)
    again = stopped.budget.reserve(250)
    assert not stopped.spend(51)
    assert stopped.send(again)
    assert total(store) == 950


def test_ticks_keep_what_is_needed(store: Store) -> None:
    """A process that ticks while a call is under way is never taken for dead."""
    clock = Clock()
    slow, other = (Process(store, clock, day=1000) for _ in range(2))
    in_hand = slow.budget.reserve(600)
    for _ in range(30):
        clock.move(10)
        slow.budget.tick()
        store.flush()
    assert not other.spend(500)
    assert slow.send(in_hand)
    assert other.spend(400)
    assert total(store) == 1000


def test_a_child_made_by_fork_has_leases_of_its_own(store: Store) -> None:
    """Its parent's room is not its own, and both together keep the cap."""
    clock = Clock()
    parent = Process(store, clock, day=1000)
    parent.budget.reserve(300)
    child = Process(store, clock, day=1000)
    child.budget = parent.budget.__class__(None, shared=parent.shared, patience_seconds=0)
    child.budget.begin_anew(child.owner)
    assert child.budget.reserved_nano == 0
    assert not child.spend(701)
    assert child.spend(500)
    assert unused(store) <= 500


def test_a_store_in_memory_keeps_caps_too() -> None:
    """The same rules where there is only one process."""
    with Store() as store:
        process = Process(store, Clock(), hour=100)
        assert [process.spend(60), process.spend(41), process.spend(40)] == [True, False, True]


def test_without_shared_caps_the_store_is_left_alone() -> None:
    """A closed store is no obstacle: nothing asks it."""
    store = Store()
    process = Process(store, Clock(), own=100)
    store.close()
    reserved = process.budget.reserve(60)
    process.budget.settle(reserved, 10)
    process.budget.tick()
    process.budget.close()
    assert process.budget.left_nano() == 90


# --- many at once ------------------------------------------------------------------------------


def test_two_hundred_at_once_under_a_cap_for_fifty(store: Store) -> None:
    """Exactly fifty get their money; all others are told so at once."""
    process = Process(store, Clock(), day=5000)

    async def one() -> bool:
        try:
            reserved = await process.budget.areserve(100)
        except ModelError:
            return False
        await asyncio.sleep(0.01)
        assert process.send(reserved)
        process.settle(len(process.sent) - 1, 100)
        return True

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one() for _ in range(200)))

    assert sum(asyncio.run(all_of_them())) == 50
    assert total(store) == 5000


def test_cheap_calls_wait_for_each_other(store: Store) -> None:
    """Their worst cases fill the cap twenty times over, their bills do not: all are made, in two processes."""
    processes = [Process(store, Clock(), patience=5.0, day=1000) for _ in range(2)]
    most = [0]

    async def one(process: Process) -> None:
        reserved = await process.budget.areserve(100)
        assert process.send(reserved)
        await asyncio.sleep(0.005)
        most[0] = max(most[0], total(store))
        process.settle(next(n for n, (_, mine) in enumerate(process.sent) if mine is reserved), 4)

    async def work(process: Process) -> None:
        beat = asyncio.create_task(process.budget.beat())
        await asyncio.gather(*(one(process) for _ in range(100)))
        beat.cancel()
        process.budget.close()

    threads = [threading.Thread(target=lambda process=process: asyncio.run(work(process))) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(store) == 800
    assert most[0] <= 1000


def test_a_cancelled_wait_leaves_nothing_behind(store: Store) -> None:
    """Whether it waited for a lease, or for what others give back; and money on its way to it goes back."""
    process = Process(store, Clock(), day=1000)

    async def work() -> None:
        for delay in (0.0, 0.0, 0.0005, 0.001, 0.002, 0.005, 0.01):
            task = asyncio.create_task(process.budget.areserve(600))
            await asyncio.sleep(delay)
            task.cancel()
            made = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(made, Reservation):
                process.budget.settle(made, 0)
        assert process.budget.reserved_nano == 0
        held = await process.budget.areserve(600)
        waits = asyncio.create_task(process.budget.areserve(600))
        await asyncio.sleep(0.02)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        process.budget.settle(held, 0)
        assert process.budget.reserved_nano == 0
        process.budget.settle(await process.budget.areserve(1000), 0)

    asyncio.run(work())


def test_a_live_process_that_goes_idle_gives_room_to_one_that_waits(store: Store) -> None:
    """What it holds comes back with its next ticks, within the patience of the other."""
    idle, other = (Process(store, utc_now, patience=3.0, month=1000) for _ in range(2))
    idle.budget.settle(idle.budget.reserve(900), 0)

    async def work() -> Reservation:
        beat = asyncio.create_task(idle.budget.beat())
        made = await other.budget.areserve(1000)
        beat.cancel()
        return made

    started = time.monotonic()
    assert asyncio.run(work()).nano == 1000
    assert time.monotonic() - started < 3


def test_nobody_waits_for_room_that_nobody_holds(store: Store) -> None:
    """A full cap says so at once, for all the patience."""
    processes = [Process(store, Clock(), patience=30.0, day=1000) for _ in range(2)]
    assert processes[0].spend(1000)
    started = time.monotonic()
    with pytest.raises(ModelError, match="is left"):
        asyncio.run(processes[1].budget.areserve(1))
    assert time.monotonic() - started < 5


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["reserve", "reserve", "send", "send", "settle", "settle", "tick", "kill", "stand"]),
        st.integers(1, 60),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(st.integers(50, 200), STEPS)
def test_no_order_of_events_passes_the_cap(cap: int, steps: list[tuple[int, str, int]]) -> None:
    """Three processes reserve, send, settle, tick, die, and stand still for a minute, in any order."""
    clock = Clock()
    with Store() as store:
        processes = [Process(store, clock, day=cap, hour=cap + 20) for _ in range(3)]
        in_hand: list[list[Reservation]] = [[], [], []]
        for who, what, nano in steps:
            process, mine = processes[who], in_hand[who]
            if what == "reserve":
                try:
                    mine.append(process.budget.reserve(nano))
                except ModelError as error:
                    assert error.kind == "over_budget"
            elif what == "send" and mine:
                process.send(mine.pop(nano % len(mine)))
            elif what == "settle" and process.sent:
                most = process.sent[nano % len(process.sent)][1].nano
                process.settle(nano % len(process.sent), (None, 0, most // 2, most)[nano % 4])
            elif what == "tick":
                clock.move(5)
                process.budget.tick()
            elif what == "kill":
                processes[who], in_hand[who] = Process(store, clock, day=cap, hour=cap + 20), []
            elif what == "stand":
                clock.move(61)
            # what can still be sent counts as sent
            sendable = sum(
                reserved.nano
                for process, mine in zip(processes, in_hand, strict=True)
                for reserved in mine
                if process.shared.is_covered(reserved)
            )
            assert total(store) + sendable <= cap


# --- real processes ----------------------------------------------------------------------------

CHILD = """
import sys, time
from test_caps import Process, Store, utc_now
store = Store(sys.argv[1])
process = Process(store, utc_now, month=1000)
assert process.send(process.budget.reserve(300))
process.budget.reserve(200)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_killed_process_gives_back_what_it_did_not_use(tmp_path: Path) -> None:
    """SIGKILL: what it sent stays reserved for good, the rest is free after a minute."""
    path = tmp_path / "store.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])},
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    ahead = [0.0]
    with Store(path) as store:
        living = Process(store, lambda: datetime.now(UTC) + timedelta(seconds=ahead[0]), month=1000)
        assert not living.spend(700)
        ahead[0] = 62
        assert not living.spend(701)
        assert living.spend(700)
        assert total(store) == 1000


def spend_at_random(path: str, seed: int) -> None:
    """Many calls of one process, settled at what they may cost at most or less; stopped by the cap."""
    chance = random.Random(seed)
    with Store(path) as store:
        process = Process(store, lambda: datetime.now(UTC), month=100_000, patience=2.0)
        while True:
            nano = chance.randint(100, 400)
            try:
                reserved = process.budget.reserve(nano)
            except ModelError:
                break
            process.send(reserved)
            process.settle(0, chance.choice([None, nano, nano // 2]))
        process.budget.close()


def test_processes_together_use_the_cap_and_no_more(tmp_path: Path) -> None:
    """Three of them on one file, each until it is refused."""
    path = tmp_path / "store.db"
    Store(path).close()
    code = "import sys; from test_caps import spend_at_random; spend_at_random(sys.argv[1], int(sys.argv[2]))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])}
    children = [subprocess.Popen([sys.executable, "-c", code, str(path), str(seed)], env=env) for seed in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    with Store(path) as store:
        assert 98_000 <= total(store) <= 100_000
        assert len(store.query("SELECT DISTINCT owner FROM calls")) == 3
        assert store.query("SELECT * FROM leases") == []
