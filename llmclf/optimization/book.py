"""The book of a search: every candidate that was tried, what was answered with it, and which is best so far."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from llmclf.errors import ConfigError
from llmclf.optimization.candidate import instruction_of, prompt_of
from llmclf.optimization.objective import Objective
from llmclf.optimization.parts import Parts
from llmclf.optimization.quotes import Quotes
from llmclf.optimization.result import Spend
from llmclf.optimization.values import Answered, Candidate, Student
from llmclf.render import Prompt
from llmclf.types.prediction import ErrorInfo

PARENT = "parent"
_MOST_AT_FIRST, _MOST = 3, 5  # reflections in a row that were of no use
_SAME = 1e-12  # mean scores that differ by less are equal: they are sums in another order


class Stopped(BaseException):
    """The search ends here, with the best so far: no money is left for it.

    Not an Exception, as optimizers of dspy catch those and go on.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass
class ReflectionCounts:
    """What was asked of the reflection model in a search."""

    asked: int = 0
    failed: int = 0
    """Calls without an answer."""
    unreadable: int = 0
    """Answers that were no instruction: the one before was kept."""
    in_a_row: int = 0
    """Failed or unreadable since the last that could be used."""
    wrong: str = ""
    """What was wrong with the last such one; never words of the answer, which may quote conversations."""
    nano_usd: int | None = 0
    """What the answers take, whether bought now or found in the store; None: not known of at least one."""

    @property
    def trouble(self) -> str:
        """What keeps the model from being of use, in words; empty where it wrote what could be used lately."""
        if not self.in_a_row or (self.in_a_row < self.asked and self.in_a_row < _MOST):
            return ""
        what = "calls failed" if self.failed > self.unreadable else "answers could not be read"
        return f"the reflection model's {what}: {self.failed + self.unreadable} of {self.asked} ({self.wrong})"

    def count_wrong(self, why: str, *, failed: bool = False) -> None:
        """Counts a call that failed, or an answer that could not be used.

        Raises Stopped after 3 in a row at the beginning, later after 5: more would be paid for nothing.
        """
        self.failed += failed
        self.unreadable += not failed
        self.in_a_row += 1
        self.wrong = why
        if self.in_a_row >= (_MOST_AT_FIRST if self.in_a_row == self.asked else _MOST):
            raise Stopped(self.trouble)

    def count_right(self) -> None:
        """Counts an answer that could be used."""
        self.in_a_row, self.wrong = 0, ""


@dataclass
class Tried:
    """A candidate with what was answered with it."""

    candidate: Candidate
    prompt: Prompt
    origin: str
    """`parent`, or what tried it and the how manieth it was: `bootstrap 3`."""
    answered: dict[str, Answered] = field(default_factory=dict)
    """Key of an instance to its first answer; asked again (another sample) it is not in here."""
    refused: str = ""
    """Why it can't be a prompt; all its answers then failed, without a request."""

    @property
    def input_tokens(self) -> float:
        """Mean tokens of a request so far; 0 where nothing was answered."""
        counts = [one.input_tokens for one in self.answered.values() if one.error is None]
        return sum(counts) / len(counts) if counts else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """How far an optimization is, for people who wait."""

    origin: str
    """Of the candidate that is asked."""
    part: str
    """Of the items it is asked about: `train`, `validation` or `test`."""
    answers: int
    """So many the search got, from the store or bought."""
    candidates: int
    """So many were tried on the whole validation part, the parent among them."""
    best: float | None
    """Highest mean score on the validation part; None until one is complete."""
    reflections: int = 0
    """So many were asked for."""
    done: int | None = None
    """Items of a part that is asked about as a whole that have their answer; 0 where that begins. Else None."""
    of: int | None = None
    """So many items that part has."""
    spend: Mapping[str, Spend] = field(default_factory=dict)
    """`task` and `reflection`, over all executions of the same inputs; it may lag by a second."""


