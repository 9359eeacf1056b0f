"""Grids of cells for the race: made up with a known truth, or recorded from real models. Used by racing.py."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from llmclf.sweeps.racing import LIKELY_DIFFERENCES

Floats = NDArray[np.float64]
TARGETS, OTHERS, CELLS, NEAR_TIES = 200, 1800, 48, 12
MISSED_USD, FALSE_ALARM_USD, PREVALENCE = 40.0, 2.0, 0.005
DIFFICULTY = 0.7  # share of the variance behind a verdict that all cells have in common
FAMILIES = {"close together": ((0.45, 0.9), (0.004, 0.09)), "spread": ((0.3, 0.95), (0.001, 0.15))}
"""Ranges of recall and of the false-alarm rate. Without near-ties the rule of the first experiments, in which targets
and others are asked in proportion, takes about a third and a quarter of the calls here, as it did there."""


@dataclass(frozen=True)
class Grid:
    """What every cell would say of every item: the parts of its dollars, misses and seconds."""

    usd: Floats
    """(cells, n)"""
    missed: Floats
    """(cells, n)"""
    seconds: Floats
    """(cells, n)"""
    usd_swing: Floats
    """(n,)"""
    missed_swing: Floats
    """(n,)"""
    stratum: NDArray[np.intp]
    """(n,)"""
    importance: Floats
    """(strata,)"""

    @property
    def winner(self) -> int:
        return int(np.argmin(self.usd.sum(axis=1)))


def simulated_grid(seed: int, family: str) -> Grid:
    """48 cells on 200 targets and 1,800 others: 36 drawn from the family, 12 that nearly tie with some of them.

    Six of the twelve follow the six cheapest. In turn they differ in one verdict of 250, in one to three targets
    (a rare and dear difference), or in nothing but price and seconds, by some 2 %.
    """
    rng = np.random.default_rng(seed)
    target = np.arange(TARGETS + OTHERS) < TARGETS
    n, drawn = len(target), CELLS - NEAR_TIES
    (least, most), (few, many) = FAMILIES[family]
    recall = rng.uniform(least, most, drawn)
    alarms = np.exp(rng.uniform(np.log(few), np.log(many), drawn))
    price = np.exp(rng.uniform(np.log(0.0003), np.log(0.01), drawn))
    median = np.exp(rng.normal(0.6, 0.6, drawn)) * (price / 0.002) ** 0.3
    ease = np.sqrt(DIFFICULTY) * rng.normal(size=n) + np.sqrt(1 - DIFFICULTY) * rng.normal(size=(drawn, n))
    wrong = ease < np.where(target, ndtri(1 - recall)[:, None], ndtri(alarms)[:, None])
    seconds = median[:, None] * np.exp(rng.normal(size=n) * 0.25 + rng.normal(size=(drawn, n)) * 0.35)
    share = np.where(target, PREVALENCE / TARGETS, (1 - PREVALENCE) / OTHERS)
    swing = share * np.where(target, MISSED_USD, FALSE_ALARM_USD)
    cheapest = np.argsort(price + wrong @ swing)[: NEAR_TIES // 2]
    for place, like in enumerate([*cheapest, *rng.integers(0, drawn, NEAR_TIES // 2)]):
        wrong = np.vstack([wrong, wrong[like] ^ _differing(place % 3, target, rng)])
        price = np.append(price, price[like] * np.exp(rng.normal() * 0.02))
        noise = np.exp(rng.normal(size=n) * 0.3 + rng.normal() * 0.03)
        seconds = np.vstack([seconds, seconds[like] * noise])
    length = np.exp(rng.normal(size=n) * 0.4)
    likely = np.sqrt([LIKELY_DIFFERENCES[False], LIKELY_DIFFERENCES[True]])
    return Grid(
        swing * wrong + price[:, None] * length / length.sum(),
        np.where(target, wrong / TARGETS, 0.0),
        seconds,
        swing,
        np.where(target, 1 / TARGETS, 0.0),
        target.astype(np.intp),
        np.bincount(target, weights=swing) * likely,
    )


def _differing(kind: int, target: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    if kind == 0:
        return rng.random(len(target)) < 0.004
    flipped = np.zeros(len(target), bool)
    if kind == 1:
        flipped[rng.choice(np.flatnonzero(target), rng.integers(1, 4), replace=False)] = True
    return flipped


def one_stratum(usd: Floats, missed: Floats, seconds: Floats, usd_swing: float) -> Grid:
    """A grid on items of one kind, given each item's dollars, misses (0 to 1) and seconds by cell."""
    n = usd.shape[1]
    each = np.ones(n)
    return Grid(
        usd / n, missed / n, seconds, each * usd_swing / n, each / n, np.zeros(n, np.intp), np.array([float(n)])
    )


def misguided_attention(folder: Path) -> Grid:
    """Models x modified riddles x samples: the dollars are 1 for a riddle that is got wrong, 0.5 for half of it.

    The models that answered all 52 riddles, on the samples that all of these have. No price, no seconds.
    """
    scores: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    riddles: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for riddle, models in json.load(file).items():
                for model, samples in models.items():
                    riddles[model].add(riddle)
                    scores[model] |= {(riddle, k): sample["total_score"] for k, sample in enumerate(samples)}
    most = max(map(len, riddles.values()))
    models = sorted(model for model, seen in riddles.items() if len(seen) == most)
    items = sorted(set.intersection(*(set(scores[model]) for model in models)))
    wrong = np.array([[1 - scores[model][item] for item in items] for model in models])
    return one_stratum(wrong, wrong, np.full(wrong.shape, np.nan), 1.0)


def bullshit_bench(folder: Path) -> Grid:
    """9 models x 55 nonsense questions: 10 cents for nonsense taken in earnest, 5 for half of it, 2 where nobody could
    say (a failed call, or a verdict that is missing), and the model's own price; a price of 0 is not known.
    """
    cells: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    with gzip.open(folder / "items_joined.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            cells[row["model"]][row["question_id"]] = row
    questions = sorted(set.intersection(*map(set, cells.values())))
    rows = [[cells[model][question] for question in questions] for model in sorted(cells)]
    score = np.array([[np.nan if r["consensus_score"] is None else r["consensus_score"] for r in row] for row in rows])
    price = np.array([[(r["response_usage"] or {}).get("cost") or np.nan for r in row] for row in rows], float)
    price = np.where(np.isnan(price), np.nanmean(price, axis=1, keepdims=True), price)
    missed = np.where(np.isnan(score), 1.0, 1 - score / 2)
    error = np.where(np.isnan(score), 0.02, 0.1 * missed)
    seconds = np.array([[r["response_latency_ms"] / 1000 for r in row] for row in rows])
    return one_stratum(error + price, missed, seconds, 0.1)
