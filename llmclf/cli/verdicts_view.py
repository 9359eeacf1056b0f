"""How one verdict, and its explanation, look on a terminal. Every text of others goes through `for_terminal`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llmclf.render.conversation import for_terminal, transcript
from llmclf.workspace.explaining import Explanation
from llmclf.workspace.showing import CallText, VerdictInFull
from llmclf.workspace.verdicts import said_of, score_of

_ASKED, _QUOTED, _LABELLED, _UNSEEN = ">", '"', "=", "·"
_MARKS = {
    _ASKED: "the turn asked about",
    _QUOTED: "quoted as evidence",
    _LABELLED: "evidence by the label",
    _UNSEEN: "not shown to the classifier",
}


@dataclass(frozen=True)
class VerdictView:
    """One verdict in full."""

    verdict: VerdictInFull

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return self.verdict.to_dict()

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        verdict = self.verdict
        yield _text(f"{verdict.prediction.item}   {verdict.label}, run {verdict.run}", style="bold")
        for note in verdict.notes:
            yield _text(f"- {note}", style="yellow")
        yield from _conversation(verdict)
        yield from _labels(verdict)
        yield from _said(verdict)
        yield from _call(verdict.call)
        yield from _others(verdict)


@dataclass(frozen=True)
class ExplanationView:
    """A verdict in plain words."""

    explained: Explanation

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return self.explained.to_dict()

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        one = self.explained
        if one.simulated:
            yield _text("SIMULATED: made-up answers, not a measurement", style="bold yellow")
        yield _text(one.answer, style="bold")
        yield from (_text(f"- {note}", style="yellow") for note in one.notes)
        yield _head("what was looked for")
        yield _text(f"{one.question} {one.meaning}")
        yield _head("how sure is that?")
        yield _text(one.sure)
        yield from (_text(line, style="dim") for line in one.basis)
        yield _head("what was said")
        yield _marked(list(_talk(one)))
        if one.pointed_by:
            yield _text(f"{_QUOTED} {one.pointed_by} points at it", style="dim")
        for quote in one.not_found:
            yield _text(f'Nobody said this here, do not rely on it: "{quote}"', style="bold red")
        yield _head("why")
        if one.reason:
            yield _text(one.reason)
        yield _text(f"{one.rule_from}: {one.rule}")
        if one.people:
            yield _text(one.people)
        yield _text("\nWhat happens next is for a person to decide: this changes nothing.", style="dim")


def _conversation(verdict: VerdictInFull) -> Iterable[Any]:
    if verdict.conversation is None:
        return
    quoted = {quote.turn for quote in verdict.prediction.evidence if quote.grounded}
    labelled = set(verdict.example.evidence_turns) if verdict.example else set()
    yield _head("conversation")
    rows = []
    for number, line in transcript(verdict.conversation.turns, about=verdict.prediction.turn).turns:
        marks = [
            *([_ASKED] if number == verdict.prediction.turn else []),
            *([_QUOTED] if number in quoted else []),
            *([_LABELLED] if number in labelled else []),
            *([_UNSEEN] if number >= verdict.seen else []),
        ]
        rows.append(("".join(marks), line))
    yield _marked(rows)
    used = [f"{mark} {meaning}" for mark, meaning in _MARKS.items() if any(mark in marks for marks, _ in rows)]
    if used:
        yield _text("; ".join(used), style="dim")


def _labels(verdict: VerdictInFull) -> Iterable[Any]:
    example = verdict.example
    if example is None:
        return
    yield _head("label")
    source = "" if example.source == "gold" else f" ({example.source})"
    yield _text(f"{verdict.true_label}{source}", style="bold")
    facts = {
        "failure modes": ", ".join(example.failure_modes),
        "stratum": example.stratum,
        "pair": example.pair,
        "note": example.note,
    }
    yield from (_text(f"{name}: {value}") for name, value in facts.items() if value)
    for one in example.annotations:
        rule = verdict.rule(one.rule)
        cited = f", {one.rule} ({rule.text})" if rule else f", {one.rule}" if one.rule else ""
        when = f", {one.at[:10]}" if one.at else ""
        task = "" if one.task == verdict.task.name else f" (task {one.task})"
        yield _text(f"{one.annotator}: {one.label}{task}{cited}{when}")
        if one.note:
            yield _text(f"    {one.note}", style="dim")


def _said(verdict: VerdictInFull) -> Iterable[Any]:
    prediction = verdict.prediction
    yield _head("what the classifier said")
    said, score = said_of(prediction, verdict.task), score_of(prediction)
    flagged = said == verdict.task.target
    style = "bold red" if flagged or prediction.error else "bold green"
    yield _text(f"{said}{'   (flagged)' if flagged else ''}{'   ' + score if score else ''}", style=style)
    if prediction.label not in (None, said):
        yield _text(f"its label is {prediction.label}: the threshold decides")
    if prediction.error is not None:
        yield _text(prediction.error.message)
    for quote in prediction.evidence:
        turn = "" if quote.turn is None else f"turn {quote.turn}: "
        yield _text(f'{turn}"{quote.quote}"{"" if quote.grounded else "   NOT IN THE CONVERSATION"}')
    if prediction.rationale:
        yield _text(prediction.rationale)
    if prediction.thinking:
        yield _text(f"thinking: {prediction.thinking}", style="dim")
    if prediction.truncated:
        yield _text("It did not see the whole conversation.", style="yellow")


def _call(call: CallText | None) -> Iterable[Any]:
    if call is None:
        return
    yield _head(f"prompt, as sent to {call.model}")
    if call.forgotten_at:
        yield _text(
            f"its words were erased on {call.forgotten_at[:10]}: neither prompt nor answer is kept", style="yellow"
        )
        return
    for role, text in call.messages:
        yield _text(f"{role}:", style="dim")
        yield _text(text)
    if call.settings:
        yield _text(f"with {json.dumps(call.settings, ensure_ascii=False)}", style="dim")
    yield _head("raw answer")
    if call.reasoning:
        yield _text(call.reasoning, style="dim")
    yield _text(call.answer or call.error or f"none came ({call.state})")
    if call.more_calls:
        yield _text(f"more calls about it: {', '.join(call.more_calls)}", style="dim")


def _others(verdict: VerdictInFull) -> Iterable[Any]:
    if not verdict.others:
        return
    yield _head("what other configurations said")
    rows = []
    for one in verdict.others:
        score = "" if one.score is None else f", score {one.score:.3f}"
        simulated = ", SIMULATED" if one.simulated else ""
        rows.append(("", f"{one.said}{score}{simulated}: {one.name} ({one.started_at[:10]})"))
    yield _marked(rows)
    if verdict.more_others:
        yield _text(f"and {verdict.more_others} more: --json has the first {len(verdict.others)}", style="dim")


def _talk(explained: Explanation) -> Iterable[tuple[str, str]]:
    """(mark, line) of each turn, and of each gap."""
    for passage in explained.passages:
        yield from _gap(passage.left_out_before)
        mark = f"{_ASKED if passage.asked else ''}{_QUOTED if passage.points else ''}"
        yield mark, f"{passage.who}: {passage.text}"
    yield from _gap(explained.left_out_after)


def _gap(count: int) -> Iterable[tuple[str, str]]:
    if count:
        yield "", f"({count} {'message' if count == 1 else 'messages'} left out)"


def _head(text: str) -> Any:
    return _text(f"\n{text}", style="bold cyan")


def _marked(rows: list[tuple[str, str]]) -> Any:
    """Lines with marks in the margin; a long one goes on under itself."""
    from rich.table import Table

    width = max((len(mark) for mark, _ in rows), default=0)
    table = Table.grid(padding=(0, 1 if width else 0, 0, 0))
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    for mark, line in rows:
        table.add_row(_text(mark, style="bold"), _text(line))
    return table


def _text(text: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(for_terminal(text), style=style)
