"""The report: one file, nothing loaded, nothing of a conversation runs, simulated cells apart."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import resource
import shlex
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_task, make_workspace, task_of

from llmclf.cli import run as command
from llmclf.errors import DataError
from llmclf.llm.runtime import Runtime
from llmclf.render.pages import script_json
from llmclf.sweeps import Surface, run, write_report
from llmclf.sweeps.report import report_html
from llmclf.sweeps.token_dollars import TokenDollars
from llmclf.types import Annotation, Dataset, Evidence, Predictions, Rule, Turn

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


def page(surface: Surface) -> Parsed:
    """The report without plotly.js, which takes long to parse."""
    return Parsed("</script>".join(part for part in report_html(surface).split("</script>") if len(part) < 2_000_000))


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
    said = [text for _, _, text in next(iter(parsed.data["verdicts"]["conversations"].values()))]
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
    """Missed, false alarms, failed and ungrounded verdicts are counted, and come with score, threshold and reason."""
    assert "3 missed, 2 false alarms, 2 failed, 24 ungrounded" in parsed.text
    verdicts = parsed.data["verdicts"]
    lists = verdicts["cells"][0]["lists"]
    assert [(kind, one["count"]) for kind, one in lists.items()] == [
        ("missed", 3),
        ("false_alarm", 2),
        ("failed", 2),
        ("ungrounded", 24),
    ]
    missed = lists["missed"]["verdicts"][0]
    assert (missed["score"], missed["threshold"], missed["rationale"]) == (0.0, 0.5, HOSTILE[0])
    assert missed["quotes"] == [[1, HOSTILE[1], True], [None, HOSTILE[2], False]]
    assert verdicts["items"][missed["item"]]["labelled"] == [2, 3]
    assert lists["failed"]["verdicts"][0]["message"] == "not JSON"


def test_a_verdict_says_how_it_may_be_put_right() -> None:
    """Another label is offered where one was said, a hard negative where something else was flagged, nothing else."""
    dataset = make_dataset()
    cell = make_cell("words", dataset, missed=1, alarms=1, failed=1)
    verdicts = page(make_surface(dataset, cell, run_id="0123456789abcdef")).data["verdicts"]
    first = {kind: one["verdicts"][0] for kind, one in verdicts["cells"][0]["lists"].items()}
    assert (first["missed"]["relabel"], "hard_negative" in first["missed"]) == ("clean", False)
    assert (first["false_alarm"]["relabel"], first["false_alarm"]["hard_negative"]) == ("refused", True)
    assert "relabel" not in first["failed"] and "hard_negative" not in first["failed"]
    assert verdicts["cells"][0]["run"] == "0123456789ab/1"


@pytest.mark.parametrize("name", ["it's; rm -rf ~", "$(id)", "-x", "two\nlines", "plain-1"])
def test_commands_are_safe_to_paste(name: str) -> None:
    """A shell reads an item's id in a command as one word, whatever stands in it, and never as an option."""
    dataset = make_dataset(targets=12)
    first = dataset.examples[0].conversation_id
    conversations = {name if key == first else key: value for key, value in dataset.conversations.items()}
    examples = (replace(dataset.examples[0], conversation_id=name), *dataset.examples[1:])
    renamed = replace(dataset, conversations=conversations, examples=examples)
    (item,) = page(make_surface(renamed, make_cell("words", renamed, missed=1))).data["verdicts"]["items"]
    words = shlex.split(f"llmclf show --run last {item.get('command', item['id'])}")
    assert words[-1] == name
    assert words[4:-1] == (["--"] if name.startswith("-") else [])


