"""How often intervals of agreement hold where the target is rare; part of judge_coverage.py.

Two, five or thirty raters of sensitivity .85 and specificity .98 label items that are drawn at random; each errs on its
own. Kappa, positive agreement and observed agreement, by llmclf's intervals and by the percentiles of resampled items;
sensitivity of one rater (a judge) where the truth is known, by llmclf's recall and the percentiles. Where llmclf
refuses an interval (fewer than ten items with a positive vote), neither way is counted: `answered` says how often it
gives one, and `bootstrap, always` how the bootstrap does on all samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from coverage_ways import Interval, held

from llmclf.stats import Sampling, agreement_values as values, confusion, panel_agreement, recall
from llmclf.types import Estimate

SENSITIVITY, SPECIFICITY = 0.85, 0.98
DRAWS, RESAMPLES = 1000, 1000
FIGURES = ("kappa", "positive agreement", "observed agreement", "sensitivity")
Votes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Intervals = Mapping[str, Interval]


@dataclass(frozen=True)
class Raters:
    """How rare the target is, how many items there are and how many label each."""

    prevalence: float
    items: int
    raters: int

    @property
    def name(self) -> str:
        return f"{self.prevalence:.0%}, {self.items} items, {self.raters} raters"

    def truth(self) -> dict[str, float]:
        """What the figures are in the long run, from the shares of a pair's four outcomes."""
        both = np.array([[SENSITIVITY**2, 0.0], [0.0, (1 - SENSITIVITY) ** 2]])
        neither = np.array([[(1 - SPECIFICITY) ** 2, 0.0], [0.0, SPECIFICITY**2]])
        both[0, 1] = both[1, 0] = SENSITIVITY * (1 - SENSITIVITY)
        neither[0, 1] = neither[1, 0] = SPECIFICITY * (1 - SPECIFICITY)
        table = self.prevalence * both + (1 - self.prevalence) * neither
        observed, said = float(np.trace(table)), float(table[0].sum())
        chance = said**2 + (1 - said) ** 2
        return {
            "kappa": (observed - chance) / (1 - chance),
            "positive agreement": float(table[0, 0]) / said,
            "observed agreement": observed,
            "sensitivity": SENSITIVITY,
        }

    def sample(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], Votes]:
        """What is true of the items, and (items, raters) votes."""
        target = rng.random(self.items) < self.prevalence
        says = np.where(target, SENSITIVITY, 1 - SPECIFICITY)[:, None]
        return target, (rng.random((self.items, self.raters)) < says).astype(np.int64)


def settings() -> list[Raters]:
    """Three prevalences, three numbers of items, three numbers of raters."""
    return [Raters(rate, n, raters) for raters, rate, n in product((2, 5, 30), (0.01, 0.05, 0.3), (200, 500, 1000))]


def ours(target: npt.NDArray[np.bool_], votes: Votes, seed: int) -> Intervals:
    found = panel_agreement(votes, 2, [1], draws=DRAWS, seed=seed)
    seen = recall(confusion(target, votes[:, 0] == 1, Sampling.simple(len(target)), draws=DRAWS, seed=seed))
    return {
        "kappa": ends(found.kappa),
        "positive agreement": ends(found.positive),
        "observed agreement": ends(found.observed),
        "sensitivity": ends(seen),
    }


def bootstrap(target: npt.NDArray[np.bool_], votes: Votes, rng: np.random.Generator) -> Intervals:
    """Items resampled, and the percentiles of what can be computed."""
    pairs, kappa = resampled(votes, rng)
    positives, found = int(target.sum()), int((votes[target, 0] == 1).sum())
    shares = np.array([found, positives - found, len(votes) - positives]) / len(votes)
    seen = rng.multinomial(len(votes), shares, RESAMPLES)
    with_any = seen[seen[:, :2].sum(axis=1) > 0]
    return {
        "kappa": percentiles(kappa),
        "positive agreement": percentiles(values.specific_of(pairs, np.array([False, True]))),
        "observed agreement": percentiles(values.observed_of(pairs)),
        "sensitivity": percentiles(with_any[:, 0] / with_any[:, :2].sum(axis=1)),
    }


def resampled(votes: Votes, rng: np.random.Generator) -> tuple[values.Pairs, Floats]:
    """Pairs and kappa of resampled items: Cohen's of two raters, Fleiss' of more."""
    if votes.shape[1] == 2:
        cells = values.pair_table(votes[:, 0], votes[:, 1], 2).ravel() / len(votes)
        tables = rng.multinomial(len(votes), cells, RESAMPLES).reshape(-1, 2, 2).astype(float)
        return values.pairs_of_table(tables), values.cohen_of(tables, False)
    kinds, times = np.unique(values.vote_counts(votes, 2), axis=0, return_counts=True)
    drawn = rng.multinomial(len(votes), times / len(votes), RESAMPLES)
    pairs = values.pairs_of(drawn @ values.item_sums(kinds), 2)
    return pairs, values.fleiss_of(pairs, False)


def percentiles(figures: Floats) -> Interval:
    known = figures[~np.isnan(figures)]
    return (float(np.percentile(known, 2.5)), float(np.percentile(known, 97.5))) if len(known) else None


def ends(estimate: Estimate) -> Interval:
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def measure(number: int, repetitions: int) -> dict[str, Any]:
    """Coverage and mean width of each figure in one setting, both ways on the same samples."""
    setting = settings()[number]
    rng = np.random.default_rng([17, number])
    truth = setting.truth()
    made: list[tuple[Intervals, Intervals]] = []
    for repetition in range(repetitions):
        target, votes = setting.sample(rng)
        made.append((ours(target, votes, repetition), bootstrap(target, votes, rng)))
    row: dict[str, Any] = {"setting": setting.name, "raters": setting.raters}
    for figure in FIGURES:
        given = [(mine[figure], theirs[figure]) for mine, theirs in made if mine[figure] is not None]
        row[figure] = {
            "truth": round(truth[figure], 4),
            "answered": round(len(given) / repetitions, 3),
            "llmclf": held([mine for mine, _ in given], truth[figure]) if given else None,
            "bootstrap": held([theirs for _, theirs in given], truth[figure]) if given else None,
            "bootstrap, always": held([theirs[figure] for _, theirs in made], truth[figure]),
        }
    return row
