"""The benchmarks of optimizations run, keep their budgets and report in the form that all benchmarks have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1] / "benchmarks"


def report(name: str) -> dict[str, Any]:
    """The document of a quick run."""
    command = [sys.executable, str(SCRIPTS / name), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found) == {"figures", "goals", "holds", "quick", "machine"} and found["quick"]
    return found


def test_objectives_are_compared_within_their_budgets() -> None:
    """Both arms of every optimizer run, their prompts have true dollars, and the vendor's bills are within budgets."""
    found = report("optimize_objective.py")
    held = {goal["name"]: goal["holds"] for goal in found["goals"]}
    assert len(held) == 8 and held["runs that passed a budget, by the vendor's bills"]
    for row in found["figures"]["each"]:
        assert row["dollars"]["after test"] in (row["dollars"]["parent"], row["dollars"]["chosen"])
        for kind, usd in row["billed"].items():
            assert usd <= row["budget"][kind] and abs(usd - row["booked"].get(kind, 0.0)) < 1e-9


def test_the_rule_has_the_optimum_that_it_names() -> None:
    """The vendor's docstring names the best of the readings, and the parent's figure, as enumeration finds them."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from prompted_world import *\nimport prompted_vendor as v\n"
        "f = [figures(v.Reading())] + [min((figures(r) for r in readings(w)), key=lambda o: o['dollars'])"
        " for w in (False, True)]\n"
        "print(*(f'${o[\"dollars\"]:.2f}' in v.__doc__ for o in f), *(o['dollars'] for o in f))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPTS)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:3] == ["True"] * 3, done.stdout
