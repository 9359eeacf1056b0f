"""`llmclf compare`, and conditions for CI on it and on `llmclf evaluate`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sweep_workspace import make_dataset, make_workspace
from test_sweeps_resume import Vendor
from wire import Wire

from llmclf.cli import run
from llmclf.data.write import write_conversations, write_examples

STRICT = """
version = 1
kind = "keyword"
task = "wants_person"
[[rules]]
label = "refused"
user = ["(?i)nobody says this"]
"""
ASKED = """
version = 1
kind = "llm"
task = "wants_person"
model = "wire/x"
prompt = "person/v1"
answer = "label"
"""
SWEEP = """
version = 1
classifier = "asked"
dataset = "parcels"
budget_usd = 1.0
[grid]
prompt = ["person/v1", "person/v2"]
"""
PARCELS = 'version = 1\nconversations = "parcels/c.jsonl"\nlabels = "parcels/l.jsonl"\n'
PAID = ["--dataset", "parcels", "--classifier", "vendor", "--max-usd", "5", "--yes"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with labelled conversations, keyword rules, and classifiers that ask a simulator or a vendor."""
    make_workspace(tmp_path, wire.url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    monkeypatch.setenv("COLUMNS", "80")
    data = make_dataset()
    (tmp_path / "configs/datasets/parcels").mkdir(parents=True)
    (tmp_path / "configs/sweeps").mkdir()
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    (tmp_path / "configs/datasets/parcels.toml").write_text(PARCELS)
    write_conversations(tmp_path / "configs/datasets/parcels/c.jsonl", data.conversations.values())
    write_examples(tmp_path / "configs/datasets/parcels/l.jsonl", data.examples)
    (tmp_path / "configs/classifiers/strict.toml").write_text(STRICT)
    (tmp_path / "configs/classifiers/vendor.toml").write_text(ASKED)
    (tmp_path / "configs/sweeps/prompts.toml").write_text(SWEEP)
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command says with --json."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def last_run(capsys: pytest.CaptureFixture[str], kind: str = "evaluate") -> str:
    """The id of the newest run of a kind."""
    rows = document(capsys, "runs", "list")["runs"]
    return next(str(row["run_id"]) for row in rows if row["kind"] == kind)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What stderr says where the user must mend something."""
    capsys.readouterr()
    assert run(list(arguments)) == 1
    return " ".join(capsys.readouterr().err.split())


def test_two_classifiers(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence stands first, then both sides and their difference; every item is told in --json."""
    assert run(["compare", "strict", "words", "--dataset", "parcels"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Not decided: ") or text.startswith("B is ")
    assert "A: strict" in text and "B: words" in text and "rules" in text
    made = document(capsys, "compare", "strict", "words", "--dataset", "parcels")
    assert made["recall"]["value"] == 1.0
    assert {one["kind"] for one in made["gains"]} == {"found"} and len(made["gains"]) == 20
    assert {one["kind"] for one in made["losses"]} == {"false alarm"}
    assert made["more_labels"] is None or made["verdict"] == "not decided"


def test_a_run_is_a_side(capsys: pytest.CaptureFixture[str]) -> None:
    """`last` and the beginning of an id name stored answers; the other side is asked about the run's items."""
    assert run(["evaluate", "words", "--dataset", "parcels", "--max-items", "30", "--missed-usd", "100"]) == 0
    run_id = last_run(capsys)
    made = document(capsys, "compare", "strict", run_id[:20])
    assert made["items"] == 30
    assert made["costs"]["missed_usd"] == 100
    assert made["b"]["name"] == f"words (run {run_id[:12]})"
    again = document(capsys, "compare", f"run:{run_id}", "last", "--missed-usd", "7")
    assert again["costs"]["missed_usd"] == 7
    assert any("B ran at other costs" in note for note in again["notes"])


def test_prompts_are_compared_and_not_bought_twice(capsys: pytest.CaptureFixture[str], wire: Wire) -> None:
    """A prompt file, by path or name, takes the place of the classifier's; the diff shows, and answers are kept."""
    vendor = Vendor(wire)
    made = document(capsys, "compare", "vendor", "prompts/person/v2.txt", *PAID)
    assert len(wire.received) == 120 and vendor.billed_usd > 0
    assert "-{{question}}" in made["prompt_diff"] and made["prompt_diff"].startswith("--- A person/v1@")
    assert made["settings"] == {"prompt": ["person/v1", "prompts/person/v2.txt"]}
    again = document(capsys, "compare", "prompt:person/v1", "person/v2", *PAID)
    assert len(wire.received) == 120
    assert again["prompt_diff"].splitlines()[2:] == made["prompt_diff"].splitlines()[2:]
    assert again["dollars"]["value"] == made["dollars"]["value"]


def test_the_plan_sends_nothing(capsys: pytest.CaptureFixture[str], wire: Wire) -> None:
    """--plan tells the calls and dollars of both sides, and which texts would leave."""
    made = document(capsys, "compare", "vendor", "person/v2", *PAID, "--plan")
    assert not wire.received
    assert [cell["label"] for cell in made["cells"]] == ["vendor", "vendor with prompt person/v2"]
    assert made["calls"] == 120 and made["usd"][1] > 0
    assert run(["compare", "vendor", "person/v2", "--dataset", "parcels", "--classifier", "vendor"]) == 2
    assert not wire.received  # without a cap nothing is paid


def test_cells_of_a_sweep(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """RUN/CELL names a cell; a prompt that was edited since is told from its former text."""
    assert run(["sweep", "run", "prompts"]) == 0
    before = last_run(capsys, "sweep")
    made = document(capsys, "compare", f"{before}/S1", f"{before}/S2")
    assert made["settings"] == {"prompt": ["person/v1", "person/v2"]}
    assert made["a"]["simulated"] and "+{{question}} {{labels}}" in made["prompt_diff"]
    prompt = folder / "prompts/person/v2.txt"
    prompt.write_text(prompt.read_text() + "Be brief.\n")
    assert run(["sweep", "run", "prompts"]) == 0
    edited = document(capsys, "compare", f"{before}/S2", "last/S2")
    assert edited["settings"] == {}
    assert "+Be brief." in edited["prompt_diff"]


def test_a_gate_on_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """--require exits 2 where B does not do as asked, and says what it got."""
    sides = ["compare", "strict", "words", "--dataset", "parcels"]
    assert run([*sides, "--require", "recall.low>0.5", "--require", "recall <= 1"]) == 0
    capsys.readouterr()
    assert run([*sides, "--require", "false_alarms.high<0.1"]) == 2
    assert "not met: false_alarms.high<0.1: got 0." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["strict", "words"], "--dataset NAME is needed"),
        (["strict", "person/v2", "--dataset", "parcels"], "a prompt needs --classifier"),
        (["strict", "person/v2", "--dataset", "parcels", "--classifier", "words"], "only an llm classifier"),
        (["strict", "nothing", "--dataset", "parcels"], "no classifier, prompt or run of that name"),
        (["strict", "classifier:person/v2", "--dataset", "parcels"], "there is no classifier 'person/v2'"),
        (["strict", "asked", "--dataset", "parcels"], "real and simulated answers can't be compared"),
        (["strict", "words", "--dataset", "parcels", "--require", "dolars<0"], "did you mean 'dollars'"),
    ],
)
def test_mistakes_are_said_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """What can't be compared exits 1 with what to do, and no run is begun."""
    assert said in refused(capsys, "compare", *arguments)
    assert not Path("llmclf.db").is_file() or not document(capsys, "runs", "list")["runs"]


def test_every_mistake_of_two_names_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A prompt without its classifier and without a dataset: both in one message."""
    message = refused(capsys, "compare", "strict", "person/v2")
    assert "--classifier" in message and "--dataset" in message


def test_evaluate_is_a_gate_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`evaluate --require` passes at 0, fails at 2, and a figure that is not estimable fails with its reason."""
    words = ["evaluate", "words", "--dataset", "parcels"]
    assert run([*words, "--require", "recall.low>=0.7"]) == 0
    assert run(["evaluate", "strict", "--dataset", "parcels", "--require", "recall.low>=0.7"]) == 2
    capsys.readouterr()
    assert run([*words, "--require", "precision>=0.1"]) == 2
    assert "precision>=0.1: got nothing (how the examples were drawn is not known)" in capsys.readouterr().err


def test_an_unknown_figure_is_refused_before_paying(capsys: pytest.CaptureFixture[str], wire: Wire) -> None:
    """All conditions that can't be checked are listed at once, and nothing is asked."""
    conditions = ["recal.low>=0.7", "notes>1", "n.low>3", "recall.low=0.7", "recall>=--1"]
    wanted = [part for condition in conditions for part in ("--require", condition)]
    message = refused(capsys, "evaluate", "vendor", "--dataset", "parcels", "--max-usd", "5", *wanted)
    assert all(f"{condition!r}" in message for condition in conditions)
    assert "did you mean 'recall'" in message
    assert not wire.received


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("recall>=70", "recall lies between 0 and 1; say 0.7"),
        ("recall>=70%", "say 0.7"),
        ("f1<1.5", "f1 lies between 0 and 1"),
        ("n>10%", "n is no share"),
    ],
)
def test_a_limit_no_figure_can_reach_is_refused(capsys: pytest.CaptureFixture[str], condition: str, said: str) -> None:
    """Rates go from 0 to 1: a percentage is a mistake that would pass or fail whatever comes out."""
    assert said in refused(capsys, "evaluate", "words", "--dataset", "parcels", "--require", condition)
    assert run(["evaluate", "words", "--dataset", "parcels", "--require", "dollars_per_1000<2000"]) == 0


