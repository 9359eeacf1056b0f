"""Which items a slice holds: by failure mode, label, length, source, stratum, or a key of metadata.

A key of metadata that is called as one of those is `metadata.source`; before any other `metadata.` may stand, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import ConfigError, nearest
from llmclf.evaluation.matching import Matched
from llmclf.evaluation.parts import modes_of
from llmclf.types import Dataset, Task

BUILT_IN = ("failure_mode", "label", "length", "source", "stratum")
"""What can be sliced by beside keys of metadata."""
_METADATA = "metadata."
"""Before a key of metadata that a built-in name hides."""
MOST_VALUES = 12
"""Metadata with more values than this is not looked at unless asked for: an id is not a slice."""
_BANDS = 4
_NONE = "(none)"


@dataclass(frozen=True, eq=False)
class Cut:
    """One slice's items, and which of the two rates it is about."""

    by: str
    value: str
    inside: NDArray[np.bool_]
    """(n,) in the order of the examples."""
    has_targets: bool = True
    """False where a slice can't hold a target (a label beside it): recall is no question then."""
    has_others: bool = True
    """False where a slice holds targets only (such as a failure mode of theirs): false alarms are none then."""


def cuts(matched: Matched, dataset: Dataset, task: Task, by: Sequence[str] | None) -> list[Cut]:
    """The slices by each name in `by`; by default every built-in that parts the items, and metadata of 2 to 12 values.

    Raises ConfigError for a name that is neither built in nor metadata of any conversation.
    """
    built_in: dict[str, Callable[[], list[Cut]]] = {
        "failure_mode": lambda: _by_failure_mode(matched),
        "label": lambda: _by_label(matched, task),
        "length": lambda: _by_value("length", _lengths(matched, dataset)),
        "source": lambda: _by_value("source", [example.source for example in matched.examples]),
        "stratum": lambda: _by_value("stratum", [example.stratum or _NONE for example in matched.examples]),
    }
    metadata = _metadata(matched, dataset)
    if by is None:
        few = [key for key, values in metadata.items() if 2 <= len(set(values)) <= MOST_VALUES]
        made = [cut for name in (*built_in, *map(_name_of, few)) for cut in _of(name, built_in, metadata)]
        return [cut for cut in made if not cut.inside.all()]
    check_names(dataset, by)
    return [cut for name in dict.fromkeys(by) for cut in _of(name, built_in, metadata)]


def check_names(dataset: Dataset, by: Sequence[str]) -> None:
    """Raises ConfigError, listing all, for names that are neither built in nor metadata of any conversation."""
    keys = {key for one in dataset.conversations.values() for key in one.metadata}
    known = sorted({*BUILT_IN, *map(_name_of, keys)})
    possible = {*known, *(_METADATA + key for key in keys)}
    wrong = [f"{name!r}; {nearest(name, known)}" for name in by if name not in possible]
    if wrong:
        hidden = ", ".join(_name_of(key) for key in sorted(keys) if key in BUILT_IN)
        fix = f"metadata with a built-in name is {hidden}" if hidden else ""
        raise ConfigError("there is nothing of this name to slice by", where="slices", problems=wrong, fix=fix)


def _of(name: str, built_in: dict[str, Callable[[], list[Cut]]], metadata: dict[str, list[str]]) -> list[Cut]:
    if name in built_in:
        return built_in[name]()
    key = name if name in metadata else name.removeprefix(_METADATA)
    return _by_value(_name_of(key), metadata[key])


def _name_of(key: str) -> str:
    """What a key of metadata is called beside the built-in names."""
    return f"{_METADATA}{key}" if key in BUILT_IN else key


def _by_value(by: str, values: Sequence[str]) -> list[Cut]:
    names, codes = np.unique(np.array(values, dtype=object), return_inverse=True)
    return [Cut(by, str(name), codes == number) for number, name in enumerate(names)]


def _by_failure_mode(matched: Matched) -> list[Cut]:
    """Targets that show a mode are missed, others are false alarms: what was promoted as a fault may be either."""
    shown = modes_of(matched, np.arange(len(matched.examples)))
    return [
        Cut(
            "failure_mode",
            mode,
            inside,
            bool((inside & matched.positive).any()),
            bool((inside & ~matched.positive).any()),
        )
        for mode, inside in sorted(shown.items())
    ]


def _by_label(matched: Matched, task: Task) -> list[Cut]:
    labels = np.array(matched.labels, dtype=object)
    others = [name for name in task.label_names if name != task.target]
    found = [Cut("label", name, labels == name, has_targets=False) for name in others]
    return [cut for cut in found if cut.inside.any()]


def _metadata(matched: Matched, dataset: Dataset) -> dict[str, list[str]]:
    """Key to the value of each example's conversation, as text."""
    found = [dataset.conversations.get(example.conversation_id) for example in matched.examples]
    keys = sorted({key for one in dataset.conversations.values() for key in one.metadata})
    texts: dict[str, list[str]] = {}
    for key in keys:
        values = [None if one is None else one.metadata.get(key) for one in found]
        texts[key] = [_NONE if value is None else str(value) for value in values]
    return texts


def _lengths(matched: Matched, dataset: Dataset) -> list[str]:
    """The band of each example's conversation: by turns, or by characters where all have as many turns."""
    ids = [example.conversation_id for example in matched.examples]
    there = {id: dataset.conversations[id] for id in set(ids) if id in dataset.conversations}
    turns = {id: len(conversation.turns) for id, conversation in there.items()}
    unit = "turns"
    if len(set(turns.values())) < 2:
        turns = {id: sum(len(turn.text) for turn in one.turns) for id, one in there.items()}
        unit = "characters"
    band_of = _bands(Counter(turns[id] for id in ids if id in turns), unit)
    return [band_of[turns[id]] if id in turns else _NONE for id in ids]


def _bands(items: Counter[int], unit: str) -> dict[int, str]:
    """Length to the name of its band: about a quarter of the items each, cut between lengths; names sort by length."""
    total, before = items.total(), 0
    bands: dict[int, list[int]] = {}
    for length in sorted(items):
        middle = before + items[length] / 2
        bands.setdefault(int(_BANDS * middle / total), []).append(length)
        before += items[length]
    return {
        length: f"{band[0]} {unit}" if band[0] == band[-1] else f"{band[0]}-{band[-1]} {unit}"
        for band in bands.values()
        for length in band
    }
