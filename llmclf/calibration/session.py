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

    @property
    def case(self) -> Case:
        """What was labelled."""
        return self.item.case

    @property
    def truth(self) -> str | None:
        """The label that counts: the adjudicator's, else what more than half say; None: undecided."""
        if self.adjudication is not None:
            return self.adjudication.label
        said = Counter(one.label for one in self.annotations)
        if not said:
            return None
        label, votes = said.most_common(1)[0]
        return label if 2 * votes > len(self.annotations) else None

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
