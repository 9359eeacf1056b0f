"""Parts of a dataset between which nothing leaks: whole groups, never rows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

from llmclf.data.design import part_of
from llmclf.errors import ConfigError, DataError, nearest
from llmclf.types import Dataset, Example, Task

DEFAULT_PARTS: Mapping[str, float] = {"train": 0.6, "dev": 0.2, "test": 0.2}


def split(
    dataset: Dataset,
    parts: Mapping[str, float] = DEFAULT_PARTS,
    *,
    by: Sequence[str] = ("group",),
    seed: int = 0,
    task: Task | None = None,
) -> dict[str, Dataset]:
    """The examples in parts of the given shares, so that nothing of `by` stands in two of them.

    Args:
        dataset: Labelled (or not yet labelled) examples; conversations without one are left out.
        parts: Name to share; the shares add up to 1.
        by: What is never parted: `group`, and names of metadata. A conversation's turns and the
            halves of a pair are never parted either. Several names together are held apart all at
            once, so items that share any of them stay together.
        seed: Another seed, another split; the same seed, the same one.
        task: Whose positives are spread by the shares; without it, every label of every task is.

    Returns one dataset for each part, each in the order of the dataset. A known design stays known:
    sampled sizes and inclusion probabilities shrink with the part, and its note says how it was made.

    Raises DataError where the groups are too few or too large to fill every part.
    """
    _check_parts(parts)
    if not dataset.examples:
        raise DataError("there are no examples to split", where=f"dataset {dataset.name}", fix="label some first")
    blocks = blocks_of(dataset, by)
    if len(blocks) < len(parts):
        raise DataError(
            f"too few groups that share nothing (by {' and '.join(by)}): {len(blocks)} for {len(parts)} parts",
            where=f"dataset {dataset.name}",
            got=f"the largest holds {max(map(len, blocks))} of {len(dataset)} examples",
            fix="split by fewer things, or into fewer parts",
        )
    homes = _assigned(blocks, dataset, parts, seed, task)
    empty = [name for name in parts if not homes[name]]
    if empty:
        raise DataError(
            f"nothing is left for {', '.join(empty)}: the groups are too large",
            where=f"dataset {dataset.name}",
            got=f"the largest holds {max(map(len, blocks))} of {len(dataset)} examples",
            fix="give larger shares, or split by fewer things",
        )
    return {
        name: part_of(dataset, indices, _note(name, parts, by, seed), f"{dataset.name}/{name}")
        for name, indices in homes.items()
    }


def blocks_of(dataset: Dataset, by: Sequence[str] = ("group",)) -> list[list[int]]:
    """Indices of examples that must stay together: a shared conversation, pair, or value of `by`.

    Sharing is followed through: if one shares a group with a second, and that an agent with a
    third, all three are one block. ConfigError where a name is neither `group` nor metadata.
    """
    _check_names(dataset, by)
    parents = list(range(len(dataset.examples)))
    first: dict[Hashable, int] = {}
    for index, example in enumerate(dataset.examples):
        for key in _keys(dataset, example, by):
            other = first.setdefault(key, index)
            a, b = sorted((_root(parents, other), _root(parents, index)))
            parents[b] = a
    blocks: dict[int, list[int]] = defaultdict(list)
    for index in range(len(parents)):
        blocks[_root(parents, index)].append(index)
    return list(blocks.values())


def _keys(dataset: Dataset, example: Example, by: Sequence[str]) -> Iterator[Hashable]:
    yield "conversation", example.conversation_id
    if example.pair:
        yield "conversation", example.pair
    for name in by:
        if name == "group":
            yield "group", example.group_or_conversation
            continue
        value = dataset.conversation(example).metadata.get(name)
        if value is not None:
            yield "metadata", name, value


def _assigned(
    blocks: list[list[int]], dataset: Dataset, parts: Mapping[str, float], seed: int, task: Task | None
) -> dict[str, list[int]]:
    """Each block to the part that lacks most of what is in it, the rarest counting most; large blocks first."""
    features = [_features(example, task) for example in dataset.examples]
    totals = Counter(feature for row in features for feature in row)
    needs = {(name, feature): share * total for name, share in parts.items() for feature, total in totals.items()}
    blocks = sorted(blocks, key=lambda block: str(dataset.examples[block[0]].item))
    random.Random(seed).shuffle(blocks)  # noqa: S311 - a split, not a secret
    contents = [(Counter(feature for index in block for feature in features[index]), block) for block in blocks]
    contents.sort(key=lambda pair: -sum(count / totals[feature] for feature, count in pair[0].items()))
    homes: dict[str, list[int]] = {name: [] for name in parts}
    for counts, block in contents:
        best = max(
            parts,
            key=lambda name: sum(
                count * needs[name, feature] / totals[feature] ** 2 for feature, count in counts.items()
            ),
        )
        homes[best].extend(block)
        for feature, count in counts.items():
            needs[best, feature] -= count
    return homes


def _features(example: Example, task: Task | None) -> list[Hashable]:
    """What is spread evenly: the count, the stratum, and the labels (of one task: target or not)."""
    found: list[Hashable] = ["examples", ("stratum", example.stratum)]
    if task is None:
        return [*found, *(("label", *label) for label in example.labels.items())]
    if task.name in example.labels:
        found.append(("target", example.labels[task.name] == task.target))
    return found


def _check_parts(parts: Mapping[str, float]) -> None:
    problems = [f"{name}: {share} is not between 0 and 1" for name, share in parts.items() if not 0 < share <= 1]
    if abs(sum(parts.values()) - 1) > 1e-6:
        problems.append(f"the shares add up to {sum(parts.values()):g}, not 1")
    if problems:
        raise ConfigError("the parts of a split are wrong", where="split", problems=problems)


def _check_names(dataset: Dataset, by: Sequence[str]) -> None:
    known = {key for conversation in dataset.conversations.values() for key in conversation.metadata} | {"group"}
    wrong = [f"{name!r}; {nearest(name, sorted(known))[:200]}" for name in by if name not in known]
    if wrong:
        raise ConfigError("neither `group` nor metadata of any conversation", where="split by", problems=wrong)


def _note(name: str, parts: Mapping[str, float], by: Sequence[str], seed: int) -> str:
    return f"part {name} ({parts[name]:.0%}) of a split by {' and '.join(by) or 'conversation'}, seed {seed}"


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index
