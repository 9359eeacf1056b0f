"""A recorded judge is its verdicts: what keeps its fingerprint and what makes it another judge; and broken files."""

from __future__ import annotations

import sqlite3
import subprocess

import pytest
from judging_help import commands, document, lines, opened, write_judges

import llmclf
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
    return commands(capsys)


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


def test_a_panel_follows_the_imports_of_its_members(judges, write) -> None:
    """Another verdict of a recorded member makes it another panel, at once; an import of the same does not."""
    rows = [{"item": "c1", "verdict": "yes"}, {"item": "c2", "verdict": "no"}]
    (judges / "votes.jsonl").write_text(lines(rows))
    with opened(judges) as judge:
        for name in ("one", "two"):
            import_recorded(name, "votes.jsonl", runtime=judge.runtime, positive=["yes"])
        write("judges/panel.toml", 'version = 1\nkind = "panel"\njudges = ["one", "two"]\n')
        panel = llmclf.load_judge("panel", runtime=judge.runtime)
        before = panel.fingerprint
        write_status("panel", CalibrationStatus("calibrated", before, guideline=panel.rubric.guideline.version), judges)
        import_recorded("two", "votes.jsonl", runtime=judge.runtime)
        assert panel.fingerprint == before and panel.status.calibrated
        (judges / "votes.jsonl").write_text(lines([{"item": "c1", "verdict": "no"}, rows[1]]))
        import_recorded("two", "votes.jsonl", runtime=judge.runtime)
        assert panel.fingerprint != before and not panel.status.calibrated


def test_numbers_that_are_too_large_are_bad_lines(judges, run) -> None:
    """Of a turn, a repeat or an item: listed, with nothing written; the largest that fits is in the store's file."""
    bad = [
        {"item": "a", "verdict": "yes", "turn": 10**30},
        {"item": "b", "verdict": "yes", "repeat": 2**31 + 1},
        {"item": f"c1[{'9' * 5000}]", "verdict": "yes"},
        {"item": "d", "verdict": "yes", "turn": -1},
    ]
    (judges / "votes.jsonl").write_text(lines([{"item": "e", "verdict": "no"}, *bad]))
    told = " ".join(run("judge", "import", "gpt", "votes.jsonl", "--positive", "yes", code=1).err.split())
    assert "lines that can't be used: 4" in told and "line 4: the turn of `item` must be a whole number from 0" in told
    assert len(told) < 2_000 and not (judges / "judges/gpt.toml").exists()
    fits = [{"item": "c1[2147483648]", "verdict": "yes", "repeat": 2**31}, {"item": "f", "verdict": "no"}]
    (judges / "votes.jsonl").write_text(lines(fits))
    with opened(judges) as judge:
        import_recorded("gpt", "votes.jsonl", runtime=judge.runtime, positive=["yes"])
        with sqlite3.connect(f"file:{judges / 'llmclf.db'}?mode=ro", uri=True) as other:  # committed already
            assert other.execute("SELECT count(*), max(turn), max(repeat) FROM judgments").fetchone() == (
                2,
                2**31,
                2**31,
            )
        other.close()


def test_what_an_import_prints_is_short(judges, run) -> None:
    """Verdicts, judges and items of any length and number: cut, and 20 of a kind."""
    rows = [{"item": f"c{n}", "verdict": "bad" if n % 2 else "good"} for n in range(100)]
    rows += [{"item": f"x{n}" + "i" * 9_000, "verdict": f"w{n}" + "v" * 90_000} for n in range(40)] * 2
    rows += [{"item": f"y{n}", "verdict": "bad", "judge": f"j{n}" + "j" * 9_000} for n in range(40)]
    (judges / "votes.jsonl").write_text(lines(rows))
    written = run("judge", "import", "gpt", "votes.jsonl", "--positive", "bad")
    assert len(written.err) + len(written.out) < 12_000 and "and 20 other" in written.err
    assert (judges / "judges/gpt.toml").read_text().count("[verdicts.") == 2
    assert len(run("judge", "import", "gpt", "votes.jsonl", "--json").out) < 20_000
    (judges / "votes.jsonl").write_text(lines(rows[100:140]))
    assert len(run("judge", "import", "new", "votes.jsonl", "--positive", "bad", code=1).err) < 4_000


