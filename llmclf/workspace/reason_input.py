"""What a clustering of stored reasons is made from: window and baseline, of one task, real or simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from llmclf.errors import ConfigError, DataError
from llmclf.reasons.wordless import classifier_name
from llmclf.render.tables import counted
from llmclf.store import Store
from llmclf.store.moments import moment_text, utc_text
from llmclf.store.reasons import OF_TRAFFIC
from llmclf.types.reasons import Reasons

_LEAST_USUAL = 5.0
"""Conversations that a window usually has, below which one without any may be chance (e to the -5 is under .01)."""
_THERE = f"""
SELECT count(*) AS predictions, coalesce(sum(error_kind IS NOT NULL), 0) AS failed FROM predictions
WHERE created_at >= ? AND created_at < ? AND {OF_TRAFFIC}
"""  # noqa: S608
_NEWEST = f"SELECT max(created_at) AS at, count(*) AS count FROM predictions WHERE {OF_TRAFFIC}"  # noqa: S608


@dataclass(frozen=True)
class ReasonInput:
    """Reasons of a window and of the time before it, all of one task, all real or all simulated."""

    window: Reasons = field(repr=False)
    """With predictions that say nothing, of classifiers that gave reasons in the baseline."""
    baseline: Reasons | None = field(repr=False)
    """None: there is none, or it holds no reason."""
    since: str
    """UTC, as all moments here."""
    until: str
    baseline_since: str | None
    where: Mapping[str, Any]
    """What was asked for, with the task and whether they are simulated."""
    task: str
    simulated: bool
    left_out: int
    """Simulated reasons of the window beside the real ones."""
    silence: str
    """In a sentence: no reason at all, where there always were some; empty: it is not so."""
    notes: tuple[str, ...]


def read_input(
    store: Store,
    since: str | datetime,
    until: str | datetime | None,
    baseline: str | datetime | None,
    where: Mapping[str, Any],
) -> ReasonInput:
    """The reasons that are asked for. Ages count back from now, the baseline's from the window's beginning.

    Real ones are taken where there are any, in window or baseline, and simulated ones only where not. ConfigError for
    moments in the wrong order, unknown filters, and where reasons of several tasks are there and `where` names none;
    DataError where neither window nor baseline has any reason.
    """
    from_, to, before = _moments(since, until, baseline)
    every = store.reasons(from_, to, where, wordless=True)
    every_before = Reasons() if before is None else store.reasons(before, from_, where, wordless=True)
    window, base = _spoken(every), _spoken(every_before)
    simulated = _is_simulated(window, base)
    real, left_out = _of_kind(window, simulated), len(window) - len(_of_kind(window, simulated))
    base = _of_kind(base, simulated)
    if not len(real) and not len(base):
        raise _nothing(store, from_, to, where)
    task = _task(real, base, where)
    if len(base):
        real, base = (_with_wordless(some, all_, task, base) for some, all_ in ((real, every), (base, every_before)))
    notes = []
    if before is not None and not len(base):
        notes.append(
            f"The baseline (from {_short(before)} to {_short(from_)}) holds no reason: nothing is known of usual days."
        )
    silence, note = ("", "") if len(real) else _silence(store, base, from_, to, before or from_)
    return ReasonInput(
        real,
        base if len(base) else None,
        from_,
        to,
        before,
        {**where, "task": task, "simulated": simulated},
        task,
        simulated,
        left_out,
        silence,
        (*notes, *([note] if note else [])),
    )


def _moments(
    since: str | datetime, until: str | datetime | None, baseline: str | datetime | None
) -> tuple[str, str, str | None]:
    now = datetime.now(UTC)
    from_ = moment_text(since, name="since", now=now)
    to = utc_text(now + timedelta(seconds=1)) if until is None else moment_text(until, name="until", now=now)
    before = None if baseline is None else moment_text(baseline, name="baseline", now=datetime.fromisoformat(from_))
    problems = [] if from_ < to else [f"the window begins ({_short(from_)}) no earlier than it ends ({_short(to)})"]
    if before is not None and before >= from_:
        problems.append(f"the baseline begins ({_short(before)}) no earlier than the window ({_short(from_)})")
    if problems:
        raise ConfigError("these windows can't be looked at", where="cluster_stored", problems=problems)
    return from_, to, before


def _is_simulated(window: Reasons, baseline: Reasons) -> bool:
    """True where there are only simulated ones, and any at all."""
    flags = [*window.column("simulated"), *baseline.column("simulated")]
    return bool(flags) and all(flags)


def _of_kind(reasons: Reasons, simulated: bool) -> Reasons:
    flags = reasons.column("simulated")
    if all(bool(one) is simulated for one in flags):
        return reasons
    return reasons.pick(place for place, one in enumerate(flags) if bool(one) is simulated)


def _spoken(reasons: Reasons) -> Reasons:
    """Those with words of any kind."""
    texts = reasons.texts()
    return reasons if all(texts) else reasons.pick(place for place, text in enumerate(texts) if text)


def _with_wordless(spoken: Reasons, every: Reasons, task: str, baseline: Reasons) -> Reasons:
    """`spoken` and what says nothing of the same task and stamp, of classifiers that gave reasons in the `baseline`."""
    if len(every) == len(spoken):
        return spoken
    kept = set(spoken.column("prediction_id"))
    names = {classifier_name(id_) for id_ in baseline.column("classifier_id")}
    stamp = bool(baseline.column("simulated")[0])
    columns = (every.column(name) for name in ("prediction_id", "task", "classifier_id", "simulated"))
    silent = (not text for text in every.texts())
    return every.pick(
        place
        for place, (says_nothing, id_, of, classifier, simulated) in enumerate(zip(silent, *columns, strict=True))
        if id_ in kept
        or (says_nothing and of == task and bool(simulated) is stamp and classifier_name(classifier) in names)
    )


def _task(window: Reasons, baseline: Reasons, where: Mapping[str, Any]) -> str:
    """The one task of all; ConfigError with the choices where there are several."""
    here, before = Counter(window.column("task")), Counter(baseline.column("task"))
    tasks = sorted({*here, *before})
    if len(tasks) > 1:
        raise ConfigError(
            "reasons of several tasks are different things: look at one task at a time",
            where="cluster_stored",
            problems=[f"{task}: {here[task]:,} in the window, {before[task]:,} in the baseline" for task in tasks],
            fix="choose one: --task, or where={'task': ...}",
        )
    return str(tasks[0])


def _nothing(store: Store, since: str, until: str, where: Mapping[str, Any]) -> DataError:
    """What is there in place of reasons, and what to do."""
    there = store.query(_THERE, (since, until))[0]
    every = store.reasons(where=where)
    problems = [f"predictions in the window, of any kind: {there['predictions']:,} ({there['failed']:,} failed)"]
    if len(every):
        moments = every.column("created_at")
        problems.append(f"reasons in the store: {len(every):,}, from {_short(moments[0])} to {_short(moments[-1])}")
        fix = "widen the window: --since with an age such as 7d, --baseline none"
    elif there["predictions"] or store.query(_NEWEST)[0]["count"]:
        problems.append("reasons in the store that fit the filter: none")
        fix = 'classifiers give reasons with answer = "explained"; or ask for another task, classifier or model'
    else:
        problems.append("traffic in the store: none; runs of `evaluate` and `sweep` are measurements, no traffic")
        fix = "llmclf classify writes traffic; is this the right --store?"
    return DataError("there is no reason to cluster", where=str(store.path or "store"), problems=problems, fix=fix)


def _silence(store: Store, baseline: Reasons, since: str, until: str, before: str) -> tuple[str, str]:
    """(that a window without any reason is an alarm, why it is none): one of them is empty.

    It is one where every stretch of the baseline as long as the window had reasons, and usually of 5 conversations.
    """
    length = _read(until) - _read(since)
    whole = _read(since) - _read(before)
    stretches = max(1, whole // length)
    conversations: list[set[str]] = [set() for _ in range(stretches)]
    for at, conversation in zip(baseline.column("created_at"), baseline.column("conversation_id"), strict=True):
        back = int((_read(since) - _read(at)) // length)
        if back < stretches:
            conversations[back].add(conversation)
    usual = len(set().union(*conversations)) / stretches * min(1.0, length / whole if stretches == 1 else 1.0)
    days = max(whole.total_seconds() / 86_400, 1e-9)
    there = store.query(_THERE, (since, until))[0]
    failed = f"{counted(there['predictions'], 'prediction')} of traffic, {there['failed']:,} failed"
    said = (
        f"No reason at all from {_short(since)} to {_short(until)}, although the baseline has "
        f"{len(baseline) / days:,.0f} a day; there are {failed}."
    )
    empty = sum(not each for each in conversations)
    if empty:
        return "", f"{said} That is no alarm: {empty:,} of the {stretches:,} stretches before had none, either."
    if usual < _LEAST_USUAL:
        return "", f"{said} That may be chance: usually there are {usual:.1f} conversations."
    return said, ""


def _read(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def _short(moment: str) -> str:
    """`2026-11-04 10:30` of a moment in UTC."""
    return moment[:16].replace("T", " ")
