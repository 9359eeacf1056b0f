"""The parts of a report card: people as the ceiling, disagreeing cases, slices, money, corrected rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_sessions import FINGERPRINT, NO, YES, Row, card_of, made, rows, with_verdict

from llmclf.calibration.card import calibrate
from llmclf.stats import judged_prevalence
from llmclf.stats.class_balanced import class_balanced_prevalence
from llmclf.types import CANNOT_TELL, FAILED, Judgment

HAND = rows(found=16, missed=4, false=5, quiet=75)


# --- people ---------------------------------------------------------------------------------------


def pair(both: int, one: int, other: int, neither: int, verdict: str = "") -> list[Row]:
    """Cases of two people, by who says yes; the judge says as the first, or `verdict`; ana decides."""
    kinds = ((both, [YES, YES]), (one, [YES, NO]), (other, [NO, YES]), (neither, [NO, NO]))
    return [
        Row(said, verdict or said[0], said[0] if len(set(said)) > 1 else "")
        for number, said in kinds
        for _ in range(number)
    ]


def test_the_ceiling_of_two_people_is_reckoned_by_hand() -> None:
    """15 / 5 / 5 / 75: each finds 15 of the other's 20, positive agreement is .75; the judge is in ana's place."""
    card = card_of(pair(15, 5, 5, 75))
    ceiling = card.ceiling
    assert (ceiling.raters, ceiling.n) == (2, 100)
    assert ceiling.person.sensitivity.value == pytest.approx(0.75)
    assert ceiling.person.positive_agreement.value == pytest.approx(0.75)
    assert ceiling.agreement is not None and ceiling.agreement.positive.value == pytest.approx(0.75)
    ana, ben = ceiling.people
    assert ana.truth.sensitivity.value == 1.0
    assert ben.truth.sensitivity.value == pytest.approx(0.75)
    assert ana.judge.positive_agreement.value == 1.0 and ana.judge_kappa.value == 1.0
    assert ben.judge.positive_agreement.value == pytest.approx(0.75)
    assert ceiling.judge.positive_agreement.value == pytest.approx((2 * 35) / (2 * 35 + 10))


def test_a_judge_is_below_or_above_people_or_that_is_open() -> None:
    """By the interval of the difference in positive agreement with the same votes; or it can't be told."""
    people = pair(15, 5, 5, 75)
    like_them = [with_verdict(row, NO) if place < 6 else row for place, row in enumerate(people)]
    assert card_of(like_them).ceiling.judge_is == "cant_tell"
    assert card_of([with_verdict(row, NO) for row in people]).ceiling.judge_is == "below"
    torn = pair(10, 25, 25, 140)
    union = [with_verdict(row, YES if YES in row.said else NO) for row in torn]
    card = card_of(union)
    assert card.ceiling.judge_is == "above"
    assert any("above what people reach" in sentence for sentence in card.sentences)


def test_one_person_a_case_gives_no_ceiling() -> None:
    """It is said, and each person's share is still listed."""
    card = card_of(HAND)
    assert card.ceiling.why_not == "one person a case"
    assert "No ceiling: one person a case." in card.sentences
    assert card.ceiling.judge_is == ""
    assert card.ceiling.people[0].labels == 100


def test_the_vote_of_others_leaves_a_person_out() -> None:
    """Of three people each is held against the two others where these agree."""
    given = [Row([YES, YES, YES], YES)] * 12 + [Row([YES, YES, NO], YES)] * 4 + [Row([NO, NO, NO], NO)] * 40
    card = card_of(given, adjudicator="")
    ana, _, dan = card.ceiling.people
    assert ana.others.n == 52
    assert dan.others.n == 56 and dan.others.sensitivity.value == pytest.approx(12 / 16)


# --- disagreements, slices, money -------------------------------------------------------------------


def test_disagreeing_cases_stand_in_groups_with_both_reasons() -> None:
    """The commonest pair first, then by rule, then in the session's order; fifty are shown, every group some."""
    given = [
        *[Row([NO, NO], YES, rule="R2", reason="it looks made up")] * 60,
        *[Row([YES, YES], NO, rule="R1")] * 3,
        *[Row([NO, NO], YES)] * 2,
    ]
    card = card_of(given)
    found = card.disagreements
    assert [(group.truth, group.verdict, group.rule, group.n) for group in found.groups] == [
        (NO, YES, "R2", 60),
        (NO, YES, "", 2),
        (YES, NO, "R1", 3),
    ]
    assert (found.n, found.n_shown) == (65, 50)
    assert [len(group.shown) for group in found.groups] == [45, 2, 3]
    first = found.groups[0].shown[0]
    assert (first.case, first.reason) == ("c000", "it looks made up")
    assert [(said.name, said.label, said.rule, said.note) for said in first.people] == [
        ("ana", NO, "R2", "as the rule says"),
        ("ben", NO, "R2", "as the rule says"),
    ]


