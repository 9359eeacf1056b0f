"""What a report leaves behind: for which judge, bar, guideline and session it holds, and what undoes it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calibrate_pool import TARGETS, answer, bad, known, label_all, make_pool, recorded, start
from judging_help import BACKED, CONVERSATION, said, write_judges
from wire import Wire, chat

import llmclf
from llmclf.calibration.desk import Desk
from llmclf.calibration.session import LabelledCase, SessionItem
from llmclf.cli import run
from llmclf.data.write import write_conversations
from llmclf.errors import ConfigError
from llmclf.types import Annotation, Case, Judgment, Label, Rubric
from llmclf.workspace.session_match import same_guideline
from llmclf.workspace.session_reports import not_calibrated_because, report

BAR = "[bar]\nsensitivity = 0.3\nspecificity = 0.3\npositive_agreement = 0.3\n\n[verdicts"


@pytest.fixture
def pool(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with 60 conversations, a recorded judge of them with a low bar, and judge files."""
    write_judges(write)
    make_pool(workspace, write)
    monkeypatch.chdir(workspace)
    recorded(workspace)
    edit(workspace, "[verdicts", BAR)
    return workspace


def edit(folder: Path, old: str, new: str) -> None:
    """Changes the judge's file, which must hold what is changed."""
    path = folder / "judges/gpt.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def begin(capsys: pytest.CaptureFixture[str], *, n: int = 50) -> Any:
    capsys.readouterr()
    return answer(capsys, *start("--align-share", "0", name="gpt", items="cases.jsonl", people="ana", n=n))


def wrong(case_id: str) -> str:
    return "good" if case_id in TARGETS else "bad"


