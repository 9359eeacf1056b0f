"""What a model takes, as far as can be known without asking it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmclf.config import Media

ThinkingStatus = Literal["exact", "approximate", "unsupported", "unverified"]
"""`exact`: the vendor's own setting of that name or number is sent. `approximate`: another one that comes near.
`unsupported`: an error before anything is sent. `unverified`: sent on, and nobody could check what becomes of it."""


@dataclass(frozen=True, slots=True)
class ThinkingRow:
    """What becomes of one thinking setting."""

    status: ThinkingStatus
    sent: str = ""
    """What is sent for it, as JSON text."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model takes."""

    thinking: Mapping[str, ThinkingRow] = field(default_factory=dict)
    """By setting: `off` to `max`, and `tokens` for an exact number."""
    modalities: tuple[Media, ...] = ("text",)
    json_schema: bool = False
    """A schema for the answer is enforced by the vendor."""
    logprobs: bool = False
    """Log-probabilities of single tokens come back."""
    temperature: bool = True
    context_tokens: int | None = None
    """None: not known."""
    output_tokens: int | None = None
