"""The whole store as files that any program reads."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

Format = Literal["jsonl", "csv"]
Pages = Callable[[str, Sequence[object]], list[dict[str, Any]]]

_TABLES = {
    "runs": ("runs", "run_id"),
    "calls": ("calls LEFT JOIN call_texts USING (call_id)", "call_id"),
    "predictions": ("predictions", "prediction_id"),
    "cells": ("cells", "cells.rowid"),
    "prompts": ("prompts", "prompts.rowid"),
    "judgments": ("judgments", "judgment_id"),
    "sessions": ("sessions", "sessions.rowid"),
    "session_items": ("session_items", "session_items.rowid"),
    "session_labels": ("session_labels", "label_id"),
    "session_looks": ("session_looks", "session_looks.rowid"),
}
_JSON = frozenset(
    {
        "versions", "config", "result", "settings", "price", "request", "label_logprobs", "probabilities", "evidence",
        "votes", "rubric", "population", "annotators", "metadata", "conversation", "shown",
    }
)  # fmt: skip
_PAGE = 1_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(rows: Pages, directory: Path, format: Format) -> list[Path]:
    """Writes every table to `directory`, but for what runs and links need for themselves; the files written.

    JSONL loses nothing. CSV opens safely in a spreadsheet: a byte order mark, and an apostrophe before
    text that would be a formula. A file is complete or not there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    return [
        _write(rows, directory / f"{name}.{format}", source, key, format) for name, (source, key) in _TABLES.items()
    ]


def _write(rows: Pages, path: Path, source: str, key: str, format: Format) -> Path:
    partial = path.with_name(f"{path.name}.partial")
    encoding = "utf-8-sig" if format == "csv" else "utf-8"
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)  # words of conversations
        with os.fdopen(descriptor, "w", encoding=encoding, newline="" if format == "csv" else "\n") as file:
            pages = _pages(rows, source, key)
            if format == "csv":
                _write_csv(pages, file, _columns(rows, source))
            else:
                _write_jsonl(pages, file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _columns(rows: Pages, source: str) -> list[str]:
    names = [row["name"] for table in source.split() for row in rows("SELECT name FROM pragma_table_info(?)", (table,))]
    return list(dict.fromkeys(names))


def _pages(rows: Pages, source: str, key: str) -> Iterator[list[dict[str, Any]]]:
    """Rows in the order of `key`, a thousand at a time, so that no store is too big to export."""
    last: object = None
    while True:
        after = "" if last is None else f"WHERE {key} > ?"
        sql = f"SELECT {key} AS position, * FROM {source} {after} ORDER BY {key} LIMIT {_PAGE}"  # noqa: S608
        page = rows(sql, () if last is None else (last,))
        last = page[-1]["position"] if page else None
        for row in page:
            del row["position"]
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
