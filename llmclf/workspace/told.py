"""Which anomalies stood in the clusterings before this one: what looks again each hour need not page each hour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.types import canonical_json
from llmclf.workspace.reasoning import StoredClustering

GROWN = 2.0
"""An anomaly is sent again where it holds so many times the conversations that it was last sent with."""
_LOOKED_THROUGH = 1_000  # clusterings: six weeks of an hourly look
_EARLIER = """
SELECT clustering_id, created_at, coalesce(json_extract(result, '$.silence'), '') <> '' AS silent FROM clusterings
WHERE state = 'done' AND filter = :filter AND clustering_id <> :id
  AND julianday(until) - julianday(since) BETWEEN .9 * (julianday(:until) - julianday(:since))
                                              AND 1.1 * (julianday(:until) - julianday(:since))
ORDER BY clustering_id DESC LIMIT :most
"""
_SENT = "SELECT body FROM deliveries WHERE clustering_id = ? AND (given_up_at IS NULL OR why = 'dropped')"
_POOL = "novelty"
_SILENCE = ("silence", "")


@dataclass(frozen=True, slots=True)
class Told:
    """An anomaly, or silence, that clusterings of the same filter found before this one, each of them."""

    first: str
    """When the first of them was made, UTC."""
    sent: int | None
    """Conversations that it was last queued for a webhook with; None: it never was."""


@dataclass(frozen=True, slots=True)
class Before:
    """What of a clustering was found before."""

    anomalies: Mapping[int, Told]
    """By place in its anomalies; those that are new are not in it."""
    silence: Told | None = None

    def due(self, stored: StoredClustering) -> tuple[list[int], bool]:
        """(places of the anomalies that are to be sent, whether its silence is): new ones, and those that grew."""
        found = stored.clustering.anomalies
        places = [place for place, one in enumerate(found) if _is_due(self.anomalies.get(place), one.conversations)]
        return places, bool(stored.silence) and _is_due(self.silence, 0)


def told_before(stored: StoredClustering, store: Store) -> Before:
    """What of `stored` stood in the clusterings before it, without a gap, and with how much it was last sent.

    Looked at are those of the same filter whose window is as long (by a tenth). The same is what has the same kind
    and cluster, and of the novelty pool what has a prediction in common. StoreError where the store can't be read.
    """
    made = stored.clustering
    wanted = {place: _key(asdict(one)) for place, one in enumerate(made.anomalies)}
    own = {place: set(one.predictions) for place, one in enumerate(made.anomalies)}
    told: dict[int, Told] = {}
    silence, silent = None, bool(stored.silence)
    asked = {"filter": canonical_json(stored.where), "id": stored.clustering_id, "most": _LOOKED_THROUGH}
    for row in store.query(_EARLIER, {**asked, "since": made.since, "until": made.until}):
        there = [one["evidence"] for one in Clusterings(store).anomalies(row["clustering_id"])] if wanted else []
        sent = _sent(row["clustering_id"], store)
        for place, key in list(wanted.items()):
            alike = [one for one in there if _key(one) == key and (key[0] != _POOL or own[place] & _predictions(one))]
            if alike:
                own[place] |= _predictions(alike[0])
                told[place] = _further_back(told.get(place), row["created_at"], sent.get(key))
            else:
                del wanted[place]
        silent = silent and bool(row["silent"])
        silence = _further_back(silence, row["created_at"], sent.get(_SILENCE)) if silent else silence
        if not wanted and not silent:
            break
    return Before(told, silence)


def again_words(told: Told) -> str:
    """That it was told before, for people."""
    return f"told before, first {told.first[:16].replace('T', ' ')} UTC"


def _is_due(told: Told | None, conversations: int) -> bool:
    return told is None or told.sent is None or (told.sent > 0 and conversations >= GROWN * told.sent)


def _further_back(told: Told | None, at: str, sent: int | None) -> Told:
    """The same, one clustering further back: the newest sending counts."""
    return Told(at, sent if told is None or told.sent is None else told.sent)


def _sent(clustering_id: str, store: Store) -> dict[tuple[str, str], int]:
    """What was queued of a clustering, with its conversations."""
    bodies = [json.loads(row["body"]) for row in store.query(_SENT, (clustering_id,))]
    found = {_key(one): int(one["conversations"]) for body in bodies for one in body.get("anomalies", ())}
    return {**found, _SILENCE: 0} if any(body.get("silence") for body in bodies) else found


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    """What an anomaly is known by, where its name may change: an alert by that, one of no cluster by its kind."""
    kind = str(one["kind"])
    return kind, str(one["name"] if kind == "alert" else one["cluster"] if kind != _POOL else "")


def _predictions(one: Mapping[str, Any]) -> set[str]:
    return set(one.get("predictions", ()))
