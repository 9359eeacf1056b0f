"""Labels as shares and probabilities, annotators' quality, and where people disagree."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from desk_session import RUBRIC
from hypothesis import given, settings, strategies as st

from llmclf.calibration.session import LabelledCase, SessionItem, Skip
from llmclf.calibration.soft import disagreements_by_pair, soft_labels
from llmclf.render.tables import rich_table
from llmclf.stats.truths import dawid_skene
from llmclf.types import Annotation, Case

NAMES = RUBRIC.names
PEOPLE = ("ana", "ben", "cai")


def case(
    id: str,
    labels: Sequence[str],
    *,
    rules: Sequence[str] = (),
    decided: str = "",
    split: str = "test",
    seconds: float | None = None,
) -> LabelledCase:
    """A case with the label of each person in order; empty: skipped, `-`: not asked."""
    said = tuple(
        Annotation(name, "refusal", label, rule=(rules or [""] * len(labels))[place], seconds=seconds)
        for place, (name, label) in enumerate(zip(PEOPLE, labels, strict=False))
        if label not in ("", "-")
    )
    skips = tuple(Skip(name, "?") for name, label in zip(PEOPLE, labels, strict=False) if not label)
    asked = tuple(name for name, label in zip(PEOPLE, labels, strict=False) if label != "-")
    item = SessionItem(Case(id, f"c{id}"), split, annotators=asked)  # type: ignore[arg-type]
    decision = Annotation("dee", "refusal", decided) if decided else None
    return LabelledCase(item, said, decision, skips)


def test_shares_are_of_the_votes() -> None:
    """Skips are no votes; practice is left out; a case without a label has neither shares nor probabilities."""
    cases = [
        case("0", ["refused", "refused", "clean"]),
        case("1", ["clean", "", "-"]),
        case("2", ["", "", ""]),
        case("3", ["refused"] * 3, split="practice"),
    ]
    found = soft_labels(cases, RUBRIC).cases
    assert [one.case_id for one in found] == ["0", "1", "2"]
    assert found[0].shares == {"refused": pytest.approx(2 / 3), "angry": 0, "clean": pytest.approx(1 / 3)}
    assert [one.votes for one in found] == [3, 1, 0]
    assert found[1].shares["clean"] == 1
    assert found[2].shares == found[2].probabilities == {}
    assert [one.truth for one in found] == ["refused", "clean", None]
    assert found[2].entropy == 0


def test_probabilities_are_those_of_dawid_and_skene() -> None:
    """The same as of the votes as codes, in the order of the rubric; the decision of an adjudicator is no vote."""
    random = np.random.default_rng(5)
    codes = random.integers(0, 3, (40, 3))
    cases = [case(str(row), [NAMES[code] for code in line], decided="clean") for row, line in enumerate(codes)]
    expected = dawid_skene(codes, 3).probabilities
    found = soft_labels(cases, RUBRIC).cases
    np.testing.assert_allclose([[one.probabilities[name] for name in NAMES] for one in found], expected)
    assert all(one.entropy >= 0 for one in found)


def test_quality_is_against_the_truth_and_says_which() -> None:
    """Sensitivity and specificity by role, from adjudicated, agreed and voted cases; medians of measured seconds."""
    cases = [
        case("0", ["refused", "clean"], decided="refused", seconds=4),
        case("1", ["clean", "clean"], seconds=8),
        case("2", ["angry", "refused"], decided="clean", seconds=6),
        case("3", ["refused", ""]),
    ]
    found = {one.annotator: one for one in soft_labels(cases, RUBRIC).annotators}
    ana, ben = found["ana"], found["ben"]
    assert (ana.sensitivity.value, ana.specificity.value) == (1, 1)
    assert (ben.sensitivity.value, ben.specificity.value) == (0, 0.5)
    assert (ana.labels, ana.skipped, ana.median_seconds) == (4, 0, 6)
    assert (ben.labels, ben.skipped) == (3, 1)
    assert ana.against == {"adjudicated": 2, "agreed": 1, "single": 1}
    assert "dee" not in found


def test_an_open_tie_falls_to_the_model() -> None:
    """Where neither vote nor adjudicator says, the likeliest truth stands, and is named so."""
    cases = [case(str(number), ["refused", "refused"]) for number in range(5)]
    cases += [case(str(number), ["clean", "clean"]) for number in range(5, 30)]
    found = soft_labels([*cases, case("x", ["refused", "clean"])], RUBRIC)
    assert found.cases[-1].truth is None
    assert found.annotators[0].against == {"agreed": 30, "dawid-skene": 1}


def test_nothing_labelled_is_an_answer() -> None:
    """No case, no label, or one class alone: no NaN, and what can't be known says why."""
    for cases in ([], [case("0", ["", ""])], [case(str(number), ["clean"] * 3) for number in range(4)]):
        found = soft_labels(cases, RUBRIC)
        json.dumps(found.to_dict(), allow_nan=False)
        assert disagreements_by_pair(cases, RUBRIC).pairs == ()
    assert found.annotators[0].sensitivity.value is None
    assert "truly a target" in found.annotators[0].sensitivity.why_not


