"""A classifier's threshold from a run: chosen, written into its file with where it comes from, and told again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.config import KeywordFile, LlmFile, ProbeFile, SweepFile, ThresholdOrigin, files, load_task
from llmclf.config.files import Found
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError
from llmclf.evaluation.choosing import operating_points
from llmclf.evaluation.operating_point import OperatingPoints, Wanted
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import Shown, TableText
from llmclf.sweeps.cells import AXES, expand
from llmclf.types import Costs
from llmclf.workspace.own_files import TABLE, check_own, parsed, with_value, write_own
from llmclf.workspace.run_results import RunResult, find_run, newest_run

_File = KeywordFile | ProbeFile | LlmFile
_HEADER = "[threshold_from]"


@dataclass(frozen=True)
class ThresholdChoice:
    """What `choose_threshold` found, and what it would write."""

    points: OperatingPoints
    path: Path
    before: float | None
    """The threshold in the file until now."""
    text: str
    """The file with the new threshold; empty where none can be set."""


def choose_threshold(
    name: str, result: RunResult, runtime: Runtime, *, wanted: Wanted = Wanted(), costs: Costs | None = None
) -> ThresholdChoice:
    """The threshold of the classifier `name` by the scores and labels of `result`; nothing is written.

    The one it has is shown beside it, unless these very labels chose that one: its figures would flatter.
    `costs` are the run's own where none are given. Raises ConfigError where the run is not of this classifier as
    its file has it now, or the file is the packaged one, and all that `operating_points` raises.
    """
    found = files.find("classifier", name, runtime.workspace)
    file: _File = files.load("classifier", found.path)
    if result.partial:
        raise ConfigError(
            "only a part of the items was asked, and a threshold needs all of them",
            where=f"run {result.name}",
            got=f"{len(result.predictions)} items",
            fix=f"llmclf evaluate {name} --dataset {result.labels_from} (stored answers are not paid again)",
        )
    task = load_task(file.task, runtime.workspace)
    classifier = make_classifier(found.name, file, task, runtime, runtime.workspace)
    _check_same(found, file, classifier, result, runtime)
    origin = file.threshold_from
    chosen_on_these = bool(
        origin and origin.threshold == file.threshold and origin.dataset_hash == result.dataset.content_hash
    )
    points = operating_points(
        result.predictions,
        result.dataset,
        task,
        costs=costs or result.costs,
        wanted=wanted,
        current=None if chosen_on_these else file.threshold,
        name=found.name,
    )
    threshold = points.chosen.threshold
    if threshold is None:
        return ThresholdChoice(points, found.path, file.threshold, "")
    text = _edited(files.read_text(found.path), threshold, _origin(points, threshold, classifier, result), found.path)
    return ThresholdChoice(points, found.path, file.threshold, text)


def write_threshold(choice: ThresholdChoice, name: str, runtime: Runtime) -> None:
    """Writes the file of a choice, whole or not at all. ConfigError for the packaged file, or where there is none."""
    found = files.find("classifier", name, runtime.workspace)
    check_own(found)
    if not choice.text:
        raise ConfigError("there is no threshold to write", where=str(found.path), got=choice.points.chosen.why_not)
    write_own(found, choice.text)


@dataclass(frozen=True)
class ThresholdStory(Shown):
    """The threshold of a classifier and where it comes from."""

    classifier: str
    path: Path
    threshold: float | None
    origin: ThresholdOrigin | None
    """None where `llmclf threshold set` has not written one."""
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "classifier": self.classifier,
            "path": str(self.path),
            "threshold": self.threshold,
            "threshold_from": None if self.origin is None else self.origin.model_dump(mode="json"),
            "notes": list(self.notes),
        }

    def _table(self) -> TableText:
        rows = [("threshold", "none" if self.threshold is None else f"{self.threshold:.10g}")]
        if self.origin is not None:
            wanted = ("run", "date", "positives", "dataset_hash", "configuration")
            rows += [(field.replace("_", " "), str(getattr(self.origin, field))[:40]) for field in wanted]
            rows += [("expected", self.origin.expected)] if self.origin.expected else []
        return TableText(f"threshold of {self.classifier}", ("", "value"), tuple(rows), self.notes)


def threshold_story(name: str, runtime: Runtime) -> ThresholdStory:
    """Where the threshold of the classifier `name` comes from, and whether that still holds."""
    found = files.find("classifier", name, runtime.workspace)
    file: _File = files.load("classifier", found.path)
    origin = file.threshold_from
    if origin is None:
        notes = ["It was written by hand, or is the default: no run says what it costs."]
        if isinstance(file, KeywordFile):
            notes.append("Keywords have no score beside 0 and 1: what they flag is changed in their rules.")
        else:
            notes.append(f"Set it from a run: llmclf threshold set {name} --from RUN")
        return ThresholdStory(found.name, found.path, file.threshold, None, tuple(notes))
    task = load_task(file.task, runtime.workspace)
    classifier = make_classifier(found.name, file, task, runtime, runtime.workspace)
    notes = [f"Goal: {origin.goal}."]
    if origin.threshold != file.threshold:
        notes.append(f"It was changed by hand since: {origin.threshold:.10g} was chosen.")
    stale = origin.configuration != classifier.configuration
    if stale:
        notes.append("Settings that decide scores changed since: it was chosen for another configuration.")
    elif origin.threshold == file.threshold:
        notes.append("It still holds: no setting that decides scores changed since.")
    if origin.scaling is not None:
        at = f"at {origin.scaling.prevalence * 100:.3g} % targets"
        notes.append(
            f"Probabilities {at} are left out until it is set anew." if stale else f"Scores become probabilities {at}."
        )
    return ThresholdStory(found.name, found.path, file.threshold, origin, tuple(notes))


# --- is the run of this classifier? ---------------------------------------------------------------


def _check_same(found: Found, file: _File, classifier: Classifier, result: RunResult, runtime: Runtime) -> None:
    """Raises ConfigError unless the run's scores are those this file would give now."""
    problems = []
    if result.classifier != found.name:
        problems.append(f"the run is of classifier {result.classifier!r}")
    elif isinstance(file, LlmFile) and result.kind == "sweep":
        problems += [
            f"{axis}: {result.settings[axis]!r} in the run, {getattr(file, axis)!r} in the file"
            for axis in AXES
            if axis in result.settings and result.settings[axis] != getattr(file, axis)
        ]
    if not problems and not _is_same(found, file, classifier, result, runtime):
        problems.append("its task, prompt, or another setting was not what it is now")
    if problems:
        raise ConfigError(
            f"the run was not made with {found.name} as it is now, and a threshold belongs to one configuration",
            where=f"run {result.name}",
            problems=problems,
            fix=_right_run(found.name, result, runtime),
        )


