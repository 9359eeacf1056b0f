"""Judges: one strict, frozen model for each kind of file. Field descriptions are the reference."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmclf.config.parts import File, Name, Part, Thinking
from llmclf.types import CANNOT_TELL, Bar, Role
from llmclf.types.judgment import ScaleKind

Word = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
VerdictName = Annotated[str, Field(pattern=r"^\S(.{0,78}\S)?$")]
"""One line: judgments that were made elsewhere have names of their own."""

_FROM_ZERO = Field(ge=0, le=1)
_BAR = Bar()


class VerdictTable(Part):
    """One verdict of the closed set. `cannot_tell` may always be answered and is not listed."""

    role: Role
    """`target` (what is looked for), `adjacent` (looks like it and is not) or `clean`."""
    definition: Annotated[str, Field(min_length=1)]
    """What it means, for the model and for people."""
    rules: dict[str, str] = {}
    """Boundary rules by id (R1, R2, ...), unique in the file; annotators and reports cite them."""


class BarTable(Part):
    """What a judge must reach on held-out cases to count as calibrated: the low ends of its intervals."""

    sensitivity: Annotated[float, _FROM_ZERO] = _BAR.sensitivity
    """Share of the targets that it finds."""
    specificity: Annotated[float, _FROM_ZERO] = _BAR.specificity
    """Share of the others that it leaves alone."""
    positive_agreement: Annotated[float, _FROM_ZERO] = _BAR.positive_agreement
    """Agreement with people on the target alone."""
    positives: Annotated[int, Field(ge=1)] = _BAR.positives
    """Targets among the held-out cases, below which nothing is said."""
    looks: Annotated[int, Field(ge=1)] = _BAR.looks
    """Looks at the test split, after which fresh labels are asked for."""


class _Judge(File):
    bar: BarTable = BarTable()
    """What it must reach to count as calibrated."""

    @property
    def as_bar(self) -> Bar:
        """The bar as the value that a calibration takes."""
        return Bar(**self.bar.model_dump())


class _Rubric(_Judge):
    question: Annotated[str, Field(min_length=1)]
    """What is asked of each case."""
    scale: ScaleKind = "categorical"
    """`binary` has two verdicts, `ordinal` several from the worst to the best, `categorical` several without order."""
    verdicts: Annotated[dict[VerdictName, VerdictTable], Field(min_length=2)]
    """The closed set, one table each; an ordinal scale from its worst to its best."""

    @model_validator(mode="after")
    def _check_verdicts(self) -> Self:
        roles = [verdict.role for verdict in self.verdicts.values()]
        if not 0 < roles.count("target") < len(roles):
            raise ValueError("some verdicts must have role 'target', and some another")
        if CANNOT_TELL in self.verdicts:
            raise ValueError(f"{CANNOT_TELL} may always be answered: leave it out")
        if self.scale == "binary" and len(roles) != 2:
            raise ValueError(f"a binary scale has two verdicts, got {len(roles)}")
        ids = [rule for verdict in self.verdicts.values() for rule in verdict.rules]
        twice = sorted({rule for rule in ids if ids.count(rule) > 1})
        if twice:
            raise ValueError(f"rule ids must be unique in a judge, got {twice} twice")
        return self


class LlmJudgeFile(_Rubric):
    """kind = "llm": a rubric, a prompt file and a model."""

    kind: Literal["llm"]
    """Says that this judge is of this kind."""
    sees: Annotated[tuple[Word, ...], Field(min_length=1)] = ("conversation",)
    """What a case shows, in this order: `conversation`, and names such as `label`, `rationale`, `quote`. `a` and `b`
    are two answers to choose between."""
    context: Literal["so_far", "whole"] = "whole"
    """Of a case about one turn: may later turns be seen?"""
    prompt: Name
    """The prompt file: prompts/PROMPT.txt."""
    model: str
    """A vendor's model as litellm names it (`openai/gpt-5.4-mini`), or the name of a row in models.toml."""
    thinking: Thinking | None = None
    """How much it may think: a level, or reasoning tokens. Default: the vendor's own."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """How freely it answers. Default: 0 where the model takes it, else the vendor's own."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Limit of answer and thinking together. Default: by `thinking`."""
    first_turns: Annotated[int, Field(ge=1)] | None = None
    """Of a long conversation only the first so many turns are sent (with `last_turns`: head and tail)."""
    last_turns: Annotated[int, Field(ge=1)] | None = None
    """Only the last so many turns are sent."""

    @model_validator(mode="after")
    def _check_sees(self) -> Self:
        twice = sorted({name for name in self.sees if self.sees.count(name) > 1})
        if twice:
            raise ValueError(f"`sees` names {', '.join(twice)} twice")
        if ("a" in self.sees) != ("b" in self.sees):
            raise ValueError("`sees` names one of `a` and `b`: two answers to choose between go together")
        return self


class PanelFile(_Judge):
    """kind = "panel": several judges of one set of verdicts; what more than half of them say."""

    kind: Literal["panel"]
    """Says that this judge is of this kind."""
    judges: Annotated[tuple[Name, ...], Field(min_length=2)]
    """The members, by name: judges/NAME.toml. Question and verdicts are theirs. A tie, or no majority, is
    `cannot_tell`; where all fail, so does the panel."""

    @model_validator(mode="after")
    def _check_judges(self) -> Self:
        twice = sorted({name for name in self.judges if self.judges.count(name) > 1})
        if twice:
            raise ValueError(f"judges {', '.join(twice)} stand twice: a copied vote is no second opinion")
        return self


class RecordedFile(_Rubric):
    """kind = "recorded": verdicts that were made elsewhere, by `llmclf judge import`."""

    kind: Literal["recorded"]
    """Says that this judge is of this kind."""
    sees: tuple[Word, ...] = ("conversation",)
    """What it saw, and what people who check it are shown."""


JudgeFile = Annotated[LlmJudgeFile | PanelFile | RecordedFile, Field(discriminator="kind")]
