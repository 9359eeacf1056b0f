"""A race over the cells of a sweep: asked in rounds, and no more of a cell that is shown to be beaten.

`llmclf.stats.racing` has the rule; here are the dollars, seconds and misses that it is about, and who may drop whom.
Real and simulated cells race apart. A cell whose answers cost nothing now (words, a probe, a cell that the store holds
as a whole) is measured in full: it drops others and stays. Cells that differ in their plan alone share their answers:
these are asked for until each of them is beaten by some cell with other answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.config import LimitsTable, SweepFile
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.notes import percent
from llmclf.evaluation.volume import items_per_conversation
from llmclf.render.tables import counted, usd_text
from llmclf.stats import racing as rule
from llmclf.stats.outcomes import item_usd, usd_shares
from llmclf.sweeps.cells import Cell
from llmclf.sweeps.inputs import Inputs
from llmclf.sweeps.measured import Dropped, MeasuredCell, under_plan
from llmclf.sweeps.surface import Surface
from llmclf.types import Costs, Dataset, Item, Prediction, Task, is_flagged
from llmclf.types.costs import DAYS_PER_MONTH

_NOTHING_RACED = "All cells were in the store: nothing was raced."
Floats = NDArray[np.float64]
Answers = Mapping[Item, Prediction]

LIKELY_DIFFERENCES = {True: 0.2, False: 0.02}
"""Share of the targets, and of the others, on which two cells are taken to differ before anything is known.

