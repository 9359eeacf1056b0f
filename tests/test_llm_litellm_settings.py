"""litellm's settings: what goes together is found out offline, and litellm itself is kept quiet and offline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import WIRE_KEY
from wire import Reply, chat

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.config import VendorRow
from llmclf.errors import ModelError
from llmclf.llm import Message, Model, Output, Runtime
from llmclf.llm.model import Request
from llmclf.llm.prices import map_entry
from llmclf.llm.routes.litellm import LitellmRoute, load_litellm


@pytest.mark.parametrize(
    ("model", "base", "thinking"),
    [
        ("anthropic/claude-haiku-4-5", "", "low"),
        ("anthropic/claude-haiku-4-5", "", "off"),
        ("anthropic/claude-haiku-5-5", "", "high"),
        ("gemini/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash", "low"),
        ("gemini/gemini-3.8-flash", "/v1beta/models/gemini-3.8-flash", "medium"),
        ("deepseek/deepseek-reasoner", "/v1", "off"),
        ("mistral/mistral-large-4", "/v1", "high"),
        ("ollama_chat/qwen3", "", "low"),
        ("hosted_vllm/m", "/v1", "high"),
        ("openai/m", "/v1", "high"),
    ],
)
def test_what_is_recorded_for_thinking_crosses_the_wire(
    model: str, base: str, thinking: Any, wire, monkeypatch
) -> None:
    """What the probe says offline stands, word for word, in the request that the vendor gets."""
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)
    url = wire.url.removesuffix("/v1") + base
    row = VendorRow(route="litellm", litellm_model=model, api_base=url, key_env="WIRE_KEY", thinking=(thinking,))
    route = LitellmRoute("mine", row, {})
    request = Request(Model("mine", thinking), (Message("user", "x"),), Output("text"))

    async def asked() -> None:
        with contextlib.suppress(ModelError):  # the server speaks OpenAI alone
            await route.send(request, route.body(request), 20)
        await route.aclose()

    assert route.unsupported(request.model) == []
    asyncio.run(asked())
    sent = wire.received[0].json
    recorded = json.loads(route._sent_thinking(route.body(request)))
    assert recorded
    for key, value in recorded.items():
        found = sent.get(key, sent.get("generationConfig", {}).get(key, sent.get("options", {}).get(key)))
        assert found == value


@pytest.mark.parametrize(
    ("model", "thinking", "say"),
    [
        ("openai/gpt-5.4-mini", "low", ""),
        ("anthropic/claude-haiku-4-5", "low", ""),
        ("anthropic/claude-haiku-4-5", "off", ""),
        ("anthropic/claude-haiku-4-5", 2048, ""),
        ("openai/gpt-4.1-mini", "low", "takes thinking off; got"),
        ("openai/gpt-5", "off", "takes thinking minimal, low, medium, high; got"),
        ("openai/o4-mini", 2048, "takes thinking low, medium, high; got"),
    ],
)
def test_a_thinking_setting_that_would_be_lost_is_named(model: str, thinking: Any, say: str, monkeypatch) -> None:
    """What litellm would drop or refuse is found offline, before a call."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    found = LitellmRoute(model, None, {}).problems(Model(model, thinking=thinking))
    assert bool(found) == bool(say)
    assert say in "".join(found)


