"""What a cell costs in a month, at the volume there is and at many times that, and the rate limits it would meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from llmclf.config import PaceRow
from llmclf.evaluation.volume import volume_sentence
from llmclf.llm.plans import BATCH, HOURS_PER_MONTH
from llmclf.render.tables import Shown, TableText
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.parts import Parts
from llmclf.sweeps.tipping import FLAG_NOTHING
from llmclf.types import Costs, Estimate

TIMES = (1.0, 10.0, 100.0)
PEAK = 3.0
"""Traffic of the busiest hour, times the mean hour's: an assumption. Look at your own traffic and give another."""
_MINUTES_PER_MONTH = HOURS_PER_MONTH * 60
NO_VOLUME = "costs.conversations_per_month is not set, so no month can be reckoned"
NOT_FINISHED = "not every real cell is measured yet, so no month is reckoned"


@dataclass(frozen=True)
class Month:
    """One cell at one volume. Dollars and hours are a month's."""

    label: str
    times: float
    """The volume, times today's."""
    conversations: float
    model_usd: float
    """Of rented units their rent, used or not."""
    review: Estimate
    review_hours: Estimate
    missed: Estimate
    false_alarms: Estimate
    total: Estimate
    requests_per_minute: float
    """Calls to the model in a minute of the busiest hour."""
    tokens_per_minute: float | None
    """Prompt and answer tokens in such a minute; None where they are not counted."""
    units: int | None = None
    """Rented units that such a minute needs; None under other plans."""
    hits: tuple[str, ...] = ()
    """The limits it would hit, in words."""

    def to_dict(self) -> dict[str, Any]:
        """The month as JSON types."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        estimates = {name: value.to_dict() for name, value in plain.items() if isinstance(value, Estimate)}
        return {**plain, **estimates, "hits": list(self.hits)}


@dataclass(frozen=True)
class Months(Shown):
    """Every cell at every volume; without a volume there is no row, and `why_not` says so."""

    rows: tuple[Month, ...]
    peak: float
    why_not: str = ""
    notes: tuple[str, ...] = ()
    nothing: tuple[Month, ...] = ()
    """Having no classifier at all, at the same volumes."""

    def of(self, label: str) -> tuple[Month, ...]:
        """The months of one cell, the smallest volume first."""
        return tuple(row for row in self.rows if row.label == label)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {
            "peak": self.peak,
            "why_not": self.why_not,
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
            "flag_nothing": [row.to_dict() for row in self.nothing],
        }

    def table(self, labels: Sequence[str] | None = None) -> TableText:
        """The months of the cells named (all of them, if None) as a table."""
        title = self.why_not
        if self.rows:
            once = _short(self.rows[0].conversations / self.rows[0].times)
            title = f"What a month costs; 1x is {once} conversations"
        shown = self.rows if labels is None else [row for label in labels for row in self.of(label)]
        rows = [_row(row) for row in (*shown, *self.nothing)]
        heads = ("cell", "model", "reviews", "hours", "misses", "alarms", "total")
        return TableText(title, heads, tuple(rows), self.notes if rows else (), right=(1, 2, 3, 4, 5, 6))

    def _table(self) -> TableText:
        return self.table()


def months(
    cells: Sequence[MeasuredCell],
    costs: Costs,
    items_per_conversation: float,
    pace: Mapping[str, PaceRow],
    *,
    times: Sequence[float] = TIMES,
    peak: float = PEAK,
) -> Months:
    """Each cell whose dollars are known at `times` today's volume, smallest first.

    `pace` are the rows of [pace] in models.toml, by model or pattern. The busiest hour is taken to have `peak`
    times the mean hour's traffic. Rented units cost their rent: as many as are rented, or as the busiest hour needs.
    """
    if costs.conversations_per_month is None:
        return Months((), peak, NO_VOLUME)
    known = [cell for cell in cells if cell.usd.is_known and cell.parts is not None]
    rows = []
    for cell in known:
        row = pace_row(cell.cell.model, pace)
        for factor in sorted(times):
            rows.append(_month(cell, factor, costs.conversations_per_month * factor, items_per_conversation, peak, row))
    notes = [
        f"Rate limits are held against {peak:g} times the mean minute of a month of {HOURS_PER_MONTH:g} hours: an "
        "assumption about your busiest hour."
    ]
    if items_per_conversation != 1:
        notes.append(volume_sentence(items_per_conversation))
    asking = {cell.cell.model for cell in known if cell.parts and cell.parts.calls and cell.plan != BATCH}
    unlimited = sorted(model for model in asking if model and not _has_limits(pace_row(model, pace)))
    if unlimited:
        notes.append(f"No limits are set in [pace] of models.toml for {', '.join(unlimited)}: none is checked.")
    nothing = [
        _nothing(factor, costs.conversations_per_month * factor, items_per_conversation, costs)
        for factor in sorted(times)
    ]
    return Months(tuple(rows), peak, notes=tuple(notes), nothing=tuple(nothing) if rows else ())


def pace_row(model: str, pace: Mapping[str, PaceRow]) -> PaceRow | None:
    """The first row of [pace] that fits a model, by name or pattern."""
    return next((row for key, row in pace.items() if key == model or fnmatchcase(model, key)), None)


def _month(
    cell: MeasuredCell, factor: float, conversations: float, items: float, peak: float, row: PaceRow | None
) -> Month:
    parts = cell.parts
    assert parts is not None
    thousands = conversations * items / 1000
    per_minute = conversations * items / _MINUTES_PER_MONTH * peak
    tokens = None if parts.tokens_per_item is None else per_minute * parts.tokens_per_item
    units, rent = _units_and_rent(cell, parts, per_minute)
    usual = thousands * (parts.model_usd or 0.0)
    model = usual if rent is None else rent
    requests = per_minute * parts.calls
    return Month(
        label=cell.label,
        times=factor,
        conversations=conversations,
        model_usd=model,
        review=parts.review.scaled(thousands),
        review_hours=parts.review_hours.scaled(thousands),
        missed=parts.missed.scaled(thousands),
        false_alarms=parts.false_alarms.scaled(thousands),
        total=cell.usd.scaled(thousands).plus(model - usual),
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        units=units,
        hits=tuple(_hits(cell, row, requests, tokens, units)),
    )


def _nothing(factor: float, conversations: float, items: float, costs: Costs) -> Month:
    """Every target is missed, and nothing else costs anything."""
    none, missed = Estimate(0.0), Estimate(conversations * items * costs.prevalence * costs.missed_usd)
    return Month(FLAG_NOTHING, factor, conversations, 0.0, none, none, missed, none, missed, 0.0, 0.0)


def _units_and_rent(cell: MeasuredCell, parts: Parts, per_minute: float) -> tuple[int | None, float | None]:
    """(units that the busiest minute needs, rent of those or of all that are rented); None under other plans."""
    rented = None if cell.cell.plan is None else cell.cell.plan.rented
    if rented is None or parts.weighted_tokens is None:
        return None, None
    units = max(1, math.ceil(per_minute * parts.weighted_tokens / rented.tokens_per_minute_per_unit))
    return units, max(units, rented.units) * rented.usd_per_unit_hour * HOURS_PER_MONTH


def _hits(
    cell: MeasuredCell, row: PaceRow | None, requests: float, tokens: float | None, units: int | None
) -> Iterator[str]:
    """What the busiest minute takes more of than there is. A batch is not sent minute by minute."""
    rented = None if cell.cell.plan is None else cell.cell.plan.rented
    if rented is not None:
        if units is not None and units > rented.units:
            yield f"needs {units:,} units, {rented.units:,} are rented"
        return
    if row is None or cell.plan == BATCH:
        return
    if row.requests_per_minute is not None and requests > row.requests_per_minute:
        yield f"{requests:,.0f} requests a minute, over {row.requests_per_minute:,}"
    if row.tokens_per_minute is not None and tokens is not None and tokens > row.tokens_per_minute:
        yield f"{tokens:,.0f} tokens a minute, over {row.tokens_per_minute:,}"


def _has_limits(row: PaceRow | None) -> bool:
    return row is not None and (row.requests_per_minute is not None or row.tokens_per_minute is not None)


def _row(month: Month) -> tuple[str, ...]:
    dollars = (month.model_usd, month.review.value, None, month.missed.value, month.false_alarms.value)
    model, review, _, missed, alarms = (short_usd(figure) for figure in dollars)
    hours = hours_text(month.review_hours.value)
    name = "\n".join([f"{month.label} · {month.times:g}x", *month.hits])
    total = [short_usd(figure) for figure in (month.total.value, month.total.low, month.total.high)]
    interval = f"\n{total[1]}-{total[2]}" if "?" not in total else ""
    return name, model, review, hours, missed, alarms, total[0] + interval


def hours_text(hours: float | None) -> str:
    """`1,020`, below ten `3.4`; `?` where they are not known."""
    return "?" if hours is None else f"{hours:,.0f}" if not 0 < hours < 9.95 else f"{hours:.2g}"


def short_usd(dollars: float | None) -> str:
    """`$512`, `$34k`, `$1.2M`: for a column; `?` where it is not known."""
    return "?" if dollars is None else f"${_short(dollars)}"


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{letter}"
    return "0" if not number else f"{number:.3g}" if number >= 0.1 else "<0.1"
