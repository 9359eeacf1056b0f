"""From a dataset file to a dataset."""

from __future__ import annotations

from pathlib import Path

from llmclf.config import DatasetFile, files
from llmclf.data.read import load_dataset_files
from llmclf.types import Dataset, Design, Stratum


def load_dataset(name: str, workspace: str | Path | None = None) -> Dataset:
    """The dataset `name` (configs/datasets/NAME.toml, or a path) with its conversations and labels.

    Raises ConfigError where there is no such dataset, DataError that lists every bad line.
    """
    found = files.find("dataset", name, Path(workspace) if workspace is not None else None)
    file: DatasetFile = files.load("dataset", found.path)
    folder = found.path.parent
    strata = tuple(Stratum(table.name, table.population, table.sampled) for table in file.design.strata)
    return load_dataset_files(
        found.name,
        folder / file.conversations,
        folder / file.labels if file.labels else None,
        Design(file.design.kind, strata, file.design.note),
    )
