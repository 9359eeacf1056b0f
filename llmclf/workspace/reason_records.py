"""What stands in the store about clustered reasons, as people look it up: clusterings, one cluster, standing alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmclf.embedding import static_embedder
from llmclf.errors import ConfigError, nearest
from llmclf.reasons.values import ClusterSettings
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.workspace.promoting import POOL
from llmclf.workspace.quoting import Quote, quotes_of, why_no_quotes

_FIRED = """
SELECT name, count(*) AS fired, max(created_at) AS last FROM (
  SELECT json_extract(evidence, '$.name') AS name, created_at FROM anomalies WHERE kind = 'alert'
  UNION ALL SELECT value, created_at FROM anomalies, json_each(evidence, '$.alerts')
) GROUP BY name
"""
_COUNTED = "SELECT clustering_id, count(*) AS anomalies FROM anomalies GROUP BY clustering_id"
_MOST_NAMED = 5

State = Literal["anomaly", "quiet", "cant_tell"]


@dataclass(frozen=True)
class StoredCluster:
    """A cluster of a clustering in the store."""

    clustering: dict[str, Any]
    """Its row of `clusterings`."""
    cluster: dict[str, Any]
    """Its row of `clusters`."""
    children: tuple[dict[str, Any], ...]
    """Rows of the clusters that it is the parent of."""
    anomalies: tuple[dict[str, Any], ...]
    """Rows of the anomalies that it is in."""
    quotes: dict[str, Quote]
    """Prediction id to words, of those that may be quoted and are not forgotten."""
    why_no_quotes: str = ""
    """Why there are none, in words; empty where there are."""


def find_cluster(name: str, rows: Sequence[dict[str, Any]], *, clustering_id: str) -> dict[str, Any]:
    """The row of `clusters` whose id is `name` or begins so, or that is called so.

    ConfigError with the nearest where there is none, or with all of them where several begin so.
    """
    exact = [row for row in rows if name in (row["cluster_id"], row["name"])]
    chosen = exact[:1] or [row for row in rows if name and row["cluster_id"].startswith(name)]
    if len(chosen) != 1:
        raise _unknown(name, chosen or rows, several=bool(chosen), clustering_id=clustering_id)
    return chosen[0]


def cluster_id_of(name: str, store: Store, *, clustering: str = "last") -> str:
    """The id of a cluster that is no parent, by its id, how that begins, or its name; ConfigError otherwise."""
    if name == POOL:
        return POOL
    book = Clusterings(store)
    id_ = book.find(clustering)["clustering_id"]
    rows = [row for row in book.clusters(id_) if row["kind"] != "parent"]
    return str(find_cluster(name, rows, clustering_id=id_)["cluster_id"])


def stored_cluster(
    name: str, store: Store, *, clustering: str = "last", present: ClusterSettings | None = None
) -> StoredCluster:
    """A cluster or parent by its id, how that begins, or its name; ConfigError otherwise.

    `present`: see `quotes_of`.
    """
    book = Clusterings(store)
    found = book.find(clustering)
    id_ = found["clustering_id"]
    rows, strange = book.clusters(id_), book.anomalies(id_)
    row = _pool(found, strange) if name == POOL else find_cluster(name, rows, clustering_id=id_)
    own = row["cluster_id"]
    strange = [one for one in strange if one["cluster_id"] == ("" if own == POOL else own) and one["kind"] != "alert"]
    shown = [row["medoid"], *(example for one in strange for example in one["evidence"].get("examples", ()))]
    quotes = quotes_of(id_, store, [one for one in dict.fromkeys(shown) if one], present=present)
    why = "" if quotes else why_no_quotes(id_, store, own, present=present)
    children = tuple(one for one in rows if one["parent_id"] == own)
    return StoredCluster(found, row, children, tuple(strange), quotes, why)


def _pool(clustering: dict[str, Any], anomalies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The anomaly of the novelty pool in the form of a row of `clusters`."""
    found = [one for one in anomalies if one["kind"] == "novelty"]
    if not found:
        raise ConfigError(
            "it found no more reasons unlike the days before than chance brings, beside its clusters",
            where=f"clustering {clustering['clustering_id']}",
            got=POOL,
            fix="see its clusters: llmclf reasons show",
        )
    (one,) = found
    return {
        "clustering_id": clustering["clustering_id"],
        "cluster_id": POOL,
        "kind": "pool",
        "parent_id": "",
        "name": "unlike the days before, beside the new clusters",
        "named_by": "",
        "terms": [],
        "medoid": "",
        "reasons": one["reasons"],
        "conversations": one["conversations"],
        "first_seen": one["evidence"].get("first_seen", ""),
        "figures": {"share": one["evidence"].get("share")},
    }


