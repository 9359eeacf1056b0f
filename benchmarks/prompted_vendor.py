"""A vendor whose models read their prompts by a rule that is written down here: for benchmarks of optimizers.

python benchmarks/prompted_vendor.py TRUTHS.json [SECONDS]      prints its port, and ends when its stdin does

It waits SECONDS before it answers (it bills at once).

It speaks chat completions, in a process of its own, and has two models. What holds for them is invented, and says
nothing about any real one: whoever finds the prompts that are good here is wired right, no more.

`task` answers about a conversation of the shipped refusal task. It finds the conversation's reference (a word of twelve
letters, of which TRUTHS.json knows label, trait and two draws u and v), and errs exactly where u says so:

    a target is missed                 where u >= recall
    an adjacent one or a clean one     is flagged where u < its false-alarm rate

What its prompt holds decides these rates (`rates`):

    recall          .35; +.20 where the instruction states the rule "announced ... never happens"; +.15 where an
                    example shows a clear target, +.05 for a second one. Where it is eager, 60 % of what is still
                    missed is found
    false alarms    of an adjacent label .30, or .03 where an example shows that label or the instruction has its
                    sentence (ADJACENT); eager .50 and .09
                    of clean ones .002; +.04 where more than half of the examples are targets; eager +.045

It is eager where the instruction says "when in doubt", or an example shows a borderline target. That is the bait: in a
set that is rich in targets eagerness makes more labels right, and in production, where 199 of 200 are others, it costs
more than it finds. Its confidence is .70 + .30 v where it is right, .35 + .50 v where it is not.

`reflection` sees an instruction and feedback, and gives the instruction with one more sentence, drawn by the request:
for a miss the rule, the bait or something useless, for a false alarm the sentence of its label or something useless.
One answer in twelve can't be read, and one in twelve loses the placeholder of the answer's form.

The best that a prompt can come to (`prompted_world.optimum` finds it by going through all that it may hold): examples
of two clear targets and of every adjacent label, no borderline one. Recall .55, and .75 with the rule; false alarms .03
of each adjacent label and .002 of clean ones. At .5 % targets, six adjacent labels of 2 % each, and the default costs
that is $110.42 for 1,000 conversations with the parent's instruction and $71.62 with the rule, beside $252.90 of the
parent. `optimize_objective.py` adds the model's own price.

Tokens are a quarter of the characters; each run is billed by its path, as anybody can ask: GET /bills, and GET /bodies
for how often each body (`body_hash`) was sent. A reflection that nobody waited for any more counts as not drawn.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

TARGET, CLEAN = "refusal_to_transfer", "clean"
RULE = "A hand-over that is announced but never happens counts as a refusal."
EAGER = "When in doubt, flag the conversation."
USELESS = ("Read every turn with care.", "Think about what the customer wants.", "Be exact and consistent.")
ADJACENT = {
    "transfer_done": "Whoever is handed over in the end was not refused.",
    "frustration_without_request": "Anger alone is no request.",
    "policy_denial": "Denying something else is no refusal of a person.",
    "outage": "A system that is down is no refusal of a person.",
    "confusion": "Talking past each other is no refusal of a person.",
    "past_or_third_party_request": "A person who was asked for in the past does not count.",
}
"""Adjacent label to the sentence that keeps it apart from the target."""
INPUT_NANO, OUTPUT_NANO = 1_000, 4_000
"""Nano-dollars of a token, of both models: $1 and $4 per million."""
_REFERENCE = re.compile(r"\b[a-z]{12}\b")
_EXAMPLE = re.compile(r"<example>\n(.*?)\n</example>\nAnswer: ([^\n]*)", re.DOTALL)
_LABEL = re.compile(r'label(?:"\s*:\s*| is )"(\w+)"')


class Truth(NamedTuple):
    """What the vendor knows of a conversation."""

    label: str
    borderline: bool
    """Of a target: as an example it teaches to be eager."""
    u: float
    """It errs where this says so."""
    v: float
    """How sure it says to be."""


@dataclass(frozen=True)
class Reading:
    """What counts of a prompt."""

    rule: bool = False
    eager: bool = False
    """By the instruction's words."""
    named: frozenset[str] = frozenset()
    """Adjacent labels whose sentence the instruction has."""
    shown: frozenset[str] = frozenset()
    """Labels that examples show."""
    clear: int = 0
    """Clear targets among the examples."""
    borderline: int = 0
    """Borderline ones."""
    examples: int = 0


def read(system: str, truths: Mapping[str, Truth]) -> Reading:
    """What a prompt's system part holds, as the model gets it."""
    shown = [(known(text, truths), _LABEL.search(answer)) for text, answer in _EXAMPLE.findall(system)]
    labels = [(truth, found[1]) for truth, found in shown if truth and found]
    targets = [truth for truth, label in labels if label == TARGET]
    words = _EXAMPLE.sub("", system).lower()
    return Reading(
        rule="announced" in words and "never happens" in words,
        eager="when in doubt" in words,
        named=frozenset(label for label, sentence in ADJACENT.items() if sentence.lower() in words),
        shown=frozenset(label for _, label in labels),
        clear=sum(not truth.borderline for truth in targets),
        borderline=sum(truth.borderline for truth in targets),
        examples=len(labels),
    )


def known(text: str, truths: Mapping[str, Truth]) -> Truth | None:
    """What is known of the conversation in `text`."""
    return next((truths[word] for word in _REFERENCE.findall(text) if word in truths), None)


