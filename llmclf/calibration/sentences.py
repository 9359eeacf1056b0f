"""A report card in sentences, the most important first."""

from __future__ import annotations

from collections.abc import Iterator

from llmclf.calibration.corrected import labels_of
from llmclf.calibration.figure_text import in_words
from llmclf.calibration.people import MARGIN, Ceiling
from llmclf.calibration.result import Calibration
from llmclf.render.rates import rate_range, rate_text
from llmclf.render.tables import counted

_CEILING = {
    "below": "below what people reach",
    "within": f"within {MARGIN:g} of what people reach",
    "above": "above what people reach",
    "cant_tell": f"too wide to tell whether it is below, within {MARGIN:g} of or above what people reach",
}


def sentences_of(card: Calibration) -> tuple[str, ...]:
    """All that a reader must know beside the figures; of a session without a label that it has none."""
    if card.is_unlabelled:
        return (card.why,)
    parts = (_people(card), _truth(card), _ceiling(card)) if card.state == "people" else (
        _figures(card),
        _left_out(card),
        _truth(card),
        _baseline(card),
        _ceiling(card),
        _needed(card),
    )  # fmt: skip
    said = [
        sentence
        for part in (*parts, _waiting(card), _slices(card), _prevalence(card), _looks(card))
        for sentence in part
    ]
    return tuple(dict.fromkeys([card.why, *said]))


def set_name(card: Calibration) -> str:
    """`the labelled set`, and why it is not like the pool, where it is not."""
    return "the labelled set, whose share of targets is not the pool's" if card.enriched else "the labelled set"


def no_ceiling(card: Calibration) -> str:
    """Why nothing can be said of people among themselves; empty where something can."""
    return card.ceiling.why_not if card.reference == "people" else f"the reference is {card.reference}"


def _figures(card: Calibration) -> Iterator[str]:
    named = (
        ("positive agreement", card.positive_agreement),
        ("sensitivity", card.sensitivity),
        ("specificity", card.specificity),
    )
    if not any(figure.is_known for _, figure in named):
        return
    leading = ", ".join(f"{name} {in_words(figure)}" for name, figure in named if figure.high is not None)
    yield f"{leading[:1].upper()}{leading[1:]}; beside them kappa {in_words(card.kappa)} on {set_name(card)}."
    if card.by_class and card.in_set.is_known:
        yield (
            f"In the labelled set, drawn by label, positive agreement is {in_words(card.in_set)}: that is not the "
            "pool's, where targets are rarer."
        )


def _truth(card: Calibration) -> Iterator[str]:
    """How far the truth itself may be wrong."""
    if card.contradicted:
        theirs = labels_of(card.reference)
        yield (
            f"{theirs[:1].upper()}{theirs[1:]} contradict the known label of {counted(card.contradicted, 'case')}: "
            "cases stand for the pool by how many of it have each known label, and not within a class."
        )
    if card.agreed_alone:
        only = "Only disagreements are adjudicated: misses" if card.spent.adjudications else "Misses"
        yield f"{only} that all annotators share count as truth."


def _left_out(card: Calibration) -> Iterator[str]:
    counts = card.counts
    if not counts.left_out:
        return
    if card.silent_share:
        yield (
            f"All rates are among the cases that have a verdict: {rate_text(card.silent_share, '.1%')} of the pool has "
            "none, and people's labels of it count in how common the target is."
        )
    kinds = ((counts.failed, "failed"), (counts.cannot_tell, "cannot tell"), (counts.not_judged, "not judged"))
    named = ", ".join(f"{number} {name}" for number, name in kinds if number)
    share = (
        f"{counts.left_out} of {counted(counts.labelled, 'labelled case')} ({counts.left_out / counts.labelled:.0%})"
    )
    if not any(flag.kind == "missing" for flag in card.flags):
        yield f"{share} have no verdict ({named}) and are left out, {counts.positives_left_out} of them positive."
    if card.worst_case is not None and card.worst_case.sensitivity.high is not None and counts.compared:
        worst = card.worst_case
        yield (
            f"Had the judge been wrong wherever it has no verdict: sensitivity {in_words(worst.sensitivity)}, "
            f"specificity {in_words(worst.specificity)}, positive agreement {in_words(worst.positive_agreement)}."
        )


