"""The surface: the front, the best cell and whether that is decided, limits, and the forms it is shown in."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_task

from llmclf.config import LimitsTable
from llmclf.sweeps import MeasuredCell, Surface
from llmclf.sweeps.measured import CellState, measure_cell
from llmclf.sweeps.report import report_html
from llmclf.types import Costs, Design, Estimate, Predictions, Stratum

DATASET = make_dataset(targets=60, adjacent=40, clean=500)
COSTS = Costs(prevalence=0.02)


def surface_of_five(**more: object) -> Surface:
    """Cheap and slow, dear and fast, beaten by both, and two simulated ones that would beat all."""
    return make_surface(
        DATASET,
        make_cell("cheap", DATASET, missed=2, alarms=0, seconds=9.0, costs=COSTS),
        make_cell("fast", DATASET, missed=40, alarms=20, seconds=1.0, costs=COSTS),
        make_cell("beaten", DATASET, missed=45, alarms=30, seconds=10.0, costs=COSTS),
        make_cell("dream", DATASET, seconds=0.1, simulated=True, costs=COSTS),
        make_cell("other dream", DATASET, missed=1, seconds=0.2, simulated=True, costs=COSTS),
        **more,
    )


def test_the_front_holds_what_nothing_real_beats() -> None:
    """Cheapest first; a cell that is dearer and slower is off it, and so is every simulated one."""
    assert [cell.label for cell in surface_of_five().pareto()] == ["cheap", "fast"]


def test_the_best_cell_is_real_and_told_apart() -> None:
    """Its interval lies below the others', and the sentence names it, the next, and the price of doing nothing."""
    best = surface_of_five().best()
    assert best.cell is not None
    assert best.cell.label == "cheap"
    assert best.sentence.startswith("cheap costs least: $")
    assert "the next, fast" in best.sentence
    assert "Flagging nothing would cost $800." in best.sentence


def test_other_prices_are_computed_again() -> None:
    """Where a miss costs next to nothing, no cell pays for its false alarms; the sweep's own prices stay."""
    surface = surface_of_five()
    free = surface.best(missed_usd=0.01)
    assert free.costs.missed_usd == 0.01
    assert "No cell pays at these prices" in free.sentence
    assert surface.best().sentence.startswith("cheap costs least")


def test_cells_that_cannot_be_told_apart_are_not_decided() -> None:
    """One item's difference decides nothing: both are named."""
    near = make_surface(
        DATASET,
        make_cell("one", DATASET, missed=5, alarms=2, costs=COSTS),
        make_cell("two", DATASET, missed=6, alarms=2, costs=COSTS),
    )
    best = near.best()
    assert best.cell is None
    assert [cell.label for cell in best.candidates] == ["one", "two"]
    assert best.sentence.startswith("Not decided: one has the lowest figure")
    assert "can't be told apart from two" in best.sentence


def test_simulated_cells_alone_decide_nothing() -> None:
    """However good a simulated cell is, there is no best and no front."""
    surface = make_surface(DATASET, make_cell("dream", DATASET, simulated=True))
    assert surface.best().cell is None
    assert surface.best().sentence == "No real cell was measured; simulated cells decide nothing."
    assert surface.pareto() == ()


def test_a_figure_that_is_not_known_is_never_best() -> None:
    """Below ten targets dollars can't be estimated, and the reason stands in the sentence."""
    few = make_dataset(targets=4, clean=100)
    best = make_surface(few, make_cell("perfect", few)).best()
    assert best.cell is None
    assert "No real cell's dollars are known" in best.sentence
    assert "positives" in best.sentence


def test_a_cell_that_is_not_done_has_no_figures() -> None:
    """Its dollars say how far it came."""
    begun = replace(make_cell("begun", DATASET), state="incomplete", evaluation=None, predictions=Predictions())
    assert begun.usd.why_not == "incomplete: 0 of 600 items were asked"


