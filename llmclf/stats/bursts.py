"""Does a kind come more often than its share in earlier windows and its day-to-day variation explain?

Counts are negative binomial: the share varies from window to window around its mean, by a relative standard deviation
that is not known well from 14 windows. So it is not fixed at an estimate: for each kind it is summed over what is
likely (empirical Bayes on a grid; the kinds share a common distribution of variations, which starts at a stated one).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammaln

FloatArray = npt.NDArray[np.float64]

DAY_TO_DAY = 0.15
"""Relative standard deviation of a share from day to day that is assumed where there is no history."""
VARIATIONS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5])
"""What the variation may be."""
_PRIOR_KINDS = 5.0
"""The stated distribution counts as much as so many kinds."""


def stated_prior(usual: float = DAY_TO_DAY) -> FloatArray:
    """Weights of `VARIATIONS` before anything is seen: around `usual`, log-normal, a factor of 2 either way likely."""
    weights = np.exp(-0.5 * (np.log(VARIATIONS / usual) / np.log(2)) ** 2)
    made: FloatArray = weights / weights.sum()
    return made


def burst_p(
    counts: npt.ArrayLike, exposures: npt.ArrayLike, seen: npt.ArrayLike, exposure: float, usual: float = DAY_TO_DAY
) -> FloatArray:
    """Chance of at least `seen` in a window without a burst, for each kind, shape (kinds,).

    `counts`: (kinds, windows) of earlier windows, `exposures`: (windows,) how much was looked at in each, `exposure`:
    in this window, `usual`: how much shares are taken to vary before anything is seen. The mean share is estimated
    from `counts` and its own error is part of the chance. Without earlier windows there is nothing to tell from: pass
    one window with everything there is.
    """
    before = np.atleast_2d(np.asarray(counts, np.float64))
    per_window = np.asarray(exposures, np.float64)
    now = np.asarray(seen, np.float64)
    weights = _posterior(before, per_window, usual)
    windows = before.shape[1]
    # Around a mean that was fitted to them the windows vary less than around the true one.
    lost = windows / (windows - 1) if windows > 1 else 1.0
    p = np.zeros(len(before))
    for place, variation in enumerate(VARIATIONS):
        mean, variance = _predicted(before, per_window, exposure, lost * variation**2)
        p += weights[:, place] * upper_tail(now, mean, variance)
    return np.clip(p, 0.0, 1.0)


def dispersion_of(counts: npt.ArrayLike, exposures: npt.ArrayLike) -> float:
    """Squared relative variation of one kind's share over windows: its mean over what is likely.

    >>> round(dispersion_of([100] * 14, [1000] * 14), 3) < round(dispersion_of([50, 150] * 7, [1000] * 14), 3)
    True
    """
    weights = _posterior(np.atleast_2d(np.asarray(counts, np.float64)), np.asarray(exposures, np.float64))
    return float((weights @ VARIATIONS**2)[0])


def upper_tail(seen: npt.ArrayLike, mean: npt.ArrayLike, variance: npt.ArrayLike) -> FloatArray:
    """P(X >= seen) of a negative binomial with this mean and variance (above the mean)."""
    at, expected, spread = (np.asarray(one, np.float64) for one in (seen, mean, variance))
    size = expected**2 / np.maximum(spread - expected, 1e-12 * expected**2)
    tail: FloatArray = np.asarray(betainc(np.maximum(at, 1e-300), size, expected / (size + expected)))
    tail[at <= 0] = 1.0
    return tail


def _shares(counts: FloatArray, exposures: FloatArray) -> FloatArray:
    """Mean share of each kind; half a count is added so that none is 0."""
    shares: FloatArray = (counts.sum(axis=1) + 0.5) / (exposures.sum() + 0.5)
    return shares


def _predicted(
    counts: FloatArray, exposures: FloatArray, exposure: float, dispersion: float
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of this window's count: Poisson, the window's own variation, and the mean's error."""
    share = _shares(counts, exposures)
    error = (share[:, None] * exposures + dispersion * (share[:, None] * exposures) ** 2).sum(
        axis=1
    ) / exposures.sum() ** 2
    mean = exposure * share
    return mean, mean + dispersion * mean**2 + exposure**2 * error


def _log_likelihood(counts: FloatArray, exposures: FloatArray) -> FloatArray:
    """Of each kind's counts under each variation, shape (kinds, variations)."""
    mean = (_shares(counts, exposures)[:, None] * exposures)[:, :, None]
    size = 1 / VARIATIONS**2
    seen = counts[:, :, None]
    log = gammaln(seen + size) - gammaln(size) + size * np.log(size / (size + mean))
    log += np.where(seen > 0, seen * np.log(np.maximum(mean, 1e-300) / (size + mean)), 0.0)
    summed: FloatArray = log.sum(axis=1)
    return summed


def _posterior(counts: FloatArray, exposures: FloatArray, usual: float = DAY_TO_DAY, rounds: int = 50) -> FloatArray:
    """Weights of `VARIATIONS` for each kind, (kinds, variations): the common distribution by expectation-maximisation.

    One window can't show how shares vary: there the stated distribution stands.
    """
    prior = stated_prior(usual)
    if counts.shape[1] < 2:
        return np.tile(prior, (len(counts), 1))
    log = _log_likelihood(counts, exposures)
    likelihood: FloatArray = np.exp(log - log.max(axis=1, keepdims=True))
    common = prior
    weights = likelihood
    for _ in range(rounds):
        weights = likelihood * common
        weights /= weights.sum(axis=1, keepdims=True)
        common = (weights.sum(axis=0) + _PRIOR_KINDS * prior) / (len(counts) + _PRIOR_KINDS)
    return weights
