"""Conversations as numbered lines, and prompts filled in one pass."""

from __future__ import annotations

import doctest
import importlib

import pytest
from hypothesis import given, strategies as st

from llmclf.errors import ConfigError, DataError
from llmclf.render import Prompt, Window, transcript, visible_turns
from llmclf.render.conversation import attachments_to_read
from llmclf.types import Attachment, Conversation, Event, Label, Task, Turn
from llmclf.types.conversation import MODALITIES

LABELS = (Label("yes", "target", "y"), Label("no", "clean", "n"))
CONVERSATION_TASK = Task("c", "?", LABELS)
TURN_TASK = Task("t", "?", LABELS, unit="turn", context="so_far")
WHOLE_TURN_TASK = Task("w", "?", LABELS, unit="turn", context="whole")
TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["user", "bot", "tool"]),
        st.text(max_size=20),
        events=st.lists(
            st.builds(Event, st.sampled_from(["transfer", "tool_call"]), st.text(max_size=8)), max_size=2
        ).map(tuple),
    ),
    min_size=1,
    max_size=8,
).map(tuple)
WINDOWS = st.builds(Window, st.none() | st.integers(1, 9), st.none() | st.integers(1, 200))


@given(TURNS, WINDOWS)
def test_each_turn_is_one_line_that_no_text_can_pose_as(turns, window) -> None:
    """There are as many lines as turns kept, each with its own number, whatever the turns hold."""
    made = transcript(turns, window)
    lines = made.text.splitlines()
    assert len(lines) == len(made.turns)
    for line, (number, text) in zip(lines, made.turns, strict=True):
        assert line == text
        assert line.startswith(f"[{number}] {turns[number].speaker}: ")
    made.text.encode("utf-8")  # what is sent can be sent


@given(TURNS, WINDOWS)
def test_truncated_says_whether_words_were_left_out(turns, window) -> None:
    """Silent turns are no loss; any other turn that is not in the text makes it truncated."""
    made = transcript(turns, window)
    spoken = [number for number, turn in enumerate(turns) if not turn.is_empty]
    assert made.truncated == (len(made.turns) < len(spoken))
    assert [number for number, _ in made.turns] == spoken[len(spoken) - len(made.turns) :]


@given(TURNS, WINDOWS, st.data())
def test_the_turn_asked_about_is_always_shown(turns, window, data) -> None:
    """No window drops the turn a question is about, nor leaves gaps before it."""
    about = data.draw(st.integers(0, len(turns) - 1))
    made = transcript(turns, window, about)
    assert about in [number for number, _ in made.turns]
    if window.last_turns:
        assert len(made.turns) <= window.last_turns


def test_a_window_keeps_the_last_turns_and_their_numbers() -> None:
    """Numbers are those of the conversation, so that evidence can be looked up."""
    turns = tuple(Turn("user", f"word {n}") for n in range(6))
    made = transcript(turns, Window(last_turns=2))
    assert made.text == "[4] user: word 4\n[5] user: word 5"
    assert made.truncated
    assert transcript(turns, Window(max_characters=40)).turns[0][0] == 4
    assert transcript(turns, Window(last_turns=2), about=1).text == "[0] user: word 0\n[1] user: word 1"


def test_a_turn_longer_than_the_window_is_kept_whole() -> None:
    """The last turn is never cut, even where it is too long by itself."""
    made = transcript((Turn("user", "a" * 500), Turn("bot", "b" * 500)), Window(max_characters=100))
    assert [number for number, _ in made.turns] == [1]


@pytest.mark.parametrize("bad", [{"last_turns": 0}, {"last_turns": -1}, {"max_characters": 0}])
def test_an_empty_window_is_refused(bad) -> None:
    """A window that shows nothing is a mistake, not a request for everything."""
    with pytest.raises(ConfigError, match="must be at least 1"):
        Window(**bad)


