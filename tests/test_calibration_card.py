"""The report card: figures by hand, what is left out, the verdict by the bar, corrections, simulations."""

from __future__ import annotations

import json
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from made_sessions import NO, VERDICTS, YES, Row, card_of, drawn_at_random, made, rows, with_verdict

from llmclf.calibration.card import calibrate
from llmclf.calibration.flag import Flag
from llmclf.calibration.report_page import card_page
from llmclf.calibration.session import Skip
from llmclf.errors import ConfigError, DataError
from llmclf.types import CANNOT_TELL, FAILED, Bar, Label, Rubric

HAND = rows(found=16, missed=4, false=5, quiet=75)


# --- figures by hand ---------------------------------------------------------------------------


def test_figures_of_a_table_that_is_reckoned_by_hand() -> None:
    """Sensitivity, specificity, precision, positive agreement and kappa of 16 / 4 / 5 / 75 are those on paper."""
    card = card_of(HAND)
    chance = (21 * 20 + 79 * 80) / 100**2
    by_hand = {
        "sensitivity": 16 / 20,
        "specificity": 75 / 80,
        "precision": 16 / 21,
        "positive_agreement": 32 / 41,
        "observed": 0.91,
        "kappa": (0.91 - chance) / (1 - chance),
    }
    for name, figure in by_hand.items():
        estimate = card.figures[name]
        assert estimate.value == pytest.approx(figure, abs=1e-12), name
        assert estimate.low is not None and estimate.high is not None
        assert estimate.low < figure < estimate.high
    assert card.confusion == ((75, 5), (4, 16))
    assert card.majority is not None
    assert (card.majority.verdict, card.majority.sensitivity, card.majority.kappa) == (NO, 0.0, 0.0)
    assert card.majority.accuracy.value == pytest.approx(0.8)
    assert (card.counts.cases, card.counts.labelled, card.counts.compared, card.counts.positives) == (100, 100, 100, 20)


def test_labels_drawn_by_verdict_are_weighted_to_the_pool() -> None:
    """100 of 1,000 flagged and 100 of 19,000 quiet cases: rates are those of the 20,000, the kappa that of the 200."""
    given = rows(found=60, false=40, stratum=YES) + rows(missed=2, quiet=98, stratum=NO)
    card = card_of(given, design="by_verdict", population={YES: 1_000, NO: 19_000})
    found, missed, false, quiet = 600, 380, 400, 0.98 * 19_000
    assert card.sensitivity.value == pytest.approx(found / (found + missed))
    assert card.specificity.value == pytest.approx(quiet / (quiet + false))
    assert card.precision.value == pytest.approx(0.6)
    assert card.positive_agreement.value == pytest.approx(2 * found / (2 * found + missed + false))
    assert card.prevalence.value == pytest.approx(980 / 20_000)
    assert card.observed.value == pytest.approx(158 / 200)
    assert card.enriched
    assert any("whose share of targets is not the pool's" in sentence for sentence in card.sentences)
    assert not any("more targets" in sentence for sentence in card.sentences)


def test_several_targets_of_a_scale_are_one_side() -> None:
    """On an ordinal scale with two bad grades, mixing these up is no miss, but is in the table."""
    bad, poor = Label("bad", "target", ""), Label("poor", "target", "")
    rubric = Rubric("grade", "How good?", (bad, poor, Label("good", "clean", "")), "ordinal")
    pairs = [("bad", "poor")] * 6 + [("poor", "poor")] * 6 + [("good", "good")] * 20 + [("bad", "good")] * 3
    card = card_of([Row([truth], said) for truth, said in pairs], rubric=rubric)
    assert card.sensitivity.value == pytest.approx(12 / 15)
    assert card.confusion == ((0, 6, 3), (0, 6, 0), (0, 0, 20))
    assert card.cells == {"found": 12, "missed": 3, "false_alarms": 0, "quiet": 20}
    assert card.observed.value == pytest.approx(26 / 35)
    assert [(group.truth, group.verdict, group.n) for group in card.disagreements.groups] == [
        ("bad", "poor", 6),
        ("bad", "good", 3),
    ]


def test_cases_of_one_conversation_widen_the_intervals() -> None:
    """Ten cases of each conversation that go right or wrong together say less than as many alone."""
    alone = card_of(HAND)
    together = card_of([replace(row, group=f"g{place // 10}") for place, row in enumerate(HAND)])
    assert together.sensitivity.value == alone.sensitivity.value
    assert together.sensitivity.low is not None and alone.sensitivity.low is not None
    assert together.sensitivity.low < alone.sensitivity.low


