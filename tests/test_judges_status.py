"""What says that a judge is calibrated, read strictly; and which judgment counts of several."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from judging_help import opened, write_judges

from llmclf.judges.status import CalibrationStatus, read_status, write_status
from llmclf.types import Bar, ErrorInfo, Judgment


@pytest.fixture
def judges(workspace, write):
    """The workspace with judge files."""
    write_judges(write)
    return workspace


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another judge": (lambda row: row.update(judge="other"), "about another judge"),
    "another fingerprint": (lambda row: row.update(fingerprint=row["fingerprint"][:12] + "x"), "another fingerprint"),
    "unknown key": (lambda row: row.update(sate="calibrated"), "unknown: 'sate'"),
    "missing key": (lambda row: row.pop("begun"), "missing: 'begun'"),
    "no such state": (lambda row: row.update(state="Calibrated"), "wrong: state"),
    "state is a list": (lambda row: row.update(state=["calibrated"]), "wrong: state"),
    "figures are a list": (lambda row: row.update(figures=[]), "wrong: figures"),
    "simulated is a word": (lambda row: row.update(simulated="no"), "wrong: simulated"),
    "no bar": (lambda row: row.update(bar=None), "wrong: bar"),
    "half a bar": (lambda row: row["bar"].pop("looks"), "wrong: bar"),
    "a bar of words": (lambda row: row["bar"].update(looks="5"), "wrong: bar"),
    "a bar that is true": (lambda row: row["bar"].update(looks=True), "wrong: bar"),
    "a number for a text": (lambda row: row.update(session=3), "wrong: session"),
}


@pytest.mark.parametrize(("edit", "why"), EDITS.values(), ids=EDITS)
def test_a_status_that_was_edited_calibrates_nothing(edit, why: str, judges) -> None:
    """A status of another judge or fingerprint, or one with a key too many, too few or wrong; it says which."""
    path = write_status("backed", CalibrationStatus("calibrated", "f" * 64), judges)
    assert read_status("backed", "f" * 64, judges).calibrated
    row = json.loads(path.read_text())
    edit(row)
    path.write_text(json.dumps(row))
    found = read_status("backed", "f" * 64, judges)
    assert found.state == "uncalibrated" and why in found.why and str(path) in found.why
    assert read_status("backed", "e" * 64, judges).why.startswith("it has changed")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'{"state": "calibrated"}', b"\xff", b"[" * 100_000])
def test_a_status_that_is_no_whole_object_calibrates_nothing(text: bytes, judges) -> None:
    """Broken JSON, another value, half an object, no UTF-8, a nesting without end: a reason, and no exception."""
    path = write_status("backed", CalibrationStatus("calibrated", "f" * 64), judges)
    path.write_bytes(text)
    found = read_status("backed", "f" * 64, judges)
    assert found.state == "uncalibrated" and "can't be read" in found.why


def test_a_calibration_holds_for_its_bar_and_guideline(judges) -> None:
    """Whatever it said, another bar or guideline in the judge's file makes it uncalibrated, and says what changed."""
    for state in ("calibrated", "not_calibrated", "cant_tell"):
        write_status(
            "backed", CalibrationStatus(state, "f" * 64, "s1", bar=Bar(sensitivity=0.8), guideline="g"), judges
        )
        asked = ("backed", "f" * 64, judges)
        assert read_status(*asked, bar=Bar(sensitivity=0.8), guideline="g").state == state
        raised = read_status(*asked, bar=Bar(sensitivity=0.9), guideline="g")
        assert (raised.state, raised.session) == ("uncalibrated", "s1")
        assert raised.why == "the bar is another now: report again"
        assert read_status(*asked, bar=Bar(), guideline="h").why.startswith("the bar and the guideline are another")


def test_a_failure_does_not_hide_an_answer(judges) -> None:
    """Of one fingerprint, probe and repeat an answer counts before a failure; of two fingerprints the newer counts."""
    said, failed = Judgment("k", "j", "one", verdict="yes"), ErrorInfo("over_budget", "no money")
    with opened(judges) as judge:
        store = judge.runtime.store

        def kept(*judgments: Judgment, **which: Any) -> list[str]:
            for one in judgments:
                store.add_judgments("r", [one])
            return [f"{one.fingerprint} {one.verdict}" for one in store.judgments("j", **which)]

        assert kept(said, replace(said, verdict="no"), replace(said, verdict=None, error=failed)) == ["one no"]
        assert kept(replace(said, probe="padded", verdict=None, error=failed), probe="padded") == ["one None"]
        assert kept(replace(said, repeat=1, verdict="cannot_tell"), repeat=1) == ["one cannot_tell"]
        two = replace(said, fingerprint="two", verdict=None, error=failed)
        assert kept(two, probe="", repeat=0) == ["two None"]
        assert kept(probe="", repeat=0, fingerprint="one", case_ids=["k"]) == ["one no"]
        assert kept(replace(two, verdict="yes", error=None), probe="", repeat=0) == ["two yes"]
        assert kept(replace(two, case="k2"), fingerprint="two", case_ids=["k2"]) == ["two None"]
