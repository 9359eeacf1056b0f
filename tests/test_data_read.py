"""Reading and writing conversations and labels."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.data.problems import read_rejects
from llmclf.data.read import iter_conversations, load_dataset_files, read_conversations, read_examples
from llmclf.data.write import write_conversations, write_examples
from llmclf.errors import DataError
from llmclf.types import Attachment, Conversation, Design, Event, Example, Turn

GOOD = b'{"id":"a","turns":[{"speaker":"user","text":"hi"},{"speaker":"bot","text":"hello"}]}'

# Text as it really comes: every plane, line breaks of all kinds, half characters (lone surrogates).
any_text = st.text(st.characters(exclude_categories=()), max_size=30).filter(
    lambda text: (
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").count("\ufffd")
        == sum("\ud800" <= character <= "\udfff" or character == "\ufffd" for character in text)
    )
)
ids = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(str.strip)
times = st.none() | st.datetimes(
    timezones=st.none() | st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
events = st.builds(
    Event, st.sampled_from(["tool_call", "tool_result", "transfer", "queue", "hang_up"]), any_text, any_text
)
attachments = st.builds(Attachment.from_bytes, st.just("audio"), st.just("audio/wav"), st.binary(max_size=5))
turns = st.builds(
    Turn,
    speaker=st.sampled_from(["user", "bot", "human_agent", "system", "tool"]),
    text=any_text,
    speaker_id=st.none() | any_text,
    time=times,
    attachments=st.lists(attachments, max_size=2).map(tuple),
    events=st.lists(events, max_size=2).map(tuple),
)
metadata = st.dictionaries(
    any_text, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text
)
conversations = st.builds(
    Conversation, id=ids, turns=st.lists(turns, max_size=4).map(tuple), started_at=times, metadata=metadata
)
examples = st.builds(
    Example,
    conversation_id=ids,
    turn=st.none() | st.integers(0, 99),
    labels=st.dictionaries(any_text, any_text, max_size=3),
    stratum=any_text,
    inclusion_probability=st.none() | st.floats(0, 1),
    source=st.sampled_from(["gold", "silver", "synthetic", "feedback"]),
    failure_modes=st.lists(any_text, max_size=2).map(tuple),
    evidence_turns=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    group=any_text,
    pair=any_text,
    note=any_text,
)


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@settings(max_examples=50, deadline=None)
@given(values=st.lists(conversations, min_size=1, max_size=3, unique_by=lambda one: one.id))
@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_conversations_come_back_exactly(
    name: str, values: list[Conversation], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever can be written is read back equal: all of Unicode, half characters, zones, numbers, gzip."""
    path = tmp_path_factory.mktemp("data") / name
    assert write_conversations(path, values) == len(values)
    assert list(read_conversations(path).conversations) == values


