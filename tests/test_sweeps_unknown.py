"""What is not known is no figure: cells that nothing answered, prices nobody knows, limits that can't be checked."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_workspace, task_of

from llmclf.config import LimitsTable
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import MeasuredCell, Surface, run, stored_surface
from llmclf.sweeps.report import report_html
from llmclf.types import Costs, ErrorInfo, Predictions

DATASET = make_dataset(targets=60, adjacent=40, clean=100)
COSTS = Costs(missed_usd=40, prevalence=0.02)


class Words(HTMLParser):
    """The text of a page, its scripts and styles left out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def on_terminal(surface: Surface) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(surface)
    return " ".join(console.export_text().split())


def lost(label: str, **more: object) -> MeasuredCell:
    """A cell of which no item was answered."""
    return make_cell(label, DATASET, failed=len(DATASET), costs=COSTS, **more)  # type: ignore[arg-type]


# --- nothing answered -------------------------------------------------------------------------


def test_a_cell_that_nothing_answered_has_failed() -> None:
    """It has no figure of any kind, says how many failed of what, and is neither on the front nor best."""
    cell = lost("lost", limits=LimitsTable(p95_seconds=0.1))
    assert cell.state == "failed"
    assert cell.beyond == ()
    assert (cell.recall.value, cell.recall.high, cell.usd.value, cell.p95_seconds) == (None, None, None, None)
    assert cell.usd.why_not == "failed: none of 200 items was answered (200 unparsable)"
    fine = make_cell("fine", DATASET, missed=40, costs=COSTS)
    surface = make_surface(DATASET, cell, fine)
    assert not surface.nothing_answered
    assert surface.pareto() == (fine,)
    assert surface.best().cell == fine
    assert "lost failed on every item and can't be compared." in surface.best().sentence
    assert [one.label for one in surface.failed_cells] == ["lost"]
    row = surface.to_rows()[0]
    assert (row["state"], row["recall"], row["dollars_per_1000"]) == ("failed", None, None)


def test_a_surface_that_nothing_answered_says_so() -> None:
    """The verdict, the terminal, the page and the JSON agree that there is no figure."""
    surface = make_surface(DATASET, lost("one"), lost("two"))
    assert surface.nothing_answered
    assert surface.best().cell is None
    assert (
        surface.best().sentence == "Each of 2 real cells failed on every item, so there is no figure: 400 unparsable."
    )
    assert "Errors of one, two, for example: 'not JSON'." in on_terminal(surface)
    assert "none of 200 items was answered" in Words(report_html(surface)).text
    made = json.loads(surface.to_json())
    assert made["nothing_answered"] is True
    assert [cell["state"] for cell in made["cells"]] == ["failed", "failed"]
    assert made["cells"][0]["evaluation"]["recall"]["value"] is None


def test_simulated_cells_alone_can_fail_as_well() -> None:
    """Without a real cell the simulated ones decide whether anything was answered; beside one they do not."""
    assert make_surface(DATASET, lost("dream", simulated=True)).nothing_answered
    assert not make_surface(DATASET, lost("dream", simulated=True), make_cell("real", DATASET)).nothing_answered
    assert not make_surface(DATASET).nothing_answered


# --- prices nobody knows ----------------------------------------------------------------------


def test_an_unknown_price_makes_the_dollars_unknown_everywhere() -> None:
    """No total, never best nor on the front; what is known of it is marked in table, page, rows and JSON."""
    cell = make_cell("free?", DATASET, costs=COSTS, nano=None)
    priced = make_cell("priced", DATASET, missed=30, costs=COSTS)
    surface = make_surface(DATASET, cell, priced)
    assert cell.usd.value is None
    assert cell.usd.low is not None
    assert cell.usd.high is None
    assert cell.usd.why_not.startswith("the model's own price is not known; without it $24.00 ($24.00-$")
    assert cell.spent_usd is None
    assert surface.pareto() == (priced,)
    assert surface.best().cell == priced
    assert "free? is left out: its dollars are not known." in surface.best().sentence
    for said in (surface._repr_html_().replace("&#x27;", "'"), Words(report_html(surface)).text):
        assert "the model's own price is not known; without it $24" in said
    assert "at least $24" in Words(report_html(surface)).text
    assert cell.parts is not None
    assert cell.parts.usd is None
    row = surface.to_rows()[0]
    assert row["dollars_per_1000"] is None
    assert row["dollars_per_1000_why_not"] == cell.usd.why_not
    assert surface.to_dict()["cells"][0]["unpriced"] == 200


