"""Do chosen thresholds cost what they should, and do certified ones keep their recall? By simulation, truth known.

`cost`: dollars of the cheapest threshold over those of the best one, beside the threshold that looks best on the
sample itself (scores of two normal distributions,
.5 % targets, a miss 200 times as dear as a review). `optimism`: what a threshold seems to cost on its own labels and
held out, over what it costs. `certified`: how often the true recall is .9 or more, where 95 % is promised: simple
random samples, targets in groups, and strata of unequal weight cut by the same and by another score.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Goal, finish, options
from scipy.special import ndtr

from llmclf.stats import Sampling
from llmclf.stats.scaling import logit, sigmoid
from llmclf.stats.thresholds import Scored, certify, cheapest, held_out_flags
from llmclf.types import Costs

APART = 2.2
COSTS = Costs(missed_usd=200, false_alarm_usd=0, review_minutes=1, reviewer_usd_per_hour=60, prevalence=0.005)
Floats = npt.NDArray[np.float64]


def scored(positive: npt.NDArray[np.bool_], z: Floats, sampling: Sampling | None = None) -> Scored:
    """Items whose logits are `z`."""
    return Scored(positive, sigmoid(z), np.zeros(len(z), bool), sampling or Sampling.simple(len(z)))


def dollars_at(z: float) -> float:
    """True dollars of an item where everything from the logit `z` on is flagged."""
    missed, flags = ndtr(z - APART), 0.005 * (1 - ndtr(z - APART)) + 0.995 * (1 - ndtr(z))
    return float(flags * COSTS.review_usd + 0.005 * missed * COSTS.missed_usd)


def sweep(items: Scored) -> float:
    """The threshold that costs least on these items."""
    order = np.argsort(-items.score)
    dollars = np.arange(1, len(order) + 1) * COSTS.review_usd
    dollars -= COSTS.missed_usd * np.cumsum(items.positive[order])
    return float(items.score[order][int(np.argmin(dollars))])


def cost(positives: int, repeats: int, rng: np.random.Generator) -> dict[str, Any]:
    """Mean and 90 % quantile of the true dollars over the best, with about so many positives."""
    best = min(dollars_at(z) for z in np.linspace(-3, 6, 2001))
    ratios: dict[str, list[float]] = {"cheapest": [], "best of the sample": []}
    while len(ratios["cheapest"]) < repeats:
        positive = rng.random(200 * positives) < 0.005
        if positive.sum() < 2:
            continue
        items = scored(positive, rng.normal(size=len(positive)) + APART * positive)
        for name, threshold in (("cheapest", cheapest(items, COSTS)), ("best of the sample", sweep(items))):
            ratios[name].append(dollars_at(float(logit([min(threshold, 1.0)])[0])) / best)
    return {name: {"mean": np.mean(some), "p90": np.quantile(some, 0.9)} for name, some in ratios.items()}


def optimism(positives: int, repeats: int, rng: np.random.Generator) -> dict[str, float]:
    """Dollars of the sample's best threshold, as its own labels and as held-out labels have it, over the true ones."""
    seen, held, true = [], [], []
    for _ in range(repeats):
        positive = np.arange(200 * positives) < positives
        items = scored(positive, rng.normal(size=len(positive)) + APART * positive)

        def spent(flags: npt.NDArray[np.bool_], items: Scored = items) -> float:
            missed = items.positive & ~flags
            return float(flags.mean() * COSTS.review_usd + missed.mean() * COSTS.missed_usd)

        threshold = sweep(items)
        seen.append(spent(items.flagged(threshold)))
        held.append(float(np.mean([spent(flags) for flags in held_out_flags(items, sweep, repeats=2)])))
        true.append(dollars_at(float(logit([threshold])[0])))
    return {"own labels": float(np.mean(seen) / np.mean(true)), "held out": float(np.mean(held) / np.mean(true))}


