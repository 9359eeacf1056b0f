"""Rows of a table, one a turn, to conversations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from llmclf.data.mapping import (
    CellError,
    ColumnMapping,
    MetadataValue,
    id_cell,
    is_empty_cell,
    metadata_cell,
    number_cell,
    scalar,
    text_cell,
    time_cell,
)
from llmclf.data.problems import GOT_LIMIT, Fault, ReadLog
from llmclf.errors import shorten
from llmclf.types import Conversation, Event, Turn

_V = TypeVar("_V")


class Row(NamedTuple):
    """One row of a table: its number from 1, its values by column, and the bytes it came from (if it did)."""

    number: int
    values: Mapping[str, object]
    raw: bytes | None = None
    faults: tuple[Fault, ...] = ()
    """What is wrong with the row as such, for instance too few columns."""


@dataclass(slots=True)
class _TurnRow:
    number: int
    turn: Turn | None
    order: float | datetime | None


@dataclass(slots=True)
class _Group:
    turns: list[_TurnRow] = field(default_factory=list)
    started_at: datetime | None = None
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    """Columns of metadata that had another value later; the first one is kept."""
    faulty: dict[int, list[Fault]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    """Every row, kept only where a rejects file wants them back."""


def conversations_of_rows(rows: Iterable[Row], mapping: ColumnMapping, log: ReadLog) -> Iterator[Conversation]:
    """The conversations in the rows, in the order of their first row; the rows may be interleaved.

    A conversation with one bad row is put aside with all its rows: half a conversation would be
    another conversation. Metadata that changes within one keeps its first value, and a note says so.
    """
    changed: Counter[str] = Counter()
    groups: dict[str, _Group] = {}
    for row in rows:
        if row.faults and mapping.conversation_id not in row.values:
            log.put_aside(row.number, row.faults, row.raw, row.values)
            continue
        try:
            id = id_cell(scalar(row.values[mapping.conversation_id]))
        except CellError as error:
            got = row.values[mapping.conversation_id]
            log.put_aside(row.number, [Fault(f"{mapping.conversation_id}: {error}", got)], row.raw, row.values)
            continue
        group = groups.setdefault(id, _Group())
        if log.keeps_raw:
            group.rows.append(row)
        _add(group, row, mapping)
    for id in list(groups):
        group = groups.pop(id)  # freed as it goes: the rows of a million conversations are large
        _check_order(group, mapping)
        if group.faulty:
            _put_aside(group, log)
        else:
            turns = tuple(row.turn for row in _sorted(group) if row.turn is not None)
            changed.update(group.changed)
            yield Conversation(id, turns, group.started_at, group.metadata)
    for name, count in sorted(changed.items()):
        log.notes.append(
            f"metadata column {shorten(name, GOT_LIMIT)} changes within conversations: {count}; the first value is kept"
        )


def _add(group: _Group, row: Row, mapping: ColumnMapping) -> None:
    faults = list(row.faults)
    if not faults:
        cells = _Cells({name: scalar(row.values[name]) for name in mapping.columns}, faults)
        turn = _turn(cells, mapping)
        order = _order(cells, mapping, turn)
        group.turns.append(_TurnRow(row.number, turn, order))
        _add_started(group, cells, mapping)
        for name in mapping.metadata:
            _add_metadata(group, name, cells)
    if faults:
        group.faulty[row.number] = faults


class _Cells:
    """The cells of one row; a cell that can't be converted becomes a fault and None."""

    def __init__(self, values: Mapping[str, object], faults: list[Fault]) -> None:
        self.values = values
        self.faults = faults

    def get(self, column: str | None, convert: Callable[[object], _V]) -> _V | None:
        if column is None:
            return None
        value = self.values[column]
        try:
            return convert(value)
        except CellError as error:
            self.fault(column, str(error), value)
            return None

    def fault(self, column: str, what: str, got: object, speaker: object = None) -> None:
        self.faults.append(Fault(f"column {shorten(column, GOT_LIMIT)}: {what}", got, speaker))


