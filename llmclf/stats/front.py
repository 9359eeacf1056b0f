"""Many classifiers on the same items, resampled together: which is cheapest, and which lie on the front.

Every replicate of a Bayesian bootstrap (`resampled_shares`) weights the items once, for all classifiers: that is
the pairing, and it is why a difference can be sure where both sums are not. A bootstrap can't see what the
sample does not hold: a classifier without a miss among 20 targets would have none in any replicate. So each set
of answers gets, in half of the replicates and independently of the others, one unseen item (a Gamma(1) weight,
as in `totals`) of each of four kinds: a target found, a target missed, a false alarm, a quiet one. Between two
classifiers that comes to about one pseudo-discordant item each way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmclf.stats.outcomes import item_usd, resampled_shares, usd_shares
from llmclf.stats.sampling import Sampling
from llmclf.types import Costs

REPLICATES = 500
"""Of dollars and seconds together: a probability of one half moves by .02 between seeds."""
USD_REPLICATES = 1000
AS_GOOD_AS_AT_ONCE = 0.1
"""Seconds under which all are equally fast: nobody waits for the difference."""
_LEAST_REPLICATES = 200
_MOST_WEIGHTS = 10_000_000  # of all replicates together: some seconds
_CHUNK = 4_000_000  # weights at a time: 32 MB
_UPPER = 0.95

_Floats = NDArray[np.float64]
_Truths = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """What several classifiers (cells) made of the same n items."""

    positive: _Truths
    """(n,) True for targets; both kinds occur."""
    sampling: Sampling
    flagged: _Truths
    """(cells, n); not read where an item failed."""
    failed: _Truths
    """(cells, n)"""
    model_usd: _Floats
    """(cells, n) the model's price of each item in dollars; NaN where it is not known."""
    seconds: _Floats
    """(cells, n); NaN where it was not timed."""
    source: NDArray[np.intp]
    """(cells,) cells with the same number have the same answers and differ in price and seconds alone."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Each cell's figures in each replicate."""

    usd: _Floats
    """(replicates, cells) dollars per 1,000 items, the model's price among them; NaN where that is not known."""
    seconds: _Floats
    """(replicates, cells) of the 95th percentile; NaN where nothing was timed."""


def resample(answers: Answers, costs: Costs, *, replicates: int = REPLICATES, seed: int = 0) -> Resampled:
    """Dollars at `costs` and p95 seconds of all cells in each replicate, every replicate on the same rows.

    Of very many items fewer replicates are made, 200 at least. p95 is the weighted form of numpy's percentile;
    beyond the slowest item seen it can't see. Raises DataError without a target or without another item.
    """
    usd, seconds = [], []
    for weights, rng in _rounds(answers, replicates, seed):
        usd.append(_dollars(answers, weights, costs, rng))
        seconds.append(upper_seconds(weights, answers.seconds))
    return Resampled(np.concatenate(usd), np.concatenate(seconds))


def resample_usd(answers: Answers, costs: Costs, *, replicates: int = USD_REPLICATES, seed: int = 0) -> _Floats:
    """(replicates, cells) the dollars of `resample` alone: the seconds take most of its time."""
    rounds = _rounds(answers, replicates, seed)
    return np.concatenate([_dollars(answers, weights, costs, rng) for weights, rng in rounds])


def on_front(usd: _Floats, seconds: _Floats) -> _Truths:
    """(rows, cells) which cells no other one beats in that row: none that costs as little is as fast.

    Both are (rows, cells). Under a tenth of a second all are equally fast; of two that are equal in both, the
    first stands for both. A cell with a NaN is never on it.
    """
    placed = np.isfinite(usd) & np.isfinite(seconds)
    dollars = np.where(placed, usd, np.inf)
    waited = np.where(placed, np.maximum(seconds, AS_GOOD_AS_AT_ONCE), np.inf)
    order = np.lexsort((waited, dollars), axis=1)
    sorted_seconds = np.take_along_axis(waited, order, axis=1)
    fastest = np.minimum.accumulate(sorted_seconds, axis=1)
    best = np.ones_like(placed)
    best[:, 1:] = sorted_seconds[:, 1:] < fastest[:, :-1]
    mask = np.empty_like(placed)
    np.put_along_axis(mask, order, best, axis=1)
    return mask & placed


def front_chances(resampled: Resampled) -> _Floats:
    """(cells,) share of the replicates in which each cell is on the front of dollars and p95 seconds."""
    chances: _Floats = on_front(resampled.usd, resampled.seconds).mean(axis=0)
    return chances


def upper_seconds(weights: _Floats, seconds: _Floats) -> _Floats:
    """(rows, cells) weighted 95th percentiles of (cells, n) seconds under (rows, n) weights, NaN left out.

    With equal weights the same as numpy's percentile: an item stands where the weights before it end, as a share
    of all but the last one's.
    """
    found = np.full((len(weights), len(seconds)), np.nan)
    whole = weights.sum(axis=1)
    for cell, measured in enumerate(seconds):
        known = np.flatnonzero(np.isfinite(measured))
        if len(known):
            order = known[np.argsort(-measured[known], kind="stable")]
            total = whole if len(order) == len(measured) else weights[:, order].sum(axis=1)
            found[:, cell] = _from_the_top(weights, total, order, measured[order])
    return found


