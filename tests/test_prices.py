"""Prices: litellm's own sums as the oracle, rows of a user first, and a worst case that no bill passes."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.config import PriceRow, SimRow
from llmclf.llm.media_tokens import (
    MOST_IMAGE_TOKENS,
    audio_seconds,
    audio_tokens,
    image_size,
    image_tokens,
    media_tokens,
)
from llmclf.llm.model import Media
from llmclf.llm.prices import FREE, Price, Tier, litellm_map, map_entry, price_of, price_of_entry, price_of_row
from llmclf.types import Usage

ORACLE = [
    ("openai/gpt-4.1-mini", Usage(1000, None, 100)),
    ("openai/gpt-4.1-mini", Usage(1000, 800, 100)),
    ("openai/gpt-5.4-mini", Usage(1001, 777, 101)),
    ("openai/gpt-6.1-sol", Usage(1000, 0, 900, 800)),
    ("openai/gpt-6.1-sol", Usage(272_000, 1000, 900, 800)),
    ("openai/gpt-6.1-sol", Usage(272_001, 1000, 900, 800)),
    ("anthropic/claude-haiku-4-5", Usage(1000, 800, 100)),
    ("anthropic/claude-haiku-5-5", Usage(100_001, 800, 100, 40)),
    ("gemini/gemini-2.5-pro", Usage(200_000, 0, 900, 800)),
    ("gemini/gemini-2.5-pro", Usage(200_001, 5000, 900, 800)),
    ("gemini/gemini-2.5-flash-lite", Usage(1000, 0, 100, 60, 500)),
    ("gemini/gemini-2.5-flash-lite", Usage(1000, 700, 100, 60, 500)),
    ("gemini/gemini-3.8-flash", Usage(1000, 0, 100, 60, 500)),
    ("openai/gpt-audio-mini", Usage(1000, 0, 100, 0, 500)),
    ("deepseek/deepseek-reasoner", Usage(1000, 300, 100, 60)),
    ("mistral/mistral-large-latest", Usage(1000, 0, 100)),
    ("xai/grok-4.7", Usage(199_999, 0, 100, 60)),
    ("xai/grok-4.7", Usage(200_000, 0, 100, 60)),
    ("gemini/gemini-2.5-computer-use-preview-10-2025", Usage(300_000, 300, 100)),
    ("fireworks_ai/accounts/fireworks/models/deepseek-coder-v2-instruct", Usage(1000, 300, 100)),
    ("dashscope/qwen-flash", Usage(256_000, 0, 100)),
    ("dashscope/qwen-flash", Usage(256_001, 100, 100)),
]
STEPPED = Price(100, 1000, 10, "test", audio_input_nano=300, tiers=(Tier(50, 200, 1500, 20),))


@pytest.fixture(scope="module")
def completion_cost():  # type: ignore[no-untyped-def]
    """litellm's cost of a model's usage, in dollars."""
    from llmclf.llm.routes.litellm import load_litellm

    litellm = load_litellm()

    def cost(model: str, usage: Usage) -> float:
        from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper, Usage as TheirUsage

        prompt = PromptTokensDetailsWrapper(cached_tokens=usage.cached_tokens, audio_tokens=usage.audio_tokens)
        completion = CompletionTokensDetailsWrapper(reasoning_tokens=usage.reasoning_tokens)
        theirs = TheirUsage(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=(usage.input_tokens or 0) + (usage.output_tokens or 0),
            prompt_tokens_details=prompt,
            completion_tokens_details=completion,
        )
        reply = litellm.ModelResponse(model=model.partition("/")[2], usage=theirs)
        return float(litellm.completion_cost(completion_response=reply, model=model))

    return cost


@pytest.mark.parametrize(("model", "usage"), ORACLE)
def test_costs_are_what_litellm_computes(model: str, usage: Usage, completion_cost) -> None:  # type: ignore[no-untyped-def]
    """Plain, cached, audio, long prompts and reasoning: to the nano-dollar."""
    if map_entry(model) is None:
        pytest.skip(f"this litellm's map has no {model}")
    price = price_of(model, {})
    assert price is not None
    assert price.cost(usage) == pytest.approx(completion_cost(model, usage) * 1e9, abs=1)


@pytest.mark.parametrize(
    "model",
    [
        "perplexity/sonar",
        "perplexity/sonar-pro",
        "perplexity/sonar-small-online",
        "openai/gpt-4o-search-preview",
        "openai/gpt-5-search-api",
        "gemini/lyria-3-pro-preview",
    ],
)
def test_a_price_with_fees_beside_tokens_is_unknown(model: str) -> None:
    """What also costs by the search, by the request or by the piece has no price here rather than one too low."""
    if map_entry(model) is None:
        pytest.skip(f"this litellm's map has no {model}")
    assert price_of(model, {}) is None
    assert price_of("mine", {}, listed_as=model) is None
    own = PriceRow(input_usd_per_million=1, output_usd_per_million=2)
    assert price_of(model, {model: own}) is not None  # its user knows better


@pytest.mark.parametrize("name", ["openai/gpt-5.4-mini", "research/mine"])
@pytest.mark.parametrize("listed_as", ["openai/gpt-5.4-mini", "gemini/gemini-2.5-flash"])
def test_a_search_that_is_not_made_costs_nothing(name: str, listed_as: str) -> None:
    """Models that could search for a fee, but are not asked to, keep their price, whatever one calls them."""
    if map_entry(listed_as) is None:
        pytest.skip(f"this litellm's map has no {listed_as}")
    assert price_of(name, {}, listed_as=listed_as) is not None


COUNT = st.one_of(st.none(), st.integers(0, 2_000_000))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(name for name, entry in litellm_map().items() if entry.get("mode") == "chat")),
    st.integers(0, 400_000),
    st.integers(0, 50_000),
    st.integers(0, 50_000),
    COUNT,
    COUNT,
    COUNT,
)
def test_no_bill_passes_the_worst_case(
    model: str, words: int, media: int, output: int, cached: int | None, audio: int | None, reasoning: int | None
) -> None:
    """Whatever part of the prompt is cached or a recording, and of the output reasoning, for every price of the map."""
    price = price_of_entry(litellm_map()[model])
    if price is None:
        return
    usage = Usage(words + media, cached, output, reasoning, min(audio or 0, media))
    for each in (price, price.batched()):
        bill = each.cost(usage)
        assert bill is not None
        assert bill <= each.worst_case(words, output, media)


def test_every_price_of_the_map_survives_json() -> None:
    """What is stored beside a call gives the same price again, fractions of a nano-dollar included."""
    priced = 0
    for entry in litellm_map().values():
        price = price_of_entry(entry)
        if price is not None:
            priced += 1
            assert Price.from_json(price.to_json()) == price
    assert priced > 2000


def test_what_an_earlier_version_stored_still_loads() -> None:
    """Four fields, and no more."""
    old = '{"input_nano": 750, "output_nano": 4500, "cached_input_nano": 75, "source": "litellm\'s price map"}'
    assert Price.from_json(old) == Price(750, 4500, 75, "litellm's price map")


def test_a_rate_below_a_nano_dollar_is_kept() -> None:
    """$0.0375 a million cached tokens is 37.5 nano-dollars each, not 38."""
    row = PriceRow(input_usd_per_million=0.0375, output_usd_per_million=0.3, cached_input_usd_per_million=0.0025)
    price = price_of_row(row, "prices.toml")
    assert price.cost(Usage(1000, 400, 0)) == 600 * 37.5 + 1000
    assert price.source == "prices.toml"


def test_rows_come_before_the_map() -> None:
    """prices.toml, then the row of models.toml, then the map under the name litellm knows."""
    own = PriceRow(input_usd_per_million=1, output_usd_per_million=2, source="contract")
    row = PriceRow(input_usd_per_million=3, output_usd_per_million=4, audio_input_usd_per_million=5)
    listed = {"row": row, "listed_as": "openai/gpt-4.1-mini"}
    first = price_of("mine/x", {"mine/x": own}, **listed)  # type: ignore[arg-type]
    assert first is not None
    assert (first.input_nano, first.source) == (1000, "contract")
    second = price_of("mine/x", {}, **listed)  # type: ignore[arg-type]
    assert second is not None
    assert (second.input_nano, second.audio_input_nano, second.source) == (3000, 5000, "models.toml")
    third = price_of("mine/x", {}, listed_as="openai/gpt-4.1-mini")
    assert third is not None
    assert third.source == "litellm's price map"
    assert price_of("mine/x", {}) is None


def test_batch_prices_are_the_vendors_or_half() -> None:
    """Where nobody says, half of the standard price, and the source says that it is an estimate."""
    known = price_of("openai/gpt-5.4-mini", {})
    assert known is not None
    assert known.batch is not None
    assert (known.batched().input_nano, known.batched().output_nano) == (375, 2250)
    assert "estimate" not in known.batched().source
    half = Price(100, 1000, 40, "contract", audio_input_nano=300, tiers=(Tier(50, 200, 1500, 20),)).batched()
    assert (half.input_nano, half.output_nano, half.cached_input_nano, half.audio_input_nano) == (50, 500, 20, 150)
    assert half.tiers == (Tier(50, 100, 750, 10),)
    assert half.source == "an estimate: half of contract"
    row = PriceRow(input_usd_per_million=1, output_usd_per_million=8, batch_output_usd_per_million=3)
    part = price_of_row(row, "x").batched()
    assert (part.input_nano, part.output_nano) == (500, 3000)
    assert FREE.batched().is_free


def test_a_long_prompt_is_priced_as_a_whole() -> None:
    """One token above the threshold, and every token costs the dearer rate."""
    assert STEPPED.cost(Usage(50, 0, 1)) == 50 * 100 + 1000
    assert STEPPED.cost(Usage(51, 1, 1)) == 50 * 200 + 20 + 1500


def test_the_worst_case_takes_the_dearest_rate_that_can_apply() -> None:
    """Tiers only where the prompt could reach them, recordings at theirs, writes to a cache where they are dearer."""
    assert STEPPED.worst_case(40, 2) == 40 * 100 + 2 * 1000
    assert STEPPED.worst_case(40, 2, 10) == 40 * 100 + 10 * 300 + 2 * 1000
    assert STEPPED.worst_case(40, 2, 11) == 40 * 200 + 11 * 300 + 2 * 1500
    assert replace(STEPPED, cache_write_nano=125, tiers=()).worst_case(40, 2) == 40 * 125 + 2 * 1000
    assert Price(0.5, 0.5, 0.1, "test").worst_case(1, 0) == 1


def test_what_is_not_known_costs_an_unknown_sum() -> None:
    """No counts, or recordings that were sent and not counted though they cost otherwise; zero stays zero."""
    assert STEPPED.cost(Usage(10, None, None)) is None
    assert STEPPED.cost(Usage(10, 0, 1), audio_sent=True) is None
    assert STEPPED.cost(Usage(10, 0, 1, None, 4), audio_sent=True) == 6 * 100 + 4 * 300 + 1000
    assert Price(1, 1, 1, "one price").cost(Usage(10, 0, 1), audio_sent=True) == 11
    assert FREE.cost(Usage()) == 0
    row = SimRow(route="sim", recall=1, false_alarm_rate=0, input_usd_per_million=1, output_usd_per_million=5)
    sim = price_of("sim/x", {}, row)
    assert sim is not None
    assert (sim.source, sim.output_nano) == ("simulated", 5000)


# --- tokens of media -------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(header))


def jpeg(width: int, height: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 20) + b"Exif\0\0" + bytes(12)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(3)
    return b"\xff\xd8" + exif + b"\xff" + frame


def wav(seconds: float, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * int(rate * seconds)))
    return out.getvalue()


def flac(seconds: float, rate: int = 44_100) -> bytes:
    packed = (rate << 44 | 1 << 41 | 15 << 36 | int(seconds * rate)).to_bytes(8, "big")
    return b"fLaC" + bytes(14) + packed + bytes(16)


def test_a_pictures_size_is_read_from_its_header() -> None:
    """PNG, JPEG with metadata before the frame, GIF; what is cut short or something else has none."""
    assert image_size(png(1080, 2400)) == (1080, 2400)
    assert image_size(jpeg(640, 480)) == (640, 480)
    assert image_size(b"GIF89a" + struct.pack("<HH", 320, 200)) == (320, 200)
    for bad in (b"", b"\xff\xd8", b"\xff\xd8\xff", png(0, 5), png(5, 5)[:20], b"RIFFxxxxWEBP", jpeg(9, 0)):
        assert image_size(bad) is None
        assert image_tokens(bad) == MOST_IMAGE_TOKENS


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        # (OpenAI's high detail, Claude's pixels / 750, Gemini's tiles), as their guides count them
        ((1024, 1024), (765, 1399, 1032)),
        ((2048, 4096), (1105, 1600, 1548)),
        ((384, 384), (255, 197, 258)),
        ((1080, 2400), (1445, 1600, 2322)),
    ],
)
def test_a_pictures_bound_holds_for_what_vendors_say(size: tuple[int, int], counts: tuple[int, ...]) -> None:
    """The worked examples of OpenAI's, Anthropic's and Google's guides stay below it."""
    assert image_tokens(png(*size), tiles_are_dear=False) >= max(counts)
    assert image_tokens(png(*size)) >= 2833 + 5667  # gpt-4o-mini's least at high detail
    assert image_tokens(png(*size)) <= MOST_IMAGE_TOKENS


