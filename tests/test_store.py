"""The store through its public door: what goes in comes out."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llmclf.errors import ConfigError, StoreError
from llmclf.store import CallDone, CallSent, Spent, Store, new_id
from llmclf.types import ErrorInfo, Evidence, Prediction, Usage

FULL = Prediction(
    "c1",
    "refusal@1",
    "refusal_to_transfer",
    turn=3,
    label="refusal_to_transfer",
    flagged=True,
    score=0.9,
    score_method="verbalized",
    threshold=0.5,
    probabilities={"refusal_to_transfer": 0.8, "clean": 0.2},
    probabilities_at=0.005,
    evidence=(Evidence("a person, please", 2), Evidence("never said", None, grounded=False)),
    rationale="The customer asked twice.",
    thinking="Let me see.",
    truncated=True,
    usage=Usage(100, 20, 30, 10),
    cost_nano_usd=123_456,
    latency_seconds=1.5,
    route="litellm",
    call_id="call-1",
    cached=True,
    simulated=True,
    fields={"turns": 4, "channel": "chat", "premium": True, "language": None},
)
PLAIN = Prediction("c2", "keyword@1", "refusal_to_transfer", label="clean", flagged=False, score=0.0)
FAILED = Prediction(
    "c3", "refusal@1", "refusal_to_transfer", error=ErrorInfo("timeout", "no answer in 5 s", True), cost_nano_usd=None
)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "llmclf.db" if request.param == "file" else None) as opened:
        yield opened


def begin(store: Store, **changes: object) -> str:
    return store.start_run("classify", **{"inputs_hash": "h", "config": {"a": 1}} | changes)  # type: ignore[arg-type]


def sent(call_id: str, **changes: object) -> CallSent:
    return replace(CallSent(call_id, "run", f"hash-{call_id}", reserved_nano=1_000, model="m"), **changes)  # type: ignore[arg-type]


def test_predictions_come_back_as_they_were(store: Store) -> None:
    """Every field of a prediction survives, in the order they were added; a failure stays a failure."""
    run = begin(store)
    store.add_predictions(run, [FULL, PLAIN])
    store.add_predictions(run, iter([FAILED]))
    found = store.predictions(run)
    assert list(found) == [FULL, PLAIN, FAILED]
    assert found[2].label is None
    assert found[2].cost_usd is None
    assert list(store.predictions("another")) == []


def test_predictions_of_several_runs_and_of_one_cell(store: Store) -> None:
    """Runs are read together in time order; a cell is read alone."""
    first, second = begin(store), begin(store)
    store.add_predictions(first, [PLAIN], cell_id="a")
    store.add_predictions(second, [FULL], cell_id="a")
    store.add_predictions(first, [FAILED], cell_id="b")
    assert list(store.predictions([second, first])) == [PLAIN, FULL, FAILED]
    assert list(store.predictions(first, cell_id="b")) == [FAILED]


def test_a_resumed_cell_replaces_what_it_stored_before(store: Store) -> None:
    """Within a cell an item has one prediction; outside of cells each time counts."""
    run = begin(store)
    for _ in range(2):
        store.add_predictions(run, [FULL, PLAIN], cell_id="a")
        store.add_predictions(run, [PLAIN])
    assert len(store.predictions(run, cell_id="a")) == 2
    assert len(store.predictions(run, cell_id="")) == 2


def test_many_predictions_are_written_in_order(store: Store) -> None:
    """More than one batch keeps its order."""
    run = begin(store)
    store.add_predictions(run, (replace(PLAIN, conversation_id=f"c{number}") for number in range(12_345)))
    assert store.predictions(run).column("conversation_id") == [f"c{number}" for number in range(12_345)]


def test_runs(store: Store) -> None:
    """A run begins as running, ends as it is told, and is found by kind and inputs, newest first."""
    first = begin(store, versions={"llmclf": "0.1"}, seed=7, git_sha="abc", dataset_hash="d", simulated=True)
    second = store.start_run("sweep", inputs_hash="other", config={})
    store.finish_run(first, "done", result={"recall": [0.5, None]})
    newest, oldest = store.runs()
    assert (newest["run_id"], newest["state"], newest["result"]) == (second, "running", None)
    assert oldest["versions"] == {"llmclf": "0.1"}
    assert (oldest["config"], oldest["seed"], oldest["simulated"]) == ({"a": 1}, 7, True)
    assert (oldest["state"], oldest["result"]) == ("done", {"recall": [0.5, None]})
    assert oldest["started_at"] <= oldest["finished_at"]
    assert [run["run_id"] for run in store.runs(kind="sweep")] == [second]
    assert [run["run_id"] for run in store.runs(inputs_hash="h")] == [first]
    assert [run["run_id"] for run in store.runs(limit=1)] == [second]


def test_a_run_that_was_not_begun_can_not_end(store: Store) -> None:
    """An unknown run or state is told at once, and the store goes on."""
    with pytest.raises(StoreError, match="no such run"):
        store.finish_run("nothing", "done")
    with pytest.raises(ConfigError, match="did you mean 'done'"):
        store.finish_run(begin(store), "don")  # type: ignore[arg-type]
    assert len(store.runs()) == 1


def test_a_call_keeps_its_reservation_until_its_cost_is_known(store: Store) -> None:
    """Sent, done, failed and unknown costs are told apart; unknown is not zero."""
    for call_id in ("open", "paid", "unknown", "free"):
        store.call_sent(sent(call_id))
    assert store.spent_nano() == Spent(0, 4_000, 4, 4, 0)
    store.call_done("paid", CallDone("done", cost_nano=700))
    store.call_done("unknown", CallDone("failed", cost_nano=None, possibly_billed=True, error_kind="timeout"))
    store.call_done("free", CallDone("failed", cost_nano=0, error_kind="bad_request"))
    assert store.spent_nano() == Spent(settled=700, reserved_unsettled=2_000, calls=4, possibly_billed=2, unknown=1)


def test_money_by_run_and_time(store: Store) -> None:
    """Spending is asked for some runs, from a moment on, and never mixes simulated with real money."""
    before = datetime.now(UTC) - timedelta(days=40)
    store.call_sent(sent("a", run_id="one", sent_at=before))
    store.call_sent(sent("b", run_id="one"))
    store.call_sent(sent("c", run_id="two"))
    store.call_sent(sent("d", run_id="two", simulated=True))
    assert store.spent_nano().calls == 3
    assert store.spent_nano(run_ids=["one"]).calls == 2
    assert store.spent_nano(run_ids=["one", "two", "one"]).calls == 3
    assert store.spent_nano(run_ids=[]).calls == 0
    assert store.spent_nano(since=datetime.now(UTC) - timedelta(days=1)).calls == 2
    assert store.spent_nano(run_ids=["one"], since=datetime.now(UTC) - timedelta(days=1)).calls == 1
    assert store.spent_nano(simulated=True).calls == 1
    assert store.spent_nano(run_ids=[f"run-{number}" for number in range(2_000)]).calls == 0


def test_an_answer_is_found_from_the_moment_it_is_handed_over(store: Store) -> None:
    """Queued or committed, the same answer comes back; failed calls and other repeats give none."""
    done = CallDone("done", text='{"label": "x"}', reasoning="r", finish_reason="stop", usage=Usage(1, 0, 2, None),
                    label_logprobs={"A": -0.1}, cost_nano=5, latency_seconds=0.5, attempts=2)  # fmt: skip
    store.call_sent(sent("one", repeat=1)).result(10)
    assert store.stored_answer("hash-one", 1) is None
    committed = store.call_done("one", done)
    queued = store.stored_answer("hash-one", 1)
    committed.result(10)
    assert store.stored_answer("hash-one", 1) == queued
    assert queued is not None
    assert (queued.call_id, queued.text, queued.label_logprobs) == ("one", done.text, {"A": -0.1})
    assert (queued.usage, queued.attempts, queued.model, queued.simulated) == (done.usage, 2, "m", False)
    assert store.stored_answer("hash-one", 0) is None
    store.call_sent(sent("two"))
    store.call_done("two", CallDone("failed", error_kind="timeout"))
    store.flush()
    assert store.stored_answer("hash-two") is None


def test_the_first_answer_to_a_request_stays(store: Store) -> None:
    """Where an answer was bought twice, everybody sees the same one."""
    for call_id in ("first", "second"):
        store.call_sent(sent(call_id, request_hash="same"))
        store.call_done(call_id, CallDone("done", text=call_id))
        store.flush()
    answer = store.stored_answer("same")
    assert answer is not None
    assert answer.text == "first"


def test_a_refused_row_reaches_its_caller_and_harms_no_other(store: Store) -> None:
    """The same call id twice is an error of that call alone; an unknown call is told at the next call."""
    store.call_sent(sent("one")).result(10)
    good, bad = store.call_sent(sent("two")), store.call_sent(sent("one"))
    with pytest.raises(StoreError, match="UNIQUE"):
        bad.result(10)
    good.result(10)
    with pytest.raises(StoreError, match="no such call"):
        store.call_done("never", CallDone("done")).result(10)
    with pytest.raises(StoreError, match="no such call"):
        store.flush()
    store.flush()
    assert store.spent_nano().calls == 2


def test_a_cancelled_call_that_is_not_written_yet_is_left_out(store: Store) -> None:
    """Who cancels before the commit has nothing reserved in the store."""
    holder = threading.Event()
    blocking = store._session.writer.submit(lambda connection: holder.wait(10), urgent=True)
    future = store.call_sent(sent("one"))
    cancelled = future.cancel()
    holder.set()
    blocking.result(10)
    assert cancelled
    for number in range(20):
        store.call_sent(sent(f"more-{number}")).cancel()
    store.flush()
    store.flush()
    assert store.query("SELECT count(*) AS n FROM calls WHERE call_id = 'one'") == [{"n": 0}]


def test_cells_stand_in_the_order_they_were_first_put(store: Store) -> None:
    """A cell is put again as it changes, and keeps its place."""
    run = begin(store)
    for cell in ("z", "a"):
        store.put_cell(run, cell, settings={"model": cell}, simulated=cell == "a", state="running")
    store.put_cell(run, "z", settings={"model": "z"}, simulated=False, state="done", result={"usd": 1})
    first, second = store.cells(run)
    assert (first["cell_id"], first["state"], first["result"], first["simulated"]) == ("z", "done", {"usd": 1}, False)
    assert (second["cell_id"], second["result"], second["settings"], second["simulated"]) == (
        "a",
        None,
        {"model": "a"},
        True,
    )


def test_a_prompt_is_kept_once(store: Store) -> None:
    """The text of a prompt is stored by name and hash, however often it runs."""
    for _ in range(3):
        store.put_prompt("refusal/v1", "sha", "Is a person refused?")
    store.put_prompt("refusal/v1", "sha2", "changed")
    rows = store.query("SELECT name, sha256, text FROM prompts ORDER BY sha256")
    assert [row["text"] for row in rows] == ["Is a person refused?", "changed"]


def test_query_only_reads(store: Store) -> None:
    """A person's SQL gives rows by column name, and can't change anything."""
    begin(store)
    assert store.query("SELECT kind, :x AS x FROM runs", {"x": 5}) == [{"kind": "classify", "x": 5}]
    assert store.query("SELECT kind FROM runs WHERE kind = ?", ["no"]) == []
    for wrong in ("DELETE FROM runs", "SELEC 1", "SELECT 1; SELECT 2", "INSERT INTO runs VALUES (1)"):
        with pytest.raises(StoreError):
            store.query(wrong)
    assert len(store.runs()) == 1


def test_views_are_there_for_people(store: Store) -> None:
    """Each view answers, in dollars."""
    run = begin(store)
    store.put_cell(run, "a", settings={"model": "m", "thinking": "low"}, simulated=True, state="done")
    store.add_predictions(run, [FULL, replace(FAILED, simulated=True)], cell_id="a")
    store.call_sent(sent("one", classifier_id="refusal@1"))
    store.call_done("one", CallDone("done", cost_nano=2_000_000_000))
    (cell,) = store.query("SELECT * FROM v_cells")
    assert (cell["model"], cell["thinking"], cell["predictions"], cell["failed"]) == ("m", "low", 2, 1)
    assert (cell["unknown_cost"], cell["flagged"], cell["ungrounded"]) == (1, 1, 1)
    (spend,) = store.query("SELECT * FROM v_spend")
    assert (spend["calls"], spend["usd"], spend["reserved_usd"]) == (1, 2.0, 0.0)
    assert [row["rationale"] for row in store.query("SELECT * FROM v_reasons")] == ["The customer asked twice."]
    assert len(store.query("SELECT * FROM v_predictions")) == 2


def test_reasons(store: Store) -> None:
    """Predictions that say why, within a span of time, filtered by columns."""
    run = begin(store)
    other = replace(
        FULL, conversation_id="c9", label="clean", flagged=False, simulated=False, rationale="", thinking="t"
    )
    store.add_predictions(run, [FULL, PLAIN, FAILED, other])
    found = store.reasons()
    assert [row["conversation_id"] for row in found] == ["c1", "c9"]
    assert found[0]["evidence"][0] == {"quote": "a person, please", "turn": 2, "grounded": True}
    assert (found[0]["flagged"], found[0]["simulated"], found[0]["ungrounded"]) == (True, True, True)
    assert store.reasons("24h", where={"simulated": False}).column("thinking") == ["t"]
    assert len(store.reasons(where={"label": ["clean", "refusal_to_transfer"], "turn": 3})) == 2
    assert not len(store.reasons(where={"turn": None}))
    assert not len(store.reasons(until="1h"))
    assert not len(store.reasons(datetime.now(UTC) + timedelta(minutes=1)))
    assert len(store.reasons("2020-01-01T00:00:00+01:00", datetime.now(UTC) + timedelta(minutes=1))) == 2


def test_wrong_spans_and_filters_are_told(store: Store) -> None:
    """What can't be read as a moment or a column says what can."""
    for wrong in ("yesterday", "24x", "", "2026-13-01"):
        with pytest.raises(ConfigError, match="24h"):
            store.reasons(wrong)
    with pytest.raises(ConfigError, match="did you mean 'label'"):
        store.reasons(where={"lable": "x", "nothing": 1})


