"""Rows of the tables of clustered reasons: how they are written, and read back as JSON types."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from llmclf.errors import StoreError
from llmclf.types import canonical_json

Row = Mapping[str, Any]

_JSON = frozenset({"filter", "settings", "result", "terms", "figures", "evidence", "body"})
_NAMES = ("anomaly_id", "delivery_id", "cluster_id", "clustering_id")


def insert(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Adds rows; part of a transaction."""
    connection.executemany(inserting(table, columns), rows)


def inserting(table: str, columns: Sequence[str]) -> str:
    """The statement that adds a row."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def values_of(row: Row, columns: Sequence[str]) -> list[object]:
    """The values of a row in the order of columns, JSON values as text."""
    return [canonical_json(row[name]) if name in _JSON else row[name] for name in columns]


def read_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its JSON columns read, in place. StoreError naming it where one is no JSON."""
    for name in _JSON & row.keys():
        if row[name] is not None:
            try:
                row[name] = json.loads(row[name])
            except ValueError:
                ids = ", ".join(f"{key} {row[key]}" for key in _NAMES if row.get(key))
                raise StoreError(
                    f"a row of the store can't be read: its {name} is no JSON",
                    where=ids,
                    fix="the file was changed by hand or by something else: restore a copy, or delete that row",
                ) from None
    if "simulated" in row:
        row["simulated"] = bool(row["simulated"])
    return row
