"""The cap of a sweep: it holds over all executions of the same inputs together, also over those of now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from weakref import WeakKeyDictionary

from llmclf.llm.budget import Budget
from llmclf.llm.caps import inputs_cap
from llmclf.llm.runtime import Runtime
from llmclf.sweeps.earlier import earlier_runs, spent_by

_BOOKED: WeakKeyDictionary[Budget, set[str]] = WeakKeyDictionary()
"""Runs whose spending a budget holds already: made through it, or charged to it. Lives as long as the budget."""


@contextmanager
def capped(runtime: Runtime, budget_usd: float | None, inputs_hash: str) -> Iterator[None]:
    """Holds the sweep's own cap, and the runtime's, for what runs inside.

    Both count what earlier executions of the same inputs spent; the sweep's own counts as well what
    other processes spend on them at the same time. It is lifted afterwards; what was spent stays
    booked on the runtime.
    """
    budget = runtime.budget
    booked = _BOOKED.setdefault(budget, set())
    runs = earlier_runs(runtime.store, inputs_hash)
    budget.charge(spent_by(runtime.store, [run_id for run_id in runs if run_id not in booked]))
    booked.update(runs)
    own = nullcontext() if budget_usd is None else budget.under(inputs_cap(inputs_hash, round(budget_usd * 1e9)))
    with own:
        yield


def book(runtime: Runtime, run_id: str) -> None:
    """Notes that a run spends through the runtime's budget, so that it is not charged to it again."""
    _BOOKED.setdefault(runtime.budget, set()).add(run_id)
