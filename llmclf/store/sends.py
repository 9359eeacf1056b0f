"""Sends of the last minutes: how many fit into a window that the processes of one store share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_FUTURE = "UPDATE sends SET sent_at = ? WHERE pace = ? AND sent_at > ?"
_SUM = "SELECT count(*), coalesce(sum(tokens), 0) FROM sends WHERE pace = ? AND sent_at > ?"
_OLDEST = "SELECT sent_at, tokens FROM sends WHERE pace = ? AND sent_at > ? ORDER BY sent_at, send_id"
_INSERT = "INSERT INTO sends (pace, sent_at, tokens) VALUES (?, ?, ?)"
# An id may be given anew once its row is gone; then the time differs.
_CORRECT = "UPDATE sends SET tokens = ?, sent_at = ? WHERE send_id = ? AND sent_at = ?"
_DELETE = "DELETE FROM sends WHERE sent_at < ?"
_KEPT_SECONDS = 120.0
_DELETE_EVERY = 100  # sends


@dataclass(frozen=True, slots=True)
class SendLimits:
    """What may be sent within any so many seconds; None: any number."""

    requests: int | None
    tokens: int | None
    seconds: float

    def allow(self, count: int, total: int, tokens: int) -> bool:
        """Whether one more fits beside `count` sends with `total` tokens.

        One that is above the whole limit goes where nothing else counts, or it would wait for ever.
        """
        if self.full(count):
            return False
        return self.tokens is None or total == 0 or total + tokens <= self.tokens

    def wait(self, oldest_first: Iterable[tuple[float, int]], count: int, total: int, tokens: int, now: float) -> float:
        """Seconds until enough of the sends (moment, tokens) have left the window for one more.

        Where both limits hold it back, only the requests are waited for: tokens may be set free earlier.
        """
        only_requests = self.full(count)
        for at, old in oldest_first:
            count, total = count - 1, total - old
            if self.allow(count, total, tokens) or (only_requests and not self.full(count)):
                return at + self.seconds - now
        return 0.0

    def full(self, count: int) -> bool:
        """Whether `count` sends are all that the requests allow."""
        return self.requests is not None and count >= self.requests


@dataclass(slots=True)
class Send:
    """One send that counts."""

    send_id: int
    at: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Which of the sends that were asked for may go now: the first ones."""

    sends: Sequence[Send]
    wait: float
    """Seconds until the first of the others may, if nothing changes; 0 where there is none."""
    by_tokens: bool = False
    """True where only tokens hold it back: true counts may set it free earlier."""


def take(
    pace: str, wanted: Sequence[int], limits: SendLimits, clock: Callable[[], float]
) -> Callable[[sqlite3.Connection], Taken]:
    """Work for the writer: counts as many sends, of so many tokens each, as fit now, in their order."""

    def work(connection: sqlite3.Connection) -> Taken:
        now = clock()  # read while the file is locked, so that moments only grow
        # After a step back of the clock these were sent at some time before now: that they count longer is safe.
        connection.execute(_FUTURE, (now, pace, now))
        count, total = connection.execute(_SUM, (pace, now - limits.seconds)).fetchone()
        sends: list[Send] = []
        for tokens in wanted:
            if not limits.allow(count, total, tokens):
                break
            send_id = connection.execute(_INSERT, (pace, now, tokens)).lastrowid
            assert send_id is not None
            sends.append(Send(send_id, now, tokens))
            count, total = count + 1, total + tokens
        if any(send.send_id % _DELETE_EVERY == 0 for send in sends):
            connection.execute(_DELETE, (now - max(_KEPT_SECONDS, 2 * limits.seconds),))
        if len(sends) == len(wanted):
            return Taken(sends, 0.0)
        oldest = connection.execute(_OLDEST, (pace, now - limits.seconds))
        wait = limits.wait(oldest, count, total, wanted[len(sends)], now)
        return Taken(sends, wait, not limits.full(count))

    return work


def correct(send: Send, tokens: int, at: float) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: the true count and moment of a send."""
    values = (tokens, at, send.send_id, send.at)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(_CORRECT, values)

    return work
