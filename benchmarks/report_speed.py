"""How long the report of a large sweep takes to write, and how large the file is; part of evaluate_speed.py.

Made-up answers of 500 cells about the same 2,000 conversations (6 to 14 turns of some 15 words; 100 targets in
three failure modes, 300 adjacent, 1,600 clean). Every cell has scores, quotes and a reason for what it flags, and
some 5 % wrong verdicts, which differ from cell to cell around items that are hard for all; some fail. Evaluation
of the cells is timed apart: `write_report` has to do all the rest, the front's chances and what prices tip among it.
"""

from __future__ import annotations

import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Goal, finish, options

from llmclf.config import LimitsTable, LlmFile, SweepFile
from llmclf.sweeps import Cell, MeasuredCell, Surface, write_report
from llmclf.sweeps.measured import measure_cell
from llmclf.types import (
    Conversation,
    Dataset,
    Design,
    ErrorInfo,
    Evidence,
    Example,
    FailureMode,
    Label,
    Predictions,
    Task,
    Turn,
    Usage,
    dataset_of,
)

CELLS, ITEMS = 500, 2000
QUICK_CELLS, QUICK_ITEMS = 20, 400
WORDS = (
    "I ordered this two weeks ago and the parcel has not arrived yet could you please tell me where it is now thank "
    "you for waiting our team is looking into your request an agent will be with you soon the invoice shows another "
    "amount than the one we agreed on last month"
).split()
MODES = ("flat_refusal", "endless_loop", "ignored_request")
TASK = Task(
    "refusal",
    "Did the customer ask for a person and get none?",
    (
        Label("refused", "target", "A person was asked for and not given."),
        Label("handed_over", "adjacent", "A person was asked for and came."),
        Label("clean", "clean", "Nobody asked."),
    ),
    failure_modes=tuple(FailureMode(mode, mode) for mode in MODES),
)
SWEEP = SweepFile.model_validate(
    {
        "version": 1,
        "dataset": "made_up",
        "classifier": "asked",
        "grid": {"model": ("made-up/0",)},
        "costs": {"missed_usd": 40.0, "prevalence": 0.005, "conversations_per_month": 400_000},
    }
)
Floats = npt.NDArray[np.float64]


