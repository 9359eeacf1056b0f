"""Sessions: planned and begun; what they say of a judge is in `session_reports`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from llmclf.calibration.desk import Desk
from llmclf.calibration.drawing import DESIGNS, Drawn, draw
from llmclf.calibration.expected import Assumed
from llmclf.calibration.opening import alike_names
from llmclf.calibration.plan import SECONDS_A_LABEL, People, SessionPlan, check_rates, plan_session as make_plan
from llmclf.calibration.session import Session, SessionDesign
from llmclf.errors import ConfigError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import counted
from llmclf.store import Store
from llmclf.store.moments import utc_text
from llmclf.types import Costs
from llmclf.types.task import Unit
from llmclf.workspace.session_pool import Pool, Subject, drawn_from, pool_of, subject_of
from llmclf.workspace.session_reports import calibrate, report
from llmclf.workspace.session_steps import Asked, judging_first, steps_to

__all__ = ["calibrate", "plan_session", "report", "start_session"]

PER_ITEM = 2
ALIGN_SHARE = 0.3
"""Of a judge's cases; a task and a recorded judge have no prompt to align."""
PRACTICE = 3
_FEWEST_TIMED = 20
"""Earlier labels with a time, below which 45 seconds are assumed."""
_DOUBTED = 3.0
"""Seconds a label, below which nobody has read the case: a script labelled, or a try."""


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
    """Default: 0.3 for a judge with a prompt, else 0."""
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
    on_note: Callable[[str], None] = lambda _: None,
) -> Session:
    """Draws the cases of a session and opens it in the store; its id is NAME-YYYY-MM-DD, -2 where that is taken.

    `name` is a task's or a judge's (`task:NAME`, `judge:NAME` where both have it); `items`, `conversations` and `unit`
    are as in `pool_of`, the rest is as in `draw`; `per_item` is 2 by default, `align_share` 0.3 for a judge with a
    prompt to change, 0 for a recorded one and for a task. The rubric with its guideline is kept as it is now. `on_note`
    is told what of the source is not in the pool. Raises ConfigError that lists all that can't be.
    """
    design = _known_design(design)
    wanted = Wanted(tuple(annotators), n, per_item, adjudicator, design, align_share, practice, seed, hide_names)
    subject = subject_of(name, runtime)
    pool = pool_of(subject, items, runtime, conversations=conversations, unit=unit)
    asked = Asked(name, items, wanted.annotators, {"conversations": conversations})
    drawn = _drawn(subject, pool, wanted, asked)
    for why in drawn_from(pool, design).left_out:
        on_note(why)
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
    shown = {item.case.conversation_id for item in drawn.items}
    desk.open(session, {id: one for id, one in pool.conversations.items() if id in shown})
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
    else 0.005. Sensitivity and specificity are the judge's, by default of one that deserves to pass its bar; where it
    has judged all of the pool, its verdicts decide the specificity. Drawn by verdict, the plan does with the verdicts
    that such a judge would give where the pool is not judged yet. A label takes as long as earlier ones of the store,
    or 45 seconds. Where the session has little chance to calibrate, the smallest of the same pool that has a good one
    is proposed: its plan, with the same arguments, says the same. `steps` are the commands that lead there.
    """
    design = _known_design(design)
    wanted = Wanted(tuple(annotators), n, per_item, adjudicator, design, align_share, practice, seed)
    subject = subject_of(name, runtime)
    pool = pool_of(subject, items, runtime, conversations=conversations, unit=unit)
    rates = {"prevalence": prevalence, "sensitivity": sensitivity, "specificity": specificity}
    given = {"conversations": conversations, "unit": None if unit == "conversation" else unit, **rates}
    given |= {"adjudicator": adjudicator, "per_item": per_item, "align_share": align_share, "seed": seed or None}
    given |= {"practice": None if practice == PRACTICE else practice, "seconds_a_label": seconds_a_label}
    asked = Asked(name, items, wanted.annotators, given)
    share, share_from = _share(pool, subject, prevalence)
    seconds, source, doubts = _seconds(runtime.store, seconds_a_label)
    people = People(wanted.annotators, wanted.labels_an_item, adjudicator, seconds, source, reviewer_usd_per_hour)
    check_rates(subject.rubric.name, share, sensitivity, specificity, people)
    made_up = _made_up(pool, subject, share, sensitivity, specificity)

    def draw_by(way: SessionDesign, count: int) -> Drawn:
        source = pool if way != "by_verdict" or pool.is_judged else made_up
        return _drawn(subject, source, replace(wanted, design=way, n=count), asked)

    def redraw(way: SessionDesign, count: int) -> Drawn | None:
        try:
            return draw_by(way, count)
        except ConfigError:  # too few labels are known, or verdicts: this design is none of this pool
            return None

    drawn = draw_by(design, n)
    unjudged = sum(case.id not in pool.verdicts for case in pool.cases) if design == "by_verdict" else 0
    which = "The pool has" if unjudged == len(pool.cases) else f"{unjudged:,} of {len(pool.cases):,} cases have"
    made = [f"{which} no verdicts yet, and this plan makes them up."] if unjudged else []
    plan = make_plan(
        subject.rubric.name,
        subject.kind,
        design,
        drawn,
        people,
        bar=subject.bar,
        targets=subject.rubric.targets,
        prevalence=share,
        prevalence_from=share_from,
        sensitivity=sensitivity,
        specificity=specificity,
        flagged=_flagged(pool, subject),
        verdicts_assumed=unjudged > 0,
        redraw=redraw,
        notes=(*made, *doubts, *drawn_from(pool, design).left_out),
        seed=seed,
    )
    better = plan.proposal
    return replace(
        plan,
        steps=steps_to(asked, subject, pool, design, n),
        proposal=better and replace(better, steps=steps_to(asked, subject, pool, better.design, better.items)),
    )


def _known_design(design: str) -> SessionDesign:
    """The design, written with - or _; ConfigError with the nearest for an unknown one."""
    found = {name.replace("_", "-"): name for name in DESIGNS}
    name = design.replace("_", "-")
    if name not in found:
        raise ConfigError("no such design", where="--design", got=design, fix=nearest(name, list(found)))
    return found[name]


def _drawn(subject: Subject, pool: Pool, wanted: Wanted, asked: Asked) -> Drawn:
    """The draw; ConfigError that also says how to get what is missing."""
    pool, share = drawn_from(pool, wanted.design), wanted.align_share
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
            align_share=share if share is not None else (ALIGN_SHARE if subject.has_prompt else 0.0),
            practice=wanted.practice,
            seed=wanted.seed,
        )
    except ConfigError as error:
        needs = any("by-verdict needs" in problem for problem in error.problems)
        fix = judging_first(asked, subject) if needs else ""
        raise ConfigError(error.what, where=error.where, problems=[*error.problems, *alike], fix=fix) from None
    if alike:
        raise ConfigError("no session can be drawn so", where=subject.rubric.name, problems=alike)
    return drawn


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


def _share(pool: Pool, subject: Subject, given: float | None) -> tuple[float, str]:
    """(share of targets, where it is from): as given; that of the known labels, where all are known; else 0.005."""
    targets = sum(case.label in subject.rubric.targets for case in pool.cases)
    known = all(case.label for case in pool.cases) and 0 < targets < len(pool.cases)
    share = targets / len(pool.cases)
    if given is not None:
        unlike = known and abs(share - given) > 0.1 * share
        return given, f"given; the known labels of the pool have {100 * share:.3g} %" if unlike else ""
    if known:
        return share, "as the pool's known labels have it"
    return Costs().prevalence, "the default: say what you know with --prevalence"


def _flagged(pool: Pool, subject: Subject) -> float | None:
    """Share of the pool with a positive verdict; None where not all of it is judged."""
    if not pool.is_judged:
        return None
    return sum(pool.verdicts[case.id] in subject.rubric.targets for case in pool.cases) / len(pool.cases)


def _seconds(store: Store, given: float | None) -> tuple[float, str, tuple[str, ...]]:
    """(seconds a label takes, where that is from, why earlier labels are not believed)."""
    if given is not None:
        return given, "given", ()
    rows = store.query(
        "SELECT seconds FROM session_labels WHERE seconds IS NOT NULL AND label IS NOT NULL AND undone_at IS NULL"
    )
    if not rows:
        return SECONDS_A_LABEL, "assumed", ()
    middle, used = float(median(row["seconds"] for row in rows)), f"{SECONDS_A_LABEL:.0f} s are assumed."
    if len(rows) < _FEWEST_TIMED:
        return SECONDS_A_LABEL, "assumed", (f"Only {counted(len(rows), 'earlier label')} have a time: {used}",)
    if middle < _DOUBTED:
        doubt = f"Earlier labels took {middle:.1f} s (median of {len(rows):,}), too little to read a case: {used}"
        return SECONDS_A_LABEL, "assumed", (doubt,)
    return middle, f"median of {len(rows):,}", ()
