"""Which cases people label, with the chance each had to be drawn, in which split, and who labels which."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import get_args

from llmclf.calibration.session import SessionDesign, SessionItem
from llmclf.errors import ConfigError, nearest
from llmclf.types import CANNOT_TELL, FAILED, Case, Rubric

TARGETS, OTHERS = "targets", "others"
"""The strata of labels drawn by known label."""
DESIGNS: tuple[SessionDesign, ...] = get_args(SessionDesign)
MOST_ALIGNED = 0.8
"""More than this share of the labels can't be given to the align split."""
_NAME = re.compile(r"\w[\w.@'\- ]{0,59}")
_LEAST = 2
"""Labels of a stratum, where it holds so many and there are enough labels for all."""


@dataclass(frozen=True)
class Drawn:
    """The items of a session, and the pool they were drawn from."""

    items: tuple[SessionItem, ...]
    """In the order in which they are shown, practice first."""
    population: Mapping[str, int]
    """Items of the pool by stratum; by verdict at random where all have one, else under an empty name."""


def draw(
    cases: Sequence[Case],
    rubric: Rubric,
    *,
    design: SessionDesign = "random",
    n: int,
    verdicts: Mapping[str, str | None] | None = None,
    annotators: Sequence[str],
    per_item: int = 1,
    adjudicator: str = "",
    align_share: float = 0.3,
    practice: int = 3,
    seed: int = 0,
) -> Drawn:
    """`n` of the `cases` for people to label; the same arguments give the same draw.

    `random` gives every case one chance. `by_verdict` draws within each verdict of `verdicts` (by case id; None:
    failed): half of the labels from verdicts that are looked for, half from the rest, two at least from each.
    `class_balanced` draws half from cases whose known `label` is looked for, half from others. A part that holds
    less gives all it has, and the rest of its labels goes elsewhere. `inclusion_probability` is drawn / size of the
    stratum, exactly.

    `align_share` of the cases (0 to 0.8) are for changing the judge by, the rest tests it; no group is in both. Each
    group has this same chance, so the test cases are a random part of their stratum and stand for all of it; a
    stratum's last case is always tested. `practice` cases come first, are of the rest of the pool (fewer, where that
    holds fewer), and everybody labels them. Of the others each has `per_item` of the `annotators`, whose numbers of
    cases differ by one at most.

    Raises ConfigError that lists all that can't be.
    """
    said = dict(verdicts or {})
    problems = people_problems(annotators, per_item, adjudicator)
    problems += _pool_problems(cases, rubric, design, n, said, align_share, practice)
    if problems:
        raise ConfigError("no session can be drawn so", where=rubric.name, problems=problems)
    chance = random.Random(seed)  # noqa: S311 - a draw, not a secret
    strata = _strata(cases, rubric, design, said)
    sizes = _allocated({name: len(members) for name, members in strata.items()}, _halves(rubric, design), n)
    items = [
        SessionItem(case, "test", name, sizes[name] / len(members))
        for name, members in strata.items()
        for case in chance.sample(members, sizes[name])
    ]
    items = _dealt(_split(items, align_share, chance), annotators, per_item, chance)
    chance.shuffle(items)
    first = [
        SessionItem(case, "practice", annotators=tuple(annotators))
        for case in _practice(cases, rubric, items, said, practice, chance)
    ]
    return Drawn((*first, *items), _population(cases, design, strata, said))


def spelled(design: str) -> str:
    """A design as people write it: `by-verdict`, `class-balanced`."""
    return design.replace("_", "-")


def people_problems(annotators: Sequence[str], per_item: int, adjudicator: str) -> list[str]:
    """What is wrong with who is to label, one line each."""
    problems = [
        f"{name!r} is no name of an annotator: letters, digits, spaces and . _ - @ ', 60 at most"
        for name in (*annotators, *([adjudicator] if adjudicator else []))
        if not _NAME.fullmatch(name) or name != name.strip()
    ]
    problems += [f"annotator {name!r} stands twice" for name, times in Counter(annotators).items() if times > 1]
    if not annotators:
        problems.append("there are no annotators")
    elif not 1 <= per_item <= len(annotators):
        problems.append(f"{per_item} people an item (per_item) of {len(annotators)} annotators")
    if adjudicator in annotators:
        problems.append(f"{adjudicator!r} can't decide where annotators differ, and be one of them")
    if adjudicator and per_item == 1:
        problems.append("there is nothing to adjudicate where one person labels each item")
    return problems