def test_status(store: Store) -> None:
    """One document: traffic with flag rates, failures, dollars, last runs; simulated apart from real."""
    run = begin(store)
    store.add_predictions(run, [PLAIN, FAILED, replace(PLAIN, flagged=True), FULL])
    store.call_sent(sent("one", classifier_id="refusal@1"))
    store.call_sent(sent("two", classifier_id="refusal@1"))
    store.call_done("one", CallDone("done", cost_nano=500_000_000))
    status = json.loads(json.dumps(store.status()))
    traffic = {(row["classifier_id"], row["simulated"]): row for row in status["traffic"]}
    assert traffic["keyword@1", False]["flag_rate"] == 0.5
    assert traffic["refusal@1", False]["failed"] == 1
    assert traffic["refusal@1", False]["flag_rate"] is None
    assert traffic["refusal@1", True]["ungrounded"] == 1
    assert status["failures"] == [{"error_kind": "timeout", "simulated": False, "predictions": 1}]
    (spend,) = status["spend"]
    assert (spend["calls"], spend["usd"], spend["possibly_billed"]) == (2, 0.5, 1)
    assert spend["reserved_usd"] == pytest.approx(1e-6)
    assert status["runs"][0]["run_id"] == run
    assert status["store"]["path"] == (None if store.path is None else str(store.path))
    assert store.status("0s")["traffic"] == []


