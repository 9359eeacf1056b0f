"""Bodies in, JSON out, and every error as where, what, got and what to do."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from llmclf.data.parse import decoded
from llmclf.data.problems import GOT_LIMIT, Fault
from llmclf.errors import BudgetError, ConfigError, LlmclfError, MissingPieceError, StoreError, nearest, shorten

_OF_THE_SERVER = (BudgetError, MissingPieceError, StoreError)


class Refusal(ConfigError):
    """A request that can't be answered, with the HTTP status that says so."""

    def __init__(self, status: int, what: str, **parts: Any) -> None:
        self.status = status
        super().__init__(what, **parts)


def status_of(error: LlmclfError) -> int:
    """The HTTP status of an error: 503 where the server must be mended, 400 where the request must."""
    if isinstance(error, Refusal):
        return error.status
    return 400 if isinstance(error, ConfigError) and not isinstance(error, _OF_THE_SERVER) else 503


def error_body(error: LlmclfError) -> bytes:
    """The error as JSON: its parts and, in `message`, all of it; `from` tells it from what a proxy answers."""
    problems = list(getattr(error, "problems", ()))
    parts = {
        "where": error.where,
        "what": error.what,
        "got": None if error.got is None else shorten(error.got),
        "fix": error.fix or ("mend what `problems` lists" if problems else ""),
        "problems": problems,
        "message": error.message,
    }
    return json_bytes({"error": parts, "from": "llmclf"})


def json_bytes(value: Any) -> bytes:
    """A JSON document; half characters, which UTF-8 can't carry, stay as escapes."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str).encode()


def json_response(value: Any, status: int = 200) -> Any:
    """A JSON document as an answer."""
    from starlette.responses import Response

    return Response(json_bytes(value), status, media_type="application/json")


def error_response(error: LlmclfError, status: int | None = None) -> Any:
    """An error as an answer, with the status that fits it or the one given."""
    from starlette.responses import Response

    status = status or status_of(error)
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return Response(error_body(error), status, headers, media_type="application/json")


async def json_object(request: Any, limit: int) -> dict[str, Any]:
    """The JSON object that a request carries, at most `limit` bytes long; Refusal where it carries another thing."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "the body must be JSON", where="Content-Type", got=kind, fix="send application/json")
    if request.headers.get("content-length", "0").isdigit() and int(request.headers.get("content-length", 0)) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    value = decoded(bytes(body))
    if isinstance(value, Fault):
        raise Refusal(400, "can't be read", where="body", problems=[fault_text(value)])
    if not isinstance(value, dict):
        raise Refusal(400, "must be a JSON object", where="body", got=value, fix="send {...} with its fields")
    return value


def fault_text(fault: Fault) -> str:
    """What is wrong, with at most 60 characters of what stood there."""
    return fault.what if fault.got is None else f"{fault.what}; got {shorten(fault.got, GOT_LIMIT)}"


def unknown_keys(given: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """A problem for each key that means nothing, with the nearest that does."""
    return [f"unknown key {shorten(key, 60)}; {nearest(key, sorted(known))}" for key in given if key not in known]


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "is too large", where="body", fix=f"send at most {limit:,} bytes")
