"""Clusterings in the store: seen when complete and never before, whoever is killed, and whatever disk or rows do."""

from __future__ import annotations

import json
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmclf.errors import ConfigError, StoreError
from llmclf.store import Clusterings, Store, clusterings as rows
from llmclf.store.builders import is_dead, this_process

VIEWS = ("v_clusters", "v_anomalies")
CENTROID = struct.pack("<3f", 0.6, 0.8, 0.0)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "llmclf.db" if request.param == "file" else None) as opened:
        yield opened


def cluster(cluster_id: str = "k1", **changes: Any) -> dict[str, Any]:
    row = {
        "cluster_id": cluster_id, "kind": "known", "parent_id": "", "name": "asks twice", "named_by": "terms",
        "terms": ["asks", "twice"], "centroid": CENTROID, "medoid": "p1", "reasons": 2, "conversations": 2,
        "first_seen": "2026-11-01T00:00:00.000000Z", "figures": {"share": 0.5},
    }  # fmt: skip
    return row | changes


ANOMALY = {
    "cluster_id": "k1", "kind": "burst", "p": 0.01, "reasons": 2, "conversations": 2, "evidence": {"ratio": 3.0},
}  # fmt: skip


def begin(clusterings: Clusterings, **changes: Any) -> str:
    given: dict[str, Any] = {
        "run_id": "r",
        "since": "2026-11-02",
        "until": "2026-11-03",
        "embedder": "e1",
        "reasons": 2,
    }
    return clusterings.start(**given | {"conversations": 2} | changes)


def build(store: Store, **changes: Any) -> str:
    clusterings = Clusterings(store)
    made = begin(clusterings, **changes)
    clusterings.add(made, ["p1", "p2"], ["k1", ""], [0.5, 0.001])
    clusterings.finish(made, clusters=[cluster()], anomalies=[ANOMALY], result={"pool": 1})
    return made


def everything(store: Store, folder: Path) -> list[Any]:
    """What any reading method, view or export shows of clusterings."""
    clusterings = Clusterings(store)
    found: list[Any] = [clusterings.list(), clusterings.anomalies()]
    found += [store.query(f"SELECT * FROM {view}") for view in VIEWS]
    for path in store.export(folder):
        if path.stem in ("clusterings", "clusters", "clustered", "anomalies"):
            found.append(path.read_text())
    return found


def test_a_clustering_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    """Head, clusters, reasons and anomalies are read as they were written, and exported with vectors as base64."""
    clusterings = Clusterings(store)
    given = {"baseline_since": "2026-10-25", "baseline_until": "2026-11-02", "baseline_reasons": 9, "simulated": True}
    made = build(store, filter={"task": "refusal"}, settings={"seed": 1}, **given)
    found = clusterings.find(made)
    assert found["clustering_id"] == made
    assert (found["filter"], found["settings"], found["result"]) == ({"task": "refusal"}, {"seed": 1}, {"pool": 1})
    assert (found["state"], found["simulated"], found["baseline_reasons"]) == ("done", True, 9)
    (one,) = clusterings.clusters(made)
    assert one == cluster(clustering_id=made)
    assert clusterings.clustered(made) == [
        {"prediction_id": "p1", "cluster_id": "k1", "novelty": 0.5},
        {"prediction_id": "p2", "cluster_id": "", "novelty": 0.001},
    ]
    assert [row["prediction_id"] for row in clusterings.clustered(made, "")] == ["p2"]
    (anomaly,) = clusterings.anomalies(made)
    assert ANOMALY.items() <= anomaly.items()
    assert clusterings.anomalies(since="2020-01-01") == [anomaly]
    assert clusterings.anomalies(since="2999-01-01") == []
    (view,) = store.query("SELECT share, name, simulated FROM v_clusters")
    assert view == {"share": 1.0, "name": "asks twice", "simulated": 1}
    assert [row["name"] for row in store.query("SELECT name FROM v_anomalies")] == ["asks twice"]
    store.export(tmp_path / "out")
    line = json.loads((tmp_path / "out" / "clusters.jsonl").read_text())
    assert (line["centroid"], line["terms"]) == ("mpkZP83MTD8AAAAA", ["asks", "twice"])
    store.export(tmp_path / "out", format="csv")
    assert "mpkZP83MTD8AAAAA" in (tmp_path / "out" / "clusters.csv").read_text()