def test_export_as_jsonl_loses_nothing(store: Store, tmp_path: Path) -> None:
    """Every row of every table, JSON columns as JSON."""
    run = begin(store)
    store.add_predictions(run, (replace(FULL, conversation_id=f"c{number}") for number in range(2_500)))
    store.call_sent(sent("one", request_json='{"messages": []}'))
    files = {path.name: path for path in store.export(tmp_path / "out")}
    tables = ["calls", "cells", "judgments", "predictions", "prompts", "runs"]
    tables += ["session_items", "session_labels", "session_looks", "sessions"]
    tables += ["alerts", "anomalies", "clustered", "clusterings", "clusters", "deliveries", "failure_modes"]
    assert sorted(files) == sorted(f"{name}.jsonl" for name in tables)
    rows = [json.loads(line) for line in files["predictions.jsonl"].read_text().splitlines()]
    assert [row["conversation_id"] for row in rows] == [f"c{number}" for number in range(2_500)]
    assert rows[0]["probabilities"] == FULL.probabilities
    assert json.loads(files["calls.jsonl"].read_text())["request"] == {"messages": []}
    assert files["cells.jsonl"].read_text() == ""
    assert files["runs.jsonl"].stat().st_mode & 0o077 == 0


def test_export_as_csv_opens_safely_in_a_spreadsheet(store: Store, tmp_path: Path) -> None:
    """A byte order mark, headings also without rows, and no text that would run as a formula."""
    run = begin(store)
    store.add_predictions(run, [replace(FULL, rationale="=HYPERLINK(1)", evidence=())])
    store.export(tmp_path, format="csv")
    raw = (tmp_path / "predictions.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(raw.decode("utf-8-sig").splitlines())
    assert row["rationale"] == "'=HYPERLINK(1)"
    assert (tmp_path / "cells.csv").read_text("utf-8-sig").startswith("run_id,cell_id,settings")
    with pytest.raises(ConfigError, match="csv"):
        store.export(tmp_path, format="xml")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="export"):
        store.export(tmp_path / "cells.csv")


