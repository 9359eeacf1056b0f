"""A session: which cases people label, who labels which, and what they said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmclf.types import Annotation, Case, Rubric

SessionKind = Literal["task", "judge"]
SessionDesign = Literal["random", "by_verdict", "class_balanced"]
"""How items were drawn from the pool: all with one chance; a number of each verdict; a number of each known label."""
Split = Literal["practice", "align", "test"]
"""`practice` is never scored; a judge's prompt may be changed by `align`; only `test` says how good it is."""
Round = Literal["first", "adjudication"]
TruthFrom = Literal["adjudicated", "agreed", "vote", "single", ""]


@dataclass(frozen=True)
class SessionItem:
    """One case of a session."""

    case: Case
    split: Split
    stratum: str = ""
    """The verdict or known label it was drawn by; empty at random."""
    inclusion_probability: float | None = None
    annotators: tuple[str, ...] = ()
    """Who labels it first, without seeing what the others say."""


@dataclass(frozen=True)
class Session:
    """What was settled when a session began; nothing of it changes afterwards."""

    id: str
    kind: SessionKind
    rubric: Rubric
    design: SessionDesign
    items: tuple[SessionItem, ...]
    """In the order in which they are shown, practice first."""
    annotators: tuple[str, ...]
    adjudicator: str = ""
    """Who decides where annotators differ; empty: the vote decides."""
    per_item: int = 1
    population: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Items of the pool by stratum; at random, where a judge has seen the whole pool, by its verdict."""
    fingerprint: str = ""
    """Of the judge when the session began; empty for a task."""
    seed: int = 0
    hide_names: bool = False
    created_at: str = ""
    reference: str = "people"
    """Who says what is true; in memory alone: the store's sessions are people's."""

    @property
    def name(self) -> str:
        """Of the task or judge it is about."""
        return self.rubric.name


@dataclass(frozen=True, slots=True)
class Skip:
    """A case that a person did not want to label, and why."""

    annotator: str
    why: str
    at: str = ""


@dataclass(frozen=True)
class LabelledCase:
    """A case of a session with everything that people said of it."""

    item: SessionItem
    annotations: tuple[Annotation, ...] = ()
    """First labels, blind; the last of each person."""
    adjudication: Annotation | None = None
    skips: tuple[Skip, ...] = ()
    adjudicates: bool = False
    """True where somebody is named who decides what people differ on."""

    @property
    def case(self) -> Case:
        """What was labelled."""
        return self.item.case

    @property
    def truth(self) -> str | None:
        """The label that counts: the adjudicator's, else what more than half say once all who were asked have answered.

        None: somebody is still to answer, or people differ and nobody has decided. The vote decides nothing where an
        adjudicator is named.
        """
        if self.adjudication is not None:
            return self.adjudication.label
        if self.to_label or (self.adjudicates and self.disagrees):
            return None
        said = Counter(one.label for one in self.annotations)
        if not said:
            return None
        label, votes = said.most_common(1)[0]
        return label if 2 * votes > len(self.annotations) else None

    @property
    def to_label(self) -> tuple[str, ...]:
        """Who was asked and has neither labelled nor skipped it."""
        done = {one.annotator for one in self.annotations} | {one.annotator for one in self.skips}
        return tuple(name for name in self.item.annotators if name not in done)

    @property
    def to_decide(self) -> bool:
        """True where everybody has answered, people differ, and the adjudicator has not said a word."""
        asked = {one.annotator for one in self.annotations} | set(self.item.annotators)
        passed = any(skip.annotator not in asked for skip in self.skips)
        waits = self.adjudicates and self.disagrees and not self.to_label
        return waits and self.adjudication is None and not passed

    @property
    def undecided(self) -> bool:
        """True where everybody who was asked has answered and there is no truth: people differ, or none says."""
        return self.truth is None and not self.to_label

    @property
    def truth_from(self) -> TruthFrom:
        """Where `truth` comes from; empty where there is none."""
        if self.adjudication is not None:
            return "adjudicated"
        if self.truth is None:
            return ""
        if len(self.annotations) == 1:
            return "single"
        return "agreed" if len({one.label for one in self.annotations}) == 1 else "vote"

    @property
    def disagrees(self) -> bool:
        """True where two people said different things."""
        return len({one.label for one in self.annotations}) > 1
