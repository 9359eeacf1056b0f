"""What is wrong with a judge is found where it is so, and nothing is said where it is not."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.calibration.flags import Flag, flags_of
from llmclf.calibration.session import LabelledCase, SessionItem
from llmclf.types import (
    CANNOT_TELL,
    RECORDED,
    Annotation,
    Bar,
    Case,
    Conversation,
    ErrorInfo,
    Judgment,
    Label,
    Rubric,
    Turn,
)

YES_NO = Rubric("audit", "Is it so?", (Label("yes", "target", "so"), Label("no", "clean", "not so")), "binary")
SCALE = Rubric(
    "scale",
    "How bad is it?",
    (Label("bad", "target", "bad"), Label("middling", "adjacent", "so so"), Label("good", "clean", "good")),
    "ordinal",
)
CHOICE = Rubric(
    "choice",
    "Which is better?",
    (Label("first", "target", "a"), Label("second", "clean", "b"), Label("tie", "clean", "none")),
    sees=("a", "b"),
)


def labelled(truths: Sequence[str | None], **more: Any) -> list[LabelledCase]:
    return [
        LabelledCase(
            SessionItem(Case(f"k{place}", **{name: value[place] for name, value in more.items()}), "test"),
            () if truth is None else (Annotation("ana", "audit", truth),),
        )
        for place, truth in enumerate(truths)
    ]


def said(verdicts: Sequence[str | None], reasons: Sequence[str] = (), judge: str = "j", **more: Any) -> list[Judgment]:
    return [
        Judgment(
            f"k{place}",
            judge,
            RECORDED,
            verdict,
            reasons[place] if reasons else "",
            error=ErrorInfo("unparsable", "no") if verdict is None else None,
            **more,
        )
        for place, verdict in enumerate(verdicts)
    ]


def kinds(flags: Sequence[Flag]) -> list[str]:
    return [flag.kind for flag in flags]


def only(flags: Sequence[Flag], kind: str) -> Flag:
    (found,) = [flag for flag in flags if flag.kind == kind]
    return found


# --- inverted -----------------------------------------------------------------------------------


def test_a_judge_that_says_the_opposite_is_inverted_and_its_flipped_figures_stand_there() -> None:
    """The flag is grave; kappa and positive agreement after flipping are those of the flipped table."""
    truths = ["yes"] * 30 + ["no"] * 70
    verdicts = ["no"] * 27 + ["yes"] * 3 + ["yes"] * 63 + ["no"] * 7
    flags = flags_of(labelled(truths), said(verdicts), YES_NO)
    flag = only(flags, "inverted")
    assert flag.grave and flags[0] is flag
    by_chance = (30 * 34 + 70 * 66) / 100**2
    assert flag.figures["kappa_flipped"].value == pytest.approx((0.9 - by_chance) / (1 - by_chance), abs=1e-12)
    assert flag.figures["positive_agreement_flipped"].value == pytest.approx(2 * 27 / (2 * 27 + 3 + 7), abs=1e-12)
    assert flag.figures["youden"].value == pytest.approx(0.1 + 0.1 - 1, abs=1e-12)
    assert flag.figures["kappa"].high < 0 and "the opposite" in flag.sentence


def test_of_more_verdicts_the_targets_are_held_against_the_rest() -> None:
    """A reversed scale is found as well, and the sentence says which verdicts change places."""
    truths = ["bad"] * 30 + ["middling"] * 20 + ["good"] * 30
    verdicts = ["good"] * 30 + ["bad"] * 20 + ["bad"] * 30
    flag = only(flags_of(labelled(truths), said(verdicts), SCALE), "inverted")
    assert "If 'bad' and all other verdicts change places" in flag.sentence


def test_a_judge_that_guesses_is_seldom_called_inverted() -> None:
    """Of 200 judges who throw dice no more are called inverted than an interval's lower side allows."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(200):
        truths, verdicts = (["yes" if hit else "no" for hit in rng.random(80) < 0.3] for _ in range(2))
        found += "inverted" in kinds(flags_of(labelled(truths), said(verdicts), YES_NO))
    assert found <= 12  # 5 are expected


