"""A part against the rest: exact p values, groups dealt as wholes, many parts adjusted for."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import fisher_exact, hypergeom, norm

from llmclf.errors import DataError
from llmclf.stats import difference_p, holm
from llmclf.stats.difference import _chances


def test_single_items_are_fisher_s_exact_test() -> None:
    """Without groups, or with each item its own, p is scipy's."""
    hit = np.repeat([True, False, True, False], [8, 2, 10, 30])
    inside = np.repeat([True, False], [10, 40])
    want = fisher_exact([[8, 2], [10, 30]])[1]
    assert difference_p(hit, inside) == pytest.approx(want)
    assert difference_p(hit, inside, np.arange(50)) == pytest.approx(want)


def test_copies_do_not_make_it_surer() -> None:
    """Ten copies of each item as groups give about the p of the items alone, not one a thousand times smaller."""
    hit = np.repeat([True, False, True, False], [6, 4, 10, 30])
    inside = np.repeat([True, False], [10, 40])
    alone, copied = (
        difference_p(np.repeat(hit, 10), np.repeat(inside, 10), groups)
        for groups in (None, np.repeat(np.arange(50), 10))
    )
    assert alone is not None and copied is not None and alone < 1e-6
    assert 0.03 < copied < 0.2  # alone it is .056; the two order tables a little differently


def test_nothing_to_compare_is_none() -> None:
    """A part that is empty, or is everything, has no p; lengths must fit."""
    hit = np.array([True, False, True])
    assert difference_p(hit, [False] * 3) is None and difference_p(hit, [True] * 3, np.zeros(3, np.intp)) is None
    with pytest.raises(DataError):
        difference_p(hit, [True])


@pytest.mark.parametrize("kind", ["whole groups", "within groups", "both", "large groups"])
def test_p_holds_where_items_hang_together(kind: str) -> None:
    """With alike items in groups of 1 to 8 and no difference, p is below .05 in at most about 5 % of 300 samples."""
    rng = np.random.default_rng(5)
    found = []
    for seed in range(300):
        size = rng.integers(1, 9, 60)
        group = np.repeat(np.arange(60), size)
        hit = rng.normal(size=60)[group] + rng.normal(size=len(group)) > norm.isf(0.3) * np.sqrt(2)
        inside = {
            "whole groups": (rng.random(60) < 0.2)[group],
            "within groups": rng.random(len(group)) < 0.2,
            "both": rng.random(len(group)) < (0.9 * (rng.random(60) < 0.3))[group],
            "large groups": (size > 6)[group],
        }[kind]
        p = difference_p(hit, inside, group, draws=999, seed=seed)
        found.append(p is not None and p < 0.05)
    assert np.mean(found) <= 0.09  # a binomial of 300 at .05 is above this once in 500 times


def test_a_difference_between_mixed_groups_is_seen() -> None:
    """In pairs of which any number is inside, all of them count: not only what differs within a pair."""
    rng = np.random.default_rng(0)
    group, inside = np.repeat(np.arange(60), 2), rng.random(120) < 0.3
    p = difference_p(np.where(inside, rng.random(120) < 0.8, rng.random(120) < 0.3), inside, group)
    assert p is not None and p < 0.001


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_never_lowers_and_keeps_order(p_values: list[float | None]) -> None:
    """Adjusted p is never smaller, at most 1, in the same order, and the smallest is multiplied by their number."""
    adjusted = holm(p_values)
    pairs = sorted((p, q) for p, q in zip(p_values, adjusted, strict=True) if p is not None and q is not None)
    assert [p is None for p in p_values] == [q is None for q in adjusted]
    assert all(p <= q <= 1 for p, q in pairs)
    assert [q for _, q in pairs] == sorted(q for _, q in pairs)
    if pairs:
        assert pairs[0][1] == pytest.approx(min(1.0, pairs[0][0] * len(pairs)))


@pytest.mark.parametrize("kind", ["unequal groups", "many pairs"])
def test_many_groups_take_little_memory(kind: str) -> None:
    """98,000 items in 3,000 unequal groups, and 100,000 pairs: p without as many numbers as draws times counts."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 60, 3000) if kind == "unequal groups" else np.full(100_000, 2)
    group = np.repeat(np.arange(len(sizes)), sizes)
    hit, inside = rng.random(len(group)) < 0.1, rng.random(len(group)) < 0.3
    tracemalloc.start()
    p = difference_p(hit, inside, group)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert p is not None and 0.001 < p
    assert peak < 150e6


@given(st.integers(1, 12), st.data())
def test_chances_of_a_redeal_are_hypergeometric(n: int, data: st.DataObject) -> None:
    """As scipy has them."""
    hits, k = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    outcomes = np.arange(max(0, hits + k - n), min(hits, k) + 1)
    assert _chances(n, hits, k, outcomes) == pytest.approx(hypergeom.pmf(outcomes, n, hits, k))
