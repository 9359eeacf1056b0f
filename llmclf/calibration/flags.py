"""What is wrong with a judge, in sentences: inverted, copied, constant, never positive, missing, swayed, unstable."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.copied import copied_flags
from llmclf.calibration.flag import Flag
from llmclf.calibration.session import LabelledCase
from llmclf.calibration.swayed import swayed_flags
from llmclf.render.rates import rate_range
from llmclf.stats import clustered_wilson, wilson
from llmclf.stats.agreement import pair_agreement
from llmclf.types import Bar, Conversation, Estimate, Judgment, Rubric

__all__ = ["Flag", "flags_of"]

_LEAST_FOR_CONSTANT = 10
_LEAST_A_SIDE = 10  # targets, and others, without which nobody is called inverted
_RELIABLY = 0.999  # level of the interval that must lie below 0: it accuses the judge, or the labels
_DRAWS = 20_000  # for the ends of that interval
_Said = Sequence[tuple[LabelledCase, Judgment]]


def flags_of(
    labelled: Sequence[LabelledCase],
    judgments: Sequence[Judgment],
    rubric: Rubric,
    *,
    probes: Sequence[Judgment] = (),
    repeats: Sequence[Judgment] = (),
    others: Mapping[str, Sequence[Judgment]] | None = None,
    bar: Bar | None = None,
    conversations: Mapping[str, Conversation] | None = None,
    seed: int = 0,
) -> tuple[Flag, ...]:
    """Everything that is wrong with one judge, what is grave first; the same inputs and `seed` give the same flags.

    `labelled` are the cases to speak of (those of the test split, say), `judgments` all that this judge said of them
    and of others. What of `judgments` is a probe or a fresh judgment is taken for one, as are `probes` and `repeats`.
    `others` are further judges of the same cases, by name: are votes copies? With the `conversations` by id, words
    that two judges quote from one are not taken for copied. Nothing is flagged that the data can't
    show; where there is nothing to look at, there is no flag, so no flag is no proof.
    """
    every = (*judgments, *probes, *repeats)
    plain = {one.case: one for one in every if not one.probe and one.repeat == 0}
    probed = [one for one in every if one.probe and one.repeat == 0]
    repeated = [one for one in every if not one.probe and one.repeat > 0]
    known = [one for one in labelled if one.truth is not None]
    said = [(one, plain[one.case.id]) for one in known if one.case.id in plain and plain[one.case.id].counts]
    texts = _texts(labelled, rubric, conversations or {})
    flags = [
        *_inverted(said, rubric, seed),
        *copied_flags(said, plain, _plain_others(others or {}, judgments), rubric, seed, texts),
        *_one_sided(said, plain, rubric, bar or Bar()),
        *_few(known, rubric, bar or Bar()),
        *_missing(known, plain, rubric),
        *swayed_flags(labelled, plain, probed, repeated, rubric),
    ]
    return tuple(sorted(flags, key=lambda flag: not flag.grave))


def _plain_others(
    others: Mapping[str, Sequence[Judgment]], judgments: Sequence[Judgment]
) -> dict[str, dict[str, Judgment]]:
    """Each other judge's judgments as they are, by case; not the judge itself."""
    own = {one.judge for one in judgments}
    return {
        name: {one.case: one for one in judgments if not one.probe and one.repeat == 0}
        for name, judgments in others.items()
        if name not in own
    }


def _texts(
    labelled: Sequence[LabelledCase], rubric: Rubric, conversations: Mapping[str, Conversation]
) -> dict[str, str]:
    """Everything that a judge is shown of each case; cases of which a part is not known are left out."""
    found = {}
    for one in labelled:
        parts, case = list(one.case.shown.values()), one.case
        if "conversation" in rubric.sees:
            if case.conversation_id not in conversations:
                continue
            parts += [turn.text for turn in conversations[case.conversation_id].turns]
        if parts:
            found[case.id] = "\n".join(parts)
    return found


# --- inverted -----------------------------------------------------------------------------------


def _inverted(said: _Said, rubric: Rubric, seed: int) -> list[Flag]:
    """Reliably the other way round; of more than two verdicts, the targets against all others."""
    truth = np.array([one.truth in rubric.targets for one, _ in said], bool)
    flagged = np.array([judgment.verdict in rubric.targets for _, judgment in said], bool)
    if min(truth.sum(), (~truth).sum()) < _LEAST_A_SIDE:
        return []
    groups = [one.case.own_group for one, _ in said]
    agreement = pair_agreement(truth.astype(int), flagged.astype(int), 2, [1], groups=groups, seed=seed)
    youden = _youden(truth, flagged, groups)
    if not _below_chance(truth, flagged, groups, seed):
        return []
    flipped = pair_agreement(truth.astype(int), (~flagged).astype(int), 2, [1], groups=groups, seed=seed)
    turned = "If its verdicts are flipped"
    if len(rubric.names) > 2:
        turned = f"If {_listed(rubric.targets, rubric)} and all other verdicts change places"
    sentence = (
        f"It says the opposite of the truth, reliably: kappa is {agreement.kappa}, sensitivity + specificity - 1 is "
        f"{youden}. Either its verdicts or the labels are inverted (does a yes mean the same to both?). "
        f"{turned}, kappa is {flipped.kappa} and positive agreement {flipped.positive}."
    )
    figures = {
        "kappa": agreement.kappa,
        "youden": youden,
        "kappa_flipped": flipped.kappa,
        "positive_agreement_flipped": flipped.positive,
    }
    return [Flag("inverted", sentence, figures, grave=True, brief="It says the opposite of the truth, reliably.")]


