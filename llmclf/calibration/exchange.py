"""Labels of a session out and in: JSON Lines for git, a CSV for a spreadsheet, examples for datasets.

export_labels, import_labels   .jsonl: every label, one a line, in an order that stays; .csv: one person's sheet
export_soft                    votes as shares and probabilities, and how good each annotator is
examples_of                    a task's labelled cases as a labels file and a design
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from llmclf.calibration import sheets
from llmclf.calibration.desk import Desk
from llmclf.calibration.people import names_of
from llmclf.calibration.said import Saying
from llmclf.calibration.session import LabelledCase, Round, Session
from llmclf.calibration.soft import SoftLabels, soft_labels
from llmclf.data.files import atomic_writer, byte_lines
from llmclf.data.labels import LabelImport, labels_of
from llmclf.data.parse import decoded
from llmclf.data.problems import Fault
from llmclf.errors import ConfigError, DataError, nearest, shorten
from llmclf.render.tables import Shown, TableText
from llmclf.store.moments import utc_text
from llmclf.types import Annotation, Design, Evidence, Example, Stratum
from llmclf.types.hashing import plain

_FORMATS = (".jsonl", ".csv")
_LISTED = 200
_GOT = 60
_TEXTS = ("case", "annotator", "round", "label", "skipped", "rule", "note", "at", "guideline")
_KNOWN = (*_TEXTS, "evidence", "seconds", "blind")
_EVIDENCE = {"quote", "turn", "grounded"}


@dataclass(frozen=True)
class ImportedLabels(Shown):
    """What an import changed."""

    path: str
    added: int = 0
    changes: tuple[str, ...] = ()
    """One line for each label that is another now: case, person, before and after."""
    unchanged: int = 0
    older: int = 0
    """Left out: the person has said something later."""
    erased: int = 0
    """Taken without their words, since those of the case were erased."""
    empty: int = 0
    """Rows of a sheet without a label; what was said of their cases before stays."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        names = ("path", "added", "unchanged", "older", "erased", "empty")
        return {**{name: getattr(self, name) for name in names}, "changes": list(self.changes)}

    def _table(self) -> TableText:
        rows = [("new", self.added), ("changed", len(self.changes)), ("as they were", self.unchanged)]
        rows += [("older than what is there: left out", self.older)] if self.older else []
        rows += [("taken without words that were erased", self.erased)] if self.erased else []
        rows += [("rows without a label", self.empty)] if self.empty else []
        shown = tuple((name, f"{count:,}") for name, count in rows)
        return TableText(f"labels of {self.path}", ("", "labels"), shown, notes=self.changes[:_LISTED], right=(1,))


def export_labels(desk: Desk, session_id: str, path: str | Path, annotator: str | None = None) -> int:
    """Writes labels of a session and returns how many lines or rows; a new file is its owner's alone.

    `.jsonl`: what everybody last said of each case, in the order of the session, one line each, so that
    git shows what changed; of one person where `annotator` is given. Names are written out also
    where reports hide them. `.csv`: the sheet of one person, with a row for each case and what that
    person may see of it; of the others' labels it holds nothing, but for an adjudicator.

    ConfigError for another ending, an unknown person, a sheet of nobody's; DataError where it can't be written.
    """
    path = Path(path)
    session = desk.session(session_id)
    person = None if annotator is None else desk.seat_of(session.id, annotator).annotator
    if _format(path) == ".csv":
        if person is None and len(session.annotators) == 1:
            person = session.annotators[0]
        if person is None:
            raise ConfigError(
                "a sheet is one person's, or first labels would not be blind",
                where=str(path),
                fix=f"say whose: {', '.join((*session.annotators, session.adjudicator)).rstrip(', ')}",
            )
        seat = desk.seat_of(session.id, person)
        return sheets.write_sheet(path, session, seat, desk.asks(seat))
    rows = [row for case in desk.labelled(session.id) for row in _rows(case, session)]
    rows = [row for row in rows if person in (None, row["annotator"])]
    with atomic_writer(path, private=True) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    return len(rows)


def export_soft(session: Session, labelled: Sequence[LabelledCase], path: str | Path) -> SoftLabels:
    """Writes what people say of each case as shares and probabilities, one line each; gives annotators' quality too.

    Each line holds `case`, `votes`, `shares`, `probabilities` (Dawid and Skene's), `entropy` in bits, and the `truth`
    that counts: what a classifier learns from that is to know where people are unsure. Practice is left out. Names are
    those of reports. DataError where the file can't be written.
    """
    names = names_of(session, labelled)
    found = soft_labels(labelled, session.rubric)
    with atomic_writer(Path(path), private=True) as file:
        for one in found.cases:
            row = {"case": one.case_id, **plain(one), "truth": one.truth, "entropy": round(one.entropy, 6)}
            del row["case_id"]
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    people = tuple(replace(one, annotator=names[one.annotator]) for one in found.annotators)
    return replace(found, annotators=people)


