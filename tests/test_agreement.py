"""How far raters agree: values against textbooks, plain loops and scikit-learn; intervals or a reason for anything."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from llmclf.errors import DataError
from llmclf.stats import Agreement, pair_agreement, panel_agreement
from llmclf.stats.agreement_values import (
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    observed_agreement,
    pair_table,
    specific_agreement,
)
from llmclf.types import Estimate

FIGURES = ("observed", "kappa", "alpha", "ac1", "positive", "negative")
FOUR_CODERS = """
1 1 . 1 / 2 2 3 2 / 3 3 3 3 / 3 3 3 3 / 2 2 2 2 / 1 2 3 4
4 4 4 4 / 1 1 2 1 / 2 2 2 2 / . 5 5 5 / . . 1 1 / . . 3 .
"""
"""Krippendorff's (2011) four coders of twelve units, which Gwet (2014) takes over."""
FLEISS = """
0 0 0 0 14 / 0 2 6 4 2 / 0 0 3 5 6 / 0 3 9 2 0 / 2 2 8 1 1
7 7 0 0 0 / 3 2 6 3 0 / 2 5 3 2 2 / 6 5 2 1 0 / 0 2 2 3 7
"""
"""Ten subjects, fourteen raters, five categories: how many raters said each."""


def rows(text: str) -> list[list[str]]:
    return [row.split() for line in text.strip().splitlines() for row in line.split("/")]


def coders() -> np.ndarray:
    return np.array([[-1 if vote == "." else int(vote) - 1 for vote in row] for row in rows(FOUR_CODERS)])


def figures(found: Agreement) -> list[Estimate]:
    return [getattr(found, name) for name in FIGURES]


def pair_of(table: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Two raters' codes from the table of what they said."""
    counts = np.array(table)
    one, other = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), len(counts))
    return one, other


# --- values -------------------------------------------------------------------------------------------------------


def test_the_four_coders_of_the_textbooks() -> None:
    """Krippendorff: alpha .743 nominal and .815 ordinal; Gwet (irrCAC): Fleiss .76117, AC1 .77544, observed .81818."""
    votes = coders()
    assert krippendorff_alpha(votes, 5) == pytest.approx(0.7434210526315789, abs=1e-9)
    assert krippendorff_alpha(votes, 5, ordinal=True) == pytest.approx(0.815, abs=5e-4)
    assert fleiss_kappa(votes, 5) == pytest.approx(0.76117, abs=5e-6)
    assert gwet_ac1(votes, 5) == pytest.approx(0.77544, abs=5e-6)
    assert observed_agreement(votes, 5) == pytest.approx(9 / 11, abs=1e-9)


def test_fleiss_own_example_has_point_21() -> None:
    """Fleiss' kappa of fourteen raters is .210, from an agreement of .378 and chance of .213."""
    counts = np.array(rows(FLEISS), int)
    votes = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert observed_agreement(votes, 5) == pytest.approx(0.378, abs=5e-4)
    assert fleiss_kappa(votes, 5) == pytest.approx(0.210, abs=5e-4)


def test_cohen_by_hand() -> None:
    """20 both yes, 5 and 10 apart, 15 both no: observed .7, chance .5, kappa .4; 2a/(2a+b+c) = 40/55 and 30/45."""
    one, other = pair_of([[15, 10], [5, 20]])
    votes = np.stack([one, other], axis=1)
    assert cohen_kappa(one, other, 2) == pytest.approx(0.4)
    assert specific_agreement(votes, 2, [1]) == pytest.approx(40 / 55)
    assert specific_agreement(votes, 2, [0]) == pytest.approx(30 / 45)


