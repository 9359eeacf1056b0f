"""Dollars item by item: the same sum as the projected dollars, and replicates in which cells stay paired."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmclf.errors import DataError
from llmclf.stats import Sampling, confusion, dollars_per_1000, item_usd, resampled_shares, usd_shares
from llmclf.types import Costs


@given(seed=st.integers(0, 10_000), on_error=st.sampled_from(["review", "miss"]), rate=st.floats(0.001, 0.5))
def test_items_add_up_to_the_projected_dollars(seed: int, on_error: str, rate: float) -> None:
    """Whatever the design, the outcome and the price of an error: shares times dollars are the dollars per 1,000."""
    rng = np.random.default_rng(seed)
    n = 60
    positive = rng.random(n) < 0.4
    positive[:2] = True, False
    flagged, failed = rng.random(n) < 0.5, rng.random(n) < 0.2
    failed[:4] = False
    flagged[:4] = True, False, True, False
    sampling = Sampling.weighted(rng.choice([0.1, 0.5, 1.0], n), rng.integers(0, 20, n))
    costs = Costs(prevalence=rate, on_error=on_error)  # type: ignore[arg-type]
    whole = dollars_per_1000(confusion(positive, flagged, sampling, failed=failed), costs, least=1)
    items = 1000 * usd_shares(positive, sampling, rate) @ item_usd(positive, flagged, failed, costs)
    assert items == pytest.approx(whole.value)


def test_every_replicate_is_a_mean_at_the_prevalence() -> None:
    """Each row's shares sum to 1, and those of the targets to the prevalence."""
    positive = np.arange(50) < 10
    rows = resampled_shares(positive, Sampling.simple(50), 0.005, replicates=30)
    assert rows.shape == (30, 50)
    assert rows.sum(axis=1) == pytest.approx(np.ones(30))
    assert rows[:, positive].sum(axis=1) == pytest.approx(np.full(30, 0.005))


def test_items_of_a_group_share_their_chance() -> None:
    """Turns of one dialogue come and go together."""
    groups = np.repeat(np.arange(10), 3)
    positive = np.repeat(np.arange(10) < 4, 3)
    rows = resampled_shares(positive, Sampling.simple(30, groups), 0.1, replicates=20)
    assert rows[:, 0] == pytest.approx(rows[:, 1])
    assert len(np.unique(rows[:, 0])) == 20


def test_replicates_spread_as_the_sampling_error_does() -> None:
    """The spread of a resampled share of misses is near the binomial one."""
    rng = np.random.default_rng(2)
    positive = np.arange(400) < 100
    missed = np.where(rng.random(400) < 0.3, 1.0, 0.0) * positive
    rows = resampled_shares(positive, Sampling.simple(400), 1.0, replicates=2000)
    share = missed[:100].mean()
    assert float(np.std(rows @ missed)) == pytest.approx(np.sqrt(share * (1 - share) / 100), rel=0.1)


def test_replicates_lie_around_the_shares_of_the_design() -> None:
    """Their mean is the design's own share, whatever an item of a stratum stands for."""
    rng = np.random.default_rng(3)
    positive = rng.random(200) < 0.5
    sampling = Sampling.stratified(["a"] * 100 + ["b"] * 100, {"a": 100, "b": 900})
    rows = resampled_shares(positive, sampling, 0.5, replicates=4000)
    assert rows.mean(axis=0) == pytest.approx(usd_shares(positive, sampling, 0.5), rel=0.12)


def test_one_class_alone_has_no_dollars_at_a_prevalence() -> None:
    """There is nothing to project where all items are targets."""
    with pytest.raises(DataError, match="a positive and a negative"):
        usd_shares(np.ones(5), Sampling.simple(5), 0.01)
