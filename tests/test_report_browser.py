"""The report in a real browser: no console error, no request, and it does what it should."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_workspace, task_of
from test_report import HOSTILE, hostile_surface

from llmclf.llm.runtime import Runtime
from llmclf.sweeps import run, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (420, "light")])
def test_it_opens_without_errors(browser: Any, report: Path, width: int, scheme: str) -> None:
    """Every real and simulated cell is a dot, nothing is asked for, and no text runs off the window."""
    opened = Page(browser, report, width, scheme)
    assert opened.count("#plot-real .points path") == 2
    assert opened.count("#plot-simulated .points path") == 2
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.troubles == []


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
    """A button puts seconds where recall was, in its own plot alone."""
    opened = Page(browser, report, 1280)
    opened.page.click(".choice[data-plot=simulated] button[data-axis=seconds]")
    assert opened.page.text_content("#plot-simulated .ytitle") == "p95 seconds"
    assert opened.page.text_content("#plot-real .ytitle") == "recall"
    assert opened.troubles == []


def test_a_verdict_opens_with_its_conversation_and_evidence(browser: Any, report: Path) -> None:
    """The turns are there, the quoted words are marked, and the labelled turns stand out."""
    opened = Page(browser, report, 1280)
    opened.page.evaluate("document.querySelectorAll('.simulated details').forEach((one) => { one.open = true; })")
    opened.page.wait_for_selector(".simulated .verdict .turns")
    assert opened.count(".simulated .verdict .turns li.labelled") > 0
    assert opened.count(".simulated .verdict .turns mark") > 0
    first = opened.page.locator(".simulated .verdict .turns").first
    assert "What is it about?" in first.text_content()
    assert opened.troubles == []


def test_hostile_conversations_run_nothing(browser: Any, tmp_path: Path) -> None:
    """Opened in full, they are shown as they were written."""
    path = write_report(hostile_surface(), tmp_path / "hostile.html")
    opened = Page(browser, path, 1280)
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.page.wait_for_selector(".verdict .turns")
    said = opened.page.locator(".verdict .turns").first.locator(".said").all_text_contents()
    assert said[:6] == list(HOSTILE[:6])
    assert opened.page.title() == f"llmclf: wants_person on {HOSTILE[0]}"
    assert opened.count(".verdict img") + opened.count(".verdict svg") == 0
    assert opened.troubles == []
