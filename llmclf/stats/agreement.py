"""How far raters agree, with intervals that hold where the target is rare.

Positive agreement leads: where one rater says the target, how often does another? Kappa and alpha stand beside it:
good raters get a low kappa of a rare target. Gwet's AC1 does not see a rare target at all (two raters who flag 1 % at
random get .98): it is shown, and nothing is decided by it. The coefficients themselves are those of
`llmclf.stats.agreement_values`; `benchmarks/judge_coverage.py` shows how often the intervals hold.

Intervals come from draws of how much each item weighs (Rubin's Bayesian bootstrap, 1981). Two items that were not seen
are added, in equal parts of every pair of verdicts: without them raters who happened to agree on all they saw would
look like raters who always agree. For two raters that is the Dirichlet posterior of their table, at two categories
with Jeffreys' prior of 1/2 in each cell (1/4 holds .87 of the time at 1 % and 200 items, where there is an interval).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from llmclf.errors import DataError
from llmclf.stats import agreement_values as values
from llmclf.stats.agreement_values import Floats, Pairs
from llmclf.stats.interval import central
from llmclf.stats.proportion import group_codes
from llmclf.types import Estimate

LEAST_ITEMS = 10
"""Below so many items with a positive vote (or, where those are fewer, a negative one) a figure is not given."""
UNSEEN = 2.0
"""Items that the sample may have missed."""
DRAWS = 4000
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Agreement:
    """How far raters agree, by six figures. Positive agreement leads; AC1 decides nothing."""

    n: int
    """Items with two votes or more."""
    raters: int
    """Raters with a vote on any item."""
    observed: Estimate
    """Share of the pairs of votes on an item that are the same, 0 to 1."""
    kappa: Estimate
    """Cohen's for two raters, Fleiss' for more; with quadratic weights on an ordinal scale. -1 to 1."""
    alpha: Estimate
    """Krippendorff's, nominal or ordinal. -1 to 1."""
    ac1: Estimate
    """Gwet's AC1; high where the target is rare, whatever raters do."""
    positive: Estimate
    """Where one rater says the target, how often another does, 0 to 1."""
    negative: Estimate
    """Where one rater says something else than the target, how often another does, 0 to 1."""


