"""From strange reasons to a regression test: a cluster becomes a failure mode, hard negatives, or a standing alert."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from llmclf.config import load_task
from llmclf.errors import ConfigError, DataError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import counted
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings
from llmclf.types import Item, Task
from llmclf.types.hashing import plain
from llmclf.workspace.alert_cuts import centroid_of, cut_of
from llmclf.workspace.promoted_examples import Added, Picked, Said, add_picked

PromotedAs = Literal["failure-mode", "hard-negative", "alert"]
NEGATIVES = "hard_negatives"
"""The dataset that hard negatives go into, where no other is named."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,59}")
_COUNTS = ("turns", "characters")
_MOST_UNLIKE = 3  # items that a note names
POOL = "pool"
"""Promoted in place of a cluster: all that a clustering found unlike the days before, beside its new clusters."""
_POOLED = """
SELECT prediction_id, conversation_id, turn, classifier_id, task, label, simulated, fields
FROM predictions WHERE prediction_id IN (SELECT value FROM json_each(?)) ORDER BY prediction_id
"""
_PREDICTIONS = """
SELECT prediction_id, conversation_id, turn, classifier_id, predictions.task AS task, label, simulated, fields
FROM clustered JOIN predictions USING (prediction_id) WHERE clustering_id = ? AND cluster_id = ?
ORDER BY novelty IS NULL, novelty, prediction_id
"""


@dataclass(frozen=True)
class Promoted:
    """What became of a cluster."""

    as_: PromotedAs
    name: str
    """Of the failure mode, the dataset, or the alert."""
    cluster_id: str
    clustering_id: str
    sentence: str
    """What was done, in words."""
    added: int = 0
    """Examples that were added to the dataset, or got the failure mode there."""
    there: int = 0
    """Examples that stood there already as they are."""
    missing: tuple[str, ...] = ()
    """Items of the cluster whose conversation, or turn, is nowhere that was given: no example of them is made."""
    unlike: tuple[str, ...] = ()
    """Items whose conversation in the dataset is not what their predictions were asked with, and how it differs."""
    dataset: str = ""
    path: Path | None = None
    """The dataset's file."""
    notes: tuple[str, ...] = ()
    next_command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        path = None if self.path is None else str(self.path)
        row: dict[str, Any] = {
            **plain(self),
            "path": path,
            "missing": list(self.missing),
            "unlike": list(self.unlike),
            "notes": list(self.notes),
        }
        row["as"] = row.pop("as_")
        return {**row, "added": self.added, "there": self.there, "dataset": self.dataset}


def promote(
    cluster_id: str,
    as_: PromotedAs,
    runtime: Runtime,
    *,
    name: str = "",
    clustering: str = "last",
    into: str | None = None,
    conversations: str | Path | None = None,
    label: str | None = None,
    by: str = "",
    most: int = 50,
    least_conversations: int = 3,
    note: str = "",
) -> Promoted:
    """Makes a failure mode, hard negatives or a standing alert of a cluster; a second time adds nothing twice.

    `failure-mode` keeps the mode `name` (default: made of the cluster's name) and, with `into`, adds up to `most`
    items of the cluster to that dataset, marked with it. `hard-negative` adds them to `into` (default:
    `hard_negatives`) with `label`, which may be left out where the task has one clean label. `alert` keeps what tells
    these reasons from the window's others, to be told of whenever `least_conversations` have such reasons.
    `conversations` is a file with them, or the name of a dataset: a store keeps none. `by` is who says so.

    ConfigError lists everything that is wrong with the request, before anything is written; DataError where the
    cluster's reasons are too old to be there, or can't be told from the others.
    """
    if as_ not in get_args(PromotedAs):
        raise ConfigError("a cluster can't become that", where="--as", got=as_, fix=nearest(as_, get_args(PromotedAs)))
    found = _found(cluster_id, clustering, runtime.store)
    asked = _Asked(name or _slug(found.name), into, conversations, label, by.strip(), most, least_conversations, note)
    by_kind: Mapping[str, Callable[[_Found, _Asked, Runtime], Promoted]] = {
        "failure-mode": _failure_mode,
        "hard-negative": _hard_negatives,
        "alert": _alert,
    }
    return by_kind[as_](found, asked, runtime)


