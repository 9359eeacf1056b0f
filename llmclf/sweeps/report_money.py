"""Dollars in the report: where they come from, how far prices may move, what a month costs, what a race dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from llmclf.evaluation.notes import percent
from llmclf.render.tables import counted
from llmclf.sweeps.monthly import Month, hours_text, short_usd
from llmclf.sweeps.parts import USES
from llmclf.sweeps.racing import saved_sentence
from llmclf.sweeps.report_words import MOST_ROWS, Numbered, explained, folded, money, name_of, row, table, units
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.tipping import FLAG_NOTHING
from llmclf.sweeps.token_dollars import KINDS


def spending_section(surface: Surface, cells: Numbered) -> str:
    """Two charts: all dollars by what they are for, and the model's alone by kind of token."""
    splits = [(number, cell, cell.parts and cell.parts.usd) for number, cell in cells]
    known = [(name_of(cell, number), split) for number, cell, split in splits if split]
    unknown = [cell.label for _, cell, split in splits if not split and cell.figures is not None]
    if not known:
        return ""
    text = f"Per 1,000 {units(surface.task)} at an assumed prevalence of {percent(surface.costs.prevalence)}."
    if unknown:
        text += f" Left out, because their dollars are not known: {', '.join(unknown)}."
    return explained(text, _bars(known, USES)) + _token_section(surface, cells)


def _token_section(surface: Surface, cells: Numbered) -> str:
    known, said = [], dict[str, None]()
    for number, cell in cells:
        if cell.parts is None or not cell.parts.model_usd:
            continue
        split = {kind: getattr(cell.parts.tokens, kind) or 0.0 for kind in KINDS}
        said.update(dict.fromkeys(cell.parts.tokens.unknown))
        if sum(split.values()) > 0:
            known.append((name_of(cell, number), split))
    if not known:
        return ""
    text = f"The model alone, per 1,000 {units(surface.task)}, by kind of token. The scale is another one."
    notes = "".join(f"<li>{escape(one)}</li>" for one in said)
    bars = explained(text, _bars(known, KINDS))
    return f"<h3>What the model is paid for</h3>{bars}" + (f'<ul class="notes soft">{notes}</ul>' if notes else "")


def _bars(splits: Sequence[tuple[str, Mapping[str, float]]], names: Mapping[str, str]) -> str:
    """A stacked bar for each cell, all on one scale; parts that no cell has are left out of the legend."""
    widest = max(sum(split.values()) for _, split in splits) or 1.0
    seen = [part for part in names if any(split[part] > 0 for _, split in splits)]
    legend = "".join(f'<span><i class="{part}"></i>{names[part]}</span>' for part in seen)
    rows = []
    for name, split in splits:
        pieces = "".join(
            f'<i class="{part}" style="width:{100 * split[part] / widest:.2f}%" '
            f'title="{names[part]} {money(split[part])}"></i>'
            for part in seen
            if split[part] > 0
        )
        rows.append(
            f'<div class="row"><span class="name">{name}</span><span class="bar">{pieces}</span>'
            f'<span class="total">{money(sum(split.values()))}</span></div>'
        )
    bars = folded(rows, lambda some: f'<div class="bars">{"".join(some)}</div>')
    return f'<div class="legend">{legend}</div>{bars}'


def tipping_section(surface: Surface) -> str:
    """The range of each price in which the cell that is cheapest now stays so."""
    prices = surface.tipping_prices()
    if not prices:
        return ""
    best = FLAG_NOTHING.capitalize() if prices[0].best == FLAG_NOTHING else prices[0].best
    text = (
        f"{best} stays the cheapest while one of these is as follows, all others as they are. By the point "
        "figures: the intervals of the dollars say how unsure these ends are."
    )
    rows = "".join(f"<li>{escape(price.sentence)}</li>" for price in prices)
    return explained(text, f'<ul class="notes">{rows}</ul>')


def month_section(surface: Surface, cells: Numbered) -> str:
    """Dollars a month at today's volume and at ten and a hundred times that, and the rate limits it would hit."""
    months = surface.months()
    if not months.rows:
        return f'<p class="soft">{escape(months.why_not)}.</p>' if surface.real and months.why_not else ""
    times = list(dict.fromkeys(month.times for month in months.rows))
    volumes = {month.times: month.conversations for month in months.rows}
    heads = ["cell", *(f"{one:g}x: {counted(round(volumes[one]), 'conversation')}" for one in times)]
    rows: list[str] = []
    for number, cell in cells:
        of_cell = months.of(cell.label) if len(rows) < 2 * MOST_ROWS else ()
        if of_cell:
            rows.append(row(name_of(cell, number), heads, [_month(month) for month in of_cell]))
    left = len({month.label for month in months.rows}) - len(rows)
    rows.append(row(escape(FLAG_NOTHING), heads, [_month(month) for month in months.nothing]))
    text = " ".join(["All dollars of a month, with their interval, and what they are for.", *months.notes])
    more = f'<p class="soft">and {left} cells more: llmclf sweep report --json has all</p>' if left else ""
    return explained(text, table(heads, rows, "cells months") + more)


def _month(month: Month) -> str:
    low, high = month.total.low, month.total.high
    between = "" if low is None or high is None else f"<small>{short_usd(low)} to {short_usd(high)}</small>"
    parts = {
        "model": short_usd(month.model_usd),
        "reviews": f"{short_usd(month.review.value)} ({hours_text(month.review_hours.value)} h)",
        "misses": short_usd(month.missed.value),
        "false alarms": short_usd(month.false_alarms.value),
    }
    paid = [f"{name} {dollars}" for name, dollars in parts.items() if dollars not in ("$0", "$0 (0 h)")]
    split = ", ".join(part.replace(" ", "\u00a0") for part in paid)
    hits = "".join(f'<small class="hit">{escape(hit)}</small>' for hit in month.hits)
    return f"{short_usd(month.total.value)}{between}<small>{split}</small>{hits}"


def race_section(surface: Surface, cells: Numbered) -> str:
    """What a race saved, at what risk, and which cells it stopped asking when, those that it dropped first on top."""
    saved = saved_sentence(surface, [cell for _, cell in cells])
    if not saved:
        return ""
    heads = ("cell", "beaten by", "costs more per 1,000", "items asked", "after round")
    dropped = [(number, cell, cell.dropped) for number, cell in cells if cell.dropped is not None]
    rows = []
    for number, cell, why in sorted(dropped, key=lambda one: one[2].round):
        if why.extra_usd_low is None:
            beaten_by, more = escape(why.why), ""
        else:
            beaten_by, more = escape(why.by), f"{money(why.extra_usd_low)} at least"
        values = (beaten_by, more, f"{why.after_items:,} of {cell.items:,}", f"{why.round}")
        rows.append(row(name_of(cell, number), heads, values))
    return f"<p>{escape(saved)}</p>" + (table(heads, rows, "cells") if rows else "")
