"""The judge in a person's place: the same votes on the same cases, and no likeness out of too few of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from made_sessions import NO, YES, Row, card_of

from llmclf.calibration.people import MARGIN
from llmclf.types import CANNOT_TELL


def session(n: int, seed: int, *, people: float, judge: float, positive: float = 0.3) -> list[Row]:
    """So many cases that two people label; all are right as often as said, each on its own."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < positive
    wrong = rng.random((n, 3)) < [1 - people, 1 - people, 1 - judge]
    names = [NO, YES]
    says = [[names[one] for one in row] for row in (truth[:, None] ^ wrong).astype(int)]
    return [
        Row([ana, ben], verdict, decided=names[one] if ana != ben else "")
        for one, (ana, ben, verdict) in zip(truth.astype(int), says, strict=True)
    ]


def test_a_worse_judge_is_never_within_people_for_want_of_cases() -> None:
    """People 95 % right and a judge 80 %, on 60 cases: below, or it can't be told."""
    found = Counter(card_of(session(60, seed, people=0.95, judge=0.8)).ceiling.judge_is for seed in range(25))
    assert set(found) <= {"below", "cant_tell"}
    assert found["below"] >= 5


def test_an_equal_judge_is_rarely_said_to_differ_and_within_only_on_enough_cases() -> None:
    """The interval of the difference holds 0, and lies within the margin once there are thousands of cases."""
    few = Counter(card_of(session(60, seed, people=0.95, judge=0.95)).ceiling.judge_is for seed in range(25))
    assert few["cant_tell"] >= 22
    card = card_of(session(1000, 1, people=0.95, judge=0.95))
    assert card.ceiling.judge_is == "within"
    difference = card.ceiling.difference
    assert difference.low is not None and difference.high is not None
    assert -MARGIN <= difference.low < 0 < difference.high <= MARGIN
    (said,) = [one for one in card.sentences if one.startswith("Held against the same votes")]
    assert "on 1,000 cases" in said and said.endswith("within 0.1 of what people reach among themselves.")
    (open_one,) = [
        one for one in card_of(session(60, 3, people=0.95, judge=0.95)).sentences if one.startswith("Held against")
    ]
    assert "too wide to tell whether it is below, within 0.1 of or above" in open_one


def test_the_difference_is_that_of_the_two_figures() -> None:
    """Judge less person, each against the votes of the other person."""
    ceiling = card_of(session(300, 2, people=0.9, judge=0.8)).ceiling
    own, theirs = ceiling.judge.positive_agreement.value, ceiling.person.positive_agreement.value
    assert own is not None and theirs is not None
    assert ceiling.difference.value == pytest.approx(own - theirs)


def test_the_interval_of_the_difference_holds() -> None:
    """Over sessions with a true difference of 0 it excludes 0 no more than now and then."""
    ends = [card_of(session(150, seed, people=0.85, judge=0.85)).ceiling.difference for seed in range(40, 80)]
    outside = sum(not (one.low is not None and one.high is not None and one.low <= 0 <= one.high) for one in ends)
    assert outside <= 5


def test_cases_of_one_group_are_drawn_together() -> None:
    """Five copies of every case in a group of its own say no more than one does."""
    once = session(100, 5, people=0.9, judge=0.85)
    copies = [replace(row, group=f"g{place}") for place, row in enumerate(once) for _ in range(5)]
    one, five = (card_of(rows).ceiling.difference for rows in (once, copies))
    assert one.low is not None and one.high is not None and five.low is not None and five.high is not None
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.35)


@pytest.mark.parametrize("nothing", [None, CANNOT_TELL])
def test_a_judge_that_leaves_out_the_hard_cases_is_held_against_people_on_the_others(nothing: str | None) -> None:
    """Where people differ it has no verdict: on the cases left people agree always, and it looks no better for it."""
    rows = [
        replace(row, verdict=nothing) if len(set(row.said)) > 1 else row
        for row in session(300, 5, people=0.85, judge=0.85)
    ]
    left = sum(row.verdict in (YES, NO) for row in rows)
    ceiling = card_of(rows).ceiling
    assert ceiling.n == 300 and ceiling.n_beside == left < 260
    assert ceiling.person.n == ceiling.judge.n == 2 * left
    assert ceiling.person.positive_agreement.value == 1.0
    assert ceiling.judge_is == "below"


def test_people_alone_are_held_against_each_other_on_every_case() -> None:
    """Without a judgment no case is left out, and there is nothing to tell of a judge."""
    rows = [replace(row, judged=False) for row in session(100, 5, people=0.9, judge=0.9)]
    ceiling = card_of(rows).ceiling
    assert ceiling.n_beside == 100 and ceiling.person.n == 200
    assert ceiling.judge_is == "" and ceiling.difference.value is None


def test_too_few_positive_votes_give_no_difference() -> None:
    """Nine cases that people vote positive are too few, and the reason says so."""
    rows = [Row([YES, YES], YES)] * 9 + [Row([NO, NO], NO)] * 60
    ceiling = card_of(rows).ceiling
    assert ceiling.judge_is == "" and ceiling.difference.why_not.startswith("needs 1 more case")
