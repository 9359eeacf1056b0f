"""Pictures and recordings in a request: hashed by their digest, sent as their bytes, checked before."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any, Literal

import pytest
from wire import Wire, chat

from llmclf.config import LocalRow, VendorRow
from llmclf.errors import ModelError
from llmclf.llm import Message, Model, Output
from llmclf.llm.model import Media, Request, body_text
from llmclf.llm.routes.litellm import LitellmRoute
from llmclf.llm.routes.local import LocalRoute
from llmclf.llm.routes.parts import audio_format, content_parts, with_data
from llmclf.types import Usage


def media(kind: Literal["audio", "image"], media_type: str, data: bytes) -> Media:
    return Media(kind, media_type, hashlib.sha256(data).hexdigest(), data)


PICTURE = media("image", "image/png", b"\x89PNG one")
OTHER = media("image", "image/jpeg", b"\xff\xd8 two")
SPEECH = media("audio", "audio/wav", b"RIFF three")
MESSAGE = Message("user", "What is it?", (PICTURE, SPEECH, OTHER))
URL = f"data:image/png;base64,{base64.b64encode(PICTURE.data).decode()}"


def test_parts_follow_the_words_and_are_named() -> None:
    """The words, then each medium after a part that numbers it by its kind; digests stand for bytes."""
    parts = content_parts(MESSAGE)
    assert isinstance(parts, list)
    assert [part.get("text") for part in parts] == ["What is it?", "image 1:", None, "audio 1:", None, "image 2:", None]
    assert parts[2] == {"type": "image_url", "image_url": {"url": f"sha256:{PICTURE.sha256}"}}
    assert parts[4] == {"type": "input_audio", "input_audio": {"data": f"sha256:{SPEECH.sha256}", "format": "wav"}}
    assert content_parts(Message("user", "words")) == "words"
    assert content_parts(Message("user", "", (PICTURE,)))[0] == {"type": "text", "text": "image 1:"}


def test_bytes_are_put_in_where_digests_stand() -> None:
    """Pictures become data URLs and recordings base64; the body that was hashed stays as it was."""
    request = Request(Model("m"), (Message("system", "s"), MESSAGE), Output("text"))
    body = {"messages": [{"role": m.role, "content": content_parts(m)} for m in request.messages], "x": 1}
    before = json.dumps(body)
    filled = with_data(body, request)
    assert json.dumps(body) == before
    assert filled["messages"][0] == {"role": "system", "content": "s"}
    parts = filled["messages"][1]["content"]
    assert parts[2]["image_url"]["url"] == URL
    assert base64.b64decode(parts[4]["input_audio"]["data"]) == SPEECH.data
    assert "sha256:" not in json.dumps(filled)
    assert with_data({"messages": []}, Request(Model("m"), (), Output("text"))) == {"messages": []}


@pytest.mark.parametrize(
    ("media_type", "word"),
    [
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/MP4; codecs=mp4a", "m4a"),
        ("audio/ogg", "ogg"),
        ("audio/flac", "flac"),
    ],
)
def test_formats_have_their_short_names(media_type: str, word: str) -> None:
    """OpenAI's names of formats, not those of media types."""
    assert audio_format(media_type) == word


def row(wire: Wire, **more: Any) -> VendorRow:
    settings: dict[str, Any] = {"litellm_model": "openai/mine", "api_base": wire.url, "key_env": "WIRE_KEY"}
    return VendorRow(route="litellm", **(settings | more))


def send(route: LitellmRoute, message: Message) -> tuple[Any, Any]:
    """(the body, the answer)."""

    async def sent() -> tuple[Any, Any]:
        request = Request(Model("mine"), (message,), Output("text"))
        body = route.body(request)
        try:
            return body, await route.send(request, body, 20)
        finally:
            await route.aclose()

    return asyncio.run(sent())


def test_media_cross_the_wire_as_bytes_and_are_stored_as_digests(wire, monkeypatch) -> None:
    """What is sent holds the bytes, what is hashed and kept holds their digest, and audio tokens are counted."""
    monkeypatch.setenv("WIRE_KEY", "k")
    usage = {"prompt_tokens": 50, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 40}}
    wire.next(chat("A dog.", usage=usage))
    body, answer = send(LitellmRoute("mine", row(wire, modalities=("text", "image", "audio")), {}), MESSAGE)
    parts = wire.received[0].json["messages"][0]["content"]
    assert parts[2]["image_url"]["url"] == URL
    assert parts[4]["input_audio"] == {"data": base64.b64encode(SPEECH.data).decode(), "format": "wav"}
    assert "response_format" not in wire.received[0].json
    assert base64.b64encode(PICTURE.data).decode() not in body_text(body)
    assert PICTURE.sha256 in body_text(body)
    assert (answer.text, answer.usage) == ("A dog.", Usage(50, None, 5, None, 40))


def test_a_picture_goes_by_responses_too(wire, monkeypatch) -> None:
    """In the Responses interface a picture is an `input_image`."""
    monkeypatch.setenv("WIRE_KEY", "k")
    made = LitellmRoute("mine", row(wire, modalities=("text", "image"), reasoning_summary=True), {})
    with pytest.raises(ModelError):  # the wire answers as chat does
        send(made, Message("user", "x", (PICTURE,)))
    (request,) = wire.received
    assert request.json["input"][0]["content"] == [
        {"type": "input_text", "text": "x"},
        {"type": "input_text", "text": "image 1:"},
        {"type": "input_image", "image_url": URL, "detail": "auto"},
    ]


@pytest.mark.parametrize(
    ("name", "message", "say"),
    [
        ("openai/gpt-5", MESSAGE, "takes text, image and no audio"),
        ("anthropic/claude-haiku-4-5", Message("user", "x", (SPEECH,)), "takes text, image and no audio"),
        ("deepseek/deepseek-reasoner", Message("user", "x", (PICTURE,)), "takes text and no image"),
        ("gemini/gemini-2.5-flash", MESSAGE, ""),
        ("openai/gpt-audio-1.5", Message("user", "x", (SPEECH,)), ""),
    ],
)
def test_what_a_model_does_not_take_is_not_sent(name: str, message: Message, say: str) -> None:
    """A medium that the vendor does not take, or that would be dropped on the way, is an error before the call."""
    request, route = Request(Model(name), (message,), Output("text")), LitellmRoute(name, None, {})
    if not say:
        assert route.body(request)["messages"]
        return
    with pytest.raises(ModelError, match=say) as caught:
        route.body(request)
    assert (caught.value.kind, caught.value.possibly_billed) == ("bad_request", False)


def test_a_row_for_claude_can_not_promise_audio(wire) -> None:
    """litellm leaves recordings for Claude out without a word, so a row that says otherwise is wrong."""
    made = LitellmRoute("mine", row(wire, litellm_model="anthropic/claude-haiku-4-5", modalities=("text", "audio")), {})
    (found,) = made.unsupported(Model("mine"))
    assert "would be dropped" in found


def test_a_text_answer_has_no_form() -> None:
    """Neither a schema nor a grammar goes out where free text is asked for."""
    request = Request(Model("m"), (Message("user", "x"),), Output("text"))
    local = LocalRoute("local/m", LocalRow(route="local", path="m.gguf"), None)
    bodies = [LitellmRoute("openai/gpt-4.1-mini", None, {}).body(request), local.body(request)]
    for body in bodies:
        assert not {"response_format", "grammar", "logprobs"} & set(body)
    assert local.capabilities().thinking["off"].status == "exact"
    assert local.capabilities().thinking["low"].status == "unsupported"
    assert local.capabilities().modalities == ("text",)
