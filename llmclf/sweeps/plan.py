"""What a sweep would do and cost, before it does or costs anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmclf.classifiers.base import Classifier, items_of
from llmclf.classifiers.llm import LlmClassifier
from llmclf.config import LlmFile, SweepFile
from llmclf.errors import ConfigError, DataError, LlmclfError
from llmclf.llm.media_tokens import media_tokens
from llmclf.llm.model import THINKING_TOKENS, Model, Request, body_text, request_hash
from llmclf.llm.plans import STANDARD, Plan as PricePlan, plan_of
from llmclf.llm.routes.base import Route
from llmclf.llm.rules import check_allowed
from llmclf.llm.runtime import Runtime
from llmclf.store import Store, StoredAnswer
from llmclf.sweeps.cells import Cell
from llmclf.sweeps.earlier import done_earlier, spent_earlier
from llmclf.sweeps.inputs import Inputs, sweep_inputs
from llmclf.sweeps.money import caps_left
from llmclf.sweeps.planned import Plan, PlannedCell, Span, scaled
from llmclf.sweeps.racing import Track
from llmclf.sweeps.tokens import Tokens, count_tokens
from llmclf.types import Conversation, Dataset, Item, Task, Usage

SHORT_ANSWER_TOKENS = {"json": 60, "letter": 1}
"""The least an answer is taken to need, by form of output."""

_LIKELY_ANSWER_TOKENS = {"json": 250, "letter": 1}
_LIKELY_SHARE_OF_THINKING = 0.25  # of the room that is left for it
_ENDPOINT_SECONDS = (0.5, 3.0)  # to the first token
_ENDPOINT_TOKENS_PER_SECOND = (200.0, 60.0)
_LOCAL_PROMPT_TOKENS_PER_SECOND = (140.0, 30.0)
_LOCAL_ANSWER_TOKENS_PER_SECOND = (20.0, 10.0)
_LOCAL_ANSWER_TOKENS = 200
_SIMULATED_SECONDS = (0.002, 0.02)
_LEARNER_SECONDS_PER_ITEM_AND_FOLD = (0.002, 0.03)
_KEYWORD_SECONDS = (0.0001, 0.002)
_ENOUGH_CALLS = 5


def plan(file: SweepFile, dataset: Dataset, task: Task, runtime: Runtime) -> Plan:
    """What `run` would do with the same arguments: calls, dollars and minutes as ranges, texts that leave.

    Answers that are in the runtime's store are counted as free, unless its cache is off; where it is
    read-only, no call is counted. Nothing is sent and nothing is written. Raises ConfigError or
    DataError as `run` does before it begins, but needs no vendor's key: `missing_keys` says which of
    them `run` will ask for, and `problems` what the workspace's rules would refuse.

    Of a race nobody knows when cells are dropped: its range is from the one in which all but one cell of each race are
    dropped after the first round to the whole grid.
    """
    inputs = sweep_inputs(file, dataset, task, runtime)
    items = [example.item for example in inputs.dataset.examples]
    first = Track.of(inputs.dataset, task, file).new(1) if file.strategy == "racing" else []
    cells: list[PlannedCell] = []
    before: dict[str, str] = {}
    for cell in inputs.cells:
        planned = _planned(cell, inputs, items, runtime, before)
        if first and planned.calls:
            planned = replace(planned, first_round=_planned(cell, inputs, first, runtime, before))
        cells.append(planned)
        before.setdefault(cell.answers_id, cell.label)
    return Plan(
        tuple(cells),
        inputs.skipped,
        len(inputs.dataset),
        inputs.positives,
        file.budget_usd,
        spent_earlier(runtime.store, inputs.inputs_hash) / 1e9,
        _missing_keys((cell.file.model for cell in inputs.cells if isinstance(cell.file, LlmFile)), runtime),
        caps_left(runtime, inputs.inputs_hash, file.budget_usd),
        len(first),
    )


def plan_items(
    classifier: Classifier,
    conversations: Iterable[Conversation],
    runtime: Runtime,
    items: Sequence[Item] | None = None,
    *,
    repeat: int = 0,
) -> Plan:
    """What asking one classifier about conversations would do: a plan with one cell, nothing sent.

    Of `items`, or of all that its task is about. `repeat` is that of the answers, as `LlmClassifier.predict` has it.
    """
    by_id = {conversation.id: conversation for conversation in conversations}
    items = items_of(by_id.values(), classifier.task) if items is None else items
    if isinstance(classifier, LlmClassifier):
        standard = plan_of(STANDARD, classifier.model.id, {}, runtime.route(classifier.model.id).price())
        planned = _planned_calls(classifier, by_id, items, runtime, standard, repeat)
    else:
        planned = PlannedCell(classifier.name, 0, 0, Span(0, 0), scaled(_KEYWORD_SECONDS, len(items)))
    caps = caps_left(runtime)
    missing = _missing_keys([classifier.model.id], runtime) if isinstance(classifier, LlmClassifier) else ()
    budget_usd = caps[0].left_usd if caps else None
    return Plan((planned,), (), len(items), None, budget_usd, missing_keys=missing, caps=caps)


def _missing_keys(model_ids: Iterable[str], runtime: Runtime) -> tuple[str, ...]:
    """A sentence for each key that a run would ask for; none where nobody is to be asked."""
    if runtime.cache == "read-only":
        return ()
    return tuple(said for model_id in dict.fromkeys(model_ids) for said in runtime.route(model_id).missing_keys())


def _refusals(classifier: LlmClassifier, runtime: Runtime) -> tuple[str, ...]:
    """Everything but missing keys for which a run would refuse the classifier before it begins."""
    return tuple(dict.fromkeys([*_route_refusals(classifier.model, runtime), *classifier.unsupported()]))


def _route_refusals(model: Model, runtime: Runtime) -> tuple[str, ...]:
    """Why the rules, this machine or the model itself would refuse a call, missing keys apart."""
    route, found = runtime.route(model.id), list[str]()
    try:
        check_allowed(model.id, route, runtime.rules)
    except ConfigError as error:
        found.append(str(error))
    if runtime.cache != "read-only":
        found += route.missing_pieces()
    return tuple(dict.fromkeys([*found, *route.unsupported(model)]))


def _done_earlier(cell: Cell, inputs: Inputs, runtime: Runtime) -> bool:
    if runtime.cache == "off":
        return False
    return done_earlier(runtime.store, cell, inputs.dataset.content_hash) is not None


def _planned(
    cell: Cell, inputs: Inputs, items: Sequence[Item], runtime: Runtime, before: Mapping[str, str]
) -> PlannedCell:
    """What one cell would do about `items`; `before` are answers that cells before it will have bought, by label."""
    known: dict[str, Any] = {"simulated": cell.simulated, "settings": cell.settings, "label": cell.label}
    classifier = cell.classifier(inputs.task, runtime)
    if not isinstance(classifier, LlmClassifier):
        if _done_earlier(cell, inputs, runtime):
            return PlannedCell(calls=0, stored=len(items), usd=Span(0, 0), seconds=Span(0, 0), **known)
        each = _LEARNER_SECONDS_PER_ITEM_AND_FOLD if cell.learns else _KEYWORD_SECONDS
        seconds = scaled(each, len(items) * (inputs.file.folds if cell.learns else 1))
        return PlannedCell(calls=0, stored=0, usd=Span(0, 0), seconds=seconds, **known)
    price_plan = cell.plan
    assert price_plan is not None
    planned = replace(
        _planned_calls(classifier, inputs.dataset.conversations, items, runtime, price_plan),
        plan=price_plan.name,
        plan_note=price_plan.note,
        **known,
    )
    twin = before.get(cell.answers_id, "")
    if not planned.problems and (twin or _done_earlier(cell, inputs, runtime)):
        nothing = Span(0, 0)
        return replace(
            planned,
            calls=0,
            stored=len(items),
            lost=0,
            usd=nothing,
            seconds=nothing,
            seconds_by="",
            endpoint="",
            leaving=frozenset(),
            same_as=twin,
        )
    return planned


def _planned_calls(
    classifier: LlmClassifier,
    conversations: Mapping[str, Conversation],
    items: Sequence[Item],
    runtime: Runtime,
    price_plan: PricePlan,
    repeat: int = 0,
) -> PlannedCell:
    problems = _refusals(classifier, runtime)
    asked = (
        (item.conversation_id, _requests(classifier, conversations[item.conversation_id], item, repeat))
        for item in items
    )
    return _planned_requests(classifier.name, classifier.model, asked, runtime, price_plan, problems)


def plan_requests(
    asked: Mapping[tuple[str, Model], Iterable[tuple[str, Sequence[Request]]]], runtime: Runtime, items: int
) -> Plan:
    """What asking some models would do: a plan with a cell for each (label, model), nothing sent.

    `asked` holds what is to be asked about each item: the id of its conversation, and the requests. `items` is how
    many there are.
    """
    cells = []
    for (label, model), requests in asked.items():
        route = runtime.route(model.id)
        standard = plan_of(STANDARD, model.id, {}, route.price())
        problems = _route_refusals(model, runtime)
        cells.append(_planned_requests(label, model, requests, runtime, standard, problems))
    caps = caps_left(runtime)
    missing = _missing_keys([model.id for _, model in asked], runtime)
    return Plan(tuple(cells), (), items, None, caps[0].left_usd if caps else None, missing_keys=missing, caps=caps)


def _planned_requests(
    label: str,
    model: Model,
    asked: Iterable[tuple[str, Sequence[Request]]],
    runtime: Runtime,
    price_plan: PricePlan,
    problems: tuple[str, ...],
) -> PlannedCell:
    """What the requests about each item, with the id of its conversation, would do."""
    route = runtime.route(model.id)
    if problems:
        nothing = Span(0, 0)
        return PlannedCell(label, 0, 0, nothing, nothing, simulated=route.simulated, problems=problems)
    asks = runtime.cache != "read-only" and not route.replays
    standard = price_plan.standard
    paid, shown, count = Span(0, 0), _known_span(price_plan), 0
    waiting, leaving, stored, lost = list[_Call](), set[str](), 0, 0
    for conversation_id, requests in asked:
        count += 1
        missing = False
        for request in requests:
            call, answer = _Call.of(request, route), _stored(request, route, runtime)
            each = call.usd(price_plan) if answer is None else _usd(price_plan, answer.usage, answer.usage)
            shown = None if shown is None or each is None else shown.plus(each)
            if answer is None:
                missing = True
                waiting += [call] if asks else []
                if asks and standard is not None:
                    paid = paid.plus(call.usd(plan_of(STANDARD, "", {}, standard)) or Span(0, 0))
        stored += bool(requests) and not missing
        if missing and asks:
            leaving.add(conversation_id)
        lost += missing and not asks
    leaves = route.leaves_machine and bool(leaving)
    seconds, seconds_by = _seconds(waiting, model, route, runtime)
    return PlannedCell(
        label,
        len(waiting),
        stored,
        paid if standard is not None or not asks else None,
        seconds,
        route.endpoint() if leaves else "",
        frozenset(leaving) if leaves else frozenset(),
        route.simulated,
        per_1000_usd=None if shown is None or not count else scaled(shown, 1000 / count),
        lost=lost,
        seconds_by=seconds_by,
    )


@dataclass(frozen=True)
class _Call:
    """One request and how many tokens it may be."""

    request: Request
    tokens: Tokens
    """Of words and media."""
    audio: int
    """Of those, the most that recordings can be."""

    @classmethod
    def of(cls, request: Request, route: Route) -> _Call:
        media = [one for message in request.messages for one in message.media]
        audio = media_tokens([one for one in media if one.kind == "audio"], request.model.id)
        most = audio + media_tokens([one for one in media if one.kind != "audio"], request.model.id)
        words = _tokens(request, route)
        return cls(request, Tokens(words.low, words.high + most), audio)

    @property
    def limit(self) -> int:
        """Output tokens, thinking included."""
        return self.request.model.output_limit(self.request.output)

    @property
    def short(self) -> int:
        """The least output tokens."""
        return min(SHORT_ANSWER_TOKENS[self.request.output.kind], self.limit)

    def usd(self, price_plan: PricePlan) -> Span | None:
        """Dollars under a plan: all cached and short, to nothing cached and as long as the limit."""
        low, limit = self.tokens.low, self.limit
        return _usd(price_plan, Usage(low, low, self.short), Usage(self.tokens.high, 0, limit, limit, self.audio))


def _usd(price_plan: PricePlan, least: Usage, most: Usage) -> Span | None:
    low, high = price_plan.cost(least), price_plan.cost(most)
    return None if low is None or high is None else Span(low / 1e9, high / 1e9)


def _known_span(price_plan: PricePlan) -> Span | None:
    return None if price_plan.cost(Usage(0, 0, 0)) is None else Span(0, 0)


def _requests(classifier: LlmClassifier, conversation: Conversation, item: Item, repeat: int) -> Sequence[Request]:
    """What would be asked about an item; nothing where it fails without a call."""
    if conversation.is_empty:
        return ()
    try:
        return classifier.requests(conversation, item.turn, repeat)
    except DataError:  # media that can't be read: the item will fail, and says so then
        return ()


def _stored(request: Request, route: Route, runtime: Runtime) -> StoredAnswer | None:
    """The answer that the runtime would use in place of a call."""
    if route.replays:
        try:
            return route.recorded(request, route.body(request), runtime.store)
        except LlmclfError:  # the source is broken: the item will fail, and says so then
            return None
    if runtime.cache == "off":
        return None
    return runtime.store.stored_answer(request_hash(body_text(route.body(request)), route.endpoint()), request.repeat)


def _tokens(request: Request, route: Route) -> Tokens:
    if route.simulated:  # it takes four characters for a token, and so no tokenizer has to be loaded
        count = -(-sum(len(message.content) for message in request.messages) // 4)
        return Tokens(count, count)
    counts = [count_tokens(message.content, request.model.id) for message in request.messages]
    return Tokens(sum(count.low for count in counts), sum(count.high for count in counts))


def _seconds(waiting: Sequence[_Call], model: Model, route: Route, runtime: Runtime) -> tuple[Span, str]:
    """(seconds for all calls of a cell, by what): by the store where it knows the model, else a guess by route."""
    calls = len(waiting)
    if not calls:
        return Span(0, 0), ""
    if route.simulated:
        return scaled(_SIMULATED_SECONDS, calls), ""
    in_process = route.name == "local"
    at_once = 1 if in_process else runtime.concurrency
    turns = max(1.0, calls / at_once)
    measured, count = _measured_seconds(model, runtime.store)
    if measured is not None:
        return scaled(measured, turns), f"the last {count} answers of {model.id} in the store"
    short, limit = waiting[0].short, waiting[0].limit
    if not in_process:
        likely = min(limit, _LIKELY_ANSWER_TOKENS[waiting[0].request.output.kind] + _likely_thinking(model))
        (soon, late), (fast, slow) = _ENDPOINT_SECONDS, _ENDPOINT_TOKENS_PER_SECOND
        each = Span(soon + short / fast, late + likely / slow)
        basis = f"a guess, for the store has no times of {model.id}: {each.low:.1f} to {each.high:.0f} s an answer"
        return scaled(each, turns), f"{basis}, {at_once} at once"
    prompt = sum(call.tokens.low for call in waiting)
    (fast, slow), (quick, lame) = _LOCAL_PROMPT_TOKENS_PER_SECOND, _LOCAL_ANSWER_TOKENS_PER_SECOND
    answers = scaled((short / quick, min(limit, _LOCAL_ANSWER_TOKENS) / lame), calls)
    basis = f"a guess, for the store has no times of {model.id}: a small model in this process"
    return answers.plus(Span(prompt / fast, prompt / slow)), basis


def _likely_thinking(model: Model) -> int:
    """Tokens of reasoning that an answer may take; without a setting as at `low`, for many models reason then, too."""
    room = model.thinking if isinstance(model.thinking, int) else THINKING_TOKENS[model.thinking or "low"]
    return round(room * _LIKELY_SHARE_OF_THINKING)


def _measured_seconds(model: Model, store: Store) -> tuple[Span | None, int]:
    """(median and 95th percentile, of how many answers) of the model in the store; None where there are too few."""
    import numpy as np

    thinking = "" if model.thinking is None else str(model.thinking)
    rows = store.query(
        "select latency_seconds as s from calls where model = ? and thinking = ? and state = 'done' "
        "and latency_seconds is not null order by finished_at desc limit 500",
        [model.id, thinking],
    )
    seconds = [float(row["s"]) for row in rows]
    if len(seconds) < _ENOUGH_CALLS:
        return None, 0
    return Span(float(np.percentile(seconds, 50)), float(np.percentile(seconds, 95))), len(seconds)
