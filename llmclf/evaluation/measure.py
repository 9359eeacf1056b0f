"""Predictions against labels: the figures of an `Evaluation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.evaluation import notes
from llmclf.evaluation.drawn import Drawn, drawn
from llmclf.evaluation.matching import Matched, match
from llmclf.evaluation.result import Evaluation
from llmclf.stats import Confusion
from llmclf.types import Costs, Dataset, Estimate, Predictions, Task

_DRAWS_OF_PARTS = 2000


def evaluate(
    predictions: Predictions,
    dataset: Dataset,
    task: Task,
    *,
    costs: Costs = Costs(),
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """How good `predictions` are against the labels of `dataset` for `task`, every figure with its interval.

    Rates follow the dataset's design; intervals cluster by `Example.group_or_conversation`. Failed items are
    missed targets for recall, are left out of specificity, and cost what `costs.on_error` says. The same
    inputs and `seed` give the same figures.

    Raises DataError, listing everything at once, where predictions, labels or design do not fit.
    """
    matched = match(predictions, dataset, task)
    basis = drawn(dataset, matched.examples)
    table = stats.confusion(matched.positive, matched.flagged, basis.sampling, failed=matched.failed, seed=seed)
    answers = _Answers.of(predictions, matched, task, basis)
    rates = _rates(table, basis, costs, level)
    ranking = _ranking(answers, matched, basis, level, seed)
    failed: Counter[str] = Counter(error.kind for error in matched.errors if error is not None)
    failed_positives = int((matched.failed & matched.positive).sum())
    sources: Counter[str] = Counter(example.source for example in matched.examples)
    n, positives, groups = len(matched.examples), table.n_positives, _n_groups(basis)
    failures = notes.about_failures(matched.errors, failed_positives)
    said = [
        *(failures if matched.failed.all() else []),
        *notes.about_data(sources, answers.simulated, n, groups),
        *notes.about_design(basis.why_not, costs, rates["prevalence"], basis.unanswered),
        *notes.about_positives(rates["recall"], positives),
        *([] if matched.failed.all() else failures),
        *notes.about_costs(answers.maybe_billed, answers.cost_per_item),
        *notes.about_answers(answers.ungrounded, answers.truncated, len(matched.unlabelled)),
        *notes.about_ranking(
            int(answers.scored.sum()), int((~matched.failed).sum()), basis.why_not, float(matched.positive.mean())
        ),
        *notes.about_unit(task),
    ]
    return Evaluation(
        task=task.name,
        target=task.target,
        classifier_id=answers.classifier_id,
        dataset=dataset.name,
        design=dataset.design.kind,
        knows_prevalence=basis.knows_prevalence,
        sources=dict(sources),
        simulated=answers.simulated,
        level=level,
        costs=costs,
        n=n,
        n_positives=positives,
        n_groups=groups,
        counts=_counts(matched),
        failed=dict(failed),
        failed_positives=failed_positives,
        ungrounded=answers.ungrounded,
        truncated=answers.truncated,
        unlabelled=matched.unlabelled,
        dollars_per_1000=stats.dollars_per_1000(table, costs, model_usd=answers.cost_per_item, level=level),
        cost_per_item_usd=answers.cost_per_item,
        latency_p50=answers.latency(50),
        latency_p95=answers.latency(95),
        by_failure_mode=_by_failure_mode(matched, basis, task, level, seed),
        by_label=_by_label(matched, basis, task, level, seed),
        label_counts={label: matched.labels.count(label) for label in task.label_names if label in matched.labels},
        notes=tuple(said),
        error_messages=notes.first_messages(matched.errors),
        **rates,
        **ranking,
    )


def _rates(table: Confusion, basis: Drawn, costs: Costs, level: float) -> dict[str, Estimate]:
    rates = {
        "recall": stats.recall(table, level=level),
        "recall_answered": stats.recall(table, failed="left_out", level=level),
        "specificity": stats.specificity(table, level=level),
        "projected_precision": stats.projected_precision(table, costs.prevalence, level=level),
    }
    if basis.knows_prevalence:
        return rates | {
            "precision": stats.precision(table, level=level),
            "prevalence": stats.prevalence(table, level=level),
            "flag_rate": stats.flag_rate(table, level=level),
            "f1": stats.f1(table, level=level),
        }
    unknown = Estimate.unknown(basis.why_not, n_positives=table.n_positives)
    return rates | {
        "precision": unknown,
        "prevalence": unknown,
        "f1": unknown,
        "flag_rate": stats.projected_flag_rate(table, costs.prevalence, level=level),
    }


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the predictions say beside the label, in the order of the examples."""

    classifier_id: str
    simulated: bool
    ungrounded: int
    truncated: int
    scored: NDArray[np.bool_]
    """(n,) answered and with a score."""
    score: NDArray[np.float64]
    """(n,) the target's score; 0 where there is none."""
    chance: NDArray[np.float64] | None
    """(n,) the target's probability; None unless every scored answer has one."""
    cost_per_item: float | None
    maybe_billed: int
    """Failed items of unknown price, which are taken for as dear as the others."""
    seconds: NDArray[np.float64]

    @classmethod
    def of(cls, predictions: Predictions, matched: Matched, task: Task, basis: Drawn) -> _Answers:
        """Read column by column: predictions may be many."""
        column = {
            name: matched.column(predictions, name)
            for name in ("score", "probabilities", "evidence", "truncated", "cost_nano_usd", "latency_seconds")
        }
        chances = [None if given is None else given.get(task.target) for given in column["probabilities"]]
        scores = [chance if score is None else score for score, chance in zip(column["score"], chances, strict=True)]
        scored = np.array([score is not None for score in scores], bool) & ~matched.failed
        calibrated = bool(scored.any()) and all(chances[row] is not None for row in np.flatnonzero(scored))
        seconds = [value for value in column["latency_seconds"] if value is not None]
        return cls(
            _one_id(matched.column(predictions, "classifier_id")),
            any(matched.column(predictions, "simulated")),
            sum(any(not quote.grounded for quote in quotes) for quotes in column["evidence"]),
            sum(bool(value) for value in column["truncated"]),
            scored,
            np.array([score or 0.0 for score in scores], float),
            np.array([chance or 0.0 for chance in chances], float) if calibrated else None,
            *_mean_cost(column["cost_nano_usd"], matched.failed, basis),
            np.array(seconds, float),
        )

    def latency(self, percentile: float) -> float | None:
        """Seconds; None where nothing was timed."""
        return float(np.percentile(self.seconds, percentile)) if len(self.seconds) else None


