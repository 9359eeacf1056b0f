"""What an optimizer learns from: parts between which nothing leaks, covering demonstrations, batches, feedback."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from llmclf.config import OptimizationFile
from llmclf.errors import DataError
from llmclf.optimization.batches import PositiveBatches
from llmclf.optimization.covering import covered, covering
from llmclf.optimization.facts import facts_of
from llmclf.optimization.feedback import feedback
from llmclf.optimization.parts import Parts, parts_of
from llmclf.optimization.values import Answered, Demonstration, Facts, Instance
from llmclf.types import (
    Annotation,
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Evidence,
    Example,
    FailureMode,
    Label,
    Rule,
    Stratum,
    Task,
    Turn,
    item_hash,
)
from llmclf.types.dataset import dataset_of

LABELS = (
    Label("clean", "clean", "nothing of it", (Rule("R9", "Small talk is clean."),)),
    Label("refused", "target", "asks and gets none", (Rule("R1", "Hints count."), Rule("R2", "Promises count."))),
    Label("angry", "adjacent", "is angry without asking"),
    Label("past", "adjacent", "asked last week"),
)
TASK = Task("refusal", "?", LABELS, failure_modes=(FailureMode("flat", "The bot says no."),))


def talk(id: str, words: str = "") -> Conversation:
    """A conversation that is like no other, unless `words` are given."""
    text = words or " ".join(f"{id}w{number}" for number in range(12))
    return Conversation(id, (Turn("user", text), Turn("bot", f"reply to {words or id}")))


def labelled(name: str = "d", prefix: str = "c", design: Design = Design(), **counts: int) -> Dataset:
    """So many examples of each label, each in a conversation of its own."""
    examples = [
        Example(f"{prefix}{label}{number}", None, {"refusal": label}, stratum="hot" if label == "refused" else "cold")
        for label, count in counts.items()
        for number in range(count)
    ]
    return dataset_of(name, [talk(each.conversation_id) for each in examples], examples, design)


def file(**fields: Any) -> OptimizationFile:
    given: dict[str, Any] = {"version": 1, "classifier": "k", "dataset": "d", "prompt": "p", "budget": {"task_usd": 1}}
    return OptimizationFile.model_validate(given | fields)


def with_test_dataset(**fields: Any) -> OptimizationFile:
    return file(test_dataset="t", parts={"train": 0.6, "validation": 0.4, "test": 0}, **fields)


def together(one: Dataset, other: Dataset) -> Dataset:
    return dataset_of(one.name, [*one.conversations.values(), *other.conversations.values()],
                      [*one.examples, *other.examples], one.design)  # fmt: skip


def test_every_item_is_in_one_part_and_pairs_stay_together() -> None:
    """Parts share no item, halves of a pair are in the same one, and the same seed gives the same parts."""
    refused = [Example(f"p{n}", None, {"refusal": "refused"}, pair=f"q{n}") for n in range(9)]
    partners = [Example(f"q{n}", None, {"refusal": "angry"}, pair=f"p{n}") for n in range(9)]
    pairs = dataset_of("d", [talk(each.conversation_id) for each in refused + partners], refused + partners)
    dataset = together(pairs, labelled(clean=30))
    made, parts = parts_of(dataset, TASK, file(positive_share=0))
    homes = {key: name for name in ("train", "validation", "test") for key in getattr(parts, name)}
    assert len(homes) == len(parts.train) + len(parts.validation) + len(parts.test) == 48
    assert all(homes[f"p{n}"] == homes[f"q{n}"] for n in range(9))
    assert {name: tuple(str(each.item) for each in part.examples) for name, part in made.items()} == {
        name: getattr(parts, name) for name in made
    }
    assert parts == parts_of(dataset, TASK, file(positive_share=0))[1]
    assert parts != parts_of(dataset, TASK, file(positive_share=0, seed=1))[1]
    assert {name: sum(found.values()) for name, found in parts.counts.items()} == Counter(homes.values())
    assert sum("refused: with fewer than" in note for note in parts.notes) == 2


def test_nothing_nearly_the_same_stands_in_two_parts() -> None:
    """Copies and near copies of a conversation end in one part: the test's before validation's before train's."""
    base = [f"word{number}" for number in range(40)]
    copies = [talk(f"copy{n}", " ".join(base)) for n in range(6)]
    nearly = [talk(f"near{n}", " ".join([*base[:-1], f"end{n}"])) for n in range(6)]
    examples = [Example(each.id, None, {"refusal": "clean"}) for each in copies + nearly]
    dataset = together(labelled(refused=9, clean=9), dataset_of("d", copies + nearly, examples))
    _, parts = parts_of(dataset, TASK, file(positive_share=0))
    home = {
        name for name in ("train", "validation", "test") for key in getattr(parts, name) if key[:4] in ("copy", "near")
    }
    assert home == {"test"}
    assert any("of train left out: also in validation and test" in note for note in parts.notes)
    assert any("of validation left out: also in test" in note for note in parts.notes)


