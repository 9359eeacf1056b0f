"""Predictions against labels: what is counted, what is refused, what is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmclf.errors import DataError
from llmclf.evaluation import Evaluation, evaluate
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Evidence,
    Example,
    FailureMode,
    Label,
    Prediction,
    Predictions,
    Stratum,
    Task,
    Turn,
    dataset_of,
)

TASK = Task(
    "refusal",
    "Is a person refused?",
    (Label("refusal", "target", "x"), Label("frustration", "adjacent", "x"), Label("clean", "clean", "x")),
    failure_modes=(FailureMode("flat", "says no"), FailureMode("loop", "goes round")),
)


def example(number: int, label: str, **known: Any) -> Example:
    return Example(f"c{number}", labels={"refusal": label}, **known)


def dataset(examples: Sequence[Example], design: Design = Design(), **metadata: str) -> Dataset:
    ids = dict.fromkeys(one.conversation_id for one in examples)
    conversations = [Conversation(id, (Turn("user", "Hello"),), metadata=metadata) for id in ids]
    return dataset_of("set", conversations, examples, design)


def said(number: int, label: str | None = "clean", **known: Any) -> Prediction:
    return Prediction(f"c{number}", "probe@1", "refusal", label=label, **known)


def failed(number: int, kind: Any = "timeout") -> Prediction:
    return said(number, None, error=ErrorInfo(kind, "no answer"))


def a_hundred(design: Design = Design(), **known: Any) -> tuple[Predictions, Dataset]:
    """20 targets, 16 of them found; 10 frustrated, 3 flagged; 70 clean, 1 flagged."""
    labels = ["refusal"] * 20 + ["frustration"] * 10 + ["clean"] * 70
    flagged = [*range(16), 20, 21, 22, 30]
    answers = [said(i, "refusal" if i in flagged else "clean", score=0.9 if i in flagged else 0.1) for i in range(100)]
    return Predictions(answers), dataset([example(i, label, **known) for i, label in enumerate(labels)], design)


def test_counts_and_rates_of_an_unknown_design_are_of_the_set() -> None:
    """Recall and specificity are of the set; precision is projected and says so; the rest says why not."""
    got = evaluate(*a_hundred(), TASK)
    assert got.counts == {"tp": 16, "fp": 4, "fn": 4, "tn": 76}
    assert (got.n, got.n_positives, got.design, got.knows_prevalence) == (100, 20, "unknown", False)
    assert got.recall.value == 0.8 and got.specificity.value == 0.95
    assert got.projected_precision.value == pytest.approx(0.005 * 0.8 / (0.005 * 0.8 + 0.995 * 0.05))
    assert got.flag_rate.value == pytest.approx(0.005 * 0.8 + 0.995 * 0.05)
    for unknown in (got.precision, got.prevalence, got.f1):
        assert not unknown.is_known and unknown.why_not == "how the examples were drawn is not known"
    assert any(
        "Recall and specificity are of this set" in note and "assumed prevalence of 0.5 %" in note for note in got.notes
    )


def test_a_class_balanced_design_knows_no_prevalence_either() -> None:
    """Drawn by label: no precision, and the reason is the draw."""
    got = evaluate(*a_hundred(Design("class_balanced")), TASK)
    assert got.precision.why_not == "the examples were drawn by their label"
    assert got.recall.is_known


def test_a_random_design_gives_rates_of_the_population() -> None:
    """A simple random sample: precision, prevalence and F1 are of the population."""
    got = evaluate(*a_hundred(Design("random")), TASK)
    assert got.precision.value == 0.8 and got.prevalence.value == 0.2 and got.f1.value == pytest.approx(0.8)
    assert got.flag_rate.value == 0.2
    assert any("they say" in note and "speak against" in note for note in got.notes)  # 20 % is not the assumed 0.5 %


def test_strata_weigh() -> None:
    """The same set, half of it standing for a hundred times as much: rates follow the strata's sizes."""
    predictions, plain = a_hundred()
    examples = [replace(one, stratum="rest" if i % 2 else "hot") for i, one in enumerate(plain.examples)]
    design = Design("stratified", (Stratum("hot", 50, 50), Stratum("rest", 5000, 50)))
    got = evaluate(predictions, dataset(examples, design), TASK)
    weight = np.where(np.arange(100) % 2, 100, 1)
    target = np.arange(100) < 20
    flag = np.isin(np.arange(100), [*range(16), 20, 21, 22, 30])
    assert got.recall.value == pytest.approx(weight[target & flag].sum() / weight[target].sum())
    assert got.precision.value == pytest.approx(weight[target & flag].sum() / weight[flag].sum())
    assert got.prevalence.value == pytest.approx(weight[target].sum() / 5050)
    assert got.recall.largest_weight_share == pytest.approx(100 / 1010)


