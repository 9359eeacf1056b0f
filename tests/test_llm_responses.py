"""OpenAI's Responses interface over a real socket: summaries of reasoning, and every way in which an answer ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from conftest import WIRE_KEY
from wire import Reply, Wire, chat, failure

from llmclf.config import VendorRow
from llmclf.errors import ModelError
from llmclf.llm import Answer, Message, Model, Output
from llmclf.llm.model import Request
from llmclf.llm.routes.litellm import LitellmRoute
from llmclf.types import Usage

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
JSON, LETTER, TEXT = Output("json", schema=SCHEMA), Output("letter", choices=("a", "b")), Output("text")
MESSAGES = (Message("system", "Be strict."), Message("user", "Hello?"))
TEXT_PART = {"type": "output_text", "text": '{"a": 1}', "annotations": []}
USAGE = {
    "input_tokens": 100,
    "output_tokens": 30,
    "total_tokens": 130,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens_details": {"reasoning_tokens": 20},
}


def said(part: Any = TEXT_PART, *, summary: tuple[str, ...] = ("I weigh it.",), **more: Any) -> Reply:
    """A response as OpenAI writes it: reasoning, then one message with `part`; `more` are its fields."""
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    reasoning = {
        "id": "r",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in summary],
    }
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5.4-mini",
        "output": [reasoning, *([message] if part else [])],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": USAGE,
        **more,
    }
    return Reply(body=json.dumps(body).encode())


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the rows name."""
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)


@pytest.fixture
def route(wire: Wire) -> LitellmRoute:
    """A row that wants summaries, at the wire server."""
    return LitellmRoute("mine", row(wire), {})


def row(wire: Wire, **more: Any) -> VendorRow:
    settings: dict[str, Any] = {
        "litellm_model": "openai/gpt-5.4-mini",
        "api_base": wire.url,
        "key_env": "WIRE_KEY",
        "json_schema": True,
        "logprobs": True,
        "thinking": ("off", "low", "high"),
        "reasoning_summary": True,
    }
    return VendorRow(route="litellm", **(settings | more))


def ask(route: LitellmRoute, model: Model = Model("mine", "low"), output: Output = JSON) -> Answer:
    async def asked() -> Answer:
        request = Request(model, MESSAGES, output)
        try:
            return await route.send(request, route.body(request), 20)
        finally:
            await route.aclose()

    return asyncio.run(asked())


def test_a_summary_is_asked_for_and_comes_back(wire, route) -> None:
    """Effort and summary, the schema, the limit and the instructions go out; text, summary and counts come back."""
    wire.next(said(summary=("I weigh it.", "It is a one.")))
    answer = ask(route)
    (request,) = wire.received
    assert request.path == "/v1/responses"
    assert request.json == {
        "model": "gpt-5.4-mini",
        "instructions": "Be strict.",
        "input": [{"role": "user", "content": "Hello?"}],
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 2748,
        "store": False,
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}},
    }
    assert (answer.text, answer.reasoning, answer.finish_reason) == ('{"a": 1}', "I weigh it.\n\nIt is a one.", "stop")
    assert answer.usage == Usage(100, 64, 30, 20)
    assert json.loads(answer.sent_thinking) == {"reasoning": {"effort": "low", "summary": "auto"}}


@pytest.mark.parametrize(
    ("model", "output", "sent"),
    [
        (Model("mine"), TEXT, {"reasoning": {"summary": "auto"}}),
        (Model("mine", "high"), TEXT, {"reasoning": {"effort": "high", "summary": "auto"}}),
    ],
)
def test_the_vendors_default_effort_stays(model: Model, output: Output, sent: Any, wire) -> None:
    """Without a thinking setting a summary is asked for and nothing is said of the effort; a text has no schema."""
    made = LitellmRoute("mine", row(wire, litellm_model="openai/mine"), {})
    wire.next(said({**TEXT_PART, "text": "plain words"}))
    assert ask(made, model, output).text == "plain words"
    (request,) = wire.received
    assert request.path == "/v1/responses"
    assert {"reasoning": request.json["reasoning"]} == sent
    assert "text" not in request.json


