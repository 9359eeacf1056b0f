"""One cell as it was measured, and how it keeps to the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from llmclf.config import LimitsTable, LlmFile, SweepFile
from llmclf.evaluation import Evaluation, evaluate
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.evaluation.volume import items_per_conversation
from llmclf.llm.plans import STANDARD, Plan, break_even
from llmclf.render.tables import seconds_text, usd_text
from llmclf.sweeps.cells import Cell
from llmclf.sweeps.effort import Effort
from llmclf.sweeps.parts import Parts, parts_of
from llmclf.types import USAGE_COUNTS, Dataset, Estimate, Prediction, Predictions, Task, Usage
from llmclf.types.costs import DAYS_PER_MONTH

CellState = Literal["done", "dropped", "failed", "incomplete", "waiting"]
_HOURS_FROM = 7200.0
_NEVER_ASKED = "over_budget"
"""The kind of error of items that the cap kept from being asked."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a race stopped asking a cell."""

    after_items: int
    """Items it was asked about."""
    round: int
    """The round after which it was dropped, from 1."""
    by: str
    """Label of the cell that beats it."""
    extra_usd_low: float | None
    """Dollars per 1,000 conversations that it costs more at least, at the race's risk; None if it was not dollars."""
    why: str
    """The same in words."""


@dataclass(frozen=True)
class MeasuredCell:
    """A cell with what was measured of it."""

    cell: Cell
    state: CellState
    """`done`: every item was asked. `failed`: every item was asked and none was answered, so there is no figure.
    `dropped`: a race stopped asking it, so that there is no figure of all items. `incomplete`: the run stopped on
    the way. `waiting`: not begun."""
    items: int
    """Items of the sweep; `asked` of them were asked."""
    predictions: Predictions = field(default_factory=Predictions, repr=False, compare=False)
    """What it said of them. Once it is done, with the costs and seconds of its plan."""
    evaluation: Evaluation | None = field(default=None, repr=False)
    """None until the cell is done: a part of the items in some order is no sample of them."""
    beyond: tuple[str, ...] = ()
    """The limits it does not keep to, in words."""
    reused: bool = False
    """True where the predictions of an earlier run, or of a cell that differs in its plan alone, were used."""
    paid_nano: int | None = None
    """Nano-dollars its answers cost when they were bought, where another plan than that is shown; None: not known."""
    even_at: int | None = None
    """Conversations a month from which on a provisioned plan is cheaper than paying for each token."""
    effort: Effort | None = field(default=None, compare=False)
    """What its thinking changed against the next lower setting; None where there is none to compare with."""
    dropped: Dropped | None = None
    """Set where the state is `dropped`."""
    parts: Parts | None = field(default=None, repr=False, compare=False)
    """Where its dollars go, and how often it gives no usable answer; None unless it is done."""

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
    def asked(self) -> int:
        """Items that were asked; those the cap kept from being asked are in `predictions` and not counted here."""
        return len(self.predictions) - self.failed.get(_NEVER_ASKED, 0)

    @property
    def unanswered(self) -> int:
        """Items that were asked and got no answer."""
        return sum(self.failed.values()) - self.failed.get(_NEVER_ASKED, 0)

    @property
    def usd(self) -> Estimate:
        """Dollars per 1,000 conversations at the assumed prevalence: models, reviews and errors.

        Not known where the model's own price is not: unknown is not zero.
        """
        return Estimate.unknown(self.why_none) if self.figures is None else self.figures.dollars_per_1000

    @property
    def recall(self) -> Estimate:
        """Share of the targets that were flagged; failed items count as missed."""
        return Estimate.unknown(self.why_none) if self.figures is None else self.figures.recall

    @property
    def false_alarms(self) -> Estimate:
        """Share of the items without the target that were flagged: 1 - specificity."""
        return Estimate.unknown(self.why_none) if self.figures is None else self.figures.specificity.complement()

    @property
    def why_none(self) -> str:
        """Why it has no figure; empty where it is done."""
        if self.state == "failed":
            kinds = sorted(self.failed.items(), key=lambda one: -one[1])
            told = ", ".join(f"{count} {kind}" for kind, count in kinds)
            return f"failed: none of {self.items} items was answered ({told})"
        if self.dropped is not None:
            return f"dropped after {self.asked} of {self.items} items: {self.dropped.why}"
        return "" if self.state == "done" else f"{self.state}: {self.asked} of {self.items} items were asked"

    @property
    def figures(self) -> Evaluation | None:
        """Its evaluation, where there is any figure in it: None unless it is done."""
        return self.evaluation if self.state == "done" else None

    @property
    def p95_seconds(self) -> float | None:
        """95 of 100 items were answered within so many seconds; None where that is not known."""
        return None if self.figures is None else self.figures.latency_p95

    @property
    def failed(self) -> dict[str, int]:
        """Items without a label, counted by kind."""
        kinds: dict[str, int] = {}
        for error in self.predictions.column("error"):
            if error is not None:
                kinds[error.kind] = kinds.get(error.kind, 0) + 1
        return kinds

    @property
    def spent_usd(self) -> float | None:
        """Dollars its answers cost when they were bought, as far as known; None where no price is."""
        other_plan = self.plan != STANDARD and self.evaluation is not None
        paid = self.paid_nano if other_plan else _paid_nano(self.predictions)
        return None if paid is None else paid / 1e9

    @property
    def unpriced(self) -> int:
        """Predictions whose price is not known, so that `spent_usd` may be more."""
        return sum(cost is None for cost in self.predictions.column("cost_nano_usd"))

    def to_dict(self) -> dict[str, Any]:
        """The measured cell as JSON types; predictions are left out, they are in the store."""
        return {
            "cell_id": self.cell.cell_id,
            "label": self.label,
            "settings": dict(self.cell.settings),
            "simulated": self.simulated,
            "state": self.state,
            "items": self.items,
            "why_no_figures": self.why_none,
            "asked": self.asked,
            "failed": self.failed,
            "beyond": list(self.beyond),
            "reused": self.reused,
            "plan": self.plan,
            "plan_note": "" if self.cell.plan is None else self.cell.plan.note,
            "cheaper_from_conversations_per_month": self.even_at,
            "no_op": self.no_op,
            "effort": None if self.effort is None else self.effort.to_dict(),
            "dropped": None if self.dropped is None else asdict(self.dropped),
            "spent_usd": self.spent_usd,
            "unpriced": self.unpriced,
            "parts": None if self.parts is None else self.parts.to_dict(),
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
        }


