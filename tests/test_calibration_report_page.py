"""The report card where people read it: page, terminal, JSON; hidden names, hostile texts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import pytest
from made_sessions import NO, YES, Row, card_of, drawn_at_random, made, rows
from rich.console import Console

from llmclf.calibration.card import Calibration, calibrate
from llmclf.calibration.figure_text import figure_text, in_words
from llmclf.calibration.flag import Flag
from llmclf.calibration.report_page import card_page
from llmclf.types import FAILED, Estimate, Judgment, Label, Rubric

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\"'&"


class Elements(HTMLParser):
    """The names of all elements of a page, those with handlers, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the name of the element and of its attributes."""
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        self.words.append(data)


def shown(card: Calibration, width: int) -> str:
    """What a terminal of so many columns shows."""
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(card)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def busy_card() -> Calibration:
    """A card with everything on it."""
    given = drawn_at_random(300, 0.3, 0.85, 0.95, 3, people=2)
    given += [Row([YES, YES], None), Row([YES, NO], YES)]
    flags = (Flag("position", "The order in which a and b stand turns 18 of 100 verdicts."),)
    return card_of(given, options={"flags": flags, "looks": 6, "judged": {YES: 3_000, NO: 7_000, FAILED: 10}})


def test_the_page_holds_all_that_the_card_says_and_needs_no_script() -> None:
    """State, every sentence, flags, people, groups of cases, minutes; one file that loads nothing."""
    card = busy_card()
    page = card_page(card)
    elements = Elements(page)
    words = " ".join(" ".join(elements.words).split())
    for sentence in (*card.sentences[1:], *(flag.sentence for flag in card.flags)):
        assert sentence in words
    for heading in (
        "What is wrong with it",
        "How well it agrees with people",
        "Where it is right and wrong",
        "People among themselves",
        "What people differ on",
        "How common it is",
        "What it took",
        "How it was measured",
    ):
        assert heading in words
    assert "script" not in elements.names and "default-src 'none'" in page
    assert "http:" not in page and "https:" not in page


def test_hostile_texts_are_words_on_the_page() -> None:
    """Reasons, notes, rules, names, ids, metadata, verdicts and flags can't become elements or handlers."""
    rubric = Rubric(HOSTILE, HOSTILE, (Label(NO, "clean", ""), Label(HOSTILE, "target", "")), "binary")
    given = [Row([HOSTILE, NO], NO, HOSTILE, rule=HOSTILE, reason=HOSTILE, metadata={HOSTILE: HOSTILE})] * 12
    given += [Row([NO, NO], HOSTILE, metadata={HOSTILE: "other"}, group=HOSTILE)] * 12
    flag = Flag(HOSTILE, HOSTILE, grave=True)
    card = card_of(given, rubric=rubric, people=(HOSTILE, "ben"), options={"flags": (flag,), "judge": HOSTILE})
    plain_page = Elements(card_page(busy_card()))
    elements = Elements(card_page(card))
    assert set(elements.names) <= set(plain_page.names)
    assert elements.attributes <= plain_page.attributes
    assert any("<script>alert(1)</script>" in words for words in elements.words)
    assert "\x1b" not in shown(card, 80)


def test_hidden_names_are_nowhere() -> None:
    """People are A1, A2, ... on the page, on the terminal and in the JSON, the adjudicator too."""
    given = drawn_at_random(80, 0.4, 0.8, 0.9, 5, people=2)
    for hide in (False, True):
        session, labelled, judgments = made(given, hide_names=hide)
        for card in (calibrate(session, labelled, judgments), calibrate(session, labelled, [])):
            everything = card_page(card) + shown(card, 80) + card.to_json()
            assert bool(re.search(r"\b(ana|ben|cara)\b", everything)) is not hide
            assert ('"A1"' in everything) is hide


