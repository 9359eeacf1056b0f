"""The probe's learned values, and how an item's features become a probability with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from llmclf.classifiers.probe_features import Vector
from llmclf.stats.scaling import Platt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The terms that count, sorted, and how rare each is."""

    terms: tuple[str, ...]
    idf: Vector

    @cached_property
    def _index(self) -> dict[str, int]:
        return {term: number for number, term in enumerate(self.terms)}

    def weigh(self, counts: Mapping[str, Counter[str]]) -> tuple[Indices, Vector]:
        """Positions and TF-IDF values of the known terms of one item.

        (1 + log count) * idf, each field scaled to length one by itself, so that a long bot does
        not drown a short user.
        """
        indices: list[Indices] = []
        values: list[Vector] = []
        for terms in counts.values():
            known = sorted((self._index[term], n) for term, n in terms.items() if term in self._index)
            if not known:
                continue
            at = np.array([position for position, _ in known], np.int64)
            value = (1.0 + np.log(np.array([n for _, n in known], np.float64))) * self.idf[at]
            indices.append(at)
            values.append((value / np.sqrt((value * value).sum())).astype(np.float32))
        if not indices:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return np.concatenate(indices), np.concatenate(values)


def build_vocabulary(documents: Sequence[Mapping[str, Counter[str]]], *, min_items: int, max_terms: int) -> Vocabulary:
    """The terms that stand in at least `min_items` items; of too many, those in the most items."""
    frequency: Counter[str] = Counter()
    for document in documents:
        frequency.update({term for terms in document.values() for term in terms})
    kept = sorted((term for term, n in frequency.items() if n >= min_items), key=lambda term: (-frequency[term], term))
    terms = tuple(sorted(kept[:max_terms]))
    n = np.array([frequency[term] for term in terms], np.float64)
    idf = np.log((1.0 + len(documents)) / (1.0 + n)) + 1.0
    return Vocabulary(terms, idf.astype(np.float32))


@dataclass(frozen=True)
class Features:
    """One item as the model sees it."""

    indices: Indices
    values: Vector
    dense: Vector
    """Vectors and counts, not yet standardised."""


@dataclass(frozen=True)
class Linear:
    """One logistic regression over words, or over dense features."""

    coefficients: Vector
    intercept: float


@dataclass(frozen=True)
class Others:
    """Which other label is most likely, given that it is not the target: multinomial."""

    labels: tuple[str, ...]
    coefficients: Vector
    """Shape (labels, terms + dense features)."""
    intercepts: Vector


@dataclass(frozen=True)
class Origin:
    """Where a model came from. No part of what it answers."""

    dataset: str = ""
    """The training dataset's content hash."""
    n_items: int = 0
    n_positives: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    learned_from: tuple[str, ...] = ()
    """`item_hash` of each item that was learned from, sorted; empty in files of before this was kept."""


@dataclass(frozen=True)
class ProbeModel:
    """Everything `fit` learned. Numbers are float32 from the start, as the file keeps them."""

    vocabulary: Vocabulary
    words: Linear | None
    vectors: Linear | None
    center: Vector
    scale: Vector
    """Dense features are (x - center) / scale."""
    logit_means: tuple[float, ...]
    logit_spreads: tuple[float, ...]
    """Of each regression's out-of-fold logits: what makes the two comparable before their mean."""
    platt: Platt
    prevalence: float
    others: Others | None
    origin: Origin = field(default_factory=Origin)

    def standardise(self, dense: Vector) -> Vector:
        """Dense features as the regressions take them."""
        return ((dense - self.center) / self.scale).astype(np.float32)

    def logit(self, item: Features) -> float:
        """The mean of the standardised logits of the regressions, before score scaling."""
        raw: list[float] = []
        if self.words is not None:
            raw.append(float(self.words.coefficients[item.indices] @ item.values) + self.words.intercept)
        if self.vectors is not None:
            dense = self.standardise(item.dense)
            raw.append(float(self.vectors.coefficients @ dense) + self.vectors.intercept)
        return float(np.mean([(r - m) / s for r, m, s in zip(raw, self.logit_means, self.logit_spreads, strict=True)]))

    def probability(self, item: Features) -> float:
        """The chance of the target, at the training prevalence."""
        return float(self.platt.apply([self.logit(item)])[0])

    def other_shares(self, item: Features) -> dict[str, float]:
        """How the rest of the probability is shared out among the other labels; sums to 1, or empty."""
        if self.others is None:
            return {}
        n_terms = len(self.vocabulary.terms)
        raw = self.others.coefficients[:, item.indices] @ item.values
        raw = raw + self.others.coefficients[:, n_terms:] @ self.standardise(item.dense) + self.others.intercepts
        shares = np.exp(raw - raw.max())
        return dict(zip(self.others.labels, (float(x) for x in shares / shares.sum()), strict=True))

    @cached_property
    def digest(self) -> str:
        """Sha256 over all that changes an answer; where it came from is no part of it."""
        digest = hashlib.sha256("\n".join(self.vocabulary.terms).encode())
        for array in self.arrays().values():
            digest.update(str(array.shape).encode() + array.tobytes())
        numbers = (self.logit_means, self.logit_spreads, self.platt.a, self.platt.b, self.prevalence)
        labels = self.others.labels if self.others else ()
        digest.update(repr((numbers, labels)).encode())
        return digest.hexdigest()

    def arrays(self) -> dict[str, Vector]:
        """The learned arrays by name, as the file keeps them."""
        arrays = {"idf": self.vocabulary.idf, "center": self.center, "scale": self.scale}
        for name, part in (("words", self.words), ("vectors", self.vectors)):
            if part is not None:
                arrays[name] = part.coefficients
                arrays[f"{name}_intercept"] = np.array([part.intercept], np.float32)
        if self.others is not None:
            arrays["others"] = self.others.coefficients
            arrays["others_intercepts"] = self.others.intercepts
        return arrays
