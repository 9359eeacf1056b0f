"""Judgments that were made elsewhere: read from JSON Lines, and found again in the store."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from llmclf.errors import DataError, ErrorKind, nearest, shorten
from llmclf.judges.base import Judge, OnJudgment
from llmclf.store.texts import storable
from llmclf.types import CANNOT_TELL, RECORDED, Case, Conversation, ErrorInfo, Item, Judgment, Rubric, content_hash
from llmclf.types.judgment import Probe

_ITEM = re.compile(r"(.+)\[(\d+)\]")
_READ = ("judge", "item", "verdict", "reason", "conversation_id", "turn", "probe", "repeat", "model")
_MOST_PROBLEMS = 20
_MOST_SHOWN = 60
_HIGHEST = 2**31
"""Of a turn and of a repeat: what is above is no number of either, and too large for the store."""
_RANGE = f"a whole number from 0 to {_HIGHEST}"
_LONGEST = 40  # digits, zeros before it and all
_DIGITS = 12
_NOT_FOUND: ErrorKind = "not_found"
_NEWEST = """
SELECT json_extract(config, '$.fingerprint') AS fingerprint FROM runs
WHERE kind = 'judge' AND state = 'done' AND json_extract(config, '$.judge') = ?
  AND json_extract(config, '$.imported_from') IS NOT NULL
