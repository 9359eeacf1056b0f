"""How many items to label for a recall of a wanted precision: drawn at random, or by score as `sample` draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmclf.data.allocation import allocate
from llmclf.data.strata import MAX_STRATA, score_strata
from llmclf.errors import ConfigError
from llmclf.render.rates import rate_text
from llmclf.render.tables import Shown, TableText, price_text
from llmclf.stats.label_plans import (
    MOST_ITEMS,
    HalfWidth,
    ScoreModel,
    SimulatedStratum,
    half_width,
    labels_needed,
    positives_for,
)
from llmclf.types import Costs, Item

DISTORTED = 0.6
"""Slope of the scores' logits in the simulation that does not trust them."""
_CUT_ON = 20_000
"""Items of the pool that strata are cut on; their sizes are then scaled."""
_FEWEST = 100


@dataclass(frozen=True, slots=True)
class Draw:
    """What `llmclf data sample` has to be told beside how many."""

    pool: str
    task: str
    classifier: str
    train: str = ""
    """The command that makes its scores possible; empty where it can score already."""

    def command(self, labels: int, prevalence: float, *, by_score: bool) -> str:
        """The command that draws `labels` items."""
        how = f"--by score --classifier {self.classifier}" if by_score else "--by random"
        drawn = f"llmclf data sample {self.pool} --task {self.task} {how} --n {labels} --prevalence {prevalence:g}"
        return f"{self.train} && {drawn}" if by_score and self.train else drawn


@dataclass(frozen=True, slots=True)
class LabelsNeeded:
    """Labels for a wanted half-width, by how they are drawn; None where the pool holds too few."""

    random: int | None
    by_score: int | None
    distorted: int | None


@dataclass(frozen=True, slots=True)
class PlannedLabels:
    """What so many labels would give."""

    labels: int
    random: HalfWidth
    by_score: HalfWidth
    distorted: HalfWidth
    """By score, where the scores are not as sure as they say."""


@dataclass(frozen=True)
class LabelPlan(Shown):
    """Labels against the half-width of recall's interval, and how many the wanted one takes."""

    recall: float
    prevalence: float
    half_width: float
    pool: int
    positives: int
    """Of equal weight, for the wanted half-width."""
    rows: tuple[PlannedLabels, ...]
    random: int | None
    """Labels at random for the wanted half-width; None where the pool holds too few."""
    by_score: int | None
    distorted: int | None
    ninety: LabelsNeeded
    """The same in nine of ten draws; the three above hold in half of them."""
    minutes_a_label: float
    usd_an_hour: float
    source: str
    """What the scores are known from, in words."""
    command: str
    """What draws them."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What it means, in sentences."""
        wanted = f"±{self.half_width:.2g}"
        said = [
            f"Recall {rate_text(self.recall)} to {wanted} takes {self.positives} targets that weigh alike.",
            f"{wanted} in half of all draws: {self._effort(self.random)} at random, {self._effort(self.by_score)} by "
            f"score, {self._effort(self.distorted)} where the scores are distorted (logits times {DISTORTED}).",
            f"In 9 of 10 draws it takes {_count(self.ninety.random)} at random, {_count(self.ninety.by_score)} by "
            f"score, {_count(self.ninety.distorted)} distorted.",
            f"The pool is taken to hold {self.pool:,} items (--pool).",
            *([f"{self.source} Labels will tell: plan again with them."] if self.source else []),
            "Recall is then that of the classifier whose scores cut the strata; for another it is wider.",
        ]
        return (*said, f"Draw them: {self.command}") if self.command else tuple(said)

    def _effort(self, labels: int | None) -> str:
        if labels is None:
            return f"more than the {self.pool:,} of the pool"
        hours = labels * self.minutes_a_label / 60
        shown = f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"
        return f"{labels:,} labels ({shown} h, {price_text(round(hours * self.usd_an_hour))})"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {**asdict(self), "notes": list(self.notes)}

    def _table(self) -> TableText:
        rows = tuple(
            (
                f"{row.labels:,}",
                f"{row.random.positives:,.0f} / {row.by_score.positives:,.0f}",
                _cell(row.random),
                _cell(row.by_score),
                _cell(row.distorted),
            )
            for row in self.rows
        )
        title = f"half-width of recall, half of all draws (9 of 10), at {100 * self.prevalence:.3g} % targets"
        columns = ("labels", "targets", "random", "by score", "distorted")
        notes = ("Targets: how many of the labels will be, drawn at random / by score.", *self.notes)
        return TableText(title, columns, rows, notes, right=(1, 2, 3, 4))


def plan_labels(
    scores: ScoreModel,
    *,
    half_width: float,
    pool: int = 100_000,
    costs: Costs = Costs(),
    source: str = "",
    draw: Draw | None = None,
    seed: int = 0,
) -> LabelPlan:
    """How many labels a recall to +-`half_width` takes, by simulation with the evaluation's own intervals.

    The prevalence is that of `costs`, and `pool` how many items there are to draw from. The plan's command draws by
    whatever takes fewer labels; by score that is the larger number of the two simulations. Raises ConfigError that
    lists what can't be.
    """
    prevalence = costs.prevalence
    _check(prevalence, half_width, pool, scores)
    sizes = _sizes(pool)
    cuts = [_cut(given, prevalence) for given in (scores, scores.distorted(DISTORTED))]
    rows = tuple(_row(scores, cuts, prevalence, pool, size, seed) for size in sizes)
    needed, ninety = (
        {
            way: _up(labels_needed(sizes, [getattr(getattr(row, way), chance) for row in rows], half_width), pool)
            for way in ("random", "by_score", "distorted")
        }
        for chance in ("median", "ninety")
    )
    return LabelPlan(
        recall=scores.recall,
        prevalence=prevalence,
        half_width=half_width,
        pool=pool,
        positives=positives_for(scores.recall, half_width),
        rows=rows,
        **needed,
        ninety=LabelsNeeded(**ninety),
        minutes_a_label=costs.review_minutes,
        usd_an_hour=costs.reviewer_usd_per_hour,
        source=source,
        command=_command(draw, prevalence, **needed),
    )


