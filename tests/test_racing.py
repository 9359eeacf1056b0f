"""The rule of a race: the order of the items, the bounds, and who is beaten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmclf.errors import DataError
from llmclf.stats.racing import (
    LEAST_IN_STRATUM,
    Asked,
    Keep,
    Racers,
    deal_rounds,
    extra_low,
    level,
    losses,
    quantile_bounds,
    total_high,
)

TARGETS, OTHERS = 40, 360
STRATUM = np.repeat([1, 0], [TARGETS, OTHERS])
IMPORTANCE = np.array([0.1, 0.3])
POPULATION = np.array([OTHERS, TARGETS])
SWING = np.where(STRATUM == 1, 0.2 / TARGETS, 2.0 / OTHERS)


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    importance=st.lists(st.floats(0.01, 10), min_size=4, max_size=4),
    seed=st.integers(0, 9),
)
def test_rounds_hold_every_item_once(sizes: list[int], importance: list[float], seed: int) -> None:
    """The same seed gives the same rounds, and the first has the least number of every stratum, or all of it."""
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    rounds = deal_rounds(stratum, importance[: len(sizes)], seed=seed)
    assert sorted(np.concatenate(rounds)) == list(range(len(stratum)))
    again = deal_rounds(stratum, importance[: len(sizes)], seed=seed)
    assert all(np.array_equal(one, other) for one, other in zip(rounds, again, strict=True))
    first = np.bincount(stratum[rounds[0]], minlength=len(sizes))
    assert all(count >= min(size, LEAST_IN_STRATUM) for count, size in zip(first, sizes, strict=True))


def test_important_items_come_first() -> None:
    """Until they are exhausted, strata are asked in proportion to their importance."""
    rounds = deal_rounds(STRATUM, IMPORTANCE, seed=1)
    assert STRATUM[rounds[0]].mean() > 0.5
    assert STRATUM[rounds[-1]].sum() == 0


def test_every_stratum_must_be_seen() -> None:
    """What nobody was asked about can't be estimated."""
    with pytest.raises(DataError, match="every stratum"):
        Asked(np.zeros(5, np.intp), np.array([10, 3]))


