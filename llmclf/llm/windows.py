"""What may be sent within a minute under one row of [pace]: by this process alone, or by all on one store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from llmclf.store import Store
from llmclf.store.sends import Send, SendLimits, Taken

MARGIN = 1 / 60
"""Of a window: what may pass between counting a send and its arrival at the vendor."""

Clock = Callable[[], float]


class Window(Protocol):
    """What may be sent within a minute under one row."""

    freed: asyncio.Event
    """Set where a true count made room."""

    async def take(self, wanted: Sequence[int]) -> Taken:
        """Counts the first of these that fit."""

    def correct(self, send: Send, tokens: int) -> None:
        """Sets the true count."""

    def leaving(self, send: Send) -> None:
        """It is really sent now."""


class OwnWindow:
    """In this process alone. Its clock can't step."""

    def __init__(self, limits: SendLimits, monotonic: Clock) -> None:
        self.freed = asyncio.Event()
        self._limits = limits
        self._monotonic = monotonic
        self._sends: deque[Send] = deque()
        self._tokens = 0

    async def take(self, wanted: Sequence[int]) -> Taken:
        """Counts the first of these that fit."""
        now = self._monotonic()
        while self._sends and self._sends[0].at <= now - self._limits.seconds:
            old = self._sends.popleft()
            self._tokens -= old.tokens
            old.send_id = 0  # what is learned of it no longer counts
        sends: list[Send] = []
        for tokens in wanted:
            if not self._limits.allow(len(self._sends), self._tokens, tokens):
                break
            sends.append(Send(1, now, tokens))
            self._sends.append(sends[-1])
            self._tokens += tokens
        if len(sends) == len(wanted):
            return Taken(sends, 0.0)
        count = len(self._sends)
        oldest = ((send.at, send.tokens) for send in self._sends)
        wait = self._limits.wait(oldest, count, self._tokens, wanted[len(sends)], now)
        return Taken(sends, wait, not self._limits.full(count))

    def correct(self, send: Send, tokens: int) -> None:
        """Sets the true count."""
        if send.send_id:
            self._tokens += tokens - send.tokens
            send.tokens = tokens
            self.freed.set()

    def leaving(self, send: Send) -> None:
        """It is really sent now."""
        send.at = self._monotonic()


class SharedWindow:
    """Of all processes on one store."""

    def __init__(self, pace: str, limits: SendLimits, store: Store, clock: Clock) -> None:
        self.freed = asyncio.Event()
        self._pace = pace
        self._limits = limits
        self._store = store
        self._clock = clock

    async def take(self, wanted: Sequence[int]) -> Taken:
        """Counts the first of these that fit."""
        return await asyncio.wrap_future(self._store.take_sends(self._pace, wanted, self._limits, self._clock))

    def correct(self, send: Send, tokens: int) -> None:
        """Sets the true count."""
        if self._limits.tokens is None or tokens == send.tokens:
            return
        self._store.correct_send(send, tokens=tokens, at=send.at)
        send.tokens = tokens
        self.freed.set()

    def leaving(self, send: Send) -> None:
        """Where writing took so long that the margin may not do, its moment is set right."""
        now = self._clock()
        if now - send.at > self._limits.seconds * MARGIN / 2:
            self._store.correct_send(send, tokens=send.tokens, at=now)
            send.at = now
