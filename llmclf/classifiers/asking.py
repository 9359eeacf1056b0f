"""One question put to a model: an answer that can't be read is asked for once more, openly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from llmclf.classifiers.answer import Reading
from llmclf.classifiers.outcome import Bill, Outcome, reworded
from llmclf.errors import ModelError
from llmclf.llm.answers import usable_text
from llmclf.llm.model import Message, Request, Response
from llmclf.llm.runtime import Runtime

T = TypeVar("T")
Read = Callable[[str, Response], Reading]
"""The answer's text and all of the response to a reading; ModelError `unparsable` where it can't be read."""

_GRACE = 0.2  # seconds: a call under way ends by its own time-out, and is recorded so, just before the caller's
_QUOTED = 2000  # characters of a bad answer that are sent back


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which everything about one item has to be done; None: whenever it is."""

    timeout: float | None
    moment: float | None
    """Of `time.monotonic()`."""

    @classmethod
    def after(cls, timeout: float | None) -> Deadline:
        """`timeout` seconds from now."""
        return cls(timeout, None if timeout is None else time.monotonic() + timeout)

    @property
    def left(self) -> float | None:
        """Seconds left, 0 where it is past."""
        return None if self.moment is None else max(0.0, self.moment - time.monotonic())

    def error(self, where: str, *, possibly_billed: bool) -> ModelError:
        """What is said where it was missed."""
        what = f"no answer within {self.timeout or 0:.1f} s"
        return ModelError("timeout", what, where=where, possibly_billed=possibly_billed)


@dataclass(frozen=True)
class Asker:
    """Asks through a runtime. With `repair`, what can't be read is asked for once more in the words of `form`."""

    runtime: Runtime
    repair: bool
    form: str
    """How to answer, repeated where the first answer did not."""

    async def ask(self, request: Request, read: Read, where: str, deadline: Deadline) -> Outcome:
        """What a model says, read by `read`; a failure is the outcome's error.

        Only an answer that was given and can't be read is asked for again: not one that was refused,
        filtered, cut off or empty. The second request is the first with the bad answer and what is
        wrong with it; it is a call of its own. Where it fails as well, its error counts.
        """
        first, answer = await self._once(request, read, where, deadline)
        if not (self.repair and first.error is not None and first.error.kind == "unparsable" and answer):
            return first
        if deadline.left == 0:
            return first
        second, _ = await self._once(repaired(request, answer, first.error, self.form), read, where, deadline)
        error = second.error
        if error is not None:
            error = reworded(error, f"{error.what} (asked once more, as at first {first.error.what})")
        bill = first.bill.then(second.bill)
        return replace(second, bill=bill, error=error, thinking=second.thinking or first.thinking, repaired=True)

    async def _once(self, request: Request, read: Read, where: str, deadline: Deadline) -> tuple[Outcome, str]:
        """(outcome, the answer's text where there is one that could be read)."""
        leaves = self.runtime.route(request.model.id).leaves_machine
        try:
            response = await self._respond(request, deadline, leaves)
        except ModelError as error:
            return Outcome(Bill.of_failure(error, sent=_was_sent(error, leaves)), error=error), ""
        bill, text, thinking = Bill.of(response), "", ""
        try:
            text, thinking = usable_text(response, where)
            return Outcome(bill, read(text, response), thinking=thinking), text
        except ModelError as error:
            return Outcome(bill, error=error, thinking=thinking), text

    async def _respond(self, request: Request, deadline: Deadline, leaves_machine: bool) -> Response:
        left = deadline.left
        if left is None:
            return await self.runtime.arespond(request)
        request = replace(request, timeout=left, deadline=deadline.moment)
        try:
            async with asyncio.timeout(left + _GRACE):
                return await self.runtime.arespond(request)
        except TimeoutError:
            raise deadline.error(request.model.id, possibly_billed=leaves_machine) from None


def repaired(request: Request, answer: str, error: ModelError, form: str) -> Request:
    """The request that asks once more: as the first, with the bad answer and what is wrong with it."""
    said = f"That answer can't be used: {error.what}. Look again and answer anew.\n{form}"
    messages = (*request.messages, Message("assistant", answer[:_QUOTED]), Message("user", said))
    return replace(request, messages=messages, redacted=False)  # the answer was not


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of coroutines that run at the same time, in order; what one raises ends all and is raised."""
    if len(work) == 1:
        return [await work[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None  # a wrong setting fails all of them alike
    return [task.result() for task in tasks]


def _was_sent(error: ModelError, leaves_machine: bool) -> bool:
    """False where it is certain that nothing was sent: no room under the cap, or no turn before the deadline."""
    too_late = error.kind == "timeout" and leaves_machine and not error.possibly_billed
    return not (too_late or error.kind == "over_budget")
