"""The notes below a session's plan: what was assumed, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

from llmclf.calibration.expected import Assumed, Layout
from llmclf.calibration.plan_result import MISSED, TOO_MANY, People, SessionPlan, near_one, percent
from llmclf.calibration.session import SessionKind

JUDGED = {"judge": "judge", "task": "classifier"}
"""What is held against the labels of a session."""
_BETTER = 0.1
"""So much more chance with two people and an adjudicator is worth a sentence."""


def advised(plan: SessionPlan, words: str) -> str:
    """That this session has little chance, and what has a good one."""
    share = percent(plan.assumed.prevalence)
    if plan.kind == "judge":
        return f"This design can't calibrate at {share}: {words}."
    return (
        f"A classifier held against these labels passes the usual bar in {percent(plan.chance)} of such sessions, at "
        f"{share} targets. If that is what they are for: {words}."
    )


def hopeless(plan: SessionPlan, below: Sequence[str]) -> str:
    """That no labels help a judge that is below the bar itself."""
    figures, assumed = plan.assumed.truths, plan.assumed
    named = ", ".join(f"{one.replace('_', ' ')} ({figures[one]:.2f})" for one in below)
    return (
        f"Such a {JUDGED[plan.kind]} is below the bar itself, by its {named}: no number of labels lets it pass. It "
        f"calls {percent(assumed.positive)} of the pool positive, with {percent(assumed.prevalence)} targets in it; "
        "where there are more (or fewer), say so with --prevalence."
    )


def assumed_words(plan: SessionPlan, prevalence_from: str) -> str:
    """The pool and the judge that the figures are of."""
    assumed = plan.assumed
    share = f"{percent(assumed.prevalence)} targets{f' ({prevalence_from})' if prevalence_from else ''}"
    rates = (
        f"with sensitivity {assumed.sensitivity:.2f}, specificity {near_one(assumed.specificity)}, so positive "
        f"agreement {assumed.truths['positive_agreement']:.2f}"
    )
    if plan.kind == "judge":
        return f"Assumed: {share}, and a judge {rates}; people who are right."
    return f"Assumed: {share}, and people who are right. The classifier below them is one {rates}."


def by_stratum(layout: Layout, assumed: Assumed, kind: SessionKind) -> str:
    """Where the targets to expect are, of cases drawn by verdict."""
    if not layout.positive:
        return f"None is drawn from positive verdicts; {percent(assumed.missed)} of the others are taken to be targets."
    return (
        f"Targets to expect follow from such a {JUDGED[kind]}: {percent(assumed.precision)} of its positive verdicts "
        f"are targets, and {percent(assumed.missed)} of the others."
    )


def pool_agreement_words(kind: SessionKind) -> str:
    """What labels drawn by known label need of a judge."""
    return (
        "Positive agreement is that of the pool, not of the labelled set, half of which are targets: the "
        f"{JUDGED[kind]} has to judge the whole pool, or it stays unknown."
    )


def of_people(people: People, kind: SessionKind, erring: float, adjudicated: float) -> str:
    """What it means that people are not always right."""
    who = "one person a case" if people.per_item == 1 else f"{people.per_item} people a case"
    decided = "an adjudicator who is right" if people.adjudicator else "nobody to decide"
    told = (
        f"People who miss {percent(MISSED)} of the targets and take {percent(TOO_MANY)} of the others for one make "
        f"a {JUDGED[kind]} look worse than it is: with {who} and {decided} the chance to pass is {percent(erring)}"
    )
    if adjudicated < erring + _BETTER:
        return f"{told}."
    return f"{told}; with two people a case and an adjudicator who is right it is {percent(adjudicated)}."
