"""A picture to words: the system program tesseract, on this machine."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import shutil
import subprocess
from typing import Any

from llmclf.errors import ConfigError, DataError, MissingPieceError

MAX_PIXELS = 40_000_000
"""The largest picture, so that a few bytes can't unpack into all the memory there is."""
_WHERE = "text recognition"
_SECONDS = 120
_SMALL = 3_000_000  # pixels: below it a picture is doubled, as tesseract reads letters of about 30 pixels best
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def read_image(data: bytes, language: str = "eng") -> str:
    """The words in a picture, lines as tesseract finds them; empty where there are none.

    `language` is tesseract's name of one (`eng`, `deu`), or several joined by `+`. Runs on this
    machine without a network, a second or so for a screenshot; the same bytes give the same words.
    Raises MissingPieceError where tesseract, its language or Pillow is absent, DataError for what is
    no picture that can be decoded, is too large or takes longer than two minutes.
    """
    check_ready(language)
    command = [_program(), "stdin", "stdout", "-l", language, "--psm", "3"]
    try:
        done = subprocess.run(
            command,
            input=_prepared(data),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # more threads are slower on small pictures
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"the picture took longer than {_SECONDS} seconds", where=_WHERE) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason"]
        raise DataError("tesseract could not read the picture", where=_WHERE, got=said[-1][:100])
    lines = (line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines())
    return "\n".join(line for line in lines if line)


def check_ready(language: str = "eng") -> None:
    """Raises MissingPieceError where tesseract, its data for a language, or Pillow is absent."""
    absent = sorted(set(language.split("+")) - _languages(_program()))
    if absent:
        names = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in absent)
        fix = f"apt-get install {names}" if all(name.isidentifier() for name in absent) else ""
        raise MissingPieceError("tesseract does not have the language", where=_WHERE, got=language, fix=fix)
    if importlib.util.find_spec("PIL") is None:
        raise MissingPieceError("text recognition needs the package Pillow", fix="pip install 'llmclf[media]'")


def text_engine_id() -> str:
    """Program and version: equal ids give equal words. MissingPieceError where it is absent."""
    return _version(_program())


def tesseract_name(language: str) -> str:
    """Tesseract's name of a language of two letters: `en` is `eng`. ConfigError for one it has no name for here."""
    if language not in _NAMES:
        raise ConfigError(
            "no name of this language for tesseract is known", where="language", got=language, fix=", ".join(_NAMES)
        )
    return _NAMES[language]


_NAMES = {
    "ar": "ara",
    "cs": "ces",
    "da": "dan",
    "de": "deu",
    "el": "ell",
    "en": "eng",
    "es": "spa",
    "fi": "fin",
    "fr": "fra",
    "he": "heb",
    "hi": "hin",
    "hu": "hun",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "nl": "nld",
    "no": "nor",
    "pl": "pol",
    "pt": "por",
    "ro": "ron",
    "ru": "rus",
    "sv": "swe",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "vi": "vie",
    "zh": "chi_sim",
}


def _program() -> str:
    found = shutil.which("tesseract")
    if found is None:
        raise MissingPieceError(
            "text recognition needs the program tesseract", fix="apt-get install tesseract-ocr (macOS: brew)"
        )
    return found


@functools.cache
def _version(program: str) -> str:
    run = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    first = (run.stdout or run.stderr).split("\n", 1)[0].split()
    return "-".join(first[:2]) or "tesseract"


@functools.cache
def _languages(program: str) -> frozenset[str]:
    run = subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=False)
    return frozenset(run.stdout.split("\n")[1:]) - {"", "osd"}


def _prepared(data: bytes) -> bytes:
    """The picture decoded, on white, grey, doubled where it is small; as an uncompressed file for tesseract."""
    picture = _decoded(data)
    if picture.width * picture.height < _SMALL:
        from PIL import Image

        picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PPM")  # of a grey picture that is PGM: no compression, nothing to go wrong
    return out.getvalue()


def _decoded(data: bytes) -> Any:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            size = opened.width * opened.height
            if 0 < size <= MAX_PIXELS:
                colours = opened.convert("RGBA")
    except Exception as error:  # decoders raise all sorts of errors for hostile bytes
        raise DataError("the picture can't be decoded", where=_WHERE, got=type(error).__name__) from error
    if not 0 < size <= MAX_PIXELS:
        raise DataError("the picture is too large", where=_WHERE, got=size, fix=f"at most {MAX_PIXELS:,} pixels")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("L")
