"""The measured cells of a sweep: which lie on the front, which one to run, and whether that is decided."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType

from llmclf.config import LimitsTable, PaceRow
from llmclf.data.spreadsheet import guarded
from llmclf.evaluation import evaluate
from llmclf.evaluation.volume import items_per_conversation
from llmclf.render.tables import AsJson, data_frame
from llmclf.stats import front
from llmclf.sweeps.answers import answers_of
from llmclf.sweeps.cells import Skipped
from llmclf.sweeps.choice import Choice, choose, unfinished
from llmclf.sweeps.families import with_efforts, with_one_progress
from llmclf.sweeps.measured import MeasuredCell, judged
from llmclf.sweeps.monthly import NOT_FINISHED, PEAK, TIMES, Months, months
from llmclf.sweeps.rows import row_of
from llmclf.sweeps.tipping import TippingPrice, tipping_prices
from llmclf.types import Costs, Dataset, Task

Stopped = Literal["", "budget", "interrupted"]
WHY_STOPPED: dict[Stopped, str] = {
    "": "",
    "budget": "the cap on dollars was reached; raise budget_usd and run again",
    "interrupted": "a person stopped it; run again to continue",
}
"""What is said where the run card names no reason."""


@dataclass(frozen=True)
class Surface(AsJson):
    """The result of a sweep. Only real cells can lie on the front or be best; simulated ones are a list apart."""

    cells: tuple[MeasuredCell, ...]
    skipped: tuple[Skipped, ...]
    run_id: str
    inputs_hash: str
    costs: Costs
    limits: LimitsTable
    task: Task = field(repr=False)
    dataset: Dataset = field(repr=False)
    """The items that were asked about; texts are redacted where the workspace keeps them so."""
    stopped: Stopped = ""
    """Why the run ended before every cell was done."""
    run_card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    pace: Mapping[str, PaceRow] = field(default_factory=dict, repr=False)
    """Rate limits by model or pattern, as [pace] of models.toml has them; `months` holds volumes against them."""
    seed: int = 0
    """Of the intervals: the same at every price."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", with_efforts(with_one_progress(self.cells), self.dataset))

    @property
    def real(self) -> tuple[MeasuredCell, ...]:
        """Cells whose answers came from something real."""
        return tuple(cell for cell in self.cells if not cell.simulated)

    @property
    def simulated(self) -> tuple[MeasuredCell, ...]:
        """Cells answered by the simulated vendor: they show how the surface works and decide nothing."""
        return tuple(cell for cell in self.cells if cell.simulated)

    @property
    def nothing_answered(self) -> bool:
        """True where there is no figure at all: every real cell (every one, if none is real) failed on every item."""
        cells = self.real or self.simulated
        return bool(cells) and all(cell.state == "failed" for cell in cells)

    @property
    def failed_cells(self) -> tuple[MeasuredCell, ...]:
        """Real cells of which no item was answered, beside others that have figures or not."""
        return tuple(cell for cell in self.real if cell.state == "failed")

    @property
    def unfinished(self) -> tuple[MeasuredCell, ...]:
        """Real cells that are left to be measured; while there is one, nothing is said about which cell to run."""
        return unfinished(self.real)

    @property
    def why_stopped(self) -> str:
        """Why the run ended before every cell was done, with the cap's name where one is known; empty if it did not."""
        return str(self.run_card.get("why") or WHY_STOPPED[self.stopped]) if self.stopped else ""

    @property
    def positives(self) -> int:
        """Targets among the items."""
        return self.dataset.labels(self.task.name).count(self.task.target)

    @property
    def flag_nothing_usd(self) -> float:
        """Dollars per 1,000 conversations of having no classifier at all: every target is missed."""
        return self.costs.flag_nothing_usd

    def pareto(self) -> tuple[MeasuredCell, ...]:
        """Real cells that no other real cell beats in dollars and in p95 seconds, cheapest first.

        By point estimates: a cell off the front may belong on it where intervals overlap. Under a
        tenth of a second all are equally fast: nobody waits for the difference. Cells whose dollars
        (the model's price among them) or seconds are not known can't be placed, and none before all are measured.
        """
        return self._front

    def front_chances(self) -> Mapping[str, float]:
        """For each real cell that can be placed, by label: the probability (0 to 1) that it is on the front.

        The share of the replicates of a paired Bayesian bootstrap (`llmclf.stats.front`) in which `pareto` would
        have it there. It speaks of items like these: of a cell without a miss among few targets no bootstrap sees
        what it would miss, so unseen items are added; p95 can't be slower than the slowest item seen. Cells that a
        race dropped are not among them.
        """
        return dict(self._front_chances)

    @cached_property
    def _placed(self) -> tuple[MeasuredCell, ...]:
        """Real cells whose dollars and seconds are known; none while a cell is unfinished."""
        if self.unfinished:
            return ()
        return tuple(cell for cell in self.real if cell.usd.is_known and cell.p95_seconds is not None)

    @cached_property
    def _front(self) -> tuple[MeasuredCell, ...]:
        if not self._placed:
            return ()
        usd, seconds = (np.array([[figure(cell) for cell in self._placed]], float) for figure in (_usd, _p95))
        found = [cell for cell, on in zip(self._placed, front.on_front(usd, seconds)[0], strict=True) if on]
        return tuple(sorted(found, key=_usd))

    @cached_property
    def _front_chances(self) -> dict[str, float]:
        if not self._placed:
            return {}
        resampled = front.resample(answers_of(self._placed, self.dataset, self.task), self.costs)
        chances = front.front_chances(resampled)
        return {cell.label: float(chance) for cell, chance in zip(self._placed, chances, strict=True)}

    def tipping_prices(self) -> tuple[TippingPrice, ...]:
        """For each price: the range in which the cell that is cheapest now (by its point figure) stays so.

        Of the real cells within the limits, and flagging nothing. Empty where no dollars are known, and while a cell
        is unfinished.
        """
        candidates = () if self.unfinished else [cell for cell in self.real if not cell.beyond]
        return tipping_prices(candidates, self.costs)

    def months(self, times: Sequence[float] = TIMES, *, peak: float = PEAK) -> Months:
        """What each real cell costs in a month at `times` today's volume, and which rate limits it would hit.

        Needs `costs.conversations_per_month`, and that no cell is unfinished. Limits are held against `peak` times the
        mean minute.
        """
        if self.unfinished:
            return Months((), peak, NOT_FINISHED)
        return months(self.real, self.costs, self.items_per_conversation, self.pace, times=times, peak=peak)

    def best(
        self,
        missed_usd: float | None = None,
        false_alarm_usd: float | None = None,
        *,
        review_minutes: float | None = None,
        reviewer_usd_per_hour: float | None = None,
        prevalence: float | None = None,
        conversations_per_month: int | None = None,
    ) -> Choice:
        """The real cell with the lowest dollars per 1,000 conversations, within the limits, if that is decided.

        Other prices than the sweep's can be given; the dollars are then computed again from the
        same predictions. Cells are compared in pairs on the same items: it is decided where each other
        cell's extra dollars have an interval above 0.
        """
        given: dict[str, Any] = {
            "missed_usd": missed_usd,
            "false_alarm_usd": false_alarm_usd,
            "review_minutes": review_minutes,
            "reviewer_usd_per_hour": reviewer_usd_per_hour,
            "prevalence": prevalence,
            "conversations_per_month": conversations_per_month,
        }
        costs = replace(self.costs, **{name: value for name, value in given.items() if value is not None})
        return self._best if costs == self.costs else self.repriced(costs)._best

    @cached_property
    def _best(self) -> Choice:
        return choose(self.real, self.costs, self.dataset, self.task, why_stopped=self.why_stopped)

    def repriced(self, costs: Costs) -> Surface:
        """The same predictions at other costs."""
        return replace(self, cells=tuple(self._cell_at(cell, costs) for cell in self.cells), costs=costs)

    def _cell_at(self, cell: MeasuredCell, costs: Costs) -> MeasuredCell:
        if cell.evaluation is None:
            return cell
        evaluation = evaluate(cell.predictions, self.dataset, self.task, costs=costs, seed=self.seed)
        made = replace(cell, evaluation=evaluation)
        return judged(made, self.dataset, self.task, self.limits, self.items_per_conversation)

    @cached_property
    def items_per_conversation(self) -> float:
        """Items that a conversation has: 1, or every turn of the bot where the task is about turns; a mean."""
        return items_per_conversation(self.dataset, self.task)

    # --- forms ------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The surface as JSON types: cells, front, choice, tipping prices, months, run card."""
        return {
            "run_id": self.run_id,
            "inputs_hash": self.inputs_hash,
            "task": self.task.name,
            "dataset": self.dataset.name,
            "items": len(self.dataset),
            "positives": self.positives,
            "synthetic": self.dataset.is_synthetic,
            "stopped": self.stopped,
            "nothing_answered": self.nothing_answered,
            "costs": {name: getattr(self.costs, name) for name in self.costs.__slots__},
            "limits": self.limits.model_dump(),
            "best": self.best().to_dict(),
            "front": [cell.label for cell in self.pareto()],
            "front_chances": self.front_chances(),
            "tipping_prices": [price.to_dict() for price in self.tipping_prices()],
            "months": self.months().to_dict(),
            "cells": [cell.to_dict() for cell in self.real],
            "simulated_cells": [cell.to_dict() for cell in self.simulated],
            "skipped": [skip.to_dict() for skip in self.skipped],
            "run_card": dict(self.run_card),
        }

    def summary(self) -> dict[str, Any]:
        """What is kept with the run in the store; figures of the cells stand with the cells there."""
        return {
            "stopped": self.stopped,
            "nothing_answered": self.nothing_answered,
            "best": self.best().to_dict(),
            "front": [cell.label for cell in self.pareto()],
            "effort": {cell.label: cell.effort.to_dict() for cell in self.cells if cell.effort is not None},
            "skipped": [skip.to_dict() for skip in self.skipped],
            "run_card": dict(self.run_card),
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row for each cell, simulated ones stamped in a column of their own."""
        on_front, chances = {cell.label for cell in self.pareto()}, self._front_chances
        rows = [row_of(cell, cell.label in on_front, chances.get(cell.label)) for cell in self.real]
        return rows + [row_of(cell, False, None) for cell in self.simulated]

    def to_csv(self) -> str:
        """`to_rows()` as CSV text with a header; unknown figures are empty.

        An apostrophe stands before text that a spreadsheet would compute.
        """
        rows = [
            {name: guarded(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in self.to_rows()
        ]
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else ["label"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def to_frame(self) -> Any:
        """`to_rows()` as a pandas DataFrame; MissingPieceError without pandas."""
        return data_frame(self.to_rows())

    def __rich__(self) -> RenderableType:
        from llmclf.sweeps.views import terminal

        return terminal(self)

    def _repr_html_(self) -> str:
        from llmclf.sweeps.views import notebook

        return notebook(self)


def _usd(cell: MeasuredCell) -> float:
    return np.nan if cell.usd.value is None else cell.usd.value


def _p95(cell: MeasuredCell) -> float:
    return np.nan if cell.p95_seconds is None else cell.p95_seconds
