"""Of what a judge flags, how much is the target: corrected by a calibration set that was drawn by label."""

from __future__ import annotations

import numpy as np

from llmclf.errors import DataError
from llmclf.types import Estimate

METHOD = "jeffreys-draws"
_DRAWS = 20_000


def class_balanced_precision(
    flagged: int, judged: int, found: int, targets: int, quiet: int, others: int, *, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Share of the `flagged` items of `judged` that are the target; counts as `class_balanced_prevalence` takes them.

    prevalence * sensitivity / rate of flagged items, the prevalence as Rogan and Gladen (1978) have it. The interval is
    of draws of all three rates from their Jeffreys distributions, and holds the share among these very items as
    well as what it would be among many more. Where half of it is no less than the figure there is a bound and no
    value; where nothing is flagged, or the judge may be no better than chance, there is nothing, and a reason.

    Raises DataError for counts below 0 and for parts above their whole.

    >>> print(class_balanced_precision(6, 24, 200, 200, 200, 200).format(".2f"))
    1.00 (0.83-1.00)
    """
    for part, whole in ((flagged, judged), (found, targets), (quiet, others)):
        if not 0 <= part <= whole:
            raise DataError("counts lie between 0 and what they are counted from", got=(part, whole))
    if not flagged:
        return Estimate.unknown("the judge calls none of them so", method=METHOD)
    rng, tail = np.random.default_rng(seed), (1 - level) / 2
    pairs = ((flagged, judged), (found, targets), (quiet, others))
    rate, finds, quiets = (rng.beta(part + 0.5, whole - part + 0.5, _DRAWS) for part, whole in pairs)
    better = finds + quiets - 1
    if np.quantile(better, tail) <= 0:
        why = "the judge may be no better than chance: needs more calibration cases or a better judge"
        return Estimate.unknown(why, method=METHOD)
    useful = better > 0
    rare = np.clip((rate[useful] + quiets[useful] - 1) / better[useful], 0.0, 1.0)
    right = rare * finds[useful]
    share = right / np.maximum(right + (1 - rare) * (1 - quiets[useful]), 1e-12)
    these = rng.binomial(flagged, np.clip(share, 0.0, 1.0)) / flagged
    ends = np.quantile([share, these], [tail, 1 - tail], axis=1)
    low, high = float(ends[0].min()), float(ends[1].max())
    sensitivity, specificity = found / targets, quiet / others
    prevalence = min(1.0, max(0.0, (flagged / judged + specificity - 1) / (sensitivity + specificity - 1)))
    flags = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    value = min(1.0, prevalence * sensitivity / flags) if flags else 0.0
    if (high - low) / 2 >= value:
        why = "half of the interval is no less than the figure: needs more calibration cases"
        return Estimate(None, low, high, METHOD, flagged, why_not=f"{why}; at most {high:.2g} at {level * 100:g} %")
    return Estimate(value, min(low, value), max(high, value), METHOD, flagged)
