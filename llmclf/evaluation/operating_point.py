"""Candidate thresholds of a classifier side by side, with what each would find, flag and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from llmclf.evaluation.notes import percent
from llmclf.render.rates import rate_cells, rate_range
from llmclf.render.tables import (
    Shown,
    TableText,
    counted,
    price_text,
    usd_cells,
    usd_range,
    usd_text,
)
from llmclf.stats.thresholds import Certificate, ScoreScaling
from llmclf.types import Costs, Estimate

Goal = Literal["dollars", "flags", "recall"]
GOALS: tuple[Goal, ...] = get_args(Goal)
NAMES: dict[str, str] = {"current": "as it is", "dollars": "cheapest", "flags": "within flags", "recall": "certified"}


@dataclass(frozen=True)
class Wanted:
    """What a threshold is chosen for."""

    goal: Goal = "dollars"
    """`dollars`: the cheapest; `flags`: the cheapest within `flags_per_day`; `recall`: one with a certified recall."""
    flags_per_day: float | None = None
    recall: float = 0.9
    confidence: float = 0.95
    """Chance that the recall is kept, over draws of the labels."""


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold, and what it would do at the assumed prevalence."""

    name: str
    """`current`, `dollars`, `flags` or `recall`."""
    threshold: float | None
    """None where there is none that does it."""
    recall: Estimate | None = None
    flag_rate: Estimate | None = None
    """Share of all items that would be flagged."""
    dollars_per_1000: Estimate | None = None
    """Reviews, false alarms and misses; the model's own price is not in it."""
    why_not: str = ""

    @property
    def expected(self) -> str:
        """Recall and dollars in words; empty where it has no threshold."""
        if self.recall is None or self.dollars_per_1000 is None:
            return ""
        return f"recall {rate_range(self.recall)}, {usd_range(self.dollars_per_1000)} per 1,000"

    def to_dict(self) -> dict[str, Any]:
        """The point as JSON types."""
        figures = {name: getattr(self, name) for name in ("recall", "flag_rate", "dollars_per_1000")}
        known = {name: None if one is None else one.to_dict() for name, one in figures.items()}
        return {"name": self.name, "threshold": self.threshold, **known, "why_not": self.why_not}


@dataclass(frozen=True)
class OperatingPoints(Shown):
    """The points of one classifier on one set of labels, and which of them was asked for."""

    classifier: str
    dataset: str
    wanted: Wanted
    costs: Costs
    items: int
    positives: int
    simulated: bool
    scaling: ScoreScaling
    """Raw scores to probabilities at `costs.prevalence`."""
    certificate: Certificate
    points: tuple[OperatingPoint, ...]
    items_per_day: float | None
    """Items in a day of production; None where the volume is not known."""
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> OperatingPoint:
        """The point of the goal; its threshold is None where the goal can't be reached."""
        return next(point for point in self.points if point.name == self.wanted.goal)

    @property
    def does_not_pay(self) -> str:
        """Why the chosen threshold is not worth running at `costs`, and what would be; empty where it is."""
        chosen, nothing = self.chosen, self.costs.flag_nothing_usd
        usd = None if chosen.dollars_per_1000 is None else chosen.dollars_per_1000.value
        if usd is None or usd < nothing:
            return ""
        found = None if chosen.recall is None else chosen.recall.value
        better = ""
        if found:
            targets = 1000 * self.costs.prevalence
            pays_from = (usd - (1 - found) * nothing) / (found * targets)
            better = f"; it would pay from about {usd_text(pays_from)} a miss (--missed-usd)"
        return f"flagging nothing would cost {usd_text(nothing)} per 1,000, this threshold {usd_text(usd)}{better}"

    @property
    def goal_text(self) -> str:
        """The goal as a person says it."""
        if self.wanted.goal == "recall":
            return f"a recall of {self.wanted.recall:g} with {self.wanted.confidence:.0%} confidence"
        costs = self.costs
        prices = (
            f"at {percent(costs.prevalence)} targets, {price_text(costs.missed_usd)} a miss, "
            f"{price_text(costs.review_usd)} a review, {price_text(costs.false_alarm_usd)} more a false alarm"
        )
        limit = f" with at most {self.wanted.flags_per_day:g} flags a day" if self.wanted.goal == "flags" else ""
        return f"fewest dollars{limit} {prices}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "classifier": self.classifier,
            "dataset": self.dataset,
            "goal": self.wanted.goal,
            "goal_text": self.goal_text,
            "threshold": self.chosen.threshold,
            "items": self.items,
            "positives": self.positives,
            "missing_positives": self.certificate.missing,
            "simulated": self.simulated,
            "scaling": {name: getattr(self.scaling, name) for name in self.scaling.__slots__},
            "items_per_day": self.items_per_day,
            "does_not_pay": self.does_not_pay,
            "points": [point.to_dict() for point in self.points],
            "notes": list(self.notes),
        }

    def _table(self) -> TableText:
        return _table(self)


def _table(made: OperatingPoints) -> TableText:
    a_day = made.items_per_day is not None
    rows: list[tuple[str, ...]] = []
    for point in made.points:
        mark = "* " if point is made.chosen else ""
        shown = f"{mark}{NAMES[point.name]}"
        if point.threshold is None:
            rows.append((shown, "none", "", "", ""))
            continue
        assert point.recall and point.flag_rate and point.dollars_per_1000
        cells = (
            rate_cells(point.recall),
            _flag_cells(point.flag_rate, made.items_per_day or 1000),
            usd_cells(point.dollars_per_1000),
        )
        rows.append((shown, f"{point.threshold:.10g}", *("\n".join(filter(None, cell)) for cell in cells)))
    title = (
        f"threshold of {made.classifier} on {made.dataset}, {counted(made.items, 'item')}, "
        f"{counted(made.positives, 'target')}; * is the one asked for"
    )
    return TableText(
        title,
        ("point", "threshold", "recall", "flags a day" if a_day else "flags per 1,000", "dollars per 1,000"),
        tuple(rows),
        made.notes,
        ("SIMULATED",) if made.simulated else (),
        right=(1, 2, 3, 4),
    )


def _flag_cells(rate: Estimate, items: float) -> tuple[str, str]:
    value = "?" if rate.value is None else items_text(rate.value * items)
    if rate.low is None or rate.high is None:
        return value, ""
    return value, f"{items_text(rate.low * items)}-{items_text(rate.high * items)}"


def items_text(count: float) -> str:
    """So many items, which may be a part of one: `1,234`, `2.5`."""
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"
