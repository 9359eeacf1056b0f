"""Turns drawn as a chat on a telephone: PNG pictures, by Pillow."""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmclf.errors import DataError, MissingPieceError
from llmclf.render.conversation import event_words
from llmclf.types import Speaker, Turn

MAX_CHARACTERS = 20_000
"""The longest turn that is drawn: about seven pictures."""
WIDTH = 760
MAX_HEIGHT = 2000
"""Pixels. Vendors shrink what is larger, and small letters can't be read any more."""

_MARGIN, _PADDING, _GAP, _RADIUS = 24, 20, 18, 22
_BUBBLE = 560  # pixels, the widest
_TEXT, _SMALL_TEXT = 26, 20  # pixels, the height of letters
_MOST_IN_LINE = 120  # letters, of the narrowest
_LINE = 1.3  # height of a line in letters
_FONT = "DejaVuSans.ttf"
_NAMES: dict[Speaker, str] = {
    "user": "Customer",
    "bot": "Bot",
    "human_agent": "Human agent",
    "system": "System",
    "tool": "Tool",
}
_BACKGROUND, _INK, _FAINT = "#e9edf2", "#14181d", "#4a5563"
_FILLS: dict[Speaker, str] = {
    "user": "#cfe6ff",
    "bot": "#ffffff",
    "human_agent": "#fff1cc",
    "system": "#dde3ea",
    "tool": "#dde3ea",
}

Side = Literal["left", "right", "middle"]


@dataclass(frozen=True)
class _Block:
    """A bubble, or a line of what happened: text in lines, ready to be drawn."""

    turn: int
    side: Side
    fill: str
    head: str
    lines: tuple[str, ...]
    size: int

    @property
    def height(self) -> int:
        """In pixels, with the name above it, without the gap after it."""
        return _head_height(self.head) + 2 * _pad(self.size) + len(self.lines) * _line_height(self.size)


@dataclass(frozen=True, slots=True)
class Page:
    """One picture, and how many of the turns stand in it (a long turn has several, for 1 each)."""

    first: int
    turns: int
    png: bytes


def draw_chat(turns: Sequence[Turn], turns_per_image: int = 10) -> list[Page]:
    """Pictures of the turns in order, 760 pixels wide, at most 2000 high.

    The customer's bubbles stand right, the others left, each below its turn's number and its
    speaker's name; what a tool or the system says, and events, stand in the middle. Turns that hold
    nothing keep their number and are not drawn. A new picture begins after `turns_per_image` turns
    and where one is full; a turn that does not fit into one picture has several, alone. The same
    Pillow and font give the same bytes.

    Raises DataError for a turn above 20,000 characters, MissingPieceError where Pillow is absent.
    """
    if importlib.util.find_spec("PIL") is None:
        raise MissingPieceError("drawing needs the package Pillow", fix="pip install 'llmclf[media]'")
    pages: list[Page] = []
    waiting: list[_Block] = []
    count = 0

    def turn_the_page() -> None:
        nonlocal count
        if waiting:
            pages.append(Page(waiting[0].turn, count, _png(waiting)))
        waiting.clear()
        count = 0

    for number, turn in enumerate(turns):
        blocks = [] if turn.is_empty else _blocks(number, turn)
        if count >= turns_per_image or _height([*waiting, *blocks]) > MAX_HEIGHT:
            turn_the_page()
        if _height(blocks) > MAX_HEIGHT:
            pages += [Page(number, 1, _png(part)) for part in _parts(blocks)]
        elif waiting or blocks:  # a page begins with a turn that is seen
            waiting += blocks
            count += 1
    turn_the_page()
    return pages


def cannot_draw(text: str) -> str:
    """The characters of a text that the font has no shape for (emoji, most Asian scripts), each once."""
    return "".join(sorted({char for char in text if not char.isascii() and char.isprintable() and _is_box(char)}))


def _blocks(number: int, turn: Turn) -> list[_Block]:
    if sum(len(event.text) + len(event.name) for event in turn.events) + len(turn.text) > MAX_CHARACTERS:
        raise DataError(
            "the turn is too long to draw", where=f"turn {number}", fix=f"at most {MAX_CHARACTERS:,} letters"
        )
    head = f"[{number}] {_NAMES[turn.speaker]}"
    side: Side = "right" if turn.speaker == "user" else "left"
    fill = _FILLS[turn.speaker]
    size = _TEXT
    if turn.speaker in ("system", "tool"):
        side, size = "middle", _SMALL_TEXT
    blocks = []
    if words := " ".join(turn.text.split()):
        blocks.append(_Block(number, side, fill, head, tuple(_wrapped(words, size)), size))
    more = [event_words(event) for event in turn.events]
    more += [f"sends {attachment.kind}" for attachment in turn.attachments if not attachment.rendered]
    for text in more:
        lines = tuple(_wrapped(text, _SMALL_TEXT))
        blocks.append(_Block(number, "middle", _FILLS["system"], "" if blocks else head, lines, _SMALL_TEXT))
    return blocks or [_Block(number, side, fill, head, ("",), size)]