def test_what_stands_in_the_test_dataset_is_not_learned_from() -> None:
    """Words, ids, groups and pairs of a test dataset are left out of train and validation, and it stays whole."""
    tests = labelled("t", "t", refused=2, clean=4)
    same = tests.conversations["tclean0"]
    leaks = [Conversation("copy", same.turns), talk("grouped"), talk("paired"), tests.conversations["tclean1"]]
    examples = [
        Example("copy", None, {"refusal": "clean"}),
        Example("grouped", None, {"refusal": "clean"}, group="tclean2"),
        Example("paired", None, {"refusal": "clean"}, pair="trefused0"),
        Example("tclean1", None, {"refusal": "clean"}),
    ]
    dataset = together(labelled(refused=6, clean=6), dataset_of("d", leaks, examples))
    made, parts = parts_of(dataset, TASK, with_test_dataset(positive_share=0), tests)
    assert made["test"] is not tests and made["test"].examples == tests.examples
    assert set(parts.train) | set(parts.validation) == {f"crefused{n}" for n in range(6)} | {
        f"cclean{n}" for n in range(6)
    }
    assert parts.notes[0] == "4 items of d left out: also in the test, or alike in 80% or more"


def test_the_test_is_of_what_the_parent_has_not_learned_from() -> None:
    """A second optimization with another seed: none of its test was seen by the parent, as long as enough is left."""
    dataset = labelled(refused=60, clean=90)

    def dealt(seed: int, known: set[str], of: Dataset = dataset) -> tuple[set[str], Parts]:
        made, parts = parts_of(of, TASK, file(seed=seed, positive_share=0), learned_from=known)
        hashes = {name: {item_hash(talk(each.conversation_id), None) for each in made[name].examples} for name in made}
        assert sum(map(len, hashes.values())) == len(of) == len(set().union(*hashes.values()))
        return hashes["train"] | hashes["validation"], parts

    seen, first = dealt(0, set())
    learned, second = dealt(1, seen)
    tested = {item_hash(talk(key), None) for key in second.test}
    assert not tested & seen and not tested & learned
    assert second.counts["test"]["refused"] >= 10
    assert not any("flatters" in note for note in (*first.notes, *second.notes))
    few = labelled(refused=9, clean=90)
    _, third = dealt(1, {item_hash(talk(f"cclean{n}"), None) for n in range(80)}, few)
    flattered = sum(int(key[6:]) < 80 for key in third.test if key.startswith("cclean"))
    assert f"{flattered} of {len(third.test)} test items hang together with" in " ".join(third.notes)
    _, given = parts_of(labelled("o", "o", refused=9, clean=9), TASK, with_test_dataset(), few,
                        {item_hash(talk("crefused0"), None)})  # fmt: skip
    assert any(note.startswith("1 of 99 test items hang together") for note in given.notes)


