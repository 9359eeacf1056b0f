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
    assert len(re.findall(r"\b[0-9a-f]{32}\b", out)) == 4
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
