"""People as the ceiling: a classifier against several annotators of each example, and the annotators themselves.

Where people disagree no classifier can agree with all of them. Some of an example's annotators are taken for
"people", the others for what is to be found; people and classifier are held against the same others, whose vote
is noisier than that of all. What people reach there is the ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import DataError
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import Matched, match
from llmclf.evaluation.notes import about_unseen
from llmclf.render.tables import Shown, TableText, counted
from llmclf.stats import Sampling
from llmclf.stats.disagreement import jensen_shannon, mean, squared_error
from llmclf.stats.means import bounded_mean
from llmclf.types import Dataset, Estimate, Example, Predictions, Task

SPLITS = 20
"""Times that each example's annotators are divided anew; figures are the mean over them."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CeilingRow:
    """One measure, of the classifier and of people."""

    measure: str
    higher_is_better: bool
    whole: Estimate
    """The classifier against all annotators."""
    others: Estimate
    """The classifier against the annotators left when some are taken for people."""
    people: Estimate
    """Those people against the same others: the ceiling."""
    difference: Estimate
    """The classifier's less people's, item by item; no interval where the measure has no value for single items."""

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON types."""
        estimates = {name: getattr(self, name).to_dict() for name in ("whole", "others", "people", "difference")}
        return {"measure": self.measure, "higher_is_better": self.higher_is_better, **estimates}


@dataclass(frozen=True)
class AnnotatorCeiling(Shown):
    """A classifier and people against the same annotators."""

    task: str
    n: int
    """Examples with two annotations or more, answered by the classifier."""
    left_out: int
    """Examples with fewer annotations, or without an answer."""
    annotations: int
    outside: int
    """Annotations that are not counted, because their label is none of the task's."""
    disagreement: Estimate
    """Mean share of pairs of an example's annotators that do not say the same."""
    rows: tuple[CeilingRow, ...]
    unseen: tuple[str, ...] = ()
    """What is not spoken for, in a sentence: strata without any such example."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "task": self.task,
            "n": self.n,
            "left_out": self.left_out,
            "annotations": self.annotations,
            "outside": self.outside,
            "disagreement": self.disagreement.to_dict(),
            "rows": [row.to_dict() for row in self.rows],
            "unseen": list(self.unseen),
        }

    def _table(self) -> TableText:
        return _table(self)


def annotator_ceiling(
    predictions: Predictions, dataset: Dataset, task: Task, *, splits: int = SPLITS, seed: int = 0
) -> AnnotatorCeiling:
    """How a classifier and people agree with the same annotators, over the examples that have two or more.

    Measures: F1 of the target and accuracy against the vote (the label most say; a tie goes to the example's own label
    where all are counted, and by chance among a part of them), and where every answered prediction has probabilities
    the Jensen-Shannon divergence and the squared error against the shares of the annotations. Annotations that are
    not blind (made beside somebody's answer, as corrections are) are not counted, and of a person who stands twice
    at an example the last one is. What the classifier says is the target where it flags, by its threshold; else its
    label, or if that is the target or none, the likeliest other one. Failed items are left out and counted.
    Intervals cluster by group. Raises DataError where no example has two annotations for the task.
    """
    matched = match(predictions, dataset, task)
    votes = np.array([_votes(example, task) for example in matched.examples], dtype=float).reshape(-1, len(task.labels))
    kept = (votes.sum(axis=1) >= 2) & ~matched.failed
    if not kept.any():
        raise DataError(
            "no answered example has two annotations",
            where=f"dataset {dataset.name}, task {task.name}",
            fix='give `annotations` in the labels file: [{"annotator": "a1", "task": "...", "label": "..."}, ...]',
        )
    answers = _Side.of_classifier(predictions, matched, kept, task)
    own = np.array([[label == name for name in task.label_names] for label in matched.labels])[kept]
    whole_sampling = drawn(dataset, matched.examples).sampling
    sampling = whole_sampling.where(kept)
    people, others = _divided(votes[kept].astype(int), splits, np.random.default_rng(seed))
    whole = _Side.of_votes(votes[kept], own / 2)
    rows = [_row(measure, answers, whole, people, others, sampling) for measure in _measures(answers, task)]
    return AnnotatorCeiling(
        task.name,
        int(kept.sum()),
        int((~kept).sum()),
        int(votes[kept].sum()),
        sum(label not in task.label_names for example in matched.examples for label in _said(example, task)),
        bounded_mean(_disagreement(votes[kept]), sampling),
        tuple(rows),
        tuple(about_unseen(whole_sampling, kept, "has two annotations and an answer", "these figures")),
    )


def several_annotations(dataset: Dataset, task: Task) -> bool:
    """True where any example has two annotations for the task, so that `annotator_ceiling` has something to say."""
    return any(sum(_votes(example, task)) >= 2 for example in dataset.examples)


@dataclass(frozen=True, eq=False)
class _Side:
    """What a classifier, or some of the annotators, say: a label (as its place in the task's list) and shares."""

    label: NDArray[np.intp]
    shares: _Floats | None

    @property
    def given(self) -> _Floats:
        assert self.shares is not None
        return self.shares

    @classmethod
    def of_classifier(cls, predictions: Predictions, matched: Matched, kept: NDArray[np.bool_], task: Task) -> _Side:
        """The answers of the examples that are kept; no shares where any has no probabilities."""
        rows = np.flatnonzero(kept).tolist()
        said, chances = (matched.column(predictions, name) for name in ("label", "probabilities"))
        verdicts = [
            task.target if matched.flagged[row] else _other(said[row], chances[row] or {}, task) for row in rows
        ]
        label = np.array([task.label_names.index(verdict) for verdict in verdicts], np.intp)
        if any(chances[row] is None for row in rows):
            return cls(label, None)
        shares = np.array([[chances[row].get(name, 0.0) for name in task.label_names] for row in rows])
        return cls(label, shares / shares.sum(axis=1, keepdims=True))

    @classmethod
    def of_votes(cls, counts: _Floats, nudge: _Floats) -> _Side:
        """The label with most votes and the shares; `nudge`, below 1, decides ties."""
        shares: _Floats = counts / counts.sum(axis=1, keepdims=True)
        return cls(np.argmax(counts + nudge, axis=1).astype(np.intp), shares)


@dataclass(frozen=True)
class _Measure:
    name: str
    higher_is_better: bool
    by_item: Callable[[_Side, _Side], _Floats] | None
    """What was said and what was wanted to a number of 0 to 1 for each item; None for F1, which no single item has."""
    target: int = 0

    def mean(self, values: _Floats, sampling: Sampling, least: float = 0.0) -> Estimate:
        """Of numbers from `least` to 1: accuracy may be nearly always right, distances spread."""
        of = bounded_mean if self.higher_is_better else mean
        return of(values, sampling, bounds=(least, 1.0))


def _measures(answers: _Side, task: Task) -> list[_Measure]:
    target = task.label_names.index(task.target)
    made = [
        _Measure(f"F1 of {task.target}", True, None, target),
        _Measure("accuracy", True, lambda said, wanted: (said.label == wanted.label).astype(float)),
    ]
    if answers.shares is not None:
        made.append(_Measure("Jensen-Shannon divergence", False, lambda one, two: jensen_shannon(one.given, two.given)))
        made.append(_Measure("squared error", False, lambda one, two: squared_error(one.given, two.given)))
    return made


def _row(
    measure: _Measure,
    answers: _Side,
    whole: _Side,
    people: list[_Side],
    others: list[_Side],
    sampling: Sampling,
) -> CeilingRow:
    halves = list(zip(people, others, strict=True))
    against = ([(answers, whole)], [(answers, rest) for rest in others], halves)
    if measure.by_item is None:
        return _f1_row(measure, [[_hits(*pair, measure.target) for pair in pairs] for pairs in against], sampling)
    by_item = measure.by_item
    values = [np.mean([by_item(one, two) for one, two in pairs], axis=0) for pairs in against]
    all_votes, our_half, their_half = (measure.mean(found, sampling) for found in values)
    less = measure.mean(values[1] - values[2], sampling, least=-1.0)
    return CeilingRow(measure.name, measure.higher_is_better, all_votes, our_half, their_half, less)


def _f1_row(measure: _Measure, hits: list[list[_Floats]], sampling: Sampling) -> CeilingRow:
    whole, ours, theirs = (_mean_f1(pairs, sampling) for pairs in hits)
    less = Estimate.unknown("no target was said or wanted")
    if ours.value is not None and theirs.value is not None:
        less = Estimate(ours.value - theirs.value)
    return CeilingRow(measure.name, True, whole, ours, theirs, less)


def _hits(one: _Side, other: _Side, target: int) -> _Floats:
    return np.stack([one.label == target, other.label == target], axis=1).astype(float)


def _mean_f1(pairs: list[_Floats], sampling: Sampling) -> Estimate:
    """F1 of (said, wanted) truth values, the mean over splits; linearised as a ratio, by groups."""
    values, influence = [], np.zeros(len(sampling))
    for pair in pairs:
        both, either = pair[:, 0] * pair[:, 1], pair.sum(axis=1) / 2
        size = float(sampling.weight @ either)
        if size == 0:
            continue
        value = float(sampling.weight @ both) / size
        values.append(value)
        influence += (both - value * either) * float(sampling.weight.sum()) / size
    if not values:
        return Estimate.unknown("no target was said or wanted")
    around = mean(influence / len(values), sampling)
    value = float(np.mean(values))
    if around.low is None or around.high is None or around.value is None:
        return Estimate(value, why_not=around.why_not)
    low, high = value + around.low - around.value, value + around.high - around.value
    return Estimate(value, max(0.0, low), min(1.0, high), "linearised-ratio")


def _divided(votes: NDArray[np.intp], splits: int, rng: np.random.Generator) -> tuple[list[_Side], list[_Side]]:
    """(people, others) for each split; of an odd number of annotators the others are one more."""
    people, others = [], []
    for _ in range(splits):
        some = np.array([rng.multivariate_hypergeometric(row, int(row.sum()) // 2) for row in votes], dtype=float)
        people.append(_Side.of_votes(some, rng.random(some.shape) / 2))
        others.append(_Side.of_votes(votes - some, rng.random(some.shape) / 2))
    return people, others


def _disagreement(votes: _Floats) -> _Floats:
    size = votes.sum(axis=1)
    alike: _Floats = (votes * (votes - 1)).sum(axis=1) / (size * (size - 1))
    return 1 - alike


def _said(example: Example, task: Task) -> list[str]:
    """The label of each person who was not shown an answer; of one who stands twice the last."""
    own = [one for one in example.annotations if one.task == task.name and one.blind is not False]
    return list({one.annotator: one.label for one in own}.values())


def _votes(example: Example, task: Task) -> list[int]:
    said = _said(example, task)
    return [said.count(name) for name in task.label_names]


def _other(said: str | None, chances: Mapping[str, float], task: Task) -> str:
    """The label of an item that is not flagged: what was said, if it is not the target, else the likeliest other."""
    if said is not None and said != task.target:
        return said
    others = sorted((label for label in task.labels if label.role != "target"), key=lambda one: one.role != "clean")
    # Of equals the first: the clean one.
    return max(others, key=lambda one: chances.get(one.name, 0.0), default=task.labels[0]).name


def _table(ceiling: AnnotatorCeiling) -> TableText:
    rows = [
        (row.measure, *(getattr(row, name).format(".3f") for name in ("whole", "others", "people")))
        for row in ceiling.rows
    ]
    notes = [
        f"{counted(ceiling.annotations, 'annotation')}; two people differ on {ceiling.disagreement.format('.1%')} of "
        "the examples.",
        "People are about half of each example's annotators, against the other half; the classifier is held against "
        "the same half. Against fewer people every figure is worse: compare the last two columns.",
        "For divergence and squared error lower is better.",
    ]
    if ceiling.left_out:
        notes.append(f"Left out: {ceiling.left_out} with fewer than two annotations, or without an answer.")
    if ceiling.outside:
        notes.append(f"Not counted: {counted(ceiling.outside, 'annotation')} with a label that is none of the task's.")
    notes += ceiling.unseen
    return TableText(
        f"{ceiling.task}: beside {counted(ceiling.n, 'example')} with several annotators",
        ("measure", "against all", "against half", "people"),
        tuple(rows),
        tuple(notes),
        right=(1, 2, 3),
    )
