"""Validate every file of a workspace and what the files say of each other. Spends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.classifiers.wording import FILLED
from llmclf.config import (
    DatasetFile,
    LlmFile,
    ModelRow,
    ReplayRow,
    SweepFile,
    VendorRow,
    files,
    load_models,
    load_prices,
    load_task,
)
from llmclf.config.judge_schemas import JudgeFile
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError, LlmclfError, nearest
from llmclf.judges import LlmJudge, make_judge
from llmclf.judges.wording import CASE, check_prompt as check_judge_prompt
from llmclf.llm.model import Model, Thinking
from llmclf.llm.prices import map_entry
from llmclf.llm.routes.litellm_map import nearest_models
from llmclf.llm.rules import check_allowed
from llmclf.llm.runtime import Runtime
from llmclf.optimization.reflection import check_prompt as check_reflection_prompt
from llmclf.render import load_prompt
from llmclf.types import Task
from llmclf.workspace import cluster_naming
from llmclf.workspace.optimization_checks import check_optimization, optimization_note

_ROW = """[models."{model}"] with route = "litellm" (or "http") in configs/models.toml"""


@dataclass(frozen=True, slots=True)
class Checked:
    """One file and what is wrong with it; nothing where it is right."""

    kind: str
    name: str
    path: Path
    problem: str = ""
    note: str = ""
    """What is right and still to be done."""
    blocked_by: str = ""
    """The file that has to be mended first: this one can't be checked before."""


def check_workspace(workspace: Path | None) -> list[Checked]:
    """Every file of the workspace, each read in full and held against the others.

    Where the workspace holds none of its own, the packaged files are checked instead. A mistake is told
    once, of the file that holds it; those that need that file are `blocked_by` it.
    """
    found = [
        (kind, files.find(kind, name, workspace))
        for kind in ("task", "prompt", "dataset", "classifier", "sweep", "judge", "optimization")
        for name in files.listing(kind, workspace)
    ]
    own = [(kind, file) for kind, file in found if file.origin == "workspace"]
    results = []
    for kind, read in (("models", load_models), ("prices", load_prices)):
        places = [root / "configs" / f"{kind}.toml" for _, root in files.roots(workspace)]
        path = next(place for place in places if place.is_file())  # the packaged copy at the latest
        results.append(Checked(kind, kind, path, _problem_of(read, workspace)))
    if workspace and (workspace / "llmclf.toml").is_file():
        path = workspace / "llmclf.toml"
        results.append(Checked("workspace", "llmclf", path, _problem_of(lambda _: files.load("workspace", path), None)))
    results += [_checked(kind, file.name, file.path, workspace) for kind, file in own or found]
    return _told_once(results)


def _told_once(results: list[Checked]) -> list[Checked]:
    """The same results; a mistake that an earlier file brought into a later one stays with the earlier alone."""
    first: dict[str, Checked] = {}
    told = []
    for result in results:
        source = first.setdefault(result.problem, result) if result.problem else result
        told.append(result if source is result else replace(result, problem="", blocked_by=str(source.path)))
    return told


def check_file(path: Path, workspace: Path | None) -> Checked:
    """One file by its path; its kind follows from the folder it stands in."""
    kind = kind_of(path)
    if kind in ("models", "prices", "workspace"):
        return Checked(kind, path.stem, path, _problem_of(lambda _: files.load(kind, path), None))
    return _checked(kind, str(path), path, workspace)


def kind_of(path: Path) -> str:
    """The kind of file that stands at `path`; ConfigError where the place says nothing."""
    if path.name == "llmclf.toml":
        return "workspace"
    if path.name in ("models.toml", "prices.toml"):
        return path.stem
    if path.suffix == ".txt":
        return "prompt"
    for kind in ("task", "classifier", "dataset", "sweep", "optimization", "judge"):
        if f"{kind}s" in path.parts:
            return kind
    raise ConfigError(
        "can't tell what kind of file this is",
        where=str(path),
        fix="keep it in configs/tasks, configs/classifiers, configs/datasets, configs/sweeps, configs/optimizations, "
        "judges or prompts",
    )