def test_a_weighted_design_is_its_inclusion_probabilities() -> None:
    """Chances in place of strata give the same figures."""
    predictions, plain = a_hundred()
    examples = [replace(one, inclusion_probability=0.01 if i % 2 else 1.0) for i, one in enumerate(plain.examples)]
    got = evaluate(predictions, dataset(examples, Design("weighted")), TASK)
    assert got.prevalence.value == pytest.approx(1010 / 5050)


def test_a_heavy_label_is_pointed_at() -> None:
    """A single label that stands for most of the estimated positives is named in a note."""
    predictions, plain = a_hundred()
    examples = [replace(one, stratum="rest" if i in (19, 99) else "hot") for i, one in enumerate(plain.examples)]
    design = Design("stratified", (Stratum("hot", 98, 98), Stratum("rest", 200, 2)))
    got = evaluate(predictions, dataset(examples, design), TASK)
    assert got.recall.largest_weight_share == pytest.approx(100 / 119)
    assert any(note.startswith("One label stands for 84%") for note in got.notes)


def test_a_stratum_without_labels_takes_the_population_away() -> None:
    """Where a stratum has no labelled example, rates are of the set and the reason names the stratum."""
    predictions, plain = a_hundred()
    examples = [replace(one, stratum="hot") for one in plain.examples]
    design = Design("stratified", (Stratum("hot", 100, 100), Stratum("rest", 900, 50)))
    got = evaluate(predictions, dataset(examples, design), TASK)
    assert not got.knows_prevalence
    assert got.precision.why_not == "no labelled example stands for 90% of the population (stratum rest)"


def test_failed_items_are_misses_left_out_and_never_negatives() -> None:
    """Failed targets are misses in one recall and left out of the other; specificity never counts failures."""
    predictions, labelled = a_hundred()
    answers = [failed(i, "refused") if i in (0, 1, 50) else one for i, one in enumerate(predictions)]
    got = evaluate(Predictions(answers), labelled, TASK)
    assert got.failed == {"refused": 3} and got.failed_positives == 2
    assert got.recall.value == 14 / 20 and got.recall_answered.value == pytest.approx(14 / 18)
    assert got.specificity.value == pytest.approx(75 / 79)
    assert got.counts == {"tp": 14, "fp": 4, "fn": 4, "tn": 75}
    assert any("3 of 100 items failed (3 refused)" in note and "them: 2" in note for note in got.notes)
    dearer = evaluate(Predictions(answers), labelled, TASK, costs=Costs(on_error="miss"))
    assert dearer.dollars_per_1000.value > got.dollars_per_1000.value  # type: ignore[operator]


def test_everything_failed_is_no_perfect_classifier() -> None:
    """With every item failed no rate and no dollars are known."""
    _, labelled = a_hundred()
    got = evaluate(Predictions(failed(i) for i in range(100)), labelled, TASK)
    assert got.recall.why_not == "every item failed: recall can't be known" and got.recall.high is None
    assert not got.recall_answered.is_known and not got.f1.is_known
    assert got.dollars_per_1000.why_not == "every item failed: dollars can't be known"
    assert got.specificity.why_not == "every item failed: specificity can't be known"
    assert not got.projected_precision.is_known and not got.roc_auc.is_known


