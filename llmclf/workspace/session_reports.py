"""The labels of a session held against what a judge, or a classifier's run, says of the same cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmclf.calibration.card import Calibration, calibrate as make_card
from llmclf.calibration.desk import Desk
from llmclf.calibration.drawing import stratum_of
from llmclf.calibration.flag import Flag
from llmclf.calibration.flags import flags_of
from llmclf.calibration.session import LabelledCase, Session, SessionItem, Split
from llmclf.config import load_task
from llmclf.errors import ConfigError
from llmclf.judges.base import Judge
from llmclf.judges.loading import load_judge
from llmclf.judges.status import CalibrationStatus, short_of, write_status
from llmclf.llm.runtime import Runtime
from llmclf.store.moments import utc_text
from llmclf.sweeps.planned import Plan
from llmclf.types import Bar, Conversation, Judgment, Prediction, Rubric
from llmclf.workspace import judging
from llmclf.workspace.session_match import how_to_rename, same_guideline, same_verdicts, says_no_guideline
from llmclf.workspace.session_missing import how_to_judge, kept_conversations, left_of, missing_cases
from llmclf.workspace.session_pool import predictions_of, verdict_of
from llmclf.workspace.session_shown import left_out_as_shown, unshown

_STATES = {"calibrated": "calibrated", "not_calibrated": "not calibrated", "cant_tell": "can't tell yet"}


def report(
    session_id: str,
    judge: Judge | str | None = None,
    *,
    runtime: Runtime,
    run: str | None = None,
    split: Split = "test",
    missing_from: str | None = None,
    conversations: str | None = None,
    reviewer_usd_per_hour: float = 48.0,
    seed: int = 0,
) -> Calibration:
    """The report card of a judge as it is now, on the labels of a session; the look is recorded.

    `judge` is the one that the session is about, if nothing else is said; a task's session without one gives the
    card of the people alone. `run` (`RUN`, `RUN/CELL`, `last`) holds a classifier's predictions against the people
    instead. Cases that the judge has not judged are left out and counted; `missing_from` names the items that the
    session was begun with, or is "session" for the words that it keeps and people saw; it has them judged, which may
    cost money.

    On the test split the result is kept in calibration/JUDGE/, and decides how the judge's judgments are shown from
    then on, until a session that was begun later says otherwise; one that can't tell leaves what another session said.
    Labels by another guideline than the file's calibrate nothing. Raises ConfigError where there is no such session,
    or its verdicts are not those of the judge any more.
    """
    desk = Desk(runtime.store)
    session = desk.session(session_id)
    if run is not None and judge is not None:
        raise ConfigError("a judge and a run are two things to hold against people", where="report", fix="give one")
    found = said = None
    if run is None and (judge is not None or session.kind == "judge"):
        found = _loaded(judge or session.name, runtime)
        session = replace(session, items=unshown(session.items, found))
    scored = [item for item in session.items if item.split == split]
    if run is not None:
        said = _of_run(session, run, runtime)
    elif found is not None:
        said = _of_judge(session, scored, found, runtime, missing_from, conversations)
    every = desk.labelled(session.id)
    labelled = unshown(every, found)
    changed = _changed(session, labelled, found, runtime)
    costs: dict[str, Any] = {"split": split, "reviewer_usd_per_hour": reviewer_usd_per_hour, "seed": seed}
    if said is None:
        return make_card(session, labelled, (), flags=changed, **costs)
    held = [one for one in labelled if one.item.split == split]
    bar = found.bar if found else Bar()
    beside: dict[str, Any] = {
        "others": _others(session, found, scored, runtime),
        "conversations": kept_conversations(session, runtime),
    }
    # Its population counts the verdicts of the judge it began with; another may have the same fingerprint: recorded.
    known = session if said.name == session.name else replace(session, fingerprint="")
    made = make_card(
        known,
        labelled,
        said.judgments,
        judge=said.name,
        bar=bar,
        judged=said.judged,
        looks=desk.look(session.id, said.name, said.judgments[0].fingerprint, split),
        flags=(
            *flags_of(held, said.judgments, session.rubric, bar=bar, seed=seed, **beside),
            *changed,
            *left_out_as_shown(every, found, split),
        ),
        **costs,
    )
    made = _at_most(made, changed)
    if found is None or split != "test" or made.state == "people":
        return made
    stays = _stays(made, session, found, runtime)
    if not stays:
        _keep(made, session, found, runtime)
    return replace(made, flags=(*made.flags, *stays))


def not_calibrated_because(made: Calibration) -> str:
    """Why a card is no calibration; empty where it is one. A simulated judge that passed says nothing of a real one."""
    if made.state != "calibrated":
        return made.why
    return "its verdicts are made up by a simulated vendor: ask a real one" if made.simulated else ""


def plan_report(
    session_id: str,
    judge: str | None = None,
    *,
    runtime: Runtime,
    missing_from: str,
    split: Split = "test",
    conversations: str | None = None,
) -> Plan:
    """What the judging would cost and send that `report` does with the same arguments; nothing is sent."""
    session = Desk(runtime.store).session(session_id)
    found = _loaded(judge or session.name, runtime)
    scored = [item for item in unshown(session.items, found) if item.split == split]
    left = left_of(scored, _stored(found, scored, runtime))
    cases, texts = missing_cases(session, found, left, missing_from, runtime, conversations)
    return judging.plan_judging(cases, found, conversations=texts)


def calibrate(
    judge: Judge | str,
    annotations: str | Sequence[LabelledCase],
    *,
    runtime: Runtime | None = None,
    conversations: Mapping[str, Conversation] | None = None,
    judgments: Sequence[Judgment] | None = None,
    split: Split = "test",
    seed: int = 0,
) -> Calibration:
    """How a judge agrees with people, with the verdict by its bar: `llmclf.calibrate`.

    `annotations` is the id of a session (then this is `report`), or labelled cases of your own, which count as drawn
    at random. Of those the judge's `judgments` are given, or in the store; the rest is judged now, under the
    runtime's cap, with `conversations` by id where its rubric sees them. Nothing is kept of cases of your own.
    ConfigError where `judgments` or `conversations` come with a session, whose own are in the store.
    """
    found = _loaded(judge, runtime)
    kept_by = runtime or found.runtime
    if isinstance(annotations, str):
        _check_alone(annotations, judgments, conversations)
        return report(annotations, found, runtime=kept_by, split=split, seed=seed)
    every, annotations = annotations, unshown(annotations, found)
    items = tuple(one.item for one in annotations)
    people = tuple(dict.fromkeys(said.annotator for one in annotations for said in one.annotations))
    decide = {one.adjudication.annotator for one in annotations if one.adjudication}
    session = Session(
        "", "judge", found.rubric, "random", items, people, adjudicator=min(decide, default=""), created_at=utc_text()
    )
    scored = [item for item in items if item.split == split]
    said = list(judgments) if judgments is not None else _stored(found, scored, kept_by)
    there = {one.case for one in said}
    left = [item.case for item in scored if item.case.id not in there]
    if left and judgments is None:
        said += judging.judge(left, found, conversations=conversations or {}, runtime=kept_by)
    held = [one for one in annotations if one.item.split == split]
    others = _others(session, found, scored, kept_by)
    changed = _changed(session, annotations, found, kept_by)
    flags = (
        *flags_of(held, said, found.rubric, others=others, conversations=conversations, bar=found.bar, seed=seed),
        *changed,
        *left_out_as_shown(every, found, split),
    )
    made = make_card(session, annotations, said, judge=found.name, bar=found.bar, split=split, flags=flags, seed=seed)
    return _at_most(made, changed)


@dataclass(frozen=True)
class _SaidOf:
    """What a judge, or a run taken for one, says of the cases of a session."""

    name: str
    judgments: tuple[Judgment, ...]
    judged: Mapping[str, int] | None
    """Counts over the whole pool by verdict; None where it has not seen the pool."""


def _loaded(judge: Judge | str, runtime: Runtime | None) -> Judge:
    if isinstance(judge, Judge):
        return judge
    return load_judge(judge.removeprefix("judge:"), runtime=runtime)


def _stored(judge: Judge, items: Sequence[SessionItem], runtime: Runtime) -> list[Judgment]:
    ids = [item.case.id for item in items]
    found: list[Judgment] = runtime.store.judgments(judge.name, fingerprint=judge.fingerprint, case_ids=ids)
    return found


def _of_judge(
    session: Session,
    scored: Sequence[SessionItem],
    judge: Judge,
    runtime: Runtime,
    missing_from: str | None,
    conversations: str | None,
) -> _SaidOf:
    if not same_verdicts(judge.rubric, session.rubric):
        raise ConfigError(
            f"people labelled with {', '.join(session.rubric.names)}, and the judge has other verdicts",
            where=f"session {session.id}, judge {judge.name}",
            got=", ".join(judge.rubric.names),
            fix=how_to_rename(session, judge),
        )
    if not scored:
        raise ConfigError("no case of the session is of this split", where=f"session {session.id}")
    said = _stored(judge, scored, runtime)
    left = left_of(scored, said)
    if left and missing_from is not None:
        cases, texts = missing_cases(session, judge, left, missing_from, runtime, conversations)
        said += judging.judge(cases, judge, conversations=texts, runtime=runtime)
    elif len(left) == len(scored):
        raise ConfigError(
            f"{judge.name} as it is now ({short_of(judge.fingerprint)}) has judged no case of the session",
            where=f"session {session.id}",
            fix=how_to_judge(session, judge, scored[0].split),
        )
    return _SaidOf(judge.name, tuple(said), _judged(session, judge, runtime))


def _judged(session: Session, judge: Judge, runtime: Runtime) -> Mapping[str, int] | None:
    """How many cases of the pool got each verdict: of a run that saw all of it, or as the session began."""
    began_with = (session.name, session.fingerprint) == (judge.name, judge.fingerprint)
    if began_with and session.design != "class_balanced" and session.population.keys() != {""}:
        return session.population
    rows = runtime.store.query(
        "SELECT DISTINCT run_id FROM judgments WHERE judge = ? AND fingerprint = ? AND probe = '' AND repeat = 0"
        " ORDER BY run_id DESC",
        (judge.name, judge.fingerprint),
    )
    for row in rows:
        said = runtime.store.judgments(
            judge.name, fingerprint=judge.fingerprint, run_id=row["run_id"], probe="", repeat=0
        )
        if counts := _of_the_pool(session, {one.case: one.verdict for one in said}):
            return counts
    return None


def _of_the_pool(session: Session, said: Mapping[str, str | None]) -> dict[str, int] | None:
    """Counts by verdict, if these are verdicts on as many cases as the pool has, the session's among them."""
    drawn = [item.case.id for item in session.items]
    if len(said) != sum(session.population.values()) or any(id not in said for id in drawn):
        return None
    return dict(Counter(stratum_of(verdict) for verdict in said.values()))


