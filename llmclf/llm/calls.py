"""One call to a model: its worst case is reserved, it is recorded, sent (again where that may help) and settled."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

from llmclf.errors import LlmclfError, ModelError
from llmclf.llm.budget import Budget
from llmclf.llm.caps import Reservation
from llmclf.llm.media_tokens import media_tokens
from llmclf.llm.model import Answer, Request, Response
from llmclf.llm.pace import Pace
from llmclf.llm.prices import Price
from llmclf.llm.routes.base import Route
from llmclf.llm.telemetry import Spans
from llmclf.store import CallDone, CallSent, Store, StoredAnswer
from llmclf.types import Usage

_ATTEMPTS = 4
_BYTES_PER_TOKEN = 3  # for the pace: vendors count before they know, too


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with everything that is needed to send it."""

    request: Request
    route: Route
    body: Mapping[str, Any]
    text: str
    """The body as canonical JSON."""
    hash: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Caller:
    """What all calls of one runtime share."""

    store: Store
    budget: Budget
    pace: Pace
    spans: Spans
    owner: str

    async def call(self, prepared: Prepared, price: Price, asked: float) -> Response:
        """The response of the model. Raises ModelError for every way in which a call can fail.

        `asked` is the moment of `time.monotonic()` since which it waits for its turn.
        """
        made = _Call(self, prepared, price, asked)
        with self.spans.call(prepared.request, prepared.route, prepared.body, prepared.run_id) as span:
            try:
                response = await made.run()
            finally:
                span.note(call_id=made.call_id, attempts=made.attempts, queue_seconds=made.queue_seconds)
            span.done(response)
            return response


