"""How long and how large: an evaluation of a million predictions, and the report of a large sweep.

Made-up answers about conversations (each an item) and about turns (five of a conversation on average, which share
chance), drawn in three strata by score; 1 % targets; every answer has a score, a probability and a time. Each
evaluation runs in a process of its own, which holds dataset and columns before the clock starts: timed are
`Predictions.from_columns` and `evaluate`; peak memory is of the whole process, dataset included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import report_speed
from common import Goal, finish, options

from llmclf.evaluation import evaluate
from llmclf.types import Costs, Dataset, Design, Example, Label, Predictions, Stratum, Task

ITEMS, QUICK_ITEMS = 1_000_000, 20_000
SEED = 7
LABELS = (Label("refused", "target", "A person was asked for and not given."), Label("clean", "clean", "Nothing."))
STRATA = (("high", 0.5, 1), ("middle", 0.05, 3), ("low", 0.0, 20))
"""Name, least score, and how many items of the population one labelled item stands for."""
SECONDS, GIGABYTES, REPORT_SECONDS = 10.0, 2.0, 20.0


def made(items: int, turns: float, seed: int) -> tuple[Dataset, Task, dict[str, list[Any]]]:
    """(dataset, task, columns of predictions); with `turns` above 1 items are turns of as long conversations."""
    rng = np.random.default_rng(seed)
    conversation = np.arange(items)
    turn: list[int | None] = [None] * items
    if turns > 1:
        lengths = rng.poisson(turns - 1, items) + 1
        conversation = np.repeat(np.arange(items), lengths)[:items]
        starts = np.cumsum(lengths) - lengths
        turn = (np.arange(items) - starts[conversation]).tolist()
    target = rng.random(items) < 0.01
    shared = rng.normal(size=int(conversation.max()) + 1)[conversation]
    logit = -5 + 5 * target + 0.6 * shared + 0.8 * rng.normal(size=items)
    score = 1 / (1 + np.exp(-logit))
    place = np.searchsorted([-least for _, least, _ in STRATA], -score)
    names = [name for name, _, _ in STRATA]
    ids = [f"conversation-{number}" for number in conversation.tolist()]
    examples = tuple(
        Example(id, at, {"refusal": "refused" if is_target else "clean"}, stratum=names[stratum])
        for id, at, is_target, stratum in zip(ids, turn, target.tolist(), place.tolist(), strict=True)
    )
    drawn = np.bincount(place, minlength=len(STRATA)).tolist()
    strata = tuple(Stratum(name, size * n, n) for (name, _, size), n in zip(STRATA, drawn, strict=True))
    values = score.tolist()
    columns: dict[str, list[Any]] = {
        "conversation_id": [f"conversation-{number}" for number in conversation.tolist()],
        "turn": list(turn),
        "classifier_id": ["made@1"] * items,
        "task": ["refusal"] * items,
        "label": ["refused" if value > 0.5 else "clean" for value in values],
        "flagged": [value > 0.5 for value in values],
        "score": values,
        "probabilities": [{"refused": value, "clean": 1 - value} for value in values],
        "latency_seconds": rng.gamma(2, 1, items).tolist(),
        "cost_nano_usd": rng.integers(100_000, 400_000, items).tolist(),
    }
    task = Task("refusal", "Was a person refused?", LABELS, unit="turn" if turns > 1 else "conversation")
    return Dataset("made", {}, examples, Design("stratified", strata)), task, columns


def measure(items: int, turns: float) -> dict[str, Any]:
    """Seconds and peak gigabytes of one evaluation, in this process."""
    dataset, task, columns = made(items, turns, SEED)
    before = _peak_gb()
    start, start_cpu = time.perf_counter(), time.process_time()
    predictions = Predictions.from_columns(columns)
    got = evaluate(predictions, dataset, task, costs=Costs())
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    return {
        "items": items,
        "groups": got.n_groups,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_gb": round(_peak_gb(), 3),
        "peak_gb_before": round(before, 3),
        "recall": [got.recall.low, got.recall.value, got.recall.high],
        "calibration_slope": [got.calibration_slope.low, got.calibration_slope.value, got.calibration_slope.high],
    }


def _peak_gb() -> float:
    """Peak resident memory of this process, in units of 1e9 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def measured_apart(items: int, turns: float) -> dict[str, Any]:
    """`measure` in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), "--one", str(items), str(turns)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Both evaluations and the report; their figures and goals."""
    chosen = options(__doc__)
    items = QUICK_ITEMS if chosen.quick else ITEMS
    figures: dict[str, Any] = {
        "conversations": measured_apart(items, 1),
        "turns of dialogues": measured_apart(items, 5),
    }
    goals = []
    for name, figure in figures.items():
        seconds, peak = figure["seconds"], figure["peak_gb"]
        goals.append(Goal(f"seconds, {name}", f"<= {SECONDS:g}", seconds, seconds <= SECONDS))
        goals.append(Goal(f"peak GB, {name}", f"<= {GIGABYTES:g}", peak, peak <= GIGABYTES))
    figures["report"] = report_speed.seconds(chosen.quick)
    written = figures["report"]["report_seconds"]
    goals.append(Goal("seconds, report", f"<= {REPORT_SECONDS:g}", written, written <= REPORT_SECONDS))
    finish(figures, goals, chosen)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]), float(sys.argv[3]))))
    else:
        main()
