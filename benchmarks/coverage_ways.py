"""Ways to make an interval of recall and of prevalence, tried on the same samples; part of coverage.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from coverage_settings import Floats, Sample

from llmclf.stats import confusion, prevalence, recall

Interval = tuple[float, float] | None

DRAWS = 1000
RESAMPLES = 400


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


def held(intervals: Sequence[Interval], truth: float) -> dict[str, float]:
    """How often the truth was held, with its Monte-Carlo error; an interval that is not given holds nothing."""
    given = [one for one in intervals if one is not None]
    hits = sum(low <= truth <= high for low, high in given)
    share = float(hits) / len(intervals)
    return {
        "coverage": round(share, 4),
        "error": round((share * (1 - share) / len(intervals)) ** 0.5, 4),
        "answered": round(len(given) / len(intervals), 3),
        "coverage_answered": round(float(hits) / max(1, len(given)), 4),
        "width": float(f"{np.mean([high - low for low, high in given]):.3g}") if given else 0.0,
    }


def over(cells: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Worst and mean coverage of settings (as of `held`), each with its Monte-Carlo error."""
    worst = min(cells, key=lambda cell: cell["coverage"])
    errors = np.array([cell["error"] for cell in cells])
    return {
        "worst": worst["coverage"],
        "worst_error": worst["error"],
        "mean": round(float(np.mean([cell["coverage"] for cell in cells])), 4),
        "mean_error": float(f"{np.sqrt((errors**2).sum()) / len(errors):.2g}"),
    }
