"""Files to the values that the other parts use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmclf.config import files, model_schemas, schemas
from llmclf.errors import ConfigError
from llmclf.types import FailureMode, Label, Rule, Task


def load_task(name: str, workspace: str | Path | None = None) -> Task:
    """The task `name`: configs/tasks/NAME.toml, or a path."""
    found = files.find("task", name, as_folder(workspace))
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


def load_models(workspace: str | Path | None = None) -> dict[str, model_schemas.ModelRow]:
    """Every row of every configs/models.toml in the lookup order; the first place that names a model wins."""
    return _merged("models", as_folder(workspace))


def load_prices(workspace: str | Path | None = None) -> dict[str, model_schemas.PriceRow]:
    """Every row of every configs/prices.toml in the lookup order; the first place wins."""
    return _merged("prices", as_folder(workspace))


def load_pace(workspace: str | Path | None = None) -> dict[str, model_schemas.PaceRow]:
    """Every [pace] row of every configs/models.toml in the lookup order; the first place wins, the order stays."""
    return _merged("models", as_folder(workspace), "pace")


def load_plans(workspace: str | Path | None = None) -> dict[str, model_schemas.ProvisionedPlan]:
    """Every [plans] row of every configs/prices.toml in the lookup order; the first place wins."""
    return _merged("prices", as_folder(workspace), "plans")


def _merged(kind: str, workspace: Path | None, table: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for _, root in files.roots(workspace):
        path = root / "configs" / f"{kind}.toml"
        if path.is_file():
            found = getattr(files.load(kind, path), table or kind)
            rows |= {name: row for name, row in found.items() if name not in rows}
    return rows


def load_workspace(workspace: str | Path | None) -> model_schemas.WorkspaceFile:
    """llmclf.toml of the workspace; the defaults where there is none."""
    folder = as_folder(workspace)
    path = folder / "llmclf.toml" if folder else None
    if path is None or not path.is_file():
        return model_schemas.WorkspaceFile(version=1)
    file: model_schemas.WorkspaceFile = files.load("workspace", path)
    return file


def as_folder(workspace: str | Path | None) -> Path | None:
    """The folder of a workspace that was given as text or as a path; ConfigError for anything else."""
    if workspace is None or isinstance(workspace, Path):
        return workspace
    if isinstance(workspace, str):
        return Path(workspace)
    raise ConfigError("workspace must be a folder", got=workspace, fix="pass a str, a pathlib.Path or None")
