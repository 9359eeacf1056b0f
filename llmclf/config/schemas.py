"""One strict, frozen model for each kind of file. Field descriptions are the reference."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmclf.config.parts import File, Modality, Name, NonNegative, Part, Positive, Share, Thinking
from llmclf.types import Costs, DesignKind, Role, Unit

# --- tasks -----------------------------------------------------------------------------------


class LabelTable(Part):
    """One answer of the closed set."""

    role: Role
    """`target` (exactly one), `adjacent` (looks like the target and is not) or `clean`."""
    definition: Annotated[str, Field(min_length=1)]
    """What it means, as people read it."""
    rules: dict[str, str] = {}
    """Boundary rules by id (R1, R2, ...), unique in the file; annotators and reports cite them."""


class TaskFile(File):
    """configs/tasks/NAME.toml: one question and the closed set of its answers."""

    question: Annotated[str, Field(min_length=1)]
    """What is asked of each item."""
    unit: Unit = "conversation"
    """What a label is about: the whole `conversation`, or one `turn` of it."""
    context: Literal["so_far", "whole"] | None = None
    """What the model sees: the turns up to the one asked about (the default for `turn`), or all."""
    language: str = "en"
    """Language of the conversations as a BCP 47 tag: `en`, `de-CH`."""
    labels: Annotated[dict[Name, LabelTable], Field(min_length=2)]
    """The closed set, one table each."""
    failure_modes: dict[Name, str] = {}
    """Ways in which the target happens, each with its definition."""

    @model_validator(mode="after")
    def _check_roles(self) -> Self:
        targets = [name for name, label in self.labels.items() if label.role == "target"]
        if len(targets) != 1:
            raise ValueError(f"exactly one label must have role 'target', got {targets or 'none'}")
        if not any(label.role == "clean" for label in self.labels.values()):
            raise ValueError("at least one label must have role 'clean'")
        ids = [rule for label in self.labels.values() for rule in label.rules]
        twice = sorted({rule for rule in ids if ids.count(rule) > 1})
        if twice:
            raise ValueError(f"rule ids must be unique in a task, got {twice} twice")
        return self


# --- classifiers -----------------------------------------------------------------------------


class ScalingTable(Part):
    """Scores as probabilities: sigmoid(a * logit(score) + b). Used while the classifier is as it was then."""

    a: Positive
    """Slope."""
    b: Annotated[float, Field(allow_inf_nan=False)]
    """Intercept, which carries the prevalence."""
    prevalence: Share
    """Share of the target that the probabilities hold at."""
    edge: Annotated[float, Field(gt=0, lt=0.5)]
    """Scores nearer to 0 or 1 than this count as this near."""


class ThresholdOrigin(Part):
    """Where the threshold comes from. `llmclf threshold set` writes it, `llmclf threshold show` tells it."""

    run: str
    """The run (or cell, RUN/CELL) whose scores it was chosen on."""
    goal: str
    """What it was chosen for, in words."""
    date: str
    """When."""
    positives: Annotated[int, Field(ge=0)]
    """Targets among the items of the run."""
    threshold: Annotated[float, Field(ge=0, le=1)]
    """What was chosen: another value above was set by hand since."""
    dataset_hash: str
    """Hash of the labelled items."""
    configuration: str
    """Hash of the settings that decide scores: others since, and the threshold was chosen for something else."""
    expected: str = ""
    """Recall and dollars that it was chosen for, in words."""
    scaling: ScalingTable | None = None
    """Of an llm classifier: its scores as probabilities."""


class _Classifier(File):
    task: Name
    """The task whose question is answered: configs/tasks/TASK.toml."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = 0.5
    """Items whose score reaches it are flagged."""
    threshold_from: ThresholdOrigin | None = None
    """Where the threshold comes from, written by `llmclf threshold set`."""


class RuleTable(Part):
    """One keyword rule: patterns in one turn, optionally answered by a turn of the bot."""

    label: Name
    """The label it gives, one of the task's."""
    user: tuple[str, ...] = ()
    """Regular expressions, any of which must match a turn of the user."""
    bot: tuple[str, ...] = ()
    """Regular expressions, any of which must match a turn of the bot; with `user`, a later one."""
    within: Annotated[int, Field(ge=1)] = 2
    """How many turns after the user's turn the bot's may come."""
    unless_bot: tuple[str, ...] = ()
    """No match where a bot turn within reach matches one of these."""
    unless_event: tuple[Literal["tool_call", "tool_result", "transfer", "queue", "hang_up"], ...] = ()
    """No match where one of these events happens at or after the user's turn."""

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        if not (self.user or self.bot):
            raise ValueError("a rule needs `user` or `bot` patterns")
        for pattern in (*self.user, *self.bot, *self.unless_bot):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"pattern {pattern!r} is not a regular expression: {error}") from error
        return self


class KeywordFile(_Classifier):
    """kind = "keyword": patterns for each label; the baseline everything else must beat."""

    kind: Literal["keyword"]
    """Says that this classifier is of this kind."""
    rules: Annotated[tuple[RuleTable, ...], Field(min_length=1)]
    """Tried in order; the first that matches gives the label."""


