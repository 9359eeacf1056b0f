"""What the tests of `llmclf calibrate` share: a pool, a recorded judge of it, and people who label all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmclf.calibration.asks import Seat
from llmclf.calibration.desk import Desk
from llmclf.cli import run
from llmclf.data.write import write_conversations, write_examples
from llmclf.store import Store
from llmclf.types import Conversation, Example, Turn

KEYWORD = """
version = 1
kind = "keyword"
task = "refusal"
[[rules]]
label = "refused"
user = ["(?i)person"]
"""
DATASET = 'version = 1\nconversations = "pool/c.jsonl"\nlabels = "pool/l.jsonl"\n'
TARGETS = {f"c{number}" for number in range(0, 60, 3)}
ASKS = TARGETS - {"c0", "c3"} | {"c1", "c2"}
"""Conversations with the word that the keyword finds: two missed, two too many."""


def conversations() -> list[Conversation]:
    return [
        Conversation(
            f"c{number}",
            (
                Turn("user", "A person, please!" if f"c{number}" in ASKS else "Where is it?"),
                Turn("bot", f"Read page {number}."),
            ),
            metadata={"channel": "web" if number % 2 else "app", "order": f"N{number}"},
        )
        for number in range(60)
    ]


def make_pool(folder: Path, write: Callable[[str, str], Path]) -> None:
    """A workspace's 60 conversations, a third of them targets, as a dataset and a file, and a keyword classifier."""
    write("llmclf.toml", "version = 1\n")
    write("configs/classifiers/words.toml", KEYWORD)
    write("configs/datasets/pool.toml", DATASET)
    (folder / "configs/datasets/pool").mkdir()
    write_conversations(folder / "configs/datasets/pool/c.jsonl", conversations())
    labels = [Example(f"c{n}", labels={"refusal": "refused" if f"c{n}" in TARGETS else "clean"}) for n in range(60)]
    write_examples(folder / "configs/datasets/pool/l.jsonl", labels)
    write_conversations(folder / "pool.jsonl", conversations())


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON document of a command that ends with this code."""
    assert run([*arguments, "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def start(*more: str, name: str = "refusal", people: str = "ana,ben", items: str = "pool", n: int = 30) -> list[str]:
    return ["calibrate", "start", name, "--items", items, "--annotators", people, "--n", str(n), *more]


def label_all(folder: Path, session: str, truth: Callable[[str], str], wrong: str = "", slips: int = 7) -> None:
    """Everybody labels everything: `wrong` errs in each so many-th case; the adjudicator is right."""
    with Store(folder / "llmclf.db") as store:
        desk = Desk(store)
        found = desk.session(session)
        names = found.rubric.names
        for name in (*found.annotators, found.adjudicator):
            seat = Seat(found.id, name, name == found.adjudicator)
            count = 0
            while name and (ask := desk.ask(seat)):
                count += 1
                right = truth(ask.case_id)
                slip = name == wrong and not seat.adjudicates and count % slips == 0
                desk.save(seat, ask.case_id, label=names[right == names[0]] if slip else right, seconds=20)


def known(case_id: str) -> str:
    return "refused" if case_id.partition(":")[0] in TARGETS else "clean"


def recorded(folder: Path, name: str = "gpt", wrong: tuple[str, ...] = ("c0", "c3", "c1")) -> None:
    """A judge whose verdicts on the whole pool were made elsewhere; c5 has none."""
    rows = []
    for number in range(60):
        id = f"c{number}"
        verdict = "bad" if (id in TARGETS) != (id in wrong) else "good"
        rows.append({"judge": name, "item": id, "verdict": None if id == "c5" else verdict, "reason": "so"})
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["judge", "import", name, f"{name}.jsonl", "--positive", "bad"]) == 0
    # what people are shown is the answer of the bot, in a file of cases
    path = folder / f"judges/{name}.toml"
    path.write_text(path.read_text().replace('scale = "binary"', 'scale = "binary"\nsees = ["reply"]'))
    cases = [{"id": f"c{n}", "conversation_id": f"c{n}", "shown": {"reply": f"Read page {n}."}} for n in range(60)]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cases))


def bad(case_id: str) -> str:
    return "bad" if case_id in TARGETS else "good"
