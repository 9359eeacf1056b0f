"""One cell as it was measured, and how it keeps to the limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llmclf.config import LimitsTable, SweepFile
from llmclf.evaluation import Evaluation, evaluate
from llmclf.llm.plans import STANDARD, Plan, break_even
from llmclf.sweeps.cells import Cell
from llmclf.sweeps.effort import Effort
from llmclf.types import Costs, Dataset, Estimate, Prediction, Predictions, Task, Usage

CellState = Literal["done", "incomplete", "waiting"]
DAYS_PER_MONTH = 30.4


@dataclass(frozen=True)
class MeasuredCell:
    """A cell with what was measured of it."""

    cell: Cell
    state: CellState
    """`done`: every item was asked. `incomplete`: the run stopped on the way. `waiting`: not begun."""
    items: int
    """Items of the sweep; `len(predictions)` of them were asked."""
    predictions: Predictions = field(default_factory=Predictions, repr=False, compare=False)
    """What it said of them. Once it is done, with the costs and seconds of its plan."""
    evaluation: Evaluation | None = field(default=None, repr=False)
    """None until the cell is done: a part of the items in some order is no sample of them."""
    beyond: tuple[str, ...] = ()
    """The limits it does not keep to, in words."""
    reused: bool = False
    """True where the predictions of an earlier run, or of a cell that differs in its plan alone, were used."""
    paid_nano: int | None = None
    """Nano-dollars its answers cost when they were bought, where another plan than that is shown."""
    even_at: int | None = None
    """Conversations a month from which on a provisioned plan is cheaper than paying for each token."""
    effort: Effort | None = field(default=None, compare=False)
    """What its thinking changed against the next lower setting; None where there is none to compare with."""

    @property
    def label(self) -> str:
        """The cell's short name."""
        return self.cell.label

    @property
    def simulated(self) -> bool:
        """True where nothing of it is real."""
        return self.cell.simulated

    @property
    def plan(self) -> str:
        """The name of the plan its tokens are paid by."""
        return STANDARD if self.cell.plan is None else self.cell.plan.name

    @property
    def name_without_plan(self) -> str:
        """The label of all cells that differ from this one in their plan alone."""
        return self.label.removesuffix(f" · plan {self.plan}")

    @property
    def no_op(self) -> bool | None:
        """True where its thinking setting was measured to do nothing, False where it does, None where nobody can tell.

        Against the next lower setting of the same cell; `effort` says why.
        """
        return None if self.effort is None else self.effort.no_op

    @property
    def usd(self) -> Estimate:
        """Dollars per 1,000 conversations at the assumed prevalence: models, reviews and errors."""
        if self.evaluation is None:
            return Estimate.unknown(f"{self.state}: {len(self.predictions)} of {self.items} items were asked")
        return self.evaluation.dollars_per_1000

    @property
    def recall(self) -> Estimate:
        """Share of the targets that were flagged; failed items count as missed."""
        if self.evaluation is None:
            return Estimate.unknown(self.usd.why_not)
        return self.evaluation.recall

    @property
    def p95_seconds(self) -> float | None:
        """95 of 100 items were answered within so many seconds; None where that is not known."""
        return None if self.evaluation is None else self.evaluation.latency_p95

    @property
    def failed(self) -> dict[str, int]:
        """Items without a label, counted by kind."""
        kinds: dict[str, int] = {}
        for error in self.predictions.column("error"):
            if error is not None:
                kinds[error.kind] = kinds.get(error.kind, 0) + 1
        return kinds

    @property
    def spent_usd(self) -> float:
        """Dollars its answers cost when they were bought, where that is known; simulated ones if it is."""
        if self.paid_nano is not None:
            return self.paid_nano / 1e9
        return _paid_nano(self.predictions) / 1e9

    def to_dict(self) -> dict[str, Any]:
        """The measured cell as JSON types; predictions are left out, they are in the store."""
        return {
            "cell_id": self.cell.cell_id,
            "label": self.label,
            "settings": dict(self.cell.settings),
            "simulated": self.simulated,
            "state": self.state,
            "items": self.items,
            "asked": len(self.predictions),
            "failed": self.failed,
            "beyond": list(self.beyond),
            "reused": self.reused,
            "plan": self.plan,
            "plan_note": "" if self.cell.plan is None else self.cell.plan.note,
            "cheaper_from_conversations_per_month": self.even_at,
            "no_op": self.no_op,
            "effort": None if self.effort is None else self.effort.to_dict(),
            "spent_usd": self.spent_usd,
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
        }


