"""What a dataset's design lets one say: how its examples stand for a population, or that they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmclf.errors import DataError
from llmclf.stats import Sampling
from llmclf.types import Dataset, Design, Example, groups_of

_OF_THE_SET = {
    "unknown": "how the examples were drawn is not known",
    "class_balanced": "the examples were drawn by their label",
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """The sampling of labelled examples, and why rates at production's prevalence can't follow from it."""

    sampling: Sampling
    why_not: str = ""
    """Empty where they can."""
    unanswered: int = 0
    """Examples that were drawn and have no label for the task; the labelled ones of a stratum stand for them."""

    @property
    def knows_prevalence(self) -> bool:
        """True where rates at production's prevalence can be estimated."""
        return not self.why_not


def drawn(dataset: Dataset, examples: Sequence[Example]) -> Drawn:
    """How `examples` of `dataset` (those labelled for one task) stand for its population, by its design.

    A stratum without any labelled example leaves part of the population unseen: then only the set itself
    can be spoken of. Groups are those of `groups_of`. Raises DataError where design and examples contradict
    each other.
    """
    design, groups = dataset.design, groups_of(examples)
    where = f"dataset {dataset.name}, design {design.kind}"
    if design.kind in _OF_THE_SET:
        return Drawn(Sampling.simple(len(examples), groups), _OF_THE_SET[design.kind])
    if design.kind == "random":
        _check_equal_chances(examples, where)
        return Drawn(Sampling.simple(len(examples), groups))
    if design.kind == "weighted":
        return Drawn(Sampling.weighted(_chances(examples, where), groups))
    unseen = _unseen_strata(design, examples)
    if unseen:
        return Drawn(Sampling.simple(len(examples), groups), unseen)
    unanswered = max(0, sum(stratum.sampled for stratum in design.strata) - len(examples))
    populations = {stratum.name: float(stratum.population) for stratum in design.strata}
    try:
        sampling = Sampling.stratified([example.stratum for example in examples], populations, groups)
    except DataError as error:
        raise DataError("examples and strata do not fit", where=where, problems=error.problems) from error
    return Drawn(sampling, unanswered=unanswered)


def _unseen_strata(design: Design, examples: Sequence[Example]) -> str:
    seen = {example.stratum for example in examples}
    unseen = [stratum for stratum in design.strata if stratum.population > 0 and stratum.name not in seen]
    if not unseen:
        return ""
    share = sum(stratum.population for stratum in unseen) / sum(stratum.population for stratum in design.strata)
    names = ", ".join(stratum.name for stratum in unseen)
    return f"no labelled example stands for {share:.0%} of the population (stratum {names})"


def _chances(examples: Sequence[Example], where: str) -> list[float]:
    problems = [
        f"{example.item}: inclusion_probability must be above 0 and at most 1; got {example.inclusion_probability}"
        for example in examples
        if example.inclusion_probability is None or not 0 < example.inclusion_probability <= 1
    ]
    if problems:
        raise DataError("a weighted design needs every example's chance", where=where, problems=problems)
    return [chance for example in examples if (chance := example.inclusion_probability) is not None]


def _check_equal_chances(examples: Sequence[Example], where: str) -> None:
    chances = {example.inclusion_probability for example in examples}
    if len(chances) > 1:
        raise DataError(
            "examples of a random design have unequal inclusion probabilities",
            where=where,
            got=sorted(chances, key=str)[:5],
            fix='if they were drawn with unequal chances, the design is kind = "weighted"',
        )