def made_dataset(items: int, rng: np.random.Generator) -> Dataset:
    """Conversations of made-up words; one in twenty is a target, three are adjacent."""
    conversations, examples = [], []
    for number in range(items):
        label = {0: "refused", 1: "handed_over", 2: "handed_over", 3: "handed_over"}.get(number % 20, "clean")
        turns = tuple(
            Turn("bot" if turn % 2 else "user", " ".join(rng.choice(WORDS, int(rng.integers(5, 26)))))
            for turn in range(int(rng.integers(6, 15)))
        )
        conversations.append(Conversation(f"conversation-{number:05}", turns))
        modes = (MODES[number // 20 % 3],) if label == "refused" else ()
        example = Example(f"conversation-{number:05}", labels={TASK.name: label}, failure_modes=modes)
        examples.append(example)
    return dataset_of("made_up", conversations, examples, Design("random"))


def made_predictions(dataset: Dataset, number: int, hardness: Floats, rng: np.random.Generator) -> Predictions:
    """Answers that are wrong more often where an item is hard; half a percent fail."""
    target = np.array([label == TASK.target for label in dataset.labels(TASK.name)])
    finds, spares = 1.0 + 2.0 * rng.random(), 2.6 + 1.4 * rng.random()
    logit = np.where(target, finds - hardness, hardness - spares)
    score = 1 / (1 + np.exp(-logit - 0.5 * rng.normal(size=len(target))))
    failed, flagged = rng.random(len(target)) < 0.005, score >= 0.5
    reason = "The customer asked for a person in so many words and the bot answered with its help pages instead."
    quotes = [
        (Evidence(" ".join(dataset.conversations[example.conversation_id].turns[2].text.split()[:5]), 2),)
        for example in dataset.examples
    ]
    return Predictions.from_columns(
        {
            "conversation_id": [example.conversation_id for example in dataset.examples],
            "classifier_id": [f"cell-{number}@1"] * len(dataset),
            "task": [TASK.name] * len(dataset),
            "label": [None if f else TASK.target if y else "clean" for f, y in zip(failed, flagged, strict=True)],
            "flagged": [None if f else bool(y) for f, y in zip(failed, flagged, strict=True)],
            "score": [None if f else float(s) for f, s in zip(failed, score, strict=True)],
            "probabilities": [None if f else {TASK.target: float(s)} for f, s in zip(failed, score, strict=True)],
            "probabilities_at": [0.05] * len(dataset),
            "threshold": [0.5] * len(dataset),
            "evidence": [q if y and not f else () for q, y, f in zip(quotes, flagged, failed, strict=True)],
            "rationale": [reason if y and not f else "" for y, f in zip(flagged, failed, strict=True)],
            "error": [ErrorInfo("unparsable", "the answer is not JSON") if f else None for f in failed],
            "usage": [Usage(1200, 900, 150, 100)] * len(dataset),
            "cost_nano_usd": [int(400_000 * (1 + number % 25))] * len(dataset),
            "latency_seconds": list(rng.lognormal(0.2 * (number % 20) / 10, 0.4, len(dataset))),
            "call_id": [f"call-{number}-{row}" for row in range(len(dataset))],
            "calls": [1] * len(dataset),
        }
    )


def made_cell(number: int, dataset: Dataset, hardness: Floats) -> MeasuredCell:
    """One cell, evaluated as a sweep does it."""
    models, thinking = [f"vendor/model-{part}" for part in range(25)], ("off", "low", "medium", "high", "16384")
    model, effort, prompt = list(product(models, thinking, ("refusal/v1", "refusal/v2", "refusal/v3", "refusal/v4")))[
        number
    ]
    settings = {"classifier": "asked", "kind": "llm", "model": model, "thinking": effort, "prompt": prompt}
    file = LlmFile.model_validate({"version": 1, "kind": "llm", "task": TASK.name, "model": model, "prompt": prompt})
    label = f"{model} · thinking {effort} · {prompt}"
    cell = Cell(f"id-{number}", label, "asked", settings, file, False)
    predictions = made_predictions(dataset, number, hardness, np.random.default_rng([7, number]))
    return measure_cell(cell, predictions, dataset, TASK, SWEEP, reused=False)


def made_surface(cells: int, items: int) -> Surface:
    """The surface of so many cells about so many conversations."""
    rng = np.random.default_rng(7)
    dataset, hardness = made_dataset(items, rng), rng.standard_exponential(items)
    return Surface(
        cells=tuple(made_cell(number, dataset, hardness) for number in range(cells)),
        skipped=(),
        run_id="made-up",
        inputs_hash="",
        costs=SWEEP.as_costs,
        limits=LimitsTable(),
        task=TASK,
        dataset=dataset,
    )


def seconds(quick: bool) -> dict[str, Any]:
    """Seconds of `write_report` and of the evaluation before it, the size of the file, and of what."""
    cells, items = (QUICK_CELLS, QUICK_ITEMS) if quick else (CELLS, ITEMS)
    started = time.perf_counter()
    surface = made_surface(cells, items)
    evaluated, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        size = write_report(surface, Path(folder) / "report.html").stat().st_size
    written, cpu = time.perf_counter(), time.process_time() - cpu
    return {
        "cells": cells,
        "items": items,
        "positives": surface.positives,
        "wrong_or_failed_share": round(_wrong_share(surface), 4),
        "evaluation_seconds": round(evaluated - started, 2),
        "report_seconds": round(written - evaluated, 2),
        "report_cpu_seconds": round(cpu, 2),
        "report_megabytes": round(size / 1e6, 2),
    }


def _wrong_share(surface: Surface) -> float:
    done = [cell.figures for cell in surface.cells if cell.figures is not None]
    wrong = sum(one.counts["fp"] + one.counts["fn"] + sum(one.failed.values()) for one in done)
    return wrong / max(1, len(done) * len(surface.dataset))


def main() -> None:
    """Prints the times beside the goal."""
    chosen = options(__doc__)
    figures = seconds(chosen.quick)
    got = figures["report_seconds"]
    finish(
        figures,
        [Goal(f"report of {figures['cells']} cells x {figures['items']:,} examples", "<= 20 s", got, got <= 20)],
        chosen,
    )


if __name__ == "__main__":
    main()
