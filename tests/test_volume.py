"""Items of a conversation: what turns production's volume into flags a day, dollars of a month, and limits kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_task

from llmclf.config import LimitsTable, ProvisionedPlan
from llmclf.evaluation.choosing import operating_points
from llmclf.evaluation.operating_point import Wanted
from llmclf.evaluation.volume import items_per_conversation
from llmclf.llm.plans import STANDARD, Plan
from llmclf.llm.prices import Price
from llmclf.sweeps import MeasuredCell
from llmclf.sweeps.inputs import Inputs
from llmclf.sweeps.measured import measure_cell
from llmclf.sweeps.racing import Race, Track
from llmclf.sweeps.views import volume_sentences
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    Prediction,
    Predictions,
    Stratum,
    Turn,
    Usage,
    dataset_of,
)

WHOLE = make_task()
TASK = replace(WHOLE, unit="turn")
BOT_TURNS = 10
A_DAY = Costs(conversations_per_month=30_400, prevalence=0.1)
"""1,000 conversations a day."""


def talk(name: str, turns: int) -> Conversation:
    """So many turns of the bot, each after one of the user."""
    return Conversation(name, (Turn("user", "Hello"), Turn("bot", "Hi")) * turns)


def one_turn_each(count: int = 200, design: Design = Design("random")) -> Dataset:
    """Conversations of ten turns of the bot, one of which is labelled: a sample of turns; half are targets."""
    conversations = [talk(f"c{number:03}", BOT_TURNS) for number in range(count)]
    labels = ("refused", "clean")
    examples = [
        Example(one.id, 1 + 2 * (number % BOT_TURNS), labels={TASK.name: labels[number % 2]})
        for number, one in enumerate(conversations)
    ]
    return dataset_of("turns", conversations, examples, design)


def answers(dataset: Dataset, **more: Any) -> Predictions:
    """All right, with scores that are sure; `more` is what every prediction has."""
    made = []
    for number, example in enumerate(dataset.examples):
        said = example.labels[TASK.name]
        score = (0.8 if said == TASK.target else 0.1) + number % 7 / 100
        made.append(
            Prediction(
                example.conversation_id,
                "c@1",
                TASK.name,
                turn=example.turn,
                **{"label": said, "score": score, "latency_seconds": 1.0, "calls": 1, **more},
            )
        )
    return Predictions(made)


def measured(
    dataset: Dataset, limits: LimitsTable = LimitsTable(), plan: Plan | None = None, **more: Any
) -> MeasuredCell:
    """A cell of the turns."""
    cell = replace(make_cell("a", make_dataset(12, 0, 12)).cell, plan=plan)
    costs = {"conversations_per_month": 30_400, "prevalence": 0.1}
    file = make_sweep(grid={"model": ["sim/good"]}, costs=costs).model_copy(update={"limits": limits})
    return measure_cell(cell, answers(dataset, **more), dataset, TASK, file, reused=False)


def test_every_turn_of_the_bot_is_an_item_labelled_or_not() -> None:
    """A sample of turns knows how many turns there are; a task about conversations has one item in each."""
    assert items_per_conversation(one_turn_each(), TASK) == BOT_TURNS
    assert items_per_conversation(make_dataset(), WHOLE) == 1
    of_the_user = [Example("c", 0, labels={TASK.name: "clean"}), Example("c", 2, labels={TASK.name: "clean"})]
    silent = dataset_of("d", [Conversation("c", (Turn("user", "Hello"),) * 3)], of_the_user)
    assert items_per_conversation(silent, TASK) == 2


def test_long_conversations_of_which_more_turns_were_drawn_do_not_count_more() -> None:
    """30 conversations of 2 turns and 10 of 18 have 6 in the mean: labelled whole, by every third turn, by strata."""
    conversations = [*(talk(f"s{n}", 2) for n in range(30)), *(talk(f"l{n}", 18) for n in range(10))]
    whole = [
        Example(one.id, turn, labels={TASK.name: "clean"}, stratum=one.id[0])
        for one in conversations
        for turn in range(1, len(one.turns), 2)
    ]
    assert items_per_conversation(dataset_of("whole", conversations, whole), TASK) == pytest.approx(6)
    third = dataset_of("third", conversations, whole[::3], Design("random"))
    assert items_per_conversation(third, TASK) == pytest.approx(6)
    strata = Design("stratified", (Stratum("s", 60, 6), Stratum("l", 180, 90)))
    drawn = dataset_of("strata", conversations, [*whole[:60:10], *whole[60::2]], strata)
    assert items_per_conversation(drawn, TASK) == pytest.approx(6)


def test_a_threshold_within_flags_knows_every_turn() -> None:
    """10,000 turns a day of which a tenth are targets: 500 flags hold half of them, and the notes say why."""
    dataset = one_turn_each()
    made = operating_points(answers(dataset), dataset, TASK, costs=A_DAY, wanted=Wanted("flags", 500.0))
    assert made.items_per_day == 10_000
    assert made.chosen.flag_rate is not None
    assert (made.chosen.flag_rate.value or 1) <= 0.05 + 0.02  # held out, on 100 targets
    assert made.chosen.recall is not None and (made.chosen.recall.value or 1) < 0.7
    assert "taken to have 10 turns of the bot" in made.notes[-1]


def test_failed_items_take_of_the_limit_of_flags_where_they_are_reviewed() -> None:
    """A tenth fails; reviewed, they leave less room for flags, or none, and the notes say how many they are."""
    dataset = make_dataset(60, 0, 140, Design("random"))
    said = [
        Prediction(p.conversation_id, "c@1", TASK.name, error=ErrorInfo("timeout", "late"))
        if n % 10 == 0
        else replace(p, turn=None)
        for n, p in enumerate(answers(dataset))
    ]

    def chosen(limit: float, on_error: str) -> Any:
        costs = replace(A_DAY, on_error=on_error)  # type: ignore[arg-type]
        return operating_points(Predictions(said), dataset, WHOLE, costs=costs, wanted=Wanted("flags", limit))

    reviewed, missed = chosen(150, "review"), chosen(150, "miss")
    assert reviewed.chosen.flag_rate.value < missed.chosen.flag_rate.value
    assert any(note.startswith("About 100 failed items a day") for note in reviewed.notes)
    none = chosen(90, "review")
    assert none.chosen.threshold is None
    assert none.chosen.why_not == "failed items alone are more than that"
    assert chosen(90, "miss").chosen.threshold is not None


def test_a_month_and_the_limits_of_a_cell_know_every_turn() -> None:
    """Ten turns cost ten times one; 1,000 of 10,000 turns a day are flagged."""
    dataset = one_turn_each()
    limits = LimitsTable(usd_per_conversation=0.005, flags_per_day=500.0)
    cell = measured(dataset, limits, cost_nano_usd=1_000_000)
    assert cell.beyond == ("$0.01 a conversation is over $0.005", "1000 flags a day are over 500")
    surface = replace(make_surface(dataset, cell), task=TASK, limits=limits).repriced(A_DAY)
    assert surface.cells[0].beyond == cell.beyond
    (once, _, _) = surface.months().of("a")
    assert once.model_usd == pytest.approx(304_000 * 0.001)
    assert "taken to have 10 turns of the bot" in " ".join(surface.months().notes)


def test_a_race_holds_a_conversation_against_its_limit() -> None:
    """Ten turns at $0.001 are over $0.005 a conversation, so the cell drops no other."""
    dataset = one_turn_each()
    good, poor = (make_cell(name, make_dataset(12, 0, 12)).cell for name in ("good", "poor"))
    for limit, dropped in ((0.005, False), (0.05, True)):
        file = make_sweep(grid={"model": ["sim/good"]}, strategy="racing", limits={"usd_per_conversation": limit})
        track = Track.of(dataset, TASK, file)
        said = {p.item: p for p in answers(dataset, cost_nano_usd=1_000_000)}
        wrong = {item: replace(p, label="clean", score=0.1) for item, p in said.items()}
        race = Race(Inputs(file, TASK, dataset, (good, poor), ()), track, ())
        found = race.judge(len(track.rounds) - 1, {good.answers_id: said, poor.answers_id: wrong})
        assert [cell.label for cell, _ in found] == (["poor"] if dropped else [])


def test_a_reviewer_sees_failed_items_too() -> None:
    """Cells that flag alike differ in the limit by their failures, where those are reviewed."""
    dataset = make_dataset(40, 20, 240)
    limits = LimitsTable(flags_per_day=2500.0)
    costs = Costs(conversations_per_month=304_000, prevalence=0.01)  # 10,000 a day
    cells = (make_cell("fine", dataset, alarms=26), make_cell("lossy", dataset, alarms=26, failed=130))
    fine, lossy = make_surface(dataset, *cells, limits=limits).repriced(costs).cells
    assert fine.beyond == ()
    assert lossy.beyond == ("6040 flags and failed items a day are over 2500",)
    by_miss = make_surface(dataset, *cells, limits=limits).repriced(replace(costs, on_error="miss"))
    assert by_miss.cells[1].beyond == ()


def test_break_even_takes_tokens_as_the_design_weighs_them() -> None:
    """A stratum that is a tenth of the traffic and half of the labels counts a tenth, as in the dollars."""
    rented = ProvisionedPlan(
        kind="provisioned", units=1, usd_per_unit_hour=1.0, tokens_per_minute_per_unit=10**9, utilisation=1.0
    )
    price = Price(1000, 1000, 1000, "here")
    plan = Plan("gpu", "provisioned", "", None, rented, price)
    assert plan.name != STANDARD
    strata = Design("stratified", (Stratum("short", 900, 100), Stratum("long", 100, 100)))
    plain = one_turn_each(design=strata)
    examples = tuple(
        replace(example, stratum="long" if number < 100 else "short") for number, example in enumerate(plain.examples)
    )
    dataset = replace(plain, examples=examples)
    usages = [Usage(11_000 if number < 100 else 1_000, 0, 0, 0, 0, 0) for number in range(200)]
    said = Predictions(replace(p, usage=usage) for p, usage in zip(answers(dataset), usages, strict=True))
    cell = replace(make_cell("a", make_dataset(12, 0, 12)).cell, plan=plan)
    file = make_sweep(grid={"model": ["sim/good"]})
    made = measure_cell(cell, said, dataset, TASK, file, reused=False)
    a_conversation = BOT_TURNS * (0.9 * 1_000 + 0.1 * 11_000) * 1000 / 1e9  # dollars
    assert made.even_at == pytest.approx(730 / a_conversation, abs=1)


def test_a_limit_without_a_volume_says_what_a_conversation_is() -> None:
    """On the terminal and the page; a table of months says it where there is one."""
    dataset = one_turn_each()
    limits = LimitsTable(usd_per_conversation=0.005)
    surface = replace(make_surface(dataset, measured(dataset, limits), limits=limits), task=TASK)
    for costs, said in ((Costs(), ["taken to have 10 turns of the bot"]), (A_DAY, [])):
        shown = volume_sentences(surface.repriced(costs))
        assert [one.split(",")[0].removeprefix("A conversation is ") for one in shown] == said