def test_nothing_shows_before_it_is_finished(store: Store, tmp_path: Path) -> None:
    """Neither by name, nor in lists, views or exports; given up, it is gone."""
    clusterings = Clusterings(store)
    nothing = everything(store, tmp_path / "before")
    made = begin(clusterings)
    clusterings.add(made, ["p1"], ["k1"])
    assert everything(store, tmp_path / "half") == nothing
    assert clusterings.clustered(made) == clusterings.clusters(made) == []
    with pytest.raises(ConfigError, match="no such clustering"):
        clusterings.find(made)
    other = begin(clusterings)  # a living builder's rows stay
    clusterings.finish(made, clusters=[cluster()], anomalies=[], result={})
    clusterings.give_up(other)
    clusterings.give_up(made)  # is done: stays
    assert [row["clustering_id"] for row in clusterings.list()] == [made]
    assert store.query("SELECT state FROM clusterings") == [{"state": "done"}]
    with pytest.raises(StoreError, match="not being built"):
        clusterings.add(other, ["p1"], ["k1"])
    with pytest.raises(StoreError, match="not being built"):
        clusterings.finish(made, clusters=[], anomalies=[], result={})


def test_a_finish_that_fails_changes_nothing(store: Store, tmp_path: Path) -> None:
    """Clusters, anomalies and state go in together or not at all."""
    clusterings = Clusterings(store)
    made = begin(clusterings)
    nothing = everything(store, tmp_path / "before")
    twice = [cluster(), cluster()]
    with pytest.raises(StoreError):
        clusterings.finish(made, clusters=twice, anomalies=[ANOMALY], result={})
    assert everything(store, tmp_path / "after") == nothing
    assert store.query("SELECT * FROM clusters") == []
    assert len(clusterings.finish(made, clusters=[cluster()], anomalies=[ANOMALY] * 2, result={})) == 2


def test_names_of_clusterings(store: Store) -> None:
    """`last`, an id, and the beginning of one; what fits none or several is told with the choices."""
    clusterings = Clusterings(store)
    with pytest.raises(ConfigError, match="reasons cluster"):
        clusterings.find()
    refusal = build(store, filter={"task": "refusal", "model": "m"})
    other = build(store, filter={"task": "other"})
    assert clusterings.find()["clustering_id"] == clusterings.find(other[:-1])["clustering_id"] == other
    assert clusterings.find(task="refusal")["clustering_id"] == refusal
    assert clusterings.find(filter={"model": "m", "task": "refusal"})["clustering_id"] == refusal
    for wrong, said in ((other[:4], "several"), ("zzz", "no such"), ("", "no such"), ("%", "no such")):
        with pytest.raises(ConfigError, match=said) as caught:
            clusterings.find(wrong)
        assert other in str(caught.value)


