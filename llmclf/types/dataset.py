"""Datasets: conversations, what is known about them, and how they were drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

from llmclf.errors import DataError
from llmclf.types.conversation import Conversation
from llmclf.types.evidence import Evidence
from llmclf.types.hashing import content_hash, plain

Source = Literal["gold", "silver", "synthetic", "feedback"]
DesignKind = Literal["random", "stratified", "class_balanced", "weighted", "unknown"]
_STRICT = {"extra": "forbid"}


class Item(NamedTuple):
    """What a label is about: a conversation, or one of its turns (from 0)."""

    conversation_id: str
    turn: int | None = None

    def __str__(self) -> str:
        return self.conversation_id if self.turn is None else f"{self.conversation_id}[{self.turn}]"


def item_hash(conversation: Conversation, turn: int | None = None) -> str:
    """Sha256 of an item's words: the same under any id of its conversation."""
    return content_hash([conversation.content_hash, turn])


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the population that was sampled by itself."""

    __pydantic_config__ = _STRICT

    name: str
    population: int
    sampled: int


@dataclass(frozen=True, slots=True)
class Design:
    """How the examples were drawn; it decides which rates can be known at all.

    `random`: simple random from production. `stratified`: random within each stratum, sizes known.
    `weighted`: each example has its inclusion probability. `class_balanced`: drawn by label.
    `unknown`: collected somehow; no rate at production's prevalence follows from it.
    """

    __pydantic_config__ = _STRICT

    kind: DesignKind = "unknown"
    strata: tuple[Stratum, ...] = ()
    note: str = ""

    @property
    def knows_prevalence(self) -> bool:
        """True where rates at production's prevalence can be estimated from the examples."""
        return self.kind in ("random", "stratified", "weighted")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's label of one example. An example's own label may be another: the vote, or what was agreed on."""

    __pydantic_config__ = _STRICT

    annotator: str
    task: str
    label: str
    rule: str = ""
    """The boundary rule (R1, R2, ...) that decided it."""
    note: str = ""
    seconds: float | None = None
    """Time it took; None: not measured."""
    blind: bool | None = None
    """True where no classifier's or other person's answer was shown; None: not known."""
    at: str = ""
    """When, ISO 8601."""
    guideline: str = ""
    """The `version` of the guideline that was read."""
    evidence: tuple[Evidence, ...] = ()
    """What the person highlighted."""


@dataclass(frozen=True)
class Example:
    """One item with what is known about it."""

    __pydantic_config__ = _STRICT

    conversation_id: str
    turn: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Task name to label."""
    stratum: str = ""
    inclusion_probability: float | None = None
    """Chance that this item was drawn; its weight is 1 over it. None: not known."""
    source: Source = "gold"
    failure_modes: tuple[str, ...] = ()
    evidence_turns: tuple[int, ...] = ()
    group: str = ""
    """Never split across train and test; intervals cluster by it. Empty: the conversation's id."""
    pair: str = ""
    """The conversation that differs from this one only in the breakdown."""
    note: str = ""
    annotations: tuple[Annotation, ...] = ()
    """What single people said, where it is known."""

    @property
    def item(self) -> Item:
        """The conversation, or the turn, this example is about."""
        return Item(self.conversation_id, self.turn)

    @property
    def group_or_conversation(self) -> str:
        """`group`, or the conversation's id where no group is given."""
        return self.group or self.conversation_id

    @property
    def weight(self) -> float:
        """How many items of the population this one stands for: 1 / inclusion probability (1 if unknown)."""
        return 1.0 if self.inclusion_probability is None else 1.0 / self.inclusion_probability


@dataclass(frozen=True)
class Dataset:
    """Conversations and examples about them, with the design by which they were drawn."""

    name: str
    conversations: Mapping[str, Conversation] = field(hash=False)
    examples: tuple[Example, ...] = ()
    design: Design = field(default_factory=Design)

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def content_hash(self) -> str:
        """Sha256 over every conversation, example and the design; the name is not part of it."""
        return content_hash(
            {
                "conversations": [plain(self.conversations[key]) for key in sorted(self.conversations)],
                "examples": plain(self.examples),
                "design": plain(self.design),
            }
        )

    @property
    def is_synthetic(self) -> bool:
        """True where any example was written or generated rather than observed."""
        return any(example.source == "synthetic" for example in self.examples)

    def conversation(self, example: Example | Item) -> Conversation:
        """The conversation an example or item is about."""
        try:
            return self.conversations[example.conversation_id]
        except KeyError:
            raise DataError(
                "an example is about a conversation that is not in the dataset",
                where=f"dataset {self.name}",
                got=example.conversation_id,
            ) from None

    def for_task(self, task: str) -> Dataset:
        """The examples that carry a label of `task`; the others and their conversations are left out."""
        return self.where(lambda example: task in example.labels)

    def where(self, keep: Callable[[Example], bool]) -> Dataset:
        """The examples for which `keep` is true, with their conversations."""
        return self.pick([index for index, example in enumerate(self.examples) if keep(example)])

    def pick(self, indices: Iterable[int]) -> Dataset:
        """The examples at `indices`, in that order, with their conversations and the same design."""
        examples = tuple(self.examples[index] for index in indices)
        ids = {example.conversation_id for example in examples}
        conversations = {key: value for key, value in self.conversations.items() if key in ids}
        return replace(self, conversations=conversations, examples=examples)

    def labels(self, task: str) -> list[str]:
        """The label of each example for `task`, in order. DataError where one has none."""
        missing = [str(example.item) for example in self.examples if task not in example.labels]
        if missing:
            raise DataError(
                f"{len(missing)} examples have no label for task {task}",
                where=f"dataset {self.name}",
                got=missing[:3],
                fix=f"use dataset.for_task({task!r}) to keep the labelled ones",
            )
        return [example.labels[task] for example in self.examples]

    def to_rows(self) -> list[dict[str, Any]]:
        """The examples as JSON rows, as a labels file holds them."""
        return [plain(example) for example in self.examples]


def dataset_of(
    name: str,
    conversations: Sequence[Conversation],
    examples: Sequence[Example] = (),
    design: Design | None = None,
) -> Dataset:
    """A dataset from sequences; DataError where two conversations share an id."""
    by_id: dict[str, Conversation] = {}
    twice = []
    for conversation in conversations:
        if conversation.id in by_id:
            twice.append(conversation.id)
        by_id[conversation.id] = conversation
    if twice:
        raise DataError("conversation ids are not unique", where=f"dataset {name}", got=sorted(set(twice))[:5])
    return Dataset(name, by_id, tuple(examples), design or Design())
