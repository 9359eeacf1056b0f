"""One cell as it was measured, and how it keeps to the limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from llmclf.config import LimitsTable, SweepFile
from llmclf.evaluation import Evaluation, evaluate
from llmclf.sweeps.cells import Cell
from llmclf.types import Costs, Dataset, Estimate, Predictions, Task

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
    evaluation: Evaluation | None = field(default=None, repr=False)
    """None until the cell is done: a part of the items in some order is no sample of them."""
    beyond: tuple[str, ...] = ()
    """The limits it does not keep to, in words."""
    reused: bool = False
    """True where an earlier run's predictions of the same items were used."""

    @property
    def label(self) -> str:
        """The cell's short name."""
        return self.cell.label

    @property
    def simulated(self) -> bool:
        """True where nothing of it is real."""
        return self.cell.simulated

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
        return sum(cost or 0 for cost in self.predictions.column("cost_nano_usd")) / 1e9

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
            "spent_usd": self.spent_usd,
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
        }


def measure_cell(
    cell: Cell, predictions: Predictions, dataset: Dataset, task: Task, file: SweepFile, *, reused: bool
) -> MeasuredCell:
    """A cell of which every item was asked, evaluated at the sweep's costs and held against its limits."""
    costs = file.as_costs
    evaluation = evaluate(predictions, dataset, task, costs=costs, seed=file.seed)
    per_conversation = len(dataset) / max(1, len(dataset.conversations))
    beyond = limits_broken(evaluation, file.limits, costs, per_conversation)
    return MeasuredCell(cell, "done", len(dataset), predictions, evaluation, tuple(beyond), reused)


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