@settings(max_examples=50, deadline=None)
@given(values=st.lists(examples, min_size=1, max_size=3, unique_by=lambda one: one.item))
def test_examples_come_back_exactly(values: list[Example], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A labels file is read back equal to what was written."""
    path = tmp_path_factory.mktemp("data") / "labels.jsonl"
    write_examples(path, values)
    assert list(read_examples(path).examples) == values


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=60) | st.lists(st.sampled_from([GOOD, b"{", b"", b"\xff", b"[1]"])).map(b"\n".join))
def test_any_bytes_are_read_or_refused_in_our_words(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No content of a file leads to anything but conversations or a DataError."""
    path = tmp_path_factory.mktemp("data") / "c.jsonl"
    path.write_bytes(data)
    try:
        assert read_conversations(path).conversations
    except DataError:
        pass


@settings(max_examples=60, deadline=None)
@given(bad=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line and line.strip()), max_size=5))
def test_rejects_hold_every_bad_line_byte_for_byte(bad: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Good lines are returned, bad ones stand in the rejects file as they were: nothing is lost."""
    folder = tmp_path_factory.mktemp("data")
    path = write(folder / "c.jsonl", GOOD, *bad)
    result = read_conversations(path, rejects=folder / "rejects.jsonl")
    assert [conversation.id for conversation in result.conversations] == ["a"]
    assert [reject.raw for reject in read_rejects(folder / "rejects.jsonl")] == bad
    assert [reject.number for reject in read_rejects(folder / "rejects.jsonl")] == list(range(2, 2 + len(bad)))
    assert result.rejected == len(bad)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"turns":[]}', "id is missing"),
        (b'{"id":1}', "id should be a valid string; got 1"),
        (b'{"id":" "}', "id is blank"),
        (b'{"id":"a\\u0007"}', "id holds control characters"),
        (b'{"id":"a","turn":[]}', "unknown key turn; did you mean 'turns'?"),
        (b'{"id":"a","turns":[{"speaker":"user","txt":"x"}]}', "unknown key turns[0].txt; did you mean 'text'?"),
        (b'{"id":"a","turns":[{"speaker":"user","text":null}]}', "turns[0].text should be a valid string, not null"),
        (b'{"id":"a","id":"b"}', "key 'id' stands twice"),
        (b'{"id":"a","metadata":{"x":[1]}}', "metadata.x must be text, a number, true, false or null; got [1]"),
        (b'{"id":"a","metadata":{"x":NaN}}', "NaN is no JSON number"),
        (b'{"id":"a","metadata":{"x":1e999}}', "'x' is not a finite number"),
        (b'{"id":"a","started_at":"2026"}', "started_at should be ISO 8601"),
        (b'{"id":"a","started_at":1700000000}', "started_at should be a valid datetime"),
        (b'[{"id":"a"}]', "a list, not an object"),
        (b'{"id":"a"', "not JSON"),
        (b'{"id":"caf\xe9"}', "not UTF-8 at byte 10"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"id":"a","metadata":{"x":' + b"9" * 5000 + b"}}", "a number with too many digits"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: bytes, words: str, tmp_path: Path) -> None:
    """Each kind of mistake is named with its place in the line and what was got."""
    with pytest.raises(DataError) as caught:
        read_conversations(write(tmp_path / "c.jsonl", GOOD.replace(b'"a"', b'"first"'), line))
    assert words in str(caught.value)
    assert "line 2" in str(caught.value)


def test_all_bad_lines_are_listed_at_once(tmp_path: Path) -> None:
    """Twenty kinds of problems are shown, the rest are counted, and the message says how to go on."""
    path = write(tmp_path / "c.jsonl", GOOD, *[b'{"id": "b", "%s": 1, "turns": []}' % (b"x" * n) for n in range(1, 31)])
    with pytest.raises(DataError, match="lines that can't be used: 30") as caught:
        read_conversations(path)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "and 10 more"
    assert "rejects file" in str(caught.value)


def test_problems_that_are_alike_do_not_bury_the_others(tmp_path: Path) -> None:
    """The same mistake on many lines is one line with a count and the first of them; others stand beside it."""
    agent = b'{"id": "b%d", "turns": [{"speaker": "agent", "text": "x"}]}'
    path = write(tmp_path / "c.jsonl", GOOD, *[agent % number for number in range(40)], b"{")
    with pytest.raises(DataError) as caught:
        read_conversations(path)
    speakers, json_problem, unmapped = caught.value.problems
    assert "unknown speaker" in speakers and speakers.endswith("got 'agent': 40 lines, first line 2")
    assert json_problem.startswith("line 42: not JSON")
    assert unmapped == "speakers without a mapping: 'agent' (40)"
    path = write(tmp_path / "d.jsonl", GOOD, *[agent.replace(b"agent", b"a%d" % n) % n for n in range(40)])
    with pytest.raises(DataError) as caught:
        read_conversations(path)
    assert caught.value.problems[0].endswith("got 'a0' (and the like): 40 lines, first line 2")


def test_messages_hold_at_most_60_characters_of_content(tmp_path: Path) -> None:
    """A bad line's private text stays out of the error."""
    secret = "my card is 4111 " * 20
    line = json.dumps({"id": "a", "turns": [{"speaker": "user", "text": ["x", secret]}, {secret: 1}]}).encode()
    with pytest.raises(DataError) as caught:
        read_conversations(write(tmp_path / "c.jsonl", line))
    assert all(problem.count("4111") <= 4 for problem in caught.value.problems)
    assert max(map(len, caught.value.problems)) < 250


def test_unmapped_speakers_are_listed_and_counted(tmp_path: Path) -> None:
    """A speaker that is not known is never guessed: all of them are counted, also beyond the fifth of a line."""
    line = json.dumps({"id": "b", "turns": [{"speaker": "agent", "text": "x"}] * 8}).encode()
    path = write(tmp_path / "c.jsonl", GOOD, line)
    with pytest.raises(DataError, match="speakers without a mapping: 'agent' \\(8\\)"):
        read_conversations(path)
    result = read_conversations(path, rejects=tmp_path / "rejects.jsonl")
    assert result.unmapped_speakers == {"agent": 8}
    assert "and 3 more" in result.problems[-1].what


def test_a_second_line_with_the_same_id_is_a_bad_line(tmp_path: Path) -> None:
    """The first stays, the second is listed with the line of the first."""
    with pytest.raises(DataError, match="line 3: the same id as line 1; got 'a'"):
        read_conversations(write(tmp_path / "c.jsonl", GOOD, b"", GOOD))
    label = b'{"conversation_id":"a","turn":1,"labels":{"t":"x"}}'
    with pytest.raises(DataError, match=r"line 2: the same id as line 1; got 'a\[1\]'"):
        read_examples(write(tmp_path / "l.jsonl", label, label))


def test_marks_blank_lines_and_line_ends_are_tolerated(tmp_path: Path) -> None:
    """A byte order mark, blank lines, CRLF and a missing last line feed change nothing."""
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + GOOD + b"\r\n\r\n  \n" + GOOD.replace(b'"a"', b'"b"'))
    assert [conversation.id for conversation in read_conversations(path).conversations] == ["a", "b"]


