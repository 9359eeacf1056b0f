"""From which score an item should be flagged: the cheapest threshold, one that reviewers can bear, a certified one.

cheapest       Platt's scaling to production's prevalence, then the threshold that costs decide (Elkan 2001). At some
               five positives it was 1.09 times as dear as the best threshold, the best of the sample 1.26 times.
within_flags   the cheapest of those that flag few enough
certify        a recall that holds with stated confidence: an order statistic of the positives' scores (exact, "learn
               then test", Angelopoulos et al. 2021), or lower bounds on a fixed grid where labels weigh unequally

A threshold looks best on the labels that chose it. `held_out_flags` says what items are flagged by thresholds that
were chosen without them: figures belong to those.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from llmclf.errors import DataError
from llmclf.stats.outcomes import usd_shares
from llmclf.stats.sampling import Sampling
from llmclf.stats.scaling import Numbers, Platt, fit_platt, logit, sigmoid
from llmclf.stats.stratified import confusion, recall
from llmclf.types import Costs

FloatArray = NDArray[np.float64]
NEVER, ALWAYS = -math.inf, math.inf
"""The scores of items without one: flagged at no threshold, and at every threshold."""
GRID: FloatArray = sigmoid(np.arange(-16, 16.01, 0.25))
"""The thresholds that a weighted sample is tested at, lowest first. They are fixed: no label has chosen them."""
_DRAWS = 2000
_COARSEST_EDGE = 0.01


@dataclass(frozen=True, eq=False)
class Scored:
    """n labelled items with their scores."""

    positive: NDArray[np.bool_]
    score: FloatArray
    """0 to 1; `NEVER` or `ALWAYS` for an item that has none. Failed items have `NEVER`."""
    failed: NDArray[np.bool_]
    sampling: Sampling

    def flagged(self, threshold: float) -> NDArray[np.bool_]:
        """(n,) whether each item's score reaches `threshold`."""
        return self.score >= threshold

    def where(self, mask: NDArray[np.bool_]) -> Scored:
        """The items of `mask` alone, standing for the same population."""
        return Scored(self.positive[mask], self.score[mask], self.failed[mask], self.sampling.where(mask))

    @property
    def has_score(self) -> NDArray[np.bool_]:
        """(n,) whether an item has a score that a threshold decides on."""
        return np.isfinite(self.score)


@dataclass(frozen=True, slots=True)
class ScoreScaling:
    """Raw scores (0 to 1) to probabilities at a prevalence: sigmoid(a * logit(score) + b)."""

    a: float
    b: float
    prevalence: float
    """Share of the target that the probabilities hold at."""
    edge: float
    """Scores nearer to 0 or 1 than this count as this near: a logit of 0 or 1 would be without limit."""

    def probabilities(self, scores: Numbers) -> FloatArray:
        """(n,) the target's probability of each score."""
        near = np.clip(np.asarray(scores, np.float64), self.edge, 1.0 - self.edge)
        return Platt(self.a, self.b).apply(logit(near))

    def score_at(self, probability: float) -> float:
        """The lowest score of at least this probability: 0 where every score has it, `ALWAYS` where none has."""
        if probability >= 1.0:
            return ALWAYS
        if probability <= 0.0:
            return 0.0
        wanted = (float(logit([probability])[0]) - self.b) / self.a
        low, high = (float(end) for end in logit([self.edge, 1.0 - self.edge]))
        if wanted <= low:
            return 0.0
        return ALWAYS if wanted > high else float(sigmoid([wanted])[0])


def bayes_threshold(costs: Costs) -> float:
    """The target's probability from which flagging costs less than not flagging.

    A flag costs a review, and `false_alarm_usd` where it is none: review + (1 - p) false alarm. No flag costs
    p missed. They are equal at p = (review + false alarm) / (missed + false alarm); above 1 no flag ever pays.

    >>> round(bayes_threshold(Costs(missed_usd=40, false_alarm_usd=2, review_minutes=1.5)), 4)  # (1.2 + 2) / (40 + 2)
    0.0762
    """
    whole = costs.missed_usd + costs.false_alarm_usd
    return (costs.review_usd + costs.false_alarm_usd) / whole if whole > 0 else math.inf


