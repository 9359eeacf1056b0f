"""The whole store as files that any program reads."""

from __future__ import annotations

import csv
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO, get_args

from llmclf.errors import ConfigError, nearest
from llmclf.store.connection import boundary

Format = Literal["jsonl", "csv"]
Pages = Callable[[str, Sequence[object]], list[dict[str, Any]]]


class _Table(NamedTuple):
    """What a file holds: rows of `source` for which `only` is true, in the order of `key`."""

    source: str
    key: tuple[str, ...]
    only: str = "true"


_DONE = "clustering_id IN (SELECT clustering_id FROM clusterings WHERE state = 'done')"
_TABLES = {
    "runs": _Table("runs", ("run_id",)),
    "calls": _Table("calls LEFT JOIN call_texts USING (call_id)", ("call_id",)),
    "predictions": _Table("predictions", ("prediction_id",)),
    "cells": _Table("cells", ("cells.rowid",)),
    "prompts": _Table("prompts", ("prompts.rowid",)),
    "judgments": _Table("judgments", ("judgment_id",)),
    "sessions": _Table("sessions", ("sessions.rowid",)),
    "session_items": _Table("session_items", ("session_items.rowid",)),
    "session_labels": _Table("session_labels", ("label_id",)),
    "session_looks": _Table("session_looks", ("session_looks.rowid",)),
    "clusterings": _Table("clusterings", ("clustering_id",), "state = 'done'"),
    "clusters": _Table("clusters", ("clustering_id", "cluster_id")),
    "clustered": _Table("clustered", ("clustering_id", "cluster_id", "prediction_id"), _DONE),
    "anomalies": _Table("anomalies", ("anomaly_id",)),
    "failure_modes": _Table("failure_modes", ("failure_mode",)),
    "alerts": _Table("alerts", ("alert",)),
    "deliveries": _Table("deliveries", ("delivery_id",)),
}
_JSON = frozenset(
    {
        "versions", "config", "result", "settings", "price", "request", "label_logprobs", "probabilities", "evidence",
        "votes", "rubric", "population", "annotators", "metadata", "conversation", "shown",
        "fields", "filter", "terms", "figures", "body",
    }
)  # fmt: skip
_PAGE = 1_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(rows: Pages, directory: Path, format: Format) -> list[Path]:
    """Writes every table to `directory`, but for what runs and links need for themselves; the files written.

    Of clusterings those that are finished; vectors are base64.

    JSONL loses nothing. CSV opens safely in a spreadsheet: a byte order mark, and an apostrophe before
    text that would be a formula. A file is complete or not there. ConfigError for an unknown format, StoreError
    where nothing can be written.
    """
    if format not in get_args(Format):
        raise ConfigError("unknown format", where="export", got=format, fix=nearest(format, get_args(Format)))
    with boundary(str(directory), "the export"):
        directory.mkdir(parents=True, exist_ok=True)
        return [_write(rows, directory / f"{name}.{format}", table, format) for name, table in _TABLES.items()]


def _write(rows: Pages, path: Path, table: _Table, format: Format) -> Path:
    partial = path.with_name(f"{path.name}.partial")
    encoding = "utf-8-sig" if format == "csv" else "utf-8"
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)  # words of conversations
        with os.fdopen(descriptor, "w", encoding=encoding, newline="" if format == "csv" else "\n") as file:
            pages = _pages(rows, table)
            if format == "csv":
                _write_csv(pages, file, _columns(rows, table.source))
            else:
                _write_jsonl(pages, file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _columns(rows: Pages, source: str) -> list[str]:
    names = [row["name"] for table in source.split() for row in rows("SELECT name FROM pragma_table_info(?)", (table,))]
    return list(dict.fromkeys(names))


def _pages(rows: Pages, table: _Table) -> Iterator[list[dict[str, Any]]]:
    """Rows in the order of the key, a thousand at a time, so that no store is too big to export."""
    keys, places = ", ".join(table.key), [f"_key_{number}" for number in range(len(table.key))]
    positions = ", ".join(f"{key} AS {place}" for key, place in zip(table.key, places, strict=True))
    last: tuple[object, ...] = ()
    while True:
        after = f"AND ({keys}) > ({', '.join('?' * len(last))})" if last else ""
        sql = f"SELECT {positions}, * FROM {table.source} WHERE {table.only} {after} ORDER BY {keys} LIMIT {_PAGE}"  # noqa: S608
        page = rows(sql, last)
        for row in page:
            last = tuple(row.pop(place) for place in places)
            row.update((name, b64encode(value).decode()) for name, value in row.items() if isinstance(value, bytes))
        yield page
        if len(page) < _PAGE:
            return


def _write_jsonl(pages: Iterator[list[dict[str, Any]]], file: TextIO) -> None:
    for page in pages:
        for row in page:
            for name in _JSON & row.keys():
                row[name] = _read_json(row[name])
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _read_json(text: str | None) -> Any:
    if not text:
        return text
    try:
        return json.loads(text)
    except ValueError:  # a request or a price that was handed over as other text
        return text


def _write_csv(pages: Iterator[list[dict[str, Any]]], file: TextIO, columns: list[str]) -> None:
    writer = csv.writer(file)
    writer.writerow(columns)
    for page in pages:
        writer.writerows([_safe(row[name]) for name in columns] for row in page)


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
