"""Sessions in which people label: their cases, what was said, links and looks, as rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from llmclf.store.moments import utc_text
from llmclf.store.texts import storable

Row = Mapping[str, Any]
Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]
Refuse = Callable[[Row, Sequence[Row]], str]
"""Why a label can't be taken, given it and what was said of its case and not undone; empty: it can."""

CLOSED = "the session is closed"

_SESSION = (
    "session_id", "created_at", "kind", "rubric", "guideline", "design", "population", "fingerprint", "annotators",
    "adjudicator", "per_item", "seed", "hide_names",
)  # fmt: skip
_ITEM = (
    "session_id", "case_id", "place", "split", "stratum", "inclusion_probability", "annotators", "conversation_id",
    "turn", "own_group", "known_label", "metadata", "conversation", "shown",
)  # fmt: skip
_LABEL = (
    "session_id", "case_id", "annotator", "round", "label", "skipped", "rule", "note", "evidence", "seconds", "blind",
    "guideline", "made_at", "client_id",
)  # fmt: skip
_JSON = frozenset({"rubric", "population", "annotators", "metadata", "conversation", "shown", "evidence"})
_SAME = ("case_id", "round", "label", "skipped", "rule")  # of what one client_id stands for
_TOKEN = "INSERT INTO session_tokens (token_sha256, session_id, annotator, kind, created_at) VALUES (?, ?, ?, ?, ?)"  # noqa: S105
_SEAT = """
SELECT session_id, annotator FROM session_tokens WHERE token_sha256 = ? AND kind = ? AND revoked_at IS NULL
"""
_LIGHT = """
SELECT case_id, split, annotators, conversation_id, turn FROM session_items WHERE session_id = ? ORDER BY place
"""
_SAID = """
SELECT case_id, annotator, round, label, seconds FROM session_labels
WHERE session_id = ? AND undone_at IS NULL AND label_id > ? AND label_id <= ? ORDER BY label_id
"""
_MARK = """
SELECT coalesce(max(label_id), 0) AS last, count(undone_at) AS undone FROM session_labels WHERE session_id = ?
"""
_LAST = """
SELECT * FROM session_labels WHERE session_id = ? AND annotator = ? AND undone_at IS NULL
ORDER BY label_id DESC LIMIT 1
"""
_NUMBER = """
SELECT count(*) AS number FROM session_labels WHERE session_id = ? AND annotator = ? AND label_id <= (
  SELECT max(label_id) FROM session_labels WHERE session_id = ? AND annotator = ? AND undone_at IS NULL
)
"""
_NUMBERED = """
SELECT * FROM session_labels WHERE session_id = ? AND annotator = ? ORDER BY label_id LIMIT 1 OFFSET ?
"""
_LOOKS = """
SELECT count(*) AS n FROM (
  SELECT DISTINCT looks.fingerprint, (
    SELECT max(label_id) FROM session_labels AS labels
    WHERE labels.session_id = looks.session_id AND labels.made_at <= looks.looked_at
  ) FROM session_looks AS looks WHERE {which}
)
"""


class Kept(NamedTuple):
    """What became of labels that were handed over: all of them are kept, or none."""

    kept: int = 0
    """One that was sent before is not counted again."""
    problems: tuple[str, ...] = ()


def insert_session(session: Row, items: Sequence[Row]) -> Callable[[sqlite3.Connection], bool]:
    """Work for the writer: a session with its items; False, and nothing is written, where its id is taken."""
    head = _values(session, _SESSION)
    rows = [_values(item, _ITEM) for item in items]

    def work(connection: sqlite3.Connection) -> bool:
        taken = "SELECT 1 FROM sessions WHERE session_id = ?"
        if connection.execute(taken, (session["session_id"],)).fetchone() is not None:
            return False
        connection.execute(_insert("sessions", _SESSION), head)
        connection.executemany(_insert("session_items", _ITEM), rows)
        return True

    return work


def insert_labels(session_id: str, labels: Sequence[Row], refuse: Refuse) -> Callable[[sqlite3.Connection], Kept]:
    """Work for the writer: what people said, in order; all of it, or none where `refuse` refuses any.

    One with a `client_id` that is there already is kept once, also after it was undone.
    """

    def work(connection: sqlite3.Connection) -> Kept:
        if _is_closed(connection, session_id):
            return Kept(problems=(CLOSED,))
        connection.execute("SAVEPOINT labels")  # others' rows in the same transaction must not suffer
        count, problems = 0, list[str]()
        for label in labels:
            known = _known(connection, label)
            problem = _same(label, known) if known is not None else refuse(label, _active(connection, label))
            if problem:
                problems.append(problem)
            elif known is None:
                connection.execute(_insert("session_labels", _LABEL), _values(label, _LABEL))
                count += 1
        if problems:
            connection.execute("ROLLBACK TO labels")
        connection.execute("RELEASE labels")
        return Kept(problems=tuple(problems)) if problems else Kept(count)

    return work