def test_line_breaks_of_unicode_inside_text_do_not_end_a_line(tmp_path: Path) -> None:
    """U+2028, U+0085 and a form feed stand raw inside JSON text without breaking the line."""
    text = "one\u2028two\u0085three"
    path = write(tmp_path / "c.jsonl", GOOD.replace(b"hello", text.encode()))
    assert read_conversations(path).conversations[0].turns[1].text == text


def test_a_half_character_is_read_for_check_to_find(tmp_path: Path) -> None:
    """A lone surrogate in a text is kept; in an id it is refused."""
    path = write(tmp_path / "c.jsonl", GOOD.replace(b"hello", rb"cut \ud83d"))
    assert read_conversations(path).conversations[0].turns[1].text == "cut \ud83d"
    with pytest.raises(DataError, match="half characters"):
        read_conversations(write(tmp_path / "d.jsonl", rb'{"id":"\ud83d"}'))
    with pytest.raises(DataError, match=r"turns\[0\].speaker"):
        read_conversations(write(tmp_path / "e.jsonl", rb'{"id":"x","turns":[{"speaker":"\ud83d"}]}'))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_a_file_that_holds_nothing_is_an_error(content: bytes, tmp_path: Path) -> None:
    """Empty files are not empty datasets."""
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="the file holds nothing"):
        read_conversations(path)


def test_a_file_of_which_nothing_can_be_read_is_an_error_even_with_rejects(tmp_path: Path) -> None:
    """With every line put aside there is nothing to go on with: the format is wrong."""
    path = write(tmp_path / "c.jsonl", b"a,b", b"1,2")
    with pytest.raises(DataError, match="is this the right format"):
        read_conversations(path, rejects=tmp_path / "rejects.jsonl")


def test_files_that_cannot_be_opened_are_data_errors(tmp_path: Path) -> None:
    """Missing, a folder, UTF-16, a gzip file cut short: each is told in our words, with its path."""
    with pytest.raises(DataError, match=r"nothing\.jsonl: there is no such file"):
        read_conversations(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match="this is a folder"):
        read_conversations(tmp_path)
    (tmp_path / "wide.jsonl").write_bytes(GOOD.decode().encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16; save it as UTF-8"):
        read_conversations(tmp_path / "wide.jsonl")
    packed = gzip.compress(b"\n".join(GOOD.replace(b'"a"', b'"%d"' % n) for n in range(1000)))
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="broken or cut short"):
        read_conversations(tmp_path / "cut.jsonl.gz", rejects=tmp_path / "rejects.jsonl")
    (tmp_path / "torn.jsonl.gz").write_bytes(packed[:20] + b"garbage" + packed[27:])
    with pytest.raises(DataError, match="broken or cut short"):
        read_conversations(tmp_path / "torn.jsonl.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.jsonl.gz", "torn.jsonl.gz", "wide.jsonl"]


def test_a_rejects_file_never_replaces_data(tmp_path: Path) -> None:
    """Neither the file that is read nor any other that is no rejects file is overwritten; an old one is."""
    path = write(tmp_path / "c.jsonl", GOOD, b"{")
    with pytest.raises(DataError, match="is the file that is read"):
        read_conversations(path, rejects=path)
    other = write(tmp_path / "other.jsonl", GOOD)
    with pytest.raises(DataError, match="something other than rejects"):
        read_conversations(path, rejects=other)
    assert other.read_bytes() == GOOD + b"\n"
    rejects = tmp_path / "rejects.jsonl"
    for _ in range(2):
        read_conversations(path, rejects=rejects)
    assert len(read_rejects(rejects)) == 1
    read_conversations(other, rejects=rejects)
    assert read_rejects(rejects) == []


