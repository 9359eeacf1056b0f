"""A socket, uvicorn around the app, and the links that people are given."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from llmclf.calibration.desk import Desk
from llmclf.errors import ConfigError, MissingPieceError
from llmclf.server.auth import TOKEN_NAME, is_loopback

_GRACE_SECONDS = 30
_KEEP_ALIVE_SECONDS = 75  # people read for longer than uvicorn's five
_BACKLOG = 2048


def serve(
    app: Any, host: str = "127.0.0.1", port: int = 8321, *, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serves `app` (of `make_app`, `make_label_app`) until SIGTERM or Ctrl-C; what is under way then has 30 seconds.

    Port 0 takes a free one. `on_ready` is told the address, with the app's root path, once connections are taken;
    where `host` stands for all addresses, that is this machine's own, if it can be known.
    No request is logged: links carry tokens. Raises ConfigError where the port is taken, or where other machines
    could reach an app without a token.
    """
    uvicorn = _uvicorn()
    if not is_loopback(host) and not app.state.for_others:
        raise ConfigError("an app without a token is for this machine alone", got=host, fix=f"set {TOKEN_NAME}")
    with _listening(host, port) as listener:
        bound = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        if on_ready is not None:
            on_ready(f"http://{_in_address(_callable(host))}:{bound}{app.state.root_path}")
        with _ends_quietly():
            server.run(sockets=[listener])


def links(desk: Desk, session_id: str, base_url: str, *, people: Collection[str] | None = None) -> dict[str, str]:
    """A link for each person of a session, by name; each carries a fresh token and is for that person alone.

    `base_url` is what people's browsers call the server, root path included. `people`: for these alone; ConfigError
    for one who takes no part.
    """
    session = desk.session(session_id)
    if people is None:
        people = dict.fromkeys([*session.annotators, *([session.adjudicator] if session.adjudicator else [])])
    base = base_url.rstrip("/")
    return {name: f"{base}/enter/{desk.link_token(session.id, name)}" for name in people}


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that takes connections; ConfigError where there can be none."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise ConfigError("there is no such address here", where="--host", got=f"{host}:{port}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            raise _cannot_bind(error, host, port) from error
        yield listener


def _cannot_bind(error: OSError | OverflowError, host: str, port: int) -> ConfigError:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return ConfigError(
            "something else listens there already",
            where="--port",
            got=port,
            fix="give another --port, or 0 for a free one",
        )
    if code == errno.EACCES:
        return ConfigError("this port is for the system", where="--port", got=port, fix="give one above 1023")
    return ConfigError("can't listen there", where="--host", got=f"{host}:{port}", fix=str(error))


@contextmanager
def _ends_quietly() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more when it is done: by then SIGTERM has done its work."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def is_every_address(host: str) -> bool:
    """True for what can be listened at and not called: 0.0.0.0 and ::.

    >>> is_every_address("0.0.0.0"), is_every_address("::"), is_every_address("127.0.0.1")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _callable(host: str) -> str:
    """What other machines call a host: for all addresses the one by which this machine reaches others."""
    if not is_every_address(host):
        return host
    six = ":" in host
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if six else "192.0.2.1", 9))  # for documentation; and nothing is sent
            found = str(probe.getsockname()[0])
        except OSError:
            return host
    return host if is_loopback(found) or is_every_address(found) else found


def _in_address(host: str) -> str:
    return f"[{host.strip('[]')}]" if ":" in host else host


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise MissingPieceError("uvicorn is not installed", fix="pip install 'llmclf[serve]'") from error
    return uvicorn
