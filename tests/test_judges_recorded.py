"""A recorded judge is its verdicts: what keeps its fingerprint and what makes it another judge; and broken files."""

from __future__ import annotations

import json

import pytest
from judging_help import opened, write_judges

import llmclf
from llmclf.cli import run as run_command
from llmclf.judges.status import CalibrationStatus, write_status
from llmclf.types import Judgment
from llmclf.workspace.judging import import_recorded


@pytest.fixture
def judges(workspace, write, monkeypatch):
    """The workspace with judge files; the working folder."""
    write_judges(write)
    write("llmclf.toml", "version = 1\n")
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("COLUMNS", "80")
    return workspace


@pytest.fixture
def run(judges, capsys):
    """Runs the command, and gives what it wrote."""

    def command(*arguments: str, code: int = 0):
        capsys.readouterr()
        ended = run_command(list(arguments))
        written = capsys.readouterr()
        assert ended == code, written
        return written

    return command


def document(written) -> dict:
    found: dict = json.loads(written.out)
    return found


def lines(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


RECORDED = [
    {"judge": "gpt", "item": "c1", "verdict": None},
    {"judge": "gpt", "item": "c2", "verdict": "no"},
    {"judge": "gpt", "item": "c2", "verdict": "no", "probe": "swapped"},
    {"judge": "gpt", "item": "c3", "verdict": "yes"},
]


def test_a_recorded_judge_is_its_verdicts(judges) -> None:
    """An import that adds cases keeps the fingerprint, one that changes a verdict has another; and the way back."""
    rows = [{"item": f"c{n}", "verdict": "yes" if n % 2 else "no"} for n in range(6)]
    asked = [llmclf.Case(f"c{n}") for n in range(8)]

    def taken(*rows: dict) -> tuple[str, int, list[str | None]]:
        (judges / "votes.jsonl").write_text(lines(rows))
        imported = import_recorded("gpt", "votes.jsonl", runtime=runtime, positive=["yes"])
        made = llmclf.judge(asked, gpt)  # a run that finds nothing of some is no verdict on them
        assert {one.fingerprint for one in made} == {gpt.fingerprint}
        return gpt.fingerprint, imported.changed, [one.verdict for one in made]

    with opened(judges) as judge:
        runtime = judge.runtime
        (judges / "votes.jsonl").write_text(lines(rows))
        import_recorded("gpt", "votes.jsonl", runtime=runtime, positive=["yes"])
        gpt = llmclf.load_judge("gpt", runtime=runtime)
        first, changed, said = taken(*reversed(rows))
        assert (changed, said) == (0, ["no", "yes", "no", "yes", "no", "yes", None, None])
        more = {"item": "c6", "verdict": "yes", "reason": "another file"}
        assert taken(more) == (first, 0, [*said[:6], "yes", None])
        assert taken({**rows[0], "reason": "in other words"}, {**rows[0], "repeat": 1})[0] == first
        second, changed, said = taken({**rows[0], "verdict": "yes"}, rows[1], more)
        assert second != first and changed == 1
        assert said == ["yes", "yes", None, None, None, None, "yes", None]
        third, changed, _ = taken({**rows[0], "verdict": None}, rows[1])
        assert third not in (first, second) and changed == 1
        assert taken(*rows)[0] == first  # the judge that it was
        assert taken({"item": "c7", "verdict": "maybe"})[0] == first
        assert taken({"item": "c7", "verdict": "no"})[0] != first
    with llmclf.Runtime(workspace=judges) as elsewhere:
        assert llmclf.load_judge("gpt", runtime=elsewhere).fingerprint == "recorded"


def test_an_import_that_was_killed_is_none(judges) -> None:
    """What an unfinished import left does not decide what the judge is."""
    (judges / "votes.jsonl").write_text(lines([{"item": "c1", "verdict": "yes"}, {"item": "c2", "verdict": "no"}]))
    with opened(judges) as judge:
        store = judge.runtime.store
        import_recorded("gpt", "votes.jsonl", runtime=judge.runtime, positive=["yes"])
        gpt = llmclf.load_judge("gpt", runtime=judge.runtime)
        before = gpt.fingerprint
        half = {"judge": "gpt", "fingerprint": "recorded-half", "imported_from": "x"}
        run_id = store.start_run("judge", inputs_hash="x", config=half)
        store.add_judgments(run_id, [Judgment("c1", "gpt", "recorded-half", verdict="no")])
        assert gpt.fingerprint == before
        assert gpt.judge([llmclf.Case("c1")])[0].verdict == "yes"


def test_import_says_that_it_is_another_judge_now(judges, run) -> None:
    """Changed verdicts are told, of what was said before too; `show` and `list` have the new fingerprint."""
    (judges / "votes.jsonl").write_text(lines(RECORDED))
    before = document(run("judge", "import", "gpt", "votes.jsonl", "--positive", "yes", "--json"))
    write_status("gpt", CalibrationStatus("calibrated", before["fingerprint"]), judges)
    changed = [row | ({"verdict": "yes"} if row["item"] == "c2" else {}) for row in RECORDED]
    (judges / "votes.jsonl").write_text(lines(changed))
    told = " ".join(run("judge", "import", "gpt", "votes.jsonl").out.split())
    assert "Its verdicts changed (2 of them): it is another judge now, which knows the 3 cases" in told
    rows = {row["name"]: row for row in document(run("judge", "list", "--json"))["judges"]}
    assert rows["gpt"]["fingerprint"] not in ("recorded", before["fingerprint"])
    assert (rows["gpt"]["state"], rows["gpt"]["why"][:14]) == ("uncalibrated", "it has changed")
    assert "another judge" in " ".join(run("judge", "list").out.split())
    assert "it has changed since" in run("judge", "show", "gpt").out
    run("judge", "show", "gpt", "--store", "nowhere.db", code=1)
    assert not (judges / "nowhere.db").exists()


def test_a_broken_judge_file_does_not_hide_the_others(judges, run) -> None:
    """The others are listed, the mistakes of the broken one are told, and the exit code is 1."""
    (judges / "judges" / "wrong.toml").write_text('kind = "lm"\n')
    shown = run("judge", "list", code=1)
    assert "backed" in shown.out and "judge wrong: " in shown.err and "must be one of llm, panel" in shown.err
    found = document(run("judge", "list", "--json", code=1))
    assert list(found["broken"]) == ["wrong"] and "choice" in {row["name"] for row in found["judges"]}
