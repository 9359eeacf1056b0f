"""One screen: what the store holds, what failed, what it cost, and what to do next."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from llmclf.config import DatasetFile, files, load_models
from llmclf.errors import LlmclfError, MissingPieceError
from llmclf.llm.weights import weights_path
from llmclf.store import Store

_MOST_EXAMPLES = 1_000
"""Lines of labels that are looked at."""


def status(store: Path, workspace: Path | None, since: str = "24h") -> dict[str, Any]:
    """What `llmclf status` shows, as JSON types. `next` holds commands worth running, best first."""
    found: dict[str, Any] = {"store": str(store), "since": since, "activity": None}
    if store.is_file():
        with Store(store) as opened:
            found["activity"] = opened.status(since)
    found["local_models"] = {
        name: _is_here(name, row, workspace) for name, row in load_models(workspace).items() if row.route == "local"
    }
    found["next"] = _next(found, workspace)
    return found


def _is_here(name: str, row: Any, workspace: Path | None) -> bool:
    try:
        weights_path(name, row, workspace)
    except MissingPieceError:
        return False
    return True


def _next(found: dict[str, Any], workspace: Path | None) -> list[str]:
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
