"""Predictions as they come in: counted for whoever watches, and written to the store at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from llmclf.store import Store
from llmclf.sweeps.cells import Cell
from llmclf.types import Prediction, Predictions

_AT_ONCE = 64
_AT_LEAST_EVERY = 1.0
Fields = Callable[[Iterable[Prediction]], Iterable[Prediction]]


class Progress(Protocol):
    """What is told how far a sweep is. Called from any thread, one call at a time."""

    def __call__(self, cell: str, done: int, total: int, usd: float, /) -> None:
        """`done` of `total` items over all cells, now in `cell`; `usd` real dollars of this execution so far."""


class Recorder:
    """Predictions of one cell: kept, counted, and written to the store while more come in.

    `fields` adds what they were asked with to those that are written.
    """

    def __init__(self, cell: Cell, store: Store, run_id: str, counter: Counter, fields: Fields) -> None:
        self.cell = cell
        self._store = store
        self._run_id = run_id
        self._counter = counter
        self._fields = fields
        self._lock = threading.Lock()
        self._all: list[Prediction] = []
        self._written = 0
        self._last = time.monotonic()

    @property
    def predictions(self) -> Predictions:
        """What came in so far, in that order."""
        with self._lock:
            return Predictions(self._all)

    def take(self, prediction: Prediction) -> None:
        """One more; called from the thread that calls the models."""
        with self._lock:
            self._all.append(prediction)
            due = len(self._all) - self._written >= _AT_ONCE or time.monotonic() - self._last > _AT_LEAST_EVERY
        self._counter.add([prediction])
        if due:
            self.flush()

    def take_all(self, predictions: Predictions) -> None:
        """All of a cell at once."""
        with self._lock:
            self._all.extend(predictions)
        self._counter.add(predictions)

    def flush(self) -> None:
        """Hands what is new to the store's writer."""
        with self._lock:
            new = self._all[self._written :]
            self._written = len(self._all)
            self._last = time.monotonic()
        if new:
            self._store.add_predictions(self._run_id, self._fields(new), cell_id=self.cell.cell_id)


class Counter:
    """Items done over all cells, and the real dollars they cost now."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._lock = threading.Lock()
        self._label = ""
        self._done = 0
        self._usd = 0.0

    def begin(self, label: str) -> None:
        """The next cell."""
        self._label = label
        self.add(())

    def spare(self, items: int) -> None:
        """So many items less will be asked about."""
        with self._lock:
            self._total -= items
        self.add(())

    def add(self, predictions: Iterable[Prediction]) -> None:
        """More items of the cell are done."""
        with self._lock:
            for prediction in predictions:
                self._done += 1
                if not (prediction.cached or prediction.simulated):
                    self._usd += prediction.cost_usd or 0.0
            if self._progress is not None:
                self._progress(self._label, self._done, self._total, self._usd)
