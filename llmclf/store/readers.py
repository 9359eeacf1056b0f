"""Connections that read: one for each thread, so that nobody waits for anybody."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from llmclf.store.connection import OPENING, Slot, boundary


class Readers:
    """Reading connections of the threads of one process, made when first needed."""

    def __init__(self, open_connection: Callable[[], sqlite3.Connection], where: str, shared: Slot | None) -> None:
        self._open = open_connection
        self._where = where
        self._shared = shared  # a store in memory has one for all: its writer would lock tables against others
        self._local = threading.local()
        self._lock = threading.Lock()
        self._slots: list[tuple[weakref.ref[threading.Thread], Slot]] = []

    def rows(self, sql: str, params: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """What a query gives, each row by column name. StoreError where it can't be answered."""
        names, found = self._fetched(sql, params)
        return [dict(zip(names, row, strict=True)) for row in found]

    def columns(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Any]]:
        """The same column by column, which is quicker where there are many rows; none at all where there is no row."""
        return list(zip(*self._fetched(sql, params)[1], strict=True))

    def _fetched(
        self, sql: str, params: Sequence[object] | Mapping[str, object]
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        slot = self._slot()
        with boundary(self._where, "the query", "docs/store.md has the tables and columns"), slot.lock:
            cursor = slot.connection.execute(sql, params)
            try:
                return [column[0] for column in cursor.description or ()], cursor.fetchall()
            finally:
                cursor.close()

    def slots(self) -> Iterator[Slot]:
        """Every connection in use."""
        if self._shared is not None:
            yield self._shared
        with self._lock:
            found = [slot for _, slot in self._slots]
        yield from found

    def close(self) -> None:
        """Closes them all."""
        for slot in self.slots():
            with slot.lock:
                slot.connection.close()

    def _slot(self) -> Slot:
        if self._shared is not None:
            return self._shared
        slot: Slot | None = getattr(self._local, "slot", None)
        if slot is None:
            with OPENING:  # known before it is used, so that a fork waits for it
                slot = self._local.slot = Slot(self._open())
                with self._lock:
                    self._close_unused()
                    self._slots.append((weakref.ref(threading.current_thread()), slot))
        return slot

    def _close_unused(self) -> None:
        """Closes those whose thread has ended."""
        kept = []
        for reference, slot in self._slots:
            thread = reference()
            if thread is None or not thread.is_alive():
                with slot.lock:
                    slot.connection.close()
            else:
                kept.append((reference, slot))
        self._slots = kept
