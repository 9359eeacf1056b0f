"""The verb `judge`: cases judged as a run of its own; what that would cost; judgments that were made elsewhere."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from llmclf.config import files
from llmclf.config.judge_schemas import JudgeFile
from llmclf.config.mistakes import validated
from llmclf.data.files import write_whole
from llmclf.errors import ConfigError, shorten
from llmclf.judges import Judge, LlmJudge, RecordedJudge, Recording, load_judge, read_recording
from llmclf.judges.base import OnJudgment
from llmclf.llm.model import Model, Request
from llmclf.llm.runtime import Runtime
from llmclf.sweeps.money import cap_reached
from llmclf.sweeps.plan import plan_requests
from llmclf.sweeps.planned import Plan
from llmclf.types import CANNOT_TELL, Case, Conversation, Judgment, content_hash
from llmclf.types.judgment import Probe
from llmclf.workspace.cases import Cases, cases_of, read_cases
from llmclf.workspace.provenance import git_sha, versions
from llmclf.workspace.verbs import booked_on

_FEWEST, _SMALLEST_SHARE, _FEWEST_LINES = 3, 0.01, 50  # what is rarer, in a file of so many, may be a slip
_MOST_LISTED = 20
_LONGEST = 80  # characters of a verdict in a judge's file
ELSEWHERE = "As it was said elsewhere."
"""What stands for the definition of a verdict that was made elsewhere, until somebody knows it."""
PROBES: tuple[tuple[Probe, int], ...] = (("swapped", 0), ("padded", 0), ("", 1))
"""(probe, repeat) of what is held against a judge's plain verdicts."""


def judge(
    cases: Sequence[Case],
    judge: Judge,
    *,
    conversations: Mapping[str, Conversation] = {},
    probe: Probe = "",
    repeat: int = 0,
    runtime: Runtime | None = None,
    on_done: OnJudgment | None = None,
) -> list[Judgment]:
    """What `judge` says of each case, in order, recorded as a run of kind `judge` in the store of its runtime.

    `conversations` by id, where its rubric sees them. The run is `stopped` where a cap left cases out; what is in the
    store is never bought again, so the same call goes on where a killed one was. A failed case is a judgment with
    `error`; only misuse raises, for all cases at once and before anything is paid. The judge's `runtime` may be given
    as well; another one is a ConfigError, since its caps would not hold.
    """
    if runtime is not None and runtime is not judge.runtime:
        raise ConfigError("the judge was loaded with another runtime", where=judge.name, fix="pass it to load_judge")
    judge.check_cases(cases, conversations)
    judge.check()
    store = judge.runtime.store
    run_id = _start(judge, cases, conversations, probe, repeat)
    items = {case.id: case.item for case in cases}
    with_version = _version_finder(judge)

    def keep(judgment: Judgment) -> None:
        store.add_judgments(run_id, [with_version(judgment)], items=items)  # at once: what is done outlives a kill
        if on_done:
            on_done(judgment)

    for one in judge.members:
        if isinstance(one, LlmJudge):
            store.put_prompt(one.prompt.name, one.prompt.sha256, one.prompt.text)
    for conversation in conversations.values():
        store.learn(conversation)
    with booked_on(judge.runtime, run_id):
        made = judge.judge(cases, conversations, probe=probe, repeat=repeat, on_done=keep)
    made = [with_version(judgment) for judgment in made]
    _finish(judge, run_id, made)
    return made


def plan_judging(
    cases: Sequence[Case],
    judge: Judge,
    *,
    conversations: Mapping[str, Conversation] = {},
    probes: Sequence[tuple[Probe, int]] = (("", 0),),
) -> Plan:
    """What judging would do, with a row for each member of a panel; nothing is sent.

    `probes` are the (probe, repeat) in which each case is shown.
    """
    judge.check_cases(cases, conversations)
    asked: dict[tuple[str, Model], list[tuple[str, Sequence[Request]]]] = {}
    for member in judge.members:
        if not isinstance(member, LlmJudge):
            continue
        rows = asked.setdefault((member.name, member.model), [])
        for case in cases:
            conversation = conversations.get(case.conversation_id)
            requests = [
                request
                for probe, repeat in probes
                for request in member.requests(case, conversation, probe=probe, repeat=repeat)
            ]
            rows.append((case.conversation_id or case.id, requests))
    return plan_requests(asked, judge.runtime, len(cases))


