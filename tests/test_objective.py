"""The objective: the mean of its scores is a straight line in dollars at production's prevalence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import llmclf
from llmclf.errors import ConfigError, DataError
from llmclf.optimization.objective import dollars_objective
from llmclf.optimization.values import Answered, Instance
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
)
from llmclf.types.dataset import dataset_of

TASK = Task("refusal", "?", (Label("refused", "target", "asks"), Label("clean", "clean", "not")))
FAILED = Answered(None, error=ErrorInfo("timeout", "no answer"))
COSTS = Costs()


def instances(positives: int, others: int, weight: float = 1.0) -> list[Instance]:
    made = [Instance(f"p{number}", "", "refused", True) for number in range(positives)]
    return made + [Instance(f"n{number}", "", "clean", False, weight) for number in range(others)]


def said(flagged: bool, score: float | None = None, cost_usd: float | None = 0.0) -> Answered:
    return Answered("refused" if flagged else "clean", flagged, score, cost_usd=cost_usd)


def mean(objective: Any, part: Sequence[Instance], answers: Sequence[Answered]) -> float:
    return float(sum(objective.score(one, answer) for one, answer in zip(part, answers, strict=True)) / len(part))


def dollars(objective: Any, part: Sequence[Instance], answers: Sequence[Answered]) -> float:
    scores = {one.key: objective.score(one, answer) for one, answer in zip(part, answers, strict=True)}
    return float(objective.mean_loss(scores))


@st.composite
def labelled_answers(draw: st.DrawFn) -> tuple[Dataset, list[Answered], Costs]:
    """A dataset of 12 positives and 18 others, weighted or not, an answer to each, and what errors cost."""
    weighted = draw(st.booleans())
    chances = draw(st.lists(st.sampled_from([0.01, 0.1, 0.5, 1.0]), min_size=30, max_size=30))
    examples = [
        Example(f"c{n}", None, {"refusal": "refused" if n < 12 else "clean"}, inclusion_probability=chance)
        for n, chance in enumerate(chances if weighted else [None] * 30)
    ]
    conversations = [Conversation(each.conversation_id, (Turn("user", "hello"),)) for each in examples]
    price = draw(st.sampled_from([0.0, 0.003]))
    kinds = draw(st.lists(st.sampled_from(["flag", "quiet", "quiet", "failed"]), min_size=30, max_size=30))
    answers = [
        replace(FAILED, cost_usd=price) if kind == "failed" else said(kind == "flag", None, price) for kind in kinds
    ]
    costs = Costs(
        missed_usd=draw(st.sampled_from([5.0, 40.0, 400.0])),
        prevalence=draw(st.sampled_from([0.001, 0.005, 0.3])),
        on_error=draw(st.sampled_from(["review", "miss"])),
    )
    return dataset_of("d", conversations, examples, Design("weighted" if weighted else "unknown")), answers, costs


@given(case=labelled_answers())
@settings(max_examples=25)
def test_the_mean_score_is_what_an_evaluation_says_in_dollars(
    case: tuple[Dataset, list[Answered], Costs],
) -> None:
    """Beyond the reviews of found targets, mean_loss is the evaluation's dollars per 1,000, price included."""
    dataset, answers, costs = case
    if all(answer.error for answer in answers):
        return
    part = [
        Instance(str(each.item), "", each.labels["refusal"], each.labels["refusal"] == "refused", each.weight)
        for each in dataset.examples
    ]
    predictions = Predictions(
        Prediction(
            one.key, "k", "refusal", label=answer.said, flagged=None if answer.error else answer.flagged,
            error=answer.error, cost_nano_usd=round((answer.cost_usd or 0) * 1e9),
        )
        for one, answer in zip(part, answers, strict=True)
    )  # fmt: skip
    objective = dollars_objective(part, costs, "dollars")
    evaluation = llmclf.evaluate(predictions, dataset, TASK, costs=costs)
    unavoidable = 1000 * costs.prevalence * costs.review_usd
    expected = evaluation.dollars_per_1000.value
    assert expected is not None
    assert dollars(objective, part, answers) == pytest.approx(expected - unavoidable, abs=1e-6)
    assert all(0 <= objective.score(one, answer) <= 1 for one, answer in zip(part, answers, strict=True))


@given(seed=st.integers(0, 999))
def test_leaving_out_others_changes_nothing_in_expectation(seed: int) -> None:
    """Half of the others, drawn at random, stand for all of them: over both halves the dollars are the same."""
    generator = random.Random(seed)
    whole = instances(4, 20)
    answers = {one.key: said(generator.random() < 0.4) for one in whole}
    others = whole[4:]
    generator.shuffle(others)
    halves = [whole[:4] + others[:10], whole[:4] + others[10:]]
    objective = dollars_objective(whole, COSTS, "dollars")
    expected = dollars(objective, whole, [answers[one.key] for one in whole])
    found = [
        dollars(dollars_objective(half, COSTS, "dollars"), half, [answers[one.key] for one in half]) for half in halves
    ]
    assert sum(found) / 2 == pytest.approx(expected)


