"""Which text is in which cluster: known kinds on baseline and window together, new ones in the pool by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.reasons.grouping import centroids_of, group, group_pool, nearest
from llmclf.reasons.hierarchy import parents_of
from llmclf.reasons.identity import Earlier
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import ClusterKind, ClusterSettings

IntArray = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]

_MOST_FITTED = 100_000
"""Known kinds are fitted on so many texts of the window at most; the others go to the nearest."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Clusters as numbers, largest first, before they have figures and names."""

    window: IntArray
    """Cluster of each distinct text of the window; -1: in the pool, alone."""
    baseline: IntArray
    """The same of the baseline's; shape (0,) without one."""
    centroids: Vectors
    """Unit rows, shape (clusters, 256)."""
    kinds: tuple[ClusterKind, ...]
    carried: tuple[int, ...]
    """The place of each in the earlier clustering; -1: it is not from there."""
    parents: IntArray
    """Group of each cluster, from 0; -1: none, as for new kinds. Empty groups there are none."""


def fit(
    window: Embedded,
    baseline: Embedded | None,
    pool: npt.NDArray[np.bool_],
    earlier: Earlier | None,
    settings: ClusterSettings,
    *,
    start: Earlier | None = None,
) -> Fitted:
    """Clusters of the window's texts and the baseline's. With `earlier`, known kinds are its: nothing is fitted.

    `start`: an earlier clustering whose known kinds a new fit begins from, so that they keep most of their members.

    `pool`: the window's texts that are far from the baseline, shape (texts,).
    """
    base = window.vectors[:0] if baseline is None else baseline.vectors
    known = np.flatnonzero(~pool)
    if earlier is None:
        before = (
            None if start is None else start.vectors[_standing(base, baseline, start, settings.least_conversations)]
        )
        of_known, of_base, centroids = _known_kinds(window, baseline, known, settings.seed, before)
        carried = np.full(len(centroids), -1, np.intp)
    else:
        carried = _standing(base, baseline, earlier, settings.least_conversations)
        centroids = earlier.vectors[carried]
        of_known = nearest(window.vectors, centroids)[0][known]
        of_base = nearest(base, centroids)[0]
    of_window = np.full(len(window.texts), -1, np.intp)
    of_window[known] = of_known
    centre = base.mean(axis=0) if len(base) else None
    repeated = _conversations(window)[pool] >= settings.least_conversations
    of_pool = group_pool(window.vectors[pool], seed=settings.seed, centre=centre, repeated=repeated)
    of_window[pool] = np.where(of_pool >= 0, of_pool + len(centroids), -1)
    new = int(of_pool.max(initial=-1)) + 1
    centroids = np.concatenate([centroids, centroids_of(window.vectors[pool], of_pool, window.weights[pool])])
    carried = np.concatenate([carried, np.full(new, -1, np.intp)])
    return _largest_first(window, baseline, of_window, of_base, centroids, carried, len(centroids) - new, earlier)


def _known_kinds(
    window: Embedded, baseline: Embedded | None, known: IntArray, seed: int, start: Vectors | None
) -> tuple[IntArray, IntArray, Vectors]:
    """Clusters of the window's texts outside of the pool, of the baseline's, and their centroids."""
    rows = known
    if len(known) > _MOST_FITTED:
        rows = np.sort(np.random.default_rng(seed).choice(known, _MOST_FITTED, replace=False))
    vectors, weights = window.vectors[rows], window.weights[rows]
    if baseline is not None:
        vectors = np.concatenate([vectors, baseline.vectors])
        weights = np.concatenate([weights, baseline.weights])
    if not len(vectors):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), vectors
    labels = np.unique(group(vectors, weights, seed=seed, start=start), return_inverse=True)[1].astype(np.intp)
    centroids = centroids_of(vectors, labels, weights)
    of_base = labels[len(rows) :]
    if len(rows) == len(known):
        return labels[: len(rows)], of_base, centroids
    return nearest(window.vectors, centroids)[0][known], of_base, centroids


def _standing(base: Vectors, baseline: Embedded | None, earlier: Earlier, least: int) -> IntArray:
    """Places of the earlier clusters that are known kinds by now: those that were, and new ones that the baseline has.

    A new kind that came after the baseline stays new: the window's reasons of it are in the pool again.
    """
    was_known = np.array([kind == "known" for kind in earlier.kinds], bool)
    if baseline is None or was_known.all() or not len(base):
        return np.arange(len(was_known)) if baseline is None else np.flatnonzero(was_known)
    of_reason = nearest(base, earlier.vectors)[0][baseline.of]
    pairs = np.unique(np.stack([of_reason, baseline.groups]), axis=1)
    conversations = np.bincount(pairs[0], minlength=len(was_known))
    return np.flatnonzero(was_known | (conversations >= least))


def _conversations(part: Embedded) -> IntArray:
    """Conversations of each text."""
    pairs = np.unique(np.stack([part.of, part.groups]), axis=1)
    found: IntArray = np.bincount(pairs[0], minlength=len(part.texts))
    return found


def _largest_first(
    window: Embedded,
    baseline: Embedded | None,
    of_window: IntArray,
    of_base: IntArray,
    centroids: Vectors,
    carried: IntArray,
    known: int,
    earlier: Earlier | None,
) -> Fitted:
    count = len(centroids)
    reasons = _counted(window, of_window, count)
    before = np.zeros(count) if baseline is None else _counted(baseline, of_base, count)
    order = np.lexsort((-before, -reasons))
    order = order[(reasons[order] > 0) | (before[order] > 0) | (carried[order] >= 0)]
    place = np.full(count + 1, -1, np.intp)  # the last one stands for no cluster
    place[order] = np.arange(len(order))
    parents = np.full(count, -1, np.intp)
    if earlier is not None:
        number = {id_: index for index, id_ in enumerate(earlier.parent_ids)}
        parents[:known] = [number.get(earlier.parents[index], -1) for index in carried[:known]]
    elif known:
        weights = np.maximum(reasons + before, 1)
        parents[:known] = parents_of(centroids[:known], weights[:known])
    return Fitted(
        window=place[of_window],
        baseline=place[of_base],
        centroids=centroids[order],
        kinds=tuple("known" if index < known else "new" for index in order.tolist()),
        carried=tuple(carried[order].tolist()),
        parents=parents[order],
    )


def _counted(part: Embedded, labels: IntArray, count: int) -> npt.NDArray[np.float64]:
    """Reasons of each cluster."""
    inside = labels >= 0
    found = np.zeros(count)
    np.add.at(found, labels[inside], part.weights[inside])
    return found
