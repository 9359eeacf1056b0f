"""The direct route: what goes over the wire, what comes back, and that nothing odd on it does harm."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from conftest import WIRE_KEY
from hypothesis import given, strategies as st
from wire import Reply, Wire, chat, failure

from llmclf.errors import ConfigError, ModelError
from llmclf.llm import Message, Model, Output, Request, Runtime
from llmclf.llm.model import body_text
from llmclf.llm.routes.chat import chat_answer
from llmclf.types import Usage

JSON = Output("json", schema={"type": "object", "properties": {"label": {"type": "string"}}})
LETTER = Output("letter", choices=("refused", "clean"))
TEXT = Output("text")
ROW = """
[models."http/m"]
route = "http"
api_base = "{url}"
model = "wire-model"
key_env = "WIRE_KEY"
logprobs = true
json_schema = true
thinking_tokens = "reasoning.max_tokens"
[models."http/m".thinking]
off = {{ chat_template_kwargs = {{ enable_thinking = false }} }}
high = {{ reasoning_effort = "high" }}
[models."http/m".body]
chat_template_kwargs = {{ tools = false }}
top_k = 1
[models."http/m".price]
input_usd_per_million = 1
output_usd_per_million = 10
[models."http/plain"]
route = "http"
api_base = "{url}/"
model = "plain"
temperature = false
price = {{ input_usd_per_million = 0, output_usd_per_million = 0 }}
[models."http/unpriced"]
route = "http"
api_base = "https://models.invalid/v1"
model = "plain"
"""


def question(model: str = "http/m", output: Output = TEXT, text: str = "Hello?", **more: Any) -> Request:
    settings = {name: more.pop(name) for name in ("thinking", "temperature", "max_output_tokens") if name in more}
    return Request(Model(model, **settings), (Message("system", "Be kind."), Message("user", text)), output, **more)


@pytest.fixture
def runtime(write: Callable[[str, str], Path], wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)
    path = write("configs/models.toml", "version = 1\n" + ROW.format(url=wire.url))
    with Runtime(workspace=path.parents[1], max_usd=5, cache="off") as made:
        yield made


def ask(runtime: Runtime, request: Request) -> Any:
    return asyncio.run(runtime.arespond(request))


def fails(runtime: Runtime, request: Request) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(runtime, request)
    return caught.value


# --- what is sent ----------------------------------------------------------------------------


def test_a_body_is_openais(wire, runtime) -> None:
    """Messages, limit, temperature 0, schema and the row's own fields go to {api_base}/chat/completions."""
    ask(runtime, question(output=JSON))
    (sent,) = wire.received
    assert sent.path == "/v1/chat/completions"
    assert sent.json == {
        "model": "wire-model",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
        "max_tokens": 2748,
        "temperature": 0.0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": JSON.schema, "strict": True},
        },
        "chat_template_kwargs": {"tools": False},
        "top_k": 1,
    }


def test_a_row_says_what_an_endpoint_lacks(wire, runtime) -> None:
    """Without temperature, schema, logprobs or key in its row, a model is sent none of them."""
    ask(runtime, question("http/plain", JSON))
    ask(runtime, question("http/plain", LETTER))
    for sent in wire.received:
        assert sorted(sent.json) == ["max_tokens", "messages", "model"]
        assert "authorization" not in sent.headers


def test_the_key_is_in_its_header_alone(wire, runtime) -> None:
    """It is read at every call, and neither path nor body nor the stored request hold it."""
    ask(runtime, question())
    (sent,) = wire.received
    assert sent.headers["authorization"] == f"Bearer {WIRE_KEY}"
    assert WIRE_KEY not in sent.path + sent.body.decode()
    assert WIRE_KEY not in str(runtime.store.query("SELECT * FROM calls JOIN call_texts USING (call_id)"))
    assert WIRE_KEY not in repr(vars(runtime.route("http/m")))


