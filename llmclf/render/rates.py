"""Rates as short texts that keep two digits where they are small, and never round what is not 0 or 1 to it."""

from __future__ import annotations

import math

from llmclf.types import Estimate

_LEAST = 1e-6
_ROUNDING = 1e-12  # sums of shares miss 1 by so much


def rate_text(share: float, spec: str = ".2f") -> str:
    """A share by a format spec (`.2f`, `.3f`, `.2%`), with more digits where its own would not tell it from 0 or 1.

    >>> rate_text(0.86), rate_text(0.00265), rate_text(0.9996), rate_text(0.0)
    ('0.86', '0.0027', '0.9996', '0.00')
    """
    kind = spec[-1]
    whole = 100.0 if kind == "%" else 1.0
    size = share * whole
    digits = int(spec[1:-1])
    if 0 < size < _LEAST:
        return f"<{_LEAST:f}{kind.removesuffix('f')}"
    if _ROUNDING < whole - size < _LEAST:
        return f">{whole - _LEAST:f}{kind.removesuffix('f')}"
    if 0 < size < 1:
        digits = max(digits, 1 - math.floor(math.log10(size)))
    if _LEAST <= whole - size < 0.5 * 10**-digits:
        digits = -math.floor(math.log10(whole - size))
    return f"{share:.{digits}{kind}}"


def rate_cells(estimate: Estimate, spec: str = ".2f") -> tuple[str, str]:
    """(value, interval) of an estimated share; `?` where there is no value, nothing where there is no interval."""
    value = "?" if estimate.value is None else rate_text(estimate.value, spec)
    if estimate.low is None or estimate.high is None:
        return value, ""
    low, high = rate_text(estimate.low, spec), rate_text(estimate.high, spec)
    return value, f"{low} to {high}" if low.startswith("-") else f"{low}-{high}"


def rate_range(estimate: Estimate, spec: str = ".2f") -> str:
    """`0.86 (0.71-0.95)`, or why there is no figure."""
    if estimate.value is None:
        return estimate.format()
    value, interval = rate_cells(estimate, spec)
    return f"{value} ({interval})" if interval else value
