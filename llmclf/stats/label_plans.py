"""How many labels a recall needs: half-widths of its interval, by simulation of what would be labelled.

Scores are described by two distributions over a few hundred levels, that of targets and that of others. A plan draws
so many items from each stratum; every simulated set of labels goes through the estimator that an evaluation uses, so
that the half-widths are those it will show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from llmclf.stats.proportion import wilson
from llmclf.stats.sampling import Sampling
from llmclf.stats.scaling import Numbers, logit, sigmoid
from llmclf.stats.stratified import confusion, recall

FloatArray = NDArray[np.float64]
_LEVELS = 400
_BEYOND = 5.0
"""Levels reach so many standard deviations beyond either mean."""
_FEW_LEVELS = 12
_DRAWS = 1000
_LEAST_SPREAD = 0.05
MOST_ITEMS = 999_999_999
"""Of a pool: numpy draws without replacement from no more."""


@dataclass(frozen=True, eq=False)
class ScoreModel:
    """Scores of targets and of others, as shares of levels."""

    score: FloatArray
    """(levels,) raw scores from 0 to 1, lowest first."""
    targets: FloatArray
    """(levels,) share of the targets at each; sums to 1."""
    others: FloatArray
    """(levels,) share of the others at each; sums to 1."""
    flagged: NDArray[np.bool_]
    """(levels,) whether a score reaches the threshold."""

    @property
    def recall(self) -> float:
        """Share of the targets that are flagged."""
        return float(self.targets[self.flagged].sum())

    @property
    def false_alarm_rate(self) -> float:
        """Share of the others that are flagged."""
        return float(self.others[self.flagged].sum())

    @classmethod
    def assumed(cls, recall: float, separation: float, prevalence: float) -> ScoreModel:
        """Right probabilities from two normal distributions, `separation` standard deviations apart.

        The threshold is where `recall` of the targets lie above it.
        """
        at = separation - float(ndtri(recall))
        z = _levels(-_BEYOND, separation + _BEYOND, at)
        score = sigmoid(separation * z - separation**2 / 2 + float(logit([prevalence])[0]))
        return cls._normal(z, score, z > at, (separation, 1.0), (0.0, 1.0))

    @classmethod
    def fitted(cls, score: Numbers, positive: Numbers, weight: Numbers, threshold: float) -> ScoreModel:
        """From a pilot's scores (0 to 1): of few distinct values their shares, else normal logits in either class.

        Those of the targets keep the pilot's recall at `threshold`, whatever their shape.
        `positive` and `weight` have one value for each score; both classes must be among them.
        """
        scores, weights = np.asarray(score, float), np.asarray(weight, float)
        target = np.asarray(positive, bool)
        levels = np.unique(scores)
        if len(levels) <= _FEW_LEVELS:
            counts = [
                np.array([weights[kind & (scores == level)].sum() for level in levels]) / weights[kind].mean() + 0.5
                for kind in (target, ~target)
            ]
            return cls(levels, counts[0] / counts[0].sum(), counts[1] / counts[1].sum(), levels >= threshold)
        inside = np.minimum(scores, 1 - scores)
        edge = max(float(inside[inside > 0].min()) / 2, 1e-9)
        x = logit(np.clip(scores, edge, 1 - edge))
        at = float(logit([min(max(threshold, edge), 1 - edge)])[0])
        fits = [_mean_and_spread(x[kind], weights[kind]) for kind in (target, ~target)]
        found = float(np.average(scores[target] >= threshold, weights=weights[target]))
        found = (found * int(target.sum()) + 0.5) / (int(target.sum()) + 1)
        fits[0] = (at + fits[0][1] * float(ndtri(found)), fits[0][1])
        low = min(mean - _BEYOND * spread for mean, spread in fits)
        high = max(mean + _BEYOND * spread for mean, spread in fits)
        z = _levels(low, high, at)
        return cls._normal(z, sigmoid(z), z > at, fits[0], fits[1])

    @classmethod
    def _normal(
        cls,
        z: FloatArray,
        score: FloatArray,
        flagged: NDArray[np.bool_],
        targets: tuple[float, float],
        others: tuple[float, float],
    ) -> ScoreModel:
        shares = []
        for mean, spread in (targets, others):
            share = np.diff(ndtr((z - mean) / spread), prepend=0.0)
            shares.append(share / share.sum())
        return cls(score, shares[0], shares[1], flagged)

    def distorted(self, slope: float) -> ScoreModel:
        """The same items in the same order with scores that are sure by `slope` times as much: logit * slope."""
        return ScoreModel(sigmoid(slope * logit(self.score)), self.targets, self.others, self.flagged)


@dataclass(frozen=True, eq=False)
class SimulatedStratum:
    """A stratum of the pool: how many items it holds, how many are labelled, and what they will be."""

    population: int
    sampled: int
    found: float
    """Share of its items that are flagged targets; the four shares sum to 1."""
    missed: float
    false_alarms: float
    quiet: float


@dataclass(frozen=True, slots=True)
class HalfWidth:
    """Half the width of recall's 95 % interval over simulated sets of labels."""

    median: float
    ninety: float
    """Nine of ten sets give no wider one."""
    positives: float
    """Targets among the labels, on average."""


