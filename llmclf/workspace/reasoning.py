"""The verb `cluster_reasons` on a store: window and baseline read, clustered, read by a judge, named, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from llmclf.embedding import static_embedder
from llmclf.errors import StoreError
from llmclf.judges import Judge, load_judge
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.reasons.clustering import cluster_reasons
from llmclf.reasons.figures import BaselineFigures
from llmclf.reasons.result import Clustering
from llmclf.reasons.values import ClusterSettings
from llmclf.render.tables import Shown, TableText, counted, usd_text
from llmclf.store.clusterings import Clusterings
from llmclf.sweeps.money import cap_reached
from llmclf.sweeps.planned import Plan
from llmclf.types import Judgment, content_hash
from llmclf.types.reasons import Reasons
from llmclf.workspace.cluster_naming import Naming, named, naming_of
from llmclf.workspace.clustering_rows import anomaly_rows, cluster_rows, earlier_of, standing_alerts
from llmclf.workspace.provenance import git_sha, versions
from llmclf.workspace.reading_pool import Reading, read_anomalies, reading_of
from llmclf.workspace.reason_input import ReasonInput, read_input
from llmclf.workspace.verbs import booked_on

OnStep = Callable[[str], None]
"""Told in a few words what is done next."""


@dataclass(frozen=True, repr=False)
class StoredClustering(Shown):
    """A clustering that stands in the store."""

    clustering: Clustering
    """Its `since` and `until` are the bounds of the window that was asked for."""
    clustering_id: str
    run_id: str
    anomaly_ids: tuple[str, ...]
    """Of `clustering.anomalies`, in order."""
    task: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Which reasons were asked for, with the task and whether they are simulated."""
    left_out: int = 0
    """Simulated reasons of the window that are left out, as real ones stand there."""
    silence: str = ""
    """In a sentence: the window has no reason at all, although the baseline always had some. Empty: it is not so."""
    usd: float | None = 0.0
    """What judge and names cost now; None where that is not known."""
    why_stopped: str = ""
    """The cap that kept the judge from reading all of it; empty: none did."""

    @property
    def alarmed(self) -> bool:
        """True where there is an anomaly, or silence: a command exits 2 then."""
        return bool(self.clustering.anomalies or self.silence)

    def to_dict(self) -> dict[str, Any]:
        """As `Clustering.to_dict`, with what stands in the store beside it."""
        return {
            **self.clustering.to_dict(),
            "run": self.run_id,
            "anomaly_ids": list(self.anomaly_ids),
            "task": self.task,
            "where": dict(self.where),
            "left_out": self.left_out,
            "silence": self.silence,
            "alarmed": self.alarmed,
            "usd": self.usd,
            "why_stopped": self.why_stopped,
        }

    def _table(self) -> TableText:
        table = self.clustering._table()
        title = f"{self.silence}\n{table.title}" if self.silence else table.title
        more = [f"{counted(self.left_out, 'simulated reason')} left out"] if self.left_out else []
        more += [f"judge and names: {usd_text(self.usd)}"] if self.usd else []
        more += [f"task {self.task}, clustering {self.clustering_id}"]
        return replace(table, title=title, notes=(*table.notes, *more))


ToSend = Callable[[StoredClustering], Mapping[str, Any] | None]
"""The body that is to be sent of a clustering; None: nothing is."""


class UnwrittenError(StoreError):
    """What was found could not be written: `stored` holds it, with ids that are empty."""

    def __init__(self, error: StoreError, stored: StoredClustering) -> None:
        super().__init__(error.what, where=error.where, got=error.got, fix=error.fix)
        self.stored = stored


