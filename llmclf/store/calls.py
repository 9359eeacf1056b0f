"""Calls to models: what was sent, what came back, what it cost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmclf.errors import StoreError
from llmclf.store.moments import utc_text
from llmclf.store.records import CallDone, CallSent, Spent, StoredAnswer
from llmclf.types import USAGE_COUNTS, Usage, content_hash

Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]

_SENT = """
INSERT INTO calls (call_id, run_id, request_hash, repeat, conversation_id, turn, classifier_id, model, route, endpoint,
                   prompt_id, thinking, simulated, state, sent_at, reserved_nano, possibly_billed, owner, shown_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sent', ?, ?, 0, ?, ?)
"""
_SHOWN = "INSERT OR IGNORE INTO shown (shown_id, conversation_id) VALUES (?, ?)"
_SENT_TEXT = "INSERT INTO call_texts (call_id, request) VALUES (?, ?)"
_DONE = """
UPDATE calls SET state = ?, finished_at = ?, cost_nano = ?, price = ?, input_tokens = ?, cached_tokens = ?,
                 output_tokens = ?, reasoning_tokens = ?, latency_seconds = ?, attempts = ?, possibly_billed = ?,
                 finish_reason = ?, error_kind = ?, sent_thinking = ?, queue_seconds = ?, first_byte_seconds = ?,
                 audio_tokens = ?, cache_write_tokens = ?
WHERE call_id = ?
"""
# No row where the conversation was forgotten while the call was under way, or its words are not to be kept.
_DONE_TEXT = "UPDATE call_texts SET answer = ?, reasoning = ?, label_logprobs = ?, error_message = ? WHERE call_id = ?"
_ANSWER = """
SELECT calls.call_id, answer, reasoning, finish_reason, label_logprobs, input_tokens, cached_tokens, output_tokens,
       reasoning_tokens, audio_tokens, cache_write_tokens, cost_nano, latency_seconds, attempts, model, simulated
FROM calls JOIN call_texts USING (call_id)
WHERE request_hash = ? AND repeat = ? AND state = 'done' AND forgotten_at IS NULL
  AND finish_reason NOT IN ('abort', 'error', 'insufficient_system_resource') -- broken off: no answer to give again
ORDER BY finished_at, calls.call_id LIMIT 1
"""
_SPENT = """
SELECT coalesce(sum(cost_nano), 0) AS settled,
       coalesce(sum(CASE WHEN cost_nano IS NULL THEN reserved_nano ELSE 0 END), 0) AS reserved_unsettled,
       count(*) AS calls, coalesce(sum(possibly_billed OR state = 'sent'), 0) AS possibly_billed,
       coalesce(sum(cost_nano IS NULL AND state <> 'sent'), 0) AS unknown
FROM calls WHERE simulated = ?
"""
_AT_ONCE = 500  # ids in one statement


def insert_sent(call: CallSent) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: the row of a call that is about to be sent."""
    shows = tuple(dict.fromkeys(call.shows)) if call.request_json is not None else ()
    shown_id = content_hash(shows) if shows else None
    row = (
        call.call_id, call.run_id, call.request_hash, call.repeat, call.conversation_id, call.turn, call.classifier_id,
        call.model, call.route, call.endpoint, call.prompt_id, str(call.thinking), call.simulated,
        utc_text(call.sent_at), call.reserved_nano, call.owner, shown_id,
    )  # fmt: skip
    text = (call.call_id, call.request_json)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(_SENT, row)
        if call.request_json is not None:
            connection.execute(_SENT_TEXT, text)
        connection.executemany(_SHOWN, [(shown_id, one) for one in shows])

    return work


def update_done(call_id: str, outcome: CallDone, where: str) -> Callable[[sqlite3.Connection], None]:
    """Work for the writer: how a call ended."""
    usage = outcome.usage
    row = (
        outcome.state, utc_text(outcome.finished_at), outcome.cost_nano, outcome.price_json, usage.input_tokens,
        usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens, outcome.latency_seconds, outcome.attempts,
        outcome.possibly_billed, outcome.finish_reason, outcome.error_kind, outcome.sent_thinking,
        outcome.queue_seconds, outcome.first_byte_seconds, usage.audio_tokens, usage.cache_write_tokens, call_id,
    )  # fmt: skip
    logprobs = None if outcome.label_logprobs is None else json.dumps(dict(outcome.label_logprobs))
    text = (outcome.text, outcome.reasoning, logprobs, outcome.error_message, call_id)

    def work(connection: sqlite3.Connection) -> None:
        if connection.execute(_DONE, row).rowcount == 0:
            raise StoreError("there is no such call", where=where, got=call_id, fix="hand it to call_sent first")
        connection.execute(_DONE_TEXT, text)

    return work


def read_answer(rows: Rows, request_hash: str, repeat: int) -> StoredAnswer | None:
    """The first answer that was bought for a request, or None."""
    found = rows(_ANSWER, (request_hash, repeat))
    if not found:
        return None
    row = found[0]
    usage = Usage(*(row[name] for name in USAGE_COUNTS))
    logprobs = json.loads(row["label_logprobs"]) if row["label_logprobs"] else None
    return StoredAnswer(
        row["call_id"], row["answer"] or "", row["reasoning"] or "", row["finish_reason"] or "", logprobs, usage,
        row["cost_nano"], row["latency_seconds"], row["attempts"], row["model"], bool(row["simulated"]),
    )  # fmt: skip


def answer_of(call: CallSent, outcome: CallDone) -> StoredAnswer:
    """The answer as `read_answer` will give it once it is committed."""
    logprobs: Mapping[str, float] | None = outcome.label_logprobs
    return StoredAnswer(
        call.call_id, outcome.text, outcome.reasoning, outcome.finish_reason,
        None if logprobs is None else dict(logprobs), outcome.usage, outcome.cost_nano, outcome.latency_seconds,
        outcome.attempts, call.model, call.simulated,
    )  # fmt: skip


def read_spent(rows: Rows, run_ids: Sequence[str] | None, since: str | None, simulated: bool) -> Spent:
    """Money of some runs (None: all), of calls sent at or after `since`."""
    sql = _SPENT
    values: list[object] = [int(simulated)]
    if since is not None:
        sql, values = f"{sql} AND sent_at >= ?", [*values, since]
    if run_ids is None:
        return Spent(**rows(sql, values)[0])
    total = dict.fromkeys(("settled", "reserved_unsettled", "calls", "possibly_billed", "unknown"), 0)
    ids = list(dict.fromkeys(run_ids))
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        for name, value in rows(f"{sql} AND run_id IN ({marks})", [*values, *part])[0].items():
            total[name] += value
    return Spent(**total)
