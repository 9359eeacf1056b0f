"""What goes wrong with the file: each case a StoreError that says where, what, got and what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from llmclf.errors import StoreError
from llmclf.store import CallDone, CallSent, Store
from llmclf.store.migrations import MIGRATIONS
from llmclf.types import Prediction

ROW = Prediction("c1", "k@1", "t", label="clean", flagged=False, rationale="words " * 200)
NOBODY = 65534


def begin(store: Store) -> str:
    return store.start_run("classify", inputs_hash="h", config={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with one run and some pages of predictions, closed."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        store.add_predictions(begin(store), [ROW] * 50)
    return path


def refused(path: Path, **settings: float) -> str:
    with pytest.raises(StoreError) as caught:
        Store(path, **settings).close()  # type: ignore[arg-type]
    assert caught.value.where
    assert caught.value.fix
    return str(caught.value)


def test_no_folder_and_no_file(tmp_path: Path) -> None:
    """A folder that is missing, or a folder instead of a file, is named."""
    assert "folder of the store does not exist" in refused(tmp_path / "missing" / "llmclf.db")
    assert "is a folder" in refused(tmp_path)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Any other file is left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 100)
    assert "not a SQLite database" in refused(path)
    assert path.read_text() == "Dear diary, " * 100


def test_another_programs_database(tmp_path: Path) -> None:
    """No tables are added to a database of somebody else."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    assert "not a store of llmclf" in refused(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


@pytest.mark.parametrize("kept", [5, 50, 5_000, 20_000])
def test_a_file_that_is_cut_short(path: Path, kept: int) -> None:
    """A half-copied store is refused."""
    path.write_bytes(path.read_bytes()[:kept])
    assert "cut short" in refused(path)


def test_a_damaged_file(path: Path) -> None:
    """Garbage in the middle is told as damage when it is read."""
    raw = bytearray(path.read_bytes())
    raw[4096 : len(raw) - 4096] = b"\xff" * (len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="damaged"), Store(path) as store:
        store.predictions(store.runs()[0]["run_id"])


def test_a_store_of_a_newer_version(path: Path) -> None:
    """A newer schema is refused untouched, with the command that helps."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('llmclf', '0099_mind', '')"
        )
    message = refused(path)
    assert "newer llmclf" in message
    assert "0099_mind" in message
    assert "pip install -U llmclf" in message


def test_version_1_becomes_current_and_keeps_its_rows(tmp_path: Path) -> None:
    """A store with only the first migration gets the others, each with its record, and loses nothing."""
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    path = tmp_path / "old.db"
    first = Migrations("llmclf")

    @first(name=MIGRATIONS[0].name)
    def tables(database: Database) -> None:
        for statement in MIGRATIONS[0].statements:
            database.execute(statement.strip())

    with Database(path) as database:
        first.apply(database)
        database.execute(
            "INSERT INTO runs VALUES ('r1', 'classify', 'done', '2026-01-01T00:00:00.000000Z', NULL, 'h', '', 0, '',"
            " '{}', '{}', 0, NULL, NULL)"
        )
    with Store(path) as store:
        assert [run["run_id"] for run in store.runs()] == ["r1"]
        assert store.query("SELECT * FROM v_predictions") == []
        applied = store.query(
            "SELECT name, applied_at FROM _sqlite_migrations WHERE migration_set = 'llmclf' ORDER BY id"
        )
    assert [row["name"] for row in applied] == [migration.name for migration in MIGRATIONS]
    assert all(row["applied_at"] for row in applied)


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    """A step and its record go in together or not at all."""
    path = tmp_path / "old.db"
    with Store(path):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM _sqlite_migrations WHERE name <> ?", (MIGRATIONS[0].name,))
    assert "v_predictions" in refused(path)  # the views are there already, so step 2 can't be taken
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM _sqlite_migrations").fetchall() == [(MIGRATIONS[0].name,)]


@contextmanager
def as_nobody() -> Iterator[None]:
    """As root every file may be written: so be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("part", ["file", "folder"])
def test_a_read_only_store(path: Path, part: str) -> None:
    """A file or folder that can't be written is told before anything is lost."""
    for parent in path.parents[:4]:
        parent.chmod(0o755)
    path.chmod(0o444 if part == "file" else 0o666)
    path.parent.chmod(0o777 if part == "file" else 0o555)
    try:
        with as_nobody():
            message = refused(path)
    finally:
        path.parent.chmod(0o755)
    assert "can't be written" in message
    assert "make file and folder writable" in message


def test_a_file_that_turns_read_only(path: Path) -> None:
    """A write that the system refuses reaches the caller."""
    with Store(path) as store:
        store._session._slot.connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="can't be written"):
            begin(store)
        store._session._slot.connection.execute("PRAGMA query_only = OFF")


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_a_file_that_is_locked_too_long(path: Path) -> None:
    """A lock of another process is waited for, then told; reading goes on meanwhile, and later all is written."""
    with Store(path, lock_seconds=1.2) as store:
        run = store.runs()[0]["run_id"]
        with locked(path):
            store.add_predictions(run, [ROW])
            assert store.query("SELECT count(*) AS n FROM predictions") == [{"n": 50}]
            with pytest.raises(StoreError, match="another process holds the file"):
                begin(store)
        store.flush()
        assert len(store.predictions(run)) == 51


def test_a_failure_is_over_once_everybody_knows(path: Path) -> None:
    """Where only one waiting caller was concerned, the next call just works."""
    with Store(path, lock_seconds=0.2) as store:
        with locked(path), pytest.raises(StoreError, match="another process"):
            begin(store)
        assert begin(store)


