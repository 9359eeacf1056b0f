"""The same figures for parts of the items: where is a classifier worse than elsewhere, and could that be chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.evaluation.parts import Parts
from llmclf.evaluation.slicing import Cut, cuts
from llmclf.render.tables import Shown, TableText, data_frame
from llmclf.stats import difference_p, holm
from llmclf.types import Dataset, Estimate, Predictions, Task

SURE = 0.05
"""Below this adjusted p a slice is taken to differ from the rest."""


@dataclass(frozen=True)
class Slice:
    """One part of the items, against all others."""

    by: str
    """What was sliced by: `failure_mode`, `label`, `length`, `source`, `stratum`, or a key of metadata."""
    value: str
    n: int
    n_positives: int
    n_failed: int
    recall: Estimate
    """Share of its targets that were found, failed ones missed; weighted, clustered. Not known without a target."""
    false_alarm_rate: Estimate
    """Share of its answered other items that are flagged."""
    p_missed: float | None
    """That its targets are missed as often as those of the rest; None where one of the two has none."""
    p_false_alarm: float | None
    p_missed_adjusted: float | None
    """For all comparisons of the table (Holm)."""
    p_false_alarm_adjusted: float | None
    missed_more: bool | None
    """True where more of its targets are missed than of the rest's, False where fewer; None where p is."""
    alarms_more: bool | None

    @property
    def least_p(self) -> float | None:
        """The smaller of the two adjusted ones; None where nothing could be compared."""
        return min((p for p in (self.p_missed_adjusted, self.p_false_alarm_adjusted) if p is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """The slice as JSON types."""
        row = {one.name: getattr(self, one.name) for one in fields(self)}
        return row | {"recall": self.recall.to_dict(), "false_alarm_rate": self.false_alarm_rate.to_dict()}


@dataclass(frozen=True)
class Slices(Shown):
    """Every slice that was looked at, the smallest first: they are the ones to be suspicious of."""

    task: str
    classifier_id: str
    dataset: str
    level: float
    simulated: bool
    synthetic: bool
    slices: tuple[Slice, ...]
    n_comparisons: int
    """P values behind the adjustment: up to two for each slice."""
    clustered: bool
    """True where items come in groups, which were dealt as wholes; else Fisher's exact test."""
    of_set: str
    """Why rates are those of this set alone; empty where they speak for the population."""

    @property
    def different(self) -> tuple[Slice, ...]:
        """The slices that differ from the rest by more than chance, after adjustment, surest first."""
        found = [(one.least_p, place) for place, one in enumerate(self.slices) if one.least_p is not None]
        return tuple(self.slices[place] for p, place in sorted(found) if p < SURE)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        from llmclf.evaluation.sliced_table import notes_of

        row = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "slices"}
        return row | {"slices": [one.to_dict() for one in self.slices], "notes": list(notes_of(self))}

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row for each slice: estimates as `recall`, `recall_low`, `recall_high`, and so on."""
        rows = []
        for one in self.slices:
            row = one.to_dict()
            for name in ("recall", "false_alarm_rate"):
                estimate = row.pop(name)
                row |= {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
                row[f"{name}_why_not"] = estimate["why_not"]
            rows.append(row)
        return rows

    def to_frame(self) -> Any:
        """`to_rows()` as a pandas DataFrame; MissingPieceError where pandas is not installed."""
        return data_frame(self.to_rows())

    def _table(self) -> TableText:
        from llmclf.evaluation.sliced_table import table_of

        return table_of(self)


def slices(
    predictions: Predictions,
    dataset: Dataset,
    task: Task,
    by: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Slices:
    """Recall and false-alarm rate of each slice, and whether it differs from the rest by more than chance.

    `by` names `failure_mode`, `label` (those beside the target), `length` (bands of about a quarter of the items),
    `source`, `stratum`, or keys of the conversations' metadata such as `channel` or `language`; by default all that
    part the items, and metadata of 2 to 12 values. Rates are weighted and clustered as in `evaluate`. The p values
    compare the labelled items themselves, unweighted: exact, whole groups dealt anew where items come in groups
    (see `difference_p`), and adjusted for all slices that were looked at.

    Raises ConfigError for an unknown name, and DataError as `evaluate` does.
    """
    matched = match(predictions, dataset, task)
    basis = drawn(dataset, matched.examples)
    parts = Parts(matched, basis, level, seed)
    group = basis.sampling.group
    found = [_slice(cut, parts, group, seed) for cut in cuts(matched, dataset, task, by)]
    adjusted = holm([p for one in found for p in (one.p_missed, one.p_false_alarm)])
    done = [
        replace(one, p_missed_adjusted=missed, p_false_alarm_adjusted=alarm)
        for one, missed, alarm in zip(found, adjusted[::2], adjusted[1::2], strict=True)
    ]
    ids = sorted({name.split("@")[0] for name in predictions.column("classifier_id")})
    return Slices(
        task=task.name,
        classifier_id=ids[0],
        dataset=dataset.name,
        level=level,
        simulated=any(predictions.column("simulated")),
        synthetic=any(example.source == "synthetic" for example in matched.examples),
        slices=tuple(sorted(done, key=lambda one: one.n)),
        n_comparisons=sum(p is not None for p in adjusted),
        clustered=group is not None,
        of_set=basis.why_not,
    )


def _slice(cut: Cut, parts: Parts, group: NDArray[np.intp] | None, seed: int) -> Slice:
    matched, inside = parts.matched, cut.inside
    target = matched.positive if cut.has_targets else np.zeros(len(inside), bool)
    others = ~matched.positive & ~matched.failed if cut.has_others else np.zeros(len(inside), bool)
    misses = _against_rest(~matched.flagged, inside, target, group, seed)
    alarms = _against_rest(matched.flagged, inside, others, group, seed)
    return Slice(
        by=cut.by,
        value=cut.value,
        n=int(inside.sum()),
        n_positives=int((inside & matched.positive).sum()),
        n_failed=int((inside & matched.failed).sum()),
        recall=_recall(cut, parts),
        false_alarm_rate=_false_alarms(cut, parts),
        p_missed=misses[0],
        p_false_alarm=alarms[0],
        p_missed_adjusted=None,
        p_false_alarm_adjusted=None,
        missed_more=misses[1],
        alarms_more=alarms[1],
    )


def _recall(cut: Cut, parts: Parts) -> Estimate:
    if not (cut.inside & parts.matched.positive).any():
        why = "no target in it: recall can't be known" if cut.has_targets else "items of this label are no targets"
        return Estimate.unknown(why, n_positives=0)
    # A failure mode is known of targets alone: an unseen one that shows it may lie anywhere.
    return parts.recall(cut.inside, cut.inside if cut.has_others else None)


def _false_alarms(cut: Cut, parts: Parts) -> Estimate:
    if not cut.has_others:
        return Estimate.unknown("a failure mode is one of targets: no false alarms")
    if not (cut.inside & ~parts.matched.positive).any():
        return Estimate.unknown("nothing but targets in it: false alarms can't be known")
    return parts.flagged(cut.inside, cut.by)


def _against_rest(
    hit: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    among: NDArray[np.bool_],
    group: NDArray[np.intp] | None,
    seed: int,
) -> tuple[float | None, bool | None]:
    """(p of the share of hits inside against the rest, is it larger inside), among the items in question."""
    hit, inside = hit[among], inside[among]
    p = difference_p(hit, inside, None if group is None else group[among], seed=seed)
    return p, None if p is None else bool(hit[inside].mean() > hit[~inside].mean())
