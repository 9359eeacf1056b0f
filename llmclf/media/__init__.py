"""Recordings and pictures: their bytes, and the words in them. Extra `media`; nothing here uses the network.

files      the bytes of an attachment, from memory or from beside its file, checked
speech     a recording to words, by faster-whisper with pinned weights
ocr        a picture to words, by the system program tesseract
deriving   either of them for an attachment, each recording and picture once in a process
"""

from llmclf.media.deriving import derive, engine_id
from llmclf.media.files import LoadedMedia, attachment_bytes, media_of

__all__ = ["LoadedMedia", "attachment_bytes", "derive", "engine_id", "media_of"]
