"""Where a cell's dollars come from: the model, reviews, misses and false alarms."""

from __future__ import annotations

from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.surface import Surface

PARTS = {"model": "model", "review": "reviews", "missed": "misses", "false_alarms": "false alarms"}
"""The parts, and their names for people."""


def spending(cell: MeasuredCell, surface: Surface) -> dict[str, float] | None:
    """Expected dollars per 1,000 items at the assumed prevalence, by part; None where the sum is not known, and so
    where the model's price is not. Their sum is the cell's `usd`.
    """
    parts = cell.parts
    if parts is None or parts.model_usd is None or not cell.usd.is_known:
        return None
    figures = {"model": parts.model_usd}
    for name in ("review", "missed", "false_alarms"):
        figures[name] = getattr(parts, name).value
    return figures
