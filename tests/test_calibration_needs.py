"""How many more labels decide: the chances that a card states come true, in either direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_sessions import NO, YES, made, rows

from llmclf import stats
from llmclf.calibration.compared import compare
from llmclf.calibration.figures import rates_of
from llmclf.calibration.needs import Needs, needs_of
from llmclf.calibration.verdict import against_bar
from llmclf.types import Bar

BAR = Bar()


def needed(
    counts: tuple[int, int, int, int], *, pool: Mapping[str, int] | None = None, group: str = "", **how: Any
) -> Needs:
    """What it takes after so many found, missed, false and quiet cases."""
    given = rows(*counts)
    if group:
        given = [replace(row, group=f"{group}{place // 10}") for place, row in enumerate(given)]
    session, labelled, judgments = made(given, **how)
    return needs_of(compare(session, labelled, judgments, "test"), BAR, pool=pool)


def labels(rng: np.random.Generator, n: int, rates: tuple[float, float, float]) -> tuple[Any, Any]:
    """(targets or not, positive verdicts or not) at a prevalence, a sensitivity and a specificity."""
    prevalence, sensitivity, specificity = rates
    target = rng.random(n) < prevalence
    return target, rng.random(n) < np.where(target, sensitivity, 1 - specificity)


def state(target: Any, flagged: Any) -> str:
    """By the bar and the intervals of the report card."""
    rates = rates_of(target, flagged, stats.Sampling.simple(len(target)))
    ends = [
        (figure.low or 0.0, 1.0 if figure.high is None else figure.high, least)
        for _, figure, least in against_bar(rates, BAR)
    ]
    if any(high < least for _, high, least in ends):
        return "not_calibrated"
    passes = all(low >= least for low, _, least in ends) and rates.n_positives >= BAR.positives
    return "calibrated" if passes else "cant_tell"


def test_the_stated_chances_come_true() -> None:
    """Over judges good and bad: with as many more labels as asked for, each answer is as frequent as it said."""
    rng = np.random.default_rng(4)
    stated: list[tuple[float, float]] = []
    came: list[tuple[bool, bool]] = []
    while len(stated) < 130:
        rates = (float(rng.choice([0.1, 0.15, 0.3])), float(rng.uniform(0.5, 1)), float(rng.uniform(0.85, 1)))
        target, flagged = labels(rng, 200, rates)
        if not target.any() or state(target, flagged) != "cant_tell":
            continue
        cells = [int((target == t)[flagged == f].sum()) for t, f in ((1, 1), (1, 0), (0, 1), (0, 0))]
        told = needed((cells[0], cells[1], cells[2], cells[3]))
        if told.labels is None:
            continue
        assert told.calibrated is not None and told.not_calibrated is not None
        assert told.calibrated + told.not_calibrated >= 0.8
        more = labels(rng, told.labels, rates)
        then = state(np.concatenate([target, more[0]]), np.concatenate([flagged, more[1]]))
        stated.append((told.calibrated, told.not_calibrated))
        came.append((then == "calibrated", then == "not_calibrated"))
    told_of, true_of = np.array(stated), np.array(came, float)
    assert np.abs(told_of.mean(axis=0) - true_of.mean(axis=0)).max() < 0.1
    for side in (0, 1):
        likely = told_of[:, side] > 0.5
        assert likely.sum() > 25
        chance = 2 * 0.5 / likely.sum() ** 0.5  # by which so few sessions may miss what is true
        assert abs(told_of[likely, side].mean() - true_of[likely, side].mean()) < 0.1 + chance
        assert true_of[told_of[:, side] < 0.2, side].mean() < 0.2


def test_no_direction_is_foretold_by_figures_near_the_bar() -> None:
    """A sensitivity a little above the bar may turn out below it: both answers have their chance."""
    told = needed((17, 6, 6, 121))
    assert told.labels and told.positives and told.calibrated and told.not_calibrated
    assert told.calibrated > 0.1 and told.not_calibrated > 0.1
    expected = f"calibrated {told.calibrated:.0%}, not calibrated {told.not_calibrated:.0%}."
    assert told.sentence.startswith(
        f"About {told.labels:,} more labels ({told.positives:,} positives) decide it in 8 of"
    )
    assert told.sentence.endswith(expected)


def test_a_judge_that_looks_good_needs_few_labels_and_probably_passes() -> None:
    """Far above every bar little more is needed than the positives that are missing."""
    told = needed((9, 0, 0, 91))
    assert told.labels is not None and told.labels <= 40
    assert told.calibrated is not None and told.calibrated > 0.75


def test_no_sensible_number_is_said_to_be_none() -> None:
    """On so many labels so near the bar, what is left open is small and would take ages to close."""
    told = needed((2100, 900, 60, 8940))
    assert told.labels is None and told.positives is None
    assert told.sentence.startswith("No sensible number of labels decides it in 8 of 10 cases: with ")
    assert told.calibrated is not None and told.not_calibrated is not None
    assert told.calibrated + told.not_calibrated < 0.8


def test_cases_of_one_conversation_count_for_less() -> None:
    """Where ten cases share a group, more labels are needed than where each is its own."""
    alone, together = needed((40, 8, 6, 146)), needed((40, 8, 6, 146), group="g")
    assert alone.labels and (together.labels is None or together.labels > alone.labels)


def test_labels_drawn_by_class_need_the_pool_first() -> None:
    """Positive agreement is that of the pool: unknown without verdicts on it, and low where targets are rare."""
    counts = (80, 20, 5, 95)
    unknown = needed(counts, design="class_balanced")
    assert unknown.labels is None and unknown.calibrated is None
    assert "before the judge has judged all of it" in unknown.sentence
    rare = needed(counts, design="class_balanced", pool={YES: 1_075, NO: 18_925})  # half a percent is the target
    common = needed(counts, design="class_balanced", pool={YES: 8_500, NO: 11_500})  # half is
    assert rare.not_calibrated is not None and rare.not_calibrated > 0.6
    assert common.not_calibrated is not None and common.not_calibrated < 0.2


@pytest.mark.parametrize(
    ("counts", "why"), [((0, 0, 3, 50), "no target yet"), ((9, 3, 0, 0), "no other than"), ((0, 0, 0, 0), "nothing")]
)
def test_nothing_is_said_without_both_sides(counts: tuple[int, int, int, int], why: str) -> None:
    """Without a target, or without any other, there is nothing to draw from."""
    told = needed(counts)
    assert (told.labels, told.calibrated) == (None, None) and why in told.sentence
