"""What llmclf costs a call: CPU and calls a second, against raw clients and litellm.

python benchmarks/llm_overhead.py [--json] [--quick]

A server in its own process answers at once. The arms take turns in one process, in several rounds:
raw aiohttp, raw httpx, litellm's acompletion, llmclf by litellm, llmclf direct (the http route).
llmclf's arms do everything they do in production: a store in a file, look-up of earlier answers, a
cap with reservations, the retry wrapper, redaction before storing, strict parsing, grounded quotes.
The raw arms send the same bodies and parse the reply's JSON; CPU is of the whole process, all threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from common import Goal, finish, options

CONCURRENCY = 16
_TASK = """version = 1
question = "Is the customer refused a person?"
[labels.refused]
role = "target"
definition = "asks for a person, in whatever words, and gets none by the end"
[labels.frustrated]
role = "adjacent"
definition = "angry without asking for a person"
[labels.clean]
role = "clean"
definition = "nothing of it"
"""
_PROMPT = """=== system ===
You read a conversation between a customer and an automated service, and answer one question about it.
Question: {{question}}
Labels:
{{labels}}
{{answer_format}}
=== user ===
<conversation>
{{conversation}}
</conversation>
"""
_ARMS = ("aiohttp", "httpx", "litellm", "llmclf by litellm", "llmclf direct")


def make_workspace(folder: Path, url: str) -> None:
    """Two ways to the same server, at known prices."""
    for name, text in {
        "configs/models.toml": f"""version = 1
[models."bench/litellm"]
route = "litellm"
litellm_model = "openai/bench"
api_base = "{url}"
key_env = "BENCH_KEY"
json_schema = true
[models."http/bench"]
route = "http"
api_base = "{url}"
model = "bench"
key_env = "BENCH_KEY"
json_schema = true
""",
        "configs/prices.toml": "version = 1\n"
        + "".join(
            f'[prices."{name}"]\ninput_usd_per_million = 1\noutput_usd_per_million = 4\n'
            for name in ("bench/litellm", "http/bench")
        ),
        "configs/tasks/refusal.toml": _TASK,
        "prompts/ask.txt": _PROMPT,
        "configs/classifiers/by_litellm.toml": 'version = 1\nkind = "llm"\ntask = "refusal"\nprompt = "ask"\n'
        'model = "bench/litellm"\n',
        "configs/classifiers/direct.toml": 'version = 1\nkind = "llm"\ntask = "refusal"\nprompt = "ask"\n'
        'model = "http/bench"\n',
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def conversations(count: int, salt: str) -> dict[str, Any]:
    """Conversations that are all different, so that no answer is in the store yet."""
    from llmclf.types import Conversation, Turn

    made = {}
    for number in range(count):
        turns = (
            Turn("user", f"Hello, this is about order {salt}-{number}. Let me speak to a person, please."),
            Turn("bot", "I can help you with that myself."),
            Turn("user", "No. I have told you twice. A person."),
            Turn("bot", "I understand. Could you describe the problem in a few words?"),
        )
        made[f"{salt}-{number}"] = Conversation(f"{salt}-{number}", turns)
    return made


async def at_once(count: int, ask: Callable[[int], Awaitable[None]]) -> None:
    """Runs `ask(0)` to `ask(count - 1)`, so many at once as every arm has."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await ask(number)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


