"""One screen: what the store holds, what failed, what it cost, and what to do next."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from llmclf.config import DatasetFile, files, load_models, load_workspace
from llmclf.errors import LlmclfError, MissingPieceError
from llmclf.llm.weights import weights_path
from llmclf.store import Store

_MOST_EXAMPLES = 1_000
"""Lines of labels that are looked at."""
_MOST_SESSIONS = 3
"""Sessions that `next` names."""
_JUDGES = """
SELECT judge, fingerprint, cases, (
  SELECT simulated FROM judgments WHERE judge = counted.judge AND fingerprint = counted.fingerprint LIMIT 1
) AS simulated
FROM (
  SELECT judge, fingerprint, count(DISTINCT case_id) AS cases FROM judgments GROUP BY judge, fingerprint
) AS counted ORDER BY judge, fingerprint
"""
_LOOKED_AT = """
SELECT 1 FROM session_looks WHERE session_id = ? AND looked_at >= (
  SELECT coalesce(max(made_at), '') FROM session_labels WHERE session_id = ?
) LIMIT 1
"""
_STRANGE = """
SELECT clustering_id, clusterings.created_at AS created_at, since, until, simulated, filter, anomalies.kind AS kind,
  anomalies.cluster_id AS cluster_id, name, anomalies.reasons AS reasons, anomalies.conversations AS conversations, p,
  json_extract(evidence, '$.sentence') AS sentence
FROM anomalies JOIN clusterings USING (clustering_id) LEFT JOIN clusters USING (clustering_id, cluster_id)
WHERE clustering_id IN (SELECT max(clustering_id) FROM clusterings WHERE state = 'done' GROUP BY filter)
ORDER BY clustering_id DESC, anomaly_id
"""
_SILENT = """
SELECT clustering_id, created_at, since, until, simulated, filter, 'silence' AS kind, '' AS cluster_id, '' AS name,
  reasons, conversations, NULL AS p, json_extract(result, '$.silence') AS sentence
FROM clusterings
WHERE clustering_id IN (SELECT max(clustering_id) FROM clusterings WHERE state = 'done' GROUP BY filter)
  AND coalesce(json_extract(result, '$.silence'), '') <> ''
"""
_UNWATCHED = """
SELECT clustering_id, created_at, since, until, simulated, filter, 'unwatched' AS kind, '' AS cluster_id, '' AS name,
  reasons, conversations, NULL AS p,
  'standing alerts not looked for: ' || (SELECT group_concat(value, ', ') FROM json_each(result, '$.unwatched'))
    AS sentence
FROM clusterings
WHERE clustering_id IN (SELECT max(clustering_id) FROM clusterings WHERE state = 'done' GROUP BY filter)
  AND json_array_length(result, '$.unwatched') > 0
