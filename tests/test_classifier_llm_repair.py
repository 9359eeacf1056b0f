"""Answers that can't be read: asked for once more, in the open, and nothing else is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import CONVERSATION, answer, make
from wire import Reply, chat, failure

from llmclf.llm import Runtime
from llmclf.types import Item

GOOD = chat(answer(label="refused", confidence=0.8))
BAD = {
    "prose": "I think that the customer was refused.",
    "prose around": "Sure! " + answer(),
    "another label": answer(label="maybe"),
    "confidence as a word": answer(confidence="high"),
    "a list": json.dumps([answer()]),
    "a key twice": '{"label": "clean", "label": "refused"}',
    "cut short": answer()[:40],
}


@pytest.fixture
def runtime(workspace: Path, wire) -> Iterator[Runtime]:
    wire.default = chat(answer())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as made:
        yield made


def messages(wire, place: int) -> list[dict[str, Any]]:
    """The messages of a received request."""
    found: list[dict[str, Any]] = wire.received[place].json["messages"]
    return found


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_asked_for_once_more(name: str, wire, runtime) -> None:
    """The second request is the first with the bad answer and what is wrong with it; its answer counts."""
    wire.next(chat(BAD[name]), GOOD)
    found = make(runtime).classify(CONVERSATION)
    assert (found.label, found.repaired, found.calls) == ("refused", True, 2)
    assert len(wire.received) == 2
    first, second = messages(wire, 0), messages(wire, 1)
    assert second[: len(first)] == first
    bad, said = second[len(first) :]
    assert (bad["role"], bad["content"], said["role"]) == ("assistant", BAD[name], "user")
    assert said["content"].startswith("That answer can't be used: ")
    assert "one JSON object and nothing else" in said["content"]
    assert BAD[name] not in said["content"]


def test_both_answers_are_paid_for_and_kept(wire, runtime) -> None:
    """Tokens, dollars and seconds are those of both calls, and the store has each as a call of its own."""
    tokens = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    more = {"prompt_tokens": 150, "completion_tokens": 30, "total_tokens": 180}
    wire.next(chat("no", usage=tokens, delay=0.1), chat(answer(), usage=more, delay=0.1))
    found = make(runtime).classify(CONVERSATION)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (250, 50)
    assert found.cost_nano_usd == 250 * 1000 + 50 * 10_000
    assert found.latency_seconds is not None
    assert found.latency_seconds >= 0.2
    rows = runtime.store.query("SELECT call_id, request_hash, cost_nano, state FROM calls ORDER BY sent_at")
    assert [row["state"] for row in rows] == ["done", "done"]
    assert len({row["request_hash"] for row in rows}) == 2
    assert sum(row["cost_nano"] for row in rows) == found.cost_nano_usd
    assert found.call_id == rows[0]["call_id"]


def test_an_unknown_cost_stays_unknown(wire, runtime) -> None:
    """Where one of the two says nothing of its tokens, the sum is unknown, not the other's."""
    wire.next(chat("no", usage=None), GOOD)
    found = make(runtime).classify(CONVERSATION)
    assert found.label == "refused"
    assert (found.cost_nano_usd, found.usage.input_tokens) == (None, None)


def test_what_was_repaired_is_not_bought_again(wire, runtime) -> None:
    """Both answers come from the store the next time, and the prediction says so."""
    wire.next(chat("no"), GOOD)
    first = make(runtime).classify(CONVERSATION)
    again = make(runtime).classify(CONVERSATION)
    assert len(wire.received) == 2
    assert (first.cached, again.cached) == (False, True)
    assert (again.label, again.repaired, again.calls) == (first.label, True, 2)
    assert again.cost_nano_usd == first.cost_nano_usd


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (chat("", message={"refusal": "I won't"}), "refused"),
        (chat("no", finish_reason="content_filter"), "content_filter"),
        (chat(answer()[:30], finish_reason="length"), "length"),
        (chat("  "), "empty"),
        (failure(400), "bad_request"),
    ],
)
def test_nothing_else_is_asked_for_again(reply: Reply, kind: str, wire, runtime) -> None:
    """A refusal, a filter, a cut or nothing at all would not be mended by asking."""
    wire.next(reply)
    found = make(runtime).classify(CONVERSATION)
    assert found.error is not None
    assert (found.error.kind, found.repaired, found.calls) == (kind, False, 1)
    assert len(wire.received) == 1


def test_repair_can_be_turned_off(wire, runtime) -> None:
    """With repair = false the bad answer is the error, after one call; it is another classifier."""
    wire.next(chat("no"))
    made = make(runtime, repair=False)
    found = made.classify(CONVERSATION)
    assert found.error is not None
    assert (found.error.kind, found.repaired, found.calls) == ("unparsable", False, 1)
    assert len(wire.received) == 1
    assert made.id != make(runtime).id


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (chat(answer(label="perhaps")), "unparsable"),
        (chat("no", finish_reason="content_filter"), "content_filter"),
        (failure(400), "bad_request"),
    ],
)
def test_a_failed_repair_keeps_the_second_error_and_says_so(second: Reply, kind: str, wire, runtime) -> None:
    """It is asked once more and not twice; the error is the second's, and tells of the first."""
    wire.next(chat("not JSON"), second)
    found = make(runtime).classify(CONVERSATION)
    assert found.error is not None
    assert (found.error.kind, found.label, found.flagged) == (kind, None, None)
    assert "asked once more, as at first the answer is not one JSON object" in found.error.message
    assert (found.repaired, found.calls, len(wire.received)) == (True, 2, 2)
    assert found.cost_nano_usd


def test_a_bad_answer_is_sent_back_cut(wire, runtime) -> None:
    """Of two megabytes of prose 2,000 characters go back."""
    wire.next(chat("word " * 400_000), GOOD)
    assert make(runtime).classify(CONVERSATION).label == "refused"
    assert messages(wire, 1)[-2]["content"] == ("word " * 400)


def test_one_deadline_covers_both(wire, runtime) -> None:
    """The second answer has the seconds that the first one left."""
    make(runtime).classify(CONVERSATION, repeat=7)  # whatever is loaded at the first call is loaded now
    wire.next(chat("no", delay=0.4), chat(answer(), delay=30))
    started = time.monotonic()
    found = make(runtime).classify(CONVERSATION, timeout=1.0)
    assert time.monotonic() - started < 2.0
    assert found.error is not None
    assert (found.error.kind, found.repaired, found.calls) == ("timeout", True, 2)
    assert found.cost_nano_usd is None  # the second may have been billed


def test_letters_are_repaired_too(wire, runtime) -> None:
    """A letter outside the set is asked for once more, and scored by the second answer."""
    wire.next(chat("D"), chat("A", logprobs={"A": -0.1, "B": -3.0, "C": -4.0}))
    found = make(runtime, answer="label").classify(CONVERSATION)
    assert (found.label, found.score_method, found.repaired) == ("refused", "logprob", True)
    assert messages(wire, 1)[-1]["content"].endswith("Answer with the letter of one label and nothing else.")


def test_a_plain_answer_is_one_call(wire, runtime) -> None:
    """One answer is one call; what failed before it was sent is none."""
    assert make(runtime).classify(CONVERSATION).calls == 1
    with Runtime(workspace=runtime.workspace, max_usd=0) as broke:
        found = make(broke).predict({"c1": CONVERSATION}, [Item("c1")])[0]
    assert found.error is not None
    assert (found.error.kind, found.calls, found.cost_nano_usd) == ("over_budget", 0, 0)
