"""What a sweep is about, settled before anything is paid: items, cells, and the hash over all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmclf.config import SweepFile
from llmclf.data.sample import take
from llmclf.errors import DataError
from llmclf.evaluation import folds
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.llm.runtime import Runtime
from llmclf.sweeps.cells import Cell, Skipped, expand
from llmclf.types import Dataset, Prediction, Predictions, Task, content_hash

_NOT_INPUTS = {"budget_usd", "concurrency"}
"""Settings that change how a sweep runs, not what comes out: raising the cap continues the same sweep."""
_OF_A_RACE = {"keep", "risk"}


@dataclass(frozen=True)
class Inputs:
    """Everything that decides what a sweep finds."""

    file: SweepFile
    task: Task
    dataset: Dataset
    """The examples that carry a label of the task, `max_items` of them where the file says so."""
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]

    @property
    def positives(self) -> int:
        """Examples whose label is the target."""
        return self.dataset.labels(self.task.name).count(self.task.target)

    @property
    def config(self) -> dict[str, Any]:
        """The sweep file as JSON types, as it is kept with the run."""
        config: dict[str, Any] = self.file.model_dump(mode="json")
        return config

    @property
    def inputs_hash(self) -> str:
        """Over dataset, task, cells, seed and settings, not over budget and concurrency."""
        without = _NOT_INPUTS | (set() if self.file.strategy == "racing" else _OF_A_RACE)
        config = {key: value for key, value in self.config.items() if key not in without}
        return content_hash(
            {
                "dataset": self.dataset.content_hash,
                "task": self.task,
                "cells": [cell.cell_id for cell in self.cells],
                "config": config,
            }
        )


def sweep_inputs(file: SweepFile, dataset: Dataset, task: Task, runtime: Runtime) -> Inputs:
    """The inputs of a sweep. Raises ConfigError (`expand`) or DataError before anything is sent.

    DataError: no example carries a label of the task, a label is outside its closed set, none is
    the target, an item stands twice, or the design contradicts the examples. For cells that learn also
    what can't be held out.
    """
    labelled = dataset.for_task(task.name)
    if file.max_items is not None and file.max_items < len(labelled):
        labelled = take(labelled, file.max_items, task, file.seed)
    labels = labelled.labels(task.name)
    for label in sorted(set(labels)):
        task.check_label(label)
    if task.target not in labels:
        raise DataError(
            f"no example is labelled {task.target!r}, so no cell's recall can be measured",
            where=f"dataset {dataset.name}",
            got=f"{len(labels)} labels of task {task.name}",
            fix=f"llmclf data sample draws conversations to label; or check the task's name: {task.name}",
        )
    cells, skipped = expand(file, runtime, task=task)
    _check_measurable(labelled, task)
    if any(cell.learns for cell in cells):
        folds(labelled, file.hold_out, file.folds, file.seed, task=task)
    return Inputs(file, task, labelled, tuple(cells), tuple(skipped))


def _check_measurable(dataset: Dataset, task: Task) -> None:
    """Raises now what the evaluation would raise when everything is paid for."""
    drawn(dataset, dataset.examples)
    answers = (
        Prediction(e.conversation_id, "any", task.name, turn=e.turn, label=task.target) for e in dataset.examples
    )
    match(Predictions(answers), dataset, task)
