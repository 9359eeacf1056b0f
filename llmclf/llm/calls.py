"""One call to a model: its worst case is reserved, it is recorded, sent (again where that may help) and settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from llmclf.errors import LlmclfError, ModelError
from llmclf.llm.budget import Budget
from llmclf.llm.model import Answer, Request, Response
from llmclf.llm.prices import Price
from llmclf.llm.routes.base import Route
from llmclf.store import CallDone, CallSent, Store, StoredAnswer

_ATTEMPTS = 4


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


@dataclass(slots=True)
class _Tried:
    """How the attempts at one call ended: an answer or an error."""

    answer: Answer | None = None
    error: LlmclfError | None = None
    attempts: int = 0
    possibly_billed: bool = False
    """True where any attempt without an answer may have been charged for."""
    last_is_billed: bool = False
    """True where the last one may."""


async def call(prepared: Prepared, price: Price, store: Store, budget: Budget) -> Response:
    """The response of the model. Raises ModelError for every way in which a call can fail."""
    request, route = prepared.request, prepared.route
    reserved = price.worst_case(len(prepared.text.encode()), request.model.output_limit(request.output))
    if route.simulated:
        budget = Budget(None)  # simulated dollars are recorded, but are no part of what may be spent
    await budget.areserve(reserved, request.model.id)
    call_id = uuid4().hex

    async def book_lost(error: LlmclfError) -> None:
        await _record_lost(error, prepared, store, reserved, price)

    bill: int | None = 0
    try:
        await _record_sent(call_id, prepared, store, reserved)
        bill = None  # once it is sent, one that is cancelled or breaks off keeps its reservation
        started = time.monotonic()
        tried = await _try(prepared, budget, reserved, book_lost)
        done = _outcome(tried, time.monotonic() - started, price)
        bill = done.cost_nano if tried.answer or tried.last_is_billed else 0
    finally:
        budget.settle(reserved, bill)
    store.call_done(call_id, done)
    if tried.answer is None:
        assert tried.error is not None
        raise tried.error
    return Response(
        tried.answer,
        call_id,
        done.cost_nano,
        done.latency_seconds,
        tried.attempts,
        False,
        route.simulated,
        route.name,
    )


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


async def _record_sent(call_id: str, prepared: Prepared, store: Store, reserved: int) -> None:
    request, route = prepared.request, prepared.route
    subject = request.subject
    written = store.call_sent(
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
            request_json=prepared.text,
            reserved_nano=reserved,
            sent_at=datetime.now(UTC),
            simulated=route.simulated,
        )
    )
    if reserved and not route.simulated:
        await asyncio.wrap_future(written)  # money is only spent once the store knows of it


async def _record_lost(error: LlmclfError, prepared: Prepared, store: Store, reserved: int, price: Price) -> None:
    """Books an attempt that may have been billed as a failed call of its own, at its worst case, for good."""
    if not reserved or prepared.route.simulated:
        return
    call_id = uuid4().hex
    await _record_sent(call_id, prepared, store, reserved)
    lost = _Tried(error=error, attempts=1, possibly_billed=True, last_is_billed=True)
    store.call_done(call_id, _outcome(lost, None, price))


async def _try(
    prepared: Prepared, budget: Budget, reserved: int, book_lost: Callable[[LlmclfError], Awaitable[None]]
) -> _Tried:
    """Sends, and sends again what may pass, within one deadline over all attempts.

    An attempt that failed and may have been billed keeps its reservation for good (`book_lost` keeps
    it in the store); the next one reserves anew, so that retries can't pass the cap either. A wait
    that would pass the deadline is not begun.
    """
    from tenacity import (
        AsyncRetrying,
        retry_if_exception,
        stop_after_attempt,
        stop_before_delay,
        wait_random_exponential,
    )

    request, route = prepared.request, prepared.route
    deadline = time.monotonic() + request.timeout
    if request.deadline is not None:
        deadline = min(deadline, request.deadline)
    backoff = wait_random_exponential(multiplier=0.5, max=20)
    tried = _Tried()

    def wait(state: Any) -> float:
        asked: float | None = state.outcome.exception().retry_after
        return backoff(state) if asked is None else asked + 0.05

    async def send() -> Answer:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelError("timeout", "its turn came after the deadline", where=request.model.id)
        if tried.last_is_billed:
            budget.reserve(reserved, request.model.id)
            budget.settle(reserved, None)  # the first stays for good, whatever becomes of the next
            assert tried.error is not None
            await book_lost(tried.error)
        tried.attempts += 1
        try:
            return await route.send(request, prepared.body, left)
        except LlmclfError as error:
            tried.error = error
            tried.last_is_billed = isinstance(error, ModelError) and error.possibly_billed
            tried.possibly_billed = tried.possibly_billed or tried.last_is_billed
            raise

    retrying = AsyncRetrying(
        stop=stop_after_attempt(_ATTEMPTS) | stop_before_delay(deadline - time.monotonic()),
        wait=wait,
        retry=retry_if_exception(lambda error: isinstance(error, ModelError) and error.retryable),
        reraise=True,
    )
    try:
        tried.answer = await retrying(send)
    except LlmclfError as error:
        tried.error = tried.error or error
        if isinstance(tried.error, ModelError):
            tried.error.possibly_billed = tried.possibly_billed
    return tried


def _outcome(tried: _Tried, seconds: float | None, price: Price) -> CallDone:
    """The row of the call, without the attempts that `book_lost` gave rows of their own."""
    answer, error = tried.answer, tried.error
    if answer is None:
        assert error is not None
        return CallDone(
            state="failed",
            finished_at=datetime.now(UTC),
            cost_nano=None if tried.last_is_billed and not price.is_free else 0,
            price_json=price.to_json(),
            latency_seconds=seconds,
            attempts=tried.attempts,
            possibly_billed=tried.last_is_billed,
            error_kind=error.kind if isinstance(error, ModelError) else "internal",
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
        cost_nano=price.cost(answer.usage),
        price_json=price.to_json(),
        latency_seconds=seconds if answer.latency_seconds is None else answer.latency_seconds,
        attempts=tried.attempts,
        sent_thinking=answer.sent_thinking,
    )
