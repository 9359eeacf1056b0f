"""What one run, or one cell of a sweep, said of which labelled items: the store and the dataset put together again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmclf.config import SweepFile, load_task
from llmclf.data.design import part_of
from llmclf.data.loading import load_dataset
from llmclf.data.sample import take
from llmclf.errors import ConfigError, DataError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.types import Costs, Dataset, Predictions, Task

KINDS = ("evaluate", "sweep")
"""Runs whose predictions have labels to be held against."""
LAST = "last"


@dataclass(frozen=True)
class RunResult:
    """Predictions of a run (of one cell, where it is a sweep) with the labels of their items."""

    run_id: str
    kind: str
    """`evaluate` or `sweep`."""
    label: str
    """For people: the cell's label, or the classifier's name."""
    cell_id: str
    """Empty for a run of kind `evaluate`."""
    classifier: str
    """The classifier's name, as its file has it."""
    predictions: Predictions = field(repr=False)
    dataset: Dataset = field(repr=False)
    """The examples that were predicted; the predictions stand in their order."""
    task: Task = field(repr=False)
    costs: Costs
    settings: Mapping[str, Any] = field(repr=False)
    """What the run or the cell was made with."""
    labels_changed: bool
    """True where the dataset is not, or not only, what it was when the run was made: its figures will differ."""

    @property
    def name(self) -> str:
        """What names it again: `RUN`, or `RUN/CELL`."""
        return f"{self.run_id}/{self.cell_id}" if self.cell_id else self.run_id

    @property
    def simulated(self) -> bool:
        """True where the answers were made up by the simulated vendor."""
        return any(self.predictions.column("simulated"))


def run_result(name: str, runtime: Runtime, *, dataset: str | None = None) -> RunResult:
    """The result that `name` stands for: `RUN`, `RUN/CELL` or `last`, the newest run.

    RUN is how a run's id begins; CELL is a cell's number (from 1, as the report numbers them), its label, or how
    its id begins. The labels are read again from the run's dataset (or `dataset`), as they are now. Raises
    ConfigError with the choices where not exactly one result is meant, DataError where its items are gone.
    """
    start, _, cell = name.partition("/")
    run = find_run(runtime.store, start)
    if run["kind"] not in KINDS:
        raise ConfigError(
            f"a run of kind {run['kind']!r} has no labels to be held against",
            where="run",
            got=run["run_id"],
            fix="name a run of `llmclf evaluate` or `llmclf sweep run`: llmclf runs list",
        )
    config = run["config"]
    settings: Mapping[str, Any] = config
    cell_id, label = "", str(config.get("classifier", "")).partition("@")[0]
    costs = costs_of(run)
    if run["kind"] == "sweep":
        row = _one_cell(runtime.store.cells(run["run_id"]), cell, run["run_id"])
        settings, cell_id, label = row["settings"], row["cell_id"], row["settings"]["label"]
    elif cell:
        raise ConfigError("only a sweep has cells", where="run", got=name, fix=f"say {start} alone")
    predictions = runtime.store.predictions(run["run_id"], cell_id=cell_id or None)
    if not len(predictions):
        raise DataError("the store holds no prediction of it", where=f"run {name}", fix="it may have been forgotten")
    task = load_task(predictions[0].task, runtime.workspace)
    whole = load_dataset(dataset or str(config["dataset"]), runtime.workspace).for_task(task.name)
    asked, found = _labelled(whole, predictions, name, config.get("max_items"), task, run["seed"])
    return RunResult(
        run_id=run["run_id"],
        kind=run["kind"],
        label=label,
        cell_id=cell_id,
        classifier=str(settings.get("classifier", "")).partition("@")[0],
        predictions=_in_order(predictions, found),
        dataset=found,
        task=task,
        costs=costs,
        settings=settings,
        labels_changed=run["dataset_hash"] != asked.content_hash,
    )


