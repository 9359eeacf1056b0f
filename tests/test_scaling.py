"""Platt's scaling against scikit-learn, and what must hold for any scores."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.linear_model import LogisticRegression

from llmclf.errors import DataError
from llmclf.stats.scaling import Platt, fit_platt, logit, sigmoid


def drawn(
    seed: int, n: int = 300, slope: float = 1.3, intercept: float = -2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, n)
    positives = rng.random(n) < sigmoid(slope * scores + intercept)
    return scores, positives.astype(float), rng.uniform(0.5, 5, n)


def by_scikit_learn(scores: np.ndarray, positives: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The same likelihood: each item twice, as a positive and a negative, weighted by its smoothed target."""
    n = positives.sum()
    targets = np.where(positives > 0, (n + 1) / (n + 2), 1 / (len(positives) - n + 2))
    x = np.concatenate([scores, scores])[:, None]
    y = np.concatenate([np.ones(len(scores)), np.zeros(len(scores))])
    fitted = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000)
    fitted.fit(x, y, sample_weight=np.concatenate([weights * targets, weights * (1 - targets)]))
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_scikit_learn(seed: int) -> None:
    """Slope and intercept are those of scikit-learn on the same smoothed, weighted likelihood."""
    scores, positives, weights = drawn(seed)
    a, b = by_scikit_learn(scores, positives, weights)
    fitted = fit_platt(scores, positives, weights)
    assert (fitted.a, fitted.b) == pytest.approx((a, b), abs=2e-3)


def test_recovers_the_truth() -> None:
    """With many labels the fit finds the slope and intercept that made them."""
    scores, positives, _ = drawn(1, n=60_000)
    fitted = fit_platt(scores, positives)
    assert (fitted.a, fitted.b) == pytest.approx((1.3, -2.0), abs=0.06)


def test_separable_scores_stay_finite() -> None:
    """Scores that separate the classes give a finite slope, as the targets are smoothed."""
    fitted = fit_platt([-3, -2, -1, 1, 2], [0, 0, 0, 1, 1])
    assert np.isfinite([fitted.a, fitted.b]).all()
    assert (np.diff(fitted.apply([-5.0, 0.0, 5.0])) > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(-50, 50))
def test_scale_of_the_scores_does_not_matter(seed: int, factor: float, shift: float) -> None:
    """Scores stretched and moved give the same probabilities."""
    scores, positives, weights = drawn(seed, n=80)
    if not 0 < positives.sum() < 80:
        return
    plain = fit_platt(scores, positives, weights).apply(scores)
    moved = fit_platt(scores * factor + shift, positives, weights).apply(scores * factor + shift)
    assert moved == pytest.approx(plain, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_only_ratios_of_weights_matter(seed: int, factor: float) -> None:
    """All weights times one number give the same scaling, and the mean probability is the weighted target."""
    scores, positives, weights = drawn(seed, n=80)
    if not 0 < positives.sum() < 80:
        return
    fitted = fit_platt(scores, positives, weights)
    assert fit_platt(scores, positives, weights * factor).b == pytest.approx(fitted.b, abs=1e-6)
    n = positives.sum()
    targets = np.where(positives > 0, (n + 1) / (n + 2), 1 / (80 - n + 2))
    assert np.average(fitted.apply(scores), weights=weights) == pytest.approx(
        np.average(targets, weights=weights), abs=1e-6
    )


def test_fixed_slope_fits_the_intercept_alone() -> None:
    """With `slope` given the slope is kept and the mean still fits."""
    scores, positives, weights = drawn(3)
    fitted = fit_platt(scores, positives, weights, slope=0.5)
    assert fitted.a == pytest.approx(0.5)
    share = np.average(positives, weights=weights)
    assert np.average(fitted.apply(scores), weights=weights) == pytest.approx(share, abs=0.01)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(-5, 5))
def test_prevalence_shift_goes_there_and_back(fitted: float, wanted: float, score: float) -> None:
    """Bayes' rule on odds: a shift multiplies the odds by the ratio of the prevalences' odds, and undoes itself."""
    platt = Platt(1.2, -0.7)
    moved = platt.at_prevalence(fitted, wanted)
    odds = logit(moved.apply([score])) - logit(platt.apply([score]))
    assert odds[0] == pytest.approx(logit([wanted])[0] - logit([fitted])[0], abs=1e-6)
    assert moved.at_prevalence(wanted, fitted).b == pytest.approx(platt.b)


def test_shifted_scaling_is_right_at_the_new_prevalence() -> None:
    """Fitted where half are positives, shifted to 2 %, the mean score is 2 % there."""
    rng = np.random.default_rng(0)
    positives = np.repeat([1.0, 0.0], 20_000)
    scores = rng.normal(positives * 2, 1)
    rare = np.concatenate([rng.normal(2, 1, 1_000), rng.normal(0, 1, 49_000)])
    assert fit_platt(scores, positives).at_prevalence(0.5, 0.02).apply(rare).mean() == pytest.approx(0.02, abs=0.002)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0])
def test_impossible_prevalence(share: float) -> None:
    """A prevalence of 0 or 1, or beyond, is refused."""
    with pytest.raises(DataError, match="between 0 and 1"):
        Platt().at_prevalence(0.5, share)


@pytest.mark.parametrize(
    ("scores", "positives", "weights", "what"),
    [
        ([1.0, 2.0], [1], None, "differ in length"),
        ([1.0, float("nan")], [1, 0], None, "not finite"),
        ([1.0, 2.0], [1, 1], None, "both classes"),
        ([1.0, 2.0], [0, 0], None, "0 positives"),
        ([1.0, 2.0], [1, 3], None, "0 or 1"),
        ([1.0, 2.0], [1, 0], [1.0, -1.0], "above 0"),
    ],
)
def test_bad_input_is_named(scores: list[float], positives: list[int], weights: list[float] | None, what: str) -> None:
    """Input that can't be scaled is an error that says why."""
    with pytest.raises(DataError, match=what):
        fit_platt(scores, positives, weights)


def test_all_mistakes_at_once() -> None:
    """Several mistakes are listed in one message."""
    with pytest.raises(DataError) as caught:
        fit_platt([float("inf"), 1.0], [1, 1], [0.0, 1.0])
    assert len(caught.value.problems) == 3


def test_extremes_do_not_overflow() -> None:
    """Very large logits give 0 and 1 without a warning."""
    assert sigmoid([-1e4, 0.0, 1e4]) == pytest.approx([0.0, 0.5, 1.0])
    assert np.isfinite(logit([0.0, 1.0])).all()
