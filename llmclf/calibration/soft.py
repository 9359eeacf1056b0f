"""People's labels as the evidence they are: soft labels, how good each annotator is, and where they disagree.

soft_labels            shares of votes and Dawid-Skene probabilities by case; each annotator's quality
disagreements_by_pair  which verdicts people can't tell apart, by which rules, in which cases
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np

from llmclf.calibration.session import LabelledCase
from llmclf.errors import shorten
from llmclf.render.tables import Shown, TableText, seconds_text
from llmclf.stats.proportion import clustered_wilson
from llmclf.stats.truths import dawid_skene
from llmclf.types import Estimate, Rubric
from llmclf.types.hashing import plain

NO_RULE = "no rule"
"""Stands for people who cited none."""
_LISTED = 5


@dataclass(frozen=True)
class SoftLabel:
    """What people say of one case, as shares and as probabilities."""

    case_id: str
    votes: int
    shares: Mapping[str, float] = field(hash=False)
    """Verdict to share of the first labels; empty without any."""
    probabilities: Mapping[str, float] = field(hash=False)
    """Verdict to probability by Dawid and Skene's model; empty without any vote."""
    truth: str | None
    """The label that counts (`LabelledCase.truth`)."""

    @property
    def entropy(self) -> float:
        """Of `probabilities`, in bits: 0 where they leave no doubt."""
        return float(-sum(one * np.log2(one) for one in self.probabilities.values() if one > 0)) + 0.0


