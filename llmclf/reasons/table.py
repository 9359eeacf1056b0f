"""A clustering as one table for the terminal: what is wrong first, then the clusters and how they fare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from llmclf.reasons.judged import reading_text
from llmclf.reasons.report_words import chance
from llmclf.reasons.result import Clustering
from llmclf.reasons.values import POOL, Anomaly, Cluster, PoolReading
from llmclf.render.rates import rate_cells
from llmclf.render.tables import TableText, counted
from llmclf.types import Estimate

_MOST_CLUSTERS = 20
_MOST_NEW = 5
_MOST_ANOMALIES = 12
_MOST_BARS = 10
_BARS = "▁▂▃▄▅▆▇█"


def table_of(made: Clustering) -> TableText:
    """Anomalies as sentences over a row for each cluster, largest first, new ones always; notes below."""
    shown = _shown(made)
    series = {} if made.series is None else {one.id: _trend(made, one.id) for one in shown}
    more = (*(("baseline",) if made.baseline else ()), *(("trend",) if series else ()))
    return TableText(
        "\n".join([_head(made), *_alarms(made)]),
        ("cluster", "reasons", "share", *more),
        (
            *(
                (
                    _name(one),
                    f"{one.reasons:,}",
                    _share(one.share),
                    *((_share(one.baseline),) if made.baseline else ()),
                    *((series[one.id],) if series else ()),
                )
                for one in shown
            ),
            *_pool_row(made, len(more)),
        ),
        (*_left_out(made, shown), *_explained(made, bool(series)), *made.notes),
        ("SIMULATED",) if made.simulated else (),
        right=(1, 2, 3)[: 3 if made.baseline else 2],
    )


def _shown(made: Clustering) -> list[Cluster]:
    """The largest that have reasons in the window, the largest new ones, and those of anomalies."""
    new = [one.id for one in made.clusters if one.kind == "new"]
    wanted = {one.id for one in made.clusters[:_MOST_CLUSTERS]} | {one.cluster for one in made.anomalies}
    return [one for one in made.clusters if one.reasons and one.id in wanted.union(new[:_MOST_NEW])]


def _pool_row(made: Clustering, more: int) -> Iterator[tuple[str, ...]]:
    """The novelty pool, new kinds in it counted once more."""
    pool = made.pool_figures
    if pool is not None and pool.reasons:
        rest = ("", "")[:more]
        yield (f"novelty pool, new kinds with it\n{POOL}", f"{pool.reasons:,}", _share(pool.share), *rest)


def _head(made: Clustering) -> str:
    held = "" if made.baseline is None else f" against {counted(made.baseline.used, 'reason')} before"
    counts = f"{counted(len(made.reasons), 'reason')} of {counted(made.conversations, 'conversation')}"
    same = f", {made.duplicates:,} in the same words as another" if made.duplicates else ""
    return f"{counts}{held}: {counted(len(made.clusters), 'cluster')}{same}"


def _alarms(made: Clustering) -> Iterator[str]:
    if made.baseline is None:
        return
    if not made.anomalies:
        yield "No anomaly."
    for one in made.anomalies[:_MOST_ANOMALIES]:
        yield f"! {_sentence(one)}"
    if len(made.anomalies) > _MOST_ANOMALIES:
        yield f"... and {len(made.anomalies) - _MOST_ANOMALIES} more."


def _sentence(one: Anomaly) -> str:
    fields = [f"{field.field} = {field.value} ({field.inside} of {field.of})" for field in one.fields[:2]]
    goes = f" It goes with {' and '.join(fields)}." if fields else ""
    sure = f" As much comes by chance in {chance(one.p)}." if one.kind != "alert" else ""
    return f"{one.sentence}{sure}{goes}{_read(one.judged)}"


def _read(read: PoolReading | None) -> str:
    return "" if read is None else f" {reading_text(asdict(read))}."


def _name(one: Cluster) -> str:
    return f"{one.name}\n{'new, ' if one.kind == 'new' else ''}{one.id}"


def _share(share: Estimate) -> str:
    value, interval = rate_cells(share, ".1%")
    return f"{value}\n{interval}" if interval else value


def _trend(made: Clustering, cluster_id: str) -> str:
    """Its share over time as bars, ten at most, the window's after a mark."""
    series = made.series
    if series is None:
        return ""
    counts, start = series.counts[cluster_id], series.window_from
    before = _merged(counts[:start], series.totals[:start], _MOST_BARS)
    window = _merged(counts[start:], series.totals[start:], 3)
    most = max((share for share in (*before, *window) if share is not None), default=0.0)
    bars = ["".join(_bar(share, most) for share in part) for part in (before, window)]
    return "|".join(part for part in bars if part)


def _merged(counts: Sequence[int], totals: Sequence[int], most: int) -> list[float | None]:
    """Shares of at most so many stretches of equal length, the last buckets whole; None where there is no reason."""
    width = -(-len(counts) // most) if counts else 1
    ends = range(len(counts), 0, -width)
    parts = [(sum(counts[max(0, end - width) : end]), sum(totals[max(0, end - width) : end])) for end in ends]
    return [count / total if total else None for count, total in reversed(parts)]


def _bar(share: float | None, most: float) -> str:
    if share is None:
        return " "
    return _BARS[0 if most == 0 else min(len(_BARS) - 1, int(share / most * len(_BARS)))]


def _left_out(made: Clustering, shown: Sequence[Cluster]) -> Iterator[str]:
    there = [one for one in made.clusters if one.reasons]
    left = len(there) - len(shown)
    if left:
        reasons = sum(one.reasons for one in there) - sum(one.reasons for one in shown)
        yield f"{counted(left, 'smaller cluster')} not shown, with {reasons / len(made.reasons):.1%} of the reasons."
    gone = len(made.clusters) - len(there)
    if gone:
        yield f"{counted(gone, 'cluster')} of the baseline without a reason in the window."


def _explained(made: Clustering, trend: bool) -> Iterator[str]:
    pool = made.pool_figures
    if pool is not None and pool.reasons:
        yield (
            f"Novelty pool: {counted(pool.reasons, 'reason')} of {counted(pool.conversations, 'conversation')}, "
            f"farther from the baseline than {1 - pool.level:.0%} of its own reasons; a quiet window has about "
            f"{pool.expected:.1f} such conversations."
        )
    yield "Below each share stands its 95 % interval, with conversations as the units."
    if trend and made.series is not None:
        yield f"The trend is the share over time in steps of {_length(made.series.seconds)} or more, the window last."


def _length(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return counted(seconds // size, unit)
    return counted(seconds, "second")
