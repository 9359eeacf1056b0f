"""What one process has open of a store: it is made anew after a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from llmclf.render.redaction import Redaction
from llmclf.store.connection import OPENING, Slot, open_reader, open_writer
from llmclf.store.moments import new_id
from llmclf.store.pending import Pending
from llmclf.store.readers import Readers
from llmclf.store.texts import Keeper
from llmclf.store.writer import Writer


class Session:
    """The writing thread and the reading connections of one process.

    A connection must never be used, or even closed, by a child of the process that opened it. So a
    fork waits until no connection is in use, and the child leaves all of them alone.
    """

    def __init__(self, path: Path | None, where: str, lock_seconds: float, redaction: Redaction) -> None:
        _watch_forks()
        self.abandoned = False
        """True in a child of the process that opened this."""
        self._closed = False
        with OPENING:  # all of it, so that no fork comes in between
            self._open(path, where, lock_seconds)
            _SESSIONS.add(self)
        self.keeper = Keeper(redaction)
        self.pending = Pending()
        self.prompts: set[tuple[str, str]] = set()
        """Name and hash of those that are in the store."""

    def _open(self, path: Path | None, where: str, lock_seconds: float) -> None:
        name = f"file:llmclf-{new_id()}?mode=memory&cache=shared"
        self._slot = Slot(open_writer(path, name, where, lock_seconds))
        shared = Slot(open_reader(path, name, where), self._slot.lock) if path is None else None
        self.readers = Readers(lambda: open_reader(path, name, where), where, shared)
        self.writer = Writer(self._slot, where, lock_seconds)

    def slots(self) -> Iterator[Slot]:
        """Every connection of this process."""
        yield self._slot
        yield from self.readers.slots()

    def close(self) -> None:
        """Writes what is queued and closes everything. StoreError says what could not be written."""
        if self.abandoned or self._closed:
            return
        self._closed = True
        try:
            self.writer.close()
        finally:
            if not self.writer.is_own_thread:
                self.readers.close()
                with self._slot.lock:
                    self._slot.connection.close()
            _SESSIONS.discard(self)


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()
_ABANDONED: list[Session] = []  # a child keeps its parent's sessions, so that nothing closes them
_held: list[threading.RLock] = []


@cache
def _watch_forks() -> None:
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _before_fork() -> None:
    OPENING.acquire()
    _held.append(OPENING)
    for session in list(_SESSIONS):
        for slot in session.slots():
            slot.lock.acquire()
            _held.append(slot.lock)


def _after_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_in_child() -> None:
    _after_in_parent()  # the child's one thread is the one that took them
    for session in list(_SESSIONS):
        session.abandoned = True
        _ABANDONED.append(session)
    _SESSIONS.clear()
