"""Prompts: text files with {{placeholders}}, filled in one pass, known by name and sha256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llmclf.config import files
from llmclf.config.loading import as_folder
from llmclf.errors import ConfigError, nearest
from llmclf.render.provenance import read_provenance

_NAME = r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}"
_HEADING = r"=== (?:system|user) ===[^\S\n]*$"
PLACEHOLDER = re.compile(rf"(?<!\\){_NAME}")
"""A placeholder that acts: its name in double braces."""
_PART = re.compile(r"^=== (system|user) ===\s*$", re.MULTILINE)
_ACTS = re.compile(rf"(?={_NAME})|^(?=\\*{_HEADING})", re.MULTILINE)
"""The places where a backslash makes literal what follows."""
_HEADED = re.compile(rf"^(?={_HEADING})", re.MULTILINE)
_FILLS = re.compile(rf"(?P<literal>\\{_NAME}|^\\(?=\\*{_HEADING}))|{_NAME}", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    r"""The text of a prompt file. Parts are headed `=== system ===` and `=== user ===`.

    Filling is one pass: a value that itself holds `{{question}}` stays as it is, so no
    conversation can pull another value in. A backslash right before `{{question}}`, or before a
    heading, makes it literal and is taken away.

    >>> Prompt("p", r"{{a}} \{{a}}").fill({"a": "1"})
    [('user', '1 {{a}}')]
    """

    name: str
    text: str
    shown: frozenset[str] = field(default=frozenset(), compare=False)
    """The items that its examples show: they can't be evaluated with it."""
    learned_from: frozenset[str] = field(default=frozenset(), compare=False)
    """`item_hash` of each item that it was optimized or chosen by."""
    conversations: frozenset[str] = field(default=frozenset(), compare=False)
    """Ids of the conversations whose words its examples show."""

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
        """The names in double braces, but for literal ones."""
        return frozenset(PLACEHOLDER.findall(self.text))

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
        return [(role, _filled(text, values)) for role, text in self.parts]

    @cached_property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(role, template) of each part, in order; ConfigError where text stands before the first."""
        pieces = _PART.split(self.text)
        if len(pieces) == 1:
            return (("user", self.text.strip()),)
        if pieces[0].strip():
            raise ConfigError(
                "text stands before the first part",
                where=f"prompt {self.name}",
                got=pieces[0].strip()[:40],
                fix="start the file with === system === or === user ===",
            )
        return tuple((role, text.strip()) for role, text in zip(pieces[1::2], pieces[2::2], strict=True))


def escaped(text: str) -> str:
    r"""`text` for a prompt file, on lines of its own: nothing in it is filled or opens a part.

    >>> print(escaped("Say {{question}}"))
    Say \{{question}}
    """
    return _ACTS.sub(r"\\", text)


def restricted(template: str, names: Collection[str]) -> str:
    """`template` in which no placeholder acts but `names`, and no line opens a part: all others are literal."""
    only = PLACEHOLDER.sub(lambda match: match[0] if match[1] in names else "\\" + match[0], template)
    return _HEADED.sub(r"\\", only)


def load_prompt(name: str, workspace: str | Path | None = None) -> Prompt:
    """The prompt `name`: prompts/NAME.txt, or a path; with what the NAME.json beside it says of its origin."""
    found = files.find("prompt", name, as_folder(workspace))
    text = files.read_text(found.path)
    return Prompt(found.name, text, *read_provenance(found.path.with_suffix(".json")))


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _FILLS.sub(lambda match: match["literal"][1:] if match["literal"] else values[match[3]], text)
