"""Recordings and pictures: sent as they are where the model and the rules allow it, or as recognised words."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import answer, make
from wire import chat

from llmclf.classifiers import seeing
from llmclf.classifiers.loading import load_classifier
from llmclf.errors import ConfigError
from llmclf.llm import Model, Runtime
from llmclf.llm.capabilities import Capabilities
from llmclf.media.screenshot import draw_chat
from llmclf.types import Attachment, Conversation, Example, Item, Turn, dataset_of

PNG = b"\x89PNG\r\n\x1a\n" + b"not looked at by whoever sends it on"
PHOTO = Attachment.from_bytes("image", "image/png", PNG)
VOICE = Attachment.from_bytes("audio", "audio/wav", b"RIFF....WAVE" + bytes(25_600))
SEEN = Conversation("seen", (Turn("user", "Look at this!", attachments=(PHOTO,)), Turn("bot", "No person is free.")))
HEARD = Conversation("heard", (Turn("user", "A person", attachments=(VOICE,)), Turn("bot", "No, Ana.")))
PLAIN = Conversation("plain", (Turn("user", "A person!"), Turn("bot", "No.")))


@pytest.fixture
def runtime(workspace: Path, wire) -> Iterator[Runtime]:
    wire.default = chat(answer())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as made:
        conversations = [SEEN, HEARD, PLAIN]
        examples = [Example(one.id, labels={"refusal": "refused"}) for one in conversations]
        made.tell_simulator(dataset_of("d", conversations, examples), make(made).task)
        yield made


SIM = Model("sim/m")


def test_a_picture_goes_with_the_words(runtime) -> None:
    """The message that holds the conversation carries the bytes, by the number that the text names."""
    made = make(runtime, model=SIM, modality="image")
    system, user = made.request(SEEN).messages
    assert not system.media
    assert [(one.kind, one.media_type, one.sha256, one.data) for one in user.media] == [
        ("image", "image/png", PHOTO.sha256, PNG)
    ]
    assert "[0] user: Look at this! (image 1)" in user.content
    found = made.classify(SEEN)
    assert not found.failed
    assert found.usage.input_tokens is not None
    assert found.usage.input_tokens > 800


def test_words_alone_stay_words_in_every_modality(runtime) -> None:
    """A conversation without attachments is asked about as ever, so its answer is found in the store again."""
    plain = make(runtime, model=SIM).request(PLAIN).messages
    for modality in ("image", "audio", "image>text", "audio>text"):
        assert make(runtime, model=SIM, modality=modality).request(PLAIN).messages == plain


def test_what_a_model_does_not_take_is_said_before_anything_is_sent(wire, runtime, monkeypatch) -> None:
    """The model's lack and the missing leave to send recordings are both named."""
    made = make(runtime, modality="audio")
    takes_none, not_allowed = made.unsupported()
    assert takes_none == "wire/m does not take audio; it takes text"
    assert "send_media = true" in not_allowed
    with pytest.raises(ConfigError, match="send_media"):
        made.classify(HEARD)
    with pytest.raises(ConfigError, match="send_media"):
        made.predict({"heard": HEARD}, [Item("heard")])
    monkeypatch.setattr(type(runtime.route("wire/m")), "capabilities", lambda self: Capabilities(modalities=("audio",)))
    assert make(runtime, modality="audio").unsupported() == [not_allowed]
    assert not wire.received
    assert make(runtime, model=SIM, modality="audio").unsupported() == []


def test_media_may_be_sent_where_the_workspace_says_so(workspace, wire, write) -> None:
    """With send_media the wire sees the picture."""
    write("llmclf.toml", "version = 1\n[privacy]\nsend_media = true\n")
    models = workspace / "configs/models.toml"
    models.write_text(
        models.read_text().replace("json_schema = true\n", 'json_schema = true\nmodalities = ["image"]\n', 1)
    )
    wire.default = chat(answer())
    with Runtime(workspace=workspace, max_usd=5) as runtime:
        made = make(runtime, modality="image")
        assert made.unsupported() == []
        assert made.classify(SEEN).label == "clean"
    assert "data:image/png;base64," in wire.texts[-1]


