"""The probe: what it learns, what it says, and what it refuses to learn from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.classifiers.conformance import answer_of, small_dataset
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.errors import ConfigError, DataError
from llmclf.types import Conversation, Dataset, Event, Item, Turn

TASK, DATASET = small_dataset()
TURN_TASK, TURN_DATASET = small_dataset("turn")


@pytest.fixture(scope="module")
def probe() -> ProbeClassifier:
    """A probe trained on two thirds of the groups."""
    return ProbeClassifier(TASK).fit(DATASET.where(lambda example: "group-1" not in example.group))


def relabelled(dataset: Dataset, **changes: object) -> Dataset:
    return replace(dataset, examples=tuple(replace(example, **changes) for example in dataset.examples))


def test_it_learns_the_target(probe: ProbeClassifier) -> None:
    """On groups it has not seen, targets score above all others and the adjacent label is told from the clean one."""
    unseen = DATASET.where(lambda example: "group-1" in example.group)
    predictions = probe.predict(unseen.conversations, [example.item for example in unseen.examples])
    labels = unseen.labels(TASK.name)
    scores = np.array(predictions.column("score"))
    target = np.array([label == "refused" for label in labels])
    assert scores[target].min() > scores[~target].max()
    assert predictions.column("label") == labels


def test_probabilities_are_over_all_labels_at_the_training_prevalence(probe: ProbeClassifier) -> None:
    """Probabilities cover the closed set and name the prevalence they are at."""
    prediction = probe.classify(next(iter(DATASET.conversations.values())))
    assert prediction.probabilities is not None
    assert list(prediction.probabilities) == list(TASK.label_names)
    assert prediction.probabilities["refused"] == prediction.score
    assert prediction.probabilities_at == pytest.approx(1 / 3, abs=0.02)
    assert prediction.score_method == "probe"
    assert prediction.cost_nano_usd == 0


def test_flagged_items_say_which_words_count(probe: ProbeClassifier) -> None:
    """The rationale of a flagged item names words and who said them; explain lists them all."""
    conversation = DATASET.conversations["small-0"]
    prediction = probe.classify(conversation)
    assert prediction.flagged
    assert prediction.rationale.startswith("words that count most for it: ")
    terms = probe.explain(conversation)
    strengths = [abs(moved) for _, moved in terms]
    assert strengths == sorted(strengths, reverse=True)
    assert any(term.startswith("bot:") for term, _ in terms)


def test_weights_move_the_prevalence() -> None:
    """An example that stands for many more of the population counts as many times."""
    heavy = tuple(
        replace(e, inclusion_probability=1.0 if e.labels[TASK.name] == "refused" else 0.1) for e in DATASET.examples
    )
    plain = ProbeClassifier(TASK).fit(DATASET)
    weighted = ProbeClassifier(TASK).fit(replace(DATASET, examples=heavy))
    assert plain.model_ is not None and weighted.model_ is not None
    assert plain.model_.prevalence == pytest.approx(20 / 60)
    assert weighted.model_.prevalence == pytest.approx(20 / 420)


def test_two_labels_leave_the_rest_to_the_clean_one() -> None:
    """Where only one other label was seen, what is not flagged is clean."""
    dataset = DATASET.where(lambda example: example.labels[TASK.name] != "transferred")
    prediction = ProbeClassifier(TASK).fit(dataset).classify(DATASET.conversations["small-2"])
    assert prediction.label == "neither"
    assert prediction.probabilities["transferred"] == 0.0


def test_turns_after_the_one_asked_about_are_not_seen() -> None:
    """With context so_far, what is said later changes nothing."""
    probe = ProbeClassifier(TURN_TASK).fit(TURN_DATASET)
    conversation = TURN_DATASET.conversations["small-0"]
    longer = replace(
        conversation,
        turns=(*conversation.turns, Turn("user", "A human!"), Turn("bot", "", events=(Event("transfer"),))),
    )
    here, later = probe.classify(conversation, 3), probe.classify(longer, 3)
    assert answer_of(here) == answer_of(later)


def test_a_silent_turn_is_answered() -> None:
    """That the bot said nothing can be a breakdown: only a conversation that holds nothing fails."""
    probe = ProbeClassifier(TURN_TASK).fit(TURN_DATASET)
    conversation = Conversation("c", (Turn("user", "A person please"), Turn("bot", "")))
    assert not probe.classify(conversation, 1).failed


@pytest.mark.parametrize("n_positives", [0, 1, 7])
def test_too_few_positives(n_positives: int) -> None:
    """With fewer than eight positives the error says how many there are, how many it takes, and what to do."""
    positives = [i for i, e in enumerate(DATASET.examples) if e.labels[TASK.name] == "refused"][:n_positives]
    others = [i for i, e in enumerate(DATASET.examples) if e.labels[TASK.name] != "refused"]
    with pytest.raises(DataError) as caught:
        ProbeClassifier(TASK).fit(DATASET.pick(positives + others))
    assert f"{n_positives} examples of 'refused'; at least 8 are needed" in str(caught.value)
    assert "llmclf data sample" in caught.value.fix


def test_no_negatives() -> None:
    """Without negatives there is nothing to learn either."""
    with pytest.raises(DataError, match="0 examples of other labels"):
        ProbeClassifier(TASK).fit(DATASET.where(lambda example: example.labels[TASK.name] == "refused"))


def test_positives_in_one_group() -> None:
    """Positives that all stand in one group can't be held out, so they can't be scaled."""
    examples = tuple(replace(e, group="g" if e.labels[TASK.name] == "refused" else e.group) for e in DATASET.examples)
    with pytest.raises(DataError, match="one group"):
        ProbeClassifier(TASK).fit(replace(DATASET, examples=examples))


def test_groups_that_hold_both_classes() -> None:
    """Two groups with both classes are enough: each is held out once."""
    examples = tuple(replace(e, group=f"g{i % 2}") for i, e in enumerate(DATASET.examples))
    assert ProbeClassifier(TASK).fit(replace(DATASET, examples=examples)).learned


def test_one_mixed_group_among_pure_ones() -> None:
    """Every fold's training part holds both classes, however lopsided the groups are."""
    positive = {i: e.labels[TASK.name] == "refused" for i, e in enumerate(DATASET.examples)}
    first = {True: True, False: True}
    groups = []
    for i in range(len(DATASET.examples)):
        groups.append("mixed" if first[positive[i]] else f"{'p' if positive[i] else 'n'}")
        first[positive[i]] = False
    examples = tuple(replace(e, group=group) for e, group in zip(DATASET.examples, groups, strict=True))
    assert ProbeClassifier(TASK).fit(replace(DATASET, examples=examples)).learned


