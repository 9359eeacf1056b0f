"""A conversation, or the part of it a model may see, as numbered lines of text."""

from __future__ import annotations

from dataclasses import dataclass

from llmclf.errors import DataError
from llmclf.types import Conversation, Event, Task, Turn

_EVENT_WORDS = {
    "tool_call": "calls tool",
    "tool_result": "tool result",
    "transfer": "transfers to",
    "queue": "puts in queue",
    "hang_up": "hangs up",
}


@dataclass(frozen=True, slots=True)
class Window:
    """Which turns of a long conversation a model sees. None: all of them."""

    last_turns: int | None = None
    """Only the last so many of the visible turns."""
    max_characters: int | None = None
    """Whole turns are dropped from the front until the text fits."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text a model sees, and what is needed to check a quote against it."""

    text: str
    turns: tuple[tuple[int, str], ...]
    """(turn number, the line's text) of every turn that is in the text."""
    truncated: bool
    """True where visible turns were left out."""


def visible_turns(conversation: Conversation, task: Task, turn: int | None = None) -> tuple[Turn, ...]:
    """The turns that may be seen for an item of `task`.

    With context `so_far` that is everything up to and including `turn`; else the whole conversation.
    Raises DataError where the turn does not exist or the unit does not fit.
    """
    if (turn is None) != (task.unit == "conversation"):
        need = "no turn" if task.unit == "conversation" else "a turn number"
        raise DataError(f"task {task.name} is about a {task.unit} and takes {need}", where=conversation.id, got=turn)
    if turn is None:
        return conversation.turns
    if not 0 <= turn < len(conversation.turns):
        raise DataError(
            "there is no such turn",
            where=conversation.id,
            got=turn,
            fix=f"turns count from 0 to {len(conversation.turns) - 1}",
        )
    return conversation.turns[: turn + 1] if task.context == "so_far" else conversation.turns


def transcript(turns: tuple[Turn, ...], window: Window = Window()) -> Transcript:
    r"""`turns` as one numbered line each: `[3] user: Is anyone there?`.

    Line breaks inside a turn become spaces, so that no text can pose as another turn. Events stand
    in parentheses after the words. Numbers are those of the conversation, also after a window.

    >>> from llmclf.types import Event
    >>> transcript((Turn("user", "Hello?"), Turn("bot", "", events=(Event("transfer", "billing"),)))).text
    '[0] user: Hello?\\n[1] bot: (transfers to billing)'
    """
    lines = [(number, _line(number, turn)) for number, turn in enumerate(turns) if not turn.is_empty]
    kept = lines[-window.last_turns :] if window.last_turns else lines
    if window.max_characters is not None:
        size = sum(len(line) + 1 for _, line in kept)
        while len(kept) > 1 and size > window.max_characters:
            size -= len(kept[0][1]) + 1
            kept = kept[1:]
    return Transcript("\n".join(line for _, line in kept), tuple(kept), len(kept) < len(lines))


def spoken_text(turn: Turn) -> str:
    """Words and events of one turn on a single line."""
    words = " ".join(turn.text.split())
    events = " ".join(f"({_event_words(event)})" for event in turn.events)
    return " ".join(part for part in (words, events) if part)


def _line(number: int, turn: Turn) -> str:
    return f"[{number}] {turn.speaker}: {spoken_text(turn)}"


def _event_words(event: Event) -> str:
    words = [_EVENT_WORDS[event.kind], event.name, event.text]
    return " ".join(" ".join(word.split()) for word in words if word.strip())
