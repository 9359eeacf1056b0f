"""Conversations as numbered lines, and prompts filled in one pass."""

from __future__ import annotations

import doctest
import importlib

import pytest
from hypothesis import given, strategies as st

from llmclf.errors import ConfigError, DataError
from llmclf.render import Prompt, Window, transcript, visible_turns
from llmclf.types import Conversation, Event, Label, Task, Turn

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
