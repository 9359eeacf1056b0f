"""What a token costs. Offline: prices.toml first, then the price map inside litellm. Unknown is not zero."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from llmclf.config import PriceRow, SimRow
from llmclf.types import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token (so $1 per million tokens is 1,000)."""

    input_nano: int
    output_nano: int
    cached_input_nano: int
    source: str
    """Where it comes from."""

    @classmethod
    def per_million(cls, input_usd: float, output_usd: float, cached_usd: float | None, source: str) -> Price:
        """From dollars per million tokens."""
        cached = input_usd if cached_usd is None else cached_usd
        return cls(round(input_usd * 1000), round(output_usd * 1000), round(cached * 1000), source)

    @property
    def is_free(self) -> bool:
        """True where every token costs nothing: known to be zero."""
        return not (self.input_nano or self.output_nano or self.cached_input_nano)

    def cost(self, usage: Usage) -> int | None:
        """Nano-dollars of `usage`; None where the counts are not known."""
        if self.is_free:
            return 0
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached = min(usage.cached_tokens or 0, usage.input_tokens)
        fresh = usage.input_tokens - cached
        return fresh * self.input_nano + cached * self.cached_input_nano + usage.output_tokens * self.output_nano

    def worst_case(self, input_bytes: int, output_tokens: int) -> int:
        """The most a call can cost: every byte a token, no cache, the whole output limit."""
        dearest = max(self.input_nano, self.cached_input_nano)
        return input_bytes * dearest + output_tokens * self.output_nano

    def to_json(self) -> str:
        """As stored beside each call, so that costs can be computed again."""
        return json.dumps(asdict(self))


_NAMES = {"gemini": ("gemini", "vertex_ai")}  # vendors whose models the map lists under another name too

FREE = Price(0, 0, 0, "runs on this machine")


@cache
def litellm_map() -> Mapping[str, Mapping[str, Any]]:
    """litellm's own price map, read from its package without importing it (that takes seconds)."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    path = Path(spec.origin).parent / "model_prices_and_context_window_backup.json"
    entries: dict[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def map_entry(model_id: str) -> Mapping[str, Any] | None:
    """litellm's entry for a model, under its full name or without the vendor; None where it has none."""
    entries = litellm_map()
    vendor, _, bare = model_id.partition("/")
    entry = entries.get(model_id)
    if entry is None and bare:
        entry = entries.get(bare)
        if entry is not None and str(entry.get("litellm_provider", "")).split("-")[0] not in _NAMES.get(
            vendor, (vendor,)
        ):
            return None
    return entry if entry is not None and entry.get("mode") in ("chat", "responses", None) else None


def price_of(model_id: str, own: Mapping[str, PriceRow], sim: SimRow | None = None) -> Price | None:
    """The price of a model; None where nobody knows it."""
    if sim is not None:
        return Price.per_million(sim.input_usd_per_million, sim.output_usd_per_million, None, "simulated")
    if model_id in own:
        row = own[model_id]
        return Price.per_million(
            row.input_usd_per_million,
            row.output_usd_per_million,
            row.cached_input_usd_per_million,
            row.source or "prices.toml",
        )
    entry = map_entry(model_id)
    if entry is None or entry.get("input_cost_per_token") is None or entry.get("output_cost_per_token") is None:
        return None
    input_cost = float(entry["input_cost_per_token"])
    cached = entry.get("cache_read_input_token_cost")
    return Price(
        round(input_cost * 1e9),
        round(float(entry["output_cost_per_token"]) * 1e9),
        round((input_cost if cached is None else float(cached)) * 1e9),
        "litellm's price map",
    )
