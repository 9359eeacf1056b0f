"""`llmclf reasons` through the command, on stores of made reasons: faults, quiet days, too little, and kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from made_reasons import (
    FAULTY_MODEL,
    MISSING_TRANSCRIPT,
    ODD as ODD_WORDS,
    TASK,
    made_conversations,
    made_reasons,
    made_rows,
    made_store,
    made_window,
)

from llmclf.cli import run
from llmclf.data.write import write_conversations
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings

STABLE = {
    "state", "why_not", "clustering", "since", "until", "baseline", "reasons", "texts", "conversations", "duplicates",
    "simulated", "settings", "embedder", "pool", "clusters", "parents", "anomalies", "times", "notes", "webhook",
}  # fmt: skip
FAULT: dict[str, Any] = {"fault": "missing_transcript", "faulty": 45, "days": 16}
ODD: dict[str, Any] = {"fault": "odd", "faulty": 12, "days": 16}
OF_AN_ANOMALY = {
    "kind", "cluster", "sentence", "p", "reasons", "conversations", "expected", "share", "ratio", "first_seen",
    "examples", "fields", "judged", "name",
}  # fmt: skip


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A store for each kind of last day; tests work on copies."""
    folder = tmp_path_factory.mktemp("made")
    given: dict[str, dict[str, Any]] = {
        "fault": FAULT,
        "odd": ODD,
        "quiet": {"seed": 1, "days": 16},
        "burst": {"fault": "burst", "faulty": 60, "days": 16},
        "young": {"reasons": 60, "days": 2},
    }
    paths = {}
    for name, how in given.items():
        paths[name] = folder / f"{name}.db"
        made_store(paths[name], **how)
    return paths


