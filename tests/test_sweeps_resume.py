"""Sweeps of a vendor's model, over a real socket: killed, interrupted and out of money, and continued."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sweep_workspace
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of
from wire import Received, Reply, Wire, chat

from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, SweepInterrupted, plan, run

ITEMS = 60
INPUT_USD, OUTPUT_USD = 10e-6, 100e-6


class Vendor:
    """Answers A where a person is refused, C elsewhere, after a while, and keeps the bill."""

    def __init__(self, wire: Wire, delay: float = 0.0) -> None:
        self.wire = wire
        self.delay = delay
        self.billed_usd = 0.0
        wire.default = self.answer

    def answer(self, request: Received) -> Reply:
        usage = {"prompt_tokens": len(request.body) // 4, "completion_tokens": 1, "total_tokens": 0}
        self.billed_usd += usage["prompt_tokens"] * INPUT_USD + usage["completion_tokens"] * OUTPUT_USD
        letter = "A" if b"Let me help you myself" in request.body else "C"
        return chat(letter, usage=usage, delay=self.delay)

    @property
    def asked(self) -> Counter[bytes]:
        """How often each body came in."""
        return Counter(received.body for received in self.wire.received)


@pytest.fixture
def workspace(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    return make_workspace(tmp_path, wire.url)


def execute(folder: Path, budget_usd: float = 5.0) -> Surface:
    """One execution in this process, with a runtime of its own on the workspace's store."""
    file = make_sweep(grid={"model": ["wire/x"]}, budget_usd=budget_usd)
    with Runtime(folder / "llmclf.db", workspace=folder, concurrency=4) as runtime:
        return run(file, make_dataset(), task_of(folder), runtime)


def test_a_killed_sweep_goes_on_without_buying_twice(workspace: Path, wire: Wire) -> None:
    """SIGKILL in the middle: the second execution completes, and repeats no call but those under way."""
    vendor = Vendor(wire, delay=0.15)
    process = subprocess.Popen(
        [sys.executable, sweep_workspace.__file__, str(workspace)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    deadline = time.monotonic() + 120
    while len(wire.received) < ITEMS // 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.3)  # what the server was still answering
    asked_before = vendor.asked
    with sqlite3.connect(workspace / "llmclf.db") as database:
        states = Counter(state for (state,) in database.execute("SELECT state FROM calls"))
    assert 0 < sum(asked_before.values()) < ITEMS
    assert states["done"] > 0

    vendor.delay = 0.0
    surface = execute(workspace)

    assert (surface.cells[0].state, len(surface.cells[0].predictions), surface.stopped) == ("done", ITEMS, "")
    assert surface.cells[0].recall.value == 1.0
    again = {body for body, times in vendor.asked.items() if times > 1}
    assert len(vendor.asked) == ITEMS
    assert max(vendor.asked.values()) <= 2
    assert len(again) <= states["sent"]
    assert sum(vendor.asked.values()) == ITEMS + len(again)


def test_an_interrupt_ends_the_calls(workspace: Path, wire: Wire) -> None:
    """After Ctrl-C no further call is made, though the runtime is open, and the store holds what was answered."""
    vendor = Vendor(wire, delay=0.2)
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def press(cell: str, done: int, total: int, usd: float) -> None:
        if done == 10:
            signal.pthread_kill(main_thread, signal.SIGINT)

    file = make_sweep(grid={"model": ["wire/x"]}, budget_usd=5.0)
    with Runtime(workspace / "llmclf.db", workspace=workspace, concurrency=4) as runtime:
        with pytest.raises(SweepInterrupted) as caught:
            run(file, make_dataset(), task_of(workspace), runtime, progress=press)
        made = len(wire.received)
        time.sleep(0.6)
        assert len(wire.received) == made < ITEMS
        cell = caught.value.surface.cells[0]
        assert cell.state == "incomplete"
        assert 10 <= len(cell.predictions) < ITEMS
        assert len(runtime.store.predictions(caught.value.surface.run_id)) == len(cell.predictions)
    finished = execute(workspace)
    assert finished.cells[0].state == "done"
    assert sum(times - 1 for times in vendor.asked.values()) <= 4


def test_the_cap_is_never_passed(workspace: Path, wire: Wire) -> None:
    """Over executions too the vendor's bill stays under the cap; a higher one completes the sweep."""
    vendor = Vendor(wire)
    first = execute(workspace, budget_usd=0.05)
    assert first.stopped == "budget"
    assert first.cells[0].state == "incomplete"
    assert first.cells[0].failed["over_budget"] > 0
    assert first.cells[0].evaluation is None
    assert "budget" in str(first.to_dict()["stopped"])
    assert 0 < vendor.billed_usd <= 0.05
    with Runtime(workspace / "llmclf.db", workspace=workspace) as runtime:
        assert runtime.store.runs(kind="sweep")[0]["state"] == "stopped"

    execute(workspace, budget_usd=0.05)
    assert vendor.billed_usd <= 0.05

    last = execute(workspace, budget_usd=1.0)
    assert (last.cells[0].state, last.stopped) == ("done", "")
    assert vendor.billed_usd <= 1.0
    assert max(vendor.asked.values()) == 1
    assert last.run_card["spent_usd"] < vendor.billed_usd


def test_the_same_runtime_counts_its_spending_once(workspace: Path, wire: Wire) -> None:
    """A sweep that is run again with the runtime it was begun with is not charged for itself."""
    vendor = Vendor(wire)
    file = make_sweep(grid={"model": ["wire/x"]}, budget_usd=5.0)
    with Runtime(workspace / "llmclf.db", workspace=workspace, max_usd=5.0) as runtime:
        for _ in range(2):
            run(file, make_dataset(), task_of(workspace), runtime)
        assert runtime.budget.spent_nano == round(vendor.billed_usd * 1e9)
        assert runtime.budget.cap_nano == 5_000_000_000
    with Runtime(workspace / "llmclf.db", workspace=workspace, max_usd=5.0) as later:
        run(file, make_dataset(), task_of(workspace), later)
        assert later.budget.spent_nano == round(vendor.billed_usd * 1e9)


def test_the_plan_brackets_the_bill(workspace: Path, wire: Wire) -> None:
    """Before: dollars as a range around the real bill, and which texts leave. After: all is free."""
    vendor = Vendor(wire)
    file = make_sweep(grid={"model": ["wire/x"]}, budget_usd=5.0)
    with Runtime(workspace / "llmclf.db", workspace=workspace) as runtime:
        before = plan(file, make_dataset(), task_of(workspace), runtime)
        assert wire.received == []
        assert before.calls == ITEMS
        assert before.leaving == {wire.url: ITEMS}
        run(file, make_dataset(), task_of(workspace), runtime)
        assert before.usd.low <= vendor.billed_usd <= before.usd.high
        after = plan(file, make_dataset(), task_of(workspace), runtime)
    assert (after.calls, after.cells[0].stored, after.usd.high, after.leaving) == (0, ITEMS, 0, {})
    assert round(after.spent_earlier_usd, 9) == round(vendor.billed_usd, 9)
    json.dumps(after.to_dict())
