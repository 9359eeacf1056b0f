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


def clustered_wilson(
    hit: ArrayLike, groups: Sequence[Hashable], *, level: float = 0.95, alike: bool = False
) -> Estimate:
    """The Wilson interval where items of one group are not independent (turns of a dialogue, pairs).

    `hit` holds a truth value for each item, `groups` its group. The number of items is divided by the
    design effect (at least 1): the variance between groups over that of independent items. It is also
    divided by the square of t over z, because a variance from few groups is itself unsure: t has groups - 1
    degrees of freedom, of groups of unequal size as many as equal ones would be worth (Kish). Where all items
    agree the data can't show how alike a group is, and every group counts as one observation. `alike`: it counts so
    in any case, where items of a group are nearly the same; few hits in groups of very unequal size don't show that.
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
    sums = float((found**2).sum()), float((found * sizes).sum())
    effective = effective_total(float(found.sum()), *sums, sizes, level=level, alike=alike)
    z = float(ndtri(0.5 + level / 2))
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


def effective_total(
    hits: float, squares: float, crossed: float, sizes: NDArray[np.float64], *, level: float = 0.95, alike: bool = False
) -> float:
    """How many independent items the items of groups are worth, as `clustered_wilson` has it.

    `squares` and `crossed` are sums over the groups, of their hits squared and of their hits times their items.
    """
    total, groups = float(sizes.sum()), len(sizes)
    share, worst = hits / total, float((sizes**2).sum()) / total
    effect = worst
    if groups > 1 and 0 < hits < total:
        spread = squares - 2 * share * crossed + share**2 * worst * total
        effect = max(worst if alike else 1.0, groups / (groups - 1) * spread / (share * (1 - share) * total))
    if groups == 1:
        return total / effect
    free = max(1.0, total / worst - 1)
    return total / effect * float(ndtri(0.5 + level / 2) / stdtrit(free, 0.5 + level / 2)) ** 2


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