# --- what is left out ---------------------------------------------------------------------------


def test_failures_and_cannot_tell_are_counted_apart_and_the_worst_case_is_told() -> None:
    """They are no negatives: sensitivity is of the rest, and the card says what it is if all of them were wrong."""
    lost = [Row([YES], None), Row([YES], CANNOT_TELL), Row([NO], None), Row([NO], NO, judged=False)]
    card = card_of(HAND + lost)
    assert (card.failed, card.cannot_tell, card.counts.not_judged) == (2, 1, 1)
    assert card.counts.positives_left_out == 2
    assert card.sensitivity.value == pytest.approx(0.8)
    assert card.worst_case is not None
    assert card.worst_case.sensitivity.value == pytest.approx(16 / 22)
    assert card.worst_case.specificity.value == pytest.approx(75 / 82)
    assert any("4 of 104 labelled cases (4%) have no verdict" in sentence for sentence in card.sentences)
    assert any(
        sentence.startswith("Had the judge been wrong wherever it has no verdict") for sentence in card.sentences
    )


def test_few_negatives_left_out_do_not_matter() -> None:
    """One failure among a hundred negatives is named, without a worst case."""
    card = card_of([*HAND, Row([NO], None)])
    assert card.worst_case is None
    assert any("1 of 101 labelled cases" in sentence for sentence in card.sentences)


@pytest.mark.parametrize("verdict", [None, CANNOT_TELL])
def test_a_judge_without_a_verdict_on_what_is_hard_is_not_calibrated(verdict: str | None) -> None:
    """Perfect on 60 positives, silent on 300: the rates had it been wrong there decide, and `why` names both."""
    card = card_of(rows(found=60, quiet=400, false=4) + [Row([YES], verdict)] * 300)
    assert card.state == "cant_tell" and card.needs is None
    assert "300 of 360 positives have no verdict" in card.why
    assert "sensitivity would be 0.17 (0.13-0.21) (bar 0.70)" in card.why
    assert card_of(rows(found=360, quiet=400, false=4) + [Row([YES], verdict)] * 10).state == "calibrated"


def test_a_stratum_of_failures_is_not_too_small_to_count() -> None:
    """It is 1.5 % of the pool and holds two fifths of its targets, all of which the judge may miss."""
    given = (
        rows(found=95, false=5, stratum=YES) + rows(quiet=1500, stratum=NO) + [Row([YES], None, stratum=FAILED)] * 20
    )
    card = card_of(given, design="by_verdict", population={YES: 500, NO: 19_200, FAILED: 300})
    assert card.sensitivity.low is not None and card.sensitivity.low > 0.9
    assert card.state == "cant_tell" and "20 of 115 positives have no verdict" in card.why
    unlabelled = card_of(given[:-20], design="by_verdict", population={YES: 500, NO: 19_200, FAILED: 300})
    assert unlabelled.state == "cant_tell" and "no label stands for 300 cases of the pool" in unlabelled.why
    uncounted = card_of(given, design="by_verdict", population={YES: 500, NO: 19_200})
    assert uncounted.state == "cant_tell" and "does not count the stratum '(failed)'" in uncounted.why


def test_an_unseen_stratum_of_positive_verdicts_is_never_passed_over() -> None:
    """1.9 % of the pool was flagged and has no label: no rates, and all of it may be targets."""
    card = card_of(rows(quiet=400, stratum=NO), design="by_verdict", population={YES: 380, NO: 19_620})
    assert "no case to compare stands for 1.9% of the pool (stratum 'unsupported')" in card.sensitivity.why_not
    assert card.prevalence.value is None and card.prevalence.high is not None
    assert 0.019 < card.prevalence.high < 0.04
    given = rows(found=60, false=40, stratum=YES) + rows(missed=2, quiet=98, stratum=NO)
    alone = card_of(given, design="by_verdict", population={YES: 1_000, NO: 19_000}).prevalence
    more = card_of(given, design="by_verdict", population={YES: 1_000, NO: 19_000, FAILED: 200}).prevalence
    assert alone.high is not None and more.high == pytest.approx(alone.high * 20_000 / 20_200 + 200 / 20_200)


def test_practice_is_never_scored() -> None:
    """Wrong practice labels and judgments change nothing, and nobody can ask for them."""
    practice = [Row([YES], NO, split="practice")] * 20
    assert card_of(practice + HAND).figures["sensitivity"] == card_of(HAND).figures["sensitivity"]
    with pytest.raises(ConfigError, match="never scored"):
        card_of(HAND, options={"split": "practice"})