def undo_last(
    session_id: str, annotator: str, refuse: Refuse, number: int | None = None
) -> Callable[[sqlite3.Connection], tuple[str | None, str]]:
    """Work for the writer: takes back what a person said last; (its case or None, why it can't be).

    `number` (of `read_last`) is the label that is meant: taken back before, it is not taken back again.
    """

    def work(connection: sqlite3.Connection) -> tuple[str | None, str]:
        if _is_closed(connection, session_id):
            return None, CLOSED
        last = _all(connection, _LAST, (session_id, annotator))
        if number is not None:
            meant = _all(connection, _NUMBERED, (session_id, annotator, number - 1)) if number > 0 else []
            if not meant:
                return None, "there is no such label"
            if meant[0]["undone_at"] is not None:
                return str(meant[0]["case_id"]), ""
            if meant[0]["label_id"] != last[0]["label_id"]:
                return None, "another label was saved since"
        if not last:
            return None, ""
        problem = refuse(last[0], _active(connection, last[0]))
        if problem:
            return None, problem
        undo = "UPDATE session_labels SET undone_at = ? WHERE label_id = ?"
        connection.execute(undo, (utc_text(), last[0]["label_id"]))
        return str(last[0]["case_id"]), ""

    return work


def rehearse(connection: sqlite3.Connection) -> None:
    """Work for the writer: writes a row to the disk and takes it away again, to see whether that can be done."""
    connection.execute(_TOKEN, ("", "", "", "", utc_text()))
    connection.execute("DELETE FROM session_tokens WHERE token_sha256 = ''")


def insert_token(digest: str, session_id: str, annotator: str, kind: str) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: the hash of a link's or a cookie's token."""
    row = (digest, session_id, annotator, kind, utc_text())

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(_TOKEN, row)

    return work


def swap_token(link: str, cookie: str) -> Callable[[sqlite3.Connection], bool]:
    """Work for the writer: a cookie for whom a link is of, by their hashes; False where no such link holds."""

    def work(connection: sqlite3.Connection) -> bool:
        seat = connection.execute(_SEAT, (link, "link")).fetchone()
        if seat is None:
            return False
        connection.execute(_TOKEN, (cookie, *seat, "cookie", utc_text()))
        return True

    return work


def revoke_tokens(session_id: str, annotator: str | None) -> Callable[[sqlite3.Connection], int]:
    """Work for the writer: links and cookies of one person (None: of all) hold no longer; gives how many."""

    def work(connection: sqlite3.Connection) -> int:
        sql = "UPDATE session_tokens SET revoked_at = ? WHERE session_id = ? AND revoked_at IS NULL"
        values: list[object] = [utc_text(), session_id]
        if annotator is not None:
            sql, values = f"{sql} AND annotator = ?", [*values, annotator]
        return connection.execute(sql, values).rowcount

    return work


def insert_look(session_id: str, fingerprint: str, judge: str, split: str) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: somebody looked at the figures of a judge."""
    row = (session_id, fingerprint, judge, split, utc_text())

    def work(connection: sqlite3.Connection) -> None:
        columns = ("session_id", "fingerprint", "judge", "split", "looked_at")
        connection.execute(_insert("session_looks", columns), row)

    return work


