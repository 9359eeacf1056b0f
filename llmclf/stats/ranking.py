"""How well scores rank and how far probabilities are off: ROC AUC, average precision, Brier score.

All weighted by what an item stands for. Intervals: a Bayesian bootstrap over groups (weights of an item are
its own times a Gamma(1) variate of its group, normalised within strata), in half of the replicates with one
unseen positive at the score of a random item of the heaviest stratum, so that a perfect ranking of few
positives does not look certain; its standard error is taken on the logit scale, with Student's t.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from llmclf.errors import DataError
from llmclf.stats.sampling import Sampling
from llmclf.types import Estimate

LEAST_FOR_AVERAGE_PRECISION = 25
LEAST_FOR_ROC_AUC = 10
LEAST_FOR_BRIER = 10
REPLICATES = 200

_Floats = NDArray[np.float64]


def ranking_areas(
    positive: ArrayLike, score: ArrayLike, sampling: Sampling, *, level: float = 0.95, seed: int = 0
) -> tuple[Estimate, Estimate]:
    """(average precision, ROC AUC): both from one set of replicates; see `average_precision` and `roc_auc`."""
    target, scores = _arrays(positive, score, sampling)
    positives = int(target.sum())
    if 0 < positives == len(target):
        none = Estimate.unknown("no negatives: a ranking needs both", n_positives=positives)
        return none, none
    least = (LEAST_FOR_AVERAGE_PRECISION, LEAST_FOR_ROC_AUC)
    if positives < min(least):
        return _too_few(positives, least[0]), _too_few(positives, least[1])
    levels = _levels(target, scores)
    seen = _sums(levels, target, sampling)
    drawn = _replicates(levels, target, sampling, np.random.default_rng(seed))
    share = _heaviest_share(target, sampling)
    made = [
        _area(area(*seen)[0], area(*drawn), positives, share, level)
        if positives >= enough
        else _too_few(positives, enough)
        for area, enough in zip((_average_precisions, _roc_aucs), least, strict=True)
    ]
    return made[0], made[1]


def average_precision(
    positive: ArrayLike, score: ArrayLike, sampling: Sampling, *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Area under the precision-recall curve, as a step function (scikit-learn's average precision).

    At the prevalence that the sampling stands for. Needs 25 positives: below, even a good interval misses
    too often.
    """
    return ranking_areas(positive, score, sampling, level=level, seed=seed)[0]


