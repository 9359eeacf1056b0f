"""The plan as an axis of a sweep: one purchase, several ways to pay, on one surface."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of
from test_sweeps_resume import Vendor
from wire import Wire, chat

from llmclf.errors import ConfigError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, expand, plan, run, stored_surface
from llmclf.sweeps.report import report_html

PLANS = """
[plans.gpu]
kind = "provisioned"
units = 2
usd_per_unit_hour = 0.5
tokens_per_minute_per_unit = 100000
output_token_weight = 4
utilisation = 0.5
latency_factor = 0.5
source = "quote of 2026-11"
[plans.dear]
kind = "provisioned"
units = 1
usd_per_unit_hour = 500
tokens_per_minute_per_unit = 1000
utilisation = 0.1
[plans.other]
kind = "provisioned"
units = 1
usd_per_unit_hour = 1
tokens_per_minute_per_unit = 1000
utilisation = 1
models = ["mine/*"]
"""
GRID = {"model": ["wire/x"], "plan": ["standard", "batch", "gpu", "dear"]}
ITEMS = 60


@pytest.fixture
def workspace(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    folder = make_workspace(tmp_path, wire.url)
    with (folder / "configs/prices.toml").open("a", encoding="utf-8") as file:
        file.write(PLANS)
    return folder


@pytest.fixture
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "llmclf.db", workspace=workspace, max_usd=5) as made:
        yield made


def measured(runtime: Runtime, grid: dict[str, object]) -> Surface:
    assert runtime.workspace is not None
    costs = {"conversations_per_month": 400_000}
    return run(make_sweep(grid=grid, costs=costs), make_dataset(), task_of(runtime.workspace), runtime)


def test_answers_are_bought_once_and_paid_for_in_four_ways(runtime: Runtime, wire: Wire) -> None:
    """60 items, 60 calls: each cell has the dollars and seconds of its plan, all on one front."""
    vendor = Vendor(wire)
    surface = measured(runtime, GRID)
    assert sum(vendor.asked.values()) == ITEMS
    assert [cell.label for cell in surface.real] == [f"wire/x · plan {name}" for name in GRID["plan"]]
    standard, batch, gpu, dear = surface.real
    assert all(cell.evaluation is not None for cell in surface.real)
    usages = standard.predictions.column("usage")
    weighted = sum(usage.input_tokens + 4 * usage.output_tokens for usage in usages) / ITEMS

    def usd(cell: object) -> float:
        return cell.evaluation.cost_per_item_usd  # type: ignore[attr-defined, no-any-return]

    assert usd(standard) == pytest.approx(vendor.billed_usd / ITEMS)
    assert usd(batch) == pytest.approx(vendor.billed_usd / ITEMS / 2)
    assert usd(gpu) == pytest.approx(weighted * 0.5 / (100_000 * 60 * 0.5))
    assert batch.p95_seconds == 86_400
    assert gpu.p95_seconds == pytest.approx(standard.p95_seconds * 0.5)  # type: ignore[operator]
    assert [cell.recall for cell in surface.real] == [standard.recall] * 4
    assert [round(cell.spent_usd, 9) for cell in surface.real] == [round(vendor.billed_usd, 9)] * 4
    assert gpu.even_at is not None
    assert dear.even_at is None
    assert surface.run_card["calls"] == ITEMS
    assert gpu.label in [cell.label for cell in surface.pareto()]
    assert [cell.label for cell in surface.best().candidates] == [gpu.label]  # the same answers: the price decides


def test_without_the_cache_answers_are_bought_once_as_well(workspace: Path, wire: Wire) -> None:
    """Everything is asked anew, but not once for each plan."""
    vendor = Vendor(wire)
    with Runtime(workspace=workspace, max_usd=5, cache="off") as runtime:
        surface = measured(runtime, GRID)
    assert sum(vendor.asked.values()) == ITEMS
    assert [cell.state for cell in surface.cells] == ["done"] * 4


def test_the_store_keeps_what_was_bought_and_prices_it_anew(runtime: Runtime, wire: Wire, workspace: Path) -> None:
    """Stored predictions cost what they did; a later sweep under another plan buys nothing, at its figures then."""
    vendor = Vendor(wire)
    measured(runtime, {"model": ["wire/x"]})
    surface = measured(runtime, {"model": ["wire/x"], "plan": ["gpu"]})
    assert sum(vendor.asked.values()) == ITEMS
    assert surface.cells[0].reused
    stored = runtime.store.predictions(surface.run_id)
    assert sum(stored.column("cost_nano_usd")) == round(vendor.billed_usd * 1e9)
    assert surface.cells[0].evaluation is not None
    before = surface.cells[0].evaluation.cost_per_item_usd
    assert before is not None
    path = workspace / "configs/prices.toml"
    path.write_text(path.read_text().replace("usd_per_unit_hour = 0.5", "usd_per_unit_hour = 1.0"), encoding="utf-8")
    with Runtime(workspace / "llmclf.db", workspace=workspace) as later:
        file = make_sweep(grid={"model": ["wire/x"], "plan": ["gpu"]})
        again = stored_surface(file, make_dataset(), task_of(workspace), later)
    assert again.cells[0].evaluation is not None
    assert again.cells[0].evaluation.cost_per_item_usd == pytest.approx(2 * before, rel=1e-5)


def test_a_cell_is_known_by_its_plan_unless_that_is_standard(runtime: Runtime) -> None:
    """Without the axis and with `standard` it is the same cell; another plan's name stands in its id."""
    (plain,), _ = expand(make_sweep(grid={"model": ["wire/x"]}), runtime)
    (standard, gpu), _ = expand(make_sweep(grid={"model": ["wire/x"], "plan": ["standard", "gpu"]}), runtime)
    assert plain.cell_id == standard.cell_id == gpu.answers_id
    assert gpu.cell_id == f"{plain.cell_id}+gpu"
    assert (plain.label, gpu.label) == ("wire/x", "wire/x · plan gpu")
    assert gpu.settings["plan"] == "gpu"