def _of_run(session: Session, run: str, runtime: Runtime) -> _SaidOf:
    """A run's predictions as judgments of the session's cases."""
    if session.kind != "task":
        raise ConfigError("a run is held against the people of a task's session", got=f"{session.id} of a judge")
    run_id, predictions, _ = predictions_of(run, runtime, with_texts=False)
    task = load_task(session.name, runtime.workspace)
    verdicts = {str(one.item): verdict_of(one, task) for one in predictions}
    drawn = {item.case.id for item in session.items}
    ids = {one.classifier_id for one in predictions}
    name = min(ids).partition("@")[0]
    fingerprint = min(ids) if len(ids) == 1 else f"run {run_id}"  # folds of a probe are classifiers of their own
    said = tuple(
        _judgment(one, name, fingerprint, verdicts[str(one.item)]) for one in predictions if str(one.item) in drawn
    )
    if not said:
        raise ConfigError("the run has predicted no case of the session", where=f"run {run_id}", got=session.id)
    return _SaidOf(name, said, _of_the_pool(session, verdicts))


def _judgment(prediction: Prediction, judge: str, fingerprint: str, verdict: str | None) -> Judgment:
    return Judgment(
        str(prediction.item),
        judge,
        fingerprint,
        verdict=verdict,
        reason=prediction.rationale,
        error=prediction.error,
        thinking=prediction.thinking,
        usage=prediction.usage,
        cost_nano_usd=prediction.cost_nano_usd,
        latency_seconds=prediction.latency_seconds,
        call_id=prediction.call_id,
        cached=prediction.cached,
        simulated=prediction.simulated,
    )


