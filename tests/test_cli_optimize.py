"""`llmclf optimize`, and what `llmclf check` says of an optimization, against a vendor that reads prompts."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from wire import Received, Reply, Wire, chat

from llmclf.cli import run
from llmclf.data.write import write_conversations, write_examples
from llmclf.types import Conversation, Example, Turn

SAYS = {"refused": "nobody helps", "handed_over": "somebody came", "clean": "parcel arrived"}
FILES = {
    "llmclf.toml": "version = 1\n",
    "configs/tasks/wants_person.toml": """
        version = 1
        question = "Did the customer ask for a person and get none?"
        [labels.refused]
        role = "target"
        definition = "A person was asked for and not given."
        [labels.handed_over]
        role = "adjacent"
        definition = "A person was asked for and came."
        [labels.clean]
        role = "clean"
        definition = "Nobody asked."
        """,
    "configs/classifiers/asked.toml": """
        version = 1
        kind = "llm"
        task = "wants_person"
        model = "wire/x"
        prompt = "person/v1"
        answer = "label"
        """,
    "configs/classifiers/words.toml": """
        version = 1
        kind = "keyword"
        task = "wants_person"
        [[rules]]
        label = "refused"
        user = ["nobody"]
        """,
    "prompts/person/v1.txt": """
        === system ===
        {{question}}
        {{labels}}
        {{answer_format}}
        {{examples}}
        === user ===
        <conversation>
        {{conversation}}
        </conversation>
        """,
    "configs/datasets/parcels.toml": """
        version = 1
        conversations = "parcels/c.jsonl"
        labels = "parcels/l.jsonl"
        """,
    "configs/optimizations/shots.toml": """
        # Does it gain by examples?
        #   llmclf optimize shots
        version = 1
        classifier = "asked"
        dataset = "parcels"
        optimizer = "labeled-few-shot"
        prompt = "person/shots"
        demonstrations = 3
        concurrency = 4
        [parts]
        train = 0.1
        validation = 0.1
        test = 0.8
        [budget]
        task_usd = 5.0
        [settings]
        candidates = 1
        """,
}
ROW = """
version = 1
[models."wire/x"]
route = "http"
api_base = "{url}"
model = "x"
key_env = "WIRE_KEY"
[models."wire/x".price]
input_usd_per_million = 1.0
output_usd_per_million = 10.0
"""


class Vendor:
    """Knows a refusal only where its prompt shows an example, unless it is `skilled`: then always."""

    def __init__(self, wire: Wire, *, skilled: bool = False, delay: float = 0.0) -> None:
        self.skilled, self.delay = skilled, delay
        wire.default = self.answer

    def answer(self, request: Received) -> Reply:
        system, asked = (message["content"] for message in request.json["messages"])
        learned = self.skilled or "</example>" in system
        letter = "A" if SAYS["refused"] in asked and learned else "C"
        return chat(letter, delay=self.delay)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with labelled conversations, one optimization, and a classifier that asks the wire server."""
    for name, text in {**FILES, "configs/models.toml": ROW.replace("{url}", wire.url)}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip(), encoding="utf-8")
    draw = random.Random(1)
    labels = ["refused"] * 50 + ["handed_over"] * 40 + ["clean"] * 110
    conversations, examples = [], []
    for number, label in enumerate(labels):
        words = " ".join("".join(draw.choices("abcdeghiklmnoprstu", k=6)) for _ in range(12))
        turns = (Turn("user", words), Turn("bot", f"{SAYS[label]} {words[::-1]}"))
        conversations.append(Conversation(f"c{number:03}", turns))
        examples.append(Example(f"c{number:03}", labels={"wants_person": label}))
    (tmp_path / "configs/datasets/parcels").mkdir()
    write_conversations(tmp_path / "configs/datasets/parcels/c.jsonl", conversations)
    write_examples(tmp_path / "configs/datasets/parcels/l.jsonl", examples)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    monkeypatch.setenv("COLUMNS", "60")
    return tmp_path


