"""Clusterings of the store as pages for people and as rows for backends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmclf.reasons.report_page import quoted_ids, reasons_page
from llmclf.reasons.values import ClusterSettings
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.store.moments import moment_text
from llmclf.workspace.quoting import quotes_of

EXAMPLES = 4
"""Reasons of each cluster that its page quotes, beside the one that stands for it best."""

_NEWEST = """
SELECT prediction_id FROM clustered WHERE clustering_id = ? AND cluster_id = ? ORDER BY prediction_id DESC LIMIT ?
"""
_ANOMALIES = """
SELECT clustering_id, kind, cluster_id,
       CASE WHEN kind = 'novelty' THEN json_extract(evidence, '$.predictions') END AS pooled
FROM anomalies WHERE clustering_id IN (SELECT value FROM json_each(?))
"""
_WINDOWS = "SELECT clustering_id, since, until, simulated FROM clusterings WHERE state = 'done'"


def clustering_page(store: Store, name: str = "last", *, back: str = "", present: ClusterSettings | None = None) -> str:
    """The page of a clustering by its id, how that begins, or `last`; with quotes where enough conversations agree.

    Quotes are looked up now: what was forgotten meanwhile is not in it, and `present` is as in `quotes_of`.
    ConfigError where there is no such clustering.
    """
    row = Clusterings(store).find(name)
    id_ = row["clustering_id"]
    document = {**row["result"], "clustering": id_, "since": row["since"], "until": row["until"]}
    document["clusters"] = [_with_examples(store, id_, one) for one in document["clusters"]]
    quotes = quotes_of(id_, store, quoted_ids(document), present=present)
    return reasons_page(document, {one: quote.to_dict() for one, quote in quotes.items()}, back=back)


def standing_since(store: Store, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By clustering: until when the window reached that first held its anomalies, where an earlier one did.

    `rows` as `clusterings` gives them, newest first; compared are those of the same filter one after another. The same
    are anomalies of the same kinds and clusters; of the novelty pool, those with a prediction in common.
    """
    found: dict[str, dict[tuple[str, str], set[str]]] = {}
    ids = [row["clustering_id"] for row in rows]
    for one in store.query(_ANOMALIES, (json.dumps(ids),)):
        predictions = set(json.loads(one["pooled"] or "[]"))
        found.setdefault(one["clustering_id"], {})[one["kind"], one["cluster_id"]] = predictions
    since: dict[str, str] = {}
    before: dict[str, tuple[dict[tuple[str, str], set[str]], str]] = {}
    for row in reversed(rows):
        own, key = found.get(row["clustering_id"], {}), json.dumps(row["filter"], sort_keys=True)
        held, first = before.get(key, ({}, ""))
        if own and all(one in held and (not some or some & held[one]) for one, some in own.items()):
            since[row["clustering_id"]] = first
        before[key] = own, since.get(row["clustering_id"], row["until"])
    return since


def anomalies_since(store: Store, since: str, limit: int) -> list[dict[str, Any]]:
    """Anomalies found since a moment or for an age such as 24h, newest first: figures and ids, never words of reasons.

    Each with the window it was found in and whether that was `simulated`. ConfigError where `since` is no moment.
    """
    windows = {row.pop("clustering_id"): row for row in store.query(_WINDOWS)}
    rows = Clusterings(store).anomalies(since=moment_text(since), limit=limit)
    return [
        {**row, **windows[row["clustering_id"]], "simulated": bool(windows[row["clustering_id"]]["simulated"])}
        for row in rows
    ]


def _with_examples(store: Store, clustering_id: str, cluster: dict[str, Any]) -> dict[str, Any]:
    if not cluster["medoid"]:
        return cluster
    rows = store.query(_NEWEST, (clustering_id, cluster["id"], EXAMPLES))
    return {**cluster, "examples": [row["prediction_id"] for row in rows]}
