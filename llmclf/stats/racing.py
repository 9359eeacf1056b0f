"""Which cells of a grid can't be the best of it any more, told from the items that all of them were asked about so far.

The only chance in it is the order of the items, and that is drawn here: what is estimated is what the whole grid
would say of *this* dataset. So every bound is that of a stratified random sample without replacement from a finite
population (Cochran 1977, ch. 5): nothing is assumed of the items, neither that they are independent nor how they
were drawn, and items of a group need not stay together. Two cells are compared on the same items, so that what both
get wrong falls out.

Dollars and missed targets: Student's bounds of a difference of totals. Rare differences hide in a small sample, so
one pseudo-item each way, on which the two cells differ, is added to the variance of every stratum. Seconds: order
statistics. `benchmarks/racing.py` shows how often a cell is let go that the whole grid would have kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, stdtrit

from llmclf.errors import DataError
from llmclf.stats.front import AS_GOOD_AS_AT_ONCE

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

FIRST_SHARE = 0.05
"""Share of the items in the first round."""
GROWTH = 1.25
"""How many times as many items have been asked about after each further round."""
_NONE = 1 + 1e-12
_ROUNDING = 1e-9
Keep = Literal["winner", "front"]
"""What must not be lost: the cell with the fewest dollars, or every cell that no other one dominates."""
LEAST_IN_STRATUM = 10
"""Items of a stratum in the first round, or all of it: heavy ones in a small stratum are seen at once."""
LEAST_IN_ROUND = 10
"""A round of fewer items tells nothing new; it joins the next one."""


def deal_rounds(stratum: ArrayLike, importance: ArrayLike, *, seed: int) -> tuple[Places, ...]:
    """The places of the items that are new in each round; the rounds together are every item once.

    `stratum` (n,) is each item's, from 0; `importance` (strata,) says in which proportion they are asked, until one
    is exhausted and the others take its part: Neyman's (1934) allocation where it is the stratum's size times the
    spread within it. Within a stratum the order is random by `seed`. The same input gives the same rounds.

    >>> [len(new) for new in deal_rounds([1] * 20 + [0] * 180, [2.0, 1.0], seed=0)]
    [20, 12, 16, 12, 15, 19, 23, 29, 54]
    """
    codes, weights = np.asarray(stratum, np.intp), np.asarray(importance, dtype=float)
    sizes = np.bincount(codes, minlength=len(weights))
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(codes == code)) for code in range(len(sizes))]
    asked, rounds = np.zeros(len(sizes), np.intp), []
    for share in _shares_after_rounds():
        ends = np.maximum(asked, _allocated(share * len(codes), sizes, weights))
        if share < 1 and (ends - asked).sum() < LEAST_IN_ROUND:
            continue
        new = np.concatenate([one[begin:end] for one, begin, end in zip(members, asked, ends, strict=True)])
        asked = ends
        if len(new):
            rounds.append(rng.permutation(new))
    return tuple(rounds)


def _allocated(total: float, sizes: Places, importance: Floats) -> Places:
    """(strata,) items of each stratum among `total`, at least the least number of each."""
    low, high = 0.0, float((sizes / importance).max(initial=0.0))
    for _ in range(60):  # the factor at which the capped parts add up to the total
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(sizes, middle * importance).sum() < total else (low, middle)
    wanted = np.maximum(np.ceil(high * importance - 1e-6), LEAST_IN_STRATUM)
    return np.minimum(sizes, wanted).astype(np.intp)


def _shares_after_rounds() -> list[float]:
    shares = [FIRST_SHARE]
    while shares[-1] * GROWTH**1.5 < 1:  # a last round that would be short joins the one before
        shares.append(shares[-1] * GROWTH)
    return [*shares, 1.0]


@dataclass(frozen=True, eq=False)
class Asked:
    """The items asked about so far, of all that there are."""

    stratum: Places
    """(m,) code of each item's stratum, from 0."""
    population: Places
    """(strata,) items that each stratum holds in the dataset, asked about or not."""

    def __post_init__(self) -> None:
        counts = self.counts
        if len(counts) != len(self.population) or bool(((counts == 0) & (self.population > 0)).any()):
            raise DataError("every stratum must have an item that was asked about", got=counts.tolist())

    @property
    def counts(self) -> Places:
        """(strata,) items asked about in each stratum."""
        return np.bincount(self.stratum, minlength=len(self.population)).astype(np.intp)

    @property
    def weight(self) -> Floats:
        """(m,) how many items of the dataset each one stands for."""
        expansion: Floats = self.population / np.maximum(self.counts, 1)
        return expansion[self.stratum]

    @property
    def left(self) -> Floats:
        """(strata,) the share of each stratum that was not asked about: the finite-population correction."""
        share: Floats = 1 - self.counts / np.maximum(self.population, 1)
        return share


