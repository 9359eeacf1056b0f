"""A cluster of strange reasons becomes a failure mode, hard negatives or a standing alert: once, and never invented."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_reasons import TASK, made_conversations, made_store

from llmclf.cli import run
from llmclf.data.loading import load_dataset
from llmclf.data.read import read_examples
from llmclf.data.write import write_conversations
from llmclf.errors import ConfigError, DataError
from llmclf.llm import Runtime
from llmclf.store.clusterings import Clusterings
from llmclf.workspace.promoting import Promoted, promote
from llmclf.workspace.reasoning import cluster_stored

DAYS: dict[str, Any] = {"since": "24h", "baseline": "15d"}
CHATS = "chats.jsonl"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """A workspace with a clustering of a day with a fault, and the file of its conversations; the strange cluster."""
    folder = tmp_path_factory.mktemp("made")
    rows = made_store(folder / "llmclf.db", fault="missing_transcript", reasons=600)
    write_conversations(folder / CHATS, made_conversations(rows))
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        stored = cluster_stored(runtime, **DAYS)
    strange = max((one for one in stored.clustering.anomalies if one.cluster), key=lambda one: one.conversations)
    return folder, strange.cluster, strange.conversations


@pytest.fixture
def runtime(made: tuple[Path, str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A runtime on a copy of the workspace, which is the working folder."""
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with Runtime(tmp_path / "llmclf.db", workspace=tmp_path) as opened:
        yield opened


@pytest.fixture
def promoting(made: tuple[Path, str, int], runtime: Runtime) -> Callable[..., Promoted]:
    """Promotes the strange cluster."""
    return lambda as_, **more: promote(made[1], as_, runtime, **more)


def inside(runtime: Runtime, cluster: str) -> list[str]:
    """The conversations of a cluster."""
    sql = "SELECT conversation_id FROM predictions JOIN clustered USING (prediction_id) WHERE cluster_id = ?"
    return [row["conversation_id"] for row in runtime.store.query(sql, (cluster,))]


def test_a_turn_stays_a_turn(runtime: Runtime, tmp_path: Path) -> None:
    """Items of a turn task keep it; one whose turn is not in the conversation is left out, and named."""
    clusterings = Clusterings(runtime.store)
    clusters = [
        one
        for one in clusterings.clusters(clusterings.find()["clustering_id"])
        if one["kind"] == "known" and one["reasons"]
    ]
    done = [promote(one["cluster_id"], "hard-negative", runtime, conversations=CHATS) for one in clusters]
    examples = load_dataset("hard_negatives", tmp_path).examples
    assert {one.turn for one in examples} >= {None, 0, 1} and {one.turn for one in examples} <= {None, 0, 1}
    missing = [item for one in done for item in one.missing]
    assert all(item.endswith("[2]") for item in missing) and len(examples) == sum(one.added for one in done)


def test_hard_negatives_stand_in_a_dataset_with_where_they_come_from(
    promoting: Callable[..., Promoted], made: tuple[Path, str, int], runtime: Runtime, tmp_path: Path
) -> None:
    """The task's one clean label, source feedback, an annotation that is not blind; the dataset checks and loads."""
    done = promoting("hard-negative", conversations=CHATS, by="ana", note="seen on Monday")
    count = made[2]
    assert (done.added, done.there, done.missing, done.dataset) == (count, 0, (), "hard_negatives")
    dataset = load_dataset("hard_negatives", tmp_path)
    assert len(dataset) == count and not dataset.design.knows_prevalence
    for example in dataset.examples:
        assert example.labels == {TASK: "clean"} and example.source == "feedback" and not example.failure_modes
        (said,) = example.annotations
        assert (said.annotator, said.blind) == ("ana", False) and made[1] in said.note and "Monday" in said.note
    assert done.next_command == "llmclf evaluate refusal_llm --dataset hard_negatives"
    assert any("only clean one" in note for note in done.notes)
    runtime.store.flush()
    assert run(["data", "check", "hard_negatives"]) == 0


def test_a_second_time_adds_nothing(promoting: Callable[..., Promoted], made: tuple[Path, str, int]) -> None:
    """The files stay byte for byte, and it says so."""
    first = promoting("hard-negative", conversations=CHATS)
    assert first.path is not None
    files = sorted(Path("data").iterdir())
    before = [path.read_bytes() for path in files]
    again = promoting("hard-negative", conversations=CHATS)
    assert (again.added, again.there) == (0, made[2]) and f"{made[2]} there already" in again.sentence
    assert [path.read_bytes() for path in files] == before
    third = promoting("hard-negative")  # its own conversations are enough by now
    assert (third.added, third.there) == (0, made[2])


