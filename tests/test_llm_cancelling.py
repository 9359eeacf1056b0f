"""Calls that nobody waits for any more, attempts that were lost, a fork, a close: nothing is left open by them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking_http import ENDS, lock, locked, question, until, workspace_of, worst_nano
from test_llm_runtime import environment
from wire import Received, Reply, Wire, chat, failure

from llmclf.errors import LlmclfError, ModelError
from llmclf.llm import Request, Runtime
from llmclf.llm.budget import Budget

LOST = Reply(body=b'{"choices": []}', reset_after=4)


@pytest.fixture
def folder(tmp_path: Path, wire: Wire) -> Path:
    return workspace_of(tmp_path, wire)


@pytest.fixture
def runtime(folder: Path) -> Iterator[Runtime]:
    with Runtime(folder / "store.db", workspace=folder, max_usd=50) as made:
        yield made


def cancel(runtime: Runtime, request: Request, when: Callable[[], object], more: float = 0.0) -> None:
    """Asks, and cancels `more` seconds after something is seen."""

    async def go() -> None:
        task = asyncio.create_task(runtime.arespond(request))
        await until(when)
        await asyncio.sleep(more)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())


def ends(runtime: Runtime) -> list[dict[str, Any]]:
    """How all calls ended, once they have."""
    asyncio.run(until(lambda: not runtime.store.query("SELECT 1 FROM calls WHERE state = 'sent'")))
    assert not runtime.store._session.pending._calls
    return runtime.store.query(ENDS)


def cancelled(cost_nano: int | None, attempts: int) -> dict[str, Any]:
    return {
        "state": "failed",
        "error_kind": "cancelled",
        "cost_nano": cost_nano,
        "possibly_billed": int(cost_nano is None),
        "attempts": attempts,
    }


# --- cancelled ------------------------------------------------------------------------------


def test_a_call_that_is_cancelled_under_way_keeps_its_reservation(wire, runtime) -> None:
    """Its row ends as failed, possibly billed and at an unknown cost; what was reserved stays, once."""
    wire.default = chat("late", delay=10)
    cancel(runtime, question(), lambda: wire.received)
    assert ends(runtime) == [cancelled(None, 1)]
    spent = runtime.store.spent_nano()
    worst = worst_nano(runtime, question())
    assert (spent.reserved_unsettled, runtime.budget.reserved_nano, runtime.budget.spent_nano) == (worst, worst, 0)


def test_a_call_that_is_cancelled_unsent_costs_nothing(wire, folder, runtime) -> None:
    """While its row was being written nothing had gone out: the row ends at cost 0, and all money is back."""
    with locked(folder / "store.db"):
        cancel(runtime, question(), lambda: runtime.budget.reserved_nano, 0.1)
        time.sleep(0.2)
    runtime.store.flush()
    assert ends(runtime) == [cancelled(0, 0)]
    assert runtime.budget.reserved_nano == 0
    assert not wire.received


def test_a_call_that_is_cancelled_between_attempts_costs_nothing(wire, runtime) -> None:
    """The vendor refused the first one unpaid, and the second was not sent."""
    wire.default = failure(429, headers={"retry-after": "30"})
    cancel(runtime, question(), lambda: wire.received, 0.3)
    assert ends(runtime) == [cancelled(0, 1)]
    assert runtime.budget.reserved_nano == 0


# --- lost attempts --------------------------------------------------------------------------


class LostOnce:
    """Loses the first request on the wire, and from then on keeps the store from being written until `release`."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.is_held = threading.Event()

    def __call__(self, received: Received) -> Reply:
        if not self.is_held.is_set():
            self._connection = lock(self._store)
            self.is_held.set()
        return LOST

    def release(self) -> None:
        self._connection.rollback()
        self._connection.close()


def test_a_lost_attempt_counts_once_where_its_retry_is_too_late(wire, folder, runtime) -> None:
    """Its own row keeps its worst case; the row of the call, whose retry was never sent, costs nothing."""
    wire.default = lost = LostOnce(folder / "store.db")

    def release() -> None:
        lost.is_held.wait()
        time.sleep(1.5)
        lost.release()

    threading.Thread(target=release).start()
    with pytest.raises(ModelError) as caught:
        asyncio.run(runtime.arespond(question(timeout=1.0)))
    assert caught.value.possibly_billed
    assert len(wire.received) == 1
    rows = ends(runtime)
    assert [(row["cost_nano"], row["possibly_billed"]) for row in rows] == [(0, 0), (None, 1)]
    worst = worst_nano(runtime, question())
    assert runtime.store.spent_nano().reserved_unsettled == runtime.budget.reserved_nano == worst


