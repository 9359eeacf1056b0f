"""Token counts as an endpoint reports them, believed only where they can be true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclf.types import Usage

MOST_TOKENS = 50_000_000
"""A count above this is a fault of the endpoint, not a bill to believe."""


def believable_counts(usage: Any) -> Usage:
    """The counts of an OpenAI-style `usage` object; None for each that is missing, negative, zero or absurd.

    Some vendors count reasoning beside `completion_tokens` and not in it: `total_tokens` shows that,
    and reasoning is then added, since it is billed as output.
    """
    if not isinstance(usage, Mapping):
        return Usage()
    prompt, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    of_prompt, of_output = _details(usage, "prompt"), _details(usage, "completion")
    reasoning = _count(of_output.get("reasoning_tokens"))
    if prompt and output and reasoning and usage.get("total_tokens") == prompt + output + reasoning:
        output += reasoning
    return Usage(
        prompt,
        _part(of_prompt.get("cached_tokens", usage.get("prompt_cache_hit_tokens")), prompt),
        output,
        _part(of_output.get("reasoning_tokens"), output),
        _part(of_prompt.get("audio_tokens"), prompt),
        _part(of_prompt.get("cache_creation_tokens", usage.get("cache_creation_input_tokens")), prompt),
    )


def _details(usage: Mapping[str, Any], of: str) -> Mapping[str, Any]:
    found = usage.get(f"{of}_tokens_details")
    return found if isinstance(found, Mapping) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST_TOKENS else None


def _part(value: object, whole: int | None) -> int | None:
    if whole is None or not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= whole else None
