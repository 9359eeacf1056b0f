"""What a session's labels will be able to say, by simulating it with the estimators of the report card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf import stats
from llmclf.calibration.session import SessionDesign
from llmclf.stats.class_balanced import class_balanced_prevalence
from llmclf.stats.stratified import (
    FALSE_ALARM,
    FOUND,
    LEAST_POSITIVES,
    MISSED,
    QUIET,
    Confusion,
    interval_of,
)
from llmclf.types import Bar, Estimate

RATES = ("sensitivity", "specificity", "positive_agreement")
FIGURES = (*RATES, "prevalence")
GOOD_CHANCE = 0.8
"""With which a number of items is taken to be enough."""
MOST_ITEMS = 50_000
_SIMULATIONS = 60
_SEARCHED = 24
_DRAWS = 1000
_HALVINGS = 4
_POSITIVE, _REST = "positive", "rest"
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Assumed:
    """The judge that a plan is made for, and the pool it judges."""

    prevalence: float
    """Share of the pool that is a target."""
    sensitivity: float
    specificity: float

    @classmethod
    def deserving(cls, prevalence: float, bar: Bar) -> Assumed:
        """A judge that should pass the bar: it is two thirds of the way from the bar to 1, or better.

        For its positive agreement to be so good where targets are rare, specificity has to be near 1.
        """
        sensitivity, specificity, agreement = (
            (least + 2) / 3 for least in (bar.sensitivity, bar.specificity, bar.positive_agreement)
        )
        agreement = min(agreement, 0.98 * 2 * sensitivity / (1 + sensitivity))  # the most is with no false alarm
        false = 2 * prevalence * sensitivity * (1 / agreement - 1) - prevalence * (1 - sensitivity)
        return cls(prevalence, sensitivity, max(specificity, 1 - false / (1 - prevalence)))

    @classmethod
    def seen(cls, prevalence: float, sensitivity: float, positive: float) -> Assumed:
        """The judge that gives a positive verdict to a share `positive` of the pool, if that is its sensitivity."""
        found = min(prevalence * sensitivity, positive)
        return cls(prevalence, found / prevalence, 1 - min(1.0, (positive - found) / (1 - prevalence)))

    @property
    def positive(self) -> float:
        """Share of the pool that gets a positive verdict."""
        return self.prevalence * self.sensitivity + (1 - self.prevalence) * (1 - self.specificity)

    @property
    def precision(self) -> float:
        """Share of the positive verdicts that are right."""
        return self.prevalence * self.sensitivity / self.positive if self.positive else 0.0

    @property
    def missed(self) -> float:
        """Share of the other verdicts that are targets."""
        return self.prevalence * (1 - self.sensitivity) / (1 - self.positive) if self.positive < 1 else 0.0

    @property
    def truths(self) -> dict[str, float]:
        """The figures that a report card would give with endless labels; positive agreement is that of the pool."""
        found, missed = self.prevalence * self.sensitivity, self.prevalence * (1 - self.sensitivity)
        agreement = 2 * found / (2 * found + missed + (1 - self.prevalence) * (1 - self.specificity))
        return dict(zip(FIGURES, (self.sensitivity, self.specificity, agreement, self.prevalence), strict=True))

    def below(self, bar: Bar) -> list[str]:
        """Which figures of this judge are below the bar themselves, so that no number of labels helps."""
        return [name for name in RATES if self.truths[name] <= getattr(bar, name)]


@dataclass(frozen=True, slots=True)
class Labelling:
    """How people come to a case's truth."""

    sensitivity: float = 1.0
    """Share of the targets that a person labels so."""
    specificity: float = 1.0
    """The same of the others."""
    per_item: int = 1
    adjudicated: bool = False
    """Somebody who is right decides what people differ on; else more than half do, and a tie leaves no truth."""

    def label(self, target: NDArray[np.bool_], rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(is labelled a target, has a truth) of each case."""
        if self.sensitivity == self.specificity == 1:
            return target, np.ones(len(target), bool)
        chance = np.where(target, self.sensitivity, 1 - self.specificity)
        votes = (rng.random((self.per_item, len(target))) < chance).sum(axis=0)
        if self.adjudicated:
            differ = (votes > 0) & (votes < self.per_item)
            return np.where(differ, target, votes > 0), np.ones(len(target), bool)
        return 2 * votes > self.per_item, 2 * votes != self.per_item


ERRING = Labelling(0.85, 0.98)
"""People on hard cases: each on their own misses 15 % of the targets and takes 2 % of the others for one."""
RIGHT = Labelling()


@dataclass(frozen=True, slots=True)
class Layout:
    """How labels are spread: `positive` and `rest` of the test labels, of a pool."""

    design: SessionDesign
    pool: int
    labels: int
    """Cases that test."""
    positive: int = 0
    """By verdict: of them, with a positive verdict. By known label: targets."""

    @classmethod
    def of(cls, design: SessionDesign, pool: int, labels: int, assumed: Assumed) -> Layout:
        """Of a pool that is as assumed: half for positive verdicts (for known targets), as far as it holds them."""
        if design == "random":
            return cls(design, pool, labels)
        share = assumed.positive if design == "by_verdict" else assumed.prevalence
        held = min(pool - 1, max(1, round(pool * share)))
        return cls(design, pool, labels, min(held, max(labels // 2, labels - (pool - held))))

    def expected_positives(self, assumed: Assumed) -> float:
        """Targets among the labels, on average."""
        if self.design == "class_balanced":
            return float(self.positive)
        if self.design == "random":
            return self.labels * assumed.prevalence
        return self.positive * assumed.precision + (self.labels - self.positive) * assumed.missed


@dataclass(frozen=True)
class Expected:
    """What the labels of a layout will say of a judge that is as assumed."""

    figures: Mapping[str, Estimate]
    """By name: the true value with the medians of the lower and the upper ends."""
    chance: float
    """That the judge passes its bar."""


def expected(layout: Layout, assumed: Assumed, bar: Bar, *, seed: int = 0) -> Expected:
    """The intervals to expect, and the chance to pass the bar, over 60 simulated sessions."""
    rng = np.random.default_rng(seed)
    rounds = [_figures(layout, assumed, rng, FIGURES) for _ in range(_SIMULATIONS)]
    figures = {name: _median(assumed.truths[name], [found[name] for found, _ in rounds]) for name in FIGURES}
    return Expected(figures, sum(_passes(*one, bar) for one in rounds) / len(rounds))


def chance_of(layout: Layout, assumed: Assumed, bar: Bar, labelling: Labelling, *, seed: int = 0) -> float:
    """That the judge passes its bar where people label in this way, over 60 simulated sessions."""
    rng = np.random.default_rng(seed)
    rounds = (_figures(layout, assumed, rng, RATES, labelling) for _ in range(_SIMULATIONS))
    return sum(_passes(*one, bar) for one in rounds) / _SIMULATIONS


def is_enough(layout: Layout, assumed: Assumed, bar: Bar, *, seed: int = 0) -> bool:
    """True where a judge that is as assumed passes its bar in 8 of 10 sessions or more, of 24 simulated ones."""
    rng = np.random.default_rng(seed)
    left = int(_SEARCHED * (1 - GOOD_CHANCE))
    for _ in range(_SEARCHED):
        left -= not _passes(*_figures(layout, assumed, rng, RATES), bar)
        if left < 0:
            return False
    return True


def items_needed(design: SessionDesign, assumed: Assumed, bar: Bar, *, seed: int = 0) -> int | None:
    """Test labels with which the judge passes in 8 of 10 sessions, of a pool as large as it has to be for them.

    None where 50,000 are too few. Rounded up to two digits.
    """

    def enough(labels: int) -> bool:
        size = max(labels, _pool_for(design, labels, assumed))
        return is_enough(Layout.of(design, size, labels, assumed), assumed, bar, seed=seed)

    return least_number(enough, least_labels(bar), MOST_ITEMS)


def least_labels(bar: Bar) -> int:
    """Fewer are not tried."""
    return 2 * max(bar.positives, 5)


def pool_needed(assumed: Assumed, labels: int) -> int:
    """How large a pool has to be to hold half of `labels` positive verdicts."""
    return rounded_up(_pool_for("by_verdict", labels, assumed))


def _pool_for(design: SessionDesign, labels: int, assumed: Assumed) -> int:
    share = {"random": 1.0, "by_verdict": assumed.positive, "class_balanced": assumed.prevalence}[design]
    return max(labels, math.ceil(labels / 2 / max(share, 1e-6)))


def least_number(enough: Callable[[int], bool], first: int, most: int) -> int | None:
    """The least number (two digits) from `first` to `most` that is enough; None where `most` is not."""
    low, high = first, first
    while not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    for _ in range(_HALVINGS if high > low else 0):
        middle = round(math.sqrt(low * high))
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(most, rounded_up(high))


def rounded_up(number: float) -> int:
    """Up to two digits: a simulation tells no more."""
    step: int = 10 ** max(0, len(str(math.ceil(number))) - 2)
    return math.ceil(number / step - 1e-9) * step


def _figures(
    layout: Layout,
    assumed: Assumed,
    rng: np.random.Generator,
    names: tuple[str, ...],
    labelling: Labelling = RIGHT,
) -> tuple[dict[str, Estimate], int]:
    """One simulated session: its figures, and the targets among its labels."""
    target, flagged = _labels(layout, assumed, rng)
    positive, has_truth = labelling.label(target, rng)
    target, positive, flagged = target[has_truth], positive[has_truth], flagged[has_truth]
    seed = int(rng.integers(2**31))
    held = {_POSITIVE: round(layout.pool * assumed.positive)}
    held[_REST] = layout.pool - held[_POSITIVE]
    said = np.where(flagged, _POSITIVE, _REST).tolist()
    contradicted = layout.design == "class_balanced" and bool((positive != target).any())
    if layout.design == "by_verdict":
        sampling = _stratified(said, held)
    elif contradicted:  # the known labels are not what people say: they are strata as any other
        known = np.where(target, _POSITIVE, _REST).tolist()
        targets = round(layout.pool * assumed.prevalence)
        sampling = _stratified(known, {_POSITIVE: targets, _REST: layout.pool - targets})
    else:
        sampling = stats.Sampling.simple(len(positive))
    table = stats.confusion(positive, flagged, sampling, draws=_DRAWS, seed=seed)
    found = {
        "sensitivity": stats.recall(table),
        "specificity": stats.specificity(table),
        "positive_agreement": stats.f_beta(table, 1.0),
    }
    if layout.design == "class_balanced" and not contradicted:
        found["positive_agreement"] = _in_pool(table, held[_POSITIVE] / layout.pool)
    if "prevalence" in names:
        found["prevalence"] = _prevalence(layout, held, positive, flagged, said, seed)
    return found, int(positive.sum())


def _labels(layout: Layout, assumed: Assumed, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """(targets or not, positive verdicts or not) of the test labels."""
    if layout.design == "by_verdict":
        flagged = np.arange(layout.labels) < layout.positive
        return rng.random(layout.labels) < np.where(flagged, assumed.precision, assumed.missed), flagged
    if layout.design == "class_balanced":
        target = np.arange(layout.labels) < layout.positive
    else:
        target = rng.random(layout.labels) < assumed.prevalence
    return target, rng.random(layout.labels) < np.where(target, assumed.sensitivity, 1 - assumed.specificity)


def _stratified(names: list[str], sizes: Mapping[str, int]) -> stats.Sampling:
    """Strata of the pool, none of them smaller than what was drawn of it."""
    held = {name: max(size, names.count(name)) for name, size in sizes.items() if name in names}
    return stats.Sampling.stratified(names, held)


def _prevalence(
    layout: Layout,
    held: Mapping[str, int],
    positive: NDArray[Any],
    flagged: NDArray[Any],
    said: list[str],
    seed: int,
) -> Estimate:
    """The corrected rate by the estimator that fits the design."""
    if layout.design == "class_balanced":
        counts = (int((positive & flagged).sum()), int(positive.sum()), int((~positive & ~flagged).sum()))
        return class_balanced_prevalence(held[_POSITIVE], layout.pool, *counts, int((~positive).sum()))
    judged = {name: max(size, said.count(name)) for name, size in held.items() if size or name in said}
    return stats.judged_prevalence(positive, said, judged, drawn=layout.design, draws=_DRAWS, seed=seed)


def pool_agreement(sensitivity: _Floats, specificity: _Floats, rate: float) -> _Floats:
    """Positive agreement in a pool of which a share `rate` has a positive verdict, at these rates (arrays alike).

    As many targets are taken to be in it as make that rate (Rogan and Gladen 1978).
    """
    better = np.maximum(sensitivity + specificity - 1, 1e-9)
    share = np.clip((rate + specificity - 1) / better, 0, 1)
    agreement: _Floats = 2 * share * sensitivity / np.maximum(share + rate, 1e-9)
    return agreement


def _in_pool(table: Confusion, rate: float) -> Estimate:
    """Positive agreement in the pool from labels that were drawn by class."""
    totals = np.concatenate([table.totals[None], table.draws])
    found, missed, false, quiet = totals[:, [FOUND, MISSED, FALSE_ALARM, QUIET]].T
    value, *drawn = pool_agreement(found / (found + missed), quiet / (quiet + false), rate).tolist()
    return interval_of(table, value, np.array(drawn), level=0.95, seen=table.n_positives, least=LEAST_POSITIVES)


def _passes(figures: Mapping[str, Estimate], positives: int, bar: Bar) -> bool:
    ends = [(figures[name], getattr(bar, name)) for name in RATES]
    reached = all(one.low is not None and one.low >= least for one, least in ends)
    return positives >= bar.positives and reached


def _median(truth: float, found: list[Estimate]) -> Estimate:
    """The true value with the medians of both ends; without one where most sessions give none."""
    if 2 * sum(one.low is None for one in found) > len(found):
        return Estimate.unknown("most such sessions hold no target", method="simulated")
    low, high = (
        float(np.median([end for one in found if (end := getattr(one, name)) is not None])) for name in ("low", "high")
    )
    known = Estimate(truth, low, high, method="simulated")
    if 2 * sum(one.value is None for one in found) > len(found):
        return replace(known, value=None, why_not="most such sessions give an interval only")
    return known