def _turn(cells: _Cells, mapping: ColumnMapping) -> Turn | None:
    if all(is_empty_cell(cells.values[name]) for name in mapping.turn_columns):
        return None
    name = cells.get(mapping.speaker, text_cell)
    speaker = None if name is None else mapping.speaker_of(name.strip())
    if speaker is None:
        if name is not None:
            cells.fault(
                mapping.speaker,
                "unknown speaker, never guessed; map it in speakers of the column mapping (--map)",
                name,
                speaker=name,
            )
        speaker = "user"  # the fault keeps this turn from ever being used
    text = cells.get(mapping.text, text_cell) or ""
    event = _event(cells, mapping)
    if event is not None and mapping.event_text is not None and mapping.event_text == mapping.text:
        text = ""
    return Turn(
        speaker,
        text,
        speaker_id=cells.get(mapping.speaker_id, text_cell) or None,
        time=cells.get(mapping.time, lambda value: time_cell(value, mapping.time_format)),
        events=() if event is None else (event,),
    )


def _event(cells: _Cells, mapping: ColumnMapping) -> Event | None:
    value = (cells.get(mapping.event, text_cell) or "").strip()
    if mapping.event is None or not value:
        return None
    kind = mapping.event_of(value)
    if kind is None:
        cells.fault(mapping.event, "unknown event; map it in events of the column mapping (--map)", value)
        return None
    name = cells.get(mapping.event_name, text_cell) or ""
    return Event(kind, name, cells.get(mapping.event_text, text_cell) or "")


def _order(cells: _Cells, mapping: ColumnMapping, turn: Turn | None) -> float | datetime | None:
    if mapping.order is None or turn is None:
        return None
    if mapping.order != mapping.time:
        return cells.get(mapping.order, number_cell)
    if turn.time is None and is_empty_cell(cells.values[mapping.order]):
        cells.fault(mapping.order, "is empty, and turns are ordered by it", None)
    return turn.time


def _add_started(group: _Group, cells: _Cells, mapping: ColumnMapping) -> None:
    started = cells.get(mapping.started_at, lambda value: time_cell(value, mapping.time_format))
    if started is None or mapping.started_at is None:
        return
    if group.started_at is None:
        group.started_at = started
    elif started != group.started_at:
        cells.fault(mapping.started_at, "differs within the conversation", started.isoformat())


def _add_metadata(group: _Group, column: str, cells: _Cells) -> None:
    value = cells.get(column, metadata_cell)
    known = group.metadata.get(column)
    if known is None:
        group.metadata[column] = value
    elif value is not None and (value != known or type(value) is not type(known)):
        group.changed.add(column)


def _check_order(group: _Group, mapping: ColumnMapping) -> None:
    if mapping.order is None:
        return
    if mapping.order == mapping.time:
        times = [row.order for row in group.turns if isinstance(row.order, datetime)]
        if len({time.utcoffset() is None for time in times}) > 1:
            fault = Fault("times with and without a zone in one conversation can't be put in order")
            group.faulty.setdefault(group.turns[0].number, []).append(fault)
        return
    seen: dict[object, int] = {}
    for row in group.turns:
        if row.turn is not None and row.order is not None:
            first = seen.setdefault(row.order, row.number)
            if first != row.number:
                fault = Fault(f"column {shorten(mapping.order, GOT_LIMIT)}: the same turn as {first}", row.order)
                group.faulty.setdefault(row.number, []).append(fault)


def _sorted(group: _Group) -> list[_TurnRow]:
    turns = [row for row in group.turns if row.turn is not None]
    if any(row.order is None for row in turns):
        return turns
    return sorted(turns, key=lambda row: row.order)  # type: ignore[arg-type, return-value]  # one kind, checked before


def _put_aside(group: _Group, log: ReadLog) -> None:
    """Every bad row; and where they are written, the good rows of the same conversation too."""
    log.lost += 1
    first = min(group.faulty)
    for number, faults in group.faulty.items():
        if not group.rows:
            log.put_aside(number, faults)
    for row in group.rows:
        reason = Fault(f"{log.place} {first} of its conversation is bad")
        log.put_aside(row.number, group.faulty.get(row.number) or [reason], row.raw, row.values)