@pytest.mark.parametrize("state", ["incomplete", "waiting"])
def test_an_unfinished_sweep_has_no_verdict_in_any_form(state: CellState) -> None:
    """No cell, front, chance, tipping price or month: the finished one may reverse it. Measured cells keep figures."""
    costs = replace(COSTS, conversations_per_month=1000)
    done, gone, left = (make_cell(name, DATASET, missed=5, costs=costs) for name in ("done", "gone", "left"))
    gone = replace(gone, state="dropped", evaluation=None, parts=None)
    left = replace(left, state=state, evaluation=None, parts=None, predictions=Predictions())
    surface = replace(make_surface(DATASET, done, gone, left, stopped="interrupted"), costs=costs)
    best, document = surface.best(), json.loads(surface.to_json())
    said = "Stopped: 1 of 3 real cells measured, 1 dropped, no verdict yet: a person stopped it; run again to continue."
    assert (best.decided, best.candidates, best.pays, best.sentence) == (False, (), None, said)
    assert surface.best(missed_usd=1.0).sentence == said
    assert surface.pareto() == surface.tipping_prices() == surface.months().rows == ()
    assert (document["front"], document["front_chances"], document["months"]["rows"]) == ([], {}, [])
    assert document["best"]["decided"] is False
    assert document["cells"][0]["evaluation"]["dollars_per_1000"]["value"] == done.usd.value
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(surface)
    for text in (" ".join(console.export_text().split()), surface._repr_html_(), report_html(surface)):
        assert said in text
        assert text.count("Stopped: ") == 1
        assert "on the front:" not in text
        assert "the only real cell" not in text
    over = replace(surface, cells=(done, gone), stopped="")
    assert over.best().cell == done
    assert over.months().rows
    simulated = replace(left, cell=replace(left.cell, simulated=True))
    assert make_surface(DATASET, done, simulated, stopped="interrupted").best().cell == done


def test_a_sweep_that_never_ran_says_so_without_a_stop() -> None:
    """The report of a store that holds nothing of it."""
    waiting = replace(make_cell("left", DATASET), state="waiting", evaluation=None, predictions=Predictions())
    assert make_surface(DATASET, waiting).best().sentence == "Not finished: 0 of 1 real cell measured, no verdict yet."


def test_cells_beyond_limits_are_marked_and_not_chosen() -> None:
    """Each limit that is not kept is named; what can't be checked is not taken as kept."""
    limits = LimitsTable(p95_seconds=2.0, usd_per_conversation=0.001, flags_per_day=1.0)
    slow = make_cell("slow", DATASET, seconds=3.0, nano=2_000_000, limits=limits, costs=COSTS)
    assert [text.split(" over")[0] for text in slow.beyond] == [
        "p95 3 s is",
        "$0.002 a conversation is",
        "flags a day are not known: they may be",
    ]
    fine = make_cell("fine", DATASET, missed=9, seconds=1.0, limits=LimitsTable(p95_seconds=2.0), costs=COSTS)
    last = make_cell("last", DATASET, missed=50, alarms=50, limits=LimitsTable(p95_seconds=2.0), costs=COSTS)
    best = make_surface(DATASET, slow, fine, last).best()
    assert best.cell == fine
    assert best.sentence.startswith("fine costs least within the limits")
    assert make_surface(DATASET, slow).best().sentence == "No real cell keeps to the limits."