def test_old_clusterings_keep_their_figures_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start leaves the newest of each filter their reasons, fewer where they are many, and one always."""
    monkeypatch.setattr(rows, "KEEP", 2)
    monkeypatch.setattr(rows, "_CHUNK", 1)  # removed in several steps
    clusterings = Clusterings(store)
    made = [build(store) for _ in range(3)]
    rare = build(store, filter={"task": "rare"})
    assert [len(clusterings.clustered(one)) for one in [*made, rare]] == [0, 2, 2, 2]
    monkeypatch.setattr(rows, "KEEP_ROWS", 1)
    build(store)
    assert [len(clusterings.clustered(one)) for one in [*made, rare]] == [0, 0, 2, 2]
    assert all(len(clusterings.clusters(one)) == 1 for one in made)
    assert len(clusterings.list()) == 5


def test_failure_modes_and_alerts(store: Store) -> None:
    """They are kept by name; a second one of a name replaces the first, and an ended alert stands again."""
    clusterings = Clusterings(store)
    of = {"cluster_id": "k1", "clustering_id": "x"}
    clusterings.put_failure_mode("no transcript", task="refusal", examples=3, **of)
    (first,) = clusterings.failure_modes()
    clusterings.put_failure_mode("no transcript", task="refusal", examples=5, note="again \ud83d", **of)
    (mode,) = clusterings.failure_modes()
    assert (mode["examples"], mode["created_at"], mode["note"]) == (5, first["created_at"], "again \ufffd")
    for _ in range(2):
        clusterings.put_alert("leak", embedder="e", centroid=CENTROID, similarity=0.8, least_conversations=3, **of)
        (alert,) = clusterings.alerts()
        assert (alert["centroid"], alert["ended_at"]) == (CENTROID, None)
        clusterings.end_alert("leak")
        assert clusterings.alerts() == []
    assert [row["alert"] for row in clusterings.alerts(ended=True)] == ["leak"]
    with pytest.raises(ConfigError, match="no such alert"):
        clusterings.end_alert("leak")


def test_deliveries_wait_until_they_arrive(store: Store) -> None:
    """They are claimed newest first and once; what failed is claimed again, what was refused too often is not."""
    clusterings = Clusterings(store)
    first, second = (clusterings.queue_delivery("x", {"anomalies": number}) for number in (1, 2))
    assert [row["delivery_id"] for row in clusterings.claim_deliveries()] == [second, first]
    assert clusterings.claim_deliveries() == []  # somebody sends them
    clusterings.delivered(second)
    assert not clusterings.failed(first, why="503")
    (left,) = clusterings.claim_deliveries()
    assert (left["delivery_id"], left["attempts"], left["why"], left["body"]) == (first, 1, "503", {"anomalies": 1})
    clusterings.release_deliveries([first])
    store.write(
        lambda connection: connection.execute("UPDATE deliveries SET owner = 'x 1 1', claimed_at = '2020'").rowcount
    )
    assert [row["delivery_id"] for row in clusterings.claim_deliveries()] == [first]  # its sender is long gone
    assert [clusterings.failed(first, why="400", permanent=True) for _ in range(4)] == [False, False, False, True]
    assert clusterings.undelivered() == clusterings.claim_deliveries() == []
    clusterings.queue_delivery("x", {})
    assert (clusterings.drop_deliveries(), clusterings.undelivered()) == (1, [])


def test_a_delivery_older_than_a_day_is_given_up(store: Store) -> None:
    """However it fails."""
    clusterings = Clusterings(store)
    old = clusterings.queue_delivery("x", {})
    store.write(lambda connection: connection.execute("UPDATE deliveries SET created_at = '2020'").rowcount)
    assert clusterings.failed(old, why="no answer")


def test_what_is_to_be_sent_is_queued_with_the_clustering(store: Store) -> None:
    """Both stand, or none does."""
    clusterings = Clusterings(store)
    with pytest.raises(StoreError):
        clusterings.finish("none", clusters=[], anomalies=[], result={}, deliveries=[{"a": 1}])
    assert clusterings.undelivered() == []
    made = begin(clusterings)
    clusterings.finish(made, clusters=[], anomalies=[], result={}, deliveries=[{"a": 1}])
    assert [(row["clustering_id"], row["body"]) for row in clusterings.undelivered()] == [(made, {"a": 1})]


def test_a_row_that_is_no_json_is_named(store: Store) -> None:
    """By its column and ids."""
    made = build(store)
    store.write(lambda connection: connection.execute("UPDATE clusters SET terms = '{bad'").rowcount)
    with pytest.raises(StoreError, match="its terms is no JSON") as caught:
        Clusterings(store).clusters(made)
    assert made in caught.value.message


# --- kills, processes, disks ------------------------------------------------------------------

_BUILD = """
import os, signal, sys, time
from llmclf.store import Clusterings, Store
store = Store(sys.argv[1])
clusterings = Clusterings(store)
where, count = sys.argv[2], 40_000
made = clusterings.start(run_id="r", since="a", until="b", embedder="e", reasons=count, conversations=1)
print(made, flush=True)
ids, clusters = [f"p{number:06d}" for number in range(count)], [f"k{number % 7}" for number in range(count)]
clusterings.add(made, ids[:20_000], clusters[:20_000])
print("half", flush=True)
if where == "add":
    while True:  # on and on, until killed in the middle of it
        clusterings.add(made, [f"{id_}-{time.monotonic_ns()}" for id_ in ids], clusters)
clusterings.add(made, ids[20_000:], clusters[20_000:])
if where == "finish":
    os.kill(os.getpid(), signal.SIGKILL)
rows = [dict(cluster_id=f"k{n}", kind="known", parent_id="", name="n", named_by="terms", terms=[], centroid=None,
             medoid="", reasons=1, conversations=1, first_seen="", figures={}) for n in range(7)]