def extra_low(parts: ArrayLike, swing: ArrayLike, asked: Asked, alpha: float) -> Floats:
    """(cells, cells) by how much the row's total is larger than the column's at least, at one-sided level `alpha`.

    `parts` (cells, m) is what each item asked about adds to a cell's total over the dataset; a row with a NaN is
    not known, and so is no comparison with it (-inf). `swing` (m,) is by how much one verdict the other way moves
    an item's part. On the diagonal stands -inf.
    """
    values, sizes = np.asarray(parts, dtype=float), np.asarray(swing, dtype=float)
    unknown = np.isnan(values).any(axis=1)
    values = np.where(unknown[:, None], 0.0, values)
    cells = len(values)
    total, variance, fourth = np.zeros(cells), np.zeros((cells, cells)), np.zeros((cells, cells))
    for code, (count, population, left) in enumerate(zip(asked.counts, asked.population, asked.left, strict=True)):
        inside = asked.stratum == code
        here = values[:, inside]
        means = here.mean(axis=1)
        total += population * means
        if left > 0:
            centred = here - means[:, None]
            gram = centred @ centred.T
            squares = np.diag(gram)[:, None] + np.diag(gram)[None, :] - 2 * gram
            pseudo = 2 * float((sizes[inside] ** 2).mean())
            part = population**2 * left * (np.maximum(squares, 0) + pseudo) / (count + 1) / count
            variance += part
            fourth += part**2 / (count + 1)
    freedom = variance**2 / np.where(fourth > 0, fourth, 1.0)  # Satterthwaite's, over the strata
    student = stdtrit(np.maximum(freedom, 1.0), alpha)
    low: Floats = total[:, None] - total[None, :] + student * np.sqrt(variance)
    low -= _ROUNDING * (np.abs(total)[:, None] + np.abs(total)[None, :])  # equal parts in another order: a tie
    low[unknown, :] = low[:, unknown] = -np.inf
    np.fill_diagonal(low, -np.inf)
    return low


def total_high(parts: ArrayLike, swing: ArrayLike, asked: Asked, alpha: float) -> Floats:
    """(cells,) the upper bound, at one-sided level `alpha`, of each cell's total; inf where it is not known."""
    values = np.asarray(parts, dtype=float)
    against_nothing = np.vstack([np.zeros(values.shape[1]), values])
    high: Floats = -extra_low(against_nothing, swing, asked, alpha)[0, 1:]
    return high


def quantile_bounds(seconds: ArrayLike, share: float, asked: Asked, alpha: float) -> tuple[Floats, Floats]:
    """((cells,) lower, (cells,) upper bounds), each at level `alpha`, of a quantile over all items of the dataset.

    `seconds` (cells, m); NaN is not known: it counts as nothing below and as endless above. A bound is the order
    statistic beyond which, of a sample of so many items, the quantile lies with probability `alpha` at most: a
    binomial of the sample's effective size, enlarged by what is not left to ask.
    """
    values, weight = np.asarray(seconds, dtype=float), asked.weight
    unknown, left = np.isnan(values), 1 - values.shape[1] / asked.population.sum()
    below = above = share
    if left > 0:
        below, above = _positions(weight.sum() ** 2 / (weight**2).sum() / left, share, alpha)
    low = _weighted(np.where(unknown, 0.0, values), weight, below)
    high = _weighted(np.where(unknown, np.inf, values), weight, above)
    return (low if below > 0 else np.zeros_like(low)), (high if above < _NONE else np.full_like(high, np.inf))