ORDER BY run_id DESC LIMIT 1
"""


@dataclass(frozen=True)
class Recording:
    """What a file of recorded judgments holds."""

    judgments: tuple[Judgment, ...]
    """In the order of the file; one whose verdict is missing or unknown is failed, and kept."""
    items: Mapping[str, Item]
    """Case to the item it is about."""
    verdicts: Mapping[str, int]
    """Every verdict that was seen, with its count, in the order of the file; unknown ones too."""
    unknown: Mapping[str, int]
    """Verdicts outside the closed set, with their counts."""
    missing: int
    """Lines without a verdict."""
    duplicates: tuple[str, ...]
    """Lines about a case that was judged before; the first counts."""
    others: Mapping[str, int]
    """Judges with lines in the file that were not asked for."""
    passed_over: tuple[str, ...]
    """Fields that nothing reads."""
    without_field: tuple[str, ...] = ()
    """Lines that have no field `verdict` at all: most likely it is called something else there. In `missing`, too."""
    odd: tuple[str, ...] = ()
    """Lines whose verdict is a number or a truth value that is not in the closed set. In `unknown`, too."""
    not_renamed: tuple[str, ...] = ()
    """Verdicts that were to be renamed, and that no line has."""


class RecordedJudge(Judge):
    """Finds its judgments in the store, where `llmclf judge import` put them. It asks nobody."""

    kind = "recorded"

    @property
    def fingerprint(self) -> str:
        """That of its newest import in the store; `recorded` where nothing was imported.

        Nobody knows what decided its verdicts, so that they themselves are what it is: `recorded-` and twelve digits
        of a hash over them.
        """
        found = self.runtime.store.query(_NEWEST, (self.name,))
        return str(found[0]["fingerprint"]) if found else RECORDED

    def fingerprint_with(self, judgments: Sequence[Judgment]) -> tuple[str, int]:
        """(the fingerprint that an import of these has, how many verdicts it changes).

        It stays the same where the import changes no verdict and at most adds cases. Otherwise it is over what is
        imported alone: another judge, to which the verdicts before do not belong. A failure is no verdict, and one
        in the place of a verdict, or the other way round, is a change.
        """
        now = self.fingerprint
        said = {(one.case, one.probe, one.repeat): one.verdict for one in judgments}
        before = self.runtime.store.judgments(self.name, fingerprint=now)
        known = {
            (one.case, one.probe, one.repeat): one.verdict
            for one in before
            if one.error is None or one.error.kind != _NOT_FOUND  # nobody said that: the judge was asked in vain
        }
        changed = sum(verdict != known[key] for key, verdict in said.items() if key in known)
        if known and not changed:
            return now, 0
        rows = sorted((*key, verdict) for key, verdict in said.items())
        return f"{RECORDED}-{content_hash(rows)[:_DIGITS]}", changed

    @property
    def simulated(self) -> bool:
        """False: somebody said it, elsewhere."""
        return False

    def problems_of(self, case: Case, conversation: Conversation | None) -> list[str]:
        """None: it judged elsewhere, and needs to be shown nothing."""
        return []

    async def ajudge(
        self,
        case: Case,
        conversation: Conversation | None = None,
        *,
        probe: Probe = "",
        repeat: int = 0,
        timeout: float | None = None,
    ) -> Judgment:
        """The recorded judgment of a case; failed as `not_found` where there is none."""
        return self._found([case], probe, repeat)[0]

    def judge(
        self,
        cases: Sequence[Case],
        conversations: Mapping[str, Conversation] = {},
        *,
        probe: Probe = "",
        repeat: int = 0,
        on_done: OnJudgment | None = None,
    ) -> list[Judgment]:
        """As of every judge, in one look."""
        self.check_cases(cases, conversations)
        found = self._found(cases, probe, repeat)
        for judgment in found if on_done else ():
            on_done(judgment)  # type: ignore[misc]
        return found

    def _found(self, cases: Sequence[Case], probe: Probe, repeat: int) -> list[Judgment]:
        ids = [case.id for case in cases]
        now = self.fingerprint
        kept = self.runtime.store.judgments(self.name, fingerprint=now, probe=probe, repeat=repeat, case_ids=ids)
        known = {judgment.case: judgment for judgment in kept}
        error = ErrorInfo(_NOT_FOUND, f"no judgment of {self.name} is recorded for this case")
        missing = Judgment("", self.name, now, probe=probe, repeat=repeat, error=error)
        return self.stamped_as(now, [known.get(one) or replace(missing, case=one) for one in ids])


def read_recorded(path: str | Path, name: str, rubric: Rubric | None = None, *, source: str = "") -> list[Judgment]:
    """The judgments of one judge in a file of JSON Lines; as `read_recording`, without what is said about the file."""
    return list(read_recording(path, name, rubric, source=source).judgments)


def read_recording(
    path: str | Path,
    name: str,
    rubric: Rubric | None = None,
    *,
    source: str = "",
    renamed: Mapping[str, str] = {},
) -> Recording:
    """A file of JSON Lines with `item`, `verdict` and perhaps `judge`, `reason`, `turn`, `probe`, `repeat`, `model`.

    Lines whose `judge` is `source` (default: `name`), and those that name none, are the judge's. An `item` such as
    `c1[3]` is about turn 3 of conversation c1. A verdict that `renamed` has is taken for the one that it names there.
    One that is null, empty or not in the `rubric` gives a failed judgment of kind `unparsable`. DataError with every
    bad line: no JSON object, no item, a field of a wrong type, a turn or repeat above 2**31; nothing is read then.
    """
    path = Path(path)
    reader = _Reader(name, source or name, rubric, renamed)
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            reader.take(number, line)
    if reader.problems:
        more = len(reader.problems) - _MOST_PROBLEMS
        shown = reader.problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise DataError(f"lines that can't be used: {len(reader.problems)}", where=str(path), problems=shown)
    if not reader.judgments:
        raise DataError(
            f"the file holds no judgment of {reader.source!r}",
            where=str(path),
            fix=nearest(reader.source, list(reader.others)) or "give a file with at least one line",
        )
    return reader.recording()


class _Reader:
    """Takes the lines of a file one by one."""

    def __init__(self, name: str, source: str, rubric: Rubric | None, renamed: Mapping[str, str]) -> None:
        self.name = name
        self.source = source
        self.rubric = rubric
        self.renamed = renamed
        self.problems: list[str] = []
        self.judgments: list[Judgment] = []
        self.others: Counter[str] = Counter()
        self._items: dict[str, Item] = {}
        self._verdicts: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._missing = 0
        self._duplicates: list[str] = []
        self._seen: set[tuple[str, Probe, int]] = set()
        self._passed_over: dict[str, None] = {}
        self._without_field: list[str] = []
        self._odd: list[str] = []
        self._renamed: set[str] = set()

    def recording(self) -> Recording:
        """What was read."""
        return Recording(
            tuple(self.judgments),
            self._items,
            self._verdicts,
            self._unknown,
            self._missing,
            tuple(self._duplicates),
            self.others,
            tuple(self._passed_over),
            tuple(self._without_field),
            tuple(self._odd),
            tuple(one for one in self.renamed if one not in self._renamed),
        )

    def take(self, number: int, line: bytes) -> None:
        """One line that is not blank."""
        row, problem = _object(line)
        wrong = [problem] if problem else _wrong_fields(row)
        if wrong:
            self.problems.append(f"line {number}: {'; '.join(wrong)}")
            return
        judge = row.get("judge")
        if judge is not None and judge != self.source:
            self.others[judge] += 1
            return
        self._passed_over |= dict.fromkeys(key for key in row if key not in _READ)
        case, item = _case_of(row)
        probe: Probe = row.get("probe") or ""
        repeat: int = row.get("repeat") or 0
        if (case, probe, repeat) in self._seen:
            self._duplicates.append(f"line {number}: {_short(case)}{f' ({probe})' if probe else ''}")
            return
        self._seen.add((case, probe, repeat))
        self._items[case] = item
        self.judgments.append(self._judgment(row, number, case, probe, repeat))

    def _judgment(self, row: Mapping[str, Any], number: int, case: str, probe: Probe, repeat: int) -> Judgment:
        verdict, error = _word(row.get("verdict")), None
        if verdict in self.renamed:
            self._renamed.add(verdict)
            verdict = self.renamed[verdict]
        if not verdict:
            self._missing += 1
            if "verdict" not in row:
                self._without_field.append(f"line {number}: {_short(case)}")
            error = ErrorInfo("unparsable", "no verdict was recorded")
        else:
            self._verdicts[verdict] += 1
        known = self.rubric is None or verdict == CANNOT_TELL or verdict in self.rubric.names
        if verdict and not known:
            self._unknown[verdict] += 1
            if not isinstance(row["verdict"], str):
                self._odd.append(f"line {number}: {_short(case)}: {json.dumps(row['verdict'])}")
            error = ErrorInfo("unparsable", f"the recorded verdict is not in the closed set; got {shorten(verdict)}")
        return Judgment(
            case,
            self.name,
            RECORDED,
            verdict=None if error else verdict,
            reason=storable(row.get("reason") or ""),
            probe=probe,
            repeat=repeat,
            error=error,
            model=storable(row.get("model") or ""),
        )


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror}", where=str(path)) from error


def _object(line: bytes) -> tuple[dict[str, Any], str]:
    """(the object on a line, no problem), or what is wrong with it."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return {}, f"no JSON: {shorten(str(error), 60)}"
    return (row, "") if isinstance(row, dict) else ({}, f"no JSON object but {type(row).__name__}")


