"""Is a judge swayed by what should not matter: the order, the length, or nothing at all (asked once more)?

What a judge changes when it is merely asked again bounds what may be blamed on the order or on added words. Where
fresh judgments of the same cases are known, a probe is blamed for what it changes beyond them. Chance alone has no
direction: it turns as many verdicts one way as the other (the two judgments of a case could change places). So a
probe is also blamed where its changes surely go one way, towards a place or towards the target. What changes without
either may be chance, and is called unstable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmclf.calibration.flag import Flag
from llmclf.calibration.session import LabelledCase
from llmclf.render.rates import rate_range
from llmclf.stats import clustered_wilson
from llmclf.types import Estimate, Judgment, Rubric

MATTERS = 0.05
"""Verdicts that may change before it matters: the low end of the share's interval is held against it."""
_PAIR = ("a", "b")


@dataclass(frozen=True)
class Changes:
    """The same cases judged twice: which verdicts are not the same."""

    same: tuple[str, ...]
    changed: Mapping[str, tuple[str, str]]
    """Case to (verdict before, verdict after)."""
    unanswered: int
    """Cases without a verdict on one of the two sides; in neither of the others."""
    share: Estimate
    """Of `changed` among those that both sides answered."""


def changes(before: Mapping[str, Judgment], after: Mapping[str, Judgment], groups: Mapping[str, str]) -> Changes | None:
    """How the verdicts of the cases that stand in both changed; None where none does. `groups`: case to its group."""
    both = [case for case in before if case in after]
    answered = [case for case in both if before[case].counts and after[case].counts]
    if not both:
        return None
    pairs = {case: (str(before[case].verdict), str(after[case].verdict)) for case in answered}
    changed = {case: pair for case, pair in pairs.items() if pair[0] != pair[1]}
    return Changes(
        tuple(case for case in answered if case not in changed),
        changed,
        len(both) - len(answered),
        clustered_wilson([case in changed for case in answered], [groups.get(case, case) for case in answered])
        if answered
        else Estimate.unknown("no case was answered both times"),
    )


def swayed_flags(
    labelled: Sequence[LabelledCase],
    plain: Mapping[str, Judgment],
    probed: Sequence[Judgment],
    repeated: Sequence[Judgment],
    rubric: Rubric,
) -> list[Flag]:
    """Flags of order, length and instability; `plain` is the judgment of each case as it is."""
    groups = {one.case.id: one.case.own_group for one in labelled}
    again = _again(plain, repeated, groups)
    sides: dict[str, dict[str, Judgment]] = {"swapped": {}, "padded": {}}
    for one in probed:
        sides.get(one.probe, {})[one.case] = one
    flags = [
        _unstable(again),
        _position(changes(plain, sides["swapped"], groups), again, rubric, groups),
        _padding(changes(plain, sides["padded"], groups), again, rubric, groups),
        _longer(labelled, plain, rubric),
    ]
    return [flag for flag in flags if flag is not None]


def _again(plain: Mapping[str, Judgment], repeated: Sequence[Judgment], groups: Mapping[str, str]) -> Changes | None:
    """The first fresh judgment of each case against the one there was: one pair a case, so that shares compare.

    Those that another version answered, as the vendor names it, are no repeats: readings of anchors are stored alike.
    """
    first: dict[str, Judgment] = {}
    for one in sorted(repeated, key=lambda one: one.repeat):
        was = plain.get(one.case)
        if was is not None and was.model and one.model and was.model != one.model:
            continue
        first.setdefault(one.case, one)
    return changes(plain, first, groups)


def _unstable(again: Changes | None) -> Flag | None:
    if again is None or not _matters(again.share):
        return None
    sentence = f"Asked once more, it changes {_counted(again)}: a single verdict is partly chance, or the "
    sentence += "vendor changed the judge in between."
    return Flag("unstable", sentence, {"changed_on_repeat": again.share})


def _position(turned: Changes | None, again: Changes | None, rubric: Rubric, groups: Mapping[str, str]) -> Flag | None:
    if turned is None or not _matters(turned.share):
        return None
    figures = {"changed_when_turned": turned.share}
    what = "of the two texts" if _places(rubric) else "in which the verdicts stand"
    sentence = f"Turning the order {what} changes {_counted(turned)}{_than(again)}."
    order = _places(rubric) or rubric.names  # what a case shows first: text a, or the first verdict of the list

    def first(found: Changes) -> dict[str, bool]:
        pairs = {case: pair for case, pair in found.changed.items() if set(pair) <= set(order)}
        return {case: order.index(before) < order.index(after) for case, (before, after) in pairs.items()}

    towards = _share_of(first(turned), groups)
    if towards is not None:
        figures["first_place_among_changed"] = towards
        sentence += f" {_preferred(towards)}"
    if _is_blamed(turned, again, towards, None if again is None else _share_of(first(again), groups)):
        return Flag("position", sentence, figures)
    return _or_chance("The order", sentence, figures, again)


def _is_blamed(
    probed: Changes, again: Changes | None, towards: Estimate | None, again_towards: Estimate | None
) -> bool:
    """Does a probe change more than asking again does, or surely one way where that does not?"""
    one_way = _one_way(towards) and not _one_way(again_towards)
    return one_way or (again is not None and again.share.is_known and _gap_low(probed.share, again.share) > 0)


