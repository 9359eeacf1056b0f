"""What clusters tell of forgotten conversations goes with them, where too few others share it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmclf.reasons.values import ClusterSettings
from llmclf.store import Clusterings, Store
from llmclf.types import Prediction
from llmclf.workspace.clustering_rows import earlier_of, standing_alerts
from llmclf.workspace.forgetting import forget
from llmclf.workspace.quoting import quotes_of, why_no_quotes

WORD = "zebrafinch"
CENTROID = np.full(256, 1 / 16, "<f4").tobytes()
PERIOD = {"since": "2020-01-01", "until": "2999-01-01"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "llmclf.db") as opened:
        yield opened


def cluster(id_: str, name: str, medoid: str, count: int, kind: str = "new") -> dict[str, Any]:
    return {
        "cluster_id": id_, "kind": kind, "parent_id": "" if kind == "parent" else "up", "name": name,
        "named_by": "terms", "terms": [name], "centroid": CENTROID, "medoid": medoid, "reasons": count,
        "conversations": count, "first_seen": "", "figures": {},
    }  # fmt: skip


def build(store: Store, *, add: bool = True) -> tuple[str, list[str]]:
    """A clustering of two clusters, of four conversations that say one word and of five others; ids of predictions."""
    if add:
        run = store.start_run("classify", inputs_hash="h", config={})
        said = [f"says {WORD} & so on"] * 4 + ["asks for a person"] * 5
        made = [
            Prediction(conversation_id=f"c{place}", classifier_id="k@1", task="t", label="x", rationale=text)
            for place, text in enumerate(said)
        ]
        store.add_predictions(run, made)
    rows = store.query("SELECT prediction_id FROM predictions ORDER BY cast(substr(conversation_id, 2) AS INTEGER)")
    ids = [row["prediction_id"] for row in rows]
    book = Clusterings(store)
    id_ = book.start(
        run_id="r", **PERIOD, filter={"task": "t"}, settings={"text": "rationale"}, embedder="e", reasons=9,
        conversations=9,
    )  # fmt: skip
    book.add(id_, ids, ["a"] * 4 + ["b"] * 5)
    told = {"cluster": "a", "name": WORD, "terms": [WORD], "sentence": f"4 of {WORD}", "examples": ids[:1]}
    anomaly = {
        "cluster_id": "a", "kind": "new_cluster", "p": 0.0, "reasons": 4, "conversations": 4,
        "evidence": told | {"predictions": ids[:4]},
    }  # fmt: skip
    book.finish(
        id_,
        clusters=[
            cluster("a", WORD, ids[0], 4),
            cluster("b", "person", ids[4], 5),
            cluster("up", "all", ids[4], 9, "parent"),
        ],
        anomalies=[anomaly],
        result={"clusters": [{"id": "a", **told}, {"id": "b", "name": "person"}], "anomalies": [told]},
        deliveries=[{"text": f"- {WORD}: much", "anomalies": [told]}],
    )
    for name, one in (("strange", "a"), ("asked", "b")):
        book.put_alert(
            name, cluster_id=one, clustering_id=id_, embedder="e", centroid=CENTROID, similarity=0.5,
            least_conversations=3,
        )  # fmt: skip
    return id_, ids


def words_of(store: Store) -> str:
    tables = ("clusterings", "clusters", "anomalies", "deliveries", "alerts", "predictions")
    return json.dumps([store.query(f"SELECT * FROM {table}") for table in tables], default=bytes.hex)


def test_the_words_of_a_cluster_go_when_too_few_are_left(store: Store, tmp_path: Path) -> None:
    """Three living conversations share its words; two do not: no table holds them, and its alert ends."""
    id_, _ = build(store)
    assert forget("c0", store, tmp_path).alerts == ()
    assert WORD in words_of(store)
    found = forget("c1", store, tmp_path)
    assert (found.alerts, found.cleared["clusters"], found.cleared["alerts"]) == (("strange",), 1, 1)
    for number in (2, 3):
        store.forget(f"c{number}")
    assert WORD not in words_of(store)
    by_id = {row["cluster_id"]: row for row in Clusterings(store).clusters(id_)}
    assert (by_id["a"]["name"], by_id["a"]["centroid"], by_id["a"]["medoid"]) == ("(forgotten)", None, "")
    assert (by_id["b"]["name"], by_id["b"]["centroid"], by_id["up"]["name"]) == ("person", CENTROID, "all")
    assert [row["alert"] for row in Clusterings(store).alerts()] == ["asked"]


def test_expiry_takes_the_words_of_clusters_that_keep_no_rows(store: Store) -> None:
    """Where nobody knows which reason was in which cluster, all that is forgotten counts for each."""
    build(store)
    store.write(lambda connection: connection.execute("DELETE FROM clustered").rowcount)
    assert store.expire(0)["clusters"] == 3
    assert WORD not in words_of(store)


def test_living_reasons_count_for_quotes(store: Store) -> None:
    """Another one is quoted in place of a forgotten medoid; of too few left, or by stricter rules, none, and why."""
    id_, ids = build(store)
    store.forget("c0")
    assert quotes_of(id_, store, [ids[0]])[ids[0]].conversation_id in ("c1", "c2", "c3")
    assert why_no_quotes(id_, store, "a") == ""
    strict = ClusterSettings(least_conversations=5)
    assert quotes_of(id_, store, ids[:4], present=strict) == {}
    assert why_no_quotes(id_, store, "a", present=strict) == "too few conversations to quote: 4 of 5"
    assert "too few reasons" in why_no_quotes(id_, store, "a", present=ClusterSettings(least_reasons=5))
    store.forget("c1")
    assert quotes_of(id_, store, ids[:4]) == {}
    assert "forgotten" in why_no_quotes(id_, store, "a")
    assert len(quotes_of(id_, store, ids)) == 5


@pytest.mark.parametrize("centroid", [b"\0" * 8, np.full(256, np.nan, "<f4").tobytes()])
def test_damaged_rows_keep_no_look_from_being_made(store: Store, centroid: bytes) -> None:
    """Vectors too short or no numbers: the cluster is passed over, and the alert fits nothing."""
    build(store)
    for table in ("clusters", "alerts"):
        sql = f"UPDATE {table} SET centroid = ? WHERE cluster_id = 'a'"
        store.write(lambda connection, sql=sql: connection.execute(sql, (centroid,)).rowcount)
    earlier = earlier_of(store, {"task": "t"}, ClusterSettings())
    assert earlier is not None
    assert earlier.ids == ("b",)
    assert {one.name: one.fits("e") for one in standing_alerts(store, "t")} == {"strange": False, "asked": True}
    store.write(lambda connection: connection.execute("UPDATE clusterings SET settings = '{bad'").rowcount)
    store.write(lambda connection: connection.execute("UPDATE predictions SET fields = '{bad'").rowcount)
    assert earlier_of(store, {"task": "t"}, ClusterSettings()) is None
    assert store.reasons().field("channel") == [None] * 9


def test_datasets_that_still_hold_it_are_named(store: Store, tmp_path: Path) -> None:
    """By the path of their conversations."""
    (tmp_path / "data").mkdir()
    for name, id_ in (("picked", "c1"), ("other", "c2")):
        row = {"id": id_, "turns": [{"speaker": "user", "text": "as c1 said"}]}
        (tmp_path / f"data/{name}.conversations.jsonl").write_text(json.dumps(row) + "\n")
    assert forget("c1", store, tmp_path).datasets == (str(tmp_path / "data/picked.conversations.jsonl"),)