def test_dollars_and_cost() -> None:
    """Dollars are for 1,000 items at the assumed prevalence, the model's own price added; unknown is not zero."""
    predictions, labelled = a_hundred()
    costs = Costs(missed_usd=40, false_alarm_usd=2, prevalence=0.01)
    priced = Predictions(replace(one, cost_nano_usd=2_000_000) for one in predictions)
    got = evaluate(priced, labelled, TASK, costs=costs)
    assert got.cost_per_item_usd == pytest.approx(0.002)
    by_hand = 1000 * (0.01 * (0.8 * 1.2 + 0.2 * 40) + 0.99 * 0.05 * 3.2 + 0.002)
    assert got.dollars_per_1000.value == pytest.approx(by_hand)
    unknown = Predictions(replace(one, cost_nano_usd=None) if i == 7 else one for i, one in enumerate(priced))
    got = evaluate(unknown, labelled, TASK, costs=costs)
    assert got.cost_per_item_usd is None
    assert got.dollars_per_1000.why_not.startswith(f"the model's own price is not known; without it ${by_hand - 2:.0f}")
    assert (got.dollars_per_1000.value, got.dollars_per_1000.high) == (None, None)


def test_latency_is_of_timed_answers() -> None:
    """p50 and p95 are percentiles of the seconds that were measured; without any they are unknown."""
    predictions, labelled = a_hundred()
    assert evaluate(predictions, labelled, TASK).latency_p50 is None
    timed = Predictions(replace(one, latency_seconds=float(i)) for i, one in enumerate(predictions))
    got = evaluate(timed, labelled, TASK)
    assert (got.latency_p50, got.latency_p95) == (pytest.approx(49.5), pytest.approx(94.05))


def test_failure_modes_and_labels_apart() -> None:
    """Recall by failure mode, few ones as intervals only; false alarms by label, whatever their number."""
    predictions, plain = a_hundred()
    examples = [
        replace(one, failure_modes=("flat",) if i < 12 else ("loop", "other")) if i < 20 else one
        for i, one in enumerate(plain.examples)
    ]
    got = evaluate(predictions, dataset(examples), TASK)
    assert list(got.by_failure_mode) == ["flat", "loop", "other"]
    assert got.by_failure_mode["flat"].value == 1.0
    assert got.by_failure_mode["loop"].value is None and got.by_failure_mode["loop"].is_upper_bound_only
    assert {label: one.value for label, one in got.by_label.items()} == {
        "frustration": pytest.approx(0.3),
        "clean": pytest.approx(1 / 70),
    }
    assert got.label_counts == {"refusal": 20, "frustration": 10, "clean": 70}


def test_scores_rank() -> None:
    """ROC AUC comes from scores; the Brier score only from probabilities; answers without a score are left out."""
    predictions, labelled = a_hundred()
    got = evaluate(predictions, labelled, TASK)
    assert got.roc_auc.value == pytest.approx(0.8 * 0.95 + 0.5 * (0.8 * 0.05 + 0.2 * 0.95))
    assert got.pr_auc.why_not == "needs 5 more positives"
    assert got.brier.why_not == "the scores are not on a probability scale"
    chances = [replace(one, probabilities={"refusal": one.score or 0.0}) for one in predictions]
    assert evaluate(Predictions(chances), labelled, TASK).brier.value == pytest.approx(0.08 * 0.81 + 0.92 * 0.01)
    chances[3] = replace(chances[3], score=None, probabilities=None)
    got = evaluate(Predictions(chances), labelled, TASK)
    assert got.brier.is_known and any(note.startswith("1 answer has no score") for note in got.notes)
    unscored = Predictions(replace(one, score=None) for one in predictions)
    assert evaluate(unscored, labelled, TASK).roc_auc.why_not == "the answers have no score"


def test_few_positives_give_intervals_and_no_figures() -> None:
    """With five positives recall, dollars and projections have an interval and say how many more are needed."""
    labels = ["refusal"] * 5 + ["clean"] * 95
    labelled = dataset([example(i, label) for i, label in enumerate(labels)])
    got = evaluate(
        Predictions(said(i, "refusal" if i in (0, 1, 2, 50) else "clean") for i in range(100)), labelled, TASK
    )
    for estimate in (got.recall, got.dollars_per_1000, got.projected_precision):
        assert estimate.value is None and estimate.low is not None and "needs 5 more at least" in estimate.why_not


