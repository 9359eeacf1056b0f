"""The table of thinking against what litellm would really send, asked offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmclf.config import VendorRow
from llmclf.llm import Model, Output
from llmclf.llm.capabilities import ThinkingRow
from llmclf.llm.model import Message, Request
from llmclf.llm.prices import litellm_map, map_entry
from llmclf.llm.routes.litellm import LitellmRoute
from llmclf.llm.routes.litellm_probe import LitellmProbe
from llmclf.llm.thinking import SETTINGS, choose, family_of, says_off, taken_words, thinking_markdown, with_number
from llmclf.llm.thinking_table import FAMILIES, TOKENS, Family, Way

LEVELS: Any = ("off", "minimal", "low", "medium", "high", "max")
EXAMPLES = [(family, model) for family in FAMILIES for model in family.examples]


def probe(model: str) -> LitellmProbe:
    return LitellmProbe(model, effort_is_taken=False)


def chosen(model: str, thinking: Any) -> ThinkingRow:
    return choose(model, thinking, map_entry(model) or {}, probe(model).added).row


@pytest.mark.parametrize(("family", "model"), EXAMPLES, ids=[model for _, model in EXAMPLES])
def test_every_row_of_the_table_is_what_litellm_sends(family: Family, model: str) -> None:
    """A setting with ways is taken by one of them, as the table says it; one without is refused with a reason."""
    assert family_of(model) is family
    for setting in SETTINGS:
        row = chosen(model, 4321 if setting == TOKENS else setting)
        expected = [way for way in family.ways.get(setting, ()) if _fits(way, model)]
        if not expected:
            assert (row.status, row.sent) == ("unsupported", ""), (setting, row)
            assert row.note
            continue
        way = next((way for way in expected if way.status == row.status), None)
        assert way is not None, (setting, row)
        sent = probe(model).added(with_number(way.arguments, 4321))
        assert json.loads(row.sent) == sent, setting
        assert _holds(sent, with_number(way.sent, 4321)), setting


def test_no_way_of_the_table_is_dead() -> None:
    """Every way is the one that is taken for some example of its family."""
    for family in FAMILIES:
        for setting, ways in family.ways.items():
            thinking: Any = 4321 if setting == TOKENS else setting
            taken = {chosen(model, thinking).status for model in family.examples}
            assert {way.status for way in ways} <= taken, (family.name, setting)


@pytest.mark.parametrize(("family", "model"), EXAMPLES, ids=[model for _, model in EXAMPLES])
def test_exact_means_that_the_very_word_or_number_is_sent(family: Family, model: str) -> None:
    """The level's own word, the number itself, or words that say off stand in the request."""
    for setting in SETTINGS:
        row = chosen(model, 4321 if setting == TOKENS else setting)
        if row.status != "exact":
            continue
        sent = json.loads(row.sent)
        if setting == "off":
            assert says_off(sent)
        else:
            assert ("4321" if setting == TOKENS else f'"{setting}"') in row.sent


@pytest.mark.parametrize(
    ("model", "thinking", "note"),
    [
        ("anthropic/claude-haiku-5-5", 2048, "the number would be lost"),
        ("anthropic/claude-opus-5-5", "off", "always thinks"),
        ("gemini/gemini-3.8-flash", 2048, "the number would be lost"),
        ("gemini/gemini-3.8-flash", "off", "not off"),
        ("gemini/gemini-2.5-pro", "off", "no less than 128"),
        ("deepseek/deepseek-v4-flash", 2048, "the number would be lost"),
        ("hosted_vllm/m", 2048, "the number would be lost"),
        ("ollama_chat/m", "max", "turned off"),
        ("ollama_chat/m", "minimal", "turned off"),
        ("mistral/magistral-medium-latest", "off", "always reasons"),
        ("mistral/mistral-large-4", "low", "high would be sent"),
        ("openai/gpt-5", "max", "high is its highest"),
        ("openai/gpt-5.1", "max", "high is its highest"),
        ("openai/o4-mini", "off", "always reasons"),
        ("openai/gpt-4.1-mini", "low", "does not reason"),
        ("anthropic/claude-haiku-4-5", 500, "1024 and more tokens"),
        ("gemini/gemini-2.5-flash", 30_000, "1 to 24576 tokens"),
    ],
)
def test_what_would_be_lost_on_the_way_is_unsupported(model: str, thinking: Any, note: str) -> None:
    """Budgets that vendors never see, an off that is none and levels that nobody checks are refused, and why."""
    row = chosen(model, thinking)
    assert row.status == "unsupported"
    assert note in row.note


@pytest.mark.parametrize(
    ("model", "thinking", "status"),
    [
        ("openai/gpt-4.1-mini", "off", "exact"),
        ("groq/openai/gpt-oss-120b", "low", "unverified"),
        ("groq/openai/gpt-oss-120b", 2048, "unsupported"),
        ("openai/no-such-model", "high", "unverified"),
        ("gemini/gemini-flash-latest", "low", "exact"),
    ],
)
def test_without_a_row_the_probe_decides(model: str, thinking: Any, status: str) -> None:
    """Nobody checked what a vendor outside the table makes of a level, and no more is claimed."""
    assert chosen(model, thinking).status == status


