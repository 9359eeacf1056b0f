"""The calibration slope: what it is, when there is none, and how often its interval holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from llmclf.errors import DataError
from llmclf.stats import Sampling, calibration_slope


def drawn(seed: int, n: int = 2000, slope: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(targets, probabilities) of which the logit has this slope; about 2 % targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-5.5, 1.8, n)
    return rng.random(n) < expit(x), expit(x / slope)


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_it_is_the_slope_of_a_weighted_logistic_regression(slope: float) -> None:
    """The value is scikit-learn's, without a penalty, whatever an item weighs."""
    target, chance = drawn(1, slope=slope)
    stratum = (chance < np.median(chance)).astype(np.intp)
    sampling = Sampling(stratum, np.array([1000.0, 30_000.0]))
    got = calibration_slope(target, chance, sampling)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(logit(chance)[:, None], target, sample_weight=sampling.weight / sampling.weight.mean())
    assert got.value == pytest.approx(float(model.coef_[0, 0]), rel=1e-4)
    assert got.low is not None and got.high is not None and got.low < got.value < got.high  # type: ignore[operator]


def test_a_wrong_prevalence_alone_leaves_it_at_one() -> None:
    """Probabilities shifted on the logit have the same slope: only the intercept moves."""
    target, chance = drawn(2)
    shifted = expit(logit(chance) + 2.0)
    sampling = Sampling.simple(len(target))
    one, other = (calibration_slope(target, given, sampling).value for given in (chance, shifted))
    assert one == pytest.approx(other, rel=1e-6)


def test_there_is_none_where_it_can_not_be_known() -> None:
    """Few positives or negatives, equal probabilities and perfect separation each say why."""
    target, chance = np.arange(100) < 15, np.linspace(0.9, 0.1, 100)
    simple = Sampling.simple(100)
    assert calibration_slope(target, chance, simple).why_not == "needs 5 more positives"
    assert calibration_slope(np.arange(100) < 81, chance, simple).why_not == "needs 1 more negative"
    assert calibration_slope(np.arange(100) < 30, np.full(100, 0.3), simple).why_not == "all probabilities are the same"
    assert "no slope is steep enough" in calibration_slope(np.arange(100) < 30, chance, simple).why_not
    with pytest.raises(DataError):
        calibration_slope(target, chance[:50], simple)


def test_copies_in_groups_do_not_make_it_surer() -> None:
    """Five copies of each item, each five one group, give the interval of the items once, or a wider one."""
    target, chance = drawn(3)
    once = calibration_slope(target, chance, Sampling.simple(len(target)))
    groups = np.repeat(np.arange(len(target)), 5)
    copied = calibration_slope(np.repeat(target, 5), np.repeat(chance, 5), Sampling.simple(len(groups), groups))
    assert copied.value == pytest.approx(once.value)
    assert copied.high - copied.low > 0.9 * (once.high - once.low)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["simple", "stratified", "clustered"])
def test_its_interval_covers(kind: str) -> None:
    """Over 150 samples of 20 to 40 targets the interval of the true slope holds at least 90 % of the time."""
    held = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        if kind == "stratified":
            x = rng.normal(-6, 1.8, 20_000)
            target, stratum = rng.random(len(x)) < expit(x), (x < -3).astype(np.intp)
            rows = np.concatenate([rng.choice(np.flatnonzero(stratum == one), 200, replace=False) for one in (0, 1)])
            sampling = Sampling(stratum[rows], np.bincount(stratum).astype(float))
            target, x = target[rows], x[rows]
        else:
            groups = np.arange(2000) if kind == "simple" else np.repeat(np.arange(400), 5)
            x = (rng.normal(size=2000) + rng.normal(size=2000)[groups]) * 1.3 - 6
            target, sampling = rng.random(2000) < expit(x), Sampling.simple(2000, groups)
        got = calibration_slope(target, expit(x / 0.7), sampling)
        if got.is_known:
            held.append(got.low <= 0.7 <= got.high)  # type: ignore[operator]
    assert len(held) > 100 and np.mean(held) >= 0.9