def _ranking(answers: _Answers, matched: Matched, basis: Drawn, level: float, seed: int) -> dict[str, Estimate]:
    positives = int(matched.positive.sum())
    if not answers.scored.any():
        none = Estimate.unknown("the answers have no score", n_positives=positives)
        return {"pr_auc": none, "roc_auc": none, "brier": none}
    keep = answers.scored
    target, score, sampling = matched.positive[keep], answers.score[keep], basis.sampling.where(keep)
    pr_auc, roc_auc = stats.ranking_areas(target, score, sampling, level=level, seed=seed)
    if answers.chance is None:
        brier = Estimate.unknown("the scores are not on a probability scale", n_positives=positives)
    else:
        brier = stats.brier(target, answers.chance[keep], sampling, level=level)
    return {"pr_auc": pr_auc, "roc_auc": roc_auc, "brier": brier}


def _by_failure_mode(matched: Matched, basis: Drawn, task: Task, level: float, seed: int) -> dict[str, Estimate]:
    """Recall among the targets that show each mode, in the task's order, then others that occur."""
    shown = Counter(mode for example in matched.examples for mode in example.failure_modes)
    order = dict.fromkeys([*(mode.name for mode in task.failure_modes), *sorted(shown)])
    figures = {}
    for mode in order:
        has_mode = np.array([mode in example.failure_modes for example in matched.examples], bool) & matched.positive
        if has_mode.any():
            figures[mode] = stats.recall(_part(has_mode, matched, basis, seed), level=level)
    return figures


def _by_label(matched: Matched, basis: Drawn, task: Task, level: float, seed: int) -> dict[str, Estimate]:
    """Share flagged among the answered items of each label that is not the target."""
    figures = {}
    for label in task.label_names:
        has_label = np.array([label == given for given in matched.labels], bool)
        if label != task.target and has_label.any():
            # The share of a label's items that is flagged is reckoned as recall is: flagged over all of its kind.
            part = _part(has_label, matched, basis, seed)
            share = stats.recall(part, failed="left_out", level=level, least=1)
            why = share.why_not and "every item of this label failed: false alarms can't be counted"
            # it is not about targets
            figures[label] = replace(share, n_positives=None, largest_weight_share=None, why_not=why)
    return figures


def _part(chosen: NDArray[np.bool_], matched: Matched, basis: Drawn, seed: int) -> Confusion:
    return stats.confusion(
        chosen, matched.flagged, basis.sampling, failed=matched.failed, draws=_DRAWS_OF_PARTS, seed=seed
    )


def _counts(matched: Matched) -> dict[str, int]:
    answered, target, flag = ~matched.failed, matched.positive, matched.flagged
    cells = {"tp": target & flag, "fp": ~target & flag, "fn": target & ~flag, "tn": ~target & ~flag}
    return {name: int((cell & answered).sum()) for name, cell in cells.items()}


def _n_groups(basis: Drawn) -> int:
    group = basis.sampling.group
    return len(basis.sampling) if group is None else int(group.max()) + 1


def _one_id(ids: Sequence[str]) -> str:
    """The classifier's id; where each fold has fitted its own, the name and how many they are."""
    distinct = sorted(set(ids))
    return distinct[0] if len(distinct) == 1 else f"{distinct[0].split('@')[0]} ({len(distinct)} fits)"


def _mean_cost(nano_usd: Sequence[Any], failed: NDArray[np.bool_], basis: Drawn) -> tuple[float | None, int]:
    """(mean dollars of an item, failed items whose price is not known).

    A failed item that may have been billed is taken for as dear as the mean of all others. Where an answer's
    own price is not known, or every item failed and none has a price, neither is the mean.
    """
    known = np.array([cost is not None for cost in nano_usd], bool)
    maybe_billed = int((~known & failed).sum())
    if not known.any() or bool((~known & ~failed).any()):
        return None, maybe_billed
    costs = np.array([cost for cost in nano_usd if cost is not None], float)
    return float(np.average(costs, weights=basis.sampling.weight[known])) / 1e9, maybe_billed
