"""A judge's prompt optimized from a session's labels, against a vendor whose verdicts depend on the prompt."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from judging_help import BACKED, PROMPT, said
from wire import Received, Reply, Wire, chat

import llmclf
from llmclf.calibration.desk import Desk
from llmclf.calibration.said import Saying
from llmclf.calibration.session import Session, SessionItem
from llmclf.config import files
from llmclf.errors import DataError
from llmclf.judges import load_judge
from llmclf.optimization.judge_objective import agreement_objective
from llmclf.optimization.values import Answered, Instance
from llmclf.stats import Sampling
from llmclf.stats.paired import paired_balanced, paired_cells
from llmclf.store import Store
from llmclf.types import Case
from llmclf.workspace.judge_optimizing import judge_inputs

ROW = """
version = 1
[models."wire/m"]
route = "http"
api_base = "{url}"
model = "m"
key_env = "WIRE_KEY"
[models."wire/m".price]
input_usd_per_million = 1.0
output_usd_per_million = 10.0
"""
SHOTS = """
version = 1
judge = "plain"
session = "S1"
optimizer = "labeled-few-shot"
prompt = "plain_shots"
demonstrations = 3
concurrency = 4
[budget]
task_usd = 5.0
[settings]
candidates = 1
"""
JUDGE = BACKED.replace('"conversation", ', "").replace('prompt = "backed"', 'prompt = "plain"')


class Vendor:
    """Finds what is unbacked only where its prompt shows an example; never where it is not `able`."""

    def __init__(self, wire: Wire, *, able: bool = True) -> None:
        self.able = able
        wire.default = self.answer

    def answer(self, request: Received) -> Reply:
        system, asked = (message["content"] for message in request.json["messages"])
        found = self.able and "</example>" in system and "invented" in asked
        return chat(said("unbacked" if found else "backed"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a judge, a labelled session of 120 cases, and one optimization."""
    texts = {
        "llmclf.toml": "version = 1\n",
        "configs/models.toml": ROW.replace("{url}", wire.url),
        "judges/plain.toml": JUDGE,
        "prompts/plain.txt": PROMPT,
        "configs/optimizations/shots.toml": SHOTS,
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIRE_KEY", "k")
    label(tmp_path)
    return tmp_path


def label(folder: Path, name: str = "S1", n: int = 120) -> None:
    """A session whose cases one person labels; a third is unbacked, a half of all is the test."""
    draw = random.Random(2)
    with llmclf.Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        rubric = load_judge("plain", runtime=runtime).rubric
        items = []
        for place in range(n):
            words = " ".join("".join(draw.choices("abcdeghiklmnoprstu", k=6)) for _ in range(10))
            words += " invented" if place % 3 == 0 else " seen"
            case = Case(f"k{place:03}", shown={"label": "refused", "rationale": words})
            items.append(SessionItem(case, "test" if place % 2 else "align", annotators=("ana",)))
        desk = Desk(runtime.store)
        desk.open(Session(name, "judge", rubric, "random", tuple(items), ("ana",)), {})
        sayings = [
            ("ana", one.case.id, Saying("unbacked" if "invented" in one.case.shown["rationale"] else "backed"))
            for one in items
        ]
        desk.save_all(name, sayings)


def optimized(folder: Path) -> Any:
    with llmclf.Runtime(folder / "llmclf.db", max_usd=5.0, workspace=folder) as runtime:
        return llmclf.optimize("shots", runtime=runtime)


def test_examples_make_the_judge_better_and_are_served_byte_for_byte(wire: Wire, folder: Path) -> None:
    """The gain is tested on the test split, and the written prompt sends what was sent, without dspy too."""
    Vendor(wire)
    found = optimized(folder)
    assert found.verdict == "better", found
    assert found.comparison.gain.value == pytest.approx(0.5)
    assert found.comparison.agreement == (0.5, 1.0)
    assert found.comparison.targets.gains == 20 and found.comparison.targets.p < 1e-4
    assert found.to_dict()["test"]["items"] == 60
    assert "UNCALIBRATED" in " ".join(found.notes) and "used to choose" in " ".join(found.comparison.notes)
    assert Path(found.written).is_file()
    served = JUDGE.replace('prompt = "plain"', 'prompt = "plain_shots"')
    (folder / "judges/served.toml").write_text(served, encoding="utf-8")
    sent = {one.body for one in wire.received}
    code = """
        import sys
        sys.modules["dspy"] = None
        import llmclf
        from llmclf.calibration.desk import Desk
        from llmclf.judges import load_judge
        with llmclf.Runtime("llmclf.db", max_usd=1.0, cache="off", workspace=".") as runtime:
            cases = [one.case for one in Desk(runtime.store).labelled("S1", split="test")]
            load_judge("served", runtime=runtime).judge(cases)
        """
    before = len(wire.received)
    subprocess.run([sys.executable, "-c", dedent(code)], cwd=folder, check=True)
    again = [one.body for one in wire.received[before:]]
    assert len(again) == 60 and set(again) <= sent
    with llmclf.Runtime(folder / "llmclf.db", max_usd=1.0, workspace=folder) as runtime:
        judge = load_judge("served", runtime=runtime)
        known = {one.case.id: one.case for one in Desk(runtime.store).labelled("S1")}
        with pytest.raises(DataError, match="shows it with its verdict"):
            judge.judge([known[sorted(found.prompt.shown)[0]]])
    json.dumps(found.to_dict())
    assert "balanced agreement" in found.comparison._repr_html_()


def test_not_better_keeps_the_prompt(wire: Wire, folder: Path) -> None:
    """Where examples change nothing, no prompt is written."""
    Vendor(wire, able=False)
    found = optimized(folder)
    assert found.verdict == "not better" and found.written is None
    assert not (folder / "prompts/plain_shots.txt").exists()


def test_too_few_labels_are_told_before_anything_is_sent(wire: Wire, folder: Path) -> None:
    """A session with one target in a split says how many are missing."""
    label(folder, "S2", 3)
    path = folder / "configs/optimizations/shots.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"S1"', '"S2"'), encoding="utf-8")
    with Store(folder / "llmclf.db"), llmclf.Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        file = files.load("optimization", path)
        with pytest.raises(DataError, match="1 more needed at least"):
            judge_inputs(file, runtime)
    assert not wire.received


def test_the_mean_score_is_balanced_agreement_by_design_weights() -> None:
    """Its mean loss is 100 less the weighted balanced agreement; `cannot_tell` is wrong on both sides."""
    made = [Instance(f"k{n}", "", "x", n < 2, weight) for n, weight in enumerate((1.0, 3.0, 1.0, 1.0, 2.0))]
    objective = agreement_objective(made)
    answers = [("x", True), ("cannot_tell", False), ("x", False), ("cannot_tell", False), ("x", False)]
    pairs = zip(made, answers, strict=True)
    scores = {one.key: objective.score(one, Answered(word, flag)) for one, (word, flag) in pairs}
    assert all(0 <= score <= 1 for score in scores.values())
    assert objective.mean_loss(scores) == pytest.approx(100 - 100 * (1 / 4 + 3 / 4) / 2)


def test_the_interval_of_the_gain_covers() -> None:
    """Of 200 simulated pairs of judges (150 cases, a third targets, true gain .05) at least .92 of 95 % hold it."""
    chance, held = np.random.default_rng(5), 0
    for seed in range(200):
        target = chance.random(150) < 1 / 3
        hit_a, hit_b = chance.random(150) < np.where(target, 0.7, 0.85), chance.random(150)
        right_b = hit_a & (hit_b < 0.95) | ~hit_a & (hit_b < np.where(target, 0.45, 0.62))
        truth = ((0.7 * 0.95 + 0.3 * 0.45 - 0.7) + (0.85 * 0.95 + 0.15 * 0.62 - 0.85)) / 2
        none = np.zeros(150, bool)
        flags = hit_a == target, right_b == target
        pairs = paired_cells(target, flags, (none, none), Sampling.simple(150), draws=500, seed=seed)
        gain = paired_balanced(pairs)
        assert gain.low is not None and gain.high is not None
        held += gain.low <= truth <= gain.high
    assert held >= 184
