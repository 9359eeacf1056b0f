"""Taking the words of conversations out of the file, for good. Counts and money stay."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence

from llmclf.errors import StoreError
from llmclf.store.erased_clusters import erase_clusters
from llmclf.store.moments import utc_text

Erase = Callable[[sqlite3.Connection], dict[str, int]]

_CALL_TEXTS = "DELETE FROM call_texts WHERE call_id IN (SELECT call_id FROM calls WHERE {which})"
_CALLS = "UPDATE calls SET forgotten_at = :now WHERE {which} AND forgotten_at IS NULL"
_PREDICTIONS = """
UPDATE predictions SET evidence = NULL, rationale = NULL, thinking = NULL, error_message = NULL, fields = NULL,
  forgotten_at = :now
WHERE {which} AND forgotten_at IS NULL
"""
_JUDGMENTS = """
UPDATE judgments SET reason = NULL, thinking = NULL, error_message = NULL, forgotten_at = :now
WHERE {which} AND forgotten_at IS NULL
"""
_ITEMS = """
UPDATE session_items SET conversation = NULL, shown = NULL, forgotten_at = :now
WHERE {which} AND forgotten_at IS NULL
"""
_LABELS = """
UPDATE session_labels SET note = NULL, evidence = NULL,
  skipped = CASE skipped WHEN '' THEN '' ELSE 'forgotten' END
WHERE {which} AND (note IS NOT NULL OR evidence IS NOT NULL)
"""
_NAMING = "prompt_id LIKE 'reasons/name_cluster@%'"  # what was said to name clusters quotes several conversations
_REFLECTION = "classifier_id = 'optimization/reflection'"  # as do calls of the model that writes instructions
_OF_CONVERSATION = "conversation_id = :value"
_SHOWING = "shown_id IN (SELECT shown_id FROM shown WHERE conversation_id = :value)"
_CONVERSATION = (
    ("call_texts", _CALL_TEXTS, _OF_CONVERSATION),
    ("calls", _CALLS, _OF_CONVERSATION),
    ("call_texts", _CALL_TEXTS, _SHOWING),
    ("calls", _CALLS, _SHOWING),
    ("predictions", _PREDICTIONS, _OF_CONVERSATION),
    ("judgments", _JUDGMENTS, _OF_CONVERSATION),
    ("session_items", _ITEMS, _OF_CONVERSATION),
    (
        "session_labels",
        _LABELS,
        "(session_id, case_id) IN (SELECT session_id, case_id FROM session_items WHERE conversation_id = :value)",
    ),
)
_OLD_SESSION = "session_id IN (SELECT session_id FROM sessions WHERE created_at < :value)"
_BEFORE = (
    ("call_texts", _CALL_TEXTS, "sent_at < :value"),
    ("calls", _CALLS, "sent_at < :value"),
    ("predictions", _PREDICTIONS, "created_at < :value"),
    ("judgments", _JUDGMENTS, "created_at < :value"),
    ("session_items", _ITEMS, _OLD_SESSION),
    ("session_labels", _LABELS, f"(made_at < :value OR {_OLD_SESSION})"),
)


def erase_conversations(conversation_ids: Sequence[str]) -> Erase:
    """Work for the writer: the words of some conversations; gives the rows changed in each table."""

    def work(connection: sqlite3.Connection) -> dict[str, int]:
        now, found = utc_text(), Counter[str]()
        for conversation_id in conversation_ids:
            found.update(_erase(connection, _CONVERSATION, conversation_id, now))
        return {**found, **_erase_shared(connection, now)}

    return work


def erase_before(moment: str) -> Erase:
    """Work for the writer: the words of everything before a moment; gives the rows changed in each table.

    Of a session the words that people are shown are as old as the session.
    """

    def work(connection: sqlite3.Connection) -> dict[str, int]:
        now = utc_text()
        return {**_erase(connection, _BEFORE, moment, now), **_erase_shared(connection, now)}

    return work


def erase_naming(connection: sqlite3.Connection) -> None:
    """Work for the writer: what a process that was killed left of the words that clusters were to be named by."""
    _erase_calls(connection, _NAMING)


def _erase_calls(connection: sqlite3.Connection, which: str) -> None:
    connection.execute(_CALL_TEXTS.format(which=which))
    connection.execute(_CALLS.format(which=which), {"now": utc_text()})


def _erase_shared(connection: sqlite3.Connection, now: str) -> dict[str, int]:
    erase_naming(connection)
    _erase_calls(connection, _REFLECTION)
    return erase_clusters(connection, now)


def _erase(
    connection: sqlite3.Connection, tables: Sequence[tuple[str, str, str]], value: str, now: str
) -> dict[str, int]:
    values, found = {"now": now, "value": value}, Counter[str]()
    for table, sql, which in tables:
        found[table] += connection.execute(sql.format(which=which), values).rowcount
    return dict(found)


def compact(connection: sqlite3.Connection, where: str, seconds: float) -> None:
    """Writes the file anew without what was erased, and empties the log beside it.

    Freed pages are zeroed anyway (`secure_delete`); this also clears what moved within pages.
    Raises StoreError where a reader keeps the log in use for longer than `seconds`.
    """
    connection.execute("VACUUM")
    deadline = time.monotonic() + seconds
    while True:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        if time.monotonic() >= deadline:
            raise StoreError(
                "the words are erased, but older copies are still in the log beside the file: somebody reads it",
                where=where,
                fix="end other users of the store, then run the same again",
            )
        time.sleep(0.02)
