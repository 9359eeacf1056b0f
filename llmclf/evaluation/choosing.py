"""Which threshold to take: from the labelled scores of a run to candidates with held-out figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

import numpy as np

import llmclf.stats as stats
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation.drawn import Drawn, drawn
from llmclf.evaluation.matching import Matched, match
from llmclf.evaluation.notes import percent
from llmclf.evaluation.operating_point import NAMES, OperatingPoint, OperatingPoints, Wanted, items_text
from llmclf.evaluation.volume import items_per_conversation, volume_sentence
from llmclf.render.tables import counted, usd_text
from llmclf.stats.outcomes import usd_shares
from llmclf.stats.thresholds import (
    ALWAYS,
    NEVER,
    Certificate,
    Scored,
    ScoreScaling,
    at_same_loss,
    bayes_threshold,
    certify,
    cheapest,
    fit_scaling,
    held_out_flags,
    within_flags,
)
from llmclf.types import Costs, Dataset, Estimate, Predictions, Task
from llmclf.types.costs import DAYS_PER_MONTH

_FOLDS, _REPEATS = 5, 4
_DIGITS = 4


def operating_points(
    predictions: Predictions,
    dataset: Dataset,
    task: Task,
    *,
    costs: Costs,
    wanted: Wanted = Wanted(),
    current: float | None = None,
    name: str = "",
    seed: int = 0,
) -> OperatingPoints:
    """Thresholds for the scores of `predictions`, each with held-out figures, beside the `current` one.

    A threshold that labels chose looks better on them than it is, so every figure of such a one is moved by what
    its rule loses on labels that it has not seen (cross-fitting by group, five folds, four times); its interval
    reaches as far. Failed items are missed targets; items without a score are flagged as they were, at any
    threshold.

    Raises ConfigError for `flags` without a limit and a volume, DataError where predictions, labels or design do
    not fit, where no item has a score, or scores do not rise with the target.
    """
    _check(wanted, costs)
    matched = match(predictions, dataset, task)
    basis = drawn(dataset, matched.examples)
    items = _scored(predictions, matched, basis)
    scaling = fit_scaling(items, costs.prevalence)
    certificate = certify(items, wanted.recall, wanted.confidence)
    per_conversation = items_per_conversation(dataset, task)
    per_day = _items_per_day(per_conversation, costs)
    points = _points(items, scaling, certificate, costs, wanted, current, per_day, seed)
    made = OperatingPoints(
        classifier=name or matched.column(predictions, "classifier_id")[0].partition("@")[0],
        dataset=dataset.name,
        wanted=wanted,
        costs=costs,
        items=len(items.score),
        positives=int(items.positive.sum()),
        simulated=any(predictions.column("simulated")),
        scaling=scaling,
        certificate=certificate,
        points=tuple(points),
        items_per_day=per_day,
    )
    volume = [volume_sentence(per_conversation)] if task.unit == "turn" and per_day is not None else []
    return replace(made, notes=(*_notes(made, items, basis), *volume))


def _check(wanted: Wanted, costs: Costs) -> None:
    problems = []
    if wanted.goal == "flags" and wanted.flags_per_day is None:
        problems.append("the goal `flags` needs a limit: --flags-per-day 300")
    if wanted.flags_per_day is not None and costs.conversations_per_month is None:
        problems.append("a limit of flags a day needs production's volume: --conversations-per-month 400000")
    if wanted.flags_per_day is not None and not wanted.flags_per_day > 0:
        problems.append(f"flags a day must be above 0; got {wanted.flags_per_day}")
    for name, share in (("recall", wanted.recall), ("confidence", wanted.confidence), ("prevalence", costs.prevalence)):
        if not 0 < share < 1:
            problems.append(f"{name} must be between 0 and 1; got {share}")
    if problems:
        raise ConfigError("no threshold can be chosen so", where="threshold", problems=problems)


def _scored(predictions: Predictions, matched: Matched, basis: Drawn) -> Scored:
    without = np.where(matched.flagged, ALWAYS, NEVER)
    score = np.array(matched.column(predictions, "score"), float)  # None is nan
    score = np.where(matched.failed, NEVER, np.where(np.isnan(score), without, score))
    items = Scored(matched.positive, score, matched.failed, basis.sampling)
    if not items.has_score.any():
        raise DataError(
            "no answer has a score, so there is nothing to set a threshold on",
            where="threshold",
            fix='answer = "explained" gives a verbalized score, answer = "label" one from log-probabilities',
        )
    return items


def _items_per_day(per_conversation: float, costs: Costs) -> float | None:
    volume = costs.conversations_per_month
    return None if volume is None else per_conversation * volume / DAYS_PER_MONTH


def _failed_share(items: Scored, costs: Costs) -> float:
    """Share of all items, at the assumed prevalence, that are reviewed because they failed, at any threshold."""
    if costs.on_error == "miss":
        return 0.0
    return float(usd_shares(items.positive, items.sampling, costs.prevalence) @ items.failed)


def _points(
    items: Scored,
    scaling: ScoreScaling,
    certificate: Certificate,
    costs: Costs,
    wanted: Wanted,
    current: float | None,
    per_day: float | None,
    seed: int,
) -> Iterator[OperatingPoint]:
    if current is not None:
        yield _measured("current", items, current, costs, None, seed)
    best = cheapest(items, costs)
    if best == ALWAYS:
        yield OperatingPoint("dollars", None, why_not=_no_flag_pays(scaling, costs))
    else:
        yield _measured("dollars", items, _rounded(best), costs, lambda part: cheapest(part, costs), seed)
    if wanted.flags_per_day is not None and per_day is not None:
        most = wanted.flags_per_day / per_day - _failed_share(items, costs)
        limited = within_flags(items, costs, most) if most > 0 else None
        if limited is None or limited == ALWAYS:
            why = "even the highest score is reached too often" if most > 0 else "failed items alone are more than that"
            yield OperatingPoint("flags", None, why_not=why if limited is None else _no_flag_pays(scaling, costs))
        else:
            limited = _rounded(limited, up=limited > best)
            yield _measured("flags", items, limited, costs, lambda part: within_flags(part, costs, most), seed)
    if certificate.threshold is None:
        yield OperatingPoint("recall", None, why_not=certificate.why_not)
    else:
        threshold = _rounded(certificate.threshold)
        yield _measured("recall", items, threshold, costs, at_same_loss(items, threshold), seed)


def _measured(
    name: str,
    items: Scored,
    threshold: float,
    costs: Costs,
    rule: Callable[[Scored], float | None] | None,
    seed: int,
) -> OperatingPoint:
    table = stats.confusion(items.positive, items.flagged(threshold), items.sampling, failed=items.failed, seed=seed)
    figures = _figures(table, costs, stats.LEAST_POSITIVES)
    if rule is not None:
        seen = _figures(table, costs, 1)
        held = [
            _figures(stats.confusion(items.positive, flags, items.sampling, failed=items.failed, draws=8), costs, 1)
            for flags in held_out_flags(items, _or_none(rule), folds=_FOLDS, repeats=_REPEATS, seed=seed)
        ]
        ends = (1.0, 1.0, math.inf)
        figures = tuple(
            _moved(figure, float(np.mean([one[at].value for one in held])) - (seen[at].value or 0.0), ends[at])
            for at, figure in enumerate(figures)
        )
    found, flags, dollars = figures
    return OperatingPoint(name, threshold, found, flags, dollars)


def _figures(table: stats.Confusion, costs: Costs, least: int) -> tuple[Estimate, ...]:
    return (
        stats.recall(table, least=least),
        stats.projected_flag_rate(table, costs.prevalence, least=least),
        stats.dollars_per_1000(table, costs, least=least),
    )


def _or_none(rule: Callable[[Scored], float | None]) -> Callable[[Scored], float | None]:
    """The rule, and None for a part of the items on which it can't choose."""

    def choose(part: Scored) -> float | None:
        try:
            return rule(part)
        except DataError:
            return None

    return choose


