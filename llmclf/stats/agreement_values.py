"""Coefficients of agreement as plain numbers: exact values, None where a coefficient has none.

Cohen's kappa (1960; quadratic weights 1968), Fleiss' kappa (1971), Gwet's AC1 (2008), Krippendorff's alpha (2011),
positive and negative agreement (Spitzer and Fleiss 1974, Cicchetti and Feinstein 1990). With missing votes Fleiss'
kappa and AC1 are Gwet's (2014): agreement is the mean over items of two votes and more, chance that over all items
with a vote; alpha and positive agreement count pairs of votes. `llmclf.stats.agreement` gives them with intervals.

Categories are codes from 0; votes are (n, raters) codes, -1 where a rater gave none. An ordinal scale runs from its
first category to its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """What all coefficients but Cohen's kappa rest on, for one sample or a stack of them (leading dimensions)."""

    coincidences: Floats
    """(..., categories, categories) pairs of votes on one item; each vote counts once (Krippendorff's matrix)."""
    shares: Floats
    """(..., categories, categories) the same with each item counting once, summing to 1."""
    chance: Floats
    """(..., categories) mean share of each category among an item's votes."""


def cohen_kappa(one: ArrayLike, other: ArrayLike, categories: int, *, ordinal: bool = False) -> float | None:
    """Cohen's kappa of two raters, with quadratic weights on an ordinal scale; None where both only say one thing.

    >>> cohen_kappa([0, 0, 1, 1], [0, 1, 1, 1], 2)
    0.5
    """
    return _plain(cohen_of(pair_table(one, other, categories).astype(float), ordinal))


def fleiss_kappa(votes: ArrayLike, categories: int, *, ordinal: bool = False) -> float | None:
    """Fleiss' kappa of (n, raters) votes, with quadratic weights on an ordinal scale; None where all say one thing."""
    return _plain(fleiss_of(_pairs(votes, categories), ordinal))


def krippendorff_alpha(votes: ArrayLike, categories: int, *, ordinal: bool = False) -> float | None:
    """Krippendorff's alpha of (n, raters) votes, nominal or ordinal; None where all say one thing."""
    return _plain(alpha_of(_pairs(votes, categories), ordinal))


def gwet_ac1(votes: ArrayLike, categories: int) -> float | None:
    """Gwet's AC1 of (n, raters) votes. Two raters who flag 1 % at random get .98: never decide by it."""
    return _plain(ac1_of(_pairs(votes, categories)))


def observed_agreement(votes: ArrayLike, categories: int) -> float | None:
    """Share of an item's pairs of votes that are the same, the mean over items with two votes or more."""
    return _plain(observed_of(_pairs(votes, categories)))


def specific_agreement(votes: ArrayLike, categories: int, targets: Sequence[int]) -> float | None:
    """How often another rater says `targets` where one does: positive agreement; of all others, the negative one.

    For two raters 2a / (2a + b + c). None where nobody says so.
    """
    return _plain(specific_of(_pairs(votes, categories), _mask(targets, categories)))


# --- counting ---------------------------------------------------------------------------------------------------


def checked_votes(votes: ArrayLike, categories: int) -> NDArray[np.intp]:
    """(n, raters) codes; DataError where they are not codes from -1 to categories - 1, or have other dimensions."""
    codes = np.asarray(votes)
    if codes.size == 0:
        codes = codes.reshape(codes.shape if codes.ndim == 2 else (0, 0)).astype(np.intp)
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise DataError("votes are whole numbers in two dimensions, items and raters", got=(codes.shape, codes.dtype))
    if categories < 2:
        raise DataError("agreement needs two categories at least", got=categories)
    if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < categories:
        raise DataError(f"votes lie between -1 and {categories - 1}", got=(int(codes.min()), int(codes.max())))
    return codes.astype(np.intp)


def vote_counts(votes: NDArray[np.intp], categories: int) -> Floats:
    """(n, categories) how many raters said each, from `checked_votes`."""
    item, _ = np.nonzero(votes >= 0)
    given = item * categories + votes[votes >= 0]
    return np.bincount(given, minlength=len(votes) * categories).reshape(len(votes), categories).astype(float)


def pair_table(one: ArrayLike, other: ArrayLike, categories: int) -> NDArray[np.int64]:
    """(categories, categories) items by what the two raters said; items that one of them left out are not counted."""
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape or first.ndim != 1:
        raise DataError("two raters need as many codes each", got=(first.shape, second.shape))
    votes = checked_votes(np.stack([first, second], axis=1), categories)
    both = votes[(votes >= 0).all(axis=1)]
    counted = np.bincount(both[:, 0] * categories + both[:, 1], minlength=categories**2)
    return counted.reshape(categories, categories).astype(np.int64)


