"""Runs, the cells of sweeps, and the text of prompts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from llmclf.errors import StoreError
from llmclf.store.leases import ALIVE_SECONDS
from llmclf.store.moments import utc_text
from llmclf.types import canonical_json

Rows = Callable[[str, Sequence[object]], list[dict[str, Any]]]
Work = Callable[[sqlite3.Connection], None]

_RUN = """
INSERT INTO runs (run_id, kind, state, started_at, inputs_hash, dataset_hash, seed, git_sha, versions, config,
                  simulated)
VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CELL = """
INSERT INTO cells (run_id, cell_id, settings, simulated, state, result, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, cell_id) DO UPDATE SET settings = excluded.settings, simulated = excluded.simulated,
  state = excluded.state, result = excluded.result, updated_at = excluded.updated_at
"""
_PROMPT = "INSERT OR IGNORE INTO prompts (name, sha256, text, first_used_at) VALUES (?, ?, ?, ?)"


_OWNER = """
SELECT max(seen_at) AS seen_at FROM owners WHERE owner IN (SELECT DISTINCT owner FROM calls WHERE run_id = ?)
"""
_SIGNS = """
SELECT max(at) AS at, max(calls) AS calls FROM (
  SELECT max(coalesce(finished_at, sent_at)) AS at, count(*) AS calls FROM calls WHERE run_id = ?
  UNION ALL SELECT max(created_at), 0 FROM predictions WHERE run_id = ?
  UNION ALL SELECT max(updated_at), 0 FROM cells WHERE run_id = ?
  UNION ALL SELECT started_at, 0 FROM runs WHERE run_id = ?)
"""
_LONGEST_CALL_SECONDS = 150.0
"""A run that calls models is silent for no longer: each call ends after two minutes."""
_LONGEST_WORK_SECONDS = 600.0
"""The same for one that does not: training, or recognising words."""


def insert_run(
    run_id: str,
    kind: str,
    inputs_hash: str,
    config: Mapping[str, Any],
    dataset_hash: str,
    seed: int,
    git_sha: str,
    versions: Mapping[str, str],
    simulated: bool,
) -> Work:
    """Work for the writer: a run that begins now."""
    row = (
        run_id, kind, utc_text(), inputs_hash, dataset_hash, seed, git_sha, canonical_json(versions),
        canonical_json(config), simulated,
    )  # fmt: skip

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(_RUN, row)

    return work


def update_run(run_id: str, state: str, result: Mapping[str, Any] | None, why: str, where: str) -> Work:
    """Work for the writer: how a run ended."""
    row = (state, utc_text(), None if result is None else canonical_json(result), why, run_id)

    def work(connection: sqlite3.Connection) -> None:
        sql = "UPDATE runs SET state = ?, finished_at = ?, result = ?, why = ? WHERE run_id = ?"
        if connection.execute(sql, row).rowcount == 0:
            raise StoreError("there is no such run", where=where, got=run_id, fix="begin it with start_run")

    return work


def read_runs(rows: Rows, kind: str | None, inputs_hash: str | None, limit: int) -> list[dict[str, Any]]:
    """Runs, newest first, with their JSON columns read and `seems_ended`."""
    tests = [(name, value) for name, value in (("kind", kind), ("inputs_hash", inputs_hash)) if value is not None]
    where = f"WHERE {' AND '.join(f'{name} = ?' for name, _ in tests)}" if tests else ""
    sql = f"SELECT * FROM runs {where} ORDER BY run_id DESC LIMIT ?"  # noqa: S608
    found = rows(sql, [*(value for _, value in tests), limit])
    return with_signs_of_life(rows, [_read(row, ("versions", "config", "result"), ("simulated",)) for row in found])


def with_signs_of_life(rows: Rows, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs with `seems_ended`: True where one is `running` by its row, and its process shows no sign of life.

    Where the owner of its calls is known by a heartbeat, that decides; else the last thing it wrote.
    """
    now = datetime.now(UTC)
    for row in found:
        row["seems_ended"] = row["state"] == "running" and _seems_ended(rows, str(row["run_id"]), now)
    return found


def _seems_ended(rows: Rows, run_id: str, now: datetime) -> bool:
    seen = rows(_OWNER, (run_id,))[0]["seen_at"]
    if seen is not None:
        return bool(seen < utc_text(now - timedelta(seconds=ALIVE_SECONDS)))
    (signs,) = rows(_SIGNS, (run_id,) * 4)
    silence = _LONGEST_CALL_SECONDS if signs["calls"] else _LONGEST_WORK_SECONDS
    return signs["at"] is not None and bool(signs["at"] < utc_text(now - timedelta(seconds=silence)))


def insert_cell(
    run_id: str,
    cell_id: str,
    settings: Mapping[str, Any],
    simulated: bool,
    state: str,
    result: Mapping[str, Any] | None,
) -> Work:
    """Work for the writer: a cell as it stands now; it replaces what was said of it before."""
    written = None if result is None else canonical_json(result)
    row = (run_id, cell_id, canonical_json(settings), simulated, state, written, utc_text())

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(_CELL, row)

    return work


def read_cells(rows: Rows, run_id: str) -> list[dict[str, Any]]:
    """The cells of a run in the order in which they were first put, with their JSON columns read."""
    found = rows("SELECT * FROM cells WHERE run_id = ? ORDER BY rowid", (run_id,))
    return [_read(row, ("settings", "result"), ("simulated",)) for row in found]


def insert_prompt(name: str, sha256: str, text: str) -> Work:
    """Work for the writer: the text of a prompt, once for each hash."""
    row = (name, sha256, text, utc_text())

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(_PROMPT, row)

    return work


def _read(row: dict[str, Any], json_columns: Sequence[str], flags: Sequence[str]) -> dict[str, Any]:
    for name in json_columns:
        if row[name] is not None:
            row[name] = json.loads(row[name])
    for name in flags:
        row[name] = bool(row[name])
    return row
