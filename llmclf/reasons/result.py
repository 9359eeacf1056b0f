"""What a clustering of reasons gives: its clusters, what is new among them, and how they fare over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from llmclf.reasons.figures import BaselineFigures, PoolFigures, Series, WordlessFigures
from llmclf.reasons.identity import Earlier
from llmclf.reasons.rates import Rate, rates_of, shown_fields
from llmclf.reasons.values import Anomaly, Cluster, ClusterSettings, PoolReading
from llmclf.render.tables import Shown, TableText, data_frame
from llmclf.types.reasons import Reasons

Vectors = npt.NDArray[np.float32]


def _no_vectors() -> Vectors:
    return np.zeros((0, 256), np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Clustering(Shown):
    """The reasons of a window in clusters, held against a baseline. Made by `llmclf.cluster_reasons`."""

    reasons: Reasons
    """Those of the window that hold any words; what is said of each reason is in their order."""
    clusters: tuple[Cluster, ...]
    """Largest first, known and new ones."""
    pool: tuple[int, ...]
    """Places in `reasons` of those that are far from all of the baseline."""
    cluster_ids: tuple[str, ...]
    """Of each reason; empty: in the novelty pool, alone."""
    novelty: tuple[float, ...] | None
    """Of each reason: the share of the baseline that is as far from the rest of it, 0 to 1; None without a baseline."""
    texts: int
    """Different reasons in the window."""
    conversations: int
    simulated: bool
    """True where a simulated vendor gave the reasons."""
    settings: ClusterSettings
    embedder: str
    """What made the vectors; only vectors of equal names can be compared."""
    parents: tuple[Cluster, ...] = ()
    """Groups of clusters, largest first."""
    anomalies: tuple[Anomaly, ...] = ()
    """Surest first."""
    centroids: Vectors = field(default_factory=_no_vectors)
    """Unit vectors, shape (clusters, 256), in the order of `clusters`."""
    parent_centroids: Vectors = field(default_factory=_no_vectors)
    """The same of `parents`."""
    pool_figures: PoolFigures | None = None
    """None without a baseline."""
    baseline: BaselineFigures | None = None
    series: Series | None = None
    """Counts over time; None where it is not known when the reasons were made."""
    notes: tuple[str, ...] = ()
    """What can't be told, and what it needs."""
    since: str = ""
    """When the first reason of the window was made, UTC; empty where that is not known."""
    until: str = ""
    """The same of the last."""
    wordless: WordlessFigures = WordlessFigures(0, 0, 0, 0)
    """Predictions that say nothing, beside `reasons`."""
    unwatched: tuple[str, ...] = ()
    """Names of standing alerts that could not be looked for: they were made with other vectors."""
    clustering_id: str = ""
    """Where it stands in a store; empty elsewhere."""

    def __repr__(self) -> str:
        counts = f"{len(self.reasons)} reasons, {len(self.clusters)} clusters, {len(self.anomalies)} anomalies"
        return f"<clustering of {counts}>"

    @property
    def duplicates(self) -> int:
        """Reasons whose words another reason of the window has as well."""
        return len(self.reasons) - self.texts

    def cluster(self, cluster_id: str) -> Cluster:
        """The cluster or parent of this id; KeyError where there is none."""
        return {one.id: one for one in (*self.clusters, *self.parents)}[cluster_id]

    def rates(self, by: str) -> tuple[Rate, ...]:
        """Share of each cluster among the window's reasons with each value of `by`, with intervals by conversation.

        `by`: model, prompt_id, classifier_id, label, day, hour, or the name of a request field. ConfigError for
        another name. Ordered by cluster as in `clusters`, then by value.
        """
        return rates_of(
            self.reasons,
            self.cluster_ids,
            [one.id for one in self.clusters],
            by,
            least=self.settings.least_conversations,
        )

    def earlier(self) -> Earlier:
        """What the next clustering needs in order to keep these clusters' ids, names and parents."""
        named = {one.id: one for one in self.parents}
        return Earlier(
            clustering_id=self.clustering_id,
            embedder=self.embedder,
            ids=tuple(one.id for one in self.clusters),
            kinds=tuple(one.kind for one in self.clusters),
            names=tuple(one.name for one in self.clusters),
            named_by=tuple(one.named_by for one in self.clusters),
            parents=tuple(one.parent for one in self.clusters),
            terms=tuple(one.terms for one in self.clusters),
            vectors=self.centroids,
            parent_ids=tuple(named),
            parent_names=tuple(one.name for one in self.parents),
            parent_vectors=self.parent_centroids,
        )

    def with_readings(self, readings: Mapping[int, PoolReading]) -> Clustering:
        """The same with what a judge said of anomalies, by their place in `anomalies`."""
        judged = (
            replace(one, judged=readings[place]) if place in readings else one
            for place, one in enumerate(self.anomalies)
        )
        return replace(self, anomalies=tuple(judged))

    def with_names(self, names: Mapping[str, str], named_by: str) -> Clustering:
        """The same with other names for clusters and parents, by id; the anomalies' names follow."""

        def renamed(one: Cluster) -> Cluster:
            return replace(one, name=names[one.id], named_by=named_by) if one.id in names else one

        return replace(
            self,
            clusters=tuple(map(renamed, self.clusters)),
            parents=tuple(map(renamed, self.parents)),
            anomalies=tuple(
                replace(one, name=names.get(one.cluster, one.name)) if one.kind != "alert" else one
                for one in self.anomalies
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Figures, ids, terms and names as JSON types; nothing of single reasons, and no words of theirs."""
        document = {
            "clustering": self.clustering_id,
            "since": self.since,
            "until": self.until,
            "baseline": None if self.baseline is None else asdict(self.baseline),
            "reasons": len(self.reasons),
            "texts": self.texts,
            "conversations": self.conversations,
            "duplicates": self.duplicates,
            "wordless": asdict(self.wordless),
            "simulated": self.simulated,
            "settings": asdict(self.settings),
            "embedder": self.embedder,
            "pool": None if self.pool_figures is None else asdict(self.pool_figures),
            "clusters": self._cluster_dicts(),
            "parents": [asdict(one) for one in self.parents],
            "anomalies": [{**asdict(one), "cluster": one.cluster_or_pool} for one in self.anomalies],
            "unwatched": self.unwatched,
            "times": () if self.series is None else self.series.times,
            "window_from": None if self.series is None else self.series.window_from,
            "totals": () if self.series is None else self.series.totals,
            "notes": self.notes,
        }
        return {name: _plain(value) for name, value in document.items()}

    def to_frame(self) -> Any:
        """A row for each cluster, as a pandas DataFrame; MissingPieceError where pandas is not installed."""
        return data_frame(
            [
                {
                    "cluster": one.id,
                    "kind": one.kind,
                    "name": one.name,
                    "parent": one.parent,
                    "reasons": one.reasons,
                    "texts": one.texts,
                    "conversations": one.conversations,
                    "share": one.share.value,
                    "share_low": one.share.low,
                    "share_high": one.share.high,
                    "baseline": one.baseline.value,
                    "first_seen": one.first_seen,
                    "last_seen": one.last_seen,
                    "terms": ", ".join(one.terms),
                }
                for one in self.clusters
            ]
        )

    def _cluster_dicts(self) -> list[dict[str, Any]]:
        rates: dict[str, dict[str, list[dict[str, Any]]]] = {one.id: {} for one in self.clusters}
        for by in shown_fields(self.reasons):
            for rate in self.rates(by):
                rates[rate.cluster].setdefault(by, []).append(rate.to_dict())
        counts = {} if self.series is None else self.series.counts
        return [{**asdict(one), "rates": rates[one.id], "series": counts.get(one.id, ())} for one in self.clusters]

    def _table(self) -> TableText:
        from llmclf.reasons.table import table_of

        return table_of(self)


def _plain(value: Any) -> Any:
    """JSON types all the way down: what is read back from JSON text equals it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
