"""calibrate label."""

from __future__ import annotations

import os
import secrets
import sys
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from llmclf.cli.common import JsonOption, StoreOption, existing_store, show, tell, workspace
from llmclf.cli.serving import PortOption, RootPathOption


def label(
    session: Annotated[str, typer.Argument(help="A session's id, how it begins, or last.", metavar="SESSION")] = "last",
    person: Annotated[str | None, typer.Option("--as", help="Who sits here: the page of this person opens.")] = None,
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
    new_links: Annotated[bool, typer.Option("--new-links", help="Links given out before hold no longer.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the page on which people label, until Ctrl-C; each person has a link of their own.

    What somebody labelled is kept at once. Run it again to go on.
    """
    from llmclf.calibration.desk import Desk
    from llmclf.server.app import make_app
    from llmclf.server.running import links, serve
    from llmclf.store import Store

    path = existing_store(store)
    with Store(path) as opened:
        desk = Desk(opened)
        found = desk.session(session)
        _check(desk, found, person, url if links_only else "there")
        if new_links:
            tell(f"{desk.revoke(found.id)} links and cookies hold no longer")

        def ready(address: str) -> None:
            made = links(desk, found.id, url or address)
            chosen = made if person is None else {person: made[person]}
            _tell_links(found.id, chosen, as_json)
            if not (no_browser or links_only) and len(chosen) == 1 and _has_display():
                _open_browser(next(iter(chosen.values())))

        if links_only:
            ready("")
            return
        token = _token(host, url)
        app = make_app(store=path, workspace=workspace(), session_id=found.id, token=token, root_path=root_path)
        tell("Ctrl-C ends the page, and labels are kept")
        try:
            serve(app, host, port, on_ready=ready)
        except KeyboardInterrupt:
            pass  # how it ends
        _tell_progress(desk, found.id)


def _check(desk: Any, session: Any, person: str | None, url: str | None) -> None:
    """ConfigError where nobody can label so."""
    from llmclf.errors import ConfigError, nearest

    people = [*session.annotators, *([session.adjudicator] if session.adjudicator else [])]
    if person is not None and person not in people:
        raise ConfigError("takes no part in the session", where="--as", got=person, fix=nearest(person, people))
    if url is None:
        raise ConfigError("links need the server's address", where="--links-only", fix="give it with --url")
    if next(one.closed for one in desk.sessions() if one.id == session.id):
        raise ConfigError("the session is closed: it takes no more labels", where=f"session {session.id}")


def _token(host: str, url: str | None) -> str | None:
    """What /v1 asks for. Nobody needs it in order to label, so where others can reach us it is anybody's guess."""
    from llmclf.server.auth import TOKEN_NAME, is_loopback, serve_token

    names = [host, *([urlsplit(url).hostname or ""] if url else [])]
    if os.environ.get(TOKEN_NAME, "").strip() or all(is_loopback(name) for name in names):
        return serve_token("127.0.0.1")
    return secrets.token_urlsafe(32)


def _tell_links(session_id: str, made: dict[str, str], as_json: bool) -> None:
    if as_json:
        show({"session": session_id, "links": made}, True)
    else:
        for name, link in made.items():
            print(f"{name}: {link}")
    sys.stdout.flush()
    tell("each link is for one person alone")


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