def test_a_lost_attempt_counts_once_where_its_retry_is_cancelled(wire, folder, runtime) -> None:
    """Also while its own row was being written; both rows end."""
    wire.default = lost = LostOnce(folder / "store.db")
    worst = worst_nano(runtime, question())
    try:
        cancel(runtime, question(), lambda: runtime.budget.reserved_nano == 2 * worst)
        time.sleep(0.2)
    finally:
        lost.release()
    runtime.store.flush()
    rows = ends(runtime)
    assert [(row["cost_nano"], row["possibly_billed"]) for row in rows] == [(0, 0), (None, 1)]
    assert rows[0]["error_kind"] == "cancelled"
    assert len(wire.received) == 1
    assert runtime.store.spent_nano().reserved_unsettled == runtime.budget.reserved_nano == worst


def test_a_lost_attempt_counts_once_where_there_is_no_money_to_try_again(wire, folder) -> None:
    """Under a cap for one worst case the retry is not sent, and the call keeps its reservation."""
    wire.default = LOST
    with Runtime(folder / "store.db", workspace=folder, max_usd=3) as runtime:
        with pytest.raises(ModelError) as caught:
            asyncio.run(runtime.arespond(question()))
        rows = ends(runtime)
        worst = worst_nano(runtime, question())
        assert runtime.store.spent_nano().reserved_unsettled == runtime.budget.reserved_nano == worst
    assert (caught.value.kind, caught.value.possibly_billed) == ("connection", True)
    assert [(row["cost_nano"], row["possibly_billed"]) for row in rows] == [(None, 1)]
    assert len(wire.received) == 1


# --- a fork ---------------------------------------------------------------------------------


def test_a_child_waits_for_no_call_of_its_parent() -> None:
    """What the parent had under way is gone for the child: a call that does not fit beside it is refused at once."""
    budget = Budget(100)
    budget.reserve(60)
    budget.begin_anew("the child")
    with pytest.raises(ModelError) as caught:
        asyncio.run(asyncio.wait_for(budget.areserve(60), 5))
    assert caught.value.kind == "over_budget"
    asyncio.run(asyncio.wait_for(budget.areserve(40), 5))


FORK = """
import os, signal, sys, threading, time
from pathlib import Path
from asking_http import question
from llmclf.errors import ModelError
from llmclf.llm import Runtime

folder = Path(sys.argv[1])
runtime = Runtime(folder / "store.db", workspace=folder, max_usd=3)
ask = lambda text: runtime.run(runtime.arespond(question(text)))
under_way = threading.Thread(target=ask, args=("of the parent",))
under_way.start()
while not runtime.store.query("SELECT 1 FROM calls"):
    time.sleep(0.01)
child = os.fork()
if child == 0:
    signal.alarm(10)  # ends it where it hangs
    try:
        ask("of the child")
    except ModelError as error:
        os._exit(7 if error.kind == "over_budget" else 8)
    os._exit(0)
_, status = os.waitpid(child, 0)
under_way.join()
runtime.close()
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


def test_a_child_that_is_forked_with_a_call_under_way_ends(wire, folder) -> None:
    """Its own call is answered or refused while its parent still waits, and never waits for its parent's bill."""
    wire.default = chat("late", delay=1.0)
    path = f"{environment()['PYTHONPATH']}:{Path(__file__).parent}"
    run = subprocess.run(
        [sys.executable, "-c", FORK, str(folder)], env={**environment(), "PYTHONPATH": path}, timeout=60, check=False
    )
    assert run.returncode == 7


# --- closing --------------------------------------------------------------------------------


@pytest.mark.parametrize("closes_first", [False, True])
def test_closing_while_a_call_is_handed_over_ends_it(wire, folder, monkeypatch, closes_first: bool) -> None:
    """Whoever is first, the caller gets an error at once, also where a connection takes its time to close."""
    wire.default = chat("late", delay=10)
    runtime = Runtime(folder / "store.db", workspace=folder, max_usd=50)
    route = runtime.route("http/m")
    aclose = route.aclose
    runtime.run(asyncio.sleep(0))
    ended: list[BaseException] = []

    async def slow() -> None:
        await asyncio.sleep(0.5)
        await aclose()

    def call() -> None:
        try:
            runtime.run(runtime.arespond(question()))
        except BaseException as error:
            ended.append(error)

    monkeypatch.setattr(route, "aclose", slow)
    threads = [threading.Thread(target=work, daemon=True) for work in (call, runtime.close)]
    with runtime._lock:  # as while another thread makes a route
        for thread in reversed(threads) if closes_first else threads:
            thread.start()
            time.sleep(0.1)
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert [type(error) for error in ended] == [LlmclfError]
    assert "closed" in str(ended[0])


def test_closing_from_the_runtimes_own_thread_is_refused(wire, folder) -> None:
    """It would wait for itself for ever; it gets an error, and the runtime goes on."""
    wire.default = chat("fine")
    runtime = Runtime(folder / "store.db", workspace=folder, max_usd=50)
    ended: list[BaseException] = []

    async def close() -> None:
        runtime.close()

    def work() -> None:
        try:
            runtime.run(close())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert [type(error) for error in ended] == [LlmclfError]
    assert "own thread" in str(ended[0])
    assert runtime.run(runtime.arespond(question())).answer.text == "fine"
    runtime.close()
