"""Caps that the processes of one store share, as one process sees them: what it was granted, and used of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from llmclf.store import Store
from llmclf.store.leases import ALIVE_SECONDS, Cap, Leased, Wanted

Period = Literal["month", "day", "hour"]
Clock = Callable[[], datetime]

INPUTS_CAPS = {
    "sweep": "budget_usd of the sweep",
    "optimize": "budget.task_usd of the optimization",
    "reflection": "budget.reflection_usd of the optimization",
}
"""Kinds of caps over all executions of the same inputs, as people set them."""
BEAT_SECONDS = 10.0
"""How often an owner that holds room says that it lives."""
_SURE_SECONDS = ALIVE_SECONDS - 5.0  # room is not used any more when it was last renewed so long ago
_KEPT_SECONDS = 60.0  # a window that ended keeps its leases for so long: somebody may just be asking under it


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def window_caps(limits: Mapping[Period, int], now: datetime) -> tuple[Cap, ...]:
    """The caps of the calendar month, day and hour (UTC) that `now` is in; `limits` in nano-dollars.

    >>> [cap.scope for cap in window_caps({"day": 5, "hour": 1}, datetime(2026, 11, 22, 10, 30, tzinfo=UTC))]
    ['day:2026-11-22', 'hour:2026-11-22T10']
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    month = day.replace(day=1)
    windows: dict[Period, tuple[str, datetime, datetime]] = {
        "month": (f"month:{month:%Y-%m}", month, (month + timedelta(days=32)).replace(day=1)),
        "day": (f"day:{day:%Y-%m-%d}", day, day + timedelta(days=1)),
        "hour": (f"hour:{hour:%Y-%m-%dT%H}", hour, hour + timedelta(hours=1)),
    }
    return tuple(
        Cap(scope, limits[period], since, until)
        for period, (scope, since, until) in windows.items()
        if period in limits
    )


def inputs_cap(inputs_hash: str, cap_nano: int, kind: str = "sweep") -> Cap:
    """The cap of a sweep, or of another kind in `INPUTS_CAPS`: over all executions of the same inputs."""
    return Cap(f"{kind}:{inputs_hash}", cap_nano, inputs_hash=inputs_hash)


@dataclass(slots=True, eq=False)
class Account:
    """What this process holds under one cap, in nano-dollars."""

    cap: Cap
    granted: int = 0
    under_way: int = 0
    gone: int = 0
    """Bills, and reservations of unknown outcome."""
    peak: int = 0
    """The most that was under way at once since it was last looked at."""

    @property
    def used(self) -> int:
        """Gone or under way."""
        return self.gone + self.under_way

    def fits(self, nano: int) -> bool:
        """True where so much more is within the grant."""
        return self.gone + self.under_way + nano <= self.granted

    def book(self, nano: int) -> None:
        """Sets so much aside."""
        self.under_way += nano
        self.peak = max(self.peak, self.under_way)

    def settle(self, reserved_nano: int, gone_nano: int) -> None:
        """Replaces what was set aside by what is gone."""
        self.under_way -= reserved_nano
        self.gone += gone_nano


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for one call."""

    nano: int
    moment: datetime
    """When it was set aside: the call counts in the month, day and hour of this moment, so it must be its `sent_at`."""
    accounts: tuple[Account, ...] = ()
    epoch: int = 0
    """Which of the lives of the process's leases it belongs to."""


