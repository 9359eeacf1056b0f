"""What a model sees of a conversation: without personal data, in a window or in parts, in one modality."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llmclf.config import Modality
from llmclf.errors import ConfigError
from llmclf.llm.model import Media
from llmclf.media import derive, media_of
from llmclf.render import Transcript, Window, transcript, visible_turns
from llmclf.render.conversation import attachments_to_read, shown_turns
from llmclf.render.prefaces import part_preface, recognition_preface
from llmclf.types import Attachment, Conversation, Task, Turn

_TAG = re.compile(r"<(?=\s*/?\s*(?:conversation|example)\b)", re.IGNORECASE)

Redact = Callable[[Conversation], Conversation]


@dataclass(frozen=True, slots=True)
class Sight:
    """How much of a conversation is shown, and in which form."""

    window: Window = Window()
    chunk_turns: int | None = None
    """A longer conversation is shown in parts of so many turns."""
    chunk_overlap: int = 2
    """Turns that neighbouring parts share."""
    modality: Modality = "text"

    def problems(self, task: Task) -> list[str]:
        """What can't be: parts that don't advance, parts with a window, parts of what is about one turn."""
        found: list[str] = []
        if self.chunk_turns is None:
            return found
        if task.unit == "turn":
            found.append(f"chunk_turns: task {task.name} is about turns, and parts are of a whole conversation")
        if self.window != Window():
            found.append("chunk_turns shows everything in parts: it goes with no window")
        if self.chunk_turns < 2 or not 0 <= self.chunk_overlap < self.chunk_turns:
            found.append(
                "chunk_turns must be at least 2 and above chunk_overlap, which is 0 or more; "
                f"got {self.chunk_turns} and {self.chunk_overlap}"
            )
        return found


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation, or one part of it, as it is sent."""

    transcript: Transcript
    """Its text can't open or close the tags it is put between."""
    preface: str
    """What llmclf says before it; mostly nothing."""
    media: tuple[Media, ...]
    content_hash: str
    """Of the whole conversation, whatever part of it is shown."""

    @property
    def text(self) -> str:
        """What stands in the place of the conversation in a prompt."""
        return f"{self.preface}\n{self.transcript.text}" if self.preface else self.transcript.text


def parts_of(
    conversation: Conversation, task: Task, turn: int | None, sight: Sight, redact: Redact
) -> tuple[Shown, ...]:
    """The parts in which a conversation is shown, in order; one, but for a long one with `chunk_turns`.

    Recognition and files may take seconds. Raises DataError for media that can't be read or hold turns
    that may not be seen, MissingPieceError where what recognises words is absent.
    """
    sent, words = _redacted(conversation, task, turn, sight, redact)
    turns = visible_turns(sent, task, turn)
    windows = _windows(turns, sight)
    content = (redact(conversation) if words else sent).content_hash
    shown = []
    for place, window in enumerate(windows, 1):
        made = transcript(turns, window, turn, sight.modality, lambda one: words[one.sha256])
        preface = recognition_preface(sight.modality) if _reads(turns, window, turn, sight.modality) else ""
        if window.span:
            said = part_preface(place, len(windows), window.span[0], window.span[1] - 1)
            preface = f"{said}\n{preface}" if preface else said
        media = tuple(Media(*one) for one in media_of(made)) if made.media else ()
        shown.append(Shown(_fenced(made), preface, media, content))
    return tuple(shown)


def spans(shown: Sequence[int], size: int, overlap: int) -> list[tuple[int, int]]:
    """(first turn, one after the last) of each part of `size` of the turns numbered in `shown`.

    Neighbours share `overlap` turns; the last part is as long as the others, so it may share more.

    >>> spans(range(10), 4, 1)
    [(0, 4), (3, 7), (6, 10)]
    >>> spans(range(9), 4, 1)
    [(0, 4), (3, 7), (5, 9)]
    """
    starts = [*range(0, max(len(shown) - size, 0), size - overlap), max(len(shown) - size, 0)]
    return [(shown[start], shown[min(start + size, len(shown)) - 1] + 1) for start in starts]


def _windows(turns: tuple[Turn, ...], sight: Sight) -> list[Window]:
    shown = shown_turns(turns)
    if sight.chunk_turns is None or len(shown) <= sight.chunk_turns:
        return [sight.window]
    return [Window(span=span) for span in spans(shown, sight.chunk_turns, sight.chunk_overlap)]


def _redacted(
    conversation: Conversation, task: Task, turn: int | None, sight: Sight, redact: Redact
) -> tuple[Conversation, dict[str, str]]:
    """The conversation and the words of its attachments, redacted together: a name in one is known in the other."""
    wanted: tuple[Attachment, ...] = ()
    if sight.modality.endswith(">text"):
        wanted = attachments_to_read(visible_turns(conversation, task, turn), sight.window, turn, sight.modality)
    if not wanted:
        return redact(conversation), {}
    language = task.language.partition("-")[0].lower()
    heard = tuple(Turn("system", derive(one, sight.modality, language)) for one in wanted)
    both = redact(replace(conversation, turns=conversation.turns + heard))
    count = len(conversation.turns)
    words = {one.sha256: said.text for one, said in zip(wanted, both.turns[count:], strict=True)}
    return replace(both, turns=both.turns[:count]), words


def _reads(turns: tuple[Turn, ...], window: Window, turn: int | None, modality: Modality) -> bool:
    return modality.endswith(">text") and bool(attachments_to_read(turns, window, turn, modality))


def _fenced(made: Transcript) -> Transcript:
    lines = tuple((number, fenced_off(line)) for number, line in made.turns)
    return replace(made, text=fenced_off(made.text), turns=lines)


def fenced_off(text: str) -> str:
    """Conversation text that can't open or close the tags it is put between. Twice is the same as once."""
    return _TAG.sub(r"<\\", text)


def check_sight(sight: Sight, task: Task, where: str) -> None:
    """Raises ConfigError with everything that is wrong with `sight` for `task`."""
    problems = sight.problems(task)
    if problems:
        raise ConfigError("this much of a conversation can't be shown", where=where, problems=problems)