def _right_run(name: str, result: RunResult, runtime: Runtime) -> str:
    """The command that has the right run: the same labels again, the classifier's newest run, or a new one."""
    if result.classifier == name:
        return f"llmclf evaluate {name} --dataset {result.labels_from} (stored answers are not paid again)"
    newest = newest_run(runtime.store, name)
    if newest:
        return f"its newest run: llmclf threshold set {name} --from {newest}"
    return f"it has none yet: llmclf evaluate {name} --dataset DATASET, one with labels of its task"


def _is_same(found: Found, file: _File, classifier: Classifier, result: RunResult, runtime: Runtime) -> bool:
    """By the ids that the run has: those of this file with the run's own threshold, with and without a scaling.

    A run that the file's threshold already comes from is the same as long as nothing that decides scores changed.
    """
    origin = file.threshold_from
    if origin and origin.run == result.name:
        return origin.configuration == classifier.configuration
    if isinstance(file, ProbeFile) and result.kind == "sweep":
        return _probe_cell(found.name, result, runtime) == result.cell_id
    if isinstance(file, LlmFile) and file.shots and result.kind == "sweep":
        classifier.fit(load_dataset(file.shots_from, runtime.workspace))
    recorded = {result.settings.get("classifier", "")} if result.kind == "evaluate" else set()
    recorded |= set(result.predictions.column("classifier_id"))
    return bool(recorded & _ids(classifier, result))