def import_labels(desk: Desk, session_id: str, path: str | Path, annotator: str | None = None) -> ImportedLabels:
    """Takes labels that `export_labels` wrote, or a sheet that came back: all of them, or nothing.

    The same file twice changes nothing. `annotator` says that the file is that person's alone. What
    a person has said later than a line of a `.jsonl` file stays. A row of a sheet without a label
    takes nothing back.

    Raises DataError that lists every mistake: what is no label of this session's cases, people,
    verdicts and rules, what stands twice, what can't be read; where the session is closed.
    """
    path = Path(path)
    session = desk.session(session_id)
    if annotator is not None:
        desk.seat_of(session.id, annotator)
    problems: list[str] = []
    unchanged = empty = 0
    if _format(path) == ".csv":
        person = sheets.person_of(path, session, annotator)
        read = sheets.read_sheet(path, session, desk.asks(desk.seat_of(session.id, person)), problems)
        sayings = [(person, case_id, said) for case_id, said in read.sayings.items()]
        unchanged, empty = read.unchanged, read.empty
    else:
        sayings = _read_lines(path, session, annotator, problems)
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise DataError(
            f"mistakes in the file: {len(problems)}", where=str(path), problems=[*problems[:_LISTED], *more]
        )
    saved = desk.save_all(session.id, sayings)
    return ImportedLabels(
        str(path), saved.added, saved.changes, saved.unchanged + unchanged, saved.older, saved.erased, empty
    )


def examples_of(session: Session, labelled: Sequence[LabelledCase]) -> LabelImport:
    """A task's labelled cases as examples, with the design they were drawn by; practice is left out.

    The label is the adjudicator's, else what more than half say; what single people said stands with it.
    Cases without such a label are `unlabelled`: the labelled ones of their stratum stand for them in the
    design. `llmclf.data.write.write_examples` writes the labels file, and `llmclf.data.design.design_toml` the
    design that the dataset file has to state.

    ConfigError for a judge's session: its labels are verdicts on what somebody said, not on a conversation.
    DataError where no case has a label.
    """
    if session.kind != "task":
        raise ConfigError(
            "labels of a judge's session are no labels of conversations",
            where=f"session {session.id}",
            fix="export them as .jsonl",
        )
    scored = [one for one in labelled if one.item.split != "practice"]
    drawn = [_example(one, session) for one in scored]
    known = {example.item: example for example, one in zip(drawn, scored, strict=True) if one.truth is not None}
    if not known:
        raise DataError("no case has a label that counts", where=f"session {session.id}")
    return labels_of(
        [example if example.item in known else _bare(example) for example in drawn], known, _design(session, scored)
    )


def _rows(case: LabelledCase, session: Session) -> list[dict[str, Any]]:
    first = {one.annotator: _label_row(case, "first", one) for one in case.annotations}
    decided: list[dict[str, Any]] = []
    if case.adjudication is not None:
        decided.append(_label_row(case, "adjudication", case.adjudication))
    for skip in case.skips:
        adjudicates = skip.annotator == session.adjudicator
        row = {
            "case": case.case.id,
            "annotator": skip.annotator,
            "round": "adjudication" if adjudicates else "first",
            "skipped": skip.why,
            "at": skip.at,
        }
        if adjudicates:
            decided.append(row)
        else:
            first[skip.annotator] = row
    return [*(first[name] for name in session.annotators if name in first), *decided]


def _label_row(case: LabelledCase, round: Round, one: Annotation) -> dict[str, Any]:
    """A label as a line; what is empty is left out."""
    row: dict[str, Any] = {"case": case.case.id, "annotator": one.annotator, "round": round, "label": one.label}
    quotes = [{"quote": quote.quote, "turn": quote.turn, "grounded": quote.grounded} for quote in one.evidence]
    more = {"rule": one.rule, "note": one.note, "evidence": quotes}
    row |= {name: value for name, value in more.items() if value}
    return row | {"seconds": one.seconds, "at": one.at, "guideline": one.guideline, "blind": one.blind}


def _read_lines(
    path: Path, session: Session, annotator: str | None, problems: list[str]
) -> list[tuple[str, str, Saying]]:
    found: list[tuple[str, str, Saying]] = []
    seen: dict[tuple[str, str, str], int] = {}
    rounds = {name: "first" for name in session.annotators} | {session.adjudicator: "adjudication"}
    assigned = {item.case.id: item.annotators for item in session.items}
    for number, line in byte_lines(path):
        if not line.strip():
            continue
        row = decoded(line)
        wrong = [row.what] if isinstance(row, Fault) else _shape(row)
        if not wrong:
            wrong = _place(row, assigned, rounds, annotator)
            key = (row["case"], row["annotator"], row["round"])
            if key in seen:
                wrong.append(f"this label stands on line {seen[key]} already")
            seen.setdefault(key, number)
        problems += [f"line {number}: {what}" for what in wrong]
        if not wrong:
            found.append((row["annotator"], row["case"], _saying(row)))
    return found


