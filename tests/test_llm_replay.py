"""Replays: recorded answers are given again for nothing, from a store file, from JSON Lines, from one's own store."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from conftest import WIRE_KEY
from hypothesis import given, strategies as st
from wire import Wire, chat

from llmclf.errors import ConfigError, DataError, ModelError
from llmclf.llm import Message, Model, Output, Request, Response, Runtime
from llmclf.llm.model import body_text, request_hash
from llmclf.store import Store
from llmclf.store.recorded import open_recorded

ROWS = """
version = 1
[models."http/m"]
route = "http"
api_base = "{url}"
model = "wire-model"
key_env = "WIRE_KEY"
thinking.low = {{ reasoning_effort = "low" }}
price = {{ input_usd_per_million = 1, output_usd_per_million = 10 }}
[models."replay/old"]
route = "replay"
model = "http/m"
source = "{source}"
"""


def question(model: str, text: str = "Hello?", **more: Any) -> Request:
    thinking = more.pop("thinking", None)
    return Request(Model(model, thinking=thinking), (Message("user", text),), Output("text"), **more)


def ask(runtime: Runtime, request: Request) -> Response:
    return asyncio.run(runtime.arespond(request))


@pytest.fixture
def folder(write: Callable[[str, str], Path], wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose `replay/old` reads old.db."""
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)
    return write("configs/models.toml", ROWS.format(url=wire.url, source="old.db")).parents[1]


def record(folder: Path, wire: Wire, *requests: Request) -> list[Response]:
    """Asks the server, into old.db; forgets the key's variable and what the server got."""
    with Runtime(folder / "old.db", workspace=folder, max_usd=5) as runtime:
        found = [ask(runtime, request) for request in requests]
    wire.reset()
    wire.default = chat("asked again")
    return found


def use_source(folder: Path, source: str) -> None:
    path = folder / "configs/models.toml"
    path.write_text(path.read_text().replace('"old.db"', f'"{source}"'))


def lines_of(folder: Path, *rows: Any) -> None:
    """Answers as JSON Lines in answers.jsonl, which `replay/old` then reads."""
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "answers.jsonl").write_text(text)
    use_source(folder, "answers.jsonl")


def hash_of(runtime: Runtime, request: Request) -> str:
    route = runtime.route(request.model.id)
    return request_hash(body_text(route.body(request)), route.endpoint())


# --- from a store ----------------------------------------------------------------------------


def test_a_store_is_replayed(folder, wire, monkeypatch) -> None:
    """Text, reasoning, counts, cost and latency are those of then; no key, no cap, nobody asked, nothing spent."""
    wire.next(chat("then", message={"reasoning_content": "because"}, delay=0.2))
    (then,) = record(folder, wire, question("http/m", thinking="low"))
    monkeypatch.delenv("WIRE_KEY")
    with Runtime(folder / "new.db", workspace=folder) as runtime:
        wanted = question("replay/old", thinking="low")
        runtime.check([wanted.model])
        now = ask(runtime, wanted)
        assert runtime.store.spent_nano().settled == 0
        assert runtime.store.spent_nano().calls == 0
    assert not wire.received
    assert (now.answer.text, now.answer.reasoning) == ("then", "because")
    assert now.answer.usage == then.answer.usage
    assert (now.cost_nano_usd, now.latency_seconds) == (300_000, then.latency_seconds)
    assert (now.cached, now.route, now.simulated) == (True, "replay", False)


def test_without_a_row_the_own_store_is_replayed(folder, wire) -> None:
    """replay/MODEL gives what this store holds of MODEL, and asks nobody for the rest."""
    record(folder, wire, question("http/m"))
    with Runtime(folder / "old.db", workspace=folder) as runtime:
        assert ask(runtime, question("replay/http/m")).answer.text == "{}"
        with pytest.raises(ModelError) as caught:
            ask(runtime, question("replay/http/m", "something else"))
    assert caught.value.kind == "not_found"
    assert not wire.received


@pytest.mark.parametrize(
    "other",
    [
        question("replay/old", "Hello!"),
        question("replay/old", repeat=2),
        question("replay/old", thinking="low"),
    ],
)
def test_what_was_not_asked_has_no_answer(folder, wire, other) -> None:
    """Other words, another repeat or another setting are another question: `not_found`, which is not retried."""
    wire.next(chat("first"), chat("second"))
    record(folder, wire, question("http/m"), question("http/m", repeat=1))
    with Runtime(workspace=folder) as runtime:
        with pytest.raises(ModelError) as caught:
            ask(runtime, other)
        assert ask(runtime, question("replay/old")).answer.text == "first"
        assert ask(runtime, question("replay/old", repeat=1)).answer.text == "second"
    assert (caught.value.kind, caught.value.retryable) == ("not_found", False)


