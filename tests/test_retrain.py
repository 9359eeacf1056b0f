"""`llmclf retrain`: newest labels in, compared on what nobody has seen, kept only where better, made again by card."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmclf.classifiers.probe_file import read_header
from llmclf.cli import run
from llmclf.config import load_task
from llmclf.config.files import packaged_root
from llmclf.data.loading import load_dataset
from llmclf.types import item_hash
from llmclf.workspace.retraining_parts import deal

PROBE = 'version = 1\nkind = "probe"\ntask = "refusal_to_transfer"\nfeatures = ["tfidf"]\n'
LLM = """# Asks a simulated model.
version = 1
kind = "llm"
task = "refusal_to_transfer"
model = "sim/large"
prompt = "short"    # the short one
"""
OPTIMIZATION = 'version = 1\nclassifier = "simmed"\ndataset = "samples"\noptimizer = "bootstrap"\nprompt = "{}"\n'
BUDGET = "[budget]\ntask_usd = 1\n"
TASK = load_task("refusal_to_transfer")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a probe, an llm classifier, and datasets `mine` (all samples) and `old` (a wrong third)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    datasets = tmp_path / "configs/datasets"
    shutil.copytree(packaged_root() / "configs/datasets/samples", datasets / "samples")
    (tmp_path / "configs/classifiers").mkdir()
    for name, text in (("learned", PROBE), ("simmed", LLM)):
        (tmp_path / f"configs/classifiers/{name}.toml").write_text(text)
    lines = (datasets / "samples/labels.jsonl").read_text().splitlines()
    swap = {"refusal_to_transfer": "clean", "transfer_done": "refusal_to_transfer"}
    wrong = [json.loads(line) for line in lines[: len(lines) // 3]]
    for row in wrong:
        row["labels"] = {task: swap.get(label, label) for task, label in row["labels"].items()}
    (datasets / "samples/old.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in wrong))
    for name, labels in (("mine", "labels"), ("old", "old")):
        toml = f'version = 1\nconversations = "samples/conversations.jsonl"\nlabels = "samples/{labels}.jsonl"\n'
        (datasets / f"{name}.toml").write_text(toml)
    return tmp_path


def said(capsys: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    """(exit code, document) of a retraining."""
    capsys.readouterr()
    code = run(["retrain", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_first_training_is_written_and_made_again_from_its_card(folder: Path, capsys: Any) -> None:
    """Without running weights the candidate is kept; its card gives the same digest, and later says what changed."""
    code, first = said(capsys, "learned", "--dataset", "mine", "--seed", "3", "--false-alarm-usd", "0")
    path = folder / ".llmclf/probes/learned.npz"
    assert (code, first["verdict"], first["comparison"]) == (0, "first", None)
    assert first["evaluation"]["n"] == first["run_card"]["parts"]["test"]["items"]
    header, parts = read_header(path), first["run_card"]["parts"]
    assert header["digest"] == first["run_card"]["weights"]
    assert len(header["origin"]["learned_from"]) == parts["train"]["items"]
    written = path.read_bytes()
    code, again = said(capsys, "learned", "--card", first["run_id"])
    assert (code, again["verdict"], again["run_card"]["weights"]) == (0, "reproduced", header["digest"])
    labels = folder / "configs/datasets/samples/labels.jsonl"
    target = '"refusal_to_transfer": "refusal_to_transfer"'
    labels.write_text(labels.read_text().replace(target, '"refusal_to_transfer": "clean"', 20))
    code, changed = said(capsys, "learned", "--card", first["run_id"])
    assert (code, changed["verdict"]) == (2, "not reproduced")
    assert any(note.startswith("The dataset mine changed") for note in changed["notes"])
    assert path.read_bytes() == written
    assert run(["runs", "show", first["run_id"]]) == 0
    assert "parts" in capsys.readouterr().out
    assert run(["runs", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 1


def test_first_weights_are_held_against_flagging_nothing(folder: Path, capsys: Any) -> None:
    """Shown to cost more they are not written, exit 2; where the interval can't tell, the headline says the doubt."""
    path = folder / ".llmclf/probes/learned.npz"
    code, refused = said(capsys, "learned", "--dataset", "mine", "--false-alarm-usd", "200")
    assert (code, refused["verdict"], refused["files"]) == (2, "not better than flagging nothing", {})
    assert refused["evaluation"]["dollars_per_1000"]["low"] > 200
    assert "$200 per 1,000" in refused["sentence"] and not path.exists()
    assert run(["retrain", "learned", "--card", refused["run_id"]]) == 0
    code, doubted = said(capsys, "learned", "--dataset", "mine", "--false-alarm-usd", "0", "--missed-usd", "60")
    usd = doubted["evaluation"]["dollars_per_1000"]
    assert (code, doubted["verdict"]) == (0, "first") and usd["low"] <= 300 <= usd["high"], usd
    assert "not shown to be better than flagging nothing" in doubted["sentence"] and path.is_file()


