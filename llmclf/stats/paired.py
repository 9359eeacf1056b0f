"""Two classifiers on the same items: their difference in recall, false alarms and dollars, and what would decide it.

Each item is counted once, in the cell of what *both* made of it, and the cells' totals are drawn as `totals` has
it: the mid-p gamma form of a Bayesian bootstrap of groups. A difference then hangs on the items that the two
judge differently, as it should. In half of the draws one unseen item stands in each of four cells: a target that
one alone finds, a false alarm that one alone raises, either way round. So no disagreement never looks certain.

The test beside it is McNemar's (1947), exact: over all ways to swap the two within a group. Where items come
alone that is the binomial test of the discordant pairs; with groups it is the sign-flip test of their sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ndtri

from llmclf.errors import DataError
from llmclf.stats.interval import central
from llmclf.stats.projection import PRICE_UNKNOWN, price_of_cells
from llmclf.stats.sampling import Sampling
from llmclf.stats.stratified import (
    FAILED_OTHER,
    FAILED_TARGET,
    FALSE_ALARM,
    FOUND,
    LEAST_POSITIVES,
    MISSED,
    QUIET,
    cells_of,
)
from llmclf.stats.totals import DRAWS, Unseen, cell_totals
from llmclf.types import Costs, Estimate

METHOD = "paired mid-p-gamma"
MOST_LABELS = 100_000
"""More labels than this nobody gives for one comparison."""
_POWER = 0.8
_SIDES = 6  # cells of one classifier, in the order of `Confusion`
_TARGETS, _OTHERS = (FOUND, MISSED, FAILED_TARGET), (FALSE_ALARM, QUIET, FAILED_OTHER)
_FIRST, _SECOND = np.divmod(np.arange(_SIDES * _SIDES), _SIDES)
_IS_TARGET, _IS_OTHER = _FIRST <= FAILED_TARGET, _FIRST > FAILED_TARGET
_DISCORDANT = tuple(
    _SIDES * a + b for a, b in ((MISSED, FOUND), (FOUND, MISSED), (FALSE_ALARM, QUIET), (QUIET, FALSE_ALARM))
)


@dataclass(frozen=True, eq=False)
class Paired:
    """What two classifiers made of the same items: 36 cells, `6 * a + b` in the order of `Confusion`."""

    a: NDArray[np.intp]
    """(n,) the first one's cell of each item."""
    b: NDArray[np.intp]
    """(n,) the second one's."""
    totals: NDArray[np.float64]
    """(36,) weighted totals."""
    draws: NDArray[np.float64]
    """(draws, 36) likely totals."""
    group: NDArray[np.intp] | None
    """(n,) number of each item's group; None where every item is a group of its own."""
    largest_weight_share: float | None
    """Share of the estimated positives that the heaviest positive stands for; None without positives."""

    @property
    def n_positives(self) -> int:
        """Targets among the items."""
        return int((self.a <= FAILED_TARGET).sum())

    def __len__(self) -> int:
        return len(self.a)


