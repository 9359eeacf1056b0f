"""A run that is killed again and again, at moments spread over all it does, and continued each time."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import PROMPT, TASK, WIRE_KEY
from wire import Received, Reply, Wire, chat

from llmclf.store import Store

INPUT_TOKENS, OUTPUT_TOKENS = 100, 20
BILL = INPUT_TOKENS * 1_000 + OUTPUT_TOKENS * 10_000  # nano-dollars
ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})
CAP_USD = 50.0
MODELS = """
version = 1
[models."http/m"]
route = "http"
api_base = "{url}"
model = "wire-model"
key_env = "WIRE_KEY"
json_schema = true
price = {{ input_usd_per_million = 1, output_usd_per_million = 10 }}
"""
CLASSIFIER = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "http/m"\n'
SCRIPT = """
import sys
import llmclf

words = {f"c{number}": f"Where is parcel number {number}?" for number in range(int(sys.argv[1]))}
conversations = [llmclf.Conversation(id, (llmclf.Turn("user", text),)) for id, text in words.items()]
with llmclf.Runtime("store.db", max_usd=float(sys.argv[2]), workspace=".") as runtime:
    llmclf.classify(conversations, llmclf.load_classifier("asks", runtime=runtime))
"""
_ITEM = re.compile(r"parcel number (\d+)\b")


@dataclass
class Vendor:
    """Answers after a while, and counts how often it was asked about each item."""

    wire: Wire
    chance: random.Random
    asked: Counter[int] = field(default_factory=Counter)
    come: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """One for each request that came in."""

    def answer(self, request: Received) -> Reply:
        found = _ITEM.search(request.body.decode())
        assert found is not None
        self.asked[int(found[1])] += 1
        self.come.release()
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 120}
        return chat(ANSWER, usage=usage, delay=self.chance.uniform(0.01, 0.08))


@pytest.fixture
def folder(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a classifier that asks the server, and a script that classifies conversations."""
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)
    files = {
        "llmclf.toml": "version = 1\n",
        "configs/models.toml": MODELS.format(url=wire.url),
        "configs/tasks/refusal.toml": TASK,
        "configs/classifiers/asks.toml": CLASSIFIER,
        "prompts/ask.txt": PROMPT,
        "run.py": SCRIPT,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def classify(folder: Path, items: int) -> subprocess.Popen[bytes]:
    return python(folder, "run.py", str(items), str(CAP_USD))


def spend(folder: Path) -> subprocess.Popen[bytes]:
    return python(folder, "-c", "from llmclf.cli import main; main()", "spend", "--store", "store.db", "--json")


def kill_it(folder: Path, items: int, vendor: Vendor, requests: int, seconds: float) -> None:
    """Begins or continues the run, and kills it so long after so many requests of its own came in."""
    while vendor.come.acquire(blocking=False):
        pass
    process = classify(folder, items)
    for _ in range(requests):
        assert vendor.come.acquire(timeout=30), process.communicate(timeout=5)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    time.sleep(0.1)  # what the server was still answering


def states(folder: Path) -> Counter[str]:
    with Store(folder / "store.db") as store:
        return Counter(row["state"] for row in store.query("SELECT state FROM calls"))


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_and_resumed(folder: Path, wire: Wire, kills: int) -> None:
    """In the end every item is answered exactly once, and every repeated call is known as possibly billed."""
    items = 30 + 20 * kills  # more than the runs can answer before they are killed
    chance = random.Random(kills)
    vendor = Vendor(wire, chance)
    wire.default = vendor.answer
    for _ in range(kills):
        # from before the first answer to the moments at which answers are written, some 50 ms after they came
        kill_it(folder, items, vendor, chance.randint(1, 12), chance.uniform(0, 0.08))
    before = states(folder)
    assert 0 < before["done"] < items, "the kills must hit a run that is half done"

    last = classify(folder, items)
    _, messages = last.communicate(timeout=60)
    assert last.returncode == 0, messages.decode()
    with Store(folder / "store.db") as store:
        rows = store.query("SELECT conversation_id, state, possibly_billed, cost_nano, reserved_nano FROM calls")
        spent = store.spent_nano()
        run_ids = {run["state"]: run["run_id"] for run in store.runs(kind="classify", limit=100)}
        found = store.predictions(run_ids["done"])
    assert sorted(found.column("conversation_id")) == sorted(f"c{number}" for number in range(items))
    assert set(found.column("label")) == {"clean"}
    done = Counter(row["conversation_id"] for row in rows if row["state"] == "done")
    lost = Counter(row["conversation_id"] for row in rows if row["state"] != "done")
    assert done == {f"c{number}": 1 for number in range(items)}
    for number in range(items):
        repeats = vendor.asked[number] - 1
        assert 0 <= repeats <= lost[f"c{number}"], f"call {number} was repeated without a row that explains it"
    assert spent.possibly_billed == lost.total() > 0
    assert spent.settled == items * BILL
    assert spent.reserved_unsettled == sum(row["reserved_nano"] for row in rows if row["state"] != "done")
    assert vendor.asked.total() * BILL <= spent.settled + spent.reserved_unsettled

    shown, _ = spend(folder).communicate(timeout=60)
    (line,) = json.loads(shown)["spend"]
    assert (line["calls"], line["possibly_billed"]) == (items + lost.total(), lost.total())