@given(
    caught=st.tuples(st.integers(0, 10), st.integers(0, 10)), alarms=st.tuples(st.integers(0, 10), st.integers(0, 10))
)
def test_the_order_by_mean_score_is_the_order_by_dollars(caught: tuple[int, int], alarms: tuple[int, int]) -> None:
    """Of two classifiers at 0.5 %, the one with the higher mean score is the one that costs less."""
    part = instances(10, 10)
    objective = dollars_objective(part, COSTS, "dollars")
    scores, usd = [], []
    for found, false in zip(caught, alarms, strict=True):
        answers = [said(place < found) for place in range(10)] + [said(place < false) for place in range(10)]
        scores.append(mean(objective, part, answers))
        usd.append(0.005 * (10 - found) / 10 * (40 - 1.2) + 0.995 * false / 10 * (2 + 1.2))
    if abs(usd[0] - usd[1]) > 1e-9:
        assert (scores[0] > scores[1]) == (usd[0] < usd[1])


def test_accuracy_prefers_to_say_no_where_dollars_do_not() -> None:
    """With one target in twenty and dear misses, saying no wins by accuracy and loses by dollars."""
    part, costs = instances(2, 38), Costs(missed_usd=4000)
    no = [said(False)] * 40
    finds = [said(True)] * 2 + [said(place < 3) for place in range(38)]
    by = {form: dollars_objective(part, costs, form) for form in ("dollars", "accuracy")}
    assert mean(by["accuracy"], part, no) > mean(by["accuracy"], part, finds)
    assert mean(by["dollars"], part, no) < mean(by["dollars"], part, finds)


@given(posterior=st.floats(0.001, 0.999))
def test_a_proper_score_is_best_served_by_a_cut_where_flagging_pays(posterior: float) -> None:
    """The score with the least expected loss is above 1/2 exactly where the expected miss is dearer than the alarm."""
    part = instances(1, 1)
    objective = dollars_objective(part, COSTS, "proper")
    target, other = part
    missed, alarm = COSTS.missed_usd - COSTS.review_usd, COSTS.false_alarm_usd + COSTS.review_usd

    def expected(score: float) -> float:
        answer = said(score >= 0.5, score)
        return posterior * objective.loss(target, answer) + (1 - posterior) * objective.loss(other, answer)

    best = posterior * missed / (posterior * missed + (1 - posterior) * alarm)
    assert all(expected(best) <= expected(place / 20) + 1e-12 for place in range(21))
    if abs(best - 0.5) > 1e-9:
        assert (best > 0.5) == (posterior * missed > (1 - posterior) * alarm)


def test_an_answer_without_a_score_counts_by_its_decision() -> None:
    """Proper and dollars agree where there are no scores, and proper rewards being surer where there are."""
    part = instances(1, 1)
    proper, plain = (dollars_objective(part, COSTS, form) for form in ("proper", "dollars"))
    for flagged in (True, False):
        assert [proper.score(one, said(flagged)) for one in part] == [plain.score(one, said(flagged)) for one in part]
    assert proper.score(part[0], said(False, 0.4)) > proper.score(part[0], said(False, 0.1))
    assert plain.score(part[0], said(False, 0.4)) == plain.score(part[0], said(False, 0.1))


@pytest.mark.parametrize(("on_error", "target", "other"), [("review", 0.0, 1.2), ("miss", 38.8, 0.0)])
def test_a_failure_costs_what_the_file_says(on_error: Any, target: float, other: float) -> None:
    """A failed item is a review, or a miss where it was a target; never a right no."""
    part = instances(1, 1)
    objective = dollars_objective(part, Costs(on_error=on_error), "proper")
    assert [objective.loss(one, FAILED) for one in part] == pytest.approx([target, other])


def test_the_models_price_counts_up_to_a_review() -> None:
    """Dearer answers score less, an unknown price counts as nothing, and no price pushes a score below 0."""
    part = instances(3, 3)
    objective = dollars_objective(part, COSTS, "proper")
    other = part[-1]
    scores = [objective.score(other, said(False, None, price)) for price in (None, 0.0, 0.01, 1.2, 500.0)]
    assert scores[0] == scores[1] == 1 > scores[2] > scores[3] == scores[4]
    assert min(objective.score(one, said(not one.positive, None, 500.0)) for one in part) == 0
    assert "price" in objective.notes[0]


def test_weights_count_within_their_class() -> None:
    """A false alarm of an item that stands for nine others weighs nine times that of one that stands for itself."""
    part = [*instances(1, 1), Instance("many", "", "clean", False, 9.0)]
    objective = dollars_objective(part, COSTS, "dollars")
    lost = [1 - objective.score(one, said(True)) for one in part[1:]]
    assert lost[1] == pytest.approx(9 * lost[0])
    assert dollars(objective, part, [said(True)] * 3) == pytest.approx(1000 * 0.995 * 3.2)


def test_costs_that_leave_nothing_to_choose_are_refused() -> None:
    """Reviews dearer than misses, and classes without an item, are found before anything is asked."""
    with pytest.raises(ConfigError, match="nothing should ever be flagged") as found:
        dollars_objective(instances(1, 1), Costs(missed_usd=1.0, prevalence=0), "proper")
    assert len(found.value.problems) == 2
    with pytest.raises(ConfigError, match="everything should be flagged"):
        dollars_objective(instances(1, 1), Costs(false_alarm_usd=0, review_minutes=0), "proper")
    with pytest.raises(DataError, match="2 of 2 are what is looked for"):
        dollars_objective(instances(2, 0), COSTS, "proper")
    with pytest.raises(DataError, match="other instances"):
        dollars_objective(instances(1, 1), COSTS, "dollars").score(Instance("x", "", "clean", False), said(True))
