"""Splits by group: nothing leaks, positives are spread, designs stay true."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.data.check import check
from llmclf.data.split import blocks_of, split
from llmclf.errors import ConfigError, DataError
from llmclf.types import Conversation, Dataset, Design, Example, Label, Stratum, Task, Turn, dataset_of

TASK = Task("t", "?", (Label("yes", "target", "x"), Label("no", "clean", "y")))


def dataset(*examples: Example, design: Design = Design(), **metadata: dict[str, str]) -> Dataset:
    ids = dict.fromkeys(example.conversation_id for example in examples)
    conversations = [
        Conversation(id, (Turn("user", f"words of {id}"),), metadata={key: of[id] for key, of in metadata.items()})
        for id in ids
    ]
    return dataset_of("d", conversations, examples, design)


def example(number: int, group: str = "", positive: bool = False, **more: object) -> Example:
    return Example(f"c{number:03}", group=group, labels={"t": "yes" if positive else "no"}, **more)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(
    groups=st.lists(st.integers(0, 30), min_size=40, max_size=80),
    seed=st.integers(0, 99),
    pairs=st.sets(st.integers(0, 39), max_size=8),
)
def test_nothing_leaks_and_nothing_is_lost(groups: list[int], seed: int, pairs: set[int]) -> None:
    """Whatever the groups and pairs: every example is in one part, and no group or pair in two."""
    examples = [
        example(number, f"g{group}", number % 9 == 0, pair=f"c{number - 1:03}" if number in pairs and number else "")
        for number, group in enumerate(groups)
    ]
    data = dataset(*examples)
    if len(blocks_of(data)) < 3:
        return
    try:
        parts = split(data, seed=seed, task=TASK)
    except DataError as error:
        assert "too large" in str(error)
        return
    assert sorted(one.conversation_id for part in parts.values() for one in part.examples) == [
        one.conversation_id for one in examples
    ]
    leaks = [found.kind for found in check(data, splits=parts).findings if found.kind.startswith("leak")]
    assert leaks == []


def test_shares_and_positives_are_spread() -> None:
    """Sizes come within a group of the shares, and few positives go where they belong."""
    data = dataset(*(example(number, f"g{number // 4}", number % 40 == 0) for number in range(400)))
    parts = split(data, {"train": 0.6, "dev": 0.2, "test": 0.2}, task=TASK)
    assert [abs(len(part) - share) <= 8 for part, share in zip(parts.values(), (240, 80, 80), strict=True)] == [
        True
    ] * 3
    positives = {name: part.labels("t").count("yes") for name, part in parts.items()}
    assert positives == {"train": 6, "dev": 2, "test": 2}
    assert [part.name for part in parts.values()] == ["d/train", "d/dev", "d/test"]


def test_without_a_task_every_label_is_spread() -> None:
    """The rarest label of any task decides first."""
    data = dataset(*(Example(f"c{n:03}", labels={"a": "rare" if n < 10 else "x"}) for n in range(100)))
    parts = split(data, {"one": 0.5, "two": 0.5})
    assert [Counter(part.labels("a"))["rare"] for part in parts.values()] == [5, 5]


def test_a_split_is_the_same_for_the_same_seed() -> None:
    """The order of the examples does not matter to membership; another seed makes another split."""
    examples = [example(number, f"g{number // 3}") for number in range(90)]

    def members(data: Dataset, seed: int) -> dict[str, set[str]]:
        return {name: set(part.conversations) for name, part in split(data, seed=seed).items()}

    first = members(dataset(*examples), 1)
    assert first == members(dataset(*examples), 1)
    assert first != members(dataset(*examples), 2)


def test_turns_of_a_conversation_and_halves_of_a_pair_stay_together() -> None:
    """Also where the pair is named on one side only, and where `by` names nothing."""
    turns = [Example(f"c{n}", turn) for n in range(12) for turn in range(3)]
    pair = [Example("x", pair="y"), Example("y")]
    data = dataset(*turns, *pair)
    assert sorted(map(len, blocks_of(data, by=()))) == [2] + [3] * 12


def test_metadata_can_hold_groups_apart() -> None:
    """Names of metadata are held apart all at once; a value that is missing binds nothing."""
    agents = {f"c{n:03}": f"agent{n % 6}" for n in range(60)}
    data = dataset(*(example(number) for number in range(60)), agent=agents)
    parts = split(data, {"train": 0.5, "test": 0.5}, by=("agent",))
    seen = [{one.metadata["agent"] for one in part.conversations.values()} for part in parts.values()]
    assert not seen[0] & seen[1]
    tasks = {f"c{n:03}": f"task{n % 5}" for n in range(60)}
    crossed = dataset(*(example(number) for number in range(60)), agent=agents, task=tasks)
    with pytest.raises(DataError, match=r"too few groups that share nothing \(by agent and task\): 1 for 2 parts"):
        split(crossed, {"train": 0.5, "test": 0.5}, by=("agent", "task"))
    with pytest.raises(ConfigError, match="did you mean 'agent'"):
        split(data, by=("agnet",))


def test_a_known_design_stays_true_in_the_parts() -> None:
    """Populations stay, sampled sizes and chances shrink alike: estimated totals are those of the whole."""
    design = Design("stratified", (Stratum("top", 50, 40), Stratum("rest", 5000, 100)), "drawn in May")
    examples = [example(n, stratum="top", inclusion_probability=0.8) for n in range(40)]
    examples += [example(100 + n, stratum="rest", inclusion_probability=0.02) for n in range(100)]
    data = dataset(*examples, design=design)
    for name, part in split(data, {"train": 0.7, "test": 0.3}).items():
        assert [stratum.population for stratum in part.design.strata] == [50, 5000]
        totals = Counter(one.stratum for one in part.examples)
        assert {stratum.name: stratum.sampled for stratum in part.design.strata} == totals
        for stratum in part.design.strata:
            weights = [one.weight for one in part.examples if one.stratum == stratum.name]
            assert sum(weights) == pytest.approx(stratum.population)
        assert part.design.note.startswith(f"drawn in May; part {name}")
        assert {found.kind for found in check(part).findings} <= {"one_speaker", "near_duplicates"}


def test_a_part_without_a_stratum_says_so() -> None:
    """Where a part holds nothing of a stratum, its note tells that rates of the whole can't be known."""
    design = Design("stratified", (Stratum("one", 1, 1), Stratum("rest", 100, 20)))
    examples = [example(0, stratum="one")] + [example(n, stratum="rest") for n in range(1, 21)]
    parts = split(dataset(*examples, design=design), {"a": 0.5, "b": 0.5})
    notes = [part.design.note for part in parts.values()]
    assert sum("holds nothing of one" in note for note in notes) == 1


def test_an_unknown_design_only_gets_the_note() -> None:
    """Nothing is made up for examples that were collected somehow."""
    parts = split(dataset(*(example(number) for number in range(10))))
    for part in parts.values():
        assert part.design.kind == "unknown"
        assert part.examples[0].inclusion_probability is None


def test_what_cannot_be_split_is_told() -> None:
    """Wrong shares, no examples, one giant group: each with what to do."""
    data = dataset(*(example(number) for number in range(10)))
    with pytest.raises(ConfigError, match=r"the shares add up to 0\.9, not 1"):
        split(data, {"a": 0.5, "b": 0.4})
    with pytest.raises(ConfigError, match="-1 is not between 0 and 1"):
        split(data, {"a": 2, "b": -1})
    with pytest.raises(DataError, match="no examples to split"):
        split(dataset_of("d", [Conversation("a")]))
    lopsided = dataset(*(example(number, "giant") for number in range(97)), *(example(100 + n, "a") for n in range(3)))
    with pytest.raises(DataError, match="2 for 3 parts"):
        split(lopsided)
