"""What a reader of a report card is told first, what to do next, and what is said where there are no figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_sessions import FINGERPRINT, NO, YES, Row, card_of, drawn_at_random, made, rows
from test_calibration_report_page import HOSTILE, Elements, shown

from llmclf.calibration.card import calibrate
from llmclf.calibration.flag import Flag
from llmclf.calibration.report_page import card_page
from llmclf.calibration.session import LabelledCase
from llmclf.types import CANNOT_TELL, FAILED, Judgment

DRAWN = rows(found=90, false=10, stratum=YES) + rows(missed=2, quiet=198, stratum=NO)
POOL = {YES: 1_000, NO: 8_200, FAILED: 800}


def lines_of(text: str) -> list[str]:
    """The lines of a text, without those that are empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


# --- strata without a verdict -----------------------------------------------------------------------


@pytest.mark.parametrize(("stratum", "verdict"), [(FAILED, None), (CANNOT_TELL, CANNOT_TELL)])
def test_a_stratum_that_has_no_verdict_by_nature_hides_no_figure(stratum: str, verdict: str | None) -> None:
    """8 % of the pool failed: rates are those of the rest, all of them wrong decides, and the share is of the pool."""
    pool = {YES: 1_000, NO: 8_200, stratum: 800}
    given = DRAWN + [Row([YES], verdict, stratum=stratum)] * 12 + [Row([NO], verdict, stratum=stratum)] * 18
    card = card_of(given, design="by_verdict", population=pool)
    rest = card_of(DRAWN, design="by_verdict", population={YES: 1_000, NO: 8_200})
    assert card.rates == rest.rates and card.sensitivity.value == pytest.approx(900 / (900 + 82))
    assert card.silent_share == pytest.approx(0.08)
    assert any("8.0% of the pool has none" in sentence for sentence in card.sentences)
    assert card.prevalence.value == pytest.approx((900 + 82 + 320) / 10_000)
    assert card.worst_case is not None and card.worst_case.sensitivity.value == pytest.approx(900 / 1302)
    assert card.state == "cant_tell" and "12 of 104 positives have no verdict" in card.why and card.next_step


def test_failures_that_hold_no_target_leave_a_judge_calibrated_unless_few_were_labelled() -> None:
    """100 negatives of 3 % of the pool: it stays; the only one of them that is labelled says too little."""
    pool = {YES: 1_000, NO: 8_700, FAILED: 300}
    failed = [Row([NO], None, stratum=FAILED)]
    assert card_of(DRAWN + failed * 100, design="by_verdict", population=pool).state == "calibrated"
    one = card_of(DRAWN + failed, design="by_verdict", population=pool)
    assert not one.counts.left_out_matters and one.state == "cant_tell"
    assert "too few labels stand for 300 cases of the pool (stratum 'failed'), next to about" in one.why


def test_failures_without_a_label_are_told_with_what_to_do() -> None:
    """Of the judge that the session began with: figures of the rest, no answer, and cases of every verdict next."""
    card = card_of(DRAWN, design="by_verdict", population=POOL, fingerprint=FINGERPRINT)
    assert card.sensitivity.is_known and not card.prevalence.is_known
    assert card.state == "cant_tell" and "no label stands for 800 cases of the pool (stratum 'failed')" in card.why
    assert "--design by-verdict" in card.next_step
    other = card_of(DRAWN, design="by_verdict", population=POOL)  # another judge may well have a verdict there
    assert not other.sensitivity.is_known and other.next_step.startswith("llmclf calibrate start faithfulness")


# --- the first lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80])
def test_state_why_and_one_next_line_stand_first(width: int) -> None:
    """Before the table, with the whole id; the reason is told once, by whatever flag it came."""
    session, labelled, judgments = made(rows(found=6, missed=1, quiet=300, false=1))
    session = replace(session, id="S" * 26)
    few = Flag("few_positives", "Only 7 of 308 labelled cases are 'unsupported'; its bar asks for 10.")
    card = calibrate(session, labelled, judgments, flags=(few,))
    text = shown(card, width)
    head = " ".join(lines_of(text.partition("positive agreement")[0]))
    assert head.startswith("CAN'T TELL YET: faithfulness, session " + "S" * 26)
    assert head.index("7 positives among 308 cases") < head.index("next: llmclf calibrate start faithfulness")
    assert text.count("next:") == 1 and " ".join(text.split()).count("bar asks for 10") == 1
    words = " ".join(" ".join(Elements(card_page(card)).words).split())
    assert words.count("next: ") == 1 and words.count("bar asks for 10") == 1
    assert text.index("false alarms") < text.index("kappa")
    assert card.to_dict()["next_step"] == card.next_step and "--n " in card.next_step


def test_each_state_says_what_moves_it_on() -> None:
    """Label, decide, mend, look at the flag, new cases; nothing where a judge is calibrated."""
    good = rows(found=95, missed=5, false=5, quiet=395)
    steps = {
        "": card_of(good),
        "align": card_of(rows(found=20, missed=80, false=5, quiet=395)),
        "gravely wrong": card_of(good, options={"flags": (Flag("copied", "They are copies.", grave=True),)}),
        "used up": card_of(good, options={"looks": 6}),
        "--adjudicator": card_of(good + [Row([YES, NO], NO)] * 90, adjudicator=""),
        "label S1 (to decide: cara 3)": card_of(good + [Row([YES, NO], NO)] * 3),
        "--judge-missing session": card_of([replace(row, judged=place > 60) for place, row in enumerate(good)]),
        "the test split": card_of([replace(row, split="align") for row in good], options={"split": "align"}),
        "the whole pool": card_of(good, design="class_balanced"),
    }
    for step, card in steps.items():
        assert step in card.next_step and bool(card.next_step) is bool(step), (step, card.next_step)
    assert card_of(rows(quiet=50), reference="gold").next_step == ""


