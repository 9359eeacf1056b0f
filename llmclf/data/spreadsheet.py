"""Cells that a spreadsheet may open: nothing runs, nothing changes, and all of it comes back."""

from __future__ import annotations

import re

_RUNS = frozenset("=+-@\t\r\n＝＋－＠")
"""First characters that make a spreadsheet compute (OWASP's list for CSV injection, wide forms included)."""
_LONGEST_CELL = 32_000
"""Excel cuts a cell at 32,767 characters, and moves what is over into the next row."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Ids that a spreadsheet would turn into a number, a date or a truth value, and save back changed.
_CHANGES = re.compile(
    r"[\d\s.,:;/$€£%()eE+-]+"
    r"|true|false|wahr|falsch|vrai|faux"
    r"|(?:\d{1,4}[\s./-]*)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[\s./-]*\d{0,4}",
    re.IGNORECASE,
)


def guarded(text: str, *, is_id: bool = False) -> str:
    """`text` with an apostrophe before it where a spreadsheet would compute it (or, for an id, change it)."""
    return f"'{text}" if _needs_guard(text, is_id) else text


def unguarded(text: str, *, is_id: bool = False) -> str:
    """The way back from `guarded`, exactly: an apostrophe that was there before stays."""
    return text[1:] if text.startswith("'") and _needs_guard(text[1:], is_id) else text


def displayed(text: str) -> str:
    """Text for people to read in a cell: characters a file can't hold are replaced, and it is cut to fit."""
    clean = _CONTROL.sub("\ufffd", text)
    if len(clean) > _LONGEST_CELL:
        clean = clean[:_LONGEST_CELL] + " [cut]"
    return guarded(clean)


def _needs_guard(text: str, is_id: bool) -> bool:
    """Also where apostrophes stand before such a text, or one of them would be lost on the way back."""
    bare = text.lstrip("'")
    if not bare:
        return False
    if bare[0] in _RUNS or bare.lstrip(" ")[:1] in _RUNS or bare.lstrip()[:1] in _RUNS:
        return True
    return is_id and _CHANGES.fullmatch(bare) is not None