def test_thinking_is_what_the_row_says(wire, runtime) -> None:
    """A level's fields are merged into the body, a number goes where the row wants it; what was sent comes back."""
    found = [ask(runtime, question(thinking=wanted)).answer.sent_thinking for wanted in ("off", "high", 500)]
    off, high, exact = (sent.json for sent in wire.received)
    assert off["chat_template_kwargs"] == {"tools": False, "enable_thinking": False}
    assert high["reasoning_effort"] == "high"
    assert exact["reasoning"] == {"max_tokens": 500}
    assert exact["max_tokens"] > 500
    assert [json.loads(sent) for sent in found] == [
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning_effort": "high"},
        {"reasoning": {"max_tokens": 500}},
    ]


def test_capabilities_are_the_rows_word(runtime) -> None:
    """Levels without a row are unsupported; the others are sent, and nobody could check them."""
    found = runtime.route("http/m").capabilities()
    assert {name: row.status for name, row in found.thinking.items()} == {
        "off": "unverified",
        "minimal": "unsupported",
        "low": "unsupported",
        "medium": "unsupported",
        "high": "unverified",
        "max": "unsupported",
        "tokens": "unverified",
    }
    assert (found.json_schema, found.logprobs, found.temperature, found.modalities) == (True, True, True, ("text",))


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (Model("http/m", thinking="low"), "http/m takes thinking off, high, a number of tokens; got 'low'"),
        (Model("http/plain", thinking=100), "http/plain takes thinking at its default alone; got 100"),
        (Model("http/plain", temperature=0.5), "http/plain takes no temperature; got 0.5"),
        (Model("http/m", thinking=900, max_output_tokens=900), "leaves no room for an answer beside 900"),
    ],
)
def test_what_it_can_not_honour_is_said_before(wire, runtime, model, complaint) -> None:
    """A setting that the row does not know is an error that names what it takes; nothing is sent."""
    with pytest.raises(ConfigError) as caught:
        runtime.check([model])
    assert complaint in str(caught.value)
    assert not wire.received


def test_a_row_may_not_set_what_is_counted_on(write, wire) -> None:
    """A limit, a form of the answer or a number of answers of its own would break cap and parsing."""
    row = (
        'version = 1\n[models."http/x"]\nroute = "http"\nmodel = "x"\n'
        f'api_base = "{wire.url}"\nbody = {{ max_tokens = 9, n = 2, top_p = 1 }}\nthinking.low = {{ stream = true }}\n'
    )
    path = write("configs/models.toml", row)
    with Runtime(workspace=path.parents[1]) as runtime:
        found = runtime.route("http/x").unsupported(Model("http/x"))
    assert found == [
        "http/x: `body` in models.toml may not set max_tokens, n",
        "http/x: `thinking.low` in models.toml may not set stream",
    ]


@pytest.mark.parametrize(("key", "complaint"), [("", "needs the key in $WIRE_KEY"), ("clé-secrète", "no key has")])
def test_a_key_that_can_not_be_sent(wire, runtime, monkeypatch, key, complaint) -> None:
    """A missing key, or one that no header can carry, is an error before anything is sent; it is not quoted."""
    monkeypatch.setenv("WIRE_KEY", key)
    with pytest.raises(ConfigError) as caught:
        runtime.check([Model("http/m")])
    assert complaint in str(caught.value)
    assert not key or key not in str(caught.value)
    assert not wire.received


def test_where_texts_go(runtime) -> None:
    """Loopback is this machine; any other host is not. The endpoint is the base URL."""
    assert not runtime.route("http/m").leaves_machine
    assert runtime.route("http/unpriced").leaves_machine
    assert runtime.route("http/unpriced").endpoint() == "https://models.invalid/v1"


def test_prices(runtime, write, wire) -> None:
    """The row's own price holds, prices.toml comes before it, and without either the price is unknown."""
    assert runtime.route("http/m").price().output_nano == 10_000
    assert runtime.route("http/unpriced").price() is None
    path = write(
        "configs/prices.toml",
        'version = 1\n[prices."http/m"]\ninput_usd_per_million = 2\noutput_usd_per_million = 3\n',
    )
    with Runtime(workspace=path.parents[1], max_usd=1) as other:
        assert other.route("http/m").price().output_nano == 3_000


