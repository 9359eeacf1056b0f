"""How the probe learns: two weighted logistic regressions, put on one scale out of fold."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llmclf.classifiers.probe_features import Vector
from llmclf.classifiers.probe_model import Features, Linear, Origin, Others, ProbeModel, Vocabulary
from llmclf.errors import DataError
from llmclf.stats.scaling import Platt, fit_platt

Floats = npt.NDArray[np.float64]

MIN_POSITIVES = 8
"""Fewer can't carry even the two parameters of the scaling."""
_FOLDS = 5
_WORDS_C = 1.0
_VECTORS_C = 0.01
"""Inverse penalties at `regularization` 1: chosen on dbdc3's development dialogues, flat around there."""
_MIN_OTHER = 3
_MIN_SLOPE = 0.05
"""Where scores are no better than chance out of fold the fitted slope may be 0 or below; the order is kept."""


@dataclass(frozen=True)
class TrainingSet:
    """What there is to learn, row by row: one label of an item. An item that several people labelled has several."""

    items: Sequence[Features]
    vocabulary: Vocabulary
    labels: Sequence[str]
    weights: Floats
    groups: Sequence[str]
    size: int
    """Items behind the rows: so much the penalties are weighed against."""
    target: str
    where: str

    @property
    def positives(self) -> npt.NDArray[np.bool_]:
        """Which rows have the target label."""
        return np.array([label == self.target for label in self.labels])


def train(
    data: TrainingSet, *, use_words: bool, use_vectors: bool, regularization: float, seed: int, origin: Origin
) -> ProbeModel:
    """The model of `data`. The same inputs give the same bits.

    Raises DataError where there are too few positives or negatives, or too few groups of either.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    y = data.positives
    folds = _folds(data, seed)
    weights = data.weights * data.size / data.weights.sum()
    # With several threads BLAS may add in another order, and the file's bytes would differ.
    with threadpool_limits(limits=1):
        words = _word_matrix(data)
        center, scale, dense = _dense_matrix(data, weights)
        matrices = []
        if use_words:
            matrices.append((words, _WORDS_C / regularization))
        if use_vectors:
            matrices.append((dense, _VECTORS_C / regularization))
        held_out = [_out_of_fold(x, y, weights, folds, c) for x, c in matrices]
        means = [_f32(np.average(logits, weights=weights)) for logits in held_out]
        spreads = [_f32(max(float(logits.std()), 1e-6)) for logits in held_out]
        z = np.mean([(o - m) / s for o, m, s in zip(held_out, means, spreads, strict=True)], axis=0)
        platt = fit_platt(z, y, weights)
        if platt.a < _MIN_SLOPE:
            platt = fit_platt(z, y, weights, slope=_MIN_SLOPE)
        linears = [_regression(x, y, weights, c) for x, c in matrices]
        others = _others(data, words, dense, weights, regularization)
    return ProbeModel(
        vocabulary=data.vocabulary,
        words=linears[0] if use_words else None,
        vectors=linears[-1] if use_vectors else None,
        center=center,
        scale=scale,
        logit_means=tuple(means),
        logit_spreads=tuple(spreads),
        platt=Platt(_f32(platt.a), _f32(platt.b)),
        prevalence=_f32(float(weights[y].sum() / weights.sum())),
        others=others,
        origin=origin,
    )


def _folds(data: TrainingSet, seed: int) -> npt.NDArray[np.int64]:
    """A fold for each row: groups stay whole, and those with positives are dealt out evenly first."""
    y = data.positives
    n_positive, n_negative = int(y.sum()), int((~y).sum())
    positive_groups = {group for group, positive in zip(data.groups, y, strict=True) if positive}
    negative_groups = {group for group, positive in zip(data.groups, y, strict=True) if not positive}
    problems = []
    if n_positive < MIN_POSITIVES:
        problems.append(f"{n_positive} examples of {data.target!r}; at least {MIN_POSITIVES} are needed")
    if n_negative < MIN_POSITIVES:
        problems.append(f"{n_negative} examples of other labels; at least {MIN_POSITIVES} are needed")
    if not problems and min(len(positive_groups), len(negative_groups)) < 2:
        problems.append("the positives, or the negatives, all stand in one group; two groups of each are needed")
    if problems:
        raise DataError(
            "there is too little to train a probe on",
            where=data.where,
            problems=problems,
            fix="label more conversations (`llmclf data sample`), or use a keyword or llm classifier",
        )
    return _deal(data, y, min(_FOLDS, len(positive_groups), len(negative_groups)), seed)


def _deal(data: TrainingSet, y: npt.NDArray[np.bool_], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Each group to the fold that has the fewest of its class so far; groups with both classes first.

    So at least two folds hold positives and two hold negatives: no training part lacks a class.
    """
    sizes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for group, positive in zip(data.groups, y, strict=True):
        sizes[group][int(positive)] += 1
    shuffled = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest())
    load = np.zeros((count, 2))
    fold_of: dict[str, int] = {}
    for group in sorted(shuffled, key=lambda group: -sum(n > 0 for n in sizes[group])):
        rarest = 1 if sizes[group][1] else 0
        fold_of[group] = int(load[:, rarest].argmin())
        load[fold_of[group]] += sizes[group]
    return np.array([fold_of[group] for group in data.groups])


