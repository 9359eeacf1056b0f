"""Answers against people who do not agree: distances between distributions of labels, and means with intervals.

Jensen and Shannon's divergence (Lin 1991) is taken to base 2, so that it lies between 0 and 1; the squared error is
the mean over labels. Both are what the dialogue breakdown detection challenges report (Higashinaka et al. 2016).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr, stdtrit

from llmclf.errors import DataError
from llmclf.stats.sampling import Sampling
from llmclf.types import Estimate


def jensen_shannon(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """(n,) divergence of each row of two (n, labels) arrays of shares: 0 alike, 1 nothing in common.

    >>> float(jensen_shannon([[1.0, 0.0]], [[0.0, 1.0]])[0])
    1.0
    """
    first, second = _shares(one, other)
    middle = (first + second) / 2
    nats = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=1) / 2
    found: NDArray[np.float64] = np.maximum(nats, 0) / np.log(2)
    return found


def squared_error(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """(n,) mean over labels of the squared difference of shares, for each row of two (n, labels) arrays."""
    first, second = _shares(one, other)
    found: NDArray[np.float64] = ((first - second) ** 2).mean(axis=1)
    return found


def mean(
    values: ArrayLike,
    sampling: Sampling,
    *,
    bounds: tuple[float, float] = (float("-inf"), float("inf")),
    level: float = 0.95,
) -> Estimate:
    """The weighted mean of n numbers with Student's t interval, linearised by groups within strata.

    For many values of moderate spread, as distances are; values that are nearly all alike, as those of a rare kind,
    need `bounded_mean`. The interval stays within `bounds`. Without two groups there is none.
    """
    number = np.asarray(values, dtype=float)
    if len(number) != len(sampling) or not len(number):
        raise DataError("values and sampling differ in length, or are empty", got=(len(number), len(sampling)))
    share = sampling.weight / sampling.weight.sum()
    value = float(share @ number)
    part = (number - value) * share
    part -= (np.bincount(sampling.stratum, weights=part) / np.bincount(sampling.stratum))[sampling.stratum]
    sums = part if sampling.group is None else np.bincount(sampling.group, weights=part)
    if len(sums) < 2:
        return Estimate(value, method="linearised", why_not="one group can't give an interval")
    error = float(np.sqrt(sums @ sums * len(sums) / (len(sums) - 1)))
    reach = error * float(stdtrit(len(sums) - 1, 0.5 + level / 2))
    return Estimate(value, max(bounds[0], value - reach), min(bounds[1], value + reach), "linearised")


def _shares(one: ArrayLike, other: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if first.shape != second.shape or first.ndim != 2:
        raise DataError("two arrays of shares need the same two dimensions", got=(first.shape, second.shape))
    for shares in (first, second):
        if not bool(np.all(shares >= 0)) or not bool(np.allclose(shares.sum(axis=1), 1)):
            raise DataError("each row of shares must be of none below 0 and sum to 1")
    return first, second