def test_disagreements_by_pair_say_which_rules_people_cite() -> None:
    """Most cases first: how often, by which rule on each side, how they were decided, and which they are."""
    cases = [
        case("0", ["refused", "angry"], rules=["R1", "R2"], decided="refused"),
        case("1", ["angry", "refused"], rules=["R2", ""], decided="angry"),
        case("2", ["refused", "angry", "angry"], rules=["R1", "R2", "R2"]),
        case("3", ["refused", "angry", "clean"]),
        case("4", ["clean", "clean"]),
        case("5", ["clean", ""]),
        case("6", ["refused", "clean"], split="practice"),
    ]
    found = disagreements_by_pair(cases, RUBRIC)
    assert (found.labelled_twice, found.disagreeing) == (5, 4)
    first = found.pairs[0]
    assert (first.first, first.second) == ("refused", "angry")
    assert (first.cases, first.pairs) == (("0", "1", "2", "3"), 5)
    assert first.first_rules == {"R1": 2, "no rule": 2}
    assert first.second_rules == {"R2": 4, "no rule": 1}
    assert (first.to_first, first.to_second, first.share) == (1, 1, 0.8)
    assert {(one.first, one.second): len(one.cases) for one in found.pairs} == {
        ("refused", "angry"): 4,
        ("refused", "clean"): 1,
        ("angry", "clean"): 1,
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([*NAMES, "", "-"]), min_size=3, max_size=3), max_size=12), st.randoms())
def test_any_labels_give_sums_of_one_in_any_order(labels: list[list[str]], random: object) -> None:
    """Shares and probabilities sum to 1 and do not hang on the order of cases; counts of pairs add up."""
    cases = [case(str(number), row) for number, row in enumerate(labels)]
    found = soft_labels(cases, RUBRIC)
    for one in found.cases:
        for weights in (one.shares, one.probabilities):
            assert not weights or math.isclose(sum(weights.values()), 1)
    json.dumps(found.to_dict(), allow_nan=False)
    shuffled = list(cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = {one.case_id: one for one in soft_labels(shuffled, RUBRIC).cases}
    for one in found.cases:
        assert again[one.case_id].probabilities == pytest.approx(one.probabilities, abs=1e-6)
    pairs = disagreements_by_pair(cases, RUBRIC)
    differing = {id for pair in pairs.pairs for id in pair.cases}
    assert len(differing) == pairs.disagreeing
    assert pairs.disagreeing == sum(one.disagrees for one in cases)


def test_both_fit_a_narrow_terminal() -> None:
    """At 80 and at 60 columns no line is longer, and nothing in a name is obeyed."""
    from io import StringIO

    from rich.console import Console

    cases = [case("\x1b[2Jx" * 9, ["refused", "angry", "clean"], rules=["R1", "R2", "R2"], seconds=3)] * 7
    for width in (80, 60):
        for shown in (soft_labels(cases, RUBRIC), disagreements_by_pair(cases, RUBRIC)):
            console = Console(file=StringIO(), width=width)
            console.print(rich_table(shown._table()))
            text = console.file.getvalue()  # type: ignore[attr-defined]
            assert max(map(len, text.splitlines())) <= width
            assert "\x1b" not in text
