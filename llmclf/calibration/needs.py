"""How many more labels it takes for an answer where there is none yet, and which answer that may be.

What a judge's rates are is not known, so neither is what more labels would say: the rates are drawn from what the
labels leave open, and for each draw the interval that more labels would give is held against the bar (a preposterior
analysis, Raiffa and Schlaifer 1961). With `times` as many labels an interval is narrower by the root of `times`, and
of the variance that the labels leave now the rest, 1 - 1 / times, is how far its middle may yet move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmclf import stats
from llmclf.calibration.compared import Compared
from llmclf.calibration.expected import pool_agreement
from llmclf.stats.stratified import FALSE_ALARM, FOUND, MISSED, QUIET, Confusion
from llmclf.types import Bar

GOOD_CHANCE = 0.8
"""With which a number of labels is taken to decide."""
_MOST_TIMES = 64
_MOST_LABELS = 50_000
_STEPS = 8
_LEVEL = 0.95
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Needs:
    """What it takes for an answer where there is none yet, if further labels are drawn as these were."""

    labels: int | None
    """More labelled cases of the split that decide in 8 of 10 cases; None: no number of them, or too many."""
    positives: int | None
    """How many of these would be targets, on average."""
    calibrated: float | None
    """The chance that the answer is then `calibrated`, 0 to 1. None: unknown."""
    not_calibrated: float | None
    """The chance that it is `not_calibrated`; what is left of 1 stays open."""
    sentence: str


def needs_of(compared: Compared, bar: Bar, *, pool: Mapping[str, int] | None = None, seed: int = 0) -> Needs:
    """How many more labels decide in 8 of 10 cases, in either direction, with the chance of each.

    `pool` counts the pool by the judge's verdict: by it positive agreement is known where cases were drawn by their
    label. It is read in that design alone.
    """
    mask = compared.is_said
    positive, flagged = compared.is_target(compared.truth[mask]), compared.is_target(compared.said[mask])
    rate = _positive_rate(compared, pool or {}) if compared.by_class else None
    why = _why_not(compared, mask, positive, compared.by_class and rate is None)
    if why:
        return Needs(None, None, None, None, f"How many more labels it takes can't be said: {why}.")
    table = stats.confusion(positive, flagged, compared.sampling(mask), seed=seed)
    futures = _Futures(table, bar, rate, seed)
    most = max(2.0, min(_MOST_TIMES, _MOST_LABELS / len(positive)))
    times = _least(lambda one: sum(futures.chances(one)) >= GOOD_CHANCE, most)
    if times is None:
        return _hopeless(_rounded((most - 1) * len(positive)), *futures.chances(most))
    return _needed(times - 1, table, *futures.chances(times))


def _why_not(compared: Compared, mask: NDArray[np.bool_], positive: NDArray[np.bool_], pool_unknown: bool) -> str:
    if not len(positive):
        return "nothing to go by"
    if compared.unweighable(mask):
        return compared.unweighable(mask)
    if not positive.any() or positive.all():
        return f"no {'other than targets' if positive.any() else 'target'} yet"
    if pool_unknown:
        return "positive agreement in the pool is not known before the judge has judged all of it"
    return ""


class _Futures:
    """What the labels may come to, were there several times as many of them."""

    def __init__(self, table: Confusion, bar: Bar, rate: float | None, seed: int) -> None:
        least = (bar.sensitivity, bar.specificity, bar.positive_agreement)
        drawn = _angles(_rates(table.draws, rate))
        self._bar, self._positives = bar, table.n_positives
        self._centre = drawn.mean(axis=1, keepdims=True)
        # The unseen item in half of the draws keeps intervals honest, and puts their mean beside the figure that was
        # seen, far where it weighs much. What is true is taken to lie around the middle of both.
        seen = _angles(_rates(table.totals[None], rate))
        self._off = drawn - self._centre + (seen - self._centre) / 2
        ends = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=1)
        self._low, self._high = ends[..., None] - self._centre
        self._least = _angles(np.array(least))[:, None]
        self._further = np.random.default_rng(seed).gamma(table.n_positives + 0.5, size=drawn.shape[1])

    def chances(self, times: float) -> tuple[float, float]:
        """(calibrated, not calibrated) with `times` as many labels in all."""
        narrower, moved = math.sqrt(1 / times), math.sqrt(1 - 1 / times)
        centre = self._centre + self._off * moved
        reached = (centre + self._low * narrower >= self._least).all(axis=0)
        missed = (centre + self._high * narrower < self._least).any(axis=0)
        enough = self._positives + self._further * (times - 1) >= self._bar.positives
        return float((reached & enough).mean()), float(missed.mean())


def _positive_rate(compared: Compared, pool: Mapping[str, int]) -> float | None:
    """Share of the pool that has a positive verdict; None where nothing is known of the pool."""
    judged = sum(pool.values())
    return sum(count for name, count in pool.items() if name in compared.rubric.targets) / judged if judged else None


def _rates(totals: _Floats, rate: float | None) -> _Floats:
    """(3, draws) sensitivity, specificity and positive agreement.

    Where a `rate` of positive verdicts in the pool is given, positive agreement is that of the pool.
    """
    found, missed, false, quiet = totals[:, [FOUND, MISSED, FALSE_ALARM, QUIET]].T
    sensitivity, specificity = found / (found + missed), quiet / (quiet + false)
    if rate is None:
        return np.stack([sensitivity, specificity, 2 * found / (2 * found + missed + false)])
    return np.stack([sensitivity, specificity, pool_agreement(sensitivity, specificity, rate)])


def _angles(shares: _Floats) -> _Floats:
    """The arcsine of the root: on this scale a share's interval is as wide wherever it lies."""
    angles: _Floats = np.arcsin(np.sqrt(np.clip(shares, 0, 1)))
    return angles


def _least(decides: Callable[[float], bool], most: float) -> float | None:
    """The least factor that decides, from 1 up to `most`; None where `most` does not."""
    times = next((one for one in _doubled(most) if decides(one)), None)
    if times is None:
        return None
    low, high = times / 2, times
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _doubled(most: float) -> Iterator[float]:
    times = 2.0
    while times < most:
        yield times
        times *= 2
    yield most


def _needed(more: float, table: Confusion, calibrated: float, not_calibrated: float) -> Needs:
    labels, positives = _rounded(more * table.n_answered), _rounded(more * table.n_positives)
    sentence = (
        f"About {labels:,} more labels ({positives:,} positives) decide it in 8 of 10 cases: calibrated "
        f"{calibrated:.0%}, not calibrated {not_calibrated:.0%}."
    )
    return Needs(labels, positives, calibrated, not_calibrated, sentence)


def _hopeless(labels: int, calibrated: float, not_calibrated: float) -> Needs:
    sentence = (
        f"No sensible number of labels decides it in 8 of 10 cases: with {labels:,} more, calibrated {calibrated:.0%}, "
        f"not calibrated {not_calibrated:.0%}. The figures are too near the bar."
    )
    return Needs(None, None, calibrated, not_calibrated, sentence)


def _rounded(number: float) -> int:
    """Up, to two digits."""
    whole = max(1, math.ceil(number - 1e-9))
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return -(-whole // unit) * unit