@pytest.mark.parametrize(
    "design", [Design(), Design("random"), Design("stratified", (Stratum("a", 900, 300), Stratum("b", 30_000, 300)))]
)
@pytest.mark.parametrize("on_error", ["review", "miss"])
def test_parts_add_up_to_the_dollars(design: Design, on_error: str) -> None:
    """Model, reviews, misses and false alarms are the cell's dollars, under every design, failed items included."""
    plain = make_dataset(targets=60, adjacent=40, clean=500, design=design)
    examples = tuple(replace(example, stratum="ab"[number % 2]) for number, example in enumerate(plain.examples))
    dataset = replace(plain, examples=examples)
    cell = make_cell("some", dataset, missed=7, alarms=5, failed=9, nano=1_500_000)
    surface = make_surface(dataset, cell).repriced(Costs(on_error=on_error))  # type: ignore[arg-type]
    parts = surface.cells[0].parts.usd
    assert parts is not None
    assert sum(parts.values()) == pytest.approx(surface.cells[0].usd.value)
    assert parts["model"] == pytest.approx(1.5)


def test_the_terminal_form_fits_80_columns_and_keeps_simulated_apart() -> None:
    """Real cells in a table under the verdict, simulated ones stamped in another."""
    surface = surface_of_five()
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(surface)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    real, simulated = text.split("SIMULATED", 1)
    assert real.strip().startswith("cheap costs least")
    assert "dream" not in real
    assert "0.97" in real
    assert "cheap" not in simulated
    assert "other dream" in simulated


def test_every_form_carries_the_stamp() -> None:
    """JSON, CSV, data frame and notebook say what is simulated."""
    surface = surface_of_five()
    document = json.loads(surface.to_json())
    assert [cell["label"] for cell in document["simulated_cells"]] == ["dream", "other dream"]
    assert all(not cell["simulated"] for cell in document["cells"])
    assert document["front"] == ["cheap", "fast"]
    rows = list(csv.DictReader(io.StringIO(surface.to_csv())))
    assert [(row["label"], row["simulated"], row["on_front"]) for row in rows[-2:]] == [
        ("dream", "True", "False"),
        ("other dream", "True", "False"),
    ]
    assert float(rows[0]["recall_low"]) < float(rows[0]["recall"]) < float(rows[0]["recall_high"])
    html = surface._repr_html_()
    assert html.index("cheap") < html.index("SIMULATED") < html.index("dream")


def test_a_data_frame_has_a_row_for_each_cell() -> None:
    """With pandas installed."""
    pytest.importorskip("pandas")
    assert list(surface_of_five().to_frame()["label"]) == ["cheap", "fast", "beaten", "dream", "other dream"]


def test_a_notebook_shows_names_as_text() -> None:
    """A label is never markup."""
    surface = make_surface(DATASET, make_cell("<b>x</b>", DATASET))
    assert "&lt;b&gt;x&lt;/b&gt;" in surface._repr_html_()


def test_failed_items_are_counted_by_kind() -> None:
    """They stand beside the figures, never among the clean."""
    cell: MeasuredCell = make_cell("lossy", DATASET, failed=3)
    assert cell.failed == {"unparsable": 3}
    assert isinstance(cell.recall, Estimate)
    assert make_task().target == "refused"


def test_intervals_do_not_jump_with_the_price() -> None:
    """A sweep's seed is that of its intervals at other costs too."""
    sweep = make_sweep(grid={"model": ["sim/good"]}, seed=7)
    one = make_cell("one", DATASET, missed=9, alarms=5)
    cell = measure_cell(one.cell, one.predictions, DATASET, make_task(), sweep, reused=False)
    surface = make_surface(DATASET, cell, seed=7)
    same = surface.repriced(replace(surface.costs, conversations_per_month=1000)).cells[0]
    assert (same.usd.low, same.usd.high) == (cell.usd.low, cell.usd.high)
    assert (same.recall.low, same.recall.high) == (cell.recall.low, cell.recall.high)


def test_a_csv_of_a_surface_runs_nothing() -> None:
    """Text that a spreadsheet would compute has an apostrophe before it; numbers stay numbers."""
    (row,) = csv.DictReader(io.StringIO(make_surface(DATASET, make_cell("=cmd|x", DATASET)).to_csv()))
    assert row["label"] == "'=cmd|x"
    assert float(row["recall"]) == 1.0