def test_ties_wait_for_adjudication_and_are_in_no_figure() -> None:
    """Two people who differ leave no truth until somebody decides."""
    tie = Row([YES, NO], YES)
    card = card_of([*HAND, tie, tie])
    assert (card.counts.waiting, card.counts.to_decide, card.counts.labelled) == (2, 2, 100)
    assert any("2 of 102 cases still wait for somebody (cara 2)" in sentence for sentence in card.sentences)
    assert card_of([*HAND, replace(tie, decided=YES)]).counts.positives == 21


def test_a_case_that_somebody_is_still_to_label_has_no_truth() -> None:
    """One of two has labelled 60 cases: they are in no figure, nothing is calibrated, and it is said who is awaited."""
    session, labelled, judgments = made([Row([YES, YES], YES)] * 60 + [Row([NO, NO], NO)] * 400)
    assert calibrate(session, labelled, judgments).state == "calibrated"
    half = [replace(one, annotations=one.annotations[:1]) for one in labelled[:20]] + labelled[20:]
    assert (half[0].truth, half[0].to_label, half[0].undecided) == (None, ("ben",), False)
    card = calibrate(session, half, judgments)
    assert (card.counts.to_label, card.counts.positives, card.state) == (20, 40, "cant_tell")
    assert "of 460 cases some still wait, 20 for a first label" in card.why
    assert card.next_step == "llmclf calibrate label S1 (to label: ben 20)"
    assert sum("still wait" in sentence for sentence in card.sentences) == 1
    skipped = [replace(one, skips=(Skip("ben", "unclear"),)) for one in half[:20]] + labelled[20:]
    assert (skipped[0].truth, skipped[0].truth_from) == (YES, "single")
    assert calibrate(session, skipped, judgments).state == "calibrated"
    hidden = calibrate(replace(session, hide_names=True), half, judgments)
    assert hidden.waits_for == {"A2": 20}


def test_a_vote_decides_nothing_where_somebody_else_is_to_decide() -> None:
    """2 : 1 under a named adjudicator is no truth before the decision; without an adjudicator it is."""
    given = [Row([YES, NO, NO], YES)] * 3 + [Row([YES, YES, YES], YES)] * 40 + [Row([NO, NO, NO], NO)] * 200
    card = card_of(given)
    assert (card.counts.to_decide, card.counts.labelled, card.state) == (3, 240, "cant_tell")
    assert "3 for the adjudicator's decision" in card.why and card.waits_for == {"cara": 3}
    assert card_of(given, adjudicator="").counts.labelled == 243
    decided = [replace(row, decided=YES) for row in given[:3]] + given[3:]
    assert card_of(decided).state == "calibrated"


def test_ties_that_nobody_decides_are_bounds_and_no_calibration() -> None:
    """60 ties beside 40 targets may all be targets, or none; two of 444 widen the interval and leave the state."""
    good = rows(found=40, quiet=400, false=2)
    card = card_of(good + [Row([YES, NO], NO)] * 60, adjudicator="")
    assert card.state == "cant_tell" and card.needs is None
    assert "60 of 502 cases have no truth" in card.why and "name an adjudicator" in card.why
    share = card.prevalence
    assert share.value is None and share.low is not None and share.high is not None
    assert share.low < 40 / 502 and share.high > 100 / 502
    assert any("cases without a truth may be it, or not" in sentence for sentence in card.sentences)
    few = card_of(good + [Row([YES, NO], NO)] * 2, adjudicator="")
    decided = card_of(good).prevalence
    assert few.state == "calibrated" and few.prevalence.value == decided.value
    assert few.prevalence.high is not None and decided.high is not None and few.prevalence.high > decided.high
    assert any(sentence.startswith("2 of 444 cases have no truth") for sentence in few.sentences)


def test_misses_that_all_annotators_share_are_told_of() -> None:
    """Where most truths are what two people both said; not where one person labels."""
    two = card_of([Row([YES, YES], YES)] * 40 + [Row([NO, NO], NO)] * 200 + [Row([YES, NO], YES, decided=YES)] * 5)
    said = "Only disagreements are adjudicated: misses that all annotators share count as truth."
    assert said in two.sentences
    assert not any("annotators share" in sentence for sentence in card_of(HAND).sentences)


