"""Bad lines: each is listed, and put aside where a rejects file is given. Nothing is lost."""

from __future__ import annotations

import base64
import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from llmclf.data.files import atomic_writer, byte_lines
from llmclf.errors import DataError, shorten
from llmclf.types import Conversation, Example

Place = Literal["line", "row"]
GOT_LIMIT = 60
"""At most so many characters of content stand in a message: conversations are private."""
_LISTED = 20
_FAULTS_SHOWN = 5
_KEPT = 10_000
_SPEAKERS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one line (or row) of a file can't be used."""

    number: int
    """Lines and rows count from 1, as editors show them."""
    what: str
    got: str = ""
    """What stood there, at most 60 characters of it."""
    place: Place = "line"

    def __str__(self) -> str:
        return f"{self.place} {self.number}: {self.what}" + (f"; got {self.got}" if self.got else "")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a line, before it is known where the line stands."""

    what: str
    got: object = None
    speaker: object = None
    """The speaker that is not known, where that is the fault."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The conversations of a file, and what was put aside on the way."""

    conversations: tuple[Conversation, ...]
    problems: tuple[Problem, ...] = ()
    """Why lines were put aside; the first 10,000 (the rejects file has them all)."""
    rejected: int = 0
    """How many lines or rows were put aside."""
    unmapped_speakers: Mapping[str, int] = field(default_factory=dict)
    """Speaker values that are not mapped to a speaker, and how often each was met."""
    notes: tuple[str, ...] = ()
    """What a reader left out on purpose, for instance columns nobody asked for."""


@dataclass(frozen=True, slots=True)
class ExamplesResult:
    """The examples of a labels file, and what was put aside on the way."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...] = ()
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """One line of a rejects file: what was put aside, and why."""

    number: int
    problems: tuple[str, ...]
    raw: bytes | None
    """The line as it stood in the file, byte for byte; None where there was no file of lines."""
    values: Mapping[str, Any] | None
    """The row's values, where it came from a table."""
    place: Place = "line"


class ReadLog:
    """Collects what is wrong while a file is read; `finish` raises, or leaves the rejects behind."""

    def __init__(self, where: str, rejects: IO[bytes] | None, place: Place = "line") -> None:
        self.where = where
        self.place: Place = place
        self.problems: list[Problem] = []
        self.total = 0
        self.rejected = 0
        self.unmapped: Counter[str] = Counter()
        self.notes: list[str] = []
        self._rejects = rejects

    @property
    def keeps_raw(self) -> bool:
        """True where put-aside lines are written somewhere."""
        return self._rejects is not None

    def put_aside(
        self,
        number: int,
        faults: Sequence[Fault],
        raw: bytes | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Counts a bad line and writes it, whole, to the rejects file if there is one."""
        problems = [
            Problem(number, fault.what, "" if fault.got is None else shorten(fault.got, GOT_LIMIT), self.place)
            for fault in faults[:_FAULTS_SHOWN]
        ]
        if len(faults) > _FAULTS_SHOWN:
            problems.append(Problem(number, f"and {len(faults) - _FAULTS_SHOWN} more", place=self.place))
        for fault in faults:
            if fault.speaker is not None:
                self._count_speaker(fault.speaker)
        self.rejected += 1
        self.total += len(problems)
        self.problems.extend(problems[: max(0, _KEPT - len(self.problems))])
        if self._rejects is not None:
            row = {self.place: number, "problems": [str(problem) for problem in problems], **_raw(raw, values)}
            self._rejects.write(json.dumps(row, default=str).encode() + b"\n")

    def finish(self, good: int) -> None:
        """Raises DataError where lines are bad and nothing took them, or where nothing is left."""
        if self.rejected and (self._rejects is None or not good):
            fix = "mend them, or give a rejects file to put them aside and go on"
            if self._rejects is not None:
                fix = "not one could be read: is this the right format?"
            raise self._error(f"{self.place}s that can't be used: {self.rejected}", fix)
        if not good:
            raise DataError("the file holds nothing", where=self.where, fix="give a file with at least one line")

    def _count_speaker(self, value: object) -> None:
        name = str(value)[:GOT_LIMIT]
        if name in self.unmapped or len(self.unmapped) < _SPEAKERS_KEPT:
            self.unmapped[name] += 1

    def _error(self, what: str, fix: str) -> DataError:
        lines = [str(problem) for problem in self.problems[:_LISTED]]
        if self.total > _LISTED:
            lines.append(f"and {self.total - _LISTED} more")
        if self.unmapped:
            lines.append(f"speakers without a mapping: {_counted(self.unmapped)}")
        return DataError(what, where=self.where, fix=fix, problems=lines)


@contextlib.contextmanager
def read_log(where: str, source: Path | None, rejects: Path | None, place: Place = "line") -> Iterator[ReadLog]:
    """A log whose rejects file appears, whole, when the block ends well.

    Raises DataError where the rejects file would replace the source or anything that is not a
    rejects file.
    """
    if rejects is None:
        yield ReadLog(where, None, place)
        return
    _check_target(source, rejects)
    with atomic_writer(rejects) as file:
        yield ReadLog(where, file, place)


def read_rejects(path: str | Path) -> list[Reject]:
    """What was put aside into a rejects file, in order. DataError where it is none."""
    path = Path(path)
    found: list[Reject] = []
    for number, line in byte_lines(path):
        reject = _reject_of(line)
        if reject is None:
            raise DataError("not a line of a rejects file", where=f"{path}, line {number}")
        found.append(reject)
    return found


def _check_target(source: Path | None, rejects: Path) -> None:
    if source is not None and source.exists() and rejects.exists() and rejects.samefile(source):
        raise DataError("the rejects file is the file that is read", where=str(rejects), fix="give another name")
    if not rejects.is_file():
        return
    first = next(iter(byte_lines(rejects)), None)
    if first is not None and _reject_of(first[1]) is None:
        raise DataError(
            "the file exists and holds something other than rejects", where=str(rejects), fix="give another name"
        )


def _reject_of(line: bytes) -> Reject | None:
    try:
        row = json.loads(line)
        place: Place = "row" if "row" in row else "line"
        raw = base64.b64decode(row["raw_base64"]) if "raw_base64" in row else row.get("raw", "").encode()
        has_raw = "raw" in row or "raw_base64" in row
        return Reject(row[place], tuple(row["problems"]), raw if has_raw else None, row.get("values"), place)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _raw(raw: bytes | None, values: Mapping[str, Any] | None) -> dict[str, Any]:
    if raw is None:
        return {} if values is None else {"values": dict(values)}
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}


def _counted(counts: Counter[str]) -> str:
    shown = ", ".join(f"{shorten(name, GOT_LIMIT)} ({count})" for name, count in counts.most_common(10))
    return shown + (", ..." if len(counts) > 10 else "")
