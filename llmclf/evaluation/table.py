"""An evaluation as one compact table."""

from __future__ import annotations

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
        if name != "recall_answered" or evaluation.failed
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


def _title(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.task}: {evaluation.classifier_id} on {evaluation.dataset}, "
        f"{evaluation.n:,} items, {evaluation.n_positives:,} of them {evaluation.target}"
    )


def _row(title: str, estimate: Estimate, spec: str, unit: str = "") -> tuple[str, str, str, str]:
    return (title, *estimate_cells(estimate, spec, unit))


def _plain_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    """What was counted or measured, not estimated."""
    cost, p50, p95 = evaluation.cost_per_item_usd, evaluation.latency_p50, evaluation.latency_p95
    counts = evaluation.counts
    rows = [
        ("found / missed", f"{counts['tp']} / {counts['fn']}", "", ""),
        ("false alarms / quiet", f"{counts['fp']} / {counts['tn']}", "", ""),
        ("model, per item", "?" if cost is None else f"${cost:.2g}", "", "" if cost is not None else "price unknown"),
    ]
    if p50 is not None and p95 is not None:
        rows.append(("seconds, p50 / p95", f"{p50:.2g} / {p95:.2g}", "", ""))
    return rows
