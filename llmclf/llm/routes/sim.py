"""A simulated vendor that ships with llmclf: it is told the truth and errs at documented rates.

For one item and one model, the chance to flag it is

    target     1 - (1 - recall) * r        recall by failure mode where given
    clean      false_alarm_rate * r
    adjacent   false_alarm_rate * adjacent_factor * r     (at most .9)

with r = (1 - thinking_gain) ** level (off 0, minimal and low 1, medium 2, high 3, max 4). An item is
flagged where Phi(sqrt(.5) * z_item + sqrt(.5) * z_cell) is below that chance: z_item is one draw per
item shared by all simulated models (hard items are hard for everyone), z_cell one per model,
setting and repeat. Latency is lognormal, sigma .4. Everything follows from the seed in the hashes,
so the same request gets the same answer. Nothing of the truth can reach a real request: it lives
in this route alone, by the hash of the conversation's content.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from llmclf.config import SimRow
from llmclf.errors import ModelError
from llmclf.llm.model import Answer, Model, Request
from llmclf.llm.prices import Price, price_of
from llmclf.llm.routes.base import Route
from llmclf.types import Role, Usage, content_hash

_NORMAL = NormalDist()
_STEPS = {"off": 0, "minimal": 1, "low": 1, "medium": 2, "high": 3, "max": 4}
_LINE = re.compile(r"^\[(\d+)\] \w+: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the simulated vendor is told of an item."""

    label: str
    role: Role
    target: str
    """The name of the target label."""
    failure_modes: tuple[str, ...] = ()
    evidence_turns: tuple[int, ...] = ()


TruthMap = Mapping[tuple[str, str, int | None], Truth]
"""(task, content hash of the conversation, turn) to truth."""


class SimRoute(Route):
    """Answers from the truth it was told, with errors at the row's rates. No network, no waiting."""

    name = "sim"
    simulated = True

    def __init__(self, model_id: str, row: SimRow, truth: TruthMap) -> None:
        self.model_id = model_id
        self.row = row
        self.truth = truth

    def unsupported(self, model: Model) -> list[str]:
        """Names the levels of thinking it takes where `model` asks for another."""
        if model.thinking is None or model.thinking in self.row.thinking:
            return []
        return [f"{self.model_id} does not take thinking {model.thinking!r}; it takes {', '.join(self.row.thinking)}"]

    def price(self) -> Price | None:
        """The row's price, in simulated dollars."""
        return price_of(self.model_id, {}, self.row)

    def endpoint(self) -> str:
        """The same for every simulated model."""
        return "sim"

    def body(self, request: Request) -> Mapping[str, Any]:
        """Messages, model, settings and the row's rates: other rates are another question."""
        return {
            "model": request.model.id,
            "thinking": request.model.thinking,
            "messages": [[message.role, message.content] for message in request.messages],
            "output": [request.output.kind, list(request.output.choices)],
            "max_tokens": request.model.output_limit(request.output),
            "rates": content_hash(self.row.model_dump()),
        }

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """The simulated answer; ModelError where the item's truth is not known."""
        subject = request.subject
        truth = self.truth.get((subject.task, subject.content_hash, subject.turn))
        if truth is None:
            raise ModelError(
                "internal",
                "the simulated vendor was not told the truth of this item",
                where=self.model_id,
                got=subject.conversation_id,
                fix="simulated models answer only labelled items of an evaluation or a sweep; "
                "for tests use llmclf.testing.fake_classifier",
            )
        draw = _Draws(self.model_id, request, truth)
        usage = self._usage(request, draw)
        if draw.uniform("fault") < self.row.fault_rate:
            text = "" if draw.uniform("fault kind") < 0.5 else "I am sorry, I would rather talk about the weather."
            return Answer(text, usage=usage, latency_seconds=self._seconds(request, draw))
        chance = self._flag_chance(truth, request.model)
        mixed = _NORMAL.cdf(math.sqrt(0.5) * draw.item + math.sqrt(0.5) * draw.cell)
        flagged = mixed < chance
        sureness = abs(_NORMAL.inv_cdf(_clip(chance)) - _NORMAL.inv_cdf(_clip(mixed)))
        confidence = _clip(0.5 + 0.45 * math.tanh(sureness))
        text = _answer_text(request, truth, flagged, confidence)
        return Answer(
            text,
            reasoning="" if self._step(request.model) == 0 else f"Weighing {truth.role} signs in the turns.",
            usage=usage,
            label_logprobs=_letter_logprobs(request, truth, flagged, confidence),
            sent_thinking=json.dumps({"thinking": request.model.thinking}),
            latency_seconds=self._seconds(request, draw),
        )

    def _flag_chance(self, truth: Truth, model: Model) -> float:
        left = (1 - self.row.thinking_gain) ** self._step(model)
        if truth.role == "target":
            known = [self.row.recall_by_failure_mode.get(mode) for mode in truth.failure_modes]
            recall = min((value for value in known if value is not None), default=self.row.recall)
            return _clip(1 - (1 - recall) * left)
        factor = self.row.adjacent_factor if truth.role == "adjacent" else 1.0
        return _clip(min(0.9, self.row.false_alarm_rate * factor * left))

    def _step(self, model: Model) -> int:
        return _STEPS[model.thinking] if isinstance(model.thinking, str) else 0

    def _usage(self, request: Request, draw: _Draws) -> Usage:
        sent = sum(len(message.content) for message in request.messages)
        limit = request.model.output_limit(request.output)
        answer = 1 if request.output.kind == "letter" else min(self.row.output_tokens, limit)
        step = self._step(request.model)
        reasoning = round(self.row.reasoning_tokens * 2 ** (step - 1) * draw.lognormal("reasoning")) if step else 0
        reasoning = min(reasoning, limit - answer)
        return Usage(math.ceil(sent / 4), 0, answer + reasoning, reasoning)

    def _seconds(self, request: Request, draw: _Draws) -> float:
        return self.row.seconds * 1.8 ** self._step(request.model) * draw.lognormal("latency")


