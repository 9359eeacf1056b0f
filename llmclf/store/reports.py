"""What people ask of a store: the reasons, and how things stand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmclf.errors import ConfigError, nearest
from llmclf.store.migrations import MIGRATIONS
from llmclf.store.runs import with_signs_of_life

Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]

_REASONS = """
SELECT prediction_id, created_at, conversation_id, turn, classifier_id, task, label, flagged, score, rationale,
       thinking, evidence, ungrounded, run_id, cell_id, route, call_id, simulated
FROM predictions WHERE (coalesce(rationale, '') <> '' OR coalesce(thinking, '') <> '')
"""
REASON_FILTERS = (
    "classifier_id", "task", "label", "flagged", "conversation_id", "turn", "run_id", "cell_id", "route", "simulated",
    "ungrounded",
)  # fmt: skip
"""What `reasons(where=...)` can ask for."""
_FLAGS = ("flagged", "ungrounded", "simulated")

_OF_TRAFFIC = "run_id NOT IN (SELECT run_id FROM runs WHERE kind IN ('sweep', 'evaluate'))"
_TRAFFIC = f"""
SELECT classifier_id, task, simulated, count(*) AS predictions, count(DISTINCT conversation_id) AS conversations,
       coalesce(sum(flagged), 0) AS flagged, sum(label IS NOT NULL) AS answered, sum(error_kind IS NOT NULL) AS failed,
       sum(ungrounded) AS ungrounded, sum(cached) AS cached
FROM predictions WHERE created_at >= ? AND {_OF_TRAFFIC}
GROUP BY classifier_id, task, simulated ORDER BY predictions DESC
"""  # noqa: S608
_FAILURES = f"""
SELECT error_kind, simulated, count(*) AS predictions FROM predictions
WHERE created_at >= ? AND error_kind IS NOT NULL AND {_OF_TRAFFIC}
GROUP BY error_kind, simulated ORDER BY predictions DESC
"""  # noqa: S608
_MEASURED = """
SELECT kind, predictions.simulated AS simulated, count(DISTINCT run_id) AS runs, count(*) AS predictions,
       sum(error_kind IS NOT NULL) AS failed, sum(cached) AS cached
FROM predictions JOIN runs USING (run_id) WHERE created_at >= ? AND kind IN ('sweep', 'evaluate')
GROUP BY kind, predictions.simulated ORDER BY kind, predictions.simulated
"""
_SPEND = """
SELECT classifier_id, model, simulated, count(*) AS calls, sum(state = 'failed') AS failed,
       coalesce(sum(cost_nano), 0) / 1e9 AS usd,
       sum(CASE WHEN cost_nano IS NULL THEN reserved_nano ELSE 0 END) / 1e9 AS reserved_usd,
       sum(cost_nano IS NULL AND state <> 'sent') AS unknown_cost,
       sum(possibly_billed OR state = 'sent') AS possibly_billed
FROM calls WHERE sent_at >= ? GROUP BY classifier_id, model, simulated ORDER BY usd DESC, calls DESC
"""
_RUNS = """
SELECT run_id, kind, state, started_at, finished_at, simulated, why, config FROM runs ORDER BY run_id DESC LIMIT 5
"""


def read_reasons(rows: Rows, since: str | None, until: str | None, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Predictions with a rationale or exposed thinking, oldest first, `evidence` read.

    ConfigError lists every filter that is unknown.
    """
    unknown = [f"{name}: {nearest(name, REASON_FILTERS)}" for name in where if name not in REASON_FILTERS]
    if unknown:
        raise ConfigError("reasons can't be filtered by that", where="reasons(where=...)", problems=unknown)
    sql = _REASONS
    values: list[object] = []
    for test, moment in (("created_at >= ?", since), ("created_at < ?", until)):
        if moment is not None:
            sql, values = f"{sql} AND {test}", [*values, moment]
    for name, wanted in where.items():
        test, more = _filter(name, wanted)
        sql, values = f"{sql} AND {test}", [*values, *more]
    found = rows(f"{sql} ORDER BY prediction_id", values)
    for row in found:
        row["evidence"] = json.loads(row["evidence"]) if row["evidence"] else []
        row["rationale"], row["thinking"] = row["rationale"] or "", row["thinking"] or ""
    return _with_flags(found, _FLAGS)


def _filter(name: str, wanted: Any) -> tuple[str, list[object]]:
    if wanted is None:
        return f"{name} IS NULL", []
    if isinstance(wanted, list | tuple | set | frozenset):
        return f"{name} IN ({', '.join('?' * len(wanted))})", list(wanted)
    return f"{name} = ?", [wanted]


def read_status(rows: Rows, since: str, path: Path | None) -> dict[str, Any]:
    """How things stand since a moment. Simulated and real rows are never added up together.

    `traffic` and `failures` leave out sweeps and evaluations, which stand under `measured`.
    """
    runs = with_signs_of_life(rows, _with_flags(rows(_RUNS, ())))
    for run in runs:
        run["config"] = json.loads(run["config"])
    traffic = _with_flags(rows(_TRAFFIC, (since,)))
    for row in traffic:
        row["flag_rate"] = row["flagged"] / row["answered"] if row["answered"] else None
    return {
        "since": since,
        "store": {
            "path": None if path is None else str(path),
            "bytes": _bytes(path),
            "schema": MIGRATIONS[-1].name,
        },
        "traffic": traffic,
        "failures": _with_flags(rows(_FAILURES, (since,))),
        "measured": _with_flags(rows(_MEASURED, (since,))),
        "spend": _with_flags(rows(_SPEND, (since,))),
        "runs": runs,
    }


def _with_flags(rows: list[dict[str, Any]], names: Sequence[str] = ("simulated",)) -> list[dict[str, Any]]:
    for row in rows:
        for name in names:
            row[name] = None if row[name] is None else bool(row[name])
    return rows


def _bytes(path: Path | None) -> int | None:
    if path is None:
        return None
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
