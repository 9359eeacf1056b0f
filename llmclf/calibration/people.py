"""People as the ceiling: how well they agree among themselves, and the judge held against the very same votes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.compared import Compared
from llmclf.calibration.figures import Rates, rates_of
from llmclf.calibration.session import LabelledCase, Session
from llmclf.stats import Sampling
from llmclf.stats.agreement import Agreement, pair_agreement, panel_agreement
from llmclf.types import Annotation, Estimate

Against = Literal["", "below", "within", "above"]
_DRAWS = 1000
_Votes = NDArray[np.intp]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Person:
    """One annotator against the others, and the judge against this annotator."""

    name: str
    labels: int
    """First labels of the split that were not made beside somebody's answer."""
    others: Rates
    """Against the vote of the other annotators of each case."""
    truth: Rates
    """Against the adjudicated truth, in which this person's own label had a part."""
    judge: Rates
    """The judge against this person alone."""
    judge_kappa: Estimate


@dataclass(frozen=True)
class Ceiling:
    """What people reach among themselves on the same cases; the judge beside them."""

    raters: int
    n: int
    """Cases that two people or more have labelled."""
    why_not: str
    """Why there is no ceiling; empty where there is one."""
    agreement: Agreement | None
    """Of all annotators: kappa, alpha, AC1, positive agreement."""
    person: Rates
    """Any one person against the vote of the others of the case, over all persons and cases."""
    judge: Rates
    """The judge in that person's place: against the same votes."""
    people: tuple[Person, ...]

    @property
    def judge_is(self) -> Against:
        """Where the judge's positive agreement lies, seen from the interval of people's; empty where unknown."""
        theirs, own = self.person.positive_agreement, self.judge.positive_agreement.value
        if own is None or theirs.low is None or theirs.high is None:
            return ""
        return "below" if own < theirs.low else "above" if own > theirs.high else "within"


def names_of(session: Session, labelled: Sequence[LabelledCase]) -> dict[str, str]:
    """What each person is called in reports: the name, or A1, A2, ... in the session's order where names are hidden."""
    given = [said.annotator for one in labelled for said in _all_said(one)]
    order = dict.fromkeys([*session.annotators, session.adjudicator, *sorted(given)])
    people = [name for name in order if name]
    return {name: f"A{place}" if session.hide_names else name for place, name in enumerate(people, start=1)}


def ceiling_of(compared: Compared, names: Mapping[str, str], *, seed: int = 0) -> Ceiling:
    """People among themselves on the labelled cases of the split, and the judge against the same people."""
    raters = list(dict.fromkeys(name for name in names if _has_labelled(compared, name)))
    votes = _votes(compared, raters)
    several = (votes >= 0).sum(axis=1) > 1
    people = tuple(_person(compared, names[name], votes, column, seed) for column, name in enumerate(raters))
    if not several.any():
        why = "one person a case" if raters else "nobody has labelled a case"
        return Ceiling(len(raters), 0, why, None, Rates.unknown(why), Rates.unknown(why), people)
    agreement = panel_agreement(
        votes[several],
        len(compared.rubric.names),
        compared.targets,
        ordinal=compared.rubric.scale == "ordinal",
        groups=None if compared.groups is None else compared.groups[several].tolist(),
        draws=_DRAWS,
        seed=seed,
    )
    person, judge = _anybody(compared, votes, seed)
    return Ceiling(len(raters), int(several.sum()), "", agreement, person, judge, people)


def _all_said(one: LabelledCase) -> Iterable[Annotation]:
    return (*one.annotations, *([one.adjudication] if one.adjudication else []))


def _blind(one: LabelledCase) -> Iterable[Annotation]:
    """First labels, without those made beside somebody's answer: these are no opinions of their own."""
    return (said for said in one.annotations if said.blind is not False)


def _has_labelled(compared: Compared, name: str) -> bool:
    return any(said.annotator == name for one in compared.cases for said in _blind(one))


def _votes(compared: Compared, raters: Sequence[str]) -> _Votes:
    """(cases, raters) the place of each label in the rubric; -1: none."""
    code = {name: place for place, name in enumerate(compared.rubric.names)}
    column = {name: place for place, name in enumerate(raters)}
    votes = np.full((len(compared.cases), len(raters)), -1, np.intp)
    for row, one in enumerate(compared.cases):
        for said in _blind(one):
            votes[row, column[said.annotator]] = code[said.label]
    return votes


