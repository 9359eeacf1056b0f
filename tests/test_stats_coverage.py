"""The coverage benchmark runs and reports in the form that all benchmarks have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_coverage_benchmark_reports_every_arm() -> None:
    """A smoke run prints one document: figures of each way in each setting, goals, whether they hold."""
    script = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    document = json.loads(done.stdout)
    assert set(document) >= {"figures", "goals", "holds", "machine"}
    figures = document["figures"]
    assert [goal["name"] for goal in document["goals"]] == [
        f"{what} coverage of {figure}"
        for figure in (
            "recall",
            "prevalence",
            "prevalence judged, labels random",
            "prevalence judged, labels by verdict",
        )
        for what in ("worst", "mean")
    ] + ["worst coverage of specificity near 0 and 1", "worst coverage of precision near 0 and 1"]
    assert all(row["specificity"]["coverage"] >= 0.8 for row in figures["ends"])
    assert len(figures["judged"]) == 54
    assert all(row["llmclf"]["coverage"] >= 0.75 for row in figures["judged"])  # forty repetitions tell no more
    of_random = [row for row in figures["judged"] if row["drawn"] == "random"]
    assert all(0 <= row[way]["coverage"] <= 1 for row in of_random for way in ("judgy", "PPI++"))
    assert figures["judgy, prevalence judged, labels random"]["worst"] < 0.7
    assert figures["PPI++, prevalence judged, labels random"]["worst"] < 0.7
    assert {"worst_error", "mean_error"} < set(figures["llmclf, recall"])
    settings = figures["settings"]
    assert len(settings) >= 20
    for row in settings:
        for arm in ("llmclf", "prior in every stratum", "bootstrap", "wald"):
            assert 0 <= row[arm]["recall"]["coverage"] <= 1
        assert row["llmclf"]["recall"]["coverage"] >= 0.8
    assert figures["bootstrap, recall"]["worst"] < 0.7
