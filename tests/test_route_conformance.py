"""Every route keeps the promises of `check_route`, and the check finds what breaks them."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import WIRE_KEY
from wire import Wire, chat

from llmclf.llm import Message, Model, Output, Request, Runtime, Subject
from llmclf.llm.capabilities import Capabilities
from llmclf.llm.conformance import check_route
from llmclf.llm.model import Answer
from llmclf.llm.routes.http import HttpRoute
from llmclf.types import Conversation, Dataset, Example, Label, Task, Turn, Usage, dataset_of

LOCAL = "local/smollm2-135m"
ANSWER = chat('{"label": "yes"}')
HTTP = """
[models."http/m"]
route = "http"
api_base = "{url}"
model = "wire-model"
key_env = "WIRE_KEY"
json_schema = true
logprobs = true
thinking.low = {{ reasoning_effort = "low" }}
thinking_tokens = "budget"
price = {{ input_usd_per_million = 1, output_usd_per_million = 10 }}
"""


@pytest.fixture
def runtime(workspace: Path, wire: Wire) -> Iterator[Runtime]:
    path = workspace / "configs/models.toml"
    path.write_text(path.read_text() + HTTP.format(url=wire.url))
    wire.default = ANSWER
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=50) as made:
        yield made


@contextmanager
def stalled(wire: Wire) -> Iterator[None]:
    """Within it the server says nothing."""
    wire.default = replace(ANSWER, delay=60.0)
    try:
        yield
    finally:
        wire.default = ANSWER


@pytest.mark.parametrize("model", ["wire/m", "http/m"])
def test_vendors_and_endpoints_conform(runtime, wire, model) -> None:
    """litellm and the direct route keep every promise, over a real socket."""
    assert check_route(runtime, model, stalled=lambda: stalled(wire)) == []
    assert all(WIRE_KEY not in sent.body.decode() for sent in wire.received)


def test_a_replay_conforms(runtime, wire) -> None:
    """What the check asked of a model is replayed, with nobody asked and nothing booked."""
    assert check_route(runtime, "http/m") == []
    wire.received.clear()
    assert check_route(runtime, "replay/http/m") == []
    assert not wire.received


def test_the_simulated_vendor_conforms(runtime) -> None:
    """A simulated model that was told the truth of one item keeps every promise about it."""
    task = Task("refusal", "Refused?", (Label("refused", "target", "yes"), Label("clean", "clean", "no")))
    conversation = Conversation("c", (Turn("user", "A person, please."), Turn("bot", "No.")))
    dataset: Dataset = dataset_of("one", [conversation], [Example("c", None, {"refusal": "refused"})])
    runtime.tell_simulator(dataset, task)
    subject = Subject(task="refusal", conversation_id="c", content_hash=conversation.content_hash)
    messages = (Message("user", "[0] user: A person, please.\n[1] bot: No."),)
    request = Request(Model("sim/m"), messages, Output("json", {}, ("refused", "clean")), subject)
    assert check_route(runtime, "sim/m", request=request) == []


@pytest.mark.slow
def test_local_weights_conform() -> None:
    """llama.cpp in this process keeps every promise, where its package and the weights are there."""
    with Runtime() as runtime:
        missing = runtime.route(LOCAL).missing_pieces()
        if missing:
            pytest.skip(missing[0])
        assert check_route(runtime, LOCAL) == []


# --- what it finds ---------------------------------------------------------------------------


def with_body(change: Callable[[Request], dict[str, Any]]) -> dict[str, Any]:
    """A route whose bodies hold something more."""
    return {"body": lambda self, request: {**BODY(self, request), **change(request)}}


def answering(**changes: Any) -> dict[str, Any]:
    """A route whose answers differ from what came."""

    async def send(self: HttpRoute, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        return replace(await SEND(self, request, body, timeout), **changes)

    return {"send": send}


async def deaf(self: HttpRoute, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
    if timeout > 1:
        return await SEND(self, request, body, timeout)
    await asyncio.sleep(1.5)
    return Answer("late")


async def dropping(self: HttpRoute, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
    raise KeyError("choices")


BODY, SEND = HttpRoute.body, HttpRoute.send
BROKEN = [
    (with_body(lambda request: {"user": request.timeout}), "a body must not depend on the time-out"),
    (with_body(lambda request: {"user": request.subject.conversation_id}), "a body must not hold the subject"),
    (with_body(lambda request: {"top_p": math.nan}), "a body must be JSON types alone"),
    (with_body(lambda request: {"id": uuid4().hex}), "a body must be the same each time"),
    (with_body(lambda request: {"max_tokens": 9}), "a body must depend on the output limit"),
    (with_body(lambda request: {"api_key": os.environ["WIRE_KEY"]}), "the body holds a key"),
    (with_body(lambda request: {"messages": []}), "odd characters must be in the body as they are"),
    ({"unsupported": lambda self, model: []}, "thinking off is said to be unsupported"),
    ({"capabilities": lambda self: Capabilities()}, "capabilities say nothing of thinking off"),
    (answering(text=" "), "an answer must have text"),
    (answering(finish_reason=""), "an answer must have a finish reason"),
    (answering(usage=Usage(5, 9, 2, -1)), "these counts can't be true"),
    (answering(sent_thinking="{low"), "what was sent for thinking is no JSON"),
    ({"send": deaf}, "a late answer must be a timeout"),
    ({"send": dropping}, "answer: ModelError"),
]


@pytest.mark.parametrize(("parts", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_a_broken_promise_is_found(runtime, wire, monkeypatch, parts, problem) -> None:
    """Each way to break a promise is named."""
    for name, function in parts.items():
        monkeypatch.setattr(HttpRoute, name, function)
    needs_silence = parts.get("send") is deaf
    found = check_route(runtime, "http/m", stalled=(lambda: stalled(wire)) if needs_silence else None)
    assert any(line.startswith(problem) for line in found), found


def test_a_model_that_can_not_be_asked(runtime, monkeypatch) -> None:
    """Without a key there is one finding, and nothing is asked."""
    monkeypatch.delenv("WIRE_KEY")
    (found,) = check_route(runtime, "http/m")
    assert "needs the key in $WIRE_KEY" in found
