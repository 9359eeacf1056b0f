"""What a clustering says of window and baseline as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmclf.types import Estimate


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """What the window was held against."""

    reasons: int
    """Of the whole baseline."""
    used: int
    """Of those, how many were drawn, by whole conversations, and hold words: all figures of it are of these."""
    conversations: int
    """Of those drawn."""
    since: str
    """When the first one was made, UTC; empty where that is not known."""
    until: str


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """The novelty pool: reasons of the window that are far from all of the baseline."""

    reasons: int
    conversations: int
    expected: float
    """Conversations that would be in it by chance."""
    level: float
    """Share of the baseline's own reasons that are as far from the rest of it."""
    p: float | None
    """Chance of such a pool in a quiet window; None where that can't be told."""
    share: Estimate
    """Of the window's reasons."""
    why_not: str
    """Why p can't be told, and what it needs."""


@dataclass(frozen=True, slots=True)
class WordlessFigures:
    """Predictions that say nothing, such as failed ones: they are in no cluster."""

    predictions: int
    """Without a reason, in the window."""
    of: int
    """Predictions of the window that were looked at, with and without one."""
    baseline: int
    """Without a reason, in the baseline."""
    baseline_of: int
    """Of the baseline as it was drawn; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Series:
    """Reasons over time: equal buckets, of the baseline first, then of the window."""

    times: tuple[str, ...]
    """Where each bucket begins, UTC."""
    seconds: int
    """Length of a bucket."""
    window_from: int
    """The first bucket of the window; all before are of the baseline."""
    totals: tuple[int, ...]
    """Reasons in each bucket; of the baseline only those that were drawn."""
    counts: Mapping[str, tuple[int, ...]] = field(hash=False)
    """Cluster id to reasons in each bucket."""
