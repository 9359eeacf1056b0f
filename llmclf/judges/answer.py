"""The answer of a judge, read strictly: one JSON object, the reason before the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmclf.classifiers.answer import Reading
from llmclf.errors import ModelError
from llmclf.llm.answers import json_object

PARSER = 1
"""Version of what is read of an answer, and of asking once more: part of a judge's fingerprint."""


def answer_schema(verdicts: Sequence[str]) -> dict[str, Any]:
    """JSON schema of the answer. The reason stands before the verdict, so it comes first."""
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "verdict": {"type": "string", "enum": list(verdicts)}},
        "required": ["reason", "verdict"],
        "additionalProperties": False,
    }


def read_verdict(text: str, verdicts: Sequence[str], where: str) -> Reading:
    """Verdict (as `label`) and reason (as `rationale`); ModelError `unparsable` names the first thing that is wrong.

    `verdicts` is the closed set with `cannot_tell`. Refused are other fields than the two, a verdict before its
    reason, an empty reason and a verdict in other words.
    """
    found = json_object(text, where)
    if list(found) != ["reason", "verdict"]:
        what = "the answer must hold `reason` and then `verdict`, and nothing else"
        raise ModelError("unparsable", what, where=where, got=list(found)[:5])
    reason, verdict = found["reason"], found["verdict"]
    if not isinstance(reason, str) or not reason.strip():
        raise ModelError("unparsable", "the reason is no text", where=where, got=reason)
    if verdict not in verdicts:
        raise ModelError("unparsable", "the verdict is not in the closed set", where=where, got=verdict)
    return Reading(verdict, rationale=reason.strip())