@pytest.mark.parametrize(("targets", "found"), [(2, False), (9, False), (10, True)])
def test_a_few_cases_accuse_nobody_of_saying_the_opposite(targets: int, found: bool) -> None:
    """All wrong is not yet reliably wrong: it takes 10 targets and 10 others."""
    verdicts = ["no"] * targets + ["yes"] * targets
    flags = flags_of(labelled(["yes"] * targets + ["no"] * targets), said(verdicts), YES_NO)
    assert ("inverted" in kinds(flags)) is found


# --- what there is to find ----------------------------------------------------------------------


def test_a_constant_judge_tells_nothing() -> None:
    """Grave where there were both kinds of cases to tell apart; no figure is NaN."""
    flag = only(flags_of(labelled(["yes"] * 20 + ["no"] * 20), said(["no"] * 40), YES_NO), "constant")
    assert flag.grave and "All 40 verdicts are 'no'" in flag.sentence
    alike = flags_of(labelled(["no"] * 40), said(["no"] * 40), YES_NO)
    assert kinds(alike) == ["constant", "empty_class"] and not any(flag.grave for flag in alike)


def test_a_judge_that_never_says_the_target_is_named_though_it_varies() -> None:
    """Sensitivity gets the upper end that the cases leave open."""
    flags = flags_of(labelled(["bad"] * 12 + ["good"] * 20), said(["middling"] * 16 + ["good"] * 16), SCALE)
    flag = only(flags, "never_positive")
    assert flag.grave and flag.figures["sensitivity"].value == 0 and 0 < flag.figures["sensitivity"].high < 0.3


@pytest.mark.parametrize(
    ("positives", "kind"), [(0, "empty_class"), (9, "few_positives"), (10, ""), (40, "empty_class")]
)
def test_targets_are_counted_against_the_bar(positives: int, kind: str) -> None:
    """None, too few, enough, and nothing else are told apart."""
    truths = ["yes"] * positives + ["no"] * (40 - positives)
    verdicts = ["yes" if place % 2 else "no" for place in range(40)]
    found = flags_of(labelled(truths), said(verdicts), YES_NO, bar=Bar(positives=10))
    assert kinds(found) == [kind] * bool(kind)


def test_missing_verdicts_are_counted_by_what_became_of_them() -> None:
    """Failed, cannot tell and never judged; none of them is a negative."""
    truths = ["yes"] * 20 + ["no"] * 20
    verdicts: list[str | None] = [*truths]
    verdicts[0], verdicts[1], verdicts[39] = None, CANNOT_TELL, None
    flag = only(flags_of(labelled([*truths, "no"]), said(verdicts), YES_NO), "missing")
    assert "4 of 41 cases" in flag.sentence
    assert "2 failed (unparsable: 2), 1 cannot tell, 1 never judged" in flag.sentence
    assert "among 4 labelled ones 2 'yes'" in flag.sentence
    assert flag.figures["missing"].value == pytest.approx(4 / 41)


def test_nothing_is_said_of_nobody_and_of_a_good_judge() -> None:
    """No judgments, no cases, and a judge that is right give no flag."""
    truths = ["yes"] * 20 + ["no"] * 20
    assert flags_of((), (), YES_NO) == ()
    assert flags_of(labelled(truths), (), YES_NO) == ()
    assert flags_of(labelled(truths), said(["yes"] * 18 + ["no"] * 22), YES_NO) == ()
    assert flags_of((), said(["yes", "no"]), YES_NO) == ()


# --- swayed -------------------------------------------------------------------------------------