def _pool_problems(
    cases: Sequence[Case],
    rubric: Rubric,
    design: str,
    n: int,
    verdicts: Mapping[str, str | None],
    align_share: float,
    practice: int,
) -> list[str]:
    problems = []
    if twice := [id for id, times in Counter(case.id for case in cases).items() if times > 1]:
        problems.append(f"{len(twice)} ids of cases stand twice, such as {twice[0]!r}")
    if not 1 <= n <= len(cases):
        problems.append(f"{n} labelled cases (n) of a pool of {len(cases)}")
    if not 0 <= align_share <= MOST_ALIGNED:
        problems.append(f"align_share must be from 0 to {MOST_ALIGNED:g}; got {align_share:g}")
    if practice < 0:
        problems.append(f"practice must be 0 or more; got {practice}")
    if design not in DESIGNS:
        return [*problems, f"no such design {design!r}; {nearest(spelled(design), [spelled(one) for one in DESIGNS])}"]
    known = {*rubric.names, CANNOT_TELL, None}
    if strange := sorted({str(verdicts[case.id]) for case in cases if verdicts.get(case.id) not in known}):
        problems.append(f"these verdicts are not of {rubric.name}: {', '.join(strange[:5])}")
    elif design == "by_verdict":
        problems += _verdict_problems(cases, n, verdicts)
    elif design == "class_balanced":
        problems += _label_problems(cases, rubric, n)
    return problems


def _verdict_problems(cases: Sequence[Case], n: int, verdicts: Mapping[str, str | None]) -> list[str]:
    missing = [case.id for case in cases if case.id not in verdicts]
    if missing:
        return [f"by-verdict needs a verdict of every case; {len(missing)} of {len(cases)} have none"]
    strata = len({verdicts[case.id] for case in cases})
    return [f"{n} labels (n) for {strata} verdicts: each needs one at least"] if 1 <= n < strata else []


def _label_problems(cases: Sequence[Case], rubric: Rubric, n: int) -> list[str]:
    missing = [case.id for case in cases if not case.label]
    if missing:
        return [f"class-balanced needs a known label of every case; {len(missing)} of {len(cases)} have none"]
    strange = sorted({case.label for case in cases} - set(rubric.names))
    if strange:
        return [f"these labels are not of {rubric.name}: {', '.join(strange[:5])}"]
    targets = sum(case.label in rubric.targets for case in cases)
    problems = [f"class-balanced needs targets and others; the pool has {targets} targets of {len(cases)}"]
    return problems if targets in (0, len(cases)) else ["class-balanced needs 2 labels (n) at least"] if n == 1 else []


def _strata(
    cases: Sequence[Case], rubric: Rubric, design: SessionDesign, verdicts: Mapping[str, str | None]
) -> dict[str, list[Case]]:
    """The cases by stratum; strata in the order of the rubric, then cannot_tell and failed."""
    if design == "random":
        return {"": list(cases)}
    if design == "class_balanced":
        of = {case.id: TARGETS if case.label in rubric.targets else OTHERS for case in cases}
        names: tuple[str, ...] = (TARGETS, OTHERS)
    else:
        of = {case.id: stratum_of(verdicts[case.id]) for case in cases}
        names = (*rubric.names, CANNOT_TELL, FAILED)
    made: dict[str, list[Case]] = {name: [] for name in names}
    for case in cases:
        made[of[case.id]].append(case)
    return {name: members for name, members in made.items() if members}


def stratum_of(verdict: str | None) -> str:
    """The name under which a verdict is counted; `(failed)` where there is none."""
    return FAILED if verdict is None else verdict


def _halves(rubric: Rubric, design: SessionDesign) -> frozenset[str]:
    """The strata that get one half of the labels together."""
    return {"random": frozenset[str](), "class_balanced": frozenset({TARGETS}), "by_verdict": rubric.targets}[design]


