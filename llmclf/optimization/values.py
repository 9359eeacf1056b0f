"""What an optimizer works with: labelled instances, what was answered about them, and the candidates it tries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmclf.render import Prompt
from llmclf.types import ErrorInfo, Label


@dataclass(frozen=True, slots=True)
class Facts:
    """What people know of an instance, for the words of feedback."""

    definition: str = ""
    """Of its label."""
    rules: tuple[tuple[str, str], ...] = ()
    """(id, text) of the boundary rules that decide it: those that annotators cite, else those of its label."""
    evidence: tuple[tuple[int | None, str], ...] = ()
    """(turn, its words) of what decides it; the turn is None where words of the whole case do."""
    votes: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Label to the number of annotators who gave it; empty where single votes are not known."""
    failure_modes: tuple[str, ...] = ()
    """Ways in which the target happened, each with its definition."""
    notes: tuple[str, ...] = ()
    """What annotators, or the labels file, say of it in words."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One labelled item (of a classifier) or case (of a judge) that prompts are tried on."""

    key: str
    """Unique among the instances of a run: the item as text, or the case's id."""
    text: str
    """As a prompt shows it, redacted where privacy says so."""
    label: str
    """The true label or verdict."""
    positive: bool
    """True where that is what is looked for."""
    weight: float = 1.0
    """How many of the population it stands for (1 / inclusion probability)."""
    group: str = ""
    """Never parted; empty: the instance alone."""
    facts: Facts = Facts()
    conversation_id: str = ""
    """Whose words these are; empty: `key` says it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a prompt made of one instance. A failed one has `error`; it is neither right nor a no."""

    said: str | None
    """Label or verdict; None where it failed."""
    flagged: bool = False
    """True where it takes the instance for what is looked for."""
    score: float | None = None
    """0 to 1, of being what is looked for, 1/2 where flagging begins; None where the answer has none."""
    answer: str = ""
    """The answer in the form that the model is asked for, as a demonstration shows it."""
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The answer's parts (label, rationale, ...), for dspy's traces."""
    error: ErrorInfo | None = None
    cost_usd: float | None = 0.0
    """What the model takes for it, whether it was bought now or is in the store; None: not known."""
    input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An instance that a prompt shows with its answer."""

    key: str
    text: str
    label: str
    answer: str
    """The words after `Answer:`."""
    augmented: bool = False
    """True where a model gave the answer (and it was right); False: the label alone is shown."""
    conversation_id: str = ""
    """Whose words these are."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt that is tried: the instruction before the data, and what it shows."""

    instruction: str
    """The system part as a template: placeholders stand in double braces."""
    demonstrations: tuple[Demonstration, ...] = ()


class Student(ABC):
    """What is optimized, seen from an optimizer: a classifier or a judge that answers with any prompt.

    It is asked through its own `Runtime`, in the requests that serving sends: the same body, cache, price and log.
    """

    kind: str
    """`classifier` or `judge`."""
    name: str
    parent: Prompt
    """The prompt that it has now."""
    labels: tuple[Label, ...]
    """The closed set with roles."""
    instances: Mapping[str, Instance]
    """Everything it can be asked about, by key."""

    @abstractmethod
    def ask(self, prompt: Prompt, key: str, *, repeat: int = 0, temperature: float | None = None) -> Answered:
        """What it says of an instance with `prompt`; blocks, from any thread. A model's failure is `error`.

        `repeat` asks for a fresh answer; `temperature` stands in for the model's own.
        """

    @abstractmethod
    def ask_all(
        self, prompt: Prompt, keys: Sequence[str], on_done: Callable[[str, Answered], None] | None = None
    ) -> list[Answered]:
        """The same of many at once, in order; `on_done` may be called on another thread."""

    @abstractmethod
    def demonstration(self, key: str, answered: Answered | None = None) -> Demonstration:
        """The instance as a prompt shows it: with its label alone, or with an answer that was given and is right."""

    @abstractmethod
    def check_prompt(self, prompt: Prompt) -> None:
        """ConfigError where the prompt could not be served."""
