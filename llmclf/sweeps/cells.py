"""From a sweep file to its cells: every combination of the grid, each one classifier to measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.config import (
    KeywordFile,
    LlmFile,
    ModelRow,
    ProbeFile,
    ProvisionedPlan,
    SweepFile,
    files,
    load_models,
    load_plans,
    load_task,
)
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError, LlmclfError
from llmclf.llm.plans import BATCH, STANDARD, Plan, plan_of
from llmclf.llm.prices import Price
from llmclf.llm.runtime import Runtime
from llmclf.types import Task, content_hash

CellFile = KeywordFile | ProbeFile | LlmFile
AXES = ("model", "thinking", "prompt", "answer", "modality")
"""What the grid varies of an llm classifier, in the order of the product; the plan comes after them."""
_PLAN = "+"
"""Stands between the hash of what decides a cell's answers and the name of its plan."""

_CODE = {"keyword": ("llmclf",), "probe": ("llmclf", "numpy", "scikit-learn", "wordllama")}


def numbers_of(simulated: Iterable[bool]) -> list[str]:
    """What cells are numbered, in their order: 1, 2, ..., and the simulated ones apart: S1, S2, ..."""
    seen = {False: 0, True: 0}
    numbers = []
    for one in simulated:
        seen[one] += 1
        numbers.append(f"{'S' if one else ''}{seen[one]}")
    return numbers


@dataclass(frozen=True)
class Cell:
    """One setting of the grid: a classifier that will be measured."""

    cell_id: str
    """Hash of all that decides its answers; the same settings are the same cell in any sweep. Under another
    plan than `standard` the plan's name stands behind it."""
    label: str
    """Short, for people: `sim/small · thinking low`. Unique in a sweep."""
    name: str
    """The classifier file it comes from."""
    settings: Mapping[str, Any] = field(compare=False)
    """Its place on each axis, as JSON types."""
    file: CellFile = field(compare=False)
    simulated: bool = False
    plan: Plan | None = field(default=None, compare=False)
    """How its tokens are paid for; None where there are none."""

    @property
    def answers_id(self) -> str:
        """The part of `cell_id` that decides its answers: cells that differ in their plan alone share it."""
        return self.cell_id.partition(_PLAN)[0]

    @property
    def model(self) -> str:
        """The id of the model it asks; empty where it asks none."""
        return self.file.model if isinstance(self.file, LlmFile) else ""

    @property
    def kind(self) -> str:
        """`keyword`, `probe` or `llm`."""
        return self.file.kind

    @property
    def learns(self) -> bool:
        """True where it is trained on labels, and so evaluated by cross-validation."""
        return isinstance(self.file, ProbeFile)

    def classifier(self, task: Task, runtime: Runtime) -> Classifier:
        """The classifier of this cell. One that learns has not; the examples a prompt shows are chosen."""
        made = make_classifier(self.name, self.file, task, runtime, runtime.workspace)
        if isinstance(self.file, LlmFile) and self.file.shots:
            made.fit(load_dataset(self.file.shots_from, runtime.workspace))
        return made


@dataclass(frozen=True)
class Skipped:
    """A combination that is not measured, and why."""

    label: str
    settings: Mapping[str, Any]
    why: str

    def to_dict(self) -> dict[str, Any]:
        """The combination as JSON types."""
        return {"label": self.label, "settings": dict(self.settings), "why": self.why}


def expand(file: SweepFile, runtime: Runtime, *, task: Task | None = None) -> tuple[list[Cell], list[Skipped]]:
    """(cells, combinations left out) of a sweep, in the order of the file.

    `grid.classifier` names whole classifiers. The other axes vary the file's llm `classifier`; one
    that is not given stays as it is in that file. Files are looked up in the runtime's workspace.
    A combination that stands twice is measured once. Nothing is sent.

    Raises ConfigError that lists everything wrong at once: names that lead nowhere, classifiers of
    different tasks, and, under `unsupported = "error"`, every setting that a model can't honour.
    Under "skip" those come back as `Skipped`.
    """
    problems: list[str] = []
    drafts = list(_drafts(file, runtime.workspace, problems))
    task = task or _one_task(drafts, runtime.workspace, problems)
    rows, plans = load_models(runtime.workspace), load_plans(runtime.workspace)
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    for draft in drafts if task is not None else ():
        assert task is not None
        if draft.file.task != task.name:
            problems.append(f"{draft.label} is about task {draft.file.task}, the sweep about {task.name}")
            continue
        try:
            cell, cannot = _cell(draft, file, task, runtime, rows, plans)
        except LlmclfError as error:
            problems.append(_one_line(draft.label, error))
            continue
        twin = next((other.label for other in cells if other.cell_id == cell.cell_id), "")
        if twin:
            skipped.append(Skipped(cell.label, cell.settings, f"the same as {twin}"))
        elif not cannot:
            cells.append(cell)
        elif file.grid.unsupported == "skip":
            skipped.append(Skipped(cell.label, cell.settings, "; ".join(cannot)))
        else:
            problems += [f"{cell.label}: {why}" for why in cannot]
    if problems:
        raise ConfigError(
            "cells of the sweep can't be measured",
            fix='mend them, or set grid.unsupported = "skip" to leave out what a model can\'t do',
            problems=list(dict.fromkeys(problems)),
        )
    if not cells:
        raise ConfigError("no cell is left to measure", problems=[f"{skip.label}: {skip.why}" for skip in skipped])
    return cells, skipped


