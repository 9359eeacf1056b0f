"""Quotes of clustered reasons: looked up when they are shown, and only where enough conversations speak alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.reasons.result import Clustering
from llmclf.reasons.values import POOL, ClusterSettings
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.types.reasons import ReasonText

_AT_ONCE = 500  # ids in one query
_LOOKED_AT = 1_000  # reasons of a cluster among which enough conversations are looked for before all of them are
_PLENTY = 30  # conversations that satisfy any setting that somebody would ask for
_SAID = "(coalesce(rationale, '') <> '' OR coalesce(predictions.thinking, '') <> '') AND forgotten_at IS NULL"
_WORDS = f"""
SELECT prediction_id, rationale, predictions.thinking AS thinking, predictions.conversation_id, label, calls.model,
  created_at
FROM predictions LEFT JOIN calls USING (call_id)
WHERE {_SAID.replace("forgotten_at", "predictions.forgotten_at")} AND prediction_id IN ({{marks}})
"""  # noqa: S608
_INSIDE = """
SELECT asked.value AS id, clustered.cluster_id FROM clusters CROSS JOIN json_each(:ids) AS asked
JOIN clustered ON clustered.clustering_id = clusters.clustering_id AND clustered.cluster_id = clusters.cluster_id
  AND clustered.prediction_id = asked.value
