"""Verdicts are on words: a file with the same ids and other texts is judged anew, and drawn by nothing old."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calibrate_pool import answer, conversations, start
from judging_help import PROMPT, opened
from test_judges_cases import CALM

from llmclf.cli import run
from llmclf.data.write import write_conversations
from llmclf.types import Conversation, Turn
from llmclf.workspace.cases import cases_of

PANEL = 'version = 1\nkind = "panel"\njudges = ["votes", "more"]\n'


@pytest.fixture
def calm(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Path:
    """Sixty conversations that a simulated judge has judged, and a file with the same ids and other words."""
    write("llmclf.toml", "version = 1\n")
    write("prompts/backed.txt", PROMPT)
    write("judges/calm.toml", CALM)
    talks = conversations()
    write_conversations(workspace / "talks.jsonl", talks)
    write_conversations(workspace / "again.jsonl", [replace(one, metadata={"seen": "twice"}) for one in talks])
    other = [replace(one, turns=(*one.turns[:1], Turn("bot", "Other words."))) for one in talks]
    write_conversations(workspace / "other.jsonl", other)
    monkeypatch.chdir(workspace)
    assert run(["judge", "run", "calm", "--items", "talks.jsonl"]) == 0
    capsys.readouterr()
    return workspace


def test_verdicts_on_other_texts_are_none_on_these(calm: Path, capsys: Any) -> None:
    """A draw by verdict finds none for other words; the same words in another file have their verdicts."""
    how = ["--design", "by-verdict"]
    assert run(start(*how, name="calm", items="other.jsonl", people="ana")) == 1
    assert "60 of 60 have none" in capsys.readouterr().err
    begun = answer(capsys, *start(*how, name="calm", items="again.jsonl", people="ana"))
    assert sum(begun["population"].values()) == 60
    answer(capsys, "calibrate", "report", "--judge-missing", "other.jsonl")  # nothing is missing
    plan = answer(capsys, "judge", "run", "calm", "--items", "other.jsonl", "--plan")
    assert plan["cells"][0]["calls"] == 60


def test_a_session_does_not_take_other_texts_for_its_own(calm: Path, capsys: Any) -> None:
    """What is missing is looked for by its words."""
    answer(capsys, *start(name="calm", items="other.jsonl", people="ana"))
    assert run(["calibrate", "report", "--judge-missing", "talks.jsonl"]) == 1
    assert "not among these items" in capsys.readouterr().err
    assert run(["calibrate", "report", "--judge-missing", "other.jsonl", "--max-usd", "1"]) == 0


def test_later_turns_count_where_they_are_seen(calm: Path) -> None:
    """Of a case about a turn, by a rubric that sees no later one, the id stays when the talk goes on."""
    talk = Conversation("c1", (Turn("user", "Hello?"), Turn("bot", "Yes."), Turn("user", "Hm."), Turn("bot", "Bye.")))
    longer = replace(talk, turns=(*talk.turns, Turn("user", "Wait!")))
    for name, one in (("short", talk), ("long", longer)):
        write_conversations(calm / f"{name}.jsonl", [one])
    with opened(calm, "calm") as judge:
        for context, same in (("so_far", True), ("whole", False)):
            rubric = replace(judge.rubric, context=context)  # type: ignore[arg-type]
            ids = [
                [case.id for case in cases_of(f"{name}.jsonl", rubric, judge.runtime, unit="turn")[0]]
                for name in ("short", "long")
            ]
            assert (ids[0] == ids[1]) is same and len(set(ids[0])) == 2
            assert ids[0][0].startswith("c1[1]:")


def test_recorded_judges_keep_the_ids_of_their_file(calm: Path, write: Callable[[str, str], Path], capsys: Any) -> None:
    """Verdicts made elsewhere name conversations alone; so do the cases of a panel of such judges."""
    rows = [{"item": f"c{number}", "verdict": "bad" if number < 30 else "good"} for number in range(60)]
    (calm / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("votes", "more"):
        assert run(["judge", "import", name, "votes.jsonl", "--positive", "bad"]) == 0
    write("judges/both.toml", PANEL)
    capsys.readouterr()
    begun = answer(capsys, *start("--design", "by-verdict", name="votes", items="talks.jsonl", people="ana"))
    assert begun["population"] == {"bad": 30, "good": 30}
    found = answer(capsys, "judge", "run", "both", "--items", "talks.jsonl")
    assert found["figures"]["verdicts"] == {"bad": 30, "good": 30}
