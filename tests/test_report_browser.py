"""The report in a real browser: no console error, no request, and it does what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_workspace, task_of
from test_report import HOSTILE, hostile_surface

from llmclf.llm.runtime import Runtime
from llmclf.sweeps import run, write_report


class Page:
    """A page with everything that went wrong on it."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str = "light") -> None:
        self.troubles: list[str] = []
        self.page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on(
            "request", lambda request: self.troubles.append(request.url) if "http" in request.url[:5] else None
        )
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#plot-real .points path")

    def count(self, selector: str) -> int:
        return int(self.page.locator(selector).count())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two real and two simulated cells that explain themselves."""
    folder = make_workspace(tmp_path_factory.mktemp("report"))
    grid = {"classifier": ["words", "learned"], "model": ["sim/good", "sim/poor"], "answer": ["explained"]}
    with Runtime(workspace=folder) as runtime:
        surface = run(make_sweep(grid=grid), make_dataset(), task_of(folder), runtime)
    return write_report(surface, folder / "report.html")


OPEN_ALL = "document.querySelectorAll('%s details:not([open])').forEach((one) => { one.open = true; })"


def open_verdicts(opened: Page, part: str = "body") -> None:
    """Cells, then kinds, then verdicts: each is built when the one around it opens."""
    for made in (".cell-verdicts > details", ".verdict", ".verdict .body"):
        opened.page.evaluate(OPEN_ALL % part)
        opened.page.wait_for_selector(f"{part} {made}", state="attached")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (420, "light")])
def test_it_opens_without_errors(browser: Any, report: Path, width: int, scheme: str) -> None:
    """Every real and simulated cell is a dot, nothing is asked for, and no text runs off the window."""
    opened = Page(browser, report, width, scheme)
    assert opened.count("#plot-real .points path") == 2
    assert opened.count("#plot-simulated .points path") == 2
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.troubles == []


def test_seconds_are_not_cut_off_on_a_narrow_window(browser: Any, tmp_path: Path) -> None:
    """p50, p95 and p99 stay inside their cell, on two lines if need be."""
    dataset = make_dataset()
    opened = Page(
        browser,
        write_report(make_surface(dataset, make_cell("quick", dataset, seconds=1e-5)), tmp_path / "q.html"),
        400,
    )
    assert opened.page.evaluate(
        "[...document.querySelectorAll('table.cells td')].every((cell) => cell.scrollWidth <= cell.clientWidth)"
    )


def test_cells_that_coincide_are_named_together(browser: Any, tmp_path: Path) -> None:
    """Numbers of cells with the same figures stand side by side, once, beside the first of them."""
    dataset = make_dataset()
    cells = [make_cell(f"same {number}", dataset, missed=4, alarms=2) for number in range(7)]
    path = write_report(make_surface(dataset, *cells, make_cell("other", dataset, missed=12)), tmp_path / "same.html")
    opened = Page(browser, path, 1280)
    shown = opened.page.locator("#plot-real .scatterlayer .textpoint").all_text_contents()
    assert sorted(text for text in shown if text) == ["1 2 3 45 6 7", "8"]  # four on a line
    assert opened.troubles == []


def test_the_axis_can_be_changed(browser: Any, report: Path) -> None:
    """A button puts seconds where recall was, in its own plot alone; recall's axis reaches beyond 1."""
    opened = Page(browser, report, 1280)
    assert opened.page.evaluate("document.getElementById('plot-real').layout.yaxis.range[1]") > 1
    opened.page.click(".choice[data-plot=simulated] button[data-axis=seconds]")
    assert opened.page.text_content("#plot-simulated .ytitle") == "p95 seconds"
    assert opened.page.text_content("#plot-real .ytitle") == "recall"
    assert opened.troubles == []


