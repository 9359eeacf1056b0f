"""Vendors by litellm. Its own retries, silent parameter drops and `.env` loading are off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

from llmclf.config import PriceRow, VendorRow
from llmclf.errors import ErrorKind, ModelError, nearest
from llmclf.llm.model import Answer, Model, Request
from llmclf.llm.prices import Price, litellm_map, map_entry, price_of
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.local import letter_logprobs
from llmclf.types import Usage

_EFFORT = {"off": "none", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "max": "xhigh"}
_STATUS_TO_KIND: dict[int, ErrorKind] = {
    400: "bad_request",
    401: "authentication",
    403: "authentication",
    404: "not_found",
    408: "timeout",
    413: "context_overflow",
    422: "bad_request",
    429: "rate_limited",
    500: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
    529: "unavailable",
}
_KEY_LIKE = re.compile(r"\b(?:(?:sk|pk|rk|gsk|xai)[-_]|AIza)[A-Za-z0-9*_-]{12,}|(?<=Bearer )\S+")
_NEVER_MADE = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError", "gaierror"}
)
_BROKEN_OFF = frozenset(
    {
        "ReadError",
        "WriteError",
        "RemoteProtocolError",
        "ClientPayloadError",
        "ServerDisconnectedError",
        "ConnectionResetError",
    }
)
"""Causes that are a connection: one that was never made costs nothing, one that broke off later may."""
_GARBAGE = frozenset({"JSONDecodeError", "ValidationError"})
_NO_COMPLETION = re.compile(r"empty or invalid response|invalid response object|that is not a list", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.{0,3}(?:length|window|size)|prompt is too long", re.IGNORECASE)
_IMPORTING = threading.Lock()
_MOST_TOKENS = 50_000_000  # a count above this is a fault of the endpoint, not a bill to believe


class LitellmRoute(Route):
    """One vendor's model, by litellm's `acompletion`."""

    name = "litellm"
    leaves_machine = True

    def __init__(self, model_id: str, row: VendorRow | None, prices: Mapping[str, PriceRow]) -> None:
        self.model_id = model_id
        self.row = row
        self.litellm_model = row.litellm_model if row else model_id
        self._prices = prices

    def problems(self, model: Model) -> list[str]:
        """Unknown model, missing key, a thinking setting that would be lost on the way."""
        if self.row is None and map_entry(self.model_id) is None:
            hint = nearest(self.model_id, [name for name in litellm_map() if "/" in name] + _bare_names())
            hint = hint if hint.startswith("did you mean") else "no name comes near"  # it knows thousands
            return [f"there is no model {self.model_id!r} in litellm's map ({hint}); give it a row in models.toml"]
        return [*self._key_problems(), *self._thinking_problems(model)]

    def price(self) -> Price | None:
        """From prices.toml under our name, else litellm's map under its own."""
        return price_of(self.model_id, self._prices) or price_of(self.litellm_model, self._prices)

    def endpoint(self) -> str:
        """The vendor's name, or the base URL of the row."""
        return self.row.api_base if self.row and self.row.api_base else self.litellm_model.partition("/")[0]

    async def prepare(self) -> None:
        """Imports litellm, which takes seconds, on another thread."""
        await asyncio.to_thread(load_litellm)

    def body(self, request: Request) -> Mapping[str, Any]:
        """The keyword arguments of the call: what decides the answer, without keys and time-outs."""
        body: dict[str, Any] = {
            "model": self.litellm_model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": request.model.output_limit(request.output),
        }
        body |= thinking_arguments(request.model)
        if request.model.temperature is not None:
            body["temperature"] = request.model.temperature
        elif self._takes("temperature", 0.0):
            body["temperature"] = 0.0
        if request.output.kind == "letter":
            if self.row.logprobs if self.row else self._takes("top_logprobs", 5, logprobs=True):
                body |= {"logprobs": True, "top_logprobs": 20}
        elif (
            self.row.json_schema if self.row else bool((map_entry(self.model_id) or {}).get("supports_response_schema"))
        ):
            schema = {"name": "answer", "schema": dict(request.output.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """One attempt, with one deadline around all of it."""
        litellm = load_litellm()
        extra: dict[str, Any] = {"timeout": timeout, "num_retries": 0, "max_retries": 0, "drop_params": False}
        if self.row and self.row.api_base:
            extra["api_base"] = self.row.api_base
        if self.row and self.row.key_env:
            extra["api_key"] = os.environ.get(self.row.key_env, "")
        if self.row and "reasoning_effort" in body:
            extra["allowed_openai_params"] = ["reasoning_effort"]
        try:
            async with asyncio.timeout(timeout):
                reply = await litellm.acompletion(**body, **extra)
        except TimeoutError as error:
            raise ModelError(
                "timeout", f"no answer within {timeout:.1f} s", where=self.model_id, possibly_billed=True
            ) from error
        except Exception as error:  # litellm's errors have no common base; this is the one place they become ours
            raise self._model_error(error) from None  # the cause may quote the key
        return self._answer(reply, request, body)

    async def aclose(self) -> None:
        """Closes the clients that litellm keeps for this event loop: a later loop may get the same id."""
        if "litellm" not in sys.modules:
            return
        clients = load_litellm().in_memory_llm_clients_cache
        ending = f"-{id(asyncio.get_running_loop())}"
        for key in [key for key in clients.cache_dict if key.endswith(ending)]:
            clients.ttl_dict.pop(key, None)
            client = clients.cache_dict.pop(key)
            with contextlib.suppress(Exception):  # whatever it is, it is not needed any more
                await client.close()

    def _key_problems(self) -> list[str]:
        if self.row and self.row.key_env:
            return [] if os.environ.get(self.row.key_env) else [f"{self.model_id} needs the key in ${self.row.key_env}"]
        found = load_litellm().validate_environment(self.litellm_model)
        missing = found["missing_keys"]
        return [f"{self.model_id} needs the key in ${' and $'.join(missing)}"] if missing else []

    def _thinking_problems(self, model: Model) -> list[str]:
        if model.thinking is None:
            return []
        if self.row:
            if model.thinking in self.row.thinking:
                return []
            return [f"{self.model_id} takes thinking {', '.join(self.row.thinking) or 'none'}; got {model.thinking!r}"]
        sent = self._optional(**thinking_arguments(model))
        if sent is None:
            return [f"{self.model_id} does not take thinking {model.thinking!r}"]
        if isinstance(model.thinking, int) and str(model.thinking) not in json.dumps(sent):
            return [f"{self.model_id} does not take an exact number of reasoning tokens; use a level"]
        if model.thinking == "off" and not _says_off(sent, map_entry(self.model_id) or {}):
            return [f"{self.model_id} can't be kept from thinking; leave `thinking` out or use a level"]
        if model.thinking not in ("off",) and sent == self._optional():
            return [f"{self.model_id} would silently ignore thinking {model.thinking!r}"]
        return []

    def _takes(self, name: str, value: object, **also: object) -> bool:
        return self._optional(**{name: value}, **also) is not None

    def _optional(self, **arguments: object) -> dict[str, Any] | None:
        """What litellm would send for `arguments`; None where it refuses them. Offline."""
        litellm = load_litellm()
        try:
            model, vendor, _, _ = litellm.get_llm_provider(self.litellm_model)
            found: dict[str, Any] = litellm.utils.get_optional_params(
                model=model, custom_llm_provider=vendor, drop_params=False, max_tokens=65536, **arguments
            )
        except Exception:  # any refusal means: not taken
            return None
        return found

    def _model_error(self, error: Exception) -> ModelError:
        status = getattr(error, "status_code", None)
        headers = getattr(error, "litellm_response_headers", None) or {}
        chain = _chain(error)
        kind = _kind(error, status, chain)
        text = " ".join(str(error).split())
        return ModelError(
            kind,
            f"{type(error).__name__}: {without_keys(text, self.row.key_env if self.row else '')[:200]}",
            where=self.model_id,
            status=status if isinstance(status, int) else None,
            retry_after=retry_after_seconds(headers.get("retry-after")),
            possibly_billed=kind in ("timeout", "empty", "internal")
            or (kind == "connection" and _named(chain, _NEVER_MADE) is None),
        )

    def _answer(self, reply: Any, request: Request, body: Mapping[str, Any]) -> Answer:
        if not reply.choices:
            raise ModelError("empty", "the answer holds no choice", where=self.model_id, possibly_billed=True)
        choice = reply.choices[0]
        message = choice.message
        refusal = (getattr(message, "provider_specific_fields", None) or {}).get("refusal")
        logprobs = None
        if request.output.kind == "letter":
            raw: Any = getattr(choice, "logprobs", None)
            logprobs = letter_logprobs(raw.model_dump() if hasattr(raw, "model_dump") else raw, request.output.letters)
        thinking = {name: body[name] for name in ("reasoning_effort", "thinking") if name in body}
        return Answer(
            message.content or "",
            reasoning=getattr(message, "reasoning_content", None) or "",
            finish_reason="refusal" if refusal else (choice.finish_reason or "stop"),
            usage=believable_usage(getattr(reply, "usage", None)),
            label_logprobs=logprobs,
            sent_thinking=json.dumps(thinking),
        )


def load_litellm() -> Any:
    """litellm, imported at first use (it takes seconds), kept offline and quiet."""
    with _IMPORTING:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network at import
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it loads .env files into the environment
        if "litellm" in sys.modules:
            import litellm
        else:
            import warnings

            with warnings.catch_warnings():  # it sets filters of its own for the whole process
                warnings.simplefilter("ignore")
                import litellm

                litellm.ModelResponse()  # pydantic warns when it builds this class, at its first use
        litellm.suppress_debug_info = True
        return litellm


def without_keys(text: str, key_env: str = "") -> str:
    """`text` without any key that the environment holds, nor anything that looks like one."""
    for name, value in os.environ.items():
        if len(value) >= 8 and (name == key_env or name.endswith(("KEY", "TOKEN", "SECRET", "PASSWORD"))):
            text = text.replace(value, "[key]")
    return _KEY_LIKE.sub("[key]", text)


def thinking_arguments(model: Model) -> dict[str, Any]:
    """litellm's arguments for a thinking setting; empty for the vendor's default."""
    if model.thinking is None:
        return {}
    if isinstance(model.thinking, int):
        return {"thinking": {"type": "enabled", "budget_tokens": model.thinking}}
    return {"reasoning_effort": _EFFORT[model.thinking]}


def believable_usage(usage: Any) -> Usage:
    """Token counts where they can be true; None for each that is missing, negative, zero or absurd."""
    prompt = _count(getattr(usage, "prompt_tokens", None))
    output = _count(getattr(usage, "completion_tokens", None))
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    reasoning = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", None)
    return Usage(
        prompt,
        cached if isinstance(cached, int) and prompt and 0 <= cached <= prompt else None,
        output,
        reasoning if isinstance(reasoning, int) and output and 0 <= reasoning <= output else None,
    )


def retry_after_seconds(value: object) -> float | None:
    """A Retry-After header in seconds: a number, or a date from now; None where it is neither."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    if not isinstance(value, str):
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _chain(error: BaseException) -> list[BaseException]:
    """An error with its causes, the outermost first."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _named(chain: list[BaseException], names: frozenset[str]) -> str | None:
    return next((type(error).__name__ for error in chain if type(error).__name__ in names), None)


def _kind(error: Exception, status: object, chain: list[BaseException]) -> ErrorKind:
    """What happened, by litellm's class and status, and by the causes where those mislead."""
    name = type(error).__name__
    kind: ErrorKind = _STATUS_TO_KIND.get(status, "internal") if isinstance(status, int) else "internal"
    if "ContextWindow" in name or (kind == "bad_request" and _TOO_LONG.search(str(error))):
        return "context_overflow"
    if "ContentPolicy" in name:
        return "content_filter"
    if name == "Timeout":
        return "timeout"
    if isinstance(error, IndexError):
        return "empty"  # an answer without any choice can reach us as a bare IndexError
    if _named(chain, _NEVER_MADE | _BROKEN_OFF):
        return "connection"  # litellm says 500
    if _named(chain, _GARBAGE) or _NO_COMPLETION.search(str(error)):
        return "internal"  # litellm says 500 here too, but something was answered: it only is no completion
    if name == "APIConnectionError":
        return "internal"  # litellm's word for whatever it did not expect
    return kind


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST_TOKENS else None


def _says_off(sent: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    if not entry.get("supports_reasoning"):
        return True
    text = json.dumps(sent).lower()
    if any(word in text for word in ('"none"', "disabled", '"thinkingbudget": 0', '"thinking_budget": 0')):
        return True
    says_nothing = not any(word in text for word in ("thinking", "reasoning", "effort"))
    return says_nothing and entry.get("litellm_provider") == "anthropic" and not entry.get("thinking_always_on")


def _bare_names() -> list[str]:
    return [
        f"{entry['litellm_provider']}/{name}"
        for name, entry in litellm_map().items()
        if "/" not in name and entry.get("mode") == "chat" and "litellm_provider" in entry
    ]
