"""What the tests of calls share: a workspace with one model behind the http route, and questions to it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wire import Wire

from llmclf.llm import Message, Model, Output, Request, Runtime

ROWS = """
version = 1
[models."http/m"]
route = "http"
api_base = "{url}"
model = "wire-model"
logprobs = true
price = {{ input_usd_per_million = 1, output_usd_per_million = 1000 }}
"""
ENDS = "SELECT state, error_kind, cost_nano, possibly_billed, attempts FROM calls ORDER BY state, cost_nano IS NULL"


def workspace_of(folder: Path, wire: Wire) -> Path:
    """A workspace whose `http/m` asks the server; its worst case is a hundred times and more its usual bill."""
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs/models.toml").write_text(ROWS.format(url=wire.url))
    return folder


def question(text: str = "Hello?", output: Output = Output("text"), **more: Any) -> Request:
    return Request(Model("http/m", max_output_tokens=2000), (Message("user", text),), output, **more)


def worst_nano(runtime: Runtime, request: Request) -> int:
    """What is reserved for a request."""
    from llmclf.llm.model import body_text

    route = runtime.route(request.model.id)
    price = route.price()
    assert price is not None
    return price.worst_case(len(body_text(route.body(request)).encode()), request.model.output_limit(request.output))


async def until(seen: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for something to become true."""
    ends = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < ends, "it did not come true"
        await asyncio.sleep(0.01)


def lock(store: Path) -> sqlite3.Connection:
    """Keeps everybody else from writing to a store until the connection is rolled back."""
    connection = sqlite3.connect(store, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """As `lock`, for the time inside."""
    connection = lock(store)
    try:
        yield
    finally:
        connection.rollback()
        connection.close()
