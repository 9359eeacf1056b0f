"""Is a judge calibrated? By the bar in its file, the ends of its intervals, and what is gravely wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llmclf.calibration.compared import Counts
from llmclf.calibration.figure_text import in_words
from llmclf.calibration.figures import Rates
from llmclf.calibration.flag import Flag
from llmclf.calibration.session import Split
from llmclf.render.rates import rate_text
from llmclf.render.tables import counted
from llmclf.types import Bar, Estimate

CalibrationState = Literal["calibrated", "not_calibrated", "cant_tell", "people"]
"""`people`: there are no judgments, and the card is about people alone."""
Act = Literal["", "flag", "mend", "label", "more", "adjudicator", "answer", "test", "fresh"]
"""What moves a card on: look at a flag, mend the judge, label or decide what waits, more labels, somebody who decides,
verdicts where there are none, the test split, fresh cases."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the bar says of a judge's figures, and the one reason."""

    state: CalibrationState
    why: str
    act: Act = ""
    """`more` only where the intervals are too wide yet, and nothing else is in the way."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands between good figures and `calibrated`: labels that are not in, verdicts that are not there, looks."""

    counts: Counts
    worst: Rates | None = None
    """The rates had every judgment that is left out been wrong; None where that hardly matters."""
    by_class: bool = False
    """Cases were drawn by their label."""
    looks: int = 0
    split: Split = "test"
    said: bool = True
    """False where nobody has labelled a case."""


def against_bar(rates: Rates, bar: Bar, *, by_class: bool = False) -> tuple[tuple[str, Estimate, float], ...]:
    """(name, figure, bar) of each figure that decides, the leading one first."""
    leading = "positive agreement in the pool" if by_class else "positive agreement"
    return (
        (leading, rates.positive_agreement, bar.positive_agreement),
        ("sensitivity", rates.sensitivity, bar.sensitivity),
        ("specificity", rates.specificity, bar.specificity),
    )


def decide(rates: Rates, bar: Bar, flags: Sequence[Flag], standing: Standing) -> Verdict:
    """Calibrated where every low end reaches its bar on enough positives; not, where a high end stays below one.

    Figures that would do are not enough where cases wait for a label or a decision, where too many will never have a
    truth, where the judge has no verdict on cases that could turn them, or after too many looks.
    """
    grave = next((flag for flag in flags if flag.grave), None)
    if grave is not None:
        return Verdict("not_calibrated", _of_flag(grave), "flag")
    if not standing.counts.labelled:
        counts_wait = not standing.said or not standing.counts.is_complete
        said = "no case has a label that counts yet" if standing.said else "no case is labelled yet"
        return Verdict("cant_tell", f"Can't tell yet: {said}.", "label" if counts_wait else "adjudicator")
    checks = against_bar(rates, bar, by_class=standing.by_class)
    drawn = " (in a set drawn by label)" if standing.by_class else ""
    missed = [_below(name, figure, least) for name, figure, least in checks if _high(figure) < least]
    if missed:
        return Verdict("not_calibrated", f"Not calibrated: {_joined(missed)}{drawn}.", "mend")
    if rates.n_positives < bar.positives:
        few = f"{counted(rates.n_positives, 'positive')} among {counted(rates.n, 'case')}"
        return Verdict("cant_tell", f"Can't tell yet: {few}, and the bar asks for {bar.positives}.", "more")
    open_ones = [_open(name, figure, least) for name, figure, least in checks if _low(figure) < least]
    if open_ones:
        nothing = {figure.why_not for _, figure, _ in checks if figure.high is None}
        said = _joined(open_ones) if len(open_ones) < 3 or len(nothing) != 1 else f"nothing is known ({min(nothing)})"
        return Verdict("cant_tell", f"Can't tell yet: {said}{drawn}.", "more")
    reached = _joined([_reached(*check) for check in checks]) + drawn
    in_the_way: tuple[tuple[str, Act], ...] = (
        (_waits(standing.counts), "label"),
        (_undecided(standing.counts), "adjudicator"),
        (_left_out(standing, bar), "answer"),
    )
    for why, act in in_the_way:
        if why:
            return Verdict("cant_tell", f"Can't tell yet: {why}.", act)
    if standing.split != "test":
        return Verdict(
            "cant_tell",
            f"Can't tell by the {standing.split} split, by which the judge may have been changed: {reached}.",
            "test",
        )
    if standing.looks > bar.looks:
        looks = f"this is look {standing.looks} at these labels, and they bear {bar.looks}"
        return Verdict(
            "cant_tell", f"Can't tell by these labels any more: {looks}. Label fresh cases in a new session.", "fresh"
        )
    return Verdict("calibrated", f"Calibrated: {reached}, on {rates.n_positives} positives.")


def _waits(counts: Counts) -> str:
    if counts.is_complete:
        return ""
    parts = ((counts.to_label, "a first label"), (counts.to_decide, "the adjudicator's decision"))
    named = " and ".join(f"{number:,} for {what}" for number, what in parts if number)
    return f"of {counted(counts.cases, 'case')} some still wait, {named}"


def _undecided(counts: Counts) -> str:
    if not counts.undecided_matters:
        return ""
    number = f"{counts.undecided:,} of {counted(counts.labelled + counts.undecided, 'case')}"
    return f"{number} have no truth, as people differ (or say nothing) and nobody decides: name an adjudicator"


def _left_out(standing: Standing, bar: Bar) -> str:
    if standing.worst is None:
        return ""
    if standing.worst.sensitivity.high is None:
        return standing.worst.sensitivity.why_not
    checks = against_bar(standing.worst, bar, by_class=standing.by_class)
    short = [_would(name, figure, least) for name, figure, least in checks if _low(figure) < least]
    if not short:
        return ""
    counts = standing.counts
    number = f"{counts.left_out:,} of {counted(counts.labelled, 'labelled case')}"
    if counts.positives_left_out:
        number = f"{counts.positives_left_out:,} of {counted(counts.positives, 'positive')}"
    return f"{number} have no verdict; had all that have none been judged wrong, {_joined(short)}"


def _would(name: str, figure: Estimate, least: float) -> str:
    return f"{name} would be {in_words(figure)} (bar {rate_text(least)})"


def is_why(flag: Flag, why: str) -> bool:
    """True where `why` says all that this flag says."""
    few = flag.kind in ("few_positives", "empty_class") and "the bar asks for" in why
    return few or (flag.grave and not flag.brief and why == _of_flag(flag))


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
