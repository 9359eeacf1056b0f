"""How rare the target is, from a judge's verdicts and a calibration set that was drawn by label.

So many targets and so many others, labelled by people, say how often the judge finds a target and how often it
leaves another alone; its rate of positive verdicts on everything is corrected by both (Rogan and Gladen 1978), with
the interval of Lang and Reiczigel (2014). Such a set says nothing of how rare the target is by itself: where labels
were drawn at random, or by the judge's verdict, `judged_prevalence` is right, and narrower.

Failed and `cannot_tell` are no positive verdict: they count among what was judged, and on the side of a calibration
case that has none.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

from llmclf.errors import DataError
from llmclf.stats.proportion import wilson
from llmclf.types import Estimate

METHOD = "lang-reiczigel"
LEAST_FOUND = 5
"""Below so many calibration targets that the judge found there is an interval, and no value."""


def class_balanced_prevalence(
    flagged: int, judged: int, found: int, targets: int, quiet: int, others: int, *, level: float = 0.95
) -> Estimate:
    """Share of all judged items that is the target: `flagged` of `judged` items have a positive verdict.

    Of `targets` calibration cases that are the target the judge found `found`; of `others` that are not, `quiet` had no
    positive verdict. The calibration cases are drawn at random from each of the two kinds and independent of each
    other, and the judge does as well on them as on everything. Below `LEAST_FOUND` finds, and where half of the
    interval is no less than the figure, there is an upper bound and no value. Where the judge may be no better than
    chance, where a kind has no case, and where everything contradicts the calibration, there is nothing, and a reason.

    Raises DataError for counts below 0 and for parts above their whole.

    >>> print(class_balanced_prevalence(1_900, 20_000, 85, 100, 192, 200).format(".3f"))
    0.070 (0.032-0.097)
    """
    for part, whole in ((flagged, judged), (found, targets), (quiet, others)):
        if not 0 <= part <= whole:
            raise DataError("counts lie between 0 and what they are counted from", got=(part, whole))
    why = _why_not(judged, found, targets, quiet, others, level)
    if why:
        return Estimate.unknown(why, n_positives=targets, method=METHOD)
    low, high = _limits(flagged, judged, found, targets, quiet, others, level)
    if high <= 0 or low >= 1:
        rarely = "more rarely than on calibration cases that are not" if high <= 0 else "more often than on those of"
        why = f"the judge's verdict is positive {rarely} the target: they do not stand for what was judged"
        return Estimate.unknown(why, n_positives=targets, method=METHOD)
    low, high = max(0.0, low), min(1.0, high)
    found_share, quiet_share = found / targets, quiet / others
    value = min(1.0, max(0.0, (flagged / judged + quiet_share - 1) / (found_share + quiet_share - 1)))
    if found < LEAST_FOUND:
        why = f"{found} found target{'' if found == 1 else 's'} can't give a prevalence figure: "
        why += f"needs {LEAST_FOUND - found} more at least"
    elif (high - low) / 2 >= value:
        why = "half of the interval is no less than the figure: needs more calibration cases"
    else:
        return Estimate(value, min(low, value), max(high, value), METHOD, targets)
    return Estimate(None, low, high, METHOD, targets, why_not=f"{why}; at most {high:.2g} at {level * 100:g} %")


def _why_not(judged: int, found: int, targets: int, quiet: int, others: int, level: float) -> str:
    """Why no correction is possible; empty where one is."""
    if not judged:
        return "nothing was judged"
    if not targets:
        return "no calibration case is the target: how often the judge finds one is unknown"
    if not others:
        return "every calibration case is the target: how often the judge is wrong of others is unknown"
    one, other = wilson(found, targets, level=level), wilson(quiet, others, level=level)
    better, less, more = _informedness(one, other)
    if less > 0:
        return ""
    said = f"sensitivity + specificity - 1 is {better:.2f} ({less:.2f} to {more:.2f})"
    if more < 0:
        return f"the judge is inverted, {said}: turn its verdicts round, or look at the labels"
    return f"the judge may be no better than chance, {said}: needs more calibration cases or a better judge"


def _informedness(one: Estimate, other: Estimate) -> tuple[float, float, float]:
    """Youden's J, sensitivity + specificity - 1, with Newcombe's (1998) limits from two Wilson intervals."""
    (a, a_low, a_high), (b, b_low, b_high) = (
        (each.value or 0.0, each.low or 0.0, each.high or 0.0) for each in (one, other)
    )
    middle = a + b - 1
    return middle, middle - math.hypot(a - a_low, b - b_low), middle + math.hypot(a_high - a, b_high - b)


def _limits(
    flagged: int, judged: int, found: int, targets: int, quiet: int, others: int, level: float
) -> tuple[float, float]:
    """Lang and Reiczigel's limits before they are cut to 0 and 1 (their equations 4, 6, 7, 16 and 17).

    A success and a failure more in each half of the calibration set and z squared more of the judged, then the
    delta method around a centre that is moved by what the two halves' skewness asks for.
    """
    z = float(ndtri(0.5 + level / 2))
    n, n_targets, n_others = judged + z * z, targets + 2, others + 2
    rate, finds, quiets = (flagged + z * z / 2) / n, (found + 1) / n_targets, (quiet + 1) / n_others
    better = finds + quiets - 1
    value = (rate + quiets - 1) / better
    of_finds, of_quiets = finds * (1 - finds) / n_targets, quiets * (1 - quiets) / n_others
    error = math.sqrt(rate * (1 - rate) / n + value**2 * of_finds + (1 - value) ** 2 * of_quiets) / better
    centre = value + 2 * z * z * (value * of_finds - (1 - value) * of_quiets)
    return centre - z * error, centre + z * error
