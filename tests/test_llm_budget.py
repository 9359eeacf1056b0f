"""Money: reserved before sending, settled after, and never more than the cap."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from wire import chat

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.errors import BudgetError, ConfigError, ModelError
from llmclf.llm import Model, Runtime
from llmclf.llm.budget import Budget
from llmclf.types import Conversation, Item, Turn

ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})


def conversations(count: int) -> dict[str, Conversation]:
    made = [Conversation(f"c{n:03}", (Turn("user", f"Hello number {n:03}"),)) for n in range(count)]
    return {conversation.id: conversation for conversation in made}


def llm(runtime: Runtime, name: str = "explained") -> LlmClassifier:
    made = load_classifier(name, runtime=runtime)
    assert isinstance(made, LlmClassifier)
    return made


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The highest sum of settled and reserved money after each step, in nano-dollars."""
    most = [0]
    before = Budget.areserve

    async def areserve(self: Budget, nano: int, where: str = "", **more: Any) -> Any:
        made = await before(self, nano, where, **more)
        most[0] = max(most[0], self.spent_nano + self.reserved_nano)
        return made

    monkeypatch.setattr(Budget, "areserve", areserve)
    yield most


def worst_case(runtime: Runtime) -> int:
    """Nano-dollars reserved for one of the conversations above."""
    classifier = llm(runtime)
    route = runtime.route("wire/m")
    request = classifier.request(conversations(1)["c000"])
    price = route.price()
    assert price is not None
    size = len(json.dumps(route.body(request), separators=(",", ":"), ensure_ascii=False).encode())
    return price.worst_case(size, 2748)


def test_sixty_calls_at_once_under_a_cap_for_fifteen(workspace, wire, watched) -> None:
    """What is spent and reserved never passes the cap; the rest ends as over_budget, unsent, and as no negative."""
    with Runtime(workspace=workspace, max_usd=1) as probe:
        one = worst_case(probe)
    # the vendor bills all of the worst case, so that money is really used up
    usage = {"prompt_tokens": 100, "completion_tokens": (one - 100_000) // 10_000, "total_tokens": 1}
    wire.default = chat(ANSWER, usage=usage, delay=0.02)
    items = conversations(60)
    cap = one * 15 + one // 2
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=cap / 1e9, concurrency=60) as runtime:
        found = llm(runtime).predict(items, [Item(name) for name in items])
        assert watched[0] <= cap
        assert runtime.budget.spent_nano + runtime.budget.reserved_nano <= cap
        answered = [p for p in found if p.label]
        refused = [p for p in found if p.error]
        assert (len(answered), len(refused), len(wire.received)) == (15, 45, 15)
        assert {p.error.kind for p in refused if p.error} == {"over_budget"}
        assert all(p.label is None and p.flagged is None and p.cost_nano_usd == 0 for p in refused)
        assert sum(p.cost_nano_usd or 0 for p in found) == runtime.budget.spent_nano
        spent = runtime.store.spent_nano()
        assert (spent.settled, spent.reserved_unsettled, spent.calls) == (runtime.budget.spent_nano, 0, 15)
    again = len(wire.received)
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=10) as runtime:
        assert all(p.label for p in llm(runtime).predict(items, [Item(name) for name in items]))
    assert len(wire.received) == again + 45  # what was bought is not bought again


def test_calls_wait_for_money_that_others_may_give_back(workspace, wire, watched) -> None:
    """Thirty cheap calls at once under a cap for three worst cases: none fails, and the cap holds."""
    wire.default = chat(ANSWER, delay=0.02)
    items = conversations(30)
    with Runtime(workspace=workspace, max_usd=0.11, concurrency=30) as runtime:
        assert 2 < 110_000_000 // worst_case(runtime) < 4
        found = llm(runtime).predict(items, [Item(name) for name in items])
        assert all(p.label == "clean" for p in found)
        assert runtime.budget.spent_nano == 30 * 300_000
    assert wire.most_at_once <= 3
    assert watched[0] <= 110_000_000


def test_money_that_nobody_can_give_back_is_not_waited_for(workspace, wire) -> None:
    """Where the worst case alone passes the cap, or unknown bills hold the rest, the item fails at once."""
    wire.default = chat(ANSWER, usage=None)
    with Runtime(workspace=workspace, max_usd=0.11) as runtime:
        found = llm(runtime).predict(conversations(8), [Item(name) for name in conversations(8)])
        kinds = [p.error.kind if p.error else "" for p in found]
        assert sorted(kinds) == [""] * 3 + ["over_budget"] * 5
        assert runtime.budget.spent_nano == 0
        assert runtime.budget.reserved_nano <= 110_000_000


def test_an_unknown_price_is_an_error_that_says_how_to_give_one(workspace, wire) -> None:
    """Under a cap, or without one: nothing is sent, and the error has the lines to write."""
    for cap in (1.0, None):
        with Runtime(workspace=workspace, max_usd=cap) as runtime:
            for act in (
                lambda runtime=runtime: runtime.check([Model("wire/unpriced")]),
                lambda runtime=runtime: llm(runtime, "unpriced").classify(conversations(1)["c000"]),
                lambda runtime=runtime: llm(runtime, "unpriced").predict(
                    conversations(3), [Item("c001"), Item("c002")]
                ),
            ):
                with pytest.raises(BudgetError) as caught:
                    act()
                assert '[prices."wire/unpriced"]' in str(caught.value)
                assert "input_usd_per_million" in str(caught.value)
                assert caught.value.exit_code == 2
    assert not wire.received


