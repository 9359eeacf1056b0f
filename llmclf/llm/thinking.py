"""What becomes of a thinking setting for one model: by the table, and by what litellm, asked offline, would send."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmclf.llm.capabilities import ThinkingRow
from llmclf.llm.model import Thinking
from llmclf.llm.thinking_table import FAMILIES, NUMBER, TOKENS, Arguments, Family

SETTINGS = ("off", "minimal", "low", "medium", "high", "max", TOKENS)
"""Rows of the table; `tokens` stands for an exact number."""
_SAMPLE = 4321  # a number to see what becomes of one

Probe = Callable[[Arguments], "dict[str, Any] | str"]
"""litellm's arguments to what it would send for them beside its defaults, or its words where it refuses."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a setting comes to for one model."""

    row: ThinkingRow
    arguments: Arguments


def family_of(model: str) -> Family | None:
    """The family of a model as litellm names it (`anthropic/claude-haiku-4-5`); None where the table has none."""
    vendor, _, bare = model.partition("/")
    bare = bare.removeprefix("responses/")
    found = (family for family in FAMILIES if vendor in family.vendors and re.search(family.pattern, bare))
    return next(found, None)


def choose(model: str, thinking: Thinking, entry: Mapping[str, Any], probe: Probe) -> Chosen:
    """What `thinking` comes to for a model, with litellm's map `entry` of it: by the table, else by the probe alone."""
    setting = thinking if isinstance(thinking, str) else TOKENS
    number = thinking if isinstance(thinking, int) else None
    family = family_of(model)
    if family is None:
        return _by_probe(setting, number, entry, probe)
    if number is not None and TOKENS in family.ways and not _in_range(number, family):
        return _unsupported(f"the vendor takes {token_range(family)}")
    words = family.why_not.get(setting, "")
    for way in family.ways.get(setting, ()):
        if not _flagged(way.flag, entry):
            continue
        arguments, expected = with_number(way.arguments, number), with_number(way.sent, number)
        sent = probe(arguments) if arguments else {}
        if isinstance(sent, dict) and _holds(sent, expected):
            return Chosen(ThinkingRow(way.status, json.dumps(sent), way.note), arguments)
        words = words or (sent if isinstance(sent, str) else f"litellm would send {json.dumps(sent)} for it")
    return _unsupported(words)


def sample_of(setting: str, chosen: Callable[[Thinking], Chosen]) -> ThinkingRow:
    """What a setting comes to by `chosen`; in `sent`, N stands for the number of tokens."""
    thinking: Any = _SAMPLE if setting == TOKENS else setting
    row = chosen(thinking).row
    return ThinkingRow(row.status, row.sent.replace(str(_SAMPLE), "N"), row.note)


def generic_arguments(thinking: Thinking) -> dict[str, Any]:
    """litellm's arguments for a setting where no table says better."""
    if isinstance(thinking, int):
        return {"thinking": {"type": "enabled", "budget_tokens": thinking}}
    return {"reasoning_effort": {"off": "none", "max": "xhigh"}.get(thinking, thinking)}


def taken_words(rows: Mapping[str, ThinkingRow], family: Family | None = None) -> str:
    """The settings that are taken, as one text: `off, low, high or 1024 and more tokens`."""
    taken = [setting for setting, row in rows.items() if row.status != "unsupported" and setting != TOKENS]
    words = ", ".join(taken)
    if rows.get(TOKENS, ThinkingRow("unsupported")).status == "unsupported":
        return words
    number = token_range(family) if family else "a number of tokens"
    return f"{words} or {number}" if words else number


def token_range(family: Family) -> str:
    """The numbers of tokens that a family takes, as text."""
    if family.most_tokens is not None:
        return f"{family.least_tokens} to {family.most_tokens} tokens"
    return f"{family.least_tokens} and more tokens"