def positives_for(recall: float, half_width: float) -> int:
    """Positives, of equal weight, with which the Wilson interval of `recall` is no wider than +-`half_width`.

    >>> [positives_for(recall, 0.05) for recall in (0.6, 0.7, 0.8, 0.9, 0.95)]
    [366, 320, 245, 141, 83]
    """
    low, high = 1, 2
    while _wilson_half(recall, high) > half_width:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _wilson_half(recall, middle) > half_width else (low, middle)
    return high


def half_width(strata: Sequence[SimulatedStratum], *, sets: int = 30, seed: int = 0) -> HalfWidth:
    """Half-widths of recall over `sets` simulated sets of labels. Where a set holds no target nothing is known: 0.5."""
    rng = np.random.default_rng(seed)
    widths, positives = [], []
    cells = [_cells(stratum, sets, rng) for stratum in strata]
    names = [str(number) for number in range(len(strata))]
    populations = {name: float(stratum.population) for name, stratum in zip(names, strata, strict=True)}
    stratum_of = np.repeat(names, [stratum.sampled for stratum in strata]).tolist()
    sampling = Sampling.stratified(stratum_of, populations)
    for number in range(sets):
        counts = np.concatenate([drawn[number] for drawn in cells])
        kinds = np.repeat(np.tile(np.arange(4), len(strata)), counts)
        table = confusion(kinds < 2, kinds % 2 == 0, sampling, draws=_DRAWS, seed=seed + number)
        estimate = recall(table)
        known = estimate.low is not None and estimate.high is not None
        widths.append((estimate.high - estimate.low) / 2 if known else 0.5)  # type: ignore[operator]
        positives.append(table.n_positives)
    return HalfWidth(float(np.median(widths)), float(np.quantile(widths, 0.9)), float(np.mean(positives)))


def labels_needed(labels: Sequence[int], widths: Sequence[float], wanted: float) -> int | None:
    """The number of labels at which a half-width falls to `wanted`, between those of `labels` on a log-log line.

    None where the largest number does not reach it; the smallest where that does already.
    """
    for at, width in enumerate(widths):
        if width > wanted:
            continue
        if at == 0:
            return labels[0]
        share: float = math.log(widths[at - 1] / wanted) / math.log(widths[at - 1] / width)
        return math.ceil(labels[at - 1] * math.pow(labels[at] / labels[at - 1], share))
    return None


def _cells(stratum: SimulatedStratum, sets: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(sets, 4) labelled items of a stratum: found, missed, false alarms, quiet; drawn without replacement."""
    shares = np.array([stratum.found, stratum.missed, stratum.false_alarms, stratum.quiet])
    whole = rng.multinomial(stratum.population, shares / shares.sum(), size=sets)
    return np.array([rng.multivariate_hypergeometric(row, stratum.sampled) for row in whole])


def _wilson_half(share: float, total: int) -> float:
    estimate = wilson(share * total, total)
    return ((estimate.high or 1.0) - (estimate.low or 0.0)) / 2


def _levels(low: float, high: float, at: float) -> FloatArray:
    """Levels from `low` to `high`, one of them exactly `at`: each stands for what lies between it and the one below."""
    step = (high - low) / _LEVELS
    levels: FloatArray = at + step * np.arange(
        math.floor((low - at) / step), math.ceil((high - at) / step) + 1, dtype=np.float64
    )
    return levels


def _mean_and_spread(x: FloatArray, weight: FloatArray) -> tuple[float, float]:
    mean = float(np.average(x, weights=weight))
    return mean, max(math.sqrt(float(np.average((x - mean) ** 2, weights=weight))), _LEAST_SPREAD)