def _allocated(populations: Mapping[str, int], looked_for: frozenset[str], n: int) -> dict[str, int]:
    """How many of `n` to draw from each stratum: half from those looked for, a side's labels in proportion to size.

    No stratum gives more than it holds, and each gives two (one where n is small, or it holds no more).
    """
    sides = [[name for name in populations if (name in looked_for) == wanted] for wanted in (True, False)]
    held = [sum(populations[name] for name in side) for side in sides]
    first = min(held[0], max(n // 2, n - held[1])) if all(held) else (n if held[0] else 0)
    least = _LEAST if n >= _LEAST * len(populations) else 1
    sizes = {name: min(least, held) for name, held in populations.items()}
    for side, wanted in zip(sides, (first, n - first), strict=True):
        _fill(sizes, {name: populations[name] for name in side}, wanted)
    while sum(sizes.values()) > n:  # the least of each was more than a side's half
        sizes[max(sizes, key=lambda name: sizes[name])] -= 1
    return sizes


def _fill(sizes: dict[str, int], populations: Mapping[str, int], wanted: int) -> None:
    """Raises `sizes` of these strata until they hold `wanted`, each to its part of the population."""
    total = sum(populations.values())
    left = wanted - sum(sizes[name] for name in populations)
    while left > 0:
        # The one that is farthest below its share; one that is full is out.
        open_ones = [name for name, held in populations.items() if sizes[name] < held]
        behind = max(open_ones, key=lambda name: populations[name] / total * wanted - sizes[name])
        sizes[behind] += 1
        left -= 1


def _split(items: Sequence[SessionItem], align_share: float, chance: random.Random) -> list[SessionItem]:
    """The items with their split, whole groups together, each group with a chance of `align_share` to align.

    Groups that hold the same strata stand beside each other, and every so many-th is taken from a random start: so
    each stratum gives its share.
    """
    groups: dict[str, list[SessionItem]] = {}
    for item in items:
        groups.setdefault(item.case.own_group, []).append(item)
    order = sorted(groups)
    chance.shuffle(order)
    order.sort(key=lambda group: sorted(item.stratum for item in groups[group]))
    start = chance.random()
    steps = [int(start + align_share * place) for place in range(len(order) + 1)]
    aligned = {group for group, before, after in zip(order, steps, steps[1:], strict=False) if after > before}
    for name in dict.fromkeys(item.stratum for item in items):
        members = {item.case.own_group for item in items if item.stratum == name}
        if members <= aligned:
            aligned.remove(min(members, key=order.index))
    return [replace(item, split="align" if item.case.own_group in aligned else "test") for item in items]


def _dealt(
    items: Sequence[SessionItem], annotators: Sequence[str], per_item: int, chance: random.Random
) -> list[SessionItem]:
    """The items with their annotators: those with the fewest so far, by lot; strata and splits one after the other."""
    load = dict.fromkeys(annotators, 0)
    dealt = []
    for _, part in groupby(sorted(items, key=_part), key=_part):
        for item in part:
            lots = {name: (load[name], chance.random()) for name in annotators}
            chosen = sorted(annotators, key=lots.__getitem__)[:per_item]
            for name in chosen:
                load[name] += 1
            dealt.append(replace(item, annotators=tuple(sorted(chosen, key=annotators.index))))
    return dealt


def _part(item: SessionItem) -> tuple[str, str]:
    return item.split, item.stratum


def _practice(
    cases: Sequence[Case],
    rubric: Rubric,
    items: Sequence[SessionItem],
    verdicts: Mapping[str, str | None],
    practice: int,
    chance: random.Random,
) -> list[Case]:
    """Cases outside the sample, of groups outside it where there are enough; something looked for first, if known."""
    taken = {item.case.id for item in items}
    groups = {item.case.own_group for item in items}
    left = [case for case in cases if case.id not in taken]
    chance.shuffle(left)
    left.sort(key=lambda case: case.own_group in groups)
    sides: tuple[list[Case], list[Case]] = ([], [])
    for case in left:
        sides[(verdicts.get(case.id) or case.label) not in rubric.targets].append(case)
    in_turn: list[Case] = []
    while len(in_turn) < min(practice, len(left)):
        in_turn += [side.pop(0) for side in sides if side]
    chosen = in_turn[:practice]
    chance.shuffle(chosen)
    return chosen


def _population(
    cases: Sequence[Case],
    design: SessionDesign,
    strata: Mapping[str, Sequence[Case]],
    verdicts: Mapping[str, str | None],
) -> dict[str, int]:
    if design == "random" and all(case.id in verdicts for case in cases):
        return dict(Counter(stratum_of(verdicts[case.id]) for case in cases))
    return {name: len(members) for name, members in strata.items()}