def test_crashed_runs_are_left_out_of_training() -> None:
    """An empty conversation teaches nothing, whatever its label says."""
    nothing = Conversation("crashed")
    crashed = replace(DATASET.examples[0], conversation_id="crashed")
    larger = replace(
        DATASET, conversations={**DATASET.conversations, "crashed": nothing}, examples=(*DATASET.examples, crashed)
    )
    assert ProbeClassifier(TASK).fit(larger).learned == ProbeClassifier(TASK).fit(DATASET).learned


def test_seed_and_regularization_are_learned_from() -> None:
    """Another seed deals other folds, another penalty learns other weights; the same gives the same."""
    made = [
        ProbeClassifier(TASK, seed=seed, regularization=strength).fit(DATASET).learned
        for seed, strength in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 5.0))
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 3


def test_bad_settings_are_all_named() -> None:
    """Unknown features and a penalty of nothing are told in one message, before any work."""
    with pytest.raises(ConfigError) as caught:
        ProbeClassifier(TASK, features=("tfdif",), regularization=0.0).fit(DATASET)
    assert len(caught.value.problems) == 2


def test_label_outside_the_task() -> None:
    """A label that the task does not have is an error, with the nearest one that it has."""
    wrong = relabelled(DATASET, labels={TASK.name: "refusd"})
    with pytest.raises(ConfigError, match="did you mean 'refused'"):
        ProbeClassifier(TASK).fit(wrong)


def test_asked_before_it_learned() -> None:
    """A probe that has learned nothing says so."""
    with pytest.raises(ConfigError, match="call fit"):
        ProbeClassifier(TASK).classify(DATASET.conversations["small-0"])


def test_unknown_conversation(probe: ProbeClassifier) -> None:
    """An item about a conversation that was not given is misuse."""
    with pytest.raises(DataError, match="not given"):
        probe.predict({}, [Item("nowhere")])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["user", "bot", "human_agent", "system", "tool"]),
            st.text(st.characters(), max_size=80),
            st.lists(st.sampled_from(["tool_call", "tool_result", "transfer", "queue", "hang_up"]), max_size=2),
        ),
        max_size=6,
    )
)
def test_any_conversation_gets_a_finite_score(probe: ProbeClassifier, turns: list[tuple[str, str, list[str]]]) -> None:
    """Whatever is in the turns, the answer is a probability or the error of an empty conversation."""
    made = tuple(
        Turn(speaker, text, events=tuple(Event(k, text, text) for k in kinds)) for speaker, text, kinds in turns
    )
    conversation = Conversation("c", made)
    prediction = probe.classify(conversation)
    if conversation.is_empty:
        assert prediction.error is not None and prediction.error.kind == "empty"
    else:
        assert 0.0 < prediction.score < 1.0
        assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
