"""A sweep is measured, continued and capped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of

from llmclf.errors import BudgetError, ConfigError, DataError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, SweepInterrupted, run, stored_surface
from llmclf.types import Design, Stratum, Task

GRID = {"classifier": ["words", "learned"], "model": ["sim/good", "sim/poor"]}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


@pytest.fixture
def task(workspace: Path) -> Task:
    return task_of(workspace)


@pytest.fixture
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "llmclf.db", workspace=workspace) as made:
        yield made


def figures(surface: Surface) -> list[object]:
    return [cell.evaluation.to_dict() if cell.evaluation else None for cell in surface.cells]


def test_every_cell_is_measured(runtime: Runtime, task: Task) -> None:
    """Keyword, probe and simulated cells come with figures, and the run is in the store as done."""
    surface = run(make_sweep(grid=GRID), make_dataset(), task, runtime)
    assert [cell.state for cell in surface.cells] == ["done"] * 4
    assert all(len(cell.predictions) == 60 for cell in surface.cells)
    assert [cell.label for cell in surface.real] == ["words", "learned"]
    assert surface.cells[2].recall.value > surface.cells[3].recall.value  # type: ignore[operator]
    assert sum(surface.cells[3].failed.values()) > 0
    (row,) = runtime.store.runs(kind="sweep")
    assert (row["run_id"], row["state"], row["simulated"]) == (surface.run_id, "done", True)
    assert row["result"]["run_card"]["dataset"]["positives"] == 20
    stored = runtime.store.cells(surface.run_id)
    assert [cell["state"] for cell in stored] == ["done"] * 4
    assert stored[3]["settings"]["model"] == "sim/poor"
    assert len(runtime.store.predictions(surface.run_id)) == 240


def test_a_cell_that_is_done_is_taken_from_the_store(runtime: Runtime, task: Task) -> None:
    """The same items and settings are never computed again, in a larger grid neither; the figures are the same."""
    first = run(make_sweep(grid=GRID), make_dataset(), task, runtime)
    again = run(make_sweep(grid=GRID), make_dataset(), task, runtime)
    assert [cell.reused for cell in first.cells] == [False] * 4
    assert [cell.reused for cell in again.cells] == [True] * 4
    assert figures(again) == figures(first)
    larger = run(
        make_sweep(grid={**GRID, "thinking": ["off"], "prompt": ["person/v1", "person/v2"]}),
        make_dataset(),
        task,
        runtime,
    )
    assert [cell.reused for cell in larger.cells[:2]] == [True, True]
    other = run(make_sweep(grid=GRID), make_dataset(targets=21), task, runtime)
    assert not any(cell.reused for cell in other.cells)


def test_the_store_alone_gives_the_same_surface(runtime: Runtime, task: Task) -> None:
    """What was measured can be shown again without asking anybody; what was not, has no figures."""
    file = make_sweep(grid=GRID)
    before = stored_surface(file, make_dataset(), task, runtime)
    assert [cell.state for cell in before.cells] == ["waiting"] * 4
    measured = run(file, make_dataset(), task, runtime)
    shown = stored_surface(file, make_dataset(), task, runtime)
    assert figures(shown) == figures(measured)
    assert shown.run_card == measured.run_card


def test_progress_counts_items_over_all_cells(runtime: Runtime, task: Task) -> None:
    """It goes up to the number of items times cells, and simulated dollars are not counted."""
    told: list[tuple[str, int, int, float]] = []
    run(make_sweep(grid=GRID), make_dataset(), task, runtime, progress=lambda *seen: told.append(seen))
    assert [done for _, done, _, _ in told] == sorted(done for _, done, _, _ in told)
    assert told[-1][1:3] == (240, 240)
    assert {cell for cell, *_ in told} == {"words", "learned", "sim/good", "sim/poor"}
    assert all(usd == 0 for *_, usd in told)


def test_only_so_many_items_are_used(runtime: Runtime, task: Task) -> None:
    """`max_items` keeps the share of targets, follows the seed, and an unknown design stays unknown."""
    surfaces = [
        run(
            make_sweep(grid={"classifier": ["words"]}, classifier=None, max_items=24, seed=seed),
            make_dataset(),
            task,
            runtime,
        )
        for seed in (1, 1, 2)
    ]
    assert [len(surface.dataset) for surface in surfaces] == [24, 24, 24]
    assert [surface.positives for surface in surfaces] == [8, 8, 8]
    assert surfaces[0].dataset.examples == surfaces[1].dataset.examples != surfaces[2].dataset.examples
    assert surfaces[0].dataset.design.kind == "unknown"


def test_a_dataset_without_targets_is_an_error(runtime: Runtime, task: Task) -> None:
    """Nothing is asked where no recall can come of it."""
    with pytest.raises(DataError, match="no example is labelled 'refused'"):
        run(make_sweep(grid=GRID), make_dataset(targets=0), task, runtime)
    assert runtime.store.runs(kind="sweep") == []


def test_what_cannot_be_measured_is_an_error_before_the_first_call(runtime: Runtime, task: Task) -> None:
    """A factor that nothing has, a design that contradicts the examples, an item that stands twice."""
    with pytest.raises(ConfigError, match="no such factor"):
        run(make_sweep(grid=GRID, hold_out=["customer"]), make_dataset(), task, runtime)
    with pytest.raises(DataError, match="do not fit"):
        run(make_sweep(grid=GRID), make_dataset(design=Design("stratified", (Stratum("", 9, 3),))), task, runtime)
    dataset = make_dataset()
    with pytest.raises(DataError, match="stands twice"):
        run(make_sweep(grid=GRID), replace(dataset, examples=dataset.examples * 2), task, runtime)
    assert runtime.store.runs(kind="sweep") == []


def test_a_model_that_costs_money_needs_a_cap(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a budget nothing is begun; with the file's own, the runtime needs none."""
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    workspace = make_workspace(tmp_path / "paid", "http://127.0.0.1:9/v1")
    with Runtime(workspace=workspace) as runtime:
        with pytest.raises(BudgetError, match="needs a cap"):
            run(make_sweep(grid={"model": ["wire/x"]}), make_dataset(), task, runtime)
        assert runtime.store.runs(kind="sweep") == []
        assert runtime.budget.cap_nano is None


