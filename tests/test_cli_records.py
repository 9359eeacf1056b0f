"""runs and status: rows that can be told apart, runs whose process is gone, and what is counted."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmclf.cli import run
from llmclf.store import CallSent, Store
from llmclf.store.moments import utc_text

CHAT = "Customer: Could I talk to a real person?\nBot: Our help pages know everything.\n"
SIMMED = """
version = 1
kind = "llm"
task = "refusal_to_transfer"
model = "sim/small"
prompt = "short"
"""
SWEEP = """
version = 1
dataset = "samples"
max_items = 20
[grid]
classifier = ["refusal_keyword"]
"""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "chat.txt").write_text(CHAT)
    (tmp_path / "grid.toml").write_text(SWEEP)


def three_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classify", "refusal_keyword", "chat.txt"]) == 0
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples"]) == 0
    assert run(["sweep", "run", "grid.toml"]) == 0
    capsys.readouterr()


def begun(minutes_ago: float, owner_minutes_ago: float | None = None) -> str:
    """A run that is under way by its row, with one call; its owner's heartbeat is that old, or none is known."""
    with Store("llmclf.db") as store:
        run_id = store.start_run("classify", inputs_hash="h", config={"classifier": "words@1"})
        call = CallSent("one", run_id, "hash", reserved_nano=1, model="m", owner="o")
        store.call_sent(call).result()
    with sqlite3.connect("llmclf.db") as connection:
        connection.execute("UPDATE runs SET started_at = ?", (ago(minutes_ago),))
        connection.execute("UPDATE calls SET sent_at = ?", (ago(minutes_ago),))
        if owner_minutes_ago is not None:
            connection.execute("INSERT INTO owners VALUES ('o', ?)", (ago(owner_minutes_ago),))
    connection.close()
    return run_id


def ago(minutes: float) -> str:
    return utc_text(datetime.now(UTC) - timedelta(minutes=minutes))


def test_runs_are_told_apart_by_what_was_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Classifier, sweep and dataset stand in the list."""
    three_runs(capsys)
    assert run(["runs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r" {2,}", line.strip())[2] for line in lines[1:]] == [
        "grid on samples",
        "refusal_keyword on samples",
        "refusal_keyword",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_ids_and_times_are_never_cut(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal other columns go first; an id that is shown can be given to `runs show`."""
    three_runs(capsys)
    begun(5)
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["runs", "list"]) == 0
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    assert len(ids := re.findall(r"^[0-9a-f]{12}\b", out, re.M)) == 4
    assert run(["runs", "show", ids[-1]]) == 0
    assert "refusal_k" in out  # what was run
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", out)) == (4 if width >= 60 else 0)


