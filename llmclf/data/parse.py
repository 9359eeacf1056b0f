"""One line of JSON to one strict value, or to the list of what is wrong with it."""

from __future__ import annotations

import functools
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from llmclf.data.problems import Fault
from llmclf.errors import nearest, shorten
from llmclf.types import Attachment, Conversation, Event, Example, Turn

T = TypeVar("T", Conversation, Example)

_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_ISO_START = re.compile(r"\d{4}-\d\d-\d\d[Tt _]")
_KNOWN_KEYS = {
    "turns": [field.name for field in fields(Turn)],
    "events": [field.name for field in fields(Event)],
    "attachments": [field.name for field in fields(Attachment) if field.metadata.get("stored", True)],
}
_ID_FIELDS = {Conversation: "id", Example: "conversation_id"}


class _NotStrictError(ValueError):
    """JSON that Python would read but that says two things, or nothing, in one place."""


def parse_line(raw: bytes, kind: type[T]) -> T | list[Fault]:
    """The value on a line, or everything that is wrong with it.

    Strict: no unknown or doubled keys, no text for numbers, no NaN or infinity. Half characters
    (lone surrogates, as JavaScript's cutting of text leaves them) are kept in texts; `check` finds
    them.
    """
    value = decoded(raw)
    if isinstance(value, Fault):
        return [value]
    halves = bool(_HALF_CHARACTER.search(raw)) and _has_halves(value)
    return _validated(raw, value, kind, halves)


def decoded(raw: bytes) -> Any:
    """The JSON value of a line, or a Fault: not UTF-8, not JSON, a doubled key, NaN, too deep."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault(f"not UTF-8 at byte {error.start}: save the file as UTF-8", raw[error.start : error.start + 8])
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        return Fault("nested too deeply", text[:30])
    except _NotStrictError as error:
        return Fault(str(error))
    except json.JSONDecodeError as error:
        return Fault(f"not JSON ({error.msg} at column {error.colno})", text[max(0, error.pos - 20) : error.pos + 20])
    except ValueError:
        return Fault("holds a number with too many digits", text[:30])


def _validated(raw: bytes, value: Any, kind: type[T], halves: bool) -> T | list[Fault]:
    from pydantic import ValidationError

    adapter = _adapter(kind.__name__)
    try:
        if halves:
            # pydantic's JSON reader refuses lone surrogates: judge a copy without them, then keep the original.
            adapter.validate_json(json.dumps(_without_halves(value)), strict=True)
            parsed: T = adapter.validate_python(value)
        else:
            parsed = adapter.validate_json(raw, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return list(_described(found, kind))
    return [*_more_faults(parsed), *_loose_times(value), *_attachment_faults(value)] or parsed


@functools.cache
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter({"Conversation": Conversation, "Example": Example}[kind])


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _NotStrictError(f"key {shorten(twice, 60)} stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise _NotStrictError(f"{name} is no JSON number; leave the value out or write null")


def _more_faults(value: Conversation | Example) -> Iterator[Fault]:
    """What the types allow and a file may not hold."""
    name = _ID_FIELDS[type(value)]
    id = value.id if isinstance(value, Conversation) else value.conversation_id
    if not id.strip():
        yield Fault(f"{name} is blank", id)
    elif any(unicodedata.category(character) in ("Cc", "Cs") for character in id):
        yield Fault(f"{name} holds control characters or half characters", id)
    numbers: Mapping[str, Any]
    if isinstance(value, Conversation):
        numbers = value.metadata
    else:
        numbers = {"inclusion_probability": value.inclusion_probability}
    for key, number in numbers.items():
        if isinstance(number, float) and not math.isfinite(number):
            yield Fault(f"{shorten(key, 60)} is not a finite number", number)


def _loose_times(row: Any) -> Iterator[Fault]:
    """Times that pydantic reads as seconds since 1970 although they are text."""
    places = [("started_at", row.get("started_at"))]
    places += [(f"turns[{index}].time", turn.get("time")) for index, turn in enumerate(row.get("turns", ()))]
    for place, text in places:
        if isinstance(text, str) and not _ISO_START.match(text):
            yield Fault(f"{place} should be ISO 8601, as 2026-05-01T09:30:00Z", text)


def _attachment_faults(row: Any) -> Iterator[Fault]:
    """Keys that an attachment has in memory only, and pages that reach past the last turn."""
    turns = row.get("turns", ())
    for number, turn in enumerate(turns):
        for place, attachment in enumerate(turn.get("attachments", ())):
            name = f"turns[{number}].attachments[{place}]"
            known = _KNOWN_KEYS["attachments"]
            for key in (key for key in attachment if key not in known):
                yield Fault(f"unknown key {name}.{key}; {nearest(key, known)}")
            if not 0 <= attachment.get("rendered", 0) <= len(turns) - number:
                yield Fault(f"{name}.rendered must be from 0 to the turns that are left", attachment["rendered"])


def _described(errors: list[Any], kind: type[Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for error in errors:
        place = _place(error["loc"])
        if place in seen:  # a value that fits none of several types is told of once for each type
            continue
        seen.add(place)
        yield _fault_of(error, place, kind)


def _fault_of(error: Any, place: str, kind: type[Any]) -> Fault:
    location, got = error["loc"], error["input"]
    last = location[-1] if location else ""
    match error["type"]:
        case "missing":
            return Fault(f"{place} is missing")
        case "unexpected_keyword_argument":
            known = [field.name for field in fields(kind)] if len(location) == 1 else _KNOWN_KEYS.get(location[-3], [])
            return Fault(f"unknown key {place}; {nearest(str(last)[:60], known)}")
        case "literal_error" if last == "speaker":
            what = f"{place}: unknown speaker, never guessed; {error['msg'].lower()}"
            return Fault(what, got, speaker=got)
        case "dataclass_type" if isinstance(got, list) and not location:
            what = "a list, not an object; JSON Lines has one object a line (for a JSON array: jq -c '.[]')"
            return Fault(what)
        case _ if location and location[0] == "metadata" and len(location) > 1:
            return Fault(f"{place} must be text, a number, true, false or null", got)
        case _:
            message = str(error["msg"]).removeprefix("Input ")
            message += ", not null" if got is None else ""
            return Fault(f"{place} {message}" if place else message, got)


def _place(location: tuple[int | str, ...]) -> str:
    if len(location) > 2 and location[0] in ("metadata", "labels"):
        location = location[:2]  # the third says which of several types was tried
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isidentifier() and len(part) <= 60 else shorten(part, 60)
            text += f".{name}" if text else name
    return text


def _has_halves(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        return {_without_halves(key): _without_halves(item) for key, item in value.items()}
    return value