class ProbeFile(_Classifier):
    """kind = "probe": logistic regression over words and static embeddings, trained on your labels."""

    kind: Literal["probe"]
    """Says that this classifier is of this kind."""
    weights: str = ""
    """Where `llmclf train` puts the learned values. Default: `.llmclf/probes/NAME.npz` in the workspace."""
    features: tuple[Literal["tfidf", "embedding", "counts"], ...] = ("tfidf", "embedding", "counts")
    """What it looks at: words (`tfidf`), their meaning (`embedding`), and lengths and events (`counts`)."""
    regularization: Positive = 1.0
    """Strength of the penalty; above 1 trusts the labels less than the default does."""
    learn_from: Literal["label", "annotations"] = "label"
    """`annotations`: learns the share of annotators who say each label, where examples have annotations."""
    seed: int = 0
    """Deals groups into the folds by which scores become probabilities."""


class LlmFile(_Classifier):
    """kind = "llm": a prompt file and a model."""

    kind: Literal["llm"]
    """Says that this classifier is of this kind."""
    model: str
    """A vendor's model as litellm names it (`openai/gpt-5.4-mini`), or the name of a row in models.toml."""
    prompt: Name
    """The prompt file: prompts/PROMPT.txt."""
    thinking: Thinking | None = None
    """How much it may think: a level, or reasoning tokens. Default: the vendor's own."""
    answer: Literal["explained", "label"] = "explained"
    """`explained`: evidence and rationale before the label. `label`: the label alone, cheap."""
    modality: Modality = "text"
    """How the conversation is sent; `audio>text` and `image>text` are recognised on this machine first."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """How freely it answers. Default: 0 where the model takes it, 1 with several `samples`, else the vendor's own."""
    first_turns: Annotated[int, Field(ge=1)] | None = None
    """Of a long conversation only the first so many turns are sent (with `last_turns`: head and tail)."""
    last_turns: Annotated[int, Field(ge=1)] | None = None
    """Only the last so many turns are sent; the prediction says `truncated`."""
    chunk_turns: Annotated[int, Field(ge=2)] | None = None
    """A longer conversation is asked about in parts of so many turns; the likeliest part decides."""
    chunk_overlap: Annotated[int, Field(ge=0)] = 2
    """Turns that neighbouring parts share."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Limit of answer and thinking together. Default: by `answer` and `thinking`."""
    score_method: Literal["logprob", "samples", "verbalized"] | None = None
    """Where the score must come from. Default: `samples` where there are several, else what `answer` gives."""
    samples: Annotated[int, Field(ge=1, le=64)] = 1
    """Fresh answers asked for; with several the score is the target's share among them."""
    repair: bool = True
    """An answer that can't be read is asked for once more, and paid for; the prediction says `repaired`."""
    shots: Annotated[int, Field(ge=0, le=64)] = 0
    """Examples shown in the prompt, spread over all labels, from `shots_from`."""
    shots_from: str = ""
    """Dataset the shown examples come from; items of it can't be evaluated with this classifier."""
    seed: int = 0
    """Chooses the examples that are shown."""

    @model_validator(mode="after")
    def _check_shots(self) -> Self:
        if bool(self.shots) != bool(self.shots_from):
            raise ValueError("`shots` and `shots_from` go together")
        return self

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.chunk_turns and (self.first_turns or self.last_turns):
            raise ValueError("`chunk_turns` shows everything in parts: leave `first_turns` and `last_turns` out")
        if self.chunk_turns and self.chunk_overlap >= self.chunk_turns:
            raise ValueError("`chunk_overlap` must be smaller than `chunk_turns`")
        return self

    @model_validator(mode="after")
    def _check_score_method(self) -> Self:
        if self.score_method == "logprob" and (self.answer != "label" or self.samples > 1):
            raise ValueError("score_method 'logprob' needs answer = 'label' and samples = 1")
        if self.score_method == "verbalized" and (self.answer != "explained" or self.samples > 1):
            raise ValueError("score_method 'verbalized' needs answer = 'explained' and samples = 1")
        if self.score_method == "samples" and self.samples < 2:
            raise ValueError("score_method 'samples' needs `samples` of 2 or more")
        return self


ClassifierFile = Annotated[KeywordFile | ProbeFile | LlmFile, Field(discriminator="kind")]


# --- datasets --------------------------------------------------------------------------------


class StratumTable(Part):
    """A part of the population that was sampled by itself."""

    name: str
    """As the labels file has it under `stratum`."""
    population: Annotated[int, Field(ge=1)]
    """Items it holds in the population."""
    sampled: Annotated[int, Field(ge=0)]
    """Items drawn from it."""


class DesignTable(Part):
    """How the examples were drawn."""

    kind: DesignKind = "unknown"
    """How items came into the set: all with one chance, by `strata`, each with the chance that the labels file
    states, as many of each label, or nobody knows. `llmclf data labels import` prints the right table."""
    strata: tuple[StratumTable, ...] = ()
    """For `stratified`: each stratum with its sizes."""
    note: str = ""
    """Anything a reader of the figures must know."""

    @model_validator(mode="after")
    def _check_strata(self) -> Self:
        if (self.kind == "stratified") != bool(self.strata):
            raise ValueError("`strata` and kind 'stratified' go together")
        wrong = [stratum.name for stratum in self.strata if stratum.sampled > stratum.population]
        if wrong:
            raise ValueError(f"more sampled than there are in strata {wrong}")
        return self


