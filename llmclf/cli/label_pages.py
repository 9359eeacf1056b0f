"""calibrate label."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from llmclf.cli.common import JsonOption, StoreOption, existing_store, runtime, show, tell
from llmclf.cli.serving import PortOption, RootPathOption


def label(
    session: Annotated[str, typer.Argument(help="A session's id, how it begins, or last.", metavar="SESSION")] = "last",
    person: Annotated[str | None, typer.Option("--as", help="Who sits here: a link for this person alone.")] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; 0.0.0.0 lets other machines in, by their links.")
    ] = "127.0.0.1",
    port: PortOption = 8321,
    root_path: RootPathOption = "",
    url: Annotated[
        str | None,
        typer.Option("--url", help="What people's browsers call the server, where a proxy stands before it."),
    ] = None,
    links_only: Annotated[
        bool, typer.Option("--links-only", help="Print links to a server that runs already (--url), and start none.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the links.")] = False,
    new_links: Annotated[
        bool, typer.Option("--new-links", help="Links given out before hold no longer (with --as: that person's).")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the page on which people label, until Ctrl-C; each person has a link of their own.

    What somebody labelled is kept at once. Run it again to go on.
    """
    from llmclf.calibration.desk import Desk
    from llmclf.server.app import make_label_app
    from llmclf.server.running import links, serve

    with runtime(existing_store(store)) as opened:
        desk = Desk(opened.store)
        found = desk.session(session)
        _check(desk, found, person, url, links_only)

        def ready(address: str) -> None:
            if new_links:  # not before the socket is bound: who can't be served keeps the link
                tell(f"{desk.revoke(found.id, person)} links and cookies hold no longer")
            made = links(desk, found.id, url or address, people=None if person is None else [person])
            _tell_links(found.id, made, as_json)
            _tell_reach(url or address, host, given=url is not None)
            if not (no_browser or links_only) and len(made) == 1 and _has_display():
                _open_browser(next(iter(made.values())))

        if links_only:
            ready("")
            return
        app = make_label_app(opened.store, found.id, for_others=_is_for_others(host, url), root_path=root_path)
        tell("Ctrl-C ends the page, and labels are kept")
        try:
            serve(app, host, port, on_ready=ready)
        except KeyboardInterrupt:
            pass  # how it ends
        _tell_progress(desk, found.id)


def _check(desk: Any, session: Any, person: str | None, url: str | None, links_only: bool) -> None:
    """ConfigError where nobody can label so."""
    from llmclf.errors import ConfigError, nearest

    people = [*session.annotators, *([session.adjudicator] if session.adjudicator else [])]
    if person is not None and person not in people:
        raise ConfigError("takes no part in the session", where="--as", got=person, fix=nearest(person, people))
    if links_only and url is None:
        raise ConfigError("links need the server's address", where="--links-only", fix="give it with --url")
    if url is not None and not _is_web_address(url):
        begins = url if "://" in url else f"http://{url}"
        fix = f"give all of it: --url {begins}" if _is_web_address(begins) else "such as http://192.0.2.2:8321"
        raise ConfigError(
            "must be an address that browsers open, with http:// or https://", where="--url", got=url, fix=fix
        )
    if next(one.closed for one in desk.sessions() if one.id == session.id):
        raise ConfigError("the session is closed: it takes no more labels", where=f"session {session.id}")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _is_for_others(host: str, url: str | None) -> bool:
    """Do people come under a name that is not this machine's own?"""
    from llmclf.server.auth import is_loopback

    names = [host, *([urlsplit(url).hostname or ""] if url else [])]
    return not all(is_loopback(name) for name in names)


def _tell_links(session_id: str, made: dict[str, str], as_json: bool) -> None:
    if as_json:
        show({"session": session_id, "links": made}, True)
    else:
        for name, link in made.items():
            print(f"{name}: {link}")
    sys.stdout.flush()
    tell("each link is for one person alone")


def _tell_reach(base: str, host: str, *, given: bool) -> None:
    """What people on other machines need besides the links."""
    from llmclf.server.auth import is_loopback
    from llmclf.server.running import is_every_address

    name = urlsplit(base).hostname or ""
    if is_every_address(name):
        tell(f"nobody can open {name}: put this machine's address in its place, or give it with --url")
    elif not given and is_every_address(host):
        tell(f"the links call this machine {name}; where browsers reach it by another name, give that with --url")
    if base.startswith("http:") and not is_loopback(name):
        tell(
            "without TLS the words and the links cross the network in the clear (docs/serving.md has the way with TLS)"
        )


def _has_display() -> bool:
    return sys.stderr.isatty() and (
        sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )


def _open_browser(link: str) -> None:
    import webbrowser

    webbrowser.open(link)


def _tell_progress(desk: Any, session_id: str) -> None:
    one = next(one for one in desk.sessions() if one.id == session_id)
    done = ", ".join(f"{name} {one.done[name]:,} of {one.total[name]:,}" for name in one.annotators)
    decide = f"; {one.to_adjudicate:,} to decide" if one.adjudicator else ""
    tell(f"labels are kept ({done}{decide}); run the same again to go on, or: llmclf calibrate report {session_id}")
