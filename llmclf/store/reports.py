"""What people ask of a store: how things stand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llmclf.store.migrations import MIGRATIONS
from llmclf.store.reasons import MEASURED, OF_TRAFFIC
from llmclf.store.runs import with_signs_of_life

Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]

_TRAFFIC = f"""
SELECT classifier_id, task, simulated, count(*) AS predictions, count(DISTINCT conversation_id) AS conversations,
       coalesce(sum(flagged), 0) AS flagged, sum(label IS NOT NULL) AS answered, sum(error_kind IS NOT NULL) AS failed,
       sum(ungrounded) AS ungrounded, sum(cached) AS cached
FROM predictions WHERE created_at >= ? AND {OF_TRAFFIC}
GROUP BY classifier_id, task, simulated ORDER BY predictions DESC
"""  # noqa: S608
_FAILURES = f"""
SELECT error_kind, simulated, count(*) AS predictions FROM predictions
WHERE created_at >= ? AND error_kind IS NOT NULL AND {OF_TRAFFIC}
GROUP BY error_kind, simulated ORDER BY predictions DESC
"""  # noqa: S608
_MEASURED = f"""
SELECT kind, predictions.simulated AS simulated, count(DISTINCT run_id) AS runs, count(*) AS predictions,
       sum(error_kind IS NOT NULL) AS failed, sum(cached) AS cached
FROM predictions JOIN runs USING (run_id) WHERE created_at >= ? AND kind IN {MEASURED}
GROUP BY kind, predictions.simulated ORDER BY kind, predictions.simulated
"""  # noqa: S608
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
