"""The faults that every route is tried with in every format: what the server does, and what becomes of it.

`python tests/fault_rows.py` writes the table of docs/faults.md anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal, cast

from vendor_wire import FORMATS, Format, cut_short, html
from wire import Reply

Cost = Literal["nothing", "as billed", "unknown", "possibly billed"]
GOOD: dict[str, Any] = {
    "evidence": [{"turn": 1, "quote": "I can help you with that myself."}],
    "rationale": "asked and was not transferred",
    "label": "refused",
    "confidence": 0.9,
}
TEXT = json.dumps(GOOD)
PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"
_ENOUGH = 20.0


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    replies: Callable[[Format], Sequence[Reply]]
    """What the server does with the first request, the second, ...; the last again and again."""
    becomes: str
    """The kind of the error, or `answer`."""
    attempts: int = 1
    """Requests that reach the server."""
    cost: Cost = "nothing"
    """What the prediction costs: `unknown` and `possibly billed` are None, never 0."""
    answers: int = 1
    """Answers that are paid for, where the cost is as billed."""
    lost: int = 0
    """Attempts that may have been billed without an answer; their worst case stays reserved."""
    timeout: float = _ENOUGH
    """Seconds that the caller gives."""
    takes: tuple[float, float] = (0, _ENOUGH)
    """Seconds it may take."""
    nobody_listens: bool = False
    """True: the server's port is closed."""
    stands_still: bool = False
    """True: the endpoint is left alone for long afterwards, so the row has a runtime of its own."""
    instead: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By format: fields that differ there."""

    def in_format(self, form: Format) -> Fault:
        """The row as it is in one format."""
        return replace(self, **self.instead.get(form.name, {}))


def _text(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def _status(status: int, becomes: str, what: str = "", attempts: int = 1, code: str = "") -> Fault:
    """The same status again and again; a vendor that ran out of time may have billed for it."""
    billed: dict[str, Any] = {"cost": "possibly billed", "lost": attempts} if becomes == "timeout" else {}
    name = f"{status}, {what}" if what else str(status)
    return Fault(name, lambda form: [form.fails(status, code)], becomes, attempts, **billed)


def _once(name: str, reply: Callable[[Format], Reply], **more: Any) -> Fault:
    """A fault that is over when the call is made again."""
    return Fault(name, lambda form: [reply(form), form.says(TEXT)], "answer", 2, "as billed", **more)


def _garbage(name: str, reply: Callable[[Format], Reply], becomes: str = "internal", **more: Any) -> Fault:
    """A success by its status that is no answer: permanent, and it may have been billed."""
    return Fault(name, lambda form: [reply(form)], becomes, cost="possibly billed", lost=1, **more)


def _said(name: str, text: str | None, becomes: str = "unparsable", ending: Any = "stop", **more: Any) -> Fault:
    """A finished answer with believable usage; one that can't be read is asked for once more, in vain."""
    asked = 2 if becomes == "unparsable" else 1
    return Fault(name, lambda form: [form.says(text, ending)], becomes, asked, "as billed", asked, **more)


def _used(name: str, prompt: int, output: int) -> Fault:
    return Fault(name, lambda form: [form.with_usage(form.usage(prompt, output), TEXT)], "answer", cost="unknown")


def _in_a_second(form: Format) -> Reply:
    """A 429 with a date; dates have whole seconds, so it is half a second to one and a half from now."""
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=1.5), usegmt=True)
    return form.fails(429, wait=None, headers={"retry-after": when})