def _unknown(name: str, rows: Sequence[dict[str, Any]], *, several: bool, clustering_id: str) -> ConfigError:
    words = {word: row["cluster_id"] for row in rows for word in (row["cluster_id"], row["name"])}
    hint = nearest(name, list(words)) if name else ""
    children = [row for row in rows if row["kind"] != "parent"] or rows  # what `show` lists
    shown = "; ".join(f"{row['cluster_id']} {row['name']}" for row in children[:_MOST_NAMED])
    close = hint if hint.startswith("did you mean") else f"{'these do' if several else 'the largest'}: {shown}"
    return ConfigError(
        "several clusters begin so" if several else f"there is no such cluster in clustering {clustering_id}",
        where="CLUSTER",
        got=name,
        fix=close if rows else "that clustering has no clusters",
    )


def stored_clustering(store: Store, name: str = "last") -> dict[str, Any]:
    """The row of a clustering with its `state`, `clusters` (largest first, parents too) and `anomalies`; no vectors."""
    book = Clusterings(store)
    found = book.find(name)
    clusters = [
        {key: value for key, value in row.items() if key != "centroid"} for row in book.clusters(found["clustering_id"])
    ]
    found["state"] = state_of(found["result"])
    return {**found, "clusters": clusters, "anomalies": book.anomalies(found["clustering_id"])}


def state_of(result: Mapping[str, Any]) -> State:
    """What a clustering says, by its `to_dict`.

    `cant_tell` where the novelty pool, the one test that needs no history of days, could not be tested: that is no
    all-clear. Nor is a standing alert that could not be looked for.
    """
    if result["anomalies"] or result["silence"]:
        return "anomaly"
    untold = result["pool"] is None or result["pool"]["p"] is None or bool(result.get("unwatched"))
    return "cant_tell" if untold else "quiet"


def clusterings(store: Store, limit: int = 20) -> list[dict[str, Any]]:
    """Rows of `clusterings`, newest first, each with its `state` and how many `anomalies`; without its `result`."""
    counts = {row["clustering_id"]: row["anomalies"] for row in store.query(_COUNTED)}
    rows = Clusterings(store).list(limit)
    return [
        {
            **{name: value for name, value in row.items() if name not in ("result", "owner")},
            "state": state_of(row["result"]),
            "anomalies": counts.get(row["clustering_id"], 0),
        }
        for row in rows
    ]


def standing_alerts(store: Store) -> list[dict[str, Any]]:
    """The alerts that stand, without their vectors, each with how often it `fired` and when `last` (None: never).

    `watched` is False where it can't be looked for: other vectors made it.
    """
    now = static_embedder().name
    fired = {row["name"]: row for row in store.query(_FIRED)}
    return [
        {
            **{name: value for name, value in row.items() if name not in ("centroid", "ended_at")},
            "fired": fired.get(row["alert"], {}).get("fired", 0),
            "last": fired.get(row["alert"], {}).get("last"),
            "watched": row["embedder"] == now,
        }
        for row in Clusterings(store).alerts()
    ]
