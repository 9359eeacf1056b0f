"""What a vendor or a connection gives instead of an answer, as errors of ours: kind, bill, wait, and no keys."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from llmclf.errors import ErrorKind, ModelError

_STATUS_TO_KIND: dict[int, ErrorKind] = {
    401: "authentication",
    402: "authentication",
    403: "authentication",
    404: "not_found",
    408: "timeout",
    409: "unavailable",
    413: "context_overflow",
    425: "unavailable",
    429: "rate_limited",
    504: "timeout",
    524: "timeout",
}
"""Where a status is more than one of its hundred: 4xx is `bad_request`, 5xx `unavailable`, others `internal`."""
_KEY_LIKE = re.compile(r"\b(?:(?:sk|pk|rk|gsk|xai)[-_]|AIza)[A-Za-z0-9*_-]{12,}|(?<=Bearer )\S+")
_NEVER_MADE = frozenset(
    {
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientProxyConnectionError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectionRefusedError",
        "ConnectionTimeoutError",
        "PoolTimeout",
        "gaierror",
    }
)
_BROKEN_OFF = frozenset(
    {
        "BrokenPipeError",
        "ClientOSError",
        "ClientPayloadError",
        "ConnectionAbortedError",
        "ConnectionResetError",
        "ReadError",
        "RemoteProtocolError",
        "ServerDisconnectedError",
        "WriteError",
    }
)
"""Causes that are a connection: one that was never made costs nothing, one that broke off later may."""
_NO_URL = frozenset({"InvalidURL", "InvalidUrlClientError", "NonHttpUrlClientError", "UnsupportedProtocol"})
_TOO_LATE = frozenset({"APITimeoutError", "ReadTimeout", "Timeout", "WriteTimeout"})
_NO_COMPLETION = re.compile(
    r"empty or invalid response|invalid response object|that is not a list|error converting to valid response",
    re.IGNORECASE,
)
_NOTHING_SAID = re.compile(r"unknown items in responses api response", re.IGNORECASE)
"""litellm's words for an answer that it can't read, and for one that holds nothing."""
_TOO_LONG = re.compile(
    r"context.{0,3}(?:length|window|size)|(?:prompt|input) is too long|input token count.{0,40}exceeds", re.IGNORECASE
)
_FILTERED = re.compile(
    r"content[_ ](?:filter|policy|management)|usage policy|blocked by content|prompt was flagged", re.IGNORECASE
)
_BAD_KEY = re.compile(r"api[_ ]key[_ ](?:not valid|invalid|expired|is invalid)|invalid api[_ ]key", re.IGNORECASE)
_NO_CREDIT = re.compile(
    r"insufficient[_ ](?:quota|funds|balance|credits?)|billing_(?:error|hard_limit)|credit balance is too low|"
    r"credits? (?:are|is|have been) (?:depleted|exhausted|used up)",
    re.IGNORECASE,
)
"""Vendors' words that say more than the status they come with."""
_RETRY_DELAY = re.compile(r'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')
_MOST_READ = 20_000  # characters of a vendor's body that are looked at
_MOST_CHARACTERS = 300  # of a vendor's own words in a message


def status_error(
    status: int, body_text: str, headers: Mapping[str, str], model_id: str, key_env: str = ""
) -> ModelError:
    """The ModelError for an HTTP status that is no success. `key_env` names the variable that holds the key.

    The body decides where the status misleads: a 400 can be a full context or a content filter, a
    429 an account without credit, which no waiting helps. A vendor that ran out of time (408, 504)
    may have billed; other statuses cost nothing.
    """
    return _of_status(kind_of_status(status, body_text), status, body_text, headers, model_id, key_env)


def connection_error(error: Exception, model_id: str) -> ModelError:
    """The ModelError for what aiohttp, httpx or the system raise about a connection.

    One that was never made is `connection` and costs nothing (with a URL that is none: `bad_request`).
    One that broke off later (`connection`) or took too long (`timeout`) may have been billed.
    """
    chain = _chain(error)
    return ModelError(
        _connection_kind(chain) or "connection",
        f"{type(error).__name__}: {cut(without_keys(str(error)))}",
        where=model_id,
        possibly_billed=not _any(chain, _NEVER_MADE | _NO_URL),
    )


def model_error(error: Exception, model_id: str, key_env: str = "") -> ModelError:
    """The ModelError for whatever litellm raised. `key_env` names the variable that holds the key.

    litellm's classes mislead (an unreadable answer is a BadRequestError, a refused connection an
    InternalServerError), so the HTTP response or the connection's error among the causes decides.
    """
    chain = _chain(error)
    response = next((cause.response for cause in chain if type(cause).__name__.endswith("HTTPStatusError")), None)  # type: ignore[attr-defined]
    if response is not None:
        text = _text_of(response) or str(error)
        kind = _by_class(error, kind_of_status(response.status_code, text))
        return _of_status(kind, response.status_code, text, response.headers, model_id, key_env)
    kind = _connection_kind(chain) or _unread_kind(error, chain)
    status = getattr(error, "status_code", None)
    return ModelError(
        kind,
        f"{type(error).__name__}: {cut(without_keys(str(error)[:_MOST_READ], key_env))}",
        where=model_id,
        status=status if isinstance(status, int) else None,
        retry_after=asked_wait(getattr(error, "litellm_response_headers", None) or {}),
        possibly_billed=kind in ("timeout", "empty", "internal", "connection")
        and not _any(chain, _NEVER_MADE | _NO_URL),
    )


