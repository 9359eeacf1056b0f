"""How alike a reason must be to those of a cluster, so that these are told of again and the window's others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import DataError
from llmclf.reasons.moments import moments_of
from llmclf.reasons.texts import draw_reservoir, embed_reasons
from llmclf.reasons.values import ClusterSettings
from llmclf.render.tables import counted
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.types.reasons import Reasons

_OTHERS = 20_000
"""Reasons of the baseline, at most, that the cut is held against."""
_LEAST_KEPT = 0.5  # share of its own reasons above the cut


@dataclass(frozen=True, slots=True)
class Cut:
    """A cosine similarity to the cluster's centroid, and what it parts."""

    similarity: float
    sentence: str
    notes: tuple[str, ...] = ()


class _Near(NamedTuple):
    """How alike reasons are to the centroid, each with its conversation and stretch of time."""

    similarity: NDArray[np.float64]
    conversation: list[str]
    stretch: list[int]
    """0: the window; 1: as much time before it; and so on."""


def cut_of(
    clustering: Mapping[str, Any],
    cluster: Mapping[str, Any],
    own: Sequence[str],
    least: int,
    store: Store,
) -> Cut:
    """The similarity from which on a reason is like the cluster's `own`, so that an alert stays quiet on usual days.

    It lies above all but less than half of `least` of the other conversations, in the window and, where the cluster is
    new, in each stretch of the baseline as long as the window; and in the middle of the gap to the cluster's own
    reasons above that. DataError where the words are gone, or less than half of its own reasons are above.
    """
    where = f"cluster {cluster['cluster_id']}"
    settings = ClusterSettings(**clustering["settings"])
    centroid = np.frombuffer(cluster["centroid"], "<f4")
    mine, is_new = set(own), cluster.get("kind", "new") == "new"
    looked_at = {row["prediction_id"] for row in Clusterings(store).clustered(clustering["clustering_id"])}
    window = store.reasons(clustering["since"], clustering["until"], clustering["filter"])
    ids = window.column("prediction_id")
    inside = window.pick(place for place, one in enumerate(ids) if one in mine)
    rest = window.pick(place for place, one in enumerate(ids) if one in looked_at and one not in mine)
    before = Reasons()
    if is_new and clustering["baseline_since"]:
        before = store.reasons(clustering["baseline_since"], clustering["since"], clustering["filter"])
        before = draw_reservoir(before, _OTHERS, settings.seed)
    if not len(inside):
        raise DataError("the words of its reasons are not in the store any more", where=where, fix="cluster anew")
    near, far, earlier = (_near(each, centroid, settings, clustering, where) for each in (inside, rest, before))
    return _best(near, [far, earlier], least, where, is_new)


def centroid_of(clustering: Mapping[str, Any], own: Sequence[str], store: Store) -> bytes:
    """The mean direction of a window's `own` predictions, as `clusters` keeps it; DataError where words are gone."""
    reasons = store.reasons(clustering["since"], clustering["until"], clustering["filter"])
    mine = set(own)
    ids = reasons.column("prediction_id")
    inside = reasons.pick(place for place, one in enumerate(ids) if one in mine)
    embedded = embed_reasons(inside, ClusterSettings(**clustering["settings"]).text)
    if not len(embedded.reasons):
        raise DataError("the words of its reasons are not in the store any more", where="pool", fix="cluster anew")
    mean = embedded.vectors[embedded.of].mean(axis=0)
    return bytes((mean / max(float(np.linalg.norm(mean)), 1e-12)).astype("<f4"))


def _near(
    reasons: Reasons,
    centroid: NDArray[np.float32],
    settings: ClusterSettings,
    clustering: Mapping[str, Any],
    where: str,
) -> _Near:
    if not len(reasons):
        return _Near(np.zeros(0), [], [])
    embedded = embed_reasons(reasons, settings.text)
    if embedded.embedder != clustering["embedder"]:
        raise DataError(
            "the clustering was made with other vectors",
            where=where,
            got=clustering["embedder"],
            fix="cluster anew, then promote",
        )
    since, until = moments_of([clustering["since"], clustering["until"]])
    moments = moments_of(embedded.reasons.column("created_at"))
    length = max(until - since, np.timedelta64(1, "s"))
    back = np.where(np.isnat(moments), 0, (since - moments) // length + 1)  # without a time: as if of the window
    similar = (embedded.vectors @ centroid)[embedded.of].astype(float)
    return _Near(similar, embedded.reasons.column("conversation_id"), np.maximum(back, 0).astype(int).tolist())


def _best(near: _Near, others: Sequence[_Near], least: int, where: str, is_new: bool) -> Cut:
    """The cut between the cluster's own reasons and the others."""
    allowed = (least - 1) // 2
    bound = _bound(others, allowed)
    above = np.sort(near.similarity[near.similarity > bound])
    conversations = {one for one, value in zip(near.conversation, near.similarity, strict=True) if value > bound}
    count = len(near.similarity)
    if len(above) < _LEAST_KEPT * count or len(conversations) < least:
        raise DataError(
            "its reasons are no more alike than others: an alert would miss them, or be told of anything",
            where=where,
            got=f"{len(above):,} of its {counted(count, 'reason')} are apart from the others",
            fix="promote another cluster, or this one --as failure-mode",
        )
    similarity = max(0.0, float((above[0] + max(bound, above[0] - 0.1)) / 2))
    stretches = len({one for each in others for one in each.stretch})
    of = f"in each of {stretches:,} stretches as long as the window" if stretches > 1 else "in the window"
    sentence = (
        f"A reason belongs to it from a similarity of {similarity:.2f} on: {len(above):,} of the cluster's "
        f"{counted(count, 'reason')}, and of all others {of} at most {counted(allowed, 'conversation')}."
    )
    notes = ("such reasons are usual: expect the alert whenever you look",)
    return Cut(similarity, sentence, () if is_new else notes)


def _bound(others: Sequence[_Near], allowed: int) -> float:
    """The similarity that no more than `allowed` conversations of any stretch are above."""
    best: dict[int, dict[str, float]] = {}
    for each in others:
        for value, conversation, stretch in zip(each.similarity.tolist(), each.conversation, each.stretch, strict=True):
            of = best.setdefault(stretch, {})
            of[conversation] = max(value, of.get(conversation, -1.0))
    ranked = (sorted(of.values(), reverse=True) for of in best.values())
    return max((values[allowed] for values in ranked if len(values) > allowed), default=-1.0)
