"""Clusters of nearly one model, prompt or classifier only, which they were not before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.reasons.texts import Embedded
from llmclf.stats.counts import more_than_drawn, upper_binomial

IntArray = npt.NDArray[np.intp]
SIDES = ("model", "prompt_id", "classifier_id")
NEARLY_ALL = 0.9
"""A cluster is one-sided from this share of its conversations on."""
_Z = 1.96


@dataclass(frozen=True)
class Sided:
    """A cluster of nearly one value only, while the window has several."""

    cluster: int
    field: str
    value: str
    inside: int
    """Conversations of the cluster with this value."""
    of: int
    """Conversations of the cluster."""
    outside: float
    """Share of the value among the window's other conversations."""
    is_new: bool
    """The baseline has no such value."""
    p: float
    """Chance of it where the value is spread as in the rest of the window, and, if the baseline has the value, as
    uneven as it was there; not adjusted for what else was looked at."""


def measure_sides(
    window: Embedded,
    assigned: IntArray,
    baseline: Embedded,
    baseline_assigned: IntArray,
    clusters: int,
    least_conversations: int,
) -> list[Sided]:
    """Every cluster and field that was looked at: those with enough conversations, where the window has several values.

    Two tests must both say so: the value is more frequent in the cluster than elsewhere in the window (exact,
    hypergeometric), and more than its baseline lead predicts (binomial at the upper end of the odds ratio there), since
    models differ in style at any time.
    """
    found = []
    for field in SIDES:
        now = _Values(window, assigned, field)
        if len(now.names) < 2:
            continue
        before = _Values(baseline, baseline_assigned, field)
        for cluster in range(clusters):
            one = _look(now, before, cluster, least_conversations)
            if one is not None:
                found.append(one)
    return found


class _Values:
    """Conversations by value of a field; one that has several values counts for each."""

    def __init__(self, embedded: Embedded, assigned: IntArray, field: str) -> None:
        values = [str(value or "") for value in embedded.reasons.column(field)]
        self.field = field
        self.names = sorted({value for value in values if value})
        number = {name: place for place, name in enumerate(self.names)}
        self._value = np.array([number.get(value, -1) for value in values], np.intp)
        self._groups, self._assigned = embedded.groups, assigned
        self.all = self._count(np.ones(len(values), bool))

    def of(self, cluster: int) -> IntArray:
        """Conversations of the cluster by value."""
        return self._count(self._assigned == cluster)

    def _count(self, chosen: npt.NDArray[np.bool_]) -> IntArray:
        chosen = chosen & (self._value >= 0)
        pairs = np.unique(np.stack([self._value[chosen], self._groups[chosen]], axis=1), axis=0)
        found: IntArray = np.bincount(pairs[:, 0], minlength=len(self.names))
        return found


def _look(now: _Values, before: _Values, cluster: int, least: int) -> Sided | None:
    counts = now.of(cluster)
    size = int(counts.sum())
    if size < least:
        return None
    top = int(counts.argmax())
    inside, value = int(counts[top]), now.names[top]
    total, having = int(now.all.sum()), int(now.all[top])
    rest = total - size
    outside = (having - inside) / rest if rest else 0.0
    is_new = value not in before.names
    p = 1.0
    if rest and inside >= NEARLY_ALL * size and inside >= least:
        p = more_than_drawn(inside, size, having, total) * len(now.names)
        if not is_new:
            place = before.names.index(value)
            p = max(p, _beyond_before(inside, size, (having - inside + 0.5) / (rest + 1), before, cluster, place))
    return Sided(cluster, now.field, value, inside, size, outside, is_new, min(1.0, p))


def _beyond_before(inside: int, size: int, outside: float, before: _Values, cluster: int, place: int) -> float:
    """Chance of so many where the odds ratio is at the upper end of what it was in the baseline."""
    counts = before.of(cluster)
    with_it, others = float(counts[place]) + 0.5, float(counts.sum() - counts[place]) + 0.5
    elsewhere = before.all - counts
    with_else, others_else = float(elsewhere[place]) + 0.5, float(elsewhere.sum() - elsewhere[place]) + 0.5
    error = np.sqrt(1 / with_it + 1 / others + 1 / with_else + 1 / others_else)
    ratio = (with_it * others_else) / (others * with_else) * np.exp(_Z * error)
    odds = max(ratio, 1.0) * outside / (1 - outside)
    return upper_binomial(inside, size, float(odds / (1 + odds)))