def wrong_bounds(parts: np.ndarray, items: int, alpha: float, shuffles: int) -> tuple[float, float]:
    """Shares of the shuffles in which the extra of row 0 over row 1, and the total of row 0, is bounded wrongly."""
    rng = np.random.default_rng(5)
    extra, total = parts[0].sum() - parts[1].sum(), parts[0].sum()
    below = above = 0
    for _ in range(shuffles):
        taken = [rng.choice(np.flatnonzero(STRATUM == code), items // 2, replace=False) for code in (0, 1)]
        places = np.concatenate(taken)
        asked = Asked(STRATUM[places], POPULATION)
        below += extra_low(parts[:, places], SWING[places], asked, alpha)[0, 1] > extra
        above += total_high(parts[:, places], SWING[places], asked, alpha)[0] < total
    return below / shuffles, above / shuffles


@pytest.mark.parametrize("differing", [1, 3, 40], ids=["one item", "three items", "a tenth"])
def test_bounds_hold_over_the_orders_of_the_items(differing: int) -> None:
    """Two cells that tie, differing in few items and both ways: a bound is wrong no more often than it says."""
    rng = np.random.default_rng(differing)
    first = rng.random(len(STRATUM)) < 0.1
    second = first.copy()
    second[rng.choice(len(STRATUM), differing, replace=False)] ^= True
    parts = np.array([first, second]) * SWING
    for items in (20, 60):
        below, above = wrong_bounds(parts, items, 0.05, 1000)
        assert below < 0.075
        assert above < 0.075


def test_seconds_are_bounded_from_both_sides() -> None:
    """Of a part of the items the 95th percentile is bounded no more wrongly than it says; of all, it is itself."""
    rng = np.random.default_rng(0)
    seconds = np.exp(rng.normal(size=(1, len(STRATUM))))
    truth = float(np.sort(seconds[0])[379])
    wrong = 0
    for seed in range(400):
        places = np.concatenate(deal_rounds(STRATUM, [1.0, 1.0], seed=seed)[:9])
        low, high = quantile_bounds(seconds[:, places], 0.95, Asked(STRATUM[places], POPULATION), 0.05)
        wrong += low[0] > truth or high[0] < truth
    assert 0.01 < wrong / 400 < 0.12
    everything = Asked(STRATUM, POPULATION)
    assert [float(end[0]) for end in quantile_bounds(seconds, 0.95, everything, 0.05)] == [truth, truth]


def test_few_seconds_say_nothing() -> None:
    """Ten answers do not bound a 95th percentile from above, and an answer without seconds may have been slow."""
    few = Asked(np.zeros(10, np.intp), np.array([1000]))
    assert np.isinf(quantile_bounds(np.ones((1, 10)), 0.95, few, 0.01)[1][0])
    seconds = np.ones((1, 400))
    seconds[0, :40] = np.nan
    many = Asked(np.zeros(400, np.intp), np.array([1000]))
    low, high = quantile_bounds(seconds, 0.95, many, 0.01)
    assert (low[0], np.isinf(high[0])) == (0.0, False) or np.isinf(high[0])


def raced(
    usd: list[float], missed: list[float], seconds: list[float], *, keep: Keep, rivals: object = True
) -> list[tuple[int, int]]:
    """(who, by whom) of cells that are alike on each of 300 items of 1,000; there are 100 targets among these."""
    n, m = 1000, 300
    target = np.arange(m) < 30
    rng = np.random.default_rng(0)
    noise = 1 + 0.1 * rng.random(m)
    racers = Racers(
        np.outer(usd, noise) / n,
        np.outer(missed, target * noise) / 100,
        np.outer(seconds, noise),
        np.full(m, 0.01 / n),
        np.where(target, 0.05 / 100, 0.0),
    )
    asked = Asked(target.astype(np.intp), np.array([900, 100]))
    allowed = np.broadcast_to(np.asarray(rivals, dtype=bool), (len(usd),))
    return [(one.cell, one.by) for one in losses(racers, asked, allowed, keep=keep, alpha=1e-4)]


def test_the_dearer_cell_is_beaten_for_a_winner() -> None:
    """By the one that costs least of those that may beat others, and nobody beats a cell that ties."""
    assert raced([1.0, 2.0, 1.0], [0, 0, 0], [1, 1, 1], keep="winner") in ([(1, 0)], [(1, 2)])
    assert raced([1.0, 2.0, 3.0], [0, 0, 0], [1, 1, 1], keep="winner", rivals=[False, True, False]) == [(2, 1)]


def test_an_unknown_price_neither_beats_nor_is_beaten() -> None:
    """Unknown is not zero, and not dear either."""
    assert raced([np.nan, 2.0, 3.0], [0, 0, 0], [1, 1, 1], keep="winner") == [(2, 1)]
    assert raced([1.0, np.nan], [0, 0], [1, 1], keep="winner") == []


def test_a_front_keeps_what_is_better_in_anything() -> None:
    """Dearer, and missing more, and no faster: only then is a cell dominated; ties in dollars or misses are kept."""
    assert raced([1.0, 2.0], [0.1, 0.5], [1.0, 3.0], keep="front") == [(1, 0)]
    assert raced([1.0, 2.0], [0.5, 0.1], [1.0, 3.0], keep="front") == []
    assert raced([1.0, 2.0], [0.1, 0.5], [3.0, 1.0], keep="front") == []
    assert raced([1.0, 2.0], [0.5, 0.5], [1.0, 3.0], keep="front") == []
    assert raced([2.0, 2.0], [0.1, 0.5], [1.0, 3.0], keep="front") == []


def test_under_a_tenth_of_a_second_all_are_equally_fast() -> None:
    """Nobody waits for the difference: a cell that is faster there is dominated all the same."""
    assert raced([1.0, 2.0], [0.1, 0.5], [0.05, 0.001], keep="front") == [(1, 0)]


def test_the_risk_is_shared_by_all_comparisons() -> None:
    """A winner may be lost to each other cell in each round but the last; of a front so may every cell."""
    assert level(0.05, 11, 6, "winner") == pytest.approx(0.05 / 50)
    assert level(0.05, 11, 6, "front") == pytest.approx(0.05 / 550)
    assert level(0.05, 1, 1, "winner") == 0.05


def test_the_benchmark_reports_in_the_common_form() -> None:
    """A smoke run: shares of the calls and what was lost, for both families and both things to keep."""
    script = Path(__file__).parents[1] / "benchmarks" / "racing.py"
    done = subprocess.run(
        [sys.executable, str(script), "--json", "--quick"], capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["quick"] is True
    for family in ("close together", "spread"):
        for keep in ("winner", "front"):
            figures = report["figures"][family][keep]
            assert 0.05 < figures["share of the calls"] < 1
            assert figures["nothing lost"] == "4 of 4"