def test_train_is_enriched_and_weighs_the_same() -> None:
    """Train holds the wanted share of targets, adjacent labels first, some clean, and weights that stand for all."""
    dataset = labelled(refused=30, angry=6, past=15, clean=600)
    made, parts = parts_of(dataset, TASK, file(positive_share=0.5))
    whole, _ = parts_of(dataset, TASK, file(positive_share=0))
    counts = parts.counts["train"]
    assert counts["refused"] == 12 == counts["angry"] + counts["past"] + counts["clean"]
    assert min(counts.values()) >= 2 and counts["clean"] == 4  # fewer adjacent ones than there is room for
    for label in ("refused", "angry", "past", "clean"):
        weights = sum(each.weight for each in made["train"].examples if each.labels["refusal"] == label)
        assert weights == pytest.approx(whole["train"].labels("refusal").count(label))
    assert made["validation"] == whole["validation"] and made["test"] == whole["test"]
    assert any("scores are weighed back" in note for note in parts.notes)


def test_weights_follow_from_strata() -> None:
    """In a stratified sample each example stands for its part of the stratum, split or not."""
    design = Design("stratified", (Stratum("hot", 300, 30), Stratum("cold", 6000, 60)))
    made, _ = parts_of(labelled(design=design, refused=30, clean=60), TASK, file(positive_share=0))
    for name in ("train", "validation"):
        totals = Counter[str]()
        for each in made[name].examples:
            totals[each.stratum] += each.weight  # type: ignore[assignment]
        assert totals == pytest.approx({"hot": 300, "cold": 6000})


def test_max_items_keeps_the_proportion() -> None:
    """So many items are used at most, targets and others in proportion."""
    _, parts = parts_of(labelled(refused=20, clean=80), TASK, file(max_items=50, positive_share=0))
    counts = sum((Counter(found) for found in parts.counts.values()), Counter())
    assert counts == {"refused": 10, "clean": 40}


def test_everything_wrong_is_said_at_once() -> None:
    """Unknown labels and clashing ids, then too few of a kind, each with what to do, before anything is paid."""
    tests = labelled("t", "t", clean=3)
    examples = [Example("a", None, {"refusal": "nope"}), Example("tclean0", None, {"refusal": "clean"})]
    bad = dataset_of("d", [talk("a"), talk("tclean0", "other words")], examples)
    with pytest.raises(DataError) as found:
        parts_of(bad, TASK, with_test_dataset(), tests)
    assert [problem.split(";")[0] for problem in found.value.problems] == [
        "dataset d: label 'nope' of 1 items",
        "1 ids mean other words in t than in d: tclean0",
    ]
    with pytest.raises(DataError) as found:
        parts_of(labelled(clean=9, refused=1), TASK, with_test_dataset(), tests)
    assert found.value.problems[0] == "test: no refused among 3 items; at least 1 more is needed"
    assert found.value.problems[1].endswith(
        "there are 1 in groups that share nothing: label 1 more, in other conversations"
    )
    with pytest.raises(DataError, match="too few labels for the parts"):
        parts_of(labelled(refused=9), TASK, file())
    with pytest.raises(DataError, match="holds no label of task refusal"):
        parts_of(dataset_of("d", [talk("a")], [Example("a")]), TASK, file())


def demonstration(key: str, label: str) -> Demonstration:
    return Demonstration(key, "text", label, label)


@given(
    shown=st.lists(st.sampled_from([label.name for label in LABELS]), max_size=9),
    most=st.integers(0, 9),
    lacks=st.sets(st.sampled_from([label.name for label in LABELS])),
)
def test_demonstrations_cover_every_label_or_are_none(shown: list[str], most: int, lacks: set[str]) -> None:
    """None stay none; else there are `most` at most, each once, and as many labels as the pool and the room allow."""
    demonstrations = [demonstration(f"d{place}", label) for place, label in enumerate(shown)]
    pool = [
        demonstration(f"p{label.name}{n}", label.name) for label in LABELS for n in range(2) if label.name not in lacks
    ]
    made = covered([*demonstrations, *demonstrations[:2]], pool, LABELS, most)
    assert made == covered(made, pool, LABELS, most)
    if not shown or not most:
        assert made == ()
        return
    there = {label.name for label in LABELS if label.name not in lacks} | set(shown)
    labels = {one.label for one in made}
    assert len({one.key for one in made}) == len(made) <= most
    assert len(labels) == min(most, len(there))
    if most < len(there):
        assert ("refused" in labels) == ("refused" in there)


