"""The parts of the report about cells. Made once for real cells and once, apart, for simulated ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

from llmclf.evaluation import Evaluation
from llmclf.evaluation.notes import percent
from llmclf.evaluation.rates import rate_range
from llmclf.render.tables import counted, usd_range
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_effort import effort_section, plan_section
from llmclf.sweeps.report_verdicts import verdict_lists
from llmclf.sweeps.report_words import (
    STAMP,
    Group,
    estimate_html,
    kind_of,
    money,
    name_of,
    number_of,
    page_text,
    range_html,
    table,
    units,
)
from llmclf.sweeps.spending import PARTS, spending
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.views import SIMULATED, hours_text, is_promised, marks, p95_text
from llmclf.types import Estimate

_LOG_FROM = 30.0
"""Dollars whose largest is so many times the smallest are drawn on a log axis."""


def group_sections(surface: Surface, cells: Sequence[MeasuredCell], group: Group) -> str:
    """Every section about one group of cells, in the order of a reader's questions."""
    return "\n".join(
        [
            _surface(surface, cells, group),
            _section(group, "All cells", _cells(surface, cells)),
            _section(group, "What thinking changes", effort_section(cells)),
            _section(group, "How tokens are paid for", plan_section(surface, cells)),
            _section(group, "Which cell catches which failure mode", _failure_modes(surface, cells)),
            _section(group, "What is flagged by mistake", _false_alarms(surface, cells)),
            _section(group, "Items without an answer", _failures(cells)),
            _section(group, "Where the dollars come from", _spending(surface, cells)),
            _section(group, "Wrong verdicts", verdict_lists(surface, cells)),
        ]
    )


