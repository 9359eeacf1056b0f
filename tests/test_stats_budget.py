"""Recall where people can review only so many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from llmclf.errors import ConfigError
from llmclf.stats import Sampling, recall_at_budget


def test_it_is_the_share_of_targets_among_the_highest_scores() -> None:
    """Of 20 targets 12 stand among the 50 highest of 1,000 scores: recall at a budget of 5 % is 0.6."""
    scores = np.linspace(1, 0, 1000)
    target = np.zeros(1000, bool)
    target[:12] = target[500:508] = True
    got = recall_at_budget(target, scores, Sampling.simple(1000), 0.05)
    assert got.value == pytest.approx(0.6) and got.why_not == ""
    assert got.low is not None and 0.3 < got.low < 0.45 and got.n_positives == 20
    assert recall_at_budget(target, scores, Sampling.simple(1000), 1.0).value == 1.0


def test_the_cut_is_at_the_population_s_share() -> None:
    """Weights decide how far a budget reaches: a hundred items of a small stratum are few of the population."""
    scores, target = np.linspace(1, 0, 200), np.arange(200) % 10 == 0
    sampling = Sampling(np.repeat([0, 1], 100).astype(np.intp), np.array([100.0, 9900.0]))
    weight = sampling.weight
    got = recall_at_budget(target, scores, sampling, 0.01)
    assert got.value == pytest.approx(weight[:100][target[:100]].sum() / weight[target].sum())


def test_ties_count_in_proportion_and_are_told() -> None:
    """Where 100 items share the highest score and 10 can be reviewed, a tenth of their targets is found."""
    scores, target = np.repeat([1.0, 0.0], [100, 900]), np.zeros(1000, bool)
    target[:20] = True
    got = recall_at_budget(target, scores, Sampling.simple(1000), 0.01)
    assert got.value == pytest.approx(0.1)
    assert got.why_not == "100 items tie at the cut, and 10% of them count, as if by lot"


def test_items_without_a_rank_come_last_and_wrong_shares_are_refused() -> None:
    """Minus infinity is below every score; a share of nothing or of more than all is a mistake of the user's."""
    scores, target = np.linspace(1, 0, 100), np.arange(100) < 20
    scores[:5] = -np.inf
    assert recall_at_budget(target, scores, Sampling.simple(100), 0.15).value == pytest.approx(15 / 20)
    for share in (0.0, 1.5, -1):
        with pytest.raises(ConfigError):
            recall_at_budget(target, scores, Sampling.simple(100), share)
    assert recall_at_budget(target & False, scores, Sampling.simple(100), 0.1).why_not.startswith("no positives")
    assert "needs 5 more at least" in recall_at_budget(np.arange(100) < 5, scores, Sampling.simple(100), 0.1).why_not


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.001, 1), st.integers(1, 30))
def test_a_larger_budget_never_finds_less(seed: int, share: float, values: int) -> None:
    """Value and interval lie in 0 to 1, and recall grows with the budget, ties or not."""
    rng = np.random.default_rng(seed)
    target, scores = rng.random(80) < 0.4, rng.integers(0, values, 80) / values
    if target.sum() < 10:
        return
    one, other = (
        recall_at_budget(target, scores, Sampling.simple(80), part, draws=100)
        for part in (share, min(1.0, share * 1.5))
    )
    assert 0 <= one.low <= one.value <= one.high <= 1  # type: ignore[operator]
    assert one.value <= other.value + 1e-9  # type: ignore[operator]


def test_its_interval_covers() -> None:
    """The recall of the population's own cut is in the interval at least 90 % of the time, though the cut is drawn."""
    prevalence, budget, apart = 0.01, 0.02, 2.5

    def reviewed(cut: float) -> float:
        return float(prevalence * norm.sf(cut - apart) + (1 - prevalence) * norm.sf(cut)) - budget

    truth = norm.sf(brentq(reviewed, -5, 10) - apart)
    held = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        target = rng.random(2500) < prevalence
        scores = rng.normal(size=2500) + apart * target
        got = recall_at_budget(target, scores, Sampling.simple(2500), budget, draws=500, seed=seed)
        held.append(got.low <= truth <= got.high)  # type: ignore[operator]
    assert np.mean(held) >= 0.9
