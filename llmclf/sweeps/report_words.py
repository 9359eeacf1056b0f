"""How the report writes figures, cells and small pieces of markup. Every text goes through `escape`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Literal

from llmclf.config import LlmFile
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.views import SIMULATED
from llmclf.types import Estimate, Task

Group = Literal["real", "simulated"]
KIND_NAMES = {
    "keyword": "keyword rules",
    "probe": "trained probe",
    "local": "model on this machine",
    "vendor": "vendor's model",
    "sim": "simulated model",
}
"""Kinds as the page colours them, and their names in its legend."""
STAMP = f'<span class="stamp">{SIMULATED}</span>'


@cache
def page_text(name: str) -> str:
    """A file of the page: its frame, its parts with `$placeholders`, its style and its script."""
    return (files("llmclf.sweeps") / "page" / name).read_text(encoding="utf-8")


def common_notes(surface: Surface) -> list[str]:
    """What the evaluations of all cells say alike: it is about the data, not about a cell."""
    evaluations = [cell.evaluation for cell in surface.cells if cell.evaluation is not None]
    alike = (
        [note for note in evaluations[0].notes if all(note in other.notes for other in evaluations)]
        if evaluations
        else []
    )
    return [note for note in alike if not _is_about_ranking(note)]


def own_notes(cell: MeasuredCell, common: Sequence[str]) -> list[str]:
    """What only the evaluation of this cell (and of some others) says."""
    if cell.evaluation is None:
        return []
    return [note for note in cell.evaluation.notes if note not in common and not _is_about_ranking(note)]


def _is_about_ranking(note: str) -> bool:
    return "PR-AUC" in note  # the report shows none


def kind_of(cell: MeasuredCell) -> str:
    """A key of `KIND_NAMES`."""
    if cell.simulated:
        return "sim"
    file = cell.cell.file
    if not isinstance(file, LlmFile):
        return file.kind
    return "local" if file.model.startswith("local/") else "vendor"


def number_of(cell: MeasuredCell, number: int) -> str:
    """The cell's number on the page: 3, or S3 for the third of the simulated ones."""
    return f"S{number}" if cell.simulated else str(number)


def name_of(cell: MeasuredCell, number: int) -> str:
    """The cell's number in its colour, and its label."""
    return f'<span class="number {kind_of(cell)}">{number_of(cell, number)}</span>{escape(cell.label)}'


def units(task: Task) -> str:
    """What the task is asked of, in the plural."""
    return "conversations" if task.unit == "conversation" else "turns"


def money(value: float | None) -> str:
    """Dollars with two digits that mean something; `unknown` for None, which is not zero."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    if abs(value) >= 100:
        return f"${value:,.0f}"
    return f"${value:.2f}" if abs(value) >= 0.1 else f"${value:.2g}"


def estimate_html(estimate: Estimate, spec: str = ".2f", unit: str = "") -> str:
    """A figure with its interval in small print below; why not, where there is none."""
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"<small>{unit}{estimate.low:{spec}} to {unit}{estimate.high:{spec}}</small>"
    if estimate.value is None:
        reason = f' title="{escape(estimate.why_not)}"' if estimate.why_not else ""
        return f'<span class="soft"{reason}>not estimable</span>{interval}'
    note = f' title="{escape(estimate.why_not)}"' if estimate.why_not else ""
    return f"<span{note}>{unit}{estimate.value:{spec}}</span>{interval}"


def range_html(estimate: Estimate) -> str:
    """A thin bar from 0 to 1 with the interval and the figure on it; nothing without an interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    value = "" if estimate.value is None else "<b></b>"
    middle = estimate.low if estimate.value is None else estimate.value
    style = f"--low:{estimate.low:.3f};--high:{estimate.high:.3f};--value:{middle:.3f}"
    return f'<span class="range" style="{style}"><i></i>{value}</span>'


def table(head: list[str], rows: list[str], css: str) -> str:
    """A table in a box of its own that scrolls sideways where the window is narrow."""
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(rows)
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'
    )
