"""Clustered reasons in the store: built step by step, and seen by nobody before they are complete."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from llmclf.errors import ConfigError, StoreError, nearest
from llmclf.store.builders import is_dead, this_process
from llmclf.store.deliveries import DeliveryQueue, insert_deliveries, queued_row
from llmclf.store.erasing import erase_naming
from llmclf.store.moments import new_id, new_ids, utc_text
from llmclf.store.reason_rows import Row, insert, inserting, read_row, values_of
from llmclf.store.texts import storable
from llmclf.types import canonical_json

Found = list[dict[str, Any]]

KEEP = 30
"""Of equal filters so many of the newest clusterings keep which reason is in which cluster; the figures of all stay."""
KEEP_ROWS = 3_000_000
"""Beyond so many reasons over all, newest first, only the newest clustering of a filter keeps that."""

_CHUNK = 5_000  # rows in one transaction: others write in between
_CLUSTERING = (
    "clustering_id", "run_id", "created_at", "state", "owner", "since", "until", "baseline_since", "baseline_until",
    "filter", "settings", "embedder", "reasons", "conversations", "baseline_reasons", "simulated",
)  # fmt: skip
_CLUSTER = (
    "clustering_id", "cluster_id", "kind", "parent_id", "name", "named_by", "terms", "centroid", "medoid", "reasons",
    "conversations", "first_seen", "figures",
)  # fmt: skip
_ANOMALY = (
    "anomaly_id", "clustering_id", "cluster_id", "kind", "created_at", "p", "reasons", "conversations", "evidence",
)  # fmt: skip
_FAILURE_MODE = (
    "failure_mode", "created_at", "cluster_id", "clustering_id", "task", "dataset", "examples", "note",
)  # fmt: skip
_ALERT = (
    "alert", "created_at", "cluster_id", "clustering_id", "embedder", "centroid", "similarity", "least_conversations",
    "note", "ended_at",
)  # fmt: skip
_BUILT = "SELECT clustering_id, run_id, owner, created_at FROM clusterings WHERE state = 'building'"
_ENDED = """
UPDATE runs SET state = 'failed', finished_at = ?, why = 'its process ended before it was done'
WHERE run_id = ? AND state = 'running'
"""
_DONE = "clustering_id = (SELECT clustering_id FROM clusterings WHERE clustering_id = ? AND state = 'done')"
_DROP = """
DELETE FROM clustered WHERE clustering_id = :id AND (cluster_id, prediction_id) IN (
  SELECT cluster_id, prediction_id FROM clustered WHERE clustering_id = :id LIMIT :count)
"""
_OLD = """
SELECT clustering_id FROM (
  SELECT clustering_id, row_number() OVER (PARTITION BY filter ORDER BY clustering_id DESC) AS place,
         sum(reasons) OVER (ORDER BY clustering_id DESC) AS together
  FROM clusterings WHERE state = 'done')
WHERE (place > ? OR (place > 1 AND together > ?))
  AND EXISTS (SELECT 1 FROM clustered WHERE clustered.clustering_id = clustering_id)