def _shape(row: Any) -> list[str]:
    """What keeps a line from being read at all."""
    if not isinstance(row, dict):
        return ["not an object"]
    wrong = [f"unknown key {shorten(key, _GOT)}; {nearest(key[:100], _KNOWN)}" for key in row if key not in _KNOWN]
    wrong += [f"{name} is missing" for name in ("case", "annotator", "round") if name not in row]
    wrong += [f"{name} must be text" for name in _TEXTS if not isinstance(row.get(name, ""), str)]
    seconds, blind, quotes = row.get("seconds"), row.get("blind"), row.get("evidence", [])
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        wrong.append("seconds must be a number")
    elif seconds is not None and not 0 <= seconds <= sys.float_info.max:
        wrong.append(f"seconds must be a number from 0; got {shorten(seconds, _GOT)}")
    if blind is not None and not isinstance(blind, bool):
        wrong.append("blind must be true or false")
    if not isinstance(quotes, list) or not all(_is_quote(one) for one in quotes):
        wrong.append('evidence must be a list of {"quote": text, "turn": number or null}')
    if isinstance(row.get("at"), str) and row["at"] and _moment(row["at"]) is None:
        wrong.append(f"at must be ISO 8601, as 2026-05-01T09:30:00Z; got {shorten(row['at'], _GOT)}")
    return wrong


def _is_quote(value: Any) -> bool:
    if not isinstance(value, dict) or not {"quote"} <= value.keys() <= _EVIDENCE:
        return False
    turn = value.get("turn")
    is_turn = turn is None or (isinstance(turn, int) and not isinstance(turn, bool))
    return isinstance(value["quote"], str) and is_turn and isinstance(value.get("grounded", True), bool)


def _place(
    row: Mapping[str, Any], assigned: Mapping[str, Sequence[str]], rounds: Mapping[str, str], annotator: str | None
) -> list[str]:
    """What is wrong with whose label a line is, and of what."""
    case, person = row["case"], row["annotator"]
    if case not in assigned:
        return [f"the session has no case {shorten(case, _GOT)}"]
    if not person or person not in rounds:
        return [
            f"{shorten(person, _GOT)} takes no part in the session; {nearest(person[:100], [*filter(None, rounds)])}"
        ]
    if annotator not in (None, person):
        return [f"it is {person}'s label, and the file is to be {annotator}'s alone"]
    if row["round"] != rounds[person]:
        return [f"round of {person} is {rounds[person]}; got {shorten(row['round'], _GOT)}"]
    if rounds[person] == "first" and person not in assigned[case]:
        return [f"case {shorten(case, _GOT)} is not one of {person}'s"]
    return []


def _saying(row: Mapping[str, Any]) -> Saying:
    quotes = tuple(Evidence(one["quote"], one.get("turn")) for one in row.get("evidence", ()))
    seconds = row.get("seconds")
    return Saying(
        label=row.get("label"),
        skipped=row.get("skipped", ""),
        rule=row.get("rule", ""),
        note=row.get("note", ""),
        evidence=quotes,
        seconds=None if seconds is None else float(seconds),
        at=_moment(row.get("at", "")) or "",
        guideline=row.get("guideline", ""),
        blind=row.get("blind"),
    )


def _moment(text: str) -> str | None:
    try:
        return utc_text(datetime.fromisoformat(text)) if text else None
    except (ValueError, OverflowError):
        return None


def _example(one: LabelledCase, session: Session) -> Example:
    case, task = one.case, session.name
    agreeing = [said for said in (one.adjudication, *one.annotations) if said is not None and said.label == one.truth]
    turns = {quote.turn for said in agreeing for quote in said.evidence if quote.turn is not None}
    everybody = (*one.annotations, *([one.adjudication] if one.adjudication else ()))
    return Example(
        case.conversation_id,
        case.turn,
        labels={} if one.truth is None else {task: one.truth},
        stratum=one.item.stratum,
        inclusion_probability=one.item.inclusion_probability,
        evidence_turns=tuple(sorted(turns)),
        group=case.group,
        annotations=everybody,
    )


def _bare(example: Example) -> Example:
    """One that nobody's label counts of: it stays apart, with its place in the design."""
    return Example(
        example.conversation_id,
        example.turn,
        stratum=example.stratum,
        inclusion_probability=example.inclusion_probability,
        group=example.group,
        annotations=example.annotations,
    )


def _design(session: Session, scored: Sequence[LabelledCase]) -> Design:
    note = f"{len(scored)} drawn for session {session.id}, {session.design.replace('_', ' ')}, seed {session.seed}"
    if session.design == "class_balanced":
        return Design("class_balanced", note=note)
    if session.design == "random":
        return Design("random", note=note)
    sampled = [one.item.stratum for one in scored]
    strata = tuple(Stratum(name, size, sampled.count(name)) for name, size in session.population.items())
    return Design("stratified", strata, note)


def _format(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in _FORMATS:
        raise ConfigError(
            "labels are .jsonl (everybody's, for git) or .csv (one person's sheet)", where=str(path), got=ending
        )
    return ending
