"""The cap of a sweep: it holds over all executions of the same inputs together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from llmclf.llm.budget import Budget
from llmclf.llm.runtime import Runtime
from llmclf.sweeps.earlier import earlier_runs, spent_by

_BOOKED: WeakKeyDictionary[Budget, set[str]] = WeakKeyDictionary()
"""Runs whose spending a budget holds already: made through it, or charged to it. Lives as long as the budget."""


@contextmanager
def capped(runtime: Runtime, budget_usd: float | None, inputs_hash: str) -> Iterator[None]:
    """Holds the sweep's own cap, and the runtime's, for what runs inside.

    Both count what earlier executions of the same inputs spent. `budget_usd` is lifted afterwards;
    what was spent stays booked on the runtime. A cap by the month counts the store's earlier
    spending by itself, so nothing is charged to it twice.
    """
    budget = runtime.budget
    booked = _BOOKED.setdefault(budget, set())
    runs = earlier_runs(runtime.store, inputs_hash)
    spent = spent_by(runtime.store, runs)
    if runtime.rules.usd_per_month is None:
        budget.charge(spent_by(runtime.store, [run_id for run_id in runs if run_id not in booked]))
    booked.update(runs)
    before = budget.cap_nano
    if budget_usd is not None:
        own = budget.spent_nano + budget.reserved_nano + round(budget_usd * 1e9) - spent
        budget.cap_nano = own if before is None else min(own, before)
    try:
        yield
    finally:
        budget.cap_nano = before


def book(runtime: Runtime, run_id: str) -> None:
    """Notes that a run spends through the runtime's budget, so that it is not charged to it again."""
    _BOOKED.setdefault(runtime.budget, set()).add(run_id)
