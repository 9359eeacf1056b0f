"""How the report writes figures, cells and small pieces of markup. Every text goes through `escape`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Literal

from llmclf.config import LlmFile
from llmclf.render.pages import packaged_text
from llmclf.render.rates import rate_cells
from llmclf.render.tables import usd_cells, usd_text
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.views import SIMULATED
from llmclf.types import Estimate, Task

Group = Literal["real", "simulated"]
KIND_NAMES = {
    "keyword": "keyword rules",
    "probe": "trained probe",
    "local": "model on this machine",
    "vendor": "model behind an endpoint",
    "sim": "simulated model",
}
"""Kinds as the page colours them, and their names in its legend."""
MOST_ROWS = 30
"""Sections about many cells show so many at once; the others are folded below."""
Numbered = Sequence[tuple[int, MeasuredCell]]
"""Cells with their numbers on the page."""
STAMP = f'<span class="stamp">{SIMULATED}</span>'


def page_text(name: str) -> str:
    """A file of the report: a part with `$placeholders`, its style or its script."""
    return packaged_text("llmclf.sweeps", name)


def common_notes(surface: Surface) -> list[str]:
    """What the evaluations of all cells say alike: it is about the data, not about a cell."""
    done = [cell.figures for cell in surface.cells if cell.figures is not None]
    evaluations = done or [cell.evaluation for cell in surface.cells if cell.evaluation is not None]
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
    """The cell's number in its colour, and its label, which may break after `_`."""
    label = escape(cell.label).replace("_", "_<wbr>")
    return f'<span class="number {kind_of(cell)}">{number_of(cell, number)}</span>{label}'


def units(task: Task) -> str:
    """What the task is asked of, in the plural."""
    return "conversations" if task.unit == "conversation" else "turns"


def money(value: float | None) -> str:
    """Dollars as everywhere; `unknown` for None, which is not zero."""
    return "unknown" if value is None else usd_text(value)


def estimate_html(estimate: Estimate, spec: str = ".2f") -> str:
    """A figure with its interval in small print below; why not, where there is none. `$` as spec is dollars."""
    value, between = usd_cells(estimate) if spec == "$" else rate_cells(estimate, spec)
    if not between and spec == "$" and estimate.low is not None:
        between = f"at least {money(estimate.low)}"
    interval = f"<small>{between.replace('-', ' to ')}</small>" if between else ""
    why = f' title="{escape(estimate.why_not)}"' if estimate.why_not else ""
    if estimate.value is None:
        return f'<span class="soft"{why}>not estimable</span>{interval}'
    return f"<span{why}>{value}</span>{interval}"


def range_html(estimate: Estimate) -> str:
    """A thin bar from 0 to 1 with the interval and the figure on it; nothing without an interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    value = "" if estimate.value is None else "<b></b>"
    middle = estimate.low if estimate.value is None else estimate.value
    style = f"--low:{estimate.low:.3f};--high:{estimate.high:.3f};--value:{middle:.3f}"
    return f'<span class="range" style="{style}"><i></i>{value}</span>'


def numbered(surface: Surface, cells: Sequence[MeasuredCell]) -> Numbered:
    """Cells with their numbers, from 1 as they come; where they are many, those on the front and the cheapest first."""
    pairs = list(enumerate(cells, start=1))
    if len(pairs) <= MOST_ROWS:
        return pairs
    front = {id(cell) for cell in surface.pareto()}

    def place(pair: tuple[int, MeasuredCell]) -> tuple[bool, bool, float, int]:
        number, cell = pair
        usd = cell.usd.value
        return id(cell) not in front, usd is None, usd or 0.0, number

    return sorted(pairs, key=place)


def table(head: Sequence[str], rows: Sequence[str], css: str) -> str:
    """A table in a box of its own that scrolls sideways where the window is narrow; very many rows are folded."""
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)

    def part(some: Sequence[str]) -> str:
        return (
            f'<div class="scroll"><table class="{css}"><thead><tr>{cells}</tr></thead>'
            f"<tbody>{''.join(some)}</tbody></table></div>"
        )

    return folded(rows, part)


def folded(rows: Sequence[str], made_of: Callable[[Sequence[str]], str]) -> str:
    """The first rows as `made_of` puts them together, and the others folded below."""
    rest = len(rows) - MOST_ROWS
    if rest <= 0:
        return made_of(rows)
    more = f"<details><summary>and {rest} more cells</summary>{made_of(rows[MOST_ROWS:])}</details>"
    return made_of(rows[:MOST_ROWS]) + more


def row(name: str, heads: Sequence[str], values: Sequence[str], title: str = "") -> str:
    """A row of a table `cells`; its cells name their column, for windows in which they stand under each other."""
    tds = "".join(f'<td data-head="{escape(head)}">{value}</td>' for head, value in zip(heads[1:], values, strict=True))
    told = f' title="{escape(title)}"' if title else ""
    return f'<tr{told}><td class="cell">{name}</td>{tds}</tr>'


def explained(sentence: str, content: str) -> str:
    """A sentence in small print above what it is about; nothing where there is nothing."""
    return f'<p class="soft">{escape(sentence)}</p>{content}' if content else ""


def section(group: Group, title: str, content: str) -> str:
    """A section with its heading, stamped where its cells are simulated; nothing without content."""
    stamp = f" {STAMP}" if group == "simulated" else ""
    return f"<section><h2>{escape(title)}{stamp}</h2>{content}</section>" if content else ""
