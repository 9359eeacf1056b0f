"""A stored run, priced again from the raw token counts of its calls: at today's prices, or under a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmclf.config import load_plans
from llmclf.errors import ConfigError, LlmclfError, nearest
from llmclf.llm.plans import BATCH, STANDARD, Plan, plan_of
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import Shown, TableText, counted, usd_text
from llmclf.store import Store
from llmclf.types import USAGE_COUNTS, Usage

# A recording stands in the request as a part of this type; where the words were forgotten nobody can tell.
_AUDIO = "coalesce(instr(request, '\"input_audio\"') > 0, 0) AS audio_sent"
_OWN = f"""
SELECT model, simulated, 0 AS reused, 1 AS calls, state = 'failed' AS failed, cost_nano, {", ".join(USAGE_COUNTS)},
       {_AUDIO}
FROM calls LEFT JOIN call_texts USING (call_id) WHERE run_id = ?
"""  # noqa: S608
# The counts of a prediction are those of all its calls; the first of them tells the model.
_REUSED = f"""
SELECT calls.model AS model, found.simulated AS simulated, 1 AS reused, max(found.calls, 1) AS calls,
       found.label IS NULL AS failed, found.cost_nano AS cost_nano,
       {", ".join(f"found.{name} AS {name}" for name in USAGE_COUNTS)}, {_AUDIO}
FROM predictions AS found LEFT JOIN calls ON calls.call_id = found.call_id
     LEFT JOIN call_texts ON call_texts.call_id = found.call_id
WHERE found.run_id = ? AND found.cached AND found.call_id <> '' AND coalesce(calls.run_id, '') <> ?
GROUP BY found.call_id
"""  # noqa: S608


@dataclass(slots=True)
class ModelBill:
    """What one model's calls of a run cost when they were made, and would cost now."""

    model: str
    simulated: bool
    note: str
    """Where today's price comes from, or why there is none."""
    calls: int = 0
    reused: int = 0
    """Of those, calls of earlier runs whose answers were used: this run paid nothing for them."""
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(USAGE_COUNTS, 0))
    """Known counts, added up."""
    then_nano: int = 0
    then_unknown: int = 0
    """Calls whose cost was not known."""
    now_nano: int = 0
    now_unknown: int = 0
    """Calls whose cost can't be known now: no price, or no counts."""

    def add(self, row: dict[str, Any], plan: Plan | None) -> None:
        """One more call, or the calls behind one reused prediction."""
        usage = Usage(*(row[name] for name in USAGE_COUNTS))
        self.calls += row["calls"]
        self.reused += row["calls"] if row["reused"] else 0
        for name in USAGE_COUNTS:
            self.tokens[name] += row[name] or 0
        then = row["cost_nano"]
        now = None if plan is None else plan.cost(usage, calls=row["calls"], audio_sent=bool(row["audio_sent"]))
        if row["failed"] and then == 0 and usage == Usage():
            now = 0  # nothing came back, and nothing was charged
        self.then_nano += then or 0
        self.then_unknown += row["calls"] if then is None else 0
        self.now_nano += now or 0
        self.now_unknown += row["calls"] if now is None else 0

    def to_dict(self) -> dict[str, Any]:
        """The bill as JSON types, in dollars."""
        return {
            "model": self.model,
            "simulated": self.simulated,
            "note": self.note,
            "calls": self.calls,
            "reused": self.reused,
            **self.tokens,
            "then_usd": self.then_nano / 1e9,
            "then_unknown": self.then_unknown,
            "now_usd": self.now_nano / 1e9,
            "now_unknown": self.now_unknown,
        }


