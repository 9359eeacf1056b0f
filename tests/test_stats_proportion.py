"""One proportion: exact formulas against scipy, and groups that are not independent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import beta, binomtest

from llmclf.errors import DataError
from llmclf.stats import clopper_pearson, clustered_wilson, jeffreys, wilson

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@given(counts, levels)
def test_wilson_and_clopper_pearson_are_scipys(pair: tuple[int, int], level: float) -> None:
    """Wilson and Clopper-Pearson give scipy's limits at any count and level."""
    hits, total = pair
    for mine, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        oracle = binomtest(hits, total).proportion_ci(level, method=method)
        got = mine(hits, total, level=level)
        assert (got.low, got.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
        assert got.value == hits / total


@given(counts)
def test_jeffreys_is_a_beta_that_reaches_the_ends(pair: tuple[int, int]) -> None:
    """Jeffreys is the Beta(hits + 1/2, misses + 1/2) interval, and reaches 0 and 1 where nothing speaks against it."""
    hits, total = pair
    got = jeffreys(hits, total)
    low, high = beta.ppf([0.025, 0.975], hits + 0.5, total - hits + 0.5)
    assert got.low == pytest.approx(0.0 if hits == 0 else min(low, hits / total))
    assert got.high == pytest.approx(1.0 if hits == total else max(high, hits / total))


@given(counts)
def test_limits_enclose_the_value_and_mirror(pair: tuple[int, int]) -> None:
    """Every interval encloses its value, and counting misses for hits turns it round."""
    hits, total = pair
    for interval in (wilson, clopper_pearson, jeffreys):
        got, turned = interval(hits, total), interval(total - hits, total)
        assert got.low is not None and got.value is not None and got.high is not None
        assert 0 <= got.low <= got.value <= got.high <= 1
        assert (turned.low, turned.high) == pytest.approx((1 - got.high, 1 - got.low), abs=1e-9)


@pytest.mark.parametrize(("hits", "total"), [(1, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(hits: int, total: int) -> None:
    """A proportion of nothing, or of more hits than trials, is an error."""
    for interval in (wilson, clopper_pearson, jeffreys):
        with pytest.raises(DataError, match="0 <= hits <= total"):
            interval(hits, total)


def test_single_items_as_groups_are_plain_wilson() -> None:
    """Where every item is a group of its own nothing changes."""
    hit = [True] * 7 + [False] * 13
    got, plain = clustered_wilson(hit, [str(i) for i in range(20)]), wilson(7, 20)
    assert (got.low, got.high) == (plain.low, plain.high)


def test_groups_that_agree_count_once() -> None:
    """Five copies of each item say no more than the items themselves."""
    hit = np.repeat([True] * 12 + [False] * 18, 5)
    got = clustered_wilson(hit, np.repeat(np.arange(30), 5))
    plain = wilson(12, 30)
    assert got.low is not None and plain.low is not None and got.high is not None and plain.high is not None
    assert got.high - got.low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_agreement_of_all_items_does_not_narrow_the_interval() -> None:
    """Where all items are hits, a group still counts as one observation."""
    got = clustered_wilson([True] * 40, [i // 4 for i in range(40)])
    assert got.value == 1.0 and got.low is not None
    assert got.low < (wilson(10, 10).low or 0)


def test_groups_and_items_of_unequal_number_are_refused() -> None:
    """A group is needed for every item."""
    with pytest.raises(DataError, match="differ in length"):
        clustered_wilson([True, False], ["a"])


def test_clustered_wilson_covers() -> None:
    """Over simulated groups with correlation .3 its 95 % interval holds the truth; plain Wilson does not."""
    rng = np.random.default_rng(4)
    held, naive = [], []
    for _ in range(400):
        group = np.repeat(np.arange(40), rng.integers(1, 10, 40))
        hit = rng.random(len(group)) < rng.beta(0.2 * 7 / 3, 0.8 * 7 / 3, 40)[group]
        got, plain = clustered_wilson(hit, group), wilson(int(hit.sum()), len(hit))
        held.append(got.low <= 0.2 <= got.high)  # type: ignore[operator]
        naive.append(plain.low <= 0.2 <= plain.high)  # type: ignore[operator]
    assert np.mean(held) > 0.91
    assert np.mean(naive) < 0.85