def test_conversations_that_are_not_there_are_listed_and_not_made_up(
    promoting: Callable[..., Promoted], made: tuple[Path, str, int], runtime: Runtime, tmp_path: Path
) -> None:
    """One conversation in the file, one example; the others are named. No more than was asked for are added."""
    (first, *others) = inside(runtime, made[1])
    (line,) = [one for one in (tmp_path / CHATS).read_text().splitlines() if f'"{first}"' in one]
    (tmp_path / "few.jsonl").write_text(line + "\n")
    done = promoting("hard-negative", conversations="few.jsonl")
    assert done.added == 1 and set(done.missing) == set(others)
    assert any("no conversation of theirs" in note for note in done.notes)
    none = promoting("hard-negative", conversations=CHATS, into="other", most=2)
    assert none.added == 2 and any("beyond --most" in note for note in none.notes)


def test_a_failure_mode_is_kept_and_marked(
    promoting: Callable[..., Promoted], made: tuple[Path, str, int], runtime: Runtime, tmp_path: Path
) -> None:
    """A row in the table, and with a dataset examples with the mode; with the target's label slices show it."""
    alone = promoting("failure-mode", name="no_transcript", note="logs are gone")
    assert alone.dataset == "" and "--into DATASET" in alone.next_command
    done = promoting(
        "failure-mode", name="no_transcript", into="faults", conversations=CHATS, label="refusal_to_transfer"
    )
    (row,) = Clusterings(runtime.store).failure_modes()
    assert (row["failure_mode"], row["task"], row["dataset"], row["examples"]) == (
        "no_transcript", TASK, "faults", made[2],
    )  # fmt: skip
    assert row["note"] == "logs are gone" and row["cluster_id"] == made[1]
    assert done.next_command.endswith("--dataset faults --by failure_mode")
    examples = read_examples(tmp_path / "data" / "faults.labels.jsonl").examples
    assert all(one.failure_modes == ("no_transcript",) and one.source == "feedback" for one in examples)
    second = promoting("failure-mode", name="another", into="faults", conversations=CHATS)
    assert second.added == made[2]  # the same items have a second mode now
    assert promoting("failure-mode", name="another", into="faults").added == 0
    examples = read_examples(tmp_path / "data" / "faults.labels.jsonl").examples
    assert len(examples) == made[2] and all(one.failure_modes == ("no_transcript", "another") for one in examples)


def test_a_fault_without_a_right_label_gets_none(promoting: Callable[..., Promoted], tmp_path: Path) -> None:
    """Nobody has said what is right: the examples have no label, and what to do is said."""
    done = promoting("failure-mode", name="no_transcript", into="faults", conversations=CHATS)
    examples = read_examples(tmp_path / "data" / "faults.labels.jsonl").examples
    assert all(not one.labels and not one.annotations for one in examples)
    assert any("without a label" in note for note in done.notes) and "calibrate start" in done.next_command


MISTAKES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "the target is no negative": ("hard-negative", {"label": TASK, "conversations": CHATS}, ["is the target"]),
    "an unknown label": ("hard-negative", {"label": "claen", "conversations": CHATS}, ["did you mean 'clean'"]),
    "no conversations": ("hard-negative", {}, ["--conversations"]),
    "several at once": (
        "hard-negative",
        {"name": "a b/c", "conversations": "nowhere.jsonl", "most": 0, "into": "../out"},
        ["'a b/c'", "no such file", "most", "../out"],
    ),
    "a bad name": ("failure-mode", {"name": "x\ny"}, ["is no name"]),
    "a label and nowhere to put it": ("failure-mode", {"label": "clean"}, ["--into"]),
    "an alert with a dataset": ("alert", {"into": "faults", "least_conversations": 0}, ["takes no dataset", "least"]),
    "something else": ("pet", {}, ["known: alert, failure-mode, hard-negative"]),
}


@pytest.mark.parametrize("which", MISTAKES)
def test_mistakes_are_told_together_and_nothing_is_written(
    which: str, promoting: Callable[..., Promoted], runtime: Runtime, tmp_path: Path
) -> None:
    """One error lists them; no file and no row is there afterwards."""
    as_, given, words = MISTAKES[which]
    with pytest.raises(ConfigError) as caught:
        promoting(as_, **given)
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "data").exists() and not (tmp_path / "configs").exists()
    assert not Clusterings(runtime.store).failure_modes() and not Clusterings(runtime.store).alerts()


def test_a_cluster_that_is_not_there(runtime: Runtime) -> None:
    """The clustering is named; so is one that does not exist."""
    with pytest.raises(ConfigError, match="no such cluster"):
        promote("k000", "alert", runtime)
    with pytest.raises(ConfigError, match="no such clustering"):
        promote("k000", "alert", runtime, clustering="zz")


def test_a_dataset_that_was_drawn_takes_no_picked_items(promoting: Callable[..., Promoted], tmp_path: Path) -> None:
    """A design says how items came in: picked ones would spoil its rates."""
    folder = tmp_path / "configs" / "datasets"
    folder.mkdir(parents=True)
    text = 'version = 1\nconversations = "../../chats.jsonl"\nlabels = "drawn.jsonl"\n[design]\nkind = "random"\n'
    (folder / "drawn.toml").write_text(text)
    with pytest.raises(ConfigError, match="design random"):
        promoting("hard-negative", into="drawn", conversations=CHATS)


