"""Caps as a sweep or a run meets them: the sweep's own, which are there and how much is left, which ended it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import NamedTuple
from weakref import WeakKeyDictionary

from llmclf.llm.budget import Budget
from llmclf.llm.caps import INPUTS_CAPS, Period, inputs_cap, window_caps
from llmclf.llm.runtime import Runtime
from llmclf.sweeps.earlier import KIND, earlier_runs, spent_by
from llmclf.types import ErrorInfo

_BOOKED: WeakKeyDictionary[Budget, set[str]] = WeakKeyDictionary()
"""Runs whose spending a budget holds already: made through it, or charged to it. Lives as long as the budget."""
_PERIOD = re.compile(r"\busd_per_(hour|day|month)\b")


class CapLeft(NamedTuple):
    """A cap that holds, and what is left of it."""

    name: str
    """As it is set: `max_usd`, `budget_usd`, `usd_per_hour`, `usd_per_day` or `usd_per_month`."""
    usd: float
    left_usd: float


@contextmanager
def capped(runtime: Runtime, budget_usd: float | None, inputs_hash: str) -> Iterator[None]:
    """Holds the sweep's own cap, and the runtime's, for what runs inside.

    Both count what earlier executions of the same inputs spent; the sweep's own counts as well what
    other processes spend on them at the same time. It is lifted afterwards; what was spent stays
    booked on the runtime.
    """
    charge_earlier(runtime, inputs_hash, KIND)
    cap = None if budget_usd is None else inputs_cap(inputs_hash, round(budget_usd * 1e9))
    with nullcontext() if cap is None else runtime.budget.under(cap):
        yield


def charge_earlier(runtime: Runtime, inputs_hash: str, kind: str) -> None:
    """Books on the runtime's budget what earlier executions of the same inputs spent, once."""
    budget = runtime.budget
    booked = _BOOKED.setdefault(budget, set())
    runs = earlier_runs(runtime.store, inputs_hash, kind)
    budget.charge(spent_by(runtime.store, [run_id for run_id in runs if run_id not in booked]))
    booked.update(runs)


def book(runtime: Runtime, run_id: str) -> None:
    """Notes that a run spends through the runtime's budget, so that it is not charged to it again."""
    _BOOKED.setdefault(runtime.budget, set()).add(run_id)


def caps_left(runtime: Runtime, inputs_hash: str = "", budget_usd: float | None = None) -> tuple[CapLeft, ...]:
    """Every cap that would hold, the one with least left first; for a sweep with its inputs and its own cap."""
    found, budget, rules = [], runtime.budget, runtime.rules
    earlier = earlier_runs(runtime.store, inputs_hash) if inputs_hash else []
    if budget.cap_nano is not None:
        new = [run_id for run_id in earlier if run_id not in _BOOKED.get(budget, set())]
        gone = budget.spent_nano + budget.reserved_nano + spent_by(runtime.store, new)
        found.append(_left("max_usd", budget.cap_nano, budget.cap_nano - gone))
    if budget_usd is not None:
        own = round(budget_usd * 1e9)
        found.append(_left("budget_usd", own, own - spent_by(runtime.store, earlier)))
    periods: dict[Period, float | None] = {
        "hour": rules.usd_per_hour,
        "day": rules.usd_per_day,
        "month": rules.usd_per_month,
    }
    now = datetime.now(UTC)
    caps = window_caps({name: round(usd * 1e9) for name, usd in periods.items() if usd is not None}, now)
    left = runtime.store.left_nano(runtime.owner, caps, now) if caps else {}
    found += [_left(f"usd_per_{cap.scope.partition(':')[0]}", cap.cap_nano, left[cap.scope]) for cap in caps]
    return tuple(sorted(found, key=lambda cap: cap.left_usd))


def cap_reached(errors: Iterable[ErrorInfo | None]) -> str:
    """Which cap the first `over_budget` among the errors of items is about, and what to do; empty without one."""
    first = next((error.message for error in errors if error is not None and error.kind == "over_budget"), None)
    if first is None:
        return ""
    period = _PERIOD.search(first)
    if period is not None:
        return f"{period[0]} of llmclf.toml was reached; wait for the next {period[1]} or raise it, and run again"
    own = next((name for name in INPUTS_CAPS.values() if name in first), "")
    if own:
        return f"{own} was reached; raise it and run again"
    if " of the cap is left" in first:
        return "max_usd (--max-usd) was reached; raise it and run again"
    return first  # no cap's end: a bill above its worst case, or a process that stood still


def _left(name: str, cap_nano: int, left_nano: int) -> CapLeft:
    return CapLeft(name, cap_nano / 1e9, max(0, left_nano) / 1e9)
