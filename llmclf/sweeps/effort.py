"""Does a thinking setting do anything? Measured on the same items under both settings, not believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmclf import stats
from llmclf.stats import PairedCounts
from llmclf.types import Dataset, Estimate, Predictions, groups_of

_LEVELS = ("None", "off", "minimal", "low", "medium", "high", "max")
_LEAST_ITEMS = 6
"""Below so many, no rank test can reject anything."""


@dataclass(frozen=True)
class Effort:
    """What one thinking setting changed against a lower one."""

    thinking: str
    against: str
    """The lower setting."""
    no_op: bool | None
    """True: measured to do nothing. False: it does. None: nobody can tell."""
    sentence: str
    ratio: Estimate
    """Reasoning tokens, times those of the lower setting: the median over items. Not known against none."""
    changed: Estimate
    """Share of the items answered by both whose label is another."""
    compared: int
    """Items whose reasoning tokens both settings report."""
    uncounted: int
    """Items of both that lack such a count: they failed, or the vendor gives none."""
    p_different: float | None = None
    """Of Wilcoxon's signed-rank test, two-sided; None where it was not made."""
    tokens: tuple[float, float] | None = None
    """Median reasoning tokens of the lower setting and of this one; None where they were not compared."""

    @property
    def tokens_text(self) -> str:
        """The medians: `none -> 300`; empty where nothing was compared."""
        return "" if self.tokens is None else " -> ".join(_tokens(count) for count in self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON types."""
        return {
            "thinking": self.thinking,
            "against": self.against,
            "no_op": self.no_op,
            "sentence": self.sentence,
            "reasoning_ratio": self.ratio.to_dict(),
            "median_reasoning_tokens": None if self.tokens is None else list(self.tokens),
            "labels_changed": self.changed.to_dict(),
            "compared": self.compared,
            "uncounted": self.uncounted,
            "p_different": self.p_different,
        }


def level_order(thinking: object) -> tuple[int, int]:
    """Sorts thinking settings from the lowest: the vendor's default, levels, then numbers of tokens."""
    if isinstance(thinking, int):
        return len(_LEVELS), thinking
    return _LEVELS.index(str(thinking)), 0


def compare_efforts(lower: Predictions, higher: Predictions, names: tuple[str, str], dataset: Dataset) -> Effort:
    """What the second setting changed against the first, on the items that both were asked; `names` are theirs.

    The reasoning tokens of the same items are compared by Wilcoxon's signed ranks. It is a `no_op` where they
    do not differ and a doubling would have been seen: both a doubling and a halving are rejected. Where neither
    setting reports a single reasoning token, all output tokens must be alike as well. Counts that are missing
    are left out, and where all are, nobody can tell.
    """
    pairs = _paired(lower, higher)
    changed = _changed(pairs, dataset)
    counted = [
        (one.usage.reasoning_tokens, other.usage.reasoning_tokens)
        for one, other in pairs
        if one.usage.reasoning_tokens is not None and other.usage.reasoning_tokens is not None
    ]
    uncounted = len(pairs) - len(counted)

    def made(no_op: bool | None, why: str, found: PairedCounts | None = None) -> Effort:
        ratio = Estimate.unknown("no reasoning tokens to compare") if found is None else found.ratio
        p_different = None if found is None else found.p_different
        said = f"against thinking {names[0]}: {why}{_labels(changed)}"
        tokens = None if found is None else found.medians
        return Effort(names[1], names[0], no_op, said, ratio, changed, len(counted), uncounted, p_different, tokens)

    if pairs and all(one.call_id and one.call_id == other.call_id for one, other in pairs):
        return made(True, "both send the same request, so one answer serves both")
    if not counted:
        return made(None, "can't tell, no reasoning tokens are reported")
    if len(counted) < _LEAST_ITEMS:
        return made(None, f"can't tell, reasoning tokens of {len(counted)} items are too few")
    found = stats.paired_counts(*zip(*counted, strict=True))
    if found.zeros == found.pairs:
        return made(*_all_zero(pairs), found)
    times = f"{_times(found)} on {found.pairs} items"
    missing = f" ({uncounted} without a count)" if uncounted else ""
    if found.different:
        return made(False, f"{times}{missing}", found)
    if found.rules_out_doubling:
        return made(True, f"changes nothing, {times}{missing}; a doubling is ruled out", found)
    return made(None, f"can't tell, {times}{missing}; a doubling would not have been seen", found)


def _times(found: PairedCounts) -> str:
    """`2.1 (1.8-2.4) times the reasoning tokens`; against none, how many there are instead."""
    ratio, medians = found.ratio, found.medians or (0.0, 0.0)
    if ratio.value is None:
        return f"reasoning tokens {' -> '.join(_tokens(count) for count in medians)} (median)"
    interval = "" if ratio.low is None or ratio.high is None else f" ({times_text(ratio.low)}-{times_text(ratio.high)})"
    return f"{times_text(ratio.value)}{interval} times the reasoning tokens"


def times_text(ratio: float) -> str:
    """A ratio with two digits that mean something and without an exponent."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.2g}" if ratio >= 0.001 else "<0.001"


def _tokens(count: float) -> str:
    return f"{count:,.0f}" if count else "none"


def _all_zero(pairs: Sequence[tuple[Any, Any]]) -> tuple[bool | None, str]:
    outputs = [
        (one.usage.output_tokens, other.usage.output_tokens)
        for one, other in pairs
        if one.usage.output_tokens is not None and other.usage.output_tokens is not None
    ]
    if len(outputs) < _LEAST_ITEMS:
        return None, "can't tell, no reasoning token is reported, and too few output tokens"
    answers = stats.paired_counts(*zip(*outputs, strict=True))
    if not answers.different and answers.rules_out_doubling:
        return True, f"changes nothing, neither reasons on any of {len(pairs)} items, and answers are as long"
    return None, "can't tell, no reasoning token is reported, yet answers may differ in length"


def _paired(lower: Predictions, higher: Predictions) -> list[tuple[Any, Any]]:
    found = {prediction.item: prediction for prediction in lower}
    return [(found[other.item], other) for other in higher if other.item in found]


def _changed(pairs: Sequence[tuple[Any, Any]], dataset: Dataset) -> Estimate:
    """Share of items with another label, turns and pairs of one group counted as they hang together."""
    groups = dict(zip([example.item for example in dataset.examples], groups_of(dataset.examples), strict=True))
    answered = [(one, other) for one, other in pairs if one.label is not None and other.label is not None]
    if not answered:
        return Estimate.unknown("no item was answered by both")
    return stats.clustered_wilson(
        [one.label != other.label for one, other in answered], [groups.get(one.item, one.item) for one, _ in answered]
    )


def _labels(changed: Estimate) -> str:
    if changed.value is None:
        return ""
    percent = f"{changed.value:.1%}"
    if changed.low is not None and changed.high is not None:
        percent += f" ({changed.low:.1%} to {changed.high:.1%})"
    return f". Another label on {percent} of the items"