@pytest.mark.parametrize(
    ("silent", "owner", "state"),
    [(1, None, "running"), (5, None, "ended?"), (5, 0.2, "running"), (5, 2, "ended?"), (1, 2, "ended?")],
)
def test_a_run_whose_process_is_gone_is_not_shown_as_running(
    silent: float, owner: float | None, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the heartbeat of its calls' owner where there is one, else by the last thing it wrote."""
    begun(silent, owner)
    for arguments in (["runs", "list"], ["status"]):
        assert run(arguments) == 0
        out = capsys.readouterr().out
        assert state in out
        assert {"running": "ended?", "ended?": "running"}[state] not in out
    assert run(["runs", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert (row["state"], row["seems_ended"]) == ("running", state == "ended?")


def test_a_wrong_id_brings_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """No run, or several, is an error that says what may be meant."""
    run_id = begun(1)
    assert run(["runs", "show", f"{run_id[:10]}x"]) == 1
    assert f"did you mean '{run_id}'" in capsys.readouterr().err
    begun_too = run(["classify", "refusal_keyword", "chat.txt"])
    assert begun_too == 0
    capsys.readouterr()
    assert run(["runs", "show", "0"]) == 1
    assert "2 runs' ids begin so" in capsys.readouterr().err


def test_traffic_is_what_was_classified(capsys: pytest.CaptureFixture[str]) -> None:
    """Sweeps and evaluations are counted apart, and settings of one name are rows of their own."""
    three_runs(capsys)
    assert run(["status", "--json"]) == 0
    activity: dict[str, Any] = json.loads(capsys.readouterr().out)["activity"]
    assert [(row["classifier_id"].partition("@")[0], row["predictions"]) for row in activity["traffic"]] == [
        ("refusal_keyword", 1)
    ]
    assert {row["kind"]: row["predictions"] for row in activity["measured"]} == {"evaluate": 232, "sweep": 20}
    assert run(["status"]) == 0
    out = capsys.readouterr().out
    assert "sweeps and evaluations are counted below" in out
    assert max(len(line) for line in out.splitlines() if str(Path.cwd()) not in line) <= 120
    assert "measured: 20 items in 1 sweep" in out


def test_status_suggests_only_what_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluation is suggested once the dataset has labels of a task that a classifier is about."""
    options = ["--question", "Rude?", "--target", "rude", "--adjacent", "", "--unit", "conversation"]
    assert run(["init", ".", *options, "--language", "en"]) == 0
    folder = tmp_path / "configs/datasets"
    turns = [{"speaker": "user", "text": "hello"}, {"speaker": "bot", "text": "go away"}]
    rows = [json.dumps({"id": f"c{n}", "turns": [*turns, {"speaker": "user", "text": f"no {n}"}]}) for n in range(4)]
    (folder / "c.jsonl").write_text("\n".join(rows))
    for old in folder.glob("*.toml"):
        old.unlink()
    (folder / "mine.toml").write_text('version = 1\nconversations = "c.jsonl"\nlabels = "l.jsonl"\n')

    def suggested(task: str) -> list[str]:
        labels = [{"conversation_id": f"c{n}", "labels": {task: "rude" if n < 2 else "clean"}} for n in range(4)]
        (folder / "l.jsonl").write_text("\n".join(map(json.dumps, labels)))
        capsys.readouterr()
        assert run(["status", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["next"]
        return [step for step in found if step.startswith("llmclf evaluate")]

    assert suggested("another_task") == []
    (step,) = suggested("rude")
    assert run(step.split()[1:]) == 0


def test_a_simulated_evaluation_is_stamped_and_names_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluations and repeats of a simulated model are simulated runs, shown with stamps, dollars, model and prompt."""
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "configs/classifiers").mkdir(parents=True)
    (tmp_path / "configs/classifiers/simmed.toml").write_text(SIMMED)
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    assert run(["evaluate", "simmed", "--dataset", "samples", "--max-items", "80", "--repeats", "2"]) == 0
    capsys.readouterr()
    assert run(["runs", "list", "--json"]) == 0
    rows = {row["kind"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    assert rows["evaluate"]["simulated"] and rows["repeats"]["simulated"]
    for kind in rows:
        assert run(["runs", "show", rows[kind]["run_id"]]) == 0
        out = capsys.readouterr().out
        assert "SIMULATED" in out
        assert re.search(r"^model +sim/small", out, re.M) and re.search(r"^prompt +short [0-9a-f]{64}", out, re.M)
        if kind == "evaluate":
            assert "SYNTHETIC" in out and "recall (of this set)" in out and "dollars per 1,000 $" in out
        else:
            assert "recall of each run:" in out and rows["evaluate"]["run_id"] in out


def test_a_name_where_a_run_was_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    """A classifier's name brings its newest run; a word that is no id brings no id."""
    three_runs(capsys)
    assert run(["runs", "list", "--json"]) == 0
    newest = json.loads(capsys.readouterr().out)["runs"][1]["run_id"]
    assert run(["runs", "show", "refusal_keyword"]) == 1
    assert f"the newest run of refusal_keyword is {newest}" in capsys.readouterr().err
    assert run(["runs", "show", "zebra"]) == 1
    assert "did you mean" not in capsys.readouterr().err


def test_only_failed_runs_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that failed has no prediction because it failed, not because somebody erased it."""
    with Store("llmclf.db") as store:
        run_id = store.start_run("evaluate", inputs_hash="h", config={"classifier": "words@1", "dataset": "samples"})
        store.finish_run(run_id, "failed", why="the disk was full")
    assert run(["errors", "last"]) == 1
    assert "no run has finished yet; the last one failed: the disk was full" in capsys.readouterr().err


def test_every_item_that_failed_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    """A probe that has too few labels to learn from fails on all items: said, and exit 1, also by `compare`."""
    few = ["--dataset", "samples", "--max-items", "12"]
    for command in (["evaluate", "refusal_probe"], ["compare", "refusal_keyword", "refusal_probe"]):
        assert run([*command, *few]) == 1
        assert "too few labels to train on" in capsys.readouterr().err


def test_a_dataset_without_labels_of_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is said instead of an error about folds; a conversations file is told from a dataset's file."""
    (tmp_path / "configs/datasets").mkdir(parents=True)
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    turns = [{"speaker": "user", "text": "a person?"}, {"speaker": "bot", "text": "no"}]
    (tmp_path / "configs/datasets/c.jsonl").write_text(json.dumps({"id": "c", "turns": turns}))
    labels = {"conversation_id": "c", "labels": {"another": "yes"}}
    (tmp_path / "configs/datasets/l.jsonl").write_text(json.dumps(labels))
    (tmp_path / "configs/datasets/mine.toml").write_text('version = 1\nconversations = "c.jsonl"\nlabels = "l.jsonl"\n')
    for name in ("refusal_probe", "refusal_keyword"):
        assert run(["evaluate", name, "--dataset", "mine"]) == 1
        said = capsys.readouterr().err
        assert "no example has a label of task 'refusal_to_transfer'" in said and "another" in said
    assert run(["evaluate", "refusal_keyword", "--dataset", "configs/datasets/c.jsonl"]) == 1
    said = capsys.readouterr().err
    assert "a file with conversations or labels" in said and "mine" in said
