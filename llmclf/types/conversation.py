"""Conversations: turns of people, bots and tools, with what happened beside the words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from llmclf.errors import DataError, nearest, shorten
from llmclf.types.hashing import content_hash, plain

Speaker = Literal["user", "bot", "human_agent", "system", "tool"]
EventKind = Literal["tool_call", "tool_result", "transfer", "queue", "hang_up"]
SPEAKERS: tuple[Speaker, ...] = get_args(Speaker)
AttachmentKind = Literal["audio", "image"]
Modality = Literal["text", "image", "audio", "image>text", "audio>text"]
"""How a conversation reaches a model: its words; its pictures or recordings as they are; or the words that
text recognition reads in its pictures, that speech recognition hears in its recordings."""
MODALITIES: tuple[Modality, ...] = get_args(Modality)

_ROLE_TO_SPEAKER: dict[str, Speaker] = {
    "user": "user",
    "assistant": "bot",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
_SPEAKER_TO_ROLE = {
    "user": "user",
    "bot": "assistant",
    "human_agent": "assistant",
    "system": "system",
    "tool": "tool",
}
_STRICT = {"extra": "forbid"}  # read by pydantic where a file is parsed; costs nothing here


@dataclass(frozen=True, slots=True)
class Attachment:
    """A recording or picture that belongs to a turn: its bytes are kept by their sha256."""

    __pydantic_config__ = _STRICT

    kind: AttachmentKind
    media_type: str
    """For instance `audio/wav` or `image/png`."""
    sha256: str
    """Hex digest of the bytes; the same recording is the same attachment wherever it stands."""
    path: str | None = field(default=None, compare=False, metadata={"hashed": False})
    """Where the bytes lie, relative to the file the conversation came from."""
    rendered: int = 0
    """How many turns, from its own on, llmclf drew or spoke in it; 0: a picture or recording that really was there."""
    data: bytes | None = field(default=None, compare=False, repr=False, metadata={"stored": False})
    """The bytes, where they are in memory: never part of a file, of a hash, or of what is printed."""
    folder: Path | None = field(default=None, compare=False, repr=False, metadata={"stored": False})
    """The folder `path` is relative to; set by whoever read the file."""

    @classmethod
    def from_bytes(cls, kind: AttachmentKind, media_type: str, data: bytes, *, rendered: int = 0) -> Attachment:
        """The attachment of `data`, named by its digest, with the bytes."""
        return cls(kind, media_type, hashlib.sha256(data).hexdigest(), rendered=rendered, data=data)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened beside the words: a tool call and its result, a transfer, a queue, a hang-up.

    A transfer that was really done is often only this.
    """

    __pydantic_config__ = _STRICT

    kind: EventKind
    name: str = ""
    """The tool, team or queue."""
    text: str = ""
    """Arguments, result or reason, as text."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One contribution of one speaker. It may hold words, events, attachments, or any of them."""

    __pydantic_config__ = _STRICT

    speaker: Speaker
    text: str = ""
    speaker_id: str | None = None
    """Which of several bots, agents or tools spoke."""
    time: datetime | None = None
    attachments: tuple[Attachment, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True where nothing was said, sent or done."""
        return not (self.text.strip() or self.events or self.attachments)


@dataclass(frozen=True)
class Conversation:
    """What was said between a customer and a product, oldest turn first. Turns count from 0.

    >>> Conversation("c1", (Turn("user", "Is anyone there?"), Turn("bot", "Of course!"))).turns[1].speaker
    'bot'
    """

    __pydantic_config__ = _STRICT

    id: str
    turns: tuple[Turn, ...] = ()
    started_at: datetime | None = None
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict, hash=False)
    """Anything worth slicing by: channel, language, product, agent version."""

    @cached_property
    def content_hash(self) -> str:
        """Sha256 of turns alone: the same words are the same content under any id."""
        return content_hash(self.turns)

    @property
    def is_empty(self) -> bool:
        """True where no turn holds anything: a crashed or lost run, never a negative."""
        return all(turn.is_empty for turn in self.turns)

    @classmethod
    def from_messages(
        cls,
        messages: Iterable[Mapping[str, Any]],
        id: str | None = None,
        *,
        metadata: Mapping[str, str | int | float | bool | None] | None = None,
    ) -> Conversation:
        """The conversation of OpenAI-style chat messages (`role`, `content`, `tool_calls`).

        Roles become speakers (assistant: bot, developer: system, function: tool). Tool calls become
        `tool_call` events of the turn that made them, and a tool's message becomes a `tool_result`
        event with its text. Content parts of type text are joined; audio and image parts given as
        data URLs become attachments that hold their bytes. `id` defaults to a hash of the turns.

        Raises DataError that lists every message it can't read.
        """
        turns: list[Turn] = []
        problems: list[str] = []
        for index, message in enumerate(messages):
            try:
                turns.append(_turn_of_message(message))
            except DataError as error:
                problems.append(f"message {index}: {error}")
        if problems:
            raise DataError("messages can't be read", where=id or "from_messages", problems=problems)
        return cls(
            id=id or content_hash(tuple(turns))[:16],
            turns=tuple(turns),
            metadata=dict(metadata or {}),
        )

    def to_messages(self) -> list[dict[str, Any]]:
        """OpenAI-style chat messages; the way back from `from_messages` for text and tools.

        A human agent becomes role `assistant` with `name` "human_agent"; transfers, queues and
        hang-ups have no message form and are left out.
        """
        unanswered: list[tuple[str, str]] = []
        return [_message_of_turn(turn, index, unanswered) for index, turn in enumerate(self.turns)]

    def to_dict(self) -> dict[str, Any]:
        """The conversation as JSON types, as one line of a conversations file holds it."""
        return dict(plain(self))


def _turn_of_message(message: Any) -> Turn:
    if not isinstance(message, Mapping):
        raise DataError("a message must be an object", got=message)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLE_TO_SPEAKER:
        raise DataError("unknown role", got=role, fix=nearest(str(role), list(_ROLE_TO_SPEAKER)))
    speaker = _ROLE_TO_SPEAKER[role]
    if role == "assistant" and message.get("name") == "human_agent":
        speaker = "human_agent"
    text, attachments = _content(message.get("content"))
    events = _tool_calls(message.get("tool_calls"))
    name = message.get("name")
    if speaker == "tool":
        result_name = str(name if name is not None else message.get("tool_call_id") or "")
        return Turn("tool", events=(Event("tool_result", result_name, text),), attachments=attachments)
    return Turn(
        speaker,
        text,
        speaker_id=str(name) if name and speaker != "human_agent" else None,
        attachments=attachments,
        events=tuple(events),
    )


def _content(content: Any) -> tuple[str, tuple[Attachment, ...]]:
    if content is None:
        return "", ()
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, Sequence):
        raise DataError("content must be text or a list of parts", got=content)
    texts: list[str] = []
    attachments: list[Attachment] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "image_url":
            attachments.append(_data_url("image", part.get("image_url")))
        elif kind == "input_audio":
            attachments.append(_audio(part.get("input_audio")))
        else:
            raise DataError("content part can't be read", got=part, fix="known: text, image_url, input_audio")
    return "\n".join(texts), tuple(attachments)


def _data_url(kind: AttachmentKind, image_url: Any) -> Attachment:
    url = str(image_url.get("url", "") if isinstance(image_url, Mapping) else image_url)
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:") or not data:
        raise DataError("an image must be a data URL with base64", got=shorten(url, 60))
    return _base64(kind, head[len("data:") :], data)


def _audio(audio: Any) -> Attachment:
    if not isinstance(audio, Mapping) or not all(isinstance(audio.get(key), str) for key in ("format", "data")):
        raise DataError("input_audio must hold `format` and `data`", got=audio)
    return _base64("audio", f"audio/{audio['format']}", audio["data"])


def _base64(kind: AttachmentKind, media_type: str, data: str) -> Attachment:
    import base64

    try:
        return Attachment.from_bytes(kind, media_type, base64.b64decode(data, validate=True))
    except ValueError as error:  # binascii.Error is one; letters beyond ASCII are another
        raise DataError(f"{kind} data is not base64: {error}") from error


def _tool_calls(calls: Any) -> list[Event]:
    if calls is None:
        return []
    if isinstance(calls, str | Mapping) or not isinstance(calls, Sequence):
        raise DataError("tool_calls must be a list", got=calls)
    return [_tool_call(call) for call in calls]


def _tool_call(call: Any) -> Event:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise DataError("a tool call must hold a function", got=call)
    arguments = function.get("arguments", "")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return Event("tool_call", str(function.get("name") or ""), text)


def _message_of_turn(turn: Turn, index: int, unanswered: list[tuple[str, str]]) -> dict[str, Any]:
    """The message of one turn. `unanswered` holds (tool, id) of the calls no result has come for yet."""
    message: dict[str, Any] = {"role": _SPEAKER_TO_ROLE[turn.speaker], "content": turn.text}
    results = [event for event in turn.events if event.kind == "tool_result"]
    calls = [event for event in turn.events if event.kind == "tool_call"]
    if turn.speaker == "tool" and results:
        message["content"] = "\n".join(event.text for event in results)
        message["name"] = results[0].name
        message["tool_call_id"] = _answered_call(results[0].name, unanswered)
    elif calls:
        ids = [f"call_{index}_{number}" for number in range(len(calls))]
        unanswered.extend((call.name, id) for call, id in zip(calls, ids, strict=True))
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
            for call, id in zip(calls, ids, strict=True)
        ]
    if turn.speaker == "human_agent":
        message["name"] = "human_agent"
    elif turn.speaker_id and turn.speaker != "tool":
        message["name"] = turn.speaker_id
    return message


def _answered_call(tool: str, unanswered: list[tuple[str, str]]) -> str:
    """The id of the call a result belongs to: the first open one of that tool, else the first open one."""
    place = next((place for place, (name, _) in enumerate(unanswered) if name == tool), 0)
    return unanswered.pop(place)[1] if unanswered else tool
