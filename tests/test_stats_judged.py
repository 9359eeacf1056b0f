"""Prevalence from a judge's verdicts on everything and people's labels on a few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.errors import DataError
from llmclf.stats import judged_prevalence
from llmclf.types import Estimate

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def test_each_verdict_is_weighed_by_how_often_it_fell() -> None:
    """Half of 10 flagged labels in a flagged tenth, 1 of 90 in the rest: .1 * .5 + .9 / 90."""
    made = judged_prevalence(
        [True] * 5 + [False] * 5 + [True] + [False] * 89,
        ["flagged"] * 10 + ["quiet"] * 90,
        {"flagged": 1000, "quiet": 9000},
    )
    assert made.value == pytest.approx(0.06)
    low, high = ends(made)
    assert 0.02 < low < 0.06 < high < 0.14
    assert made.n_positives == 6


def test_without_a_target_there_is_an_upper_limit_only() -> None:
    """0 of 100 leaves about 3 per cent open; the reason says how many targets are missing."""
    made = judged_prevalence([False] * 100, ["quiet"] * 95 + ["flagged"] * 5, {"flagged": 1000, "quiet": 19000})
    low, high = ends(made)
    assert made.value is None
    assert low == 0
    assert 0.025 < high < 0.08
    assert "needs 5 more" in made.why_not


def test_a_verdict_without_random_labels_joins_the_others() -> None:
    """50 random labels, none of a flagged item: the labels stand for everything, as they were drawn."""
    alone = judged_prevalence([True] * 6 + [False] * 44, ["quiet"] * 50, {"quiet": 20000})
    joined = judged_prevalence([True] * 6 + [False] * 44, ["quiet"] * 50, {"flagged": 400, "quiet": 19600})
    assert joined == alone


def test_a_verdict_that_nobody_drew_from_is_an_error() -> None:
    """Labels drawn by verdict say nothing of a verdict that has none; nor may lengths differ or labels be missing."""
    with pytest.raises(DataError, match="flagged"):
        judged_prevalence([False] * 9, ["quiet"] * 9, {"flagged": 400, "quiet": 19600}, drawn="by_verdict")
    with pytest.raises(DataError, match="failed"):
        judged_prevalence([False], ["failed"], {"quiet": 19600}, drawn="by_verdict")
    with pytest.raises(DataError, match="verdict"):
        judged_prevalence([False] * 2, ["quiet"], {"quiet": 5})
    with pytest.raises(DataError, match="verdict"):
        judged_prevalence([], [], {"quiet": 5})


def test_failed_verdicts_are_a_part_of_their_own() -> None:
    """Items that the judge could not answer keep their own share of targets."""
    made = judged_prevalence(
        [False] * 50 + [True] * 10 + [False] * 10,
        ["quiet"] * 50 + ["failed"] * 20,
        {"quiet": 8000, "failed": 2000},
        drawn="by_verdict",
    )
    assert made.value == pytest.approx(0.1)


@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
def test_an_interval_holds_its_value_and_is_never_a_point(found: int, alarms: int, missed: int, quiet: int) -> None:
    """Whatever few labels say."""
    positive = np.repeat([True, False, True, False], [found, alarms, missed, quiet])
    verdicts = ["flagged"] * (found + alarms) + ["quiet"] * (missed + quiet)
    made = judged_prevalence(positive, verdicts, {"flagged": 500, "quiet": 4500}, draws=500)
    low, high = ends(made)
    assert 0 <= low < high <= 1
    if made.value is not None:
        assert low <= made.value <= high


def test_groups_widen_the_interval() -> None:
    """Twenty labels of one dialogue are not twenty labels."""
    positive = np.arange(200) % 40 < 4
    verdicts = ["quiet"] * 200
    judged = {"quiet": 20000}
    narrow, wide = (
        ends(judged_prevalence(positive, verdicts, judged, groups=groups))
        for groups in (None, [number // 20 for number in range(200)])
    )
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


@pytest.mark.parametrize(
    ("drawn", "rate", "labels"), [("random", 0.3, 50), ("random", 0.01, 100), ("by_verdict", 0.01, 50)]
)
def test_the_truth_is_held(monkeypatch: pytest.MonkeyPatch, drawn: str, rate: float, labels: int) -> None:
    """Three of the benchmark's settings, a good judge: where a prior in the wrong stratum, or PPI++, fails."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import coverage_judged

    setting = coverage_judged.Judged(drawn, rate, labels, 0.95, 0.95)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    made = []
    for seed in range(400):
        everything, seen = setting.sample(rng)
        made.append(coverage_judged.ours(setting, everything, seen, seed))
    assert coverage_judged.held(made, rate)["coverage"] >= 0.92


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_benchmark_s_judgy_is_judgy(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """On the package's own resamples our one-draw form gives its interval to the last digit, or none."""
    judgy = pytest.importorskip("judgy")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import coverage_judged

    rng = np.random.default_rng(seed)
    setting = coverage_judged.Judged("random", 0.3, 60, 0.8, 0.95)
    everything, seen = setting.sample(rng)
    labels = np.repeat([1, 1, 0, 0], seen)
    verdicts = np.repeat([1, 0, 1, 0], seen)
    of_all = np.repeat([1, 0, 1, 0], everything)
    np.random.seed(seed)
    _, low, high = judgy.estimate_success_rate(labels, verdicts, of_all, bootstrap_iterations=300)
    np.random.seed(seed)
    cell = np.repeat(np.arange(4), seen)
    drawn = np.random.choice(np.arange(60), size=(300, 60), replace=True)
    counts = np.stack([np.bincount(cell[row], minlength=4) for row in drawn])
    assert coverage_judged.judgy_of(counts, everything) == pytest.approx((low, high), abs=1e-12)
    nothing = np.array([0, 0, 10, 50])
    with pytest.raises(ValueError, match="both"):
        judgy.estimate_success_rate([0] * 60, [1] * 10 + [0] * 50, of_all)
    assert coverage_judged.judgy(everything, nothing, rng) is None


def test_ppi_plus_plus_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that is always right leaves the spread of its own verdicts; one that says nothing, that of the labels."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import coverage_judged

    rng = np.random.default_rng(0)
    low, high = coverage_judged.ppi_plus_plus(np.array([3000, 0, 0, 7000]), np.array([30, 0, 0, 70]), rng)
    tuned = 1 / (1 + 100 / 9900)
    error = (0.21 * (1 - tuned) ** 2 / 100 + tuned**2 * 0.21 / 9900) ** 0.5
    assert (low + high) / 2 == pytest.approx(0.3)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=1e-6)
    low, high = coverage_judged.ppi_plus_plus(np.array([0, 3000, 0, 7000]), np.array([0, 30, 0, 70]), rng)
    assert high - low == pytest.approx(2 * 1.96 * (0.21 / 100) ** 0.5, rel=1e-6)
