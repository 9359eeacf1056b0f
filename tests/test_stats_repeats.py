"""Flip rates, and how much of a figure's variance is the model's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.errors import DataError
from llmclf.stats import Sampling
from llmclf.stats.repeats import flips, noise_split
from llmclf.types import Estimate


def holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= truth <= estimate.high


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def no_failure(flagged: np.ndarray) -> np.ndarray:
    return np.zeros(flagged.shape, bool)


def test_a_flip_rate_is_the_chance_that_two_runs_disagree() -> None:
    """Flagged once in three runs: two of three pairs disagree; the share of unstable items counts it whole."""
    flagged = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]], bool)
    made = flips(flagged, no_failure(flagged), Sampling.simple(4))
    assert made.flip_rate.value == pytest.approx(2 / 3 / 4)
    assert made.unstable.value == pytest.approx(1 / 4)
    assert (made.n_items, made.n_unstable) == (4, 1)


def test_a_failed_answer_is_no_flip() -> None:
    """Items count by the runs that answered them; one that was answered once says nothing."""
    flagged = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]], bool)
    failed = np.array([[0, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    made = flips(flagged, failed, Sampling.simple(3))
    assert made.flip_rate.value == pytest.approx((0 + 2 / 3) / 2)
    assert made.n_items == 2
    nothing = flips(flagged, ~no_failure(flagged), Sampling.simple(3))
    assert nothing.flip_rate.why_not == "no item was answered twice: nothing can flip"


def test_flips_are_weighted_by_the_design() -> None:
    """A flip in a stratum that stands for nine times as many items counts nine times."""
    flagged = np.zeros((2, 20), bool)
    flagged[0, 0] = True
    sampling = Sampling.stratified(["heavy"] * 10 + ["light"] * 10, {"heavy": 900, "light": 100})
    assert flips(flagged, no_failure(flagged), sampling).flip_rate.value == pytest.approx(0.09)
    among = np.arange(20) >= 10
    assert flips(flagged, no_failure(flagged), sampling, among=among).flip_rate.value == 0


def test_groups_widen_the_interval() -> None:
    """Ten turns of one dialogue that flip together are one flip."""
    flagged = np.zeros((2, 200), bool)
    flagged[0, :20] = True
    alone, together = (
        flips(flagged, no_failure(flagged), Sampling.simple(200, groups)).flip_rate
        for groups in (None, [number // 10 for number in range(200)])
    )
    assert width(together) > 1.5 * width(alone)


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_intervals_hold_their_values(runs: int, items: int, rate: float, seed: int) -> None:
    """Whatever was answered, from never flagged to always; half of all pairs can't disagree by much more."""
    rng = np.random.default_rng(seed)
    flagged, failed = rng.random((runs, items)) < rate, rng.random((runs, items)) < 0.1
    made = flips(flagged, failed, Sampling.simple(items), draws=500)
    for estimate in (made.flip_rate, made.unstable):
        if estimate.value is not None:
            assert holds(estimate, estimate.value)
            assert width(estimate) > 0
    most = (runs // 2) * (runs - runs // 2) * 2 / (runs * (runs - 1))
    assert made.flip_rate.value is None or made.flip_rate.value <= max(most, 1.0)


@pytest.mark.parametrize(("runs", "items", "a", "b"), [(5, 100, 8, 0.5), (2, 60, 8, 0.5), (3, 40, 0.3, 0.1)])
def test_the_truth_is_held(runs: int, items: int, a: float, b: float) -> None:
    """Items with their own chance to be found: flip rate and share of noise, 95 per cent intervals."""
    chances = np.random.default_rng(0).beta(a, b, 10**6)
    noise = float(np.mean(chances * (1 - chances)))
    share = noise / (noise + float(np.var(chances)))
    rng = np.random.default_rng(1)
    held: dict[str, list[bool]] = {"flip rate": [], "noise": []}
    for seed in range(250):
        found = rng.random((runs, items)) < rng.beta(a, b, items)
        sampling, positive = Sampling.simple(items), np.ones(items, bool)
        made = flips(found, no_failure(found), sampling, draws=500, seed=seed)
        held["flip rate"].append(holds(made.flip_rate, 2 * noise))
        split = noise_split(found, np.full(items, 1 / items), positive, sampling, draws=500, seed=seed)
        if split.model_share.high is not None:
            held["noise"].append(holds(split.model_share, share))
    assert min(float(np.mean(one)) for one in held.values()) >= 0.9  # 250 repetitions


def test_the_split_by_hand() -> None:
    """Two runs of four targets, one of which flips: variance between items, and the part that a rerun would change."""
    found = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], float)
    split = noise_split(found, np.full(4, 0.25), np.ones(4, bool), Sampling.simple(4))
    assert split.by_run == (0.75, 0.5)
    assert split.value == 0.625
    squares = [((run - run.mean()) ** 2).sum() for run in found]
    assert split.variance == pytest.approx(np.mean(squares) / 16 * 4 / 3)
    assert split.model_variance == pytest.approx(0.5 / 16)
    assert split.narrowing(1) == 1
    left = (split.variance - split.model_variance / 2) / split.variance
    assert split.narrowing(2) == pytest.approx(left**0.5)
    assert split.model_share.value is None
    assert "6 more" in split.model_share.why_not


