"""The page in which people label, in a real browser against a real server: keys, losses, blindness, looks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from label_session import ADJUDICATOR, BLIND, RUBRIC, Server, conversation_of, make_session

from llmclf.calibration.desk import Desk
from llmclf.calibration.session import Session
from llmclf.server.running import links
from llmclf.store import Store
from llmclf.types import Conversation, Label, Turn

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> & \"quoted\" 'too'\u202e \u2028"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
CONTROLS = (
    "#choices .choice",
    "#rule",
    "#note",
    "#mark",
    "#save",
    "#skip",
    "#undo",
    "#open-help",
    "#question",
    "#count",
)
IN_VIEW = """(selectors) => selectors.flatMap((selector) => [...document.querySelectorAll(selector)].filter((one) => {
  const box = one.getBoundingClientRect();
  if (!box.width) return true;
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const covered = !at || !(one.contains(at) || at.contains(one));
  return box.x < 0 || box.y < 0 || box.right > innerWidth || box.bottom > innerHeight || covered;
}).map(() => selector))"""
CONTRAST = """() => {
  const parse = (text) => { const found = text.match(/[\\d.]+/g).map(Number);
    return found.length < 4 ? [...found, 1] : found; };
  const over = (top, under) => top.slice(0, 3).map((value, place) => value * top[3] + under[place] * (1 - top[3]));
  const light = (color) => { const [r, g, b] = color.map((value) => { const c = value / 255;
    return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (element) => { const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
    const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
    return layers.reverse().reduce((under, layer) => over(layer, under), canvas); };
  const worst = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (["SCRIPT", "NOSCRIPT", "OPTION"].includes(element.tagName)) continue;
    let opacity = 1;
    for (let one = element; one; one = one.parentElement) opacity *= Number(getComputedStyle(one).opacity);
    const under = ground(element);
    const color = parse(getComputedStyle(element).color);
    const [a, b] = [light(over([...color.slice(0, 3), color[3] * opacity], under)), light(under)].sort((x, y) => y - x);
    worst.push([Math.round((a + .05) / (b + .05) * 100) / 100, walker.currentNode.data.trim().slice(0, 30)]);
  }
  return worst.filter(([ratio]) => ratio < 4.5);
}"""


class Served:
    """The real server in a process of its own, and the desk of the store it uses."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "labels.db")
        self.desk = Desk(self.store)
        self.server = Server(folder, folder / "labels.db").start()

    def links(self, session: Session, conversations: Mapping[str, Conversation]) -> dict[str, str]:
        """Opens a session; the links of its people."""
        self.desk.open(session, conversations)
        return links(self.desk, session.id, self.server.url)

    def rows(self, session: Session) -> list[dict[str, Any]]:
        """What is in the store of it and not undone, in the order in which it came."""
        kept = "SELECT * FROM session_labels WHERE session_id = ? AND undone_at IS NULL ORDER BY label_id"
        return self.store.query(kept, (session.id,))


def card_of(served: Served, session: Session) -> dict[str, Any]:
    """The report card of the session by the command, as JSON."""
    store = str(served.store.path)
    command = [sys.executable, "-c", "from llmclf.cli import main; main()"]
    command += ["calibrate", "report", session.id, "--store", store, "--json"]
    done = subprocess.run(command, cwd=Path(store).parent, capture_output=True, text=True, check=True)
    card: dict[str, Any] = json.loads(done.stdout)
    return card


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("labels"))
    yield made
    made.server.stop()
    made.store.close()


class Person:
    """Somebody with a browser of their own, with every answer they got and all that went wrong."""

    def __init__(
        self,
        browser: Any,
        link: str,
        *,
        size: Any = DESKTOP,
        scheme: str = "light",
        offline: bool = False,
        script: str = "",
    ) -> None:
        self.troubles: list[str] = []
        self.answers: list[str] = []
        self.keys = 0
        self.link = link
        self.context = browser.new_context(viewport=size, color_scheme=scheme)
        self._offline = offline
        if script:
            self.context.add_init_script(script)
        self.open(link)

    def open(self, address: str) -> None:
        """A new tab."""
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self._trouble(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append(dialog.message), dialog.dismiss()))
        self.page.on("response", self._keep)
        self.page.goto(address)
        self.page.wait_for_selector("#work:not([hidden]), #end:not([hidden])")

    def _trouble(self, text: str) -> None:
        if not (self._offline and "ERR_CONNECTION" in text):  # the server was killed on purpose
            self.troubles.append(text)

    def _keep(self, response: Any) -> None:
        if response.status == 200:
            try:
                self.answers.append(response.text())
            except Exception:  # the tab was closed meanwhile
                self.answers.append("")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    @property
    def count(self) -> str:
        return str(self.page.text_content("#count"))

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits; the page's policy forbids the eval by which playwright would wait for a condition."""
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline, self.page.inner_text("body")
            self.page.wait_for_timeout(15)

    def until_count(self, beginning: str) -> None:
        self.until(lambda: self.count.startswith(beginning))

    def label(self, key: str) -> None:
        """One label by keyboard, and waits until it counts; the minutes left may change before that."""
        before = self.done
        self.press(key, "Enter")
        self.until(lambda: self.done != before)

    @property
    def done(self) -> str:
        return self.count.partition(" of ")[0]

    def close_tab(self) -> None:
        self.page.close(run_before_unload=False)

    @property
    def ended(self) -> bool:
        return bool(self.page.is_visible("#end"))