@pytest.fixture
def here(tmp_path: Path, stores: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a copy of a store into an empty workspace, which is the working folder; gives its path."""
    (tmp_path / "llmclf.toml").write_text("version = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def put(name: str) -> Path:
        return Path(shutil.copy(stores[name], tmp_path / "llmclf.db"))

    return put


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON document of `llmclf reasons ...`, which ends with this code."""
    assert run(["reasons", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """(stdout, stderr) of `llmclf reasons ...` for people."""
    capsys.readouterr()
    assert run(["reasons", *arguments]) == code
    both = capsys.readouterr()
    return both.out, both.err


def the_fault(found: dict[str, Any]) -> dict[str, Any]:
    """The anomaly of one cluster that holds the most conversations."""
    return max((one for one in found["anomalies"] if one["cluster"]), key=lambda one: one["conversations"])


def all_in_the_pool(path: Path, anomaly: dict[str, Any]) -> None:
    """One more clustering, in which the odd reasons are in the pool and in no cluster: as where none are alike."""
    with Store(path) as store:
        book = Clusterings(store)
        last = book.find()
        window = [row["prediction_id"] for row in book.clustered(last["clustering_id"])]
        marks = ", ".join("?" * len(ODD_WORDS))
        odd = store.query(f"SELECT prediction_id FROM predictions WHERE rationale IN ({marks})", ODD_WORDS)
        names = ("run_id", "since", "until", "filter", "settings", "embedder", "reasons", "conversations")
        made = book.start(**{name: last[name] for name in names})
        book.add(made, window, [""] * len(window))
        evidence = {**anomaly, "cluster": "", "kind": "novelty", "predictions": [row["prediction_id"] for row in odd]}
        counts = {"reasons": len(odd), "conversations": len(odd)}
        row = {"cluster_id": "", "kind": "novelty", "p": 0.001, **counts, "evidence": evidence}
        book.finish(made, clusters=[], anomalies=[row], result={**last["result"], "anomalies": [evidence]})


def test_a_fault_is_found_with_its_evidence(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, the documented keys, the fields it goes with, and no words of conversations in the JSON."""
    here("fault")
    found = asked(capsys, "anomalies", code=2)
    assert set(found) >= STABLE and found["state"] == "anomaly" and found["simulated"] is False
    assert all(set(one) >= OF_AN_ANOMALY for one in found["anomalies"])
    assert any(one["conversations"] >= 10 for one in found["anomalies"])
    fields = {(field["field"], field["value"]) for one in found["anomalies"] for field in one["fields"]}
    assert fields & {("turns", "0"), ("model", FAULTY_MODEL)}
    assert not any(sentence in json.dumps(found) for sentence in MISSING_TRANSCRIPT)


@pytest.mark.parametrize("columns", [60, 80])
def test_people_are_told_what_to_do_next(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Every line fits the terminal; quotes are shown, and the command that is suggested works; status says it, too."""
    here("fault")
    monkeypatch.setenv("COLUMNS", str(columns))
    out, _ = said(capsys, "anomalies", code=2)
    assert all(len(line) <= columns for line in out.splitlines())
    assert "“" in out
    command = next(line.split() for line in out.splitlines() if "llmclf reasons show" in line)
    out, _ = said(capsys, *command[2:])
    assert all(len(line) <= columns for line in out.splitlines()) and "goes with" in out and "“" in out
    assert run(["status"]) == 0
    screen = capsys.readouterr().out
    assert "\nreasons " in screen and f"next    llmclf reasons show {command[3]} --in " in screen


def test_a_quiet_day_is_quiet(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 and no alarm; the figures of all kinds are there all the same, and rates by what is asked for."""
    here("quiet")
    found = asked(capsys, "cluster", "--by", "model")
    assert found["anomalies"] == [] and len(found["clusters"]) >= 5
    assert {rate["value"] for rate in found["rates"]} == {"vendor/alpha", "vendor/beta"}
    assert asked(capsys, "anomalies")["state"] == "quiet"
    assert [row["anomalies"] for row in asked(capsys, "list")] == [0, 0]


def test_a_known_kind_that_bursts(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A topic that everybody knows and that is three times as common is told as a burst."""
    here("burst")
    assert "burst" in {one["kind"] for one in asked(capsys, "anomalies", code=2)["anomalies"]}


def test_too_little_is_not_quiet(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 where it can't be told, with what it needs; so without a baseline, and in an empty store."""
    here("young")
    found = asked(capsys, "anomalies", code=1)
    assert found["state"] == "cant_tell" and "more" in found["why_not"]
    out, err = said(capsys, "anomalies", "--baseline", "none", code=1)
    assert "can't be told" in out and "baseline" in out and not err


def test_silence_is_told(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where reasons always came and none came today, that is an alarm; list, show and status say so."""
    here("young")
    (tmp_path / "llmclf.db").unlink()
    made_store(tmp_path / "llmclf.db", until=datetime.now(UTC) - timedelta(hours=25))
    found = asked(capsys, "anomalies", code=2)
    assert found["state"] == "anomaly" and found["silence"] and found["reasons"] == 0
    assert "silence" in said(capsys, "list")[0] and "! No reason at all" in said(capsys, "show")[0]
    assert run(["status"]) == 0
    assert "\nreasons No reason at all" in capsys.readouterr().out


def test_an_alarm_waits_for_nobody(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge without a key, and a webhook that nobody answers, are told of; the alarm comes all the same."""
    here("odd")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("LLMCLF_WEBHOOK_URL", "http://127.0.0.1:9/hook/s3cret")
    assert run(["reasons", "anomalies", "--judge", "--webhook", "--json"]) == 2
    both = capsys.readouterr()
    found = json.loads(both.out)
    assert "OPENAI_API_KEY" in found["unread"] and len(found["webhook"]["queued"]) == 1
    assert "the judge is not asked" in both.err and "not delivered" in both.err and "s3cret" not in both.out + both.err


@pytest.mark.parametrize("last_day", ["fault", "odd"])
def test_promoted_to_a_regression_test(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, last_day: str
) -> None:
    """A cluster, or the pool where reasons are too unlike for one: examples that `evaluate` takes, added once."""
    here(last_day)
    given = {"fault": FAULT, "odd": ODD}[last_day]
    write_conversations(tmp_path / "chats.jsonl", made_conversations(made_rows(**given)))
    found = asked(capsys, "anomalies", code=2)
    what = the_fault(found)["cluster"]
    if last_day == "odd":
        what = "pool"
        all_in_the_pool(tmp_path / "llmclf.db", found["anomalies"][0])
    assert "goes with" in said(capsys, "show", what)[0]
    for as_, into in (("failure-mode", "regressions"), ("hard-negative", "negatives")):
        words = ["promote", what, "--as", as_, "--into", into, "--conversations", "chats.jsonl", "--label", "clean"]
        words += ["--name", "no_input"] if as_ == "failure-mode" else []
        made = asked(capsys, *words)
        assert made["added"] >= 8 and Path(made["path"]).is_file()
        assert asked(capsys, *words)["added"] == 0
        assert run(["evaluate", "refusal_keyword", "--dataset", into, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
    with Store(tmp_path / "llmclf.db") as store:
        (mode,) = store.query("SELECT * FROM failure_modes")
    assert (mode["failure_mode"], mode["task"], mode["dataset"]) == ("no_input", TASK, "regressions")


def test_the_pool_as_an_alert(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """What is strange and of no one kind can be asked for, too: it fires the next time."""
    path = here("odd")
    all_in_the_pool(path, asked(capsys, "anomalies", code=2)["anomalies"][0])
    asked(capsys, "promote", "pool", "--as", "alert", "--name", "odd")
    found = asked(capsys, "anomalies", code=2)["anomalies"]
    assert "odd" in {name for one in found for name in (one["name"], *one["alerts"])}


def test_a_standing_alert_fires_until_it_is_ended(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed, fires on the next look at the same reasons, says so, and is gone once it is ended."""
    here("fault")
    assert said(capsys, "alerts")[0].startswith("no alert stands")
    cluster = the_fault(asked(capsys, "anomalies", code=2))["cluster"]
    asked(capsys, "promote", cluster[:6], "--as", "alert", "--name", "no_transcript", "--note", "see the wiki")
    found = asked(capsys, "anomalies", code=2)
    assert "no_transcript" in {name for one in found["anomalies"] for name in (one["name"], *one["alerts"])}
    assert "told before, first" in said(capsys, "anomalies", code=2)[0]
    (alert,) = asked(capsys, "alerts")
    assert (alert["alert"], alert["fired"], alert["note"]) == ("no_transcript", 2, "see the wiki")
    assert run(["reasons", "alerts", "--end", "no_transcrip"]) == 1
    assert "no_transcript" in capsys.readouterr().err
    assert asked(capsys, "alerts", "--end", "no_transcript") == []


def test_an_alert_that_can_not_be_looked_for_is_no_all_clear(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Other vectors made it: a quiet window exits 1 and names it, and `alerts` marks it."""
    path = here("quiet")
    cluster = asked(capsys, "cluster")["clusters"][0]["id"]
    with Store(path) as store:
        book = Clusterings(store)
        (row,) = [one for one in book.clusters(book.find()["clustering_id"]) if one["cluster_id"] == cluster]
        ids = {"cluster_id": cluster, "clustering_id": row["clustering_id"]}
        book.put_alert("dead", embedder="old", centroid=row["centroid"], similarity=0.9, least_conversations=3, **ids)
    out, _ = said(capsys, "anomalies", code=1)
    assert "can't tell: not looked for" in out and "dead" in out
    assert "NOT LOOKED FOR" in said(capsys, "alerts")[0]
    assert run(["status"]) == 0
    assert "not looked for: dead" in capsys.readouterr().out


def test_what_is_strange_is_said_before_anything_can_go_wrong(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report on a folder or a link, no variable with the webhook, a store that takes no row: printed, and exit 2."""
    path = here("odd")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "link.html").symlink_to("/dev/full")
    monkeypatch.delenv("LLMCLF_WEBHOOK_URL", raising=False)
    for report, why in (("folder.html", "folder"), ("link.html", "is a link")):
        out, err = said(capsys, "anomalies", "--html", report, "--webhook", code=2)
        assert "strange in" in out and why in err and "not set" in err
    said(capsys, "anomalies", "--html", "page.html", code=2)
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
    waiting = said(capsys, "alerts", "--drop-undelivered")[1]
    assert waiting.startswith("1 dropped")
    with sqlite3.connect(path) as store:
        store.execute("CREATE TRIGGER full BEFORE INSERT ON clusterings BEGIN SELECT RAISE(ABORT, 'full'); END")
    out, err = said(capsys, "anomalies", code=2)
    assert "strange in" in out and "not in the store" in err
    assert "not in the store" in said(capsys, "cluster", code=1)[1]


def test_a_terminal_without_the_letters(here: Callable[[str], Path], tmp_path: Path) -> None:
    """ASCII alone: question marks, and the exit code of the anomaly."""
    here("odd")
    command = [sys.executable, "-c", "import sys, llmclf.cli; sys.exit(llmclf.cli.run(['reasons', 'anomalies']))"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 2 and b"strange in" in ended.stdout


def test_errors_say_what_to_do(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No store, nothing clustered, unknown names: one message each, exit 1, nothing made."""
    assert "there is no store" in said(capsys, "anomalies", code=1)[1]
    assert not (tmp_path / "llmclf.db").exists()
    Store(tmp_path / "llmclf.db").close()
    assert "there is no reason to cluster" in said(capsys, "anomalies", code=1)[1]
    here("quiet")
    assert "llmclf reasons cluster" in said(capsys, "show", code=1)[1]
    _, err = said(capsys, "cluster", "--classifier", "refusal_lm", "--task", "refusal", "--since", "2d", code=1)
    assert "'refusal_llm'" in err and TASK in err
    assert "before the window" in said(capsys, "cluster", "--baseline", "2099-01-01", code=1)[1]
    assert "is HTML" in said(capsys, "cluster", "--html", "x.txt", code=1)[1]
    assert "not set" in said(capsys, "anomalies", "--webhook", code=1)[1]
    found = asked(capsys, "cluster")
    known = found["clusters"][0]["id"]
    assert known in said(capsys, "show", known[:-1] + "zz", code=1)[1]
    assert known in said(capsys, "promote", known[:-1] + "zz", "--as", "alert", code=1)[1]
    assert "'alert'" in said(capsys, "promote", known, "--as", "alerts", code=1)[1]


def test_a_page_is_written(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--html writes one file, which holds quotes and no script from elsewhere."""
    here("fault")
    _, err = said(capsys, "cluster", "--html", "reasons.html")
    page = (tmp_path / "reasons.html").read_text(encoding="utf-8")
    assert "transcript" in page and "reasons.html" in err and 'src="http' not in page


def test_simulated_reasons_are_stamped_and_never_mixed(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Alone they are clustered and stamped; among real ones they are left out."""
    made_store(tmp_path / "llmclf.db", simulated=True, seed=3)
    assert "SIMULATED" in said(capsys, "cluster")[0]
    mixed = here("quiet")
    made_store(mixed, simulated=True, seed=3, reasons=300, days=15)
    found = asked(capsys, "cluster")
    assert found["simulated"] is False and found["left_out"] > 0


KILLED = """
import os, signal
from llmclf.cli import run
from llmclf.store.clusterings import Clusterings
Clusterings.finish = lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL)
run(["reasons", "cluster"])
"""


def check_clean(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of a stopped run shows, and the next one leaves nothing of it behind."""
    assert asked(capsys, "list") == []
    asked(capsys, "cluster")
    with sqlite3.connect(path) as store:
        assert store.execute("SELECT state, count(*) FROM clusterings GROUP BY state").fetchall() == [("done", 1)]
        orphans = "SELECT count(*) FROM clustered WHERE clustering_id NOT IN (SELECT clustering_id FROM clusterings)"
        assert store.execute(orphans).fetchone() == (0,)


def test_what_a_killed_run_leaves_is_not_seen(here: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL when all reasons are written and nothing counts yet."""
    path = here("quiet")
    ended = subprocess.run([sys.executable, "-c", KILLED], cwd=path.parent, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    check_clean(path, capsys)


def test_ctrl_c_leaves_nothing_half_written(
    here: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 130, and at once nothing of it is in the store."""
    path = here("quiet")

    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Clusterings, "finish", interrupted)
        assert run(["reasons", "cluster"]) == 130
    assert "interrupted" in capsys.readouterr().err
    with sqlite3.connect(path) as store:
        assert store.execute("SELECT count(*) FROM clusterings").fetchone() == (0,)
        assert store.execute("SELECT count(*) FROM runs WHERE state = 'running'").fetchone() == (0,)
    check_clean(path, capsys)


def test_made_reasons_are_the_same_by_seed() -> None:
    """The same seed gives the same words; the window is the last day, and holds the fault."""
    assert made_reasons(seed=2).texts() == made_reasons(seed=2).texts() != made_reasons(seed=3).texts()
    window, baseline = made_window(fault="missing_transcript")
    assert set(MISSING_TRANSCRIPT) <= set(window.texts()) and not set(MISSING_TRANSCRIPT) & set(baseline.texts())
