"""Answers that were recorded earlier, to be given again: a store file, read only, or JSON Lines.

A line is an object with `request_hash` and `text`, and where they are known `repeat`, `reasoning`,
`finish_reason`, `usage`, `cost_usd`, `latency_seconds`, `label_logprobs`, `model`, `simulated`; or a
line of `calls.jsonl` as `llmclf store export` writes it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from llmclf.config.mistakes import validated
from llmclf.config.parts import NonNegative, Part
from llmclf.errors import DataError, StoreError
from llmclf.store.connection import boundary
from llmclf.store.records import StoredAnswer
from llmclf.store.texts import storable
from llmclf.types import USAGE_COUNTS, Usage

_EXPORTED = "calls.jsonl"
_MAGIC = b"SQLite format 3\0"
_BROKEN_OFF = ("abort", "error", "insufficient_system_resource")
"""How answers end that an endpoint broke off: they are not given again."""
# No word of the columns: a store of an older llmclf has fewer, and can't be brought up to date unwritten.
_ANSWER = f"""
SELECT * FROM calls JOIN call_texts USING (call_id)
WHERE request_hash = ? AND repeat = ? AND state = 'done' AND forgotten_at IS NULL
  AND coalesce(finish_reason, '') NOT IN {_BROKEN_OFF}
