"""When the next attempt at a call may be sent: places, pauses, and windows of requests and tokens.

A *lane* is one endpoint under one row of [pace] (or under none). It has places for calls under way,
fewer while the vendor pushes back, and stands still while the vendor has asked for that. A *window*
belongs to a row, and all its lanes and all processes of one store share it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import islice
from types import TracebackType
from typing import Self

from llmclf.config import PaceRow
from llmclf.errors import ModelError, StoreError
from llmclf.llm.windows import MARGIN, Clock, OwnWindow, SharedWindow, Window
from llmclf.store import Store
from llmclf.store.sends import Send, SendLimits

_WINDOW_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 60.0  # one odd Retry-After must not end a run
_LOOK_AGAIN_SECONDS = 1.0  # other processes may learn that their calls took fewer tokens
_LEAST_WAIT_SECONDS = 0.001
_PUSHED_BACK = ("rate_limited", "unavailable")


class Pace:
    """When calls may be sent, by the rows of [pace], for one event loop.

    `concurrency` is how many may be under way at one endpoint; a row can only lower it. `clock` is
    the one that the processes of a store share, `monotonic` that of the deadlines. Rows without
    limits, and models without a row, never touch the store.
    """

    def __init__(
        self,
        rows: Mapping[str, PaceRow],
        store: Store | None,
        *,
        concurrency: int,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
        _window_seconds: float = _WINDOW_SECONDS,
    ) -> None:
        self._rows = rows
        self._store = store
        self._concurrency = concurrency
        self._clock = clock
        self._monotonic = monotonic
        self._window_seconds = _window_seconds
        self._of_model: dict[tuple[str, str], _Lane] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._windows: dict[str, Window | None] = {}

    async def turn(self, model_id: str, endpoint: str, tokens: int, deadline: float) -> Turn:
        """Waits until one attempt may be sent, first come, first served, and counts it.

        `tokens` is the most it can take, `deadline` a moment of `monotonic`. Raises ModelError
        `timeout` as soon as its turn can't come before that; nothing was sent then, and nothing is
        billed. StoreError where the store can't count it. Use what it gives as a context:

            with await pace.turn(...) as turn:
                answer = await route.send(...)
                turn.answered(tokens_used)
        """
        lane = self._of_model.get((model_id, endpoint))
        if lane is None:
            lane = self._of_model[model_id, endpoint] = self._lane(model_id, endpoint)
        return lane.enter(model_id, deadline) or await lane.wait(model_id, tokens, deadline)

    def _lane(self, model_id: str, endpoint: str) -> _Lane:
        key = next((key for key in self._rows if key == model_id or fnmatchcase(model_id, key)), "")
        if (key, endpoint) not in self._lanes:
            row = self._rows.get(key)
            most = min(self._concurrency, (row.concurrency if row else None) or self._concurrency)
            self._lanes[key, endpoint] = _Lane(most, self._window(key, row), self._monotonic)
        return self._lanes[key, endpoint]

    def _window(self, key: str, row: PaceRow | None) -> Window | None:
        if row is None or (row.requests_per_minute is None and row.tokens_per_minute is None):
            return None
        if key not in self._windows:
            limits = SendLimits(row.requests_per_minute, row.tokens_per_minute, self._window_seconds * (1 + MARGIN))
            if self._store is None or self._store.path is None:
                self._windows[key] = OwnWindow(limits, self._monotonic)
            else:
                self._windows[key] = SharedWindow(key, limits, self._store, self._clock)
        return self._windows[key]


class Turn:
    """Leave to send one attempt, and its place; leaving its context gives the place back."""

    __slots__ = ("_lane", "_send", "era", "waited")

    def __init__(self, lane: _Lane, send: Send | None, waited: float) -> None:
        self._lane: _Lane | None = lane
        self._send = send
        self.era = lane.era
        """Which cut of the lane's places it came after."""
        self.waited = waited
        """Seconds it was waited for."""

    def answered(self, tokens: int | None) -> None:
        """An answer came; `tokens`, prompt and answer, then count for it. None: not known, the most still counts."""
        if self._lane is not None:
            self._lane.answered(self)
            if self._send is not None and tokens is not None:
                self._lane.correct(self._send, max(0, tokens))

    def failed(self, error: ModelError) -> None:
        """The vendor's fault: it may mean fewer places, or a pause for everybody."""
        if self._lane is not None:
            self._lane.failed(self, error)

    def leave(self) -> None:
        """Gives the place back, once."""
        lane, self._lane = self._lane, None
        if lane is not None:
            lane.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModelError):
            self.failed(error)
        self.leave()


class _Waiter:
    """Somebody who waits for a turn."""

    __slots__ = ("came", "deadline", "future", "model_id", "tokens")

    def __init__(self, model_id: str, tokens: int, deadline: float, came: float) -> None:
        self.model_id = model_id
        self.tokens = tokens
        self.deadline = deadline
        self.came = came
        self.future: asyncio.Future[Send | None] = asyncio.get_running_loop().create_future()


