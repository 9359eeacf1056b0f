"""What every classifier is: settings in the constructor, learned values from `fit`, one way to ask."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from llmclf.errors import DataError, ModelError
from llmclf.render.conversation import visible_turns
from llmclf.types import Conversation, Dataset, ErrorInfo, Item, Prediction, Predictions, Task, content_hash

SCALING = "scaling"
"""The setting that says what probability a score is; it changes no score."""


class Classifier(ABC):
    """Says which label a conversation (or a turn of it) has.

    The constructor keeps settings and does no work. `fit` learns from labels and returns self;
    learned attributes end in an underscore. A classifier that learns nothing returns itself
    unchanged. Its id changes with every setting and every learned value.
    """

    kind: str
    """The word for it in configuration files."""

    def __init__(self, task: Task, *, name: str = "", threshold: float | None = 0.5) -> None:
        self.task = task
        self.name = name or f"{task.name}-{self.kind}"
        self.threshold = threshold

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Everything the constructor took that changes an answer, as JSON types."""

    @property
    def learned(self) -> str:
        """A hash of what `fit` learned; empty where nothing was."""
        return ""

    @property
    def id(self) -> str:
        """`name@` and a hash over task, settings and learned values."""
        parts = (self.kind, self.task, dict(self.settings), self.threshold, self.learned)
        return f"{self.name}@{content_hash(parts)[:12]}"

    @property
    def configuration(self) -> str:
        """A hash over task and settings: what decides scores, and so what a threshold was chosen for."""
        settings = {name: value for name, value in self.settings.items() if name != SCALING}
        return content_hash((self.kind, self.task, settings))[:16]

    def fit(self, dataset: Dataset) -> Self:
        """Learns from the labels of `dataset` for this task and returns the classifier itself."""
        return self

    @abstractmethod
    def predict(self, conversations: Mapping[str, Conversation], items: Sequence[Item]) -> Predictions:
        """One prediction for each item, in order; a failed item is a prediction with `error`."""

    async def aclassify(
        self, conversation: Conversation, turn: int | None = None, *, timeout: float | None = None
    ) -> Prediction:
        """As `classify`, awaited."""
        return await asyncio.to_thread(self.classify, conversation, turn, timeout=timeout)

    def classify(
        self, conversation: Conversation, turn: int | None = None, *, timeout: float | None = None
    ) -> Prediction:
        """The prediction for one conversation, or for its turn `turn` (from 0) where the task asks about turns.

        `timeout` is seconds until a model's answer comes too late; without a model nothing waits.
        Raises DataError where turn and task do not fit, or what is passed is no Conversation. A model's
        failure is `prediction.error`; a model that can't be used at all (no key, no cap) is a
        ConfigError or a BudgetError.
        """
        check_conversation(conversation)
        visible_turns(conversation, self.task, turn)
        return self.predict({conversation.id: conversation}, [Item(conversation.id, turn)])[0]

    def classify_turns(self, conversation: Conversation) -> Predictions:
        """A prediction for every turn of the bot; for tasks about turns."""
        check_conversation(conversation)
        turns = [number for number, turn in enumerate(conversation.turns) if turn.speaker == "bot"]
        return self.predict({conversation.id: conversation}, [Item(conversation.id, turn) for turn in turns])

    def failed(self, item: Item, error: ModelError, **known: Any) -> Prediction:
        """The prediction for an item that could not be answered."""
        return Prediction(
            item.conversation_id,
            self.id,
            self.task.name,
            turn=item.turn,
            threshold=self.threshold,
            error=ErrorInfo.of(error),
            **known,
        )

    @cached_property
    def empty_error(self) -> ModelError:
        """The error of an item whose conversation holds nothing: a crashed run, not a clean one."""
        return ModelError("empty", "the conversation holds no turns", fix="leave crashed or lost runs out")


def check_conversation(given: object) -> None:
    """Raises DataError where `given` is no Conversation."""
    if not isinstance(given, Conversation):
        raise DataError(
            "this is no conversation",
            got=type(given).__name__,
            fix="pass a Conversation; Conversation.from_messages(messages) makes one",
        )


def items_of(conversations: Iterable[Conversation], task: Task) -> list[Item]:
    """Every item of `task` in the conversations: each of them, or each turn of the bot."""
    if task.unit == "conversation":
        return [Item(conversation.id) for conversation in conversations]
    return [
        Item(conversation.id, number)
        for conversation in conversations
        for number, turn in enumerate(conversation.turns)
        if turn.speaker == "bot"
    ]