def _wrong_fields(row: Mapping[str, Any]) -> list[str]:
    """What is wrong with the fields of a line."""
    item, probe = row.get("item"), row.get("probe") or ""
    found = []
    if isinstance(item, bool) or not isinstance(item, str | int) or item == "":
        found.append(f"`item` must be text; got {shorten(item, 60)}")
    elif (matched := _ITEM.fullmatch(str(item))) and not _is_small(matched[2]):
        found.append(f"the turn of `item` must be {_RANGE}; got {shorten(item, 60)}")
    for name in ("judge", "reason", "model", "conversation_id"):
        if row.get(name) is not None and not isinstance(row[name], str):
            found.append(f"`{name}` must be text; got {shorten(row[name], 60)}")
    if row.get("verdict") is not None and not isinstance(row["verdict"], str | int | float | bool):
        found.append(f"`verdict` must be a word or a number; got {shorten(row['verdict'], 60)}")
    if probe not in get_args(Probe):
        found.append(f"`probe` must be one of swapped, padded; got {shorten(probe, 60)}")
    for name in ("turn", "repeat"):
        value = row.get(name)
        wrong = isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST
        if value is not None and wrong:
            found.append(f"`{name}` must be {_RANGE}; got {shorten(value, 60)}")
    return found


def _is_small(digits: str) -> bool:
    """True for a number that a turn can have; Python itself refuses to read one of thousands of digits."""
    return len(digits) <= _LONGEST and int(digits) <= _HIGHEST


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _case_of(row: Mapping[str, Any]) -> tuple[str, Item]:
    """(id, item): of `c1[3]`, or of `item` with `conversation_id` and `turn` beside it."""
    case = storable(str(row["item"]))
    matched = _ITEM.fullmatch(case)
    conversation, turn = (matched[1], int(matched[2])) if matched else (case, None)
    if row.get("conversation_id") is not None or row.get("turn") is not None:
        conversation, turn = storable(row.get("conversation_id") or conversation), row.get("turn")
    return case, Item(conversation, turn)


def _word(verdict: Any) -> str:
    """A verdict as a word: true and false as `yes` and `no`, numbers as they are written, blanks at the ends off."""
    if verdict is None:
        return ""
    if isinstance(verdict, bool):
        return "yes" if verdict else "no"
    return storable(str(verdict)).strip()
