"""The tables under a surface: where dollars go, what tokens cost, how far prices may move, what a month costs."""

from __future__ import annotations

from collections.abc import Sequence

from llmclf.evaluation.notes import percent
from llmclf.render.tables import TableText, usd_text
from llmclf.sweeps.measured import MeasuredCell, column_seconds
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.tipping import price_words, unit_text
from llmclf.sweeps.token_dollars import KINDS
from llmclf.types import Estimate

MOST_IN_MONTHS = 3
"""Cells whose months are shown; `Surface.months()` has all."""


def part_tables(surface: Surface, cells: Sequence[MeasuredCell], stamps: tuple[str, ...] = ()) -> list[TableText]:
    """Where the dollars of cells go, and the model's part by kind of token where a model costs anything."""
    known = [cell for cell in cells if cell.figures is not None and cell.parts is not None]
    made = [_parts(surface, known, stamps)] if known else []
    paid = [cell for cell in known if cell.parts and cell.parts.model_usd]
    return made + ([_tokens(surface, paid, stamps)] if paid else [])


def _parts(surface: Surface, cells: Sequence[MeasuredCell], stamps: tuple[str, ...]) -> TableText:
    heads = ("cell", "model", "reviews", "misses", "alarms", "p50 s", "p99 s", "invalid")
    rows = []
    for cell in cells:
        figures, parts = cell.figures, cell.parts
        assert figures is not None
        assert parts is not None
        usd = (parts.model_usd, parts.review.value, parts.missed.value, parts.false_alarms.value)
        seconds = (column_seconds(figures.latency_p50), column_seconds(figures.latency_p99))
        rows.append((cell.label, *(_usd(part) for part in usd), *seconds, _percent(parts.invalid)))
    notes = (
        f"$ per 1,000 {surface.task.unit}s, by where they go. Invalid: answers that came and can't be used "
        "(unparsable, empty, cut off).",
    )
    return TableText("Where the dollars go, and the time", heads, tuple(rows), notes, stamps, tuple(range(1, 8)))


def _tokens(surface: Surface, cells: Sequence[MeasuredCell], stamps: tuple[str, ...]) -> TableText:
    """Kinds of token that nothing was paid for are left out; `?` is in the part that the note names."""
    split = [(cell, cell.parts.tokens) for cell in cells if cell.parts]
    kinds = [kind for kind in KINDS if any(getattr(tokens, kind) != 0 for _, tokens in split)]
    rows = [(cell.label, *(_usd(getattr(tokens, kind)) for kind in kinds)) for cell, tokens in split]
    unknown: dict[str, list[str]] = {}
    for cell, tokens in split:
        for why in tokens.unknown:
            unknown.setdefault(why, []).append(cell.label)
    notes = [f"{', '.join(labels)}: {why}." for why, labels in unknown.items()]
    heads = ("cell", *(KINDS[kind] for kind in kinds))
    title = f"What the model's dollars pay for, per 1,000 {surface.task.unit}s"
    return TableText(title, heads, tuple(rows), tuple(notes), stamps, tuple(range(1, len(heads))))


def tipping_table(surface: Surface) -> TableText | None:
    """How far each price may move, others as they are, before another cell is the cheapest one."""
    prices = surface.tipping_prices()
    if not prices:
        return None
    rows = []
    for price in prices:
        ends = [f"below: {price.below}"] * bool(price.below) + [f"above: {price.above}"] * bool(price.above)
        low = "0" if price.low is None else unit_text(price.name, price.low)
        high = "any" if price.high is None else unit_text(price.name, price.high)
        rows.append(("\n".join([price_words(price.name), *ends]), low, unit_text(price.name, price.now), high))
    title = "How far one price may move before another cell is the cheapest"
    notes = (f"Now it is {prices[0].best}, by point figures; every other price stays as it is.",)
    return TableText(title, ("price", "from", "now", "to"), tuple(rows), notes, (), (1, 2, 3))


def month_table(surface: Surface) -> TableText | None:
    """A month of the cells that may be chosen; None where the volume is not known."""
    months = surface.months()
    labels = [cell.label for cell in surface.best().candidates][:MOST_IN_MONTHS]
    return months.table(labels) if months.rows and labels else None


def _usd(dollars: float | None) -> str:
    return "?" if dollars is None else usd_text(dollars)


def _percent(rate: Estimate) -> str:
    """`0.67 %`, its interval on a second line."""
    value = "?" if rate.value is None else percent(rate.value)
    return value if rate.low is None or rate.high is None else f"{value}\n{rate.low * 100:.2g}-{percent(rate.high)}"
