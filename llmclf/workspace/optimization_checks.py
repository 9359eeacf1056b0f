"""What `llmclf check` says of an optimization: whether what it names is there, and whether it could begin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from llmclf.config import DatasetFile, LlmFile, OptimizationFile, files, load_task
from llmclf.config.judge_schemas import LlmJudgeFile
from llmclf.errors import ConfigError
from llmclf.llm.model import Model
from llmclf.optimization.candidate import instruction_of
from llmclf.optimization.optimizers import check_optimizer
from llmclf.optimization.reflection import check_prompt as check_reflection_prompt
from llmclf.render import load_prompt


def check_optimization(
    name: str, workspace: Path | None, check_model: Callable[[Model], None], *, unwritten: bool = False
) -> None:
    """ConfigError with all that keeps the optimization `name` from beginning; nothing is sent or written.

    `check_model` raises ConfigError for a model that is not known or can't do what is asked of it. A prompt of the new
    name outside the workspace is wrong, as it would be hidden; with `unwritten` one in the workspace is, too, unless an
    earlier run has written it.
    """
    found = files.find("optimization", name, workspace)
    file: OptimizationFile = files.load("optimization", found.path)
    labels: list[int] = []
    checks: list[Callable[[], object]] = [lambda: labels.append(_check_subject(file, workspace))]
    checks += [partial(files.load_named, "dataset", each, workspace) for each in _datasets(file)]
    if file.reflection is not None:
        said = file.reflection
        checks.append(lambda: check_model(Model(said.model, said.thinking, said.temperature, said.max_output_tokens)))
        checks.append(lambda: check_reflection_prompt(load_prompt(said.prompt, workspace)))
    checks.append(lambda: _check_free(file.prompt, workspace, unwritten))
    problems = [problem for check in checks if (problem := _problem(check))]
    problems += check_optimizer(file, *labels)
    if problems:
        raise ConfigError("it could not begin", problems=problems)


def optimization_note(name: str, workspace: Path | None) -> str:
    """What is right and still to be done: labels that are not there yet, or a prompt that was already written."""
    file: OptimizationFile = files.load_named("optimization", name, workspace)
    for dataset in _datasets(file):
        read: DatasetFile = files.load_named("dataset", dataset, workspace)
        if not read.labels:
            return f"its dataset {dataset!r} has no labels yet: llmclf data sample --help"
    if file.prompt in files.listing("prompt", workspace):
        return f"prompt {file.prompt!r} was written by an earlier run; for another give a new name as `prompt`"
    return ""


def _datasets(file: OptimizationFile) -> list[str]:
    return [name for name in (file.dataset, file.test_dataset) if name]


def _check_subject(file: OptimizationFile, workspace: Path | None) -> int:
    """The number of labels, or of verdicts, of what is optimized."""
    if file.classifier:
        subject = files.load_named("classifier", file.classifier, workspace)
        if not isinstance(subject, LlmFile):
            raise ConfigError("only an llm classifier has a prompt", where=file.classifier, got=subject.kind)
        labels = len(load_task(subject.task, workspace).labels)
    else:
        subject = files.load_named("judge", file.judge or "", workspace)
        if not isinstance(subject, LlmJudgeFile):
            raise ConfigError("only a judge that asks a model has a prompt", where=file.judge or "", got=subject.kind)
        labels = len(subject.verdicts)
    instruction_of(load_prompt(subject.prompt, workspace))
    return labels


def _check_free(prompt: str, workspace: Path | None, unwritten: bool) -> None:
    if prompt not in files.listing("prompt", workspace):
        return
    found = files.find("prompt", prompt, workspace)
    own = found.origin == "workspace"
    if not own or (unwritten and not found.path.with_suffix(".json").is_file()):
        raise ConfigError(
            f"prompt {prompt!r} is there already, and is never written over",
            where=str(found.path),
            fix="give a new name as `prompt`",
        )


def _problem(check: Callable[[], object]) -> str:
    try:
        check()
    except ConfigError as error:
        return str(error)
    return ""
