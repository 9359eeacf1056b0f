"""A conversation, or the part of it a model may see, as numbered lines of text and the media they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmclf.errors import ConfigError, DataError
from llmclf.types import Attachment, Conversation, Event, Task, Turn
from llmclf.types.conversation import MODALITIES, AttachmentKind, Modality

Derived = Callable[[Attachment], str]
"""The words that recognition finds in an attachment."""

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
    first_turns: int | None = None
    """Only the first so many, with `last_turns` both ends; a line says how many are left out between."""
    span: tuple[int, int] | None = None
    """Only the turns numbered from the first to before the second: a part of its own, which is not `truncated`."""

    def __post_init__(self) -> None:
        for name in ("last_turns", "max_characters", "first_turns"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1", where="window", got=value)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text a model sees, the media that go with it, and what is needed to check a quote against it."""

    text: str
    turns: tuple[tuple[int, str], ...]
    """(turn number, the line's text) of every turn that is in the text."""
    truncated: bool
    """True where visible turns were left out."""
    media: tuple[Attachment, ...] = ()
    """The pictures or recordings to send with the text, in the order in which it numbers them."""
    spoken: tuple[tuple[int, str], ...] = ()
    """(turn number, words) of the turns whose known words stand in one of `media` and not in the text:
    a quote from a picture is checked against these."""


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


def transcript(
    turns: tuple[Turn, ...],
    window: Window = Window(),
    about: int | None = None,
    modality: Modality = "text",
    derived: Derived | None = None,
) -> Transcript:
    r"""`turns` as one numbered line each: `[3] user: Is anyone there?`.

    Line breaks inside a turn become spaces, so that no text can pose as another turn. Events stand
    in parentheses after the words. Numbers are those of the conversation, also after a window.
    Turns that hold nothing are left out; `about`, the turn a question is about, never is: where it
    is silent the line says so, and where it lies before the window the window ends with it.

    `modality` says what becomes of attachments. `text`: the words, and `(sends image)` for what no
    words stand for. `image` and `audio`: the line names the medium, `(image 1)`, which is in `media`;
    the words of a recording, and those that llmclf drew or spoke itself, are left out (a turn that
    was drawn says `(in image 1)`). `image>text` and `audio>text`: what `derived` returns stands
    there instead. A conversation without such an attachment is its words in every modality.

    A medium that holds several turns goes as a whole or not at all: it is sent where any of its
    turns is in the window. Raises DataError where it holds turns that may not be seen.

    >>> from llmclf.types import Event
    >>> transcript((Turn("user", "Hello?"), Turn("bot", "", events=(Event("transfer", "billing"),)))).text
    '[0] user: Hello?\n[1] bot: (transfers to billing)'
    """
    if modality not in MODALITIES:
        raise ConfigError("there is no such modality", got=modality, fix=f"known: {', '.join(MODALITIES)}")
    if modality.endswith(">text") and derived is None:
        raise ConfigError(f"{modality} needs a function that reads the attachments", where="transcript")
    drawer = _Drawer(turns, modality, derived)
    shown = shown_turns(turns, about, window.span)
    kept = _kept(shown, window, about)
    lines = drawer.lines(kept)
    if window.max_characters is not None:
        fitting = _fitting(lines, drawer.carriers, window.max_characters, about)
        if len(fitting) < len(kept):
            kept = fitting
            lines = drawer.lines(kept)  # the media are numbered anew
    text = "\n".join(line for _, line in lines) if window.first_turns is None else _with_gaps(lines, shown)
    return Transcript(text, tuple(lines), len(kept) < len(shown), tuple(drawer.media), tuple(drawer.spoken))


def shown_turns(turns: tuple[Turn, ...], about: int | None = None, span: tuple[int, int] | None = None) -> list[int]:
    """The numbers of the turns that hold anything, and `about`; of those in `span` alone where it is given."""
    first, end = span or (0, len(turns))
    return [number for number in range(first, min(end, len(turns))) if number == about or not turns[number].is_empty]


