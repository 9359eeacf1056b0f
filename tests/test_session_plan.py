"""What a session will take and tell: against the report card's own figures on simulated people."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from llmclf.calibration.card import calibrate
from llmclf.calibration.drawing import TARGETS, Drawn, draw
from llmclf.calibration.expected import (
    ERRING,
    FIGURES,
    GOOD_CHANCE,
    RIGHT,
    Assumed,
    Labelling,
    Layout,
    chance_of,
    expected,
    items_needed,
    pool_agreement,
    rounded_up,
)
from llmclf.calibration.plan import People, SessionPlan, plan_session
from llmclf.calibration.session import LabelledCase, Session
from llmclf.errors import ConfigError
from llmclf.types import Annotation, Bar, Case, Judgment, Label, Rubric

RUBRIC = Rubric("helpful", "Is it?", (Label("bad", "target", "no"), Label("good", "clean", "yes")), "binary")
BAR = Bar()
PEOPLE = People(("ana", "ben"), 2, "cara")


def planned(
    pool: int, n: int, design: Any, *, flagged: float | None = None, people: People = PEOPLE, **more: Any
) -> SessionPlan:
    """The plan of a session of `n` of `pool` cases, of which a share of `flagged` has the verdict bad."""
    cases = [Case(f"c{number}", label="bad" if number % 10 == 0 else "good") for number in range(pool)]
    rate = more.get("prevalence", 0.005)
    deserving = Assumed.deserving(rate, BAR).positive if 0 < rate < 1 else 0.1
    bad = round(pool * (deserving if flagged is None else flagged))
    verdicts = {case.id: "bad" if number < bad else "good" for number, case in enumerate(cases)}
    align = more.pop("align_share", 0.0)

    def drawn(way: Any, count: int) -> Drawn | None:
        how: dict[str, Any] = {"annotators": people.annotators, "per_item": people.per_item, "align_share": align}
        said = verdicts if flagged is not None or way == "by_verdict" else None
        return draw(cases, RUBRIC, design=way, n=count, verdicts=said, **how) if count <= pool else None

    made = drawn(design, n)
    assert made is not None
    how = {"kind": "judge", "targets": RUBRIC.targets, "flagged": flagged, "redraw": drawn, **more}
    return plan_session("helpful", design=design, drawn=made, people=people, **how)


def test_the_work_is_counted_as_it_was_drawn() -> None:
    """Labels, hours of the busiest, and dollars with the adjudicator's, all from seconds a label."""
    people = People(("ana", "ben", "cid"), 2, "cara", seconds_a_label=60, seconds_from="given", usd_per_hour=30)
    made = planned(1000, 100, "random", people=people, prevalence=0.1, align_share=0.3)
    assert (made.items, made.practice, made.align + made.test, made.pool) == (100, 3, 100, 1000)
    assert made.labels == 2 * 100 + 3 * 3
    assert made.hours_a_person == pytest.approx((67 + 3) / 60)
    same = 0.1 * (0.85**2 + 0.15**2) + 0.9 * (0.98**2 + 0.02**2)
    assert made.adjudications == pytest.approx(100 * (1 - same))
    assert made.usd == pytest.approx((209 + made.adjudications) / 60 * 30)
    assert made.expected_positives == pytest.approx(0.1 * made.test)


def test_without_an_adjudicator_nobody_is_paid_for_deciding() -> None:
    """No adjudications, and no row of them."""
    made = planned(200, 50, "random", people=People(("ana",), 1), prevalence=0.2)
    assert made.adjudications == 0
    assert "adjudications" not in shown(made)


@pytest.mark.parametrize("design", ["random", "by_verdict", "class_balanced"])
def test_the_widths_are_those_of_the_report_card(design: Any) -> None:
    """The ends to expect lie in the middle of what the card gives on sessions of such a judge."""
    assumed = Assumed(0.2, 0.85, 0.95)
    layout = Layout.of(design, 2000, 200, assumed)
    told = expected(layout, assumed, BAR).figures
    rng = np.random.default_rng(3)
    cards = [card_of(layout, assumed, rng) for _ in range(15)]
    for name in FIGURES:
        for end in ("low", "high"):
            ends = np.array([getattr(card.figures[name], end) for card in cards])
            spread = ends.std() / 15**0.5 + 0.01
            assert abs(np.median(ends) - getattr(told[name], end)) < 3 * spread, (name, end)