def test_a_prompt_that_cannot_be_filled_is_an_error_before_the_first_call(
    runtime: Runtime, task: Task, workspace: Path
) -> None:
    """An unknown placeholder is found before a run begins."""
    (workspace / "prompts/person/v2.txt").write_text("{{conversation}} {{questoin}}")
    with pytest.raises(ConfigError, match="questoin"):
        run(make_sweep(grid={"prompt": ["person/v1", "person/v2"]}), make_dataset(), task, runtime)
    assert runtime.store.runs(kind="sweep") == []


def test_an_interrupt_leaves_a_surface_of_what_there_is(runtime: Runtime, task: Task) -> None:
    """Ctrl-C in the middle of a cell: finished cells keep their figures, the run is marked, and it can go on."""
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    stopped = []

    def press(cell: str, done: int, total: int, usd: float) -> None:
        if cell == "sim/good" and done == 130 and not stopped:
            stopped.append(done)
            signal.pthread_kill(main_thread, signal.SIGINT)

    file = make_sweep(grid=GRID)
    with pytest.raises(SweepInterrupted) as caught:
        run(file, make_dataset(), task, runtime, progress=press)
    surface = caught.value.surface
    assert [cell.state for cell in surface.cells][:2] == ["done", "done"]
    assert surface.cells[2].evaluation is None or surface.cells[2].state == "done"
    assert surface.cells[3].state != "done"
    assert surface.stopped == "interrupted"
    assert surface.best().cell is not None or surface.best().candidates  # all real cells are done
    assert runtime.store.runs(kind="sweep")[0]["state"] == "interrupted"
    finished = run(file, make_dataset(), task, runtime)
    assert [cell.state for cell in finished.cells] == ["done"] * 4
    assert [cell.reused for cell in finished.cells][:2] == [True, True]


def test_an_unexpected_error_marks_the_run_as_failed(runtime: Runtime, task: Task) -> None:
    """Whatever ends a run, the store says how it ended."""

    def broken(cell: str, done: int, total: int, usd: float) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        run(make_sweep(grid={"classifier": ["words"]}, classifier=None), make_dataset(), task, runtime, progress=broken)
    (row,) = runtime.store.runs(kind="sweep")
    assert (row["state"], "terminal" in row["why"]) == ("failed", True)


def test_the_run_card_says_where_the_numbers_come_from(runtime: Runtime, task: Task, workspace: Path) -> None:
    """Hashes, commit, versions, seed, prices and machine; nothing of the environment."""
    os.environ["SECRET_OF_TEST"] = "hunter2"
    surface = run(
        make_sweep(grid=GRID, seed=9), make_dataset(), task, runtime, git_sha="abc+dirty", versions={"llmclf": "0.1.0"}
    )
    card = surface.run_card
    assert card["git"] == {"sha": "abc", "dirty": True}
    assert card["seed"] == 9
    assert card["dataset"]["sha256"] == surface.dataset.content_hash
    assert set(card["prompts"]) == {"person/v1"}
    assert card["prices"]["sim/good"]["input_usd_per_million"] == 1.0
    assert card["machine"]["cores"] == os.cpu_count()
    assert "hunter2" not in surface.to_json()


def test_a_known_design_reaches_the_figures(runtime: Runtime, task: Task) -> None:
    """Of a random sample the report may speak of the population."""
    dataset = make_dataset(design=Design("random"))
    surface = run(make_sweep(grid={"classifier": ["words"]}, classifier=None), dataset, task, runtime)
    assert surface.cells[0].evaluation is not None
    assert surface.cells[0].evaluation.flag_rate.is_known
