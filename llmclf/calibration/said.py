"""What a person says of a case: checked, redacted, and made a row; and whether it may be said now."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmclf.calibration.asks import Assigned, Said, Seat, added, to_decide
from llmclf.calibration.session import Session
from llmclf.calibration.session_rows import conversation_of
from llmclf.errors import DataError, nearest, shorten
from llmclf.render.conversation import spoken_text
from llmclf.store import Store, sessions
from llmclf.store.moments import utc_text
from llmclf.types import Evidence, Rubric

LONGEST_SECONDS = 3600.0
"""Above an hour somebody left the page open; the page measures what is in view, this is the net below it."""
LONGEST_NOTE = 10_000
LONGEST_SKIP = 500
MOST_QUOTES = 50
_LONGEST_QUOTE = 20_000
_LONGEST_ID = 200
_NOTHING = "there is nothing to decide: people agree, or somebody has not labelled it"
_DECIDED = "the adjudicator has decided this case"


@dataclass(frozen=True)
class Saying:
    """What somebody says of a case, as it came."""

    label: str | None = None
    skipped: str = ""
    rule: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    seconds: float | None = None
    client_id: str = ""
    at: str = ""
    """When it was said; empty: now."""
    guideline: str = ""
    """The version that was read; empty: the session's."""
    blind: bool | None = None
    """None: by how it is asked here."""


def checked(said: Saying, rubric: Rubric, item: Mapping[str, Any]) -> Saying:
    """What was said, tidied and with its quotes looked up; DataError that lists what is wrong with it.

    A skip keeps its reason alone, with the note in it: nothing was decided by a rule or a quote.
    """
    note = said.note.replace("\r\n", "\n").replace("\r", "\n").strip()
    said = replace(said, skipped=" ".join(said.skipped.split()), note=note)
    if said.label is None and said.skipped:
        reason = f"{said.skipped} ({said.note})" if said.note else said.skipped
        said = replace(said, skipped=reason, note="", rule="", evidence=())
    problems = problems_of(said, rubric)
    conversation = conversation_of(item["conversation"])
    lines = {} if conversation is None else {number: turn for number, turn in enumerate(conversation.turns)}
    strangers = sorted({str(one.turn) for one in said.evidence if one.turn is not None and one.turn not in lines})
    if strangers:
        problems.append(f"evidence: no turn {', '.join(strangers[:5])} is shown")
    if problems:
        raise DataError("the label was not taken", where=f"case {shorten(item['case_id'], 60)}", problems=problems)
    seconds = said.seconds if said.seconds is None else min(said.seconds, LONGEST_SECONDS)
    texts = {number: _squeezed(f"{turn.text} {spoken_text(turn)}") for number, turn in lines.items()}
    shown = [_squeezed(text) for text in (item["shown"] or {}).values()]
    return replace(said, seconds=seconds, evidence=tuple(_looked_up(one, texts, shown) for one in said.evidence))


def problems_of(said: Saying, rubric: Rubric) -> list[str]:
    """What is wrong with what somebody says, whatever it is said of."""
    problems = []
    if (said.label is None) == (not said.skipped):
        problems.append("give a label, or why the case is skipped" + (", not both" if said.skipped else ""))
    if said.label is not None and said.label not in rubric.names:
        problems.append(f"label {shorten(said.label, 60)} is not in the closed set; {_near(said.label, rubric.names)}")
    if said.rule and said.rule not in rubric.rules:
        problems.append(f"the guideline has no rule {shorten(said.rule, 60)}; {_near(said.rule, rubric.rules)}")
    if said.seconds is not None and not 0 <= said.seconds < math.inf:  # a whole number may be too large for a float
        problems.append(f"seconds must be a number from 0; got {shorten(said.seconds, 40)}")
    for name, text, most in (
        ("note", said.note, LONGEST_NOTE),
        ("skipped", said.skipped, LONGEST_SKIP),
        ("client_id", said.client_id, _LONGEST_ID),
        ("guideline", said.guideline, _LONGEST_ID),
    ):
        if len(text) > most:
            problems.append(f"{name} may have {most:,} characters; got {len(text):,}")
    if len(said.evidence) > MOST_QUOTES or any(len(one.quote) > _LONGEST_QUOTE for one in said.evidence):
        problems.append(f"evidence: at most {MOST_QUOTES} quotes of {_LONGEST_QUOTE:,} characters")
    return problems


def label_row(seat: Seat, session: Session, item: Mapping[str, Any], said: Saying, store: Store) -> dict[str, Any]:
    """What was said as the store keeps it, its words as they may be stored."""
    quotes = [one.quote for one in said.evidence]
    note, skipped, *quotes = store.kept_texts(item["conversation_id"], [said.note, said.skipped, *quotes])
    return {
        "session_id": session.id,
        "case_id": item["case_id"],
        "annotator": seat.annotator,
        "round": seat.round,
        "label": said.label,
        "skipped": skipped,
        "rule": said.rule,
        "note": note,
        "evidence": [
            {"quote": quote, "turn": one.turn, "grounded": one.grounded}
            for quote, one in zip(quotes, said.evidence, strict=True)
        ],
        "seconds": said.seconds,
        "blind": not seat.adjudicates if said.blind is None else said.blind,
        "guideline": said.guideline or session.rubric.guideline.version,
        "made_at": said.at or utc_text(),
        "client_id": said.client_id,
    }


def refuse(items: Mapping[str, Mapping[str, Any]]) -> sessions.Refuse:
    """Why a label of one of these items can't be taken, given what was said of the case so far."""
    cases = {id: assigned_of(item) for id, item in items.items()}

    def why(label: sessions.Row, said: Sequence[sessions.Row]) -> str:
        case = cases[label["case_id"]]
        if label["round"] == "first":
            if label["annotator"] not in case.annotators:
                return "the case is not one of this person's"
            return _DECIDED if _is_decided(said) else ""
        if _is_decided(said):
            return ""
        board = added(
            {}, [Said(row["case_id"], row["annotator"], row["round"], row["label"], row["seconds"]) for row in said]
        )
        return (
            ""
            if to_decide(case, board)
            else "there is nothing to decide: people agree, or somebody has not labelled it"
        )

    return why


def refuse_undo(label: sessions.Row, said: Sequence[sessions.Row]) -> str:
    """Why a label can't be taken back, given what was said of its case."""
    return _DECIDED if label["round"] == "first" and _is_decided(said) else ""


def assigned_of(item: Mapping[str, Any]) -> Assigned:
    """The case of an item's row, without its words."""
    return Assigned(item["case_id"], item["split"], tuple(item["annotators"]), item["conversation_id"], item["turn"])


def _is_decided(said: Sequence[sessions.Row]) -> bool:
    return any(row["round"] == "adjudication" for row in said)


def _near(word: str, choices: Sequence[str]) -> str:
    return nearest(word[:100], choices) or "there are none"


def _looked_up(one: Evidence, turns: Mapping[int, str], shown: Sequence[str]) -> Evidence:
    quote = _squeezed(one.quote)
    where = [turns[one.turn]] if one.turn is not None else [*turns.values(), *shown]
    return replace(one, grounded=bool(quote) and any(quote in text for text in where))


def _squeezed(text: str) -> str:
    """The text on one line: a browser's selection has other line breaks and spaces."""
    return " ".join(text.split())