def test_an_order_that_decides_is_flagged_with_the_place_it_prefers() -> None:
    """Verdicts of both orders that failed are left out and counted; ties name no place."""
    plain = ["first"] * 40 + ["second"] * 40 + ["first", None, "tie"]
    turned = ["second"] * 30 + ["first"] * 10 + ["second"] * 40 + [None, "second", "first"]
    flag = only(flags_of((), [*said(plain), *said(turned, probe="swapped")], CHOICE), "position")
    assert "31 of 81 verdicts" in flag.sentence and "2 without a verdict" in flag.sentence
    assert flag.figures["changed_when_turned"].value == pytest.approx(31 / 81)
    assert flag.figures["first_place_among_changed"].value == 1 and "it prefers that place" in flag.sentence


def test_of_listed_verdicts_the_place_in_the_list_counts() -> None:
    """Where nothing is chosen between, the probe turns the list of verdicts."""
    plain = ["no"] * 30 + ["yes"] * 10
    flag = only(flags_of((), said(plain), YES_NO, probes=said(["yes"] * 40, probe="swapped")), "position")
    assert "the order in which the verdicts stand" in flag.sentence
    assert "go to what is shown last" in flag.sentence


def test_what_asking_again_changes_is_not_blamed_on_the_order() -> None:
    """A judge that is merely unstable is called unstable, and nothing else."""
    rng = np.random.default_rng(3)
    plain, turned, padded, again = (["yes" if hit else "no" for hit in rng.random(120) < 0.5] for _ in range(4))
    probes = [*said(turned, probe="swapped"), *said(padded, probe="padded")]
    assert kinds(flags_of((), said(plain), YES_NO, probes=probes, repeats=said(again, repeat=1))) == ["unstable"]


def test_chance_is_not_called_a_place_or_a_length_where_nobody_asked_again() -> None:
    """Noise of 10 % changes 18 %, as often one way as the other: that it may be chance is said, and how to tell."""
    rng = np.random.default_rng(11)
    truths = np.array(["yes"] * 100 + ["no"] * 100)
    blamed = 0
    for _ in range(30):
        plain, turned, padded = (np.where((truths == "yes") ^ (rng.random(200) < 0.1), "yes", "no") for _ in range(3))
        probes = [*said(turned.tolist(), probe="swapped"), *said(padded.tolist(), probe="padded")]
        flags = flags_of((), said(plain.tolist()), YES_NO, probes=probes)
        blamed += sum(flag.kind != "unstable" for flag in flags)
        assert all("ask once more (--repeat)" in flag.sentence for flag in flags if flag.kind == "unstable")
    assert blamed <= 8  # 3 of 60 are expected of an interval of 95 %


def test_changes_that_all_go_one_way_are_no_chance_though_asking_again_changes_as_many() -> None:
    """Chance turns as many verdicts back as forth, and the order does not."""
    plain = ["first", "second"] * 50
    again = ["second" if place % 20 == 0 else "first" if place % 20 == 1 else one for place, one in enumerate(plain)]
    turned = ["second" if place % 20 in (0, 2) else one for place, one in enumerate(plain)]
    probes, repeats = said(turned, probe="swapped"), said(again, repeat=1)
    assert "position" in kinds(flags_of((), said(plain), CHOICE, probes=probes, repeats=repeats))


def test_another_version_behind_the_name_is_not_the_judge_being_unstable() -> None:
    """Readings of anchors are stored as repeats; those of another version don't count as asking again."""
    plain, again = ["yes"] * 40 + ["no"] * 40, ["no"] * 40 + ["yes"] * 40
    of = {model: said(again, repeat=1, model=model) for model in ("v-1", "v-2")}
    assert kinds(flags_of((), said(plain, model="v-1"), YES_NO, repeats=of["v-2"])) == []
    flag = only(flags_of((), said(plain, model="v-1"), YES_NO, repeats=of["v-1"]), "unstable")
    assert "or the vendor changed the judge in between" in flag.sentence


def test_empty_words_that_change_verdicts_are_flagged() -> None:
    """With which way they push."""
    plain, padded = ["no"] * 50 + ["yes"] * 10, ["yes"] * 20 + ["no"] * 30 + ["yes"] * 9 + ["no"]
    flag = only(flags_of((), said(plain), YES_NO, probes=said(padded, probe="padded")), "length")
    assert "21 of 60" in flag.sentence and "20 became yes, 1 ceased to be" in flag.sentence