def _from_the_top(weights: _Floats, total: _Floats, order: NDArray[np.intp], falling: _Floats) -> _Floats:
    """One percentile a row, of the items in `order`, the slowest first; `total` (rows,) is their whole weight.

    Only the slowest items are looked at: a few more than the share that is above.
    """
    above = (1 - _UPPER) * (total - weights[:, order[0]])
    if len(order) == 1:
        return np.full(len(weights), falling[0])
    top = min(len(order), 20 + int(len(order) * 2 * (1 - _UPPER)))
    while True:
        # what lies from each item up to the slowest, which itself stands at the very end
        reach = np.cumsum(weights[:, order[1:top]], axis=1)
        if top == len(order) or bool((reach[:, -1] >= above).all()):
            break
        top = min(len(order), 2 * top)
    place = np.minimum(np.count_nonzero(reach < above[:, None], axis=1), top - 2)
    rows = np.arange(len(weights))
    step = weights[rows, order[place + 1]]
    into = np.clip((above - (reach[rows, place] - step)) / np.where(step > 0, step, 1.0), 0.0, 1.0)
    percentile: _Floats = falling[place] + into * (falling[place + 1] - falling[place])
    return percentile


def _rounds(answers: Answers, replicates: int, seed: int) -> Iterator[tuple[_Floats, np.random.Generator]]:
    """(weights, chance for the rest) of some replicates at a time, so that no more of them are held at once.

    Weights are (replicates, n), each item's over its usual one; the targets' mean is 1, and the others' too.
    """
    items = len(answers.positive)
    replicates = min(replicates, max(_LEAST_REPLICATES, _MOST_WEIGHTS // items))
    usual = usd_shares(answers.positive, answers.sampling, 0.5)
    step = max(1, _CHUNK // items)
    for start in range(0, replicates, step):
        rng = np.random.default_rng([seed, start])
        size, own = min(step, replicates - start), int(rng.integers(2**32))
        drawn = resampled_shares(answers.positive, answers.sampling, 0.5, replicates=size, seed=own)
        yield drawn / usual, rng


def _dollars(answers: Answers, weights: _Floats, costs: Costs, rng: np.random.Generator) -> _Floats:
    """(replicates, cells) per 1,000 items, the model's price among them.

    Rounded: a sum of the same numbers may differ in its last digit by where it stands in a product of matrices.
    """
    price = _mean_where_known(weights * answers.sampling.weight, answers.model_usd)
    usd: _Floats = np.round(_outcome_dollars(answers, weights, costs, rng) + 1000 * price, 9)
    return usd


def _outcome_dollars(answers: Answers, weights: _Floats, costs: Costs, rng: np.random.Generator) -> _Floats:
    """(replicates, cells) per 1,000 items, without the model's price."""
    prices = {
        True: (costs.review_usd, costs.missed_usd),
        False: (costs.false_alarm_usd + costs.review_usd, 0.0),
    }  # of a flagged item and of one that is not
    made = np.zeros((len(weights), len(answers.flagged)))
    usd = item_usd(np.broadcast_to(answers.positive, answers.flagged.shape), answers.flagged, answers.failed, costs)
    for target, prevalence in ((True, costs.prevalence), (False, 1 - costs.prevalence)):
        inside = answers.positive == target
        usual = answers.sampling.weight[inside]
        total = usual.sum()
        sums = (weights[:, inside] * usual) @ usd[:, inside].T
        unseen = _unseen(answers, target, len(weights), rng)
        sums += sum(extra * price for extra, price in zip(unseen, prices[target], strict=True))
        made += 1000 * prevalence * sums / (total + unseen[0] + unseen[1])
    return made


def _unseen(answers: Answers, target: bool, replicates: int, rng: np.random.Generator) -> tuple[_Floats, _Floats]:
    """Weights, (replicates, cells) each, of an unseen item that is flagged and of one that is not.

    A target is put into the heaviest stratum where its like, flagged or not, was seen; another item may be in
    the heaviest of all. As many come together as targets do.
    """
    sampling = answers.sampling
    by_stratum = sampling.stratum_weight
    first = np.unique(answers.source, return_index=True)[1]
    of_cell = np.unique(answers.source, return_inverse=True)[1]
    size = sampling.alikeness(answers.positive)
    made = []
    for flag in (True, False):
        like = (answers.flagged[first] & ~answers.failed[first]) == flag
        seen = np.stack([like[:, sampling.stratum == number].any(axis=1) for number in range(len(by_stratum))], axis=1)
        nowhere = ~seen.any(axis=1, keepdims=True) | (not target)
        weight = np.where(seen | nowhere, by_stratum, 0.0).max(axis=1) * size
        present = rng.random((replicates, len(first))) < 0.5
        made.append((present * rng.standard_exponential((replicates, len(first))) * weight)[:, of_cell])
    return made[0], made[1]


def _mean_where_known(weights: _Floats, values: _Floats) -> _Floats:
    """(rows, cells) weighted means of (cells, n) values, NaN left out; NaN where all are."""
    known = np.isfinite(values)
    sums = weights @ np.where(known, values, 0.0).T
    with np.errstate(invalid="ignore"):
        means: _Floats = sums / (weights @ known.T.astype(float))
    return means
