"""What a session will take of people, and what it can tell, before anybody labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from llmclf.calibration.drawing import Drawn
from llmclf.calibration.expected import (
    ERRING,
    FIGURES,
    MOST_ITEMS,
    Assumed,
    Layout,
    chance_of,
    expected,
    items_needed,
    pool_needed,
    rounded_up,
)
from llmclf.calibration.session import SessionDesign, SessionKind
from llmclf.errors import ConfigError
from llmclf.render.tables import Shown, TableText, price_text, usd_text
from llmclf.types import Bar, Estimate

SECONDS_A_LABEL = 45.0
"""Where nobody has labelled yet and nothing else is said."""
SMALL_CHANCE = 0.5
"""Below it a design is advised against."""
_MISSED, _TOO_MANY = 1 - ERRING.sensitivity, 1 - ERRING.specificity
_POOL = (
    "Positive agreement is that of the pool, not of the labelled set, half of which are targets: the judge has to "
    "judge the whole pool, or it stays unknown."
)
_BETTER = 0.1
"""So much more chance with two people and an adjudicator is worth a sentence."""


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
    strata: Mapping[str, int]
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
    expected_positives: float
    """Targets among the test cases, on average."""
    figures: Mapping[str, Estimate]
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
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        figures = {name: figure.to_dict() for name, figure in self.figures.items()}
        return {**asdict(self), "strata": dict(self.strata), "figures": figures, "notes": list(self.notes)}

    def _table(self) -> TableText:
        parts = [f"{self.test:,} to test"] + ([f"{self.align:,} to align"] if self.align else [])
        people, decides = self.people, self.people.adjudicator
        timing = f"{people.seconds_a_label:.0f} s a label ({people.seconds_from})"
        bar = "judge's" if self.kind == "judge" else "usual"
        rows = [
            ("cases", f"{self.items:,} of {self.pool:,}", ", ".join(parts)),
            ("targets to expect", _about(self.expected_positives), f"in the {self.test:,} that test"),
            ("labels", f"{self.labels:,}", f"{people.per_item} a case, {self.practice} more to practise"),
            ("hours a person", f"{self.hours_a_person:.1f}", f"{len(people.annotators)} to label, {timing}"),
            *([("adjudications", _about(self.adjudications), f"by {decides}")] if decides else []),
            ("dollars", usd_text(self.usd), f"at {price_text(people.usd_per_hour)} an hour"),
            *(_figure_row(name, self.figures[name]) for name in FIGURES),
            ("chance to pass", f"{self.chance:.0%}", f"the {bar} bar, if people are right"),
            (
                "if people err",
                f"{self.chance_erring:.0%}",
                f"misses {_percent(_MISSED)}, false alarms {_percent(_TOO_MANY)}",
            ),
        ]
        strata = ", ".join(f"{name} {count:,}" for name, count in self.strata.items())
        notes = (*self.notes, *([f"Drawn: {strata}."] if strata else []))
        title = f"plan of a session: {self.name}, {self.design.replace('_', ' ')}"
        return TableText(title, ("", "plan", ""), tuple(rows), notes, right=(1,), interval=True)


def plan_session(
    name: str,
    kind: SessionKind,
    design: SessionDesign,
    drawn: Drawn,
    people: People,
    *,
    bar: Bar = Bar(),
    targets: frozenset[str] = frozenset(),
    prevalence: float = 0.005,
    sensitivity: float | None = None,
    specificity: float | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> SessionPlan:
    """The plan of what was drawn, for a judge (or classifier) with these rates; by default one that deserves to pass.

    Where the pool's verdicts are known, the share of `targets` (verdicts that are looked for) among them and the
    sensitivity say what its specificity must be. Intervals are those of the report card, over simulated sessions.
    Raises ConfigError that lists every rate that is none.
    """
    check_rates(name, prevalence, sensitivity, specificity, people)
    items = [item for item in drawn.items if item.split != "practice"]
    tested = sum(item.split == "test" for item in items)
    pool = sum(drawn.population.values())
    assumed = _assumed(drawn.population, targets, prevalence, sensitivity, specificity, bar)
    layout = Layout.of(design, pool, tested, assumed)
    told = expected(layout, assumed, bar, seed=seed)
    names = [item.stratum for item in items]
    practice = len(drawn.items) - len(items)
    labels = sum(len(item.annotators) for item in drawn.items)
    most = max(sum(name in item.annotators for item in drawn.items) for name in people.annotators)
    erring, adjudicated = _chances(layout, assumed, bar, people, seed)
    differ = _differ(people, layout.expected_positives(assumed) / tested) * len(items) if people.adjudicator else 0.0
    share = len(items) / tested
    return SessionPlan(
        name=name,
        kind=kind,
        design=design,
        pool=pool,
        items=len(items),
        practice=practice,
        align=len(items) - tested,
        test=tested,
        strata={one: names.count(one) for one in dict.fromkeys(sorted(names, key=_order(drawn))) if one},
        people=people,
        labels=labels,
        hours_a_person=most * people.seconds_a_label / 3600,
        adjudications=differ,
        usd=(labels + differ) * people.seconds_a_label / 3600 * people.usd_per_hour,
        assumed=assumed,
        expected_positives=layout.expected_positives(assumed),
        figures=told.figures,
        chance=told.chance,
        chance_erring=erring,
        chance_adjudicated=adjudicated,
        bar=bar,
        notes=(
            *_notes(design, layout, assumed, bar, told.chance, share, seed),
            *_of_people(people, erring, adjudicated),
            *notes,
        ),
    )


def check_rates(
    name: str, prevalence: float, sensitivity: float | None, specificity: float | None, people: People
) -> None:
    """Raises ConfigError that lists every assumption that can't be."""
    rates = {"prevalence": prevalence, "sensitivity": sensitivity, "specificity": specificity}
    problems = [
        f"{rate} must be above 0 and {'below' if rate == 'prevalence' else 'at most'} 1; got {value:g}"
        for rate, value in rates.items()
        if value is not None and not (0 < value < 1 or (value == 1 and rate != "prevalence"))
    ]
    if not people.seconds_a_label > 0:
        problems.append(f"seconds a label must be above 0; got {people.seconds_a_label:g}")
    if not people.usd_per_hour >= 0:
        problems.append(f"dollars an hour must be 0 or more; got {people.usd_per_hour:g}")
    if problems:
        raise ConfigError("no session can be planned so", where=name, problems=problems)


