"""Predictions and examples put together, item by item; everything that does not fit is said at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import DataError
from llmclf.types import Dataset, ErrorInfo, Example, Item, Predictions, Task, is_flagged

_MOST_LISTED = 20
_Key = TypeVar("_Key", bound=Hashable)


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
    errors: tuple[ErrorInfo, ...]
    """Of the failed items, in their order."""
    unlabelled: tuple[str, ...]
    """Items that were predicted but have no label for this task."""

    def column(self, predictions: Predictions, name: str) -> list[Any]:
        """One field of the predictions, in the order of the examples."""
        values = predictions.column(name)
        if len(values) == len(self.rows) and bool((self.rows == np.arange(len(values))).all()):
            return values
        return [values[row] for row in self.rows.tolist()]


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
    labels = tuple([example.labels[task.name] for example in examples])
    places = _Places(predictions, examples)
    unknown, unlabelled = _strangers(places.strangers(), dataset)
    problems = [
        *_listed("has no prediction", places.unanswered()),
        *_listed("is predicted but not in the dataset", unknown),
        *_listed("stands twice among the examples", places.twice(places.asked)),
        *_listed("is predicted twice", places.twice(places.given)),
        *_label_problems(labels, task),
        *_prediction_problems(predictions, task),
    ]
    if problems:
        raise DataError("predictions and dataset do not fit", where=f"dataset {dataset.name}", problems=problems)
    rows = places.rows()
    flagged, failed = (side[rows] for side in flagged_and_failed(predictions, task))
    errors = predictions.column("error")
    return Matched(
        examples,
        labels,
        rows,
        np.array([label == task.target for label in labels], bool),
        flagged,
        failed,
        tuple(errors[row] for row in rows[failed].tolist()),
        tuple(str(item) for item in unlabelled),
    )


def flagged_and_failed(predictions: Predictions, task: Task) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """((n,) flagged, (n,) failed), in the order of the predictions; a failed one is not flagged."""
    errors, said, flags = (predictions.column(name) for name in ("error", "label", "flagged"))
    failed, flagged = _are_set(errors), np.array(flags, bool)
    for row in np.flatnonzero(~_are_set(flags)).tolist():
        flagged[row] = is_flagged(None, said[row], task.target)
    return flagged & ~failed, failed


class _Places:
    """Items of predictions and of examples as numbers, so that millions are compared without an object for each."""

    def __init__(self, predictions: Predictions, examples: Sequence[Example]) -> None:
        asked_ids, given_ids = [one.conversation_id for one in examples], predictions.column("conversation_id")
        asked_turns, given_turns = [one.turn for one in examples], predictions.column("turn")
        conversations = _numbered(asked_ids, given_ids)
        turns = _numbered(asked_turns, given_turns)
        self._conversations, self._turns = list(conversations), list(turns)
        self.asked, self.given = (
            _codes(conversations, ids) * len(turns) + _codes(turns, at)
            for ids, at in ((asked_ids, asked_turns), (given_ids, given_turns))
        )
        """The number of each example's item, and of each prediction's."""

    def rows(self) -> NDArray[np.intp]:
        """The prediction of each example, where each has exactly one."""
        if np.array_equal(self.asked, self.given):
            return np.arange(len(self.asked))
        order = np.argsort(self.given, kind="stable")
        return order[np.searchsorted(self.given, self.asked, sorter=order)]

    def unanswered(self) -> list[Item]:
        """Examples' items without a prediction, in their order."""
        return self._items(self.asked[~np.isin(self.asked, self.given)])

    def strangers(self) -> list[Item]:
        """Predicted items that no example asks about, each once."""
        return self._items(dict.fromkeys(self.given[~np.isin(self.given, self.asked)].tolist()))

    def twice(self, codes: NDArray[np.int64]) -> list[Item]:
        """Items whose number stands more than once, in their order."""
        distinct, first, times = np.unique(codes, return_index=True, return_counts=True)
        return self._items(distinct[times > 1][np.argsort(first[times > 1])])

    def _items(self, codes: Iterable[int]) -> list[Item]:
        numbers = [divmod(int(code), len(self._turns)) for code in codes]
        return [Item(self._conversations[conversation], self._turns[turn]) for conversation, turn in numbers]


def _numbered(*values: Sequence[_Key]) -> dict[_Key, int]:
    """A number from 0 for each distinct value."""
    return {value: place for place, value in enumerate(dict.fromkeys(chain(*values)))}


def _codes(numbered: Mapping[_Key, int], values: Sequence[_Key]) -> NDArray[np.int64]:
    return np.fromiter(map(numbered.__getitem__, values), np.int64, len(values))


def _strangers(items: Sequence[Item], dataset: Dataset) -> tuple[list[Item], list[Item]]:
    """(items that the dataset does not know, items that it knows, which have no label for the task)."""
    known = {example.item for example in dataset.examples} if items else set()
    is_known = [item in known or item.conversation_id in dataset.conversations for item in items]
    return (
        [item for item, there in zip(items, is_known, strict=True) if not there],
        [item for item, there in zip(items, is_known, strict=True) if there],
    )


def _are_set(values: Sequence[object]) -> NDArray[np.bool_]:
    """(n,) where a value is not None."""
    if None not in values:
        return np.ones(len(values), bool)
    return np.fromiter([value is not None for value in values], bool, len(values))


def _label_problems(labels: Sequence[str], task: Task) -> list[str]:
    wrong = {label: count for label, count in Counter(labels).items() if label not in task.label_names}
    known = ", ".join(task.label_names)
    return [f"label {label!r} of {count} examples is not one of {known}" for label, count in sorted(wrong.items())]


def _prediction_problems(predictions: Predictions, task: Task) -> list[str]:
    said, flags, errors = (predictions.column(name) for name in ("label", "flagged", "error"))
    answered = _are_set(said) | _are_set(flags) | _are_set(errors)
    silent = [predictions[row].item for row in np.flatnonzero(~answered).tolist()]
    others = Counter(predictions.column("task"))
    others.pop(task.name, None)
    problems = [f"{count} predictions are for task {name!r}, not {task.name!r}" for name, count in others.items()]
    problems += _listed("has neither a label nor an error", silent)
    simulated = sum(map(bool, predictions.column("simulated")))
    if 0 < simulated < len(predictions):
        problems.append(
            f"{simulated} of {len(predictions)} predictions are simulated: real and simulated are never mixed"
        )
    names = sorted({classifier.split("@")[0] for classifier in set(predictions.column("classifier_id"))})
    if len(names) > 1:
        problems.append(f"predictions come from {len(names)} classifiers: {', '.join(names[:5])}")
    return problems


def _listed(what: str, items: Sequence[Item]) -> list[str]:
    lines = [f"{item} {what}" for item in items[:_MOST_LISTED]]
    if len(items) > _MOST_LISTED:
        lines.append(f"and {len(items) - _MOST_LISTED} more, of which each {what}")
    return lines
