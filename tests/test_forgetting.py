"""A conversation is forgotten in the store and in the anchors of judges, and nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from judging_help import said, write_judges
from wire import Wire, chat

from llmclf.calibration.anchor_sets import Drawn, anchor_set, anchors_path, read_anchors, write_anchors
from llmclf.cli import run
from llmclf.store import Store
from llmclf.types import Case, Conversation, Turn
from llmclf.workspace import forgetting

WORD = "zebrafinch"
"""What the customer who is to be forgotten said."""


@pytest.fixture
def anchored(
    workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, wire: Wire, capsys: Any
) -> Path:
    """A workspace with two judges' anchors of three conversations, one of which holds the word, judged once."""
    write_judges(write)
    write("llmclf.toml", "version = 1\n")
    write("prompts/backed.txt", (workspace / "prompts/backed.txt").read_text())
    write("judges/deep/other.toml", (workspace / "judges/backed.toml").read_text())
    rows, talks = [], []
    for number in range(3):
        text = f"{WORD}, a person!" if number == 1 else "A person!"
        talks.append({"id": f"t{number}", "turns": [{"speaker": "user", "text": text}]})
        for id in (f"k{number}a", f"k{number}b"):
            shown = {"label": "refused", "rationale": f"{id}: says {text}"}
            rows.append({"id": id, "conversation_id": f"t{number}", "shown": shown})
    write("cases.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("talks.jsonl", "".join(json.dumps(row) + "\n" for row in talks))
    monkeypatch.chdir(workspace)
    wire.default = chat(said())
    for judge in ("backed", "deep/other"):
        take = ["--from", "cases.jsonl", "--conversations", "talks.jsonl", "--max-usd", "1", "--yes"]
        assert run(["judge", "anchors", judge, *take]) == 0
    capsys.readouterr()
    return workspace


def forget(*more: str) -> int:
    return run(["store", "forget", "--conversation", "t1", *more])


def test_anchors_are_forgotten_and_never_sent_again(anchored: Path, wire: Wire, capsys: Any) -> None:
    """Every anchor file of the workspace is named; the other anchors are judged again, and compared as before."""
    assert forget("--json") == 0
    found = json.loads(capsys.readouterr().out)
    paths = [anchors_path(anchored, judge) for judge in ("backed", "deep/other")]
    assert found["anchors"] == [{"path": str(path), "removed": 2, "left": 4} for path in paths]
    assert found["cleared"]["judgments"] == 4
    for path in paths:
        assert WORD not in path.read_text() and path.stat().st_mode & 0o077 == 0
        assert [case.id for case in read_anchors(path).cases] == ["k0a", "k0b", "k2a", "k2b"]
    before = len(wire.received)
    assert run(["judge", "anchors", "backed", "--max-usd", "1", "--yes", "--json"]) == 0
    assert len(wire.received) == before + 4
    assert WORD not in json.dumps([request.json for request in wire.received[before:]])
    assert json.loads(capsys.readouterr().out)["move"]["anchors"] == 4
    assert forget() == 0
    assert "hold nothing of 't1'" in capsys.readouterr().err


def test_how_the_others_were_drawn_is_kept(tmp_path: Path) -> None:
    """The anchors that stay stand for the traffic as they did."""
    path = anchors_path(tmp_path, "backed")
    cases = [Case(f"k{number}", f"t{number}") for number in range(3)]
    drawn = {case.id: Drawn("bad", 0.5) for case in cases}
    talks = {f"t{number}": Conversation(f"t{number}", (Turn("user", WORD),)) for number in range(3)}
    write_anchors(anchor_set(path, "backed", "s-1", cases, talks, design="by_verdict", drawn=drawn))
    with Store(tmp_path / "llmclf.db") as store:
        assert forgetting.forget("t1", store, tmp_path).anchors[0].left == 2
        assert forgetting.forget("t1", store, tmp_path).is_nothing
    left = read_anchors(path)
    assert (left.design, left.weights) == ("by_verdict", {"k0": 2.0, "k2": 2.0})
    assert list(left.conversations) == ["t0", "t2"]


def test_a_file_with_nothing_left_is_deleted(anchored: Path, capsys: Any) -> None:
    """Anchors of one conversation alone are gone with it, and people read so."""
    for number in (0, 1, 2):
        assert run(["store", "forget", "--conversation", f"t{number}"]) == 0
    assert not anchors_path(anchored, "backed").exists()
    assert f"{anchors_path(anchored, 'backed')}: 2 taken out, 0 left, so it is deleted" in capsys.readouterr().out


def test_what_can_not_be_cleared_is_named(anchored: Path, capsys: Any) -> None:
    """A file that nobody can read keeps neither the store nor other anchors from being cleared."""
    broken = anchors_path(anchored, "backed")
    broken.write_text(broken.read_text() + "\n")
    assert forget() == 1
    said_of = capsys.readouterr().err
    assert str(broken) in said_of and "the store is cleared" in said_of
    assert WORD in broken.read_text() and WORD not in anchors_path(anchored, "deep/other").read_text()
    assert WORD.encode() not in (anchored / "llmclf.db").read_bytes()
