"""`llmclf evaluate` with slices, review budgets and beta."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmclf.cli import run

SAMPLES = ["evaluate", "refusal_keyword", "--dataset", "samples"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def test_slices_stand_under_the_figures_and_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    """--by prints slices of the run that was just made, and puts them into the one JSON document."""
    assert run([*SAMPLES, "--by", "channel", "--by", "length"]) == 0
    text = capsys.readouterr().out
    assert text.index("recall (of this set)") < text.index("channel: call") < text.index("were looked at")
    assert run([*SAMPLES, "--by", "all", "--beta", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"failure_mode", "label", "channel", "length"} == {one["by"] for one in document["slices"]["slices"]}
    assert document["beta"] == 1.0 and document["production_recall"]["value"] is None


def test_what_can_not_be_is_said_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """A slice that is nowhere, a beta of 0 and a share of nothing end with 1, and no run is kept."""
    for wrong in (["--by", "chanel"], ["--beta", "0"], ["--review-share", "0"]):
        assert run([*SAMPLES, *wrong]) == 1
        assert "run " not in capsys.readouterr().err