class Bench:
    """The arms, ready to run: clients are open and warm."""

    def __init__(self, folder: Path, url: str) -> None:
        from llmclf import Runtime, load_classifier
        from llmclf.llm.routes.litellm import load_litellm

        self.url = url
        self.runtime = Runtime(folder / "bench.db", workspace=folder, max_usd=1000, concurrency=CONCURRENCY)
        self.classifiers = {
            "llmclf by litellm": load_classifier("by_litellm", runtime=self.runtime),
            "llmclf direct": load_classifier("direct", runtime=self.runtime),
        }
        self.litellm = load_litellm()
        self.headers = {"authorization": f"Bearer {os.environ['BENCH_KEY']}"}
        self.runtime.run(self._open())

    async def _open(self) -> None:
        import aiohttp
        import httpx

        self.aiohttp = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY))
        self.httpx = httpx.AsyncClient(limits=httpx.Limits(max_connections=CONCURRENCY))

    def close(self) -> None:
        """Gives everything back."""
        self.runtime.run(self.aiohttp.close())
        self.runtime.run(self.httpx.aclose())
        self.runtime.close()

    def run(self, arm: str, count: int, salt: str) -> tuple[float, float]:
        """(CPU seconds, wall seconds) of `count` calls by one arm; what it sends is made beforehand."""
        made = conversations(count, f"{arm}-{salt}".replace(" ", "-"))
        classifier: Any = self.classifiers.get(arm)
        if classifier is not None:
            items = [type_item(name) for name in made]
            return timed(lambda: check(classifier.predict(made, items), count))
        bodies = [self.body(conversation) for conversation in made.values()]
        ask = {"aiohttp": self._aiohttp, "httpx": self._httpx, "litellm": self._litellm}[arm]
        # on the runtime's own loop: litellm's logging gets into disorder where a process has two
        return timed(lambda: self.runtime.run(at_once(count, lambda number: ask(bodies[number]))))

    def body(self, conversation: Any) -> dict[str, Any]:
        """The body that the direct route sends, for the raw arms."""
        route = self.runtime.route("http/bench")
        return dict(route.body(self.classifiers["llmclf direct"].request(conversation)))  # type: ignore[attr-defined]

    async def _aiohttp(self, body: dict[str, Any]) -> None:
        async with self.aiohttp.post(f"{self.url}/chat/completions", json=body, headers=self.headers) as reply:
            json.loads(await reply.read())["choices"][0]["message"]["content"]

    async def _httpx(self, body: dict[str, Any]) -> None:
        reply = await self.httpx.post(f"{self.url}/chat/completions", json=body, headers=self.headers)
        reply.json()["choices"][0]["message"]["content"]

    async def _litellm(self, body: dict[str, Any]) -> None:
        reply = await self.litellm.acompletion(
            **{**body, "model": "openai/bench"},
            api_base=self.url,
            api_key=os.environ["BENCH_KEY"],
            num_retries=0,
            max_retries=0,
            timeout=60,
        )
        reply.choices[0].message.content  # noqa: B018


def type_item(name: str) -> Any:
    """The item of a whole conversation."""
    from llmclf.types import Item

    return Item(name)


def check(predictions: Any, count: int) -> None:
    """An arm that fails must not look fast."""
    good = sum(prediction.label == "refused" and not prediction.cached for prediction in predictions)
    if good != count:
        raise SystemExit(f"{count - good} of {count} calls went wrong: {predictions[0].error}")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(CPU seconds of this process, wall seconds)."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(bench: Bench, rounds: int, count: int) -> dict[str, dict[str, float]]:
    """Medians over the rounds, by arm; in each round every arm has its turn."""
    cpu: dict[str, list[float]] = {arm: [] for arm in _ARMS}
    rate: dict[str, list[float]] = {arm: [] for arm in _ARMS}
    for arm in _ARMS:
        bench.run(arm, max(32, count // 4), "warm")
    for number in range(rounds):
        order = _ARMS[number % len(_ARMS) :] + _ARMS[: number % len(_ARMS)]
        for arm in order:
            calls = count if "litellm" in arm else 3 * count
            spent, seconds = bench.run(arm, calls, str(number))
            cpu[arm].append(1000 * spent / calls)
            rate[arm].append(calls / seconds)
    return {
        arm: {
            "cpu_ms_per_call": round(statistics.median(cpu[arm]), 3),
            "lowest": round(min(cpu[arm]), 3),
            "highest": round(max(cpu[arm]), 3),
            "calls_per_second": round(statistics.median(rate[arm]), 1),
        }
        for arm in _ARMS
    }


def main() -> None:
    chosen = options(__doc__)
    os.environ["BENCH_KEY"] = "bench-key"
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("chat_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    try:
        with tempfile.TemporaryDirectory() as folder:
            make_workspace(Path(folder), url)
            bench = Bench(Path(folder), url)
            try:
                figures = measure(bench, 2 if chosen.quick else 7, 64 if chosen.quick else 300)
            finally:
                bench.close()
    finally:
        server.kill()
        server.wait()
    by_litellm = figures["llmclf by litellm"]["cpu_ms_per_call"] / figures["litellm"]["cpu_ms_per_call"]
    direct = figures["llmclf direct"]["cpu_ms_per_call"]
    faster = figures["llmclf direct"]["calls_per_second"] / figures["litellm"]["calls_per_second"]
    goals = [
        Goal("llmclf by litellm, CPU against litellm's own", "<= 1.15", by_litellm, by_litellm <= 1.15),
        Goal("llmclf direct, CPU ms a call", "<= 1.5", direct, direct <= 1.5),
        Goal("llmclf direct, calls/s against litellm's", ">= 5", faster, faster >= 5),
    ]
    finish(figures, goals, chosen)


if __name__ == "__main__":
    main()