def _moved(seen: Estimate, loss: float, end: float) -> Estimate:
    """The estimate moved by what its rule loses on labels it has not seen; its interval holds both."""
    if seen.low is None or seen.high is None:
        return seen

    def inside(value: float) -> float:
        return min(max(value, 0.0), end)

    value = None if seen.value is None else inside(seen.value + loss)
    low, high = inside(seen.low + min(loss, 0.0)), inside(seen.high + max(loss, 0.0))
    return replace(seen, value=value, low=low, high=high, method=f"{seen.method}, cross-fitted")


def _rounded(threshold: float, *, up: bool = False) -> float:
    """Four digits that tell it from 0 and 1; down, so that no item is lost, or up, so that none is added."""
    room = min(threshold, 1.0 - threshold)
    if room <= 0:
        return threshold
    places = _DIGITS - 1 - math.floor(math.log10(room))
    step = Decimal(1).scaleb(-places)
    return float(Decimal(repr(threshold)).quantize(step, ROUND_UP if up else ROUND_DOWN))


def _no_flag_pays(scaling: ScoreScaling, costs: Costs) -> str:
    surest, needed = float(scaling.probabilities([1.0])[0]), bayes_threshold(costs)
    if needed >= 1:
        return "no flag pays: a review costs more than a miss"
    return f"no flag pays below a chance of {percent(needed)}, and even the highest score means only {percent(surest)}"


def _notes(made: OperatingPoints, items: Scored, basis: Drawn) -> Iterator[str]:
    yield f"Goal: {made.goal_text}."
    chosen = made.chosen
    if chosen.threshold is None:
        yield f"There is no such threshold: {chosen.why_not}."
    elif made.wanted.goal == "dollars":
        yield f"A flag pays from a chance of {percent(bayes_threshold(made.costs))}, which is this score."
    if chosen.threshold == 0:
        yield "It flags everything: that is what is asked for, but no classifier is needed for it."
    none, dollars = made.costs.flag_nothing_usd, chosen.dollars_per_1000
    if dollars is not None and dollars.value is not None and dollars.value >= none:
        yield f"To flag nothing would cost {usd_text(none)} per 1,000: at these prices this threshold does not pay."
    for point in made.points:
        if point.threshold is None and point.why_not != chosen.why_not:
            yield f"{NAMES[point.name].capitalize()}: {point.why_not}."
    if made.certificate.threshold is not None:
        yield f"Certified: recall is {made.wanted.recall:g} or more with {made.wanted.confidence:.0%} confidence."
    yield (
        "Figures of chosen thresholds are held out: moved by what their rule loses on labels it has not seen. "
        "Dollars are without the model's price."
    )
    failed, unscored = int(items.failed.sum()), int((~items.has_score & ~items.failed).sum())
    if failed:
        lost = int((items.failed & items.positive).sum())
        yield f"{counted(failed, 'item')} failed, targets among them: {lost}. No threshold finds those."
        reviewed = _failed_share(items, made.costs) * (made.items_per_day or 0)
        if reviewed:
            limited = " and take of the limit" if made.wanted.flags_per_day is not None else ""
            yield f"About {items_text(reviewed)} failed items a day are reviewed beside the flags{limited}."
    if unscored:
        yield f"{counted(unscored, 'answer')} without a score: no threshold decides on them."
    if basis.why_not:
        yield (
            f"What is said of targets holds for targets like those of this set, because {basis.why_not}; flags and "
            f"dollars are projected to {percent(made.costs.prevalence)}."
        )
