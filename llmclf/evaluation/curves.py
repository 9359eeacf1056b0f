"""Two curves of a classifier's scores: what every threshold would give, and whether its probabilities are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.evaluation.answers import scores_of
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.stats import Sampling
from llmclf.types import Dataset, Estimate, Predictions, Task

MOST_POINTS = 100
"""A curve is thinned to so many points: more can't be seen."""
BINS = 8


@dataclass(frozen=True, eq=False)
class ScoredItems:
    """The labelled items of a task and their scores, in the order of the examples."""

    target: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    score: NDArray[np.float64]
    """The target's score; nan where there is none."""
    chance: NDArray[np.float64] | None
    """The target's probability; None unless every answered item has one."""
    chance_at: float | None
    """The prevalence the probabilities hold at; None where it is not one and known."""
    sampling: Sampling
    knows_prevalence: bool

    @property
    def has_scores(self) -> bool:
        """True where every answered item has a score, so that a threshold would decide each of them."""
        return bool(self.answered.any()) and not bool(np.isnan(self.score[self.answered]).any())


@dataclass(frozen=True, slots=True)
class ThresholdPoint:
    """What flagging every item with at least this score would give."""

    threshold: float
    recall: float
    precision: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Items of about one probability, and the share of them that is the target."""

    items: int
    probability: float
    """Mean of the bin, weighted by what an item stands for."""
    share: Estimate


def scored_items(predictions: Predictions, dataset: Dataset, task: Task) -> ScoredItems:
    """The scores of `predictions` with the labels of `dataset`; DataError as for `evaluate`."""
    matched = match(predictions, dataset, task)
    basis = drawn(dataset, matched.examples)
    score, chance, held_at = scores_of(predictions, matched, task)
    answered = ~matched.failed
    calibrated = bool(answered.any()) and not bool(np.isnan(chance[answered]).any())
    return ScoredItems(
        matched.positive,
        answered,
        score,
        chance if calibrated else None,
        held_at,
        basis.sampling,
        basis.knows_prevalence,
    )


def precision_recall_curve(
    items: ScoredItems, prevalence: float, *, most: int = MOST_POINTS
) -> tuple[ThresholdPoint, ...]:
    """Recall and precision at every threshold, the highest first, thinned to `most` points.

    Both weighted by what an item stands for. Failed targets count as missed; the share of false alarms is that
    of answered items. Precision is the one at `prevalence` (0 to 1), as `projected_precision` has it. The curve
    begins at the first false alarm: above it precision hangs on false alarms of which none was seen to count.
    Points alone: the intervals are those of the evaluation at the classifier's own threshold. Empty without
    scores, or without an answered item of either kind.
    """
    target, other = items.target & items.answered, ~items.target & items.answered
    if not items.has_scores or not target.any() or not other.any():
        return ()
    weight, scores = items.sampling.weight, items.score
    levels, at = np.unique(-scores[items.answered], return_inverse=True)

    def found(of: NDArray[np.bool_]) -> NDArray[np.float64]:
        held = np.where(of, weight, 0.0)[items.answered]
        return np.cumsum(np.bincount(at, weights=held, minlength=len(levels)))

    recall = found(target) / weight[items.target].sum()
    true, false = found(target) / weight[target].sum(), found(other) / weight[other].sum()
    precision = prevalence * true / (prevalence * true + (1 - prevalence) * false)
    begins = int(np.argmax(false > 0))
    rows = begins + _thinned(recall[begins:], precision[begins:], most)
    return tuple(ThresholdPoint(float(-levels[row]), float(recall[row]), float(precision[row])) for row in rows)


def _thinned(recall: NDArray[np.float64], precision: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """Places of points that stand for all: first and last, and those that lie evenly along the curve."""
    if len(recall) <= most:
        return np.arange(len(recall))
    steps = np.abs(np.diff(recall)) + np.abs(np.diff(precision))
    along = np.append(0.0, np.cumsum(steps))
    rows: NDArray[np.intp] = np.unique(np.searchsorted(along, np.linspace(0, along[-1], most)))
    return rows


def reliability(
    items: ScoredItems, *, bins: int = BINS, level: float = 0.95, seed: int = 0
) -> tuple[ReliabilityBin, ...]:
    """Bins of probability, the lowest first, each with the share of targets in it and that share's interval.

    The share is the precision of flagging just this bin: of the population where the design is known, else at
    the prevalence the probabilities are said to hold at (of the set as it is, where that is not known). Bins are
    cut so that each is expected to tell equally much (equal sums of p(1 - p)): with a rare target, bins of equal
    width or size would all but one be empty of targets. Failed items are left out. Empty without probabilities.
    """
    if items.chance is None or not items.target.any() or items.target.all():
        return ()
    chance, weight = items.chance, items.sampling.weight
    made = []
    for inside in _bins(chance, weight, items.answered, bins):
        table = stats.confusion(items.target, inside, items.sampling, failed=~items.answered, draws=1000, seed=seed)
        if items.knows_prevalence or items.chance_at is None:
            share = stats.precision(table, level=level)
        else:
            share = stats.projected_precision(table, items.chance_at, level=level)
        made.append(ReliabilityBin(int(inside.sum()), float(np.average(chance[inside], weights=weight[inside])), share))
    return tuple(made)


def _bins(
    chance: NDArray[np.float64], weight: NDArray[np.float64], answered: NDArray[np.bool_], bins: int
) -> list[NDArray[np.bool_]]:
    """Masks of items, by probability; equal probabilities are never parted, and no bin is empty."""
    at = np.unique(np.where(answered, chance, np.inf), return_inverse=True)[1]
    tells = np.cumsum(np.bincount(at, weights=np.where(answered, weight * chance * (1 - chance) + 1e-12, 0.0)))
    bin_of = np.minimum((bins * tells / tells[-1] - 1e-9).astype(int), bins - 1)[at]
    masks = [answered & (bin_of == number) for number in range(bins)]
    return [mask for mask in masks if mask.any()]