def measure_cell(
    cell: Cell, predictions: Predictions, dataset: Dataset, task: Task, file: SweepFile, *, reused: bool
) -> MeasuredCell:
    """A cell of which every item was asked, evaluated at the sweep's costs and held against its limits.

    It is `failed`, and without figures, where no item was answered. `predictions` are as they were bought;
    their costs and seconds become those of the cell's plan.
    """
    plan, paid, even_at = cell.plan, None, None
    items = items_per_conversation(dataset, task)
    if plan is not None and plan.name != STANDARD:
        paid = _paid_nano(predictions)
        predictions = Predictions(under_plan(cell, prediction) for prediction in predictions)
        even_at = _even_at(plan, predictions, dataset, task, items)
    evaluation = evaluate(predictions, dataset, task, costs=file.as_costs, seed=file.seed)
    made = MeasuredCell(cell, "failed", len(dataset), predictions, evaluation, (), reused, paid_nano=paid)
    if made.unanswered == len(dataset):
        return made
    return judged(replace(made, state="done", even_at=even_at), dataset, task, file.limits, items)


def judged(cell: MeasuredCell, dataset: Dataset, task: Task, limits: LimitsTable, items: float) -> MeasuredCell:
    """The cell with its parts, at the costs of its evaluation, and the limits it does not keep to.

    `items` are those of a conversation. As it is, where it has no figures.
    """
    figures = cell.figures
    if figures is None:
        return cell
    parts = parts_of(
        cell.predictions, dataset, task, figures.costs, price=figures.cost_per_item_usd, plan=cell.cell.plan
    )
    return replace(cell, parts=parts, beyond=tuple(_limits_broken(figures, parts, limits, items)))


