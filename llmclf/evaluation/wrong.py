"""The single wrong verdicts: missed, false alarms, failed, and quotes that are not in the conversation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from llmclf.types import Dataset, Example, Item, Prediction, Predictions, Task, is_flagged

WrongKind = Literal["missed", "false_alarm", "failed", "ungrounded"]
Verdict = Literal["found", "quiet", "missed", "false_alarm", "failed"]
"""How an item came out: right (a target flagged, another not), wrong, or without an answer."""

WRONG_KINDS: tuple[WrongKind, ...] = get_args(WrongKind)
MEANINGS: dict[WrongKind, str] = {
    "missed": "targets that were not flagged, the least suspected first",
    "false_alarm": "flagged without being the target, the surest first",
    "failed": "no answer: neither right nor wrong",
    "ungrounded": "quotes that are not in the conversation",
}


def kind_name(kind: WrongKind, count: int) -> str:
    """A kind for people: `false alarm`, `2 false alarms` without the number."""
    name = kind.replace("_", " ")
    return f"{name}s" if kind == "false_alarm" and count != 1 else name


@dataclass(frozen=True)
class Wrong:
    """One verdict to look at."""

    kind: WrongKind
    prediction: Prediction
    example: Example
    true_label: str


def wrong_predictions(predictions: Predictions, dataset: Dataset, task: Task) -> dict[WrongKind, list[Wrong]]:
    """What to look at among `predictions`, by kind: the surest mistakes first.

    An item with evidence that is not in the conversation is listed as `ungrounded`, and once more
    where its verdict is wrong as well. Every predicted item needs its label in `dataset`.
    """
    examples = {example.item: example for example in dataset.examples}
    found: dict[WrongKind, list[Wrong]] = {kind: [] for kind in WRONG_KINDS}
    evidence = predictions.column("evidence")
    for row, (item, verdict) in enumerate(verdicts_of(predictions, dataset, task)):
        kinds: list[WrongKind] = []
        if verdict != "found" and verdict != "quiet":
            kinds.append(verdict)
        if any(not quote.grounded for quote in evidence[row]):
            kinds.append("ungrounded")
        for kind in kinds:
            example = examples[item]
            found[kind].append(Wrong(kind, predictions[row], example, example.labels[task.name]))
    found["missed"].sort(key=lambda wrong: _score(wrong.prediction))
    found["false_alarm"].sort(key=lambda wrong: -_score(wrong.prediction))
    return found


def verdicts_of(predictions: Predictions, dataset: Dataset, task: Task) -> Iterator[tuple[Item, Verdict]]:
    """Each predicted item and how it came out, in the order of the predictions."""
    labels = {example.item: example.labels[task.name] for example in dataset.examples}
    columns = (predictions.column(name) for name in ("conversation_id", "turn", "flagged", "label", "error"))
    for conversation_id, turn, flag, label, error in zip(*columns, strict=True):
        item = Item(conversation_id, turn)
        target = labels[item] == task.target
        if error is not None:
            yield item, "failed"
        elif is_flagged(flag, label, task.target):
            yield item, "found" if target else "false_alarm"
        else:
            yield item, "missed" if target else "quiet"


def _score(prediction: Prediction) -> float:
    return 0.5 if prediction.score is None else prediction.score
