"""Calls that wait for their turn: until their deadline and no longer, and no longer than there is a reason to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest
from asking_http import question, until, workspace_of, worst_nano
from wire import Wire, chat

from llmclf.errors import ModelError
from llmclf.llm import Runtime


@pytest.fixture
def folder(tmp_path: Path, wire: Wire) -> Path:
    return workspace_of(tmp_path, wire)


@pytest.mark.parametrize(
    ("max_usd", "concurrency"),
    [(50, 1), (3, 8)],
    ids=["the limit on calls at once", "room under the cap"],
)
def test_a_call_whose_turn_does_not_come_ends_at_its_deadline(folder, wire, max_usd: int, concurrency: int) -> None:
    """It is a timeout for which nothing was sent, recorded or set aside; the call before it goes on."""
    wire.default = chat("fine", delay=1.2)

    async def go(runtime: Runtime) -> None:
        first = asyncio.create_task(runtime.arespond(question("first")))
        await until(lambda: wire.received)
        reserved = runtime.budget.reserved_nano
        started = time.monotonic()
        with pytest.raises(ModelError) as caught:
            await runtime.arespond(question("second", deadline=started + 0.3))
        assert 0.2 < time.monotonic() - started < 0.9
        assert (caught.value.kind, caught.value.possibly_billed) == ("timeout", False)
        assert runtime.budget.reserved_nano == reserved == worst_nano(runtime, question("first"))
        assert (await first).answer.text == "fine"
        assert (await runtime.arespond(question("third", deadline=time.monotonic() + 20))).answer.text == "fine"

    with Runtime(folder / "store.db", workspace=folder, max_usd=max_usd, concurrency=concurrency) as runtime:
        asyncio.run(go(runtime))
        assert runtime.budget.reserved_nano == 0
        assert runtime.store.spent_nano().calls == len(wire.received) == 2


def test_a_call_that_waits_without_a_deadline_gets_its_turn(folder, wire) -> None:
    """Its own time-out begins with its turn, however long the others take."""
    wire.default = chat("fine", delay=0.4)

    async def go(runtime: Runtime) -> list[str]:
        asked = [runtime.arespond(question(f"number {number}", timeout=1.0)) for number in range(4)]
        return [response.answer.text for response in await asyncio.gather(*asked)]

    with Runtime(folder / "store.db", workspace=folder, max_usd=50, concurrency=1) as runtime:
        assert asyncio.run(go(runtime)) == ["fine"] * 4


@pytest.mark.parametrize(("worst_cases", "concurrency", "count"), [(1.5, 8, 40), (2.5, 2, 80)])
def test_what_a_bill_gives_back_is_there_for_the_next_call(
    folder, wire, worst_cases: float, concurrency: int, count: int
) -> None:
    """Under a cap that processes share, cheap calls with a dear worst case all get their turn, one after the other."""
    wire.default = chat("fine", delay=0.01)
    with Runtime(workspace=folder, max_usd=50) as probe:
        worst = worst_nano(probe, question("number 00"))
    (folder / "llmclf.toml").write_text(f"version = 1\nusd_per_day = {worst_cases * worst / 1e9}\n")

    async def one(runtime: Runtime, number: int) -> str:
        try:
            return (await runtime.arespond(question(f"number {number:02}"))).answer.text
        except ModelError as error:
            return error.kind

    async def go(runtime: Runtime) -> list[str]:
        return await asyncio.gather(*(one(runtime, number) for number in range(count)))

    with Runtime(folder / "store.db", workspace=folder, concurrency=concurrency) as runtime:
        found = Counter(asyncio.run(go(runtime)))
        left = runtime.budget.left_nano()
        spent = runtime.store.spent_nano()
    assert found == {"fine": count}
    assert spent.reserved_unsettled == 0
    assert left == round(worst_cases * worst) - spent.settled
