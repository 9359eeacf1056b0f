"""Rates from labels that stand for unequal parts of a population."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from scipy.stats import beta

from llmclf.errors import DataError
from llmclf.stats import (
    Confusion,
    Sampling,
    confusion,
    f_beta,
    flag_rate,
    precision,
    prevalence,
    recall,
    specificity,
)
from llmclf.types import Estimate


def items(*counts: tuple[int, int, int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.intp]]:
    """(positive, flagged, stratum) of (found, missed, false alarms, quiet) in each stratum."""
    cell = np.concatenate([np.repeat(np.arange(4), stratum) for stratum in counts])
    return cell < 2, cell % 2 == 0, np.repeat(np.arange(len(counts)), [sum(stratum) for stratum in counts])


def interval(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low, estimate.high


def width(estimate: Estimate) -> float:
    low, high = interval(estimate)
    return high - low


# --- what is estimated ------------------------------------------------------------------------------------------


def test_point_values_are_weighted_ratios() -> None:
    """Recall, precision and the rest are ratios of weighted totals, with the strata's true sizes."""
    positive, flagged, stratum = items((30, 10, 50, 10), (1, 3, 5, 191))
    table = confusion(positive, flagged, Sampling(stratum, np.array([200.0, 20_000.0])))
    w = 2.0, 100.0
    found, missed, alarm, quiet = (w[0] * a + w[1] * b for a, b in ((30, 1), (10, 3), (50, 5), (10, 191)))
    assert recall(table).value == pytest.approx(found / (found + missed))
    assert precision(table).value == pytest.approx(found / (found + alarm))
    assert specificity(table).value == pytest.approx(quiet / (quiet + alarm))
    assert prevalence(table).value == pytest.approx((found + missed) / 20_200)
    assert flag_rate(table).value == pytest.approx((found + alarm) / 20_200)
    assert f_beta(table, 1).value == pytest.approx(2 * found / (2 * found + missed + alarm))
    assert f_beta(table).value == pytest.approx(5 * found / (5 * found + 4 * missed + alarm))
    assert recall(table).n_positives == 44
    assert recall(table).largest_weight_share == pytest.approx(100 / 480)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(sum), st.integers(0, 5))
def test_intervals_enclose_values_between_0_and_1(counts: tuple[int, int, int, int], seed: int) -> None:
    """Whatever was counted, an interval lies between 0 and 1 and holds its value; too little gives none."""
    positive, flagged, _ = items(counts)
    table = confusion(positive, flagged, Sampling.simple(len(positive)), draws=200, seed=seed)
    for rate in (recall, precision, specificity, prevalence, flag_rate, f_beta):
        got = rate(table)
        if got.is_known:
            low, high = interval(got)
            assert 0 <= low <= got.value <= high <= 1  # type: ignore[operator]
        else:
            assert got.why_not


def test_one_stratum_is_the_mean_of_the_exact_betas() -> None:
    """With one stratum, recall's draws are the mean of four betas with 0 or 1 unseen item on either side."""
    positive, flagged, _ = items((14, 6, 10, 970))
    got = interval(recall(confusion(positive, flagged, Sampling.simple(1000), draws=60_000)))

    def below(x: float) -> float:
        return float(np.mean([beta.cdf(x, 14 + a, 6 + b) for a in (0, 1) for b in (0, 1)]))

    # an unseen positive is a Gamma(1) variate added to counts: so are the betas' parameters
    assert [below(got[0]), below(got[1])] == pytest.approx([0.025, 0.975], abs=0.003)


def test_nothing_missed_reaches_1_and_nothing_found_0() -> None:
    """No miss can't exclude a recall of 1, no find can't exclude 0."""
    all_found = confusion(*items((20, 0, 5, 500))[:2], Sampling.simple(525))
    none_found = confusion(*items((0, 20, 5, 500))[:2], Sampling.simple(525))
    assert interval(recall(all_found))[1] == 1.0 and interval(recall(all_found))[0] > 0.8
    assert interval(recall(none_found))[0] == 0.0 and interval(recall(none_found))[1] < 0.2


