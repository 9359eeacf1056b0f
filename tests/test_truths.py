"""What is true of items on which raters disagree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from llmclf.errors import DataError
from llmclf.stats import Truths, dawid_skene

ITEMS, SENSITIVITY, SPECIFICITY = 3000, np.linspace(0.5, 0.9, 5), np.linspace(0.95, 0.99, 5)


def sample(seed: int, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """What is true of 3,000 items, and the votes of five raters of unequal quality, 40 % of them missing."""
    rng = np.random.default_rng(seed)
    truth = rng.random(ITEMS) < prevalence
    votes = (rng.random((ITEMS, 5)) < np.where(truth[:, None], SENSITIVITY, 1 - SPECIFICITY)).astype(int)
    votes[rng.random((ITEMS, 5)) < 0.4] = -1
    return truth, votes


def f1(truth: np.ndarray, said: np.ndarray) -> float:
    return float(2 * (truth & said).sum() / max(1, truth.sum() + said.sum()))


@pytest.mark.parametrize(("prevalence", "gain"), [(0.01, 0.05), (0.05, 0.04), (0.3, 0.05)])
def test_it_beats_the_majority(prevalence: float, gain: float) -> None:
    """F1 over ten samples is higher than the majority's by at least the gain, and the prevalence is found."""
    majority, ours, found = [], [], []
    for seed in range(10):
        truth, votes = sample(seed, prevalence)
        made = dawid_skene(votes, 2)
        majority.append(f1(truth, (votes == 1).sum(axis=1) > (votes == 0).sum(axis=1)))
        ours.append(f1(truth, made.probabilities[:, 1] > 0.5))
        found.append(made.prevalence[1])
    assert np.mean(ours) > np.mean(majority) + gain
    assert np.mean(found) == pytest.approx(prevalence, rel=0.15)


def test_raters_are_known_by_their_votes() -> None:
    """At 30 % each rater's sensitivity and specificity come out within a few hundredths."""
    _, votes = sample(0, 0.3)
    made = dawid_skene(votes, 2)
    assert made.confusion.shape == (5, 2, 2)
    assert np.abs(made.confusion[:, 1, 1] - SENSITIVITY).max() < 0.06
    assert np.abs(made.confusion[:, 0, 0] - SPECIFICITY).max() < 0.03


def test_a_rater_who_turns_the_scale_round_is_seen_through() -> None:
    """Two good raters and one who is always wrong: what he says counts, as the opposite."""
    truth = np.arange(200) % 2
    votes = np.stack([truth, truth, 1 - truth], axis=1)
    votes[:20, :2] = -1
    made = dawid_skene(votes, 2)
    assert made.confusion[2, 1, 0] > 0.9
    assert ((made.probabilities[:, 1] > 0.5) == truth).all()


def test_items_and_raters_without_a_vote() -> None:
    """An item without a vote has the prevalence, a rater without one the prior; nothing at all is no error."""
    made = dawid_skene([[1, -1], [0, -1], [0, -1], [-1, -1]], 2)
    assert made.probabilities[3] == pytest.approx(made.prevalence, abs=1e-4)
    assert made.confusion[1, 0, 0] == pytest.approx(0.7)
    nothing = dawid_skene([], 3)
    assert nothing.probabilities.shape == (0, 3)
    assert nothing.prevalence == pytest.approx([1 / 3] * 3)
    with pytest.raises(DataError):
        dawid_skene([[0, 2]], 2)


VOTES = arrays.arrays(np.int64, st.tuples(st.integers(0, 15), st.integers(0, 4)), elements=st.integers(-1, 2))


def whole(made: Truths) -> None:
    for shares in (made.probabilities, made.confusion, made.prevalence):
        assert np.isfinite(shares).all()
        assert ((shares >= 0) & (shares <= 1 + 1e-12)).all()
        assert shares.sum(axis=-1) == pytest.approx(np.ones(shares.shape[:-1]))


@settings(max_examples=60, deadline=None)
@given(VOTES)
def test_probabilities_are_probabilities_and_always_the_same(votes: np.ndarray) -> None:
    """Finite, from 0 to 1, sums of 1; a second run gives the same bits."""
    made = dawid_skene(votes, 3)
    whole(made)
    assert (dawid_skene(votes, 3).probabilities == made.probabilities).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations([0, 1, 2]))
def test_order_and_names_do_not_matter(seed: int, names: list[int]) -> None:
    """Items, raters and categories permuted: the answer is permuted with them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, 60)
    votes = np.where(rng.random((60, 4)) < 0.7, truth[:, None], rng.integers(-1, 3, (60, 4)))
    items, raters, code = rng.permutation(60), rng.permutation(4), np.array(names)
    renamed = np.where(votes < 0, -1, code[votes])[items][:, raters]
    made, moved = dawid_skene(votes, 3), dawid_skene(renamed, 3)
    assert moved.probabilities[:, code] == pytest.approx(made.probabilities[items], abs=1e-4)
    assert moved.prevalence[code] == pytest.approx(made.prevalence, abs=1e-4)
    assert moved.confusion[:, code][:, :, code] == pytest.approx(made.confusion[raters], abs=1e-3)
