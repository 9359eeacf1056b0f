"""Files to the values that the other parts use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmclf.config import files, schemas
from llmclf.types import FailureMode, Label, Rule, Task


def load_task(name: str, workspace: Path | None = None) -> Task:
    """The task `name`: configs/tasks/NAME.toml, or a path."""
    found = files.find("task", name, workspace)
    file: schemas.TaskFile = files.load("task", found.path)
    return Task(
        name=found.name,
        question=file.question,
        labels=tuple(
            Label(label, table.role, table.definition, tuple(Rule(*rule) for rule in table.rules.items()))
            for label, table in file.labels.items()
        ),
        unit=file.unit,
        context=file.context or ("so_far" if file.unit == "turn" else "whole"),
        language=file.language,
        failure_modes=tuple(FailureMode(*mode) for mode in file.failure_modes.items()),
    )


def load_models(workspace: Path | None = None) -> dict[str, schemas.ModelRow]:
    """Every row of every configs/models.toml in the lookup order; the first place that names a model wins."""
    return _merged("models", workspace)


def load_prices(workspace: Path | None = None) -> dict[str, schemas.PriceRow]:
    """Every row of every configs/prices.toml in the lookup order; the first place wins."""
    return _merged("prices", workspace)


def _merged(kind: str, workspace: Path | None) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for _, root in files.roots(workspace):
        path = root / "configs" / f"{kind}.toml"
        if path.is_file():
            rows = {**getattr(files.load(kind, path), kind), **rows}
    return rows


def load_workspace(workspace: Path | None) -> schemas.WorkspaceFile:
    """llmclf.toml of the workspace; the defaults where there is none."""
    path = workspace / "llmclf.toml" if workspace else None
    if path is None or not path.is_file():
        return schemas.WorkspaceFile(version=1)
    file: schemas.WorkspaceFile = files.load("workspace", path)
    return file