def roc_auc(
    positive: ArrayLike, score: ArrayLike, sampling: Sampling, *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Chance that a target scores above a non-target, ties counting half. Needs 10 positives."""
    return ranking_areas(positive, score, sampling, level=level, seed=seed)[1]


def brier(positive: ArrayLike, probability: ArrayLike, sampling: Sampling, *, level: float = 0.95) -> Estimate:
    """Mean squared distance of the target's probability from what was true (0 best, 1 worst).

    The interval is linearised on the log scale, by groups within strata, with the part that half an unseen
    positive in the heaviest stratum would add. Needs 10 positives.
    """
    target, chance = _arrays(positive, probability, sampling)
    positives = int(target.sum())
    if positives < LEAST_FOR_BRIER:
        return _too_few(positives, LEAST_FOR_BRIER)
    weight = sampling.weight / sampling.weight.sum()
    loss = (chance - target) ** 2
    value = float(weight @ loss)
    if value == 0:
        return Estimate(0.0, 0.0, None, "linearised-log", positives, _heaviest_share(target, sampling))
    heavy = int(np.argmax(sampling.stratum_weight))
    inside = sampling.stratum == heavy
    unseen_loss = float(((1 - chance[inside]) ** 2).mean()) - value
    unseen_share = sampling.stratum_weight[heavy] / sampling.weight.sum() * sampling.alikeness(target)
    # Half of the time a Gamma(1) variate: mean 1/2, variance 3/4.
    variance = _variance_of_mean(loss - value, weight, sampling) + 0.75 * (unseen_share * unseen_loss) ** 2
    relative = float(stdtrit(positives - 1, 0.5 + level / 2)) * float(np.sqrt(variance)) / value
    reach = float(np.exp(min(relative, 50.0)))  # beyond that the interval is (0, 1) anyway
    share = _heaviest_share(target, sampling)
    return Estimate(value, value / reach, min(1.0, value * reach), "linearised-log", positives, share)


def _area(value: float, replicates: _Floats, positives: int, share: float, level: float) -> Estimate:
    edge = 1e-6
    error = float(np.std(logit(np.clip(replicates, edge, 1 - edge))) * np.sqrt(positives / (positives - 1)))
    reach = float(stdtrit(positives - 1, 0.5 + level / 2)) * error
    centre = float(logit(np.clip(value, edge, 1 - edge)))
    low, high = float(expit(centre - reach)), float(expit(centre + reach))
    return Estimate(value, min(low, value), max(high, value), "bootstrap-logit", positives, share)


def _levels(target: NDArray[np.bool_], scores: _Floats) -> NDArray[np.intp]:
    """(n,) the rank of each item's score, highest first; neighbouring scores of negatives alone share one.

    Both areas change only where positives are, so this loses nothing and keeps few ranks.
    """
    distinct, of_item = np.unique(-scores, return_inverse=True)
    has_positive = np.bincount(of_item, weights=target, minlength=len(distinct)) > 0
    begins = np.append(True, has_positive[1:] | has_positive[:-1])
    rank: NDArray[np.intp] = (np.cumsum(begins) - 1)[of_item]
    return rank


def _sums(levels: NDArray[np.intp], target: NDArray[np.bool_], sampling: Sampling) -> tuple[_Floats, _Floats]:
    """(1, ranks) weights of positives and of negatives."""
    ranks = int(levels.max()) + 1
    plus = np.bincount(levels, weights=sampling.weight * target, minlength=ranks).astype(float)
    minus = np.bincount(levels, weights=sampling.weight * ~target, minlength=ranks).astype(float)
    return plus[None, :], minus[None, :]


def _replicates(
    levels: NDArray[np.intp], target: NDArray[np.bool_], sampling: Sampling, rng: np.random.Generator
) -> tuple[_Floats, _Floats]:
    """(replicates, ranks) weights of positives and of negatives in each replicate."""
    ranks, strata = int(levels.max()) + 1, len(sampling.population)
    key = (sampling.stratum * 2 + target) * ranks + levels
    sums = _bootstrapped(key, strata * 2 * ranks, sampling, rng).reshape(REPLICATES, strata, 2, ranks)
    sums = np.einsum("rhcl,rh->rcl", sums, sampling.population / sums.sum(axis=(2, 3)))
    heavy = int(np.argmax(sampling.stratum_weight))
    unseen = sampling.stratum_weight[heavy] * sampling.alikeness(target)
    half = np.arange(0, REPLICATES, 2)
    places = rng.choice(levels[sampling.stratum == heavy], size=len(half))
    sums[half, 1, places] += unseen * rng.standard_exponential(len(half))
    return sums[:, 1], sums[:, 0]


def _bootstrapped(key: NDArray[np.intp], width: int, sampling: Sampling, rng: np.random.Generator) -> _Floats:
    """(replicates, width) sums by key of Gamma(1) weights, one for each group."""
    if sampling.group is None and sampling.relative is None:
        return rng.standard_gamma(np.bincount(key, minlength=width).astype(float), (REPLICATES, width))
    group = np.arange(len(key)) if sampling.group is None else sampling.group
    # Items of one group and key share everything: they are summed once, not in every replicate.
    alike, of_item = np.unique(group * width + key, return_inverse=True)
    weight = np.bincount(of_item, weights=sampling.relative).astype(float)
    of_group, of_key = np.divmod(alike, width)
    n_groups = int(group.max()) + 1
    sums = np.empty((REPLICATES, width))
    for row in sums:
        row[:] = np.bincount(of_key, weights=weight * rng.standard_exponential(n_groups)[of_group], minlength=width)
    return sums


def _average_precisions(plus: _Floats, minus: _Floats) -> _Floats:
    """One area for each row of weights by rank."""
    found, alarms = np.cumsum(plus, axis=1), np.cumsum(minus, axis=1)
    areas: _Floats = (plus * found / (found + alarms)).sum(axis=1) / found[:, -1]
    return areas


def _roc_aucs(plus: _Floats, minus: _Floats) -> _Floats:
    """One trapezoid area for each row of weights by rank."""
    found = np.cumsum(plus, axis=1)
    areas: _Floats = (minus * (found - plus / 2)).sum(axis=1) / (found[:, -1] * minus.sum(axis=1))
    return areas


def _variance_of_mean(residual: _Floats, weight: _Floats, sampling: Sampling) -> float:
    """Of a weighted mean, from the residuals: squared sums over groups, centred within strata."""
    part = residual * weight
    part -= (np.bincount(sampling.stratum, weights=part) / np.bincount(sampling.stratum))[sampling.stratum]
    sums = part if sampling.group is None else np.bincount(sampling.group, weights=part)
    return float(sums @ sums) * len(sums) / max(1, len(sums) - 1)


def _heaviest_share(target: NDArray[np.bool_], sampling: Sampling) -> float:
    heavy = sampling.weight[target]
    return float(heavy.max() / heavy.sum())


def _too_few(positives: int, least: int) -> Estimate:
    more = least - positives
    return Estimate.unknown(f"needs {more} more positive{'' if more == 1 else 's'}", n_positives=positives)


def _arrays(positive: ArrayLike, score: ArrayLike, sampling: Sampling) -> tuple[NDArray[np.bool_], _Floats]:
    target, scores = np.asarray(positive, dtype=bool), np.asarray(score, dtype=float)
    if not len(target) == len(scores) == len(sampling):
        raise DataError("labels, scores and sampling differ in length", got=(len(target), len(scores), len(sampling)))
    if not bool(np.isfinite(scores).all()):
        raise DataError("a score is not a finite number", fix="leave items without a score out first")
    return target, scores
