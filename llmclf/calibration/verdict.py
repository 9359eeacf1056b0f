"""Is a judge calibrated? By the bar in its file, the ends of its intervals, and what is gravely wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.compared import Compared
from llmclf.calibration.figures import Rates, rates_of
from llmclf.calibration.flag import Flag
from llmclf.calibration.session import Split
from llmclf.render.rates import rate_text
from llmclf.render.tables import counted
from llmclf.stats import Sampling
from llmclf.stats.proportion import group_codes
from llmclf.types import Bar, Estimate

CalibrationState = Literal["calibrated", "not_calibrated", "cant_tell", "people"]
"""`people`: there are no judgments, and the card is about people alone."""
_MOST_TIMES = 64
_MOST_LABELS = 200_000
_STEPS = 7


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the bar says of a judge's figures, and the one reason."""

    state: CalibrationState
    why: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What it takes for an answer where there is none yet, if further labels are like those there are."""

    labels: int | None
    """More labelled cases of the split; None: no number of them, or too many to think of."""
    positives: int | None
    """How many of these would be targets."""
    then: CalibrationState
    """What the answer would be; `cant_tell` where no number of labels gives one."""
    sentence: str


def against_bar(rates: Rates, bar: Bar) -> tuple[tuple[str, Estimate, float], ...]:
    """(name, figure, bar) of each figure that decides, the leading one first."""
    return (
        ("positive agreement", rates.positive_agreement, bar.positive_agreement),
        ("sensitivity", rates.sensitivity, bar.sensitivity),
        ("specificity", rates.specificity, bar.specificity),
    )


def decide(rates: Rates, bar: Bar, flags: Sequence[Flag] = (), split: Split = "test") -> Verdict:
    """Calibrated where every low end reaches its bar on enough positives; not, where a high end stays below one."""
    grave = next((flag for flag in flags if flag.grave), None)
    if grave is not None:
        return Verdict("not_calibrated", _of_flag(grave))
    checks = against_bar(rates, bar)
    missed = [_below(name, figure, least) for name, figure, least in checks if _high(figure) < least]
    if missed:
        return Verdict("not_calibrated", f"Not calibrated: {_joined(missed)}.")
    if rates.n_positives < bar.positives:
        few = f"{counted(rates.n_positives, 'positive')} among {counted(rates.n, 'case')}"
        return Verdict("cant_tell", f"Can't tell yet: {few}, and the bar asks for {bar.positives}.")
    open_ones = [_open(name, figure, least) for name, figure, least in checks if _low(figure) < least]
    if open_ones:
        return Verdict("cant_tell", f"Can't tell yet: {_joined(open_ones)}.")
    reached = _joined([_reached(*check) for check in checks])
    if split != "test":
        return Verdict(
            "cant_tell", f"Can't tell by the {split} split, by which the judge may have been changed: {reached}."
        )
    return Verdict("calibrated", f"Calibrated: {reached}, on {rates.n_positives} positives.")


def is_why(flag: Flag, why: str) -> bool:
    """True where this flag decided, and `why` says all that it says."""
    return flag.grave and not flag.brief and why == _of_flag(flag)


def needs_of(compared: Compared, bar: Bar, *, seed: int = 0) -> Needs:
    """How many more labels give an answer, were they like those there are: the same intervals on more of the same."""
    mask = compared.is_said
    truth, said = compared.truth[mask], compared.said[mask]
    positive, flagged = compared.is_target(truth), compared.is_target(said)
    if not positive.any() or positive.all() or compared.unweighable(mask):
        side = "target" if not positive.any() else "other than targets"
        why = compared.unweighable(mask) if len(positive) else "nothing to go by"
        return Needs(
            None, None, "cant_tell", f"How many more labels it takes can't be said: {why or f'no {side} yet'}."
        )
    sampling = compared.sampling(mask)
    by_class = compared.session.design == "class_balanced"

    def at(times: float) -> CalibrationState:
        more = _more_of_the_same(positive, flagged, sampling, times)
        return decide(rates_of(*more, by_class=by_class, seed=seed), bar).state

    most = min(_MOST_TIMES, _MOST_LABELS / len(positive))
    times = next((one for one in _doubled(most) if at(one) != "cant_tell"), None)
    if times is None:
        sentence = (
            f"Even {most:.0f} times as many labels like these would not decide it: the figures are too near the bar."
        )
        return Needs(None, None, "cant_tell", sentence)
    low, high = times / 2, times
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle) != "cant_tell" else (middle, high)
    return _needed(high, at(high), len(positive), int(positive.sum()))


def _needed(times: float, then: CalibrationState, n: int, n_positives: int) -> Needs:
    labels, positives = _rounded((times - 1) * n), _rounded((times - 1) * n_positives)
    answer = "calibrated" if then == "calibrated" else "not calibrated"
    sentence = (
        f"About {labels:,} more labels ({positives:,} positives), if they are like those so far, would say: {answer}."
    )
    return Needs(labels, positives, then, sentence)


def _rounded(number: float) -> int:
    """Up, to two digits."""
    whole = max(1, math.ceil(number - 1e-9))
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return -(-whole // unit) * unit


def _doubled(most: float) -> Iterator[float]:
    times = 2.0
    while times < most:
        yield times
        times *= 2
    yield most


def _more_of_the_same(
    positive: NDArray[np.bool_], flagged: NDArray[np.bool_], sampling: Sampling, times: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Sampling]:
    """`times` as many cases with the same shares in each stratum; a copy of a group is a group of its own."""
    order = np.lexsort((flagged, positive, sampling.stratum))
    taken = np.floor(np.arange(round(len(order) * times)) / times).astype(np.intp)
    rows = order[np.minimum(taken, len(order) - 1)]
    group = None
    if sampling.group is not None:
        copy = np.arange(len(taken)) - np.searchsorted(taken, taken)
        group = group_codes(sampling.group[rows] + copy * (int(sampling.group.max()) + 1))
    more = replace(sampling, stratum=sampling.stratum[rows], population=sampling.population * times, group=group)
    return positive[rows], flagged[rows], more


def _low(figure: Estimate) -> float:
    return -1.0 if figure.low is None else figure.low


def _high(figure: Estimate) -> float:
    return 2.0 if figure.high is None else figure.high


def _reached(name: str, figure: Estimate, least: float) -> str:
    return f"{name} is at least {_beside(_low(figure), least)} (bar {rate_text(least)})"


def _below(name: str, figure: Estimate, least: float) -> str:
    return f"{name} is at most {_beside(_high(figure), least)} (bar {rate_text(least)})"


def _open(name: str, figure: Estimate, least: float) -> str:
    if figure.low is None or figure.high is None:
        return f"{name} is not known ({figure.why_not})"
    return f"{name} may be {_beside(figure.low, least)}-{_beside(figure.high, least)} (bar {rate_text(least)})"


def _beside(end: float, least: float) -> str:
    """An end of an interval, with a third digit where two would not tell it from the bar."""
    return rate_text(end, ".3f" if abs(end - least) < 0.01 else ".2f")


def _joined(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _of_flag(flag: Flag) -> str:
    return f"Not calibrated: {_lower(flag.brief or flag.sentence)}"


def _lower(sentence: str) -> str:
    """A sentence to go on with: its first letter small, unless its word is a name in capitals."""
    return sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]
