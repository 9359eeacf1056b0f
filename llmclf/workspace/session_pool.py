"""What a session is about, and the pool its cases are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmclf.calibration.session import SessionDesign, SessionKind
from llmclf.classifiers.base import items_of
from llmclf.classifiers.items import rest_label
from llmclf.config import files, load_task
from llmclf.data.loading import load_dataset
from llmclf.data.read import read_conversations
from llmclf.errors import ConfigError, DataError, nearest
from llmclf.judges.base import Judge
from llmclf.judges.loading import load_judge
from llmclf.llm.runtime import Runtime
from llmclf.types import (
    RECORDED,
    Bar,
    Case,
    Conversation,
    Dataset,
    Example,
    Prediction,
    Predictions,
    Rubric,
    Task,
    dataset_of,
    is_flagged,
)
from llmclf.types.task import Unit
from llmclf.workspace.cases import RUN, cases_of
from llmclf.workspace.run_results import LAST, find_run

MOST_VALUES = 20
"""A name of metadata with more values than this is not kept with a session."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What people label by: a task, or the rubric of a judge."""

    kind: SessionKind
    rubric: Rubric
    bar: Bar = Bar()
    fingerprint: str = ""
    """Of the judge as it is now; empty for a task."""
    task: Task | None = None
    """Where it is one."""

    @property
    def is_recorded(self) -> bool:
        """True for a judge whose verdicts were made elsewhere."""
        return self.fingerprint.startswith(RECORDED)

    @property
    def has_prompt(self) -> bool:
        """True for a judge that can be changed, by cases that never test it."""
        return self.kind == "judge" and not self.is_recorded


@dataclass(frozen=True, eq=False)
class Pool:
    """Everything that may be drawn, with what was said of it already."""

    cases: tuple[Case, ...]
    conversations: Mapping[str, Conversation]
    verdicts: Mapping[str, str | None]
    """By case id, of those that were judged (or classified); None: failed."""
    left_out: tuple[str, ...] = ()
    """What of the source is not in it, and why, in words."""

    @property
    def is_judged(self) -> bool:
        """True where there is a verdict, or a failure, for every case."""
        return all(case.id in self.verdicts for case in self.cases)


def subject_of(name: str, runtime: Runtime) -> Subject:
    """The judge or the task that `name` stands for; `judge:NAME` or `task:NAME` where both have that name.

    Raises ConfigError where there is none, or where both are meant.
    """
    kind, _, rest = name.partition(":")
    if kind in ("judge", "task") and rest:
        return _judge_subject(rest, runtime) if kind == "judge" else _task_subject(rest, runtime)
    judges, tasks = (files.listing(kind, runtime.workspace) for kind in ("judge", "task"))
    if name.endswith(".toml") or (name in judges and name in tasks):
        what = "this can be a task or a judge" if name.endswith(".toml") else "a task and a judge have this name"
        raise ConfigError(what, where="calibrate", got=name, fix=f"say task:{name} or judge:{name}")
    if name in judges:
        return _judge_subject(name, runtime)
    if name in tasks:
        return _task_subject(name, runtime)
    raise ConfigError("there is no task or judge of this name", got=name, fix=nearest(name, sorted({*judges, *tasks})))


def subject_of_judge(judge: Judge) -> Subject:
    """The rubric, bar and fingerprint of a judge as it is now."""
    return Subject("judge", judge.rubric, judge.bar, judge.fingerprint)


def _judge_subject(name: str, runtime: Runtime) -> Subject:
    return subject_of_judge(load_judge(name, runtime=runtime, workspace=runtime.workspace))


def _task_subject(name: str, runtime: Runtime) -> Subject:
    task = load_task(name, runtime.workspace)
    return Subject("task", Rubric.of_task(task), task=task)


def pool_of(
    subject: Subject,
    items: str,
    runtime: Runtime,
    *,
    conversations: str | None = None,
    unit: Unit = "conversation",
) -> Pool:
    """The cases that `items` names, their conversations, and what the judge or the run says of them.

    For a task: a dataset, a file of conversations (JSON Lines), or `run:RUN` (`run:RUN/CELL`, `run:last`), whose
    predictions are the verdicts. For a judge: what `cases_of` takes. `conversations` names a dataset or a file where
    a run does not say which conversations it was about; `unit` is for a judge whose items name no turns.
    """
    if subject.task is None:
        cases, found = cases_of(items, subject.rubric, runtime, conversations=conversations, unit=unit)
        said = runtime.store.judgments(
            subject.rubric.name, fingerprint=subject.fingerprint, probe="", repeat=0, case_ids=[one.id for one in cases]
        )
        left_out = _without_label(items, subject, runtime)
        pool = Pool(tuple(cases), found, {one.case: one.verdict for one in said}, left_out)
    elif items.startswith(RUN) or items == LAST:
        pool = _pool_of_run(subject.task, items.removeprefix(RUN), runtime, conversations)
    else:
        pool = _pool_of_dataset(subject.task, _dataset(items, runtime.workspace))
    if not pool.cases:
        raise DataError("there is nothing to label in it", where=items)
    return replace(pool, cases=_with_slices(pool.cases))


def drawn_from(pool: Pool, design: SessionDesign) -> Pool:
    """What of the pool this design can draw: by known label only the cases that have one, if any has."""
    labelled = tuple(case for case in pool.cases if case.label)
    if design != "class_balanced" or not labelled or len(labelled) == len(pool.cases):
        return pool
    gone = len(pool.cases) - len(labelled)
    why = f"{gone:,} of {len(pool.cases):,} cases have no known label, and are left out of a class-balanced session."
    return replace(pool, cases=labelled, left_out=(*pool.left_out, why))