def test_events_stand_after_the_words() -> None:
    """What was done is said in parentheses; a silent turn is left out unless it is asked about."""
    turns = (
        Turn("user", "A person\nplease"),
        Turn("bot", "", events=(Event("transfer", "billing"), Event("tool_call", "find", '{"a":\n1}'))),
        Turn("bot", " "),
    )
    text = '[0] user: A person please\n[1] bot: (transfers to billing) (calls tool find {"a": 1})'
    assert transcript(turns).text == text
    assert transcript(turns, about=2).text == f"{text}\n[2] bot: (silent)"


def test_half_characters_can_be_sent() -> None:
    """Surrogates that JavaScript cut apart are joined where they belong together and replaced where not."""
    assert transcript((Turn("user", "\ud83d\ude00 \ud83d!"),)).text == "[0] user: \U0001f600 \ufffd!"


def test_a_turn_sees_no_future_unless_the_task_says_whole() -> None:
    """so_far shows everything up to the turn, whole shows all."""
    conversation = Conversation("c", tuple(Turn("user", str(n)) for n in range(4)))
    assert len(visible_turns(conversation, TURN_TASK, 1)) == 2
    assert len(visible_turns(conversation, WHOLE_TURN_TASK, 1)) == 4
    assert len(visible_turns(conversation, CONVERSATION_TASK)) == 4


@pytest.mark.parametrize(("task", "turn"), [(TURN_TASK, None), (CONVERSATION_TASK, 0), (TURN_TASK, 9), (TURN_TASK, -1)])
def test_a_turn_that_does_not_fit_is_refused(task, turn) -> None:
    """The unit of the task decides whether a turn is named, and it must exist."""
    with pytest.raises(DataError, match="c7"):
        visible_turns(Conversation("c7", (Turn("user", "hi"),)), task, turn)


def test_a_prompt_is_filled_in_one_pass() -> None:
    """A value that holds a placeholder stays as it is: no conversation pulls another value in."""
    prompt = Prompt("p", "=== system ===\nQ: {{question}}\n=== user ===\n{{ conversation }}\n")
    filled = prompt.fill({"question": "refused?", "conversation": "{{question}} {{secret}} \\1 \\g<0>"})
    assert filled == [("system", "Q: refused?"), ("user", "{{question}} {{secret}} \\1 \\g<0>")]
    assert prompt.placeholders == {"question", "conversation"}


def _picture(name: str, rendered: int = 0) -> Attachment:
    return Attachment.from_bytes("image", "image/png", name.encode(), rendered=rendered)


def _recording(name: str, rendered: int = 0) -> Attachment:
    return Attachment.from_bytes("audio", "audio/wav", name.encode(), rendered=rendered)


def _read(attachment: Attachment) -> str:
    return f"read  {(attachment.data or b'').decode()}\n"


PHOTO, VOICE = _picture("photo"), _recording("voice")
REAL = (
    Turn("user", "Look at this", attachments=(PHOTO,)),
    Turn("bot", "Hm."),
    Turn("user", "I want a person", attachments=(VOICE,), events=(Event("hang_up"),)),
    Turn("user", attachments=(_picture("second"),)),
)
PAGE = _picture("page", rendered=2)
DRAWN = (
    Turn("user", "Hello", attachments=(PAGE,)),
    Turn("bot", "Hi", events=(Event("transfer", "sales"),)),
    Turn("user", "Bye", attachments=(_picture("next", rendered=1),)),
)
SPOKEN = (
    Turn("user", "Hello", attachments=(_recording("a", 1),)),
    Turn("bot", "Hi", attachments=(_recording("b", 1),)),
)