def pair_agreement(
    one: ArrayLike,
    other: ArrayLike,
    categories: int,
    targets: Sequence[int],
    *,
    ordinal: bool = False,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """The agreement of two raters: n codes each, from 0 to categories - 1, or -1 where one gave none.

    `targets` are the codes of what is looked for. An ordinal scale runs from code 0 upwards. `groups` names each item's
    group where items of one are not independent (turns of a dialogue). What the data can't say is an estimate without
    a value that says why. Raises DataError for codes outside their range and lengths that differ.

    >>> ana = [1] * 20 + [0] * 80
    >>> ben = [1] * 15 + [0] * 5 + [1] * 5 + [0] * 75
    >>> found = pair_agreement(ana, ben, 2, [1])
    >>> print(found.positive, "kappa", found.kappa)
    0.75 (0.56-0.87) kappa 0.69 (0.47-0.83)
    """
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape or first.ndim != 1:
        raise DataError("two raters need as many codes each", got=(first.shape, second.shape))
    return panel_agreement(
        np.stack([first, second], axis=1),
        categories,
        targets,
        ordinal=ordinal,
        groups=groups,
        level=level,
        draws=draws,
        seed=seed,
    )


def panel_agreement(
    votes: ArrayLike,
    categories: int,
    targets: Sequence[int],
    *,
    ordinal: bool = False,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """The agreement of any number of raters: (n, raters) codes from 0 to categories - 1, -1 where there is no vote.

    Where two raters voted, the items that both voted on count, and kappa is Cohen's; where more did, those with two
    votes or more, and kappa is Fleiss'. Otherwise as `pair_agreement`.
    """
    codes = values.checked_votes(votes, categories)
    if not 0 < len(set(targets)) < categories or not set(targets) <= set(range(categories)):
        raise DataError("some categories must be targets, and some not", got=list(targets))
    if groups is not None and len(groups) != len(codes):
        raise DataError("votes and groups differ in length", got=(len(codes), len(groups)))
    codes = codes[:, (codes >= 0).any(axis=0)]
    kept = (codes >= 0).sum(axis=1) >= (2 if codes.shape[1] == 2 else 1)
    several = (codes >= 0).sum(axis=1) >= 2
    if not several.any():
        nothing = Estimate.unknown("no item has two votes", n_positives=0)
        return Agreement(0, codes.shape[1], *[nothing] * 6)
    group = None if groups is None else group_codes([groups[place] for place in np.flatnonzero(kept).tolist()])
    target = np.isin(np.arange(categories), list(targets))
    binary = np.where(codes < 0, -1, target[codes])
    counts = _Counts(
        int(several.sum()),
        int((binary[several] == 1).any(axis=1).sum()),
        int((binary[several] == 0).any(axis=1).sum()),
        level,
        "group-bootstrap" if group is not None else "dirichlet" if codes.shape[1] == 2 else "item-bootstrap",
    )
    every = _drawn(codes[kept], categories, group, draws, seed)
    two = _drawn(binary[kept], 2, group, draws, seed)
    return Agreement(
        counts.n,
        codes.shape[1],
        observed=counts.estimate(values.observed_of(every.pairs)),
        kappa=counts.of_both_sides(every.kappa(ordinal)),
        alpha=counts.of_both_sides(values.alpha_of(every.pairs, ordinal)),
        ac1=counts.estimate(values.ac1_of(every.pairs)),
        positive=counts.of_positives(values.specific_of(two.pairs, np.array([False, True]))),
        negative=counts.of_negatives(values.specific_of(two.pairs, np.array([True, False]))),
    )


@dataclass(frozen=True)
class _Counts:
    """How many items the figures rest on, and how their intervals are made."""

    n: int
    positive: int
    """Items with a positive vote."""
    negative: int
    """Items with a negative vote."""
    level: float
    method: str

    def estimate(self, figures: Floats) -> Estimate:
        """From the figure itself, and after it its draws."""
        value = float(figures[0])
        low, high = central(figures[1:], value, self.level)
        return Estimate(value, low, high, self.method, self.positive)

    def of_positives(self, figures: Floats) -> Estimate:
        """Unknown below `LEAST_ITEMS` items with a positive vote."""
        return self._where(self.positive, "positive", figures)

    def of_negatives(self, figures: Floats) -> Estimate:
        """Unknown below `LEAST_ITEMS` items with a negative vote."""
        return self._where(self.negative, "negative", figures)

    def of_both_sides(self, figures: Floats) -> Estimate:
        """Unknown where either side is on too few items."""
        return self.of_positives(figures) if self.positive <= self.negative else self.of_negatives(figures)

    def _where(self, items: int, side: str, figures: Floats) -> Estimate:
        if items >= LEAST_ITEMS:
            return self.estimate(figures)
        missing = LEAST_ITEMS - items
        why = f"needs {missing} more item{'' if missing == 1 else 's'} with a {side} vote"
        return Estimate.unknown(why, n_positives=self.positive, method=self.method)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The sample first, and after it draws of what it may have been: (1 + draws, ...)."""

    pairs: Pairs
    table: Floats | None
    """Of two raters: items by what they said."""

    def kappa(self, ordinal: bool) -> Floats:
        """Cohen's for two raters, Fleiss' for more."""
        if self.table is None:
            return values.fleiss_of(self.pairs, ordinal)
        return values.cohen_of(self.table, ordinal)


def _drawn(codes: NDArray[np.intp], categories: int, group: NDArray[np.intp] | None, draws: int, seed: int) -> _Drawn:
    """Draws of two raters' table, or of more raters' sums over items."""
    square = categories**2
    if codes.shape[1] == 2:
        cells, times = np.unique(codes[:, 0] * categories + codes[:, 1], return_counts=True)
        which = np.searchsorted(cells, codes[:, 0] * categories + codes[:, 1])
        rows, unseen = np.eye(square)[cells], np.eye(square)
    else:
        kinds, which, times = np.unique(
            values.vote_counts(codes, categories), axis=0, return_inverse=True, return_counts=True
        )
        total = kinds.sum(axis=1)
        typical = float(np.average(total[total >= 2], weights=times[total >= 2]))
        split = (np.eye(categories)[:, None] + np.eye(categories)[None, :]) * typical / 2
        rows, unseen = values.item_sums(kinds), values.item_sums(split.reshape(square, categories))
    tight = 1.0
    if group is not None:
        groups = int(group.max()) + 1
        by_group = np.zeros((groups, len(rows)))
        np.add.at(by_group, (group, which), 1.0)
        rows, times = np.unique(by_group @ rows, axis=0, return_counts=True)
        unseen = unseen * len(codes) / groups
        tight = float(1.96 / stdtrit(max(1, groups - 1), 0.975)) ** 2
    sums = _weighed(rows, times.astype(float), unseen, tight, draws, seed)
    if codes.shape[1] != 2:
        return _Drawn(values.pairs_of(sums, categories), None)
    table = sums.reshape(-1, categories, categories)
    return _Drawn(values.pairs_of_table(table), table)


def _weighed(rows: Floats, times: Floats, unseen: Floats, tight: float, draws: int, seed: int) -> Floats:
    """(1 + draws, sums): rows as often as they were seen, and weighed by gamma variates with `UNSEEN` rows more.

    `tight` (at most 1) is the shape of a single row's variate: few groups say little of how much groups differ, and
    it widens as Student's t widens the normal.
    """
    rng = np.random.default_rng(seed)
    every = np.concatenate([rows, unseen])
    shape = np.concatenate([times * tight, np.full(len(unseen), UNSEEN * tight / len(unseen))])
    step = max(1, _CHUNK // len(every))
    parts = [(times @ rows)[None]]
    for start in range(0, draws, step):
        weight = rng.standard_gamma(shape, (min(step, draws - start), len(every)))
        parts.append(weight / weight.sum(axis=1, keepdims=True) @ every * times.sum())
    return np.concatenate(parts)