def plot_data(surface: Surface, cells: Sequence[MeasuredCell], group: Group) -> dict[str, Any]:
    """What the page's script draws: the cells whose dollars are known, and the cost of flagging nothing."""
    front = surface.pareto()
    points = [
        _point(cell, number, any(cell is other for other in front))
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


def _point(cell: MeasuredCell, number: int, on_front: bool) -> dict[str, Any]:
    hover = [
        f"<b>{number_of(cell, number)} {escape(cell.label)}</b>",
        f"recall {escape(rate_range(cell.recall))}",
        f"false alarms {escape(rate_range(cell.false_alarms, '.3f'))}",
        f"dollars {escape(usd_range(cell.usd))}",
        f"p95 {_p95_words(cell)}",
    ]
    return {
        "number": number_of(cell, number),
        "label": cell.label,
        "kind": kind_of(cell),
        "front": on_front,
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


def _section(group: Group, title: str, content: str) -> str:
    stamp = f" {STAMP}" if group == "simulated" else ""
    return f"<section><h2>{escape(title)}{stamp}</h2>{content}</section>" if content else ""


def _surface(surface: Surface, cells: Sequence[MeasuredCell], group: Group) -> str:
    title = f"Dollars per 1,000 {units(surface.task)}"
    if not any(cell.usd.is_known for cell in cells):
        return _section(group, title, "<p>No cell's dollars are known, so there is nothing to draw.</p>")
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
        intro += " Diamonds lie on the front: no other cell is both cheaper and faster."
    content = Template(page_text("surface.html")).substitute(intro=escape(intro), group=group)
    return _section(group, title, content)


def _cells(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    heads = [
        "cell",
        "recall",
        "false alarms",
        f"precision at {percent(surface.costs.prevalence)}".replace(" %", "\u00a0%"),
        f"$ per 1,000 {units(surface.task)}",
        f"model, per {surface.task.unit}",
        "p50 / p95 s",
        "failed",
    ]
    return table(
        heads, [_cell_row(surface, cell, number, heads) for number, cell in enumerate(cells, start=1)], "cells"
    )


def _cell_row(surface: Surface, cell: MeasuredCell, number: int, heads: Sequence[str]) -> str:
    notes = "".join(f"<small>{escape(mark)}</small>" for mark in marks(surface, cell))
    evaluation, failed = cell.figures, cell.unanswered
    if evaluation is None:
        values = ["-"] * (len(heads) - 2) + [str(failed) if failed else "-"]
    else:
        values = [
            estimate_html(cell.recall) + range_html(cell.recall),
            estimate_html(cell.false_alarms, ".3f"),
            estimate_html(evaluation.projected_precision),
            estimate_html(cell.usd, "$"),
            money(evaluation.cost_per_item_usd),
            _seconds(cell, evaluation),
            str(failed) if failed else "none",
        ]
    tds = "".join(f'<td data-head="{escape(head)}">{value}</td>' for head, value in zip(heads[1:], values, strict=True))
    return f'<tr><td class="cell">{name_of(cell, number)}{notes}</td>{tds}</tr>'


def _seconds(cell: MeasuredCell, evaluation: Evaluation) -> str:
    p95 = p95_text(cell)
    return f"{p95}<small>promised</small>" if is_promised(cell) else f"{hours_text(evaluation.latency_p50)} / {p95}"


def _failure_modes(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    """Recall per mode and cell: darker is more. The number of targets stands in the head."""
    modes = list(dict.fromkeys(mode for cell in cells if cell.figures for mode in cell.figures.by_failure_mode))
    if not modes:
        return ""
    counts = {mode: _positives_of_mode(surface, mode) for mode in modes}
    heads = ["recall"] + [f"{escape(mode.replace('_', ' '))}<br>{counted(counts[mode], 'target')}" for mode in modes]
    rows = []
    for number, cell in enumerate(cells, start=1):
        if cell.figures is not None:
            found = cell.figures.by_failure_mode
            rows.append(_heat_row(name_of(cell, number), [found.get(mode) for mode in modes]))
    return _explained("Look at the small counts before believing a difference.", table(heads, rows, "heat"))


def _false_alarms(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    """Share flagged of each label that is not the target; adjacent labels are the hard ones."""
    labels = [label for label in surface.task.labels if label.role != "target"]
    counts = {label.name: surface.dataset.labels(surface.task.name).count(label.name) for label in labels}
    labels = [label for label in labels if counts[label.name]]
    heads = ["share flagged"] + [
        f"{escape(label.name.replace('_', ' '))}<br>{counts[label.name]} {label.role}" for label in labels
    ]
    rows = []
    for number, cell in enumerate(cells, start=1):
        if cell.figures is not None:
            found = cell.figures.by_label
            rows.append(_heat_row(name_of(cell, number), [found.get(label.name) for label in labels], "filled bad"))
    return _explained("Adjacent labels look like the target and are not.", table(heads, rows, "heat")) if rows else ""


def _heat_row(name: str, shares: Sequence[Estimate | None], css: str = "filled") -> str:
    tds = []
    for share in shares:
        if share is None:
            tds.append("<td>-</td>")
        elif share.value is None:
            tds.append(f"<td>{estimate_html(share)}</td>")
        else:
            # shares of false alarms are small: their root shows them apart
            dark = share.value if css == "filled" else math.sqrt(share.value)
            tds.append(f'<td class="{css}" style="--share:{dark:.3f}">{estimate_html(share)}</td>')
    return f'<tr><th scope="row">{name}</th>{"".join(tds)}</tr>'


def _failures(cells: Sequence[MeasuredCell]) -> str:
    kinds = sorted({kind for cell in cells for kind in cell.failed})
    if not kinds:
        return "<p>Every item that was asked got an answer.</p>" if any(cell.figures for cell in cells) else ""
    rows = []
    for number, cell in enumerate(cells, start=1):
        if cell.failed:
            counts = "".join(f"<td>{cell.failed.get(kind, 0) or '-'}</td>" for kind in kinds)
            rows.append(f'<tr><th scope="row">{name_of(cell, number)}</th>{counts}<td>{cell.asked}</td></tr>')
    heads = ["cell", *(escape(kind.replace("_", " ")) for kind in kinds), "asked"]
    return _explained("Failed items are neither flagged nor clean.", table(heads, rows, "heat"))


def _spending(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    parts = [(number, cell, spending(cell, surface)) for number, cell in enumerate(cells, start=1)]
    known = [(number, cell, split) for number, cell, split in parts if split is not None]
    unknown = [cell.label for _, cell, split in parts if split is None and cell.figures is not None]
    if not known:
        return ""
    widest = max(sum(split.values()) for _, _, split in known) or 1.0
    legend = "".join(f'<span><i class="{part}"></i>{name}</span>' for part, name in PARTS.items())
    rows = []
    for number, cell, split in known:
        pieces = "".join(
            f'<i class="{part}" style="width:{100 * usd / widest:.2f}%" title="{name} {money(split[part])}"></i>'
            for part, name in PARTS.items()
            if (usd := split[part]) > 0
        )
        rows.append(
            f'<div class="row"><span class="name">{name_of(cell, number)}</span><span class="bar">{pieces}</span>'
            f'<span class="total">{money(sum(split.values()))}</span></div>'
        )
    text = f"Per 1,000 {units(surface.task)} at an assumed prevalence of {percent(surface.costs.prevalence)}."
    if unknown:
        text += f" Left out, because their dollars are not known: {', '.join(unknown)}."
    return _explained(text, f'<div class="legend">{legend}</div><div class="bars">{"".join(rows)}</div>')


def _positives_of_mode(surface: Surface, mode: str) -> int:
    name, target = surface.task.name, surface.task.target
    return sum(mode in example.failure_modes and example.labels[name] == target for example in surface.dataset.examples)


def _explained(sentence: str, content: str) -> str:
    return f'<p class="soft">{escape(sentence)}</p>{content}'
