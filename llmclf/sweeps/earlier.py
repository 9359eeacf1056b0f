"""What earlier executions left in the store: finished cells, and money that was spent."""

from __future__ import annotations

from llmclf.store import Store
from llmclf.sweeps.cells import Cell
from llmclf.types import Dataset, Predictions

KIND = "sweep"
"""The kind of run that a sweep is in the store."""


def done_earlier(store: Store, cell: Cell, dataset_hash: str) -> tuple[str, str] | None:
    """(run, cell id there) of the latest sweep that finished this cell on the same items, under whatever plan."""
    rows = store.query(
        "SELECT cells.run_id AS run_id, cells.cell_id AS cell_id FROM cells JOIN runs ON runs.run_id = cells.run_id "
        "WHERE (cells.cell_id = ? OR cells.cell_id GLOB ?) AND cells.state = 'done' AND runs.kind = ? "
        "AND runs.dataset_hash = ? ORDER BY cells.run_id DESC LIMIT 1",
        [cell.answers_id, f"{cell.answers_id}+*", KIND, dataset_hash],
    )
    return (str(rows[0]["run_id"]), str(rows[0]["cell_id"])) if rows else None


def predictions_earlier(store: Store, cell: Cell, dataset: Dataset) -> Predictions | None:
    """The predictions of this cell from an earlier sweep, in the dataset's order; None unless all are there.

    They cost and took what they did when they were bought, whatever the cell's plan.
    """
    done = done_earlier(store, cell, dataset.content_hash)
    if done is None:
        return None
    run_id, cell_id = done
    found = {prediction.item: prediction for prediction in store.predictions(run_id, cell_id=cell_id)}
    items = [example.item for example in dataset.examples]
    if any(item not in found for item in items):
        return None  # some were forgotten or pruned since
    return Predictions(found[item] for item in items)


def earlier_runs(store: Store, inputs_hash: str, kind: str = KIND) -> list[str]:
    """Ids of the runs of a kind that were executed with the same inputs, finished or not."""
    rows = store.query("SELECT run_id FROM runs WHERE kind = ? AND inputs_hash = ?", [kind, inputs_hash])
    return [str(row["run_id"]) for row in rows]


def spent_by(store: Store, run_ids: list[str]) -> int:
    """Nano-dollars that these runs spent, or set aside for calls whose bill is not known."""
    if not run_ids:
        return 0
    spent = store.spent_nano(run_ids=run_ids)
    return spent.settled + spent.reserved_unsettled


def spent_earlier(store: Store, inputs_hash: str, kind: str = KIND) -> int:
    """`spent_by` of every execution with the same inputs."""
    return spent_by(store, earlier_runs(store, inputs_hash, kind))
