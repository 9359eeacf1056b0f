"""What the scores of cells say: precision and recall at every threshold, and whether probabilities are right."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

from llmclf.evaluation.curves import ScoredItems, precision_recall_curve, reliability, scored_items
from llmclf.evaluation.notes import percent
from llmclf.render.rates import rate_range
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_words import Group, Numbered, number_of, numbered, page_text
from llmclf.sweeps.surface import Surface

MOST_CURVES = 24
"""So many cells have curves: those on the front and the cheapest of those with scores."""


def curves_section(surface: Surface, cells: Numbered, group: Group) -> str:
    """Places for both plots; empty where no cell has scores."""
    scored = _with_scores(cells)
    if not scored:
        return ""
    left = len(scored) - MOST_CURVES
    intro = (
        f"Precision is projected to a prevalence of {percent(surface.costs.prevalence)}; the cross is where a cell "
        "stands at its own threshold, with its intervals. Names in the legend switch cells on and off."
    )
    if left > 0:
        intro += f" {left} cells more have scores and are not drawn."
    right = (
        "Items of about one probability, and the share of them that is the target, with 95 % intervals: on the line "
        "probabilities are right, above it they are too low."
    )
    without = "No cell gives probabilities, only scores: there is no calibration to show."
    calibrated = any(_has_probabilities(cell) for _, cell in scored)
    return Template(page_text("curves.html")).substitute(
        intro=escape(intro),
        right=escape(right if calibrated else without),
        group=group,
        hidden="" if calibrated else " hidden",
    )


def curves_data(surface: Surface, cells: Sequence[MeasuredCell]) -> list[dict[str, Any]]:
    """The curves of the cells with scores, the first ones of the order in which sections show them."""
    return [_curves(surface, cell, number) for number, cell in _with_scores(numbered(surface, cells))[:MOST_CURVES]]


def _with_scores(cells: Numbered) -> list[tuple[int, MeasuredCell]]:
    return [
        (number, cell)
        for number, cell in cells
        if cell.figures is not None and any(score is not None for score in cell.predictions.column("score"))
    ]


def _has_probabilities(cell: MeasuredCell) -> bool:
    return any(given is not None for given in cell.predictions.column("probabilities"))


def _curves(surface: Surface, cell: MeasuredCell, number: int) -> dict[str, Any]:
    items = scored_items(cell.predictions, surface.dataset, surface.task)
    points = precision_recall_curve(items, surface.costs.prevalence)
    return {
        "number": number_of(cell, number),
        "label": cell.label,
        "recall": [round(point.recall, 4) for point in points],
        "precision": [round(point.precision, 4) for point in points],
        "threshold": [round(point.threshold, 4) for point in points],
        "here": _here(cell),
        "bins": _bins(items),
    }


def _here(cell: MeasuredCell) -> dict[str, Any] | None:
    """Where the cell stands at its own threshold; None where recall or precision is not known."""
    assert cell.figures is not None
    recall, precision = cell.figures.recall, cell.figures.projected_precision
    if recall.value is None or precision.value is None:
        return None
    return {
        name: [estimate.low, estimate.value, estimate.high]
        for name, estimate in (("recall", recall), ("precision", precision))
    }


def _bins(items: ScoredItems) -> list[dict[str, Any]]:
    return [
        {
            "items": one.items,
            "probability": round(one.probability, 5),
            "low": one.share.low,
            "value": one.share.value,
            "high": one.share.high,
            "said": escape(rate_range(one.share, ".3f")),
        }
        for one in reliability(items)
    ]
