"""From a verdict back to the data: labels put right, and hard negatives kept."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from verdict_workspace import labelled_workspace, recorded, small_dataset, small_verdicts

from llmclf.cli import run
from llmclf.data.loading import load_dataset
from llmclf.types import Annotation, Item

Out = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one run over five conversations, as the working folder."""
    made = labelled_workspace(tmp_path / "w", small_dataset())
    recorded(made, small_dataset(), small_verdicts())
    monkeypatch.chdir(made)
    return made


def annotations(folder: Path, id: str, dataset: str = "parcels") -> tuple[str, tuple[Annotation, ...]]:
    """(label, annotations) of an item as its file has them now."""
    examples = {example.item: example for example in load_dataset(dataset, folder).examples}
    example = examples[Item(id)]
    return example.labels["wants_person"], example.annotations


def test_a_label_is_put_right_with_who_and_why(folder: Path, capsys: Out) -> None:
    """The former label stays as an annotation that says it is nobody's; the new one names person, rule, guideline."""
    command = ["show", "plain", "--relabel", "handed_over", "--by", "Kim", "--rule", "R2", "--note", "came later"]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "plain is handed_over now, was refused" in told.out
    assert "failure_modes flat still stand" in told.err
    label, said = annotations(folder, "plain")
    assert label == "handed_over"
    former, kim = said
    assert (former.annotator, former.label) == ("former label", "refused")
    assert (kim.annotator, kim.label, kim.rule, kim.note, kim.blind) == (
        "Kim",
        "handed_over",
        "R2",
        "came later",
        False,
    )
    assert kim.at.startswith("20")
    assert len(kim.guideline) == 64
    assert run(["errors", "--kind", "missed"]) == 0
    out = capsys.readouterr().out
    assert "0 missed" in out
    assert "the dataset has changed since the run" in out


def test_a_former_label_that_somebody_gave_is_not_told_twice(folder: Path) -> None:
    """Lee's annotation stands for it already; whoever speaks again has one annotation, which tells the first."""
    assert run(["show", "named", "--relabel", "clean", "--by", "Lee", "--note", "a slip"]) == 0
    label, said = annotations(folder, "named")
    assert label == "clean"
    assert [one.annotator for one in said] == ["Lee"]
    assert said[0].note == "a slip; before: refused R1 2026-05-01 (only a form)"


@pytest.mark.parametrize("form", ["crlf", "compact", "no line feed at the end", "mark", "gzip", "blank lines"])
def test_every_other_byte_of_the_file_stays(form: str, folder: Path) -> None:
    """Whatever wrote the file: line ends, spacing, a byte order mark, gzip, blank lines."""
    path = folder / "data/labels.jsonl"
    lines = path.read_bytes().splitlines()
    if form == "compact":
        lines = [json.dumps(json.loads(line), separators=(",", ":")).encode() for line in lines]
    whole = {"crlf": b"\r\n", "blank lines": b"\n\n"}.get(form, b"\n").join(lines)
    whole = (b"\xef\xbb\xbf" if form == "mark" else b"") + whole + (b"" if form.startswith("no") else b"\n")
    path.write_bytes(gzip.compress(whole) if form == "gzip" else whole)
    assert run(["show", "plain", "--relabel", "clean", "--by", "Kim"]) == 0
    after = gzip.decompress(path.read_bytes()) if form == "gzip" else path.read_bytes()
    assert len(after.split(b"\n")) == len(whole.split(b"\n"))
    changed = [(old, new) for old, new in zip(whole.split(b"\n"), after.split(b"\n"), strict=True) if old != new]
    assert len(changed) == 1
    old, new = changed[0]
    assert new.endswith(b"\r") == (form == "crlf")
    assert (b": " in new) == (form != "compact")
    assert new.startswith(old.split(b"wants_person")[0])
    assert annotations(folder, "plain")[0] == "clean"


def test_what_is_wrong_with_a_request_is_told_at_once(folder: Path, capsys: Out) -> None:
    """A label outside the set, an unknown rule; nothing is written."""
    before = (folder / "data/labels.jsonl").read_bytes()
    assert run(["show", "plain", "--relabel", "refusd", "--rule", "R7", "--by", "Kim"]) == 1
    told = capsys.readouterr().err
    assert "did you mean 'refused'?" in told
    assert "'R7' is no rule of task wants_person" in told
    assert run(["show", "plain", "--relabel", "clean", "--hard-negative", "--rule", "R1"]) == 1
    told = capsys.readouterr().err
    assert "two steps" in told
    assert "--by NAME" in told
    assert run(["show", "plain", "--relabel", "refused", "--by", "Kim"]) == 1
    assert "is labelled refused already" in capsys.readouterr().err
    assert run(["show", "plain", "--by", "Kim"]) == 1
    assert (folder / "data/labels.jsonl").read_bytes() == before