WHERE clusters.clustering_id = :id
"""
_LIVING = f"""
SELECT prediction_id, conversation_id FROM clustered JOIN predictions USING (prediction_id)
WHERE clustering_id = ? AND cluster_id = ? AND {_SAID} ORDER BY prediction_id DESC LIMIT ?
"""  # noqa: S608
_LIVING_OF = f"""
SELECT prediction_id, conversation_id FROM json_each(?) AS asked
JOIN predictions ON predictions.prediction_id = asked.value WHERE {_SAID} ORDER BY asked.key
"""  # noqa: S608


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


def quotes_of(
    clustering: str | Clustering,
    store: Store,
    ids: Iterable[str] | None = None,
    *,
    present: ClusterSettings | None = None,
) -> dict[str, Quote]:
    """Prediction id to quote, for those of `ids` that may be quoted.

    A reason may be quoted where its cluster, or an anomaly that it is one of, has `least_reasons` reasons from
    `least_conversations` conversations at least that are not forgotten: the stricter ones of those it was clustered
    with and of `present`, the settings as they are now. In place of a medoid or an example that is forgotten another
    reason of the same is quoted: the quote says whose it is. `ids` None: the medoids of clusters and the examples of
    anomalies. `clustering` is a name as `Clusterings.find` takes it; ConfigError where there is none.
    """
    look = _of_clustering(clustering, store) if isinstance(clustering, Clustering) else _of_stored(clustering, store)
    wanted = list(dict.fromkeys(one for one in (look.shown if ids is None else ids) if one))
    least = _stricter(look.settings, present)
    groups = [
        (members, living)
        for members, living in look.groups(wanted)
        if len(living) >= least[0] and len(set(living.values())) >= least[1]
    ]
    quoted_as: dict[str, str] = {}
    shown = set(look.shown)
    for members, living in groups:
        spare = (one for one in living if one not in members and one not in quoted_as.values())
        for one in members:
            if one not in quoted_as and (one in living or _has_words(one, store)):
                quoted_as[one] = one
            elif one not in quoted_as and one in shown and (other := next(spare, "")):
                quoted_as[one] = other
    found = read_quotes(store, list(dict.fromkeys(quoted_as.values())), look.settings.text)
    return {one: found[quoted_as[one]] for one in wanted if quoted_as.get(one) in found}


def why_no_quotes(clustering_id: str, store: Store, cluster_id: str, *, present: ClusterSettings | None = None) -> str:
    """Why nothing of a stored cluster may be quoted, in words; empty where something may. `pool`: the novelty pool."""
    clusterings = Clusterings(store)
    least = _stricter(ClusterSettings(**clusterings.find(clustering_id)["settings"]), present)
    rows = clusterings.anomalies(clustering_id) if cluster_id == POOL else clusterings.clusters(clustering_id)
    one = next((row for row in rows if (row["kind"] == "novelty" or row["cluster_id"] == cluster_id)), None)
    if one is None or one["kind"] == "parent":
        return "a group of clusters is quoted by its clusters"
    if one["conversations"] < least[1]:
        return f"too few conversations to quote: {one['conversations']} of {least[1]}"
    if one["reasons"] < least[0]:
        return f"too few reasons to quote: {one['reasons']} of {least[0]}"
    living = (
        _living_of(store, list(_ids(one["evidence"])))
        if cluster_id == POOL
        else _living(store, clustering_id, cluster_id, least)
    )
    enough = len(living) >= least[0] and len(set(living.values())) >= least[1]
    return "" if enough else "their words are forgotten, or those of so many that the others are too few to quote"


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


@dataclass(frozen=True)
class _Look:
    """What may be quoted of a clustering."""

    shown: list[str]
    """What is shown by itself."""
    settings: ClusterSettings
    groups: Callable[[Sequence[str]], list[tuple[list[str], Mapping[str, str]]]]
    """For some ids, by cluster and anomaly: those of them inside; and living reason to conversation."""


def _of_clustering(made: Clustering, store: Store) -> _Look:
    by_cluster: dict[str, list[str]] = {}
    for id_, cluster in zip(made.reasons.column("prediction_id"), made.cluster_ids, strict=True):
        by_cluster.setdefault(cluster, []).append(id_)
    parts = [(one.medoid, by_cluster.get(one.id, [])) for one in made.clusters]
    parts += [("", [*one.examples, *one.predictions]) for one in made.anomalies]
    shown = [one.medoid for one in made.clusters] + [id_ for one in made.anomalies for id_ in one.examples]

    def groups(ids: Sequence[str]) -> list[tuple[list[str], Mapping[str, str]]]:
        found = [(_within(ids, {medoid, *members}), members) for medoid, members in parts]
        return [(inside, _living_of(store, members)) for inside, members in found if inside]

    return _Look(shown, made.settings, groups)


def _of_stored(name: str, store: Store) -> _Look:
    clusterings = Clusterings(store)
    row = clusterings.find(name)
    clustering_id = row["clustering_id"]
    settings = ClusterSettings(**row["settings"])
    least = _stricter(settings, None)
    clusters = [one for one in clusterings.clusters(clustering_id) if one["kind"] != "parent"]
    strange = clusterings.anomalies(clustering_id)
    shown = [one["medoid"] for one in clusters] + [
        id_ for one in strange for id_ in one["evidence"].get("examples", [])
    ]

    def groups(ids: Sequence[str]) -> list[tuple[list[str], Mapping[str, str]]]:
        inside: dict[str, set[str]] = {}
        for one in store.query(_INSIDE, {"ids": json.dumps(list(ids)), "id": clustering_id}):
            inside.setdefault(one["cluster_id"], set()).add(one["id"])
        for one in clusters:  # it may be one of the baseline
            inside.setdefault(one["cluster_id"], set()).add(one["medoid"])
        found: list[tuple[list[str], Mapping[str, str]]] = []
        for cluster, members in inside.items():
            if asked := _within(ids, members):
                found.append((asked, _living(store, clustering_id, cluster, least)))
        for one in strange:
            all_of_it = list(dict.fromkeys(_ids(one["evidence"])))
            if asked := _within(ids, set(all_of_it)):
                found.append((asked, _living_of(store, all_of_it)))
        return found

    return _Look(shown, settings, groups)


def _within(ids: Sequence[str], members: set[str]) -> list[str]:
    return [one for one in ids if one in members]


def _living(store: Store, clustering_id: str, cluster_id: str, least: tuple[int, int]) -> dict[str, str]:
    """Reason to conversation of those of a cluster that are not forgotten, newest first: enough of them, or all."""
    found: dict[str, str] = {}
    for most in (_LOOKED_AT, -1):
        rows = store.query(_LIVING, (clustering_id, cluster_id, most))
        found = {row["prediction_id"]: row["conversation_id"] for row in rows}
        if len(found) < _LOOKED_AT or len(set(found.values())) >= max(least[1], _PLENTY):
            break
    return found


def _living_of(store: Store, ids: Sequence[str]) -> dict[str, str]:
    rows = store.query(_LIVING_OF, (json.dumps(list(ids)),))
    return {row["prediction_id"]: row["conversation_id"] for row in rows}


def _has_words(id_: str, store: Store) -> bool:
    return bool(_living_of(store, [id_]))


def _ids(evidence: Mapping[str, Any]) -> Iterator[str]:
    yield from evidence.get("examples", [])
    yield from evidence.get("predictions", [])


def _stricter(settings: ClusterSettings, present: ClusterSettings | None) -> tuple[int, int]:
    """(reasons, conversations) that there must be at least."""
    other = present or settings
    return (
        max(settings.least_reasons, other.least_reasons),
        max(settings.least_conversations, other.least_conversations),
    )