def fit_scaling(items: Scored, prevalence: float) -> ScoreScaling:
    """Platt's scaling of the items' scores at `prevalence`, which only moves its intercept.

    It is fitted with as much weight on the targets as they have among the labels, because Platt's smoothing counts
    labels, and moved from there. Items without a score are left out. Raises DataError where either class has no
    score, or scores do not rise with the target.
    """
    kept = items.where(items.has_score)
    if not 0 < int(kept.positive.sum()) < len(kept.positive):
        raise DataError(
            "scores of targets and of others are needed",
            where="threshold",
            got=f"{int(kept.positive.sum())} targets among {len(kept.positive)} items with a score",
        )
    inside = np.minimum(kept.score, 1.0 - kept.score)
    inside = inside[inside > 0]
    edge = min(float(inside.min()) / 2, _COARSEST_EDGE) if len(inside) else _COARSEST_EDGE
    x = logit(np.clip(kept.score, edge, 1.0 - edge))
    shares = usd_shares(kept.positive, kept.sampling, float(kept.positive.mean()))
    platt = fit_platt(x, kept.positive, shares)
    if not platt.a > 0:
        raise DataError(
            "the scores do not rise with the target: no threshold can help",
            where="threshold",
            got=f"slope {platt.a:.2g}",
            fix="look at ROC AUC in `llmclf evaluate`",
        )
    fitted = float(shares @ platt.apply(x))
    moved = platt.at_prevalence(fitted, prevalence)
    return ScoreScaling(moved.a, moved.b, prevalence, edge)


def cheapest(items: Scored, costs: Costs) -> float:
    """The score from which flagging pays; `ALWAYS` where no score is sure enough. Errors as of `fit_scaling`."""
    return fit_scaling(items, costs.prevalence).score_at(bayes_threshold(costs))


def within_flags(items: Scored, costs: Costs, most: float) -> float | None:
    """The cheapest threshold that flags at most the share `most` of items at `costs.prevalence`.

    Dollars fall towards the cheapest threshold from above, so it is that one, or else the lowest above it that
    flags few enough. None where even the highest score flags more.
    """
    best = cheapest(items, costs)
    levels = np.unique(items.score[items.has_score])
    answered = items.where(~items.failed)
    shares = usd_shares(answered.positive, answered.sampling, costs.prevalence)
    for threshold in (best, *levels[levels > best].tolist()):
        if float(shares @ answered.flagged(threshold)) <= most * (1 + 1e-9):
            return float(threshold)
    return None


def held_out_flags(
    items: Scored, choose: Callable[[Scored], float | None], *, folds: int = 5, repeats: int = 4, seed: int = 0
) -> NDArray[np.bool_]:
    """(repeats, n) whether each item is flagged by a threshold that was chosen without its group.

    Groups are dealt to folds anew in each repeat, those with a target first, so that every fold has some. Where
    `choose` gives None nothing is flagged. Raises DataError with fewer than two groups that hold a target.
    """
    group = np.arange(len(items.score)) if items.sampling.group is None else items.sampling.group
    has_target = np.bincount(group, weights=items.positive) > 0
    parts = min(folds, int(has_target.sum()))
    if parts < 2:
        raise DataError("held-out figures need two targets at least that share no group", where="threshold")
    rng = np.random.default_rng(seed)
    flags = np.zeros((repeats, len(items.score)), bool)
    for repeat in range(repeats):
        order = np.lexsort((rng.random(len(has_target)), ~has_target))
        part = np.empty(len(order), np.intp)
        part[order] = np.arange(len(order)) % parts
        for fold in range(parts):
            test = part[group] == fold
            threshold = choose(items.where(~test))
            flags[repeat, test] = items.score[test] >= (ALWAYS if threshold is None else threshold)
    return flags


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whether a recall can be promised, and at which threshold."""

    recall: float
    confidence: float
    threshold: float | None
    """The highest score at which it holds; None where it can't be promised."""
    positives: int
    """Those that count: as many as there are groups of them, where they come in groups."""
    needed: int
    """The fewest with which any threshold can be certified."""
    why_not: str = ""

    @property
    def missing(self) -> int:
        """How many positives are still to be labelled before any threshold can be certified."""
        return max(0, self.needed - self.positives)


def positives_to_certify(recall: float, confidence: float = 0.95) -> int:
    """The fewest positives with which a threshold can be certified: recall ** n <= 1 - confidence.

    >>> [positives_to_certify(recall) for recall in (0.8, 0.9, 0.95, 0.99)]
    [14, 29, 59, 299]
    """
    _check_shares(recall, confidence)
    return math.ceil(math.log1p(-confidence) / math.log(recall) - 1e-9)


