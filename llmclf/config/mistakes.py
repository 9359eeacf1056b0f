"""What is wrong with a file, in words: one line for each mistake, with its place as TOML writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from llmclf.errors import nearest, shorten

Loc = tuple[int | str, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TAGS = ("union_tag_invalid", "union_tag_not_found")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_LIKE = re.compile(r"(?=[^_]*[0-9])[A-Za-z0-9]{20,}")  # between two underscores
_KEYS_OF_KEYS = ("api_key", "key", "token", "secret", "password", "apikey", "api_token", "authorization")
_NO_PLACE = "a key has no place in a file: keep it in the environment"


def validated(adapter: TypeAdapter[Any], data: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """(the value, no mistakes), or (None, every mistake of `data`, one line each).

    A key where the name of its variable belongs is a mistake, and is not repeated.

    Rules over several keys are only looked at once each key is right by itself; so that an unknown
    key does not hide them, the data is judged again without it.
    """
    keys = _misplaced_keys(data)
    try:
        # JSON mode takes lists for tuples and stays strict about everything else
        value = adapter.validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        details = error.errors()
    else:
        return (None, keys) if keys else (value, [])
    unknown = [tuple(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"]
    if unknown:
        try:
            adapter.validate_json(json.dumps(_without(data, unknown), default=str))
        except ValidationError as error:
            seen = {(detail["loc"], detail["type"]) for detail in details}
            details += [detail for detail in error.errors() if (detail["loc"], detail["type"]) not in seen]
    return None, [*_lines(details, data, adapter), *keys]


def _misplaced_keys(data: Any, place: str = "") -> list[str]:
    """A line for each `key_env` or `webhook_env` that names no variable of the environment."""
    found = []
    for name, value in data.items() if isinstance(data, Mapping) else ():
        here = place + _key(str(name), place)
        if name in ("key_env", "webhook_env") and isinstance(value, str) and value and not _is_variable(value):
            found.append(f"{here}: is no name of an environment variable, such as MY_KEY; {_NO_PLACE}")
        found += _misplaced_keys(value, here)
    return found


def _is_variable(name: str) -> bool:
    """True where it may be a variable's name, and does not look like a key."""
    return _VARIABLE.fullmatch(name) is not None and not any(map(_KEY_LIKE.fullmatch, name.split("_")))


def _lines(details: Sequence[Any], data: Mapping[str, Any], adapter: TypeAdapter[Any]) -> list[str]:
    wrong_inside = {tuple(detail["loc"][:length]) for detail in details for length in range(len(detail["loc"]))}
    by_place: dict[str, list[Any]] = {}
    for detail in details:
        if detail["type"] == "too_short" and tuple(detail["loc"]) in wrong_inside:
            continue  # it only seems empty, because what is in it is wrong
        by_place.setdefault(_place(detail, data), []).append(detail)
    return [line for place, group in by_place.items() for line in _at_place(place, group, adapter)]


def _at_place(place: str, details: list[Any], adapter: TypeAdapter[Any]) -> list[str]:
    """The lines of one place. What each branch of a choice says is one mistake: `a, or b`."""
    lines = [_line(place, detail, adapter) for detail in details if _own_line(detail)]
    said = list(dict.fromkeys(_said(detail) for detail in details if not _own_line(detail)))
    if said:
        got = next(detail["input"] for detail in details if not _own_line(detail))
        text = f"{', or '.join(said)}; got {shorten(got, 60)}"
        lines.append(f"{place}: {text}" if place else text)
    return lines


def _own_line(detail: Any) -> bool:
    return detail["type"] in ("extra_forbidden", "missing", "value_error", *_TAGS)


def _line(place: str, detail: Any, adapter: TypeAdapter[Any]) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        key, beside = str(detail["loc"][-1]), _keys_beside(adapter, detail["loc"])
        if "key_env" in beside and key.lower() in _KEYS_OF_KEYS:
            return f"{place}: unknown key; {_NO_PLACE}, and key_env names its variable"
        hint = nearest(key, beside)
        return f"{place}: unknown key; {hint}" if hint else f"{place}: unknown key"
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    key = detail["ctx"]["discriminator"].strip("'")
    place = f"{place}.{key}" if place else key
    if kind == "union_tag_not_found":
        return f"{place}: is missing"
    known = [tag.strip(" '") for tag in detail["ctx"]["expected_tags"].split(",")]
    tag = detail["ctx"]["tag"]
    return f"{place}: must be one of {', '.join(known)}; got {shorten(tag, 60)}"


def _said(detail: Any) -> str:
    if detail["type"] == "string_pattern_mismatch" and detail["ctx"]["pattern"].startswith("^[A-Za-z0-9_]"):
        return "is not a name: use letters, digits, '_', '-', '.' and '/'"
    message: str = detail["msg"]
    return message[:1].lower() + message[1:]


def _place(detail: Any, data: Any) -> str:
    """`rules[1].user`: the parts of the place that stand in the file, without the branches of a choice."""
    text = ""
    node = data
    parts = detail["loc"]
    for number, part in enumerate(parts):
        if isinstance(part, int) and isinstance(node, list):
            text += f"[{part}]"
            node = node[part]
        elif isinstance(node, dict) and part in node:
            text += _key(str(part), text)
            node = node[part]
        elif detail["type"] == "missing" and number == len(parts) - 1:
            text += _key(str(part), text)
    return text


def _key(part: str, before: str) -> str:
    written = part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
    return f".{written}" if before else written


def _without(data: Any, places: Sequence[Loc]) -> Any:
    """A copy of `data` without the keys at `places`."""
    copy = json.loads(json.dumps(data, default=str))
    for place in places:
        node = copy
        for part in place[:-1]:
            inside = isinstance(node, list) if isinstance(part, int) else isinstance(node, dict) and part in node
            node = node[part] if inside else node
        if isinstance(node, dict):
            node.pop(str(place[-1]), None)
    return copy


def _keys_beside(adapter: TypeAdapter[Any], loc: Loc) -> list[str]:
    """The known keys of the table that holds an unknown one, read from the JSON schema."""
    schema = adapter.json_schema()
    node: dict[str, Any] = schema
    for part in loc[:-1]:
        node = _resolve(node, schema)
        if "oneOf" in node:
            mapping = node["discriminator"]["mapping"]
            node = _resolve({"$ref": mapping[part]}, schema) if part in mapping else node
        elif isinstance(part, int):
            node = node.get("items", {})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            patterns = node.get("patternProperties", {}).values()  # tables whose names must follow a pattern
            extra = next(iter(patterns), node.get("additionalProperties"))
            node = extra if isinstance(extra, dict) else {}
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return next((option for option in node.get("anyOf", ()) if option.get("type") != "null"), node)
