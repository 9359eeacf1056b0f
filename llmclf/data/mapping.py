"""Which column of a table holds what, and how one cell becomes one value of ours."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args
from uuid import UUID

from llmclf.errors import ConfigError, nearest, shorten
from llmclf.types import SPEAKERS, EventKind, Speaker

MetadataValue = str | int | float | bool | None
_EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
_EXACT_FLOAT = 2**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ColumnMapping:
    """The columns of a table with one row a turn (CSV, SQL, Parquet, a DataFrame).

    A row in which every column of the turn is empty makes its conversation known and adds no turn:
    a LEFT JOIN keeps crashed conversations that way.
    """

    conversation_id: str = "conversation_id"
    speaker: str = "speaker"
    text: str | None = "text"
    speakers: Mapping[str, Speaker] = field(default_factory=dict)
    """Value of the speaker column to speaker. Empty: the values are speakers already.
    A value that is not here is listed, never guessed."""
    order: str | None = None
    """A number, or the same column as `time`: turns are sorted by it. None: the rows are in order."""
    time: str | None = None
    time_format: str = "iso"
    """`iso` (ISO 8601), `unix` or `unix_ms` (seconds or milliseconds since 1970, UTC), or a strptime pattern."""
    speaker_id: str | None = None
    started_at: str | None = None
    event: str | None = None
    """A column that says what happened beside the words: a tool call, a transfer."""
    events: Mapping[str, EventKind] = field(default_factory=dict)
    """Value of the event column to kind of event. Empty: the values are kinds already."""
    event_name: str | None = None
    """The tool, team or queue."""
    event_text: str | None = None
    """Arguments, result or reason. The text column again: in rows with an event the text is the event's."""
    metadata: tuple[str, ...] = ()
    """Columns to keep with the conversation; one value for each: the first. Others are left out."""

    @property
    def turn_columns(self) -> tuple[str, ...]:
        """The columns that belong to a turn."""
        names = (self.speaker, self.text, self.time, self.speaker_id, self.event, self.event_name, self.event_text)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, without repeats."""
        others = (self.conversation_id, self.order, self.started_at, *self.metadata)
        return tuple(dict.fromkeys([*self.turn_columns, *(name for name in others if name is not None)]))

    def check(self, present: Iterable[str], where: str) -> None:
        """Raises ConfigError that lists every missing or doubled column and every wrong value of the mapping."""
        columns = list(present)
        problems = [
            f"there is no column {shorten(name, 60)}; {nearest(name, columns)[:60]}"
            for name in self.columns
            if name not in columns
        ]
        problems += [f"column {shorten(name, 60)} stands twice" for name in self.columns if columns.count(name) > 1]
        problems += [
            f"speakers: {shorten(value, 60)} -> {shorten(speaker, 60)} is no speaker; {nearest(str(speaker), SPEAKERS)}"
            for value, speaker in self.speakers.items()
            if speaker not in SPEAKERS
        ]
        problems += [
            f"events: {shorten(value, 60)} -> {shorten(kind, 60)} is no event; {nearest(str(kind), _EVENT_KINDS)}"
            for value, kind in self.events.items()
            if kind not in _EVENT_KINDS
        ]
        if problems:
            raise ConfigError("the column mapping does not fit", where=where, problems=problems)

    def speaker_of(self, value: str) -> Speaker | None:
        """The speaker that a value of the speaker column stands for; None where none is given."""
        if self.speakers:
            return self.speakers.get(value)
        return next((speaker for speaker in SPEAKERS if speaker == value), None)

    def event_of(self, value: str) -> EventKind | None:
        """The kind of event that a value of the event column stands for; None where none is given."""
        if self.events:
            return self.events.get(value)
        return next((kind for kind in _EVENT_KINDS if kind == value), None)


class CellError(ValueError):
    """A cell that can't be the value it should be; the message is the user's."""


def scalar(value: object) -> object:
    """A cell as a plain Python value: numpy and pandas scalars unwrapped, every kind of missing as None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return scalar(float(value)) if not value.is_finite() or value % 1 else int(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, datetime):
        convert = getattr(value, "to_pydatetime", None)  # pandas: nanoseconds are dropped
        return convert(warn=False) if convert else value
    item = getattr(value, "item", None)
    return scalar(item()) if callable(item) and getattr(value, "shape", None) == () else value


def is_empty_cell(value: object) -> bool:
    """True for nothing and for empty text."""
    return value is None or (isinstance(value, str) and not value)


def text_cell(value: object) -> str:
    """A cell as text; nothing is empty text. CellError for bytes and nested values."""
    if value is None:
        return ""
    if isinstance(value, str):
        if any("\udc80" <= character <= "\udcff" for character in value):
            raise CellError("not UTF-8: save the file as UTF-8")
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise CellError("should be text")


def id_cell(value: object) -> str:
    """A conversation id: text, or a whole number that has lost no digits."""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= _EXACT_FLOAT:
            raise CellError("an id that became a decimal number has lost digits; read the column as text")
        value = int(value)
    id = text_cell(value)
    if not id.strip():
        raise CellError("is empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in id):
        raise CellError("holds control characters or half characters")
    return id


def time_cell(value: object, time_format: str) -> datetime | None:
    """A point in time, or None for an empty cell. A time without a zone stays without."""
    if is_empty_cell(value):
        return None
    if isinstance(value, datetime):
        return value
    try:
        if time_format in ("unix", "unix_ms"):
            number = float(value) if isinstance(value, str | int | float) else math.nan
            return _EPOCH + timedelta(seconds=number / (1000 if time_format == "unix_ms" else 1))
        if isinstance(value, str):
            text = value.strip()
            if time_format == "iso":
                return datetime.fromisoformat(text) if len(text) > 10 else _not_a_time()
            return datetime.strptime(text, time_format)
    except (ValueError, OverflowError) as error:
        raise CellError(f"no time in the format {time_format}{_example_of(time_format)}") from error
    raise CellError(f"no time in the format {time_format}; numbers need time_format unix or unix_ms")


def number_cell(value: object) -> float | int:
    """The number of a turn within its conversation."""
    try:
        if isinstance(value, str):
            return float(value) if not value.strip().lstrip("+-").isdecimal() else int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
    except ValueError:
        pass
    raise CellError("should be a number")


def metadata_cell(value: object) -> MetadataValue:
    """A value to slice by: text, number, true or false; times as ISO text; empty as None."""
    if is_empty_cell(value):
        return None
    if isinstance(value, bool | int | float):
        if isinstance(value, float) and not math.isfinite(value):
            raise CellError("is not a finite number")
        return value
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if callable(isoformat) else text_cell(value)


def _example_of(time_format: str) -> str:
    return ", as 2026-05-01T09:30:00Z" if time_format == "iso" else ""


def _not_a_time() -> datetime:
    raise ValueError
