"""From a response to a usable answer: finished, not refused, and one JSON object read strictly."""

from __future__ import annotations

import json
import re
from typing import Any

from llmclf.errors import ErrorKind, ModelError
from llmclf.llm.model import Response

_THINK = re.compile(r"\A(?!\s*+[{`])\s*+(?:<think>)?(.*?)</think>", re.DOTALL)
"""Thinking before the answer; many chat templates begin the block themselves, so its first tag can be missing."""
_FENCE = re.compile(r"\A```(?:json)?[^\S\n]*\n(.*)\n```\Z", re.DOTALL)
_MOST_CHARACTERS = 200_000
_UNFINISHED: dict[str, ErrorKind] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refused",
    "abort": "internal",
    "error": "internal",
    "insufficient_system_resource": "internal",
}
"""How answers end that are none, in the words of litellm and of endpoints that are asked directly."""


def is_broken_off(finish_reason: str) -> bool:
    """True where the endpoint broke the answer off: asked again, it may finish."""
    return _UNFINISHED.get(finish_reason) == "internal"


def usable_text(response: Response, where: str) -> tuple[str, str]:
    """(answer, thinking) of a response that ended as it should.

    A `<think>` block before the answer counts as thinking. Raises ModelError of kind `length`,
    `content_filter`, `refused`, `internal` (broken off by the endpoint) or `empty` for an answer that
    is none: litellm passes those on as if they were fine.
    """
    answer = response.answer
    kind = _UNFINISHED.get(answer.finish_reason)
    if kind is not None:
        fixes = {"length": "raise max_output_tokens, or lower thinking"}
        raise ModelError(
            kind,
            f"the answer ended by {answer.finish_reason}",
            where=where,
            got=answer.text[-60:],
            fix=fixes.get(kind, ""),
        )
    text, thinking = answer.text, answer.reasoning
    block = _THINK.match(text)
    if block:
        thinking = "\n".join(part for part in (thinking, block[1].strip()) if part)
        text = text[block.end() :]
    if not text.strip():
        raise ModelError("empty", "the answer holds no text", where=where)
    return _whole(text.strip()), _whole(thinking)


def json_object(text: str, where: str) -> dict[str, Any]:
    """The one JSON object that `text` is, bare or in a code fence.

    Raises ModelError `unparsable` for anything else: prose around it, two objects, a duplicate key,
    NaN, more than 200,000 characters.
    """
    fenced = _FENCE.match(text)
    try:
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"{len(text)} characters")
        value = _whole(
            json.loads(fenced[1] if fenced else text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
        )
    except (ValueError, RecursionError) as error:
        raise ModelError("unparsable", f"the answer is not one JSON object: {error}", where=where, got=text) from None
    if not isinstance(value, dict):
        raise ModelError("unparsable", "the answer is JSON but not an object", where=where, got=text)
    found: dict[str, Any] = value
    return found


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _whole(value: Any) -> Any:
    """`value` without half characters (an answer may spell them as JSON escapes), which nothing can print or keep."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
