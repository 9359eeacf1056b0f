"""How evaluations, surfaces and their figures look on a terminal of 80, 60 and 40 columns."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console
from sweep_workspace import make_cell, make_dataset, make_surface

from llmclf.evaluation import Evaluation, evaluate
from llmclf.render.tables import TableText, counted, rich_table, seconds_text, usd_range, usd_text, wrapped
from llmclf.sweeps import Surface
from llmclf.sweeps.report import report_html
from llmclf.types import (
    Conversation,
    Costs,
    ErrorInfo,
    Estimate,
    Example,
    FailureMode,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    dataset_of,
)

MODE = "promise_without_action_or_date"
TASK = Task(
    "refusal",
    "Is a person refused?",
    (Label("refusal", "target", "x"), Label("frustration", "adjacent", "x"), Label("clean", "clean", "x")),
    failure_modes=(FailureMode(MODE, "says so, does not"),),
)
DATASET = make_dataset(targets=60, adjacent=40, clean=500)
COSTS = Costs(prevalence=0.02)
NAMES = ("callback_promised_keyword", "sim/small · thinking off · prompt_with_examples")


def shown(value: object, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(value)
    return out.getvalue()


def joined(text: str) -> str:
    return " ".join(text.split())


def measured(
    labels: Sequence[str], failed: Sequence[int] = (), message: str = "UnsupportedParamsError: no"
) -> Evaluation:
    """Everything is called clean, or has failed."""
    examples = [
        Example(f"c{i}", labels={"refusal": label}, failure_modes=(MODE,) if label == "refusal" else ())
        for i, label in enumerate(labels)
    ]
    conversations = [Conversation(one.conversation_id, (Turn("user", "Hello"),)) for one in examples]
    predictions = [
        Prediction(f"c{i}", "llm@1", "refusal", label="clean")
        if i not in failed
        else Prediction(f"c{i}", "llm@1", "refusal", error=ErrorInfo("bad_request", f"{message} {i % 3}"))
        for i in range(len(labels))
    ]
    return evaluate(Predictions(predictions), dataset_of("set", conversations, examples), TASK)


def surface() -> Surface:
    """Two real cells with long names."""
    return make_surface(
        DATASET,
        make_cell(NAMES[0], DATASET, missed=2, seconds=0.0003, costs=COSTS),
        make_cell(NAMES[1], DATASET, missed=40, alarms=20, seconds=1.0, costs=COSTS),
    )


def test_reasons_stand_below_the_table() -> None:
    """Three columns whose names are whole; the reason is a note without the interval."""
    text = shown(measured(["refusal"] * 6 + ["clean"] * 50), 80)
    assert f" recall of {MODE} " in text
    assert "needs 4 more targets at least." in joined(text)
    assert "% interval 0" not in joined(text) and "can't give" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_one_is_singular() -> None:
    """One more target, one item, one target."""
    text = joined(shown(measured(["refusal"] * 9 + ["clean"]), 80))
    assert "needs 1 more target at least." in text and "10 items, 9 targets" in text
    assert [counted(n, "cell") for n in (0, 1, 1200)] == ["0 cells", "1 cell", "1,200 cells"]
    assert measured(["refusal"] + ["clean"] * 9).recall.why_not.startswith("1 positive can't")


@pytest.mark.parametrize("width", [40, 55, 60, 71])
def test_narrow_terminals_stack_rows(width: int) -> None:
    """Every figure is whole with its interval in brackets, and no line is too long."""
    whole, text = shown(surface(), 200), shown(surface(), width)
    assert all(len(line) <= width for line in text.splitlines())
    figures = re.findall(r"\d\.\d{2,}-\d\.\d{2,}|\$[\d.,]+-\$[\d.,]+\d", whole)
    assert len(figures) >= 6
    for figure in figures:
        assert figure in text
    assert sum(f"({figure})" in text for figure in figures) >= 6
    assert "\n  recall 0.97 (0.89-0.99)\n" in text.replace(" \n", "\n")
    evaluated = shown(measured(["refusal"] * 12 + ["clean"] * 50), width)
    assert "recall (of this set) 0.00 (0.00-0.21)" in evaluated
    assert all(len(line) <= width for line in evaluated.splitlines())


def test_names_break_between_words() -> None:
    """In a table of 80 columns the pieces of a name are whole."""
    text = shown(surface(), 80)
    first = [line[:26].strip() for line in text.splitlines()]
    for name in NAMES:
        for piece in re.split(r"[_ ·/]+", name):
            assert any(piece in re.split(r"[_ ·/]+", line) for line in first), piece
    assert wrapped("callback_promised_keyword", 20) == ["callback_promised_", "keyword"]
    assert wrapped("x" * 25, 20) == ["x" * 20, "x" * 5]


def test_a_word_that_is_too_long_stacks_the_table() -> None:
    """Where a name can't stand beside the figures whole, it gets a line of its own."""
    name = "w" * 60
    table = TableText("title", ("cell", "recall"), ((name, "0.45\n0.33-0.57" + "0" * 10),), right=(1,))
    assert name in shown(rich_table(table), 80).splitlines()


