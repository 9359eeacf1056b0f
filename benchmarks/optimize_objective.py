"""Prompts compiled towards dollars at .5 % against the same optimizer with the accuracy that dspy takes by default.

python benchmarks/optimize_objective.py [--json] [--quick]

A vendor in a process of its own reads prompts by a rule that is written down (`prompted_vendor.py`), so of each prompt
the true expected dollars are known, and so is the best that there is. Each optimizer runs on ten worlds of labelled
items (`prompted_world.py`: 1,000 each, 40 % targets, drawn by label and weighed back), once with the objective `proper`
and once with `accuracy`, all else the same; the two take turns. Each run has a workspace, a store and budgets of its
own. Three worlds run again with budgets too small for the search (`short of money`).

    chosen      what the search chose by its own validation; the parent where nothing was better
    after test  the same where the paired test called it better, else the parent

Goals, set before the first run: the median gap to the best that the optimizer can reach is at most a quarter of the
parent's (few-shot optimizers can't write the rule: their best is that of the parent's instruction); towards dollars it
costs less than towards accuracy in 8 of 10 worlds, by each optimizer; no budget is ever passed, by the vendor's own
bills; and the test lets through at most one prompt in 30 that is truly worse than its parent (`chosen and worse` says
how many such prompts it was shown). This shows that parts, scores, choice, test and money are wired right. What a
prompt does to a real model it does not show.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Goal, finish, options
from prompted_vendor import ADJACENT
from prompted_world import COSTS, PARENT, World, optimum, write_truths

import llmclf

SEEDS, SHORT = 10, 3
OPTIMIZERS = ("labeled-few-shot", "bootstrap", "gepa")
ARMS = {"dollars": "proper", "accuracy": "accuracy"}
NEAR, LOWER, WORSE = 0.25, 8, 1
AMPLE, SCARCE = (10.0, 1.0), (1.2, 0.02)
"""Budgets in dollars, of the task and of the reflection model."""
QUICK_SHARE = 0.2
_SETTINGS = {
    "labeled-few-shot": "candidates = {candidates}",
    "bootstrap": "candidates = {candidates}",
    "gepa": "max_metric_calls = {calls}\nreflection_minibatch_size = 10",
}
_REFLECTION = '[reflection]\nmodel = "vendor/reflection"\nmax_output_tokens = 800\n'
_FILE = """version = 1
classifier = "asked"
dataset = "made"
optimizer = "{optimizer}"
prompt = "found"
demonstrations = 16
batch_positives = 5
objective = "{objective}"
seed = {seed}
concurrency = 16
{reflection}[parts]
train = 0.3
validation = 0.2
test = 0.5
[budget]
{budget}
[costs]
prevalence = {prevalence}
[settings]
{settings}
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One optimization."""

    optimizer: str
    arm: str
    seed: int
    short: bool = False
    quick: bool = False

    @property
    def name(self) -> str:
        return f"{self.optimizer}-{self.arm}-{self.seed}{'-short' if self.short else ''}"

    @property
    def budget(self) -> tuple[float, float]:
        return SCARCE if self.short else AMPLE

    @property
    def file(self) -> str:
        """configs/optimizations/run.toml."""
        size = {"candidates": 2 if self.quick else 6, "calls": 150 if self.quick else 1500}
        return file_of(self.optimizer, ARMS[self.arm], self.seed, self.budget, **size)


def file_of(optimizer: str, objective: str, seed: int, budget: tuple[float, float], **size: int) -> str:
    """An optimization's file, with `size` for its settings."""
    writes, (task, reflection) = optimizer == "gepa", budget
    return _FILE.format(
        optimizer=optimizer,
        objective=objective,
        seed=seed,
        reflection=_REFLECTION if writes else "",
        budget=f"task_usd = {task}" + (f"\nreflection_usd = {reflection}" if writes else ""),
        prevalence=COSTS.prevalence,
        settings=_SETTINGS[optimizer].format(**size),
    )


def world_of(seed: int, quick: bool) -> World:
    return World(seed, QUICK_SHARE if quick else 1.0)


