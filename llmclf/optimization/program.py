"""What dspy sees of a student: a program with one predictor, whose every answer comes over this desk."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from llmclf.config import OptimizationFile
from llmclf.optimization.book import Book, Stopped
from llmclf.optimization.covering import covered
from llmclf.optimization.dspy_parts import bridge_classes, load_dspy
from llmclf.optimization.feedback import feedback
from llmclf.optimization.values import Answered, Candidate, Demonstration

FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "classifier": ("conversation", ("label", "rationale", "evidence", "confidence")),
    "judge": ("case", ("verdict", "reason")),
}
"""Kind of student to the names of its text and of its answer's parts, what it says first."""


class Desk:
    """Between dspy and a book: turns (instructions, demonstrations) into candidates, and answers into dspy's fields.

    One for a search; never copied, however often dspy copies a program.
    """

    def __init__(self, book: Book, file: OptimizationFile) -> None:
        self.book = book
        self.file = file
        self.student = book.student
        text, self.outputs = FIELDS[self.student.kind]
        self.inputs = (text, "item")
        self.pool = tuple(self.student.demonstration(key) for key in book.parts.train)
        """Every instance of the train part with its label alone."""
        self._costs = file.as_costs if self.student.kind == "classifier" else None  # a judge is no dollars' worth
        self._train = frozenset(book.parts.train)
        self._given: dict[tuple[str, str], Answered] = {}
        self._ended = threading.Event()
        self.failure: Exception | None = None
        """What broke on our side of dspy, which would go on with the next item."""
        parent = book.parent.candidate.instruction
        self._parent = inspect.cleandoc(parent), parent  # dspy takes indentation out of instructions

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def end(self) -> None:
        """Nothing is asked over this desk any more: dspy leaves threads behind where a search is stopped."""
        self._ended.set()

    # --- to dspy ----------------------------------------------------------------------------

    def program(self) -> Any:
        """The dspy.Module that is compiled."""
        return bridge_classes()[1](self)

    def examples(self, keys: Iterable[str]) -> list[Any]:
        """Instances as dspy's examples, with their true label."""
        dspy = load_dspy().dspy
        made = []
        for key in keys:
            instance = self.student.instances[key]
            fields = {self.inputs[0]: instance.text, "item": key, self.outputs[0]: instance.label}
            made.append(dspy.Example(**fields).with_inputs(*self.inputs))
        return made

    def answer(
        self, instructions: str, demos: Iterable[Any], key: str, repeat: int, temperature: float | None
    ) -> dict[str, str]:
        """The answer of the student to an instance as dspy's fields; one that failed has an empty first field.

        An instance that the candidate would show is not shown to itself: its own label would be in its request.
        """
        if self._ended.is_set():
            raise Stopped("the search has ended")
        with self._ours():
            candidate = self.candidate(instructions, demos, hidden=key)
            answered = self.book.ask(candidate, key, repeat=repeat, temperature=temperature)
        fields = {name: _as_text(answered.fields.get(name)) for name in self.outputs}
        fields[self.outputs[0]] = answered.said or ""
        if answered.error is not None:
            fields[self.outputs[1]] = f"(no answer: {answered.error.kind})"
        self._given[self._name(key, fields)] = answered
        return fields

    # --- from dspy --------------------------------------------------------------------------

    def answered(self, key: str, fields: Mapping[str, Any]) -> Answered:
        """The answer that became dspy's `fields`."""
        return self._given[self._name(key, fields)]

    def candidate(self, instructions: str, demos: Iterable[Any], hidden: str = "") -> Candidate:
        """The candidate of a predictor: demonstrations from the train part only, each once, every label among them.

        A demonstration that dspy calls `augmented` shows the answer that was given, where that was right; any other
        its label alone. `hidden` is an instance that is not shown.
        """
        shown: dict[str, Demonstration] = {}
        for demo in demos:
            key = demo.get("item")
            if key in self._train and key not in shown:
                shown[key] = self._demonstration(key, demo)
        instruction = self._parent[1] if inspect.cleandoc(instructions) == self._parent[0] else instructions
        made = self.covering(instruction, tuple(shown.values()), self.pool)
        if hidden not in {one.key for one in made.demonstrations}:
            return made
        shown.pop(hidden, None)
        return self.covering(instruction, tuple(shown.values()), [one for one in self.pool if one.key != hidden])

    def covering(
        self, instruction: str, shown: tuple[Demonstration, ...], pool: Sequence[Demonstration] = ()
    ) -> Candidate:
        """The candidate that shows these, filled up from `pool` (default: the train part) so that every label is there.

        None are shown where the file allows none, and none are added where none are shown.
        """
        most = self.file.demonstrations
        if not shown or not most:
            return Candidate(instruction)
        return Candidate(instruction, covered(shown, pool or self.pool, self.student.labels, most))

    def candidate_of(self, program: Any) -> Candidate:
        """The candidate of a compiled program."""
        return self.candidate(program.answer.signature.instructions, program.answer.demos)

    def try_program(self, program: Any) -> None:
        """Tries a program's candidate on the whole validation part."""
        self.book.ask_part(self.candidate_of(program), "validation")

    # --- metrics ----------------------------------------------------------------------------

    def metric(self) -> Callable[..., float]:
        """The objective as dspy's plain metric. While demonstrations are made, an answer that is wrong scores 0."""

        def score(gold: Any, prediction: Any, trace: Any = None) -> float:
            with self._ours():
                answered = self.answered(gold.item, prediction)
                right = answered.said == self.student.instances[gold.item].label
                return 0.0 if trace is not None and not right else self.book.score(gold.item, answered)

        return score

    def metric_with_feedback(self) -> Callable[..., Any]:
        """The objective as GEPA's metric: a score, and in words what was wrong where GEPA asks for them."""
        prediction_of = load_dspy().dspy.Prediction

        def score(gold: Any, prediction: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            with self._ours():
                instance, answered = self.student.instances[gold.item], self.answered(gold.item, prediction)
                words = feedback(instance, answered, self.student, self._costs) if pred_name else ""
                return prediction_of(score=self.book.score(gold.item, answered), feedback=words)

        return score

    def good_score(self) -> float:
        """The least score, in the train part, of a right answer that is 90 % sure and costs what the parent's do.

        Where all of a batch score as much there is nothing to learn from it. A score of 1 no answer gets: each has its
        price.
        """
        price = max((one.cost_usd or 0.0 for one in self.book.parent.answered.values()), default=0.0)
        instances = [self.student.instances[key] for key in self.book.parts.train]
        return min(
            self.book.score(one.key, Answered(one.label, one.positive, 0.9 if one.positive else 0.1, cost_usd=price))
            for one in instances
        )

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Ends the search by what breaks in the block: dspy counts an Exception as one failed item."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error
            raise Stopped(str(error)) from error

    def _demonstration(self, key: str, demo: Any) -> Demonstration:
        answered = self._given.get(self._name(key, demo)) if demo.get("augmented") else None
        right = answered is not None and answered.said == self.student.instances[key].label
        return self.student.demonstration(key, answered if right else None)

    def _name(self, key: str, fields: Mapping[str, Any]) -> tuple[str, str]:
        return key, json.dumps([fields.get(name) for name in self.outputs])


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
