"""Two counts of the same items: is one larger, by how much, and could the data have shown a doubling?

Items differ far more from each other than two settings do on one item, so counts are compared item by
item: Wilcoxon's signed ranks (1945) of the log ratios, zeros kept in the ranking as Pratt (1959) has it,
ties by mid-ranks. Mann and Whitney's test would take the items for different ones, and need
many times as many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from llmclf.errors import DataError
from llmclf.types import Estimate

Alternative = Literal["two-sided", "less", "greater"]
_EXACT_UP_TO = 50  # pairs that differ; beyond, the normal approximation
_EXACT_AMONG = 2000  # pairs in all: ranks above many zeros are large, and so is the list of their sums
SURE = 0.05
"""Below this p a difference, or the lack of a doubling, is taken as shown."""


@dataclass(frozen=True)
class PairedCounts:
    """How two counts of the same items compare."""

    pairs: int
    """Items that both have a count of."""
    zeros: int
    """Pairs that are both zero."""
    ties: int
    """Pairs that are alike, zero or not."""
    p_different: float
    """Two-sided p of Wilcoxon's test; 1 where all pairs are alike."""
    ratio: Estimate
    """Median of second to first, over the pairs that are not both zero. Its interval is that of a median.

    Not known where most of them have a zero on one side: nothing is some times nothing.
    """
    medians: tuple[float, float] | None
    """The median counts of the first and of the second; None without a pair."""
    rules_out_doubling: bool
    """True where both a doubling and a halving are rejected: two one-sided tests."""

    @property
    def different(self) -> bool:
        """True where the counts differ by more than chance."""
        return self.p_different < SURE


def paired_counts(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> PairedCounts:
    """The comparison of two counts (none negative) of the same items, in the same order.

    A zero counts as one where a doubling is asked about. Pairs that are both zero say nothing of a doubling and
    are left out of that question and of the ratio; in the test for a difference they are ties.
    Raises DataError where the lengths differ or a count is negative.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape != other.shape or one.ndim != 1:
        raise DataError("paired counts differ in length", got=(one.shape, other.shape))
    if (one < 0).any() or (other < 0).any():
        raise DataError("a count is negative", got=(float(one.min()), float(other.min())))
    logs = np.log(np.maximum(other, 1)) - np.log(np.maximum(one, 1))
    empty = (one == 0) & (other == 0)
    counted = logs[~empty]
    doubled = math.log(2)
    rules_out = max(_signed_rank_p(counted - doubled, "less"), _signed_rank_p(counted + doubled, "greater")) < SURE
    return PairedCounts(
        pairs=len(logs),
        zeros=int(empty.sum()),
        ties=int((one == other).sum()),
        p_different=_signed_rank_p(logs, "two-sided"),
        ratio=_median_ratio(one[~empty], other[~empty], level),
        medians=(float(np.median(one)), float(np.median(other))) if len(one) else None,
        rules_out_doubling=rules_out,
    )


def _signed_rank_p(differences: NDArray[np.float64], alternative: Alternative) -> float:
    """Wilcoxon's p; 1 where nothing differs. Differences that only rounding tells from a tie are ties."""
    from scipy.stats import rankdata, wilcoxon  # takes a second to import

    rounded = np.round(differences, 12)
    signs = np.sign(rounded[rounded != 0])
    if not len(signs):
        return 1.0
    if len(signs) > _EXACT_UP_TO or len(rounded) > _EXACT_AMONG:
        found = wilcoxon(rounded, zero_method="pratt", alternative=alternative, method="approx")
        return float(found.pvalue)
    return _exact_p(rankdata(np.abs(rounded))[rounded != 0], signs, alternative)


def _exact_p(ranks: NDArray[np.float64], signs: NDArray[np.float64], alternative: Alternative) -> float:
    """Over all ways to sign the ranks, ties and zeros included: scipy would draw or list them one by one."""
    doubled = np.round(2 * ranks).astype(int)  # tied ranks are halves
    chances = np.zeros(doubled.sum() + 1)
    chances[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chances)
        moved[rank:] = chances[: len(chances) - rank]
        chances = (chances + moved) / 2
    positive = int(doubled[signs > 0].sum())
    less, greater = float(chances[: positive + 1].sum()), float(chances[positive:].sum())
    if alternative == "two-sided":
        return min(1.0, 2 * min(less, greater))
    return min(1.0, less if alternative == "less" else greater)


def _median_ratio(one: NDArray[np.float64], other: NDArray[np.float64], level: float) -> Estimate:
    """exp(median), with the narrowest pair of order statistics that cover the median at `level` or more.

    A zero on one side lies beyond every ratio, above or below; where the median lies there, or an end of the
    interval, it is not given.
    """
    n = len(one)
    if not n:
        return Estimate.unknown("every count is zero", method="median")
    with np.errstate(divide="ignore"):
        ordered = np.sort(np.log(other) - np.log(one))
    middle = ordered[(n - 1) // 2 : n // 2 + 1]
    if not np.isfinite(middle).all():
        return Estimate.unknown("most counts of one side are zero: there is no ratio", method="median")
    value = float(np.exp(middle.mean()))
    rank = next((k for k in range(n // 2, 0, -1) if 2 * float(bdtr(k - 1, n, 0.5)) <= 1 - level), 0)
    if not rank:
        return Estimate(value, method="median", why_not=f"{n} pairs are too few for an interval")
    low, high = float(ordered[rank - 1]), float(ordered[n - rank])
    ends = [float(np.exp(end)) if np.isfinite(end) else None for end in (low, high)]
    why = "" if None not in ends else "too many counts of one side are zero for an interval"
    return Estimate(value, ends[0], ends[1], method="median", why_not=why)