def test_a_paid_model_without_any_cap_is_an_error(workspace, wire) -> None:
    """No max_usd and no usd_per_month: misuse, said before anything is sent."""
    with Runtime(workspace=workspace) as runtime:
        with pytest.raises(BudgetError, match="needs a cap"):
            runtime.check([Model("wire/m")])
        with pytest.raises(BudgetError, match="max_usd"):
            llm(runtime).predict(conversations(20), [Item(f"c{n:03}") for n in range(20)])
        with pytest.raises(BudgetError, match="needs a cap"):
            llm(runtime).classify(conversations(1)["c000"])
    assert not wire.received


def test_what_is_in_the_store_needs_no_cap(workspace, wire) -> None:
    """Reading answers that were bought costs nothing, so nobody asks for a cap."""
    wire.next(chat(ANSWER))
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=1) as runtime:
        llm(runtime).classify(conversations(1)["c000"])
    with Runtime(workspace / "store.db", workspace=workspace) as runtime:
        found = llm(runtime).classify(conversations(1)["c000"])
    assert (found.label, found.cached) == ("clean", True)


def test_a_bill_above_its_reservation_stops_the_run(workspace, wire) -> None:
    """It is booked in full, and nothing more is sent; the error says why."""
    wire.default = chat(ANSWER, usage={"prompt_tokens": 1_000_000, "completion_tokens": 20, "total_tokens": 1})
    items = conversations(5)
    with Runtime(workspace=workspace, max_usd=100, concurrency=1) as runtime:
        found = llm(runtime).predict(items, [Item(name) for name in items])
        assert [bool(p.label) for p in found] == [True] + [False] * 4
        assert {p.error.kind for p in found if p.error} == {"over_budget"}
        assert "above its worst case" in str(next(p.error.message for p in found if p.error))
        assert runtime.budget.spent_nano == 1_000_000_000 + 200_000
        assert "above its worst case" in runtime.budget.overrun
    assert len(wire.received) == 1


def test_the_month_is_a_cap_over_all_runs(workspace, wire, write) -> None:
    """What the store says was spent this month, open reservations included, is gone."""
    wire.default = chat(ANSWER)
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=1) as runtime:
        one = worst_case(runtime)
        llm(runtime).classify(conversations(1)["c000"])
    write("llmclf.toml", f"version = 1\nusd_per_month = {(one + 400_000) / 1e9}\n")
    with Runtime(workspace / "store.db", workspace=workspace) as runtime:
        assert runtime.budget.left_nano() == one + 100_000
        found = llm(runtime).predict(conversations(3), [Item("c001")])
        assert found[0].label == "clean"
        found = llm(runtime).predict(conversations(3), [Item("c002")])
        assert found[0].error is not None
        assert found[0].error.kind == "over_budget"
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=50) as runtime:
        left = runtime.budget.left_nano()
        assert left is not None
        assert left < one  # the smaller of both caps holds


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_a_cap_is_a_number_of_dollars(bad: float) -> None:
    """Anything else is said at once, together with other wrong numbers."""
    with pytest.raises(ConfigError) as caught:
        Runtime(max_usd=bad, concurrency=0)
    assert len(caught.value.problems) == 2


def test_a_cap_of_zero_sends_nothing(workspace, wire) -> None:
    """Zero dollars are a cap like any other."""
    with Runtime(workspace=workspace, max_usd=0) as runtime:
        found = llm(runtime).classify(conversations(1)["c000"])
    assert found.error is not None
    assert found.error.kind == "over_budget"
    assert not wire.received


STEPS = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from(["less", "all", "unknown", "free", "more"])), max_size=30
)


@given(st.integers(0, 200), STEPS)
def test_no_order_of_calls_passes_the_cap(cap: int, steps: list[Any]) -> None:
    """Whatever is reserved and settled, settled + reserved stays within the cap until a bill breaks its word."""
    budget = Budget(cap)
    for nano, end in steps:
        try:
            reserved = budget.reserve(nano)
        except ModelError as error:
            assert error.kind == "over_budget"
            assert budget.overrun or budget.spent_nano + budget.reserved_nano + nano > cap
            continue
        assert budget.spent_nano + budget.reserved_nano <= cap
        bill = {"less": nano // 2, "all": nano, "unknown": None, "free": 0, "more": nano + 1}[end]
        budget.settle(reserved, bill)
        if end == "more":
            assert budget.overrun


def test_threads_share_one_cap() -> None:
    """Two hundred reservations from eight threads: exactly as many succeed as fit."""
    budget = Budget(1000)
    done: list[bool] = []

    def work() -> None:
        for _ in range(25):
            try:
                reserved = budget.reserve(10)
            except ModelError:
                done.append(False)
            else:
                budget.settle(reserved, 10)
                done.append(True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(done), len(done), budget.spent_nano, budget.reserved_nano) == (100, 200, 1000, 0)


def test_simulated_money_is_not_real_money(workspace: Path) -> None:
    """A simulated call is never booked as real spending, and needs no cap."""
    with Runtime(workspace / "store.db", workspace=workspace) as runtime:
        runtime.check([Model("sim/m")])
        found = llm(runtime, "simulated").classify(conversations(1)["c000"])
        assert found.simulated
        runtime.store.flush()
        assert runtime.store.spent_nano().calls == 0
        assert runtime.store.spent_nano(simulated=True).calls == 1
