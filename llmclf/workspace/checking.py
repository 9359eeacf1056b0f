"""Validate every file of a workspace and what the files say of each other. Spends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llmclf.classifiers.loading import make_classifier
from llmclf.config import DatasetFile, LlmFile, SweepFile, files, load_models, load_prices, load_task
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError, LlmclfError, nearest
from llmclf.llm.prices import map_entry
from llmclf.render import load_prompt

_FILLED = {"question", "labels", "label_names", "target", "answer_format", "examples", "conversation", "item"}


@dataclass(frozen=True, slots=True)
class Checked:
    """One file and what is wrong with it; nothing where it is right."""

    kind: str
    name: str
    path: Path
    problem: str = ""
    note: str = ""
    """What is right and still to be done."""


def check_workspace(workspace: Path | None) -> list[Checked]:
    """Every file of the workspace, each read in full and held against the others.

    Where the workspace holds none of its own, the packaged files are checked instead.
    """
    found = [
        (kind, files.find(kind, name, workspace))
        for kind in ("task", "prompt", "dataset", "classifier", "sweep")
        for name in files.listing(kind, workspace)
    ]
    own = [(kind, file) for kind, file in found if file.origin == "workspace"]
    results = [_checked(kind, file.name, file.path, workspace) for kind, file in own or found]
    for kind, read in (("models", load_models), ("prices", load_prices)):
        places = [root / "configs" / f"{kind}.toml" for _, root in files.roots(workspace)]
        path = next(place for place in places if place.is_file())  # the packaged copy at the latest
        results.append(Checked(kind, kind, path, _problem_of(read, workspace)))
    if workspace and (workspace / "llmclf.toml").is_file():
        path = workspace / "llmclf.toml"
        results.append(Checked("workspace", "llmclf", path, _problem_of(lambda _: files.load("workspace", path), None)))
    return results


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
    for kind in ("task", "classifier", "dataset", "sweep"):
        if f"{kind}s" in path.parts:
            return kind
    raise ConfigError(
        "can't tell what kind of file this is",
        where=str(path),
        fix="keep it in configs/tasks, configs/classifiers, configs/datasets, configs/sweeps or prompts",
    )


def _checked(kind: str, name: str, path: Path, workspace: Path | None) -> Checked:
    checks = {
        "task": lambda root: load_task(name, root),
        "prompt": lambda root: _check_prompt(name, root),
        "dataset": lambda root: _check_dataset(name, root),
        "classifier": lambda root: _check_classifier(name, root),
        "sweep": lambda root: _check_sweep(name, root),
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
    unknown = sorted(prompt.placeholders - _FILLED)
    if unknown:
        raise ConfigError(
            "names placeholders that nothing fills", where=name, got=unknown, fix=nearest(unknown[0], sorted(_FILLED))
        )
    if "conversation" not in prompt.placeholders:
        raise ConfigError("has no {{conversation}}", where=name, fix="put it last, between tags")
    prompt.fill(dict.fromkeys(_FILLED, ""))


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
    else:
        make_classifier(found.name, file, task)


def _check_model(model: str, workspace: Path | None) -> None:
    rows = load_models(workspace)
    if model not in rows and (model.startswith(("sim/", "local/")) or map_entry(model) is None):
        raise ConfigError(
            "there is no such model in models.toml or litellm's map", got=model, fix=nearest(model, sorted(rows))
        )


def _check_sweep(name: str, workspace: Path | None) -> None:
    file: SweepFile = files.load("sweep", files.find("sweep", name, workspace).path)
    for classifier in (file.classifier, *(file.grid.classifier or ())):
        if classifier:
            _check_classifier(classifier, workspace)
    for prompt in file.grid.prompt or ():
        _check_prompt(prompt, workspace)
    for model in file.grid.model or ():
        _check_model(model, workspace)
    files.load("dataset", files.find("dataset", file.dataset, workspace).path)


def _task_note(name: str, workspace: Path | None) -> str:
    """Names what a new workspace left to be written."""
    task = load_task(name, workspace)
    texts = {label.name: label.definition for label in task.labels}
    untouched = [
        label for label, text in texts.items() if text.endswith(("when this label is right.", "say what it is."))
    ]
    return f"still to be defined: {', '.join(untouched)}" if untouched else ""


def _sweep_note(name: str, workspace: Path | None) -> str:
    file: SweepFile = files.load("sweep", files.find("sweep", name, workspace).path)
    dataset: DatasetFile = files.load("dataset", files.find("dataset", file.dataset, workspace).path)
    return "" if dataset.labels else f"its dataset {file.dataset!r} has no labels yet: llmclf data sample --help"


_NOTES: dict[str, Callable[[str, Path | None], str]] = {"sweep": _sweep_note, "task": _task_note}
