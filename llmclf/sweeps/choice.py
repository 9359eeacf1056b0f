"""Which cell to run, and whether the figures decide it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmclf.evaluation.notes import percent
from llmclf.render.tables import counted, usd_range, usd_text
from llmclf.stats import front
from llmclf.stats.paired import MOST_LABELS, MoreLabels, more_labels, paired_cells, paired_dollars
from llmclf.sweeps.answers import answers_of
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Costs, Dataset, Estimate, Task

_DRAWS = 2000


@dataclass(frozen=True)
class Ahead:
    """How far the cell with the lowest figure is ahead of another one, compared in pairs on the same items."""

    cell: MeasuredCell
    """The other one."""
    extra: Estimate
    """Dollars per 1,000 that it costs more."""
    more: MoreLabels | None
    """How many more labels would decide, where it is not decided."""

    @property
    def decided(self) -> bool:
        """True where the whole interval lies above 0."""
        return self.extra.low is not None and self.extra.low > 0

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON types."""
        more = None if self.more is None else self.more.to_dict()
        return {"cell": self.cell.label, "extra_usd": self.extra.to_dict(), "more_labels": more}


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
    chance: float | None = None
    """Share of the resamples of the items (0 to 1) in which the first candidate costs least."""
    ahead: tuple[Ahead, ...] = ()
    """How the first candidate stands to others that could be chosen: to the next one, and to all whose interval
    reaches into its own."""

    @property
    def decided(self) -> bool:
        """True where one cell is to be run: compared in pairs it costs less than each other one, and it does not
        cost more than flagging nothing.
        """
        return self.cell is not None

    def to_dict(self) -> dict[str, Any]:
        """The choice as JSON types."""
        return {
            "decided": self.decided,
            "cell": None if self.cell is None else self.cell.label,
            "pays": self.pays,
            "candidates": [cell.label for cell in self.candidates],
            "cheapest_chance": self.chance,
            "ahead": [other.to_dict() for other in self.ahead],
            "sentence": self.sentence,
        }


def choose(
    real: Sequence[MeasuredCell], costs: Costs, dataset: Dataset, task: Task, *, why_stopped: str = ""
) -> Choice:
    """The cell with the lowest dollars among real cells that were evaluated at `costs`, if that is decided.

    It is, where each other cell's extra dollars on the same items have an interval above 0, and no cell is left to
    be measured. `dataset` has only examples that are labelled for `task`.
    """
    if not real:
        return Choice(None, (), "No real cell was measured; simulated cells decide nothing.", costs)
    if unfinished(real):
        return Choice(None, (), _no_verdict(real, why_stopped), costs)
    if all(cell.state == "failed" for cell in real):
        return Choice(None, (), _nothing_answered(real), costs)
    known = sorted((cell for cell in real if cell.usd.is_known), key=lambda cell: _value(cell.usd))
    if not known:
        reasons = dict.fromkeys(cell.usd.why_not.split("; ")[0] for cell in real)
        return Choice(None, (), f"No real cell's dollars are known: {'; '.join(reasons)}.", costs)
    fitting = _one_plan_each([cell for cell in known if not cell.beyond])
    if not fitting:
        return Choice(None, (), "No real cell keeps to the limits.", costs)
    first = fitting[0]
    ahead, chance = _compared(fitting, costs, dataset, task)
    rivals = [other.cell for other in ahead if not other.decided]
    positives = dataset.labels(task.name).count(task.target)
    limited = any(cell.beyond for cell in known)
    standing = _Standing(first, ahead, chance, limited, costs.flag_nothing_usd, positives, f"per 1,000 {task.unit}s")
    sentence = " ".join([standing.sentence(), *_left_out(real)])
    pays = standing.pays
    cell = None if rivals or pays is False else first
    return Choice(cell, (first, *rivals), sentence, costs, pays, chance, ahead)


def unfinished(cells: Sequence[MeasuredCell]) -> tuple[MeasuredCell, ...]:
    """The cells that are left to be measured: any of them may turn out to be the cheapest."""
    return tuple(cell for cell in cells if cell.state in ("incomplete", "waiting"))


