"""The desk: opens sessions, asks people case by case, and keeps what they say."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmclf.calibration.asks import (
    Ask,
    Assigned,
    Progress,
    Seat,
    SessionSummary,
    is_done,
    progress_of,
    queue_of,
    shown_names,
    summary_of,
)
from llmclf.calibration.known import Known, Opened
from llmclf.calibration.opening import check_session
from llmclf.calibration.said import Saying, checked, label_row, refuse, refuse_undo
from llmclf.calibration.saving import SavedLabels, sorted_labels
from llmclf.calibration.session import LabelledCase, Session, Split
from llmclf.calibration.session_rows import (
    annotation_of,
    conversation_of,
    item_row,
    labelled_case,
    last_rows,
    session_of,
    session_row,
)
from llmclf.errors import ConfigError, DataError, nearest, shorten
from llmclf.store import Store, sessions
from llmclf.store.moments import utc_text
from llmclf.types import Conversation, Evidence

_LISTED = 20


class Desk:
    """What people label by, on one store; several threads and processes may use it at once.

    What somebody says is on the disk when `save` returns. First labels are blind: `ask` gives a
    person nothing of the case but what the rubric lets see.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = Known(store)

    # --- sessions ---------------------------------------------------------------------------

    def open(self, session: Session, conversations: Mapping[str, Conversation]) -> None:
        """Begins a session: its items and their words are kept, redacted where the store redacts.

        Of each conversation only what people may see is kept. Raises DataError that lists everything
        wrong with the session, ConfigError where its id is taken.
        """
        check_session(session, conversations)
        sees = "conversation" in session.rubric.sees
        rows = [
            item_row(session, place, item, conversations[item.case.conversation_id] if sees else None, self._store)
            for place, item in enumerate(session.items)
        ]
        head = session_row(session, session.created_at or utc_text())
        if not self._store.write(sessions.insert_session(head, rows)):
            raise ConfigError("there is a session of this name", where="session", got=session.id, fix="give another")

    def sessions(self) -> list[SessionSummary]:
        """All sessions of the store, newest first, with how far everybody is."""
        found = []
        for row in sessions.read_sessions(self._store.query):
            opened = self._known.session(row["session_id"])
            board = self._known.board(opened.session.id)
            cases = opened.askable(board)
            found.append(summary_of(opened.session, cases, board, closed=row["closed_at"] is not None))
        return found

    def session(self, session_id: str) -> Session:
        """The session of a full id, of the beginning of one, or the `last`; ConfigError with the choices."""
        row = self._row(session_id)
        return session_of(row, sessions.read_items(self._store.query, row["session_id"]))

    def close(self, session_id: str) -> None:
        """Ends a session: no more labels are taken, nothing is taken back."""
        self._store.write(sessions.close_session(self._row(session_id)["session_id"]))

    # --- who sits there ---------------------------------------------------------------------

    def link_token(self, session_id: str, annotator: str) -> str:
        """A new token for the link of one person. It is in the store as its hash alone.

        ConfigError where nobody of that name labels or adjudicates in the session.
        """
        seat = self.seat_of(session_id, annotator)
        token = secrets.token_urlsafe(32)
        self._store.write(sessions.insert_token(_digest(token), seat.session_id, annotator, "link"))
        return token

    def swap(self, link_token: str) -> str | None:
        """A new cookie token for the person a link is of; None where no such link holds.

        A link may be used again, on another machine.
        """
        cookie = secrets.token_urlsafe(32)
        found = self._store.write(sessions.swap_token(_digest(link_token), _digest(cookie)))
        return cookie if found else None

    def seat(self, cookie_token: str) -> Seat | None:
        """Who sends a cookie; None where it holds no longer, or never did."""
        row = sessions.read_seat(self._store.query, _digest(cookie_token))
        if row is None:
            return None
        return self.seat_of(row["session_id"], row["annotator"])

    def revoke(self, session_id: str, annotator: str | None = None) -> int:
        """Makes links and cookies of one person (None: of everybody) hold no longer; gives how many."""
        return self._store.write(sessions.revoke_tokens(self._row(session_id)["session_id"], annotator))

    # --- asking -----------------------------------------------------------------------------

    def ask(self, seat: Seat, case_id: str | None = None) -> Ask | None:
        """The next case of a person, or a given one again; None where nothing is open or the session is closed.

        Practice comes first. An adjudicator is asked where everybody is done with a case and they
        differ. DataError where the case is not one of this person's, or its words were erased.
        """
        opened = self._known.session(seat.session_id)
        board = self._known.board(seat.session_id)
        queue = queue_of(seat, opened.askable(board), board)
        if case_id is not None:
            case = next((case for case in queue if case.case_id == case_id), None)
            if case is None:
                raise _foreign(seat, case_id)
            found = self._ask(seat, opened, case, queue)
            if found is None:
                raise _erased(seat, case_id)
            return found
        if self._is_closed(seat.session_id):
            return None
        for case in queue:
            if not is_done(seat, case, board):
                found = self._ask(seat, opened, case, queue)
                if found is not None:
                    return found
        return None

    def asks(self, seat: Seat) -> Iterator[Ask]:
        """Every case of a person whose words are there, in order, those that are done among them."""
        opened = self._known.session(seat.session_id)
        board = self._known.board(seat.session_id)
        queue = queue_of(seat, opened.askable(board), board)
        for case in queue:
            found = self._ask(seat, opened, case, queue)
            if found is not None:
                yield found

    def seat_of(self, session_id: str, annotator: str) -> Seat:
        """The seat of a person by name; ConfigError where nobody of that name takes part in the session."""
        session = self._known.session(self._row(session_id)["session_id"]).session
        people = _people(session)
        if annotator not in people:
            raise ConfigError(
                "takes no part in the session",
                where=f"session {session.id}",
                got=annotator,
                fix=nearest(annotator, people),
            )
        return Seat(session.id, annotator, annotator == session.adjudicator)

    def progress(self, seat: Seat) -> Progress:
        """How far a person is, and how many minutes are left at that person's pace."""
        opened = self._known.session(seat.session_id)
        board = self._known.board(seat.session_id)
        return progress_of(seat, opened.askable(board), board, closed=self._is_closed(seat.session_id))

    # --- keeping ----------------------------------------------------------------------------

    def save(
        self,
        seat: Seat,
        case_id: str,
        *,
        label: str | None = None,
        skipped: str = "",
        rule: str = "",
        note: str = "",
        evidence: Sequence[Evidence] = (),
        seconds: float | None = None,
        client_id: str = "",
    ) -> None:
        """Keeps what a person says of a case, on the disk at return: a label, or why it is skipped.

        Said again, the last counts. `client_id` is made by the page for each click: what is sent
        twice under one is kept once. More than an hour of `seconds` is kept as an hour: somebody left
        the page open. Whether a quote of `evidence` is grounded is found here, not believed.

        Raises DataError that lists what is wrong: neither or both of label and skip, a label or rule
        that is not in the rubric, a quote from a turn that is not shown, texts that are too long, a
        case that is not this person's or whose words were erased; where an adjudicator has decided
        the case already, or there is nothing to decide; where the session is closed. StoreError where
        it can't be written: then nothing is kept.
        """
        opened = self._known.session(seat.session_id)
        items = sessions.read_items(self._store.query, seat.session_id, case_id)
        if not items:
            raise _foreign(seat, case_id)
        if items[0]["forgotten_at"] is not None:
            raise _erased(seat, case_id)
        said = Saying(label, skipped, rule, note, tuple(evidence), seconds, client_id)
        if items[0]["split"] == "practice" and items[0]["known_label"]:
            before = last_rows(sessions.read_labels(self._store.query, seat.session_id, case_id)).get(case_id, {})
            said = replace(said, blind=(seat.round, seat.annotator) not in before)  # then the known label was shown
        row = label_row(seat, opened.session, items[0], checked(said, opened.session.rubric, items[0]), self._store)
        kept = self._store.write(sessions.insert_labels(seat.session_id, [row], refuse({case_id: items[0]})))
        if kept.problems:
            raise DataError("the label was not taken", where=_at(seat, case_id), problems=kept.problems)

    def save_all(self, session_id: str, sayings: Sequence[tuple[str, str, Saying]]) -> SavedLabels:
        """Keeps (person, case, what was said) that was written down elsewhere: all of it, or nothing.

        What is there already is left as it is; so is what was said later than what comes now. Where
        the words of a case were erased, those that come are left out. Raises DataError that lists
        everything wrong, as `save` does.
        """
        row = self._row(session_id)
        session = session_of(row, ())
        items = {item["case_id"]: item for item in sessions.read_items(self._store.query, session.id)}
        before = last_rows(sessions.read_labels(self._store.query, session.id))
        saved, rows = sorted_labels(session, items, before, sayings, self._store)
        kept = self._store.write(sessions.insert_labels(session.id, rows, refuse(items)))
        if kept.problems:
            raise DataError("the labels were not taken", where=f"session {session.id}", problems=kept.problems)
        return saved

    def last(self, seat: Seat) -> int:
        """The number of what a person said last and did not take back, for `undo`; 0: there is nothing."""
        return sessions.read_last(self._store.query, seat.session_id, seat.annotator)

    def undo(self, seat: Seat, number: int | None = None) -> str | None:
        """Takes back what a person said last in this session, and gives its case; None where nothing is left.

        What was said of the case before counts again. `number` (of `last`) is the label that is meant:
        asked for twice, it is taken back once. DataError where the session is closed, the adjudicator
        has decided that case, or the person has said something since.
        """
        undo = sessions.undo_last(seat.session_id, seat.annotator, refuse_undo, number)
        case_id, problem = self._store.write(undo)
        if problem:
            raise DataError("it can't be taken back", where=f"session {seat.session_id}", problems=[problem])
        return case_id

    # --- what came of it --------------------------------------------------------------------

    def labelled(self, session_id: str, *, split: Split | None = None) -> tuple[LabelledCase, ...]:
        """Every case of a session with what people last said of it, in order; of one split, or of all of them.

        Practice is among all of them, and is never to be scored.
        """
        session = self.session(session_id)
        said = last_rows(sessions.read_labels(self._store.query, session.id))
        return tuple(
            labelled_case(item, said.get(item.case.id, {}), session)
            for item in session.items
            if split in (None, item.split)
        )

    def look(self, session_id: str, judge: str, fingerprint: str, split: Split = "test") -> int:
        """Records that somebody looks at a judge's figures; gives `looks`, this one included."""
        session_id = self._row(session_id)["session_id"]
        self._store.write(sessions.insert_look(session_id, fingerprint, judge, split))
        return self.looks(session_id)

    def looks(self, session_id: str, fingerprint: str | None = None) -> int:
        """How often the test split was looked at, with one judge (by its fingerprint) or with any.

        The same judge on the same labels shows nothing new, and counts once.
        """
        return sessions.count_looks(self._store.query, self._row(session_id)["session_id"], fingerprint)

    # --- inside -----------------------------------------------------------------------------

    def _row(self, session_id: str) -> dict[str, Any]:
        row = sessions.read_session(self._store.query, session_id)
        if row is not None:
            return row
        every = sessions.read_sessions(self._store.query)
        if session_id == "last" and every:
            return every[0]
        fits = [row for row in every if session_id and row["session_id"].startswith(session_id)]
        if len(fits) == 1:
            return fits[0]
        if fits:
            ids = ", ".join(row["session_id"] for row in fits[:_LISTED])
            raise ConfigError("several sessions begin so", where="session", got=session_id, fix=f"give one of {ids}")
        hint = nearest(session_id, [row["session_id"] for row in every[:_LISTED]])
        fix = hint or "begin one with `llmclf calibrate start`"
        raise ConfigError("there is no such session", where="session", got=session_id, fix=fix)

    def _is_closed(self, session_id: str) -> bool:
        row = sessions.read_session(self._store.query, session_id)
        return row is None or row["closed_at"] is not None

    def _ask(self, seat: Seat, opened: Opened, case: Assigned, queue: Sequence[Assigned]) -> Ask | None:
        """What the person may see of the case; None where its words are gone."""
        (row,) = sessions.read_items(self._store.query, seat.session_id, case.case_id)
        if row["forgotten_at"] is not None:
            opened.forgotten.add(case.case_id)
            return None
        session = opened.session
        said = last_rows(sessions.read_labels(self._store.query, seat.session_id, case.case_id)).get(case.case_id, {})
        own = said.get((seat.round, seat.annotator))
        ask = Ask(
            case_id=case.case_id,
            turn=case.turn,
            shown={name: row["shown"][name] for name in session.rubric.sees if name in (row["shown"] or {})},
            practice=case.split == "practice",
            conversation=conversation_of(row["conversation"]),
            round=seat.round,
            number=queue.index(case) + 1,
            earlier=None if own is None or own["label"] is None else annotation_of(own, session.rubric),
            skipped="" if own is None else own["skipped"],
            known=row["known_label"] if case.split == "practice" and own is not None else "",
        )
        return replace(ask, others=_others(session, said)) if seat.adjudicates else ask


def _others(session: Session, said: Mapping[tuple[str, str], Mapping[str, Any]]) -> tuple[Any, ...]:
    """The first labels as the adjudicator sees them: without times, by which people can be told apart."""
    names = shown_names(session)
    found = (said.get(("first", name)) for name in session.annotators)
    return tuple(
        replace(annotation_of(row, session.rubric), annotator=names[row["annotator"]], seconds=None, at="")
        for row in found
        if row is not None and row["label"] is not None
    )


def _people(session: Session) -> list[str]:
    return [*session.annotators, *([session.adjudicator] if session.adjudicator else [])]


def _foreign(seat: Seat, case_id: str) -> DataError:
    return DataError(
        "the case is not one of this person's", where=f"session {seat.session_id}", got=shorten(case_id, 60)
    )


def _erased(seat: Seat, case_id: str) -> DataError:
    return DataError("the words of the case were erased", where=_at(seat, case_id))


def _at(seat: Seat, case_id: str) -> str:
    return f"session {seat.session_id}, case {shorten(case_id, 60)}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
