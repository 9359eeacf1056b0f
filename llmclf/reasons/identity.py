"""Clusters keep their ids, and so their names, from one clustering to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatMatrix = npt.NDArray[np.float32]

LEAST_SIMILARITY = 0.8
"""Cosine of two centroids under which they are not the same cluster.

Of clusterings of two halves of real reasons that share no conversation, the second begun from the first, 99 % (of 6,072
texts), 99 % (2,461), 87 % (1,085) and 52 % (181) of the second's reasons are in a cluster that keeps its id. A kept id
does not mean the same members: 67, 95, 71 and 39 % of the reasons would be under the same id by the first half's
centroids. The floor was chosen on these halves (benchmarks/reasoning_groups.py)."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """What is kept of a clustering for the next one."""

    clustering_id: str
    embedder: str
    ids: tuple[str, ...]
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    named_by: tuple[str, ...]
    parents: tuple[str, ...]
    """Id of each cluster's parent, or empty."""
    terms: tuple[tuple[str, ...], ...]
    vectors: FloatMatrix
    """Shape (k, 256): centroids."""
    parent_ids: tuple[str, ...]
    parent_names: tuple[str, ...]
    parent_vectors: FloatMatrix
    """Shape (parents, 256)."""


def kept_ids(
    vectors: FloatMatrix,
    earlier: Earlier | None,
    *,
    embedder: str,
    of: Literal["clusters", "parents"] = "clusters",
) -> list[str]:
    """An id for each centroid, shape (k, 256): the earlier one where it is alike, else a new one made from it.

    One to one, so that the sum of similarities is largest; under a cosine of LEAST_SIMILARITY nothing is kept. Vectors
    of another embedder can't be compared: all ids are new then. A new id is never one of the earlier ones.
    """
    before: Sequence[str] = ()
    kept: dict[int, str] = {}
    if earlier is not None:
        before = (*earlier.ids, *earlier.parent_ids)
        if earlier.embedder == embedder:
            names, there = (
                (earlier.ids, earlier.vectors) if of == "clusters" else (earlier.parent_ids, earlier.parent_vectors)
            )
            kept = {here: names[place] for here, place in _pairs(vectors, there)}
    taken = {*before, *kept.values()}
    ids: list[str] = []
    for place, vector in enumerate(vectors):
        id_ = kept.get(place) or _new_id(vector, "k" if of == "clusters" else "p", taken)
        taken.add(id_)
        ids.append(id_)
    return ids


def _pairs(vectors: FloatMatrix, earlier: FloatMatrix) -> list[tuple[int, int]]:
    """(row of `vectors`, row of `earlier`) that belong together."""
    from scipy.optimize import linear_sum_assignment

    if not len(vectors) or not len(earlier):
        return []
    cosines = vectors @ earlier.T
    # What is under the floor counts nothing, so it never takes a place that another one could have.
    here, there = linear_sum_assignment(np.where(cosines >= LEAST_SIMILARITY, cosines, 0), maximize=True)
    return [(int(a), int(b)) for a, b in zip(here, there, strict=True) if cosines[a, b] >= LEAST_SIMILARITY]


def _new_id(vector: FloatMatrix, letter: str, taken: set[str]) -> str:
    """A letter and eight hex digits of the centroid, to two decimals; another eight where these are taken."""
    coarse = np.round(vector.astype(np.float64) * 100).astype(np.int16).tobytes()
    attempt = 0
    while True:
        id_ = letter + blake2b(coarse, digest_size=4, salt=attempt.to_bytes(4, "little")).hexdigest()
        if id_ not in taken:
            return id_
        attempt += 1