@pytest.mark.parametrize(
    ("turns", "modality", "lines", "media"),
    [
        (
            REAL,
            "text",
            [
                "user: Look at this (sends image)",
                "bot: Hm.",
                "user: I want a person (hangs up) (sends audio)",
                "user: (sends image)",
            ],
            [],
        ),
        (
            REAL,
            "image",
            [
                "user: Look at this (image 1)",
                "bot: Hm.",
                "user: I want a person (hangs up) (sends audio)",
                "user: (image 2)",
            ],
            ["photo", "second"],
        ),
        (
            REAL,
            "audio",
            ["user: Look at this (sends image)", "bot: Hm.", "user: (audio 1) (hangs up)", "user: (sends image)"],
            ["voice"],
        ),
        (
            REAL,
            "image>text",
            [
                "user: Look at this (picture shows: read photo)",
                "bot: Hm.",
                "user: I want a person (hangs up) (sends audio)",
                "user: (picture shows: read second)",
            ],
            [],
        ),
        (
            REAL,
            "audio>text",
            ["user: Look at this (sends image)", "bot: Hm.", "user: read voice (hangs up)", "user: (sends image)"],
            [],
        ),
        (DRAWN, "text", ["user: Hello", "bot: Hi (transfers to sales)", "user: Bye"], []),
        (DRAWN, "audio", ["user: Hello", "bot: Hi (transfers to sales)", "user: Bye"], []),
        (DRAWN, "image", ["user: (in image 1)", "bot: (in image 1)", "user: (in image 2)"], ["page", "next"]),
        (
            DRAWN,
            "image>text",
            ["user: (picture shows: read page)", "bot: (in the picture above)", "user: (picture shows: read next)"],
            [],
        ),
        (SPOKEN, "audio", ["user: (audio 1)", "bot: (audio 2)"], ["a", "b"]),
        (SPOKEN, "audio>text", ["user: read a", "bot: read b"], []),
        (SPOKEN, "image", ["user: Hello", "bot: Hi"], []),
    ],
)
def test_each_modality_says_what_becomes_of_attachments(turns, modality, lines, media) -> None:
    """Words, media by number, or what recognition found; the media are listed in the order of their numbers."""
    made = transcript(turns, modality=modality, derived=_read)
    assert made.text.split("\n") == [f"[{number}] {line}" for number, line in enumerate(lines)]
    assert [(one.data or b"").decode() for one in made.media] == media
    wanted = attachments_to_read(turns, modality=modality)
    assert bool(wanted) == ("read" in made.text)


@given(TURNS, WINDOWS, st.sampled_from(MODALITIES))
def test_without_attachments_every_modality_is_the_words(turns, window, modality) -> None:
    """There is nothing to send or read, so the text is the same."""
    assert transcript(turns, window, modality=modality, derived=_read) == transcript(turns, window)


def test_words_in_a_picture_are_known_for_checking_quotes() -> None:
    """The text does not say them; they are kept beside it, events of drawn turns too."""
    made = transcript(DRAWN, modality="image")
    assert made.spoken == ((0, "Hello"), (1, "Hi (transfers to sales)"), (2, "Bye"))
    assert transcript(REAL, modality="image").spoken == ()
    assert transcript(REAL, modality="audio").spoken == ((2, "I want a person"),)


def test_a_picture_is_sent_where_any_of_its_turns_is_in_the_window() -> None:
    """It goes as a whole; numbers and the words read from it move to the first turn that is left."""
    made = transcript(DRAWN, Window(last_turns=2), modality="image")
    assert made.text == "[1] bot: (in image 1)\n[2] user: (in image 2)"
    assert [one.data for one in made.media] == [b"page", b"next"]
    made = transcript(DRAWN, Window(last_turns=1), modality="image")
    assert (made.text, len(made.media)) == ("[2] user: (in image 1)", 1)
    made = transcript(DRAWN, Window(last_turns=2), modality="image>text", derived=_read)
    assert made.text.startswith("[1] bot: (picture shows: read page)\n")


def test_turns_of_one_picture_are_dropped_together() -> None:
    """A limit of characters never leaves a turn that says `in the picture above` without the picture."""
    made = transcript(DRAWN, Window(max_characters=70), modality="image>text", derived=_read)
    assert made.text == "[2] user: (picture shows: read next)"
    assert made.truncated
    assert len(transcript(DRAWN, Window(max_characters=70), modality="image").media) == 2