def simple_sample(positives: int, rng: np.random.Generator) -> Scored:
    """Targets of a simple random sample."""
    return scored(np.ones(positives, bool), rng.normal(size=positives) + APART)


def grouped(alike: float, rng: np.random.Generator) -> Scored:
    """Sixty groups of one to eight targets whose scores are alike."""
    group = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    z = math.sqrt(alike) * rng.normal(size=60)[group] + math.sqrt(1 - alike) * rng.normal(size=len(group))
    return scored(np.ones(len(group), bool), z + APART, Sampling.simple(len(group), group.tolist()))


def stratified(same: bool, drawn: tuple[int, ...], cuts: tuple[float, ...], rng: np.random.Generator) -> Scored:
    """A stratified sample of 20,000 items, 5 % targets, the strata cut by the same or by another score."""
    positive = rng.random(20_000) < 0.05
    z = rng.normal(size=20_000) + APART * positive
    by = z if same else rng.normal(size=20_000) + 1.5 * positive
    stratum = np.searchsorted(np.quantile(by, cuts), by)
    places = [
        rng.choice(np.flatnonzero(stratum == part), min(count, int((stratum == part).sum())), replace=False)
        for part, count in enumerate(drawn)
    ]
    chosen = np.concatenate(places)
    sizes = {str(part): float((stratum == part).sum()) for part in range(len(drawn))}
    return scored(positive[chosen], z[chosen], Sampling.stratified([str(one) for one in stratum[chosen]], sizes))


def kept(make: Any, repeats: int) -> dict[str, float]:
    """Share of samples in which the promised recall holds (also where none is promised), and the mean recall."""
    recalls, none = [], 0
    for _ in range(repeats):
        threshold = certify(make()).threshold
        none += threshold is None
        recalls.append(1.0 if threshold is None else float(1 - ndtr(logit([threshold])[0] - APART)))
    return {"holds": float(np.mean(np.array(recalls) >= 0.9)), "recall": float(np.mean(recalls)), "none": none}


def main() -> None:
    """Runs all three."""
    chosen = options(__doc__)
    rng = np.random.default_rng(0)
    many, some = (20, 4) if chosen.quick else (3000, 200)
    figures: dict[str, Any] = {
        f"cost, {positives} targets": cost(positives, max(5, many // (2 * positives)), rng)
        for positives in (5, 20, 100)
    }
    figures |= {f"optimism, {positives} targets": optimism(positives, max(4, some // 6), rng) for positives in (5, 20)}
    certified = {
        f"{count} targets": kept(lambda count=count: simple_sample(count, rng), many) for count in (29, 50, 200)
    }
    certified |= {
        f"groups alike by {alike:g}": kept(lambda alike=alike: grouped(alike, rng), many) for alike in (0.2, 1)
    }
    cuts = {3: (0.6, 0.9), 5: (0.75, 0.9, 0.97, 0.99)}
    for same in (True, False):
        for drawn in ((400, 400, 400), (1500, 400, 300, 200, 150)):
            name = f"{len(drawn)} strata by {'the same' if same else 'another'} score"
            certified[name] = kept(lambda same=same, drawn=drawn: stratified(same, drawn, cuts[len(drawn)], rng), some)
    figures |= {f"certified, {name}": one for name, one in certified.items()}
    worst = min(one["holds"] for one in certified.values())
    few, more = (figures[f"cost, {positives} targets"]["cheapest"]["mean"] for positives in (5, 20))
    held = figures["optimism, 20 targets"]["held out"]
    goals = [
        Goal("dollars over the best, 5 targets", "<= 1.12", few, few <= 1.12),
        Goal("dollars over the best, 20 targets", "<= 1.05", more, more <= 1.05),
        Goal("worst share of certified recalls that hold", ">= 0.94", worst, worst >= 0.94),
        Goal("held-out dollars over true ones, 20 targets", "0.9 to 1.1", held, 0.9 <= held <= 1.1),
    ]
    finish(figures, goals, chosen)


if __name__ == "__main__":
    main()