def card_of(
    layout: Layout, assumed: Assumed, rng: np.random.Generator, labelling: Labelling = RIGHT, bar: Bar = BAR
) -> Any:
    """The card of one simulated session, from the pool on, through drawing and calibrating."""
    target = rng.random(layout.pool) < assumed.prevalence
    said = rng.random(layout.pool) < np.where(target, assumed.sensitivity, 1 - assumed.specificity)
    word = {True: "bad", False: "good"}
    truth = {f"c{number}": word[bool(one)] for number, one in enumerate(target)}
    cases = [Case(id, label=label) for id, label in truth.items()]
    verdicts = {f"c{number}": word[bool(one)] for number, one in enumerate(said)}
    how: dict[str, Any] = {"n": layout.labels, "annotators": ("ana",), "align_share": 0, "practice": 0}
    drawn = draw(cases, RUBRIC, design=layout.design, verdicts=verdicts, seed=int(rng.integers(1000)), **how)
    session = Session("s", "judge", RUBRIC, layout.design, drawn.items, ("ana",), population=drawn.population)
    known = np.array([truth[item.case.id] == "bad" for item in drawn.items])
    labels, _ = labelling.label(known, rng)
    labelled = [
        LabelledCase(item, (Annotation("ana", "helpful", word[bool(label)]),))
        for item, label in zip(drawn.items, labels, strict=True)
    ]
    judgments = [Judgment(item.case.id, "helpful", "f", verdict=verdicts[item.case.id]) for item in drawn.items]
    return calibrate(session, labelled, judgments, bar=bar, judged=Counter(verdicts.values()))


def test_random_labels_can_not_calibrate_at_half_a_percent() -> None:
    """The plan says so, with a number of items by verdict that truly does it."""
    made = planned(30_000, 200, "random", prevalence=0.005)
    assert made.chance < 0.1
    assert made.figures["sensitivity"].value is None
    proposal = made.proposal
    assert proposal is not None and proposal.design == "by_verdict" and proposal.chance >= GOOD_CHANCE
    start = f"This design can't calibrate at 0.5 %: by-verdict with {proposal.items:,} items can (chance "
    assert made.notes[0].startswith(start) and "hours a person" in made.notes[0]
    layout = Layout.of("by_verdict", 30_000, proposal.items, made.assumed)
    assert expected(layout, made.assumed, BAR, seed=8).chance > 0.6
    assert made.assumed.below(BAR) == []


def test_what_is_proposed_is_what_its_own_plan_says() -> None:
    """The plan of the proposal: the same judge, chance, hours and dollars, and no more advice."""
    ways: tuple[dict[str, Any], ...] = (
        {"prevalence": 0.1},
        {"prevalence": 0.1, "align_share": 0.3},
        {"prevalence": 0.02},
    )
    for more in ways:
        made = planned(6000, 60, "random", **more)
        proposal = made.proposal
        assert proposal is not None and proposal.items <= made.pool
        again = planned(6000, proposal.items, proposal.design, **more)
        assert (again.chance, again.assumed, again.proposal) == (proposal.chance, made.assumed, None)
        assert (again.labels, again.hours_a_person) == (proposal.work.labels, proposal.work.hours_a_person)
        assert again.usd == pytest.approx(proposal.work.usd)


def test_a_pool_that_is_too_small_is_said_to_be() -> None:
    """A larger one is needed, with its work; nothing of this pool is advised."""
    made = planned(600, 200, "random", prevalence=0.005)
    assert made.proposal is None and "no session of this pool of 600 can. A larger pool is needed" in made.notes[0]
    assert "hours a person, $" in made.notes[0]
    strict = planned(100, 50, "random", prevalence=0.0001)
    assert "nor one of up to 50,000 items" in strict.notes[0] and "use" not in strict.notes[0]


def test_targets_to_expect_are_those_that_were_drawn() -> None:
    """By known label exactly, whatever prevalence is assumed; by verdict from the strata."""
    balanced = planned(600, 65, "class_balanced", prevalence=0.005)
    assert balanced.expected_positives == balanced.strata[TARGETS] == 32
    none = planned(600, 20, "by_verdict", flagged=0.0, prevalence=0.125)
    assert none.strata == {"good": 20} and none.expected_positives == pytest.approx(2.5)
    assert any("None is drawn from positive verdicts; 12.5 %" in note for note in none.notes)
    half = planned(1000, 40, "by_verdict", flagged=0.1, prevalence=0.1, sensitivity=0.8)
    assert half.expected_positives == pytest.approx(20 * 0.8 + 20 * 0.02 / 0.9)
    assert any("80 % of its positive verdicts" in note for note in half.notes)