@dataclass(frozen=True)
class _Draft:
    """A combination as it stands in the file."""

    name: str
    label: str
    file: CellFile
    plan: str = STANDARD


def _drafts(file: SweepFile, workspace: Path | None, problems: list[str]) -> Iterator[_Draft]:
    for name in file.grid.classifier or ():
        loaded = _classifier_file(name, workspace, problems)
        if loaded is not None:
            yield _Draft(name, name, loaded)
    if file.classifier is None:
        return
    base = _classifier_file(file.classifier, workspace, problems)
    if base is None:
        return
    if not isinstance(base, LlmFile):
        problems.append(f"classifier {file.classifier!r} is a {base.kind}; the grid varies an llm classifier")
        return
    given = [axis for axis in AXES if getattr(file.grid, axis) is not None]
    for values in product(*(getattr(file.grid, axis) for axis in given)):
        varied = base.model_copy(update=dict(zip(given, values, strict=True)))
        label = _label(varied, given)
        if file.grid.plan is None:
            yield _Draft(file.classifier, label, varied)
        for plan in file.grid.plan or ():
            yield _Draft(file.classifier, f"{label} · plan {plan}", varied, plan)


def _classifier_file(name: str, workspace: Path | None, problems: list[str]) -> CellFile | None:
    try:
        loaded: CellFile = files.load_named("classifier", name, workspace)
    except ConfigError as error:
        problems.append(_one_line(f"classifier {name!r}", error))
        return None
    return loaded


def _label(file: LlmFile, given: list[str]) -> str:
    """The model, then each other axis that the grid names; the words of thinking, not its number alone."""
    parts = [file.model]
    if "thinking" in given:
        parts.append(f"thinking {file.thinking}")
    parts += [str(getattr(file, axis)) for axis in ("prompt", "answer", "modality") if axis in given]
    return " · ".join(parts)


def _one_task(drafts: list[_Draft], workspace: Path | None, problems: list[str]) -> Task | None:
    names = list(dict.fromkeys(draft.file.task for draft in drafts))
    if not names:
        return None
    try:
        return load_task(names[0], workspace)
    except ConfigError as error:
        problems.append(_one_line(f"task {names[0]!r}", error))
        return None


def _cell(
    draft: _Draft,
    file: SweepFile,
    task: Task,
    runtime: Runtime,
    rows: Mapping[str, ModelRow],
    plans: Mapping[str, ProvisionedPlan],
) -> tuple[Cell, list[str]]:
    """The cell of a draft and what its model can't do; ConfigError where it can't be made at all."""
    classifier = make_classifier(draft.name, draft.file, task, runtime, runtime.workspace)
    decides: dict[str, Any] = {
        "kind": classifier.kind,
        "task": task,
        "settings": dict(classifier.settings),
        "threshold": classifier.threshold,
        "code": {package: version(package) for package in _CODE.get(classifier.kind, ())},
    }
    simulated, cannot, plan = False, [], None
    if isinstance(draft.file, LlmFile):
        assert isinstance(classifier, LlmClassifier)
        shots_from = draft.file.shots_from
        route = runtime.route(classifier.model.id)
        simulated, cannot = route.simulated, [*route.missing_pieces(), *classifier.unsupported()]
        plan, refused = _plan(draft, classifier.model.id, plans, route.price())
        cannot += refused
        row = rows.get(classifier.model.id)
        decides |= {
            "row": row.model_dump() if row else None,
            "endpoint": route.endpoint(),
            "privacy": runtime.rules.privacy.model_dump(),
            "shots_from": load_dataset(shots_from, runtime.workspace).content_hash if shots_from else "",
        }
    elif isinstance(draft.file, ProbeFile):
        decides |= {"folds": file.folds, "hold_out": list(file.hold_out), "seed": file.seed}
    cell_id = content_hash(decides)[:16]
    if draft.plan != STANDARD:
        cell_id += f"{_PLAN}{draft.plan}"
    return Cell(cell_id, draft.label, draft.name, _settings(draft), draft.file, simulated, plan), cannot


def _plan(
    draft: _Draft, model_id: str, plans: Mapping[str, ProvisionedPlan], price: Price | None
) -> tuple[Plan | None, list[str]]:
    """The plan of a draft, or why the model can't be paid so; ConfigError where there is no such plan."""
    try:
        return plan_of(draft.plan, model_id, plans, price), []
    except ConfigError as error:
        if draft.plan not in (BATCH, *plans):
            raise
        return None, [str(error)]


def _settings(draft: _Draft) -> dict[str, Any]:
    settings: dict[str, Any] = {"classifier": draft.name, "kind": draft.file.kind}
    if isinstance(draft.file, LlmFile):
        settings |= {axis: getattr(draft.file, axis) for axis in AXES}
        settings["plan"] = draft.plan
    return settings


def _one_line(where: str, error: LlmclfError) -> str:
    lines = [line.strip(" -") for line in str(error).splitlines()]
    return f"{where}: {lines[0]}" if len(lines) == 1 else f"{where}: {lines[0]} ({'; '.join(lines[1:4])})"
