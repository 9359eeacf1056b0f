"""The words in an attachment, each picture and recording once in a process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from llmclf.errors import ConfigError, MissingPieceError
from llmclf.media.files import attachment_bytes, check_media_type
from llmclf.media.ocr import check_ready, read_image, tesseract_name, text_engine_id
from llmclf.media.speech import check_language, speech_engine_id, speech_folder, transcribe
from llmclf.types import Attachment
from llmclf.types.conversation import Modality

_KEPT = 10_000  # texts, the latest
_TEXTS: OrderedDict[tuple[str, str], str] = OrderedDict()
_LOCK = threading.Lock()
_WORKING: dict[tuple[str, str], threading.Lock] = {}


def derive(attachment: Attachment, modality: Modality, language: str = "en") -> str:
    """The words that text recognition reads in a picture, or speech recognition hears in a recording.

    `modality` is `image>text` or `audio>text`, `language` a code of two letters. Takes seconds and
    blocks; the same bytes are read once in a process, however many ask. Raises MissingPieceError
    where a program, package or weights are absent, and DataError for bytes that are absent, are not
    those of the digest or can't be decoded.
    """
    if not modality.endswith(">text") or not modality.startswith(attachment.kind):
        raise ConfigError("no words are derived from this", where=modality, got=attachment.kind)
    key = (attachment.sha256, engine_id(modality, language))
    with _LOCK:
        if key in _TEXTS:
            _TEXTS.move_to_end(key)
            return _TEXTS[key]
        working = _WORKING.setdefault(key, threading.Lock())
    with working:
        with _LOCK:
            if key in _TEXTS:
                return _TEXTS[key]
        try:
            text = _read(attachment, modality, language)
            with _LOCK:
                _TEXTS[key] = text
                if len(_TEXTS) > _KEPT:
                    _TEXTS.popitem(last=False)
        finally:
            with _LOCK:
                _WORKING.pop(key, None)
    return text


def engine_id(modality: Modality, language: str = "en") -> str:
    """What turns media into words: `tesseract-5.3.0/eng`, `faster-whisper-1.2.1/tiny.en`; empty where nothing does.

    It belongs to a classifier's settings: another engine is another classifier. Raises ConfigError
    for a language the engine does not know, MissingPieceError where it is absent.
    """
    if modality == "image>text":
        return f"{text_engine_id()}/{tesseract_name(language)}"
    if modality == "audio>text":
        check_language(language)
        return speech_engine_id()
    return ""


def missing_pieces(modality: Modality, language: str = "en") -> list[str]:
    """What keeps a modality from being used on this machine, one line each with what to do; found before a run."""
    found: list[str] = []
    try:
        engine_id(modality, language)
        if modality == "audio>text":
            speech_folder()
        if modality == "image>text":
            check_ready(tesseract_name(language))
    except (ConfigError, MissingPieceError) as error:
        found.append(str(error))
    return found


def _read(attachment: Attachment, modality: Modality, language: str) -> str:
    check_media_type(attachment)
    data = attachment_bytes(attachment)
    if modality == "image>text":
        return read_image(data, tesseract_name(language))
    return transcribe(data, attachment.media_type, language)


def _after_fork() -> None:
    """A lock that another thread of the parent held would never be given back here."""
    global _LOCK
    _LOCK = threading.Lock()
    _WORKING.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