def _others(
    session: Session, judge: Judge | None, scored: Sequence[SessionItem], runtime: Runtime
) -> dict[str, list[Judgment]]:
    """What other judges with the same verdicts say of the cases; panels are made of others, and left out."""
    if judge is None or len(judge.members) > 1:
        return {}
    found = {}
    for row in runtime.store.query("SELECT DISTINCT judge FROM judgments WHERE judge <> ?", (judge.name,)):
        try:
            other = load_judge(row["judge"], runtime=runtime, workspace=runtime.workspace)
        except ConfigError:
            continue  # its file is gone, or was never here
        alike = len(other.members) == 1 and same_verdicts(other.rubric, session.rubric)
        if alike and (said := _stored(other, scored, runtime)):
            found[other.name] = said
    return found


def _changed(
    session: Session, labelled: Sequence[LabelledCase], judge: Judge | None, runtime: Runtime
) -> tuple[Flag, ...]:
    """That people labelled by another guideline than the file has now, where it is so."""
    now = judge.rubric if judge else _task_rubric(session, runtime)
    read = {said.guideline for one in labelled for said in (*one.annotations, one.adjudication) if said is not None}
    if now is None or (judge is not None and says_no_guideline(judge)):
        return ()
    begun = session.rubric.guideline.version
    known = {"", now.guideline.version, *([begun] if same_guideline(session.rubric, now) else [])}
    if {begun, *read} <= known:
        return ()
    sentence = (
        f"The guideline in the file of {now.name} is not the one that people labelled by: their labels calibrate "
        "nothing. Begin a new session where the meaning of a verdict has changed."
    )
    return (Flag("guideline", sentence),)


