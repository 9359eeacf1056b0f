"""`retrain`: the newest labels in, trained or optimized, evaluated and compared with what runs, in one call."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmclf.config import ClassifierFile, LlmFile, OptimizationFile, ProbeFile, files
from llmclf.config.files import Found
from llmclf.errors import ConfigError
from llmclf.llm.runtime import Runtime
from llmclf.types import Costs
from llmclf.workspace.own_files import check_own, parsed, with_value, write_own
from llmclf.workspace.probe_retraining import plan_probe, reproduce, retrain_probe
from llmclf.workspace.retraining_result import Retraining


def retrain(
    name: str,
    *,
    runtime: Runtime,
    dataset: str = "",
    test_dataset: str = "",
    optimization: str = "",
    apply: bool = False,
    card: str = "",
    costs: Costs | None = None,
    seed: int = 0,
    on_step: Callable[..., None] | None = None,
) -> Retraining:
    """The classifier `name` with what the labels of `dataset` teach today; kept only where it is better than before.

    A probe is trained anew and its weights replace the running ones where they are better on items it has not seen, at
    `costs` (default: `Costs()`). An llm classifier's prompt is optimized by `optimization`, or by the only one that is
    about it; `apply` writes a better one into the classifier's file. `card` is a run of a probe's `retrain`, whose
    candidate is made again from its run card; nothing is then written, and nothing else but `name` is read.

    Raises ConfigError where there is nothing to train or what is given does not fit, DataError for too few labels.
    """
    found, file = _subject(name, runtime.workspace)
    if isinstance(file, ProbeFile):
        _check_probe(found, dataset, optimization, apply, card)
        if card:
            return reproduce(found, card, runtime=runtime)
        return retrain_probe(
            found,
            file,
            runtime=runtime,
            dataset=dataset,
            test_dataset=test_dataset,
            costs=costs or Costs(),
            seed=seed,
        )
    chosen = _optimization(found, optimization, dataset, test_dataset, card, costs, runtime.workspace)
    if apply:
        check_own(found)
    return _optimized(found, file, chosen, apply, runtime, on_step)


def plan_retraining(
    name: str,
    *,
    runtime: Runtime,
    dataset: str = "",
    test_dataset: str = "",
    optimization: str = "",
    seed: int = 0,
) -> Any:
    """What `retrain` would do and cost, with the same arguments: RetrainingPlan, or an optimization's plan."""
    found, file = _subject(name, runtime.workspace)
    if isinstance(file, ProbeFile):
        _check_probe(found, dataset, optimization, False, "")
        return plan_probe(found, file, runtime=runtime, dataset=dataset, test_dataset=test_dataset, seed=seed)
    chosen = _optimization(found, optimization, dataset, test_dataset, "", None, runtime.workspace)
    from llmclf.workspace.optimizing import plan_optimization  # a probe needs nothing of it

    return plan_optimization(chosen, runtime=runtime)


def calls_at_once(name: str, optimization: str, workspace: Path | None) -> int:
    """`concurrency` of the optimization that `retrain` would run, for its runtime; 0 for a probe, which asks no model.

    Raises ConfigError as `retrain` does where there is nothing to train, or not one optimization.
    """
    found, file = _subject(name, workspace)
    if isinstance(file, ProbeFile):
        return 0
    chosen = _optimization(found, optimization, "", "", "", None, workspace)
    made: OptimizationFile = files.load_named("optimization", chosen, workspace)
    return made.concurrency


def _subject(name: str, folder: Path | None) -> tuple[Found, ProbeFile | LlmFile]:
    found = files.find("classifier", name, folder)
    file: ClassifierFile = files.load("classifier", found.path)
    if not isinstance(file, ProbeFile | LlmFile):
        raise ConfigError(
            "there is nothing to train: keywords flag what their rules say",
            where=str(found.path),
            got=f"kind {file.kind!r}",
            fix="change its rules, and compare: llmclf compare OLD NEW --dataset NAME",
        )
    return found, file


