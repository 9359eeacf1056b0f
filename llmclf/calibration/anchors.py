"""A fixed set of cases judged again on every change of judge: what of a move is the judge's, and what the system's?

A rate of positive verdicts moves when the system gets worse, and when the judge changes: a new prompt, or another
version behind the vendor's name. The anchors are the same texts before and after, so what changes on them is the
judge's doing. How their positive and negative verdicts turned says what the new judge would have made of the earlier
traffic; what is left of the move is the system's. This takes for granted that verdicts of the traffic turn as those
of the anchors do. So the anchors must be drawn from it, each weighed by the chance it had; of invented ones, and of
those drawn by their known label, only the verdicts that turned are counted: there a tenth more targets found among as
many targets as others looks like ten points, and is a tenth of a point where one in a hundred is a target.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import DataError
from llmclf.judges.status import UNCALIBRATED, short_of
from llmclf.render.rates import rate_range
from llmclf.render.tables import Shown, TableText
from llmclf.stats import clustered_wilson, wilson
from llmclf.stats.interval import central
from llmclf.types import Estimate, Judgment

DRAWS = 20_000
_CELLS = 4  # 2 * (positive before) + (positive after)
GRANTED = "for granted: the verdicts of the traffic turn as those of the anchors, which were drawn from it"
"""What stands with every split."""
_NO_RATES = "needs the positive verdicts before and after, each of how many judged"


@dataclass(frozen=True)
class AnchorMove(Shown):
    """How the anchors' verdicts turned, and the move of the observed rate in two parts."""

    judge: str
    before: str
    """The judge then: fingerprint and the version that answered, as the vendor names it."""
    after: str
    anchors: int
    """With a verdict then and now."""
    left_out: int
    """Without a verdict on one of the two sides."""
    became: int
    """Anchors that turned from negative to positive."""
    ceased: int
    """Anchors that turned from positive to negative."""
    changed: Estimate
    """Share of the anchors that turned from positive to negative or back."""
    kept: Estimate
    """Positive verdicts that stayed so."""
    turned: Estimate
    """Negative verdicts that became positive."""
    rate_before: Estimate
    """Observed rate of positive verdicts in the traffic."""
    rate_after: Estimate
    move: Estimate
    """`rate_after` less `rate_before`."""
    by_judge: Estimate
    """The part that the new judge would have made of the earlier traffic."""
    by_system: Estimate
    """The rest."""
    unlike_traffic: str = ""
    """Why the anchors don't stand for the traffic, where they don't: then the move is not split."""
    stamps: tuple[str, ...] = ()
    """What must stand wherever this is shown: UNCALIBRATED, SIMULATED."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What moved, in words."""
        changed = _changed_words(self.changed, self.anchors, self.became, self.ceased)
        if self.unlike_traffic:
            return changed, f"no split: the anchors do not stand for the traffic ({self.unlike_traffic})"
        if not self.move.is_known:
            return (changed,)
        granted = (GRANTED,) if self.by_judge.is_known else ()
        return changed, f"the judge{_words(self.by_judge)}", f"the system{_words(self.by_system)}", *granted

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        figures = {name: getattr(self, name).to_dict() for name in _FIGURES}
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**plain, **figures, "sentences": list(self.sentences), "stamps": list(self.stamps)}

    def _table(self) -> TableText:
        rows = [(words, *_cells(getattr(self, name), signed=name in _SIGNED)) for name, words in _FIGURES.items()]
        notes = [f"then: {self.before}", f"now: {self.after}", *self.sentences]
        if self.left_out:
            notes.append(f"{self.left_out} anchors have no verdict on one side and count for neither")
        title = f"{self.judge}: {self.anchors} anchors judged again"
        shown = [row for row in rows if row[1]]
        return TableText(
            title, ("figure", "value", "interval"), tuple(shown), tuple(notes), right=(1, 2), interval=True
        )


_FIGURES: Mapping[str, str] = {
    "changed": "anchors that changed",
    "kept": "positive that stayed so",
    "turned": "negative that turned",
    "rate_before": "observed rate then",
    "rate_after": "observed rate now",
    "move": "move in all",
    "by_judge": "by the judge",
    "by_system": "by the system",
}
_PLAIN = ("judge", "before", "after", "anchors", "left_out", "became", "ceased", "unlike_traffic")
_SIGNED = ("move", "by_judge", "by_system")


