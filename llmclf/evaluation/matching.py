"""Predictions and examples put together, item by item; everything that does not fit is said at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import DataError
from llmclf.types import Dataset, ErrorInfo, Example, Item, Predictions, Task

_MOST_LISTED = 20


@dataclass(frozen=True, eq=False)
class Matched:
    """The labelled examples of a task and, at the same places, what was predicted for them."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    rows: NDArray[np.intp]
    """Which row of the predictions belongs to each example."""
    positive: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    """False for failed items; read it with `failed`."""
    failed: NDArray[np.bool_]
    errors: tuple[ErrorInfo | None, ...]
    unlabelled: tuple[str, ...]
    """Items that were predicted but have no label for this task."""

    def column(self, predictions: Predictions, name: str) -> list[Any]:
        """One field of the predictions, in the order of the examples."""
        values = predictions.column(name)
        return [values[row] for row in self.rows]


def match(predictions: Predictions, dataset: Dataset, task: Task) -> Matched:
    """Each labelled example of `task` with its one prediction.

    A prediction for an item of the dataset that has no label for the task is put aside. Raises DataError
    that lists: examples without a prediction, predictions about conversations that are not in the
    dataset, items that stand twice, labels outside the task, predictions for another task, predictions
    with neither label nor error, and simulated ones among real ones.
    """
    examples = tuple(example for example in dataset.examples if task.name in example.labels)
    if not examples:
        raise DataError(f"no example has a label for task {task.name}", where=f"dataset {dataset.name}")
    items = [
        Item(*pair) for pair in zip(predictions.column("conversation_id"), predictions.column("turn"), strict=True)
    ]
    row_of = {item: row for row, item in enumerate(items)}
    asked = [example.item for example in examples]
    wanted = set(asked)
    strangers = [item for item in row_of if item not in wanted]
    known = {example.item for example in dataset.examples} if strangers else wanted
    unknown = [item for item in strangers if item not in known and item.conversation_id not in dataset.conversations]
    labels = tuple(example.labels[task.name] for example in examples)
    problems = [
        *_listed("has no prediction", [item for item in asked if item not in row_of]),
        *_listed("is predicted but not in the dataset", unknown),
        *_listed("stands twice among the examples", _twice(asked)),
        *_listed("is predicted twice", _twice(items)),
        *_label_problems(labels, task),
        *_prediction_problems(predictions, items, task),
    ]
    if problems:
        raise DataError("predictions and dataset do not fit", where=f"dataset {dataset.name}", problems=problems)
    rows = np.array([row_of[item] for item in asked], np.intp)
    errors, said, flags = (predictions.column(name) for name in ("error", "label", "flagged"))
    matched_errors = tuple(errors[row] for row in rows)
    failed = np.array([error is not None for error in matched_errors], bool)
    flagged = np.array([bool(said[row] == task.target if flags[row] is None else flags[row]) for row in rows], bool)
    outside = set(unknown)
    return Matched(
        examples,
        labels,
        rows,
        np.array([label == task.target for label in labels], bool),
        flagged & ~failed,
        failed,
        matched_errors,
        tuple(str(item) for item in strangers if item not in outside),
    )


def _label_problems(labels: Sequence[str], task: Task) -> list[str]:
    wrong = Counter(label for label in labels if label not in task.label_names)
    known = ", ".join(task.label_names)
    return [f"label {label!r} of {count} examples is not one of {known}" for label, count in sorted(wrong.items())]


def _prediction_problems(predictions: Predictions, items: Sequence[Item], task: Task) -> list[str]:
    said, flags, errors = (predictions.column(name) for name in ("label", "flagged", "error"))
    silent = [
        item
        for item, label, flag, error in zip(items, said, flags, errors, strict=True)
        if error is None and label is None and flag is None
    ]
    others = Counter(name for name in predictions.column("task") if name != task.name)
    problems = [f"{count} predictions are for task {name!r}, not {task.name!r}" for name, count in others.items()]
    problems += _listed("has neither a label nor an error", silent)
    simulated = sum(bool(value) for value in predictions.column("simulated"))
    if 0 < simulated < len(items):
        problems.append(f"{simulated} of {len(items)} predictions are simulated: real and simulated are never mixed")
    names = sorted({classifier.split("@")[0] for classifier in predictions.column("classifier_id")})
    if len(names) > 1:
        problems.append(f"predictions come from {len(names)} classifiers: {', '.join(names[:5])}")
    return problems


def _twice(items: Sequence[Item]) -> list[Item]:
    if len(set(items)) == len(items):
        return []
    return [item for item, count in Counter(items).items() if count > 1]


def _listed(what: str, items: Sequence[Item]) -> list[str]:
    lines = [f"{item} {what}" for item in items[:_MOST_LISTED]]
    if len(items) > _MOST_LISTED:
        lines.append(f"and {len(items) - _MOST_LISTED} more, of which each {what}")
    return lines
