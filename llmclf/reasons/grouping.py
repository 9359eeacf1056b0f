"""Vectors of reasons to groups: known kinds, the novelty pool, near-duplicates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from llmclf.reasons.hierarchy import largest_first

IntArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
Weights = npt.NDArray[np.integer]

SIMILARITY = 0.2
"""Two known kinds are one while they are as alike: mean cosine of what is left without what all reasons share."""
MOST = 100
"""Known kinds at most."""
POOL_SIMILARITY = 0.15
"""The same of two groups of the novelty pool."""
_BLOCK = 8192
_SAMPLE = 20_000
_SMALL_GROUPS = 300
_ROUNDS = 12
_MOST_POOL = 3000
_NEAR = 1024
_ALMOST_ONE = 8
"""Groups this many times closer than the threshold without taking the shared part away are one all the same: where
all reasons are nearly equal, what is left of them is noise."""
_FINE_SIMILARITY = 0.3
_PRIOR = 20
"""A few texts say little of what all share: their mean is taken as if so many unlike ones stood beside them."""


def group(vectors: FloatMatrix, weights: Weights, *, seed: int, start: FloatMatrix | None = None) -> IntArray:
    """Known kinds: group of each text, shape (d,), 0 .. k - 1 by falling weight (reasons of each text).

    Up to 20,000 texts, drawn at random, are put into 300 small groups by k-means; average linkage joins these while
    their mean cosine, after what all reasons share has been taken away, is SIMILARITY or more, and until there are
    MOST; then each text goes to the nearest centroid, as later ones do. So the number of kinds follows from how
    unlike they are.

    `start`: centroids of an earlier grouping, shape (k, 256). Linkage then stops at a mean cosine of .3, and what it
    made joins the earlier kind that it is most alike, or is one of its own under SIMILARITY to all. So kinds keep their
    members: of halves of real reasons that share no conversation, 67 % (airline chats), 39, 95 and 71 % of the second's
    lie under the same id by the first's centroids; 41, 24, 90 and 56 % without. ARI by the sets below, but the last, is
    .26, .28, .18, .41 and .49 with `start`, .28, .31, .15, .39 and .51 without: ids that stay cost up to .04.

    Chosen by benchmarks/reasoning_groups.py on real reasons by known groups. ARI of this; of the same on TF-IDF; of
    k-means with sqrt(n/2) clusters on the vectors and on TF-IDF; of HDBSCAN on the vectors:

    airline chats, metric and score  .29  .22  .07  .08  .00
    airline chats, metric            .33  .20  .05  .05  .02
    failed agents, who is at fault   .16  .05  .11  .05  .01
    riddles, which                   .40  .45  .51  .60  .21
    nonsense questions, which        .65  .74  .27  .31  .01
    nonsense questions, score        .02  .02  .04  .06  .00
    mean                             .31  .28  .18  .19  .04

    SIMILARITY and the number of small groups were chosen on these same sets, the others' settings were not tuned.
    TF-IDF is better where groups differ by rare words alone, but has other dimensions for each set of texts: neither
    a later reason nor an earlier clustering could be held against it.
    """
    if not len(vectors):
        return np.zeros(0, np.intp)
    chosen = np.flatnonzero(np.abs(vectors).sum(axis=1) > 0)
    if len(chosen) > _SAMPLE:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, _SAMPLE, replace=False))
    if not len(chosen):
        return np.zeros(len(vectors), np.intp)
    sample = vectors[chosen]
    small = kmeans(sample, min(_SMALL_GROUPS, len(sample) // 3 + 1), seed=seed)
    shared = sample.sum(axis=0) / (len(sample) + _PRIOR)
    joined = _joined(small, shared, SIMILARITY, MOST) if start is None else _continued(small, shared, start)
    labels = joined[nearest(sample, small)[0]]
    centroids = centroids_of(sample, largest_first(labels, weights[chosen]), np.ones(len(sample), np.intp))
    return largest_first(nearest(vectors, centroids)[0], weights)


def nearest(vectors: FloatMatrix, centroids: FloatMatrix) -> tuple[IntArray, FloatArray]:
    """Index of the most alike centroid and its cosine, each of shape (d,); block by block. Needs one centroid."""
    index = np.empty(len(vectors), np.intp)
    cosine = np.empty(len(vectors), np.float32)
    there = np.ascontiguousarray(centroids.T)
    for start in range(0, len(vectors), _BLOCK):
        part = vectors[start : start + _BLOCK] @ there
        index[start : start + _BLOCK] = best = part.argmax(axis=1)
        cosine[start : start + _BLOCK] = part[np.arange(len(part)), best]
    return index, cosine


def group_pool(
    vectors: FloatMatrix,
    *,
    seed: int,
    centre: FloatMatrix | None = None,
    repeated: npt.NDArray[np.bool_] | None = None,
) -> IntArray:
    """Groups of alike texts in the novelty pool, shape (d,), the largest first; -1: alone.

    `repeated`: texts that several conversations have word for word; each of them is a group even where no other text is
    like it.

    Average linkage on cosines, as in `group`. `centre`: mean vector of the baseline, shape (256,). Without what the
    baseline's reasons share, reasons of one fault in different words are alike and stray ordinary ones are not
    (benchmarks/reasoning_groups.py measures it).
    """
    count = len(vectors)
    shared = np.zeros(vectors.shape[1], np.float32) if centre is None else centre
    if count <= _MOST_POOL:
        labels = _joined(vectors, shared, POOL_SIMILARITY, count)
    else:
        small = kmeans(vectors, _MOST_POOL // 4, seed=seed)
        labels = _joined(small, shared, POOL_SIMILARITY, len(small))[nearest(vectors, small)[0]]
    alone = np.bincount(labels, minlength=1)[labels] < 2
    if repeated is not None:
        alone &= ~repeated
    return largest_first(np.where(alone, -1, labels), np.ones(count, np.intp))


def collapsed(vectors: FloatMatrix, labels: IntArray, similarity: float = 0.97) -> IntArray:
    """Number of each text, shape (d,); near-duplicates of one group, cosine >= `similarity`, share theirs.

    Of a group of more than 1,024 texts, only those of nearly the same cosine to its centroid are held against each
    other, so a few near-duplicates stay apart.
    """
    order = np.lexsort((_typicality(vectors, labels), labels))
    numbers = np.empty(len(vectors), np.intp)
    bounds = np.flatnonzero(np.diff(labels[order], prepend=np.intp(-2), append=np.intp(-2)))
    made = 0
    for first, last in pairwise(bounds.tolist()):
        for start in range(first, last, _NEAR):
            members = order[start : min(start + _NEAR, last)]
            found = _leaders(vectors[members], similarity)
            numbers[members] = found + made
            made += int(found.max()) + 1
    return numbers


def centroids_of(vectors: FloatMatrix, labels: IntArray, weights: Weights) -> FloatMatrix:
    """Unit mean of each group 0 .. k - 1 weighted by reasons, shape (k, 256); -1 is left out."""
    from scipy.sparse import csr_matrix

    count = int(labels.max(initial=-1)) + 1
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        part = labels[start : start + _BLOCK]
        inside = np.flatnonzero(part >= 0)
        shares = weights[start : start + _BLOCK][inside].astype(np.float32)
        sums += csr_matrix((shares, (part[inside], inside)), (count, len(part))) @ vectors[start : start + _BLOCK]
    return _unit(sums)


def kmeans(vectors: FloatMatrix, count: int, *, seed: int) -> FloatMatrix:
    """Spherical k-means (Dhillon and Modha 2001) from k-means++ seeds: at most `count` unit centroids."""
    rng = np.random.default_rng(seed)
    centroids = _seeds(vectors, count, rng)
    ones = np.ones(len(vectors), np.intp)
    before = np.full(len(vectors), -1, np.intp)
    for _ in range(_ROUNDS):
        labels, _ = nearest(vectors, centroids)
        if np.array_equal(labels, before):
            break
        before = labels
        _, dense = np.unique(labels, return_inverse=True)
        centroids = centroids_of(vectors, dense.astype(np.intp), ones)
    return centroids


def _seeds(vectors: FloatMatrix, count: int, rng: np.random.Generator) -> FloatMatrix:
    """k-means++ (Arthur and Vassilvitskii 2007): each next one is drawn by its distance from those before."""
    chosen = [int(rng.integers(len(vectors)))]
    far = np.ones(len(vectors), np.float32)
    for _ in range(count - 1):
        far = np.minimum(far, np.maximum(1 - vectors @ vectors[chosen[-1]], 0))
        total = np.cumsum(far, dtype=np.float64)
        if total[-1] <= 1e-6 * len(vectors):
            break
        chosen.append(min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), len(vectors) - 1))
    return vectors[chosen]


def _joined(vectors: FloatMatrix, shared: FloatMatrix, similarity: float, most: int) -> IntArray:
    """Average linkage on the cosines of what is left without `shared`; cut at `similarity`, or at `most` groups."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(vectors) < 2:
        return np.zeros(len(vectors), np.intp)
    own = _unit(vectors - shared)
    apart = np.maximum(np.minimum(1 - own @ own.T, _ALMOST_ONE * (1 - vectors @ vectors.T)), 0).astype(np.float64)
    tree = linkage(squareform(apart, checks=False), method="average")
    labels = fcluster(tree, t=1 - similarity, criterion="distance")
    if labels.max() > most:
        labels = fcluster(tree, t=most, criterion="maxclust")
    numbered: IntArray = labels.astype(np.intp) - 1
    return numbered


