"""One check of what every route to a model promises, for our own and for anybody else's."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, get_args

from llmclf.config.parts import Level
from llmclf.errors import LlmclfError, ModelError
from llmclf.llm.model import Message, Model, Output, Request, Response, Subject, body_text
from llmclf.llm.routes.faults import without_keys
from llmclf.llm.runtime import Runtime
from llmclf.types import Usage

_SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["label"],
    "additionalProperties": False,
}
_HOSTILE = (
    "control characters \x00\x07\x1b[2J, {{braces}} {0} %s, \\u0041 \\n, \"quotes' and <tags>&amp;</conversation>, "
    "\u202eright to left, \u200bnothing, \U0001f9d1\u200d\U0001f4bb, half a character \ud83d"
)
_LONG = "a hundred thousand bytes " * 4_000
_SENTINEL = "subject-that-is-never-sent"
_SHORT_SECONDS = 0.5
_GRACE_SECONDS = 3.0
_THREADS = 2


def check_route(
    runtime: Runtime,
    model_id: str,
    *,
    request: Request | None = None,
    stalled: Callable[[], AbstractContextManager[object]] | None = None,
    seconds: float = 60.0,
) -> list[str]:
    """Every promise that the route to `model_id` breaks, one sentence each; empty where it conforms.

    Asks some twenty questions within `seconds` each. `runtime` has a store of its own that holds no
    answers of the model yet (for a route that replays: those that this check got of the original),
    keeps its cache, and may spend what the questions cost. `request` is a question that is answered
    well, made for another model or for this one; by default a yes or no that any chat model can give.
    Within `stalled()` nobody answers: without it, what happens then is not checked.
    """
    return _Check(runtime, model_id, request or _simple(model_id), stalled, seconds).run()


def _simple(model_id: str) -> Request:
    system = Message("system", 'Answer with a JSON object: {"label": "yes"} or {"label": "no"}.')
    question = Message("user", "Is Paris in France?")
    return Request(Model(model_id, max_output_tokens=64), (system, question), Output("json", _SCHEMA))


class _Check:
    """The checks of one route, with what they found."""

    def __init__(
        self,
        runtime: Runtime,
        model_id: str,
        request: Request,
        stalled: Callable[[], AbstractContextManager[object]] | None,
        seconds: float,
    ) -> None:
        self.runtime = runtime
        self.route = runtime.route(model_id)
        self.model = replace(request.model, id=model_id)
        self.request = replace(request, model=self.model, timeout=seconds, deadline=None, repeat=0)
        self.stalled = stalled
        self.problems: list[str] = []

    def run(self) -> list[str]:
        checks = [self.usable]
        checks += [self.bodies, self.hidden_keys, self.capabilities, self.answer, self.again, self.repeats]
        checks += [self.hostile_text, self.long_text, self.loops_and_threads]
        if self.stalled is not None:
            checks += [self.deadline, self.cancelling, self.closing]
        for check in checks:
            try:
                check()
            except Exception as error:  # whatever a route does is a finding, and the others are still checked
                self.expect(False, f"{check.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
            if check == self.usable and self.problems:
                break
        return self.problems

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    # --- before anything is sent ------------------------------------------------------------

    def usable(self) -> None:
        """It can be asked at all."""
        self.runtime.check([self.model])
        self.runtime.run(self.route.prepare())
        self.expect(bool(self.route.name), "a route needs a name")
        self.expect(bool(self.route.endpoint()), "a route needs an endpoint")

    def bodies(self) -> None:
        """Equal questions have equal bodies, other questions others; a body is JSON."""
        body = self.route.body(self.request)
        text = body_text(body)
        self.expect(text == body_text(self.route.body(self.request)), "a body must be the same each time")
        self.expect(_is_json(body), "a body must be JSON types alone, without NaN")
        known = self.request.subject.content_hash
        subject = Subject(_SENTINEL, _SENTINEL, 3, known, _SENTINEL, _SENTINEL, _SENTINEL)
        changes: dict[str, Any] = {"time-out": {"timeout": 1.0}, "deadline": {"deadline": 1.0}}
        changes["subject"] = {"subject": subject}
        for name, change in changes.items():
            other = body_text(self.route.body(replace(self.request, **change)))
            self.expect(other == text, f"a body must not depend on the {name}")
            self.expect(_SENTINEL not in other, f"a body must not hold the {name}")
        first, *others = self.request.messages
        shouted = replace(self.request, messages=(replace(first, content=first.content + "!"), *others))
        self.expect(body_text(self.route.body(shouted)) != text, "a body must depend on the words")
        limit = self.request.model.output_limit(self.request.output) + 7
        longer = replace(self.request, model=replace(self.model, max_output_tokens=limit))
        letter = self.request.output.kind == "letter"  # one token is an answer, whatever the limit
        self.expect(letter or body_text(self.route.body(longer)) != text, "a body must depend on the output limit")

    def hidden_keys(self) -> None:
        """No key is in what is stored or shown."""
        for name, shown in (
            ("body", body_text(self.route.body(self.request))),
            ("endpoint", self.route.endpoint()),
            ("repr", repr(self.route)),
        ):
            self.expect(without_keys(shown) == shown, f"the {name} holds a key")

    def capabilities(self) -> None:
        """What it says it takes is what it takes."""
        found = self.route.capabilities()
        self.expect("text" in found.modalities, "a model must take text")
        bare = Model(self.model.id)
        for setting in (*get_args(Level), "tokens"):
            row = found.thinking.get(setting)
            if row is None:
                self.expect(False, f"capabilities say nothing of thinking {setting}")
                continue
            wanted: Any = 4321 if setting == "tokens" else setting
            refused = self.route.unsupported(replace(bare, thinking=wanted))
            taken = row.status != "unsupported"
            self.expect(taken == (not refused), f"thinking {setting} is said to be {row.status}; got {refused or 'no'}")
            self.expect(not row.sent or _is_json_text(row.sent), f"what is sent for thinking {setting} is no JSON")
        refused = self.route.unsupported(replace(bare, temperature=0.5))
        self.expect(found.temperature or bool(refused), "a temperature that it does not take must be refused")

    # --- answers ----------------------------------------------------------------------------

    def answer(self) -> None:
        """An answer comes back, with everything in its place."""
        before = self.calls()
        response = self.ask(self.request)
        answer, route = response.answer, self.route
        self.expect(bool(answer.text.strip()), "an answer must have text")
        self.expect(bool(answer.finish_reason), "an answer must have a finish reason")
        self.expect(_is_believable(answer.usage), f"these counts can't be true: {answer.usage}")
        self.expect(response.route == route.name, f"the route is {route.name}; got {response.route}")
        self.expect(response.simulated == route.simulated, "route and response must agree on being simulated")
        self.expect(response.cached == route.replays, "the first answer is fresh, unless the route replays")
        self.expect(
            response.latency_seconds is None or 0 <= response.latency_seconds < math.inf, "latency can't be negative"
        )
        self.expect(
            answer.first_byte_seconds is None or 0 <= answer.first_byte_seconds <= (response.latency_seconds or 0),
            "the first byte can't come after the last",
        )
        self.expect(
            not answer.sent_thinking or _is_json_text(answer.sent_thinking), "what was sent for thinking is no JSON"
        )
        sent = [] if route.replays else [response.call_id]
        self.expect([*before, *sent] == self.calls(), "one fresh answer is one call in the store, a replay is none")

    def again(self) -> None:
        """The same question is answered from the store."""
        first, before = self.ask(self.request), self.calls()
        second = self.ask(replace(self.request, timeout=self.request.timeout + 1))
        self.expect(second.cached, "the second answer must come from the store")
        for name in ("text", "reasoning", "finish_reason", "usage", "label_logprobs"):
            same = getattr(first.answer, name) == getattr(second.answer, name)
            self.expect(same, f"{name} must be the same in the answer from the store")
        self.expect(first.cost_nano_usd == second.cost_nano_usd, "the cost shown must be the one of then")
        self.expect(before == self.calls(), "an answer from the store must not be a call")

    def repeats(self) -> None:
        """A repeat is a fresh call, and is itself asked once."""
        before = len(self.calls())
        responses = [self.ask(replace(self.request, repeat=1)) for _ in range(2)]
        expected = [True, True] if self.route.replays else [False, True]
        self.expect([found.cached for found in responses] == expected, "a repeat must be asked once, and freshly")
        self.expect(len(self.calls()) - before == expected.count(False), "a repeat must be one call")

    def hostile_text(self) -> None:
        """Odd characters reach the model as they are; half a character may be a replacement character."""
        odd = self.said(_HOSTILE)
        expected = {_HOSTILE, _HOSTILE.replace("\ud83d", "\ufffd")}
        crossed = any(text in word for word in _words(self.route.body(odd)) for text in expected)
        self.expect(crossed, "odd characters must be in the body as they are")
        self.expect(bool(self.ask(odd).answer.finish_reason), "odd characters must be answered")

    def long_text(self) -> None:
        """A hundred thousand bytes are answered, or said to be too many."""
        try:
            self.ask(self.said(_LONG))
        except ModelError as error:
            fits = error.kind in ("context_overflow", "not_found" if self.route.replays else "context_overflow")
            self.expect(fits, f"a long text must be answered or a context_overflow; got {error.kind}: {error}")

    def loops_and_threads(self) -> None:
        """Several event loops on several threads ask at once; the same question is asked once."""
        before = len(self.calls())

        def ask_all(thread: int) -> list[Response]:
            async def go() -> list[Response]:
                words = ["the same", "the same", f"thread {thread}", f"thread {thread} again"]
                return await asyncio.gather(*(self.runtime.arespond(self.said(word)) for word in words))

            return asyncio.run(go())

        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(ask_all, range(_THREADS)))
        texts = {response.answer.text for responses in found for response in responses[:2]}
        self.expect(len(texts) == 1, "who asks the same at once must get the same answer")
        expected = 0 if self.route.replays else 2 * _THREADS + 1
        self.expect(
            len(self.calls()) - before == expected, "several loops at once must make one call for each question"
        )

    # --- when nobody answers ----------------------------------------------------------------

    def deadline(self) -> None:
        """A call ends at its deadline."""
        assert self.stalled is not None
        started = time.monotonic()
        with self.stalled():
            try:
                self.ask(replace(self.said("slow"), timeout=_SHORT_SECONDS))
            except ModelError as error:
                self.expect(error.kind == "timeout", f"a late answer is a timeout; got {error.kind}")
            else:
                self.expect(False, "a late answer must be a timeout; got an answer")
        took = time.monotonic() - started
        self.expect(took < _SHORT_SECONDS + _GRACE_SECONDS, f"{_SHORT_SECONDS} s are given; it took {took:.1f} s")

    def cancelling(self) -> None:
        """A call that is cancelled keeps what it may cost, and nothing else; the next one is answered."""
        assert self.stalled is not None
        runtime, budget = self.runtime, self.runtime.budget

        async def go() -> None:
            task = asyncio.create_task(runtime.arespond(self.said("cancelled")))
            await asyncio.to_thread(_until, lambda: self.under_way("cancelled"))
            task.cancel()
            await asyncio.wait([task])
            self.expect(task.cancelled(), "a cancelled call must end as cancelled")

        with self.stalled():
            asyncio.run(go())
        free = self.route.simulated
        kept = runtime.store.spent_nano().reserved_unsettled
        settled = _until(lambda: free or budget.reserved_nano == kept)
        self.expect(settled, f"reserved must be what may have been billed, {kept}; got {budget.reserved_nano}")
        self.ask(self.said("after it"))

    def closing(self) -> None:
        """A runtime closes at once with a call under way, which ends with an error."""
        assert self.stalled is not None
        ended: list[object] = []
        other = Runtime(workspace=self.runtime.workspace, max_usd=1.0)

        def ask() -> None:
            try:
                ended.append(asyncio.run(other.arespond(self.said("closing"))))
            except LlmclfError as error:
                ended.append(error)

        thread = threading.Thread(target=ask)
        with self.stalled():
            thread.start()
            _until(lambda: bool(other.store.query("SELECT 1 FROM calls")))
            time.sleep(0.1)
            started = time.monotonic()
            other.close()
            thread.join(_GRACE_SECONDS)
            took = time.monotonic() - started
        self.expect(not thread.is_alive() and took < _GRACE_SECONDS, f"closing must be quick; it took {took:.1f} s")
        self.expect(bool(ended) and isinstance(ended[0], LlmclfError), f"closing must end a call by an error: {ended}")

    # --- inside -----------------------------------------------------------------------------

    def ask(self, request: Request) -> Response:
        return asyncio.run(self.runtime.arespond(request))

    def said(self, words: str) -> Request:
        """The question with other words at its end."""
        *others, last = self.request.messages
        return replace(self.request, messages=(*others, replace(last, content=f"{last.content}\n{words}")))

    def calls(self) -> list[str]:
        """Ids of the calls of the model in the store, the first one first."""
        self.runtime.store.flush()
        rows = self.runtime.store.query("SELECT call_id FROM calls WHERE model = ? ORDER BY rowid", [self.model.id])
        return [row["call_id"] for row in rows]

    def under_way(self, words: str) -> bool:
        sql = (
            "SELECT 1 FROM calls JOIN call_texts USING (call_id) WHERE model = ? AND state = 'sent' AND request LIKE ?"
        )
        return bool(self.runtime.store.query(sql, [self.model.id, f"%{words}%"]))


def _until(holds: Callable[[], bool]) -> bool:
    """Waits for something, a while; whether it came."""
    end = time.monotonic() + _GRACE_SECONDS
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _is_json(value: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _is_json_text(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _is_believable(usage: Usage) -> bool:
    counts = (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens, usage.audio_tokens)
    parts = (
        (usage.cached_tokens, usage.input_tokens),
        (usage.audio_tokens, usage.input_tokens),
        (usage.reasoning_tokens, usage.output_tokens),
    )
    return all(count is None or count >= 0 for count in counts) and all(
        part is None or whole is None or part <= whole for part, whole in parts
    )


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _words(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item)
