"""Judgments to rows and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmclf.store.moments import new_ids, utc_text
from llmclf.types import USAGE_COUNTS, ErrorInfo, Item, Judgment, Usage

Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]

_COLUMNS = (
    "judgment_id", "run_id", "created_at", "judge", "fingerprint", "case_id", "conversation_id", "turn", "verdict",
    "reason", "probe", "repeat", "votes", "calibrated", "error_kind", "error_message", "error_retryable", "model",
    "thinking", "cost_nano", "latency_seconds", "call_id", "cached", "simulated", *USAGE_COUNTS,
)  # fmt: skip
_INSERT = f"INSERT INTO judgments ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
# Of the fingerprint that judged last: its newest answer, or its newest failure where it has none.
_NEWEST = """
SELECT judgment_id FROM (
  SELECT judgment_id, row_number() OVER (
    PARTITION BY case_id, probe, repeat ORDER BY last DESC, verdict IS NULL, judgment_id DESC
  ) AS place
  FROM (
    SELECT judgment_id, case_id, probe, repeat, verdict,
           max(judgment_id) OVER (PARTITION BY case_id, probe, repeat, fingerprint) AS last
    FROM judgments WHERE {where}
  )
) WHERE place = 1
"""
_SELECT = "SELECT * FROM judgments WHERE judgment_id IN ({newest}) ORDER BY judgment_id"


def insert_judgments(run_id: str, judgments: Sequence[Judgment], items: Mapping[str, Item]) -> Callable[..., None]:
    """Work for the writer: the rows of some judgments, in order; `items` by case."""
    now = utc_text()
    ids = new_ids(len(judgments))
    rows = [
        _row(id_, run_id, now, judgment, items.get(judgment.case, Item("")))
        for id_, judgment in zip(ids, judgments, strict=True)
    ]

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany(_INSERT, rows)

    return work


def read_judgments(
    rows: Rows,
    judge: str,
    fingerprint: str | None,
    probe: str | None,
    repeat: int | None,
    run_id: str | None,
    case_ids: Sequence[str] | None,
) -> list[Judgment]:
    """The newest judgment of each (case, probe, repeat) that fits what is given, in the order they were made.

    Of several of one fingerprint an answer counts before a failure, also a later one: asking again has not unsaid it.
    """
    wanted = {"judge": judge, "fingerprint": fingerprint, "probe": probe, "repeat": repeat, "run_id": run_id}
    given = {name: value for name, value in wanted.items() if value is not None}
    where = [f"{name} = ?" for name in given]
    values: list[object] = [*given.values()]
    if case_ids is not None:
        where.append("case_id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(case_ids)))
    newest = _NEWEST.format(where=" AND ".join(where))
    return [_judgment(row) for row in rows(_SELECT.format(newest=newest), values)]


def _row(id_: str, run_id: str, now: str, judgment: Judgment, item: Item) -> tuple[Any, ...]:
    error, usage = judgment.error, judgment.usage
    votes = json.dumps(judgment.votes, ensure_ascii=False) if judgment.votes else None
    return (
        id_, run_id, now, judgment.judge, judgment.fingerprint, judgment.case, item.conversation_id, item.turn,
        judgment.verdict, judgment.reason, judgment.probe, judgment.repeat, votes, judgment.calibrated,
        error.kind if error else None, error.message if error else None, error.retryable if error else None,
        judgment.model, judgment.thinking, judgment.cost_nano_usd, judgment.latency_seconds, judgment.call_id,
        judgment.cached, judgment.simulated, *(getattr(usage, name) for name in USAGE_COUNTS),
    )  # fmt: skip


def _judgment(row: dict[str, Any]) -> Judgment:
    error = None
    if row["error_kind"] is not None:
        error = ErrorInfo(row["error_kind"], row["error_message"] or "", bool(row["error_retryable"]))
    return Judgment(
        row["case_id"],
        row["judge"],
        row["fingerprint"],
        verdict=row["verdict"],
        reason=row["reason"] or "",
        probe=row["probe"],
        repeat=row["repeat"],
        votes=tuple((judge, verdict) for judge, verdict in json.loads(row["votes"] or "[]")),
        calibrated=bool(row["calibrated"]),
        error=error,
        model=row["model"],
        thinking=row["thinking"] or "",
        usage=Usage(**{name: row[name] for name in USAGE_COUNTS}),
        cost_nano_usd=row["cost_nano"],
        latency_seconds=row["latency_seconds"],
        call_id=row["call_id"],
        cached=bool(row["cached"]),
        simulated=bool(row["simulated"]),
    )
