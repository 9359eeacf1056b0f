"""An evaluation as one compact table."""

from __future__ import annotations

import re

from llmclf.evaluation.notes import percent
from llmclf.evaluation.result import Evaluation
from llmclf.render.rates import rate_cells
from llmclf.render.tables import TableText, counted, seconds_text, usd_cells, usd_text
from llmclf.stats import PRICE_UNKNOWN
from llmclf.types import Estimate

_DOLLARS = "dollars per 1,000"
_ROWS = (
    ("recall", "recall{of_set}", ".2f"),
    ("recall_answered", "recall of answered{of_set}", ".2f"),
    ("production_recall", "recall in production", ".2f"),
    ("recall_at_budget", "recall, top {review} reviewed", ".2f"),
    ("specificity", "specificity{of_set}", ".3f"),
    ("precision", "precision", ".2f"),
    ("projected_precision", "precision at {prevalence}", ".2f"),
    ("prevalence", "prevalence", ".2%"),
    ("flag_rate", "flag rate", ".2%"),
    ("f1", "F1", ".2f"),
    ("f_beta", "F{beta:g}", ".2f"),
    ("pr_auc", "PR-AUC", ".2f"),
    ("roc_auc", "ROC AUC", ".2f"),
    ("brier", "Brier score", ".3f"),
    ("calibration_slope", "calibration slope", ".2f"),
    ("dollars_per_1000", _DOLLARS, "$"),
)
_Row = tuple[str, str, str]
_TOO_FEW = re.compile(r"(?:\d+ ([a-z ]+) can't give an? .* figure: )?needs (\d+) more (?:at least|positives?)")


def table_of(evaluation: Evaluation) -> TableText:
    """Figures, failure modes and labels as rows; why one has no value and all notes below; stamps above.

    Where no item was answered there are no figures, and the table counts the failures.
    """
    shown = _figures(evaluation) if sum(evaluation.failed.values()) < evaluation.n else []
    rows = [_row(*one) for one in shown]
    if rows:
        at = [title for title, *_ in rows].index(_DOLLARS) + 1
        rows.insert(at, ("flag nothing, per 1,000", usd_text(evaluation.costs.flag_nothing_usd), ""))
    rows = rows or [(f"failed: {kind}", str(n), "") for kind, n in evaluation.failed.items()]
    return TableText(
        _title(evaluation),
        ("figure", "value", f"{evaluation.level * 100:g} % interval"),
        (*rows, *_plain_rows(evaluation)),
        (*_reasons(shown), *_notes(evaluation)),
        tuple(name for name, on in (("SIMULATED", evaluation.simulated), ("SYNTHETIC", evaluation.synthetic)) if on),
        right=(1, 2),
        interval=True,
    )


def _notes(evaluation: Evaluation) -> list[str]:
    """The evaluation's notes, the first error messages behind the one on failed items."""
    quoted = " and ".join(f"'{message}'" for message in evaluation.error_messages)
    failed = f"{sum(evaluation.failed.values())} of "
    return [
        f"{note} Errors, for example: {quoted}." if quoted and note.startswith(failed) and " failed (" in note else note
        for note in evaluation.notes
    ]


def _figures(evaluation: Evaluation) -> list[tuple[str, Estimate, str]]:
    """Name, estimate and format of every row that is estimated."""
    words = {
        "prevalence": percent(evaluation.costs.prevalence),
        "review": percent(evaluation.review_share),
        "beta": evaluation.beta,
        "of_set": "" if evaluation.knows_prevalence else " (of this set)",
    }
    figures = [
        (title.format(**words), getattr(evaluation, name), spec)
        for name, title, spec in _ROWS
        if _is_shown(evaluation, name)
    ]
    figures += [(f"recall of {mode}", one, ".2f") for mode, one in evaluation.by_failure_mode.items()]
    labels = evaluation.label_counts
    return figures + [(f"flagged {label} ({labels[label]})", one, ".3f") for label, one in evaluation.by_label.items()]


def _is_shown(evaluation: Evaluation, name: str) -> bool:
    """Left out: what says the same twice, and what the design does not allow (a note says so)."""
    if name == "recall_answered":
        return bool(evaluation.failed)
    if name == "production_recall":
        return not evaluation.knows_prevalence
    if name == "f_beta" and evaluation.beta == 1:
        return False
    return evaluation.knows_prevalence or name not in ("recall_at_budget", "precision", "prevalence", "f1", "f_beta")


def _title(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.task}: {evaluation.classifier_id} on {evaluation.dataset}, "
        f"{counted(evaluation.n, 'item')}, {counted(evaluation.n_positives, 'target')}"
    )


def _row(title: str, estimate: Estimate, spec: str) -> _Row:
    return (title, *(usd_cells(estimate) if spec == "$" else rate_cells(estimate, spec)))


def _reasons(figures: list[tuple[str, Estimate, str]]) -> list[str]:
    """Why figures have no value, or what they leave out; those with the same reason in one sentence."""
    titles: dict[str, list[str]] = {}
    for title, estimate, _ in figures:
        if estimate.why_not:
            titles.setdefault(_short_reason(estimate.why_not), []).append(title)
    return [f"{', '.join(named)}: {reason}." for reason, named in titles.items()]


def _short_reason(why_not: str) -> str:
    """Without the interval, which stands in its own column, and without the figure's name."""
    if why_not.startswith(PRICE_UNKNOWN):
        return why_not  # what is known of the sum stands nowhere else
    why = why_not.split("; ")[0]
    few = _TOO_FEW.fullmatch(why)
    if few is None:
        return why
    unit = (few[1] or "positive").removesuffix("s").replace("positive", "target")
    return f"needs {counted(int(few[2]), f'more {unit}')} at least"


def _plain_rows(evaluation: Evaluation) -> list[_Row]:
    """What was counted or measured, not estimated."""
    cost = evaluation.cost_per_item_usd
    seconds = (evaluation.latency_p50, evaluation.latency_p95, evaluation.latency_p99)
    counts = evaluation.counts
    rows = []
    if any(counts.values()):
        rows += [
            ("found / missed", f"{counts['tp']} / {counts['fn']}", ""),
            ("false alarms / quiet", f"{counts['fp']} / {counts['tn']}", ""),
        ]
        rows += [(f"failed: {kind}", str(count), "") for kind, count in evaluation.failed.items()]
    rows.append(("model, per item", "price unknown" if cost is None else usd_text(cost), ""))
    if evaluation.latency_p50 is not None:
        rows.append(("seconds, p50 / p95 / p99", " / ".join(map(seconds_text, seconds)), ""))
    return rows
