"""Optimizers that choose demonstrations: labelled examples, and answers of the student's own that were right."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from llmclf.optimization.covering import covering, in_order
from llmclf.optimization.dspy_parts import load_dspy
from llmclf.optimization.program import Desk
from llmclf.optimization.values import Student

CANDIDATES = {"labeled-few-shot": 8, "bootstrap": 4}
"""Candidates that are tried where `settings.candidates` says nothing."""
ATTEMPTS = 4
"""Items of a label that are asked about for each demonstration of it that is wanted."""


def labeled_few_shot(desk: Desk, settings: Mapping[str, Any]) -> None:
    """Tries draws of labelled examples, each of which covers every label: several sizes, several seeds."""
    instruction = desk.book.parent.candidate.instruction
    desk.book.phase = "labeled-few-shot"
    for size, seed in _draws(desk, int(settings.get("candidates", CANDIDATES["labeled-few-shot"]))):
        desk.try_program(_with_labeled(desk, instruction, size, seed))


def add_demonstrations(desk: Desk, most: int = 3) -> None:
    """Tries the best instruction so far with labelled examples: up to `most` draws."""
    best = desk.book.best()
    if not desk.file.demonstrations or best.candidate.demonstrations:
        return
    desk.book.phase = f"{desk.file.optimizer} with demonstrations"
    for size, seed in _draws(desk, most):
        desk.try_program(_with_labeled(desk, best.candidate.instruction, size, seed))


def bootstrap(desk: Desk, settings: Mapping[str, Any]) -> None:
    """Tries demonstrations that show answers of the student's own, where these were right and scored well.

    dspy's optimizer takes the first items that succeed, which at a low share are all clean; so it runs label by label.
    A label with none is filled up with labelled examples.
    """
    dspy = load_dspy().dspy
    desk.book.phase = "bootstrap"
    labels = _by_label(desk)
    names = list(labels)
    most = desk.file.demonstrations
    each = {name: most // len(names) + (at < most % len(names)) for at, name in enumerate(names)}
    for number in range(int(settings.get("candidates", CANDIDATES["bootstrap"]))):
        rng = random.Random(f"{desk.file.seed} bootstrap {number}")  # noqa: S311 - examples, not a secret
        demos: list[Any] = []
        for name in names:
            keys = rng.sample(labels[name], min(len(labels[name]), ATTEMPTS * each[name]))
            optimizer = dspy.BootstrapFewShot(
                metric=desk.metric(),
                metric_threshold=settings.get("metric_threshold", 0.5),
                max_bootstrapped_demos=each[name],
                max_labeled_demos=0,  # the teacher is the parent, as it is
                max_rounds=settings.get("max_rounds", 1),
            )
            if each[name]:
                demos += optimizer.compile(desk.program(), trainset=desk.examples(keys)).answer.demos
        program = desk.program()
        program.answer.demos = demos
        if demos:
            desk.try_program(program)


def fewest(student: Student) -> int:
    """Demonstrations that it takes to show every label."""
    return len(student.labels)


def _with_labeled(desk: Desk, instruction: str, size: int, seed: int) -> Any:
    """A program with dspy's labelled examples: of a draw that covers every label, in its order."""
    keys = covering(_by_label(desk), size, seed)
    student = desk.program()
    student.answer.signature = student.answer.signature.with_instructions(instruction)
    return load_dspy().dspy.LabeledFewShot(k=size).compile(student, trainset=desk.examples(keys), sample=False)


def _draws(desk: Desk, count: int) -> list[tuple[int, int]]:
    """(size, seed) of draws: sizes from the number of labels up to what the file allows, in turn."""
    least, most = min(fewest(desk.student), desk.file.demonstrations), desk.file.demonstrations
    sizes = sorted({least, (least + most) // 2, most}, reverse=True)
    return [(sizes[number % len(sizes)], desk.file.seed * 1000 + number) for number in range(count)]


def _by_label(desk: Desk) -> dict[str, list[str]]:
    """Label to the keys of the train part that have it, in the order in which a prompt needs the labels."""
    found: dict[str, list[str]] = {name: [] for name in in_order(desk.student.labels)}
    for key in desk.book.parts.train:
        found.setdefault(desk.student.instances[key].label, []).append(key)
    return {name: keys for name, keys in found.items() if keys}