def test_a_taste_for_the_longer_text_is_measured_where_judge_and_truth_differ() -> None:
    """Where the truth itself is the longer text nothing is blamed on the judge."""
    shown = [{"a": "short", "b": "a much longer text"}] * 60
    truths = ["first"] * 30 + ["second"] * 30
    longer = flags_of(labelled(truths, shown=shown), said(["second"] * 50 + ["first"] * 10), CHOICE)
    assert "prefers longer texts" in only([flag for flag in longer if flag.kind == "length"], "length").sentence
    right = ["second"] * 60
    assert "length" not in kinds(flags_of(labelled(right, shown=shown), said(right), CHOICE))


def test_a_set_whose_shorter_text_is_right_accuses_nobody() -> None:
    """A judge that errs at random takes the longer text whenever it errs there, and prefers nothing."""
    rng = np.random.default_rng(4)
    accused = 0
    for _ in range(30):
        shorter_right = rng.random(120) < 0.85
        shown = [{"a": "short", "b": "a much longer text"}] * 120
        truths = np.where(shorter_right, "first", "second")
        verdicts = np.where(shorter_right ^ (rng.random(120) < 0.3), "first", "second")
        flags = flags_of(labelled(truths.tolist(), shown=shown), said(verdicts.tolist()), CHOICE)
        accused += "length" in kinds(flags)
    assert accused <= 4  # 1 or 2 are expected


def test_probes_are_found_among_the_judgments_too() -> None:
    """What is a probe or a repeat is never scored as a plain verdict."""
    truths = ["yes"] * 20 + ["no"] * 20
    probe, again = said(["no"] * 40, probe="swapped"), said(["no"] * 40, repeat=1)
    assert kinds(flags_of(labelled(truths), [*probe, *said(truths), *again], YES_NO)) == ["unstable"]


# --- copies -------------------------------------------------------------------------------------

WORDS = (
    "order refund late again person answer policy seat bag flight polite asked told wrong date money reply "
    "broken promise agent waited twice never always card number email hotel ticket change cancel upset calm"
).split()


def reason(place: int) -> str:
    """A reason of its own for each case."""
    return " ".join(random.Random(place).sample(WORDS, 9))


@pytest.fixture
def source() -> list[Judgment]:
    """A judge with reasons of its own, 120 cases on a scale of three."""
    return said([SCALE.names[place % 3] for place in range(120)], [reason(place) for place in range(120)], "source")


def copier(source: Sequence[Judgment], text: str, copied: int) -> list[Judgment]:
    """A judge that takes over the first verdicts under one text, and has an opinion on every second of the rest."""
    verdicts = [str(one.verdict) for one in source]
    other = {"bad": "good", "good": "middling", "middling": "bad"}
    own = [other[verdict] if place % 2 else verdict for place, verdict in enumerate(verdicts)]
    reasons = [text] * copied + [f"as I see it {reason(place + 500)}" for place in range(copied, len(source))]
    return said([*verdicts[:copied], *own[copied:]], reasons, "copier")


def test_one_text_under_every_verdict_gives_a_copy_away(source: list[Judgment]) -> None:
    """Both names, how many, and what is left without them; grave for the copy, named for the other."""
    copy = copier(source, "No second look: see the other grade.", 80)
    flag = only(flags_of((), copy, SCALE, others={"source": source}), "copied")
    assert flag.grave and "80 of its 120 verdicts are copies of source's" in flag.sentence
    assert flag.figures["equal_to_source_elsewhere"].value == pytest.approx(0.5)
    whole, rest = flag.figures["kappa_with_source"], flag.figures["kappa_with_source_without_copies"]
    assert whole.value > 0.7 > 0.4 > rest.value
    named = only(flags_of((), source, SCALE, others={"copier": copy}), "copied")
    assert not named.grave and "80 verdicts of copier are copies of this judge's" in named.sentence


