"""`llmclf data render`: a dataset's words as chat screenshots or speech, in files that are read back."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.cli import run
from llmclf.data.loading import load_dataset
from llmclf.data.rendering import render_dataset
from llmclf.errors import ConfigError, DataError, MissingPieceError
from llmclf.media import attachment_bytes, media_of
from llmclf.media.screenshot import MAX_CHARACTERS, MAX_HEIGHT, WIDTH, cannot_draw, draw_chat
from llmclf.render import transcript
from llmclf.types import SPEAKERS, Attachment, Conversation, Dataset, Event, Example, Turn, dataset_of

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install 'llmclf[media]'")
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed: apt-get install espeak-ng"
)
TURNS = (
    Turn("user", "I want a person, my e-mail is ana@example.org"),
    Turn("bot", "One moment.", events=(Event("transfer", "sales"),)),
    Turn("bot"),
    Turn("human_agent", "Hello, Kim here."),
)


def _dataset(*turns: Turn) -> Dataset:
    conversations = [Conversation("c1", turns or TURNS), Conversation("crashed")]
    return dataset_of("chats", conversations, [Example("c1", labels={"refusal": "no"}, group="g")])


def _media(conversation: Conversation) -> dict[int, list[Attachment]]:
    return {number: list(turn.attachments) for number, turn in enumerate(conversation.turns) if turn.attachments}


def _size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as picture:
        return picture.size


def test_a_dataset_as_pictures_is_a_dataset(tmp_path: Path) -> None:
    """Words, labels, groups and design stay; each picture stands on the first of its turns and counts them."""
    made = render_dataset(_dataset(), "image", tmp_path / "out", turns_per_image=2)
    assert (made.conversations, made.attachments) == (2, 2)
    back = load_dataset(str(made.dataset_file))
    assert back.examples == _dataset().examples
    assert back.design == _dataset().design
    conversation = back.conversations["c1"]
    assert [turn.text for turn in conversation.turns] == [turn.text for turn in TURNS]
    media = _media(conversation)
    assert {number: [one.rendered for one in found] for number, found in media.items()} == {0: [2], 3: [1]}
    for found in media.values():
        data = attachment_bytes(found[0])
        assert found[0].path == f"media/{hashlib.sha256(data).hexdigest()}.png"
        assert _size(data)[0] == WIDTH
    shown = transcript(conversation.turns, modality="image")
    assert shown.text == "[0] user: (in image 1)\n[1] bot: (in image 1)\n[3] human_agent: (in image 2)"
    assert len(media_of(shown)) == 2
    assert transcript(conversation.turns).text == transcript(TURNS).text


@needs_espeak
def test_a_dataset_as_speech_is_a_dataset(tmp_path: Path) -> None:
    """One recording for each turn with words; a turn that is a recording already is left as it is."""
    real = Attachment.from_bytes("audio", "audio/wav", b"RIFF real")
    made = render_dataset(_dataset(*TURNS, Turn("user", "thanks", attachments=(real,))), "audio", tmp_path)
    conversation = load_dataset(str(made.dataset_file)).conversations["c1"]
    assert {number: [one.rendered for one in found] for number, found in _media(conversation).items()} == {
        0: [1],
        1: [1],
        3: [1],
        4: [0],
    }
    shown = transcript(conversation.turns, modality="audio")
    assert shown.text.splitlines()[1] == "[1] bot: (audio 2) (transfers to sales)"
    assert [one.data[:4] for one in media_of(shown)] == [b"RIFF"] * 4


def test_the_same_words_are_the_same_picture(tmp_path: Path) -> None:
    """Twice the same files, byte for byte."""
    for name in ("a", "b"):
        render_dataset(_dataset(), "image", tmp_path / name)
    first, second = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    first.pop("chats_image.toml"), second.pop("chats_image.toml")  # names its own path
    assert first == second


def test_personal_data_is_not_drawn(tmp_path: Path, monkeypatch, capsys) -> None:
    """What the workspace takes out before sending is not in the pictures either, unless one asks for it."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    row = {"id": "c1", "turns": [{"speaker": "user", "text": "mail ana@example.org"}]}
    (source / "c.jsonl").write_text(json.dumps(row))
    (source / "d.toml").write_text('version = 1\nconversations = "c.jsonl"\n')
    pictures = []
    for options in ([], ["--raw"]):
        out = f"out{len(options)}"
        assert run(["data", "render", "source/d.toml", "--as", "image", "--out", out, *options, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["conversations"], shown["attachments"]) == (1, 1)
        pictures.append(next((tmp_path / out / "media").iterdir()).read_bytes())
        assert "ana@example.org" in (tmp_path / out / "conversations.jsonl").read_text()  # the words stay as they were
    assert draw_chat((Turn("user", "mail [EMAIL_1]"),))[0].png == pictures[0]
    assert draw_chat((Turn("user", "mail ana@example.org"),))[0].png == pictures[1]


def test_nothing_is_overwritten_or_rendered_twice(tmp_path: Path) -> None:
    """A folder that holds a dataset is refused, and so are turns that are pictures already."""
    made = render_dataset(_dataset(), "image", tmp_path)
    with pytest.raises(ConfigError, match="is there already"):
        render_dataset(_dataset(), "image", tmp_path)
    with pytest.raises(DataError, match=r"c1\[0\] has a rendered image already"):
        render_dataset(load_dataset(str(made.dataset_file)), "image", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_turns_that_are_too_long_are_listed_first(tmp_path: Path) -> None:
    """Before anything is drawn, all of them."""
    long = Turn("user", "x" * (MAX_CHARACTERS + 1))
    with pytest.raises(DataError) as caught:
        render_dataset(_dataset(long, Turn("bot", "hm"), long), "image", tmp_path / "out")
    assert len(caught.value.problems) == 2
    assert not (tmp_path / "out").exists()


def test_without_espeak_nothing_is_written(tmp_path: Path, monkeypatch) -> None:
    """The error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPieceError, match="apt-get install espeak-ng"):
        render_dataset(_dataset(), "audio", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_the_command_says_what_it_made(tmp_path: Path, monkeypatch, capsys) -> None:
    """And warns of what a picture can't show and a task about turns can't use."""
    monkeypatch.chdir(tmp_path)
    Path("c.jsonl").write_text(json.dumps({"id": "c1", "turns": [{"speaker": "user", "text": "hi \U0001f955"}]}))
    Path("l.jsonl").write_text(json.dumps({"conversation_id": "c1", "turn": 0, "labels": {"t": "no"}}))
    Path("d.toml").write_text('version = 1\nconversations = "c.jsonl"\nlabels = "l.jsonl"\n')
    assert run(["data", "render", "d.toml", "--as", "video", "--out", "x"]) == 1
    assert run(["data", "render", "d.toml", "--as", "image", "--out", "out"]) == 0
    told = capsys.readouterr()
    assert "1 conversations with 1 rendered attachments" in told.out
    assert "out/d_image.toml" in told.out
    assert "the font has no shape for" in told.err
    assert "--turns-per-image 1" in told.err
    assert run(["data", "check", "out/d_image.toml"]) == 0


@given(
    st.lists(
        st.builds(
            Turn,
            st.sampled_from(SPEAKERS),
            st.text(max_size=300) | st.sampled_from(["word " * 600, "W" * 3000, "\n" * 3000, "\u202e\x00\ud800"]),
            events=st.lists(st.builds(Event, st.just("transfer"), st.text(max_size=30)), max_size=2).map(tuple),
        ),
        max_size=5,
    ).map(tuple),
    st.integers(1, 4),
)
@settings(max_examples=6)
def test_every_turn_is_in_a_picture_of_bounded_size(turns: tuple[Turn, ...], per_image: int) -> None:
    """Whatever the words: pictures are bounded, and every turn with anything in it is in one."""
    pages = draw_chat(turns, per_image)
    covered = {page.first + number for page in pages for number in range(page.turns)}
    assert covered >= {number for number, turn in enumerate(turns) if not turn.is_empty}
    assert all(page.first + page.turns <= len(turns) for page in pages)
    for page in pages:
        width, height = _size(page.png)
        assert width == WIDTH
        assert height <= MAX_HEIGHT
        assert 1 <= page.turns <= per_image


def test_characters_without_a_shape_are_known() -> None:
    """They would be empty boxes in the picture."""
    assert cannot_draw("Hello, naïve café — 12 €\n\x00") == ""
    assert cannot_draw("\U0001f955 carrot \U0001f955") == "\U0001f955"
