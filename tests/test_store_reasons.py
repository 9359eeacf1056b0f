"""Reasons out of the store: what they come with, which are traffic, and what a prediction was asked with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of

from llmclf.errors import ConfigError, DataError
from llmclf.llm.runtime import Runtime
from llmclf.render.redaction import Redaction
from llmclf.store import CallSent, Store
from llmclf.sweeps import run as run_sweep
from llmclf.types import REASON_COLUMNS, Conversation, ErrorInfo, Evidence, Prediction, Reasons, Turn
from llmclf.workspace.verbs import classify, evaluate_classifier, load_classifier, record, train

Fields = dict[str, str | int | float | bool | None]
ROW = Prediction("c1", "llm@1", "t", label="x", flagged=True, rationale="They asked twice.", route="fallback")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "llmclf.db") as opened:
        yield opened


def begin(store: Store, kind: str = "classify") -> str:
    return store.start_run(kind, inputs_hash="h", config={})


def test_a_reason_comes_with_its_call_and_fields(store: Store) -> None:
    """Model and prompt are of the call behind it, or its route; evidence, fields and failures are as they were."""
    run = begin(store)
    store.call_sent(CallSent("call", run, "hash", model="vendor/large", prompt_id="refusal@1"))
    fields: Fields = {"channel": "chat", "turns": 0, "premium": True}
    failed = replace(ROW, label=None, flagged=None, error=ErrorInfo("length", "cut"), rationale="", thinking="Hm.")
    quoted = replace(ROW, call_id="call", fields=fields, evidence=(Evidence("a person", 2),), truncated=True)
    store.add_predictions(run, [quoted, failed])
    found = store.reasons()
    assert tuple(found[0]) == REASON_COLUMNS
    first, second = found
    assert (first["model"], first["prompt_id"], first["fields"]) == ("vendor/large", "refusal@1", fields)
    assert first["evidence"] == [{"quote": "a person", "turn": 2, "grounded": True}]
    assert (first["flagged"], first["truncated"], first["ungrounded"]) == (True, True, False)
    assert (second["model"], second["prompt_id"], second["fields"], second["evidence"]) == ("fallback", "", {}, ())
    assert (second["label"], second["flagged"], second["error_kind"]) == (None, None, "length")
    assert found.texts() == ["They asked twice.", "Hm."]
    assert found.field("channel") == ["chat", None]
    assert found.column("fields") == [fields, {}]
    with pytest.raises(DataError, match="unknown column"):
        found.column("chanel")


def test_filters(store: Store) -> None:
    """By columns, model and prompt of the call, and fields: a value, any of several, or none known."""
    run = begin(store)
    for number in range(3):
        store.call_sent(CallSent(f"call{number}", run, f"h{number}", model=f"m{number}", prompt_id=f"p@{number % 2}"))
        fields: Fields = {"channel": ("chat", "voice", None)[number], "turns": number, "premium": number == 1}
        store.add_predictions(run, [replace(ROW, conversation_id=f"c{number}", call_id=f"call{number}", fields=fields)])
    store.add_predictions(run, [replace(ROW, conversation_id="c3", error=ErrorInfo("length", ""), label=None)])
    expected: list[tuple[dict[str, object], list[str]]] = [
        ({"model": "m1"}, ["c1"]),
        ({"model": ["m0", "fallback"]}, ["c0", "c3"]),
        ({"prompt_id": "p@0", "label": "x"}, ["c0", "c2"]),
        ({"error_kind": "length"}, ["c3"]),
        ({"error_kind": None}, ["c0", "c1", "c2"]),
        ({"fields.channel": "chat"}, ["c0"]),
        ({"fields.channel": ("voice", "chat")}, ["c0", "c1"]),
        ({"fields.channel": None}, ["c2", "c3"]),
        ({"fields.turns": 2}, ["c2"]),
        ({"fields.premium": True}, ["c1"]),
        ({"fields.premium": [True, False]}, ["c0", "c1", "c2"]),
        ({"prediction_id": store.reasons().column("prediction_id")[1:3]}, ["c1", "c2"]),
        ({"label": []}, []),
        ({"label": "' OR 1 = 1 --"}, []),
    ]
    for where, ids in expected:
        assert store.reasons(where=where).column("conversation_id") == ids, where
    for wrong in ("fields.a b", "fields.", "fields.x') --", "lable", "calls.model"):
        with pytest.raises(ConfigError, match="can't be filtered"):
            store.reasons(where={wrong: 1})


def test_what_sweeps_and_evaluations_say_is_no_traffic(store: Store) -> None:
    """It does not mix in with what came in that week, and is found by its run, cell or id."""
    ids = {}
    for kind in ("classify", "evaluate", "sweep", "serve"):
        ids[kind] = begin(store, kind)
        cell = "a" if kind == "sweep" else ""
        store.add_predictions(ids[kind], [replace(ROW, conversation_id=kind)], cell_id=cell)
    store.add_predictions("", [replace(ROW, conversation_id="of no run")])
    assert store.reasons("24h").column("conversation_id") == ["classify", "serve", "of no run"]
    found = store.reasons(where={"run_id": ids["evaluate"]})
    assert found.column("conversation_id") == ["evaluate"]
    assert store.reasons(where={"prediction_id": found[0]["prediction_id"]}).column("run_id") == [ids["evaluate"]]
    assert store.reasons(where={"cell_id": "a"}).column("conversation_id") == ["sweep"]
    assert len(store.query("SELECT kind FROM v_reasons WHERE kind IN ('evaluate', 'sweep')")) == 2


def test_many_reasons_come_in_the_order_of_time(store: Store) -> None:
    """Over pages none is lost or twice, also where times are not those of the ids; equal texts are kept once."""
    run = begin(store)
    store.add_predictions(run, (replace(ROW, conversation_id=f"c{number}") for number in range(12_345)))
    store.flush()
    with closing(sqlite3.connect(store.path or "")) as connection, connection:
        connection.execute("UPDATE predictions SET created_at = '2026-01-01' WHERE conversation_id = 'c12000'")
    found = store.reasons()
    assert found.column("conversation_id") == ["c12000", *(f"c{n}" for n in range(12_345) if n != 12_000)]
    assert len({id(value) for value in found.column("classifier_id")}) == 1
    assert store.reasons("2025-01-01", "2026-06-01").column("conversation_id") == ["c12000"]


@pytest.mark.parametrize("kind", ["words", "learned", "asked"])
def test_each_kind_of_classifier_says_what_it_was_asked_with(tmp_path: Path, kind: str) -> None:
    """Turns and characters as they were given, and the metadata that the workspace names."""
    folder = make_workspace(tmp_path)
    (folder / "llmclf.toml").write_text('version = 1\n[reasons]\nfields = ["channel", "tier"]\n')
    given = [
        Conversation(
            "c1",
            (Turn("user", "A person"), Turn("bot", ""), Turn("bot", "No.")),
            metadata={"channel": "chat", "x": "y"},
        ),
        Conversation("c2", (Turn("user", ""),), metadata={"tier": 2}),
    ]
    with Runtime(folder / "llmclf.db", workspace=folder, max_usd=1) as runtime:
        if kind == "learned":
            train("learned", make_dataset(), workspace=folder)
        classify(given, load_classifier(kind, runtime=runtime), runtime=runtime)
        found = runtime.store.predictions(runtime.store.runs()[0]["run_id"])
    assert found.column("fields") == [
        {"channel": "chat", "turns": 2, "characters": 11},
        {"tier": 2, "turns": 0, "characters": 0},
    ]
    assert found[0].to_dict()["fields"]["channel"] == "chat"


def test_sweeps_and_evaluations_store_fields_too(tmp_path: Path) -> None:
    """Their predictions hold turns and characters, cell by cell."""
    folder = make_workspace(tmp_path)
    dataset = make_dataset(4, 3, 5)
    with Runtime(folder / "llmclf.db", workspace=folder, max_usd=1) as runtime:
        run_sweep(make_sweep(grid={"classifier": ["words", "asked"]}), dataset, task_of(folder), runtime)
        evaluate_classifier("words", dataset, runtime=runtime)
        runs = [row["run_id"] for row in runtime.store.runs()]
        found = [fields for run in runs for fields in runtime.store.predictions(run).column("fields")]
    assert len(found) == 36
    assert {fields["turns"] for fields in found} == {4}
    assert all(fields["characters"] > 40 for fields in found)


def test_a_backend_keeps_what_it_was_told(tmp_path: Path) -> None:
    """`record` stores a prediction with its fields, redacted like its conversation; without a store it says so."""
    folder = make_workspace(tmp_path)
    words = load_classifier("words", workspace=folder)
    given = Conversation(
        "c1", (Turn("user", "My name is Ana Kowalska, a person please"), Turn("bot", "No, Ana Kowalska"))
    )
    with Runtime(folder / "llmclf.db", workspace=folder, max_usd=1) as runtime:
        record(words.classify(given), given, words, runtime=runtime)
        asked = load_classifier("asked", runtime=runtime)
        record(asked.classify(given), given, asked)
        assert [row["predictions"] for row in runtime.store.status()["traffic"]] == [1, 1]
        (reason,) = runtime.store.reasons(where={"classifier_id": words.id})
        assert (reason["run_id"], reason["fields"]["turns"]) == ("", 2)
        assert "Kowalska" not in str(reason)
    with pytest.raises(ConfigError, match="give `runtime`"):
        record(words.classify(given), given, words)


def test_past_predictions_keep_their_time(tmp_path: Path) -> None:
    """`record` takes when a prediction was made, with or without a zone, and says what is no moment."""
    folder = make_workspace(tmp_path)
    words = load_classifier("words", workspace=folder)
    given = Conversation("c1", (Turn("user", "a person please"),))
    east = timezone(timedelta(hours=2))
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        for at in (datetime(2026, 1, 5, 10, tzinfo=east), datetime(2026, 1, 5, 9), "2026-01-04T12:00+00:00", None):
            record(words.classify(given), given, words, runtime=runtime, at=at)
        with pytest.raises(ConfigError, match="at: not a moment"):
            record(words.classify(given), given, words, runtime=runtime, at="yesterday")
        days = [at[:13] for at in runtime.store.reasons().column("created_at")]
        assert days[:3] == ["2026-01-04T12", "2026-01-05T08", "2026-01-05T09"]
        assert len(days) == 4
        assert len(runtime.store.reasons("1h")) == 1


def test_fields_hold_nothing_personal(tmp_path: Path) -> None:
    """What privacy calls personal is left out, so are long texts; others are redacted, and all of it is forgotten."""
    path = tmp_path / "llmclf.db"
    fields: Fields = {"account": "AC-9", "note": "my name is Ana Kowalska", "mail": "ana@example.com", "turns": 3}
    fields["essay"] = "word " * 20
    with Store(path, redaction=Redaction(metadata_keys=("account",))) as store:
        run = begin(store)
        store.add_predictions(run, [replace(ROW, rationale="", fields=fields), replace(ROW, conversation_id="c2")])
        kept = {"note": "my name is [NAME_1]", "mail": "[EMAIL_1]", "turns": 3}
        assert store.predictions(run)[0].fields == kept
        assert store.forget("c1")["predictions"] == 1
        assert store.predictions(run).column("fields") == [{}, {}]
        for words in (b"Kowalska", b"ana@example.com", b"AC-9", b"[NAME_1]", b"word word"):
            assert words not in b"".join(file.read_bytes() for file in tmp_path.glob("llmclf.db*"))
    with Store(None, redaction=Redaction(when="off", metadata_keys=("account",))) as store:
        run = begin(store)
        store.add_predictions(run, [replace(ROW, fields=fields)])
        assert store.predictions(run)[0].fields == {name: value for name, value in fields.items() if name != "essay"}


def test_reasons_are_values_of_their_own() -> None:
    """Rows, slices and picks are what was put in; what is no reason is refused."""
    made = Reasons([{"rationale": "a", "fields": {"turns": 1}}, {"thinking": "b", "conversation_id": "c"}])
    assert made.texts() == ["a", "b"]
    assert made.column("conversation_id") == ["reason-0", "c"]
    assert made.pick([1])[0] == made[1] == made[1:][0]
    assert (made.field("turns"), made[1]["fields"], made[1]["evidence"]) == ([1, None], {}, ())
    assert repr(Reasons.of(["a", "b"], conversation_ids=["c", "c"])) == "<2 reasons of 1 conversations>"
    with pytest.raises(DataError, match="did you mean 'rationale'"):
        Reasons([{"rational": "a"}])
    with pytest.raises(DataError, match="equally long"):
        Reasons.of(["a"], label=["x", "y"])