"""


class Clusterings(DeliveryQueue):
    """The clusterings of a store, and what came of them: anomalies, failure modes, standing alerts, deliveries.

    Rows are dicts by column name (docs/store.md), JSON columns read. A clustering is built by `start`, `add` and
    `finish`; no method shows it before it is finished. Several processes may build at once. What a killed process
    left half-built goes with the next `start`.
    """

    # --- building ---------------------------------------------------------------------------

    def start(
        self,
        *,
        run_id: str,
        since: str,
        until: str,
        baseline_since: str | None = None,
        baseline_until: str | None = None,
        filter: Mapping[str, Any] = {},
        settings: Mapping[str, Any] = {},
        embedder: str,
        reasons: int,
        conversations: int,
        baseline_reasons: int = 0,
        simulated: bool = False,
    ) -> str:
        """The id of a new clustering that is being built; moments are as `utc_text` writes them.

        Removes what dead processes left half-built, and of clusterings that are too old by `KEEP` and `KEEP_ROWS`
        which reason is in which cluster. StoreError where the store can't be written.
        """
        self._remove_dead()
        self._store.write(erase_naming)
        for old in self._store.query(_OLD, (KEEP, KEEP_ROWS)):  # here, so that `finish` does one thing or nothing
            self._remove_rows(old["clustering_id"])
        id_ = new_id()
        row = (
            id_, run_id, utc_text(), "building", this_process(), since, until, baseline_since, baseline_until,
            canonical_json(filter), canonical_json(settings), embedder, reasons, conversations, baseline_reasons,
            simulated,
        )  # fmt: skip
        self._store.write(lambda connection: insert(connection, "clusterings", _CLUSTERING, [row]))
        return id_

    def add(
        self,
        clustering_id: str,
        prediction_ids: Sequence[str],
        cluster_ids: Sequence[str],
        novelty: Sequence[float] | None = None,
    ) -> None:
        """Writes which reason is in which cluster (empty: in the pool, alone), in chunks; committed at return.

        `novelty` is each reason's share of the baseline that is as far from the rest; None: there is no baseline.
        StoreError where the store can't be written, or the clustering is not being built.
        """
        values: Iterable[float | None] = [None] * len(prediction_ids) if novelty is None else novelty
        # In the order of the table, so that a chunk touches few pages.
        rows = iter(sorted(zip(cluster_ids, prediction_ids, values, strict=True), key=lambda row: row[:2]))
        while chunk := [(clustering_id, *row) for row in islice(rows, _CHUNK)]:
            self._store.write(_adding(clustering_id, chunk))

    def finish(
        self,
        clustering_id: str,
        *,
        clusters: Sequence[Row],
        anomalies: Sequence[Row],
        result: Row,
        deliveries: Sequence[Row] = (),
    ) -> list[str]:
        """Makes it count, in one transaction with its clusters and anomalies; the ids of these, in order.

        `deliveries` are bodies to be sent, queued in that transaction as well.

        Clusters and anomalies are mappings by column: a cluster's `clustering_id`, and an anomaly's ids and
        `created_at`, are set here; `terms`, `figures` and `evidence` are JSON values, `centroid` is bytes. They and
        `result` hold figures, ids and terms, no other words of conversations. StoreError as in `add`: then nothing of
        it is written.
        """
        now, ids = utc_text(), new_ids(len(anomalies))
        own = {"clustering_id": clustering_id}
        cluster_rows = [values_of({**row, **own}, _CLUSTER) for row in clusters]
        named = zip(anomalies, ids, strict=True)
        anomaly_rows = [values_of({**row, **own, "anomaly_id": id_, "created_at": now}, _ANOMALY) for row, id_ in named]
        text = canonical_json(result)
        queued = [queued_row(clustering_id, body) for body in deliveries]

        def work(connection: sqlite3.Connection) -> None:
            _check_is_built(connection, clustering_id)
            insert(connection, "clusters", _CLUSTER, cluster_rows)
            insert(connection, "anomalies", _ANOMALY, anomaly_rows)
            sql = "UPDATE clusterings SET state = 'done', result = ? WHERE clustering_id = ?"
            connection.execute(sql, (text, clustering_id))
            insert_deliveries(connection, queued)

        self._store.write(work)
        return ids

    def give_up(self, clustering_id: str) -> None:
        """Removes a clustering that is being built; one that is done stays."""
        if self._store.query(f"{_BUILT} AND clustering_id = ?", (clustering_id,)):
            self._remove(clustering_id)

    # --- reading ----------------------------------------------------------------------------

    def find(self, name: str = "last", *, task: str | None = None, filter: Row | None = None) -> dict[str, Any]:
        """The clustering `name`: its id, the beginning of one that no other has, or `last`.

        `last` is the newest of those whose filter names `task`, or is equal to `filter`, where these are given.
        ConfigError with the choices where there is none, or several begin so.
        """
        sql = "SELECT clustering_id, filter FROM clusterings WHERE state = 'done' ORDER BY clustering_id DESC"
        asked = None if filter is None else canonical_json(filter)
        known = [
            row["clustering_id"]
            for row in self._store.query(sql)
            if (task is None or json.loads(row["filter"]).get("task") == task) and asked in (None, row["filter"])
        ]
        chosen = known[:1] if name == "last" else [id_ for id_ in known if name and id_.startswith(name)]
        if len(chosen) == 1:
            return self._rows("clusterings WHERE clustering_id = ?", chosen[0])[0]
        what = "several clusterings begin so" if chosen else "there is no such clustering"
        fix = f"newest first: {', '.join(known[:5])}" if known else "`llmclf reasons cluster` makes one"
        raise ConfigError(what, where="clustering", got=name, fix=fix)

    def list(self, limit: int = 20) -> Found:
        """Clusterings, newest first."""
        return self._rows("clusterings WHERE state = 'done' ORDER BY clustering_id DESC LIMIT ?", limit)

    def clusters(self, clustering_id: str) -> Found:
        """The clusters of a clustering and their parents, largest first."""
        return self._rows(f"clusters WHERE {_DONE} ORDER BY reasons DESC, cluster_id", clustering_id)

    def clustered(self, clustering_id: str, cluster_id: str | None = None) -> Found:
        """`prediction_id`, `cluster_id` and `novelty` of the reasons, all or those of one cluster, oldest first.

        There are none where the clustering is too old to have kept them.
        """
        sql = f"SELECT prediction_id, cluster_id, novelty FROM clustered WHERE {_DONE}"  # noqa: S608
        more = "" if cluster_id is None else " AND cluster_id = ?"
        values = [clustering_id] if cluster_id is None else [clustering_id, cluster_id]
        return self._store.query(f"{sql}{more} ORDER BY prediction_id", values)

    def anomalies(self, clustering_id: str | None = None, *, since: str | None = None, limit: int = 1_000) -> Found:
        """Anomalies of a clustering in the order they were given; or all since a moment (UTC), newest first."""
        if clustering_id is not None:
            return self._rows(f"anomalies WHERE {_DONE} ORDER BY anomaly_id LIMIT ?", clustering_id, limit)
        return self._rows("anomalies WHERE created_at >= ? ORDER BY anomaly_id DESC LIMIT ?", since or "", limit)

    # --- what people make of a cluster ------------------------------------------------------

    def put_failure_mode(
        self,
        name: str,
        *,
        cluster_id: str,
        clustering_id: str,
        task: str,
        dataset: str = "",
        examples: int = 0,
        note: str = "",
    ) -> None:
        """Keeps a failure mode; one of the same name is replaced, but for when it was made."""
        row = (name, utc_text(), cluster_id, clustering_id, task, storable(dataset), examples, storable(note))
        self._put("failure_modes", _FAILURE_MODE, row)

    def failure_modes(self) -> Found:
        """The failure modes, oldest first."""
        return self._rows("failure_modes ORDER BY created_at, failure_mode")

    def put_alert(
        self,
        name: str,
        *,
        cluster_id: str,
        clustering_id: str,
        embedder: str,
        centroid: bytes,
        similarity: float,
        least_conversations: int,
        note: str = "",
    ) -> None:
        """Keeps a standing alert; one of the same name is replaced, and stands again where it had ended."""
        row = (
            name, utc_text(), cluster_id, clustering_id, embedder, centroid, similarity, least_conversations,
            storable(note), None,
        )  # fmt: skip
        self._put("alerts", _ALERT, row)

    def alerts(self, *, ended: bool = False) -> Found:
        """The alerts that stand, oldest first; with `ended` also those that stand no more."""
        return self._rows("alerts WHERE ? OR ended_at IS NULL ORDER BY created_at, alert", ended)

    def end_alert(self, name: str) -> None:
        """Ends a standing alert. ConfigError with those that stand where there is none of that name."""
        sql = "UPDATE alerts SET ended_at = ? WHERE alert = ? AND ended_at IS NULL"
        if not self._store.write(lambda connection: connection.execute(sql, (utc_text(), name)).rowcount):
            known = [row["alert"] for row in self.alerts()]
            raise ConfigError("no such alert stands", where="alert", got=name, fix=nearest(name, known))

    # --- inside -----------------------------------------------------------------------------

    def _rows(self, source: str, *values: object) -> Found:
        return [read_row(row) for row in self._store.query(f"SELECT * FROM {source}", values)]  # noqa: S608

    def _put(self, table: str, columns: Sequence[str], row: Sequence[object]) -> None:
        """Writes a row that replaces the one of its name, but for when that was made."""
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in (columns[0], "created_at"))
        sql = f"{inserting(table, columns)} ON CONFLICT DO UPDATE SET {changes}"
        self._store.write(lambda connection: connection.execute(sql, row).rowcount)

    def _remove_dead(self) -> None:
        for row in self._store.query(_BUILT):
            if is_dead(row["owner"], row["created_at"]):
                self._end_run(row["run_id"])
                self._remove(row["clustering_id"])

    def _end_run(self, run_id: str) -> None:
        values = (utc_text(), run_id)
        self._store.write(lambda connection: connection.execute(_ENDED, values).rowcount)

    def _remove(self, clustering_id: str) -> None:
        """Removes a half-built one; its own row last, so that what a kill leaves is found again."""
        self._remove_rows(clustering_id)
        sql = "DELETE FROM clusterings WHERE clustering_id = ? AND state = 'building'"
        self._store.write(lambda connection: connection.execute(sql, (clustering_id,)).rowcount)

    def _remove_rows(self, clustering_id: str) -> None:
        """Removes which reason is in which cluster, in chunks."""
        values = {"id": clustering_id, "count": _CHUNK}
        while self._store.write(lambda connection: connection.execute(_DROP, values).rowcount) == _CHUNK:
            pass


def _adding(clustering_id: str, rows: Sequence[Sequence[object]]) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        _check_is_built(connection, clustering_id)
        insert(connection, "clustered", ("clustering_id", "cluster_id", "prediction_id", "novelty"), rows)

    return work


def _check_is_built(connection: sqlite3.Connection, clustering_id: str) -> None:
    found = connection.execute(f"{_BUILT} AND clustering_id = ?", (clustering_id,)).fetchone()
    if found is None:
        raise StoreError("this clustering is not being built", where="clustering", got=clustering_id, fix="start anew")
