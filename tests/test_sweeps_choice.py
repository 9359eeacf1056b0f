"""Which cell to run: compared in pairs, how sure it is, what would decide, and how far prices may move."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from sweep_workspace import make_cell, make_dataset, make_surface, make_task

from llmclf.config import LimitsTable
from llmclf.evaluation import evaluate
from llmclf.sweeps import MeasuredCell, Surface
from llmclf.sweeps.tipping import FLAG_NOTHING
from llmclf.types import Costs, Dataset, Predictions

DATASET = make_dataset(targets=60, adjacent=40, clean=500)
COSTS = Costs(prevalence=0.02)


def cell(name: str, missed: int, alarms: int, nano: int = 0, **more: object) -> MeasuredCell:
    return make_cell(name, DATASET, missed=missed, alarms=alarms, nano=nano, costs=COSTS, **more)  # type: ignore[arg-type]


def three() -> Surface:
    """A dear careful one, a cheap one that misses, and one that alarms."""
    return make_surface(DATASET, cell("careful", 2, 4, 3_000_000), cell("cheap", 12, 2), cell("loud", 4, 40))


# --- decided in pairs -------------------------------------------------------------------------------


def test_what_differs_on_the_same_items_is_decided_though_intervals_overlap() -> None:
    """Both find 40 of 60, so both are unsure alike; one raises ten more false alarms on the same items."""
    quiet, loud = cell("quiet", 20, 0), cell("loud", 20, 14)
    assert quiet.usd.high is not None
    assert loud.usd.low is not None
    assert quiet.usd.high > loud.usd.low
    best = make_surface(DATASET, loud, quiet).best()
    assert best.cell == quiet
    assert "less than the next, loud, on the same items, and least of all in over 99 % of resamples" in best.sentence
    (ahead,) = best.ahead
    assert ahead.decided
    assert ahead.more is None
    assert ahead.extra.value == pytest.approx((loud.usd.value or 0) - (quiet.usd.value or 0))


def test_what_is_not_decided_says_how_often_it_leads_and_what_would_decide() -> None:
    """One miss of sixty apart: a share of resamples, a number of labels, and the same in JSON."""
    best = make_surface(DATASET, cell("one", 5, 2), cell("two", 8, 2)).best()
    assert best.cell is None
    assert best.chance is not None
    assert 0.5 < best.chance < 0.999
    assert f"it costs least in {best.chance:.0%}".replace("%", " %") in best.sentence
    assert "more labels" in best.sentence
    assert "of them targets, to tell them apart." in best.sentence
    document = best.to_dict()
    assert document["cheapest_chance"] == best.chance
    assert document["ahead"][0]["more_labels"]["labels"] > 0


def test_cells_that_are_the_same_are_told_apart_by_no_number_of_labels() -> None:
    """The same verdicts at the same price."""
    best = make_surface(DATASET, cell("one", 5, 2), cell("other", 5, 2), cell("third", 5, 2)).best()
    assert "Even 100,000 more labels would hardly do to tell it from other." in best.sentence


def test_cells_that_a_race_dropped_are_counted() -> None:
    """They have no figures, can't be chosen, and are not forgotten."""
    dropped = replace(cell("dropped", 0, 0), state="dropped", evaluation=None, parts=None)
    best = make_surface(DATASET, cell("careful", 2, 0), dropped).best()
    assert best.sentence.endswith("The race had dropped 1 cell before, each beaten by another at its risk.")


def test_the_dearer_cell_is_seldom_named() -> None:
    """Over 25 samples of two cells of which one truly costs a fifth more, the dearer one is named at most twice."""
    rng, wrong, named = np.random.default_rng(5), 0, 0
    base = make_dataset(targets=50, adjacent=0, clean=300)
    made = make_cell("any", base)
    target = np.array([label == "refused" for label in base.labels("wants_person")])
    for _ in range(25):
        hard = rng.random(350)
        cells = []
        for name, miss in (("cheaper", 0.2), ("dearer", 0.24)):
            luck = np.where(rng.random(350) < 0.5, hard, rng.random(350))
            flagged = np.where(target, luck > miss, luck < 0.01)
            cells.append(_flagging(made, name, flagged, base))
        best = make_surface(base, *cells).best().cell
        named += best is not None
        wrong += best is not None and best.label == "dearer"
    assert wrong <= 2
    assert named <= 8  # 50 targets decide little


def _flagging(made: MeasuredCell, name: str, flagged: NDArray[np.bool_], base: Dataset) -> MeasuredCell:
    """The cell with other verdicts and another name."""
    predictions = Predictions(
        replace(p, flagged=bool(flag), label="refused" if flag else "clean")
        for p, flag in zip(made.predictions, flagged, strict=True)
    )
    named = replace(made.cell, cell_id=name, label=name)
    return replace(made, cell=named, predictions=predictions, evaluation=evaluate(predictions, base, make_task()))