def run(job: Job, port: int) -> Row:
    """Runs one optimization, and says what its prompts truly cost."""
    os.environ["VENDOR_KEY"] = "none"
    began, world = time.monotonic(), world_of(job.seed, job.quick)
    with tempfile.TemporaryDirectory() as name:
        world.write(Path(name), f"http://127.0.0.1:{port}/{job.name}/v1", job.file)
        with llmclf.Runtime(None, max_usd=sum(job.budget), workspace=name, concurrency=16) as runtime:
            result = llmclf.optimize("run", runtime=runtime)
        parent = world.truth_of(PARENT)
        chosen = parent if result.prompt is None else world.truth_of(result.prompt.text)
        kept = chosen if result.written else parent
    held = chosen["reading"]
    return {
        "optimizer": job.optimizer,
        "arm": job.arm,
        "seed": job.seed,
        "short of money": job.short,
        "verdict": result.verdict,
        "stopped": bool(result.stopped),
        "candidates": len(result.candidates),
        "dollars": {"parent": parent["dollars"], "chosen": chosen["dollars"], "after test": kept["dollars"]},
        "recall": chosen["recall"],
        "false alarms": chosen["false alarms"],
        "holds": {
            "rule": held.rule,
            "eager words": held.eager,
            "clear targets": held.clear,
            "borderline targets": held.borderline,
            "adjacent labels told apart": len((held.named | held.shown) & set(ADJACENT)),
            "examples": held.examples,
        },
        "budget": dict(zip(("task", "reflection"), job.budget, strict=True)),
        "booked": {kind: spend.usd for kind, spend in result.spend.items()},
        "name": job.name,
        "seconds": round(time.monotonic() - began, 1),
    }


@contextmanager
def served(worlds: list[World], seconds: float = 0.0) -> Iterator[int]:
    """The port of a vendor that takes `seconds` for each answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truths.json"
        write_truths(path, worlds)
        script = Path(__file__).with_name("prompted_vendor.py")
        command = [sys.executable, str(script), str(path), str(seconds)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdin is not None
            yield int(process.stdout.readline())
            process.stdin.close()


def told(port: int, what: str) -> dict[str, Any]:
    """`bills` of the vendor, by run and model, or `bodies`, by run and hash."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}") as got:
        found: dict[str, Any] = json.load(got)
    return found


def jobs_of(quick: bool) -> list[Job]:
    """Arms in turn within each world and optimizer; then those that are short of money."""
    seeds, short = (1, 1) if quick else (SEEDS, SHORT)
    free = [Job(name, arm, seed, quick=quick) for seed in range(seeds) for name in OPTIMIZERS for arm in ARMS]
    poor = OPTIMIZERS[-1:] if quick else OPTIMIZERS
    return free + [Job(name, "dollars", seed, True, quick) for seed in range(short) for name in poor]


def with_bills(rows: list[Row], bills: dict[str, dict[str, int]]) -> list[Row]:
    """The rows with what the vendor billed for them, and whether that is within both budgets."""
    for row in rows:
        row["billed"] = {kind: bills["nano_usd"].get(f"{row['name']} {kind}", 0) / 1e9 for kind in row["budget"]}
        row["calls"] = {kind: bills["calls"].get(f"{row['name']} {kind}", 0) for kind in row["budget"]}
        row["within"] = all(row["billed"][kind] <= row["budget"][kind] + 1e-12 for kind in row["budget"])
    return rows


# --- what came out ----------------------------------------------------------------------------------------------


def summary_of(rows: Sequence[Row], best: dict[str, float]) -> dict[str, Any]:
    """By optimizer: medians of each arm, gap to the best as a share of the parent's, worlds where dollars won."""
    free = [row for row in rows if not row["short of money"]]
    found: dict[str, Any] = {}
    for name in OPTIMIZERS:
        arms = {arm: [row for row in free if (row["optimizer"], row["arm"]) == (name, arm)] for arm in ARMS}
        pairs = list(zip(*(sorted(arms[arm], key=lambda row: row["seed"]) for arm in ARMS), strict=True))
        gaps = [share_left(row, best[name]) for row in arms["dollars"]]
        found[name] = {
            "best": round(best[name], 1),
            "parent": round(statistics.median(row["dollars"]["parent"] for row in free), 1),
            **{arm: medians(arms[arm]) for arm in ARMS},
            "gap left": {"median": round(statistics.median(gaps), 3), "worst": round(max(gaps), 3)},
            "cheaper than by accuracy": sum(a["dollars"]["chosen"] < b["dollars"]["chosen"] for a, b in pairs),
            "cheaper by more than $1": sum(a["dollars"]["chosen"] < b["dollars"]["chosen"] - 1 for a, b in pairs),
            "worlds": len(pairs),
        }
    return found