def test_the_source_is_never_written(folder, wire) -> None:
    """Not a byte of the file changes; a store of an older llmclf, which has fewer columns, is read as it is."""
    record(folder, wire, question("http/m"))
    with sqlite3.connect(folder / "old.db") as connection:
        connection.execute("ALTER TABLE calls DROP COLUMN audio_tokens")
    connection.close()
    before = (folder / "old.db").read_bytes()
    with Runtime(workspace=folder) as runtime:
        assert ask(runtime, question("replay/old")).answer.text == "{}"
    assert (folder / "old.db").read_bytes() == before


def test_a_store_in_use_is_read_as_it_grows(folder, wire) -> None:
    """What another process commits while it is being replayed is found."""
    with Runtime(folder / "old.db", workspace=folder, max_usd=5) as live, Runtime(workspace=folder) as runtime:
        ask(live, question("http/m"))
        live.store.flush()
        assert ask(runtime, question("replay/old")).cached
        ask(live, question("http/m", "later"))
        live.store.flush()
        assert ask(runtime, question("replay/old", "later")).cached


def test_forgotten_words_are_not_replayed(folder, wire) -> None:
    """An answer that was erased is no answer."""
    about = replace(question("http/m"), subject=replace(question("http/m").subject, conversation_id="c1"))
    record(folder, wire, about)
    with Store(folder / "old.db") as store:
        store.forget("c1")
    with Runtime(workspace=folder) as runtime, pytest.raises(ModelError):
        ask(runtime, question("replay/old"))


def test_many_threads(folder, wire) -> None:
    """Many loops and threads replay at once."""
    record(folder, wire, *(question("http/m", str(number)) for number in range(8)))
    with Runtime(workspace=folder) as runtime, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: ask(runtime, question("replay/old", str(number % 8))), range(40)))
    assert {response.answer.text for response in found} == {"{}"}


def test_a_setting_nobody_can_have_asked_for(folder, wire) -> None:
    """What the original does not take is an error before the run, in the original's words."""
    record(folder, wire, question("http/m"))
    with Runtime(workspace=folder) as runtime, pytest.raises(ConfigError) as caught:
        runtime.check([Model("replay/old", thinking="high")])
    assert "http/m takes thinking low; got 'high'" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"SQLite format 3\0" + b"x" * 2000, "a table of somebody else's"])
def test_a_source_that_is_none(folder, content) -> None:
    """A missing file, a damaged one and another program's database are found before the run, by their name."""
    if isinstance(content, bytes):
        (folder / "old.db").write_bytes(content)
    elif content:
        connection = sqlite3.connect(folder / "old.db")
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.commit()
        connection.close()
    with Runtime(workspace=folder) as runtime:
        assert not runtime.route("replay/old").simulated
        with pytest.raises(ConfigError) as caught:
            runtime.check([Model("replay/old")])
    assert "replay/old" in str(caught.value)
    assert "old.db" in str(caught.value)


# --- from JSON Lines -------------------------------------------------------------------------


def test_lines_are_replayed(folder, wire) -> None:
    """One object a line gives an answer with all that is known of it; the rest is unknown, never zero."""
    with Runtime(workspace=folder) as runtime:
        full, bare = (hash_of(runtime, question("http/m", text)) for text in ("full", "bare"))
    lines_of(
        folder,
        {
            "request_hash": full,
            "repeat": 1,
            "text": "yes",
            "reasoning": "so",
            "finish_reason": "length",
            "usage": {"input_tokens": 5, "output_tokens": 2, "cached_tokens": 1},
            "cost_usd": 0.25,
            "latency_seconds": 1.5,
            "label_logprobs": {"A": -0.5},
            "model": "http/m",
        },
        "",
        {"request_hash": bare, "text": "plain \ud83d"},
    )
    with Runtime(workspace=folder) as runtime:
        one, other = (
            ask(runtime, question("replay/old", "full", repeat=1)),
            ask(runtime, question("replay/old", "bare")),
        )
    assert (one.answer.text, one.answer.reasoning, one.answer.finish_reason) == ("yes", "so", "length")
    assert (one.answer.usage.input_tokens, one.answer.usage.cached_tokens, one.answer.usage.reasoning_tokens) == (
        5,
        1,
        None,
    )
    assert (one.cost_nano_usd, one.latency_seconds, one.answer.label_logprobs) == (250_000_000, 1.5, {"A": -0.5})
    assert (other.answer.text[:5], other.answer.finish_reason) == ("plain", "stop")
    assert (other.cost_nano_usd, other.latency_seconds, other.simulated) == (None, None, False)
    assert not wire.received


