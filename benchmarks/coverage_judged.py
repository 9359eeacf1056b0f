"""How often intervals of a prevalence hold that come from a judge's verdicts and few labels; part of coverage.py.

A judge of known sensitivity and specificity has seen 20,000 items; people label 50, 100 or 200 of them, drawn at
random or half from what it flagged and half from the rest. Beside `judged_prevalence`: the post-stratified estimate
with Wald's interval, and of random labels judgy (Rogan and Gladen's correction, bootstrapped) and PPI++ (Angelopoulos,
Duchi and Zrnic 2023), which ask for them. Where a way gives no interval it does not hold the truth; how often it gave
one stands beside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from coverage_ways import DRAWS, Interval, held

from llmclf.stats import judged_prevalence

JUDGED = 20_000
RESAMPLES = 1000
Counts = npt.NDArray[np.int64]
"""(4,) found, missed, false alarm, quiet."""


@dataclass(frozen=True)
class Judged:
    """How rare the target is, how good the judge is, how many labels there are and how they were drawn."""

    drawn: Literal["random", "by_verdict"]
    prevalence: float
    labels: int
    sensitivity: float
    specificity: float

    @property
    def name(self) -> str:
        judge = f"judge {self.sensitivity:g}/{self.specificity:g}"
        return f"{self.prevalence:.0%}, {self.labels} labels {self.drawn.replace('_', ' ')}, {judge}"

    def sample(self, rng: np.random.Generator) -> tuple[Counts, Counts]:
        """(all items by what they are and what the judge said, the labelled ones)."""
        rate, found, quiet = self.prevalence, self.sensitivity, self.specificity
        shares = [rate * found, rate * (1 - found), (1 - rate) * (1 - quiet), (1 - rate) * quiet]
        everything = rng.multinomial(JUDGED, shares)
        if self.drawn == "random":
            return everything, rng.multivariate_hypergeometric(everything, self.labels)
        flagged = min(self.labels // 2, int(everything[0] + everything[2]))
        found_seen = rng.hypergeometric(everything[0], everything[2], flagged)
        missed_seen = rng.hypergeometric(everything[1], everything[3], self.labels - flagged)
        seen = (found_seen, missed_seen, flagged - found_seen, self.labels - flagged - missed_seen)
        return everything, np.array(seen)


def settings() -> list[Judged]:
    """Both designs at three prevalences, three numbers of labels and three judges."""
    judges = ((0.8, 0.95), (0.8, 0.8), (0.95, 0.95))
    chosen = product(("random", "by_verdict"), judges, (0.01, 0.05, 0.3), (50, 100, 200))
    return [Judged(drawn, rate, labels, *judge) for drawn, judge, rate, labels in chosen]  # type: ignore[arg-type]


# --- ways to make an interval -----------------------------------------------------------------------------------

KIND = np.array([True, True, False, False])
VERDICT = np.array(["flagged", "quiet", "flagged", "quiet"])


def ours(setting: Judged, everything: Counts, seen: Counts, seed: int) -> Interval:
    judged = {"flagged": int(everything[0] + everything[2]), "quiet": int(everything[1] + everything[3])}
    positive, verdicts = np.repeat(KIND, seen), np.repeat(VERDICT, seen).tolist()
    made = judged_prevalence(positive, verdicts, judged, drawn=setting.drawn, draws=DRAWS, seed=seed)
    return None if made.low is None or made.high is None else (made.low, made.high)


def post_stratified_wald(everything: Counts, seen: Counts, rng: np.random.Generator) -> Interval:
    """The same estimate with the textbook's interval; one stratum where the other has no label."""
    sizes, labels = everything[:2] + everything[2:], seen[:2] + seen[2:]
    if not labels.all():
        sizes, labels, seen = np.array([JUDGED]), labels.sum(keepdims=True), seen.reshape(2, 2).sum(axis=1)
    share, rate = sizes / JUDGED, seen[: len(labels)] / labels
    value = float(share @ rate)
    return around(value, float(share**2 @ (rate * (1 - rate) / labels)))


def ppi_plus_plus(everything: Counts, seen: Counts, rng: np.random.Generator) -> Interval:
    """Mean label plus lambda times (mean verdict of all others minus mean verdict of the labelled)."""
    n, others = int(seen.sum()), everything - seen
    label, verdict = np.repeat(KIND, seen).astype(float), np.repeat(VERDICT == "flagged", seen).astype(float)
    m = int(others.sum())
    rate = float(others[0] + others[2]) / m
    spread = rate * (1 - rate)
    covariance = float(np.mean((label - label.mean()) * (verdict - verdict.mean())))
    tuned = min(1.0, max(0.0, covariance / ((1 + n / m) * spread))) if spread else 0.0
    value = float(label.mean()) + tuned * (rate - float(verdict.mean()))
    return around(value, float(np.var(label - tuned * verdict)) / n + tuned**2 * spread / m)


def judgy(everything: Counts, seen: Counts, rng: np.random.Generator) -> Interval:
    """The interval of the package judgy, its loop of resamples made one draw; tests check it against the package."""
    if not corrected(seen[None], 0.0).size:
        return None  # the package raises: one kind alone, or a judge no better than chance
    return judgy_of(rng.multinomial(int(seen.sum()), seen / seen.sum(), RESAMPLES), everything)


def judgy_of(resampled: npt.NDArray[np.int64], everything: Counts) -> Interval:
    """The 2.5th and 97.5th percentiles of the corrected rates of (resamples, 4) counts; None where none can be had."""
    rates = corrected(resampled, float(everything[0] + everything[2]) / float(everything.sum()))
    if not rates.size:
        return None
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def corrected(counts: npt.NDArray[np.int64], observed: float) -> npt.NDArray[np.float64]:
    """Rogan and Gladen's rate, from 0 to 1, of each row that has both kinds and a judge better than chance."""
    both = counts[(counts[:, :2].sum(axis=1) > 0) & (counts[:, 2:].sum(axis=1) > 0)]
    found, quiet = both[:, 0] / both[:, :2].sum(axis=1), both[:, 3] / both[:, 2:].sum(axis=1)
    better = found + quiet > 1
    rates: npt.NDArray[np.float64] = (observed + quiet[better] - 1) / (found[better] + quiet[better] - 1)
    return np.clip(rates, 0, 1)


def around(value: float, variance: float) -> tuple[float, float]:
    reach = 1.96 * variance**0.5
    return value - reach, value + reach


Way = Callable[[Counts, Counts, np.random.Generator], Interval]
OF_RANDOM: dict[str, Way] = {"judgy": judgy, "PPI++": ppi_plus_plus}
OTHERS: dict[str, Way] = {"post-stratified Wald": post_stratified_wald, **OF_RANDOM}


def measure(number: int, repetitions: int, every: int) -> dict[str, Any]:
    """Coverage, mean width and share of answers in one setting; the other ways see each `every`th sample."""
    setting = settings()[number]
    rng = np.random.default_rng([13, number])
    ways = [name for name in OTHERS if setting.drawn == "random" or name not in OF_RANDOM]
    made: dict[str, list[Interval]] = {name: [] for name in ("llmclf", *ways)}
    for repetition in range(repetitions):
        everything, seen = setting.sample(rng)
        made["llmclf"].append(ours(setting, everything, seen, repetition))
        for name in ways if repetition % every == 0 else ():
            made[name].append(OTHERS[name](everything, seen, rng))
    return {
        "setting": setting.name,
        "drawn": setting.drawn,
        "truth": setting.prevalence,
        **{name: held(intervals, setting.prevalence) for name, intervals in made.items()},
    }
