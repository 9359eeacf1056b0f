"""What is true of items on which people disagree, and how good each of them is: Dawid and Skene's model (1979).

Each item has one true category; each rater says a category with a probability that hangs on the true one and on the
rater alone. Weak Dirichlet priors keep a rater of few votes near a fair one, and prevalence off 0. It beats the
majority where raters differ in quality or the target is rare: a rater's few votes for it then weigh what they are
worth. It is blind to what all raters get wrong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from llmclf.stats.agreement_values import checked_votes, vote_counts

Floats = NDArray[np.float64]

PRIOR_VOTES = 4.0
"""A rater's prior, in votes on items of each category."""
PRIOR_RIGHT = 0.7
"""Share of these that are right."""
ROUNDS, TOLERANCE = 500, 1e-6


@dataclass(frozen=True, eq=False)
class Truths:
    """What raters' votes say is true, and of the raters."""

    probabilities: Floats
    """(n, categories) how likely each category is true of each item; the prevalence where an item has no vote."""
    confusion: Floats
    """(raters, categories, categories) how often a rater says the second where the first is true; rows sum to 1."""
    prevalence: Floats
    """(categories,) how often each category is true."""


def dawid_skene(votes: ArrayLike, categories: int, *, rounds: int = ROUNDS, tolerance: float = TOLERANCE) -> Truths:
    """The most likely truths, raters and prevalence, found by EM from the shares of votes; the same votes, the same.

    `votes` are (n, raters) codes from 0 to categories - 1, -1 where a rater gave none. It ends when no probability
    moves by more than `tolerance`, or after `rounds`. Raises DataError for codes outside their range.

    >>> found = dawid_skene([[1, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], 2)
    >>> found.probabilities[:, 1].round(1).tolist()
    [0.9, 0.1, 0.0, 0.9, 0.1, 0.0]
    """
    codes = checked_votes(votes, categories)
    said = (codes[:, :, None] == np.arange(categories)).astype(float).reshape(len(codes), codes.shape[1] * categories)
    counts = vote_counts(codes, categories)
    voted = counts.sum(axis=1) > 0
    likely = np.full((len(codes), categories), 1 / categories)
    likely[voted] = counts[voted] / counts[voted].sum(axis=1, keepdims=True)
    for _ in range(max(1, rounds)):
        confusion, prevalence = _raters(said[voted], likely[voted], codes.shape[1])
        before, likely = likely, _truths(said, confusion, prevalence)
        if not len(codes) or float(np.abs(likely - before).max()) <= tolerance:
            break
    return Truths(likely, confusion, prevalence)


def _raters(said: Floats, likely: Floats, raters: int) -> tuple[Floats, Floats]:
    """The M step: (raters, categories, categories) confusion and (categories,) prevalence, with their priors."""
    categories = likely.shape[1]
    wrong = PRIOR_VOTES * (1 - PRIOR_RIGHT) / (categories - 1)
    prior = np.full((categories, categories), wrong)
    np.fill_diagonal(prior, PRIOR_VOTES * PRIOR_RIGHT)
    counted = (likely.T @ said).reshape(categories, raters, categories).swapaxes(0, 1) + prior
    prevalence = likely.sum(axis=0) + 1 / categories
    return counted / counted.sum(axis=2, keepdims=True), prevalence / prevalence.sum()


def _truths(said: Floats, confusion: Floats, prevalence: Floats) -> Floats:
    """The E step: (n, categories) probabilities from who said what."""
    speaks = np.log(confusion).swapaxes(1, 2).reshape(said.shape[1], len(prevalence))
    score = said @ speaks + np.log(prevalence)
    likely: Floats = np.exp(score - logsumexp(score, axis=1, keepdims=True))
    return likely