It decides in which proportion they are asked about (Neyman's allocation), and nothing else: targets first.
"""


@dataclass(frozen=True, eq=False)
class Track:
    """The items of a race in the order in which they are asked about, and what each of them weighs."""

    task: Task
    items: tuple[Item, ...]
    """(n,) in the order of the dataset; everything else goes by their places."""
    rounds: tuple[NDArray[np.intp], ...]
    """Places of the items that are new in each round."""
    stratum: NDArray[np.intp]
    positive: NDArray[np.bool_]
    usd_share: Floats
    """(n,) share of each item in a mean at the assumed prevalence."""
    price_share: Floats
    """(n,) share of each item in the mean of the model's price, as the sampling design has it."""
    target_share: Floats
    """(n,) share of each item among the targets; 0 where it is none."""
    usd_swing: Floats
    """(n,) dollars by which one verdict the other way moves the item's part."""

    @classmethod
    def of(cls, dataset: Dataset, task: Task, file: SweepFile) -> Track:
        """The track of a sweep; the same inputs give the same. DataError where every item is a target."""
        positive = np.array([label == task.target for label in dataset.labels(task.name)], bool)
        sampling, costs = drawn(dataset, dataset.examples).sampling, file.as_costs
        share = usd_shares(positive, sampling, costs.prevalence)
        everywhere, nowhere = np.ones(len(positive), bool), np.zeros(len(positive), bool)
        verdicts = (item_usd(positive, flagged, nowhere, costs) for flagged in (everywhere, nowhere))
        swing = share * np.abs(np.subtract(*verdicts))
        stratum = np.unique(2 * sampling.stratum + positive, return_inverse=True)[1].astype(np.intp)
        likely = np.sqrt(np.where(positive, LIKELY_DIFFERENCES[True], LIKELY_DIFFERENCES[False]))
        targets = np.where(positive, sampling.weight, 0.0)
        # what costs nothing still has a price to be asked, and seconds
        importance = np.bincount(stratum, weights=swing * likely + 1e-3 * (swing.sum() or 1) / len(swing))
        return cls(
            task,
            tuple(example.item for example in dataset.examples),
            rule.deal_rounds(stratum, importance, seed=file.seed),
            stratum,
            positive,
            share,
            sampling.weight / sampling.weight.sum(),
            targets / targets.sum(),
            swing,
        )

    def ends(self) -> list[int]:
        """Items asked about after each round."""
        ends: list[int] = np.cumsum([len(new) for new in self.rounds]).tolist()
        return ends

    def new(self, number: int) -> list[Item]:
        """The items of round `number`, from 1."""
        return [self.items[place] for place in self.rounds[number - 1]]

    def after(self, number: int) -> tuple[NDArray[np.intp], rule.Asked]:
        """(places asked about after round `number`, what they are of all)."""
        places = np.concatenate(self.rounds[:number])
        return places, rule.Asked(self.stratum[places], np.bincount(self.stratum).astype(np.intp))


class Race:
    """Who is still asked, and who was dropped when and why."""

    def __init__(self, inputs: Inputs, track: Track, free: Container[str]) -> None:
        """`free` are the ids of cells that are measured already: they drop others and are not dropped."""
        self._track = track
        self._file = inputs.file
        self._free = free
        self._per_conversation = items_per_conversation(inputs.dataset, inputs.task)
        self._cells = inputs.cells
        self._dropped: set[str] = set()

    @property
    def asked(self) -> list[Cell]:
        """The cells whose answers are still asked for, in the order of the sweep, one for each set of answers."""
        cells = [cell for cell in self._cells if cell.cell_id not in self._free and cell.cell_id not in self._dropped]
        return list({cell.answers_id: cell for cell in reversed(cells)}.values())[::-1]

    def judge(self, number: int, answers: Mapping[str, Answers]) -> list[tuple[Cell, Dropped]]:
        """The cells to drop after round `number` (from 1), each with why; they are out of the race then.

        `answers` has, by `answers_id`, what was said of every item of the rounds so far.
        """
        found: dict[str, Dropped] = {}
        for simulated in (False, True):
            cells = [cell for cell in self._cells if cell.simulated == simulated]
            left = [cell for cell in cells if cell.cell_id not in self._dropped]
            if number < len(self._track.rounds):
                found |= self._silent(left, answers) if number == 1 else {}
                answering = [cell for cell in left if cell.cell_id not in found]
                found |= self._beaten(number, answering, len(cells), answers) if len(answering) > 1 else {}
        self._dropped |= found.keys()
        return [(cell, found[cell.cell_id]) for cell in self._cells if cell.cell_id in found]

    def _silent(self, cells: Sequence[Cell], answers: Mapping[str, Answers]) -> dict[str, Dropped]:
        """Cells that answered nothing in the first round, where others did."""
        asked = self._track.new(1)
        found = {}
        for cell in cells:
            kinds = Counter(error.kind for item in asked if (error := answers[cell.answers_id][item].error) is not None)
            if kinds.total() == len(asked) and cell.cell_id not in self._free:
                told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
                found[cell.cell_id] = Dropped(len(asked), 1, "", None, f"none of them was answered ({told})")
        return found if len(found) < len(cells) else {}

    def _beaten(
        self, number: int, cells: Sequence[Cell], at_start: int, answers: Mapping[str, Answers]
    ) -> dict[str, Dropped]:
        places, asked = self._track.after(number)
        alpha = rule.level(self._file.risk, at_start, len(self._track.rounds), self._file.keep)
        seen = [Seen.of(cell, answers[cell.answers_id], places, self._track, self._file.as_costs) for cell in cells]
        racers = rule.Racers(
            np.array([one.usd for one in seen]),
            np.array([one.missed for one in seen]),
            np.array([one.seconds for one in seen]),
            self._track.usd_swing[places],
            self._track.target_share[places],
        )
        family = np.array([cell.answers_id for cell in cells])
        rivals = self._within_limits(seen, places, asked, alpha) & [one.answered for one in seen]
        found = {}
        others = rivals & (family[:, None] != family[None, :])
        for loss in rule.losses(racers, asked, others, keep=self._file.keep, alpha=alpha):
            cell, by = cells[loss.cell], cells[loss.by]
            if cell.cell_id not in self._free:
                found[cell.cell_id] = self._told(number, len(places), by, loss.extra_usd_low)
        whole = {cell.answers_id for cell in cells if cell.cell_id not in found}
        return {cell.cell_id: found[cell.cell_id] for cell in cells if cell.answers_id not in whole}

    def _told(self, number: int, after: int, by: Cell, extra_usd_low: float) -> Dropped:
        extra = 1000 * extra_usd_low
        why = f"{by.label} costs at least {usd_text(extra)} less per 1,000 {self._track.task.unit}s"
        if self._file.keep == "front":
            why += ", misses a smaller share of the targets and is no slower"
        return Dropped(after, number, by.label, extra, why)

    def _within_limits(
        self, seen: Sequence[Seen], places: NDArray[np.intp], asked: rule.Asked, alpha: float
    ) -> NDArray[np.bool_]:
        """(cells,) which are shown to keep to every limit: others might have to be left for one that does."""
        limits: LimitsTable = self._file.limits
        within = np.ones(len(seen), bool)
        if limits.p95_seconds is not None:
            slowest = rule.quantile_bounds([one.seconds for one in seen], 0.95, asked, alpha)[1]
            within &= slowest <= limits.p95_seconds
        if limits.usd_per_conversation is not None:
            price = rule.total_high([one.price for one in seen], np.zeros(len(places)), asked, alpha)
            within &= price * self._per_conversation <= limits.usd_per_conversation
        volume = self._file.costs.conversations_per_month
        if limits.flags_per_day is not None and volume is None:
            within[:] = False  # as of the evaluation: flags a day are not known
        elif limits.flags_per_day is not None:
            share = self._track.usd_share[places]
            flags = rule.total_high([one.flags * share for one in seen], share, asked, alpha)
            a_day = flags * self._per_conversation * (volume or 0) / DAYS_PER_MONTH
            within &= a_day <= limits.flags_per_day
        return within


@dataclass(frozen=True, eq=False)
class Seen:
    """What one cell did on the items asked about so far, in their order; NaN is not known."""

    usd: Floats
    missed: Floats
    seconds: Floats
    price: Floats
    flags: Floats
    """1 where it was flagged, or failed: that may be a flag another time."""
    answered: bool
    """True where it answered at all: a cell that does not can't win, however little its failures cost."""

    @classmethod
    def of(cls, cell: Cell, answers: Answers, places: NDArray[np.intp], track: Track, costs: Costs) -> Seen:
        """Under the cell's own plan."""
        said = [under_plan(cell, answers[track.items[place]]) for place in places]
        failed = np.array([one.failed for one in said], bool)
        flagged = np.array([is_flagged(one.flagged, one.label, track.task.target) for one in said], bool) & ~failed
        positive = track.positive[places]
        price = _prices(said, failed) * track.price_share[places]
        return cls(
            track.usd_share[places] * item_usd(positive, flagged, failed, costs) + price,
            np.where(flagged, 0.0, track.target_share[places]),
            np.array([one.latency_seconds for one in said], float),  # None is nan
            price,
            (flagged | failed).astype(float),
            not failed.all(),
        )


def _prices(said: Sequence[Prediction], failed: NDArray[np.bool_]) -> Floats:
    """(m,) dollars of each answer; a failure of unknown price is as dear as the others, as in an evaluation.

    All NaN where the price of an answer is not known, or that of none is.
    """
    nano = np.array([one.cost_nano_usd for one in said], float)
    known = ~np.isnan(nano)
    if not known.any() or bool((~known & ~failed).any()):
        return np.full(len(nano), np.nan)
    filled: Floats = np.where(known, nano, nano[known].mean()) / 1e9
    return filled


def race_card(file: SweepFile, track: Track) -> dict[str, Any]:
    """What a run card says of a race: what it must not lose, at what risk, and how many items each round ends with."""
    return {"keep": file.keep, "risk": file.risk, "rounds": track.ends()}


def racing_sentences(surface: Surface) -> list[str]:
    """What a race dropped, when, at what risk and for which cell, and what it saved; nothing where there was none."""
    said = []
    for cells, simulated in ((surface.real, ""), (surface.simulated, "Simulated: ")):
        if saved := saved_sentence(surface, cells):
            said.append(simulated + saved)
            said += [simulated + sentence for sentence in _drops(cells, surface.run_card["race"]["rounds"])]
    return said


def saved_sentence(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    """What a race of `cells` (all real, or all simulated) was for, what it saved, at what risk; empty without one."""
    card = surface.run_card.get("race")
    if not card or all(cell.cell.kind != "llm" for cell in cells):
        return ""
    return _saved(cells, card) if _raced(cells, card) else _NOTHING_RACED


def _raced(cells: Sequence[MeasuredCell], card: Mapping[str, Any]) -> bool:
    """False where the execution found all answers of these cells in the store."""
    asked = card.get("asked")
    return asked is None or any(cell.label in asked for cell in cells)


def _saved(cells: Sequence[MeasuredCell], card: Mapping[str, Any]) -> str:
    """What was raced for, how much was left out, and how it may be wrong."""
    goal = {
        "winner": "the cell with the fewest dollars",
        "front": "every cell that no other one dominates in dollars, p95 seconds and share of missed targets",
    }[card["keep"]]
    dropped = sum(cell.state == "dropped" for cell in cells)
    asked = {cell.cell.answers_id: len(cell.predictions) for cell in cells if cell.cell.kind == "llm"}
    share = percent(sum(asked.values()) / (len(asked) * cells[0].items))
    so_far = " so far" if any(cell.state in ("incomplete", "waiting") for cell in cells) else ""
    lost = "that cell" if card["keep"] == "winner" else "one of them"
    return (
        f"A race for {goal}: {dropped} of {counted(len(cells), 'cell')} dropped{so_far}, {share} of the whole grid's "
        f"answers asked for. The risk of having dropped {lost} is {percent(card['risk'])} at most, on these items and "
        "at these prices."
    )


def _drops(cells: Iterable[MeasuredCell], ends: Sequence[int]) -> list[str]:
    """One sentence for the cells that one other cell beat in one round, the first round first."""
    groups: dict[tuple[int, str], list[MeasuredCell]] = {}
    for cell in cells:
        if cell.dropped is not None:
            groups.setdefault((cell.dropped.round, cell.dropped.by), []).append(cell)
    said = []
    for (number, by), group in sorted(groups.items(), key=lambda one: one[0]):
        when = f"Dropped after round {number} of {len(ends)} ({ends[number - 1]:,} of {ends[-1]:,} items)"
        names = ", ".join(_beaten_by(cell) for cell in group)
        said.append(f"{when}, beaten by {by}: {names}." if by else f"{when}: {names}.")
    return said


def _beaten_by(cell: MeasuredCell) -> str:
    dropped = cell.dropped
    assert dropped is not None
    if dropped.extra_usd_low is None:
        return f"{cell.label} ({dropped.why})"
    return f"{cell.label} (at least {usd_text(dropped.extra_usd_low)} more per 1,000)"
