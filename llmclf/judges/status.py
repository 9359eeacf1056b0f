"""Whether a judge is calibrated: one small file for each fingerprint, calibration/JUDGE/FIRST12.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from llmclf.config import files
from llmclf.errors import ConfigError
from llmclf.types.hashing import plain

State = Literal["calibrated", "not_calibrated", "cant_tell", "uncalibrated"]
"""Passed its bar; did not; too little data to say; never looked at, or changed since."""

UNCALIBRATED = "UNCALIBRATED"
"""What stands wherever judgments show of a judge whose state is not `calibrated`."""
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class CalibrationStatus:
    """What a calibration says of one fingerprint of a judge."""

    state: State
    fingerprint: str
    session: str = ""
    """Id of the session whose labels it was held against."""
    at: str = ""
    """When, ISO 8601."""
    why: str = ""
    """In words."""
    figures: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Figures by name, as JSON types; those of the report card."""

    @property
    def calibrated(self) -> bool:
        """True where this very fingerprint passed its bar."""
        return self.state == "calibrated"

    @property
    def stamp(self) -> str:
        """`calibrated`, or UNCALIBRATED with the reason: what stands beside judgments."""
        return "calibrated" if self.calibrated else UNCALIBRATED

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON types."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


def read_status(name: str, fingerprint: str, workspace: str | Path | None = None) -> CalibrationStatus:
    """What is known of this fingerprint of the judge `name`; `uncalibrated` where nothing is.

    Looked up as every file: the workspace, `$LLMCLF_HOME`, the packaged copy. Anything but a status of this very
    fingerprint makes it uncalibrated, with the reason in `why`.
    """
    for _, root in files.roots(Path(workspace) if workspace is not None else None):
        path = _path(root, name, fingerprint)
        if path.is_file():
            return _read(path, fingerprint)
    return CalibrationStatus("uncalibrated", fingerprint, why="no calibration of this fingerprint")


def write_status(name: str, status: CalibrationStatus, workspace: str | Path | None = None) -> Path:
    """Writes calibration/NAME/FIRST12.json in the workspace (default: the working folder); its path."""
    path = _path(Path(workspace) if workspace is not None else Path(), name, status.fingerprint)
    text = json.dumps({"judge": name, **status.to_dict()}, indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)  # whoever reads it at the same time sees all of the old one or all of the new
    except OSError as error:
        raise ConfigError(f"can't be written: {error.strerror}", where=str(path)) from error
    return path


def _path(root: Path, name: str, fingerprint: str) -> Path:
    return root / "calibration" / name / f"{fingerprint[:_DIGITS]}.json"


def _read(path: Path, fingerprint: str) -> CalibrationStatus:
    try:
        found = json.loads(files.read_text(path))
        state, figures = found["state"], found["figures"]
        about, session, at, why = texts = [found[key] for key in ("fingerprint", "session", "at", "why")]
        if state not in get_args(State) or not isinstance(figures, dict) or not all(isinstance(t, str) for t in texts):
            raise ValueError(f"state {state!r}")
    except (ConfigError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{path} can't be read: {type(error).__name__}; calibrate again"
        return CalibrationStatus("uncalibrated", fingerprint, why=why)
    if about != fingerprint:
        return CalibrationStatus("uncalibrated", fingerprint, why=f"{path} is about another fingerprint")
    return CalibrationStatus(state, about, session, at, why, figures)
