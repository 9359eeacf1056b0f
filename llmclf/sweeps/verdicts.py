"""How each item came out in each cell of a sweep, column by column: a report is about a million verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmclf.evaluation.matching import flagged_and_failed
from llmclf.evaluation.wrong import WRONG_KINDS, WrongKind
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Dataset, Prediction, Task

NOT_ASKED, FOUND, QUIET, MISSED, FALSE_ALARM, FAILED = range(6)
"""How an item came out; from MISSED on it is wrong, or without an answer."""
_CODES: dict[WrongKind, int] = {"missed": MISSED, "false_alarm": FALSE_ALARM, "failed": FAILED}


@dataclass(frozen=True, eq=False)
class CellVerdicts:
    """One cell's verdicts, in the order of the dataset's examples."""

    cell: MeasuredCell
    outcome: NDArray[np.int8]
    """(n,) NOT_ASKED, FOUND, QUIET, MISSED, FALSE_ALARM or FAILED."""
    score: NDArray[np.float64]
    """(n,) the target's score; nan where there is none."""
    ungrounded: NDArray[np.bool_]
    """(n,) a quote of it is not in the conversation."""
    place: NDArray[np.intp]
    """(n,) which of the cell's predictions is about the item; -1 where none is."""

    @cached_property
    def wrong(self) -> dict[WrongKind, NDArray[np.intp]]:
        """Places of examples to look at, by kind, the surest mistakes first.

        An item with evidence that is not in the conversation is `ungrounded`, and once more what its verdict is.
        """
        by_doubt = np.argsort(np.nan_to_num(self.score, nan=0.5), kind="stable")
        order = {"missed": by_doubt, "false_alarm": by_doubt[::-1]}
        found = {}
        for kind in WRONG_KINDS:
            mask = self.ungrounded if kind == "ungrounded" else self.outcome == _CODES[kind]
            rows = order.get(kind, np.arange(len(mask)))
            found[kind] = rows[mask[rows]]
        return found

    def prediction(self, row: int) -> Prediction:
        """What the cell said of the example at `row`."""
        return self.cell.predictions[int(self.place[row])]


def cell_verdicts(cells: Sequence[MeasuredCell], dataset: Dataset, task: Task) -> list[CellVerdicts]:
    """The verdicts of each cell about the examples of `dataset`, all of which have a label."""
    items = [(example.conversation_id, example.turn) for example in dataset.examples]
    target = np.array([label == task.target for label in dataset.labels(task.name)], bool)
    row_of = {item: row for row, item in enumerate(items)}
    return [_verdicts(cell, items, row_of, target, task) for cell in cells]


def _verdicts(
    cell: MeasuredCell,
    items: list[tuple[str, int | None]],
    row_of: dict[tuple[str, int | None], int],
    target: NDArray[np.bool_],
    task: Task,
) -> CellVerdicts:
    column = cell.predictions.column
    asked = list(zip(column("conversation_id"), column("turn"), strict=True))
    rows = np.arange(len(items)) if asked == items else np.array([row_of[item] for item in asked], np.intp)
    flagged, failed = flagged_and_failed(cell.predictions, task)
    truth = target[rows]
    outcome = np.zeros(len(items), np.int8)
    outcome[rows] = np.where(
        failed, FAILED, np.where(flagged, np.where(truth, FOUND, FALSE_ALARM), np.where(truth, MISSED, QUIET))
    )
    score = np.full(len(items), np.nan)
    score[rows] = np.array(column("score"), float)  # None is nan
    ungrounded = np.zeros(len(items), bool)
    ungrounded[rows] = [bool(quotes) and not all(quote.grounded for quote in quotes) for quotes in column("evidence")]
    place = np.full(len(items), -1, np.intp)
    place[rows] = np.arange(len(asked))
    return CellVerdicts(cell, outcome, score, ungrounded, place)
