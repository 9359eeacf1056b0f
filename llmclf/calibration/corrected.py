"""How rare the target is in the pool: from people's labels, by the estimator that fits how these were drawn.

The judge's own rate is never given: at rare targets it is mostly its false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.compared import Compared
from llmclf.errors import DataError
from llmclf.stats import judged_prevalence
from llmclf.stats.class_balanced import class_balanced_prevalence
from llmclf.types import FAILED, Estimate


@dataclass(frozen=True, slots=True)
class Correction:
    """Share of the pool that is a target, and how it was found."""

    share: Estimate
    how: str
    """One sentence; empty where there is no figure."""


def corrected(compared: Compared, judged: Mapping[str, int] | None, fingerprint: str, *, seed: int = 0) -> Correction:
    """The share of targets in the pool that was drawn from.

    `judged` counts the pool by the verdict of this very judge (`(failed)` for cases without one). Where it is not
    given, a session that this `fingerprint` began knows it. Without either, random labels speak for themselves.
    """
    if not len(compared.cases):
        return Correction(Estimate.unknown("no labelled case"), "")
    session = compared.session
    if session.design == "by_verdict":
        return _by_stratum(compared, seed)
    pool = dict(judged or (session.population if fingerprint and fingerprint == session.fingerprint else {}))
    pool = {name: count for name, count in pool.items() if count > 0 and name}
    if session.design == "class_balanced":
        return _by_class(compared, {} if judged is None else pool)
    return _at_random(compared, pool, seed)


def _by_stratum(compared: Compared, seed: int) -> Correction:
    """Labels drawn within strata of known size, whatever verdict cut them."""
    every = np.ones(len(compared.cases), bool)
    why = compared.unweighable(every)
    if why:
        return Correction(Estimate.unknown(why), "")
    sizes = {name: compared.session.population[name] for name in dict.fromkeys(compared.strata)}
    share = _share(compared, every, list(compared.strata), sizes, "by_verdict", seed)
    return Correction(share, "people's labels within each verdict, weighted by how often the pool has it")


def _at_random(compared: Compared, pool: Mapping[str, int], seed: int) -> Correction:
    """Post-stratified by the judge's verdicts where it has judged the pool, else the labels' own share."""
    every = np.ones(len(compared.cases), bool)
    there = np.array([one is not None for one in compared.judgments])
    said = [FAILED if one is None else one.verdict or FAILED for one in compared.judgments]
    verdicts = [name for name, one in zip(said, there, strict=True) if one]
    if not pool or not verdicts or not set(verdicts) <= set(pool):
        share = _share(compared, every, ["all"] * len(every), {"all": len(every)}, "random", seed)
        return Correction(share, "people's labels alone; it is narrower once the judge has judged the whole pool")
    share = _share(compared, there, verdicts, pool, "random", seed)
    return Correction(share, "the judge's verdicts on the whole pool, corrected within each by people's labels")


def _share(
    compared: Compared,
    mask: NDArray[np.bool_],
    names: list[str],
    sizes: Mapping[str, int],
    drawn: Literal["random", "by_verdict"],
    seed: int,
) -> Estimate:
    positive = compared.is_target(compared.truth)[mask]
    groups = None if compared.groups is None else compared.groups[mask]
    try:
        return judged_prevalence(positive, names, sizes, drawn=drawn, groups=groups, seed=seed)
    except DataError as error:
        return Estimate.unknown(f"labels and pool do not fit: {'; '.join(error.problems) or error.what}")


def _by_class(compared: Compared, pool: Mapping[str, int]) -> Correction:
    """The judge's rate corrected by its sensitivity and specificity: all that labels drawn by class can say."""
    if not pool:
        why = "cases were drawn by their label: it takes the judge's verdicts on the whole pool, and there are none"
        return Correction(Estimate.unknown(why), "")
    rubric, mask = compared.rubric, compared.is_said
    positive, flagged = compared.is_target(compared.truth[mask]), compared.is_target(compared.said[mask])
    if not positive.any() or positive.all():
        why = "it takes labelled cases of both sides on which the judge has a verdict"
        return Correction(Estimate.unknown(why), "")
    counted = {name: pool.get(name, 0) for name in rubric.names}
    if not sum(counted.values()):
        return Correction(Estimate.unknown("the judge has no verdict on any case of the pool"), "")
    share = class_balanced_prevalence(
        sum(count for name, count in counted.items() if name in rubric.targets),
        sum(counted.values()),
        int((positive & flagged).sum()),
        int(positive.sum()),
        int((~positive & ~flagged).sum()),
        int((~positive).sum()),
    )
    return Correction(share, "the judge's rate on the pool, corrected by its sensitivity and specificity")
