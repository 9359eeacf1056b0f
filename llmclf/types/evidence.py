"""The words of a conversation that carry a label."""

from __future__ import annotations

from dataclasses import dataclass

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quote that carries the label, and the turn (from 0) it is said to stand in."""

    __pydantic_config__ = _STRICT

    quote: str
    turn: int | None
    grounded: bool = True
    """False where the quote is not, word for word, in the text that was read."""