def test_seconds_come_with_the_front_and_its_band(browser: Any, tmp_path: Path) -> None:
    """The front is a line through its cells, with a band; a cell's mark is the larger, the surer it lies there."""
    dataset = make_dataset()
    cells = [
        make_cell("cheap", dataset, missed=1, seconds=9.0),
        make_cell("fast", dataset, missed=9, seconds=1.0),
        make_cell("beaten", dataset, missed=16, alarms=9, seconds=12.0),
    ]
    opened = Page(browser, write_report(make_surface(dataset, *cells), tmp_path / "front.html"), 1280)
    opened.page.click(".choice[data-plot=real] button[data-axis=seconds]")
    names = opened.page.locator("#plot-real .legendtext").all_text_contents()
    assert names == ["its 95 % intervals", "front", "keyword rules"]
    sizes = opened.page.evaluate("document.getElementById('plot-real').data.at(-1).marker.size")
    assert min(sizes[1:]) > sizes[0]  # the one that is off the front is drawn first
    assert opened.troubles == []


def test_curves_are_drawn_and_switched(browser: Any, tmp_path: Path) -> None:
    """Five cells are on at first, others at a click in the legend; without probabilities there is no second plot."""
    dataset = make_dataset()
    cells = [make_cell(f"cell <b>{number}</b>", dataset, missed=number, alarms=2) for number in range(7)]
    opened = Page(browser, write_report(make_surface(dataset, *cells), tmp_path / "curves.html"), 1280)
    assert opened.count("#curves-real .scatterlayer .lines > path") == 5
    assert opened.page.locator("#curves-real .legendtext").first.text_content() == "1 cell <b>0</b>"
    assert not opened.page.locator("#reliability-real").is_visible()
    assert opened.troubles == []


def test_a_verdict_opens_with_its_conversation_and_evidence(browser: Any, report: Path) -> None:
    """The turns are there, quoted words are marked, labelled turns stand out, and others' verdicts stand below."""
    opened = Page(browser, report, 1280)
    open_verdicts(opened, ".simulated")
    assert opened.count(".simulated .verdict .turns li.labelled") > 0
    assert opened.count(".simulated .verdict .turns mark") > 0
    first = opened.page.locator(".simulated .verdict .body").first.text_content()
    assert "What is it about?" in first
    assert "What other configurations said" in first
    assert "the exact prompt and the raw answer" in first
    assert opened.troubles == []


def test_a_command_can_be_copied(browser: Any, tmp_path: Path) -> None:
    """The button beside a command selects it and says that it was copied."""
    dataset = make_dataset()
    surface = make_surface(dataset, make_cell("words", dataset, alarms=1), run_id="0123456789abcdef")
    opened = Page(browser, write_report(surface, tmp_path / "copy.html"), 1280)
    open_verdicts(opened)
    shown = opened.page.locator(".command").all_text_contents()
    assert shown == [
        "llmclf show --run 0123456789ab/1 c020",
        'llmclf show --run 0123456789ab/1 --relabel refused --by "$USER" c020',
        'llmclf show --run 0123456789ab/1 --hard-negative --by "$USER" c020',
    ]
    button = opened.page.locator(".copy").last
    button.click()
    assert button.text_content() == "copied"
    assert opened.page.evaluate("getSelection().toString()") == shown[-1]
    assert opened.troubles == []


def test_long_names_stay_in_the_window(browser: Any, tmp_path: Path, width: int = 400) -> None:
    """A label, a label of the task and an item of two hundred letters without a blank do not widen the page."""
    dataset = make_dataset()
    cell = make_cell("x" * 200, dataset, missed=3, rationale="y" * 300)
    opened = Page(browser, write_report(make_surface(dataset, cell), tmp_path / "long.html"), width)
    open_verdicts(opened)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.troubles == []


def test_hostile_conversations_run_nothing(browser: Any, tmp_path: Path) -> None:
    """Opened in full, they are shown as they were written."""
    path = write_report(hostile_surface(), tmp_path / "hostile.html")
    opened = Page(browser, path, 1280)
    open_verdicts(opened)
    said = opened.page.locator(".verdict .turns").first.locator(".said").all_text_contents()
    assert said[:6] == list(HOSTILE[:6])
    assert opened.page.title() == f"llmclf: wants_person on {HOSTILE[0]}"
    assert opened.count(".verdict img") + opened.count(".verdict svg") == 0
    assert opened.troubles == []
