"""Judging: a rubric, the cases it is applied to, what a judge says of them, and the bar a judge has to pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from llmclf.errors import ConfigError, nearest
from llmclf.types.dataset import Item
from llmclf.types.hashing import plain
from llmclf.types.prediction import ErrorInfo, Usage
from llmclf.types.task import Guideline, Label, Task, guideline_of

ScaleKind = Literal["binary", "ordinal", "categorical"]
Probe = Literal["", "swapped", "padded"]
"""How a case was shown: as it is; with the order of what can be exchanged turned round; with empty words added."""

CANNOT_TELL = "cannot_tell"
"""The verdict of a judge that can't say; it counts as neither side."""
FAILED = "(failed)"
"""What counts of verdicts call a case without one: no name of a verdict has parentheses."""
RECORDED = "recorded"
"""How the fingerprint of a judge begins whose judgments were made elsewhere; a hash of its verdicts follows."""
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Rubric:
    """A question with the closed set of its verdicts, as a judge applies it and people label by it.

    A task is one as well (`Rubric.of_task`), so that people label tasks and calibrate judges in the same sessions.
    """

    name: str
    """Of the judge, or of the task."""
    question: str
    verdicts: tuple[Label, ...]
    """In the order of the file; an ordinal scale from its worst to its best. Role `target`: what is looked for."""
    scale: ScaleKind = "categorical"
    sees: tuple[str, ...] = ("conversation",)
    """What a case shows: `conversation` and names of `Case.shown`."""
    context: Literal["so_far", "whole"] = "whole"
    """May later turns than the one asked about be seen?"""

    def __post_init__(self) -> None:
        names = [verdict.name for verdict in self.verdicts]
        targets = [verdict.name for verdict in self.verdicts if verdict.role == "target"]
        problems = [f"verdict {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        if CANNOT_TELL in names:
            problems.append(f"{CANNOT_TELL!r} may always be answered; leave it out")
        if not 0 < len(targets) < len(names):
            problems.append(f"some verdicts must have role 'target', and some another; targets: {targets or 'none'}")
        if self.scale == "binary" and len(names) != 2:
            problems.append(f"a binary scale has two verdicts, got {len(names)}")
        if problems:
            raise ConfigError("is not a rubric", where=self.name, problems=problems)

    @classmethod
    def of_task(cls, task: Task) -> Rubric:
        """The rubric by which people label a task: its question, its labels, the conversation alone."""
        scale: ScaleKind = "binary" if len(task.labels) == 2 else "categorical"
        return cls(task.name, task.question, task.labels, scale, context=task.context)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The closed set, in the order of the file."""
        return tuple(verdict.name for verdict in self.verdicts)

    @cached_property
    def targets(self) -> frozenset[str]:
        """The verdicts that are looked for; several on an ordinal or categorical scale."""
        return frozenset(verdict.name for verdict in self.verdicts if verdict.role == "target")

    @cached_property
    def guideline(self) -> Guideline:
        """Definitions and rules in words, for people and for prompts."""
        return guideline_of(self.verdicts)

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of all rules, which annotators cite."""
        return tuple(rule.id for verdict in self.verdicts for rule in verdict.rules)

    def check(self, verdict: str) -> str:
        """`verdict` if it is in the closed set; ConfigError otherwise."""
        if verdict not in self.names:
            raise ConfigError(
                "verdict is not in the closed set", where=self.name, got=verdict, fix=nearest(verdict, self.names)
            )
        return verdict


@dataclass(frozen=True)
class Case:
    """What is judged: an item of a conversation, with what somebody said of it."""

    __pydantic_config__ = _STRICT

    id: str
    conversation_id: str = ""
    turn: int | None = None
    shown: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What is judged, by name: `rationale`, `label`, `quote`, `reason`, or `a` and `b` to choose between."""
    group: str = ""
    """Cases of one group are not independent. Empty: the conversation's id, or the case's own."""
    label: str = ""
    """The verdict that is known already, where one is; never shown to whoever labels."""
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict, hash=False)
    """Anything worth slicing by."""

    @property
    def item(self) -> Item:
        """The conversation, or the turn, it is about."""
        return Item(self.conversation_id, self.turn)

    @property
    def own_group(self) -> str:
        """`group`, or what stands for it where none is given."""
        return self.group or self.conversation_id or self.id


@dataclass(frozen=True, slots=True)
class Judgment:
    """What one judge says of one case: a verdict with its reason, or a typed error. Never a silent no."""

    case: str
    """`Case.id`."""
    judge: str
    fingerprint: str
    """Hash of everything that decides what the judge says; `recorded-` and a hash of its verdicts, where it is
    not known what decided them."""
    verdict: str | None = None
    """One of the closed set, or `cannot_tell`; None: failed."""
    reason: str = ""
    probe: Probe = ""
    repeat: int = 0
    """Fresh judgments of the same case count from 0."""
    votes: tuple[tuple[str, str | None], ...] = ()
    """(judge, verdict) of each member of a panel."""
    calibrated: bool = False
    """True where a calibration of this very fingerprint passed its bar."""
    error: ErrorInfo | None = None
    model: str = ""
    """The version that answered, as the vendor names it, where it does; else the model that was asked."""
    thinking: str = ""
    """The reasoning text or summary that the vendor exposes."""
    usage: Usage = Usage()
    cost_nano_usd: int | None = 0
    latency_seconds: float | None = None
    call_id: str = ""
    cached: bool = False
    simulated: bool = False

    @property
    def counts(self) -> bool:
        """True where there is a verdict of the closed set: not failed, and not `cannot_tell`."""
        return self.verdict is not None and self.verdict != CANNOT_TELL

    @property
    def cost_usd(self) -> float | None:
        """Dollars this judgment cost when it was bought; None where the price is unknown."""
        return None if self.cost_nano_usd is None else self.cost_nano_usd / 1e9

    def to_dict(self) -> dict[str, Any]:
        """The judgment as JSON types; fields that hold their default are left out."""
        row: dict[str, Any] = plain(self)
        row["verdict"] = self.verdict
        row["calibrated"] = self.calibrated
        row["cost_usd"] = self.cost_usd
        row.pop("cost_nano_usd", None)
        return row


@dataclass(frozen=True, slots=True)
class Bar:
    """What a judge must reach on held-out cases to count as calibrated: the low ends of its intervals."""

    sensitivity: float = 0.7
    specificity: float = 0.9
    positive_agreement: float = 0.6
    positives: int = 10
    """Targets among the held-out cases, below which nothing is said."""
    looks: int = 5
    """Looks at the test split, after which fresh labels are asked for."""
