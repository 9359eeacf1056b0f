"""Intervals at both ends: where all, or none, of the few that a rate rests on came out one way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from llmclf.stats import (
    Confusion,
    Sampling,
    clopper_pearson,
    confusion,
    dollars_per_1000,
    flag_rate,
    precision,
    recall,
    specificity,
)
from llmclf.types import Costs, Estimate


def table(found: int, missed: int, alarms: int, quiet: int, failed: int = 0) -> Confusion:
    """The cells of so many items; the failed ones are targets."""
    sizes = (found, missed, alarms, quiet, failed)
    cell = np.repeat(np.arange(5), sizes)
    positive, flagged = np.isin(cell, (0, 1, 4)), np.isin(cell, (0, 2))
    return confusion(positive, flagged, Sampling.simple(len(cell)), failed=cell == 4)


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


@pytest.mark.parametrize("negatives", [1, 2, 10, 12, 40, 400])
def test_specificity_stays_open_where_every_negative_is_flagged(negatives: int) -> None:
    """0 of n quiet is no sure 0: its upper end is about that of the exact interval, as for recall 0 of n."""
    low, high = ends(specificity(table(12, 0, negatives, 0), least=1))
    mirrored = ends(recall(table(0, negatives, 0, 12), least=1))
    exact = clopper_pearson(0, negatives).high
    assert exact is not None
    assert low == 0.0
    assert 0.8 * exact < high < 1.1 * exact
    assert high == pytest.approx(mirrored[1], rel=0.1)


@example(5, 5, 12, 0)
@example(5, 5, 0, 12)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_no_interval_is_a_point(found: int, missed: int, alarms: int, quiet: int) -> None:
    """Whatever few items say, every rate that they allow has an interval with room in it."""
    if found + missed + alarms + quiet == 0:
        return
    made = table(found, missed, alarms, quiet)
    for rate in (recall, specificity, precision, flag_rate):
        estimate = rate(made)
        if estimate.low is not None and estimate.high is not None:
            assert estimate.high - estimate.low > 0.005


def test_what_follows_from_specificity_is_as_unsure() -> None:
    """One flagged negative of four items: neither the flag rate nor the dollars are sure."""
    low, high = ends(flag_rate(table(12, 0, 12, 0)))
    assert low < 0.93
    assert high == 1.0
    costs = Costs(missed_usd=40, false_alarm_usd=2, prevalence=0.005)
    low, high = ends(dollars_per_1000(table(3, 0, 1, 0), costs))
    assert low < 500 < 3000 < high


def test_recall_of_the_answered_stays_open_where_most_targets_failed() -> None:
    """12 of 12 found beside a hundred failed targets are no surer than 12 of 12."""
    low, _ = ends(recall(table(12, 0, 0, 12, failed=100), failed="left_out"))
    alone, _ = ends(recall(table(12, 0, 0, 12), failed="left_out"))
    assert low == pytest.approx(alone, abs=0.02)


@pytest.mark.parametrize("negatives", [10, 40])
@pytest.mark.parametrize("rate", [0.0, 0.005, 0.02, 0.05, 0.1, 0.9, 0.95, 0.98, 0.995, 1.0])
def test_specificity_is_covered_at_both_ends(negatives: int, rate: float) -> None:
    """Summed over every possible count, the interval of n negatives holds the truth .92 of the time at least."""
    from scipy.stats import binom

    held = 0.0
    for quiet in range(negatives + 1):
        chance = float(binom.pmf(quiet, negatives, rate))
        if chance > 1e-6:
            low, high = ends(specificity(table(5, 5, negatives - quiet, quiet), least=1))
            held += chance * (low <= rate <= high)
    assert held >= 0.92


@pytest.mark.parametrize("drawn", [(20, 20), (50, 200)])
@pytest.mark.parametrize("alarms", [(1.0, 0.98), (0.98, 0.98), (0.7, 0.99), (0.02, 0.02), (0.3, 0.001)])
def test_strata_are_covered_at_both_ends(drawn: tuple[int, int], alarms: tuple[float, float]) -> None:
    """Specificity near 0 and near 1, and the precision that goes with it, in strata of unequal weight."""
    sizes, targets, found = np.array([1000.0, 9000.0]), np.array([0.3, 0.02]), np.array([0.9, 0.5])
    others, hits = sizes * (1 - targets), float((sizes * targets * found).sum())
    false = float((others * alarms).sum())
    truth = {specificity: 1 - false / float(others.sum()), precision: hits / (hits + false)}
    stratum = np.repeat([0, 1], drawn)
    rng = np.random.default_rng(1)
    held: dict[object, list[bool]] = {specificity: [], precision: []}
    for seed in range(300):
        positive = rng.random(len(stratum)) < targets[stratum]
        flagged = rng.random(len(stratum)) < np.where(positive, found[stratum], np.array(alarms)[stratum])
        made = confusion(positive, flagged, Sampling(stratum, sizes), draws=500, seed=seed)
        for rate, true in truth.items():
            estimate = rate(made, least=1)
            if estimate.low is not None and estimate.high is not None:
                held[rate].append(estimate.low <= true <= estimate.high)
    assert min(np.mean(one) for one in held.values()) >= 0.92


def test_every_item_failed_gives_no_figure() -> None:
    """Where nothing was answered no rate and no dollars follow; where one was, recall counts failures as missed."""
    nothing = table(0, 0, 0, 0, failed=20)
    assert recall(nothing).why_not == "every item failed: recall can't be known"
    assert recall(nothing).high is None
    some = recall(table(0, 0, 0, 1, failed=20))
    assert some.value == 0.0
    lost = np.arange(40) < 20
    made = confusion(lost, lost, Sampling.simple(40), failed=np.ones(40, bool))
    assert dollars_per_1000(made, Costs()).why_not == "every item failed: dollars can't be known"
