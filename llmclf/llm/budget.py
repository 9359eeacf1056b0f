"""The hard cap: a call reserves its worst case before it is sent, and settles after."""

from __future__ import annotations

import threading

from llmclf.errors import ModelError


class Budget:
    """Dollars that may be spent; thread-safe. Reserved and settled together never pass the cap.

    A bill above its reservation is booked in full and closes the budget: nothing more is reserved.
    """

    def __init__(self, cap_nano: int | None, already_spent_nano: int = 0) -> None:
        self.cap_nano = cap_nano
        self._lock = threading.Lock()
        self._settled = already_spent_nano
        self._reserved = 0
        self._overrun = ""

    @property
    def spent_nano(self) -> int:
        """Settled so far, earlier spending included."""
        return self._settled

    @property
    def reserved_nano(self) -> int:
        """Reserved by calls under way or of unknown outcome."""
        return self._reserved

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
            if self._overrun:
                raise ModelError("over_budget", f"the run stopped: {self._overrun}", where=where)
            if self.cap_nano is not None and self._settled + self._reserved + nano > self.cap_nano:
                raise ModelError(
                    "over_budget",
                    f"the call may cost ${nano / 1e9:.6f} and ${self._left() / 1e9:.6f} of the cap is left",
                    where=where,
                    fix="raise max_usd (budget_usd in a sweep) and run again; what is done is kept",
                )
            self._reserved += nano

    def settle(self, reserved_nano: int, cost_nano: int | None) -> None:
        """Replaces a reservation by the bill; an unknown bill (None) keeps the reservation for good."""
        with self._lock:
            if cost_nano is None:
                return
            self._reserved -= reserved_nano
            self._settled += cost_nano
            if cost_nano > reserved_nano:
                self._overrun = (
                    f"a call was billed ${cost_nano / 1e9:.6f}, above its worst case ${reserved_nano / 1e9:.6f}"
                )

    def _left(self) -> int:
        return max(0, (self.cap_nano or 0) - self._settled - self._reserved)
