"""The same items asked several times: how often a verdict flips, and how much of a figure's spread is the model's.

A verdict y of item i in run r is taken as y = mean + item + noise, items and noise drawn independently (the one-way
random-effects layout of Searle, Casella and McCulloch 1992, runs being exchangeable). The noise of an item is the
variance of its verdicts over runs, and twice that is the chance that two runs disagree on it: flip rate and model
noise are one quantity. A weighted mean over items then has the variance S + M in one run, M = sum of share^2 times
noise; as the mean of m runs it has S + M / m. S + M is the variance between groups of items, linearised, as the
mean over runs. What moves a whole run, such as another version behind a model's name, is in neither:
`p_steady` is small then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from llmclf.errors import DataError
from llmclf.stats.interval import central
from llmclf.stats.means import bounded_mean
from llmclf.stats.sampling import Sampling
from llmclf.stats.stratified import LEAST_POSITIVES, METHOD
from llmclf.stats.totals import DRAWS
from llmclf.types import Estimate

Floats = NDArray[np.float64]
_BOOTSTRAP = "bayesian-bootstrap"
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class Flips:
    """How steady verdicts are over runs; only items that at least two runs answered count."""

    flip_rate: Estimate
    """The chance that two runs disagree on an item."""
    unstable: Estimate
    """Share of items whose verdict is not the same in all of these runs; it grows with their number."""
    n_items: int
    n_unstable: int


@dataclass(frozen=True, slots=True)
class NoiseSplit:
    """Where the variance of a figure comes from: which items were drawn, or what the model said this time."""

    value: float
    """The figure, as the mean over runs."""
    by_run: tuple[float, ...]
    variance: float
    """Of the figure from one run: items and noise."""
    model_variance: float
    """The part of it that another run of the same items would change."""
    model_share: Estimate
    """`model_variance` over `variance`."""
    p_steady: float
    """How often runs would differ at least as much if nothing but the noise of each answer were between them."""

    def narrowing(self, repeats: float) -> float:
        """How wide the figure's interval would be with so many runs, over its width with one (at most 1)."""
        if not self.variance:
            return 1.0
        return math.sqrt(1 - self.model_variance / self.variance * (1 - 1 / repeats))


