"""What is true of every request and answer: whom it may be for, where it may come from, and its headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from llmclf.server.answers import Refusal, error_body
from llmclf.server.auth import TOKEN_NAME, is_bearer, is_loopback, sign_of_a_proxy

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""On every answer; a page brings the policy of its own scripts instead."""

_FIX_NAME = (
    f"call it 127.0.0.1 or localhost; for another name set {TOKEN_NAME} where `llmclf serve` runs, or start"
    " `llmclf calibrate label` with --url and that name"
)
_FIX_ORIGIN = "use the page of this server itself; a proxy in between must pass on the `Host` it was called by"


class Guard:
    """ASGI around the whole app.

    Without a token only names of this machine are answered to, so that no page of a stranger whose name was made
    to lead here can read an answer. What changes something must come from a page of ours, or from no page.
    `root_path` is what a proxy puts before our addresses, whether it takes it off again or not.
    """

    def __init__(self, app: Asgi, *, local_names_only: bool, root_path: str) -> None:
        self._app = app
        self._local = local_names_only
        self._root_path = root_path

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await _refuse(refusal, send)
            return
        scope["root_path"] = self._root_path

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                more = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in given)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, method: str, headers: dict[str, str]) -> Refusal | None:
        host = headers.get("host", "")
        if self._local and not is_loopback(_name_of(host)):
            what = "this server answers to names of its own machine only"
            return Refusal(421, what, where="Host", got=host, fix=_FIX_NAME)
        if method not in ("GET", "HEAD") and not _of_our_own(headers, host):
            origin = headers.get("origin") or headers.get("sec-fetch-site")
            return Refusal(403, "this came from a page of somebody else", where="Origin", got=origin, fix=_FIX_ORIGIN)
        return None


def _of_our_own(headers: dict[str, str], host: str) -> bool:
    """Does it come from a page of ours, or from no page? Browsers always say which, and pages can't change it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def _name_of(host: str) -> str:
    """The name in a `Host` header, without its port; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _refuse(refusal: Refusal, send: Send) -> None:
    body = error_body(refusal)
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def check_may_ask(request: Any, token: str | None) -> None:
    """Refusal 401 without the right token; where there is none, 403 for what a proxy passed on."""
    if token is None:
        sign = sign_of_a_proxy(request.scope["http_version"], request.headers)
        if sign:
            raise Refusal(
                403,
                "this came through a proxy, and without a token only this machine is answered to",
                where=sign,
                fix=f"set {TOKEN_NAME} where the server runs, and send it as `Authorization: Bearer TOKEN`",
            )
        return
    given = request.headers.get("authorization", "")
    if not is_bearer(given, token):
        raise Refusal(
            401,
            "this is not the token" if given else "a token is needed",
            where="Authorization",
            fix=f"send `Authorization: Bearer TOKEN`, with what {TOKEN_NAME} holds where the server runs",
        )
