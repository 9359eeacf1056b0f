"""Known clusters whose share bursts: more conversations than earlier windows of the same length explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.reasons.moments import moments_of
from llmclf.reasons.texts import Embedded
from llmclf.stats.bursts import DAY_TO_DAY, burst_p

IntArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float64]
ENOUGH_WINDOWS = 14
"""From so many earlier windows on the day-to-day variation is told well enough to say nothing of it."""
_LEAST_IN_WINDOW, _MOST_WINDOWS = 10, 200
_DAY = 86_400.0
_ROUNDED = 0.6
"""The oldest stretch counts where at least .4 of it lies in the baseline."""


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
    used: float
    """Share of the baseline's conversations that lie in them."""


def measure_bursts(
    window: Embedded,
    assigned: IntArray,
    baseline: Embedded,
    baseline_assigned: IntArray,
    clusters: int,
    usual: float = DAY_TO_DAY,
) -> Bursts:
    """Conversations of each of `clusters` clusters in the window, against windows of the same length in the baseline.

    `assigned` holds each reason's cluster, -1 for none. The baseline is cut backwards from its end into windows as
    long as this one, by when a conversation's first reason was made, the latest 200 of them; into days where these
    give more windows that hold anything, as with jobs that run once a night; without times it is one. `usual`: how much
    shares are taken to vary from window to window before anything is seen.
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
    p = burst_p(counts, exposures, seen, window.conversations, usual)
    return Bursts(seen, expected, p, int(full.sum()), float(exposures.sum() / baseline.conversations))


def conversations_of(assigned: IntArray, groups: IntArray, clusters: int) -> IntArray:
    """Number of conversations with a reason in each cluster, shape (clusters,)."""
    inside = assigned >= 0
    pairs = np.unique(np.stack([assigned[inside], groups[inside]], axis=1), axis=0)
    found: IntArray = np.bincount(pairs[:, 0], minlength=clusters)
    return found


def weekend(window: Embedded, baseline: Embedded) -> str:
    """A note on bursts of a window that lies on a weekend, as most days before it do not; else nothing."""
    days, before = (_known_days(part) for part in (window, baseline))
    if not len(days) or not len(before) or _on_weekends(days).mean() <= 0.5:
        return ""
    each = np.unique(before)
    of = int(_on_weekends(each).sum())
    return (
        f"The window lies on a weekend, as {of} of the baseline's {len(each)} days do: what is usual on weekends can "
        "look like a burst."
    )


def _known_days(embedded: Embedded) -> IntArray:
    """The day of each reason whose time is known, as a number; 1970-01-01, a Thursday, is 0."""
    moments = moments_of(embedded.reasons.column("created_at"))
    days: IntArray = moments[~np.isnat(moments)].astype("datetime64[D]").astype(np.intp)
    return days


def _on_weekends(days: IntArray) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (days + 3) % 7 >= 5
    return found


def _windows(window: Embedded, baseline: Embedded) -> tuple[IntArray, int]:
    """Number of the earlier window of each baseline conversation, -1 where it is in none, and how many there are."""
    one = np.zeros(baseline.conversations, np.intp)
    now, before = _first_times(window), _first_times(baseline)
    now = now[np.isfinite(now)]
    if not len(now) or np.isfinite(before).mean() <= 0.5:
        return one, 1
    count = len(now)
    length = float(now.max() - now.min()) * (count + 1) / max(1, count - 1)
    place, whole = _cut(before, length, float(before[np.isfinite(before)].max()))
    if length < _DAY and _full(place) < ENOUGH_WINDOWS:
        # The window stands in the middle of its day: a job that starts a little earlier or later stays in one.
        days, number = _cut(before, _DAY, float(now.min() + now.max()) / 2 - _DAY / 2)
        if _full(days) > _full(place):
            place, whole = days, number
    return (place, whole) if whole > 1 else (one, 1)


def _cut(before: FloatArray, length: float, end: float) -> tuple[IntArray, int]:
    """Stretches of `length` seconds back from `end`: the number of each time's, -1 for none, and how many there are."""
    back = (end - before) / length if length > 0 else np.full(len(before), -1.0)
    whole = min(_MOST_WINDOWS, int(back.max() + _ROUNDED))
    inside = (back >= 0) & (back < whole)
    return np.where(inside, np.floor(np.where(inside, back, -1)), -1).astype(np.intp), whole


def _full(place: IntArray) -> int:
    """How many stretches hold enough conversations."""
    return int((np.bincount(place[place >= 0]) >= _LEAST_IN_WINDOW).sum())


def _first_times(embedded: Embedded) -> FloatArray:
    """Seconds at which each conversation's first reason was made; infinite where that is not known."""
    first = np.full(embedded.conversations, np.inf)
    moments = moments_of(embedded.reasons.column("created_at"))
    seconds = np.where(np.isnat(moments), np.inf, moments.astype(np.int64) / 1e6)
    np.minimum.at(first, embedded.groups, seconds)
    return first
