"""Who may ask: a token for /v1, and a cookie for pages that one link of one person is swapped for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping

from llmclf.errors import ConfigError

TOKEN_NAME = "LLMCLF_SERVE_TOKEN"  # noqa: S105 (the name of a variable)
"""The environment variable that holds the token of /v1."""
COOKIE = "llmclf_seat"
COOKIE_SECONDS = 30 * 24 * 3600
_LEAST_TOKEN = 16
_OF_PROXIES = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip"})


def is_loopback(host: str) -> bool:
    """True where nobody on another machine can reach an address: `localhost`, 127.0.0.0/8, ::1.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def serve_token(host: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token that /v1 asks for when listening at `host`; None: none, which only loopback may do.

    Raises ConfigError where another address has no token, or one that can be guessed.
    """
    token = environment.get(TOKEN_NAME, "").strip()
    if token and (len(token) < _LEAST_TOKEN or not token.isascii()):
        raise ConfigError(
            f"must be at least {_LEAST_TOKEN} ASCII characters",
            where=TOKEN_NAME,
            got=f"{len(token)} characters",
            fix='make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    if not token and not is_loopback(host):
        raise ConfigError(
            "other machines can reach this address, so a token is needed",
            where="--host",
            got=host,
            fix=f"set {TOKEN_NAME} in the environment, or listen at 127.0.0.1",
        )
    return token or None


def is_bearer(header: str, token: str) -> bool:
    """Does an `Authorization` header carry `token`? Takes the same time for every wrong one."""
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def is_basic(header: str, token: str) -> bool:
    """Does an `Authorization` header carry `token` as the password of any name, as browsers ask people for it?"""
    scheme, _, given = header.partition(" ")
    try:
        _, _, password = base64.b64decode(given.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(password, token.encode())


def sign_of_a_proxy(http_version: str, headers: Mapping[str, str]) -> str:
    """What shows that a request was passed on by a proxy; empty where nothing does.

    HTTP/1.0 is what nginx speaks where nothing is configured; then it sends no header of its own.
    """
    found = (name for name in headers if name.lower() in _OF_PROXIES or name.lower().startswith("x-forwarded-"))
    return next(found, "HTTP/1.0" if http_version == "1.0" else "")


def seat_key(session_id: str, annotator: str, adjudicates: bool) -> str:
    """Names one person's place in one session in addresses; says nothing of either, and opens nothing."""
    return hashlib.sha256("\0".join((session_id, annotator, str(adjudicates))).encode()).hexdigest()[:12]