def under_plan(cell: Cell, prediction: Prediction) -> Prediction:
    """The prediction with the cost and the seconds of the cell's plan, whatever it was bought under."""
    plan = cell.plan
    if plan is None or plan.name == STANDARD:
        return prediction
    hears = isinstance(cell.file, LlmFile) and cell.file.modality == "audio"
    cost = plan.cost(prediction.usage, calls=prediction.calls, audio_sent=hears)
    if prediction.cost_nano_usd == 0 and prediction.failed and prediction.usage == Usage():
        cost = 0  # nothing came of it, and nothing was charged
    return replace(prediction, cost_nano_usd=cost, latency_seconds=plan.seconds(prediction.latency_seconds))


def _even_at(plan: Plan, predictions: Predictions, dataset: Dataset, task: Task, items: float) -> int | None:
    """`break_even` at the mean tokens of a conversation of so many items, each weighted as its dollars are.

    None where the tokens of an answer are not known; failed items that lack theirs are left out, as of the dollars.
    """
    matched = match(predictions, dataset, task)
    known = np.array([cost is not None for cost in matched.column(predictions, "cost_nano_usd")], bool)
    if not known.any() or bool((~known & ~matched.failed).any()):
        return None
    weight = np.where(known, drawn(dataset, matched.examples).sampling.weight, 0.0)

    def mean(values: Sequence[int | None]) -> int:
        return round(items * float(np.average([value or 0 for value in values], weights=weight)))

    usages = matched.column(predictions, "usage")
    usage = Usage(*(mean([getattr(one, name) for one in usages]) for name in USAGE_COUNTS))
    return break_even(plan, plan.standard, usage, calls=max(1, mean(matched.column(predictions, "calls"))))


def _paid_nano(predictions: Predictions) -> int | None:
    costs = predictions.column("cost_nano_usd")
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known or not costs else None


def _limits_broken(evaluation: Evaluation, parts: Parts | None, limits: LimitsTable, items: float) -> list[str]:
    """The limits that are not kept to, in words; one that can't be checked is said to be so."""
    broken = []
    p95, cost = evaluation.latency_p95, evaluation.cost_per_item_usd
    if limits.p95_seconds is not None and (p95 is None or p95 > limits.p95_seconds):
        over = f"over {duration_text(limits.p95_seconds)}"
        broken.append(f"p95 is not known: it may be {over}" if p95 is None else f"p95 {duration_text(p95)} is {over}")
    if limits.usd_per_conversation is not None:
        usd = None if cost is None else cost * items
        over = f"over {usd_text(limits.usd_per_conversation)}"
        if usd is None:
            broken.append(f"the model's price is not known: a conversation may be {over}")
        elif usd > limits.usd_per_conversation:
            broken.append(f"{usd_text(usd)} a conversation is {over}")
    if limits.flags_per_day is not None:
        seen = _reviewed_per_day(parts, items)
        what = "flags and failed items" if evaluation.failed and evaluation.costs.on_error == "review" else "flags"
        over = f"over {limits.flags_per_day:g}"
        if seen is None:
            broken.append(f"{what} a day are not known: they may be {over}")
        elif seen > limits.flags_per_day:
            broken.append(f"{seen:.0f} {what} a day are {over}")
    return broken


def _reviewed_per_day(parts: Parts | None, items: float) -> float | None:
    """Items a reviewer sees in a day, at the assumed prevalence and volume; None where that is not known."""
    if parts is None or parts.review_hours.value is None or parts.costs.conversations_per_month is None:
        return None
    share, (targets, others) = parts.costs.prevalence, parts.shares.reviewed(parts.costs.on_error)
    rate = share * targets + (1 - share) * others
    return rate * items * parts.costs.conversations_per_month / DAYS_PER_MONTH


def column_seconds(seconds: float | None) -> str:
    """Seconds as everywhere in a column of them, from two hours on `24 h`; `-` where they are not known."""
    return seconds_text(seconds) if seconds is None or seconds < _HOURS_FROM else duration_text(seconds)


def duration_text(seconds: float) -> str:
    """`0.4 s`, `12 s`, `25 min`, `24 h`."""
    if seconds < 120:
        return f"{seconds_text(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < _HOURS_FROM else f"{seconds / 3600:.3g} h"