def _no_verdict(real: Sequence[MeasuredCell], why_stopped: str) -> str:
    dropped = sum(cell.state == "dropped" for cell in real)
    measured = f"{len(real) - len(unfinished(real)) - dropped} of {counted(len(real), 'real cell')} measured"
    said = f"{measured}, {dropped} dropped, no verdict yet" if dropped else f"{measured}, no verdict yet"
    return f"Stopped: {said}: {why_stopped}." if why_stopped else f"Not finished: {said}."


def _compared(
    cells: Sequence[MeasuredCell], costs: Costs, dataset: Dataset, task: Task
) -> tuple[tuple[Ahead, ...], float]:
    """(how the first cell stands to the others, share of the resamples in which it costs least)."""
    answers = answers_of(cells, dataset, task)
    usd = front.resample_usd(answers, costs)
    prices = [None if cell.figures is None else cell.figures.cost_per_item_usd for cell in cells]
    ahead = []
    for row, cell in enumerate(cells[1:], start=1):
        if row > 1 and _apart(cells[0].usd, cell.usd):
            continue  # a comparison in pairs is narrower still
        flags, fails = ((rows[0], rows[row]) for rows in (answers.flagged, answers.failed))
        pairs = paired_cells(answers.positive, flags, fails, answers.sampling, draws=_DRAWS)
        extra = paired_dollars(pairs, costs, model_usd=(prices[0], prices[row]))
        decided = extra.low is not None and extra.low > 0
        ahead.append(Ahead(cell, extra, None if decided else more_labels(pairs, extra)))
    return tuple(ahead), float((np.argmin(usd, axis=1) == 0).mean())


def _apart(lower: Estimate, higher: Estimate) -> bool:
    """True where the intervals do not touch."""
    return lower.high is not None and higher.low is not None and lower.high < higher.low


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
    dropped = sum(cell.state == "dropped" for cell in real)
    if dropped:
        said.append(f"The race had dropped {counted(dropped, 'cell')} before, each beaten by another at its risk.")
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


@dataclass(frozen=True)
class _Standing:
    """How the cells that may be chosen stand to each other and to doing nothing."""

    first: MeasuredCell
    ahead: Sequence[Ahead]
    chance: float
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
        alike = self._alike()
        if self.pays is False:
            said = f"No cell{within} pays at these prices: flagging nothing would cost {nothing} {self.per}"
            return f"{said}, the cheapest cell, {name}, costs {figure}. {alike}".rstrip()
        worth = "" if self.pays else ": no cell is shown to be worth it"
        ending = f"Flagging nothing would cost {nothing}{worth}."
        if alike:
            return f"Not decided{within}: {name} has the lowest figure, {figure} {self.per}. {alike} {ending}"
        if self.ahead:
            return f"{name} costs least{within}: {figure} {self.per}; {self._lead()}. {ending}"
        return f"{name} is the only real cell that can be chosen: {figure} {self.per}. {ending}"

    def _lead(self) -> str:
        """How far it is ahead of the next, and how sure that is."""
        second = self.ahead[0]
        less = f"{usd_text(second.extra.low or 0.0)}-{usd_text(second.extra.high or 0.0)}"
        return (
            f"{less} less than the next, {second.cell.label}, on the same items, "
            f"and least of all in {share_text(self.chance)} of resamples"
        )

    def _alike(self) -> str:
        """Which cells it can't be told from, how often it is the cheapest, and what would decide; empty if decided."""
        rivals = [other for other in self.ahead if not other.decided]
        if not rivals:
            return ""
        these = "this 1 target" if self.positives == 1 else f"these {counted(self.positives, 'target')}"
        names = _listed([other.cell.label for other in rivals])
        said = (
            f"On {these} it can't be told apart from {names}: it costs least in {share_text(self.chance)} of resamples."
        )
        nearest = rivals[0]
        if nearest.more is None:
            return said
        to_tell = f"to tell it from {nearest.cell.label}" if len(rivals) > 1 else "to tell them apart"
        if nearest.more.labels is None:
            return f"{said} Even {MOST_LABELS:,} more labels would hardly do {to_tell}."
        targets = f", {nearest.more.positives:,} of them targets," if nearest.more.positives else ""
        return f"{said} It needs about {counted(nearest.more.labels, 'more label')}{targets} {to_tell}."


def share_text(share: float) -> str:
    """A share of the resamples: `97 %`, and never all or none of them."""
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else percent(round(share, 2))


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value
