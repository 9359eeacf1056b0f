"""Ranking and probability scores, against scikit-learn and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from llmclf.errors import DataError
from llmclf.stats import Sampling, average_precision, brier, ranking_areas, roc_auc

seeds = st.integers(0, 10_000)


def ranked(seed: int, n: int = 120, positives: int = 30, ties: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(positive, score) with many ties."""
    rng = np.random.default_rng(seed)
    positive = rng.permutation(n) < positives
    return positive, np.round(np.clip(rng.normal(0.35 + 0.25 * positive, 0.2), 0, 1) * ties) / ties


@settings(max_examples=40)
@given(seeds, st.sampled_from([2, 12, 1000]))
def test_values_are_scikit_learns(seed: int, ties: int) -> None:
    """Average precision, ROC AUC and Brier score are scikit-learn's, weights and ties included."""
    positive, score = ranked(seed, ties=ties)
    chance = np.random.default_rng(seed).choice([0.1, 0.5, 1.0], len(positive))
    sampling, weight = Sampling.weighted(chance), 1 / chance
    precision, auc = ranking_areas(positive, score, sampling)
    assert precision.value == pytest.approx(average_precision_score(positive, score, sample_weight=weight))
    assert auc.value == pytest.approx(roc_auc_score(positive, score, sample_weight=weight))
    assert brier(positive, score, sampling).value == pytest.approx(
        brier_score_loss(positive, score, sample_weight=weight)
    )


@settings(max_examples=40)
@given(seeds)
def test_intervals_enclose_the_value(seed: int) -> None:
    """Every interval lies between 0 and 1 and holds its value."""
    positive, score = ranked(seed)
    groups = np.arange(len(positive)) // 3
    for sampling in (Sampling.simple(len(positive)), Sampling.simple(len(positive), groups)):
        for figure in (average_precision, roc_auc, brier):
            got = figure(positive, score, sampling)
            assert 0 <= got.low <= got.value <= got.high <= 1  # type: ignore[operator]
            assert got.n_positives == 30


def test_too_few_positives_say_how_many_more() -> None:
    """Average precision needs 25 positives, ROC AUC and Brier score ten."""
    positive, score = ranked(1, positives=8)
    sampling = Sampling.simple(len(positive))
    assert average_precision(positive, score, sampling).why_not == "needs 17 more positives"
    assert roc_auc(positive, score, sampling).why_not == "needs 2 more positives"
    assert brier(positive, score, sampling).why_not == "needs 2 more positives"
    more, its_score = ranked(1, positives=12)
    assert not average_precision(more, its_score, sampling).is_known
    assert roc_auc(more, its_score, sampling).is_known


def test_a_perfect_ranking_of_few_is_not_certain() -> None:
    """All of 30 positives above all negatives: 1, with an interval below it."""
    positive = np.arange(300) < 30
    precision, auc = ranking_areas(positive, positive * 0.5 + 0.1, Sampling.simple(300))
    assert precision.value == auc.value == 1.0
    assert precision.low is not None and auc.low is not None
    assert 0.8 < precision.low < 0.995 and 0.8 < auc.low < 0.995


def test_perfect_probabilities_are_zero() -> None:
    """Probabilities of 0 and 1 that are all right give a Brier score of 0 without an upper end."""
    positive = np.arange(40) < 12
    got = brier(positive, positive.astype(float), Sampling.simple(40))
    assert (got.value, got.low, got.high) == (0.0, 0.0, None)


def test_what_can_not_be_ranked_is_refused() -> None:
    """No negatives gives no figure; a score that is no number and unequal lengths are errors."""
    sampling = Sampling.simple(30)
    assert "no negatives" in roc_auc([True] * 30, np.linspace(0, 1, 30), sampling).why_not
    with pytest.raises(DataError, match="not a finite number"):
        roc_auc([True, False], [0.5, float("nan")], Sampling.simple(2))
    with pytest.raises(DataError, match="differ in length"):
        brier([True], [0.5], Sampling.simple(2))


def test_copies_widen_nothing_and_narrow_nothing() -> None:
    """Three copies of each item, as groups, leave the error about as it was."""
    positive, score = ranked(5, n=400, positives=60, ties=500)
    copied = np.repeat(np.arange(400), 3)
    alone = ranking_areas(positive, score, Sampling.simple(400))
    grouped = ranking_areas(positive[copied], score[copied], Sampling.simple(1200, copied))
    for one, other in zip(alone, grouped, strict=True):
        assert one.value == pytest.approx(other.value)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.25)  # type: ignore[operator]


def test_ranking_intervals_cover() -> None:
    """With about 40 positives the 95 % intervals hold the areas and the Brier score of the whole population."""
    rng = np.random.default_rng(2)
    rate, distance = 0.02, 2.0

    def items(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        positive = rng.random(n) < rate
        x = rng.normal(0, 1, n) + distance * positive
        return positive, x, 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + distance * x - distance**2 / 2)))

    positive, x, chance = items(400_000)
    truth = average_precision_score(positive, x), roc_auc_score(positive, x), brier_score_loss(positive, chance)
    held = []
    for seed in range(200):
        positive, x, chance = items(2000)
        sampling = Sampling.simple(2000)
        got = (*ranking_areas(positive, x, sampling, seed=seed), brier(positive, chance, sampling))
        held.append([one.low <= value <= one.high for one, value in zip(got, truth, strict=True) if one.is_known])
    held = [row for row in held if len(row) == 3]
    assert len(held) > 150
    assert np.mean(held, axis=0).min() > 0.9, np.mean(held, axis=0)
