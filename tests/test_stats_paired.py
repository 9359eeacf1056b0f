"""Two classifiers on the same items: differences that hold, tests that are exact, labels that would decide."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from scipy.special import bdtr

import llmclf.stats as stats
from llmclf.errors import DataError
from llmclf.stats import Paired, Sampling
from llmclf.types import Costs, Estimate

COSTS = Costs(prevalence=0.005)
Bools = NDArray[np.bool_]
Chances = tuple[float, float, float, float]
"""Of being flagged by both, by A alone, by B alone, by none."""


def judged(
    rng: np.random.Generator, target: Bools, group: NDArray[np.intp], of: tuple[Chances, Chances], alike: float
) -> tuple[Bools, Bools]:
    """Flags of A and B; an item takes its group's luck with the chance `alike`."""
    shared = rng.random(int(group.max()) + 1)[group]
    luck = np.where(rng.random(len(target)) < alike, shared, rng.random(len(target)))
    place = np.where(target, *(np.searchsorted(np.cumsum(chances)[:3], luck, side="right") for chances in of))
    return place <= 1, (place == 0) | (place == 2)


def true_dollars(targets: Chances, others: Chances) -> float:
    """The difference that would be found with every conversation labelled."""
    found, alarms = targets[2] - targets[1], others[2] - others[1]
    review = COSTS.review_usd
    return 1000 * (0.005 * found * (review - 40) + 0.995 * alarms * (2 + review))


def pairs_of(
    target: Bools, a: Bools, b: Bools, sampling: Sampling | None = None, failed: Bools | None = None
) -> Paired:
    """Both sides' cells; `failed` are B's."""
    nothing = np.zeros(len(target), bool)
    fails = (nothing, nothing if failed is None else failed)
    return stats.paired_cells(target, (a, b), fails, sampling or Sampling.simple(len(target)), draws=1000)


def labelled(positives: int, others: int) -> Bools:
    """Truth values: positives first."""
    return np.arange(positives + others) < positives


@given(st.integers(0, 2**32 - 1), st.sampled_from(["review", "miss"]))
def test_the_difference_is_that_of_both_figures(seed: int, on_error: str) -> None:
    """Dollars, recall and false alarms of B less A's are the differences of what each has alone, failures included."""
    rng = np.random.default_rng(seed)
    target = labelled(15, 40)
    a, b = rng.random((2, 55)) < 0.4
    failed = rng.random((2, 55)) < 0.1
    sampling = Sampling.stratified([str(one) for one in rng.permutation(55) % 2], {"0": 900, "1": 100})
    costs = replace(COSTS, on_error=on_error)
    pairs = stats.paired_cells(target, (a, b), (failed[0], failed[1]), sampling, draws=200)
    alone = [
        stats.confusion(target, flag, sampling, failed=fail, draws=200)
        for flag, fail in zip((a, b), failed, strict=True)
    ]
    usd = [
        stats.dollars_per_1000(one, costs, model_usd=price).value
        for one, price in zip(alone, (0.01, 0.02), strict=True)
    ]
    assert stats.paired_dollars(pairs, costs, model_usd=(0.01, 0.02)).value == pytest.approx(usd[1] - usd[0])
    recalls = [stats.recall(one).value for one in alone]
    assert stats.paired_recall(pairs).value == pytest.approx(recalls[1] - recalls[0])
    both = ~failed.any(axis=0) & ~target
    alarms = [np.average(flag[both], weights=sampling.weight[both]) for flag in (a, b)]
    assert stats.paired_false_alarms(pairs).value == pytest.approx(alarms[1] - alarms[0])


@given(st.integers(0, 2**32 - 1))
def test_the_sides_can_be_swapped(seed: int) -> None:
    """With A for B every value and test turns round."""
    rng = np.random.default_rng(seed)
    target = labelled(12, 30)
    a, b = rng.random((2, 42)) < 0.5
    one, other = pairs_of(target, a, b), pairs_of(target, b, a)
    assert stats.paired_dollars(one, COSTS).value == pytest.approx(-stats.paired_dollars(other, COSTS).value)
    first, second = stats.discordance(one, "targets"), stats.discordance(other, "targets")
    assert (first.gains, first.losses) == (second.losses, second.gains)
    assert first.p == pytest.approx(second.p)