def test_an_export_is_replayed(folder, wire) -> None:
    """The folder that `llmclf store export` wrote, or its calls.jsonl, gives what the store would give."""
    wire.next(chat("kept"), chat("not this one"))
    record(folder, wire, question("http/m"))
    with Runtime(folder / "old.db", workspace=folder, max_usd=5, cache="off") as again:
        ask(again, question("http/m"))  # a second answer to the same: the first one counts
        again.store.export(folder / "exported")
    wire.reset()
    for source in ("exported", "exported/calls.jsonl"):
        use_source(folder, source)
        with Runtime(workspace=folder) as runtime:
            found = ask(runtime, question("replay/old"))
        assert (found.answer.text, found.cost_nano_usd, found.answer.usage.input_tokens) == ("kept", 300_000, 100)
        assert found.latency_seconds is not None
    assert not wire.received


BROKEN_OFF = ["error", "abort", "insufficient_system_resource"]


@pytest.mark.parametrize("reason", BROKEN_OFF)
@pytest.mark.parametrize("source", ["old.db", "exported"])
def test_an_answer_that_was_broken_off_is_not_replayed(folder, wire, reason: str, source: str) -> None:
    """Alone it is no answer; a later one that was finished is given in its place, from a store as from an export."""
    wire.next(chat("half", finish_reason=reason), chat("whole"), chat("half", finish_reason=reason))
    record(folder, wire, question("http/m"), question("http/m"), question("http/m", "only half"))
    with Store(folder / "old.db") as store:
        store.export(folder / "exported")
    use_source(folder, source)
    with Runtime(workspace=folder) as runtime:
        assert ask(runtime, question("replay/old")).answer.text == "whole"
        with pytest.raises(ModelError) as caught:
            ask(runtime, question("replay/old", "only half"))
    assert caught.value.kind == "not_found"
    assert not wire.received


def test_lines_that_were_broken_off_are_passed_over(folder, wire) -> None:
    """A line of JSON with such an end is no answer, and none that stands twice."""
    with Runtime(workspace=folder) as runtime:
        one, other = (hash_of(runtime, question("http/m", text)) for text in ("one", "other"))
    half = [{"request_hash": one, "text": "half", "finish_reason": reason} for reason in BROKEN_OFF]
    lines_of(folder, *half, {"request_hash": one, "text": "whole"}, {**half[0], "request_hash": other})
    with Runtime(workspace=folder) as runtime:
        assert ask(runtime, question("replay/old", "one")).answer.text == "whole"
        with pytest.raises(ModelError) as caught:
            ask(runtime, question("replay/old", "other"))
    assert caught.value.kind == "not_found"


def test_simulated_stays_simulated(folder) -> None:
    """A replay of simulated answers is simulated, by its route and by each answer."""
    with Runtime(workspace=folder) as runtime:
        hash_ = hash_of(runtime, question("http/m"))
    lines_of(folder, {"request_hash": hash_, "text": "made up", "model": "http/m", "simulated": True})
    with Runtime(workspace=folder) as runtime:
        assert runtime.route("replay/old").simulated
        assert ask(runtime, question("replay/old")).simulated


def test_every_mistake_of_a_file_at_once(folder) -> None:
    """One error lists all bad lines by number, with what is wrong in each."""
    good = {"request_hash": "0" * 64, "text": "a"}
    lines_of(
        folder,
        good,
        "{no json",
        {**good, "repeat": 1, "txt": "b"},
        {"text": "no hash"},
        "[1]",
        {**good, "repeat": -1},
        {**good, "repeat": 2, "usage": {"input_tokens": 1.5}, "cost_usd": -1},
        {**good, "repeat": 3, "label_logprobs": {"A": 0.7}},
        good,
    )
    with Runtime(workspace=folder) as runtime:
        with pytest.raises(ConfigError) as before:
            runtime.check([Model("replay/old")])
        with pytest.raises(DataError) as caught:
            ask(runtime, question("replay/old"))
    found = caught.value.problems
    assert [problem.partition(":")[0] for problem in found] == [f"line {n}" for n in (2, 3, 4, 5, 6, 7, 7, 8, 9)]
    assert "unknown key; did you mean 'text'?" in found[1]
    assert "as in line 1" in found[-1]
    assert all(problem in str(before.value) for problem in found)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["request_hash", "text", "repeat", "usage", "cost_usd", "state", "answer", "finished_at"]),
            st.none()
            | st.integers()
            | st.floats()
            | st.text(max_size=5)
            | st.just("0" * 64)
            | st.just("done")
            | st.dictionaries(st.sampled_from(["input_tokens", "x"]), st.integers(), max_size=2),
        ),
        max_size=3,
    )
)
def test_any_lines_are_read_or_refused(rows: list[dict[str, Any]]) -> None:
    """Whatever objects a file holds, it is read, or one DataError says what is wrong with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        try:
            recorded = open_recorded(path)
        except DataError as error:
            assert all(problem.startswith("line ") for problem in error.problems)
            return
        found = recorded.answer("0" * 64, 0)
        assert found is None or isinstance(found.text, str)
