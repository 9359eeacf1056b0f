"""Conversations from chat messages, CSV, SQL, Parquet and DataFrames."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.data.importers import conversations_from_frame, import_conversations
from llmclf.data.mapping import ColumnMapping
from llmclf.data.problems import read_rejects
from llmclf.errors import ConfigError, DataError, MissingPieceError
from llmclf.types import Conversation, Event, Turn

MAPPING = ColumnMapping(
    conversation_id="chat",
    speaker="who",
    text="said",
    speakers={"customer": "user", "assistant": "bot", "agent": "human_agent"},
    order="n",
    time="at",
    metadata=("channel",),
)
ROWS = [
    {"chat": "c1", "n": 1, "who": "assistant", "said": "Hello", "at": "2026-05-01T09:00:05Z", "channel": "web"},
    {"chat": "c2", "n": 0, "who": "customer", "said": 'a "quoted"\nline, é', "at": None, "channel": "app"},
    {"chat": "c1", "n": 0, "who": "customer", "said": "Anyone?", "at": "2026-05-01T09:00:00Z", "channel": "web"},
]
EXPECTED = (
    Conversation(
        "c1",
        (
            Turn("user", "Anyone?", time=datetime(2026, 5, 1, 9, tzinfo=UTC)),
            Turn("bot", "Hello", time=datetime(2026, 5, 1, 9, 0, 5, tzinfo=UTC)),
        ),
        metadata={"channel": "web"},
    ),
    Conversation("c2", (Turn("user", 'a "quoted"\nline, é'),), metadata={"channel": "app"}),
)


def csv_file(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def database(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(rows[0])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"create table turns ({', '.join(names)})")
        places = ", ".join("?" * len(names))
        connection.executemany(f"insert into turns values ({places})", [list(row.values()) for row in rows])
    return path


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def test_every_table_gives_the_same_conversations(tmp_path: Path) -> None:
    """CSV, SQL, Parquet, pandas and Arrow: the same rows are the same conversations, in turn order."""
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    results = [
        import_conversations(csv_file(tmp_path / "t.csv", ROWS), "csv", mapping=MAPPING),
        import_conversations(
            database(tmp_path / "t.db", ROWS),
            "sql",
            mapping=MAPPING,
            query="select * from turns where n < :top",
            parameters={"top": 9},
        ),
        import_conversations(tmp_path / "t.parquet", "parquet", mapping=MAPPING),
        conversations_from_frame(pandas.DataFrame(ROWS), MAPPING),
        conversations_from_frame(arrow.Table.from_pylist(ROWS), MAPPING),
    ]
    for result in results:
        assert result.conversations == EXPECTED
        assert result.problems == ()


def test_csv_as_it_comes(tmp_path: Path) -> None:
    """A byte order mark, semicolons, gzip and cells over 128 kB are read; the csv module's limit is left alone."""
    long = "x" * 200_000
    rows = [{"conversation_id": "a", "speaker": "user", "text": long}]
    path = csv_file(tmp_path / "t.csv", rows, delimiter=";")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    limit = csv.field_size_limit()
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("t.csv", "t.csv.gz"):
        result = import_conversations(tmp_path / name, "csv", delimiter=";")
        assert result.conversations[0].turns == (Turn("user", long),)
    assert csv.field_size_limit() == limit
    with pytest.raises(DataError, match=r"the header is one column.*give delimiter=';'"):
        import_conversations(path, "csv")


