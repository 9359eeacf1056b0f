"""Known clusters whose share bursts: more conversations than earlier windows of the same length explain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from llmclf.reasons.texts import Embedded
from llmclf.stats.bursts import burst_p

IntArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float64]
ENOUGH_WINDOWS = 14
"""From so many earlier windows on the day-to-day variation is told well enough to say nothing of it."""
_LEAST_IN_WINDOW, _MOST_WINDOWS = 10, 200


@dataclass(frozen=True, eq=False)
class Bursts:
    """How each cluster's conversations compare with the baseline's."""

    seen: IntArray
    """Shape (clusters,): conversations of the window with a reason in it."""
    expected: FloatArray
    """Shape (clusters,): conversations that the baseline's share makes of a window of this size."""
    p: FloatArray
    """Shape (clusters,): chance of so many without a burst; not adjusted for the number of clusters."""
    windows: int
    """Earlier windows that the day-to-day variation was taken from; 1: none could be cut."""


def measure_bursts(
    window: Embedded, assigned: IntArray, baseline: Embedded, baseline_assigned: IntArray, clusters: int
) -> Bursts:
    """Conversations of each of `clusters` clusters in the window, against windows of the same length in the baseline.

    `assigned` holds each reason's cluster, -1 for none. The baseline is cut backwards from its end into windows as
    long as this one, by when a conversation's first reason was made, the latest 200 of them; without times it is one.
    """
    seen = conversations_of(assigned, window.groups, clusters)
    place, count = _windows(window, baseline)
    exposures = np.bincount(place[place >= 0], minlength=count).astype(float)
    counts = np.zeros((clusters, count))
    inside = (baseline_assigned >= 0) & (place[baseline.groups] >= 0)
    pairs = np.unique(np.stack([baseline_assigned[inside], baseline.groups[inside]], axis=1), axis=0)
    np.add.at(counts, (pairs[:, 0], place[pairs[:, 1]]), 1)
    full = exposures >= _LEAST_IN_WINDOW
    if not full.any():
        full[:] = True
    counts, exposures = counts[:, full], exposures[full]
    expected = window.conversations * counts.sum(axis=1) / exposures.sum()
    return Bursts(seen, expected, burst_p(counts, exposures, seen, window.conversations), int(full.sum()))


def conversations_of(assigned: IntArray, groups: IntArray, clusters: int) -> IntArray:
    """Number of conversations with a reason in each cluster, shape (clusters,)."""
    inside = assigned >= 0
    pairs = np.unique(np.stack([assigned[inside], groups[inside]], axis=1), axis=0)
    found: IntArray = np.bincount(pairs[:, 0], minlength=clusters)
    return found


def _windows(window: Embedded, baseline: Embedded) -> tuple[IntArray, int]:
    """Number of the earlier window of each baseline conversation, -1 where it is in none, and how many there are."""
    one = np.zeros(baseline.conversations, np.intp)
    now, before = _first_times(window), _first_times(baseline)
    if now is None or before is None:
        return one, 1
    count = len(now)
    length = float(now.max() - now.min()) * (count + 1) / max(1, count - 1)
    whole = min(_MOST_WINDOWS, int((before.max() - before.min()) / length)) if length > 0 else 0
    if whole < 2:
        return one, 1
    place = ((before.max() - before) / length).astype(np.intp)
    return np.where(place < whole, place, -1), whole


def _first_times(embedded: Embedded) -> FloatArray | None:
    """Seconds at which each conversation's first reason was made, or None where a time is missing or unreadable."""
    first = np.full(embedded.conversations, np.inf)
    stamps = embedded.reasons.column("created_at")
    try:
        seconds = np.array([_seconds(str(stamp)) for stamp in stamps])
    except ValueError:
        return None
    np.minimum.at(first, embedded.groups, seconds)
    return first


def _seconds(stamp: str) -> float:
    read = datetime.fromisoformat(stamp)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
