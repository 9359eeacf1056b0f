"""How far prices may move before another cell is the cheapest one.

A cell's dollars are a straight line in each price by itself: in what a miss, a false alarm or an hour of review
costs, in the prevalence, and in what its model costs. So where two cells cross is solved, not searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llmclf.evaluation.notes import percent
from llmclf.render.tables import price_text
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Costs

FLAG_NOTHING = "flagging nothing"
"""The name under which having no classifier at all takes part."""
_Line = tuple[float, float]  # dollars per item at a price of 0, and for each unit of the price


@dataclass(frozen=True, slots=True)
class TippingPrice:
    """The range of one price in which the cell that is cheapest now stays so, all other prices as they are."""

    name: str
    """`missed_usd`, `false_alarm_usd`, `reviewer_usd_per_hour`, `prevalence`, `model_price` (all models' prices
    times a factor) or `own_model_price` (the cheapest cell's model alone)."""
    best: str
    """The cell that is cheapest now, or `flagging nothing`."""
    now: float
    low: float | None
    """None: it stays the cheapest down to 0."""
    high: float | None
    """None: it stays the cheapest however high the price gets (a prevalence: up to 1)."""
    below: str = ""
    """What is cheapest under `low`."""
    above: str = ""
    """What is cheapest over `high`."""

    def to_dict(self) -> dict[str, Any]:
        """The range as JSON types."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """`a miss from $12 to $310 (now $40); below: words, above: big`."""
        what, show = _WORDS[self.name]
        ends = {
            (False, False): "at any value",
            (True, False): f"from {show(self.low or 0.0)} up",
            (False, True): f"up to {show(self.high or 0.0)}",
            (True, True): f"from {show(self.low or 0.0)} to {show(self.high or 0.0)}",
        }[self.low is not None, self.high is not None]
        taken = [f"below: {self.below}"] * bool(self.below) + [f"above: {self.above}"] * bool(self.above)
        return f"{what} {ends} (now {show(self.now)})" + (f"; {', '.join(taken)}" if taken else "")


def _times(factor: float) -> str:
    return f"{factor:.2g}x" if factor < 10 else f"{factor:,.0f}x"


_WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "missed_usd": ("a miss", price_text),
    "false_alarm_usd": ("a false alarm", price_text),
    "reviewer_usd_per_hour": ("an hour of review", price_text),
    "prevalence": ("prevalence", percent),
    "model_price": ("all models' prices", _times),
    "own_model_price": ("its own model's price", _times),
}


def price_words(name: str) -> str:
    """What a price is called: `a miss`."""
    return _WORDS[name][0]


def unit_text(name: str, value: float) -> str:
    """A value of that price as people write it: `$40`, `0.5 %`, `2x`."""
    return _WORDS[name][1](value)


def tipping_prices(cells: Sequence[MeasuredCell], costs: Costs) -> tuple[TippingPrice, ...]:
    """The range of each price, by point figures: intervals say how unsure the ends are.

    `cells` are those that may be chosen; only those whose dollars are known take part, and flagging nothing
    does. Limits are taken as they are kept now. Empty without such a cell.
    """
    known = [cell for cell in cells if cell.usd.is_known and cell.parts is not None]
    if not known:
        return ()
    usd = {cell.label: cell.usd.value or 0.0 for cell in known}
    usd[FLAG_NOTHING] = costs.flag_nothing_usd
    best = min(usd, key=lambda label: usd[label])
    own = next((cell.cell.model for cell in known if cell.label == best), "")
    made = []
    for name, now, lines in _lines(known, costs, own):
        made.append(_range(name, now, lines, best, 1.0 if name == "prevalence" else None))
    return tuple(made)


def _lines(cells: Sequence[MeasuredCell], costs: Costs, own: str) -> Iterator[tuple[str, float, dict[str, _Line]]]:
    """(price, its value now, line of each cell in it); prices that no cell's dollars hang on are left out."""
    by_price: dict[str, dict[str, _Line]] = {name: {} for name in _WORDS}
    for cell in cells:
        for name, slope, at in _slopes(cell, costs, own):
            whole = (cell.usd.value or 0.0) / 1000
            by_price[name][cell.label] = (whole - slope * at, slope)
    nothing = costs.prevalence * costs.missed_usd
    now = {
        "missed_usd": costs.missed_usd,
        "false_alarm_usd": costs.false_alarm_usd,
        "reviewer_usd_per_hour": costs.reviewer_usd_per_hour,
        "prevalence": costs.prevalence,
        "model_price": 1.0,
        "own_model_price": 1.0,
    }
    constant: _Line = (nothing, 0.0)
    free: dict[str, _Line] = {"missed_usd": (0.0, costs.prevalence), "prevalence": (0.0, costs.missed_usd)}
    for name, lines in by_price.items():
        if any(slope for _, slope in lines.values()):
            yield name, now[name], lines | {FLAG_NOTHING: free.get(name, constant)}


def _slopes(cell: MeasuredCell, costs: Costs, own: str) -> Iterator[tuple[str, float, float]]:
    """(price, dollars per item for each unit of it, its value now)."""
    assert cell.parts is not None
    shares, share = cell.parts.shares, costs.prevalence
    missed = shares.missed + (shares.failed_targets if costs.on_error == "miss" else 0.0)
    seen, bothered = shares.reviewed(costs.on_error)  # of the targets, and of the others
    target_usd = missed * costs.missed_usd + seen * costs.review_usd
    other_usd = bothered * costs.review_usd + shares.false_alarms * costs.false_alarm_usd
    model = (cell.parts.model_usd or 0.0) / 1000
    yield "missed_usd", share * missed, costs.missed_usd
    yield "false_alarm_usd", (1 - share) * shares.false_alarms, costs.false_alarm_usd
    hours = (share * seen + (1 - share) * bothered) * costs.review_minutes / 60
    yield "reviewer_usd_per_hour", hours, costs.reviewer_usd_per_hour
    yield "prevalence", target_usd - other_usd, share
    yield "model_price", model, 1.0
    yield "own_model_price", model if own and cell.cell.model == own else 0.0, 1.0


def _range(name: str, now: float, lines: dict[str, _Line], best: str, most: float | None) -> TippingPrice:
    """Where the best one's line is first crossed on either side."""
    at_zero, slope = lines[best]
    low, high, below, above = None, None, "", ""
    for label, (other_zero, other_slope) in lines.items():
        steeper = other_slope - slope
        if label == best or abs(steeper) < 1e-12:
            continue
        crossing = (at_zero - other_zero) / steeper
        if steeper > 0 and 1e-9 * now < crossing and (low is None or crossing > low):
            low, below = min(crossing, now), label  # under it the steeper one is cheaper
        elif steeper < 0 and (high is None or crossing < high) and (most is None or crossing < most):
            high, above = max(crossing, now), label
    return TippingPrice(name, best, now, low, high, below, above)
