"""How often 95 % intervals of rates hold the truth, where positives are few and weights unequal.

python benchmarks/coverage.py [--json] [--quick]

Every setting draws labelled samples again and again from a known population; four ways to make an interval
are tried on each of them: llmclf's (one unseen item in the heaviest stratum), a posterior with a prior in each
of H strata, Beta(k + 1/H, n - k + 1), the percentile bootstrap, and Wald's. The bootstrap resamples groups and
Wald sums by them where there are any; the prior does not know of groups. A sample without a positive claims
nothing and is left out.

    good, leaky   100,000 items, 500 positives, four strata of which the first two are flagged; leaky: 30 % of
                  the positives lie in the unflagged rest of 95,000, of which a few hundred items are labelled
    mixed         the same strata, flagged in part in each of them
    random        a simple random sample
    turns         all turns of randomly drawn dialogues
    leaky groups  leaky, drawn by groups of one to seven items
    tasks         recurring tasks that stand in both strata, one of them labelled completely

That is of recall and prevalence. Specificity and precision near 0 and near 1 have settings of their own, in `ends`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import ends
import numpy as np
import numpy.typing as npt
from common import Goal, finish, options

from llmclf.stats import Sampling, confusion, prevalence, recall

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], "Sample"]
Interval = tuple[float, float] | None

REPETITIONS = 4000
QUICK = 40
DRAWS = 1000
RESAMPLES = 400
FIGURES = ("recall", "prevalence")
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


# --- populations ------------------------------------------------------------------------------------------------


def strata(
    name: str, positives: Sequence[int], drawn: Sequence[int], found: Sequence[float], alarms: Sequence[float]
) -> Setting:
    """A fixed population of four strata; `found` and `alarms` are the flagged shares of positives and others."""
    hits = np.round(np.array(positives) * np.array(found))
    others = POPULATION - positives
    false = np.round(others * np.array(alarms))
    cells = np.array([hits, np.array(positives) - hits, false, others - false], int).T
    stratum = np.repeat(np.arange(4), drawn)

    def draw(rng: np.random.Generator) -> Sample:
        seen = [rng.multivariate_hypergeometric(row, n) for row, n in zip(cells, drawn, strict=True)]
        cell = np.concatenate([np.repeat(np.arange(4), counts) for counts in seen])
        return Sample(cell < 2, cell % 2 == 0, Sampling(stratum, POPULATION))

    return Setting(name, draw, float(hits.sum() / sum(positives)), sum(positives) / float(POPULATION.sum()))


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
    ]


# --- ways to make an interval -----------------------------------------------------------------------------------


def ours(sample: Sample, seed: int) -> tuple[Interval, Interval]:
    table = confusion(sample.positive, sample.flagged, sample.sampling, draws=DRAWS, seed=seed)
    estimates = (recall(table), prevalence(table))
    return tuple(None if one.low is None or one.high is None else (one.low, one.high) for one in estimates)  # type: ignore[return-value]


def counts_of(sample: Sample) -> Floats:
    """(strata, 4) counts of found, missed, false alarm, quiet."""
    cell = np.where(sample.positive, 0, 2) + np.where(sample.flagged, 0, 1)
    width = len(sample.sampling.population)
    return np.bincount(sample.sampling.stratum * 4 + cell, minlength=width * 4).reshape(width, 4).astype(float)


def of_totals(totals: Floats) -> tuple[Interval, Interval]:
    """Percentile intervals from (draws, 4) totals; None where no draw has a positive."""
    positives = totals[:, 0] + totals[:, 1]
    found = totals[positives > 0, 0] / positives[positives > 0]
    ends = [2.5, 97.5]
    first = tuple(np.percentile(found, ends)) if len(found) else None
    return first, tuple(np.percentile(positives / totals.sum(axis=1), ends))  # type: ignore[return-value]


def prior_in_every_stratum(sample: Sample, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """Positives of each stratum by Beta(k + 1/H, n - k + 1); where both were seen, found and missed share the 1/H."""
    seen = counts_of(sample)
    kinds = np.stack([seen[:, 0] + seen[:, 2] > 0, seen[:, 1] + seen[:, 3] > 0], axis=1)
    found_missed = seen[:, :2] + kinds / kinds.sum(axis=1, keepdims=True) / len(seen)
    positives = rng.standard_gamma(found_missed, (DRAWS, *found_missed.shape))
    others = rng.standard_gamma(seen[:, 2:].sum(axis=1) + 1, (DRAWS, len(seen)))
    scale = sample.sampling.population / (positives.sum(axis=2) + others)
    found, missed = (positives * scale[:, :, None]).sum(axis=1).T
    rest = (others * scale).sum(axis=1)
    return of_totals(np.stack([found, missed, rest, np.zeros(DRAWS)], axis=1))


def bootstrap(sample: Sample, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """Items resampled within strata, or whole groups, and the percentiles."""
    sampling, seen = sample.sampling, counts_of(sample)
    width = len(seen)
    if sampling.group is None:
        drawn = np.stack([rng.multinomial(int(row.sum()), row / row.sum(), RESAMPLES) for row in seen], axis=1)
    else:
        groups = int(sampling.group.max()) + 1
        cell = sampling.stratum * 4 + np.where(sample.positive, 0, 2) + np.where(sample.flagged, 0, 1)
        rows = np.bincount(sampling.group * width * 4 + cell, minlength=groups * width * 4).reshape(groups, width * 4)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES)
        drawn = (times.astype(float) @ rows).reshape(RESAMPLES, width, 4)
    sizes = np.maximum(drawn.sum(axis=2, keepdims=True), 1)
    return of_totals((drawn / sizes * sampling.population[:, None]).sum(axis=1))


def wald(sample: Sample) -> tuple[Interval, Interval]:
    """Estimate plus or minus 1.96 linearised standard errors, by group within strata."""
    sampling, weight = sample.sampling, sample.sampling.weight
    positives, total = float(weight @ sample.positive), float(weight.sum())
    rate = positives / total
    intervals: list[Interval] = []
    found = float(weight @ (sample.positive & sample.flagged)) / positives if positives else None
    for value, residual in (
        (found, None if found is None else weight * sample.positive * (sample.flagged - found) / positives),
        (rate, weight * (sample.positive - rate) / total),
    ):
        if value is None or residual is None:
            intervals.append(None)
            continue
        n = np.bincount(sampling.stratum)
        centred = residual - (np.bincount(sampling.stratum, weights=residual) / n)[sampling.stratum]
        sums = centred if sampling.group is None else np.bincount(sampling.group, weights=centred)
        reach = 1.96 * float(np.sqrt(sums @ sums))
        intervals.append((value - reach, value + reach))
    return intervals[0], intervals[1]


# --- the run ----------------------------------------------------------------------------------------------------


def measure(number: int, repetitions: int) -> dict[str, Any]:
    """Coverage and mean width of each way in one setting, all on the same samples."""
    setting = settings()[number]
    rng = np.random.default_rng([7, number])
    truth = {"recall": setting.recall, "prevalence": setting.prevalence}
    held: dict[str, dict[str, list[bool]]] = {}
    width: dict[str, dict[str, list[float]]] = {}
    positives = []
    for repetition in range(repetitions):
        sample = setting.draw(rng)
        positives.append(int(sample.positive.sum()))
        arms = {
            "llmclf": ours(sample, repetition),
            "prior in every stratum": prior_in_every_stratum(sample, rng),
            "bootstrap": bootstrap(sample, rng),
            "wald": wald(sample),
        }
        for arm, intervals in arms.items():
            for figure, interval in zip(FIGURES, intervals, strict=True):
                if interval is None:  # no positive was drawn: nothing is claimed
                    continue
                low, high = interval
                held.setdefault(arm, {}).setdefault(figure, []).append(low <= truth[figure] <= high)
                width.setdefault(arm, {}).setdefault(figure, []).append(high - low)
    return {
        "setting": setting.name,
        "truth": {name: round(value, 5) for name, value in truth.items()},
        "mean_positives": round(float(np.mean(positives)), 1),
        **{
            arm: {
                figure: {
                    "coverage": round(float(np.mean(hits)), 4),
                    "width": float(f"{np.mean(width[arm][figure]):.3g}"),
                }
                for figure, hits in by_figure.items()
            }
            for arm, by_figure in held.items()
        },
    }


def goals_of(rows: Sequence[dict[str, Any]], end_rows: Sequence[dict[str, Any]]) -> list[Goal]:
    goals = []
    for figure in FIGURES:
        got = [row["llmclf"][figure]["coverage"] for row in rows]
        worst, mean = min(got), float(np.mean(got))
        goals.append(Goal(f"worst coverage of {figure}", ">= .92", worst, worst >= 0.92))
        goals.append(Goal(f"mean coverage of {figure}", ".94-.98", round(mean, 4), 0.94 <= mean <= 0.98))
    for figure in ends.FIGURES:
        worst = min(row[figure]["coverage"] for row in end_rows)
        goals.append(Goal(f"worst coverage of {figure} near 0 and 1", ">= .92", worst, worst >= 0.92))
    return goals


def show(rows: Sequence[dict[str, Any]], arms: Sequence[str]) -> None:
    print("coverage (mean width); nominal 95 %\n")
    for figure in FIGURES:
        print(f"{figure:32}{'positives':>10}" + "".join(f"{arm:>24}" for arm in arms))
        for row in rows:
            cells = (f"{row[arm][figure]['coverage']:.3f} ({row[arm][figure]['width']:.3g})" for arm in arms)
            print(f"{row['setting']:32}{row['mean_positives']:>10}" + "".join(f"{cell:>24}" for cell in cells))
        print()


def show_ends(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{'near 0 and near 1':66}" + "".join(f"{figure:>26}" for figure in ends.FIGURES))
    for row in rows:
        cells = (
            f"{row['truth'][one]:.3f}: {row[one]['coverage']:.3f} ({row[one]['width']:.3g})" for one in ends.FIGURES
        )
        print(f"{row['setting']:66}" + "".join(f"{cell:>26}" for cell in cells))
    print()


def main() -> None:
    chosen = options(__doc__)
    began = time.monotonic()
    repetitions = QUICK if chosen.quick else REPETITIONS
    numbers = range(len(settings()))
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(measure, numbers, [repetitions] * len(numbers)))
        places = range(len(ends.settings()))
        end_rows = list(pool.map(ends.measure, places, [repetitions] * len(places)))
    arms = ("llmclf", "prior in every stratum", "bootstrap", "wald")
    if not chosen.json:
        show(rows, arms)
        show_ends(end_rows)
    summary = {
        f"{arm}, {figure}": {
            "worst": min(row[arm][figure]["coverage"] for row in rows),
            "mean": round(float(np.mean([row[arm][figure]["coverage"] for row in rows])), 4),
        }
        for arm in arms
        for figure in FIGURES
    }
    figures: dict[str, Any] = {"repetitions": repetitions, "seconds": round(time.monotonic() - began, 1), **summary}
    if chosen.json:
        figures |= {"settings": rows, "ends": end_rows}
    finish(figures, goals_of(rows, end_rows), chosen)


if __name__ == "__main__":
    main()
