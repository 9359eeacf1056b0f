"""Prevalence from a judge's verdicts and a calibration set of so many targets and so many others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.errors import DataError
from llmclf.stats import class_balanced_prevalence


def lang_reiczigel(
    flagged: int, judged: int, found: int, targets: int, quiet: int, others: int
) -> tuple[float, float, float]:
    """Rogan and Gladen's rate and the 2014 paper's limits, written out in shares."""
    z = 1.959963984540054
    se, sp, rate = found / targets, quiet / others, flagged / judged
    se_, sp_ = (targets * se + 1) / (targets + 2), (others * sp + 1) / (others + 2)
    rate_ = (judged * rate + z**2 / 2) / (judged + z**2)
    p_ = (rate_ + sp_ - 1) / (se_ + sp_ - 1)
    moved = 2 * z**2 * (p_ * se_ * (1 - se_) / (targets + 2) - (1 - p_) * sp_ * (1 - sp_) / (others + 2))
    spread = rate_ * (1 - rate_) / (judged + z**2)
    spread += p_**2 * se_ * (1 - se_) / (targets + 2) + (1 - p_) ** 2 * sp_ * (1 - sp_) / (others + 2)
    half = z * math.sqrt(spread / (se_ + sp_ - 1) ** 2)
    return (rate + sp - 1) / (se + sp - 1), p_ + moved - half, p_ + moved + half


@pytest.mark.parametrize(
    "counts",
    [(1_900, 20_000, 85, 100, 192, 200), (6_100, 20_000, 40, 50, 48, 50), (650, 1_000, 19, 20, 18, 20)],
)
def test_the_formula_of_the_paper(counts: tuple[int, int, int, int, int, int]) -> None:
    """Value and limits equal an independent writing of Lang and Reiczigel's to 1e-9."""
    made = class_balanced_prevalence(*counts)
    assert (made.value, made.low, made.high) == pytest.approx(lang_reiczigel(*counts), abs=1e-9)
    assert made.method == "lang-reiczigel"
    assert made.n_positives == counts[3]


def test_a_perfect_judge_of_many_cases_leaves_the_rate_as_it_is() -> None:
    """With 10,000 cases of each kind and no error the corrected rate is the judge's, with its own interval."""
    made = class_balanced_prevalence(2_000, 20_000, 10_000, 10_000, 10_000, 10_000)
    assert made.value == pytest.approx(0.1)
    assert (made.low, made.high) == pytest.approx((0.096, 0.104), abs=5e-4)


def test_at_one_per_cent_there_is_an_upper_bound_only() -> None:
    """A rate that the judge's own false alarms explain: no value, an upper bound, and the reason."""
    made = class_balanced_prevalence(1_150, 20_000, 40, 50, 48, 50)
    assert made.is_upper_bound_only
    assert made.low == 0
    assert made.high is not None and 0.02 < made.high < 0.1
    assert made.why_not.startswith("half of the interval is no less than the figure")
    assert "at most 0.0" in made.why_not


def test_few_found_targets_give_no_value() -> None:
    """Three finds say little of how often it finds one, though the interval is given."""
    made = class_balanced_prevalence(9_000, 20_000, 3, 3, 200, 200)
    assert made.is_upper_bound_only
    assert made.why_not.startswith("3 found targets can't give a prevalence figure: needs 2 more at least; at most")


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ((500, 20_000, 10, 20, 10, 20), "may be no better than chance"),
        ((500, 20_000, 12, 20, 12, 20), "may be no better than chance"),
        ((500, 20_000, 2, 50, 5, 50), "is inverted"),
        ((500, 20_000, 0, 0, 20, 20), "no calibration case is the target"),
        ((500, 20_000, 20, 20, 0, 0), "every calibration case is the target"),
        ((0, 0, 20, 20, 20, 20), "nothing was judged"),
        ((0, 20_000, 90, 100, 160, 200), "more rarely than on calibration cases that are not the target"),
        ((20_000, 20_000, 60, 100, 199, 200), "more often than on those of the target"),
    ],
)
def test_what_can_t_be_corrected_says_why(counts: tuple[int, int, int, int, int, int], why: str) -> None:
    """No better than chance, turned round, an empty kind, a calibration set that everything contradicts."""
    made = class_balanced_prevalence(*counts)
    assert made.value is None and made.low is None and made.high is None
    assert why in made.why_not


def test_parts_above_their_whole_are_an_error() -> None:
    """As are counts below 0."""
    for counts in ((2, 1, 0, 1, 0, 1), (0, 1, 2, 1, 0, 1), (0, 1, 0, 1, 2, 1), (-1, 1, 0, 1, 0, 1)):
        with pytest.raises(DataError):
            class_balanced_prevalence(*counts)


PART = st.integers(0, 60).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole)))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), PART, PART)
def test_whatever_is_counted_there_is_an_answer(
    judged: tuple[int, int], targets: tuple[int, int], others: tuple[int, int]
) -> None:
    """An interval within 0 and 1 that holds its value and is no point, or a reason."""
    made = class_balanced_prevalence(*judged, *targets, *others)
    assert made.is_known or made.why_not
    if made.low is not None and made.high is not None:
        assert 0 <= made.low < made.high <= 1
        assert made.value is None or made.low <= made.value <= made.high


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2_000), st.integers(30, 40), st.integers(30, 40))
def test_the_other_side_is_the_complement(flagged: int, found: int, quiet: int) -> None:
    """Targets and others exchanged, with verdicts turned round: one minus the same."""
    one = class_balanced_prevalence(flagged, 2_000, found, 40, quiet, 40)
    other = class_balanced_prevalence(2_000 - flagged, 2_000, quiet, 40, found, 40).complement()
    if one.low is not None and other.low is not None:
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


@pytest.mark.parametrize(("judge", "prevalence", "labels"), [((0.8, 0.95), 0.01, 50), ((0.8, 0.8), 0.05, 100)])
def test_the_truth_is_held(
    monkeypatch: pytest.MonkeyPatch, judge: tuple[float, float], prevalence: float, labels: int
) -> None:
    """Two of the benchmark's settings, in which judgy holds too rarely."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import judge_coverage

    setting = judge_coverage.Corrected("class-balanced", judge, prevalence, labels)
    rng = np.random.default_rng(1)
    made = []
    for seed in range(1000):
        everything, seen = setting.sample(rng)
        made.append(judge_coverage.agreement.ends(setting.ours(everything, seen, seed)))
    assert judge_coverage.held(made, prevalence)["coverage"] >= 0.93