@dataclass(frozen=True)
class Imported:
    """What an import brought into the store."""

    judge: Judge
    recording: Recording
    path: Path
    """The judge's file."""
    is_new: bool
    """True where the file was written just now."""
    run_id: str
    changed: int = 0
    """Verdicts that are not those of the import before; any makes it another judge, with another fingerprint."""
    rare: Mapping[str, int] = field(default_factory=dict)
    """Words too rare to be taken for verdicts of a new judge, with their counts: failed judgments, until named."""


def import_recorded(
    name: str,
    path: str | Path,
    *,
    runtime: Runtime,
    positive: Sequence[str] = (),
    verdicts: Sequence[str] = (),
    renamed: Mapping[str, str] = {},
    question: str = "",
    source: str = "",
) -> Imported:
    """Judgments of a JSON Lines file as those of the judge `name`, whose file is made where there is none.

    A new judges/NAME.toml holds the closed set `verdicts`, those of `positive` as targets. Without `verdicts` it holds
    those that were seen, but in 50 verdicts or more none that was seen less than 3 times, or in less than 1 % of them:
    such a word may be a slip. What is outside the closed set is kept as failed. `renamed` is from what the file says
    to what that means here; `source` is what the file calls the judge, where that is not `name`. Nothing is written
    where a line is bad. An import that changes a verdict makes it another judge: uncalibrated, and of what was imported
    before it knows nothing. What was imported is in the store's file when this returns. Raises ConfigError where no
    `positive` is given for a new judge, or the judge of that name is not of kind recorded or has other verdicts.
    """
    workspace = runtime.workspace or Path()
    is_new = name not in files.listing("judge", workspace)
    rare: Mapping[str, int] = {}
    if is_new:
        seen = read_recording(path, name, source=source, renamed=renamed).verdicts
        rare = {} if verdicts else _rare(seen, positive)
        names = _closed_set(name, str(path), seen, positive, verdicts or [one for one in seen if one not in rare])
        text = _judge_toml(name, str(path), names, positive, question)
        _check_file(name, text)
        write_whole(workspace / "judges" / f"{name}.toml", text)
    made = load_judge(name, runtime=runtime, workspace=workspace)
    if not isinstance(made, RecordedJudge):
        raise ConfigError("only a recorded judge takes judgments made elsewhere", where=name, got=f"kind {made.kind!r}")
    found = files.find("judge", name, workspace)
    if not is_new:
        _check_agrees(made, found.path, positive, verdicts)
    recording = read_recording(path, name, made.rubric, source=source, renamed=renamed)
    fingerprint, changed = made.fingerprint_with(recording.judgments)
    run_id = runtime.store.start_run(
        "judge",
        inputs_hash=content_hash((made.name, fingerprint, [judgment.case for judgment in recording.judgments])),
        config={
            "judge": made.name,
            "name": made.name,
            "fingerprint": fingerprint,
            "imported_from": Path(path).name,
        },
        versions=versions(),
    )
    judgments = made.stamped_as(fingerprint, recording.judgments)
    runtime.store.add_judgments(run_id, judgments, items=recording.items)
    runtime.store.finish_run(run_id, "done", result=figures(judgments))
    runtime.store.flush()  # success is told of what is in the file, not of what waits for it
    return Imported(made, replace(recording, judgments=tuple(judgments)), found.path, is_new, run_id, changed, rare)