def test_conversations_come_one_by_one(tmp_path: Path) -> None:
    """The iterator yields good lines before it tells of the bad ones, and leaves no rejects when abandoned."""
    path = write(tmp_path / "c.jsonl", GOOD, b"{", GOOD.replace(b'"a"', b'"b"'))
    found = []
    with pytest.raises(DataError, match="line 2"):
        found.extend(conversation.id for conversation in iter_conversations(path))
    stream = iter_conversations(path, rejects=tmp_path / "rejects.jsonl")
    assert next(stream).id == "a"
    stream.close()
    assert [file.name for file in tmp_path.iterdir()] == ["c.jsonl"]
    assert len(list(iter_conversations(path, rejects=tmp_path / "rejects.jsonl"))) == 2


def test_writing_refuses_what_would_not_come_back(tmp_path: Path) -> None:
    """Doubled ids, NaN, unknown speakers and blank ids are listed together, and no file is left."""
    path = tmp_path / "c.jsonl"
    broken = [
        Conversation("a"),
        Conversation("a"),
        Conversation("b", metadata={"x": float("nan")}),
        Conversation("c", (Turn("robot", "x"),)),  # type: ignore[arg-type]
        Conversation(""),
        Conversation("d", (Turn("user", "\ud83d\ude00"),)),
        Conversation("e", metadata={"x": {1, 2}}),  # type: ignore[dict-item]
        Conversation("f", started_at=datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=61)))),
    ]
    with pytest.raises(DataError) as caught:
        write_conversations(path, broken)
    problems = "\n".join(caught.value.problems)
    for words in ("'a': its id stands twice", "'b': can't be written", "'c': turns[0].speaker", "'': id is blank"):
        assert words in problems
    assert len(caught.value.problems) == 7
    assert list(tmp_path.iterdir()) == []


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """An old file survives a failed write; a full disk and a missing folder are told in our words."""
    path = tmp_path / "c.jsonl"
    write_conversations(path, [Conversation("old")])

    def broken() -> object:
        yield Conversation("new")
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError):
        write_conversations(path, broken())  # type: ignore[arg-type]
    assert [one.id for one in read_conversations(path).conversations] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["c.jsonl"]
    with pytest.raises(DataError, match="no such folder"):
        write_conversations(tmp_path / "nowhere" / "c.jsonl", [Conversation("x")])
    if Path("/dev/full").exists():
        with pytest.raises(DataError, match="can't be written"):
            write_conversations("/dev/full", [Conversation(str(n)) for n in range(1000)])


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """Writing to a symbolic link changes the file it points to and leaves the link."""
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(target)
    write_conversations(link, [Conversation("a")])
    assert link.is_symlink()
    assert target.exists()


def test_a_private_file_stays_private(tmp_path: Path) -> None:
    """Who may read a file does not change when it is written again."""
    path = tmp_path / "c.jsonl"
    write_conversations(path, [Conversation("a")])
    path.chmod(0o600)
    write_conversations(path, [Conversation("b")])
    assert path.stat().st_mode & 0o777 == 0o600


def test_gzip_output_is_the_same_every_time(tmp_path: Path) -> None:
    """Neither the clock nor the name gets into a compressed file."""
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_conversations(tmp_path / name, [Conversation("x", started_at=datetime(2026, 1, 1, tzinfo=UTC))])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_a_dataset_is_loaded_from_its_files(tmp_path: Path) -> None:
    """Conversations, labels and design make a dataset; examples about nothing are listed."""
    conversations = write(tmp_path / "c.jsonl", GOOD)
    labels = write(tmp_path / "l.jsonl", b'{"conversation_id":"a","labels":{"t":"yes"},"evidence_turns":[1]}')
    dataset = load_dataset_files("mine", conversations, labels, Design("random"))
    assert (len(dataset), dataset.design.kind, dataset.labels("t")) == (1, "random", ["yes"])
    assert len(load_dataset_files("mine", conversations)) == 0
    bad = write(
        tmp_path / "bad.jsonl",
        b'{"conversation_id":"zz"}',
        b'{"conversation_id":"a","turn":2}',
        b'{"conversation_id":"a","evidence_turns":[-1]}',
    )
    with pytest.raises(DataError, match=r"examples about something that is not in .*: 3") as caught:
        load_dataset_files("mine", conversations, bad)
    assert "no conversation 'zz'" in caught.value.problems[0]
    assert "conversation 'a' has 2 turns (from 0), none numbered [2]" in caught.value.problems[1]
