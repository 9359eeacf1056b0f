"""Sessions: planned and begun; what they say of a judge is in `session_reports`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from llmclf.calibration.desk import Desk
from llmclf.calibration.drawing import DESIGNS, Drawn, draw
from llmclf.calibration.expected import Assumed
from llmclf.calibration.opening import alike_names
from llmclf.calibration.plan import SECONDS_A_LABEL, People, SessionPlan, plan_session as make_plan
from llmclf.calibration.session import Session, SessionDesign
from llmclf.errors import ConfigError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.store.moments import utc_text
from llmclf.types import Costs
from llmclf.types.task import Unit
from llmclf.workspace.session_pool import Pool, Subject, pool_of, subject_of
from llmclf.workspace.session_reports import calibrate, report

__all__ = ["calibrate", "plan_session", "report", "start_session"]

PER_ITEM = 2
ALIGN_SHARE = 0.3
"""Of a judge's cases; a task has nothing to align."""
PRACTICE = 3
_FEWEST_TIMED = 10
"""Earlier labels with a time, below which 45 seconds are assumed."""


@dataclass(frozen=True)
class Wanted:
    """How a session is to be: what to draw, and who labels."""

    annotators: tuple[str, ...]
    n: int = 200
    per_item: int | None = None
    """Default: two, or the one there is."""
    adjudicator: str = ""
    design: SessionDesign = "random"
    align_share: float | None = None
    """Default: 0.3 for a judge, 0 for a task."""
    practice: int = PRACTICE
    seed: int = 0
    hide_names: bool = False

    @property
    def labels_an_item(self) -> int:
        """How many people label each item."""
        return min(PER_ITEM, max(1, len(self.annotators))) if self.per_item is None else self.per_item


def start_session(
    name: str,
    *,
    items: str,
    runtime: Runtime,
    annotators: Sequence[str],
    n: int = 200,
    per_item: int | None = None,
    adjudicator: str = "",
    design: str = "random",
    align_share: float | None = None,
    practice: int = PRACTICE,
    seed: int = 0,
    hide_names: bool = False,
    conversations: str | None = None,
    unit: Unit = "conversation",
) -> Session:
    """Draws the cases of a session and opens it in the store; its id is NAME-YYYY-MM-DD, -2 where that is taken.

    `name` is a task's or a judge's (`task:NAME`, `judge:NAME` where both have it); `items`, `conversations` and `unit`
    are as in `pool_of`, the rest is as in `draw`; `per_item` is 2 by default, `align_share` 0.3 for a judge and 0 for
    a task. The rubric with its guideline is kept as it is now. Raises ConfigError that lists all that can't be.
    """
    design = _known_design(design)
    wanted = Wanted(tuple(annotators), n, per_item, adjudicator, design, align_share, practice, seed, hide_names)
    subject = subject_of(name, runtime)
    pool = pool_of(subject, items, runtime, design=design, conversations=conversations, unit=unit)
    drawn = _drawn(subject, pool, wanted, name, items)
    desk, now = Desk(runtime.store), utc_text()
    session = Session(
        id=_free_id(desk, subject.rubric.name, now[:10]),
        kind=subject.kind,
        rubric=subject.rubric,
        design=design,
        items=drawn.items,
        annotators=wanted.annotators,
        adjudicator=adjudicator,
        per_item=wanted.labels_an_item,
        population=drawn.population,
        fingerprint=subject.fingerprint,
        seed=seed,
        hide_names=hide_names,
        created_at=now,
    )
    asked = {item.case.conversation_id for item in drawn.items}
    desk.open(session, {id: one for id, one in pool.conversations.items() if id in asked})
    return session


def plan_session(
    name: str,
    *,
    items: str,
    runtime: Runtime,
    annotators: Sequence[str],
    n: int = 200,
    per_item: int | None = None,
    adjudicator: str = "",
    design: str = "random",
    align_share: float | None = None,
    practice: int = PRACTICE,
    seed: int = 0,
    conversations: str | None = None,
    unit: Unit = "conversation",
    prevalence: float | None = None,
    sensitivity: float | None = None,
    specificity: float | None = None,
    seconds_a_label: float | None = None,
    reviewer_usd_per_hour: float = 48.0,
) -> SessionPlan:
    """What `start_session` with the same arguments would take and could tell; nothing is kept.

    `prevalence` is the share of the target in the pool: by default that of its known labels where every case has one,
    else 0.005. Sensitivity and specificity are the judge's, by default of one that deserves to pass its bar. Drawn by
    verdict, the plan does with the verdicts that such a judge would give where the pool is not judged yet. A label
    takes as long as earlier ones of the store, or 45 seconds.
    """
    design = _known_design(design)
    wanted = Wanted(tuple(annotators), n, per_item, adjudicator, design, align_share, practice, seed)
    subject = subject_of(name, runtime)
    pool = pool_of(subject, items, runtime, design=design, conversations=conversations, unit=unit)
    if prevalence is None:
        prevalence = _known_share(pool, subject)
    notes = []
    if design == "by_verdict" and any(case.id not in pool.verdicts for case in pool.cases):
        notes.append(f"The pool has no verdicts yet, and this plan makes them up: {_judging(subject, name, items)}")
        pool = _made_up(pool, subject, prevalence, sensitivity, specificity)
    drawn = _drawn(subject, pool, wanted, name, items)
    seconds, source = (seconds_a_label, "given") if seconds_a_label is not None else _seconds(runtime.store)
    return make_plan(
        subject.rubric.name,
        subject.kind,
        design,
        drawn,
        People(wanted.annotators, wanted.labels_an_item, adjudicator, seconds, source, reviewer_usd_per_hour),
        bar=subject.bar,
        targets=subject.rubric.targets,
        prevalence=prevalence,
        sensitivity=sensitivity,
        specificity=specificity,
        notes=notes,
        seed=seed,
    )


