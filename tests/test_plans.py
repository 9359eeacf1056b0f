"""Plans: what the same tokens cost and how long they take as they come, in a batch, or on rented units."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llmclf.config import ProvisionedPlan
from llmclf.errors import ConfigError
from llmclf.llm.plans import BATCH_SECONDS, break_even, plan_names, plan_of, usd_per_month
from llmclf.llm.prices import FREE, Price, Tier
from llmclf.types import Usage

PRICE = Price(1000, 4000, 100, "contract")
USAGE = Usage(2000, 500, 100, 40)


def rented(**changes: object) -> ProvisionedPlan:
    values = {
        "kind": "provisioned",
        "units": 2,
        "usd_per_unit_hour": 3.0,
        "tokens_per_minute_per_unit": 50_000.0,
        "output_token_weight": 4.0,
        "utilisation": 0.5,
        "latency_factor": 0.8,
        **changes,
    }
    return ProvisionedPlan.model_validate(values)


def test_standard_is_the_price_itself() -> None:
    """Dollars by the token, seconds as measured."""
    plan = plan_of("standard", "x/y", {}, PRICE)
    assert plan.cost(USAGE) == PRICE.cost(USAGE) == 1500 * 1000 + 500 * 100 + 100 * 4000
    assert plan.seconds(1.5) == 1.5
    assert plan.note == "price: contract"
    assert plan_of("standard", "x/y", {}, None).cost(USAGE) is None


def test_a_batch_costs_half_and_takes_a_day() -> None:
    """Where the vendor's price is not known the note says that half is an estimate; seconds are what is promised."""
    plan = plan_of("batch", "x/y", {}, PRICE)
    assert plan.cost(USAGE) == (1500 * 1000 + 500 * 100 + 100 * 4000) / 2
    assert plan.seconds(1.5) == plan.seconds(None) == BATCH_SECONDS == 86_400
    assert "an estimate: half of contract" in plan.note
    known = Price(1000, 4000, 100, "map", batch=Price(400, 2000, 100, "map, batch"))
    assert plan_of("batch", "x/y", {}, known).cost(Usage(10, 0, 1)) == 4000 + 2000
    assert plan_of("batch", "x/y", {}, None).cost(USAGE) is None
    with pytest.raises(ConfigError, match="costs nothing"):
        plan_of("batch", "local/x", {}, FREE)


def test_rented_units_are_shared_by_the_tokens_that_use_them() -> None:
    """2 units at $3 an hour, half used: $6 over 3,000,000 weighted tokens is 2,000 nano-dollars each."""
    plan = plan_of("gpu", "x/y", {"gpu": rented()}, None)
    assert plan.cost(USAGE) == (2000 + 4 * 100) * 2000
    assert plan.cost(Usage(10, None, None)) is None
    assert plan.seconds(2.0) == 1.6
    assert plan.seconds(None) is None
    assert "2 units at $3 an hour, used at 50%: $2 a million input tokens" in plan.note
    assert "$4,380 a month" in plan.note


@given(st.integers(1, 50), st.floats(0.01, 1))
def test_a_tokens_share_depends_on_use_and_not_on_the_number_of_units(units: int, utilisation: float) -> None:
    """Twice as many units cost twice as much and take twice as many tokens; half the use doubles the price."""
    one = plan_of("p", "m", {"p": rented(units=units, utilisation=utilisation)}, None).cost(USAGE)
    full = plan_of("p", "m", {"p": rented(units=1, utilisation=1)}, None).cost(USAGE)
    assert one == pytest.approx(full / utilisation, rel=1e-6)  # type: ignore[operator]