def _check_probe(found: Found, dataset: str, optimization: str, apply: bool, card: str) -> None:
    problems = []
    if optimization:
        problems.append("a probe has no prompt to optimize: leave --optimization out")
    if apply:
        problems.append("a probe's better weights are used at once: leave --apply out")
    if bool(dataset) == bool(card):
        problems.append("a dataset is needed: --dataset NAME" if not card else "--card brings its own dataset")
    if problems:
        raise ConfigError("a probe can't be trained again so", where=str(found.path), problems=problems)


def _optimization(
    found: Found, name: str, dataset: str, test: str, card: str, costs: Costs | None, folder: Path | None
) -> str:
    """The optimization to run; ConfigError, listing everything, where there is none or it says otherwise."""
    about = [name] if name else _about(found.name, folder)
    if len(about) != 1:
        raise ConfigError(
            f"{len(about)} optimizations are about this classifier, say which"
            if about
            else "no optimization is about it",
            where=str(found.path),
            problems=[f"--optimization {one}" for one in about],
            fix="" if about else f'write configs/optimizations/NAME.toml with classifier = "{found.name}"',
        )
    file: OptimizationFile = files.load_named("optimization", about[0], folder)
    problems = []
    if file.classifier != found.name:
        problems.append(f"it is about {file.classifier or file.judge}, not {found.name}")
    if dataset and dataset != file.dataset:
        problems.append(f"it learns from {file.dataset!r}, not {dataset!r}: leave --dataset out, or change the file")
    if test and test != file.test_dataset:
        problems.append(f"its test_dataset is {file.test_dataset!r}, not {test!r}: leave --test-dataset out")
    if costs is not None:
        problems.append("prices and prevalence are those of its [costs]: leave them out")
    if card:
        problems.append(f"a card is of a probe; an optimization is run again by llmclf optimize {about[0]}")
    if problems:
        raise ConfigError("the optimization says otherwise", where=f"optimization {about[0]}", problems=problems)
    return about[0]


def _about(classifier: str, workspace: Path | None) -> list[str]:
    """Names of the optimizations that are about a classifier."""
    names = files.listing("optimization", workspace)
    return [name for name in names if files.load_named("optimization", name, workspace).classifier == classifier]


def _optimized(
    found: Found, file: LlmFile, name: str, apply: bool, runtime: Runtime, on_step: Callable[..., None] | None
) -> Retraining:
    from llmclf.workspace.optimizing import optimize  # as above

    done = optimize(name, runtime=runtime, on_step=on_step)
    sentence, notes, written = done.sentence, list(done.notes), {}
    if done.written is not None and done.prompt is not None:
        written["prompt"] = str(done.written)
        line = f"prompt = {json.dumps(done.prompt.name)}"
        if apply:
            write_own(found, _with_prompt(found.path, done.prompt.name))
            written["classifier"] = str(found.path)
            sentence += f" {found.path} says now {line} (it was {json.dumps(file.prompt)})."
        else:
            sentence += f" Nothing uses it yet: say {line} in {found.path}."
        if file.threshold_from is not None:
            notes.append(
                f"The threshold was chosen for another prompt: llmclf evaluate {found.name}, then llmclf threshold set."
            )
    return Retraining(
        found.name,
        done.verdict,
        sentence,
        done.comparison,
        None,
        {"optimization": name, "run_id": done.run_id},
        written,
        tuple(notes),
        done.run_id,
        done.simulated,
    )


def _with_prompt(path: Path, prompt: str) -> str:
    """The classifier's file with another prompt; ConfigError where the text can't be edited safely."""
    text = files.read_text(path)
    made = with_value(text, "prompt", json.dumps(prompt))
    if parsed(made) != {**tomllib.loads(text), "prompt": prompt}:
        raise ConfigError(
            "the file is written in a way that can't be edited safely",
            where=str(path),
            fix=f"set `prompt = {json.dumps(prompt)}` by hand",
        )
    return made
