"""The nearest rows of a reservoir, block by block, stopping early where the rest cannot matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

FloatMatrix = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Apart = tuple[IntArray, IntArray]
"""Codes of the queries and of the rows: a row is left out for a query with the same code."""

_QUERIES, _ROWS = 2048, 4096
_FIRST, _GROWTH = 1 / 16, 4


def mean_of_nearest(
    queries: FloatMatrix,
    rows: FloatMatrix,
    count: int,
    *,
    apart: Sequence[Apart] = (),
    enough: float = np.inf,
    seed: int = 0,
) -> FloatArray:
    """Mean cosine of each query, shape (n, dimensions), to its `count` nearest rows; all are unit vectors.

    The mean over some of the rows is never above that over all: a query that reaches `enough` on a random part of
    the rows is left at what it has there, the others see more of them. So a result below `enough` is exact, and one
    above is at least `enough` and at most the true one. -1 stands for each row that there are too few of.
    """
    best = np.full((len(queries), count), -1.0, np.float32)
    left = np.arange(len(queries))
    for part in _parts(len(rows), seed):
        for start in range(0, len(left), _QUERIES):
            block = left[start : start + _QUERIES]
            _look(best, queries, rows, block, part, apart)
        left = left[best[left].mean(axis=1) < enough]
    means: FloatArray = best.astype(np.float64).mean(axis=1)
    return means


def _parts(rows: int, seed: int) -> Iterator[IntArray]:
    """All rows in random order, in parts that grow."""
    order = np.random.default_rng(seed).permutation(rows)
    start, end = 0, max(512, int(rows * _FIRST))
    while start < rows:
        yield np.sort(order[start:end])
        start, end = end, end * _GROWTH


def _look(
    best: FloatMatrix, queries: FloatMatrix, rows: FloatMatrix, block: IntArray, part: IntArray, apart: Sequence[Apart]
) -> None:
    """Puts the nearest of `part` into the best of the queries `block`."""
    count = best.shape[1]
    asked = queries[block]
    for start in range(0, len(part), _ROWS):
        chunk = part[start : start + _ROWS]
        cosines = asked @ rows[chunk].T
        for of_queries, of_rows in apart:
            _leave_out(cosines, of_queries[block], of_rows[chunk])
        both = np.concatenate([best[block], _largest(cosines, count)], axis=1)
        both.sort(axis=1)
        best[block] = both[:, -count:]


def _leave_out(cosines: FloatMatrix, asked: IntArray, there: IntArray) -> None:
    """Sets the cosines of equal codes to -1."""
    order = np.argsort(there, kind="stable")
    first = np.searchsorted(there, asked, side="left", sorter=order)
    counts = np.searchsorted(there, asked, side="right", sorter=order) - first
    rows = np.repeat(np.arange(len(asked)), counts)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    cosines[rows, order[places]] = -1


def _largest(cosines: FloatMatrix, count: int) -> FloatMatrix:
    """The `count` largest of each row; the maximum taken so many times is faster than a partition."""
    count = min(count, cosines.shape[1])
    found = np.empty((len(cosines), count), np.float32)
    each = np.arange(len(cosines))
    for place in range(count):
        where = cosines.argmax(axis=1)
        found[:, place] = cosines[each, where]
        cosines[each, where] = -1
    return found
