"""A labelling session to serve, and the real server in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from llmclf.calibration.session import Session, SessionItem
from llmclf.types import Case, Conversation, Event, Label, Rubric, Rule, Turn

PEOPLE = ("ana", "ben")
ADJUDICATOR = "cara"
BLIND = ("stratum-secret", "known-secret", "score-secret", "rationale-secret", "case-secret", "pool-secret")
"""Words of what a person may not know, all through a session of `make_session`."""
RUBRIC = Rubric(
    "refusal_to_transfer",
    "Does the bot refuse or evade the customer's request for a person?",
    (
        Label(
            "refused",
            "target",
            "The customer asks for a person, and the bot refuses, evades or stalls until the end.",
            (
                Rule("R1", "Offering to help instead, without saying how a person can be reached, is a refusal."),
                Rule("R2", "One question back (what is it about?) is none; the same question twice is one."),
            ),
        ),
        Label(
            "frustrated",
            "adjacent",
            "The customer is angry or gives up, but never asks for a person.",
            (Rule("R3", "Asking for a supervisor, a human or an agent is asking for a person."),),
        ),
        Label("clean", "clean", "Neither: no person was asked for, or the bot passed the customer on."),
    ),
)


_NUMBERS = count(1)


def conversation_of(number: int, turns: int = 8) -> Conversation:
    """A made-up conversation; tool calls and a transfer among its turns."""
    said = [
        Turn("user", f"Hello, my order {1000 + number} has not come yet."),
        Turn("bot", "I am sorry to hear that. Could you give me the number of your order?"),
        Turn("user", f"I just did: {1000 + number}. Can I please talk to a real person?"),
        Turn("tool", events=(Event("tool_result", "find_order", '{"state": "in transit", "days": 9}'),)),
        Turn("bot", "Your parcel is on its way. Is there anything else I can help you with?"),
        Turn("user", "Yes. A person, please. I asked you before."),
        Turn("bot", "I understand. Our help pages answer most questions.", events=(Event("transfer", "billing"),)),
        Turn("user", "Never mind."),
    ]
    return Conversation(
        f"conversation-{number}", tuple((said * 9)[:turns]), metadata={"agent": "pool-secret", "score": "score-secret"}
    )


def make_session(
    n: int = 6,
    *,
    practice: int = 0,
    rubric: Rubric = RUBRIC,
    shown: Mapping[str, str] | None = None,
    turns: int = 8,
    turn: int | None = None,
    people: Sequence[str] = PEOPLE,
    kind: str = "task",
) -> tuple[Session, dict[str, Conversation]]:
    """A session of its own with `n` cases that everybody labels, and so many of practice, with a known label each."""
    conversations = {one.id: one for one in (conversation_of(number, turns) for number in range(n + practice))}
    hidden = {"score": "score-secret"}
    items = tuple(
        SessionItem(
            Case(
                f"case-secret-{number}",
                id,
                turn,
                shown or {},
                label="refused" if number < practice else "",
                metadata=hidden,
            ),
            "practice" if number < practice else ("align", "test")[number % 2],
            "" if number < practice else "stratum-secret",
            None if number < practice else 0.5,
            tuple(people),
        )
        for number, id in enumerate(conversations)
    )
    session = Session(
        f"refusal-{next(_NUMBERS)}",
        kind,  # type: ignore[arg-type]
        rubric,
        "by_verdict",
        items,
        tuple(people),
        ADJUDICATOR if len(people) > 1 else "",
        len(people),
        {"stratum-secret": 40},
    )
    return session, conversations


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`llmclf serve`, or another command, in a process of its own, on the same port when it is started again."""

    def __init__(
        self, folder: Path, store: Path, *more: str, verb: Sequence[str] = ("serve",), **environment: str
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        command = [sys.executable, "-c", "from llmclf.cli import main; main()", *verb, "--store", str(store)]
        self.command = [*command, "--port", str(self.port), *more]
        kept = {name: value for name, value in os.environ.items() if name != "LLMCLF_SERVE_TOKEN"}
        self._environment = {**kept, **environment}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Server:
        """Starts it and waits until it answers."""
        self.process = subprocess.Popen(
            self.command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and self._answers(probe):
                    return self
            time.sleep(0.05)
        raise AssertionError(f"the server did not come up: {self.stop()}")

    def _answers(self, probe: socket.socket) -> bool:
        """A socket takes connections before the links are made and requests are answered: waits for an answer."""
        probe.settimeout(60)
        try:
            probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return bool(probe.recv(1))
        except ConnectionError:
            return False

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """SIGTERM; what it had said on stderr."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.communicate(timeout=40)[1] or ""
        finally:
            self.process.kill()
