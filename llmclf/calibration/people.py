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
from llmclf.render.tables import counted
from llmclf.stats import Sampling
from llmclf.stats.agreement import Agreement, pair_agreement, panel_agreement
from llmclf.stats.interval import central
from llmclf.stats.paired import METHOD, paired_cells
from llmclf.stats.stratified import FALSE_ALARM, FOUND, LEAST_POSITIVES, MISSED
from llmclf.types import Annotation, Estimate

Against = Literal["", "below", "within", "above", "cant_tell"]
MARGIN = 0.1
"""A judge does as people do where its positive agreement is surely no further than this from theirs."""
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
    n_beside: int
    """Cases that `person`, `judge` and `difference` are of: with a vote of others and, where any has one, a verdict."""
    person: Rates
    """Any one person against the vote of the others of the case, over all persons and these cases."""
    judge: Rates
    """The judge in that person's place: against the same votes on the same cases."""
    difference: Estimate
    """The judge's positive agreement less the person's, -1 to 1: of pairs, with cases (or their groups) drawn whole."""
    people: tuple[Person, ...]

    @property
    def judge_is(self) -> Against:
        """How the judge does in a person's place, by the interval of `difference`; empty where that is unknown.

        `below` and `above` where it excludes 0, `within` where all of it is no further than `MARGIN` from 0, and
        `cant_tell` elsewhere: that nothing was seen to differ does not make them alike.
        """
        low, high = self.difference.low, self.difference.high
        if self.difference.value is None or low is None or high is None:
            return ""
        if high < 0 or low > 0:
            return "below" if high < 0 else "above"
        return "within" if -MARGIN <= low and high <= MARGIN else "cant_tell"


def names_of(session: Session, labelled: Sequence[LabelledCase]) -> dict[str, str]:
    """What each person is called in reports: the name, or A1, A2, ... in the session's order where names are hidden."""
    given = [said.annotator for one in labelled for said in _all_said(one)]
    order = dict.fromkeys([*session.annotators, session.adjudicator, *sorted(given)])
    people = [name for name in order if name]
    return {name: f"A{place}" if session.hide_names else name for place, name in enumerate(people, start=1)}


def ceiling_of(compared: Compared, names: Mapping[str, str], *, seed: int = 0) -> Ceiling:
    """People among themselves on the labelled cases of the split, and the judge against the same people.

    Cases on which they differ and nobody has decided are among them: without these everybody would seem to agree.
    """
    decided = len(compared.cases)
    compared = compared.as_if(compared.rubric.names[0])  # behind those with a truth; none of it is used for the others
    raters = list(dict.fromkeys(name for name in names if _has_labelled(compared, name)))
    votes = _votes(compared, raters)
    several = (votes >= 0).sum(axis=1) > 1
    people = tuple(_person(compared, names[name], votes, column, decided, seed) for column, name in enumerate(raters))
    if not several.any():
        why = "one person a case" if raters else "nobody has labelled a case"
        nothing = Rates.unknown(why)
        return Ceiling(len(raters), 0, why, None, 0, nothing, nothing, Estimate.unknown(why), people)
    agreement = panel_agreement(
        votes[several],
        len(compared.rubric.names),
        compared.targets,
        ordinal=compared.rubric.scale == "ordinal",
        groups=None if compared.groups is None else compared.groups[several].tolist(),
        draws=_DRAWS,
        seed=seed,
    )
    return Ceiling(len(raters), int(several.sum()), "", agreement, *_anybody(compared, votes, seed), people)


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


