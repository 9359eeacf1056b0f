"""A session's cases as a CSV that one person fills in, and the way back."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llmclf.calibration.asks import Ask, Seat
from llmclf.calibration.case_names import case_name
from llmclf.calibration.said import Saying, problems_of
from llmclf.calibration.session import Session
from llmclf.data.files import atomic_writer
from llmclf.data.labels import choice_of, sheet_rows
from llmclf.data.spreadsheet import displayed, guarded, unguarded
from llmclf.errors import DataError, nearest, shorten
from llmclf.render.conversation import Window, transcript
from llmclf.types import Annotation, Rubric

SHEET_COLUMNS = ("case_id", "annotator", "practice", "turn", "label", "rule", "note", "skipped")
"""What people fill in are `label`, `rule`, `note` and `skipped` (why there is no label)."""
_NEEDED = ("case_id", "annotator", "label")
_TRANSCRIPT = Window(max_characters=31_000)
_GOT = 60


@dataclass(frozen=True)
class SheetRead:
    """What a sheet says."""

    sayings: Mapping[str, Saying]
    """By case; what the person had said already, word for word, is left out."""
    unchanged: int
    empty: int


def write_sheet(path: Path, session: Session, seat: Seat, asks: Iterable[Ask]) -> int:
    """Writes the sheet of one person and returns its rows: what `asks` may show, with the person's own labels.

    Cases are called as on the page (`case_name`): an id may say what is known of its case. UTF-8 with a byte order
    mark; text that a spreadsheet would compute has an apostrophe before it.
    """
    shown = [name for name in session.rubric.sees if name != "conversation"]
    more = [*(f"shown_{name}" for name in shown), *(["said"] if seat.adjudicates else []), "transcript"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([*SHEET_COLUMNS, *(guarded(name) for name in more)])
    count = 0
    for ask in asks:
        own = ask.earlier
        cells = [
            guarded(case_name(session.id, ask.case_id), is_id=True),
            guarded(seat.annotator, is_id=True),
            "yes" if ask.practice else "no",
            "" if ask.turn is None else str(ask.turn),
            *(guarded(cell) for cell in _said_cells(own, ask.skipped)),
            *(displayed(ask.shown.get(name, "")) for name in shown),
            *([displayed("\n".join(_other(one) for one in ask.others))] if seat.adjudicates else []),
            displayed(_transcript(ask)),
        ]
        writer.writerow(cells)
        count += 1
    with atomic_writer(path, private=True) as file:
        file.write(text.getvalue().encode("utf-8-sig", "replace"))
    return count


def person_of(path: Path, session: Session, annotator: str | None) -> str:
    """Whose sheet it is; DataError where that is nobody of the session, several people, or not `annotator`."""
    people = [name for name in (*session.annotators, session.adjudicator) if name]
    cells = {row.get("annotator", "") for _, row in sheet_rows(path, _NEEDED)}
    names = {_restored(cell, people) for cell in cells if cell.strip()}
    strangers = sorted(name for name in names if name not in people)
    if strangers:
        fix = nearest(strangers[0][:100], people)
        raise DataError("takes no part in the session", where=str(path), got=shorten(strangers[0], _GOT), fix=fix)
    if len(names) > 1 or (annotator is not None and names - {annotator}):
        whose = f"; it should be {annotator}'s" if annotator is not None else ""
        raise DataError(f"a sheet is one person's{whose}", where=str(path), got=sorted(names))
    person = annotator or next(iter(names), None)
    if person is None:
        raise DataError("the sheet says nowhere whose it is", where=str(path), fix="fill in the column `annotator`")
    return person


def read_sheet(path: Path, session: Session, asks: Iterable[Ask], problems: list[str]) -> SheetRead:
    """What a sheet says of the cases of its person; every mistake is added to `problems`.

    Comma, semicolon and tab are understood, as spreadsheets save them; labels in upper and lower case alike. A case
    is called as `write_sheet` calls it, or by its id.
    """
    rubric = session.rubric
    known = {ask.case_id: ask for ask in asks}
    ids = {case_name(session.id, id): id for id in known} | {id: id for id in known}
    lines: dict[str, int] = {}
    sayings: dict[str, Saying] = {}
    unchanged = empty = 0
    for line, cells in sheet_rows(path, _NEEDED):
        name = _restored(cells.get("case_id", ""), ids)
        if name not in ids:
            problems.append(f"line {line}: {shorten(name, _GOT)} is none of the cases that this person can label")
            continue
        id = ids[name]
        if id in lines:
            problems.append(f"line {line}: case {shorten(name, _GOT)} stands on line {lines[id]} already")
            continue
        lines[id] = line
        ask = known[id]
        said = _saying(cells, ask, rubric)
        before = _said_cells(ask.earlier, ask.skipped)
        if not (said.label or said.skipped or said.rule or said.note):
            empty += 1
        elif (said.label or "", said.rule, said.note, said.skipped) == before:
            unchanged += 1
        else:
            problems += [f"line {line}, case {shorten(name, _GOT)}: {what}" for what in problems_of(said, rubric)]
            sayings[id] = said
    return SheetRead(sayings, unchanged, empty)


def _saying(cells: Mapping[str, str], ask: Ask, rubric: Rubric) -> Saying:
    """What a row says, with what it can't say kept from before where the label is the same."""
    label, rule, note, skipped = (
        unguarded(cells.get(name, "")).strip() for name in ("label", "rule", "note", "skipped")
    )
    said = Saying(
        label=(choice_of(label, rubric.names) or label) if label else None,
        skipped=skipped,
        rule=(choice_of(rule, rubric.rules) or rule),
        note=note.replace("\r\n", "\n").replace("\r", "\n"),
    )
    own = ask.earlier
    if own is None or own.label != said.label:
        return said
    return replace(said, evidence=own.evidence, seconds=own.seconds, guideline=own.guideline, blind=own.blind)


def _said_cells(own: Annotation | None, skipped: str) -> tuple[str, str, str, str]:
    return (own.label, own.rule, own.note, skipped) if own is not None else ("", "", "", skipped)


def _other(one: Annotation) -> str:
    words = [f"{one.annotator}: {one.label}", f"({one.rule})" if one.rule else "", one.note]
    return " ".join(word for word in words if word)


def _transcript(ask: Ask) -> str:
    if ask.conversation is None:
        return ""
    found = transcript(ask.conversation.turns, _TRANSCRIPT, ask.turn)
    return ("[earlier turns left out]\n" if found.truncated else "") + found.text


def _restored(cell: str, known: Container[str]) -> str:
    """The id or name of a cell: a spreadsheet may have eaten the apostrophe, or put a space at an end."""
    text = unguarded(cell, is_id=True)
    return next((one for one in (text, cell, text.strip(), cell.strip()) if one in known), text)