def certified_rank(positives: int, recall: float, confidence: float = 0.95) -> int:
    """The rank k (from 1, lowest score first) of the positive whose score can be certified; 0 where none can.

    At the k-th lowest of n scores recall is at least that of a Beta(n - k + 1, k) variate, which reaches `recall`
    with the chance that a Binomial(n, 1 - recall) count is k or more. The largest such k is taken.
    """
    _check_shares(recall, confidence)
    ranks = np.arange(1, positives + 1)
    holds = bdtrc(ranks - 1, positives, 1.0 - recall) >= confidence - 1e-12
    return int(holds.sum())  # it falls with the rank


def certify(items: Scored, recall: float = 0.9, confidence: float = 0.95) -> Certificate:
    """The highest threshold at which recall is at least `recall` with `confidence`, failed targets being missed.

    Where all positives stand for as many others (a simple random sample, or a set that stands for itself) the
    order statistic is exact. Positives of one group count as their effective number, n over the mean size of a
    positive's group, and the rank grows by that size: right where a group is all alike, else cautious. Labels of
    unequal weight: the lower bound of recall, at `GRID` from below, until it first fails (fixed sequence, so that
    no correction for the number of thresholds is due).
    """
    n = int(items.positive.sum())
    alike = items.sampling.alikeness(items.positive) if n else 1.0
    counted = math.floor(n / alike + 1e-9)
    needed = positives_to_certify(recall, confidence)
    lacks = Certificate(recall, confidence, None, counted, needed)
    if lacks.missing:
        groups = "" if alike == 1.0 else f" ({n} targets come in groups, and count as {counted})"
        why = f"needs {needed} positives, there are {counted}: {lacks.missing} more{groups}"
        return Certificate(recall, confidence, None, counted, needed, why)
    if _weigh_alike(items.sampling):
        found = _by_rank(items, counted, alike, recall, confidence)
    else:
        found = _by_grid(items, recall, confidence)
    threshold, why = found
    return Certificate(recall, confidence, threshold, counted, needed, why)


def at_same_loss(items: Scored, threshold: float) -> Callable[[Scored], float | None]:
    """The rule "lose the same share of positives as `threshold` does of these", to choose on other items."""
    lost = _share_below(items, threshold)

    def choose(others: Scored) -> float | None:
        levels = np.unique(others.score[others.positive & others.has_score])
        kept = [level for level in levels if _share_below(others, level) <= lost + 1e-9]
        return float(kept[-1]) if kept else 0.0

    return choose


def _by_rank(items: Scored, counted: int, alike: float, recall: float, confidence: float) -> tuple[float | None, str]:
    rank = math.floor((certified_rank(counted, recall, confidence) - 1) * alike + 1e-9) + 1
    score = float(np.sort(items.score[items.positive])[rank - 1])
    if score == NEVER:
        lost = int((items.score[items.positive] == NEVER).sum())
        why = f"{lost} of {int(items.positive.sum())} positives failed or have no score, and may not be that many"
        return None, why
    return min(score, 1.0), ""


def _by_grid(items: Scored, wanted: float, confidence: float) -> tuple[float | None, str]:
    best, low = None, 0.0
    for threshold in GRID.tolist():
        table = confusion(items.positive, items.flagged(threshold), items.sampling, failed=items.failed, draws=_DRAWS)
        low = recall(table, level=2 * confidence - 1).low or 0.0
        if low < wanted:
            break
        best = threshold
    if best is not None:
        return best, ""
    weight = float(items.sampling.weight.max())
    return None, (
        f"the labels weigh unequally, up to {weight:.3g} of the population each: that a missed one of those hides "
        f"can't be ruled out, and only a recall of {low:.2f} can be promised; label more where they weigh most"
    )


def _weigh_alike(sampling: Sampling) -> bool:
    weight = sampling.weight
    return bool(np.ptp(weight) <= 1e-9 * weight.max())


def _share_below(items: Scored, threshold: float) -> float:
    weight = items.sampling.weight[items.positive]
    return float(weight[items.score[items.positive] < threshold].sum() / weight.sum())


def _check_shares(recall: float, confidence: float) -> None:
    problems = [
        f"{name} must be between 0 and 1; got {value}"
        for name, value in (("recall", recall), ("confidence", confidence))
        if not 0.0 < value < 1.0
    ]
    if problems:
        raise DataError("this can't be certified", where="threshold", problems=problems)
