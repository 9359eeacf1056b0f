"""A clustering's document as its page reads it: clusters in the order of what matters, and what may be quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llmclf.reasons.report_charts import Timeline
from llmclf.reasons.report_words import figure
from llmclf.reasons.values import ClusterSettings

Document = Mapping[str, Any]
Quotes = Mapping[str, Mapping[str, Any]]

KINDS = {
    "novelty": "reasons unlike the baseline",
    "new_cluster": "a new kind of reason",
    "burst": "a burst",
    "one_sided": "from one side only",
    "no_reason": "predictions without a reason",
    "alert": "a standing alert",
}
"""Kinds of anomalies in words."""
MOST_QUOTES = 8


@dataclass(frozen=True)
class Look:
    """A document of `Clustering.to_dict` and the quotes that were found for it."""

    document: Document
    quotes: Quotes

    @cached_property
    def anomalies(self) -> list[Document]:
        """Surest first."""
        return list(self.document["anomalies"])

    @cached_property
    def clusters(self) -> list[Document]:
        """Those of an anomaly first, then new ones, then those that grew most."""
        return sorted(self.document["clusters"], key=self._rank)

    @cached_property
    def by_id(self) -> dict[str, Document]:
        """Each cluster by its id."""
        return {one["id"]: one for one in self.document["clusters"]}

    @cached_property
    def alarmed(self) -> dict[str, int]:
        """Cluster to the number (from 1) of its first anomaly."""
        found: dict[str, int] = {}
        for place, one in enumerate(self.anomalies, start=1):
            found.setdefault(one["cluster"], place)
        found.pop("", None)
        return found

    @cached_property
    def timeline(self) -> Timeline:
        """Its buckets; none where it is not known when the reasons were made."""
        return Timeline.of(self.document, self.document.get("totals") or ())

    @property
    def has_baseline(self) -> bool:
        """False: nothing can be called new or more than before."""
        return self.document["baseline"] is not None

    def grown(self, cluster: Document) -> float | None:
        """Its share as a multiple of the baseline's; None where that is 0 or not known."""
        now, before = figure(cluster["share"]).value, figure(cluster["baseline"]).value
        return now / before if now is not None and before else None

    def anomaly_quotes(self, anomaly: Document) -> list[str]:
        """Ids of its examples, where it is of enough reasons and conversations to be quoted."""
        least = {**_LEAST, **self.document.get("settings", {})}
        enough = (
            anomaly["reasons"] >= least["least_reasons"] and anomaly["conversations"] >= least["least_conversations"]
        )
        return list(anomaly["examples"])[:MOST_QUOTES] if enough else []

    def cluster_quotes(self, cluster: Document) -> list[str]:
        """The reason that stands for it best, its `examples` if the document has any, and those of its anomalies.

        None where it is too small.
        """
        if not cluster["medoid"]:
            return []
        ids = [cluster["medoid"], *cluster.get("examples", ())]
        for one in self.anomalies:
            ids += self.anomaly_quotes(one) if one["cluster"] == cluster["id"] else []
        return list(dict.fromkeys(ids))[:MOST_QUOTES]

    def families(self) -> list[tuple[Document | None, list[Document]]]:
        """Parents with their clusters, in the order of the first of these; None: of those that have no parent."""
        parents = {one["id"]: one for one in self.document["parents"]}
        found: dict[str, list[Document]] = {}
        for one in self.clusters:
            found.setdefault(one["parent"] if one["parent"] in parents else "", []).append(one)
        return [(parents.get(key), some) for key, some in found.items()]

    def _rank(self, cluster: Document) -> tuple[bool, int, bool, float, int]:
        number = self.alarmed.get(cluster["id"], 0)
        return not number, number, cluster["kind"] != "new", -(self.grown(cluster) or 0.0), -int(cluster["reasons"])


def quoted_ids(document: Document) -> list[str]:
    """Ids of all predictions whose reasons the page would quote: for whoever looks the quotes up."""
    look = Look(document, {})
    lists: list[Sequence[str]] = [look.anomaly_quotes(one) for one in look.anomalies]
    lists += [look.cluster_quotes(one) for one in look.clusters]
    return list(dict.fromkeys(id_ for ids in lists for id_ in ids))


_LEAST = {
    "least_reasons": ClusterSettings.__dataclass_fields__["least_reasons"].default,
    "least_conversations": ClusterSettings.__dataclass_fields__["least_conversations"].default,
}
