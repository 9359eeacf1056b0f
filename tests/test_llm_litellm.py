"""Vendors by litellm over a real socket: what is sent, what comes back, what it costs."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import WIRE_KEY
from hypothesis import given, strategies as st
from wire import chat, failure

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.config import SimRow
from llmclf.errors import BudgetError, ConfigError, ModelError
from llmclf.llm import Model, Output, Runtime
from llmclf.llm.answers import json_object
from llmclf.llm.prices import Price, map_entry, price_of
from llmclf.llm.routes.faults import cut, retry_after_seconds, without_keys
from llmclf.llm.routes.local import letter_logprobs
from llmclf.types import Conversation, Item, Turn, Usage

CONVERSATION = Conversation("c1", (Turn("user", "A person, please."), Turn("bot", "I can help you myself.")))
ANSWER = {
    "evidence": [{"turn": 1, "quote": "help you myself"}],
    "rationale": "no transfer",
    "label": "refused",
    "confidence": 0.8,
}
DETAILED = {
    "prompt_tokens": 1000,
    "completion_tokens": 300,
    "total_tokens": 1300,
    "prompt_tokens_details": {"cached_tokens": 800},
    "completion_tokens_details": {"reasoning_tokens": 250},
}


@pytest.fixture
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=1) as made:
        yield made


def llm(runtime: Runtime, name: str = "explained") -> LlmClassifier:
    made = load_classifier(name, runtime=runtime)
    assert isinstance(made, LlmClassifier)
    return made


def test_an_explained_answer_becomes_a_prediction(wire, runtime) -> None:
    """Label, score, grounded evidence, rationale and the vendor's reasoning are all kept."""
    wire.next(chat(json.dumps(ANSWER), usage=DETAILED, message={"reasoning_content": "They ask for a person."}))
    found = llm(runtime).classify(CONVERSATION)
    assert (found.label, found.flagged, found.score, found.score_method) == ("refused", True, 0.9, "verbalized")
    assert [(e.quote, e.turn, e.grounded) for e in found.evidence] == [("help you myself", 1, True)]
    assert (found.rationale, found.thinking) == ("no transfer", "They ask for a person.")
    assert found.usage == Usage(1000, 800, 300, 250)
    assert (found.simulated, found.cached, found.truncated, found.route) == (False, False, False, "wire/m")
    assert found.latency_seconds is not None
    assert found.latency_seconds > 0


def test_cached_tokens_have_their_own_price(wire, runtime) -> None:
    """200 fresh tokens at 1 dollar, 800 cached at 0.1, 300 out (reasoning included) at 10, a million each."""
    wire.next(chat(json.dumps(ANSWER), usage=DETAILED))
    found = llm(runtime).classify(CONVERSATION)
    assert found.cost_nano_usd == 200 * 1000 + 800 * 100 + 300 * 10_000
    assert runtime.budget.spent_nano == found.cost_nano_usd
    assert runtime.budget.reserved_nano == 0


def test_thoughts_in_the_text_count_as_thinking(wire, runtime) -> None:
    """A <think> block before the answer is taken off it and kept."""
    wire.next(chat("<think>They ask twice.</think>\n```json\n" + json.dumps(ANSWER) + "\n```"))
    found = llm(runtime).classify(CONVERSATION)
    assert (found.label, found.thinking) == ("refused", "They ask twice.")


def test_a_letter_is_scored_by_its_logprob(wire, runtime) -> None:
    """The score is the target's share among the letters, spellings with a space included."""
    logprobs = {" A": math.log(0.3), "A": math.log(0.3), "C": math.log(0.2), "Sure": math.log(0.1)}
    wire.next(chat("A", logprobs=logprobs))
    found = llm(runtime, "letter").classify(CONVERSATION)
    assert (found.label, found.score_method) == ("refused", "logprob")
    assert found.score == pytest.approx(0.6 / (0.6 + 0.2 + 0.1))  # B is not listed: the smallest that is
    (sent,) = (request.json for request in wire.received)
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    assert "response_format" not in sent


