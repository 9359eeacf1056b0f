"""Processes of one store keep one pace together."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SENDER = """
import asyncio, sys, time
from llmclf.config import PaceRow
from llmclf.errors import ModelError
from llmclf.llm.pace import Pace
from llmclf.store import Store

path, tokens = sys.argv[1], int(sys.argv[2])

async def sender(pace, end):
    while True:
        try:
            with await pace.turn("v/m", "v", tokens, end) as turn:
                print(time.time(), flush=True)
                await asyncio.sleep(0.01)
                turn.answered(tokens)
        except ModelError as error:
            assert error.kind == "timeout"
            return

async def main(store, seconds):
    row = PaceRow(requests_per_minute=12, tokens_per_minute=1000)
    pace = Pace({"v/*": row}, store, concurrency=4, _window_seconds=1.5)
    end = time.monotonic() + seconds
    await asyncio.gather(*(sender(pace, end) for _ in range(6)))

with Store(path) as store:
    print("ready", flush=True)
    asyncio.run(main(store, float(input())))
"""


Process = subprocess.Popen[str]


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Callable[[int], Process]]:
    """Starts a process that is ready to send, with so many tokens each, on the one store."""
    started = []

    def start(tokens: int) -> Process:
        command = [sys.executable, "-c", SENDER, str(tmp_path / "s.db"), str(tokens)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def let_go(*processes: Process, seconds: float) -> None:
    """All of them send for so long, once all are there."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{seconds}\n")
        process.stdin.flush()


def moments(process: Process, code: int = 0) -> list[float]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return [float(line) for line in out.split()]


def most_within(found: list[float], seconds: float) -> int:
    return max(sum(start <= moment < start + seconds for moment in found) for start in found)


def test_two_processes_together_keep_to_one_limit(sender: Callable[[int], Process]) -> None:
    """Two that send as fast as they may are never above the limit together, and use it."""
    processes = [sender(10), sender(10)]
    let_go(*processes, seconds=5)
    sent = [moment for process in processes for moment in moments(process)]
    assert most_within(sent, 1.5) == 12
    windows = (max(sent) - min(sent)) / 1.5
    assert len(sent) >= 0.8 * 12 * windows  # the margin, and waiting for each other, cost little


def test_a_killed_process_still_counts(sender: Callable[[int], Process]) -> None:
    """What a killed process sent last is counted by the others: tokens hold them to three in any window."""
    killed, other = sender(300), sender(300)
    let_go(killed, seconds=60)  # alone: the other could take every turn, for nothing shares them out fairly
    assert killed.stdout is not None
    first = float(killed.stdout.readline())
    let_go(other, seconds=4)
    killed.send_signal(signal.SIGKILL)
    sent = [first, *moments(killed, -signal.SIGKILL), *moments(other)]
    assert most_within(sent, 1.5) == 3
    assert len(sent) > 3
