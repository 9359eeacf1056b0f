"""A GEPA optimization with $0.50, killed three times and run again: is the budget kept, and is anything bought twice?

python benchmarks/optimize_budget.py [--json] [--quick]

Each of two worlds of `prompted_world.py` (124 labelled items) is optimized twice by `llmclf optimize`, with $0.45 for
the task model and $0.05 for the reflection model: once in peace, and once killed by SIGKILL at a random moment of each
third of its calls, then run to its end. The vendor (`prompted_vendor.py`) takes 20 ms for each answer, so calls are
under way when the kill comes. It does so with a search that has money enough (`enough`), and with one that ends because
it has none left (`runs out`).

Goals, set before the first full run: the vendor's own bills are within both budgets in every run; no body is sent again
whose answer the store had; and where money was enough, the killed run ends with the same result as the one in peace.
Where money runs out the two may differ: a call that was lost is held as if it had cost its worst case.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import Goal, finish, options
from optimize_objective import file_of, served, told
from prompted_vendor import body_hash
from prompted_world import World

from llmclf.store import Store

BUDGET = {"task": 0.45, "reflection": 0.05}
SIZES = {"enough": 100, "runs out": 5_000}
"""Metric calls that GEPA may make."""
SEEDS, KILLS, SHARE, SECONDS = 2, 3, 0.1, 0.02
SAME = ("verdict", "prompt", "candidates", "test", "diff")
"""What of a result is to be equal; of the test `TESTED` alone, as its tables have latencies too."""
TESTED = ("verdict", "dollars", "recall", "false_alarms", "gains", "losses", "failures")
COMMAND = [sys.executable, "-c", "from llmclf.cli import main; main()", "optimize", "run", "--yes", "--json"]
Result = dict[str, Any]


class Run:
    """One optimization in a workspace of its own, with the vendor's view of it."""

    def __init__(self, folder: Path, name: str, seed: int, size: int, port: int) -> None:
        self.folder, self.name, self.port = folder, name, port
        budget = (BUDGET["task"], BUDGET["reflection"])
        text = file_of("gepa", "proper", seed, budget, calls=size)
        World(seed, SHARE).write(folder, f"http://127.0.0.1:{port}/{name}/v1", text)

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "VENDOR_KEY": "none"}
        return subprocess.Popen(
            COMMAND, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self) -> Result:
        """Runs it to its end."""
        with self.start() as process:
            out, err = process.communicate()
        if process.returncode not in (0, 2):
            raise RuntimeError(err)
        found: Result = json.loads(out)
        return found

    def kill_at(self, calls: int) -> int:
        """Starts it and kills it when the vendor has had that many calls; how many were lost under way."""
        with self.start() as process:
            while self.calls() < calls and process.poll() is None:
                time.sleep(0.01)
            process.kill()
            process.communicate()
        return len(self.query("SELECT 1 FROM calls WHERE state <> 'done'"))

    def query(self, sql: str) -> list[dict[str, Any]]:
        with Store(self.folder / "llmclf.db") as store:
            return store.query(sql)

    def calls(self) -> int:
        counts = told(self.port, "bills")["calls"]
        return sum(counts.get(f"{self.name} {kind}", 0) for kind in BUDGET)

    def billed(self) -> dict[str, float]:
        nano = told(self.port, "bills")["nano_usd"]
        return {kind: nano.get(f"{self.name} {kind}", 0) / 1e9 for kind in BUDGET}

    def bought_twice(self) -> int:
        """How often a body was sent beyond what was asked: its answers in the store, and calls that were lost."""
        allowed: Counter[str] = Counter()
        seen = set()
        for row in self.query("SELECT request, repeat, state FROM calls JOIN call_texts USING (call_id)"):
            body = body_hash(json.loads(row["request"]))
            if row["state"] == "done" and (body, row["repeat"]) in seen:
                continue
            if row["state"] == "done":
                seen.add((body, row["repeat"]))
            allowed[body] += 1
        sent = Counter(
            {key.split()[1]: n for key, n in told(self.port, "bodies").items() if key.split()[0] == self.name}
        )
        return (sent - allowed).total()


def measured(kind: str, seed: int, port: int, draw: random.Random) -> dict[str, Any]:
    """One world in peace and killed, side by side."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        name = f"{kind.replace(' ', '-')}-{seed}"
        peace = Run(Path(one), f"{name}-peace", seed, SIZES[kind], port)
        expected = peace.finish()
        calls = peace.calls()
        moments = [round(calls * (third + draw.uniform(0.1, 0.9)) / KILLS) for third in range(KILLS)]
        killed = Run(Path(other), f"{name}-killed", seed, SIZES[kind], port)
        lost = [killed.kill_at(moment) for moment in moments]
        found = killed.finish()
        return {
            "money": kind,
            "seed": seed,
            "calls": {"in peace": calls, "killed": killed.calls()},
            "killed at call": moments,
            "lost under way": lost[-1],
            "billed": {"in peace": peace.billed(), "killed": killed.billed()},
            "booked": {kind: one["usd"] for kind, one in found["spend_usd"].items()},
            "bought twice": peace.bought_twice() + killed.bought_twice(),
            "stopped": {"in peace": bool(expected["stopped"]), "killed": bool(found["stopped"])},
            "verdict": found["verdict"],
            "candidates": {"in peace": len(expected["candidates"]), "killed": len(found["candidates"])},
            "differs in": [key for key in SAME if result_of(expected)[key] != result_of(found)[key]],
        }


def result_of(found: Result) -> Result:
    """What of a result does not hang on the clock."""
    test = found["test"]
    return {**found, "test": test and {key: test[key] for key in TESTED}}


def within(row: dict[str, Any]) -> bool:
    """Whether both bills are within both budgets."""
    return all(billed[kind] <= most + 1e-12 for billed in row["billed"].values() for kind, most in BUDGET.items())


def main() -> None:
    chosen = options(__doc__)
    began, draw = time.monotonic(), random.Random(1)
    seeds, kinds = (1, ["enough"]) if chosen.quick else (SEEDS, list(SIZES))
    with served([World(seed, SHARE) for seed in range(seeds)], SECONDS) as port:
        rows = [measured(kind, seed, port, draw) for seed in range(seeds) for kind in kinds]
    passed = sum(not within(row) for row in rows)
    twice = sum(row["bought twice"] for row in rows)
    differ = sum(bool(row["differs in"]) for row in rows if row["money"] == "enough")
    most = max(sum(billed.values()) for row in rows for billed in row["billed"].values())
    goals = [
        Goal(
            "most dollars billed to one optimization", f"<= {sum(BUDGET.values())}", most, most <= sum(BUDGET.values())
        ),
        Goal("worlds where a budget was passed, by the vendor's bills", "0", passed, passed == 0),
        Goal("bodies sent again whose answer was in the store", "0", twice, twice == 0),
        Goal("worlds where the killed run ended otherwise, of those with money enough", "0", differ, differ == 0),
    ]
    figures: dict[str, Any] = {
        "kills": KILLS * len(rows),
        "calls lost under way": sum(row["lost under way"] for row in rows),
        "ended otherwise where money ran out": sum(bool(row["differs in"]) for row in rows if row["money"] != "enough"),
        "seconds": round(time.monotonic() - began, 1),
        "each": rows,
    }
    finish(figures, goals, chosen)


if __name__ == "__main__":
    main()
