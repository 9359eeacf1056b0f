"""A vendor that fails, over a real socket: every way ends as a typed error kept with the item, none as a negative."""

from __future__ import annotations

import json
import logging
import socket
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import WIRE_KEY
from wire import Reply, chat, failure

from llmclf.classifiers.loading import load_classifier
from llmclf.errors import RETRYABLE_KINDS
from llmclf.llm import Runtime
from llmclf.types import Conversation, Prediction, Turn

CONVERSATION = Conversation(
    "c1",
    (
        Turn("user", "Let me speak to a person."),
        Turn("bot", "I can help you with that myself."),
        Turn("user", "No. A person, please."),
    ),
)
GOOD = {
    "evidence": [{"turn": 1, "quote": "I can help you with that myself."}],
    "rationale": "asked and was not transferred",
    "label": "refused",
    "confidence": 0.9,
}
NOW = {"retry-after": "0"}


def good(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


@pytest.fixture
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=1) as made:
        yield made


@pytest.fixture
def ask(runtime: Runtime):
    def ask_one(name: str = "once", timeout: float | None = None) -> Prediction:
        classifier = load_classifier(name, runtime=runtime)
        return classifier.classify(CONVERSATION, timeout=timeout)

    return ask_one


def calls(runtime: Runtime) -> list[dict[str, Any]]:
    return runtime.store.query("SELECT * FROM calls JOIN call_texts USING (call_id) ORDER BY sent_at")


def assert_failed(prediction: Prediction, kind: str) -> None:
    """A failed item: the kind, no label, no flag, no score, and a message that carries no whole answer."""
    assert prediction.error is not None, prediction
    assert prediction.error.kind == kind, prediction.error
    assert prediction.error.retryable == (kind in RETRYABLE_KINDS)
    assert (prediction.label, prediction.flagged, prediction.score) == (None, None, None)
    assert len(prediction.error.message) < 500


STATUSES = [
    (400, "bad_request", 1),
    (401, "authentication", 1),
    (403, "authentication", 1),
    (404, "not_found", 1),
    (413, "context_overflow", 1),
    (422, "bad_request", 1),
    (429, "rate_limited", 4),
    (500, "unavailable", 4),
    (503, "unavailable", 4),
    (529, "unavailable", 4),
]


@pytest.mark.parametrize(("status", "kind", "attempts"), STATUSES)
def test_each_status_is_its_own_kind(status: int, kind: str, attempts: int, wire, ask, runtime) -> None:
    """What may pass is asked four times, what can't is asked once; nothing is billed, and the store has the kind."""
    wire.default = failure(status, headers=NOW)
    prediction = ask()
    assert_failed(prediction, kind)
    assert len(wire.received) == attempts
    assert prediction.cost_nano_usd == 0
    (row,) = calls(runtime)
    assert (row["state"], row["error_kind"], row["attempts"], row["cost_nano"]) == ("failed", kind, attempts, 0)
    assert not row["possibly_billed"]
    assert (runtime.budget.spent_nano, runtime.budget.reserved_nano) == (0, 0)


def test_a_full_context_is_told_from_other_bad_requests(wire, ask) -> None:
    """The words of several vendors for a prompt that is too long, each asked once."""
    for words in ("This model's maximum context length is 8192 tokens.", "prompt is too long", "exceeds context size"):
        wire.next(failure(400, words))
        assert_failed(ask(), "context_overflow")
    assert len(wire.received) == 3


