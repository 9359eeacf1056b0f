"""What litellm's map of models says, read without importing litellm."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from llmclf.config import Media
from llmclf.llm.prices import litellm_map, map_entry

_CHAT = ("chat", "responses")
_SIGN_IN = ("chatgpt", "github_copilot", "microsoft_365_copilot")
_NO_VENDORS = ("ai21", "anyscale", "coralbricks", "inferenceapis", "openinfer", "scaledown", "scx")
"""Vendors in the map whose models litellm 1.106 can't ask under the names it lists."""
_SHORT = {"bedrock_converse": "bedrock"}


def modalities_of(model: str, entry: Mapping[str, Any]) -> tuple[Media, ...]:
    """What a model takes, by its entry in the map."""
    found: list[Media] = ["text"]
    if entry.get("supports_vision"):
        found.append("image")
    if entry.get("supports_audio_input") and not drops_audio(model):
        found.append("audio")
    return tuple(found)


def drops_audio(model: str) -> bool:
    """True where litellm leaves recordings out of the request without a word."""
    return "claude" in model or model.startswith("anthropic/")


def wants_sign_in(model: str) -> bool:
    """True where litellm, at the mere name, asks the vendor's server to sign somebody in by a browser."""
    return model.partition("/")[0] in _SIGN_IN


def known_models() -> dict[str, Mapping[str, Any]]:
    """Every model of the map that can be asked without a row, as it is named here, with its entry; sorted."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, entry in litellm_map().items():
        if entry.get("mode") not in _CHAT or "litellm_provider" not in entry:
            continue
        vendor = str(entry["litellm_provider"]).split("-")[0]
        if vendor in (*_SIGN_IN, *_NO_VENDORS):
            continue
        vendor = _SHORT.get(vendor, vendor)
        full = name if name.startswith(f"{vendor}/") else f"{vendor}/{name}"
        if map_entry(full) is entry:
            found[full] = entry
    return dict(sorted(found.items()))


def nearest_models(name: str, own: tuple[str, ...] = ()) -> str:
    """The hint `did you mean 'x', 'y'?` for a mistyped model, with up to three names; or that none comes near."""
    close = difflib.get_close_matches(name, [*own, *known_models()], n=3, cutoff=0.6)
    return f"did you mean {', '.join(map(repr, close))}?" if close else "no name comes near"