@dataclass(frozen=True)
class AnnotatorQuality:
    """One annotator's first labels, held against what counts as true: the person's own vote had a part in that."""

    annotator: str
    labels: int
    skipped: int
    median_seconds: float | None
    sensitivity: Estimate
    """Share of the true targets that the person called one; Wilson's interval for groups that hang together."""
    specificity: Estimate
    against: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Where the truth comes from, to cases: adjudicated, agreed, vote, single; else `dawid-skene`."""


@dataclass(frozen=True)
class SoftLabels(Shown):
    """Soft labels of cases, and the quality of whoever gave them."""

    cases: tuple[SoftLabel, ...]
    annotators: tuple[AnnotatorQuality, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        cases = [{**plain(one), "truth": one.truth, "entropy": one.entropy} for one in self.cases]
        return {"cases": cases, "annotators": [plain(one) for one in self.annotators]}

    def _table(self) -> TableText:
        columns = ("annotator", "labels", "skipped", "seconds", "sensitivity", "specificity")
        rows = [
            (
                one.annotator,
                f"{one.labels:,}",
                f"{one.skipped:,}",
                seconds_text(one.median_seconds),
                _cell(one.sensitivity),
                _cell(one.specificity),
            )
            for one in self.annotators
        ]
        notes = [
            "Truth is the adjudicator's label, else the vote, else what Dawid and Skene's model finds likeliest;"
            " each person's own label had a part in it."
        ]
        if any(one.sensitivity.value is None or one.specificity.value is None for one in self.annotators):
            notes.append("A dash: no case of that kind was among the person's labels.")
        return TableText("annotators", columns, tuple(rows), notes=tuple(notes), right=(1, 2, 3))


@dataclass(frozen=True)
class PairOfVerdicts:
    """Two verdicts between which people disagree."""

    first: str
    """In the order of the rubric."""
    second: str
    cases: tuple[str, ...]
    """Ids of the cases in which one person said the first and another the second."""
    pairs: int
    """Pairs of people who did; a case with five people may hold several."""
    first_rules: Mapping[str, int] = field(hash=False)
    """Rule to how often it was cited for the first in these cases; `no rule` where none was."""
    second_rules: Mapping[str, int] = field(hash=False)
    to_first: int = 0
    """Cases that an adjudicator decided for the first."""
    to_second: int = 0
    share: float = 0.0
    """Of all cases that two people or more have labelled."""


@dataclass(frozen=True)
class Disagreements(Shown):
    """The verdicts that people can't tell apart, most cases first: where the guideline needs words."""

    pairs: tuple[PairOfVerdicts, ...]
    labelled_twice: int
    """Cases that two people or more have labelled."""
    disagreeing: int
    """Of these, cases in which two said different things."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        pairs: list[dict[str, Any]] = plain(self.pairs)
        return {"pairs": pairs, "labelled_twice": self.labelled_twice, "disagreeing": self.disagreeing}

    def _table(self) -> TableText:
        rows = [
            (
                f"{one.first} / {one.second}",
                f"{len(one.cases):,}",
                f"{one.to_first:,} / {one.to_second:,}",
                f"{_rules(one.first_rules)} / {_rules(one.second_rules)}",
            )
            for one in self.pairs
        ]
        title = f"people differ in {self.disagreeing:,} of {self.labelled_twice:,} cases that two or more labelled"
        notes = tuple(f"{one.first} / {one.second}: {_listed(one.cases)}" for one in self.pairs)
        return TableText(title, ("verdicts", "cases", "decided", "rules cited"), tuple(rows), notes=notes, right=(1,))


def soft_labels(labelled: Sequence[LabelledCase], rubric: Rubric) -> SoftLabels:
    """Shares of votes, probabilities and annotators' quality of cases, practice left out.

    Probabilities are Dawid and Skene's (`llmclf.stats.truths`): each annotator has errors of an own kind,
    and few votes weigh little. Only first labels are votes; what the adjudicator says counts in `truth`.

    >>> from llmclf.types import Label, Task
    >>> soft_labels((), Rubric.of_task(Task("t", "?", (Label("yes", "target", ""), Label("no", "clean", ""))))).cases
    ()
    """
    scored = [one for one in labelled if one.item.split != "practice"]
    people = list(dict.fromkeys(name for one in scored for name in _names(one)))
    codes = {name: code for code, name in enumerate(rubric.names)}
    votes = np.full((len(scored), len(people)), -1, dtype=np.intp)
    for row, one in enumerate(scored):
        for said in one.annotations:
            votes[row, people.index(said.annotator)] = codes[said.label]
    likely = dawid_skene(votes, len(codes)).probabilities if (votes >= 0).any() else None
    cases = tuple(
        SoftLabel(
            one.case.id,
            len(one.annotations),
            _shares([said.label for said in one.annotations], rubric),
            {}
            if likely is None or not one.annotations
            else dict(zip(rubric.names, map(float, likely[row]), strict=True)),
            one.truth,
        )
        for row, one in enumerate(scored)
    )
    truths = [_truth(one, soft) for one, soft in zip(scored, cases, strict=True)]
    return SoftLabels(cases, tuple(_quality(name, scored, truths, rubric) for name in people))


def disagreements_by_pair(labelled: Sequence[LabelledCase], rubric: Rubric) -> Disagreements:
    """Which verdicts people disagree on, how often, by which rules on each side; practice left out.

    A case in which three verdicts were given counts for each of the three pairs.
    """
    scored = [one for one in labelled if one.item.split != "practice" and len(one.annotations) > 1]
    found: dict[tuple[str, str], list[LabelledCase]] = defaultdict(list)
    for one in scored:
        said = {label.label for label in one.annotations}
        for pair in combinations([name for name in rubric.names if name in said], 2):
            found[pair].append(one)
    pairs = [_pair(first, second, cases, len(scored)) for (first, second), cases in found.items()]
    pairs.sort(key=lambda pair: -len(pair.cases))
    return Disagreements(tuple(pairs), len(scored), sum(one.disagrees for one in scored))


def _pair(first: str, second: str, cases: Sequence[LabelledCase], labelled: int) -> PairOfVerdicts:
    said = [[one for case in cases for one in case.annotations if one.label == name] for name in (first, second)]
    rules = [dict(Counter(one.rule or NO_RULE for one in side).most_common()) for side in said]
    votes = [Counter(one.label for one in case.annotations) for case in cases]
    decided = Counter(case.adjudication.label for case in cases if case.adjudication is not None)
    return PairOfVerdicts(
        first,
        second,
        tuple(case.case.id for case in cases),
        sum(counts[first] * counts[second] for counts in votes),
        rules[0],
        rules[1],
        decided[first],
        decided[second],
        len(cases) / labelled,
    )


def _names(one: LabelledCase) -> list[str]:
    """Who labelled it, or skipped it when asked first."""
    skipped = [skip.annotator for skip in one.skips if skip.annotator in one.item.annotators]
    return [*(said.annotator for said in one.annotations), *skipped]


def _shares(labels: Sequence[str], rubric: Rubric) -> dict[str, float]:
    counts = Counter(labels)
    return {name: counts[name] / len(labels) for name in rubric.names} if labels else {}


def _truth(one: LabelledCase, soft: SoftLabel) -> tuple[str, str] | None:
    """(label, where it comes from); None where nobody labelled it."""
    if one.truth is not None:
        return one.truth, one.truth_from
    if not soft.probabilities:
        return None
    return max(soft.probabilities, key=lambda name: soft.probabilities[name]), "dawid-skene"


def _quality(
    name: str, scored: Sequence[LabelledCase], truths: Sequence[tuple[str, str] | None], rubric: Rubric
) -> AnnotatorQuality:
    own = [
        (said, truth, one.case.own_group)
        for one, truth in zip(scored, truths, strict=True)
        for said in one.annotations
        if said.annotator == name and truth is not None
    ]
    hits = [
        ((said.label in rubric.targets) == (truth[0] in rubric.targets), truth[0], group) for said, truth, group in own
    ]
    timed = [said.seconds for said, _, _ in own if said.seconds is not None]
    return AnnotatorQuality(
        name,
        labels=len(own),
        skipped=sum(skip.annotator == name for one in scored for skip in one.skips),
        median_seconds=median(timed) if timed else None,
        sensitivity=_share([(hit, group) for hit, truth, group in hits if truth in rubric.targets], "a target"),
        specificity=_share([(hit, group) for hit, truth, group in hits if truth not in rubric.targets], "another"),
        against=dict(Counter(truth[1] for _, truth, _ in own)),
    )


def _share(hits: Sequence[tuple[bool, Hashable]], of: str) -> Estimate:
    if not hits:
        return Estimate.unknown(f"none of the labelled cases is truly {of}")
    return clustered_wilson([hit for hit, _ in hits], [group for _, group in hits])


def _cell(estimate: Estimate) -> str:
    return "-" if estimate.value is None else estimate.format()


def _rules(rules: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in rules.items())


def _listed(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - _LISTED} more" if len(cases) > _LISTED else ""
    return ", ".join(shorten(id, 40).strip("'\"") for id in cases[:_LISTED]) + more
