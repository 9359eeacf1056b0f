"""What a route to models is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from llmclf.llm.model import Answer, Model, Request
from llmclf.llm.prices import Price


class Route(ABC):
    """One way to one model. Raises ModelError for every failure of a call, and nothing else."""

    name: str
    simulated = False
    leaves_machine = False
    """True where the text of a conversation is sent elsewhere."""

    @abstractmethod
    def unsupported(self, model: Model) -> list[str]:
        """A name that leads to no model, and settings that the model can't honour."""

    def missing_keys(self) -> list[str]:
        """A sentence for each key that is not there: a call needs it, a plan does not."""
        return []

    def missing_pieces(self) -> list[str]:
        """A sentence for each package or file of weights that is not there."""
        return []

    def problems(self, model: Model) -> list[str]:
        """Everything that would keep every call from working: what is missing, and what is unsupported."""
        return [*self.missing_keys(), *self.missing_pieces(), *self.unsupported(model)]

    @abstractmethod
    def price(self) -> Price | None:
        """What tokens cost; None is unknown."""

    @abstractmethod
    def endpoint(self) -> str:
        """Where the body goes; part of the request's hash."""

    def load(self) -> None:
        """Does what takes seconds before the first call; does nothing where nothing does."""

    async def prepare(self) -> None:
        """Loads what `body` needs, without holding up the event loop."""

    @abstractmethod
    def body(self, request: Request) -> Mapping[str, Any]:
        """What is sent, without keys: equal bodies are the same question."""

    @abstractmethod
    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """One attempt. Raises ModelError."""

    async def aclose(self) -> None:
        """Gives connections and weights back."""