def _checked(kind: str, name: str, path: Path, workspace: Path | None) -> Checked:
    checks = {
        "task": lambda root: load_task(name, root),
        "prompt": lambda root: _check_prompt(name, root),
        "dataset": lambda root: _check_dataset(name, root),
        "classifier": lambda root: _check_classifier(name, root),
        "sweep": lambda root: _check_sweep(name, root),
        "judge": lambda root: _check_judge(name, root),
        "optimization": lambda root: check_optimization(
            name, root, lambda model: _check_asked(model, root), unwritten=True
        ),
    }
    problem = _problem_of(checks[kind], workspace)
    say = _NOTES.get(kind)
    return Checked(kind, name, path, problem, say(name, workspace) if say and not problem else "")


def _problem_of(check: object, workspace: Path | None) -> str:
    try:
        check(workspace)  # type: ignore[operator]
    except LlmclfError as error:
        return str(error)
    return ""


def _check_prompt(name: str, workspace: Path | None) -> None:
    prompt = load_prompt(name, workspace)
    if CASE in prompt.placeholders:
        check_judge_prompt(prompt)
        return
    folder = Path(name).parent.name  # of a name as well as of a path
    if folder == "optimization" or "instruction" in prompt.placeholders:
        check_reflection_prompt(prompt)
        return
    filled, needed = (cluster_naming.FILLED, "group") if folder == "reasons" else (FILLED, "conversation")
    unknown = sorted(prompt.placeholders - filled)
    if unknown:
        raise ConfigError(
            "names placeholders that nothing fills", where=name, got=unknown, fix=nearest(unknown[0], sorted(filled))
        )
    if needed not in prompt.placeholders:
        raise ConfigError(f"has no {{{{{needed}}}}}", where=name, fix="put it last, between tags")
    prompt.fill(dict.fromkeys(filled, ""))


def _check_dataset(name: str, workspace: Path | None) -> None:
    dataset = load_dataset(name, workspace)
    known = {task: set(load_task(task, workspace).label_names) for task in files.listing("task", workspace)}
    wrong = [
        f"{example.item}: label {label!r} is not in task {task}"
        for example in dataset.examples
        for task, label in example.labels.items()
        if task in known and label not in known[task]
    ]
    if wrong:
        raise ConfigError("holds labels outside their task", where=name, problems=wrong[:20])


def _check_classifier(name: str, workspace: Path | None) -> None:
    found = files.find("classifier", name, workspace)
    file = files.load("classifier", found.path)
    task = load_task(file.task, workspace)
    if isinstance(file, LlmFile):
        _check_prompt(file.prompt, workspace)
        if file.shots_from:
            files.find("dataset", file.shots_from, workspace)
        _check_model(file.model, workspace)
        _check_taken(found.name, file, task, workspace)
    else:
        make_classifier(found.name, file, task)


def _check_model(model: str, workspace: Path | None) -> None:
    rows = load_models(workspace)
    if model not in rows and (model.startswith(("sim/", "local/")) or map_entry(model) is None):
        raise ConfigError(
            "there is no such model in models.toml or litellm's map", got=model, fix=way_to_model(model, tuple(rows))
        )


def way_to_model(model: str, rows: tuple[str, ...]) -> str:
    """What to do about a name that leads to no model: the nearest names, and how it gets a row."""
    return f"{nearest_models(model, rows)}; a model of your own needs a row: {_ROW.format(model=model)}"


def _check_taken(name: str, file: LlmFile, task: Task, workspace: Path | None) -> None:
    """ConfigError where the row of its model says that a setting can't be honoured; litellm is not asked."""
    rows = load_models(workspace)
    row = rows.get(file.model)
    inner = _inner_row(row, rows)
    if row is None or inner is None:
        return
    if isinstance(inner, VendorRow):
        problems = _beyond_the_row(file, inner)
    else:
        with Runtime(workspace=workspace) as runtime:
            classifier = make_classifier(name, file, task, runtime, workspace)
            assert isinstance(classifier, LlmClassifier)
            try:
                check_allowed(file.model, runtime.route(file.model), runtime.rules)
                problems = classifier.unsupported()
            except ConfigError as error:
                problems = [str(error)]
    if problems:
        raise ConfigError("its model can't do this", where=str(name), problems=problems)


