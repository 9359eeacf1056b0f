"""Scores of a judge's answers whose plain mean says how far it agrees with people, on both sides alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmclf.errors import DataError
from llmclf.optimization.objective import Objective
from llmclf.optimization.values import Answered, Instance
from llmclf.types import CANNOT_TELL


def agrees(instance: Instance, answered: Answered) -> bool:
    """True where the judge and people say the same of whether it is what is looked for.

    `cannot_tell` and a failure agree with nobody.
    """
    return answered.error is None and answered.said != CANNOT_TELL and answered.flagged == instance.positive


def agreement_objective(instances: Sequence[Instance]) -> Objective:
    """Balanced agreement on the `instances` of one part; DataError where they hold one side alone."""
    return AgreementObjective(instances)


class AgreementObjective(Objective):
    """Balanced agreement: the mean of sensitivity and specificity, `cannot_tell` and failures being wrong.

    A judge that says one thing of everything has 1/2, however rare the other is. Within each of the two sides
    instance i counts by its design weight w_i: factor_i = n w_i / (2 sum of w on its side), n being all instances. So
    the plain mean of `score` = 1 - factor_i / scale where the judge is wrong, else 1, is
    1 - (1 - balanced agreement) / scale, a straight line in it; `scale` is the least with which no score falls below 0.
    """

    unit = "% disagreement"

    def __init__(self, instances: Sequence[Instance]) -> None:
        totals = {side: sum(one.weight for one in instances if one.positive is side) for side in (True, False)}
        if not all(totals.values()):
            found = sum(one.positive for one in instances)
            raise DataError(
                "agreement needs cases of what is looked for, and others",
                got=f"{found} of {len(instances)} are what is looked for",
                fix="label at least one of each",
            )
        n = len(instances)
        self._factors = {one.key: n * one.weight / (2 * totals[one.positive]) for one in instances}
        self.scale = max(self._factors.values())
        """Balanced disagreement at which the mean score would be 0."""

    def score(self, instance: Instance, answered: Answered) -> float:
        """0 to 1; DataError for an instance that it was not made for."""
        factor = self._factors.get(instance.key)
        if factor is None:
            raise DataError("the objective was made for other instances", got=instance.key)
        return 1 - factor * self.loss(instance, answered) / self.scale

    def loss(self, instance: Instance, answered: Answered) -> float:
        """1 where the judge is wrong of it, else 0."""
        return float(not agrees(instance, answered))

    def mean_loss(self, scores: Mapping[str, float]) -> float:
        """100 less the balanced agreement in percent; 0 without a score."""
        return 100 * self.scale * (1 - sum(scores.values()) / len(scores)) if scores else 0.0
