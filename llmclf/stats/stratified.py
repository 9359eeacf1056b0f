"""Recall, precision and their kin from labels that stand for unequal parts of a population.

`confusion` draws likely totals of the six cells (target or not x flagged, quiet, failed); every rate is a
ratio of those totals. See `totals` for the method and for whose rate it is: that of the process behind the
population, also where a stratum was labelled completely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmclf.errors import ConfigError, DataError
from llmclf.stats.interval import central
from llmclf.stats.sampling import Sampling
from llmclf.stats.totals import DRAWS, Unseen, cell_totals
from llmclf.types import Estimate

FOUND, MISSED, FAILED_TARGET, FALSE_ALARM, QUIET, FAILED_OTHER = range(6)
METHOD = "mid-p-gamma"

LEAST_POSITIVES = 10
"""Below so many positives (or flagged items, for precision) a rate is given as an interval only."""
LEAST_FOR_PREVALENCE = 5
LARGEST_SHARE = 0.2
"""Where a single label stands for more of the estimated positives than this, be suspicious."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """Six cells: seen counts, estimated totals, and draws of what the totals may be.

    The order of cells is found, missed, failed target, false alarm, quiet, failed other.
    """

    counts: NDArray[np.int64]
    """(6,) items in the sample."""
    totals: NDArray[np.float64]
    """(6,) weighted totals: the population's, as the sample says."""
    draws: NDArray[np.float64]
    """(draws, 6) likely totals."""
    largest_weight_share: float | None
    """Share of the estimated positives that the heaviest positive stands for; None without positives."""

    @property
    def n_positives(self) -> int:
        """Targets in the sample, failed ones included."""
        return int(self.counts[[FOUND, MISSED, FAILED_TARGET]].sum())

    @property
    def n_answered(self) -> int:
        """Items of the sample that did not fail."""
        return int(self.counts[[FOUND, MISSED, FALSE_ALARM, QUIET]].sum())


