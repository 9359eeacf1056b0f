"""What earlier executions left in the store: finished cells, and money that was spent."""

from __future__ import annotations

from llmclf.store import Store
from llmclf.types import Dataset, Predictions

KIND = "sweep"
"""The kind of run that a sweep is in the store."""


def done_earlier(store: Store, cell_id: str, dataset_hash: str) -> str | None:
    """The latest sweep that finished this cell on the same items; None where there is none."""
    rows = store.query(
        "SELECT cells.run_id AS run_id FROM cells JOIN runs ON runs.run_id = cells.run_id "
        "WHERE cells.cell_id = ? AND cells.state = 'done' AND runs.kind = ? AND runs.dataset_hash = ? "
        "ORDER BY cells.run_id DESC LIMIT 1",
        [cell_id, KIND, dataset_hash],
    )
    return str(rows[0]["run_id"]) if rows else None


def predictions_earlier(store: Store, cell_id: str, dataset: Dataset) -> Predictions | None:
    """The predictions of this cell from an earlier sweep, in the dataset's order; None unless all are there."""
    run_id = done_earlier(store, cell_id, dataset.content_hash)
    if run_id is None:
        return None
    found = {prediction.item: prediction for prediction in store.predictions(run_id, cell_id=cell_id)}
    items = [example.item for example in dataset.examples]
    if any(item not in found for item in items):
        return None  # some were forgotten or pruned since
    return Predictions(found[item] for item in items)


def earlier_runs(store: Store, inputs_hash: str) -> list[str]:
    """Ids of the sweeps that were executed with the same inputs, finished or not."""
    rows = store.query("SELECT run_id FROM runs WHERE kind = ? AND inputs_hash = ?", [KIND, inputs_hash])
    return [str(row["run_id"]) for row in rows]


def spent_by(store: Store, run_ids: list[str]) -> int:
    """Nano-dollars that these runs spent, or set aside for calls whose bill is not known."""
    if not run_ids:
        return 0
    spent = store.spent_nano(run_ids=run_ids)
    return spent.settled + spent.reserved_unsettled


def spent_earlier(store: Store, inputs_hash: str) -> int:
    """`spent_by` of every execution with the same inputs."""
    return spent_by(store, earlier_runs(store, inputs_hash))