def _others_vote(votes: _Votes, column: int) -> _Votes:
    """(cases,) what more than half of the other annotators say; -1: no other, or undecided."""
    others = np.delete(votes, column, axis=1)
    given = (others >= 0).sum(axis=1)
    vote = np.full(len(votes), -1, np.intp)
    for code in range(int(votes.max(initial=-1)) + 1):
        vote[2 * (others == code).sum(axis=1) > given] = code
    return np.where(given > 0, vote, -1)


def _anybody(compared: Compared, votes: _Votes, seed: int) -> tuple[Rates, Rates]:
    """(a person, the judge) against the vote of the others: one row for each person and case, in groups by case."""
    rows, wanted, own = [], [], []
    for column in range(votes.shape[1]):
        vote = _others_vote(votes, column)
        there = np.flatnonzero((votes[:, column] >= 0) & (vote >= 0))
        rows.append(there)
        wanted.append(vote[there])
        own.append(votes[there, column])
    row, vote, label = np.concatenate(rows), np.concatenate(wanted), np.concatenate(own)
    person = _rates(compared, row, vote, label, seed)
    said = compared.said[row]
    judge = _rates(compared, row[said >= 0], vote[said >= 0], said[said >= 0], seed)
    return person, judge


def _person(compared: Compared, name: str, votes: _Votes, column: int, seed: int) -> Person:
    own, vote = votes[:, column], _others_vote(votes, column)
    adjudicated = any(one.adjudication is not None for one in compared.cases)
    with_vote = np.flatnonzero((own >= 0) & (vote >= 0))
    labelled = np.flatnonzero(own >= 0)
    judged = np.flatnonzero((own >= 0) & compared.is_said)
    truth = (
        _rates(compared, labelled, compared.truth[labelled], own[labelled], seed)
        if adjudicated
        else Rates.unknown("nobody adjudicated")
    )
    return Person(
        name=name,
        labels=len(labelled),
        others=_rates(
            compared, with_vote, vote[with_vote], own[with_vote], seed, "nobody else labelled the same cases"
        ),
        truth=truth,
        judge=_rates(compared, judged, own[judged], compared.said[judged], seed),
        judge_kappa=_kappa(compared, judged, own, seed),
    )


def _kappa(compared: Compared, rows: NDArray[np.intp], own: _Votes, seed: int) -> Estimate:
    if not len(rows):
        return Estimate.unknown("no case to compare")
    return pair_agreement(
        own[rows],
        compared.said[rows],
        len(compared.rubric.names),
        compared.targets,
        ordinal=compared.rubric.scale == "ordinal",
        groups=None if compared.groups is None else compared.groups[rows].tolist(),
        draws=_DRAWS,
        seed=seed,
    ).kappa


def _rates(
    compared: Compared, rows: NDArray[np.intp], truth: _Votes, said: _Votes, seed: int, nothing: str = ""
) -> Rates:
    """Rates over rows, of which several may be of one case: they are then a group."""
    if not len(rows):
        return Rates.unknown(nothing or "no case to compare")
    here = np.zeros(len(compared.cases), bool)
    here[rows] = True
    why = compared.unweighable(here)
    if why:
        return Rates.unknown(why, len(rows), int(compared.is_target(truth).sum()))
    sampling = _repeated(compared.sampling(here), np.searchsorted(np.flatnonzero(here), rows))
    by_class = compared.session.design == "class_balanced"
    return rates_of(compared.is_target(truth), compared.is_target(said), sampling, by_class=by_class, seed=seed)


def _repeated(sampling: Sampling, places: NDArray[np.intp]) -> Sampling:
    """The cases at `places`, some of them several times: a case is then a group, if it is in none."""
    once = len(np.unique(places)) == len(places)
    group = np.arange(len(sampling)) if sampling.group is None else sampling.group
    kept = None if once and sampling.group is None else group[places]
    return replace(sampling, stratum=sampling.stratum[places], group=kept)