def _parts(blocks: list[_Block]) -> Iterator[list[_Block]]:
    """A turn too long for one picture, cut between lines into several."""
    for block in blocks:
        room = (MAX_HEIGHT - 2 * _MARGIN - _head_height("x") - 2 * _pad(block.size)) // _line_height(block.size)
        for start in range(0, len(block.lines), room):
            head = block.head or f"[{block.turn}]"
            head = f"{head} (continued)" if start else head
            lines = block.lines[start : start + room]
            yield [_Block(block.turn, block.side, block.fill, head, lines, block.size)]


def _wrapped(text: str, size: int) -> Iterator[str]:
    """Lines that fit a bubble; a word longer than a line is cut."""
    font, room = _font(size), _BUBBLE - 2 * _PADDING
    line = ""
    for word in "".join(char if char.isprintable() else "\ufffd" for char in text).split(" "):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= room:
            line = longer
            continue
        if line:
            yield line
        while len(word) > _MOST_IN_LINE or font.getlength(word) > room:
            fits = min(len(word), _MOST_IN_LINE)
            while fits > 1 and font.getlength(word[:fits]) > room:
                fits -= 1
            yield word[:fits]
            word = word[fits:]
        line = word
    yield line


def _png(blocks: Sequence[_Block]) -> bytes:
    from PIL import Image, ImageDraw

    height = _height(blocks)
    double = Image.new("RGB", (2 * WIDTH, 2 * height), _BACKGROUND)  # shapes drawn double and halved have soft edges
    places = list(_places(blocks))
    shapes = ImageDraw.Draw(double)
    for block, left, top, width in places:
        box = (2 * left, 2 * (top + _head_height(block.head)), 2 * (left + width), 2 * (top + block.height))
        shapes.rounded_rectangle(box, 2 * _RADIUS, block.fill)
    picture = double.resize((WIDTH, height), Image.Resampling.BOX)
    letters = ImageDraw.Draw(picture)
    for block, left, top, width in places:
        _write(letters, block, left, top, width)
    out = io.BytesIO()
    picture.quantize(64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _write(letters: Any, block: _Block, left: int, top: int, width: int) -> None:
    if block.head:
        small = _font(_SMALL_TEXT)
        over = int(small.getlength(block.head))
        start = {"left": left + 4, "right": left + width - over - 4, "middle": (WIDTH - over) // 2}[block.side]
        letters.text((start, top), block.head, _FAINT, small)
    top += _head_height(block.head) + _pad(block.size)
    font = _font(block.size)
    for line in block.lines:
        start = (WIDTH - int(font.getlength(line))) // 2 if block.side == "middle" else left + _PADDING
        letters.text((start, top), line, _INK if block.side != "middle" else _FAINT, font)
        top += _line_height(block.size)


def _places(blocks: Sequence[_Block]) -> Iterator[tuple[_Block, int, int, int]]:
    """(block, left, top, width) in pixels."""
    top = _MARGIN
    for block in blocks:
        font = _font(block.size)
        width = max(64, int(max(font.getlength(line) for line in block.lines)) + 2 * _PADDING)
        left = {"left": _MARGIN, "right": WIDTH - _MARGIN - width, "middle": (WIDTH - width) // 2}[block.side]
        yield block, left, top, width
        top += block.height + _GAP


def _height(blocks: Sequence[_Block]) -> int:
    return 2 * _MARGIN + sum(block.height + _GAP for block in blocks) - _GAP


def _head_height(head: str) -> int:
    return _SMALL_TEXT + 8 if head else 0


def _pad(size: int) -> int:
    return 14 if size == _TEXT else 8


def _line_height(size: int) -> int:
    return int(size * _LINE)


@functools.cache
def _font(size: int) -> Any:
    """DejaVu Sans where the system has it, else the one inside Pillow (Latin letters only)."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype(_FONT, size)
    except OSError:
        return ImageFont.load_default(size)


@functools.cache
def _is_box(char: str) -> bool:
    font = _font(_TEXT)
    return bool(bytes(font.getmask(char)) == bytes(font.getmask("\U0010fffe")))
