"""What a calibration comes to: every figure of a report card, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

from llmclf.calibration.compared import Counts
from llmclf.calibration.corrected import Correction
from llmclf.calibration.disagreements import DifferingCases
from llmclf.calibration.figures import Baseline, Rates
from llmclf.calibration.flag import Flag
from llmclf.calibration.needs import Needs
from llmclf.calibration.parted import CaseSlice
from llmclf.calibration.people import Ceiling
from llmclf.calibration.session import SessionDesign, Split
from llmclf.calibration.soft import Disagreements
from llmclf.calibration.spent import Spent
from llmclf.calibration.verdict import CalibrationState
from llmclf.render.tables import Shown, TableText
from llmclf.types import Bar, Estimate, Rubric


@dataclass(frozen=True, eq=False)
class Calibration(Shown):
    """How a judge does against people's labels on held-out cases, with the verdict by its bar.

    Of a session without judgments it is the people's card: their agreement, disagreements and minutes.
    """

    judge: str
    """Its name; empty on a people's card."""
    fingerprint: str
    """The calibration belongs to it alone; empty on a people's card."""
    session: str
    """`Session.id`."""
    rubric: Rubric
    design: SessionDesign
    split: Split
    guidelines: tuple[str, ...]
    """Versions of the guideline that the labels were given by; several where it was changed midway."""
    state: CalibrationState
    why: str
    """One sentence: what decided `state`."""
    next_step: str
    """The command, or the act, that moves a judge's card on; empty where nothing is left, and of people alone."""
    bar: Bar
    counts: Counts
    confusion: tuple[tuple[int, ...], ...]
    """(verdicts, verdicts) cases by truth (rows) and what the judge says (columns), in the rubric's order."""
    rates: Rates
    kappa: Estimate
    alpha: Estimate
    ac1: Estimate
    observed: Estimate
    """Share of the labelled cases with the same verdict."""
    in_set: Estimate
    """Positive agreement in the labelled set; where cases were drawn by their label it is not that of the pool."""
    enriched: bool
    """True where kappa, alpha, AC1 and `observed` are of a set whose share of targets is not the pool's."""
    by_class: bool
    """True where cases were drawn by their label: nothing in them speaks of how rare targets are."""
    contradicted: int
    """Cases drawn by their known label of which people say otherwise; they are then weighted to the pool."""
    reference: str
    """Whose labels are taken for the truth; `people`, unless said otherwise."""
    waits_for: Mapping[str, int]
    """Person to cases that wait for that person's label or decision."""
    agreed_alone: bool
    """True where most truths are what all annotators of a case said, and nobody looked at these again."""
    worst_case: Rates | None
    """The rates if every judgment left out had been wrong; None where too few are left out to matter."""
    silent_share: float
    """Share of the pool, 0 to 1, in strata drawn for having no verdict: the rates are among the rest of it."""
    majority: Baseline | None
    """Who always says the commonest verdict; None without a label."""
    ceiling: Ceiling
    """People among themselves, and the judge in a person's place."""
    slices: tuple[CaseSlice, ...]
    disagreements: DifferingCases
    """Cases judged otherwise than by people, with the reasons of both."""
    labels: Mapping[str, Mapping[str, int]]
    """Person to verdict to first labels of the split."""
    truths: Mapping[str, int]
    """Verdict to cases of which it is the label that counts."""
    people_differ: Disagreements
    """The verdicts that people can't tell apart, and by which rules, the commonest pair first."""
    correction: Correction
    spent: Spent
    flags: tuple[Flag, ...]
    looks: int
    """At this split with this judge, this one included; 0: not counted."""
    needs: Needs | None
    """What it takes for an answer, where there is none yet."""
    simulated: bool
    """True where a simulated model made a judgment."""

    @property
    def sensitivity(self) -> Estimate:
        """Share of the targets that the judge finds."""
        return self.rates.sensitivity

    @property
    def specificity(self) -> Estimate:
        """Share of the other cases that it leaves alone."""
        return self.rates.specificity

    @property
    def precision(self) -> Estimate:
        """Share of its positive verdicts that are right."""
        return self.rates.precision

    @property
    def positive_agreement(self) -> Estimate:
        """2 a / (2 a + b + c), a positive by both, b and c by one alone; at the pool's prevalence where it is known."""
        return self.rates.positive_agreement

    @property
    def cells(self) -> dict[str, int]:
        """`found`, `missed`, `false_alarms` and `quiet`: the table of cases with all targets taken as one."""
        is_target = [name in self.rubric.targets for name in self.rubric.names]
        sums = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        for row, truth in zip(self.confusion, is_target, strict=True):
            for number, said in zip(row, is_target, strict=True):
                sums[truth, said] += number
        return dict(zip(("found", "missed", "false_alarms", "quiet"), sums.values(), strict=True))

    @property
    def prevalence(self) -> Estimate:
        """Share of the pool that is a target: from people's labels, never from the judge alone."""
        return self.correction.share

    @property
    def failed(self) -> int:
        """Labelled cases whose judgment failed."""
        return self.counts.failed

    @property
    def cannot_tell(self) -> int:
        """Labelled cases on which the judge could not say."""
        return self.counts.cannot_tell

    @property
    def minutes(self) -> float:
        """That people took for the whole session, adjudication included."""
        return self.spent.minutes + self.spent.adjudication_minutes

    @property
    def usd(self) -> float | None:
        """Dollars for people and judge; None where a judgment has no known price.

        Simulated dollars are not among them: of a simulated judge it is what people cost.
        """
        return self.spent.people_usd if self.simulated else self.spent.usd

    @property
    def reason(self) -> str:
        """`why` as a sentence to stand below the state, which it does not name again."""
        for state in ("Calibrated", "Not calibrated", "Can't tell yet", "People's labels"):
            if self.why.startswith(f"{state}: "):
                said = self.why.removeprefix(f"{state}: ")
                return said[:1].upper() + said[1:]
        return self.why

    @property
    def is_unlabelled(self) -> bool:
        """True where nobody has labelled a case of the split: there is nothing to show."""
        return not self.labels and not self.counts.labelled

    @property
    def asks_for_fresh_labels(self) -> bool:
        """True after as many looks at the test split as the bar allows."""
        return self.split == "test" and self.looks >= self.bar.looks

    @property
    def figures(self) -> dict[str, Estimate]:
        """Every figure of the judge by name, those of the bar first."""
        names = ("positive_agreement", "sensitivity", "specificity", "precision", "kappa", "alpha", "ac1", "observed")
        return {name: getattr(self, name) for name in (*names, "prevalence")}

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The card in words, most important first; `why` is the first of them."""
        from llmclf.calibration.sentences import sentences_of

        return sentences_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types, nothing left out."""
        row: dict[str, Any] = {one.name: _whole(getattr(self, one.name)) for one in fields(self)}
        row["rubric"] = {"name": self.rubric.name, "question": self.rubric.question, "verdicts": self.rubric.names}
        row["rubric"] = _whole(row["rubric"] | {"targets": sorted(self.rubric.targets), "scale": self.rubric.scale})
        row["sentences"] = list(self.sentences)
        row["cells"] = self.cells
        row["figures"] = _whole(self.figures)
        row["minutes"], row["usd"] = self.minutes, self.usd
        row["asks_for_fresh_labels"] = self.asks_for_fresh_labels
        row["ceiling"]["judge_is"] = self.ceiling.judge_is
        row["disagreements"]["n_shown"] = self.disagreements.n_shown
        return row

    def _table(self) -> TableText:
        from llmclf.calibration.card_table import table_of

        return table_of(self)


def _whole(value: Any) -> Any:
    """A value as JSON types, fields that hold their default included."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _whole(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _whole(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_whole(one) for one in value]
    return value