# --- without figures ------------------------------------------------------------------------------------


def test_a_session_without_a_label_says_only_that() -> None:
    """With a judge and without: one statement and the command, on the terminal and on the page."""
    session, labelled, judgments = made([Row([YES], NO)] * 5)
    bare = [LabelledCase(one.item, adjudicates=True) for one in labelled]
    for card in (calibrate(session, bare, judgments), calibrate(session, bare, [])):
        text = shown(card, 80)
        assert "o case is labelled yet" in text and text.count("llmclf calibrate label S1") == 1
        assert "?" not in text and "kappa" not in text and len(lines_of(text)) <= 3
        assert "llmclf calibrate label S1" in card_page(card) and "How well" not in card_page(card)


def test_the_peoples_card_tells_what_was_labelled_and_differed_on() -> None:
    """How often they agreed, labels of each kind, the pair with its rules, and words where there is no value."""
    given = [Row([YES, YES], rule="R2")] * 4 + [Row([NO, NO])] * 10 + [Row([YES, NO], rule="R1")] * 5
    session, labelled, _ = made(given)
    card = calibrate(session, labelled, [])
    text = shown(card, 80)
    words = " ".join(text.split())
    assert card.labels == {"ana": {NO: 10, YES: 9}, "ben": {NO: 15, YES: 4}} and card.truths == {NO: 10, YES: 4}
    assert "People agreed on 14 of 19 cases" in words and "10 supported, 9 unsupported" in words
    assert "They differ between supported and unsupported in 5 cases; rules: R1 5 for supported" in words
    agreement = card.ceiling.agreement
    assert card.ceiling.n == 19 and agreement is not None and agreement.observed.value == pytest.approx(14 / 19)
    assert "?" not in text and "No value for kappa, alpha: " in words
    alone = calibrate(*made(rows(found=5, quiet=14))[:2], [])
    assert "?" not in shown(alone, 80) and "agreement" not in shown(alone, 80)
    assert "14 supported, 5 unsupported" in shown(alone, 80)


def test_a_withheld_value_is_told_in_words_beside_its_interval() -> None:
    """Of a judge the interval stays, since the bar is held against it; no question mark."""
    text = shown(card_of(rows(found=4, missed=1, quiet=60)), 80)
    assert "?" not in text and "No value for positive agreement" in text


# --- the cases and the money ------------------------------------------------------------------------------


def test_disagreeing_cases_show_their_words_and_how_to_see_the_conversation() -> None:
    """Rationale and quote as words, however hostile; the conversation's id, its turn and the command."""
    session, labelled, judgments = made([Row([YES], NO)] * 2 + rows(found=5, quiet=5))
    case = replace(labelled[0].case, conversation_id="conv 1", turn=3, shown={"rationale": HOSTILE + "x" * 700})
    item = replace(labelled[0].item, case=case)
    session = replace(session, items=(item, *session.items[1:]))
    card = calibrate(session, [replace(labelled[0], item=item), *labelled[1:]], judgments)
    page = card_page(card)
    elements = Elements(page)
    words = " ".join(elements.words)
    assert "script" not in elements.names and "img" not in elements.names
    assert "<script>alert(1)</script>" in words and "x" * 601 not in page and "conv 1, turn 3" in words
    assert words.count("llmclf data show DATA 'conv 1'") == 1
    assert card.to_dict()["disagreements"]["groups"][0]["shown"][0]["words"] == dict(case.shown)


def test_a_simulated_judge_costs_simulated_dollars() -> None:
    """They are called so, and are in no sum with what people cost."""
    session, labelled, _ = made(rows(found=20, quiet=80))
    said = [Judgment(one.case.id, "j", "f" * 64, one.truth, cost_nano_usd=5_000_000) for one in labelled]
    for simulated in (True, False):
        card = calibrate(session, labelled, [replace(one, simulated=simulated) for one in said])
        assert ("judge $0.50 in simulated dollars" in " ".join(shown(card, 80).split())) is simulated
        assert ("in simulated dollars" in card_page(card)) is simulated
        assert card.usd == pytest.approx(card.spent.people_usd + (0 if simulated else 0.5))


def test_slices_of_contradicted_known_labels_are_weighted() -> None:
    """Where cases stand for the pool, a slice has a precision; within classes it has none."""
    clean = rows(found=40, missed=10, stratum="targets") + rows(false=2, quiet=48, stratum="others")
    wrong = [*clean, Row([YES], NO, stratum="others")]
    sizes = {"targets": 100, "others": 900}
    for given, known in ((clean, False), (wrong, True)):
        parted = [replace(row, metadata={"part": place % 2}) for place, row in enumerate(given)]
        card = card_of(parted, design="class_balanced", population=sizes)
        assert card.slices and all(one.rates.precision.is_known is known for one in card.slices)


def test_people_of_a_judges_card_are_kept_out_of_the_next_line_where_names_are_hidden() -> None:
    """The command says A3, not the adjudicator's name."""
    card = card_of(drawn_at_random(60, 0.4, 0.9, 0.9, 1) + [Row([YES, NO], NO)] * 3, hide_names=True)
    assert "cara" not in card.next_step and "calibrate label S1" in card.next_step
