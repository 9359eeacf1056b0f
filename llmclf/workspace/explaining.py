"""One verdict in plain words, for somebody who looks after customers: what was looked for and said, and how sure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmclf.render.conversation import spoken_text
from llmclf.render.redaction import Memory, Redaction
from llmclf.types import Conversation, Label, Speaker, Task, Turn, content_hash, is_flagged, said_label
from llmclf.types.hashing import plain
from llmclf.workspace.corrections import FORMER
from llmclf.workspace.run_results import RunResult
from llmclf.workspace.showing import VerdictInFull
from llmclf.workspace.sureness import Sureness, sure_words, sureness
from llmclf.workspace.verdicts import result_notes

_AROUND = 2
"""So many turns are shown before and after a quoted one."""
_HASH = 8
_SHORT_TALK = 12
"""A conversation of so few turns is shown whole."""
_RULE = re.compile(r"\b[A-Z]{1,3}\d{1,3}\b")
_WHO: dict[Speaker, str] = {
    "user": "Customer",
    "bot": "Automated assistant",
    "human_agent": "Member of staff",
    "system": "System message",
    "tool": "Look-up by the assistant",
}


@dataclass(frozen=True)
class Passage:
    """One turn as a person reads it."""

    number: int
    who: str
    text: str = field(repr=False)
    quoted: tuple[str, ...] = ()
    """Words of it that were quoted as the reason; they stand in `text` as they are here."""
    points: bool = False
    """True where the verdict points at this turn."""
    asked: bool = False
    """True where the verdict is about this turn alone."""
    left_out_before: int = 0
    """Turns left out between the one before and this one."""


@dataclass(frozen=True)
class Explanation:
    """A verdict in plain words. Texts are redacted unless that was switched off."""

    item: str
    """Its id; a short hash where redaction found something in the id. `source` finds it all the same."""
    thing: str
    """What was judged: `conversation` or `reply`."""
    question: str
    meaning: str
    """The target's definition."""
    outcome: str
    """`marked`, `left unmarked` or `no answer`."""
    answer: str
    """What the classifier said, in a sentence."""
    reason: str = field(repr=False)
    """In a model's own words, or how a simpler check works; empty: it gave none."""
    own_words: bool
    """True where a model wrote the reason."""
    sure: str
    basis: tuple[str, ...]
    rule_from: str
    """Where the rule comes from: who or what names it."""
    rule: str
    passages: tuple[Passage, ...] = field(repr=False)
    pointed_by: str
    """Who points at some of them: `the automatic check`, `the label on file`, or nobody (empty)."""
    left_out_after: int
    not_found: tuple[str, ...] = field(repr=False)
    """Quotes that are not in the conversation."""
    people: str
    """What people said of it; empty: nothing."""
    sureness: Sureness | None = field(repr=False)
    redacted: bool
    simulated: bool
    source: str
    """For whoever has to find it again: classifier and run."""
    notes: tuple[str, ...] = ()
    """What else must be known, for instance that its words were erased."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        sure = None if self.sureness is None else self.sureness.to_dict()
        return {**plain(self), "sureness": sure}


def explain(verdict: VerdictInFull, redaction: Redaction | None) -> Explanation:
    """The verdict in plain words; `redaction` takes names and numbers out of every text, None leaves them in.

    `verdict` holds the conversation as it is in its file.
    """
    prediction, task = verdict.prediction, verdict.task
    thing = "conversation" if task.unit == "conversation" else "reply"
    failed = prediction.error is not None
    flagged = is_flagged(prediction.flagged, prediction.label, task.target)
    outcome = "no answer" if failed else "marked" if flagged else "left unmarked"
    verdict = verdict if redaction is None else _redacted(verdict, redaction)
    result = verdict.result
    sure = None if result is None or failed else sureness(prediction, result)
    passages, after = _passages(verdict)
    rule_from, rule = _rule(verdict, outcome)
    said, basis = _sure_words(sure, flagged, thing, failed)
    is_hidden = verdict.prediction.item != prediction.item
    return Explanation(
        item=str(verdict.prediction.item),
        thing=thing,
        question=task.question,
        meaning=_label(task, task.target).definition,
        outcome=outcome,
        answer=_answer(verdict, outcome, thing),
        reason=_reason(verdict),
        own_words=prediction.score_method not in ("keyword", "probe"),
        sure=said,
        basis=(*basis, *_warnings(verdict)) if basis else (),
        rule_from=rule_from,
        rule=rule,
        passages=passages,
        pointed_by=_pointed_by(verdict),
        left_out_after=after,
        not_found=tuple(quote.quote for quote in verdict.prediction.evidence if not quote.grounded),
        people=_people(verdict),
        sureness=sure,
        redacted=redaction is not None,
        simulated=prediction.simulated,
        source=f"{verdict.label}, run {verdict.run}{f', verdict {verdict.prediction_id}' if is_hidden else ''}",
        notes=tuple(note for note in verdict.notes if result is None or note not in result_notes(result)),
    )


def _redacted(verdict: VerdictInFull, redaction: Redaction) -> VerdictInFull:
    """The verdict with id, conversation, quotes and rationale redacted together: a name is one placeholder in all."""
    prediction, conversation, memory = verdict.prediction, verdict.conversation, Memory()
    if conversation is not None:
        conversation = redaction.redact(conversation, memory).conversation
    quotes = [quote.quote for quote in prediction.evidence]
    id = prediction.conversation_id
    shown_id, rationale, *quotes = redaction.redact_texts([id, prediction.rationale, *quotes], memory)
    shown_id = id if shown_id == id else content_hash(id)[:_HASH]
    evidence = tuple(replace(quote, quote=text) for quote, text in zip(prediction.evidence, quotes, strict=True))
    shown = replace(prediction, conversation_id=shown_id, evidence=evidence, rationale=rationale)
    return replace(verdict, prediction=shown, conversation=conversation)


def _answer(verdict: VerdictInFull, outcome: str, thing: str) -> str:
    if verdict.prediction.error is not None:
        return (
            f"The automatic check gave no answer about this {thing} ({_failure_words(verdict.prediction.error.kind)}). "
            "No answer does not mean no: a person has to look."
        )
    prediction, target = verdict.prediction, label_words(verdict.task.target)
    said = said_label(prediction.flagged, prediction.label, verdict.task.target)
    if outcome == "marked":
        answer = f"Yes. The automatic check calls this {thing} “{target}”."
    elif said == prediction.label:
        answer = f"No. The automatic check calls this {thing} “{label_words(said)}”, not “{target}”."
    else:
        answer = f"No. The automatic check does not call this {thing} “{target}”."
    if prediction.label not in (None, said):
        answer += f" Its own words say “{label_words(str(prediction.label))}”, but its score decides."
    label = verdict.true_label
    if label is not None and (label == verdict.task.target) != (outcome == "marked"):
        answer += f" The label on file says otherwise: “{label_words(label)}”."
    return answer + (" It did not read all of it." if prediction.truncated else "")


def _reason(verdict: VerdictInFull) -> str:
    """Why, in words: what a model wrote, or what a simpler check does; rules and weights mean nothing to a reader."""
    prediction = verdict.prediction
    if prediction.score_method == "keyword":
        found = "The words it found are quoted above." if prediction.evidence else "It found none of them."
        return f"It looks for words that were listed beforehand. {found}"
    if prediction.score_method == "probe":
        return "It compares the words with those of conversations whose right answer is known."
    return prediction.rationale


def _failure_words(kind: str) -> str:
    return {
        "refused": "it declined to answer",
        "content_filter": "its content filter stopped it",
        "timeout": "it took too long",
        "over_budget": "the money for it had run out",
        "unparsable": "its answer could not be read",
        "empty": "its answer was empty",
        "length": "its answer was cut off",
        "context_overflow": "the conversation was too long for it",
    }.get(kind, "a technical fault")


def label_words(label: str) -> str:
    """A label as words: `refusal to transfer`."""
    return label.replace("_", " ")


def _label(task: Task, name: str) -> Label:
    return next(label for label in task.labels if label.name == name)


def _sure_words(sure: Sureness | None, flagged: bool, thing: str, failed: bool) -> tuple[str, tuple[str, ...]]:
    if failed:
        return "There is nothing to be sure of: no answer was given.", ()
    if sure is None:
        return "How often a verdict like this one is right is not known: nobody labelled what it was part of.", ()
    return sure_words(sure, flagged, thing)


def _warnings(verdict: VerdictInFull) -> list[str]:
    """What makes the figure mean less than it seems to."""
    result: RunResult | None = verdict.result
    words = []
    if result is not None and result.dataset.is_synthetic:
        whole = all(example.source == "synthetic" for example in result.dataset.examples)
        those = "All of those" if whole else "Some of those"
        words.append(f"{those} were written for testing: with real customers it may be otherwise.")
    if result is not None and result.labels_changed:
        words.append("Right answers were changed since: the figure is by those as they are now.")
    return words


def _rule(verdict: VerdictInFull, outcome: str) -> tuple[str, str]:
    """(where it is from, the rule in words): one that the reason cites, or a person, or the label's definition."""
    task, prediction = verdict.task, verdict.prediction
    cited = [rule for id in _RULE.findall(prediction.rationale) if (rule := verdict.rule(id))]
    if cited:
        return "The rule that the automatic check names", " ".join(dict.fromkeys(rule.text for rule in cited))
    given = [] if verdict.example is None else verdict.example.annotations
    by_people = [rule for one in given if one.task == task.name and (rule := verdict.rule(one.rule))]
    if by_people:
        return "The rule that a person who read it names", " ".join(dict.fromkeys(rule.text for rule in by_people))
    name = prediction.label if outcome == "left unmarked" and prediction.label else task.target
    return f"What “{label_words(name)}” means", _label(task, name).definition


