"""What hangs together: groups, conversations and pairs, for intervals and for folds alike."""

from __future__ import annotations

from hypothesis import given, strategies as st

from llmclf.data.split import blocks_of
from llmclf.evaluation import evaluate, folds
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
