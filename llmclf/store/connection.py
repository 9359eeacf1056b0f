"""Opening the file, and the one place where SQLite's errors become ours."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmclf.errors import StoreError
from llmclf.store.migrations import create_schema, migrate

_BUSY_SECONDS = 0.2  # what SQLite itself waits for a lock; beyond it we wait, so that others get their turn
_READ_BUSY_SECONDS = 5.0
_WAL_BYTES_KEPT = 64 * 1024 * 1024
_HEADER_BYTES = 100

_CAUSES = {
    sqlite3.SQLITE_READONLY: ("the file can't be written", "make file and folder writable, or give another path"),
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space; what was not written is kept and written then"),
    sqlite3.SQLITE_IOERR: ("the disk failed to read or write", "check disk and free space, then run again"),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged or cut short",
        "restore a copy, or move it away and start a new store",
    ),
    sqlite3.SQLITE_NOTADB: ("the file is not a SQLite database", "give another path, or move it away"),
    sqlite3.SQLITE_CANTOPEN: ("the file can't be opened", "check that folder and file exist and may be written"),
    sqlite3.SQLITE_BUSY: ("another process holds the file", "wait for it to end, then run again"),
    sqlite3.SQLITE_LOCKED: ("another thread holds the store", "run again"),
    sqlite3.SQLITE_PERM: ("the file may not be opened", "give yourself access, or another path"),
}
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


OPENING = threading.RLock()
"""Held while a connection is opened and made known: SQLite's own locks must be free when the process
forks, or the child waits for them for ever. Each other use is under the lock of the connection's slot."""


class Slot:
    """A connection with the lock under which it is used, so that a fork never copies it in mid-use."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock | None = None) -> None:
        self.connection = connection
        self.lock = threading.RLock() if lock is None else lock


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code of an error; 0 where it has none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_passing(error: BaseException) -> bool:
    """True where another holder of the file is all that is wrong."""
    return isinstance(error, sqlite3.OperationalError) and primary_code(error) in _PASSING


def is_of_the_file(error: BaseException) -> bool:
    """True where the file, the disk or a lock is wrong; False where one row or statement is."""
    return isinstance(error, OSError) or (isinstance(error, sqlite3.Error) and primary_code(error) in _CAUSES)


def store_error(error: BaseException, where: str, doing: str, fix: str = "") -> StoreError:
    """The StoreError of a foreign one, `fix` where SQLite's code says none; it never carries a row's values."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, OSError):
        return StoreError(
            f"{doing} failed: {error.strerror or type(error).__name__}",
            where=where,
            fix="check folder, disk and access",
        )
    cause, fix = _CAUSES.get(primary_code(error), (str(error) or type(error).__name__, fix))
    got = getattr(error, "sqlite_errorname", None)
    return StoreError(f"{doing} failed: {cause}", where=where, got=got, fix=fix)


@contextmanager
def boundary(where: str, doing: str, fix: str = "") -> Iterator[None]:
    """Turns SQLite's and the system's errors inside into StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise store_error(error, where, doing, fix) from error


def open_writer(path: Path | None, memory_name: str, where: str, lock_seconds: float) -> sqlite3.Connection:
    """The connection that writes, with the schema up to date. StoreError where that can't be."""
    if path is None:
        connection = _connect(memory_name, uri=True)
        create_schema(connection)
        return connection
    with boundary(where, "opening the store"):
        _check_file(path, where)
        connection = _connect(str(path))
    try:
        changed = "the file was changed by hand or by something else: restore a copy, or start a new store"
        with boundary(where, "opening the store", changed):
            _prepare(connection, where, lock_seconds)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path | None, memory_name: str, where: str) -> sqlite3.Connection:
    """A connection that can't write. StoreError where it can't be opened."""
    with boundary(where, "opening the store"):
        connection = _connect(memory_name, uri=True) if path is None else _connect(str(path))
        connection.execute(f"PRAGMA busy_timeout = {round(_READ_BUSY_SECONDS * 1000)}")
        connection.execute("PRAGMA query_only = ON")
        return connection


def patiently(action: str, connection: sqlite3.Connection, seconds: float) -> None:
    """Runs one statement, and again while another holder of the file is in the way, for so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute(action)
            return
        except sqlite3.OperationalError as error:
            if not is_passing(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)


def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
    # Any thread may close it; each use is under the lock of its slot.
    return sqlite3.connect(
        name, uri=uri, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _prepare(connection: sqlite3.Connection, where: str, lock_seconds: float) -> None:
    patiently("SELECT count(*) FROM sqlite_master", connection, lock_seconds)
    deadline = time.monotonic() + lock_seconds
    while True:  # switching a new file to WAL needs it alone for a moment
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            connection.execute("PRAGMA synchronous = FULL")  # money that was spent must survive a power cut
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
            migrate(connection, where)
            break
        except sqlite3.OperationalError as error:
            if not is_passing(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
    if mode != "wal":
        raise StoreError(
            "the file system can't hold a store that several may use",
            where=where,
            got=f"journal mode {mode}",
            fix="put the store on a local disk",
        )


def _check_file(path: Path, where: str) -> None:
    """Finds what SQLite would answer with a riddle, and makes a new file readable by its owner alone.

    A file that is there is never opened here: closing it again would drop every lock this process holds on it,
    SQLite's own among them (POSIX locks), and the next process would take itself to be alone.
    """
    if not path.parent.is_dir():
        raise StoreError(
            "the folder of the store does not exist",
            where=where,
            got=str(path.parent),
            fix="make it, or give another path",
        )
    if path.is_dir():
        raise StoreError("the store is a folder", where=where, fix="give the path of a file")
    if not path.exists():
        with suppress(FileExistsError):  # somebody else has just made it
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        return
    if not _can_be_written(path):
        raise StoreError(
            "the file can't be written",
            where=where,
            got="a read-only file or folder",
            fix="make file and folder writable, or give another path",
        )
    log = path.with_name(path.name + "-wal")
    size = path.stat().st_size
    if size < _HEADER_BYTES and (size or (log.exists() and log.stat().st_size > 0)):
        raise StoreError(
            "the file is cut short, or no store",
            where=where,
            got=f"{size} of at least {_HEADER_BYTES} bytes",
            fix="restore a copy, or move it away and start a new store",
        )


def _can_be_written(path: Path) -> bool:
    """Asked first: SQLite would open a file for reading only and fail at the first write."""
    effective = os.access in os.supports_effective_ids
    # The log stands beside the file.
    return os.access(path, os.R_OK | os.W_OK, effective_ids=effective) and os.access(
        path.parent, os.W_OK | os.X_OK, effective_ids=effective
    )
