"""Times as the store writes them, and ids that sort by the time they were made."""

from __future__ import annotations

import os
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from random import SystemRandom

from llmclf.errors import ConfigError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RANDOM = SystemRandom()


def utc_text(moment: datetime | None = None) -> str:
    """UTC ISO text of fixed width, so that text order is time order; None: now. Naive times are UTC.

    >>> utc_text(datetime(2026, 11, 4, 10, 30))
    '2026-11-04T10:30:00.000000Z'
    """
    moment = datetime.now(UTC) if moment is None else moment
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_text(value: str | datetime, *, name: str = "since", now: datetime | None = None) -> str:
    """A moment as the store writes it: a time, ISO text, or an age such as `24h`, `8d`, `30m`, `2w`.

    An age counts back from `now` (None: from now). Raises ConfigError for anything else.
    """
    if isinstance(value, datetime):
        return utc_text(value)
    ago = _AGO.fullmatch(value.strip().lower())
    try:
        if ago:
            return utc_text((now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: float(ago[1])}))
        return utc_text(datetime.fromisoformat(value.strip()))
    except (ValueError, OverflowError):
        raise ConfigError(
            "not a moment",
            where=name,
            got=value,
            fix="give an age such as 24h or 8d, or a time such as 2026-11-04T10:30",
        ) from None


class _Ids:
    """Ids of one process: milliseconds, a counter within them, and randomness."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        os.register_at_fork(after_in_child=self._new_lock)

    def _new_lock(self) -> None:
        self._lock = threading.Lock()

    def make(self, count: int) -> list[str]:
        with self._lock:
            first = max(self._last + 1, (time.time_ns() // 1_000_000) << 12)
            self._last = first + count - 1
        return [_uuid7(first + number) for number in range(count)]


def _uuid7(ticks: int) -> str:
    milliseconds, counter = ticks >> 12, ticks & 0xFFF
    return f"{milliseconds:012x}7{counter:03x}{_RANDOM.getrandbits(62) | 1 << 63:016x}"


_IDS = _Ids()


def new_id() -> str:
    """A new id of 32 hex digits (a UUID of version 7): ids of one process sort in the order they were made."""
    return _IDS.make(1)[0]


def new_ids(count: int) -> list[str]:
    """`count` new ids in order."""
    return _IDS.make(count)
