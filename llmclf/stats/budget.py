"""Recall where people can review only so many: the share of targets among the items of highest score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import ConfigError, DataError
from llmclf.stats.sampling import Sampling
from llmclf.stats.stratified import FAILED_TARGET, FOUND, LEAST_POSITIVES, MISSED, confusion, interval_of
from llmclf.stats.totals import DRAWS
from llmclf.types import Estimate

_ALL_BUT = 1e-3


def recall_at_budget(
    positive: ArrayLike,
    score: ArrayLike,
    sampling: Sampling,
    share: float,
    *,
    level: float = 0.95,
    least: int = LEAST_POSITIVES,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Share of the targets among the `share` (above 0, at most 1) of all items with the highest scores.

    Minus infinity is the score of an item that nobody can rank: it comes last. The cut through the weighted sample
    is taken as known, and parts items into strata; totals are drawn as for `recall`. Items that tie at the
    cut count in proportion, as if drawn by lot, and `why_not` says so.

    Raises ConfigError for another `share`, DataError where lengths differ or a score is not a number.
    """
    target, scores = np.asarray(positive, dtype=bool), np.asarray(score, dtype=float)
    if not 0 < share <= 1:
        raise ConfigError("a review budget is a share of all items, above 0 and at most 1", got=share)
    if not len(target) == len(scores) == len(sampling) or bool(np.isnan(scores).any()):
        raise DataError("scores do not fit the labels", got=(len(target), len(scores), len(sampling)))
    if not target.any():
        return Estimate.unknown("no positives: recall at a budget can't be known", n_positives=0)
    above, tied, part = _cut(scores, sampling.weight, share)
    # Items at the cut stand in the cells of failed ones: of them, `part` is found.
    table = confusion(target, above, sampling, failed=tied, draws=draws, seed=seed)
    found, all_targets = np.zeros(6), np.zeros(6)
    found[[FOUND, FAILED_TARGET]] = 1.0, part
    all_targets[[FOUND, MISSED, FAILED_TARGET]] = 1.0
    estimate = interval_of(
        table,
        float(table.totals @ found / (table.totals @ all_targets)),
        (table.draws @ found) / (table.draws @ all_targets),
        level=level,
        seen=table.n_positives,
        least=least,
        noun="recall at a budget",
    )
    n_tied = int(tied.sum())
    if n_tied < 2 or not estimate.is_known:
        return estimate
    return replace(estimate, why_not=f"{n_tied} items tie at the cut, and {part:.0%} of them count, as if by lot")


def _cut(
    scores: NDArray[np.float64], weight: NDArray[np.float64], share: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """(above the cut, at the cut, how much of those at the cut is still within the budget)."""
    distinct, of_item = np.unique(-scores, return_inverse=True)
    ends = np.cumsum(np.bincount(of_item, weights=weight, minlength=len(distinct))) / weight.sum()
    place = int(np.searchsorted(ends, share, side="right"))
    if place == len(ends):
        return np.ones(len(scores), bool), np.zeros(len(scores), bool), 0.0
    begin = float(ends[place - 1]) if place else 0.0
    part = (share - begin) / (float(ends[place]) - begin)
    if part < _ALL_BUT:
        return of_item < place, np.zeros(len(scores), bool), 0.0
    if part > 1 - _ALL_BUT:
        return of_item <= place, np.zeros(len(scores), bool), 0.0
    return of_item < place, of_item == place, part
