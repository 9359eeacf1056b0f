"""Endpoints that speak OpenAI's chat completions, called directly: vLLM, llama.cpp's server, a gateway.

One session for all calls of an event loop, with connections kept open. No redirects, no cookies, no
proxy from the environment, no retries: one call is one request, and the key is only in its header.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

from llmclf.config import HttpRow, PriceRow
from llmclf.config.parts import Level
from llmclf.errors import ModelError
from llmclf.llm.capabilities import Capabilities, ThinkingRow
from llmclf.llm.model import Answer, Model, Request
from llmclf.llm.prices import Price, price_of
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.chat import chat_answer
from llmclf.llm.routes.faults import connection_error, status_error
from llmclf.llm.routes.parts import content_parts, with_data

_MOST_BYTES = 16 * 1024 * 1024
_MOST_OF_AN_ERROR = 20_000
_CONNECT_SECONDS = 10.0  # a host that does not answer by then is down, whatever the time-out of the call
_IDLE_SECONDS = 4.0  # uvicorn and llama.cpp close after 5: a call on a connection that just closed would be lost
_OURS = frozenset(
    {
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "response_format",
        "stream",
        "top_logprobs",
    }
)
"""Fields of a body that this route sets, or that would change what an answer is or may cost."""


class HttpRoute(Route):
    """One model behind `{api_base}/chat/completions`, by aiohttp."""

    name = "http"

    def __init__(self, model_id: str, row: HttpRow, prices: Mapping[str, PriceRow]) -> None:
        self.model_id = model_id
        self.row = row
        self.leaves_machine = not _is_loopback(row.api_base)
        self._prices = prices
        self._loaded = False
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}

    def unsupported(self, model: Model) -> list[str]:
        """A thinking setting or a temperature that the row does not know, and fields it may not set."""
        return [*self._thinking_problems(model), *self._temperature_problems(model), *self._field_problems()]

    def capabilities(self) -> Capabilities:
        """What the row says; nobody could check it."""
        note = "as the row in models.toml says"
        thinking = {
            level: ThinkingRow("unverified", json.dumps(self.row.thinking[level]), note)
            if level in self.row.thinking
            else ThinkingRow("unsupported")
            for level in get_args(Level)
        }
        field = self.row.thinking_tokens
        exact = ThinkingRow("unverified", json.dumps(_nested(field, "N")), note) if field else None
        return Capabilities(
            thinking={**thinking, "tokens": exact or ThinkingRow("unsupported")},
            modalities=self.row.modalities,
            json_schema=self.row.json_schema,
            logprobs=self.row.logprobs,
            temperature=self.row.temperature,
        )

    def missing_keys(self) -> list[str]:
        """The variable of the key, where it is not set or holds what no header can carry."""
        name = self.row.key_env
        if not name:
            return []
        key = os.environ.get(name, "").strip()
        if not key:
            return [f"{self.model_id} needs the key in ${name}"]
        return [] if _can_be_sent(key) else [f"{self.model_id}: the key in ${name} holds characters that no key has"]

    def price(self) -> Price | None:
        """From prices.toml under the model's name, else the row's own; never a vendor's of the same name."""
        if self.model_id not in self._prices and self.row.price is None:
            return None
        return price_of(self.model_id, self._prices, row=self.row.price)

    def endpoint(self) -> str:
        """The base URL."""
        return self.row.api_base

    def load(self) -> None:
        """Imports aiohttp."""
        import aiohttp  # noqa: F401

        self._loaded = True

    async def prepare(self) -> None:
        """As `load`, on another thread."""
        if not self._loaded:
            await asyncio.to_thread(self.load)

    def body(self, request: Request) -> Mapping[str, Any]:
        """An OpenAI-style chat body; pictures and recordings stand in it by their sha256."""
        row, model, output = self.row, request.model, request.output
        body: dict[str, Any] = {"temperature": 0.0} if row.temperature else {}
        body |= row.body
        body["model"] = row.model
        body["messages"] = [{"role": message.role, "content": content_parts(message)} for message in request.messages]
        body[row.output_limit_field] = model.output_limit(output)
        if model.temperature is not None:
            body["temperature"] = model.temperature
        if output.kind == "json" and row.json_schema:
            schema = {"name": "answer", "schema": dict(output.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if output.kind == "letter" and row.logprobs:
            body |= {"logprobs": True, "top_logprobs": 20}
        return _merged(body, self._thinking(model))

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """One POST, with one deadline around all of it."""
        if any(message.media for message in request.messages):
            body = with_data(body, request)
        data = json.dumps(body, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(timeout):
                return await self._ask(request, data)
        except TimeoutError as error:
            if type(error) is not TimeoutError:  # aiohttp's own, of a connection that was not made in time
                raise connection_error(error, self.model_id) from None
            raise ModelError(
                "timeout", f"no answer within {timeout:.1f} s", where=self.model_id, possibly_billed=True
            ) from None
        except (OSError, ValueError, _client_error()) as error:
            raise connection_error(error, self.model_id) from None  # the cause may quote a header

    async def aclose(self) -> None:
        """Closes the connections of this event loop, and forgets those of loops that have ended."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        self._sessions = {loop: kept for loop, kept in self._sessions.items() if not loop.is_closed()}
        if session is not None:
            await session.client.close()

    async def _ask(self, request: Request, data: bytes) -> Answer:
        session = self._session()
        started = time.monotonic()
        async with session.client.post(session.url, data=data, headers=self._headers(), allow_redirects=False) as reply:
            first_byte = time.monotonic() - started
            raw = await _read(reply.content)
        if not 200 <= reply.status < 300:
            words = (raw or b"")[:_MOST_OF_AN_ERROR].decode("utf-8", "replace")
            raise status_error(reply.status, words, reply.headers, self.model_id, self.row.key_env)
        if raw is None:
            message = f"the answer is longer than {_MOST_BYTES // 2**20} MB"
            raise ModelError("internal", message, where=self.model_id, possibly_billed=True)
        thinking = json.dumps(self._thinking(request.model))
        return chat_answer(raw, request, self.model_id, first_byte_seconds=first_byte, sent_thinking=thinking)

    def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            session = self._sessions[loop] = _open_session(self.row.api_base)
        return session

    def _headers(self) -> dict[str, str]:
        """Read at every call, so that a key can be changed under a running process."""
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.row.key_env, "").strip() if self.row.key_env else ""
        if key and not _can_be_sent(key):
            raise ModelError("authentication", self.missing_keys()[0], where=self.model_id)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _thinking(self, model: Model) -> dict[str, Any]:
        """The fields that stand for a thinking setting; none for the endpoint's default."""
        if model.thinking is None:
            return {}
        if isinstance(model.thinking, int):
            return _nested(self.row.thinking_tokens, model.thinking)
        return self.row.thinking.get(model.thinking, {})

    def _thinking_problems(self, model: Model) -> list[str]:
        row, wanted = self.row, model.thinking
        if wanted is None or wanted in row.thinking:
            return []
        if isinstance(wanted, int) and row.thinking_tokens:
            if model.max_output_tokens is None or model.max_output_tokens > wanted:
                return []
            return [f"{self.model_id}: max_output_tokens leaves no room for an answer beside {wanted} of thinking"]
        takes = [*row.thinking, *(["a number of tokens"] if row.thinking_tokens else [])]
        advice = "" if takes else "; `thinking` in models.toml says what to send for a level"
        return [f"{self.model_id} takes thinking {', '.join(takes) or 'at its default alone'}; got {wanted!r}{advice}"]

    def _temperature_problems(self, model: Model) -> list[str]:
        if model.temperature is None:
            return []
        if not self.row.temperature:
            return [f"{self.model_id} takes no temperature; got {model.temperature}"]
        fixed = self._thinking(model).get("temperature", model.temperature)
        if fixed == model.temperature:
            return []
        return [f"{self.model_id} has temperature {fixed} at thinking {model.thinking!r}; got {model.temperature}"]

    def _field_problems(self) -> list[str]:
        tables: dict[str, Mapping[str, Any]] = {"body": self.row.body}
        tables |= {f"thinking.{level}": fields for level, fields in self.row.thinking.items()}
        tables["thinking_tokens"] = _nested(self.row.thinking_tokens, 0)
        return [
            f"{self.model_id}: `{table}` in models.toml may not set {', '.join(sorted(_OURS & fields.keys()))}"
            for table, fields in tables.items()
            if _OURS & fields.keys()
        ]


class _Session(NamedTuple):
    """The connections of one event loop, and where they lead."""

    client: Any
    url: Any


def _open_session(api_base: str) -> _Session:
    import aiohttp
    from yarl import URL

    url = URL(api_base.rstrip("/") + "/chat/completions")
    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),  # the runtime limits concurrency
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "llmclf", "Accept": "application/json"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),  # `send` has a deadline of its own
        trust_env=False,
    )
    return _Session(client, url)


def _client_error() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError


async def _read(content: Any) -> bytes | None:
    """All of an answer, unpacked; None where there is too much of it."""
    parts, size = [], 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            return None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _is_loopback(api_base: str) -> bool:
    host = urlsplit(api_base).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _can_be_sent(key: str) -> bool:
    return key.isascii() and key.isprintable()


def _nested(path: str, value: Any) -> dict[str, Any]:
    """`{"a": {"b": value}}` for `a.b`; empty for an empty path."""
    if not path:
        return {}
    first, _, rest = path.partition(".")
    return {first: _nested(rest, value) if rest else value}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both together, tables field by field; `other` wins."""
    merged = dict(one)
    for name, value in other.items():
        known = merged.get(name)
        tables = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(known or {}, value) if tables else value
    return merged
