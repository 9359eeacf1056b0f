"""What a careful reviewer would write to the author of a prompt about one answer."""

from __future__ import annotations

from collections.abc import Iterator

from llmclf.errors import ErrorKind
from llmclf.optimization.values import Answered, Instance, Student
from llmclf.types import CANNOT_TELL, Costs

MOST_CHARACTERS = 400
"""Of one quote; more is cut."""
_MOST_QUOTES = 4
_FAILURES: dict[ErrorKind, str] = {
    "unparsable": "the answer was not in the form that the prompt must ask for",
    "length": "the answer was cut off before it was complete: ask for less",
    "empty": "the answer was empty",
    "refused": "the model declined to answer: make clear that this is a review of a conversation",
    "content_filter": "the vendor's content filter stopped it",
    "context_overflow": "the prompt and the conversation together were too long for the model",
}


def feedback(instance: Instance, answered: Answered, student: Student, costs: Costs | None = None) -> str:
    """What was said and what is right: a miss, a false alarm, a wrong label that does no harm, a failure, or right.

    Anything but right comes with what decides the instance: definition and clauses of its label, the turn and its
    words, the way it happened, and how annotators split. `costs` puts a price on it. Words of conversations and
    answers are data: they stand in quotes, on one line and cut at `MOST_CHARACTERS`.
    """
    targets = [label.name for label in student.labels if label.role == "target"]  # a judge may have several
    target = next((name for name in (instance.label, answered.said) if name in targets), targets[0])
    if answered.error is None and answered.said == instance.label and answered.flagged == instance.positive:
        return f"RIGHT: {instance.label}{_sure(answered, target)}."
    return "\n".join([*_wrong(instance, answered, target, costs), *_why(instance)])


def quoted(text: str) -> str:
    """Foreign words in quotes: on one line, no quotes inside that could end them, cut at `MOST_CHARACTERS`."""
    flat = " ".join(text.replace('"', "'").split())
    if len(flat) > MOST_CHARACTERS:
        flat = flat[: MOST_CHARACTERS - 4].rstrip() + " ..."
    return f'"{"".join(one for one in flat if one.isprintable())}"'


def _wrong(instance: Instance, answered: Answered, target: str, costs: Costs | None) -> Iterator[str]:
    label = instance.label
    if answered.error is not None:
        kind = answered.error.kind
        yield f"FAILED ({kind}): {_FAILURES.get(kind, 'the call gave no answer, which is not the prompt')}."
        if kind == "unparsable":
            yield f"What was wrong with it: {quoted(answered.error.message)}"
        yield f"Right would have been: {label}."
        return
    if answered.said == CANNOT_TELL:
        yield f"UNDECIDED: it said {CANNOT_TELL}, which counts as wrong where people could tell. Right is: {label}."
        yield from _reason(answered)
        return
    said = f"It said {answered.said}{_sure(answered, target)}"
    if answered.said == target and not answered.flagged:
        said += ", too unsure to be flagged"
    if answered.said != target and answered.flagged and answered.score is not None:
        said += ", and was flagged by its score all the same"
    if instance.positive and not answered.flagged:
        price = f" A miss costs ${costs.missed_usd:,.2f}." if costs else ""
        yield f"MISS of {target}: this is what is looked for, and it was not flagged.{price}"
    elif answered.flagged and not instance.positive:
        price = f" It costs ${costs.false_alarm_usd + costs.review_usd:,.2f}." if costs else ""
        yield f"FALSE ALARM: this is not {target}, and it was flagged.{price}"
    else:
        right = "flagged" if answered.flagged else "not flagged"
        yield f"WRONG LABEL, but harmless: it was rightly {right}."
    yield f"{said}. Right is: {label}."
    yield from _reason(answered)


def _reason(answered: Answered) -> Iterator[str]:
    reason = str(answered.fields.get("rationale") or answered.fields.get("reason") or "")
    if reason.strip():
        yield f"Its reason was: {quoted(reason)}"


def _sure(answered: Answered, target: str) -> str:
    return "" if answered.score is None else f" (score {answered.score:.2f} for {target}, flagged from 0.50)"


def _why(instance: Instance) -> Iterator[str]:
    facts = instance.facts
    if facts.definition:
        yield f"{instance.label} means: {facts.definition}"
    if facts.rules:
        yield f"Guideline: {' '.join(f'{id}. {text}' for id, text in facts.rules)}"
    for turn, words in facts.evidence[:_MOST_QUOTES]:
        yield f"Decided by {'the words' if turn is None else f'turn {turn}'}: {quoted(words)}"
    for mode in facts.failure_modes:
        yield f"How it happened: {mode}"
    if facts.votes:
        yield _votes(instance)
    for note in facts.notes[:_MOST_QUOTES]:
        yield f"Noted with the label: {quoted(note)}"


def _votes(instance: Instance) -> str:
    votes = sorted(instance.facts.votes.items(), key=lambda vote: (-vote[1], vote[0]))
    whole = sum(count for _, count in votes)
    if len(votes) > 1:
        split = ", ".join(f"{count} said {label}" for label, count in votes)
        return f"Of {whole} annotators, {split}: a hard case; do not bend the rule for it."
    label, count = votes[0]
    return f"{'One annotator' if count == 1 else f'All {count} annotators'} said {label}."
