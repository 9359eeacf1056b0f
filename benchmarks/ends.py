"""How often intervals of specificity and precision hold where the rate lies near 0 or near 1; part of coverage.py.

Sets of 10 and 40 items a side, two and four strata of unequal weight, and groups of five. A false alarm rate
near 1 is as possible as one near 0: a classifier that flags everything has specificity 0. `hidden_finds` stands
apart: a heavy stratum in which the classifier finds targets and raises no alarm, and of which a small sample shows
no flagged item. There precision is higher than the sample can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from coverage_ways import Interval, held

from llmclf.stats import Sampling, confusion, precision, specificity
from llmclf.types import Estimate

DRAWS = 500
FIGURES = ("specificity", "precision")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ends:
    """A population by strata: sizes, labelled items, and the rates of targets, of finds and of false alarms."""

    name: str
    population: tuple[int, ...]
    drawn: tuple[int, ...]
    targets: tuple[float, ...]
    found: tuple[float, ...]
    alarms: tuple[float, ...]
    group: int = 1
    """Items of a group, whose rates are alike (correlation .2)."""

    def truth(self) -> dict[str, float]:
        """Specificity and precision of the population."""
        size, rate = np.array(self.population, float), np.array(self.targets)
        found, others = size * rate * np.array(self.found), size * (1 - rate)
        alarms = others * np.array(self.alarms)
        return {
            "specificity": float(1 - alarms.sum() / others.sum()),
            "precision": float(found.sum() / (found.sum() + alarms.sum())),
        }

    def sample(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Sampling]:
        """Labels, flags and sampling of one labelled sample."""
        stratum = np.repeat(np.arange(len(self.drawn)), self.drawn)
        group = np.arange(len(stratum)) // self.group
        positive = rng.random(len(stratum)) < self._rates(rng, self.targets, stratum, group)
        found, alarms = (self._rates(rng, one, stratum, group) for one in (self.found, self.alarms))
        flagged = rng.random(len(stratum)) < np.where(positive, found, alarms)
        sizes = np.array(self.population, float)
        return positive, flagged, Sampling(stratum, sizes, group=None if self.group == 1 else group)

    def _rates(
        self, rng: np.random.Generator, of: Sequence[float], stratum: npt.NDArray[np.intp], group: npt.NDArray[np.intp]
    ) -> Floats:
        rates = np.array(of)[stratum]
        if self.group == 1 or of[0] in (0.0, 1.0):
            return rates
        drawn: Floats = rng.beta(4 * of[0], 4 * (1 - of[0]), int(group.max()) + 1)[group]
        return drawn


def settings() -> list[Ends]:
    """Both ends in small sets, in strata and in groups."""
    plain = [
        Ends(f"{n} a side, specificity {1 - rate:.3g}", (2 * n,), (2 * n,), (0.5,), (0.9,), (rate,))
        for n in (10, 40)
        for rate in (1.0, 0.98, 0.95, 0.1, 0.02, 0.005)
    ]
    two = [
        Ends(f"two strata {drawn}, alarms {rates}", (1000, 9000), drawn, (0.3, 0.02), (0.9, 0.5), rates)
        for drawn in ((20, 20), (50, 200))
        for rates in ((1.0, 1.0), (0.98, 0.98), (0.7, 0.99), (0.02, 0.02), (0.3, 0.001))
    ]
    four = [
        Ends(
            f"four strata {drawn}, alarms {rates}",
            (250, 750, 4000, 95000),
            drawn,
            (0.4, 0.2, 0.025, 0.001),
            (0.9, 0.8, 0.7, 0.6),
            rates,
        )
        for drawn in ((20, 20, 20, 40), (50, 50, 100, 200))
        for rates in ((0.98, 0.98, 0.98, 0.98), (1.0, 1.0, 0.95, 0.99), (0.5, 0.2, 0.02, 0.002))
    ]
    sure = [
        Ends(f"two strata {drawn}, precision near 1", (1000, 3000), drawn, (0.9, 0.6), (0.9, 0.8), (0.05, 0.02))
        for drawn in ((20, 20), (50, 200))
    ]
    groups = [
        Ends(f"{n} groups of 5, specificity {1 - rate:.3g}", (5 * n,), (5 * n,), (0.3,), (0.8,), (rate,), 5)
        for n in (10, 40)
        for rate in (0.98, 0.02)
    ]
    return [*plain, *two, *four, *sure, *groups]


def hidden_finds() -> list[Ends]:
    """Two strata; in the heavier one nothing but targets is flagged, and few of them are labelled."""
    return [
        Ends(f"two strata {drawn}, finds {rate * found:.3g} of the heavy one", (1000, 9000), drawn, *rates)
        for drawn in ((50, 20), (50, 50), (50, 200))
        for rate, found in ((0.02, 0.5), (0.05, 0.5), (0.05, 0.9))
        for rates in [((0.3, rate), (0.9, found), (0.3, 0.0))]
    ]


def measure(setting: Ends, repetitions: int) -> dict[str, Any]:
    """Coverage and mean width in one setting; a sample without what a rate is a share of claims nothing."""
    rng, truth = np.random.default_rng([11, *setting.name.encode()]), setting.truth()
    made: dict[str, list[Interval]] = {figure: [] for figure in FIGURES}
    for repetition in range(repetitions):
        positive, flagged, sampling = setting.sample(rng)
        table = confusion(positive, flagged, sampling, draws=DRAWS, seed=repetition)
        estimates: tuple[Estimate, ...] = (specificity(table), precision(table))
        for figure, estimate in zip(FIGURES, estimates, strict=True):
            if estimate.low is not None and estimate.high is not None:
                slack = 1e-9  # of a truth of exactly 0 or 1
                made[figure].append((estimate.low - slack, estimate.high + slack))
    return {
        "setting": setting.name,
        "truth": {name: round(value, 5) for name, value in truth.items()},
        **{figure: held(made[figure], truth[figure]) for figure in FIGURES},
    }
