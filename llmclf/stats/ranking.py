"""How well scores rank and how far probabilities are off: ROC AUC, average precision, Brier score.

All weighted by what an item stands for. Intervals: a Bayesian bootstrap over groups (weights of an item are
its own times a Gamma(1) variate of its group, normalised within strata), in half of the replicates with one
unseen positive at the score of a random item of the heaviest stratum, so that a perfect ranking of few
positives does not look certain; its standard error is taken on the logit scale, with Student's t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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


def average_precision(
    positive: ArrayLike, score: ArrayLike, sampling: Sampling, *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Area under the precision-recall curve, as a step function (scikit-learn's average precision).

    At the prevalence that the sampling stands for. Needs 25 positives: below, even a good interval misses
    too often.
    """
    return _ranking(positive, score, sampling, _average_precision, LEAST_FOR_AVERAGE_PRECISION, level, seed)


def roc_auc(
    positive: ArrayLike, score: ArrayLike, sampling: Sampling, *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Chance that a target scores above a non-target, ties counting half. Needs 10 positives."""
    return _ranking(positive, score, sampling, _roc_auc, LEAST_FOR_ROC_AUC, level, seed)


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


def _ranking(
    positive: ArrayLike,
    score: ArrayLike,
    sampling: Sampling,
    area: Callable[[_Floats, _Floats], float],
    least: int,
    level: float,
    seed: int,
) -> Estimate:
    target, scores = _arrays(positive, score, sampling)
    positives = int(target.sum())
    if positives < least:
        return _too_few(positives, least)
    if positives == len(target):
        return Estimate.unknown("no negatives: a ranking needs both", n_positives=positives)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    weight, share = sampling.weight, _heaviest_share(target, sampling)

    def of_weights(plus: _Floats, minus: _Floats) -> float:
        return area(np.cumsum(plus[order])[ends], np.cumsum(minus[order])[ends])

    value = of_weights(weight * target, weight * ~target)
    edge = 1e-6
    replicates = np.clip(
        [of_weights(*pair) for pair in _replicates(target, sampling, np.random.default_rng(seed))], edge, 1 - edge
    )
    error = float(np.std(logit(replicates)) * np.sqrt(positives / (positives - 1)))
    reach = float(stdtrit(positives - 1, 0.5 + level / 2)) * error
    centre = float(logit(np.clip(value, edge, 1 - edge)))
    low, high = float(expit(centre - reach)), float(expit(centre + reach))
    return Estimate(value, min(low, value), max(high, value), "bootstrap-logit", positives, share)


def _replicates(
    target: NDArray[np.bool_], sampling: Sampling, rng: np.random.Generator
) -> Iterator[tuple[_Floats, _Floats]]:
    """Weights of positives and of negatives, once for each replicate."""
    items, heavy = len(target), int(np.argmax(sampling.stratum_weight))
    inside = np.flatnonzero(sampling.stratum == heavy)
    unseen = sampling.stratum_weight[heavy] * sampling.alikeness(target)
    groups = None if sampling.group is None else int(sampling.group.max()) + 1
    for replicate in range(REPLICATES):
        factor = rng.standard_exponential(items if groups is None else groups)
        weight = sampling.weight * (factor if sampling.group is None else factor[sampling.group])
        drawn = np.bincount(sampling.stratum, weights=weight)
        weight *= (sampling.population / drawn)[sampling.stratum]
        plus, minus = weight * target, weight * ~target
        if replicate % 2:
            plus[rng.choice(inside)] += unseen * rng.standard_exponential()
        yield plus, minus


def _average_precision(found: _Floats, alarms: _Floats) -> float:
    """From cumulative weights of positives and negatives at each distinct score, highest first."""
    return float(np.diff(found, prepend=0.0) @ (found / (found + alarms)) / found[-1])


def _roc_auc(found: _Floats, alarms: _Floats) -> float:
    """The trapezoid area over the same cumulative weights."""
    middle = (found + np.append(0.0, found[:-1])) / 2
    return float(np.diff(alarms, prepend=0.0) @ middle / (found[-1] * alarms[-1]))


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
    return Estimate.unknown(f"needs {least - positives} more positives", n_positives=positives)


def _arrays(positive: ArrayLike, score: ArrayLike, sampling: Sampling) -> tuple[NDArray[np.bool_], _Floats]:
    target, scores = np.asarray(positive, dtype=bool), np.asarray(score, dtype=float)
    if not len(target) == len(scores) == len(sampling):
        raise DataError("labels, scores and sampling differ in length", got=(len(target), len(scores), len(sampling)))
    if not bool(np.isfinite(scores).all()):
        raise DataError("a score is not a finite number", fix="leave items without a score out first")
    return target, scores
