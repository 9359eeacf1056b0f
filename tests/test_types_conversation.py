"""Conversations: values that can't be changed, and the way from chat messages and back."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import pickle

import pytest
from hypothesis import given, strategies as st

from llmclf.errors import DataError
from llmclf.types import Attachment, Conversation, Event, Turn, content_hash

TEXT = st.text(max_size=30)
NAMES = st.text(alphabet="abc_", min_size=1, max_size=6)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": NAMES,
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": NAMES, "arguments": TEXT}),
        }
    ),
    min_size=1,
    max_size=3,
)
MESSAGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": TEXT}),
        st.fixed_dictionaries({"role": st.just("assistant"), "content": st.none(), "tool_calls": CALLS}),
        st.fixed_dictionaries({"role": st.just("tool"), "content": TEXT, "tool_call_id": NAMES}),
        st.fixed_dictionaries({"role": st.just("user"), "content": TEXT, "name": NAMES}),
        st.fixed_dictionaries({"role": st.just("assistant"), "content": TEXT, "name": st.just("human_agent")}),
    ),
    max_size=8,
)


@given(MESSAGES)
def test_messages_come_back_as_the_same_conversation(messages) -> None:
    """What from_messages made, to_messages writes, and from_messages reads again unchanged."""
    conversation = Conversation.from_messages(messages)
    again = Conversation.from_messages(conversation.to_messages())
    assert again == conversation
    assert again.content_hash == conversation.content_hash
    assert len(conversation.turns) == len(messages)


@given(
    st.lists(
        st.one_of(
            st.none(),
            TEXT,
            st.integers(),
            st.dictionaries(
                st.sampled_from(["role", "content", "tool_calls", "name", "type", "text", "function", "image_url"]),
                st.one_of(
                    st.sampled_from(["user", "assistant", "tool"]),
                    st.none(),
                    st.integers(),
                    st.lists(st.one_of(TEXT, st.dictionaries(st.sampled_from(["type", "text", "image_url"]), TEXT))),
                    st.dictionaries(TEXT, TEXT, max_size=2),
                ),
            ),
        ),
        max_size=4,
    )
)
def test_any_json_is_read_or_refused_as_data(messages) -> None:
    """Whatever stands where messages should, the result is a conversation or one DataError."""
    try:
        conversation = Conversation.from_messages(messages)
    except DataError as error:
        assert error.problems
    else:
        assert len(conversation.turns) == len(messages)


def test_tool_calls_and_results_become_events() -> None:
    """A call is an event of the turn that made it, a tool's message is a result with its text."""
    conversation = Conversation.from_messages(
        [
            {"role": "user", "content": "Where is my parcel?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"n": 1}'}}
                ],
            },
            {"role": "tool", "name": "track", "tool_call_id": "c1", "content": "in transit"},
            {"role": "function", "name": "track", "content": "late"},
        ]
    )
    assert conversation.turns[1] == Turn("bot", "", events=(Event("tool_call", "track", '{"n": 1}'),))
    assert conversation.turns[2] == Turn("tool", "", events=(Event("tool_result", "track", "in transit"),))
    assert conversation.turns[3].events == (Event("tool_result", "track", "late"),)


def test_written_tool_messages_answer_the_calls_before_them() -> None:
    """Every tool message carries the id of a call that was made: chat APIs refuse others."""
    turns = (
        Turn("bot", "", events=(Event("tool_call", "find"), Event("tool_call", "price"))),
        Turn("tool", "", events=(Event("tool_result", "price", "3 dollars"),)),
        Turn("tool", "", events=(Event("tool_result", "an id from elsewhere", "found"),)),
    )
    first, second, third = Conversation("c", turns).to_messages()
    ids = {call["function"]["name"]: call["id"] for call in first["tool_calls"]}
    assert second["tool_call_id"] == ids["price"]
    assert third["tool_call_id"] == ids["find"]


def test_content_parts_become_text_and_attachments() -> None:
    """Text parts are joined by a line break; pictures and sound are kept by their digest."""
    data = b"not really a picture"
    encoded = base64.b64encode(data).decode()
    conversation = Conversation.from_messages(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "text", "text": "here"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
                    {"type": "input_audio", "input_audio": {"format": "wav", "data": encoded}},
                ],
            }
        ]
    )
    digest = hashlib.sha256(data).hexdigest()
    assert conversation.turns[0].text == "look\nhere"
    assert conversation.turns[0].attachments == (
        Attachment("image", "image/png", digest),
        Attachment("audio", "audio/wav", digest),
    )


def test_every_bad_message_is_listed() -> None:
    """One error names all messages that can't be read, each by its number."""
    bad = [
        {"role": "user", "content": "fine"},
        {"role": "usr", "content": "x"},
        "just text",
        {"role": ["user"], "content": "x"},
        {"role": "user", "content": 3},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": [{"type": "image_url"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]},
        {"role": "user", "content": [{"type": "video"}]},
        {"role": "assistant", "tool_calls": "call it"},
        {"role": "assistant", "tool_calls": ["call it"]},
        {"role": "assistant", "tool_calls": [{"function": "call it"}]},
    ]
    with pytest.raises(DataError) as caught:
        Conversation.from_messages(bad, id="chat-7")
    assert [problem.split(":")[0] for problem in caught.value.problems] == [f"message {n}" for n in range(1, len(bad))]
    assert "chat-7" in str(caught.value)
    assert "did you mean 'user'?" in str(caught.value)


def test_an_error_never_carries_a_whole_message() -> None:
    """A message of a megabyte that can't be read makes a short line."""
    with pytest.raises(DataError) as caught:
        Conversation.from_messages([{"role": "user", "content": [{"type": "video", "data": "A" * 1_000_000}]}])
    assert len(str(caught.value)) < 500


def test_the_same_words_are_the_same_content_under_any_id() -> None:
    """content_hash is of the turns alone, and changes with each of them."""
    turns = (Turn("user", "Hi"), Turn("bot", "Hello"))
    one, other = Conversation("a", turns), Conversation("b", turns, metadata={"channel": "web"})
    assert one.content_hash == other.content_hash
    assert one.content_hash != Conversation("a", (*turns, Turn("user", "Bye"))).content_hash
    assert Conversation.from_messages(one.to_messages()).id == one.content_hash[:16]


def test_lone_surrogates_have_a_hash() -> None:
    """Half characters, as JavaScript leaves them, are kept and hashed."""
    assert (
        Conversation("a", (Turn("user", "\ud83d"),)).content_hash
        != Conversation("a", (Turn("user", "?"),)).content_hash
    )


def test_an_empty_conversation_says_so() -> None:
    """White space is nothing; an event is something."""
    assert Conversation("a").is_empty
    assert Conversation("a", (Turn("user", " \n"),)).is_empty
    assert not Conversation("a", (Turn("bot", "", events=(Event("hang_up"),)),)).is_empty


def test_conversations_can_be_hashed_pickled_and_not_changed() -> None:
    """A conversation is a value: usable as a key and in other processes, and no field can be set."""
    conversation = Conversation("a", (Turn("user", "Hi"),), metadata={"channel": "web"})
    assert pickle.loads(pickle.dumps(conversation)) == conversation
    assert hash(conversation) == hash(dataclasses.replace(conversation))
    for value, name in ((conversation, "id"), (conversation.turns[0], "text"), (Event("queue"), "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "other")


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.dictionaries(TEXT, inner)))
def test_hashes_do_not_depend_on_the_order_of_keys(value) -> None:
    """Equal values have equal hashes, in whatever order their keys were written."""
    backwards = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert content_hash(value) == content_hash(backwards)
