"""Flags of copied votes, with the figures that are left without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
) -> list[Flag]:
    """Flags of votes of this judge that are another's (grave), and of another's that are copies of this one's."""
    groups = {one.case.id: one.case.own_group for one, _ in said}

    def agreement(pairs: Sequence[_Pair]) -> Agreement | None:
        return _agreement(pairs, rubric, groups, seed)

    flags = [_copy(copies, said, plain, others, agreement, groups) for copies in copied_votes(plain, others, groups)]
    for name, votes in others.items():
        flags += [_copied(name, copies) for copies in copied_votes(votes, {"": plain}, groups) if copies.sure_which]
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
    brief = f"{len(copies.cases)} of its {answered} verdicts are copies of {_owned(copies.of)}"
    parts = [f"{brief}: {_trace(copies)}."]
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
    return Flag("copied", " ".join(parts), figures, grave=True, brief=f"{brief}.")


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
        f"{len(copies.cases)} verdicts of {name} are copies of this judge's: {_trace(copies)}. There the two "
        f"are one judge; elsewhere {equal} are equal."
    )
    return Flag("copied", sentence, {f"equal_to_{name}_elsewhere": elsewhere})


def _trace(copies: Copies) -> str:
    chance = "" if copies.p is None else f" (by chance: p {_p_text(copies.p)})"
    if copies.how == "template":
        return f'under reasons that begin "{copies.text}", whatever the verdict, every one is the same{chance}'
    return f"the reasons are the same, word for word or nearly, and so are the verdicts{chance}"


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