def _inner_row(row: ModelRow | None, rows: Mapping[str, ModelRow]) -> ModelRow | None:
    """The row itself; for a replay that of the model whose answers it gives."""
    seen: set[str] = set()
    while isinstance(row, ReplayRow) and row.model not in seen:
        seen.add(row.model)
        row = rows.get(row.model)
    return None if isinstance(row, ReplayRow) else row


def _thinking_beyond(model: str, thinking: Thinking | None, row: VendorRow) -> list[str]:
    if thinking is None or thinking in row.thinking:
        return []
    takes = ", ".join(row.thinking) or "at its default alone"
    return [f"{model} takes thinking {takes}; got {thinking!r}; `thinking` of its row lists levels"]


def _beyond_the_row(file: LlmFile, row: VendorRow) -> list[str]:
    found = _thinking_beyond(file.model, file.thinking, row)
    if file.modality in ("image", "audio") and file.modality not in row.modalities:
        found.append(f"{file.model} does not take {file.modality}; it takes {', '.join(row.modalities)}")
    if file.score_method == "logprob" and not row.logprobs:
        found.append(f"{file.model} gives no log-probabilities, and score_method is 'logprob'")
    return found


def _check_judge(name: str, workspace: Path | None) -> None:
    found = files.find("judge", name, workspace)
    file: JudgeFile = files.load("judge", found.path)
    with Runtime(workspace=workspace) as runtime:
        members = make_judge(found.name, file, runtime, workspace).members
        for model in [member.model for member in members if isinstance(member, LlmJudge)]:
            _check_asked(model, workspace, name)


def _check_asked(model: Model, workspace: Path | None, where: str = "") -> None:
    """ConfigError where a model is not known, or its row says that it can't do what is asked of it."""
    _check_model(model.id, workspace)
    with Runtime(workspace=workspace) as runtime:
        if problems := _row_refuses(model, runtime):
            raise ConfigError("its model can't do this", where=where, problems=problems)


def _row_refuses(model: Model, runtime: Runtime) -> list[str]:
    """What the row of a model says that it can't honour; litellm is not asked."""
    rows = load_models(runtime.workspace)
    inner = _inner_row(rows.get(model.id), rows)
    if isinstance(inner, VendorRow):
        return _thinking_beyond(model.id, model.thinking, inner)
    if inner is None:
        return []
    try:
        check_allowed(model.id, runtime.route(model.id), runtime.rules)
        return runtime.route(model.id).unsupported(model)
    except ConfigError as error:
        return [str(error)]


def _check_sweep(name: str, workspace: Path | None) -> None:
    file: SweepFile = files.load_named("sweep", name, workspace)
    for classifier in (file.classifier, *(file.grid.classifier or ())):
        if classifier:
            _check_classifier(classifier, workspace)
    for prompt in file.grid.prompt or ():
        _check_prompt(prompt, workspace)
    for model in file.grid.model or ():
        _check_model(model, workspace)
    files.load_named("dataset", file.dataset, workspace)


def _task_note(name: str, workspace: Path | None) -> str:
    """Names what a new workspace left to be written."""
    task = load_task(name, workspace)
    texts = {label.name: label.definition for label in task.labels}
    untouched = [
        label for label, text in texts.items() if text.endswith(("when this label is right.", "say what it is."))
    ]
    return f"still to be defined: {', '.join(untouched)}" if untouched else ""


def _sweep_note(name: str, workspace: Path | None) -> str:
    file: SweepFile = files.load_named("sweep", name, workspace)
    dataset: DatasetFile = files.load_named("dataset", file.dataset, workspace)
    return "" if dataset.labels else f"its dataset {file.dataset!r} has no labels yet: llmclf data sample --help"


_NOTES: dict[str, Callable[[str, Path | None], str]] = {
    "sweep": _sweep_note,
    "task": _task_note,
    "optimization": optimization_note,
}