def test_a_file_that_does_not_hold_the_fault_is_told(
    promoting: Callable[..., Promoted], made: tuple[Path, str, int], tmp_path: Path
) -> None:
    """Predictions were asked with 0 turns, the file has 2: said with ids; a file of its owner alone. Labels count."""
    done = promoting("failure-mode", name="no_transcript", into="faults", conversations=CHATS, label="clean")
    assert len(done.unlike) == made[2] and "has 2 turns, asked with 0" in done.unlike[0]
    assert any("does not hold the fault" in note and done.unlike[0] in note for note in done.notes)
    assert (tmp_path / "data" / "faults.conversations.jsonl").stat().st_mode & 0o777 == 0o600
    assert done.next_command.endswith("--by failure_mode")
    assert run(["evaluate", "refusal_keyword", "--dataset", "faults", "--by", "failure_mode"]) == 0
    again = promoting("failure-mode", name="no_transcript", into="faults")
    assert again.there == made[2] and not any("without a label" in note for note in again.notes)


def test_several_at_once_lose_nothing(made: tuple[Path, str, int], runtime: Runtime, tmp_path: Path) -> None:
    """Threads that promote different clusters into one dataset: every example of each, with its conversation."""
    clusterings = Clusterings(runtime.store)
    clusters = [one for one in clusterings.clusters(clusterings.find()["clustering_id"]) if one["kind"] != "parent"]
    ids = [one["cluster_id"] for one in clusters if one["reasons"]][:6]
    with ThreadPoolExecutor(len(ids)) as threads:
        given: dict[str, Any] = {"into": "all", "conversations": CHATS}
        done = list(threads.map(lambda id_: promote(id_, "failure-mode", runtime, name=id_, **given), ids))
    examples = read_examples(tmp_path / "data" / "all.labels.jsonl").examples
    assert sum(len(one.failure_modes) for one in examples) == sum(one.added for one in done)
    held = (tmp_path / "data" / "all.conversations.jsonl").read_text()
    assert all(f'"{one.conversation_id}"' in held for one in examples)


def test_an_alert_is_told_of_when_such_reasons_come_again(
    promoting: Callable[..., Promoted], made: tuple[Path, str, int], runtime: Runtime
) -> None:
    """Its cut parts the cluster from the window's others; the next clustering has an anomaly of kind alert."""
    done = promoting("alert", name="no_transcript", least_conversations=3, note="page me")
    (row,) = Clusterings(runtime.store).alerts()
    assert (row["alert"], row["least_conversations"], row["note"]) == ("no_transcript", 3, "page me")
    assert 0 < row["similarity"] < 1 and f"of the cluster's {made[2]} reasons" in done.sentence
    assert "of all others in each of 15 stretches as long as the window at most 1 conversation." in done.sentence
    stored = cluster_stored(runtime, **DAYS)
    (alert,) = [one for one in stored.clustering.anomalies if one.alerts or one.kind == "alert"]
    assert "no_transcript" in (alert.name, *alert.alerts) and alert.conversations >= 0.6 * made[2]
    again = promoting("alert", name="no_transcript", clustering=stored.clustering_id[:16])
    assert "set anew" in again.sentence and len(Clusterings(runtime.store).alerts()) == 1
    assert Clusterings(runtime.store).alerts()[0]["note"] == "page me"
    Clusterings(runtime.store).end_alert("no_transcript")
    assert not [one for one in cluster_stored(runtime, **DAYS).clustering.anomalies if one.kind == "alert"]


def test_an_alert_is_quiet_on_usual_days(promoting: Callable[..., Promoted], runtime: Runtime) -> None:
    """No day before the fault would have been told of; a usual kind makes no alert, or one that says what to expect."""
    promoting("alert", name="no_transcript")
    for day in (2, 5, 9):
        stored = cluster_stored(runtime, since=f"{day}d", until=f"{day - 1}d", baseline=f"{day + 5}d")
        assert not [one for one in stored.clustering.anomalies if one.kind == "alert"]
    usual = cluster_stored(runtime, **DAYS).clustering.clusters[0]
    try:
        assert any("usual" in note for note in promote(usual.id, "alert", runtime).notes) or usual.kind == "new"
    except DataError as error:
        assert "no more alike" in str(error)


def test_an_alert_needs_words_that_are_there(
    promoting: Callable[..., Promoted], made: tuple[Path, str, int], runtime: Runtime
) -> None:
    """Forgotten conversations leave nothing to choose a cut by."""
    runtime.store.forget(*inside(runtime, made[1]))
    with pytest.raises(DataError, match="not in the store any more"):
        promoting("alert")
