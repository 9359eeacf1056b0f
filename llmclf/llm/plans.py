"""How tokens are paid for: as they come, by the vendor's batch interface, or by the hour.

The answers are the same under every plan, so a plan is no part of a request: what was measured once can be
priced and timed under each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from llmclf.config import ProvisionedPlan
from llmclf.errors import ConfigError, nearest
from llmclf.llm.prices import Price
from llmclf.types import Usage

STANDARD = "standard"
BATCH = "batch"
BATCH_SECONDS = 86_400.0
"""What vendors promise of a batch: an answer within 24 hours. Most come earlier; nobody says by how much."""
HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to pay for one model."""

    name: str
    kind: Literal["standard", "batch", "provisioned"]
    note: str
    """Where the figures come from and what to know about them, for people."""
    price: Price | None = None
    """Of tokens; None where nobody knows it, and for provisioned throughput."""
    rented: ProvisionedPlan | None = None
    """What is paid by the hour."""
    standard: Price | None = None
    """What the same tokens cost as they come; None where nobody knows it."""

    def cost(self, usage: Usage, *, calls: int = 1, audio_sent: bool = False) -> int | None:
        """Nano-dollars of `usage` (the sum of so many calls); None where price or counts are not known.

        `audio_sent` as in `Price.cost`: a recording's tokens cost otherwise, and may not be counted apart.

        Provisioned: the share of the rent that these tokens take of the throughput which is really used.
        Cached tokens take as much of it as others.
        """
        if self.rented is None:
            return None if self.price is None else self.price.cost(usage, calls=calls, audio_sent=audio_sent)
        weighted = weighted_tokens(self.rented, usage)
        return None if weighted is None else round(weighted * nano_per_weighted_token(self.rented))

    def seconds(self, measured: float | None) -> float | None:
        """How long an item takes that took `measured` seconds by the standard interface; None stays None.

        A batch: 86,400, what is promised, whatever was measured.
        """
        if self.kind == "batch":
            return BATCH_SECONDS
        if measured is None or self.rented is None:
            return measured
        return measured * self.rented.latency_factor


def plan_of(name: str, model_id: str, plans: Mapping[str, ProvisionedPlan], price: Price | None) -> Plan:
    """The plan `name` for a model whose standard price is `price`; `plans` are those of prices.toml.

    Raises ConfigError where there is no such plan (it names those there are), where it does not serve
    the model, and for batches of a model whose tokens cost nothing.
    """
    if name == STANDARD:
        note = "price not known" if price is None else f"price: {price.source}"
        return Plan(name, "standard", note, price, standard=price)
    if name == BATCH:
        return _batch(model_id, price)
    rented = plans.get(name)
    if rented is None:
        there_is = [STANDARD, BATCH, *sorted(plans)]
        raise ConfigError(
            f"there is no plan {name!r} (there is {', '.join(there_is)})",
            where="prices.toml",
            got=name,
            fix=f"{nearest(name, there_is)}; or add [plans.{name}] to configs/prices.toml",
        )
    if rented.models and not any(fnmatchcase(model_id, pattern) for pattern in rented.models):
        raise ConfigError(f"plan {name!r} does not serve {model_id} (it serves {', '.join(rented.models)})")
    return Plan(name, "provisioned", _rent_note(rented), None, rented, price)


def plan_names(plans: Mapping[str, ProvisionedPlan], model_id: str, price: Price | None) -> list[str]:
    """The plans that a model can be paid by, `standard` first."""
    names = []
    for name in (STANDARD, BATCH, *plans):
        try:
            plan_of(name, model_id, plans, price)
        except ConfigError:
            continue
        names.append(name)
    return list(dict.fromkeys(names))


def weighted_tokens(rented: ProvisionedPlan, usage: Usage) -> float | None:
    """Input tokens, and output tokens at their weight; None where a count is not known."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + rented.output_token_weight * usage.output_tokens


def nano_per_weighted_token(rented: ProvisionedPlan) -> float:
    """Nano-dollars: an hour's rent over the weighted tokens of an hour at the utilisation given."""
    rent = rented.units * rented.usd_per_unit_hour * 1e9
    return rent / (rented.units * rented.tokens_per_minute_per_unit * 60 * rented.utilisation)


def usd_per_month(rented: ProvisionedPlan) -> float:
    """The rent of all units in a month of 730 hours."""
    return rented.units * rented.usd_per_unit_hour * HOURS_PER_MONTH


def break_even(plan: Plan, standard_price: Price | None, mean_usage: Usage, *, calls: int = 1) -> int | None:
    """Conversations a month from which on a provisioned plan is cheaper than paying for each token.

    `mean_usage` is that of one conversation, the sum of so many calls. None: never, because the units are full (at the
    plan's utilisation) before the rent is earned, and more units cost as much again; or it can't be known.
    """
    if plan.rented is None or standard_price is None:
        return None
    each, weighted = standard_price.cost(mean_usage, calls=calls), weighted_tokens(plan.rented, mean_usage)
    if not each or not weighted:
        return None
    rent_nano = usd_per_month(plan.rented) * 1e9
    rented = plan.rented
    most = rented.units * rented.tokens_per_minute_per_unit * 60 * HOURS_PER_MONTH * rented.utilisation / weighted
    even = math.ceil(rent_nano / each)
    return even if even <= most else None


def _batch(model_id: str, price: Price | None) -> Plan:
    if price is None:
        return Plan(BATCH, "batch", "price not known; answers within 24 hours", None)
    if price.is_free:
        raise ConfigError(f"{model_id} costs nothing ({price.source}), so there is no batch of it to pay for")
    batched = price.batched()
    return Plan(
        BATCH, "batch", f"price: {batched.source}; answers within 24 hours, as promised", batched, standard=price
    )


def _rent_note(rented: ProvisionedPlan) -> str:
    per_million = nano_per_weighted_token(rented) / 1000
    units = "1 unit" if rented.units == 1 else f"{rented.units} units"
    weight = "" if rented.output_token_weight == 1 else f", an output token counts {rented.output_token_weight:g}"
    source = f" ({rented.source})" if rented.source else ""
    return (
        f"{units} at ${rented.usd_per_unit_hour:g} an hour, used at {rented.utilisation:.0%}: "
        f"${per_million:.4g} a million input tokens{weight}; ${usd_per_month(rented):,.0f} a month{source}"
    )
