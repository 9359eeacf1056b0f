"""The hard cap: a call reserves its worst case before it is sent, and settles after."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from llmclf.errors import ModelError, StoreError
from llmclf.llm.caps import Reservation, SharedCaps, refusal_text, utc_now
from llmclf.store.leases import Cap, Leased

PATIENCE_SECONDS = 2.0
"""How long a call waits for room that only other processes could give back."""
TICK_SECONDS = 1.0
"""How often `Budget.tick` is called; less than the patience of others."""
_AGAIN_SECONDS = 0.1  # between two looks at what others gave back


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that waits for money."""

    nano: int
    where: str
    patient: bool
    """False: only a lease is waited for, not what other calls may give back."""
    until: float | None = None
    """When its patience with other processes ends; None: it did not wait for them yet."""
    short: int = 0
    """What the store said is missing, less what calls of this process gave back since."""
    future: Future[Reservation | None] = field(default_factory=Future)
    """Its money; None: try again in a moment."""


class Budget:
    """Dollars that may be spent; thread-safe. Reserved and settled together never pass a cap.

    `cap_nano` is a cap for this process alone. `shared` are caps that all processes of one store
    keep together: this one leases slices of them, and reserves within those in memory. A bill above
    its reservation is booked in full and closes the budget: nothing more is reserved.
    """

    def __init__(
        self,
        cap_nano: int | None,
        already_spent_nano: int = 0,
        *,
        shared: SharedCaps | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.cap_nano = cap_nano
        self.patience_seconds = patience_seconds
        self._shared = shared
        self._settled = already_spent_nano
        self._under_way = 0
        self._kept = 0
        self._overrun = ""
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._is_asking = False
        self._clock = utc_now if self._shared is None else self._shared.clock

    @property
    def is_capped(self) -> bool:
        """True where any cap holds."""
        return self.cap_nano is not None or (self._shared is not None and self._shared.holds)

    @property
    def spent_nano(self) -> int:
        """Settled so far by this process, earlier spending that was charged included."""
        return self._settled

    @property
    def reserved_nano(self) -> int:
        """Reserved by calls of this process that are under way or of unknown outcome."""
        return self._under_way + self._kept

    @property
    def overrun(self) -> str:
        """What a bill above its reservation was, or empty."""
        return self._overrun

    def left_nano(self) -> int | None:
        """The least that is left under any cap, other processes' spending and leases taken off; None: no cap."""
        found = [] if self.cap_nano is None else [self.cap_nano - self._settled - self._kept - self._under_way]
        if self._shared is not None and self._shared.holds:
            now = self._clock()
            found += self._shared.store.left_nano(self._shared.owner, self._shared.caps(now), now).values()
        return max(0, min(found)) if found else None

    def charge(self, nano: int) -> None:
        """Books what was spent before (a resumed run's earlier calls) under this process's own cap."""
        with self._lock:
            self._settled += nano

    @contextmanager
    def under(self, cap: Cap) -> Iterator[None]:
        """Keeps one more cap, over all processes of the store, for what is reserved inside."""
        assert self._shared is not None, "a shared cap needs a budget that is made with SharedCaps"
        with self._lock:
            self._shared.add(cap)
        try:
            yield
        finally:
            with self._lock:
                self._shared.remove(cap)
            self.tick()

    # --- a call's money ---------------------------------------------------------------------

    def reserve(self, nano: int, where: str = "") -> Reservation:
        """Sets `nano` aside; raises ModelError `over_budget` where that could pass a cap.

        Waits for the store where a lease must be taken, but not for what other calls may give back.
        """
        made, waiting = self._reserve(nano, where, patient=False)
        if waiting is not None:
            made = waiting.future.result()
        assert made is not None
        return made

    async def areserve(self, nano: int, where: str = "", *, patient: bool = True) -> Reservation:
        """As `reserve`, but waits while calls under way hold room that their bills may give back.

        Most calls cost far less than their worst case: with many at once, what does not fit now
        often fits a moment later. Other processes' calls are waited for too, for `patience_seconds`.
        Raises `over_budget` only where nothing under way could help. A call that holds money already
        must not be patient: two of those would wait for each other.
        """
        made, waiting = self._reserve(nano, where, patient=patient)
        while waiting is not None:
            try:
                made = await asyncio.wrap_future(waiting.future)
            except asyncio.CancelledError:
                self._abandon(waiting)
                raise
            if made is not None:
                break
            await asyncio.sleep(_AGAIN_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - spreads the processes
            waiting.future = Future()
            self._advance(waiting)
        assert made is not None
        return made

    def settle(self, reserved: Reservation, cost_nano: int | None) -> None:
        """Replaces a reservation by the bill; an unknown bill (None) keeps the reservation for good."""
        nano = reserved.nano
        with self._lock:
            self._under_way -= nano
            if cost_nano is None:
                self._kept += nano
            else:
                self._settled += cost_nano
                if cost_nano > nano:
                    self._overrun = f"a call was billed ${cost_nano / 1e9:.6f}, above its worst case ${nano / 1e9:.6f}"
            gone = nano if cost_nano is None else cost_nano
            for account in reserved.accounts:
                account.settle(nano, gone)
            if not self._waiting:
                return
            for waiting in self._waiting:
                waiting.short -= nano - gone
        self._advance()

    def confirm(self, reserved: Reservation, where: str = "") -> None:
        """To be called once the call is in the store, and before it is sent.

        Raises ModelError `over_budget` where this process stood still for so long (60 s and more)
        that other processes may have been given the room: the call must not be sent then.
        """
        if self._shared is not None:
            with self._lock:
                covered = self._shared.is_covered(reserved)
            if not covered:
                raise ModelError(
                    "over_budget",
                    "this process stood still for so long that its room in the cap was given to others",
                    where=where,
                    fix="run again; what is done is kept",
                )

    # --- leases -----------------------------------------------------------------------------

    def tick(self) -> None:
        """To be called every second or so: says that this process lives, gives back room it did not need lately."""
        shared = self._shared
        with self._lock:
            if shared is None or not shared.is_held or self._is_asking:
                return
            now = self._clock()
            kept = shared.trimmed(now)
            if kept is None:
                return
            if not kept:
                shared.released()
            self._is_asking = True
        try:
            store, owner = shared.store, shared.owner
            told: Future[Any] = store.renew_leases(owner, kept, now) if kept else store.release_leases(owner)
        except StoreError:  # what is not written now is written with the next; memory knows of it already
            self._told(None, now, bool(kept))
        else:
            told.add_done_callback(lambda future: self._told(future, now, bool(kept)))

    async def beat(self) -> None:
        """Ticks for as long as it is not cancelled; for the event loop of the process."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.tick()

    def close(self) -> None:
        """Gives back what is left of the leases; nothing is to be reserved after."""
        shared = self._shared
        if shared is not None and (shared.is_held or self._is_asking):
            shared.released()
            shared.store.release_leases(shared.owner).result()

    def begin_anew(self, owner: str) -> None:
        """In a child made by fork: it has leases of its own, under a new owner; its parent's are not its."""
        self._begin()
        self._kept, self._under_way = self._kept + self._under_way, 0  # its parent's calls never settle here
        if self._shared is not None:
            self._shared = self._shared.anew(owner)

    def _reserve(self, nano: int, where: str, *, patient: bool) -> tuple[Reservation | None, _Waiting | None]:
        """(the money, None) where there is enough at hand, else (None, who waits for it)."""
        with self._lock:
            made = self._book(nano)
        if made is not None:
            return made, None
        waiting = _Waiting(nano, where, patient)
        self._advance(waiting)
        return None, waiting

    def _book(self, nano: int) -> Reservation | None:
        """The money where it is at hand."""
        now = self._clock()
        shared = self._shared
        if self._overrun or not self._fits(nano, self._under_way):
            return None
        if shared is None or not nano or not shared.holds:
            self._under_way += nano
            return Reservation(nano, now)
        if not shared.fits(nano, now):
            return None
        self._under_way += nano
        return shared.book(nano, now)

    def _advance(self, new: _Waiting | None = None) -> None:
        """Gives everybody who waits what there is now, and asks the store for more where that may help."""
        with self._lock:
            if new is not None:
                self._waiting.append(new)
            lacking = self._serve()
            shared = self._shared
            if shared is None or not lacking or self._is_asking:
                return
            now, first = self._clock(), lacking[0]
            wanted = shared.wanted(first.nano, sum(one.nano for one in lacking[1:]), now)
            self._is_asking = True
        try:
            asked = shared.store.take_leases(shared.owner, wanted, now)
        except StoreError as error:
            self._refuse_all(error)
        else:
            asked.add_done_callback(lambda future: self._leased(future, first.nano, now))

    def _serve(self) -> list[_Waiting]:
        """Those who still wait and may be helped by a lease."""
        lacking, still = [], []
        for one in self._waiting:
            if one.future.cancelled():
                continue
            made = self._book(one.nano)
            if made is not None:
                if not _give(one, made):
                    self._undo(made)
                continue
            if self._overrun or not self._fits(one.nano, self._under_way):
                if self._overrun or not (one.patient and self._under_way and self._fits(one.nano, 0)):
                    _fail(one, self._over(one.nano, one.where))
                else:
                    still.append(one)
                continue
            still.append(one)
            if not 0 < one.short <= self._under_way:  # else a bill of this process is waited for
                lacking.append(one)
        self._waiting = still
        return lacking

    def _leased(self, future: Future[Leased], nano: int, asked_at: datetime) -> None:
        """The store's answer; in the thread that writes."""
        error = future.exception()
        if error is not None:
            self._refuse_all(error)
            return
        leased = future.result()
        with self._lock:
            assert self._shared is not None
            self._is_asking = False
            self._shared.take_in(leased, asked_at)
            if leased.refusal is not None:
                still = []
                for one in self._waiting:
                    if one.nano < nano or self._may_wait(one, leased):
                        still.append(one)
                self._waiting = still
        self._advance()

    def _may_wait(self, one: _Waiting, leased: Leased) -> bool:
        """True where it stays in line after a refusal; else it was told to come again, or that there is no room."""
        refusal = leased.refusal
        assert refusal is not None
        one.short = refusal.short_nano
        if one.patient and one.short <= self._under_way:
            return True
        now = time.monotonic()
        one.until = now + self.patience_seconds if one.until is None else one.until
        if one.patient and now < one.until and one.short <= self._under_way + refusal.others_nano:
            one.short = 0
            if one.future.set_running_or_notify_cancel():
                one.future.set_result(None)
        else:
            what, fix = refusal_text(leased, one.nano)
            _fail(one, ModelError("over_budget", what, where=one.where, fix=fix))
        return False

    def _told(self, future: Future[Any] | None, asked_at: datetime, is_held: bool) -> None:
        """The store knows what is kept."""
        with self._lock:
            assert self._shared is not None
            self._is_asking = False
            if future is not None and future.exception() is None and is_held:
                if future.result():
                    self._shared.renewed(asked_at)
                else:
                    self._shared.lapse()
        if future is not None and future.exception() is None:
            self._advance()

    def _refuse_all(self, error: BaseException) -> None:
        """The store failed: everybody who waits for a lease is told."""
        with self._lock:
            self._is_asking = False
            waiting, self._waiting = self._waiting, []
        for one in waiting:
            _fail(one, error)

    def _abandon(self, waiting: _Waiting) -> None:
        """The call was cancelled while it waited: money that it just got goes back."""
        with self._lock:
            self._waiting = [one for one in self._waiting if one is not waiting]
            future = waiting.future
            made = future.result() if future.done() and not future.cancelled() and not future.exception() else None
        if made is not None:
            self.settle(made, 0)

    def _undo(self, made: Reservation) -> None:
        self._under_way -= made.nano
        for account in made.accounts:
            account.settle(made.nano, 0)

    def _fits(self, nano: int, under_way: int) -> bool:
        return self.cap_nano is None or self._settled + self._kept + under_way + nano <= self.cap_nano

    def _over(self, nano: int, where: str) -> ModelError:
        if self._overrun:
            return ModelError("over_budget", f"the run stopped: {self._overrun}", where=where)
        left = max(0, (self.cap_nano or 0) - self._settled - self._kept - self._under_way)
        return ModelError(
            "over_budget",
            f"the call may cost ${nano / 1e9:.6f} and ${left / 1e9:.6f} of the cap is left",
            where=where,
            fix="raise max_usd (--max-usd) and run again; what is done is kept",
        )


def _give(one: _Waiting, made: Reservation) -> bool:
    """True where somebody still wants it."""
    if not one.future.set_running_or_notify_cancel():
        return False
    one.future.set_result(made)
    return True


def _fail(one: _Waiting, error: BaseException) -> None:
    if one.future.set_running_or_notify_cancel():
        one.future.set_exception(error)