def share_left(row: Row, best: float) -> float:
    """How much of the parent's gap to the best the chosen prompt leaves: 0 none of it, 1 all."""
    return float((row["dollars"]["chosen"] - best) / (row["dollars"]["parent"] - best))


def medians(rows: Sequence[Row]) -> Row:
    """Of one arm of one optimizer."""
    return {
        "chosen": round(statistics.median(row["dollars"]["chosen"] for row in rows), 1),
        "after test": round(statistics.median(row["dollars"]["after test"] for row in rows), 1),
        "recall": round(statistics.median(row["recall"] for row in rows), 3),
        "false alarms": round(statistics.median(row["false alarms"] for row in rows), 4),
        "eager": sum(row["holds"]["eager words"] or row["holds"]["borderline targets"] > 0 for row in rows),
        "written": sum(row["verdict"] == "better" for row in rows),
        "chosen and worse": sum(row["dollars"]["chosen"] > row["dollars"]["parent"] for row in rows),
        "written and worse": sum(accepted_worse(row) for row in rows),
    }


def accepted_worse(row: Row) -> bool:
    """True where the test let a prompt through that truly costs more than its parent."""
    return bool(row["verdict"] == "better" and row["dollars"]["chosen"] > row["dollars"]["parent"])


def goals_of(rows: Sequence[Row], summary: dict[str, Any]) -> list[Goal]:
    goals = []
    for name in OPTIMIZERS:
        left, won = summary[name]["gap left"]["median"], summary[name]["cheaper than by accuracy"]
        least = LOWER / SEEDS * summary[name]["worlds"]
        goals.append(Goal(f"{name}: median share of the parent's gap that is left", f"<= {NEAR}", left, left <= NEAR))
        goals.append(Goal(f"{name}: worlds where dollars beat accuracy", f">= {least:g}", won, won >= least))
    passed = sum(not row["within"] for row in rows)
    worse = sum(accepted_worse(row) for row in rows if row["arm"] == "dollars" and not row["short of money"])
    goals.append(Goal("runs that passed a budget, by the vendor's bills", "0", passed, passed == 0))
    goals.append(Goal("worse prompts that the test let through", f"<= {WORSE}", worse, worse <= WORSE))
    return goals


def show(summary: dict[str, Any]) -> None:
    print("dollars per 1,000 conversations at .5 %, median over worlds\n")
    heads = ("best", "parent", "dollars", "after test", "accuracy", "after test", "gap left", "cheaper")
    print(f"{'optimizer':18}" + "".join(f"{head:>12}" for head in heads))
    for name, one in summary.items():
        of_arms = [one[arm][which] for arm in ARMS for which in ("chosen", "after test")]
        won = f"{one['cheaper than by accuracy']} of {one['worlds']}"
        cells = (one["best"], one["parent"], *of_arms, one["gap left"]["median"], won)
        print(f"{name:18}" + "".join(f"{cell:>12}" for cell in cells))
    print()


def main() -> None:
    chosen = options(__doc__)
    began = time.monotonic()
    jobs = jobs_of(chosen.quick)
    worlds = [world_of(seed, chosen.quick) for seed in sorted({job.seed for job in jobs})]
    with served(worlds) as port:
        with ProcessPoolExecutor(1 if chosen.quick else 2, mp_context=multiprocessing.get_context("spawn")) as pool:
            rows = [one.result() for one in [pool.submit(run, job, port) for job in jobs]]
        rows = with_bills(rows, told(port, "bills"))
    found = {writes: optimum(worlds[0], writes) for writes in (False, True)}
    best = {name: found[name == "gepa"]["dollars"] for name in OPTIMIZERS}
    summary = summary_of(rows, best)
    if not chosen.json:
        show(summary)
    figures: dict[str, Any] = {
        "runs": len(rows),
        "calls": sum(sum(row["calls"].values()) for row in rows),
        "runs that were stopped by a budget": sum(row["stopped"] for row in rows),
        "seconds": round(time.monotonic() - began, 1),
        **summary,
    }
    if chosen.json:
        figures |= {"each": rows}
    finish(figures, goals_of(rows, summary), chosen)


if __name__ == "__main__":
    main()
