"""Is a rate in one part of the items other than in the rest? Tests for many small parts looked at together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from llmclf.errors import DataError
from llmclf.stats.proportion import group_codes

DRAWS = 9999
_LEAST_DRAWS = 999
_MOST_VARIATES = 20_000_000
_CHUNK = 2_000_000
_CLOSE = 1e-9

_Floats = NDArray[np.float64]


def difference_p(
    hit: ArrayLike, inside: ArrayLike, group: NDArray[np.intp] | None = None, *, draws: int = DRAWS, seed: int = 0
) -> float | None:
    """Two-sided p of the share of hits inside against outside; None where one of the two is empty.

    `hit` and `inside` are n truth values, `group` the number of each item's group. Where each item stands alone:
    Fisher's exact test. Where items come in groups: the shares that are inside are dealt anew to whole groups, and
    within a group that has both, to its own items (Monte Carlo, Barnard 1963: no p is below 1 / (draws + 1)).
    What is compared is hits less those expected of as many items, over its own standard error (Janssen 1997), so that
    a part of large groups is not odd for that alone.
    """
    hits, chosen = np.asarray(hit, dtype=bool), np.asarray(inside, dtype=bool)
    if not len(hits) == len(chosen) == (len(hits) if group is None else len(group)):
        raise DataError("hits, parts and groups differ in length", got=(len(hits), len(chosen)))
    if not 0 < int(chosen.sum()) < len(chosen):
        return None
    codes = None if group is None else group_codes(group)
    if codes is None:
        return _fisher(hits, chosen)
    size = np.bincount(codes)
    within = np.bincount(codes, weights=chosen).astype(np.int64)
    found = np.bincount(codes, weights=hits).astype(np.int64)
    surplus = found - float(hits.mean()) * size
    share, whole = within / size, float(chosen.mean())
    split = (within > 0) & (within < size) & (found > 0) & (found < size)
    rng = np.random.default_rng(seed)
    draws = max(_LEAST_DRAWS, min(draws, _MOST_VARIATES // max(1, int(split.sum()))))
    between, spread = _dealt(share, surplus, whole, draws, rng)
    inside_groups = _redealt(size[split], found[split], within[split], len(between), rng)
    expected, fixed = float((share * found)[split].sum()), _redealt_variance(size[split], found[split], within[split])
    seen = float(share @ surplus) + float(np.bincount(codes, weights=hits & chosen)[split].sum()) - expected
    seen_spread = float(((share - whole) ** 2) @ surplus**2)
    statistic = _over_error(between + inside_groups - expected, spread + fixed)
    extreme = np.abs(statistic) >= abs(_over_error(np.array([seen]), np.array([seen_spread + fixed]))[0]) - _CLOSE
    return (1 + int(extreme.sum())) / (len(between) + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p adjusted for all that are not None, by Holm (1979): the chance of any false find stays below it.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = largest
    return adjusted


def _fisher(hits: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    from scipy.stats import fisher_exact

    table = np.array([[(hits & side).sum(), (~hits & side).sum()] for side in (chosen, ~chosen)])
    return float(fisher_exact(table)[1])


def _over_error(sums: _Floats, variance: _Floats) -> _Floats:
    """Sums over their standard errors; 0 where neither moves."""
    return np.divide(sums, np.sqrt(variance), out=np.zeros_like(sums), where=variance > _CLOSE)


def _dealt(
    share: _Floats, surplus: _Floats, whole: float, draws: int, rng: np.random.Generator
) -> tuple[_Floats, _Floats]:
    """(draws,) sums of share x surplus with the shares dealt anew to the groups, and their variances.

    Groups that are alike are dealt as counts, unless there are fewer groups than counts.
    """
    from scipy.stats import random_table

    shares, of_share = np.unique(np.round(share, 9), return_counts=True)
    kinds, of_kind = np.unique(np.round(surplus, 9), return_counts=True)
    size = min(len(shares) * len(kinds), len(share))
    draws = max(_LEAST_DRAWS, min(draws, _MOST_VARIATES // size))
    step = max(1, _CHUNK // size)
    sums, spreads = np.empty(draws), np.empty(draws)
    for start in range(0, draws, step):
        part = slice(start, min(start + step, draws))
        count = part.stop - start
        if size < len(share):
            tables = random_table(of_share, of_kind).rvs(size=count, random_state=rng)
            sums[part], spreads[part] = tables @ kinds @ shares, tables @ kinds**2 @ (shares - whole) ** 2
        else:
            dealt = rng.permuted(np.broadcast_to(surplus, (count, size)), axis=1)
            sums[part], spreads[part] = dealt @ share, dealt**2 @ (share - whole) ** 2
    return sums, spreads


def _redealt_variance(size: NDArray[np.int64], found: NDArray[np.int64], within: NDArray[np.int64]) -> float:
    """Of `_redealt`: hypergeometric."""
    share = within / size
    return float((found * share * (1 - share) * (size - found) / (size - 1)).sum())


def _redealt(
    size: NDArray[np.int64], found: NDArray[np.int64], within: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> _Floats:
    """(draws,) hits inside where each mixed group's hits are dealt anew to its own items.

    Of many groups that are alike the number with each outcome is drawn, not each outcome.
    """
    sums = np.zeros(draws)
    kinds, times = np.unique(np.stack([size, found, within]), axis=1, return_counts=True)
    for (n, hits, k), count in zip(kinds.T.tolist(), times.tolist(), strict=True):
        outcomes = np.arange(max(0, hits + k - n), min(hits, k) + 1)
        if count <= len(outcomes):
            sums += rng.hypergeometric(hits, n - hits, k, size=(count, draws)).sum(axis=0)
        else:
            sums += rng.multinomial(count, _chances(n, hits, k, outcomes), size=draws) @ outcomes
    return sums


def _chances(n: int, hits: int, k: int, outcomes: NDArray[np.intp]) -> _Floats:
    """Of each number of hits among k of n items: hypergeometric."""
    ways = -betaln(hits - outcomes + 1, outcomes + 1) - betaln(n - hits - k + outcomes + 1, k - outcomes + 1)
    chances: _Floats = np.exp(ways - ways.max()) / np.exp(ways - ways.max()).sum()
    return chances
