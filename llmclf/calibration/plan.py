"""A session planned: what was drawn, what it takes, and what its labels will be able to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from llmclf.calibration.advice import Found, Redraw, larger_pool, layout_of, smallest
from llmclf.calibration.drawing import Drawn, spelled
from llmclf.calibration.expected import ERRING, Assumed, Layout, chance_of, expected
from llmclf.calibration.plan_result import SECONDS_A_LABEL, People, Proposal, SessionPlan, Work, percent
from llmclf.calibration.plan_words import (
    advised,
    assumed_words,
    by_stratum,
    hopeless,
    of_people,
    pool_agreement_words,
)
from llmclf.calibration.session import SessionDesign, SessionKind
from llmclf.errors import ConfigError
from llmclf.render.tables import usd_text
from llmclf.types import Bar

__all__ = ["SECONDS_A_LABEL", "SMALL_CHANCE", "People", "SessionPlan", "check_rates", "plan_session"]

SMALL_CHANCE = 0.5
"""Below it a design is advised against."""


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
    prevalence_from: str = "",
    sensitivity: float | None = None,
    specificity: float | None = None,
    flagged: float | None = None,
    verdicts_assumed: bool = False,
    redraw: Redraw | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> SessionPlan:
    """The plan of what was drawn, for a judge (or classifier) with these rates; by default one that deserves to pass.

    Where it is known which share of the pool it has `flagged` (given a positive verdict, one of `targets`), that and
    the sensitivity say what its specificity must be, whatever the design. Intervals are those of the report card, over
    simulated sessions. `redraw` draws other sessions of the pool: where this one has little chance, the smallest that
    has a good one is proposed. `prevalence_from` says in words where the prevalence is from. Raises ConfigError that
    lists every rate that is none.
    """
    check_rates(name, prevalence, sensitivity, specificity, people)
    items = [item for item in drawn.items if item.split != "practice"]
    assumed = _assumed(flagged, prevalence, sensitivity, specificity, bar)
    layout = layout_of(design, drawn, targets)
    told = expected(layout, assumed, bar, seed=seed)
    positives = layout.expected_positives(assumed)
    erring, adjudicated = _chances(layout, assumed, bar, people, seed)
    work = work_of(drawn, people, positives / layout.labels)
    share = layout.labels / len(items)
    names = [item.stratum for item in items]
    places = {stratum: place for place, stratum in enumerate(drawn.population)}
    plan = SessionPlan(
        name=name,
        kind=kind,
        design=design,
        pool=layout.pool,
        items=len(items),
        practice=len(drawn.items) - len(items),
        align=len(items) - layout.labels,
        test=layout.labels,
        strata={one: names.count(one) for one in sorted(set(names), key=lambda one: places.get(one, 0)) if one},
        people=people,
        **asdict(work),
        assumed=assumed,
        verdicts_assumed=verdicts_assumed,
        expected_positives=positives,
        figures=dict(told.figures),
        chance=told.chance,
        chance_erring=erring,
        chance_adjudicated=adjudicated,
        bar=bar,
    )
    proposal, advice = _advice(plan, layout, redraw, targets, share, seed)
    first = [advice] if advice and kind == "judge" else []
    last = [advice] if advice and kind == "task" else []
    told_of = [assumed_words(plan, prevalence_from)]
    told_of += [by_stratum(layout, assumed, kind)] if design == "by_verdict" else []
    told_of += [pool_agreement_words(kind)] if design == "class_balanced" else []
    told_of.append(of_people(people, kind, erring, adjudicated))
    return replace(plan, proposal=proposal, notes=(*first, *told_of, *notes, *last))


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


def work_of(drawn: Drawn, people: People, positives: float) -> Work:
    """Labels, hours and dollars of a draw of which a share `positives` are targets."""
    labels = sum(len(item.annotators) for item in drawn.items)
    most = max(sum(name in item.annotators for item in drawn.items) for name in people.annotators)
    items = sum(item.split != "practice" for item in drawn.items)
    differ = _differ(people, positives) * items if people.adjudicator else 0.0
    hours = people.seconds_a_label / 3600
    return Work(labels, most * hours, differ, (labels + differ) * hours * people.usd_per_hour)


def _assumed(
    flagged: float | None, prevalence: float, sensitivity: float | None, specificity: float | None, bar: Bar
) -> Assumed:
    default = Assumed.deserving(prevalence, bar)
    found = default.sensitivity if sensitivity is None else sensitivity
    if specificity is not None:
        return Assumed(prevalence, found, specificity)
    if flagged is not None:
        return Assumed.seen(prevalence, found, flagged)
    return Assumed(prevalence, found, default.specificity)


def _chances(layout: Layout, assumed: Assumed, bar: Bar, people: People, seed: int) -> tuple[float, float]:
    """(as it is planned, by two people and an adjudicator) to pass where people err."""
    planned = replace(ERRING, per_item=people.per_item, adjudicated=bool(people.adjudicator))
    best = replace(ERRING, per_item=2, adjudicated=True)
    erring = chance_of(layout, assumed, bar, planned, seed=seed)
    return erring, erring if planned == best else chance_of(layout, assumed, bar, best, seed=seed)


def _differ(people: People, positives: float) -> float:
    """The chance that not all who label a case say the same."""

    def same(right: float) -> float:
        return right**people.per_item + (1 - right) ** people.per_item

    return 1 - positives * same(ERRING.sensitivity) - (1 - positives) * same(ERRING.specificity)


def _advice(
    plan: SessionPlan, layout: Layout, redraw: Redraw | None, targets: frozenset[str], share: float, seed: int
) -> tuple[Proposal | None, str]:
    """(what to do instead, in words) where such a judge has little chance to pass; (None, empty) elsewhere."""
    if plan.chance >= SMALL_CHANCE:
        return None, ""
    if below := plan.assumed.below(plan.bar):
        return None, hopeless(plan, below)
    found = redraw and smallest(redraw, targets, share, plan.assumed, plan.bar, pool=layout.pool, seed=seed)
    if not found:
        words, items = larger_pool(plan.assumed, plan.bar, share, layout.pool, seed=seed)
        return None, advised(plan, f"{words}{_roughly(items, plan.people)}")
    proposal = _proposal(found, plan, targets)
    work = f"{proposal.work.hours_a_person:.1f} hours a person, {usd_text(proposal.work.usd)}"
    words = f"{spelled(found.design)} with {found.items:,} items can (chance {percent(found.chance)}; {work})"
    return proposal, advised(plan, words)


def _proposal(found: Found, plan: SessionPlan, targets: frozenset[str]) -> Proposal:
    layout = layout_of(found.design, found.drawn, targets)
    work = work_of(found.drawn, plan.people, layout.expected_positives(plan.assumed) / layout.labels)
    return Proposal(found.design, found.items, found.chance, work)


def _roughly(items: int, people: People) -> str:
    """Hours and dollars of items that are not drawn yet."""
    if not items:
        return ""
    hours = items * people.per_item * people.seconds_a_label / 3600
    return f" (some {hours / len(people.annotators):,.0f} hours a person, {usd_text(hours * people.usd_per_hour)})"
