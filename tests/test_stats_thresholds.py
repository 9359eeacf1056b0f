"""Thresholds: what flagging pays, certified recall against exact binomials, and by simulation."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import ndtr
from scipy.stats import binom

from llmclf.errors import DataError
from llmclf.stats import Sampling, dollars_per_1000
from llmclf.stats.scaling import logit, sigmoid
from llmclf.stats.stratified import confusion
from llmclf.stats.thresholds import (
    ALWAYS,
    NEVER,
    Scored,
    ScoreScaling,
    at_same_loss,
    bayes_threshold,
    certified_rank,
    certify,
    cheapest,
    fit_scaling,
    held_out_flags,
    positives_to_certify,
    within_flags,
)
from llmclf.types import Costs

APART = 2.2
shares = st.floats(0.02, 0.98)


def normal_scores(rng: np.random.Generator, positives: int, others: int, slope: float = 1.0) -> Scored:
    """Targets 2.2 standard deviations above others, on the logit."""
    positive = np.arange(positives + others) < positives
    z = rng.normal(size=len(positive)) + APART * positive
    return simple(positive, sigmoid(slope * z))


def simple(positive: np.ndarray, score: np.ndarray, groups: list[int] | None = None) -> Scored:
    """Items of a simple random sample, none failed."""
    n = len(positive)
    return Scored(np.asarray(positive, bool), np.asarray(score, float), np.zeros(n, bool), Sampling.simple(n, groups))


def true_recall(threshold: float) -> float:
    return float(1 - ndtr(logit([threshold])[0] - APART))


@settings(max_examples=60)
@given(
    st.just(0.0) | st.floats(1e-6, 200), st.just(0.0) | st.floats(1e-6, 20), st.just(0.0) | st.floats(1e-6, 10), shares
)
def test_a_flag_pays_from_the_bayes_threshold(missed: float, alarm: float, minutes: float, chance: float) -> None:
    """An item of any chance is cheaper flagged exactly where its chance reaches the threshold, as dollars count it."""
    costs = Costs(missed_usd=missed, false_alarm_usd=alarm, review_minutes=minutes, prevalence=chance)
    pair, sampling = [True, False], Sampling.simple(2)
    dollars = [
        dollars_per_1000(confusion(pair, [flag] * 2, sampling, draws=8), costs, least=1).value for flag in (True, False)
    ]
    assert dollars[0] is not None and dollars[1] is not None
    if not math.isclose(chance, bayes_threshold(costs), rel_tol=1e-6):
        assert (dollars[0] < dollars[1]) == (chance > bayes_threshold(costs))


def test_without_dollars_no_flag_pays() -> None:
    """Where neither a miss nor a false alarm costs anything, a review never pays."""
    assert bayes_threshold(Costs(missed_usd=0, false_alarm_usd=0)) == math.inf


def test_a_scaling_finds_the_truth() -> None:
    """From many balanced scores the probabilities at another prevalence are the true ones."""
    scaling = fit_scaling(normal_scores(np.random.default_rng(0), 20_000, 20_000, slope=0.5), 0.005)
    z = np.array([0.0, 2.0, 4.0])
    truth = sigmoid(APART * z - APART**2 / 2 + logit([0.005]))
    assert scaling.probabilities(sigmoid(0.5 * z)) == pytest.approx(truth, rel=0.12)


@settings(max_examples=40)
@given(st.floats(0.2, 5), st.floats(-8, 3), st.floats(1e-6, 0.01), shares)
def test_a_score_and_its_probability_go_both_ways(a: float, b: float, edge: float, chance: float) -> None:
    """The lowest score of a probability has that probability, or is an end of the scale."""
    scaling = ScoreScaling(a, b, 0.005, edge)
    score = scaling.score_at(chance)
    if score == ALWAYS:
        assert float(scaling.probabilities([1.0])[0]) < chance
    elif score == 0:
        assert float(scaling.probabilities([0.0])[0]) >= chance
    else:
        assert float(scaling.probabilities([score])[0]) == pytest.approx(chance, rel=1e-6)


def test_scores_of_0_and_1_do_not_bend_the_scaling() -> None:
    """A model that says 0 and 1 where it means .01 and .99 gets nearly the same scaling."""
    items = normal_scores(np.random.default_rng(1), 400, 400)
    rounded = simple(items.positive, np.round(np.clip(items.score, 0.01, 0.99), 2))
    said = np.where(rounded.score <= 0.01, 0.0, np.where(rounded.score >= 0.99, 1.0, rounded.score))
    one, other = fit_scaling(rounded, 0.01), fit_scaling(simple(items.positive, said), 0.01)
    assert other.a == pytest.approx(one.a, rel=0.1)


def test_scores_that_do_not_rank_are_refused() -> None:
    """Scores that fall with the target, of one class, or of nothing can't have a threshold."""
    items = normal_scores(np.random.default_rng(2), 50, 50)
    with pytest.raises(DataError, match="do not rise"):
        fit_scaling(simple(~items.positive, items.score), 0.01)
    with pytest.raises(DataError, match="targets and of others"):
        fit_scaling(simple(np.ones(5, bool), np.full(5, 0.5)), 0.01)