def test_a_task_is_not_spoken_to_of_a_judge() -> None:
    """Targets and the known share come first; a classifier has a block of its own, and advice comes last."""
    made = planned(600, 200, "random", prevalence=0.005, kind="task")
    text = shown(made)
    assert "judge" not in text and "can't calibrate" not in text
    assert text.index("prevalence") < text.index("A CLASSIFIER") < text.index("sensitivity")
    assert made.notes[0].startswith("Assumed: 0.5 %") and "If that is what they are for" in made.notes[-1]


def test_made_up_verdicts_and_digits_are_said() -> None:
    """In the line of the strata; and a rate near 1 has as many digits as tell it from 1."""
    made = planned(30_000, 6000, "by_verdict", prevalence=0.005, verdicts_assumed=True)
    text = " ".join(shown(made).split())
    assert "(assumed: nothing has judged the pool yet)." in text and "by-verdict" in text
    assert "1.00 to 1.00" not in text


def test_a_judge_below_the_bar_is_not_sent_more_labels() -> None:
    """One that calls a tenth positive where half a percent are can't agree, however many labels there are."""
    made = planned(20_000, 400, "by_verdict", flagged=0.1, prevalence=0.005)
    assert made.notes[0].startswith("Such a judge is below the bar itself, by its positive agreement (0.09)")
    assert "items" not in made.notes[0] and made.proposal is None
    assert made.assumed.positive == pytest.approx(0.1)


def test_enough_labels_get_no_advice() -> None:
    """At three targets in ten, by verdict: the first note is what was assumed."""
    made = planned(3000, 400, "by_verdict", flagged=0.3, prevalence=0.3)
    assert made.chance >= GOOD_CHANCE
    assert made.notes[0].startswith("Assumed: 30 % targets")
    assert made.strata == {"bad": 200, "good": 200}


@pytest.mark.parametrize("prevalence", [0.001, 0.005, 0.05, 0.3])
def test_a_judge_that_deserves_it_is_above_every_bar(prevalence: float) -> None:
    """In sensitivity, specificity and positive agreement, at any prevalence."""
    for bar in (BAR, Bar(0.9, 0.99, 0.9), Bar(0.2, 0.5, 0.2)):
        assumed = Assumed.deserving(prevalence, bar)
        assert assumed.below(bar) == []
        assert 0 < assumed.specificity <= 1


def test_seen_verdicts_say_what_the_judge_is() -> None:
    """Positive verdicts that are no finds are false alarms; fewer of them than finds lower the sensitivity."""
    assumed = Assumed.seen(0.1, 0.8, 0.17)
    assert assumed.specificity == pytest.approx(0.9)
    assert assumed.positive == pytest.approx(0.17)
    assert assumed.precision == pytest.approx(0.08 / 0.17)
    assert assumed.missed == pytest.approx(0.02 / 0.83)
    few = Assumed.seen(0.1, 0.8, 0.05)
    assert (few.sensitivity, few.specificity) == pytest.approx((0.5, 1))


def test_truths_are_what_endless_labels_would_give() -> None:
    """Positive agreement by its own definition, at the prevalence of the pool."""
    assumed = Assumed(0.2, 0.75, 0.9)
    found, missed, false = 0.15, 0.05, 0.08
    assert assumed.truths["positive_agreement"] == pytest.approx(2 * found / (2 * found + missed + false))
    rate = found + false
    (same,) = pool_agreement(np.array([0.75]), np.array([0.9]), rate)
    assert same == pytest.approx(assumed.truths["positive_agreement"])
    (no_better,) = pool_agreement(np.array([0.3]), np.array([0.6]), rate)
    assert no_better == 0


def test_half_known_targets_are_no_cheap_way_to_pass() -> None:
    """At 1 % a judge with one false alarm in twenty agrees in a balanced set, and not in the pool: it can't pass."""
    rates: dict[str, Any] = {"prevalence": 0.01, "sensitivity": 0.95, "specificity": 0.95}
    made = planned(20_000, 400, "class_balanced", **rates)
    agreement = made.figures["positive_agreement"]
    assert agreement.value == pytest.approx(0.275, abs=0.01) and agreement.low is not None and agreement.low < 0.1
    assert made.chance == 0
    assert "below the bar itself, by its positive agreement (0.28)" in made.notes[0]
    assert any("the judge has to judge the whole pool" in note for note in made.notes)
    assert not any("whole pool" in note for note in planned(20_000, 400, "random", **rates).notes)


def test_the_default_judge_of_a_balanced_set_is_good_enough_for_its_pool() -> None:
    """Its specificity is that which the pool's prevalence asks for, whatever the design."""
    balanced = planned(20_000, 200, "class_balanced", prevalence=0.005)
    assert balanced.assumed == Assumed.deserving(0.005, BAR)
    assert balanced.assumed.specificity > 0.999


