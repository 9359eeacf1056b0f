"""OpenAI-style chats, one a line, to conversations."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmclf.data.files import byte_lines
from llmclf.data.parse import decoded
from llmclf.data.problems import GOT_LIMIT, Fault, ReadLog
from llmclf.errors import ConfigError, DataError, nearest, shorten
from llmclf.types import SPEAKERS, Conversation, Event, Speaker, Turn

_ROLES = ("user", "assistant", "system", "developer", "tool", "function")
_STAND_IN = {"user": "user", "bot": "assistant", "human_agent": "assistant", "system": "system", "tool": "tool"}


def conversations_of_messages(
    path: Path,
    log: ReadLog,
    speakers: Mapping[str, Speaker],
    metadata: Sequence[str],
    transfer_tools: Sequence[str],
) -> Iterator[Conversation]:
    """One conversation for each line: a list of messages, or `{"messages": [...], "id"?, "metadata"?}`.

    A line without an id gets one from its content (a second such line with the same content has
    `-2` after it). Keys of a line that are not in `metadata` are left out, and a note says so.
    """
    wrong = [f"{shorten(role, 60)} -> {shorten(name, 60)}" for role, name in speakers.items() if name not in SPEAKERS]
    if wrong:
        raise ConfigError("no such speaker", where="speakers", problems=wrong, fix=f"known: {', '.join(SPEAKERS)}")
    seen: dict[str, int] = {}
    left_out: dict[str, None] = {}
    for number, raw in byte_lines(path):
        if not raw.strip():
            continue
        read = _conversation(raw, speakers, metadata, set(transfer_tools), left_out)
        if isinstance(read, list):
            log.put_aside(number, read, raw)
            log.lost += 1
            continue
        conversation, has_id = read
        if not has_id:
            conversation = replace(conversation, id=_free_id(conversation.id, seen))
        first = seen.setdefault(conversation.id, number)
        if first != number:
            log.put_aside(number, [Fault(f"the same id as line {first}", conversation.id)], raw)
            log.lost += 1
            continue
        yield conversation
    if left_out:
        log.notes.append(f"keys left out (name them in metadata, --metadata KEY, to keep them): {', '.join(left_out)}")


def _conversation(
    raw: bytes,
    speakers: Mapping[str, Speaker],
    metadata: Sequence[str],
    transfer_tools: set[str],
    left_out: dict[str, None],
) -> tuple[Conversation, bool] | list[Fault]:
    value = decoded(raw)
    if isinstance(value, Fault):
        return [value]
    line = {"messages": value} if isinstance(value, list) else value
    if not isinstance(line, dict) or not isinstance(line.get("messages"), list):
        return [Fault("neither a list of messages nor an object with messages", raw[:60].decode("utf-8", "replace"))]
    faults: list[Fault] = []
    kept = _kept_metadata(line, metadata, left_out, faults)
    turns = [_turn(index, message, speakers, transfer_tools, faults) for index, message in enumerate(line["messages"])]
    id = _id(line.get("id"), faults)
    if faults:
        return faults
    conversation = Conversation.from_messages([], id or "none", metadata=kept)
    conversation = replace(conversation, turns=tuple(turn for turn in turns if turn is not None))
    return replace(conversation, id=id or conversation.content_hash[:16]), id is not None


def _turn(
    index: int, message: Any, speakers: Mapping[str, Speaker], transfer_tools: set[str], faults: list[Fault]
) -> Turn | None:
    if not isinstance(message, dict):
        faults.append(Fault(f"message {index} is no object", message))
        return None
    role = message.get("role")
    speaker = speakers.get(role) if isinstance(role, str) else None
    if speaker is None and (not isinstance(role, str) or role not in _ROLES):
        faults.append(Fault(f"message {index}: unknown role, never guessed; {_how_to_map(role)}", role, speaker=role))
        return None
    try:
        stand_in = message if speaker is None else {**message, "role": _STAND_IN[speaker]}
        turn = Conversation.from_messages([stand_in]).turns[0]
    except DataError as error:
        faults.append(Fault(f"message {index}: {_reason(error)}"))
        return None
    if speaker == "human_agent":
        turn = replace(turn, speaker="human_agent")
    return _with_transfers(turn, transfer_tools)


def _how_to_map(role: Any) -> str:
    known = nearest(str(role)[:GOT_LIMIT], _ROLES)
    if not isinstance(role, str) or not role.isprintable() or len(role) > GOT_LIMIT:
        return known
    return f"map it: speakers={{{role!r}: 'bot'}} (--speaker {shlex.quote(f'{role}=bot')}); {known}"


def _with_transfers(turn: Turn, transfer_tools: set[str]) -> Turn:
    transfers = [event for event in turn.events if event.kind == "tool_call" and event.name in transfer_tools]
    return replace(turn, events=(*turn.events, *(Event("transfer", event.name, event.text) for event in transfers)))


def _reason(error: DataError) -> str:
    """The first problem with at most 60 characters of what was got: messages may hold whole pictures."""
    text = error.problems[0].removeprefix("message 0: ") if error.problems else error.what
    what, mark, got = text.partition("; got ")
    return what + mark + (got if len(got) <= GOT_LIMIT else f"{got[: GOT_LIMIT - 1]}…")


def _id(value: Any, faults: list[Fault]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        faults.append(Fault("id must be text without control characters", value))
        return None
    return value


def _free_id(id: str, seen: Mapping[str, int]) -> str:
    free, number = id, 1
    while free in seen:
        number += 1
        free = f"{id}-{number}"
    return free


def _kept_metadata(
    line: Mapping[str, Any], wanted: Sequence[str], left_out: dict[str, None], faults: list[Fault]
) -> dict[str, Any]:
    given = line.get("metadata") or {}
    if not isinstance(given, dict):
        faults.append(Fault("metadata must be an object", given))
        given = {}
    for key in line:
        if key not in ("messages", "id", "metadata", *wanted) and len(left_out) < 20:
            left_out[shorten(key, 60)] = None
    kept = {**given, **{key: line[key] for key in wanted if key in line}}
    for key, value in kept.items():
        if not (value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
            faults.append(Fault(f"metadata.{shorten(key, 60)} must be text, a number, true, false or null", value))
    return kept
