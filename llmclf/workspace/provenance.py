"""What a run came from: the state of the code and of the packages that numbers depend on."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path

_PACKAGES = ("llmclf", "dspy", "gepa", "litellm", "numpy", "scipy", "scikit-learn", "wordllama", "xllamacpp")


@cache
def versions() -> dict[str, str]:
    """Version of Python and of each package that can change a figure."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return found


def git_sha(folder: Path) -> str:
    """The commit of the working tree around `folder`, `+dirty` where files differ; empty outside git."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return run.stdout.strip()