@given(st.integers(0, 20), st.integers(0, 20))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(gains: int, losses: int) -> None:
    """Without groups the p is the exact two-sided binomial one."""
    target = np.r_[np.ones(gains + losses + 5, bool), np.zeros(3, bool)]
    b = np.arange(len(target)) < gains
    a = (np.arange(len(target)) >= gains) & (np.arange(len(target)) < gains + losses)
    found = stats.discordance(pairs_of(target, a, b), "targets")
    n = gains + losses
    wanted = min(1.0, 2 * float(bdtr(min(gains, losses), n, 0.5))) if n else 1.0
    assert (found.gains, found.losses) == (gains, losses)
    assert found.method == "mcnemar-exact"
    assert found.p == pytest.approx(wanted)


def test_groups_are_swapped_whole() -> None:
    """Ten gains in two groups of five prove nothing: only four ways to swap two groups."""
    target = labelled(10, 10)
    b = target.copy()
    group = np.r_[np.repeat([0, 1], 5), np.arange(2, 12)]
    found = stats.discordance(pairs_of(target, np.zeros(20, bool), b, Sampling.simple(20, group)), "targets")
    assert found.method == "sign-flip of groups"
    assert found.p == 0.5
    assert stats.discordance(pairs_of(target, np.zeros(20, bool), b), "targets").p < 0.01


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_groups_are_swapped_in_every_way(steps: list[int]) -> None:
    """The p is the share of all ways to swap groups whose sum is as far from nothing, as counted by hand."""
    rows = [(number, np.sign(step)) for number, step in enumerate(steps) for _ in range(abs(step))]
    rows += [(len(steps), 0)] * 2  # a group of two that both find
    target = labelled(len(rows), 4)
    signs = np.r_[[sign for _, sign in rows], np.zeros(4)]
    group = np.r_[[number for number, _ in rows], len(steps) + 1 + np.arange(4)].astype(int)
    found = stats.discordance(pairs_of(target, signs < 0, signs > 0, Sampling.simple(len(target), group)), "targets")
    ways = [sum(way) for way in itertools.product(*((abs(step), -abs(step)) for step in steps))]
    less, more = (sum(sign * way >= sign * sum(steps) for way in ways) / len(ways) for sign in (-1, 1))
    assert found.p == pytest.approx(min(1.0, 2 * min(less, more)))


def test_a_failed_other_is_no_false_alarm_and_no_quiet() -> None:
    """Of the others only those that both answered are compared; a failed target is a missed one."""
    target = labelled(10, 10)
    flagged = np.ones(20, bool)
    found = pairs_of(target, flagged, flagged, failed=flagged)
    assert stats.discordance(found, "targets").losses == 10
    assert stats.discordance(found, "others").losses == 0
    assert "nothing both answered" in stats.paired_false_alarms(found).why_not


def test_no_disagreement_is_not_certain() -> None:
    """Two that agree on every item may still differ: the interval has a width, and it falls as items grow."""
    widths = []
    for times in (1, 4):
        target = labelled(20 * times, 200 * times)
        usd = stats.paired_dollars(pairs_of(target, target, target), COSTS)
        assert usd.value == 0
        assert usd.low is not None and usd.high is not None and usd.low < -5 / times and usd.high > 5 / times
        widths.append(usd.high - usd.low)
    assert widths[1] < widths[0] / 3


def test_few_positives_give_no_value() -> None:
    """Below ten positives there is an interval and no figure, and it says how many more it needs."""
    target = labelled(7, 100)
    usd = stats.paired_dollars(pairs_of(target, target, target), COSTS)
    assert usd.value is None and usd.low is not None and "needs 3 more" in usd.why_not
    assert stats.more_labels(pairs_of(target, target, target), usd) is None


def test_without_a_class_nothing_is_known() -> None:
    """Without positives, or without others, there is no difference in dollars."""
    for target in (np.ones(20, bool), np.zeros(20, bool)):
        usd = stats.paired_dollars(pairs_of(target, target, target), COSTS)
        assert usd.low is None and "can't be known" in usd.why_not


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    """Where either model's price is not known, only the rest is said."""
    target = labelled(20, 100)
    usd = stats.paired_dollars(pairs_of(target, target, target), COSTS, model_usd=(None, 0.1))
    assert usd.value is None and usd.low is None
    assert usd.why_not.startswith(stats.PRICE_UNKNOWN)


def test_lengths_must_fit() -> None:
    """Sides of different length, or no item at all, are refused."""
    with pytest.raises(DataError):
        stats.paired_cells([True, False], ([True], [True]), ([False], [False]), Sampling.simple(2))
    with pytest.raises(DataError):
        stats.paired_cells([], ([], []), ([], []), Sampling.simple(0))


