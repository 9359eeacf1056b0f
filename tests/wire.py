"""A small HTTP server on loopback that speaks OpenAI's chat completions, and can misbehave on the wire.

Each request takes the next queued `Reply`, or the default one. Everything received is kept in
`wire.received`. It runs on a thread with an event loop of its own, over real sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds of silence before the first byte."""
    trickle: float = 0.0
    """Seconds between single bytes of the body."""
    reset_after: int | None = None
    """Bytes of the body after which the connection is reset."""


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


def chat(
    text: str | None = "",
    *,
    usage: Any = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},  # noqa: B006 - only read
    finish_reason: str = "stop",
    logprobs: Mapping[str, float] | None = None,
    message: Mapping[str, Any] | None = None,
    choices: list[Any] | None = None,
    **more: Any,
) -> Reply:
    """A chat completion that says `text`; `more` are fields of the Reply itself."""
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": text, **(message or {})},
    }
    if logprobs is not None:
        top = [{"token": token, "logprob": value, "bytes": None} for token, value in logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "wire-model",
        "choices": [choice] if choices is None else choices,
    }
    if usage is not None:
        body["usage"] = usage
    return Reply(body=json.dumps(body).encode(), **more)


def failure(status: int, message: str = "no", **more: Any) -> Reply:
    """An error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "test", "code": None}}
    return Reply(status, json.dumps(body).encode(), **more)


class Wire:
    """The server. `with Wire() as wire: wire.next(chat("hello")); ... wire.received[0].json`."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.default: Reply | Callable[[Received], Reply] = chat("{}")
        self.most_at_once = 0
        self.connections = 0
        self._queue: deque[Reply] = deque()
        self._now = [0]
        self._loop = asyncio.new_event_loop()
        self._port = 0

    @property
    def url(self) -> str:
        """Base URL for an OpenAI client."""
        return f"http://127.0.0.1:{self._port}/v1"

    def next(self, *replies: Reply) -> None:
        """Queues replies; each serves one request."""
        self._queue.extend(replies)

    def reset(self) -> None:
        """Forgets what was queued and received."""
        self._queue.clear()
        self.received.clear()
        self.default = chat("{}")
        self.most_at_once = 0
        self.connections = 0
        self._now = [0]  # requests of an earlier test that still hang don't count

    @property
    def texts(self) -> list[str]:
        """Everything that was sent, one text for each request, headers included."""
        return [f"{r.path}\n{dict(r.headers)}\n{r.body.decode('utf-8', 'replace')}" for r in self.received]

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(first.split()[1], headers, body)
        self.received.append(request)
        now = self._now
        now[0] += 1
        self.most_at_once = max(self.most_at_once, now[0])
        try:
            return await self._answer(request, writer)
        finally:
            now[0] -= 1

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        default = self.default
        reply = self._queue.popleft() if self._queue else default(request) if callable(default) else default
        if reply.delay:
            await asyncio.sleep(reply.delay)
        headers = {"content-type": "application/json", "content-length": str(len(reply.body)), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        if reply.reset_after is not None:
            writer.write(reply.body[: reply.reset_after])
            await writer.drain()
            linger = struct.pack("ii", 1, 0)  # closing now sends RST, not FIN
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        if reply.trickle:
            for byte in reply.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(reply.trickle)
        else:
            writer.write(reply.body)
        await writer.drain()
        return True
