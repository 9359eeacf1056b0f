"""Is a judge steady? The same cases judged again, in another order, with empty words, and simply once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.judges import Judge
from llmclf.judges.status import UNCALIBRATED
from llmclf.render.tables import Shown, TableText, counted
from llmclf.stats.proportion import clustered_wilson
from llmclf.types import Case, Conversation, Estimate, Judgment
from llmclf.types.judgment import Probe
from llmclf.workspace.judging import judge as judge_cases

PROBES: tuple[tuple[Probe, int], ...] = (("swapped", 0), ("padded", 0), ("", 1))
"""(probe, repeat) of what is held against a judge's plain verdicts."""
_NAMES = {("swapped", 0): "in another order", ("padded", 0): "with empty words", ("", 1): "once more"}


@dataclass(frozen=True)
class Changed:
    """How often the verdict of a case changes when it is shown in another way."""

    name: str
    probe: Probe
    repeat: int
    compared: int
    """Cases with a verdict both times; `cannot_tell` is one."""
    failed: int
    """Cases without a verdict one of the times."""
    share: Estimate
    """Of those compared, how many changed; cases of one group count together."""
    to_target: int
    """Changes to a verdict that is looked for."""
    from_target: int
    """Changes away from one."""

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON types."""
        named = ("name", "probe", "repeat", "compared", "failed", "to_target", "from_target")
        return {name: getattr(self, name) for name in named} | {"changed": self.share.to_dict()}


@dataclass(frozen=True)
class Steadiness(Shown):
    """What probes say of a judge."""

    judge: str
    fingerprint: str
    calibrated: bool
    simulated: bool
    cases: int
    rows: tuple[Changed, ...]
    judgments: Mapping[tuple[Probe, int], Sequence[Judgment]]
    """By (probe, repeat), in the order of the cases; the plain ones under ("", 0)."""

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        return {
            "judge": self.judge,
            "fingerprint": self.fingerprint,
            "calibration": "calibrated" if self.calibrated else UNCALIBRATED,
            "simulated": self.simulated,
            "cases": self.cases,
            "probes": [row.to_dict() for row in self.rows],
        }

    def _table(self) -> TableText:
        stamps = [*([] if self.calibrated else [UNCALIBRATED]), *(["SIMULATED"] if self.simulated else [])]
        rows = [
            (row.name, str(row.share), str(row.compared), str(row.failed), f"{row.to_target}/{row.from_target}")
            for row in self.rows
        ]
        notes = (
            "A steady judge says the same each time; what changes once more is the least that the others can change.",
            "to/from: changes to, and away from, a verdict that is looked for.",
        )
        return TableText(
            f"{self.judge}: verdicts that change, of {counted(self.cases, 'case')}",
            ("shown", "share changed", "compared", "failed", "to/from"),
            tuple(rows),
            notes,
            tuple(stamps),
            (2, 3, 4),
        )


def probe_judge(
    cases: Sequence[Case],
    judge: Judge,
    *,
    conversations: Mapping[str, Conversation] = {},
    on_done: Callable[[Judgment], None] | None = None,
) -> Steadiness:
    """Judges the cases as they are and by each of `PROBES`, each a run of kind `judge`, and compares the verdicts."""
    made: dict[tuple[Probe, int], Sequence[Judgment]] = {}
    for probe, repeat in (("", 0), *PROBES):
        key: tuple[Probe, int] = (probe, repeat)
        made[key] = judge_cases(cases, judge, conversations=conversations, probe=key[0], repeat=repeat, on_done=on_done)
    groups = [case.own_group for case in cases]
    rows = tuple(_changed(key, made["", 0], made[key], groups, judge.rubric.targets) for key in PROBES)
    return Steadiness(judge.name, judge.fingerprint, judge.status.calibrated, judge.simulated, len(cases), rows, made)


def _changed(
    key: tuple[Probe, int],
    plain: Sequence[Judgment],
    probed: Sequence[Judgment],
    groups: Sequence[str],
    targets: frozenset[str],
) -> Changed:
    pairs = [
        (one.verdict, other.verdict, group)
        for one, other, group in zip(plain, probed, groups, strict=True)
        if one.verdict is not None and other.verdict is not None
    ]
    changed = [one != other for one, other, _ in pairs]
    share = Estimate.unknown("no case has a verdict both times")
    if pairs:
        share = clustered_wilson(changed, [group for *_, group in pairs])
    return Changed(
        _NAMES[key],
        *key,
        compared=len(pairs),
        failed=len(plain) - len(pairs),
        share=share,
        to_target=sum(one not in targets and other in targets for one, other, _ in pairs),
        from_target=sum(one in targets and other not in targets for one, other, _ in pairs),
    )
