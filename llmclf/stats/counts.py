"""Exact chances of counts: drawn without putting back, and of independent trials."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, gammaln


def more_than_drawn(inside: int, size: int, having: int, total: int) -> float:
    """P(at least `inside` of `size` drawn from `total` are of the `having` ones): hypergeometric.

    >>> round(more_than_drawn(2, 2, 5, 10), 4)
    0.2222
    """
    most = min(size, having)
    if inside <= max(0, size + having - total):
        return 1.0
    at = np.arange(inside, most + 1, dtype=float)
    log = _choose(having, at) + _choose(total - having, size - at) - _choose(total, np.array([float(size)]))
    return float(min(1.0, np.exp(log).sum()))


def upper_binomial(inside: int, size: int, chance: float) -> float:
    """P(at least `inside` of `size` independent trials succeed).

    >>> upper_binomial(2, 2, 0.5)
    0.25
    """
    return 1.0 if inside <= 0 else float(betainc(inside, size - inside + 1, chance))


def _choose(
    of: float, taken: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Logarithm of the binomial coefficient."""
    made: np.ndarray[tuple[int], np.dtype[np.float64]] = gammaln(of + 1) - gammaln(taken + 1) - gammaln(of - taken + 1)
    return made