def _word_matrix(data: TrainingSet) -> Any:
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *(len(item.indices) for item in data.items)])
    indices = np.concatenate([item.indices for item in data.items])
    values = np.concatenate([item.values for item in data.items]).astype(np.float64)
    return csr_matrix((values, indices, ends), shape=(len(data.items), len(data.vocabulary.terms)))


def _dense_matrix(data: TrainingSet, weights: Floats) -> tuple[Vector, Vector, Floats]:
    raw = np.stack([item.dense for item in data.items])
    center = np.average(raw, axis=0, weights=weights).astype(np.float32)
    spread = np.sqrt(np.average((raw - center) ** 2, axis=0, weights=weights))
    scale = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
    return center, scale, ((raw - center) / scale).astype(np.float64)


def _out_of_fold(x: Any, y: npt.NDArray[np.bool_], weights: Floats, folds: npt.NDArray[np.int64], c: float) -> Floats:
    logits = np.zeros(len(y))
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = _regression(x[inside], y[inside], weights[inside], c)
        logits[outside] = x[outside] @ model.coefficients.astype(np.float64) + model.intercept
    return logits


def _regression(x: Any, y: npt.NDArray[np.bool_], weights: Floats, c: float) -> Linear:
    fitted = _solve(x, y.astype(np.int64), weights, c)
    return Linear(fitted.coef_[0].astype(np.float32), _f32(float(fitted.intercept_[0])))


def _others(data: TrainingSet, words: Any, dense: Floats, weights: Floats, regularization: float) -> Others | None:
    """The regression that tells the other labels apart; None where at most one of them can be learned."""
    from scipy.sparse import csr_matrix, hstack

    counts: dict[str, int] = defaultdict(int)
    for label in data.labels:
        counts[label] += label != data.target
    known = sorted(label for label, n in counts.items() if n >= _MIN_OTHER and label != data.target)
    if len(known) < 2:
        return None
    rows = np.array([i for i, label in enumerate(data.labels) if label in known])
    codes = np.array([known.index(data.labels[i]) for i in rows])
    # Dense columns are shrunk so that one penalty suits both halves.
    shrink = np.sqrt(_VECTORS_C / _WORDS_C)
    x = hstack([words[rows], csr_matrix(dense[rows] * shrink)]).tocsr()
    fitted = _solve(x, codes, weights[rows], _WORDS_C / regularization)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(known) == 2:  # one row for the second label: give the first its own
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    coefficients = coefficients.copy()
    coefficients[:, words.shape[1] :] *= shrink
    return Others(tuple(known), coefficients.astype(np.float32), intercepts.astype(np.float32))


def _solve(x: Any, codes: npt.NDArray[np.int64], weights: Floats, c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, tol=1e-5, max_iter=2000).fit(x, codes, sample_weight=weights)


def _f32(value: float) -> float:
    """`value` as a file of 32-bit numbers will give it back."""
    return float(np.float32(value))
