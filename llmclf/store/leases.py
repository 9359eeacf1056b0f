"""Slices of a cap that the processes of one store share: the sum and the grant in one transaction.

What is committed of a cap is what its calls cost (or have reserved), and what living owners were
granted and did not use yet. A grant is given only where that stays within the cap.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from llmclf.store.moments import utc_text

ALIVE_SECONDS = 60.0
"""An owner that was not seen for so long loses the room it did not use."""

_SHARE = 8  # of what is free beyond the need, at most this part is given at once
_SPENT = "SELECT owner, sum(nano), sum(under_way_nano) FROM spent WHERE {tests} GROUP BY owner"
_SEEN = "INSERT INTO owners (owner, seen_at) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at"
_GRANT = """
INSERT INTO leases (owner, scope, granted_nano) VALUES (?, ?, ?)
ON CONFLICT (owner, scope) DO UPDATE SET granted_nano = excluded.granted_nano
"""


@dataclass(frozen=True, slots=True)
class Cap:
    """So many nano-dollars, and the calls that count: real ones of a stretch of time, of some runs, or both."""

    scope: str
    """Its name among the leases, such as `month:2026-11`."""
    cap_nano: int
    since: datetime | None = None
    """Calls sent at or after this moment count; the beginning of an hour."""
    until: datetime | None = None
    """Calls sent before it count; the beginning of an hour."""
    inputs_hash: str | None = None
    """Calls of runs with these inputs count."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Room that an owner asks for under a cap."""

    cap: Cap
    used_nano: int
    """What the owner counts as used or reserved under it."""
    need_nano: int
    """What must fit beside that."""
    wish_nano: int
    """What it would like on top, to come again less often."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What an owner may now use of a cap, in nano-dollars."""

    scope: str
    granted_nano: int
    """What it used already included."""
    more_used_nano: int
    """What the owner used by the store's count and not by its own: before it began to count, mostly."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The cap that has no room, in nano-dollars."""

    cap: Cap
    left_nano: int
    """What would still fit."""
    short_nano: int
    """What is missing to what is needed."""
    others_nano: int
    """What other living owners may give back: room they did not use, and reservations of calls under way."""


@dataclass(frozen=True, slots=True)
class Leased:
    """The answer to an owner that asked for room: every grant, or why there is none."""

    grants: tuple[Grant, ...] = ()
    refusal: Refusal | None = None
    lapsed: bool = False
    """True where the owner was not known any more: what it had been granted before was taken back."""


def take(owner: str, wanted: Sequence[Wanted], now: datetime) -> Callable[[sqlite3.Connection], Leased]:
    """Work for the writer: room under every cap, or under none. `owner` counts as seen now."""

    def work(connection: sqlite3.Connection) -> Leased:
        _forget_the_dead(connection, owner, now)
        lapsed = connection.execute("SELECT 1 FROM owners WHERE owner = ?", (owner,)).fetchone() is None
        connection.execute(_SEEN, (owner, utc_text(now)))
        found = [_under(connection, owner, one) for one in wanted]
        refusal = next((one for one in found if isinstance(one, Refusal)), None)
        if refusal is not None:
            return Leased((), refusal, lapsed)
        grants = tuple(one for one in found if isinstance(one, Grant))
        connection.executemany(_GRANT, [(owner, grant.scope, grant.granted_nano) for grant in grants])
        return Leased(grants, None, lapsed)

    return work


def renew(owner: str, granted: Mapping[str, int], now: datetime) -> Callable[[sqlite3.Connection], bool]:
    """Work for the writer: the owner lives, and keeps no more than this (scope to nano-dollars; no others).

    False where it was not known any more: all it had been granted was taken back.
    """

    def work(connection: sqlite3.Connection) -> bool:
        known = connection.execute("UPDATE owners SET seen_at = ? WHERE owner = ?", (utc_text(now), owner)).rowcount
        if not known:
            return False
        held = connection.execute("SELECT scope, granted_nano FROM leases WHERE owner = ?", (owner,)).fetchall()
        for scope, nano in held:
            if scope not in granted:
                connection.execute("DELETE FROM leases WHERE owner = ? AND scope = ?", (owner, scope))
            elif nano > granted[scope]:
                connection.execute(_GRANT, (owner, scope, granted[scope]))
        return True

    return work


def release(owner: str) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: the owner gives back all room it did not use."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM leases WHERE owner = ?", (owner,))
        connection.execute("DELETE FROM owners WHERE owner = ?", (owner,))

    return work


def left(owner: str, caps: Sequence[Cap], now: datetime) -> Callable[[sqlite3.Connection], dict[str, int]]:
    """Work for the writer: scope to the nano-dollars that `owner` could still use, what it holds unused included."""

    def work(connection: sqlite3.Connection) -> dict[str, int]:
        _forget_the_dead(connection, owner, now)
        found = (_under(connection, owner, Wanted(cap, 0, cap.cap_nano + 1, 0)) for cap in caps)
        return {one.cap.scope: one.left_nano for one in found if isinstance(one, Refusal)}

    return work


def _forget_the_dead(connection: sqlite3.Connection, owner: str, now: datetime) -> None:
    oldest = utc_text(now - timedelta(seconds=ALIVE_SECONDS))
    connection.execute("DELETE FROM owners WHERE seen_at < ? AND owner <> ?", (oldest, owner))
    connection.execute("DELETE FROM leases WHERE owner NOT IN (SELECT owner FROM owners)")


def _under(connection: sqlite3.Connection, owner: str, wanted: Wanted) -> Grant | Refusal:
    cap = wanted.cap
    used, under_way = _spent(connection, cap)
    granted = dict(connection.execute("SELECT owner, granted_nano FROM leases WHERE scope = ?", (cap.scope,)))
    living = {name for (name,) in connection.execute("SELECT owner FROM owners")} - {owner}
    unused = sum(max(0, granted.get(name, 0) - used.get(name, 0)) for name in living)
    mine = used.get(owner, 0)
    own = max(wanted.used_nano, mine)  # calls that are not in the store yet are only in its own count
    free = cap.cap_nano - sum(used.values()) - unused  # for this owner, what it holds unused included
    target = own + wanted.need_nano
    need = target - mine
    if need > free:
        others = unused + sum(under_way.get(name, 0) for name in living)
        return Refusal(cap, max(0, free - (own - mine)), need - free, others)
    extra = min((free - need) // _SHARE, wanted.wish_nano)
    held = min(granted.get(owner, 0), mine + free)
    return Grant(cap.scope, max(target + extra, held), own - wanted.used_nano)


def _spent(connection: sqlite3.Connection, cap: Cap) -> tuple[dict[str, int], dict[str, int]]:
    """(what each owner's calls cost or have reserved, how much of that belongs to calls without outcome)."""
    found = {
        "hour >= ?": None if cap.since is None else utc_text(cap.since)[:13],
        "hour < ?": None if cap.until is None else utc_text(cap.until)[:13],
        "run_id IN (SELECT run_id FROM runs WHERE inputs_hash = ?)": cap.inputs_hash,
    }
    tests = {test: value for test, value in found.items() if value is not None}
    rows = connection.execute(_SPENT.format(tests=" AND ".join(tests) or "true"), list(tests.values())).fetchall()
    return {owner: nano for owner, nano, _ in rows}, {owner: under_way for owner, _, under_way in rows}
