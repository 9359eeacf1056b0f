"""Conversations that are the same twice: word for word, or nearly.

Near duplicates are found by MinHash (Broder 1997) over shingles of three words, banded for locality
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4); each candidate is then compared
exactly. The work grows with the number of conversations, not with its square.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llmclf.data.checks.content import is_blank, text_of
from llmclf.types import Conversation

NEAR = 0.8
"""Shared part of three-word shingles (Jaccard) from which two conversations are near duplicates."""

_BANDS, _ROWS = 20, 5  # finds 99.96 % of pairs at a similarity of .8, 38 % at .47, 5 % at .3
_LARGEST_BUCKET = 1_000  # above it, a bucket is parted once more by the next band
_MARGIN = 0.12  # three standard errors of a similarity estimated from 100 minima
_BLOCK = 500_000  # shingles hashed at once: 4 MB for each of the hash functions' arrays
# Scripts without spaces between words: each character counts as a word.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+")
_SHINGLE_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of ids, each with two or more in the order of the data."""

    exact: tuple[tuple[str, ...], ...]
    """The same turns: speakers, words and events, whatever the times."""
    near: tuple[tuple[str, ...], ...]
    """At least `NEAR` of the shingles shared with another of the group; no two of them exact."""


def find_duplicates(conversations: Mapping[str, Conversation], *, near: float = NEAR) -> Duplicates:
    """Exact and near duplicates among conversations that hold anything; the same input, the same answer.

    Near: the Jaccard similarity of the sets of three-word shingles (lower case, without
    punctuation or speakers) is `near` or more. Near groups name one id of each exact group.
    20,000 conversations of some 200 words take a few seconds on one core.
    """
    same: dict[Hashable, list[str]] = defaultdict(list)
    for id, conversation in conversations.items():
        if not all(is_blank(turn) for turn in conversation.turns):
            same[_content(conversation)].append(id)
    first_ids = [ids[0] for ids in same.values()]
    texts = [_text(conversations[id]) for id in first_ids]
    groups = [tuple(first_ids[index] for index in group) for group in near_groups(texts, near)]
    return Duplicates(tuple(tuple(ids) for ids in same.values() if len(ids) > 1), tuple(groups))


def alike(sets: Mapping[str, Mapping[str, Conversation]]) -> dict[tuple[str, str], tuple[str, str]]:
    """(name of a set, id) to the first such pair whose conversation is the same or nearly; its own where none is.

    The same ids in several sets may mean other words. Two that are both near a third have the same first one.
    """
    homes = {f"{name}\n{id}": (name, id) for name, conversations in sets.items() for id in conversations}
    found = find_duplicates({key: sets[name][id] for key, (name, id) in homes.items()})
    first = dict(zip(homes, homes, strict=True))
    for group in found.near:
        first |= dict.fromkeys(group, group[0])
    for group in found.exact:  # near groups name the first of these alone
        first |= dict.fromkeys(group, first[group[0]])
    return {homes[key]: homes[other] for key, other in first.items()}


def near_groups(texts: Sequence[str], near: float = NEAR) -> list[list[int]]:
    """Indices of texts that are near duplicates, grouped; texts without a word are in no group."""
    signatures, counts = _signatures(texts)
    parents = list(range(len(texts)))
    shingles = _ShingleCache(texts, near)
    for band in range(_BANDS):
        for bucket in _buckets(signatures, np.flatnonzero(counts), band):
            _join_bucket(bucket, signatures, parents, shingles)
    found: dict[int, list[int]] = defaultdict(list)
    for index in range(len(texts)):
        found[_root(parents, index)].append(index)
    return [group for group in found.values() if len(group) > 1]


def _content(conversation: Conversation) -> Hashable:
    return tuple(
        (turn.speaker, text_of(turn), tuple(turn.events), tuple(turn.attachments)) for turn in conversation.turns
    )


def _text(conversation: Conversation) -> str:
    return "\n".join(text_of(turn) for turn in conversation.turns)


