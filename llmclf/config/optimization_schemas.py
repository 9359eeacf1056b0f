"""The model of configs/optimizations/NAME.toml. Field descriptions are the reference."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmclf.config.parts import File, Name, NonNegative, Part, Share, Thinking
from llmclf.config.schemas import CostsTable
from llmclf.types import Costs

Scalar = str | int | Annotated[float, Field(allow_inf_nan=False)] | bool
Setting = Scalar | list[Scalar]
"""What an optimizer's setting may be: anything else would be code or data, which have no place in a file."""


class PartsTable(Part):
    """How the labelled items are shared out; whole groups, and nothing near the same on both sides."""

    train: Share = 0.4
    """The optimizer learns from these, and demonstrations are taken from them."""
    validation: Share = 0.3
    """Candidates are chosen by these."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """These have the last word: no optimizer sees them. 0 where `test_dataset` is given."""


class ReflectionTable(Part):
    """The model that writes instructions, for optimizers that have one (`gepa`, COPRO, MIPROv2, ...)."""

    model: str
    """A vendor's model as litellm names it, or the name of a row in models.toml."""
    thinking: Thinking | None = None
    """How much it may think: a level, or reasoning tokens. Default: the vendor's own."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    """How freely it writes."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Limit of answer and thinking together."""
    prompt: Name = "optimization/reflection"
    """The prompt file it is asked with (by `gepa`): prompts/PROMPT.txt."""


class OptimizationBudget(Part):
    """Dollars that all executions of this optimization never spend past, each kind of call by itself."""

    task_usd: NonNegative
    """For the classifier's or judge's own calls: search, choice and test together."""
    reflection_usd: NonNegative = 0.0
    """For the calls of the reflection model."""


class OptimizationFile(File):
    """configs/optimizations/NAME.toml: which prompt is compiled, from which labels, by which optimizer."""

    classifier: Name | None = None
    """The llm classifier whose prompt is optimized; or `judge`."""
    judge: Name | None = None
    """The judge whose prompt is optimized, from the labels of `session`."""
    dataset: str = ""
    """Labelled items, for a classifier: a name from configs/datasets, or a path."""
    test_dataset: str = ""
    """A dataset of its own for the test, such as a random sample; what stands in it too is left out of the others."""
    session: str = ""
    """The calibration session, for a judge: its align split is learned from, its test split has the last word."""
    optimizer: str = "gepa"
    """`labeled-few-shot`, `bootstrap`, `gepa`, or a dspy optimizer by its own name, such as `MIPROv2`."""
    prompt: Name
    """The prompt file that is written where the new one is better: prompts/PROMPT.txt. It must not be there yet."""
    parts: PartsTable = PartsTable()
    """Of `dataset`."""
    max_items: Annotated[int, Field(ge=1)] | None = None
    """Use only so many labelled items, targets and others in proportion, chosen by the seed."""
    positive_share: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Others are left out of the train part until it holds this share of targets (scores are weighed back); 0: none."""
    demonstrations: Annotated[int, Field(ge=0, le=64)] = 8
    """Most examples that the prompt may show; where it shows any, every label is among them. They are conversations
    of yours, in a prompt file."""
    batch_positives: Annotated[int, Field(ge=1)] = 2
    """Targets in each batch that the reflection model learns from."""
    objective: Literal["proper", "dollars", "accuracy"] = "proper"
    """What a candidate is chosen by: `dollars` at the prevalence of `costs`, the same smoothed by the scores
    (`proper`), or the share of right labels (`accuracy`, which at .5 % rewards saying no)."""
    seed: int = 0
    """Decides parts, demonstrations and batches, and is the optimizer's own."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Calls under way at once."""
    reflection: ReflectionTable | None = None
    """The model that writes instructions."""
    budget: OptimizationBudget
    """What may be spent."""
    costs: CostsTable = CostsTable()
    """What errors and people cost."""
    on_error: Literal["review", "miss"] = "review"
    """What a failed item costs: a person's `review`, or a `miss` where it was a target."""
    settings: dict[str, Setting] = {}
    """Of the optimizer, as dspy names them: `max_metric_calls = 300`."""

    @model_validator(mode="after")
    def _check_subject(self) -> Self:
        problems = self._beyond_a_judge() if self.judge else self._beyond_a_classifier()
        if bool(self.classifier) == bool(self.judge):
            problems = ["give `classifier` or `judge`, one of them"]
        if self.reflection is None and self.budget.reflection_usd:
            problems.append("budget.reflection_usd is for a reflection model: add [reflection], or leave it out")
        if self.reflection is not None and "reflection_usd" not in self.budget.model_fields_set:
            problems.append("[reflection] needs budget.reflection_usd (0 for a model that costs nothing)")
        total = self.parts.train + self.parts.validation + (0 if self.judge else self.parts.test)
        if abs(total - 1) > 1e-6 and (self.classifier or "parts" in self.model_fields_set):
            problems.append(f"the parts add up to {total:g}, not 1")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _beyond_a_classifier(self) -> list[str]:
        problems = [] if self.dataset else ["a classifier is optimized from a `dataset`"]
        problems += ["`session` is of a judge"] if self.session else []
        if bool(self.parts.test) == bool(self.test_dataset):
            problems.append("the test comes from parts.test, or from `test_dataset` with parts.test = 0: give one")
        return problems

    def _beyond_a_judge(self) -> list[str]:
        problems = [] if self.session else ["a judge is optimized from a `session`"]
        mine = [name for name in _OF_CLASSIFIERS if name in self.model_fields_set]
        if mine:
            names = ", ".join(f"`{name}`" for name in mine)
            are = "is" if len(mine) == 1 else "are"
            problems.append(f"{names} {are} of a classifier: a judge is held to agreement with its session's labels")
        if "test" in self.parts.model_fields_set:
            problems.append("parts.test is of a classifier: the test of a judge is the test split of its session")
        return problems

    @property
    def as_costs(self) -> Costs:
        """The costs as the value that evaluation takes."""
        return Costs(**self.costs.model_dump(), on_error=self.on_error)


_OF_CLASSIFIERS = ("dataset", "test_dataset", "max_items", "positive_share", "objective", "costs", "on_error")
