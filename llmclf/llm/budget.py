"""The hard cap: a call reserves its worst case before it is sent, and settles after."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from llmclf.errors import ModelError


class Budget:
    """Dollars that may be spent; thread-safe. Reserved and settled together never pass the cap.

    A bill above its reservation is booked in full and closes the budget: nothing more is reserved.
    """

    def __init__(self, cap_nano: int | None, already_spent_nano: int = 0) -> None:
        self.cap_nano = cap_nano
        self._lock = threading.Lock()
        self._settled = already_spent_nano
        self._under_way = 0
        self._kept = 0
        self._overrun = ""
        self._waiting: list[Future[None]] = []

    @property
    def spent_nano(self) -> int:
        """Settled so far, earlier spending included."""
        return self._settled

    @property
    def reserved_nano(self) -> int:
        """Reserved by calls under way or of unknown outcome."""
        return self._under_way + self._kept

    @property
    def overrun(self) -> str:
        """What a bill above its reservation was, or empty."""
        return self._overrun

    def charge(self, nano: int) -> None:
        """Books what was spent before (a resumed run's earlier calls)."""
        with self._lock:
            self._settled += nano

    def reserve(self, nano: int, where: str = "") -> None:
        """Sets `nano` aside; raises ModelError `over_budget` where that could pass the cap."""
        with self._lock:
            if not self._fits(nano, self._under_way):
                raise self._over(nano, where)
            self._under_way += nano

    async def areserve(self, nano: int, where: str = "") -> None:
        """As `reserve`, but waits while calls under way hold room that their bills may give back.

        Most calls cost far less than their worst case: with many at once, what does not fit now
        often fits a moment later. Raises `over_budget` only where nothing under way could help.
        """
        while (room := self._reserve_or_wait(nano, where)) is not None:
            await asyncio.wrap_future(room)

    def settle(self, reserved_nano: int, cost_nano: int | None) -> None:
        """Replaces a reservation by the bill; an unknown bill (None) keeps the reservation for good."""
        with self._lock:
            self._under_way -= reserved_nano
            if cost_nano is None:
                self._kept += reserved_nano
            else:
                self._settled += cost_nano
                if cost_nano > reserved_nano:
                    self._overrun = (
                        f"a call was billed ${cost_nano / 1e9:.6f}, above its worst case ${reserved_nano / 1e9:.6f}"
                    )
            waiting, self._waiting = self._waiting, []
        for room in waiting:
            if room.set_running_or_notify_cancel():
                room.set_result(None)

    def _reserve_or_wait(self, nano: int, where: str) -> Future[None] | None:
        with self._lock:
            if self._fits(nano, self._under_way):
                self._under_way += nano
                return None
            if not self._under_way or not self._fits(nano, 0):
                raise self._over(nano, where)
            room: Future[None] = Future()
            self._waiting.append(room)
            return room

    def _fits(self, nano: int, under_way: int) -> bool:
        if self._overrun:
            return False
        return self.cap_nano is None or self._settled + self._kept + under_way + nano <= self.cap_nano

    def _over(self, nano: int, where: str) -> ModelError:
        if self._overrun:
            return ModelError("over_budget", f"the run stopped: {self._overrun}", where=where)
        left = max(0, (self.cap_nano or 0) - self._settled - self._kept - self._under_way)
        return ModelError(
            "over_budget",
            f"the call may cost ${nano / 1e9:.6f} and ${left / 1e9:.6f} of the cap is left",
            where=where,
            fix="raise max_usd (budget_usd in a sweep) and run again; what is done is kept",
        )