@dataclass(frozen=True)
class _Asked:
    name: str
    into: str | None
    conversations: str | Path | None
    label: str | None
    by: str
    most: int
    least_conversations: int
    note: str

    def problems(self) -> list[str]:
        found = [] if _NAME.fullmatch(self.name) else [f"{self.name!r} is no name: use letters, digits, '_', '-', '.'"]
        counts = (("most", self.most), ("least conversations", self.least_conversations))
        return found + [f"{name}: at least 1, got {count}" for name, count in counts if count < 1]


@dataclass(frozen=True)
class _Found:
    """A cluster of a stored clustering, with its predictions, those furthest from the baseline first."""

    clustering: Mapping[str, Any]
    cluster: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        return str(self.cluster["name"])

    @property
    def ids(self) -> dict[str, str]:
        return {"cluster_id": self.cluster["cluster_id"], "clustering_id": self.clustering["clustering_id"]}

    @property
    def task(self) -> str:
        return str(self.rows[0]["task"])

    @property
    def classifier(self) -> str:
        """The name of the classifier that most of them come from."""
        return Counter(str(row["classifier_id"]).partition("@")[0] for row in self.rows).most_common(1)[0][0]

    @property
    def items(self) -> list[Item]:
        return list(dict.fromkeys(Item(row["conversation_id"], row["turn"]) for row in self.rows))

    @property
    def asked(self) -> dict[Item, list[dict[str, int]]]:
        """What the predictions of each item were asked with, counted, as far as that is known."""
        found: dict[Item, list[dict[str, int]]] = {}
        for row in self.rows:
            counts = {name: count for name, count in _fields(row).items() if name in _COUNTS and type(count) is int}
            if counts:
                found.setdefault(Item(row["conversation_id"], row["turn"]), []).append(counts)
        return found

    @property
    def history(self) -> str:
        """Where the examples come from, in words that hold none of a conversation's."""
        ids = self.ids
        return f"reasons of cluster {ids['cluster_id']} ({self.name}), clustering {ids['clustering_id']}"


def _found(cluster_id: str, clustering: str, store: Store) -> _Found:
    clusterings = Clusterings(store)
    row = clusterings.find(clustering)
    clusters = {one["cluster_id"]: one for one in clusterings.clusters(row["clustering_id"]) if one["kind"] != "parent"}
    where = f"clustering {row['clustering_id']}"
    if cluster_id == POOL:
        return _pool(row, clusterings, store)
    if cluster_id not in clusters:
        fix = nearest(cluster_id, list(clusters)) if len(clusters) <= 10 else "see them: llmclf reasons show"
        raise ConfigError("it has no such cluster", where=where, got=cluster_id, fix=fix)
    if not clusters[cluster_id]["reasons"]:
        raise DataError("it holds no reason of this window", where=where, got=cluster_id, fix="promote another cluster")
    rows = store.query(_PREDICTIONS, (row["clustering_id"], cluster_id))
    if not rows:
        raise DataError(
            "the store does not know any more which reasons are in this cluster",
            where=where,
            got=cluster_id,
            fix="cluster anew (llmclf reasons cluster), and promote from that",
        )
    return _Found(row, clusters[cluster_id], rows)


def _pool(row: Mapping[str, Any], clusterings: Clusterings, store: Store) -> _Found:
    """The anomaly of the novelty pool, as though it were a cluster; it has no centroid."""
    strange = [one for one in clusterings.anomalies(row["clustering_id"]) if one["kind"] == "novelty"]
    ids = [id_ for one in strange for id_ in one["evidence"].get("predictions", ())]
    rows = store.query(_POOLED, (json.dumps(ids),))
    if not rows:
        raise ConfigError(
            "it found no more reasons unlike the days before than chance brings, beside its clusters",
            where=f"clustering {row['clustering_id']}",
            got=POOL,
            fix="promote a cluster: llmclf reasons show lists them",
        )
    return _Found(row, {"cluster_id": POOL, "name": "unlike before", "centroid": None}, rows)


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(row["fields"] or "{}")
    except ValueError:  # one broken row is no reason to promote nothing
        return {}
    return found if isinstance(found, dict) else {}


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()[:60]