def test_within_flags_keeps_the_limit_and_is_the_cheapest_that_does() -> None:
    """With room it is the cheapest threshold; without, the lowest score above it that flags few enough."""
    items = normal_scores(np.random.default_rng(3), 100, 2000)
    costs = Costs(prevalence=0.01)
    best = cheapest(items, costs)

    def rate(threshold: float) -> float:
        flags = items.flagged(threshold)
        return 0.01 * flags[items.positive].mean() + 0.99 * flags[~items.positive].mean()

    assert within_flags(items, costs, 0.5) == best
    limited = within_flags(items, costs, 0.002)
    assert limited is not None and limited > best and rate(limited) <= 0.002
    below = items.score[(items.score < limited) & (items.score > best)].max()
    assert rate(float(below)) > 0.002
    assert within_flags(simple(items.positive, np.where(items.positive, 1.0, 0.9)), costs, 0.001) is None


def test_positives_to_certify() -> None:
    """The fewest positives are those of the table: 14, 29, 59, 299 at .95 and 11, 22, 45, 230 at .9."""
    wanted = (0.8, 0.9, 0.95, 0.99)
    assert [positives_to_certify(share, 0.95) for share in wanted] == [14, 29, 59, 299]
    assert [positives_to_certify(share, 0.9) for share in wanted] == [11, 22, 45, 230]


@settings(max_examples=60)
@given(st.integers(1, 400), st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_the_rank_is_exact(positives: int, recall: float, confidence: float) -> None:
    """The certified rank is the largest that the binomial distribution allows, and above 0 from the fewest on."""
    rank = certified_rank(positives, recall, confidence)
    assert rank == 0 or binom.sf(rank - 1, positives, 1 - recall) >= confidence - 1e-9
    assert rank == positives or binom.sf(rank, positives, 1 - recall) < confidence + 1e-9
    assert (rank > 0) == (positives >= positives_to_certify(recall, confidence))


@pytest.mark.parametrize("positives", [29, 50, 200])
def test_a_certified_recall_holds(positives: int) -> None:
    """In 95 of 100 samples the true recall at the certified threshold is .9 or more, and not by flagging everything."""
    rng = np.random.default_rng(positives)
    found = [certify(normal_scores(rng, positives, 0)).threshold for _ in range(1500)]
    recalls = np.array([true_recall(one) for one in found if one is not None])
    assert len(recalls) == 1500
    assert (recalls >= 0.9).mean() >= 0.938
    assert recalls.mean() < 0.98


@pytest.mark.parametrize("alike", [0.2, 1.0])
def test_it_holds_where_targets_come_in_groups(alike: float) -> None:
    """Groups of one to eight turns, alike or the very same: they count as fewer, and the certificate holds."""
    rng, held = np.random.default_rng(4), []
    for _ in range(400):
        group = np.repeat(np.arange(60), rng.integers(1, 9, 60))
        z = math.sqrt(alike) * rng.normal(size=60)[group] + math.sqrt(1 - alike) * rng.normal(size=len(group))
        found = certify(simple(np.ones(len(group), bool), sigmoid(z + APART), group.tolist()))
        assert found.positives < len(group) and found.threshold is not None
        held.append(true_recall(found.threshold) >= 0.9)
    assert np.mean(held) >= 0.93


def test_it_holds_where_labels_weigh_unequally() -> None:
    """Strata cut by another score, weights of 4 to 20: the lower bound on the fixed grid holds, and says something."""
    rng, recalls = np.random.default_rng(5), []
    for _ in range(30):
        positive = rng.random(20_000) < 0.05
        z = rng.normal(size=20_000) + APART * positive
        other = rng.normal(size=20_000) + 1.5 * positive
        stratum = np.searchsorted(np.quantile(other, [0.6, 0.9]), other)
        chosen = np.concatenate([rng.choice(np.flatnonzero(stratum == part), 500, replace=False) for part in range(3)])
        sizes = {str(part): float((stratum == part).sum()) for part in range(3)}
        sampling = Sampling.stratified([str(part) for part in stratum[chosen]], sizes)
        found = certify(Scored(positive[chosen], sigmoid(z[chosen]), np.zeros(1500, bool), sampling))
        recalls.append(1.0 if found.threshold is None else true_recall(found.threshold))
    assert np.mean(np.array(recalls) >= 0.9) >= 0.93
    assert np.mean(recalls) < 0.985


def test_what_is_missing_is_said() -> None:
    """Too few positives are counted; failed ones are lost to any threshold; a heavy label can't be ruled out."""
    few = certify(normal_scores(np.random.default_rng(6), 21, 100))
    assert (few.threshold, few.missing) == (None, 8)
    assert few.why_not == "needs 29 positives, there are 21: 8 more"
    lost = simple(np.ones(60, bool), np.where(np.arange(60) < 9, NEVER, 0.5))
    assert "9 of 60 positives failed" in certify(lost).why_not
    heavy = Sampling.stratified(["a"] * 60 + ["b"] * 40, {"a": 60, "b": 40_000})
    rare = Scored(np.arange(100) < 60, np.linspace(0.9, 0.1, 100), np.zeros(100, bool), heavy)
    assert "weigh unequally" in certify(rare).why_not


def test_held_out_flags_know_nothing_of_their_own_group() -> None:
    """A rule that learns the highest score of what it sees never flags that group's own highest."""
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(20), 3)
    items = simple(group % 2 == 0, rng.random(60), group.tolist())
    flags = held_out_flags(items, lambda part: float(part.score.max()), folds=20, repeats=3)
    best = group == group[np.argmax(items.score)]
    assert flags.shape == (3, 60)
    assert flags.any(axis=1).all() and not flags[:, ~best].any()
    with pytest.raises(DataError, match="two targets"):
        held_out_flags(simple(np.arange(9) < 1, rng.random(9)), lambda part: 0.5)


