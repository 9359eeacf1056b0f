"""How often the 95 % interval of a paired difference holds the truth, and whether so many labels do decide.

python benchmarks/paired.py [--json] [--quick]

Two classifiers judge the same labelled items, again and again, 2,000 times in each setting. A setting says how often
both, the one, the other or neither flags a target, and another item; from that the true difference in dollars for
1,000 items (prevalence .5 %), in recall and in false alarms follows. llmclf's intervals of all three stand beside the
dollars of two others: a Bayesian bootstrap of groups with one pseudo item in each cell of disagreement, and Wald's of
the groups' sums. A sample with fewer than ten targets claims nothing and is left out.

    plain       a simple random sample of so many targets + others
    groups      groups of items of one kind that share their luck, or of both kinds
    strata      few likely items labelled densely, many unlikely ones thinly; the unlikely are hardly ever flagged

Then: of comparisons with as many more labels as `more_labels` names for the true difference, the share that is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import Goal, finish, options
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.stats import Sampling
from llmclf.types import Costs, Estimate

REPETITIONS, QUICK = 2000, 20
DRAWS = 1500
COSTS = Costs(prevalence=0.005)
TARGET_USD, OTHER_USD = COSTS.review_usd - COSTS.missed_usd, COSTS.false_alarm_usd + COSTS.review_usd
"""What it costs more to flag a target, and another item."""
Chances = tuple[float, float, float, float]
"""Of being flagged by both, by A alone, by B alone, by neither."""
FIGURES = ("dollars", "recall", "false alarms")
OTHERS = ("bootstrap", "wald")

SURE: Chances = (0.7, 0.1, 0.1, 0.1)
UNSURE: Chances = (0.1, 0.1, 0.1, 0.7)
TOP: Chances = (0.05, 0.06, 0.04, 0.85)
REST: Chances = (0.0005, 0.001, 0.0008, 0.9977)


@dataclass(frozen=True)
class Setting:
    """How items are drawn and what both make of them; one stratum, or several."""

    name: str
    labelled: tuple[int, ...]
    """Items of each stratum."""
    share: tuple[float, ...]
    """Of targets in each."""
    targets: tuple[Chances, ...]
    others: tuple[Chances, ...]
    population: tuple[float, ...] = (1.0,)
    group: int = 1
    alike: float = 0.0
    """The chance that an item takes its group's luck."""
    of_one_kind: bool = False

    @property
    def truth(self) -> tuple[float, float, float]:
        """Differences in dollars, recall and false-alarm rate, B less A."""
        size, share = np.array(self.population), np.array(self.share)
        both = ((size * share, self.targets), (size * (1 - share), self.others))
        recall, alarms = (float(np.average([one[2] - one[1] for one in of], weights=weight)) for weight, of in both)
        return 1000 * (0.005 * recall * TARGET_USD + 0.995 * alarms * OTHER_USD), recall, alarms

    def draw(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], Sampling]:
        """(targets, flagged by A, flagged by B, sampling) of one sample."""
        stratum = np.repeat(np.arange(len(self.labelled)), self.labelled)
        items = len(stratum)
        group = np.arange(items) // self.group
        target = rng.random(items) < np.array(self.share)[stratum]
        if self.of_one_kind:  # as many as expected, in groups of their own
            target = np.arange(items) < round(self.share[0] * items)
        luck = np.where(rng.random(items) < self.alike, rng.random(int(group.max()) + 1)[group], rng.random(items))
        edges = np.cumsum(
            np.where(target[:, None], np.array(self.targets)[stratum], np.array(self.others)[stratum]), axis=1
        )
        said = (luck[:, None] >= edges[:, :3]).sum(axis=1)
        groups = None if self.group == 1 else group
        names = [str(one) for one in stratum]
        sizes = {str(number): size for number, size in enumerate(self.population)}
        sampling = Sampling.simple(items, groups) if len(sizes) == 1 else Sampling.stratified(names, sizes, groups)
        return target, said <= 1, (said == 0) | (said == 2), sampling


def plain(positives: int, others: int, targets: Chances, rest: Chances, **more: Any) -> Setting:
    """One stratum with exactly so many targets."""
    items = positives + others
    grouped = f", groups of {more['group']}, alike {more['alike']}" if "group" in more else ""
    name = f"{positives} + {others}, one alone {targets[1]}/{targets[2]} and {rest[1]}/{rest[2]}{grouped}"
    return Setting(name, (items,), (positives / items,), (targets,), (rest,), of_one_kind=True, **more)