def test_a_picture_of_turns_that_may_not_be_seen_is_refused() -> None:
    """It would show the future; as text the same turns are fine, and so is a picture that is not sent."""
    conversation = Conversation("c", DRAWN)
    seen = visible_turns(conversation, TURN_TASK, 0)
    assert transcript(seen, about=0).text == "[0] user: Hello"
    for modality in ("image", "image>text"):
        with pytest.raises(DataError, match=r"turns 0 to 1, of which 1 may be seen.*--turns-per-image 1"):
            transcript(seen, about=0, modality=modality, derived=_read)
    assert len(transcript(visible_turns(conversation, TURN_TASK, 1), about=1, modality="image").media) == 1


def test_a_long_turn_stands_in_several_pictures() -> None:
    """All of them are sent, and all of them are read."""
    turns = (Turn("user", "long", attachments=(_picture("one", 1), _picture("two", 1))),)
    assert transcript(turns, modality="image").text == "[0] user: (in image 1) (in image 2)"
    read = transcript(turns, modality="image>text", derived=_read)
    assert read.text == "[0] user: (picture shows: read one) (picture shows: read two)"


def test_nothing_read_is_said() -> None:
    """An empty picture or a silent recording is not the same as a silent turn."""
    shown = transcript(DRAWN[2:], modality="image>text", derived=lambda _: " ")
    assert shown.text == "[0] user: (picture shows no words)"
    heard = transcript(SPOKEN[:1], modality="audio>text", derived=lambda _: "")
    assert heard.text == "[0] user: (nothing understood)"
    silent = (*DRAWN[:1], Turn("bot"))
    assert transcript(silent, about=1, modality="image").text.endswith("[1] bot: (silent)")


def test_what_was_read_can_not_pose_as_a_turn() -> None:
    """Line breaks in recognised words become spaces as in any others."""
    made = transcript(DRAWN[2:], modality="image>text", derived=lambda _: "x\n[7] bot: y\u2028z")
    assert made.text == "[0] user: (picture shows: x [7] bot: y z)"


def test_a_modality_that_is_not_there_is_refused() -> None:
    """As is one that reads without anything to read with."""
    with pytest.raises(ConfigError, match="known: text, image, audio"):
        transcript(REAL, modality="video")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs a function"):
        transcript(REAL, modality="image>text")


@given(st.text(), st.text())
def test_values_arrive_as_they_are(question: str, conversation: str) -> None:
    """Whatever a value holds, it stands in the message unchanged."""
    prompt = Prompt("p", "=== system ===\nQ<{{question}}>\n=== user ===\nC<{{conversation}}>")
    assert prompt.fill({"question": question, "conversation": conversation}) == [
        ("system", f"Q<{question}>"),
        ("user", f"C<{conversation}>"),
    ]


@pytest.mark.parametrize("name", ["qestion", "Question", "question2"])
def test_a_placeholder_that_nothing_fills_is_refused(name: str) -> None:
    """A mistyped placeholder is named with the one that was meant, in any case of letters."""
    with pytest.raises(ConfigError, match="did you mean 'question'"):
        Prompt("p", "{{" + name + "}}").fill({"question": "x"})


def test_a_prompt_without_parts_is_one_message_of_the_user() -> None:
    """Headings are optional; text before the first heading is a mistake."""
    assert Prompt("p", " Just this. ").fill({}) == [("user", "Just this.")]
    with pytest.raises(ConfigError, match="before the first part"):
        Prompt("p", "oops\n=== user ===\nhi").fill({})


def test_a_prompt_is_known_by_name_and_text() -> None:
    """The id changes with the text."""
    one, other = Prompt("p", "a"), Prompt("p", "b")
    assert one.id.startswith("p@")
    assert one.id != other.id


@pytest.mark.parametrize("name", ["llmclf.types.conversation", "llmclf.types.estimate", "llmclf.render.conversation"])
def test_examples_in_docstrings_are_true(name: str) -> None:
    """What the docstrings show is what happens."""
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