def shown(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """(state, why) as `judge show` has them; `judge list` must say the same."""
    one = answer(capsys, "judge", "show", "gpt")
    (row,) = (row for row in answer(capsys, "judge", "list")["judges"] if row["name"] == "gpt")
    assert (row["state"], row["why"]) == (one["state"], one["why"]) and row["calibration"] == one["calibration"]
    assert (one["calibration"] == "calibrated") == (one["state"] == "calibrated")
    return one["state"], one["why"]


def stamped(folder: Path) -> bool:
    with llmclf.Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        return llmclf.judge([Case("c1", shown={"reply": "x"})], llmclf.load_judge("gpt", runtime=runtime))[0].calibrated


def test_a_new_import_does_not_inherit_the_calibration(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other verdicts under the same name: uncalibrated, unstamped, another look, another count of the pool."""
    begun = begin(capsys)
    label_all(pool, begun["id"], bad)
    first = answer(capsys, "calibrate", "report")
    assert (first["state"], first["looks"], shown(capsys)[0], stamped(pool)) == ("calibrated", 1, "calibrated", True)
    assert run(["judge", "import", "gpt", "gpt.jsonl"]) == 0  # the same once more
    capsys.readouterr()
    assert (shown(capsys)[0], answer(capsys, "calibrate", "report")["looks"]) == ("calibrated", 1)
    rows = [{"item": f"c{n}", "verdict": "bad" if n % 2 else "good"} for n in range(60)]
    (pool / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["judge", "import", "gpt", "other.jsonl"]) == 0
    capsys.readouterr()
    assert shown(capsys)[0] == "uncalibrated" and not stamped(pool)
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        now = llmclf.load_judge("gpt", runtime=runtime).fingerprint
        kept = runtime.store.judgments("gpt", fingerprint=now)
        assert len(kept) == 60 and not any(one.calibrated for one in kept)
    second = answer(capsys, "calibrate", "report")
    assert (second["looks"], second["state"] != "calibrated", second["fingerprint"]) == (2, True, now)
    assert second["correction"]["how"].startswith("the judge's verdicts on the whole pool")  # of the second import
    assert run(["judge", "import", "gpt", "gpt.jsonl"]) == 0  # the judge that was reported on first
    capsys.readouterr()
    assert shown(capsys)[0] == "calibrated"


def test_labels_by_another_guideline_calibrate_nothing(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rewritten judge is uncalibrated at once, and its report can't tell; the same guideline again can."""
    begun = begin(capsys)
    label_all(pool, begun["id"], bad)
    assert answer(capsys, "calibrate", "report")["state"] == "calibrated"
    edit(pool, "As it was said elsewhere.", "The opposite.")
    assert shown(capsys) == ("uncalibrated", "the guideline is another now: report again")
    card = answer(capsys, "calibrate", "report")
    assert card["state"] == "cant_tell" and "not the one that people labelled by" in card["why"]
    assert any(flag["kind"] == "guideline" and "calibrate nothing" in flag["sentence"] for flag in card["flags"])
    assert shown(capsys)[0] == "cant_tell" and not stamped(pool)
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        labelled = Desk(runtime.store).labelled(begun["id"], split="test")
        assert llmclf.calibrate("gpt", labelled, runtime=runtime).state == "cant_tell"
    edit(pool, "The opposite.", "As it was said elsewhere.")
    assert answer(capsys, "calibrate", "report")["state"] == "calibrated" == shown(capsys)[0]


def test_a_raised_bar_has_to_be_reached_again(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The status holds for the bar in the judge's file alone: in show, list and the stamp."""
    label_all(pool, begin(capsys)["id"], bad)
    assert answer(capsys, "calibrate", "report")["state"] == "calibrated" and stamped(pool)
    edit(pool, "sensitivity = 0.3", "sensitivity = 0.99")
    assert shown(capsys) == ("uncalibrated", "the bar is another now: report again") and not stamped(pool)
    assert run(["judge", "list"]) == 0
    assert "the bar is another now" in " ".join(capsys.readouterr().out.split())
    assert answer(capsys, "calibrate", "report")["state"] == "not_calibrated" == shown(capsys)[0]


def test_the_later_session_decides(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report on an older session leaves the status with the newer one, whatever either says."""
    older, newer = begin(capsys)["id"], begin(capsys, n=45)["id"]
    label_all(pool, older, bad)
    label_all(pool, newer, wrong)
    assert answer(capsys, "calibrate", "report", older)["state"] == "calibrated" == shown(capsys)[0]
    assert answer(capsys, "calibrate", "report", newer)["state"] == "not_calibrated" == shown(capsys)[0]
    card = answer(capsys, "calibrate", "report", older)
    assert card["state"] == "calibrated" and shown(capsys)[0] == "not_calibrated"
    (flag,) = (flag for flag in card["flags"] if flag["kind"] == "later_session")
    assert f"stays with session {newer}, which was begun later and says: not calibrated" in flag["sentence"]
    assert not [one for one in answer(capsys, "calibrate", "report", newer)["flags"] if one["kind"] == "later_session"]
    label_all(pool, begin(capsys, n=40)["id"], bad)
    assert answer(capsys, "calibrate", "report")["state"] == "calibrated" == shown(capsys)[0]
    assert answer(capsys, "calibrate", "report", newer)["state"] == "not_calibrated"
    assert shown(capsys)[0] == "calibrated" and stamped(pool)


def test_a_look_that_can_not_tell_replaces_no_conclusion(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A newer session of few labels leaves the status; one that can tell replaces it, in whatever order."""
    older, newer = begin(capsys)["id"], begin(capsys, n=12)["id"]
    label_all(pool, newer, bad)
    assert answer(capsys, "calibrate", "report", newer)["state"] == "cant_tell" == shown(capsys)[0]
    label_all(pool, older, bad)
    assert answer(capsys, "calibrate", "report", older)["state"] == "calibrated" == shown(capsys)[0]
    card = answer(capsys, "calibrate", "report", newer)
    assert card["state"] == "cant_tell" and shown(capsys)[0] == "calibrated" and stamped(pool)
    (flag,) = (flag for flag in card["flags"] if flag["kind"] == "status_stays")
    assert f"stays with session {older}, which says: calibrated" in flag["sentence"]
    unlabelled = begin(capsys, n=40)["id"]
    run(["calibrate", "report", unlabelled])
    capsys.readouterr()
    assert shown(capsys)[0] == "calibrated"
    label_all(pool, unlabelled, wrong)
    assert answer(capsys, "calibrate", "report", unlabelled)["state"] == "not_calibrated" == shown(capsys)[0]


def test_the_order_of_verdicts_is_no_other_guideline(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same definitions in another order calibrate, but on an ordinal scale."""
    edit(pool, "As it was said elsewhere.", "One thing.")
    label_all(pool, begin(capsys)["id"], bad)
    path = pool / "judges/gpt.toml"
    head, first, second = path.read_text().partition("[verdicts.")[0], *path.read_text().split("[verdicts.")[1:]
    path.write_text(f"{head}[verdicts.{second}\n[verdicts.{first}")
    card = answer(capsys, "calibrate", "report")
    assert card["state"] == "calibrated" and not [flag for flag in card["flags"] if flag["kind"] == "guideline"]
    binary = Rubric("r", "?", (Label("a", "target", "x"), Label("b", "clean", "y")), "ordinal")
    assert not same_guideline(binary, replace(binary, verdicts=binary.verdicts[::-1]))


def test_a_judge_with_other_names_is_held_against_a_tasks_people(
    pool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error prints the import that renames its verdicts; after it the judge has a card."""
    label_all(pool, answer(capsys, *start(people="ana", n=50))["id"], known)
    assert run(["calibrate", "report", "--judge", "gpt"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    command = shlex.split(told[told.index("llmclf judge import") :].replace("FILE", "gpt.jsonl"))[1:]
    assert command[-4:] == ["--map", "bad=refused", "--map", "good=clean"]
    assert run(command) == 0
    capsys.readouterr()
    card = answer(capsys, "calibrate", "report", "--judge", command[2])
    assert card["counts"]["compared"] > 40 and not [flag for flag in card["flags"] if flag["kind"] == "guideline"]


def test_a_simulated_judge_is_stamped_beside_its_state(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The status keeps it; list and show say it, for people and as JSON; it is no calibration to rely on."""
    text = BACKED.replace('["conversation", "label", "rationale"]', '["conversation"]').replace("wire/m", "sim/large")
    low = "[bar]\nsensitivity = 0.1\nspecificity = 0.1\npositive_agreement = 0.1\npositives = 1\n\n[verdicts.un"
    (pool / "judges/made_up.toml").write_text(text.replace("[verdicts.un", low))
    capsys.readouterr()
    found = answer(capsys, "judge", "run", "made_up", "--items", "pool.jsonl")
    verdicts = {one["case"]: one["verdict"] for one in found["judgments"]}
    begun = answer(capsys, *start("--align-share", "0", name="made_up", items="pool.jsonl", people="ana", n=50))
    label_all(pool, begun["id"], lambda id: verdicts[id] or "backed")
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        made = report(begun["id"], runtime=runtime)
    assert (made.state, made.simulated) == ("calibrated", True) and "simulated vendor" in not_calibrated_because(made)
    assert not_calibrated_because(replace(made, simulated=False)) == ""
    card = made.to_dict()
    shown = answer(capsys, "judge", "show", "made_up")
    assert shown["simulated"] and shown["status"]["simulated"] and shown["state"] == card["state"]
    assert {row["name"]: row["simulated"] for row in answer(capsys, "judge", "list")["judges"]}["gpt"] is False
    for verb in (["show", "made_up"], ["list"]):
        assert run(["judge", *verb]) == 0
        assert "SIMULATED" in capsys.readouterr().out


def test_nothing_is_silently_ignored_beside_a_session(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judgments and conversations of one's own come with labelled cases of one's own; the error says so."""
    begun = begin(capsys)
    label_all(pool, begun["id"], bad)
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        mine = [Judgment(f"c{n}", "gpt", "x", "bad") for n in range(60)]
        for given in ({"judgments": mine}, {"judgments": []}, {"conversations": {}}):
            with pytest.raises(ConfigError, match=f"{next(iter(given))} with session.*labelled cases in place"):
                llmclf.calibrate("gpt", begun["id"], runtime=runtime, **given)
        labelled = Desk(runtime.store).labelled(begun["id"])
        assert llmclf.calibrate("gpt", labelled, runtime=runtime, judgments=mine).fingerprint == "x"
        assert Desk(runtime.store).looks(begun["id"]) == 0


def test_copies_are_seen_with_cases_of_ones_own(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other judges of the store are looked at, as in a report on a session."""
    rows = []
    for line in (pool / "gpt.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows.append(
            row | {"judge": "gpt", "reason": f"It says of case {row['item']} what nobody else would say of it."}
        )
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (pool / "gpt.jsonl").write_text(text)
    (pool / "copy.jsonl").write_text(text.replace('"gpt"', '"copy"'))
    assert run(["judge", "import", "gpt", "gpt.jsonl"]) == 0
    assert run(["judge", "import", "copy", "copy.jsonl", "--positive", "bad"]) == 0
    labelled = [
        LabelledCase(
            SessionItem(Case(f"c{n}", shown={"reply": "x"}), "test", annotators=("ana",)),
            (Annotation("ana", "gpt", bad(f"c{n}")),),
        )
        for n in range(60)
    ]
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        flags = llmclf.calibrate("gpt", labelled, runtime=runtime).flags
    assert [flag for flag in flags if flag.kind == "copied" and "copy" in flag.sentence]


def test_the_command_that_judges_what_is_missing_works_as_printed(
    pool: Path, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a file of cases and from turns of conversations: the words that the session keeps are judged."""
    turns = BACKED.replace('["conversation", "label", "rationale"]', '["conversation"]\ncontext = "so_far"')
    (pool / "judges/turns.toml").write_text(turns)
    shown = [{"label": "x", "rationale": f"r{n}"} for n in range(20)]
    cases = [{"id": f"k{n}", "conversation_id": "c1", "group": f"g{n}", "shown": one} for n, one in enumerate(shown)]
    (pool / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cases))
    write_conversations(pool / "talk.jsonl", [CONVERSATION])
    wire.default = chat(said("backed"))
    capsys.readouterr()
    for name, items, more in (
        ("backed", "some.jsonl", ["--conversations", "talk.jsonl"]),
        ("turns", "pool.jsonl", ["--unit", "turn"]),
    ):
        begun = answer(capsys, *start(*more, name=name, items=items, people="ana", n=10))
        label_all(pool, begun["id"], lambda id: "backed" if "1" in id else "unbacked")
        asked = len(wire.received)
        assert run(["calibrate", "report", begun["id"]]) == 1
        told = capsys.readouterr().err
        command = shlex.split(" ".join(told.split()).partition("llmclf ")[2].partition(" (--plan")[0])
        assert answer(capsys, *command, "--plan")["calls"] == begun["splits"]["test"] and len(wire.received) == asked
        card = answer(capsys, *command)
        assert len(wire.received) - asked == begun["splits"]["test"] == card["counts"]["compared"]
    (pool / "judges/turns.toml").write_text(turns.replace('context = "so_far"', ""))
    assert run(command) == 1
    assert "sees whole conversations now" in " ".join(capsys.readouterr().err.split())


def test_a_recorded_judge_without_verdicts_on_a_session_is_told_to_import(
    pool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can't be asked: only an import helps."""
    begin(capsys, n=40)
    with llmclf.Runtime(pool / "llmclf.db", workspace=pool) as runtime:
        drawn = {item.case.id for item in Desk(runtime.store).session("last").items}
    outside = min({f"c{n}" for n in range(10, 60)} - drawn)
    (pool / "other.jsonl").write_text(json.dumps({"item": outside, "verdict": wrong(outside)}) + "\n")
    assert run(["judge", "import", "gpt", "other.jsonl"]) == 0
    capsys.readouterr()
    assert run(["calibrate", "report"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "has judged no case of the session" in told and "llmclf judge import gpt FILE.jsonl" in told