# --- a failure mode, hard negatives -----------------------------------------------------------


def _failure_mode(found: _Found, asked: _Asked, runtime: Runtime) -> Promoted:
    problems = asked.problems()
    task = load_task(found.task, runtime.workspace) if asked.into else None
    if asked.label is not None and (task is None or asked.label not in task.label_names):
        known = "give --into, the dataset its items go into" if task is None else nearest(asked.label, task.label_names)
        problems.append(f"label {asked.label!r}: {known}")
    if not asked.into and asked.conversations:
        problems.append("conversations are given, but no dataset (--into) that the items go into")
    added = Added()
    if task is not None and asked.into:
        added = _add(found, asked, asked.into, task, asked.label, runtime, problems, mode=asked.name)
    elif problems:
        raise ConfigError("it can't become a failure mode", where=found.ids["cluster_id"], problems=problems)
    clusterings = Clusterings(runtime.store)
    before = {one["failure_mode"]: one for one in clusterings.failure_modes()}.get(asked.name)
    into = asked.into or (before["dataset"] if before else "")
    examples = added.marked if asked.into else (before["examples"] if before else 0)
    clusterings.put_failure_mode(
        asked.name, task=found.task, dataset=into, examples=examples, note=_kept_note(asked, before), **found.ids
    )
    kept = "stands already" if before else "is kept"
    sentence = f"The failure mode {asked.name} {kept}: {counted(len(found.items), 'item')} showed it."
    notes = [_unlabelled(added.unlabelled, task)] if task is not None and added.unlabelled else []
    return _promoted(
        "failure-mode", asked.name, found, added, sentence, notes, _next_of_mode(found, asked, task, added.unlabelled)
    )


def _hard_negatives(found: _Found, asked: _Asked, runtime: Runtime) -> Promoted:
    problems = asked.problems()
    task = load_task(found.task, runtime.workspace)
    label, problem = _negative_label(task, asked.label)
    problems += [problem] if problem else []
    into = asked.into or NEGATIVES
    added = _add(found, asked, into, task, label, runtime, problems)
    command = f"llmclf evaluate {shlex.quote(found.classifier)} --dataset {shlex.quote(into)}"
    sentence = f"{counted(len(found.items), 'item')} of the cluster as hard negatives of {task.name}, label {label}."
    if not asked.label:
        notes = [f"label {label}: the only clean one of {task.name}; say --label where these are something else"]
    else:
        notes = []
    return _promoted("hard-negative", into, found, added, sentence, notes, command)


def _add(
    found: _Found,
    asked: _Asked,
    into: str,
    task: Task,
    label: str | None,
    runtime: Runtime,
    problems: list[str],
    mode: str = "",
) -> Added:
    said = Said(task, label, asked.by, "; ".join(one for one in (found.history, asked.note) if one), mode)
    picked = Picked(into, found.items, said, asked.most, found.asked)
    return add_picked(picked, asked.conversations, runtime.workspace, problems, where=found.ids["cluster_id"])


def _negative_label(task: Task, label: str | None) -> tuple[str | None, str]:
    """(label of hard negatives, what is wrong with it)."""
    negative = [one.name for one in task.labels if one.role != "target"]
    clean = [one.name for one in task.labels if one.role == "clean"]
    if label is None:
        what = f"--label: say which of {', '.join(negative)} they are; {task.name} has {len(clean)} clean labels"
        return (clean[0], "") if len(clean) == 1 else (None, what)
    if label == task.target:
        return None, f"label {label!r} is the target: that is no negative; promote it as a failure mode"
    return (label, "") if label in negative else (None, f"label {label!r}: {nearest(label, negative)}")


