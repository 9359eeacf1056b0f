"""What the simulated vendor says: answers, reasons that follow the failure mode, and answers nobody can read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from llmclf.llm.model import Request
from llmclf.types import Role

Uniform = Callable[[str], float]
"""A draw from 0 to 1, by what it is for."""

_LINE = re.compile(r"^\[(\d+)\] \w+: (.+)$", re.MULTILINE)
_GAP = "\n[...] ("
_SIGNS = (
    "The quoted turns show {what}.",
    "What decides it is {what}, in {where}.",
    "In {where} there is {what}; nothing later makes it good.",
    "{where} is a plain case of {what}.",
)
_NO_SIGNS = (
    "No turn shows {target}.",
    "It comes near {target}, but the turns don't carry it.",
    "Everything asked for was dealt with, so it is not {target}.",
    "Nothing in the turns amounts to {target}.",
)
_THOUGHTS = (
    "The question is whether this is {target}.",
    "I read the turns in order and hold each against the definitions.",
    "{where} matters most here.",
    "The sign to look for is {what}.",
    "A boundary case would need words that I can quote.",
    "The other labels are {others}; I compare with each.",
    "If the customer had got what they asked for, {target} would be out.",
    "Reading once more from the end, I see nothing that changes this.",
)
_PROSE = (
    "I am sorry, I would rather talk about the weather.",
    "Sure! Here is my answer: it depends on how one looks at it.",
    "Label: see above.",
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the simulated vendor is told of an item."""

    label: str
    role: Role
    target: str
    """The name of the target label."""
    failure_modes: tuple[str, ...] = ()
    evidence_turns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the simulated vendor makes of an item."""

    label: str
    flagged: bool
    confidence: float
    reason: str
    words: Mapping[str, str]
    """What the templates of reasons are filled with."""
    logprobs: dict[str, float] | None
    """By letter, where letters are asked for."""


def said_by_user(request: Request) -> str:
    """The messages that hold the conversation, as one text."""
    return "\n".join(message.content for message in request.messages if message.role == "user")


def as_seen(truth: Truth, request: Request) -> Truth:
    """The truth about what is shown: a target whose evidence turns, where they are known, all lie elsewhere is clean.

    Turns that hold nothing are never shown, so a turn between two that are shown counts as shown,
    unless a line says that turns are left out.
    """
    if truth.role != "target" or not truth.evidence_turns:
        return truth
    said = said_by_user(request)
    shown = {int(number) for number, _ in _LINE.findall(said)}
    if shown and _GAP not in said:
        shown = set(range(min(shown), max(shown) + 1))
    if not shown or shown & set(truth.evidence_turns):
        return truth
    return replace(truth, role="clean")


def verdict_of(request: Request, truth: Truth, flagged: bool, confidence: float, uniform: Uniform) -> Verdict:
    """The verdict on an item that is flagged or not, with a reason drawn for its failure mode."""
    label = _label(request, truth, flagged)
    modes = truth.failure_modes or (truth.target,)
    mode = modes[int(uniform("failure mode") * len(modes))] if truth.role == "target" else truth.target
    turns = truth.evidence_turns
    words = {
        "what": _spoken(mode),
        "target": _spoken(truth.target),
        "where": f"turn {turns[0]}" if turns else "the last turn",
        "others": ", ".join(_spoken(choice) for choice in request.output.choices if choice != truth.target),
    }
    reason = _filled(_SIGNS if flagged else _NO_SIGNS, words, uniform("reason"))
    logprobs = _letter_logprobs(request, label, confidence) if request.output.kind == "letter" else None
    return Verdict(label, flagged, confidence, reason, words, logprobs)


def answer_text(request: Request, truth: Truth, verdict: Verdict) -> str:
    """The verdict in the form that the request asks for."""
    if request.output.kind == "letter":
        return request.output.letters[request.output.choices.index(verdict.label)]
    if _is_judged(request):
        return json.dumps({"reason": f"Simulated reason: {verdict.reason}", "verdict": verdict.label})
    answer = {
        "evidence": _evidence(request, truth) if verdict.flagged else [],
        "rationale": f"Simulated reason: {verdict.reason}",
        "label": verdict.label,
        "confidence": round(verdict.confidence, 3),
    }
    return json.dumps(answer)


def reasoning_text(truth: Truth, verdict: Verdict, step: int, uniform: Uniform) -> str:
    """What it thought: nothing at step 0, then two sentences a step and the reason."""
    if not step:
        return ""
    order = sorted(range(len(_THOUGHTS)), key=lambda place: uniform(f"thought {place}"))
    thoughts = [_THOUGHTS[place] for place in sorted(order[: 2 * step])]
    said = [_capital(thought.format(**verdict.words)) for thought in thoughts]
    return " ".join(["Simulated thinking.", *said, verdict.reason])


def unreadable_text(text: str, request: Request, uniform: Uniform) -> str:
    """An answer that is none: prose, a label or letter outside the set, or an answer broken off or wrapped in prose."""
    prose = _PROSE[int(uniform("prose") * len(_PROSE))]
    if request.output.kind == "letter":
        return prose
    label = json.dumps({**json.loads(text), "verdict" if _is_judged(request) else "label": "something else"})
    forms = (prose, label, text[: len(text) * 2 // 3], f"{prose}\n{text}")
    return forms[int(uniform("unreadable") * len(forms))]


def _is_judged(request: Request) -> bool:
    """True where a judge asks, for a reason and a verdict."""
    return "verdict" in request.output.schema.get("properties", {})


def _evidence(request: Request, truth: Truth) -> list[dict[str, object]]:
    lines: list[tuple[str, str]] = _LINE.findall(said_by_user(request))
    quoted = [line for line in lines if int(line[0]) in truth.evidence_turns] or lines[-1:]
    return [{"turn": int(number), "quote": text[:80].strip()} for number, text in quoted[:2]]


def _letter_logprobs(request: Request, label: str, confidence: float) -> dict[str, float]:
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


def _filled(templates: Sequence[str], words: Mapping[str, str], draw: float) -> str:
    return _capital(templates[int(draw * len(templates))].format(**words))


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