def test_a_plan_that_does_not_serve_a_model_is_unsupported(runtime: Runtime) -> None:
    """An error before anything, or left out on request; a plan nobody knows is an error in any case."""
    grid = {"model": ["wire/x"], "plan": ["standard", "other"]}
    with pytest.raises(ConfigError, match="does not serve wire/x"):
        expand(make_sweep(grid=grid), runtime)
    cells, skipped = expand(make_sweep(grid={**grid, "unsupported": "skip"}), runtime)
    assert [cell.label for cell in cells] == ["wire/x · plan standard"]
    assert "does not serve" in skipped[0].why
    with pytest.raises(ConfigError, match="no plan 'gpus'"):
        expand(make_sweep(grid={"model": ["wire/x"], "plan": ["gpus"], "unsupported": "skip"}), runtime)


def test_the_plan_of_a_sweep_prices_every_plan_and_buys_once(runtime: Runtime, wire: Wire) -> None:
    """Calls and dollars to spend stand with the first cell; each plan says what 1,000 items cost under it."""
    vendor = Vendor(wire)
    assert runtime.workspace is not None
    file, dataset, task = make_sweep(grid=GRID, budget_usd=5), make_dataset(), task_of(runtime.workspace)
    made = plan(file, dataset, task, runtime)
    assert [planned.calls for planned in made.cells] == [ITEMS, 0, 0, 0]
    assert made.calls == ITEMS
    assert [planned.same_as for planned in made.cells] == ["", *["wire/x · plan standard"] * 3]
    standard, batch, gpu, _ = (planned.per_1000_usd for planned in made.cells)
    assert standard is not None
    assert batch is not None
    assert gpu is not None
    assert batch.high == pytest.approx(standard.high / 2)
    surface = measured(runtime, GRID)
    for cell, span in zip(surface.real, (standard, batch, gpu), strict=False):
        assert cell.evaluation is not None
        assert cell.evaluation.cost_per_item_usd is not None
        assert span.low <= 1000 * cell.evaluation.cost_per_item_usd <= span.high
    assert made.usd.low <= vendor.billed_usd <= made.usd.high
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(made)
    assert max(len(line) for line in console.export_text().splitlines()) <= 80
    after = plan(file, dataset, task, runtime)
    assert (after.calls, after.usd.high) == (0, 0)
    known = after.cells[2].per_1000_usd
    assert known is not None
    assert known.low == pytest.approx(known.high)  # the answers' lengths are known by now


def test_an_item_without_counts_makes_a_plans_dollars_unknown(runtime: Runtime, wire: Wire) -> None:
    """A bill that can't be computed is not zero, under no plan."""
    answer = Vendor(wire).answer
    wire.default = lambda asked: chat("C", usage=None) if b"order 7 here" in asked.body else answer(asked)
    surface = measured(runtime, GRID)
    for cell in surface.real:
        assert cell.evaluation is not None
        assert cell.evaluation.cost_per_item_usd is None
    assert surface.real[2].even_at is None


def test_the_plan_shows_on_terminal_and_page(runtime: Runtime, wire: Wire) -> None:
    """A batch's 24 hours are said to be promised; break-even stands beside the volume of the sweep."""
    Vendor(wire)
    surface = measured(runtime, GRID)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(surface)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    words = " ".join(text.split())
    assert "24 h" in words
    assert "Cheaper than paying for each token from so many conversations a month on: " in words
    assert "for wire/x (you have 400,000)." in words
    assert "Never known to be cheaper for wire/x." in words
    page = report_html(surface)
    assert "How tokens are paid for" in page
    assert "quote of 2026-11" in page
    assert surface.to_dict()["cells"][2]["plan"] == "gpu"
    assert [row["plan"] for row in surface.to_rows()] == GRID["plan"]