def cluster_stored(
    runtime: Runtime,
    *,
    since: str | datetime = "24h",
    until: str | datetime | None = None,
    baseline: str | datetime | None = "15d",
    where: Mapping[str, Any] = {},
    settings: ClusterSettings | None = None,
    refit: bool = True,
    judge: str | None = None,
    name_with: str | None = None,
    to_send: ToSend | None = None,
    on_step: OnStep | None = None,
) -> StoredClustering:
    """Clusters the reasons from `since` to `until` against those from `baseline` to `since`, and writes that.

    Moments are times, or ages that count back from now, `baseline` from `since`; None: there is none, so no anomaly.
    `where` filters as `Store.reasons` does. Clusters that stay alike keep the ids and names of the last clustering with
    this filter; `refit` False puts reasons into its clusters and finds none anew. The judge `judge` reads the
    novelty pool and samples of each anomaly, the model `name_with` names the clusters that have no name but terms: the
    one of both that is paid. It is recorded as a run of kind `reasons`, `stopped` where a cap ended the reading.

    A window without any reason, where there always were some, is `silence`. ConfigError and DataError as of
    `read_input`; ConfigError or BudgetError where judge or model can't be asked, before anything is clustered.

    What `to_send` gives is queued for a webhook (`alarm` sends it), together with the clustering: a kill leaves both
    or none. UnwrittenError, which holds what was found, where the store can't be written.
    """
    step = on_step or (lambda _: None)
    settings = settings or ClusterSettings()
    reader = _checked(judge, name_with, runtime)
    step("reading reasons")
    given = read_input(runtime.store, since, until, baseline, where)
    look = _Look(runtime, given, settings, refit, reader, name_with, step)
    try:
        run_id = _start(runtime, given, settings, refit, judge, name_with)
    except StoreError as error:
        if reader is not None or name_with:  # what is paid must be written
            raise
        raise UnwrittenError(error, look.found("")) from error
    found = None
    try:
        with booked_on(runtime, run_id):
            found = look.found(run_id)
            step("writing")
            found = _written(found, given, runtime, to_send)
        why = found.why_stopped
        runtime.store.finish_run(run_id, "stopped" if why else "done", result=_figures(found), why=why)
    except StoreError as error:
        if found is None:
            raise
        raise UnwrittenError(error, found) from error
    return found


@dataclass(frozen=True)
class _Look:
    """What is to be clustered, read and named."""

    runtime: Runtime
    given: ReasonInput
    settings: ClusterSettings
    refit: bool
    reader: Judge | None
    name_with: str | None
    step: OnStep

    def found(self, run_id: str) -> StoredClustering:
        """What is found, not written yet."""
        runtime, given = self.runtime, self.given
        self.step("clustering")
        made = _clustered(runtime, given, self.settings, self.refit)
        judgments: tuple[Judgment, ...] = ()
        if self.reader is not None:
            self.step(f"{self.reader.name} is reading")
            made, judgments = read_anomalies(made, reading_of(made, self.reader), runtime)
        if self.name_with:
            self.step(f"{self.name_with} is naming")
            made, notes = named(made, naming_of(made, self.name_with, runtime))
            made = replace(made, notes=(*made.notes, *notes))
        why = cap_reached([one.error for one in judgments])
        if why:
            unread = sum(one.error is not None for one in judgments)
            made = replace(made, notes=(*made.notes, f"{counted(unread, 'reason')} not read by the judge: {why}"))
        return StoredClustering(
            made, "", run_id, (), given.task, given.where, given.left_out, given.silence,
            _usd(runtime, run_id, judgments), why or "",
        )  # fmt: skip


def plan_stored(
    runtime: Runtime,
    *,
    since: str | datetime = "24h",
    until: str | datetime | None = None,
    baseline: str | datetime | None = "15d",
    where: Mapping[str, Any] = {},
    settings: ClusterSettings | None = None,
    refit: bool = True,
    judge: str | None = None,
    name_with: str | None = None,
    on_step: OnStep | None = None,
) -> Plan:
    """What judge and names of `cluster_stored` would cost: clustered here, nothing is sent and nothing written."""
    step = on_step or (lambda _: None)
    settings = settings or ClusterSettings()
    reader = None if judge is None else load_judge(judge, runtime=runtime, workspace=runtime.workspace)
    step("reading reasons")
    given = read_input(runtime.store, since, until, baseline, where)
    step("clustering")
    made = _clustered(runtime, given, settings, refit)
    parts: list[Reading | Naming] = [] if reader is None else [reading_of(made, reader)]
    parts += [naming_of(made, name_with, runtime)] if name_with else []
    plans = [one.plan() for one in parts]
    if not plans:
        return Plan((), (), len(given.window), None, None)
    keys = dict.fromkeys(key for plan in plans for key in plan.missing_keys)
    cells = tuple(cell for plan in plans for cell in plan.cells)
    return replace(plans[0], cells=cells, items=sum(plan.items for plan in plans), missing_keys=tuple(keys))


def _checked(judge: str | None, name_with: str | None, runtime: Runtime) -> Judge | None:
    """The judge, once it is known that it and the model can be asked."""
    reader = None if judge is None else load_judge(judge, runtime=runtime, workspace=runtime.workspace)
    if reader is not None:
        reader.check()
    if name_with:
        runtime.check([Model(name_with)])
    return reader


