"""A judge reads what is new among reasons: all of the novelty pool, and samples of each anomaly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from llmclf.errors import RETRYABLE_KINDS, ConfigError
from llmclf.judges import Judge
from llmclf.judges.base import OnJudgment
from llmclf.judges.status import CalibrationStatus
from llmclf.llm.runtime import Runtime
from llmclf.reasons.result import Clustering
from llmclf.reasons.texts import LONGEST
from llmclf.reasons.values import Anomaly, PoolReading
from llmclf.stats.class_balanced import class_balanced_prevalence
from llmclf.stats.flagged import class_balanced_precision
from llmclf.stats.proportion import wilson
from llmclf.sweeps.planned import Plan
from llmclf.types import FAILED, Case, Estimate, Judgment, content_hash
from llmclf.workspace.judging import judge as judge_cases, plan_judging

SAMPLE = 10
"""Reasons of an anomaly, of as many conversations, that a judge reads beside the novelty pool."""
SHOWN = ("reason", "rationale", "thinking", "label")
"""What a case can show; a judge that sees more can't read reasons."""
_DIGITS = 8
_NOT_ASKED = RETRYABLE_KINDS | {"over_budget", "authentication", "not_found"}
_NARROWEST, _MOST_CASES, _HALVINGS = 1e-3, 1e7, 60


@dataclass(frozen=True)
class Reading:
    """What a judge is to read of a clustering: each reason with its case, and which reasons are of which anomaly."""

    judge: Judge
    case_of: Mapping[int, str]
    """Place of a reason in the clustering to the id of its case; the same words of one item are one case."""
    cases: tuple[Case, ...] = field(repr=False)
    places: tuple[tuple[int, ...], ...] = field(repr=False)
    """Of each anomaly: the reasons of it that are read."""

    def plan(self) -> Plan:
        """What it would cost and send; nothing is sent."""
        return plan_judging(self.cases, self.judge)


def reading_of(made: Clustering, judge: Judge) -> Reading:
    """What `judge` is to read. ConfigError where its rubric sees what reasons can't show, such as a conversation."""
    unseen = [name for name in judge.rubric.sees if name not in SHOWN]
    if unseen:
        raise ConfigError(
            "this judge can't read reasons",
            where=f"judge {judge.name}",
            got=f"it sees {', '.join(unseen)}",
            fix=f"name one that sees nothing but {', '.join(SHOWN)}, such as reason_anomaly",
        )
    places = tuple(_read_of(one, made) for one in made.anomalies)
    wanted = sorted({*made.pool, *(place for some in places for place in some)})
    texts = made.reasons.texts(made.settings.text)
    cases: dict[str, Case] = {}
    case_of: dict[int, str] = {}
    for place in wanted:
        case = _case(made.reasons[place], texts[place][:LONGEST], judge)
        cases.setdefault(case.id, case)
        case_of[place] = case.id
    return Reading(judge, case_of, tuple(cases.values()), places)


def read_anomalies(
    made: Clustering, reading: Reading, runtime: Runtime, on_done: OnJudgment | None = None
) -> tuple[Clustering, tuple[Judgment, ...]]:
    """(the clustering with a `PoolReading` on each anomaly, what the judge said), recorded as a run of kind `judge`.

    A cap ends it as any judging: reasons without a verdict count as failed, and the next run goes on from there.
    """
    if not reading.cases:
        return made, ()
    judgments = judge_cases(reading.cases, reading.judge, runtime=runtime, on_done=on_done)
    said = {one.case: one for one in judgments}
    texts, conversations = made.reasons.texts(made.settings.text), made.reasons.column("conversation_id")
    readings = {}
    for number, places in enumerate(reading.places):
        read = [
            ReadReason(said[reading.case_of[place]], conversations[place], " ".join(texts[place].casefold().split()))
            for place in places
        ]
        if read:
            readings[number] = pool_reading(reading.judge, read)
    return made.with_readings(readings), tuple(judgments)


class ReadReason(NamedTuple):
    """A reason with what a judge said of it."""

    judgment: Judgment
    conversation: str
    text: str

    @property
    def verdict(self) -> str:
        """The verdict, or `(failed)`."""
        return FAILED if self.judgment.verdict is None else self.judgment.verdict

    @property
    def was_asked(self) -> bool:
        """False where the judge never got to it: a cap, a vendor that did not answer, a key that is missing."""
        error = self.judgment.error
        return error is None or error.kind not in _NOT_ASKED


