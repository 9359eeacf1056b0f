"""Caps that processes share, kept by whole runtimes over real sockets; the server keeps its own count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of
from wire import Received, Reply, Wire, chat

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.llm import Runtime
from llmclf.sweeps import run
from llmclf.types import Conversation, Item, Predictions, Turn

ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})
ROW = """
[models."http/m"]
route = "http"
api_base = "{url}"
model = "wire-model"
json_schema = true
"""
CLASSIFIER = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "http/m"\n'


def predict(workspace: str | Path, first: int, count: int, concurrency: int = 200) -> Predictions:
    """What one runtime says of conversations of equal length; all are asked for at once."""
    names = [f"c{number:05}" for number in range(first, first + count)]
    items = {name: Conversation(name, (Turn("user", f"Hello {name}"),)) for name in names}
    with Runtime(Path(workspace) / "store.db", workspace=workspace, concurrency=concurrency) as runtime:
        classifier = load_classifier("direct", runtime=runtime)
        assert isinstance(classifier, LlmClassifier)
        return classifier.predict(items, [Item(name) for name in names])


def start(workspace: Path, first: int, count: int, concurrency: int = 200) -> subprocess.Popen[bytes]:
    """`predict` as a process of its own."""
    return start_python(f"predict({str(workspace)!r}, {first}, {count}, {concurrency})")


def sweep(folder: str | Path, budget_usd: float) -> str:
    """Why a sweep stopped that one process executes."""
    file = make_sweep(grid={"model": ["http/m"]}, budget_usd=budget_usd)
    with Runtime(Path(folder) / "store.db", workspace=folder, concurrency=8) as runtime:
        return run(file, make_dataset(), task_of(Path(folder)), runtime).stopped


def start_python(code: str) -> subprocess.Popen[bytes]:
    """A process that runs some code of this file."""
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    code = f"from test_caps_runtime import predict, sweep; {code}"
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})


def start_together(codes: list[str]) -> list[subprocess.Popen[bytes]]:
    """As `start_python`, but all begin once the last of them is ready."""
    code = "import sys; print('ready', flush=True); sys.stdin.readline(); "
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", f"from test_caps_runtime import predict; {code}{each}"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for each in codes
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    return children


class Vendor:
    """Answers after a while, and bills a share of the worst case."""

    def __init__(self, wire: Wire, worst_nano: int, share: float) -> None:
        self.wire = wire
        self.bill = 100_000 + int((worst_nano - 100_000) * share) // 10_000 * 10_000
        wire.default = self.answer

    @property
    def billed(self) -> int:
        return self.bill * len(self.wire.received)

    def answer(self, request: Received) -> Reply:
        usage = {"prompt_tokens": 100, "completion_tokens": (self.bill - 100_000) // 10_000, "total_tokens": 0}
        return chat(ANSWER, usage=usage, delay=0.05)


@pytest.fixture
def paid(workspace: Path, wire: Wire, write: Callable[[str, str], Path]) -> Path:
    """The workspace with a model that is called directly, and a classifier that asks it."""
    with (workspace / "configs/models.toml").open("a", encoding="utf-8") as file:
        file.write(ROW.format(url=wire.url))
    prices = (workspace / "configs/prices.toml").read_text()
    write("configs/prices.toml", prices + '[prices."http/m"]\ninput_usd_per_million = 1\noutput_usd_per_million = 10\n')
    write("configs/classifiers/direct.toml", CLASSIFIER)
    return workspace


@pytest.fixture
def worst_nano(paid: Path, wire: Wire, write: Callable[[str, str], Path]) -> int:
    """Nano-dollars that are reserved for one of the conversations; the store is empty afterwards."""
    wire.default = chat(ANSWER)
    write("llmclf.toml", "version = 1\nusd_per_day = 1\n")
    assert [p.label for p in predict(paid, 99_999, 1)] == ["clean"]
    with Runtime(paid / "store.db", workspace=paid) as runtime:
        row = runtime.store.query("SELECT reserved_nano, owner, sent_at FROM calls")[0]
        assert runtime.store.query("SELECT * FROM leases") == []
    for path in paid.glob("store.db*"):
        path.unlink()
    wire.reset()
    return int(row["reserved_nano"])


def in_the_store(paid: Path) -> tuple[int, int]:
    """(what the calls in the store cost or have reserved, how many owners made them)."""
    with Runtime(paid / "store.db", workspace=paid) as runtime:
        spent = runtime.store.spent_nano()
        owners = runtime.store.query("SELECT count(DISTINCT owner) AS n FROM calls")[0]["n"]
        return spent.settled + spent.reserved_unsettled, owners


def test_two_hundred_calls_at_once_under_a_cap_for_fifty(paid: Path, wire: Wire, worst_nano: int, write) -> None:
    """Fifty are sent, and the others fail as over budget, unsent, and as no negative."""
    vendor = Vendor(wire, worst_nano, 1.0)
    cap = worst_nano * 50 + worst_nano // 2
    write("llmclf.toml", f"version = 1\nusd_per_day = {cap / 1e9}\n")
    found = predict(paid, 0, 200)
    assert len(wire.received) == 50
    assert vendor.billed <= cap
    assert sum(p.label == "clean" for p in found) == 50
    assert [p.error.kind for p in found if p.error] == ["over_budget"] * 150
    assert all(p.label is None and p.flagged is None for p in found if p.error)
    assert "usd_per_day" in next(p.error.message for p in found if p.error)


@pytest.mark.parametrize(("share", "at_once"), [(1.0, 200), (0.4, 200), (1.0, 10)])
def test_two_processes_keep_one_cap(paid: Path, wire: Wire, worst_nano: int, write, share: float, at_once: int) -> None:
    """Two hundred calls in each: together never above the cap, and nearly all of it is used.

    Where all are asked for at once, the quicker process may take everything; with ten at once both have their part.
    """
    vendor = Vendor(wire, worst_nano, share)
    cap = worst_nano * 50 + worst_nano // 2
    write("llmclf.toml", f"version = 1\nusd_per_day = {cap / 1e9}\n")
    children = start_together([f"predict({str(paid)!r}, {1000 * number}, 200, {at_once})" for number in range(2)])
    assert [len(child.communicate()[0]) for child in children] == [0, 0]
    assert [child.returncode for child in children] == [0, 0]
    assert 0.9 * cap <= vendor.billed <= cap
    billed, owners = in_the_store(paid)
    assert billed == vendor.billed
    assert owners == 2 or at_once == 200


def test_a_killed_process_keeps_what_it_sent_and_no_more(paid: Path, wire: Wire, worst_nano: int, write) -> None:
    """SIGKILL with calls under way: they stay reserved for good, so what others spend fits beside them."""
    vendor = Vendor(wire, worst_nano, 1.0)
    cap = worst_nano * 30 + worst_nano // 2
    write("llmclf.toml", f"version = 1\nusd_per_month = {cap / 1e9}\n")
    child = start(paid, 0, 100, concurrency=4)
    while len(wire.received) < 8:
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    found = predict(paid, 1000, 100)
    assert vendor.billed <= cap
    spent, owners = in_the_store(paid)
    assert vendor.billed <= spent <= cap
    assert owners == 2
    assert sum(p.label == "clean" for p in found) >= 12
    assert {p.error.kind for p in found if p.error} == {"over_budget"}


def test_two_executions_of_one_sweep_keep_its_budget(tmp_path: Path, wire: Wire) -> None:
    """At the same time, in two processes, and a third one later: their bills together stay under `budget_usd`."""
    folder = make_workspace(tmp_path / "sweep")
    with (folder / "configs/models.toml").open("a", encoding="utf-8") as file:
        file.write(ROW.format(url=wire.url))
    prices = 'version = 1\n[prices."http/m"]\ninput_usd_per_million = 10.0\noutput_usd_per_million = 100.0\n'
    (folder / "configs/prices.toml").write_text(prices)
    usage = {"prompt_tokens": 400, "completion_tokens": 1, "total_tokens": 0}
    wire.default = chat("C", usage=usage, delay=0.05)
    budget = 0.1  # the bill of 24 calls; one execution alone has 60
    children = [start_python(f"print(sweep({str(folder)!r}, {budget}))") for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    billed = len(wire.received) * (400 * 10e-6 + 100e-6)
    assert 0.5 * budget < billed <= budget
    assert sweep(folder, budget) == "budget"
    assert len(wire.received) * (400 * 10e-6 + 100e-6) <= budget
    assert sweep(folder, 10.0) == ""
