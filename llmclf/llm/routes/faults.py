"""What litellm raises, as errors of ours: of what kind, whether it may have been billed, and without keys."""

from __future__ import annotations

import math
import os
import re

from llmclf.errors import ErrorKind, ModelError

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
_MOST_CHARACTERS = 300  # of a vendor's own words in a message


def model_error(error: Exception, model_id: str, key_env: str = "") -> ModelError:
    """The ModelError for whatever litellm raised. `key_env` names the variable that holds the key."""
    status = getattr(error, "status_code", None)
    headers = getattr(error, "litellm_response_headers", None) or {}
    chain = _chain(error)
    kind = _kind(error, status, chain)
    return ModelError(
        kind,
        f"{type(error).__name__}: {cut(without_keys(str(error), key_env))}",
        where=model_id,
        status=status if isinstance(status, int) else None,
        retry_after=retry_after_seconds(headers.get("retry-after")),
        possibly_billed=kind in ("timeout", "empty", "internal")
        or (kind == "connection" and _named(chain, _NEVER_MADE) is None),
    )


def cut(text: str, most: int = _MOST_CHARACTERS) -> str:
    """`text` on one line, `most` characters long at most, with an ellipsis where whole words had to go."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    words, _, rest = line[: most - 1].rpartition(" ")
    return f"{words} …" if len(rest) < most // 2 else f"{words} {rest}…".lstrip()


def without_keys(text: str, key_env: str = "") -> str:
    """`text` without any key that the environment holds, nor anything that looks like one."""
    for name, value in os.environ.items():
        if len(value) >= 8 and (name == key_env or name.endswith(("KEY", "TOKEN", "SECRET", "PASSWORD"))):
            text = text.replace(value, "[key]")
    return _KEY_LIKE.sub("[key]", text)


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
