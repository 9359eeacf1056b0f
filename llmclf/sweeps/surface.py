"""The measured cells of a sweep: which lie on the front, which one to run, and whether that is decided."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rich.console import RenderableType

from llmclf.config import LimitsTable
from llmclf.evaluation import evaluate
from llmclf.sweeps.cells import Skipped
from llmclf.sweeps.choice import Choice, choose, flag_nothing_usd
from llmclf.sweeps.families import with_efforts, with_one_progress
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Costs, Dataset, Estimate, Task

Stopped = Literal["", "budget", "interrupted"]


_AS_GOOD_AS_AT_ONCE = 0.1  # seconds


@dataclass(frozen=True)
class Surface:
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
    def positives(self) -> int:
        """Targets among the items."""
        return self.dataset.labels(self.task.name).count(self.task.target)

    @property
    def flag_nothing_usd(self) -> float:
        """Dollars per 1,000 conversations of having no classifier at all: every target is missed."""
        return flag_nothing_usd(self.costs)

    def pareto(self) -> tuple[MeasuredCell, ...]:
        """Real cells that no other real cell beats in dollars and in p95 seconds, cheapest first.

        By point estimates: a cell off the front may belong on it where intervals overlap. Under a
        tenth of a second all are equally fast: nobody waits for the difference. Cells whose dollars
        (the model's price among them) or seconds are not known can't be placed.
        """
        placed = sorted(
            (cell.usd.value, max(cell.p95_seconds, _AS_GOOD_AS_AT_ONCE), index, cell)
            for index, cell in enumerate(self.real)
            if cell.usd.is_known and cell.p95_seconds is not None
        )
        front: list[MeasuredCell] = []
        fastest = float("inf")
        for _, seconds, _, cell in placed:
            if seconds < fastest:
                front.append(cell)
                fastest = seconds
        return tuple(front)

    def best(self, missed_usd: float | None = None, false_alarm_usd: float | None = None) -> Choice:
        """The real cell with the lowest dollars per 1,000 conversations, within the limits, if that is decided.

        Other prices than the sweep's can be given; the dollars are then computed again from the
        same predictions. It is decided where no other cell's interval reaches below the top of the
        lowest one's. That errs towards "not decided": a paired comparison can tell apart more.
        """
        costs = self.costs
        if missed_usd is not None:
            costs = replace(costs, missed_usd=missed_usd)
        if false_alarm_usd is not None:
            costs = replace(costs, false_alarm_usd=false_alarm_usd)
        priced = self if costs == self.costs else self.repriced(costs)
        return choose(priced.real, costs, self.positives, self.task.unit)

    def repriced(self, costs: Costs) -> Surface:
        """The same predictions at other costs."""
        cells = tuple(
            cell
            if cell.evaluation is None
            else replace(cell, evaluation=evaluate(cell.predictions, self.dataset, self.task, costs=costs))
            for cell in self.cells
        )
        return replace(self, cells=cells, costs=costs)

    # --- forms ------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The surface as JSON types: cells, front, choice, run card."""
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

    def to_json(self) -> str:
        """`to_dict()` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row for each cell, simulated ones stamped in a column of their own."""
        front = {cell.label for cell in self.pareto()}
        return [_row(cell, cell.label in front) for cell in (*self.real, *self.simulated)]

    def to_csv(self) -> str:
        """`to_rows()` as CSV text with a header; unknown figures are empty."""
        rows = self.to_rows()
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else ["label"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def to_frame(self) -> Any:
        """`to_rows()` as a pandas DataFrame; MissingPieceError without pandas."""
        from llmclf.sweeps.views import frame

        return frame(self.to_rows())

    def __rich__(self) -> RenderableType:
        from llmclf.sweeps.views import terminal

        return terminal(self)

    def _repr_html_(self) -> str:
        from llmclf.sweeps.views import notebook

        return notebook(self)


def _row(cell: MeasuredCell, on_front: bool) -> dict[str, Any]:
    evaluation = cell.evaluation if cell.state == "done" else None
    row: dict[str, Any] = {
        "label": cell.label,
        "simulated": cell.simulated,
        **{
            key: cell.cell.settings.get(key)
            for key in ("kind", "model", "thinking", "prompt", "answer", "modality", "plan")
        },
        "state": cell.state,
        "asked": cell.asked,
        "failed": sum(cell.failed.values()),
    }
    figures = ("recall", "specificity", "projected_precision", "flag_rate", "dollars_per_1000")
    for name in figures:
        estimate: Estimate | None = None if evaluation is None else getattr(evaluation, name)
        for part in ("value", "low", "high"):
            key = name if part == "value" else f"{name}_{part}"
            row[key] = None if estimate is None else getattr(estimate, part)
    row["dollars_per_1000_why_not"] = cell.usd.why_not
    row["p50_seconds"] = None if evaluation is None else evaluation.latency_p50
    row["p95_seconds"] = cell.p95_seconds
    row["cost_per_item_usd"] = None if evaluation is None else evaluation.cost_per_item_usd
    row["no_op"] = cell.no_op
    row["on_front"] = on_front
    row["beyond"] = "; ".join(cell.beyond)
    return row