def _or_chance(what: str, sentence: str, figures: Mapping[str, Estimate], again: Changes | None) -> Flag | None:
    """That it may be chance, where nobody asked again; what asking again changes has its own flag."""
    if again is not None and again.share.is_known:
        return None
    return Flag("unstable", f"{sentence} {what} or chance: ask once more (--repeat) to tell.", figures)


def _share_of(hits: Mapping[str, bool], groups: Mapping[str, str]) -> Estimate | None:
    return clustered_wilson(list(hits.values()), [groups.get(case, case) for case in hits]) if hits else None


def _one_way(share: Estimate | None) -> bool:
    """Does the interval leave one half?"""
    return share is not None and share.low is not None and share.high is not None and not share.low <= 0.5 <= share.high


def _preferred(share: Estimate) -> str:
    if share.low is not None and share.low > 0.5:
        return f"Of these, {rate_range(share, '.1%')} go to what is shown first: it prefers that place."
    if share.high is not None and share.high < 0.5:
        return f"Of these, {rate_range(share.complement(), '.1%')} go to what is shown last: it prefers that place."
    return f"Of these, {rate_range(share, '.1%')} go to what is shown first: no place is surely preferred."


def _padding(padded: Changes | None, again: Changes | None, rubric: Rubric, groups: Mapping[str, str]) -> Flag | None:
    if padded is None or not _matters(padded.share):
        return None

    def became(found: Changes) -> dict[str, bool]:
        sides = {case: (a in rubric.targets, b in rubric.targets) for case, (a, b) in found.changed.items()}
        return {case: is_now for case, (was, is_now) in sides.items() if was != is_now}

    to = became(padded)
    towards = _share_of(to, groups)
    sentence = (
        f"Empty words added to what is judged change {_counted(padded)}{_than(again)}: "
        f"{sum(to.values())} became {_targets(rubric)}, {len(to) - sum(to.values())} ceased to be."
    )
    figures = {"changed_when_padded": padded.share}
    if towards is not None:
        figures["target_among_changed"] = towards
    if _is_blamed(padded, again, towards, None if again is None else _share_of(became(again), groups)):
        return Flag("length", sentence, figures)
    return _or_chance("The words", sentence, figures, again)


def _longer(labelled: Sequence[LabelledCase], plain: Mapping[str, Judgment], rubric: Rubric) -> Flag | None:
    """Where two texts are compared: does it err more often where the longer is right, or where the shorter is?"""
    names = _places(rubric)
    if names is None:
        return None
    wrong: dict[bool, list[bool]] = {True: [], False: []}  # by: the longer is right
    groups: dict[bool, list[str]] = {True: [], False: []}
    for one in labelled:
        judgment = plain.get(one.case.id)
        lengths = [len(one.case.shown.get(side, "")) for side in _PAIR]
        if judgment is None or lengths[0] == lengths[1] or not {judgment.verdict, one.truth} <= set(names):
            continue
        longer = one.truth == names[lengths.index(max(lengths))]
        wrong[longer].append(judgment.verdict != one.truth)
        groups[longer].append(one.case.own_group)
    if not wrong[True] or not wrong[False]:
        return None
    errs = {longer: clustered_wilson(wrong[longer], groups[longer]) for longer in wrong}
    liked = next((longer for longer in wrong if _gap_low(errs[not longer], errs[longer]) > 0), None)
    if liked is None:
        return None
    name, other = ("longer", "shorter") if liked else ("shorter", "longer")
    sentence = (
        f"It is wrong in {rate_range(errs[not liked], '.1%')} of {len(wrong[not liked])} cases whose {other} text is "
        f"right, and in {rate_range(errs[liked], '.1%')} of {len(wrong[liked])} whose {name} one is: it prefers {name} "
        "texts beyond what the truth does."
    )
    figures = {f"wrong_where_{other}_is_right": errs[not liked], f"wrong_where_{name}_is_right": errs[liked]}
    return Flag("length", sentence, figures)


def _places(rubric: Rubric) -> tuple[str, str] | None:
    """The verdicts for text `a` and for text `b`, where a rubric has two texts to choose between."""
    if not set(_PAIR) <= set(rubric.sees):
        return None
    return next((names for names in (_PAIR, ("first", "second")) if set(names) <= set(rubric.names)), None)


def _matters(share: Estimate) -> bool:
    return share.low is not None and share.low > MATTERS


def _gap_low(more: Estimate, less: Estimate) -> float:
    """Low end of the difference of two shares (Newcombe 1998, method 10: the square-and-add of Wilson limits)."""
    if more.value is None or more.low is None or less.value is None or less.high is None:
        return math.inf  # nothing to compare with
    return more.value - less.value - math.hypot(more.value - more.low, less.high - less.value)


def _than(again: Changes | None) -> str:
    if again is None or not again.share.is_known:
        return ""
    return f"; asking once more changes {rate_range(again.share, '.1%')}"


def _counted(found: Changes) -> str:
    """`86 of 100 verdicts, 86.0% (77.9%-91.5%)`, and how many cases are left out."""
    changed = len(found.changed)
    words = f"{changed} of {changed + len(found.same)} verdicts, {rate_range(found.share, '.1%')}"
    return f"{words} ({found.unanswered} without a verdict on one side left out)" if found.unanswered else words


def _targets(rubric: Rubric) -> str:
    return " or ".join(name for name in rubric.names if name in rubric.targets)