@pytest.mark.parametrize("text", ["C", "C.", " (C)", "**C**"])
def test_a_letter_without_logprobs_has_a_label_and_no_score(text: str, wire, runtime) -> None:
    """Without log-probabilities there is a verdict and no invented certainty."""
    wire.next(chat(text))
    found = llm(runtime, "letter").classify(CONVERSATION)
    assert (found.label, found.flagged, found.score, found.score_method) == ("clean", False, None, "none")


@pytest.mark.parametrize("value", [math.nan, 5.0, "high", None, True])
def test_a_logprob_that_is_none_is_no_certainty(value: Any) -> None:
    """NaN, positive numbers and words are not log-probabilities."""
    top = [{"token": "A", "logprob": value}, {"token": "B", "logprob": -1.0}]
    found = letter_logprobs({"content": [{"top_logprobs": top}]}, ("A", "B"))
    assert found == pytest.approx({"A": -1.0, "B": -1.0})
    assert letter_logprobs({"content": [{"top_logprobs": top[:1]}]}, ("A", "B")) is None


def test_what_is_sent(wire, runtime) -> None:
    """The fixed prompt first, the conversation last, an output limit, the schema, the key in the header alone."""
    wire.next(chat(json.dumps(ANSWER)))
    llm(runtime).classify(CONVERSATION)
    (request,) = wire.received
    sent = request.json
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {WIRE_KEY}"
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "[1] bot: I can help you myself." in sent["messages"][1]["content"]
    assert CONVERSATION.turns[1].text not in sent["messages"][0]["content"]
    assert sent["max_tokens"] == 2748
    assert sent["temperature"] == 0
    schema = sent["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["refused", "frustrated", "clean"]
    assert list(schema["properties"])[:2] == ["evidence", "rationale"]
    assert "c1" not in request.body.decode()  # our own ids stay here
    assert WIRE_KEY not in request.body.decode()


def test_thinking_is_sent_and_recorded(wire, runtime) -> None:
    """A level goes out as reasoning_effort, and the store keeps what was really sent."""
    wire.next(chat(json.dumps(ANSWER)))
    classifier = llm(runtime)
    thinking = LlmClassifier(
        classifier.task, prompt=classifier.prompt, model=Model("wire/m", thinking="high"), runtime=runtime
    )
    thinking.classify(CONVERSATION)
    assert wire.received[0].json["reasoning_effort"] == "high"
    assert wire.received[0].json["max_tokens"] == 24576 + 700
    (row,) = runtime.store.query("SELECT thinking, sent_thinking FROM calls")
    assert row["thinking"] == "high"
    assert json.loads(row["sent_thinking"]) == {"reasoning_effort": "high"}


def test_an_endpoint_says_which_thinking_it_takes(runtime) -> None:
    """Before anything is paid, a level the endpoint does not take is named with those it takes."""
    with pytest.raises(ConfigError, match="takes thinking low, high; got 'max'"):
        runtime.check([Model("wire/m", thinking="max")])
    runtime.check([Model("wire/m", thinking="low"), Model("wire/m")])


def test_everything_wrong_with_models_is_said_at_once(runtime, monkeypatch) -> None:
    """Unknown names, missing keys and impossible settings of several models are one error."""
    monkeypatch.delenv("WIRE_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError) as caught:
        runtime.check(
            [
                Model("wire/m"),
                Model("openai/gpt-4.1-mni"),
                Model("sim/none"),
                Model("local/none"),
                Model("openai/gpt-4.1-mini"),
                Model("no-such-vendor/zzzzqqqq"),
                Model("openai/gpt-4.1-mini", thinking="high"),
            ]
        )
    text = "\n".join(caught.value.problems)
    assert "wire/m needs the key in $WIRE_KEY" in text
    assert "did you mean 'openai/gpt-4.1-mini'" in text
    assert text.count("there is no such model") == 2
    assert "openai/gpt-4.1-mini needs the key in $OPENAI_API_KEY" in text
    assert "no-such-vendor/zzzzqqqq" in text
    assert "openai/gpt-4.1-mini takes thinking off; got 'high'" in text
    assert len(text) < 4000


@pytest.mark.parametrize("answer", ["explained", "label"])
def test_the_shipped_settings_get_through(answer: Any, workspace, wire, write) -> None:
    """The shipped model and thinking, over a socket: nothing is refused on the way, no temperature goes out."""
    row = (
        f'route = "litellm"\nlitellm_model = "openai/gpt-5.4-mini"\napi_base = "{wire.url}"\nkey_env = "WIRE_KEY"\n'
        'thinking = ["low"]\nlogprobs = true\njson_schema = true\n'
    )
    write("configs/models.toml", f'version = 1\n[models."wire/m"]\n{row}')
    wire.next(chat(json.dumps(ANSWER) if answer == "explained" else "A"))
    with Runtime(workspace=workspace, max_usd=1) as runtime:
        made = llm(runtime)
        model = Model("wire/m", thinking="low")
        found = LlmClassifier(
            made.task, prompt=made.prompt, model=model, runtime=runtime, answer=answer, name="n"
        ).classify(CONVERSATION)
    assert (found.error, found.label) == (None, "refused")
    (sent,) = (request.json for request in wire.received)
    assert sent["reasoning_effort"] == "low"
    assert not {"temperature", "logprobs", "top_logprobs"} & set(sent)


@pytest.mark.parametrize("timeout", [None, 1.0])
def test_what_is_missing_is_said_at_the_first_call(timeout: float | None, workspace, wire, monkeypatch) -> None:
    """A missing key is a ConfigError and a missing cap a BudgetError, never a time-out or a failed item."""
    with Runtime(workspace=workspace) as runtime, pytest.raises(BudgetError, match="needs a cap"):
        llm(runtime).classify(CONVERSATION, timeout=timeout)
    monkeypatch.delenv("WIRE_KEY")
    with Runtime(workspace=workspace, max_usd=1) as runtime:
        with pytest.raises(ConfigError, match="WIRE_KEY"):
            llm(runtime).classify(CONVERSATION, timeout=timeout)
        with pytest.raises(ConfigError, match="WIRE_KEY"):
            asyncio.run(llm(runtime).aclassify(CONVERSATION, timeout=timeout))
        with pytest.raises(ConfigError, match="WIRE_KEY"):
            llm(runtime).predict({"c1": CONVERSATION}, [Item("c1")])
    assert not wire.received


def test_what_is_stored_is_read_without_a_key(workspace, wire, monkeypatch) -> None:
    """Answers that were bought need no key, and a setting that the model does not take is said at the first call."""
    wire.next(chat(json.dumps(ANSWER)))
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=1) as runtime:
        llm(runtime).classify(CONVERSATION)
        made = llm(runtime)
        other = LlmClassifier(made.task, prompt=made.prompt, model=Model("wire/m", thinking="max"), runtime=runtime)
        with pytest.raises(ConfigError, match="takes thinking low, high"):
            other.classify(CONVERSATION)
    monkeypatch.delenv("WIRE_KEY")
    with Runtime(workspace / "store.db", workspace=workspace) as runtime:
        assert llm(runtime).classify(CONVERSATION).cached


def test_models_that_are_not_allowed_are_not_asked(workspace, write, wire) -> None:
    """allowed_models holds for every call, whether or not anybody checked before."""
    write("llmclf.toml", 'version = 1\nallowed_models = ["sim/*"]\n')
    with Runtime(workspace=workspace, max_usd=1) as runtime:
        with pytest.raises(ConfigError, match="allowed_models"):
            runtime.check([Model("wire/m")])
        with pytest.raises(ConfigError, match="allowed_models"):
            llm(runtime).classify(CONVERSATION)
        runtime.check([Model("sim/m")])
    assert not wire.received


def test_half_characters_cross_the_wire_both_ways(wire, runtime) -> None:
    """A surrogate cut in two, in the conversation or in the answer, breaks neither the call nor the store."""
    wire.next(chat(json.dumps({**ANSWER, "rationale": "cut \ud83d here"})))
    found = llm(runtime).classify(Conversation("c2", (Turn("user", "A person \ud83d please"), Turn("bot", "No."))))
    assert found.rationale == "cut \ufffd here"
    runtime.store.flush()
    assert runtime.store.query("SELECT count(*) AS n FROM call_texts")[0]["n"] == 1


def test_prices_come_from_the_own_file_first() -> None:
    """prices.toml beats litellm's map; a name nobody knows has no price, which is not zero."""
    known = price_of("openai/gpt-4.1-mini", {})
    assert known is not None
    assert (known.input_nano, known.output_nano, known.cached_input_nano) == (400, 1600, 100)
    assert price_of("openai/no-such-model", {}) is None
    assert price_of("evil/gpt-4.1-mini", {}) is None
    assert map_entry("evil/gemini-2.5-flash") is None
    assert map_entry("gemini/gemini-2.5-flash") is not None
    row = SimRow(route="sim", recall=1, false_alarm_rate=0, input_usd_per_million=0.005, output_usd_per_million=0)
    sim = price_of("sim/x", {}, row)
    assert sim is not None
    assert sim.input_nano == 5


def test_unknown_counts_have_an_unknown_cost() -> None:
    """A cost needs both counts; more cached tokens than tokens are not believed; free is free."""
    price = Price(1000, 10_000, 100, "test")
    assert price.cost(Usage(10, None, None)) is None
    assert price.cost(Usage(None, None, 10)) is None
    assert price.cost(Usage(10, 99, 1)) == 10 * 100 + 10_000
    assert Price(0, 0, 0, "free").cost(Usage()) == 0
    assert price.worst_case(7, 3) == 37_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("1.5", 1.5), ("-1", 0.0), ("", None), ("soon", None), (None, None), ("inf", None)],
)
def test_retry_after_is_read(value: Any, seconds: float | None) -> None:
    """Seconds are seconds, nonsense is nothing."""
    assert retry_after_seconds(value) == seconds