def test_two_people_label_and_a_third_decides(browser: Any, served: Served) -> None:
    """Twelve cases by keyboard; a tab is closed and the server killed in the middle: every label is there once."""
    session, conversations = make_session(12, practice=1)
    items = tuple(replace(one, split="test" if one.split == "align" else one.split) for one in session.items)
    session = replace(session, items=items)
    made, server = served.links(session, conversations), served.server
    ana, ben = (Person(browser, made[name], offline=True) for name in ("ana", "ben"))
    for person in (ana, ben):  # the practice case: its label is known, and told afterwards
        assert "1 left, not scored" in person.page.inner_text("#practice")
        person.press("2", "Enter")
        person.page.wait_for_selector("#told[open]")
        assert "refused" in person.page.text_content("#told-title")
        person.page.keyboard.press("Enter")
        person.page.wait_for_selector("#practice", state="hidden")  # the next case comes after the dialog is gone
        person.keys = 0
    for place in range(4):
        ana.label("1")
        ben.label("1" if place % 2 else "3")

    ana.press("2")
    ana.close_tab()  # chosen and not saved: it is there again
    ana.open(made["ana"])
    assert ana.page.is_checked("#choices input[value=frustrated]")
    ana.press("Enter")
    ana.until_count("6 of")

    server.kill()
    ana.press("1", "Enter")
    ben.press("1", "Enter")
    for person in (ana, ben):
        person.until(lambda person=person: person.page.text_content("#kept").startswith("Not saved yet"))
    ana.close_tab()  # not saved, and the tab is gone: it is sent on return
    server.start()
    ben.until_count("6 of")
    ana.open(made["ana"])
    assert ana.count.startswith("7 of")
    while not ana.ended:
        ana.label("1")
    assert "Others are still labelling" in ana.page.text_content("#end-text")
    while not ben.ended:
        ben.label("1")
    assert "Thank you" in ana.page.text_content("#end-title")
    assert "Others" not in ben.page.text_content("#end-text")
    assert ana.keys <= 2 * 12
    assert ben.keys <= 2 * 12

    cara = Person(browser, made[ADJUDICATOR])
    assert cara.count.startswith("0 of 3")
    assert cara.page.is_visible("#others")
    while not cara.ended:
        cara.label("3")
    rows, labelled = served.rows(session), served.desk.labelled(session.id)
    once = Counter((row["case_id"], row["annotator"]) for row in rows)
    assert set(once.values()) == {1}
    assert len(once) == 2 * 13 + 3
    assert sum(one.adjudication is not None for one in labelled) == 3
    card = card_of(served, session)
    assert (card["state"], card["counts"]["labelled"]) == ("people", 12)
    assert [(one["name"], one["labels"]) for one in card["ceiling"]["people"]] == [("ana", 12), ("ben", 12)]
    assert (card["spent"]["labels"], card["spent"]["adjudications"]) == (2 * 13, 3)  # practice took time as well
    told = Counter(case for pair in card["people_differ"]["pairs"] for case in pair["cases"])
    assert set(told.values()) == {1} and len(told) == 3  # what they differed on, each once
    for person in (ana, ben, cara):
        assert person.troubles == []
        assert "enter" not in person.page.url
        assert len([answer for answer in person.answers if '"ask":' in answer]) >= 3  # they were really read
        assert not [word for word in BLIND for answer in person.answers if word in answer]
        person.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_are_in_view_and_words_can_be_read(browser: Any, served: Served, scheme: str) -> None:
    """At 1280x800 nothing has to be scrolled for, with a long guideline too; contrast is at least 4.5."""
    long = tuple(replace(one, definition=one.definition * 9) for one in RUBRIC.verdicts)
    long += tuple(Label(f"label_of_some_length_{number}", "clean", "Something else.") for number in range(4, 10))
    session, conversations = make_session(3, rubric=replace(RUBRIC, verdicts=long), turns=60, practice=1)
    made = served.links(session, conversations)
    for name in ("ana", "ben"):
        person = Person(browser, made[name], scheme=scheme)
        assert person.page.evaluate(IN_VIEW, list(CONTROLS)) == []
        assert person.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        person.press("3" if name == "ana" else "1", "h")
        person.page.wait_for_selector("#hint:not(:empty)")
        assert person.page.evaluate(CONTRAST) == []
        while not person.ended:
            person.press("1" if name == "ana" else "3", "j", "h", "r", "2", "n")
            person.page.keyboard.type("A note.")
            person.page.keyboard.press("Escape")
            assert person.page.evaluate(IN_VIEW, list(CONTROLS)) == []
            assert person.page.evaluate(CONTRAST) == []
            before = person.count
            person.press("Enter")
            person.until(lambda person=person, before=before: person.page.is_visible("#told") or person.count != before)
            if person.page.is_visible("#told"):
                assert person.page.evaluate(CONTRAST) == []
                person.press("Enter")
                person.until(lambda person=person, before=before: person.count != before)
        assert person.page.evaluate(CONTRAST) == []
        assert person.troubles == []
        person.context.close()
    cara = Person(browser, made[ADJUDICATOR], scheme=scheme)
    assert "A note." in cara.page.text_content("#others")
    assert cara.page.evaluate(IN_VIEW, list(CONTROLS)) == []
    for key in ("?", "s"):
        assert cara.page.evaluate(CONTRAST) == []
        cara.press(key)
        cara.page.wait_for_selector("dialog[open]")
        assert cara.page.evaluate(CONTRAST) == []
        cara.press("Escape")
    assert cara.troubles == []
    cara.context.close()


