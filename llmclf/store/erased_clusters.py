"""What clusters tell of forgotten reasons: taken out where too few conversations are left that share it."""

from __future__ import annotations

import html
import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any

FORGOTTEN = "(forgotten)"
"""The name of a cluster whose words are taken out."""

_LEAST = 3  # conversations, where a clustering does not say
_TOLD = frozenset({"sentence", "text", "notes"})  # texts that may hold the name of a cluster
_GONE = (
    "DROP TABLE IF EXISTS temp.gone",
    "CREATE TEMP TABLE gone (created_at TEXT, conversation_id TEXT, fresh INTEGER)",
)
_FILL = """
INSERT INTO gone SELECT created_at, conversation_id, forgotten_at = ? FROM predictions WHERE forgotten_at IS NOT NULL
"""
_INDEX = "CREATE INDEX temp.gone_by_time ON gone (created_at)"
_TOUCHED = """
SELECT clustering_id, since, until, baseline_since, json_extract(settings, '$.least_conversations') FROM clusterings
WHERE state = 'done' AND EXISTS (
  SELECT 1 FROM gone WHERE fresh AND gone.created_at >= coalesce(baseline_since, since) AND gone.created_at < until)
"""
_COUNT = "SELECT count(DISTINCT conversation_id) FROM gone WHERE created_at >= ? AND created_at < ?"
_HAS_ROWS = "SELECT 1 FROM clustered WHERE clustering_id = ? LIMIT 1"
_LIVING = """
SELECT {by}, count(DISTINCT CASE WHEN forgotten_at IS NULL THEN conversation_id END), sum(forgotten_at IS NOT NULL)
FROM clustered JOIN predictions USING (prediction_id) {join}
WHERE clustered.clustering_id = ? GROUP BY {by}
"""
_BY_CLUSTER = _LIVING.format(by="cluster_id", join="")
_BY_PARENT = _LIVING.format(by="parent_id", join="JOIN clusters USING (clustering_id, cluster_id)")
_CLUSTERS = """
SELECT cluster_id, kind, name, conversations, coalesce(json_extract(figures, '$.baseline.value'), 0)
  * coalesce(json_extract(figures, '$.baseline.n'), 0)
FROM clusters WHERE clustering_id = ? AND (centroid IS NOT NULL OR terms <> '[]')
"""
_BLANK = """
UPDATE clusters SET name = ?, named_by = 'terms', terms = '[]', centroid = NULL, medoid = ''
WHERE clustering_id = ? AND cluster_id = ?
"""
_END = """
UPDATE alerts SET centroid = zeroblob(0), ended_at = coalesce(ended_at, ?)
WHERE clustering_id = ? AND cluster_id = ? AND length(centroid) > 0
"""
_DOCUMENTS = (
    ("clusterings", "clustering_id", "result"),
    ("anomalies", "anomaly_id", "evidence"),
    ("deliveries", "delivery_id", "body"),
)


def erase_clusters(connection: sqlite3.Connection, now: str) -> dict[str, int]:
    """Part of the transaction in which predictions were forgotten at `now`: name, terms, centroid and medoid of each
    cluster that held one of them and is left with fewer living conversations than its clustering asks for; in what
    was found and what is to be sent as well. Alerts made of such clusters end. Gives how many of both there were.

    Where nobody knows any more which reason was in which cluster (of a baseline, or of a clustering too old), all that
    was forgotten there counts as if it had been of each.
    """
    for statement in _GONE:
        connection.execute(statement)
    connection.execute(_FILL, (now,))
    connection.execute(_INDEX)
    clusters = alerts = 0
    for id_, since, until, before, least in connection.execute(_TOUCHED).fetchall():
        blank = _too_few(connection, id_, (since, until, before), least or _LEAST)
        for one in blank:
            connection.execute(_BLANK, (FORGOTTEN, id_, one))
            alerts += connection.execute(_END, (now, id_, one)).rowcount
        if blank:
            _take_out(connection, id_, blank)
        clusters += len(blank)
    connection.execute(_GONE[0])
    found = {"clusters": clusters, "alerts": alerts}
    return {table: count for table, count in found.items() if count}


def _too_few(
    connection: sqlite3.Connection, id_: str, period: tuple[str, str, str | None], least: int
) -> dict[str, str]:
    """Cluster to name, of those that lost somebody and are left with too few."""
    since, until, before = period
    gone = connection.execute(_COUNT, (since, until)).fetchone()[0]
    gone_before = connection.execute(_COUNT, (before, since)).fetchone()[0] if before else 0
    known: dict[str, tuple[int, int]] | None = None
    if connection.execute(_HAS_ROWS, (id_,)).fetchone():
        rows = [*connection.execute(_BY_CLUSTER, (id_,)), *connection.execute(_BY_PARENT, (id_,))]
        known = {cluster: (living, lost) for cluster, living, lost in rows if cluster}
    found = {}
    for cluster, kind, name, conversations, earlier in connection.execute(_CLUSTERS, (id_,)).fetchall():
        living, lost = (conversations - gone, gone) if known is None else known.get(cluster, (0, 0))
        if kind != "new":
            living, lost = max(living, 0) + max(round(earlier) - gone_before, 0), lost + gone_before
        if lost and living < least:
            found[cluster] = name
    return found


def _take_out(connection: sqlite3.Connection, id_: str, blank: Mapping[str, str]) -> None:
    names = {one for name in blank.values() for one in (name, html.escape(name, quote=False))}
    names = {one for one in names if one and not one.startswith("(")}
    for table, key, column in _DOCUMENTS:
        rows = connection.execute(f"SELECT {key}, {column} FROM {table} WHERE clustering_id = ?", (id_,))  # noqa: S608
        for row, text in rows.fetchall():
            if text is None:
                continue
            try:
                new = json.dumps(_without(json.loads(text), blank, sorted(names, key=len, reverse=True)))
            except ValueError:  # was no JSON: nobody can say what stands in it
                new = "{}"
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (new, row))  # noqa: S608


def _without(value: Any, ids: Collection[str], names: list[str]) -> Any:
    """A document without what it tells of some clusters."""
    if isinstance(value, list):
        return [_without(one, ids, names) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name: _plain(one, names) if name in _TOLD else _without(one, ids, names) for name, one in value.items()}
    if {value.get("id"), value.get("cluster"), value.get("cluster_id")} & set(ids):
        empty: dict[str, Any] = {"name": FORGOTTEN, "named_by": "terms", "terms": [], "medoid": "", "examples": []}
        made |= {name: empty[name] for name in empty.keys() & made.keys()}
    return made


def _plain(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_plain(one, names) for one in value]
    if isinstance(value, str):
        for name in names:
            value = value.replace(name, FORGOTTEN)
    return value