def test_the_closed_set_is_given_or_asked_about(judges, run) -> None:
    """A constant judge needs --verdicts, and the error says so; a rare word is failed until it is named there."""
    (judges / "votes.jsonl").write_text(lines([{"item": f"c{n}", "verdict": "good"} for n in range(5)]))
    told = " ".join(run("judge", "import", "flat", "votes.jsonl", "--positive", "bad", code=1).err.split())
    assert "--verdicts bad,good" in told
    run("judge", "import", "flat", "votes.jsonl", "--positive", "bad", "--verdicts", "good, bad,cannot_tell")
    text = (judges / "judges/flat.toml").read_text()
    assert text.index('[verdicts."bad"]') < text.index('[verdicts."good"]') and "cannot_tell" not in text
    run("judge", "import", "flat", "votes.jsonl", "--verdicts", "bad,good")
    told = " ".join(run("judge", "import", "flat", "votes.jsonl", "--verdicts", "bad,worse", code=1).err.split())
    assert "--verdicts bad,worse: the file says bad, good" in told and "flat.toml" in told
    words = ["good"] * 50 + ["bad"] * 2 + ["maybe"] * 2 + ["fair"] * 3
    (judges / "votes.jsonl").write_text(lines({"item": f"c{n}", "verdict": one} for n, one in enumerate(words)))
    made = run("judge", "import", "rare", "votes.jsonl", "--positive", "bad")
    assert "2 lines say 'maybe': name it in --verdicts to keep it as a verdict; taken as failed" in made.err
    text = (judges / "judges/rare.toml").read_text()
    names = [line for line in text.splitlines() if line.startswith("[verdicts.")]
    assert names == ['[verdicts."bad"]', '[verdicts."fair"]', '[verdicts."good"]']
    again = document(run("judge", "import", "rare", "votes.jsonl", "--json"))
    assert again["unknown_verdicts"] == {"maybe": 2} and again["figures"]["failed"] == {"unparsable": 2}
    kept = run("judge", "import", "kept", "votes.jsonl", "--positive", "bad", "--verdicts", "bad,good,fair,maybe")
    assert "maybe" not in kept.err and "maybe" in kept.out


def test_verdicts_are_renamed_on_import(judges, run) -> None:
    """--map gives them the names of the rubric; one that no line has is told, and what is no pair is refused."""
    (judges / "votes.jsonl").write_text(lines(RECORDED))
    asked = ("judge", "import", "gpt", "votes.jsonl", "--positive", "refused")
    maps = ("--map", "yes=refused", "--map", "no=clean", "--map", "perhaps=clean", "--json")
    made = run(*asked, *maps)
    assert document(made)["figures"]["verdicts"] == {"clean": 2, "refused": 1}
    assert document(made)["not_renamed"] == ["perhaps"] and "'perhaps'" in made.err
    assert '[verdicts."refused"]\nrole = "target"' in (judges / "judges/gpt.toml").read_text()
    told = run(*asked, "--map", "yes", "--map", "a=b", "--map", "a=c", code=1).err
    assert "'yes' is not SAID=MEANT" in told and "'a' stands twice" in told


def test_a_recorded_judge_is_not_asked_for_what_it_has_not(judges, run) -> None:
    """run and probe end with 1 before anything is done, and name the import; where all is there it is shown."""
    (judges / "votes.jsonl").write_text(lines(RECORDED))
    run("judge", "import", "gpt", "votes.jsonl", "--positive", "yes")
    (judges / "there.jsonl").write_text(lines([{"id": "c2"}, {"id": "c3"}, {"id": "c1"}]))
    (judges / "more.jsonl").write_text(lines([{"id": "c2"}, {"id": "c9"}]))
    before = len(document(run("runs", "list", "--json"))["runs"])
    for verb, items in (("run", "more.jsonl"), ("probe", "there.jsonl")):
        told = " ".join(run("judge", verb, "gpt", "--items", items, code=1).err.split())
        assert "its verdicts are imported: llmclf judge import gpt FILE" in told
    assert len(document(run("runs", "list", "--json"))["runs"]) == before
    shown = run("judge", "run", "gpt", "--items", "there.jsonl").out
    assert "no verdict was recorded" in shown and ".." not in shown


def test_lines_without_a_verdict_are_told_apart(judges, run) -> None:
    """No such field, a null, a number that is no verdict: each is listed by its line, and kept as failed."""
    rows = [*RECORDED, {"item": "c7", "label": "yes"}, {"item": "c8", "verdict": 7}]
    (judges / "votes.jsonl").write_text(lines(rows))
    made = run("judge", "import", "gpt", "votes.jsonl", "--positive", "yes", "--verdicts", "yes,no")
    assert "1 line without a field `verdict`:\n  line 5: c7" in made.err
    assert "  line 6: c8: 7" in made.err and "2 lines without a verdict" in made.err
    assert "no verdict was recorded" in made.out and "outside the closed set" in made.out


def test_show_names_the_files_and_how_to_copy_them(judges, run) -> None:
    """The commands work as printed: of a shipped judge it and its prompt, of one's own its file."""
    for name, made in (
        ("faithfulness", ["judges/faithfulness.toml", "prompts/judges/faithfulness.txt"]),
        ("backed", ["judges/backed_2.toml"]),
    ):
        found = document(run("judge", "show", name, "--json"))
        assert all((judges / path).is_file() for path in found["files"]) and len(found["files"]) == 2
        subprocess.run(found["copying"], shell=True, check=True, cwd=judges)
        assert all((judges / path).is_file() for path in made)
        assert "a copy of your own: mkdir -p judges" in " ".join(run("judge", "show", name).out.split())
    assert run("judge", "show", "backed_2").out


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
