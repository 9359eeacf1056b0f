"""Figures of a card as short texts; unlike shares, kappa and alpha may be below 0."""

from __future__ import annotations

from llmclf.render.rates import rate_text
from llmclf.types import Estimate


def interval_text(figure: Estimate) -> str:
    """`0.71-0.90`, `-0.10 to 0.23`; empty where there is none.

    >>> interval_text(Estimate(-0.3, -0.4, -0.2))
    '-0.40 to -0.20'
    """
    if figure.low is None or figure.high is None:
        return ""
    between = " to " if figure.low < 0 else "-"
    return f"{_text(figure.low)}{between}{_text(figure.high)}"


def value_text(figure: Estimate) -> str:
    """The value alone; empty where there is none."""
    return "" if figure.value is None else _text(figure.value)


def figure_text(figure: Estimate) -> str:
    """`0.82 (0.71-0.90)`; `? (0.51-1.00)` where the value is withheld; `?` where nothing is known."""
    interval = interval_text(figure)
    value = value_text(figure) or "?"
    return f"{value} ({interval})" if interval else value


def in_words(figure: Estimate) -> str:
    """The same to be read in a sentence: `in 0.51-1.00` where the value is withheld, or `not known`, and why."""
    if figure.is_known:
        return figure_text(figure)
    interval = interval_text(figure)
    if interval:
        return f"in {interval}"
    return f"not known ({figure.why_not})" if figure.why_not else "not known"


def _text(number: float) -> str:
    return f"{number:.2f}" if number < -0.005 else rate_text(max(0.0, number))
