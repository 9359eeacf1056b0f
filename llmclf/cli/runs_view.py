"""Runs in a table that keeps what tells them apart, however narrow the terminal is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_HEADS = ("run", "kind", "what", "started", "state", "why")
_KEPT = ("run", "started", "state", "what", "kind", "why")
"""The order in which columns get their place."""
_LEAST = {"what": 10, "why": 14}
"""Columns that a text may be folded into; the others stand whole."""
_BETWEEN = 2


class RunsView:
    """Runs as `Store.runs` or `Store.status` brings them, newest first; ids cut to `id_digits`."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], *, id_digits: int = 32) -> None:
        self._rows = [_cells(row, id_digits) for row in rows]

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.table import Table
        from rich.text import Text

        heads = self._fitting(options.max_width)
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
        for head in heads:
            table.add_column(head, no_wrap=head not in _LEAST, overflow="fold")
        for row in self._rows:
            table.add_row(*(Text(row[head]) for head in heads))
        yield table

    def _fitting(self, width: int) -> list[str]:
        """The columns there is room for, in the order they are shown; empty ones are left out."""
        chosen, left = list[str](), width
        for head in _KEPT:
            widest = max((len(row[head]) for row in self._rows), default=0)
            needed = max(len(head), min(widest, _LEAST.get(head, widest))) + (_BETWEEN if chosen else 0)
            if chosen and (needed > left or (self._rows and not widest)):
                continue
            chosen.append(head)
            left -= needed
        return [head for head in _HEADS if head in chosen]


def _cells(row: Mapping[str, Any], id_digits: int) -> dict[str, str]:
    ended = row.get("seems_ended")
    return {
        "run": row["run_id"][:id_digits],
        "kind": row["kind"],
        "what": what(row),
        "started": str(row["started_at"])[:16].replace("T", " "),
        "state": "ended?" if ended else row["state"],
        "why": row.get("why") or ("no sign of life; run it again to continue" if ended else ""),
    }


def what(row: Mapping[str, Any]) -> str:
    """What was run, on what: a sweep's or classifier's name, and the dataset's."""
    config = row.get("config") or {}
    classifier = str(config.get("classifier") or "").partition("@")[0]
    name = str(config.get("name") or classifier)
    dataset = str(config.get("dataset") or "")
    return f"{name} on {dataset}" if name and dataset else name or dataset