def _signatures(texts: Sequence[str]) -> tuple[Signatures, Indices]:
    """The minima of 100 hash functions over each text's shingles, and how many shingles it has."""
    random = np.random.default_rng(0)
    size = _BANDS * _ROWS
    factors = random.integers(1, 2**63, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = random.integers(0, 2**63, size=size, dtype=np.uint64)
    signatures = np.zeros((len(texts), size), dtype=np.uint32)
    counts = np.zeros(len(texts), dtype=np.int64)
    for indices, hashes, starts, lengths in _blocks(texts):
        counts[indices] = lengths
        for column in range(size):
            mixed = (hashes * factors[column] + offsets[column]) >> np.uint64(32)
            signatures[indices, column] = np.minimum.reduceat(mixed, starts).astype(np.uint32)
    return signatures, counts


def _blocks(texts: Sequence[str]) -> Iterator[tuple[list[int], Hashes, Indices, list[int]]]:
    """(indices of texts, their shingles end to end, where each begins, how many) in blocks that fit a cache."""
    known: dict[str, int] = {}
    indices: list[int] = []
    parts: list[Hashes] = []
    total = 0
    for index, text in enumerate(texts):
        hashes = _shingles(text, known)
        if len(hashes):
            indices.append(index)
            parts.append(hashes)
            total += len(hashes)
        if parts and (total > _BLOCK or index == len(texts) - 1):
            lengths = [len(part) for part in parts]
            yield indices, np.concatenate(parts), np.cumsum([0, *lengths[:-1]]), lengths
            indices, parts, total = [], [], 0
    if parts:
        lengths = [len(part) for part in parts]
        yield indices, np.concatenate(parts), np.cumsum([0, *lengths[:-1]]), lengths


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case and without punctuation; where a script has no spaces, its characters."""
    return _WORD.findall(text.lower())


def _shingles(text: str, known: dict[str, int]) -> Hashes:
    """A hash for every three words in a row; fewer words make one shingle."""
    codes = np.array([_word_code(word, known) for word in words_of(text)], dtype=np.uint64)
    width = min(3, len(codes))
    if not width:
        return codes
    total = np.zeros(len(codes) - width + 1, dtype=np.uint64)
    for place in range(width):
        total += codes[place : len(codes) - width + 1 + place] * _SHINGLE_FACTORS[place]
    return total ^ (total >> np.uint64(29))


def _word_code(word: str, known: dict[str, int]) -> int:
    code = known.get(word)
    if code is None:
        code = zlib.crc32(word.encode("utf-8", "replace")) * 0x9E3779B1 + len(word)
        if len(known) < 1_000_000:
            known[word] = code
    return code


def _buckets(signatures: Signatures, members: Indices, band: int, depth: int = 0) -> Iterator[Indices]:
    """Members whose rows of one band are equal, in order, where there are two or more."""
    first = (band + depth) % _BANDS * _ROWS
    columns = np.ascontiguousarray(signatures[members, first : first + _ROWS])
    keys: Any = columns.view(np.dtype((np.void, columns.dtype.itemsize * _ROWS))).ravel()
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    for positions in np.split(order, edges):
        bucket = members[positions]
        if len(bucket) > _LARGEST_BUCKET and depth < _BANDS - 1:
            yield from _buckets(signatures, bucket, band, depth + 1)
        elif len(bucket) > 1:
            yield bucket


def _join_bucket(bucket: Indices, signatures: Signatures, parents: list[int], shingles: _ShingleCache) -> None:
    """Joins each member to the first one before it that is near; estimates first, then compares exactly."""
    leaders = np.empty(len(bucket), dtype=np.int64)
    count = 0
    for index in bucket.tolist():
        alike = (signatures[leaders[:count]] == signatures[index]).mean(axis=1)
        candidates = leaders[:count][alike >= shingles.near - _MARGIN].tolist()
        root = _root(parents, index)
        if any(_root(parents, candidate) == root for candidate in candidates):
            continue
        match = next((candidate for candidate in candidates if shingles.are_near(candidate, index)), None)
        if match is None:
            leaders[count] = index
            count += 1
        else:
            first, second = sorted((_root(parents, match), root))
            parents[second] = first


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


class _ShingleCache:
    """The shingle sets of candidates, computed when first compared."""

    def __init__(self, texts: Sequence[str], near: float) -> None:
        self.near = near
        self._texts = texts
        self._known: dict[str, int] = {}
        self._sets: dict[int, frozenset[int]] = {}
        self._compared: dict[tuple[int, int], bool] = {}

    def are_near(self, first: int, second: int) -> bool:
        """True where the Jaccard similarity of the two sets is `near` or more."""
        key = (first, second)
        if key not in self._compared:
            a, b = self._set(first), self._set(second)
            shared = len(a & b)
            self._compared[key] = shared >= self.near * (len(a) + len(b) - shared)
        return self._compared[key]

    def _set(self, index: int) -> frozenset[int]:
        found = self._sets.get(index)
        if found is None:
            found = self._sets[index] = frozenset(_shingles(self._texts[index], self._known).tolist())
        return found
