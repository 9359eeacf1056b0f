"""Clusterings to rows of the store and back: what is written of them, and what the next one needs of the last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from llmclf.errors import StoreError
from llmclf.reasons.identity import Earlier
from llmclf.reasons.result import Clustering
from llmclf.reasons.standing import StandingAlert
from llmclf.reasons.values import Cluster, ClusterSettings
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings

_WIDTH = 256
_TASKS = "SELECT clustering_id, json_extract(filter, '$.task') AS task FROM clusterings WHERE json_valid(filter)"
_MADE = """
SELECT clustering_id, embedder, filter, json_extract(settings, '$.text') AS text FROM clusterings
WHERE state = 'done' AND reasons > 0 AND json_valid(filter) AND json_valid(settings)
ORDER BY clustering_id DESC LIMIT ?
"""
_LOOKED_THROUGH = 200  # clusterings, newest first, among which the last one of the same filter is looked for


def cluster_rows(made: Clustering) -> list[dict[str, Any]]:
    """Clusters and parents as rows of the store."""
    pairs = zip(made.clusters, made.centroids, strict=True)
    above = zip(made.parents, made.parent_centroids, strict=True)
    return [_row(one, vector, one.kind) for one, vector in pairs] + [
        _row(one, vector, "parent") for one, vector in above
    ]


def anomaly_rows(made: Clustering) -> list[dict[str, Any]]:
    """Anomalies as rows of the store, in order; the evidence holds figures and ids."""
    rows = made.to_dict()["anomalies"]
    return [
        {
            "cluster_id": one.cluster,
            "kind": one.kind,
            "p": one.p,
            "reasons": one.reasons,
            "conversations": one.conversations,
            "evidence": row,
        }
        for one, row in zip(made.anomalies, rows, strict=True)
    ]


def earlier_of(store: Store, where: Mapping[str, Any], settings: ClusterSettings) -> Earlier | None:
    """The newest clustering of the same filter and words that has clusters; None where there is none.

    Versions of one classifier count as the same filter: a classifier that was changed keeps its clusters' names. Rows
    that something else has damaged are passed over.
    """
    clusterings = Clusterings(store)
    for row in store.query(_MADE, (_LOOKED_THROUGH,)):
        if row["text"] == settings.text and _same(json.loads(row["filter"]), where):
            with suppress(StoreError):
                return _earlier(row, clusterings.clusters(row["clustering_id"]))
    return None


def standing_alerts(store: Store, task: str) -> tuple[StandingAlert, ...]:
    """The alerts that stand for a task, as they are looked for. One whose vector is damaged fits no vectors."""
    tasks = {row["clustering_id"]: row["task"] for row in store.query(_TASKS)}
    return tuple(_alert(row) for row in Clusterings(store).alerts() if tasks.get(row["clustering_id"], task) == task)


def _alert(row: Mapping[str, Any]) -> StandingAlert:
    vector = _vector(row["centroid"])
    embedder = row["embedder"] if vector is not None else "no vector that can be read"
    vector = np.zeros(_WIDTH, np.float32) if vector is None else vector
    return StandingAlert(row["alert"], vector, row["similarity"], row["least_conversations"], embedder)


def _row(one: Cluster, vector: Any, kind: str) -> dict[str, Any]:
    return {
        "cluster_id": one.id,
        "kind": kind,
        "parent_id": one.parent,
        "name": one.name,
        "named_by": one.named_by,
        "terms": list(one.terms),
        "centroid": np.asarray(vector, "<f4").tobytes(),
        "medoid": one.medoid,
        "reasons": one.reasons,
        "conversations": one.conversations,
        "first_seen": one.first_seen,
        "figures": {
            "share": one.share.to_dict(),
            "baseline": one.baseline.to_dict(),
            "texts": one.texts,
            "labels": dict(one.labels),
            "errors": dict(one.errors),
            "last_seen": one.last_seen,
        },
    }


def _earlier(row: Mapping[str, Any], rows: list[dict[str, Any]]) -> Earlier:
    clusters = [one for one in rows if one["kind"] != "parent" and _vector(one["centroid"]) is not None]
    parents = [one for one in rows if one["kind"] == "parent" and _vector(one["centroid"]) is not None]
    return Earlier(
        clustering_id=row["clustering_id"],
        embedder=row["embedder"],
        ids=tuple(one["cluster_id"] for one in clusters),
        kinds=tuple(one["kind"] for one in clusters),
        names=tuple(one["name"] for one in clusters),
        named_by=tuple(one["named_by"] for one in clusters),
        parents=tuple(one["parent_id"] for one in clusters),
        terms=tuple(tuple(one["terms"]) for one in clusters),
        vectors=_vectors(clusters),
        parent_ids=tuple(one["cluster_id"] for one in parents),
        parent_names=tuple(one["name"] for one in parents),
        parent_vectors=_vectors(parents),
    )


def _vectors(rows: list[dict[str, Any]]) -> Any:
    if not rows:
        return np.zeros((0, _WIDTH), np.float32)
    return np.stack([_vector(one["centroid"]) for one in rows])


def _vector(centroid: bytes | None) -> Any:
    """The vector of a row; None where it has none, or one that is too short or no numbers."""
    if not isinstance(centroid, bytes) or len(centroid) != 4 * _WIDTH:
        return None
    vector = np.frombuffer(centroid, "<f4").astype(np.float32)
    return vector if np.isfinite(vector).all() else None


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _plain_filter(one) == _plain_filter(other)


def _plain_filter(where: Mapping[str, Any]) -> dict[str, Any]:
    """A filter with classifiers by name, and lists in order."""
    made = {}
    for name, value in where.items():
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        if name == "classifier_id":
            values = [str(each).partition("@")[0] for each in values]
        made[name] = sorted({str(each) for each in values})
    return made