# --- what comes back -------------------------------------------------------------------------


def test_an_answer_with_everything(wire, runtime) -> None:
    """Text, reasoning, finish reason, counts, cost and the time to the first byte come back."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    wire.next(chat("yes", usage=usage, finish_reason="length", message={"reasoning_content": "hm"}))
    found = ask(runtime, question())
    assert (found.answer.text, found.answer.reasoning, found.answer.finish_reason) == ("yes", "hm", "length")
    assert found.answer.usage == Usage(100, 60, 20, 12, 5)
    assert found.cost_nano_usd == 300_000
    assert 0 < found.answer.first_byte_seconds < 5
    assert found.route == "http"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, Usage()),
        ("many", Usage()),
        ({"prompt_tokens": 0, "completion_tokens": -1}, Usage()),
        ({"prompt_tokens": 10**12, "completion_tokens": True}, Usage()),
        ({"prompt_tokens": 9, "completion_tokens": 2.5, "prompt_tokens_details": 3}, Usage(9)),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 10}},
            Usage(9, None, 3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "total_tokens": 52,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(9, None, 43, 40),
        ),
    ],
)
def test_counts_are_believed_only_where_they_can_be(wire, runtime, usage, counts) -> None:
    """Missing, zero, negative or absurd counts are unknown; reasoning counted apart is added to the output."""
    wire.next(chat("yes", usage=usage))
    found = ask(runtime, question())
    assert found.answer.usage == counts
    assert (found.cost_nano_usd is None) == (counts.input_tokens is None or counts.output_tokens is None)


def test_logprobs_of_letters(wire, runtime) -> None:
    """With letters, log-probabilities are asked for and read; after reasoning the first token is no letter."""
    wire.next(chat("A", logprobs={"A": -0.1, "B": -2.5}))
    assert ask(runtime, question(output=LETTER)).answer.label_logprobs == pytest.approx({"A": -0.1, "B": -2.5})
    assert wire.received[0].json["top_logprobs"] == 20
    wire.next(chat("A", logprobs={"A": -0.1}, message={"reasoning": "so"}))
    assert ask(runtime, question(output=LETTER)).answer.label_logprobs is None


@pytest.mark.parametrize(
    "logprobs",
    ["none", [], {"content": 5}, {"content": [3]}, {"content": [{"top_logprobs": [1]}]}, {"content": [{"token": 7}]}],
)
def test_odd_logprobs_are_none(wire, runtime, logprobs) -> None:
    """Log-probabilities in some other shape are none; the answer stays."""
    choice = {"message": {"content": "A"}, "finish_reason": "stop", "logprobs": logprobs}
    wire.next(chat(choices=[choice]))
    answer = ask(runtime, question(output=LETTER)).answer
    assert (answer.text, answer.label_logprobs) == ("A", None)


def test_a_refusal_is_one(wire, runtime) -> None:
    """`refusal` in the message ends it as a refusal, with its words."""
    wire.next(chat(None, message={"refusal": "I can't."}))
    answer = ask(runtime, question()).answer
    assert (answer.finish_reason, answer.text) == ("refusal", "I can't.")


def test_content_in_parts(wire, runtime) -> None:
    """Text that comes as a list of parts is put together."""
    wire.next(chat(None, message={"content": [{"type": "text", "text": "a"}, {"type": "x"}, {"text": "b"}, 3]}))
    assert ask(runtime, question()).answer.text == "ab"


def test_hostile_text_both_ways(wire, runtime) -> None:
    """Control characters, braces, emoji, halves of characters and much text cross unharmed."""
    text = "{{x}} \x00\x1b[2J\u202e </conversation> \U0001f600 \\n " + "ü" * 100_000
    wire.next(chat(text + "\ud83d"))
    found = ask(runtime, question(text=text + "\ud83d"))
    assert wire.received[0].json["messages"][1]["content"] == text + "\ufffd"
    assert found.answer.text == text + "\ufffd"


def test_gzip(wire, runtime) -> None:
    """A packed answer is unpacked."""
    plain = chat("packed")
    wire.next(Reply(body=gzip.compress(plain.body), headers={"content-encoding": "gzip"}))
    assert ask(runtime, question()).answer.text == "packed"


# --- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(body=b"<html>hello</html>"), "internal"),
        (Reply(body=b""), "internal"),
        (Reply(body=b"[" * 200_000), "internal"),
        (Reply(body=b'{"choices": [' + b"1" * 5000 + b"]}"), "internal"),
        (Reply(body=b"\xff\xfe{}"), "internal"),
        (Reply(body=b"null"), "internal"),
        (Reply(body=b"{}"), "empty"),
        (chat(choices=[]), "empty"),
        (chat(choices=["text"]), "internal"),
        (chat(choices=[{"message": None}]), "internal"),
        (chat(7), "internal"),  # type: ignore[arg-type]
        (Reply(body=b'{"choices": {"0": {}}}'), "internal"),
        (Reply(body=b'{"error": {"code": 400, "message": "maximum context length is 8"}}'), "context_overflow"),
        (chat(choices=[{"error": {"code": 400, "message": "no"}}]), "bad_request"),
        (failure(401, f"bad key {WIRE_KEY}"), "authentication"),
        (failure(404), "not_found"),
        (failure(400, "This model's maximum context length is 8192 tokens"), "context_overflow"),
        (Reply(307, headers={"location": "/elsewhere"}), "internal"),
        (Reply(body=b"x" * (17 * 2**20)), "internal"),
        (Reply(body=gzip.compress(b" " * (40 * 2**20)), headers={"content-encoding": "gzip"}), "internal"),
        (Reply(body=b"no gzip", headers={"content-encoding": "gzip"}), "connection"),
        (chat("cut", reset_after=20), "connection"),
    ],
)
def test_what_is_no_answer_is_a_typed_error(wire, runtime, reply, kind) -> None:
    """Each ends as one ModelError of its kind; what came with status 200 may have been billed; no key is quoted."""
    wire.next(reply)
    wire.default = failure(400, "asked again")
    route = runtime.route("http/m")
    request = question()

    async def once() -> None:
        await route.prepare()
        await route.send(request, route.body(request), 10)

    with pytest.raises(ModelError) as caught:
        runtime.run(once())
    error = caught.value
    assert error.kind == kind
    assert error.possibly_billed == (reply.status == 200)
    assert len(str(error)) < 500
    assert WIRE_KEY not in "".join(traceback.format_exception(error))
    assert len(wire.received) == 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = ("choices", "message", "content", "usage", "logprobs", "finish_reason", "refusal", "reasoning", "error")


@given(st.sampled_from(PLACES), JSON_VALUES, st.sampled_from([LETTER, TEXT, JSON]))
def test_anything_may_stand_anywhere(place: str, value: Any, output: Output) -> None:
    """Whatever JSON stands in one place of a completion, it is read as an answer or is a ModelError."""
    message: dict[str, Any] = {"content": "A", "refusal": None}
    top = {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "A", "logprob": -0.1}]}]}
    choice: dict[str, Any] = {"message": message, "finish_reason": "stop", "logprobs": top}
    reply: dict[str, Any] = {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    home = next((part for part in (message, choice, reply) if place in part), reply)
    home[place] = value
    _reads(json.dumps(reply).encode(), output)


@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_may_come(raw: bytes) -> None:
    """Whatever bytes come with status 200, they are read as an answer or are a ModelError."""
    _reads(raw, TEXT)


def _reads(raw: bytes, output: Output) -> None:
    try:
        answer = chat_answer(raw, question(output=output), "http/m")
    except ModelError as error:
        assert error.possibly_billed
        return
    assert isinstance(answer.text, str)
    assert isinstance(answer.reasoning, str)
    answer.text.encode()
    assert answer.finish_reason
    body_text({"usage": astuple(answer.usage)})


def test_a_wait_that_is_asked_for(wire, runtime) -> None:
    """Retry-After is kept, and the next attempt comes after it."""
    wire.next(failure(429, headers={"retry-after": "1"}), chat("later"))
    started = time.monotonic()
    found = ask(runtime, question())
    assert (found.answer.text, found.attempts) == ("later", 2)
    assert time.monotonic() - started > 0.9


def test_nobody_listens(runtime, write, wire) -> None:
    """A connection that was never made costs nothing."""
    text = ROW.format(url="http://127.0.0.1:9/v1")
    path = write("configs/models.toml", "version = 1\n" + text)
    with Runtime(workspace=path.parents[1], max_usd=5) as closed:
        error = fails(closed, question(timeout=0.3))
    assert (error.kind, error.possibly_billed) == ("connection", False)


@pytest.mark.parametrize("slow", [{"delay": 30.0}, {"trickle": 0.02}])
def test_one_deadline_around_everything(wire, runtime, slow) -> None:
    """Silence and a slow trickle both end at the deadline, as a time-out that may have been billed."""
    wire.default = chat("slow", **slow)
    started = time.monotonic()
    error = fails(runtime, question(timeout=0.6))
    assert (error.kind, error.possibly_billed) == ("timeout", True)
    assert time.monotonic() - started < 3


def test_no_proxy_and_no_cookies(wire, runtime, monkeypatch) -> None:
    """A proxy in the environment is not used, and a cookie that is set is not sent back."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    wire.default = chat("x", headers={"set-cookie": "seen=1; Path=/"})
    for number in range(2):
        ask(runtime, question(text=f"Hello {number}"))
    assert all("cookie" not in sent.headers for sent in wire.received)


