"""The reflection model behind dspy: every call that an optimizer makes of its own goes through our Runtime."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from llmclf.errors import ModelError
from llmclf.llm.answers import usable_text
from llmclf.llm.model import Message, Model, Output, Request, Response, Subject, body_text
from llmclf.llm.runtime import Runtime
from llmclf.optimization.book import ReflectionCounts, Stopped
from llmclf.optimization.dspy_parts import load_dspy

BOOKED = "optimization/reflection"
"""What calls of the reflection model are booked on (as their classifier). They hold words of several conversations."""


class Reflection:
    """The reflection model of one search, asked through a Runtime: store, budget, pace and log are ours.

    A request that is asked a second time wants a fresh answer: it is numbered by occurrence, so that a search that is
    run again finds both in the store. `counts` says what came of it.
    """

    def __init__(self, runtime: Runtime, model: Model, counts: ReflectionCounts, *, timeout: float = 300.0) -> None:
        self.runtime = runtime
        self.model = model
        self.counts = counts
        self.timeout = timeout
        self._occurrences = Counter[str]()
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # dspy copies programs and their models; there is one Runtime

    def respond(
        self, messages: Sequence[Message], output: Output, *, temperature: float | None = None, prompt_id: str = ""
    ) -> Response:
        """The response to a fresh request.

        `temperature` stands in for the model's own where that has one. Raises Stopped where the budget has no room
        for it, or several in a row came to nothing, else ModelError for a call that failed.
        """
        model = self.model
        if temperature is not None and model.temperature is not None:
            model = replace(model, temperature=temperature)
        said = body_text({"messages": [[m.role, m.content] for m in messages], "schema": dict(output.schema)})
        with self._lock:
            repeat = self._occurrences[f"{model} {said}"]
            self._occurrences[f"{model} {said}"] += 1
            self.counts.asked += 1
        subject = Subject(classifier_id=BOOKED, prompt_id=prompt_id)
        request = Request(model, tuple(messages), output, subject, repeat=repeat, timeout=self.timeout)
        try:
            response = self.runtime.run(self.runtime.arespond(request))
        except ModelError as error:
            if error.kind == "over_budget":
                raise Stopped(error.message) from None
            with self._lock:
                self.counts.count_wrong(f"{self.model.id}: {error.kind}", failed=True)
            raise
        with self._lock:
            known, cost = self.counts.nano_usd, response.cost_nano_usd
            self.counts.nano_usd = None if known is None or cost is None else known + cost
        return response

    def count_read(self, wrong: str = "") -> None:
        """Counts an answer that could be used, or what is `wrong` with it; Stopped after several such in a row."""
        with self._lock:
            if wrong:
                self.counts.count_wrong(f"{self.model.id}: {wrong}")
            else:
                self.counts.count_right()


class RuntimeEngine:
    """An engine as dspy.LM takes it (`complete(Request) -> Response`): one call through a `Reflection`."""

    def __init__(self, reflection: Reflection | None, why: str = "") -> None:
        self.reflection = reflection
        self.why = why
        """What to say where there is no model."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def complete(self, request: Any) -> Any:
        """One answer as text. Raises Stopped where money ended, and dspy's own error for a call that failed."""
        lm15 = load_dspy().lm15
        if self.reflection is None:
            raise lm15.NotConfiguredError(self.why)
        try:
            response = self.reflection.respond(
                _messages(request), Output("text"), temperature=request.config.temperature
            )
        except ModelError as error:
            raise lm15.ServerError(error.message) from None
        try:
            text, _ = usable_text(response, self.reflection.model.id)
        except ModelError as error:
            self.reflection.count_read(error.what)
            raise lm15.ServerError(error.message) from None
        self.reflection.count_read()
        usage = response.answer.usage
        return lm15.Response(
            id=None,
            model=self.reflection.model.id,
            message=lm15.Message.assistant([lm15.TextPart(text)]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens),
        )

    def close(self) -> None:
        """Nothing to close: the Runtime is its user's."""


def lm_for(reflection: Reflection | None, why: str = "") -> Any:
    """A `dspy.LM` whose calls go through our Runtime; dspy's cache and retries are off.

    Without a reflection model it fails at its first call, saying `why`: dspy wants one to be set, even where an
    optimizer never asks it.
    """
    return load_dspy().dspy.LM(  # by a name of ours: dspy has rules of its own for models it knows
        "llmclf/reflection", engine=RuntimeEngine(reflection, why), cache=False, num_retries=0, temperature=None
    )


def _messages(request: Any) -> list[Message]:
    system = request.system
    if system is not None and not isinstance(system, str):
        system = "".join(part.text for part in system)
    said = [Message("system", system)] if system else []
    return said + [
        Message("assistant" if one.role == "assistant" else "user", one.text or "") for one in request.messages
    ]
