"""A simulated vendor that ships with llmclf: it is told the truth and errs at documented rates.

For one item, one model and one modality, the chance to flag it is

    target     1 - (1 - recall) * e        recall by failure mode where given
    clean      false_alarm_rate * e
    adjacent   false_alarm_rate * adjacent_factor * e     (at most .9)

with e = (1 - thinking_gain) ** level * error factor of the modality (level: off 0, minimal and low 1,
medium 2, high 3, max 4), kept between .001 and .999. An item is flagged where Phi(z) is below that
chance, z = sqrt(.5) z_item + sqrt(.5 (1 - s)) z_setting + sqrt(.5 s) z_repeat, three standard normal
draws: one per item, shared by all simulated models (hard items are hard for everyone), one per model,
setting and prompt, one per repeat; s = .1 + .4 temperature. Everything follows from the seed in the
hashes, so the same request gets the same answer. docs/simulator.md has all of it, with latency, tokens
and faults. Nothing of the truth can reach a real request: it lives in this route alone, by the hash
of the conversation's content.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from itertools import accumulate
from statistics import NormalDist
from typing import Any

from llmclf.config import Modality, SimRow
from llmclf.errors import ModelError
from llmclf.llm.capabilities import Capabilities, ThinkingRow
from llmclf.llm.model import THINKING_TOKENS, Answer, Media, Model, Request
from llmclf.llm.prices import Price, price_of
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.sim_words import (
    Truth,
    answer_text,
    as_seen,
    reasoning_text,
    said_by_user,
    unreadable_text,
    verdict_of,
)
from llmclf.render.prefaces import part_named, recognised
from llmclf.types import Usage, content_hash

TruthMap = Mapping[tuple[str, str, int | None], Truth]
"""(task, content hash of the conversation, turn) to truth."""

FAULTS = {"unparsable": 0.35, "refused": 0.25, "length": 0.15, "unavailable": 0.15, "content_filter": 0.1}
"""How `fault_rate` is shared out. Half of the unparsable answers can be read when they are asked for once more;
whoever is unavailable answers the next attempt."""
IMAGE_TOKENS = 800
AUDIO_BYTES_PER_TOKEN = 1280
"""25 tokens for a second of 16-bit speech at 16 kHz."""

_NORMAL = NormalDist()
_STEPS = {"off": 0, "minimal": 1, "low": 1, "medium": 2, "high": 3, "max": 4}
_MENDED = 0.5
_FINISH = {"refused": "refusal", "length": "length", "content_filter": "content_filter"}


class SimRoute(Route):
    """Answers from the truth it was told, with errors at the row's rates. No network, no waiting."""

    name = "sim"
    simulated = True

    def __init__(self, model_id: str, row: SimRow, truth: TruthMap) -> None:
        self.model_id = model_id
        self.row = row
        self.truth = truth
        self._lowest = min((_STEPS[level] for level in row.thinking if _STEPS[level]), default=0)
        self._unavailable: set[str] = set()  # calls whose first attempt failed and whose next one won't

    def unsupported(self, model: Model) -> list[str]:
        """Names the levels of thinking it takes where `model` asks for another."""
        if model.thinking is None or model.thinking in self.row.thinking:
            return []
        return [f"{self.model_id} does not take thinking {model.thinking!r}; it takes {', '.join(self.row.thinking)}"]

    def capabilities(self) -> Capabilities:
        """Levels and modalities of the row; everything else."""
        rows = {
            level: ThinkingRow("exact", json.dumps({"thinking": level}))
            if level in self.row.thinking
            else ThinkingRow("unsupported")
            for level in (*THINKING_TOKENS, "tokens")
        }
        return Capabilities(rows, self.row.modalities, json_schema=True, logprobs=True)

    def price(self) -> Price | None:
        """The row's price, in simulated dollars."""
        return price_of(self.model_id, {}, self.row)

    def endpoint(self) -> str:
        """The same for every simulated model."""
        return "sim"

    def body(self, request: Request) -> Mapping[str, Any]:
        """Messages, model, settings and the row's rates: other rates are another question."""
        body: dict[str, Any] = {
            "model": request.model.id,
            "thinking": request.model.thinking,
            "messages": [[message.role, message.content] for message in request.messages],
            "output": [request.output.kind, list(request.output.choices)],
            "max_tokens": request.model.output_limit(request.output),
            "rates": content_hash(self.row.model_dump()),
        }
        if request.model.temperature is not None:
            body["temperature"] = request.model.temperature
        if media := _media(request):
            body["media"] = [[one.kind, one.sha256] for one in media]
        return body

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """The simulated answer; ModelError where the item's truth is not known, or for a simulated fault."""
        truth = as_seen(self._truth_of(request), request)
        modality = modality_of(request)
        draw = _Draws(self._setting(request, truth, modality), _item_key(request, truth), request)
        fault = self._fault(request, draw)
        if fault == "unavailable" and self._is_first_attempt(draw.key):
            raise ModelError("unavailable", "a simulated fault", where=self.model_id, status=503, retry_after=0.0)
        chance = self._flag_chance(truth, request.model, modality)
        verdict = verdict_of(request, truth, draw.mixed < chance, _sureness(chance, draw.mixed), draw.uniform)
        step = self._thinking_step(request.model)
        text = answer_text(request, truth, verdict)
        logprobs = verdict.logprobs
        if fault == "unparsable":
            text, logprobs = unreadable_text(text, request, draw.uniform), None
        elif fault in _FINISH:
            text, logprobs = text[: len(text) // 2] if fault == "length" else "", None
        return Answer(
            text,
            reasoning=reasoning_text(truth, verdict, step, draw.uniform),
            finish_reason=_FINISH.get(fault, "stop"),
            usage=self._usage(request, draw, step, is_cut=fault == "length"),
            label_logprobs=logprobs,
            sent_thinking=json.dumps({"thinking": request.model.thinking}),
            latency_seconds=self.row.seconds * 1.8**step * draw.lognormal("latency", 0.4),
        )

    def _truth_of(self, request: Request) -> Truth:
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
        return truth

    def _setting(self, request: Request, truth: Truth, modality: Modality) -> str:
        """What tells the draws of one setting from another's: not the thinking that does nothing."""
        thinking = "no-op" if self.row.no_op_thinking else request.model.thinking
        setting = f"{_item_key(request, truth)}|{self.model_id}|{thinking}|{request.subject.prompt_id}"
        marks = ["" if modality == "text" else modality, part_named(said_by_user(request))]
        return "|".join([setting, *(mark for mark in marks if mark)])

    def _fault(self, request: Request, draw: _Draws) -> str:
        """The fault of a call, or empty. A repair meets the fault it is to mend, or none."""
        place = draw.uniform("fault")
        if place >= self.row.fault_rate:
            return ""
        ends = zip(accumulate(FAULTS.values()), FAULTS, strict=True)
        fault = next((name for end, name in ends if place / self.row.fault_rate < end), "unparsable")
        is_repair = any(message.role == "assistant" for message in request.messages)
        return "" if is_repair and draw.uniform("repair") < _MENDED else fault

    def _is_first_attempt(self, key: str) -> bool:
        if key in self._unavailable:
            self._unavailable.discard(key)
            return False
        self._unavailable.add(key)
        return True

    def _flag_chance(self, truth: Truth, model: Model, modality: Modality) -> float:
        errors = (1 - self.row.thinking_gain) ** self._useful_step(model)
        errors *= self.row.error_factor_by_modality.get(modality, 1.0)
        if truth.role == "target":
            known = [self.row.recall_by_failure_mode.get(mode) for mode in truth.failure_modes]
            recall = min((value for value in known if value is not None), default=self.row.recall)
            return _clip(1 - (1 - recall) * errors)
        factor = self.row.adjacent_factor if truth.role == "adjacent" else 1.0
        return _clip(min(0.9, self.row.false_alarm_rate * factor * errors))

    def _useful_step(self, model: Model) -> int:
        """How many levels of thinking take errors away."""
        return 0 if self.row.no_op_thinking else self._thinking_step(model)

    def _thinking_step(self, model: Model) -> int:
        """How many levels of thinking are paid for and waited for."""
        if self.row.no_op_thinking:
            return self._lowest
        return _STEPS[model.thinking] if isinstance(model.thinking, str) else 0

    def _usage(self, request: Request, draw: _Draws, step: int, *, is_cut: bool) -> Usage:
        sent = math.ceil(sum(len(message.content) for message in request.messages) / 4)
        media = _media(request)
        audio = sum(math.ceil(len(one.data) / AUDIO_BYTES_PER_TOKEN) for one in media if one.kind == "audio")
        images = IMAGE_TOKENS * sum(one.kind == "image" for one in media)
        limit = request.model.output_limit(request.output)
        answer = 1
        if request.output.kind != "letter":
            answer = min(max(1, round(self.row.output_tokens * draw.lognormal("answer", 0.25))), limit)
        reasoning = round(self.row.reasoning_tokens * 2 ** (step - 1) * draw.lognormal("reasoning", 0.4)) if step else 0
        reasoning = min(reasoning, limit - answer)
        output = limit if is_cut else answer + reasoning
        return Usage(sent + images + audio, 0, output, reasoning, audio)


class _Draws:
    """Random numbers that follow from the request alone."""

    def __init__(self, setting: str, item: str, request: Request) -> None:
        self.key = f"{setting}|{request.repeat}"
        self._setting = setting
        share = min(1.0, 0.1 + 0.4 * (request.model.temperature or 0.0))
        of_setting = _normal(f"{setting}|cell")
        of_repeat = _normal(f"{self.key}|{request.model.temperature or 0.0:g}|repeat")
        z = math.sqrt(0.5) * _normal(item)
        z += math.sqrt(0.5 * (1 - share)) * of_setting + math.sqrt(0.5 * share) * of_repeat
        self.mixed = _NORMAL.cdf(z)
        """Uniform from 0 to 1; lower is flagged first."""

    def uniform(self, name: str) -> float:
        """A draw from 0 to 1 for one purpose."""
        return _uniform(f"{self.key}|{name}")

    def lognormal(self, name: str, sigma: float) -> float:
        """A draw around the median 1."""
        return math.exp(sigma * _normal(f"{self.key}|{name}"))


def modality_of(request: Request) -> Modality:
    """What a request was made in, as far as whoever gets it can see: its media, or words marked as recognised."""
    media = _media(request)
    if media:
        return media[0].kind
    return recognised(said_by_user(request)) or "text"


def _media(request: Request) -> list[Media]:
    return [one for message in request.messages for one in message.media]


def _item_key(request: Request, truth: Truth) -> str:
    return f"{request.subject.content_hash}|{request.subject.turn}|{truth.target}"


def _sureness(chance: float, mixed: float) -> float:
    """Confidence from .5, right at the border, towards .95 far from it."""
    distance = abs(_NORMAL.inv_cdf(_clip(chance)) - _NORMAL.inv_cdf(_clip(mixed)))
    return _clip(0.5 + 0.45 * math.tanh(distance))


def _normal(key: str) -> float:
    return _NORMAL.inv_cdf(_uniform(key))


def _uniform(key: str) -> float:
    return (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") + 0.5) / 2**64


def _clip(value: float) -> float:
    return min(max(value, 0.001), 0.999)


__all__ = ["AUDIO_BYTES_PER_TOKEN", "FAULTS", "IMAGE_TOKENS", "SimRoute", "Truth", "TruthMap", "modality_of"]
