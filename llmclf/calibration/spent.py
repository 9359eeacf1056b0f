"""What a session has cost: people's minutes, their dollars, and the judge's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmclf.calibration.session import LabelledCase
from llmclf.types import Annotation, Judgment


@dataclass(frozen=True, slots=True)
class Spent:
    """Of the whole session, practice included; a judgment costs what was paid when it was made."""

    labels: int
    adjudications: int
    untimed: int
    """Labels and adjudications whose time is not known; they are in no sum."""
    minutes: float
    """Of first labels."""
    adjudication_minutes: float
    usd_per_hour: float
    people_usd: float
    judgments: int
    judge_usd: float | None
    """None where the price of a judgment is not known."""

    @property
    def usd(self) -> float | None:
        """People and judge; None where a price is not known."""
        return None if self.judge_usd is None else self.people_usd + self.judge_usd

    @property
    def is_timed(self) -> bool:
        """True where the time of any label or adjudication is known."""
        return self.untimed < self.labels + self.adjudications

    @property
    def seconds_a_label(self) -> float | None:
        """Of a timed label or adjudication, on average; None where none is timed."""
        timed = self.labels + self.adjudications - self.untimed
        return None if not timed else (self.minutes + self.adjudication_minutes) * 60 / timed


def spent_on(labelled: Sequence[LabelledCase], judgments: Sequence[Judgment], usd_per_hour: float) -> Spent:
    """Sums over all labels of a session and all judgments given."""
    first = [said for one in labelled for said in one.annotations]
    second = [one.adjudication for one in labelled if one.adjudication is not None]
    minutes, adjudication_minutes = _minutes(first), _minutes(second)
    prices = [one.cost_nano_usd for one in judgments]
    known = [price for price in prices if price is not None]
    return Spent(
        labels=len(first),
        adjudications=len(second),
        untimed=sum(one.seconds is None for one in (*first, *second)),
        minutes=minutes,
        adjudication_minutes=adjudication_minutes,
        usd_per_hour=usd_per_hour,
        people_usd=(minutes + adjudication_minutes) / 60 * usd_per_hour,
        judgments=len(judgments),
        judge_usd=sum(known) / 1e9 if len(known) == len(prices) else None,
    )


def _minutes(said: Sequence[Annotation]) -> float:
    return sum(one.seconds or 0.0 for one in said) / 60
