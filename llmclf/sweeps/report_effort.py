"""Two sections of the report: what thinking settings changed, and how tokens are paid for."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llmclf.llm.plans import STANDARD
from llmclf.sweeps.effort import Effort, times_text
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_words import estimate_html, money, name_of, table, units
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.views import p95_text, plan_sentences

_VERDICTS = {True: '<span class="stamp">NO-OP</span>', False: "yes", None: '<span class="soft">can\'t tell</span>'}
_EFFORT_HEADS = [
    "cell",
    "against thinking",
    "does it think otherwise",
    "reasoning tokens, times",
    "items",
    "another label",
]


def effort_section(cells: Sequence[MeasuredCell]) -> str:
    """Each cell against the next lower thinking setting of the same cell; empty where none can be compared."""
    rows, seen = [], set()
    for number, cell in enumerate(cells, start=1):
        if cell.effort and cell.cell.answers_id not in seen:  # the same answers under another plan say no more
            seen.add(cell.cell.answers_id)
            rows.append(_effort_row(cell, number, cell.effort))
    if not rows:
        return ""
    text = (
        "The same items under both settings: reasoning tokens by Wilcoxon's signed ranks, their median ratio, and the "
        "share of items with another label. Against none there is no ratio, and the medians stand alone. A no-op "
        "differs in nothing that was counted, and a doubling is ruled out."
    )
    return f'<p class="soft">{escape(text)}</p>{table(_EFFORT_HEADS, rows, "cells")}'


def _effort_row(cell: MeasuredCell, number: int, effort: Effort) -> str:
    uncounted = f"<small>{effort.uncounted} without a count</small>" if effort.uncounted else ""
    values = (
        escape(effort.against),
        _VERDICTS[effort.no_op],
        _ratio(effort),
        f"{effort.compared}{uncounted}",
        estimate_html(effort.changed, ".1%"),
    )
    return _row(cell, number, _EFFORT_HEADS, values, effort.sentence)


def _ratio(effort: Effort) -> str:
    """How many times the reasoning tokens, with the medians below; the medians alone, where there is no ratio."""
    medians = escape(effort.tokens_text.replace("->", "\u2192"))
    ratio = effort.ratio
    if ratio.value is None:
        return medians or estimate_html(ratio)
    between = "" if ratio.low is None or ratio.high is None else f"{times_text(ratio.low)} to {times_text(ratio.high)}"
    return f"{times_text(ratio.value)}<small>{between}</small><small>{medians}</small>"


def _row(cell: MeasuredCell, number: int, heads: Sequence[str], values: Sequence[str], title: str = "") -> str:
    """A row whose cells name their column, for windows in which they stand under each other."""
    tds = "".join(f'<td data-head="{escape(head)}">{value}</td>' for head, value in zip(heads[1:], values, strict=True))
    return f'<tr title="{escape(title)}"><td class="cell">{name_of(cell, number)}</td>{tds}</tr>'


def plan_section(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    """Cells by the plan their tokens are paid by; empty where all are paid as they come."""
    if all(cell.plan == STANDARD for cell in cells):
        return ""
    heads = ["cell", f"model, per {surface.task.unit}", "p95 s", "what the plan is"]
    rows = []
    for number, cell in enumerate(cells, start=1):
        if cell.cell.plan is None or cell.figures is None:
            continue
        said = plan_sentences([cell], surface.costs)
        about = said[0].removeprefix(f"Plan {cell.plan}: ") if said else cell.cell.plan.note
        seconds = p95_text(cell).replace(" ", "\u00a0")
        rows.append(_row(cell, number, heads, (money(cell.figures.cost_per_item_usd), seconds, escape(about))))
    text = (
        f"Answers about these {units(surface.task)} are the same under every plan and were bought once; dollars and "
        "seconds are the plan's. What a batch takes is what vendors promise, and can't be compared with a measurement."
    )
    return f'<p class="soft">{escape(text)}</p>{table(heads, rows, "cells plans")}' if rows else ""
