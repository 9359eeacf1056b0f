"""Attachments and their bytes: kept out of files and hashes, found beside a file, never outside it."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pickle
from pathlib import Path

import pytest

from llmclf.cli import run
from llmclf.data.check import check
from llmclf.data.read import read_conversations
from llmclf.data.write import write_conversations
from llmclf.errors import DataError
from llmclf.media import attachment_bytes, media_of
from llmclf.media.files import MAX_BYTES, AttachmentError
from llmclf.render import transcript
from llmclf.types import Attachment, Conversation, Turn, content_hash

DATA = b"\x89PNG\r\n not really"
PICTURE = Attachment.from_bytes("image", "image/png", DATA)


def _line(**attachment: object) -> str:
    row = {"kind": "image", "media_type": "image/png", "sha256": PICTURE.sha256, **attachment}
    return json.dumps({"id": "c1", "turns": [{"speaker": "user", "text": "look", "attachments": [row]}]})


def _written(folder: Path, /, **attachment: object) -> Attachment:
    """The attachment of a conversation that was read from a file in `folder`."""
    (folder / "chats.jsonl").write_text(_line(**attachment))
    return read_conversations(folder / "chats.jsonl").conversations[0].turns[0].attachments[0]


def test_bytes_and_places_are_in_memory_only() -> None:
    """They are neither compared, hashed, printed nor written; the digest says what the attachment is."""
    bare = Attachment("image", "image/png", PICTURE.sha256)
    placed = dataclasses.replace(PICTURE, path="a.png", folder=Path("/x"))
    assert bare == PICTURE == placed
    assert len({bare, PICTURE, placed}) == 1
    assert content_hash(bare) == content_hash(PICTURE) == content_hash(placed)
    assert "PNG" not in repr(PICTURE)
    written = Conversation("c", (Turn("user", attachments=(placed,)),)).to_dict()["turns"][0]["attachments"]
    assert written == [{"kind": "image", "media_type": "image/png", "sha256": PICTURE.sha256, "path": "a.png"}]
    assert pickle.loads(pickle.dumps(PICTURE)).data == DATA
    assert content_hash(dataclasses.replace(PICTURE, rendered=1)) != content_hash(PICTURE)


def test_chat_messages_bring_their_bytes(tmp_path: Path) -> None:
    """A picture in a message can be sent on, and is written beside the file with the conversation."""
    url = f"data:image/png;base64,{base64.b64encode(DATA).decode()}"
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    conversation = Conversation.from_messages(messages, id="c1")
    assert attachment_bytes(conversation.turns[0].attachments[0]) == DATA
    write_conversations(tmp_path / "chats.jsonl", [conversation])
    assert (tmp_path / "media" / f"{PICTURE.sha256}.png").read_bytes() == DATA
    back = read_conversations(tmp_path / "chats.jsonl").conversations[0]
    assert back == conversation
    assert back.content_hash == conversation.content_hash
    assert attachment_bytes(back.turns[0].attachments[0]) == DATA


def test_media_come_along_into_another_folder(tmp_path: Path) -> None:
    """What is read here and written there (a split, for instance) takes its files with it."""
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "deep" / "x.png").write_bytes(DATA)
    _written(tmp_path / "a", path="deep/x.png")
    write_conversations(
        tmp_path / "b" / "chats.jsonl", read_conversations(tmp_path / "a" / "chats.jsonl").conversations
    )
    (tmp_path / "a" / "deep" / "x.png").unlink()
    back = read_conversations(tmp_path / "b" / "chats.jsonl").conversations[0].turns[0].attachments[0]
    assert attachment_bytes(back) == DATA
    with pytest.raises(DataError, match=r"c1.*can't be read"):
        write_conversations(
            tmp_path / "b" / "again.jsonl", read_conversations(tmp_path / "a" / "chats.jsonl").conversations
        )
    assert not (tmp_path / "b" / "again.jsonl").exists()


@pytest.mark.parametrize("key", ["data", "folder"])
@pytest.mark.parametrize("value", ["AAAA", None])
def test_a_file_can_not_bring_bytes_or_a_folder(tmp_path: Path, key: str, value: object) -> None:
    """Both are unknown keys there: a file could name a folder of its choice."""
    with pytest.raises(DataError, match=rf"unknown key turns\[0\].attachments\[0\].{key}"):
        _written(tmp_path, **{key: value})


@pytest.mark.parametrize("rendered", [-1, 2, 10**30])
def test_a_page_can_not_hold_more_turns_than_there_are(tmp_path: Path, rendered: int) -> None:
    """`rendered` counts turns from its own on."""
    with pytest.raises(DataError, match="rendered must be from 0 to the turns that are left"):
        _written(tmp_path, rendered=rendered)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../secret.png",
        "media/../../secret.png",
        "link.png",
        "linked/secret.png",
        "C:\\x",
        "a\0b",
        "//h/s",
    ],
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    """Absolute, climbing and linked paths are refused before anything is opened."""
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(DATA)
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "linked").symlink_to(tmp_path)
    with pytest.raises(AttachmentError, match=r"leads out of the folder|can't be followed") as caught:
        attachment_bytes(_written(inside, path=path))
    assert caught.value.trouble == "outside"


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    """What counts is where the file really lies."""
    (tmp_path / "real.png").write_bytes(DATA)
    (tmp_path / "link.png").symlink_to("real.png")
    assert attachment_bytes(_written(tmp_path, path="link.png")) == DATA


def test_other_bytes_than_the_digest_names_are_refused(tmp_path: Path) -> None:
    """On disk and in memory; the message gives neither bytes nor their digest away."""
    (tmp_path / "x.png").write_bytes(b"pin 1234")
    with pytest.raises(AttachmentError, match="not those the digest names") as caught:
        attachment_bytes(_written(tmp_path, path="x.png"))
    assert "1234" not in str(caught.value)
    with pytest.raises(AttachmentError, match="not those"):
        attachment_bytes(dataclasses.replace(PICTURE, data=b"other"))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, and a file without end are errors and no waiting."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name in ("folder", "pipe", "huge", "missing", "x" * 5000):
        with pytest.raises(AttachmentError) as caught:
            attachment_bytes(_written(tmp_path, path=name))
        assert len(str(caught.value)) < 400


def test_bytes_that_are_nowhere_are_an_error() -> None:
    """No path, or a path without a folder to start from."""
    with pytest.raises(AttachmentError, match="nowhere"):
        attachment_bytes(Attachment("image", "image/png", "0" * 64))
    with pytest.raises(AttachmentError, match="folder of its file is not known"):
        attachment_bytes(Attachment("image", "image/png", "0" * 64, "x.png"))


def test_media_are_sent_in_the_order_of_their_numbers() -> None:
    """With kind, media type, digest and bytes; a type no model takes is an error before anything is sent."""
    turns = (Turn("user", "a", attachments=(PICTURE,)), Turn("user", "b", attachments=(PICTURE,)))
    found = media_of(transcript(turns, modality="image"))
    assert found == [("image", "image/png", PICTURE.sha256, DATA)] * 2
    for odd in ("image/svg+xml", "audio/wav", "IMAGE/PNG", ""):
        bad = (Turn("user", attachments=(dataclasses.replace(PICTURE, media_type=odd),)),)
        with pytest.raises(AttachmentError, match="media type"):
            media_of(transcript(bad, modality="image"))


def test_check_tells_of_media_that_are_missing_changed_outside_or_of_no_use(tmp_path: Path, capsys) -> None:
    """Each kind of trouble is a finding with the turns concerned; the command ends with 1 for errors."""
    (tmp_path / "good.png").write_bytes(DATA)
    (tmp_path / "changed.png").write_bytes(b"x")
    names = {"ok": "good.png", "gone": "gone.png", "new": "changed.png", "out": "../x.png"}
    lines = [_line(path=path).replace('"c1"', f'"{id}"') for id, path in names.items()]
    lines.append(_line(path="good.png", media_type="image/bmp").replace('"c1"', '"bmp"'))
    (tmp_path / "chats.jsonl").write_text("\n".join(lines))
    report = check(read_conversations(tmp_path / "chats.jsonl"))
    troubles = {"missing_media": "gone", "changed_media": "new", "media_outside": "out", "unusable_media": "bmp"}
    for kind, id in troubles.items():
        finding = report.of(kind)
        assert finding is not None
        assert finding.ids == (f"{id}[0]",)
    assert run(["data", "check", str(tmp_path / "chats.jsonl")]) == 1
    assert "changed_media" in capsys.readouterr().out
