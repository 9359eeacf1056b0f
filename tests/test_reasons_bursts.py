"""Bursts of known kinds: chances against scipy, quiet windows left in peace at any day-to-day variation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmclf.reasons.bursts import measure_bursts, weekend
from llmclf.reasons.texts import Embedded
from llmclf.stats.bursts import VARIATIONS, burst_p, dispersion_of, stated_prior, upper_tail
from llmclf.stats.counts import more_than_drawn, upper_binomial
from llmclf.types.reasons import Reasons

START = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.integers(0, 400), st.floats(0.1, 300), st.floats(0.01, 2))
def test_upper_tail_is_that_of_the_negative_binomial(seen: int, mean: float, dispersion: float) -> None:
    """The chance of at least so many agrees with scipy's survival function."""
    from scipy.stats import nbinom

    size = 1 / dispersion
    expected = nbinom.sf(seen - 1, size, size / (size + mean))
    assert upper_tail(seen, mean, mean + dispersion * mean**2) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.data())
def test_more_than_drawn_is_that_of_the_hypergeometric(data: st.DataObject) -> None:
    """Chances of draws and of trials agree with scipy's survival functions."""
    from scipy.stats import binom, hypergeom

    total = data.draw(st.integers(1, 300))
    having, size = data.draw(st.integers(0, total)), data.draw(st.integers(1, total))
    inside = data.draw(st.integers(0, min(having, size)))
    expected = hypergeom.sf(inside - 1, total, having, size)
    assert more_than_drawn(inside, size, having, total) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    chance = data.draw(st.floats(0.01, 0.99))
    assert upper_binomial(inside, size, chance) == pytest.approx(
        binom.sf(inside - 1, size, chance), rel=1e-6, abs=1e-12
    )


@pytest.mark.parametrize(("variation", "most"), [(0.0, 0.05), (0.15, 0.05), (0.3, 0.09)])
def test_quiet_windows_seldom_alarm(variation: float, most: float) -> None:
    """Of 60 kinds over 14 windows none bursts by chance in more than 5 % of windows, at a Bonferroni level of 5 %.

    At 30 % of variation, which the stated distribution thinks rare, a little more do (Monte-Carlo error .015).
    """
    rng = np.random.default_rng(3)
    shares = 1 / np.arange(1, 61)
    shares /= shares.sum()
    alarms = 0
    for _ in range(200):
        exposures = np.append(rng.integers(3500, 6500, 14), 5000)
        rates = rng.gamma(1 / variation**2, variation**2, (60, 15)) if variation else np.ones((60, 15))
        counts = rng.poisson(shares[:, None] * exposures * rates)
        alarms += bool((burst_p(counts[:, :14], exposures[:14], counts[:, 14], 5000) * 60 <= 0.05).any())
    assert alarms / 200 <= most


def test_a_doubling_is_found_and_a_steady_kind_is_not() -> None:
    """Four times a kind's usual count is sure; its usual count is not; a kind that varies needs more."""
    steady, wild = [100] * 14, [20, 250, 60, 100, 10, 300, 90, 40, 200, 50, 80, 150, 30, 20]
    p = burst_p([steady, wild], [5000] * 14, [300, 300], 5000)
    assert p[0] < 1e-4 < p[1]
    assert burst_p([steady], [5000] * 14, [100], 5000)[0] > 0.3
    assert burst_p([steady], [5000] * 14, [0], 5000)[0] == pytest.approx(1)


def test_without_history_the_stated_variation_stands() -> None:
    """One window before is no measure of variation: a count that Poisson would call sure is not."""
    from scipy.stats import poisson

    p = burst_p([[10_000]], [100_000], [650], 5000)[0]
    assert poisson.sf(649, 500) < 1e-9 < 0.01 < p
    assert VARIATIONS[stated_prior().argmax()] == 0.15


