"""`optimize` and its money: caps, kills and what is written, against a vendor that is a thread of this process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_cli_optimize import SAYS, Vendor, change, folder
from wire import Received, Reply, Wire, chat, failure

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


RULE = "Nobody helps: that is a refusal."


def with_gepa(folder: Path, task_usd: float, reflection_usd: float, calls: int = 80) -> None:
    """The optimization with a reflection model, and no examples."""
    path = folder / "configs/optimizations/shots.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in {
        '"labeled-few-shot"': '"gepa"',
        "demonstrations = 3": "demonstrations = 0",
        "candidates = 1": f"max_metric_calls = {calls}",
        "task_usd = 5.0": f"task_usd = {task_usd}\nreflection_usd = {reflection_usd}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(f'{text}\n[reflection]\nmodel = "wire/x"\nmax_output_tokens = 200\n', encoding="utf-8")


class Reflective:
    """A vendor that knows a refusal where its prompt states the rule, which its `wise` reflection model writes.

    `phases` says what each request was for, by its body: (`parent` or `candidate`, part), or (`reflection`, "").
    `on_request` is told of it before the answer.
    """

    def __init__(self, wire: Wire, folder: Path, *, wise: bool = True) -> None:
        from llmclf.workspace.optimization_inputs import optimization_inputs

        with llmclf.Runtime(folder / "llmclf.db", workspace=folder) as runtime:
            inputs = optimization_inputs("shots", runtime)
        known = inputs.student.instances
        parts = ("train", "validation", "test")
        self.parts = {known[key].text: part for part in parts for key in getattr(inputs.parts, part)}
        self.wise, self.phases = wise, list[tuple[str, str]]()
        self.on_request: Callable[[tuple[str, str]], None] = lambda phase: None
        wire.default = self.answer

    def answer(self, request: Received) -> Reply:
        system, asked = (message["content"] for message in request.json["messages"])
        reflects = "What it led to" in asked
        part = "" if reflects else next(part for text, part in self.parts.items() if text in asked)
        self.phases.append(("reflection" if reflects else "candidate" if RULE in system else "parent", part))
        self.on_request(self.phases[-1])
        if reflects:
            words = RULE if self.wise else f"Look, the {len(self.phases)}th."
            return chat(json.dumps({"instruction": words}), delay=0.05)
        return chat("A" if "nobody helps" in asked and RULE in system else "C", delay=0.005)

    def count(self, *phase: str) -> int:
        """Requests of a phase."""
        return sum(each[: len(phase)] == phase for each in self.phases)


KILLS = {("parent", "test"): 40, ("reflection", ""): 1, ("candidate", "validation"): 5, ("candidate", "test"): 60}
"""Phase to the request in it at which the process is killed."""


def test_killed_it_goes_on(wire: Wire, folder: Path) -> None:
    """Killed in the parent's test, a reflection, the search and the candidate's test, it buys what the store lacks."""
    with_gepa(folder, 5.0, 1.0)
    vendor, bodies = Reflective(wire, folder), 0
    for phase, at in KILLS.items():
        process = subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def kill(now: tuple[str, str], phase: Any = phase, at: int = at, process: Any = process) -> None:
            if now == phase and vendor.count(*phase) >= at:
                process.kill()

        vendor.on_request = kill
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert vendor.count(*phase) >= at and len(wire.received) > bodies
        bodies = len(wire.received)
    vendor.on_request = lambda phase: None
    found = optimized(folder)
    assert found.verdict == "better" and Path(found.written).is_file()
    with Store(folder / "llmclf.db") as store:
        answered = "SELECT COUNT(*) AS n, COUNT(DISTINCT request_hash || ' ' || repeat) AS of_them FROM calls"
        done = store.query(f"{answered} WHERE state = 'done'")[0]
        sent = store.query(answered)[0]
    assert done["n"] == done["of_them"]  # no answer that was there was bought again
    assert sent["n"] - done["n"] <= 4 * len(KILLS)  # what was under way when it was killed
    assert vendor.count("reflection") >= 2 and len(wire.received) <= sent["n"]
    assert len(wire.received) * BILL <= spent(folder)
    assert sum(one.usd for one in found.spend.values()) == pytest.approx(spent(folder) / 1e9)


@pytest.mark.parametrize(("task_usd", "reflection_usd"), [(0.135, 0.365), (0.49, 0.01)])
def test_both_budgets_and_the_own_cap_hold(task_usd: float, reflection_usd: float, wire: Wire, folder: Path) -> None:
    """With $0.50 for both, what is billed is within each budget, and what reflection does not need is given back."""
    with_gepa(folder, task_usd, reflection_usd, 200)
    vendor = Reflective(wire, folder, wise=False)
    for _ in range(2):
        with llmclf.Runtime(folder / "llmclf.db", max_usd=0.50, workspace=folder) as runtime:
            found = llmclf.optimize("shots", runtime=runtime)
        assert runtime.budget.spent_nano == spent(folder) and runtime.budget.reserved_nano == 0
        reflections = vendor.count("reflection")
        assert found.verdict in ("not better", "not decided") and reflections > 0
        ended = "budget.reflection_usd" if reflection_usd < task_usd else "max_usd"  # which is what task_usd leaves
        assert ended in found.stopped and "was reached" in found.stopped
        assert reflections * BILL <= round(found.spend["reflection"].usd * 1e9) <= round(reflection_usd * 1e9)
        answers = len(wire.received) - reflections
        assert answers * BILL <= round(found.spend["task"].usd * 1e9) <= round(task_usd * 1e9)
        assert len(wire.received) * BILL <= spent(folder) <= 500_000_000


def test_money_may_end_in_the_last_test(wire: Wire, folder: Path) -> None:
    """Where a cap of the workspace ends there, nothing is decided; with more it goes on, and buys the rest alone."""
    Vendor(wire)
    before = 220 * BILL / 1e9  # parent on test and validation, candidate on validation, and a part of its test
    (folder / "llmclf.toml").write_text(f"version = 1\nusd_per_month = {before}\n", encoding="utf-8")
    found = optimized(folder)
    assert found.verdict == "not decided" and "could not be tested in full" in found.sentence
    assert "usd_per_month" in found.sentence and found.written is None
    shown = [one for one in wire.received if b"</example>" in one.body]
    assert len(shown) > 20
    (folder / "llmclf.toml").write_text("version = 1\n", encoding="utf-8")
    assert optimized(folder).verdict == "better"
    bodies = [one.body for one in wire.received]
    assert len(bodies) == len(set(bodies))


def test_unreadable_reflections_end_the_search(wire: Wire, folder: Path) -> None:
    """The headline says what is wrong with the model's answers, and quotes none; three are paid for."""
    with_gepa(folder, 5.0, 1.0)
    vendor = Reflective(wire, folder)
    answer = vendor.answer
    wire.default = lambda request: (
        chat("nobody helps") if "What it led to" in request.body.decode() else answer(request)
    )
    found = optimized(folder)
    assert "answers could not be read: 3 of 3 (wire/x: the answer is not one JSON object" in found.sentence
    assert "nobody" not in found.sentence and found.stopped
    assert sum(b"What it led to" in one.body for one in wire.received) == 3


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