ORDER BY finished_at, call_id LIMIT 1
"""  # noqa: S608 - constants
_SIMULATED = "SELECT 1 FROM calls WHERE model = ? AND simulated AND state = 'done' LIMIT 1"


class Recorded(ABC):
    """Answers by the hash of their request and its repeat. Thread-safe."""

    @abstractmethod
    def answer(self, request_hash: str, repeat: int) -> StoredAnswer | None:
        """The first answer to a request; None where none was recorded."""

    @abstractmethod
    def is_simulated(self, model_id: str) -> bool:
        """True where any answer of this model came from a simulated vendor."""

    def close(self) -> None:
        """Gives the file back."""


def open_recorded(path: Path) -> Recorded:
    """The answers in a store file, in a file of JSON Lines, or in a folder that `llmclf store export` wrote.

    Raises StoreError where the file is not there or can't be read, and DataError with every bad line.
    """
    where = f"recorded answers {path}"
    if path.is_dir():
        path = path / _EXPORTED
    if not path.is_file():
        raise StoreError("there is no such file", where=where, fix="give a store file, or JSON Lines of answers")
    with boundary(where, "reading it"), path.open("rb") as file:
        is_store = file.read(len(_MAGIC)) == _MAGIC
    return _RecordedStore(path, where) if is_store else _RecordedLines(path, where)


class _RecordedStore(Recorded):
    """A store file that is never written, so it may lie on a read-only disk."""

    def __init__(self, path: Path, where: str) -> None:
        self._where = where
        self._lock = threading.Lock()
        with boundary(where, "opening the store"):
            self._connection = _open_read_only(path)
        with suppress(StoreError):
            self._rows("SELECT call_id FROM call_texts LIMIT 0", ())
            return
        self._connection.close()
        raise StoreError("it is no store of llmclf", where=where, fix="give a store file, or JSON Lines of answers")

    def answer(self, request_hash: str, repeat: int) -> StoredAnswer | None:
        found = self._rows(_ANSWER, (request_hash, repeat))
        if not found:
            return None
        row = found[0]
        logprobs = json.loads(row["label_logprobs"]) if row["label_logprobs"] else None
        return _stored(row, row["answer"] or "", logprobs, row["cost_nano"])

    def is_simulated(self, model_id: str) -> bool:
        return bool(self._rows(_SIMULATED, (model_id,)))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        with boundary(self._where, "reading it"), self._lock:
            cursor = self._connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


class _RecordedLines(Recorded):
    """JSON Lines, read whole."""

    def __init__(self, path: Path, where: str) -> None:
        self._answers, self._simulated = _read_lines(path, where)

    def answer(self, request_hash: str, repeat: int) -> StoredAnswer | None:
        return self._answers.get((request_hash, repeat))

    def is_simulated(self, model_id: str) -> bool:
        return model_id in self._simulated or "" in self._simulated


class _Counts(Part):
    """Token counts; what is left out is not known."""

    input_tokens: Annotated[int, Field(ge=0)] | None = None
    cached_tokens: Annotated[int, Field(ge=0)] | None = None
    output_tokens: Annotated[int, Field(ge=0)] | None = None
    reasoning_tokens: Annotated[int, Field(ge=0)] | None = None
    audio_tokens: Annotated[int, Field(ge=0)] | None = None
    cache_write_tokens: Annotated[int, Field(ge=0)] | None = None


class _Line(Part):
    """One answer."""

    request_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    repeat: Annotated[int, Field(ge=0)] = 0
    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    usage: _Counts = _Counts()
    cost_usd: NonNegative | None = None
    latency_seconds: NonNegative | None = None
    label_logprobs: dict[str, Annotated[float, Field(le=0.01, allow_inf_nan=False)]] | None = None
    model: str = ""
    simulated: bool = False
    call_id: str = ""
    attempts: Annotated[int, Field(ge=0)] = 1
    finished_at: str = ""


_ADAPTER = TypeAdapter(_Line)


def _read_lines(path: Path, where: str) -> tuple[dict[tuple[str, int], StoredAnswer], set[str]]:
    """(answers by request, models with a simulated one)."""
    found: dict[tuple[str, int], tuple[_Line, int, bool]] = {}
    simulated: set[str] = set()
    mistakes: list[str] = []
    for number, row, wrong in _rows(path, where):
        exported = isinstance(row, Mapping) and "state" in row
        if exported and (row["state"] != "done" or row.get("forgotten_at") or row.get("answer") is None):
            continue
        line, problems = (None, [wrong]) if wrong else validated(_ADAPTER, _own(row) if exported else row)
        mistakes += [f"line {number}: {problem}" for problem in problems]
        if line is None:
            continue
        if line.simulated:
            simulated.add(line.model)
        if line.finish_reason in _BROKEN_OFF:
            continue
        key = (line.request_hash, line.repeat)
        known = found.get(key)
        if known and not (exported and known[2]):
            mistakes.append(f"line {number}: request_hash: the same request and repeat as in line {known[1]}")
        if known is None or (line.finished_at, line.call_id) < (known[0].finished_at, known[0].call_id):
            found[key] = (line, number, exported)
    if mistakes:
        raise DataError("these answers can't be replayed", where=where, problems=mistakes)
    return {key: _of_line(line) for key, (line, _, _) in found.items()}, simulated


def _rows(path: Path, where: str) -> Iterator[tuple[int, Any, str]]:
    """(number of the line, the object on it, what is wrong with it) for each line that is not empty."""
    with boundary(where, "reading it"), path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                yield number, None, "is no JSON"
                continue
            if isinstance(row, dict):
                yield (
                    number,
                    {name: storable(value) if isinstance(value, str) else value for name, value in row.items()},
                    "",
                )
            else:
                yield number, None, "is no JSON object"


def _own(row: Mapping[str, Any]) -> dict[str, Any]:
    """An exported row with the names of `_Line`."""
    cost = row.get("cost_nano")
    known = {name: row[name] for name in ("request_hash", "repeat", "model", "call_id") if name in row}
    return known | {
        "text": row["answer"],
        "reasoning": row.get("reasoning") or "",
        "finish_reason": row.get("finish_reason") or "",
        "usage": {name: row.get(name) for name in USAGE_COUNTS},
        "cost_usd": cost / 1e9 if isinstance(cost, int) else cost,
        "latency_seconds": row.get("latency_seconds"),
        "label_logprobs": row.get("label_logprobs") or None,
        "simulated": bool(row.get("simulated")),
        "attempts": row.get("attempts") or 0,
        "finished_at": row.get("finished_at") or "",
    }


def _of_line(line: _Line) -> StoredAnswer:
    row = line.model_dump()
    cost = None if line.cost_usd is None else round(line.cost_usd * 1e9)
    return _stored(row | row["usage"], line.text, line.label_logprobs, cost)


def _stored(
    row: Mapping[str, Any], text: str, logprobs: Mapping[str, float] | None, cost_nano: int | None
) -> StoredAnswer:
    return StoredAnswer(
        call_id=row["call_id"],
        text=text,
        reasoning=row["reasoning"] or "",
        finish_reason=row["finish_reason"] or "",
        label_logprobs=logprobs,
        usage=Usage(**{name: row.get(name) for name in USAGE_COUNTS}),
        cost_nano=cost_nano,
        latency_seconds=row["latency_seconds"],
        attempts=row["attempts"],
        model=row["model"],
        simulated=bool(row["simulated"]),
    )


def _open_read_only(path: Path) -> sqlite3.Connection:
    """Reads what others commit meanwhile. Where SQLite can't make its index beside the file, as on a read-only
    disk, the file is taken for one that nobody writes; with a log beside it, which would then be passed over, that
    is an error.
    """
    log = path.with_name(path.name + "-wal")
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if log.exists():
            raise
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return connection
