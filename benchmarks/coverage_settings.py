"""Populations of known truth, and how labelled samples are drawn from them; part of coverage.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.stats import Sampling

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], "Sample"]

ITEMS, TARGETS, BANDS = 100_000, 500, 9
POPULATION = np.array([250.0, 750.0, 4000.0, 95000.0])
GOOD, LEAKY = (150, 200, 100, 50), (100, 150, 100, 150)
SMALL, HALF, MIDDLE, LARGE = (20, 20, 20, 40), (50, 50, 100, 200), (100, 100, 300, 500), (100, 200, 500, 1200)


@dataclass(frozen=True)
class Sample:
    """Labelled items."""

    positive: npt.NDArray[np.bool_]
    flagged: npt.NDArray[np.bool_]
    sampling: Sampling


@dataclass(frozen=True)
class Setting:
    """A population, how it is sampled, and what is true of it."""

    name: str
    draw: Draw
    recall: float
    prevalence: float


def fixed(name: str, cells: npt.NDArray[np.int64], drawn: Sequence[int]) -> Setting:
    """A population counted by stratum, (strata, 4) of found, missed, false alarm, quiet; `drawn` of each."""
    stratum = np.repeat(np.arange(len(cells)), drawn)
    sizes = cells.sum(axis=1).astype(float)

    def draw(rng: np.random.Generator) -> Sample:
        seen = [rng.multivariate_hypergeometric(row, n) for row, n in zip(cells, drawn, strict=True)]
        cell = np.concatenate([np.repeat(np.arange(4), counts) for counts in seen])
        return Sample(cell < 2, cell % 2 == 0, Sampling(stratum, sizes))

    found, missed = (float(cells[:, kind].sum()) for kind in (0, 1))
    return Setting(name, draw, found / (found + missed), (found + missed) / float(sizes.sum()))


def strata(
    name: str, positives: Sequence[int], drawn: Sequence[int], found: Sequence[float], alarms: Sequence[float]
) -> Setting:
    """A fixed population of four strata; `found` and `alarms` are the flagged shares of positives and others."""
    hits = np.round(np.array(positives) * np.array(found))
    others = POPULATION - positives
    false = np.round(others * np.array(alarms))
    return fixed(name, np.array([hits, np.array(positives) - hits, false, others - false], int).T, drawn)


def scored(name: str, n: int, slope: float, hidden: float) -> Setting:
    """Nine bands of the classifier's own score, of equal sums of sqrt(p), with n / 9 labels each; the top four flagged.

    The score's logit is `slope` times what it should be; a share `hidden` of the targets looks like all others.
    """
    rng = np.random.default_rng(2)
    target = np.arange(ITEMS) < TARGETS
    shown = target & (np.arange(ITEMS) >= hidden * TARGETS)
    seen = rng.standard_normal(ITEMS) + 2.2 * shown
    logit = slope * (np.log(TARGETS / (ITEMS - TARGETS)) + 2.2 * seen - 2.2**2 / 2)
    order = np.argsort(-logit)
    parts = np.cumsum(1 / np.sqrt(1 + np.exp(-logit[order])))
    band = np.minimum((parts / parts[-1] * BANDS).astype(int), BANDS - 1)
    kind = np.where(target[order], 0, 2) + (band >= 4)
    cells = np.bincount(band * 4 + kind, minlength=BANDS * 4).reshape(BANDS, 4)
    return fixed(name, cells, [min(n // BANDS, int(size)) for size in cells.sum(axis=1)])


def random(name: str, n: int, rate: float, found: float, alarms: float) -> Setting:
    """A simple random sample."""

    def draw(rng: np.random.Generator) -> Sample:
        positive = rng.random(n) < rate
        return Sample(positive, rng.random(n) < np.where(positive, found, alarms), Sampling.simple(n))

    return Setting(name, draw, found, rate)


def alike(rng: np.random.Generator, mean: float, likeness: float, groups: int) -> Floats:
    """A rate for each group, beta with this mean and this correlation of items within a group."""
    if mean in (0.0, 1.0):
        return np.full(groups, mean)
    spread = 1 / likeness - 1
    return rng.beta(mean * spread, (1 - mean) * spread, groups)


def items_of_groups(
    rng: np.random.Generator, groups: int, sizes: tuple[int, int], rates: tuple[float, float, float], likeness: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(group, positive, flagged) of all items; `rates` are of positives, of finds and of false alarms."""
    group = np.repeat(np.arange(groups), rng.integers(sizes[0], sizes[1] + 1, groups))
    of_group = [alike(rng, rate, likeness, groups)[group] for rate in rates]
    positive = rng.random(len(group)) < of_group[0]
    return group, positive, rng.random(len(group)) < np.where(positive, of_group[1], of_group[2])


