"""The store: one SQLite file with every call, prediction and run."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, get_args

from llmclf.errors import ConfigError, StoreError, nearest
from llmclf.render.redaction import Redaction
from llmclf.store import (
    calls,
    erasing,
    export,
    judgments as judgment_rows,
    leases,
    predictions as prediction_rows,
    reasons as reason_rows,
    reports,
    runs,
    sends,
)
from llmclf.store.moments import moment_text, new_id, utc_text
from llmclf.store.records import CallDone, CallSent, RunState, Spent, StoredAnswer
from llmclf.store.session import Session
from llmclf.store.texts import storable
from llmclf.types import Conversation, Item, Judgment, Prediction, Predictions, Reasons

T = TypeVar("T")

_CHUNK = 1_000  # predictions in one job of the writer
_READ_SECONDS = 0.5


class Store:
    """One SQLite file that several threads and processes write and read at once; None: in memory.

    Everything is written by one thread of this process, in batches that are at most 50 ms old; a
    killed process loses no more than that. What a method reads includes what this process wrote.
    Where a write fails (disk full, file locked too long), the next call, `flush` and `close` raise
    StoreError; what was handed over is kept and written as soon as that is possible again.

    Texts are redacted on their way in where `redaction` covers storing (it does by default). A child
    made by fork opens the file anew; a store in memory is empty in the child.

    Raises StoreError where the file can't be opened: read-only, damaged, cut short, no database,
    another program's database, of a newer llmclf, locked for `lock_seconds`.
    """

    def __init__(
        self, path: str | Path | None = None, *, redaction: Redaction = Redaction(), lock_seconds: float = 30.0
    ) -> None:
        self.path = None if path is None else Path(path)
        self._file = None if path is None else Path(path).absolute()  # a fork may come after a change of folder
        self.redaction = redaction
        self._where = "store in memory" if path is None else f"store {path}"
        self._lock_seconds = lock_seconds
        self._closed = False
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._opened = Session(self._file, self._where, self._lock_seconds, self.redaction)
        self._finalizer = weakref.finalize(self, self._opened.close)

    @property
    def _session(self) -> Session:
        if self._closed:
            raise StoreError("the store is closed", where=self._where, fix="open it again")
        if self._opened.abandoned:  # this process is a child of the one that opened it
            with self._lock:
                if self._opened.abandoned:
                    self._finalizer.detach()
                    self._begin()
        return self._opened

    def close(self) -> None:
        """Writes what is queued and closes the file. StoreError says what could not be written."""
        if not self._closed:
            self._closed = True
            self._finalizer.detach()
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def flush(self) -> None:
        """Waits until everything handed over so far is committed. StoreError where it can't be."""
        self._session.writer.flush()

    def query(self, sql: str, params: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """What a SELECT gives, each row by column name. It can't write.

        Rows of this process that wait for another one's lock for more than half a second are not
        waited for. StoreError where the query is wrong.
        """
        session = self._session
        session.writer.flush(_READ_SECONDS)
        return session.readers.rows(sql, params)

    def learn(self, conversation: Conversation) -> None:
        """Remembers names and personal metadata of a conversation, in memory only.

        Texts about it that come later (quotes, rationales) are then redacted like the conversation
        itself, also where they do not introduce the names.
        """
        self._session.keeper.learn(conversation)

    def kept_conversation(self, conversation: Conversation) -> Conversation:
        """The conversation as it may be stored; what is learned from it is remembered as by `learn`."""
        return self._session.keeper.conversation(conversation)

    def kept_texts(self, conversation_id: str, texts: Sequence[str]) -> list[str]:
        """Texts about a conversation (empty: about none) as they may be stored, in order."""
        return self._session.keeper.texts(conversation_id, list(texts))

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on the connection that writes; what it gives, once that is committed.

        It stands in a transaction with others' work and may run more than once, so it must change
        nothing but rows, and must not end the transaction. StoreError where it can't be committed.
        """
        found: T = self._wait(work)
        return found

    # --- runs -------------------------------------------------------------------------------

    def start_run(
        self,
        kind: str,
        *,
        inputs_hash: str,
        config: Mapping[str, Any],
        dataset_hash: str = "",
        seed: int = 0,
        git_sha: str = "",
        versions: Mapping[str, str] = {},
        simulated: bool = False,
    ) -> str:
        """The id of a new run, in state `running`; committed at return."""
        run_id = new_id()
        work = runs.insert_run(run_id, kind, inputs_hash, config, dataset_hash, seed, git_sha, versions, simulated)
        self._wait(work)
        return run_id

    def finish_run(
        self, run_id: str, state: RunState, *, result: Mapping[str, Any] | None = None, why: str = ""
    ) -> None:
        """Says how a run ended; committed at return. `result` holds figures and ids, no words of conversations.

        StoreError where there is no such run, ConfigError where the state is unknown.
        """
        if state not in get_args(RunState):
            raise ConfigError(
                "unknown state of a run", where="finish_run", got=state, fix=nearest(state, get_args(RunState))
            )
        session = self._session
        why = session.keeper.texts("", [why])[0]
        work = runs.update_run(run_id, state, result, why, self._where)
        session.writer.submit(work, urgent=True).result()

    def runs(self, *, kind: str | None = None, inputs_hash: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """Runs, newest first, of a kind or with the same inputs where those are given."""
        return runs.read_runs(self._settled_rows(), kind, inputs_hash, limit)

    # --- calls to models --------------------------------------------------------------------

    def call_sent(self, call: CallSent) -> Future[None]:
        """Records a call before it is sent, with its reservation. The future is done when that is committed."""
        session, pending = self._session, self._session.pending
        call = session.keeper.sent(call)
        pending.begin(call)

        def ended(future: Future[None]) -> None:
            if future.cancelled() or future.exception() is not None:
                pending.end(call.call_id)

        try:
            future = session.writer.submit(calls.insert_sent(call), urgent=True)
        except StoreError:
            pending.end(call.call_id)
            raise
        future.add_done_callback(ended)
        return future

    def call_done(self, call_id: str, outcome: CallDone) -> Future[None]:
        """Records how a call ended. The future is done when that is committed.

        It is taken, and kept, even while the disk fails: the answer was paid for. The future then
        holds the error.
        """
        session, pending = self._session, self._session.pending
        call = pending.end(call_id)
        outcome = session.keeper.done(call.conversation_id if call else "", outcome)
        committed: Callable[[], None] | None = None
        if call is not None and outcome.state == "done":
            answer = pending.add(call, outcome)

            def committed(call: CallSent = call) -> None:
                pending.remove(call, answer)

        return session.writer.submit(calls.update_done(call_id, outcome, self._where), keep=True, on_commit=committed)

    def stored_answer(self, request_hash: str, repeat: int = 0) -> StoredAnswer | None:
        """The answer that was bought for a request, also where it is only queued yet; None where none was."""
        session = self._session
        queued = session.pending.answer(request_hash, repeat)
        return queued or calls.read_answer(session.readers.rows, request_hash, repeat)

    def spent_nano(
        self, *, run_ids: Sequence[str] | None = None, since: datetime | None = None, simulated: bool = False
    ) -> Spent:
        """Money of some runs (None: of all), from a moment on. Simulated money is never added to real money."""
        moment = None if since is None else utc_text(since)
        return calls.read_spent(self._settled_rows(), run_ids, moment, simulated)

    # --- pace -------------------------------------------------------------------------------

    def take_sends(
        self, pace: str, tokens: Sequence[int], limits: sends.SendLimits, clock: Callable[[], float]
    ) -> Future[sends.Taken]:
        """Counts the first of some sends, of so many tokens each, that fit into the window of `pace` now.

        Looked up and counted in one transaction, so that processes together keep within the limits.
        """
        return self._session.writer.submit(sends.take(pace, tokens, limits, clock), urgent=True)

    def correct_send(self, send: sends.Send, *, tokens: int, at: float) -> None:
        """Sets how many tokens a send had, and when it was."""
        self._session.writer.submit(sends.correct(send, tokens, at), keep=True)

    # --- caps -------------------------------------------------------------------------------

    def take_leases(self, owner: str, wanted: Sequence[leases.Wanted], now: datetime) -> Future[leases.Leased]:
        """Asks for room under caps that the processes of this store share: under all of them, or under none."""
        return self._session.writer.submit(leases.take(owner, wanted, now), urgent=True)

    def renew_leases(self, owner: str, granted: Mapping[str, int], now: datetime) -> Future[bool]:
        """Says that an owner lives, and lowers what it was granted; False where all of it was taken back before."""
        return self._session.writer.submit(leases.renew(owner, granted, now), urgent=True)

    def release_leases(self, owner: str) -> Future[None]:
        """Gives back all room that an owner was granted and did not use."""
        return self._session.writer.submit(leases.release(owner), urgent=True)

    def left_nano(self, owner: str, caps: Sequence[leases.Cap], now: datetime) -> dict[str, int]:
        """Scope of each cap to the nano-dollars that an owner could still use under it."""
        found: dict[str, int] = self._wait(leases.left(owner, caps, now))
        return found

    # --- predictions, cells, prompts --------------------------------------------------------

    def add_predictions(
        self, run_id: str, predictions: Iterable[Prediction], *, cell_id: str = "", made_at: str = ""
    ) -> None:
        """Hands over predictions, made now or `made_at`. Within a cell, an item predicted before is replaced."""
        session = self._session
        remaining = iter(predictions)
        while chunk := [session.keeper.prediction(prediction) for prediction in islice(remaining, _CHUNK)]:
            session.writer.wait_for_room()
            work = prediction_rows.insert_predictions(run_id, cell_id, chunk, made_at)
            session.writer.submit(work, rows=len(chunk), keep=True)

    def predictions(self, run_id: str | Sequence[str], *, cell_id: str | None = None) -> Predictions:
        """The predictions of one or several runs (of one cell of theirs), in the order they were added."""
        run_ids = [run_id] if isinstance(run_id, str) else run_id
        return prediction_rows.read_predictions(self._settled_rows(), run_ids, cell_id)

    def add_judgments(self, run_id: str, judgments: Iterable[Judgment], *, items: Mapping[str, Item] = {}) -> None:
        """Hands over judgments. `items`, by case, are what they are about: so that `forget` finds them."""
        session = self._session
        remaining = iter(judgments)
        while chunk := list(islice(remaining, _CHUNK)):
            kept = [session.keeper.judgment(one, items.get(one.case, Item("")).conversation_id) for one in chunk]
            session.writer.wait_for_room()
            session.writer.submit(judgment_rows.insert_judgments(run_id, kept, items), rows=len(kept), keep=True)

    def judgments(
        self,
        judge: str,
        *,
        fingerprint: str | None = None,
        probe: str | None = None,
        repeat: int | None = None,
        run_id: str | None = None,
        case_ids: Sequence[str] | None = None,
    ) -> list[Judgment]:
        """Of each (case, probe, repeat), by the fingerprint that judged it last: the newest answer, or failure."""
        given = (judge, fingerprint, probe, repeat, run_id, case_ids)
        return judgment_rows.read_judgments(self._settled_rows(), *given)

    def put_cell(
        self,
        run_id: str,
        cell_id: str,
        *,
        settings: Mapping[str, Any],
        simulated: bool,
        state: str,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Says how a cell of a sweep stands now. It is committed after the predictions handed over before."""
        work = runs.insert_cell(run_id, cell_id, settings, simulated, state, result)
        self._session.writer.submit(work, keep=True)

    def cells(self, run_id: str) -> list[dict[str, Any]]:
        """The cells of a run, in the order they were first put."""
        return runs.read_cells(self._settled_rows(), run_id)

    def put_prompt(self, name: str, sha256: str, text: str) -> None:
        """Keeps the text of a prompt that ran, once. Prompts are the user's own words and are not redacted."""
        session = self._session
        if (name, sha256) not in session.prompts:
            session.writer.submit(runs.insert_prompt(name, sha256, storable(text)), keep=True)
            session.prompts.add((name, sha256))

    # --- reasons and people -----------------------------------------------------------------

    def reasons(
        self,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        where: Mapping[str, Any] = {},
        *,
        wordless: bool = False,
    ) -> Reasons:
        """Predictions that say why, oldest first, from `since` to before `until`: a time, or an age such as "24h".

        `where` asks for values of columns such as `label`, `model`, `simulated`, or of fields (`fields.channel`); a
        list asks for any of its values. What sweeps and evaluations said of examples is left out, unless `where`
        names their `run_id`, `cell_id` or `prediction_id`. With `wordless` predictions come along that say nothing,
        such as failed ones. ConfigError for an unknown column or moment.
        """
        from_ = None if since is None else moment_text(since)
        to = None if until is None else moment_text(until, name="until")
        self.flush()
        return reason_rows.read_reasons(self._session.readers.columns, from_, to, where, wordless=wordless)

    def forget(self, conversation_id: str, *more: str) -> dict[str, int]:
        """Erases requests, answers, quotes and reasons about conversations from file and log, for good.

        Counts, labels and money stay. Gives the rows changed in each table. The file is written anew,
        which takes a while where it is big: give several ids at once. StoreError where the file or
        the log can't be cleared.
        """
        self.flush()
        for one in (conversation_id, *more):
            self._session.keeper.forget(one)
        return self._erase(erasing.erase_conversations((conversation_id, *more)))

    def expire(self, older_than_days: float) -> dict[str, int]:
        """Erases what `forget` erases from everything older than so many days; the rows changed in each table."""
        if older_than_days < 0:
            raise ConfigError("days can't be negative", where="expire", got=older_than_days)
        return self._erase(erasing.erase_before(utc_text(datetime.now(UTC) - timedelta(days=older_than_days))))

    def status(self, since: str = "24h") -> dict[str, Any]:
        """Traffic, failures by kind, flag rates, dollars by classifier and model, the last runs; JSON types."""
        session = self._session
        session.writer.flush(_READ_SECONDS)
        return reports.read_status(session.readers.rows, moment_text(since), self._file)

    def export(self, directory: str | Path, *, format: export.Format = "jsonl") -> list[Path]:
        """Writes every table to a folder, as JSONL or CSV; the files written. StoreError where it can't."""
        return export.export(self._settled_rows(), Path(directory), format)

    # --- inside -----------------------------------------------------------------------------

    def _wait(self, work: Callable[..., Any]) -> Any:
        return self._session.writer.submit(work, urgent=True).result()

    def _settled_rows(self) -> Callable[[str, Sequence[object]], list[dict[str, Any]]]:
        """The reader of this thread, once everything this process handed over is committed."""
        session = self._session
        session.writer.flush()
        return session.readers.rows

    def _erase(self, work: erasing.Erase) -> dict[str, int]:
        found: dict[str, int] = self._wait(work)
        if self.path is not None:
            seconds = self._lock_seconds
            compact = self._session.writer.submit(
                lambda connection: erasing.compact(connection, self._where, seconds), urgent=True, alone=True
            )
            compact.result()
        return found
