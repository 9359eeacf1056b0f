"""Curves of scores: every threshold's recall and precision, and whether probabilities are right."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from sweep_workspace import make_cell, make_dataset, make_task

from llmclf.evaluation.curves import ScoredItems, precision_recall_curve, reliability, scored_items
from llmclf.stats import Sampling
from llmclf.types import Design, Predictions, Stratum


def items_of(
    target: NDArray[np.bool_], score: NDArray[np.float64], sampling: Sampling | None = None, **more: object
) -> ScoredItems:
    values: dict[str, object] = {"answered": np.ones(len(target), bool), "chance": score, "chance_at": None, **more}
    drawn = sampling or Sampling.simple(len(target))
    return ScoredItems(target=target, score=score, sampling=drawn, knows_prevalence=True, **values)  # type: ignore[arg-type]


def test_every_threshold_is_a_point() -> None:
    """Recall and precision are those of flagging what scores as high; the curve begins at the first false alarm."""
    target = np.array([True, False, True, True, False, False])
    curve = precision_recall_curve(items_of(target, np.array([0.9, 0.8, 0.7, 0.7, 0.2, 0.1])), 0.5)
    assert [point.threshold for point in curve] == [0.8, 0.7, 0.2, 0.1]
    assert [point.recall for point in curve] == pytest.approx([1 / 3, 1, 1, 1])
    assert [point.precision for point in curve] == pytest.approx([0.5, 0.75, 0.6, 0.5])


def test_precision_is_projected_and_failed_targets_are_missed() -> None:
    """At a prevalence of its own; a target without an answer can't be found at any threshold."""
    target = np.array([True, True, False, False])
    answered = np.array([True, False, True, True])
    items = items_of(target, np.array([0.9, np.nan, 0.95, 0.1]), answered=answered)
    first, second, last = precision_recall_curve(items, 0.01)
    assert (first.recall, second.recall, last.recall) == (0, 0.5, 0.5)
    assert second.precision == pytest.approx(0.01 / (0.01 + 0.99 * 0.5))
    assert last.precision == pytest.approx(0.01)


def test_weights_count() -> None:
    """An item that stands for nine others moves the curve as ten items would."""
    strata = ["light", "heavy", "light", "heavy"]
    sampling = Sampling.stratified(strata, {"light": 2.0, "heavy": 18.0})
    target = np.array([True, True, False, False])
    curve = precision_recall_curve(items_of(target, np.array([0.9, 0.3, 0.8, 0.1]), sampling), 0.1)
    assert curve[0].recall == pytest.approx(0.1)
    assert curve[0].precision == pytest.approx(0.1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=2, max_size=400), st.integers(2, 30))
def test_a_thinned_curve_keeps_its_ends(rows: list[tuple[bool, int]], most: int) -> None:
    """It has no more points than asked for, thresholds fall, recall rises, and its ends are those of the whole."""
    target = np.array([truth for truth, _ in rows])
    items = items_of(target, np.array([score / 40 for _, score in rows]))
    whole, thin = precision_recall_curve(items, 0.01, most=10_000), precision_recall_curve(items, 0.01, most=most)
    assert len(thin) <= most
    if not 0 < target.sum() < len(target):
        assert whole == thin == ()
        return
    assert (thin[0], thin[-1]) == (whole[0], whole[-1])
    assert set(thin) <= set(whole)
    assert all(one.threshold > other.threshold for one, other in itertools.pairwise(thin))
    assert all(one.recall <= other.recall for one, other in itertools.pairwise(thin))


def test_right_probabilities_lie_on_the_line() -> None:
    """The interval of each bin's share holds the mean probability where that is the chance of a target."""
    rng = np.random.default_rng(5)
    held = []
    for seed in range(30):
        chance = rng.beta(0.3, 6, 1500)
        bins = reliability(items_of(rng.random(1500) < chance, chance), seed=seed)
        assert sum(one.items for one in bins) == 1500
        assert len(bins) == 8
        held += [one.share.low <= one.probability <= one.share.high for one in bins]  # type: ignore[operator]
    assert np.mean(held) >= 0.92


def test_rare_targets_fill_more_than_one_bin() -> None:
    """Bins are cut where probabilities tell something: the upper ones are small, and hold targets."""
    rng = np.random.default_rng(2)
    chance = np.where(rng.random(4000) < 0.02, rng.uniform(0.2, 0.9, 4000), 0.001)
    bins = reliability(items_of(rng.random(4000) < chance, chance))
    assert len(bins) >= 5
    assert [one.probability for one in bins] == sorted(one.probability for one in bins)
    assert bins[0].items > 3000 > 100 > bins[-1].items


def test_another_prevalence_is_allowed_for() -> None:
    """In a set with more targets than production, probabilities that hold at production's are not called too low."""
    rng = np.random.default_rng(4)
    target = np.arange(2000) % 2 == 0  # half of the set; the probabilities are for a tenth
    signal = rng.normal(size=2000) + 2.0 * target
    odds = np.exp(2.0 * signal - 2.0) * 0.1 / 0.9
    items = items_of(target, odds / (1 + odds), chance_at=0.1)
    for one in reliability(replace(items, knows_prevalence=False)):
        if one.share.value is not None:
            assert one.share.low is not None and one.share.high is not None
            assert one.share.low * 0.8 <= one.probability <= one.share.high * 1.2


def test_scores_are_read_from_predictions() -> None:
    """Failed items have none, a prediction without a score empties the curve, and the design's weights are taken."""
    design = Design("stratified", (Stratum("a", 100, 60),))
    plain = make_dataset(design=design)
    dataset = replace(plain, examples=tuple(replace(one, stratum="a") for one in plain.examples))
    predictions = make_cell("words", dataset, missed=2, failed=3).predictions
    items = scored_items(predictions, dataset, make_task())
    assert items.has_scores
    assert int((~items.answered).sum()) == 3
    assert items.sampling.weight[0] == pytest.approx(100 / 60)
    assert reliability(items) == ()
    silent = Predictions([replace(predictions[0], score=None), *predictions[1:]])
    assert precision_recall_curve(scored_items(silent, dataset, make_task()), 0.01) == ()