def test_a_failed_item_that_may_have_been_billed_counts_as_the_others() -> None:
    """One time-out does not make a cell's dollars unknown: it is taken for as dear as an answer, and a note says so."""
    cell = make_cell("dear", DATASET, costs=COSTS, nano=2_000_000)
    first, *others = cell.predictions
    late = replace(first, label=None, flagged=None, cost_nano_usd=None, error=ErrorInfo("timeout", "late"))
    surface = make_surface(DATASET, replace(cell, predictions=Predictions([late, *others]))).repriced(COSTS)
    evaluation = surface.cells[0].evaluation
    assert evaluation is not None
    assert evaluation.cost_per_item_usd == pytest.approx(0.002)
    assert evaluation.dollars_per_1000.is_known
    assert any("1 failed item may have been billed" in note for note in evaluation.notes)


# --- whether it pays, limits, words -----------------------------------------------------------


def test_no_cell_is_best_where_none_pays() -> None:
    """Where the cheapest is shown to cost more than flagging nothing, none is to be run; verdict and fields agree."""
    best = make_surface(DATASET, make_cell("dear", DATASET, alarms=140, costs=COSTS)).best()
    assert best.sentence.startswith("No cell pays at these prices")
    assert (best.cell, best.decided, best.pays) == (None, False, False)
    assert best.to_dict()["cell"] is None
    assert [cell.label for cell in best.candidates] == ["dear"]
    assert make_surface(DATASET, make_cell("good", DATASET, missed=5, costs=COSTS)).best().pays is True


def test_limits_are_held_against_in_plain_words() -> None:
    """Hours are hours, and what is not known is said to be so."""
    limits = LimitsTable(p95_seconds=8, usd_per_conversation=0.5, flags_per_day=3)
    batch = make_cell("batch", DATASET, seconds=86400.0, limits=LimitsTable(p95_seconds=8))
    assert batch.beyond == ("p95 24 h is over 8 s",)
    assert make_cell("dim", DATASET, seconds=None, nano=None, limits=limits).beyond == (  # type: ignore[arg-type]
        "p95 is not known: it may be over 8 s",
        "the model's price is not known: a conversation may be over $0.50",
        "flags a day are not known: they may be over 3",
    )


def test_items_that_the_cap_kept_back_were_not_asked() -> None:
    """A cell that stopped says how many were asked, not how many came back with that news."""
    whole = make_cell("stopped", DATASET)
    kept = [
        replace(one, label=None, flagged=None, error=ErrorInfo("over_budget", "the cap is reached"))
        if number < 5
        else one
        for number, one in enumerate(whole.predictions)
    ]
    cell = replace(whole, state="incomplete", evaluation=None, predictions=Predictions(kept))
    assert (cell.asked, cell.unanswered) == (195, 0)
    assert cell.why_none == "incomplete: 195 of 200 items were asked"
    assert "incomplete: 195 of 200 items were asked" in on_terminal(make_surface(DATASET, cell, stopped="budget"))


def test_cells_that_differ_in_their_plan_alone_came_as_far() -> None:
    """Their answers are the same: where a cap stopped them, all show the most that was answered."""
    whole = make_cell("shared", DATASET)
    cells = []
    for plan, late in (("", 5), ("+batch", 3), ("+gpu", 3)):
        kept = [
            replace(one, label=None, flagged=None, error=ErrorInfo("over_budget", "the cap")) if number < late else one
            for number, one in enumerate(whole.predictions)
        ]
        own = replace(whole.cell, cell_id=whole.cell.cell_id + plan, label=f"shared{plan}")
        cells.append(replace(whole, cell=own, state="incomplete", evaluation=None, predictions=Predictions(kept)))
    assert [cell.asked for cell in make_surface(DATASET, *cells).cells] == [197, 197, 197]


def test_small_rates_keep_two_digits_on_terminal_and_page() -> None:
    """A precision below one in a hundred is not shown as nothing."""
    cell = make_cell("loud", DATASET, alarms=130, costs=Costs(prevalence=0.005))
    assert cell.evaluation is not None
    value = cell.evaluation.projected_precision.value
    assert value == pytest.approx(0.0054, abs=0.0002)
    assert f"{value:.4f}" in Words(report_html(make_surface(DATASET, cell))).text
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(cell.evaluation)
    assert f"{value:.4f}" in console.export_text()


def test_a_sweep_of_answers_that_are_not_there_has_no_figure(tmp_path: Path) -> None:
    """Read from an empty cache alone, the sweep ends with failed cells, now and when it is looked up."""
    folder, dataset = make_workspace(tmp_path), make_dataset()
    file = make_sweep(grid={"model": ["sim/good", "sim/poor"]})
    with Runtime(folder / "llmclf.db", workspace=folder, cache="read-only") as runtime:
        made = run(file, dataset, task_of(folder), runtime)
        again = stored_surface(file, dataset, task_of(folder), runtime)
    for surface in (made, again):
        assert [cell.state for cell in surface.cells] == ["failed", "failed"]
        assert surface.nothing_answered
        assert surface.cells[0].usd.why_not == "failed: none of 60 items was answered (60 not_found)"
