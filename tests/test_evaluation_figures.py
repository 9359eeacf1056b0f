"""Figures beside recall and precision: F-beta, review budgets, calibration, and what can't be known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.special import expit

from llmclf.cli.requirements import failed_requirements
from llmclf.errors import ConfigError
from llmclf.evaluation import Evaluation, evaluate
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
    Stratum,
    Task,
    Turn,
    dataset_of,
)

TASK = Task("refusal", "Is a person refused?", (Label("refusal", "target", "x"), Label("clean", "clean", "x")))
SCORES = expit(np.linspace(2.5, -6, 200))
TARGET = np.random.default_rng(4).random(200) < SCORES
TARGETS = int(TARGET.sum())


def a_set(design: Design = Design("random")) -> Dataset:
    """200 items, each a target with its score as the chance."""
    examples = [Example(f"c{i}", labels={"refusal": "refusal" if TARGET[i] else "clean"}) for i in range(200)]
    return dataset_of("set", [Conversation(f"c{i}", (Turn("user", "hi"),)) for i in range(200)], examples, design)


def answers(failed: Sequence[int] = (), kind: Any = "refused", **known: Any) -> Predictions:
    made = []
    for i, score in enumerate(SCORES.tolist()):
        if i in failed:
            made.append(Prediction(f"c{i}", "probe@1", "refusal", error=ErrorInfo(kind, "no answer")))
            continue
        label = "refusal" if score > 0.7 else "clean"
        chances = {"refusal": score, "clean": 1 - score}
        made.append(Prediction(f"c{i}", "probe@1", "refusal", label=label, score=score, probabilities=chances, **known))
    return Predictions(made)


def shown(evaluation: Evaluation, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(evaluation)
    return out.getvalue()


def test_f_beta_weighs_recall_by_beta() -> None:
    """With beta 1 it is F1, with 2 the textbook's F2; a beta that is none is refused before anything else."""
    got, one = evaluate(answers(), a_set(), TASK), evaluate(answers(), a_set(), TASK, beta=1)
    p, r = got.precision.value, got.recall.value
    assert p is not None and r is not None
    assert got.f_beta.value == pytest.approx(5 * p * r / (4 * p + r)) and got.beta == 2.0
    assert one.f_beta == one.f1 == got.f1
    assert " F2 " in shown(got) and "F1" in shown(one)
    for wrong in ({"beta": 0.0}, {"beta": float("inf")}, {"review_share": 0.0}, {"review_share": 2.0}):
        with pytest.raises(ConfigError):
            evaluate(answers(), a_set(), TASK, **wrong)


def test_recall_in_production_is_the_reason_where_the_design_gives_none() -> None:
    """Without a design that speaks for production no figure does: the row, the JSON and a gate all say so."""
    for kind, why in (
        ("unknown", "how the examples were drawn is not known"),
        ("class_balanced", "the examples were drawn by their label"),
    ):
        got = evaluate(answers(), a_set(Design(kind)), TASK)  # type: ignore[arg-type]
        for figure in (got.production_recall, got.recall_at_budget, got.f_beta, got.precision):
            assert figure.value is figure.low is figure.high is None and figure.why_not == why
        text = shown(got)
        assert "recall (of this set)" in text and "specificity (of this set)" in text
        assert next(line for line in text.splitlines() if "recall in production" in line).split()[-1] == "?"
        assert f"recall in production: {why}." in text
        assert got.to_dict()["production_recall"]["why_not"] == why
        assert why in failed_requirements(got.to_dict(), ["production_recall.low>=0.1"])[0]
    known = evaluate(answers(), a_set(), TASK)
    assert known.production_recall == known.recall and "(of this set)" not in shown(known)


def test_recall_at_a_budget_is_of_the_highest_scores() -> None:
    """A tenth of 200 items can be reviewed: recall is the share of targets among the 20 highest; failed ones last."""
    dataset = a_set()
    got = evaluate(answers(), dataset, TASK, review_share=0.1)
    assert got.recall_at_budget.value == pytest.approx(TARGET[:20].sum() / TARGETS)
    assert got.review_share == 0.1 and "recall, top 10 % reviewed" in shown(got)
    failing = evaluate(answers(failed=range(10)), dataset, TASK, review_share=0.1)
    assert failing.recall_at_budget.value == pytest.approx(TARGET[10:30].sum() / TARGETS)


