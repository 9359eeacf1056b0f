"""Shares of clusters by model, prompt, classifier, label, time or request field, with intervals by conversation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from llmclf.errors import ConfigError, nearest
from llmclf.reasons.moments import moments_of
from llmclf.stats.proportion import effective_total, wilson
from llmclf.types import Estimate
from llmclf.types.reasons import Reasons

IntArray = npt.NDArray[np.intp]

FAILED = "(failed)"
"""Stands for the label of a prediction without one."""
NONE = "(none)"
"""Stands for a value that is not known."""
_COLUMNS = ("model", "prompt_id", "classifier_id", "label")
_TIMES: dict[str, Literal["D", "h"]] = {"day": "D", "hour": "h"}
FEW = "(few)"
"""Stands for the values of a request field that too few conversations have, and those beyond the most common."""
_MOST_VALUES = 20


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a cluster is among the reasons with one value of something."""

    cluster: str
    """Its id."""
    by: str
    """What the reasons are parted by: model, prompt_id, classifier_id, label, day, hour, or a request field."""
    value: str
    reasons: int
    """In the cluster, with this value."""
    of: int
    """With this value, in any cluster or none."""
    conversations: int
    """In the cluster, with this value."""
    share: Estimate
    """`reasons` of `of`; the interval holds for conversations as the units."""

    def to_dict(self) -> dict[str, Any]:
        """Value, counts and share as JSON types; cluster and `by` are the keys it stands under."""
        return {
            "value": self.value,
            "reasons": self.reasons,
            "of": self.of,
            "conversations": self.conversations,
            "share": self.share.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Shares:
    """Of each cluster: reasons, conversations, and its share of all reasons."""

    reasons: IntArray
    conversations: IntArray
    shares: tuple[Estimate, ...]


def rates_of(
    reasons: Reasons, cluster_ids: Sequence[str], clusters: Sequence[str], by: str, *, least: int = 1
) -> tuple[Rate, ...]:
    """A rate for each of `clusters` and each value of `by`; `cluster_ids` holds the cluster of each reason.

    Values of a request field that fewer than `least` conversations have are one, `(few)`, with those beyond the 20 that
    most have: a customer's number is no value to tell of. ConfigError for a `by` that no reason has.
    """
    values, number = codes_of(_shared_values(reasons, by, least))
    place = {id_: index for index, id_ in enumerate(clusters)}
    assigned = np.fromiter((place.get(id_, -1) for id_ in cluster_ids), np.intp, len(cluster_ids))
    groups = codes_of(reasons.column("conversation_id"))[1]
    of_value = [
        (value, places, shares_of(assigned[places], len(clusters), groups[places]))
        for value, places in sorted(zip(values, _places(number, len(values)), strict=True), key=lambda pair: pair[0])
    ]
    return tuple(
        Rate(
            cluster=id_,
            by=by,
            value=value,
            reasons=int(found.reasons[index]),
            of=len(places),
            conversations=int(found.conversations[index]),
            share=found.shares[index],
        )
        for index, id_ in enumerate(clusters)
        for value, places, found in of_value
    )


def values_of(reasons: Reasons, by: str) -> list[str]:
    """The value of `by` of each reason, as text. ConfigError for a `by` that no reason has."""
    if by in _TIMES:
        moments = moments_of(reasons.column("created_at"))
        texts = np.datetime_as_string(moments, unit=_TIMES[by]).tolist()
        return [NONE if text == "NaT" else text for text in texts]
    if by in _COLUMNS:
        empty = FAILED if by == "label" else NONE
        return [value or empty for value in reasons.column(by)]
    fields = reasons.column("fields")
    known = sorted({name for one in fields for name in one or ()})
    if by not in known:
        choices = (*_COLUMNS, *_TIMES, *known)
        raise ConfigError("nothing to part the reasons by", where="rates", got=by, fix=nearest(by, choices))
    return [_text((one or {}).get(by)) for one in fields]


def _shared_values(reasons: Reasons, by: str, least: int) -> list[str]:
    values = values_of(reasons, by)
    if by in _TIMES or by in _COLUMNS:
        return values
    conversations = Counter(value for value, _ in set(zip(values, reasons.column("conversation_id"), strict=True)))
    most = sorted(conversations, key=lambda value: (-conversations[value], value))[:_MOST_VALUES]
    told = {value for value in most if conversations[value] >= least}
    return [value if value in told else FEW for value in values]


def shown_fields(reasons: Reasons) -> tuple[str, ...]:
    """What rates are shown by: columns and request fields of 2 to 20 different values."""
    seen: dict[str, set[str]] = {name: set(values_of(reasons, name)) for name in _COLUMNS}
    fields: dict[str, set[str]] = {}
    for one in reasons.column("fields"):
        for name, value in (one or {}).items():
            values = fields.setdefault(name, set())
            if len(values) <= _MOST_VALUES:
                values.add(_text(value))
    shown = seen | {name: values for name, values in sorted(fields.items()) if name not in seen}
    return tuple(name for name, values in shown.items() if 2 <= len(values) <= _MOST_VALUES)


def shares_of(assigned: IntArray, count: int, groups: IntArray, *, level: float = 0.95) -> Shares:
    """The share of each of `count` clusters among the reasons; `assigned` holds -1 for those in none.

    The same intervals as `llmclf.stats.clustered_wilson` with `alike`, as reasons of one conversation mostly are, for
    all clusters in one pass: it needs no more than sums over the conversations that a cluster is in.
    """
    total, by_group = len(assigned), np.bincount(groups, minlength=1).astype(float)
    sizes = by_group[by_group > 0]
    inside = assigned >= 0
    pairs, found = np.unique(assigned[inside] * len(by_group) + groups[inside], return_counts=True)
    cluster, group = np.divmod(pairs, len(by_group))
    reasons = np.bincount(cluster, found, count)
    squares = np.bincount(cluster, found.astype(float) ** 2, count)
    crossed = np.bincount(cluster, found * by_group[group], count)
    estimates = tuple(
        _share(hits, total, sizes, (square, cross), level) if total else Estimate.unknown("there are no such reasons")
        for hits, square, cross in zip(reasons.tolist(), squares.tolist(), crossed.tolist(), strict=True)
    )
    return Shares(reasons.astype(np.intp), np.bincount(cluster, minlength=count).astype(np.intp), estimates)


def _share(
    hits: float, total: int, sizes: npt.NDArray[np.float64], sums: tuple[float, float], level: float
) -> Estimate:
    """`sums`: over conversations, of their hits squared, and of their hits times their reasons."""
    if len(sizes) == total:
        return wilson(hits, total, level=level)
    share, effective = hits / total, effective_total(hits, *sums, sizes, level=level, alike=True)
    made = wilson(share * effective, effective, level=level)
    return replace(made, value=share, method="wilson-clustered")


def codes_of(values: Sequence[str]) -> tuple[list[str], IntArray]:
    """The different values in order of first sight, and the number of each one's."""
    number = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return list(number), np.fromiter(map(number.__getitem__, values), np.intp, len(values))


def _places(number: IntArray, count: int) -> list[IntArray]:
    """The places of each number from 0 to count - 1."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number, minlength=count))[:-1])


def _text(value: Any) -> str:
    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
