"""The bytes of an attachment: from memory, or from a file beside the conversations, and checked."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal, NamedTuple

from llmclf.errors import DataError, shorten
from llmclf.render import Transcript
from llmclf.types import Attachment
from llmclf.types.conversation import AttachmentKind

MEDIA_TYPES: dict[str, tuple[AttachmentKind, str]] = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpg"),
    "image/webp": ("image", "webp"),
    "image/gif": ("image", "gif"),
    "audio/wav": ("audio", "wav"),
    "audio/x-wav": ("audio", "wav"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/mp3": ("audio", "mp3"),
    "audio/mp4": ("audio", "m4a"),
    "audio/m4a": ("audio", "m4a"),
    "audio/ogg": ("audio", "ogg"),
    "audio/opus": ("audio", "opus"),
    "audio/flac": ("audio", "flac"),
    "audio/webm": ("audio", "webm"),
}
"""Media type to (kind, ending of a file's name): what llmclf sends on or reads."""

MAX_BYTES = 50_000_000
"""No attachment is larger: it would be held in memory, and no vendor takes more."""


Trouble = Literal["missing", "changed", "outside", "unusable"]


class AttachmentError(DataError):
    """The bytes of an attachment can't be had: they are missing, others than the digest says, outside or unusable."""

    def __init__(self, trouble: Trouble, what: str, *, where: str = "", got: object = None, fix: str = "") -> None:
        self.trouble: Trouble = trouble
        super().__init__(what, where=where, got=got, fix=fix)


class LoadedMedia(NamedTuple):
    """A picture or recording with its bytes, as a model's route sends it."""

    kind: AttachmentKind
    media_type: str
    sha256: str
    data: bytes


def attachment_bytes(attachment: Attachment, folder: Path | None = None) -> bytes:
    """The bytes of an attachment: those it holds, else those of the file at its path.

    `folder` is what the path is relative to; by default the one the conversation was read from.
    Raises AttachmentError where there are no bytes, where they are others than the digest says, where the
    file is no regular file or above 50 MB, and for a path that leads out of the folder: absolute,
    with `..`, or through a symbolic link. A conversations file can so name only what lies beside it,
    and of that only what its writer knew already, to the last byte.
    """
    where = f"{attachment.kind} {shorten(attachment.path or attachment.sha256, 60)}"
    if attachment.data is not None:
        data = attachment.data
    elif attachment.path is None:
        raise AttachmentError("missing", "its bytes are nowhere: no path, and none in memory", where=where)
    else:
        base = attachment.folder if folder is None else folder
        if base is None:
            raise AttachmentError(
                "missing", "the folder of its file is not known", where=where, fix="give the folder it lies in"
            )
        data = _read(_safe(attachment.path, base, where), where)
    if hashlib.sha256(data).hexdigest() != attachment.sha256:
        raise AttachmentError(
            "changed", "the bytes are not those the digest names", where=where, fix="put the right file back"
        )
    return data


def media_of(made: Transcript) -> list[LoadedMedia]:
    """What goes to a model beside a transcript's text, with the bytes, in the order the text numbers it.

    Raises AttachmentError as `attachment_bytes`, and for a media type that is not in `MEDIA_TYPES`.
    """
    found = []
    for attachment in made.media:
        check_media_type(attachment)
        data = attachment_bytes(attachment)
        found.append(LoadedMedia(attachment.kind, attachment.media_type, attachment.sha256, data))
    return found


def check_media_type(attachment: Attachment) -> None:
    """Raises AttachmentError where llmclf can't send the attachment on, nor read it."""
    if not is_supported(attachment):
        known = [name for name, (kind, _) in MEDIA_TYPES.items() if kind == attachment.kind]
        raise AttachmentError(
            "unusable",
            f"this media type is not one of an {attachment.kind} that can be used",
            where=shorten(attachment.path or attachment.sha256, 60),
            got=attachment.media_type,
            fix=f"known: {', '.join(known)}",
        )


def is_supported(attachment: Attachment) -> bool:
    """True where the media type is known and of the attachment's kind."""
    known = MEDIA_TYPES.get(attachment.media_type)
    return known is not None and known[0] == attachment.kind


def _safe(path: str, folder: Path, where: str) -> Path:
    """The real file a path of a conversations file names; never one outside `folder`."""
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    outside = posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in path
    if not outside:
        try:
            root = folder.resolve()
            real = (root / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise AttachmentError("outside", "its path can't be followed", where=where) from error
        if real.is_relative_to(root):
            return real
    raise AttachmentError(
        "outside", "its path leads out of the folder of its file", where=where, fix="put it beside the file"
    )


def _read(path: Path, where: str) -> bytes:
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer
        with os.fdopen(opened, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise AttachmentError("unusable", "it is no regular file", where=where)
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise AttachmentError("missing", f"its file can't be read ({error.strerror or error})", where=where) from error
    if len(data) > MAX_BYTES:
        raise AttachmentError(
            "unusable", "it is too large", where=where, got=found.st_size, fix=f"at most {MAX_BYTES:,} bytes"
        )
    return data