def _positions(size: float, share: float, alpha: float) -> tuple[float, float]:
    """Shares of the sample at whose order statistics the bounds stand; 0, and beyond 1: there is none."""
    counts = np.arange(0, int(size) + 1)
    # of `size` items the number under the quantile is binomial; betainc holds for sizes that are no whole number
    at_most = betainc(np.maximum(size - counts, 1e-9), counts + 1, 1 - share)
    below = int(np.searchsorted(at_most, alpha, side="right")) - 1  # the largest k with P(X <= k) <= alpha
    above = int(np.searchsorted(at_most, 1 - alpha, side="left")) + 1  # the least k with P(X >= k) <= alpha
    return (below + 1) / size if below >= 0 else 0.0, above / size


def _weighted(values: Floats, weight: Floats, share: float) -> Floats:
    """(rows,) the least value at which the weights of all values up to it reach `share` of their sum."""
    order = np.argsort(values, axis=1)
    reached = np.cumsum(weight[order], axis=1) / weight.sum()
    first = np.minimum((reached < share - 1e-12).sum(axis=1), values.shape[1] - 1)
    found: Floats = np.take_along_axis(values, np.take_along_axis(order, first[:, None], axis=1), axis=1)[:, 0]
    return found


@dataclass(frozen=True, eq=False)
class Racers:
    """What the cells of a race did on the items asked about so far; NaN is not known."""

    usd: Floats
    """(cells, m) what each item adds to a cell's dollars over the dataset: errors, reviews and the model's price."""
    missed: Floats
    """(cells, m) what each item adds to a cell's share of missed targets: 0, or the item's own share of them."""
    seconds: Floats
    """(cells, m) how long each answer took."""
    usd_swing: Floats
    """(m,) by how much one verdict the other way moves an item's part of the dollars."""
    missed_swing: Floats
    """(m,) an item's share of all targets; 0 where it is none."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A cell that another one beats."""

    cell: int
    by: int
    """The other one."""
    extra_usd_low: float
    """The lower bound of the dollars over the dataset that it costs more than the other one."""


def level(risk: float, cells: int, rounds: int, keep: Keep) -> float:
    """The level of each comparison, so that with all of them together no more than `risk` (0 to 1) is run.

    `winner`: the one best cell may be lost to each other one in each round. `front`: so may every cell of the front.
    """
    lost = cells - 1 if keep == "winner" else cells * (cells - 1)
    return risk / max(1, lost * (rounds - 1))


def losses(racers: Racers, asked: Asked, rivals: ArrayLike, *, keep: Keep, alpha: float) -> list[Loss]:
    """The cells that some other one beats, each with the one that does so most clearly.

    `rivals` says who may beat others: (cells,), or whom as well: (cells, cells), the row beaten by the column.
    To win is to cost less. To dominate, for `keep="front"`, is to cost less, to miss a smaller share of the targets and
    to be no slower at the 95th percentile (under a tenth of a second all are equally fast): each must be shown by
    itself at `alpha`, so that all of it together is wrong no more often than that. Cells that tie are kept.
    """
    extra = extra_low(racers.usd, racers.usd_swing, asked, alpha)
    beats = (extra > 0) & np.asarray(rivals, dtype=bool)
    if keep == "front":
        beats &= extra_low(racers.missed, racers.missed_swing, asked, alpha) > 0
        fastest, slowest = quantile_bounds(np.maximum(racers.seconds, AS_GOOD_AS_AT_ONCE), 0.95, asked, alpha / 2)
        beats &= slowest[None, :] <= fastest[:, None]
    found = []
    for cell in np.flatnonzero(beats.any(axis=1)):
        by = int(np.argmax(np.where(beats[cell], extra[cell], -np.inf)))
        found.append(Loss(int(cell), by, float(extra[cell, by])))
    return found