@settings(max_examples=60)
@given(texts=st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), min_size=1, max_size=4))
def test_any_text_survives_csv(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Quotes, line breaks, commas, NUL and formulas in a cell come back as they were."""
    rows = [{"conversation_id": "a", "speaker": "user", "text": text} for text in texts]
    path = csv_file(tmp_path_factory.mktemp("data") / "t.csv", rows, quoting=csv.QUOTE_ALL)
    assert [turn.text for turn in import_conversations(path, "csv").conversations[0].turns] == texts


@settings(max_examples=100)
@given(data=st.binary(max_size=80) | st.text(st.sampled_from('a",;\n\r\t='), max_size=40).map(str.encode))
def test_any_bytes_as_csv_are_read_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No content of a CSV file leads to anything but conversations or an error of ours."""
    path = tmp_path_factory.mktemp("data") / "t.csv"
    path.write_bytes(b"conversation_id,speaker,text\na,user,x\n" + data)
    with contextlib.suppress(DataError):
        assert import_conversations(path, "csv").conversations


def test_bad_csv_rows_are_all_listed_and_put_aside_whole(tmp_path: Path) -> None:
    """A conversation with one bad row is put aside with every row of it, byte for byte; others are read."""
    raw = [
        b"chat,n,who,said,at,channel",
        b"good,0,customer,hi,,web",
        b"bad,0,customer,hi,,web",
        b'bad,1,robot,"two\nlines",,web',
        b"short,0,customer",
        b"when,0,customer,hi,yesterday,web",
        b"order,x,customer,hi,,web",
        b"twice,1,customer,hi,,web",
        b"twice,1,customer,again,,web",
        b"bytes,0,customer,caf\xe9,,web",
        b"mixed,0,customer,hi,,web",
        b"mixed,1,customer,hi,,app",
        b" ,0,customer,hi,,web",
    ]
    path = tmp_path / "t.csv"
    path.write_bytes(b"\n".join(raw) + b"\n")
    with pytest.raises(DataError) as caught:
        import_conversations(path, "csv", mapping=MAPPING)
    text = str(caught.value)
    for words in (
        "line 4: column 'who': unknown speaker, never guessed; map it in speakers of the column mapping (--map); "
        "got 'robot'",
        "line 6: 3 cells where the header has 6",
        "line 7: column 'at': no time in the format iso",
        "line 8: column 'n': should be a number; got 'x'",
        "line 10: column 'n': the same turn as 9",
        "line 11: column 'said': not UTF-8: save the file as UTF-8",
        "(conversations: 2 could be read, 6 not)",
        "line 14: chat: is empty",
        "speakers without a mapping: 'robot' (1)",
    ):
        assert words in text
    result = import_conversations(path, "csv", mapping=MAPPING, rejects=tmp_path / "rejects.jsonl")
    assert [conversation.id for conversation in result.conversations] == ["good", "mixed"]
    assert result.lost_conversations == 6
    assert result.conversations[1].metadata == {"channel": "web"}
    assert result.notes == ("metadata column 'channel' changes within conversations: 1; the first value is kept",)
    rejects = sorted(read_rejects(tmp_path / "rejects.jsonl"), key=lambda reject: reject.number)
    assert [reject.raw for reject in rejects] == [*raw[2:10], raw[12]]
    assert rejects[0].problems == ("line 3: line 4 of its conversation is bad",)


def test_a_quote_that_is_never_closed_is_one_bad_line(tmp_path: Path) -> None:
    """Everything after it is listed (and put aside) from the line where the quote opens."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'conversation_id,speaker,text\na,user,hi\nb,user,"open\nc,user,x\n')
    result = import_conversations(path, "csv", rejects=tmp_path / "rejects.jsonl")
    assert [conversation.id for conversation in result.conversations] == ["a"]
    reject = read_rejects(tmp_path / "rejects.jsonl")[0]
    assert (reject.number, reject.raw) == (3, b'b,user,"open\nc,user,x')


def test_a_mapping_that_does_not_fit_is_told_in_one_message(tmp_path: Path) -> None:
    """Missing columns, speakers and events that are none: all at once, with the nearest right ones."""
    path = csv_file(tmp_path / "t.csv", [{"chat_id": "a", "who": "x", "said": "y"}])
    wrong = ColumnMapping("chat", "who", "says", speakers={"x": "users"}, events={"y": "transfered"})  # type: ignore[dict-item]
    with pytest.raises(ConfigError) as caught:
        import_conversations(path, "csv", mapping=wrong)
    assert len(caught.value.problems) == 4
    assert "no column 'chat'; did you mean 'chat_id'?" in str(caught.value)
    assert "did you mean 'user'?" in str(caught.value)
    assert "did you mean 'transfer'?" in str(caught.value)


def test_columns_nobody_asked_for_are_left_out_and_named(tmp_path: Path) -> None:
    """Metadata is what the mapping names; the note says what was left out."""
    rows = [{"conversation_id": "a", "speaker": "user", "text": "x", "card": "4111", "lang": "en"}]
    path = csv_file(tmp_path / "t.csv", rows)
    result = import_conversations(path, "csv", mapping=ColumnMapping(metadata=("lang",)))
    assert result.conversations[0].metadata == {"lang": "en"}
    assert result.notes == ("columns left out (name them in metadata to keep them): 'card'",)


def test_rows_become_events(tmp_path: Path) -> None:
    """Tool calls, results and transfers in a table become events, with name and text."""
    rows = [
        {"conversation_id": "a", "speaker": "bot", "text": "One moment", "what": "", "name": ""},
        {"conversation_id": "a", "speaker": "tool", "text": '{"ok":1}', "what": "result", "name": "lookup"},
        {"conversation_id": "a", "speaker": "bot", "text": "", "what": "handover", "name": "billing"},
    ]
    mapping = ColumnMapping(
        event="what", events={"result": "tool_result", "handover": "transfer"}, event_name="name", event_text="text"
    )
    turns = import_conversations(csv_file(tmp_path / "t.csv", rows), "csv", mapping=mapping).conversations[0].turns
    assert turns == (
        Turn("bot", "One moment"),
        Turn("tool", events=(Event("tool_result", "lookup", '{"ok":1}'),)),
        Turn("bot", events=(Event("transfer", "billing"),)),
    )


def test_a_left_join_keeps_crashed_conversations(tmp_path: Path) -> None:
    """A row without any turn makes an empty conversation, so that `check` can name it."""
    path = database(tmp_path / "t.db", [{"conversation_id": "a", "speaker": None, "text": None, "started": 1.7e9}])
    mapping = ColumnMapping(started_at="started", time_format="unix")
    result = import_conversations(path, "sql", mapping=mapping, query="select * from turns")
    assert result.conversations == (Conversation("a", started_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),)


def test_turns_are_ordered_by_time_where_asked(tmp_path: Path) -> None:
    """With the time column as order, ties keep the order of the rows; zones can't be mixed."""
    rows = [
        {"conversation_id": "a", "speaker": "user", "text": str(number), "at": at}
        for number, at in enumerate(["2026-01-01T10:00:02Z", "2026-01-01T10:00:01Z", "2026-01-01T12:00:01+02:00"])
    ]
    mapping = ColumnMapping(order="at", time="at")
    found = import_conversations(csv_file(tmp_path / "t.csv", rows), "csv", mapping=mapping).conversations[0]
    assert [turn.text for turn in found.turns] == ["1", "2", "0"]
    rows[1]["at"] = "2026-01-01T10:00:01"
    with pytest.raises(DataError, match="times with and without a zone"):
        import_conversations(csv_file(tmp_path / "t.csv", rows), "csv", mapping=mapping)


def test_sql_can_only_read(tmp_path: Path) -> None:
    """Whatever the query tries, the file stays as it is, and no other file is opened."""
    path = database(tmp_path / "t.db", ROWS)
    before = path.read_bytes()
    other = database(tmp_path / "other.db", ROWS)
    for query in (
        "delete from turns",
        "drop table turns",
        f"attach '{other}' as other",
        "pragma user_version = 7",
        "create temp table x (y)",
        "select * from turns; delete from turns",
        "not sql",
        "select missing from turns",
        "select load_extension('x')",
    ):
        with pytest.raises((DataError, ConfigError)):
            import_conversations(path, "sql", mapping=MAPPING, query=query)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("t.db-*"))
    with pytest.raises(DataError, match="no such file"):
        import_conversations(tmp_path / "none.db", "sql", query="select 1")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(DataError, match="the query can't be run"):
        import_conversations(tmp_path / "text.db", "sql", query="select * from turns")


