"""How many to draw from each stratum, how many positives to expect, and what they can tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NEYMAN_SHARE = 0.6
"""The rest is spread equally over the strata, against scores that are wrong."""
LEAST_POSITIVES = 10
"""Below so many positives a recall figure is not worth printing."""
POSITIVES_FOR_10_POINTS = 60
"""Positives for a 95 % interval of ±10 points around a recall of .8: .8 * .2 * (1.96 / .1)^2."""
POSITIVES_FOR_5_POINTS = 245


@dataclass(frozen=True, slots=True)
class StratumPlan:
    """One stratum of a sample: its sizes, and the positives it holds if the assumptions are right."""

    name: str
    population: int
    sampled: int
    expected_positives: float
    """In the population of the stratum."""

    @property
    def rate(self) -> float:
        """Expected share of positives, 0 to 1."""
        return self.expected_positives / self.population

    @property
    def expected_sampled(self) -> float:
        """Expected positives among the sampled ones."""
        return self.rate * self.sampled

    @property
    def weight(self) -> float:
        """How many items of the population each sampled one stands for."""
        return self.population / self.sampled


def allocate(populations: Sequence[int], expected: Sequence[float], n: int) -> list[int]:
    """How many of `n` to draw from each stratum; adds up to min(n, all).

    60 % by Neyman's rule for a rate, N sqrt(p (1 - p)) with p = expected / N, and 40 % equally. No
    stratum gets more than it holds, and each gets two (one where n is small): a stratum without a
    draw would have inclusion probability 0.
    """
    n = min(n, sum(populations))
    rates = [min(max(mean / size, 0.0), 1.0) for mean, size in zip(expected, populations, strict=True)]
    spread = [size * math.sqrt(rate * (1 - rate)) for size, rate in zip(populations, rates, strict=True)]
    total = sum(spread)
    share = NEYMAN_SHARE if total > 0 else 0.0
    wish = [share * value / (total or 1) + (1 - share) / len(populations) for value in spread]
    targets = _capped(wish, populations, n)
    sizes = [math.floor(target) for target in targets]
    by_remainder = sorted(range(len(sizes)), key=lambda index: (sizes[index] - targets[index], index))
    while sum(sizes) < n:
        for index in by_remainder:
            if sizes[index] < populations[index] and sum(sizes) < n:
                sizes[index] += 1
    least = 2 if n >= 2 * len(sizes) else 1
    for index, size in enumerate(sizes):
        missing = min(least, populations[index]) - size
        for _ in range(max(0, missing)):
            sizes[max(range(len(sizes)), key=lambda other: sizes[other])] -= 1
            sizes[index] += 1
    return sizes


def _capped(wish: Sequence[float], caps: Sequence[int], total: float) -> list[float]:
    """`total` (no more than the caps hold) in proportion to `wish`; what is above a cap goes to the others."""
    targets = [0.0] * len(wish)
    free = {index for index, value in enumerate(wish) if value > 0}
    left = total
    while free and left > 0:
        scale = left / sum(wish[index] for index in free)
        full = {index for index in free if wish[index] * scale >= caps[index]}
        done = full or free
        for index in done:
            targets[index] = float(caps[index]) if full else wish[index] * scale
        left -= sum(targets[index] for index in done)
        free -= done
    return targets


def expected_in_strata(populations: Sequence[int], relative: Sequence[float], total: float) -> list[float]:
    """`total` positives over strata in proportion to `relative`, a tenth of them evenly over all items.

    No stratum is taken to be more than 95 % positive. `relative` is a stratum's size times its mean
    score; the tenth stands for what every score misses.
    """
    size = sum(populations)
    even = [count / size for count in populations]
    base = sum(relative)
    shares = [0.9 * value / base + 0.1 * flat if base > 0 else flat for value, flat in zip(relative, even, strict=True)]
    caps = [max(1, math.floor(0.95 * count)) for count in populations]
    return _capped(shares, caps, min(total, sum(caps)))


def poisson_range(mean: float) -> tuple[int, int]:
    """The 5 % and 95 % quantiles of a Poisson count with this mean."""
    if mean > 500:
        spread = 1.645 * math.sqrt(mean)
        return math.floor(mean - spread), math.ceil(mean + spread)
    chance = total = math.exp(-mean)
    count, low = 0, 0 if total >= 0.05 else -1
    while total < 0.95:
        count += 1
        chance *= mean / count
        total += chance
        if low < 0 and total >= 0.05:
            low = count
    return low, count


def statements(plans: Sequence[StratumPlan], prevalence: float) -> list[str]:
    """What the labels of such a sample can tell, in sentences."""
    drawn = sum(plan.sampled for plan in plans)
    population = sum(plan.population for plan in plans)
    positives = sum(plan.expected_sampled for plan in plans)
    low, high = poisson_range(positives)
    lines = [
        f"If {100 * prevalence:.3g} % of the pool are positive, expect about {_about(positives)} positives among "
        f"the {drawn} drawn (90 % range {low} to {high}); drawn at random it would be about "
        f"{_about(drawn * prevalence)}.",
        _recall_statement(positives, drawn, population),
    ]
    heaviest = max(plans, key=lambda plan: plan.weight)
    if len(plans) > 1 and heaviest.weight > 1:
        effective = _effective(plans)
        lines.append(
            f"A positive found in {heaviest.name} stands for {heaviest.weight:.0f} of the population, so for recall "
            f"the positives count like about {_about(effective)} that weigh the same."
        )
    lines.append(
        f"Negatives (about {drawn - positives:.0f}) tell the false alarms: none among them would still leave "
        f"up to {3 / max(drawn - positives, 3):.1%} possible where they were drawn alike."
    )
    return lines


def _recall_statement(positives: float, drawn: int, population: int) -> str:
    if positives < LEAST_POSITIVES:
        start = f"Too few for a recall figure, which needs {LEAST_POSITIVES} positives at least"
    else:
        width = 1.96 * math.sqrt(0.8 * 0.2 / positives)
        start = f"Enough for a recall figure of about ±{width:.0%} at best"
    if positives >= POSITIVES_FOR_5_POINTS or positives <= 0:
        return f"{start}."
    goal, points = (POSITIVES_FOR_10_POINTS, 10) if positives < POSITIVES_FOR_10_POINTS else (POSITIVES_FOR_5_POINTS, 5)
    needed = math.ceil(drawn * goal / positives)
    how = f"--n {needed}" if needed <= population else "a larger pool or better scores"
    return f"{start}; for ±{points} points about {goal}: {how}."


def _about(count: float) -> str:
    return f"{count:.1f}" if count < 10 else f"{count:.0f}"


def _effective(plans: Sequence[StratumPlan]) -> float:
    """Kish's effective number of positives: (sum of weights)^2 / sum of squared weights, in expectation."""
    first = sum(plan.expected_sampled * plan.weight for plan in plans)
    second = sum(plan.expected_sampled * plan.weight**2 for plan in plans)
    return first**2 / second if second else 0.0
