"""Changing one line of a TOML file of the workspace: every other line and comment stays as it was."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from llmclf.config import files
from llmclf.config.files import Found
from llmclf.data.files import atomic_writer
from llmclf.errors import ConfigError

TABLE = re.compile(r"^\s*\[", re.MULTILINE)
"""Where the first table begins, and with it the end of the file's own settings."""
_TASK = re.compile(r"^task\s*=.*$", re.MULTILINE)


def with_value(text: str, name: str, value: str) -> str:
    """The text of a file in which the setting `name`, outside of all tables, is `value` (as TOML writes it).

    Where it is not there yet it stands behind `task`. Nothing says that this went well: read the text again.
    """
    end = TABLE.search(text)
    root, tables = (text[: end.start()], text[end.start() :]) if end else (text, "")
    line = re.compile(rf"^({re.escape(name)}\s*=\s*)([^#\n]*?)(\s*(?:#.*)?)$", re.MULTILINE)
    if line.search(root):
        return line.sub(lambda found: f"{found[1]}{value}{found[3]}", root, count=1) + tables
    return _TASK.sub(lambda found: f"{found[0]}\n{name} = {value}", root, count=1) + tables


def parsed(text: str) -> dict[str, Any] | None:
    """What the text says; None where it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def check_own(found: Found) -> None:
    """Raises ConfigError for a file that is packaged, or another workspace's by its name."""
    packaged = found.path.resolve().is_relative_to(files.packaged_root() / "configs")
    if found.origin != "workspace" and (found.origin != "path" or packaged):
        raise ConfigError(
            "this file is not the workspace's own, and is left as it is",
            where=str(found.path),
            fix=f"copy it to configs/classifiers/{found.name}.toml in a workspace (`llmclf init` makes one)",
        )


def write_own(found: Found, text: str) -> None:
    """Writes the file whole or not at all, its line endings kept; errors as in `check_own`."""
    check_own(found)
    ending = "\r\n" if b"\r\n" in found.path.read_bytes() else "\n"
    with atomic_writer(found.path) as file:
        file.write(text.replace("\n", ending).encode())