def test_sql_parameters_are_values_not_text(tmp_path: Path) -> None:
    """A hostile parameter stays a value."""
    path = database(tmp_path / "t.db", ROWS)
    with pytest.raises(DataError, match="the file holds nothing"):
        import_conversations(
            path, "sql", mapping=MAPPING, query="select * from turns where chat = ?", parameters=["c1' or '1'='1"]
        )


def test_sqlite_files_in_write_ahead_mode_are_read(tmp_path: Path) -> None:
    """A live database that another process writes to can be read."""
    path = database(tmp_path / "t.db", ROWS)
    with contextlib.closing(sqlite3.connect(path)) as live:
        live.execute("pragma journal_mode = wal")
        live.execute("update turns set said = 'new' where chat = 'c2'")
        live.commit()
        result = import_conversations(path, "sql", mapping=MAPPING, query="select * from turns")
    assert result.conversations[1].turns[0].text == "new"


def test_undecodable_text_in_sqlite_is_a_listed_problem(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in a text column are named by row and lost nowhere."""
    path = database(tmp_path / "t.db", [{"conversation_id": "a", "speaker": "user", "text": "x"}])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into turns values ('b', 'user', cast(x'e9' as text))")
    with pytest.raises(DataError, match="row 2: column 'text': not UTF-8"):
        import_conversations(path, "sql", query="select * from turns")


def test_frames_with_missing_values_and_numbers(tmp_path: Path) -> None:
    """NaN, NaT and NA are empty cells, whole-number ids stay whole, timestamps become times."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "conversation_id": [7.0, 8.0],
            "speaker": ["user", "bot"],
            "text": ["hi", None],
            "at": pandas.to_datetime(["2026-05-01T09:00:00Z", None]),
            "score": [0.5, float("nan")],
            "vip": pandas.array([True, None], dtype="boolean"),
        }
    )
    result = conversations_from_frame(frame, ColumnMapping(time="at", metadata=("score", "vip")))
    first, second = result.conversations
    assert (first.id, first.metadata) == ("7", {"score": 0.5, "vip": True})
    assert first.turns[0].time == datetime(2026, 5, 1, 9, tzinfo=UTC)
    assert type(first.turns[0].time) is datetime
    assert second == Conversation("8", (Turn("bot"),), metadata={"score": None, "vip": None})
    frame["conversation_id"] = [7.5, 2.0**60]
    with pytest.raises(DataError, match="has lost digits") as caught:
        conversations_from_frame(frame)
    assert len(caught.value.problems) == 2
    numbered = pandas.DataFrame([["a", "user", "hi"]])
    assert conversations_from_frame(numbered, ColumnMapping("0", "1", "2")).conversations[0].id == "a"
    with pytest.raises(ConfigError, match="not a DataFrame"):
        conversations_from_frame([1, 2])


