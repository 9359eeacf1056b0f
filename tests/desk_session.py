"""A made-up session with secrets in every place that a first label must not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmclf.calibration.desk import Desk
from llmclf.calibration.session import Session, SessionDesign, SessionItem, SessionKind
from llmclf.store import Store
from llmclf.types import Case, Conversation, Label, Rubric, Rule, Turn

PEOPLE = ("ana", "ben")
SECRET = "secret"
"""Stands in all that nobody may see with a first label."""
RUBRIC = Rubric(
    "refusal",
    "Is the customer refused a person?",
    (
        Label("refused", "target", "Asks for a person and gets none.", (Rule("R1", "Stalling is refusing."),)),
        Label("angry", "adjacent", "Angry, and asks for nobody.", (Rule("R2", "An agent is a person."),)),
        Label("clean", "clean", "Neither."),
    ),
    sees=("conversation", "rationale"),
    context="so_far",
)


def conversation(number: int, turns: int = 6) -> Conversation:
    """Turns up to the third may be seen; what comes later is secret."""
    said = [f"Hello, this is about order {number}.", "Which order?", "A person, please!"]
    said += [f"{SECRET} of later"] * turns
    return Conversation(
        f"c{number}",
        tuple(Turn("user" if place % 2 == 0 else "bot", text) for place, text in enumerate(said[:turns])),
        metadata={"score": SECRET},
    )


def make(
    n: int = 4,
    *,
    practice: int = 0,
    people: Sequence[str] = PEOPLE,
    adjudicator: str = "cara",
    rubric: Rubric = RUBRIC,
    kind: SessionKind = "judge",
    design: SessionDesign = "by_verdict",
) -> tuple[Session, dict[str, Conversation]]:
    """A session of `n` cases about the third turn, practice before them, and its conversations."""
    conversations = {one.id: one for one in map(conversation, range(n + practice))}
    items = tuple(
        SessionItem(
            Case(
                f"case {number}",
                f"c{number}",
                2,
                {"rationale": f"reason {number}", "verdict": SECRET},
                group=f"{SECRET} group {number // 2}",
                label="refused",
                metadata={"channel": SECRET},
            ),
            "practice" if number < practice else ("test", "align")[number % 2],
            f"{SECRET} stratum",
            0.123456,
            tuple(people),
        )
        for number in range(n + practice)
    )
    session = Session(
        "s-1",
        kind,
        rubric,
        design,
        items,
        tuple(people),
        adjudicator,
        len(people),
        {f"{SECRET} stratum": 40},
        SECRET,
    )
    return session, conversations


def opened(store: Store, session: Session, conversations: Mapping[str, Conversation]) -> Desk:
    """A desk at which the session is open."""
    desk = Desk(store)
    desk.open(session, conversations)
    return desk


def task_session(n: int = 4, **more: Any) -> tuple[Session, dict[str, Conversation]]:
    """The same about a task: the conversation alone is seen."""
    return make(n, rubric=replace(RUBRIC, sees=("conversation",)), kind="task", **more)
