"""The single wrong verdicts of a cell: missed, false alarm, failed, and quotes that are not in the conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Dataset, Example, Item, Prediction, Task

WrongKind = Literal["missed", "false_alarm", "failed", "ungrounded"]
WRONG_KINDS: tuple[WrongKind, ...] = get_args(WrongKind)


@dataclass(frozen=True)
class Wrong:
    """One verdict to look at."""

    kind: WrongKind
    prediction: Prediction
    example: Example
    true_label: str


def wrong_verdicts(cell: MeasuredCell, dataset: Dataset, task: Task) -> dict[WrongKind, list[Wrong]]:
    """What to look at in a cell, by kind: the surest mistakes first.

    An item with evidence that is not in the conversation is listed as `ungrounded`, and once more
    where its verdict is wrong as well.
    """
    examples = {example.item: example for example in dataset.examples}
    found: dict[WrongKind, list[Wrong]] = {kind: [] for kind in WRONG_KINDS}
    for prediction in cell.predictions:
        example = examples.get(prediction.item)
        if example is None:
            continue
        true_label = example.labels[task.name]
        kinds: list[WrongKind] = []
        wrong = wrong_kind(prediction, true_label, task)
        if wrong is not None:
            kinds.append(wrong)
        if prediction.ungrounded:
            kinds.append("ungrounded")
        for kind in kinds:
            found[kind].append(Wrong(kind, prediction, example, true_label))
    found["missed"].sort(key=lambda wrong: _score(wrong.prediction))
    found["false_alarm"].sort(key=lambda wrong: -_score(wrong.prediction))
    return found


def wrong_kind(prediction: Prediction, true_label: str, task: Task) -> WrongKind | None:
    """`failed`, `missed` or `false_alarm`; None where the verdict about the target is right."""
    if prediction.error is not None:
        return "failed"
    if (true_label == task.target) == bool(prediction.flagged):
        return None
    return "missed" if true_label == task.target else "false_alarm"


def wrong_in(cells: Iterable[MeasuredCell], dataset: Dataset, task: Task) -> Mapping[Item, int]:
    """For each item, in how many cells its verdict is missing or wrong: many may mean that the label is."""
    labels = {example.item: example.labels[task.name] for example in dataset.examples}
    return Counter(
        prediction.item
        for cell in cells
        for prediction in cell.predictions
        if prediction.item in labels and wrong_kind(prediction, labels[prediction.item], task) is not None
    )


def _score(prediction: Prediction) -> float:
    return 0.5 if prediction.score is None else prediction.score
