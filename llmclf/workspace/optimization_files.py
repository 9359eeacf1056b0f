"""The files that an optimization writes where its prompt is better: the prompt, and where it comes from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmclf.config import files
from llmclf.data.files import write_whole
from llmclf.errors import ConfigError
from llmclf.render import Prompt
from llmclf.render.provenance import FORMAT, VERSION, read_provenance


def paths_of(name: str, workspace: Path | None) -> tuple[Path, Path]:
    """(prompt file, provenance file) of a prompt name in the workspace; ConfigError for what is no name."""
    if not files.is_name(name):
        raise ConfigError("not a name of a prompt", got=name, fix="use letters, digits, '_', '-', '.' and '/'")
    folder = (workspace or Path()) / "prompts"
    return folder / f"{name}.txt", folder / f"{name}.json"


def check_free(name: str, workspace: Path | None) -> None:
    """ConfigError where a prompt of that name, or what says where one comes from, is there, or can't be written.

    None is written over, but what a killed run left without its prompt.
    """
    prompt, beside = paths_of(name, workspace)
    own = beside if not prompt.exists() and _is_ours(beside) else None
    for path in (prompt, beside):
        if path != own and (path.exists() or path.is_symlink()):
            raise ConfigError(
                f"prompt {name!r} is there already, and is never written over",
                where=str(path),
                fix="give a new name as `prompt`, or move the file away",
            )
    root = ((workspace or Path()) / "prompts").resolve()
    if not prompt.parent.resolve().is_relative_to(root):
        raise ConfigError("leads out of the workspace's prompts", where=str(prompt), got=str(prompt.parent.resolve()))
    there = next(folder for folder in prompt.parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ConfigError(f"can't be written: {error.strerror}", where=str(prompt), fix="mend that first") from error


def _is_ours(beside: Path) -> bool:
    """True for what a run left that was killed before it had written the prompt itself."""
    try:
        return beside.is_file() and not beside.is_symlink() and any(read_provenance(beside))
    except ConfigError:
        return False


def write_prompt(prompt: Prompt, provenance: Mapping[str, Any], workspace: Path | None) -> Path:
    """The path of the prompt, written with its provenance beside it; ConfigError where one of them is there.

    The provenance comes first: a prompt without it would not say which items may not be evaluated with it.
    """
    check_free(prompt.name, workspace)
    path, beside = paths_of(prompt.name, workspace)
    written = {"format": FORMAT, "version": VERSION, "prompt": prompt.id, "sha256": prompt.sha256, **provenance}
    write_whole(beside, json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    try:
        write_whole(path, prompt.text)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path
