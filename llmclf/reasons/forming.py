"""Clusters with their figures, names and what may be shown of them, from which text is in which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from llmclf.reasons.grouping import collapsed
from llmclf.reasons.moments import Moments, moment_texts
from llmclf.reasons.naming import UNNAMED, medoid_of, name_of, terms_of
from llmclf.reasons.rates import FAILED, Shares, codes_of, shares_of
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import Cluster, ClusterKind, ClusterSettings
from llmclf.types import Estimate

IntArray = npt.NDArray[np.intp]
Terms = tuple[str, ...]

_MOST_NAMED = 250
"""Texts of a cluster, at most, that its terms are counted in."""
_MOST_MEDOID = 4_000


@dataclass(frozen=True, eq=False)
class Part:
    """Window or baseline: its reasons, when they were made, and the cluster of each text."""

    embedded: Embedded
    moments: Moments
    labels: IntArray
    """Cluster of each distinct text, -1: none."""

    @property
    def assigned(self) -> IntArray:
        """Cluster of each reason."""
        return self.labels[self.embedded.of]


@dataclass(frozen=True, slots=True)
class Named:
    """What clusters are called: by their terms, or as they were called before."""

    ids: tuple[str, ...]
    kinds: tuple[ClusterKind, ...]
    parents: tuple[str, ...]
    names: tuple[str, ...]
    """Empty where it is to be made from the terms."""
    named_by: tuple[str, ...]
    terms: tuple[Terms | None, ...]
    """None where they are to be found."""


def form(
    window: Part,
    baseline: Part | None,
    named: Named,
    settings: ClusterSettings,
    *,
    texts: Sequence[int] | None = None,
) -> tuple[Cluster, ...]:
    """The clusters in the order of `named`. `texts`: how many different ones each holds, where that is known."""
    count = len(named.ids)
    if not count:
        return ()
    found = shares_of(window.assigned, count, window.embedded.groups)
    before = None if baseline is None else shares_of(baseline.assigned, count, baseline.embedded.groups)
    terms = _terms(window, baseline, named, settings.least_conversations)
    first, last = _seen(window, baseline, count)
    texts, medoids = _texts(window, count) if texts is None else texts, _medoids(window, count)
    labels, errors = _labels(window, count), _errors(window, count)
    ids = window.embedded.reasons.column("prediction_id")
    made = []
    for place, id_ in enumerate(named.ids):
        shown = _is_shown(found, place, settings)
        in_words = shown or (before is not None and _is_shown(before, place, settings))
        made.append(
            Cluster(
                id=id_,
                kind=named.kinds[place],
                name=(named.names[place] or name_of(terms[place])) if in_words else UNNAMED,
                named_by=named.named_by[place],
                terms=terms[place] if in_words else (),
                parent=named.parents[place],
                reasons=int(found.reasons[place]),
                texts=texts[place],
                conversations=int(found.conversations[place]),
                share=found.shares[place],
                baseline=Estimate.unknown("there is no baseline") if before is None else before.shares[place],
                medoid=ids[medoids[place]] if shown else "",
                labels=labels[place],
                errors=errors[place],
                first_seen=first[place],
                last_seen=last[place],
            )
        )
    return tuple(made)


def _is_shown(found: Shares, place: int, settings: ClusterSettings) -> bool:
    return bool(
        found.reasons[place] >= settings.least_reasons and found.conversations[place] >= settings.least_conversations
    )


def _terms(window: Part, baseline: Part | None, named: Named, least: int) -> list[Terms]:
    """Terms of each cluster, those that are given and those that are found in its texts."""
    count = len(named.ids)
    if all(one is not None for one in named.terms):
        return [one or () for one in named.terms]
    texts: list[str] = []
    labels: list[IntArray] = []
    conversations: list[IntArray] = []
    for part, numbers in _numbered(window, baseline):
        rows, of_rows = _sample(part, count, least)
        texts += [part.embedded.texts[row] for row in rows.tolist()]
        labels.append(part.labels[rows])
        conversations.append(numbers[of_rows])
    found = terms_of(texts, np.concatenate(labels), np.concatenate(conversations), least_conversations=least)
    found += [()] * (count - len(found))
    return [own if given is None else given for given, own in zip(named.terms, found, strict=True)]


def _numbered(window: Part, baseline: Part | None) -> list[tuple[Part, IntArray]]:
    """Window and baseline, and one numbering of their conversations: one that is in both counts once."""
    here = window.embedded.conversations
    parts = [(window, np.arange(here))]
    if baseline is not None:
        embedded = baseline.embedded
        there = set(embedded.reasons.column("conversation_id"))
        ids = zip(window.embedded.reasons.column("conversation_id"), window.embedded.groups.tolist(), strict=True)
        both = {id_: number for id_, number in ids if id_ in there}
        numbers = np.arange(embedded.conversations) + here
        for id_, group in zip(embedded.reasons.column("conversation_id"), embedded.groups.tolist(), strict=True):
            numbers[group] = both.get(id_, numbers[group])
        parts.append((baseline, numbers))
    return parts


def _sample(part: Part, count: int, least: int) -> tuple[IntArray, IntArray]:
    """Texts of each cluster, each once for each conversation it stands in, up to `least`; and those conversations."""
    embedded = part.embedded
    inside = part.assigned >= 0
    pairs = np.unique(embedded.of[inside] * embedded.conversations + embedded.groups[inside])
    text, conversation = np.divmod(pairs, max(1, embedded.conversations))
    nth = np.arange(len(text)) - np.searchsorted(text, text)
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(nth < least))
    text, conversation = text[chosen], conversation[chosen]
    labels = part.labels[text]
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(count))
    kept = order[np.arange(len(order)) - starts[labels[order]] < _MOST_NAMED]
    return text[kept], conversation[kept]


def _seen(window: Part, baseline: Part | None, count: int) -> tuple[list[str], list[str]]:
    """When the first and the last reason of each cluster was made; empty where that is not known."""
    nat = np.iinfo(np.int64)
    first, last = np.full(count, nat.max), np.full(count, nat.min)
    for part in (window, *((baseline,) if baseline is not None else ())):
        assigned = part.assigned
        known = (assigned >= 0) & ~np.isnat(part.moments)
        moments = part.moments[known].astype(np.int64)
        np.minimum.at(first, assigned[known], moments)
        np.maximum.at(last, assigned[known], moments)
    unseen = last == nat.min
    first[unseen] = last[unseen] = nat.min  # NaT
    return moment_texts(first.astype("datetime64[us]")), moment_texts(last.astype("datetime64[us]"))


def _texts(window: Part, count: int) -> list[int]:
    """Different texts of each cluster, near-duplicates taken as one."""
    numbers = collapsed(window.embedded.vectors, window.labels)
    first = np.unique(numbers, return_index=True)[1]
    labels = window.labels[first]
    found: list[int] = np.bincount(labels[labels >= 0], minlength=count).tolist()
    return found


def _medoids(window: Part, count: int) -> list[int]:
    """The reason of the window that stands for each cluster best; 0 where there is none."""
    embedded = window.embedded
    sizes = embedded.weights
    first = np.full(len(embedded.texts), 0, np.intp)
    first[embedded.of[::-1]] = np.arange(len(embedded.of))[::-1]
    made = []
    for rows in places_of(window.labels, count):
        if len(rows) > _MOST_MEDOID:
            rows = np.sort(np.random.default_rng(0).choice(rows, _MOST_MEDOID, replace=False))
        made.append(int(first[rows[medoid_of(embedded.vectors[rows], sizes[rows])]]) if len(rows) else 0)
    return made


def places_of(labels: IntArray, count: int) -> list[IntArray]:
    """The places of each of `count` labels; those of -1 are left out."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(count + 1))
    return [order[start:end] for start, end in pairwise(bounds)]