clusterings.finish(made, clusters=rows, anomalies=[], result={})
store.close()
"""


def start(path: Path, where: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _BUILD, str(path), where], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("where", ["add", "finish"])
def test_a_killed_builder_leaves_nothing_to_see(tmp_path: Path, where: str) -> None:
    """Killed in the middle of writing, or just before the end: nothing shows, and the next start removes it all."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        nothing = everything(store, tmp_path / "before")
        done = build(store)
        shown = everything(store, tmp_path / "done")
        process = start(path, where)
        assert process.stdout is not None
        assert (process.stdout.readline(), process.stdout.readline())[1] == "half\n"
        if where == "add":
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert store.query("SELECT count(*) AS n FROM clustered")[0]["n"] >= 20_000  # it stands there, and is not seen
        assert everything(store, tmp_path / "killed") == shown != nothing
        next_one = build(store)
        assert [row["clustering_id"] for row in Clusterings(store).list()] == [next_one, done]
        assert store.query("SELECT count(*) AS n FROM clustered") == [{"n": 4}]
        assert store.query("SELECT count(*) AS n FROM clusterings") == [{"n": 2}]
        assert store.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_two_processes_build_at_once(tmp_path: Path) -> None:
    """Both finish, and neither takes the other's rows for a dead one's."""
    path = tmp_path / "llmclf.db"
    both = [start(path, "") for _ in range(2)]
    ids = [process.communicate(timeout=120)[0].split()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    with Store(path) as store:
        clusterings = Clusterings(store)
        assert sorted(row["clustering_id"] for row in clusterings.list()) == sorted(ids)
        for made in ids:
            assert len(clusterings.clustered(made)) == 40_000
            assert len(clusterings.clusters(made)) == 7


def test_a_full_disk_is_told_and_leaves_nothing_visible(tmp_path: Path) -> None:
    """StoreError while reasons are added, and while it is finished; with room again the same goes through."""
    with Store(tmp_path / "llmclf.db") as store:
        clusterings = Clusterings(store)
        made = begin(clusterings)
        nothing = everything(store, tmp_path / "before")
        connection = store._session._slot.connection
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + 4}")
        ids = [f"p{number}" for number in range(20_000)]
        with pytest.raises(StoreError, match="disk is full"):
            clusterings.add(made, ids, ["k1"] * len(ids))
        with pytest.raises(StoreError, match="disk is full"):
            clusterings.finish(made, clusters=[cluster(f"k{n}") for n in range(500)], anomalies=[], result={})
        assert everything(store, tmp_path / "full") == nothing
        connection.execute(f"PRAGMA max_page_count = {used + 100_000}")
        clusterings.give_up(made)
        build(store)
        assert len(clusterings.list()) == 1


@pytest.mark.skipif(not Path("/proc/1/stat").exists(), reason="when a process began is read from /proc")
def test_who_lives(tmp_path: Path) -> None:
    """This process does; an ended one, or another under the same id, does not; of another machine a day decides."""
    place, pid, began = this_process().split(" ")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    now = "2999-01-01"
    assert not is_dead(this_process(), now)
    assert not is_dead(f"{place} 1 {began_of(1)}", now)
    assert is_dead(f"{place} {ended.pid} {began}", now)
    assert is_dead(f"{place} {pid} {began}1", now)
    assert not is_dead(f"elsewhere/boot/pid:[1] {pid} {began}", now)
    assert is_dead(f"elsewhere/boot/pid:[1] {pid} {began}", "2020-01-01")


def began_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]


def test_an_older_store_gets_the_tables(tmp_path: Path) -> None:
    """A store of the migration before keeps its predictions, which have no fields, and is ready for clusterings."""
    path = tmp_path / "old.db"
    with Store(path) as store:
        run = store.start_run("classify", inputs_hash="h", config={})
    with closing(sqlite3.connect(path)) as connection, connection:
        tables = "clusterings clusters clustered anomalies failure_modes alerts deliveries".split()
        for statement in (
            *(f"DROP VIEW {view}" for view in (*VIEWS, "v_reasons")),
            *(f"DROP TABLE {table}" for table in tables),
            "ALTER TABLE predictions DROP COLUMN fields",
            "CREATE VIEW v_reasons AS SELECT prediction_id FROM predictions",
            "DELETE FROM _sqlite_migrations WHERE name = '0006_reasons'",
        ):
            connection.execute(statement)
        names = [row[1] for row in connection.execute("PRAGMA table_info(predictions)")]
        values = {"prediction_id": "p1", "run_id": run, "rationale": "why", "created_at": "2026-01-01"}
        row = [
            values.get(name, 0 if name in ("ungrounded", "truncated", "cached", "simulated") else "") for name in names
        ]
        connection.execute(f"INSERT INTO predictions VALUES ({', '.join('?' * len(row))})", row)
    with Store(path) as store:
        (reason,) = store.reasons()
        assert (reason["rationale"], reason["fields"]) == ("why", {})
        assert build(store)
