"""Cross-validation: nothing is shared that must not be, everything is asked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import pytest
from hypothesis import given, strategies as st

from llmclf.classifiers.base import Classifier
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation import cross_predict, evaluate, folds
from llmclf.types import (
    Conversation,
    Dataset,
    Example,
    Item,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    dataset_of,
)

TASK = Task("refusal", "?", (Label("yes", "target", ""), Label("no", "clean", "")))


def grid(tasks: Sequence[int], agents: Sequence[int], targets: Sequence[int] = ()) -> Dataset:
    """One conversation for each pair of a task (its group) and an agent (in the metadata)."""
    pairs = list(zip(tasks, agents, strict=True))
    conversations = [
        Conversation(f"c{i}", (Turn("user", "hello"),), metadata={"agent": f"a{agent}"})
        for i, (_, agent) in enumerate(pairs)
    ]
    examples = [
        Example(f"c{i}", labels={"refusal": "yes" if i in targets else "no"}, group=f"t{task}")
        for i, (task, _) in enumerate(pairs)
    ]
    return dataset_of("grid", conversations, examples)


datasets = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4)), min_size=4, max_size=60).filter(
    lambda pairs: len({task for task, _ in pairs}) > 1 and len({agent for _, agent in pairs}) > 1
)


@given(datasets, st.integers(2, 6), st.integers(0, 50), st.sampled_from([("group",), ("agent",), ("group", "agent")]))
def test_nothing_is_shared_and_everything_is_tested_once(
    pairs: list[tuple[int, int]], k: int, seed: int, by: tuple[str, ...]
) -> None:
    """For any factors and k: no test item shares one with its training items; each item is tested exactly once."""
    dataset = grid(*zip(*pairs, strict=True), targets=range(0, len(pairs), 3))  # type: ignore[arg-type]
    made = folds(dataset, by, k, seed, task=TASK)
    assert sorted(place for fold in made for place in fold.test) == list(range(len(pairs)))
    for fold in made:
        for name in by:
            factor = 0 if name == "group" else 1
            assert not {pairs[i][factor] for i in fold.train} & {pairs[i][factor] for i in fold.test}
    assert made == folds(dataset, by, k, seed, task=TASK)


def test_one_factor_uses_every_other_example_to_learn() -> None:
    """With one factor, training and test part make up the whole dataset."""
    for fold in folds(grid(range(20), [0, 1] * 10), k=4):
        assert sorted(fold.train + fold.test) == list(range(20))


def test_targets_are_dealt_evenly() -> None:
    """Ten targets in ten groups of a hundred: two in each of five parts, and parts of equal size."""
    dataset = grid([i // 2 for i in range(200)], [0] * 200, targets=range(0, 20, 2))
    made = folds(dataset, k=5, seed=3, task=TASK)
    assert [len(set(fold.test) & set(range(0, 20, 2))) for fold in made] == [2] * 5
    assert [len(fold.test) for fold in made] == [40] * 5


def test_few_targets_do_not_empty_a_part() -> None:
    """Two groups hold all targets: the other parts are not starved of examples to make up for it."""
    dataset = grid([i // 4 for i in range(200)], [0] * 200, targets=[0, 1, 2, 4, 5])
    assert {len(fold.test) for fold in folds(dataset, k=5, task=TASK)} == {40}


def test_turns_of_a_conversation_stay_together() -> None:
    """Without a group, the conversation is the group."""
    conversations = [Conversation(f"c{i}", (Turn("user", "hi"),) * 3) for i in range(6)]
    examples = [Example(f"c{i}", turn, {"refusal": "no"}) for i in range(6) for turn in range(3)]
    for fold in folds(dataset_of("turns", conversations, examples), k=3):
        assert not {i // 3 for i in fold.train} & {i // 3 for i in fold.test}


def test_factors_that_can_not_be_held_out_are_named() -> None:
    """A single value, an unknown key, missing metadata and one part are errors that say what to do."""
    dataset = grid([0, 1, 2], [0, 0, 0])
    with pytest.raises(DataError, match="'agent' has a single value"):
        folds(dataset, ("agent",))
    with pytest.raises(ConfigError, match="did you mean 'agent'"):
        folds(dataset, ("agnet",))
    with pytest.raises(ConfigError, match="two parts at least"):
        folds(dataset, k=1)
    holes = dataset_of(
        "holes",
        [Conversation("a", metadata={"channel": "chat"}), Conversation("b")],
        [Example("a", labels={"refusal": "no"}), Example("b", labels={"refusal": "no"})],
    )
    with pytest.raises(DataError, match="1 examples have no 'channel'"):
        folds(holes, ("channel",))


class Memory(Classifier):
    """Never flags, and remembers what it learned from."""

    kind = "memory"
    seen_: frozenset[str] = frozenset()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    @property
    def learned(self) -> str:
        return ",".join(sorted(self.seen_))

    def fit(self, dataset: Dataset) -> Self:
        if len(dataset) < 3:
            raise DataError("three examples are needed")
        self.seen_ = frozenset(example.conversation_id for example in dataset.examples)
        return self

    def predict(self, conversations: Mapping[str, Conversation], items: Sequence[Item]) -> Predictions:
        assert {item.conversation_id for item in items} <= set(conversations)
        assert not self.seen_ & {item.conversation_id for item in items}
        return Predictions(
            Prediction(item.conversation_id, self.id, "refusal", item.turn, label="no") for item in items
        )


def test_predictions_come_from_classifiers_that_have_not_seen_them() -> None:
    """Every example is answered once, in order, by a classifier fitted anew without it."""
    dataset = grid(range(30), [0] * 30, targets=range(0, 30, 3))
    got = cross_predict(lambda: Memory(TASK), dataset, TASK, k=3)
    assert got.column("conversation_id") == [f"c{i}" for i in range(30)]
    assert len(set(got.column("classifier_id"))) == 3
    assert not any(got.column("error"))
    assert evaluate(got, dataset, TASK).recall.value == 0.0


def test_a_fold_with_nothing_to_learn_fails_as_data() -> None:
    """With all targets in one group, the fold that tests it can't be learned: its items fail and say why."""
    dataset = grid([0] * 10 + list(range(1, 11)), [0] * 20, targets=range(10))
    got = cross_predict(lambda: Memory(TASK), dataset, TASK, k=2)
    errors = [error for error in got.column("error") if error is not None]
    assert {error.kind for error in errors} == {"internal"}
    assert "no example yes is left to learn from" in errors[0].message
    report = evaluate(got, dataset, TASK)
    assert report.failed_positives == 10 and "every item failed" in report.recall.why_not


def test_a_classifier_that_finds_too_little_fails_as_data() -> None:
    """What a classifier can't learn from is counted as failed items, not a crash."""
    dataset = grid([0, 1, 2, 3], [0] * 4, targets=[0, 2])
    got = cross_predict(lambda: Memory(TASK), dataset, TASK, k=2)
    assert all("three examples are needed" in error.message for error in got.column("error"))


def test_examples_without_a_label_are_not_asked() -> None:
    """Only examples labelled for the task are learned from and predicted."""
    dataset = grid(range(12), [0] * 12, targets=range(0, 12, 2))
    more = Dataset(
        "more",
        {**dataset.conversations, "x": Conversation("x")},
        (*dataset.examples, Example("x", labels={"other": "1"})),
    )
    assert len(cross_predict(lambda: Memory(TASK), more, TASK, k=2)) == 12
