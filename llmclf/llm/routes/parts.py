"""A message's words, pictures and recordings as OpenAI's chat interface writes them.

The body that is hashed and stored holds `sha256:...` in place of the bytes; they are put in when it is sent.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from llmclf.llm.model import Media, Message, Request

_AUDIO_FORMATS = {
    "mpeg": "mp3",
    "mp3": "mp3",
    "mp4": "m4a",
    "x-m4a": "m4a",
    "wave": "wav",
    "vnd.wave": "wav",
    "x-wav": "wav",
    "x-flac": "flac",
}
"""Media subtypes whose short name differs."""


def content_parts(message: Message) -> str | list[dict[str, Any]]:
    """The content of a message: its words alone, or a list of parts, the words first.

    Each picture or recording follows a part that names it: `image 1:`, `image 2:`, `audio 1:`.
    """
    if not message.media:
        return message.content
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    counts = {"image": 0, "audio": 0}
    for media in message.media:
        counts[media.kind] += 1
        parts.append({"type": "text", "text": f"{media.kind} {counts[media.kind]}:"})
        parts.append(_part(media, _digest(media)))
    return parts


def with_data(body: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """`body` with the bytes of the request's pictures and recordings where it holds their digests.

    A picture becomes a `data:` URL, a recording base64 text. `body` itself stays as it is.
    """
    media = {_digest(media): media for message in request.messages for media in message.media}
    if not media:
        return dict(body)
    messages = [{**message, "content": _filled(message["content"], media)} for message in body["messages"]]
    return {**body, "messages": messages}


def audio_format(media_type: str) -> str:
    """A recording's format as OpenAI names it: `wav` for `audio/x-wav`, `mp3` for `audio/mpeg`."""
    subtype = media_type.partition("/")[2].partition(";")[0].strip().lower()
    return _AUDIO_FORMATS.get(subtype, subtype)


def _filled(content: Any, media: Mapping[str, Media]) -> Any:
    if not isinstance(content, list):
        return content
    return [
        _part(media[digest], _data(media[digest])) if (digest := _named(part)) in media else part for part in content
    ]


def _named(part: Mapping[str, Any]) -> str:
    """The digest that a part holds; empty where it is text."""
    inner = part.get("image_url") or part.get("input_audio") or {}
    return str(inner.get("url") or inner.get("data") or "")


def _part(media: Media, data: str) -> dict[str, Any]:
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": data}}
    return {"type": "input_audio", "input_audio": {"data": data, "format": audio_format(media.media_type)}}


def _digest(media: Media) -> str:
    return f"sha256:{media.sha256}"


def _data(media: Media) -> str:
    text = base64.b64encode(media.data).decode("ascii")
    return f"data:{media.media_type};base64,{text}" if media.kind == "image" else text