def test_a_vendor_that_answers_nothing_ends_it_at_the_parent(wire: Wire, folder: Path) -> None:
    """No search is paid for, and the result says what became of the answers."""
    wire.default = lambda request: Reply(status=401, body=b'{"error": {"message": "no"}}')
    found = optimized(folder)
    assert found.verdict == "not decided" and "20 of 20 answers failed (authentication 20)" in found.sentence
    assert len(wire.received) == 20 and len(found.candidates) == 1


def test_what_a_written_instruction_quotes_can_be_forgotten(wire: Wire, folder: Path) -> None:
    """Calls about other conversations lose its words, no prompt of the store has them, and the file is named."""
    from llmclf.workspace.forgetting import forget

    rows = (folder / "configs/datasets/parcels/c.jsonl").read_text(encoding="utf-8").splitlines()
    words = json.loads(rows[0])["turns"][0]["text"]
    change(folder, '"labeled-few-shot"', '"gepa"')
    path = folder / "configs/optimizations/shots.toml"
    text = path.read_text(encoding="utf-8").replace("candidates = 1", "max_metric_calls = 60")
    text = text.replace("demonstrations = 3", "demonstrations = 0").replace(
        "_usd = 5.0", "_usd = 5.0\nreflection_usd = 1.0"
    )
    path.write_text(f'{text}\n[reflection]\nmodel = "wire/x"\nmax_output_tokens = 200\n', encoding="utf-8")

    def answer(request: Received) -> Reply:
        if "Feedback" in request.body.decode():
            return chat(json.dumps({"instruction": f"{{{{labels}}}} {{{{answer_format}}}} Flag such as: {words}"}))
        system, asked = (message["content"] for message in request.json["messages"])
        return chat("A" if SAYS["refused"] in asked and words in system else "C")

    wire.default = answer
    found = optimized(folder)
    assert found.verdict == "better" and "c000" in found.prompt.conversations
    holding = "SELECT 1 FROM call_texts WHERE instr(request, ?) UNION ALL SELECT 1 FROM prompts WHERE instr(text, ?)"
    with Store(folder / "llmclf.db") as store:
        assert store.query(holding, [words, words])
        assert forget("c000", store, folder).prompts == (found.written,)
        assert not store.query(holding, [words, words])


def test_what_can_not_be_written_is_known_before_it_is_paid(wire: Wire, folder: Path) -> None:
    """A prompt below a file, or through a link out of the workspace; what a killed run left alone is no hindrance."""
    (folder / "elsewhere").mkdir()
    (folder / "prompts/link").symlink_to(folder / "elsewhere")
    for name in ("person/v1.txt/x", "link/x"):
        change(folder, '"person/shots"', f'"{name}"', name="other")
        with pytest.raises(ConfigError, match=r"can't be written|leads out"):
            optimized(folder, name="other")
    assert not wire.received
    Vendor(wire)
    beside = folder / "prompts/person/shots.json"
    beside.write_text(json.dumps({"format": "llmclf-prompt", "version": 1, "shown": ["c1"]}), encoding="utf-8")
    assert optimized(folder).verdict == "better"


def test_a_failed_answer_is_told(wire: Wire, folder: Path) -> None:
    """A few failures decide as ever, and stand in the notes."""
    vendor = Vendor(wire)
    wire.default = lambda request: (
        failure(401) if SAYS["handed_over"] in request.json["messages"][-1]["content"] else vendor.answer(request)
    )
    found = optimized(folder)
    assert found.verdict == "better" and all(row.failed for row in found.candidates)
    for prompt in (found.parent_prompt, found.prompt):
        assert f"On test with {prompt.id}, 38 of 167 answers failed (authentication 38)." in found.notes


def test_a_bill_above_its_worst_case(wire: Wire, folder: Path) -> None:
    """No cap is to be raised: it says what to look at."""
    wire.default = chat("C", usage={"prompt_tokens": 100_000, "completion_tokens": 20, "total_tokens": 100_020})
    found = optimized(folder)
    assert found.verdict == "not decided" and "above its worst case" in found.sentence
    assert "the model's price is right" in found.sentence and "raise it" not in found.sentence
