"""Which cell to run, and whether the figures decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Costs, Estimate


@dataclass(frozen=True)
class Choice:
    """Which cell costs least at given prices, and whether the figures decide it."""

    cell: MeasuredCell | None
    """None where no real cell's dollars are known, or where it is not decided."""
    candidates: tuple[MeasuredCell, ...]
    """The cells that can't be told apart from the one with the lowest figure, that one first."""
    sentence: str
    costs: Costs

    @property
    def decided(self) -> bool:
        """True where one cell's interval lies below all others'."""
        return self.cell is not None

    def to_dict(self) -> dict[str, Any]:
        """The choice as JSON types."""
        return {
            "decided": self.decided,
            "cell": None if self.cell is None else self.cell.label,
            "candidates": [cell.label for cell in self.candidates],
            "sentence": self.sentence,
        }


def choose(real: Sequence[MeasuredCell], costs: Costs, positives: int, unit: str) -> Choice:
    """The cell with the lowest dollars among real cells that were evaluated at `costs`, if that is decided.

    `positives` is the number of targets they were measured on, `unit` what an item is.
    """
    if not real:
        return Choice(None, (), "No real cell was measured; simulated cells decide nothing.", costs)
    known = sorted((cell for cell in real if cell.usd.is_known), key=lambda cell: _value(cell.usd))
    if not known:
        return Choice(None, (), f"No real cell's dollars are known: {real[0].usd.why_not}.", costs)
    fitting = [cell for cell in known if not cell.beyond]
    if not fitting:
        return Choice(None, (), "No real cell keeps to the limits.", costs)
    first = fitting[0]
    rivals = [cell for cell in fitting[1:] if not _apart(first.usd, cell.usd)]
    candidates = (first, *rivals)
    return Choice(
        None if rivals else first, candidates, _sentence(first, rivals, fitting, costs, positives, unit), costs
    )


def flag_nothing_usd(costs: Costs) -> float:
    """Dollars per 1,000 conversations of having no classifier at all: every target is missed."""
    return 1000 * costs.prevalence * costs.missed_usd


def _sentence(
    first: MeasuredCell,
    rivals: Sequence[MeasuredCell],
    fitting: Sequence[MeasuredCell],
    costs: Costs,
    positives: int,
    unit: str,
) -> str:
    figure, per = first.usd.format(dollars_spec(first.usd), "$"), f"per 1,000 {unit}s"
    nothing = flag_nothing_usd(costs)
    without = f"${nothing:{'.2f' if nothing < 100 else ',.0f'}}"
    low = first.usd.low if first.usd.low is not None else _value(first.usd)
    high = first.usd.high if first.usd.high is not None else _value(first.usd)
    alike = f"On these {positives} targets it can't be told apart from {_listed([cell.label for cell in rivals])}."
    if low > nothing:
        said = f"No cell pays at these prices: flagging nothing would cost {without} {per}, "
        said += f"the cheapest cell, {first.label}, costs {figure}."
        return f"{said} {alike}" if rivals else said
    ending = f"Flagging nothing would cost {without}"
    ending += ": no cell is shown to be worth it." if high >= nothing else "."
    if rivals:
        return f"Not decided: {first.label} has the lowest figure, {figure} {per}. {alike} {ending}"
    if len(fitting) > 1:
        second = fitting[1].usd.format(dollars_spec(fitting[1].usd), "$")
        return f"{first.label} costs least: {figure} {per}; the next, {fitting[1].label}, {second}. {ending}"
    return f"{first.label} is the only real cell that can be chosen: {figure} {per}. {ending}"


def dollars_spec(estimate: Estimate) -> str:
    """The format of a dollar figure and its interval: cents only where it is small."""
    return ".2f" if abs(estimate.value or 0.0) < 100 else ",.0f"


def _apart(lower: Estimate, higher: Estimate) -> bool:
    """True where the intervals do not touch; an estimate without an interval can't be told apart."""
    return lower.high is not None and higher.low is not None and lower.high < higher.low


def _listed(names: Sequence[str], most: int = 4) -> str:
    if not names:
        return ""
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value
