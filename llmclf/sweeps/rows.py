"""A surface as flat rows, for CSV and data frames."""

from __future__ import annotations

from typing import Any

from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Estimate

_SETTINGS = ("kind", "model", "thinking", "prompt", "answer", "modality", "plan")
_FIGURES = ("recall", "specificity", "projected_precision", "flag_rate", "dollars_per_1000")
_PARTS = {
    "review_usd": "review",
    "review_hours": "review_hours",
    "missed_usd": "missed",
    "false_alarm_usd": "false_alarms",
    "failed_rate": "failed",
    "invalid_rate": "invalid",
}
_TOKENS = ("fresh_input", "cached_input", "cache_write", "audio_input", "answer", "reasoning")


def row_of(cell: MeasuredCell, on_front: bool, front_chance: float | None) -> dict[str, Any]:
    """One cell as names and values; figures that are not known are None. Dollars and hours are per 1,000 items."""
    figures = cell.figures
    parts = None if figures is None else cell.parts
    row: dict[str, Any] = {
        "label": cell.label,
        "simulated": cell.simulated,
        **{key: cell.cell.settings.get(key) for key in _SETTINGS},
        "state": cell.state,
        "asked": cell.asked,
        "failed": sum(cell.failed.values()),
    }
    for name in _FIGURES:
        row |= _estimate(name, None if figures is None else getattr(figures, name))
    row["dollars_per_1000_why_not"] = cell.usd.why_not
    row["model_usd"] = None if parts is None else parts.model_usd
    for name in _TOKENS:
        row[f"model_{name}_usd"] = None if parts is None else getattr(parts.tokens, name)
    for name, part in _PARTS.items():
        row |= _estimate(name, None if parts is None else getattr(parts, part))
    for percentile in (50, 95, 99):
        seconds = None if figures is None else getattr(figures, f"latency_p{percentile}")
        row[f"p{percentile}_seconds"] = seconds
    row["cost_per_item_usd"] = None if figures is None else figures.cost_per_item_usd
    row["no_op"] = cell.no_op
    row["on_front"] = on_front
    row["front_chance"] = front_chance
    row["beyond"] = "; ".join(cell.beyond)
    return row


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """Its value under `name`, its ends under `name_low` and `name_high`."""
    ends = {"": "value", "_low": "low", "_high": "high"}
    return {f"{name}{end}": None if estimate is None else getattr(estimate, part) for end, part in ends.items()}
