"""Files in and out: lines of bytes (gzip too), and writes that are whole or not there at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from llmclf.errors import ConfigError, DataError

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, the line without its line feed) of a plain or gzipped file.

    Lines end at LF alone, never at the other line breaks of Unicode: those may stand inside JSON
    text. A UTF-8 byte order mark is dropped. Raises DataError where the file can't be opened, is
    cut short, or is UTF-16.
    """
    try:
        with _open_bytes(path) as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    line = _without_mark(path, line)
                yield number, line.removesuffix(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"the gzip file is broken or cut short ({error})", where=str(path), fix="copy or download it again"
        ) from error
    except OSError as error:
        raise file_error(path, error) from error


@contextlib.contextmanager
def atomic_writer(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when the block ends well; else nothing is changed.

    A name that ends in `.gz` is compressed, always to the same bytes. Something that is no regular
    file (a pipe, /dev/stdout) is written to directly. With `private` a new file is its owner's alone
    (mode 0600). Raises DataError where it can't be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as direct:
                yield direct
            return
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            with open(temporary, "xb", opener=_owner_only if private else None) as plain_file:
                if target.exists():  # what was private stays so
                    os.fchmod(plain_file.fileno(), target.stat().st_mode & 0o777)
                with _compressed(plain_file, target) as file:
                    yield file
                plain_file.flush()
                os.fsync(plain_file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise file_error(path, error, writing=True) from error


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Writes a text file as UTF-8, whole or not at all, and makes its folder; see `atomic_writer`.

    A lone surrogate, which JSON can carry, has no bytes and becomes a question mark.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(path, error, writing=True) from error
    with atomic_writer(path, private=private) as file:
        file.write(text.encode("utf-8", "replace"))


def refuse_overwriting(targets: Sequence[Path], sources: Sequence[Path], fix: str) -> None:
    """Raises ConfigError that lists every target that is there already, is a source, or is named twice."""
    read = {path.resolve() for path in sources}
    problems = [
        f"{target} is the file that is read" if target.resolve() in read else f"{target} is there already"
        for target in targets
        if target.resolve() in read or target.is_file() or target.is_dir()
    ]
    places = [target.resolve() for target in targets]
    problems += [
        f"{target} is named for two files" for target in sorted(set(targets)) if places.count(target.resolve()) > 1
    ]
    if problems:
        raise ConfigError("would overwrite files", problems=problems, fix=fix)


def file_error(path: Path, error: OSError, *, writing: bool = False) -> DataError:
    """What the operating system refused, in our words."""
    if isinstance(error, FileNotFoundError):
        what, fix = ("there is no such folder", "make it first") if writing else ("there is no such file", "")
    elif isinstance(error, IsADirectoryError):
        what, fix = "this is a folder", "give the path of a file"
    else:
        verb = "written" if writing else "read"
        what, fix = f"the file can't be {verb} ({error.strerror or error})", "mend that and run again"
    return DataError(what, where=str(path), fix=fix)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _open_bytes(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if start == _GZIP_MAGIC:
            with gzip.open(file, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]  # GzipFile reads like IO[bytes] and is not declared as one
        else:
            yield file


def _without_mark(path: Path, line: bytes) -> bytes:
    if line.startswith(_UTF16_BOMS):
        raise DataError("the file is UTF-16", where=str(path), fix="save it as UTF-8")
    return line.removeprefix(_UTF8_BOM)


@contextlib.contextmanager
def _compressed(file: IO[bytes], target: Path) -> Iterator[IO[bytes]]:
    if target.suffix != ".gz":
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        yield packed  # type: ignore[misc]  # as above
