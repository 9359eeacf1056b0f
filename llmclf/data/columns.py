"""A column mapping from a TOML file, as the command takes it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from llmclf.config import files
from llmclf.config.mistakes import validated
from llmclf.data.mapping import ColumnMapping
from llmclf.errors import ConfigError, nearest, shorten


def read_mapping(path: Path) -> ColumnMapping:
    """The mapping in a TOML file: `version = 1` and the fields of ColumnMapping. ConfigError lists all mistakes."""
    from pydantic import TypeAdapter

    values = files.read_toml(path)
    version = values.pop("version", None)
    known = [field.name for field in fields(ColumnMapping)]
    unknown = [f"{shorten(key, 60)}: unknown key; {nearest(key[:60], known)}" for key in values if key not in known]
    right = {key: value for key, value in values.items() if key in known}
    mapping, problems = validated(TypeAdapter(ColumnMapping), right)
    problems = [*unknown, *problems]
    if version is None:
        problems = ["version = 1 is missing", *problems]
    elif type(version) is not int or version != 1:
        problems = [f"version: input should be 1; got {shorten(version, 60)}", *problems]
    if problems:
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        raise ConfigError(f"has {count}", where=str(path), problems=problems)
    found: ColumnMapping = mapping
    return found
