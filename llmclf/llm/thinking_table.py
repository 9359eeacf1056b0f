"""The table of thinking: vendor family by setting.

A row claims no more than what the request shows: nobody asked the vendors. A way is taken only where
litellm, asked offline, makes the request that the table says; else the setting is unsupported. The
ranges of token numbers are from the vendors' own pages and were not tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmclf.llm.capabilities import ThinkingStatus

TOKENS = "tokens"
"""The setting that is an exact number."""
NUMBER = -1
"""Stands for that number in the table."""

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that can be asked of litellm for a setting."""

    status: ThinkingStatus
    arguments: Arguments
    sent: Arguments
    """What the request then holds."""
    note: str = ""
    flag: str = ""
    """Field of litellm's map that must be true for the model; with `!` before it: must not be."""


@dataclass(frozen=True, slots=True)
class Family:
    """Models that take thinking in the same way."""

    name: str
    vendors: tuple[str, ...]
    pattern: str
    """Of the model's name, without the vendor."""
    examples: tuple[str, ...]
    ways: Mapping[str, tuple[Way, ...]]
    """By setting, the first that works is taken; a setting without one is unsupported."""
    why_not: Mapping[str, str] = field(default_factory=dict)
    """By setting, why it is unsupported."""
    least_tokens: int = 1
    most_tokens: int | None = None


def _effort(word: str, status: ThinkingStatus = "exact", note: str = "", flag: str = "") -> tuple[Way, ...]:
    """The level goes out as it is, as `reasoning_effort`."""
    return (Way(status, {"reasoning_effort": word}, {"reasoning_effort": word}, note, flag),)


def _efforts(*words: str, status: ThinkingStatus = "exact", note: str = "") -> dict[str, tuple[Way, ...]]:
    return {word: _effort(word, status, note) for word in words}


def _as(setting: str, sent: Arguments, status: ThinkingStatus = "approximate", note: str = "") -> tuple[Way, ...]:
    """litellm makes something else of the level."""
    return (Way(status, {"reasoning_effort": setting}, sent, note),)