class DatasetFile(File):
    """configs/datasets/NAME.toml: conversations, labels, and how they were drawn."""

    conversations: str
    """JSON Lines of conversations; relative to this file."""
    labels: str = ""
    """JSON Lines of labels; relative to this file. Empty for conversations without labels."""
    design: DesignTable = DesignTable()
    """How the examples were drawn; it decides which figures can be known."""


# --- sweeps ----------------------------------------------------------------------------------


class Grid(Part):
    """Every combination is one cell."""

    classifier: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Whole classifiers as an axis; the others vary the sweep's `classifier`."""
    model: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Models to try; as `model` of an llm classifier."""
    thinking: Annotated[tuple[Thinking, ...], Field(min_length=1)] | None = None
    """Levels or numbers of reasoning tokens to try."""
    prompt: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Prompt files to try."""
    answer: Annotated[tuple[Literal["explained", "label"], ...], Field(min_length=1)] | None = None
    """Forms of answer to try."""
    modality: Annotated[tuple[Modality, ...], Field(min_length=1)] | None = None
    """Ways to send the conversation to try."""
    plan: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """How tokens are paid for: `standard`, `batch`, or a plan of prices.toml. The answers are the same."""
    unsupported: Literal["error", "skip"] = "error"
    """What to do with a cell that a model can't honour: stop before paying, or leave it out and say so."""


class CostsTable(Part):
    """Turns errors and people into dollars."""

    missed_usd: NonNegative = 40.0
    """Dollars that one missed target costs."""
    false_alarm_usd: NonNegative = 2.0
    """Dollars that one false alarm costs beyond its review."""
    review_minutes: NonNegative = 1.5
    """Minutes of a person's time for one flagged item."""
    reviewer_usd_per_hour: NonNegative = 48.0
    """Dollars an hour of that time costs."""
    prevalence: Share = 0.005
    """Share of the target in production, not in the dataset."""
    conversations_per_month: Annotated[int, Field(ge=1)] | None = None
    """Volume in production, for monthly figures and `flags_per_day`."""


class LimitsTable(Part):
    """What a cell must keep to; cells beyond are marked."""

    p95_seconds: Positive | None = None
    """95 of 100 items are answered within so many seconds."""
    usd_per_conversation: Positive | None = None
    """Dollars for the model's calls about one conversation."""
    flags_per_day: Positive | None = None
    """Flags a day at the assumed prevalence; needs `conversations_per_month`."""


class SweepFile(File):
    """configs/sweeps/NAME.toml: a grid of settings, measured on one dataset."""

    classifier: Name | None = None
    """The llm classifier whose settings the grid varies."""
    dataset: str
    """A name from configs/datasets, or a path."""
    strategy: Literal["grid", "racing"] = "grid"
    """`grid`: every cell on every item. `racing`: in rounds, and no more of a cell that is shown to be beaten."""
    keep: Literal["winner", "front"] = "winner"
    """What a race must not lose: the cell with the fewest dollars, or every cell that no other one dominates in
    dollars, p95 seconds and share of missed targets."""
    risk: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Chance that a race loses it all the same, against what every cell on every item would have said."""
    seed: int = 0
    """Decides what is drawn by `max_items`, dealt into `folds`, and the order of the items in a race."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Calls under way at once."""
    budget_usd: Positive | None = None
    """Dollars that all executions of this sweep never spend past: a call sets its worst case aside first."""
    max_items: Annotated[int, Field(ge=1)] | None = None
    """Use only so many examples, targets and others in proportion, chosen by the seed."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds for cells that learn; they are evaluated by cross-validation."""
    hold_out: Annotated[tuple[str, ...], Field(min_length=1)] = ("group",)
    """What never stands on both sides of a fold: `group` or names of metadata."""
    grid: Grid
    """What is varied."""
    costs: CostsTable = CostsTable()
    """What errors and people cost."""
    limits: LimitsTable = LimitsTable()
    """What a cell must keep to."""
    on_error: Literal["review", "miss"] = "review"
    """What a failed item costs: a person's `review`, or a `miss` where it was a target."""

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        varies = [
            axis for axis in ("model", "thinking", "prompt", "answer", "modality", "plan") if getattr(self.grid, axis)
        ]
        if varies and not self.classifier:
            raise ValueError(f"grid.{varies[0]} varies a classifier: set `classifier` to an llm classifier")
        if not varies and not self.grid.classifier:
            raise ValueError("the grid is empty: give at least one axis")
        if self.strategy != "racing" and (self.keep, self.risk) != ("winner", 0.05):
            raise ValueError("`keep` and `risk` are about a race: set strategy = 'racing'")
        return self

    @property
    def as_costs(self) -> Costs:
        """The costs as the value that evaluation takes."""
        return Costs(**self.costs.model_dump(), on_error=self.on_error)
