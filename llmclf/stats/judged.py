"""How rare the target is, where a classifier or a judge has seen everything and people a small part of it.

The verdicts cut the population into strata of known size; within each, people's labels say how much of it is the
target (post-stratification, Holt and Smith 1979). That holds where labels were drawn at random, from everything or
from each verdict apart. It holds at few positives, where the estimators that correct a judge's rate by its errors,
or by its mean difference to the labels, do not: `benchmarks/coverage.py` has both beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import DataError
from llmclf.stats.sampling import Groups, Sampling
from llmclf.stats.stratified import FOUND, QUIET, Confusion, prevalence
from llmclf.stats.totals import DRAWS, Unseen, cell_totals
from llmclf.types import Estimate


def judged_prevalence(
    positive: ArrayLike,
    verdicts: Sequence[str],
    judged: Mapping[str, int],
    *,
    drawn: Literal["random", "by_verdict"] = "random",
    groups: Groups = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Share of all judged items that is the target.

    Below five positives, and where half of the interval is no less than the figure, there is an upper bound and no
    value.

    `positive` and `verdicts` are of the n items that people have labelled; `judged` says how many items of
    everything got each verdict (a failed item is a verdict of its own). `drawn` says how the n were: at random from
    everything, or a number of each verdict. Labels drawn by label (so many targets, so many others) tell nothing of
    how rare the target is, and must not be given.

    Raises DataError where the lengths differ, there is no label, a verdict is not among the `judged`, or, drawn
    by verdict, one has no label.

    >>> labels = [True] * 6 + [False] * 194
    >>> verdicts = ["flagged"] * 10 + ["quiet"] * 190
    >>> print(judged_prevalence(labels, verdicts, {"flagged": 1_200, "quiet": 18_800}).format(".3f"))
    0.036 (0.018-0.056)
    """
    target = np.asarray(positive, dtype=bool)
    if not len(target) == len(verdicts) > 0:
        raise DataError("a prevalence needs labels, each with its verdict", got=(len(target), len(verdicts)))
    names, sizes = _pooled(verdicts, judged) if drawn == "random" else (list(verdicts), judged)
    sampling = Sampling.stratified(names, sizes, groups)
    cells = np.where(target, FOUND, QUIET)
    unseen = [_unseen(target, FOUND, sampling), _unseen(~target, QUIET, sampling)]
    totals = cell_totals(cells, 6, sampling, unseen, rare=(FOUND,), draws=draws, seed=seed)
    weight, heavy = sampling.weight, sampling.weight[target]
    return upper_bound_at_least(
        prevalence(
            Confusion(
                np.bincount(cells, minlength=6),
                np.bincount(cells, weights=weight, minlength=6).astype(float),
                totals,
                float(heavy.max() / heavy.sum()) if len(heavy) else None,
            ),
            level=level,
        ),
        "labels",
    )


def upper_bound_at_least(share: Estimate, of: str) -> Estimate:
    """The share as an upper bound alone where half of its interval is no less than the figure: it needs more `of`."""
    if share.value is None or share.low is None or share.high is None or (share.high - share.low) / 2 < share.value:
        return share
    why = f"half of the interval is no less than the figure: needs more {of}; at most {share.high:.2g}"
    return replace(share, value=None, why_not=why)


def _pooled(verdicts: Sequence[str], judged: Mapping[str, int]) -> tuple[list[str], Mapping[str, int]]:
    """Verdicts without a label join the most frequent one, of which random labels are then a random part as well."""
    seen = Counter(verdicts)
    empty = [name for name, size in judged.items() if size > 0 and not seen[name]]
    if not empty:
        return list(verdicts), judged
    host = seen.most_common(1)[0][0]
    sizes = {name: size for name, size in judged.items() if name not in empty}
    return list(verdicts), sizes | {host: sizes.get(host, 0) + sum(judged[name] for name in empty)}


def _unseen(kind: NDArray[np.bool_], cell: int, sampling: Sampling) -> Unseen:
    """One item of a kind that the sample may have missed, in the stratum where it would move the share most.

    Strata keep their size, so an item moves the share only by what it displaces: in a stratum that holds nothing
    but its kind it changes nothing, and in one of few labels no more than the stratum's whole.
    """
    size = sampling.alikeness(kind if kind.any() else ~kind)
    labels = np.bincount(sampling.stratum)
    displaced = np.bincount(sampling.stratum, weights=~kind) / labels
    return Unseen(int(np.argmax(sampling.population * displaced / (labels + size))), cell, size)