def _order(drawn: Drawn) -> Any:
    places = {name: place for place, name in enumerate(drawn.population)}
    return lambda name: places.get(name, len(places))


def _assumed(
    population: Mapping[str, int],
    targets: frozenset[str],
    prevalence: float,
    sensitivity: float | None,
    specificity: float | None,
    bar: Bar,
) -> Assumed:
    default = Assumed.deserving(prevalence, bar)
    found = default.sensitivity if sensitivity is None else sensitivity
    if specificity is not None:
        return Assumed(prevalence, found, specificity)
    positive = sum(size for name, size in population.items() if name in targets)
    if positive:
        return Assumed.seen(prevalence, found, positive / sum(population.values()))
    return Assumed(prevalence, found, default.specificity)


def _chances(layout: Layout, assumed: Assumed, bar: Bar, people: People, seed: int) -> tuple[float, float]:
    """(as it is planned, by two people and an adjudicator) to pass where people err."""
    planned = replace(ERRING, per_item=people.per_item, adjudicated=bool(people.adjudicator))
    best = replace(ERRING, per_item=2, adjudicated=True)
    erring = chance_of(layout, assumed, bar, planned, seed=seed)
    return erring, erring if planned == best else chance_of(layout, assumed, bar, best, seed=seed)


def _of_people(people: People, erring: float, adjudicated: float) -> list[str]:
    """What it means that people are not always right."""
    who = "one person a case" if people.per_item == 1 else f"{people.per_item} people a case"
    decided = "an adjudicator who is right" if people.adjudicator else "nobody to decide"
    told = (
        f"People who miss {_percent(_MISSED)} of the targets and take {_percent(_TOO_MANY)} of the others for one make "
        f"a judge look worse than it is: with {who} and {decided} the chance to pass is {_percent(erring)}"
    )
    if adjudicated < erring + _BETTER:
        return [f"{told}."]
    return [f"{told}; with two people a case and an adjudicator who is right it is {_percent(adjudicated)}."]