def _ids(classifier: Classifier, result: RunResult) -> set[str]:
    kept = classifier.threshold
    scalings = {getattr(classifier, "scaling", None), None}
    ids = set()
    for threshold in {kept, *result.predictions.column("threshold")}:
        for scaling in scalings:
            classifier.threshold = threshold
            if isinstance(classifier, LlmClassifier):
                classifier.scaling = scaling
            ids.add(classifier.id)
    classifier.threshold = kept
    return ids


def _probe_cell(name: str, result: RunResult, runtime: Runtime) -> str:
    """The id that the probe's cell would have in that sweep today: its folds have ids of their own."""
    config = {key: value for key, value in find_run(runtime.store, result.run_id)["config"].items() if key != "name"}
    alone = {**config, "classifier": None, "grid": {"classifier": [name]}}
    sweep = SweepFile.model_validate_json(json.dumps(alone))
    return expand(sweep, runtime, task=result.task)[0][0].cell_id


# --- the file ---------------------------------------------------------------------------------------


def _origin(points: OperatingPoints, threshold: float, classifier: Classifier, result: RunResult) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "run": result.name,
        "goal": points.goal_text,
        "date": datetime.now(UTC).date().isoformat(),
        "positives": points.positives,
        "threshold": threshold,
        "dataset_hash": result.dataset.content_hash,
        "configuration": classifier.configuration,
        "expected": points.chosen.expected,
    }
    if isinstance(classifier, LlmClassifier):
        origin["scaling"] = {name: float(f"{value:.10g}") for name, value in asdict(points.scaling).items()}
    return origin


def _edited(text: str, threshold: float, origin: Mapping[str, Any], path: Path) -> str:
    """The file's text with the threshold and its origin, every other line and comment as it was.

    It is read again, and must say the same but for these two: else ConfigError.
    """
    before, value = tomllib.loads(text), repr(threshold)
    text = with_value(text, "threshold", value)
    end = TABLE.search(text)
    root, tables = (text[: end.start()], text[end.start() :]) if end else (text, "")
    made = f"{root}{_without_origin(tables)}".rstrip("\n") + f"\n\n{_origin_toml(origin)}"
    expected = {**before, "threshold": threshold, "threshold_from": dict(origin)}
    if parsed(made) != expected:
        raise ConfigError(
            "the file is written in a way that can't be edited safely",
            where=str(path),
            fix=f"set `threshold = {value}` by hand, and put this at its end:\n{_origin_toml(origin)}",
        )
    return made


def _without_origin(tables: str) -> str:
    """The tables of a file but for the one about the threshold. Comments stay: they may be about the next table."""
    kept: list[str] = []
    inside = False
    for line in tables.splitlines(keepends=True):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.startswith((_HEADER, _HEADER.replace("]", ".")))
        if not inside or stripped.startswith("#"):
            kept.append(line)
    return "".join(kept)


def _origin_toml(origin: Mapping[str, Any]) -> str:
    lines = [f"{_HEADER}  # written by `llmclf threshold set`; `llmclf threshold show` tells it"]
    for name, value in origin.items():
        if isinstance(value, Mapping):
            inner = ", ".join(f"{key} = {_toml(one)}" for key, one in value.items())
            lines.append(f"{name} = {{ {inner} }}")
        else:
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: str | float) -> str:
    """JSON writes text and numbers as TOML does."""
    return json.dumps(value, ensure_ascii=False)