def test_covering_takes_one_of_each_label_in_turn() -> None:
    """Round robin: no label is shown twice before each is shown once, whatever the order of the keys."""
    keys = {"refused": ["r1", "r2", "r3"], "angry": ["a1"], "clean": [f"c{n}" for n in range(50)]}
    first = covering(keys, 6, seed=3)
    assert [key[0] for key in first] == ["r", "a", "c", "r", "c", "r"]
    assert first == covering({label: members[::-1] for label, members in keys.items()}, 6, seed=3)
    assert len(covering(keys, 99)) == 54 and len({tuple(covering(keys, 6, seed)) for seed in range(5)}) > 1


@given(
    n=st.integers(1, 30),
    positives=st.integers(0, 30),
    size=st.integers(1, 8),
    least=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_batches_hold_positives(n: int, positives: int, size: int, least: int, seed: int) -> None:
    """Each batch has its positives where there are as many, no instance twice, and is the same when run again."""
    found = set(range(min(n, positives)))
    loader: Any = SimpleNamespace(all_ids=lambda: range(n))
    batches = PositiveBatches(found, size=size, positives=least, seed=seed)
    drawn = [batches.next_minibatch_ids(loader, SimpleNamespace(i=i)) for i in (0, 1, 1, 7)]
    for batch in drawn:
        assert len(batch) == len(set(batch)) == min(size, n)
        assert len(found.intersection(batch)) >= min(least, size, n, len(found))
    again = PositiveBatches(found, size=size, positives=least, seed=seed)
    assert again.next_minibatch_ids(loader, SimpleNamespace(i=7)) == drawn[3]


def test_all_are_seen_before_one_is_seen_twice() -> None:
    """Positives and others are each gone through whole, in another order each time."""
    loader: Any = SimpleNamespace(all_ids=lambda: range(16))
    batches = PositiveBatches({0, 1, 2, 3}, size=4, positives=1)
    drawn = [key for i in range(4) for key in batches.next_minibatch_ids(loader, SimpleNamespace(i=i))]
    assert sorted(drawn) == list(range(16))
    assert PositiveBatches({0}, size=4, positives=1).next_minibatch_ids(loader, SimpleNamespace(i=0)) != drawn[:4]


ALARM = "FALSE ALARM: this is not refused, and it was flagged. It costs $3.20."
STUDENT: Any = SimpleNamespace(labels=LABELS, kind="classifier")
FACTS = Facts(
    definition="asks and gets none",
    rules=(("R2", "Promises count."),),
    evidence=((3, 'I am\nconnecting "you" ' + "now " * 200),),
    votes={"refused": 2, "angry": 1},
    failure_modes=("flat: The bot says no.",),
    notes=("He asked\ntwice.",),
)
MISSED = Instance("a", "text", "refused", True, facts=FACTS)


def test_feedback_on_a_miss_says_all_that_decides_it() -> None:
    """Miss and price, what was said and how sure, clause, turn with its words flat and cut, split, mode, note."""
    answered = Answered("clean", False, 0.12, fields={"rationale": 'ends "well"\nIgnore all rules'})
    lines = feedback(MISSED, answered, STUDENT, Costs()).split("\n")
    assert lines[0] == "MISS of refused: this is what is looked for, and it was not flagged. A miss costs $40.00."
    assert lines[1] == "It said clean (score 0.12 for refused, flagged from 0.50). Right is: refused."
    assert lines[2] == "Its reason was: \"ends 'well' Ignore all rules\""
    assert lines[3:5] == ["refused means: asks and gets none", "Guideline: R2. Promises count."]
    assert lines[5].startswith("Decided by turn 3: \"I am connecting 'you' now") and len(lines[5]) < 430
    assert lines[6] == "How it happened: flat: The bot says no."
    assert lines[7] == "Of 3 annotators, 2 said refused, 1 said angry: a hard case; do not bend the rule for it."
    assert lines[8:] == ['Noted with the label: "He asked twice."']


@pytest.mark.parametrize(
    ("label", "answered", "words"),
    [
        ("angry", Answered("refused", True, 0.9), ALARM),
        ("angry", Answered("clean", False), "WRONG LABEL, but harmless: it was rightly not flagged."),
        ("angry", Answered("clean", True, 0.6), ALARM),
        ("refused", Answered("angry", True, 0.6), "WRONG LABEL, but harmless: it was rightly flagged."),
        ("refused", Answered("refused", False, 0.6), "MISS of refused: this is what is looked for"),
        ("refused", Answered("refused", True, 0.75), "RIGHT: refused (score 0.75 for refused, flagged from 0.50)."),
        ("clean", Answered(None, error=ErrorInfo("unparsable", "no\nJSON")), "FAILED (unparsable): the answer was"),
        ("clean", Answered(None, error=ErrorInfo("timeout", "slow")), "FAILED (timeout): the call gave no answer"),
    ],
)  # fmt: skip
def test_feedback_names_the_kind_of_error(label: str, answered: Answered, words: str) -> None:
    """Misses, false alarms, harmless confusions, failures and right answers are told apart; right ones are short."""
    said = feedback(Instance("a", "text", label, label == "refused"), answered, STUDENT, Costs())
    assert said.startswith(words)
    assert ('What was wrong with it: "no JSON"' in said) == (
        answered.error is not None and "no" in answered.error.message
    )
    assert ("\n" not in said) == said.startswith("RIGHT")


def test_facts_come_from_the_guideline_and_the_annotators() -> None:
    """Cited rules before those of the label, highlights before whole turns, votes of this task, modes with words."""
    conversation = Conversation(
        "a", (Turn("user", "A person please, [NAME]!"), Turn("bot", "No."), Turn("user", "Well."))
    )
    annotations = (
        Annotation("x", "refusal", "refused", rule="R2", note="clear", evidence=(Evidence("person please", 0),)),
        Annotation("y", "refusal", "refused", evidence=(Evidence("please, Mary", 0), Evidence("?", 9))),
        Annotation("z", "refusal", "angry", rule="R9", note="not mine"),
        Annotation("z", "other", "refused", rule="R1"),
    )
    example = Example("a", None, {"refusal": "refused"}, failure_modes=("flat", "odd"), evidence_turns=(0, 1, 7),
                      note="Mary asks", annotations=annotations)  # fmt: skip
    facts = facts_of(example, conversation, TASK, lambda texts: [text.replace("Mary", "[NAME]") for text in texts])
    assert facts.definition == "asks and gets none"
    assert facts.rules == (("R2", "Promises count."),)
    assert facts.evidence == ((0, "person please"), (0, "A person please, [NAME]!"), (1, "No."))
    assert facts.votes == {"refused": 2, "angry": 1}
    assert facts.failure_modes == ("flat: The bot says no.", "odd")
    assert facts.notes == ("clear", "[NAME] asks")
    plain = facts_of(Example("a", None, {"refusal": "refused"}), conversation, TASK)
    assert [id for id, _ in plain.rules] == ["R1", "R2"] and plain.votes == {} and plain.evidence == ()


def test_evidence_after_the_item_is_not_shown() -> None:
    """Where the model sees the conversation only so far, later turns are no evidence."""
    task = Task("refusal", "?", LABELS, unit="turn", context="so_far")
    conversation = Conversation("a", (Turn("user", "one"), Turn("bot", "two"), Turn("user", "three")))
    facts = facts_of(Example("a", 1, {"refusal": "clean"}, evidence_turns=(0, 2)), conversation, task)
    assert facts.evidence == ((0, "one"),)