def test_order_survives_a_failure(path: Path) -> None:
    """A cell that is done never stands in the file without the predictions handed over before it."""
    with Store(path) as store:
        run = store.runs()[0]["run_id"]
        full(store, 2)
        together = threading.Event()
        store._session.writer.submit(lambda connection: together.wait(10), urgent=True)
        store.add_predictions(run, [replace(ROW, cost_nano_usd=2**70)])  # refused: all others are tried one by one
        rows = [replace(ROW, conversation_id=f"c{number}") for number in range(200)]
        store.add_predictions(run, rows, cell_id="a")
        store.put_cell(run, "a", settings={}, simulated=False, state="done")
        together.set()
        with pytest.raises(StoreError):
            store.flush()
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM cells").fetchone() == (0,)
        full(store, 10_000)
        with pytest.raises(StoreError, match="too large"):
            store.flush()
        assert [cell["state"] for cell in store.cells(run)] == ["done"]
        assert len(store.predictions(run, cell_id="a")) == 200


def test_a_short_lock_is_waited_for(path: Path) -> None:
    """Nothing fails where another process writes for a moment."""
    with Store(path) as store, ThreadPoolExecutor(1) as pool:
        with locked(path):
            begun = pool.submit(begin, store)
            time.sleep(0.4)
            assert not begun.done()
        assert begun.result(10)


def test_opening_a_locked_file(path: Path) -> None:
    """An exclusive lock stands in the way of opening: told after `lock_seconds`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert "another process holds the file" in refused(path, lock_seconds=0.2)


def full(store: Store, pages: int) -> None:
    """From here on the file may only grow by so many pages, as on a full disk."""
    connection = store._session._slot.connection
    used = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {used + pages}")


def test_a_full_disk_reaches_every_caller_and_loses_nothing(path: Path) -> None:
    """Queued rows are told as failed at the next call, at flush and at close, and written once there is room."""
    store = Store(path)
    run = store.runs()[0]["run_id"]
    store.call_sent(CallSent("paid", run, "hash", reserved_nano=5)).result(10)
    full(store, 2)
    store.add_predictions(run, [ROW] * 200)
    with pytest.raises(StoreError, match="disk is full"):
        store.flush()
    for use in (lambda: begin(store), lambda: store.add_predictions(run, [ROW]), lambda: store.predictions(run)):
        with pytest.raises(StoreError, match="disk is full"):
            use()
    with pytest.raises(StoreError, match="disk is full"):
        store.call_sent(CallSent("next", run, "other"))
    outcome = store.call_done("paid", CallDone("done", text="bought", cost_nano=5))
    with pytest.raises(StoreError, match="disk is full"):
        outcome.result(10)
    full(store, 10_000)
    store.flush()
    assert len(store.predictions(run)) == 250
    answer = store.stored_answer("hash")
    assert answer is not None
    assert answer.text == "bought"
    assert store.spent_nano().calls == 1
    store.close()


def test_closing_on_a_full_disk_says_how_much_is_lost(path: Path) -> None:
    """What can't be written at the end is counted, and the store that stays is whole."""
    store = Store(path)
    run = store.runs()[0]["run_id"]
    full(store, 2)
    store.add_predictions(run, [ROW] * 200)
    with pytest.raises(StoreError, match=r"200 rows could not be written: .*disk is full"):
        store.close()
    with Store(path) as again:
        assert len(again.predictions(run)) == 50


_FILL = """
import resource, signal, sys
from llmclf.errors import StoreError
from llmclf.store import Store
from llmclf.types import Prediction
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1])
run = store.start_run("x", inputs_hash="h", config={})
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    for number in range(2_000):
        store.add_predictions(run, [Prediction(f"c{number}", "k", "t", label="x", rationale="words " * 200)])
        store.flush()
except StoreError as error:
    print(number, error)
try:
    store.close()
except StoreError as error:
    print(error)
"""


def test_a_system_that_refuses_to_write(tmp_path: Path) -> None:
    """The error of the system comes through; what was committed before it stays readable."""
    path = tmp_path / "llmclf.db"
    done = subprocess.run([sys.executable, "-c", _FILL, path], capture_output=True, text=True, timeout=60, check=True)
    first, *_ = done.stdout.splitlines()
    committed = int(first.split()[0])
    assert "writing failed" in first
    with Store(path) as store:
        assert committed <= len(store.predictions(store.runs()[0]["run_id"])) <= committed + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny file system needs root")
def test_a_tiny_disk(tmp_path: Path) -> None:
    """A file system without room is told when opening and when writing, and room heals it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a tiny file system can't be mounted here")
    try:
        with Store(disk / "llmclf.db") as store:
            run = begin(store)
            ballast = disk / "ballast"
            with pytest.raises(OSError, match="No space"), ballast.open("wb", 0) as file:
                while True:
                    file.write(b"x" * 4096)
            store.add_predictions(run, [ROW] * 20)
            with pytest.raises(StoreError, match=r"disk (is full|failed)"):
                store.flush()
            with pytest.raises(StoreError):
                Store(disk / "second.db")
            ballast.unlink()
            store.flush()
            assert len(store.predictions(run)) == 20
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_error_names_no_words_of_a_conversation(path: Path) -> None:
    """What can't be stored is told without its text."""
    with Store(path) as store:
        run = store.runs()[0]["run_id"]
        store.add_predictions(run, [replace(ROW, rationale="secret words", cost_nano_usd=2**70)])
        with pytest.raises(StoreError) as caught:
            store.flush()
        assert "secret" not in str(caught.value)
        assert len(store.predictions(run)) == 50
