"""What training again came to, and what it would do: for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llmclf.evaluation import Evaluation
from llmclf.evaluation.comparison import Comparison
from llmclf.evaluation.comparison_table import tables_of
from llmclf.evaluation.table import table_of
from llmclf.render.tables import Shown, TableText, counted
from llmclf.sweeps.run_card import card_lines

YES = ("better", "first", "reproduced")
"""Verdicts that are what was hoped for."""
NO_BETTER = "not better than flagging nothing"
"""The verdict on first weights that are shown to cost more than no classifier at all."""
_OF_CARD = ("dataset", "parts", "weights")
"""What is shown of a run card where that is all there is to show."""


@dataclass(frozen=True)
class Retraining(Shown):
    """A candidate that learned from the newest labels, held against what is running."""

    classifier: str
    verdict: str
    """`better`, `worse` or `not decided` against what runs; `first` where nothing ran, or `not better than flagging
    nothing`; of a run card `reproduced` or `not reproduced`."""
    sentence: str
    comparison: Comparison | None
    """A is what runs, B the candidate, on items that the candidate has not seen; None where nothing was compared."""
    evaluation: Evaluation | None
    """The candidate's where there was nothing to compare it with."""
    card: Mapping[str, Any] = field(repr=False)
    """The run card; see `llmclf.sweeps.run_card`."""
    files: Mapping[str, str]
    """What was written: `weights`, `previous`, `prompt`, `classifier`, each with its path."""
    notes: tuple[str, ...]
    run_id: str
    simulated: bool = False

    @property
    def is_yes(self) -> bool:
        """True where the verdict is better, first or reproduced."""
        return self.verdict in YES

    @property
    def way_back(self) -> str:
        """The command that makes the weights of before run again; empty where none were replaced."""
        if "previous" not in self.files:
            return ""
        return shlex.join(["mv", self.files["previous"], self.files["weights"]])

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "classifier": self.classifier,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "simulated": self.simulated,
            "run_id": self.run_id,
            "files": dict(self.files),
            "way_back": self.way_back,
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
            "run_card": dict(self.card),
            "notes": list(self.notes),
        }

    def _table(self) -> TableText:
        rows = [line for line in card_lines(self.card) if line[0] in _OF_CARD] if "weights" in self.card else []
        shown = TableText("", ("", ""), (*rows, *self.files.items()))
        if self.comparison is not None:
            shown = tables_of(self.comparison, said=self.comparison.sentence not in self.sentence)[0]
        elif self.evaluation is not None:
            shown = table_of(self.evaluation)
        stamps = shown.stamps or (("SIMULATED",) if self.simulated else ())
        title = "\n".join(line for line in (self.sentence, shown.title) if line)
        return replace(shown, title=title, notes=(*self.notes, *shown.notes), stamps=stamps)


@dataclass(frozen=True)
class RetrainingPlan(Shown):
    """What training a probe again would learn from and be tested on. It costs nothing and asks no model."""

    classifier: str
    dataset: str
    parts: Mapping[str, Mapping[str, int]]
    """Items and targets of `train` and `test`."""
    notes: tuple[str, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "classifier": self.classifier,
            "dataset": self.dataset,
            "parts": {name: dict(part) for name, part in self.parts.items()},
            "usd": 0.0,
            "notes": list(self.notes),
            "problems": list(self.problems),
        }

    def _table(self) -> TableText:
        rows = tuple((name, f"{part['items']:,}", f"{part['targets']:,}") for name, part in self.parts.items())
        total = sum(part["items"] for part in self.parts.values())
        title = f"{self.classifier} would be trained again on {self.dataset} ({counted(total, 'item')}), for $0"
        return TableText(title, ("part", "items", "targets"), rows, self.notes, right=(1, 2))