STRATA = {"top": 2000.0, "rest": 20000.0}
SETTINGS = {
    "plain": (30, 300, "", (0.6, 0.1, 0.1, 0.2), (0.02, 0.03, 0.03, 0.92)),
    "rarely discordant": (30, 300, "", (0.6, 0.02, 0.02, 0.36), (0.02, 0.005, 0.005, 0.97)),
    "groups": (60, 400, "groups", (0.6, 0.1, 0.05, 0.25), (0.02, 0.03, 0.01, 0.94)),
    "strata": (40, 400, "strata", (0.6, 0.1, 0.1, 0.2), (0.02, 0.03, 0.03, 0.92)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_interval_holds(name: str) -> None:
    """The 95 % interval of dollars covers the truth at least .91 of the time in 250 simulated comparisons."""
    positives, others, design, *of = SETTINGS[name]
    rng = np.random.default_rng(11)
    target = labelled(positives, others)
    group = np.arange(len(target)) // (4 if design == "groups" else 1)
    sampling = Sampling.simple(len(target), group)
    if design == "strata":  # most targets among the likely ones
        top = np.where(target, np.arange(len(target)) % 10 < 9, np.arange(len(target)) % 2 == 0)
        sampling = Sampling.stratified(["top" if one else "rest" for one in top], STRATA)
    truth, held = true_dollars(*of), 0
    for _ in range(250):
        a, b = judged(rng, target, group, (of[0], of[1]), 0.5)
        usd = stats.paired_dollars(pairs_of(target, a, b, sampling), COSTS)
        assert usd.low is not None and usd.high is not None
        held += usd.low <= truth <= usd.high
    assert held / 250 >= 0.91


def test_so_many_labels_decide() -> None:
    """With as many labels as it asks for, a true difference is shown at least .8 of the time."""
    rng = np.random.default_rng(3)
    of = ((0.5, 0.02, 0.2, 0.28), (0.02, 0.01, 0.005, 0.965))
    truth = true_dollars(*of)

    def run(positives: int, others: int) -> tuple[Paired, Estimate]:
        target = labelled(positives, others)
        pairs = pairs_of(target, *judged(rng, target, np.arange(len(target)), of, 0))
        return pairs, stats.paired_dollars(pairs, COSTS)

    pilot = [run(20, 200) for _ in range(40)]
    width = float(np.mean([usd.high - usd.low for _, usd in pilot if usd.high is not None and usd.low is not None]))
    more = stats.more_labels(pilot[0][0], Estimate(truth, truth - width / 2, truth + width / 2))
    assert more is not None and more.labels and more.low and more.positives
    assert more.low < more.labels
    assert more.positives == pytest.approx(more.labels / 11, rel=0.1)
    times = 1 + more.labels / 220
    shown = [run(round(20 * times), round(200 * times))[1] for _ in range(100)]
    assert sum(usd.high is not None and usd.high < 0 for usd in shown) >= 75


def test_the_benchmark_reports_every_way() -> None:
    """A smoke run prints one document with the coverage of each way in each setting, and its goals."""
    script = Path(__file__).parents[1] / "benchmarks" / "paired.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    document = json.loads(done.stdout)
    assert len(document["figures"]["settings"]) >= 10 and len(document["goals"]) == 4
    for row in document["figures"]["settings"]:
        assert row["dollars"]["coverage"] >= 0.7  # twenty repetitions tell no more
        assert row["wald"]["width"] > 0


def test_equal_ones_are_never_decided() -> None:
    """Where nothing differs no number of labels up to 100,000 would decide."""
    target = labelled(20, 200)
    pairs = pairs_of(target, target, target)
    usd = stats.paired_dollars(pairs, COSTS)
    more = stats.more_labels(pairs, usd)
    assert more is not None and more.labels is None and more.high is None
    tiny = stats.more_labels(pairs, Estimate(1e-4, -50.0, 50.0))
    assert tiny is not None and tiny.labels is None


def test_many_weights_take_little_memory() -> None:
    """60,000 items with a weight each: the joint cells are drawn without a row of all cells for each."""
    rng = np.random.default_rng(0)
    n = 60_000
    positive, a, b = rng.random((3, n)) < [[0.2], [0.5], [0.5]]
    nothing, sampling = np.zeros(n, bool), Sampling.weighted(rng.uniform(0.01, 0.9, n))
    tracemalloc.start()
    pairs = stats.paired_cells(positive, (a, b), (nothing, nothing), sampling, draws=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs.draws.sum(axis=1) == pytest.approx(np.full(500, pairs.totals.sum()), rel=0.01)
    assert peak < 120e6