def test_frames_with_nested_cells_are_refused(tmp_path: Path) -> None:
    """Lists, bytes and dates where text belongs are problems of their row, and go to the rejects."""
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table(
        {"conversation_id": ["a", "b", "c"], "speaker": ["user"] * 3, "text": [["x"], ["y"], None], "b": [b"x"] * 3}
    )
    result = conversations_from_frame(table, rejects=tmp_path / "rejects.jsonl")
    assert [conversation.id for conversation in result.conversations] == ["c"]
    rejects = read_rejects(tmp_path / "rejects.jsonl")
    assert [(reject.number, reject.place, reject.raw) for reject in rejects] == [(1, "row", None), (2, "row", None)]
    assert rejects[0].values == {"conversation_id": "a", "speaker": "user", "text": ["x"]}


def test_a_broken_parquet_file_is_a_data_error(tmp_path: Path) -> None:
    """What is no Parquet, and a file that is not there, are told in our words."""
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="no Parquet file"):
        import_conversations(tmp_path / "t.parquet", "parquet")
    with pytest.raises(DataError, match="there is no such file"):
        import_conversations(tmp_path / "none.parquet", "parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing optional package is named with the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPieceError, match=r"pip install 'llmclf\[tables\]'"):
        import_conversations(tmp_path / "t.parquet", "parquet")


def test_chat_messages_in_both_forms(tmp_path: Path) -> None:
    """A bare list and an object are read; ids come from the content and stay apart; other keys are noted."""
    chat = [
        {"role": "user", "content": "a person please"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "to_human", "arguments": "{}"}}]},
        {"role": "tool", "name": "to_human", "content": "queued"},
        {"role": "agent", "name": "Kim", "content": "Kim here"},
    ]
    path = lines(
        tmp_path / "m.jsonl",
        chat,
        {"messages": chat, "id": "mine", "metadata": {"lang": "en"}, "model": "m1", "tools": []},
        chat,
        [],
    )
    result = import_conversations(
        path, "messages", speakers={"agent": "human_agent"}, metadata=["model"], transfer_tools=["to_human"]
    )
    first, second, third, empty = result.conversations
    assert first.turns == second.turns == third.turns
    assert first.turns == (
        Turn("user", "a person please"),
        Turn("bot", events=(Event("tool_call", "to_human", "{}"), Event("transfer", "to_human", "{}"))),
        Turn("tool", events=(Event("tool_result", "to_human", "queued"),)),
        Turn("human_agent", "Kim here", speaker_id="Kim"),
    )
    assert (second.id, second.metadata) == ("mine", {"lang": "en", "model": "m1"})
    assert third.id == f"{first.id}-2"
    assert empty.turns == ()
    assert result.notes == ("keys left out (name them in metadata, --metadata KEY, to keep them): 'tools'",)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([{"role": "agent", "content": "x"}], "message 0: unknown role, never guessed"),
        ([{"content": "x"}], "message 0: unknown role"),
        ([{"role": ["user"], "content": "x"}], "message 0: unknown role"),
        (["hello"], "message 0 is no object"),
        ([{"role": "user", "content": 7}], "message 0: content must be text or a list of parts"),
        ([{"role": "user", "content": [{"type": "text"}]}], "message 0: content part can't be read"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], "message 0: content part can't be read"),
        ([{"role": "user", "content": [{"type": "video"}]}], "message 0: content part can't be read"),
        ([{"role": "assistant", "tool_calls": "x"}], "message 0: tool_calls must be a list"),
        ({"messages": "x"}, "neither a list of messages nor an object with messages"),
        ({"messages": [], "id": 7}, "id must be text"),
        ({"messages": [], "metadata": {"a": [1]}}, "metadata.'a' must be text"),
        ({"messages": [], "metadata": [1]}, "metadata must be an object"),
        ("x", "neither a list of messages"),
    ],
)
def test_bad_chat_lines_say_what_is_wrong(line: object, words: str, tmp_path: Path) -> None:
    """Every shape that can't be read is a listed problem of its line, never a crash."""
    path = lines(tmp_path / "m.jsonl", [{"role": "user", "content": "fine"}], line)
    with pytest.raises(DataError) as caught:
        import_conversations(path, "messages")
    assert f"line 2: {words}" in str(caught.value)
    result = import_conversations(path, "messages", rejects=tmp_path / "rejects.jsonl")
    assert len(result.conversations) == 1
    assert json.loads(read_rejects(tmp_path / "rejects.jsonl")[0].raw or b"") == line


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "name", "type", "text", "function"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(message=st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "name"]), json_values))
def test_any_message_is_read_or_refused(message: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever stands in a message, the answer is a conversation or a DataError."""
    path = lines(tmp_path_factory.mktemp("data") / "m.jsonl", [{"role": "user", **message}])
    with contextlib.suppress(DataError):
        assert len(import_conversations(path, "messages").conversations) == 1


def test_arguments_that_do_not_fit_the_format_are_all_told(tmp_path: Path) -> None:
    """A query without sql, a mapping for messages, an unknown format: before anything is read."""
    with pytest.raises(ConfigError, match=r"unknown format.*did you mean 'parquet'"):
        import_conversations("x", "parket")  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        import_conversations("x", "csv", query="select 1", speakers={"a": "user"})
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="sql needs a query"):
        import_conversations("x", "sql")
    with pytest.raises(ConfigError, match="no such speaker"):
        import_conversations(lines(tmp_path / "m.jsonl", []), "messages", speakers={"a": "robot"})  # type: ignore[dict-item]


def test_our_own_form_is_a_format_too(tmp_path: Path) -> None:
    """`jsonl` reads a conversations file as `read_conversations` does."""
    path = lines(tmp_path / "c.jsonl", {"id": "a"})
    assert import_conversations(path, "jsonl").conversations == (Conversation("a"),)


def test_other_formats_are_recognised_before_they_are_read_as_json(tmp_path: Path) -> None:
    """A table given as messages is named with the format to ask for; chats and broken JSON are not taken for one."""
    rows = [{"conversation_id": "a", "speaker": "user", "text": "x"}]
    for source, format in (
        (csv_file(tmp_path / "t.csv", rows, delimiter=";"), "csv"),
        (database(tmp_path / "t.db", rows), "sql"),
    ):
        with pytest.raises(DataError, match=f"looks like .*--format {format}"):
            import_conversations(source, "messages")
    for text in ("Customer: Hello, there\n", "{,\n", "\n"):
        (tmp_path / "chat").write_text(text)
        with pytest.raises(DataError, match=r"can't be used|holds nothing"):
            import_conversations(tmp_path / "chat", "messages")