class SharedCaps:
    """The caps of one store, for one owner. Not thread-safe: its Budget calls it under a lock.

    `owner` must be the `owner` of every call that is paid from here. `limits` are nano-dollars by
    calendar period. The clock is looked at for each reservation, so that windows roll by themselves.
    """

    def __init__(
        self, store: Store, owner: str, limits: Mapping[Period, int] | None = None, *, clock: Clock = utc_now
    ) -> None:
        self.store = store
        self.owner = owner
        self.limits = dict(limits or {})
        self.clock = clock
        self.epoch = 0
        self.is_held = False
        """True where the store has leases of this owner."""
        self._extra: list[Cap] = []
        self._accounts: dict[str, Account] = {}
        self._active: tuple[Account, ...] = ()
        self._from = self._until = datetime.max.replace(tzinfo=UTC)
        self._renewed = datetime.min.replace(tzinfo=UTC)

    def anew(self, owner: str) -> SharedCaps:
        """The same caps for another owner, who holds nothing yet."""
        made = SharedCaps(self.store, owner, self.limits, clock=self.clock)
        made._extra = list(self._extra)
        made.epoch = self.epoch + 1
        return made

    @property
    def holds(self) -> bool:
        """True where any cap is to be kept."""
        return bool(self.limits or self._extra)

    def add(self, cap: Cap) -> None:
        """One more cap, such as a sweep's."""
        self._extra.append(cap)
        self._until = self._from

    def remove(self, cap: Cap) -> None:
        """Lifts a cap that was added."""
        self._extra.remove(cap)
        self._until = self._from

    def caps(self, now: datetime) -> tuple[Cap, ...]:
        """The caps that hold now; of several with one scope the smallest."""
        found: dict[str, Cap] = {}
        for cap in (*window_caps(self.limits, now), *self._extra):
            if cap.scope not in found or cap.cap_nano < found[cap.scope].cap_nano:
                found[cap.scope] = cap
        return tuple(found.values())

    def active(self, now: datetime) -> tuple[Account, ...]:
        """The accounts of the caps that hold now."""
        if not self._from <= now < self._until:
            self._roll(now)
        return self._active

    def fits(self, nano: int, now: datetime) -> bool:
        """True where so much is within what was granted, and that is surely still granted."""
        accounts = self.active(now)
        return self.is_sure(now) and all(account.fits(nano) for account in accounts)

    def is_sure(self, now: datetime) -> bool:
        """True where nobody can have taken back what was granted."""
        return not self._active or now - self._renewed < timedelta(seconds=_SURE_SECONDS)

    def book(self, nano: int, now: datetime) -> Reservation:
        """Sets money aside under every cap."""
        accounts = self.active(now)
        for account in accounts:
            account.book(nano)
        return Reservation(nano, now, accounts, self.epoch)

    def is_covered(self, reservation: Reservation) -> bool:
        """True where its room can't have been given to another process since it was set aside."""
        if not reservation.accounts:
            return True
        sure = self.clock() - self._renewed < timedelta(seconds=ALIVE_SECONDS)
        return sure and reservation.epoch == self.epoch

    # --- leases -----------------------------------------------------------------------------

    def wanted(self, nano: int, waiting_nano: int, now: datetime) -> list[Wanted]:
        """What to ask for so that `nano` fits, with `waiting_nano` of others that wait as well."""
        short = [account for account in self.active(now) if not (self.is_sure(now) and account.fits(nano))]
        return [
            Wanted(
                account.cap,
                account.used,
                nano,
                nano + waiting_nano + account.under_way // 2,
            )
            for account in short
        ]

    def take_in(self, leased: Leased, asked_at: datetime) -> None:
        """Notes what was granted."""
        if leased.lapsed and self.is_held:
            self.lapse()
        self.is_held = True
        self._renewed = asked_at
        for grant in leased.grants:
            account = self._accounts.get(grant.scope)
            if account is not None:
                account.granted = grant.granted_nano
                account.gone += grant.more_used_nano

    def lapse(self) -> None:
        """All that was granted was taken back: the process was not seen for too long."""
        self.epoch += 1
        self.is_held = False
        for account in self._accounts.values():
            account.granted = 0

    def trimmed(self, now: datetime) -> dict[str, int] | None:
        """Gives up what was not needed lately; scope to what is kept, empty where nothing is, None where all stays.

        What is kept is room for as much at once as was under way at most since the last time.
        """
        active = self.active(now)
        given_up = self._forget_old(now)
        for account in active:
            keep = account.gone + max(account.peak, account.under_way)
            given_up = given_up or keep < account.granted
            account.granted = min(account.granted, keep)
            account.peak = account.under_way
        is_idle = all(account.used >= account.granted and not account.under_way for account in self._accounts.values())
        if is_idle:
            return {}
        if given_up or now - self._renewed >= timedelta(seconds=BEAT_SECONDS):
            return {account.cap.scope: account.granted for account in self._accounts.values()}
        return None

    def released(self) -> None:
        """Notes that nothing is held any more."""
        self.is_held = False
        for account in self._accounts.values():
            account.granted = 0

    def renewed(self, asked_at: datetime) -> None:
        """Notes that the store knows of this owner since then."""
        self._renewed = asked_at

    def _roll(self, now: datetime) -> None:
        caps = self.caps(now)
        self._from = max((cap.since for cap in caps if cap.since), default=datetime.min.replace(tzinfo=UTC))
        self._until = min((cap.until for cap in caps if cap.until), default=datetime.max.replace(tzinfo=UTC))
        active = []
        for cap in caps:
            account = self._accounts.setdefault(cap.scope, Account(cap))
            account.cap = cap
            active.append(account)
        self._active = tuple(active)

    def _forget_old(self, now: datetime) -> bool:
        """Drops accounts of caps that were lifted, and of windows that ended a while ago; True where it did."""
        latest = now - timedelta(seconds=_KEPT_SECONDS)
        old = [
            account.cap.scope
            for account in self._accounts.values()
            if account not in self._active
            and (account.cap.until is None or account.cap.until < latest)
            and not account.under_way
        ]
        for scope in old:
            del self._accounts[scope]
        return bool(old)


def refusal_text(leased: Leased, nano: int) -> tuple[str, str]:
    """(what is wrong, what to do) where a shared cap has no room."""
    refusal = leased.refusal
    assert refusal is not None
    name, _, window = refusal.cap.scope.partition(":")
    total, left = refusal.cap.cap_nano / 1e9, refusal.left_nano / 1e9
    own = INPUTS_CAPS.get(name, "")
    cap = own or f"usd_per_{name} ({window})"
    fix = "raise it and run again; what is done is kept" if own else f"wait for the next {name}, or raise it"
    return f"the call may cost ${nano / 1e9:.6f} and ${left:.6f} of the ${total:g} {cap} is left", fix
