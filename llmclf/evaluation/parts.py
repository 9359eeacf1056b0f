"""Rates of a part of the items: of one failure mode, of one label, of one slice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.evaluation.drawn import Drawn
from llmclf.evaluation.matching import Matched
from llmclf.types import Estimate, Task

_DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Parts:
    """Matched items and how they were drawn, to look at a part of them."""

    matched: Matched
    basis: Drawn
    level: float
    seed: int

    def recall(self, chosen: NDArray[np.bool_], among: NDArray[np.bool_] | None = None) -> Estimate:
        """Share found of the targets among the chosen, failed ones missed.

        `among` are the items (all, if not given) where the sample may have missed a target of this kind.
        """
        # As for all targets: an unseen one that is found lies where its like are flagged, else where they are quiet.
        every = np.ones(len(chosen), bool) if among is None else among
        flagged, quiet = every & self.matched.flagged, every & ~self.matched.flagged
        unseen_in = flagged if flagged.any() else every, quiet if quiet.any() else every
        return stats.recall(self._confusion(chosen & self.matched.positive, unseen_in), level=self.level)

    def flagged(self, chosen: NDArray[np.bool_], kind: str) -> Estimate:
        """Share flagged of the answered ones that are no target among the chosen: false alarms of this `kind`."""
        # Reckoned as recall is: flagged over all of its kind. But an unseen one, flagged or not, may lie wherever its
        # like do: that nothing of a large stratum was flagged does not say that nothing is.
        others = chosen & ~self.matched.positive
        part = self._confusion(others, (others, others))
        share = stats.recall(part, failed="left_out", level=self.level, least=1)
        why = share.why_not and f"every item of this {kind} failed: false alarms can't be counted"
        return replace(share, n_positives=None, largest_weight_share=None, why_not=why)  # it is not about targets

    def _confusion(
        self, chosen: NDArray[np.bool_], unseen_in: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    ) -> stats.Confusion:
        return stats.confusion(
            chosen,
            self.matched.flagged,
            self.basis.sampling,
            failed=self.matched.failed,
            unseen_in=unseen_in,
            draws=_DRAWS,
            seed=self.seed,
        )

    def by_failure_mode(self, task: Task) -> dict[str, Estimate]:
        """Recall among the targets that show each mode, in the task's order, then others that occur."""
        rows = modes_of(self.matched, np.flatnonzero(self.matched.positive))
        order = dict.fromkeys([*(mode.name for mode in task.failure_modes), *sorted(rows)])
        return {mode: self.recall(rows[mode]) for mode in order if mode in rows}

    def by_label(self, task: Task) -> dict[str, Estimate]:
        """Share flagged among the answered items of each label that is not the target."""
        labels = {label: self.has_label(label) for label in task.label_names if label != task.target}
        return {label: self.flagged(chosen, "label") for label, chosen in labels.items() if chosen.any()}

    def has_label(self, label: str) -> NDArray[np.bool_]:
        """(n,) where people gave this label."""
        return np.fromiter([label == given for given in self.matched.labels], bool, len(self.matched.labels))


def modes_of(matched: Matched, rows: NDArray[np.intp]) -> dict[str, NDArray[np.bool_]]:
    """Failure mode to (n,) where an example among `rows` shows it."""
    found: dict[str, NDArray[np.bool_]] = {}
    for row in rows.tolist():
        for mode in matched.examples[row].failure_modes:
            found.setdefault(mode, np.zeros(len(matched.examples), bool))[row] = True
    return found
