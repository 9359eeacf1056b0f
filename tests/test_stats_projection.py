"""Precision, flags and dollars at an assumed prevalence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmclf.stats import (
    Confusion,
    Sampling,
    confusion,
    dollars_per_1000,
    projected_flag_rate,
    projected_precision,
)
from llmclf.types import Costs

COSTS = Costs(missed_usd=40, false_alarm_usd=2, review_minutes=1.5, reviewer_usd_per_hour=48, prevalence=0.005)


def table(
    found: int, missed: int, alarms: int, quiet: int, failed_targets: int = 0, failed_others: int = 0
) -> Confusion:
    cell = np.repeat(np.arange(6), (found, missed, alarms, quiet, failed_targets, failed_others))
    return confusion(np.isin(cell, (0, 1, 4)), np.isin(cell, (0, 2)), Sampling.simple(len(cell)), failed=cell >= 4)


def test_precision_is_projected_by_bayes() -> None:
    """A classifier with recall .8 and 1 % false alarms is right .287 of the time at .5 % prevalence."""
    got = projected_precision(table(40, 10, 10, 990), 0.005)
    assert got.value == pytest.approx(0.8 * 0.005 / (0.8 * 0.005 + 0.01 * 0.995))
    assert got.low is not None and got.high is not None
    assert 0.15 < got.low < 0.287 < got.high < 0.5


def test_at_the_sets_own_prevalence_projection_changes_nothing() -> None:
    """Projecting to the share of positives in the set gives the set's own precision and flag rate."""
    one = table(40, 10, 20, 930)
    assert projected_precision(one, 0.05).value == pytest.approx(40 / 60)
    assert projected_flag_rate(one, 0.05).value == pytest.approx(60 / 1000)


def test_without_a_false_alarm_there_is_only_a_lower_limit() -> None:
    """No alarm among 200 negatives says little at .5 %: a lower limit, no figure."""
    got = projected_precision(table(16, 4, 0, 200), 0.005)
    assert got.value is None and got.high == 1.0
    assert got.low is not None and 0.1 < got.low < 0.4
    assert got.why_not.startswith("no false alarm among 200 negatives: only a lower limit")


def test_what_is_not_there_is_named() -> None:
    """Without positives, negatives or flags there is no projection, and the reason says which."""
    assert "no positives" in projected_precision(table(0, 0, 5, 100), 0.005).why_not
    assert "no negatives" in projected_precision(table(15, 5, 0, 0), 0.005).why_not
    assert projected_precision(table(0, 20, 0, 100), 0.005).why_not == "nothing was flagged"
    assert "no positives" in dollars_per_1000(table(0, 0, 5, 100), COSTS).why_not
    few = projected_precision(table(4, 2, 5, 100), 0.005)
    assert few.value is None and few.low is not None and "needs 4 more" in few.why_not


def test_dollars_follow_the_confusion_table() -> None:
    """Misses, false alarms and reviews are priced within each class and mixed at the assumed prevalence."""
    got = dollars_per_1000(table(40, 10, 10, 990), COSTS, model_usd=0.001)
    review = 1.2
    of_targets = 0.8 * review + 0.2 * 40
    of_others = 0.01 * (2 + review)
    assert got.value == pytest.approx(1000 * (0.005 * of_targets + 0.995 * of_others) + 1.0)


def test_failed_items_cost_what_on_error_says() -> None:
    """A failed item is reviewed, or missed where it was a target and free otherwise."""
    failing = table(40, 0, 10, 980, failed_targets=10, failed_others=10)
    reviewed = dollars_per_1000(failing, COSTS)
    missed = dollars_per_1000(failing, replace(COSTS, on_error="miss"))
    alarms = 0.995 * 0.01 * 3.2
    assert reviewed.value == pytest.approx(1000 * (0.005 * 1.2 + alarms + 0.995 * 0.01 * 1.2))
    assert missed.value == pytest.approx(1000 * (0.005 * (0.8 * 1.2 + 0.2 * 40) + alarms))


def test_an_unknown_price_is_not_zero() -> None:
    """Without the model's price there is no sum, only its lower end, and what the rest of it is."""
    known, unknown = (dollars_per_1000(table(40, 10, 10, 990), COSTS, model_usd=usd) for usd in (0.0, None))
    assert (unknown.value, unknown.low, unknown.high) == (None, known.low, None)
    assert known.why_not == ""
    assert unknown.why_not == f"the model's own price is not known; without it {known.format('.2f', '$')}"


@pytest.mark.parametrize(("positives", "negatives", "recall", "alarms"), [(20, 200, 0.8, 0.01), (50, 1000, 0.8, 0.01)])
def test_projections_cover(positives: int, negatives: int, recall: float, alarms: float) -> None:
    """The 95 % intervals of projected precision and dollars hold the truth in simulated sets."""
    rng = np.random.default_rng(3)
    truth = recall * 0.005 / (recall * 0.005 + alarms * 0.995)
    usd = 1000 * (0.005 * (recall * 1.2 + (1 - recall) * 40) + 0.995 * alarms * 3.2)
    positive = np.arange(positives + negatives) < positives
    held: list[tuple[bool, bool]] = []
    for _ in range(300):
        flagged = rng.random(len(positive)) < np.where(positive, recall, alarms)
        one = confusion(positive, flagged, Sampling.simple(len(positive)), draws=600)
        precision, dollars = projected_precision(one, 0.005), dollars_per_1000(one, COSTS)
        held.append(
            (
                precision.low <= truth <= precision.high,  # type: ignore[operator]
                dollars.low <= usd <= dollars.high,  # type: ignore[operator]
            )
        )
    assert np.mean(held, axis=0).min() > 0.92