def test_people_who_err_are_told_of_beside_people_who_are_right() -> None:
    """One annotator at .85/.98 makes a good judge fail; two and an adjudicator who is right mend it."""
    alone = planned(5000, 400, "random", people=People(("ana",), 1), prevalence=0.1)
    assert alone.chance > 0.8 and alone.chance_erring < 0.3 and alone.chance_adjudicated > 0.7
    (told,) = [note for note in alone.notes if note.startswith("People who miss 15 %")]
    assert "one person a case and nobody to decide" in told
    assert told.endswith(f"it is {100 * alone.chance_adjudicated:.3g} %.")
    both = planned(5000, 400, "random", prevalence=0.1)
    assert both.chance_erring == both.chance_adjudicated == alone.chance_adjudicated
    for width in (80, 60):
        assert "if people err" in shown(alone, width)


@pytest.mark.parametrize("design", ["random", "by_verdict", "class_balanced"])
def test_the_chance_with_people_who_err_is_that_of_the_report_card(design: Any) -> None:
    """Sessions labelled by such people, through drawing and calibrating, pass as often as the plan says."""
    assumed = Assumed(0.3, 0.95, 0.99)
    layout = Layout.of(design, 2000, 250, assumed)
    bar = Bar(0.7, 0.9, 0.75)
    rng = np.random.default_rng(5)
    states = [card_of(layout, assumed, rng, ERRING, bar).state for _ in range(25)]
    told = chance_of(layout, assumed, bar, ERRING)
    assert abs(states.count("calibrated") / 25 - told) < 0.3
    assert told < expected(layout, assumed, bar).chance


def test_how_people_come_to_a_truth() -> None:
    """Alone their word counts; two without an adjudicator leave ties open; with one, what they differ on is right."""
    rng = np.random.default_rng(1)
    target = np.arange(20_000) < 10_000
    label, there = Labelling(0.85, 0.98).label(target, rng)
    assert there.all()
    assert label[target].mean() == pytest.approx(0.85, abs=0.02) and label[~target].mean() == pytest.approx(
        0.02, abs=0.01
    )
    label, there = Labelling(0.85, 0.98, 2).label(target, rng)
    assert 1 - there[target].mean() == pytest.approx(2 * 0.85 * 0.15, abs=0.02)
    label, there = Labelling(0.85, 0.98, 2, adjudicated=True).label(target, rng)
    assert there.all() and label[target].mean() == pytest.approx(1 - 0.15**2, abs=0.01)
    label, there = Labelling(0.85, 0.98, 3).label(target, rng)
    assert there.all() and label[target].mean() == pytest.approx(0.85**3 + 3 * 0.85**2 * 0.15, abs=0.02)


def test_more_items_are_needed_where_targets_are_rarer() -> None:
    """And none are enough where they are too rare."""
    common = items_needed("random", Assumed.deserving(0.3, BAR), BAR)
    rare = items_needed("random", Assumed.deserving(0.02, BAR), BAR)
    assert common and rare and 50 < common < rare
    assert items_needed("random", Assumed.deserving(0.00005, BAR), BAR) is None
    assert (rounded_up(451), rounded_up(99), rounded_up(12_001)) == (460, 99, 13_000)


def test_what_can_not_be_assumed_is_listed_at_once() -> None:
    """Every rate and price that is none."""
    people = People(("ana", "ben"), 2, seconds_a_label=0, usd_per_hour=-1)
    with pytest.raises(ConfigError) as caught:
        planned(50, 10, "random", people=people, prevalence=0, sensitivity=1.5, specificity=-0.1)
    assert len(caught.value.problems) == 5
    with pytest.raises(ConfigError, match="prevalence must be above 0 and below 1"):
        planned(50, 10, "random", prevalence=float("nan"))


def shown(made: SessionPlan, width: int = 80) -> str:
    """The plan as a terminal of this width shows it."""
    console = Console(file=StringIO(), width=width)
    console.print(made)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [80, 60])
def test_the_plan_fits_its_terminal(width: int) -> None:
    """Every figure has its row, and no line is wider."""
    made = planned(5000, 300, "by_verdict", flagged=0.05, prevalence=0.04, align_share=0.3)
    text = shown(made, width)
    assert all(len(line) <= width for line in text.splitlines())
    for word in ("cases", "targets to expect", "hours a person", "adjudications", "dollars", "chance to pass"):
        assert word in text
    for name in FIGURES:
        assert name.replace("_", " ") in text
    assert "Drawn: bad 150, good 150." in text
    assert made.to_dict()["figures"]["sensitivity"]["low"] < made.assumed.sensitivity
