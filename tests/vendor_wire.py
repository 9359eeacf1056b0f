"""A server on loopback that speaks OpenAI's chat completions and Responses, Anthropic's messages and Gemini's
generateContent, over real sockets, and can misbehave in each of them alike.

A `Format` writes what a vendor of that format would write; `VendorWire` sends it (see `wire`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wire import Received, Reply, Wire

Ending = Literal["stop", "length", "content_filter", "refusal"]
INPUT_TOKENS, OUTPUT_TOKENS = 100, 20


@dataclass(frozen=True)
class CutShort(Reply):
    """A reply whose connection ends, in good order, before all of the body is there."""


@dataclass(frozen=True)
class Format:
    """How one vendor writes answers and errors. Functions return the body as JSON types."""

    name: str
    row: str
    """Lines of the model's row in models.toml; {url} is the server's address without a path."""
    path: str
    """How the path of every request ends."""
    answer: Callable[[str | None, Ending], dict[str, Any]]
    """A finished answer that says a text (None: nothing), and how it ended."""
    usage: Callable[[int, int], dict[str, Any]]
    """The field with the counts of input and output tokens."""
    error: Callable[[int, str, str], dict[str, Any]]
    """An error, by status, OpenAI's word for it (which only OpenAI sends) and a message."""
    choices: str
    """The field that holds what was answered."""
    words: Mapping[str, str]
    """What the vendor says in an error, by OpenAI's word for it."""
    retry_in_body: bool = False
    """True where the body of an error says how long to wait, and no header does."""
    key: str = "fake-0451-key-of-nobody"
    """What the client is given as its key."""

    def says(self, text: str | None, ending: Ending = "stop", **more: Any) -> Reply:
        """An answer with believable usage; `more` are fields of the Reply itself."""
        return self.with_usage(self.usage(INPUT_TOKENS, OUTPUT_TOKENS), text, ending, **more)

    def with_usage(self, usage: Mapping[str, Any], text: str | None, ending: Ending = "stop", **more: Any) -> Reply:
        """An answer with `usage` merged into its body."""
        return _json({**self.answer(text, ending), **usage}, **more)

    def without_choices(self, value: Any = ...) -> Reply:
        """An answer whose field for what was answered is missing, or is `value`."""
        body = {**self.answer("", "stop"), **self.usage(INPUT_TOKENS, OUTPUT_TOKENS)}
        body.pop(self.choices)
        return _json(body if value is ... else {**body, self.choices: value})

    def fails(self, status: int, code: str = "", *, wait: float | None = 0, **more: Any) -> Reply:
        """An error in the vendor's words, which quote the key; `wait` is the Retry-After, where this vendor has it."""
        message = f"{self.words.get(code, 'The request has failed.')} Your key was {self.key}."
        body, headers = self.error(status, code, message), dict(more.pop("headers", {}))
        if wait is not None and self.retry_in_body:
            delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait:g}s"}
            body["error"]["details"] = [delay]
        elif wait is not None:
            headers = {"retry-after": f"{wait:g}", **headers}
        return _json(body, status=status, headers=headers, **more)


class VendorWire(Wire):
    """The server. Any path is answered; what was asked for is in `received`."""

    @property
    def address(self) -> str:
        """http://HOST:PORT."""
        return self.url.removesuffix("/v1")

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        reply = self._queue[0] if self._queue else self.default
        return await super()._answer(request, writer) and not isinstance(reply, CutShort)


def cut_short(reply: Reply, after: int) -> Reply:
    """`reply`, announced in full and ended after so many bytes."""
    return CutShort(reply.status, reply.body[:after], {**reply.headers, "content-length": str(len(reply.body))})


def html(status: int = 200) -> Reply:
    """A page for people."""
    page = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"
    return Reply(status, page, {"content-type": "text/html", "retry-after": "0"})


def _json(body: Mapping[str, Any], **more: Any) -> Reply:
    return Reply(body=json.dumps(body).encode(), **more)


# --- OpenAI's chat completions -----------------------------------------------------------------


_OPENAI_WORDS = {
    "invalid_api_key": "Incorrect API key provided.",
    "model_not_found": "The model `wire-model` does not exist or you do not have access to it.",
    "context_length_exceeded": "This model's maximum context length is 8192 tokens, your messages resulted in 9000.",
    "content_filter": "The response was filtered due to the prompt triggering our content management policy.",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
}


def _chat_answer(text: str | None, ending: Ending) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if ending == "refusal":
        message |= {"content": None, "refusal": "I can't help with that."}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "wire-model",
        "choices": [{"index": 0, "finish_reason": "stop" if ending == "refusal" else ending, "message": message}],
    }


def _chat_usage(prompt: int, output: int) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}}


def _openai_error(status: int, code: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code or "test_error", "param": None, "code": code or None}}


# --- OpenAI's Responses ------------------------------------------------------------------------


