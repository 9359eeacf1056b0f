"""The benchmarks' readers of the public sets: what their notes promise is what comes out."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from llmclf.config import load_task
from llmclf.data.read import load_dataset_files
from llmclf.types import Dataset

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import readers  # noqa: E402


@pytest.fixture(scope="module")
def airline(test_data: Path) -> Dataset:
    """The airline conversations of thirteen agents."""
    return readers.read_td_eval_airline(test_data)


@pytest.fixture(scope="module")
def dialogues(test_data: Path) -> Dataset:
    """The dialogues with thirty votes a turn."""
    return readers.read_dbdc3(test_data)


def test_airline_counts(airline: Dataset) -> None:
    """650 conversations of 13 agents and 50 tasks, 32 of them crashed and labelled nowhere; 383 labels."""
    assert len(airline.conversations) == 650
    crashed = {id for id, conversation in airline.conversations.items() if conversation.is_empty}
    assert len(crashed) == 32
    assert len(airline) == 383
    assert not crashed & {example.conversation_id for example in airline.examples}
    assert len({c.metadata["agent"] for c in airline.conversations.values()}) == 13
    assert len({example.group for example in airline.examples}) == 50


def test_airline_design(airline: Dataset) -> None:
    """Weights add up to the 618 answered conversations, stratum by stratum, and give the published prevalences."""
    assert sum(example.weight for example in airline.examples) == pytest.approx(618)
    assert {(s.name, s.population, s.sampled) for s in airline.design.strata} == {
        ("regex", 110, 110),
        ("transfer", 123, 123),
        ("random", 385, 150),
    }
    weights = np.array([example.weight for example in airline.examples])
    for name, positives, prevalence in (
        ("request", 63, 0.102),
        ("failed_transfer_attempt", 13, 0.021),
        ("refusal_to_transfer", 5, 0.0081),
    ):
        found = np.array([label == name for label in airline.labels(name)])
        assert found.sum() == positives
        assert np.average(found, weights=weights) == pytest.approx(prevalence, abs=0.0005)


def test_airline_events(airline: Dataset) -> None:
    """Tool calls in the text become events, the output of tools is a tool's turn, transfers that ran are events."""
    events = Counter(event.kind for c in airline.conversations.values() for turn in c.turns for event in turn.events)
    assert events["transfer"] == 160
    assert events["tool_call"] > 3_000
    assert abs(events["tool_call"] - events["tool_result"]) < 60
    for conversation in airline.conversations.values():
        for turn in conversation.turns:
            assert turn.speaker in ("user", "bot", "tool")
            assert not turn.text.startswith("API output")
            assert readers.STOP not in turn.text


def test_airline_evidence_points_at_the_refusal(airline: Dataset) -> None:
    """The evidence turn of each refusal is a turn of the bot."""
    refusals = [e for e in airline.examples if e.labels["refusal_to_transfer"] == "refusal_to_transfer"]
    assert len(refusals) == 5
    for example in refusals:
        (turn,) = example.evidence_turns
        assert airline.conversation(example).turns[turn].speaker == "bot"


def test_dialogues(dialogues: Dataset) -> None:
    """415 dialogues, 4150 voted turns of the bots, thirty votes each; strict majorities are the breakdowns."""
    assert (len(dialogues.conversations), len(dialogues)) == (415, 4150)
    task = load_task(readers.BREAKDOWN_TASK)
    labels = dialogues.labels(task.name)
    assert set(labels) == set(task.label_names)
    for example, label in zip(dialogues.examples, labels, strict=True):
        o, t, x = readers.votes(example)
        assert o + t + x == 30
        assert (label == "breakdown") == (x > 15)
        assert dialogues.conversation(example).turns[example.turn].speaker == "bot"
    assert labels.count("breakdown") == 568


def test_other_sets(test_data: Path) -> None:
    """tau-bench has 200 runs of 50 tasks, 116 of them failed; NLU++ 65 requests for a person in 2071 utterances."""
    tau = readers.read_tau_bench_airline(test_data)
    assert (len(tau), len({example.group for example in tau.examples})) == (200, 50)
    assert tau.labels("task_failed").count("task_failed") == 116
    banking = readers.read_polyai_nlupp_banking(test_data)
    assert len(banking) == 2071
    assert banking.labels("handoff").count("handoff") == 65
    assert len({example.group for example in banking.examples}) < len(banking)


def test_command_writes_files_that_llmclf_reads(test_data: Path, tmp_path: Path, airline: Dataset) -> None:
    """The command's three files are read back by the library as the same dataset."""
    command = [sys.executable, "benchmarks/readers.py", "td_eval_airline", str(tmp_path), "--data", str(test_data)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=_environment())
    assert "650 conversations (32 hold nothing), 383 labels" in done.stdout
    back = load_dataset_files(
        "back", tmp_path / "conversations.jsonl", tmp_path / "labels.jsonl", design=airline.design
    )
    assert back.content_hash == airline.content_hash
    assert 'kind = "stratified"' in (tmp_path / "dataset.toml").read_text()


def test_absent_data_says_what_to_do(tmp_path: Path) -> None:
    """Without the data the command ends with one line that says where to put it."""
    command = [sys.executable, "benchmarks/readers.py", "dbdc3", str(tmp_path), "--data", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=_environment())
    assert done.returncode == 1
    assert "give --data FOLDER, or set LLMCLF_TEST_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}