class _Call:
    """One call under way: the attempts at it, and the money set aside for them."""

    def __init__(self, caller: Caller, prepared: Prepared, price: Price, asked: float) -> None:
        request, route = prepared.request, prepared.route
        self.caller = caller
        self.prepared = prepared
        self.price = price
        self.asked = asked
        self.call_id = uuid4().hex
        # simulated dollars are recorded, but are no part of what may be spent
        self.budget = Budget(None) if route.simulated else caller.budget
        limit = request.model.output_limit(request.output)
        media = media_tokens([one for message in request.messages for one in message.media], request.model.id)
        self.reserved = price.worst_case(len(prepared.text.encode()), limit, media)
        self.tokens = math.ceil(len(prepared.text) / _BYTES_PER_TOKEN) + media + limit
        self.sends_audio = any(one.kind == "audio" for message in request.messages for one in message.media)
        self.deadline = math.inf if request.deadline is None else request.deadline
        self.is_recorded = False
        """The store knows of it."""
        self.started: float | None = None
        """When it was sent first."""
        self.answer: Answer | None = None
        self.error: LlmclfError | None = None
        self.attempts = 0
        self.possibly_billed = False
        """True where any attempt without an answer may have been charged for."""
        self.last_is_billed = False
        """True where the last one may, as it may while it is under way."""

    @property
    def queue_seconds(self) -> float:
        """How long it waited for its turn, so far or in all."""
        return (time.monotonic() if self.started is None else self.started) - self.asked

    async def run(self) -> Response:
        """Reserves, sends, settles and records."""
        try:
            async with asyncio.timeout_at(self.prepared.request.deadline):
                self.money = await self.budget.areserve(self.reserved, self.prepared.request.model.id)
        except TimeoutError:
            raise self._too_late() from None
        bill: int | None = 0
        try:
            try:
                await self._try()
            except BaseException:
                bill = None if self.last_is_billed else 0  # cancelled: what was sent keeps its reservation
                self._record_cancelled()
                raise
            done = self._outcome()
            bill = done.cost_nano if self.answer or self.last_is_billed else 0
            if self.is_recorded:  # before it is settled: a lease that is then asked for must not count it twice
                self.caller.store.call_done(self.call_id, done)
        finally:
            self.budget.settle(self.money, bill)
        if self.answer is None:
            assert self.error is not None
            if isinstance(self.error, ModelError):
                self.error.possibly_billed = self.possibly_billed
            raise self.error
        route = self.prepared.route
        return Response(
            self.answer,
            self.call_id,
            done.cost_nano,
            done.latency_seconds,
            self.attempts,
            False,
            route.simulated,
            route.name,
        )

    async def _try(self) -> None:
        """Sends, and sends again what may pass, within one deadline over all attempts.

        An attempt that failed and may have been billed keeps its reservation for good; the next one
        reserves anew, so that retries can't pass the cap either. A wait that would pass the deadline
        is not begun.
        """
        try:
            self.answer = await self._attempt()
        except LlmclfError as error:
            self.error = error
            if self.attempts and isinstance(error, ModelError) and error.retryable:
                await self._try_again(error)

    async def _try_again(self, first: ModelError) -> None:
        from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

        backoff = wait_random_exponential(multiplier=0.5, max=20)
        failed = [first]

        async def attempt() -> Answer:
            if failed:
                raise failed.pop()  # tenacity counts the one that was made, and waits before the next
            return await self._attempt()

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, ModelError) else None
            return backoff(state) if asked is None else asked + 0.05

        def stop(state: RetryCallState) -> bool:
            return state.attempt_number >= _ATTEMPTS or time.monotonic() + state.upcoming_sleep > self.deadline

        retrying = AsyncRetrying(
            stop=stop,
            wait=wait,
            retry=retry_if_exception(lambda error: isinstance(error, ModelError) and error.retryable),
            reraise=True,
        )
        with contextlib.suppress(LlmclfError):  # the last error of an attempt that was sent is kept
            self.answer = await retrying(attempt)

    async def _attempt(self) -> Answer:
        """One attempt, when its turn has come."""
        request, route = self.prepared.request, self.prepared.route
        with await self.caller.pace.turn(request.model.id, route.endpoint(), self.tokens, self.deadline) as turn:
            await self._record_attempt()
            self.attempts += 1
            self.last_is_billed = True
            try:
                answer = await route.send(request, self.prepared.body, self.deadline - time.monotonic())
            except LlmclfError as error:
                self.error = error
                self.last_is_billed = isinstance(error, ModelError) and error.possibly_billed
                self.possibly_billed = self.possibly_billed or self.last_is_billed
                raise
            except Exception as error:  # a shape of an answer that nobody foresaw must not end a run
                what = f"the answer can't be read: {type(error).__name__}"
                self.error = ModelError("internal", what, where=request.model.id, possibly_billed=True)
                self.possibly_billed = True
                raise self.error from None
            turn.answered(_all_tokens(answer.usage))
            return answer

    async def _record_attempt(self) -> None:
        """Money is spent once the store knows of it: the call before it is sent, a lost attempt before the next."""
        if self.started is None:
            try:
                await self._record_sent(self.call_id, self.money)
            except asyncio.CancelledError:
                self.is_recorded = True  # its row is being written all the same
                raise
            self.is_recorded = True
            self.budget.confirm(self.money, self.prepared.request.model.id)
            self.started = time.monotonic()
            self.deadline = min(self.deadline, self.started + self.prepared.request.timeout)
        elif self.last_is_billed:
            # not patient: two calls that hold money and want more would wait for each other
            lost = await self.budget.areserve(self.reserved, self.prepared.request.model.id, patient=False)
            self.budget.settle(lost, None)  # the first stays for good, whatever becomes of the next
            await self._record_lost(lost)
            self.budget.confirm(lost, self.prepared.request.model.id)
        if self.deadline <= time.monotonic():
            raise self._too_late()

    def _too_late(self) -> ModelError:
        return ModelError("timeout", "its turn came after the deadline", where=self.prepared.request.model.id)

    async def _record_sent(self, call_id: str, money: Reservation) -> None:
        prepared, caller = self.prepared, self.caller
        request, route, subject = prepared.request, prepared.route, prepared.request.subject
        written = caller.store.call_sent(
            CallSent(
                call_id=call_id,
                run_id=prepared.run_id,
                request_hash=prepared.hash,
                repeat=request.repeat,
                conversation_id=subject.conversation_id,
                turn=subject.turn,
                classifier_id=subject.classifier_id,
                model=request.model.id,
                route=route.name,
                endpoint=route.endpoint(),
                prompt_id=subject.prompt_id,
                thinking="" if request.model.thinking is None else str(request.model.thinking),
                request_json=prepared.text if subject.keeps_words else None,
                reserved_nano=self.reserved,
                sent_at=money.moment,
                simulated=route.simulated,
                owner=caller.owner,
                redacted=request.redacted,
                shows=subject.shows,
            )
        )
        if self.reserved and not route.simulated:
            await asyncio.shield(asyncio.wrap_future(written))  # else its end could come without its beginning

    def _record_cancelled(self) -> None:
        """Nothing is known of what was sent; what was not, cost nothing."""
        if not self.is_recorded:
            return
        is_open = self.last_is_billed and not self.price.is_free
        ended = CallDone(
            state="failed",
            finished_at=datetime.now(UTC),
            cost_nano=None if is_open else 0,
            price_json=_price_json(self.price),
            queue_seconds=self.queue_seconds,
            attempts=self.attempts,
            possibly_billed=is_open,
            error_kind="cancelled",
            error_message="nobody waited for it any more",
        )
        with contextlib.suppress(LlmclfError):
            self.caller.store.call_done(self.call_id, ended)

    async def _record_lost(self, money: Reservation) -> None:
        """Books the last attempt, which may have been billed, as a failed call of its own, at its worst case."""
        if not self.reserved or self.prepared.route.simulated:
            return
        assert self.error is not None
        call_id = uuid4().hex
        lost = CallDone(
            state="failed",
            finished_at=datetime.now(UTC),
            price_json=_price_json(self.price),
            possibly_billed=True,
            error_kind=_kind(self.error),
            error_message=self.error.message,
        )
        try:
            await self._record_sent(call_id, money)
        except asyncio.CancelledError:  # its row is being written all the same
            self._end_lost(call_id, lost)
            raise
        self._end_lost(call_id, lost)

    def _end_lost(self, call_id: str, lost: CallDone) -> None:
        self.last_is_billed = False  # it has a row and a reservation of its own now
        self.caller.store.call_done(call_id, lost)

    def _outcome(self) -> CallDone:
        """The row of the call, without the attempts that `_record_lost` gave rows of their own."""
        answer, error = self.answer, self.error
        seconds = 0.0 if self.started is None else time.monotonic() - self.started
        if answer is None:
            assert error is not None
            return CallDone(
                state="failed",
                finished_at=datetime.now(UTC),
                cost_nano=None if self.last_is_billed and not self.price.is_free else 0,
                price_json=_price_json(self.price),
                latency_seconds=seconds,
                queue_seconds=self.queue_seconds,
                attempts=self.attempts,
                possibly_billed=self.last_is_billed,
                error_kind=_kind(error),
                error_message=error.message,
            )
        return CallDone(
            state="done",
            finished_at=datetime.now(UTC),
            text=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish_reason,
            label_logprobs=answer.label_logprobs,
            usage=answer.usage,
            cost_nano=self.price.cost(answer.usage, audio_sent=self.sends_audio),
            price_json=_price_json(self.price),
            latency_seconds=seconds if answer.latency_seconds is None else answer.latency_seconds,
            queue_seconds=self.queue_seconds,
            first_byte_seconds=answer.first_byte_seconds,
            attempts=self.attempts,
            sent_thinking=answer.sent_thinking,
        )


@cache
def _price_json(price: Price) -> str:
    return price.to_json()


def _kind(error: LlmclfError) -> str:
    return error.kind if isinstance(error, ModelError) else "internal"


def _all_tokens(usage: Usage) -> int | None:
    known = usage.input_tokens is not None and usage.output_tokens is not None
    return usage.input_tokens + usage.output_tokens if known else None  # type: ignore[operator]


def from_store(stored: StoredAnswer, route: Route) -> Response:
    """The response that was bought earlier."""
    answer = Answer(
        stored.text,
        reasoning=stored.reasoning,
        finish_reason=stored.finish_reason,
        usage=stored.usage,
        label_logprobs=stored.label_logprobs,
    )
    return Response(
        answer,
        stored.call_id,
        stored.cost_nano,
        stored.latency_seconds,
        stored.attempts,
        True,
        stored.simulated,
        route.name,
    )