def test_calibration_needs_probabilities_and_positives() -> None:
    """Probabilities that are right have a slope about 1; scores alone, or too few targets, have none."""
    got = evaluate(answers(), a_set(), TASK)
    assert got.calibration_slope.low < 1 < got.calibration_slope.high  # type: ignore[operator]
    bare = Predictions(Prediction(f"c{i}", "k@1", "refusal", label="clean", score=0.5 + i / 1000) for i in range(200))
    assert evaluate(bare, a_set(), TASK).calibration_slope.why_not == "the scores are not on a probability scale"
    few = [Example(f"c{i}", labels={"refusal": "refusal" if i < 12 else "clean"}) for i in range(200)]
    small = dataset_of("few", list(a_set().conversations.values()), few, Design("random"))
    assert evaluate(answers(), small, TASK).calibration_slope.why_not == "needs 8 more positives"


def test_failures_are_rows_of_their_own_and_their_dollars_follow_on_error() -> None:
    """Failed items stand as rows by kind; they cost a review each, or a miss where they were targets."""
    mixed = Predictions([*answers(failed=(0, 1))[:2], *answers(failed=(2, 3, 4), kind="unparsable")[2:]])
    review, miss = (
        evaluate(mixed, a_set(), TASK, costs=Costs(on_error=on_error, prevalence=0.2))  # type: ignore[arg-type]
        for on_error in ("review", "miss")
    )
    rows = [line.split() for line in shown(review).splitlines()]
    assert ["failed:", "refused", "2"] in rows and ["failed:", "unparsable", "3"] in rows
    lost, costs = review.failed_positives, review.costs
    others = 5 - lost
    want = 1000 * (
        0.2 * lost / TARGETS * (costs.missed_usd - costs.review_usd) - 0.8 * others / (200 - TARGETS) * costs.review_usd
    )
    assert miss.dollars_per_1000.value - review.dollars_per_1000.value == pytest.approx(want)  # type: ignore[operator]
    assert "recall of answered" in shown(review)


def test_the_slowest_hundredth_is_timed() -> None:
    """p99 stands beside p50 and p95."""
    timed = Predictions(
        Prediction(f"c{i}", "k@1", "refusal", label="clean", latency_seconds=float(i)) for i in range(200)
    )
    got = evaluate(timed, a_set(), TASK)
    assert got.latency_p99 == pytest.approx(197.01) and "seconds, p50 / p95 / p99" in shown(got)


def test_columns_in_any_order_give_the_same_figures() -> None:
    """Predictions that stand in another order than the examples are matched by item, as numbers."""
    ordered = answers(failed=(3, 50))
    names = ("conversation_id", "classifier_id", "task", "label", "score", "probabilities", "error")
    order = np.random.default_rng(1).permutation(200).tolist()
    columns = {name: [ordered.column(name)[row] for row in order] for name in names}
    one, other = (evaluate(given, a_set(), TASK) for given in (ordered, Predictions.from_columns(columns)))
    assert one.to_dict() == other.to_dict()


def test_a_failed_item_does_not_undo_the_prevalence_of_the_others() -> None:
    """Probabilities said to hold at .5 % are brought to the set's prevalence, whether or not an item failed."""
    chosen = a_set(Design("class_balanced"))
    whole, one_less = (evaluate(answers(failed, probabilities_at=0.005), chosen, TASK) for failed in ((), (150,)))
    assert one_less.brier.value == pytest.approx(whole.brier.value, rel=0.05)
    assert one_less.calibration_slope.value == pytest.approx(whole.calibration_slope.value, rel=0.05)
    other = evaluate(answers((150,)), chosen, TASK)
    assert one_less.brier.value != pytest.approx(other.brier.value, rel=0.05)


def test_a_stratum_without_scores_is_spoken_of() -> None:
    """Where every item of a stratum failed, ranking figures rest on the others, and a note says how much is missing."""
    strata = Design("stratified", strata=(Stratum("top", 1000, 100), Stratum("rest", 99_000, 100)))
    drawn = a_set()
    examples = [replace(one, stratum="top" if i < 100 else "rest") for i, one in enumerate(drawn.examples)]
    dataset = dataset_of("set", drawn.conversations.values(), examples, strata)
    said = "Of the strata with 99 % of the population no item has a score: PR-AUC, ROC AUC and Brier score do not"
    assert any(note.startswith(said) for note in evaluate(answers(range(100, 200)), dataset, TASK).notes)
    assert not any(note.startswith("Of the strata") for note in evaluate(answers(range(100, 199)), dataset, TASK).notes)
