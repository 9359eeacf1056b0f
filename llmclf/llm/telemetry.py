"""Optional OpenTelemetry spans of calls, after the semantic conventions for generative AI.

No word of a conversation, prompt or answer is ever put into a span: ids, counts, money and settings only.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from llmclf.errors import MissingPieceError, ModelError
from llmclf.llm.model import Request, Response
from llmclf.llm.routes.base import Route

_LOG = logging.getLogger(__name__)
_PORTS = {"http": 80, "https": 443}
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,79}")
_FINISH_REASONS = frozenset(
    "content_filter end_turn eos error function_call length max_tokens model_length recitation refusal safety stop "
    "stop_sequence tool_call tool_calls tool_use".split()
)

_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""litellm's name of a vendor to that of the conventions, where they differ."""
_OLDER = {"x_ai": "xai"}
"""Values of gen_ai.provider.name to those of gen_ai.system, which came before it, where they differ."""


class CallSpan:
    """What is told of one call while it goes on. This one forgets it: there is nobody to tell."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(
        self, *, call_id: str | None = None, attempts: int | None = None, queue_seconds: float | None = None
    ) -> None:
        """Says what is known so far, so that a failed call has it too."""

    def done(self, response: Response, *, model: str = "") -> None:
        """The call has its answer; `model` is the one the vendor says gave it."""


_NO_SPAN = CallSpan()


class Spans:
    """A span for each call, where a tracer provider is given; else nothing, and OpenTelemetry is not imported.

    The provider is the caller's own: it is neither flushed nor closed here. MissingPieceError where
    OpenTelemetry is not installed.
    """

    def __init__(self, provider: Any | None = None) -> None:
        self._tracer: Any = None
        if provider is not None:
            self._tracer = provider.get_tracer("llmclf")
            self._kind, self._failed = _from_opentelemetry()

    def call(self, request: Request, route: Route, body: Mapping[str, Any], run_id: str = "") -> CallSpan:
        """The span of one call, with all its attempts, as a context. Its parent is the span that is current.

        An exception that passes through marks it as failed by its kind alone, without its message.
        """
        if self._tracer is None:
            return _NO_SPAN
        name, attributes = _asked(request, route, body, run_id)
        return _OpenSpan(self._tracer, f"chat {name}", self._kind, self._failed, attributes)


class _OpenSpan(CallSpan):
    """A span that is really kept. What goes wrong with it never harms the call, which may be paid for."""

    __slots__ = ("_attributes", "_context", "_failed", "_kind", "_name", "_span", "_tracer")

    def __init__(self, tracer: Any, name: str, kind: Any, failed: Any, attributes: dict[str, Any]) -> None:
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._failed = failed
        self._attributes = attributes
        self._context: AbstractContextManager[Any] | None = None
        self._span: Any = None

    def __enter__(self) -> Self:
        try:
            context = self._tracer.start_as_current_span(
                self._name,
                kind=self._kind,
                attributes=self._attributes,
                record_exception=False,  # its message may quote the conversation
                set_status_on_exception=False,
            )
            self._span = context.__enter__()
            self._context = context
        except Exception as error:
            _warn(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._set({"error.type": _error_type(error)})
            try:
                if self._span is not None:
                    self._span.set_status(self._failed)
            except Exception as wrong:
                _warn(wrong)
        try:
            if self._context is not None:
                self._context.__exit__(None, None, None)
        except Exception as wrong:
            _warn(wrong)

    def note(
        self, *, call_id: str | None = None, attempts: int | None = None, queue_seconds: float | None = None
    ) -> None:
        self._set({"llmclf.call_id": call_id, "llmclf.attempts": attempts, "llmclf.queue_seconds": queue_seconds})

    def done(self, response: Response, *, model: str = "") -> None:
        self._set(_answered(response, model))

    def _set(self, values: Mapping[str, Any]) -> None:
        if self._span is None:
            return
        try:
            self._span.set_attributes({name: value for name, value in values.items() if value is not None})
        except Exception as error:
            _warn(error)


def _asked(request: Request, route: Route, body: Mapping[str, Any], run_id: str) -> tuple[str, dict[str, Any]]:
    """The vendor's name of the model, and what is known before the call is sent."""
    model, subject = request.model, request.subject
    vendor, name = _vendor_and_name(route, str(body.get("model", model.id)))
    values: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": vendor,
        "gen_ai.system": _OLDER.get(vendor, vendor),
        "gen_ai.request.model": name,
        "gen_ai.request.max_tokens": model.output_limit(request.output),
        **_server(route.endpoint()),
        "llmclf.model": model.id,
        "llmclf.route": route.name,
        "llmclf.simulated": route.simulated,
    }
    temperature = body.get("temperature")
    if isinstance(temperature, int | float):
        values["gen_ai.request.temperature"] = float(temperature)
    if request.output.kind == "json":
        values["gen_ai.output.type"] = "json"
    if model.thinking is not None:
        values["llmclf.thinking"] = str(model.thinking)
    if subject.prompt_id:
        values["gen_ai.prompt.name"] = subject.prompt_id.partition("@")[0]
    ours = {"run_id": run_id, "classifier_id": subject.classifier_id, "prompt_id": subject.prompt_id}
    return name, values | {f"llmclf.{key}": value for key, value in ours.items() if value}


def _answered(response: Response, model: str) -> dict[str, Any]:
    """What is known with the answer. One that was bought earlier used and cost nothing now.

    Words that a vendor is free to choose are only taken where they can be no sentence.
    """
    reason = response.answer.finish_reason.lower()
    values: dict[str, Any] = {
        "gen_ai.response.finish_reasons": (reason if reason in _FINISH_REASONS else "other",),
        "gen_ai.response.model": model if _MODEL_NAME.fullmatch(model) else None,
        "llmclf.call_id": response.call_id,
        "llmclf.cached": response.cached,
    }
    if response.cached:
        return values
    usage, cost = response.answer.usage, response.cost_nano_usd
    return values | {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "llmclf.attempts": response.attempts,
        "llmclf.cost_usd": None if cost is None else cost / 1e9,
    }


def _vendor_and_name(route: Route, model: str) -> tuple[str, str]:
    """(provider, the model's name there) as the conventions want them."""
    if route.name == "litellm":
        vendor, _, name = model.partition("/")
        return _PROVIDERS.get(vendor, vendor), name.removeprefix("responses/") or model
    if route.name == "http":
        return "openai", model  # the protocol it speaks: the conventions ask for no more
    return f"llmclf.{route.name}", model


def _server(endpoint: str) -> dict[str, Any]:
    """Host and port where the endpoint is a URL; a vendor's name says nothing about them."""
    try:
        url = urlsplit(endpoint)
        port = url.port or _PORTS.get(url.scheme)
    except ValueError:
        return {}
    return {"server.address": url.hostname, "server.port": port} if url.hostname and port else {}


def _error_type(error: BaseException) -> str:
    return error.kind if isinstance(error, ModelError) else f"{type(error).__module__}.{type(error).__qualname__}"


def _from_opentelemetry() -> tuple[Any, Any]:
    """(the kind of span of a client, the status of a failure)."""
    try:
        from opentelemetry.trace import SpanKind, Status, StatusCode
    except ImportError as error:
        raise MissingPieceError(
            "spans need OpenTelemetry", where="tracer_provider", fix="pip install 'llmclf[otel]'"
        ) from error
    return SpanKind.CLIENT, Status(StatusCode.ERROR)


def _warn(error: Exception) -> None:
    _LOG.warning("a span could not be kept: %s", type(error).__name__)
