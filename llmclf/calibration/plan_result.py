"""What a plan of a session says: its figures, and its rows for people."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from llmclf.calibration.drawing import spelled
from llmclf.calibration.expected import ERRING, RATES, Assumed
from llmclf.calibration.session import SessionDesign, SessionKind
from llmclf.render.tables import Shown, TableText, price_text, usd_text
from llmclf.types import Bar, Estimate

SECONDS_A_LABEL = 45.0
"""Where nobody has labelled yet and nothing else is said."""
MISSED, TOO_MANY = 1 - ERRING.sensitivity, 1 - ERRING.specificity
"""What a person who errs misses of the targets, and takes for one of the others."""
_Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class People:
    """Who labels, and what their time costs."""

    annotators: tuple[str, ...]
    per_item: int
    adjudicator: str = ""
    seconds_a_label: float = SECONDS_A_LABEL
    seconds_from: str = "assumed"
    """`assumed`, `given`, or the number of earlier labels they are the median of."""
    usd_per_hour: float = 48.0


@dataclass(frozen=True, slots=True)
class Work:
    """What people have to do."""

    labels: int
    """First labels, practice included."""
    hours_a_person: float
    """Of the annotator with the most labels."""
    adjudications: float
    """Cases on which people will differ, on average; 0 without an adjudicator."""
    usd: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another session of the same pool, with which the judge passes in 8 of 10."""

    design: SessionDesign
    items: int
    chance: float
    work: Work
    steps: tuple[str, ...] = ()
    """The commands that lead to it."""


@dataclass(frozen=True)
class SessionPlan(Shown):
    """Cases, labels, hours and dollars of a session, and the intervals that its labels will give."""

    name: str
    """Of the task or judge."""
    kind: SessionKind
    design: SessionDesign
    pool: int
    items: int
    """Cases drawn, without practice."""
    practice: int
    align: int
    test: int
    strata: dict[str, int]
    """Cases drawn by stratum; empty at random."""
    people: People
    labels: int
    """First labels, practice included."""
    hours_a_person: float
    """Of the annotator with the most labels."""
    adjudications: float
    """Cases on which people will differ, on average; 0 without an adjudicator."""
    usd: float
    assumed: Assumed
    """The judge (for a task: a classifier held against the labels) and the pool."""
    verdicts_assumed: bool
    """True where the strata are of verdicts that nothing has given yet."""
    expected_positives: float
    """Targets among the test cases: those drawn by known label; else on average, by what is assumed."""
    figures: dict[str, Estimate]
    """What the report card will say of such a judge: its true figures, with the medians of the interval's ends."""
    chance: float
    """That such a judge passes its bar, if people are right."""
    chance_erring: float
    """The same where each person misses 15 % of the targets and takes 2 % of the others for one.

    An adjudicator, where one is named, is right.
    """
    chance_adjudicated: float
    """The same if two such people labelled every case, and an adjudicator decided where they differ."""
    bar: Bar
    proposal: Proposal | None = None
    """Where this session has little chance: another of this pool that can."""
    steps: tuple[str, ...] = ()
    """The commands that lead to this very session."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        figures = {name: figure.to_dict() for name, figure in self.figures.items()}
        return {**asdict(self), "figures": figures, "steps": list(self.steps), "notes": list(self.notes)}

    def _table(self) -> TableText:
        drawn = ", ".join(f"{name} {count:,}" for name, count in self.strata.items())
        made = " (assumed: nothing has judged the pool yet)" if self.verdicts_assumed else ""
        notes = (*self.notes, *([f"Drawn: {drawn}{made}."] if drawn else []))
        title = f"plan of a session: {self.name}, {spelled(self.design)}"
        return TableText(title, ("", "plan", ""), rows_of(self), notes, right=(1,), interval=True)


def rows_of(plan: SessionPlan) -> tuple[_Row, ...]:
    """Work first; then what the labels will say of the pool, and of a judge or a classifier."""
    parts = [f"{plan.test:,} to test"] + ([f"{plan.align:,} to align"] if plan.align else [])
    people, decides = plan.people, plan.people.adjudicator
    timing = f"{people.seconds_a_label:.0f} s a label ({people.seconds_from})"
    of_pool = [_figure_row("prevalence", plan.figures["prevalence"])]
    rates = [_figure_row(name, plan.figures[name]) for name in RATES]
    if plan.kind == "judge":
        told = [*rates, *of_pool]
    else:  # labels say how common the target is; by known label only a classifier's verdicts do
        known, later = ([], of_pool) if plan.design == "class_balanced" else (of_pool, [])
        told = [*known, ("A CLASSIFIER", "", "held against these labels, if there is one"), *rates, *later]
    return (
        ("cases", f"{plan.items:,} of {plan.pool:,}", ", ".join(parts)),
        ("targets to expect", _about(plan), f"in the {plan.test:,} that test"),
        ("labels", f"{plan.labels:,}", f"{people.per_item} a case, {plan.practice} more to practise"),
        ("hours a person", f"{plan.hours_a_person:.1f}", f"{len(people.annotators)} to label, {timing}"),
        *([("adjudications", _number(plan.adjudications), f"by {decides}")] if decides else []),
        ("dollars", usd_text(plan.usd), f"at {price_text(people.usd_per_hour)} an hour"),
        *told,
        ("chance to pass", f"{plan.chance:.0%}", f"the {_BARS[plan.kind]} bar, if people are right"),
        ("if people err", f"{plan.chance_erring:.0%}", f"misses {percent(MISSED)}, false alarms {percent(TOO_MANY)}"),
    )


_BARS = {"judge": "judge's", "task": "usual"}


def percent(share: float) -> str:
    """`0.5 %`"""
    return f"{100 * share:.3g} %"


def near_one(rate: float) -> str:
    """`0.95`, `0.9991`: as many digits as tell it from 1."""
    if rate >= 1:
        return "1"
    return f"{rate:.{max(2, -math.floor(math.log10(1 - rate)))}f}"


def _about(plan: SessionPlan) -> str:
    return f"{plan.expected_positives:,.0f}" if plan.design == "class_balanced" else _number(plan.expected_positives)


def _number(count: float) -> str:
    return f"{count:.1f}" if count < 10 else f"{count:,.0f}"


def _figure_row(name: str, figure: Estimate) -> _Row:
    if figure.low is None or figure.high is None:
        return name.replace("_", " "), "?", figure.why_not
    value = "?" if figure.value is None else near_one(figure.value) if figure.value > 0.9 else f"{figure.value:.3g}"
    return name.replace("_", " "), value, f"{_end(name, figure.low)} to {_end(name, figure.high)}"


def _end(name: str, end: float) -> str:
    """An end of an interval; one so near 1 that two digits would say 1 has as many as tell it from 1."""
    if name == "prevalence":
        return f"{end:.4f}"
    return near_one(end) if 0.995 <= end < 0.99999 else f"{end:.2f}"
