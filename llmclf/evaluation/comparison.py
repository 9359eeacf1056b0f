"""Two classifiers on the same labelled items: which is better, how surely, and item by item where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

import llmclf.stats as stats
from llmclf.errors import DataError
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import Matched, match
from llmclf.evaluation.measure import evaluate
from llmclf.evaluation.result import Evaluation
from llmclf.render.tables import AsJson
from llmclf.types import Costs, Dataset, Estimate, Item, Predictions, Task, said_label

Verdict = Literal["better", "worse", "not decided"]
ChangeKind = Literal["found", "quiet", "lost", "false alarm", "failed"]
_SIDE_FIGURES = ("recall", "recall_answered", "specificity", "projected_precision", "dollars_per_1000")
_SIDE_COUNTS = (
    "classifier_id", "simulated", "counts", "failed", "failed_positives", "ungrounded", "cost_per_item_usd",
    "latency_p50", "latency_p95",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """An item of which the two say different things, so that one is right and the other is not, or one failed."""

    item: str
    kind: ChangeKind
    """What B did: `found` a target that A missed, stayed `quiet` where A raised a false alarm, `lost` a target,
    raised a `false alarm`; or `failed`: one of them has no answer."""
    label: str
    """The true one."""
    a: str
    """What A said: a label, or the kind of its error."""
    b: str
    a_score: float | None = None
    b_score: float | None = None


@dataclass(frozen=True)
class Comparison(AsJson):
    """What B gains and loses against A on the items that both predicted.

    Differences are B less A. A rate's is of the population or the set as in `Evaluation`; dollars are at
    `costs.prevalence`.
    """

    a: Evaluation
    """The first one alone, on the same items."""
    b: Evaluation
    names: tuple[str, str]
    """What A and B are, for people."""
    unit: str
    """What an item is: conversation or turn."""
    dollars: Estimate
    """For 1,000 items; below 0, B is cheaper. It decides."""
    recall: Estimate
    """-1 to 1; a failed target counts as missed."""
    false_alarms: Estimate
    """Of the false-alarm rate, -1 to 1, over the others that both answered."""
    targets: stats.Discordance
    """Targets that one alone finds."""
    others: stats.Discordance
    """Others that one alone leaves quiet."""
    gains: tuple[Change, ...] = field(repr=False)
    """B is right and A is wrong."""
    losses: tuple[Change, ...] = field(repr=False)
    failures: tuple[Change, ...] = field(repr=False)
    """One of them failed; such an item is neither gain nor loss."""
    only_a: int
    """Items that A alone predicted; they are in no figure."""
    only_b: int
    more: stats.MoreLabels | None
    """What it would take to decide; None where it is decided, or where there is no figure."""
    settings: Mapping[str, tuple[Any, Any]] = field(default_factory=dict, repr=False)
    """Settings that differ: what A has, and what B has."""
    prompt_diff: str = field(default="", repr=False)
    """Unified, from A's prompt to B's; empty where they are the same or not known."""
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> int:
        """Labelled items that both predicted."""
        return self.a.n

    @property
    def positives(self) -> int:
        """Targets among them."""
        return self.a.n_positives

    @property
    def verdict(self) -> Verdict:
        """Of B against A, by dollars: decided where the whole interval lies on one side of 0."""
        usd = self.dollars
        if usd.value is None or usd.low is None or usd.high is None:
            return "not decided"
        return "better" if usd.high < 0 else "worse" if usd.low > 0 else "not decided"

    @property
    def sentence(self) -> str:
        """What a person who decides must know."""
        from llmclf.evaluation.comparison_table import sentence_of

        return sentence_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types, every gain and loss among it."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "task": self.a.task,
            "dataset": self.a.dataset,
            "unit": self.unit,
            "items": self.items,
            "positives": self.positives,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "costs": asdict(self.a.costs),
            "level": self.a.level,
            **{name: getattr(self, name).to_dict() for name in FIGURES},
            "targets": self.targets.to_dict(),
            "others": self.others.to_dict(),
            "more_labels": None if self.more is None else self.more.to_dict(),
            "a": _side(self.names[0], self.a),
            "b": _side(self.names[1], self.b),
            "settings": {name: list(pair) for name, pair in self.settings.items()},
            "prompt_diff": self.prompt_diff,
            **{name: [asdict(one) for one in getattr(self, name)] for name in ("gains", "losses", "failures")},
            "notes": list(self.notes),
        }

    def __rich__(self) -> Any:
        from llmclf.evaluation.comparison_table import rich_of

        return rich_of(self)

    def _repr_html_(self) -> str:
        from llmclf.evaluation.comparison_table import html_of

        return html_of(self)


FIGURES = ("dollars", "recall", "false_alarms")
"""The differences of a `Comparison`, each an Estimate."""


def compare(
    a: Predictions,
    b: Predictions,
    dataset: Dataset,
    task: Task,
    *,
    costs: Costs = Costs(),
    names: tuple[str, str] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """How `b` does against `a` on the labelled items of `dataset` that both predicted.

    Items are compared in pairs, in their groups; the same inputs and `seed` give the same figures. `names` are
    what A and B are called, by default their classifiers' ids. Raises DataError where real answers meet simulated
    ones, where no labelled item was predicted by both, and what `evaluate` raises.
    """
    sides = (a, b)
    simulated = [any(side.column("simulated")) for side in sides]
    if simulated[0] != simulated[1]:
        raise mixed("A" if simulated[0] else "B")
    first, second = (set(_items(side)) for side in sides)
    shared = dataset.where(lambda example: example.item in first & second and task.name in example.labels)
    if not len(shared):
        raise DataError(
            "no labelled item was predicted by both",
            where=f"dataset {dataset.name}",
            got=f"A predicted {len(first)} items, B {len(second)}, both {len(first & second)}",
        )
    wanted = {example.item for example in shared.examples}
    a, b = (_picked(side, wanted) for side in sides)
    matched = match(a, shared, task), match(b, shared, task)
    alone = evaluate(a, shared, task, costs=costs, level=level), evaluate(b, shared, task, costs=costs, level=level)
    pairs = stats.paired_cells(
        matched[0].positive,
        (matched[0].flagged, matched[1].flagged),
        (matched[0].failed, matched[1].failed),
        drawn(shared, matched[0].examples).sampling,
        seed=seed,
    )
    prices = alone[0].cost_per_item_usd, alone[1].cost_per_item_usd
    dollars = stats.paired_dollars(pairs, costs, model_usd=prices, level=level)
    changes = _changes(matched, (a, b), task.target)
    undecided = dollars.low is not None and dollars.high is not None and dollars.low <= 0 <= dollars.high
    unlabelled = len(first & second) - len(wanted)
    return Comparison(
        *alone,
        names=names or (alone[0].classifier_id, alone[1].classifier_id),
        unit=task.unit,
        dollars=dollars,
        recall=stats.paired_recall(pairs, level=level),
        false_alarms=stats.paired_false_alarms(pairs, level=level),
        targets=stats.discordance(pairs, "targets"),
        others=stats.discordance(pairs, "others"),
        gains=tuple(one for one in changes if one.kind in ("found", "quiet")),
        losses=tuple(one for one in changes if one.kind in ("lost", "false alarm")),
        failures=tuple(one for one in changes if one.kind == "failed"),
        only_a=len(first - second),
        only_b=len(second - first),
        more=stats.more_labels(pairs, dollars, level=level) if undecided else None,
        notes=_notes(alone, len(first - second), len(second - first), unlabelled),
    )


def mixed(simulated: str) -> DataError:
    """What is raised where real answers meet those of the side that is `simulated`."""
    return DataError(
        "real and simulated answers can't be compared",
        where="compare",
        got=f"{simulated} is simulated",
        fix="a simulated vendor says nothing about a real one: compare real with real",
    )


def _items(predictions: Predictions) -> list[Item]:
    columns = predictions.column("conversation_id"), predictions.column("turn")
    return [Item(*pair) for pair in zip(*columns, strict=True)]


def _picked(predictions: Predictions, wanted: set[Item]) -> Predictions:
    """The predictions of `wanted` items, in their order."""
    rows = [row for row, item in enumerate(_items(predictions)) if item in wanted]
    if len(rows) == len(predictions):
        return predictions
    columns = {name: predictions.column(name) for name in predictions[0].__slots__}
    return Predictions.from_columns({name: [values[row] for row in rows] for name, values in columns.items()})


def _changes(matched: tuple[Matched, Matched], sides: tuple[Predictions, Predictions], target: str) -> list[Change]:
    """Items that one has right and the other wrong, or of which one failed; in the dataset's order."""
    a, b = matched
    said = [_said(one, side, target) for one, side in zip(matched, sides, strict=True)]
    scores = [one.column(side, "score") for one, side in zip(matched, sides, strict=True)]
    differs = (a.failed != b.failed) | (~a.failed & ~b.failed & (a.flagged != b.flagged))
    found = []
    for row in np.flatnonzero(differs):
        kind: ChangeKind = "failed"
        if not (a.failed[row] or b.failed[row]):
            is_target, flag = bool(a.positive[row]), bool(b.flagged[row])
            kind = ("found" if flag else "lost") if is_target else ("false alarm" if flag else "quiet")
        what = str(a.examples[row].item), kind, a.labels[row]
        found.append(Change(*what, said[0][row], said[1][row], scores[0][row], scores[1][row]))
    return found


