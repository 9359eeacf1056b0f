"""Files to the values that the other parts use."""

from __future__ import annotations

from pathlib import Path

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
    rows: dict[str, schemas.ModelRow] = {}
    for _, root in files.roots(workspace):
        path = root / "configs" / "models.toml"
        if path.is_file():
            file: schemas.ModelsFile = files.load("models", path)
            rows = {**file.models, **rows}
    return rows


def load_prices(workspace: Path | None = None) -> dict[str, schemas.PriceRow]:
    """Every row of every configs/prices.toml in the lookup order; the first place wins."""
    rows: dict[str, schemas.PriceRow] = {}
    for _, root in files.roots(workspace):
        path = root / "configs" / "prices.toml"
        if path.is_file():
            file: schemas.PricesFile = files.load("prices", path)
            rows = {**file.prices, **rows}
    return rows


def load_workspace(workspace: Path | None) -> schemas.WorkspaceFile:
    """llmclf.toml of the workspace; the defaults where there is none."""
    path = workspace / "llmclf.toml" if workspace else None
    if path is None or not path.is_file():
        return schemas.WorkspaceFile(version=1)
    file: schemas.WorkspaceFile = files.load("workspace", path)
    return file
