"""Labelled examples for a very small model on this machine: chosen on validation, held against none on held-out items.

python benchmarks/optimize_local.py [--json] [--quick]

SmolLM2 with 135M parameters (`llmclf models pull local/smollm2-135m`) as the shipped classifier `refusal_local`, on the
232 shipped conversations: 30 % train, 30 % validation, 40 % test. `labeled-few-shot` tries three draws of eight
examples, one of each label, within the model's 2,048 tokens. `llmclf optimize` would test the best
one only if it beat zero-shot on validation; here the best few-shot candidate is tested in any case, and printed
whichever way it goes. A request that does not fit counts as failed: it is neither right nor a no.

The samples are synthetic and not drawn from traffic: recall and false alarms are of this set alone, and dollars are
those at a prevalence of .5 % if the others of this set were those of traffic. Not a claim about the model or about few
shots in general. It costs nothing but some minutes of processor.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Goal, finish, options

import llmclf
from llmclf.errors import MissingPieceError
from llmclf.evaluation.comparison import Comparison, compare
from llmclf.optimization.book import Book, Tried
from llmclf.optimization.search import search
from llmclf.types import Estimate, Predictions
from llmclf.workspace.optimization_inputs import OptimizationInputs, optimization_inputs

SHARES = {"train": 0.3, "validation": 0.3, "test": 0.4}
SEED = 7
MOST_FAILED = 0.05
_FILE = """version = 1
classifier = "refusal_local"
dataset = "samples"
optimizer = "labeled-few-shot"
prompt = "refusal/local_few_shot"
demonstrations = 8
{items}
seed = {seed}
concurrency = 2
[parts]
{parts}
[budget]
task_usd = 0.0
[costs]
prevalence = 0.005
[settings]
candidates = {candidates}
"""


def make_workspace(folder: Path, quick: bool) -> None:
    """A workspace that has the optimization alone; classifier, task, model and samples are the shipped ones."""
    path = folder / "configs/optimizations/local.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        _FILE.format(
            items="max_items = 10" if quick else "",
            seed=SEED,
            parts="\n".join(f"{name} = {share}" for name, share in SHARES.items()),
            candidates=1 if quick else 3,
        ),
        encoding="utf-8",
    )
    (folder / "llmclf.toml").write_text("version = 1\n", encoding="utf-8")


def run(folder: Path) -> dict[str, Any]:
    """The search, and the best few-shot candidate against zero-shot on the test part."""
    began = time.monotonic()
    with llmclf.Runtime(None, workspace=folder, concurrency=2) as runtime:
        inputs = optimization_inputs("local", runtime)
        inputs.student.check()  # type: ignore[attr-defined]
        book = Book(inputs.student, inputs.parts, inputs.objectives)
        stopped = search(inputs.file, inputs.student, book, reflection=None)
        searched = time.monotonic() - began
        shots = next(one for one in book.complete() if one is not book.parent)
        comparison, answers = tested(inputs, book, shots)
    return {
        "items": {part: sum(counts.values()) for part, counts in inputs.parts.counts.items()},
        "targets of the test": comparison.positives,
        "stopped": stopped,
        "on validation": [candidate_of(book, one) for one in book.complete()],
        "chosen on validation": "zero-shot" if book.best() is book.parent else shots.origin,
        "zero-shot": side(comparison.a, answers[0]),
        "few-shot": side(comparison.b, answers[1]) | {"examples": len(shots.candidate.demonstrations)},
        "few-shot less zero-shot": {
            "dollars per 1,000": figure(comparison.dollars),
            "recall": figure(comparison.recall),
            "false alarms": figure(comparison.false_alarms),
        },
        "verdict": comparison.verdict,
        "sentence": comparison.sentence,
        "notes": [*inputs.notes, *comparison.notes],
        "seconds": {"search": round(searched, 1), "all": round(time.monotonic() - began, 1)},
    }


def tested(inputs: OptimizationInputs, book: Book, shots: Tried) -> tuple[Comparison, tuple[Predictions, Predictions]]:
    """Both prompts on the test part, which neither was chosen by."""
    assert inputs.test is not None and inputs.task is not None
    student: Any = inputs.student
    zero, few = (student.predictions(one.prompt, inputs.parts.test) for one in (book.parent, shots))
    names = ("zero-shot", "few-shot")
    made = compare(zero, few, inputs.test, inputs.task, costs=inputs.file.as_costs, names=names, seed=SEED)
    return made, (zero, few)


def candidate_of(book: Book, one: Tried) -> dict[str, Any]:
    """A candidate's figures on validation, by which it was chosen: the best one's flatter it."""
    loss = book.objectives["validation"].mean_loss(book.scores(one))
    failed = sum(said.error is not None for said in one.answered.values())
    return {
        "candidate": one.origin,
        "dollars per 1,000": round(loss, 2),
        "examples": len(one.candidate.demonstrations),
        "failed": failed,
        "input tokens": round(one.input_tokens),
    }


def side(evaluation: Any, predictions: Predictions) -> dict[str, Any]:
    """One prompt alone on the test part."""
    usage = [one.input_tokens for one in predictions.column("usage") if one is not None and one.input_tokens]
    errors = [one.kind for one in predictions.column("error") if one is not None]
    counts: dict[str, int] = {}
    for label in predictions.column("label"):
        counts[label or "failed"] = counts.get(label or "failed", 0) + 1
    return {
        "recall": figure(evaluation.recall),
        "specificity": figure(evaluation.specificity),
        "dollars per 1,000": figure(evaluation.dollars_per_1000),
        "failed": len(errors),
        "kinds of failures": sorted(set(errors)),
        "input tokens": round(sum(usage) / len(usage)) if usage else 0,
        "said": dict(sorted(counts.items(), key=lambda one: -one[1])),
    }


def figure(estimate: Estimate) -> dict[str, Any]:
    """Value and interval, or why there is none."""
    if estimate.value is None:
        return {"why": str(estimate)}
    return {"value": round(estimate.value, 4), "low": estimate.low, "high": estimate.high}


def main() -> None:
    chosen = options(__doc__)
    try:
        with tempfile.TemporaryDirectory() as name:
            make_workspace(Path(name), chosen.quick)
            figures = run(Path(name))
    except MissingPieceError as error:
        sys.exit(str(error))
    held = figures["items"]["test"]
    failed = max(figures[arm]["failed"] / held for arm in ("zero-shot", "few-shot"))
    goal = Goal("failed of the held-out items, worse arm", f"<= {MOST_FAILED}", failed, failed <= MOST_FAILED)
    if not chosen.json:
        print(json.dumps(figures, indent=2, default=float))
        figures = {"verdict": figures["verdict"], "sentence": figures["sentence"]}
    finish(figures, [goal], chosen)


if __name__ == "__main__":
    main()
