"""Inside a product's backend: a FastAPI app in processes of its own, many connections, a shutdown in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from wire import Wire, chat

from llmclf.store import Store

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})
CONNECTIONS = 64


@pytest.fixture
def backend(
    workspace: Path, wire: Wire, write: Callable[[str, str], Path]
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the app on a port, with so many worker processes; ends it in the end."""
    models = workspace / "configs" / "models.toml"
    row = f'[models."http/m"]\nroute = "http"\napi_base = "{wire.url}"\nmodel = "m"\nkey_env = "WIRE_KEY"\n'
    models.write_text(models.read_text() + row + '[models."http/m".price]\n' + _PRICE)
    write(
        "configs/classifiers/direct.toml",
        'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "http/m"\n',
    )
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int, workers: int = 1, max_usd: float = 5) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "uvicorn", "backend_app:app", "--app-dir", str(Path(__file__).parent)]
        command += ["--port", str(port), "--workers", str(workers), "--log-level", "warning"]
        environment = {**os.environ, "STORE": str(workspace / "store.db"), "MAX_USD": str(max_usd)}
        process = subprocess.Popen(command, cwd=workspace, env=environment)
        running.append(process)
        _wait_for(port, process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


_PRICE = "input_usd_per_million = 1\noutput_usd_per_million = 10\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the app did not come up")


def messages(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Hello {number}"}, {"role": "assistant", "content": "Hi."}]


async def ask_all(port: int, count: int, timeout: float = 10.0) -> list[dict[str, Any]]:
    """One request on each of `count` connections, all at once; what could not be asked says so."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60) as client:

        async def ask(number: int) -> dict[str, Any]:
            try:
                reply = await client.post("/classify", json={"messages": messages(number), "timeout": timeout})
            except httpx.HTTPError as error:
                return {"refused": type(error).__name__}
            return dict(reply.json()) if reply.status_code == 200 else {"status": reply.status_code}

        return list(await asyncio.gather(*(ask(number) for number in range(count))))


def calls(store: Path) -> list[dict[str, Any]]:
    with Store(store) as opened:
        return opened.query("SELECT * FROM calls")


def test_64_connections_are_answered_each_by_its_own(backend, wire: Wire, workspace: Path) -> None:
    """Every request gets its prediction; connections to the vendor are used again."""
    wire.default = chat(ANSWER, delay=0.05)
    port = free_port()
    process = backend(port)
    for start in range(2):
        answers = asyncio.run(ask_all(port, CONNECTIONS))
        assert [answer.get("label") for answer in answers] == ["clean"] * CONNECTIONS, (start, answers[:3])
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, -signal.SIGTERM)
    assert len(wire.received) == CONNECTIONS  # the second round came from the store
    rows = calls(workspace / "store.db")
    assert [row["state"] for row in rows] == ["done"] * CONNECTIONS
    assert wire.connections <= CONNECTIONS


def test_a_shutdown_in_the_middle_loses_nothing(backend, wire: Wire, workspace: Path) -> None:
    """SIGTERM while 64 calls are under way: what was accepted is answered, what was sent is in the store."""
    wire.default = chat(ANSWER, delay=0.8)
    port = free_port()
    process = backend(port)

    async def scene() -> list[dict[str, Any]]:
        asking = asyncio.create_task(ask_all(port, CONNECTIONS))
        while len(wire.received) < CONNECTIONS // 2:
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        return await asking

    answers = asyncio.run(scene())
    assert process.wait(30) in (0, -signal.SIGTERM)
    answered = [answer for answer in answers if answer.get("label") == "clean"]
    turned_away = [answer for answer in answers if "refused" in answer or "status" in answer]
    assert len(answered) + len(turned_away) == CONNECTIONS, answers
    assert len(answered) >= CONNECTIONS // 2
    rows = calls(workspace / "store.db")
    assert len(rows) == len(wire.received)
    assert sum(row["state"] == "done" for row in rows) == len(answered)


def test_a_vendor_that_hangs_is_a_prediction_not_a_crash(backend, wire: Wire, workspace: Path) -> None:
    """With a time-out of .3 s all requests come back as `timeout`, and every reservation is accounted for."""
    wire.default = chat(ANSWER, delay=5)
    port = free_port()
    process = backend(port)
    answers = asyncio.run(ask_all(port, CONNECTIONS, timeout=0.3))
    assert {answer.get("error") for answer in answers} == {"timeout"}, answers[:3]
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    rows = calls(workspace / "store.db")
    sent = [row for row in rows if row["attempts"]]
    assert len(sent) >= len(wire.received) > 0
    assert all(row["cost_nano"] is None and row["possibly_billed"] for row in sent)


def test_worker_processes_share_one_store(backend, wire: Wire, workspace: Path) -> None:
    """Two workers: each answer is bought once or twice (by both at once), and then found by either."""
    wire.default = chat(ANSWER)
    port = free_port()
    process = backend(port, workers=2)
    first = asyncio.run(ask_all(port, CONNECTIONS))
    bought = len(wire.received)
    second = asyncio.run(ask_all(port, CONNECTIONS))
    assert [answer.get("label") for answer in (*first, *second)] == ["clean"] * 2 * CONNECTIONS
    assert len(wire.received) == bought  # whoever asked first, the other finds it
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert all(row["state"] == "done" for row in calls(workspace / "store.db"))


def test_a_runtime_that_nobody_closes_ends_quietly(backend, wire: Wire, workspace: Path) -> None:
    """A script that just asks and ends leaves no open connection, no warning, and its call in the store."""
    wire.default = chat(ANSWER)
    code = (
        "import llmclf\n"
        "classifier = llmclf.load_classifier('direct', workspace='.', runtime=llmclf.Runtime('s.db', workspace='.',"
        " max_usd=1))\n"
        "print(classifier.classify(llmclf.Conversation.from_messages([{'role': 'user', 'content': 'Hi'}])).label)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, cwd=workspace, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "clean\n", "")
    assert [row["state"] for row in calls(workspace / "s.db")] == ["done"]