def _below_chance(truth: NDArray[np.bool_], flagged: NDArray[np.bool_], groups: Sequence[str], seed: int) -> bool:
    """Does the whole interval lie below 0, at the level that a grave claim takes?"""
    youden = _youden(truth, flagged, groups, _RELIABLY)
    if youden.high is None or youden.high >= 0:
        return False  # quick, and true of nearly everybody
    kappa = pair_agreement(
        truth.astype(int), flagged.astype(int), 2, [1], groups=groups, level=_RELIABLY, draws=_DRAWS, seed=seed
    ).kappa
    return kappa.high is None or kappa.high < 0


def _youden(
    truth: NDArray[np.bool_], flagged: NDArray[np.bool_], groups: Sequence[str], level: float = 0.95
) -> Estimate:
    """Sensitivity + specificity - 1, -1 to 1; its interval squares and adds those of the two (Newcombe 1998)."""
    sides = []
    for chosen, right in ((truth, flagged), (~truth, ~flagged)):
        inside = [group for group, taken in zip(groups, chosen, strict=True) if taken]
        sides.append(clustered_wilson(right[chosen], inside, level=level))
    value = sum(side.value or 0.0 for side in sides) - 1
    down, up = (
        math.hypot(*((side.value or 0.0) - (getattr(side, end) or 0.0) for side in sides)) for end in ("low", "high")
    )
    return Estimate(value, max(-1.0, value - down), min(1.0, value + up), method="square-and-add")


# --- what it never says, and what is not there to be found --------------------------------------


def _one_sided(said: _Said, plain: Mapping[str, Judgment], rubric: Rubric, bar: Bar) -> list[Flag]:
    counts = Counter(one.verdict for one in plain.values() if one.counts)
    total = counts.total()
    targets = [one.case.own_group for one, _ in said if one.truth in rubric.targets]
    if len(counts) == 1 and total >= _LEAST_FOR_CONSTANT:
        verdict = next(iter(counts))
        other = wilson(0, total)
        sentence = (
            f"All {total} verdicts are {verdict!r} (anything else in at most {other.high:.1%}): a judge that always "
            "says the same tells nothing, and kappa says nothing of it."
        )
        return [
            Flag("constant", sentence, {"another_verdict": other}, grave=bool(targets) and len(targets) < len(said))
        ]
    if targets and not any(judgment.verdict in rubric.targets for _, judgment in said):
        found = clustered_wilson([False] * len(targets), targets)
        sentence = (
            f"It never says {_listed(rubric.targets, rubric)}, not of one of the {len(targets)} cases that are it: "
            f"sensitivity is at most {found.high:.1%}."
        )
        return [Flag("never_positive", sentence, {"sensitivity": found}, grave=len(targets) >= bar.positives)]
    return []


def _few(known: Sequence[LabelledCase], rubric: Rubric, bar: Bar) -> list[Flag]:
    positives = sum(one.truth in rubric.targets for one in known)
    if not known or 0 < positives < len(known):
        if positives >= bar.positives or not known:
            return []
        sentence = (
            f"Only {positives} of {len(known)} labelled cases are {_listed(rubric.targets, rubric)}; its bar asks for "
            f"{bar.positives}. Draw by verdict to find more."
        )
        return [Flag("few_positives", sentence, {"positives": wilson(positives, len(known))})]
    what, rate = ("no", "sensitivity") if not positives else ("nothing but", "specificity")
    sentence = (
        f"Among the {len(known)} labelled cases there is {what} {_listed(rubric.targets, rubric)}: nothing can be said "
        f"of {rate} or of agreement beyond chance."
    )
    return [Flag("empty_class", sentence, {"positives": wilson(positives, len(known))})]


def _missing(known: Sequence[LabelledCase], plain: Mapping[str, Judgment], rubric: Rubric) -> list[Flag]:
    never = [one.case.id for one in known if one.case.id not in plain]
    failed = [one for one in plain.values() if one.verdict is None]
    unsure = [one for one in plain.values() if one.verdict is not None and not one.counts]
    gone = {*never, *(one.case for one in (*failed, *unsure))}
    if not plain or not gone:
        return []
    share = wilson(len(gone), len(plain) + len(never))
    kinds = Counter("no reason given" if one.error is None else one.error.kind for one in failed)
    listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    counts = {f"failed ({listed})": len(failed), "cannot tell": len(unsure), "never judged": len(never)}
    parts = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    truths = [one.truth for one in known if one.case.id in gone]
    targets = sum(truth in rubric.targets for truth in truths)
    sentence = (
        f"{len(gone)} of {len(plain) + len(never)} cases, {rate_range(share, '.1%')}, without a verdict: {parts}. "
        f"They count as neither side; among {len(truths)} labelled ones {targets} {_listed(rubric.targets, rubric)}."
    )
    return [Flag("missing", sentence, {"missing": share})]


def _listed(names: frozenset[str], rubric: Rubric) -> str:
    return " or ".join(repr(name) for name in rubric.names if name in names)
