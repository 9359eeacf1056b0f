"""Is what a window holds far out more than what quiet windows hold there? Units are whole conversations.

A conversation has a depth: 0, or how far it lies in the tail. The sum of a window's depths is held against sums of
windows drawn from the baseline by the Bayesian bootstrap (Rubin 1981): the baseline's conversations get Dirichlet
weights, so that a small baseline gives wide sums, and counts are Poisson with a rate that varies from day to day.
One more conversation than the baseline has, as deep as can be, is drawn along: by exchangeability the next one lies
deeper than all n before it with a chance of 1 in n + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
DRAWS = 10_000


@dataclass(frozen=True, eq=False)
class QuietSums:
    """What windows without anything new hold in the tail."""

    depths: FloatArray
    """Of the baseline's conversations that lie in the tail, deepest first."""
    rate: float
    """How often a window holds a conversation like any given one of the baseline."""
    sums: FloatArray
    """Sums of depths of drawn windows, ascending."""

    def p(self, depth: float) -> float:
        """Chance that a quiet window's depths sum up to `depth` or more; at least 1 in the number of draws."""
        as_much = len(self.sums) - int(np.searchsorted(self.sums, depth - 1e-9))
        return (1 + as_much) / (len(self.sums) + 1)

    def expected(self, depth: float) -> float:
        """Conversations at least so deep that a quiet window holds on average."""
        return self.rate * float((self.depths >= depth).sum())


def quiet_sums(
    depths: FloatArray, *, of: int, window: float, deepest: float, dispersion: float = 0.0, seed: int = 0
) -> QuietSums:
    """Draws quiet windows.

    `depths`: of the baseline's conversations in the tail, above 0; `of`: how many conversations the baseline has;
    `window`: how many such conversations make a window; `deepest`: the greatest depth there is; `dispersion`: the
    squared relative variation of the rate from window to window.
    """
    rng = np.random.default_rng(seed)
    ordered = -np.sort(-np.asarray(depths, np.float64))
    marks = np.append(ordered, deepest)
    sums = np.empty(DRAWS)
    step = max(1, 4_000_000 // len(marks))
    for start in range(0, DRAWS, step):
        size = min(step, DRAWS - start)
        weights = rng.standard_gamma(1.0, (size, len(marks)))
        rest = rng.standard_gamma(max(1, of - len(ordered)), size)
        weights /= (weights.sum(axis=1) + rest)[:, None]
        rate = rng.gamma(1 / dispersion, dispersion, size) if dispersion > 0 else np.ones(size)
        sums[start : start + size] = rng.poisson(weights * (window * rate)[:, None]) @ marks
    return QuietSums(ordered, window / (of + 1), np.sort(sums))


def deepest_part(depths: FloatArray, quiet: QuietSums, least: int = 1) -> float:
    """From which depth on a window's conversations stand out most from what quiet windows hold; 0 where none does.

    The depth with the largest likelihood ratio of the observed against the expected number (Poisson), of those where
    more are observed and at least `least` are. One conversation that the baseline has not seen is reckoned with
    everywhere.
    """
    best, found = 0.0, 0.0
    for count, depth in enumerate(-np.sort(-depths[depths > 0]), 1):
        expected = quiet.expected(float(depth)) + quiet.rate
        ratio = count * np.log(count / expected) - (count - expected) if count > expected else 0.0
        if count >= least and ratio > best:
            best, found = float(ratio), float(depth)
    return found
