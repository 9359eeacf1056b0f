"""One kind of trouble in the data, with the ids it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmclf.errors import shorten

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first. `error`: numbers from this data are wrong; `warning`: they may be; `note`: know it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of trouble: how much of it, where, what it means and what to do."""

    kind: str
    severity: Severity
    count: int
    sentence: str
    """What it means and what to do, for a person who has not read the manual."""
    ids: tuple[str, ...] = ()
    """Every conversation (`id`) or turn (`id[turn]`) concerned."""
    groups: tuple[tuple[str, ...], ...] = ()
    """For duplicates: the conversations that are the same, together."""

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON types, with every id."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            "sentence": self.sentence,
            "ids": list(self.ids),
            "groups": [list(group) for group in self.groups],
        }


def finding(
    kind: str,
    severity: Severity,
    ids: Sequence[str],
    sentence: str,
    *,
    groups: Sequence[Sequence[str]] = (),
    count: int | None = None,
) -> list[Finding]:
    """A list of one finding, or of none where it concerns nothing."""
    number = len(ids) if count is None else count
    if not number:
        return []
    return [Finding(kind, severity, number, sentence, tuple(ids), tuple(tuple(group) for group in groups))]


def visible(text: str, limit: int = 80) -> str:
    """An id as a terminal may show it: control characters and line breaks escaped, cut at `limit`."""
    return text if text.isprintable() and len(text) <= limit else shorten(text, limit)


def counted(counts: Mapping[str, int], limit: int = 5) -> str:
    """`'a' (3), 'b' (1)`: the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{shorten(name, 60)} ({count})" for name, count in ordered[:limit])
    return text + (f" and {len(ordered) - limit} more" if len(ordered) > limit else "")