def change(folder: Path, old: str, new: str, name: str = "shots") -> None:
    """Another word in the optimization, written as `name`."""
    text = (folder / "configs/optimizations/shots.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / f"configs/optimizations/{name}.toml").write_text(text.replace(old, new), encoding="utf-8")


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> tuple[str, str]:
    """(stdout, stderr) of the command, which ends with `code`."""
    capsys.readouterr()
    got = run(arguments)
    written = capsys.readouterr()
    assert got == code, written.err
    return written.out, written.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> dict[str, Any]:
    """What the command says with --json."""
    found: dict[str, Any] = json.loads(said(capsys, *arguments, "--json", code=code)[0])
    return found


def test_a_plan_asks_nobody(capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path) -> None:
    """It says dollars and which model gets texts, in 60 columns; nothing is sent and nothing written."""
    out, _ = said(capsys, "optimize", "shots", "--plan", code=0)
    assert "wire/x" in out and "$" in out
    assert max(map(len, out.splitlines())) <= 60
    assert document(capsys, "optimize", "shots", "--plan", code=0)["usd"]
    assert not wire.received and not (folder / "prompts/person/shots.txt").exists()


def test_a_better_prompt_is_written_once(capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path) -> None:
    """Exit 0, the result alone on stdout, the way on stderr; the same again would write over it, and is refused."""
    Vendor(wire)
    out, err = said(capsys, "optimize", "shots", "--yes", code=0)
    assert "etter" in out and max(map(len, out.splitlines())) <= 60
    assert "parent on test: 0 of" in err and "best score" in err and "; task $" in err
    assert "nothing uses it until a file names it" in " ".join(err.split())
    assert " ".join(out.split()).count("B is better") == 1 and "(flag nothing)" in out
    listed, _ = said(capsys, "runs", "list", code=0)
    assert "done: better" in listed
    assert "</example>" in (folder / "prompts/person/shots.txt").read_text(encoding="utf-8")
    assert json.loads((folder / "prompts/person/shots.json").read_text(encoding="utf-8"))["format"] == "llmclf-prompt"
    asked = len(wire.received)

    assert "prompts/person/shots.txt" in said(capsys, "optimize", "shots", "--yes", code=1)[1]
    assert len(wire.received) == asked
    out, _ = said(capsys, "check", code=0)
    assert "was written by an earlier run" in " ".join(out.split())

    change(folder, "person/shots", "person/again", "again")
    found = document(capsys, "optimize", "again", "--yes", code=0)
    assert found["verdict"] == "better" and found["written"].endswith("person/again.txt")
    assert len(wire.received) == asked  # another name for the same prompt: nothing is bought again
    assert found["looks"] == 1

    change(folder, "candidates = 1", "candidates = 2", "more")
    path = folder / "configs/optimizations/more.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("person/shots", "person/more"), encoding="utf-8")
    assert document(capsys, "optimize", "more", "--yes", code=0)["looks"] == 2


def test_no_better_prompt_is_a_no(capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path) -> None:
    """Where the parent is right already the old prompt stays: exit 2, and no file."""
    Vendor(wire, skilled=True)
    found = document(capsys, "optimize", "shots", "--yes", code=2)
    assert found["verdict"] != "better" and found["written"] is None
    assert not (folder / "prompts/person/shots.txt").exists()


def test_a_file_tells_all_its_mistakes_at_once(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Keys that belong to the other kind, parts that add up to too much, tables in settings, money for nobody."""
    mistakes = {
        'classifier = "asked"\ndataset': 'classifier = "asked"\nsession = "march"\ndataset',
        "test = 0.8": "test = 0.9",
        "task_usd = 5.0": "task_usd = 5.0\nreflection_usd = 1.0",
    }
    for old, new in mistakes.items():
        change(folder, old, new)
    told = " ".join(said(capsys, "check", "configs/optimizations/shots.toml", code=1)[0].split())
    assert "`session` is of a judge" in told
    assert "the parts add up to 1.1, not 1" in told
    assert "add [reflection]" in told
    change(folder, "candidates = 1", "candidates = { most = 1 }")
    assert "settings.candidates" in said(capsys, "check", "configs/optimizations/shots.toml", code=1)[0]


@pytest.mark.parametrize("command", ["optimize", "check"])
def test_every_mistake_is_told_before_money(
    command: str, capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path
) -> None:
    """What leads nowhere, a prompt that is there, an optimizer that is unknown: in one message, and nobody is asked."""
    change(folder, '"person/shots"', '"person/v1"')
    change(folder, '"parcels"', '"parcel"')
    change(folder, '"labeled-few-shot"', '"bootstrapp"')
    name = "shots" if command == "optimize" else "configs/optimizations/shots.toml"
    out, err = said(capsys, command, name, code=1)
    told = " ".join((out + err).split())
    assert "prompt 'person/v1' is there already" in told
    assert "there is no dataset 'parcel'" in told
    assert "unknown optimizer 'bootstrapp'" in told and "'bootstrap'" in told
    assert not wire.received


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"asked"', '"words"', "only an llm classifier has a prompt"),
        ("candidates = 1", "candidate = 1", "settings.candidate is not a setting of labeled-few-shot"),
        ("[budget]\ntask_usd = 5.0\n", "", "budget: is missing"),
        ('"labeled-few-shot"', '"gepa"', "[reflection]"),
        ('"labeled-few-shot"', '"KNNFewShot"', "there is no one prompt"),
        (
            'classifier = "asked"\ndataset = "parcels"',
            'judge = "faithfulness"',
            "a judge is optimized from a `session`",
        ),
        (
            'classifier = "asked"\ndataset = "parcels"',
            'judge = "faithfulness"\nsession = "march"',
            "there is no such session",
        ),
    ],
)
def test_a_mistake_is_told_in_words(
    old: str, new: str, told: str, capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path
) -> None:
    """A stranger reads what is wrong and what to do; exit 1, nothing sent."""
    if new.startswith("judge"):
        change(folder, "[parts]\ntrain = 0.1\nvalidation = 0.1\ntest = 0.8\n", "")
    change(folder, old, new)
    assert told in " ".join(said(capsys, "optimize", "shots", "--max-usd", "1", code=1)[1].split())
    assert not wire.received


def test_nobody_there_to_confirm(capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path) -> None:
    """Above `confirm_above_usd` a script has to say --yes."""
    (folder / "llmclf.toml").write_text("version = 1\nconfirm_above_usd = 0.0\n", encoding="utf-8")
    _, err = said(capsys, "optimize", "shots", code=2)
    assert "nobody is there to confirm the cost" in err
    assert not wire.received


def test_ctrl_c_says_how_to_go_on(wire: Wire, folder: Path) -> None:
    """Interrupted in the middle it ends with 130, and buys what is missing when it is run again."""
    vendor = Vendor(wire, skilled=True, delay=0.05)
    command = [sys.executable, "-c", "from llmclf.cli import main; main()", "optimize", "shots", "--yes"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(wire.received) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same command again to go on" in err and "Traceback" not in err and not out
    before = len(wire.received)
    vendor.delay = 0.0
    assert run(["optimize", "shots", "--yes"]) == 2
    bodies = [one.body for one in wire.received]
    again = len(bodies) - len(set(bodies))
    assert again <= 4 and len(bodies) > before  # only what was under way when it was interrupted


def test_retrain_optimizes_the_prompt_and_applies_it(
    capsys: pytest.CaptureFixture[str], wire: Wire, folder: Path
) -> None:
    """The only optimization about the classifier is found; a better prompt is named by the file only with --apply."""
    Vendor(wire)
    path = folder / "configs/classifiers/asked.toml"
    before = path.read_text(encoding="utf-8")
    assert document(capsys, "retrain", "asked", "--plan", code=0)["usd"] and not wire.received
    left = document(capsys, "retrain", "asked", "--yes", code=0)
    assert left["verdict"] == "better" and "Nothing uses it yet" in left["sentence"]
    assert list(left["files"]) == ["prompt"] and path.read_text(encoding="utf-8") == before
    change(folder, "person/shots", "person/again", "again")
    assert "--optimization again" in (err := said(capsys, "retrain", "asked", code=1)[1]) and "shots" in err
    out, _ = said(capsys, "retrain", "asked", "--optimization", "again", "--apply", "--yes", code=0)
    told = " ".join(out.split())
    assert 'says now prompt = "person/again" (it was "person/v1")' in told and "to use it" not in told
    assert max(map(len, out.splitlines())) <= 60
    assert path.read_text(encoding="utf-8") == before.replace("person/v1", "person/again")
    change(folder, "person/shots", "person/more", "more")
    same = document(capsys, "retrain", "asked", "--optimization", "more", "--apply", "--yes", code=2)
    assert same["verdict"] != "better" and "prompt" not in same["files"]
    assert "person/again" in path.read_text(encoding="utf-8")