def says_off(sent: Arguments) -> bool:
    """True where a request says in so many words that nothing is to be thought."""
    text = json.dumps(sent).lower()
    return any(word in text for word in ('"none"', "disabled", '"thinkingbudget": 0', '"think": false'))


def with_number(value: Any, number: int | None) -> Any:
    """`value` of the table with the number of tokens in its place."""
    if isinstance(value, Mapping):
        return {key: with_number(inner, number) for key, inner in value.items()}
    return number if value == NUMBER and number is not None and not isinstance(value, bool) else value


def _by_probe(setting: str, number: int | None, entry: Mapping[str, Any], probe: Probe) -> Chosen:
    """Where the table has no row: what litellm makes of it decides, and nobody has checked that."""
    if entry and not entry.get("supports_reasoning") and isinstance(probe({"reasoning_effort": "low"}), str):
        note = "it does not reason"
        return (
            Chosen(ThinkingRow("exact", "{}", f"{note}: nothing is sent"), {})
            if setting == "off"
            else _unsupported(note)
        )
    thinking: Any = setting if number is None else number
    arguments = generic_arguments(thinking)
    if setting == "max" and entry.get("supports_max_reasoning_effort"):
        arguments = {"reasoning_effort": "max"}
    sent = probe(arguments)
    if isinstance(sent, str):
        return _unsupported(sent)
    if not sent:
        return _unsupported("it would be ignored silently")
    if number is not None and str(number) not in json.dumps(sent):
        return _unsupported(f"the number would be lost: litellm sends {json.dumps(sent)}")
    if setting == "off" and not says_off(sent):
        return _unsupported(f"litellm would send {json.dumps(sent)}, which is not off")
    as_asked = setting in ("off", TOKENS) or sent.get("reasoning_effort") == setting
    note = "sent on; nobody has checked what becomes of it" if as_asked else "the vendor's value is another"
    return Chosen(ThinkingRow("unverified" if as_asked else "approximate", json.dumps(sent), note), arguments)


def _unsupported(note: str) -> Chosen:
    return Chosen(ThinkingRow("unsupported", "", note), {})


def _flagged(flag: str, entry: Mapping[str, Any]) -> bool:
    return not flag or bool(entry.get(flag.removeprefix("!"))) != flag.startswith("!")


def _in_range(number: int, family: Family) -> bool:
    return family.least_tokens <= number <= (family.most_tokens or number)


def _holds(sent: Any, expected: Any) -> bool:
    """True where all of `expected` stands in `sent`."""
    if isinstance(expected, Mapping):
        return isinstance(sent, Mapping) and all(key in sent and _holds(sent[key], expected[key]) for key in expected)
    return bool(sent == expected) and isinstance(sent, bool) == isinstance(expected, bool)


def thinking_markdown() -> str:
    """The table as docs/models.md holds it."""
    heads = [*(f"`{setting}`" for setting in SETTINGS if setting != TOKENS), "a number"]
    lines = [f"| models | {' | '.join(heads)} |", f"| --- {'| --- ' * len(heads)}|"]
    lines += [
        f"| {family.name} | {' | '.join(_cell(family, setting) for setting in SETTINGS)} |" for family in FAMILIES
    ]
    return "\n".join(lines)


def _cell(family: Family, setting: str) -> str:
    ways = family.ways.get(setting, ())
    words = [way.status if way.status != "approximate" else f"≈ {_value(way.sent)}" for way in ways]
    words = [f"{word}*" if way.flag else word for word, way in zip(words, ways, strict=True)]
    ending = f", {token_range(family)}" if setting == TOKENS and family.least_tokens > 1 else ""
    return " or ".join(words) + ending if words else "no"


def _value(sent: Any) -> str:
    """The level or number in what is sent; `on` where it holds neither."""
    if isinstance(sent, Mapping):
        found = [_value(inner) for inner in sent.values()]
        return next((word for word in found if word != "on"), "on")
    return str(sent) if sent in (*SETTINGS, "xhigh") or (isinstance(sent, int) and not isinstance(sent, bool)) else "on"