def test_keys_are_taken_out_of_texts(monkeypatch) -> None:
    """Values of key-like variables and key-like words are replaced; ordinary words stay."""
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    text = "bad very-secret-value, sk-ant-api03-abcdefghijk, Bearer abc.def; model gpt-4.1-mini, skate-boards-are-fine"
    assert without_keys(text) == "bad [key], [key], Bearer [key] model gpt-4.1-mini, skate-boards-are-fine"


@pytest.mark.parametrize(
    "text", ['{"a": 1} {"a": 2}', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": -Infinity}', "[]", "x", '"{}"', "{'a': 1}"]
)
def test_only_one_strict_object_is_an_answer(text: str) -> None:
    """Two objects, doubled keys, NaN and what is no object are unparsable."""
    with pytest.raises(ModelError) as caught:
        json_object(text, "c1")
    assert caught.value.kind == "unparsable"


def test_output_limits_leave_room_for_thinking() -> None:
    """The limit that is sent holds answer and thinking together."""
    as_json, letter = Output("json"), Output("letter", choices=("a", "b"))
    assert Model("m", max_output_tokens=50).output_limit(as_json) == 50
    assert Model("m", thinking="off").output_limit(as_json) == 700
    assert Model("m", thinking=3000).output_limit(letter) == 3016
    assert letter.letters == ("A", "B")


@given(st.text(max_size=80), st.integers(5, 60))
def test_long_words_of_vendors_are_cut_between_words(text: str, most: int) -> None:
    """Never longer than asked; what fits stays, and what is cut ends at a word, with an ellipsis."""
    line, found = " ".join(text.split()), cut(text, most)
    assert len(found) <= most
    assert found == line if len(line) <= most else found.endswith("…")


def test_an_error_of_a_vendor_ends_at_a_word(wire, runtime) -> None:
    """300 characters of what the vendor says, and an ellipsis."""
    wire.next(failure(400, "the parameter is not explicitly supported " * 20))
    error = llm(runtime).classify(CONVERSATION).error
    assert error is not None
    assert error.message.endswith((" not …", " the …", " parameter …", " is …", " explicitly …", " supported …"))
    assert 280 < len(error.message) < 380
