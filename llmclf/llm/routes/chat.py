"""What comes back from OpenAI's chat completions, read with care: anything may stand where an answer should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmclf.errors import ModelError
from llmclf.llm.model import Answer, Request
from llmclf.llm.routes.faults import cut, status_error, without_keys
from llmclf.llm.routes.local import letter_logprobs
from llmclf.llm.routes.usage import believable_counts
from llmclf.store.texts import storable


def chat_answer(
    raw: bytes, request: Request, model_id: str, *, first_byte_seconds: float | None = None, sent_thinking: str = ""
) -> Answer:
    """The answer in the bytes of a chat completion.

    Raises ModelError where they hold none: `internal` where they are no completion, `empty` where it
    has no choice. Either may have been billed.
    """
    reply = _parsed(raw, model_id)
    choices = reply.get("choices")
    if not choices and reply.get("error"):  # gateways answer 200 and put the vendor's error into the body
        raise _inner_error(reply["error"], model_id)
    if choices is None or choices == []:
        raise ModelError("empty", "the answer holds no choice", where=model_id, possibly_billed=True)
    choice = choices[0] if isinstance(choices, list) else None
    if isinstance(choice, Mapping) and choice.get("error"):
        raise _inner_error(choice["error"], model_id)
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise _no_completion(model_id, "its first choice has no message")
    text, reasoning = _text(message, model_id), _reasoning(message)
    finish = choice.get("finish_reason")
    logprobs = None
    if request.output.kind == "letter" and not reasoning:  # else the first token is not the letter
        logprobs = _logprobs(choice.get("logprobs"), request.output.letters)
    return Answer(
        text,
        reasoning=reasoning,
        finish_reason="refusal" if message.get("refusal") else finish if isinstance(finish, str) and finish else "stop",
        usage=believable_counts(reply.get("usage")),
        label_logprobs=logprobs,
        sent_thinking=sent_thinking,
        first_byte_seconds=first_byte_seconds,
        model=model_named(reply.get("model")),
    )


def model_named(value: Any) -> str:
    """The model that an answer names, on one line of at most 200 characters; empty where it names none."""
    return " ".join(storable(value).split())[:200] if isinstance(value, str) else ""


def _parsed(raw: bytes, model_id: str) -> Mapping[str, Any]:
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        words = cut(without_keys(raw[:2000].decode("utf-8", "replace")), 100)
        raise _no_completion(model_id, f"it is no JSON: {words}" if words else "it is empty") from None
    if not isinstance(reply, Mapping):
        raise _no_completion(model_id, "it is no JSON object")
    return reply


def _text(message: Mapping[str, Any], model_id: str) -> str:
    """The words of a message: its content, or the refusal where there is none."""
    content = message.get("content")
    if isinstance(content, list):  # parts, as some gateways pass them on
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "".join(part for part in parts if isinstance(part, str))
    if content is not None and not isinstance(content, str):
        raise _no_completion(model_id, f"its content is no text but {type(content).__name__}")
    refusal = message.get("refusal")
    return storable(content or (refusal if isinstance(refusal, str) else ""))


def _reasoning(message: Mapping[str, Any]) -> str:
    found = message.get("reasoning_content") or message.get("reasoning")
    return storable(found) if isinstance(found, str) else ""


def _logprobs(value: Any, letters: tuple[str, ...]) -> dict[str, float] | None:
    """The letters' log-probabilities; None where they are not listed, or listed in some other shape."""
    content = value.get("content") if isinstance(value, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, Mapping) else None
    if not isinstance(first, Mapping) or not isinstance(top or [], list):
        return None
    if not all(isinstance(entry, Mapping) for entry in top or []):
        return None
    return letter_logprobs({"content": [first]}, letters)


def _inner_error(error: Any, model_id: str) -> ModelError:
    code = error.get("code") if isinstance(error, Mapping) else None
    status = code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else 500
    words = error.get("message") if isinstance(error, Mapping) else error
    found = status_error(status, str(words), {}, model_id)
    found.possibly_billed = True
    return found


def _no_completion(model_id: str, why: str) -> ModelError:
    return ModelError("internal", f"the answer is no chat completion: {why}", where=model_id, possibly_billed=True)
