"""Two sides, each a run, a classifier or a prompt file, measured on the same items and put beside each other."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from llmclf.classifiers.loading import make_classifier
from llmclf.config import LlmFile, files, load_task
from llmclf.data.loading import load_dataset
from llmclf.data.sample import take
from llmclf.errors import ConfigError, LlmclfError, nearest
from llmclf.evaluation.comparison import Comparison, compare as compare_predictions, mixed
from llmclf.evaluation.notes import about_prompt
from llmclf.llm.plans import STANDARD
from llmclf.llm.runtime import Runtime
from llmclf.render import Prompt, load_prompt
from llmclf.sweeps import Plan
from llmclf.types import Costs, Dataset, Prediction, Predictions, Task
from llmclf.workspace.run_results import RunResult, find_run, run_result
from llmclf.workspace.verbs import evaluate_classifier, plan_evaluation, with_prompt

SideKind = Literal["run", "classifier", "prompt"]
_KINDS: tuple[SideKind, ...] = ("run", "classifier", "prompt")
_NOT_SETTINGS = ("version",)
_ID_DIGITS = 12


def compare(
    a: Predictions,
    b: Predictions,
    dataset: Dataset,
    task: Task | None = None,
    *,
    costs: Costs = Costs(),
    workspace: str | Path | None = None,
) -> Comparison:
    """Whether `b` is better than `a` on the items of `dataset` that both predicted, and how surely.

    `task` defaults to the one that the predictions name, looked up as `load_task` does. Raises DataError where real
    answers meet simulated ones, or where nothing can be compared.
    """
    if task is None:
        if not len(a):
            raise ConfigError("there is nothing to compare", where="compare", got="0 predictions of A")
        task = load_task(a[0].task, Path(workspace) if workspace is not None else None)
    return compare_predictions(a, b, dataset, task, costs=costs)


@dataclass(frozen=True)
class Side:
    """What one side of a comparison is: a stored run, or a classifier that is to be asked."""

    kind: SideKind
    name: str
    """For people: of the run, the classifier, or the classifier with its other prompt."""
    run: RunResult | None = None
    """None where it is to be asked."""
    classifier: str = ""
    prompt: str | None = None
    """Instead of the classifier's own."""


@dataclass(frozen=True)
class Sides:
    """Both sides with the labelled items they are compared on, settled before anything is paid."""

    a: Side
    b: Side
    dataset: Dataset
    task: Task
    costs: Costs
    dataset_from: str
    """The name or path that the dataset was read by."""

    @property
    def asked(self) -> tuple[Side, ...]:
        """The sides that have to be asked."""
        return tuple(side for side in (self.a, self.b) if side.run is None)


def sides_of(
    a: str,
    b: str,
    runtime: Runtime,
    *,
    dataset: str | None = None,
    classifier: str | None = None,
    max_items: int | None = None,
    seed: int = 0,
    prices: Mapping[str, Any] = {},
) -> Sides:
    """What `a` and `b` name, with the items to compare them on.

    A name is a classifier's, else a prompt's (which stands in for that of `classifier`), else a run's; `run:`,
    `classifier:` or `prompt:` before it says which. Items are those of the run, where there is one, else of `dataset`:
    all, or `max_items` of them drawn by `seed`. Costs are those of the run, with what `prices` changes. Raises
    ConfigError or DataError for everything that would keep them from being compared, before anything is sent.
    """
    kinds = [_kind_of(name, runtime.workspace) for name in (a, b)]
    problems = []
    if ("prompt", None) in [(kind, classifier) for kind, _ in kinds]:
        problems.append("a prompt needs --classifier NAME, whose prompt it replaces")
    if dataset is None and all(kind != "run" for kind, _ in kinds):
        problems.append("--dataset NAME is needed where no side is a run")
    if problems:
        raise ConfigError("these can't be compared yet", where="compare", got=[a, b], problems=problems)
    first, second = (_side(kind, name, runtime, dataset, classifier) for kind, name in kinds)
    task, other = (_task_of(side, runtime) for side in (first, second))
    if task.name != other.name:
        raise ConfigError("the two answer different tasks", where="compare", got=[task.name, other.name])
    _check_not_mixed(first, second, runtime)
    runs = [side.run for side in (first, second) if side.run is not None]
    items = runs[0].dataset if runs else load_dataset(dataset or "", runtime.workspace).for_task(task.name)
    if max_items is not None and max_items < len(items):
        items = take(items, max_items, task, seed)
    costs = replace(runs[0].costs if runs else Costs(), **prices)
    return Sides(first, second, items, task, costs, runs[0].labels_from if runs else dataset or "")


