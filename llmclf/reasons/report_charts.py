"""Clusters over time: the buckets of a document made few enough to draw, a strip for each row, and burst charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llmclf.reasons.report_words import percent, plain, short_moment

MOST_BUCKETS = 120
"""More are put together, so that a page of some hundred clusters stays small."""
LEVELS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Shares of a bucket's reasons between which the map changes its colour."""
_LEAST_TO_SCALE = 5  # a bucket of fewer reasons says little: its share may run off a chart
_LEAST_FOR_BAND = 8  # buckets
_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_LATE = 0.8  # of the width; beyond it a word has no room


@dataclass(frozen=True)
class Timeline:
    """Buckets of time, the baseline's first; the window's begin at `window_from`."""

    starts: tuple[str, ...]
    until: str
    window_from: int
    totals: tuple[int, ...]
    """Reasons in each."""
    groups: tuple[tuple[int, int], ...]
    """Of the document's own buckets: those that each of these takes together, as (first, after the last)."""

    @classmethod
    def of(cls, document: Mapping[str, Any], totals: Sequence[int]) -> Timeline:
        """The buckets of a document with the reasons in each, at most about `MOST_BUCKETS`."""
        times = list(document["times"])
        first = min(int(document.get("window_from") or 0), len(times))
        step = max(math.ceil(len(times) / MOST_BUCKETS), 1)
        cuts = sorted({*range(first, 0, -step), *range(first, len(times), step), 0, len(times)})
        groups = tuple(pairwise(cuts))
        return cls(
            tuple(times[low] for low, _ in groups),
            str(document.get("until") or ""),
            sum(high <= first for _, high in groups),
            _summed(totals, groups),
            groups,
        )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def window_share(self) -> float:
        """Where the window begins, as a share of the width."""
        return self.window_from / len(self) if len(self) else 0.0

    def counts(self, series: Sequence[int]) -> tuple[int, ...]:
        """Counts of a document's buckets as those of these; zeros where a document has none."""
        return _summed(series, self.groups) if series else (0,) * len(self)

    def labels(self) -> list[str]:
        """`21 Nov 02:00 to 03:00` for each bucket."""
        ends = (*self.starts, self.until)[1:]
        made = []
        for start, end in zip(self.starts, ends, strict=True):
            shown = short_moment(end)
            same_day = start[:10] == end[:10]
            made.append(f"{short_moment(start)} to {shown.rsplit(' ', 1)[-1] if same_day else shown}")
        return made


