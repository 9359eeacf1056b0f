"""Predictions to rows and back to columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llmclf.store.moments import new_ids, utc_text
from llmclf.types import USAGE_COUNTS, ErrorInfo, Evidence, Prediction, Predictions, Usage

Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]

_COLUMNS = (
    "prediction_id", "run_id", "cell_id", "created_at", "conversation_id", "turn", "classifier_id", "task", "label",
    "flagged", "score", "score_method", "threshold", "probabilities", "probabilities_at", "evidence", "ungrounded",
    "rationale", "thinking", "truncated", "error_kind", "error_message", "error_retryable", "input_tokens",
    "cached_tokens", "output_tokens", "reasoning_tokens", "cost_nano", "latency_seconds", "route", "call_id", "cached",
    "simulated", "audio_tokens", "cache_write_tokens", "calls", "repaired", "fields",
)  # fmt: skip
_INSERT = f"INSERT OR REPLACE INTO predictions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_AT_ONCE = 500
_SAME = (
    "conversation_id", "turn", "classifier_id", "task", "label", "score", "score_method", "threshold",
    "probabilities_at", "latency_seconds", "route", "call_id", "calls",
)  # fmt: skip


def insert_predictions(
    run_id: str, cell_id: str, predictions: Sequence[Prediction], made_at: str = ""
) -> Callable[..., None]:
    """Work for the writer: the rows of some predictions, in order; `made_at` as the store writes it, empty: now."""
    made_at = made_at or utc_text()
    ids = new_ids(len(predictions))
    rows = [_row(id_, run_id, cell_id, made_at, prediction) for id_, prediction in zip(ids, predictions, strict=True)]

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany(_INSERT, rows)

    return work


def _row(id_: str, run_id: str, cell_id: str, made_at: str, prediction: Prediction) -> tuple[Any, ...]:
    error, usage, evidence = prediction.error, prediction.usage, prediction.evidence
    probabilities = prediction.probabilities
    return (
        id_, run_id, cell_id, made_at, prediction.conversation_id, prediction.turn, prediction.classifier_id,
        prediction.task, prediction.label, prediction.flagged, prediction.score, prediction.score_method,
        prediction.threshold, json.dumps(dict(probabilities)) if probabilities is not None else None,
        prediction.probabilities_at, _evidence_json(evidence) if evidence else None,
        prediction.ungrounded, prediction.rationale, prediction.thinking, prediction.truncated,
        error.kind if error else None, error.message if error else None, error.retryable if error else None,
        usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens,
        prediction.cost_nano_usd, prediction.latency_seconds, prediction.route, prediction.call_id,
        prediction.cached, prediction.simulated, usage.audio_tokens, usage.cache_write_tokens, prediction.calls,
        prediction.repaired, json.dumps(dict(prediction.fields), ensure_ascii=False) if prediction.fields else None,
    )  # fmt: skip


def _evidence_json(evidence: Iterable[Evidence]) -> str:
    quotes = [{"quote": one.quote, "turn": one.turn, "grounded": one.grounded} for one in evidence]
    return json.dumps(quotes, ensure_ascii=False)


def read_predictions(rows: Rows, run_ids: Sequence[str], cell_id: str | None) -> Predictions:
    """The predictions of some runs (and of one cell of theirs), in the order in which they were added."""
    found: list[dict[str, Any]] = []
    ids = list(dict.fromkeys(run_ids))
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        sql = f"SELECT * FROM predictions WHERE run_id IN ({', '.join('?' * len(part))})"  # noqa: S608
        values: list[object] = [*part]
        if cell_id is not None:
            sql, values = f"{sql} AND cell_id = ?", [*values, cell_id]
        found += rows(f"{sql} ORDER BY prediction_id", values)
    found.sort(key=lambda row: row["prediction_id"])
    return Predictions.from_columns(_columns(found))


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in _SAME}
    for name in ("truncated", "cached", "simulated", "repaired"):
        columns[name] = [bool(row[name]) for row in rows]
    for name in ("rationale", "thinking"):
        columns[name] = [row[name] or "" for row in rows]
    columns["flagged"] = [None if row["flagged"] is None else bool(row["flagged"]) for row in rows]
    columns["probabilities"] = [_loaded(row["probabilities"]) for row in rows]
    columns["evidence"] = [tuple(Evidence(**quote) for quote in _loaded(row["evidence"]) or ()) for row in rows]
    columns["fields"] = [_loaded(row["fields"]) or {} for row in rows]
    columns["error"] = [_error(row) for row in rows]
    columns["usage"] = [Usage(*(row[name] for name in USAGE_COUNTS)) for row in rows]
    columns["cost_nano_usd"] = [row["cost_nano"] for row in rows]
    return columns


def _loaded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _error(row: dict[str, Any]) -> ErrorInfo | None:
    if row["error_kind"] is None:
        return None
    return ErrorInfo(row["error_kind"], row["error_message"] or "", bool(row["error_retryable"]))
