"""The coverage benchmark runs and reports in the form that all benchmarks have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_coverage_benchmark_reports_every_arm() -> None:
    """A smoke run prints one document: figures of each way in each setting, goals, whether they hold."""
    script = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    document = json.loads(done.stdout)
    assert set(document) >= {"figures", "goals", "holds", "machine"}
    assert [goal["name"] for goal in document["goals"]] == [
        "worst coverage of recall",
        "mean coverage of recall",
        "worst coverage of prevalence",
        "mean coverage of prevalence",
        "worst coverage of specificity near 0 and 1",
        "worst coverage of precision near 0 and 1",
    ]
    assert all(row["specificity"]["coverage"] >= 0.8 for row in document["figures"]["ends"])
    settings = document["figures"]["settings"]
    assert len(settings) >= 14
    for row in settings:
        for arm in ("llmclf", "prior in every stratum", "bootstrap", "wald"):
            assert 0 <= row[arm]["recall"]["coverage"] <= 1
        assert row["llmclf"]["recall"]["coverage"] >= 0.8  # forty repetitions tell no more
    assert document["figures"]["bootstrap, recall"]["worst"] < 0.7
