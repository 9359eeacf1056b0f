"""What a cell's dollars are made of, and how often it gives no usable answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf import stats
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.llm.plans import Plan
from llmclf.stats.stratified import FAILED_OTHER, FAILED_TARGET, FALSE_ALARM, FOUND, MISSED, QUIET, Confusion
from llmclf.sweeps.token_dollars import TokenDollars, token_dollars
from llmclf.types import Costs, Dataset, Estimate, OnError, Predictions, Task

INVALID = ("unparsable", "empty", "length")
"""Kinds of error of an answer that came and can't be used."""
USES = {"model": "model", "review": "reviews", "missed": "misses", "false_alarms": "false alarms"}
"""What dollars are for, and the names for people."""
_DRAWS = 2000


@dataclass(frozen=True)
class Shares:
    """How items come out: shares of the targets, and of the others, weighted by what they stand for."""

    found: float
    missed: float
    failed_targets: float
    """These three sum to 1."""
    false_alarms: float
    """Of the others, as the next."""
    failed_others: float

    def reviewed(self, on_error: OnError) -> tuple[float, float]:
        """Shares of the targets, and of the others, that a reviewer sees: the flagged, and the failed by `on_error`."""
        if on_error == "review":
            return self.found + self.failed_targets, self.false_alarms + self.failed_others
        return self.found, self.false_alarms


@dataclass(frozen=True)
class Parts:
    """Dollars per 1,000 items at the assumed prevalence by where they go, and rates of failure.

    `model_usd` and the values of `review`, `missed` and `false_alarms` add up to the cell's dollars.
    """

    costs: Costs
    shares: Shares
    model_usd: float | None
    """None where the model's price is not known."""
    tokens: TokenDollars
    """The model's dollars by kind of token."""
    review: Estimate
    review_hours: Estimate
    """Reviewers' hours per 1,000 items."""
    missed: Estimate
    false_alarms: Estimate
    """What they cost beyond their review."""
    failed: Estimate
    """Share of the items without an answer; of the population where the design is known, else of this set."""
    invalid: Estimate
    """Share of the items whose answer came and can't be used: unparsable, empty, or cut off at its limit."""
    errors: Mapping[str, Estimate] = field(default_factory=dict)
    """The same for each kind of error that occurred, the commonest first."""
    calls: float = 0.0
    """Calls to a model for one item, repairs and samples counted; a mean."""
    tokens_per_item: float | None = 0.0
    """Prompt and answer tokens of one item, a mean; None where the vendor does not count them."""
    weighted_tokens: float | None = None
    """The same as a provisioned plan counts them; None under other plans."""

    @property
    def usd(self) -> dict[str, float] | None:
        """Dollars per 1,000 items by what they are for, a key of `USES` each; None where one of them is not known."""
        dollars = (self.model_usd, self.review.value, self.missed.value, self.false_alarms.value)
        known = [part for part in dollars if part is not None]
        return dict(zip(USES, known, strict=True)) if len(known) == len(dollars) else None

    def to_dict(self) -> dict[str, Any]:
        """The parts as JSON types."""
        return {
            "model_usd": self.model_usd,
            "tokens": self.tokens.to_dict(),
            "review_usd": self.review.to_dict(),
            "review_hours": self.review_hours.to_dict(),
            "missed_usd": self.missed.to_dict(),
            "false_alarm_usd": self.false_alarms.to_dict(),
            "failed": self.failed.to_dict(),
            "invalid": self.invalid.to_dict(),
            "errors": {kind: rate.to_dict() for kind, rate in self.errors.items()},
            "calls_per_item": self.calls,
            "tokens_per_item": self.tokens_per_item,
        }


def parts_of(
    predictions: Predictions,
    dataset: Dataset,
    task: Task,
    costs: Costs,
    *,
    price: float | None,
    plan: Plan | None = None,
    seed: int = 0,
) -> Parts | None:
    """The parts of a cell whose items were all asked; None without a target or without another item.

    `price` is the model's for one item, `plan` how its tokens are paid for (None: there are none).
    """
    matched = match(predictions, dataset, task)
    sampling = drawn(dataset, matched.examples).sampling
    if not 0 < int(matched.positive.sum()) < len(matched.positive):
        return None
    table = stats.confusion(matched.positive, matched.flagged, sampling, failed=matched.failed, draws=_DRAWS, seed=seed)
    errors = matched.column(predictions, "error")
    kinds = np.array(["" if error is None else error.kind for error in errors])

    def rate(hit: NDArray[np.bool_]) -> Estimate:
        return stats.flag_rate(stats.confusion(matched.positive, hit, sampling, draws=_DRAWS, seed=seed))

    nothing = replace(costs, missed_usd=0.0, false_alarm_usd=0.0, reviewer_usd_per_hour=0.0)
    hours = stats.dollars_per_1000(table, replace(nothing, reviewer_usd_per_hour=1.0))
    usages, calls = (matched.column(predictions, name) for name in ("usage", "calls"))
    nano = matched.column(predictions, "cost_nano_usd")
    tokens = token_dollars(usages, calls, nano, sampling.weight, plan, price)
    failed = rate(kinds != "")
    common = Counter(kind for kind in kinds.tolist() if kind).most_common()
    return Parts(
        costs=costs,
        shares=shares_of(table),
        model_usd=None if price is None else 1000 * price,
        tokens=tokens,
        review=hours.scaled(costs.reviewer_usd_per_hour),
        review_hours=hours,
        missed=stats.dollars_per_1000(table, replace(nothing, missed_usd=costs.missed_usd)),
        false_alarms=stats.dollars_per_1000(table, replace(nothing, false_alarm_usd=costs.false_alarm_usd)),
        failed=failed,
        invalid=rate(np.isin(kinds, INVALID)) if common else failed,
        errors={kind: rate(kinds == kind) for kind, _ in common},
        calls=float(np.average(calls, weights=sampling.weight)),
        tokens_per_item=_mean(_tokens(usages, plan, 1.0), sampling.weight),
        weighted_tokens=(
            None
            if plan is None or plan.rented is None
            else _mean(_tokens(usages, plan, plan.rented.output_token_weight), sampling.weight)
        ),
    )


def shares_of(table: Confusion) -> Shares:
    """The shares behind a confusion table that holds a target and another item."""
    totals = table.totals
    targets = totals[[FOUND, MISSED, FAILED_TARGET]] / totals[[FOUND, MISSED, FAILED_TARGET]].sum()
    others = totals[[FALSE_ALARM, FAILED_OTHER]] / totals[[FALSE_ALARM, QUIET, FAILED_OTHER]].sum()
    return Shares(*(float(share) for share in (*targets, *others)))


def _tokens(usages: Iterable[Any], plan: Plan | None, output_weight: float) -> list[float | None]:
    """Prompt tokens and weighted answer tokens of each item; 0 where there are none, None where they are not known."""
    if plan is None:
        return [0.0 for _ in usages]
    return [
        None
        if usage.input_tokens is None or usage.output_tokens is None
        else usage.input_tokens + output_weight * usage.output_tokens
        for usage in usages
    ]


def _mean(values: Sequence[float | None], weights: NDArray[np.float64]) -> float | None:
    """Of the values that are known: items that failed have often no count."""
    known = np.array([value is not None for value in values], bool)
    if not known.any():
        return None
    return float(np.average([value for value in values if value is not None], weights=weights[known]))