def _at_most(made: Calibration, changed: Sequence[Flag]) -> Calibration:
    """The card; where people labelled by another guideline it can't say `calibrated`."""
    if not changed or made.state != "calibrated":
        return made
    return replace(
        made, state="cant_tell", why=f"Can't tell: {changed[0].sentence[:1].lower()}{changed[0].sentence[1:]}"
    )


def _task_rubric(session: Session, runtime: Runtime) -> Rubric | None:
    """Of a task's session: the task as its file has it now; None where that is gone."""
    try:
        return Rubric.of_task(load_task(session.name, runtime.workspace)) if session.kind == "task" else None
    except ConfigError:
        return None


def _stays(made: Calibration, session: Session, judge: Judge, runtime: Runtime) -> tuple[Flag, ...]:
    """That the judge's status stays with another session: a later one, or one that could tell where this can't."""
    there = judge.status
    if there.state == "uncalibrated" or there.session == session.id:
        return ()
    says = f"says: {_STATES[there.state]}. This report does not change it."
    could, can = there.state != "cant_tell", made.state != "cant_tell"
    if could and not can:
        sentence = (
            f"This session can't tell. The status of {judge.name} stays with session {there.session}, which {says}"
        )
        return (Flag("status_stays", sentence),)
    if (can and not could) or there.begun <= session.created_at:
        return ()
    sentence = f"The status of {judge.name} stays with session {there.session}, which was begun later and {says}"
    return (Flag("later_session", sentence),)


def _keep(made: Calibration, session: Session, judge: Judge, runtime: Runtime) -> None:
    """Writes what the judge's judgments are stamped with from now on."""
    assert made.state != "people"
    status = CalibrationStatus(
        made.state,
        made.fingerprint,
        session.id,
        utc_text(),
        made.why,
        {name: figure.to_dict() for name, figure in made.figures.items()},
        begun=session.created_at,
        bar=judge.bar,
        guideline=judge.rubric.guideline.version,
        simulated=made.simulated,
    )
    write_status(judge.name, status, runtime.workspace)


def _check_alone(session_id: str, judgments: object, conversations: object) -> None:
    """ConfigError where something was given that a session has itself."""
    given = [name for name, value in (("judgments", judgments), ("conversations", conversations)) if value is not None]
    if given:
        raise ConfigError(
            "a session is held against the judgments in the store, and has its own conversations",
            where="calibrate",
            got=f"{' and '.join(given)} with session {session_id}",
            fix="leave them out (`llmclf judge run` and `llmclf judge import` bring judgments into the store), or give "
            "labelled cases in place of the id: Desk(runtime.store).labelled(id)",
        )
