"""Where a model is asked: what the environment says of it is part of the question, and is held to the rules."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from wire import Wire, chat

from llmclf.config import VendorRow
from llmclf.errors import ConfigError, ModelError
from llmclf.llm import Message, Model, Output, Request, Response, Runtime
from llmclf.llm.routes.litellm import LitellmRoute

OPENAI = "openai/gpt-4o-mini"
CLAUDE = "anthropic/claude-haiku-4-5"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith(("_BASE_URL", "_API_BASE")):
            monkeypatch.delenv(name)
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "fake-0451-key-of-nobody")


@pytest.fixture
def other_wire() -> Iterator[Wire]:
    with Wire() as server:
        yield server


def question(model: str = OPENAI) -> Request:
    return Request(Model(model), (Message("user", "Hello?"),), Output("text"))


def ask(runtime: Runtime, request: Request) -> Response:
    return asyncio.run(runtime.arespond(request))


@pytest.mark.parametrize(
    ("model", "variables", "endpoint"),
    [
        (OPENAI, {}, "openai"),
        (OPENAI, {"OPENAI_API_BASE": "https://a.invalid/v1/"}, "https://a.invalid/v1"),
        (OPENAI, {"OPENAI_API_BASE": "https://a.invalid", "OPENAI_BASE_URL": "https://b.invalid"}, "https://b.invalid"),
        (CLAUDE, {"ANTHROPIC_BASE_URL": "https://b.invalid"}, "https://b.invalid"),
        (CLAUDE, {"OPENAI_BASE_URL": "https://b.invalid"}, "anthropic"),
        ("groq/m", {"GROQ_API_BASE": "https://g.invalid"}, "https://g.invalid"),
        ("groq/m", {"GROQ_BASE_URL": "https://g.invalid"}, "groq"),
        ("ollama_chat/m", {"OLLAMA_API_BASE": "http://10.0.0.7:11434"}, "http://10.0.0.7:11434"),
        (OPENAI, {"OPENAI_BASE_URL": "https://me:secret@a.invalid/v1?key=secret"}, "https://a.invalid/v1"),
    ],
)
def test_the_endpoint_follows_the_environment(model: str, variables, endpoint: str, monkeypatch) -> None:
    """It is the base URL that litellm would use, without user, password and query, else the vendor's name."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert LitellmRoute(model, None, {}).endpoint() == endpoint


def test_a_rows_own_base_comes_first(monkeypatch) -> None:
    """What models.toml says of an endpoint is not changed by a variable."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://b.invalid")
    row = VendorRow(route="litellm", litellm_model=OPENAI, api_base="https://a.invalid")
    assert LitellmRoute("mine", row, {}).endpoint() == "https://a.invalid"


def test_allowed_endpoints_hold_for_the_environment(write, wire, tmp_path, monkeypatch) -> None:
    """A vendor that is allowed by its name is not asked at another place; the error names that, and no password."""
    write("llmclf.toml", 'version = 1\nusd_per_day = 5\nallowed_endpoints = ["openai"]\n')
    monkeypatch.setenv("OPENAI_BASE_URL", wire.url.replace("//", "//me:secret@"))
    with Runtime(workspace=tmp_path) as runtime:
        with pytest.raises(ConfigError, match="allowed_endpoints") as checked:
            runtime.check([Model(OPENAI)])
        with pytest.raises(ConfigError, match="allowed_endpoints"):
            ask(runtime, question())
    assert wire.url in str(checked.value)
    assert "secret" not in str(checked.value)
    assert not wire.received


def test_another_server_is_another_question(write, wire, other_wire, tmp_path, monkeypatch) -> None:
    """The same words are asked anew where the environment points elsewhere, and found again where they were asked."""
    write("llmclf.toml", "version = 1\nusd_per_day = 5\n")
    wire.default, other_wire.default = chat("from one"), chat("from the other")
    said = []
    with Runtime(tmp_path / "store.db", workspace=tmp_path) as runtime:
        for server in (wire, other_wire, wire):
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            found = ask(runtime, question())
            said.append((found.answer.text, found.cached))
        runtime.store.flush()
        rows = runtime.store.query("SELECT endpoint FROM calls ORDER BY sent_at")
    assert said == [("from one", False), ("from the other", False), ("from one", True)]
    assert [row["endpoint"] for row in rows] == [wire.url, other_wire.url]


@pytest.mark.parametrize(
    ("model", "first", "second"),
    [
        (OPENAI, "OPENAI_BASE_URL", "OPENAI_API_BASE"),
        (CLAUDE, "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        ("groq/llama-3.3-70b-versatile", "GROQ_API_BASE", "GROQ_BASE_URL"),
    ],
)
def test_a_request_goes_where_the_endpoint_says(model, first, second, wire, other_wire, monkeypatch) -> None:
    """With two variables set, the server that the endpoint names gets it, and the other one nothing."""
    monkeypatch.setenv(first, wire.url)
    monkeypatch.setenv(second, other_wire.url)
    monkeypatch.setenv("GROQ_API_KEY", "fake-0451-key-of-nobody")
    route = LitellmRoute(model, None, {})
    request = question(model)

    async def send() -> None:
        try:
            await route.send(request, route.body(request), 20)
        except ModelError as error:  # the server speaks OpenAI alone
            assert error.kind != "connection", error
        finally:
            await route.aclose()

    asyncio.run(send())
    assert route.endpoint() == wire.url
    assert len(wire.received) == 1
    assert not other_wire.received
