"""`optimize` and its money: caps, kills and what is written, against a vendor in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_cli_optimize import Vendor, change, folder
from wire import Received, Reply, Wire, chat

import llmclf
from llmclf.config import OptimizationFile, files
from llmclf.errors import ConfigError
from llmclf.store import Store

__all__ = ["folder"]
BILL = 100 * 1_000 + 20 * 10_000
"""Nano-dollars of one answer."""
COMMAND = [sys.executable, "-c", "from llmclf.cli import main; main()", "optimize", "shots", "--yes", "--json"]


def spent(folder: Path) -> int:
    """Nano-dollars that the store knows of: billed, or set aside and perhaps billed."""
    with Store(folder / "llmclf.db") as store:
        found = store.spent_nano()
    return found.settled + found.reserved_unsettled


def optimized(folder: Path, max_usd: float | None = None, name: str = "shots") -> Any:
    """The optimization run in this process."""
    with llmclf.Runtime(folder / "llmclf.db", max_usd=max_usd, workspace=folder) as runtime:
        found = llmclf.optimize(name, runtime=runtime)
        assert runtime.budget.reserved_nano == 0
    return found


@pytest.mark.parametrize("requests", [30, 190, 330])
def test_killed_it_goes_on(requests: int, wire: Wire, folder: Path) -> None:
    """Killed in the parent's test, the search or the test, it buys only what the store has not, and ends the same."""
    vendor = Vendor(wire, delay=0.01)
    process = subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(wire.received) < requests and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    time.sleep(0.05)
    with Store(folder / "llmclf.db") as store:
        lost = len(store.query("SELECT call_id FROM calls WHERE state <> 'done'"))
    vendor.delay = 0.0
    found = optimized(folder)
    bodies = [one.body for one in wire.received]
    assert len(bodies) - len(set(bodies)) <= lost
    assert found.verdict == "better" and Path(found.written).is_file()
    assert len(bodies) * BILL <= spent(folder)
    assert found.spend["task"].usd == pytest.approx(spent(folder) / 1e9)


@pytest.mark.parametrize("max_usd", [0.03, 0.08])
def test_both_budgets_and_the_own_cap_hold(max_usd: float, wire: Wire, folder: Path) -> None:
    """With a reflection model, all that is billed is within the runtime's cap and each budget, over several runs."""
    change(folder, '"labeled-few-shot"', '"gepa"')
    path = folder / "configs/optimizations/shots.toml"
    text = path.read_text(encoding="utf-8").replace("[settings]\ncandidates = 1\n", "")
    text = text.replace("task_usd = 5.0", "task_usd = 0.09\nreflection_usd = 0.02")
    path.write_text(f'{text}\n[reflection]\nmodel = "wire/x"\nmax_output_tokens = 200\n', encoding="utf-8")

    def answer(request: Received) -> Reply:
        if "Feedback" in request.body.decode():
            return chat(json.dumps({"instruction": "Look for nobody helps."}))
        return chat("C")

    wire.default = answer
    for _ in range(2):
        found = optimized(folder, max_usd)
        assert found.verdict in ("not better", "not decided")
        assert len(wire.received) * BILL <= spent(folder) <= round(max_usd * 1e9)
        assert found.spend["task"].usd <= 0.09 and found.spend["reflection"].usd <= 0.02
    assert not (folder / "prompts/person/shots.txt").exists()


def test_the_file_says_where_it_comes_from(wire: Wire, folder: Path) -> None:
    """What is written holds ids and hashes, no words, and `store forget` names the prompt that shows an item."""
    from llmclf.workspace.forgetting import forget

    Vendor(wire)
    found = optimized(folder)
    text = Path(found.written).with_suffix(".json").read_text(encoding="utf-8")
    said = json.loads(text)
    assert said["sha256"] == found.prompt.sha256 and said["run_id"] == found.run_id
    assert said["shown"] and len(said["learned_from"]) > len(said["shown"])
    assert "nobody helps" not in text
    shown = said["conversations"][0]
    rows = (folder / "configs/datasets/parcels/c.jsonl").read_text(encoding="utf-8").splitlines()
    words = next(one for one in map(json.loads, rows) if one["id"] == shown)["turns"][0]["text"]
    elsewhere = "SELECT 1 FROM call_texts JOIN calls USING (call_id) WHERE instr(request, ?) AND conversation_id <> ?"
    with Store(folder / "llmclf.db") as store:
        assert store.query(elsewhere, [words, shown])
        assert forget(shown, store, folder).prompts == (found.written,)
        assert not store.query(elsewhere, [words, shown])
    with pytest.raises(ConfigError, match="never written over"):
        optimized(folder)


def test_one_run_at_a_time(wire: Wire, folder: Path) -> None:
    """A second run of the same optimization is refused before anything is sent."""
    import fcntl

    path = folder / "configs/optimizations/shots.toml"
    assert isinstance(files.load("optimization", path), OptimizationFile)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="running already"):
            optimized(folder, 1.0)
    assert not wire.received
