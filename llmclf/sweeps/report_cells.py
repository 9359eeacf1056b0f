"""The parts of the report about cells. Made once for real cells and once, apart, for simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

from llmclf.evaluation import Evaluation
from llmclf.evaluation.notes import percent
from llmclf.render.rates import rate_range, rate_text
from llmclf.render.tables import usd_range
from llmclf.sweeps.choice import share_text
from llmclf.sweeps.measured import MeasuredCell, column_seconds
from llmclf.sweeps.report_curves import curves_section
from llmclf.sweeps.report_effort import effort_section, plan_section
from llmclf.sweeps.report_money import month_section, race_section, spending_section, tipping_section
from llmclf.sweeps.report_shares import failures, false_alarms, modes_caught
from llmclf.sweeps.report_verdicts import ShownVerdicts
from llmclf.sweeps.report_words import (
    Group,
    Numbered,
    estimate_html,
    kind_of,
    money,
    name_of,
    number_of,
    numbered,
    page_text,
    range_html,
    row,
    section,
    table,
    units,
)
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.views import SIMULATED, is_promised, marks, p95_text, survivors_sentence

_LOG_FROM = 30.0
"""Dollars whose largest is so many times the smallest are drawn on a log axis."""


def group_sections(surface: Surface, cells: Sequence[MeasuredCell], group: Group, shown: ShownVerdicts) -> str:
    """Every section about one group of cells, in the order of a reader's questions."""
    known = numbered(surface, cells)
    real = group == "real"
    return "\n".join(
        [
            _surface(surface, cells, group),
            section(group, "All cells", _cells(surface, known)),
            section(group, "The race", race_section(surface, known)),
            section(group, "How far prices may move", tipping_section(surface)) if real else "",
            section(group, "What a month costs", month_section(surface, known)) if real else "",
            section(group, "Where the dollars come from", spending_section(surface, known)),
            section(group, "Which cell catches which failure mode", modes_caught(surface, known, shown)),
            section(group, "What is flagged by mistake", false_alarms(surface, known)),
            section(group, "Items without an answer", failures(known)),
            section(group, "Scores: every threshold, and how right they are", curves_section(surface, known, group)),
            section(group, "What thinking changes", effort_section(known)),
            section(group, "How tokens are paid for", plan_section(surface, known)),
            section(group, "Wrong verdicts", shown.section(known)),
        ]
    )


def plot_data(surface: Surface, cells: Sequence[MeasuredCell], group: Group) -> dict[str, Any]:
    """What the page's script draws: the cells whose dollars are known, and the cost of flagging nothing."""
    front = {id(cell) for cell in surface.pareto()}
    chances = surface.front_chances() if group == "real" else {}
    points = [
        _point(cell, number, id(cell) in front, chances.get(cell.label))
        for number, cell in enumerate(cells, start=1)
        if cell.usd.is_known
    ]
    figures = [point["usd"] for point in points]
    lows = [
        figure if point["usd_low"] is None else point["usd_low"] for figure, point in zip(figures, points, strict=True)
    ]
    log = min(lows, default=0) > 0 and max(figures) > _LOG_FROM * min(figures)
    return {
        "cells": points,
        "nothing_usd": surface.flag_nothing_usd if surface.flag_nothing_usd > 0 or not log else None,
        "log": log,
        "unit": units(surface.task),
        "stamp": SIMULATED if group == "simulated" else "",
    }


def _point(cell: MeasuredCell, number: int, on_front: bool, chance: float | None) -> dict[str, Any]:
    hover = [
        f"<b>{number_of(cell, number)} {escape(cell.label)}</b>",
        f"recall {escape(rate_range(cell.recall))}",
        f"false alarms {escape(rate_range(cell.false_alarms, '.3f'))}",
        f"dollars {escape(usd_range(cell.usd))}",
        f"p95 {_p95_words(cell)}",
    ]
    if chance is not None:
        hover.append(f"on the front in {share_text(chance)} of resamples")
    return {
        "number": number_of(cell, number),
        "label": cell.label,
        "kind": kind_of(cell),
        "front": on_front,
        "chance": chance,
        "usd": cell.usd.value,
        "usd_low": cell.usd.low,
        "usd_high": cell.usd.high,
        "recall": cell.recall.value,
        "recall_low": cell.recall.low,
        "recall_high": cell.recall.high,
        "seconds": cell.p95_seconds,
        "hover": "<br>".join(hover),
    }


