"""What is asked of a person in a session, how far that person is, and the rules of who is asked what.

A first label is blind: an `Ask` holds nothing that could sway it, so nothing that shows it can leak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from llmclf.calibration.session import Round, Session, SessionKind, Split
from llmclf.types import Annotation, Conversation

_LEAST_TIMED = 5  # the first cases are slower or quicker than all others


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits there: one person in one session."""

    session_id: str
    annotator: str
    adjudicates: bool

    @property
    def round(self) -> Round:
        """What this person's labels are: first ones, or decisions where those differ."""
        return "adjudication" if self.adjudicates else "first"


@dataclass(frozen=True)
class Ask:
    """One case as a person may see it, and nothing else of it."""

    case_id: str
    turn: int | None
    """The turn that is asked about, from 0; None: the whole conversation."""
    shown: Mapping[str, str] = field(hash=False)
    """What is judged, by name: of `Case.shown` what the rubric `sees`."""
    practice: bool
    """Never scored."""
    conversation: Conversation | None
    """Up to the turn that is asked about where later turns may not be seen; without metadata. None: not shown."""
    round: Round
    number: int
    """Which of `Progress.total` it is, from 1."""
    earlier: Annotation | None = None
    """The person's own label, where it is being changed."""
    skipped: str = ""
    """Why the person skipped it before, where that is being changed."""
    others: tuple[Annotation, ...] = ()
    """In adjudication alone: the first labels with rules, notes and evidence; names as in `shown_names`."""
    known: str = ""
    """The known label of a practice case, once the person has labelled it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a person is."""

    done: int
    """Labelled or skipped."""
    total: int
    """Cases of this person; of an adjudicator, those that are ready."""
    skipped: int
    """Of `done`."""
    practice_left: int
    waiting: int
    """For an adjudicator: cases that somebody must still label before it is known whether people differ."""
    seconds_a_label: float | None
    """Median of the person's timed labels; None: fewer than five are timed."""
    minutes_left: float | None
    """For what is left of `total`, at that pace."""
    finished: bool
    closed: bool = False
    """The session takes no more labels."""


@dataclass(frozen=True)
class SessionSummary:
    """A session in a list."""

    id: str
    name: str
    """Of the task or judge it is about."""
    kind: SessionKind
    created_at: str
    annotators: tuple[str, ...]
    adjudicator: str
    done: Mapping[str, int] = field(hash=False)
    """Annotator to cases labelled or skipped."""
    total: Mapping[str, int] = field(hash=False)
    """Annotator to cases assigned."""
    to_adjudicate: int = 0
    """Cases on which people differ and that nobody has decided."""
    unlabelled: int = 0
    """Cases that everybody who was asked skipped."""
    closed: bool = False


class Assigned(NamedTuple):
    """A case of a session without its words."""

    case_id: str
    split: Split
    annotators: tuple[str, ...]
    conversation_id: str
    turn: int | None


class Said(NamedTuple):
    """What somebody said of a case, without words; the last that was not undone."""

    case_id: str
    annotator: str
    round: Round
    label: str | None
    """None: skipped."""
    seconds: float | None


Board = Mapping[str, Mapping[tuple[Round, str], Said]]
"""Case to (round, person) to what that person last said of it."""


def added(board: Board, said: Sequence[Said]) -> Board:
    """A board with what was said since, in that order: the last of each person counts."""
    found = dict(board)
    for one in said:
        found[one.case_id] = {**found.get(one.case_id, {}), (one.round, one.annotator): one}
    return found


def queue_of(seat: Seat, cases: Sequence[Assigned], board: Board) -> list[Assigned]:
    """A person's cases in the order in which they are asked, practice first, those that are done among them."""
    if seat.adjudicates:
        return [
            case for case in cases if to_decide(case, board) or ("adjudication", seat.annotator) in _of(board, case)
        ]
    mine = [case for case in cases if seat.annotator in case.annotators]
    return sorted(mine, key=lambda case: case.split != "practice")


def is_done(seat: Seat, case: Assigned, board: Board) -> bool:
    """True where the person labelled or skipped the case."""
    return (seat.round, seat.annotator) in _of(board, case)


def is_ready(case: Assigned, board: Board) -> bool:
    """True where everybody who was asked has labelled or skipped it."""
    said = _of(board, case)
    return all(("first", name) in said for name in case.annotators)


def first_labels(case: Assigned, board: Board) -> list[str]:
    """What people said of it first, skips left out."""
    said = _of(board, case)
    found = (said.get(("first", name)) for name in case.annotators)
    return [one.label for one in found if one is not None and one.label is not None]


def to_decide(case: Assigned, board: Board) -> bool:
    """True for what an adjudicator sees: everybody is done with it, and they differ. Practice is never decided."""
    return case.split != "practice" and is_ready(case, board) and len(set(first_labels(case, board))) > 1


def is_decided(case: Assigned, board: Board) -> bool:
    """True where an adjudicator said what holds, or skipped it."""
    return any(round == "adjudication" for round, _ in _of(board, case))


def progress_of(seat: Seat, cases: Sequence[Assigned], board: Board, *, closed: bool) -> Progress:
    """How far the person is; for an adjudicator, what may still come is `waiting`."""
    queue = queue_of(seat, cases, board)
    mine = [board[case.case_id][seat.round, seat.annotator] for case in queue if is_done(seat, case, board)]
    waiting = 0
    if seat.adjudicates:
        several = (case for case in cases if case.split != "practice" and len(case.annotators) > 1)
        waiting = sum(not is_ready(case, board) for case in several)
    timed = [one.seconds for one in mine if one.seconds is not None]
    pace = median(timed) if len(timed) >= _LEAST_TIMED else None
    left = len(queue) - len(mine)
    return Progress(
        done=len(mine),
        total=len(queue),
        skipped=sum(one.label is None for one in mine),
        practice_left=sum(case.split == "practice" and not is_done(seat, case, board) for case in queue),
        waiting=waiting,
        seconds_a_label=pace,
        minutes_left=None if pace is None else left * pace / 60,
        finished=left == 0 and waiting == 0,
        closed=closed,
    )


def summary_of(session: Session, cases: Sequence[Assigned], board: Board, *, closed: bool) -> SessionSummary:
    """How far everybody is."""
    seats = [Seat(session.id, name, False) for name in session.annotators]
    queues = {seat: queue_of(seat, cases, board) for seat in seats}
    return SessionSummary(
        id=session.id,
        name=session.name,
        kind=session.kind,
        created_at=session.created_at,
        annotators=session.annotators,
        adjudicator=session.adjudicator,
        done={seat.annotator: sum(is_done(seat, case, board) for case in queues[seat]) for seat in seats},
        total={seat.annotator: len(queues[seat]) for seat in seats},
        to_adjudicate=sum(to_decide(case, board) and not is_decided(case, board) for case in cases),
        unlabelled=sum(
            bool(case.annotators) and is_ready(case, board) and not first_labels(case, board) for case in cases
        ),
        closed=closed,
    )


def shown_names(session: Session) -> dict[str, str]:
    """Each person's name as it is shown: A1, A2, ... in the session's order where names are hidden.

    The adjudicator, where there is one, is then `adjudicator`.
    """
    people = [*session.annotators, *([session.adjudicator] if session.adjudicator else [])]
    if not session.hide_names:
        return {name: name for name in people}
    hidden = {name: f"A{number}" for number, name in enumerate(session.annotators, start=1)}
    return {name: hidden.get(name, "adjudicator") for name in people}


def _of(board: Board, case: Assigned) -> Mapping[tuple[Round, str], Said]:
    return board.get(case.case_id, {})
