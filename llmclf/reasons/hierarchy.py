"""Clusters of clusters: a second level for people to begin with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.intp]
FloatMatrix = npt.NDArray[np.float32]


def parents_of(centroids: FloatMatrix, weights: npt.NDArray[np.integer]) -> IntArray:
    """Number of each cluster's parent, shape (k,), the one of the largest weight first; about sqrt(k) of them.

    `weights`: reasons of each cluster. Ward's linkage on the unit centroids, so that no parent holds nearly all.
    Up to three clusters need no second level and have one parent.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    count = len(centroids)
    if count <= 3:
        return np.zeros(count, np.intp)
    tree = linkage(centroids.astype(np.float64), method="ward")
    labels = fcluster(tree, t=round(count**0.5), criterion="maxclust") - 1
    return largest_first(labels.astype(np.intp), weights)


def largest_first(labels: IntArray, weights: npt.NDArray[np.integer]) -> IntArray:
    """The same groups, numbered 0, 1, ... by falling weight; -1 stays."""
    inside = labels >= 0
    names, places = np.unique(labels[inside], return_inverse=True)
    sums = np.bincount(places, weights=weights[inside], minlength=len(names))
    rank = np.empty(len(names), np.intp)
    rank[np.argsort(-sums, kind="stable")] = np.arange(len(names))
    numbered = np.full(len(labels), -1, np.intp)
    numbered[inside] = rank[places]
    return numbered
