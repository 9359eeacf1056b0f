"""Times that can't be, that run backwards, or that can't be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from llmclf.data.checks.findings import Finding, finding
from llmclf.types import Conversation

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_TOLERANCE = timedelta(days=1)
"""Clocks and unknown zones: a time is in the future only beyond a day."""


def time_findings(conversations: Sequence[Conversation], now: datetime) -> list[Finding]:
    """Impossible times, turns that go back in time, and zones that are mixed."""
    impossible, backwards, mixed = [], [], []
    by_zone: dict[str, list[str]] = defaultdict(list)
    for conversation in conversations:
        times = list(_times(conversation))
        if any(not _EARLIEST <= _as_utc(time) <= now + _TOLERANCE for _, time in times):
            impossible.append(conversation.id)
        backwards.extend(_going_back(conversation))
        zones = {_zone(time) for _, time in times}
        for zone in sorted(zones):
            by_zone[zone].append(conversation.id)
        if "none" in zones and len(zones) > 1:
            mixed.append(conversation.id)
    return [
        *finding(
            "impossible_times",
            "error",
            impossible,
            "have a time before 1990 or in the future: a wrong unit (seconds for milliseconds) or a wrong clock.",
        ),
        *finding(
            "times_going_back",
            "warning",
            backwards,
            "are earlier than the turn (or the start) before them: the turns may be out of order.",
        ),
        *_zone_findings(by_zone, mixed),
    ]


def _zone_findings(by_zone: dict[str, list[str]], mixed: list[str]) -> list[Finding]:
    with_zone = {zone: ids for zone, ids in by_zone.items() if zone != "none"}
    without = by_zone.get("none", [])
    found: list[Finding] = []
    if without and with_zone:
        aware = sorted({id for ids in with_zone.values() for id in ids})
        fewer = mixed or min((without, aware), key=len)
        found += finding(
            "mixed_time_zones",
            "warning",
            fewer,
            f"times without a zone ({len(without)} conversations) stand beside times with one ({len(aware)}): "
            "they can't be compared. Give all of them a zone where they are exported.",
        )
    if len(with_zone) > 1:
        fewest = sorted(with_zone, key=lambda zone: (-len(with_zone[zone]), zone))[1:]
        sizes = ", ".join(f"{zone}: {len(with_zone[zone])}" for zone in sorted(with_zone))
        found += finding(
            "several_utc_offsets",
            "note",
            sorted({id for zone in fewest for id in with_zone[zone]}),
            f"times stand in several offsets from UTC ({sizes[:200]}): right for summer time or several "
            "countries, wrong for one server.",
        )
    return found


def _times(conversation: Conversation) -> Iterator[tuple[int | None, datetime]]:
    if conversation.started_at is not None:
        yield None, conversation.started_at
    for number, turn in enumerate(conversation.turns):
        if turn.time is not None:
            yield number, turn.time


def _going_back(conversation: Conversation) -> list[str]:
    """Turns earlier than the time before them; times with and without a zone are not compared."""
    found: list[str] = []
    last: dict[bool, datetime] = {}
    for number, time in _times(conversation):
        aware = time.utcoffset() is not None
        if number is not None and aware in last and time < last[aware]:
            found.append(f"{conversation.id}[{number}]")
        last[aware] = time
    return found


def _as_utc(time: datetime) -> datetime:
    if time.utcoffset() is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:  # year 1 or 9999, moved over the end of the calendar
        return time.replace(tzinfo=UTC)


def _zone(time: datetime) -> str:
    offset = time.utcoffset()
    if offset is None:
        return "none"
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
