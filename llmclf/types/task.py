"""Tasks: one question about a conversation or a turn, and the closed set of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from llmclf.errors import ConfigError, nearest
from llmclf.types.hashing import content_hash

Unit = Literal["conversation", "turn"]
Role = Literal["target", "adjacent", "clean"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A boundary rule of the guideline. Annotators and reports cite it by its id (R1, R2, ...)."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """One answer of the closed set, and what it means."""

    name: str
    role: Role
    """`target` is what is looked for, `adjacent` looks like it and is not, `clean` is neither."""
    definition: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class FailureMode:
    """A way in which the target happens; recall is reported for each."""

    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class Guideline:
    """A task's definitions and rules as people read them. `version` is the sha256 of its text."""

    text: str

    @property
    def version(self) -> str:
        """Changes with every change of the text; stored with each annotation."""
        return content_hash(self.text)


def guideline_of(labels: Sequence[Label]) -> Guideline:
    """Definitions and rules in words, one label after the other."""
    parts: list[str] = []
    for label in labels:
        parts.append(f"{label.name} ({label.role}): {label.definition}")
        parts.extend(f"  {rule.id}. {rule.text}" for rule in label.rules)
    return Guideline("\n".join(parts))


@dataclass(frozen=True)
class Task:
    """What is looked for: a question, the unit it is asked of, and the closed set of labels."""

    name: str
    question: str
    labels: tuple[Label, ...]
    unit: Unit = "conversation"
    context: Literal["so_far", "whole"] = "whole"
    """May the model see turns after the one asked about? `so_far`: no, or evaluation leaks the future."""
    language: str = "en"
    failure_modes: tuple[FailureMode, ...] = ()

    def __post_init__(self) -> None:
        names = [label.name for label in self.labels]
        targets = [label.name for label in self.labels if label.role == "target"]
        problems = [f"label {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        if len(targets) != 1:
            problems.append(f"exactly one label must have role 'target', got {targets or 'none'}")
        if problems:
            raise ConfigError("is not a task", where=f"task {self.name}", problems=problems)

    @cached_property
    def target(self) -> str:
        """The name of the label that is looked for."""
        return next(label.name for label in self.labels if label.role == "target")

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The closed set, in the order of the file."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def guideline(self) -> Guideline:
        """Definitions and rules in words, for people and for prompts."""
        return guideline_of(self.labels)

    def check_label(self, name: str) -> str:
        """`name` if it is in the closed set; ConfigError otherwise."""
        if name not in self.label_names:
            raise ConfigError(
                "label is not in the task's closed set",
                where=f"task {self.name}",
                got=name,
                fix=nearest(name, self.label_names),
            )
        return name