@pytest.mark.parametrize("height", [800, 600])
def test_the_guideline_has_the_free_height_and_shows_that_it_goes_on(browser: Any, served: Served, height: int) -> None:
    """No empty strip under the buttons; the chosen label's part comes into view, and its words under the labels."""
    last = Label("other", "clean", "Something else altogether. " * 5)
    session, conversations = make_session(2, rubric=replace(RUBRIC, verdicts=(*RUBRIC.verdicts, last)))
    person = Person(browser, served.links(session, conversations)["ana"], size={"width": 1280, "height": height})
    box = "document.querySelector('#guideline .text').getBoundingClientRect()"
    assert person.page.evaluate(f"{box}.height") >= (310 if height == 800 else 140)
    edge = "document.querySelector('#right').getBoundingClientRect().bottom"
    assert person.page.evaluate(f"{edge} - document.querySelector('.actions').getBoundingClientRect().bottom") < 20
    assert person.page.is_visible("#below")
    assert person.page.evaluate(IN_VIEW, list(CONTROLS)) == []
    person.press("4")
    section = "document.querySelector('#guideline section.chosen').getBoundingClientRect()"
    person.until(lambda: person.page.evaluate(f"{section}.bottom <= {box}.bottom + 1 && {section}.top >= {box}.top"))
    assert person.page.text_content("#meaning") == last.definition
    assert person.page.get_attribute(".choice:has([value=other])", "title") == last.definition
    person.until(lambda: not person.page.is_visible("#below"))
    assert person.troubles == []
    person.context.close()


