"""What an optimization came to, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from llmclf.render import Prompt
from llmclf.render.tables import Shown, TableText, counted, html_table, rich_table, usd_text

_MOST_LINES = 40
"""Of the prompt's difference that a person is shown."""
Verdict = Literal["better", "worse", "not decided", "not better"]


@dataclass(frozen=True, slots=True)
class Spend:
    """Dollars of one kind of call, over all executions of the same inputs."""

    usd: float
    budget_usd: float
    before_usd: float = 0.0
    """What executions before this one spent of it."""
    open_usd: float = 0.0
    """Of `usd`, what is set aside for calls that were cut off, and may or may not have been billed."""


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
    """Answers on validation that failed."""
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
    """What came out, for a person."""
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
    looks: int = 1
    """Optimizations that tested a candidate on these items, this one among them."""
    nothing_loss: float | None = None
    """Loss of flagging nothing, in `unit`; None where that is not of dollars."""

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
            "nothing_loss": self.nothing_loss,
            "looks": self.looks,
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
            parts += [Text(""), _without_sentence(self.comparison)]
        if self.diff:
            lines = self.diff.splitlines()
            shown = "\n".join(lines[:_MOST_LINES])
            parts += [Text("\nPrompt, from the parent to the candidate", style="bold"), Text(for_terminal(shown))]
            if len(lines) > _MOST_LINES:
                parts.append(Text(f"... {len(lines) - _MOST_LINES} more lines; --json has all", style="dim"))
        return Group(*parts)

    def _repr_html_(self) -> str:
        from html import escape

        test = "" if self.comparison is None else self.comparison._repr_html_()
        return f"{html_table(self._table())}{test}{f'<pre>{escape(self.diff)}</pre>' if self.diff else ''}"

    def _table(self) -> TableText:
        some_failed = any(row.failed for row in self.candidates)
        rows: tuple[tuple[str, ...], ...] = tuple(
            (
                row.origin,
                "?" if row.loss is None else f"{row.loss:,.4g}",
                "?" if row.recall is None else f"{row.recall:.0%}",
                f"{row.input_tokens:,.0f}",
                str(row.demonstrations),
                *([str(row.failed)] if some_failed else []),
            )
            for row in self.candidates
        )
        if self.nothing_loss is not None:
            rows += (("(flag nothing)", f"{self.nothing_loss:,.4g}", "0%", "", "", *([""] if some_failed else [])),)
        tried = counted(len(self.candidates), "candidate")
        said = " ".join(each for each in (self.sentence, self.next_step) if each)
        title = f"{said}\n{self.subject}, optimized by {self.optimizer}: {tried}"
        heads = ("candidate", self.unit, "recall", "tokens", "shown", *(["failed"] if some_failed else []))
        spent = [
            f"{name}: {usd_text(one.usd)} spent of {usd_text(one.budget_usd)}, over all runs of it{_open(one)}"
            for name, one in self.spend.items()
        ]
        early = [f"The search ended early: {self.stopped}"] if self.stopped and self.stopped not in said else []
        flattering = ["Figures above are of validation, by which candidates were chosen: the best one's flatter it."]
        models = self._models()
        notes = (*flattering, *models, *spent, *early, *self.notes)
        return TableText(title, heads, rows, notes, ("SIMULATED",) if self.simulated else (), right=(1, 2, 3, 4, 5))

    @property
    def next_step(self) -> str:
        """How the written prompt goes into service; empty where none was written."""
        if self.written is None or self.prompt is None:
            return ""
        return f'To use it, set prompt = "{self.prompt.name}" in {self.kind} {self.subject}.'

    def _models(self) -> list[str]:
        (old, new), (few, many) = self.cost_per_1000, self.input_tokens
        if old is None or new is None or few is None or many is None:
            return []
        return [
            f"Model on test, old to new: {usd_text(old)} to {usd_text(new)} per 1,000, "
            f"{few:,.0f} to {many:,.0f} input tokens an item."
        ]


def _open(spend: Spend) -> str:
    """Money that may not have been spent, in words."""
    if spend.open_usd < 5e-5:
        return ""
    return f" ({usd_text(spend.open_usd)} of it set aside for calls that were cut off, which may not have been billed)"


def _without_sentence(comparison: Any) -> Any:
    """A comparison for rich; its sentence is said above already."""
    from llmclf.evaluation.comparison import Comparison
    from llmclf.evaluation.comparison_table import rich_of

    return rich_of(comparison, said=False) if isinstance(comparison, Comparison) else comparison.__rich__()
