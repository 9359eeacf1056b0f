"""Words spoken by the system program espeak-ng: WAV recordings, one voice for each speaker."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave

import numpy as np

from llmclf.errors import DataError, MissingPieceError
from llmclf.types import Speaker

MAX_SPOKEN = 20_000
"""The longest text that is spoken: about 20 minutes."""
RATE = 16_000
"""Samples a second, as speech recognition takes them."""
_SECONDS = 120
_VOICES: dict[Speaker, str] = {
    "user": "en-us",
    "bot": "en-us+f3",
    "human_agent": "en-gb+m3",
    "system": "en-us+f2",
    "tool": "en-us+m1",
}


def speak(text: str, speaker: Speaker) -> bytes:
    """A WAV recording of an English text, 16 kHz mono, 16 bits; the same espeak-ng gives the same bytes.

    Raises MissingPieceError where espeak-ng is absent, DataError for a text above 20,000 characters
    or one that it can't speak.
    """
    if len(text) > MAX_SPOKEN:
        raise DataError("the text is too long to speak", got=len(text), fix=f"at most {MAX_SPOKEN:,} letters")
    words = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    try:
        done = subprocess.run(
            [_program(), "-v", _VOICES[speaker], "-b", "1", "--stdin", "--stdout"],  # -b 1: the text is UTF-8
            input=words.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"speaking took longer than {_SECONDS} seconds", where="espeak-ng") from None
    if done.returncode != 0 or len(done.stdout) < 44:
        said = done.stderr.decode("utf-8", "replace").strip()[:100]
        raise DataError("espeak-ng could not speak the text", where="espeak-ng", got=said or "no sound")
    return _at_16_khz(done.stdout)


def _at_16_khz(recording: bytes) -> bytes:
    from scipy.signal import resample_poly

    with wave.open(io.BytesIO(recording)) as source:
        rate = source.getframerate()
        samples = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
    common = int(np.gcd(rate, RATE))
    made = resample_poly(samples.astype(np.float64), RATE // common, rate // common)
    out = io.BytesIO()
    with wave.open(out, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(np.clip(np.rint(made), -32768, 32767).astype("<i2").tobytes())
    return out.getvalue()


def _program() -> str:
    found = shutil.which("espeak-ng")
    if found is None:
        raise MissingPieceError("speaking needs the program espeak-ng", fix="apt-get install espeak-ng (macOS: brew)")
    return found
