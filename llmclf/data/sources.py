"""Rows out of CSV files, SQLite files, Parquet files and DataFrames."""

from __future__ import annotations

import contextlib
import csv
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from llmclf.data.files import byte_lines, file_error
from llmclf.data.mapping import ColumnMapping
from llmclf.data.problems import Fault, ReadLog
from llmclf.data.tables import Row
from llmclf.errors import ConfigError, DataError, MissingPieceError, shorten

_LARGEST_CELL = 2**31 - 1
_READS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)


def csv_rows(path: Path, mapping: ColumnMapping, log: ReadLog, delimiter: str = ",") -> Iterator[Row]:
    """The rows of a CSV file with a header, numbered by the line they begin on."""
    if len(delimiter) != 1:
        raise ConfigError("a delimiter is one character", where="import", got=delimiter)
    lines = _RecordedLines(path)
    with _large_cells():
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = _header(reader, path)
        if len(header) == 1:
            _hint_delimiter(header[0], delimiter, path)
        mapping.check(header, str(path))
        _note_left_out(header, mapping, log)
        while True:
            lines.start()
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                what = f"not CSV ({error}); a quote that is opened is closed, and doubled inside"
                log.put_aside(lines.first, [Fault(what)], lines.taken())
                continue
            if values:
                yield _csv_row(header, values, lines)


def sql_rows(
    path: Path,
    mapping: ColumnMapping,
    log: ReadLog,
    query: str,
    parameters: Sequence[object] | Mapping[str, object] = (),
) -> Iterator[Row]:
    """The rows of one SELECT on a SQLite file, which is opened to read only and can't be changed."""
    if not path.is_file():
        raise file_error(path, IsADirectoryError() if path.is_dir() else FileNotFoundError())
    try:
        with contextlib.closing(_read_only(path)) as connection:
            cursor = connection.execute(query, parameters)
            header = [column[0] for column in cursor.description or ()]
            mapping.check(header, f"{path}, query")
            _note_left_out(header, mapping, log)
            for number, values in enumerate(cursor, start=1):
                yield Row(number, dict(zip(header, values, strict=True)))
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        fix = "give one SELECT; the file is opened to read only" if "authorized" in str(error) else ""
        raise DataError(f"the query can't be run ({error})", where=str(path), got=query, fix=fix) from error


def parquet_rows(path: Path, mapping: ColumnMapping, log: ReadLog) -> Iterator[Row]:
    """The rows of a Parquet file; only the columns of the mapping are read, a batch at a time."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPieceError("Parquet needs pyarrow", where=str(path), fix="pip install 'llmclf[tables]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            header = list(file.schema_arrow.names)
            mapping.check(header, str(path))
            _note_left_out(header, mapping, log)
            number = 0
            for batch in file.iter_batches(columns=list(mapping.columns)):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)
    except pyarrow.ArrowException as error:
        raise DataError("no Parquet file, or a broken one", where=str(path), got=str(error)) from error
    except OSError as error:
        raise file_error(path, error) from error


def frame_rows(frame: Any, mapping: ColumnMapping, log: ReadLog) -> Iterator[Row]:
    """The rows of a DataFrame: pandas, polars or a pyarrow Table (nothing of which is imported here)."""
    names = getattr(frame, "column_names", None) or getattr(frame, "columns", None)
    if names is None:
        raise ConfigError("not a DataFrame or Table", where="the frame", got=type(frame).__name__)
    by_text = {str(name): name for name in names}
    header = [str(name) for name in names]
    mapping.check(header, "the frame")
    _note_left_out(header, mapping, log)
    columns = [_column_values(frame[by_text[name]]) for name in mapping.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield Row(number, dict(zip(mapping.columns, values, strict=True)))


class _RecordedLines:
    """The lines of a text file for the csv module, which remembers those of the present record."""

    def __init__(self, path: Path) -> None:
        self.first = 0
        self._lines = byte_lines(path)
        self._taken: list[bytes] = []
        self._next = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self._next = number + 1
        self._taken.append(line)
        return line.decode("utf-8", "surrogateescape") + "\n"

    def start(self) -> None:
        """Forgets the last record; the next one begins here."""
        self.first = self._next
        self._taken.clear()

    def taken(self) -> bytes:
        """The bytes of the present record."""
        return b"\n".join(self._taken)


def _csv_row(header: list[str], values: list[str], lines: _RecordedLines) -> Row:
    row = dict(zip(header, values, strict=False))
    if len(values) == len(header):
        return Row(lines.first, row, lines.taken())
    fault = Fault(f"{len(values)} cells where the header has {len(header)}")
    return Row(lines.first, row, lines.taken(), (fault,))


def _header(reader: Iterable[list[str]], path: Path) -> list[str]:
    try:
        header = next(iter(reader), None)
    except csv.Error as error:
        raise DataError(f"the header is not CSV ({error})", where=str(path)) from error
    if not header:
        raise DataError("the file holds nothing", where=str(path), fix="give a CSV file with a header")
    return [name.strip() for name in header]


def _hint_delimiter(name: str, delimiter: str, path: Path) -> None:
    other = next((mark for mark in (";", "\t", ",", "|") if mark != delimiter and mark in name), None)
    if other:
        raise DataError(
            "the header is one column",
            where=str(path),
            got=shorten(name, 60),
            fix=f"give delimiter={other!r} (--delimiter {_shell_word(other)})",
        )


def _shell_word(mark: str) -> str:
    return "$'\\t'" if mark == "\t" else f"'{mark}'"


@contextlib.contextmanager
def _large_cells() -> Iterator[None]:
    """The csv module refuses cells over 128 kB, by a limit for the whole process: lifted while we read."""
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
    connection.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
    connection.set_authorizer(_only_reads)
    return connection


def _only_reads(action: int, first: str | None, *_rest: object) -> int:
    # Full-text tables ask for data_version themselves.
    allowed = action in _READS or (action == sqlite3.SQLITE_PRAGMA and first == "data_version")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _column_values(column: Any) -> list[object]:
    for name in ("to_pylist", "to_list", "tolist"):
        values = getattr(column, name, None)
        if callable(values):
            return list(values())
    return list(column)


def _note_left_out(header: Sequence[str], mapping: ColumnMapping, log: ReadLog) -> None:
    left_out = [shorten(name, 60) for name in header if name not in mapping.columns]
    if left_out:
        more = f" and {len(left_out) - 20} more" if len(left_out) > 20 else ""
        log.notes.append(f"columns left out (name them in metadata to keep them): {', '.join(left_out[:20])}{more}")
