"""A recording to samples, by the libraries of ffmpeg."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from llmclf.errors import DataError

MAX_SECONDS = 3600
"""The longest recording: its samples are held in memory, 230 MB an hour."""
RATE = 16_000
"""Samples a second, as Whisper takes them."""
_SILENCE = 1e-3  # of full scale: below it Whisper makes words up
_WHERE = "speech recognition"
_CONTAINERS = {"m4a": "mp4", "opus": "ogg"}  # ending to ffmpeg's name of the container, where it is another

Samples = npt.NDArray[np.float32]


def samples_of(data: bytes, ending: str) -> Samples:
    """A recording as 16 kHz mono samples from -1 to 1; `ending` is that of a file of its container (`wav`, `mp3`).

    Raises DataError where it can't be decoded, holds no sound track, or is longer than an hour.
    """
    import av

    parts: list[Samples] = []
    left = MAX_SECONDS * RATE
    try:
        # The container is named, never guessed: a guessed one may be a playlist that opens files and addresses.
        name = _CONTAINERS.get(ending, ending)
        container: Any
        with av.open(io.BytesIO(data), format=name, metadata_errors="ignore") as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in itertools.chain(container.decode(audio=0), [None]):
                for made in resampler.resample(frame):
                    parts.append(made.to_ndarray().reshape(-1).astype(np.float32) / 32768.0)
                    left -= parts[-1].size
                if left < 0:
                    raise DataError("the recording is too long", where=_WHERE, fix=f"at most {MAX_SECONDS} seconds")
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise DataError("the recording can't be decoded", where=_WHERE, got=str(error)[:100]) from error
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def is_silent(samples: Samples) -> bool:
    """True where nothing can be heard."""
    return samples.size == 0 or float(np.abs(samples).max()) < _SILENCE
