"""What a model takes and costs, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PRICES = {
    "input": "in",
    "output": "out",
    "cached_input": "cached",
    "audio_input": "audio",
    "reasoning": "thinking",
    "batch_input": "batch in",
    "batch_output": "batch out",
}
"""Keys of a price, in dollars per million tokens, and what they are called."""


class ModelView:
    """One model, described by a dict as `models show --json` prints it."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self.described = described

    def to_dict(self) -> Mapping[str, Any]:
        """The dict itself."""
        return self.described

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.table import Table
        from rich.text import Text

        model = self.described
        yield Text(f"{model['model']}  (route {model['route']})", style="bold")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in _facts(model):
            grid.add_row(name, Text(text))
        yield grid
        yield ""
        table = Table("thinking", "status", "sent, or why not", box=None, padding=(0, 2, 0, 0))
        table.columns[0].no_wrap = table.columns[1].no_wrap = True
        table.columns[2].overflow = "fold"
        for setting, row in model["thinking"].items():
            note = f"{row['sent']}  ({row['note']})" if row["sent"] and row["note"] else row["sent"] or row["note"]
            table.add_row("N tokens" if setting == "tokens" else setting, row["status"], Text(note))
        if model["thinking"]:
            yield table


class ModelsView:
    """Many models, one line each."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.table import Table
        from rich.text import Text

        table = Table("model", "takes", box=None, padding=(0, 2, 0, 0))
        table.columns[0].overflow = "fold"
        for name in ("$/M in", "$/M out"):
            table.add_column(name, justify="right", no_wrap=True)
        noted = options.max_width >= 100 and any(row["note"] for row in self.rows)
        if noted:
            table.add_column("note")
        for row in self.rows:
            prices = row["usd_per_million"] or {}
            cells = [_usd(prices.get("input")), _usd(prices.get("output"))]
            table.add_row(
                Text(row["model"]), Text(", ".join(row["modalities"])), *cells, *([Text(row["note"])] if noted else [])
            )
        yield table


def price_dict(price: Any) -> dict[str, float] | None:
    """Dollars per million tokens by kind of token; None where no price is known."""
    if price is None:
        return None
    batch = price.batched() if not price.is_free else None
    nano = {
        "input": price.input_nano,
        "output": price.output_nano,
        "cached_input": price.cached_input_nano,
        "audio_input": price.audio_input_nano,
        "reasoning": price.reasoning_nano,
        "batch_input": batch and batch.input_nano,
        "batch_output": batch and batch.output_nano,
    }
    return {name: value / 1000 for name, value in nano.items() if value is not None}


def _facts(model: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "takes", ", ".join(model["modalities"])
    yield "JSON schema", "held to by the vendor" if model["json_schema"] else "no: asked for in words"
    yield "logprobs", "yes" if model["logprobs"] else "no"
    yield "temperature", "yes" if model["temperature"] else "not beside its default thinking"
    yield "tokens", f"{_count(model['context_tokens'])} in, {_count(model['output_tokens'])} out"
    yield "price", _price_text(model["usd_per_million"])
    if model["usd_per_million"]:
        made_up = model["price_from"] == "simulated"
        yield "", "made up, like all of a simulated model" if made_up else _source(model["price_from"])
        if "estimate" in model["batch_from"]:
            yield "", "batch: an estimate, half of that price"
    for number, tier in enumerate(model["tiers"]):
        text = f"above {tier['above']:,} tokens in: {_usd(tier['input'])} in, {_usd(tier['output'])} out"
        yield ("" if number else "long prompts"), text
    if model["note"]:
        yield "note", model["note"]
    for number, problem in enumerate(model["problems"]):
        yield ("" if number else "missing"), problem


def _source(source: str) -> str:
    """Where a price comes from; what is no file or map is said as it stands."""
    is_place = source.endswith(".toml") or source.startswith("litellm's")
    return f"from {source}" if is_place else source


def _price_text(prices: Mapping[str, float] | None) -> str:
    if prices is None:
        return "unknown: no cap can hold; give it a price in configs/prices.toml"
    if not any(prices.values()):
        return "nothing"
    listed = ", ".join(f"{_usd(prices[key])} {word}" for key, word in _PRICES.items() if key in prices)
    return f"{listed} a million tokens"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"${value:g}"
