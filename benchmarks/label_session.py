"""Two people label a session of 200 conversations at once, each click over real HTTP to a real server process.

A click is one POST of a label, with a note or a highlight now and then; its answer holds the next case. The
server is `llmclf serve` in a process of its own with a store on disk; it is killed once in the middle and started
again, and what was not answered is sent again, as the page does it. Then every label is looked for in the store.
The conversations are those of td_eval (airline) where the public data is at hand, else made up.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from common import Goal, finish, options
from readers import read_td_eval_airline

from llmclf.calibration.desk import Desk
from llmclf.calibration.session import Session, SessionItem
from llmclf.server.running import links
from llmclf.store import Store
from llmclf.types import Case, Conversation, Label, Rubric, Rule, Turn

ITEMS, QUICK_ITEMS = 200, 20
PEOPLE = ("ana", "ben")
SECONDS, CLICK_SECONDS = 60.0, 0.1
RUBRIC = Rubric(
    "refusal_to_transfer",
    "Does the bot refuse or evade the customer's request for a person?",
    (
        Label("refused", "target", "The customer asks for a person and gets none.", (Rule("R1", "Stalling counts."),)),
        Label("clean", "clean", "No person was asked for, or one was given."),
    ),
)


def conversations(items: int) -> tuple[str, list[Conversation]]:
    """(where they come from, so many conversations)."""
    folder = Path(os.environ.get("LLMCLF_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if (folder / "td_eval_airline").is_dir():
        real = [one for one in read_td_eval_airline(folder).conversations.values() if not one.is_empty]
        return "td_eval_airline", real[:: max(1, len(real) // items)][:items]
    turns = [Turn("user", "A person, please. " * 9), Turn("bot", "I can help you with that myself. " * 9)] * 12
    return "made up", [Conversation(f"made-{number}", tuple(turns)) for number in range(items)]


class Server:
    """`llmclf serve`, always on the same port."""

    def __init__(self, store: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-c", "from llmclf.cli import main; main()", "serve", "--port", str(self.port)]
        self._command = [*command, "--store", str(store)]
        self._folder = store.parent
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers."""
        self.process = subprocess.Popen(self._command, cwd=self._folder, stderr=subprocess.DEVNULL)
        while True:
            try:
                httpx.get(f"{self.url}/healthz", timeout=30).raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.05)

    def end(self, *, kill: bool = False) -> None:
        """SIGTERM, or SIGKILL."""
        self.process.kill() if kill else self.process.terminate()
        self.process.wait()


def label(link: str, name: str, clicks: list[float], done: threading.Event) -> None:
    """Labels all that is asked, timing each click that is answered; one that is not is sent again."""
    with httpx.Client(timeout=30) as client:
        page = httpx.URL(link).join(client.get(link).headers["location"])
        client.get(page).raise_for_status()
        answer = client.get(f"{page}/api/current").json()
        while (case := answer["ask"]) is not None:
            number = case["number"]
            said = {
                "item": case["item"],
                "label": "refused" if (number + len(name)) % 7 == 0 else "clean",
                "client_id": uuid.uuid4().hex,
                "seconds": 4.2,
                "note": "Asked twice." if number % 5 == 0 else "",
            }
            quote = next((turn["text"][:40] for turn in case["turns"] if turn["text"].strip()), "")
            if number % 3 == 0 and quote.strip():
                place = next(place for place, turn in enumerate(case["turns"]) if turn["text"].strip())
                said["evidence"] = [{"turn": place, "quote": quote}]
            answer = click(client, f"{page}/api/save", said, clicks)
            if answer["progress"]["done"] * 2 >= answer["progress"]["total"]:
                done.set()


def click(client: httpx.Client, url: str, said: dict[str, Any], clicks: list[float]) -> dict[str, Any]:
    """The answer to a label; its seconds are kept where the first try was answered."""
    first = True
    while True:
        started = time.perf_counter()
        try:
            reply = client.post(url, json=said)
        except httpx.TransportError:
            first = False
            time.sleep(0.1)
            continue
        reply.raise_for_status()
        if first:
            clicks.append(time.perf_counter() - started)
        answer: dict[str, Any] = reply.json()
        return answer


def measure(items: int) -> dict[str, Any]:
    """The whole session, its seconds without the restart, and what is in the store in the end."""
    source, given = conversations(items)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.db"
        server = Server(path)
        cases = tuple(SessionItem(Case(one.id, one.id), "test", annotators=PEOPLE) for one in given)
        session = Session("benchmark", "task", RUBRIC, "random", cases, PEOPLE, "cara", len(PEOPLE))
        with Store(path) as store:
            Desk(store).open(session, {one.id: one for one in given})
            made = links(Desk(store), session.id, server.url)
        server.start()
        clicks: dict[str, list[float]] = {name: [] for name in PEOPLE}
        half = {name: threading.Event() for name in PEOPLE}
        threads = [threading.Thread(target=label, args=(made[name], name, clicks[name], half[name])) for name in PEOPLE]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        half["ana"].wait()
        server.end(kill=True)
        killed = time.perf_counter()
        server.start()
        down = time.perf_counter() - killed
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
        server.end()
        with Store(path) as store:
            rows = store.query("SELECT case_id, annotator FROM session_labels WHERE undone_at IS NULL")
    found = Counter((row["case_id"], row["annotator"]) for row in rows)
    expected = {(one.id, name) for one in given for name in PEOPLE}
    all_clicks = np.array([seconds for name in PEOPLE for seconds in clicks[name]])
    p50, p95, p99 = (round(float(value), 4) for value in np.percentile(all_clicks, (50, 95, 99)))
    return {
        "conversations": source,
        "items": len(given),
        "labels": len(rows),
        "lost": len(expected - set(found)),
        "twice": sum(count > 1 for count in found.values()),
        "seconds": round(seconds, 2),
        "seconds_of_the_restart": round(down, 2),
        "labels_per_second": round(len(rows) / (seconds - down), 1),
        "click_p50_seconds": p50,
        "click_p95_seconds": p95,
        "click_p99_seconds": p99,
        "click_max_seconds": round(float(all_clicks.max()), 4),
        "clicks_above_100_ms": int((all_clicks >= CLICK_SECONDS).sum()),
    }


def main() -> None:
    """The session's figures and goals."""
    chosen = options(__doc__)
    figures = measure(QUICK_ITEMS if chosen.quick else ITEMS)
    lost = figures["lost"] + figures["twice"]
    goals = [
        Goal(
            "seconds for the session, restart included",
            f"< {SECONDS:g}",
            figures["seconds"],
            figures["seconds"] < SECONDS,
        ),
        Goal("labels lost or kept twice", "0", lost, lost == 0),
        Goal(
            "seconds of a click, p95",
            f"< {CLICK_SECONDS:g}",
            figures["click_p95_seconds"],
            figures["click_p95_seconds"] < CLICK_SECONDS,
        ),
        Goal(
            "seconds of a click, longest",
            f"< {CLICK_SECONDS:g}",
            figures["click_max_seconds"],
            figures["click_max_seconds"] < CLICK_SECONDS,
        ),
    ]
    finish(figures, goals, chosen)


if __name__ == "__main__":
    main()
