"""Where a cell's dollars come from: the model, reviews, misses and false alarms."""

from __future__ import annotations

from collections import defaultdict

from llmclf.evaluation.drawn import drawn
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.verdicts import verdicts

PARTS = {"model": "model", "review": "reviews", "missed": "misses", "false_alarms": "false alarms"}
"""The parts, and their names for people."""


def spending(cell: MeasuredCell, surface: Surface) -> dict[str, float] | None:
    """Expected dollars per 1,000 items at the assumed prevalence, by part; None where the sum is not known, and so
    where the model's price is not.

    Their sum is the cell's `usd`: shares within targets and within the others, weighted as the
    sampling design says, mixed at the prevalence.
    """
    price = None if cell.evaluation is None else cell.evaluation.cost_per_item_usd
    if price is None or not cell.usd.is_known:
        return None
    costs, task = surface.costs, surface.task
    examples = surface.dataset.examples
    weights = dict(
        zip((example.item for example in examples), drawn(surface.dataset, examples).sampling.weight, strict=True)
    )
    targets = {example.item for example in examples if example.labels[task.name] == task.target}
    totals: defaultdict[tuple[bool, str], float] = defaultdict(float)
    sizes: defaultdict[bool, float] = defaultdict(float)
    for item, verdict in verdicts(cell, surface.dataset, task):
        target, weight = item in targets, float(weights[item])
        totals[target, verdict] += weight
        sizes[target] += weight
    mix = {True: 1000 * costs.prevalence, False: 1000 * (1 - costs.prevalence)}

    def items(target: bool, state: str) -> float:
        return mix[target] * totals[target, state] / sizes[target]

    failed, failed_targets = items(True, "failed") + items(False, "failed"), items(True, "failed")
    by_review = costs.on_error == "review"
    reviewed = items(True, "found") + items(False, "false_alarm") + (failed if by_review else 0.0)
    missed = items(True, "missed") + (0.0 if by_review else failed_targets)
    return {
        "model": 1000 * price,
        "review": reviewed * costs.review_usd,
        "missed": missed * costs.missed_usd,
        "false_alarms": items(False, "false_alarm") * costs.false_alarm_usd,
    }
