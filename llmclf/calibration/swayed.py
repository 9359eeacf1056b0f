"""Is a judge swayed by what should not matter: the order, the length, or nothing at all (asked once more)?

What a judge changes when it is merely asked again bounds what may be blamed on the order or on added words: where
fresh judgments of the same cases are known, a probe is flagged only for what it changes beyond them.
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
        _padding(changes(plain, sides["padded"], groups), again, rubric),
        _longer(labelled, plain, rubric),
    ]
    return [flag for flag in flags if flag is not None]


def _again(plain: Mapping[str, Judgment], repeated: Sequence[Judgment], groups: Mapping[str, str]) -> Changes | None:
    """The first fresh judgment of each case against the one there was: one pair a case, so that shares compare."""
    first: dict[str, Judgment] = {}
    for one in sorted(repeated, key=lambda one: one.repeat):
        first.setdefault(one.case, one)
    return changes(plain, first, groups)


def _unstable(again: Changes | None) -> Flag | None:
    if again is None or not _matters(again.share):
        return None
    sentence = f"Asked once more, it changes {_counted(again)}: a single verdict is partly chance."
    return Flag("unstable", sentence, {"changed_on_repeat": again.share})


def _position(turned: Changes | None, again: Changes | None, rubric: Rubric, groups: Mapping[str, str]) -> Flag | None:
    if turned is None or not _beyond(turned, again):
        return None
    figures = {"changed_when_turned": turned.share}
    what = "of the two texts" if _places(rubric) else "in which the verdicts stand"
    sentence = f"Turning the order {what} changes {_counted(turned)}{_than(again)}."
    order = _places(rubric) or rubric.names  # what a case shows first: text a, or the first verdict of the list
    pairs = {case: pair for case, pair in turned.changed.items() if set(pair) <= set(order)}
    if pairs:
        first = [order.index(before) < order.index(after) for before, after in pairs.values()]
        share = clustered_wilson(first, [groups.get(case, case) for case in pairs])
        figures["first_place_among_changed"] = share
        sentence += f" {_preferred(share)}"
    return Flag("position", sentence, figures)


def _preferred(share: Estimate) -> str:
    if share.low is not None and share.low > 0.5:
        return f"Of these, {rate_range(share, '.1%')} go to what is shown first: it prefers that place."
    if share.high is not None and share.high < 0.5:
        return f"Of these, {rate_range(share.complement(), '.1%')} go to what is shown last: it prefers that place."
    return f"Of these, {rate_range(share, '.1%')} go to what is shown first: no place is surely preferred."


def _padding(padded: Changes | None, again: Changes | None, rubric: Rubric) -> Flag | None:
    if padded is None or not _beyond(padded, again):
        return None
    sides = [(a in rubric.targets, b in rubric.targets) for a, b in padded.changed.values()]
    to, away = sides.count((False, True)), sides.count((True, False))
    sentence = (
        f"Empty words added to what is judged change {_counted(padded)}{_than(again)}: "
        f"{to} became {_targets(rubric)}, {away} ceased to be."
    )
    return Flag("length", sentence, {"changed_when_padded": padded.share})


def _longer(labelled: Sequence[LabelledCase], plain: Mapping[str, Judgment], rubric: Rubric) -> Flag | None:
    """Where two texts are compared: of the cases that judge and truth decide differently, who takes the longer?"""
    names = _places(rubric)
    if names is None:
        return None
    took_longer: list[bool] = []
    groups: list[str] = []
    for one in labelled:
        judgment, texts = plain.get(one.case.id), [one.case.shown.get(side, "") for side in _PAIR]
        lengths = [len(text) for text in texts]
        if judgment is None or lengths[0] == lengths[1] or {judgment.verdict, one.truth} != set(names):
            continue
        took_longer.append(judgment.verdict == names[lengths.index(max(lengths))])
        groups.append(one.case.own_group)
    if not took_longer:
        return None
    share = clustered_wilson(took_longer, groups)
    if share.low is None or share.high is None or share.low <= 0.5 <= share.high:
        return None
    which, shown = ("longer", share) if share.low > 0.5 else ("shorter", share.complement())
    sentence = (
        f"Where it and the truth decide differently it takes the {which} text in {rate_range(shown, '.1%')} "
        f"of {len(took_longer)} cases: it prefers {which} texts beyond what the truth does."
    )
    return Flag("length", sentence, {f"{which}_where_wrong": shown})


def _places(rubric: Rubric) -> tuple[str, str] | None:
    """The verdicts for text `a` and for text `b`, where a rubric has two texts to choose between."""
    if not set(_PAIR) <= set(rubric.sees):
        return None
    return next((names for names in (_PAIR, ("first", "second")) if set(names) <= set(rubric.names)), None)


def _matters(share: Estimate) -> bool:
    return share.low is not None and share.low > MATTERS


def _beyond(probe: Changes, again: Changes | None) -> bool:
    """Does the probe change more than matters, and surely more than asking once more does?"""
    return _matters(probe.share) and (again is None or _gap_low(probe.share, again.share) > 0)


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
