"""What llmclf itself says before a conversation: which part of it this is, and who put its words down.

No turn can pose as one: every line of a conversation begins with the turn's number.
"""

from __future__ import annotations

import re

from llmclf.types.conversation import Modality

_RECOGNISED: dict[Modality, str] = {
    "audio>text": "(The words of recordings were put down by speech recognition, which makes mistakes.)",
    "image>text": "(The words of pictures were put down by text recognition, which makes mistakes.)",
}

_PART = re.compile(r"^\(Part \d+ of \d+ of a long conversation: ", re.MULTILINE)


def part_preface(place: int, count: int, first: int, last: int) -> str:
    """Says that this is part `place` (from 1) of `count`, and which turns stand in it.

    >>> part_preface(2, 3, 8, 17)
    '(Part 2 of 3 of a long conversation: turns 8 to 17.)'
    """
    return f"(Part {place} of {count} of a long conversation: turns {first} to {last}.)"


def recognition_preface(modality: Modality) -> str:
    """Says that the words come from recognition; empty for a modality whose words don't."""
    return _RECOGNISED.get(modality, "")


def recognised(text: str) -> Modality | None:
    """The modality that a `recognition_preface` in `text` names; None where there is none."""
    lines = set(text.splitlines())
    return next((modality for modality, said in _RECOGNISED.items() if said in lines), None)


def part_named(text: str) -> str:
    """The part that a `part_preface` in `text` names, as it says it; empty where there is none."""
    found = _PART.search(text)
    return found[0] if found else ""