def test_probes_and_repeats_are_paid_for_and_not_scored() -> None:
    """A swapped judgment that says something else leaves the figures alone; its price is in the sum."""
    session, labelled, judgments = made(HAND)
    probes = [replace(one, verdict=YES, probe="swapped") for one in judgments]
    repeats = [replace(one, verdict=YES, repeat=1) for one in judgments]
    card = calibrate(session, labelled, [*judgments, *probes, *repeats])
    assert card.specificity.value == pytest.approx(75 / 80)
    assert card.spent.judge_usd == pytest.approx(300 * 0.002)


# --- the verdict --------------------------------------------------------------------------------


def test_a_good_judge_on_enough_cases_is_calibrated() -> None:
    """All low ends reach the bar on more than ten positives."""
    card = card_of(rows(found=95, missed=5, false=5, quiet=395))
    assert card.state == "calibrated"
    assert card.why.startswith("Calibrated: positive agreement is at least 0.")
    assert card.needs is None


def test_a_judge_whose_high_end_is_below_the_bar_is_not_calibrated() -> None:
    """It says which figure and by how much."""
    card = card_of(rows(found=20, missed=80, false=5, quiet=395))
    assert card.state == "not_calibrated"
    assert "sensitivity is at most 0." in card.why and "(bar 0.70)" in card.why


def test_positives_below_the_bar_say_nothing() -> None:
    """Nine perfect positives do not make a calibrated judge where the bar asks for ten; its number can be set."""
    nine = rows(found=9, quiet=300)
    assert card_of(nine).state == "cant_tell"
    assert "9 positives among 309 cases" in card_of(nine).why
    easy = Bar(sensitivity=0.5, specificity=0.9, positive_agreement=0.5, positives=9)
    assert card_of(nine, options={"bar": easy}).state == "calibrated"


def test_what_is_gravely_wrong_outweighs_good_figures() -> None:
    """An inverted or copied judge is not calibrated; a light flag changes nothing."""
    good = rows(found=95, missed=5, false=5, quiet=395)
    grave = Flag("copied", "Its votes are copies of another judge's.", grave=True)
    card = card_of(good, options={"flags": (grave,)})
    assert (card.state, card.why) == ("not_calibrated", "Not calibrated: its votes are copies of another judge's.")
    light = Flag("length", "Padding moves it now and then.")
    assert card_of(good, options={"flags": (light,)}).state == "calibrated"


def test_the_align_split_never_calibrates() -> None:
    """Its prompt may have been changed by these labels."""
    aligned = [replace(row, split="align") for row in rows(found=95, missed=5, false=5, quiet=395)]
    card = card_of(aligned, options={"split": "align"})
    assert card.state == "cant_tell" and "align split" in card.why and card.needs is None
    assert card_of(aligned).counts.labelled == 0


def test_a_judge_no_better_than_a_constant_is_told_so() -> None:
    """Kappa that may be 0 is said in words."""
    card = card_of(rows(found=5, missed=45, false=5, quiet=45))
    assert any("not shown to be better than always saying" in sentence for sentence in card.sentences)


def test_after_enough_looks_fresh_labels_are_asked_for() -> None:
    """The bar says how many looks the test split bears; after these no good figure calibrates, and a bad one stays."""
    good = rows(found=95, missed=5, false=5, quiet=395)
    assert card_of(good, options={"looks": 5}).state == "calibrated"
    worn = card_of(good, options={"looks": 6})
    assert worn.state == "cant_tell" and worn.needs is None
    assert "this is look 6 at these labels, and they bear 5. Label fresh cases" in worn.why
    assert sum("fresh cases" in sentence for sentence in worn.sentences) == 1
    bad = rows(found=20, missed=80, false=5, quiet=395)
    assert card_of(bad, options={"looks": 6}).state == "not_calibrated"
    assert not card_of(HAND, options={"looks": 4}).asks_for_fresh_labels
    card = card_of(HAND, options={"looks": 5})
    assert card.asks_for_fresh_labels
    assert any("figures may be too good" in sentence for sentence in card.sentences)


# --- simulations --------------------------------------------------------------------------------


def states(sensitivity: float, specificity: float, times: int) -> list[str]:
    """What the card says of so many judges of the same quality."""
    return [card_of(drawn_at_random(400, 0.25, sensitivity, specificity, seed)).state for seed in range(times)]


def test_calibrated_comes_out_where_it_is_deserved_and_hardly_ever_where_not() -> None:
    """Judges well above the bar mostly pass with 400 labels; of those just below it hardly any does."""
    assert states(0.9, 0.98, 20).count("calibrated") >= 18
    assert states(0.66, 0.98, 40).count("calibrated") <= 1
    assert states(0.45, 0.98, 20).count("not_calibrated") >= 18