"""
_MOST_STRANGE = 2
"""Anomalies that `next` names."""


def status(store: Path, workspace: Path | None, since: str = "24h") -> dict[str, Any]:
    """What `llmclf status` shows, as JSON types. `next` holds commands worth running, best first."""
    found: dict[str, Any] = {"store": str(store), "since": since, "activity": None, "sessions": [], "judges": []}
    found["anomalies"] = []
    if store.is_file():
        with Store(store) as opened:
            found["activity"] = opened.status(since)
            found["sessions"] = _open_sessions(opened)
            found["judges"] = _judges(opened, workspace)
            found["anomalies"] = _strange(opened)
    found["local_models"] = {
        name: _is_here(name, row, workspace) for name, row in load_models(workspace).items() if row.route == "local"
    }
    found["next"] = _next(found, workspace)
    return found


def _open_sessions(store: Store) -> list[dict[str, Any]]:
    """The sessions that still take labels, newest first, each with what is `next` in it: label, report or nothing."""
    if not store.query("SELECT 1 FROM sessions LIMIT 1"):
        return []
    from llmclf.calibration.desk import Desk  # where nobody labels, nothing of it is loaded

    rows = []
    for one in Desk(store).sessions():
        if not one.closed:
            waiting = one.to_adjudicate if one.adjudicator else 0
            open_ = waiting > 0 or any(one.done[name] < one.total[name] for name in one.annotators)
            looked_at = not open_ and bool(store.query(_LOOKED_AT, (one.id, one.id)))
            rows.append({**asdict(one), "next": "label" if open_ else "" if looked_at else "report"})
    return rows


def _strange(store: Store) -> list[dict[str, Any]]:
    """What the newest clustering of each filter found strange about the reasons, and what it could not look for."""
    rows = store.query(_SILENT) + store.query(_UNWATCHED) + store.query(_STRANGE)
    for row in rows:
        row["filter"], row["simulated"] = json.loads(row["filter"]), bool(row["simulated"])
        row["name"] = row["name"] or ""
    return rows


def _judges(store: Store, workspace: Path | None) -> list[dict[str, Any]]:
    """The judges whose judgments are in the store, each fingerprint for itself, with what a calibration says of it.

    `file` says whether the judge is still the same: `current`, `changed`, `broken` or `gone`.
    """
    stored = store.query(_JUDGES)
    if not stored:
        return []
    from llmclf.judges.status import read_status, short_of
    from llmclf.llm.runtime import Runtime

    known = set(files.listing("judge", workspace))
    rows = []
    with Runtime(store, workspace=workspace) as runtime:
        judges = {name: _loaded(name, runtime) for name in {row["judge"] for row in stored}}
        for row in stored:
            name, fingerprint = row["judge"], row["fingerprint"]
            judge, now = judges[name]
            if judge is None:
                file = "broken" if name in known else "gone"
                said = read_status(name, fingerprint, workspace)
            else:
                file = "current" if now == fingerprint else "changed"
                said = judge.status_of(fingerprint)
            about = {"calibration": said.stamp, "state": said.state, "why": said.why, "session": said.session}
            id = f"{name}@{short_of(fingerprint)}"
            rows.append({"id": id, **row, "simulated": bool(row["simulated"]), "file": file, **about})
    return rows


def _loaded(name: str, runtime: Any) -> tuple[Any, str]:
    """(the judge of a name, its fingerprint), or (None, nothing) where its file is broken or gone."""
    from llmclf.judges.loading import load_judge

    try:
        judge = load_judge(name, runtime=runtime)
        return judge, judge.fingerprint
    except LlmclfError:
        return None, ""  # `llmclf check` says what is wrong with it


def _is_here(name: str, row: Any, workspace: Path | None) -> bool:
    try:
        weights_path(name, row, workspace)
    except MissingPieceError:
        return False
    return True


def _next(found: dict[str, Any], workspace: Path | None) -> list[str]:
    usual = (workspace or Path()) / load_workspace(workspace).store
    given = Path(found["store"])
    store = "" if given.absolute() == usual.absolute() else f" --store {shlex.quote(str(given))}"
    return _of_anomalies(found, store) + _of_sessions(found, store) + _of_files(workspace)


def _of_anomalies(found: dict[str, Any], store: str) -> list[str]:
    """What shows the strange clusters; without a cluster's id it shows all of a clustering."""
    steps = []
    for row in found["anomalies"]:
        if row["kind"] == "no_reason":
            continue  # this very screen says what failed
        if row["kind"] == "unwatched":
            steps.append(f"llmclf reasons alerts{store}")
            continue
        cluster = f" {row['cluster_id']}" if row["cluster_id"] else " pool" if row["kind"] == "novelty" else ""
        steps.append(f"llmclf reasons show{cluster} --in {row['clustering_id']}{store}")
    return list(dict.fromkeys(steps))[:_MOST_STRANGE]


def _of_sessions(found: dict[str, Any], store: str) -> list[str]:
    steps = [f"llmclf calibrate {one['next']} {one['id']}{store}" for one in found["sessions"] if one["next"]]
    return steps[:_MOST_SESSIONS]


def _of_files(workspace: Path | None) -> list[str]:
    own = [name for name in files.listing("task", workspace) if _is_own("task", name, workspace)]
    if not own:
        return ["llmclf demo", "llmclf init my-workspace"]
    steps = ["llmclf check"]
    datasets = [name for name in files.listing("dataset", workspace) if _is_own("dataset", name, workspace)]
    steps += [f"llmclf data check {name}" for name in datasets[:1]]
    return steps + _evaluation(own, datasets, workspace)


def _evaluation(tasks: list[str], datasets: list[str], workspace: Path | None) -> list[str]:
    """The first evaluation that would work: a classifier of a task that a dataset has labels of."""
    classifiers = [name for name in files.listing("classifier", workspace) if _is_own("classifier", name, workspace)]
    about = {name: task for name in classifiers if (task := _task_of(name, workspace)) in tasks}
    for dataset in datasets:
        labelled = _labelled_tasks(dataset, workspace)
        for name in about:
            if about[name] in labelled:
                return [f"llmclf evaluate {name} --dataset {dataset}"]
    return []


def _task_of(classifier: str, workspace: Path | None) -> str:
    """The task of a keyword classifier, which needs neither key nor training; empty for others and broken ones."""
    try:
        file = files.load_named("classifier", classifier, workspace)
    except LlmclfError:
        return ""
    return str(file.task) if file.kind == "keyword" else ""


def _labelled_tasks(dataset: str, workspace: Path | None) -> set[str]:
    """The tasks that the first examples of a dataset have labels of."""
    try:
        path = files.find("dataset", dataset, workspace).path
        file: DatasetFile = files.load("dataset", path)
        if not file.labels:
            return set()
        with (path.parent / file.labels).open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in islice(lines, _MOST_EXAMPLES) if line.strip()]
        return {task for row in rows for task in row["labels"]}
    except (LlmclfError, OSError, ValueError, KeyError, TypeError):
        return set()  # `llmclf check` and `llmclf data check` say what is wrong with it


def _is_own(kind: str, name: str, workspace: Path | None) -> bool:
    return files.find(kind, name, workspace).origin == "workspace"
