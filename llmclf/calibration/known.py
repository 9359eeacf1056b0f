"""What a desk remembers of sessions between two clicks: what never changes, and who said what so far."""

from __future__ import annotations

from dataclasses import dataclass

from llmclf.calibration.asks import Assigned, Board, Said, added
from llmclf.calibration.session import Session
from llmclf.calibration.session_rows import session_of
from llmclf.errors import ConfigError
from llmclf.store import Store, sessions


@dataclass
class Opened:
    """What is known of a session for good: only the words of its cases may go."""

    session: Session
    """Without items."""
    cases: tuple[Assigned, ...]
    forgotten: set[str]
    """Cases found to be without words; one that nobody looked at since may be missing."""

    def askable(self, board: Board) -> list[Assigned]:
        """The cases that can be labelled or were: one whose words are gone is asked of nobody any more."""
        if not self.forgotten:
            return list(self.cases)
        return [case for case in self.cases if case.case_id not in self.forgotten or case.case_id in board]


@dataclass(frozen=True)
class _Seen:
    """A board, and up to where of the store it was read."""

    board: Board
    last: int
    undone: int


class Known:
    """Sessions and boards of one store, read anew only where something was said since; safe between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._opened: dict[str, Opened] = {}
        self._seen: dict[str, _Seen] = {}

    def session(self, session_id: str) -> Opened:
        """A session by its full id; ConfigError where there is none."""
        opened = self._opened.get(session_id)
        if opened is None:
            row = sessions.read_session(self._store.query, session_id)
            if row is None:
                raise ConfigError("there is no such session", where="session", got=session_id)
            cases = tuple(
                Assigned(
                    case["case_id"], case["split"], tuple(case["annotators"]), case["conversation_id"], case["turn"]
                )
                for case in sessions.read_cases(self._store.query, session_id)
            )
            forgotten = sessions.read_forgotten(self._store.query, session_id)
            opened = self._opened[session_id] = Opened(session_of(row, ()), cases, forgotten)
        return opened

    def board(self, session_id: str) -> Board:
        """Who said what of which case by now. A board is never changed: it is replaced."""
        last, undone = sessions.read_mark(self._store.query, session_id)
        seen = self._seen.get(session_id, _Seen({}, 0, 0))
        if (seen.last, seen.undone) == (last, undone):
            return seen.board
        if seen.undone != undone or seen.last > last:  # something was taken back: what was said before counts again
            seen = _Seen({}, 0, undone)
        said = [Said(**row) for row in sessions.read_said(self._store.query, session_id, seen.last, last)]
        board = added(seen.board, said)
        self._seen[session_id] = _Seen(board, last, undone)
        return board
