"""What a sweep would do and cost, before it does or costs anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rich.console import RenderableType

from llmclf.classifiers.base import Classifier, items_of
from llmclf.classifiers.llm import LlmClassifier
from llmclf.config import LlmFile, SweepFile
from llmclf.llm.model import Model, Output, Request, request_hash
from llmclf.llm.prices import Price
from llmclf.llm.routes.base import Route
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import TableText, counted, rich_table
from llmclf.store import Store
from llmclf.sweeps.cells import Cell, Skipped
from llmclf.sweeps.earlier import done_earlier, spent_earlier
from llmclf.sweeps.inputs import Inputs, sweep_inputs
from llmclf.sweeps.tokens import Tokens, count_tokens, tokens_by
from llmclf.types import Conversation, Dataset, Item, Task

SHORT_ANSWER_TOKENS = {"json": 60, "letter": 1}
"""The least an answer is taken to need, by form of output."""

_REMOTE_SECONDS = (0.7, 5.0)
_REMOTE_TOKENS_PER_SECOND = 80.0
_LOCAL_PROMPT_TOKENS_PER_SECOND = (140.0, 30.0)
_LOCAL_ANSWER_TOKENS_PER_SECOND = (20.0, 10.0)
_LOCAL_ANSWER_TOKENS = 200
_SIMULATED_SECONDS = (0.002, 0.02)
_LEARNER_SECONDS_PER_ITEM_AND_FOLD = (0.002, 0.03)
_KEYWORD_SECONDS = (0.0001, 0.002)
_ENOUGH_CALLS = 5


class Span(NamedTuple):
    """A figure that will lie between two numbers."""

    low: float
    high: float

    def plus(self, other: Span) -> Span:
        """Both together."""
        return Span(self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class PlannedCell:
    """What one cell would do."""

    label: str
    calls: int
    """Calls to a model that would be made."""
    stored: int
    """Items whose answer is in the store already: free."""
    usd: Span | None
    """Dollars; None where the model's price is not known. Simulated dollars for a simulated cell."""
    seconds: Span
    endpoint: str = ""
    """Where texts go; empty where they stay on this machine."""
    leaving: frozenset[str] = frozenset()
    """Ids of the conversations whose texts would be sent there."""
    simulated: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The planned cell as JSON types."""
        return {
            "label": self.label,
            "settings": dict(self.settings),
            "simulated": self.simulated,
            "calls": self.calls,
            "stored": self.stored,
            "usd": None if self.usd is None else list(self.usd),
            "seconds": list(self.seconds),
            "endpoint": self.endpoint,
            "conversations_leaving": len(self.leaving),
        }


@dataclass(frozen=True)
class Plan:
    """Cells with calls, dollars and seconds as ranges; nothing was sent to make it.

    The low end of dollars takes every prompt token as cached and answers as short; the high end
    takes none as cached and every answer as long as its limit. What a call may cost at most is what
    the budget sets aside before it is sent, so a run never passes its cap, whatever the plan says.
    """

    cells: tuple[PlannedCell, ...]
    skipped: tuple[Skipped, ...]
    items: int
    positives: int | None
    """Targets among the items; None where they are not labelled."""
    budget_usd: float | None
    spent_earlier_usd: float = 0.0
    """What earlier executions of the same sweep spent of the budget."""
    missing_keys: tuple[str, ...] = ()
    """A sentence for each key that is not there: running needs it, planning does not."""

    @property
    def calls(self) -> int:
        """Calls to real models that would be made."""
        return sum(planned.calls for planned in self.cells if not planned.simulated)

    @property
    def usd(self) -> Span:
        """Dollars of all real cells with a known price."""
        return _total([p.usd for p in self.cells if p.usd is not None and not p.simulated])

    @property
    def leaving(self) -> dict[str, int]:
        """Endpoint to the number of conversations whose texts would be sent there."""
        ids: dict[str, set[str]] = {}
        for planned in self.cells:
            if planned.endpoint:
                ids.setdefault(planned.endpoint, set()).update(planned.leaving)
        return {place: len(found) for place, found in ids.items()}

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Cells whose model has no known price: they can't run under a cap."""
        return tuple(planned.label for planned in self.cells if planned.usd is None)

    @property
    def minutes(self) -> Span:
        """Minutes for everything, by what the store says of each model, else by a guess."""
        total = _total([planned.seconds for planned in self.cells])
        return Span(total.low / 60, total.high / 60)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types."""
        return {
            "items": self.items,
            "positives": self.positives,
            "calls": self.calls,
            "usd": list(self.usd),
            "minutes": list(self.minutes),
            "budget_usd": self.budget_usd,
            "spent_earlier_usd": self.spent_earlier_usd,
            "leaving": self.leaving,
            "unpriced": list(self.unpriced),
            "missing_keys": list(self.missing_keys),
            "tokens_by": tokens_by(),
            "cells": [planned.to_dict() for planned in self.cells],
            "skipped": [skip.to_dict() for skip in self.skipped],
        }

    def __rich__(self) -> RenderableType:
        made: RenderableType = rich_table(_table(self))
        return made

    @property
    def sentences(self) -> list[str]:
        """What a person should know before saying yes, one sentence each."""
        usd, minutes = self.usd, self.minutes
        targets = "" if self.positives is None else f" ({self.positives} targets)"
        said = [
            f"{counted(len(self.cells), 'cell')} on {counted(self.items, 'item')}{targets}: "
            f"{counted(self.calls, 'call')} to real models, "
            f"{_range(usd, 2)} dollars, {_range(minutes, 1)} minutes."
        ]
        if self.spent_earlier_usd:
            said.append(f"Earlier executions of this sweep spent ${self.spent_earlier_usd:.2f}; the cap counts them.")
        if self.budget_usd is not None:
            left = max(0.0, self.budget_usd - self.spent_earlier_usd)
            enough = "enough" if usd.high <= left else "it may stop before the end; what is done is kept"
            said.append(f"The cap is ${self.budget_usd:.2f}, ${left:.2f} of it left: {enough}.")
        said += [
            f"Texts that go to {place}: {counted(count, 'conversation')}." for place, count in self.leaving.items()
        ]
        if not self.leaving:
            said.append("No text leaves this machine.")
        said += [f"{label} has no known price and can't run under a cap." for label in self.unpriced]
        said += [f"{missing} before it runs." for missing in self.missing_keys]
        said += [f"Left out: {skip.label}: {skip.why}." for skip in self.skipped]
        if self.calls:
            said.append(f"Tokens are counted by {tokens_by()}.")
        return said


def plan(file: SweepFile, dataset: Dataset, task: Task, runtime: Runtime) -> Plan:
    """What `run` would do with the same arguments: calls, dollars and minutes as ranges, texts that leave.

    Answers that are in the runtime's store are counted as free. Nothing is sent and nothing is
    written. Raises ConfigError or DataError as `run` does before it begins, but needs no vendor's key:
    `missing_keys` says which of them `run` will ask for.
    """
    inputs = sweep_inputs(file, dataset, task, runtime)
    return Plan(
        tuple(_planned(cell, inputs, runtime) for cell in inputs.cells),
        inputs.skipped,
        len(inputs.dataset),
        inputs.positives,
        file.budget_usd,
        spent_earlier(runtime.store, inputs.inputs_hash) / 1e9,
        _missing_keys((cell.file.model for cell in inputs.cells if isinstance(cell.file, LlmFile)), runtime),
    )


def plan_items(classifier: Classifier, conversations: Iterable[Conversation], runtime: Runtime) -> Plan:
    """What asking one classifier about conversations would do: a plan with one cell, nothing sent."""
    by_id = {conversation.id: conversation for conversation in conversations}
    items = items_of(by_id.values(), classifier.task)
    if isinstance(classifier, LlmClassifier):
        planned = _planned_calls(classifier, by_id, items, runtime)
    else:
        planned = PlannedCell(classifier.name, 0, 0, Span(0, 0), _scaled(_KEYWORD_SECONDS, len(items)))
    cap = runtime.budget.cap_nano
    missing = _missing_keys([classifier.model.id], runtime) if isinstance(classifier, LlmClassifier) else ()
    return Plan((planned,), (), len(items), None, None if cap is None else cap / 1e9, missing_keys=missing)


def _missing_keys(model_ids: Iterable[str], runtime: Runtime) -> tuple[str, ...]:
    return tuple(said for model_id in dict.fromkeys(model_ids) for said in runtime.route(model_id).missing_keys())


def _planned(cell: Cell, inputs: Inputs, runtime: Runtime) -> PlannedCell:
    items = [example.item for example in inputs.dataset.examples]
    known: dict[str, Any] = {"simulated": cell.simulated, "settings": cell.settings, "label": cell.label}
    if done_earlier(runtime.store, cell.cell_id, inputs.dataset.content_hash) is not None:
        return PlannedCell(calls=0, stored=len(items), usd=Span(0, 0), seconds=Span(0, 0), **known)
    classifier = cell.classifier(inputs.task, runtime)
    if isinstance(classifier, LlmClassifier):
        return replace(_planned_calls(classifier, inputs.dataset.conversations, items, runtime), **known)
    each = _LEARNER_SECONDS_PER_ITEM_AND_FOLD if cell.learns else _KEYWORD_SECONDS
    seconds = _scaled(each, len(items) * (inputs.file.folds if cell.learns else 1))
    return PlannedCell(calls=0, stored=0, usd=Span(0, 0), seconds=seconds, **known)


def _planned_calls(
    classifier: LlmClassifier, conversations: Mapping[str, Conversation], items: Sequence[Item], runtime: Runtime
) -> PlannedCell:
    route = runtime.route(classifier.model.id)
    price = route.price()
    usd, tokens, leaving, stored = Span(0, 0), [], set(), 0
    output = Output("json")
    for item in items:
        conversation = conversations[item.conversation_id]
        if conversation.is_empty:
            continue  # fails without a call
        request = classifier.request(conversation, item.turn)
        output = request.output
        if _is_stored(request, route, runtime.store):
            stored += 1
            continue
        tokens.append(_tokens(request, route))
        leaving.add(item.conversation_id)
        if price is not None:
            usd = usd.plus(_call_usd(tokens[-1], price, request))
    leaves = route.leaves_machine and bool(leaving)
    return PlannedCell(
        classifier.name,
        len(tokens),
        stored,
        usd if price is not None else None,
        _seconds(tokens, output, classifier.model, route, runtime),
        route.endpoint() if leaves else "",
        frozenset(leaving) if leaves else frozenset(),
        route.simulated,
    )


def _is_stored(request: Request, route: Route, store: Store) -> bool:
    return store.stored_answer(request_hash(route.body(request), route.endpoint()), request.repeat) is not None


def _tokens(request: Request, route: Route) -> Tokens:
    if route.simulated:  # it takes four characters for a token, and so no tokenizer has to be loaded
        count = -(-sum(len(message.content) for message in request.messages) // 4)
        return Tokens(count, count)
    counts = [count_tokens(message.content, request.model.id) for message in request.messages]
    return Tokens(sum(count.low for count in counts), sum(count.high for count in counts))


def _call_usd(tokens: Tokens, price: Price, request: Request) -> Span:
    limit = request.model.output_limit(request.output)
    short = min(SHORT_ANSWER_TOKENS[request.output.kind], limit)
    low = tokens.low * min(price.cached_input_nano, price.input_nano) + short * price.output_nano
    high = tokens.high * max(price.cached_input_nano, price.input_nano) + limit * price.output_nano
    return Span(low / 1e9, high / 1e9)


def _seconds(tokens: Sequence[Tokens], output: Output, model: Model, route: Route, runtime: Runtime) -> Span:
    """Seconds for all calls of a cell; from the store where it knows the model, else a guess by route."""
    calls = len(tokens)
    if not calls:
        return Span(0, 0)
    if route.simulated:
        return _scaled(_SIMULATED_SECONDS, calls)
    at_once = runtime.concurrency if route.leaves_machine else 1
    measured = _measured_seconds(model, runtime.store)
    if measured is not None:
        return _scaled(measured, calls / at_once)
    short, limit = SHORT_ANSWER_TOKENS[output.kind], model.output_limit(output)
    if route.leaves_machine:
        low, high = _REMOTE_SECONDS
        return _scaled((low, high + limit / _REMOTE_TOKENS_PER_SECOND), calls / at_once)
    prompt = sum(count.low for count in tokens)
    (fast, slow), (quick, lame) = _LOCAL_PROMPT_TOKENS_PER_SECOND, _LOCAL_ANSWER_TOKENS_PER_SECOND
    answers = _scaled((short / quick, min(limit, _LOCAL_ANSWER_TOKENS) / lame), calls)
    return answers.plus(Span(prompt / fast, prompt / slow))


def _scaled(each: tuple[float, float], times: float) -> Span:
    return Span(each[0] * times, each[1] * times)


def _measured_seconds(model: Model, store: Store) -> Span | None:
    """Median and 95th percentile of the model's answers in the store, where there are enough."""
    import numpy as np

    thinking = "" if model.thinking is None else str(model.thinking)
    rows = store.query(
        "select latency_seconds as s from calls where model = ? and thinking = ? and state = 'done' "
        "and latency_seconds is not null order by finished_at desc limit 500",
        [model.id, thinking],
    )
    seconds = [float(row["s"]) for row in rows]
    if len(seconds) < _ENOUGH_CALLS:
        return None
    return Span(float(np.percentile(seconds, 50)), float(np.percentile(seconds, 95)))


def _total(spans: Sequence[Span]) -> Span:
    return Span(sum(span.low for span in spans), sum(span.high for span in spans))


def _table(made: Plan) -> TableText:
    rows = []
    for planned in made.cells:
        usd = "price unknown" if planned.usd is None else _range(planned.usd, 3)
        minutes = _range(_scaled(planned.seconds, 1 / 60), 1)
        row = (planned.label, str(planned.calls), str(planned.stored), usd, minutes)
        rows.append((*row[:3], "simulated", minutes) if planned.simulated else row)
    heads = ("cell", "calls", "stored", "dollars", "minutes")
    return TableText("What would be done", heads, tuple(rows), tuple(made.sentences), (), (1, 2, 3, 4))


def _range(span: Span, digits: int) -> str:
    least = 10**-digits
    if span.high < least:
        return "0" if span.high == 0 else f"<{least:g}"
    low, high = f"{span.low:.{digits}f}", f"{span.high:.{digits}f}"
    return high if low == high else f"{low}-{high}"
