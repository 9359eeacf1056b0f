"""Batches to learn from that hold what is looked for: drawn at random, most would hold none of it."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

_APART = 10_007  # iterations between the batches of one; no search has so many


class PositiveBatches:
    """A batch sampler as gepa takes it: `positives` positives or more in each batch, the rest others.

    `positive` holds the loader's ids of what is looked for. Each side is gone through in random order, again and
    again, so that all are seen before one is seen twice. Which batch comes depends on `seed`, the iteration and how
    many were drawn in that iteration, and on nothing else. Where one side has too few for its share of a batch, the
    other fills it; a batch never holds an instance twice.
    """

    def __init__(self, positive: Collection[Any], *, size: int, positives: int, seed: int = 0) -> None:
        self._positive = frozenset(positive)
        self._size = size
        self._positives = positives
        self._seed = seed
        self._iteration: int | None = None
        self._call = 0

    def next_minibatch_ids(self, loader: Any, state: Any) -> list[Any]:
        """Ids of the loader for the iteration `state.i`, positives first; another batch at each call within one."""
        self._call = self._call + 1 if state.i == self._iteration else 0
        self._iteration = state.i
        ids = list(loader.all_ids())
        found = [id for id in ids if id in self._positive]
        others = [id for id in ids if id not in self._positive]
        size = min(self._size, len(ids))
        wanted = max(min(self._positives, size, len(found)), size - len(others))
        at = state.i + self._call * _APART
        return self._drawn("positive", found, wanted, at) + self._drawn("other", others, size - wanted, at)

    def _drawn(self, side: str, members: Sequence[Any], count: int, at: int) -> list[Any]:
        """The `at`-th `count` members of an endless row of shuffles; what would stand twice is passed over."""
        chosen: list[Any] = []
        place = at * count
        while len(chosen) < count:
            turn, within = divmod(place, len(members))
            shuffled = list(members)
            random.Random(f"{self._seed} {side} {turn}").shuffle(shuffled)  # noqa: S311 - batches, not a secret
            if shuffled[within] not in chosen:
                chosen.append(shuffled[within])
            place += 1
        return chosen