def test_failed_labels_say_that_they_failed() -> None:
    """False alarms of a label whose items all failed are not known, and the reason is not about targets."""
    got = measured(["refusal"] * 12 + ["clean"] * 20 + ["frustration"], failed=[32])
    assert got.by_label["frustration"].why_not == "every item of this label failed: false alarms can't be counted"


def test_all_failed_leads_with_the_failures() -> None:
    """Counts by kind, two messages that differ, and no page of question marks; messages are in no file."""
    got = measured(["refusal"] * 2 + ["clean"] * 2, failed=range(4))
    text = joined(shown(got, 80))
    assert got.notes[0] == "4 of 4 items failed (4 bad_request). None was answered, so there is no figure."
    assert "Errors, for example: 'UnsupportedParamsError: no 0' and 'UnsupportedParamsError: no 1'." in text
    assert "?" not in text and "failed: bad_request 4" in text
    assert "UnsupportedParams" not in got.to_json()
    assert got.precision.why_not and "every item failed" in got.specificity.why_not


def test_some_failed_show_the_messages() -> None:
    """Beside the figures; a message of any length and shape is one short line."""
    got = measured(["refusal"] * 12 + ["clean"] * 20, failed=[3], message="bad\n" * 200)
    text = joined(shown(got, 80))
    assert "1 of 32 items failed (1 bad_request); targets among them: 1." in text
    assert "bad bad" in text and len(got.error_messages[0]) <= 160


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0, "$0"),
        (515.4, "$515"),
        (99.999, "$100"),
        (1234567, "$1,234,567"),
        (5.15, "$5.15"),
        (40, "$40.00"),
        (0.99999, "$1.00"),
        (0.5, "$0.50"),
        (0.123456, "$0.1235"),
        (0.000035, "$0.000035"),
        (0.0000351234, "$0.00003512"),
    ],
)
def test_dollars(dollars: float, text: str) -> None:
    """No cents from a hundred up, cents below, four digits below a dollar, never an exponent."""
    assert usd_text(dollars) == text


def test_dollars_with_an_interval() -> None:
    """Each number by its own size."""
    assert usd_range(Estimate(76.82, 46.45, 156.2)) == "$76.82 ($46.45-$156)"
    assert usd_range(Estimate.unknown("no price")) == "not estimable (no price)"


def test_seconds() -> None:
    """Two digits; below a thousandth it says so."""
    assert [seconds_text(s) for s in (None, 3.5e-05, 0.0049, 0.5, 9.96, 29.4)] == [
        "-",
        "<0.001",
        "0.0049",
        "0.5",
        "10",
        "29",
    ]


def test_words_are_explained_once() -> None:
    """What dollars add up, flagging nothing, the front: with the sweep's own prices."""
    text = joined(shown(surface(), 80))
    assert "a miss $40, a flagged item's review $1.20, a false alarm $2 more" in text
    assert text.count("Flagging nothing: no classifier at all") == 1
    assert text.count("On the front: no other cell is both cheaper") == 1


def test_unknown_dollars_are_explained_below() -> None:
    """The name column of the surface holds names, not reasons."""
    few = make_dataset(targets=4, clean=100)
    text = joined(shown(make_surface(few, make_cell("perfect", few)), 80))
    assert "No dollars for perfect: 4 positives can't give a dollar figure: needs 6 more at least." in text


def test_long_names_may_break_at_their_underscores() -> None:
    """A cell's name does not widen the page."""
    html = report_html(surface())
    assert "callback_<wbr>promised_<wbr>keyword" in html
