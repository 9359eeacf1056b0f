"""What is to be sent to a webhook: queued, claimed by one sender at a time, delivered or given up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from llmclf.store.builders import is_dead, this_process
from llmclf.store.moments import new_id, utc_text
from llmclf.store.reason_rows import Row, insert, read_row
from llmclf.store.texts import storable
from llmclf.types import canonical_json

T = TypeVar("T")

MOST_REFUSALS = 5
"""A delivery that was refused so often is given up."""
GIVEN_UP_HOURS = 24.0
"""A delivery that does not arrive within so many hours is given up at its next failure."""

_CLAIM_SECONDS = 300.0  # longer than a sender works at once: one that hangs holds nothing for good
_COLUMNS = ("delivery_id", "clustering_id", "created_at", "body", "attempts")
_DUE = "deliveries WHERE delivered_at IS NULL AND given_up_at IS NULL ORDER BY delivery_id DESC"
_FREE = f"SELECT delivery_id, owner, claimed_at FROM {_DUE}"  # noqa: S608
_CLAIM = "UPDATE deliveries SET owner = ?, claimed_at = ? WHERE delivery_id = ?"
_RELEASE = "UPDATE deliveries SET owner = NULL, claimed_at = NULL WHERE delivery_id = ? AND owner = ?"
_DELIVERED = """
UPDATE deliveries SET attempts = attempts + 1, delivered_at = ?, why = NULL, owner = NULL, claimed_at = NULL
WHERE delivery_id = ?
"""
_FAILED = """
UPDATE deliveries SET attempts = attempts + 1, why = :why, owner = NULL, claimed_at = NULL,
  given_up_at = CASE WHEN created_at < :oldest OR (:permanent AND attempts + 1 >= :most) THEN :now END
WHERE delivery_id = :id AND delivered_at IS NULL
"""
_DROP = "UPDATE deliveries SET given_up_at = ?, why = 'dropped' WHERE {which}"
_WAITS = "delivered_at IS NULL AND given_up_at IS NULL"


class Connected(Protocol):
    """A store, as this needs it."""

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives, once it is committed."""
        ...

    def query(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Rows by column."""
        ...


class DeliveryQueue:
    """The deliveries of a store."""

    def __init__(self, store: Connected) -> None:
        self._store = store

    def queue_delivery(self, clustering_id: str, body: Row) -> str:
        """The id of a new delivery that is to be sent; committed at return, so that no kill loses it."""
        row = queued_row(clustering_id, body)
        self._store.write(lambda connection: insert_deliveries(connection, [row]))
        return str(row[0])

    def undelivered(self, limit: int = 100) -> list[dict[str, Any]]:
        """Deliveries that are still to be sent, newest first; `body` as it is to be sent."""
        return [read_row(row) for row in self._store.query(f"SELECT * FROM {_DUE} LIMIT ?", (limit,))]  # noqa: S608

    def claim_deliveries(self, limit: int = 100) -> list[dict[str, Any]]:
        """Deliveries that this process is to send now, newest first; nobody else gets them meanwhile.

        A claim ends with `delivered`, `failed` or `release_deliveries`, with its process, or after five minutes.
        """
        owner, now = this_process(), datetime.now(UTC)
        stale = utc_text(now - timedelta(seconds=_CLAIM_SECONDS))

        def work(connection: sqlite3.Connection) -> list[str]:
            free = [
                id_
                for id_, holder, at in connection.execute(_FREE).fetchall()
                if holder is None or at < stale or (holder != owner and is_dead(holder, at))
            ][:limit]
            connection.executemany(_CLAIM, [(owner, utc_text(now), id_) for id_ in free])
            return free

        sql = "SELECT * FROM deliveries WHERE delivery_id = ?"
        return [read_row(row) for id_ in self._store.write(work) for row in self._store.query(sql, (id_,))]

    def release_deliveries(self, ids: Sequence[str]) -> None:
        """Gives back what this process claimed and did not begin to send."""
        rows = [(id_, this_process()) for id_ in ids]
        self._store.write(lambda connection: connection.executemany(_RELEASE, rows).rowcount)

    def delivered(self, delivery_id: str) -> None:
        """It arrived."""
        self._store.write(lambda connection: connection.execute(_DELIVERED, (utc_text(), delivery_id)).rowcount)

    def failed(self, delivery_id: str, *, why: str, permanent: bool = False) -> bool:
        """It did not arrive, for the reason `why`, which must hold no secret; True where it is given up now.

        `permanent`: the receiver refused it; `MOST_REFUSALS` attempts are made of such a one at most.
        """
        now = datetime.now(UTC)
        values = {
            "id": delivery_id,
            "why": storable(why),
            "permanent": permanent,
            "most": MOST_REFUSALS,
            "now": utc_text(now),
            "oldest": utc_text(now - timedelta(hours=GIVEN_UP_HOURS)),
        }

        def work(connection: sqlite3.Connection) -> bool:
            connection.execute(_FAILED, values)
            sql = "SELECT given_up_at IS NOT NULL FROM deliveries WHERE delivery_id = ?"
            row = connection.execute(sql, (delivery_id,)).fetchone()
            return bool(row and row[0])

        return self._store.write(work)

    def drop_deliveries(self, ids: Sequence[str] | None = None) -> int:
        """Gives up what waits to be sent, all or those of `ids`; how many."""
        if ids is None:
            work = _DROP.format(which=_WAITS)
            return self._store.write(lambda connection: connection.execute(work, (utc_text(),)).rowcount)
        one = _DROP.format(which=f"{_WAITS} AND delivery_id = ?")
        rows = [(utc_text(), id_) for id_ in ids]
        return self._store.write(lambda connection: connection.executemany(one, rows).rowcount)


def queued_row(clustering_id: str, body: Mapping[str, Any]) -> tuple[object, ...]:
    """A new delivery, as `insert_deliveries` takes it."""
    return (new_id(), clustering_id, utc_text(), canonical_json(body), 0)


def insert_deliveries(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Part of a transaction: new deliveries."""
    insert(connection, "deliveries", _COLUMNS, rows)
