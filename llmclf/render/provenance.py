"""What prompts/NAME.json says of an optimized prompt: which items it shows, and which it was chosen by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from llmclf.config import files
from llmclf.errors import ConfigError

FORMAT = "llmclf-prompt"
VERSION = 1


class Provenance(NamedTuple):
    """What a prompt holds of the labels it was made from."""

    shown: frozenset[str] = frozenset()
    """Items or cases that it shows."""
    learned_from: frozenset[str] = frozenset()
    """`item_hash` of those it was optimized by."""
    conversations: frozenset[str] = frozenset()
    """Ids of the conversations whose words it shows."""


def read_provenance(path: Path) -> Provenance:
    """What the `optimize` run that made a prompt wrote beside it.

    All of it is empty where there is no such file. It counts also after the prompt's text was edited: what
    was learned from is in it still. ConfigError where it can't be read, or is something else.
    """
    if not path.is_file():
        return Provenance()
    try:
        written = json.loads(files.read_text(path))
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"is not JSON: {error}") from error
    if not isinstance(written, dict) or written.get("format") != FORMAT:
        raise _unusable(path, "stands beside a prompt and does not say where that comes from")
    if written.get("version") != VERSION:
        raise _unusable(path, f"is of another version than {VERSION}", got=written.get("version"))
    return Provenance(*(_texts(written, key, path) for key in Provenance._fields))


def _texts(written: dict[str, object], key: str, path: Path) -> frozenset[str]:
    found = written.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise _unusable(path, f"has no list of texts as {key}", got=found)
    return frozenset(found)


def _unusable(path: Path, what: str, got: object = None) -> ConfigError:
    fix = "restore the file that `llmclf optimize` wrote, or move it away: then nothing is known of the prompt's origin"
    return ConfigError(what, where=str(path), got=got, fix=fix)
