"""Rows of figures as a table on a terminal and as HTML: the same rows feed both."""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from llmclf.errors import MissingPieceError
from llmclf.render.conversation import for_terminal
from llmclf.types import Estimate

WIDTH = 80
"""Columns of a terminal that every table fits."""
NARROW = 72
"""Below so many columns the rows of a table stand under each other."""
_LEAST_FOR_NAMES = 12
_BETWEEN = 2  # columns between two cells, and at both edges together


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
    interval: bool = False
    """True where a row is one figure: its name, value and interval. It then stands on a line of its own if narrow."""


def rich_table(table: TableText) -> Any:
    """The table for rich, at most 80 columns wide, its rows stacked on narrow terminals. No markup is read.

    Nothing in it is obeyed by a terminal: names and labels are other people's words.
    """
    from rich.console import Group
    from rich.text import Text

    table = _harmless(table)
    heading = Text(f"{' '.join(table.stamps)} ".lstrip(), style="bold yellow")
    heading.append(Text(table.title, style="bold not yellow" if table.stamps else "bold"))
    notes = (_Narrow(Text(f"- {note}", style="dim")) for note in table.notes)
    return Group(_Narrow(heading), _Narrow(_Rows(table)), *notes)


def _harmless(table: TableText) -> TableText:
    """The table with every text as `for_terminal` has it."""

    def each(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(for_terminal(text) for text in texts)

    return replace(
        table,
        title=for_terminal(table.title),
        columns=each(table.columns),
        rows=tuple(each(row) for row in table.rows),
        notes=each(table.notes),
        stamps=each(table.stamps),
    )


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


class AsJson(ABC):
    """A result as JSON: `to_dict` is its own, the text follows."""

    __slots__ = ()

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""

    def to_json(self) -> str:
        """`to_dict()` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


class Shown(AsJson):
    """A result in all its forms: `to_dict` and `_table` are its own; JSON text, terminal and notebook follow."""

    __slots__ = ()

    @abstractmethod
    def _table(self) -> TableText:
        """What a terminal and a notebook show."""

    def __rich__(self) -> Any:
        return rich_table(self._table())

    def _repr_html_(self) -> str:
        return html_table(self._table())


def usd_cells(estimate: Estimate) -> tuple[str, str]:
    """(value, interval) of an estimate in dollars; `?` where there is no value, nothing where there is no interval."""
    value = "?" if estimate.value is None else usd_text(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value, ""
    return value, f"{usd_text(estimate.low)}-{usd_text(estimate.high)}"


def usd_range(estimate: Estimate) -> str:
    """`$515 ($382-$689)`, or why there is no figure."""
    if estimate.value is None:
        return estimate.format()
    value, interval = usd_cells(estimate)
    return f"{value} ({interval})" if interval else value


def usd_text(dollars: float) -> str:
    """`$515` from 100 up, `$5.15` below, at most four digits that mean something below a dollar; no exponent."""
    size = abs(dollars)
    if size == 0:
        return "$0"
    if round(size, 2) >= 100:
        return f"${dollars:,.0f}"
    if size >= 1:
        return f"${dollars:.2f}"
    whole, _, digits = f"{dollars:.{3 - math.floor(math.log10(size))}f}".partition(".")
    return f"${whole}.{digits.rstrip('0'):0<2}"


def price_text(dollars: float) -> str:
    """A price that somebody set: `$40`, `$1.20`, without cents where it has none."""
    return usd_text(dollars).removesuffix(".00")


def seconds_text(seconds: float | None) -> str:
    """Seconds with two digits that mean something; `-` where they are not known."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return "<0.001"
    return f"{seconds:.2g}" if seconds < 9.95 else f"{seconds:.0f}"


def counted(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `1,200 cells`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def wrapped(text: str, width: int) -> list[str]:
    """The lines of `text` in `width` columns: names break after `_`, `/` or `·`, not inside a word that fits."""
    from rich.cells import cell_len, chop_cells

    lines = []
    for given in text.split("\n"):
        line = ""
        for piece in _pieces(given):
            if cell_len((line + piece).rstrip()) > width:
                *whole, piece = chop_cells(piece, width)
                lines += [*([line.rstrip()] if line else []), *whole]
                line = ""
            line += piece
        lines.append(line.rstrip())
    return lines


def _pieces(text: str) -> list[str]:
    """What may stand on a line of its own, blanks at the end."""
    return re.findall(r"[^\s_/·]*[_/·]+\s*|[^\s_/·]+\s*|\s+", text)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows for rich: as a table, or stacked where they do not fit beside each other."""

    table: TableText

    def __rich_console__(self, console: Any, options: Any) -> Any:
        width = options.max_width
        room = width - self._others_width()
        fits = room >= max(_LEAST_FOR_NAMES, self._longest_piece())
        yield self._stacked(width) if width < NARROW or not fits else self._wide(room)

    def _others_width(self) -> int:
        """Columns that all but the first column take."""
        from rich.cells import cell_len

        lines = zip(self.table.columns, *self.table.rows, strict=True)
        widths = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in lines]
        return sum(widths[1:]) + _BETWEEN * len(widths)

    def _longest_piece(self) -> int:
        from rich.cells import cell_len

        return max((cell_len(piece.rstrip()) for row in self.table.rows for piece in _pieces(row[0])), default=0)

    def _wide(self, room: int) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        made = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for number, column in enumerate(self.table.columns):
            made.add_column(Text(column), justify="right" if number in self.table.right else "left", no_wrap=True)
        for name, *cells in self.table.rows:
            made.add_row(Text("\n".join(wrapped(name, room))), *(Text(cell) for cell in cells))
        return made

    def _stacked(self, width: int) -> Any:
        from rich.text import Text

        blocks = []
        for name, *cells in self.table.rows:
            if self.table.interval:
                blocks.append(_indented(f"{name} {_bracketed(cells)}", width))
                continue
            title, *marks = name.split("\n")
            named = zip(self.table.columns[1:], cells, strict=True)
            said = [f"{column} {_bracketed(cell.splitlines())}" for column, cell in named if cell not in ("", "-")]
            blocks.append("\n".join([_indented(title, width), *(_indented(f"  {one}", width) for one in said + marks)]))
        return Text("\n" + "\n".join(blocks) + "\n")


def _bracketed(parts: list[str]) -> str:
    """A value and its interval on one line: `0.45 (0.33-0.57)`."""
    value, *more = [part for part in parts if part] or [""]
    return " ".join([value, *(f"({part})" for part in more)])


def _indented(text: str, width: int) -> str:
    """Wrapped, every further line four columns in."""
    first, *rest = wrapped(text, width)
    if not rest:
        return first
    further = wrapped(text[len(first) :].lstrip(), width - 4)
    return "\n".join([first, *(f"    {line}" for line in further)])


@dataclass(frozen=True, slots=True)
class _Narrow:
    """Something for rich that never gets more than 80 columns."""

    inner: Any

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from console.render(self.inner, options.update(width=min(WIDTH, options.max_width)))


def data_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The rows as a pandas DataFrame; MissingPieceError where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise MissingPieceError("data frames need pandas", fix="pip install 'llmclf[tables]'") from error
    return pandas.DataFrame(list(rows))
