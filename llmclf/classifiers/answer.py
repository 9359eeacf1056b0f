"""The structured answer of an llm classifier: evidence, rationale, label, confidence, in that order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmclf.errors import ModelError
from llmclf.llm.answers import json_object
from llmclf.render import Transcript
from llmclf.types import Evidence, Task

_QUOTE_MARKS = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class ExplainedAnswer:
    """What the model said, checked."""

    label: str
    confidence: float
    """How sure the model says it is of its label, 0 to 1."""
    rationale: str
    evidence: tuple[Evidence, ...]


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


def ground(quote: str, turn: int | None, transcript: Transcript) -> Evidence:
    """The quote as evidence; `grounded` where it stands, word for word, in the text that was sent.

    White space, case and the shape of quotation marks don't count. A quote found in another turn
    than named gets the turn it stands in.
    """
    wanted = _plain(quote)
    places = [number for number, line in transcript.turns if wanted and wanted in _plain(line)]
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
