"""The held-out cases of a session on which people and judge can be compared, and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.drawing import OTHERS, TARGETS
from llmclf.calibration.session import LabelledCase, Session, Split
from llmclf.errors import ConfigError, DataError
from llmclf.render.rates import rate_text
from llmclf.render.tables import counted
from llmclf.stats import Sampling
from llmclf.stats.proportion import group_codes
from llmclf.types import CANNOT_TELL, FAILED, Judgment, Rubric

MOST_UNSEEN = 0.02
"""Above this share of the pool in strata without a labelled case, nothing is said of the whole pool."""
_MATTERS = 0.02
"""Of the labelled cases, or a tenth of the positives: more cases than this without a truth may turn a figure."""

_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cases of the split there are, and what became of them."""

    cases: int
    """Of the split, labelled or not."""
    labelled: int
    """With a truth."""
    waiting: int
    """Without one: `to_label`, `to_decide` and `undecided` together."""
    to_label: int
    """Somebody who was asked has not answered yet."""
    to_decide: int
    """People differ, and the adjudicator has not decided yet."""
    undecided: int
    """Everybody has answered, and there will be no truth: people differ and nobody decides, or nobody could say."""
    agreed: int
    """Labelled cases of which two people or more said the same, and nobody decided."""
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

    @property
    def is_complete(self) -> bool:
        """True where nothing is left to label or to decide."""
        return not self.to_label + self.to_decide

    @property
    def undecided_matters(self) -> bool:
        """True where more than 2 % of the cases that people are through with, or a tenth of the positives."""
        return self._matters(self.undecided)

    @property
    def open_matters(self) -> bool:
        """The same of all cases that people have answered and that have no truth, those still to decide included."""
        return self._matters(self.undecided + self.to_decide)

    def _matters(self, number: int) -> bool:
        return number > min(_MATTERS * (self.labelled + number), 0.1 * self.positives)


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
    scored: Mapping[str, Judgment]
    """The judgment of each case, by its id."""

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

    @cached_property
    def contradicted(self) -> int:
        """Cases drawn by their known label of which people say otherwise; 0 in any other design."""
        if self.session.design != "class_balanced":
            return 0
        known = zip(self.strata, self.is_target(self.truth).tolist(), strict=True)
        return sum(self._looked_for(name) not in (None, target) for name, target in known)

    @property
    def is_weighted(self) -> bool:
        """True where cases stand for strata of the pool: those of a verdict, or of known labels that were wrong."""
        return self.session.design == "by_verdict" or self.contradicted > 0

    @property
    def by_class(self) -> bool:
        """True where cases count alike within each of two classes, and nothing says how rare the target is."""
        return self.session.design == "class_balanced" and not self.is_weighted

    @cached_property
    def open_ones(self) -> tuple[LabelledCase, ...]:
        """Cases of the split that people have answered, and that have no truth."""
        return tuple(one for one in self.held if one.undecided)

    def as_if(self, truth: str) -> Compared:
        """The same with the `open_ones`, as if this were their truth."""
        truths = [self.rubric.names[place] for place in self.truth.tolist()] + [truth] * len(self.open_ones)
        cases = (*self.cases, *self.open_ones)
        return _compared(self.session, self.split, self.held, cases, truths, self.scored, self.counts)

    def unseen(self, mask: NDArray[np.bool_]) -> dict[str, int]:
        """Strata of the pool without a case of `mask`, with their sizes."""
        seen = {name for name, there in zip(self.strata, mask, strict=True) if there}
        return {name: size for name, size in self.session.population.items() if size > 0 and name not in seen}

    @cached_property
    def silent(self) -> dict[str, int]:
        """Strata that were drawn for having no verdict (failed, `cannot_tell`) and have none yet, with their sizes.

        No case of theirs can be in a rate among the cases that have a verdict: `worst_case` is what speaks of them.
        """
        if self.session.design != "by_verdict" or not self.is_said.any():
            return {}
        began = (self.session.name, self.session.fingerprint)
        own = any((one.judge, one.fingerprint) == began for one in self.scored.values())
        beside = list(zip(self.strata, self.judgments, strict=True))
        population = self.session.population
        found = {}
        for name in (CANNOT_TELL, FAILED):
            judged = [one for stratum, one in beside if stratum == name]
            none_said = all(one is not None and not one.counts for one in judged)
            if population.get(name, 0) > 0 and none_said and (judged or own):
                found[name] = population[name]
        return found

    @property
    def silent_share(self) -> float:
        """Share of the pool in `silent` strata, 0 to 1."""
        return sum(self.silent.values()) / sum(self.session.population.values()) if self.silent else 0.0

    def unweighable(self, mask: NDArray[np.bool_], *, of: Literal["rates", "share"] = "rates") -> str:
        """Why the cases of `mask` can't stand for the pool; empty where they can, or count alike anyway.

        For rates each stratum of a target needs a case, however small it is: targets are there. A `silent` stratum
        needs none: rates are among the cases that have a verdict. A share is of all strata.
        """
        if not self.is_weighted:
            return ""
        population = self.session.population
        if not population:
            return self._without_sizes()
        seen = {name for name, there in zip(self.strata, mask, strict=True) if there}
        foreign = sorted(name for name in seen if population.get(name, 0) <= 0)
        if foreign:
            return f"the session's population does not count the stratum {foreign[0]!r}"
        silent = self.silent if of == "rates" else {}
        unseen = {name: size for name, size in self.unseen(mask).items() if name not in silent}
        share = sum(unseen.values()) / sum(population.values())
        targets = [name for name in unseen if self._looked_for(name)] if of == "rates" else []
        if share > MOST_UNSEEN or targets:
            names = ", ".join(repr(name.strip("()")) for name in unseen)
            return f"no case to compare stands for {rate_text(share, '.1%')} of the pool (stratum {names})"
        return ""

    def unlabelled(self) -> str:
        """Which strata may hold a tenth as many targets as were seen, or more, unseen; empty: none.

        One without a labelled case may hold targets alone; a `silent` one whose labels found no target as many as the
        upper end of none in so many (one-sided 95 %, exact), for no interval says so where none was found.
        """
        every = np.ones(len(self.cases), bool)
        if not self.is_weighted or self.unweighable(every):
            return ""
        positive = self.is_target(self.truth)
        unseen = self.unseen(every)
        may: dict[str, float] = {name: float(size) for name, size in unseen.items()}
        for name, size in self.silent.items():
            inside = np.array([one == name for one in self.strata])
            if inside.any() and not positive[inside].any():
                may[name] = size * (1 - _SURE ** (1 / int(inside.sum())))
        targets = self.sampling(every).weight[positive].sum()
        if not may or sum(may.values()) <= 0.1 * targets:
            return ""
        names = ", ".join(repr(name.strip("()")) for name in may)
        size = sum(self.session.population[name] for name in may)
        few = "no label stands" if set(may) == set(unseen) else "too few labels stand"
        return f"{few} for {counted(size, 'case')} of the pool (stratum {names}), next to about {targets:,.0f} targets"

    def sampling(self, mask: NDArray[np.bool_]) -> Sampling:
        """How the cases of `mask` stand for the pool: by the sizes of their strata, or alike.

        Strata without a case are left out; ask `unweighable` first.
        """
        group = None if self.groups is None else group_codes(self.groups[mask])
        if not self.is_weighted:
            return replace(Sampling.simple(int(mask.sum())), group=group)
        names = [name for name, there in zip(self.strata, mask, strict=True) if there]
        distinct = list(dict.fromkeys(names))
        number = {name: place for place, name in enumerate(distinct)}
        stratum = np.array([number[name] for name in names], np.intp)
        return Sampling(stratum, np.array([float(self.session.population[name]) for name in distinct]), None, group)

    def _looked_for(self, stratum: str) -> bool | None:
        """True for a stratum of a verdict or known label that is looked for; None: it is of neither kind."""
        sides = {TARGETS: True, OTHERS: False} | {name: name in self.rubric.targets for name in self.rubric.names}
        return sides.get(stratum)

    def _without_sizes(self) -> str:
        if self.session.design == "by_verdict":
            return "the session does not say how many cases of the pool have each verdict"
        return (
            f"{self.contradicted} known labels that cases were drawn by are wrong, and the session does not say how "
            "many cases of the pool have each"
        )


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
    drawn = sum(item.split == split for item in session.items) or len(held)
    counts = _counts(rubric, drawn, held, [scored.get(one.case.id) for one in cases])
    return _compared(session, split, held, cases, [one.truth or "" for one in cases], scored, counts)


