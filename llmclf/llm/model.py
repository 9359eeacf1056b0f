"""What goes to a model and what comes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from llmclf.store.texts import storable
from llmclf.types import Usage

Thinking = Literal["off", "minimal", "low", "medium", "high", "max"] | int
"""A level, or a number of reasoning tokens."""

DEFAULT_ANSWER_TOKENS = 700
THINKING_TOKENS: dict[str, int] = {
    "off": 0,
    "minimal": 512,
    "low": 2048,
    "medium": 8192,
    "high": 24576,
    "max": 32768,
}
"""Room left for reasoning in the output limit, by level."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model with its settings: id, thinking, sampling. What it is asked is not part of it."""

    id: str
    """As litellm names a vendor's model (`openai/gpt-5.4-mini`), or `local/NAME`, or `sim/NAME`."""
    thinking: Thinking | None = None
    """None: whatever the vendor does by default."""
    temperature: float | None = None
    """None: 0 where the model takes it."""
    max_output_tokens: int | None = None
    """Limit of answer and thinking together. None: by output and thinking."""

    def output_limit(self, output: Output) -> int:
        """The output limit that is sent, thinking included."""
        if self.max_output_tokens is not None:
            return self.max_output_tokens
        if self.thinking is None:
            room = 0 if output.kind == "letter" else THINKING_TOKENS["low"]
        else:
            room = self.thinking if isinstance(self.thinking, int) else THINKING_TOKENS[self.thinking]
        return room + (16 if output.kind == "letter" else DEFAULT_ANSWER_TOKENS)


@dataclass(frozen=True, slots=True)
class Media:
    """A recording or picture that is sent along."""

    kind: Literal["audio", "image"]
    media_type: str
    """For instance `audio/wav`."""
    sha256: str
    """Of `data`; stands for it in the body that is hashed and stored."""
    data: bytes = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a request."""

    role: Literal["system", "user", "assistant"]
    content: str
    media: tuple[Media, ...] = ()
    """After the words, numbered by kind: image 1, image 2, audio 1."""

    def __post_init__(self) -> None:
        whole = storable(self.content)
        if whole is not self.content:
            object.__setattr__(self, "content", whole)  # half a character can neither be sent nor stored


@dataclass(frozen=True, slots=True)
class Output:
    """The form of the answer: a JSON object by a schema, one letter that stands for a choice, or free text."""

    kind: Literal["json", "letter", "text"]
    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema, for `json`."""
    choices: tuple[str, ...] = ()
    """For `letter`: A stands for the first, B for the second, ..."""

    @property
    def letters(self) -> tuple[str, ...]:
        """A, B, C, ... one for each choice."""
        return tuple(chr(ord("A") + number) for number in range(len(self.choices)))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: kept with it in the store, never sent."""

    task: str = ""
    conversation_id: str = ""
    turn: int | None = None
    content_hash: str = ""
    classifier_id: str = ""
    prompt_id: str = ""
    run_id: str = ""
    shows: tuple[str, ...] = ()
    """Ids of other conversations whose words are sent along, as examples; forgetting one takes this call's words."""
    keeps_words: bool = True
    """False: neither what is sent nor what comes back is written; the call and its cost are."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model. Its hash is over what is sent, nothing else."""

    model: Model
    messages: tuple[Message, ...]
    output: Output
    subject: Subject = Subject()
    repeat: int = 0
    """Asks the same again as a fresh call; a resumed run asks with the same number."""
    timeout: float = 120.0
    """Seconds for the whole call, retries included, from when it has its turn."""
    deadline: float | None = None
    """Moment of `time.monotonic()` at which it ends in any case."""
    redacted: bool = False
    """True where its words were redacted by the workspace's rules: the store need not do it again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route brings back from one call."""

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    usage: Usage = Usage()
    label_logprobs: Mapping[str, float] | None = None
    """Log-probability of each letter, where the model gives them."""
    sent_thinking: str = ""
    """What was really sent for thinking, as JSON text."""
    latency_seconds: float | None = None
    """Only where the route knows better than the clock around it."""
    first_byte_seconds: float | None = None
    """From sending to the first byte of the answer, where the route can tell."""
    model: str = ""
    """The version that answered, as the endpoint names it; empty where it does not say, or the answer was stored."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with what it cost and how it came about."""

    answer: Answer
    call_id: str
    cost_nano_usd: int | None
    latency_seconds: float | None
    attempts: int
    cached: bool
    simulated: bool
    route: str


def body_text(body: Mapping[str, Any]) -> str:
    """The body as canonical JSON, as it is hashed and stored: equal bodies give equal text."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def request_hash(text: str, endpoint: str) -> str:
    """Sha256 over the body as sent (its canonical JSON) and the resolved endpoint."""
    whole = f'{{"body":{text},"endpoint":{_quoted(endpoint)}}}'
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