def test_no_positives_say_so() -> None:
    """Without a positive recall can't be known, and a note says it; specificity stands."""
    labelled = dataset([example(i, "clean") for i in range(40)])
    got = evaluate(Predictions(said(i) for i in range(40)), labelled, TASK)
    assert not got.recall.is_known and got.recall.low is None
    assert got.specificity.value == 1.0
    assert "There are no positives: recall can't be known." in got.notes


def test_intervals_cluster_by_group() -> None:
    """Items of one group, or turns of one conversation, widen the interval and are counted in a note."""
    predictions, plain = a_hundred()
    grouped = dataset([replace(one, group=f"g{i // 5}") for i, one in enumerate(plain.examples)])
    alone, together = evaluate(predictions, plain, TASK), evaluate(predictions, grouped, TASK)
    assert together.n_groups == 20 and alone.n_groups == 100
    assert together.recall.high - together.recall.low > 1.2 * (alone.recall.high - alone.recall.low)  # type: ignore[operator]
    assert any("20 groups, not 100 items" in note for note in together.notes)


def test_turns_are_items_of_their_conversation() -> None:
    """A task about turns matches by turn, clusters by conversation, and says that dollars are per turn."""
    task = replace(TASK, unit="turn")
    examples = [Example(f"c{i // 4}", i % 4, {"refusal": "refusal" if i % 4 == 1 else "clean"}) for i in range(80)]
    answers = [
        Prediction(f"c{i // 4}", "p@1", "refusal", i % 4, "refusal" if i % 4 == 1 else "clean") for i in range(80)
    ]
    got = evaluate(Predictions(reversed(answers)), dataset(examples), task)
    assert got.counts == {"tp": 20, "fp": 0, "fn": 0, "tn": 60}
    assert got.n_groups == 20
    assert any("per turn" in note for note in got.notes)


def test_marks_of_the_data_and_answers() -> None:
    """Synthetic and silver examples, simulated answers, ungrounded quotes and truncation are counted and said."""
    predictions, plain = a_hundred()
    examples = [replace(one, source="synthetic" if i < 60 else "silver") for i, one in enumerate(plain.examples)]
    marked = [replace(one, simulated=True) for one in predictions]
    marked[0] = replace(marked[0], evidence=(Evidence("never said", 0, grounded=False),), truncated=True)
    got = evaluate(Predictions(marked), dataset(examples), TASK)
    assert got.synthetic and got.simulated
    assert got.sources == {"synthetic": 60, "silver": 40}
    assert (got.ungrounded, got.truncated) == (1, 1)
    text = " ".join(got.notes)
    for words in (
        "are simulated",
        "60 of 100 examples are synthetic",
        "40 of 100 labels are silver",
        "1 answer quotes words",
    ):
        assert words in text


def test_flags_follow_the_threshold_not_the_label() -> None:
    """Where the classifier says whether it flags, that counts; else the label does."""
    _, labelled = a_hundred()
    answers = [said(i, "clean", flagged=i < 20) for i in range(100)]
    assert evaluate(Predictions(answers), labelled, TASK).counts["tp"] == 20


def test_everything_that_does_not_fit_is_listed_at_once() -> None:
    """Missing, doubled, foreign and silent predictions, wrong tasks and labels all stand in one message."""
    labelled = dataset([example(0, "refusal"), example(1, "clean"), example(2, "nonsense"), example(2, "clean")])
    answers = [said(0), said(0), said(9), replace(said(2), task="other", simulated=True), said(2, None)]
    with pytest.raises(DataError) as caught:
        evaluate(Predictions(answers), labelled, TASK)
    text = str(caught.value)
    for words in (
        "c1 has no prediction",
        "c9 is predicted but not in the dataset",
        "c2 stands twice among the examples",
        "c0 is predicted twice",
        "label 'nonsense' of 1 examples is not one of refusal, frustration, clean",
        "1 predictions are for task 'other'",
        "c2 has neither a label nor an error",
        "1 of 5 predictions are simulated",
    ):
        assert words in text, words