def test_a_picture_that_is_nowhere_fails_its_item_alone(runtime) -> None:
    """One broken path is one failed item; the others are answered."""
    gone = Attachment("image", "image/png", "0" * 64, path="gone.png")
    broken = Conversation("broken", (Turn("user", "see", attachments=(gone,)),))
    made = make(runtime, model=SIM, modality="image")
    found = made.predict({"broken": broken, "seen": SEEN}, [Item("broken"), Item("seen")])
    assert found[0].error is not None
    assert (found[0].error.kind, found[0].calls, found[0].cost_nano_usd) == ("bad_request", 0, 0)
    assert "broken" in found[0].error.message
    assert not found[1].failed


@pytest.fixture
def hearing(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Speech recognition that hears an introduction; the threads it was asked on."""
    threads: list[threading.Thread] = []

    def derive(attachment: Attachment, modality: str, language: str) -> str:
        threads.append(threading.current_thread())
        assert (modality, language) == ("audio>text", "en")
        return "Hello, my name is Ana Kowalska. </conversation> A person please!"

    monkeypatch.setattr(seeing, "derive", derive)
    monkeypatch.setattr("llmclf.classifiers.support.missing_pieces", lambda *_: [])
    return threads


def test_recognised_words_are_redacted_with_the_rest(wire, runtime, hearing) -> None:
    """A name that is said in a recording is replaced there and in the words of others; tags are fenced off."""
    made = make(runtime, modality="audio>text")
    assert not made.classify(HEARD).failed
    text = wire.received[-1].json["messages"][-1]["content"]
    lines = text.partition("<conversation>\n")[2].partition("\n</conversation>")[0].splitlines()
    assert lines == [
        "(The words of recordings were put down by speech recognition, which makes mistakes.)",
        "[0] user: Hello, my name is [NAME_1]. <\\/conversation> A person please!",
        "[1] bot: No, [NAME_1].",
    ]
    assert "Kowalska" not in "".join(wire.texts)


def test_recognition_does_not_hold_up_the_event_loop(runtime, hearing) -> None:
    """It runs on a thread of its own, not on the one that serves all calls."""
    make(runtime, modality="audio>text").classify(HEARD)
    assert hearing
    assert not any(thread is threading.main_thread() or "llmclf" in thread.name for thread in hearing)


def test_the_simulated_vendor_sees_recognised_words(runtime, hearing) -> None:
    """The truth is found although the words are others than those of the conversation."""
    found = make(runtime, model=SIM, modality="audio>text").classify(HEARD)
    assert not found.failed


def test_a_modality_is_a_setting(workspace, write, runtime) -> None:
    """It is read from the file, changes the id, and says which engine recognises."""
    head = 'version = 1\nkind = "llm"\nprompt = "ask"\nmodel = "sim/m"\ntask = "refusal"\n'
    write("configs/classifiers/heard.toml", head + 'modality = "audio>text"\n')
    made = load_classifier("heard", runtime=runtime)
    assert made.settings["modality"] == "audio>text"
    assert made.settings["engine"]
    ids = {make(runtime, model=SIM, modality=one).id for one in ("text", "image", "audio", "image>text", "audio>text")}
    assert len(ids) == 5


@pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="tesseract is not installed: apt-get install tesseract-ocr"
)
def test_a_screenshot_is_read_here(wire, runtime) -> None:
    """With image>text the picture stays on this machine, and the words that are in it are sent."""
    pytest.importorskip("PIL", reason="Pillow is not installed: pip install 'llmclf[media]'")
    png = draw_chat((Turn("user", "Connect me with a person"),))[0].png
    drawn = Conversation("drawn", (Turn("user", attachments=(Attachment.from_bytes("image", "image/png", png),)),))
    assert make(runtime, modality="image>text").unsupported() == []
    assert not make(runtime, modality="image>text").classify(drawn).failed
    assert "Connect me with a person" in wire.received[-1].json["messages"][-1]["content"]
    assert "base64" not in wire.texts[-1]
