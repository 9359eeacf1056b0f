"""How labelled items stand for a population: strata and their sizes, weights within them, groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import DataError
from llmclf.stats.proportion import group_codes

MAX_WEIGHT_CLASSES = 5
"""Inclusion probabilities of more distinct values than this are put into so many classes."""

Groups = Sequence[Hashable] | NDArray[np.generic] | None


@dataclass(frozen=True, eq=False)
class Sampling:
    """Each of n items: its stratum, its weight, and the group it shares chance with.

    Made by `simple`, `stratified` or `weighted`.
    """

    stratum: NDArray[np.intp]
    """(n,) number of each item's stratum, from 0."""
    population: NDArray[np.float64]
    """(strata,) how many items of the population each stratum holds."""
    relative: NDArray[np.float64] | None = None
    """(n,) weight over the mean weight of the item's stratum; None where all are 1."""
    group: NDArray[np.intp] | None = None
    """(n,) number of each item's group; None where every item is a group of its own."""

    @classmethod
    def simple(cls, items: int, groups: Groups = None) -> Sampling:
        """`items` that count alike: a simple random sample, or a set that stands only for itself."""
        return cls(np.zeros(items, np.intp), np.array([float(items)]), group=_codes(groups, items))

    @classmethod
    def stratified(cls, strata: Sequence[str], populations: Mapping[str, float], groups: Groups = None) -> Sampling:
        """Items drawn at random within strata of known size.

        Raises DataError where an item names an unknown stratum, a stratum with a population has no
        item (nothing is known of that part), or holds fewer items than were drawn from it.
        """
        names = [name for name, size in populations.items() if size > 0]
        drawn = Counter(strata)
        problems = [f"stratum {name!r} is not in the design" for name in sorted(set(drawn) - set(names))]
        problems += [
            f"stratum {name!r} holds {populations[name]:g} items but {drawn[name] or 'no'} labelled ones"
            for name in names
            if not 0 < drawn[name] <= populations[name]
        ]
        if problems:
            raise DataError("items and strata do not fit", problems=problems)
        number = {name: place for place, name in enumerate(names)}
        stratum = np.fromiter(map(number.__getitem__, strata), np.intp, len(strata))
        sizes = np.array([float(populations[name]) for name in names])
        return cls(stratum, sizes, group=_codes(groups, len(strata)))

    @classmethod
    def weighted(cls, inclusion_probability: ArrayLike, groups: Groups = None) -> Sampling:
        """Items drawn each with its own known probability (above 0, at most 1).

        Items of one probability are a stratum. More than five distinct probabilities are put into
        five classes with as many items each; within a class the weights stay as they are.
        """
        chance = np.asarray(inclusion_probability, dtype=float)
        if len(chance) == 0 or not bool(np.all((chance > 0) & (chance <= 1))):
            raise DataError("inclusion probabilities must be above 0 and at most 1", got=chance[:5].tolist())
        distinct = np.unique(np.round(chance, 12))
        if len(distinct) <= MAX_WEIGHT_CLASSES:
            stratum = np.searchsorted(distinct, np.round(chance, 12)).astype(np.intp)
        else:
            stratum = _equal_classes(chance)
        weight = 1 / chance
        population = np.bincount(stratum, weights=weight).astype(float)
        mean = population / np.bincount(stratum)
        relative = weight / mean[stratum]
        return cls(
            stratum,
            population,
            None if np.allclose(relative, 1) else relative,
            _codes(groups, len(chance)),
        )

    def where(self, mask: NDArray[np.bool_]) -> Sampling:
        """The items of `mask` alone, standing for the whole of their strata."""
        left, stratum = np.unique(self.stratum[mask], return_inverse=True)
        group = None if self.group is None else group_codes(self.group[mask])
        if self.relative is None:
            return Sampling(stratum.astype(np.intp), self.population[left], None, group)
        relative = self.relative[mask]
        mean = np.bincount(stratum, weights=relative) / np.bincount(stratum)
        return Sampling(stratum.astype(np.intp), self.population[left], relative / mean[stratum], group)

    def __len__(self) -> int:
        return len(self.stratum)

    @cached_property
    def stratum_weight(self) -> NDArray[np.float64]:
        """(strata,) how many items of the population one item of each stratum stands for, on average."""
        counts = np.bincount(self.stratum, minlength=len(self.population))
        weight: NDArray[np.float64] = self.population / counts
        return weight

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """(n,) how many items of the population each item stands for."""
        weight = self.stratum_weight[self.stratum]
        return weight if self.relative is None else weight * self.relative

    def heaviest(self, mask: NDArray[np.bool_]) -> int:
        """The stratum of largest weight among those with an item of `mask` (among all, where there is none)."""
        seen = np.bincount(self.stratum, weights=mask, minlength=len(self.population)) > 0
        weight = self.stratum_weight
        return int(np.argmax(np.where(seen, weight, -1.0) if seen.any() else weight))

    def alikeness(self, mask: NDArray[np.bool_]) -> float:
        """How many items of `mask` come together: the mean group, weighted by its own size (1: alone).

        Without any item in `mask` the data can't show it, and whole groups are taken.
        """
        if self.group is None:
            return 1.0
        sizes = np.bincount(self.group, weights=mask if mask.any() else None)
        return float((sizes**2).sum() / sizes.sum())


def _equal_classes(chance: NDArray[np.float64]) -> NDArray[np.intp]:
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, MAX_WEIGHT_CLASSES + 1)[1:-1]))
    stratum = np.searchsorted(edges, chance, side="left")
    return np.unique(stratum, return_inverse=True)[1].astype(np.intp)


def _codes(groups: Groups, items: int) -> NDArray[np.intp] | None:
    if groups is None:
        return None
    if len(groups) != items:
        raise DataError("items and groups differ in length", got=(items, len(groups)))
    return group_codes(groups)