def _without_label(items: str, subject: Subject, runtime: Runtime) -> tuple[str, ...]:
    """What a judge is not shown of a labelled dataset, in words."""
    if items == LAST or items.startswith(RUN) or items.endswith((".jsonl", ".jsonl.gz")):
        return ()
    dataset = load_dataset(items, runtime.workspace)
    gone = len(dataset.conversations.keys() - {example.conversation_id for example in dataset.examples})
    if not gone or not dataset.examples:
        return ()
    return (
        f"{gone:,} of {len(dataset.conversations):,} conversations of {items} carry no label, and are no cases of "
        f"{subject.rubric.name}, here as in `llmclf judge run`: for all of them give the file of conversations.",
    )


def _with_slices(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases with what of their metadata is worth slicing by: names and ids of people are not."""
    values: dict[str, set[Any]] = {}
    for case in cases:
        for name, value in case.metadata.items():
            values.setdefault(name, set()).add(value)
    kept = {name for name, seen in values.items() if len(seen) <= min(MOST_VALUES, max(1, len(cases) // 2))}
    return tuple(
        replace(case, metadata={name: value for name, value in case.metadata.items() if name in kept}) for case in cases
    )


def _dataset(name: str, workspace: Path | None) -> Dataset:
    """A dataset by its name, or the conversations of a JSON Lines file."""
    if not name.endswith((".jsonl", ".jsonl.gz")):
        return load_dataset(name, workspace)
    places = [root / name for root in (workspace or Path(), Path())]
    path = next((place for place in places if place.is_file()), Path(name))
    return dataset_of(path.name, read_conversations(path).conversations)


def _pool_of_dataset(task: Task, dataset: Dataset) -> Pool:
    """Every conversation, or every turn of the bot, and what is labelled besides."""
    examples = {example.item: example for example in dataset.examples if (example.turn is None) != _by_turn(task)}
    items = dict.fromkeys([*items_of(dataset.conversations.values(), task), *examples])
    cases = []
    for item in items:
        conversation, example = dataset.conversations[item.conversation_id], examples.get(item)
        cases.append(_case(task, conversation, item.turn, example))
    return Pool(tuple(cases), dataset.conversations, {})


def _pool_of_run(task: Task, name: str, runtime: Runtime, conversations: str | None) -> Pool:
    run_id, predictions, dataset = predictions_of(name, runtime, conversations)
    wrong = sorted({one.task for one in predictions} - {task.name})
    if wrong:
        raise ConfigError(f"the run is about {', '.join(wrong)}", where=f"run {name}", got=f"task {task.name}")
    missing = sorted({one.conversation_id for one in predictions} - set(dataset.conversations))
    if missing:
        raise DataError(
            f"{len(missing)} conversations of the run are not in {dataset.name}",
            where=f"run {run_id}",
            got=missing[:3],
            fix="name what it was made on with --conversations",
        )
    examples = {example.item: example for example in dataset.examples}
    cases = [
        _case(task, dataset.conversations[one.conversation_id], one.turn, examples.get(one.item)) for one in predictions
    ]
    return Pool(tuple(cases), dataset.conversations, {str(one.item): verdict_of(one, task) for one in predictions})


def predictions_of(
    name: str, runtime: Runtime, conversations: str | None = None, *, with_texts: bool = True
) -> tuple[str, Predictions, Dataset]:
    """(run id, predictions, the conversations they are about) of `RUN`, `RUN/CELL` or `last`.

    Without `with_texts` nothing is read but the store, and the dataset is empty.
    """
    start, _, cell = name.partition("/")
    run = find_run(runtime.store, start)
    cells = runtime.store.cells(run["run_id"]) if run["kind"] == "sweep" else []
    cell_id = ""
    if cells:
        found = [row["cell_id"] for row in cells if cell and (row["cell_id"].startswith(cell))]
        found = found or [row["cell_id"] for row in cells if str(row["settings"].get("number")) == cell.upper()]
        if len(found) != 1:
            numbers = [str(row["settings"].get("number")) for row in cells]
            fix = f"say which, such as {start}/{numbers[0]}: there are {', '.join(numbers[:20])}"
            raise ConfigError("a sweep has many cells", where=f"run {run['run_id']}", got=name, fix=fix)
        cell_id = found[0]
    predictions = runtime.store.predictions(run["run_id"], cell_id=cell_id or None)
    if not len(predictions):
        raise DataError("the store holds no prediction of it", where=f"run {run['run_id']}", fix="llmclf runs list")
    if not with_texts:
        return run["run_id"], predictions, Dataset(name, {})
    source = conversations or str(run["config"].get("dataset_path") or run["config"].get("dataset") or "")
    if not source:
        raise ConfigError(
            "the run does not say which conversations it read",
            where=f"run {run['run_id']}",
            fix="name the file or dataset with --conversations",
        )
    return run["run_id"], predictions, _dataset(source, runtime.workspace)


def verdict_of(prediction: Prediction, task: Task) -> str | None:
    """The label of the closed set that a prediction stands for, by its threshold where it has one; None: failed."""
    if prediction.failed:
        return None
    if is_flagged(prediction.flagged, prediction.label, task.target):
        return task.target
    return rest_label(task) if prediction.label in (None, task.target) else prediction.label


def _by_turn(task: Task) -> bool:
    return task.unit == "turn"


def _case(task: Task, conversation: Conversation, turn: int | None, example: Example | None) -> Case:
    known = example.labels.get(task.name, "") if example else ""
    group = example.group if example else ""
    id = conversation.id if turn is None else f"{conversation.id}[{turn}]"
    return Case(id, conversation.id, turn, group=group, label=known, metadata=conversation.metadata)