def _up(labels: int | None, pool: int) -> int | None:
    """Rounded up to three digits: a simulation tells no more."""
    if labels is None:
        return None
    step: int = 10 ** max(0, len(str(labels)) - 3)
    return min(pool, math.ceil(labels / step) * step)


def _command(
    draw: Draw | None, prevalence: float, *, random: int | None, by_score: int | None, distorted: int | None
) -> str:
    aided = None if by_score is None or distorted is None else max(by_score, distorted)
    if draw is None or (random is None and aided is None):
        return ""
    if aided is not None and (random is None or aided < random):
        return draw.command(aided, prevalence, by_score=True)
    assert random is not None
    return draw.command(random, prevalence, by_score=False)


def _check(prevalence: float, half_width: float, pool: int, scores: ScoreModel) -> None:
    problems = []
    if not 0 < prevalence < 1:
        problems.append(f"prevalence (--prevalence) must be between 0 and 1; got {prevalence}")
    if not 0.005 <= half_width < 0.5:
        problems.append(f"half_width (--half-width) must be from 0.005 to below 0.5; got {half_width}")
    if not _FEWEST <= pool <= MOST_ITEMS:
        problems.append(f"pool (--pool) must be from {_FEWEST} to {MOST_ITEMS:,}; got {pool}")
    if not 0 < scores.recall < 1:
        problems.append(f"recall must be between 0 and 1; got {scores.recall:g}")
    if problems:
        raise ConfigError("no labels can be planned so", where="plan-labels", problems=problems)


def _sizes(pool: int) -> list[int]:
    """200, 500, 1,000, ... up to the whole pool."""
    sizes = [digit * 10**power for power in range(2, 9) for digit in (1, 2, 5)]
    return [*(size for size in sizes if _FEWEST < size < pool), pool]


def _row(
    scores: ScoreModel, cuts: Sequence[_Cut], prevalence: float, pool: int, labels: int, seed: int
) -> PlannedLabels:
    everything = _strata(scores, np.zeros(len(scores.score), np.intp), prevalence, pool, [labels])
    aided = []
    for cut in cuts:
        populations = [one.population for one in _strata(scores, cut.stratum, prevalence, pool)]
        total = sum(populations)
        drawn = allocate(populations, [share * total for share in cut.expected], labels)
        aided.append(_strata(scores, cut.stratum, prevalence, pool, drawn))
    return PlannedLabels(labels, half_width(everything, seed=seed), *(half_width(one, seed=seed) for one in aided))


@dataclass(frozen=True, eq=False)
class _Cut:
    """Strata as `sample` cuts them by score."""

    stratum: np.ndarray[Any, np.dtype[np.intp]]
    """(levels,) number of each level's stratum, the lowest scores first."""
    expected: list[float]
    """(strata,) the share of all items that is taken to be a target of each."""


def _cut(scores: ScoreModel, prevalence: float) -> _Cut:
    shares = prevalence * scores.targets + (1 - prevalence) * scores.others
    level = np.searchsorted(np.cumsum(shares), (np.arange(_CUT_ON) + 0.5) / _CUT_ON).clip(0, len(shares) - 1)
    items = [Item(str(number)) for number in range(_CUT_ON)]
    found = score_strata(items, dict(zip(items, scores.score[level].tolist(), strict=True)), MAX_STRATA, prevalence)
    members = [[int(item.conversation_id) for item in one] for one in found.items.values()]
    lowest = [float(scores.score[level[one]].min()) for one in members]
    order = np.argsort(lowest)
    limits = np.array(lowest)[order][1:]
    stratum = np.searchsorted(limits, scores.score, side="right").astype(np.intp)
    expected = [found.expected[name] / _CUT_ON for name in found.items]
    return _Cut(stratum, [expected[number] for number in order])


def _strata(
    scores: ScoreModel,
    stratum: np.ndarray[Any, np.dtype[np.intp]],
    prevalence: float,
    pool: int,
    sampled: Sequence[int] = (),
) -> list[SimulatedStratum]:
    """The strata of the pool with what is in them; their sizes add up to the pool but for rounding."""
    flagged = scores.flagged
    kinds = (
        prevalence * scores.targets * flagged,
        prevalence * scores.targets * ~flagged,
        (1 - prevalence) * scores.others * flagged,
        (1 - prevalence) * scores.others * ~flagged,
    )
    width = int(stratum.max()) + 1
    masses = np.array([np.bincount(stratum, weights=kind, minlength=width) for kind in kinds])
    sizes = [max(1, round(float(size) * pool)) for size in masses.sum(axis=0)]
    drawn = sampled or sizes
    return [
        SimulatedStratum(size, min(count, size), *(masses[:, number] / masses[:, number].sum()).tolist())
        for number, (size, count) in enumerate(zip(sizes, drawn, strict=True))
    ]


def _count(labels: int | None) -> str:
    return "more than all" if labels is None else f"{labels:,}"


def _cell(width: HalfWidth) -> str:
    def points(value: float) -> str:
        return f"±{value:.3f}" if value < 0.0995 else f"±{value:.2f}"

    if math.isclose(width.median, 0.5):
        return "nothing"
    return f"{points(width.median)} ({points(width.ninety).removeprefix('±')})"
