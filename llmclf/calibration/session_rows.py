"""Sessions, their items and labels as rows of the store, and back."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmclf.calibration.session import LabelledCase, Session, SessionItem, Skip
from llmclf.store import Store
from llmclf.store.texts import storable
from llmclf.types import Annotation, Case, Conversation, Evidence, Label, Rubric
from llmclf.types.hashing import plain
from llmclf.types.task import Rule


def session_row(session: Session, created_at: str) -> dict[str, Any]:
    """A session as the store keeps it; its items stand apart."""
    return {
        "session_id": session.id,
        "created_at": created_at,
        "kind": session.kind,
        "rubric": plain(session.rubric),
        "guideline": session.rubric.guideline.version,
        "design": session.design,
        "population": dict(session.population),
        "fingerprint": session.fingerprint,
        "annotators": list(session.annotators),
        "adjudicator": session.adjudicator,
        "per_item": session.per_item,
        "seed": session.seed,
        "hide_names": session.hide_names,
    }


def item_row(
    session: Session, place: int, item: SessionItem, conversation: Conversation | None, store: Store
) -> dict[str, Any]:
    """An item as the store keeps it: the words as they may be stored, of the conversation what people may see."""
    case = item.case
    seen = None
    if conversation is not None:
        kept = store.kept_conversation(visible(conversation, session.rubric, case.turn))
        seen = storable(json.dumps(plain(replace(kept, metadata={})), ensure_ascii=False))
    personal = store.redaction.metadata_keys if store.redaction.before_storing else ()
    shown = dict(zip(case.shown, store.kept_texts(case.conversation_id, list(case.shown.values())), strict=True))
    return {
        "session_id": session.id,
        "case_id": case.id,
        "place": place,
        "split": item.split,
        "stratum": item.stratum,
        "inclusion_probability": item.inclusion_probability,
        "annotators": list(item.annotators),
        "conversation_id": case.conversation_id,
        "turn": case.turn,
        "own_group": case.own_group,
        "known_label": case.label,
        "metadata": {name: value for name, value in case.metadata.items() if name not in personal},
        "conversation": seen,
        "shown": shown,
    }


def visible(conversation: Conversation, rubric: Rubric, turn: int | None) -> Conversation:
    """The turns that people may see of a conversation: none after the one asked about where a rubric says so.

    A picture or recording that holds later turns is left out.
    """
    if turn is None or rubric.context == "whole":
        return conversation
    kept = turn + 1
    turns = tuple(
        replace(one, attachments=tuple(sent for sent in one.attachments if number + sent.rendered <= kept))
        for number, one in enumerate(conversation.turns[:kept])
    )
    return replace(conversation, turns=turns)


def session_of(row: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> Session:
    """The session of its row and the rows of its items."""
    return Session(
        id=row["session_id"],
        kind=row["kind"],
        rubric=_rubric(row["rubric"]),
        design=row["design"],
        items=tuple(item_of(item) for item in items),
        annotators=tuple(row["annotators"]),
        adjudicator=row["adjudicator"],
        per_item=row["per_item"],
        population=row["population"],
        fingerprint=row["fingerprint"],
        seed=row["seed"],
        hide_names=bool(row["hide_names"]),
        created_at=row["created_at"],
    )


def item_of(row: Mapping[str, Any]) -> SessionItem:
    """The item of its row; without the conversation, which is not part of it."""
    own = row["own_group"]
    case = Case(
        id=row["case_id"],
        conversation_id=row["conversation_id"],
        turn=row["turn"],
        shown=row["shown"] or {},
        group="" if own == (row["conversation_id"] or row["case_id"]) else own,
        label=row["known_label"],
        metadata=row["metadata"],
    )
    return SessionItem(
        case, row["split"], row["stratum"], row["inclusion_probability"], annotators=tuple(row["annotators"])
    )


def conversation_of(text: str | None) -> Conversation | None:
    """The conversation that people are shown; None where there is none, or it was forgotten."""
    if text is None:
        return None
    found: Conversation = _conversations().validate_json(text)
    return found


def annotation_of(row: Mapping[str, Any], rubric: Rubric) -> Annotation:
    """What one person said; only of a row that has a label."""
    return Annotation(
        annotator=row["annotator"],
        task=rubric.name,
        label=row["label"],
        rule=row["rule"],
        note=row["note"] or "",
        seconds=row["seconds"],
        blind=bool(row["blind"]),
        at=row["made_at"],
        guideline=row["guideline"],
        evidence=tuple(Evidence(one["quote"], one["turn"], one["grounded"]) for one in row["evidence"] or ()),
    )


def last_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[tuple[str, str], Mapping[str, Any]]]:
    """Case to (round, person) to the last row of that person, of rows in the order in which they were said."""
    found: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["case_id"], {})[row["round"], row["annotator"]] = row
    return found


def labelled_case(
    item: SessionItem, said: Mapping[tuple[str, str], Mapping[str, Any]], session: Session
) -> LabelledCase:
    """An item with what people last said of it, in the order of the session's people."""
    first = [said["first", name] for name in session.annotators if ("first", name) in said]
    decided = said.get(("adjudication", session.adjudicator))
    skipped = [row for row in (*first, decided) if row is not None and row["label"] is None]
    return LabelledCase(
        item,
        tuple(annotation_of(row, session.rubric) for row in first if row["label"] is not None),
        None if decided is None or decided["label"] is None else annotation_of(decided, session.rubric),
        tuple(Skip(row["annotator"], row["skipped"], row["made_at"]) for row in skipped),
        adjudicates=bool(session.adjudicator),
    )


def _rubric(value: Mapping[str, Any]) -> Rubric:
    verdicts = tuple(
        Label(one["name"], one["role"], one["definition"], tuple(Rule(**rule) for rule in one.get("rules", ())))
        for one in value["verdicts"]
    )
    return Rubric(
        value["name"],
        value["question"],
        verdicts,
        value.get("scale", "categorical"),
        tuple(value.get("sees", ("conversation",))),
        value.get("context", "whole"),
    )


@functools.cache
def _conversations() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Conversation)
