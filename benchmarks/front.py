"""Does "on the front in 90 % of resamples" mean nine times in ten, and is a named winner truly the cheapest?

Worlds of eight cells whose miss rates, false-alarm rates, prices and seconds are drawn anew each time, so that the
truth is known. Items are hard for all cells alike, half of the time. `spread`: how far the rates of the cells lie
apart (standard deviation of their logarithm). Dollars are $40 a miss at .5 %, $2 a false alarm, $1.20 a review.
Cells are sorted into classes by what was said of them; beside its mean stands in how many cases it was so.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Goal, finish, options

from llmclf.stats import Sampling, paired_cells, paired_dollars
from llmclf.stats.front import Answers, front_chances, on_front, resample
from llmclf.types import Costs

CELLS, REPLICATES = 8, 300
LEAST_IN_CLASS = 50
"""Fewer cells can't tell .1 apart."""
CLASSES = (0.0, 0.1, 0.5, 0.85, 0.95, 1.001)
COSTS = Costs()
Floats = npt.NDArray[np.float64]


class World:
    """Cells with known rates."""

    def __init__(self, spread: float, rng: np.random.Generator) -> None:
        self.miss = np.clip(rng.uniform(0.02, 0.3) * np.exp(spread * rng.normal(size=CELLS)), 0.002, 0.9)
        self.alarm = np.clip(0.01 * np.exp(spread * rng.normal(size=CELLS)), 1e-4, 0.3)
        self.pace = np.exp(0.7 * rng.normal(size=CELLS))
        self.price = 2e-3 * np.exp(rng.normal(size=CELLS))

    def truth(self) -> tuple[Floats, Floats]:
        """(cells,) dollars per 1,000 and p95 seconds."""
        share, review = COSTS.prevalence, COSTS.review_usd
        found = self.miss * COSTS.missed_usd + (1 - self.miss) * review
        alarms = self.alarm * (COSTS.false_alarm_usd + review)
        return 1000 * (share * found + (1 - share) * alarms + self.price), self.pace * np.exp(0.5 * 1.6449)

    def sample(self, targets: int, others: int, rng: np.random.Generator) -> Answers:
        """What the cells say of so many items."""
        items = targets + others
        positive = np.arange(items) < targets
        luck = np.where(rng.random((CELLS, items)) < 0.5, rng.random(items), rng.random((CELLS, items)))
        flagged = np.where(positive, luck > self.miss[:, None], luck < self.alarm[:, None])
        seconds = self.pace[:, None] * np.exp(0.5 * rng.normal(size=(CELLS, items)))
        price = np.tile(self.price[:, None], (1, items))
        sampling = Sampling.simple(items)
        return Answers(positive, sampling, flagged, np.zeros_like(flagged), price, seconds, np.arange(CELLS))


def winner(answers: Answers) -> int | None:
    """The cell that is shown to cost less than each other one, compared in pairs; None: not decided."""
    review, share = COSTS.review_usd, COSTS.prevalence
    target = answers.positive
    missed, alarms = 1 - answers.flagged[:, target].mean(axis=1), answers.flagged[:, ~target].mean(axis=1)
    usd = share * (missed * COSTS.missed_usd + (1 - missed) * review)
    usd = usd + (1 - share) * alarms * (COSTS.false_alarm_usd + review) + answers.model_usd[:, 0]
    first = int(np.argmin(usd))
    for other in range(CELLS):
        if other == first:
            continue
        flags, fails = ((rows[first], rows[other]) for rows in (answers.flagged, answers.failed))
        pairs = paired_cells(target, flags, fails, answers.sampling, draws=1000)
        prices = (float(answers.model_usd[first, 0]), float(answers.model_usd[other, 0]))
        extra = paired_dollars(pairs, COSTS, model_usd=prices)
        if extra.low is None or extra.low <= 0:
            return None
    return first


def setting(targets: int, others: int, spread: float, worlds: int) -> dict[str, Any]:
    """What was said and what was so over many worlds."""
    rng = np.random.default_rng([targets, int(10 * spread)])
    said, true = [], []
    named = right = 0
    for number in range(worlds):
        world = World(spread, rng)
        answers = world.sample(targets, others, rng)
        usd, seconds = world.truth()
        said.append(front_chances(resample(answers, COSTS, replicates=REPLICATES, seed=number)))
        true.append(on_front(usd[None, :], seconds[None, :])[0])
        chosen = winner(answers)
        named += chosen is not None
        right += chosen == int(np.argmin(usd))
    chances, truth = np.concatenate(said), np.concatenate(true)
    classes = {}
    for low, high in pairwise(CLASSES):
        among = (chances >= low) & (chances < high)
        if among.any():
            figures = {"cells": int(among.sum()), "said": chances[among].mean(), "so": truth[among].mean()}
            classes[f"{low:g} to {min(high, 1):g}"] = {
                name: round(float(figure), 3) for name, figure in figures.items()
            }
    return {"classes": classes, "worlds": worlds, "decided": named, "right": right}


def main() -> None:
    """Two spreads at three sizes."""
    chosen = options(__doc__)
    worlds = 4 if chosen.quick else 400
    figures = {
        f"{targets} targets, {others} others, spread {spread:g}": setting(targets, others, spread, worlds)
        for targets, others in ((20, 200), (60, 400), (200, 1800))
        for spread in (0.2, 0.8)
    }
    sure = [one["classes"].get("0.95 to 1", {"so": 1.0})["so"] for one in figures.values()]
    apart = [
        abs(part["so"] - part["said"])
        for name, one in figures.items()
        if name.endswith("0.8")
        for part in one["classes"].values()
        if part["cells"] >= LEAST_IN_CLASS
    ]
    decided, right = (sum(one[name] for one in figures.values()) for name in ("decided", "right"))
    worst, least = max(apart, default=0.0), min(sure)
    named = right / max(1, decided)
    goals = [
        Goal("truly on the front where .95 and more was said, worst setting", ">= 0.93", least, least >= 0.93),
        Goal("what was said less what was so, where cells differ, worst class", "<= 0.1", worst, worst <= 0.1),
        Goal("named winners that truly are the cheapest", ">= 0.95", named, named >= 0.95),
    ]
    finish(figures, goals, chosen)


if __name__ == "__main__":
    main()