def test_figures_against_the_labels_are_given_without_the_copies(source: list[Judgment]) -> None:
    """They are those of the judge's own verdicts alone."""
    truths = [str(one.verdict) for one in source]
    flags = flags_of(labelled(truths), copier(source, "No second look.", 80), SCALE, others={"source": source})
    flag = only(flags, "copied")
    assert flag.figures["kappa_without_copies"].value < 0.4 and "its own 40 verdicts" in flag.sentence


def test_a_template_may_name_the_verdict_and_a_number(source: list[Judgment]) -> None:
    """What changes with the verdict or the row is no reason either."""
    copy = copier(source, "", 0)
    copy = [
        Judgment(one.case, "copier", RECORDED, first.verdict, f"Row {place}: {first.verdict} as graded elsewhere")
        if place < 60
        else one
        for place, (one, first) in enumerate(zip(copy, source, strict=True))
    ]
    assert "60 of its 120" in only(flags_of((), copy, SCALE, others={"source": source}), "copied").sentence


def test_a_judge_that_is_nothing_but_a_copy_is_found(source: list[Judgment]) -> None:
    """There is nothing left to compare with, and the flag says so."""
    flag = only(flags_of((), copier(source, "Taken over.", 120), SCALE, others={"source": source}), "copied")
    assert not flag.figures["equal_to_source_elsewhere"].is_known and "every vote is a copy" in flag.sentence


def test_a_stock_phrase_for_one_verdict_is_no_copy(source: list[Judgment]) -> None:
    """Judges who say 'nothing wrong' of all that is good are alike because the cases are."""
    easy = [
        Judgment(one.case, "easy", RECORDED, "good", "Nothing is wrong with it.")
        if one.verdict == "good"
        else Judgment(one.case, "easy", RECORDED, ["bad", "middling"][place % 2], reason(place + 900))
        for place, one in enumerate(source)
    ]
    assert flags_of((), easy, SCALE, others={"source": source}) == ()


def test_judges_who_agree_in_words_of_their_own_are_no_copies(source: list[Judgment]) -> None:
    """Frames that everybody uses, such as 'The answer is', don't give a copy away."""
    rng = np.random.default_rng(8)
    for seed in range(20):
        frames = [f"The answer here is {reason(int(rng.integers(10_000)))}" for _ in source]
        verdicts = [one.verdict if rng.random() < 0.9 else "middling" for one in source]
        found = flags_of((), said(verdicts, frames, f"j{seed}"), SCALE, others={"source": source})
        assert "copied" not in kinds(found)


def easy_and_hard(rng: np.random.Generator, n: int = 300) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """Truths and the verdicts of two independent judges, who are both right wherever it is easy; and where that is."""
    easy, truth = rng.random(n) < 0.7, rng.random(n) < 0.3
    one, other = (truth ^ (~easy & (rng.random(n) < 0.35)) for _ in range(2))
    words = [["yes" if hit else "no" for hit in side] for side in (truth, one, other)]
    return words[0], words[1], words[2], easy


def begun(easy: np.ndarray, text: str = "Looking at the conversation the agent said") -> list[str]:
    """Reasons that begin with one text where it is easy."""
    return [f"{text} {reason(place)}" if hit else f"Not clear, {reason(place + 500)}" for place, hit in enumerate(easy)]


def test_two_good_judges_who_begin_easy_cases_alike_are_no_copies() -> None:
    """Agreement there is what both being right explains; where no truth is known it is a doubt, and no more."""
    rng = np.random.default_rng(2)
    for seed in range(10):
        truths, one, other, easy = easy_and_hard(rng)
        theirs = {"other": said(other, [f"Hence {reason(seed * 1000 + place)}" for place in range(300)], "other")}
        mine = said(one, begun(easy))
        assert "copied" not in kinds(flags_of(labelled(truths), mine, YES_NO, others=theirs))
        turn = {"yes": "no", "no": "yes"}
        mislabelled = [turn[truth] if rng.random() < 0.08 else truth for truth in truths]  # both "wrong" alike there
        noisy = flags_of(labelled(mislabelled), mine, YES_NO, others=theirs)
        assert not any(flag.grave for flag in noisy)
        doubt = only(flags_of((), mine, YES_NO, others=theirs), "copied")
        assert not doubt.grave and "may be copies" in doubt.sentence and "easy cases" in doubt.sentence


