"""Positive agreement in the pool, of cases that were drawn by their label.

In a set of half targets it is near 1 for any judge that is worth a look; in a pool where targets are rare its false
alarms outnumber them. The judge's rate of positive verdicts on the whole pool says how rare they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llmclf import stats
from llmclf.calibration.compared import Compared
from llmclf.calibration.figures import Rates
from llmclf.stats.stratified import (
    FAILED_OTHER,
    FAILED_TARGET,
    FALSE_ALARM,
    FOUND,
    LEAST_POSITIVES,
    MISSED,
    QUIET,
    interval_of,
)
from llmclf.types import Estimate

WHAT_TO_DO = "have the judge judge the whole pool, or draw by verdict"
_LEVEL = 0.95
_TARGET, _OTHER = (FOUND, MISSED, FAILED_TARGET), (FALSE_ALARM, QUIET, FAILED_OTHER)
_Floats = NDArray[np.float64]


def in_pool(
    rates: Rates, compared: Compared, pool: Mapping[str, int], share: Estimate, *, worst: bool = False, seed: int = 0
) -> Rates:
    """The rates with positive agreement at the pool's `share` of targets, where cases were drawn by their label.

    `pool` counts it by the judge's verdict. `worst`: each judgment that is left out had been wrong.
    """
    if not compared.by_class or rates.sensitivity.high is None:
        return rates
    return replace(rates, positive_agreement=_agreement(compared, pool, share, worst, seed))


def _agreement(compared: Compared, pool: Mapping[str, int], share: Estimate, worst: bool, seed: int) -> Estimate:
    if not pool:
        why = f"cases were drawn by their label, and how rare targets are in the pool is not known: {WHAT_TO_DO}"
        return Estimate.unknown(why)
    if share.high is None:
        return Estimate.unknown(f"how rare targets are in the pool is not known: {share.why_not}")
    there = np.array([one is not None for one in compared.judgments])
    positive, flagged = compared.is_target(compared.truth[there]), compared.is_target(compared.said[there])
    table = stats.confusion(positive, flagged, compared.sampling(there), failed=~compared.is_said[there], seed=seed)
    positives = sum(count for name, count in pool.items() if name in compared.rubric.targets)
    rest = sum(pool.values()) - positives
    rate = np.random.default_rng(seed).beta(positives + 0.5, rest + 0.5, len(table.draws))
    value = _at(table.totals[None, :], np.array([positives / (positives + rest)]), worst)
    drawn = _at(table.draws, rate, worst)
    seen = int(table.counts[[FOUND, MISSED]].sum())
    found = interval_of(
        table, float(value[0]), drawn, level=_LEVEL, seen=seen, least=LEAST_POSITIVES, noun="positive agreement"
    )
    if share.value is None and found.value is not None:
        found = replace(
            found, value=None, why_not="how rare targets are in the pool is an upper bound: needs more labels"
        )
    return replace(found, n_positives=seen)


def _at(totals: _Floats, rate: _Floats, worst: bool) -> _Floats:
    """(n,) positive agreement where a share `rate` (n,) of the pool has a positive verdict.

    `totals` (n, 6) say how verdicts spread within targets and within others. What is neither found nor a false alarm
    has no positive verdict, so the share of targets is (rate - false alarms) / (found - false alarms), as Rogan and
    Gladen (1978) have it, and 0 where the judge finds no more targets than it has false alarms.
    """
    targets = totals[:, _TARGET] / np.maximum(totals[:, _TARGET].sum(axis=1, keepdims=True), 1e-300)
    others = totals[:, _OTHER] / np.maximum(totals[:, _OTHER].sum(axis=1, keepdims=True), 1e-300)
    better = targets[:, 0] - others[:, 0]
    share = np.clip(np.divide(rate - others[:, 0], better, out=np.zeros_like(rate), where=better > 0), 0, 1)
    found, wrong = share * targets[:, 0], share * targets[:, 1] + (1 - share) * others[:, 0]
    if worst:
        wrong = wrong + share * targets[:, 2] + (1 - share) * others[:, 2]
    whole = 2 * found + wrong
    agreement: _Floats = np.divide(2 * found, whole, out=np.zeros_like(found), where=whole > 0)
    return agreement
