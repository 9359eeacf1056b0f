"""What became of a question: a reading or an error, what it took, and how several make one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from llmclf.classifiers.answer import Reading
from llmclf.errors import ModelError
from llmclf.llm.model import Response
from llmclf.types import Task, Usage

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Bill:
    """What calls took. A call that failed and was not billed took no tokens and has no latency."""

    calls: int = 0
    usage: Usage | None = None
    """None where no tokens were used."""
    cost_nano_usd: int | None = 0
    """None is unknown."""
    latency_seconds: float | None = None
    call_id: str = ""
    """The first's."""
    cached: bool = False
    """True where nothing was paid now: every answer was stored."""

    @classmethod
    def of(cls, response: Response) -> Bill:
        """What one answered call took."""
        return cls(
            1,
            response.answer.usage,
            response.cost_nano_usd,
            response.latency_seconds,
            response.call_id,
            response.cached,
        )

    @classmethod
    def of_failure(cls, error: ModelError, *, sent: bool) -> Bill:
        """What a call without an answer took: nothing, or something unknown."""
        billed = error.possibly_billed
        return cls(int(sent), Usage() if billed else None, None if billed else 0)

    def as_fields(self) -> dict[str, Any]:
        """The fields of a prediction that say what it took."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"usage": self.usage or Usage()}

    def then(self, other: Bill) -> Bill:
        """Both, one after the other: latencies add up, and one that is not known makes the sum unknown."""
        seconds = _sum(self.latency_seconds, other.latency_seconds)
        return self._with(other, seconds) if self.calls and other.calls else (self if self.calls else other)

    def beside(self, other: Bill) -> Bill:
        """Both, at the same time: the slower one's latency, of those that are known."""
        known = [bill.latency_seconds for bill in (self, other) if bill.latency_seconds is not None]
        return self._with(other, max(known, default=None))

    def _with(self, other: Bill, seconds: float | None) -> Bill:
        asked = [bill for bill in (self, other) if bill.calls]
        return Bill(
            self.calls + other.calls,
            _both(self.usage, other.usage),
            _sum(self.cost_nano_usd, other.cost_nano_usd),
            seconds,
            self.call_id or other.call_id,
            all(bill.cached for bill in asked) and bool(asked),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reading, or the error that stands for it, and what it took."""

    bill: Bill
    reading: Reading | None = None
    error: ModelError | None = None
    """Set where `reading` is not."""
    thinking: str = ""
    repaired: bool = False
    """True where an answer was asked for once more."""


def combine_samples(samples: Sequence[Outcome], task: Task, threshold: float | None) -> Outcome:
    """Several answers to one question as one: the score is the target's share of the readable ones.

    The label is the target where the share reaches the threshold, else the most frequent other label;
    without a threshold it is the most frequent of all. Ties go to the label that stands first in the
    task. Evidence and rationale are those of the first answer with that label. Where fewer than half
    can be read, the first error stands for all; so does a cap that was reached, because the rest is
    asked for once it is raised.
    """
    bill = _beside(samples)
    repaired = any(sample.repaired for sample in samples)
    errors = [sample.error for sample in samples if sample.error is not None]
    read = [(sample, sample.reading) for sample in samples if sample.reading is not None]
    broke = [error for error in errors if error.kind == "over_budget"]
    if broke or 2 * len(read) < len(samples):
        error = (broke or errors)[0]
        what = f"{error.what} ({len(errors)} of {len(samples)} answers failed)"
        thinking = next((sample.thinking for sample in samples if sample.error), "")
        return Outcome(bill, error=reworded(error, what), thinking=thinking, repaired=repaired)
    counts = Counter(reading.label for _, reading in read)
    score = counts[task.target] / len(read)
    label = _majority(counts, task, score, threshold)
    sample, reading = next(((s, r) for s, r in read if r.label == label), (None, Reading(label)))
    made = Reading(label, score, "samples", reading.rationale, reading.evidence)
    return Outcome(bill, made, thinking=sample.thinking if sample else "", repaired=repaired)


def combine_parts(parts: Sequence[Outcome], task: Task, threshold: float | None) -> Outcome:
    """The parts of a long conversation as one: the likeliest part decides.

    The score is the highest of any part. The label is the target where any part's is, else the label
    of the part with the highest score (without scores: of the first that is not clean). Where a part
    failed, what was read must flag the conversation, or it fails: it was not read whole.
    """
    bill = _beside(parts)
    repaired = any(part.repaired for part in parts)
    read = [(part, part.reading) for part in parts if part.reading is not None]
    clean = {label.name for label in task.labels if label.role == "clean"}

    def likelihood(one: tuple[Outcome, Reading]) -> tuple[bool, float, bool]:
        _, reading = one
        return (reading.label == task.target, reading.score or 0.0, reading.label not in clean)

    if read:
        part, reading = max(read, key=likelihood)
        scores = [each.score for _, each in read if each.score is not None]
        made = replace(reading, score=max(scores, default=None))
        if len(read) == len(parts) or made.flags(task.target, threshold):
            return Outcome(bill, made, thinking=part.thinking, repaired=repaired)
    place, failed = next((place, part) for place, part in enumerate(parts, 1) if part.error is not None)
    assert failed.error is not None
    error = reworded(failed.error, f"{failed.error.what} (part {place} of {len(parts)}, and no other part is flagged)")
    return Outcome(bill, error=error, thinking=failed.thinking, repaired=repaired)


def reworded(error: ModelError, what: str) -> ModelError:
    """The same error in other words."""
    return ModelError(
        error.kind,
        what,
        where=error.where,
        got=error.got,
        fix=error.fix,
        status=error.status,
        retry_after=error.retry_after,
        possibly_billed=error.possibly_billed,
    )


def _majority(counts: Counter[str], task: Task, share: float, threshold: float | None) -> str:
    if threshold is not None and share >= threshold:
        return task.target
    allowed = [name for name in task.label_names if threshold is None or name != task.target]
    return max(allowed, key=lambda name: counts[name])  # the first of equals


def _beside(outcomes: Sequence[Outcome]) -> Bill:
    bill = outcomes[0].bill
    for outcome in outcomes[1:]:
        bill = bill.beside(outcome.bill)
    return bill


def _both(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return other if one is None else one
    return one.plus(other)


def _sum(one: Number | None, other: Number | None) -> Number | None:
    return None if one is None or other is None else one + other
