"""What one run, or one cell of a sweep, said of which labelled items: the store and the dataset put together again."""

from __future__ import annotations

import json
import re
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
from llmclf.sweeps.cells import numbers_of
from llmclf.types import Costs, Dataset, Predictions, Task

KINDS = ("evaluate", "sweep")
"""Runs whose predictions have labels to be held against."""
LAST = "last"
_LIKE_AN_ID = re.compile(r"\d[0-9a-z]*")
"""Ids are hexadecimal and begin with their time; one letter may be a slip."""


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
    labels_from: str
    """The name or path that the labels were read by."""
    labels_changed: bool
    """True where the dataset is not, or not only, what it was when the run was made: its figures will differ."""
    partial: bool
    """True where only a part of the items was asked: a race dropped the cell, or its run ended before it was done."""

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

    RUN is how a run's id begins; CELL is a cell's number as the report has it (1, 2, ..., S1 for the first simulated
    one), its label, or how its id begins. The labels are read again from the run's dataset (or `dataset`), as they
    are now. Raises ConfigError with the choices where not exactly one result is meant, DataError where its items are
    gone.
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
    cell_id, label, is_done = "", str(config.get("name") or _classifier_of(run)), True
    costs = costs_of(run)
    if run["kind"] == "sweep":
        row = _one_cell(runtime.store.cells(run["run_id"]), cell, run["run_id"])
        settings, cell_id, label = row["settings"], row["cell_id"], row["settings"]["label"]
        is_done = row["state"] == "done"
    elif cell:
        raise ConfigError("only a sweep has cells", where="run", got=name, fix=f"say {start} alone")
    predictions = runtime.store.predictions(run["run_id"], cell_id=cell_id or None)
    if not len(predictions):
        raise _without_predictions(name, run, runtime.store)
    task = load_task(predictions[0].task, runtime.workspace)
    labels_from = dataset or str(config.get("dataset_path") or config["dataset"])
    whole = load_dataset(labels_from, runtime.workspace).for_task(task.name)
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
        labels_from=labels_from,
        labels_changed=run["dataset_hash"] != asked.content_hash,
        partial=not is_done and len(found) < len(asked),
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
        raise ConfigError("no run has that id", got=start, fix=_hint(start, runs))
    return rows[0]


def newest_run(store: Store, classifier: str) -> str:
    """The id of the newest run of kind `evaluate` of a classifier as its file has it; empty where there is none."""
    rows = [row for row in store.runs(kind="evaluate", limit=100_000) if _classifier_of(row) == classifier]
    return next((row["run_id"] for row in rows if row["result"] and not row["config"].get("name")), "")


def _classifier_of(run: Mapping[str, Any]) -> str:
    return str(run["config"].get("classifier") or "").partition("@")[0]


def _without_predictions(name: str, run: Mapping[str, Any], store: Store) -> DataError:
    """Why a run has none."""
    if run["state"] not in ("failed", "interrupted"):
        return DataError("the store holds no prediction of it", where=f"run {name}", fix="it may have been forgotten")
    finished = [row["run_id"] for row in store.runs(limit=100_000) if row["kind"] in KINDS and row["result"]]
    what = "no run has finished yet; the last one" if name == LAST and not finished else "the run"
    fix = f"the newest that finished is {finished[0]}" if finished else "run it again once that is mended"
    return DataError(f"{what} {run['state']}: {run['why']}".rstrip(": "), where=f"run {run['run_id']}", fix=fix)


def costs_of(run: Mapping[str, Any]) -> Costs:
    """The costs that a run was evaluated at: those of a sweep's file, or of an evaluation's result."""
    if run["kind"] == "sweep":
        config = {key: value for key, value in run["config"].items() if key != "name"}
        return SweepFile.model_validate_json(json.dumps(config)).as_costs
    return Costs(**((run["result"] or {}).get("costs") or {}))


def cell_numbers(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The numbers of a run's cells (as the store has them), as in the report: 1, 2, ..., S1, ... if simulated."""
    counted = numbers_of(bool(row["simulated"]) for row in cells)  # for runs that kept none
    return [str(row["settings"].get("number", number)) for row, number in zip(cells, counted, strict=True)]


def _one_cell(cells: Sequence[Mapping[str, Any]], wanted: str, run_id: str) -> Mapping[str, Any]:
    numbers = cell_numbers(cells)
    labels = [f"{number}  {row['settings']['label']}" for number, row in zip(numbers, cells, strict=True)]
    if not wanted:
        if len(cells) == 1:
            return cells[0]
        raise ConfigError(
            "a sweep has many cells: say which",
            where=f"run {run_id}",
            fix=f"such as {run_id}/{numbers[-1]}" if numbers else "",
            problems=labels[:60],
        )
    if wanted.upper() in numbers:
        return cells[numbers.index(wanted.upper())]
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


def _hint(start: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """The id most like what was typed (the newest of those), or the newest run of the classifier or sweep it names."""
    import difflib

    if not runs:
        return "the store holds no run yet"
    named = [row["run_id"] for row in runs if start in (_classifier_of(row), row["config"].get("name"))]
    if named:
        return f"the newest run of {start} is {named[0]}"
    if not _LIKE_AN_ID.fullmatch(start):
        return "llmclf runs list has all"
    run_ids = [row["run_id"] for row in runs]
    begun = [run_id[: len(start)] for run_id in run_ids]
    likest = max(range(len(run_ids)), key=lambda at: difflib.SequenceMatcher(None, begun[at], start).ratio())
    return f"did you mean {run_ids[likest]!r}? llmclf runs list has all"
