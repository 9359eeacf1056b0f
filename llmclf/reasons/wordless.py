"""Predictions that say nothing, failed ones and answers without a reason: do more conversations have one than usual?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from llmclf.reasons.anomalies import SHARES
from llmclf.reasons.bursts import measure_bursts
from llmclf.reasons.evidence import Evidence
from llmclf.reasons.figures import WordlessFigures
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import Anomaly, ClusterSettings
from llmclf.types.reasons import Reasons

BoolArray = npt.NDArray[np.bool_]
_NO_ERROR = "no error"
_VARIATION = 0.6
"""How much the share of failures is taken to vary from day to day: vendors have bad days, more than topics have."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Predictions of window or baseline that could have a reason."""

    every: Embedded
    """Without texts and vectors."""
    wordless: BoolArray
    """Shape (n,)."""

    @property
    def as_cluster(self) -> npt.NDArray[np.intp]:
        return np.where(self.wordless, 0, -1)


def figures_of(
    window: Reasons, spoken: Embedded, baseline: Reasons | None, spoken_before: Embedded | None
) -> WordlessFigures:
    """How many predictions of window and baseline say nothing, of those that were looked at."""
    before = 0 if baseline is None else len(baseline)
    said = 0 if spoken_before is None else len(spoken_before.reasons)
    return WordlessFigures(len(window) - len(spoken.reasons), len(window), before - said, before)


def no_reason(
    window: Reasons,
    spoken: Embedded,
    baseline: Reasons | None,
    spoken_before: Embedded | None,
    settings: ClusterSettings,
) -> Anomaly | None:
    """The anomaly of predictions without a reason, where more conversations have one than the baseline's windows.

    `spoken` and `spoken_before` are those with words. One test, as of a cluster that bursts. Only classifiers count
    that gave a reason in the baseline, whatever their version: others never give any.
    """
    if baseline is None or spoken_before is None or len(window) == len(spoken.reasons):
        return None
    names = set(map(classifier_name, spoken_before.reasons.column("classifier_id")))
    now, before = _part(window, spoken, names), _part(baseline, spoken_before, names)
    if not now.wordless.any():
        return None
    found = measure_bursts(now.every, now.as_cluster, before.every, before.as_cluster, 1, _VARIATION)
    seen, expected = int(found.seen[0]), float(found.expected[0])
    p = float(found.p[0]) / SHARES["no_reason"]
    ratio = seen / expected if expected > 0 else None
    few = seen < settings.least_conversations or (ratio is not None and ratio < settings.least_ratio)
    if few or p > settings.false_alarms:
        return None
    kinds = [kind or _NO_ERROR for kind in now.every.reasons.column("error_kind")]
    counts = Counter(kinds[place] for place in np.flatnonzero(now.wordless))
    whys = ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common())
    sentence = (
        f"{now.wordless.sum():,} of {len(now.wordless):,} predictions gave no reason ({whys}); "
        f"the baseline has {before.wordless.sum():,} of {len(before.wordless):,}."
    )
    made = Evidence(now.every, settings).anomaly(
        "no_reason", now.wordless, sentence=sentence, p=p, expected=expected, ratio=ratio
    )
    # That those without a label have none says nothing; kinds of errors stand in the sentence: other fields come first.
    fields = [one for one in made.fields if one.field != "label"]
    return replace(made, fields=tuple(sorted(fields, key=lambda one: one.field == "error_kind")))


def _part(reasons: Reasons, spoken: Embedded, names: set[str]) -> _Part:
    own = [place for place, id_ in enumerate(reasons.column("classifier_id")) if classifier_name(id_) in names]
    chosen = reasons if len(own) == len(reasons) else reasons.pick(own)
    said = set(spoken.reasons.column("prediction_id"))
    wordless = np.array([id_ not in said for id_ in chosen.column("prediction_id")], bool)
    ids, groups = np.unique(np.array(chosen.column("conversation_id"), object), return_inverse=True)
    no_text, no_vectors = np.zeros(len(chosen), np.intp), np.zeros((0, 256), np.float32)
    every = Embedded(chosen, [], no_text, no_vectors, groups.astype(np.intp), len(ids), spoken.embedder)
    return _Part(every, wordless)


def classifier_name(classifier_id: str) -> str:
    """The classifier's name, whatever its version.

    >>> classifier_name("refusal@0123456789ab")
    'refusal'
    """
    return str(classifier_id).partition("@")[0]
