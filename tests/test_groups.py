"""What hangs together: groups, conversations and pairs, for intervals and for folds alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from llmclf.classifiers import probe as probe_module
from llmclf.classifiers.conformance import small_dataset
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.classifiers.probe_model import ProbeModel
from llmclf.classifiers.probe_training import TrainingSet
from llmclf.data.checks.leakage import leakage_findings
from llmclf.data.split import blocks_of
from llmclf.evaluation import evaluate, folds, style as style_module
from llmclf.sweeps.effort import compare_efforts
from llmclf.types import (
    Conversation,
    Example,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    dataset_of,
    groups_of,
)

TASK = Task("refusal", "?", (Label("yes", "target", ""), Label("no", "clean", "")))
NAMES = st.sampled_from(["c0", "c1", "c2", "c3", "c4", "c5"])
EXAMPLES = st.lists(
    st.builds(
        Example, NAMES, group=st.sampled_from(["", "", "g0", "g1", "c1"]), pair=st.sampled_from(["", "c2", "c9"])
    ),
    max_size=8,
)


def blocks(names: list[str]) -> set[frozenset[int]]:
    return {frozenset(i for i, name in enumerate(names) if name == one) for one in names}


def test_pairs_groups_and_conversations_are_followed_through() -> None:
    """A pair joins the groups of both its conversations; turns of a conversation are one; the rest stands alone."""
    examples = [Example("a", group="g"), Example("b", pair="a"), Example("c", pair="b"), Example("d"), Example("d", 3)]
    assert groups_of([*examples, Example("e")]) == ["g", "g", "g", "d", "d", "e"]
    assert len(set(groups_of([Example("x", pair="gone"), Example("y", pair="gone")]))) == 1


@given(EXAMPLES)
def test_groups_are_the_blocks_of_a_split(examples: list[Example]) -> None:
    """Intervals take as one what a split keeps together, where a pair's conversation has no group of its own."""
    ids = dict.fromkeys(example.conversation_id for example in examples)
    dataset = dataset_of("set", [Conversation(id, (Turn("user", "hi"),)) for id in ids], examples)
    split = {frozenset(block) for block in blocks_of(dataset)}
    for block in split:  # never finer than a split
        assert any(block <= other for other in blocks(groups_of(examples)))


def test_intervals_cluster_by_pair() -> None:
    """Counterfactual pairs are not independent: fewer groups, a wider interval, and a note."""
    plain = [Example(f"c{i}", labels={"refusal": "yes"}) for i in range(40)]
    paired = [Example(f"c{i}", labels={"refusal": "yes"}, pair=f"c{i ^ 1}") for i in range(40)]
    others = [Example(f"n{i}", labels={"refusal": "no"}) for i in range(20)]
    conversations = [Conversation(one.conversation_id, (Turn("user", "hi"),)) for one in [*plain, *others]]
    answers = Predictions(
        Prediction(one.conversation_id, "k@1", "refusal", label="yes" if i < 40 and i % 4 < 2 else "no")
        for i, one in enumerate([*plain, *others])
    )
    alone, joined = (
        evaluate(answers, dataset_of("set", conversations, [*some, *others]), TASK) for some in (plain, paired)
    )
    assert (alone.n_groups, joined.n_groups) == (60, 40)
    assert joined.recall.high - joined.recall.low > 1.2 * (alone.recall.high - alone.recall.low)  # type: ignore[operator]
    assert any(note.startswith("Intervals count 40 groups, not 60 items") for note in joined.notes)


def test_folds_never_split_a_pair() -> None:
    """Of a counterfactual pair, one is not learned from where the other is asked about."""
    examples = [Example(f"c{i}", labels={"refusal": "yes" if i % 2 else "no"}, pair=f"c{i ^ 1}") for i in range(30)]
    conversations = [Conversation(one.conversation_id, (Turn("user", "hi"),)) for one in examples]
    for fold in folds(dataset_of("set", conversations, examples), k=5):
        assert {place ^ 1 for place in fold.test} == set(fold.test)
        assert not {place ^ 1 for place in fold.test} & set(fold.train)


def test_a_probe_holds_out_pairs_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scores are scaled on folds, and both halves of a pair are in one."""
    task, dataset = small_dataset()
    count = len(dataset)
    twins = [dataset.examples[(place + count // 2) % count].conversation_id for place in range(count)]
    examples = tuple(replace(one, group="", pair=pair) for one, pair in zip(dataset.examples, twins, strict=True))
    given: list[list[str]] = []
    real_train = probe_module.train

    def train(data: TrainingSet, **options: Any) -> ProbeModel:
        given.append(list(data.groups))
        return real_train(data, **options)

    monkeypatch.setattr(probe_module, "train", train)
    ProbeClassifier(task).fit(replace(dataset, examples=examples))
    assert given == [groups_of(examples)]
    assert len(set(given[0])) == count // 2


def test_changed_labels_of_a_pair_are_no_two_findings() -> None:
    """Between thinking settings a pair counts as it hangs together: the interval is wider."""
    plain = [Example(f"c{i}", labels={"refusal": "yes"}) for i in range(40)]
    paired = [replace(one, pair=f"c{i ^ 1}") for i, one in enumerate(plain)]
    conversations = [Conversation(one.conversation_id, (Turn("user", "hi"),)) for one in plain]
    low, high = (
        Predictions(
            Prediction(one.conversation_id, "k@1", "refusal", label="yes" if i % 8 < flips else "no", call_id=name)
            for i, one in enumerate(plain)
        )
        for name, flips in (("low", 0), ("high", 2))
    )

    def width(examples: list[Example]) -> float:
        changed = compare_efforts(low, high, ("low", "high"), dataset_of("set", conversations, examples)).changed
        assert changed.low is not None and changed.high is not None
        return changed.high - changed.low

    assert width(paired) > 1.2 * width(plain)


def test_a_style_probe_never_learns_from_a_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folds keep pairs together."""
    examples = [
        Example(f"{side}{i}", labels={"refusal": label}, pair=f"{other}{i}")
        for side, other, label in (("y", "n", "yes"), ("n", "y", "no"))
        for i in range(12)
    ]
    conversations = [Conversation(one.conversation_id, (Turn("user", "hi there"),)) for one in examples]
    seen: list[list[str]] = []

    def roc(model: object, inputs: object, y: object, groups: list[str], seeds: int) -> float:
        seen.append(groups)
        return 0.5

    monkeypatch.setattr(style_module, "_roc", roc)
    style_module.style_leak(dataset_of("set", conversations, examples), TASK)
    assert seen == [groups_of(examples)] * 3


def test_what_hangs_together_by_a_pair_that_is_gone_leaks_as_well() -> None:
    """Two that name the same pair hang together, even if that is in no part; what is told of as a pair is told once."""
    train = [Example("a", pair="gone"), Example("p", pair="q")]
    test = [Example("b", pair="gone"), Example("q", pair="p")]
    parts = {
        name: dataset_of(name, [Conversation(e.conversation_id, (Turn("user", "hi"),)) for e in examples], examples)
        for name, examples in (("train", train), ("test", test))
    }
    found = {finding.kind: finding.ids for finding in leakage_findings(parts, (), ())}
    assert found == {"leak_groups": ("a",), "leak_pairs": ("p|q",)}