def _p95_words(cell: MeasuredCell) -> str:
    p95 = p95_text(cell)
    if p95 == "-":
        return "not known"
    return f"{p95}{', as promised' * is_promised(cell)}" if p95.endswith("h") else f"{p95} s"


def _surface(surface: Surface, cells: Sequence[MeasuredCell], group: Group) -> str:
    title = f"Dollars per 1,000 {units(surface.task)}"
    if not any(cell.usd.is_known for cell in cells):
        return section(group, title, "<p>No cell's dollars are known, so there is nothing to draw.</p>")
    intro = (
        "Left is cheaper, up finds more. Bars are 95 % intervals; numbers are those of the table. A cell that costs "
        "more than flagging nothing is not worth running at these prices."
    )
    if group == "simulated":
        intro = (
            "Left is cheaper, up finds more; bars are 95 % intervals. An axis of their own: these dots can't be "
            "compared with real ones."
        )
    elif surface.pareto():
        intro += (
            " Diamonds lie on the front: no other cell is both cheaper and faster. The larger a mark, the surer it is "
            "that the cell belongs there, by resampling the items for all cells at once; against p95 seconds the front "
            "is a line, with the interval of its dollars as a band."
        )
        intro += f" {survivors}" if (survivors := survivors_sentence(surface)) else ""
    content = Template(page_text("surface.html")).substitute(intro=escape(intro), group=group)
    return section(group, title, content)


def _cells(surface: Surface, cells: Numbered) -> str:
    heads = [
        "cell",
        "recall",
        "false alarms",
        f"precision at {percent(surface.costs.prevalence)}".replace(" %", "\u00a0%"),
        f"$ per 1,000 {units(surface.task)}",
        f"model, per {surface.task.unit}",
        "p50 / p95 / p99 s",
        "failed",
    ]
    return table(heads, [_cell_row(surface, cell, number, heads) for number, cell in cells], "cells")


def _cell_row(surface: Surface, cell: MeasuredCell, number: int, heads: Sequence[str]) -> str:
    notes = "".join(f"<small>{escape(mark)}</small>" for mark in marks(surface, cell))
    evaluation = cell.figures
    if evaluation is None:
        values = ["-"] * (len(heads) - 2) + [str(cell.unanswered or "-")]
    else:
        values = [
            estimate_html(cell.recall) + range_html(cell.recall),
            estimate_html(cell.false_alarms, ".3f"),
            estimate_html(evaluation.projected_precision),
            estimate_html(cell.usd, "$"),
            money(evaluation.cost_per_item_usd),
            _seconds(cell, evaluation),
            _failed(cell),
        ]
    return row(name_of(cell, number) + notes, heads, values)


def _seconds(cell: MeasuredCell, evaluation: Evaluation) -> str:
    p95 = p95_text(cell)
    if is_promised(cell):
        return f"{p95}<small>promised</small>"
    steps = f"{column_seconds(evaluation.latency_p50)} / {p95} / {column_seconds(evaluation.latency_p99)}"
    return f'<span class="nowrap">{steps}</span>'


def _failed(cell: MeasuredCell) -> str:
    """Items without an answer, and the share of those whose answer came and could not be used."""
    if not cell.unanswered:
        return "none"
    invalid = None if cell.parts is None else cell.parts.invalid.value
    told = f"<small>{rate_text(invalid, '.1%')} invalid</small>" if invalid else ""
    return f"{cell.unanswered}{told}"
