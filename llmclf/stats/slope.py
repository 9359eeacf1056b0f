"""Whether probabilities are too sure of themselves: the calibration slope.

The slope b of logit P(target) = a + b logit(probability), by weighted maximum likelihood: Cox (1958), the slope of
"weak calibration" in Van Calster et al. (2016). 1 is right; below 1 the probabilities are too extreme, above 1 not
extreme enough. The intercept is free, so a wrong prevalence alone leaves the slope at 1.

Interval: the variance of the weighted likelihood equations, by groups within strata (Binder 1983), with Student's t
and with what half an unseen positive of the heaviest stratum would add. Without that part intervals of stratified
samples held 30 to 54 % of the time; with it .99, and .94 to .97 for simple and for clustered ones (400 to 800
repetitions, 20 to 40 positives).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtrit

from llmclf.errors import DataError
from llmclf.stats.sampling import Sampling
from llmclf.stats.scaling import logit
from llmclf.types import Estimate

LEAST_FOR_SLOPE = 20
"""Below so many positives there is no slope."""
METHOD = "linearised-t"
_STEPS = 50
_STEEPEST = 50.0
"""On standardised logits: beyond, targets and others are told apart wholly."""
_LONGEST_STEP = 2.0
_TOLERANCE = 1e-8
_SINGULAR = 1e-14

_Floats = NDArray[np.float64]


def calibration_slope(
    positive: ArrayLike, probability: ArrayLike, sampling: Sampling, *, level: float = 0.95
) -> Estimate:
    """The slope of the logit of the target's probability (0 to 1); see the module for formula and reading.

    Needs 20 positives, as many negatives, and probabilities that differ. Not given either where they tell all targets
    from all others: then no slope is steep enough.
    """
    target, chance = np.asarray(positive, dtype=bool), np.asarray(probability, dtype=float)
    if not len(target) == len(chance) == len(sampling):
        raise DataError(
            "labels, probabilities and sampling differ in length", got=(len(target), len(chance), len(sampling))
        )
    positives = int(target.sum())
    why_not = _why_not(positives, len(target) - positives, chance)
    weight = sampling.weight / sampling.weight.sum()
    fitted = None if why_not else _fit(logit(chance), target, weight)
    if fitted is None:
        why_not = why_not or "the probabilities tell every target from every other item: no slope is steep enough"
        return Estimate.unknown(why_not, n_positives=positives, method=METHOD)
    slope, fitted_chance, influence = fitted
    error = float(np.sqrt(_variance(target, fitted_chance, influence, weight, sampling)))
    reach = float(stdtrit(positives - 1, 0.5 + level / 2)) * error
    share = float(weight[target].max() / weight[target].sum())
    return Estimate(slope, slope - reach, slope + reach, METHOD, positives, share)


def _why_not(positives: int, negatives: int, chance: _Floats) -> str:
    for count, noun in ((positives, "positive"), (negatives, "negative")):
        more = LEAST_FOR_SLOPE - count
        if more > 0:
            return f"needs {more} more {noun}{'' if more == 1 else 's'}"
    return "all probabilities are the same" if float(np.ptp(chance)) == 0 else ""


def _fit(x: _Floats, target: NDArray[np.bool_], weight: _Floats) -> tuple[float, _Floats, _Floats] | None:
    """(slope, fitted chances, each item's influence on the slope but for its residual), by Newton's method.

    None where the likelihood has no maximum.
    """
    spread = float(x.std())
    z = (x - float(weight @ x)) / spread
    intercept, slope = float(logit([float(weight[target].sum())])[0]), 0.0
    for _ in range(_STEPS):
        chance = expit(intercept + slope * z)
        residual = weight * (target - chance)
        curvature = weight * chance * (1 - chance)
        flat, cross, steep = float(curvature.sum()), float(curvature @ z), float((curvature * z) @ z)
        determinant = flat * steep - cross**2
        if not determinant > _SINGULAR * flat * steep or abs(slope) > _STEEPEST:
            return None
        down, along = float(residual.sum()), float(residual @ z)
        steps = (steep * down - cross * along) / determinant, (flat * along - cross * down) / determinant
        size = max(map(abs, steps))
        if size < _TOLERANCE:
            return slope / spread, chance, (flat * z - cross) / (determinant * spread)
        short = min(1.0, _LONGEST_STEP / size)
        intercept, slope = intercept + short * steps[0], slope + short * steps[1]
    return None


def _variance(
    target: NDArray[np.bool_], chance: _Floats, influence: _Floats, weight: _Floats, sampling: Sampling
) -> float:
    """Of the slope: squared influences, summed over groups and centred within strata, and an unseen positive's."""
    part = weight * (target - chance) * influence
    part -= (np.bincount(sampling.stratum, weights=part) / np.bincount(sampling.stratum))[sampling.stratum]
    sums = part if sampling.group is None else np.bincount(sampling.group, weights=part)
    seen = float(sums @ sums) * len(sums) / max(1, len(sums) - 1)
    heavy = int(np.argmax(sampling.stratum_weight))
    inside = sampling.stratum == heavy
    share = sampling.stratum_weight[heavy] / sampling.weight.sum() * sampling.alikeness(target)
    # It is where targets are likely; present half of the time, a Gamma(1) variate: mean 1/2, variance 3/4.
    pull = np.average(((1 - chance) * influence)[inside] ** 2, weights=chance[inside])
    return float(seen + 0.75 * share**2 * pull)