def _start(
    runtime: Runtime, given: ReasonInput, settings: ClusterSettings, refit: bool, judge: str | None, name: str | None
) -> str:
    asked = {
        "name": given.task,
        "since": given.since,
        "until": given.until,
        "baseline": given.baseline_since,
        "where": dict(given.where),
        "settings": asdict(settings),
        "refit": refit,
        "judge": judge,
        "name_with": name,
    }
    ids = [] if given.baseline is None else given.baseline.column("prediction_id")
    return runtime.store.start_run(
        "reasons",
        inputs_hash=content_hash({**asked, "window": given.window.column("prediction_id"), "before": ids}),
        config=asked,
        seed=settings.seed,
        git_sha=git_sha(runtime.workspace or Path()),
        versions=versions(),
        simulated=given.simulated,
    )


def _clustered(runtime: Runtime, given: ReasonInput, settings: ClusterSettings, refit: bool) -> Clustering:
    """Clustered here; the window's bounds and what is to be known of the input stand in it."""
    notes = list(given.notes)
    if len(given.window):
        earlier = earlier_of(runtime.store, given.where, settings)
        if earlier is None and not refit:
            notes.append("No clustering of these reasons stands in the store yet: the kinds are found anew.")
        alerts = standing_alerts(runtime.store, given.task)
        made = cluster_reasons(
            given.window, given.baseline, earlier=earlier, refit=refit, settings=settings, alerts=alerts
        )
    else:
        made = _silent(given, settings)
    return replace(made, since=given.since, until=given.until, notes=(*made.notes, *notes))


def _silent(given: ReasonInput, settings: ClusterSettings) -> Clustering:
    """A window without any reason."""
    base = given.baseline or Reasons()
    moments = base.column("created_at")
    no_vectors = np.zeros((0, 256), np.float32)
    figures = BaselineFigures(
        len(base), 0, len(set(base.column("conversation_id"))), min(moments, default=""), max(moments, default="")
    )
    return Clustering(
        reasons=Reasons(),
        clusters=(),
        parents=(),
        anomalies=(),
        pool=(),
        cluster_ids=(),
        novelty=(),
        texts=0,
        conversations=0,
        simulated=given.simulated,
        settings=settings,
        embedder=static_embedder().name,
        centroids=no_vectors,
        parent_centroids=no_vectors,
        baseline=figures,
    )


def _written(
    stored: StoredClustering, given: ReasonInput, runtime: Runtime, to_send: ToSend | None
) -> StoredClustering:
    """The same with the ids it got in the store. What can't be finished is taken back."""
    made, clusterings = stored.clustering, Clusterings(runtime.store)
    id_ = clusterings.start(
        run_id=stored.run_id,
        since=given.since,
        until=given.until,
        baseline_since=given.baseline_since,
        baseline_until=None if given.baseline_since is None else given.since,
        filter=given.where,
        settings=asdict(made.settings),
        embedder=made.embedder,
        reasons=len(made.reasons),
        conversations=made.conversations,
        baseline_reasons=0 if given.baseline is None else len(given.baseline),
        simulated=made.simulated,
    )
    made = replace(made, clustering_id=id_)
    stored = replace(stored, clustering=made, clustering_id=id_)
    result = {name: value for name, value in stored.to_dict().items() if name != "anomaly_ids"}  # there are none yet
    body = to_send(stored) if to_send else None
    try:
        clusterings.add(id_, made.reasons.column("prediction_id"), made.cluster_ids, made.novelty)
        ids = clusterings.finish(
            id_,
            clusters=cluster_rows(made),
            anomalies=anomaly_rows(made),
            result=result,
            deliveries=[] if body is None else [body],
        )
    except BaseException:
        clusterings.give_up(id_)
        raise
    return replace(stored, anomaly_ids=tuple(ids))


def _usd(runtime: Runtime, run_id: str, judgments: tuple[Judgment, ...]) -> float | None:
    """Dollars of names, which are booked on the run itself, and of judgments that were bought now."""
    names = runtime.store.spent_nano(run_ids=[run_id])
    bought = [one.cost_nano_usd for one in judgments if not one.cached]
    if names.unknown or None in bought:
        return None
    return (names.settled + sum(one for one in bought if one is not None)) / 1e9


def _figures(stored: StoredClustering) -> dict[str, Any]:
    """What the run is remembered by: figures and ids."""
    made = stored.clustering
    return {
        "clustering": stored.clustering_id,
        "reasons": len(made.reasons),
        "clusters": len(made.clusters),
        "anomalies": len(made.anomalies),
        "silence": bool(stored.silence),
        "usd": stored.usd,
    }
