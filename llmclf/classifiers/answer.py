"""The answer of an llm classifier, read strictly: evidence, rationale, label and confidence, or one letter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmclf.errors import ModelError
from llmclf.llm.answers import json_object
from llmclf.render import Transcript
from llmclf.types import Evidence, ScoreMethod, Task

_QUOTE_MARKS = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class ExplainedAnswer:
    """What the model said, checked."""

    label: str
    confidence: float
    """How sure the model says it is of its label, 0 to 1."""
    rationale: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer, or several together, say of an item."""

    label: str
    score: float | None = None
    """The target's, 0 to 1."""
    score_method: ScoreMethod = "none"
    rationale: str = ""
    evidence: tuple[Evidence, ...] = ()

    def flags(self, target: str, threshold: float | None) -> bool:
        """True where the score reaches the threshold; without either, where the label is the target."""
        if self.score is not None and threshold is not None:
            return self.score >= threshold
        return self.label == target


def answer_schema(task: Task) -> dict[str, Any]:
    """JSON schema of the explained answer. The reasons stand before the label, so they come first."""
    quote = {
        "type": "object",
        "properties": {"turn": {"type": "integer"}, "quote": {"type": "string"}},
        "required": ["turn", "quote"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "evidence": {"type": "array", "items": quote},
            "rationale": {"type": "string"},
            "label": {"type": "string", "enum": list(task.label_names)},
            "confidence": {"type": "number"},
        },
        "required": ["evidence", "rationale", "label", "confidence"],
        "additionalProperties": False,
    }


def read_explained(text: str, task: Task, transcript: Transcript, where: str) -> ExplainedAnswer:
    """The answer in `text`, every field checked; ModelError `unparsable` names the first that is wrong."""
    found = json_object(text, where)
    label = found.get("label")
    if label not in task.label_names:
        raise ModelError("unparsable", "the label is not in the closed set", where=where, got=label)
    confidence = found.get("confidence")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise ModelError("unparsable", "confidence is not a number from 0 to 1", where=where, got=confidence)
    rationale = found.get("rationale")
    if not isinstance(rationale, str):
        raise ModelError("unparsable", "rationale is not text", where=where, got=rationale)
    quotes = found.get("evidence")
    if not isinstance(quotes, list):
        raise ModelError("unparsable", "evidence is not a list", where=where, got=quotes)
    evidence = tuple(_evidence(quote, transcript, where) for quote in quotes)
    return ExplainedAnswer(label, float(confidence), rationale, evidence)


def read_explanation(text: str, task: Task, transcript: Transcript, where: str) -> Reading:
    """An explained answer with its verbalized score; ModelError as `read_explained`.

    The score is (1 + confidence) / 2 where the label is the target, else (1 - confidence) / 2: at the
    threshold .5 an item is flagged exactly where the label says so.
    """
    read = read_explained(text, task, transcript, where)
    sign = 1 if read.label == task.target else -1
    score = round((1 + sign * read.confidence) / 2, 12)  # .1, not .09999999999999998
    return Reading(read.label, score, "verbalized", read.rationale, read.evidence)


def read_letter(
    text: str,
    task: Task,
    where: str,
    *,
    logprobs: Mapping[str, float] | None = None,
    threshold: float | None = None,
) -> Reading:
    """The label a letter stands for; ModelError `unparsable` where the answer is none of the letters.

    With log-probabilities the score is the target's share among the letters, and the label the target
    where that reaches the threshold, else the likeliest other.
    """
    letters = tuple(chr(ord("A") + number) for number in range(len(task.labels)))
    letter = text.strip("().:*\"' ")
    if letter not in letters:
        raise ModelError("unparsable", "the answer is not one of the letters", where=where, got=text)
    label = task.label_names[letters.index(letter)]
    if not logprobs:
        return Reading(label)
    shares = dict(zip(task.label_names, letter_scores(logprobs, letters).values(), strict=True))
    score = shares.pop(task.target)
    if threshold is not None:
        label = task.target if score >= threshold else max(shares, key=shares.__getitem__)
    return Reading(label, score, "logprob")


def ground(quote: str, turn: int | None, transcript: Transcript) -> Evidence:
    """The quote as evidence; `grounded` where it stands, word for word, in the text that was sent.

    White space, case and the shape of quotation marks don't count. A quote found in another turn
    than named gets the turn it stands in. Words that stand in a picture or recording that was sent
    count as text, where they are known.
    """
    wanted = _plain(quote)
    seen = (*transcript.turns, *transcript.spoken)
    places = [number for number, text in seen if wanted and wanted in _plain(text)]
    if not places:
        return Evidence(quote, turn, grounded=False)
    return Evidence(quote, turn if turn in places else places[0])


def letter_scores(logprobs: Mapping[str, float], letters: tuple[str, ...]) -> dict[str, float]:
    """Probabilities over the letters alone, from log-probabilities over everything."""
    top = max(logprobs[letter] for letter in letters)
    mass = {letter: math.exp(logprobs[letter] - top) for letter in letters}
    total = sum(mass.values())
    return {letter: value / total for letter, value in mass.items()}


def _evidence(quote: Any, transcript: Transcript, where: str) -> Evidence:
    if not isinstance(quote, dict) or not isinstance(quote.get("quote"), str):
        raise ModelError("unparsable", "a piece of evidence has no quote", where=where, got=quote)
    turn = quote.get("turn")
    return ground(quote["quote"], turn if isinstance(turn, int) and not isinstance(turn, bool) else None, transcript)


def _plain(text: str) -> str:
    return " ".join(text.translate(_QUOTE_MARKS).casefold().split())
