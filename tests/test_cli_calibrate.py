"""`llmclf calibrate`: a session from its plan to the report card, through the command and through Python."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from calibrate_pool import answer, bad, known, label_all, make_pool, recorded, start
from judging_help import CONVERSATION, said, write_judges
from wire import Wire, chat

import llmclf
from llmclf.calibration.desk import Desk
from llmclf.calibration.session import LabelledCase, SessionItem
from llmclf.cli import run
from llmclf.data.write import write_conversations
from llmclf.judges.status import read_status
from llmclf.store import Store
from llmclf.types import Annotation, Case, Judgment


@pytest.fixture
def pool(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with 60 conversations, a third of them targets, a keyword classifier and judge files."""
    write_judges(write)
    make_pool(workspace, write)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("COLUMNS", "80")
    return workspace


def test_the_plan_begins_nothing(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Items, hours, dollars and widths; at the pool's own prevalence, as its labels have it; no session after it."""
    planned = answer(capsys, *start("--adjudicator", "cara", "--plan"))
    assert (planned["items"], planned["pool"], planned["labels"]) == (30, 60, 66)
    assert planned["assumed"]["prevalence"] == pytest.approx(1 / 3)
    assert planned["people"]["seconds_a_label"] == 45
    assert planned["figures"]["specificity"]["low"] > 0.5
    assert run(start("--plan", "--prevalence", "0.005", "--seconds-a-label", "90")) == 0
    shown = capsys.readouterr().out
    assert "A larger pool is needed" in " ".join(shown.split()) and "90 s a label (given)" in shown
    assert answer(capsys, "calibrate", "list") == {"sessions": []}


def test_a_task_gets_its_first_labels(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From start over labels to the people's card, and to a labels file that `evaluate` reads."""
    begun = answer(capsys, *start("--adjudicator", "cara"))
    assert begun["id"].startswith("refusal-20") and begun["splits"] == {"practice": 3, "test": 30}
    assert begun["labels"] == {"ana": 33, "ben": 33}
    label_all(pool, begun["id"], known, wrong="ben")
    card = answer(capsys, "calibrate", "report")
    assert (card["state"], card["counts"]["labelled"], card["judge"]) == ("people", 30, "")
    summary = answer(capsys, "calibrate", "list")["sessions"][0]
    assert summary["done"] == {"ana": 33, "ben": 33} and summary["to_adjudicate"] == 0
    design = answer(capsys, "calibrate", "export", begun["id"], "labels.jsonl", "--examples")["design"]
    text = f'version = 1\nconversations = "pool.jsonl"\nlabels = "labels.jsonl"\n{design}'
    (pool / "mine.toml").write_text(text)
    assert answer(capsys, "evaluate", "words", "--dataset", "mine.toml")["production_recall"]["high"] > 0.5
    assert run(["calibrate", "report", "last", "--html", "card.html"]) == 0
    assert "<html" in (pool / "card.html").read_text()
    assert (pool / "card.html").stat().st_mode & 0o777 == 0o600


def test_a_run_is_held_against_the_people(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Strata are the run's flags; its predictions are scored as a judge's verdicts are."""
    assert run(["evaluate", "words", "--dataset", "pool"]) == 0
    capsys.readouterr()
    begun = answer(capsys, *start("--design", "by-verdict", items="run:last", people="ana"))
    assert begun["population"] == {"refused": 20, "clean": 40}
    assert begun["strata"] == {"refused": 15, "clean": 15} and begun["fingerprint"] == ""
    label_all(pool, begun["id"], known)
    card = answer(capsys, "calibrate", "report", "--run", "last", "--require", "specificity.high>=0.5")
    assert card["judge"] == "words" and card["counts"]["compared"] == 30
    assert card["figures"]["prevalence"]["low"] < 1 / 3 < card["figures"]["prevalence"]["high"]
    assert run(["calibrate", "report", "--run", "last", "--judge", "gpt"]) == 1
    assert not (pool / "calibration").exists()


def test_the_pool_of_a_classify_run_needs_its_conversations(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The store has verdicts and no words."""
    assert run(["classify", "words", "pool.jsonl"]) == 0
    with Store(pool / "llmclf.db") as store:
        run_id = store.runs()[0]["run_id"]
    capsys.readouterr()
    assert run(start("--design", "by-verdict", items=f"run:{run_id}")) == 1
    assert "--conversations" in capsys.readouterr().err
    begun = answer(
        capsys, *start("--design", "by-verdict", "--conversations", "pool.jsonl", items=f"run:{run_id[:13]}")
    )
    assert begun["population"] == {"refused": 20, "clean": 40}


def test_a_judge_is_calibrated(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Strata by its verdicts, align and test, the card, the status by which its judgments are stamped, and looks."""
    recorded(pool)
    capsys.readouterr()
    how = ["--design", "by-verdict", "--align-share", "0.2"]
    begun = answer(capsys, *start(*how, name="gpt", items="cases.jsonl", people="ana", n=54))
    assert begun["population"] == {"bad": 19, "good": 40, "(failed)": 1}
    assert begun["fingerprint"].startswith("recorded-") and begun["kind"] == "judge"
    assert run(["calibrate", "report"]) == 0
    assert "0 labelled cases (test)" in capsys.readouterr().out
    label_all(pool, begun["id"], bad)
    card = answer(capsys, "calibrate", "report")
    assert card["counts"]["labelled"] == begun["splits"]["test"] and card["counts"]["failed"] == 1
    assert card["looks"] == 2
    assert read_status("gpt", begun["fingerprint"], pool).state == card["state"]
    assert answer(capsys, "calibrate", "report", "--split", "align")["looks"] == 2
    assert run(["calibrate", "report", "--require", "calibrated", "--require", "sensitivity.low>=0.99"]) == 2
    assert capsys.readouterr().err.count("not met:") == 2
    assert run(["calibrate", "report", "--require", "recal.low>=0.99"]) == 1
    assert "there is no figure 'recal'" in capsys.readouterr().err


def test_the_bar_decides(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A judge that is right on all of it, by a bar that 54 cases can reach, is calibrated and exit 0."""
    recorded(pool, wrong=())
    path = pool / "judges/gpt.toml"
    bar = "[bar]\nsensitivity = 0.5\nspecificity = 0.7\npositive_agreement = 0.5\n\n[verdicts"
    path.write_text(path.read_text().replace("[verdicts", bar, 1))
    begun = start("--align-share", "0", "--design", "by-verdict", name="gpt", items="cases.jsonl", people="ana", n=55)
    capsys.readouterr()
    made = answer(capsys, *begun)
    id = made["id"]
    label_all(pool, id, bad)
    assert run(["calibrate", "report", "--require", "calibrated"]) == 0, capsys.readouterr().err
    assert read_status("gpt", made["fingerprint"], pool).calibrated
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        assert llmclf.calibrate("gpt", id, runtime=runtime).state == "calibrated"
        assert Desk(runtime.store).looks(id) == 1


def test_another_judge_is_not_corrected_by_the_first_ones_verdicts(
    pool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The counts of the pool that the session keeps are those of the judge that it was begun with."""
    recorded(pool)
    recorded(pool, "other", wrong=("c9", "c12", "c4"))
    lines = (pool / "other.jsonl").read_text().splitlines(keepends=True)
    (pool / "third.jsonl").write_text("".join(lines[:50]).replace('"other"', '"third"'))
    assert run(["judge", "import", "third", "third.jsonl", "--positive", "bad"]) == 0
    capsys.readouterr()
    id = answer(capsys, *start("--align-share", "0", name="gpt", items="cases.jsonl", people="ana"))["id"]
    label_all(pool, id, bad)
    how = {name: answer(capsys, "calibrate", "report", "--judge", name) for name in ("gpt", "other", "third")}
    said = {name: card["correction"]["how"] for name, card in how.items()}
    assert "on the whole pool" in said["gpt"] and "on the whole pool" in said["other"]
    assert "people's labels alone" in said["third"]
    assert how["third"]["counts"]["not_judged"] > 0


def test_a_changed_guideline_is_said(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People labelled by another one than the file has now; changed verdicts can't be compared at all."""
    recorded(pool)
    capsys.readouterr()
    id = answer(capsys, *start(name="gpt", items="cases.jsonl", people="ana"))["id"]
    label_all(pool, id, bad)
    path = pool / "judges/gpt.toml"
    path.write_text(path.read_text().replace("As it was said elsewhere.", "Does not answer."))
    card = answer(capsys, "calibrate", "report")
    assert [flag["kind"] for flag in card["flags"] if flag["kind"] == "guideline"]
    path.write_text(path.read_text().replace('[verdicts."good"]', '[verdicts."fine"]'))
    assert run(["calibrate", "report"]) == 1
    assert "has other verdicts" in capsys.readouterr().err


def test_a_judge_that_has_not_judged_can_not_be_drawn_by(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the command that judges; the plan does without."""
    cases = [{"id": f"k{n}", "conversation_id": "c1", "shown": {"label": "x", "rationale": f"r{n}"}} for n in range(30)]
    (pool / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cases))
    write_conversations(pool / "talk.jsonl", [CONVERSATION])
    begun = start(
        "--design", "by-verdict", "--conversations", "talk.jsonl", name="backed", items="some.jsonl", people="ana", n=20
    )
    assert run(begun) == 1
    said = capsys.readouterr().err
    assert "30 of 30 have none" in said and "llmclf judge run backed --items some.jsonl" in said
    assert run([*begun, "--plan", "--prevalence", "0.3"]) == 0
    assert "The pool has no verdicts yet" in capsys.readouterr().out


def test_what_is_missing_is_judged_on_request_alone(pool: Path, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --judge-missing an error names both ways; with it the vendor is asked, once for each tested case."""
    shown = [{"label": "x", "rationale": f"r{n}"} for n in range(20)]
    cases = [{"id": f"k{n}", "conversation_id": "c1", "group": f"g{n}", "shown": one} for n, one in enumerate(shown)]
    (pool / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cases))
    write_conversations(pool / "talk.jsonl", [CONVERSATION])
    talk = ["--conversations", "talk.jsonl"]
    begun = answer(capsys, *start(*talk, name="backed", items="some.jsonl", people="ana", n=10))
    label_all(pool, begun["id"], lambda id: "unbacked" if int(id[1:]) % 2 else "backed")
    wire.default = chat(said("backed"))
    assert run(["calibrate", "report"]) == 1
    assert "--judge-missing session" in capsys.readouterr().err and not wire.received
    missing = ["calibrate", "report", "--judge-missing", "some.jsonl", *talk, "--max-usd", "1"]
    planned = answer(capsys, *missing, "--plan")
    assert planned["calls"] == begun["splits"]["test"] and not wire.received
    card = answer(capsys, *missing)
    assert len(wire.received) == begun["splits"]["test"] == card["counts"]["compared"]
    assert card["figures"]["specificity"]["value"] in (1.0, None)
    assert answer(capsys, "calibrate", "report")["counts"] == card["counts"]
    assert len(wire.received) == begun["splits"]["test"]


def test_labels_go_out_and_come_back(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON Lines for git, a sheet for one person; what is wrong in a file is listed and nothing is taken."""
    id = answer(capsys, *start())["id"]
    label_all(pool, id, known)
    assert run(["calibrate", "export", id, "labels.jsonl"]) == 0
    lines = (pool / "labels.jsonl").read_text().splitlines()
    assert len(lines) == 66
    assert run(["calibrate", "export", id, "ben.csv", "--as", "ben"]) == 0
    assert (pool / "ben.csv").read_text().count("c1") >= 1
    assert run(["calibrate", "export", id, "all.csv"]) == 1
    capsys.readouterr()
    (pool / "llmclf.db").rename(pool / "before.db")
    again = answer(capsys, *start())["id"]
    taken = answer(capsys, "calibrate", "import", again, "labels.jsonl")
    assert taken["added"] == 66
    (pool / "labels.jsonl").write_text(lines[0].replace('"label": "', '"label": "un') + "\n")
    assert run(["calibrate", "import", again, "labels.jsonl"]) == 1
    closed = answer(capsys, "calibrate", "close", again)
    assert closed["closed"] is True
    assert answer(capsys, "calibrate", "list")["sessions"][0]["closed"] is True


def test_names_are_told_apart(pool: Path, write: Callable[[str, str], Path], capsys: Any) -> None:
    """A judge and a task of one name are not guessed, an unknown name gets a hint, ids are counted up."""
    write("configs/tasks/backed.toml", (pool / "configs/tasks/refusal.toml").read_text())
    assert run(start(name="backed")) == 1
    assert "say task:backed or judge:backed" in capsys.readouterr().err
    first, second = (answer(capsys, *start(name="task:backed"))["id"] for _ in range(2))
    assert second == f"{first}-2"
    assert run(start(name="refusl")) == 1
    assert "did you mean 'refusal'" in capsys.readouterr().err
    assert run(["calibrate", "report", "nothing"]) == 1


def test_every_mistake_is_listed_before_anything_begins(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People and numbers in one message; a wrong design, unit or split alone."""
    assert run(start("--adjudicator", "ana", "--per-item", "3", people="ana,ana", n=90)) == 1
    said = capsys.readouterr().err
    for part in ("'ana' stands twice", "3 people an item", "can't decide", "90 labelled cases"):
        assert part in said
    assert run(start("--design", "by-verdit")) == 1 and "did you mean" in capsys.readouterr().err
    assert run(start("--unit", "word")) == 1
    assert run(["calibrate", "report", "--split", "practice"]) == 1
    assert run(["calibrate", "label"]) == 1  # there is no store yet, or no session in it


def test_a_task_about_turns_has_a_case_for_each_turn_of_the_bot(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Known labels are of this task alone; metadata that tells people apart is not kept."""
    begun = answer(capsys, *start(name="refused_turn", items="pool.jsonl", people="ana"))
    with Store(pool / "llmclf.db") as store:
        found = Desk(store).session(begun["id"])
    assert {item.case.turn for item in found.items} == {1}
    assert all(item.case.id == f"{item.case.conversation_id}[1]" for item in found.items)
    assert {name for item in found.items for name in item.case.metadata} == {"channel"}


def test_known_labels_can_be_drawn_by(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half targets; a pool without labels is refused with what is missing."""
    begun = answer(capsys, *start("--design", "class-balanced", people="ana"))
    assert begun["strata"] == {"targets": 15, "others": 15}
    assert run(start("--design", "class-balanced", items="pool.jsonl")) == 1
    assert "60 of 60 have none" in capsys.readouterr().err


def test_cases_of_ones_own_are_held_against_judgments(pool: Path) -> None:
    """`llmclf.calibrate` with labelled cases: nothing is kept, nothing is asked where judgments are given."""
    recorded(pool)
    cases = [Case(f"c{number}", shown={"reply": "x"}) for number in range(60)]
    labelled = [
        LabelledCase(SessionItem(case, "test", annotators=("ana",)), (Annotation("ana", "gpt", bad(case.id)),))
        for case in cases
    ]
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        card = llmclf.calibrate("gpt", labelled, runtime=runtime)
        assert card.counts.compared == 59 and card.failed == 1
        assert card.positive_agreement.value == pytest.approx(2 * 18 / (2 * 18 + 2 + 1))
        judge = llmclf.load_judge("gpt", runtime=runtime)
        given = [Judgment(case.id, "gpt", "recorded", verdict=bad(case.id)) for case in cases]
        assert llmclf.calibrate(judge, labelled, judgments=given).positive_agreement.value == 1
        assert Desk(runtime.store).sessions() == []
    assert not (pool / "calibration").exists()


def test_the_page_opens_with_links_and_ends_well(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One link for each person on stdout, which opens; Ctrl-C says that labels are kept, and the code is 0."""
    id = answer(capsys, *start("--adjudicator", "cara"))["id"]
    command = [sys.executable, "-c", "from llmclf.cli import main; main()", "calibrate", "label", "--port", "0"]
    with subprocess.Popen(
        [*command, "--json", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=pool
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            text = ""
            while "\n}\n" not in text:
                line = process.stdout.readline()
                assert line, process.stderr.read()
                text += line
            made = json.loads(text)
            assert made["session"] == id and list(made["links"]) == ["ana", "ben", "cara"]
            with build_opener(HTTPCookieProcessor()).open(made["links"]["ana"]) as page:
                assert page.status == 200 and b"refused a person" in page.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert "labels are kept (ana 0 of 33, ben 0 of 33; 0 to decide)" in process.stderr.read()
        finally:
            process.kill()


def test_nobody_else_gets_a_link(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--as` names one of the session's people."""
    answer(capsys, *start())
    assert run(["calibrate", "label", "--as", "bne", "--no-browser"]) == 1
    assert "did you mean 'ben'" in capsys.readouterr().err
    only = ["calibrate", "label", "--links-only"]
    assert run(only) == 1
    assert "--url" in capsys.readouterr().err
    links = answer(capsys, *only, "--url", "https://labels.example.org/llmclf/", "--as", "ben")["links"]
    assert list(links) == ["ben"] and links["ben"].startswith("https://labels.example.org/llmclf/enter/")
    assert run([*only, "--url", "https://labels.example.org", "--new-links"]) == 0
    assert "links and cookies hold no longer" in capsys.readouterr().err
    assert run(["calibrate", "close", "last"]) == 0
    assert run(["calibrate", "label", "--no-browser"]) == 1
    assert "closed" in capsys.readouterr().err