def test_a_known_model_need_not_be_taken_for_the_dearest_counter() -> None:
    """gpt-4o-mini counts 33 times as high; a name nobody knows could be it."""
    picture = Media("image", "image/png", "", png(1024, 1024))
    assert media_tokens([picture], "openai/gpt-5.4-mini") < media_tokens([picture], "openai/gpt-4o-mini")
    assert media_tokens([picture], "mine/deployment") == media_tokens([picture]) == 25_501
    assert media_tokens([picture, Media("audio", "audio/wav", "", wav(9))]) == 25_501 + 550
    assert media_tokens([]) == 0


def test_a_recordings_bound_is_by_its_seconds() -> None:
    """WAV, FLAC and MP3; whatever else it is, every byte counts."""
    assert audio_seconds(wav(10)) == pytest.approx(10, abs=0.1)
    assert audio_seconds(flac(90)) == pytest.approx(90)
    assert audio_seconds(b"\xff\xfb\x90\x00" + bytes(15_996)) == 16
    assert audio_seconds(b"OggS" + bytes(100)) is None
    assert audio_tokens(b"OggS" + bytes(96)) == 100
    assert 32 * 10 <= audio_tokens(wav(10)) <= 50 * 12


def test_a_header_that_lies_does_not_shorten_a_recording() -> None:
    """A stream's WAV states no true length, and a byte rate may be anything: the bytes that are there count."""
    streamed = bytearray(wav(10))
    streamed[40:44] = b"\xff\xff\xff\xff"
    assert audio_seconds(bytes(streamed)) == pytest.approx(10, abs=0.1)
    streamed[28:32] = struct.pack("<I", 10_000_000)
    assert audio_seconds(bytes(streamed)) == pytest.approx(10, abs=0.1)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", png(3, 3)]))
def test_no_header_breaks_the_bounds(rest: bytes, start: bytes) -> None:
    """Any bytes give a number that is not negative."""
    assert 0 < image_tokens(start + rest) <= MOST_IMAGE_TOKENS
    assert audio_tokens(start + rest) >= 0


def test_prices_are_stored_without_what_they_lack() -> None:
    """A call's row stays short."""
    assert json.loads(Price(1, 2, 1, "x").to_json()) == {
        "input_nano": 1,
        "output_nano": 2,
        "cached_input_nano": 1,
        "source": "x",
    }
