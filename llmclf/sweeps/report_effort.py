"""Two sections of the report: what thinking settings changed, and how tokens are paid for."""

from __future__ import annotations

from html import escape

from llmclf.llm.plans import STANDARD
from llmclf.sweeps.effort import Effort, times_text
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_words import Numbered, estimate_html, money, name_of, row, table, units
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


def effort_section(cells: Numbered) -> str:
    """Each cell against the next lower thinking setting of the same cell; empty where none can be compared."""
    rows, seen = [], set()
    for number, cell in cells:
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
    return row(name_of(cell, number), _EFFORT_HEADS, values, effort.sentence)


def _ratio(effort: Effort) -> str:
    """How many times the reasoning tokens, with the medians below; the medians alone, where there is no ratio."""
    medians = escape(effort.tokens_text.replace("->", "\u2192"))
    ratio = effort.ratio
    if ratio.value is None:
        return medians or estimate_html(ratio)
    between = "" if ratio.low is None or ratio.high is None else f"{times_text(ratio.low)} to {times_text(ratio.high)}"
    return f"{times_text(ratio.value)}<small>{between}</small><small>{medians}</small>"


def plan_section(surface: Surface, cells: Numbered) -> str:
    """Cells by the plan their tokens are paid by; empty where all are paid as they come."""
    if all(cell.plan == STANDARD for _, cell in cells):
        return ""
    heads = ["cell", f"model, per {surface.task.unit}", "p95 s", "what the plan is"]
    rows = []
    for number, cell in cells:
        if cell.cell.plan is None or cell.figures is None:
            continue
        said = plan_sentences([cell], surface.costs)
        about = said[0].removeprefix(f"Plan {cell.plan}: ") if said else cell.cell.plan.note
        seconds = p95_text(cell).replace(" ", "\u00a0")
        values = (money(cell.figures.cost_per_item_usd), seconds, escape(about))
        rows.append(row(name_of(cell, number), heads, values))
    text = (
        f"Answers about these {units(surface.task)} are the same under every plan and were bought once; dollars and "
        "seconds are the plan's. What a batch takes is what vendors promise, and can't be compared with a measurement."
    )
    return f'<p class="soft">{escape(text)}</p>{table(heads, rows, "cells plans")}' if rows else ""
