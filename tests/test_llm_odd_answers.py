"""Answers of a shape that nobody foresaw: they are read quickly, cost what they may cost, and end no run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking_http import ENDS, question, workspace_of, worst_nano
from wire import Reply, Wire, chat

from llmclf.errors import ModelError
from llmclf.llm import Output, Runtime
from llmclf.llm.answers import json_object, usable_text
from llmclf.llm.model import Answer, Response

LETTER = Output("letter", choices=("yes", "no"))


@pytest.fixture
def runtime(tmp_path: Path, wire: Wire) -> Iterator[Runtime]:
    folder = workspace_of(tmp_path, wire)
    with Runtime(folder / "store.db", workspace=folder, max_usd=50) as made:
        yield made


def says(text: str) -> Response:
    return Response(Answer(text), "c", 0, 0.0, 1, False, False, "http")


# --- much white space -----------------------------------------------------------------------


@pytest.mark.parametrize("space", ["\n", " ", "\r\n", "\t \n"])
@pytest.mark.parametrize("after", ["x", "{", "`", "<think>", "</think"])
def test_much_white_space_before_an_answer_is_read_at_once(space: str, after: str) -> None:
    """200,000 characters of it take no second, whatever comes then."""
    started = time.monotonic()
    assert usable_text(says(space * (200_000 // len(space)) + after), "w") == (after, "")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("opening", ["```json", "```", "{", "[", ""])
@pytest.mark.parametrize("ending", ["x", "", "```", "\n``` "])
def test_much_white_space_in_an_answer_is_refused_at_once(opening: str, ending: str) -> None:
    """What is no JSON object after so many line breaks is unparsable within a second."""
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        json_object(opening + "\n" * 190_000 + ending, "w")
    assert caught.value.kind == "unparsable"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "text", ['```json\n\n\n{"a": 1}\n\n```', '``` \r\n{"a": 1}\r\n```', '```json \t\n {"a": 1}\n```']
)
def test_white_space_in_a_fence_does_no_harm(text: str) -> None:
    """Empty lines and blanks behind the opening are part of no answer."""
    assert json_object(text, "w") == {"a": 1}


def test_thinking_behind_white_space_is_found() -> None:
    """Empty lines before the block or before its words do not hide it."""
    assert usable_text(says("\n\n <think>\nso\n</think>\n\nyes"), "w") == ("yes", "so")
    assert usable_text(says("\n\nso</think>yes"), "w") == ("yes", "so")


# --- shapes that nobody foresaw -------------------------------------------------------------


def test_a_logprob_of_400_digits_is_none(wire, runtime) -> None:
    """It is no number to count with: the answer is read without it, and the call is paid as usual."""
    good = json.loads(chat("A", logprobs={"A": -0.25}).body)
    wire.default = Reply(body=json.dumps(good).replace("-0.25", "-" + "9" * 400).encode())
    found = runtime.run(runtime.arespond(question(output=LETTER)))
    assert (found.answer.text, found.answer.label_logprobs) == ("A", None)
    assert runtime.budget.reserved_nano == 0


@pytest.mark.parametrize("error", [OverflowError("int too large"), KeyError("x"), RecursionError(), AssertionError()])
def test_an_unforeseen_exception_is_a_failed_call(wire, runtime, monkeypatch, error: Exception) -> None:
    """It is a ModelError `internal` that quotes nothing, possibly billed, with a row that says so; others go on."""
    route = runtime.route("http/m")
    send = route.send

    async def breaks(request: Any, *more: Any) -> Answer:
        answer = await send(request, *more)
        if request.messages[0].content == "odd":
            raise error
        return answer

    monkeypatch.setattr(route, "send", breaks)
    wire.default = chat("fine")

    async def go() -> list[Any]:
        asked = (runtime.arespond(question(text)) for text in ("odd", "even"))
        return await asyncio.gather(*asked, return_exceptions=True)

    odd, even = asyncio.run(go())
    assert even.answer.text == "fine"
    assert isinstance(odd, ModelError)
    assert (odd.kind, odd.possibly_billed, odd.retryable) == ("internal", True, False)
    assert "int too large" not in str(odd)
    runtime.store.flush()
    assert runtime.store.query(ENDS)[1] == {
        "state": "failed",
        "error_kind": "internal",
        "cost_nano": None,
        "possibly_billed": 1,
        "attempts": 1,
    }
    assert runtime.budget.reserved_nano == worst_nano(runtime, question("odd"))
    assert len(wire.received) == 2


# --- broken off -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
@pytest.mark.parametrize("flushed", [False, True])
def test_an_answer_that_was_broken_off_is_asked_for_again(wire, runtime, reason: str, flushed: bool) -> None:
    """The endpoint did not finish it: the next one who asks gets a fresh answer, which then stays."""
    wire.next(chat("half", finish_reason=reason), chat("whole"))
    said = []
    for _ in range(3):
        found = runtime.run(runtime.arespond(question()))
        said.append((found.answer.text, found.cached))
        if flushed:
            runtime.store.flush()
    assert said == [("half", False), ("whole", False), ("whole", True)]


@pytest.mark.parametrize("reason", ["length", "content_filter", "stop", ""])
def test_an_answer_that_would_end_the_same_way_again_stays(wire, runtime, reason: str) -> None:
    """What ran into a limit or a filter was bought, and is not bought again."""
    wire.next(chat("bought", finish_reason=reason), chat("again"))
    assert [runtime.run(runtime.arespond(question())).answer.text for _ in range(2)] == ["bought"] * 2
    runtime.store.flush()
    assert runtime.run(runtime.arespond(question())).cached