def _compared(
    session: Session,
    split: Split,
    held: tuple[LabelledCase, ...],
    cases: tuple[LabelledCase, ...],
    truths: Sequence[str],
    scored: Mapping[str, Judgment],
    counts: Counts,
) -> Compared:
    beside = tuple(scored.get(one.case.id) for one in cases)
    code = {name: number for number, name in enumerate(session.rubric.names)}
    truth = np.array([code[name] for name in truths], np.intp)
    said = np.array([-1 if one is None or not one.counts else code[one.verdict or ""] for one in beside], np.intp)
    groups = group_codes([one.case.own_group for one in cases])
    return Compared(session, split, held, cases, beside, counts, truth, said, groups, scored)


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


def _counts(rubric: Rubric, drawn: int, held: Sequence[LabelledCase], beside: Sequence[Judgment | None]) -> Counts:
    """`drawn` cases of the split, those of them that were given, and the judgments of those with a truth."""
    cases = [one for one in held if one.truth is not None]
    positive = [one.truth in rubric.targets for one in cases]
    compared = [one is not None and one.counts for one in beside]
    to_decide = sum(one.to_decide for one in held)
    undecided = sum(one.undecided for one in held) - to_decide
    return Counts(
        cases=drawn,
        labelled=len(cases),
        waiting=drawn - len(cases),
        to_label=drawn - len(cases) - to_decide - undecided,
        to_decide=to_decide,
        undecided=undecided,
        agreed=sum(one.truth_from == "agreed" for one in cases),
        positives=sum(positive),
        failed=sum(one is not None and one.verdict is None for one in beside),
        cannot_tell=sum(one is not None and one.verdict == CANNOT_TELL for one in beside),
        not_judged=sum(one is None for one in beside),
        compared=sum(compared),
        positives_left_out=sum(is_one and not said for is_one, said in zip(positive, compared, strict=True)),
    )