def test_one_text_for_every_easy_case_is_a_doubt_where_the_truth_explains_it() -> None:
    """The same where the text names the verdict: it is not one text under two verdicts then."""
    truths, one, other, easy = easy_and_hard(np.random.default_rng(3))
    theirs = {"other": said(other, [f"Hence {reason(place + 1000)}" for place in range(300)], "other")}
    same = "There is nothing in it that speaks against this"
    for text in (same, f"{same} {{}}"):
        reasons = [text.format(one[place]) if hit else reason(place) for place, hit in enumerate(easy)]
        for known in (labelled(truths), ()):
            flags = [x for x in flags_of(known, said(one, reasons), YES_NO, others=theirs) if x.kind == "copied"]
            assert not any(flag.grave for flag in flags) or (text == same and not known)


def test_being_wrong_together_under_one_beginning_proves_a_copy() -> None:
    """Easy cases don't explain the same mistakes; elsewhere the two err apart."""
    rng = np.random.default_rng(6)
    truth, at = rng.random(300) < 0.4, np.arange(300) < 150
    other = truth ^ (rng.random(300) < 0.25)
    mine = np.where(at, other, truth ^ (rng.random(300) < 0.25))
    truths, theirs, own = (["yes" if hit else "no" for hit in side] for side in (truth, other, mine))
    others = {"other": said(theirs, [f"Hence {reason(place + 1000)}" for place in range(300)], "other")}
    flag = only(flags_of(labelled(truths), said(own, begun(at)), YES_NO, others=others), "copied")
    assert flag.grave and "150 of its 300" in flag.sentence and "of them wrong" in flag.sentence


def quoting(marks: str, n: int = 100) -> tuple[list[Judgment], list[Judgment], list[str], list[str]]:
    """Two independent judges who often quote the same sentence as their whole reason; the sentences, and the truth."""
    rng = np.random.default_rng(9)
    sentences, truths = (
        [reason(place + 5000) for place in range(n)],
        ["yes" if hit else "no" for hit in rng.random(n) < 0.3],
    )
    judges = []
    for number, name in enumerate(("j", "other")):
        reasons = [
            marks.format(sentences[place]) if rng.random() < 0.5 else reason(place + 1000 * (number + 1))
            for place in range(n)
        ]
        judges.append(said(truths, reasons, name))
    return judges[0], judges[1], sentences, truths


def test_quoting_the_same_passage_is_no_copying() -> None:
    """In quotation marks, or where the case's texts hold it; unseen it is a doubt."""
    sees = Rubric("audit", "Is it so?", YES_NO.verdicts, "binary", ("conversation", "rationale"))
    mine, theirs, _, truths = quoting('"{}"')
    others = {"other": [*theirs[:-1], Judgment("k99", "other", RECORDED, "yes" if truths[99] == "no" else "no", "so")]}
    assert "copied" not in kinds(flags_of(labelled(truths), mine, sees, others=others))
    mine, theirs, sentences, truths = quoting("{}")
    others = {"other": [*theirs[:-1], Judgment("k99", "other", RECORDED, "yes" if truths[99] == "no" else "no", "so")]}
    doubt = only(flags_of(labelled(truths), mine, sees, others=others), "copied")
    assert not doubt.grave and "may be" in doubt.sentence
    shown = [{"rationale": f"They wrote: {text}. Bye."} for text in sentences]
    cases = labelled(truths, shown=shown, conversation_id=[f"c{place}" for place in range(100)])
    texts = {f"c{place}": Conversation(f"c{place}", (Turn("user", "Hello"),)) for place in range(100)}
    assert "copied" not in kinds(flags_of(cases, mine, sees, others=others, conversations=texts))
    assert "copied" in kinds(flags_of(cases, mine, sees, others=others))  # of the conversation nothing is known