def paired_cells(
    positive: ArrayLike,
    flagged: tuple[ArrayLike, ArrayLike],
    failed: tuple[ArrayLike, ArrayLike],
    sampling: Sampling,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Paired:
    """The joint cells of n items: truth values of being the target, and for both classifiers of being flagged
    and having failed.

    The same inputs and `seed` give the same draws. Raises DataError where lengths differ or there is no item.
    """
    target = np.asarray(positive, dtype=bool)
    flags, fails = (tuple(np.asarray(side, dtype=bool) for side in sides) for sides in (flagged, failed))
    if not all(len(given) == len(target) == len(sampling) for given in (*flags, *fails)):
        raise DataError("labels, flags and sampling differ in length", got=(len(target), len(sampling)))
    if not len(target):
        raise DataError("there are no items to compare on")
    a, b = (cells_of(target, flag, fail) for flag, fail in zip(flags, fails, strict=True))
    cells = _SIDES * a + b
    heavy = sampling.weight[target]
    drawn = cell_totals(
        cells, _SIDES**2, sampling, _unseen(cells, target, sampling), rare=_DISCORDANT, draws=draws, seed=seed
    )
    totals = np.bincount(cells, weights=sampling.weight, minlength=_SIDES**2).astype(float)
    share = float(heavy.max() / heavy.sum()) if len(heavy) else None
    return Paired(a, b, totals, drawn, sampling.group, share)


def paired_recall(pairs: Paired, *, level: float = 0.95, least: int = LEAST_POSITIVES) -> Estimate:
    """Recall of the second less that of the first, -1 to 1; a failed target counts as missed."""
    gain = (_SECOND == FOUND).astype(float) - (_FIRST == FOUND)
    return _difference(pairs, _mean(gain, _IS_TARGET), level, least)


def paired_false_alarms(pairs: Paired, *, level: float = 0.95) -> Estimate:
    """False-alarm rate of the second less that of the first, -1 to 1, over the others that both answered."""
    more = (_SECOND == FALSE_ALARM).astype(float) - (_FIRST == FALSE_ALARM)
    both = _IS_OTHER & (_FIRST != FAILED_OTHER) & (_SECOND != FAILED_OTHER)
    return _difference(pairs, _mean(more, both), level, 0)


def paired_balanced(pairs: Paired, *, level: float = 0.95, least: int = LEAST_POSITIVES) -> Estimate:
    """Balanced agreement, (sensitivity + specificity) / 2, of the second less that of the first, -1 to 1.

    A failed item is wrong, target or not. Both halves are of the same draws, so what moves them together counts. Each
    side needs `least` items: the others are half of the figure too.
    """
    found = _mean((_SECOND == FOUND).astype(float) - (_FIRST == FOUND), _IS_TARGET)
    quiet = _mean((_SECOND == QUIET).astype(float) - (_FIRST == QUIET), _IS_OTHER)

    def gain(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        half: NDArray[np.float64] = (found(totals) + quiet(totals)) / 2
        return half

    made = _difference(pairs, gain, level, least)
    others = len(pairs) - pairs.n_positives
    if others >= least or made.value is None:
        return made
    noun = "other" if others == 1 else "others"
    why = f"{others} {noun} can't give a difference: needs {least - others} more at least"
    return Estimate(None, made.low, made.high, METHOD, made.n_positives, made.largest_weight_share, why)


def paired_dollars(
    pairs: Paired,
    costs: Costs,
    *,
    model_usd: tuple[float | None, float | None] = (0.0, 0.0),
    level: float = 0.95,
    least: int = LEAST_POSITIVES,
) -> Estimate:
    """Dollars for 1,000 items of the second less those of the first, at `costs.prevalence`; below 0: it is cheaper.

    It is the difference of their `dollars_per_1000`, with an interval of its own. `model_usd` is each one's price
    for one item; where either is None the sum is not known, and `why_not` says what the rest is.
    """
    price = price_of_cells(costs)
    extra = price[_SECOND] - price[_FIRST]
    share = costs.prevalence
    a, b = model_usd
    models = 0.0 if a is None or b is None else b - a

    def dollars(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        outcomes = share * _mean(extra, _IS_TARGET)(totals) + (1 - share) * _mean(extra, _IS_OTHER)(totals)
        usd: NDArray[np.float64] = 1000 * (outcomes + models)
        return usd

    found = _difference(pairs, dollars, level, least)
    if a is not None and b is not None:
        return found
    return Estimate.unknown(
        f"{PRICE_UNKNOWN}; without it {found.format(',.2f', '$')}", n_positives=pairs.n_positives, method=METHOD
    )


@dataclass(frozen=True, slots=True)
class Discordance:
    """Items that one classifier has right and the other wrong, and how surely that is no chance."""

    gains: int
    """Only the second is right."""
    losses: int
    """Only the first is right."""
    p: float
    """Two-sided; 1 where they never differ."""
    method: Literal["mcnemar-exact", "sign-flip of groups"]

    def to_dict(self) -> dict[str, object]:
        """As JSON types."""
        return {"gains": self.gains, "losses": self.losses, "p": self.p, "method": self.method}


def discordance(pairs: Paired, of: Literal["targets", "others"]) -> Discordance:
    """McNemar's exact test over the targets (a failed one is missed), or over the others that both answered.

    It counts items as they are, without weights: that the two are alike says so of every item, however it was
    drawn. Items of a group may go together, so there the two are swapped in whole groups.
    """
    if of == "targets":
        step = (pairs.b == FOUND).astype(int) - (pairs.a == FOUND)
    else:
        both = (pairs.a >= FALSE_ALARM) & (pairs.a != FAILED_OTHER) & (pairs.b != FAILED_OTHER)
        step = np.where(both, (pairs.a == FALSE_ALARM).astype(int) - (pairs.b == FALSE_ALARM), 0)
    gains, losses = int((step > 0).sum()), int((step < 0).sum())
    if pairs.group is None:
        return Discordance(gains, losses, _sign_flip_p(step), "mcnemar-exact")
    sums = np.bincount(pairs.group, weights=step).round().astype(int)
    return Discordance(gains, losses, _sign_flip_p(sums), "sign-flip of groups")


@dataclass(frozen=True, slots=True)
class MoreLabels:
    """How many more labels, drawn as these were, would decide with a chance of .8; None: not up to 100,000."""

    labels: int | None
    """If the difference is what it looks like now."""
    low: int | None
    """If it is larger, as large as the upper quartile of what it may be."""
    high: int | None
    """If it is smaller, by the lower quartile."""
    positives: int | None
    """Of `labels` (of `low`, where that is not known), how many would be targets."""

    def to_dict(self) -> dict[str, int | None]:
        """As JSON types."""
        return {"labels": self.labels, "low": self.low, "high": self.high, "positives": self.positives}


def more_labels(pairs: Paired, dollars: Estimate, *, level: float = 0.95) -> MoreLabels | None:
    """What it would take to decide `dollars`, an estimate of `paired_dollars` at `level`.

    The variance is taken to fall as labels grow and the share of targets to stay. That asks for rather more than
    are needed: of simulated comparisons .88 to .91 were decided then. None where there is no figure.
    """
    if dollars.value is None or dollars.low is None or dollars.high is None:
        return None
    z = float(ndtri(0.5 + level / 2))
    spread = (dollars.high - dollars.low) / (2 * z)
    quartile = spread * float(ndtri(0.75))
    size = abs(dollars.value)
    labels, low, high = (
        _labels(len(pairs), spread, effect, z + float(ndtri(_POWER)))
        for effect in (size, size + quartile, size - quartile)
    )
    counted = low if labels is None else labels
    share = pairs.n_positives / len(pairs)
    return MoreLabels(labels, low, high, None if counted is None else _rounded_up(counted * share))


def _labels(n: int, spread: float, effect: float, z: float) -> int | None:
    """Labels beside the `n` there are, for an effect to lie `z` spreads from 0; None above `MOST_LABELS`."""
    if effect <= 0:
        return None
    more = n * ((z * spread / effect) ** 2 - 1)
    return None if more > MOST_LABELS else _rounded_up(max(1.0, more))


def _rounded_up(number: float) -> int:
    """To two digits: it is a guess."""
    unit = int(10.0 ** max(0, math.floor(math.log10(max(number, 1))) - 1))
    return math.ceil(number / unit) * unit


def _unseen(cells: NDArray[np.intp], target: NDArray[np.bool_], sampling: Sampling) -> list[Unseen]:
    """The four discordant items that the sample may have missed.

    A discordant item is flagged by one of the two: it may lie in any stratum in which either flags something. A
    false alarm may be anywhere among the others: that nothing of a large stratum was flagged says not that nothing is.
    """
    a, b = np.divmod(cells, _SIDES)
    flagged = np.isin(a, (FOUND, FALSE_ALARM)) | np.isin(b, (FOUND, FALSE_ALARM))
    made = []
    for cell in _DISCORDANT:
        is_target = bool(_IS_TARGET[cell])
        where, like = (flagged, cells == cell) if is_target else (~target, cells == cell)
        kind = target if is_target else ~target
        size = sampling.alikeness(like if like.any() else kind)
        made.append(Unseen(sampling.heaviest(where), cell, size))
    return made


class _mean:
    """The mean of `value` over the cells of `among`, for rows of totals; NaN where there is none."""

    def __init__(self, value: NDArray[np.float64], among: NDArray[np.bool_]) -> None:
        self._value, self._among = np.where(among, value, 0.0), among.astype(float)

    def __call__(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = totals @ self._among
        mean: NDArray[np.float64] = np.divide(
            totals @ self._value, whole, out=np.full_like(whole, np.nan), where=whole > 0
        )
        return mean


def _difference(
    pairs: Paired, of: Callable[[NDArray[np.float64]], NDArray[np.float64]], level: float, least: int
) -> Estimate:
    """The figure that `of` makes of rows of totals, with the central `level` of the draws as its interval."""
    positives, share = pairs.n_positives, pairs.largest_weight_share
    value = float(of(pairs.totals[None, :])[0])
    if not math.isfinite(value):
        absent = (
            "no negatives" if positives == len(pairs) else "no positives" if not positives else "nothing both answered"
        )
        return Estimate.unknown(f"{absent}: the difference can't be known", n_positives=positives, method=METHOD)
    low, high = central(of(pairs.draws), value, level)
    if positives >= least:
        return Estimate(value, low, high, METHOD, positives, share)
    noun = "positive" if positives == 1 else "positives"
    why = f"{positives} {noun} can't give a difference: needs {least - positives} more at least"
    return Estimate(None, low, high, METHOD, positives, share, why)


def _sign_flip_p(steps: NDArray[np.intp]) -> float:
    """Two-sided p of a sum of whole numbers, each of which might as well have had the other sign: exact.

    Numbers of one size are a binomial count of them; the counts of all sizes are added up. Where all are 1 or -1
    it is the binomial test.
    """
    sizes, times = np.unique(np.abs(steps[steps != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), times.tolist(), strict=True):
        stretched = np.zeros(size * count + 1)
        stretched[::size] = _halves(count)
        chances = np.convolve(chances, stretched)
    positive = int(steps[steps > 0].sum())
    return min(1.0, 2 * min(float(chances[: positive + 1].sum()), float(chances[positive:].sum())))


def _halves(count: int) -> NDArray[np.float64]:
    """(count + 1,) the chances of 0, 1, ... heads among so many throws of a coin."""
    heads = np.arange(count + 1)
    logs = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1) - count * math.log(2)
    chances: NDArray[np.float64] = np.exp(logs)
    return chances
