"""The cases of a session that a judge has not judged yet: which they are, and in whose words they are judged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from llmclf.calibration.session import Session, SessionItem, Split
from llmclf.calibration.session_rows import conversation_of
from llmclf.errors import ConfigError
from llmclf.judges.base import Judge
from llmclf.judges.recorded import RecordedJudge
from llmclf.llm.runtime import Runtime
from llmclf.store.sessions import read_items
from llmclf.types import Case, Conversation, Judgment
from llmclf.workspace.cases import cases_of

OF_THE_SESSION = "session"
"""What stands for the items of the session itself, in the words that it keeps."""


def left_of(scored: Sequence[SessionItem], said: Sequence[Judgment]) -> list[Case]:
    """The cases that the judge has not judged as they are."""
    plain = {one.case for one in said if not one.probe and one.repeat == 0}
    return [item.case for item in scored if item.case.id not in plain]


def how_to_judge(session: Session, judge: Judge, split: Split) -> str:
    """The command that has the cases of a session judged."""
    if isinstance(judge, RecordedJudge):
        return f"import its verdicts on them: llmclf judge import {shlex.quote(judge.name)} FILE.jsonl"
    told = ["llmclf", "calibrate", "report", session.id]
    told += ["--judge", judge.name] if judge.name != session.name else []
    told += ["--split", split] if split != "test" else []
    return f"{shlex.join([*told, '--judge-missing', OF_THE_SESSION, '--max-usd', '1'])} (--plan says what it costs)"


def missing_cases(
    session: Session, judge: Judge, left: Sequence[Case], items: str, runtime: Runtime, conversations: str | None
) -> tuple[list[Case], dict[str, Conversation]]:
    """The cases to judge, in the words of `items` (the store's may be redacted), and their conversations."""
    if items == OF_THE_SESSION:
        _check_context(session, judge)
        return list(left), kept_conversations(session, runtime)
    unit = "turn" if any(case.turn is not None for case in left) else "conversation"
    cases, texts = cases_of(items, judge.rubric, runtime, conversations=conversations, unit=unit)
    ids = {case.id for case in left}
    chosen = [case for case in cases if case.id in ids]
    if len(chosen) < len(left):
        raise ConfigError(
            f"{len(left) - len(chosen)} of {len(left)} cases that are not judged yet are not among these items",
            where="--judge-missing",
            got=items,
            fix=f"name the items that the session was begun with, or {OF_THE_SESSION}: what it keeps of them",
        )
    return chosen, texts


def kept_conversations(session: Session, runtime: Runtime) -> dict[str, Conversation]:
    """The conversations of a session by id, as far as it keeps them: what people saw, without what was redacted."""
    found: dict[str, Conversation] = {}
    for row in read_items(runtime.store.query, session.id):
        one = conversation_of(row["conversation"])
        if one is not None and len(one.turns) >= len(found[one.id].turns if one.id in found else ()):
            found[one.id] = one  # of two that end at different turns the longer one: the judge is shown its part of it
    return found


def _check_context(session: Session, judge: Judge) -> None:
    if judge.rubric.context == "whole" and session.rubric.context != "whole":
        raise ConfigError(
            "the judge sees whole conversations now, and the session keeps them up to the turn asked about",
            where=f"session {session.id}, judge {judge.name}",
            fix="name the items that the session was begun with",
        )
