"""A surface as a file: a page for people, JSON or CSV for programs."""

from __future__ import annotations

from pathlib import Path

from llmclf.errors import ConfigError
from llmclf.sweeps.report import write_report
from llmclf.sweeps.surface import Surface


def write_surface(surface: Surface, path: str | Path) -> Path:
    """Writes a surface by the suffix of `path` and returns it: `.json` (`to_json`), `.csv` (`to_csv`), else the page.

    Folders are made. Raises ConfigError where the file can't be written.
    """
    target = Path(path)
    forms = {".json": lambda: surface.to_json() + "\n", ".csv": surface.to_csv}
    form = forms.get(target.suffix.lower())
    if form is None:
        return write_report(surface, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # a lone surrogate, which JSON can carry, has no bytes
        target.write_bytes(form().encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"the report can't be written: {error.strerror}", where=str(target)) from error
    return target
