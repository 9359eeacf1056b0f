"""OpenAI's Responses interface by litellm's `aresponses`: the one that gives a summary of the reasoning.

litellm's own bridge from chat loses refusals and lets OpenAI keep every response for a month; here
neither happens. A body has the shape of a chat's, with `openai/responses/NAME` as its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclf.errors import ErrorKind, ModelError
from llmclf.llm.model import Answer
from llmclf.llm.routes.chat import model_named
from llmclf.llm.routes.faults import cut, without_keys
from llmclf.llm.routes.usage import believable_counts

INFIX = "/responses/"
_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}
_KINDS: dict[str, ErrorKind] = {"server_error": "unavailable", "rate_limit_exceeded": "rate_limited"}


def responses_model(litellm_model: str) -> str:
    """The name under which a body says that the Responses interface is meant."""
    vendor, _, name = litellm_model.partition("/")
    return litellm_model if INFIX in litellm_model else f"{vendor}{INFIX}{name}"


def responses_arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `aresponses` for a chat's body. Nothing of it is kept by the vendor for later calls."""
    messages = [message for message in body["messages"] if message["role"] != "system"]
    instructions = [str(message["content"]) for message in body["messages"] if message["role"] == "system"]
    found: dict[str, Any] = {
        "model": body["model"].replace(INFIX, "/", 1),
        "input": [{"role": message["role"], "content": _content(message)} for message in messages],
        "max_output_tokens": body["max_tokens"],
        "store": False,
    }
    if instructions:
        found["instructions"] = "\n\n".join(instructions)
    if "reasoning_effort" in body:
        found["reasoning"] = reasoning_of(body)
    if "response_format" in body:
        found["text"] = {"format": {"type": "json_schema", **body["response_format"]["json_schema"]}}
    if "temperature" in body:
        found["temperature"] = body["temperature"]
    return found


def reasoning_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent as `reasoning`: the effort, with or without the wish for a summary."""
    effort = body.get("reasoning_effort")
    return dict(effort) if isinstance(effort, Mapping) else {"effort": effort} if effort else {}


def responses_answer(reply: Any, model_id: str, sent_thinking: str) -> Answer:
    """The answer in a response; ModelError where the vendor says that it failed, or where it holds none."""
    try:
        return _answer(reply, model_id, sent_thinking)
    except (AttributeError, KeyError, TypeError) as error:  # anything may stand where a part should
        what = f"the answer has a shape of its own: {type(error).__name__}: {error}"
        raise ModelError("internal", cut(what), where=model_id, possibly_billed=True) from None


def _answer(reply: Any, model_id: str, sent_thinking: str) -> Answer:
    found: Mapping[str, Any] = reply.model_dump(warnings=False)
    if found.get("error"):
        raise _failure(found["error"], model_id)
    output = [item for item in found.get("output") or [] if isinstance(item, Mapping)]
    messages = [item for item in output if item.get("type") == "message" and item.get("phase") != "commentary"]
    parts = [part for message in messages for part in message.get("content") or []]
    reason = (found.get("incomplete_details") or {}).get("reason")
    if not messages and reason is None:
        raise ModelError("empty", "the answer holds no message", where=model_id, possibly_billed=True)
    summaries = [part for item in output if item.get("type") == "reasoning" for part in item.get("summary") or []]
    refused = [part["refusal"] for part in parts if part.get("type") == "refusal"]
    return Answer(
        "".join(part.get("text") or "" for part in parts) or "".join(refused),
        reasoning="\n\n".join(part.get("text") or "" for part in summaries),
        finish_reason="refusal" if refused else _FINISH.get(reason, reason) if reason else "stop",
        usage=believable_counts(_as_chat(found.get("usage"))),
        sent_thinking=sent_thinking,
        model=model_named(found.get("model")),
    )


def _content(message: Mapping[str, Any]) -> Any:
    content = message["content"]
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "image_url":
        return {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
    return {"type": "input_text", "text": part["text"]} if part["type"] == "text" else dict(part)


def _as_chat(usage: Any) -> Any:
    """Token counts under the names that chat completions give them."""
    if not isinstance(usage, Mapping):
        return usage
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }


def _failure(error: Any, model_id: str) -> ModelError:
    code, words = (error.get("code"), error.get("message")) if isinstance(error, Mapping) else ("", error)
    return ModelError(
        _KINDS.get(str(code), "internal"), cut(without_keys(f"{code}: {words}")), where=model_id, possibly_billed=True
    )
