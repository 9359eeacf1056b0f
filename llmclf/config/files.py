"""Where a name is looked up, and how a file is read with every mistake in one message."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from llmclf.config import judge_schemas, model_schemas, optimization_schemas, schemas
from llmclf.config.mistakes import validated
from llmclf.errors import ConfigError, nearest

KINDS: dict[str, tuple[str, str, Any]] = {
    "task": ("configs/tasks", ".toml", schemas.TaskFile),
    "classifier": ("configs/classifiers", ".toml", schemas.ClassifierFile),
    "dataset": ("configs/datasets", ".toml", schemas.DatasetFile),
    "sweep": ("configs/sweeps", ".toml", schemas.SweepFile),
    "optimization": ("configs/optimizations", ".toml", optimization_schemas.OptimizationFile),
    "judge": ("judges", ".toml", judge_schemas.JudgeFile),
    "models": ("configs", ".toml", model_schemas.ModelsFile),
    "prices": ("configs", ".toml", model_schemas.PricesFile),
    "workspace": ("", ".toml", model_schemas.WorkspaceFile),
    "prompt": ("prompts", ".txt", None),
}
"""Kind of file: (folder, ending, model)."""

_ONE_FILE = ("models", "prices", "workspace")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")


@dataclass(frozen=True, slots=True)
class Found:
    """A file and the name it is known by."""

    name: str
    path: Path
    origin: str
    """`path`, `workspace`, `LLMCLF_HOME` or `packaged`."""


@cache
def packaged_root() -> Path:
    """The folder that holds the packaged configs/ and prompts/.

    An installed wheel has them in `_data` beside the code; a checkout has them in the folder above,
    which counts only if it holds llmclf's own pyproject.toml.
    """
    package = Path(__file__).resolve().parents[1]
    data = package / "_data"
    if data.is_dir():
        return data
    project = package.parent / "pyproject.toml"
    if project.is_file() and 'name = "llmclf"' in project.read_text(encoding="utf-8"):
        return package.parent
    raise ConfigError(
        "the packaged configs are missing", where=str(data), fix="install llmclf again: pip install --force-reinstall"
    )


def find(kind: str, name: str, workspace: Path | None = None) -> Found:
    """The file of `kind` called `name`: a path, or a name looked up in the lookup order.

    Raises ConfigError that lists where it looked and the nearest known name.
    """
    folder, ending, _ = KINDS[kind]
    if name.endswith(ending):
        path = Path(name)
        candidates = [path] if path.is_absolute() or workspace is None else [workspace / path, path]
        for candidate in candidates:
            if _is_file(candidate):
                return Found(candidate.stem, candidate, "path")
        problems = [f"looked for {candidate.absolute()}" for candidate in candidates]
        raise ConfigError(f"there is no such {kind} file", where=name, problems=problems)
    if kind == "dataset" and Path(name).suffix and any(_is_file(root / name) for root in (workspace or Path(), Path())):
        raise ConfigError(
            "that is a file with conversations or labels, not the dataset file that names them",
            where=name,
            fix=f"give that one's name or path: {', '.join(listing(kind, workspace))}",
        )
    if not is_name(name):
        raise ConfigError(f"not a name of a {kind}", got=name, fix="use letters, digits, '_', '-', '.' and '/'")
    looked = []
    for origin, root in roots(workspace):
        path = root / folder / f"{name}{ending}"
        if _is_file(path):
            return Found(name, path, origin)
        looked.append(str(path))
    raise ConfigError(
        f"there is no {kind} {name!r}",
        fix="; ".join(hint for hint in (nearest(name, listing(kind, workspace)), _here(workspace)) if hint),
        problems=[f"looked for {path}" for path in looked],
    )


def is_name(text: str) -> bool:
    """True where a file may be called so: it can't lead out of its folder."""
    return _NAME.fullmatch(text) is not None


def roots(workspace: Path | None) -> list[tuple[str, Path]]:
    """(origin, folder) of every place a name is looked up, first one first."""
    home = os.environ.get("LLMCLF_HOME")
    places = [("workspace", workspace), ("LLMCLF_HOME", Path(home) if home else None), ("packaged", packaged_root())]
    return [(origin, root) for origin, root in places if root is not None]


def listing(kind: str, workspace: Path | None = None) -> list[str]:
    """The names of `kind` that can be found, sorted; none for a kind of which a workspace has one file."""
    folder, ending, _ = KINDS[kind]
    if kind in _ONE_FILE:
        return []
    names: set[str] = set()
    for _, root in roots(workspace):
        base = root / folder
        names.update(path.relative_to(base).with_suffix("").as_posix() for path in base.rglob(f"*{ending}"))
    return sorted(names)


def load(kind: str, path: Path) -> Any:
    """The file at `path` as the model of its kind; ConfigError with every mistake it holds."""
    value, problems = validated(TypeAdapter(KINDS[kind][2]), read_toml(path))
    if problems:
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        raise ConfigError(f"has {count}", where=str(path), problems=problems)
    return value


def load_named(kind: str, name: str, workspace: Path | None = None) -> Any:
    """What the file of `kind` called `name` says; errors as of `find` and `load`."""
    return load(kind, find(kind, name, workspace).path)


def read_text(path: Path) -> str:
    """A UTF-8 text file; ConfigError where it can't be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text (byte {error.start})", where=str(path), fix="save it as UTF-8") from error


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary; ConfigError with line and column where it is not TOML."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", where=str(path)) from error
    except RecursionError:
        raise ConfigError("is nested too deeply", where=str(path)) from None


def _here(workspace: Path | None) -> str:
    """What to do where no workspace was given and the working folder is one."""
    here = Path.cwd()
    is_one = (here / "llmclf.toml").is_file() or (here / "configs").is_dir()
    return "this folder is a workspace, and none was given: pass workspace='.'" if workspace is None and is_one else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be entered
        return False