def test_the_command_of_a_verdict_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page says to type works as it stands: the run, the cell and the item are found."""
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text(
        'version = 1\ndataset = "samples"\nmax_items = 30\n[grid]\nclassifier = ["refusal_keyword"]\n'
    )
    assert command(["sweep", "run", "grid.toml", "--report", "report.html"]) == 0
    verdicts = Parsed(Path("report.html").read_text(encoding="utf-8")).data["verdicts"]
    (cell,) = verdicts["cells"]
    item = verdicts["items"][cell["lists"]["missed"]["verdicts"][0]["item"]]
    capsys.readouterr()
    assert command(["show", "--run", cell["run"], item["id"]]) == 0
    assert f"{item['id']}   refusal_keyword, run {cell['run']}" in capsys.readouterr().out


def test_annotations_come_with_their_notes_and_rules() -> None:
    """Every annotation for the task is there, its rule in words; those for other tasks are not."""
    plain = make_dataset()
    label = replace(make_task().labels[0], rules=(Rule("R2", "A callback is no person."),))
    task = replace(make_task(), labels=(label, *make_task().labels[1:]))
    said = (
        Annotation("anna", task.name, "refused", rule="R2", note=HOSTILE[2]),
        Annotation("ben", task.name, "clean"),
        Annotation("cleo", "another_task", "clean"),
    )
    dataset = replace(plain, examples=(replace(plain.examples[0], annotations=said), *plain.examples[1:]))
    surface = replace(make_surface(dataset, make_cell("words", dataset, missed=1)), task=task)
    (item,) = page(surface).data["verdicts"]["items"]
    assert item["annotations"] == [
        ["anna", "refused", "R2 A callback is no person.", HOSTILE[2]],
        ["ben", "clean", "", ""],
    ]


def test_what_other_cells_said_stands_by_item() -> None:
    """Each cell has one letter and one score for every shown item; what was not asked is marked as such."""
    dataset = make_dataset()
    cells = [make_cell("one", dataset, missed=2), make_cell("two", dataset, alarms=1), make_cell("new", dataset)]
    begun = replace(cells[2], state="incomplete", evaluation=None, predictions=cells[2].predictions[:1])
    verdicts = page(make_surface(dataset, *cells[:2], begun)).data["verdicts"]
    assert [item["label"] for item in verdicts["items"]] == ["refused", "refused", "handed_over"]
    assert [cell["said"] for cell in verdicts["cells"]] == ["mmq", "ffa", "f--"]
    assert [cell["hundredths"] for cell in verdicts["cells"]] == [[0, 0, 0], [100, 100, 100], [100, -1, -1]]


def test_long_lists_are_cut_and_the_rest_is_counted() -> None:
    """The surest mistakes are listed; how many there are is said, and where the others can be found."""
    dataset = make_dataset(targets=90)
    listed = page(make_surface(dataset, make_cell("poor", dataset, missed=70))).data["verdicts"]["cells"][0]["lists"]
    assert listed["missed"]["count"] == 70
    assert len(listed["missed"]["verdicts"]) == 40


def test_many_cells_are_folded_behind_the_best() -> None:
    """Thirty rows stand open, those on the front and the cheapest first; every cell is in the page."""
    dataset = make_dataset()
    cells = [make_cell(f"c-{number:02}", dataset, missed=number % 15) for number in range(45)]
    parsed = page(make_surface(dataset, *cells))
    rows = re.findall(r"c-\d\d", parsed.text[parsed.text.index("All cells") :])
    assert "and 15 more cells" in parsed.text
    assert rows[:2] == ["c-00", "c-15"]
    assert set(rows) == {cell.label for cell in cells}


def test_few_targets_of_a_mode_are_counted() -> None:
    """Where a failure mode has too few targets for a recall, the heat map shows how many of them were found."""
    dataset = make_dataset(targets=12)
    parsed = page(make_surface(dataset, make_cell("words", dataset, missed=3)))
    assert "4 of 6" in parsed.text  # the first, second and third target show flat, loop and flat
    assert "5 of 6" in parsed.text
    assert "Striped" in parsed.text
    enough = make_dataset(targets=60)
    assert "Striped" not in page(make_surface(enough, make_cell("few-shot", enough, missed=3))).text


def test_the_models_dollars_are_shown_by_kind_of_token() -> None:
    """Cached tokens and reasoning stand apart; what can't be told apart is said; kinds without cost are left out."""
    dataset = make_dataset()
    cell = make_cell("asked", dataset, missed=2, nano=1_500_000)
    assert cell.parts is not None
    split = TokenDollars(fresh_input=0.5, cached_input=0.25, reasoning=0.75, unknown=("recordings: not reported",))
    shown = replace(cell, parts=replace(cell.parts, tokens=split))
    parsed = page(make_surface(dataset, shown))
    titles = [attributes.get("title") for tag, attributes in parsed.elements if tag == "i"]
    assert {"fresh input $0.50", "cached input $0.25", "reasoning $0.75"} <= set(titles)
    assert not any(title and title.startswith("answer") for title in titles)
    assert "recordings: not reported" in parsed.text


def test_prices_and_months_are_shown() -> None:
    """How far each price may move, and the dollars of a month at three volumes, or why there are none."""
    dataset = make_dataset()
    surface = make_surface(dataset, make_cell("words", dataset, missed=2, alarms=1))
    text = page(surface).text
    assert all(price.sentence in text for price in surface.tipping_prices())
    assert "costs.conversations_per_month is not set" in text
    busy = replace(surface, costs=replace(surface.costs, conversations_per_month=40_000))
    assert "100x: 4,000,000 conversations" in page(busy).text


def test_scores_have_curves() -> None:
    """Precision and recall at every threshold, with the cell's own; probabilities in bins; nothing without scores."""
    dataset = make_dataset()
    cell = make_cell("words", dataset, missed=4, alarms=2)
    silent = Predictions(replace(one, score=None) for one in cell.predictions)
    mute = make_cell("mute", dataset, missed=4)
    curves = page(make_surface(dataset, cell, replace(mute, predictions=silent))).data["curves"]["real"]
    assert [one["label"] for one in curves] == ["words"]
    assert curves[0]["recall"] == [0.8, 1.0]
    assert curves[0]["here"]["recall"][1] == 0.8
    assert curves[0]["bins"] == []


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
    with pytest.raises(DataError, match="this is a folder") as caught:
        write_report(make_surface(make_dataset()), tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_disk_that_runs_full_leaves_the_earlier_report_whole(tmp_path: Path) -> None:
    """The new file takes the name only when all of it is written; what was begun is taken away."""
    page = tmp_path / "report.html"
    page.write_text("yesterday's")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DataError, match="can't be written"):
            write_report(make_surface(make_dataset()), page)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert page.read_text() == "yesterday's"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


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