def _anybody(compared: Compared, votes: _Votes, seed: int) -> tuple[int, Rates, Rates, Estimate]:
    """(cases, a person, the judge, their difference) against the vote of the others.

    There is one row for each person and case, in groups by case. Cases without a verdict are left out for both, unless
    no case has one.
    """
    rows, wanted, own = [], [], []
    use = compared.is_said if compared.is_said.any() else np.ones(len(votes), bool)
    for column in range(votes.shape[1]):
        vote = _others_vote(votes, column)
        there = np.flatnonzero((votes[:, column] >= 0) & (vote >= 0) & use)
        rows.append(there)
        wanted.append(vote[there])
        own.append(votes[there, column])
    row, vote, label = np.concatenate(rows), np.concatenate(wanted), np.concatenate(own)
    order = np.argsort(row, kind="stable")
    row, vote, label = row[order], vote[order], label[order]
    person = _rates(compared, row, vote, label, seed)
    cases = len(np.unique(row))
    if not compared.is_said.any():
        why = "no case has a verdict of the judge"
        return cases, person, Rates.unknown(why), Estimate.unknown(why)
    judge = _rates(compared, row, vote, compared.said[row], seed)
    return cases, person, judge, _difference(compared, row, vote, (label, compared.said[row]), seed)


def _difference(
    compared: Compared, rows: NDArray[np.intp], vote: _Votes, said: tuple[_Votes, _Votes], seed: int
) -> Estimate:
    """Positive agreement of the second less that of the first, on the same rows."""
    if not len(rows):
        return Estimate.unknown("no case to compare")
    positive = compared.is_target(vote)
    cases = len(np.unique(rows[positive]))
    sampling, why = _sampling(compared, rows)
    if sampling is None or cases < LEAST_POSITIVES:
        few = f"needs {counted(LEAST_POSITIVES - cases, 'more case')} at least that people vote positive"
        return Estimate.unknown(why or few, n_positives=cases, method=METHOD)
    flags = (compared.is_target(said[0]), compared.is_target(said[1]))
    never = np.zeros(len(rows), bool)
    pairs = paired_cells(positive, flags, (never, never), sampling, seed=seed)
    value = float(_gain(pairs.totals[None])[0])
    low, high = central(_gain(pairs.draws), value, 0.95)
    return Estimate(value, low, high, METHOD, cases)


def _gain(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) positive agreement of the second less that of the first, from (k, 36) totals of `Paired`."""
    both = totals.reshape(-1, 6, 6)
    gain: NDArray[np.float64] = _agreement(both.sum(axis=1)) - _agreement(both.sum(axis=2))
    return gain


def _agreement(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    found, missed, false = cells[:, FOUND], cells[:, MISSED], cells[:, FALSE_ALARM]
    agreement: NDArray[np.float64] = 2 * found / (2 * found + missed + false)
    return agreement


def _person(compared: Compared, name: str, votes: _Votes, column: int, decided: int, seed: int) -> Person:
    own, vote = votes[:, column], _others_vote(votes, column)
    adjudicated = any(one.adjudication is not None for one in compared.cases)
    with_vote = np.flatnonzero((own >= 0) & (vote >= 0))
    labelled = np.flatnonzero(own >= 0)
    judged = np.flatnonzero((own >= 0) & compared.is_said)
    known = labelled[labelled < decided]
    truth = (
        _rates(compared, known, compared.truth[known], own[known], seed)
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
    sampling, why = _sampling(compared, rows)
    if sampling is None:
        return Rates.unknown(why, len(rows), int(compared.is_target(truth).sum()))
    positive, flagged = compared.is_target(truth), compared.is_target(said)
    return rates_of(positive, flagged, sampling, by_class=compared.by_class, seed=seed)


def _sampling(compared: Compared, rows: NDArray[np.intp]) -> tuple[Sampling | None, str]:
    """How the rows stand for the pool, or why they can't."""
    here = np.zeros(len(compared.cases), bool)
    here[rows] = True
    why = compared.unweighable(here)
    if why:
        return None, why
    return _repeated(compared.sampling(here), np.searchsorted(np.flatnonzero(here), rows)), ""


def _repeated(sampling: Sampling, places: NDArray[np.intp]) -> Sampling:
    """The cases at `places`, some of them several times: a case is then a group, if it is in none."""
    once = len(np.unique(places)) == len(places)
    group = np.arange(len(sampling)) if sampling.group is None else sampling.group
    kept = None if once and sampling.group is None else group[places]
    return replace(sampling, stratum=sampling.stratum[places], group=kept)
