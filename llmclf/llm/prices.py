"""What a token costs. Offline: prices.toml first, then the row of models.toml, then the price map inside litellm.

Unknown is not zero. Money is whole nano-dollars; a rate may be a fraction of one ($0.0375 a million is 37.5).
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from llmclf.config import PriceRow, SimRow
from llmclf.types import Usage

BATCH_ESTIMATE = 0.5
"""Share of the standard price that a vendor's batch interface is taken to cost where nobody says: an estimate."""


class Rates(NamedTuple):
    """Nano-dollars per token that hold for one call as a whole."""

    input: float
    cached: float
    audio: float
    output: float
    reasoning: float
    write: float


@dataclass(frozen=True, slots=True)
class Tier:
    """What tokens of a call cost whose prompt is longer than `above` tokens: all of them, not only those above."""

    above: int
    """Prompt tokens, cached ones included."""
    input_nano: float
    output_nano: float
    cached_input_nano: float
    cache_write_nano: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token (so $1 per million tokens is 1,000)."""

    input_nano: float
    output_nano: float
    cached_input_nano: float
    source: str
    """Where it comes from."""
    audio_input_nano: float | None = None
    """Tokens of recordings, where they cost otherwise than words."""
    reasoning_nano: float | None = None
    """Where thinking costs otherwise than the answer."""
    cache_write_nano: float | None = None
    """A token that is put into the vendor's cache, where that costs otherwise than any other."""
    tiers: tuple[Tier, ...] = ()
    """For long prompts, in rising order."""
    batch: Price | None = None
    """By the vendor's batch interface; None where nobody says."""

    @classmethod
    def per_million(cls, input_usd: float, output_usd: float, cached_usd: float | None, source: str) -> Price:
        """From dollars per million tokens."""
        cached = input_usd if cached_usd is None else cached_usd
        return cls(_nano(input_usd / 1e6), _nano(output_usd / 1e6), _nano(cached / 1e6), source)

    @classmethod
    def from_json(cls, text: str) -> Price:
        """The price that `to_json` wrote, also of an earlier version that knew fewer parts."""
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, found: Mapping[str, Any]) -> Price:
        tiers = tuple(Tier(**tier) for tier in found.get("tiers") or ())
        batch = None if found.get("batch") is None else cls._from_dict(found["batch"])
        return cls(**{**found, "tiers": tiers, "batch": batch})

    @property
    def is_free(self) -> bool:
        """True where every token costs nothing: known to be zero."""
        return not any(any(rates) for rates in self._all_rates())

    def rates(self, input_tokens: int) -> Rates:
        """What holds for a call with a prompt of so many tokens."""
        tier = next((tier for tier in reversed(self.tiers) if input_tokens > tier.above), None)
        return self._rates(tier)

    def cost(self, usage: Usage, *, audio_sent: bool = False, calls: int = 1) -> int | None:
        """Nano-dollars of `usage`; None where the counts are not known.

        Where it is the sum of several `calls`, what a long prompt costs is decided by their mean.
        Cached tokens and those of recordings may be the same ones: the cache counts first. Where a
        recording was sent (`audio_sent`), its tokens cost otherwise and are not counted apart, the
        cost is not known either. The same sums as litellm's `completion_cost`.
        """
        if usage.input_tokens is None or usage.output_tokens is None:
            return 0 if self.is_free else None
        if audio_sent and usage.audio_tokens is None and self.audio_input_nano is not None:
            return None
        rates = self.rates(usage.input_tokens // max(1, calls))
        cached = min(usage.cached_tokens or 0, usage.input_tokens)
        audio = min(usage.audio_tokens or 0, usage.input_tokens - cached)
        written = min(usage.cache_write_tokens or 0, usage.input_tokens - cached - audio)
        words = usage.input_tokens - cached - audio - written
        reasoning = min(usage.reasoning_tokens or 0, usage.output_tokens)
        answer = usage.output_tokens - reasoning
        return round(
            words * rates.input
            + cached * rates.cached
            + audio * rates.audio
            + written * rates.write
            + answer * rates.output
            + reasoning * rates.reasoning
        )

    def worst_case(self, input_bytes: int, output_tokens: int, media_tokens: int = 0) -> int:
        """The most a call can cost in nano-dollars: the dearest rates, no cache, the whole output limit.

        Every byte of the words counts as a token; `media_tokens` is what pictures and recordings can
        be at most (see `llmclf.llm.media_tokens`), and their own bytes are no part of `input_bytes`.
        """
        most = input_bytes + media_tokens
        reached = [None, *(tier for tier in self.tiers if most > tier.above)]
        writes = [self.cache_write_nano or 0, *(tier.cache_write_nano or 0 for tier in reached if tier)]
        rates = [self._rates(tier) for tier in reached]
        words = max(*writes, *(max(rate.input, rate.cached) for rate in rates))
        media = max(words, *(rate.audio for rate in rates))
        output = max(max(rate.output, rate.reasoning) for rate in rates)
        return math.ceil(input_bytes * words + media_tokens * media + output_tokens * output)

    def batched(self) -> Price:
        """What the vendor's batch interface costs; where nobody says, half of this, and the source says so."""
        return self.batch or self._scaled(BATCH_ESTIMATE, f"an estimate: half of {self.source}")

    def to_json(self) -> str:
        """As stored beside each call, so that costs can be computed again; parts it lacks are left out."""
        return json.dumps(_without_none(asdict(self)))

    def _rates(self, tier: Tier | None) -> Rates:
        held = tier or self
        audio = held.input_nano if self.audio_input_nano is None else self.audio_input_nano
        reasoning = held.output_nano if self.reasoning_nano is None else self.reasoning_nano
        write = held.input_nano if held.cache_write_nano is None else held.cache_write_nano
        return Rates(held.input_nano, held.cached_input_nano, audio, held.output_nano, reasoning, write)

    def _all_rates(self) -> Iterator[Rates]:
        yield self._rates(None)
        yield from (self._rates(tier) for tier in self.tiers)

    def _scaled(self, factor: float, source: str) -> Price:
        def scaled(value: float | None) -> Any:
            return None if value is None else value * factor

        names = ("input_nano", "output_nano", "cached_input_nano", "cache_write_nano")
        tiers = tuple(replace(tier, **{name: scaled(getattr(tier, name)) for name in names}) for tier in self.tiers)
        rates = {name: scaled(getattr(self, name)) for name in (*names, "audio_input_nano", "reasoning_nano")}
        return replace(self, **rates, tiers=tiers, batch=None, source=source)


_NAMES = {
    "gemini": ("gemini", "vertex_ai"),
    "bedrock": ("bedrock", "bedrock_converse"),
}  # vendors whose models the map lists under another name too
_ABOVE = re.compile(r"(?:in|out)put_cost_per_token_above_(\d+)(k?)_tokens")
_INCLUSIVE = ("xai",)  # their dearer tier begins at the threshold itself
_CACHED_SHARE = {"fireworks_ai": 0.5}  # of the input price, where the map names no price for cached input

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


def price_of(
    model_id: str,
    own: Mapping[str, PriceRow],
    sim: SimRow | None = None,
    *,
    row: PriceRow | None = None,
    listed_as: str = "",
) -> Price | None:
    """The price of a model; None where nobody knows it.

    `own` is prices.toml, which comes first; then `row`, the `price` of the model's row in models.toml;
    then litellm's map, under `listed_as` where the model's name is one of your own.
    """
    if sim is not None:
        return Price.per_million(sim.input_usd_per_million, sim.output_usd_per_million, None, "simulated")
    if model_id in own:
        return price_of_row(own[model_id], "prices.toml")
    if row is not None:
        return price_of_row(row, "models.toml")
    for name in (model_id, listed_as):
        entry = map_entry(name) if name else None
        if entry is not None:
            return None if _has_fee(name, entry) else price_of_entry(entry)
    return None


def _has_fee(name: str, entry: Mapping[str, Any]) -> bool:
    """True where a call costs more than its tokens: per request, per search that is always made, per picture made."""
    searches = "search" in name or entry.get("litellm_provider") == "perplexity"
    is_by_piece = not entry.get("output_cost_per_token") and entry.get("output_cost_per_image")
    per_search = searches and entry.get("search_context_cost_per_query")
    return bool(entry.get("input_cost_per_request") or per_search or is_by_piece)


def price_of_row(row: PriceRow, source: str) -> Price:
    """The price that a user wrote down; `source` is the file, where the row itself names none."""
    source = row.source or source
    price = Price.per_million(
        row.input_usd_per_million, row.output_usd_per_million, row.cached_input_usd_per_million, source
    )
    audio = row.audio_input_usd_per_million
    price = replace(price, audio_input_nano=None if audio is None else _nano(audio / 1e6))
    batch_input, batch_output = row.batch_input_usd_per_million, row.batch_output_usd_per_million
    if batch_input is None and batch_output is None:
        return price
    return replace(price, batch=_batch(price, _per_million(batch_input), _per_million(batch_output)))


def price_of_entry(entry: Mapping[str, Any]) -> Price | None:
    """The price in an entry of litellm's map, batch prices and tiers included; None where it names none."""
    steps = [step for step in entry.get("tiered_pricing") or () if "range" in step]
    if entry.get("input_cost_per_token") is None and steps:
        return _price_of_steps(entry, steps)
    price = _entry_price(entry, "")
    if price is None:
        return None
    if entry.get("input_cost_per_token_batches") is None or entry.get("output_cost_per_token_batches") is None:
        return price
    estimate = price.batched()
    batch = replace(
        _entry_price(entry, "_batches", price) or estimate,
        audio_input_nano=_rate(entry, "input_cost_per_audio_token_batches", estimate.audio_input_nano),
        reasoning_nano=estimate.reasoning_nano,
        source=f"{price.source}, batch",
    )
    return replace(price, batch=batch)


def _entry_price(entry: Mapping[str, Any], ending: str, standard: Price | None = None) -> Price | None:
    """The flat rates and tiers whose keys end so; without a rate of its own the cache is as dear as the input,
    or (for batches) as the standard price has it, if that is less.
    """
    words = _rate(entry, f"input_cost_per_token{ending}")
    output = _rate(entry, f"output_cost_per_token{ending}")
    if words is None or output is None:
        return None
    without = words * _cached_share(entry) if standard is None else min(words, standard.cached_input_nano)
    cached = _rate(entry, f"cache_read_input_token_cost{ending}")
    made = Price(
        words,
        output,
        without if cached is None else cached,
        "litellm's price map",
        audio_input_nano=None if ending else _rate(entry, "input_cost_per_audio_token"),
        reasoning_nano=None if ending else _rate(entry, "output_cost_per_reasoning_token"),
        cache_write_nano=_dearest_write(entry, ending),
    )
    return replace(made, tiers=tuple(_tiers(entry, made, ending)))


def _tiers(entry: Mapping[str, Any], flat: Price, ending: str) -> Iterator[Tier]:
    inclusive = str(entry.get("litellm_provider", "")) in _INCLUSIVE
    names = {match[0]: match for match in map(_ABOVE.match, entry) if match}
    found = {f"{match[1]}{match[2]}": int(match[1]) * (1000 if match[2] else 1) for match in names.values()}
    last = flat
    has_cached = bool(ending) or entry.get("cache_read_input_token_cost") is not None
    for name, above in sorted(found.items(), key=lambda pair: pair[1]):
        step = f"_above_{name}_tokens{ending}"
        if all(entry.get(f"{kind}_cost_per_token{step}") is None for kind in ("input", "output")):
            continue
        words = _rate(entry, f"input_cost_per_token{step}", last.input_nano)
        output = _rate(entry, f"output_cost_per_token{step}", last.output_nano)
        assert words is not None
        assert output is not None
        without = last.cached_input_nano if has_cached else words * _cached_share(entry)
        cached = _rate(entry, f"cache_read_input_token_cost{step}", without)
        assert cached is not None
        write = _dearest_write(entry, step)
        yield Tier(above - 1 if inclusive else above, words, output, cached, write)
        last = replace(flat, input_nano=words, output_nano=output, cached_input_nano=cached)


def _price_of_steps(entry: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> Price | None:
    """A table of steps instead of one price: each holds for the whole call, from its lower end on."""
    made = []
    for step in sorted(steps, key=lambda step: float(step["range"][0])):
        words = _rate(step, "input_cost_per_token")
        output = _rate(step, "output_cost_per_token", _rate(entry, "output_cost_per_token"))
        if words is None or output is None:
            return None
        thinking = _rate(step, "output_cost_per_reasoning_token", output)
        cached = _rate(step, "cache_read_input_token_cost", words)
        assert thinking is not None
        assert cached is not None
        # a step's thinking may be dearer than its answer: all output at that rate never falls short
        made.append(Tier(int(step["range"][0]), words, max(output, thinking), cached))
    first, *others = made
    return Price(
        first.input_nano, first.output_nano, first.cached_input_nano, "litellm's price map", tiers=tuple(others)
    )


def _batch(standard: Price, words: float | None, output: float | None) -> Price:
    """The batch price of a user's own; the part that is not given is half of the standard one."""
    estimate = standard.batched()
    words = estimate.input_nano if words is None else words
    return replace(
        estimate,
        input_nano=words,
        output_nano=estimate.output_nano if output is None else output,
        cached_input_nano=min(words, standard.cached_input_nano),
        source=f"{standard.source}, batch",
    )


def _cached_share(entry: Mapping[str, Any]) -> float:
    return _CACHED_SHARE.get(str(entry.get("litellm_provider", "")), 1.0)


def _dearest_write(entry: Mapping[str, Any], ending: str) -> float | None:
    """The most a token put into the cache costs, for five minutes or an hour."""
    names = (f"cache_creation_input_token_cost{ending}", f"cache_creation_input_token_cost_above_1hr{ending}")
    known = [rate for rate in (_rate(entry, name) for name in names) if rate is not None]
    return max(known, default=None)


def _rate(entry: Mapping[str, Any], name: str, default: float | None = None) -> float | None:
    value = entry.get(name)
    return default if value is None else _nano(float(value))


def _per_million(usd: float | None) -> float | None:
    return None if usd is None else _nano(usd / 1e6)


def _nano(usd: float) -> float:
    """Nano-dollars without the noise of binary fractions."""
    return round(usd * 1e9, 6)


def _without_none(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, Mapping) else value
        for name, value in found.items()
        if value not in (None, ())
    }
