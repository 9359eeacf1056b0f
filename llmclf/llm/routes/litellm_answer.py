"""From what litellm brings back of a chat completion to an answer."""

from __future__ import annotations

from typing import Any

from llmclf.errors import ModelError
from llmclf.llm.model import Answer, Request
from llmclf.llm.routes.chat import model_named
from llmclf.llm.routes.local import letter_logprobs
from llmclf.llm.routes.usage import believable_counts


def completion_answer(reply: Any, request: Request, model_id: str, sent_thinking: str) -> Answer:
    """The answer in a chat completion.

    Raises ModelError: `empty` where it holds no choice, `internal` where its content is no text.
    """
    if not reply.choices:
        raise ModelError("empty", "the answer holds no choice", where=model_id, possibly_billed=True)
    choice = reply.choices[0]
    message = choice.message
    if message.content is not None and not isinstance(message.content, str):
        what = f"the answer's content is no text but {type(message.content).__name__}"
        raise ModelError("internal", what, where=model_id, possibly_billed=True)
    refusal = (getattr(message, "provider_specific_fields", None) or {}).get("refusal")
    reasoning = getattr(message, "reasoning_content", None) or ""
    logprobs = None
    if request.output.kind == "letter" and not reasoning:  # else the first token may be another
        logprobs = letter_logprobs(_plain(getattr(choice, "logprobs", None)), request.output.letters)
    return Answer(
        message.content or "",
        reasoning=reasoning,
        finish_reason="refusal" if refusal else (choice.finish_reason or "stop"),
        usage=believable_counts(_plain(getattr(reply, "usage", None))),
        label_logprobs=logprobs,
        sent_thinking=sent_thinking,
        model=model_named(getattr(reply, "model", None)),
    )


def _plain(value: Any) -> Any:
    """litellm's object as a dict; what is none of its objects as it is."""
    return value.model_dump(warnings=False) if hasattr(value, "model_dump") else value