def test_a_slice_on_which_the_judge_is_worse_is_found() -> None:
    """On the phone it misses most; the other slices, and a key with too many values, are left alone."""
    phone, web = {"channel": "phone", "id": "x"}, {"channel": "web"}
    given = rows(found=6, missed=24, false=2, quiet=98, metadata=phone) + rows(
        found=28, missed=2, false=2, quiet=98, metadata=web
    )
    given = [replace(row, metadata={**(row.metadata or {}), "id": place}) for place, row in enumerate(given)]
    card = card_of(given)
    assert {(one.by, one.value) for one in card.slices} == {("channel", "phone"), ("channel", "web")}
    assert all(one.differs for one in card.slices)
    assert card.slices[0].rates.sensitivity.value == pytest.approx(0.2)
    assert any("channel = phone" in sentence for sentence in card.sentences)


def test_alike_slices_do_not_differ_and_small_ones_say_so() -> None:
    """Three alike parts: no sentence; with three positives there is an interval and no value."""
    given = [replace(row, metadata={"part": place % 3}) for place, row in enumerate(HAND)]
    assert not any(one.differs for one in card_of(given).slices)
    few = [replace(row, metadata={"part": place < 3}) for place, row in enumerate(HAND)]
    small = next(one for one in card_of(few).slices if one.value == "True")
    assert small.rates.sensitivity.value is None and "needs 7 more" in small.rates.sensitivity.why_not


def test_minutes_and_dollars_are_of_the_whole_session() -> None:
    """90 seconds a label and a decision, practice included, at $48 an hour; a judgment costs $0.002."""
    given = [Row([YES, NO], YES, decided=YES), Row([NO], NO), Row([NO], NO, split="practice")]
    spent = card_of(given).spent
    assert (spent.labels, spent.adjudications, spent.untimed) == (4, 1, 0)
    assert [spent.minutes, spent.adjudication_minutes] == pytest.approx([6.0, 1.5])
    assert spent.people_usd == pytest.approx(7.5 / 60 * 48)
    assert spent.judge_usd == pytest.approx(0.006)
    session, labelled, judgments = made(given)
    unpriced: list[Judgment] = [replace(judgments[0], cost_nano_usd=None), *judgments[1:]]
    assert calibrate(session, labelled, unpriced).usd is None


# --- correction ---------------------------------------------------------------------------------


def test_random_labels_and_a_judged_pool_give_the_post_stratified_rate() -> None:
    """The very figure of `judged_prevalence`, failed cases a verdict of their own."""
    given = [*HAND, Row([NO], None)]
    pool = {YES: 2_000, NO: 18_000, FAILED: 100}
    card = card_of(given, options={"judged": pool})
    verdicts = [row.verdict or FAILED for row in given]
    expected = judged_prevalence([row.said[0] == YES for row in given], verdicts, pool)
    assert card.prevalence == expected
    assert expected.value is not None and "corrected" in card.correction.how


def test_a_pool_that_was_not_judged_leaves_peoples_labels() -> None:
    """And the population of a session counts only for the judge that began it."""
    alone = card_of(HAND)
    assert alone.prevalence.value == pytest.approx(0.2)
    assert "people's labels alone" in alone.correction.how
    pool = {YES: 2_000, NO: 18_000}
    assert card_of(HAND, population=pool, fingerprint="0" * 64).prevalence == alone.prevalence
    own = card_of(HAND, population=pool, fingerprint=FINGERPRINT).prevalence
    assert own.value is not None and own.value < 0.2
    session, labelled, judgments = made(HAND, population=pool, fingerprint=FINGERPRINT)
    another = [replace(one, judge="another") for one in judgments]  # recorded judges may share a fingerprint
    assert calibrate(session, labelled, another).prevalence == alone.prevalence


def test_too_few_targets_leave_an_upper_bound() -> None:
    """With two targets among 200 labels the card says `at most`."""
    card = card_of(rows(found=1, missed=1, quiet=198))
    assert card.prevalence.is_upper_bound_only
    assert any(sentence.startswith("Of the pool, at most ") for sentence in card.sentences)


def test_class_balanced_labels_speak_within_a_class_only() -> None:
    """No precision, no rate without the judged pool; with it Lang and Reiczigel's."""
    given = rows(found=40, missed=10, stratum="targets") + rows(false=2, quiet=48, stratum="others")
    card = card_of(given, design="class_balanced", population={"targets": 90, "others": 20_000})
    assert card.sensitivity.value == pytest.approx(0.8)
    assert not card.precision.is_known and not card.prevalence.is_known
    assert "judge's verdicts on the whole pool" in card.prevalence.why_not
    pool = {YES: 1_200, NO: 18_800, CANNOT_TELL: 40}
    judged = card_of(given, design="class_balanced", options={"judged": pool})
    assert judged.prevalence == class_balanced_prevalence(1_200, 20_040, 40, 50, 48, 50)


