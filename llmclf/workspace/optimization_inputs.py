"""Everything an optimization begins with, checked as a whole before anything is paid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmclf.config import LlmFile, OptimizationFile, files, load_task
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError, LlmclfError
from llmclf.llm.model import Model
from llmclf.llm.rules import check_allowed
from llmclf.llm.runtime import Runtime
from llmclf.optimization.classifier_student import ClassifierStudent, classifier_student, without_shown
from llmclf.optimization.objective import Objective, dollars_objective
from llmclf.optimization.parts import Parts, parts_of
from llmclf.optimization.values import Student
from llmclf.render import Prompt, load_prompt
from llmclf.types import Dataset, Task
from llmclf.types.hashing import content_hash
from llmclf.workspace.optimization_checks import check_optimization
from llmclf.workspace.optimization_files import check_free

_NOT_INPUTS = {"version", "budget", "concurrency", "prompt"}


@dataclass(frozen=True)
class OptimizationInputs:
    """What is optimized, from which items, and towards what."""

    name: str
    file: OptimizationFile
    student: Student
    parts: Parts
    objectives: Mapping[str, Objective]
    subject: Mapping[str, Any]
    """The settings of the classifier or judge."""
    model: str
    simulated: bool
    reflection_prompt: Prompt | None
    notes: tuple[str, ...]
    test: Dataset | None = None
    """Of a classifier."""
    task: Task | None = None
    dataset: Mapping[str, str] | None = None
    """Name and sha256 of what was learned from; of a judge, the `session`'s id."""

    @property
    def inputs_hash(self) -> str:
        """Over all that decides which answers are asked for; not over budgets, concurrency and the new name."""
        settings = {k: v for k, v in self.file.model_dump(mode="json").items() if k not in _NOT_INPUTS}
        reflection = self.reflection_prompt.sha256 if self.reflection_prompt else ""
        return content_hash(
            [settings, self.data_hash, self.task, self.student.parent.sha256, dict(self.subject), reflection]
        )

    @property
    def test_hash(self) -> str:
        """Over the instances of the test, with their words and labels."""
        known = self.student.instances
        return content_hash(sorted((key, known[key].text, known[key].label) for key in self.parts.test))

    @property
    def data_hash(self) -> str:
        """Over the instances of each part, with their words and labels."""
        known = self.student.instances
        return content_hash(
            [
                [(key, known[key].text, known[key].label, known[key].weight) for key in keys]
                for keys in (self.parts.train, self.parts.validation, self.parts.test)
            ]
        )


def optimization_inputs(name: str | Path, runtime: Runtime, *, keys: bool = True) -> OptimizationInputs:
    """The inputs of the optimization `name`; ConfigError or DataError with all that is wrong. Nothing is sent.

    With `keys`, a vendor's key that is missing is wrong too.
    """
    found = files.find("optimization", str(name), runtime.workspace)
    file: OptimizationFile = files.load("optimization", found.path)
    checks: list[Callable[[], object]] = [
        lambda: check_optimization(str(name), runtime.workspace, lambda model: _check_model(model, runtime, keys)),
        lambda: check_free(file.prompt, runtime.workspace),
    ]
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += [one for one in error.problems or [str(error)] if one not in problems]
        except LlmclfError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("the optimization can't begin", where=str(found.path), problems=problems)
    prompt = load_prompt(file.reflection.prompt, runtime.workspace) if file.reflection else None
    made = _of_classifier if file.classifier else _of_judge
    return made(found.name, file, runtime, prompt)


def _of_classifier(name: str, file: OptimizationFile, runtime: Runtime, prompt: Prompt | None) -> OptimizationInputs:
    subject: LlmFile = files.load_named("classifier", file.classifier or "", runtime.workspace)
    classifier = files.find("classifier", file.classifier or "", runtime.workspace).name
    task = load_task(subject.task, runtime.workspace)
    dataset = load_dataset(file.dataset, runtime.workspace)
    test = load_dataset(file.test_dataset, runtime.workspace) if file.test_dataset else None
    hashes = [one.content_hash for one in (dataset, test) if one is not None]
    notes = []
    dataset, left_out = without_shown(dataset, classifier, subject, task, runtime)
    if test is not None:
        test, more = without_shown(test, classifier, subject, task, runtime)
        left_out += more
    if left_out:
        notes.append(f"{len(left_out)} items left out: the parent's prompt shows them, or items of their group")
    learned_from = load_prompt(subject.prompt, runtime.workspace).learned_from
    datasets, parts = parts_of(dataset, task, file, test, learned_from)
    student: ClassifierStudent = classifier_student(classifier, subject, task, datasets, runtime)
    student.check_prompt(student.parent)
    objectives = {
        part: dollars_objective([student.instances[key] for key in keys], file.as_costs, file.objective)
        for part, keys in (("train", parts.train), ("validation", parts.validation))
    }
    return OptimizationInputs(
        name,
        file,
        student,
        parts,
        objectives,
        subject.model_dump(mode="json"),
        subject.model,
        runtime.route(subject.model).simulated,
        prompt,
        (*notes, *parts.notes, *objectives["validation"].notes),
        datasets["test"],
        task,
        {"name": file.dataset, "sha256": content_hash(hashes)},
    )


def _of_judge(name: str, file: OptimizationFile, runtime: Runtime, prompt: Prompt | None) -> OptimizationInputs:
    from llmclf.workspace.judge_optimizing import judge_inputs  # a classifier needs nothing of it

    made = judge_inputs(file, runtime)
    subject = files.load_named("judge", file.judge or "", runtime.workspace)
    return OptimizationInputs(
        name,
        file,
        made.student,
        made.parts,
        made.objectives,
        subject.model_dump(mode="json"),
        subject.model,
        runtime.route(subject.model).simulated,
        prompt,
        made.notes,
        dataset={"session": made.student.tests.session.id},
    )


def _check_model(model: Model, runtime: Runtime, keys: bool) -> None:
    route = runtime.route(model.id)
    check_allowed(model.id, route, runtime.rules)
    asked = keys and runtime.cache != "read-only"
    problems = route.problems(model) if asked else route.unsupported(model)
    if problems:
        raise ConfigError("the model can't be used", where=model.id, problems=problems)