def test_steady_answers_have_no_noise_and_noise_alone_is_all_of_it() -> None:
    """The same in every run: more answers narrow nothing. Coin tosses: they narrow as their square root."""
    rng = np.random.default_rng(0)
    items, shares = 4000, np.full(4000, 1 / 4000)
    steady = np.tile(rng.random(items) < 0.7, (3, 1))
    tossed = rng.random((3, items)) < 0.7
    all_ones, sampling = np.ones(items, bool), Sampling.simple(items)
    assert noise_split(steady, shares, all_ones, sampling, draws=200).narrowing(5) == 1
    assert noise_split(tossed, shares, all_ones, sampling, draws=200).narrowing(4) == pytest.approx(0.5, abs=0.05)
    assert noise_split(np.ones((2, items)), shares, all_ones, sampling).model_share.why_not.startswith("in each run")


def test_more_answers_narrow_as_much_as_is_said() -> None:
    """The spread of recall over many samples, with one answer an item and with five."""
    rng = np.random.default_rng(3)
    one, five, said = [], [], []
    for _ in range(600):
        found = rng.random((5, 80)) < rng.beta(4, 1, 80)
        split = noise_split(found, np.full(80, 1 / 80), np.ones(80, bool), Sampling.simple(80), draws=100)
        one.append(split.by_run[0])
        five.append(split.value)
        said.append(split.narrowing(5))
    assert np.std(five) / np.std(one) == pytest.approx(float(np.mean(said)), abs=0.06)


def test_runs_that_differ_as_a_whole_are_noticed() -> None:
    """Fresh answers alone make `p_steady` uniform; a run that finds much less than the others makes it small."""
    rng = np.random.default_rng(5)
    items, few = 200, 0
    shares, positive, sampling = np.full(items, 1 / items), np.ones(items, bool), Sampling.simple(items)
    for _ in range(200):
        found = rng.random((4, items)) < rng.beta(4, 1, items)
        few += noise_split(found, shares, positive, sampling, draws=50).p_steady < 0.05
    assert few <= 22  # 10 expected
    found = rng.random((4, items)) < np.array([0.8, 0.8, 0.8, 0.5])[:, None]
    assert noise_split(found, shares, positive, sampling, draws=50).p_steady < 1e-4


def test_one_run_is_an_error() -> None:
    """Nothing flips in one run; and shapes must fit."""
    once = np.zeros((1, 3), bool)
    with pytest.raises(DataError, match="two runs"):
        flips(once, once, Sampling.simple(3))
    with pytest.raises(DataError, match="two runs"):
        noise_split(once, np.ones(3), np.ones(3), Sampling.simple(3))
    with pytest.raises(DataError, match="differ"):
        flips(np.zeros((2, 3), bool), np.zeros((2, 3), bool), Sampling.simple(4))


def test_many_items_take_little_memory() -> None:
    """300,000 items in two runs: noise is split without as many numbers as draws times items."""
    rng = np.random.default_rng(0)
    positive = rng.random(300_000) < 0.05
    values = np.stack([rng.random(300_000) < 0.7] * 2) & positive
    values[1] ^= positive & (rng.random(300_000) < 0.05)
    tracemalloc.start()
    split = noise_split(values, positive / positive.sum(), positive, Sampling.simple(300_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert split.model_share.value is not None and 0 < split.model_share.value < 0.3
    assert peak < 150e6
