"""Train, validation and test of one optimization: whole groups, and nothing nearly the same in two of them."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llmclf.config import OptimizationFile
from llmclf.data.checks.duplicates import NEAR, alike
from llmclf.data.design import part_of
from llmclf.data.split import blocks_of, split
from llmclf.data.unseen import unseen
from llmclf.errors import DataError
from llmclf.evaluation.drawn import drawn
from llmclf.optimization.covering import covering
from llmclf.stats.stratified import LEAST_POSITIVES
from llmclf.types import Dataset, Example, Task

_CLEAN_SHARE = 0.25  # of the others that an enriched part keeps, as long as there are as many


@dataclass(frozen=True, slots=True)
class Parts:
    """Who is in which part, by key (the item as text, or a case's id)."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was left out and why, and what is too small to decide anything."""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict, hash=False)
    """Part to label to how many."""


def parts_of(
    dataset: Dataset,
    task: Task,
    file: OptimizationFile,
    test: Dataset | None = None,
    learned_from: Collection[str] = (),
) -> tuple[dict[str, Dataset], Parts]:
    """The labelled examples of `dataset` as `train`, `validation` and `test`, and who is in them.

    Conversations, groups and pairs are never parted, and every label is spread by the shares. What is the same as
    something in the test, or nearly (Jaccard similarity of three-word shingles of `data.checks.duplicates.NEAR` or
    more), is left out of validation, and of train what is nearly in one of these two. With `test`, that is the test
    part, and what shares a conversation, a group or a pair with it is left out of the others.

    `learned_from` are `item_hash`es of what the parent was optimized by: the test is taken from the rest, as long as
    it then holds targets and others enough; what it holds of them is in the notes.

    Others are left out of train until it holds `positive_share` of targets: at random, equally many of each adjacent
    label, and clean ones first, of which a quarter of the others stays. The inclusion probabilities of what is kept
    shrink accordingly, so that weighted figures stay figures of the same population. In train and validation they are
    by the design: 1 where it gives all the same weight. The same inputs and seed give the same parts.

    Raises DataError, with everything that is wrong, before anything is paid: labels outside the closed set, ids that
    mean other words in `test`, and parts without a target or without anything else.
    """
    labelled, tests = dataset.for_task(task.name), test.for_task(task.name) if test else None
    notes = _unlabelled(dataset, labelled) + (_unlabelled(test, tests) if test and tests else [])
    _check_labels([labelled, tests] if tests is not None else [labelled], task)
    if tests is not None:
        labelled, left_out = _apart_from_test(labelled, tests)
        notes += _said(left_out, dataset.name, "the test")
    labelled = _thinned(_only(labelled, task), task, file)
    shares = {"train": file.parts.train, "validation": file.parts.validation, "test": file.parts.test}
    shares = {name: share for name, share in shares.items() if share}
    _check_groups(labelled, task, list(shares), tests)
    parts, dropped = _deduplicated(_split(labelled, task, shares, file.seed, learned_from))
    notes += dropped
    if tests is not None:
        parts["test"] = tests
    notes += _flattering(parts["test"], learned_from)
    _check_parts(parts, task)
    parts = {name: part if name == "test" else _weighed(part) for name, part in parts.items()}
    parts["train"], said = _enriched(parts["train"], task, file.positive_share, file.seed)
    notes += [*said, *_too_few(parts, task), *_unshown(parts["train"], task)]
    keys = {name: tuple(str(each.item) for each in part.examples) for name, part in parts.items()}
    counts = {name: dict(Counter(part.labels(task.name))) for name, part in parts.items()}
    return parts, Parts(**keys, notes=tuple(notes), counts=counts)


# --- what is wrong -------------------------------------------------------------------------


def _check_labels(datasets: Sequence[Dataset], task: Task) -> None:
    problems = []
    for dataset in datasets:
        if not dataset.examples:
            problems.append(f"dataset {dataset.name} holds no label of task {task.name}")
        wrong = Counter(label for label in dataset.labels(task.name) if label not in task.label_names)
        problems += [f"dataset {dataset.name}: label {label!r} of {count} items" for label, count in wrong.items()]
    if len(datasets) > 1:
        one, other = (dataset.conversations for dataset in datasets)
        clashes = [id for id in one if id in other and one[id].content_hash != other[id].content_hash]
        if clashes:
            problems.append(
                f"{len(clashes)} ids mean other words in {datasets[1].name} than in {datasets[0].name}: "
                f"{', '.join(clashes[:5])}; give each conversation an id of its own"
            )
    if problems:
        raise DataError("labels can't be used as they are", where=f"task {task.name}", problems=problems)


def _check_groups(dataset: Dataset, task: Task, names: Sequence[str], test: Dataset | None) -> None:
    """Each part needs a target and another, and those that share a group go to the same part."""
    problems = _missing({"test": test}, task) if test is not None else []
    is_target = [label == task.target for label in dataset.labels(task.name)]
    blocks = blocks_of(dataset)
    for noun, wanted in ((task.target, True), ("other", False)):
        have = sum(any(is_target[place] is wanted for place in block) for block in blocks)
        lacking = len(names) - have
        if lacking > 0:
            problems.append(
                f"{' and '.join(names)} need a {noun} item each, and there are {have} in groups that share nothing: "
                f"label {lacking} more, in other conversations"
            )
    if problems:
        raise DataError("too few labels for the parts", where=f"dataset {dataset.name}", problems=problems)


def _check_parts(parts: Mapping[str, Dataset], task: Task) -> None:
    problems = _missing(parts, task)
    if problems:
        raise DataError(
            "a part holds nothing of a kind",
            fix="label more, give that part a larger share, or try another `seed`",
            problems=problems,
        )


def _missing(parts: Mapping[str, Dataset], task: Task) -> list[str]:
    found = []
    for name, part in parts.items():
        labels = part.labels(task.name)
        targets = labels.count(task.target)
        if not targets:
            found.append(f"{name}: no {task.target} among {len(labels)} items; at least 1 more is needed")
        if targets == len(labels):
            found.append(f"{name}: {task.target} only, {targets} of it; at least 1 other is needed")
    return found


def _too_few(parts: Mapping[str, Dataset], task: Task) -> list[str]:
    return [
        f"{name} holds {count} {task.target}: with fewer than {LEAST_POSITIVES}, little is decided by them"
        for name in ("validation", "test")
        if (count := parts[name].labels(task.name).count(task.target)) < LEAST_POSITIVES
    ]


def _unshown(train: Dataset, task: Task) -> list[str]:
    lacking = [name for name in task.label_names if name not in train.labels(task.name)]
    return [f"train holds no {', '.join(lacking)}: no example of it can be shown"] if lacking else []


def _unlabelled(dataset: Dataset, labelled: Dataset) -> list[str]:
    count = len(dataset) - len(labelled)
    return [f"{count} items of {dataset.name} have no label of the task and were left out"] if count else []


# --- what the parent has seen --------------------------------------------------------------


def _split(
    dataset: Dataset, task: Task, shares: Mapping[str, float], seed: int, learned_from: Collection[str]
) -> dict[str, Dataset]:
    """The parts by their shares; the test of what the parent has not learned from, where that is enough."""
    fresh = unseen(dataset, learned_from)
    if "test" not in shares or len(fresh) == len(dataset):
        return split(dataset, shares, seed=seed)
    whole = sum(shares.values())
    share = shares["test"] / whole * len(dataset) / max(1, len(fresh))
    chosen = _some(dataset, fresh, share, seed)
    labels = [dataset.examples[place].labels[task.name] for place in chosen]
    if min(labels.count(task.target), len(labels) - labels.count(task.target)) < LEAST_POSITIVES:
        return split(dataset, shares, seed=seed)
    tested = {str(dataset.examples[place].item) for place in chosen}
    rest = [place for place, each in enumerate(dataset.examples) if str(each.item) not in tested]
    others = {name: value / (whole - shares["test"]) for name, value in shares.items() if name != "test"}
    note = "what the parent was not optimized by"
    parts = split(part_of(dataset, rest, f"without a test of {note}"), others, seed=seed)
    return {**parts, "test": part_of(dataset, chosen, f"test of {note}", f"{dataset.name}/test")}


def _some(dataset: Dataset, places: Sequence[int], share: float, seed: int) -> list[int]:
    """So much of these places, in whole groups; all where the share is not less than all of them."""
    if share >= 1 or not places:
        return list(places)
    try:
        made = split(dataset.pick(places), {"test": share, "rest": 1 - share}, seed=seed)["test"]
    except DataError:  # too few groups
        return list(places)
    items = {str(each.item) for each in made.examples}
    return [place for place in places if str(dataset.examples[place].item) in items]


def _flattering(test: Dataset, learned_from: Collection[str]) -> list[str]:
    """In words, how much of the test the parent has seen."""
    seen = len(test) - len(unseen(test, learned_from))
    if not seen:
        return []
    return [
        f"{seen} of {len(test)} test items hang together with what the parent was optimized by, which flatters it, "
        "not the candidates: label more, or give a test_dataset that it has not seen"
    ]


# --- what stands twice ---------------------------------------------------------------------


def _apart_from_test(dataset: Dataset, test: Dataset) -> tuple[Dataset, int]:
    """(what shares nothing with `test`, how many items were left out)."""
    taken = {name for example in test.examples for name in _names(example)}
    first = alike({"": dataset.conversations, "test": test.conversations})
    tested = {kind for (home, _), kind in first.items() if home == "test"}
    kept = [
        place
        for place, example in enumerate(dataset.examples)
        if not taken.intersection(_names(example)) and first["", example.conversation_id] not in tested
    ]
    left_out = len(dataset) - len(kept)
    return (part_of(dataset, kept, f"without what is in {test.name}") if left_out else dataset), left_out


def _names(example: Example) -> set[str]:
    return {name for name in (example.conversation_id, example.group, example.pair) if name}


def _deduplicated(parts: Mapping[str, Dataset]) -> tuple[dict[str, Dataset], list[str]]:
    """(the parts, each without what is nearly in a later one, what was left out in words)."""
    first, notes = alike({name: part.conversations for name, part in parts.items()}), []
    made: dict[str, Dataset] = {}
    later_ones: set[tuple[str, str]] = set()
    for name in reversed(list(parts)):
        part = parts[name]
        own = [first[name, example.conversation_id] for example in part.examples]
        kept = [place for place, kind in enumerate(own) if kind not in later_ones]
        later = " and ".join(reversed(made))
        notes += _said(len(part) - len(kept), name, later)
        made[name] = part if len(kept) == len(part) else part_of(part, kept, f"without duplicates of {later}")
        later_ones.update(own)
    return {name: made[name] for name in parts}, notes


def _said(count: int, name: str, other: str) -> list[str]:
    items = "1 item" if count == 1 else f"{count} items"
    return [f"{items} of {name} left out: also in {other}, or alike in {NEAR:.0%} or more"] if count else []


# --- how many ------------------------------------------------------------------------------


def _only(dataset: Dataset, task: Task) -> Dataset:
    """The same without labels of other tasks, so that a split spreads each label of this one."""
    examples = tuple(replace(each, labels={task.name: each.labels[task.name]}) for each in dataset.examples)
    return replace(dataset, examples=examples)


def _thinned(dataset: Dataset, task: Task, file: OptimizationFile) -> Dataset:
    """`max_items` of them, targets and others in proportion, one of each at least."""
    most = file.max_items
    if most is None or most >= len(dataset):
        return dataset
    sides: dict[bool, list[int]] = defaultdict(list)
    for place, label in enumerate(dataset.labels(task.name)):
        sides[label == task.target].append(place)
    targets = min(len(sides[True]), max(1, round(most * len(sides[True]) / len(dataset))))
    generator = random.Random(file.seed)  # noqa: S311 - a draw, not a secret
    kept = generator.sample(sides[True], targets)
    kept += generator.sample(sides[False], min(len(sides[False]), most - targets))
    return part_of(dataset, kept, f"{len(kept)} of {len(dataset)} by max_items, seed {file.seed}")


def _weighed(dataset: Dataset) -> Dataset:
    """The same, with the inclusion probabilities that follow from the design (None: all the same)."""
    weights = drawn(dataset, dataset.examples).sampling.weight.tolist()
    examples = tuple(
        replace(example, inclusion_probability=None if weight == 1 else 1 / weight)
        for example, weight in zip(dataset.examples, weights, strict=True)
    )
    return replace(dataset, examples=examples)


def _enriched(dataset: Dataset, task: Task, share: float, seed: int) -> tuple[Dataset, list[str]]:
    """(the dataset with so many others that targets are `share` of it, what was left out in words)."""
    by_label: dict[str, list[int]] = {name: [] for name in task.label_names}
    for place, label in enumerate(dataset.labels(task.name)):
        by_label[label].append(place)
    targets = by_label.pop(task.target)
    others = {name: places for name, places in by_label.items() if places}
    wanted = max(round(len(targets) * (1 - share) / share), len(others)) if share else len(dataset)
    if sum(map(len, others.values())) <= wanted:
        return dataset, []
    kept = {**_kept(dataset, others, wanted, task, seed), task.target: targets}
    examples = {
        place: _shrunk(dataset.examples[place], len(places) / len(by_label.get(label, places)))
        for label, places in kept.items()
        for place in places
    }
    places = sorted(examples)
    note = "; ".join(text for text in (dataset.design.note, f"others left out until targets are {share:.0%}") if text)
    made = replace(
        dataset.pick(places),
        examples=tuple(examples[place] for place in places),
        design=replace(dataset.design, note=note),
    )
    left_out = f"{len(dataset) - len(made)} other items of train left out: {len(targets)} targets are now"
    return made, [f"{left_out} {len(targets) / len(made):.0%} of it, and scores are weighed back"]


def _kept(
    dataset: Dataset, others: Mapping[str, Sequence[int]], wanted: int, task: Task, seed: int
) -> dict[str, list[int]]:
    """Label to the places of `wanted` others: adjacent ones first, but for a quarter of clean ones."""
    roles = {label.name: label.role for label in task.labels}
    places = {str(example.item): place for place, example in enumerate(dataset.examples)}
    keys: dict[str, dict[str, list[str]]] = {"adjacent": {}, "clean": {}}
    for name, members in others.items():
        keys[roles[name]][name] = [str(dataset.examples[place].item) for place in members]
    available = {role: sum(map(len, labels.values())) for role, labels in keys.items()}
    clean = min(available["clean"], max(math.ceil(wanted * _CLEAN_SHARE), len(keys["clean"])))
    adjacent = min(available["adjacent"], max(wanted - clean, len(keys["adjacent"])))
    chosen = covering(keys["adjacent"], adjacent, seed) + covering(keys["clean"], wanted - adjacent, seed)
    found: dict[str, list[int]] = {name: [] for name in others}
    for key in chosen:
        place = places[key]
        found[dataset.examples[place].labels[task.name]].append(place)
    return found


def _shrunk(example: Example, share: float) -> Example:
    if share == 1:
        return example
    return replace(example, inclusion_probability=share / example.weight)