def _people(verdict: VerdictInFull) -> str:
    """What people said, without their names."""
    if verdict.example is None or verdict.true_label is None:
        return ""
    words = f"The label on file is “{label_words(verdict.true_label)}”."
    given = [one for one in verdict.example.annotations if one.task == verdict.task.name and one.annotator != FORMER]
    said = {one.annotator: one.label for one in given}  # the last word of each
    if not said:
        return words
    agree = sum(label == verdict.true_label for label in said.values())
    who = "1 person" if len(said) == 1 else f"{len(said)} people"
    return f"{words} {agree} of {who} who read it said so."


# --- the passages -----------------------------------------------------------------------------


def _passages(verdict: VerdictInFull) -> tuple[tuple[Passage, ...], int]:
    """(the turns to show, how many are left out after them)."""
    conversation = verdict.conversation
    if conversation is None:
        return (), 0
    held = [number for number, turn in enumerate(conversation.turns) if not turn.is_empty]
    points = _pointed_at(verdict, conversation)
    asked = verdict.prediction.turn
    centres = sorted({*points, *([] if asked is None else [asked])})
    shown = _around(held, centres) if centres and len(held) > _SHORT_TALK else held
    made = []
    for place, number in enumerate(shown):
        before = shown[place - 1] if place else -1
        left_out = sum(before < one < number for one in held)
        turn = conversation.turns[number]
        made.append(_passage(number, turn, points.get(number), number == asked, left_out))
    return tuple(made), sum(one > shown[-1] for one in held) if shown else 0