def test_positive_agreement_of_a_class_balanced_set_is_not_the_pools() -> None:
    """.95 among halves, .09 where one of 200 is a target: only the pool's can calibrate, and the card says how."""
    given = rows(found=190, missed=10, false=10, quiet=190)
    alone = card_of(given, design="class_balanced")
    assert alone.state == "cant_tell" and alone.in_set.value == pytest.approx(0.95)
    assert not alone.positive_agreement.is_known
    assert "have the judge judge the whole pool, or draw by verdict" in alone.why
    assert any("drawn by label, positive agreement is 0.95" in sentence for sentence in alone.sentences)
    rare = card_of(given, design="class_balanced", options={"judged": {YES: 2_736, NO: 47_264}})
    assert rare.state != "calibrated" and "in a set drawn by label" in rare.why
    clean = rows(found=190, missed=10, false=2, quiet=198)
    common = card_of(clean, design="class_balanced", options={"judged": {YES: 7_555, NO: 42_445}})
    share = (7_555 / 50_000 - 0.01) / 0.94
    expected = 2 * share * 0.95 / (share + 7_555 / 50_000)
    assert common.positive_agreement.value == pytest.approx(expected)
    assert common.state == "calibrated"
    assert "positive agreement in the pool is at least" in common.why and "in a set drawn by label" in common.why


def test_failures_count_among_what_was_judged_and_among_the_labelled() -> None:
    """A judge that fails on 60 of 100 targets: the rate of the pool is corrected by what it found of all of them."""
    given = rows(found=36, missed=4, false=1, quiet=99) + [Row([YES], None)] * 60
    pool = {YES: 270, NO: 19_610, FAILED: 120}
    card = card_of(given, design="class_balanced", options={"judged": pool})
    assert card.prevalence == class_balanced_prevalence(270, 20_000, 36, 100, 99, 100)
    assert card.state == "cant_tell"


def test_at_failures_and_by_class_the_intervals_cover() -> None:
    """A judge that fails on half of the targets, 5 % of the pool: the intervals hold share and positive agreement."""
    prevalence, found, quiet = 0.05, 0.8, 0.99
    agreement = 2 * found / (1 + found + (1 - prevalence) * (1 - quiet) / (prevalence / 2))
    held = [0, 0]
    for seed in range(40):
        chance = np.random.default_rng(seed)
        truth = chance.random(20_000) < prevalence
        flagged = chance.random(20_000) < np.where(truth, found, 1 - quiet)
        failed = truth & (chance.random(20_000) < 0.5)
        picked = [chance.choice(np.flatnonzero(side), 150, replace=False) for side in (truth, ~truth)]
        names = (NO, YES)
        given = [
            Row([names[int(truth[i])]], None if failed[i] else names[int(flagged[i])]) for i in np.concatenate(picked)
        ]
        pool = {YES: int((flagged & ~failed).sum()), NO: int((~flagged & ~failed).sum()), FAILED: int(failed.sum())}
        card = card_of(given, design="class_balanced", options={"judged": pool})
        for place, (figure, real) in enumerate(((card.prevalence, prevalence), (card.positive_agreement, agreement))):
            held[place] += figure.low is not None and figure.high is not None and figure.low <= real <= figure.high
    assert min(held) >= 36


def test_known_labels_that_people_contradict_give_the_weights_of_the_pool() -> None:
    """One of 100 `others` is a target, and there are 19,900 of them: most targets are missed, not one of a hundred."""
    given = rows(found=95, missed=5, stratum="targets") + rows(quiet=99, missed=1, stratum="others")
    sizes = {"targets": 100, "others": 19_900}
    card = card_of(given, design="class_balanced", population=sizes, options={"judged": {YES: 300, NO: 19_700}})
    weighted = card_of(given, design="by_verdict", population=sizes)
    assert card.contradicted == 1 and not card.by_class
    assert card.sensitivity.value == weighted.sensitivity.value == pytest.approx(95 / (95 + 5 + 199))
    assert card.prevalence == weighted.prevalence and card.state == "cant_tell"
    assert any("contradict the known label of 1 case" in sentence for sentence in card.sentences)
    unknown = card_of(given, design="class_balanced", options={"judged": {YES: 300, NO: 19_700}})
    assert not unknown.sensitivity.is_known and "known labels" in unknown.why


def test_a_stratum_without_a_case_leaves_the_pool_unknown_unless_it_is_tiny() -> None:
    """Nothing stands for a tenth of the pool: no figure; for one case in a thousand: the rest speaks."""
    given = rows(found=60, false=40, stratum=YES)
    unseen = card_of(given, design="by_verdict", population={YES: 9_000, NO: 1_000})
    assert "no case to compare stands for 10.0% of the pool" in unseen.sensitivity.why_not
    assert unseen.state == "cant_tell"
    both = given + rows(missed=2, quiet=98, stratum=NO)
    tiny = card_of(both, design="by_verdict", population={YES: 1_000, NO: 19_000, FAILED: 20})
    assert tiny.sensitivity.is_known