@pytest.mark.parametrize(
    ("prevalence", "observed", "kappa", "ac1", "positive"),
    [
        (0.5, 0.85, 0.70, 0.71, 0.83),
        (0.1, 0.94, 0.67, 0.93, 0.71),
        (0.05, 0.95, 0.57, 0.94, 0.59),
        (0.01, 0.96, 0.25, 0.96, 0.27),
        (0.005, 0.96, 0.15, 0.96, 0.17),
    ],
)
def test_ac1_is_blind_to_a_rare_target(
    prevalence: float, observed: float, kappa: float, ac1: float, positive: float
) -> None:
    """Two raters of sensitivity .85, specificity .98: positive agreement and kappa fall with the target, AC1 rises."""
    items, found, quiet = 100_000, 0.85, 0.98
    of_target = np.array([(1 - found) ** 2, found * (1 - found), found * (1 - found), found**2])
    of_other = np.array([quiet**2, quiet * (1 - quiet), quiet * (1 - quiet), (1 - quiet) ** 2])
    table = np.rint(items * (prevalence * of_target + (1 - prevalence) * of_other)).astype(int).reshape(2, 2)
    one, other = pair_of(table.tolist())
    votes = np.stack([one, other], axis=1)
    got = (
        observed_agreement(votes, 2),
        cohen_kappa(one, other, 2),
        gwet_ac1(votes, 2),
        specific_agreement(votes, 2, [1]),
    )
    assert got == pytest.approx((observed, kappa, ac1, positive), abs=0.006)


def plain_alpha(votes: np.ndarray, ordinal: bool) -> float:
    """Krippendorff's alpha by loops over pairs of votes."""
    units = [[vote for vote in row if vote >= 0] for row in votes.tolist()]
    units = [unit for unit in units if len(unit) > 1]
    every = [vote for unit in units for vote in unit]

    def apart(one: int, other: int) -> float:
        if not ordinal:
            return float(one != other)
        low, high = sorted((one, other))
        between = sum(every.count(code) for code in range(low, high + 1))
        return (between - (every.count(low) + every.count(high)) / 2) ** 2

    seen = sum(sum(apart(*pair) for pair in permutations(unit, 2)) / (len(unit) - 1) for unit in units)
    chance = sum(apart(*pair) for pair in permutations(every, 2))
    return 1 - (len(every) - 1) * seen / chance


def plain_gwet(votes: np.ndarray, categories: int) -> tuple[float, float]:
    """Fleiss' kappa and AC1 by Gwet's formulas, item by item."""
    units = [[vote for vote in row if vote >= 0] for row in votes.tolist()]
    same = [
        sum(unit.count(code) * (unit.count(code) - 1) for code in range(categories)) / (len(unit) * (len(unit) - 1))
        for unit in units
        if len(unit) > 1
    ]
    shares = [np.mean([unit.count(code) / len(unit) for unit in units if unit]) for code in range(categories)]
    agreed, chance = float(np.mean(same)), sum(share**2 for share in shares)
    blind = sum(share * (1 - share) for share in shares) / (categories - 1)
    return float((agreed - chance) / (1 - chance)), float((agreed - blind) / (1 - blind))


VOTES = arrays.arrays(np.int64, st.tuples(st.integers(0, 12), st.integers(0, 5)), elements=st.integers(-1, 2))


@settings(max_examples=60, deadline=None)
@given(VOTES.filter(lambda votes: any(len(set(row[row >= 0].tolist())) > 1 for row in votes)), st.booleans())
def test_plain_loops_give_the_same(votes: np.ndarray, ordinal: bool) -> None:
    """Alpha, Fleiss' kappa and AC1 with missing votes equal an independent computation to 1e-9."""
    kappa, ac1 = plain_gwet(votes, 3)
    assert krippendorff_alpha(votes, 3, ordinal=ordinal) == pytest.approx(plain_alpha(votes, ordinal), abs=1e-9)
    assert fleiss_kappa(votes, 3) == pytest.approx(kappa, abs=1e-9)
    assert gwet_ac1(votes, 3) == pytest.approx(ac1, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40))
def test_cohen_is_scikit_learn_s(pairs: list[tuple[int, int]]) -> None:
    """Plain and quadratic kappa equal `cohen_kappa_score` to 1e-9 wherever that has one."""
    from sklearn.metrics import cohen_kappa_score

    one, other = zip(*pairs, strict=True)
    if len({*one, *other}) == 1:
        assert cohen_kappa(one, other, 4) is None
        return
    labels = [0, 1, 2, 3]
    assert cohen_kappa(one, other, 4) == pytest.approx(cohen_kappa_score(one, other, labels=labels), abs=1e-9)
    weighted = cohen_kappa_score(one, other, labels=labels, weights="quadratic")
    assert cohen_kappa(one, other, 4, ordinal=True) == pytest.approx(weighted, abs=1e-9)