class _Lane:
    """The places at one endpoint under one row, and those who wait for them, in order.

    Places are cut to half where the vendor pushes back, but only for a call that was sent after the
    last cut: sixteen that fail together are one sign. One place comes back for each full round of
    answers.
    """

    def __init__(self, most: int, window: Window | None, monotonic: Clock) -> None:
        self.era = 0
        self._most = most
        self._limit = most
        self._window = window
        self._monotonic = monotonic
        self._under_way = 0
        self._answers = 0
        self._paused_until = 0.0
        self._not_before = 0.0
        """Nobody who waits can have a turn before."""
        self._waiting: deque[_Waiter] = deque()
        self._place = asyncio.Event()
        self._server: asyncio.Task[None] | None = None

    # --- for those who send -----------------------------------------------------------------

    def enter(self, model_id: str, deadline: float) -> Turn | None:
        """A turn at once, where nothing has to be waited for."""
        now = self._monotonic()
        if deadline <= now:
            raise _too_late(model_id)
        if self._window or self._waiting or self._under_way >= self._limit or self._paused_until > now:
            return None
        self._under_way += 1
        return Turn(self, None, 0.0)

    async def wait(self, model_id: str, tokens: int, deadline: float) -> Turn:
        """A turn once everybody who came before has had one."""
        came = self._monotonic()
        if max(self._not_before, self._paused_until) >= deadline:
            raise _too_late(model_id)
        waiter = _Waiter(model_id, tokens, deadline, came)
        self._waiting.append(waiter)
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(deadline - came):
                send = await waiter.future
        except BaseException as error:
            self._abandon(waiter)
            if isinstance(error, TimeoutError):
                raise _too_late(model_id) from None
            raise
        if self._window is not None and send is not None:
            self._window.leaving(send)
        return Turn(self, send, self._monotonic() - came)

    def answered(self, turn: Turn) -> None:
        if turn.era == self.era and self._limit < self._most:
            self._answers += 1
            if self._answers >= self._limit:
                self._answers = 0
                self._limit += 1
                self._place.set()

    def failed(self, turn: Turn, error: ModelError) -> None:
        if error.kind in _PUSHED_BACK and turn.era == self.era:
            self.era += 1
            self._answers = 0
            self._limit = max(1, self._limit // 2)
        if error.retry_after is not None and error.kind in _PUSHED_BACK:
            pause = min(error.retry_after, _LONGEST_PAUSE_SECONDS)
            self._paused_until = max(self._paused_until, self._monotonic() + pause)

    def correct(self, send: Send, tokens: int) -> None:
        if self._window is not None:
            self._window.correct(send, tokens)

    def leave(self) -> None:
        self._under_way -= 1
        self._place.set()

    # --- serving those who wait -------------------------------------------------------------

    def _abandon(self, waiter: _Waiter) -> None:
        """Somebody no longer waits; a place given at that very moment goes back."""
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.leave()
        else:
            future.cancel()
            self._place.set()

    async def _serve(self) -> None:
        """Gives turns until nobody waits."""
        try:
            while self._anybody():
                if self._paused_until > self._monotonic():
                    await self._stand_still(self._paused_until - self._monotonic())
                elif self._under_way >= self._limit:
                    self._place.clear()
                    await self._place.wait()
                elif self._window is None:
                    self._give(self._waiting[0], None)
                else:
                    await self._ask(self._window)
        except Exception as error:
            self._fail_all(error)

    def _anybody(self) -> bool:
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()
        return bool(self._waiting)

    def _give(self, waiter: _Waiter, send: Send | None) -> None:
        if not waiter.future.done():  # else the send counts all the same, which is safe
            self._under_way += 1
            waiter.future.set_result(send)

    async def _ask(self, window: Window) -> None:
        """Asks the window for as many as there are places, and waits where it has no room for all."""
        free = self._limit - self._under_way
        first = list(islice((waiter for waiter in self._waiting if not waiter.future.done()), free))
        window.freed.clear()
        taken = await window.take([waiter.tokens for waiter in first])
        for waiter, send in zip(first, taken.sends, strict=False):
            self._give(waiter, send)
        if len(taken.sends) == len(first):
            return
        wait = max(taken.wait, _LEAST_WAIT_SECONDS)
        if not taken.by_tokens:
            await self._stand_still(wait)
            return
        try:
            async with asyncio.timeout(min(wait, _LOOK_AGAIN_SECONDS)):
                await window.freed.wait()
        except TimeoutError:
            pass

    async def _stand_still(self, seconds: float) -> None:
        """Nobody goes for so long: those whose deadline comes first are told at once."""
        self._not_before = self._monotonic() + seconds
        for waiter in self._waiting:
            if waiter.deadline <= self._not_before and not waiter.future.done():
                waiter.future.set_exception(_too_late(waiter.model_id))
        await asyncio.sleep(seconds)

    def _fail_all(self, error: Exception) -> None:
        for waiter in self._waiting:
            if not waiter.future.done():
                waiter.future.set_exception(_copy(error))
        self._waiting.clear()


def _too_late(model_id: str) -> ModelError:
    return ModelError(
        "timeout",
        "its turn would come after the deadline",
        where=model_id,
        fix="give it more time, or raise the limits of its row in [pace] of models.toml",
    )


def _copy(error: Exception) -> Exception:
    """One error for each who waits: an object must not gather the tracebacks of many."""
    if isinstance(error, StoreError):
        return StoreError(error.what, where=error.where, got=error.got, fix=error.fix)
    return error
