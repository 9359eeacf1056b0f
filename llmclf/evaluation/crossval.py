"""Cross-validation in which nothing that must not be shared stands on both sides."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from llmclf.classifiers.base import Classifier
from llmclf.errors import ConfigError, DataError, ModelError, nearest
from llmclf.types import Dataset, Prediction, Predictions, Task, groups_of

GROUP = "group"
"""The name of what `groups_of` says among the things to hold out: shared conversation, group or pair."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Places of examples in a dataset: learn from `train`, ask about `test`."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def folds(
    dataset: Dataset, by: Sequence[str] = (GROUP,), k: int = 5, seed: int = 0, *, task: Task | None = None
) -> list[Fold]:
    """Folds in which no test example shares its group, or any other factor in `by`, with an example learned from.

    `by` names `group` or keys of the conversations' metadata. The values of each factor are dealt to `k`
    parts (or as many as it has values). With one factor a fold tests one part and learns from the others.
    With several, the tested block holds one part of each, and examples that share any tested part are in
    neither side of that fold. Every example is tested exactly once. With `task`, parts hold about equally many
    targets; else equally many examples. The same arguments give the same folds.

    Raises ConfigError for `k` below 2 or an unknown factor, DataError where a factor has a single value.
    """
    if k < 2 or not by:
        raise ConfigError("cross-validation needs two parts at least, of one factor at least", where="folds", got=k)
    is_target = np.array([task is not None and one.labels.get(task.name) == task.target for one in dataset.examples])
    parts = [_parts(_values(dataset, name), name, k, seed + place, is_target) for place, name in enumerate(by)]
    made = []
    for block in product(*(range(int(part.max()) + 1) for part in parts)):
        same = np.array([part == tested for part, tested in zip(parts, block, strict=True)])
        test, train = np.flatnonzero(same.all(axis=0)), np.flatnonzero(~same.any(axis=0))
        if len(test):
            made.append(Fold(tuple(train.tolist()), tuple(test.tolist())))
    return made


def cross_predict(
    make: Callable[[], Classifier],
    dataset: Dataset,
    task: Task,
    by: Sequence[str] = (GROUP,),
    k: int = 5,
    seed: int = 0,
) -> Predictions:
    """A prediction for every example labelled for `task`, by a classifier that has not learned from its like.

    `make` gives a new classifier for each fold. Predictions are in the order of `dataset.for_task(task.name)`.
    Where a fold has nothing to learn from (no target, only targets, or too few for the classifier), its items
    are failed predictions of kind `internal` that say why.
    """
    labelled = dataset.for_task(task.name)
    answers: dict[int, Prediction] = {}
    for number, fold in enumerate(folds(labelled, by, k, seed, task=task), start=1):
        answers.update(zip(fold.test, _answers(make(), labelled, task, fold, number), strict=True))
    return Predictions(answers[place] for place in range(len(labelled)))


def _answers(
    classifier: Classifier, dataset: Dataset, task: Task, fold: Fold, number: int
) -> Iterator[Prediction] | Predictions:
    learned_from = dataset.pick(fold.train)
    items = [dataset.examples[place].item for place in fold.test]
    targets = learned_from.labels(task.name).count(task.target)
    try:
        if not 0 < targets < len(learned_from):
            lacking = "other than the target" if targets else task.target
            raise DataError(f"no example {lacking} is left to learn from", got=f"{len(learned_from)} examples")
        classifier.fit(learned_from)
    except DataError as error:
        # Too little in one fold is a fact about the data, to be counted; anything else stops the run.
        what = f"too few labels to train on (fold {number}): {error}"
        failure = ModelError("internal", what, where=classifier.name)
        return iter([classifier.failed(item, failure) for item in items])
    return classifier.predict(dataset.pick(fold.test).conversations, items)


def _values(dataset: Dataset, name: str) -> list[Hashable]:
    if name == GROUP:
        return list(groups_of(dataset.examples))
    metadata = [dataset.conversation(example).metadata for example in dataset.examples]
    known = sorted({key for one in metadata for key in one})
    if name not in known:
        raise ConfigError(
            "there is no such factor to hold out", where="folds", got=name, fix=nearest(name, [GROUP, *known])
        )
    lacking = [str(example.item) for example, one in zip(dataset.examples, metadata, strict=True) if name not in one]
    if lacking:
        raise DataError(
            f"{len(lacking)} examples have no {name!r} in their conversation's metadata",
            where=f"dataset {dataset.name}",
            problems=lacking[:20],
        )
    return [one[name] for one in metadata]


def _parts(values: Sequence[Hashable], name: str, k: int, seed: int, is_target: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,) the part of each example: whole values, those with most targets first, then the largest.

    A value with targets goes to the part with fewest targets, one without to the part with fewest examples.
    """
    number = {value: place for place, value in enumerate(dict.fromkeys(values))}
    if len(number) < 2:
        raise DataError(f"{name!r} has a single value and can't be held out", where="folds", got=list(number)[:1])
    codes = np.array([number[value] for value in values], np.intp)
    sizes, targets = np.bincount(codes), np.bincount(codes, weights=is_target)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = shuffled[np.lexsort((-sizes[shuffled], -targets[shuffled]))]
    parts = range(min(k, len(sizes)))
    examples_in, targets_in = [0] * len(parts), [0.0] * len(parts)
    part_of = np.zeros(len(sizes), np.intp)
    for value in order:
        few_targets = bool(targets[value])
        part = min(parts, key=lambda one: (targets_in[one] if few_targets else 0, examples_in[one]))
        part_of[value] = part
        examples_in[part] += int(sizes[value])
        targets_in[part] += float(targets[value])
    return part_of[codes]
