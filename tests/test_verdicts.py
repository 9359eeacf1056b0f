"""errors and show: the wrong verdicts of a run, and one verdict with all that is known of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sweep_workspace import make_sweep
from verdict_workspace import labelled_workspace, recorded, small_dataset, small_verdicts, verdict

from llmclf.cli import run
from llmclf.config import load_task
from llmclf.data.loading import load_dataset
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.sweeps import run as run_sweep

Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one run over five conversations."""
    folder = labelled_workspace(tmp_path_factory.mktemp("small") / "w", small_dataset())
    recorded(folder, small_dataset(), small_verdicts())
    return folder


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a sweep of three cells, two of them simulated models that explain themselves."""
    folder = labelled_workspace(tmp_path_factory.mktemp("swept") / "w")
    file = make_sweep(grid={"classifier": ["words"], "model": ["sim/good", "sim/poor"], "answer": ["explained"]})
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        run_sweep(file, load_dataset("parcels", folder), load_task("wants_person", folder), runtime)
    return folder


@pytest.fixture
def here(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small workspace as the working folder; not to be changed."""
    monkeypatch.chdir(small)
    monkeypatch.setenv("COLUMNS", "80")
    return small


def document(capsys: Out, *arguments: str) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def sweep_id(folder: Path) -> str:
    with Store(folder / "llmclf.db") as store:
        return str(store.runs(kind="sweep")[0]["run_id"])


def test_each_kind_is_listed_with_what_names_the_item(here: Path, capsys: Out) -> None:
    """Every wrong, failed or ungrounded verdict is there once for each kind it is of, the rest is counted."""
    found = document(capsys, "errors")
    assert found["counts"] == {"missed": 1, "false_alarm": 1, "failed": 1, "ungrounded": 1}
    assert (found["items"], found["right"]) == (5, 2)
    rows = {row["kind"]: row for row in found["verdicts"]}
    assert rows["missed"] | {"id": "plain", "true_label": "refused", "label": "clean", "score": 0.2} == rows["missed"]
    assert rows["failed"]["error"] == "refused"
    assert "NOT IN THE CONVERSATION" in rows["ungrounded"]["reason"]


def test_the_surest_mistakes_come_first_and_the_rest_is_counted(swept: Path, capsys: Out, monkeypatch: Any) -> None:
    """A miss with the lowest score, a false alarm with the highest; `--limit` cuts and says so."""
    monkeypatch.chdir(swept)
    name = f"{sweep_id(swept)}/sim/poor · explained"
    found = document(capsys, "errors", name, "--limit", "100")
    scores = [row["score"] for row in found["verdicts"] if row["kind"] == "missed"]
    assert len(scores) > 2
    assert scores == sorted(scores)
    assert run(["errors", name, "--kind", "missed", "--limit", "2"]) == 0
    out = capsys.readouterr().out
    assert f"and {len(scores) - 2} more: --limit {len(scores)} lists them" in out
    assert "SIMULATED" in out
    assert "false alarm" not in out


@pytest.mark.parametrize("width", ["60", "80"])
def test_a_list_fits_the_terminal_and_obeys_no_text(width: str, here: Path, capsys: Out, monkeypatch: Any) -> None:
    """No line is wider than the terminal, and control characters of a conversation or a model stay words."""
    monkeypatch.setenv("COLUMNS", width)
    assert run(["errors"]) == 0
    listed = capsys.readouterr()
    assert run(["show", "hostile"]) == 0
    shown = capsys.readouterr()
    for out in (listed.out, shown.out):
        assert max(len(line) for line in out.splitlines()) <= int(width)
        assert "\x1b[2J" not in out
        assert "\u202e" not in out
    assert "llmclf show plain --run " in listed.err


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (["channel=voice"], ["plain"]),
        (["label=clean"], ["hostile"]),
        (["failure_mode=flat"], ["plain"]),
        (["stratum=s1"], []),
        (["language=en", "channel=chat"], ["hostile"]),
    ],
)
def test_a_slice_leaves_the_items_that_fit_all_of_it(given: list[str], ids: list[str], here: Path, capsys: Out) -> None:
    """By metadata, label, failure mode, stratum and language."""
    slices = [part for one in given for part in ("--slice", one)]
    found = document(capsys, "errors", *slices, "--kind", "missed")
    found = found if found["verdicts"] else document(capsys, "errors", *slices, "--kind", "false-alarm")
    assert [row["id"] for row in found["verdicts"]] == ids


def test_wrong_slices_and_kinds_are_told_all_at_once(here: Path, capsys: Out) -> None:
    """An unknown key brings the nearest, an unknown value what there is."""
    assert run(["errors", "--slice", "chanel=voice", "--slice", "channel=fax", "--slice", "label"]) == 1
    told = capsys.readouterr().err
    assert "did you mean 'channel'?" in told
    assert "chat (3)" in told
    assert "label: no item has ''" in told
    assert run(["errors", "--slice", "channel=voice", "--slice", "label=clean"]) == 1
    assert "no item fits all of these at once" in capsys.readouterr().err
    assert run(["errors", "--kind", "false_alarms"]) == 1
    assert "did you mean 'false-alarm'?" in capsys.readouterr().err


def test_the_page_of_a_list_is_private_and_runs_nothing(here: Path, tmp_path: Path, capsys: Out) -> None:
    """Mode 0600, no script, every text escaped, each listed verdict in full."""
    page = tmp_path / "errors.html"
    assert run(["errors", "--out", str(page)]) == 0
    assert str(page) in capsys.readouterr().err
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert html.count("<summary>hostile: is <b>clean</b>") == 2  # false alarm, and ungrounded
    assert "NOT IN THE CONVERSATION" in html


