"""The one thread of a process that writes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from llmclf.errors import StoreError
from llmclf.store.connection import Slot, is_of_the_file, is_passing, store_error

_BAD_ROW = "this row was left out, all others are written"
Work = Callable[[sqlite3.Connection], Any]

BATCH_SECONDS = 0.05
"""How old the oldest row of a batch may get before it is written."""
_URGENT_SECONDS = 0.001  # somebody waits for these; a moment still gathers those that come together
_BATCH_ROWS = 5_000
_QUEUE_ROWS = 20_000  # producers that wait_for_room wait above this


@dataclass(slots=True)
class Job:
    """Something to be written."""

    work: Work
    future: Future[Any]
    rows: int = 1
    urgent: bool = False
    """Somebody waits for it."""
    keep: bool = False
    """Written later where the disk fails now; else its caller has been told, and it is dropped."""
    alone: bool = False
    """Can't stand in a transaction."""
    on_commit: Callable[[], None] | None = None
    told: bool = field(default=False)
    """The future has its outcome already."""


class Writer:
    """Takes jobs from any thread, writes them in order, many in one transaction.

    Where the file, the disk or a lock fails, all that is kept stays queued, everybody who waits is
    told, and so is every later caller until a new try succeeds: each call asks for one.
    """

    def __init__(self, slot: Slot, where: str, lock_seconds: float) -> None:
        self._slot = slot
        self._where = where
        self._lock_seconds = lock_seconds
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._rows = 0
        self._oldest = 0.0
        self._urgent = False
        self._closing = False
        self._failure: StoreError | None = None
        self._retry = False
        self._refused: StoreError | None = None
        self._idle = True
        self._thread = threading.Thread(target=self._loop, name="llmclf-store", daemon=True)
        self._thread.start()

    @property
    def is_own_thread(self) -> bool:
        """True where the caller is the writing thread itself (a collected store may be closed by it)."""
        return threading.current_thread() is self._thread

    # --- for callers ------------------------------------------------------------------------

    def submit(
        self,
        work: Work,
        *,
        rows: int = 1,
        urgent: bool = False,
        keep: bool = False,
        alone: bool = False,
        on_commit: Callable[[], None] | None = None,
    ) -> Future[Any]:
        """Queues `work`; the future is done when it is committed. Raises what went wrong before.

        A kept job is queued even while the disk fails, and its future then tells the error.
        """
        job = Job(work, Future(), rows, urgent, keep, alone, on_commit)
        with self._changed:
            if self._closing:
                raise StoreError("the store is closed", where=self._where, fix="open it again")
            if not keep:
                self._raise_failure()
            elif self._failure is not None:
                _tell(job, self._failure)
                self._retry = True
            self._put(job)
        return job.future

    def wait_for_room(self) -> None:
        """Waits while too many rows are queued. Raises what went wrong before."""
        with self._changed:
            while self._rows > _QUEUE_ROWS and self._failure is None and not self._closing:
                self._changed.wait()
            self._raise_failure()

    def raise_failure(self) -> None:
        """Raises what went wrong in the thread, and has it tried again."""
        with self._changed:
            self._raise_failure()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until everything queued so far is committed; False where `timeout` seconds did not do.

        Raises what went wrong, after a new try.
        """
        with self._changed:
            if not self._queue and self._failure is None and self._refused is None and self._idle:
                return True
            job = Job(_nothing, Future(), rows=0, urgent=True)
            self._retry = True
            self._put(job)
        try:
            job.future.result(timeout)
        except TimeoutError:
            return False
        with self._changed:
            self._raise_refused()
        return True

    def close(self) -> None:
        """Writes what is queued and ends the thread. StoreError says what could not be written."""
        with self._changed:
            self._closing = True
            self._retry = True
            self._changed.notify_all()
        if not self.is_own_thread:
            self._thread.join()
        with self._changed:
            lost = sum(job.rows for job in self._queue)
            failure, self._failure = self._failure, None
            self._queue.clear()
            if failure is not None and lost:
                raise StoreError(
                    f"{lost} rows could not be written: {failure.what}",
                    where=self._where,
                    got=failure.got,
                    fix="mend that and run again: what is in the store is not bought twice",
                )
            self._raise_refused()

    # --- inside -----------------------------------------------------------------------------

    def _put(self, job: Job) -> None:
        wake = not self._queue or (job.urgent and not self._urgent) or self._rows + job.rows >= _BATCH_ROWS
        if not self._queue:
            self._oldest = time.monotonic()
        self._queue.append(job)
        self._rows += job.rows
        self._urgent = self._urgent or job.urgent
        if wake or self._retry:
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._retry = True
            self._changed.notify_all()
            raise _again(self._failure)
        self._raise_refused()

    def _raise_refused(self) -> None:
        if self._refused is not None:
            refused, self._refused = self._refused, None
            raise refused

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._closing and (not self._queue or (self._failure is not None and not self._retry)):
                    self._changed.wait()
                if not self._queue:
                    return
                self._gather()
                batch = self._take()
                self._retry = False
            if batch:
                self._write(batch)
            if self._settle_batch():
                return

    def _settle_batch(self) -> bool:
        with self._changed:
            self._idle = not self._queue
            self._changed.notify_all()
            return self._closing and (not self._queue or self._failure is not None)

    def _gather(self) -> None:
        """Waits for more, as long as nobody waits for these and none is too old."""
        while not self._closing and self._rows < _BATCH_ROWS:
            until = time.monotonic() + _URGENT_SECONDS if self._urgent else self._oldest + BATCH_SECONDS
            left = until - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)
            if self._urgent:
                return

    def _take(self) -> list[Job]:
        batch: list[Job] = []
        while self._queue and not (batch and (batch[0].alone or self._queue[0].alone)):
            job = self._queue.popleft()
            self._rows -= job.rows
            wanted = job.told or job.future.set_running_or_notify_cancel()
            if wanted or job.keep:
                job.told = job.told or not wanted
                batch.append(job)
        self._urgent = any(job.urgent for job in self._queue)
        self._oldest = time.monotonic()
        self._idle = False
        return batch

    def _write(self, batch: list[Job]) -> None:
        try:
            results = self._transaction(batch)
        except Exception as error:
            if is_of_the_file(error):
                self._fail(batch, store_error(error, self._where, "writing"))
            else:
                self._write_singly(batch)
        else:
            self._committed(batch, results)

    def _write_singly(self, batch: list[Job]) -> None:
        """One of them is bad: the others must not suffer for it."""
        for number, job in enumerate(batch):
            try:
                results = self._transaction([job])
            except Exception as error:
                if is_of_the_file(error):
                    self._fail(batch[number:], store_error(error, self._where, "writing"))
                    return
                self._refuse(job, store_error(error, self._where, "writing a row", _BAD_ROW))
            else:
                self._committed([job], results)

    def _committed(self, batch: list[Job], results: list[Any]) -> None:
        with self._changed:
            self._failure = None
        for job, result in zip(batch, results, strict=True):
            if job.on_commit is not None:
                job.on_commit()
            if not job.told:
                job.future.set_result(result)

    def _transaction(self, batch: list[Job]) -> list[Any]:
        deadline = time.monotonic() + self._lock_seconds
        while True:
            try:
                with self._slot.lock:
                    return _run(self._slot.connection, batch)
            except sqlite3.OperationalError as error:
                if not is_passing(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(0.005)

    def _fail(self, batch: list[Job], failure: StoreError) -> None:
        """Puts what is kept back in its place, and tells everybody who waits."""
        with self._changed:
            self._queue.extendleft(reversed(batch))
            kept = deque(job for job in self._queue if job.keep)
            self._failure = failure if kept else None  # where nothing is left to be tried, everybody knows
            for job in self._queue:
                _tell(job, failure)
            self._queue = kept
            self._rows = sum(job.rows for job in kept)
            self._urgent = False
            self._changed.notify_all()

    def _refuse(self, job: Job, error: StoreError) -> None:
        """A row that can't be stored: its caller is told, or the next one where nobody may be looking."""
        with self._changed:
            if job.keep:
                self._refused = error
            _tell(job, error)


def _again(error: StoreError) -> StoreError:
    """The same error for another caller: one object must not gather the tracebacks of many."""
    return StoreError(error.what, where=error.where, got=error.got, fix=error.fix)


def _tell(job: Job, error: StoreError) -> None:
    if job.told:
        return
    job.told = True
    if job.future.running() or job.future.set_running_or_notify_cancel():
        job.future.set_exception(error)


def _run(connection: sqlite3.Connection, batch: list[Job]) -> list[Any]:
    if batch[0].alone:
        return [batch[0].work(connection)]
    if all(job.work is _nothing for job in batch):
        return [None] * len(batch)
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [job.work(connection) for job in batch]
        connection.execute("COMMIT")
        return results
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _nothing(connection: sqlite3.Connection) -> None:
    """For flush: done when everything before it is."""