def _known_design(design: str) -> SessionDesign:
    """The design, written with - or _; ConfigError with the nearest for an unknown one."""
    found = {name.replace("_", "-"): name for name in DESIGNS}
    name = design.replace("_", "-")
    if name not in found:
        raise ConfigError("no such design", where="--design", got=design, fix=nearest(name, list(found)))
    return found[name]


def _drawn(subject: Subject, pool: Pool, wanted: Wanted, name: str, items: str) -> Drawn:
    """The draw; ConfigError that also says how to get what is missing."""
    share = wanted.align_share
    alike = alike_names([*wanted.annotators, *([wanted.adjudicator] if wanted.adjudicator else [])])
    try:
        drawn = draw(
            pool.cases,
            subject.rubric,
            design=wanted.design,
            n=wanted.n,
            verdicts=pool.verdicts,
            annotators=wanted.annotators,
            per_item=wanted.labels_an_item,
            adjudicator=wanted.adjudicator,
            align_share=share if share is not None else (ALIGN_SHARE if subject.kind == "judge" else 0.0),
            practice=wanted.practice,
            seed=wanted.seed,
        )
    except ConfigError as error:
        needs = any("by_verdict needs" in problem for problem in error.problems)
        fix = _judging(subject, name, items) if needs else ""
        raise ConfigError(error.what, where=error.where, problems=[*error.problems, *alike], fix=fix) from None
    if alike:
        raise ConfigError("no session can be drawn so", where=subject.rubric.name, problems=alike)
    return drawn


def _judging(subject: Subject, name: str, items: str) -> str:
    """The command that gives the pool its verdicts."""
    if subject.kind == "judge":
        return f"judge it first: llmclf judge run {name.removeprefix('judge:')} --items {items}"
    return "classify it first (llmclf classify), then say --items run:RUN --conversations FILE"


def _free_id(desk: Desk, name: str, day: str) -> str:
    taken = {one.id for one in desk.sessions()}
    stem = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{day}"
    number = 1
    while (id := stem if number == 1 else f"{stem}-{number}") in taken:
        number += 1
    return id


def _made_up(
    pool: Pool, subject: Subject, prevalence: float, sensitivity: float | None, specificity: float | None
) -> Pool:
    """The pool with as many positive verdicts as such a judge would give, on whichever cases."""
    assumed = Assumed.deserving(prevalence, subject.bar)
    assumed = replace(
        assumed,
        sensitivity=assumed.sensitivity if sensitivity is None else sensitivity,
        specificity=assumed.specificity if specificity is None else specificity,
    )
    positive = max(1, round(len(pool.cases) * assumed.positive))
    names = subject.rubric.names
    looked_for = next(name for name in names if name in subject.rubric.targets)
    other = next(name for name in names if name not in subject.rubric.targets)
    verdicts = {case.id: looked_for if place < positive else other for place, case in enumerate(pool.cases)}
    return replace(pool, verdicts=verdicts)


def _known_share(pool: Pool, subject: Subject) -> float:
    """The share of targets among the known labels of the pool, where all are known and it is one; else 0.005."""
    targets = sum(case.label in subject.rubric.targets for case in pool.cases)
    known = all(case.label for case in pool.cases) and 0 < targets < len(pool.cases)
    return targets / len(pool.cases) if known else Costs().prevalence


def _seconds(store: Store) -> tuple[float, str]:
    """(seconds a label takes, where that is from)."""
    rows = store.query(
        "SELECT seconds FROM session_labels WHERE seconds IS NOT NULL AND label IS NOT NULL AND undone_at IS NULL"
    )
    if len(rows) < _FEWEST_TIMED:
        return SECONDS_A_LABEL, "assumed"
    return float(median(row["seconds"] for row in rows)), f"median of {len(rows):,}"
