"""Recordings and pictures that are not there, are others than they were, or can't be used."""

from __future__ import annotations

from collections.abc import Sequence

from llmclf.data.checks.findings import Finding, finding
from llmclf.media.files import AttachmentError, Trouble, attachment_bytes, check_media_type
from llmclf.types import Conversation


def attachment_findings(conversations: Sequence[Conversation]) -> list[Finding]:
    """What is wrong with the attachments of each turn; every file is read and its digest checked."""
    found: dict[Trouble, list[str]] = {"missing": [], "changed": [], "outside": [], "unusable": []}
    for conversation in conversations:
        for number, turn in enumerate(conversation.turns):
            for attachment in turn.attachments:
                try:
                    check_media_type(attachment)
                    attachment_bytes(attachment)
                except AttachmentError as error:
                    found[error.trouble].append(f"{conversation.id}[{number}]")
    return [
        *finding(
            "missing_media",
            "warning",
            found["missing"],
            "have a recording or picture whose file is not there: their words can be used, image and audio can't. "
            "Put the files beside the conversations, where `path` says.",
        ),
        *finding(
            "changed_media",
            "error",
            found["changed"],
            "have a recording or picture with other bytes than its sha256 says. Put the right file back.",
        ),
        *finding(
            "media_outside",
            "error",
            found["outside"],
            "have a path that leads out of the folder of the conversations file; it is never followed. "
            "Put the file beside the conversations.",
        ),
        *finding(
            "unusable_media",
            "warning",
            found["unusable"],
            "have a media type that llmclf can't send or read, or a file that is no regular one or above 50 MB.",
        ),
    ]
