"""How statuses, words, waits and connections are read, whatever a vendor writes."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from hypothesis import given, strategies as st

from llmclf.errors import ERROR_KINDS, ModelError
from llmclf.llm.answers import json_object, usable_text
from llmclf.llm.model import Answer, Response
from llmclf.llm.routes.faults import asked_wait, connection_error, model_error, retry_after_seconds, status_error

KEY = "fake-0452-key-of-nobody"


def response(text: str, finish_reason: str = "stop", reasoning: str = "") -> Response:
    answer = Answer(text, reasoning=reasoning, finish_reason=finish_reason)
    return Response(answer, "call", 0, 0.1, 1, cached=False, simulated=False, route="test")


ODD = st.none() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=2)
INNER = ODD | st.dictionaries(st.sampled_from(["message", "code", "status", "type"]), ODD, max_size=3)


@given(
    st.integers(100, 999),
    st.text(max_size=200) | st.builds(lambda error: json.dumps({"error": error}), INNER) | ODD.map(json.dumps),
    st.dictionaries(st.sampled_from(["Retry-After", "retry-after-ms", "x"]), st.text(max_size=30), max_size=2),
)
def test_any_status_and_body_is_an_error_of_a_kind(status: int, body: str, headers: dict[str, str]) -> None:
    """Whatever stands in the body and the headers: a kind, a short message, and a wait that is none or not negative."""
    error = status_error(status, body, headers, "wire/m")
    assert error.kind in ERROR_KINDS
    assert error.status == status
    assert len(error.message) < 450
    assert error.retry_after is None or error.retry_after >= 0
    assert error.possibly_billed == (error.kind == "timeout")


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "maximum context length is 8192 tokens", "context_overflow"),
        (400, "the request exceeds the available context size", "context_overflow"),
        (400, "too large for model with 32768 maximum context length", "context_overflow"),
        (400, "input token count (9) exceeds the maximum", "context_overflow"),
        (400, "API key not valid. Please pass a valid API key.", "authentication"),
        (400, "temperature must be a number", "bad_request"),
        (403, "content_policy_violation", "content_filter"),
        (403, "your country is not served", "authentication"),
        (429, "Requests per minute: 5. Please check your plan and billing details.", "rate_limited"),
        (429, "Insufficient Balance", "authentication"),
        (429, "billing_hard_limit_reached", "authentication"),
        (500, "context length", "unavailable"),
        (418, "", "bad_request"),
        (599, "", "unavailable"),
        (302, "", "internal"),
        (200, "", "internal"),
    ],
)
def test_words_decide_where_a_status_misleads(status: int, words: str, kind: str) -> None:
    """A bad request can be many things; a limit per minute passes and an empty account does not."""
    assert status_error(status, json.dumps({"error": {"message": words}}), {}, "wire/m").kind == kind


def test_a_message_says_what_the_vendor_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's message and its word for the kind, without braces and without the key."""
    monkeypatch.setenv("MY_SECRET_PLACE", KEY)
    body = json.dumps({"error": {"message": f"no more for {KEY}", "code": "insufficient_quota", "type": "x"}})
    error = status_error(429, body, {}, "wire/m", "MY_SECRET_PLACE")
    assert error.message == (
        "wire/m: status 429: no more for [key] (insufficient_quota); "
        "the vendor says that there is no credit left: add some there"
    )