def check_recorded(judge: Judge, cases: Sequence[Case], ways: Sequence[tuple[Probe, int]] = (("", 0),)) -> None:
    """ConfigError where a recorded judge lacks verdicts on some of these cases: it can't be asked for them."""
    if not isinstance(judge, RecordedJudge):
        return
    said = [one for probe, repeat in ways for one in judge.judge(cases, probe=probe, repeat=repeat)]
    missing = [one for one in said if one.error is not None and one.error.kind == "not_found"]
    if missing:
        probes = dict.fromkeys(one.probe or (f"repeat {one.repeat}" if one.repeat else "plain") for one in missing)
        raise ConfigError(
            f"its verdicts were made elsewhere, and {len(missing):,} of {len(said):,} are not there",
            where=f"judge {judge.name}",
            got=f"no verdict on {shorten(missing[0].case, 60)} ({', '.join(probes)})",
            fix=f"its verdicts are imported: llmclf judge import {shlex.quote(judge.name)} FILE",
        )


def figures(judgments: Sequence[Judgment]) -> dict[str, Any]:
    """Counts of judgments as JSON types: by verdict, failed by kind, dollars. No words of anybody."""
    verdicts = Counter(judgment.verdict for judgment in judgments if judgment.verdict is not None)
    failed = Counter(judgment.error.kind for judgment in judgments if judgment.error is not None)
    costs = [judgment.cost_nano_usd for judgment in judgments]
    return {
        "cases": len(judgments),
        "verdicts": dict(verdicts.most_common()),
        CANNOT_TELL: verdicts[CANNOT_TELL],
        "failed": dict(failed.most_common()),
        "usd": None if None in costs else sum(cost for cost in costs if cost is not None) / 1e9,
    }


def _start(
    judge: Judge, cases: Sequence[Case], conversations: Mapping[str, Conversation], probe: Probe, repeat: int
) -> str:
    asked = {"judge": judge.name, "fingerprint": judge.fingerprint, "probe": probe, "repeat": repeat}
    shown = sorted(
        conversations[key].content_hash for key in {case.conversation_id for case in cases} & conversations.keys()
    )
    return judge.runtime.store.start_run(
        "judge",
        inputs_hash=content_hash({**asked, "cases": sorted(content_hash(case) for case in cases), "shown": shown}),
        config={**asked, "name": judge.name, "calibration": judge.status.stamp, "cases": len(cases)},
        git_sha=git_sha(judge.runtime.workspace or Path()),
        versions=versions(),
        simulated=judge.simulated,
    )


def _finish(judge: Judge, run_id: str, judgments: Sequence[Judgment]) -> None:
    """Marks a run with how it ended: `stopped` where a cap left cases out. Why holds no words of a vendor."""
    errors = [judgment.error for judgment in judgments]
    why, result = cap_reached(errors), figures(judgments)
    state = "stopped" if why else "done"
    if not why and errors and all(errors):
        why = f"every case failed: {', '.join(f'{kind} {count}' for kind, count in result['failed'].items())}"
    judge.runtime.store.finish_run(run_id, state, result=result, why=why)  # type: ignore[arg-type]


def _version_finder(judge: Judge) -> Callable[[Judgment], Judgment]:
    """Puts into a judgment from the store the version that answered when it was bought, where that is known."""
    rows = judge.runtime.store.query(
        "SELECT call_id, model FROM judgments WHERE judge = ? AND fingerprint = ? AND call_id <> '' AND cached = 0",
        (judge.name, judge.fingerprint),
    )
    versions_of = {row["call_id"]: row["model"] for row in rows}

    def found(judgment: Judgment) -> Judgment:
        version = versions_of.get(judgment.call_id, "") if judgment.cached else ""
        return replace(judgment, model=version) if version else judgment

    return found


def _rare(seen: Mapping[str, int], positive: Sequence[str]) -> dict[str, int]:
    """What was said too rarely to be taken for a verdict on its own word; never what is looked for."""
    total = sum(seen.values())
    least = max(_FEWEST, total * _SMALLEST_SHARE) if total >= _FEWEST_LINES else 0
    return {one: count for one, count in seen.items() if count < least and one not in (*positive, CANNOT_TELL)}


