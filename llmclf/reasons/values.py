"""What a look at reasons is made of: its settings, clusters and anomalies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmclf.errors import ConfigError
from llmclf.types import Estimate
from llmclf.types.reasons import ReasonText

ClusterKind = Literal["known", "new"]
"""`known`: a kind that the baseline has as well, or any where there is no baseline; `new`: far from all of it."""
AnomalyKind = Literal["novelty", "new_cluster", "burst", "one_sided", "no_reason", "alert"]
"""`novelty`: more reasons unlike the baseline than it explains; `new_cluster`: such reasons that are alike; `burst`: a
known cluster whose share grew beyond what varies from day to day; `one_sided`: a cluster of one model, prompt or
classifier only, which it was not before; `no_reason`: more predictions that say nothing, such as failed ones, than
usual; `alert`: reasons like those that somebody asked to be told of."""

POOL = "pool"
"""What the novelty pool as a whole is called where clusters have their ids."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How reasons are clustered and what counts as an anomaly. ConfigError lists what is out of range."""

    text: ReasonText = "rationale"
    """Which words are clustered; a reason without them gives its others."""
    false_alarms: float = 0.05
    """Chance that a quiet window has any alarm at all, over all tests together; above 0, at most .5."""
    reservoir: int = 20_000
    """Baseline reasons, at most, that novelty is measured against; drawn by whole conversations."""
    neighbours: int = 3
    """Novelty is the mean similarity to so many nearest baseline reasons of other conversations."""
    least_ratio: float = 1.5
    """A burst is at least so many times the baseline's share."""
    least_conversations: int = 3
    """An alarm speaks of at least so many conversations; so does a quote that is shown."""
    least_reasons: int = 3
    """Fewer reasons than that are not quoted."""
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = (
            ("false_alarms", 0 < self.false_alarms <= 0.5, "above 0, at most 0.5"),
            ("reservoir", self.reservoir >= 100, "at least 100"),
            ("neighbours", 1 <= self.neighbours <= 50, "1 to 50"),
            ("least_ratio", self.least_ratio >= 1, "at least 1"),
            ("least_conversations", self.least_conversations >= 1, "at least 1"),
            ("least_reasons", self.least_reasons >= 1, "at least 1"),
        )
        problems = [f"{name}: must be {range_}, got {getattr(self, name)}" for name, fits, range_ in ranges if not fits]
        if problems:
            raise ConfigError("settings are out of range", where="cluster_reasons", problems=problems)


@dataclass(frozen=True)
class Cluster:
    """A group of reasons. It holds counts and ids, and of words only terms that several conversations share."""

    id: str
    """Stays the same from one clustering to the next, as long as what it holds stays alike."""
    kind: ClusterKind
    name: str
    """In a few words; `(too few to show)` where it is too small to be shown in words, `(no common words)` where it is
    not and its reasons share none that tells it from others."""
    named_by: str
    """`terms`, or the model that named it."""
    terms: tuple[str, ...]
    """What sets its words apart from the others', most telling first; each from several conversations."""
    parent: str
    """Id of the group of clusters that it belongs to, or empty."""
    reasons: int
    """In the window, duplicates counted."""
    texts: int
    """Different ones among them, near-duplicates taken as one."""
    conversations: int
    share: Estimate
    """Of the window's reasons; the interval holds for conversations as the units."""
    baseline: Estimate
    """The same in the baseline."""
    medoid: str
    """The prediction whose reason stands for it best, or empty where it may not be quoted."""
    labels: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Label to reasons; `(failed)` for those without one."""
    errors: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Kind of error to reasons, with `ungrounded` and `truncated` for answers that are no error and yet suspicious."""
    first_seen: str = ""
    """When the first reason of it was made, UTC, in baseline or window."""
    last_seen: str = ""

    @property
    def quotable(self) -> bool:
        """True where it is large enough to be shown with quotes."""
        return bool(self.medoid)


@dataclass(frozen=True, slots=True)
class FieldShare:
    """A value of a request field that goes with an anomaly: an empty transcript, one vendor, one prompt."""

    field: str
    value: str
    inside: int
    """Conversations of the anomaly with this value."""
    of: int
    """Conversations of the anomaly."""
    outside: float
    """Share of this value among the window's other conversations."""
    p: float
    """Chance of so many by accident (hypergeometric), adjusted for all values looked at (Holm)."""


@dataclass(frozen=True, slots=True)
class PoolReading:
    """What the judge `reason_anomaly` said of an anomaly's reasons."""

    judge: str
    fingerprint: str
    state: str
    """Of its calibration: `calibrated`, `not_calibrated`, `cant_tell` or `uncalibrated`."""
    verdicts: Mapping[str, int] = field(hash=False)
    """Verdict to reasons, `cannot_tell` and `(failed)` among them."""
    faults: int
    """Reasons that it calls a fault of the system."""
    precision: Estimate = Estimate.unknown("the judge is not calibrated")
    """Share of those that are one, as people would say, by its calibration (`class_balanced_precision`)."""
    simulated: bool = False
    fault_share: Estimate = Estimate.unknown("the judge is not calibrated")
    """Share of all the reasons that it read that are one, as people would say (`class_balanced_prevalence`)."""
    errors: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Why it failed, and of how many reasons."""


@dataclass(frozen=True)
class Anomaly:
    """Something about the reasons of a window that the baseline does not explain, with its evidence."""

    kind: AnomalyKind
    cluster: str
    """The cluster's id; empty: of none, such as the novelty pool as a whole (`pool` in JSON)."""
    sentence: str
    """What is so, in one sentence with its figures; no words of conversations."""
    p: float
    """Chance of as much in a quiet window, adjusted for everything that was tested; an alert's is 0."""
    reasons: int
    conversations: int
    expected: float
    """Conversations that the baseline explains."""
    share: Estimate
    """Of the window's reasons."""
    ratio: float | None
    """Times the baseline's share; None where that is none."""
    first_seen: str
    """When the first such reason was made, UTC."""
    examples: tuple[str, ...]
    """Predictions whose reasons show it best, most telling first; none where they may not be quoted."""
    predictions: tuple[str, ...] = field(default=(), repr=False)
    """All predictions of it in the window."""
    fields: tuple[FieldShare, ...] = ()
    """Request fields that it goes with, surest first."""
    judged: PoolReading | None = None
    name: str = ""
    """Of the cluster, or of the standing alert."""
    alerts: tuple[str, ...] = ()
    """Standing alerts that fire on the same reasons."""

    @property
    def cluster_or_pool(self) -> str:
        """The cluster's id, `pool` for the novelty pool as a whole; empty: of neither."""
        return self.cluster or (POOL if self.kind == "novelty" else "")