def _budget(tokens: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def _tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"


def _adaptive(effort: str) -> dict[str, Any]:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def _level(level: str) -> dict[str, Any]:
    return {"thinkingConfig": {"thinkingLevel": level}}


_OPENAI = ("openai", "azure")
_CLAUDE = ("anthropic", "bedrock", "vertex_ai", "azure_ai")
_GEMINI = ("gemini", "vertex_ai")
_NO_NUMBER = {TOKENS: "the vendor takes no number of tokens"}
_ALWAYS = "it always reasons"
_MAX = _effort("max", flag="supports_max_reasoning_effort")
_XHIGH = _effort("xhigh", "approximate", "xhigh is its highest level", "supports_xhigh_reasoning_effort")
_OFF = _effort("none")
_DISABLED = {"thinking": {"type": "disabled"}}
_CLAUDE_OFF = (Way("exact", _DISABLED, _DISABLED, flag="!thinking_always_on"),)
_CLAUDE_TOKENS = (Way("exact", _budget(NUMBER), _budget(NUMBER)),)
_PASSED = "sent on; nobody has checked what becomes of it"
_ON = {"thinking": {"type": "enabled"}}
_PROMPTED = {"_add_reasoning_prompt": True}
_NO_LEVELS = "on or off: every level is the same"


def _claude_adaptive(top: str) -> dict[str, tuple[Way, ...]]:
    """Levels of a Claude with adaptive thinking."""
    return {
        "off": _CLAUDE_OFF,
        "minimal": _as("minimal", _adaptive("low"), note="low is its lowest level"),
        **{level: _as(level, _adaptive(level), "exact") for level in ("low", "medium", "high")},
        "max": _as(top, _adaptive(top), "exact"),
    }


def _gemini_2_5(name: str, pattern: str, least: int, most: int, off: bool) -> Family:
    """Gemini 2.5 takes numbers; levels are litellm's numbers."""
    budgets = {"minimal": least, "low": 1024, "medium": 2048, "high": 4096}
    ways = {
        level: _as(level, {"thinkingConfig": {"thinkingBudget": budget}}, note=_tokens(budget))
        for level, budget in budgets.items()
    }
    number = {"thinkingConfig": {"thinkingBudget": NUMBER}}
    nothing = {"thinkingConfig": {"thinkingBudget": 0, "includeThoughts": False}}
    if off:
        ways["off"] = (Way("exact", {"reasoning_effort": "none"}, nothing),)
    return Family(
        name,
        _GEMINI,
        pattern,
        (f"gemini/{name.lower().replace(' ', '-')}",),
        {**ways, TOKENS: (Way("exact", _budget(NUMBER), number),)},
        {"off": "the vendor takes no less than 128 tokens", "max": "use a number of tokens"},
        least,
        most,
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        "OpenAI o-series",
        _OPENAI,
        r"^(ft:)?o\d",
        ("openai/o4-mini", "openai/o3", "openai/o1"),
        _efforts("low", "medium", "high"),
        {"off": _ALWAYS, "minimal": "low is its lowest level", "max": "high is its highest level", **_NO_NUMBER},
    ),
    Family(
        "OpenAI pro",
        _OPENAI,
        r"^gpt-5(\.\d)?-pro",
        ("openai/gpt-5.4-pro", "openai/gpt-5-pro"),
        {**_efforts("low", "medium", status="unverified", note=_PASSED), "high": _effort("high"), "max": _XHIGH},
        {"off": _ALWAYS, "minimal": "not among its levels", "max": "high is its highest level", **_NO_NUMBER},
    ),
    Family(
        "gpt-5",
        _OPENAI,
        r"^gpt-5(-mini|-nano)?(-20\d\d.*)?$",
        ("openai/gpt-5", "openai/gpt-5-mini", "azure/gpt-5"),
        _efforts("minimal", "low", "medium", "high"),
        {"off": _ALWAYS, "max": "high is its highest level", **_NO_NUMBER},
    ),
    Family(
        "gpt-5.1",
        _OPENAI,
        r"^gpt-5\.1(-20\d\d.*)?$",
        ("openai/gpt-5.1",),
        {"off": _OFF, **_efforts("low", "medium", "high")},
        {"minimal": "not among its levels", "max": "high is its highest level", **_NO_NUMBER},
    ),
    Family(
        "gpt-5.2 to 5.6",
        _OPENAI,
        r"^gpt-5\.[2-9](-(mini|nano|sol|terra|luna))?(-20\d\d.*)?$",
        ("openai/gpt-5.4-mini", "openai/gpt-5.4", "openai/gpt-5.2", "openai/gpt-5.5"),
        {"off": _OFF, **_efforts("low", "medium", "high"), "max": _XHIGH},
        {"minimal": "not among its levels", **_NO_NUMBER},
    ),
    Family(
        "gpt-6",
        _OPENAI,
        r"^gpt-6",
        ("openai/gpt-6.1-sol", "openai/gpt-6-luna", "openai/gpt-6-astra"),
        {
            "off": _effort("none", flag="supports_none_reasoning_effort"),
            **_efforts("low", "medium", "high"),
            "max": _MAX,
        },
        {"off": _ALWAYS, "minimal": "not among its levels", **_NO_NUMBER},
    ),
    Family(
        "Claude 4.6",
        _CLAUDE,
        r"claude-(opus|sonnet)-4[-.]6",
        ("anthropic/claude-opus-4-6", "anthropic/claude-sonnet-4-6"),
        {**_claude_adaptive("max"), TOKENS: _CLAUDE_TOKENS},
        least_tokens=1024,
    ),
    Family(
        "Claude 4.7 and 5",
        _CLAUDE,
        r"claude-((opus|sonnet|haiku)-(4[-.][7-9]|5)|fable|mythos)",
        ("anthropic/claude-haiku-5-5", "anthropic/claude-opus-5-5", "anthropic/claude-sonnet-5"),
        _claude_adaptive("max"),
        {"off": "it always thinks", TOKENS: "the number would be lost: a level is sent instead"},
    ),
    Family(
        "Claude up to 4.5",
        _CLAUDE,
        r"claude-(3-7|(opus|sonnet|haiku)-4)",
        ("anthropic/claude-haiku-4-5", "anthropic/claude-sonnet-4-5", "anthropic/claude-opus-4-5"),
        {
            "off": _CLAUDE_OFF,
            **{
                level: _as(level, _budget(tokens), note=_tokens(tokens))
                for level, tokens in (
                    ("minimal", 1024),
                    ("low", 1024),
                    ("medium", 2048),
                    ("high", 4096),
                    ("max", 16384),
                )
            },
            TOKENS: _CLAUDE_TOKENS,
        },
        least_tokens=1024,
    ),
    _gemini_2_5("Gemini 2.5 Flash-Lite", r"^gemini-2\.5-flash-lite", 512, 24576, off=True),
    _gemini_2_5("Gemini 2.5 Flash", r"^gemini-2\.5-flash", 1, 24576, off=True),
    _gemini_2_5("Gemini 2.5 Pro", r"^gemini-2\.5-pro", 128, 32768, off=False),
    Family(
        "Gemini 3 and 4",
        _GEMINI,
        r"^gemini-([34]|(flash|flash-lite|pro)-latest$)",
        ("gemini/gemini-3-flash-preview", "gemini/gemini-3.8-flash", "gemini/gemini-4-argon"),
        {
            "minimal": (
                *_as("minimal", _level("minimal"), "exact"),
                *_as("minimal", _level("low"), note="low is its lowest level"),
            ),
            **{level: _as(level, _level(level), "exact") for level in ("low", "medium", "high")},
        },
        {
            "off": "its lowest level would be sent, which is not off",
            "max": "high is its highest level",
            TOKENS: "the number would be lost",
        },
    ),
    Family(
        "DeepSeek",
        ("deepseek",),
        "",
        ("deepseek/deepseek-v4-flash", "deepseek/deepseek-reasoner"),
        {
            "off": (Way("exact", {"reasoning_effort": "none"}, _DISABLED),),
            **{level: _as(level, _ON, note=_NO_LEVELS) for level in ("low", "medium", "high")},
        },
        {"minimal": _NO_LEVELS, "max": _NO_LEVELS, TOKENS: "the number would be lost"},
    ),
    Family(
        "Magistral",
        ("mistral",),
        "^magistral",
        ("mistral/magistral-medium-latest",),
        {
            level: _as(level, _PROMPTED, note=f"litellm adds a prompt to reason; {_NO_LEVELS}")
            for level in ("low", "medium", "high")
        },
        {"off": _ALWAYS, "minimal": _NO_LEVELS, "max": _NO_LEVELS, TOKENS: "the number would be lost"},
    ),
    Family(
        "Mistral with none and high",
        ("mistral",),
        r"^mistral-(large-4|medium-(3|2604|latest)|medium$|small-(2603|latest)|vibe)",
        ("mistral/mistral-large-4", "mistral/mistral-small-latest"),
        {"off": _OFF, "high": _effort("high")},
        dict.fromkeys(("minimal", "low", "medium", "max"), "high would be sent") | _NO_NUMBER,
    ),
    Family(
        "xAI",
        ("xai",),
        "^grok",
        ("xai/grok-4.7",),
        {
            **_efforts("low", "medium", "high", status="unverified", note=_PASSED),
            "off": _effort("none", "unverified", _PASSED),
        },
        {"minimal": "not among its levels", "max": "not among its levels", **_NO_NUMBER},
    ),
    Family(
        "DashScope Qwen",
        ("dashscope",),
        "^qw",
        ("dashscope/qwen3.8-flash",),
        {
            **_efforts("low", "medium", "high", status="unverified", note=_PASSED),
            "off": _effort("none", "unverified", _PASSED),
        },
        {"minimal": "not among its levels", "max": "not among its levels", **_NO_NUMBER},
    ),
    Family(
        "vLLM",
        ("hosted_vllm",),
        "",
        ("hosted_vllm/some-model",),
        {
            **_efforts("minimal", "low", "medium", "high", status="unverified", note=_PASSED),
            "off": _effort("none", "unverified", _PASSED),
        },
        {"max": "not among its levels", TOKENS: "the number would be lost: medium is sent instead"},
    ),
    Family(
        "Ollama, gpt-oss",
        ("ollama_chat",),
        "^gpt-oss",
        ("ollama_chat/gpt-oss:20b",),
        {level: _as(level, {"think": level}, "exact") for level in ("low", "medium", "high")},
        {"off": _ALWAYS, "minimal": "low is its lowest level", "max": "high is its highest level", **_NO_NUMBER},
    ),
    Family(
        "Ollama",
        ("ollama_chat",),
        "",
        ("ollama_chat/qwen3",),
        {
            "off": (Way("exact", {"reasoning_effort": "none"}, {"think": False}),),
            **{level: _as(level, {"think": True}, note=_NO_LEVELS) for level in ("low", "medium", "high")},
        },
        dict.fromkeys(("minimal", "max"), "thinking would be turned off") | _NO_NUMBER,
    ),
    Family(
        "OpenRouter",
        ("openrouter",),
        "",
        ("openrouter/some-vendor/some-model",),
        {
            **_efforts("minimal", "low", "medium", "high", status="unverified", note=_PASSED),
            "off": _effort("none", "unverified", _PASSED),
            "max": _effort("xhigh", "unverified", _PASSED),
            TOKENS: (Way("unverified", _budget(NUMBER), _budget(NUMBER), _PASSED),),
        },
    ),
)
