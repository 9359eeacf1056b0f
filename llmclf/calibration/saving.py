"""Labels that were written down elsewhere: which are new, which change something, which are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmclf.calibration.asks import Seat
from llmclf.calibration.said import Saying, checked, label_row
from llmclf.calibration.session import Session
from llmclf.errors import DataError, shorten
from llmclf.store import Store

_COMPARED = ("label", "skipped", "rule", "note", "seconds", "blind", "guideline")
_FORGOTTEN = "forgotten"

Row = Mapping[str, Any]
Before = Mapping[str, Mapping[tuple[str, str], Row]]


@dataclass(frozen=True)
class SavedLabels:
    """What became of labels that were handed over together."""

    added: int = 0
    changes: tuple[str, ...] = ()
    """One line for each label that is another now: case, person, before and after."""
    unchanged: int = 0
    older: int = 0
    """Left out: the person has said something later."""
    erased: int = 0
    """Taken without their words, since those of the case were erased."""


def sorted_labels(
    session: Session, items: Mapping[str, Row], before: Before, sayings: Sequence[tuple[str, str, Saying]], store: Store
) -> tuple[SavedLabels, list[dict[str, Any]]]:
    """(what will become of labels, the rows to be written: first labels before decisions).

    DataError that lists everything wrong with any of them.
    """
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    changes: list[str] = []
    counts = {"added": 0, "unchanged": 0, "older": 0, "erased": 0}
    for person, case_id, said in sayings:
        item = items.get(case_id)
        if item is None:
            problems.append(f"there is no case {shorten(case_id, 60)}")
            continue
        seat = Seat(session.id, person, person == session.adjudicator)
        erased = item["forgotten_at"] is not None and bool(said.note or said.evidence or said.skipped)
        if erased:
            said = replace(said, note="", evidence=(), skipped=_FORGOTTEN if said.skipped else "")
        try:
            row = label_row(seat, session, item, checked(said, session.rubric, item), store)
        except DataError as error:
            problems += [f"case {shorten(case_id, 60)}, {person}: {problem}" for problem in error.problems]
            continue
        known = before.get(case_id, {}).get((seat.round, person))
        if known is None:
            counts["added"] += 1
        elif _same(row, known):
            counts["unchanged"] += 1
            continue
        elif said.at and known["made_at"] > row["made_at"]:
            counts["older"] += 1
            continue
        else:
            changes.append(f"{case_id}, {person}: {_words(known)} -> {_words(row)}")
        counts["erased"] += erased
        rows.append(row)
    if problems:
        raise DataError("the labels were not taken", where=f"session {session.id}", problems=problems)
    rows.sort(key=lambda row: row["round"] != "first")
    return SavedLabels(changes=tuple(changes), **counts), rows


def _same(row: Row, known: Row) -> bool:
    if row["label"] is None and known["label"] is None:
        return bool(row["skipped"] == known["skipped"])
    return all((row[name] or None) == (known[name] or None) for name in _COMPARED) and row["evidence"] == (
        known["evidence"] or []
    )


def _words(row: Row) -> str:
    said = row["label"] if row["label"] is not None else f"skipped ({shorten(row['skipped'], 40)})"
    return f"{said} by {row['rule']}" if row["rule"] else str(said)
