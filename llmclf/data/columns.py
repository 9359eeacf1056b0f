"""A column mapping from a TOML file, as the command takes it."""

from __future__ import annotations

from pathlib import Path

from llmclf.config import files
from llmclf.config.mistakes import validated
from llmclf.data.mapping import ColumnMapping
from llmclf.errors import ConfigError


def read_mapping(path: Path) -> ColumnMapping:
    """The mapping in a TOML file: `version = 1` and the fields of ColumnMapping. ConfigError lists all mistakes."""
    from pydantic import TypeAdapter

    values = files.read_toml(path)
    version = values.pop("version", None)
    mapping, problems = validated(TypeAdapter(ColumnMapping), values)
    if version != 1:
        problems = [f"version: input should be 1; got {version!r}", *problems]
    if problems:
        raise ConfigError("has mistakes", where=str(path), problems=problems)
    found: ColumnMapping = mapping
    return found
