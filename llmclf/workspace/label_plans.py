"""Labels planned from what is known: the scores of a run, or assumptions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from llmclf.classifiers.loading import probe_weights
from llmclf.config import ProbeFile, files
from llmclf.data.label_plan import Draw, LabelPlan, plan_labels
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.render.rates import rate_text
from llmclf.stats.label_plans import ScoreModel
from llmclf.types import Costs
from llmclf.workspace.run_results import RunResult

_FEWEST_POSITIVES = 5


def plan_from_run(
    result: RunResult,
    *,
    half_width: float,
    pool: int,
    costs: Costs,
    pool_name: str = "POOL",
    workspace: Path | None = None,
) -> LabelPlan:
    """A plan by the scores and labels of a run: its own recall, and strata cut by its classifier's scores.

    The prevalence is that of `costs`, as are the minutes and dollars of a label. Failed items and those without a
    score are left out. Raises DataError with fewer than five targets or others
    that have a score, and all that `plan_labels` raises.
    """
    matched = match(result.predictions, result.dataset, result.task)
    sampling = drawn(result.dataset, matched.examples).sampling
    scores = np.array(matched.column(result.predictions, "score"), float)  # None is nan
    known = ~matched.failed & ~np.isnan(scores)
    positives, others = int((known & matched.positive).sum()), int((known & ~matched.positive).sum())
    if min(positives, others) < _FEWEST_POSITIVES:
        raise DataError(
            f"a pilot needs {_FEWEST_POSITIVES} targets and others with a score",
            where=f"run {result.name}",
            got=f"{positives} and {others}",
            fix="leave --from out and assume a --recall",
        )
    thresholds = [one for one in result.predictions.column("threshold") if one is not None]
    model = ScoreModel.fitted(
        scores[known], matched.positive[known], sampling.weight[known], thresholds[0] if thresholds else 0.5
    )
    return plan_labels(
        model,
        half_width=half_width,
        pool=pool,
        costs=costs,
        source=f"Scores are those of {result.classifier} on {result.dataset.name}, {positives} targets.",
        draw=Draw(pool_name, result.task.name, result.classifier, _training(result, workspace)),
    )


def _training(result: RunResult, workspace: Path | None) -> str:
    """The command that trains the run's probe; empty where it is trained, or is none."""
    if result.classifier not in files.listing("classifier", workspace):
        return ""  # it was named by a path
    file = files.load_named("classifier", result.classifier, workspace)
    if not isinstance(file, ProbeFile) or probe_weights(result.classifier, file, workspace).is_file():
        return ""
    return f"llmclf train {result.classifier} --dataset {result.labels_from}"


def plan_assumed(
    *,
    recall: float,
    roc_auc: float,
    half_width: float,
    pool: int,
    costs: Costs,
    task: str = "TASK",
    classifier: str = "NAME",
    pool_name: str = "POOL",
) -> LabelPlan:
    """A plan without a pilot: normal scores that are right, of a classifier with this recall and ROC AUC."""
    problems = [
        f"{name} must be above {least:g} and below 1; got {share}"
        for name, share, least in (
            ("recall (--recall)", recall, 0.0),
            ("ROC AUC (--roc-auc)", roc_auc, 0.5),
            ("prevalence (--prevalence)", costs.prevalence, 0.0),
        )
        if not least < share < 1
    ]
    if problems:
        raise ConfigError("no labels can be planned so", where="plan-labels", problems=problems)
    return plan_labels(
        ScoreModel.assumed(recall, math.sqrt(2) * float(ndtri(roc_auc)), costs.prevalence),
        half_width=half_width,
        pool=pool,
        costs=costs,
        source=f"Assumed: recall {rate_text(recall)}, and scores with a ROC AUC of {rate_text(roc_auc)}.",
        draw=Draw(pool_name, task, classifier),
    )
