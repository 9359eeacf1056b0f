"""The page of clustered reasons in a real browser: nothing goes wrong, keys and filters work, it can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reason_documents import empty_document, make_document, quotes_for
from test_report import HOSTILE

from llmclf.reasons.report_page import quoted_ids, reasons_page

CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0]).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((one) => one / 255)
    .map((one) => one <= .03928 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
    .reduce((sum, one, place) => sum + one * [.2126, .7152, .0722][place], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return parse(getComputedStyle(document.documentElement).colorScheme === "dark" ? "0 0 0" : "255 255 255");
  };
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push([element.tagName, element.className, ratio, element.textContent].join(" "));
  }
  return found;
}"""
OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
FALLING = """() => {
  const counts = [...document.querySelector(".family .rows").children].map((one) => +one.dataset.reasons);
  return counts.every((one, place) => !place || counts[place - 1] >= one);
}"""
VISIBLE_ROWS = "[...document.querySelectorAll('details.cluster')].filter((one) => one.checkVisibility()).length"


class Opened:
    """The page of a document, with everything that went wrong on it."""

    def __init__(
        self,
        browser: Any,
        folder: Path,
        document: dict[str, Any],
        *,
        width: int = 1280,
        scheme: str = "light",
        **more: Any,
    ) -> None:
        path = folder / "reasons.html"
        path.write_text(reasons_page(document, quotes_for(quoted_ids(document))), encoding="utf-8")
        self.troubles: list[str] = []
        size = {"width": width, "height": 800}
        self.page = browser.new_context(viewport=size, color_scheme=scheme, **more).new_page()
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.troubles.extend([request.url] * request.url.startswith("http")))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("main", state="attached")

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def text(self, selector: str) -> str:
        return str(self.page.text_content(selector))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "dark")])
def test_it_can_be_read_in_every_light_and_width(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    """No trouble, no text off the window, every text with a contrast of 4.5 at least, all of it unfolded."""
    opened = Opened(browser, tmp_path, {**make_document(), "simulated": True}, width=width, scheme=scheme)
    opened.page.screenshot(path=str(tmp_path / f"{width}-{scheme}.png"), full_page=True)
    opened.page.evaluate(OPEN_ALL)
    opened.page.wait_for_selector("details.cluster[open] .burst", state="visible")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.evaluate(CONTRASTS) == []
    assert opened.troubles == []
    assert (tmp_path / f"{width}-{scheme}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "document",
    [
        make_document(fault=False),
        make_document(fault=False, baseline=False),
        make_document(clusters=1, fault=False),
        make_document(clusters=300),
        empty_document(),
        {**make_document(fault=False), "times": [], "totals": [], "window_from": None, "parents": []},
    ],
)
def test_every_state_opens_quietly(browser: Any, tmp_path: Path, document: dict[str, Any]) -> None:
    """Quiet, no baseline, one cluster, three hundred, none, and reasons of unknown times without groups."""
    for cluster in document["clusters"]:
        cluster["series"] = cluster["series"] if document["times"] else []
    opened = Opened(browser, tmp_path, document)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert opened.troubles == []


def test_rows_open_by_keyboard(browser: Any, tmp_path: Path) -> None:
    """Group, then cluster, then its quotes; arrows walk over rows and buckets and tell counts; Escape ends that."""
    opened = Opened(browser, tmp_path, make_document())
    keys = opened.page.keyboard
    opened.page.focus("details.family > summary")
    keys.press("Enter")
    opened.page.wait_for_selector("details.family:not([open])")
    keys.press("Enter")
    opened.page.wait_for_selector("details.family[open]")
    keys.press("Tab")
    keys.press("Enter")
    opened.page.wait_for_selector("details.cluster[open] blockquote", state="visible")
    keys.press("ArrowRight")
    opened.page.wait_for_selector("#tip", state="visible")
    assert opened.page.evaluate("document.getElementById('tip').role") == "status"
    first = opened.text("#tip")
    assert "window: " in first
    assert " reasons" in first
    keys.press("ArrowLeft")
    opened.page.wait_for_function("(text) => document.getElementById('tip').textContent !== text", arg=first)
    assert "baseline: " in opened.text("#tip")
    keys.press("ArrowUp")
    opened.page.wait_for_function("document.activeElement.parentElement.className === 'family'")
    keys.press("Escape")
    opened.page.wait_for_selector("#tip", state="hidden")
    assert opened.troubles == []


def test_a_bucket_under_the_pointer_tells_its_counts(browser: Any, tmp_path: Path) -> None:
    """The tip says when, how many of how many, and the share; it stays inside the window."""
    document = make_document()
    opened = Opened(browser, tmp_path, document, width=390)
    strip = opened.page.locator("details.cluster .strip").first
    strip.scroll_into_view_if_needed()
    box = strip.bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 5)
    opened.page.wait_for_selector("#tip", state="visible")
    fault = next(one for one in document["clusters"] if one["kind"] == "new")
    count, total = sum(fault["series"][-2:]), sum(document["totals"][-2:])
    assert f"window: {count} of {total} reasons ({100 * count / total:.1f} %)" in opened.text("#tip")
    assert opened.page.evaluate("document.getElementById('tip').getBoundingClientRect().right") <= 390
    assert opened.troubles == []