def test_what_has_no_value_is_none() -> None:
    """One thing said by all, no votes at all, a category that nobody says: None, and AC1 where it has a value."""
    same = np.ones((5, 3), int)
    assert cohen_kappa([1, 1], [1, 1], 2) is None
    assert fleiss_kappa(same, 2) is None
    assert krippendorff_alpha(same, 2) is None
    assert specific_agreement(same, 2, [0]) is None
    assert gwet_ac1(same, 2) == 1.0
    for votes in ([], [[]], [[-1, -1]], [[1, -1], [-1, 0]]):
        assert observed_agreement(votes, 2) is None
        assert krippendorff_alpha(votes, 2) is None
        assert gwet_ac1(votes, 2) is None


def test_items_that_one_rater_left_out_are_not_counted() -> None:
    """A pair's table holds what both labelled."""
    assert pair_table([0, 1, -1, 1], [0, 1, 1, -1], 2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: pair_agreement([0, 1], [0], 2, [1]),
        lambda: pair_agreement([0, 2], [0, 1], 2, [1]),
        lambda: pair_agreement([0, -2], [0, 1], 2, [1]),
        lambda: panel_agreement([[0.5, 1.0]], 2, [1]),
        lambda: panel_agreement([0, 1], 2, [1]),
        lambda: panel_agreement([[0, 1]], 2, []),
        lambda: panel_agreement([[0, 1]], 2, [0, 1]),
        lambda: panel_agreement([[0, 1]], 2, [2]),
        lambda: panel_agreement([[0, 0]], 1, [0]),
        lambda: panel_agreement([[0, 1]], 2, [1], groups=["a", "b"]),
        lambda: cohen_kappa([0, 1], [0], 2),
    ],
)
def test_misuse_is_an_error(bad: object) -> None:
    """Codes outside their range, lengths that differ, targets that are none or all."""
    with pytest.raises(DataError):
        bad()  # type: ignore[operator]


# --- with intervals -----------------------------------------------------------------------------------------------


def test_below_ten_items_with_a_positive_vote_nothing_is_said_of_the_positive() -> None:
    """The reason counts what is missing; observed agreement and AC1 are still there."""
    one, other = pair_of([[80, 2], [2, 3]])
    found = pair_agreement(one, other, 2, [1])
    assert found.positive.why_not == "needs 3 more items with a positive vote"
    assert found.kappa.why_not == found.alpha.why_not == found.positive.why_not
    assert not found.kappa.is_known and found.kappa.low is None
    assert found.observed.value == pytest.approx(83 / 87)
    assert found.negative.is_known and found.ac1.is_known
    assert found.positive.n_positives == 7
    nine = pair_agreement(*pair_of([[80, 2], [2, 5]]), 2, [1])
    assert nine.positive.why_not == "needs 1 more item with a positive vote"
    ten = pair_agreement(*pair_of([[80, 2], [2, 6]]), 2, [1])
    assert ten.positive.value == pytest.approx(12 / 16)
    other_side = pair_agreement(*pair_of([[6, 1], [2, 80]]), 2, [1])
    assert other_side.kappa.why_not == "needs 1 more item with a negative vote"
    assert other_side.positive.is_known


