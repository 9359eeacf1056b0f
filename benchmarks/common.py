"""What every benchmark shares: its options, its goals, one form of result."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A promise, what was got, and whether it holds."""

    name: str
    goal: str
    got: float
    holds: bool


def options(doc: str | None) -> argparse.Namespace:
    """--json for one document, --quick for a smoke run."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean little")
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """Where it ran, and how busy the machine was."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def finish(figures: dict[str, Any], goals: list[Goal], chosen: argparse.Namespace) -> None:
    """Prints the result; exits 0 whether the goals hold or not: a benchmark reports, it does not judge."""
    holds = all(goal.holds for goal in goals)
    if chosen.json:
        document = {
            "figures": figures,
            "goals": [asdict(goal) for goal in goals],
            "holds": holds,
            "quick": chosen.quick,
            "machine": machine(),
        }
        json.dump(document, sys.stdout, indent=2, default=float)
        print()
        return
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    for goal in goals:
        print(f"{'holds ' if goal.holds else 'MISSED'} {goal.name}: {goal.got:.4g} (goal {goal.goal})")
