"""What of a case may go out to the page, field by field: nothing is there that is not named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmclf.calibration.asks import Ask, Progress, Seat
from llmclf.calibration.case_names import case_name
from llmclf.calibration.session import Session
from llmclf.types import Annotation, Conversation, Rubric


@dataclass(frozen=True)
class Topic:
    """What all cases of a session share, as the server keeps it: its rubric, and names for its cases."""

    name: str
    rubric: Rubric
    cases: Mapping[str, str]
    """What a case is called in the page to its id; an id of a file may say what is known of the case."""
    practice: frozenset[str]
    """Ids of the cases that are never scored."""
    annotators: tuple[str, ...]
    hide_names: bool

    @classmethod
    def of(cls, session: Session) -> Topic:
        """The topic of a session."""
        cases = {case_name(session.id, item.case.id): item.case.id for item in session.items}
        practice = frozenset(item.case.id for item in session.items if item.split == "practice")
        return cls(session.name, session.rubric, cases, practice, session.annotators, session.hide_names)


def ask_view(ask: Ask, session_id: str, rubric: Rubric) -> dict[str, Any]:
    """One case as JSON: what the rubric sees of it, and, for who decides, what people said first."""
    decides = ask.round == "adjudication"
    conversation = ask.conversation if "conversation" in rubric.sees else None
    return {
        "item": case_name(session_id, ask.case_id),
        "number": ask.number,
        "practice": ask.practice,
        "decides": decides,
        "turn": ask.turn,
        "turns": None if conversation is None else _turns(conversation),
        "shown": [{"name": name, "text": ask.shown[name]} for name in rubric.sees if name in ask.shown],
        "earlier": None if ask.earlier is None else _said(ask.earlier),
        "skipped": ask.skipped,
        "others": [{"who": one.annotator, **_said(one)} for one in ask.others] if decides else [],
    }


def still_view(left: Mapping[str, int], seat: Seat, topic: Topic) -> dict[str, Any]:
    """Who still labels, as JSON, for who is done; `left` has each annotator's open cases by name.

    Who labels too learns only that somebody does; who decides learns how much, and of whom where names are shown.
    """
    some = {name: number for name, number in left.items() if number and name != seat.annotator}
    if not seat.adjudicates:
        return {"others": bool(some)}
    people = [] if topic.hide_names else [{"who": name, "left": number} for name, number in some.items()]
    return {"others": bool(some), "left": sum(some.values()), "people": people}


def progress_view(progress: Progress, still: dict[str, Any] | None = None) -> dict[str, Any]:
    """How far a person is, as JSON; with `still`, of `still_view`, where nothing is left of this person's own."""
    return {
        "still": still,
        "done": progress.done,
        "total": progress.total,
        "skipped": progress.skipped,
        "practice_left": progress.practice_left,
        "waiting": progress.waiting,
        "minutes_left": progress.minutes_left,
        "finished": progress.finished,
        "closed": progress.closed,
    }


def _turns(conversation: Conversation) -> list[dict[str, Any]]:
    return [
        {
            "speaker": turn.speaker,
            "text": turn.text,
            "events": [{"kind": event.kind, "name": event.name, "text": event.text} for event in turn.events],
            "media": [medium.kind for medium in turn.attachments],
        }
        for turn in conversation.turns
    ]


def _said(annotation: Annotation) -> dict[str, Any]:
    return {
        "label": annotation.label,
        "rule": annotation.rule,
        "note": annotation.note,
        "evidence": [{"turn": one.turn, "quote": one.quote} for one in annotation.evidence],
    }
