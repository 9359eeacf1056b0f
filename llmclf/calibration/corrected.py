"""How rare the target is in the pool: from people's labels, by the estimator that fits how these were drawn.

The judge's own rate is never given: at rare targets it is mostly its false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.compared import Compared, Counts
from llmclf.calibration.session import Session
from llmclf.errors import DataError
from llmclf.render.tables import counted
from llmclf.stats import judged_prevalence
from llmclf.stats.class_balanced import class_balanced_prevalence
from llmclf.stats.judged import upper_bound_at_least
from llmclf.types import FAILED, Estimate


@dataclass(frozen=True, slots=True)
class Correction:
    """Share of the pool that is a target, and how it was found."""

    share: Estimate
    how: str
    """One sentence; empty where there is no figure."""


def corrected(compared: Compared, pool: Mapping[str, int], *, seed: int = 0) -> Correction:
    """The share of targets in the pool that was drawn from.

    `pool` counts it by the verdict of this very judge (`(failed)` for cases without one); empty where the judge has
    not judged it. Without it, random labels speak for themselves. Cases that people have answered and that have no
    truth may all be targets, or none: the interval holds both.
    """
    if not len(compared.cases):
        return Correction(Estimate.unknown("no labelled case"), "")
    estimator = _by_stratum if compared.is_weighted else _by_class if compared.by_class else _at_random
    made = estimator(compared, pool, seed)
    if not compared.open_ones:
        return made
    names = compared.rubric.names
    some = [next((one for one in names if (one in compared.rubric.targets) is side), "") for side in (True, False)]
    ends = [estimator(compared.as_if(name), pool, seed).share for name in some if name]
    return replace(made, share=_held_by(made.share, ends, compared.counts))


def pool_of(session: Session, judged: Mapping[str, int] | None, judge: str, fingerprint: str) -> dict[str, int]:
    """The pool by the verdict of this judge: as given, or as the session has it that this judge began.

    Names are compared as well: all judges whose verdicts were recorded elsewhere may share a fingerprint.
    """
    began = bool(fingerprint) and (judge, fingerprint) == (session.name, session.fingerprint)
    by_verdict = session.design != "class_balanced"  # there the population is counted by known label
    pool = judged or (session.population if began and by_verdict else {})
    return {name: count for name, count in pool.items() if count > 0 and name}


def _held_by(share: Estimate, ends: Sequence[Estimate], counts: Counts) -> Estimate:
    """The share with an interval that holds those of `ends`; no value where open cases are too many."""
    if share.high is None:
        return share
    unknown = next((one for one in ends if one.low is None or one.high is None), None)
    if unknown is not None:
        return unknown
    low = min(one.low for one in (share, *ends) if one.low is not None)
    high = max(one.high for one in (share, *ends) if one.high is not None)
    number = counted(counts.undecided + counts.to_decide, "case")
    why = f"{number} without a truth may be targets or not; at most {high:.2g}"
    if share.value is None or counts.open_matters:
        return replace(share, value=None, low=low, high=high, why_not=why)
    return upper_bound_at_least(replace(share, low=low, high=high), "labels")


def _by_stratum(compared: Compared, pool: Mapping[str, int], seed: int) -> Correction:
    """Labels drawn within strata of known size, whatever verdict cut them."""
    every = np.ones(len(compared.cases), bool)
    why = compared.unweighable(every, of="share")
    if why:
        return Correction(Estimate.unknown(why), "")
    sizes = {name: compared.session.population[name] for name in dict.fromkeys(compared.strata)}
    share = _share(compared, every, list(compared.strata), sizes, "by_verdict", seed)
    cut = "verdict" if compared.session.design == "by_verdict" else "known label"
    how = f"{labels_of(compared.session.reference)} within each {cut}, weighted by how often the pool has it"
    return Correction(_with_unseen(share, sum(compared.unseen(every).values()), sum(sizes.values())), how)


def _with_unseen(share: Estimate, unseen: int, seen: int) -> Estimate:
    """The share where `unseen` cases of the pool have no label beside them, and may all be targets, or none."""
    if not unseen or share.low is None or share.high is None:
        return share
    part = unseen / (unseen + seen)
    low, high = share.low * (1 - part), share.high * (1 - part) + part
    if share.is_known:
        return upper_bound_at_least(replace(share, low=low, high=high), "labels")
    why = f"{counted(unseen, 'case')} of the pool are of a kind that has no label; at most {high:.2g}"
    return replace(share, low=low, high=high, why_not=why)


def _at_random(compared: Compared, pool: Mapping[str, int], seed: int) -> Correction:
    """Post-stratified by the judge's verdicts where it has judged the pool, else the labels' own share."""
    every = np.ones(len(compared.cases), bool)
    there = np.array([one is not None for one in compared.judgments])
    said = [FAILED if one is None else one.verdict or FAILED for one in compared.judgments]
    verdicts = [name for name, one in zip(said, there, strict=True) if one]
    theirs = labels_of(compared.session.reference)
    if not pool or not verdicts or not set(verdicts) <= set(pool):
        share = _share(compared, every, ["all"] * len(every), {"all": len(every)}, "random", seed)
        alone = f"{theirs} alone; it is narrower once the judge has judged the whole pool"
        return Correction(share, alone)
    share = _share(compared, there, verdicts, pool, "random", seed)
    return Correction(share, f"the judge's verdicts on the whole pool, corrected within each by {theirs}")


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


def _by_class(compared: Compared, pool: Mapping[str, int], seed: int) -> Correction:
    """The judge's rate corrected by its sensitivity and specificity: all that labels drawn by class can say.

    A case without a verdict has no positive one, in the pool and among the labelled.
    """
    if not pool:
        why = "cases were drawn by their label: it takes the judge's verdicts on the whole pool, and there are none"
        return Correction(Estimate.unknown(why), "")
    there = np.array([one is not None for one in compared.judgments])
    positive, flagged = compared.is_target(compared.truth[there]), compared.is_target(compared.said[there])
    if not positive.any() or positive.all():
        return Correction(Estimate.unknown("it takes labelled cases of both sides that the judge has judged"), "")
    if not any(name in compared.rubric.names for name in pool):
        return Correction(Estimate.unknown("the judge has no verdict on any case of the pool"), "")
    share = class_balanced_prevalence(
        sum(count for name, count in pool.items() if name in compared.rubric.targets),
        sum(pool.values()),
        int((positive & flagged).sum()),
        int(positive.sum()),
        int((~positive & ~flagged).sum()),
        int((~positive).sum()),
    )
    return Correction(share, "the judge's rate on the pool, corrected by its sensitivity and specificity")


def labels_of(reference: str) -> str:
    """Whose labels they are, in words."""
    return "people's labels" if reference == "people" else f"the labels of {reference}"