class _Draws:
    """Random numbers that follow from the request alone."""

    def __init__(self, model_id: str, request: Request, truth: Truth) -> None:
        subject = request.subject
        item = f"{subject.content_hash}|{subject.turn}|{truth.target}"
        self._cell_key = f"{item}|{model_id}|{request.model.thinking}|{subject.prompt_id}|{request.repeat}"
        self.item = _NORMAL.inv_cdf(_uniform(item))
        self.cell = self.normal("cell")

    def uniform(self, name: str) -> float:
        return _uniform(f"{self._cell_key}|{name}")

    def normal(self, name: str) -> float:
        return _NORMAL.inv_cdf(self.uniform(name))

    def lognormal(self, name: str) -> float:
        return math.exp(0.4 * self.normal(name))


def _uniform(key: str) -> float:
    return (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") + 0.5) / 2**64


def _clip(value: float) -> float:
    return min(max(value, 0.001), 0.999)


def _answer_text(request: Request, truth: Truth, flagged: bool, confidence: float) -> str:
    label = _label(request, truth, flagged)
    if request.output.kind == "letter":
        return request.output.letters[request.output.choices.index(label)]
    lines = _LINE.findall(request.messages[-1].content)
    quoted = [line for line in lines if int(line[0]) in truth.evidence_turns] or lines[-1:]
    evidence = [{"turn": int(number), "quote": text[:80].strip()} for number, text in quoted[:2]]
    answer = {
        "evidence": evidence if flagged else [],
        "rationale": "Simulated reason: the quoted turns decide it." if flagged else "Simulated reason: no sign of it.",
        "label": label,
        "confidence": round(confidence, 3),
    }
    return json.dumps(answer)


def _letter_logprobs(request: Request, truth: Truth, flagged: bool, confidence: float) -> dict[str, float] | None:
    if request.output.kind != "letter":
        return None
    label = _label(request, truth, flagged)
    others = max(1, len(request.output.choices) - 1)
    return {
        letter: math.log(confidence if choice == label else (1 - confidence) / others)
        for letter, choice in zip(request.output.letters, request.output.choices, strict=True)
    }


def _label(request: Request, truth: Truth, flagged: bool) -> str:
    """The target where flagged, else the item's own label, or for a missed target the last of the other choices."""
    if flagged:
        return truth.target
    return truth.label if truth.label != truth.target else [c for c in request.output.choices if c != truth.target][-1]