class Book:
    """What a search has tried. Its methods may be called from any thread.

    The book, not the optimizer, knows the best so far: an optimizer may choose by fewer items, and money may end
    before it has returned anything. `parts` is who is in the train, validation and test part, `objectives` scores by
    part (`train` and `validation`).

    `limit` is asked before each request for what is not in the book: "" goes on, anything else is why to stop.
    `phase` is the name under which new candidates are numbered. `on_step` is told of each answer, on whatever thread.
    """

    batch = 8
    """Instances that `ask_part` asks about at once, before it looks at `limit` again."""

    def __init__(self, student: Student, parts: Parts, objectives: Mapping[str, Objective]) -> None:
        self.student = student
        self.parts = parts
        self.objectives = objectives
        self.limit: Callable[[], str] = lambda: ""
        self.on_step: Callable[[Step], None] | None = None
        self.phase = ""
        self.asked = 0
        """Answers so far, of whatever kind."""
        self.reflection = ReflectionCounts()
        self._lock = threading.RLock()
        self._by_candidate: dict[Candidate, Tried] = {}
        self._by_text: dict[str, Tried] = {}
        self._calls = 0
        self._call_ended = threading.Condition()
        self._again: dict[tuple[str, str, int, float | None], Answered] = {}
        self._numbers: dict[str, int] = {}
        self._whole: set[str] = set()
        self._best: float | None = None
        self._part_of = {key: part for part in objectives for key in getattr(parts, part)}
        first = Candidate(instruction_of(student.parent))
        self._quotes = Quotes(student.instances.values(), first.instruction)
        self.parent = Tried(first, student.parent, PARENT)
        """What the search began with; asked with its own text."""
        self._by_candidate[first] = self._by_text[student.parent.text] = self.parent

    @property
    def tried(self) -> list[Tried]:
        """All candidates, in the order in which they came, the parent first."""
        with self._lock:
            return list(self._by_text.values())

    def entry(self, candidate: Candidate) -> Tried:
        """The candidate's place in the book. Candidates that make the same text are one."""
        with self._lock:
            known = self._by_candidate.get(candidate)
            if known is None:
                known = self._by_candidate[candidate] = self._enter(candidate)
            return known

    def ask(self, candidate: Candidate, key: str, *, repeat: int = 0, temperature: float | None = None) -> Answered:
        """What the student says of an instance with the candidate; the same is asked once.

        `repeat` and `temperature` are for samples, as `Student.ask` takes them. Raises Stopped where the budget has no
        room for it, or `limit` says so.
        """
        tried = self.entry(candidate)
        first = not repeat and temperature is None
        name = (tried.prompt.text, key, repeat, temperature)
        with self._lock:
            known = tried.answered.get(key) if first else self._again.get(name)
        if known is not None:
            return known
        answered = self._refusal(tried)
        if answered is None:
            with self._under_way():
                self.check_limit()
                answered = self.student.ask(tried.prompt, key, repeat=repeat, temperature=temperature)
        self._stop_without_money(answered)
        with self._lock:
            answered = tried.answered.setdefault(key, answered) if first else self._again.setdefault(name, answered)
        self._tell(tried, self._part_of.get(key, ""))
        return answered

    def ask_part(self, candidate: Candidate, part: str) -> Tried:
        """Asks about every instance of a part that was not asked about yet, many at once; raises what `ask` does."""
        tried = self.entry(candidate)
        keys: Sequence[str] = getattr(self.parts, part)
        missing = [key for key in keys if key not in tried.answered]
        refusal = self._refusal(tried)
        if refusal is not None:
            with self._lock:
                tried.answered.update(dict.fromkeys(missing, refusal))
            return tried
        self._tell(tried, part, 0, len(keys) - len(missing), len(keys))
        for start in range(0, len(missing), self.batch):
            self.check_limit()
            some = missing[start : start + self.batch]
            answers = self.student.ask_all(tried.prompt, some)
            kept = [(key, one) for key, one in zip(some, answers, strict=True) if not _is_over_budget(one)]
            with self._lock:
                tried.answered.update(kept)
            self._tell(tried, part, len(kept), len(keys) - len(missing) + start + len(kept), len(keys))
            for answered in answers:
                self._stop_without_money(answered)
        return tried

    def end(self, seconds: float) -> None:
        """Asks nothing more, and waits (at most so long) for what was asked: an answer that is paid for is kept."""
        self.limit = lambda: "the search has ended"
        with self._call_ended:
            self._call_ended.wait_for(lambda: not self._calls, seconds)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        with self._call_ended:
            self._calls += 1
        try:
            yield
        finally:
            with self._call_ended:
                self._calls -= 1
                self._call_ended.notify_all()

    def check_limit(self) -> None:
        """Raises Stopped where `limit` says so."""
        why = self.limit()
        if why:
            raise Stopped(why)

    def score(self, key: str, answered: Answered) -> float:
        """The score of an answer by the objective of the part that the instance is in."""
        return self.objectives[self._part_of[key]].score(self.student.instances[key], answered)

    def scores(self, tried: Tried, part: str = "validation") -> dict[str, float]:
        """Key to score, of those instances of a part that were answered."""
        keys: Sequence[str] = getattr(self.parts, part)
        return {key: self.score(key, tried.answered[key]) for key in keys if key in tried.answered}

    def mean(self, tried: Tried, part: str = "validation") -> float | None:
        """The mean score on a part; None unless every instance of it was answered."""
        scores = self.scores(tried, part)
        return sum(scores.values()) / len(scores) if scores and len(scores) == len(getattr(self.parts, part)) else None

    def complete(self) -> list[Tried]:
        """Candidates that were tried on the whole validation part and can be prompts, best first.

        Ties go to the parent, then to fewer tokens, then to the shorter text.
        """
        found = [(mean, one) for one in self.tried if not one.refused and (mean := self.mean(one)) is not None]
        ranks = [round(mean / _SAME) for mean, _ in found]
        order = sorted(
            range(len(found)),
            key=lambda at: (
                -ranks[at],
                found[at][1] is not self.parent,
                found[at][1].input_tokens,
                len(found[at][1].prompt.text),
                found[at][1].prompt.text,
            ),
        )
        return [found[at][1] for at in order]

    def best(self) -> Tried:
        """The candidate with the highest mean score on the whole validation part; the parent until one is complete."""
        return next(iter(self.complete()), self.parent)

    def _enter(self, candidate: Candidate) -> Tried:
        """A new candidate's place; under the lock."""
        refused = ""
        try:
            prompt = prompt_of(candidate, self.student.parent)
            quoted = self._quotes.of(candidate.instruction)
            prompt = replace(prompt, conversations=prompt.conversations | quoted)
            if prompt.text not in self._by_text:
                self.student.check_prompt(prompt)
        except ConfigError as error:
            refused = error.message
            prompt = Prompt(self.student.parent.name, repr(candidate))
        known = self._by_text.get(prompt.text)
        if known is not None:
            return known
        number = self._numbers[self.phase] = self._numbers.get(self.phase, 0) + 1
        made = Tried(candidate, prompt, f"{self.phase} {number}".strip(), refused=refused)
        self._by_text[prompt.text] = made
        return made

    @staticmethod
    def _refusal(tried: Tried) -> Answered | None:
        return Answered(None, error=ErrorInfo("bad_request", tried.refused)) if tried.refused else None

    @staticmethod
    def _stop_without_money(answered: Answered) -> None:
        if _is_over_budget(answered) and answered.error is not None:
            raise Stopped(answered.error.message)

    def step(self, origin: str, part: str, done: int | None = None, of: int | None = None) -> Step:
        """How far it is, where `origin` is asked about a part."""
        with self._lock:
            return Step(origin, part, self.asked, len(self._whole), self._best, self.reflection.asked, done, of)

    def _tell(self, tried: Tried, part: str, answers: int = 1, done: int | None = None, of: int | None = None) -> None:
        with self._lock:
            self.asked += answers
            if tried.prompt.text not in self._whole and self.mean(tried) is not None:
                complete = self.complete()
                self._whole = {one.prompt.text for one in complete}
                self._best = self.mean(complete[0]) if complete else None
            step = self.step(tried.origin, part, done, of)
        if self.on_step is not None:
            self.on_step(step)


def _is_over_budget(answered: Answered) -> bool:
    return answered.error is not None and answered.error.kind == "over_budget"