SETTINGS = (
    plain(30, 300, (0.6, 0.1, 0.1, 0.2), (0.02, 0.03, 0.03, 0.92)),
    plain(30, 300, (0.6, 0.02, 0.02, 0.36), (0.02, 0.005, 0.005, 0.97)),
    plain(30, 300, (0.6, 0.0, 0.15, 0.25), (0.02, 0.01, 0.0, 0.97)),
    plain(100, 2000, (0.6, 0.01, 0.02, 0.37), (0.02, 0.001, 0.002, 0.977)),
    plain(12, 100, (0.6, 0.1, 0.05, 0.25), (0.02, 0.02, 0.01, 0.95)),
    plain(200, 1800, (0.6, 0.08, 0.04, 0.28), (0.02, 0.02, 0.015, 0.945)),
    plain(60, 600, (0.6, 0.1, 0.1, 0.2), (0.02, 0.03, 0.03, 0.92), group=4, alike=0.5),
    plain(60, 600, (0.6, 0.1, 0.05, 0.25), (0.02, 0.03, 0.01, 0.94), group=4, alike=0.9),
    plain(60, 600, (0.6, 0.1, 0.1, 0.2), (0.02, 0.03, 0.03, 0.92), group=10, alike=0.5),
    Setting("groups of 5 of both kinds", (1000,), (0.05,), (SURE,), (TOP,), group=5, alike=0.5),
    Setting("strata 1:9", (300, 300), (0.1, 0.001), (SURE, UNSURE), (TOP, REST), (2000.0, 20000.0)),
    Setting("strata 1:9, in fours", (400, 400), (0.1, 0.003), (SURE, UNSURE), (TOP, REST), (2000.0, 20000.0), 4, 0.5),
    Setting(
        "strata 1:10:100", (200, 200, 400), (0.3, 0.02, 0.0005), (SURE, (0.4, 0.1, 0.1, 0.4), UNSURE),
        (TOP, (0.01, 0.01, 0.01, 0.97), REST), (500.0, 5000.0, 50000.0),
    ),
)  # fmt: skip
PILOTS = (
    plain(30, 300, (0.6, 0.02, 0.12, 0.26), (0.02, 0.01, 0.005, 0.965)),
    plain(60, 600, (0.6, 0.03, 0.08, 0.29), (0.02, 0.01, 0.006, 0.964)),
)


def compared(setting: Setting, rng: np.random.Generator, seed: int) -> tuple[stats.Paired, Any]:
    """(pairs, sample) of one draw."""
    sample = setting.draw(rng)
    target, a, b, sampling = sample
    nothing = np.zeros(len(target), bool)
    return stats.paired_cells(target, (a, b), (nothing, nothing), sampling, draws=DRAWS, seed=seed), sample


def measure(number: int, repetitions: int) -> dict[str, Any]:
    """Coverage and mean width of each figure in one setting; of the other ways on every fourth sample."""
    setting = SETTINGS[number]
    rng = np.random.default_rng([23, number])
    made: dict[str, list[tuple[float, float]]] = {name: [] for name in (*FIGURES, *OTHERS)}
    for repetition in range(repetitions):
        pairs, (target, a, b, sampling) = compared(setting, rng, repetition)
        if pairs.n_positives < stats.LEAST_POSITIVES:
            continue
        estimates = (stats.paired_dollars(pairs, COSTS), stats.paired_recall(pairs), stats.paired_false_alarms(pairs))
        for name, one in zip(FIGURES, estimates, strict=True):
            made[name].append((one.low or 0.0, one.high or 0.0))
        if repetition % 4 == 0:
            extra = (b.astype(float) - a) * np.where(target, TARGET_USD, OTHER_USD)
            made["bootstrap"].append(bootstrap(target, extra, sampling, repetition))
            made["wald"].append(wald(target, extra, sampling))
    truths = dict(zip(FIGURES, setting.truth, strict=True))
    return {"setting": setting.name} | {
        name: cell(intervals, truths.get(name, setting.truth[0])) for name, intervals in made.items()
    }