def test_used_up_credit_is_not_asked_again_and_again(wire, ask) -> None:
    """A 429 for want of credit is no limit that passes: it is asked once."""
    wire.default = failure(429, "You exceeded your current quota (insufficient_quota)", headers=NOW)
    assert_failed(ask(), "authentication")
    assert len(wire.received) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(form: str, wire, ask, runtime) -> None:
    """The vendor's wish, in seconds or as a date, decides when the second attempt is made."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wire.next(failure(429, headers={"retry-after": "1" if form == "seconds" else later}), chat(good()))
    started = time.monotonic()
    prediction = ask()
    assert prediction.label == "refused"
    assert 0.9 <= time.monotonic() - started < 6
    assert calls(runtime)[0]["attempts"] == 2


def test_a_wait_beyond_the_deadline_is_not_begun(wire, ask) -> None:
    """Asked to wait an hour with two seconds to go, the error comes at once and says what it was."""
    wire.default = failure(429, headers={"retry-after": "3600"})
    started = time.monotonic()
    assert_failed(ask(timeout=2.0), "rate_limited")
    assert time.monotonic() - started < 1.5
    assert len(wire.received) == 1


@pytest.mark.parametrize("value", ["soon", "-5", "", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_strange_retry_after_does_no_harm(value: str, wire, ask) -> None:
    """Words, negative numbers and dates that are over: the call is tried again all the same."""
    wire.next(failure(503, headers={"retry-after": value}), chat(good()))
    assert ask().label == "refused"


def test_a_reset_in_the_middle_of_the_answer_is_tried_again(wire, ask, runtime) -> None:
    """The second answer counts; the first, which may have been billed, keeps its worst case, in the store as well."""
    wire.next(chat(good(), reset_after=40), chat(good()))
    prediction = ask()
    assert prediction.label == "refused"
    assert len(wire.received) == 2
    runtime.store.flush()
    row, lost = calls(runtime)
    assert row["cost_nano"] == prediction.cost_nano_usd == 100 * 1000 + 20 * 10_000
    assert (row["state"], row["attempts"], row["possibly_billed"]) == ("done", 2, 0)
    assert (lost["state"], lost["error_kind"], lost["cost_nano"], lost["possibly_billed"]) == (
        "failed",
        "connection",
        None,
        1,
    )
    spent = runtime.store.spent_nano()
    assert runtime.budget.reserved_nano == spent.reserved_unsettled == row["reserved_nano"] > 0
    assert runtime.budget.spent_nano == spent.settled
    assert ask().cached


def test_a_connection_that_always_breaks_is_an_unknown_bill(wire, ask, runtime) -> None:
    """Nobody knows what resets cost: the item's cost is unknown, and all reservations stay."""
    wire.default = chat(good(), reset_after=40)
    prediction = ask(timeout=3.0)
    assert_failed(prediction, "connection")
    assert prediction.cost_nano_usd is None
    runtime.store.flush()
    row, *lost = calls(runtime)
    assert row["attempts"] == 1 + len(lost) > 1
    assert all(call["cost_nano"] is None and call["possibly_billed"] for call in (row, *lost))
    spent = runtime.store.spent_nano()
    assert runtime.budget.reserved_nano == spent.reserved_unsettled == row["attempts"] * row["reserved_nano"]