def item_sums(counts: Floats) -> Floats:
    """(m, sums) of (m, categories) counts of votes: each item's part in what `pairs_of` is made from."""
    total = counts.sum(axis=1)
    categories = counts.shape[1]
    products = counts[:, :, None] * counts[:, None, :]
    products[:, np.arange(categories), np.arange(categories)] -= counts
    two = total >= 2
    coincidences = np.where(two[:, None, None], products, 0) / np.maximum(total - 1, 1)[:, None, None]
    shares = coincidences / np.maximum(total, 1)[:, None, None]
    chance = counts / np.maximum(total, 1)[:, None]
    flat = (len(counts), categories**2)
    return np.concatenate([coincidences.reshape(flat), shares.reshape(flat), chance], axis=1)


def pairs_of(sums: Floats, categories: int) -> Pairs:
    """Pairs from the summed rows (..., sums) of `item_sums`."""
    square = categories**2
    shape = (*sums.shape[:-1], categories, categories)
    shares, chance = sums[..., square : 2 * square], sums[..., 2 * square :]
    return Pairs(
        sums[..., :square].reshape(shape),
        _over(shares, shares.sum(axis=-1, keepdims=True)).reshape(shape),
        _over(chance, chance.sum(axis=-1, keepdims=True)),
    )


def pairs_of_table(table: Floats) -> Pairs:
    """Pairs from (..., categories, categories) items by what two raters said."""
    both = table + np.swapaxes(table, -1, -2)
    shares = _over(both, both.sum(axis=(-1, -2), keepdims=True))
    return Pairs(both, shares, shares.sum(axis=-1))


# --- coefficients over stacks; NaN where there is none ------------------------------------------------------------


def observed_of(pairs: Pairs) -> Floats:
    """(...) share of equal pairs."""
    share: Floats = np.trace(pairs.shares, axis1=-2, axis2=-1)
    return share


def cohen_of(table: Floats, ordinal: bool) -> Floats:
    """(...) Cohen's kappa of (..., categories, categories) tables."""
    total = table.sum(axis=(-1, -2))
    weights = _disagreement(table.shape[-1], ordinal)
    by_chance = np.einsum("...i,...j,ij->...", table.sum(axis=-1), table.sum(axis=-2), weights)
    return 1 - _over((table * weights).sum(axis=(-1, -2)) * total, by_chance)


def fleiss_of(pairs: Pairs, ordinal: bool) -> Floats:
    """(...) Fleiss' kappa."""
    weights = _disagreement(pairs.chance.shape[-1], ordinal)
    by_chance = np.einsum("...i,...j,ij->...", pairs.chance, pairs.chance, weights)
    return 1 - _over((pairs.shares * weights).sum(axis=(-1, -2)), by_chance)


def ac1_of(pairs: Pairs) -> Floats:
    """(...) Gwet's AC1."""
    chance: Floats = (pairs.chance * (1 - pairs.chance)).sum(axis=-1) / (pairs.chance.shape[-1] - 1)
    return 1 - (1 - observed_of(pairs)) / (1 - chance)


def alpha_of(pairs: Pairs, ordinal: bool) -> Floats:
    """(...) Krippendorff's alpha: nominal, or by the ordinal difference between categories' ranks."""
    votes = pairs.coincidences.sum(axis=-1)
    total = votes.sum(axis=-1)
    weights = _rank_distance(votes) if ordinal else _disagreement(votes.shape[-1], False)
    seen = (pairs.coincidences * weights).sum(axis=(-1, -2))
    by_chance = (votes[..., :, None] * votes[..., None, :] * weights).sum(axis=(-1, -2))
    return 1 - _over((total - 1) * seen, by_chance)


def specific_of(pairs: Pairs, mask: NDArray[np.bool_]) -> Floats:
    """(...) agreement on the categories of a (categories,) mask."""
    said = pairs.coincidences[..., mask, :]
    return _over(said[..., mask].sum(axis=(-1, -2)), said.sum(axis=(-1, -2)))


def _rank_distance(votes: Floats) -> Floats:
    """Krippendorff's ordinal difference: votes between the middles of two categories, squared."""
    middle = np.cumsum(votes, axis=-1) - votes / 2
    return (middle[..., :, None] - middle[..., None, :]) ** 2


def _disagreement(categories: int, ordinal: bool) -> Floats:
    """(categories, categories) 0 on the diagonal, 1 off it; on an ordinal scale the squared distance, at most 1."""
    place = np.arange(categories)
    apart = (place[:, None] - place[None, :]) / (categories - 1)
    weights: Floats = apart**2 if ordinal else (apart != 0).astype(float)
    return weights


def _over(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, NaN where the bottom is 0."""
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    found: Floats = np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom > 0)
    return found


def _mask(targets: Sequence[int], categories: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(categories), list(targets))


def _pairs(votes: ArrayLike, categories: int) -> Pairs:
    sums = item_sums(vote_counts(checked_votes(votes, categories), categories)).sum(axis=0)
    return pairs_of(sums, categories)


def _plain(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)
