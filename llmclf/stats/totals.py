"""How many items of the population lie in each cell: likely values, given a sample in which few do.

The method is a Monte-Carlo form of the mid-p gamma interval for weighted sums of Poisson counts (Fay and
Feuer 1997, Fay and Kim 2017). A count k in a stratum becomes a Gamma(k) variate, and in half of the draws one
unseen item, a Gamma(1) variate, is added in the stratum of largest weight in which the cell may occur. One
unseen item is enough at any number of strata: a prior in every stratum would add up. Both sides of a rate need
one: it is what keeps an interval open at 0 and at 1, where one side has no count. Counts of one stratum are
normalised to its size, so that with one stratum a rate is a mixture of betas, the two of Clopper and Pearson among
them. `benchmarks/coverage.py` shows how often the intervals hold.

A group's items are drawn together: they share one Gamma(1) factor, and the unseen item becomes an unseen
group. Groups of unequal size make their own spread unsure; it is widened as Student's t widens the normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from llmclf.stats.sampling import Sampling

DRAWS = 4000
"""Draws behind an interval: its ends move by about a hundredth of its width between seeds."""
_MOST_VARIATES = 200_000_000
_LEAST_DRAWS = 500
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class Unseen:
    """One item (or group of `size` items) that the sample may have missed, present in half of the draws."""

    stratum: int
    cell: int
    size: float = 1.0


def cell_totals(
    cells: NDArray[np.intp],
    n_cells: int,
    sampling: Sampling,
    unseen: Sequence[Unseen] = (),
    *,
    rare: Sequence[int | Sequence[int]],
    draws: int = DRAWS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """(draws, n_cells) likely numbers of population items in each cell; `cells` is each item's cell, from 0.

    `rare` are the cells (or sets of cells, each taken as one) whose few items decide how sure anything is: the targets.

    What is described is the process that the population came from, not that population alone: a stratum
    of which every item is labelled stays as unsure as its counts make it, and the strata's own sizes
    vary as counts do. A classifier is judged for the traffic that comes next.
    """
    rng = np.random.default_rng(seed)
    strata = len(sampling.population)
    key = sampling.stratum * n_cells + cells
    columns = [np.add.outer(np.arange(strata) * n_cells, cell).ravel() for cell in rare]
    counts = _counts(key, strata * n_cells, columns, sampling, draws, rng)
    drawn = len(counts)
    by_stratum = counts.reshape(drawn, strata, n_cells)
    for item in unseen:
        present = rng.permutation(drawn) < drawn // 2
        by_stratum[:, item.stratum, item.cell] += present * rng.standard_gamma(1.0, drawn) * item.size
    shares = rng.standard_gamma(sampling.population / sampling.alikeness(np.ones(len(cells), bool)), (drawn, strata))
    shares *= sampling.population.sum() / shares.sum(axis=1, keepdims=True)
    totals: NDArray[np.float64] = np.einsum("dhc,dh->dc", by_stratum, shares / by_stratum.sum(axis=2))
    return totals


def _counts(
    key: NDArray[np.intp],
    width: int,
    rare: Sequence[NDArray[np.intp]],
    sampling: Sampling,
    draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(draws, strata * cells) gamma variates of the sampled counts."""
    if sampling.group is None and sampling.relative is None:
        return rng.standard_gamma(np.bincount(key, minlength=width).astype(float), (draws, width))
    patterns, times = _patterns(key, width, sampling)
    draws = min(draws, max(_LEAST_DRAWS, _MOST_VARIATES // len(times)))
    step = max(1, _CHUNK // len(times))
    shape = _shape([patterns @ np.bincount(columns, minlength=width) for columns in rare], times)
    return np.concatenate(
        [
            rng.standard_gamma(times * shape, (min(step, draws - start), len(times))) @ patterns / shape
            for start in range(0, draws, step)
        ]
    )


def _shape(cells: Sequence[NDArray[np.float64]], times: NDArray[np.float64]) -> float:
    """The gamma shape (at most 1) of one group, so that its factor has variance (t / z) squared.

    `cells` holds, for each rare cell, how many of its items each group has. The spread of a sum of unequal
    groups is known as well as Satterthwaite's degrees of freedom say: 2 (sum of squares)^2 / sum of fourth
    powers, here of the least known cell, at most groups - 1 and at least 3. Where every group has a single
    item of a cell, counting is exact and nothing is widened.
    """
    freedom = [float(times.sum()) - 1]
    for sizes in cells:
        squares = float((times * sizes**2).sum())
        if squares > float((times * sizes).sum()) * (1 + 1e-9):
            freedom.append(2 * squares**2 / float((times * sizes**4).sum()))
    return float(1.96 / stdtrit(max(3.0, min(freedom)), 0.975)) ** 2


def _patterns(key: NDArray[np.intp], width: int, sampling: Sampling) -> tuple[Any, NDArray[np.float64]]:
    """The distinct rows of group x (stratum, cell) sums, sparse, and how many groups have each.

    Groups with the same row share one variate: a sum of m Gamma(1) is a Gamma(m).
    """
    from scipy.sparse import csr_array

    group = np.arange(len(key)) if sampling.group is None else sampling.group
    entries, entry = np.unique(group * width + key, return_inverse=True)
    sums = np.bincount(entry, weights=sampling.relative).astype(float)
    row, column = np.divmod(entries, width)
    # One random projection finds equal rows far sooner than sorting whole rows does.
    marks = np.bincount(row, weights=sums * np.random.default_rng(0).standard_normal(width)[column])
    _, first, times = np.unique(marks, return_index=True, return_counts=True)
    ends = np.searchsorted(row, np.arange(len(marks) + 1))
    return csr_array((sums, column, ends), (len(marks), width))[first], times.astype(float)
