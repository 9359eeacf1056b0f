"""How often a verdict like this one is right: measured on the run's labelled items, said out of ten or a hundred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.types import Estimate, Prediction, is_flagged
from llmclf.workspace.run_results import RunResult

LEAST_IN_BAND = 10
"""So many targets and so many others must have a score like this one before they are looked at alone."""
_BANDS = 10
_TOO_LITTLE = "too little was labelled to say more"
_MANY = (10, 100, 1_000, 10_000)
PLURALS = {"conversation": "conversations", "reply": "replies"}
"""What is judged, for people."""


@dataclass(frozen=True)
class Sureness:
    """The share of verdicts like this one in which the target really is there."""

    share: Estimate
    """Of the flagged ones for a verdict that flagged, else of the quiet ones. Not known: `why_not` says why."""
    like: int
    """How many labelled items came out like this one."""
    targets: int
    """How many of those are the target."""
    score_band: tuple[float, float] | None
    """Their scores, where only those with a score like this one's were looked at; None: all alike."""
    measured_on: int
    """Labelled items of the run."""
    prevalence: float | None
    """The share of targets that was assumed; None: it follows from how the items were drawn."""

    @property
    def out_of(self) -> int:
        """Out of how many the share is best said: 10, 100, 1,000 or 10,000."""
        ends = (self.share.value, self.share.low, self.share.high)
        share = next((end for end in ends if end is not None and 0 < end < 1), 0.5)
        return next((many for many in _MANY[:-1] if share * many >= 0.95 and (1 - share) * many >= 0.5), _MANY[-1])

    def counts(self) -> tuple[int | None, int | None, int | None]:
        """(about, at least, at most) so many of `out_of`; None where that is not known."""
        share = self.share
        return tuple(None if end is None else round(end * self.out_of) for end in (share.value, share.low, share.high))  # type: ignore[return-value]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        about, low, high = self.counts()
        return {
            "share": self.share.to_dict(),
            "out_of": self.out_of,
            "about": about,
            "low": low,
            "high": high,
            "like": self.like,
            "targets": self.targets,
            "score_band": self.score_band and list(self.score_band),
            "measured_on": self.measured_on,
            "prevalence": self.prevalence,
        }


def sureness(prediction: Prediction, result: RunResult) -> Sureness:
    """How sure a verdict of a run is, from the labels of that run.

    Of the items that came out like it (flagged, or quiet), those whose score is in the same tenth where they are
    enough, else all. The share of targets among them is weighted by the dataset's design where that tells how
    rare targets are, else projected to the prevalence of the run's costs; intervals cluster by group. Not
    known for an item that failed.
    """
    matched = match(result.predictions, result.dataset, result.task)
    basis = drawn(result.dataset, matched.examples)
    assumed = None if basis.knows_prevalence else result.costs.prevalence
    if prediction.error is not None:
        none = Estimate.unknown("there was no answer")
        return Sureness(none, 0, 0, None, len(matched.examples), assumed)
    answered = ~matched.failed
    flagged = is_flagged(prediction.flagged, prediction.label, result.task.target)
    like = answered & (matched.flagged == flagged)
    band = _band(prediction)
    if band is not None:
        scores = np.array(matched.column(result.predictions, "score"), float)  # None is nan
        near = like & (scores >= band[0]) & (scores <= band[1])
        if _enough(near, matched.positive) and near.sum() < like.sum():
            like = near
        else:
            band = None
    table = stats.confusion(matched.positive, like, basis.sampling, failed=matched.failed)
    share = stats.precision(table) if assumed is None else stats.projected_precision(table, assumed)
    targets = int((like & matched.positive).sum())
    return Sureness(share, int(like.sum()), targets, band, len(matched.examples), assumed)


def _band(prediction: Prediction) -> tuple[float, float] | None:
    """The tenth of the scores that this one's is in."""
    if prediction.score is None or not 0 <= prediction.score <= 1:
        return None
    number = min(int(prediction.score * _BANDS), _BANDS - 1)
    return number / _BANDS, (number + 1) / _BANDS


def _enough(near: NDArray[np.bool_], positive: NDArray[np.bool_]) -> bool:
    return min(int((near & positive).sum()), int((near & ~positive).sum())) >= LEAST_IN_BAND


def sure_words(sure: Sureness, flagged: bool, thing: str) -> tuple[str, tuple[str, ...]]:
    """(how sure, what that rests on), in plain sentences; `thing` is what is judged: `conversation` or `reply`."""
    marked = "marked" if flagged else "left unmarked"
    about, low, high = sure.counts()
    of = f"Of {sure.out_of:,} {PLURALS[thing]} {marked} like this one"
    floor = low if low else None
    ceiling = high if high is not None and high < sure.out_of else None
    if about is not None:
        interval = "" if low is None or high is None else f" ({low:,} to {high:,})"
        said = f"{of}, about {about:,} {_verb(about, flagged)}{interval}."
    elif floor is not None and ceiling is not None:
        said = f"{of}, between {floor:,} and {ceiling:,} {_verb(ceiling, flagged)}: {_TOO_LITTLE}."
    elif floor is not None:
        said = f"{of}, at least {floor:,} {_verb(floor, flagged)}: {_no_more(sure, flagged)}."
    elif ceiling is not None:
        said = f"{of}, at most {ceiling:,} {_verb(ceiling, flagged)}: {_no_more(sure, flagged)}."
    else:
        why = sure.share.why_not or "there is no figure"
        return f"How often a verdict like this one is right is not known: too little was labelled ({why}).", ()
    return said, tuple(_basis(sure, marked, PLURALS[thing]))


def _no_more(sure: Sureness, flagged: bool) -> str:
    """Why one end is not known: nothing of one sort was seen, or there is too little of both."""
    right = "right one " if flagged else ""
    if sure.targets == 0:
        return f"more can't be said, as not one {right}was seen"
    if flagged and sure.targets == sure.like:
        return "more can't be said, as not one wrong one was seen"
    return _TOO_LITTLE


def _verb(count: int, flagged: bool) -> str:
    if flagged:
        return "is right" if count == 1 else "are right"
    return "is what was looked for after all" if count == 1 else "are what was looked for after all"


def _basis(sure: Sureness, marked: str, things: str) -> list[str]:
    alike = f"{sure.like:,} of them were {marked}"
    if sure.score_band is not None:
        alike += f" with a score from {sure.score_band[0]:.1f} to {sure.score_band[1]:.1f}, as this one"
    measured = f"Measured on {sure.measured_on:,} {things} whose right answer was known; {alike}."
    if sure.prevalence is None:
        return [measured, f"Those {things} were drawn so that the figure holds for everyday traffic."]
    share = f"{sure.prevalence * 1000:g} in 1,000 {things}"
    return [f"It is assumed that {share} really are of this kind.", measured]
