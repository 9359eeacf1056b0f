"""What a route to models is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from llmclf.llm.capabilities import Capabilities
from llmclf.llm.model import Answer, Model, Request
from llmclf.llm.prices import Price
from llmclf.store import Store, StoredAnswer


class Route(ABC):
    """One way to one model. Raises ModelError for every failure of a call, and nothing else."""

    name: str
    model_id: str
    simulated = False
    leaves_machine = False
    """True where the text of a conversation is sent elsewhere."""
    replays = False
    """True where answers come from a record and nobody is asked."""

    @abstractmethod
    def unsupported(self, model: Model) -> list[str]:
        """A name that leads to no model, and settings that the model can't honour."""

    def capabilities(self) -> Capabilities:
        """What the model takes; found out without sending anything."""
        return Capabilities()

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

    def recorded(self, request: Request, body: Mapping[str, Any], store: Store) -> StoredAnswer | None:
        """Where the route replays: the answer that was recorded for a request; None where there is none."""
        return None

    async def aclose(self) -> None:
        """Gives connections and weights back."""