KEYS = ("OPENAI", "ANTHROPIC", "GEMINI", "XAI", "DEEPSEEK", "MISTRAL")
VENDORS = (
    "openai/gpt-5.4-mini",
    "openai/gpt-4.1-mini",
    "openai/gpt-6.1-sol",
    "anthropic/claude-haiku-4-5",
    "anthropic/claude-opus-5-5",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-3-flash-preview",
    "xai/grok-4.7",
    "deepseek/deepseek-chat",
    "mistral/mistral-large-4",
)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("temperature", [None, 0.5])
@pytest.mark.parametrize("thinking", [None, "off", "low", "high"])
def test_a_body_is_taken_or_named(name: str, thinking: Any, temperature: float | None, monkeypatch) -> None:
    """Whatever litellm would refuse of what is sent is found offline; the rest, as it is built, it takes."""
    if map_entry(name) is None:
        pytest.skip(f"this litellm does not know {name}")
    for vendor in KEYS:
        monkeypatch.setenv(f"{vendor}_API_KEY", "x")
    litellm = load_litellm()
    model, route = Model(name, thinking, temperature), LitellmRoute(name, None, {})
    if route.problems(model):
        return
    for output in (Output("json", schema={"type": "object"}), Output("letter", choices=("a", "b"))):
        body = dict(route.body(Request(model, (), output)))
        assert body.pop("messages") == []
        bare, vendor, _, _ = litellm.get_llm_provider(body.pop("model"))
        litellm.utils.get_optional_params(model=bare, custom_llm_provider=vendor, drop_params=False, **body)
        assert body.get("temperature", 0) == (temperature or 0)
        assert body["max_tokens"] == model.output_limit(output)


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (Model("openai/gpt-5.4-mini", "low"), set()),
        (Model("openai/gpt-5.4-mini", "off"), {"temperature", "logprobs"}),
        (Model("openai/gpt-5.4-mini"), {"temperature", "logprobs"}),
        (Model("anthropic/claude-haiku-4-5", "low"), set()),
        (Model("anthropic/claude-haiku-4-5", "off"), {"temperature"}),
        (Model("gemini/gemini-2.5-flash", "low"), {"temperature"}),
    ],
)
def test_defaults_are_sent_only_where_they_go_with_thinking(model: Model, sent: set[str]) -> None:
    """Temperature 0 and log-probabilities are left out where the model's thinking rules them out."""
    request = Request(model, (), Output("letter", choices=("a", "b")))
    assert {"temperature", "logprobs"} & set(LitellmRoute(model.id, None, {}).body(request)) == sent


@pytest.mark.parametrize(
    ("model", "say"),
    [
        (Model("openai/gpt-5.4-mini", "low", temperature=0.5), "doesn't support temperature=0.5 while reasoning"),
        (Model("anthropic/claude-haiku-4-5", "low", temperature=0.5), "temperature 1 alone while it thinks"),
        (Model("anthropic/claude-haiku-4-5", "high", max_output_tokens=600), "600 leaves no room"),
    ],
)
def test_settings_that_exclude_each_other_are_named(model: Model, say: str) -> None:
    """A temperature or a limit that does not go with thinking is found before a call, in the vendor's words."""
    (found,) = LitellmRoute(model.id, None, {}).unsupported(model)
    assert say in found
    assert "drop_params" not in found


def test_an_endpoint_that_can_not_give_logprobs_is_named() -> None:
    """A row that promises what litellm refuses for that vendor is wrong, and is told so."""
    row = VendorRow(route="litellm", litellm_model="mistral/mistral-large-4", logprobs=True)
    (found,) = LitellmRoute("mine", row, {}).unsupported(Model("mine"))
    assert "logprobs = true" in found


def test_the_shipped_classifiers_lack_nothing_but_a_key(monkeypatch) -> None:
    """Every llm classifier that comes with the package would be answered, given a key and weights."""
    for vendor in KEYS:
        monkeypatch.delenv(f"{vendor}_API_KEY", raising=False)
    with Runtime(max_usd=1) as runtime:
        made = [load_classifier(name, runtime=runtime) for name in ("refusal_to_transfer", "breakdown_llm")]
        for classifier in made:
            assert isinstance(classifier, LlmClassifier)
            route = runtime.route(classifier.model.id)
            assert route.unsupported(classifier.model) == []
            assert route.missing_keys() == [f"{classifier.model.id} needs the key in $OPENAI_API_KEY"]
            assert route.problems(classifier.model) == route.missing_keys()


