"""Predictions that say nothing: read from the store, told where they are more than usual, by what they share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from made_reasons import CLASSIFIER, TASK, made_store

import llmclf
from llmclf.llm import Runtime
from llmclf.reasons.values import Anomaly
from llmclf.store import Store
from llmclf.types import Prediction
from llmclf.types.prediction import ErrorInfo
from llmclf.types.reasons import Reasons
from llmclf.workspace.reason_input import read_input
from llmclf.workspace.reasoning import StoredClustering, cluster_stored

START = datetime(2026, 11, 2, tzinfo=UTC)
TEXTS = ("The parcel is late.", "A refund was asked for.", "No person was there to talk to.", "The seat was taken.")


def rows(days: int, each: int, *, silent: int = 0, first: int = 0, name: str = "d") -> list[dict[str, Any]]:
    """So many predictions on each of some days, of which the first `silent` of a day say nothing."""
    return [
        {
            "prediction_id": f"{name}{day}-{place}",
            "conversation_id": f"{name}{day}-{place}",
            "created_at": (START + timedelta(days=day, seconds=86_400 * place / each)).isoformat(),
            "classifier_id": "llm@2" if name == "w" else "llm@1",
            "rationale": "" if place < silent else f"{TEXTS[place % 4]} {'again ' * (place % 7)}",
            "error_kind": "empty" if place < silent else None,
            "model": "beta" if place < silent else ("alpha", "beta")[place % 2],
            "fields": {"turns": 0 if place < silent else 5},
        }
        for day in range(first, first + days)
        for place in range(each)
    ]


def told(window: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> list[Anomaly]:
    return [one for one in llmclf.cluster_reasons(window, baseline).anomalies if one.kind == "no_reason"]


def test_failures_are_told_with_what_they_share() -> None:
    """Counts, expected conversations and fields stand in the anomaly, no quote does; a new version is no new thing."""
    window, baseline = rows(1, 60, silent=25, first=14, name="w"), rows(14, 60)
    made = llmclf.cluster_reasons(window, baseline)
    (one,) = [one for one in made.anomalies if one.kind == "no_reason"]
    assert one.sentence == "25 of 60 predictions gave no reason (empty 25); the baseline has 0 of 840."
    assert (one.reasons, one.conversations, one.expected, one.ratio, one.examples) == (25, 25, 0.0, None, ())
    assert [field.field for field in one.fields] == ["turns", "model", "error_kind"]
    assert one.p < 0.001 and one.first_seen == "2026-11-16T00:00:00.000000Z"
    assert made.to_dict()["wordless"] == {"predictions": 25, "of": 60, "baseline": 0, "baseline_of": 840}
    assert len(made.reasons) == 35 and not any("without any words" in note for note in made.notes)


def test_what_is_usual_is_not_told() -> None:
    """As many as on the days before; a classifier that never gave a reason; two conversations; no baseline."""
    assert not told(rows(1, 60, silent=6, first=14, name="w"), rows(14, 60, silent=6))
    never = [{**row, "classifier_id": "regex@1", "rationale": ""} for row in rows(1, 60, first=14, name="r")]
    assert not told([*rows(1, 60, first=14, name="w"), *never], rows(14, 60))
    assert not told(rows(1, 60, silent=2, first=14, name="w"), rows(14, 60))
    assert not llmclf.cluster_reasons(rows(1, 60, silent=20)).anomalies


def test_a_window_that_says_nothing_at_all() -> None:
    """Is an anomaly as well, of a clustering without clusters that can be shown and read as any."""
    made = llmclf.cluster_reasons(rows(1, 40, silent=40, first=14, name="w"), rows(14, 40))
    assert [one.kind for one in made.anomalies] == ["no_reason"] and not made.clusters
    assert "40 of 40 predictions gave no reason" in str(made._table().title)
    assert (made.to_dict()["pool"], made.to_dict()["reasons"]) == (None, 0)
    assert made.since == "2026-11-16T00:00:00.000000Z"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with fifteen days of reasons."""
    path = tmp_path_factory.mktemp("wordless") / "made.db"
    made_store(path, seed=1, reasons=450)
    return path


@pytest.fixture
def looked(quiet: Path, tmp_path: Path) -> Callable[[list[Prediction]], StoredClustering]:
    """The last day of a copy of that store, with more predictions made now."""

    def look(more: list[Prediction]) -> StoredClustering:
        path = tmp_path / "copy.db"
        path.write_bytes(quiet.read_bytes())
        with Runtime(path) as runtime:
            store = runtime.store
            run = store.start_run("classify", inputs_hash="h", config={})
            store.add_predictions(run, more)
            store.finish_run(run, "done")
            return cluster_stored(runtime, since="24h", baseline="15d")

    return look


def failed(count: int, task: str = TASK, classifier: str = CLASSIFIER) -> list[Prediction]:
    error = ErrorInfo("empty", "no turns")
    return [Prediction(f"{task}{place}", classifier, task, error=error, fields={"turns": 0}) for place in range(count)]


def test_failed_predictions_of_a_store_are_an_alarm(looked: Callable[[list[Prediction]], StoredClustering]) -> None:
    """Those of the classifier that else gives reasons; other tasks and classifiers without reasons say nothing."""
    more = [*failed(25), *failed(9, task="other"), *failed(7, classifier="regex@1")]
    stored = looked(more)
    (one,) = stored.clustering.anomalies
    assert stored.alarmed and one.kind == "no_reason" and one.reasons == 25
    assert stored.to_dict()["wordless"]["predictions"] == 25


def test_words_that_were_forgotten_are_no_lack_of_words(tmp_path: Path) -> None:
    """`wordless` gives failed predictions and empty reasons beside the others, and no forgotten ones."""
    with Store(tmp_path / "llmclf.db") as store:
        run = store.start_run("classify", inputs_hash="h", config={})
        said = [Prediction(f"c{place}", CLASSIFIER, TASK, label="x", rationale="Why.") for place in range(2)]
        store.add_predictions(run, [*said, Prediction("c3", CLASSIFIER, TASK, label="x"), *failed(1)])
        store.forget("c1")
        assert store.reasons().column("conversation_id") == ["c0"]
        assert sorted(store.reasons(wordless=True).column("conversation_id")) == ["c0", "c3", f"{TASK}0"]
        given = read_input(store, "1h", None, None, {})
        assert len(given.window) == 1, "without a baseline nobody can say whether they are more than usual"


def test_one_id_that_stands_for_many_is_told() -> None:
    """A conversation with much of the window is a note; a window of a few large ones is none."""
    window = rows(1, 60, first=14, name="w") + [
        {**row, "conversation_id": "unknown"} for row in rows(1, 30, first=14, name="x")
    ]
    (note,) = [note for note in llmclf.cluster_reasons(window, rows(14, 60)).notes if "One conversation" in note]
    assert "30 of the window's 90 reasons (33%)" in note
    large = [{**row, "conversation_id": row["prediction_id"][:2]} for row in rows(3, 40)]
    made = llmclf.cluster_reasons(Reasons(large[80:]), Reasons(large[:80]))
    assert not any("One conversation" in note for note in made.notes)
