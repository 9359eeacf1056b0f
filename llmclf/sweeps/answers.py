"""What measured cells answered, as arrays over the same items: what pairs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import flagged_and_failed
from llmclf.stats.front import Answers
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Dataset, Task


def answers_of(cells: Sequence[MeasuredCell], dataset: Dataset, task: Task) -> Answers:
    """The answers of cells that are done, in the order of the dataset's examples; `dataset` has only labelled ones.

    Cells that differ in their plan alone have one source.
    """
    wanted = [(example.conversation_id, example.turn) for example in dataset.examples]
    target = np.array([example.labels[task.name] == task.target for example in dataset.examples], bool)
    columns = [_columns(cell, wanted, task) for cell in cells]
    sources = [cell.cell.answers_id for cell in cells]
    flagged, failed, price, seconds = (np.array(column) for column in zip(*columns, strict=True))
    return Answers(
        target,
        drawn(dataset, dataset.examples).sampling,
        flagged,
        failed,
        price,
        seconds,
        np.array([sources.index(source) for source in sources], np.intp),
    )


def _columns(
    cell: MeasuredCell, wanted: Sequence[tuple[str, int | None]], task: Task
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """(flagged, failed, model's dollars, seconds) of one cell's items; NaN for what is not known."""
    column = cell.predictions.column
    asked = list(zip(column("conversation_id"), column("turn"), strict=True))
    flagged, failed = flagged_and_failed(cell.predictions, task)
    nano, seconds = (np.array(column(name), float) for name in ("cost_nano_usd", "latency_seconds"))  # None is nan
    rows: NDArray[np.intp] | slice = slice(None)
    if asked != wanted:
        row_of = {item: row for row, item in enumerate(asked)}
        rows = np.array([row_of[item] for item in wanted], np.intp)
    return flagged[rows], failed[rows], nano[rows] / 1e9, seconds[rows]
