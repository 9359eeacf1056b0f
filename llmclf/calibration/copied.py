"""Flags of copied votes, with the figures that are left without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmclf.calibration.copies import Copies, Verdicts, copied_votes
from llmclf.calibration.flag import Flag
from llmclf.calibration.session import LabelledCase
from llmclf.render.rates import rate_range
from llmclf.stats import clustered_wilson
from llmclf.stats.agreement import Agreement, pair_agreement
from llmclf.types import Estimate, Judgment, Rubric

_Pair = tuple[str | None, str | None, str]  # two verdicts and their case


def copied_flags(
    said: Sequence[tuple[LabelledCase, Judgment]],
    plain: Verdicts,
    others: Mapping[str, Verdicts],
    rubric: Rubric,
    seed: int,
    texts: Mapping[str, str] | None = None,
) -> list[Flag]:
    """Flags of votes of this judge that are another's (grave where proven), and of another's that are this one's.

    `texts` is everything that is shown of a case, where it is known.
    """
    groups = {one.case.id: one.case.own_group for one, _ in said}
    known: dict[str, Any] = {"texts": texts, "truths": {one.case.id: one.truth for one, _ in said}}

    def agreement(pairs: Sequence[_Pair]) -> Agreement | None:
        return _agreement(pairs, rubric, groups, seed)

    flags = [
        _copy(copies, said, plain, others, agreement, groups) for copies in copied_votes(plain, others, groups, **known)
    ]
    for name, votes in others.items():
        theirs = copied_votes(votes, {"": plain}, groups, **known)
        flags += [_copied(name, copies) for copies in theirs if copies.sure_which]
    return flags


def _copy(
    copies: Copies,
    said: Sequence[tuple[LabelledCase, Judgment]],
    plain: Verdicts,
    others: Mapping[str, Verdicts],
    agreement: Callable[[Sequence[_Pair]], Agreement | None],
    groups: Mapping[str, str],
) -> Flag:
    if copies.how == "verdicts":
        return _never_differs(copies, groups)
    names = " and ".join(copies.of)
    answered = sum(one.counts for one in plain.values())
    figures: dict[str, Estimate] = {}
    brief = f"{len(copies.cases)} of its {answered} verdicts {_are(copies)} copies of {_owned(copies.of)}"
    parts = [f"{brief}: {_trace(copies)}.", *_otherwise(copies)]
    if not copies.sure_which:
        parts.append(f"Which of the two is the copy can't be told; it or {names} is no second opinion.")
    for name in copies.of:
        elsewhere = copies.elsewhere[name]
        both = {case: one for case, one in plain.items() if one.counts and case in others[name]}
        pairs = [
            (one.verdict, others[name][case].verdict, case) for case, one in both.items() if others[name][case].counts
        ]
        whole = _kappa(agreement(pairs))
        rest = _kappa(agreement([pair for pair in pairs if pair[2] not in copies.cases]))
        figures |= {f"equal_to_{name}_elsewhere": elsewhere, f"kappa_with_{name}": whole}
        figures[f"kappa_with_{name}_without_copies"] = rest
        equal = rate_range(elsewhere, ".1%") if elsewhere.is_known else str(elsewhere)
        parts.append(
            f"Elsewhere {equal} are equal to {name}'s; kappa with {name} is {whole}, without the copies {rest}."
        )
    truths = [(one.truth, judgment.verdict, one.case.id) for one, judgment in said]
    own = [pair for pair in truths if pair[2] not in copies.cases]
    if len(own) < len(truths):
        left = agreement(own)
        nothing = Estimate.unknown("every labelled case is a copy")
        kappa, positive = (left.kappa, left.positive) if left else (nothing, nothing)
        figures |= {"kappa_without_copies": kappa, "positive_agreement_without_copies": positive}
        parts.append(
            f"Against the labels its own {len(own)} verdicts have kappa {kappa} and positive agreement {positive}."
        )
    return Flag("copied", " ".join(parts), figures, grave=copies.proven, brief=f"{brief}.")


def _never_differs(copies: Copies, groups: Mapping[str, str]) -> Flag:
    count, names = len(copies.cases), " and ".join(copies.of)
    differs = clustered_wilson([False] * count, [groups.get(case, case) for case in sorted(copies.cases)])
    sentence = (
        f"All {count} verdicts that it and {names} both gave are the same (they differ in at most {differs.high:.1%}): "
        "one of the two adds nothing, and may be a copy."
    )
    return Flag("copied", sentence, {f"other_than_{name}": differs for name in copies.of})


def _copied(name: str, copies: Copies) -> Flag:
    elsewhere = copies.elsewhere[""]
    equal = rate_range(elsewhere, ".1%") if elsewhere.is_known else str(elsewhere)
    sentence = (
        f"{len(copies.cases)} verdicts of {name} {_are(copies)} copies of this judge's: {_trace(copies)}. "
        f"{'There the two are one judge; elsewhere' if copies.proven else 'Elsewhere'} {equal} are equal."
    )
    return Flag("copied", " ".join([sentence, *_otherwise(copies)]), {f"equal_to_{name}_elsewhere": elsewhere})


def _are(copies: Copies) -> str:
    return "are" if copies.proven else "may be"


def _trace(copies: Copies) -> str:
    chance = "" if copies.p is None else f" (by chance: p {_p_text(copies.p)})"
    if copies.how == "reasons":
        return f"the reasons are the same, word for word or nearly, and so are the verdicts{chance}"
    under = f'the one reason "{copies.text}"' if copies.how == "text" else f'reasons that begin "{copies.text}"'
    wrong = f", {copies.wrong} of them wrong" if copies.wrong else ""
    return f"under {under}, whatever the verdict, every one is the same{wrong}{chance}"


def _otherwise(copies: Copies) -> list[str]:
    """What else would look like that, where nothing proves a copy."""
    if copies.proven:
        return []
    if copies.how == "reasons":
        return ["They are few, or both may say what stands in the case."]
    return ["Two judges who are both right about easy cases look the same."]


def _p_text(p: float) -> str:
    return "< 1e-12" if p < 1e-12 else f"= {p:.1g}"


def _owned(names: Sequence[str]) -> str:
    return " and ".join(f"{name}'s" for name in names)


def _kappa(found: Agreement | None) -> Estimate:
    return Estimate.unknown("every verdict is a copy") if found is None else found.kappa


def _agreement(pairs: Sequence[_Pair], rubric: Rubric, groups: Mapping[str, str], seed: int) -> Agreement | None:
    """Of verdicts as (one, other, case), on the scale of the rubric; None without any that both are on it."""
    code = {name: number for number, name in enumerate(rubric.names)}
    known = [pair for pair in pairs if pair[0] in code and pair[1] in code]
    if not known:
        return None
    one, other = ([code[str(pair[side])] for pair in known] for side in (0, 1))
    targets = [code[name] for name in rubric.names if name in rubric.targets]
    group = [groups.get(case, case) for _, _, case in known]
    return pair_agreement(one, other, len(code), targets, ordinal=rubric.scale == "ordinal", groups=group, seed=seed)
