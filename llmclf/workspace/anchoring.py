"""Anchors of a judge: kept once, judged anew on every change, and held against what was said of them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.calibration.anchor_sets import (
    AnchorSet,
    Drawn,
    anchor_set,
    anchors_of_session,
    anchors_path,
    read_anchors,
)
from llmclf.calibration.anchors import AnchorMove, split_move, stamps_of, version_of
from llmclf.calibration.desk import Desk
from llmclf.errors import ConfigError
from llmclf.judges import Judge
from llmclf.judges.base import OnJudgment
from llmclf.render.tables import Shown, TableText
from llmclf.sweeps.planned import Plan
from llmclf.types import RECORDED, Judgment
from llmclf.workspace.cases import read_cases
from llmclf.workspace.judging import judge as judge_cases, plan_judging

_FILES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class AnchorReading(Shown):
    """One time that a judge was asked about its anchors, and what changed since the time before."""

    anchors: AnchorSet
    judgments: tuple[Judgment, ...]
    move: AnchorMove | None
    """Against the last judgments that the store holds of the anchors; None where it holds none."""
    note: str
    """What the reading says of itself."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types; no words of the cases."""
        return {
            "judge": self.anchors.judge,
            "anchors": len(self.anchors.cases),
            "source": self.anchors.source,
            "sha256": self.anchors.sha256,
            "design": self.anchors.design,
            "unlike_traffic": self.anchors.unlike_traffic,
            "now": version_of(self.judgments),
            "failed": sum(one.verdict is None for one in self.judgments),
            "note": self.note,
            "stamps": list(stamps_of(self.judgments)),
            "move": None if self.move is None else self.move.to_dict(),
        }

    def _table(self) -> TableText:
        if self.move is not None:
            return self.move._table()
        verdicts = [one.verdict if one.verdict is not None else "failed" for one in self.judgments]
        rows = tuple((verdict, str(verdicts.count(verdict))) for verdict in dict.fromkeys(verdicts))
        title = f"{self.anchors.judge}: {len(self.anchors.cases)} anchors judged"
        return TableText(
            title,
            ("verdict", "anchors"),
            rows,
            (f"now: {version_of(self.judgments)}",),
            stamps_of(self.judgments),
            (1,),
        )


def take_anchors(judge: Judge, source: str, *, conversations: str | None = None) -> AnchorSet:
    """The test cases of a session, or a file of cases (JSON Lines), as anchors of `judge`; nothing is written yet.

    Of a session's cases it is kept how each was drawn; a file of cases counts as picked by hand, so that a move of a
    rate is not split by it. `conversations` is the file with those that a file's cases are about. DataError where a
    case can't be shown to it.
    """
    _check_asks(judge)
    runtime = judge.runtime
    design, drawn = "", dict[str, Drawn]()
    if source.endswith(_FILES):
        found = read_cases(source, judge.rubric, runtime, conversations=conversations)
        cases, texts, name = list(found.cases), dict(found.conversations), source
    else:
        desk = Desk(runtime.store)
        session = desk.session(source)
        name, design = session.id, session.design
        cases, texts = anchors_of_session(desk, name)
        items = {item.case.id: item for item in session.items}
        drawn = {case.id: Drawn(items[case.id].stratum, items[case.id].inclusion_probability) for case in cases}
    judge.check_cases(cases, texts)
    path = anchors_path(runtime.workspace, judge.name)
    return anchor_set(path, judge.name, name, cases, texts, design=design, drawn=drawn)


def anchors_of(judge: Judge) -> AnchorSet:
    """The anchors that are kept for a judge; ConfigError where there are none, or the judge can't be asked."""
    _check_asks(judge)
    return read_anchors(anchors_path(judge.runtime.workspace, judge.name))


def plan_anchors(judge: Judge, anchors: AnchorSet) -> Plan:
    """What judging the anchors once more would do; nothing is sent."""
    repeat = _repeat(judge, anchors)
    return plan_judging(anchors.cases, judge, conversations=anchors.conversations, probes=(("", repeat),))


def judge_anchors(
    judge: Judge,
    anchors: AnchorSet,
    *,
    before_rate: tuple[int, int] | None = None,
    after_rate: tuple[int, int] | None = None,
    on_done: OnJudgment | None = None,
    seed: int = 0,
) -> AnchorReading:
    """Asks the judge about its anchors afresh, and compares with what the store holds of them from before.

    Each reading is a fresh repeat, so that no answer comes from the cache and a new version behind the vendor's name
    shows; one that was killed or stopped by a cap is continued. Rates are (positive verdicts, verdicts) in the traffic
    before and after the change: with both, the move between them is split, where the anchors stand for the traffic.
    """
    repeat = _repeat(judge, anchors)
    earlier = _earlier(judge, anchors, repeat)
    made = judge_cases(anchors.cases, judge, conversations=anchors.conversations, repeat=repeat, on_done=on_done)
    if not any(one.counts for one in earlier) or not any(one.counts for one in made):
        side = "now" if earlier else "before"
        note = f"no anchor has a verdict from {side}: there is nothing to compare yet"
        return AnchorReading(anchors, tuple(made), None, note)
    groups = {case.id: case.own_group for case in anchors.cases}
    move = split_move(
        earlier,
        made,
        before_rate,
        after_rate,
        targets=judge.rubric.targets,
        groups=groups,
        weights=anchors.weights,
        unlike_traffic=anchors.unlike_traffic,
        seed=seed,
    )
    note = "the judge or its version changed"
    if move.before == move.after:
        note = "the same judge and version answered: what changed is chance, or a change that nobody announced"
    return AnchorReading(anchors, tuple(made), move, note)


def _check_asks(judge: Judge) -> None:
    if judge.fingerprint.startswith(RECORDED):
        raise ConfigError("its verdicts were made elsewhere: it can't be asked again", where=judge.name)


def _earlier(judge: Judge, anchors: AnchorSet, repeat: int) -> list[Judgment]:
    """The newest judgment of each anchor from before this reading, by any version of the judge."""
    ids = [case.id for case in anchors.cases]
    newest = {
        one.case: one
        for one in judge.runtime.store.judgments(judge.name, probe="", case_ids=ids)
        if one.repeat < repeat and one.simulated == judge.simulated
    }
    return [newest[id_] for id_ in ids if id_ in newest]


def _repeat(judge: Judge, anchors: AnchorSet) -> int:
    """The number of this reading: after all that were; that of the last one where it was not finished."""
    store = judge.runtime.store
    kept = store.judgments(judge.name, probe="", case_ids=[case.id for case in anchors.cases])
    if not kept:
        return 0
    last = max(one.repeat for one in kept)
    return last if last and _is_open(judge, last) else last + 1


def _is_open(judge: Judge, repeat: int) -> bool:
    """Was the last run of this judge and repeat killed, or stopped by a cap?"""
    states: Sequence[dict[str, Any]] = judge.runtime.store.query(
        "SELECT state FROM runs WHERE kind = 'judge' AND json_extract(config, '$.judge') = ? "
        "AND json_extract(config, '$.fingerprint') = ? AND json_extract(config, '$.repeat') = ? "
        "ORDER BY run_id DESC LIMIT 1",
        (judge.name, judge.fingerprint, repeat),
    )
    return bool(states) and states[0]["state"] != "done"