def _said(matched: Matched, side: Predictions, target: str) -> list[str]:
    """What each prediction comes to, or the kind of its error."""
    columns = matched.flagged.tolist(), *(matched.column(side, name) for name in ("label", "error"))
    return [
        said_label(flag, label, target) if error is None else f"failed: {error.kind}"
        for flag, label, error in zip(*columns, strict=True)
    ]


def _notes(alone: tuple[Evaluation, Evaluation], only_a: int, only_b: int, unlabelled: int) -> tuple[str, ...]:
    """What must be known of either side, said once where it is the same of both."""
    said = []
    for name, count in (("A", only_a), ("B", only_b)):
        if count:
            said.append(f"{count} items were predicted by {name} alone and are in no figure.")
    if unlabelled:
        said.append(f"{unlabelled} items that both predicted have no label here and are in no figure.")
    a, b = ([note for note in one.notes if "PR-AUC" not in note] for one in alone)  # which is not shown here
    said += [note for note in a if note in b]
    for name, own, other in (("A", a, b), ("B", b, a)):
        said += [f"{name}: {note}" for note in own if note not in other]
    return tuple(said)


def _side(name: str, evaluation: Evaluation) -> dict[str, Any]:
    figures = {figure: getattr(evaluation, figure).to_dict() for figure in _SIDE_FIGURES}
    counts: Mapping[str, Any] = {count: getattr(evaluation, count) for count in _SIDE_COUNTS}
    return {"name": name, **counts, **figures}