def test_at_one_percent_by_verdict_the_weighted_sensitivity_covers() -> None:
    """In a pool of 20,000 at 1 %, half of 200 labels flagged: the interval holds the true sensitivity."""
    held = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        truth = chance.random(20_000) < 0.01
        flagged = chance.random(20_000) < np.where(truth, 0.8, 0.05)
        picked = [chance.choice(np.flatnonzero(side), 100, replace=False) for side in (flagged, ~flagged)]
        names = (NO, YES)
        given = [
            Row([names[int(truth[i])]], names[int(flagged[i])], stratum=names[int(flagged[i])])
            for i in np.concatenate(picked)
        ]
        population = {YES: int(flagged.sum()), NO: int((~flagged).sum())}
        figure = card_of(given, design="by_verdict", population=population).sensitivity
        assert figure.low is not None and figure.high is not None
        held += figure.low <= 0.8 <= figure.high
    assert held >= 55


# --- empty and odd sessions -----------------------------------------------------------------------


def test_no_label_no_positive_no_verdict_all_have_an_answer() -> None:
    """Each says in words why there is no figure, and what would help."""
    assert "no labelled case" in card_of([Row([], NO)] * 5).sensitivity.why_not
    assert "no positives" in card_of(rows(quiet=50)).sensitivity.why_not
    assert card_of(rows(quiet=50)).needs is not None
    assert "every judgment failed" in card_of([with_verdict(row, None) for row in HAND]).sensitivity.why_not
    assert "no labelled case has a verdict" in card_of([with_verdict(r, CANNOT_TELL) for r in HAND]).kappa.why_not
    assert {card_of(given).state for given in ([], rows(quiet=50), [with_verdict(HAND[0], None)])} <= {
        "cant_tell",
        "people",
    }


def test_a_constant_judge_finds_nothing_and_is_not_calibrated() -> None:
    """Sensitivity 0, specificity 1, kappa 0 like anybody who always says the same."""
    card = card_of([with_verdict(row, NO) for row in HAND])
    assert (card.sensitivity.value, card.specificity.value) == (0.0, 1.0)
    assert card.state == "not_calibrated"
    assert card.kappa.value == pytest.approx(0.0, abs=1e-12)


def test_without_judgments_it_is_the_peoples_card() -> None:
    """Their agreement, pairs of verdicts, minutes and rate; nothing of a judge."""
    session, labelled, _ = made(drawn_at_random(200, 0.3, 0.9, 0.9, 1, people=2))
    card = calibrate(session, labelled, [])
    assert (card.state, card.judge, card.fingerprint) == ("people", "", "")
    assert card.ceiling.person.positive_agreement.is_known
    assert card.people_differ.disagreeing == sum(one.disagrees for one in labelled)
    assert card.prevalence.is_known
    assert "Not calibrated" not in card_page(card)


def test_judgments_of_two_fingerprints_or_foreign_verdicts_are_refused() -> None:
    """A calibration belongs to one fingerprint, and verdicts to the closed set; all wrong ones are named."""
    session, labelled, judgments = made(HAND)
    other = replace(judgments[0], case="c001", fingerprint="0" * 64)
    with pytest.raises(DataError, match="one fingerprint"):
        calibrate(session, labelled, [*judgments, other])
    foreign = [replace(one, verdict="perhaps") for one in judgments[:2]]
    with pytest.raises(DataError, match=r"(?s)c000.*c001"):
        calibrate(session, labelled, foreign)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from([NO, YES]), max_size=3), st.sampled_from(VERDICTS), st.booleans()),
        max_size=30,
    ),
    st.sampled_from(["random", "by_verdict", "class_balanced"]),
)
def test_any_session_has_a_card_without_a_nan(drawn: list[tuple[list[str], str | None, bool]], design: str) -> None:
    """Whatever was said by whom, every case is in one count and the card is JSON and a page."""
    given = [Row(said, verdict, judged=judged, stratum=verdict or FAILED) for said, verdict, judged in drawn]
    population = {name: 1_000 for name in (NO, YES, CANNOT_TELL, FAILED)}
    card = card_of(given, design=design, population=population)
    json.dumps(card.to_dict(), allow_nan=False)
    counts = card.counts
    assert counts.labelled + counts.waiting == counts.cases == len(given)
    assert counts.compared + counts.failed + counts.cannot_tell + counts.not_judged == counts.labelled
    assert sum(map(sum, card.confusion)) == counts.compared
    assert card_page(card).startswith("<!doctype html>")
