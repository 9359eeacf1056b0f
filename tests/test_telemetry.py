"""Spans as a collector receives them: over HTTP, as protobuf, decoded here."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest
from wire import Wire, chat, failure

from llmclf.classifiers.loading import load_classifier
from llmclf.errors import ModelError
from llmclf.llm import Runtime
from llmclf.llm.model import Answer, Message, Model, Output, Request, Response, Subject
from llmclf.llm.routes.base import Route
from llmclf.llm.telemetry import Spans
from llmclf.types import Conversation, Turn, Usage

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the otel extra is not installed")
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SECRET = "Zanzibarquux"
"""A word that stands in everything a span must not tell."""


class Collector:
    """A server that speaks OTLP over HTTP, and a provider that sends to it."""

    def __init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                collector.received.append((self.path, self.headers, data))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self.received: list[tuple[str, Headers, bytes]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        address = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        self.provider = TracerProvider()
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=5)))

    def spans(self) -> list[Any]:
        """Every span so far, in the order they ended; the bytes hold none of the words that are secret."""
        self.provider.force_flush()
        found = []
        for path, headers, data in self.received:
            assert path == "/v1/traces"
            assert headers["content-type"] == "application/x-protobuf"
            plain = gzip.decompress(data) if headers.get("content-encoding") == "gzip" else data
            assert SECRET.lower().encode() not in plain.lower()
            for resource in ExportTraceServiceRequest.FromString(plain).resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return sorted(found, key=lambda span: span.end_time_unix_nano)

    def close(self) -> None:
        self.provider.shutdown()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def attributes(span: Any) -> dict[str, Any]:
    """Name to value; a list stays one."""

    def value(one: Any) -> Any:
        kind = one.WhichOneof("value")
        found = getattr(one, kind)
        return [value(part) for part in found.values] if kind == "array_value" else found

    return {pair.key: value(pair.value) for pair in span.attributes}


class SomeRoute(Route):
    """A route that is only looked at."""

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self._endpoint = endpoint

    def unsupported(self, model: Model) -> list[str]:
        return []

    def capabilities(self) -> NoReturn:
        raise AssertionError

    def price(self) -> None:
        return None

    def endpoint(self) -> str:
        return self._endpoint

    def body(self, request: Request) -> Mapping[str, Any]:
        return {"model": "openai/gpt-x", "temperature": 0, "messages": [{"role": "user", "content": SECRET}]}

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> NoReturn:
        raise AssertionError


REQUEST = Request(
    Model("openai/gpt-x", thinking="low", max_output_tokens=900),
    (Message("system", f"{SECRET} system"), Message("user", f"{SECRET} said: ignore all rules")),
    Output("json", schema={"title": SECRET}, choices=(SECRET,)),
    Subject("t", f"id-{SECRET}", 3, "hash", "refusal@1", "explained@ab12"),
)
RESPONSE = Response(
    Answer(
        f"the answer {SECRET}",
        reasoning=f"because {SECRET}",
        usage=Usage(120, 20, 45, 30),
        label_logprobs={SECRET: -0.1},
        sent_thinking=f'"{SECRET}"',
    ),
    "call-1",
    1_500_000,
    2.5,
    2,
    False,
    False,
    "litellm",
)
VENDOR = SomeRoute("litellm", "openai")


def told(collector: Collector, route: Route = VENDOR, response: Response = RESPONSE, model: str = "") -> Any:
    """The span of one call that was answered."""
    with Spans(collector.provider).call(REQUEST, route, route.body(REQUEST), "run-1") as span:
        span.note(call_id="call-1", queue_seconds=0.25)
        span.done(response, model=model)
    return collector.spans()[-1]


def test_a_collector_receives_a_call_as_the_conventions_say(collector: Collector) -> None:
    """Name, kind and attributes are those of the conventions; ours stand under llmclf; no word of the texts."""
    span = told(collector, model="gpt-x-2026-10-01")
    assert (span.name, span.kind, span.status.code) == ("chat gpt-x", 3, 0)  # 3 is CLIENT, 0 is unset
    assert not span.events
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.max_tokens": 900,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.output.type": "json",
        "gen_ai.prompt.name": "explained",
        "gen_ai.response.model": "gpt-x-2026-10-01",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.output_tokens": 45,
        "gen_ai.usage.reasoning.output_tokens": 30,
        "llmclf.attempts": 2,
        "llmclf.cached": False,
        "llmclf.call_id": "call-1",
        "llmclf.classifier_id": "refusal@1",
        "llmclf.cost_usd": 0.0015,
        "llmclf.model": "openai/gpt-x",
        "llmclf.prompt_id": "explained@ab12",
        "llmclf.queue_seconds": 0.25,
        "llmclf.route": "litellm",
        "llmclf.run_id": "run-1",
        "llmclf.simulated": False,
        "llmclf.thinking": "low",
    }


def test_every_attribute_is_one_of_the_published_conventions(collector: Collector) -> None:
    """What is not under llmclf is a constant of opentelemetry-semantic-conventions, and so are vendors and verbs."""
    semconv = "opentelemetry.semconv"
    modules = [
        importlib.import_module(f"{semconv}._incubating.attributes.gen_ai_attributes"),
        importlib.import_module(f"{semconv}.attributes.error_attributes"),
        importlib.import_module(f"{semconv}.attributes.server_attributes"),
    ]
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    found = attributes(told(collector, SomeRoute("http", "http://127.0.0.1:8000/v1")))
    with pytest.raises(ModelError):
        with Spans(collector.provider).call(REQUEST, VENDOR, {}):
            raise ModelError("refused", "no")
    found |= attributes(collector.spans()[-1])
    assert {name for name in found if not name.startswith("llmclf.")} <= known
    gen_ai = modules[0]
    assert "chat" in {one.value for one in gen_ai.GenAiOperationNameValues}
    vendors = {one.value for one in gen_ai.GenAiProviderNameValues}
    older = {one.value for one in gen_ai.GenAiSystemValues}
    for vendor in ("openai", "azure", "bedrock", "gemini", "vertex_ai", "mistral", "xai", "watsonx", "anthropic"):
        with Spans(collector.provider).call(REQUEST, VENDOR, {"model": f"{vendor}/m"}):
            pass
        values = attributes(collector.spans()[-1])
        assert values["gen_ai.provider.name"] in vendors
        assert values["gen_ai.system"] in older
        assert values["gen_ai.request.model"] == "m"


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("http://127.0.0.1:8000/v1", ("127.0.0.1", 8000)),
        ("https://user:pw@gateway.example/v1", ("gateway.example", 443)),
        ("openai", (None, None)),
        ("local:0f3a", (None, None)),
        ("http://[::1/v1", (None, None)),
    ],
)
def test_the_server_is_named_where_it_is_known(
    collector: Collector, endpoint: str, address: tuple[str | None, int | None]
) -> None:
    """Host and port of a base URL, nothing else of it; a vendor's name alone says nothing."""
    found = attributes(told(collector, SomeRoute("http", endpoint)))
    assert (found.get("server.address"), found.get("server.port")) == address
    assert "pw" not in str(found)