def pool_reading(judge: Judge, read: Sequence[ReadReason]) -> PoolReading:
    """What a judge's verdicts on an anomaly's reasons say of it."""
    targets, status = judge.rubric.targets, judge.status
    precision, fault_share = shares_of(read, targets, status)
    errors = Counter(one.judgment.error.kind for one in read if one.verdict == FAILED and one.judgment.error)
    counts = Counter(one.verdict for one in read)
    return PoolReading(
        judge.name,
        judge.fingerprint,
        status.state,
        dict(counts.most_common()),
        sum(count for verdict, count in counts.items() if verdict in targets),
        precision,
        judge.simulated or status.simulated,
        fault_share,
        dict(errors.most_common()),
    )


def shares_of(
    read: Sequence[ReadReason], targets: Collection[str], status: CalibrationStatus
) -> tuple[Estimate, Estimate]:
    """(share of the reasons that the judge calls a fault, share of all that it read) that people would call one.

    The judge's rate, each conversation counted once, corrected by its sensitivity and specificity
    (`class_balanced_precision`, `class_balanced_prevalence`), each with as many calibration cases as its interval is
    worth. Equal words get equal verdicts, right or wrong together, so there are no more units than different texts.
    What the judge never got to is left out. Unknown where the judge is not calibrated.
    """
    if not status.calibrated:
        return _neither(f"the judge is {status.state.replace('_', ' ')}: {status.why}")
    found, quiet = (_counts_behind(status.figures.get(name)) for name in ("sensitivity", "specificity"))
    if found is None or quiet is None:
        return _neither("its calibration holds no sensitivity or no specificity with an interval: report again")
    asked = [one for one in read if one.was_asked]
    if not asked:
        return _neither("the judge got to none of these reasons")
    of: dict[str, list[bool]] = {}
    for one in asked:
        of.setdefault(one.conversation, []).append(one.verdict in targets)
    rate = sum(sum(each) / len(each) for each in of.values()) / len(of)
    units = min(len(of), len({one.text for one in asked}))
    flagged, hits = round(rate * units), sum(one.verdict in targets for one in asked)
    flagged = max(flagged, 1) if hits else 0
    precision = class_balanced_precision(flagged, units, *found, *quiet)
    share = class_balanced_prevalence(flagged, units, *found, *quiet)
    return replace(precision, n_positives=hits), replace(share, n_positives=hits)


def _neither(why: str) -> tuple[Estimate, Estimate]:
    return Estimate.unknown(why), Estimate.unknown(why)


def _counts_behind(figure: object) -> tuple[int, int] | None:
    """(hits, cases) whose Wilson interval is as wide as that of a figure; None where it has none."""
    row = figure if isinstance(figure, dict) else {}
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    if not (isinstance(value, int | float) and isinstance(low, int | float) and isinstance(high, int | float)):
        return None
    width = max(high - low, _NARROWEST)
    fewest, most = 1.0, _MOST_CASES
    for _ in range(_HALVINGS):  # the interval narrows with the number of cases
        middle = math.sqrt(fewest * most)
        got = wilson(min(1.0, max(0.0, value)) * middle, middle)
        wider = (got.high or 0.0) - (got.low or 0.0) > width
        fewest, most = (middle, most) if wider else (fewest, middle)
    cases = max(1, math.floor(fewest))
    return min(cases, max(0, round(value * cases))), cases


def _read_of(anomaly: Anomaly, made: Clustering) -> tuple[int, ...]:
    """Places of the anomaly's reasons that are read: all where the pool has them, else one each of some conversations.

    Which conversations, and which reason of each, is drawn by the settings' seed.
    """
    where = {id_: place for place, id_ in enumerate(made.reasons.column("prediction_id"))}
    conversations = made.reasons.column("conversation_id")
    ids = anomaly.predictions or anomaly.examples
    places = [where[one] for one in ids if one in where]
    pool = set(made.pool)
    if all(place in pool for place in places):
        return tuple(sorted(places))
    rng = np.random.default_rng(made.settings.seed)
    one_of: dict[str, int] = {}
    for place in rng.permutation(places).tolist():
        one_of.setdefault(conversations[place], place)
    return tuple(sorted(list(one_of.values())[:SAMPLE]))


def _case(row: Mapping[str, object], text: str, judge: Judge) -> Case:
    """A case with an id that follows from what is shown: the same words of an item again are the same case."""
    label = row["label"]
    words = {
        "reason": text,
        "rationale": str(row["rationale"] or text)[:LONGEST],
        "thinking": str(row["thinking"] or text)[:LONGEST],
        "label": "(failed)" if label is None else str(label),
    }
    shown = {name: words[name] for name in judge.rubric.sees}
    conversation, turn = str(row["conversation_id"]), row["turn"]
    item = conversation if turn is None else f"{conversation}[{turn}]"
    return Case(
        f"{item}:{content_hash((shown, ''))[:_DIGITS]}",
        conversation,
        turn if isinstance(turn, int) else None,
        shown,
        metadata={"simulated": True} if row["simulated"] else {},
    )
