"""One chat as a person pastes it: lines that begin with who speaks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmclf.config import files
from llmclf.data.read import read_conversations
from llmclf.errors import DataError
from llmclf.types import SPEAKERS, Conversation, Event, Speaker, Turn, content_hash

_LINE = re.compile(
    r"^\s*(?:\[\d+\]\s*)?(?:\[?\d{1,2}:\d{2}(?::\d{2})?\]?\s*[-–]?\s*)?([A-Za-z][\w .'-]{0,30}?)\s*[:>]\s+(.*)$"
)
_TRANSFER = re.compile(r"\(transfers to ([^)]*)\)", re.IGNORECASE)
_KNOWN: dict[str, Speaker] = {
    **{speaker: speaker for speaker in SPEAKERS},
    "customer": "user",
    "client": "user",
    "caller": "user",
    "me": "user",
    "assistant": "bot",
    "chatbot": "bot",
    "virtual assistant": "bot",
    "ai": "bot",
    "human agent": "human_agent",
}


def read_pasted(text: str, speakers: Mapping[str, Speaker] | None = None) -> Conversation:
    """The conversation in pasted text: `Customer: ...` and `Bot: ...` lines.

    A line without a speaker goes on with the turn before it; `(transfers to TEAM)` becomes an event.
    `speakers` maps further names, whatever their case. Raises DataError that lists the names it does
    not know: whether an "agent" is a bot or a person is not guessed.
    """
    known = {**_KNOWN, **{name.lower(): speaker for name, speaker in (speakers or {}).items()}}
    spoken: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and _is_speaker(match[1], known, spoken):
            spoken.append((match[1].strip(), match[2].strip()))
        elif spoken and line.strip():
            name, before = spoken[-1]
            spoken[-1] = (name, f"{before} {line.strip()}")
        elif line.strip():
            raise DataError(
                "the chat does not begin with who speaks",
                where="pasted chat",
                got=line.strip()[:60],
                fix="write lines such as 'Customer: ...' and 'Bot: ...'",
            )
    unknown = sorted({name for name, _ in spoken if name.lower() not in known})
    if unknown:
        raise DataError(
            "unknown speakers",
            where="pasted chat",
            got=unknown,
            fix=f"say who they are, for instance --speaker '{unknown[0]}=bot' (or user, human_agent, system, tool)",
        )
    if not spoken:
        raise DataError("the chat is empty", where="pasted chat", fix="paste lines such as 'Customer: ...'")
    turns = tuple(_turn(known[name.lower()], words) for name, words in spoken)
    return Conversation(f"pasted-{content_hash(turns)[:8]}", turns)


def _is_speaker(name: str, known: Mapping[str, Speaker], spoken: list[tuple[str, str]]) -> bool:
    """A known name, or a short one: 'Here is what I found: ...' goes on with the turn before."""
    if name.strip().lower() in known:
        return True
    return len(name.split()) <= 2 and name[0].isupper() and (not spoken or not name.islower())


def _turn(speaker: Speaker, words: str) -> Turn:
    events = tuple(Event("transfer", team.strip()) for team in _TRANSFER.findall(words))
    return Turn(speaker, " ".join(_TRANSFER.sub("", words).split()), events=events)


def read_any(source: Path | str, speakers: Mapping[str, Speaker] | None = None) -> list[Conversation]:
    """The conversations in a file or a text: llmclf's JSON Lines, chat messages, or one pasted chat.

    What it is follows from the text: `{"id"..., "turns"...}` lines, JSON messages, or lines with speakers.
    Raises DataError where it can't be read.
    """
    if isinstance(source, Path) and source.suffix in (".jsonl", ".gz"):
        return list(read_conversations(source).conversations)
    text = files.read_text(source) if isinstance(source, Path) else source
    if not text.lstrip().startswith(("{", "[{", "[\n")):
        return [read_pasted(text, speakers)]
    return [_json_conversation(value) for value in _json_values(text)]


def _json_values(text: str) -> list[Any]:
    """One JSON document, or one a line."""
    try:
        value = json.loads(text)
        return [value]
    except json.JSONDecodeError:
        pass
    values = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                values.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"line {number} is not JSON: {error}", where="conversations", got=line[:60]) from None
    return values


def _json_conversation(value: Any) -> Conversation:
    from pydantic import TypeAdapter, ValidationError

    if isinstance(value, list):
        return Conversation.from_messages(value)
    if isinstance(value, dict) and "messages" in value:
        return Conversation.from_messages(value["messages"], id=value.get("id"))
    try:
        return TypeAdapter(Conversation).validate_python(value)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise DataError(
            "is neither a conversation nor chat messages", where="conversations", problems=problems
        ) from None