def test_packaged_and_read_only_data_are_never_changed(tmp_path: Path, capsys: Out, monkeypatch: Any) -> None:
    """The error says how to get a copy of one's own."""
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples"]) == 0
    assert run(["show", "bank-001", "--relabel", "clean", "--by", "Kim"]) == 1
    told = capsys.readouterr().err
    assert "packaged with llmclf" in told
    copy = told.partition("workspace: llmclf ")[2].split()
    assert run(copy) == 0
    assert run(["show", "bank-001", "--relabel", "clean", "--by", "Kim"]) == 0
    assert "bank-001 is clean now" in capsys.readouterr().out


def test_a_dataset_named_by_its_path_is_the_one_that_changes(folder: Path) -> None:
    """Not another one of the same name."""
    shutil.copytree(folder / "configs/datasets", folder / "other/datasets")
    shutil.copytree(folder / "data", folder / "data2")
    path = folder / "other/datasets/parcels.toml"
    path.write_text(path.read_text("utf-8").replace("../../data/", "../../data2/"))
    before = (folder / "data/labels.jsonl").read_bytes()
    assert run(["show", "plain", "--dataset", str(path), "--relabel", "clean", "--by", "Kim"]) == 0
    assert (folder / "data/labels.jsonl").read_bytes() == before
    assert b"Kim" in (folder / "data2/labels.jsonl").read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_file_is_said_to_be(folder: Path, capsys: Out) -> None:
    """Before anything is tried."""
    (folder / "data/labels.jsonl").chmod(0o400)
    assert run(["show", "plain", "--relabel", "clean", "--by", "Kim"]) == 1
    assert "is read-only" in capsys.readouterr().err


def test_a_false_alarm_becomes_a_hard_negative(folder: Path, capsys: Out) -> None:
    """Conversation and example go to a dataset that is made; its history stands in the annotation. Once."""
    command = ["show", "hostile", "--hard-negative", "--by", "Kim", "--note", "odd"]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "one of 1" in told.out
    assert "llmclf evaluate asked --dataset hard_negatives" in told.err
    made = load_dataset("hard_negatives", folder)
    assert made.design.kind == "unknown"
    assert "no rate follows" in made.design.note
    label, (kim,) = annotations(folder, "hostile", "hard_negatives")
    assert label == "clean"
    assert kim.note.startswith("hard negative of parcels: asked@1 said refused, score 0.970, threshold 0.50 (run ")
    assert kim.note.endswith("; odd")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "llmclf.db" not in path.name)
    before = {path: path.read_bytes() for path in files}
    assert run(command) == 0
    assert "already: nothing was changed" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in files} == before
    assert run(["show", "done", "--hard-negative", "--by", "Kim", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) | {"added": True, "items": 2} == {
        "item": "done",
        "dataset": "hard_negatives",
        "path": str(folder / "configs/datasets/hard_negatives.toml"),
        "added": True,
        "items": 2,
    }
    assert run(["check"]) == 0
    assert run(["data", "check", "hard_negatives"]) == 0


def test_a_hard_negative_that_was_killed_halfway_is_finished_by_the_next(folder: Path, capsys: Out) -> None:
    """The data files were written and the dataset's own was not: the same command makes it."""
    command = ["show", "hostile", "--hard-negative", "--by", "Kim"]
    assert run(command) == 0
    path = folder / "configs/datasets/hard_negatives.toml"
    whole = path.read_bytes()
    path.unlink()
    assert run(command) == 0
    assert path.read_bytes() == whole
    assert len(load_dataset("hard_negatives", folder)) == 1


def test_a_target_is_no_hard_negative(folder: Path, capsys: Out) -> None:
    """Nor does an odd name, or the dataset itself, take one; no file is made."""
    assert run(["show", "plain", "--hard-negative", "--by", "Kim"]) == 1
    assert "put its label right first" in capsys.readouterr().err
    assert run(["show", "hostile", "--hard-negative", "--by", "Kim", "--to", "../x"]) == 1
    assert "not a name of a dataset" in capsys.readouterr().err
    assert run(["show", "hostile", "--hard-negative", "--by", "Kim", "--to", "parcels"]) == 1
    assert "of the dataset parcels itself" in capsys.readouterr().err
    assert sorted(path.name for path in (folder / "configs/datasets").iterdir()) == ["parcels.toml"]


def test_another_conversation_of_the_same_id_is_not_overwritten(folder: Path, capsys: Out) -> None:
    """Two datasets may use one id for different conversations."""
    assert run(["show", "hostile", "--hard-negative", "--by", "Kim"]) == 0
    path = folder / "data/hard_negatives.conversations.jsonl"
    path.write_text('{"id": "done", "turns": [{"speaker": "user", "text": "Other words"}]}\n' + path.read_text("utf-8"))
    assert run(["show", "done", "--hard-negative", "--by", "Kim"]) == 1
    assert "another conversation of that id" in capsys.readouterr().err
