"""`llmclf status` on sessions in which people label, and on judges whose judgments are in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calibrate_pool import answer, known, label_all, make_pool, recorded, start
from judging_help import case, write_judges

from llmclf.calibration.asks import Seat
from llmclf.calibration.desk import Desk
from llmclf.cli import run
from llmclf.judges import load_judge
from llmclf.judges.status import CalibrationStatus, write_status
from llmclf.llm import Runtime
from llmclf.store import Store
from llmclf.types import Judgment


@pytest.fixture
def pool(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with 60 conversations, a third of them targets, a keyword classifier and judge files."""
    write_judges(write)
    make_pool(workspace, write)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("COLUMNS", "80")
    return workspace


def screen(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert run(["status", *more]) == 0
    return capsys.readouterr().out


def judged(pool: Path, *, simulated: bool = False, fingerprint: str = "") -> str:
    """One judgment of the judge `backed` in the store; its fingerprint."""
    with Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        made = fingerprint or load_judge("backed", runtime=runtime).fingerprint
        judgment = Judgment(case().id, "backed", made, verdict="backed", simulated=simulated)
        runtime.store.add_judgments("", [judgment])
    return made


def test_an_open_session_says_who_is_how_far(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First label, then decide, then report; once its report was looked at or it is closed, nothing is next in it."""
    recorded(pool)
    capsys.readouterr()
    id = answer(capsys, *start("--adjudicator", "cara", name="gpt", items="cases.jsonl"))["id"]
    with Store(pool / "llmclf.db") as store:
        desk = Desk(store)
        for name in ("ana", "ben"):
            seat = Seat(id, name, adjudicates=False)
            ask = desk.ask(seat)
            assert ask is not None
            desk.save(seat, ask.case_id, label="good")
    assert f"session {id}: ana 1/33, ben 1/33\n" in screen(capsys)
    assert answer(capsys, "status")["next"][0] == f"llmclf calibrate label {id}"

    with Store(pool / "llmclf.db") as store:
        desk = Desk(store)
        for name, label in (("ana", "good"), ("ben", "bad")):
            seat = Seat(id, name, adjudicates=False)
            while ask := desk.ask(seat):
                desk.save(seat, ask.case_id, label=label, seconds=9)
    (row,) = answer(capsys, "status")["sessions"]
    assert row["to_adjudicate"] >= 28 and row["next"] == "label"
    assert f"{row['to_adjudicate']} cases for cara to decide" in screen(capsys).replace("\n        ", " ")

    label_all(pool, id, lambda case: "bad" if known(case) == "refused" else "good")
    assert "nothing is left to label" in screen(capsys).replace("\n        ", " ")
    step = answer(capsys, "status")["next"][0]
    assert step == f"llmclf calibrate report {id}"
    assert run(step.split()[1:]) == 0
    capsys.readouterr()
    found = answer(capsys, "status")
    assert found["sessions"][0]["next"] == "" and not any(id in step for step in found["next"])
    assert run(["calibrate", "close", id]) == 0
    capsys.readouterr()
    assert answer(capsys, "status")["sessions"] == []


def test_another_store_is_named_in_the_next_step(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command that is suggested finds the session it is about."""
    id = answer(capsys, *start("--store", "my other.db"))["id"]
    found = answer(capsys, "status", "--store", "my other.db")
    assert found["next"][0] == f"llmclf calibrate label {id} --store 'my other.db'"
    assert answer(capsys, "status")["sessions"] == [] and not (pool / "llmclf.db").exists()
    assert answer(capsys, "status", "--store", str(pool / "llmclf.db"))["next"] == answer(capsys, "status")["next"]


def test_judges_show_what_a_calibration_says_of_them(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """UNCALIBRATED with why, SIMULATED where it is, and that a judge was changed since it judged."""
    made = judged(pool, simulated=True)
    assert f"judge   backed@{made[:12]}: 1 case, UNCALIBRATED, SIMULATED\n" in screen(capsys)
    rubric = load_judge("backed", workspace=pool).rubric
    said = CalibrationStatus("cant_tell", made, "s", "2026-01-01T00:00:00Z", "few", guideline=rubric.guideline.version)
    write_status("backed", said, pool)
    assert "1 case, UNCALIBRATED (can't tell yet), SIMULATED\n" in screen(capsys)
    old = judged(pool, fingerprint="0" * 64)
    assert f"backed@{old[:12]}: 1 case, UNCALIBRATED; the judge has changed since\n" in screen(capsys)
    rows: list[dict[str, Any]] = answer(capsys, "status")["judges"]
    assert [(row["file"], row["state"], row["simulated"]) for row in rows] == [
        ("changed", "uncalibrated", False),
        ("current", "cant_tell", True),
    ]


def test_a_recorded_judge_is_known_by_its_import(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was imported last is the judge as it is now."""
    recorded(pool)
    capsys.readouterr()
    (row,) = answer(capsys, "status")["judges"]
    assert (row["judge"], row["cases"], row["file"], row["calibration"]) == ("gpt", 60, "current", "UNCALIBRATED")
    assert f"judge   {row['id']}: 60 cases, UNCALIBRATED\n" in screen(capsys)


@pytest.mark.parametrize(("text", "words"), [("no toml [", "its file is broken"), (None, "its file is gone")])
def test_a_judge_file_that_is_no_more_breaks_nothing(
    text: str | None, words: str, pool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its judgments are still there, and still uncalibrated."""
    judged(pool)
    path = pool / "judges/backed.toml"
    path.write_text(text) if text else path.unlink()
    shown = screen(capsys)
    assert "UNCALIBRATED" in shown and words in shown.replace("\n        ", " ")


@pytest.mark.parametrize("columns", [60, 80])
def test_lines_are_wrapped_and_ids_stay_whole(
    columns: int, pool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With many people the lines fit, and what is to be copied is in one piece."""
    monkeypatch.setenv("COLUMNS", str(columns))
    people = ",".join(f"annotator-{number}" for number in range(8))
    id = answer(capsys, *start(people=people))["id"]
    judged(pool, simulated=True)
    (pool / "judges/backed.toml").unlink()
    lines = screen(capsys).splitlines()
    assert max(len(line) for line in lines if str(pool) not in line) <= columns
    assert sum(id in line for line in lines) == 2 and any("annotator-7 0/" in line for line in lines)


def test_a_store_without_sessions_and_judgments_has_none(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No line of either, empty lists as JSON, and no store is made by looking."""
    assert answer(capsys, "status")["judges"] == [] and not (pool / "llmclf.db").exists()
    assert run(["evaluate", "words", "--dataset", "pool"]) == 0
    capsys.readouterr()
    shown = screen(capsys)
    assert "\nsession " not in shown and "\njudge " not in shown
    found = json.loads(screen(capsys, "--json"))
    assert (found["sessions"], found["judges"]) == ([], [])
