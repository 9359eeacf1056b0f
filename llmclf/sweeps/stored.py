"""The surface of a sweep from the store alone: nothing is asked, trained or bought."""

from __future__ import annotations

from llmclf.config import SweepFile
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.sweeps.earlier import KIND, predictions_earlier
from llmclf.sweeps.inputs import sweep_inputs
from llmclf.sweeps.measured import MeasuredCell, measure_cell
from llmclf.sweeps.run import shown
from llmclf.sweeps.surface import Stopped, Surface
from llmclf.types import Dataset, Predictions, Task

_STOPPED: dict[str, Stopped] = {"stopped": "budget", "interrupted": "interrupted", "running": "interrupted"}


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
    cells = []
    for cell in inputs.cells:
        predictions = predictions_earlier(store, cell, items)
        if predictions is not None:
            cells.append(measure_cell(cell, predictions, items, task, file, reused=True))
            continue
        begun = _begun(store, run_id, cell.cell_id, items)
        if len(begun) == len(items) and not _over_budget(begun):
            cells.append(measure_cell(cell, begun, items, task, file, reused=True))
        else:
            cells.append(MeasuredCell(cell, "incomplete" if len(begun) else "waiting", len(items), begun))
    complete = all(cell.state == "done" for cell in cells)
    result = (last["result"] if last else None) or {}
    return Surface(
        cells=tuple(cells),
        skipped=inputs.skipped,
        run_id=run_id,
        inputs_hash=inputs.inputs_hash,
        costs=file.as_costs,
        limits=file.limits,
        task=task,
        dataset=shown(items, runtime),
        stopped="" if complete or last is None else _STOPPED.get(str(last["state"]), ""),
        run_card=result.get("run_card", {}),
    )


def _begun(store: Store, run_id: str, cell_id: str, dataset: Dataset) -> Predictions:
    """What a run predicted of a cell before it ended, in the dataset's order."""
    if not run_id:
        return Predictions()
    found = {prediction.item: prediction for prediction in store.predictions(run_id, cell_id=cell_id)}
    return Predictions(found[example.item] for example in dataset.examples if example.item in found)


def _over_budget(predictions: Predictions) -> bool:
    return any(error is not None and error.kind == "over_budget" for error in predictions.column("error"))
