"""What a sweep or a run would do and cost, as values and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llmclf.llm.plans import STANDARD
from llmclf.render.tables import Shown, TableText, counted, usd_text
from llmclf.sweeps.cells import Skipped
from llmclf.sweeps.money import CapLeft
from llmclf.sweeps.tokens import tokens_by


class Span(NamedTuple):
    """A figure that will lie between two numbers."""

    low: float
    high: float

    def plus(self, other: Span) -> Span:
        """Both together."""
        return Span(self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class PlannedCell:
    """What one cell would do."""

    label: str
    calls: int
    """Calls to a model that would be made."""
    stored: int
    """Items whose answer is in the store already: free."""
    usd: Span | None
    """Dollars; None where the model's price is not known. Simulated dollars for a simulated cell."""
    seconds: Span
    endpoint: str = ""
    """Where texts go; empty where they stay on this machine."""
    leaving: frozenset[str] = frozenset()
    """Ids of the conversations whose texts would be sent there."""
    simulated: bool = False
    plan: str = ""
    """The plan its tokens would be paid by in earnest; what is measured now is paid as it comes."""
    plan_note: str = ""
    per_1000_usd: Span | None = None
    """Dollars of 1,000 items under that plan, with answers in the store at their true length; None: not known."""
    same_as: str = ""
    """The cell whose answers it shares: they differ in the plan alone, and nothing is bought twice."""
    problems: tuple[str, ...] = ()
    """Why it would be refused before anything is sent; nothing else is known of it then."""
    lost: int = 0
    """Items without an answer where nobody is to be asked (a replay, a read-only cache): they would fail."""
    seconds_by: str = ""
    """What `seconds` goes by; empty where nothing is asked."""
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    first_round: PlannedCell | None = None
    """In a race: what it would do in the first round alone. None where it is no part of one, or asks nobody."""

    @property
    def at_least(self) -> PlannedCell:
        """What it would do if a race dropped it as soon as it can."""
        return self.first_round or self

    def to_dict(self) -> dict[str, Any]:
        """The planned cell as JSON types."""
        return {
            "label": self.label,
            "settings": dict(self.settings),
            "simulated": self.simulated,
            "calls": self.calls,
            "stored": self.stored,
            "lost": self.lost,
            "usd": None if self.usd is None else list(self.usd),
            "seconds": list(self.seconds),
            "seconds_by": self.seconds_by,
            "endpoint": self.endpoint,
            "conversations_leaving": len(self.leaving),
            "plan": self.plan,
            "plan_note": self.plan_note,
            "usd_per_1000_items": None if self.per_1000_usd is None else list(self.per_1000_usd),
            "same_answers_as": self.same_as,
            "problems": list(self.problems),
            "calls_in_first_round": None if self.first_round is None else self.first_round.calls,
        }


