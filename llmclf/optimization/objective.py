"""Scores of single answers whose plain mean says what errors cost in production.

Optimizers score one example at a time and choose by the mean. With a mean of right answers, a target that is one item
in two hundred is worth giving up. Here the mean is a straight line in expected dollars at production's prevalence,
however many targets the labelled items hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

from llmclf.errors import ConfigError, DataError
from llmclf.optimization.values import Answered, Instance
from llmclf.stats.projection import price_of_cells
from llmclf.stats.stratified import FAILED_OTHER, FAILED_TARGET, FALSE_ALARM, FOUND, MISSED, QUIET
from llmclf.types import Costs

Form = Literal["proper", "dollars", "accuracy"]


class Objective(ABC):
    """Scores an answer by what it is worth. Made for the instances of one part, whose plain mean then counts."""

    unit: str
    """What `mean_loss` is in."""
    notes: tuple[str, ...] = ()
    """What a reader of its figures should know."""

    @abstractmethod
    def score(self, instance: Instance, answered: Answered) -> float:
        """0 to 1, higher is better."""

    @abstractmethod
    def loss(self, instance: Instance, answered: Answered) -> float:
        """What the answer loses by itself, of one item: above 0 where it is wrong."""

    @abstractmethod
    def mean_loss(self, scores: Mapping[str, float]) -> float:
        """The loss, in `unit`, that the scores of all instances (key to score) stand for."""


def dollars_objective(instances: Sequence[Instance], costs: Costs, form: Form = "proper") -> Objective:
    """The objective of a classifier for the `instances` of one part.

    `dollars` counts decisions at `costs`, and `proper` the same smoothed by the scores; see `DollarsObjective`.
    `accuracy` is the share of right labels, for comparison.

    Raises ConfigError, with everything that is wrong, where by `costs` nothing should ever be flagged or everything
    be, and DataError where the instances hold nothing of what is looked for, or nothing else.
    """
    if form == "accuracy":
        return AccuracyObjective()
    return DollarsObjective(instances, costs, form)


class AccuracyObjective(Objective):
    """1 for the right label, 0 for any other and for a failure; nothing is weighed. What dspy takes by default."""

    unit = "wrong labels per 1,000"

    def score(self, instance: Instance, answered: Answered) -> float:
        """1 where the label is right, else 0."""
        return float(answered.error is None and answered.said == instance.label)

    def loss(self, instance: Instance, answered: Answered) -> float:
        """1 where the label is wrong, else 0."""
        return 1 - self.score(instance, answered)

    def mean_loss(self, scores: Mapping[str, float]) -> float:
        """Wrong labels in 1,000 of these instances; 0 without a score."""
        return 1000 * (1 - _mean(scores))


class DollarsObjective(Objective):
    """Expected dollars of an item at production's prevalence, as a score.

    What counts is the *regret*, in dollars: what is paid beyond what the best answer costs (a target that is found
    costs its review in any case). M = missed_usd - review_usd for a target that is missed, A = false_alarm_usd +
    review_usd for another that is flagged; a failed item as `stats.price_of_cells` has it. Form `dollars` counts these
    by the decision. Form `proper` takes M (1-s)^2 of a target and A s^2 of another, where the answer has a score s:
    a cost-weighted Brier score. At posterior probability q its mean is least at s = qM / (qM + (1-q) A), which is
    above 1/2 exactly where flagging pays (qM > (1-q) A). So a prompt that is surer of what is right gains before a
    decision turns. That takes a score of 1/2 where flagging begins: a student with another threshold t shifts the logit
    of its scores by t's, and one without a threshold gives none. (Brier 1950, Verification of forecasts; Buja, Stuetzle
    and Shen 2005, Loss functions for binary class probability estimation and classification.) An answer without a score
    counts by its decision in both.

    The model's own price of an answer counts as dollars too, up to `most_price_usd`: the review of an item, or the
    misses of flagging nothing where these are dearer. An unknown price counts as 0.

    Each instance i of n stands for factor_i = n * (its class's share in production) * w_i / (sum of w in its class)
    of an item, w being its design weight. So the plain mean of `score` = 1 - factor * (regret + price) / scale is
    1 - (expected dollars of an item) / scale, and `scale` is the least with which no score can fall below 0.
    """

    unit = "dollars per 1,000"

    def __init__(self, instances: Sequence[Instance], costs: Costs, form: Literal["proper", "dollars"]) -> None:
        _check(instances, costs)
        self.costs = costs
        self.form = form
        self.most_price_usd = max(costs.review_usd, costs.missed_usd * costs.prevalence)
        """Dollars of one answer above which the model's price counts as this."""
        self.notes = (
            "dollars on validation are those of misses, of false alarms with their review, and of the model's calls "
            f"(a call as ${self.most_price_usd:.2f} at most; 0 where its price is not known); reviews of targets that "
            "were found are not in them",
        )
        prices = price_of_cells(costs)
        best = {True: float(prices[FOUND]), False: float(prices[QUIET])}
        self._wrong = {True: float(prices[MISSED]) - best[True], False: float(prices[FALSE_ALARM]) - best[False]}
        self._failed = {
            True: float(prices[FAILED_TARGET]) - best[True],
            False: float(prices[FAILED_OTHER]) - best[False],
        }
        self._factors = _factors(instances, costs.prevalence)
        most = {side: max(self._wrong[side], self._failed[side]) + self.most_price_usd for side in (True, False)}
        self.scale = max(self._factors[each.key] * most[each.positive] for each in instances)
        """Expected dollars of an item at which the mean score would be 0."""

    def score(self, instance: Instance, answered: Answered) -> float:
        """0 to 1; DataError for an instance that it was not made for."""
        factor = self._factors.get(instance.key)
        if factor is None:
            raise DataError("the objective was made for other instances", got=instance.key)
        price = min(max(answered.cost_usd or 0.0, 0.0), self.most_price_usd)
        return min(1.0, max(0.0, 1 - factor * (self.loss(instance, answered) + price) / self.scale))

    def loss(self, instance: Instance, answered: Answered) -> float:
        """Dollars of regret for this one answer, without the model's price."""
        if answered.error is not None:
            return self._failed[instance.positive]
        doubt = float(answered.flagged != instance.positive)
        if self.form == "proper" and answered.score is not None:
            doubt = (answered.score - instance.positive) ** 2
        return self._wrong[instance.positive] * doubt

    def mean_loss(self, scores: Mapping[str, float]) -> float:
        """Dollars per 1,000 items in production, beyond the reviews of found targets; 0 without a score."""
        return 1000 * self.scale * (1 - _mean(scores)) if scores else 0.0


def _factors(instances: Sequence[Instance], prevalence: float) -> dict[str, float]:
    share = {True: prevalence, False: 1 - prevalence}
    totals = {side: sum(each.weight for each in instances if each.positive is side) for side in share}
    n = len(instances)
    return {each.key: share[each.positive] * n * each.weight / totals[each.positive] for each in instances}


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores) if scores else 1.0


def _check(instances: Sequence[Instance], costs: Costs) -> None:
    problems = []
    if costs.missed_usd <= costs.review_usd:
        problems.append(
            f"a review (${costs.review_usd:.2f}) costs as much as a miss (${costs.missed_usd:.2f}) or more: "
            "by these costs nothing should ever be flagged; raise missed_usd, or lower review_minutes"
        )
    if costs.false_alarm_usd + costs.review_usd <= 0:
        problems.append(
            "a false alarm costs nothing: by these costs everything should be flagged; "
            "raise false_alarm_usd or review_minutes"
        )
    if not 0 < costs.prevalence < 1:
        problems.append(f"prevalence must be above 0 and below 1; got {costs.prevalence:g}")
    if problems:
        raise ConfigError("costs that leave nothing to choose", where="costs", problems=problems)
    positives = sum(each.positive for each in instances)
    if not 0 < positives < len(instances):
        raise DataError(
            "dollars need items of what is looked for, and others",
            got=f"{positives} of {len(instances)} are what is looked for",
            fix="label at least one of each",
        )