def plan_comparison(sides: Sides, runtime: Runtime) -> Plan:
    """What asking would cost and send; nothing is sent, and a side that is a run costs nothing."""
    plans = [
        plan_evaluation(side.classifier, sides.dataset, runtime=runtime, prompt=side.prompt) for side in sides.asked
    ]
    if not plans:
        return Plan((), (), len(sides.dataset), None, None)
    cells = tuple(
        replace(cell, label=side.name) for side, plan in zip(sides.asked, plans, strict=True) for cell in plan.cells
    )
    missing = dict.fromkeys(sentence for plan in plans for sentence in plan.missing_keys)
    return replace(plans[0], cells=cells, missing_keys=tuple(missing))


def compare_sides(
    sides: Sides, runtime: Runtime, *, seed: int = 0, on_done: Callable[[Prediction], None] | None = None
) -> Comparison:
    """Asks what has to be asked, each as a run of kind `evaluate`, and compares.

    Settings that differ and the difference of the prompts are in the result, where the store knows them.
    """
    answered = [_answered(side, sides, runtime, seed, on_done) for side in (sides.a, sides.b)]
    (a, a_run), (b, b_run) = answered
    made = compare_predictions(
        a, b, sides.dataset, sides.task, costs=sides.costs, names=(sides.a.name, sides.b.name), seed=seed
    )
    ran = _Ran.of(sides.a, a_run, a, runtime), _Ran.of(sides.b, b_run, b, runtime)
    return replace(
        made,
        settings=_changed(*ran),
        prompt_diff=_diff(ran[0].prompt, ran[1].prompt),
        notes=(*made.notes, *_notes(sides, ran), *_learned(sides, ran, runtime)),
    )


def _kind_of(given: str, workspace: Path | None) -> tuple[SideKind, str]:
    """(what a name names, the name without its prefix)."""
    prefix, _, rest = given.partition(":")
    for kind in _KINDS:
        if prefix == kind and rest:
            return kind, rest
    if given.endswith(".toml") or given in files.listing("classifier", workspace):
        return "classifier", given
    if given.endswith(".txt") or given in files.listing("prompt", workspace):
        return "prompt", given
    return "run", given


def _side(kind: SideKind, name: str, runtime: Runtime, dataset: str | None, classifier: str | None) -> Side:
    if kind == "run":
        try:
            run = run_result(name, runtime, dataset=dataset)
        except ConfigError as error:
            if error.what != "no run has that id":
                raise
            known = [one for kind in ("classifier", "prompt") for one in files.listing(kind, runtime.workspace)]
            close = nearest(name, known)
            raise ConfigError(
                "there is no classifier, prompt or run of that name",
                where="compare",
                got=name,
                fix=close if close.startswith("did you mean") else error.fix,
            ) from None
        return Side(kind, f"{run.label} (run {run.run_id[:_ID_DIGITS]})", run)
    if kind == "classifier":
        found = files.find("classifier", name, runtime.workspace)
        return Side(kind, found.name, classifier=name)
    files.find("prompt", name, runtime.workspace)
    own = files.load_named("classifier", classifier or "", runtime.workspace)
    if not isinstance(own, LlmFile):
        raise ConfigError("only an llm classifier has a prompt", where="--classifier", got=classifier)
    return Side(kind, with_prompt(classifier or "", name), classifier=classifier or "", prompt=name)


def _file_of(side: Side, runtime: Runtime) -> Any:
    return files.load_named("classifier", side.classifier, runtime.workspace)


def _task_of(side: Side, runtime: Runtime) -> Task:
    return side.run.task if side.run is not None else load_task(_file_of(side, runtime).task, runtime.workspace)


def _check_not_mixed(a: Side, b: Side, runtime: Runtime) -> None:
    """DataError where one side is simulated and the other is not: said before the first call."""

    def simulated(side: Side) -> bool:
        if side.run is not None:
            return side.run.simulated
        file = _file_of(side, runtime)
        return isinstance(file, LlmFile) and runtime.route(file.model).simulated

    if simulated(a) != simulated(b):
        raise mixed((a if simulated(a) else b).name)


def _answered(
    side: Side, sides: Sides, runtime: Runtime, seed: int, on_done: Callable[[Prediction], None] | None
) -> tuple[Predictions, str]:
    """(predictions, run id) of a side; asked now, where it is no run."""
    if side.run is not None:
        return side.run.predictions, side.run.run_id
    _, run_id = evaluate_classifier(
        side.classifier,
        sides.dataset,
        runtime=runtime,
        costs=sides.costs,
        seed=seed,
        prompt=side.prompt,
        dataset_from=sides.dataset_from,
        on_done=on_done,
    )
    return runtime.store.predictions(run_id), run_id