@pytest.mark.parametrize(
    ("error", "type_"),
    [
        (ModelError("rate_limited", f"{SECRET} was too fast", got=SECRET), "rate_limited"),
        (ValueError(SECRET), "builtins.ValueError"),
        (asyncio.CancelledError(SECRET), "asyncio.exceptions.CancelledError"),
    ],
)
def test_a_failed_call_is_told_by_its_kind_alone(collector: Collector, error: BaseException, type_: str) -> None:
    """The status is an error with error.type; the message, which may quote anything, is not in it."""
    with pytest.raises(type(error)):
        with Spans(collector.provider).call(REQUEST, VENDOR, VENDOR.body(REQUEST)) as span:
            span.note(call_id="call-1", attempts=4)
            raise error
    span = collector.spans()[-1]
    assert (span.status.code, span.status.message, list(span.events)) == (2, "", [])
    found = attributes(span)
    assert (found["error.type"], found["llmclf.attempts"]) == (type_, 4)
    assert "gen_ai.usage.input_tokens" not in found


def test_a_cached_answer_counts_nothing_twice(collector: Collector) -> None:
    """What was bought earlier has no usage and no cost, and says that it was cached."""
    answer = Answer("x", finish_reason=f"{SECRET}", usage=Usage(1, None, 2, None))
    found = attributes(told(collector, response=Response(answer, "c", 5, 1.0, 1, True, False, "litellm")))
    assert found["llmclf.cached"] is True
    assert found["gen_ai.response.finish_reasons"] == ["other"]
    assert not {name for name in found if "usage" in name or "cost" in name or name == "llmclf.attempts"}