_UNREAD = {"becomes": "internal", "cost": "possibly billed", "lost": 1}
_EMPTY = {"becomes": "empty"}
_SILENT_RESPONSES = {"openai responses": _EMPTY}
_SILENT = {**_SILENT_RESPONSES, "gemini": _EMPTY}
_TOLD = {"becomes": "unavailable", "attempts": 4, "lost": 4}
_FILTERED = {"becomes": "content_filter"}
FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "The vendor refuses the request": (
        _status(400, "bad_request"),
        _status(400, "context_overflow", "context overflow", code="context_length_exceeded"),
        _status(400, "content_filter", "content filter", code="content_filter"),
        _status(400, "authentication", "no credit left", code="insufficient_quota"),
        _status(401, "authentication", code="invalid_api_key"),
        _status(402, "authentication"),
        _status(403, "authentication"),
        _status(404, "not_found", "no such model", code="model_not_found"),
        _status(413, "context_overflow"),
        _status(422, "bad_request"),
        _status(429, "authentication", "insufficient_quota", code="insufficient_quota"),
    ),
    "The vendor can't answer now": (
        _status(408, "timeout", attempts=4),
        _status(409, "unavailable", attempts=4),
        _status(429, "rate_limited", attempts=4),
        _status(500, "unavailable", attempts=4),
        _status(502, "unavailable", attempts=4),
        _status(503, "unavailable", attempts=4),
        _status(504, "timeout", attempts=4),
        _status(529, "unavailable", attempts=4),
        Fault("HTML with 502", lambda form: [html(502)], "unavailable", 4),
        _once("500, once", lambda form: form.fails(500)),
        _once("429, Retry-After in seconds", lambda form: form.fails(429, wait=1), takes=(1.0, 8)),
        _once("429, Retry-After as a date", _in_a_second, takes=(0.5, 8)),
        Fault(
            "429, Retry-After beyond the deadline",
            lambda form: [form.fails(429, wait=3600)],
            "rate_limited",
            takes=(0, 5),
            stands_still=True,
        ),
    ),
    "The connection": (
        Fault("connection refused", lambda form: [], "connection", 0, timeout=5.0, takes=(0, 6), nobody_listens=True),
        _once("reset mid-body, once", lambda form: replace(form.says(TEXT), reset_after=40), lost=1),
        _once("stream cut short, once", lambda form: cut_short(form.says(TEXT), 40), lost=1),
        Fault(
            "stall",
            lambda form: [form.says(TEXT, delay=30)],
            "timeout",
            cost="possibly billed",
            lost=1,
            timeout=0.4,
            takes=(0.3, 6),
        ),
        Fault(
            "slow trickle",
            lambda form: [form.says(TEXT, trickle=0.1)],
            "timeout",
            cost="possibly billed",
            lost=1,
            timeout=0.5,
            takes=(0.4, 6),
        ),
    ),
    "A success that is no answer": (
        _garbage("HTML with 200", lambda form: html()),
        _garbage("empty body", lambda form: Reply(body=b"")),
        _garbage("truncated JSON", lambda form: Reply(body=form.says(TEXT).body[:60])),
        _garbage("JSON of another kind", lambda form: Reply(body=b"[1, 2]")),
        _garbage(
            "an error with 200",
            lambda form: form.fails(200, "server_error", wait=None),
            instead={"openai responses": _TOLD, "http": _TOLD},
        ),
        _garbage("no choices at all", lambda form: form.without_choices(), instead={**_SILENT, "http": _EMPTY}),
        _garbage("choices null", lambda form: form.without_choices(None), instead={**_SILENT, "http": _EMPTY}),
        _garbage("choices a text", lambda form: form.without_choices("none"), instead=_SILENT),
        _garbage("a choice that is a number", lambda form: form.without_choices([5]), instead=_SILENT_RESPONSES),
        _garbage("a choice that holds nothing", lambda form: form.without_choices([{}]), instead=_SILENT),
        _garbage("text that is a number", lambda form: form.says(cast("str", 5))),
        _garbage(
            "empty choices",
            lambda form: form.without_choices([]),
            "empty",
            instead={"anthropic": {"cost": "as billed", "lost": 0}},
        ),
    ),
    "The answer": (
        _said("nothing wrong", TEXT, "answer"),
        _said(
            "refusal",
            TEXT,
            "refused",
            ending="refusal",
            instead={"anthropic": _FILTERED, "gemini": _FILTERED},
        ),
        _said("content filter", TEXT, "content_filter", ending="content_filter"),
        _said("length stop inside JSON", TEXT[:50], "length", ending="length"),
        _said("no text", None, "empty"),
        _said("white space", " \n", "empty"),
        Fault(
            "an answer that can't be read, once",
            lambda form: [form.says("It is refused, I think."), form.says(TEXT)],
            "answer",
            2,
            "as billed",
            2,
        ),
        _said("truncated JSON in the text", TEXT[:-10]),
        _said("label outside the set", _text(label="rude")),
        _said("wrong type", _text(label=["refused"])),
        _said("duplicate keys", TEXT[:-1] + ', "label": "clean"}'),
        _said("two answers in one", TEXT + "\n" + _text(label="clean")),
        _said("extra prose around JSON", f"Sure! {TEXT} Anything else?"),
        _said("NaN score", _text(confidence=float("nan"))),
        _said("2 MB answer", _text(rationale="x" * 2_000_000)),
        _said("`<think>` tags in the text", f"<think>label: clean?</think>\n{TEXT}", "answer"),
        _said("`</think>` alone before the answer", f"label: clean?</think>\n{TEXT}", "answer"),
        _said("`<think>` without an end", f"<think>hmm {TEXT}"),
        _said("nothing but `<think>`", "<think>hmm</think>", "empty"),
        _said("brackets 600 deep", TEXT[:-1] + ', "x": ' + "[" * 600 + "]" * 600 + "}"),
    ),
    "What it cost": (
        Fault(
            "usage missing",
            lambda form: [form.with_usage({}, TEXT)],
            "answer",
            cost="unknown",
            instead={"anthropic": _UNREAD, "gemini": _UNREAD},
        ),
        _used("usage zero", 0, 0),
        _used("usage negative", -5, -1),
        _used("usage absurd", 10**12, 20),
    ),
}
"""The table, in parts."""


def table() -> str:
    """The table of faults as Markdown, without what stands around it."""
    lines = []
    for part, faults in FAULTS.items():
        lines += ["", f"### {part}", "", "| fault | becomes | attempts | cost |", "| --- | --- | --- | --- |"]
        for fault in faults:
            columns = [_column(fault, read) for read in (_becomes, lambda row: str(row.attempts), _cost)]
            lines.append(f"| {' | '.join([fault.name, *columns])} |")
    return "\n".join([*lines, ""]) + "\n"


def _column(fault: Fault, read: Callable[[Fault], str]) -> str:
    """What holds in every format, and then the formats in which it is something else."""
    usual = read(fault)
    others: dict[str, list[str]] = {}
    for form in FORMATS:
        found = read(fault.in_format(form))
        if found != usual:
            others.setdefault(found, []).append(form.name)
    return "; ".join([usual, *(f"{', '.join(names)}: {found}" for found, names in others.items())])


def _becomes(fault: Fault) -> str:
    return fault.becomes if fault.becomes == "answer" else f"`{fault.becomes}`"


def _cost(fault: Fault) -> str:
    if fault.cost != "as billed":
        return fault.cost
    return fault.cost + (
        ", twice" if fault.answers == 2 else ", the first attempt possibly billed" if fault.lost else ""
    )


def page_with_table(page: str) -> str:
    """docs/faults.md with the table in its place."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
