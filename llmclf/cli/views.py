"""How results look on a terminal, where the value has no form of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llmclf.render.conversation import for_terminal
from llmclf.types import Conversation, Prediction, Predictions, Task
from llmclf.types.prediction import said_label

_SCORE_DIGITS = 12


@dataclass(frozen=True)
class predictions_view:
    """Predictions for people: one in full, many as counts and the flagged ones."""

    predictions: Predictions
    conversations: list[Conversation]
    task: Task

    def to_dict(self) -> dict[str, Any]:
        """Every prediction as JSON types."""
        return {"predictions": [prediction_dict(prediction) for prediction in self.predictions]}

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        """One prediction in full, or a summary of many."""
        if len(self.predictions) == 1:
            yield from _one(self.predictions[0], self.task)
            return
        yield from _many(self.predictions)


def prediction_dict(prediction: Prediction) -> dict[str, Any]:
    """The prediction as JSON types, its score without the noise of binary fractions: 0.1, not 0.09999999999999998."""
    row = prediction.to_dict()
    if prediction.score is not None:
        row["score"] = round(prediction.score, _SCORE_DIGITS)
    return row


def _one(prediction: Prediction, task: Task) -> Iterable[Any]:
    from rich.text import Text

    if prediction.error is not None:
        yield Text(f"no label: {prediction.error.kind}", style="bold red")
        yield Text(for_terminal(prediction.error.message))
        return
    style = "bold red" if prediction.flagged else "bold green"
    said = said_label(prediction.flagged, prediction.label, task.target)
    yield Text(f"{said}{'   (flagged)' if prediction.flagged else ''}", style=style)
    if prediction.score is not None:
        limit = f", threshold {prediction.threshold:.2f}" if prediction.threshold is not None else ""
        yield Text(f"score {prediction.score:.3f} by {prediction.score_method}{limit}")
    for quote in prediction.evidence:
        mark = "" if quote.grounded else "   (not in the conversation: review)"
        yield Text(for_terminal(f'  turn {quote.turn}: "{quote.quote}"{mark}'))
    if prediction.rationale:
        yield Text(for_terminal(prediction.rationale))
    if prediction.truncated:
        yield Text("It did not see the whole conversation.", style="yellow")
    if prediction.simulated:
        yield Text("SIMULATED: not a measurement.", style="yellow")
    yield Text(_cost_line(prediction), style="dim")


def _many(predictions: Predictions) -> Iterable[Any]:
    from rich.table import Table
    from rich.text import Text

    flagged = [prediction for prediction in predictions if prediction.flagged]
    failed = [prediction for prediction in predictions if prediction.error is not None]
    yield Text(f"{len(predictions)} items: {len(flagged)} flagged, {len(failed)} failed (failed is not 'no')")
    if flagged:
        table = Table("item", "score", "evidence or rationale", box=None)
        for prediction in flagged[:50]:
            reason = prediction.evidence[0].quote if prediction.evidence else prediction.rationale
            score = "" if prediction.score is None else f"{prediction.score:.3f}"
            table.add_row(Text(str(prediction.item)), score, Text(for_terminal(reason[:80])))
        yield table
        yield from _more(len(flagged), 50, "flagged")
    for prediction in failed[:20]:
        assert prediction.error is not None
        text = f"{prediction.item}: {prediction.error.kind}: {prediction.error.message}"
        yield Text(for_terminal(text), style="red")
    yield from _more(len(failed), 20, "failed")


def _more(count: int, shown: int, what: str) -> Iterable[Any]:
    from rich.text import Text

    if count > shown:
        yield Text(f"and {count - shown} more {what}: --json or --out FILE has all", style="dim")


def _cost_line(prediction: Prediction) -> str:
    cost = "price unknown" if prediction.cost_usd is None else f"${prediction.cost_usd:.6f}"
    seconds = "" if prediction.latency_seconds is None else f", {prediction.latency_seconds:.1f} s"
    return f"{prediction.classifier_id}: {cost}{seconds}{', from the store' if prediction.cached else ''}"