def test_the_best_of_the_sample_flatters_and_held_out_figures_do_not() -> None:
    """At 20 positives the sample's own best threshold looks cheaper than it is; its held-out cost does not."""
    rng, costs, own, held, real = np.random.default_rng(8), Costs(prevalence=0.05), [], [], []
    weight = np.array([costs.prevalence * costs.missed_usd, 0.95 * 3.2, 0.05 * 1.2])

    def spent(missed: float, alarms: float, found: float) -> float:
        return float(weight @ [missed, alarms, found])

    def sweep(part: Scored) -> float:
        return min(np.unique(part.score).tolist(), key=lambda level: counted(part, part.flagged(level)))

    def counted(part: Scored, flags: np.ndarray) -> float:
        found = flags[part.positive].mean()
        return spent(1 - found, flags[~part.positive].mean(), found)

    for _ in range(40):
        items = normal_scores(rng, 20, 100)
        threshold = sweep(items)
        own.append(counted(items, items.flagged(threshold)))
        held.append(np.mean([counted(items, flags) for flags in held_out_flags(items, sweep, repeats=2)]))
        found = true_recall(threshold)
        real.append(spent(1 - found, float(1 - ndtr(logit([threshold])[0])), found))
    assert np.mean(own) < 0.9 * np.mean(real)
    assert np.mean(held) == pytest.approx(np.mean(real), rel=0.12)


def test_the_same_loss_is_the_same_rank() -> None:
    """Losing the same share on the same items gives the threshold itself; on others the score at that share."""
    items = normal_scores(np.random.default_rng(9), 100, 50)
    threshold = float(np.sort(items.score[items.positive])[10])
    assert at_same_loss(items, threshold)(items) == threshold


def test_the_cheapest_threshold_is_nearly_the_best() -> None:
    """At some five positives Platt's threshold costs about 1.1 times the best one, the sample's own best over 1.2."""
    rng = np.random.default_rng(10)
    costs = Costs(missed_usd=200, false_alarm_usd=0, review_minutes=1, reviewer_usd_per_hour=60, prevalence=0.005)

    def spent(z: float) -> float:
        return float(0.005 * (1 - ndtr(z - APART)) + 0.995 * (1 - ndtr(z)) + 0.005 * 200 * ndtr(z - APART))

    best = min(spent(z) for z in np.linspace(-2, 5, 701))
    platt, sweep = [], []
    for _ in range(100):
        items = normal_scores(rng, 5, 995)
        platt.append(spent(float(logit([min(cheapest(items, costs), 1.0)])[0])) / best)
        order = np.argsort(-items.score)
        dollars = 1 + np.arange(1000) - 200 * np.cumsum(items.positive[order])
        sweep.append(spent(float(logit([items.score[order][int(np.argmin(dollars))]])[0])) / best)
    assert np.mean(platt) < 1.15 < np.mean(sweep)


def test_the_benchmark_reports_every_arm() -> None:
    """A smoke run prints one document with the figures of each way and whether the goals hold."""
    script = Path(__file__).parents[1] / "benchmarks" / "thresholds.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    document = json.loads(done.stdout)
    assert len(document["goals"]) == 4
    kept = [row["holds"] for name, row in document["figures"].items() if name.startswith("certified")]
    assert len(kept) == 9 and min(kept) > 0.7
