"""The cases on which judge and people differ, with the reasons of both, grouped so that a pattern can be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmclf.calibration.compared import Compared
from llmclf.calibration.session import LabelledCase
from llmclf.types import Annotation

MOST_SHOWN = 50
"""Cases that a card shows; the rest is counted."""


@dataclass(frozen=True, slots=True)
class PersonSaid:
    """One person's label of a case, and why."""

    name: str
    label: str
    rule: str
    note: str
    adjudicates: bool


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One case on which the judge's verdict is not the truth."""

    case: str
    conversation_id: str
    turn: int | None
    reason: str
    """The judge's."""
    people: tuple[PersonSaid, ...]
    words: Mapping[str, str]
    """What was judged (`Case.shown`): the rationale, label or quote, by name."""


@dataclass(frozen=True, slots=True)
class DisagreementGroup:
    """Cases with the same truth, the same verdict and the same cited rule."""

    truth: str
    verdict: str
    rule: str
    """That people cite most for the truth; empty: none."""
    n: int
    shown: tuple[Disagreement, ...]


@dataclass(frozen=True, slots=True)
class DifferingCases:
    """All of them, the largest pairs of truth and verdict first."""

    n: int
    groups: tuple[DisagreementGroup, ...]

    @property
    def n_shown(self) -> int:
        """Cases that are listed; the others are counted only."""
        return sum(len(group.shown) for group in self.groups)


def disagreements_of(compared: Compared, names: Mapping[str, str], *, most: int = MOST_SHOWN) -> DifferingCases:
    """Where the judge's verdict is another than the truth: by pair, by rule, then in the session's order."""
    verdicts = compared.rubric.names
    rows = [row for row in range(len(compared.cases)) if 0 <= compared.said[row] != compared.truth[row]]
    pair = {row: (int(compared.truth[row]), int(compared.said[row])) for row in rows}
    rule = {row: _deciding_rule(compared.cases[row]) for row in rows}
    of_pair, of_rule = Counter(pair.values()), Counter((pair[row], rule[row]) for row in rows)
    rank = {name: place for place, name in enumerate(compared.rubric.rules)}

    def order(row: int) -> tuple[int, tuple[int, int], int, int, str, int]:
        cited = rank.get(rule[row], len(rank) + (not rule[row]))
        return -of_pair[pair[row]], pair[row], -of_rule[pair[row], rule[row]], cited, rule[row], row

    groups: dict[tuple[tuple[int, int], str], list[int]] = {}
    for row in sorted(rows, key=order):
        groups.setdefault((pair[row], rule[row]), []).append(row)
    room = _shared_out([len(members) for members in groups.values()], most)
    made = [
        DisagreementGroup(
            verdicts[truth],
            verdicts[said],
            cited,
            len(members),
            tuple(_disagreement(compared, row, names) for row in members[:places]),
        )
        for (((truth, said), cited), members), places in zip(groups.items(), room, strict=True)
    ]
    return DifferingCases(len(rows), tuple(made))


def _shared_out(sizes: Sequence[int], places: int) -> list[int]:
    """How many cases of each group are shown: every group some, before the largest gets all the places."""
    given = [0] * len(sizes)
    while places > 0 and any(one < size for one, size in zip(given, sizes, strict=True)):
        for number, size in enumerate(sizes):
            if given[number] < size and places > 0:
                given[number] += 1
                places -= 1
    return given


def people_said(one: LabelledCase, names: Mapping[str, str]) -> tuple[PersonSaid, ...]:
    """What each person said of a case, the adjudicator last."""
    first = tuple(_said(annotation, names, False) for annotation in one.annotations)
    return first if one.adjudication is None else (*first, _said(one.adjudication, names, True))


def _said(one: Annotation, names: Mapping[str, str], adjudicates: bool) -> PersonSaid:
    return PersonSaid(names[one.annotator], one.label, one.rule, one.note, adjudicates)


def _deciding_rule(one: LabelledCase) -> str:
    """The adjudicator's rule, else what most of those cite who say what counts; of equals the first."""
    if one.adjudication is not None and one.adjudication.rule:
        return one.adjudication.rule
    cited = Counter(said.rule for said in one.annotations if said.label == one.truth and said.rule)
    return max(sorted(cited), key=lambda rule: cited[rule], default="")


def _disagreement(compared: Compared, row: int, names: Mapping[str, str]) -> Disagreement:
    one, judgment = compared.cases[row], compared.judgments[row]
    reason = "" if judgment is None else judgment.reason
    case = one.case
    return Disagreement(case.id, case.conversation_id, case.turn, reason, people_said(one, names), dict(case.shown))