def close_session(session_id: str) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: no more labels are taken."""

    def work(connection: sqlite3.Connection) -> None:
        sql = "UPDATE sessions SET closed_at = ? WHERE session_id = ? AND closed_at IS NULL"
        connection.execute(sql, (utc_text(), session_id))

    return work


def read_sessions(rows: Rows) -> list[dict[str, Any]]:
    """All sessions, newest first."""
    return _loaded(rows("SELECT * FROM sessions ORDER BY created_at DESC, session_id", ()))


def read_session(rows: Rows, session_id: str) -> dict[str, Any] | None:
    """One session by its full id."""
    found = _loaded(rows("SELECT * FROM sessions WHERE session_id = ?", (session_id,)))
    return found[0] if found else None


def read_cases(rows: Rows, session_id: str) -> list[dict[str, Any]]:
    """The items of a session without their words, in order: case_id, split, annotators, conversation_id, turn."""
    return _loaded(rows(_LIGHT, (session_id,)))


def read_forgotten(rows: Rows, session_id: str) -> set[str]:
    """The cases of a session whose words are gone."""
    sql = "SELECT case_id FROM session_items WHERE session_id = ? AND forgotten_at IS NOT NULL"
    return {row["case_id"] for row in rows(sql, (session_id,))}


def read_items(rows: Rows, session_id: str, case_id: str | None = None) -> list[dict[str, Any]]:
    """The items of a session, in order, or one of them; conversations as JSON text."""
    sql, values = "SELECT * FROM session_items WHERE session_id = ?", [session_id]
    if case_id is not None:
        sql, values = f"{sql} AND case_id = ?", [*values, case_id]
    return _loaded(rows(f"{sql} ORDER BY place", values), leave=("conversation",))


def read_mark(rows: Rows, session_id: str) -> tuple[int, int]:
    """(label_id of what was said last, how often something was taken back): equal marks, equal labels."""
    (found,) = rows(_MARK, (session_id,))
    return found["last"], found["undone"]


def read_said(rows: Rows, session_id: str, after: int, last: int) -> list[dict[str, Any]]:
    """What was said and not undone, without words, in order: case_id, annotator, round, label, seconds.

    Of the rows with a label_id above `after`, up to `last`.
    """
    return rows(_SAID, (session_id, after, last))


def read_labels(rows: Rows, session_id: str, case_id: str | None = None) -> list[dict[str, Any]]:
    """What was said, of one case or of all, and not undone; in order."""
    sql, values = "SELECT * FROM session_labels WHERE session_id = ? AND undone_at IS NULL", [session_id]
    if case_id is not None:
        sql, values = f"{sql} AND case_id = ?", [*values, case_id]
    return _loaded(rows(f"{sql} ORDER BY label_id", values))


def read_last(rows: Rows, session_id: str, annotator: str) -> int:
    """Which of a person's labels is the last that was not undone, from 1, undone ones counted; 0: there is none."""
    return int(rows(_NUMBER, (session_id, annotator, session_id, annotator))[0]["number"])


def read_seat(rows: Rows, digest: str) -> dict[str, Any] | None:
    """Session and person of a cookie's hash; None where none such holds."""
    found = rows(_SEAT, (digest, "cookie"))
    return found[0] if found else None


def count_looks(rows: Rows, session_id: str, fingerprint: str | None) -> int:
    """How often the test split was looked at, with one judge or with any.

    The same judge on the same labels shows nothing new, and counts once.
    """
    which, values = "looks.session_id = ? AND looks.split = 'test'", [session_id]
    if fingerprint is not None:
        which, values = f"{which} AND looks.fingerprint = ?", [*values, fingerprint]
    return int(rows(_LOOKS.format(which=which), values)[0]["n"])


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def _values(row: Row, columns: Sequence[str]) -> list[Any]:
    return [_stored(row[name], name) for name in columns]


def _stored(value: Any, name: str) -> Any:
    if name in _JSON and value is not None and not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    return storable(value) if isinstance(value, str) else value


def _loaded(rows: list[dict[str, Any]], leave: Sequence[str] = ()) -> list[dict[str, Any]]:
    for row in rows:
        for name in (_JSON & row.keys()).difference(leave):
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


def _is_closed(connection: sqlite3.Connection, session_id: str) -> bool:
    sql = "SELECT 1 FROM sessions WHERE session_id = ? AND closed_at IS NULL"
    return connection.execute(sql, (session_id,)).fetchone() is None


def _known(connection: sqlite3.Connection, label: Row) -> dict[str, Any] | None:
    """The label that the same click made before."""
    if not label["client_id"]:
        return None
    sql = "SELECT * FROM session_labels WHERE session_id = ? AND annotator = ? AND client_id = ?"
    sql += " AND client_id <> ''"  # or the index would not be used
    found = _all(connection, sql, (label["session_id"], label["annotator"], label["client_id"]))
    return found[0] if found else None


def _same(label: Row, known: Row) -> str:
    same = all(label[name] == known[name] for name in _SAME)
    return "" if same else "this client_id stands for another label already"


def _active(connection: sqlite3.Connection, label: Row) -> list[dict[str, Any]]:
    sql = "SELECT * FROM session_labels WHERE session_id = ? AND case_id = ? AND undone_at IS NULL ORDER BY label_id"
    return _all(connection, sql, (label["session_id"], label["case_id"]))


def _all(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