@pytest.mark.parametrize(("taken", "grave"), [(6, False), (40, True)])
def test_few_reasons_taken_over_are_a_doubt_and_many_are_grave(taken: int, grave: bool) -> None:
    """6 of 200 change no figure; a fifth does, as what was judged is known and does not hold the words."""
    rng = np.random.default_rng(1)
    truths = ["yes" if hit else "no" for hit in rng.random(200) < 0.4]
    verdicts = ["yes" if (one == "yes") ^ (rng.random() < 0.2) else "no" for one in truths]
    theirs = [Judgment(f"k{place}", "other", RECORDED, one, reason(place)) for place, one in enumerate(truths)]
    mine = [
        Judgment(one.case, "j", RECORDED, one.verdict, f"I agree that {one.reason}")
        if place < taken
        else Judgment(one.case, "j", RECORDED, verdicts[place], reason(place + 700))
        for place, one in enumerate(theirs)
    ]
    sees = Rubric("audit", "Is it so?", YES_NO.verdicts, "binary", ("rationale",))
    cases = labelled(truths, shown=[{"rationale": "Nothing of the kind."}] * 200)
    assert only(flags_of(cases, mine, sees, others={"other": theirs}), "copied").grave is grave


def test_reasons_taken_over_are_found_and_the_longer_one_is_the_copy(source: list[Judgment]) -> None:
    """Word for word they can't be told apart; with words around them they can."""
    copy = copier(source, "", 0)
    around = [
        Judgment(one.case, "copier", RECORDED, first.verdict, f"{prefix}{first.reason}") if place < 30 else one
        for prefix in ["I agree that "]
        for place, (one, first) in enumerate(zip(copy, source, strict=True))
    ]
    flag = only(flags_of((), around, SCALE, others={"source": source}), "copied")
    assert "30 of its 120" in flag.sentence and "can't be told" not in flag.sentence
    same = [
        Judgment(one.case, "copier", RECORDED, first.verdict, first.reason) if place < 30 else one
        for place, (one, first) in enumerate(zip(copy, source, strict=True))
    ]
    assert "can't be told" in only(flags_of((), same, SCALE, others={"source": source}), "copied").sentence


def test_judges_who_never_differ_are_named(source: list[Judgment]) -> None:
    """Without reasons nothing proves a copy, so the flag is not grave."""
    twin = said([one.verdict for one in source], judge="twin")
    flag = only(flags_of((), twin, SCALE, others={"source": source}), "copied")
    assert not flag.grave and "All 120 verdicts" in flag.sentence
    assert flags_of((), twin[:40], SCALE, others={"source": source[:40]}) == ()


def test_a_judge_is_no_copy_of_itself(source: list[Judgment]) -> None:
    """Its own judgments among the others are left out."""
    assert flags_of((), source, SCALE, others={"source": source}) == ()


# --- always -------------------------------------------------------------------------------------

VERDICT = st.sampled_from([*SCALE.names, CANNOT_TELL, None])
TRUTH = st.sampled_from([*SCALE.names, None])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(TRUTH, VERDICT, VERDICT, VERDICT, st.sampled_from(["", "one reason", "b b b b b b b"])), max_size=40
    )
)
def test_any_data_gives_plain_numbers_the_same_each_time(rows: list[tuple[Any, ...]]) -> None:
    """No NaN, no crash, and the same flags for the same data."""
    truths, plain, turned, again, reasons = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    given_ = [*said(plain, reasons), *said(turned, probe="swapped"), *said(again, repeat=1)]
    others = {"other": said(turned, reasons, "other")}
    flags = flags_of(labelled(truths), given_, SCALE, others=others)
    assert flags == flags_of(labelled(truths), given_, SCALE, others=others)
    json.dumps([flag.to_dict() for flag in flags], allow_nan=False)
    for flag in flags:
        assert "nan" not in flag.sentence.lower()
        for figure in flag.figures.values():
            assert figure.value is None or math.isfinite(figure.value)
