"""The speed benchmark runs and reports in the form that all benchmarks have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_speed_benchmark_reports_every_promise() -> None:
    """A smoke run prints one document: seconds and memory of both evaluations, and seconds of a report."""
    script = Path(__file__).parents[1] / "benchmarks" / "evaluate_speed.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    document = json.loads(done.stdout)
    assert [goal["name"] for goal in document["goals"]] == [
        "seconds, conversations",
        "peak GB, conversations",
        "seconds, turns of dialogues",
        "peak GB, turns of dialogues",
        "seconds, report",
    ]
    turns = document["figures"]["turns of dialogues"]
    assert turns["items"] == 20_000 and 3_500 < turns["groups"] < 4_500
    assert turns["recall"] == sorted(turns["recall"])