@pytest.mark.parametrize("width", [60, 80])
def test_the_terminal_form_fits(width: int) -> None:
    """No line is wider than the terminal; state, figures, the bar and people's stand in it."""
    text = shown(busy_card(), width)
    assert max(map(len, text.splitlines())) <= width
    for word in ("CAN'T TELL YET", "positive agreement", "sensitivity", "kappa", "bar", "a person"):
        assert word in text


def test_a_simulated_judge_is_stamped_everywhere() -> None:
    """On the page, on the terminal and in the JSON."""
    session, labelled, _ = made(rows(found=20, quiet=80))
    judgments = [Judgment(one.case.id, "j", "f" * 64, one.truth, simulated=True) for one in labelled]
    card = calibrate(session, labelled, judgments)
    assert "SIMULATED" in card_page(card) and "SIMULATED" in shown(card, 80)
    assert json.loads(card.to_json())["simulated"] is True


def test_the_json_holds_every_figure_with_its_interval() -> None:
    """Estimates are complete, groups hold both reasons, and nothing is lost to defaults."""
    row = json.loads(busy_card().to_json())
    assert set(row["rates"]["sensitivity"]) >= {"value", "low", "high", "method", "n_positives", "why_not"}
    assert row["figures"]["kappa"] == row["kappa"]
    assert row["state"] == "cant_tell" and row["waits_for"] == {"cara": 1} and row["sentences"][0] == row["why"]
    group = row["disagreements"]["groups"][0]
    assert {"reason", "people"} <= set(group["shown"][0])
    assert row["counts"]["failed"] == 1 and row["asks_for_fresh_labels"] is True
    assert row["ceiling"]["judge_is"] in ("below", "within", "above", "cant_tell")


def test_labels_without_times_cost_an_unknown_time() -> None:
    """Nothing is said to have taken no minutes."""
    session, labelled, judgments = made(rows(found=20, quiet=80))
    untimed = [replace(one, annotations=(replace(one.annotations[0], seconds=None),)) for one in labelled]
    card = calibrate(session, untimed, judgments)
    assert "not timed" in card_page(card) and "people's time is not known" in shown(card, 80)


def test_figures_below_zero_are_written_out() -> None:
    """A kappa's interval below 0 is read with `to`, and what is withheld is told in words."""
    assert figure_text(Estimate(-0.32, -0.40, -0.23)) == "-0.32 (-0.40 to -0.23)"
    assert in_words(Estimate(None, 0.5, 0.9)) == "in 0.50-0.90"
    assert in_words(Estimate.unknown("no positives")) == "not known (no positives)"
    worse = card_of(rows(found=2, missed=38, false=38, quiet=22))
    assert any(sentence.startswith("It is worse than always saying") for sentence in worse.sentences)


def test_the_peoples_card_has_a_page_and_a_table() -> None:
    """Without a judge: agreement of people, each of them, what they differ on; no bar and no confusion."""
    session, labelled, _ = made(drawn_at_random(120, 0.4, 0.8, 0.9, 7, people=3))
    card = calibrate(session, labelled, [])
    page, text = card_page(card), shown(card, 80)
    assert "People&#x27;s labels" in page or "PEOPLE'S LABELS" in page
    assert "Where it is right and wrong" not in page and "What people differ on" in page
    assert "dan: positive agreement" in text and "bar" not in text.split()


def test_who_says_what_is_true_is_named() -> None:
    """Where it is no person: in headings, tables and sentences; nothing is said of people among themselves."""
    name = "bullshit_judge_1"
    session, labelled, judgments = made([Row([YES], NO)] * 3 + rows(found=60, quiet=300), reference=name)
    card = calibrate(session, labelled, judgments)
    page, text = card_page(card), shown(card, 80)
    words = " ".join(" ".join(Elements(page.partition("</style>")[2]).words).split())
    assert f"3 cases judged otherwise than by {name}" in words and f"How well it agrees with {name}" in words
    assert f"No ceiling: the reference is {name}." in card.sentences
    assert f"3 cases judged otherwise than by {name}" in " ".join(text.split())
    for gone in ("a person", "People", "people"):
        assert gone not in words and gone not in text
    assert card.to_dict()["reference"] == name
