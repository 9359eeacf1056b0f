"""Text recognition: what tesseract reads in pictures, and what happens where it can't."""

from __future__ import annotations

import dataclasses
import io
import shutil
import subprocess
import threading

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.errors import ConfigError, DataError, MissingPieceError
from llmclf.media import derive, deriving, engine_id, ocr
from llmclf.media.ocr import read_image
from llmclf.media.screenshot import draw_chat
from llmclf.types import Attachment, Event, Turn

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install 'llmclf[media]'")
needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="tesseract is not installed: apt-get install tesseract-ocr"
)
TURNS = (
    Turn("user", "My internet has been down since Tuesday morning. Can you connect me with a person?"),
    Turn("bot", "Sorry to hear that! We can help you right here.", events=(Event("transfer", "technical support"),)),
)


def _png(picture) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _distance(a: str, b: str) -> int:
    """Edits of single characters from one text to the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@needs_tesseract
@pytest.mark.parametrize("shrunk", [1, 2])
def test_a_screenshot_is_read_nearly_without_errors(shrunk: int) -> None:
    """Below 5 % of characters are wrong, also at half the size, because small pictures are enlarged."""
    picture = Image.open(io.BytesIO(draw_chat(TURNS)[0].png)).convert("RGB")
    picture = picture.resize((picture.width // shrunk, picture.height // shrunk), Image.Resampling.LANCZOS)
    read = " ".join(read_image(_png(picture)).split())
    want = f"[0] Customer {TURNS[0].text} [1] Bot {TURNS[1].text} transfers to technical support"
    assert _distance(want, read) / len(want) < 0.05


@needs_tesseract
def test_white_on_transparent_and_blank_pictures() -> None:
    """What can't be seen on white is not read; a blank picture, of one pixel too, holds no words."""
    for size in ((1, 1), (300, 200)):
        assert read_image(_png(Image.new("RGBA", size, (0, 0, 0, 0)))) == ""


@needs_tesseract
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail))
@settings(max_examples=40)
def test_what_is_no_picture_is_an_error(data: bytes) -> None:
    """Any bytes are either read or refused with DataError."""
    with pytest.raises(DataError, match="can't be decoded"):
        read_image(data)


@needs_tesseract
def test_a_picture_that_unpacks_into_too_much_is_refused() -> None:
    """A small file of very many pixels is never unpacked."""
    bomb = _png(Image.new("1", (12_000, 12_000)))
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match=r"too large|can't be decoded"):
        read_image(bomb)
    with pytest.raises(DataError, match="too large"):
        read_image(_png(Image.new("1", (8_000, 6_000))))


@needs_tesseract
def test_a_language_that_is_not_there_is_named() -> None:
    """With the package that holds it; a name that is none can't become an option of the command."""
    with pytest.raises(MissingPieceError, match="apt-get install tesseract-ocr-xyz"):
        read_image(_png(Image.new("L", (9, 9))), "xyz")
    with pytest.raises(MissingPieceError, match="does not have the language"):
        read_image(_png(Image.new("L", (9, 9))), "--help")


def test_without_tesseract_the_error_says_what_to_install(monkeypatch, tmp_path) -> None:
    """It is found before a run, too."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPieceError, match="apt-get install tesseract-ocr"):
        read_image(b"x")
    assert "apt-get install tesseract-ocr" in deriving.missing_pieces("image>text")[0]
    assert deriving.missing_pieces("image") == []


def test_a_program_that_hangs_or_fails_is_an_error(monkeypatch, tmp_path) -> None:
    """A time limit ends it; what it said last is in the message."""
    program = tmp_path / "tesseract"
    langs = 'if [ "$1" = --list-langs ]; then echo "List of"; echo eng; exit; fi\n'
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(ocr, "_SECONDS", 0.3)
    picture = _png(Image.new("L", (9, 9)))
    program.write_text(f"#!/bin/sh\n{langs}exec sleep 20\n")
    program.chmod(0o755)
    with pytest.raises(DataError, match="longer than"):
        read_image(picture)
    program.write_text(f"#!/bin/sh\n{langs}echo started; echo broken data >&2; exit 1\n")
    monkeypatch.setattr(ocr, "_SECONDS", 20)
    with pytest.raises(DataError, match=r"could not read the picture.*broken data"):
        read_image(picture)


@needs_tesseract
def test_the_same_picture_is_read_once(monkeypatch) -> None:
    """However many ask at once, and wherever it stands; another engine would read again."""
    calls: list[list[str]] = []
    real = subprocess.run
    monkeypatch.setattr(ocr.subprocess, "run", lambda command, **more: calls.append(command) or real(command, **more))
    picture = Attachment.from_bytes("image", "image/png", _png(Image.new("L", (40, 40), 200)))
    copies = [dataclasses.replace(picture, path=str(n)) for n in range(6)]
    threads = [threading.Thread(target=derive, args=(copy, "image>text")) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([command for command in calls if "stdin" in command]) == 1
    assert derive(dataclasses.replace(picture, data=None), "image>text") == ""


@needs_tesseract
def test_a_failure_is_not_kept() -> None:
    """What could not be read is tried again when the bytes are there."""
    picture = Attachment.from_bytes("image", "image/png", _png(Image.new("L", (41, 40), 200)))
    with pytest.raises(DataError, match="nowhere"):
        derive(dataclasses.replace(picture, data=None), "image>text")
    assert derive(picture, "image>text") == ""


def test_only_what_fits_is_derived() -> None:
    """A recording is not read, a picture not heard, and an unknown language is no guess."""
    picture = Attachment.from_bytes("image", "image/png", b"")
    for modality in ("audio>text", "image", "text"):
        with pytest.raises(ConfigError, match="no words are derived"):
            derive(picture, modality)
    assert engine_id("image") == engine_id("text") == ""
    with pytest.raises(ConfigError, match="xx"):
        ocr.tesseract_name("xx")


@needs_tesseract
def test_the_engine_is_known_by_program_version_and_language() -> None:
    """It goes into a classifier's settings."""
    assert engine_id("image>text").startswith("tesseract-")
    assert engine_id("image>text").endswith("/eng")
    assert engine_id("image>text", "de").endswith("/deu")
