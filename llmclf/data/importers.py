"""Conversations from where they lie: chat messages, CSV, SQL, Parquet, DataFrames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from llmclf.data.files import byte_lines
from llmclf.data.mapping import ColumnMapping
from llmclf.data.messages import conversations_of_messages
from llmclf.data.problems import GOT_LIMIT, Place, ReadLog, ReadResult, read_log
from llmclf.data.read import read_conversations
from llmclf.data.sources import csv_rows, frame_rows, parquet_rows, sql_rows
from llmclf.data.tables import conversations_of_rows
from llmclf.errors import ConfigError, DataError, nearest, shorten
from llmclf.types import Conversation, Speaker

ImportFormat = Literal["jsonl", "messages", "csv", "sql", "parquet"]
IMPORT_FORMATS: tuple[ImportFormat, ...] = get_args(ImportFormat)
_CSV_HEADER = re.compile(rb"""["']?[\w .-]+["']?([,;\t|]["']?[\w .-]+["']?)+""")


def import_conversations(
    source: str | Path,
    format: ImportFormat,
    *,
    mapping: ColumnMapping | None = None,
    query: str = "",
    parameters: Sequence[object] | Mapping[str, object] = (),
    delimiter: str = ",",
    speakers: Mapping[str, Speaker] | None = None,
    metadata: Sequence[str] = (),
    transfer_tools: Sequence[str] = (),
    rejects: str | Path | None = None,
) -> ReadResult:
    """The conversations in a file that is not (or need not be) in llmclf's own form.

    Args:
        source: The file; plain or gzipped for `jsonl`, `messages` and `csv`.
        format: `jsonl` (llmclf's own), `messages` (OpenAI-style chats, one a line), `csv`, `sql`
            (any SQLite file, opened to read only) or `parquet`.
        mapping: For the tables: which column holds what. Columns it does not name are left out,
            and a note says so.
        query: For `sql`: one SELECT.
        parameters: For `sql`: what fills the `?` or `:name` of the query.
        delimiter: For `csv`: one character.
        speakers: For `messages`: roles beyond OpenAI's, for instance {"agent": "human_agent"}.
        metadata: For `messages`: other keys of a line to keep as metadata.
        transfer_tools: For `messages`: names of tools whose call is a transfer to a person.
        rejects: Where bad lines go, whole and with reasons; without it any bad line raises.

    Raises DataError that lists every bad line; ConfigError where the arguments do not fit.
    """
    path = Path(source)
    _check_arguments(format, mapping=mapping, query=query, parameters=parameters, speakers=speakers, metadata=metadata)
    if format in ("jsonl", "messages"):
        _check_is_json(path)
    if format == "jsonl":
        return read_conversations(path, rejects=rejects)
    table = mapping or ColumnMapping()

    def conversations(log: ReadLog) -> Iterable[Conversation]:
        if format == "messages":
            return conversations_of_messages(path, log, speakers or {}, metadata, transfer_tools)
        rows = {
            "csv": lambda: csv_rows(path, table, log, delimiter),
            "sql": lambda: sql_rows(path, table, log, query, parameters),
            "parquet": lambda: parquet_rows(path, table, log),
        }[format]()
        return conversations_of_rows(rows, table, log)

    place: Place = "line" if format in ("messages", "csv") else "row"
    return _collected(conversations, str(path), path, rejects, place)


def conversations_from_frame(
    frame: Any, mapping: ColumnMapping | None = None, *, rejects: str | Path | None = None
) -> ReadResult:
    """The conversations in a DataFrame with one row a turn: pandas, polars or a pyarrow Table.

    Rows are numbered from 1 in problems. As `import_conversations` in everything else.
    """
    table = mapping or ColumnMapping()
    return _collected(
        lambda log: conversations_of_rows(frame_rows(frame, table, log), table, log), "the frame", None, rejects, "row"
    )


def _collected(
    read: Callable[[ReadLog], Iterable[Conversation]],
    where: str,
    source: Path | None,
    rejects: str | Path | None,
    place: Place,
) -> ReadResult:
    with read_log(where, source, None if rejects is None else Path(rejects), place) as log:
        conversations = tuple(read(log))
        log.finish(len(conversations))
    return ReadResult(conversations, tuple(log.problems), log.rejected, dict(log.unmapped), tuple(log.notes), log.lost)


def _check_is_json(path: Path) -> None:
    """DataError where a file that should be JSON Lines is plainly a table."""
    first = next((line for _, line in byte_lines(path)), b"").strip()
    looks = ""
    if first.startswith(b"SQLite format 3"):
        looks = "looks like a SQLite file: --format sql (format='sql')"
    elif first.startswith(b"PAR1"):
        looks = "looks like Parquet: --format parquet (format='parquet')"
    elif _CSV_HEADER.fullmatch(first):
        looks = "looks like CSV: --format csv (format='csv')"
    if looks:
        got = first[:GOT_LIMIT].decode("utf-8", "replace")
        raise DataError("not JSON Lines", where=str(path), got=shorten(got, GOT_LIMIT), fix=looks)


def _check_arguments(format: str, **given: object) -> None:
    if format not in IMPORT_FORMATS:
        raise ConfigError("unknown format", where="import", got=format, fix=nearest(str(format), IMPORT_FORMATS))
    tables = ("csv", "sql", "parquet")
    takes = {
        "mapping": tables,
        "query": ("sql",),
        "parameters": ("sql",),
        "speakers": ("messages",),
        "metadata": ("messages",),
    }
    problems = [
        f"{name} is for {' and '.join(formats)} only"
        + (": put it into the column mapping (--map)" if format in tables else "")
        for name, formats in takes.items()
        if given[name] and format not in formats
    ]
    if format == "sql" and not given["query"]:
        problems.append("sql needs a query (--query): one SELECT with a row for each turn")
    if problems:
        raise ConfigError(f"arguments do not fit format {format}", where="import", problems=problems)
