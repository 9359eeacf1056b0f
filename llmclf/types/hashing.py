"""One way to write a value as JSON, and one way to hash it, for every id in llmclf."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

_ATOMS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """A value as JSON types: dataclasses as objects (fields that hold their default are left out),
    tuples and sets as lists, times as ISO text, bytes as their sha256.

    A field with the metadata `{"stored": False}` lives in memory only and is left out.
    """
    return _plain(value, hashed=False)


def _plain(value: Any, hashed: bool) -> Any:
    kind = type(value)
    if kind in _ATOMS:  # most values, by far
        return value
    if dataclasses.is_dataclass(kind):
        found = {}
        for name, default, factory in _fields(kind, hashed):
            item = getattr(value, name)
            if default is dataclasses.MISSING and factory is not dataclasses.MISSING:
                default = factory()
            if default is dataclasses.MISSING or item != default:
                found[name] = _plain(item, hashed)
        return found
    if isinstance(value, Mapping):
        return {str(key): _plain(item, hashed) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, hashed) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item, hashed) for item in value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    return value


@cache
def _fields(kind: type, hashed: bool) -> tuple[tuple[str, Any, Any], ...]:
    """(name, default, default factory) of each field that is written, or hashed."""
    return tuple(
        (field.name, field.default, field.default_factory)
        for field in dataclasses.fields(kind)
        if field.metadata.get("stored", True) and (field.metadata.get("hashed", True) or not hashed)
    )


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces: equal values give equal text.

    A field with the metadata `{"hashed": False}` (where something lies, not what it is) is left out.
    """
    return json.dumps(_plain(value, hashed=True), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: Any) -> str:
    """The sha256 of `canonical_json(value)`, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