def test_a_phone_has_everything_too(browser: Any, served: Served) -> None:
    """At 390 pixels nothing is wider than the window, and labels and buttons are in view."""
    session, conversations = make_session(2)
    made = served.links(session, conversations)
    person = Person(browser, made["ana"], size=PHONE)
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert person.page.evaluate(IN_VIEW, ["#choices .choice", "#save", "#skip", "#undo", "#question"]) == []
    person.page.click(".choice:has([value=clean])")
    person.page.click("#save")
    person.until_count("1 of")
    assert person.troubles == []
    person.context.close()


def test_hostile_words_run_nothing_and_are_quoted_as_they_are(browser: Any, served: Served) -> None:
    """Markup in conversations, names, rules and notes is text; a highlight of it reaches the store word for word."""
    rubric = replace(
        RUBRIC, question=HOSTILE, verdicts=(replace(RUBRIC.verdicts[0], definition=HOSTILE), *RUBRIC.verdicts[1:])
    )
    session, conversations = make_session(2, rubric=rubric, people=("ana",))
    conversations = {
        id: replace(one, turns=(Turn("user", HOSTILE), *one.turns[1:])) for id, one in conversations.items()
    }
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    assert person.page.text_content("#turns .said") == HOSTILE
    assert person.page.text_content("#question") == HOSTILE
    person.page.evaluate("getSelection().selectAllChildren(document.querySelector('#turns .said'))")
    person.press("h", "1", "n")
    person.page.keyboard.type(HOSTILE[:60])
    person.press("Enter", "Enter")
    person.until_count("1 of")
    assert person.page.locator("main img, main script").count() == 0
    assert person.troubles == []
    [row] = served.rows(session)
    assert row["note"] == HOSTILE[:60]
    [kept] = json.loads(row["evidence"])
    assert kept["quote"] == HOSTILE.strip()
    assert kept.get("grounded", True)
    person.context.close()


