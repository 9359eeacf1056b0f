"""Whether a judge is calibrated: one small file for each fingerprint, calibration/JUDGE/FIRST12.json.

A calibration holds for a fingerprint, a bar and a guideline; a file that says anything else holds for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from llmclf.config import files
from llmclf.errors import ConfigError, shorten
from llmclf.types import RECORDED, Bar
from llmclf.types.hashing import plain

State = Literal["calibrated", "not_calibrated", "cant_tell", "uncalibrated"]
"""Passed its bar; did not; too little data to say; never looked at, or changed since."""

UNCALIBRATED = "UNCALIBRATED"
"""What stands wherever judgments show of a judge whose state is not `calibrated`."""
NEVER = "no calibration of this fingerprint"
"""Why a judge is uncalibrated of which nothing is known."""
CHANGED = "it has changed since it was reported on: it is another judge now"
"""Why it is where another fingerprint of it was reported on."""
_DIGITS = 12
_TEXTS = ("fingerprint", "session", "at", "why", "begun", "guideline")


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
    begun: str = ""
    """When that session was begun, ISO 8601: what a later one says goes before it."""
    bar: Bar = Bar()
    """What the judge was held to."""
    guideline: str = ""
    """Version of the guideline in the judge's file then."""
    simulated: bool = False
    """True where a simulated vendor made its verdicts up: what it passed says nothing of a real one."""

    @property
    def calibrated(self) -> bool:
        """True where this very fingerprint passed its bar."""
        return self.state == "calibrated"

    @property
    def stamp(self) -> str:
        """`calibrated` or UNCALIBRATED: what stands beside judgments."""
        return "calibrated" if self.calibrated else UNCALIBRATED

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON types."""
        row = {name: plain(getattr(self, name)) for name in self.__slots__}
        return row | {"bar": {one.name: getattr(self.bar, one.name) for one in fields(Bar)}}


def short_of(fingerprint: str) -> str:
    """The twelve digits of a fingerprint that tell it from others; of a recorded judge's with `recorded-`."""
    return fingerprint if fingerprint.startswith(RECORDED) else fingerprint[:_DIGITS]


def read_status(
    name: str,
    fingerprint: str,
    workspace: str | Path | None = None,
    *,
    bar: Bar | None = None,
    guideline: str | None = None,
) -> CalibrationStatus:
    """What is known of this fingerprint of the judge `name`; `uncalibrated` where nothing is.

    Looked up as every file: the workspace, `$LLMCLF_HOME`, the packaged copy. The first that is found is read strictly:
    anything but a whole status of this very judge and fingerprint makes it uncalibrated, with the reason in `why`.
    So does another `bar` or version of the `guideline` than those of the judge's file, where they are given.
    """
    changed = False
    for _, root in files.roots(Path(workspace) if workspace is not None else None):
        path = _path(root, name, fingerprint)
        if path.is_file():
            return _holding(_read(path, name, fingerprint), bar, guideline)
        changed = changed or next(path.parent.glob("*.json"), None) is not None
    return CalibrationStatus("uncalibrated", fingerprint, why=CHANGED if changed else NEVER)


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
    return root / "calibration" / name / f"{short_of(fingerprint)}.json"


def _holding(status: CalibrationStatus, bar: Bar | None, guideline: str | None) -> CalibrationStatus:
    """The status, or an uncalibrated one where what it was found by is not what the judge's file says now."""
    lapsed = [
        what
        for what, then, now in (("bar", status.bar, bar), ("guideline", status.guideline, guideline))
        if now is not None and then != now
    ]
    if status.state == "uncalibrated" or not lapsed:
        return status
    why = f"the {' and the '.join(lapsed)} {'is' if len(lapsed) == 1 else 'are'} another now: report again"
    return replace(status, state="uncalibrated", why=why)


def _read(path: Path, name: str, fingerprint: str) -> CalibrationStatus:
    """What a file says; uncalibrated with the reason where it is not whole, or about something else."""
    try:
        found = json.loads(files.read_text(path))
        status, problem = _status_of(found) if isinstance(found, dict) else (None, "it is no JSON object")
    except (ConfigError, ValueError, RecursionError) as error:
        status, problem = None, type(error).__name__
    if status is None:
        why = f"{path} can't be read ({problem}): report again"
        return CalibrationStatus("uncalibrated", fingerprint, why=why)
    if (found["judge"], status.fingerprint) != (name, fingerprint):
        why = f"{path} is about another {'fingerprint' if found['judge'] == name else 'judge'}: report again"
        return CalibrationStatus("uncalibrated", fingerprint, why=why)
    return status


def _status_of(found: dict[str, Any]) -> tuple[CalibrationStatus | None, str]:
    """(the status that an object states, nothing), or what is wrong with the object."""
    known = {"judge", *CalibrationStatus.__slots__}
    if found.keys() != known:
        odd = sorted(found.keys() - known) or sorted(known - found.keys())
        return None, f"{'unknown' if found.keys() - known else 'missing'}: {', '.join(shorten(one, 40) for one in odd)}"
    bar = found["bar"] if isinstance(found["bar"], dict) else {}
    numbers = [value for value in bar.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    wrong = [one for one in ("judge", *_TEXTS) if not isinstance(found[one], str)]
    wrong += [] if isinstance(found["figures"], dict) else ["figures"]
    wrong += [] if isinstance(found["simulated"], bool) else ["simulated"]
    wrong += [] if bar.keys() == set(Bar.__slots__) and len(numbers) == len(bar) else ["bar"]
    wrong += [] if found["state"] in get_args(State) else ["state"]
    if wrong:
        return None, f"wrong: {', '.join(wrong)}"
    texts = {one: found[one] for one in _TEXTS}
    more = {"figures": found["figures"], "bar": Bar(**bar), "simulated": found["simulated"]}
    return CalibrationStatus(found["state"], **more, **texts), ""