def test_long_lists_are_cut() -> None:
    """Of a hundred missing predictions twenty are named and the rest counted."""
    _, labelled = a_hundred()
    with pytest.raises(DataError, match="and 79 more, of which each has no prediction"):
        evaluate(Predictions([said(0)]), labelled, TASK)


def test_predictions_without_a_label_are_put_aside() -> None:
    """A prediction about an unlabelled item of the dataset is no error: it is listed and in no figure."""
    predictions, labelled = a_hundred()
    labelled = replace(
        labelled,
        examples=(*labelled.examples, Example("c200", labels={"other": "x"})),
        conversations={**labelled.conversations, "c200": Conversation("c200"), "c201": Conversation("c201")},
    )
    got = evaluate(Predictions([*predictions, said(200), said(201)]), labelled, TASK)
    assert got.unlabelled == ("c200", "c201") and got.n == 100
    assert any(note.startswith("2 predictions are about items without a label") for note in got.notes)


def test_designs_that_contradict_their_examples_are_refused() -> None:
    """Unknown strata, missing or unequal chances and an unlabelled task are the user's to mend."""
    predictions, plain = a_hundred()
    with pytest.raises(DataError, match="stratum 'x' is not in the design"):
        examples = [replace(one, stratum="x" if i else "hot") for i, one in enumerate(plain.examples)]
        evaluate(predictions, dataset(examples, Design("stratified", (Stratum("hot", 500, 100),))), TASK)
    with pytest.raises(DataError, match="c0: inclusion_probability must be above 0"):
        evaluate(predictions, replace(plain, design=Design("weighted")), TASK)
    with pytest.raises(DataError, match="unequal inclusion probabilities"):
        examples = [replace(one, inclusion_probability=0.1 + i / 200) for i, one in enumerate(plain.examples)]
        evaluate(predictions, dataset(examples, Design("random")), TASK)
    with pytest.raises(DataError, match="no example has a label for task other"):
        evaluate(predictions, plain, replace(TASK, name="other"))


def test_two_classifiers_are_not_one_and_folds_are() -> None:
    """Predictions of two classifiers are refused; those of one classifier fitted per fold keep its name."""
    predictions, labelled = a_hundred()
    mixed = Predictions(replace(one, classifier_id=f"{'ab'[i % 2]}@1") for i, one in enumerate(predictions))
    with pytest.raises(DataError, match="2 classifiers: a, b"):
        evaluate(mixed, labelled, TASK)
    folded = Predictions(replace(one, classifier_id=f"probe@{i % 5}") for i, one in enumerate(predictions))
    assert evaluate(folded, labelled, TASK).classifier_id == "probe (5 fits)"


def test_same_inputs_same_figures() -> None:
    """Nothing but the inputs, level and seed enters: order of predictions does not either."""
    predictions, labelled = a_hundred(Design("random"))
    first = evaluate(predictions, labelled, TASK, seed=3)
    assert evaluate(Predictions(reversed(list(predictions))), labelled, TASK, seed=3) == first
    narrow = evaluate(predictions, labelled, TASK, level=0.8, seed=3)
    assert narrow.recall.low > first.recall.low  # type: ignore[operator]


# --- forms ------------------------------------------------------------------------------------------------------


def shown(evaluation: Evaluation, width: int = 120) -> str:
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=width, color_system=None).print(evaluation)
    return out.getvalue()


def test_the_table_fits_80_columns_and_says_everything() -> None:
    """On any terminal the table is at most 80 wide; figures, notes and stamps are in it."""
    predictions, plain = a_hundred()
    examples = [replace(one, source="synthetic", failure_modes=("flat",)) for one in plain.examples]
    got = evaluate(Predictions(replace(one, simulated=True) for one in predictions), dataset(examples), TASK)
    for width in (80, 200):
        text = shown(got, width)
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
        for words in ("SIMULATED", "SYNTHETIC", "recall", "0.80", "precision at 0.5 %", "dollars per 1,000", "flat"):
            assert words in text, words
    assert "of this set" in " ".join(shown(got).split())


