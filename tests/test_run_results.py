"""A run named again: its predictions beside the labels as they are now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmclf.config import files
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError, DataError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import run as run_sweep
from llmclf.types import Costs
from llmclf.workspace.run_results import run_result
from llmclf.workspace.verbs import classify, evaluate_classifier, sweep_inputs

SWEEP = """\
version = 1
dataset = "samples"
max_items = 60
[grid]
classifier = ["refusal_keyword", "refusal_probe_words"]
[costs]
missed_usd = 70.0
"""


@pytest.fixture
def runtime(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A store in a folder of its own."""
    (tmp_path / "configs/sweeps").mkdir(parents=True)
    (tmp_path / "configs/sweeps/two.toml").write_text(SWEEP)
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    with Runtime(store=tmp_path / "llmclf.db", workspace=tmp_path, max_usd=1) as opened:
        yield opened


def test_an_evaluation_comes_back_with_its_costs(runtime: Runtime) -> None:
    """`last` and the beginning of an id are the same run; items are those that were drawn."""
    costs = Costs(missed_usd=99.0)
    evaluation, run_id = evaluate_classifier(
        "refusal_keyword", load_dataset("samples"), runtime=runtime, costs=costs, max_items=50
    )
    found = run_result("last", runtime)
    assert found.name == run_id == run_result(run_id[:30], runtime).run_id
    assert (found.classifier, found.label, found.kind) == ("refusal_keyword", "refusal_keyword", "evaluate")
    assert found.costs == costs
    assert len(found.predictions) == len(found.dataset) == evaluation.n == 50
    assert [p.item for p in found.predictions] == [example.item for example in found.dataset.examples]
    assert not found.labels_changed and not found.simulated


def test_a_cell_is_named_by_number_label_or_id(runtime: Runtime) -> None:
    """All three bring the same cell, with the sweep's costs; without one the choices are listed."""
    file, dataset, task = sweep_inputs("two", runtime)
    surface = run_sweep(file, dataset, task, runtime)
    second = surface.cells[1]
    found = [run_result(f"{surface.run_id}/{name}", runtime) for name in ("2", second.label, second.cell.cell_id[:6])]
    assert {one.cell_id for one in found} == {second.cell.cell_id}
    assert found[0].classifier == "refusal_probe_words"
    assert found[0].costs.missed_usd == 70.0
    assert found[0].name == f"{surface.run_id}/{second.cell.cell_id}"
    with pytest.raises(ConfigError, match="say which") as caught:
        run_result(surface.run_id, runtime)
    assert list(caught.value.problems) == ["1  refusal_keyword", "2  refusal_probe_words"]
    with pytest.raises(ConfigError, match="no such cell"):
        run_result(f"{surface.run_id}/9", runtime)


def test_changed_labels_are_taken_and_said(runtime: Runtime, tmp_path: Path) -> None:
    """The labels are read as they are now: a corrected one counts, and the result says that they changed."""
    folder = tmp_path / "configs/datasets/mine"
    folder.mkdir(parents=True)
    packaged = files.find("dataset", "samples").path
    text = packaged.read_text().replace("samples/", "mine/")
    (folder.parent / "mine.toml").write_text(text)
    for source in (packaged.parent / "samples").iterdir():
        (folder / source.name).write_bytes(source.read_bytes())
    evaluate_classifier("refusal_keyword", load_dataset("mine", tmp_path), runtime=runtime)
    assert not run_result("last", runtime).labels_changed
    labels = folder / "labels.jsonl"
    rows = labels.read_text().splitlines()
    first = json.loads(rows[0])
    first["labels"] = {"refusal_to_transfer": "clean" if "clean" not in rows[0] else "refusal_to_transfer"}
    labels.write_text("\n".join([json.dumps(first), *rows[1:]]) + "\n")
    assert run_result("last", runtime).labels_changed
    labels.write_text("\n".join(rows[1:]) + "\n")
    with pytest.raises(DataError, match=r"1 of \d+ items of the run have no label"):
        run_result("last", runtime)


def test_runs_without_labels_are_refused(runtime: Runtime) -> None:
    """A run of `classify` has nothing to be held against; an unknown id names the nearest."""
    from llmclf.classifiers.loading import load_classifier

    dataset = load_dataset("samples")
    conversations = list(dataset.conversations.values())[:3]
    classify(conversations, load_classifier("refusal_keyword"), runtime=runtime)
    with pytest.raises(ConfigError, match="no run of evaluate or sweep"):
        run_result("last", runtime)
    run_id = runtime.store.runs()[0]["run_id"]
    with pytest.raises(ConfigError, match="has no labels"):
        run_result(run_id, runtime)
