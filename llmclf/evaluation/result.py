"""The figures of one classifier on one dataset, and their forms: JSON, data frame, terminal, notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from llmclf.render.tables import Shown, TableText, data_frame
from llmclf.types import Costs, Estimate

FIGURES = (
    "recall",
    "recall_answered",
    "production_recall",
    "recall_at_budget",
    "precision",
    "projected_precision",
    "specificity",
    "prevalence",
    "flag_rate",
    "f1",
    "f_beta",
    "pr_auc",
    "roc_auc",
    "brier",
    "calibration_slope",
    "dollars_per_1000",
)
"""The estimates of an evaluation, in the order they are shown."""


@dataclass(frozen=True)
class Evaluation(Shown):
    """How good a classifier's predictions are against labels. Every rate is an `Estimate`.

    Where the dataset's design is known, rates are those of the population it was drawn from, weighted; where
    it is not, recall and specificity are of this set, and whatever depends on how rare the target is, is
    projected to `costs.prevalence` or not given.
    """

    task: str
    target: str
    classifier_id: str
    dataset: str
    design: str
    """The kind of the dataset's design: random, stratified, weighted, class_balanced or unknown."""
    knows_prevalence: bool
    """True where rates at production's prevalence follow from the labels."""
    sources: Mapping[str, int]
    """Examples by source: gold, silver, synthetic, feedback."""
    simulated: bool
    """True where a simulated vendor answered: the figures say nothing about any model."""
    level: float
    """Of every interval; .95 unless asked otherwise."""
    costs: Costs
    beta: float
    """Of `f_beta`: how many times as important as precision recall is."""
    review_share: float
    """Of `recall_at_budget`: the share of all items that people can review, 0 to 1."""
    n: int
    """Labelled examples."""
    n_positives: int
    """Targets among them, failed ones included."""
    n_groups: int
    """Groups of examples that share chance; intervals count these."""
    counts: Mapping[str, int]
    """tp, fp, fn, tn among the answered examples, unweighted."""
    failed: Mapping[str, int]
    """Failed examples by kind of error; never true negatives."""
    failed_positives: int
    ungrounded: int
    """Predictions with a quote that is not in the conversation."""
    truncated: int
    """Predictions whose model did not see the whole conversation."""
    unlabelled: tuple[str, ...]
    """Items that were predicted but carry no label for the task; they are in no figure."""
    recall: Estimate
    """Share of targets found; a failed target counts as missed. Not known where every item failed.

    Of the population where `knows_prevalence`, else of this set alone: see `production_recall`.
    """
    recall_answered: Estimate
    """The same with failed targets left out."""
    production_recall: Estimate
    """`recall` where the design lets it speak for production; where it does not, no figure but the reason."""
    recall_at_budget: Estimate
    """Share of targets among the `review_share` of all items with the highest scores; failed items come last.

    Not given where prevalence is not known: how far a budget reaches hangs on it.
    """
    precision: Estimate
    """At the design's own prevalence; not given where that is not known."""
    specificity: Estimate
    """Share of answered non-targets that stay quiet."""
    prevalence: Estimate
    flag_rate: Estimate
    """Share of items flagged: of the population, or projected to `costs.prevalence`."""
    projected_precision: Estimate
    """Precision if `costs.prevalence` of all items were targets."""
    f1: Estimate
    f_beta: Estimate
    """Precision and recall in one, recall `beta` times as important; f1 with beta 1."""
    pr_auc: Estimate
    """Average precision, at the prevalence of the population, or else of the set."""
    roc_auc: Estimate
    brier: Estimate
    calibration_slope: Estimate
    """1 is right; below 1 the probabilities are too sure of themselves. Whatever the prevalence."""
    dollars_per_1000: Estimate
    """Misses, false alarms, reviews and the model's price for 1,000 items at `costs.prevalence`.

    Where that price is not known the sum is neither: only its lower end is given, and `why_not` names the rest.
    """
    cost_per_item_usd: float | None
    """The model's mean price; None where that of any answer is unknown.

    A failed item that may have been billed counts at the mean of the others.
    """
    latency_p50: float | None
    """Seconds; None where nothing was timed."""
    latency_p95: float | None
    latency_p99: float | None
    by_failure_mode: Mapping[str, Estimate] = field(default_factory=dict)
    """Recall of the targets that show each failure mode."""
    by_label: Mapping[str, Estimate] = field(default_factory=dict)
    """For each label other than the target, the share of its items that is flagged: false alarms."""
    label_counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know, in plain sentences."""
    error_messages: tuple[str, ...] = field(default=(), repr=False)
    """The first two that differ. A vendor may quote a conversation in them: they are shown, and in no file."""

    @property
    def synthetic(self) -> bool:
        """True where any example was written or generated rather than observed."""
        return self.sources.get("synthetic", 0) > 0

    def to_dict(self) -> dict[str, Any]:
        """Everything but error messages as JSON types; estimates as objects, an unknown one with a null value."""
        names = [name for name in self.__dataclass_fields__ if name != "error_messages"]
        return {name: _plain(getattr(self, name)) for name in names} | {"synthetic": self.synthetic}

    def to_rows(self) -> list[dict[str, Any]]:
        """One row for each estimate: its name, of what (a failure mode, a label), value, low, high and the rest."""
        named = [(name, "", getattr(self, name)) for name in FIGURES]
        named += [("recall", mode, estimate) for mode, estimate in self.by_failure_mode.items()]
        named += [("flag_rate", label, estimate) for label, estimate in self.by_label.items()]
        return [{"figure": figure, "of": of, **estimate.to_dict()} for figure, of, estimate in named]

    def to_frame(self) -> Any:
        """`to_rows()` as a pandas DataFrame; MissingPieceError where pandas is not installed."""
        return data_frame(self.to_rows())

    def _table(self) -> TableText:
        from llmclf.evaluation.table import table_of

        return table_of(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, Costs):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
