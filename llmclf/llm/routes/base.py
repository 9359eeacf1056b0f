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
    def problems(self, model: Model) -> list[str]:
        """What would keep every call from working: no key, no weights, a setting the model can't honour."""

    @abstractmethod
    def price(self) -> Price | None:
        """What tokens cost; None is unknown."""

    @abstractmethod
    def endpoint(self) -> str:
        """Where the body goes; part of the request's hash."""

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