def test_constant_raters_and_no_overlap_have_an_answer() -> None:
    """Where one thing is all that is said, or nobody labelled the same item, the reason stands in the estimate."""
    constant = pair_agreement([0] * 50, [0] * 50, 2, [1])
    assert constant.kappa.why_not == "needs 10 more items with a positive vote"
    assert constant.observed.value == 1.0
    assert constant.observed.low is not None and 0.9 < constant.observed.low < 1
    one_sided = pair_agreement([0] * 50, [1] * 50, 2, [1])
    assert one_sided.kappa.value == 0.0
    assert one_sided.positive.value == 0.0
    apart = panel_agreement([[1, -1, -1], [-1, 0, -1], [-1, -1, 1]], 2, [1])
    assert (apart.n, apart.raters) == (0, 3)
    assert {one.why_not for one in figures(apart)} == {"no item has two votes"}
    assert panel_agreement([[1], [0]], 2, [1]).n == 0
    assert panel_agreement([], 2, [1]).raters == 0


def test_raters_who_always_agree_may_yet_differ() -> None:
    """All of 40 items agreed on is no proof: the interval ends at 1 and begins below it, for two raters and many."""
    for raters in (2, 3, 30):
        votes = np.repeat((np.arange(40) % 2)[:, None], raters, axis=1)
        for one in figures(panel_agreement(votes, 2, [1])):
            assert one.value == one.high == 1.0
            assert one.low is not None and 0.5 < one.low < 0.999


def test_two_columns_are_a_pair() -> None:
    """A panel of two is the pair, with Cohen's kappa, also where a third has not begun; of three it is Fleiss'."""
    rng = np.random.default_rng(1)
    votes = rng.integers(0, 2, (60, 3))
    absent = np.where(np.arange(3) == 1, -1, votes)
    assert panel_agreement(absent, 2, [1]) == pair_agreement(votes[:, 0], votes[:, 2], 2, [1])
    assert panel_agreement(votes[:, :2], 2, [1]) == pair_agreement(votes[:, 0], votes[:, 1], 2, [1])
    assert panel_agreement(votes[:, :2], 2, [1]).kappa.value == cohen_kappa(votes[:, 0], votes[:, 1], 2)
    assert panel_agreement(votes, 2, [1]).kappa.value == pytest.approx(fleiss_kappa(votes, 2))
    assert panel_agreement(votes, 2, [1]).kappa.method == "item-bootstrap"


def test_several_targets_are_one_side() -> None:
    """Of an ordinal scale's two best verdicts, one rater's first and another's second agree in being positive."""
    votes = np.array([[2, 3]] * 20 + [[0, 1]] * 20)
    found = panel_agreement(votes, 4, [2, 3], ordinal=True)
    assert found.positive.value == found.negative.value == 1.0
    assert found.observed.value == 0.0
    assert found.kappa.value == pytest.approx(cohen_kappa(votes[:, 0], votes[:, 1], 4, ordinal=True))
    assert found.alpha.value == pytest.approx(krippendorff_alpha(votes, 4, ordinal=True))