def test_an_unlabelled_rest_keeps_recall_open() -> None:
    """Nothing found among 200 of 95,000 does not say that nothing is there: recall may be far below 1."""
    positive, flagged, stratum = items((30, 0, 20, 0), (20, 0, 30, 0), (0, 2, 0, 98), (0, 0, 0, 200))
    got = recall(confusion(positive, flagged, Sampling(stratum, np.array([250.0, 750.0, 4000.0, 95000.0]))))
    assert got.value == pytest.approx(450 / 530)
    assert interval(got)[0] < 0.35


def test_a_census_stays_unsure_about_the_process() -> None:
    """Every item of a stratum labelled: the rate is of the process, so its interval does not close."""
    positive, flagged, stratum = items((12, 6, 2, 80))
    whole = recall(confusion(positive, flagged, Sampling(stratum, np.array([100.0]))))
    part = recall(confusion(positive, flagged, Sampling(stratum, np.array([100_000.0]))))
    assert width(whole) == pytest.approx(width(part), rel=0.02)
    assert width(whole) > 0.3


def test_same_seed_same_figures() -> None:
    """Figures follow from data and seed; another seed moves the ends by little."""
    positive, flagged, stratum = items((30, 10, 50, 10), (1, 3, 5, 191))
    sampling = Sampling(stratum, np.array([200.0, 20_000.0]))
    first, again, other = (recall(confusion(positive, flagged, sampling, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert interval(first) == pytest.approx(interval(other), abs=0.03)


# --- what can't be estimated ------------------------------------------------------------------------------------


def test_few_positives_give_an_interval_and_no_figure() -> None:
    """Five positives: no recall figure, how many more it needs, and the interval all the same."""
    got = recall(confusion(*items((3, 2, 10, 400))[:2], Sampling.simple(415)))
    assert got.value is None and got.n_positives == 5
    assert got.is_upper_bound_only
    low, high = interval(got)
    assert got.why_not.startswith("5 positives can't give a recall figure: needs 5 more at least; 95 % interval ")
    assert 0.1 < low < 0.3 and 0.85 < high < 0.99


def test_ten_positives_are_enough() -> None:
    """The least number is ten, and can be set otherwise."""
    table = confusion(*items((6, 4, 10, 400))[:2], Sampling.simple(420))
    assert recall(table).value == 0.6
    assert recall(table, least=11).value is None


def test_without_positives_recall_is_unknown_and_prevalence_has_an_upper_limit() -> None:
    """No positives among 300: nothing about recall, at most about 1 % prevalence."""
    table = confusion(*items((0, 0, 3, 297))[:2], Sampling.simple(300))
    assert recall(table) == Estimate.unknown("no positives: recall can't be known", n_positives=0, method="mid-p-gamma")
    assert recall(table).largest_weight_share is None
    low, high = interval(prevalence(table))
    assert prevalence(table).value is None
    assert low == 0.0 and 0.008 < high < 0.02


def test_precision_counts_flagged_items() -> None:
    """Precision needs ten flagged items; with none there is nothing to say."""
    few = confusion(*items((4, 20, 3, 400))[:2], Sampling.simple(427))
    none = confusion(*items((0, 20, 0, 400))[:2], Sampling.simple(420))
    assert precision(few).value is None
    assert "7 flagged items can't give a precision figure: needs 3 more" in precision(few).why_not
    assert precision(none).low is None and precision(none).why_not == "no flagged items: precision can't be known"


# --- failed items -----------------------------------------------------------------------------------------------


def failing() -> Confusion:
    """20 targets: 12 found, 4 missed, 4 failed; 100 others: 5 alarms, 85 quiet, 10 failed."""
    positive = np.arange(120) < 20
    flagged = np.isin(np.arange(120), [*range(12), *range(20, 25)])
    failed = np.isin(np.arange(120), [*range(16, 20), *range(110, 120)])
    return confusion(positive, flagged, Sampling.simple(120), failed=failed)


def test_failed_targets_are_misses_or_left_out() -> None:
    """Recall is given both ways, and a failed target always counts among the positives."""
    table = failing()
    assert recall(table).value == 12 / 20
    assert recall(table, failed="left_out").value == 12 / 16
    assert recall(table).n_positives == recall(table, failed="left_out").n_positives == 20


def test_failed_items_are_never_true_negatives() -> None:
    """Specificity and flag rate leave failed items out."""
    table = failing()
    assert specificity(table).value == 85 / 90
    assert flag_rate(table).value == 17 / 106
    assert prevalence(table).value == 20 / 120


def test_a_failed_item_is_failed_whatever_its_flag() -> None:
    """A flag on a failed item is not believed."""
    table = confusion([True] * 12, [True] * 12, Sampling.simple(12), failed=[True] + [False] * 11)
    assert recall(table).value == pytest.approx(11 / 12)


# --- sampling ---------------------------------------------------------------------------------------------------


def test_inclusion_probabilities_are_strata() -> None:
    """Two distinct probabilities are the two strata they came from."""
    positive, flagged, stratum = items((30, 10, 50, 10), (1, 3, 5, 191))
    sizes = np.array([200.0, 20_000.0])
    by_size = Sampling(stratum, sizes)
    by_chance = Sampling.weighted(np.where(stratum == 0, 0.5, 0.01))
    assert np.allclose(by_chance.weight, by_size.weight)
    one, other = (recall(confusion(positive, flagged, sampling)) for sampling in (by_size, by_chance))
    assert one.value == pytest.approx(other.value)
    assert width(one) == pytest.approx(width(other), rel=0.05)


@given(st.lists(st.floats(0.001, 1.0), min_size=6, max_size=60, unique=True))
def test_many_probabilities_make_five_classes_and_keep_their_weights(chances: list[float]) -> None:
    """Any number of probabilities gives at most five strata; every item keeps the weight 1 over its chance."""
    sampling = Sampling.weighted(chances)
    assert len(sampling.population) <= 5
    assert np.allclose(sampling.weight, 1 / np.array(chances))
    assert sampling.population.sum() == pytest.approx((1 / np.array(chances)).sum())


def test_impossible_samplings_are_refused_with_every_problem() -> None:
    """Unknown strata, unseen ones and ones with more items than they hold are listed together."""
    with pytest.raises(DataError) as caught:
        Sampling.stratified(["a", "b", "b", "x"], {"a": 10, "b": 1, "rest": 1000})
    assert len(caught.value.problems) == 3
    with pytest.raises(DataError, match="stratum 'a' is not in the design"):
        Sampling.stratified(["a"], {})
    for chances in ([0.5, 0.0], [1.2], []):
        with pytest.raises(DataError, match="above 0 and at most 1"):
            Sampling.weighted(chances)
    with pytest.raises(DataError, match="differ in length"):
        confusion([True], [True, False], Sampling.simple(2))
    with pytest.raises(DataError, match="differ in length"):
        Sampling.simple(3, ["a", "b"])


def test_a_part_of_a_sampling_stands_for_the_whole() -> None:
    """Items left out of a stratum are stood for by the others of it."""
    sampling = Sampling.stratified(["a", "a", "b", "b"], {"a": 10, "b": 100}, ["g", "g", "h", "i"])
    part = sampling.where(np.array([True, False, True, True]))
    assert part.weight.tolist() == [10.0, 50.0, 50.0]
    assert part.group is None  # nobody shares a group any more


# --- groups -----------------------------------------------------------------------------------------------------


def test_copies_do_not_narrow_an_interval() -> None:
    """Four copies of every item, as groups, leave the interval about as wide as without them."""
    positive, flagged, _ = items((20, 10, 10, 200))
    alone = recall(confusion(positive, flagged, Sampling.simple(240)))
    copied = np.repeat(np.arange(240), 4)
    grouped = recall(confusion(positive[copied], flagged[copied], Sampling.simple(960, copied)))
    careless = recall(confusion(positive[copied], flagged[copied], Sampling.simple(960)))
    assert width(careless) < 0.6 * width(alone)
    assert 0.95 * width(alone) < width(grouped) < 1.2 * width(alone)


def test_groups_of_one_change_nothing() -> None:
    """Groups that nobody shares give the very figures of no groups."""
    positive, flagged, _ = items((20, 10, 10, 200))
    plain = recall(confusion(positive, flagged, Sampling.simple(240)))
    assert recall(confusion(positive, flagged, Sampling.simple(240, list("abc") + list(range(237))))) == plain


# --- coverage ---------------------------------------------------------------------------------------------------

Rate = Callable[..., Estimate]


def covered(draw: Callable[[np.random.Generator], Confusion], truth: dict[Rate, float], reps: int) -> dict[str, float]:
    """Share of repetitions in which each rate's interval holds the truth."""
    rng = np.random.default_rng(8)
    held: dict[str, list[bool]] = {rate.__name__: [] for rate in truth}
    for _ in range(reps):
        table = draw(rng)
        for rate, value in truth.items():
            low, high = interval(rate(table))
            held[rate.__name__].append(low <= value <= high)
    return {name: float(np.mean(hits)) for name, hits in held.items()}


SIZES = np.array([250.0, 750.0, 4000.0, 95000.0])


@pytest.mark.parametrize(
    ("positives", "drawn"),
    [((150, 200, 100, 50), (50, 50, 100, 200)), ((100, 150, 100, 150), (100, 200, 500, 1200))],
    ids=["good", "leaky"],
)
def test_stratified_intervals_cover(positives: tuple[int, ...], drawn: tuple[int, ...]) -> None:
    """Where most misses lie in a hardly labelled rest, 95 % intervals hold the truth about 95 % of the time.

    The second is the setting in which Beta(k + 1/H, n - k + 1) covers .90: 1.9 positives expected in the rest.
    """
    rates, flags = np.array(positives) / SIZES, np.array([True, True, False, False])
    stratum = np.repeat(np.arange(4), drawn)

    def draw(rng: np.random.Generator) -> Confusion:
        return confusion(rng.random(len(stratum)) < rates[stratum], flags[stratum], Sampling(stratum, SIZES), draws=600)

    got = covered(draw, {recall: sum(positives[:2]) / 500, prevalence: 0.005}, 500)
    assert min(got.values()) > 0.925, got


def test_flags_in_every_stratum_cover() -> None:
    """Precision, specificity and flag rate hold too where a rare flag may hide in the rest."""
    positives = np.array([100, 150, 100, 150])
    found, alarms = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.3, 0.1, 0.01, 0.001])
    stratum = np.repeat(np.arange(4), (50, 50, 100, 200))
    hits, false = float(positives @ found), float((SIZES - positives) @ alarms)
    truth = {precision: hits / (hits + false), specificity: 1 - false / 99_500, flag_rate: (hits + false) / 100_000}

    def draw(rng: np.random.Generator) -> Confusion:
        positive = rng.random(len(stratum)) < (positives / SIZES)[stratum]
        flagged = rng.random(len(stratum)) < np.where(positive, found[stratum], alarms[stratum])
        return confusion(positive, flagged, Sampling(stratum, SIZES), draws=600)

    got = covered(draw, truth, 400)
    assert min(got.values()) > 0.92, got


def test_clustered_intervals_cover_and_careless_ones_do_not() -> None:
    """Turns of one dialogue are alike: with groups the intervals hold, without them they are far too narrow."""

    def draw(rng: np.random.Generator, *, grouped: bool = True) -> Confusion:
        group = np.repeat(np.arange(150), rng.integers(5, 16, 150))
        alike = [rng.beta(mean * 4, (1 - mean) * 4, 150)[group] for mean in (0.05, 0.7, 0.05)]
        positive = rng.random(len(group)) < alike[0]
        flagged = rng.random(len(group)) < np.where(positive, alike[1], alike[2])
        return confusion(positive, flagged, Sampling.simple(len(group), group if grouped else None), draws=600)

    truth: dict[Rate, float] = {recall: 0.7, prevalence: 0.05}
    got, careless = covered(draw, truth, 300), covered(lambda rng: draw(rng, grouped=False), truth, 150)
    assert min(got.values()) > 0.91, got
    assert careless["prevalence"] < 0.85, careless
