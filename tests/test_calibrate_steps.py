"""`llmclf calibrate`: names that are told apart, pages that need a folder, plans of nothing, and what comes next."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calibrate_pool import answer, known, label_all, make_pool, start
from judging_help import write_judges

from llmclf.calibration.asks import Seat
from llmclf.calibration.case_names import case_name
from llmclf.calibration.desk import Desk
from llmclf.calibration.opening import alike_names
from llmclf.cli import run
from llmclf.store import Store


@pytest.fixture
def pool(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with 60 conversations, a third of them targets."""
    write_judges(write)
    make_pool(workspace, write)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("COLUMNS", "80")
    return workspace


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_people_of_nearly_one_name_are_refused(pool: Path, plan: tuple[str, ...], capsys: Any) -> None:
    """Two who differ by case alone, the adjudicator too, with every other mistake; nothing is begun."""
    assert run(start("--adjudicator", "BEN", *plan, people="ana,Ana,ben", n=90)) == 1
    said = capsys.readouterr().err
    for part in ("'ana' and 'Ana' are too alike", "'ben' and 'BEN' are too alike", "90 labelled cases"):
        assert part in said
    assert run(start(*plan, people="ana,Ana")) == 1
    assert "'ana' and 'Ana' are too alike for two people" in capsys.readouterr().err
    assert answer(capsys, "calibrate", "list") == {"sessions": []}
    assert alike_names(["ana", "ben", "ana"]) == []
    assert len(alike_names(["José", "Jose\u0301", "ana  maria", "ana maria"])) == 2


def test_a_page_needs_its_folder_before_anything_is_looked_at(pool: Path, capsys: Any) -> None:
    """No folder is made, and no look is counted."""
    id = answer(capsys, *start())["id"]
    label_all(pool, id, known)
    assert run(["calibrate", "report", "--html", "none/such/card.html"]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert not (pool / "none").exists()
    (pool / "made").mkdir()
    assert run(["calibrate", "report", "--html", "made/card.html"]) == 0
    assert (pool / "made/card.html").is_file()


def test_a_plan_of_nothing_is_a_document(pool: Path, capsys: Any) -> None:
    """Without --judge-missing nothing is paid, and a script reads so; an unknown session is still a mistake."""
    answer(capsys, *start())
    planned = answer(capsys, "calibrate", "report", "--plan")
    assert (planned["calls"], planned["items"], planned["cells"]) == (0, 0, [])
    assert run(["calibrate", "report", "--plan"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and "nothing is judged, so nothing is paid" in shown.err
    assert run(["calibrate", "report", "nothing", "--plan", "--json"]) == 1


def test_the_card_of_people_says_what_is_next(pool: Path, capsys: Any) -> None:
    """Who has labels left, what the adjudicator has to decide, and what the labels are for."""
    id = answer(capsys, *start("--adjudicator", "cara"))["id"]

    def next_steps() -> list[str]:
        capsys.readouterr()
        assert run(["calibrate", "report"]) == 0
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith("next: ")]

    (label,) = next_steps()
    assert f"llmclf calibrate label {id}" in label and "ana 33, ben 33" in label
    with Store(pool / "llmclf.db") as store:
        desk = Desk(store)
        for name, slip in (("ana", -1), ("ben", 7)):
            seat = Seat(id, name, False)
            while ask := desk.ask(seat):
                right = known(ask.case_id)
                wrong = ask.number == slip
                desk.save(seat, ask.case_id, label={"refused": "clean", "clean": "refused"}[right] if wrong else right)
    decide, export, evaluate = next_steps()
    assert f"llmclf calibrate label {id} --as cara" in decide and "1 case to decide" in decide
    assert f"llmclf calibrate export {id} labels.jsonl --examples" in export and "llmclf evaluate" in evaluate
    label_all(pool, id, known)
    assert next_steps() == [export, evaluate]
    assert run(["calibrate", "close", id]) == 0
    assert next_steps() == [export, evaluate]


def test_a_first_sheet_names_no_case(pool: Path, capsys: Any) -> None:
    """An id of a file may say what is known: the sheet calls cases as the page does, and takes either name back."""
    id = answer(capsys, *start())["id"]
    assert run(["calibrate", "export", id, "ana.csv", "--as", "ana"]) == 0
    with (pool / "ana.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with Store(pool / "llmclf.db") as store:
        ids = [item.case.id for item in Desk(store).session(id).items]
    names = {case_name(id, one): one for one in ids}
    assert {row["case_id"].lstrip("'") for row in rows} == set(names) and len(rows) == 33
    for row in rows[:20]:
        row["label"] = known(names[row["case_id"].lstrip("'")])
    rows[0]["case_id"] = names[rows[0]["case_id"].lstrip("'")]
    with (pool / "ana.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert answer(capsys, "calibrate", "import", id, "ana.csv")["added"] == 20
    with Store(pool / "llmclf.db") as store:
        said = {case.case.id: case.annotations[0].label for case in Desk(store).labelled(id) if case.annotations}
    assert len(said) == 20 and all(label == known(case) for case, label in said.items())
