"""Quotes of clustered reasons: looked up when they are shown, and only where enough conversations speak alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.reasons.result import Clustering
from llmclf.reasons.values import ClusterSettings
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.types.reasons import ReasonText

_AT_ONCE = 500  # ids in one query
_WORDS = """
SELECT prediction_id, rationale, predictions.thinking AS thinking, predictions.conversation_id, label, calls.model,
  created_at
FROM predictions LEFT JOIN calls USING (call_id)
WHERE (coalesce(rationale, '') <> '' OR coalesce(predictions.thinking, '') <> '') AND prediction_id IN ({marks})
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """The words of one reason, as the store has them: redacted where privacy says so."""

    text: str
    conversation_id: str
    label: str | None
    """None: the prediction failed."""
    model: str
    """Empty: no model was asked."""
    at: str
    """When it was made, UTC."""

    def to_dict(self) -> dict[str, Any]:
        """The quote as JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


def quotes_of(clustering: str | Clustering, store: Store, ids: Iterable[str] | None = None) -> dict[str, Quote]:
    """Prediction id to quote, for those of `ids` that may be quoted and are not forgotten.

    A reason may be quoted where its cluster, or an anomaly that it is one of, has `least_reasons` reasons from
    `least_conversations` conversations at least. `ids` None: the medoids of clusters and the examples of anomalies.
    `clustering` is a name as `Clusterings.find` takes it; ConfigError where there is none.
    """
    if isinstance(clustering, Clustering):
        shown, allowed, text = _of_clustering(clustering)
    else:
        shown, allowed, text = _of_stored(clustering, store)
    wanted = shown if ids is None else list(ids)
    return read_quotes(store, [one for one in dict.fromkeys(wanted) if one in allowed], text)


def read_quotes(store: Store, ids: Sequence[str], text: ReasonText = "rationale") -> dict[str, Quote]:
    """Prediction id to its words, for those that still have any. Whoever asks says that they may be quoted."""
    found: dict[str, Quote] = {}
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        for row in store.query(_WORDS.format(marks=", ".join("?" * len(part))), part):
            words = [row["rationale"] or "", row["thinking"] or ""]
            said = next(one for one in (words if text == "rationale" else words[::-1]) if one)
            found[row["prediction_id"]] = Quote(
                said, row["conversation_id"], row["label"], row["model"] or "", row["created_at"]
            )
    return {one: found[one] for one in ids if one in found}


def _of_clustering(made: Clustering) -> tuple[list[str], Collection[str], ReasonText]:
    """(what is shown by itself, what may be quoted, which words)."""
    settings = made.settings
    large = {one.id for one in made.clusters if _enough(one.reasons, one.conversations, settings)}
    ids = made.reasons.column("prediction_id")
    allowed = {id_ for id_, cluster in zip(ids, made.cluster_ids, strict=True) if cluster in large}
    allowed |= {one.medoid for one in made.clusters if one.id in large}  # it may be one of the baseline
    shown = [one.medoid for one in made.clusters]
    for one in made.anomalies:
        shown += one.examples
        if _enough(one.reasons, one.conversations, settings):
            allowed |= {*one.examples, *one.predictions}
    return shown, allowed, settings.text


def _of_stored(name: str, store: Store) -> tuple[list[str], Collection[str], ReasonText]:
    clusterings = Clusterings(store)
    row = clusterings.find(name)
    clustering_id = row["clustering_id"]
    settings = ClusterSettings(**row["settings"])
    clusters = [one for one in clusterings.clusters(clustering_id) if one["kind"] != "parent"]
    large = {one["cluster_id"] for one in clusters if _enough(one["reasons"], one["conversations"], settings)}
    inside = clusterings.clustered(clustering_id)
    allowed = {one["prediction_id"] for one in inside if one["cluster_id"] in large}
    shown = [one["medoid"] for one in clusters]
    allowed |= {one["medoid"] for one in clusters if one["cluster_id"] in large}
    for one in clusterings.anomalies(clustering_id):
        shown += one["evidence"].get("examples", [])
        if _enough(one["reasons"], one["conversations"], settings):
            allowed |= set(_ids(one["evidence"]))
    return shown, allowed, settings.text


def _ids(evidence: dict[str, Any]) -> Iterator[str]:
    yield from evidence.get("examples", [])
    yield from evidence.get("predictions", [])


def _enough(reasons: int, conversations: int, settings: ClusterSettings) -> bool:
    return reasons >= settings.least_reasons and conversations >= settings.least_conversations
