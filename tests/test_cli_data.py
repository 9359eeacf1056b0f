"""`llmclf data ...`: what is kept from being overwritten, what is told, and what is shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from llmclf.cli import run

TASK = """version = 1
question = "Is the customer told no?"
unit = "conversation"

[labels.no]
role = "target"
definition = "is told no"

[labels.yes]
role = "clean"
definition = "is not"
"""
TURNS = [
    {"speaker": "user", "text": "Hello, my e-mail is ana@example.org"},
    {"speaker": "bot", "text": "No"},
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMCLF_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    lines = (json.dumps({"id": f"c{number}", "turns": TURNS}) for number in range(6))
    Path("chats.jsonl").write_text("\n".join(lines))
    Path("logs.csv").write_text("conversation_id,speaker,text\na,user,x\n")


def _own_task(name: str = "told_no") -> None:
    folder = Path("configs/tasks")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(TASK)


def _fill(path: str, label: str = "no") -> None:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = label
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_an_import_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there, the source, and the rejects are refused as --out, and stay as they were."""
    command = ["data", "import", "logs.csv", "--format", "csv", "--out"]
    assert run([*command, "out.jsonl"]) == 0
    before = Path("out.jsonl").read_bytes()
    assert run([*command, "out.jsonl"]) == 1
    assert "out.jsonl is there already" in capsys.readouterr().err
    assert Path("out.jsonl").read_bytes() == before
    assert run([*command, "logs.csv"]) == 1
    assert "logs.csv is the file that is read" in capsys.readouterr().err
    assert run([*command, "new.jsonl", "--rejects", "./new.jsonl"]) == 1
    assert not Path("new.jsonl").exists()


def test_labels_are_added_and_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty sheet writes nothing; a second import is refused, or added where no item stands in both."""
    _own_task()
    assert run(["data", "sample", "chats.jsonl", "--n", "9"]) == 0
    told = capsys.readouterr()
    assert "9 asked for, 6 in the pool: all are drawn." in told.out
    assert "[design]" in told.err
    command = ["data", "labels", "import", "labels.csv", "--out", "labels.jsonl"]
    assert run(command) == 1
    assert "no row of the sheet has a label" in capsys.readouterr().err
    assert not Path("labels.jsonl").exists()
    _fill("labels.csv")
    assert run(command) == 0
    told = capsys.readouterr()
    assert "replace the [design] part of configs/datasets/NAME.toml by" in told.err
    assert "[design]" in told.out
    assert run(command) == 1
    assert "add to it with --append" in capsys.readouterr().err
    assert run([*command, "--append"]) == 1
    assert "items that are labelled there already: 6" in capsys.readouterr().err
    other = Path("labels.jsonl").read_text().replace('": "c', '": "d')
    Path("labels.jsonl").write_text(other)
    assert run([*command, "--append"]) == 0
    assert "6 labels are in labels.jsonl (12 in all)" in capsys.readouterr().out
    assert Path("labels.jsonl").read_text().startswith(other)


def test_the_only_task_need_not_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a task of one's own, or with two, the command lists those there are and writes nothing."""
    assert run(["data", "sample", "chats.jsonl"]) == 1
    assert "refusal_to_transfer" in capsys.readouterr().err
    _own_task()
    _own_task("other")
    assert run(["data", "sample", "chats.jsonl", "--task", "other", "--by", "keyword"]) == 1
    assert "(--classifier NAME)" in capsys.readouterr().err
    assert run(["data", "sample", "chats.jsonl"]) == 1
    assert "give --task NAME: other, told_no" in capsys.readouterr().err
    assert not Path("labels.csv").exists()


def test_a_split_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that is there already is named before anything is written."""
    Path("labels.jsonl").write_text(
        "".join(f'{{"conversation_id": "c{number}", "labels": {{}}}}\n' for number in range(6))
    )
    Path("mine.toml").write_text('version = 1\nconversations = "chats.jsonl"\nlabels = "labels.jsonl"\n')
    command = ["data", "split", "mine.toml", "--out", "parts", "--part", "a=0.5", "--part", "b=0.5"]
    Path("parts").mkdir()
    Path("parts/b.toml").write_text("mine")
    assert run(command) == 1
    assert "parts/b.toml is there already" in capsys.readouterr().err
    assert [path.name for path in Path("parts").iterdir()] == ["b.toml"]
    Path("parts/b.toml").unlink()
    assert run(command) == 0


def test_every_mistake_of_a_mapping_file_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown keys with the nearest right one, a missing version and a wrong speaker stand in one message."""
    Path("columns.toml").write_text('conversation = "chat"\n[speakers]\nCUST = "customer"\n')
    assert run(["data", "import", "logs.csv", "--format", "csv", "--map", "columns.toml", "--out", "o.jsonl"]) == 1
    told = capsys.readouterr().err
    assert "has 3 mistakes" in told
    assert "version = 1 is missing" in told
    assert "'conversation': unknown key; did you mean 'conversation_id'?" in told
    assert "speakers.CUST" in told


def test_a_table_without_its_format_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV file read as JSON is told in one line that says what to add."""
    assert run(["data", "import", "logs.csv", "--out", "o.jsonl"]) == 1
    assert "looks like CSV: --format csv" in capsys.readouterr().err


def test_an_import_says_what_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Bad lines that are alike are one line, lost conversations are counted, and the rejects are private."""
    rows = "".join(f"b{number // 2},CUST,x\n" for number in range(80))
    Path("logs.csv").write_text(f"conversation_id,speaker,text\na,user,x\n{rows}")
    command = ["data", "import", "logs.csv", "--format", "csv", "--out", "o.jsonl", "--rejects", "r.jsonl"]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "got 'CUST': 80 lines, first line 3" in told.err
    assert "1 conversations are in o.jsonl" in told.out
    assert "40 conversations were lost: 80 bad lines are in r.jsonl" in told.out
    assert Path("r.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_role_can_be_mapped_as_the_error_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The option that the message names does what it says."""
    Path("m.jsonl").write_text('[{"role": "supervisor", "content": "x"}]\n')
    command = ["data", "import", "m.jsonl", "--out", "o.jsonl"]
    assert run(command) == 1
    assert "(--speaker supervisor=bot)" in capsys.readouterr().err
    assert run([*command, "--speaker", "supervisor=bot"]) == 0


def test_a_conversation_is_shown_as_it_would_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """Personal data is out, with --raw or where the workspace does not take it out it is in."""
    command = ["data", "show", "chats.jsonl", "c1"]
    for arguments in (command, [*command, "--json"]):
        assert run(arguments) == 0
        told = capsys.readouterr().out
        assert "ana@example.org" not in told and "[EMAIL_1]" in told
    assert run([*command, "--raw"]) == 0
    assert "ana@example.org" in capsys.readouterr().out
    Path("llmclf.toml").write_text('version = 1\n[privacy]\nredact = "storing"\n')
    assert run(command) == 0
    assert "ana@example.org" in capsys.readouterr().out


def test_parts_that_share_something_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The parts of a split share nothing; a dataset and itself share everything, which is an error."""
    assert run(["data", "split", "samples", "--out", "parts"]) == 0
    assert run(["data", "check", "parts/train.toml", "--apart-from", "parts/test.toml"]) == 0
    capsys.readouterr()
    assert run(["data", "check", "parts/train.toml", "--apart-from", "samples"]) == 1
    assert "error" in capsys.readouterr().out
