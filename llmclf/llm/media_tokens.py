"""How many tokens a picture or recording can be at most: from its header alone, for no vendor in particular.

Vendors count in different ways, and a budget must hold for each of them. So every bound is the most that any
of the known ways gives (vendors' documentation as of November 2026; none was asked):

- pictures: OpenAI's tiles of 512 pixels (85 + 170 each; gpt-4o-mini 2,833 + 5,667 each) and patches of 32
  (at most 10,000, times up to 2.5), Claude's pixels / 750 (at most 4,784), Gemini's tiles (258 each, of at
  least 256 pixels, in at most 3,072 by 3,072; or at most 2,240 in all), Qwen's patches of 28 (at most
  16,384), Pixtral's of 16 (at most 4,160);
- recordings: 10 tokens a second (OpenAI), 32 (Gemini), up to 50 (open models on Whisper's frames).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Literal, Protocol

from llmclf.llm.prices import map_entry

MOST_IMAGE_TOKENS = 50_000
"""A picture whose size can't be read; no known way gives more."""
MOST_AUDIO_TOKENS_PER_SECOND = 50
_LEAST_MP3_BYTES_PER_SECOND = 1000  # 8 kilobits a second is the lowest rate of the format
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class HasBytes(Protocol):
    """A picture or recording with its bytes."""

    @property
    def kind(self) -> Literal["audio", "image"]:
        """Which of both."""

    @property
    def data(self) -> bytes:
        """The file's bytes."""


def media_tokens(media: Iterable[HasBytes], model_id: str = "") -> int:
    """The most tokens that all these pictures and recordings together can be.

    `model_id` leaves out what only gpt-4o-mini does (it counts a picture 33 times as high) where
    litellm's map knows the model and it is another.
    """
    patient = not model_id or "4o-mini" in model_id or map_entry(model_id) is None
    return sum(
        image_tokens(one.data, tiles_are_dear=patient) if one.kind == "image" else audio_tokens(one.data)
        for one in media
    )


def image_tokens(data: bytes, *, tiles_are_dear: bool = True) -> int:
    """The most tokens of a picture: by its pixels (PNG, JPEG, GIF), else `MOST_IMAGE_TOKENS`."""
    size = image_size(data)
    if size is None:
        return MOST_IMAGE_TOKENS
    width, height = size
    base, tile = (2833, 5667) if tiles_are_dear else (85, 170)
    bounds = (
        base + tile * _openai_tiles(width, height),
        math.ceil(2.5 * min(10_000, _patches(width, height, 32))),
        min(4784, math.ceil(width * height / 750)),
        2240,
        258 * _gemini_tiles(width, height),
        min(16_384, _patches(width, height, 28)),
        min(4160, _patches(width, height, 16) + math.ceil(height / 16)),
    )
    return min(MOST_IMAGE_TOKENS, max(bounds))


def audio_tokens(data: bytes) -> int:
    """The most tokens of a recording: by its seconds (WAV, FLAC) or lowest rate (MP3), else every byte a token."""
    seconds = audio_seconds(data)
    if seconds is None:
        return len(data)
    return MOST_AUDIO_TOKENS_PER_SECOND * math.ceil(seconds + 1)


def image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels from the header of a PNG, JPEG or GIF; None where it can't be read."""
    size = None
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) >= 24:
        size = struct.unpack(">II", data[16:24])
    elif data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        size = struct.unpack("<HH", data[6:10])
    elif data[:2] == b"\xff\xd8":
        size = _jpeg_size(data)
    return (int(size[0]), int(size[1])) if size and size[0] and size[1] else None


def audio_seconds(data: bytes) -> float | None:
    """The most seconds a recording can last; None for formats whose header does not tell."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _wav_seconds(data)
    if data[:4] == b"fLaC" and len(data) >= 26:
        packed = int.from_bytes(data[18:26], "big")
        rate, samples = packed >> 44, packed & (1 << 36) - 1
        return samples / rate if rate and samples else None
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 in (0xE2, 0xE4, 0xE6)):
        return len(data) / _LEAST_MP3_BYTES_PER_SECOND
    return None


def _wav_seconds(data: bytes) -> float | None:
    """All bytes at the lowest rate that the header speaks of: the length it states may be that of a stream."""
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt " and at + 24 <= len(data):
            sample_rate, byte_rate, block = struct.unpack("<IIH", data[at + 12 : at + 22])
            rates = [rate for rate in (byte_rate, sample_rate * block) if rate]
            return len(data) / min(rates) if rates else None
        at += 8 + size + size % 2
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a length
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _patches(width: int, height: int, side: int) -> int:
    return math.ceil(width / side) * math.ceil(height / side)


def _openai_tiles(width: int, height: int) -> int:
    """Within 2,048 by 2,048, then the shorter side at most 768, in tiles of 512."""
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    return math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def _gemini_tiles(width: int, height: int) -> int:
    scale = min(1.0, 3072 / max(width, height))
    side = min(768.0, max(256.0, min(width, height) * scale // 1.5))
    return math.ceil(width * scale / side) * math.ceil(height * scale / side)