def attachments_to_read(
    turns: tuple[Turn, ...], window: Window = Window(), about: int | None = None, modality: Modality = "text"
) -> tuple[Attachment, ...]:
    """The attachments whose words `transcript` would ask `derived` for, each once, in order.

    Recognition takes seconds: it is done for these before, off the event loop, and redacted together.
    """
    found: dict[str, Attachment] = {}

    def note(attachment: Attachment) -> str:
        found.setdefault(attachment.sha256, attachment)
        return ""

    transcript(turns, window, about, modality, note)
    return tuple(found.values())


def spoken_text(turn: Turn) -> str:
    """Words and events of one turn on a single line; half characters, which no wire carries, are replaced."""
    return _joined(_one_line(turn.text), _events(turn))


class _Drawer:
    """Draws the lines of turns in one modality, numbering the media on the way."""

    def __init__(self, turns: tuple[Turn, ...], modality: Modality, derived: Derived | None) -> None:
        self._turns = turns
        self._kind: AttachmentKind | None = None
        if modality != "text":
            self._kind = "image" if modality.startswith("image") else "audio"
        self._derived = derived if modality.endswith(">text") else None
        self.carriers = _carriers(turns, self._kind)
        self._starts()

    def lines(self, kept: list[int]) -> list[tuple[int, str]]:
        """(number, line) of the kept turns."""
        self._starts()
        return [(number, f"[{number}] {self._turns[number].speaker}: {self._said(number)}") for number in kept]

    def _starts(self) -> None:
        self.media: list[Attachment] = []
        self.spoken: list[tuple[int, str]] = []
        self._numbers: dict[tuple[int, int], int] = {}  # (turn, place) of an attachment to its number from 1

    def _said(self, number: int) -> str:
        turn = self._turns[number]
        own = self._wanted(number)
        carrier = self.carriers.get(number)
        words, events, sent = _one_line(turn.text), _events(turn), _sends(turn, self._kind)
        if turn.is_empty or (carrier is None and not own):
            return _joined(words, events, sent) or "(silent)"
        drawn = self._kind == "image" and carrier is not None
        if drawn:
            events = ""  # they stand in the picture too
        if self._derived is not None:
            return self._read(number, words, events, sent, self._derived)
        if carrier is not None or self._kind == "audio":
            if known := spoken_text(turn) if drawn else words:
                self.spoken.append((number, known))
            words = ""
        names = [self._name(number, place) for place in own]
        if carrier is not None and carrier[0] != number:
            names.insert(0, f"(in {self._kind} {self._number(*carrier)})")
        return _joined(words, *names, events, sent)

    def _name(self, number: int, place: int) -> str:
        drawn = self._kind == "image" and self._turns[number].attachments[place].rendered
        return f"({'in ' if drawn else ''}{self._kind} {self._number(number, place)})"

    def _number(self, number: int, place: int) -> int:
        """The number of a medium, which is sent from now on."""
        if (number, place) not in self._numbers:
            medium = self._turns[number].attachments[place]
            _check_seen(number, medium, len(self._turns))
            self.media.append(medium)
            self._numbers[number, place] = len(self.media)
        return self._numbers[number, place]

    def _read(self, number: int, words: str, events: str, sent: str, derived: Derived) -> str:
        """The line with what recognition found in place of the words, or after them."""
        places = [(number, place) for place in self._wanted(number)]
        carrier = self.carriers.get(number)
        if carrier is not None and carrier not in places:
            places.insert(0, carrier)
        found = [self._read_one(place, derived) for place in places]
        if carrier is not None or self._kind == "audio":
            words = ""
        return _joined(words, *found, events, sent)

    def _read_one(self, place: tuple[int, int], derived: Derived) -> str:
        if place in self._numbers:
            return "(in the picture above)" if self._kind == "image" else "(in the recording above)"
        self._numbers[place] = len(self._numbers) + 1
        attachment = self._turns[place[0]].attachments[place[1]]
        _check_seen(place[0], attachment, len(self._turns))
        text = _one_line(derived(attachment))
        if self._kind == "audio":
            return text or "(nothing understood)"
        return f"(picture shows: {text})" if text else "(picture shows no words)"

    def _wanted(self, number: int) -> list[int]:
        attachments = self._turns[number].attachments
        return [place for place, attachment in enumerate(attachments) if attachment.kind == self._kind]