def measure_cell(
    cell: Cell, predictions: Predictions, dataset: Dataset, task: Task, file: SweepFile, *, reused: bool
) -> MeasuredCell:
    """A cell of which every item was asked, evaluated at the sweep's costs and held against its limits.

    `predictions` are as they were bought; their costs and seconds become those of the cell's plan.
    """
    costs, conversations = file.as_costs, max(1, len(dataset.conversations))
    plan = cell.plan
    paid, even_at = None, None
    if plan is not None and plan.name != STANDARD:
        paid = _paid_nano(predictions)
        predictions = Predictions(_under(plan, prediction) for prediction in predictions)
        usage = _usage_per_conversation(predictions, conversations)
        even_at = None if usage is None else break_even(plan, plan.standard, usage)
    evaluation = evaluate(predictions, dataset, task, costs=costs, seed=file.seed)
    beyond = limits_broken(evaluation, file.limits, costs, len(dataset) / conversations)
    return MeasuredCell(
        cell, "done", len(dataset), predictions, evaluation, tuple(beyond), reused, paid_nano=paid, even_at=even_at
    )


def _under(plan: Plan, prediction: Prediction) -> Prediction:
    """The prediction as if it had been bought under another plan."""
    cost = plan.cost(prediction.usage, calls=prediction.calls)
    if prediction.cost_nano_usd == 0 and prediction.failed and prediction.usage == Usage():
        cost = 0  # nothing came of it, and nothing was charged
    return replace(prediction, cost_nano_usd=cost, latency_seconds=plan.seconds(prediction.latency_seconds))


def _usage_per_conversation(predictions: Predictions, conversations: int) -> Usage | None:
    """Mean tokens of one conversation; None where the counts of an answer are not known."""
    rows = zip(predictions.column("usage"), predictions.column("error"), strict=True)
    counted = [usage for usage, error in rows if error is None or usage != Usage()]
    if any(usage.input_tokens is None or usage.output_tokens is None for usage in counted):
        return None
    names = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    return Usage(*(round(sum(getattr(usage, name) or 0 for usage in counted) / conversations) for name in names))


def _paid_nano(predictions: Predictions) -> int:
    return sum(cost or 0 for cost in predictions.column("cost_nano_usd"))


def limits_broken(
    evaluation: Evaluation, limits: LimitsTable, costs: Costs, items_per_conversation: float
) -> list[str]:
    """The limits a cell does not keep to, in words; one that can't be checked is said to be so."""
    broken = []
    p95, cost = evaluation.latency_p95, evaluation.cost_per_item_usd
    if limits.p95_seconds is not None and (p95 is None or p95 > limits.p95_seconds):
        broken.append(f"p95 {_or_unknown(p95, '.1f')} s is over {limits.p95_seconds:g} s")
    if limits.usd_per_conversation is not None:
        usd = None if cost is None else cost * items_per_conversation
        if usd is None or usd > limits.usd_per_conversation:
            broken.append(f"${_or_unknown(usd, '.4f')} a conversation is over ${limits.usd_per_conversation:g}")
    if limits.flags_per_day is not None:
        flags = flags_per_day(evaluation, costs, items_per_conversation)
        if flags is None or flags > limits.flags_per_day:
            broken.append(f"{_or_unknown(flags, '.0f')} flags a day are over {limits.flags_per_day:g}")
    return broken


def flags_per_day(evaluation: Evaluation, costs: Costs, items_per_conversation: float) -> float | None:
    """Flags a reviewer sees in a day at the assumed prevalence and volume; None where that is not known."""
    recall, specificity = evaluation.recall.value, evaluation.specificity.value
    if recall is None or specificity is None or costs.conversations_per_month is None:
        return None
    rate = costs.prevalence * recall + (1 - costs.prevalence) * (1 - specificity)
    return rate * items_per_conversation * costs.conversations_per_month / DAYS_PER_MONTH


def _or_unknown(value: float | None, spec: str) -> str:
    return "unknown" if value is None else format(value, spec)
