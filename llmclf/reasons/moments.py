"""When reasons were made, as numbers; and window and baseline as equal buckets of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from llmclf.errors import DataError
from llmclf.reasons.figures import Series

Moments = npt.NDArray[np.datetime64]
_FIXED = 27  # 2026-11-04T10:30:00.000000Z, as the store writes it
_LENGTHS = tuple(
    length * unit
    for unit, lengths in ((60, (1, 5, 15, 30)), (3600, (1, 2, 3, 4, 6, 8, 12)), (86400, (1, 2, 7, 14, 28, 91, 364)))
    for length in lengths
)
_BASELINE_BUCKETS = 14
"""Burst tests learn the variation from day to day from so many (facts of part H); fewer show little of a trend."""
_WINDOW_BUCKETS = 6
_MOST_BUCKETS = 240


def moments_of(created_at: Sequence[str]) -> Moments:
    """UTC moments, microseconds; NaT where the text is empty. DataError for what is no ISO 8601 time."""
    return np.array([text[:26] if _is_fixed(text) else _utc(text) for text in created_at], "datetime64[us]")


def moment_texts(moments: Moments) -> list[str]:
    """As the store writes them; empty for NaT."""
    texts = np.datetime_as_string(moments, unit="us")
    return [f"{text}Z" if text != "NaT" else "" for text in texts.tolist()]


def first_and_last(moments: Moments) -> tuple[str, str]:
    """The first and the last moment as texts; both empty where there is none."""
    known = moments[~np.isnat(moments)]
    if not len(known):
        return "", ""
    first, last = moment_texts(np.array([known.min(), known.max()]))
    return first, last


def series_of(
    window: Moments,
    assigned: npt.NDArray[np.intp],
    baseline: Moments | None,
    baseline_assigned: npt.NDArray[np.intp] | None,
    ids: Sequence[str],
) -> Series | None:
    """Reasons of each cluster in equal buckets; None where no reason of the window has a time.

    The window begins with a bucket of its own and has at most six, the baseline at least 14 where they are both
    long enough for that. Reasons without a time are left out; those of a baseline that were made after the window
    began stand in its last bucket.
    """
    begins, ends = _span(window)
    if begins is None or ends is None:
        return None
    before, _ = _span(baseline) if baseline is not None else (None, None)
    length = _bucket_length(int(ends - begins), 0 if before is None else max(0, int(begins - before)))
    buckets = 0 if before is None else max(1, -(-int(begins - before) // length))
    count = buckets + int(ends - begins) // length + 1
    counts = np.zeros((len(ids) + 1, count), np.int64)
    _count(counts, (_seconds(window) - begins) // length + buckets, assigned, window)
    if baseline is not None and baseline_assigned is not None and buckets:
        places = np.clip((_seconds(baseline) - begins) // length + buckets, 0, buckets - 1)
        _count(counts, places, baseline_assigned, baseline)
    starts = (begins + (np.arange(count) - buckets) * length).astype("datetime64[s]").astype("datetime64[us]")
    return Series(
        times=tuple(moment_texts(starts)),
        seconds=length,
        window_from=buckets,
        totals=tuple(counts.sum(axis=0).tolist()),
        counts={id_: tuple(row) for id_, row in zip(ids, counts[:-1].tolist(), strict=True)},
    )


def _count(
    counts: npt.NDArray[np.int64], places: npt.NDArray[np.int64], assigned: npt.NDArray[np.intp], moments: Moments
) -> None:
    """Adds to `counts`; its last row takes those in no cluster."""
    known = ~np.isnat(moments)
    np.add.at(counts, (assigned[known], places[known]), 1)


def _span(moments: Moments) -> tuple[np.int64 | None, np.int64 | None]:
    """First and last second of those that are known."""
    known = moments[~np.isnat(moments)]
    if not len(known):
        return None, None
    seconds = _seconds(known)
    return seconds.min(), seconds.max()


def _seconds(moments: Moments) -> npt.NDArray[np.int64]:
    return moments.astype("datetime64[s]").astype(np.int64)


def _bucket_length(window: int, baseline: int) -> int:
    """Seconds: the longest that the window has at least one of and the baseline 14, within what a chart can show."""
    fit = [
        length
        for length in _LENGTHS
        if window + baseline < length * _MOST_BUCKETS and window < length * _WINDOW_BUCKETS
    ] or [_LENGTHS[-1] * (1 + (window + baseline) // (_LENGTHS[-1] * _MOST_BUCKETS))]
    fine = [length for length in fit if length <= 1.1 * window and length * _BASELINE_BUCKETS <= baseline + length / 2]
    return max(fine) if fine else fit[0]


def _is_fixed(text: str) -> bool:
    return len(text) == _FIXED and text[-1] == "Z" and text[10] == "T"


def _utc(text: str) -> str:
    if not text:
        return "NaT"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError("not an ISO 8601 time", where="reasons: created_at", got=text) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
