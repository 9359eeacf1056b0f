"""What goes into the store about a call to a model, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from llmclf.types import Usage

RunState = Literal["done", "stopped", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class CallSent:
    """A call as it stands before it is sent, with the money reserved for it."""

    call_id: str
    run_id: str
    request_hash: str
    """Over the canonical body as sent and the resolved endpoint."""
    repeat: int = 0
    """Which of several fresh calls with the same request this is."""
    conversation_id: str = ""
    turn: int | None = None
    classifier_id: str = ""
    model: str = ""
    route: str = ""
    endpoint: str = ""
    prompt_id: str = ""
    thinking: str = ""
    """The setting that was asked for."""
    request_json: str | None = ""
    """The canonical body; None: neither it nor the answer's words are kept."""
    reserved_nano: int = 0
    """Worst-case cost in nano-dollars; kept until the cost is known."""
    sent_at: datetime | None = None
    """None: now."""
    simulated: bool = False
    owner: str = ""
    """The runtime that sends it."""
    redacted: bool = False
    """True where the body holds nothing that is still to be redacted."""
    shows: tuple[str, ...] = ()
    """Ids of other conversations whose words are in the body."""


@dataclass(frozen=True, slots=True)
class CallDone:
    """How a call ended: `done` is an answer (usable or not), `failed` is none."""

    state: Literal["done", "failed"]
    finished_at: datetime | None = None
    """None: now."""
    text: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    label_logprobs: Mapping[str, float] | None = None
    usage: Usage = field(default_factory=Usage)
    cost_nano: int | None = None
    """Nano-dollars; None is unknown, and then the reservation stays."""
    price_json: str = ""
    """The prices the cost was computed with."""
    latency_seconds: float | None = None
    queue_seconds: float | None = None
    """Waited for its turn: for room in the cap, the pace and the limit on calls under way."""
    first_byte_seconds: float | None = None
    attempts: int = 1
    possibly_billed: bool = False
    """True where the vendor may have charged for more than the answer shows."""
    error_kind: str | None = None
    error_message: str = ""
    sent_thinking: str = ""
    """What was really sent for thinking, as JSON text."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that was bought earlier, as it is in the store (redacted, where privacy says so)."""

    call_id: str
    text: str
    reasoning: str
    finish_reason: str
    label_logprobs: Mapping[str, float] | None
    usage: Usage
    cost_nano: int | None
    latency_seconds: float | None
    attempts: int
    model: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """Money in nano-dollars. `settled + reserved_unsettled` never passes a cap that holds."""

    settled: int
    """Cost of calls whose cost is known."""
    reserved_unsettled: int
    """Reservations of calls without outcome, and of those whose cost is not known."""
    calls: int
    possibly_billed: int
    """Calls that may have been charged for beyond `settled`: without outcome, or marked so at their end."""
    unknown: int
    """Calls that ended with an unknown cost, which is not zero."""