def test_groups_widen_the_intervals() -> None:
    """Sixty turns of six dialogues, alike within each, say less than sixty turns."""
    rng = np.random.default_rng(3)
    agreed = np.repeat(rng.random(12) < 0.6, 10)
    one = np.arange(120) % 2
    other = np.where(agreed, one, 1 - one)
    groups = np.repeat(np.arange(12), 10).tolist()
    alone, together = (pair_agreement(one, other, 2, [1], groups=each) for each in (None, groups))
    for narrow, wide in zip(figures(alone), figures(together), strict=True):
        assert narrow.value == wide.value
        assert width(wide) > 1.5 * width(narrow)
    assert together.kappa.method == "group-bootstrap"


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.int64, st.tuples(st.integers(0, 40), st.integers(0, 5)), elements=st.integers(-1, 2)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(([0], [1], [2], [0, 2])),
)
def test_whatever_is_said_there_is_an_answer(
    votes: np.ndarray, ordinal: bool, grouped: bool, targets: list[int]
) -> None:
    """Never a NaN or a warning: a value within its bounds and its interval, or a reason."""
    groups = [place // 3 for place in range(len(votes))] if grouped else None
    found = panel_agreement(votes, 3, targets, ordinal=ordinal, groups=groups, draws=200)
    for name, one in zip(FIGURES, figures(found), strict=True):
        if one.value is None:
            assert one.why_not and one.low is None and one.high is None
            continue
        assert one.low is not None and one.high is not None
        assert all(math.isfinite(end) for end in (one.low, one.value, one.high))
        least = 0.0 if name in ("observed", "positive", "negative") else -2.0 if name in ("kappa", "alpha") else -1.0
        assert least - 1e-9 <= one.low <= one.value <= one.high <= 1 + 1e-9
        assert one.low < one.high


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((2, 3, 5)), st.booleans())
def test_order_of_items_and_of_raters_does_not_matter(seed: int, raters: int, grouped: bool) -> None:
    """Items shuffled: the same to the last bit. Raters exchanged: the same values, intervals but for their draws."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, 80)
    votes = np.where(rng.random((80, raters)) < 0.7, truth[:, None], rng.integers(-1, 3, (80, raters)))
    groups = (np.arange(80) // 4).tolist()
    order, seats = rng.permutation(80), rng.permutation(raters)
    whole = panel_agreement(votes, 3, [2], groups=groups if grouped else None)
    shuffled = panel_agreement(votes[order], 3, [2], groups=[groups[place] for place in order] if grouped else None)
    assert shuffled == whole
    exchanged = panel_agreement(votes[:, seats], 3, [2], groups=groups if grouped else None)
    for one, other in zip(figures(whole), figures(exchanged), strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-12)
        assert other.low == pytest.approx(one.low, abs=0.02)
        assert other.high == pytest.approx(one.high, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations([0, 1, 2]))
def test_names_of_categories_do_not_matter(seed: int, names: list[int]) -> None:
    """Codes permuted with their targets: the same values on a nominal scale."""
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, 3, (60, 4))
    renamed = np.where(votes < 0, -1, np.array(names)[votes])
    one, other = panel_agreement(votes, 3, [2], draws=50), panel_agreement(renamed, 3, [names[2]], draws=50)
    for before, after in zip(figures(one), figures(other), strict=True):
        assert after.value == pytest.approx(before.value, abs=1e-12)


def test_an_ordinal_scale_turned_round_is_the_same() -> None:
    """From best to worst or from worst to best."""
    votes = np.random.default_rng(0).integers(0, 4, (60, 3))
    one = panel_agreement(votes, 4, [3], ordinal=True, draws=50)
    other = panel_agreement(3 - votes, 4, [0], ordinal=True, draws=50)
    assert one.kappa.value == pytest.approx(other.kappa.value)
    assert one.alpha.value == pytest.approx(other.alpha.value)


@pytest.mark.parametrize(("raters", "prevalence", "items"), [(2, 0.01, 200), (5, 0.01, 200), (30, 0.05, 200)])
def test_the_truth_is_held(monkeypatch: pytest.MonkeyPatch, raters: int, prevalence: float, items: int) -> None:
    """Three settings of the benchmark in which resampled items hold too rarely."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import agreement_coverage

    number = agreement_coverage.settings().index(agreement_coverage.Raters(prevalence, items, raters))
    row = agreement_coverage.measure(number, 150)
    for figure in ("kappa", "positive agreement"):
        assert row[figure]["llmclf"]["coverage"] >= 0.88
        assert row[figure]["llmclf"]["coverage"] >= row[figure]["bootstrap"]["coverage"] - 0.03


@pytest.mark.slow
def test_the_benchmark_reports_every_goal() -> None:
    """A smoke run prints one document: each design and each figure by every way, goals, whether they hold."""
    script = Path(__file__).parents[1] / "benchmarks" / "judge_coverage.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    document = json.loads(done.stdout)
    assert set(document) >= {"figures", "goals", "holds", "machine"}
    assert len(document["goals"]) == 22
    measured = document["figures"]
    assert len(measured["settings"]) == 81 + 54
    assert len(measured["agreement"]) == 27
    for row in measured["settings"]:
        assert row["llmclf"]["coverage"] >= 0.6  # fifteen repetitions tell no more
        assert row["judgy"] is None if row["failing"] else 0 <= row["judgy"]["coverage"] <= 1
    assert measured["judgy, random"]["worst"] < 0.7
    assert measured["judgy, class-balanced"]["worst"] < 0.9
