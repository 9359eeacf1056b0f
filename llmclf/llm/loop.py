"""An event loop on a thread of its own, and requests that several callers wait for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from llmclf.errors import ModelError
from llmclf.llm.calls import Caller
from llmclf.llm.model import Response

Key = tuple[str, int]
"""Hash and repeat of a request."""


class LoopThread:
    """An event loop on a thread of its own, with the limit on calls under way and the requests they answer."""

    def __init__(self, concurrency: int, caller: Caller) -> None:
        self.caller = caller
        self._pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.limit = asyncio.Semaphore(concurrency)
        self.flights = Flights()
        self._thread = threading.Thread(target=self.loop.run_forever, name="llmclf-io", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False after a fork: the child has the object but not the thread."""
        return self._pid == os.getpid() and self._thread.is_alive()

    @property
    def is_current(self) -> bool:
        """True where the caller runs on this very thread."""
        return threading.current_thread() is self._thread

    def stop(self, last: Iterable[Callable[[], Coroutine[Any, Any, None]]] = ()) -> None:
        """Cancels what is under way, runs `last` one after the other, and ends the thread."""
        asyncio.run_coroutine_threadsafe(_wind_up(last), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Flights:
    """Requests under way on one event loop: the same request is sent once, whoever asks for it."""

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight] = {}

    async def join(
        self, key: Key, make: Callable[[], Coroutine[Any, Any, Response]], timeout: float
    ) -> tuple[Response, bool]:
        """(the response, whether somebody else had asked already).

        The call goes on as long as anybody waits for it. Somebody with more time than the one who
        asked first asks again where the first call ended by its time-out.
        """
        while True:
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight(asyncio.create_task(make()), timeout)
            try:
                return await self._wait(key, flight), not first
            except ModelError as error:
                if first or error.kind != "timeout" or timeout <= flight.timeout:
                    raise

    async def _wait(self, key: Key, flight: _Flight) -> Response:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.task.done() or not flight.waiting:
                flight.task.cancel()
                if self._flights.get(key) is flight:
                    del self._flights[key]


class _Flight:
    """One request under way."""

    def __init__(self, task: asyncio.Task[Response], timeout: float) -> None:
        self.task = task
        self.task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, also if all have left
        self.timeout = timeout
        self.waiting = 0


async def _wind_up(last: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for work in last:
        await work()
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