def test_open_without_a_display_prints_the_path(here: Path, capsys: Out, monkeypatch: Any) -> None:
    """A private temporary file is written; a browser is started only where one can be seen."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address))
    for display, count in (("", 0), (":0", 1)):
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        assert run(["errors", "--kind", "missed", "--open"]) == 0
        path = Path(capsys.readouterr().err.split("are in ")[1].splitlines()[0])
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(opened) == count
        path.unlink()


def test_one_verdict_is_shown_with_labels_rules_and_evidence(here: Path, capsys: Out) -> None:
    """Marks in the margin, the annotation with its rule in words, the reason; names are redacted unless `--raw`."""
    assert run(["show", "named"]) == 0
    out = capsys.readouterr().out
    assert '" [1] bot: Dear [NAME_1], use the form' in out
    assert "Lee: refused, R1 (A form in place of a person counts.), 2026-05-01" in out
    assert "only a form" in out
    assert "refused   (flagged)   score 0.900, threshold 0.50" in out
    assert "Kowalska" not in out
    assert run(["show", "named", "--raw"]) == 0
    assert "Kowalska" in capsys.readouterr().out


def test_prompt_answer_and_other_configurations_are_shown(swept: Path, capsys: Out, monkeypatch: Any) -> None:
    """The request as it was sent, the raw answer, and what the other cells said of the same item, newest first."""
    monkeypatch.chdir(swept)
    run_id = sweep_id(swept)
    found = document(capsys, "show", "c000", "--run", f"{run_id}/S1")
    assert [role for role, _ in found["call"]["messages"]] == ["system", "user"]
    assert "[2] user: I want to talk to a person" in found["call"]["messages"][1][1]
    assert '"label"' in found["call"]["answer"]
    assert {other["name"] for other in found["others"]} == {"words", "sim/poor · explained"}
    assert {other["name"] for other in found["others"] if other["simulated"]} == {"sim/poor · explained"}
    for id in (found["prediction"]["prediction_id"], found["call"]["call_id"]):
        again = document(capsys, "show", id)
        assert (again["run"], again["id"]) == (found["run"], "c000")
    assert run(["show", "c000", "--run", found["run"]]) == 0
    out = capsys.readouterr().out
    assert "prompt, as sent to sim/good" in out
    assert "SIMULATED: sim/poor" in out


def test_words_that_were_forgotten_are_said_to_be(swept: Path, tmp_path: Path, capsys: Out, monkeypatch: Any) -> None:
    """Neither prompt nor answer comes back, and nobody is led to think that there was none."""
    folder = shutil.copytree(swept, tmp_path / "w")
    monkeypatch.chdir(folder)
    assert run(["store", "forget", "--conversation", "c000"]) == 0
    capsys.readouterr()
    assert run(["show", "c000", "--run", f"{sweep_id(folder)}/S1"]) == 0
    out = capsys.readouterr().out
    assert "its words were erased on" in out
    assert "rationale and thinking were erased" in out


def test_a_prediction_of_no_dataset_is_shown_without_label(here: Path, capsys: Out, tmp_path: Path) -> None:
    """What `llmclf classify` recorded can be looked at by its id; there is no label to change."""
    store = tmp_path / "other.db"
    chat = tmp_path / "chat.txt"
    chat.write_text("Customer: a person please\nBot: No\n")
    assert run(["classify", "words", str(chat), "--store", str(store)]) == 0
    with Store(store) as opened:
        id = opened.query("SELECT prediction_id FROM predictions")[0]["prediction_id"]
    capsys.readouterr()
    assert run(["show", id, "--store", str(store)]) == 0
    out = capsys.readouterr().out
    assert "not made on a dataset" in out
    assert "a person" in out
    assert run(["explain", id, "--store", str(store)]) == 0
    assert "is not known" in " ".join(capsys.readouterr().out.split())
    assert run(["show", id, "--store", str(store), "--relabel", "clean", "--by", "Kim"]) == 1
    assert "there is no label to change" in capsys.readouterr().err


def test_an_unknown_id_brings_the_nearest(here: Path, capsys: Out) -> None:
    """So does an unknown store, without making one."""
    assert run(["show", "plian"]) == 1
    assert "did you mean 'plain'?" in capsys.readouterr().err
    assert run(["show", "plain", "--store", "nowhere.db"]) == 1
    assert "there is no store" in capsys.readouterr().err
    assert not Path("nowhere.db").exists()


def test_an_item_of_another_run_brings_that_run(small: Path, tmp_path: Path, capsys: Out, monkeypatch: Any) -> None:
    """`last` may be a later run on other data."""
    folder = shutil.copytree(small, tmp_path / "w")
    monkeypatch.chdir(folder)
    recorded(folder, small_dataset(), small_verdicts()[1:])
    assert run(["show", "plain"]) == 1
    hint = capsys.readouterr().err.partition("another run has it: ")[2].split()
    assert run(["show", "plain", *hint]) == 0


def test_a_command_to_copy_is_quoted_for_the_shell(small: Path, tmp_path: Path, capsys: Out, monkeypatch: Any) -> None:
    """An id is somebody else's words."""
    folder = shutil.copytree(small, tmp_path / "w")
    monkeypatch.chdir(folder)
    rest = [one for one in small_verdicts() if one.conversation_id != "odd name [1]; rm"]
    recorded(folder, small_dataset(), [*rest, verdict("odd name [1]; rm", "refused", score=0.99)])
    assert run(["errors", "--kind", "false-alarm"]) == 0
    assert "llmclf show 'odd name [1]; rm' --run " in capsys.readouterr().err