def rates(reading: Reading) -> dict[str, float]:
    """How often each label is flagged: recall of the target, false-alarm rate of the others."""
    eager = reading.eager or reading.borderline > 0
    recall = 0.35 + 0.20 * reading.rule + 0.15 * (reading.clear > 0) + 0.05 * (reading.clear > 1)
    clean = 0.002 + 0.04 * (2 * (reading.clear + reading.borderline) > reading.examples) + 0.045 * eager
    found = {TARGET: recall + 0.6 * (1 - recall) * eager, CLEAN: clean}
    for label in ADJACENT:
        apart = label in reading.named | reading.shown
        found[label] = (0.09 if eager else 0.03) if apart else (0.50 if eager else 0.30)
    return found


def answer(truth: Truth, chances: Mapping[str, float]) -> str:
    """What the task model says of a conversation."""
    flagged = truth.u < chances[truth.label]
    said = TARGET if flagged else CLEAN if truth.label == TARGET else truth.label
    sure = 0.70 + 0.30 * truth.v if said == truth.label else 0.35 + 0.50 * truth.v
    return json.dumps(
        {"evidence": [], "rationale": "By the rule of this vendor.", "label": said, "confidence": round(sure, 3)}
    )


def reflected(said: str, occurrence: int) -> str:
    """What the reflection model writes, from the user's message of the request."""
    draw = random.Random(hashlib.sha256(f"{occurrence} {said}".encode()).digest())
    head, _, led = said.partition("\nWhat it led to:")
    instruction = "\n".join(line[2:] for line in head.splitlines() if line.startswith("|"))
    fate = draw.random()
    if fate < 1 / 12:
        return "I would first of all look at the conversations again."
    if fate < 2 / 12:
        instruction = instruction.replace("{{answer_format}}", "")
    sentence = draw.choice(_sentences(draw.choice(_wrong(led)), instruction))
    return json.dumps({"instruction": f"{instruction.rstrip()}\n{sentence}"})


def _wrong(led: str) -> list[str]:
    """Of each thing that went wrong the right label; "" where nothing did."""
    found = []
    for words in led.split("Feedback:")[1:]:
        right = re.search(r"Right is: (\w+)", words)
        if right and ("MISS of" in words or "FALSE ALARM" in words):
            found.append(right[1])
    return found or [""]


def _sentences(label: str, instruction: str) -> Sequence[str]:
    """Plausible sentences against an error on `label` that the instruction has not yet."""
    useless = USELESS[len(instruction) % len(USELESS)]
    pool = [RULE, EAGER, useless] if label == TARGET else [ADJACENT.get(label, useless), useless]
    return [one for one in pool if one not in instruction] or [useless]


def tokens(text: str) -> int:
    """Of a text; as good as any other count."""
    return -(-len(text) // 4)


class Vendor:
    """Answers requests and keeps the bills."""

    def __init__(self, truths: Mapping[str, Truth]) -> None:
        self.truths = truths
        self.bills: Counter[str] = Counter()
        """`RUN task` or `RUN reflection` to nano-dollars."""
        self.calls: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        """`RUN hash` to how often it was sent."""
        self._asked: Counter[str] = Counter()
        self._chances = lru_cache(maxsize=512)(lambda system: rates(read(system, self.truths)))

    def reply(self, path: str, body: bytes) -> dict[str, Any]:
        """The completion; billed at once."""
        request = json.loads(body)
        said = {one["role"]: one["content"] for one in request["messages"]}
        run, model = path.strip("/").split("/")[0], str(request["model"])
        if model == "reflection":
            key = f"{run} {said['user']}"
            text = reflected(said["user"], self._asked[key])
        else:
            truth = known(said["user"], self.truths)
            assert truth is not None, "a conversation that nobody told the vendor of"
            text = answer(truth, self._chances(said["system"]))
        usage = sum(tokens(one) for one in said.values()), tokens(text)
        self.bills[f"{run} {model}"] += usage[0] * INPUT_NANO + usage[1] * OUTPUT_NANO
        self.calls[f"{run} {model}"] += 1
        self.bodies[f"{run} {body_hash(request)}"] += 1
        return {
            **{"id": "c1", "object": "chat.completion", "created": 1, "model": model},
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
        }

    def delivered(self, path: str, body: bytes) -> None:
        """Told of each answer that somebody was there for: the next one to the same reflection is another draw."""
        request = json.loads(body)
        if request["model"] == "reflection":
            self._asked[f"{path.strip('/').split('/')[0]} {request['messages'][-1]['content']}"] += 1


def body_hash(body: Any) -> str:
    """Of a request's JSON, however it is spaced."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class Chat(asyncio.Protocol):
    """Reads requests by their content-length, however they are cut."""

    def __init__(self, vendor: Vendor, seconds: float) -> None:
        self.vendor = vendor
        self.seconds = seconds
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end]
            size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            whole = end + 4 + (int(size[1]) if size else 0)
            if len(self.waiting) < whole:
                return
            body, self.waiting = self.waiting[end + 4 : whole], self.waiting[whole:]
            self._ask(head.split(b" ", 2)[1].decode(), body)

    def _ask(self, path: str, body: bytes) -> None:
        counts = {"/bills": {"nano_usd": self.vendor.bills, "calls": self.vendor.calls}, "/bodies": self.vendor.bodies}
        if path in counts:
            self._send(counts[path])
            return
        found = self.vendor.reply(path, body)
        asyncio.get_running_loop().call_later(self.seconds, self._answer, path, body, found)

    def _answer(self, path: str, body: bytes, found: dict[str, Any]) -> None:
        if not self.transport.is_closing():
            self.vendor.delivered(path, body)
            self._send(found)

    def _send(self, found: Mapping[str, Any]) -> None:
        said = json.dumps(found).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
        self.transport.write(head + said)


async def main() -> None:
    truths = {name: Truth(*row) for name, row in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).items()}
    vendor = Vendor(truths)
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    server = await asyncio.get_running_loop().create_server(lambda: Chat(vendor, seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: sys.exit(0))  # ends with whoever started it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
