"""One screen: what the store holds, what failed, what it cost, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmclf.config import files, load_models
from llmclf.errors import MissingPieceError
from llmclf.llm.weights import weights_path
from llmclf.store import Store


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
    steps += [f"llmclf evaluate {own[0]}_keyword --dataset {name}" for name in datasets[:1]]
    return steps


def _is_own(kind: str, name: str, workspace: Path | None) -> bool:
    return files.find(kind, name, workspace).origin == "workspace"
