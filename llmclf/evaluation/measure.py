"""Predictions against labels: the figures of an `Evaluation`."""

from __future__ import annotations

from collections import Counter

import numpy as np

import llmclf.stats as stats
from llmclf.errors import ConfigError
from llmclf.evaluation import notes
from llmclf.evaluation.answers import Answers
from llmclf.evaluation.drawn import Drawn, drawn
from llmclf.evaluation.matching import Matched, match
from llmclf.evaluation.parts import Parts
from llmclf.evaluation.result import Evaluation
from llmclf.stats import Confusion
from llmclf.types import Costs, Dataset, Estimate, Predictions, Task


def evaluate(
    predictions: Predictions,
    dataset: Dataset,
    task: Task,
    *,
    costs: Costs = Costs(),
    beta: float = 2.0,
    review_share: float = 0.01,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """How good `predictions` are against the labels of `dataset` for `task`, every figure with its interval.

    Rates follow the dataset's design; intervals cluster by what `groups_of` says hangs together. Failed
    items are missed targets for recall, are left out of specificity, and cost what `costs.on_error` says. `beta` is
    how many times as important recall is in `f_beta`; `review_share` how much of all items people can review
    (above 0, at most 1). The same inputs and `seed` give the same figures.

    Raises ConfigError where `beta` or `review_share` is out of range, and DataError, listing everything at once,
    where predictions, labels or design do not fit.
    """
    check_choices(beta, review_share)
    matched = match(predictions, dataset, task)
    basis = drawn(dataset, matched.examples)
    table = stats.confusion(matched.positive, matched.flagged, basis.sampling, failed=matched.failed, seed=seed)
    parts = Parts(matched, basis, level, seed)
    answers = Answers.of(predictions, matched, task, basis)
    rates = _rates(table, basis, costs, beta, level)
    scored = _scored(answers, matched, basis, review_share, level, seed)
    failed: Counter[str] = Counter(error.kind for error in matched.errors)
    failed_positives = int((matched.failed & matched.positive).sum())
    sources: Counter[str] = Counter(example.source for example in matched.examples)
    n, positives, groups = len(matched.examples), table.n_positives, _n_groups(basis)
    failures = notes.about_failures(matched.errors, len(matched.examples), failed_positives)
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
        *notes.about_unseen(basis.sampling, answers.scored, "has a score", "PR-AUC, ROC AUC and Brier score"),
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
        beta=beta,
        review_share=review_share,
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
        latency_p99=answers.latency(99),
        by_failure_mode=parts.by_failure_mode(task),
        by_label=parts.by_label(task),
        label_counts={label: matched.labels.count(label) for label in task.label_names if label in matched.labels},
        notes=tuple(said),
        error_messages=notes.first_messages(matched.errors),
        **rates,
        **scored,
    )


def check_choices(beta: float, review_share: float) -> None:
    """Raises ConfigError where one of them is out of range: before anything is paid for."""
    problems = [] if 0 < beta < float("inf") else [f"beta must be a number above 0; got {beta}"]
    if not 0 < review_share <= 1:
        problems.append(f"review_share must be above 0 and at most 1; got {review_share}")
    if problems:
        raise ConfigError("there are no such figures", where="evaluate", problems=problems)


def _rates(table: Confusion, basis: Drawn, costs: Costs, beta: float, level: float) -> dict[str, Estimate]:
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
            "production_recall": rates["recall"],
            "f1": stats.f_beta(table, 1.0, level=level),
            "f_beta": stats.f_beta(table, beta, level=level),
        }
    unknown = Estimate.unknown(basis.why_not, n_positives=table.n_positives)
    return rates | {
        "precision": unknown,
        "prevalence": unknown,
        "production_recall": unknown,
        "f1": unknown,
        "f_beta": unknown,
        "flag_rate": stats.projected_flag_rate(table, costs.prevalence, level=level),
    }


def _scored(
    answers: Answers, matched: Matched, basis: Drawn, review_share: float, level: float, seed: int
) -> dict[str, Estimate]:
    """The figures that need scores or probabilities."""
    positives = int(matched.positive.sum())
    if not answers.scored.any():
        none = Estimate.unknown("the answers have no score", n_positives=positives)
        return dict.fromkeys(("pr_auc", "roc_auc", "brier", "calibration_slope", "recall_at_budget"), none)
    keep = answers.scored
    target, score, sampling = matched.positive[keep], answers.score[keep], basis.sampling.where(keep)
    pr_auc, roc_auc = stats.ranking_areas(target, score, sampling, level=level, seed=seed)
    if answers.chance is None:
        brier = slope = Estimate.unknown("the scores are not on a probability scale", n_positives=positives)
    else:
        chance = answers.chance[keep]
        if not basis.knows_prevalence:
            chance = answers.chance_at(chance, float(target.mean()))
        brier = stats.brier(target, chance, sampling, level=level)
        slope = stats.calibration_slope(target, chance, sampling, level=level)
    if basis.knows_prevalence:
        ranked = np.where(keep, answers.score, -np.inf)  # who has no score is looked at last
        budget = stats.recall_at_budget(matched.positive, ranked, basis.sampling, review_share, level=level, seed=seed)
    else:
        budget = Estimate.unknown(basis.why_not, n_positives=positives)
    return {
        "pr_auc": pr_auc,
        "roc_auc": roc_auc,
        "brier": brier,
        "calibration_slope": slope,
        "recall_at_budget": budget,
    }


def _counts(matched: Matched) -> dict[str, int]:
    answered, target, flag = ~matched.failed, matched.positive, matched.flagged
    cells = {"tp": target & flag, "fp": ~target & flag, "fn": target & ~flag, "tn": ~target & ~flag}
    return {name: int((cell & answered).sum()) for name, cell in cells.items()}


def _n_groups(basis: Drawn) -> int:
    group = basis.sampling.group
    return len(basis.sampling) if group is None else int(group.max()) + 1
