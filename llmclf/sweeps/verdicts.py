"""The single wrong verdicts of a cell: missed, false alarm, failed, and quotes that are not in the conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Dataset, Example, Item, Prediction, Task

WrongKind = Literal["missed", "false_alarm", "failed", "ungrounded"]
Verdict = Literal["found", "quiet", "missed", "false_alarm", "failed"]
"""How an item came out: right (a target flagged, another not), wrong, or without an answer."""

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
    evidence = cell.predictions.column("evidence")
    for row, (item, verdict) in enumerate(verdicts(cell, dataset, task)):
        kinds: list[WrongKind] = []
        if verdict != "found" and verdict != "quiet":
            kinds.append(verdict)
        if any(not quote.grounded for quote in evidence[row]):
            kinds.append("ungrounded")
        for kind in kinds:
            example = examples[item]
            found[kind].append(Wrong(kind, cell.predictions[row], example, example.labels[task.name]))
    found["missed"].sort(key=lambda wrong: _score(wrong.prediction))
    found["false_alarm"].sort(key=lambda wrong: -_score(wrong.prediction))
    return found


def verdicts(cell: MeasuredCell, dataset: Dataset, task: Task) -> Iterator[tuple[Item, Verdict]]:
    """Each predicted item of a cell and how it came out, in the order of the predictions.

    Read column by column: a report may be about a million of them.
    """
    labels = {example.item: example.labels[task.name] for example in dataset.examples}
    columns = (cell.predictions.column(name) for name in ("conversation_id", "turn", "flagged", "error"))
    for conversation_id, turn, flagged, error in zip(*columns, strict=True):
        item = Item(conversation_id, turn)
        target = labels[item] == task.target
        if error is not None:
            yield item, "failed"
        elif flagged:
            yield item, "found" if target else "false_alarm"
        else:
            yield item, "missed" if target else "quiet"


def wrong_in(cells: Iterable[MeasuredCell], dataset: Dataset, task: Task) -> Mapping[Item, int]:
    """For each item, in how many cells its verdict is missing or wrong: many may mean that the label is."""
    return Counter(item for cell in cells for item, verdict in verdicts(cell, dataset, task) if verdict in WRONG_KINDS)


def _score(prediction: Prediction) -> float:
    return 0.5 if prediction.score is None else prediction.score