def _baseline(card: Calibration) -> Iterator[str]:
    if card.majority is None or not card.counts.compared:
        return
    name = card.majority.verdict
    if card.kappa.high is not None and card.kappa.high < 0:
        yield f"It is worse than always saying {name!r}: kappa is below 0."
    elif card.kappa.low is not None and card.kappa.low <= 0:
        yield f"It is not shown to be better than always saying {name!r}: kappa may be 0."
    elif card.kappa.low is None:
        yield f"Whether it is better than always saying {name!r} is not known: kappa {in_words(card.kappa)}."
    accuracy, observed = card.majority.accuracy.value, card.observed.value
    if accuracy is not None and observed is not None and accuracy > observed and not card.majority.sensitivity:
        yield (
            f"Always saying {name!r} would be right on more of the labelled set ({rate_text(accuracy)} against "
            f"{rate_text(observed)}) and find nothing: where targets are rare, being right says little."
        )


def _ceiling(card: Calibration) -> Iterator[str]:
    ceiling = card.ceiling
    if why := no_ceiling(card):
        yield f"No ceiling: {why}."
        return
    people = ceiling.person.positive_agreement
    if card.state == "people":
        return
    own = ceiling.judge.positive_agreement
    if not ceiling.judge_is:
        yield f"People reach positive agreement {in_words(people)} with each other, the judge {in_words(own)}."
        return
    yield (
        f"Held against the same votes of people on {counted(ceiling.n_beside, 'case')}, a person reaches positive "
        f"agreement {in_words(people)}, the judge {in_words(own)}. The difference is {in_words(ceiling.difference)}: "
        f"{_CEILING[ceiling.judge_is]} among themselves."
    )


def _people(card: Calibration) -> Iterator[str]:
    ceiling: Ceiling = card.ceiling
    if ceiling.why_not or ceiling.agreement is None:
        return
    found = card.people_differ
    agreed = found.labelled_twice - found.disagreeing
    yield f"People agreed on {agreed:,} of {counted(found.labelled_twice, 'case')} with two labels or more."


def _needed(card: Calibration) -> Iterator[str]:
    if card.needs is not None and (card.needs.labels or card.needs.calibrated is not None):
        yield card.needs.sentence


def _waiting(card: Calibration) -> Iterator[str]:
    counts = card.counts
    if (counts.to_label or counts.to_decide) and "still wait" not in card.why and counts.labelled:
        ones = ", ".join(f"{name} {number:,}" for name, number in card.waits_for.items())
        whom = f" ({ones})" if ones else ""
        number = counts.to_label + counts.to_decide
        yield f"{number:,} of {counted(counts.cases, 'case')} still wait for somebody{whom} and are in no figure yet."
    if counts.undecided and "have no truth" not in card.why:
        yield (
            f"{counts.undecided:,} of {counted(counts.cases, 'case')} have no truth (people differ, or say "
            "nothing, and nobody decides) and are in no figure; where there are many, name an adjudicator."
        )


def _slices(card: Calibration) -> Iterator[str]:
    differing = [f"{one.by} = {one.value}" for one in card.slices if one.differs]
    if differing:
        yield f"It does not do equally well everywhere: see {', '.join(differing[:4])}."


def _prevalence(card: Calibration) -> Iterator[str]:
    names = " or ".join(sorted(card.rubric.targets, key=card.rubric.names.index))
    share = card.prevalence
    if share.is_known:
        yield f"Of the pool, {rate_range(share, '.1%')} is {names}."
    elif card.counts.open_matters and share.low is not None and share.high is not None:
        low, high = rate_text(share.low, ".1%"), rate_text(share.high, ".1%")
        yield f"Of the pool, {low} to {high} is {names}: cases without a truth may be it, or not."
    elif share.is_upper_bound_only and share.high is not None:
        yield f"Of the pool, at most {rate_text(share.high, '.1%')} is {names}: the labels can't say more."


def _looks(card: Calibration) -> Iterator[str]:
    if card.asks_for_fresh_labels and card.state != "people" and "Label fresh cases" not in card.why:
        said = "they bear no more" if card.looks == card.bar.looks else f"{card.bar.looks} are what they bear"
        yield (
            f"This is look {card.looks} at these labels, and {said}: the figures may be too good. "
            "Label fresh cases in a new session."
        )