def _unlabelled(count: int, task: Task) -> str:
    return (
        f"{counted(count, 'example')} without a label: what is right for them nobody has said, and `evaluate` leaves "
        f"them out. Say --label ({', '.join(task.label_names)}), or have people label them"
    )


def _next_of_mode(found: _Found, asked: _Asked, task: Task | None, unlabelled: int) -> str:
    if task is None or asked.into is None:
        return f"llmclf reasons promote {found.ids['cluster_id']} --as failure-mode --into DATASET --conversations FILE"
    into = shlex.quote(asked.into)
    if unlabelled:
        return f"llmclf calibrate start {shlex.quote(task.name)} --items {into} --annotators NAME --plan"
    return f"llmclf evaluate {shlex.quote(found.classifier)} --dataset {into} --by failure_mode"


def _kept_note(asked: _Asked, before: Mapping[str, Any] | None) -> str:
    return asked.note or (str(before["note"]) if before else "")


def _promoted(
    as_: PromotedAs, name: str, found: _Found, added: Added, sentence: str, notes: Sequence[str], command: str
) -> Promoted:
    parts = [sentence]
    if added.dataset:
        parts.append(f"{added.added:,} added to {added.dataset}, {added.there:,} there already.")
    left_out = (
        (len(added.missing), "left out: no conversation of theirs was given"),
        (added.beyond, "left out beyond --most"),
        (added.otherwise, "there with another label, which stays"),
    )
    more = [f"{counted(count, 'item')} {why}" for count, why in left_out if count]
    more += [_unlike(added.unlike)] if added.unlike else []
    if any(row["simulated"] for row in found.rows):
        more.append("SIMULATED: a simulated vendor gave these reasons; they say nothing of a real one")
    return Promoted(
        as_,
        name,
        **found.ids,
        sentence=" ".join(parts),
        added=added.added,
        there=added.there,
        missing=added.missing,
        unlike=added.unlike,
        dataset=added.dataset,
        path=added.path,
        notes=(*notes, *more),
        next_command=command,
    )


def _unlike(items: Sequence[str]) -> str:
    more = f"; and {len(items) - _MOST_UNLIKE} more" if len(items) > _MOST_UNLIKE else ""
    return (
        f"{counted(len(items), 'conversation')} of the file differ from what the predictions were asked with "
        f"({'; '.join(items[:_MOST_UNLIKE])}{more}): this dataset does not hold the fault. Look at them before you "
        "say what is right for them"
    )


# --- a standing alert -------------------------------------------------------------------------


def _alert(found: _Found, asked: _Asked, runtime: Runtime) -> Promoted:
    problems = asked.problems()
    if asked.into or asked.conversations or asked.label:
        problems.append("an alert takes no dataset, conversations or label")
    if problems:
        raise ConfigError("it can't become an alert", where=found.ids["cluster_id"], problems=problems)
    own = [row["prediction_id"] for row in found.rows]
    centroid = found.cluster["centroid"] or centroid_of(found.clustering, own, runtime.store)
    cluster = {**found.cluster, "centroid": centroid}
    cut = cut_of(found.clustering, cluster, own, asked.least_conversations, runtime.store)
    clusterings = Clusterings(runtime.store)
    before = {one["alert"]: one for one in clusterings.alerts()}.get(asked.name)
    clusterings.put_alert(
        asked.name,
        embedder=found.clustering["embedder"],
        centroid=centroid,
        similarity=cut.similarity,
        least_conversations=asked.least_conversations,
        note=_kept_note(asked, before),
        **found.ids,
    )
    stands = "stands already, and is set anew" if before else "stands"
    sentence = (
        f"The alert {asked.name} {stands}: told of whenever {counted(asked.least_conversations, 'conversation')} of a "
        f"window have such reasons. {cut.sentence}"
    )
    command = "llmclf reasons anomalies --since 24h"
    return _promoted("alert", asked.name, found, Added(), sentence, cut.notes, command)