def kind_of_status(status: int, body_text: str) -> ErrorKind:
    """The kind of a failure by its HTTP status and the vendor's words."""
    by_hundred: dict[int, ErrorKind] = {4: "bad_request", 5: "unavailable"}
    kind = _STATUS_TO_KIND.get(status) or by_hundred.get(status // 100, "internal")
    text = body_text[:_MOST_READ]
    if kind in ("bad_request", "authentication", "rate_limited") and _NO_CREDIT.search(text):
        return "authentication"
    if kind == "bad_request":
        if _BAD_KEY.search(text):
            return "authentication"
        if _TOO_LONG.search(text):
            return "context_overflow"
    if status in (400, 403, 422) and _FILTERED.search(text):
        return "content_filter"
    return kind


def asked_wait(headers: Mapping[str, str], body_text: str = "") -> float | None:
    """Seconds that the vendor asks to wait: by a header, or in the body as Gemini does; None where neither says."""
    found = {str(name).lower(): value for name, value in headers.items()}
    milliseconds = retry_after_seconds(found.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    delay = _RETRY_DELAY.search(body_text[:_MOST_READ])
    seconds = retry_after_seconds(found.get("retry-after"))
    return float(delay[1]) if seconds is None and delay else seconds


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
    except (ValueError, OverflowError):
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


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


def _of_status(
    kind: ErrorKind, status: int, body_text: str, headers: Mapping[str, str], model_id: str, key_env: str
) -> ModelError:
    text = body_text[:_MOST_READ]
    words = cut(without_keys(_said(text), key_env))
    no_credit = kind == "authentication" and _NO_CREDIT.search(text)
    return ModelError(
        kind,
        f"status {status}: {words}" if words else f"status {status}",
        where=model_id,
        fix="the vendor says that there is no credit left: add some there" if no_credit else "",
        status=status,
        retry_after=asked_wait(headers, text),
        possibly_billed=kind == "timeout",
    )


def _said(body_text: str) -> str:
    """What a vendor's error says: its message with its word for the kind, or the text as it is."""
    try:
        error: Any = json.loads(body_text)["error"]
        message = error["message"]
        word = next((error[name] for name in ("code", "status", "type") if isinstance(error.get(name), str)), "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return body_text
    return f"{message} ({word})" if word and word not in str(message) else str(message)


def _text_of(response: Any) -> str:
    try:
        return str(response.text)
    except Exception:  # a body that was never read, or can't be decoded: the status says enough
        return ""


def _chain(error: BaseException) -> list[BaseException]:
    """An error with its causes, the outermost first."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _any(chain: list[BaseException], names: frozenset[str]) -> bool:
    return any(type(error).__name__ in names for error in chain)


def _connection_kind(chain: list[BaseException]) -> ErrorKind | None:
    """The kind where a cause is a connection or a clock; that nothing was ever sent comes first."""
    if _any(chain, _NO_URL):
        return "bad_request"
    if _any(chain, _NEVER_MADE):
        return "connection"
    for error in chain:
        if type(error).__name__ in _BROKEN_OFF:
            return "connection"
        if type(error).__name__ in _TOO_LATE or isinstance(error, TimeoutError):
            return "timeout"
    return None


def _by_class(error: Exception, kind: ErrorKind) -> ErrorKind:
    """What litellm's class says of a bad request: it knows the words of more vendors."""
    name = type(error).__name__
    if kind == "bad_request" and "ContextWindow" in name:
        return "context_overflow"
    return "content_filter" if kind == "bad_request" and "ContentPolicy" in name else kind


def _unread_kind(error: Exception, chain: list[BaseException]) -> ErrorKind:
    """The kind where no status and no connection failed: something was answered, or nothing was sent."""
    status, text = getattr(error, "status_code", None), str(error)
    if isinstance(error, IndexError) or _NOTHING_SAID.search(text):
        return "empty"  # an answer without any choice can reach us as a bare IndexError
    if _any(chain, frozenset({"JSONDecodeError", "ValidationError"})) or _NO_COMPLETION.search(text):
        return "internal"
    if type(error).__name__ == "APIConnectionError" or not isinstance(status, int) or status == 500:
        return "internal"  # litellm's words for whatever it did not expect
    return _by_class(error, kind_of_status(status, text))