def _labels(window: Part, count: int) -> list[dict[str, int]]:
    """Label to reasons of each cluster, most first."""
    return _mixes([label or FAILED for label in window.embedded.reasons.column("label")], window.assigned, count)


def _errors(window: Part, count: int) -> list[dict[str, int]]:
    """Kind of error to reasons of each cluster, most first, and what is no error and yet suspicious."""
    reasons, assigned = window.embedded.reasons, window.assigned
    made = [Counter(one) for one in _mixes([kind or "" for kind in reasons.column("error_kind")], assigned, count)]
    for name in ("ungrounded", "truncated"):
        marked = np.fromiter(map(bool, reasons.column(name)), bool, len(assigned))
        found = np.bincount(assigned[marked & (assigned >= 0)], minlength=count)
        for place in np.flatnonzero(found).tolist():
            made[place][name] += int(found[place])
    return [dict(one.most_common()) for one in made]


def _mixes(values: Sequence[str], assigned: IntArray, count: int) -> list[dict[str, int]]:
    """Value to reasons of each cluster, most first; empty values are left out."""
    names, codes = codes_of(values)
    inside = assigned >= 0
    flat = np.bincount(assigned[inside] * len(names) + codes[inside], minlength=count * len(names))
    table = flat.reshape(count, len(names))
    return [
        {names[code]: int(row[code]) for code in np.argsort(-row, kind="stable").tolist() if row[code] and names[code]}
        for row in table
    ]
