"""What a classifier would do at an assumed prevalence: precision, and dollars per thousand items.

Recall and false-alarm rate are properties of a classifier; precision and dollars are not, they depend on how
rare the target is. Where a set was not drawn from production, both can only be projected to a prevalence that
somebody names. The draws of `Confusion` carry the uncertainty of both rates over, so that few negatives
(and the handful of false alarms among them) show as a wide interval.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llmclf.stats.stratified import (
    FAILED_OTHER,
    FAILED_TARGET,
    FALSE_ALARM,
    FOUND,
    LEAST_POSITIVES,
    MISSED,
    QUIET,
    Confusion,
    interval_of,
)
from llmclf.types import Costs, Estimate

PRICE_UNKNOWN = "the model's own price is not known"
"""Why a sum of dollars has no value, where that is so."""


def projected_precision(
    confusion: Confusion, prevalence: float, *, level: float = 0.95, least: int = LEAST_POSITIVES
) -> Estimate:
    """Share of the flagged items that would be targets if `prevalence` (0 to 1) of all items were.

    Failed items are left out of both rates. Not known without answered positives or negatives, or where
    nothing was flagged. Without a false alarm only a lower limit is given: at a low prevalence precision
    hangs on the false alarms, and none was seen to count.
    """
    seen = confusion.counts
    positives, negatives = int(seen[[FOUND, MISSED]].sum()), int(seen[[FALSE_ALARM, QUIET]].sum())
    missing = _missing_class(confusion, positives, negatives, "projected precision")
    if missing is not None:
        return missing
    if seen[FOUND] + seen[FALSE_ALARM] == 0:
        return Estimate.unknown("nothing was flagged", n_positives=confusion.n_positives)
    value = float(_precision_at(confusion.totals[None, :], prevalence)[0])
    drawn = _precision_at(confusion.draws, prevalence)
    estimate = interval_of(
        confusion, value, drawn, level=level, seen=positives, least=least, noun="projected precision"
    )
    if seen[FALSE_ALARM] or not estimate.is_known:
        return estimate
    among = "1 negative" if negatives == 1 else f"{negatives} negatives"
    why = f"no false alarm among {among}: only a lower limit, {estimate.low:.2g}"
    return replace(estimate, value=None, why_not=why)


def projected_flag_rate(
    confusion: Confusion, prevalence: float, *, level: float = 0.95, least: int = LEAST_POSITIVES
) -> Estimate:
    """Share of all items that would be flagged if `prevalence` (0 to 1) of them were targets."""
    seen = confusion.counts
    positives, negatives = int(seen[[FOUND, MISSED]].sum()), int(seen[[FALSE_ALARM, QUIET]].sum())
    missing = _missing_class(confusion, positives, negatives, "projected flag rate")
    if missing is not None:
        return missing
    value = float(np.add(*_flags_at(confusion.totals[None, :], prevalence))[0])
    drawn = np.add(*_flags_at(confusion.draws, prevalence))
    return interval_of(confusion, value, drawn, level=level, seen=positives, least=least, noun="projected flag rate")


def dollars_per_1000(
    confusion: Confusion,
    costs: Costs,
    *,
    model_usd: float | None = 0.0,
    level: float = 0.95,
    least: int = LEAST_POSITIVES,
) -> Estimate:
    """Expected dollars for 1,000 items at `costs.prevalence`: misses, false alarms, reviews, and the model's own.

    Every flagged item is reviewed; a false alarm costs `false_alarm_usd` beside that. A failed item costs a
    review (`on_error = "review"`), or a miss where it was a target (`"miss"`). `model_usd` is the model's
    price for one item. Where it is None (unknown) so is the sum: only its lower end is given, that of the
    rest, which `why_not` names. Not known either where every item failed.
    """
    negatives = int(confusion.counts[[FALSE_ALARM, QUIET, FAILED_OTHER]].sum())
    missing = _missing_class(confusion, confusion.n_positives, negatives, "dollars")
    if missing is None and not confusion.n_answered:
        missing = Estimate.unknown("every item failed: dollars can't be known", n_positives=confusion.n_positives)
    if missing is not None:
        return missing
    price = price_of_cells(costs)
    value = float(_dollars(confusion.totals[None, :], price, costs.prevalence)[0])
    drawn = _dollars(confusion.draws, price, costs.prevalence)
    extra = 1000 * (model_usd or 0.0)
    estimate = interval_of(
        confusion, value + extra, drawn + extra, level=level, seen=confusion.n_positives, least=least, noun="dollar"
    )
    return estimate if model_usd is not None else _at_least(estimate)


def _at_least(rest: Estimate) -> Estimate:
    """What is left of a sum of which one part is not known and `rest` are the others."""
    whole = rest.value is not None and rest.value >= 100
    figure = rest.why_not if rest.value is None else rest.format(",.0f" if whole else ".2f", "$")
    return replace(rest, value=None, high=None, why_not=f"{PRICE_UNKNOWN}; without it {figure}")


def _missing_class(confusion: Confusion, positives: int, negatives: int, noun: str) -> Estimate | None:
    if positives and negatives:
        return None
    absent = "negatives" if positives else "positives"
    if confusion.counts[FAILED_OTHER if positives else FAILED_TARGET]:
        absent = f"answered {absent}"  # there were some, and they failed
    return Estimate.unknown(f"no {absent}: {noun} can't be known", n_positives=confusion.n_positives)


def _precision_at(totals: NDArray[np.float64], prevalence: float) -> NDArray[np.float64]:
    found, alarms = _flags_at(totals, prevalence)
    share: NDArray[np.float64] = np.divide(found, found + alarms, out=np.zeros_like(found), where=found + alarms > 0)
    return share


def _flags_at(totals: NDArray[np.float64], prevalence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of all items that are found targets, and that are false alarms."""
    found = prevalence * _share(totals, FOUND, (FOUND, MISSED))
    alarms = (1 - prevalence) * _share(totals, FALSE_ALARM, (FALSE_ALARM, QUIET))
    return found, alarms


def _share(totals: NDArray[np.float64], cell: int, among: tuple[int, ...]) -> NDArray[np.float64]:
    whole = totals[:, list(among)].sum(axis=1)
    share: NDArray[np.float64] = np.divide(totals[:, cell], whole, out=np.zeros_like(whole), where=whole > 0)
    return share


def price_of_cells(costs: Costs) -> NDArray[np.float64]:
    """(6,) dollars of an item in each cell of a `Confusion`, without the model's own price."""
    review, missed = costs.review_usd, costs.missed_usd
    by_review = costs.on_error == "review"
    price = np.zeros(6)
    price[FOUND], price[MISSED] = review, missed
    price[FALSE_ALARM] = costs.false_alarm_usd + review
    price[FAILED_TARGET] = review if by_review else missed
    price[FAILED_OTHER] = review if by_review else 0.0
    return price


def _dollars(totals: NDArray[np.float64], price: NDArray[np.float64], prevalence: float) -> NDArray[np.float64]:
    """1,000 times the mean price within each class, mixed at `prevalence`."""
    classes = ((FOUND, MISSED, FAILED_TARGET), (FALSE_ALARM, QUIET, FAILED_OTHER))
    means = [totals[:, list(cells)] @ price[list(cells)] / totals[:, list(cells)].sum(axis=1) for cells in classes]
    result: NDArray[np.float64] = 1000 * (prevalence * means[0] + (1 - prevalence) * means[1])
    return result