def test_unknown_figures_show_as_question_marks_with_the_reason() -> None:
    """A figure that can't be given is a question mark, its interval beside it where there is one."""
    labels = ["refusal"] * 5 + ["clean"] * 95
    labelled = dataset([example(i, label) for i, label in enumerate(labels)])
    text = shown(evaluate(Predictions(said(i) for i in range(100)), labelled, TASK))
    row = next(line for line in text.splitlines() if line.strip().startswith("recall"))
    assert row.split()[:5] == ["recall", "(of", "this", "set)", "?"] and "0.00-" in row
    assert "needs 5 more" in " ".join(text.split())


def test_html_is_escaped_and_holds_the_same_rows() -> None:
    """The notebook form has the figures and notes, and no text of the user's becomes markup."""
    predictions, labelled = a_hundred()
    html = evaluate(predictions, replace(labelled, name="<script>"), TASK)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "<td>recall (of this set)</td>" in html and ">0.80</td>" in html and "<li>Recall and specificity" in html


def test_no_text_is_read_as_markup() -> None:
    """Square brackets in a name stay as they are on a terminal."""
    predictions, labelled = a_hundred()
    assert "[bold]set[/x]" in shown(evaluate(predictions, replace(labelled, name="[bold]set[/x]"), TASK))


def test_json_holds_every_figure() -> None:
    """The JSON form is plain, complete and stable under reading."""
    got = evaluate(*a_hundred(Design("random")), TASK)
    document = json.loads(got.to_json())
    assert document == got.to_dict()
    assert document["recall"]["value"] == 0.8 and document["recall"]["n_positives"] == 20
    assert document["pr_auc"]["value"] is None and document["pr_auc"]["why_not"]
    assert document["by_label"]["clean"]["value"] == pytest.approx(1 / 70)
    assert document["costs"]["prevalence"] == 0.005
    assert document["synthetic"] is False and document["counts"]["tp"] == 16


def test_the_frame_has_a_row_for_each_estimate() -> None:
    """As a data frame: one row a figure, failure modes and labels in a column of their own."""
    pd = pytest.importorskip("pandas")
    frame = evaluate(*a_hundred(failure_modes=("flat",)), TASK).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.set_index(["figure", "of"]).loc[("recall", ""), "value"] == 0.8
    assert set(frame[frame["of"] != ""]["of"]) == {"flat", "frustration", "clean"}


# --- public data ------------------------------------------------------------------------------------------------


def test_five_refusals_of_the_airline_set_give_no_recall(test_data: Path) -> None:
    """On the airline conversations with their strata: 63 requests give a recall, five refusals an interval only."""
    path = test_data / "td_eval_airline" / "labels" / "airline.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    sizes = {pool: sum(row["pool"] == pool for row in rows) for pool in ("regex", "transfer", "random")}
    design = Design(
        "stratified",
        tuple(Stratum(pool, 385 if pool == "random" else drawn, drawn) for pool, drawn in sizes.items()),
    )
    found: dict[str, Evaluation] = {}
    for name in ("request", "refusal_to_transfer"):
        task = Task(name, "?", (Label("yes", "target", ""), Label("no", "clean", "")))
        examples = [
            Example(
                f"{row['file']}:{row['row']}",
                labels={name: "yes" if row["labels"][name] else "no"},
                stratum=row["pool"],
                source="silver",
                group=str(row["task"]),
            )
            for row in rows
        ]
        answers = [
            Prediction(one.conversation_id, "regex@1", name, label="yes" if row["pool"] == "regex" else "no")
            for one, row in zip(examples, rows, strict=True)
        ]
        found[name] = evaluate(Predictions(answers), dataset(examples, design), task)
    request, refusal = found["request"], found["refusal_to_transfer"]
    assert request.prevalence.value == pytest.approx(0.102, abs=0.001)
    assert request.recall.is_known and request.recall.n_positives == 63
    assert refusal.n_positives == 5 and refusal.recall.value is None and refusal.recall.low is not None
    assert refusal.recall.why_not.startswith("5 positives can't give a recall figure: needs 5 more at least")
    assert refusal.prevalence.value == pytest.approx(0.0081, abs=0.0001)