def test_undo_skip_rule_and_selection(browser: Any, served: Served) -> None:
    """Undo brings the last case back with what was said; a skip needs a reason; half a turn can be highlighted."""
    session, conversations = make_session(3, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    person.press("Enter")
    assert "Choose a label" in person.page.text_content("#hint")
    box = person.page.locator('#turns .said[data-turn="2"]').bounding_box()
    person.page.mouse.move(box["x"] + 2, box["y"] + 8)
    person.page.mouse.down()
    person.page.mouse.move(box["x"] + 90, box["y"] + 8)
    person.page.mouse.up()
    person.page.click("#mark")
    quote = person.page.text_content("#turns mark")
    assert quote in conversation_of(0).turns[2].text
    person.press("1", "r", "2")
    assert person.page.input_value("#rule") == "R2"
    person.press("Enter")
    person.until_count("1 of")
    person.press("u")
    person.until_count("0 of")
    assert person.page.is_checked("#choices input[value=refused]")
    assert person.page.input_value("#rule") == "R2"
    assert person.page.text_content("#turns mark") == quote
    person.label("3")
    person.press("s", "Enter")
    assert person.page.is_visible("#skipping")  # no reason was given
    person.press("2")
    person.until_count("2 of")
    person.label("2")
    assert "You labelled 2 and skipped 1." in person.page.text_content("#end-text")
    rows = served.rows(session)
    assert [(row["label"], row["skipped"]) for row in rows] == [
        ("clean", ""),
        (None, "not enough is shown to tell"),
        ("frustrated", ""),
    ]
    assert all(0 <= row["seconds"] < 60 for row in rows)
    assert person.troubles == []
    person.context.close()


def same_origin(route: Any) -> dict[str, str]:
    """The headers of a request that is passed on by hand: the browser's own word of where it comes from is lost."""
    return {**route.request.all_headers(), "sec-fetch-site": "same-origin"}


def test_an_undo_whose_answer_is_lost_takes_back_one(browser: Any, served: Served) -> None:
    """The server takes a label back and its answer never comes: what is asked again is the same undo."""
    session, conversations = make_session(4, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    person.press("u")
    assert "nothing to take back" in person.page.text_content("#hint")
    for key in "123":
        person.label(key)
    person.until_count("3 of")
    asked: list[str] = []

    def lost(route: Any) -> None:
        asked.append(route.request.post_data)
        answer = route.fetch(headers=same_origin(route))
        if len(asked) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    person.page.route("**/api/undo", lost)
    person.press("u")
    person.until_count("2 of")
    assert len(asked) == 2
    assert len(set(asked)) == 1
    assert [row["label"] for row in served.rows(session)] == ["refused", "frustrated"]
    assert person.page.is_checked("#choices input[value=clean]")
    person.context.close()


def test_undo_after_another_tab_takes_back_nothing_else(browser: Any, served: Served) -> None:
    """What another tab has saved since is not taken back by who does not see it; the page catches up."""
    session, conversations = make_session(4, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    person.label("1")
    first = person.page
    person.open(made["ana"])
    person.label("2")
    first.bring_to_front()
    first.keyboard.press("u")
    person.page = first
    person.until_count("2 of")
    assert "saved since" in first.text_content("#hint")
    assert len(served.rows(session)) == 2
    person.press("u")
    person.until_count("1 of")
    assert [row["label"] for row in served.rows(session)] == ["refused"]
    person.context.close()


def test_what_a_firewall_answers_loses_no_label(browser: Any, served: Served) -> None:
    """JSON that is not the server's own, whatever its status, is no answer: the label is sent again."""
    session, conversations = make_session(2, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    answers = [(403, '{"error": "blocked"}'), (200, '{"login": true}'), (404, "{}"), (401, "null")]

    def blocked(route: Any) -> None:
        if answers:
            status, body = answers.pop(0)
            route.fulfill(status=status, body=body, content_type="application/json")
        else:
            route.fulfill(response=route.fetch(headers=same_origin(route)))

    person.page.route("**/api/save", blocked)
    person.press("3", "Enter")
    person.until(lambda: person.page.text_content("#kept").startswith("Not saved yet"))
    while answers:
        person.page.evaluate("dispatchEvent(new Event('online'))")
        person.page.wait_for_timeout(30)
    person.until_count("1 of")
    assert [row["label"] for row in served.rows(session)] == ["clean"]
    assert person.page.evaluate("Object.keys(localStorage)") == []
    person.context.close()


def test_what_is_refused_is_chosen_still(browser: Any, served: Served) -> None:
    """Where the server refuses a label it is not sent again, and what was chosen stays, also after a reload."""
    session, conversations = make_session(2, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    person.page.route(
        "**/api/save",
        lambda route: route.fulfill(
            response=route.fetch(headers=same_origin(route), post_data='{"item": "nothing of ours"}')
        ),
    )
    person.press("2", "n")
    person.page.keyboard.type("Hard to say.")
    person.press("Enter", "Enter")
    person.until(lambda: person.page.text_content("#kept") == "Not saved")
    [kept] = person.page.evaluate("Object.keys(localStorage)")  # also where the browser dies now
    assert kept.endswith("draft")
    person.close_tab()
    person.open(made["ana"])
    assert person.page.is_checked("#choices input[value=frustrated]")
    assert person.page.input_value("#note") == "Hard to say."
    assert served.rows(session) == []
    person.press("Enter")
    person.until_count("1 of")
    assert [(row["label"], row["note"]) for row in served.rows(session)] == [("frustrated", "Hard to say.")]
    assert person.page.evaluate("Object.keys(localStorage)") == []
    person.context.close()


def test_minutes_are_told_from_five_labels_on(browser: Any, served: Served) -> None:
    """What is left is not reckoned from a few labels."""
    session, conversations = make_session(7, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    for _ in range(4):
        person.label("1")
        assert "left" not in person.count
    person.label("1")
    assert person.count == "5 of 7, about a minute left"
    person.context.close()


def test_a_judge_session_shows_what_is_judged_and_no_more(browser: Any, served: Served) -> None:
    """What the rubric sees stands above the conversation, the turn asked about is named, the rest stays home."""
    rubric = replace(RUBRIC, name="evidence", sees=("conversation", "quote"))
    shown = {"quote": "Can I please talk", "rationale": "rationale-secret"}
    session, conversations = make_session(2, rubric=rubric, shown=shown, turn=6, kind="judge", people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    assert "Can I please talk" in person.page.text_content("#judged")
    assert "asked about" in person.page.text_content(".turn.about .head")
    assert person.page.evaluate(IN_VIEW, [".turn.about", "#judged", *CONTROLS]) == []
    person.label("1")
    assert not [word for word in BLIND for answer in person.answers if word in answer]
    assert person.troubles == []
    person.context.close()


def test_a_browser_that_keeps_nothing_still_sends_again(browser: Any, served: Served) -> None:
    """Where the browser refuses to store, a label outlives the server's restart in the page itself."""
    session, conversations = make_session(2, people=("ana",))
    made, server = served.links(session, conversations), served.server
    refuses = "Storage.prototype.setItem = () => { throw new Error('full'); }"
    person = Person(browser, made["ana"], offline=True, script=refuses)
    server.kill()
    person.press("1", "Enter")
    person.until(lambda: person.page.text_content("#kept").startswith("Not saved yet"))
    server.start()
    person.until_count("1 of")
    assert person.troubles == []
    person.context.close()


def test_a_link_that_was_taken_back_loses_nothing(browser: Any, served: Served) -> None:
    """The page asks to open the link again; what was chosen last is sent when a new link is opened."""
    session, conversations = make_session(2, people=("ana",))
    made, server = served.links(session, conversations), served.server
    person = Person(browser, made["ana"], offline=True)
    served.desk.revoke(session.id, "ana")
    person.press("3", "Enter")
    person.until(lambda: person.ended)
    assert "Open your link again" in person.page.text_content("#end-title")
    person.close_tab()
    person.open(links(served.desk, session.id, server.url)["ana"])
    assert person.count.startswith("1 of")
    assert [one.truth for one in served.desk.labelled(session.id)] == ["clean", None]
    assert [trouble for trouble in person.troubles if "401" not in trouble] == []
    person.context.close()


def test_time_counts_while_somebody_is_there(browser: Any, served: Served) -> None:
    """A pause counts up to a minute, and a page out of view not at all."""
    session, conversations = make_session(2, people=("ana",))
    made = served.links(session, conversations)
    person = Person(browser, made["ana"])
    spent = "(ago) => { clock.sum = 0; clock.since = performance.now() - ago; tick(); return clock.sum; }"
    assert 20_000 <= person.page.evaluate(spent, 20_000) < 30_000
    assert person.page.evaluate(spent, 900_000) == 60_000
    hidden = "() => { Object.defineProperty(document, 'hidden', { value: true }); tick(); return clock.since; }"
    assert person.page.evaluate(hidden) is None
    person.context.close()


def test_an_adjudicator_waits_and_goes_on(browser: Any, served: Served) -> None:
    """Before anybody has labelled there is nothing to decide, and the page says what it waits for."""
    session, conversations = make_session(2)
    made = served.links(session, conversations)
    person = Person(browser, made[ADJUDICATOR])
    assert "Nothing to decide right now" in person.page.text_content("#end-title")
    assert "2 cases wait" in person.page.text_content("#end-text")
    assert "ana has 2 to go, ben has 2 to go; then you decide" in person.page.text_content("#end-text")
    assert person.troubles == []
    person.context.close()
