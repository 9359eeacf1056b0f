"""GET /healthz: can the store be read, and was what people and classifiers said last written."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from llmclf.errors import StoreError
from llmclf.server.answers import json_response
from llmclf.store import Store, sessions


class Health:
    """What is known of a store: once a write has failed, it counts as failing until one succeeds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failing = False
        self._lost = 0

    @property
    def not_recorded(self) -> int:
        """Answers of /v1/classify that were given and that the store could not keep, since the start."""
        return self._lost

    def lost(self) -> None:
        """An answer was given that the store could not keep. Called from the event loop only."""
        self._lost += 1
        self._failing = True

    def failed(self) -> None:
        """Somebody was just told that the store failed."""
        self._failing = True

    def trouble(self) -> str:
        """What is wrong with the store; empty: nothing. Where a write failed, one is tried anew."""
        try:
            self._store.query("SELECT 1")
            if self._failing:
                self._store.write(sessions.rehearse)
        except StoreError as error:
            return f"failing: {error}"
        self._failing = False
        return ""


def add_routes(app: Any, health: Health) -> None:
    """Adds /healthz to a FastAPI app."""
    from starlette.requests import Request

    async def healthz(request: Request) -> Any:
        trouble = await asyncio.to_thread(health.trouble)
        status = "broken" if trouble else "ok"
        body: dict[str, Any] = {"status": status, "version": version("llmclf"), "store": trouble or "ok"}
        if health.not_recorded:
            body["not_recorded"] = health.not_recorded
        return json_response(body, 503 if trouble else 200)

    app.add_route("/healthz", healthz, methods=["GET"])