@dataclass(frozen=True)
class Plan(Shown):
    """Cells with calls, dollars and seconds as ranges; nothing was sent to make it.

    The low end of dollars takes every prompt token as cached and answers as short; the high end
    takes none as cached and every answer as long as its limit. What a call may cost at most is what
    the budget sets aside before it is sent, so a run never passes its cap, whatever the plan says.
    """

    cells: tuple[PlannedCell, ...]
    skipped: tuple[Skipped, ...]
    items: int
    positives: int | None
    """Targets among the items; None where they are not labelled."""
    budget_usd: float | None
    spent_earlier_usd: float = 0.0
    """What earlier executions of the same sweep spent of the budget."""
    missing_keys: tuple[str, ...] = ()
    """A sentence for each key that is not there: running needs it, planning does not."""
    caps: tuple[CapLeft, ...] = ()
    """The caps that would hold, the one with least left first."""
    first_round: int = 0
    """Items of the first round of a race; 0 where every cell is asked about every item."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it would be refused before anything is sent, missing keys apart: one sentence each."""
        found = [problem for planned in self.cells for problem in planned.problems]
        found += [f"{label} has no known price, so no cap can hold" for label in self.unpriced]
        return tuple(dict.fromkeys(found))

    @property
    def calls(self) -> int:
        """Calls to real models that would be made; in a race: at most."""
        return sum(planned.calls for planned in self.cells if not planned.simulated)

    @property
    def calls_least(self) -> int:
        """In a race: calls to real models if all cells but one were dropped after the first round."""
        return round(_least([(cell.at_least.calls, cell.calls) for cell in self._bought(simulated=False)]))

    @property
    def usd(self) -> Span:
        """Dollars of all real cells with a known price."""
        return _raced([(cell.at_least.usd, cell.usd) for cell in self._bought(simulated=False)])

    @property
    def leaving(self) -> dict[str, int]:
        """Endpoint to the number of conversations whose texts would be sent there."""
        ids: dict[str, set[str]] = {}
        for planned in self.cells:
            if planned.endpoint:
                ids.setdefault(planned.endpoint, set()).update(planned.leaving)
        return {place: len(found) for place, found in ids.items()}

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Cells whose model has no known price: they can't run under a cap."""
        return tuple(planned.label for planned in self.cells if planned.usd is None)

    @property
    def minutes(self) -> Span:
        """Minutes for everything, by what the store says of each model, else by a guess."""
        races = [self._bought(simulated=simulated) for simulated in (False, True)]
        real, made_up = (_raced([(cell.at_least.seconds, cell.seconds) for cell in race]) for race in races)
        return scaled(real.plus(made_up), 1 / 60)

    def _bought(self, *, simulated: bool) -> list[PlannedCell]:
        """The cells of one race, those left out that share the answers of another one."""
        return [planned for planned in self.cells if planned.simulated == simulated and not planned.same_as]

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types."""
        return {
            "items": self.items,
            "positives": self.positives,
            "calls": self.calls,
            "calls_least": self.calls_least,
            "first_round": self.first_round,
            "usd": list(self.usd),
            "minutes": list(self.minutes),
            "budget_usd": self.budget_usd,
            "spent_earlier_usd": self.spent_earlier_usd,
            "leaving": self.leaving,
            "unpriced": list(self.unpriced),
            "missing_keys": list(self.missing_keys),
            "problems": list(self.problems),
            "caps": [cap._asdict() for cap in self.caps],
            "tokens_by": tokens_by(),
            "cells": [planned.to_dict() for planned in self.cells],
            "skipped": [skip.to_dict() for skip in self.skipped],
        }

    @property
    def sentences(self) -> list[str]:
        """What a person should know before saying yes, one sentence each."""
        usd, minutes = self.usd, self.minutes
        targets = "" if self.positives is None else f" ({self.positives} targets)"
        said = [
            f"{counted(len(self.cells), 'cell')} on {counted(self.items, 'item')}{targets}: "
            f"{counted(self.calls, 'call')} to real models, "
            f"{_range(usd, 2)} dollars, {_range(minutes, 1)} minutes."
        ]
        if self.first_round:
            calls = f", from {counted(self.calls_least, 'call')} on," if self.calls else ""
            said.append(
                f"It is a race: the low ends{calls} are for all cells but one dropped after the first round of "
                f"{counted(self.first_round, 'item')}, the high ends for none dropped at all."
            )
        if self.spent_earlier_usd:
            said.append(f"Earlier executions of this sweep spent ${self.spent_earlier_usd:.2f}; the cap counts them.")
        said += [f"It would be refused: {problem.rstrip('.')}." for problem in self.problems]
        said += self._cap_sentences()
        said += [
            f"Texts that go to {place}: {counted(count, 'conversation')}." for place, count in self.leaving.items()
        ]
        if not self.leaving:
            said.append("No text leaves this machine.")
        said += [f"{missing} before it runs." for missing in self.missing_keys]
        said += [
            f"{planned.label}: {counted(planned.lost, 'item')} not asked before would fail, for nobody is asked."
            for planned in self.cells
            if planned.lost
        ]
        bases = dict.fromkeys(planned.seconds_by for planned in self.cells if planned.seconds_by)
        said += [f"Minutes go by {basis}." for basis in bases]
        said += _plan_sentences(self.cells)
        said += [f"Left out: {skip.label}: {skip.why}." for skip in self.skipped]
        if self.calls:
            said.append(f"Tokens are counted by {tokens_by()}.")
        return said

    def _cap_sentences(self) -> list[str]:
        """The cap that would end it first, and whether it is enough."""
        if not self.caps:
            return ["No cap holds, and it needs one before it runs: --max-usd, for instance."] if self.usd.high else []
        name, usd, left = self.caps[0]
        several = f", the tightest of {len(self.caps)}," if len(self.caps) > 1 else ""
        said = f"The cap {name}{several} is {usd_text(usd)}, {usd_text(left)} of it left"
        if self.problems:
            return [f"{said}."]
        enough = "enough" if self.usd.high <= left else "it may stop before the end; what is done is kept"
        return [f"{said}: {enough}."]

    def _table(self) -> TableText:
        return _table(self)


def scaled(each: tuple[float, float], times: float) -> Span:
    """Both ends so many times."""
    return Span(each[0] * times, each[1] * times)


def _raced(spans: Sequence[tuple[Span | None, Span | None]]) -> Span:
    """From the least of the low ends to the sum of the high ones, of cells as (first round, all rounds)."""
    known = [(first, whole) for first, whole in spans if first is not None and whole is not None]
    return Span(_least([(first.low, whole.low) for first, whole in known]), sum(whole.high for _, whole in known))


def _least(ends: Sequence[tuple[float, float]]) -> float:
    """The sum where all stop after the first round but the one for which going on costs least."""
    return sum(first for first, _ in ends) + min((whole - first for first, whole in ends), default=0.0)


def _plan_sentences(cells: Sequence[PlannedCell]) -> list[str]:
    """What 1,000 items cost under each plan, and what the plans are; nothing where all are paid as tokens come."""
    if all(planned.plan in ("", STANDARD) for planned in cells):
        return []
    said = []
    for planned in cells:
        span = planned.per_1000_usd
        if planned.plan:
            usd = "cost not known" if span is None else f"{usd_text(span.low)} to {usd_text(span.high)}"
            said.append(f"{planned.label}: {usd} for 1,000 items{' (simulated)' * planned.simulated}.")
    notes = {(planned.plan, planned.plan_note) for planned in cells if planned.plan not in ("", STANDARD)}
    said += [f"Plan {name}: {note}." for name, note in sorted(notes)]
    if any(planned.same_as for planned in cells):
        said.append("Cells that differ in their plan alone share their answers: these are bought once.")
    return said


def _table(made: Plan) -> TableText:
    rows = []
    for planned in made.cells:
        usd = "price unknown" if planned.usd is None else _range(planned.usd, 3)
        minutes = _range(scaled(planned.seconds, 1 / 60), 1)
        row = (planned.label, str(planned.calls), str(planned.stored), usd, minutes)
        rows.append((*row[:3], "simulated", minutes) if planned.simulated else row)
    heads = ("cell", "calls", "stored", "dollars", "minutes")
    return TableText("What would be done", heads, tuple(rows), tuple(made.sentences), (), (1, 2, 3, 4))


def _range(span: Span, digits: int) -> str:
    least = 10**-digits
    if span.high < least:
        return "0" if span.high == 0 else f"<{least:g}"
    low, high = f"{span.low:.{digits}f}", f"{span.high:.{digits}f}"
    return high if low == high else f"{low}-{high}"