def test_break_even_is_where_the_rent_is_earned() -> None:
    """One conversation more than that is cheaper on the plan; where the units are full before, it never is."""
    usage = Usage(3000, 0, 100)
    each = PRICE.cost(usage)
    assert each == 3_400_000
    plan = plan_of("gpu", "x/y", {"gpu": rented(usd_per_unit_hour=1.0)}, None)
    even = break_even(plan, PRICE, usage)
    assert even is not None
    assert plan.rented is not None
    rent = usd_per_month(plan.rented) * 1e9
    assert (even - 1) * each < rent <= even * each
    assert plan.cost(usage) < each  # type: ignore[operator]
    assert break_even(plan_of("gpu", "x/y", {"gpu": rented(usd_per_unit_hour=9)}, None), PRICE, usage) is None
    assert break_even(plan_of("standard", "x/y", {}, PRICE), PRICE, usage) is None
    assert break_even(plan, None, usage) is None
    assert break_even(plan, FREE, usage) is None
    assert break_even(plan, PRICE, Usage()) is None


@given(st.floats(0.01, 20), st.floats(0.05, 1), st.integers(1, 100_000), st.integers(0, 5000))
def test_break_even_exists_exactly_where_the_plans_share_is_cheaper(
    usd: float, utilisation: float, words: int, answer: int
) -> None:
    """At the plan's utilisation a conversation costs less than by the token, or it never will."""
    plan = plan_of("p", "m", {"p": rented(usd_per_unit_hour=usd, utilisation=utilisation, units=1000)}, None)
    usage = Usage(words, 0, answer)
    mine, theirs = plan.cost(usage), PRICE.cost(usage)
    assert mine is not None
    assert theirs is not None
    if abs(mine - theirs) > 1e-3 * theirs:
        assert (break_even(plan, PRICE, usage) is not None) == (mine < theirs)


def test_a_plan_serves_the_models_it_names() -> None:
    """Names or patterns; without any, every model."""
    plans = {"gpu": rented(models=("mine/*",)), "any": rented()}
    assert plan_of("gpu", "mine/x", plans, None).kind == "provisioned"
    with pytest.raises(ConfigError, match=r"does not serve openai/x \(it serves mine/\*\)"):
        plan_of("gpu", "openai/x", plans, None)
    assert plan_names(plans, "openai/x", PRICE) == ["standard", "batch", "any"]
    assert plan_names(plans, "mine/x", FREE) == ["standard", "gpu", "any"]


def test_an_unknown_plan_is_told_what_there_is() -> None:
    """The error lists every plan and guesses the one that was meant."""
    with pytest.raises(ConfigError) as caught:
        plan_of("gpus", "x/y", {"gpu": rented()}, PRICE)
    assert "there is standard, batch, gpu" in str(caught.value)
    assert "did you mean 'gpu'" in str(caught.value)


def test_the_sum_of_several_calls_is_not_taken_for_one_long_prompt() -> None:
    """What a long prompt costs is decided by the mean of the calls."""
    stepped = Price(100, 1000, 100, "test", tiers=(Tier(50, 200, 2000, 200),))
    plan = plan_of("standard", "x/y", {}, stepped)
    assert plan.cost(Usage(80, 0, 2), calls=2) == 80 * 100 + 2 * 1000
    assert plan.cost(Usage(80, 0, 2)) == 80 * 200 + 2 * 2000
    gpu = plan_of("gpu", "x/y", {"gpu": rented(units=1, usd_per_unit_hour=1e-6, tokens_per_minute_per_unit=1e6)}, None)
    once, twice = (break_even(gpu, stepped, Usage(80, 0, 2), calls=calls) for calls in (1, 2))
    assert once is not None
    assert twice is not None
    assert twice == pytest.approx(2 * once, abs=1)


def test_recordings_are_not_priced_as_words() -> None:
    """Where audio costs otherwise and was not counted apart, a batch's cost is unknown, as the direct one's is."""
    price = Price(100, 1000, 10, "test", audio_input_nano=3000)
    for name in ("standard", "batch"):
        plan = plan_of(name, "m", {}, price)
        assert plan.cost(Usage(1000, 0, 10), audio_sent=True) is None
        assert plan.cost(Usage(1000, 0, 10, None, 900), audio_sent=True) is not None
        assert plan.cost(Usage(1000, 0, 10)) is not None
