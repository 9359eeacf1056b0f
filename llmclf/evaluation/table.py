"""An evaluation as one compact table."""

from __future__ import annotations

import math

from llmclf.evaluation.notes import percent
from llmclf.evaluation.result import Evaluation
from llmclf.render.tables import TableText, estimate_cells
from llmclf.types import Estimate

_ROWS = (
    ("recall", "recall", ".2f", ""),
    ("recall_answered", "recall, answered", ".2f", ""),
    ("specificity", "specificity", ".3f", ""),
    ("precision", "precision", ".2f", ""),
    ("projected_precision", "precision at {prevalence}", ".2f", ""),
    ("prevalence", "prevalence", ".2%", ""),
    ("flag_rate", "flag rate", ".2%", ""),
    ("f1", "F1", ".2f", ""),
    ("pr_auc", "PR-AUC", ".2f", ""),
    ("roc_auc", "ROC AUC", ".2f", ""),
    ("brier", "Brier score", ".3f", ""),
    ("dollars_per_1000", "dollars per 1,000", ",.2f", "$"),
)


def table_of(evaluation: Evaluation) -> TableText:
    """Figures, failure modes and labels as rows; notes below; SIMULATED and SYNTHETIC stamped above."""
    prevalence = percent(evaluation.costs.prevalence)
    rows = [
        _row(title.format(prevalence=prevalence), getattr(evaluation, name), spec, unit)
        for name, title, spec, unit in _ROWS
        if _is_shown(evaluation, name)
    ]
    rows += [_row(f"recall of {mode}", one, ".2f") for mode, one in evaluation.by_failure_mode.items()]
    rows += [
        _row(f"flagged {label} ({evaluation.label_counts[label]})", one, ".3f")
        for label, one in evaluation.by_label.items()
    ]
    rows += _plain_rows(evaluation)
    return TableText(
        _title(evaluation),
        ("figure", "value", f"{evaluation.level * 100:g} % interval", ""),
        tuple(rows),
        evaluation.notes,
        tuple(name for name, on in (("SIMULATED", evaluation.simulated), ("SYNTHETIC", evaluation.synthetic)) if on),
        right=(1, 2),
    )


def _is_shown(evaluation: Evaluation, name: str) -> bool:
    """Left out: what says the same twice, and what the design does not allow (a note says so)."""
    if name == "recall_answered":
        return bool(evaluation.failed)
    return evaluation.knows_prevalence or name not in ("precision", "prevalence", "f1")


def _title(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.task}: {evaluation.classifier_id} on {evaluation.dataset}, "
        f"{evaluation.n:,} items, {evaluation.n_positives:,} targets"
    )


def _row(title: str, estimate: Estimate, spec: str, unit: str = "") -> tuple[str, str, str, str]:
    value, interval, why = estimate_cells(estimate, spec, unit)
    return (title, value, interval, why.split("; ")[0])  # the interval stands in its own column


def _plain_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    """What was counted or measured, not estimated."""
    cost, p50, p95 = evaluation.cost_per_item_usd, evaluation.latency_p50, evaluation.latency_p95
    counts = evaluation.counts
    rows = [
        ("found / missed", f"{counts['tp']} / {counts['fn']}", "", ""),
        ("false alarms / quiet", f"{counts['fp']} / {counts['tn']}", "", ""),
        ("model, per item", "?" if cost is None else _small_usd(cost), "", "" if cost is not None else "price unknown"),
    ]
    if p50 is not None and p95 is not None:
        rows.append(("seconds, p50 / p95", f"{p50:.2g} / {p95:.2g}", "", ""))
    return rows


def _small_usd(dollars: float) -> str:
    """Dollars with two digits that mean something, without an exponent: `$0.000098`."""
    if dollars == 0:
        return "$0"
    digits = max(2, 1 - math.floor(math.log10(abs(dollars))))
    return f"${dollars:.{digits}f}"
