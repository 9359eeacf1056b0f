"""What is shown of an anomaly: its figures, the reasons that show it best, and the request fields it goes with."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from llmclf.reasons.moments import first_and_last, moments_of
from llmclf.reasons.request_fields import RequestFields
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import Anomaly, AnomalyKind, Cluster, ClusterSettings
from llmclf.stats import clustered_wilson

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
EXAMPLES = 10


class Evidence:
    """Makes the anomalies of one window."""

    def __init__(self, window: Embedded, settings: ClusterSettings) -> None:
        self._window, self._settings = window, settings
        self._ids = window.reasons.column("prediction_id")
        self._stamps = window.reasons.column("created_at")

    @cached_property
    def _fields(self) -> RequestFields:
        return RequestFields(self._window, self._settings.least_conversations)

    def anomaly(
        self,
        kind: AnomalyKind,
        inside: BoolArray,
        *,
        sentence: str,
        p: float,
        expected: float,
        ratio: float | None,
        cluster: Cluster | None = None,
        name: str = "",
        telling: FloatArray | None = None,
    ) -> Anomaly:
        """The anomaly of the reasons `inside`, shape (n,). `telling`: how well each distinct text shows it, shape (d,);
        without it the nearest to their middle do.
        """
        chosen = np.flatnonzero(inside)
        groups = self._window.groups
        return Anomaly(
            kind=kind,
            cluster=cluster.id if cluster else "",
            sentence=sentence,
            p=min(1.0, p),
            reasons=len(chosen),
            conversations=len(np.unique(groups[chosen])),
            expected=expected,
            share=clustered_wilson(inside, groups.tolist(), alike=True),
            ratio=ratio,
            first_seen=first_and_last(moments_of([self._stamps[place] for place in chosen]))[0],
            examples=() if kind == "no_reason" else self._examples(inside, telling, cluster),
            predictions=tuple(self._ids[place] for place in chosen),
            fields=self._fields.of(inside),
            name=name or (cluster.name if cluster else ""),
        )

    def _examples(self, inside: BoolArray, telling: FloatArray | None, cluster: Cluster | None) -> tuple[str, ...]:
        """One reason of each different text, those of conversations that were not shown yet first."""
        window, settings = self._window, self._settings
        chosen = np.flatnonzero(inside)
        conversations = len(np.unique(window.groups[chosen]))
        if len(chosen) < settings.least_reasons or conversations < settings.least_conversations:
            return ()
        texts, first = np.unique(window.of[chosen], return_index=True)
        how = telling[texts] if telling is not None else window.vectors[texts] @ window.vectors[texts].mean(axis=0)
        ranked = chosen[first[np.argsort(-how, kind="stable")]]
        shown: set[int] = set()
        fresh: list[str] = []
        again: list[str] = []
        for place in ranked:
            group = int(window.groups[place])
            (again if group in shown else fresh).append(self._ids[place])
            shown.add(group)
        own = {self._ids[place] for place in chosen}
        medoid = [cluster.medoid] if cluster and telling is None and cluster.medoid in own else []
        return tuple(dict.fromkeys([*medoid, *fresh, *again]))[:EXAMPLES]
