"""What an optimization came to, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from llmclf.render import Prompt
from llmclf.render.tables import Shown, TableText, counted, html_table, rich_table, usd_text

Verdict = Literal["better", "worse", "not decided", "not better"]


@dataclass(frozen=True, slots=True)
class Spend:
    """Dollars of one kind of call, over all executions of the same inputs."""

    usd: float
    budget_usd: float
    before_usd: float = 0.0
    """What executions before this one spent of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate of the search."""

    origin: str
    prompt_id: str
    loss: float | None
    """On validation, in the optimization's unit; None where not all of it was asked."""
    score: float | None
    """Mean score on validation, 0 to 1."""
    recall: float | None
    """Share of what is looked for that it found on validation; a failure is a miss."""
    demonstrations: int
    input_tokens: float
    failed: int
    refused: str = ""
    """Why it can't be a prompt."""


@dataclass(frozen=True)
class Optimization(Shown):
    """The best candidate held against the parent prompt on items that neither was chosen by."""

    name: str
    kind: str
    """`classifier` or `judge`."""
    subject: str
    """The classifier or judge."""
    optimizer: str
    unit: str
    """Of the losses in `candidates`."""
    verdict: Verdict
    """`not better` where no candidate beat the parent on validation, so that none was tested."""
    sentence: str
    """What came out and what to do, for a person."""
    parent_prompt: Prompt
    prompt: Prompt | None
    """The chosen candidate under the name of the file; None where the parent was best."""
    comparison: Any
    """Of parent (A) and candidate (B) on the test part; None where that was not asked in full."""
    candidates: tuple[Row, ...]
    spend: Mapping[str, Spend]
    """`task` and `reflection`."""
    stopped: str
    """Why the search ended early; empty where it did not."""
    diff: str = field(repr=False)
    """Unified, from the parent's text to the candidate's."""
    written: str | None
    """The prompt's path; None where nothing was written."""
    run_id: str
    notes: tuple[str, ...] = ()
    simulated: bool = False
    cost_per_1000: tuple[float | None, float | None] = (None, None)
    """Model dollars per 1,000 items on test: parent, candidate."""
    input_tokens: tuple[float | None, float | None] = (None, None)
    """Mean input tokens of an item on test: parent, candidate."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "optimization": self.name,
            "kind": self.kind,
            "subject": self.subject,
            "optimizer": self.optimizer,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "unit": self.unit,
            "parent": self.parent_prompt.id,
            "prompt": None if self.prompt is None else self.prompt.id,
            "written": self.written,
            "stopped": self.stopped,
            "simulated": self.simulated,
            "run_id": self.run_id,
            "spend_usd": {name: asdict(one) for name, one in self.spend.items()},
            "candidates": [asdict(row) for row in self.candidates],
            "test": None if self.comparison is None else self.comparison.to_dict(),
            "model_usd_per_1000": list(self.cost_per_1000),
            "input_tokens": list(self.input_tokens),
            "diff": self.diff,
            "notes": list(self.notes),
        }

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        from llmclf.render.conversation import for_terminal

        parts = [rich_table(self._table())]
        if self.comparison is not None:
            parts += [Text(""), self.comparison.__rich__()]
        if self.diff:
            parts += [Text("\nPrompt, from the parent to the candidate", style="bold"), Text(for_terminal(self.diff))]
        return Group(*parts)

    def _repr_html_(self) -> str:
        from html import escape

        test = "" if self.comparison is None else self.comparison._repr_html_()
        return f"{html_table(self._table())}{test}{f'<pre>{escape(self.diff)}</pre>' if self.diff else ''}"

    def _table(self) -> TableText:
        rows = tuple(
            (
                row.origin,
                "?" if row.loss is None else f"{row.loss:,.4g}",
                "?" if row.recall is None else f"{row.recall:.0%}",
                f"{row.input_tokens:,.0f}",
                str(row.demonstrations),
            )
            for row in self.candidates
        )
        title = f"{self.sentence}\n{self.subject}, optimized by {self.optimizer}: {counted(len(rows), 'candidate')}"
        heads = ("candidate", self.unit, "recall", "tokens", "shown")
        spent = [
            f"{name}: {usd_text(one.usd)} spent of {usd_text(one.budget_usd)}, over all runs of it"
            for name, one in self.spend.items()
        ]
        early = [f"The search ended early: {self.stopped}"] if self.stopped else []
        flattering = ["Figures above are of validation, by which candidates were chosen: the best one's flatter it."]
        models = self._models()
        notes = (*flattering, *models, *spent, *early, *self.notes)
        return TableText(title, heads, rows, notes, ("SIMULATED",) if self.simulated else (), right=(1, 2, 3, 4))

    def _models(self) -> list[str]:
        (old, new), (few, many) = self.cost_per_1000, self.input_tokens
        if old is None or new is None or few is None or many is None:
            return []
        return [
            f"Model on test, old to new: {usd_text(old)} to {usd_text(new)} per 1,000, "
            f"{few:,.0f} to {many:,.0f} input tokens an item."
        ]