def test_a_refused_connection_costs_nothing(workspace, wire, write) -> None:
    """Where nobody listens nothing was sent, so nothing stays reserved."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    path = workspace / "configs/models.toml"
    path.write_text(path.read_text().replace(wire.url, base))
    with Runtime(workspace=workspace, max_usd=1) as runtime:
        prediction = load_classifier("explained", runtime=runtime).classify(CONVERSATION, timeout=3)
        assert_failed(prediction, "connection")
        assert prediction.cost_nano_usd == 0
        assert (runtime.budget.reserved_nano, runtime.budget.spent_nano) == (0, 0)


@pytest.mark.parametrize("reply", [chat(good(), delay=30), chat(good(), trickle=0.25)], ids=["stall", "trickle"])
def test_a_deadline_holds(reply: Reply, wire, ask, runtime) -> None:
    """Silence and a byte now and then both end at the deadline, as a time-out that may have been billed."""
    wire.default = reply
    started = time.monotonic()
    prediction = ask(timeout=1.0)
    assert time.monotonic() - started < 3
    assert_failed(prediction, "timeout")
    assert prediction.cost_nano_usd is None
    assert len(wire.received) == 1
    (row,) = calls(runtime)
    assert (row["state"], row["error_kind"], row["possibly_billed"]) == ("failed", "timeout", 1)
    assert runtime.budget.reserved_nano == row["reserved_nano"] > 0


UNUSABLE = {
    "html": (Reply(body=b"<html>sign in</html>", headers={"content-type": "text/html"}), "internal"),
    "empty body": (Reply(body=b""), "internal"),
    "cut json body": (Reply(body=chat(good()).body[:60]), "internal"),
    "a list": (Reply(body=b"[1, 2]"), "internal"),
    "no choices": (chat(choices=[]), "empty"),
    "choices null": (Reply(body=b'{"id": "x", "object": "chat.completion", "choices": null}'), "internal"),
    "refusal": (chat(None, message={"refusal": "I can't help with that."}), "refused"),
    "content filter": (chat("", finish_reason="content_filter"), "content_filter"),
    "length stop": (chat(good()[:50], finish_reason="length"), "length"),
    "no text": (chat(None), "empty"),
    "white space": (chat(" \n"), "empty"),
    "only thoughts": (chat("<think>hmm</think>"), "empty"),
    "thoughts without an end": (chat("<think>hmm, " + good()), "unparsable"),
    "truncated json": (chat(good()[:-10]), "unparsable"),
    "two objects": (chat(good() + good()), "unparsable"),
    "prose around": (chat("Sure! " + good() + " Anything else?"), "unparsable"),
    "prose alone": (chat("The customer was refused."), "unparsable"),
    "a list in the text": (chat("[" + good() + "]"), "unparsable"),
    "duplicate keys": (chat(good()[:-1] + ', "label": "clean"}'), "unparsable"),
    "label outside": (chat(good(label="rude")), "unparsable"),
    "label in other case": (chat(good(label="REFUSED")), "unparsable"),
    "label missing": (chat(json.dumps({k: v for k, v in GOOD.items() if k != "label"})), "unparsable"),
    "label a list": (chat(good(label=["refused"])), "unparsable"),
    "nan": (chat(good(confidence=float("nan"))), "unparsable"),
    "infinity": (chat(good().replace("0.9", "1e999")), "unparsable"),
    "confidence too high": (chat(good(confidence=9)), "unparsable"),
    "confidence a word": (chat(good(confidence="high")), "unparsable"),
    "confidence true": (chat(good(confidence=True)), "unparsable"),
    "rationale a number": (chat(good(rationale=3)), "unparsable"),
    "evidence a text": (chat(good(evidence="turn 1")), "unparsable"),
    "evidence without quote": (chat(good(evidence=[{"turn": 1}])), "unparsable"),
    "deeply nested": (chat("[" * 100_000), "unparsable"),
    "a number of a million digits": (chat('{"confidence": ' + "9" * 1_000_000 + "}"), "unparsable"),
    "2 MB": (chat(good(rationale="x" * 2_000_000)), "unparsable"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_answer_that_is_none_is_an_error_of_its_kind(name: str, wire, ask, runtime) -> None:
    """Whatever the vendor says instead of an answer is told apart, asked for once, and never a negative."""
    reply, kind = UNUSABLE[name]
    wire.next(reply)
    prediction = ask()
    assert_failed(prediction, kind)
    assert len(wire.received) == 1
    (row,) = calls(runtime)
    answered = row["state"] == "done"
    assert prediction.cost_nano_usd == row["cost_nano"]
    assert row["cost_nano"] is None if not answered else row["cost_nano"] == 300_000  # paid for, usable or not


USAGES = {
    "missing": None,
    "zero": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "negative": {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6},
    "absurd": {"prompt_tokens": 10**12, "completion_tokens": 20, "total_tokens": 10**12},
}


@pytest.mark.parametrize("name", USAGES)
def test_usage_that_can_not_be_true_is_an_unknown_cost(name: str, wire, ask, runtime) -> None:
    """The answer counts, its cost is unknown (not zero), and its reservation is kept."""
    wire.next(chat(good(), usage=USAGES[name]))
    prediction = ask()
    assert prediction.label == "refused"
    assert prediction.cost_nano_usd is None
    assert None in (prediction.usage.input_tokens, prediction.usage.output_tokens)
    (row,) = calls(runtime)
    assert row["cost_nano"] is None
    assert runtime.budget.reserved_nano == row["reserved_nano"] > 0


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("usage", [{"prompt_tokens": "many", "completion_tokens": 2.5}, "lots", 7])
def test_usage_of_a_wrong_type_is_no_negative(usage: Any, wire, ask) -> None:
    """A usage that is no usage costs the item its price or its answer, never its meaning."""
    wire.next(chat(good(), usage=usage))
    prediction = ask()
    assert prediction.cost_nano_usd is None
    assert prediction.label == "refused" or prediction.failed
    assert len(wire.received) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [("F", "unparsable"), ("refused", "unparsable"), ("A or B", "unparsable"), ("", "empty")],
)
def test_a_letter_that_is_none_is_an_error(text: str, kind: str, wire, ask) -> None:
    """With answer = "label" only one of the letters counts."""
    wire.next(chat(text))
    assert_failed(ask("letter_once"), kind)


def test_the_key_is_nowhere(wire, ask, runtime, workspace, caplog, capfd, monkeypatch) -> None:
    """A vendor that quotes the key in its errors does not get it into messages, store, logs or output."""
    monkeypatch.setenv("OTHER_API_KEY", "another-secret-4711-of-this-machine")
    quoted = (
        f"Incorrect API key provided: {WIRE_KEY}, not sk-proj-abcdefghijklmnop nor another-secret-4711-of-this-machine"
    )
    for status in (401, 400, 500):
        wire.next(failure(status, quoted, headers=NOW))
    wire.default = failure(404, quoted)
    with caplog.at_level(logging.DEBUG):
        predictions = [ask() for _ in range(3)]
    assert all(WIRE_KEY in text for text in wire.texts)  # it was sent, as it must be
    runtime.store.flush()
    out, err = capfd.readouterr()
    said = [out, err, *(p.error.message for p in predictions if p.error), *(r.getMessage() for r in caplog.records)]
    said += [path.read_bytes().decode("latin-1") for path in workspace.glob("store.db*")]
    for secret in (WIRE_KEY, "sk-proj-abcdefghijklmnop", "another-secret-4711"):
        assert not [text[:300] for text in said if secret in text]


def test_a_traceback_does_not_show_the_key(wire, runtime) -> None:
    """Printing the error of a single call, causes included, does not print the key."""
    wire.default = failure(401, f"bad key {WIRE_KEY}")
    classifier: Any = load_classifier("explained", runtime=runtime)
    with pytest.raises(Exception) as caught:
        runtime.run(runtime.arespond(classifier.request(CONVERSATION)))
    assert WIRE_KEY not in "".join(traceback.format_exception(caught.value))