def _carriers(turns: tuple[Turn, ...], kind: AttachmentKind | None) -> dict[int, tuple[int, int]]:
    """Turn number to (turn, place) of the rendered attachment that holds it; the first where there are several."""
    found: dict[int, tuple[int, int]] = {}
    for number, turn in enumerate(turns):
        for place, attachment in enumerate(turn.attachments):
            if attachment.kind == kind:
                for covered in range(number, min(number + attachment.rendered, len(turns))):
                    found.setdefault(covered, (number, place))
    return found


def _check_seen(number: int, medium: Attachment, visible: int) -> None:
    if number + medium.rendered > visible:
        raise DataError(
            f"the {medium.kind} holds turns that may not be seen here",
            where=f"turn {number}",
            got=f"turns {number} to {number + medium.rendered - 1}, of which {visible} may be seen",
            fix="for a task about turns render each alone: llmclf data render ... --turns-per-image 1",
        )


def _kept(shown: list[int], window: Window, about: int | None) -> list[int]:
    """The turns that the window leaves, before any limit of characters."""
    if window.first_turns is None:
        return shown if window.last_turns is None else _last(shown, window.last_turns, about)
    tail = shown[-window.last_turns :] if window.last_turns else []
    ends = {*shown[: window.first_turns], *tail, about}
    return [number for number in shown if number in ends]


def _with_gaps(lines: list[tuple[int, str]], shown: list[int]) -> str:
    """The lines, with one that no turn can pose as wherever turns between them are left out."""
    said, texts, missing = dict(lines), list[str](), 0
    for number in [*shown, None]:
        if number is not None and number not in said:
            missing += 1
            continue
        if missing:
            texts.append(f"[...] ({missing} turn{'' if missing == 1 else 's'} left out)")
            missing = 0
        if number is not None:
            texts.append(said[number])
    return "\n".join(texts)


def _last(shown: list[int], count: int, about: int | None) -> list[int]:
    """The last `count` turns; where `about` lies before them, those that end with it."""
    end = len(shown)
    place = shown.index(about) if about in shown else end
    if place < end - count:
        end = place + 1
    return shown[max(0, end - count) : end]


def _fitting(
    lines: list[tuple[int, str]], carriers: dict[int, tuple[int, int]], limit: int, about: int | None
) -> list[int]:
    """The turns whose lines fit: dropped from the front, those of one rendered medium together."""
    groups = list(_groups(lines, carriers))
    size = sum(len(line) + 1 for _, line in lines)
    first, end = 0, len(groups)
    while end - first > 1 and size > limit:
        if any(number == about for number, _ in groups[first]):
            end -= 1
            dropped = groups[end]
        else:
            dropped = groups[first]
            first += 1
        size -= sum(len(line) + 1 for _, line in dropped)
    return [number for group in groups[first:end] for number, _ in group]


def _groups(lines: list[tuple[int, str]], carriers: dict[int, tuple[int, int]]) -> Iterator[list[tuple[int, str]]]:
    group: list[tuple[int, str]] = []
    for line in lines:
        if group and (line[0] not in carriers or carriers[line[0]] != carriers.get(group[-1][0])):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _sends(turn: Turn, kind: AttachmentKind | None) -> str:
    """What the turn sends beside its words, but for the kind that is sent on and for what llmclf rendered."""
    others = [one.kind for one in turn.attachments if one.kind != kind and not one.rendered]
    return " ".join(f"(sends {other})" for other in others)


def _events(turn: Turn) -> str:
    return _one_line(" ".join(f"({event_words(event)})" for event in turn.events))


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def event_words(event: Event) -> str:
    """An event in words, on one line: `transfers to billing`."""
    words = [_EVENT_WORDS[event.kind], event.name, event.text]
    return " ".join(" ".join(word.split()) for word in words if word.strip())


def for_terminal(text: str) -> str:
    """`text` without what a terminal would obey: control characters become U+FFFD, line breaks stay.

    A hostile conversation could otherwise clear the screen, or write to it in another's name.
    """
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)