_RESPONSES_WORDS = {
    **_OPENAI_WORDS,
    "context_length_exceeded": "Your input exceeds the context window of this model.",
    "content_filter": "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
}


def _responses_answer(text: str | None, ending: Ending) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    if ending == "refusal":
        part = {"type": "refusal", "refusal": "I can't help with that."}
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "wire-model",
        "status": "incomplete" if ending in reasons else "completed",
        "incomplete_details": {"reason": reasons[ending]} if ending in reasons else None,
        "error": None,
        "output": [{**message, "content": [part] if text is not None or ending == "refusal" else []}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _responses_error(status: int, code: str, message: str) -> dict[str, Any]:
    """An error; with status 200 a response that has failed."""
    if status != 200:
        return _openai_error(status, code, message)
    failed = {"status": "failed", "error": {"code": code, "message": message}, "output": [], "usage": None}
    return {**_responses_answer(None, "stop"), **failed}


def _responses_usage(prompt: int, output: int) -> dict[str, Any]:
    usage = {"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {"usage": {**usage, **details}}


# --- Anthropic's messages ----------------------------------------------------------------------


_CLAUDE_WORDS = {
    "invalid_api_key": "invalid x-api-key",
    "model_not_found": "model: claude-haiku-4-5",
    "context_length_exceeded": "prompt is too long: 208310 tokens > 200000 maximum",
    "content_filter": "Output blocked by content filtering policy",
    "insufficient_quota": "Your credit balance is too low to access the Anthropic API.",
}


def _claude_answer(text: str | None, ending: Ending) -> dict[str, Any]:
    reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "refusal": "refusal"}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [] if text is None or ending == "refusal" else [{"type": "text", "text": text}],
        "stop_reason": reasons[ending],
        "stop_sequence": None,
    }


def _claude_error(status: int, code: str, message: str) -> dict[str, Any]:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(status, "invalid_request_error"), "message": message}}


# --- Gemini's generateContent ------------------------------------------------------------------


_GEMINI_WORDS = {
    "invalid_api_key": "API key not valid. Please pass a valid API key.",
    "model_not_found": "models/gemini-2.5-flash is not found for API version v1beta",
    "context_length_exceeded": "The input token count (1200000) exceeds the maximum number of tokens allowed (1000000)",
    "content_filter": "The prompt was blocked by content filters.",
    "insufficient_quota": "Your prepayment credits are depleted.",
}


def _gemini_answer(text: str | None, ending: Ending) -> dict[str, Any]:
    reasons = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
    if ending == "refusal":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "gemini-2.5-flash"}
    candidate: dict[str, Any] = {"finishReason": reasons[ending], "index": 0}
    candidate["content"] = {"role": "model", **({} if text is None else {"parts": [{"text": text}]})}
    if ending == "content_filter":
        candidate.pop("content")
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


def _gemini_usage(prompt: int, output: int) -> dict[str, Any]:
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output}
    return {"usageMetadata": counts}


def _gemini_error(status: int, code: str, message: str) -> dict[str, Any]:
    kinds = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    return {"error": {"code": status, "message": message, "status": kinds.get(status, "INVALID_ARGUMENT")}}


_LITELLM = 'route = "litellm"\njson_schema = true\nkey_env = "WIRE_KEY"\n'
FORMATS = (
    Format(
        "openai chat",
        _LITELLM + 'litellm_model = "openai/wire-model"\napi_base = "{url}/v1"',
        "/v1/chat/completions",
        _chat_answer,
        _chat_usage,
        _openai_error,
        "choices",
        _OPENAI_WORDS,
    ),
    Format(
        "openai responses",
        _LITELLM + 'litellm_model = "openai/responses/wire-model"\napi_base = "{url}/v1"',
        "/v1/responses",
        _responses_answer,
        _responses_usage,
        _responses_error,
        "output",
        _RESPONSES_WORDS,
    ),
    Format(
        "anthropic",
        _LITELLM + 'litellm_model = "anthropic/claude-haiku-4-5"\napi_base = "{url}"',
        "/v1/messages",
        _claude_answer,
        lambda prompt, output: {"usage": {"input_tokens": prompt, "output_tokens": output}},
        _claude_error,
        "content",
        _CLAUDE_WORDS,
    ),
    Format(
        "gemini",
        _LITELLM + 'litellm_model = "gemini/gemini-2.5-flash"\napi_base = "{url}/v1beta"',
        "/gemini-2.5-flash:generateContent",
        _gemini_answer,
        _gemini_usage,
        _gemini_error,
        "candidates",
        _GEMINI_WORDS,
        retry_in_body=True,
    ),
    Format(
        "http",
        'route = "http"\njson_schema = true\nkey_env = "WIRE_KEY"\nmodel = "wire-model"\napi_base = "{url}/v1"',
        "/v1/chat/completions",
        _chat_answer,
        _chat_usage,
        _openai_error,
        "choices",
        _OPENAI_WORDS,
    ),
)
"""Every format of the table of faults; a further one is a further row."""
