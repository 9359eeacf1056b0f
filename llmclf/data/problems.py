"""Bad lines: each is listed, and put aside where a rejects file is given. Nothing is lost."""

from __future__ import annotations

import base64
import contextlib
import json
import re
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
_VALUES_APART = 5
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
    lost_conversations: int = 0
    """How many conversations are not there because of what was put aside."""


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
        self.lost = 0
        """Conversations that are not there because of bad lines; readers of rows count them."""
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
            problems.append(
                Problem(number, f"and {len(faults) - _FAULTS_SHOWN} more in this {self.place}", place=self.place)
            )
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
            fix = "mend them, or give a rejects file to put them aside (rejects=PATH, data import --rejects PATH)"
            if self._rejects is not None:
                fix = "not one could be read: is this the right format?"
                if self.unmapped:
                    fix = "not one could be read: map the speakers first"
            what = f"{self.place}s that can't be used: {self.rejected}"
            if self.lost:
                what += f" (conversations: {good} could be read, {self.lost} not)"
            raise self._error(what, fix)
        if not good:
            raise DataError("the file holds nothing", where=self.where, fix="give a file with at least one line")

    def _count_speaker(self, value: object) -> None:
        name = str(value)[:GOT_LIMIT]
        if name in self.unmapped or len(self.unmapped) < _SPEAKERS_KEPT:
            self.unmapped[name] += 1

    def _error(self, what: str, fix: str) -> DataError:
        lines = summary(self.problems, self.total, self.unmapped)
        return DataError(what, where=self.where, fix=fix, problems=lines)


def summary(problems: Sequence[Problem], total: int, unmapped: Mapping[str, int]) -> list[str]:
    """What is wrong with a file in about 20 lines: those alike are one with a count, so they bury nothing.

    `total` counts the problems that are not kept too.
    """
    groups = _alike(problems)[:_LISTED]
    lines = [_told(group) for group in groups]
    more = total - sum(len(group) for group in groups)
    if more > 0:
        lines.append(f"and {more} more")
    if unmapped:
        lines.append(f"speakers without a mapping: {_counted(Counter(unmapped))}")
    return lines


@contextlib.contextmanager
def read_log(where: str, source: Path | None, rejects: Path | None, place: Place = "line") -> Iterator[ReadLog]:
    """A log whose rejects file appears, whole and its owner's alone, when the block ends well.

    Raises DataError where the rejects file would replace the source or anything that is not a
    rejects file.
    """
    if rejects is None:
        yield ReadLog(where, None, place)
        return
    _check_target(source, rejects)
    with atomic_writer(rejects, private=True) as file:
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


def _alike(problems: Sequence[Problem]) -> list[list[Problem]]:
    """The problems that differ in numbers at most, in the order of the first of each.

    Those that differ in what was got are kept apart too, unless there are many such values.
    """
    kinds = [(problem.place, re.sub(r"\d+", "0", problem.what)) for problem in problems]
    values: dict[tuple[str, str], set[str]] = {}
    for problem, kind in zip(problems, kinds, strict=True):
        values.setdefault(kind, set()).add(problem.got)
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem, kind in zip(problems, kinds, strict=True):
        got = problem.got if len(values[kind]) <= _VALUES_APART else ""
        groups.setdefault((*kind, got), []).append(problem)
    return list(groups.values())


def _told(group: Sequence[Problem]) -> str:
    first = group[0]
    if len(group) == 1:
        return str(first)
    text = first.what + (f"; got {first.got}" if first.got else "")
    same = all((problem.what, problem.got) == (first.what, first.got) for problem in group)
    numbers = {problem.number for problem in group}
    if len(numbers) == 1:
        return f"{first} (and the like)"
    count = f"{len(numbers)} {first.place}s, first {first.place} {min(numbers)}"
    return f"{text}: {count}" if same else f"{text} (and the like): {count}"


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