def _summed(counts: Sequence[int], groups: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(sum(counts[low:high]) for low, high in groups)


def strip(counts: Sequence[int], timeline: Timeline, name: str) -> str:
    """One row of the map: a bucket is the darker, the larger the share of its reasons. `name` is text."""
    size = len(timeline)
    if not size:
        return '<span class="strip"></span>'
    levels = [_level(count, total) for count, total in zip(counts, timeline.totals, strict=True)]
    paths: dict[int, list[str]] = {}
    start = 0
    for place in range(1, size + 1):
        if place == size or levels[place] != levels[start]:
            if levels[start]:
                paths.setdefault(levels[start], []).append(f"M{start} 0h{place - start}v1H{start}z")
            start = place
    drawn = "".join(f'<path class="l{level}" d="{"".join(parts)}"/>' for level, parts in sorted(paths.items()))
    before, now = sum(counts[: timeline.window_from]), sum(counts[timeline.window_from :])
    told = f"{plain(name)} over time: {before:,} reasons before the window, {now:,} in it"
    return (
        f'<span class="strip"><svg viewBox="0 0 {size} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="{told}">{drawn}</svg></span>'
    )


def _level(count: int, total: int) -> int:
    if not count:
        return 0
    share = count / max(total, count)
    return 1 + sum(share > limit for limit in LEVELS)


def map_legend() -> str:
    """Which colour is which share."""
    limits = [f"{limit * 100:g}" for limit in LEVELS]
    names = [f"up to {limits[0]}", *limits[1:], f"over {limits[-1]}\u00a0%"]
    keys = "".join(f'<span><i class="l{level}"></i>{name}</span>' for level, name in enumerate(names, start=1))
    return f'<p class="legend"><b>share of a bucket’s reasons, up to %</b>{keys}</p>'


def axis(timeline: Timeline) -> str:
    """First moment, where the window begins, and the end, above the strips."""
    if not len(timeline):
        return ""
    days = len({start[:10] for start in timeline.starts}) > 2
    first = short_moment(timeline.starts[0], hours=not days)
    if not timeline.window_from:
        return f'<span class="axis"><span>{first}</span><span>{short_moment(timeline.until)}</span></span>'
    late = " late" if timeline.window_share > _LATE else ""
    begins = f"<span>{first}</span>" if timeline.window_share > 1 - _LATE else ""
    return f'<span class="axis">{begins}<span class="window{late}">window</span></span>'


def burst_chart(counts: Sequence[int], timeline: Timeline) -> str:
    """The share of a cluster in each bucket, the window's apart, with the band in which the baseline's lie."""
    size = len(timeline)
    if not size or not any(counts):
        return ""
    shares = [count / total if total else 0.0 for count, total in zip(counts, timeline.totals, strict=True)]
    scaled = [share for share, total in zip(shares, timeline.totals, strict=True) if total >= _LEAST_TO_SCALE]
    top = _round_up(max(scaled or shares, default=0.0) or max(shares))
    split = timeline.window_from
    bars = _bars(shares[:split], 0, top, "was") + _bars(shares[split:], split, top, "now")
    band, told = _band(shares[:split], counts[:split], timeline.totals[:split], size, top)
    return (
        '<figure class="burst"><div class="plot">'
        f'<span class="top">{percent(top)}</span>'
        f'<svg viewBox="0 0 {size} 100" preserveAspectRatio="none" aria-hidden="true">{band}{bars}</svg></div>'
        f"{axis(timeline)}<figcaption>{told}</figcaption></figure>"
    )


def _bars(shares: Sequence[float], start: int, top: float, css: str) -> str:
    parts = "".join(
        f"M{place + 0.08:.2f} 100V{100 - 100 * min(share / top, 1):.4g}h.84V100z"
        for place, share in enumerate(shares, start=start)
        if share
    )
    return f'<path class="{css}" d="{parts}"/>' if parts else ""


def _band(
    shares: Sequence[float], counts: Sequence[int], totals: Sequence[int], size: int, top: float
) -> tuple[str, str]:
    """The drawn band with the baseline's mean, and the sentence that explains it."""
    held = sorted(share for share, total in zip(shares, totals, strict=True) if total)
    if not held:
        return "", "Bars: its share of the reasons in each bucket. There is no baseline to hold it against."
    trim = round(0.05 * len(held)) if len(held) >= _LEAST_FOR_BAND else 0
    low, high = held[trim], held[-1 - trim]
    mean = sum(counts) / sum(totals)
    if not mean:
        return "", "Bars: its share of the reasons in each bucket. The baseline has none of it."
    ys = [100 - 100 * min(share / top, 1) for share in (high, low, mean)]
    drawn = (
        f'<path class="band" d="M0 {ys[0]:.4g}H{size}V{max(ys[1], ys[0] + 1):.4g}H0z"/>'
        f'<path class="mean" d="M0 {ys[2]:.4g}H{size}"/>'
    )
    which = f"nine in ten of the baseline’s {len(held):,} buckets" if trim else "all buckets of the baseline"
    return drawn, (
        f"Bars: its share of the reasons in each bucket, the window’s in colour. Band: {which}, "
        f"{percent(low)} to {percent(high)}; line: the baseline’s mean, {percent(mean)}."
    )


def _round_up(share: float) -> float:
    """The next round figure, at most 1."""
    power = 10.0 ** math.floor(math.log10(share))
    return min(next(step * power for step in _STEPS if share <= step * power * (1 + 1e-9)), 1.0)
