"""The runtime: store, budget, prices, cache and clients of one process."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import math
import os
import threading
import time
import weakref
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeGuard, TypeVar, get_args
from uuid import uuid4

from llmclf.config import Privacy, load_models, load_pace, load_prices, load_workspace
from llmclf.config.loading import as_folder
from llmclf.errors import ConfigError, LlmclfError, ModelError, nearest
from llmclf.llm.answers import is_broken_off
from llmclf.llm.budget import Budget
from llmclf.llm.calls import Caller, Prepared, from_store
from llmclf.llm.caps import Period, SharedCaps
from llmclf.llm.loop import LoopThread
from llmclf.llm.model import Model, Request, Response, Subject, body_text, request_hash
from llmclf.llm.pace import Pace
from llmclf.llm.prices import Price
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.making import RouteMaker
from llmclf.llm.routes.sim import Truth
from llmclf.llm.rules import check_allowed, checked_price
from llmclf.llm.telemetry import Spans
from llmclf.render.redaction import Redaction
from llmclf.store import Store, StoredAnswer
from llmclf.types import Conversation, Dataset, Task

T = TypeVar("T")
IN_MEMORY = ":memory:"
_END_SECONDS = 2.0  # how long the end of cancelled work is waited for
Cache = Literal["read-write", "read-only", "off"]
"""How answers in the store are used: `read-only` never asks a model, `off` always does."""


class Runtime:
    """Everything one process shares to call models; knows nothing of classifiers or sweeps.

        with llmclf.Runtime(store="llmclf.db", max_usd=5) as runtime:
            classifier = llmclf.load_classifier("refusal_to_transfer", runtime=runtime)

    `store` is a path, a Store, or None (or ":memory:") for one in memory. `max_usd` caps what is spent
    through this runtime. The workspace's caps for hour, day and month hold as well, for all processes
    on one store together; without any cap a model that costs money can't be called. `cache="off"` asks
    everything anew, `cache="read-only"` nothing: what is not in the store fails as `not_found`.
    `concurrency` is how many calls are under way at once, fewer where a vendor pushes back. `tracer_provider` is
    OpenTelemetry's: each call becomes a span without words. One thread runs the event loop for all
    callers; a child made by fork makes its own, and has what was left of `max_usd` for itself: give
    each child a cap of its own.
    """

    def __init__(
        self,
        store: str | Path | Store | None = None,
        *,
        max_usd: float | None = None,
        workspace: str | Path | None = None,
        cache: Cache = "read-write",
        concurrency: int = 8,
        tracer_provider: Any = None,
    ) -> None:
        _check_arguments(store, max_usd, concurrency, cache)
        self.workspace = as_folder(workspace)
        self.rules = load_workspace(self.workspace)
        self._truth: dict[tuple[str, str, int | None], Truth] = {}
        self._maker = RouteMaker(load_models(self.workspace), load_prices(self.workspace), self.workspace, self._truth)
        self._pace_rows = load_pace(self.workspace)
        self._spans = Spans(tracer_provider)
        self.redaction = _redaction(self.rules.privacy)
        self._owns_store = not isinstance(store, Store)
        path = None if store == IN_MEMORY else store
        self.store = path if isinstance(path, Store) else Store(path, redaction=self.redaction)
        self.cache: Cache = cache
        self.owner = uuid4().hex
        """What this runtime's calls and its slices of shared caps are booked under."""
        self.budget = self._make_budget(max_usd)
        self.run_id = ""
        """The run that calls are booked on; set by whoever runs something."""
        self.concurrency = concurrency
        """Calls under way at once."""
        self._routes: dict[str, Route] = {}
        self._checked: dict[Model, Price] = {}
        """Prices of the models that were found fit to be called."""
        self._lock = threading.Lock()
        self._loop_thread: LoopThread | None = None
        self._pid = os.getpid()
        self._closed = False

    # --- models -----------------------------------------------------------------------------

    def route(self, model_id: str) -> Route:
        """The route to a model; ConfigError where its name leads nowhere."""
        self._check_process()
        with self._lock:
            if model_id not in self._routes:
                self._routes[model_id] = self._maker.make(model_id)
            return self._routes[model_id]

    def check(self, models: Iterable[Model]) -> None:
        """Everything that would keep these models from answering, in one error, before anything is paid.

        Raises ConfigError (unknown model, no key, no weights, not allowed, a setting it can't honour)
        or BudgetError (no cap, or no known price).
        """
        wanted = list(dict.fromkeys(models))
        _raise_any([problem for model in wanted for problem in self._problems(model)])
        for model in wanted if self.cache != "read-only" else ():
            checked_price(model.id, self.route(model.id), self.budget)

    async def prepare(self, model_id: str) -> None:
        """Waits until the client of a model is loaded, which takes seconds once in a process."""
        await self.route(model_id).prepare()

    def tell_simulator(self, dataset: Dataset, task: Task) -> None:
        """Tells the simulated vendor the truth about a dataset; real routes never see it."""
        roles = {label.name: label.role for label in task.labels}
        for example in dataset.for_task(task.name).examples:
            label = example.labels[task.name]
            conversation = self.redacted(dataset.conversation(example))
            key = (task.name, conversation.content_hash, example.turn)
            self._truth[key] = Truth(
                label, roles[label], task.target, tuple(example.failure_modes), tuple(example.evidence_turns)
            )

    def tell_truth(self, subject: Subject, truth: Truth) -> None:
        """Tells the simulated vendor the truth about the subject of a request."""
        self._truth[subject.task, subject.content_hash, subject.turn] = truth

    def redacted(self, conversation: Conversation, *, for_others: bool = False) -> Conversation:
        """The conversation as it may be sent: without personal data where privacy says so.

        Where that is taken out only before storing, the store learns here what to look for in answers.
        `for_others`: it goes into requests about other conversations, whose answers the store would
        not search for it, so it is taken out here in any case but `off`.
        """
        if self.redaction.before_sending or (for_others and self.redaction.before_storing):
            return self.redaction.redact(conversation).conversation
        self.store.learn(conversation)
        return conversation

    # --- calls ------------------------------------------------------------------------------

    async def arespond(self, request: Request) -> Response:
        """The response to a request: from the store where it is there, else from the model, within budget.

        The same request is sent once, however many ask for it at once. Raises ModelError for every
        way in which a call can fail, and ConfigError or BudgetError, before it is sent, as `check` does.
        Works from any event loop.
        """
        return await self.arun(self._respond(request))

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the runtime's own loop and waits for it from any other; cancelling one cancels both."""
        if self._loop_thread is not None and self._loop_thread.alive and self._loop_thread.is_current:
            return await work
        try:
            return await asyncio.wrap_future(self._submit(work))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise self._was_closed() from None
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the runtime's own loop and waits; also works inside a running loop's thread.

        Ctrl-C ends it: nothing of it goes on once KeyboardInterrupt is raised here.
        """
        if self._loop_thread is not None and self._loop_thread.alive and self._loop_thread.is_current:
            work.close()
            raise LlmclfError("a call that blocks can't be made from the runtime's own thread", fix="await it instead")
        ended = threading.Event()

        async def watched() -> T:
            try:
                return await work
            finally:
                ended.set()

        if self._closed:
            work.close()
        future = self._submit(watched())
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise self._was_closed() from None
        except BaseException:
            future.cancel()
            ended.wait(_END_SECONDS)
            raise

    @staticmethod
    def _was_closed() -> LlmclfError:
        return LlmclfError("the runtime was closed while calls were under way")

    async def _respond(self, request: Request) -> Response:
        """Looks into the store, joins whoever is asking the same, or asks."""
        asked = time.monotonic()
        prepared = await self._prepare(request)
        if prepared.route.replays:
            return self._found(prepared, prepared.route.recorded(request, prepared.body, self.store))
        if self.cache == "off":
            return await self._call(prepared, asked)
        stored = self.store.stored_answer(prepared.hash, request.repeat)
        if stored is not None and is_broken_off(stored.finish_reason):  # queued still; once written it is not found
            stored = None
        if stored is not None or self.cache == "read-only":
            return self._found(prepared, stored)
        key = (prepared.hash, request.repeat)
        response, shared = await self._current().flights.join(key, lambda: self._call(prepared, asked), request.timeout)
        return replace(response, cached=True) if shared else response

    def _found(self, prepared: Prepared, stored: StoredAnswer | None) -> Response:
        """The response of an answer that was bought earlier; ModelError where there is none."""
        if stored is None:
            raise ModelError(
                "not_found",
                "this was not asked before, and nobody is to be asked now",
                where=prepared.request.model.id,
                fix="use cache='read-write' (--cache read-write), or the model itself in place of its replay",
            )
        return from_store(stored, prepared.route)

    async def _prepare(self, request: Request) -> Prepared:
        model_id = request.model.id
        route = self.route(model_id)
        check_allowed(model_id, route, self.rules)
        await route.prepare()
        body = route.body(request)
        text = body_text(body)
        run_id = request.subject.run_id or self.run_id
        return Prepared(request, route, body, text, request_hash(text, route.endpoint()), run_id)

    async def _call(self, prepared: Prepared, asked: float) -> Response:
        model = prepared.request.model
        price = self._checked.get(model)
        if price is None:
            _raise_any(self._problems(model, pieces=False))  # a local model says itself which piece it misses
        if price is None or not self.budget.is_capped:  # the cap it was checked under may have been lifted
            price = self._checked[model] = checked_price(model.id, prepared.route, self.budget)
        current = self._current()
        try:
            async with asyncio.timeout_at(prepared.request.deadline):
                await current.limit.acquire()
        except TimeoutError:
            raise ModelError("timeout", "its turn came after the deadline", where=model.id) from None
        try:
            return await current.caller.call(prepared, price, asked)
        finally:
            current.limit.release()

    # --- housekeeping -----------------------------------------------------------------------

    def close(self) -> None:
        """Ends calls under way, closes clients, writes what is left and closes the store it opened."""
        self._check_process()  # a child of the one that made it must not give its parent's money back
        if self._loop_thread is not None and self._loop_thread.alive and self._loop_thread.is_current:
            raise LlmclfError("a runtime can't be closed from its own thread", fix="close it where it was made")
        with self._lock:  # what was handed over before is seen, and ended, by `stop`
            if self._closed:
                return
            self._closed = True
        if self._loop_thread is not None and self._loop_thread.alive:
            self._loop_thread.stop(route.aclose for route in self._routes.values())
        try:
            self.budget.close()
        finally:
            if self._owns_store:
                self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        self._check_process()
        with self._lock:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(work, self._thread().loop)
        work.close()
        raise LlmclfError("the runtime is closed", fix="use it inside its `with` block")

    def _current(self) -> LoopThread:
        self._check_process()
        with self._lock:
            return self._thread()

    def _thread(self) -> LoopThread:
        """The thread of the event loop; under the lock."""
        if self._loop_thread is None or not self._loop_thread.alive:
            pace = Pace(self._pace_rows, self.store, concurrency=self.concurrency)
            caller = Caller(self.store, self.budget, pace, self._spans, self.owner)
            self._loop_thread = LoopThread(self.concurrency, caller)
            _close_at_exit(self)
            asyncio.run_coroutine_threadsafe(self.budget.beat(), self._loop_thread.loop)
        return self._loop_thread

    def _check_process(self) -> None:
        """Begins anew in a child made by fork: it has its parent's objects, but not the threads and connections."""
        if self._pid == os.getpid():
            return
        self.owner = uuid4().hex
        self.budget.begin_anew(self.owner)
        self._lock = threading.Lock()
        self._of_the_parent = (self._loop_thread, self._routes)  # kept: ending them would end the parent's
        self._loop_thread = None
        self._routes = {}
        self._pid = os.getpid()  # last: another thread of the child must not meet what is half begun

    def _problems(self, model: Model, *, pieces: bool = True) -> list[str]:
        try:
            route = self.route(model.id)
            check_allowed(model.id, route, self.rules)
            if self.cache == "read-only":  # nobody is asked, so nothing can be missing
                return route.unsupported(model)
            return route.problems(model) if pieces else [*route.missing_keys(), *route.unsupported(model)]
        except ConfigError as error:
            return [str(error)]

    def _make_budget(self, max_usd: float | None) -> Budget:
        rules = self.rules
        periods: dict[Period, float | None] = {
            "month": rules.usd_per_month,
            "day": rules.usd_per_day,
            "hour": rules.usd_per_hour,
        }
        limits = {period: round(usd * 1e9) for period, usd in periods.items() if usd is not None}
        own = None if max_usd is None else round(max_usd * 1e9)
        return Budget(own, shared=SharedCaps(self.store, self.owner, limits))


