"""The report: one file, nothing loaded, nothing of a conversation runs, simulated cells apart."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_workspace, task_of

from llmclf.errors import ConfigError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, run, write_report
from llmclf.sweeps.report import report_html, script_json
from llmclf.types import Dataset, Evidence, Predictions, Turn

HOSTILE = (
    "<script>document.title = 'pwned'</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=\"alert('x')\">",
    "<!--<script>",
    '"><svg onload=alert(2)> &lt;b&gt; ${x} $title',
    "'; alert(3); //",
    "]]>\u2028\u2029\ud800",
)


class Parsed(HTMLParser):
    """What a browser would see: elements with attributes, script texts, and the text of the rest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else self.inside
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag in ("script", "style") else self.inside

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        """The page's data block."""
        value: dict[str, Any] = json.loads(self.scripts[0])
        return value


def hostile_dataset() -> Dataset:
    """A dataset in which every turn is an attack on the page."""
    dataset = make_dataset(targets=12, adjacent=4, clean=8)
    turns = tuple(Turn("user" if number % 2 else "bot", text) for number, text in enumerate(HOSTILE))
    conversations = {key: replace(value, turns=turns) for key, value in dataset.conversations.items()}
    return replace(dataset, name=HOSTILE[0], conversations=conversations)


def hostile_surface() -> Surface:
    dataset = hostile_dataset()
    quotes = (Evidence(HOSTILE[1], 1), Evidence(HOSTILE[2], None, grounded=False))
    cells = [
        make_cell("<i>words</i>", dataset, missed=3, alarms=2, failed=2, rationale=HOSTILE[0], evidence=quotes),
        make_cell("</script>", dataset, missed=1, simulated=True, rationale=HOSTILE[4]),
    ]
    return make_surface(dataset, *cells)


@pytest.fixture(scope="module")
def parsed() -> Iterator[Parsed]:
    yield Parsed(report_html(hostile_surface()).encode("utf-8", "replace").decode())


def test_hostile_text_stays_text(parsed: Parsed) -> None:
    """No text of a conversation, rationale, quote or name becomes an element or an attribute."""
    assert len(parsed.scripts) == 3
    tags = {tag for tag, _ in parsed.elements}
    assert tags.isdisjoint({"img", "svg", "iframe", "object", "form"})
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    assert "<i>words</i>" in parsed.text
    assert HOSTILE[0] in parsed.text
    said = [text for _, _, text in next(iter(parsed.data["conversations"].values()))]
    assert said[:6] == [" ".join(text.split()) for text in HOSTILE[:6]]


def test_nothing_is_loaded(parsed: Parsed) -> None:
    """No address leads out of the file, and the policy forbids what is not in it."""
    addresses = [
        value
        for _, attributes in parsed.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset", "data") and value
    ]
    assert [address for address in addresses if not address.startswith("data:")] == []
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    for script in parsed.scripts[1:]:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_simulated_cells_are_in_a_panel_and_a_plot_of_their_own(parsed: Parsed) -> None:
    """The real plot holds real cells alone; the other one is stamped."""
    plots = parsed.data["plots"]
    assert [cell["number"] for cell in plots["real"]["cells"]] == ["1"]
    assert [cell["number"] for cell in plots["simulated"]["cells"]] == ["S1"]
    assert plots["real"]["stamp"] == ""
    assert plots["simulated"]["stamp"] == "SIMULATED"
    assert not any(cell["front"] for cell in plots["simulated"]["cells"])
    html = report_html(hostile_surface())
    assert html.index('id="plot-real"') < html.index('class="simulated"') < html.index('id="plot-simulated"')


def test_what_is_wrong_can_be_looked_at(parsed: Parsed) -> None:
    """Missed, false alarms, failed and ungrounded verdicts are listed with score, threshold and reason."""
    assert "3 missed, 2 false alarms, 2 failed, 24 ungrounded" in parsed.text
    assert "score 0.000, threshold 0.50" in parsed.text
    assert "NOT IN THE CONVERSATION" in parsed.text
    verdicts = [a for t, a in parsed.elements if t == "details" and a.get("class") == "verdict"]
    about = json.loads(verdicts[0]["data-about"] or "")
    assert about["labelled"] == [2, 3]
    assert about["quotes"] == [[1, HOSTILE[1]]]


def test_a_stopped_sweep_has_a_report(tmp_path: Path) -> None:
    """What is there is shown, what is not is named, and why it stopped stands on top."""
    dataset = make_dataset()
    done = make_cell("done", dataset)
    waiting = replace(make_cell("late", dataset), state="waiting", evaluation=None, predictions=Predictions())
    path = write_report(make_surface(dataset, done, waiting, stopped="budget"), tmp_path / "new" / "report.html")
    text = Parsed(path.read_text(encoding="utf-8")).text
    assert "STOPPED: BUDGET" in text
    assert "not begun" in text
    assert path.stat().st_size < 6_000_000


def test_unknown_dollars_are_not_drawn() -> None:
    """With too few targets the report says so in place of the plot, and reasons stand at the cells."""
    dataset = make_dataset(targets=4, clean=60)
    html = report_html(make_surface(dataset, make_cell("few", dataset)))
    assert 'id="plot-real"' not in html
    text = Parsed(html).text
    assert "there is nothing to draw" in text
    assert "not estimable" in text


def test_only_simulated_cells_make_a_report_too() -> None:
    """It says that nothing real was measured."""
    dataset = make_dataset()
    text = Parsed(report_html(make_surface(dataset, make_cell("dream", dataset, simulated=True)))).text
    assert "No real cell was measured" in text


def test_personal_data_stays_out(tmp_path: Path) -> None:
    """Conversations are shown as the workspace's privacy lets them be kept."""
    workspace = make_workspace(tmp_path)
    dataset = make_dataset()
    calls = {
        key: replace(value, turns=(*value.turns, Turn("user", "My name is Ana Kowalska, ring +1 555 010 0199")))
        for key, value in dataset.conversations.items()
    }
    with Runtime(workspace=workspace) as runtime:
        file = make_sweep(classifier=None, grid={"classifier": ["words"]})
        surface = run(file, replace(dataset, conversations=calls), task_of(workspace), runtime)
    html = report_html(surface)
    assert "[PHONE_1]" in html
    assert "555 010" not in html
    assert "Kowalska" not in html


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message says where."""
    with pytest.raises(ConfigError, match="can't be written"):
        write_report(make_surface(make_dataset()), tmp_path)


@given(
    st.recursive(
        st.text() | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_script_element_comes_back_whole(value: Any) -> None:
    """Whatever it holds, it can't end the element, and reads as it was written."""
    text = script_json(value)
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert json.loads(text) == value