def test_dispersion_is_near_the_truth() -> None:
    """The squared variation is found from many windows within a factor of two."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(200 * rng.gamma(1 / 0.3**2, 0.3**2, 200))
    assert 0.045 < dispersion_of(counts, np.full(200, 1000)) < 0.18


def embedded(conversations: int, days: float, first: datetime = START, timed: bool = True) -> Embedded:
    """One reason for each conversation, spread evenly over so many days."""
    stamps = [(first + timedelta(days=days * place / conversations)).isoformat() for place in range(conversations)]
    names = [f"{first:%m%d}-{place}" for place in range(conversations)]
    reasons = Reasons.of(
        ["said"] * conversations, conversation_ids=names, created_at=stamps if timed else [""] * len(names)
    )
    each = np.arange(conversations)
    return Embedded(
        reasons, ["said"], np.zeros(conversations, np.intp), np.zeros((1, 256), np.float32), each, len(each), "e"
    )


def test_windows_are_cut_by_time() -> None:
    """A baseline of 15 days makes 15 windows of a day; without times it is one."""
    window = embedded(200, 1, START + timedelta(days=15))
    baseline = embedded(3000, 15)
    usual = np.where(np.arange(3000) % 10 == 0, 1, 0)
    burst = np.where(np.arange(200) < 60, 1, 0)
    found = measure_bursts(window, burst, baseline, usual, 2)
    assert (found.windows, found.used) == (15, 1.0)
    assert found.seen.tolist() == [140, 60]
    assert found.expected[1] == pytest.approx(20, rel=0.02)
    assert found.p[1] < 0.001 < 0.5 < found.p[0]
    assert measure_bursts(embedded(200, 1, timed=False), burst, baseline, usual, 2).windows == 1


def test_a_few_unknown_times_leave_the_windows() -> None:
    """Conversations without a time are in none of them; where most have none it is one window."""
    window, baseline = embedded(200, 1, START + timedelta(days=15)), embedded(3000, 15)
    for unknown, windows in ((2, 15), (2000, 1)):
        stamps = [""] * unknown + baseline.reasons.column("created_at")[unknown:]
        columns = {name: baseline.reasons.column(name) for name in ("conversation_id", "rationale")}
        some = replace(baseline, reasons=Reasons.from_columns({**columns, "created_at": stamps}))
        found = measure_bursts(window, np.zeros(200, np.intp), some, np.zeros(3000, np.intp), 1)
        assert found.windows == windows


@pytest.mark.parametrize("minute", [0, 4, 23 * 60 + 55])
def test_jobs_that_run_once_a_night_are_days(minute: int) -> None:
    """Windows of ten minutes would be empty but for the job's: whole days are, at any time of day, on time or not."""
    rng = np.random.default_rng(0)
    start = START + timedelta(minutes=minute)
    parts = [
        embedded(100, 7 / 1440, start + timedelta(days=day, minutes=float(rng.uniform(-3, 3)))) for day in range(15)
    ]
    ids = [f"{day}-{place}" for day in range(14) for place in range(100)]
    stamps = [stamp for part in parts[:-1] for stamp in part.reasons.column("created_at")]
    reasons = Reasons.of(["said"] * 1400, conversation_ids=ids, created_at=stamps)
    each = np.arange(1400)
    baseline = Embedded(reasons, ["said"], np.zeros(1400, np.intp), np.zeros((1, 256), np.float32), each, 1400, "e")
    found = measure_bursts(parts[-1], np.zeros(100, np.intp), baseline, np.zeros(1400, np.intp), 1)
    assert (found.windows, found.used) == (14, 1.0)


def test_weekends_are_told_of() -> None:
    """A burst on a Saturday comes with a note of how many such days the baseline has; on a Monday it does not."""
    saturday = datetime(2026, 11, 14, tzinfo=UTC)
    baseline = embedded(1400, 14, saturday - timedelta(days=14))
    assert "as 4 of the baseline's 14 days do" in weekend(embedded(100, 1, saturday), baseline)
    assert weekend(embedded(100, 1, saturday + timedelta(days=2)), baseline) == ""


def test_a_conversation_counts_once() -> None:
    """Many reasons of one conversation are one."""
    window, baseline = embedded(20, 1), embedded(100, 1, timed=False)
    same = Embedded(window.reasons, window.texts, window.of, window.vectors, np.zeros(20, np.intp), 1, "e")
    found = measure_bursts(same, np.zeros(20, np.intp), baseline, np.zeros(100, np.intp), 1)
    assert found.seen.tolist() == [1]