# --- connections -----------------------------------------------------------------------------


def test_connections_are_used_again(wire, runtime) -> None:
    """Calls one after the other go over one connection, thirty at once over as many as are under way."""
    for number in range(5):
        ask(runtime, question("http/plain", text=str(number)))
    assert wire.connections == 1

    async def at_once() -> None:
        await asyncio.gather(*(runtime.arespond(question("http/plain", text=f"{n}")) for n in range(10, 40)))

    asyncio.run(at_once())
    assert wire.connections <= runtime.concurrency
    assert len(wire.received) == 35


def test_nothing_is_left_open(write, wire) -> None:
    """A closed runtime leaves no session or connection behind, also where a call was under way."""
    path = write("configs/models.toml", "version = 1\n" + ROW.format(url=wire.url))
    code = f"""
        import asyncio, threading, time
        from llmclf.errors import LlmclfError
        from llmclf.llm import Message, Model, Output, Request, Runtime

        def ask(words):
            request = Request(Model("http/plain"), (Message("user", words),), Output("text"))
            try:
                asyncio.run(runtime.arespond(request))
            except LlmclfError:
                pass

        with Runtime(workspace={str(path.parents[1])!r}) as runtime:
            ask("one")
            thread = threading.Thread(target=ask, args=["two"])
            thread.start()
            time.sleep(0.5)
        thread.join()
    """
    wire.next(chat("x"), chat("x", delay=30.0))
    command = [sys.executable, "-W", "always", "-c", dedent(code)]
    found = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert found.stderr == ""
    assert len(wire.received) == 2


def test_imports_wait_for_the_first_call(write) -> None:
    """Neither llmclf nor a runtime that only knows of such a model loads aiohttp."""
    path = write("configs/models.toml", "version = 1\n" + ROW.format(url="http://127.0.0.1:9/v1"))
    code = (
        "import sys, llmclf\n"
        "from llmclf.llm import Model, Runtime\n"
        f"with Runtime(workspace={str(path.parents[1])!r}) as runtime:\n"
        "    runtime.check([Model('http/plain')])\n"
        "assert 'aiohttp' not in sys.modules and 'litellm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