def _continued(small: FloatMatrix, shared: FloatMatrix, start: FloatMatrix) -> IntArray:
    """Finer groups than kinds, each as a whole to the most alike earlier centroid, or a kind of its own."""
    fine = _joined(small, shared, _FINE_SIMILARITY, MOST)
    middles = centroids_of(_unit(small - shared), fine, np.ones(len(fine), np.intp))
    labels, cosines = nearest(middles, _unit(start - shared))
    unlike = np.argsort(cosines, kind="stable")[: max(0, MOST - len(start))]
    unlike = unlike[cosines[unlike] < SIMILARITY]
    labels[unlike] = len(start) + np.arange(len(unlike))
    return labels[fine]


def _typicality(vectors: FloatMatrix, labels: IntArray) -> FloatArray:
    """Cosine of each text to its group's centroid."""
    centroids = centroids_of(vectors, labels, np.ones(len(labels), np.intp))
    cosines = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors) if len(centroids) else 0, _BLOCK):
        part = slice(start, start + _BLOCK)
        # -1 reads the last centroid: any order does for texts without a group.
        cosines[part] = np.einsum("ij,ij->i", vectors[part], centroids[labels[part]])
    return cosines


def _leaders(vectors: FloatMatrix, similarity: float) -> IntArray:
    """Each text joins the first leader that is as alike, or leads itself."""
    alike = vectors @ vectors.T >= similarity
    numbers = np.full(len(vectors), -1, np.intp)
    made = 0
    for place in range(len(vectors)):
        if numbers[place] < 0:
            numbers[alike[place] & (numbers < 0)] = made
            numbers[place] = made
            made += 1
    return numbers


def _unit(rows: FloatMatrix) -> FloatMatrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    made: FloatMatrix = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return made