def flips(
    flagged: ArrayLike,
    failed: ArrayLike,
    sampling: Sampling,
    *,
    among: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Flips:
    """How steady the verdicts of k runs are on n items, or on those of `among`, weighted by the design.

    `flagged` and `failed` are (k, n) truth values, k at least 2; of a failed answer `flagged` is not read, and an
    item counts by the runs that answered it. Intervals cluster by group.

    >>> steady = flips([[True] * 3 + [False] * 47] * 2, [[False] * 50] * 2, Sampling.simple(50))
    >>> print(steady.flip_rate.format(".3f"))
    0.000 (0.000-0.054)
    """
    answered, yes = _answers(flagged, failed)
    if len(sampling) != len(answered):
        raise DataError("answers and sampling differ in length", got=(len(answered), len(sampling)))
    asked = np.ones(len(answered), bool) if among is None else np.asarray(among, dtype=bool)
    counted = asked & (answered > 1)
    runs = np.maximum(answered, 2)
    disagree = np.where(counted, 2 * yes * (answered - yes) / (runs * (runs - 1)), 0.0)
    k = len(np.asarray(flagged))
    evenly = 2 * (k // 2) * (k - k // 2) / (k * (k - 1))
    unstable = (disagree > 0).astype(float)
    if not counted.any():
        unknown = Estimate.unknown("no item was answered twice: nothing can flip", method=METHOD)
        return Flips(unknown, unknown, 0, 0)
    rate, share = (
        bounded_mean(values, sampling, among=counted, bounds=(0.0, most), level=level, draws=draws, seed=seed)
        for values, most in ((disagree, evenly), (unstable, 1.0))
    )
    return Flips(rate, share, int(counted.sum()), int(unstable.sum()))


def noise_split(
    values: ArrayLike,
    shares: ArrayLike,
    kind: ArrayLike,
    sampling: Sampling,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> NoiseSplit:
    """The variance of `shares @ values[run]`, split into items and model.

    `values` is (k, n), k at least 2: what each run made of each item; `shares` is each item's share in the figure,
    fixed within the classes that `kind` tells apart (targets and others): their sizes are no part of the variance.
    Below ten items with a share `model_share` is an interval only; where nothing varies at all it is not known.
    """
    value, share, of_class = np.asarray(values, float), np.asarray(shares, float), np.asarray(kind)
    if value.ndim != 2 or len(value) < 2 or value.shape[1] != len(share):
        raise DataError("noise needs the same items in two runs at least", got=value.shape)
    residual = value.copy()
    unseen = []
    for one in np.unique(of_class):
        inside = (of_class == one) & (share > 0)
        if inside.any():
            mean = value[:, inside] @ share[inside] / share[inside].sum()
            residual[:, inside] -= mean[:, None]
            unseen += _unseen_items(value[:, inside], float(mean.mean()), float(share[inside].max()))
    of_item = share**2 * value.var(axis=0, ddof=1)
    noise, spread = _by_group(of_item, sampling), _spread(share * residual, sampling)
    both, model = float(spread.sum()), float(min(noise.sum(), spread.sum()))
    by_run = tuple(float(one) for one in value @ share)
    if both <= 1e-9 * max((most for _, most in unseen), default=0.0):  # nothing varies, but for rounding
        part = Estimate.unknown("in each run all answers count the same: no spread to split", method=_BOOTSTRAP)
        return NoiseSplit(float(np.mean(by_run)), by_run, 0.0, 0.0, part, _p_steady(by_run, float(noise.sum())))
    drawn = _shares_of_noise(noise, spread, unseen, draws, np.random.default_rng(seed))
    part = _estimate(model / both, drawn, int((share > 0).sum()), level)
    return NoiseSplit(float(np.mean(by_run)), by_run, both, model, part, _p_steady(by_run, float(noise.sum())))


def _answers(flagged: ArrayLike, failed: ArrayLike) -> tuple[Floats, Floats]:
    """(n,) how many runs answered each item, and how many of those flagged it."""
    flag, fail = np.asarray(flagged, dtype=bool), np.asarray(failed, dtype=bool)
    if flag.ndim != 2 or len(flag) < 2 or flag.shape != fail.shape:
        raise DataError("flips need the same items in two runs at least", got=(flag.shape, fail.shape))
    return (~fail).sum(axis=0).astype(float), (flag & ~fail).sum(axis=0).astype(float)


def _by_group(values: Floats, sampling: Sampling) -> Floats:
    return values if sampling.group is None else np.bincount(sampling.group, weights=values).astype(float)


def _spread(residuals: Floats, sampling: Sampling) -> Floats:
    """(groups,) each group's part in the variance of a weighted sum, as the mean over runs of (k, n) residuals."""
    size = np.bincount(sampling.stratum)
    squares = []
    for run in residuals:
        centred = run - (np.bincount(sampling.stratum, weights=run) / size)[sampling.stratum]
        squares.append(_by_group(centred, sampling) ** 2)
    groups = len(squares[0])
    spread: Floats = np.mean(squares, axis=0) * groups / max(1, groups - 1)
    return spread


def _p_steady(by_run: Sequence[float], noise: float) -> float:
    """The tail of chi squared, runs - 1 degrees of freedom: the runs' sum of squares over the variance by noise."""
    squares = float(np.var(by_run)) * len(by_run)
    return float(chdtrc(len(by_run) - 1, squares / noise)) if noise else 1.0


def _unseen_items(values: Floats, mean: float, share: float) -> list[tuple[float, float]]:
    """(noise, spread) of the heaviest items that the sample may have missed: always least, always most, either way."""
    least, most = float(values.min()), float(values.max())
    noise = (most - least) ** 2 / 4
    known = ((0.0, least), (0.0, most), (noise, (least + most) / 2))
    return [(share**2 * own, share**2 * (own + (centre - mean) ** 2)) for own, centre in known]


def _shares_of_noise(
    noise: Floats, spread: Floats, unseen: Sequence[tuple[float, float]], draws: int, rng: np.random.Generator
) -> Floats:
    """(draws,) shares of noise with Gamma(1) weights of groups (Rubin 1981), each unseen item in half of the draws.

    Groups that add nothing are left out, and those that add the same share one variate: a sum of m Gamma(1) is a
    Gamma(m).
    """
    # Rounded to a billionth of the largest: groups that are alike differ by rounding.
    unit = spread.max() * 1e-9
    kinds, times = np.unique(np.round(np.stack([noise, spread]) / unit), axis=1, return_counts=True)
    kinds, times = kinds[:, kinds.any(axis=0)] * unit, times[kinds.any(axis=0)].astype(float)
    step = max(1, _CHUNK // max(1, len(times)))
    top, bottom = np.concatenate(
        [rng.standard_gamma(times, (min(step, draws - start), len(times))) @ kinds.T for start in range(0, draws, step)]
    ).T
    for own, both in unseen:
        present = (rng.permutation(draws) < draws // 2) * rng.standard_exponential(draws)
        top, bottom = top + present * own, bottom + present * both
    drawn: Floats = np.clip(np.divide(top, bottom, out=np.zeros(draws), where=bottom > 0), 0, 1)
    return drawn


def _estimate(value: float, drawn: Floats, seen: int, level: float) -> Estimate:
    low, high = central(drawn, value, level)
    if seen >= LEAST_POSITIVES:
        return Estimate(value, low, high, _BOOTSTRAP)
    return Estimate(None, low, high, _BOOTSTRAP, why_not=f"needs {LEAST_POSITIVES - seen} more targets at least")
