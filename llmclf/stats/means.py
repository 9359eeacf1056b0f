"""The mean of numbers between two bounds, with an interval that holds where nearly all of them are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import DataError
from llmclf.stats.interval import central
from llmclf.stats.sampling import Sampling
from llmclf.stats.stratified import METHOD
from llmclf.stats.totals import DRAWS, Unseen, cell_totals
from llmclf.types import Estimate

_APART = 0  # the cell of items that are not asked about; those of the distinct values follow


def bounded_mean(
    values: ArrayLike,
    sampling: Sampling,
    *,
    among: NDArray[np.bool_] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """The weighted mean of n numbers of few distinct values, or of those `among` them; clustered by group.

    Each distinct value is a cell whose total is drawn, as `totals` has it, and one unseen item (or group) stands at
    either of the `bounds`: so 0 of 300 is no certain 0. Not known where `among` is empty.

    >>> print(bounded_mean([0.0] * 300, Sampling.simple(300)).format(".3f"))
    0.000 (0.000-0.010)
    """
    given = np.asarray(values, dtype=float)
    counted = np.ones(len(given), bool) if among is None else among
    if not len(given) == len(sampling) == len(counted):
        raise DataError("values and sampling differ in length", got=(len(given), len(sampling)))
    if not counted.any():
        return Estimate.unknown("no item counts", method=METHOD)
    number, bounds = np.round(given, 9), (round(bounds[0], 9), round(bounds[1], 9))
    levels = np.unique(np.append(number[counted], bounds))
    cells = np.where(counted, 1 + np.searchsorted(levels, number), _APART)
    usual = 1 + int(np.argmax(np.bincount(cells[counted] - 1)))
    unusual = counted & (cells != usual)
    size = sampling.alikeness(unusual if unusual.any() else counted)
    place = sampling.heaviest(counted)
    unseen = [Unseen(place, 1 + int(np.searchsorted(levels, bound)), size) for bound in reversed(bounds)]
    rare = [[cell for cell in range(1, 1 + len(levels)) if cell != usual]]
    totals = cell_totals(cells, 1 + len(levels), sampling, unseen, rare=rare, draws=draws, seed=seed)[:, 1:]
    value = float(np.average(given[counted], weights=sampling.weight[counted]))
    return Estimate(value, *central(totals @ levels / totals.sum(axis=1), value, level), METHOD)
