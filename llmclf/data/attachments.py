"""Attachments of a conversations file: where their bytes lie, and writing them beside a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from llmclf.data.files import atomic_writer, file_error
from llmclf.media.files import MEDIA_TYPES, attachment_bytes, is_supported
from llmclf.types import Attachment, Conversation, Turn

MEDIA_FOLDER = "media"
"""Beside the conversations file; each file in it is named by its sha256."""


def in_folder(conversation: Conversation, folder: Path) -> Conversation:
    """The conversation with the folder that its attachments' paths are relative to."""
    return _mapped(conversation, lambda one: one if one.path is None else replace(one, folder=folder))


def carried(conversation: Conversation, file: Path) -> Conversation:
    """The conversation as `file` may hold it: bytes in memory, or from elsewhere, are written beside it.

    Beside a pipe nothing can lie: there the conversation stays as it is.

    Raises DataError where bytes can't be had, are others than their digest says, or can't be written.
    """
    if file.exists() and not file.is_file():
        return conversation
    folder = file.parent

    def moved(attachment: Attachment) -> Attachment:
        at_home = attachment.folder is not None and attachment.folder.resolve() == folder.resolve()
        if (attachment.data is None and attachment.folder is None) or (at_home and attachment.path is not None):
            return attachment
        return write_media(attachment, folder)

    return _mapped(conversation, moved)


def write_media(attachment: Attachment, folder: Path) -> Attachment:
    """The attachment with its bytes in `folder`/media/SHA256.ENDING, and the path that says so."""
    data = attachment_bytes(attachment)  # checked: the digest is one, and safe as a name
    ending = MEDIA_TYPES[attachment.media_type][1] if is_supported(attachment) else "bin"
    path = f"{MEDIA_FOLDER}/{attachment.sha256}.{ending}"
    try:
        (folder / MEDIA_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(folder / MEDIA_FOLDER, error, writing=True) from error
    with atomic_writer(folder / path) as file:
        file.write(data)
    return replace(attachment, path=path, folder=folder)


def _mapped(conversation: Conversation, change: Callable[[Attachment], Attachment]) -> Conversation:
    if not any(turn.attachments for turn in conversation.turns):
        return conversation
    turns: list[Turn] = []
    for turn in conversation.turns:
        turns.append(replace(turn, attachments=tuple(change(one) for one in turn.attachments)))
    return replace(conversation, turns=tuple(turns))
