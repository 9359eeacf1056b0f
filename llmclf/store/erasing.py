"""Taking the words of conversations out of the file, for good. Counts and money stay."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from llmclf.errors import StoreError
from llmclf.store.moments import utc_text

Erase = Callable[[sqlite3.Connection], dict[str, int]]

_CALL_TEXTS = "DELETE FROM call_texts WHERE call_id IN (SELECT call_id FROM calls WHERE {which})"
_CALLS = "UPDATE calls SET forgotten_at = ? WHERE {which} AND forgotten_at IS NULL"
_PREDICTIONS = """
UPDATE predictions SET evidence = NULL, rationale = NULL, thinking = NULL, error_message = NULL, forgotten_at = ?
WHERE {which} AND forgotten_at IS NULL
"""


def erase_conversations(conversation_ids: Sequence[str]) -> Erase:
    """Work for the writer: the words of some conversations; gives the rows changed in each table."""

    def work(connection: sqlite3.Connection) -> dict[str, int]:
        found = {"calls": 0, "call_texts": 0, "predictions": 0}
        for conversation_id in conversation_ids:
            for table, count in _erase(
                connection, "conversation_id = ?", "conversation_id = ?", conversation_id
            ).items():
                found[table] += count
        return found

    return work


def erase_before(moment: str) -> Erase:
    """Work for the writer: the words of everything before a moment; gives the rows changed in each table."""
    return lambda connection: _erase(connection, "sent_at < ?", "created_at < ?", moment)


def _erase(connection: sqlite3.Connection, calls: str, predictions: str, value: str) -> dict[str, int]:
    now = utc_text()
    texts = connection.execute(_CALL_TEXTS.format(which=calls), (value,)).rowcount
    return {
        "calls": connection.execute(_CALLS.format(which=calls), (now, value)).rowcount,
        "call_texts": texts,
        "predictions": connection.execute(_PREDICTIONS.format(which=predictions), (now, value)).rowcount,
    }


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
