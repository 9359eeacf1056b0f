"""From draws of a figure to its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def central(draws: NDArray[np.float64], value: float, level: float) -> tuple[float, float]:
    """(low, high): the central `level` (0 to 1) of the draws, stretched where the figure itself lies outside."""
    tail = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(draws, [tail, 1 - tail]))
    return min(low, value), max(high, value)
