"""The dollars of a model by kind of token: fresh and cached prompt, recordings, answer, reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.llm.plans import Plan, nano_per_weighted_token
from llmclf.llm.prices import Rates
from llmclf.render.tables import counted
from llmclf.types import Usage

KINDS = {
    "fresh_input": "fresh input",
    "cached_input": "cached input",
    "cache_write": "cache writes",
    "audio_input": "recordings",
    "answer": "answer",
    "reasoning": "reasoning",
}
"""The parts, and their names for people."""
_WITHIN = {
    "cached_input": ("cached_tokens", "fresh input"),
    "cache_write": ("cache_write_tokens", "fresh input"),
    "audio_input": ("audio_tokens", "fresh input"),
    "reasoning": ("reasoning_tokens", "the answer"),
}
"""Counts that a vendor may not report, and what their tokens are then counted as."""
_ROUNDED = 0.005


@dataclass(frozen=True)
class TokenDollars:
    """Dollars per 1,000 items by kind of token; they add up to what the model costs, where that is known.

    None: the vendor does not report that count, and its dollars are in the part that `unknown` names.
    """

    fresh_input: float | None = 0.0
    cached_input: float | None = 0.0
    cache_write: float | None = 0.0
    audio_input: float | None = 0.0
    answer: float | None = 0.0
    """Without reasoning."""
    reasoning: float | None = 0.0
    unknown: tuple[str, ...] = ()
    """What can't be told apart, and why, in words."""

    def to_dict(self) -> dict[str, Any]:
        """The dollars as JSON types."""
        return {**asdict(self), "unknown": list(self.unknown)}


def token_dollars(
    usages: Sequence[Usage],
    calls: Sequence[int],
    nano: Sequence[int | None],
    weight: NDArray[np.float64],
    plan: Plan | None,
    price: float | None,
) -> TokenDollars:
    """The split of `price` (dollars of one item, a weighted mean) by the tokens of each item and the plan's rates.

    `nano` are the items' nano-dollars, None where not known; `plan` is None where there are no tokens. Where they
    were bought at another price than today's, the split follows today's rates and says so.
    """
    if price == 0:
        return TokenDollars()
    if price is None or plan is None or (plan.price is None and plan.rented is None):
        return _none("the price of its tokens is not known")
    known = [row for row, cost in enumerate(nano) if cost is not None and _counted(usages[row])]
    if not known:
        return _none("the vendor reports no token counts")
    split = np.array([_split(plan, usages[row], calls[row]) for row in known])
    weights = weight[known]
    mean = weights @ split / weights.sum()
    if not mean.sum():
        return _none("its tokens cost nothing today, and did when they were bought")
    unknown = dict(_unreported([usages[row] for row in known], plan))
    bought = float(weights @ np.array([nano[row] for row in known], float) / weights.sum())
    said = list(unknown.values())
    if abs(mean.sum() - bought) > _ROUNDED * bought:
        said.append("the price has changed since these answers were bought: they are split by today's rates")
    parts = dict(zip(KINDS, (mean / mean.sum() * 1000 * price).tolist(), strict=True))
    return TokenDollars(**(parts | dict.fromkeys(unknown)), unknown=tuple(said))


def _none(why: str) -> TokenDollars:
    return TokenDollars(None, None, None, None, None, None, (why,))


def _counted(usage: Usage) -> bool:
    return usage.input_tokens is not None and usage.output_tokens is not None


def _split(plan: Plan, usage: Usage, calls: int) -> tuple[float, ...]:
    """Nano-dollars in the order of `KINDS`: the sum that `Price.cost` makes, not summed."""
    whole, output = usage.input_tokens or 0, usage.output_tokens or 0
    rates = _rates(plan, whole // max(1, calls))
    cached = min(usage.cached_tokens or 0, whole)
    audio = min(usage.audio_tokens or 0, whole - cached)
    written = min(usage.cache_write_tokens or 0, whole - cached - audio)
    reasoning = min(usage.reasoning_tokens or 0, output)
    return (
        (whole - cached - audio - written) * rates.input,
        cached * rates.cached,
        written * rates.write,
        audio * rates.audio,
        (output - reasoning) * rates.output,
        reasoning * rates.reasoning,
    )


def _rates(plan: Plan, prompt: int) -> Rates:
    if plan.rented is not None:
        token = nano_per_weighted_token(plan.rented)
        output = token * plan.rented.output_token_weight
        return Rates(input=token, cached=token, audio=token, output=output, reasoning=output, write=token)
    assert plan.price is not None
    return plan.price.rates(prompt)


def _unreported(usages: Sequence[Usage], plan: Plan) -> list[tuple[str, str]]:
    """(part, sentence) for each count that is missing somewhere and whose tokens have a price of their own."""
    rates = _rates(plan, 0)
    own = {
        "cached_input": rates.cached != rates.input,
        "cache_write": rates.write != rates.input,
        "audio_input": rates.audio != rates.input,
        "reasoning": True,
    }
    said = []
    for part, (count, within) in _WITHIN.items():
        missing = sum(getattr(usage, count) is None for usage in usages)
        heard = part != "audio_input" or any(usage.audio_tokens for usage in usages)
        if missing and own[part] and heard:
            of = counted(missing, "answer")
            said.append((part, f"{KINDS[part]}: not reported for {of} of {len(usages):,}, counted as {within}"))
    return said