def cell(intervals: Sequence[tuple[float, float]], truth: float) -> dict[str, float]:
    """Coverage, its Monte-Carlo error, and mean width."""
    ends = np.array(intervals)
    held = float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])))
    error = float(np.sqrt(max(held * (1 - held), 1e-4) / len(ends)))
    return {"coverage": held, "error": error, "width": float(np.mean(ends[:, 1] - ends[:, 0]))}


def bootstrap(
    target: NDArray[np.bool_], extra: NDArray[np.float64], sampling: Sampling, seed: int
) -> tuple[float, float]:
    """Percentiles of a Bayesian bootstrap with one pseudo item each way in each class, at its heaviest weight."""
    shares = stats.resampled_shares(target, sampling, COSTS.prevalence, replicates=600, seed=seed)
    drawn = 1000 * shares @ extra
    rng = np.random.default_rng(seed)
    for members, share, usd in ((target, 0.005, TARGET_USD), (~target, 0.995, OTHER_USD)):
        weight = sampling.weight[members]
        one = 1000 * share * usd * weight.max() / weight.sum() * sampling.alikeness(members)
        drawn += one * (rng.standard_exponential(600) - rng.standard_exponential(600))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def wald(target: NDArray[np.bool_], extra: NDArray[np.float64], sampling: Sampling) -> tuple[float, float]:
    """The mean and 1.96 of its standard errors, from the groups' sums."""
    shares = stats.usd_shares(target, sampling, COSTS.prevalence)
    value = float(shares @ extra)
    parts = shares * (
        extra - np.where(target, *(np.average(extra[of], weights=shares[of]) for of in (target, ~target)))
    )
    sums = parts if sampling.group is None else np.bincount(sampling.group, weights=parts)
    half = 1.96 * float(np.sqrt((sums**2).sum()))
    return 1000 * (value - half), 1000 * (value + half)


def decided(number: int, repetitions: int) -> dict[str, Any]:
    """How often a comparison with as many labels as are asked for shows the true difference."""
    pilot = PILOTS[number]
    rng = np.random.default_rng([29, number])
    truth = pilot.truth[0]
    found = [stats.paired_dollars(compared(pilot, rng, seed)[0], COSTS) for seed in range(repetitions)]
    width = float(np.mean([(one.high or 0.0) - (one.low or 0.0) for one in found]))
    pairs, _ = compared(pilot, rng, 0)
    more = stats.more_labels(pairs, Estimate(truth, truth - width / 2, truth + width / 2))
    assert more is not None and more.labels is not None
    items = pilot.labelled[0] + more.labels
    larger = Setting("", (items,), pilot.share, pilot.targets, pilot.others, of_one_kind=True)
    then = [stats.paired_dollars(compared(larger, rng, seed)[0], COSTS) for seed in range(repetitions)]
    now_share, then_share = (
        float(np.mean([(one.high or 0.0) < 0 or (one.low or 0.0) > 0 for one in each])) for each in (found, then)
    )
    return {"setting": pilot.name, "more labels": more.labels, "decided now": now_share, "decided then": then_share}


def main() -> None:
    chosen = options(__doc__)
    repetitions = QUICK if chosen.quick else REPETITIONS
    with ProcessPoolExecutor(2) as pool:
        settings = [pool.submit(measure, number, repetitions) for number in range(len(SETTINGS))]
        pilots = [pool.submit(decided, number, max(20, repetitions // 5)) for number in range(len(PILOTS))]
        rows, labels = [one.result() for one in settings], [one.result() for one in pilots]
    if not chosen.json:
        print(f"{'coverage (mean width)':62}" + "".join(f"{name:>18}" for name in (*FIGURES, *OTHERS)))
        for row in rows:
            cells = (f"{row[name]['coverage']:.3f} ({row[name]['width']:.3g})" for name in (*FIGURES, *OTHERS))
            print(f"{row['setting']:62}" + "".join(f"{text:>18}" for text in cells))
    worst = {name: min(float(row[name]["coverage"]) for row in rows) for name in (*FIGURES, *OTHERS)}
    power = min(float(one["decided then"]) for one in labels)
    goals = [Goal(f"worst coverage of {name}", ">= .92", worst[name], worst[name] >= 0.92) for name in FIGURES]
    goals.append(Goal("decided with the labels asked for", ">= .8", power, power >= 0.8))
    figures: dict[str, Any] = {"repetitions": repetitions, "worst": worst, "more labels": labels}
    finish(figures | ({"settings": rows} if chosen.json else {}), goals, chosen)


if __name__ == "__main__":
    main()
