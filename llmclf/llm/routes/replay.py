"""Answers that another model gave earlier, for nothing: nobody is asked, no key is needed.

The body and the endpoint, and with them the hash of a request, are those of the original's route;
so an answer is found where the very same question was asked, and nowhere else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmclf.errors import LlmclfError, ModelError
from llmclf.llm.capabilities import Capabilities
from llmclf.llm.model import Answer, Model, Request, body_text, request_hash
from llmclf.llm.prices import FREE, Price
from llmclf.llm.routes.base import Route
from llmclf.store import Store, StoredAnswer
from llmclf.store.recorded import Recorded, open_recorded

_PRICE = replace(FREE, source="replayed, nothing is paid")


class ReplayRoute(Route):
    """The recorded answers of the model behind `inner`: from `source`, or from the runtime's own store.

    `source` is a store file, JSON Lines of answers, or a folder that `llmclf store export` wrote;
    relative to the workspace. Empty: the store of the runtime that asks.
    """

    name = "replay"
    replays = True

    def __init__(self, model_id: str, inner: Route, source: str, workspace: Path | None) -> None:
        self.model_id = model_id
        self.inner = inner
        self.source = (workspace or Path()) / source if source else None
        self._recorded: Recorded | None = None
        self._simulated: bool | None = None
        self._lock = threading.Lock()

    @property
    def simulated(self) -> bool:  # type: ignore[override]  # known once the source is read
        """True where the model was simulated then: a replay of it is no more real."""
        if self.inner.simulated or self.source is None:
            return self.inner.simulated
        if self._simulated is None:
            try:
                self._simulated = self._opened(self.source).is_simulated(self._original)
            except LlmclfError:
                return False  # `missing_pieces` says what is wrong with it
        return self._simulated

    def unsupported(self, model: Model) -> list[str]:
        """What the original does not take: nobody can have asked it."""
        return self.inner.unsupported(replace(model, id=self._original))

    def capabilities(self) -> Capabilities:
        """The original's."""
        return self.inner.capabilities()

    def missing_pieces(self) -> list[str]:
        """What is wrong with the source."""
        try:
            if self.source is not None:
                self._opened(self.source)
        except LlmclfError as error:
            return [f"{self.model_id}: {error}"]
        return []

    def price(self) -> Price:
        """Nothing; what is shown as the cost of an answer is what it cost then."""
        return _PRICE

    def endpoint(self) -> str:
        """The original's."""
        return self.inner.endpoint()

    def load(self) -> None:
        """Reads the source, and loads what the original needs to write a body."""
        self.inner.load()
        if self.source is not None:
            self._opened(self.source)

    async def prepare(self) -> None:
        """As `load`, off the event loop."""
        await self.inner.prepare()
        if self.source is not None and self._recorded is None:
            await asyncio.to_thread(self._opened, self.source)

    def body(self, request: Request) -> Mapping[str, Any]:
        """The original's."""
        return self.inner.body(replace(request, model=replace(request.model, id=self._original)))

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """Nobody is asked: always ModelError `not_found`."""
        raise ModelError(
            "not_found",
            "no answer to this request was recorded",
            where=self.model_id,
            fix=f"ask {self._original} itself, or give the source that was recorded with the same prompt and settings",
        )

    def recorded(self, request: Request, body: Mapping[str, Any], store: Store) -> StoredAnswer | None:
        """The answer to the same request with the same repeat; StoreError or DataError where the source is broken."""
        hash_ = request_hash(body_text(body), self.endpoint())
        if self.source is None:
            return store.stored_answer(hash_, request.repeat)
        return self._opened(self.source).answer(hash_, request.repeat)

    async def aclose(self) -> None:
        """Closes the source."""
        await self.inner.aclose()
        with self._lock:
            if self._recorded is not None:
                self._recorded.close()
            self._recorded = None

    @property
    def _original(self) -> str:
        return self.inner.model_id

    def _opened(self, source: Path) -> Recorded:
        with self._lock:
            if self._recorded is None:
                self._recorded = open_recorded(source)
            return self._recorded
