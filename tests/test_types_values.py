"""Tasks, datasets, estimates and predictions."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import llmclf.types as types
from llmclf.errors import ConfigError, DataError, ModelError
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Estimate,
    Evidence,
    Example,
    Item,
    Label,
    Prediction,
    Predictions,
    Rule,
    Stratum,
    Task,
    Turn,
    Usage,
    dataset_of,
)

TASK = Task(
    "refusal",
    "Is the customer refused a person?",
    (
        Label("refused", "target", "asked and refused", (Rule("R1", "A queue is no refusal."),)),
        Label("clean", "clean", "nothing of it"),
    ),
)


def small_dataset() -> Dataset:
    conversations = [Conversation(f"c{n}", (Turn("user", f"Hello {n}"), Turn("bot", "Hi"))) for n in range(3)]
    examples = [
        Example("c0", labels={"refusal": "refused"}, inclusion_probability=0.5),
        Example("c1", labels={"refusal": "clean"}, group="family"),
        Example("c2", labels={"other": "yes"}, source="synthetic"),
    ]
    return dataset_of("small", conversations, examples, Design("stratified", (Stratum("all", 100, 3),)))


@pytest.mark.parametrize("name", [n for n in types.__all__ if dataclasses.is_dataclass(getattr(types, n))])
def test_every_value_is_frozen(name: str) -> None:
    """No value of llmclf.types can be changed after it was made."""
    assert getattr(types, name).__dataclass_params__.frozen


def test_a_task_knows_its_target_and_closed_set() -> None:
    """Target and label names follow from the labels, and another label is refused with the nearest."""
    assert TASK.target == "refused"
    assert TASK.label_names == ("refused", "clean")
    assert "R1. A queue is no refusal." in TASK.guideline.text
    with pytest.raises(ConfigError, match="did you mean 'refused'"):
        TASK.check_label("refusd")


def test_a_task_without_exactly_one_target_is_refused() -> None:
    """Two targets, none, and a label that stands twice are named at once."""
    yes, no = Label("yes", "target", "y"), Label("no", "clean", "n")
    with pytest.raises(ConfigError) as caught:
        Task("t", "?", (yes, yes, no))
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="got none"):
        Task("t", "?", (no,))


def test_guideline_versions_follow_the_text() -> None:
    """The same words have the same version; a changed rule changes it."""
    other = dataclasses.replace(TASK, labels=(*TASK.labels[1:], dataclasses.replace(TASK.labels[0], rules=())))
    assert TASK.guideline.version == dataclasses.replace(TASK).guideline.version
    assert TASK.guideline.version != other.guideline.version


def test_a_dataset_hash_is_stable() -> None:
    """The hash is over content: not the name, not the order of conversations, not the process."""
    dataset = small_dataset()
    shuffled = Dataset("renamed", dict(reversed(dataset.conversations.items())), dataset.examples, dataset.design)
    assert dataset.content_hash == shuffled.content_hash
    code = "import sys; sys.path.insert(0, sys.argv[1])\nimport test_types_values as t\n"
    code += "print(t.small_dataset().content_hash)"
    run = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.stdout.strip() == dataset.content_hash


def test_a_dataset_hash_changes_with_everything_that_counts() -> None:
    """Another word, label, weight or design is another dataset."""
    dataset = small_dataset()
    first = dataset.conversations["c0"]
    changed = [
        dataclasses.replace(dataset, design=Design("unknown")),
        dataclasses.replace(dataset, examples=dataset.examples[:2]),
        dataclasses.replace(
            dataset,
            examples=(dataclasses.replace(dataset.examples[0], inclusion_probability=0.4), *dataset.examples[1:]),
        ),
        dataclasses.replace(
            dataset,
            conversations={**dataset.conversations, "c0": dataclasses.replace(first, turns=(Turn("user", "Hello 9"),))},
        ),
    ]
    assert len({dataset.content_hash, *(other.content_hash for other in changed)}) == 5


def test_for_task_keeps_labelled_examples_and_their_conversations() -> None:
    """What has no label of the task is left out; asking for its labels anyway is an error."""
    dataset = small_dataset()
    kept = dataset.for_task("refusal")
    assert kept.labels("refusal") == ["refused", "clean"]
    assert set(kept.conversations) == {"c0", "c1"}
    assert dataset.is_synthetic
    assert not kept.is_synthetic
    with pytest.raises(DataError, match="1 examples have no label"):
        dataset.labels("refusal")
    assert [example.weight for example in kept.examples] == [2.0, 1.0]
    assert [example.group_or_conversation for example in kept.examples] == ["c0", "family"]


def test_dataset_mistakes_are_data_errors() -> None:
    """Ids that stand twice and examples about nothing are named."""
    with pytest.raises(DataError, match="not unique"):
        dataset_of("d", [Conversation("a"), Conversation("a")])
    with pytest.raises(DataError, match="not in the dataset"):
        small_dataset().conversation(Example("nowhere"))


def test_items_are_written_with_their_turn() -> None:
    """A conversation by its id, a turn in brackets behind it."""
    assert str(Item("c1")) == "c1"
    assert str(Item("c1", 0)) == "c1[0]"


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.86, 0.71, 0.95), "0.86 (0.71-0.95)"),
        (Estimate(0.86), "0.86"),
        (Estimate(0.86, low=0.71), "0.86"),
        (Estimate.unknown("5 positives"), "not estimable (5 positives)"),
        (Estimate(None), "not estimable"),
        (Estimate(0.0, 0.0, 0.03), "0.00 (0.00-0.03)"),
    ],
)
def test_estimates_read_as_figures_with_intervals(estimate: Estimate, text: str) -> None:
    """A known figure shows its interval, an unknown one the reason."""
    assert str(estimate) == text


def test_estimates_take_a_unit_and_a_precision() -> None:
    """Dollars stand before each number."""
    assert Estimate(12.345, 10, 15).format(".1f", "$") == "$12.3 ($10.0-$15.0)"
    assert Estimate(None, high=0.2).is_upper_bound_only
    assert not Estimate(0.1, high=0.2).is_upper_bound_only
    assert json.loads(json.dumps(Estimate(0.5, method="wilson").to_dict()))["method"] == "wilson"


def test_a_review_costs_its_minutes() -> None:
    """Ninety seconds at 48 dollars an hour are 1.20 dollars."""
    assert Costs().review_usd == pytest.approx(1.2)


PREDICTIONS = st.builds(
    Prediction,
    st.text(max_size=5),
    st.just("c@1"),
    st.just("refusal"),
    turn=st.none() | st.integers(0, 9),
    label=st.none() | st.sampled_from(TASK.label_names),
    flagged=st.none() | st.booleans(),
    score=st.none() | st.floats(0, 1),
    evidence=st.lists(st.builds(Evidence, st.text(max_size=5), st.none() | st.integers(0, 3), st.booleans())).map(
        tuple
    ),
    error=st.none() | st.builds(ErrorInfo, st.just("timeout"), st.just("late"), st.booleans()),
    usage=st.builds(Usage, st.none() | st.integers(0, 99)),
    cost_nano_usd=st.none() | st.integers(0, 10**12),
    probabilities=st.none() | st.just({"refused": 0.25, "clean": 0.75}),
)


@given(st.lists(PREDICTIONS, max_size=5))
def test_predictions_survive_as_columns(made) -> None:
    """Predictions kept as columns come back equal, whole and in slices."""
    kept = Predictions(made)
    assert list(kept) == made
    assert list(kept[1:]) == made[1:]
    names = [field.name for field in dataclasses.fields(Prediction)]
    assert list(Predictions.from_columns({name: kept.column(name) for name in names})) == made


def test_columns_that_are_left_out_hold_their_default() -> None:
    """Only the fields without a default are needed."""
    made = Predictions.from_columns({"conversation_id": ["a", "b"], "classifier_id": ["k"] * 2, "task": ["t"] * 2})
    assert made[1] == Prediction("b", "k", "t")


def test_columns_that_are_no_predictions_are_refused() -> None:
    """Unknown, missing and unequal columns are all named."""
    with pytest.raises(DataError) as caught:
        Predictions.from_columns({"conversation_id": ["a"], "classifier_id": [], "lable": ["x"]})
    text = str(caught.value)
    assert "did you mean 'label'?" in text
    assert "task: is missing" in text
    assert "not equally long" in text


def test_a_column_taken_out_is_a_copy() -> None:
    """Changing a column in one's hand does not change the predictions."""
    kept = Predictions([Prediction("a", "k", "t", label="clean")])
    kept.column("label")[0] = "refused"
    assert kept[0].label == "clean"


def test_a_failed_item_is_no_negative() -> None:
    """An error has no label and no flag, and keeps its kind and whether to ask again."""
    failed = Prediction("a", "k", "t", error=ErrorInfo.of(ModelError("rate_limited", "slow down")))
    assert failed.failed
    assert (failed.label, failed.flagged) == (None, None)
    assert failed.error is not None
    assert failed.error.retryable
    assert repr(Predictions([failed])) == "<1 predictions: 0 flagged, 1 failed>"
    assert failed.to_dict()["label"] is None


def test_unknown_cost_is_not_zero() -> None:
    """None stays None in dollars, zero is zero."""
    assert Prediction("a", "k", "t", cost_nano_usd=None).cost_usd is None
    assert Prediction("a", "k", "t", cost_nano_usd=2_500_000).cost_usd == 0.0025
    assert Prediction("a", "k", "t", cost_nano_usd=None).to_dict()["cost_usd"] is None
    assert Prediction("a", "k", "t", evidence=(Evidence("x", 0, grounded=False),)).ungrounded