def _pointed_at(verdict: VerdictInFull, conversation: Conversation) -> dict[int, tuple[str, ...]]:
    """Turn number to the words quoted from it; the labelled turns where nothing was quoted."""
    found: dict[int, tuple[str, ...]] = {}
    for quote in verdict.prediction.evidence:
        if quote.grounded and quote.turn is not None and 0 <= quote.turn < len(conversation.turns):
            found[quote.turn] = (*found.get(quote.turn, ()), quote.quote)
    if not found and verdict.example is not None and not verdict.prediction.evidence:
        return dict.fromkeys(verdict.example.evidence_turns, ())
    return found


def _pointed_by(verdict: VerdictInFull) -> str:
    evidence = verdict.prediction.evidence
    if any(quote.grounded and quote.turn is not None for quote in evidence):
        return "the automatic check"
    return "the label on file" if not evidence and verdict.example and verdict.example.evidence_turns else ""


def _around(held: Sequence[int], centres: Iterable[int]) -> list[int]:
    wanted: set[int] = set()
    for centre in centres:
        place = min(range(len(held)), key=lambda at: abs(held[at] - centre))
        wanted.update(held[max(0, place - _AROUND) : place + _AROUND + 1])
    return sorted(wanted)


def _passage(number: int, turn: Turn, quotes: tuple[str, ...] | None, asked: bool, left_out: int) -> Passage:
    text = spoken_text(turn) or "(sends a picture or recording)"
    found = tuple(part for quote in quotes or () if (part := " ".join(quote.split())) and part in text)
    return Passage(number, _WHO[turn.speaker], text, found, quotes is not None, asked, left_out)