def test_the_first_call_does_not_pay_for_loading(workspace, wire) -> None:
    """In a fresh process litellm is loaded with the classifier, or before the clock of the first call starts."""
    wire.default = chat(json.dumps({"evidence": [], "rationale": "none", "label": "clean", "confidence": 0.9}))
    code = f"""
import sys, time
from llmclf import Conversation, Runtime, Turn, load_classifier
from llmclf.classifiers.llm import LlmClassifier
with Runtime(workspace={str(workspace)!r}, max_usd=1) as runtime:
    made = load_classifier("explained", runtime=runtime)
    assert "litellm" in sys.modules
    found = made.classify(Conversation("c", (Turn("user", "Hello?"),)), timeout=2.0)
    assert found.error is None, found.error
"""
    run = subprocess.run([sys.executable, "-c", code], env=_bare_environment(), capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_litellm_is_loaded_quietly(tmp_path) -> None:
    """Importing it asks no network, reads no .env file, prints nothing, and hides one warning, which quotes answers."""
    (tmp_path / ".env").write_text("LLMCLF_FROM_DOTENV=1\n")
    code = """
import os, socket, sys, warnings
def refuse(*args, **more): raise AssertionError(f"network: {args}")
socket.socket.connect = socket.getaddrinfo = refuse
before = list(warnings.filters)
from llmclf.llm.routes.litellm import load_litellm
load_litellm()
load_litellm()
more = [each for each in warnings.filters if each not in before]
assert [each for each in warnings.filters if each in before] == before
assert [(action, text.pattern, kind) for action, text, kind, *_ in more] == [
    ("ignore", "Pydantic serializer warnings", UserWarning)
]
assert "LLMCLF_FROM_DOTENV" not in os.environ
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=_bare_environment(), capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


SECRET = "mary-said-so"
ODD = [
    {"choices": None},
    {"choices": [SECRET]},
    {"choices": [{"index": SECRET, "message": {"role": "assistant", "content": [SECRET]}}]},
    {"choices": [{"finish_reason": 7, "message": {"role": SECRET, "content": {"a": SECRET}}}]},
    {"choices": [{"message": {"content": SECRET}, "logprobs": {"content": [{"token": SECRET, "logprob": SECRET}]}}]},
    {"choices": [{"message": {"content": SECRET, "tool_calls": SECRET}}], "usage": {"prompt_tokens": SECRET}},
    {"usage": SECRET, "id": [SECRET], "created": SECRET, "model": {"a": SECRET}},
    {"error": {"message": [SECRET], "code": SECRET}},
]


def test_nothing_of_an_odd_answer_is_printed(workspace, wire) -> None:
    """Whatever a vendor sends, neither warnings nor log lines quote it: they could hold what a customer said."""
    good = json.loads(chat(SECRET, logprobs={SECRET: -0.1}).body)
    wire.next(*(Reply(body=json.dumps({**good, **odd}).encode()) for odd in ODD for _ in range(2)))
    code = f"""
from llmclf.errors import ModelError
from llmclf.llm import Message, Model, Output, Request, Runtime
with Runtime(workspace={str(workspace)!r}, max_usd=5, cache="off") as runtime:
    for number in range({len(ODD)}):
        for output in (Output("text"), Output("letter", choices=("a", "b"))):
            request = Request(Model("wire/m"), (Message("user", "x"),), output)
            try:
                runtime.run(runtime.arespond(request))
            except ModelError as error:
                pass
"""
    run = subprocess.run([sys.executable, "-c", code], env=_bare_environment(), capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert len(wire.received) == 2 * len(ODD)


def test_claude_is_asked_without_asking_anybody_else(tmp_path, wire) -> None:
    """A call to an Anthropic model connects to its endpoint alone, and logs nothing."""
    code = f"""
import asyncio, logging, socket, sys
connect, resolve, asked = socket.socket.connect, socket.getaddrinfo, []
def only_here(self, address, *more):
    if address[0] != "127.0.0.1":
        asked.append(address)
        raise OSError("blocked")
    return connect(self, address, *more)
def resolve_here(host, *more, **named):
    if host != "127.0.0.1":
        asked.append(host)
        raise OSError("blocked")
    return resolve(host, *more, **named)
socket.socket.connect, socket.getaddrinfo = only_here, resolve_here
from llmclf.config import VendorRow
from llmclf.errors import ModelError
from llmclf.llm import Model, Output
from llmclf.llm.model import Message, Request
from llmclf.llm.routes.litellm import LitellmRoute
row = VendorRow(route="litellm", litellm_model="anthropic/claude-haiku-4-5", api_base={wire.url!r}, json_schema=True)
request = Request(Model("mine"), (Message("user", "x"),), Output("json", schema={{"type": "object"}}))
route = LitellmRoute("mine", row, {{}})
try:
    asyncio.run(route.send(request, route.body(request), 20))
except ModelError as error:
    assert error.kind in ("not_found", "internal", "empty", "connection"), error
assert not asked, asked
"""
    env = {**_bare_environment(), "ANTHROPIC_API_KEY": "x"}
    wire.default = chat("no Claude")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert wire.received


def _bare_environment() -> dict[str, str]:
    """The environment of a process that imports llmclf from here, without settings for litellm."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    return {name: value for name, value in env.items() if not name.startswith("LITELLM")}


def test_a_row_needs_no_entry_in_the_map(monkeypatch) -> None:
    """An endpoint of one's own is known by its row alone."""
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)
    row = VendorRow(route="litellm", litellm_model="openai/mine", api_base="http://127.0.0.1:1/v1", key_env="WIRE_KEY")
    assert LitellmRoute("mine", row, {}).problems(Model("mine")) == []
    assert LitellmRoute("mine", row, {}).endpoint() == "http://127.0.0.1:1/v1"