def confusion(
    positive: ArrayLike,
    flagged: ArrayLike,
    sampling: Sampling,
    *,
    failed: ArrayLike | None = None,
    unseen_in: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Confusion:
    """The six cells of n items: truth values of being the target, being flagged, and having failed.

    A failed item is in a cell of its own, whatever `flagged` says. Where `positive` are a part of the items and the
    share found of them is all that is asked for, `unseen_in` says where (two times n truth values) an unseen one of
    them may lie that is found, and one that is missed; by default the strata are those of any target.
    """
    target, flag = np.asarray(positive, dtype=bool), np.asarray(flagged, dtype=bool)
    fail = np.zeros(len(target), bool) if failed is None else np.asarray(failed, dtype=bool)
    if not len(target) == len(flag) == len(fail) == len(sampling):
        raise DataError("labels, flags and sampling differ in length", got=(len(target), len(flag), len(sampling)))
    if len(target) == 0:
        raise DataError("there are no items to count")
    cells = cells_of(target, flag, fail)
    weight = sampling.weight
    heavy = weight[target]
    return Confusion(
        np.bincount(cells, minlength=6),
        np.bincount(cells, weights=weight, minlength=6).astype(float),
        cell_totals(
            cells,
            6,
            sampling,
            _unseen(target, flag & ~fail, sampling) if unseen_in is None else _sides(target, flag, sampling, unseen_in),
            rare=(FOUND, MISSED, FAILED_TARGET),
            draws=draws,
            seed=seed,
        ),
        float(heavy.max() / heavy.sum()) if len(heavy) else None,
    )


def cells_of(positive: ArrayLike, flagged: ArrayLike, failed: ArrayLike) -> NDArray[np.intp]:
    """(n,) the cell of each item, by the order of `Confusion`; a failed item's is its own, whatever `flagged` says."""
    answered = np.where(np.asarray(flagged, dtype=bool), FOUND, MISSED)
    cells = np.where(np.asarray(failed, dtype=bool), FAILED_TARGET, answered)
    return (cells + np.where(np.asarray(positive, dtype=bool), 0, FALSE_ALARM)).astype(np.intp)


def _unseen(target: NDArray[np.bool_], flag: NDArray[np.bool_], sampling: Sampling) -> list[Unseen]:
    """A found target, a missed one, a false alarm and a quiet other that the sample may have missed.

    An unseen target is put where its like (flagged, or not) was seen: in strata cut by the classifier's own
    score nothing is flagged in the rest, and a find there would only blur recall. A false alarm or a quiet
    item may be anywhere: that no item of a large stratum was flagged (or that each was) does not say that
    none is. None of the four is a failed one: rates that leave failures out need both of their sides.
    """
    unseen = [
        Unseen(sampling.heaviest(flag), FOUND, _size(target & flag, target, sampling)),
        Unseen(sampling.heaviest(~flag), MISSED, _size(target & ~flag, target, sampling)),
        Unseen(sampling.heaviest(~target), FALSE_ALARM, _size(flag & ~target, target, sampling)),
        Unseen(sampling.heaviest(~target), QUIET, _size(~flag & ~target, ~target, sampling)),
    ]
    # An other in a stratum of others alone displaces no target: where strata are cut by a verdict, one more is put
    # where it displaces most.
    labels = np.bincount(sampling.stratum)
    targets, flags = (np.bincount(sampling.stratum, weights=one) / labels for one in (target, flag))
    size = _size(~target, target, sampling)
    place = int(np.argmax(sampling.population * targets / (labels + size)))
    if target.any() and place != unseen[-1].stratum:
        unseen.append(Unseen(place, FALSE_ALARM if flags[place] > 0.5 else QUIET, size))
    return unseen


def _sides(
    target: NDArray[np.bool_],
    flag: NDArray[np.bool_],
    sampling: Sampling,
    where: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> list[Unseen]:
    """A found and a missed item of a part, each in the heaviest stratum of where it may lie."""
    sides = ((FOUND, target & flag, where[0]), (MISSED, target & ~flag, where[1]))
    return [Unseen(sampling.heaviest(place), cell, _size(like, target, sampling)) for cell, like, place in sides]


def _size(like: NDArray[np.bool_], others: NDArray[np.bool_], sampling: Sampling) -> float:
    """How many unseen items come together: as many as those of their kind do, or as `others` do where none was seen."""
    return sampling.alikeness(like if like.any() else others)


def recall(
    confusion: Confusion,
    *,
    failed: Literal["missed", "left_out"] = "missed",
    level: float = 0.95,
    least: int = LEAST_POSITIVES,
) -> Estimate:
    """Share of the targets that were found. Failed ones count as missed, or are left out.

    With fewer than `least` positives there is no value, only an interval; with none, or where every item
    failed, neither.
    """
    lost = (MISSED, FAILED_TARGET) if failed == "missed" else (MISSED,)
    seen = int(confusion.counts[[FOUND, *lost]].sum())
    return _rate(confusion, (FOUND,), lost, level, seen, least, "positives", "recall")


def precision(confusion: Confusion, *, level: float = 0.95, least: int = LEAST_POSITIVES) -> Estimate:
    """Share of the flagged items that are targets, at the prevalence the sampling stands for."""
    seen = int(confusion.counts[[FOUND, FALSE_ALARM]].sum())
    return _rate(confusion, (FOUND,), (FALSE_ALARM,), level, seen, least, "flagged items", "precision")


def specificity(confusion: Confusion, *, level: float = 0.95, least: int = LEAST_POSITIVES) -> Estimate:
    """Share of the non-targets that are left quiet; failed ones are left out."""
    seen = int(confusion.counts[[QUIET, FALSE_ALARM]].sum())
    return _rate(confusion, (QUIET,), (FALSE_ALARM,), level, seen, least, "answered negatives", "specificity")


def prevalence(confusion: Confusion, *, level: float = 0.95, least: int = LEAST_FOR_PREVALENCE) -> Estimate:
    """Share of the population that is a target. Without a positive only an upper limit is left."""
    targets = (FOUND, MISSED, FAILED_TARGET)
    others = (FALSE_ALARM, QUIET, FAILED_OTHER)
    return _rate(confusion, targets, others, level, confusion.n_positives, least, "positives", "prevalence")


def flag_rate(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of the answered items that are flagged."""
    flagged, quiet = (FOUND, FALSE_ALARM), (MISSED, QUIET)
    seen = int(confusion.counts[[*flagged, *quiet]].sum())
    return _rate(confusion, flagged, quiet, level, seen, 1, "answered items", "flag rate")


def f_beta(confusion: Confusion, beta: float = 2.0, *, level: float = 0.95, least: int = LEAST_POSITIVES) -> Estimate:
    """Precision and recall in one, recall `beta` times as important (van Rijsbergen 1979); F1 with `beta` 1.

    With b = beta squared: (1 + b) found / ((1 + b) found + b missed + false alarms), failed targets among the
    missed. Raises ConfigError unless `beta` is above 0.
    """
    if not (math.isfinite(beta) and beta > 0):
        raise ConfigError("beta must be a number above 0", where="f_beta", got=beta)
    found = {FOUND: 1 + beta**2}
    lost = {MISSED: beta**2, FAILED_TARGET: beta**2, FALSE_ALARM: 1.0}
    return _rate(confusion, found, lost, level, confusion.n_positives, least, "positives", f"F{beta:g}")


def interval_of(
    confusion: Confusion,
    value: float,
    values: NDArray[np.float64],
    *,
    level: float,
    seen: int,
    least: int,
    unit: str = "positives",
    noun: str = "figure",
    method: str = METHOD,
) -> Estimate:
    """The estimate of `value` with the central `level` of the drawn `values` as its interval.

    Below `least` items of the kind it rests on (`seen`) it has no value and says how many more it needs.
    """
    low, high = central(values, value, level)
    share, positives = confusion.largest_weight_share, confusion.n_positives
    if seen >= least:
        return Estimate(value, low, high, method, positives, share)
    article = "an" if noun[0] in "aeiouF" else "a"
    kind = unit.removesuffix("s") if seen == 1 else unit
    why = f"{seen} {kind} can't give {article} {noun} figure: needs {least - seen} more at least"
    why += f"; {level * 100:g} % interval {_short(low)}-{_short(high)}"
    return Estimate(None, low, high, method, positives, share, why)


def _short(number: float) -> str:
    """Two digits that mean something below 1, without an exponent; cents above."""
    if not 0 < abs(number) < 1:
        return f"{number:.2f}".rstrip("0").rstrip(".")
    return f"{number:.{1 - math.floor(math.log10(abs(number)))}f}".rstrip("0")


def _rate(
    confusion: Confusion,
    hits: Sequence[int] | Mapping[int, float],
    misses: Sequence[int] | Mapping[int, float],
    level: float,
    seen: int,
    least: int,
    unit: str,
    noun: str,
) -> Estimate:
    """hits / (hits + misses): sums of cells, each counted once or as often as its mapping says."""
    counted, lost = _times(hits), _times(misses)
    top, rest = confusion.draws @ counted, confusion.draws @ lost
    hit, miss = float(confusion.totals @ counted), float(confusion.totals @ lost)
    if noun != "prevalence" and not (seen and confusion.n_answered):
        absent = f"no {unit}" if confusion.n_answered else "every item failed"
        return Estimate.unknown(f"{absent}: {noun} can't be known", n_positives=confusion.n_positives, method=METHOD)
    drawn = np.divide(top, top + rest, out=np.zeros_like(top), where=top + rest > 0)
    return interval_of(confusion, hit / (hit + miss), drawn, level=level, seen=seen, least=least, unit=unit, noun=noun)


def _times(cells: Sequence[int] | Mapping[int, float]) -> NDArray[np.float64]:
    """(6,) how often each cell is counted."""
    times = np.zeros(6)
    times[list(cells)] = list(cells.values()) if isinstance(cells, Mapping) else 1.0
    return times
