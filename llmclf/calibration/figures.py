"""A judge's figures against people's labels, each at what the session's design lets it stand for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.calibration.compared import MOST_UNSEEN, Compared
from llmclf.stats.agreement import Agreement, pair_agreement
from llmclf.stats.proportion import clustered_wilson
from llmclf.types import Estimate

_WORDS = (
    ("an F1 figure", "a positive agreement"),
    ("a recall figure", "a sensitivity"),
    ("F1", "positive agreement"),
    ("recall", "sensitivity"),
    ("flagged items", "positive verdicts"),
    ("flagged item", "positive verdict"),
    ("answered negatives", "negatives"),
    ("answered negative", "negative"),
)
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rates:
    """How somebody's verdicts, positive or not, go with what is taken for the truth."""

    n: int
    n_positives: int
    sensitivity: Estimate
    """Share of the targets that get a positive verdict."""
    specificity: Estimate
    """Share of the others that get a negative one."""
    precision: Estimate
    """Share of the positive verdicts that are right."""
    positive_agreement: Estimate
    """2 a / (2 a + b + c): a positive on both sides, b and c on one; it is F1 by another name."""

    @classmethod
    def unknown(cls, why: str, n: int = 0, n_positives: int = 0) -> Rates:
        """None of the four can be given, for one reason."""
        nothing = Estimate.unknown(why, n_positives=n_positives)
        return cls(n, n_positives, nothing, nothing, nothing, nothing)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Who always says the commonest verdict of the labelled cases: what a judge must be better than."""

    verdict: str
    accuracy: Estimate
    """Share of the labelled cases with this verdict."""
    sensitivity: float
    """1 where the commonest verdict is looked for, else 0."""
    specificity: float
    kappa: float = 0.0
    """Of any constant, by definition."""


def rates_of(
    positive: _Mask, flagged: _Mask, sampling: stats.Sampling, *, by_class: bool = False, seed: int = 0
) -> Rates:
    """The four rates of n cases at the weights of `sampling`; `by_class`: cases were drawn by their label."""
    n, n_positives = len(positive), int(positive.sum())
    if n == 0:
        return Rates.unknown("no case to compare")
    table = stats.confusion(positive, flagged, sampling, seed=seed)
    precision = _renamed(stats.precision(table))
    if by_class:
        precision = Estimate.unknown("cases were drawn by their label: it depends on how rare targets are")
    return Rates(
        n,
        n_positives,
        _renamed(stats.recall(table)),
        _renamed(stats.specificity(table)),
        precision,
        _renamed(stats.f_beta(table, 1.0)),
    )


def judge_rates(compared: Compared, *, seed: int = 0) -> Rates:
    """The judge's rates over the cases on which it has a verdict, at the pool's weights where the design has any."""
    mask = compared.is_said
    positive, flagged = compared.is_target(compared.truth[mask]), compared.is_target(compared.said[mask])
    why = compared.unweighable(mask) if mask.any() else _nothing(compared)
    if why:
        return Rates.unknown(why, len(positive), int(positive.sum()))
    return rates_of(positive, flagged, compared.sampling(mask), by_class=compared.by_class, seed=seed)


def worst_case(compared: Compared, *, seed: int = 0) -> Rates | None:
    """The rates if each judgment that is left out had been wrong; None where that hardly matters.

    A silent stratum counts with its part of the pool, however few labels it has. Not known where strata without any
    label may hold many targets.
    """
    unlabelled = compared.unlabelled()
    matters = compared.counts.left_out_matters or compared.silent_share > MOST_UNSEEN
    if not matters and not unlabelled:
        return None
    every = np.ones(len(compared.cases), bool)
    positive = compared.is_target(compared.truth)
    if why := compared.unweighable(every) or unlabelled:
        return Rates.unknown(why, len(positive), int(positive.sum()))
    flagged = np.where(compared.is_said, compared.is_target(compared.said), ~positive)
    return rates_of(positive, flagged, compared.sampling(every), by_class=compared.by_class, seed=seed)


def agreement_of(compared: Compared, *, seed: int = 0) -> Agreement | None:
    """Kappa, alpha, AC1 and observed agreement of judge and truth on the labelled set; None without a case."""
    mask = compared.is_said
    if not mask.any():
        return None
    groups = None if compared.groups is None else compared.groups[mask].tolist()
    return pair_agreement(
        compared.truth[mask],
        compared.said[mask],
        len(compared.rubric.names),
        compared.targets,
        ordinal=compared.rubric.scale == "ordinal",
        groups=groups,
        seed=seed,
    )


def baseline_of(compared: Compared) -> Baseline | None:
    """The commonest truth (of equals the first of the rubric), over the cases that are compared, or else over all."""
    mask = compared.is_said if compared.is_said.any() else np.ones(len(compared.cases), bool)
    truth = compared.truth[mask]
    if not len(truth):
        return None
    commonest = int(np.argmax(np.bincount(truth, minlength=len(compared.rubric.names))))
    groups = np.arange(len(truth)) if compared.groups is None else compared.groups[mask]
    found = float(commonest in compared.targets)
    accuracy = clustered_wilson(truth == commonest, groups.tolist())
    return Baseline(compared.rubric.names[commonest], accuracy, found, 1 - found)


def confusion_table(compared: Compared) -> tuple[tuple[int, ...], ...]:
    """(verdicts, verdicts) numbers of cases by truth (rows) and the judge's verdict (columns)."""
    size = range(len(compared.rubric.names))
    pairs = Counter(zip(compared.truth.tolist(), compared.said.tolist(), strict=True))
    return tuple(tuple(pairs[row, column] for column in size) for row in size)


def part_of(inside: _Mask, sampling: stats.Sampling) -> stats.Sampling:
    """The cases of `inside` with the weights they have in the whole: what a slice of the pool is made of.

    `inside` is among the cases of `sampling`.
    """
    part = sampling.where(inside)
    return replace(part, population=np.bincount(part.stratum, weights=sampling.weight[inside]).astype(float))


def _nothing(compared: Compared) -> str:
    counts = compared.counts
    if not counts.labelled:
        return "no labelled case"
    if counts.failed == counts.labelled:
        return "every judgment failed"
    if counts.not_judged == counts.labelled:
        return "no labelled case was judged"
    return "no labelled case has a verdict"


def _renamed(estimate: Estimate) -> Estimate:
    """Reasons in the words of a judge's card."""
    why = estimate.why_not
    for old, new in _WORDS:
        why = why.replace(old, new)
    return replace(estimate, why_not=why)
