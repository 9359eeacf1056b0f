"""Means of numbers between bounds: intervals where nearly all are alike."""

from __future__ import annotations

import numpy as np
import pytest

from llmclf.errors import DataError
from llmclf.stats import Sampling
from llmclf.stats.means import bounded_mean


@pytest.mark.parametrize("size", [1, 3])
def test_a_rare_share_is_held(size: int) -> None:
    """Of 300 samples of 300 items, alone or in groups, at least .92 of the intervals hold a share of 1 %."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(300 // size), size)
    held = 0
    for seed in range(300):
        chance = rng.beta(0.03, 2.97, 300 // size)[group] if size > 1 else 0.01
        found = bounded_mean(rng.random(300) < chance, Sampling.simple(300, group), draws=500, seed=seed)
        assert found.low is not None and found.high is not None
        held += found.low <= 0.01 <= found.high
    assert held >= 0.92 * 300


def test_ends_stay_within_the_bounds_and_open() -> None:
    """Where all are alike the interval is open to the other side; differences lie between -1 and 1."""
    none, all_, same = (
        bounded_mean(np.full(50, value), Sampling.simple(50), bounds=bounds)
        for value, bounds in ((0.0, (0.0, 1.0)), (1.0, (0.0, 1.0)), (0.0, (-1.0, 1.0)))
    )
    assert none.low == 0 and none.high is not None and 0.03 < none.high < 0.1
    assert all_.high == 1 and all_.low is not None and 0.9 < all_.low < 0.97
    assert same.low is not None and same.high is not None and -0.1 < same.low < 0 < same.high < 0.1


def test_only_those_asked_for_count() -> None:
    """Others are in no mean; without any there is none; lengths must fit."""
    values = np.array([0.0, 1.0, 1.0, 1.0])
    assert bounded_mean(values, Sampling.simple(4), among=np.array([True, True, False, False])).value == 0.5
    assert not bounded_mean(values, Sampling.simple(4), among=np.zeros(4, bool)).is_known
    with pytest.raises(DataError, match="length"):
        bounded_mean(values, Sampling.simple(3))
