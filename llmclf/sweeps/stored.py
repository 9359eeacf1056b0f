"""The surface of a sweep from the store alone: nothing is asked, trained or bought."""

from __future__ import annotations

from collections.abc import Sequence

from llmclf.config import SweepFile, load_pace
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.sweeps.cells import Cell
from llmclf.sweeps.earlier import KIND, predictions_earlier
from llmclf.sweeps.inputs import sweep_inputs
from llmclf.sweeps.measured import Dropped, MeasuredCell, measure_cell
from llmclf.sweeps.racing import Track, race_card
from llmclf.sweeps.run import shown
from llmclf.sweeps.run_card import run_card_of
from llmclf.sweeps.surface import Stopped, Surface
from llmclf.types import Dataset, Predictions, Task

_STOPPED: dict[str, Stopped] = {"stopped": "budget", "interrupted": "interrupted", "running": "interrupted"}

_KILLED = "its process ended in the middle; run again to continue"
_AT_IT = "it is under way, or its process has just ended in the middle; run again to continue"


def stored_surface(file: SweepFile, dataset: Dataset, task: Task, runtime: Runtime) -> Surface:
    """What the store of `runtime` knows of a sweep so far; cells nobody finished come without figures.

    The figures are computed anew from the stored predictions, so the same answers give the same
    numbers. Raises ConfigError or DataError as `run` does before it begins.
    """
    inputs = sweep_inputs(file, dataset, task, runtime)
    store, items = runtime.store, inputs.dataset
    runs = store.runs(kind=KIND, inputs_hash=inputs.inputs_hash, limit=1)
    last = runs[0] if runs else None
    run_id = str(last["run_id"]) if last else ""
    found = _best_of_family(inputs.cells, [_found(store, run_id, cell, items) for cell in inputs.cells])
    cells = []
    dropped = {row["cell_id"]: Dropped(**row["result"]) for row in store.cells(run_id) if row["state"] == "dropped"}
    for cell, predictions in zip(inputs.cells, found, strict=True):
        if len(predictions) == len(items) and not _over_budget(predictions):
            cells.append(measure_cell(cell, predictions, items, task, file, reused=True))
        elif cell.cell_id in dropped:
            cells.append(MeasuredCell(cell, "dropped", len(items), predictions, dropped=dropped[cell.cell_id]))
        else:
            cells.append(MeasuredCell(cell, "incomplete" if len(predictions) else "waiting", len(items), predictions))
    complete = all(cell.state in ("done", "dropped", "failed") for cell in cells)
    stopped: Stopped = "" if complete or last is None else _STOPPED.get(str(last["state"]), "")
    card = {} if last is None else run_card_of(last)
    if stopped and last is not None and last["state"] == "running":
        card["why"] = _KILLED if last["seems_ended"] else _AT_IT
    if file.strategy == "racing":
        card.setdefault("race", race_card(file, Track.of(items, task, file)))
    return Surface(
        cells=tuple(cells),
        skipped=inputs.skipped,
        run_id=run_id,
        inputs_hash=inputs.inputs_hash,
        costs=file.as_costs,
        limits=file.limits,
        task=task,
        dataset=shown(items, runtime),
        pace=load_pace(runtime.workspace),
        seed=file.seed,
        stopped=stopped,
        run_card=card,
    )


def _found(store: Store, run_id: str, cell: Cell, dataset: Dataset) -> Predictions:
    """What an earlier sweep finished of a cell, else what the last one began."""
    earlier = predictions_earlier(store, cell, dataset)
    return _begun(store, run_id, cell.cell_id, dataset) if earlier is None else earlier


def _best_of_family(cells: Sequence[Cell], found: Sequence[Predictions]) -> list[Predictions]:
    """For each cell what most was answered of, among those that differ in their plan alone: their answers are one."""
    best: dict[str, Predictions] = {}
    for cell, predictions in zip(cells, found, strict=True):
        if _answered(predictions) >= _answered(best.get(cell.answers_id, Predictions())):
            best[cell.answers_id] = predictions
    return [best[cell.answers_id] for cell in cells]


def _answered(predictions: Predictions) -> tuple[int, int]:
    """(items answered, items in all)."""
    errors = predictions.column("error")
    return sum(error is None for error in errors), len(errors)


def _begun(store: Store, run_id: str, cell_id: str, dataset: Dataset) -> Predictions:
    """What a run predicted of a cell before it ended, in the dataset's order."""
    if not run_id:
        return Predictions()
    found = {prediction.item: prediction for prediction in store.predictions(run_id, cell_id=cell_id)}
    return Predictions(found[example.item] for example in dataset.examples if example.item in found)


def _over_budget(predictions: Predictions) -> bool:
    return any(error is not None and error.kind == "over_budget" for error in predictions.column("error"))
