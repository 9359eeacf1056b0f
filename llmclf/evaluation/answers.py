"""What predictions say beside their label: scores, probabilities, prices, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.evaluation.drawn import Drawn
from llmclf.evaluation.matching import Matched
from llmclf.stats.scaling import Platt, logit
from llmclf.types import Predictions, Task


@dataclass(frozen=True, eq=False)
class Answers:
    """What the predictions say beside the label, in the order of the examples."""

    classifier_id: str
    simulated: bool
    ungrounded: int
    truncated: int
    scored: NDArray[np.bool_]
    """(n,) answered and with a score."""
    score: NDArray[np.float64]
    """(n,) the target's score; 0 where there is none."""
    chance: NDArray[np.float64] | None
    """(n,) the target's probability; None unless every scored answer has one."""
    holds_at: float | None
    """The prevalence at which the probabilities hold; None where it is not one and known."""
    cost_per_item: float | None
    maybe_billed: int
    """Failed items of unknown price, which are taken for as dear as the others."""
    seconds: NDArray[np.float64]
    """Of the timed ones."""

    @classmethod
    def of(cls, predictions: Predictions, matched: Matched, task: Task, basis: Drawn) -> Answers:
        """Read column by column: predictions may be many."""
        score, chance, holds_at = scores_of(predictions, matched, task)
        scored = ~np.isnan(score) & ~matched.failed
        seconds, timed = _numbers(matched.column(predictions, "latency_seconds"))
        quotes = matched.column(predictions, "evidence")
        return cls(
            _one_id(set(predictions.column("classifier_id"))),
            any(matched.column(predictions, "simulated")),
            sum(1 for quoted in quotes if quoted and any(not quote.grounded for quote in quoted)),
            sum(map(bool, matched.column(predictions, "truncated"))),
            scored,
            np.nan_to_num(score),
            np.nan_to_num(chance) if scored.any() and not np.isnan(chance[scored]).any() else None,
            holds_at,
            *_mean_cost(matched.column(predictions, "cost_nano_usd"), matched.failed, basis),
            seconds[timed],
        )

    def chance_at(self, chance: NDArray[np.float64], prevalence: float) -> NDArray[np.float64]:
        """The probabilities as they are where a share `prevalence` are targets: on a set that was not drawn from
        production they would else be called wrong for being right there.
        """
        if self.holds_at is None or not (0 < self.holds_at < 1 and 0 < prevalence < 1):
            return chance
        return Platt().at_prevalence(self.holds_at, prevalence).apply(logit(chance))

    def latency(self, percentile: float) -> float | None:
        """Seconds; None where nothing was timed."""
        return float(np.percentile(self.seconds, percentile)) if len(self.seconds) else None


def scores_of(
    predictions: Predictions, matched: Matched, task: Task
) -> tuple[NDArray[np.float64], NDArray[np.float64], float | None]:
    """(the target's score, its probability, the prevalence at which probabilities hold), in the order of the examples.

    NaN where there is none; a probability is the score of an item that has no other. The prevalence is that of the
    answered items: None where it is not one and known.
    """
    given = matched.column(predictions, "probabilities")
    chance = np.array([np.nan if one is None else one.get(task.target, np.nan) for one in given], float)
    score = np.array(matched.column(predictions, "score"), float)  # None is nan
    answered = ~np.isnan(chance) & ~matched.failed
    at = matched.column(predictions, "probabilities_at")
    distinct = {at[row] for row in np.flatnonzero(answered).tolist()}
    holds_at = distinct.pop() if len(distinct) == 1 else None
    return np.where(np.isnan(score), chance, score), chance, None if holds_at is None else float(holds_at)


def _numbers(values: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(numbers, which of them there are): 0 for None."""
    known = np.fromiter([value is not None for value in values], bool, len(values))
    numbers = np.array(values, float)
    numbers[~known] = 0.0
    return numbers, known


def _one_id(ids: set[str]) -> str:
    """The classifier's id; where each fold has fitted its own, the name and how many they are."""
    distinct = sorted(ids)
    return distinct[0] if len(distinct) == 1 else f"{distinct[0].split('@')[0]} ({len(distinct)} fits)"


def _mean_cost(nano_usd: Sequence[Any], failed: NDArray[np.bool_], basis: Drawn) -> tuple[float | None, int]:
    """(mean dollars of an item, failed items whose price is not known).

    A failed item that may have been billed is taken for as dear as the mean of all others. Where an answer's
    own price is not known, or every item failed and none has a price, neither is the mean.
    """
    costs, known = _numbers(nano_usd)
    maybe_billed = int((~known & failed).sum())
    if not known.any() or bool((~known & ~failed).any()):
        return None, maybe_billed
    return float(np.average(costs[known], weights=basis.sampling.weight[known])) / 1e9, maybe_billed