def test_any_price_can_be_another() -> None:
    """Prevalence and reviewers' wages too; limits are held against the flags that follow."""
    surface = three()
    assert surface.best(prevalence=0.5).costs.prevalence == 0.5
    assert surface.best(reviewer_usd_per_hour=0.0, review_minutes=1.0).costs.review_usd == 0.0
    limited = replace(surface, limits=LimitsTable(flags_per_day=100.0))
    few, many = limited.best(conversations_per_month=30_000), limited.best(conversations_per_month=3_000_000)
    assert few.candidates
    assert many.sentence == "No real cell keeps to the limits."


# --- how far prices may move ------------------------------------------------------------------------


def _cheapest(surface: Surface) -> str:
    usd = {one.label: one.usd.value or 0.0 for one in surface.real} | {FLAG_NOTHING: surface.flag_nothing_usd}
    return min(usd, key=lambda label: usd[label])


@pytest.mark.parametrize("on_error", ["review", "miss"])
def test_beyond_a_tipping_price_another_cell_is_the_cheapest(on_error: str) -> None:
    """Just inside each end the best one stays so; just outside it is the one that is named. Failed items take part."""
    cells = (cell("careful", 2, 4, 300_000, failed=3), cell("cheap", 12, 2), cell("loud", 1, 20, 100_000, failed=1))
    surface = make_surface(DATASET, *cells).repriced(replace(COSTS, on_error=on_error))  # type: ignore[arg-type]
    checked = 0
    for price in surface.tipping_prices():
        assert price.best == _cheapest(surface)
        if price.name.endswith("model_price"):
            continue
        for end, label, outward in ((price.low, price.below, -1), (price.high, price.above, 1)):
            if end is None:
                assert label == ""
                continue
            step = outward * end * 1e-3
            inside, outside = (replace(surface.costs, **{price.name: end + by}) for by in (-step, step))
            assert _cheapest(surface.repriced(inside)) == price.best
            assert _cheapest(surface.repriced(outside)) == label
            checked += 1
    assert checked >= 4


def test_a_models_price_tips_at_a_factor() -> None:
    """Of two cells $10 apart without the model's price, the dear one's model may cost $10 per 1,000."""
    dear, free = cell("dear", 3, 0, 2_000_000), cell("free", 6, 0)
    surface = make_surface(DATASET, dear, free)
    prices = {price.name: price for price in surface.tipping_prices()}
    gap = (free.usd.value or 0) - (dear.usd.value or 0)
    assert prices["model_price"].high == pytest.approx((2 + gap) / 2)
    assert prices["model_price"].above == "free"
    assert prices["model_price"].low is None
    assert "own_model_price" not in prices  # the cell has no model by name


def test_tipping_prices_are_said_in_words() -> None:
    """Each range with its present value and with what takes over; JSON has the same."""
    surface = three()
    (missed,) = [price for price in surface.tipping_prices() if price.name == "missed_usd"]
    assert missed.sentence.startswith("a miss from $")
    assert "(now $40); below: cheap" in missed.sentence
    document = json.loads(surface.to_json())["tipping_prices"]
    assert [price["name"] for price in document] == [price.name for price in surface.tipping_prices()]
    assert make_surface(DATASET, cell("dream", 0, 0, simulated=True)).tipping_prices() == ()


def test_where_no_cell_pays_flagging_nothing_is_what_tips() -> None:
    """At a miss of a cent no cell is worth its reviews, until a miss costs more."""
    prices = {price.name: price for price in three().repriced(replace(COSTS, missed_usd=0.01)).tipping_prices()}
    assert prices["missed_usd"].best == FLAG_NOTHING
    assert prices["missed_usd"].high is not None


# --- the front --------------------------------------------------------------------------------------


def test_front_chances_agree_with_the_front() -> None:
    """What is far ahead is surely on it, what is far behind surely not; each real cell has one, no simulated one."""
    surface = make_surface(
        DATASET,
        cell("good", 2, 0, seconds=9.0),
        cell("fast", 40, 20, seconds=1.0),
        cell("beaten", 45, 30, seconds=10.0),
        cell("twin", 3, 0, seconds=9.0),
        cell("dream", 0, 0, seconds=0.2, simulated=True),
    )
    chances = surface.front_chances()
    assert list(chances) == ["good", "fast", "beaten", "twin"]
    assert chances["fast"] > 0.99
    assert chances["beaten"] < 0.01
    assert 0.1 < chances["twin"] < chances["good"] < 0.9
    assert [one.label for one in surface.pareto()] == ["good", "fast"]
    assert json.loads(surface.to_json())["front_chances"] == chances
    rows = {row["label"]: row for row in surface.to_rows()}
    assert rows["twin"]["front_chance"] == chances["twin"]
    assert rows["dream"]["front_chance"] is None


def test_a_terminal_says_how_surely_a_cell_is_on_the_front() -> None:
    """Beside the cells on it, and beside those that may be."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(make_surface(DATASET, cell("good", 2, 0), cell("twin", 3, 0)))
    text = " ".join(console.export_text().split())
    assert "on the front:" in text
    assert "may be on the front:" in text
