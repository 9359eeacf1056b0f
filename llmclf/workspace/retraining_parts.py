"""What a probe is trained on again and what it is tested on: nothing on both sides, and new labels on each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from llmclf.data.checks.duplicates import alike
from llmclf.data.design import part_of
from llmclf.data.split import blocks_of, split
from llmclf.data.unseen import unseen
from llmclf.errors import DataError
from llmclf.stats import LEAST_POSITIVES
from llmclf.types import Dataset, Example, Task, content_hash, item_hash

TEST_SHARE = 0.3
"""Of all labelled items."""
_OF_FRESH = 0.5, 0.8
"""Of items that the running weights have not seen, so much at most, that the rest can be learned; and so much at
most where a comparison needs more targets than the first leaves it."""
_DIGITS = 16


@dataclass(frozen=True)
class Dealt:
    """The two parts of the labels. Groups, pairs and (near) duplicates stand in one of them alone."""

    train: Dataset
    test: Dataset
    seen: int | None
    """Test items that the running weights learned from, or from nearly the same; None: they don't say."""
    left_out: int
    """Items that are not learned from, because they are too near to a test item."""

    @property
    def hashes(self) -> dict[str, list[str]]:
        """The first 16 digits of the `item_hash` of each item of each part, in its order: enough to find it again."""
        return {name: [_hash(part, one)[:_DIGITS] for one in part.examples] for name, part in self._parts.items()}

    @property
    def sha256(self) -> str:
        """A hash over which item stands where."""
        return content_hash(self.hashes)

    def counts(self, task: Task) -> dict[str, dict[str, int]]:
        """Items and targets of each part."""
        return {
            name: {"items": len(part), "targets": part.labels(task.name).count(task.target)}
            for name, part in self._parts.items()
        }

    @property
    def _parts(self) -> dict[str, Dataset]:
        return {"train": self.train, "test": self.test}


def deal(
    labelled: Dataset, task: Task, *, seed: int, seen: Collection[str] | None, test: Dataset | None = None
) -> Dealt:
    """The parts of `labelled`, or all of it but what stands in `test`, and `test`.

    `seen` are the `item_hash`es that the running weights learned from; None where they don't say. Test items are
    taken from what has not been seen, as long as these hold enough targets and others for a test; else from all.
    Raises DataError where there are too few groups to deal, or nothing is left to learn from.
    """
    if test is not None:
        kept = _apart(labelled, test)
        if not kept:
            raise DataError(
                "nothing is left to learn from: every item is nearly the same as a test item, or of its group",
                where=f"dataset {labelled.name}, test {test.name}",
                fix="give a test dataset of other conversations, or none",
            )
        return Dealt(
            part_of(labelled, kept, f"items apart from {test.name}", f"{labelled.name}/train"),
            test,
            _count_seen(labelled, test, seen),
            len(labelled) - len(kept),
        )
    fresh = [] if seen is None else unseen(labelled, seen)
    chosen = _drawn(labelled, fresh, task, seed)
    first = alike({"": labelled.conversations})
    kinds = [first["", one.conversation_id] for one in labelled.examples]
    near = {kinds[index] for index in chosen}
    blocks = [block for block in blocks_of(labelled) if not chosen.intersection(block)]
    rest = [index for block in blocks for index in block]
    train = [index for index in rest if kinds[index] not in near]
    return Dealt(
        _part(labelled, train, "train", seed),
        _part(labelled, chosen, "test", seed),
        None if seen is None else len(chosen - set(fresh)),
        len(rest) - len(train),
    )


def dealt_again(labelled: Dataset, hashes: Mapping[str, Iterable[str]], *, seed: int, test: Dataset | None) -> Dealt:
    """The parts of a run card: those examples whose hashes it keeps, as far as they are still there."""
    picked = {}
    for name, wanted in hashes.items():
        source = test if test is not None and name == "test" else labelled
        known = set(wanted)
        kept = [index for index, one in enumerate(source.examples) if _hash(source, one)[:_DIGITS] in known]
        picked[name] = _part(source, kept, name, seed)
    return Dealt(picked["train"], picked["test"], None, len(labelled) - len(picked["train"]))


def _part(labelled: Dataset, kept: Collection[int], name: str, seed: int) -> Dataset:
    return part_of(labelled, kept, f"part {name} of a retraining, seed {seed}", f"{labelled.name}/{name}")


def _hash(dataset: Dataset, example: Example) -> str:
    return item_hash(dataset.conversation(example), example.turn)


def _drawn(labelled: Dataset, fresh: list[int], task: Task, seed: int) -> set[int]:
    """Test items: of fresh ones alone where these make a test, else of all."""
    if 0 < len(fresh) < len(labelled):
        usual, most = _OF_FRESH
        needed = (LEAST_POSITIVES + 1) / max(1, _targets(labelled, fresh, task))
        share = min(TEST_SHARE * len(labelled) / len(fresh), max(usual, min(needed, most)))
        try:
            chosen = _split(labelled, fresh, share, task, seed)
        except DataError:  # too few groups
            chosen = set()
        targets = _targets(labelled, chosen, task)
        if min(targets, len(chosen) - targets) >= LEAST_POSITIVES:
            return chosen
    return _split(labelled, range(len(labelled)), TEST_SHARE, task, seed)


def _targets(labelled: Dataset, indices: Iterable[int], task: Task) -> int:
    return sum(labelled.examples[index].labels[task.name] == task.target for index in indices)


def _split(labelled: Dataset, indices: Collection[int], share: float, task: Task, seed: int) -> set[int]:
    pool = labelled.pick(indices)
    parts = split(pool, {"test": share, "train": 1 - share}, seed=seed, task=task)
    items = {one.item for one in parts["test"].examples}
    return {index for index in indices if labelled.examples[index].item in items}


def _apart(labelled: Dataset, test: Dataset) -> list[int]:
    """Examples of `labelled` that share neither group nor pair nor (nearly) words with any of `test`."""
    first = alike({"": labelled.conversations, "test": test.conversations})
    near = {first["test", one.conversation_id] for one in test.examples}
    groups = {one.group for one in test.examples if one.group}
    touched = {
        index
        for index, one in enumerate(labelled.examples)
        if one.group in groups or first["", one.conversation_id] in near
    }
    blocks = [block for block in blocks_of(labelled) if not touched.intersection(block)]
    return sorted(index for block in blocks for index in block)


def _count_seen(labelled: Dataset, test: Dataset, seen: Collection[str] | None) -> int | None:
    if seen is None:
        return None
    sides = {"": labelled, "test": test}
    first = alike({name: side.conversations for name, side in sides.items()})
    known = {
        first[name, one.conversation_id]
        for name, dataset in sides.items()
        for one in dataset.examples
        if _hash(dataset, one) in seen
    }
    return sum(first["test", one.conversation_id] in known for one in test.examples)