def _close_at_exit(runtime: Runtime) -> None:
    """A runtime that nobody closes is closed when the process ends, so that its connections are not left open."""
    reference = weakref.ref(runtime)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.close()

    atexit.register(close)


def _check_arguments(store: object, max_usd: object, concurrency: object, cache: object) -> None:
    problems = []
    if not isinstance(store, str | Path | Store | None):
        problems.append(f"store must be a path, a Store or None; got {store!r}")
    if max_usd is not None and not (_is_number(max_usd) and 0 <= max_usd < math.inf):
        problems.append(f"max_usd must be a number of dollars, 0 (nothing may be spent) or more; got {max_usd!r}")
    if not (isinstance(concurrency, int) and _is_number(concurrency) and concurrency >= 1):
        problems.append(f"concurrency must be a whole number, at least 1; got {concurrency!r}")
    if cache not in get_args(Cache):
        problems.append(f"unknown cache {cache!r}; {nearest(str(cache), get_args(Cache))}")
    if problems:
        raise ConfigError("can't be made", where="Runtime", problems=problems)


def _raise_any(problems: list[str]) -> None:
    if problems:
        raise ConfigError("these models can't be used", problems=list(dict.fromkeys(problems)))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _redaction(privacy: Privacy) -> Redaction:
    return Redaction(when=privacy.redact, kinds=privacy.kinds, names=privacy.names, metadata_keys=privacy.metadata_keys)