def test_a_mistyped_name_brings_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Not the id of a run that has nothing to do with it."""
    assert run(["evaluate", "words", "--dataset", "parcels"]) == 0
    assert "did you mean 'strict'?" in refused(capsys, "compare", "strickt", "words", "--dataset", "parcels")


def test_a_run_with_another_prompt_keeps_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """In the list of runs, and where it is compared again."""
    asked = ["--dataset", "parcels", "--classifier", "asked"]
    assert run(["compare", "asked", "person/v2", *asked]) == 0
    capsys.readouterr()
    assert run(["runs", "list"]) == 0
    assert "asked with prompt person/v2" in " ".join(capsys.readouterr().out.split())
    assert document(capsys, "compare", "asked", "last")["b"]["name"].startswith("asked with prompt person/v2 (run ")


def test_a_run_against_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Is said to be the same, and asks for no labels."""
    assert run(["evaluate", "words", "--dataset", "parcels"]) == 0
    sentence = document(capsys, "compare", "last", "last")["sentence"]
    assert sentence.startswith(f"A and B are the same: words (run {last_run(capsys)[:12]}).")
    assert "labels would decide" not in sentence


def test_flagging_nothing_is_a_side_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Its dollars stand in an evaluation, and in a comparison where neither side is shown to cost less."""
    cheap = ["--dataset", "parcels", "--missed-usd", "4"]
    assert run(["evaluate", "words", *cheap]) == 0
    assert re.search(r"flag nothing, per 1,000 +\$20", capsys.readouterr().out)
    sides = ["compare", "strict", "words", "--dataset", "parcels", "--missed-usd"]
    assert "flagging nothing would cost $20.00 per 1,000" in document(capsys, *sides, "4")["sentence"]
    assert "flagging nothing" not in document(capsys, *sides, "40000")["sentence"]