def test_rows_can_be_searched_filtered_and_ordered(browser: Any, tmp_path: Path) -> None:
    """By words of names and quotes, kind, anomalies; what remains is counted, and groups without a row go."""
    opened = Opened(browser, tmp_path, make_document(clusters=60))
    page = opened.page
    page.fill("#find", "supervisor")
    page.wait_for_function("document.getElementById('found').textContent === '5 of 61 clusters'")
    assert page.evaluate(VISIBLE_ROWS) == 5
    page.fill("#find", "transcript empty")
    page.wait_for_function("document.getElementById('found').textContent.startsWith('1 of')")
    page.fill("#find", "zebra")
    page.wait_for_selector("#none", state="visible")
    page.fill("#find", "")
    page.check("#only")
    page.wait_for_function("document.getElementById('found').textContent === '2 of 61 clusters'")
    page.select_option("#kind", "known")
    page.wait_for_function("document.getElementById('found').textContent === '1 of 61 clusters'")
    page.select_option("#kind", "")
    page.uncheck("#only")
    page.select_option("#order", "reasons")
    page.evaluate(OPEN_ALL)
    page.wait_for_function(FALLING)
    assert page.evaluate(VISIBLE_ROWS) == 61
    assert opened.troubles == []


def test_an_anomaly_leads_to_its_cluster(browser: Any, tmp_path: Path) -> None:
    """Its link opens the row, the group around it, and a filter that hid it."""
    opened = Opened(browser, tmp_path, make_document(clusters=60))
    opened.page.fill("#find", "zebra")
    opened.page.wait_for_selector("#none", state="visible")
    opened.page.click("#anomaly-1 a[href^='#cluster-']")
    opened.page.wait_for_selector("#cluster-c0063[open] .rates", state="visible")
    assert opened.page.input_value("#find") == ""
    assert opened.troubles == []


def test_it_reads_without_scripts(browser: Any, tmp_path: Path) -> None:
    """Anomalies, rows, charts and quotes are there; what needs a script is not shown."""
    opened = Opened(browser, tmp_path, make_document(), java_script_enabled=False)
    page = opened.page
    assert page.locator(".anomaly").count() == 3
    assert page.locator(".anomaly .burst svg").first.is_visible()
    assert not page.locator(".filters").is_visible()
    page.locator("details.cluster > summary").first.click()
    page.wait_for_selector("details.cluster[open] blockquote", state="visible")
    assert opened.troubles == []


def test_hostile_words_do_nothing(browser: Any, tmp_path: Path) -> None:
    """Scripts and handlers in names and quotes stay words, also when searched for and opened."""
    document = make_document()
    for place, one in enumerate(document["clusters"]):
        one["name"] = HOSTILE[place % len(HOSTILE)]
    path = tmp_path / "hostile.html"
    path.write_text(reasons_page(document, quotes_for(quoted_ids(document), *HOSTILE)), encoding="utf-8")
    opened = Opened(browser, tmp_path, make_document())
    opened.page.goto(path.as_uri())
    opened.page.wait_for_selector(".filters", state="visible")
    opened.page.evaluate(OPEN_ALL)
    opened.page.fill("#find", "<script>")
    opened.page.wait_for_selector("#found:not(:empty)")
    assert "pwned" not in opened.page.title()
    assert opened.troubles == []
