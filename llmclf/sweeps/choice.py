"""Which cell to run, and whether the figures decide it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.render.tables import counted, usd_range, usd_text
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Costs, Estimate


@dataclass(frozen=True)
class Choice:
    """Which cell costs least at given prices, and whether the figures decide it."""

    cell: MeasuredCell | None
    """None where no real cell's dollars are known, where it is not decided, or where none pays."""
    candidates: tuple[MeasuredCell, ...]
    """The cells that can't be told apart from the one with the lowest figure, that one first."""
    sentence: str
    costs: Costs
    pays: bool | None = None
    """True: the candidates' lowest is shown to cost less than flagging nothing. False: more, so no cell is to be run.
    None: neither is shown."""

    @property
    def decided(self) -> bool:
        """True where one cell is to be run: its interval lies below all others', and it does not cost more than
        flagging nothing.
        """
        return self.cell is not None

    def to_dict(self) -> dict[str, Any]:
        """The choice as JSON types."""
        return {
            "decided": self.decided,
            "cell": None if self.cell is None else self.cell.label,
            "pays": self.pays,
            "candidates": [cell.label for cell in self.candidates],
            "sentence": self.sentence,
        }


def choose(real: Sequence[MeasuredCell], costs: Costs, positives: int, unit: str) -> Choice:
    """The cell with the lowest dollars among real cells that were evaluated at `costs`, if that is decided.

    `positives` is the number of targets they were measured on, `unit` what an item is.
    """
    if not real:
        return Choice(None, (), "No real cell was measured; simulated cells decide nothing.", costs)
    if all(cell.state == "failed" for cell in real):
        return Choice(None, (), _nothing_answered(real), costs)
    known = sorted((cell for cell in real if cell.usd.is_known), key=lambda cell: _value(cell.usd))
    if not known:
        reasons = dict.fromkeys(cell.usd.why_not.split("; ")[0] for cell in real)
        return Choice(None, (), f"No real cell's dollars are known: {'; '.join(reasons)}.", costs)
    fitting = _one_plan_each([cell for cell in known if not cell.beyond])
    if not fitting:
        return Choice(None, (), "No real cell keeps to the limits.", costs)
    first, *others = fitting
    rivals = [cell for cell in others if not _apart(first.usd, cell.usd)]
    standing = _Standing(
        first,
        rivals,
        others,
        any(cell.beyond for cell in known),
        flag_nothing_usd(costs),
        positives,
        f"per 1,000 {unit}s",
    )
    sentence = " ".join([standing.sentence(), *_left_out(real)])
    pays = standing.pays
    return Choice(None if rivals or pays is False else first, (first, *rivals), sentence, costs, pays)


def _nothing_answered(real: Sequence[MeasuredCell]) -> str:
    kinds = Counter[str]()
    for cell in real:
        kinds.update(cell.failed)
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    cells = "The only real cell" if len(real) == 1 else f"Each of {len(real)} real cells"
    return f"{cells} failed on every item, so there is no figure: {told}."


def _left_out(real: Sequence[MeasuredCell]) -> list[str]:
    """Cells that were measured and can't be compared: they may cost less than the ones that can."""
    failed = [cell.label for cell in real if cell.state == "failed"]
    unknown = [cell.label for cell in real if cell.state == "done" and not cell.usd.is_known]
    said = []
    if failed:
        who = failed[0] if len(failed) == 1 else f"{len(failed)} cells"
        said.append(f"{who} failed on every item and can't be compared.")
    if unknown:
        are = "is left out: its" if len(unknown) == 1 else "are left out: their"
        said.append(f"{_listed(unknown)} {are} dollars are not known.")
    return said


def _one_plan_each(cells: Sequence[MeasuredCell]) -> list[MeasuredCell]:
    """The first, and so cheapest, of cells that differ in their plan alone: their answers are the same, so its price
    decides between them and no interval is in the way.
    """
    cheapest: dict[str, MeasuredCell] = {}
    for cell in cells:
        cheapest.setdefault(cell.cell.answers_id, cell)
    return list(cheapest.values())


def flag_nothing_usd(costs: Costs) -> float:
    """Dollars per 1,000 items of having no classifier at all: every target is missed."""
    return 1000 * costs.prevalence * costs.missed_usd


@dataclass(frozen=True)
class _Standing:
    """How the cells that may be chosen stand to each other and to doing nothing."""

    first: MeasuredCell
    rivals: Sequence[MeasuredCell]
    others: Sequence[MeasuredCell]
    limited: bool
    """True where limits keep cheaper or dearer cells out."""
    nothing_usd: float
    positives: int
    per: str

    @property
    def pays(self) -> bool | None:
        """Whether the lowest is shown to cost less than flagging nothing, or more; None: neither."""
        low, high = self.first.usd.low, self.first.usd.high
        if low is not None and low > self.nothing_usd:
            return False
        return True if high is not None and high < self.nothing_usd else None

    def sentence(self) -> str:
        """What a person who decides must know."""
        name = self.first.label
        within = " within the limits" if self.limited else ""
        nothing = usd_text(self.nothing_usd)
        figure = usd_range(self.first.usd)
        names = _listed([cell.label for cell in self.rivals])
        these = "this 1 target" if self.positives == 1 else f"these {counted(self.positives, 'target')}"
        alike = f"On {these} it can't be told apart from {names}." if names else ""
        if self.pays is False:
            said = f"No cell{within} pays at these prices: flagging nothing would cost {nothing} {self.per}"
            return f"{said}, the cheapest cell, {name}, costs {figure}. {alike}".rstrip()
        worth = "" if self.pays else ": no cell is shown to be worth it"
        ending = f"Flagging nothing would cost {nothing}{worth}."
        if self.rivals:
            return f"Not decided{within}: {name} has the lowest figure, {figure} {self.per}. {alike} {ending}"
        if self.others:
            second = self.others[0]
            next_one = f"the next, {second.label}, {usd_range(second.usd)}"
            return f"{name} costs least{within}: {figure} {self.per}; {next_one}. {ending}"
        return f"{name} is the only real cell that can be chosen: {figure} {self.per}. {ending}"


def _apart(lower: Estimate, higher: Estimate) -> bool:
    """True where the intervals do not touch; an estimate without an interval can't be told apart."""
    return lower.high is not None and higher.low is not None and lower.high < higher.low


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value
