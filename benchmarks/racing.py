"""What a race over a grid saves, and how often it loses what the whole grid would have named.

python benchmarks/racing.py [--json] [--quick]

Simulated with a known truth (racing_worlds.py): 48 cells on 200 targets and 1,800 others, twelve of the cells
near-ties; and recorded answers of real models, which have few items and so little to save. The front is what no other
cell dominates in dollars, p95 seconds and share of missed targets; what must be kept is every cell that is on the
whole grid's front in at least half of the resamples of the items. Bounds are Clopper and Pearson's, 95 % two-sided.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Goal, finish, options
from numpy.typing import NDArray
from racing_worlds import FAMILIES, Floats, Grid, bullshit_bench, misguided_attention, simulated_grid

from llmclf.stats import clopper_pearson
from llmclf.stats.front import AS_GOOD_AS_AT_ONCE
from llmclf.stats.racing import Asked, Keep, Racers, deal_rounds, level, losses

RISK = 0.05
FIRST_SEED = 1000  # seeds below it served to choose first share, growth and allocation
RESAMPLES = 200
RECORDED = Path(os.environ.get("LLMCLF_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


@dataclass(frozen=True)
class Raced:
    """How a race went."""

    kept: NDArray[np.bool_]
    """(cells,) those asked about every item."""
    share: float
    """Of the answers of the whole grid, how many were asked for."""

    def winner(self, grid: Grid) -> int:
        """The cell that the race names."""
        return int(np.argmin(np.where(self.kept, grid.usd.sum(axis=1), np.inf)))


def race(grid: Grid, keep: Keep, seed: int) -> Raced:
    """One race over a grid; `seed` shuffles the items."""
    cells, n = grid.usd.shape
    rounds = deal_rounds(grid.stratum, grid.importance, seed=seed)
    alpha = level(RISK, cells, len(rounds), keep)
    left, asked, answers = np.arange(cells), np.zeros(0, np.intp), 0
    for number, new in enumerate(rounds):
        answers += len(left) * len(new)
        asked = np.concatenate([asked, new])
        if number < len(rounds) - 1 and len(left) > 1:
            racers = Racers(
                *(part[left][:, asked] for part in (grid.usd, grid.missed, grid.seconds)),
                grid.usd_swing[asked],
                grid.missed_swing[asked],
            )
            seen = Asked(grid.stratum[asked], np.bincount(grid.stratum).astype(np.intp))
            lost = [loss.cell for loss in losses(racers, seen, np.ones(len(left), bool), keep=keep, alpha=alpha)]
            left = np.delete(left, lost)
    kept = np.zeros(cells, bool)
    kept[left] = True
    return Raced(kept, answers / (cells * n))


def front_chances(grid: Grid, seed: int, resamples: int) -> Floats:
    """(cells,) share of the resamples of the items, within their strata, in which nothing dominates the cell."""
    rng = np.random.default_rng(seed)
    n = grid.usd.shape[1]
    times = np.zeros((resamples, n))
    for code in range(int(grid.stratum.max()) + 1):
        inside = np.flatnonzero(grid.stratum == code)
        times[:, inside] = rng.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), resamples)
    p95 = np.empty((resamples, len(grid.usd)))
    for cell, seconds in enumerate(np.maximum(grid.seconds, AS_GOOD_AS_AT_ONCE)):
        order = np.argsort(seconds)
        reached = np.cumsum(times[:, order], axis=1) >= 0.95 * n
        p95[:, cell] = seconds[order][reached.argmax(axis=1)]
    figures = np.stack([times @ grid.usd.T, times @ grid.missed.T, p95])
    figures[:2] = np.round(figures[:2], 12)  # sums of the same parts in another order are the same
    above = (figures[:, :, :, None] >= figures[:, :, None, :]).all(axis=0)
    beyond = (figures[:, :, :, None] > figures[:, :, None, :]).any(axis=0)
    chances: Floats = 1 - (above & beyond).any(axis=2).mean(axis=0)
    return chances


def simulated(family: str, seeds: int, resamples: int) -> dict[str, Any]:
    """Shares of the calls, and how often nothing was lost."""
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        grid = simulated_grid(seed, family)
        in_proportion = replace(grid, importance=np.bincount(grid.stratum).astype(float))
        named, front, plain = race(grid, "winner", seed), race(grid, "front", seed), race(in_proportion, "winner", seed)
        must = front_chances(grid, seed, resamples) >= 0.5
        rows.append(
            (
                named.share,
                named.winner(grid) == grid.winner,
                front.share,
                bool(front.kept[must].all()),
                must.sum(),
                front.kept.sum(),
                plain.share,
                plain.winner(in_proportion) == grid.winner,
            )
        )
    table = np.array(rows, float)
    return {
        "winner": _figures(table[:, 0], table[:, 1]),
        "front": _figures(table[:, 2], table[:, 3]) | _means(table[:, 4], table[:, 5]),
        "winner, targets and others asked in proportion": _figures(table[:, 6], table[:, 7]),
    }


def _figures(share: Floats, good: Floats) -> dict[str, Any]:
    low = clopper_pearson(int(good.sum()), len(good)).low
    return {
        "share of the calls": round(float(share.mean()), 3),
        "p90": round(float(np.quantile(share, 0.9)), 3),
        "nothing lost": f"{int(good.sum())} of {len(good)}",
        "low": round(float(low or 0.0), 4),
    }


def _means(must: Floats, kept: Floats) -> dict[str, float]:
    return {"cells to keep": round(float(must.mean()), 2), "cells kept": round(float(kept.mean()), 2)}


def recorded(grid: Grid, shuffles: int, modes: tuple[Keep, ...]) -> dict[str, Any]:
    """The same items in other orders."""
    figures: dict[str, Any] = {"cells": len(grid.usd), "items": grid.usd.shape[1]}
    front = front_chances(grid, 0, RESAMPLES) >= 0.5
    for keep in modes:
        races = [race(grid, keep, seed) for seed in range(shuffles)]
        good = [one.winner(grid) == grid.winner if keep == "winner" else one.kept[front].all() for one in races]
        figures[keep] = _figures(np.array([one.share for one in races]), np.array(good, float))
        figures[keep]["grid's winner survives"] = f"{sum(bool(one.kept[grid.winner]) for one in races)} of {shuffles}"
    return figures


def main() -> None:
    chosen = options(__doc__)
    seeds, resamples = (4, 20) if chosen.quick else (200, RESAMPLES)
    figures: dict[str, Any] = {family: simulated(family, seeds, resamples) for family in FAMILIES}
    goals = [goal for family in FAMILIES for goal in _goals(family, figures[family])]
    sets: tuple[tuple[str, Callable[[Path], Grid], tuple[Keep, ...]], ...] = (
        ("misguided_attention_detailed", misguided_attention, ("winner",)),
        ("bullshit_bench_v1", bullshit_bench, ("winner", "front")),
    )
    for name, read, modes in sets:
        if not (RECORDED / name).is_dir():
            figures[name] = f"not here: {RECORDED / name} (LLMCLF_TEST_DATA names another folder)"
            continue
        figures[name] = recorded(read(RECORDED / name), seeds, modes)
        survived = int(figures[name]["winner"]["grid's winner survives"].split()[0])
        goals.append(Goal(f"{name}: the grid's winner survives", f"{seeds} of {seeds}", survived, survived == seeds))
    finish(figures, goals, chosen)


def _goals(family: str, figures: dict[str, Any]) -> list[Goal]:
    goals = []
    for keep, most, what in (("winner", 0.35, "the same winner"), ("front", 0.75, "the front is kept")):
        share, low = figures[keep]["share of the calls"], figures[keep]["low"]
        goals.append(Goal(f"{family}, {keep}: share of the grid's calls", f"<= {most}", share, share <= most))
        goals.append(Goal(f"{family}, {keep}: {what}, lower bound", ">= .93", low, low >= 0.93))
    return goals


if __name__ == "__main__":
    main()
