"""The money of one optimization: what its runs may spend, what is set aside, and what the test needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from llmclf.config import OptimizationFile
from llmclf.llm.caps import inputs_cap
from llmclf.llm.runtime import Runtime
from llmclf.optimization.book import Book
from llmclf.optimization.result import Spend
from llmclf.store import Store
from llmclf.sweeps.earlier import earlier_runs, spent_earlier
from llmclf.sweeps.money import book as book_run, charge_earlier
from llmclf.types.hashing import content_hash

TASK, REFLECTION = "optimize", "reflection"
"""Kinds of the two runs of an optimization: each has a budget of its own."""
_SPARE = 1.5  # times the dearest item so far, for the test: its items may be longer


def spend_of(store: Store, file: OptimizationFile, inputs_hash: str, before: Mapping[str, float]) -> dict[str, Spend]:
    """Budget (`task`, and `reflection` where there is such a model) to what all executions spent of it.

    `before` says what of it was spent before this one.
    """
    kinds = {"task": (inputs_hash, TASK, file.budget.task_usd)}
    if file.reflection is not None:
        kinds["reflection"] = reflection_hash(inputs_hash), REFLECTION, file.budget.reflection_usd
    made = {}
    for name, (digest, kind, budget_usd) in kinds.items():
        runs = earlier_runs(store, digest, kind)
        found = store.spent_nano(run_ids=runs) if runs else None
        open_usd = found.reserved_unsettled / 1e9 if found else 0.0
        usd = found.settled / 1e9 + open_usd if found else 0.0
        made[name] = Spend(usd, budget_usd, before.get(name, 0.0), open_usd)
    return made


def reflection_hash(inputs_hash: str) -> str:
    """The inputs hash of the reflection run of an optimization."""
    return content_hash([REFLECTION, inputs_hash])


def left_of(file: OptimizationFile, inputs_hash: str, runtime: Runtime) -> tuple[int, int]:
    """Nano-dollars that are left of (task_usd, reflection_usd) after all executions so far."""
    task = round(file.budget.task_usd * 1e9) - spent_earlier(runtime.store, inputs_hash, TASK)
    reflected = spent_earlier(runtime.store, reflection_hash(inputs_hash), REFLECTION)
    return max(0, task), max(0, round(file.budget.reflection_usd * 1e9) - reflected)


@contextmanager
def money_of(file: OptimizationFile, inputs_hash: str, runtime: Runtime) -> Iterator[Runtime | None]:
    """Holds both budgets for what runs inside, and yields the runtime of the reflection model, if there is one.

    Both count what all executions of the same inputs spent. What reflection may cost is set aside from the runtime's
    own cap first, and what it did not need is given back in the end, so the two together never pass it. Where that cap
    has not room for both, each gets its share of what there is.
    """
    budget, other = runtime.budget, reflection_hash(inputs_hash)
    charge_earlier(runtime, inputs_hash, TASK)
    charge_earlier(runtime, other, REFLECTION)
    task_nano, reflection_nano = left_of(file, inputs_hash, runtime)
    with ExitStack() as stack:
        stack.enter_context(budget.under(inputs_cap(inputs_hash, round(file.budget.task_usd * 1e9), TASK)))
        if file.reflection is None:
            yield None
            return
        max_usd = None  # its budget is the cap, and is what is said to be reached
        if budget.cap_nano is not None:
            room = max(0, budget.cap_nano - budget.spent_nano - budget.reserved_nano)
            if room < task_nano + reflection_nano:
                reflection_nano = room * reflection_nano // (task_nano + reflection_nano)
                max_usd = reflection_nano / 1e9
        second = stack.enter_context(
            Runtime(
                runtime.store,
                max_usd=max_usd,
                workspace=runtime.workspace,
                cache=runtime.cache,
                concurrency=runtime.concurrency,
            )
        )
        own = inputs_cap(other, round(file.budget.reflection_usd * 1e9), REFLECTION)
        stack.enter_context(second.budget.under(own))
        budget.charge(reflection_nano)
        try:
            yield second
        finally:
            used = second.budget.spent_nano + second.budget.reserved_nano
            budget.charge(used - reflection_nano)
            for run_id in earlier_runs(runtime.store, other, REFLECTION):
                book_run(runtime, run_id)


class Kept:
    """Money of the task budget that the search may not touch: the test of the best candidate has to be paid.

    It grows with what the dearest candidate takes. What is in the store already costs nothing and is not kept from
    the search, so a run that is repeated ends its search where the one before did.
    """

    def __init__(self, file: OptimizationFile, inputs_hash: str, runtime: Runtime) -> None:
        self.runtime = runtime
        self.inputs_hash = inputs_hash
        self.task_nano = round(file.budget.task_usd * 1e9)
        self.nano = 0
        self._seen = -1
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def keep(self, nano: int) -> None:
        """Keeps so much instead of what was kept before; 0 gives all back."""
        self._stack.close()
        self.runtime.budget.charge(nano - self.nano)
        self.nano = nano
        if nano:
            cap = inputs_cap(self.inputs_hash, max(0, self.task_nano - nano), TASK)
            self._stack.enter_context(self.runtime.budget.under(cap))

    def follow(self, book: Book) -> str:
        """For `Book.limit`: keeps what the test takes by what is known now; never a reason to stop by itself."""
        with self._lock:
            tried = book.tried
            if (count := len(tried)) != self._seen or not book.asked % 16:
                self._seen = count
                need = self._needed(book)
                if need > self.nano:
                    self.keep(need)
        return ""

    def _needed(self, book: Book) -> int:
        """Nano-dollars for the test of the dearest candidate, and one call's worst case."""
        means = [0.0]
        for one in book.tried:
            known = [each.cost_usd or 0.0 for each in list(one.answered.values())]
            means.append(sum(known) / len(known) if known else 0.0)
        runs = earlier_runs(self.runtime.store, self.inputs_hash, TASK)
        marks = ", ".join("?" * len(runs))
        rows = self.runtime.store.query(f"SELECT MAX(reserved_nano) AS most FROM calls WHERE run_id IN ({marks})", runs)  # noqa: S608 - marks alone
        worst = int(rows[0]["most"] or 0) if max(means) else 0
        return round(max(means) * 1e9 * _SPARE * len(book.parts.test)) + worst