def test_every_reasoning_model_of_the_big_three_is_in_the_table_or_refused() -> None:
    """No model of OpenAI, Anthropic or Google gets a level that is sent on without a row that says so."""
    for name, entry in litellm_map().items():
        vendor = str(entry.get("litellm_provider"))
        if vendor not in ("openai", "anthropic", "gemini") or not entry.get("supports_reasoning"):
            continue
        model = name if name.startswith(f"{vendor}/") else f"{vendor}/{name}"
        if map_entry(model) is None or family_of(model) is None:
            continue
        for setting in LEVELS:
            row = chosen(model, setting)
            if row.status == "exact" and setting != "off":
                assert f'"{setting}"' in row.sent, (model, setting, row)


def test_what_is_taken_in_words() -> None:
    """Levels, and the range of numbers where a number is taken."""
    rows = {setting: ThinkingRow("exact") for setting in ("off", "low", TOKENS)} | {"max": ThinkingRow("unsupported")}
    assert taken_words(rows, family_of("anthropic/claude-haiku-4-5")) == "off, low or 1024 and more tokens"
    assert taken_words(rows, family_of("gemini/gemini-2.5-pro")) == "off, low or 128 to 32768 tokens"
    assert taken_words({"low": ThinkingRow("unsupported")}) == ""


ALL = VendorRow(route="litellm", litellm_model="x/y", thinking=LEVELS)


@pytest.mark.parametrize(
    ("model", "thinking", "status"),
    [
        ("openai/mine", "high", "unverified"),
        ("openai/mine", "max", "approximate"),
        ("ollama_chat/gpt-oss:20b", "high", "unverified"),
        ("ollama_chat/gpt-oss:20b", "off", "unsupported"),
        ("openai/gpt-5", "low", "unverified"),
        ("ollama_chat/mine", "low", "approximate"),
        ("ollama_chat/mine", "max", "unsupported"),
        ("gemini/gemini-3.8-flash", "off", "unsupported"),
        ("anthropic/claude-haiku-5-5", "minimal", "approximate"),
        ("together_ai/mine", "low", "unverified"),
    ],
)
def test_a_row_vouches_for_levels_but_not_for_what_litellm_makes_of_them(
    model: str, thinking: Any, status: str
) -> None:
    """What a row lists is sent on as it is, or refused where something else would be sent."""
    row = ALL.model_copy(update={"litellm_model": model, "api_base": "http://127.0.0.1:1/v1"})
    found = LitellmRoute("mine", row, {}).capabilities().thinking
    assert found[thinking].status == status
    assert found[TOKENS].status == "unsupported"
    unlisted = LitellmRoute("mine", row.model_copy(update={"thinking": ()}), {})
    assert unlisted.capabilities().thinking[thinking].status == "unsupported"


@pytest.mark.parametrize(
    ("name", "thinking", "say"),
    [
        (
            "openai/gpt-5",
            "off",
            "openai/gpt-5 takes thinking minimal, low, medium, high; got 'off' (it always reasons)",
        ),
        ("openai/o4-mini", 2048, "takes thinking low, medium, high; got 2048"),
        ("anthropic/claude-haiku-4-5", 500, "or 1024 and more tokens; got 500"),
        ("openai/gpt-4.1-mini", "low", "takes thinking off; got 'low' (it does not reason)"),
        ("openai/gpt-5-chat-latest", "low", "takes no thinking setting: leave `thinking` out; got 'low'"),
    ],
)
def test_the_error_names_what_the_model_takes(name: str, thinking: Any, say: str) -> None:
    """Whoever asks for a setting that a model can't honour is told which ones it can."""
    (found,) = LitellmRoute(name, None, {}).unsupported(Model(name, thinking))
    assert say in found


def test_a_body_holds_what_the_table_says() -> None:
    """The arguments of a call are those of the way that was chosen."""
    for name, thinking, expected in (
        ("anthropic/claude-haiku-4-5", "max", {"reasoning_effort": "max"}),
        ("anthropic/claude-haiku-4-5", "off", {"thinking": {"type": "disabled"}}),
        ("anthropic/claude-haiku-4-5", 3000, {"thinking": {"type": "enabled", "budget_tokens": 3000}}),
        ("openai/gpt-4.1-mini", "off", {}),
    ):
        request = Request(Model(name, thinking), (Message("user", "x"),), Output("json", schema={"type": "object"}))  # type: ignore[arg-type]
        body = LitellmRoute(name, None, {}).body(request)
        assert {key: body[key] for key in ("reasoning_effort", "thinking") if key in body} == expected


def _fits(way: Way, model: str) -> bool:
    entry = map_entry(model) or {}
    flag = way.flag.removeprefix("!")
    return not flag or bool(entry.get(flag)) != way.flag.startswith("!")


def _holds(sent: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return isinstance(sent, dict) and all(_holds(sent.get(key), value) for key, value in expected.items())
    return bool(sent == expected)


def test_the_docs_hold_the_table() -> None:
    """docs/models.md holds what `thinking_markdown()` gives, between its marks."""
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    before, _, rest = page.partition("<!-- thinking -->\n")
    table, mark, _ = rest.partition("\n<!-- /thinking -->")
    assert before
    assert mark
    assert table.strip() == thinking_markdown()
