"""Links, the page in which people label, and what it asks for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llmclf.calibration.asks import Seat
from llmclf.calibration.desk import Desk
from llmclf.errors import DataError, shorten
from llmclf.server import pages
from llmclf.server.answers import Refusal, json_object, json_response, unknown_keys
from llmclf.server.auth import COOKIE, COOKIE_SECONDS, seat_key
from llmclf.server.views import Topic, ask_view, progress_view, still_view
from llmclf.types import Evidence, Turn

MAX_BODY = 256 * 1024
"""Bytes of a label with its note and highlights."""
MAX_NOTE = 4_000
MAX_EVIDENCE = 20
_MOST_LABELS = 10**9
_CLIENT_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_KEYS = ("item", "label", "skipped", "rule", "note", "evidence", "seconds", "client_id")


@dataclass(frozen=True)
class Said:
    """What a page sends: a label or a skip."""

    item: str
    label: str | None
    skipped: str
    rule: str
    note: str
    evidence: tuple[tuple[int, str], ...]
    """(turn, quote)."""
    seconds: float | None
    client_id: str


class Labelling:
    """The desk as the page sees it. `session_id`: the one session whose links are let in; None: all."""

    def __init__(self, desk: Desk, session_id: str | None = None) -> None:
        self.desk = desk
        self._only = session_id
        self._topics: dict[str, Topic] = {}

    def enter(self, link_token: str) -> tuple[str, Seat] | None:
        """(cookie's token, seat) for a link's token; None where it leads nowhere."""
        cookie = self.desk.swap(link_token)
        seat = None if cookie is None else self.desk.seat(cookie)
        if cookie is None or seat is None or not self._is_let_in(seat):
            return None
        return cookie, seat

    def seat(self, cookie_token: str, key: str) -> Seat | None:
        """Who comes with a cookie, where it is of the seat that the address names."""
        seat = self.desk.seat(cookie_token) if cookie_token else None
        return seat if seat is not None and key_of(seat) == key and self._is_let_in(seat) else None

    def topic(self, session_id: str) -> Topic:
        """What all cases of a session share; read once, since nothing of it changes."""
        if session_id not in self._topics:
            self._topics[session_id] = Topic.of(self.desk.session(session_id))
        return self._topics[session_id]

    def state(self, seat: Seat, case_id: str | None = None) -> dict[str, Any]:
        """How far the person is, and the next open case or the one named; None where there is none."""
        with _unnamed():
            ask = self.desk.ask(seat, case_id)
        shown = None if ask is None else ask_view(ask, seat.session_id, self.topic(seat.session_id).rubric)
        return {**self.progress(seat), "ask": shown, "last": self.desk.last(seat)}

    def progress(self, seat: Seat) -> dict[str, Any]:
        """How far the person is, and in the end who still labels."""
        mine = self.desk.progress(seat)
        still = None
        if mine.done >= mine.total and not mine.closed:
            topic = self.topic(seat.session_id)
            seats = (self.desk.seat_of(seat.session_id, name) for name in topic.annotators)
            progresses = {one.annotator: self.desk.progress(one) for one in seats}
            left = {name: one.total - one.done for name, one in progresses.items()}
            still = still_view(left, seat, topic)
        return {"progress": progress_view(mine, still)}

    def save(self, seat: Seat, said: Said) -> dict[str, Any]:
        """Keeps what was said; then the next case, and what is known of the last where it was practice."""
        case_id = self._case_id(seat, said.item)
        with _unnamed():
            self.desk.save(
                seat,
                case_id,
                label=said.label,
                skipped=said.skipped,
                rule=said.rule,
                note=said.note,
                evidence=self._evidence(seat, case_id, said.evidence),
                seconds=said.seconds,
                client_id=said.client_id,
            )
        return {**self.state(seat), "practice": self._practice(seat, case_id, said)}

    def undo(self, seat: Seat, number: int) -> dict[str, Any]:
        """Takes back what the person said last, `number`, once however often it is asked; that case again."""
        with _unnamed():
            case_id = self.desk.undo(seat, number)
        return self.state(seat, case_id)

    def _is_let_in(self, seat: Seat) -> bool:
        return self._only is None or seat.session_id == self._only

    def _case_id(self, seat: Seat, item: str) -> str:
        case_id = self.topic(seat.session_id).cases.get(item)
        if case_id is None:
            raise Refusal(
                400, "there is no such case in this session", where="item", got=item, fix="load the page again"
            )
        return case_id

    def _evidence(self, seat: Seat, case_id: str, quotes: tuple[tuple[int, str], ...]) -> tuple[Evidence, ...]:
        if not quotes:
            return ()
        ask = self.desk.ask(seat, case_id)
        turns = () if ask is None or ask.conversation is None else ask.conversation.turns
        missing = [f"turn {shorten(turn, 40)} is not shown" for turn, _ in quotes if not 0 <= turn < len(turns)]
        if missing:
            raise DataError("can't be kept", where="evidence", problems=missing)
        return tuple(Evidence(quote, turn, _is_said(quote, turns[turn])) for turn, quote in quotes)

    def _practice(self, seat: Seat, case_id: str, said: Said) -> dict[str, str] | None:
        """What was known of a practice case, for who has labelled it; None for any other case."""
        if said.label is None or case_id not in self.topic(seat.session_id).practice:
            return None
        ask = self.desk.ask(seat, case_id)
        if ask is None or not ask.known:
            return None
        return {"said": str(said.label), "known": ask.known}


@contextmanager
def _unnamed() -> Iterator[None]:
    """Errors say nothing of the case: an id of a file may say what is known of it."""
    try:
        yield
    except DataError as error:
        raise DataError(error.what, fix=error.fix, problems=error.problems) from None


def _is_said(quote: str, turn: Turn) -> bool:
    """Do these words stand in what the page shows of a turn?"""
    return any(quote in text for text in (turn.text, *(event.text for event in turn.events)))


def key_of(seat: Seat) -> str:
    """The key of a seat."""
    return seat_key(seat.session_id, seat.annotator, seat.adjudicates)


def number_of(body: dict[str, Any]) -> int:
    """The label that a body asks to take back."""
    number = body.get("last")
    problems = unknown_keys(body, ("last",))
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < _MOST_LABELS:
        problems.append("`last` must be the number that came with the case")
    if problems:
        raise DataError("can't be taken back", where="body", problems=problems)
    return int(number)  # type: ignore[arg-type]


def said_of(body: dict[str, Any]) -> Said:
    """What a body says; DataError with everything that is wrong with it."""
    problems = unknown_keys(body, _KEYS)
    texts = {name: _text(body, name, problems) for name in ("item", "skipped", "rule", "note", "client_id")}
    label = body.get("label")
    if label is not None and not isinstance(label, str):
        problems.append("`label` must be text, or null for a skip")
    if not texts["item"]:
        problems.append("`item` is missing")
    if not _CLIENT_ID.fullmatch(texts["client_id"]):
        problems.append("`client_id` must be 8 to 64 letters, digits and '-'")
    seconds = body.get("seconds")
    if seconds is not None and not _is_time(seconds):
        problems.append("`seconds` must be a number from 0 to 86,400, or null")
    evidence = _quotes(body.get("evidence", []), problems)
    if problems:
        raise DataError("can't be kept", where="body", problems=problems)
    return Said(label=label, evidence=evidence, seconds=seconds, **texts)


def _text(body: dict[str, Any], name: str, problems: list[str]) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_NOTE:
        problems.append(f"`{name}` must be text of at most {MAX_NOTE:,} characters; got {shorten(value, 40)}")
        return ""
    return value.strip()


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 86_400


def _quotes(given: object, problems: list[str]) -> tuple[tuple[int, str], ...]:
    if not isinstance(given, list) or len(given) > MAX_EVIDENCE:
        problems.append(f"`evidence` must be a list of at most {MAX_EVIDENCE} highlights")
        return ()
    found = []
    for number, one in enumerate(given):
        turn, quote = (one.get("turn"), one.get("quote")) if isinstance(one, dict) else (None, None)
        if isinstance(turn, bool) or not isinstance(turn, int) or not isinstance(quote, str) or not quote.strip():
            problems.append(f"evidence {number} must have a `turn` (from 0) and a `quote`")
        else:
            found.append((turn, quote))
    return tuple(found)


def add_routes(app: Any, labelling: Labelling) -> None:
    """Adds links, pages and what these ask for to a FastAPI app."""
    from starlette.requests import Request
    from starlette.responses import RedirectResponse

    async def enter(request: Request) -> Any:
        found = await asyncio.to_thread(labelling.enter, request.path_params["token"])
        if found is None:
            return html_response(pages.unknown_link(), 404)
        cookie, seat = found
        path = _address(request, seat)
        answer = RedirectResponse(path, 303)
        answer.set_cookie(
            COOKIE, cookie, COOKIE_SECONDS, path=path, secure=_is_https(request), httponly=True, samesite="lax"
        )
        return answer

    async def page(request: Request) -> Any:
        seat = await asyncio.to_thread(labelling.seat, request.cookies.get(COOKIE, ""), request.path_params["key"])
        if seat is None:
            return html_response(pages.unknown_link(), 404)
        topic = await asyncio.to_thread(labelling.topic, seat.session_id)
        return html_response(
            pages.label_page(topic, seat, f"{request.scope.get('root_path', '')}/label/{key_of(seat)}")
        )

    def answering(work: Callable[[Seat, Any], dict[str, Any]], *, reads_body: bool = False) -> Any:
        """A handler that does `work` for whoever comes with the right cookie."""

        async def handler(request: Request) -> Any:
            key = request.path_params["key"]
            seat = await asyncio.to_thread(labelling.seat, request.cookies.get(COOKIE, ""), key)
            if seat is None:
                raise Refusal(401, "this page is no longer known", where="cookie", fix="open your link again")
            body = await json_object(request, MAX_BODY) if reads_body else None
            return json_response(await asyncio.to_thread(work, seat, body))

        return handler

    app.add_route("/enter/{token}", enter, methods=["GET"])
    app.add_route("/label/{key}", page, methods=["GET"])
    app.add_route("/label/{key}/api/current", answering(lambda seat, _: labelling.state(seat)), methods=["GET"])
    app.add_route("/label/{key}/api/progress", answering(lambda seat, _: labelling.progress(seat)), methods=["GET"])
    app.add_route(
        "/label/{key}/api/save",
        answering(lambda seat, body: labelling.save(seat, said_of(body)), reads_body=True),
        methods=["POST"],
    )
    app.add_route(
        "/label/{key}/api/undo",
        answering(lambda seat, body: labelling.undo(seat, number_of(body)), reads_body=True),
        methods=["POST"],
    )


def html_response(page: pages.Page, status: int = 200) -> Any:
    """A page as an answer, with the policy of its own scripts."""
    from starlette.responses import HTMLResponse

    return HTMLResponse(page.html, status, {"content-security-policy": page.policy})


def _address(request: Any, seat: Seat) -> str:
    """Where a seat's page is, for the person's browser."""
    return f"{request.scope.get('root_path', '')}/label/{key_of(seat)}"


def _is_https(request: Any) -> bool:
    """Did the person's browser come by https? A proxy in front says so; who lies only spoils an own cookie."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip())
