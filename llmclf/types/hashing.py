"""One way to write a value as JSON, and one way to hash it, for every id in llmclf."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """A value as JSON types: dataclasses as objects (fields that hold their default are left out),
    tuples and sets as lists, times as ISO text, bytes as their sha256.

    A field with the metadata `{"stored": False}` lives in memory only and is left out.
    """
    return _plain(value, hashed=False)


def _plain(value: Any, hashed: bool) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name), hashed)
            for field in dataclasses.fields(value)
            if field.metadata.get("stored", True)
            and not (hashed and not field.metadata.get("hashed", True))
            and not _is_default(field, getattr(value, field.name))
        }
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


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces: equal values give equal text.

    A field with the metadata `{"hashed": False}` (where something lies, not what it is) is left out.
    """
    return json.dumps(_plain(value, hashed=True), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: Any) -> str:
    """The sha256 of `canonical_json(value)`, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default)
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return False
