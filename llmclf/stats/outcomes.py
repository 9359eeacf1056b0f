"""Dollars item by item: what lets two classifiers that answered the same items be compared in pairs.

`dollars_per_1000` (in `projection`) is a mean over items at an assumed prevalence. Here it stands as a vector of
dollars and a vector of shares, so that of two classifiers the difference can be taken item by item: items differ
far more from each other than two classifiers do on one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import DataError
from llmclf.stats.projection import price_of_cells
from llmclf.stats.sampling import Sampling
from llmclf.stats.stratified import cells_of
from llmclf.types import Costs


def item_usd(positive: ArrayLike, flagged: ArrayLike, failed: ArrayLike, costs: Costs) -> NDArray[np.float64]:
    """(n,) dollars of each item: its miss, its review and false alarm, or what its failure costs.

    All three are n truth values; of a failed item `flagged` is not read. The model's own price is not in it.
    """
    usd: NDArray[np.float64] = price_of_cells(costs)[cells_of(positive, flagged, failed)]
    return usd


def usd_shares(positive: ArrayLike, sampling: Sampling, prevalence: float) -> NDArray[np.float64]:
    """(n,) the share of each item in a mean at `prevalence` (0 to 1); they sum to 1.

    `1000 * usd_shares(...) @ item_usd(...)` is `dollars_per_1000` without the model's price. Raises DataError
    without a positive or without a negative: there is no mean at another prevalence than the set's then.
    """
    target = _both_classes(positive)
    shares: NDArray[np.float64] = _at_prevalence(sampling.weight[None, :], target, prevalence)[0]
    return shares


def resampled_shares(
    positive: ArrayLike, sampling: Sampling, prevalence: float, *, replicates: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """(replicates, n) `usd_shares` of a Bayesian bootstrap (Rubin 1981): one Gamma(1) weight for each group.

    Items of one group share its weight. Two classifiers on the same items take the same rows: that is the pairing.
    An item whose kind is not in the sample is in no replicate either, so an interval over these needs a pseudo-item.
    """
    target = _both_classes(positive)
    group = np.arange(len(target)) if sampling.group is None else sampling.group
    rng = np.random.default_rng(seed)
    chances = rng.standard_exponential((replicates, int(group.max()) + 1))[:, group]
    return _at_prevalence(_within_strata(chances, sampling) * sampling.weight, target, prevalence)


def _within_strata(chances: NDArray[np.float64], sampling: Sampling) -> NDArray[np.float64]:
    """The weights with mean 1 in each stratum: its size in the population is known and does not vary."""
    for stratum in range(len(sampling.population) if len(sampling.population) > 1 else 0):
        inside = sampling.stratum == stratum
        chances[:, inside] /= chances[:, inside].mean(axis=1, keepdims=True)
    return chances


def _at_prevalence(weights: NDArray[np.float64], target: NDArray[np.bool_], prevalence: float) -> NDArray[np.float64]:
    shares = np.empty_like(weights)
    for members, share in ((target, prevalence), (~target, 1 - prevalence)):
        part = weights[:, members]
        shares[:, members] = share * part / part.sum(axis=1, keepdims=True)
    return shares


def _both_classes(positive: ArrayLike) -> NDArray[np.bool_]:
    target = np.asarray(positive, dtype=bool)
    if not 0 < int(target.sum()) < len(target):
        raise DataError(
            "dollars at a prevalence need a positive and a negative", got=f"{int(target.sum())} of {len(target)}"
        )
    return target
