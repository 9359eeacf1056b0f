"""Rows of figures as a table on a terminal and as HTML: the same rows feed both."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from llmclf.types import Estimate

WIDTH = 80
"""Columns of a terminal that every table fits."""


@dataclass(frozen=True, slots=True)
class TableText:
    """A table in words: what stands above it, its columns and rows, and sentences below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    stamps: tuple[str, ...] = ()
    """Words that must not be overlooked, such as SIMULATED; they stand before the title."""
    right: tuple[int, ...] = ()
    """Columns (from 0) that are set to the right: numbers."""


def rich_table(table: TableText) -> Any:
    """The table for rich, at most 80 columns wide; long cells fold. No markup in any text is read."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    heading = Text(f"{' '.join(table.stamps)} ".lstrip(), style="bold yellow")
    heading.append(Text(table.title, style="bold not yellow" if table.stamps else "bold"))
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(table.columns):
        numeric = number in table.right
        made.add_column(column, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(cell) for cell in row))
    return Group(_Narrow(heading), _Narrow(made), *(_Narrow(Text(f"- {note}", style="dim")) for note in table.notes))


def html_table(table: TableText) -> str:
    """The table as an HTML fragment, every text escaped."""
    stamps = "".join(f"<strong>{escape(stamp)}</strong> " for stamp in table.stamps)
    style = [' style="text-align:right"' if number in table.right else "" for number in range(len(table.columns))]
    head = "".join(f"<th{align}>{escape(name)}</th>" for name, align in zip(table.columns, style, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{align}>{escape(cell)}</td>" for cell, align in zip(row, style, strict=True)) + "</tr>"
        for row in table.rows
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f"<table><caption>{stamps}{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>" + (f"<ul>{notes}</ul>" if notes else "")
    )


def estimate_cells(estimate: Estimate, spec: str = ".2f", unit: str = "") -> tuple[str, str, str]:
    """(value, interval, what is to be said of it) of an estimate; `?` where there is no value."""
    value = "?" if estimate.value is None else f"{unit}{estimate.value:{spec}}"
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"{unit}{estimate.low:{spec}}-{unit}{estimate.high:{spec}}"
    return value, interval, estimate.why_not


@dataclass(frozen=True, slots=True)
class _Narrow:
    """Something for rich that never gets more than 80 columns."""

    inner: Any

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from console.render(self.inner, options.update(width=min(WIDTH, options.max_width)))