@dataclass(frozen=True)
class _Ran:
    """What a side ran with, as far as the store knows."""

    settings: Mapping[str, Any]
    """Of its classifier's file, with what a grid or another prompt changed."""
    prompt: Prompt | None
    unknown: str = ""
    """Why its prompt is not known, where it had one."""

    @classmethod
    def of(cls, side: Side, run_id: str, predictions: Predictions, runtime: Runtime) -> _Ran:
        kept = find_run(runtime.store, run_id)["config"] if side.run is None else side.run.settings
        settings = dict(kept.get("file", {}))
        if "prompt" not in settings:
            return cls(settings, None, "" if "file" in kept else "an older llmclf made its run, and kept no settings")
        settings["plan"] = kept.get("plan", STANDARD)
        sha256 = kept.get("prompt_sha256")
        where, value = ("sha256", sha256) if sha256 else ("name", settings["prompt"])
        rows = runtime.store.query(f"SELECT name, text FROM prompts WHERE {where} = ?", [value])  # noqa: S608
        texts = [Prompt(row["name"], row["text"]) for row in rows]
        prompt = texts[0] if len(texts) == 1 else _which(texts, settings, predictions, runtime)
        return cls(settings, prompt, "" if prompt else "the store can't tell which text its prompt had")


def _which(
    texts: Sequence[Prompt], settings: Mapping[str, Any], predictions: Predictions, runtime: Runtime
) -> Prompt | None:
    """The text with which the classifier has the id that its predictions bear; None where none has."""
    name = predictions[0].classifier_id.partition("@")[0]
    try:
        file = LlmFile.model_validate_json(json.dumps({key: settings[key] for key in LlmFile.model_fields}))
        task = load_task(file.task, runtime.workspace)
        made: Any = make_classifier(name, file, task, runtime, runtime.workspace)
    except (LlmclfError, KeyError):
        return None  # its task or its prompt is gone since
    for text in texts:
        made.prompt = text
        if made.id == predictions[0].classifier_id:
            return text
    return None


def _changed(a: _Ran, b: _Ran) -> dict[str, tuple[Any, Any]]:
    """Settings that both have and that differ."""
    both = [name for name in a.settings if name in b.settings and name not in _NOT_SETTINGS]
    return {name: (a.settings[name], b.settings[name]) for name in both if a.settings[name] != b.settings[name]}


def _diff(a: Prompt | None, b: Prompt | None) -> str:
    if a is None or b is None or a.text == b.text:
        return ""
    lines = difflib.unified_diff(a.text.splitlines(), b.text.splitlines(), f"A {a.id}", f"B {b.id}", lineterm="")
    return "\n".join(lines)


def _notes(sides: Sides, ran: tuple[_Ran, _Ran]) -> list[str]:
    """What must be known of runs: labels and prices that are not those of their time, prompts that are lost."""
    said = []
    names = [side.run.dataset.name for side in (sides.a, sides.b) if side.run is not None]
    if len(set(names)) > 1:
        said.append(f"A ran on {names[0]}, B on {names[1]}: labels and design are those of {sides.dataset.name}.")
    for letter, side, one in (("A", sides.a, ran[0]), ("B", sides.b, ran[1])):
        if side.run is not None and side.run.labels_changed:
            said.append(f"The dataset of {letter} is not, or not only, what it was when {letter} ran.")
        if side.run is not None and side.run.costs != sides.costs:
            said.append(f"{letter} ran at other costs: dollars of both are at those given here.")
        if one.unknown:
            said.append(f"{letter}: {one.unknown}.")
    return said


def _learned(sides: Sides, ran: tuple[_Ran, _Ran], runtime: Runtime) -> list[str]:
    """How many of the items the prompt of a side was optimized by, where its file still says so."""
    a, b = (about_prompt(sides.dataset, _learned_from(one.prompt, runtime)) for one in ran)
    return a if a == b else [*(f"A: {note}" for note in a), *(f"B: {note}" for note in b)]


def _learned_from(prompt: Prompt | None, runtime: Runtime) -> frozenset[str]:
    try:
        return load_prompt(prompt.name, runtime.workspace).learned_from if prompt else frozenset()
    except ConfigError:
        return frozenset()  # its file is gone since
