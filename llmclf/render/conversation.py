"""A conversation, or the part of it a model may see, as numbered lines of text."""

from __future__ import annotations

from dataclasses import dataclass

from llmclf.errors import ConfigError, DataError
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

    def __post_init__(self) -> None:
        for name in ("last_turns", "max_characters"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1", where="window", got=value)


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


def transcript(turns: tuple[Turn, ...], window: Window = Window(), about: int | None = None) -> Transcript:
    r"""`turns` as one numbered line each: `[3] user: Is anyone there?`.

    Line breaks inside a turn become spaces, so that no text can pose as another turn. Events stand
    in parentheses after the words. Numbers are those of the conversation, also after a window.
    Turns that hold nothing are left out; `about`, the turn a question is about, never is: where it
    is silent the line says so, and where it lies before the window the window ends with it.

    >>> from llmclf.types import Event
    >>> transcript((Turn("user", "Hello?"), Turn("bot", "", events=(Event("transfer", "billing"),)))).text
    '[0] user: Hello?\n[1] bot: (transfers to billing)'
    """
    lines = [(n, _line(n, turn)) for n, turn in enumerate(turns) if n == about or not turn.is_empty]
    kept = lines if window.last_turns is None else _last(lines, window.last_turns, about)
    if window.max_characters is not None:
        size = sum(len(line) + 1 for _, line in kept)
        while len(kept) > 1 and size > window.max_characters:
            dropped = kept[-1] if kept[0][0] == about else kept[0]
            size -= len(dropped[1]) + 1
            kept = [line for line in kept if line is not dropped]
    return Transcript("\n".join(line for _, line in kept), tuple(kept), len(kept) < len(lines))


def spoken_text(turn: Turn) -> str:
    """Words and events of one turn on a single line; half characters, which no wire carries, are replaced."""
    words = " ".join(turn.text.split())
    events = " ".join(f"({_event_words(event)})" for event in turn.events)
    line = " ".join(part for part in (words, events) if part)
    return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _last(lines: list[tuple[int, str]], count: int, about: int | None) -> list[tuple[int, str]]:
    """The last `count` lines; where `about` lies before them, those that end with it."""
    end = len(lines)
    place = next((place for place, (number, _) in enumerate(lines) if number == about), end)
    if place < end - count:
        end = place + 1
    return lines[max(0, end - count) : end]


def _line(number: int, turn: Turn) -> str:
    return f"[{number}] {turn.speaker}: {spoken_text(turn) or '(silent)'}"


def _event_words(event: Event) -> str:
    words = [_EVENT_WORDS[event.kind], event.name, event.text]
    return " ".join(" ".join(word.split()) for word in words if word.strip())


def for_terminal(text: str) -> str:
    """`text` without what a terminal would obey: control characters become U+FFFD, line breaks stay.

    A hostile conversation could otherwise clear the screen, or write to it in another's name.
    """
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)