def _differ(people: People, positives: float) -> float:
    """The chance that not all who label a case say the same."""

    def same(right: float) -> float:
        return right**people.per_item + (1 - right) ** people.per_item

    return 1 - positives * same(ERRING.sensitivity) - (1 - positives) * same(ERRING.specificity)


def _notes(
    design: SessionDesign, layout: Layout, assumed: Assumed, bar: Bar, chance: float, share: float, seed: int
) -> list[str]:
    """What was assumed, and what to do where the judge has little chance; `share` is cases drawn for each tested."""
    agreement = assumed.truths["positive_agreement"]
    notes = [
        f"Assumed: {_percent(assumed.prevalence)} targets, and a judge with sensitivity {assumed.sensitivity:.2f}, "
        f"specificity {_near_one(assumed.specificity)}, so positive agreement {agreement:.2f}; people who are right."
    ]
    if design == "class_balanced":
        notes.append(_POOL)
    if chance >= SMALL_CHANCE:
        return notes
    if below := assumed.below(bar):
        figures = assumed.truths
        named = ", ".join(f"{one.replace('_', ' ')} ({figures[one]:.2f})" for one in below)
        hopeless = (
            f"Such a judge is below the bar itself, by its {named}: no number of labels lets it pass. It calls "
            f"{_percent(assumed.positive)} of the pool positive, with {_percent(assumed.prevalence)} targets in it; "
            "where there are more, say so with --prevalence."
        )
        return [hopeless, *notes]
    return [_advice(design, layout, assumed, bar, share, seed), *notes]


def _advice(design: SessionDesign, layout: Layout, assumed: Assumed, bar: Bar, share: float, seed: int) -> str:
    """The smallest design that can, of this pool; else what would."""
    start = f"This design can't calibrate at {_percent(assumed.prevalence)}"

    def items(labels: int) -> int:
        return rounded_up(labels * share)

    ways: tuple[SessionDesign, ...] = ("by_verdict", "random")
    if design == "class_balanced":
        ways = (design, *ways)
    needed = {way: items_needed(way, assumed, bar, pool=layout.pool, seed=seed) for way in ways}
    found = {way: labels for way, labels in needed.items() if labels and items(labels) <= layout.pool}
    if found:
        way = min(found, key=found.__getitem__)
        return f"{start}: use {way.replace('_', '-')}, {items(found[way]):,} items."
    balanced = items_needed("class_balanced", assumed, bar, seed=seed)
    known = (
        f"class-balanced, {items(balanced):,} items, half of them known targets of a pool that is all judged"
        if balanced
        else ""
    )
    others: tuple[SessionDesign, ...] = ("by_verdict", "random")
    free = {way: labels for way in others if (labels := items_needed(way, assumed, bar, seed=seed))}
    if not free:
        return f"{start}, and neither can any other of up to {MOST_ITEMS:,} items: use {known or 'a lower bar'}."
    way = min(free, key=free.__getitem__)
    size = max(pool_needed(assumed, items(free[way])) if way == "by_verdict" else items(free[way]), layout.pool)
    larger = f"use {way.replace('_', '-')}, {items(free[way]):,} items of a pool of {size:,}"
    return f"{start}, and none can with a pool of {layout.pool:,}: {larger}{f', or {known}' if known else ''}."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _near_one(rate: float) -> str:
    """`0.95`, `0.9991`: as many digits as tell it from 1."""
    if rate >= 1:
        return "1"
    return f"{rate:.{max(2, 1 - math.floor(math.log10(1 - rate)) - 1)}f}"


def _about(count: float) -> str:
    return f"{count:.1f}" if count < 10 else f"{count:,.0f}"


def _figure_row(name: str, figure: Estimate) -> tuple[str, str, str]:
    digits = ".4f" if name == "prevalence" else ".2f"
    if figure.low is None or figure.high is None:
        return name.replace("_", " "), "?", figure.why_not
    value = "?" if figure.value is None else _near_one(figure.value) if figure.value > 0.9 else f"{figure.value:.3g}"
    return name.replace("_", " "), value, f"{figure.low:{digits}} to {figure.high:{digits}}"