def turns(name: str, dialogues: int, rate: float, likeness: float) -> Setting:
    """All turns of dialogues drawn at random."""

    def draw(rng: np.random.Generator) -> Sample:
        group, positive, flagged = items_of_groups(rng, dialogues, (5, 15), (rate, 0.7, 0.05), likeness)
        return Sample(positive, flagged, Sampling.simple(len(group), group))

    return Setting(name, draw, 0.7, rate)


def leaky_groups(name: str, drawn: Sequence[int]) -> Setting:
    """The leaky strata, drawn by groups of one to seven items (four on average)."""
    rates = np.array(LEAKY) / POPULATION

    def draw(rng: np.random.Generator) -> Sample:
        parts, stratum, first = [], [], 0
        for number, size in enumerate(drawn):
            flagged = 1.0 if number < 2 else 0.0
            made = items_of_groups(rng, max(1, size // 4), (1, 7), (rates[number], flagged, flagged), 0.4)
            parts.append((made[0] + first, *made[1:]))
            stratum.append(np.full(len(made[0]), number))
            first += size
        group, positive, flagged_items = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        group = np.unique(group, return_inverse=True)[1]
        return Sample(positive, flagged_items, Sampling(np.concatenate(stratum), POPULATION, group=group))

    return Setting(name, draw, sum(LEAKY[:2]) / sum(LEAKY), sum(LEAKY) / float(POPULATION.sum()))


def tasks(name: str, n_tasks: int, agents: int, rate: float) -> Setting:
    """Each task once with every agent; most positives are in a stratum labelled whole, .4 of the rest is labelled."""

    def draw(rng: np.random.Generator) -> Sample:
        group, positive, flagged = items_of_groups(rng, n_tasks, (agents, agents), (rate, 0.7, 0.05), 0.3)
        whole = rng.random(len(group)) < np.where(positive, 0.85, 0.2)
        labelled = whole | (rng.random(len(group)) < 0.4)
        sizes = np.array([whole.sum(), (~whole).sum()], float)
        number = np.unique(group[labelled], return_inverse=True)[1]
        sampling = Sampling(np.where(whole, 0, 1)[labelled], sizes, group=number)
        return Sample(positive[labelled], flagged[labelled], sampling)

    return Setting(name, draw, 0.7, rate)


def settings() -> list[Setting]:
    """The design settings, plain random samples and clustered ones."""
    cut = ((1, 1, 0, 0), (1, 1, 0, 0))
    mixed = ((0.9, 0.8, 0.7, 0.6), (0.3, 0.1, 0.01, 0.001))
    return [
        *(strata(f"good {n}", GOOD, n, *cut) for n in (SMALL, HALF, MIDDLE, LARGE)),
        *(strata(f"leaky {n}", LEAKY, n, *cut) for n in (HALF, MIDDLE, LARGE)),
        *(strata(f"mixed {n}", LEAKY, n, *mixed) for n in (HALF, LARGE)),
        random("random 500, 5 %", 500, 0.05, 0.8, 0.01),
        random("random 2000, 1 %", 2000, 0.01, 0.8, 0.01),
        turns("turns of 100 dialogues, 13 %", 100, 0.13, 0.1),
        turns("turns of 400 dialogues, 1 %", 400, 0.01, 0.3),
        leaky_groups(f"leaky groups {LARGE}", LARGE),
        tasks("50 tasks by 12 agents, 10 %", 50, 12, 0.10),
        *(
            scored(f"nine bands, {n} labels{what}", n, slope, hidden)
            for n in (600, 2000)
            for what, slope, hidden in (("", 1.0, 0.0), (", flat score", 0.6, 0.0), (", a quarter hidden", 1.0, 0.25))
        ),
    ]