def test_waits_are_read_from_headers_and_from_the_body() -> None:
    """Milliseconds before seconds before a date before Gemini's delay; the case of a header's name does not count."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    delay = '{"error": {"details": [{"@type": "RetryInfo", "retryDelay": "17.5s"}]}}'
    assert asked_wait({"Retry-After-Ms": "250", "Retry-After": "9"}) == 0.25
    assert asked_wait({"RETRY-AFTER": "9"}, delay) == 9
    assert 80 < (asked_wait({"retry-after": later}) or 0) <= 90
    assert asked_wait({"retry-after": "soon"}, delay) == 17.5
    assert asked_wait({}, "retryDelay soon") is None


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d{1,12} \w{3} \d{1,25} \d\d:\d\d:\d\d GMT", fullmatch=True))
def test_no_retry_after_breaks_anything(value: str) -> None:
    """Numbers, dates beyond every calendar and nonsense: seconds, or nothing."""
    seconds = retry_after_seconds(value)
    assert seconds is None or seconds >= 0


def ask(url: str, timeout: aiohttp.ClientTimeout | None = None) -> Exception:
    """What aiohttp raises for a GET."""

    async def get() -> None:
        async with aiohttp.ClientSession(timeout=timeout or aiohttp.ClientTimeout(total=5)) as session:
            async with session.get(url) as reply:
                await reply.read()

    with pytest.raises(Exception) as caught:
        asyncio.run(get())
    return caught.value


def test_a_connection_that_was_never_made_costs_nothing() -> None:
    """A closed port and a name that no one has may pass; a URL that is none does not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    urls = {f"http://127.0.0.1:{port}": "connection", "http://no-such-host.invalid": "connection"}
    for url, kind in {**urls, "http://127.0.0.1:port": "bad_request", "ftp://127.0.0.1": "bad_request"}.items():
        error = connection_error(ask(url), "wire/m")
        assert (error.kind, error.possibly_billed) == (kind, False), error


def test_a_silent_server_may_have_billed() -> None:
    """It took the connection and says nothing; or it closes it at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = connection_error(ask(url, aiohttp.ClientTimeout(total=0.2)), "wire/m")
        assert (error.kind, error.possibly_billed) == ("timeout", True)
        error = connection_error(ask(url, aiohttp.ClientTimeout(sock_read=0.2)), "wire/m")
        assert (error.kind, error.possibly_billed) == ("timeout", True)
    for broken in (aiohttp.ServerDisconnectedError(), ConnectionResetError(104, "reset"), aiohttp.ClientPayloadError()):
        error = connection_error(broken, "wire/m")
        assert (error.kind, error.possibly_billed) == ("connection", True)


def test_what_litellm_refuses_itself_was_never_sent() -> None:
    """Without a response and without a connection litellm's own status holds."""

    class UnsupportedParamsError(Exception):
        status_code = 400

    error = model_error(UnsupportedParamsError("openai does not support parameters: ['thinking']"), "wire/m")
    assert (error.kind, error.possibly_billed) == ("bad_request", False)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("refusal", "refused"),
        ("error", "internal"),
        ("abort", "internal"),
    ],
)
def test_an_answer_that_did_not_end_well_is_none(ending: str, kind: str) -> None:
    """Whatever text came with it."""
    with pytest.raises(ModelError) as caught:
        usable_text(response('{"label": "refused"}', ending), "c1")
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("text", "found", "thinking"),
    [
        ("<think>so</think>\nA", "A", "so"),
        ("so {so}</think>A", "A", "so {so}"),
        ('{"rationale": "</think>"}', '{"rationale": "</think>"}', ""),
        ('```json\n{"rationale": "</think>"}\n```', '```json\n{"rationale": "</think>"}\n```', ""),
        ("half \ud83d", "half \ufffd", ""),
    ],
)
def test_thinking_before_an_answer_is_kept_apart(text: str, found: str, thinking: str) -> None:
    """In its tags, or up to its end where the template began it; a tag inside the answer stays."""
    assert usable_text(response(text), "c1") == (found, thinking)


def test_thinking_of_both_kinds_is_kept() -> None:
    """What the vendor exposes stands before what the model wrote."""
    assert usable_text(response("<think>two</think>A", reasoning="one"), "c1") == ("A", "one\ntwo")


@given(st.text(max_size=50) | st.integers(1, 3000).map(lambda deep: '{"x": ' + "[" * deep + "]" * deep + "}"))
def test_any_text_is_an_object_or_unparsable(text: str) -> None:
    """However deep or strange: an object, or ModelError, and nothing else."""
    try:
        assert isinstance(json_object(text, "c1"), dict)
    except ModelError as error:
        assert error.kind == "unparsable"
