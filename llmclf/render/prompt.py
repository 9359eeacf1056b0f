"""Prompts: text files with {{placeholders}}, filled in one pass, known by name and sha256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from llmclf.config import files
from llmclf.config.loading import as_folder
from llmclf.errors import ConfigError, nearest

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_PART = re.compile(r"^=== (system|user) ===\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """The text of a prompt file. Parts are headed `=== system ===` and `=== user ===`.

    Filling is one pass: a value that itself holds `{{question}}` stays as it is, so no
    conversation can pull another value in.
    """

    name: str
    text: str

    @cached_property
    def sha256(self) -> str:
        """Of the file's text; with the name it is the prompt's id."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def id(self) -> str:
        """`name@` and the first twelve digits of the hash."""
        return f"{self.name}@{self.sha256[:12]}"

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The names in double braces."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def fill(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """(role, text) of each part with every placeholder replaced.

        Raises ConfigError where the file names a placeholder that `values` does not have.
        """
        unknown = sorted(self.placeholders - set(values))
        if unknown:
            raise ConfigError(
                "the prompt names placeholders that nothing fills",
                where=f"prompt {self.name}",
                got=unknown,
                fix=nearest(unknown[0], sorted(values)),
            )
        return [(role, _PLACEHOLDER.sub(lambda match: values[match[1]], text)) for role, text in self._parts]

    @cached_property
    def _parts(self) -> list[tuple[str, str]]:
        pieces = _PART.split(self.text)
        if len(pieces) == 1:
            return [("user", self.text.strip())]
        if pieces[0].strip():
            raise ConfigError(
                "text stands before the first part",
                where=f"prompt {self.name}",
                got=pieces[0].strip()[:40],
                fix="start the file with === system === or === user ===",
            )
        return [(role, text.strip()) for role, text in zip(pieces[1::2], pieces[2::2], strict=True)]


def load_prompt(name: str, workspace: str | Path | None = None) -> Prompt:
    """The prompt `name`: prompts/NAME.txt, or a path."""
    found = files.find("prompt", name, as_folder(workspace))
    return Prompt(found.name, files.read_text(found.path))
