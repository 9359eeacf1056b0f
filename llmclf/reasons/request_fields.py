"""Which request fields an anomaly goes with: an empty transcript, one vendor, one prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import FieldShare
from llmclf.stats.counts import more_than_drawn
from llmclf.stats.difference import holm

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

COLUMNS = (
    *("model", "prompt_id", "classifier_id", "route", "label", "cell_id"),
    *("truncated", "ungrounded", "error_kind", "input_tokens"),
)
LEVEL = 0.05
_LONGEST = 80


class RequestFields:
    """The fields of a window's reasons as numbers, made once and held against each anomaly.

    Numbers stand in bands of powers of 2, with 0 apart ("turns 0" is an empty transcript).
    """

    def __init__(self, window: Embedded, least_conversations: int) -> None:
        self._groups, self._conversations = window.groups, window.conversations
        self._fields: list[tuple[str, list[str], IntArray]] = []
        columns: dict[str, list[Any]] = {name: window.reasons.column(name) for name in COLUMNS}
        columns["label"] = [value or "(failed)" for value in columns["label"]]
        rows = window.reasons.column("fields")
        for name in sorted({name for row in rows if row for name in row} - set(columns)):
            columns[name] = [_of(row, name) for row in rows]
        for name, values in columns.items():
            self._add(name, values, least_conversations)

    def _add(self, name: str, values: list[Any], least: int) -> None:
        """Only values that enough conversations share: that does not look at which of them are the anomaly's."""
        words = [band(value) for value in values]
        counts = Counter(word for word, _ in set(zip(words, self._groups.tolist(), strict=True)))
        shared = [word for word in sorted(counts) if word and counts[word] >= least]
        number = {word: place for place, word in enumerate(shared)}
        codes = np.array([number.get(word, len(shared)) for word in words], np.intp)  # the last one: any other, or none
        if len(counts) > 1 and shared:
            self._fields.append((name, shared, codes))

    def of(self, inside: BoolArray) -> tuple[FieldShare, ...]:
        """Values that the reasons `inside`, shape (n,), have more often than the window's others, surest first.

        Units are conversations, more exactly each with each value that it has; hypergeometric, adjusted by Holm for
        all values of all fields. At most .05.
        """
        chosen = np.unique(self._groups[inside])
        others = self._conversations - len(chosen)
        looked: list[tuple[str, str, int, float]] = []
        p: list[float | None] = []
        for name, words, codes in self._fields:
            everything = _pairs(codes, self._groups)
            within = _pairs(codes[inside], self._groups[inside])
            without = everything[~np.isin(everything[:, 1], chosen)]
            all_of, in_of, out_of = (np.bincount(x[:, 0], minlength=len(words)) for x in (everything, within, without))
            for place, word in enumerate(words):
                inside_share, outside = in_of[place] / max(1, len(chosen)), out_of[place] / max(1, others)
                higher = inside_share > outside
                looked.append((name, word, int(in_of[place]), float(outside)))
                drawn = more_than_drawn(int(in_of[place]), len(within), int(all_of[place]), len(everything))
                p.append(drawn if higher else 1.0)
        found = [
            FieldShare(name, word, count, len(chosen), outside, float(adjusted))
            for (name, word, count, outside), adjusted in zip(looked, holm(p), strict=True)
            if adjusted is not None and adjusted <= LEVEL
        ]
        return tuple(sorted(found, key=lambda one: (one.p, -one.inside)))


def band(value: Any) -> str:
    """A value as a word; numbers by powers of 2.

    >>> band(0), band(5), band(0.3), band(True), band("chat"), band(None)
    ('0', '4-7', '0.25-0.5', 'true', 'chat', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _number_band(float(value), isinstance(value, int))
    return str(value)[:_LONGEST]


def _number_band(value: float, whole: bool) -> str:
    if not np.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    low = 2.0 ** np.floor(np.log2(abs(value)))
    high = 2 * low - 1 if whole else 2 * low
    sign = "-" if value < 0 else ""
    return f"{sign}{low:g}" if low == high else f"{sign}{low:g}-{sign}{high:g}"


def _of(row: Mapping[str, Any] | None, name: str) -> Any:
    return row.get(name) if row else None


def _pairs(codes: IntArray, groups: IntArray) -> IntArray:
    """Value and conversation, each pair once."""
    pairs: IntArray = np.unique(np.stack([codes, groups], axis=1), axis=0)
    return pairs
