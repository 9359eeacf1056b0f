"""A figure with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure that says how sure it is. Every number llmclf shows about a classifier is one.

    >>> print(Estimate(0.86, 0.71, 0.95, method="wilson", n_positives=29))
    0.86 (0.71-0.95)
    >>> print(Estimate.unknown("needs 4 more positives", n_positives=1))
    not estimable (needs 4 more positives)
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    """How the interval was made, for instance `stratified-beta`."""
    n_positives: int | None = None
    """Positive examples behind the figure."""
    largest_weight_share: float | None = None
    """Share of the estimated positives that a single example stands for; above .2 be suspicious."""
    why_not: str = ""
    """Why there is no value, or what it leaves out."""

    @classmethod
    def unknown(cls, why_not: str, *, n_positives: int | None = None, method: str = "") -> Estimate:
        """An estimate that says why it can't be given."""
        return cls(None, method=method, n_positives=n_positives, why_not=why_not)

    @property
    def is_known(self) -> bool:
        """True where there is a value."""
        return self.value is not None

    @property
    def is_upper_bound_only(self) -> bool:
        """True where no value is given and the interval alone says something."""
        return self.value is None and self.high is not None

    def scaled(self, factor: float) -> Estimate:
        """The figure and its interval times a factor of at least 0."""
        return self._moved(lambda figure: figure * factor)

    def plus(self, more: float) -> Estimate:
        """The figure and its interval with a number added that is known."""
        return self._moved(lambda figure: figure + more)

    def complement(self) -> Estimate:
        """1 less the figure, its interval turned round.

        >>> print(Estimate(0.75, 0.5, 1.0).complement())
        0.25 (0.00-0.50)
        """
        turned = self._moved(lambda figure: 1 - figure)
        return replace(turned, low=turned.high, high=turned.low)

    def _moved(self, by: Callable[[float], float]) -> Estimate:
        value, low, high = (None if end is None else by(end) for end in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def format(self, spec: str = ".2f", unit: str = "") -> str:
        """`value (low-high)`, `value (-low to high)` by a format spec, with `unit` before each number."""
        if self.value is None:
            return f"not estimable ({self.why_not})" if self.why_not else "not estimable"
        value, low, high = (
            None if end is None else _signed(end, spec, unit) for end in (self.value, self.low, self.high)
        )
        if low is None or high is None:
            return str(value)
        return f"{value} ({low}{' to ' if low.startswith('-') else '-'}{high})"

    def __str__(self) -> str:
        return self.format()

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON types; unset fields are null."""
        return {name: getattr(self, name) for name in self.__slots__}


def _signed(number: float, spec: str, unit: str) -> str:
    """`$5.00`, `-$5.00`: the sign stands before the unit."""
    text = f"{number:{spec}}"
    return f"-{unit}{text[1:]}" if text.startswith("-") else f"{unit}{text}"