def test_text_that_sqlite_can_not_hold_is_mended(store: Store) -> None:
    """Lone surrogates, as broken JSON brings them, cost a character and not a batch."""
    run = begin(store)
    store.add_predictions(run, [replace(FULL, rationale="\ud83d\ude00 \ud83d!", evidence=(Evidence("\udc00", 1),))])
    assert store.predictions(run)[0].rationale == "\U0001f600 \ufffd!"


def test_several_threads_write_and_read(store: Store) -> None:
    """Eight threads at once lose nothing, and each reads what was written."""
    run = begin(store)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                store.add_predictions(run, [replace(PLAIN, conversation_id=f"{number}-{step}")])
                store.call_sent(sent(f"{number}-{step}")).result(20)
                store.call_done(f"{number}-{step}", CallDone("done", text="t", cost_nano=1))
                assert store.stored_answer(f"hash-{number}-{step}") is not None
            assert len(store.predictions(run)) >= 20
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.predictions(run)) == 160
    assert store.spent_nano().settled == 160


def test_a_closed_store_says_so(store: Store) -> None:
    """Closing writes what is queued; closing twice is fine; using it is an error."""
    run = begin(store)
    store.add_predictions(run, [PLAIN])
    store.close()
    store.close()
    for use in (store.flush, store.runs, lambda: store.add_predictions(run, [PLAIN]), lambda: store.stored_answer("x")):
        with pytest.raises(StoreError, match="closed"):
            use()
    if store.path is not None:
        with Store(store.path) as again:
            assert len(again.predictions(run)) == 1


def test_a_store_that_nobody_closes_is_written_all_the_same(tmp_path: Path) -> None:
    """What is handed over is not lost where a store is simply dropped."""
    path = tmp_path / "llmclf.db"
    run = begin(dropped := Store(path))
    dropped.add_predictions(run, [PLAIN])
    del dropped
    with Store(path) as store:
        assert len(store.predictions(run)) == 1


def test_any_sqlite_tool_reads_the_file(tmp_path: Path) -> None:
    """Text ids, UTC ISO times, integers for money: nothing that needs llmclf to be read."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        run = begin(store)
        store.add_predictions(run, [FULL])
    with sqlite3.connect(path) as connection:
        row = connection.execute("SELECT run_id, created_at, cost_nano, evidence FROM predictions").fetchone()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert row[0] == run
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row[1])
    assert row[2] == 123_456
    assert json.loads(row[3])[0]["quote"] == "a person, please"
    assert path.stat().st_mode & 0o077 == 0


def test_ids_sort_by_time() -> None:
    """Ids of one process sort in the order they were made, and are version 7 UUIDs."""
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", one) for one in ids)
