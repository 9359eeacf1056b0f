"""The schema as a page for people."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

from llmclf.store.migrations import MIGRATIONS, create_schema

_COMMENT = re.compile(r"^\s*(\w+) [^\n]*?--\s*(.*)$", re.MULTILINE)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+) .*/\* (.*) \*/$")
_ABOUT = {
    "runs": "One row for each execution of something.",
    "calls": "One row for each call to a model: what was asked for, how it ended, what it cost.",
    "call_texts": "The words of the calls.",
    "shown": "Which conversations are shown, as examples, in calls about others.",
    "predictions": "What classifiers said, one row for each item.",
    "cells": "The cells of sweeps.",
    "prompts": "The text of every prompt that ran.",
    "owners": "The runtimes that share this file.",
    "leases": "Slices of the caps that those have taken.",
    "spent": "What real calls cost, hour by hour; triggers keep it, so that a cap is looked up quickly.",
    "sends": "When models were asked in the last minutes, where a pace is set.",
    "v_predictions": "Predictions, dollars and seconds, readable.",
    "v_cells": "Cells with their settings and what their predictions add up to.",
    "v_spend": "Dollars by day, classifier and model.",
    "v_reasons": "Predictions that say why.",
    "judgments": "What judges said, one row for each case.",
    "sessions": "Sessions in which people label.",
    "session_items": "The cases of a session, as people are shown them.",
    "session_labels": "What people said, one row for each time they said it.",
    "session_tokens": "Links and cookies of annotators, by hash.",
    "session_looks": "When the figures of a session were looked at.",
    "v_judgments": "Judgments, dollars and seconds, readable.",
    "v_session_labels": "What people said, without what they took back.",
    "clusterings": "Looks at the reasons of a window: one row for each time they were clustered.",
    "clusters": "What each look found: groups of reasons, and groups of those.",
    "clustered": "Which reason is in which cluster, for the newest looks.",
    "anomalies": "What a look found that the baseline does not explain.",
    "failure_modes": "Clusters that people made a name for, with the examples that show it.",
    "alerts": "Clusters that people want to be told of.",
    "deliveries": "What is to be sent to a webhook, and what was.",
    "v_anomalies": "Anomalies with the names of their clusters.",
    "v_clusters": "Clusters with their share of the window's reasons.",
}


def schema_markdown() -> str:
    """Every table and view of the current schema with its columns, types and meanings, as Markdown."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        found = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY type, rowid"
        ).fetchall()
        parts = [
            _table(connection, name, sql) if type_ == "table" else _view(connection, name) for type_, name, sql in found
        ]
    return "\n\n".join(parts) + "\n"


def _table(connection: sqlite3.Connection, name: str, sql: str) -> str:
    meanings = dict(_COMMENT.findall(sql)) | _added(name)
    lines = [f"### {name}", "", _ABOUT[name], "", "| column | type | meaning |", "| --- | --- | --- |"]
    for _, column, type_, required, _, in_key in connection.execute(f"PRAGMA table_info({name})"):
        kind = f"{type_.lower()}, {'key' if in_key else 'required' if required else 'may be NULL'}"
        lines.append(f"| `{column}` | {kind} | {meanings.get(column, '')} |")
    return "\n".join(lines)


def _added(table: str) -> dict[str, str]:
    """Column to meaning, of those that later migrations added."""
    statements = (statement for migration in MIGRATIONS for statement in migration.statements)
    found = (_ADDED.match(statement) for statement in statements)
    return {match[2]: match[3] for match in found if match and match[1] == table}


def _view(connection: sqlite3.Connection, name: str) -> str:
    columns = ", ".join(f"`{row[1]}`" for row in connection.execute(f"PRAGMA table_info({name})"))
    return f"### {name}\n\n{_ABOUT[name]} Columns: {columns}."
