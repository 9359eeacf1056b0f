"""The held-out cases of a session on which people and judge can be compared, and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.session import LabelledCase, Session, Split
from llmclf.errors import ConfigError, DataError
from llmclf.stats import Sampling
from llmclf.stats.proportion import group_codes
from llmclf.types import CANNOT_TELL, Judgment, Rubric

MOST_UNSEEN = 0.02
"""Above this share of the pool in strata without a labelled case, nothing is said of the whole pool."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cases of the split there are, and what became of them."""

    cases: int
    """Of the split, labelled or not."""
    labelled: int
    """With a truth."""
    waiting: int
    """Without one: not labelled yet, or people differ and nobody has decided."""
    positives: int
    """Labelled cases whose truth is looked for."""
    failed: int
    cannot_tell: int
    not_judged: int
    """Labelled cases without any judgment."""
    compared: int
    """With a truth and a verdict of the closed set: what sensitivity and its kin are of."""
    positives_left_out: int
    """Positives among the failed, `cannot_tell` and not judged."""

    @property
    def left_out(self) -> int:
        """Labelled cases without a verdict of the closed set."""
        return self.labelled - self.compared

    @property
    def left_out_matters(self) -> bool:
        """True where a positive is left out, or more than 2 % of the labelled cases."""
        return self.positives_left_out > 0 or self.left_out > 0.02 * self.labelled


@dataclass(frozen=True, eq=False)
class Compared:
    """Labelled cases of one split, what the judge says of each, and what they stand for."""

    session: Session
    split: Split
    held: tuple[LabelledCase, ...]
    """Every case of the split that was given, in the session's order."""
    cases: tuple[LabelledCase, ...]
    """Those of them with a truth."""
    judgments: tuple[Judgment | None, ...]
    """Of each case; None: not judged."""
    counts: Counts
    truth: NDArray[np.intp]
    """(n,) the place of each case's truth in the rubric."""
    said: NDArray[np.intp]
    """(n,) the same of the judge's verdict; -1: failed, `cannot_tell` or not judged."""
    groups: NDArray[np.intp] | None
    """(n,) numbers of groups; None where every case is one of its own."""

    @property
    def rubric(self) -> Rubric:
        """What people and judge answer."""
        return self.session.rubric

    @property
    def targets(self) -> tuple[int, ...]:
        """The places of the verdicts that are looked for."""
        return tuple(place for place, name in enumerate(self.rubric.names) if name in self.rubric.targets)

    @property
    def is_said(self) -> NDArray[np.bool_]:
        """(n,) True where the judge's verdict is one of the closed set."""
        return self.said >= 0

    def is_target(self, codes: NDArray[np.intp]) -> NDArray[np.bool_]:
        """True where a verdict's place is that of a target."""
        return np.isin(codes, self.targets)

    @property
    def strata(self) -> tuple[str, ...]:
        """The stratum of each case."""
        return tuple(one.item.stratum for one in self.cases)

    def unweighable(self, mask: NDArray[np.bool_]) -> str:
        """Why the cases of `mask` can't stand for the pool; empty where they can, or count alike anyway."""
        if self.session.design != "by_verdict":
            return ""
        population = self.session.population
        if not population:
            return "the session does not say how many cases of the pool have each verdict"
        seen = {name for name, there in zip(self.strata, mask, strict=True) if there}
        foreign = sorted(name for name in seen if population.get(name, 0) <= 0)
        if foreign:
            return f"the session's population does not count the stratum {foreign[0]!r}"
        unseen = {name: size for name, size in population.items() if size > 0 and name not in seen}
        if sum(unseen.values()) > MOST_UNSEEN * sum(population.values()):
            share = sum(unseen.values()) / sum(population.values())
            return f"no case to compare stands for {share:.0%} of the pool (stratum {', '.join(map(repr, unseen))})"
        return ""

    def sampling(self, mask: NDArray[np.bool_]) -> Sampling:
        """How the cases of `mask` stand for the pool: by the sizes of their strata, or alike.

        Strata without a case are left out; ask `unweighable` first.
        """
        group = None if self.groups is None else group_codes(self.groups[mask])
        if self.session.design != "by_verdict":
            return replace(Sampling.simple(int(mask.sum())), group=group)
        names = [name for name, there in zip(self.strata, mask, strict=True) if there]
        distinct = list(dict.fromkeys(names))
        number = {name: place for place, name in enumerate(distinct)}
        stratum = np.array([number[name] for name in names], np.intp)
        return Sampling(stratum, np.array([float(self.session.population[name]) for name in distinct]), None, group)


def compare(
    session: Session, labelled: Sequence[LabelledCase], judgments: Sequence[Judgment], split: Split
) -> Compared:
    """The labelled cases of a split beside their judgments; the last judgment of a case counts.

    Raises ConfigError for the practice split, DataError where labels or verdicts are not in the rubric's closed set.
    """
    if split == "practice":
        raise ConfigError("the practice round is never scored", where=session.name, got=split, fix="use test or align")
    rubric = session.rubric
    scored = {one.case: one for one in judgments if one.probe == "" and one.repeat == 0}
    place = {item.case.id: number for number, item in enumerate(session.items)}
    in_split = (one for one in labelled if one.item.split == split)
    held = tuple(sorted(in_split, key=lambda one: place.get(one.case.id, len(place))))
    _check_closed(rubric, labelled, scored)
    cases = tuple(one for one in held if one.truth is not None)
    beside = tuple(scored.get(one.case.id) for one in cases)
    code = {name: number for number, name in enumerate(rubric.names)}
    truth = np.array([code[one.truth or ""] for one in cases], np.intp)
    said = np.array([-1 if one is None or not one.counts else code[one.verdict or ""] for one in beside], np.intp)
    drawn = sum(item.split == split for item in session.items) or len(held)
    counts = _counts(rubric, drawn, cases, beside)
    groups = group_codes([one.case.own_group for one in cases])
    return Compared(session, split, held, cases, beside, counts, truth, said, groups)


def _check_closed(rubric: Rubric, labelled: Sequence[LabelledCase], scored: dict[str, Judgment]) -> None:
    known = set(rubric.names)
    problems = [
        f"case {one.case.id}: a person labels it {said.label!r}"
        for one in labelled
        for said in (*one.annotations, *([one.adjudication] if one.adjudication else []))
        if said.label not in known
    ]
    problems += [
        f"case {id}: the judge says {one.verdict!r}"
        for id, one in scored.items()
        if one.verdict is not None and one.verdict not in known | {CANNOT_TELL}
    ]
    if problems:
        raise DataError(
            f"verdicts are outside the closed set {', '.join(rubric.names)}",
            where=rubric.name,
            problems=problems,
            fix="map them to the rubric's verdicts, or leave a judgment's verdict empty where it can't be read",
        )


def _counts(rubric: Rubric, in_split: int, cases: Sequence[LabelledCase], beside: Sequence[Judgment | None]) -> Counts:
    positive = [one.truth in rubric.targets for one in cases]
    compared = [one is not None and one.counts for one in beside]
    return Counts(
        cases=in_split,
        labelled=len(cases),
        waiting=in_split - len(cases),
        positives=sum(positive),
        failed=sum(one is not None and one.verdict is None for one in beside),
        cannot_tell=sum(one is not None and one.verdict == CANNOT_TELL for one in beside),
        not_judged=sum(one is None for one in beside),
        compared=sum(compared),
        positives_left_out=sum(is_one and not said for is_one, said in zip(positive, compared, strict=True)),
    )
