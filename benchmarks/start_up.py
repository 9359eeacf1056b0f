"""How long `import llmclf` and `llmclf --help` take, in CPU seconds beyond the bare interpreter.

python benchmarks/start_up.py [--json] [--quick]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

from common import Goal, finish, options

ARMS = {
    "bare interpreter": ["-c", "pass"],
    "import llmclf": ["-c", "import llmclf"],
    "llmclf --help": ["-c", "import sys; from llmclf.cli import run; sys.exit(run(['--help']))"],
}


def cpu_seconds(arguments: list[str]) -> float:
    """User and system seconds of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    chosen = options(__doc__)
    rounds = 3 if chosen.quick else 9
    for arguments in ARMS.values():  # the first start reads the disk and may compile
        cpu_seconds(arguments)
    times: dict[str, list[float]] = {name: [] for name in ARMS}
    for _ in range(rounds):  # arms take turns, so that a busy moment hits all
        for name, arguments in ARMS.items():
            times[name].append(cpu_seconds(arguments))
    median = {name: statistics.median(values) for name, values in times.items()}
    beyond = {name: median[name] - median["bare interpreter"] for name in ARMS}
    figures = {name: {"median": round(median[name], 4), "beyond": round(beyond[name], 4)} for name in ARMS}
    goals = [
        Goal(
            "import llmclf, CPU s beyond the interpreter",
            "< 0.2",
            beyond["import llmclf"],
            beyond["import llmclf"] < 0.2,
        ),
        Goal(
            "llmclf --help, CPU s beyond the interpreter",
            "< 0.4",
            beyond["llmclf --help"],
            beyond["llmclf --help"] < 0.4,
        ),
    ]
    finish(figures, goals, chosen)


if __name__ == "__main__":
    main()
