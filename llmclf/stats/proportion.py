"""Intervals for one proportion: `hits` of `total` independent trials, or trials that come in groups.

Formulas: Wilson (1927); Clopper and Pearson (1934); Jeffreys as in Brown, Cai and DasGupta (2001),
with their change at 0 and at `total`; groups as in Korn and Graubard (1998) and Dean and Pagano (2015).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri, stdtrit

from llmclf.errors import DataError
from llmclf.types import Estimate


def wilson(hits: float, total: float, *, level: float = 0.95) -> Estimate:
    """The Wilson interval. Its mean coverage is near `level` at any total; counts may be effective (not whole)."""
    _check(hits, total)
    return _estimate(hits, total, *_wilson_limits(hits / total, total, float(ndtri(0.5 + level / 2))), "wilson")


def clopper_pearson(hits: float, total: float, *, level: float = 0.95) -> Estimate:
    """The exact interval: it covers at least `level` of the time, always, and is wider for it."""
    _check(hits, total)
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, total - hits + 1, tail))
    high = 1.0 if hits == total else float(betaincinv(hits + 1, total - hits, 1 - tail))
    return _estimate(hits, total, low, high, "clopper-pearson")


def jeffreys(hits: float, total: float, *, level: float = 0.95) -> Estimate:
    """The Beta(hits + 1/2, misses + 1/2) interval; its low end is 0 at no hit and its high end 1 at no miss."""
    _check(hits, total)
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits + 0.5, total - hits + 0.5, tail))
    high = 1.0 if hits == total else float(betaincinv(hits + 0.5, total - hits + 0.5, 1 - tail))
    return _estimate(hits, total, low, high, "jeffreys")


def clustered_wilson(hit: ArrayLike, groups: Sequence[Hashable], *, level: float = 0.95) -> Estimate:
    """The Wilson interval where items of one group are not independent (turns of a dialogue, pairs).

    `hit` holds a truth value for each item, `groups` its group. The number of items is divided by the
    design effect (at least 1): the variance between groups over that of independent items. It is also
    divided by the square of t over z, t with groups - 1 degrees of freedom, because a variance from
    few groups is itself unsure. Where all items agree the data can't show how alike a group is, and
    every group counts as one observation.
    """
    hits = np.asarray(hit, dtype=bool)
    if len(hits) != len(groups):
        raise DataError("hits and groups differ in length", got=(len(hits), len(groups)))
    _check(int(hits.sum()), len(hits))
    codes = group_codes(groups)
    if codes is None:
        return wilson(int(hits.sum()), len(hits), level=level)
    sizes = np.bincount(codes).astype(float)
    found = np.bincount(codes, weights=hits).astype(float)
    total, share = float(sizes.sum()), float(hits.mean())
    effective = total / _design_effect(found, sizes, share)
    z = float(ndtri(0.5 + level / 2))
    if len(sizes) > 1:
        effective *= float(z / stdtrit(len(sizes) - 1, 0.5 + level / 2)) ** 2
    low, high = _wilson_limits(share, effective, z)
    return _estimate(float(hits.sum()), total, low, high, "wilson-clustered")


def group_codes(groups: Sequence[Hashable] | NDArray[np.generic]) -> NDArray[np.intp] | None:
    """Groups as numbers from 0, in order of first sight; None where every item is a group of its own."""
    if isinstance(groups, np.ndarray):
        codes: NDArray[np.intp] = np.unique(groups, return_inverse=True)[1].astype(np.intp)
    else:
        number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
        codes = np.fromiter(map(number.__getitem__, groups), np.intp, len(groups))
    return None if len(codes) == 0 or int(codes.max()) + 1 == len(codes) else codes


def _design_effect(found: NDArray[np.float64], sizes: NDArray[np.float64], share: float) -> float:
    total, groups = sizes.sum(), len(sizes)
    worst = float((sizes**2).sum() / total)
    if groups == 1 or share in (0.0, 1.0):
        return worst
    between = groups / (groups - 1) * float(((found - share * sizes) ** 2).sum()) / total**2
    return float(max(1.0, between / (share * (1 - share) / total)))


def _wilson_limits(share: float, total: float, z: float) -> tuple[float, float]:
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _estimate(hits: float, total: float, low: float, high: float, method: str) -> Estimate:
    share = hits / total
    return Estimate(share, min(low, share), max(high, share), method=method)


def _check(hits: float, total: float) -> None:
    if not (total > 0 and 0 <= hits <= total):
        raise DataError("a proportion needs 0 <= hits <= total and at least one trial", got=(hits, total))