def _closed_set(
    name: str, source: str, seen: Mapping[str, int], positive: Sequence[str], verdicts: Sequence[str]
) -> list[str]:
    """The verdicts of a new judge, targets first, each part by the alphabet; ConfigError where that is no rubric."""
    names = sorted({*verdicts} - {CANNOT_TELL}, key=lambda one: (one not in positive, one))
    told = sorted(seen.items(), key=lambda one: -one[1])
    listed = [f"{shorten(verdict, 60)} ({count:,})" for verdict, count in told[:_MOST_LISTED]]
    listed += [f"and {len(told) - _MOST_LISTED:,} others"] if len(told) > _MOST_LISTED else []
    unknown = [verdict for verdict in positive if verdict not in names]
    if not positive or unknown or not set(names) - set(positive):
        other = next((one for one, _ in told if one not in (*positive, CANNOT_TELL)), "OTHER")
        raise ConfigError(
            f"say which verdicts are looked for (--positive VERDICT), and where {source} does not hold all that there "
            "are, which those are (--verdicts A,B); it holds these",
            where=name,
            got=unknown or list(positive) or None,
            problems=listed,
            fix=f"--verdicts {shlex.quote(','.join([*positive, shorten(other, 60)[1:-1]]))}" if positive else "",
        )
    long = [one for one in names if len(one) > _LONGEST]
    if long:
        problems = [
            f"{shorten(one, 60)} has {len(one):,} characters: {_LONGEST} at most" for one in long[:_MOST_LISTED]
        ]
        raise ConfigError("no judge can be made of these verdicts", where=name, problems=problems)
    return names


def _check_agrees(judge: RecordedJudge, path: Path, positive: Sequence[str], verdicts: Sequence[str]) -> None:
    """ConfigError where the file of a judge says something else than what is given."""
    rubric = judge.rubric
    asked = (("--positive", set(positive), rubric.targets), ("--verdicts", {*verdicts} - {CANNOT_TELL}, rubric.names))
    problems = [
        f"{option} {','.join(sorted(given))}: the file says {', '.join(sorted(there))}"
        for option, given, there in asked
        if given and given != set(there)
    ]
    if problems:
        raise ConfigError(
            "the judge's file says which verdicts there are, and which are looked for",
            where=judge.name,
            problems=problems,
            fix=f"leave the options out, or change {path}",
        )


def _judge_toml(name: str, source: str, names: Sequence[str], positive: Sequence[str], question: str) -> str:
    """The file of a judge whose judgments were made elsewhere."""
    lines = [
        f"# Verdicts that were made elsewhere, and came from {Path(source).name}.",
        f"#   llmclf judge import {name} FILE.jsonl",
        "version = 1",
        'kind = "recorded"',
        f"question = {_quoted(question or f'What did {name} say?')}",
        f'scale = "{"binary" if len(names) == 2 else "categorical"}"',
    ]
    for verdict in names:
        role = "target" if verdict in positive else "clean"
        lines += ["", f"[verdicts.{_quoted(verdict)}]", f'role = "{role}"', f"definition = {_quoted(ELSEWHERE)}"]
    return "\n".join(lines) + "\n"


def _check_file(name: str, text: str) -> None:
    """ConfigError where the file could not be read again: a name that is none, a verdict that is no short line."""
    problems = [] if files.is_name(name) else [f"{name!r} is no name: use letters, digits, '_', '-', '.' and '/'"]
    problems += validated(TypeAdapter(JudgeFile), tomllib.loads(text))[1]
    if problems:
        raise ConfigError("no judge can be made of this", where=name, problems=problems)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's basic strings are JSON's


__all__ = [
    "Cases",
    "Imported",
    "cases_of",
    "check_recorded",
    "figures",
    "import_recorded",
    "judge",
    "load_judge",
    "plan_judging",
    "read_cases",
]