@dataclass(frozen=True)
class Repriced(Shown):
    """A run's calls by model, then and now. Simulated models have bills of their own and are in no sum."""

    run_id: str
    kind: str
    plan: str
    bills: tuple[ModelBill, ...]
    lost: int = 0
    """Answers that were used and whose calls are no longer in the store: they are in no bill."""

    @property
    def real(self) -> tuple[ModelBill, ...]:
        """Bills of real models."""
        return tuple(bill for bill in self.bills if not bill.simulated)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types; `real` is the sum over real models."""
        return {
            "run_id": self.run_id,
            "kind": self.kind,
            "plan": self.plan,
            "real": {
                "calls": sum(bill.calls for bill in self.real),
                "then_usd": sum(bill.then_nano for bill in self.real) / 1e9,
                "then_unknown": sum(bill.then_unknown for bill in self.real),
                "now_usd": sum(bill.now_nano for bill in self.real) / 1e9,
                "now_unknown": sum(bill.now_unknown for bill in self.real),
            },
            "lost": self.lost,
            "models": [bill.to_dict() for bill in self.bills],
        }

    def _table(self) -> TableText:
        return _table(self)


def reprice(run_id: str, runtime: Runtime, plan: str = STANDARD) -> Repriced:
    """The calls of a run, and those of earlier runs whose answers it used, at today's prices under `plan`.

    From the counts as the vendors reported them; nothing is sent or written, and no key is needed. An
    answer that came from several calls, some of them earlier ones, counts by those of this run alone.
    Raises ConfigError for a run that is not there and a plan that nobody knows; a model that the plan
    does not serve has an unknown cost.
    """
    store, plans = runtime.store, load_plans(runtime.workspace)
    found = store.query("SELECT kind FROM runs WHERE run_id = ?", [run_id])
    if not found:
        raise ConfigError("there is no such run", got=run_id, fix="llmclf runs list")
    if plan not in (there_is := [STANDARD, BATCH, *plans]):
        raise ConfigError(f"there is no plan {plan!r} (there is {', '.join(there_is)})", fix=nearest(plan, there_is))
    bills: dict[tuple[str, bool], ModelBill] = {}
    made: dict[str, tuple[Plan | None, str]] = {}
    lost = 0
    for row in _rows(store, run_id):
        if row["model"] is None:
            lost += 1
            continue
        model, simulated = str(row["model"]), bool(row["simulated"])
        if model not in made:
            made[model] = _plan_now(model, runtime, plan, plans)
        now, note = made[model]
        bills.setdefault((model, simulated), ModelBill(model, simulated, note)).add(row, now)
    ordered = sorted(bills.values(), key=lambda bill: (bill.simulated, -bill.now_nano, bill.model))
    return Repriced(run_id, str(found[0]["kind"]), plan, tuple(ordered), lost)


def _rows(store: Store, run_id: str) -> Iterator[dict[str, Any]]:
    yield from store.query(_OWN, [run_id])
    yield from store.query(_REUSED, [run_id, run_id])


def _plan_now(model: str, runtime: Runtime, name: str, plans: Any) -> tuple[Plan | None, str]:
    """(today's plan of a model, where its price comes from or why there is none)."""
    try:
        made = plan_of(name, model, plans, runtime.route(model).price())
    except LlmclfError as error:
        return None, str(error).splitlines()[0]
    return made, made.note


def _table(made: Repriced) -> TableText:
    rows = [
        (
            bill.model + ("\nSIMULATED" if bill.simulated else ""),
            f"{bill.calls:,}" + (f"\n{bill.reused:,} reused" if bill.reused else ""),
            "\n".join(_token_lines(bill)),
            _usd(bill.then_nano, bill.then_unknown),
            _usd(bill.now_nano, bill.now_unknown),
        )
        for bill in made.bills
    ]
    real = made.to_dict()["real"]
    unknown = f", and {counted(real['now_unknown'], 'call')} of unknown cost" if real["now_unknown"] else ""
    notes = [f"Real models: {usd_text(real['then_usd'])} then, {usd_text(real['now_usd'])} now{unknown}."]
    notes += [f"{bill.model}: {bill.note}." for bill in made.bills]
    if any(bill.reused for bill in made.bills):
        notes.append("Reused: answers that an earlier run had bought; this run paid nothing for them.")
    if made.lost:
        notes.append(f"{made.lost:,} answers came from calls that are no longer in the store; they are left out.")
    title = f"Run {made.run_id} ({made.kind}), then and now under plan {made.plan}"
    return TableText(title, ("model", "calls", "tokens", "then", "now"), tuple(rows), tuple(notes), (), (1, 2, 3, 4))


def _token_lines(bill: ModelBill) -> Iterable[str]:
    for name in ("input", "cached", "audio", "output", "reasoning"):
        count = bill.tokens[f"{name}_tokens"]
        if count or name in ("input", "output"):
            yield f"{count:,} {name}"


def _usd(nano: int, unknown: int) -> str:
    return usd_text(nano / 1e9) + (f"\n{unknown:,} unknown" if unknown else "")
