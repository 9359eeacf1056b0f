"""`llmclf calibrate`: names that are told apart, pages that need a folder, plans of nothing, and what comes next."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calibrate_pool import answer, known, label_all, make_pool, recorded, start
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


def plan(capsys: Any, *more: str, **how: Any) -> tuple[dict[str, Any], list[str]]:
    """(a plan's document, the commands that are told after its table)."""
    document = answer(capsys, *start(*more, "--plan", **how))
    assert run(start(*more, "--plan", **how)) == 0
    return document, capsys.readouterr().err.splitlines()


def test_a_plan_ends_in_commands_that_say_the_same(pool: Path, capsys: Any) -> None:
    """What is proposed can be run as it is printed: its plan has the chance that was promised, and its hours."""
    easy(pool)
    capsys.readouterr()
    first, told = plan(capsys, "--prevalence", "34%", name="gpt", items="cases.jsonl", people="ana", n=10)
    proposal = first["proposal"]
    assert first["align"] == 0 and first["chance"] < 0.5 and proposal["items"] <= first["pool"]
    assert told == [f"next: {step}" for step in proposal["steps"]]
    again = answer(capsys, *proposal["steps"][-1].split()[1:], "--plan")
    assert (again["chance"], again["assumed"]) == (proposal["chance"], first["assumed"])
    assert again["hours_a_person"] == proposal["work"]["hours_a_person"] and again["proposal"] is None


def easy(folder: Path) -> None:
    """A recorded judge with a bar that its pool can reach."""
    recorded(folder, wrong=())
    path = folder / "judges/gpt.toml"
    bar = "[bar]\nsensitivity = 0.5\nspecificity = 0.7\npositive_agreement = 0.5\n\n[verdicts"
    path.write_text(path.read_text().replace("[verdicts", bar, 1))


def test_verdicts_come_before_a_session_by_verdict(pool: Path, capsys: Any) -> None:
    """A task's classifier is evaluated, or classifies a file; a judge judges; a recorded one is imported."""
    by = ("--design", "by-verdict")
    dataset, told = plan(capsys, *by)
    assert dataset["steps"][0] == "llmclf evaluate CLASSIFIER --dataset pool" and dataset["verdicts_assumed"]
    assert "--items last --design by-verdict --n 30" in dataset["steps"][1] and told[0].startswith("next: llmclf eval")
    file, _ = plan(capsys, *by, items="pool.jsonl")
    assert file["steps"][0] == "llmclf classify CLASSIFIER pool.jsonl"
    assert "--conversations pool.jsonl" in file["steps"][1]
    recorded(pool)
    capsys.readouterr()
    judged, _ = plan(capsys, *by, name="gpt", items="cases.jsonl")
    assert len(judged["steps"]) == 1 and not judged["verdicts_assumed"]
    rows = (pool / "cases.jsonl").read_text()
    (pool / "more.jsonl").write_text(rows + rows.splitlines()[0].replace('"c0"', '"new"') + "\n")
    more, _ = plan(capsys, *by, name="gpt", items="more.jsonl")
    assert more["steps"][0].startswith("llmclf judge import gpt FILE")
    assert any("1 of 61 cases have no verdicts yet" in note for note in more["notes"])


@pytest.mark.parametrize(("given", "share"), [("0.12", 0.12), ("12%", 0.12), ("12 %", 0.12), (".5%", 0.005)])
def test_a_prevalence_may_be_a_percentage(pool: Path, capsys: Any, given: str, share: float) -> None:
    """As people write it."""
    made = answer(capsys, *start("--plan", "--prevalence", given))
    assert made["assumed"]["prevalence"] == pytest.approx(share)


@pytest.mark.parametrize("given", ["12", "0", "100%", "x", "1%2", "nan"])
def test_what_is_no_share_is_refused(pool: Path, capsys: Any, given: str) -> None:
    """With both ways to write one."""
    assert run(start("--plan", "--prevalence", given, "--design", "by-verdict")) == 1
    said = capsys.readouterr().err
    assert "0.12" in said and "12%" in said


@pytest.mark.parametrize(("seconds", "slips", "said"), [(1.0, 20, "too little to read"), (30.0, 5, "Only")])
def test_seconds_that_are_too_few_or_too_short_are_not_believed(
    pool: Path, capsys: Any, seconds: float, slips: int, said: str
) -> None:
    """45 seconds are assumed, and it is said why; enough labels of people count."""

    def label(count: int, each: float, id: str) -> None:
        with Store(pool / "llmclf.db") as store:
            desk, seat = Desk(store), Seat(id, "ana", False)
            for _ in range(count):
                ask = desk.ask(seat)
                assert ask is not None
                desk.save(seat, ask.case_id, label=known(ask.case_id), seconds=each)

    id = answer(capsys, *start())["id"]
    label(slips, seconds, id)
    made = answer(capsys, *start("--plan"))
    assert (made["people"]["seconds_a_label"], made["people"]["seconds_from"]) == (45, "assumed")
    assert any(said in note and "45 s are assumed" in note for note in made["notes"])
    label_all(pool, id, known)
    people = answer(capsys, *start("--plan"))["people"]
    assert people["seconds_a_label"] == 20 and people["seconds_from"].startswith("median of 6")


def test_what_is_not_in_the_pool_is_said(pool: Path, capsys: Any) -> None:
    """A dataset that is labelled in part is a task's pool as a whole; only known labels can be drawn by."""
    path = pool / "configs/datasets/pool/l.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:20]))
    assert answer(capsys, *start("--plan"))["pool"] == 60
    by_label = ("--design", "class-balanced")
    made = answer(capsys, *start(*by_label, "--plan", n=10))
    why = "40 of 60 cases have no known label"
    assert made["pool"] == 20 and any(why in note for note in made["notes"])
    assert run(start(*by_label, n=10)) == 0
    shown = capsys.readouterr()
    assert why in shown.err and "class-balanced" in shown.out