def find_run(store: Store, start: str) -> dict[str, Any]:
    """The run whose id begins so, or the newest with labels for `last`; ConfigError where it is not exactly one."""
    runs = store.runs(limit=100_000)
    if start == LAST:
        labelled = [row for row in runs if row["kind"] in KINDS]
        if not labelled:
            raise ConfigError("the store holds no run of evaluate or sweep", fix="llmclf evaluate makes one")
        return labelled[0]
    rows = [row for row in runs if row["run_id"].startswith(start)]
    if len(rows) > 1:
        raise ConfigError(f"{len(rows)} runs' ids begin so", got=start, fix="give more of it: llmclf runs list")
    if not rows:
        raise ConfigError("no run has that id", got=start, fix=_nearest_run(start, [row["run_id"] for row in runs]))
    return rows[0]


def costs_of(run: Mapping[str, Any]) -> Costs:
    """The costs that a run was evaluated at: those of a sweep's file, or of an evaluation's result."""
    if run["kind"] == "sweep":
        config = {key: value for key, value in run["config"].items() if key != "name"}
        return SweepFile.model_validate_json(json.dumps(config)).as_costs
    return Costs(**((run["result"] or {}).get("costs") or {}))


def _one_cell(cells: Sequence[Mapping[str, Any]], wanted: str, run_id: str) -> Mapping[str, Any]:
    labels = [f"{number}  {row['settings']['label']}" for number, row in enumerate(cells, start=1)]
    if not wanted:
        if len(cells) == 1:
            return cells[0]
        raise ConfigError(
            "a sweep has many cells: say which",
            where=f"run {run_id}",
            fix=f"{run_id}/2 is its second",
            problems=labels[:60],
        )
    if wanted.isdigit() and 1 <= int(wanted) <= len(cells):
        return cells[int(wanted) - 1]
    for matches in (
        [row for row in cells if wanted in (row["settings"]["label"], row["cell_id"])],
        [row for row in cells if row["cell_id"].startswith(wanted)],
    ):
        if len(matches) == 1:
            return matches[0]
    names = [str(row["settings"]["label"]) for row in cells]
    raise ConfigError(
        "the sweep has no such cell, or several",
        where=f"run {run_id}",
        got=wanted,
        fix=nearest(wanted, names),
        problems=labels[:60],
    )


def _labelled(
    whole: Dataset, predictions: Predictions, name: str, max_items: int | None, task: Task, seed: int
) -> tuple[Dataset, Dataset]:
    """(what the run was made on, the part of it that was predicted), in the dataset's order.

    DataError where a predicted item has no label any more.
    """
    items = {prediction.item for prediction in predictions}
    missing = sorted(str(item) for item in items - {example.item for example in whole.examples})
    if missing:
        raise DataError(
            f"{len(missing)} of {len(items)} items of the run have no label in the dataset now",
            where=f"run {name}, dataset {whole.name}",
            fix="name the dataset it was made on with --dataset",
            problems=missing[:20],
        )
    asked = whole if max_items is None else take(whole, max_items, task, seed)
    if not items <= {example.item for example in asked.examples}:
        asked = whole  # changed labels change what is drawn
    kept = [place for place, example in enumerate(asked.examples) if example.item in items]
    return asked, asked if len(kept) == len(asked) else part_of(asked, kept, f"{len(kept)} of {len(asked)} examples")


def _in_order(predictions: Predictions, dataset: Dataset) -> Predictions:
    by_item = {prediction.item: prediction for prediction in predictions}
    return Predictions(by_item[example.item] for example in dataset.examples)


def _nearest_run(start: str, run_ids: Sequence[str]) -> str:
    """The hint at the id that is most like what was typed, the newest of those that are equally like it."""
    import difflib

    if not run_ids:
        return "the store holds no run yet"
    begun = [run_id[: len(start)] for run_id in run_ids]
    likest = max(range(len(run_ids)), key=lambda at: difflib.SequenceMatcher(None, begun[at], start).ratio())
    return f"did you mean {run_ids[likest]!r}? llmclf runs list has all"
