"""A surface as a file: a page for people, JSON or CSV for programs."""

from __future__ import annotations

from pathlib import Path

from llmclf.data.files import write_whole
from llmclf.errors import ConfigError
from llmclf.sweeps.report import write_report
from llmclf.sweeps.surface import Surface

SUFFIXES = (".html", ".htm", ".json", ".csv")
"""Of files that a surface can be written to."""


def check_suffix(path: str | Path) -> None:
    """Raises ConfigError where `write_surface` knows no form for the suffix of `path`: before anything is paid for."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ConfigError(
            "a report can't be written in that form",
            got=str(path),
            fix=f"let its name end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
        )


def write_surface(surface: Surface, path: str | Path) -> Path:
    """Writes a surface by the suffix of `path` and returns it: the page, `.json` (`to_json`) or `.csv` (`to_csv`).

    Folders are made, and an earlier file stays whole until the new one is. Raises ConfigError where the suffix is none
    of `SUFFIXES`, DataError where the file can't be written.
    """
    check_suffix(path)
    target = Path(path)
    forms = {".json": lambda: surface.to_json() + "\n", ".csv": surface.to_csv}
    form = forms.get(target.suffix.lower())
    if form is None:
        return write_report(surface, target)
    write_whole(target, form())
    return target