@pytest.mark.parametrize(
    ("model", "output"),
    [(Model("mine", "off"), JSON), (Model("mine", "low"), LETTER), (Model("mine"), JSON)],
)
def test_what_has_no_summary_stays_on_chat(model: Model, output: Output, wire, route) -> None:
    """Thinking off, a letter with its log-probabilities, and a model that by default does not think."""
    wire.next(chat("A"))
    assert ask(route, model, output).text == "A"
    (request,) = wire.received
    assert request.path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("reply", "finish", "text"),
    [
        (said(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length", '{"a": 1}'),
        (said(None, status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length", ""),
        (said(status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter", '{"a": 1}'),
        (said({"type": "refusal", "refusal": "I can't."}), "refusal", "I can't."),
    ],
)
def test_how_an_answer_ended_is_kept(reply: Reply, finish: str, text: str, wire, route) -> None:
    """Cut short by the limit or by a filter, or refused: each says so, and what was said stays."""
    wire.next(reply)
    answer = ask(route)
    assert (answer.finish_reason, answer.text) == (finish, text)
    assert answer.usage.output_tokens == 30


def test_a_comment_before_the_answer_is_no_part_of_it(wire, route) -> None:
    """A message of the phase `commentary` is passed over."""
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    comment = {**message, "phase": "commentary", "content": [{**TEXT_PART, "text": "I look."}]}
    wire.next(said(output=[comment, {**message, "phase": "final_answer", "content": [TEXT_PART]}]))
    answer = ask(route)
    assert (answer.text, answer.reasoning) == ('{"a": 1}', "")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (said(None), "empty"),
        (said(None, status="failed", error={"code": "server_error", "message": "boom"}), "unavailable"),
        (said(None, status="failed", error={"code": "rate_limit_exceeded", "message": "slow"}), "rate_limited"),
        (said(None, status="failed", error={"code": "invalid_prompt", "message": "no"}), "internal"),
    ],
)
def test_a_response_without_an_answer_is_an_error(reply: Reply, kind: str, wire, route) -> None:
    """Nothing said, or a failure inside a 200: a typed error that may have been billed."""
    wire.next(reply)
    with pytest.raises(ModelError) as caught:
        ask(route)
    assert (caught.value.kind, caught.value.possibly_billed) == (kind, True)


@pytest.mark.parametrize("usage", [None, {**USAGE, "output_tokens": -1}])
def test_counts_that_can_not_be_true_are_not_known(usage: Any, wire, route) -> None:
    """Missing or negative counts are None, not 0."""
    wire.next(said(usage=usage))
    assert ask(route).usage.output_tokens is None


def test_who_gets_no_summaries_is_told_what_to_do(wire, route) -> None:
    """OpenAI's refusal for want of a verified organisation ends with the setting that turns summaries off."""
    words = "Your organization must be verified to generate reasoning summaries."
    wire.next(failure(400, words))
    with pytest.raises(ModelError, match="reasoning_summary = false") as caught:
        ask(route)
    assert caught.value.status == 400
    assert "must be verified" in str(caught.value)
    wire.next(failure(400, "the schema is invalid"))
    with pytest.raises(ModelError) as caught:
        ask(route)
    assert caught.value.fix == ""


def test_openais_reasoning_models_are_asked_for_summaries_by_default(monkeypatch) -> None:
    """By default at OpenAI itself: not for other vendors, another base URL, or models that don't reason."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    request = Request(Model("openai/gpt-5", "low"), MESSAGES, JSON)
    body = LitellmRoute("openai/gpt-5", None, {}).body(request)
    assert (body["model"], body["reasoning_effort"]) == (
        "openai/responses/gpt-5",
        {"effort": "low", "summary": "auto"},
    )
    unset = LitellmRoute("openai/gpt-5", None, {}).body(Request(Model("openai/gpt-5"), MESSAGES, JSON))
    assert unset["reasoning_effort"] == {"summary": "auto"}
    for name in ("openai/gpt-4.1-mini", "openai/gpt-5-chat-latest", "xai/grok-4.7"):
        chat_body = LitellmRoute(name, None, {}).body(Request(Model(name), MESSAGES, JSON))
        assert chat_body["model"] == name
        assert "reasoning_effort" not in chat_body
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert LitellmRoute("openai/gpt-5", None, {}).body(request)["model"] == "openai/gpt-5"


def test_a_row_turns_summaries_off(wire) -> None:
    """Without `reasoning_summary` a row's model is asked by chat."""
    made = LitellmRoute("mine", row(wire, reasoning_summary=False), {})
    wire.next(chat('{"a": 1}'))
    assert ask(made).text == '{"a": 1}'
    assert wire.received[0].path == "/v1/chat/completions"


def test_a_model_that_has_no_chat_goes_by_responses(wire) -> None:
    """A name with `responses/` in it is asked there for any output, and without a summary nobody wished for."""
    made = LitellmRoute("mine", row(wire, litellm_model="openai/responses/x", reasoning_summary=False), {})
    wire.next(said(summary=()))
    assert ask(made, Model("mine", "low"), LETTER).label_logprobs is None
    assert wire.received[0].json["reasoning"] == {"effort": "low"}


def test_the_package_that_summaries_need_is_named(wire, route, monkeypatch) -> None:
    """Without `mcp` every call would fail, so it is said before."""
    assert route.missing_pieces() == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert route.missing_pieces() == ["mine needs the package mcp: pip install mcp"]


def test_only_openai_gives_summaries(wire) -> None:
    """A row that wants them from another vendor is wrong, and is told so."""
    made = LitellmRoute("mine", row(wire, litellm_model="anthropic/claude-haiku-4-5", logprobs=False), {})
    (found,) = made.unsupported(Model("mine"))
    assert "reasoning_summary = true" in found