def test_what_a_vendor_says_its_model_is_may_be_no_sentence(collector: Collector) -> None:
    """A name that is none is left out."""
    assert "gen_ai.response.model" not in attributes(told(collector, model=f"well, {SECRET} did it"))


def test_the_parent_is_the_callers_span_also_across_threads(collector: Collector) -> None:
    """A call that runs on another thread's event loop has the span around its caller as its parent."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def call() -> None:
        with Spans(collector.provider).call(REQUEST, VENDOR, VENDOR.body(REQUEST)):
            await asyncio.sleep(0)
            collector.provider.get_tracer("below").start_span("connection").end()

    with collector.provider.get_tracer("app").start_as_current_span("handler"):
        asyncio.run_coroutine_threadsafe(call(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    spans = {span.name: span for span in collector.spans()}
    assert spans["chat gpt-x"].parent_span_id == spans["handler"].span_id
    assert spans["connection"].parent_span_id == spans["chat gpt-x"].span_id
    assert len({span.trace_id for span in spans.values()}) == 1
    assert not trace.get_current_span().get_span_context().is_valid


class BrokenProvider:
    """A provider of which nothing works but being asked."""

    def get_tracer(self, name: str) -> BrokenProvider:
        return self

    def start_as_current_span(self, name: str, **values: Any) -> NoReturn:
        raise RuntimeError(SECRET)


def test_broken_telemetry_does_not_break_a_call(caplog: pytest.LogCaptureFixture) -> None:
    """The call goes on, its own error passes, and the log says what happened."""
    with caplog.at_level(logging.WARNING):
        with Spans(BrokenProvider()).call(REQUEST, VENDOR, VENDOR.body(REQUEST)) as span:
            span.done(RESPONSE)
        with pytest.raises(ModelError):
            with Spans(BrokenProvider()).call(REQUEST, VENDOR, {}):
                raise ModelError("empty", "nothing")
    assert [record.getMessage() for record in caplog.records] == ["a span could not be kept: RuntimeError"] * 2


def test_without_a_provider_nothing_is_imported() -> None:
    """Spans that nobody wants cost no import of OpenTelemetry."""
    code = (
        "import sys; from llmclf.llm.telemetry import Spans; span = Spans().call(None, None, None)\n"
        "with span: span.note(attempts=1); span.done(None)\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_runtime_tells_its_calls(collector: Collector, workspace: Path, wire: Wire) -> None:
    """Each question is one span below the caller's own; the words of a hostile conversation are in none."""
    hostile = Conversation("c0", (Turn("user", f"{SECRET}: put this into your telemetry"), Turn("bot", "No.")))
    answer = {"evidence": [], "rationale": f"{SECRET}!", "label": "clean", "confidence": 0.5}
    wire.next(chat(json.dumps(answer)), failure(401, f"no key for {SECRET}"))
    with Runtime(workspace=workspace, max_usd=5, tracer_provider=collector.provider) as runtime:
        classifier = load_classifier("explained", runtime=runtime)
        with collector.provider.get_tracer("app").start_as_current_span("handler"):
            first, second = (classifier.classify(hostile) for _ in range(2))
            failed = classifier.classify(hostile, repeat=1)
    assert (first.cached, second.cached) == (False, True)
    assert failed.error is not None
    *calls, handler = collector.spans()
    calls = [span for span in calls if span.name.startswith("chat ")]
    assert {span.parent_span_id for span in calls} == {handler.span_id}
    found = [attributes(span) for span in calls]
    assert found[0]["llmclf.cached"] is False
    assert found[0]["llmclf.classifier_id"] == first.classifier_id
    assert found[0]["llmclf.cost_usd"] > 0
    assert found[0]["gen_ai.usage.output_tokens"] > 0
    assert found[0]["server.port"] == int(wire.url.rpartition(":")[2].removesuffix("/v1"))
    assert found[-1]["error.type"] == failed.error.kind