def test_better_weights_replace_those_that_run(folder: Path, capsys: Any) -> None:
    """Tested on unseen items alone; the old weights stay beside; the same labels again leave what runs."""
    assert run(["train", "learned", "--dataset", "old"]) == 0
    path = folder / ".llmclf/probes/learned.npz"
    before = path.read_bytes()
    with (folder / "configs/classifiers/learned.toml").open("a") as file:
        file.write(
            '[threshold_from]\nrun = "r"\ngoal = "g"\ndate = "2026-01-01"\npositives = 9\nthreshold = 0.5\n'
            'dataset_hash = "d"\nconfiguration = "c"\nexpected = ""\n'
        )
    code, better = said(capsys, "learned", "--dataset", "mine")
    assert (code, better["verdict"]) == (0, "better")
    assert better["run_card"]["parts"]["seen"] == 0
    assert better["comparison"]["dollars"]["high"] < 0
    previous = folder / ".llmclf/probes/learned.previous.npz"
    assert previous.read_bytes() == before != path.read_bytes()
    assert better["way_back"] == f"mv {previous} {path}"
    assert any(note.startswith("The threshold was chosen by the scores of other weights") for note in better["notes"])
    served = path.read_bytes()
    code, stays = said(capsys, "learned", "--dataset", "mine")
    assert code == 2
    assert stays["verdict"] in ("worse", "not decided")
    assert stays["files"] == {}
    assert not any("on the same test" in note for note in stays["notes"])
    assert any(
        note.startswith("1 retraining before") for note in said(capsys, "learned", "--dataset", "mine")[1]["notes"]
    )
    assert path.read_bytes() == served


def test_weights_that_do_not_say_what_they_saw(folder: Path, capsys: Any) -> None:
    """Of a file of before that was kept it is said that it may be flattered; one that saw all is counted."""
    assert run(["train", "learned", "--dataset", "mine"]) == 0
    _, counted = said(capsys, "learned", "--dataset", "mine", "--plan")
    assert any("learned from 69 of 69 test items" in note for note in counted["notes"]), counted["notes"]
    path = folder / ".llmclf/probes/learned.npz"
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    header = json.loads(parts["header.json"])
    del header["origin"]["learned_from"]
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (parts | {"header.json": json.dumps(header).encode()}).items():
            file.writestr(name, content)
    _, unknown = said(capsys, "learned", "--dataset", "mine", "--plan")
    assert any("don't say what they learned from" in note for note in unknown["notes"])
    assert run(["runs", "list", "--json"]) == 0
    assert not json.loads(capsys.readouterr().out)["runs"]


def test_nothing_stands_on_both_sides() -> None:
    """Whatever the seed: no group, no pair, no item and no near copy in both parts, and fresh items first."""
    samples = load_dataset("samples")
    conversations, examples = dict(samples.conversations), list(samples.examples)
    for example in samples.examples[:40]:
        id = f"copy-{example.conversation_id}"
        conversations[id] = replace(samples.conversation(example), id=id)
        examples.append(replace(example, conversation_id=id, group="", pair=""))
    whole = replace(samples, conversations=conversations, examples=tuple(examples))
    hashes = {one.item: item_hash(whole.conversation(one), one.turn) for one in whole.examples}
    seen = {hashes[one.item] for one in samples.examples[40:130]}
    for seed in range(3):
        dealt = deal(whole, TASK, seed=seed, seen=seen)
        sides = [{hashes[one.item] for one in part.examples} for part in (dealt.train, dealt.test)]
        assert not sides[0] & sides[1]
        groups = [{one.group_or_conversation for one in part.examples} for part in (dealt.train, dealt.test)]
        assert not groups[0] & groups[1]
        assert dealt.seen == 0
        assert not sides[1] & seen
        assert len(dealt.train) + len(dealt.test) + dealt.left_out == len(whole)
    own = deal(whole, TASK, seed=0, seen=seen, test=samples.where(lambda one: one in samples.examples[20:60]))
    assert len(own.test) == 40
    assert own.seen is not None and own.seen >= 20
    assert not {hashes[one.item] for one in own.train.examples} & {hashes[one.item] for one in own.test.examples}


def test_what_does_not_fit_is_said_at_once(folder: Path, capsys: Any) -> None:
    """Keywords have nothing to train; a probe needs labels and has no prompt; a prompt needs one optimization."""

    def refused(*arguments: str) -> str:
        capsys.readouterr()
        assert run(["retrain", *arguments]) == 1
        return re.sub(r"\s+", " ", capsys.readouterr().err)

    assert "there is nothing to train" in refused("refusal_keyword", "--dataset", "mine")
    both = refused("learned", "--optimization", "x", "--apply")
    assert "--dataset NAME" in both and "leave --optimization out" in both and "leave --apply out" in both
    assert "nothing is left to learn from" in refused("learned", "--dataset", "mine", "--test-dataset", "samples")
    assert "no optimization is about it" in refused("simmed")
    _optimizations(folder, "one", "two")
    assert "--optimization one" in (several := refused("simmed")) and "--optimization two" in several
    wrong = refused("simmed", "--optimization", "one", "--dataset", "mine", "--missed-usd", "3", "--card", "0")
    assert "it learns from 'samples', not 'mine'" in wrong and "[costs]" in wrong and "llmclf optimize one" in wrong


def _optimizations(folder: Path, *names: str) -> None:
    (folder / "configs/optimizations").mkdir(exist_ok=True)
    for name in names:
        (folder / f"configs/optimizations/{name}.toml").write_text(OPTIMIZATION.format(name) + BUDGET)