def split_move(
    before_on_anchors: Sequence[Judgment],
    after_on_anchors: Sequence[Judgment],
    before_rate: tuple[int, int] | None = None,
    after_rate: tuple[int, int] | None = None,
    *,
    targets: Collection[str],
    groups: Mapping[str, Hashable] | None = None,
    weights: Mapping[str, float] | None = None,
    unlike_traffic: str = "",
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> AnchorMove:
    """The move of the observed rate of positive verdicts, split into the judge's part and the system's.

    Both sets of judgments are of the same anchors; those without a verdict on one side are left out and counted.
    A rate is (positive verdicts, verdicts) in the traffic of its time, by the judge of its time; without both, only
    the anchors' own figures are given. `targets` are the positive verdicts, `groups` the group of each anchor where
    some are not independent, `weights` how much of the traffic each stands for (1 / the chance it had to be drawn; all
    alike where nothing is said). `unlike_traffic` says why they stand for none of it, as they were picked by hand, say:
    then there is no split. The same inputs and `seed` give the same figures.

    With k the share of positive anchors that stayed so, and t that of negative ones that turned, the new judge would
    have found r' = r k + (1 - r) t in the earlier traffic of rate r: r' - r is the judge's, the rest the system's.
    Intervals are from draws: a Bayesian bootstrap of the anchors' groups, in half of the draws with one unseen anchor
    in each of the four cells (the mid-p form, as in `stats.totals`: what was never seen may be never, or rare; of
    unlike weights it has the mean by weight, as n / n_eff of Kish), and Beta(hits + 1/2, misses + 1/2) for each rate.
    Raises DataError where no anchor was judged twice, one side is simulated and the other not, a rate is none (of 0
    verdicts, say), or a weight is.
    """
    _check(before_rate, after_rate)
    then = {one.case: one for one in before_on_anchors}
    now = {one.case: one for one in after_on_anchors}
    both = [case for case in then if case in now]
    answered = [case for case in both if then[case].counts and now[case].counts]
    if len({one.simulated for one in (*then.values(), *now.values())}) > 1:
        raise DataError("simulated judgments can't be compared with real ones")
    if not answered:
        raise DataError("no anchor has a verdict then and now", got=f"{len(then)} judged then, {len(now)} now")
    was = np.array([then[case].verdict in targets for case in answered])
    is_now = np.array([now[case].verdict in targets for case in answered])
    group = [case if groups is None else groups.get(case, case) for case in answered]
    rng = np.random.default_rng(seed)
    weight = _relative([1.0 if weights is None else weights.get(case, math.nan) for case in answered], was)
    kept, turned = _shares(2 * was + is_now, weight, group, draws, rng)
    kept_share = _share(was, is_now, weight, kept, "no anchor had a positive verdict before", level)
    turned_share = _share(~was, is_now, weight, turned, "no anchor had a negative verdict before", level)
    found = (kept_share, turned_share) if not unlike_traffic else unlike_traffic
    move, by_judge, by_system = _parts(found, before_rate, after_rate, (kept, turned), level, rng)
    return AnchorMove(
        now[answered[0]].judge,
        version_of([then[case] for case in both]),
        version_of([now[case] for case in both]),
        len(answered),
        len({*then, *now}) - len(answered),
        int((is_now & ~was).sum()),
        int((was & ~is_now).sum()),
        clustered_wilson(was != is_now, group, level=level),
        kept_share,
        turned_share,
        wilson(*before_rate, level=level) if before_rate else Estimate.unknown(_NO_RATES),
        wilson(*after_rate, level=level) if after_rate else Estimate.unknown(_NO_RATES),
        move,
        by_judge,
        by_system,
        unlike_traffic,
        stamps_of(after_on_anchors),
    )


def stamps_of(judgments: Sequence[Judgment]) -> tuple[str, ...]:
    """UNCALIBRATED where no calibration of the judge's fingerprint holds, SIMULATED where a vendor was."""
    uncalibrated = () if all(one.calibrated for one in judgments) else (UNCALIBRATED,)
    return (*uncalibrated, *(("SIMULATED",) if any(one.simulated for one in judgments) else ()))


def version_of(judgments: Sequence[Judgment]) -> str:
    """`3f2a9c0d11e2, answered by gpt-5.4-2026-03-05`: fingerprints and versions of these judgments."""
    prints = sorted({short_of(one.fingerprint) for one in judgments})
    models = sorted({one.model for one in judgments if one.model})
    return " and ".join(prints) + (f", answered by {' and '.join(models)}" if models else "")


_Floats = NDArray[np.float64]


def _check(before: tuple[int, int] | None, after: tuple[int, int] | None) -> None:
    problems = [
        f"the rate {when} is {hits} of {total}: it needs a verdict, and no more positive ones than there are"
        for when, (hits, total) in (("before", before or (0, 1)), ("after", after or (0, 1)))
        if not 0 <= hits <= total or not total
    ]
    if problems:
        raise DataError("the move can't be split", problems=problems)


def _relative(weights: Sequence[float], was: NDArray[np.bool_]) -> _Floats:
    """(n,) weights as multiples of the mean of their side: those that were positive, and those that were not."""
    found = np.array(weights, float)
    if not (np.isfinite(found) & (found > 0)).all():
        raise DataError("the weight of an anchor is missing, or no number above 0")
    for side in (was, ~was):
        if side.any():
            found[side] /= found[side].mean()
    return found


def _shares(
    cells: NDArray[np.int_], weight: _Floats, group: Sequence[Hashable], draws: int, rng: np.random.Generator
) -> tuple[_Floats, _Floats]:
    """(draws,) each: likely shares of positive anchors that stay so, and of negative ones that turn."""
    counts: dict[Hashable, list[float]] = {}
    for name, cell, one in zip(group, cells.tolist(), weight.tolist(), strict=True):
        counts.setdefault(name, [0.0] * _CELLS)[cell] += one
    kinds, times = np.unique(
        list(counts.values()), axis=0, return_counts=True
    )  # groups alike weigh together as one gamma
    sides = [weight[cells >= 2] if cell >= 2 else weight[cells < 2] for cell in range(_CELLS)]
    heavy = [float((side**2).mean()) if len(side) else 1.0 for side in sides]  # 1 where all weigh the same
    unseen = rng.standard_gamma(1.0, (draws, _CELLS)) * (rng.random((draws, 1)) < 0.5) * heavy
    stayed, turned, lost, kept = (unseen + rng.standard_gamma(times, (draws, len(times))) @ kinds).T
    with np.errstate(invalid="ignore"):  # nothing on a side: no figure is made of it
        return kept / (lost + kept), turned / (stayed + turned)


def _share(
    inside: NDArray[np.bool_], positive: NDArray[np.bool_], weight: _Floats, drawn: _Floats, why: str, level: float
) -> Estimate:
    if not inside.any():
        return Estimate.unknown(why)
    value = float(np.average(positive[inside], weights=weight[inside]))
    return Estimate(value, *central(drawn, value, level), method="bayesian-bootstrap")


def _parts(
    found: tuple[Estimate, Estimate] | str,
    before: tuple[int, int] | None,
    after: tuple[int, int] | None,
    shares: tuple[_Floats, _Floats],
    level: float,
    rng: np.random.Generator,
) -> tuple[Estimate, Estimate, Estimate]:
    """The move, the judge's part of it and the system's; `found` is (kept, turned), or why there is no split."""
    if before is None or after is None:
        return (Estimate.unknown(_NO_RATES),) * 3
    kept, turned = shares
    r, s = (rng.beta(hits + 0.5, total - hits + 0.5, len(kept)) for hits, total in (before, after))
    share, last = before[0] / before[1], after[0] / after[1]
    move = Estimate(last - share, *central(s - r, last - share, level), method="beta")
    if isinstance(found, str):
        return move, Estimate.unknown(found), Estimate.unknown(found)
    if found[0].value is None or found[1].value is None:
        why = f"{found[0].why_not or found[1].why_not}: what becomes of those can't be told"
        return move, Estimate.unknown(why), Estimate.unknown(why)
    would = share * found[0].value + (1 - share) * found[1].value
    drawn = r * kept + (1 - r) * turned
    by_judge, by_system = would - share, last - would
    return (
        move,
        Estimate(by_judge, *central(drawn - r, by_judge, level), method="bayesian-bootstrap"),
        Estimate(by_system, *central(s - drawn, by_system, level), method="bayesian-bootstrap"),
    )


def _changed_words(changed: Estimate, anchors: int, became: int, ceased: int) -> str:
    if not changed.value:
        return f"none of {anchors} anchors changed sides (at most {changed.high or 0:.1%} would)"
    each = f"{became} became positive, {ceased} ceased to be"
    return f"{rate_range(changed, '.1%')} of {anchors} anchors changed sides: {each}"


def _words(part: Estimate) -> str:
    """`moved: +1.2 points (+0.4 to +2.1)`, or that it can't be told."""
    if part.value is None or part.low is None or part.high is None:
        return f": can't tell ({part.why_not})"
    ends = f"{100 * part.low:+.1f} to {100 * part.high:+.1f}"
    if part.low <= 0 <= part.high:
        return f": can't tell that it moved ({ends} points)"
    return f" moved: {100 * part.value:+.1f} points ({ends})"


def _cells(figure: Estimate, *, signed: bool) -> tuple[str, str]:
    if figure.value is None or figure.low is None or figure.high is None:
        return "", ""
    spec = "+.2f" if signed else ".1f"
    ends = [f"{100 * end:{spec}}" for end in (figure.low, figure.high)]
    return f"{100 * figure.value:{spec}} %", " to ".join(ends)
